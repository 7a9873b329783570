//! What is read from the disk.

use std::collections::BTreeMap;

use skywave::config::{Text, load};
use skywave::queue::record::{HopKey, MailRecord};
use skywave::store::record;
use skywave_transports::modem::weather::Weather;

/// A record of the queue, as stored, and with the checksum made right; also as a key. How many were
/// taken.
pub fn record(octets: &[u8]) -> usize {
    let mut taken = 0;
    let _ = record::read::<MailRecord>(octets);
    let mut whole = octets.to_vec();
    if let [_, _, _, _, length, rest @ ..] = octets
        && let Some((key, value)) = rest.split_at_checked(usize::from(*length))
    {
        whole[..4].copy_from_slice(&record::sum(key, value).to_be_bytes());
    }
    if let Ok(mail) = record::read::<MailRecord>(&whole) {
        let again = mail.put().value.map(|value| MailRecord::decode(&value).ok());
        assert_eq!(again, Some(Some(mail)), "a record must survive being written");
        taken += 1;
    }
    if let Some(key) = HopKey::decode(octets) {
        assert_eq!(HopKey::decode(&key.encode()).as_ref(), Some(&key), "a key must survive being written");
        taken += 1;
    }
    taken
}

/// A configuration of a site. One if it was taken.
pub fn configuration(octets: &[u8]) -> usize {
    let text = Text { file: "fuzz.toml".to_owned(), text: String::from_utf8_lossy(octets).into_owned() };
    usize::from(load(&[text], &BTreeMap::new()).is_ok())
}

/// A weather file. One if it was taken.
pub fn weather(octets: &[u8]) -> usize {
    usize::from(Weather::parse(&String::from_utf8_lossy(octets)).is_ok())
}

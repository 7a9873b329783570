//! A stored record: a value guarded by a checksum over its key and itself, and read by the node as JSON.
//!
//! Promises: any octets can be read; what is damaged is a fault that names what is wrong. Refuses: nothing else.

use flate2::Crc;
use serde::de::DeserializeOwned;
use skywave_protocols::bytes::Reader;
use skywave_protocols::fault::{Blame, Fault, Next};

/// The checksum of records and bodies over `parts` as if they were one: CRC-32 as in zip and Ethernet (ISO-HDLC).
pub fn checksum(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.sum()
}

/// Why a record cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordFault {
    /// Key and value do not have the checksum stored with them.
    #[error("checksum {found:08x}, stored was {stored:08x}")]
    Checksum {
        /// What was computed.
        found: u32,
        /// What was stored.
        stored: u32,
    },
    /// The value is whole but means nothing to this version.
    #[error("not a record: {0}")]
    Meaning(String),
    /// The octets end before the record does.
    #[error("record cut off")]
    CutOff,
}

impl Fault for RecordFault {
    fn blame(&self) -> Blame {
        Blame::Local
    }

    fn next(&self) -> Next {
        Next::GiveUp
    }
}

/// The checksum over the key's length, the key and the value.
pub fn sum(key: &[u8], value: &[u8]) -> u32 {
    // The length keeps an octet from wandering between key and value unseen.
    checksum(&[&(key.len() as u64).to_be_bytes(), key, value])
}

/// Checks a value against the checksum stored with it.
///
/// # Errors
/// [`RecordFault::Checksum`].
pub fn checked<'a>(key: &[u8], value: &'a [u8], stored: u32) -> Result<&'a [u8], RecordFault> {
    match sum(key, value) {
        found if found == stored => Ok(value),
        found => Err(RecordFault::Checksum { found, stored }),
    }
}

/// Reads a checked value as the JSON of a `T`.
///
/// # Errors
/// [`RecordFault::Meaning`].
pub fn meaning<T: DeserializeOwned>(value: &[u8]) -> Result<T, RecordFault> {
    serde_json::from_slice(value).map_err(|error| RecordFault::Meaning(error.to_string()))
}

/// Reads any octets as a stored record the way a node reads one: checksum (4), length of the key (1), key, value. The
/// entry of the fuzz target `record`; a store keeps the parts in columns.
///
/// # Errors
/// Whatever is wrong with them.
pub fn read<T: DeserializeOwned>(octets: &[u8]) -> Result<T, RecordFault> {
    let mut reader = Reader::new(octets);
    let mut parts = || {
        let stored = reader.u32()?;
        let length = reader.u8()?;
        let key = reader.take(usize::from(length))?;
        Ok((stored, key, reader.rest()))
    };
    let (stored, key, value) = parts().map_err(|_: skywave_protocols::bytes::WireError| RecordFault::CutOff)?;
    meaning(checked(key, value, stored)?)
}

/// Writes what [`read`] reads; `None` for a key above 255 octets.
pub fn written(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(key.len()).ok()?;
    Some([&sum(key, value).to_be_bytes()[..], &[length], key, value].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_spools_have() {
        assert_eq!(checksum(&[b"123456789"]), 0xcbf4_3926, "the check value of CRC-32/ISO-HDLC");
        assert_eq!(checksum(&[b"1234", b"", b"56789"]), 0xcbf4_3926);
        let long: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(checksum(&[&long]), checksum(&[&long[..70_001], &long[70_001..]]));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let octets = written(b"ticket", br#"{"state":1}"#).unwrap();
        assert_eq!(read::<serde_json::Value>(&octets), Ok(serde_json::json!({"state": 1})));
        for bit in 0..octets.len() * 8 {
            let mut damaged = octets.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<serde_json::Value>(&damaged).is_err(), "bit {bit}");
        }
        for cut in 0..octets.len() {
            assert!(read::<serde_json::Value>(&octets[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert!(matches!(read::<serde_json::Value>(&[0; 64]), Err(RecordFault::Checksum { .. })));
        assert_eq!(read::<serde_json::Value>(&[]), Err(RecordFault::CutOff));
    }
}

//! What octets of the slow side say by themselves, for consoles: nothing of a running session is needed or known.

use super::block::Unit;
use super::dictionary::{Dictionaries, plain};
use super::fault::SlowFault;
use super::limits::{BLOCK_TEXT_OCTETS_MAX, STANZA_OCTETS_MAX};
use super::receiver::{Receiver, Start};
use super::short_id::Ids;
use super::units;
use super::zlib::Inflater;
use crate::xmpp::Stanza;

/// The stanzas of a unit that needs no other: the first block of an epoch, or a stanza alone. Others have none to show:
/// they are read with what came before them. `names` are those that both ends put into the dictionary.
///
/// # Errors
/// It is no unit, or its dictionary is another one, or its digest does not fit.
pub fn stanzas(octets: &[u8], names: &[String]) -> Result<Vec<Stanza>, SlowFault> {
    let dictionaries = Dictionaries::new(names);
    let unit = Unit::read(octets)?;
    match unit {
        Unit::Start { context, epoch, instance, number, dictionary, .. } => {
            let known = dictionaries.find(dictionary).ok_or(SlowFault::Dictionary { digest: dictionary })?;
            let start = Start { epoch, instance, number };
            // Ids that the sender shortened are shown as its own.
            let found = Receiver::new(context, None).begin(start, known, &unit, &Ids::new(0))?;
            match found.faults.into_iter().next() {
                Some(fault) => Err(fault),
                None => Ok(found.stanzas),
            }
        }
        Unit::Alone { .. } => Ok(vec![units::read(&dictionaries, octets)?]),
        Unit::Data { .. } | Unit::Far { .. } | Unit::Request(_) | Unit::Ack { .. } => Ok(Vec::new()),
    }
}

/// The text of a zlib stream from its beginning, as the profiles of others send it; `None` if it is none.
pub fn inflated(octets: &[u8], names: &[String]) -> Option<Vec<u8>> {
    let cap = BLOCK_TEXT_OCTETS_MAX.max(STANZA_OCTETS_MAX) * 16;
    let text = Inflater::new(Some(&plain(names))).read(octets, cap).ok()?;
    (Inflater::may_begin(octets) && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::zlib::Deflater;
    use super::*;

    #[test]
    fn units_that_need_no_other_are_read_and_others_shown_empty() {
        let names = ["hq.test".to_owned(), "field.test".to_owned()];
        let text = b"<message from='a@hq.test' to='b@field.test'><body>x</body></message>";
        let alone = units::write(&Dictionaries::new(&names), text);
        let found = stanzas(&alone, &names).unwrap();
        assert_eq!(found[0].octets(), Stanza::parse(text).unwrap().octets());
        assert_eq!(stanzas(&alone, &[]), Err(SlowFault::Digest), "another dictionary");
        assert_eq!(stanzas(&[0xa0, 1, 2, 3], &names), Ok(Vec::new()));
        assert!(stanzas(&[0xf0, 1], &names).is_err());
    }

    #[test]
    fn a_zlib_stream_is_recognised() {
        for dictionary in [None, Some(plain(&[]))] {
            let octets = Deflater::new(dictionary.as_deref()).write(b"<presence from='a@b' to='c@d'/>");
            assert_eq!(inflated(&octets, &[]).unwrap(), b"<presence from='a@b' to='c@d'/>");
        }
        assert_eq!((inflated(b"", &[]), inflated(&[0x78, 0xda, 0xff], &[])), (None, None));
    }
}

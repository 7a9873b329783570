//! A stored record: a value guarded by a checksum over its key and itself, and read by the node as JSON.
//!
//! Promises: any octets can be read; what is damaged is a fault that names what is wrong. Refuses: nothing else.

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use serde::de::DeserializeOwned;
use skywave_protocols::bytes::Reader;
use skywave_protocols::fault::{Blame, Fault, Next};

/// The checksum of records and bodies: CRC-32 as in zip and Ethernet.
pub static CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

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
    let mut digest = CHECKSUM.digest();
    // The length keeps an octet from wandering between key and value unseen.
    digest.update(&(key.len() as u64).to_be_bytes());
    digest.update(key);
    digest.update(value);
    digest.finalize()
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

//! A stanza as it waits on disk, towards a link ([`Space::ChatOut`]) or towards the local server ([`Space::ChatIn`]).
//!
//! The key is the gateway's number of the stanza, eight octets, highest first: the order of the rows is the order in
//! which the stanzas were taken over. What follows from the stanza itself (its kind, its fate) is not written twice.

use skywave_protocols::bytes::{BufMut, Bytes, Reader, WireError};
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::time::{Duration, WallTime};
use skywave_transports::io::{Space, Write};

/// Layout written by this version.
const VERSION: u8 = 1;
/// The life of what was given up and has its row still.
pub(super) const LIFE_OVER: Duration = Duration::from_micros(1);
/// The stanza was made here (an error, an answer), and waits for a local server.
const OWN: u8 = 1;
/// A rule has it take a link, whose name follows.
const ROUTED: u8 = 2;
/// A rule lets it wait for a fast link, whose rate follows.
const FOR_RATE: u8 = 4;
/// It may have been given to the local server.
const GIVEN: u8 = 8;
/// The operator keeps it back.
const KEPT: u8 = 16;

/// A stanza on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The far site's name in the configuration.
    pub peer: String,
    /// When it was taken over.
    pub since: WallTime,
    /// How long it may wait; `None` for ever.
    pub life: Option<Duration>,
    /// Its precedence on the link.
    pub priority: MtPriority,
    /// Whether it was made here; kept of what waits for a local server.
    pub own: bool,
    /// The link that a rule has it take.
    pub route: Option<String>,
    /// How fast the link must be that a rule lets it wait for, in bit/s.
    pub bits_per_second_min: Option<u32>,
    /// Whether the local server may have it.
    pub given: bool,
    /// Whether the operator keeps it back.
    pub kept: bool,
    /// Its canonical octets.
    pub stanza: Bytes,
}

impl Record {
    /// The write that keeps it.
    pub fn write(&self, space: Space, number: u64) -> Write {
        Write { space, key: key(number), value: Some(self.encode()) }
    }

    fn encode(&self) -> Bytes {
        let mut octets = Vec::with_capacity(self.stanza.len() + self.peer.len() + 24);
        octets.put_u8(VERSION);
        let marks = [
            (OWN, self.own),
            (ROUTED, self.route.is_some()),
            (FOR_RATE, self.bits_per_second_min.is_some()),
            (GIVEN, self.given),
            (KEPT, self.kept),
        ];
        octets.put_u8(marks.iter().filter(|(_, set)| *set).fold(0, |flags, (mark, _)| flags | mark));
        octets.put_u64(self.since.unix_micros());
        octets.put_u64(self.life.map_or(0, |life| u64::try_from(life.as_micros()).unwrap_or(u64::MAX).max(1)));
        octets.put_i8(self.priority.value());
        put_name(&mut octets, &self.peer);
        if let Some(route) = &self.route {
            put_name(&mut octets, route);
        }
        if let Some(rate) = self.bits_per_second_min {
            octets.put_u32(rate);
        }
        octets.put_slice(&self.stanza);
        octets.into()
    }

    /// Reads a row's value.
    ///
    /// # Errors
    /// It is cut off, of another version, or names no possible precedence.
    pub fn decode(value: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(value);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(WireError::OutOfRange { field: "version", value: version.into() });
        }
        let flags = reader.u8()?;
        let since = WallTime::from_unix_micros(reader.u64()?);
        let life = Some(reader.u64()?).filter(|micros| *micros > 0).map(Duration::from_micros);
        let priority = MtPriority::try_from(reader.u8()?.cast_signed())?;
        let peer = read_name(&mut reader)?;
        let has = |mark: u8| flags & mark != 0;
        let route = has(ROUTED).then(|| read_name(&mut reader)).transpose()?;
        let bits_per_second_min = has(FOR_RATE).then(|| reader.u32()).transpose()?;
        let stanza = value.slice(reader.offset()..);
        let (own, given, kept) = (has(OWN), has(GIVEN), has(KEPT));
        Ok(Self { peer, since, life, priority, own, route, bits_per_second_min, given, kept, stanza })
    }
}

fn put_name(octets: &mut Vec<u8>, name: &str) {
    let name = name.as_bytes();
    octets.put_u16(u16::try_from(name.len()).unwrap_or(u16::MAX));
    octets.put_slice(name.get(..usize::from(u16::MAX)).unwrap_or(name));
}

fn read_name(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let length = usize::from(reader.u16()?);
    Ok(String::from_utf8_lossy(reader.take(length)?).into_owned())
}

/// The key of a number.
pub fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// The number of a key.
pub fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// The write that forgets a row.
pub fn forget(space: Space, number: u64) -> Write {
    Write { space, key: key(number), value: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_sort_as_numbers_and_are_read_back() {
        assert!(key(255) < key(256));
        assert_eq!(number(&key(7)), Some(7));
        assert_eq!(number(b"x"), None);
        let record = Record {
            peer: "field".into(),
            since: WallTime::from_unix_seconds(1_900_000_000),
            life: Some(Duration::from_secs(60)),
            priority: MtPriority::try_from(-4).unwrap(),
            own: true,
            route: None,
            bits_per_second_min: None,
            given: false,
            kept: false,
            stanza: Bytes::from_static(b"<message to='a@b'/>"),
        };
        let ordered = Record {
            route: Some("sat".into()),
            bits_per_second_min: Some(64_000),
            given: true,
            kept: true,
            own: false,
            ..record.clone()
        };
        for record in [record, ordered] {
            let write = record.write(Space::ChatOut, 1);
            assert_eq!(Record::decode(&write.value.unwrap()), Ok(record));
        }
    }

    proptest! {
        #[test]
        fn no_row_makes_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let value = Bytes::from(octets);
            if let Ok(record) = Record::decode(&value) {
                prop_assert_eq!(Record::decode(&record.encode()).unwrap(), record);
            }
        }
    }
}

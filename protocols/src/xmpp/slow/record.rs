//! The rows that a session of the profile `skywave` keeps on disk.
//!
//! | key | value |
//! |---|---|
//! | `I` | this side's instance |
//! | `E` context | the last epoch begun |
//! | `A` context | all numbers below it are acknowledged |
//! | `N` context | blocks with numbers below it may have left unsaved |
//! | `B` context number | a block: rows, ids that stayed here, parts, text |
//! | `F` context | a stanza of which not all is in blocks |
//! | `R` context | what is stored of the peer |
//!
//! All numbers are big-endian; each value is opened by its version.

use super::short_id::{Kept, Place};
use super::symbols::Part;
use crate::bytes::{BufMut as _, Bytes, Reader, WireError};

const VERSION: u8 = 1;

/// A key, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Key {
    Instance,
    Epoch(u8),
    Acknowledged(u8),
    Reserved(u8),
    Block(u8, u32),
    Fragment(u8),
    Received(u8),
}

/// A part of a block: how long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cut {
    /// Octets of it.
    pub(super) octets: usize,
    /// Whether the stanza begins here.
    pub(super) begins: bool,
    /// Whether it ends here.
    pub(super) ends: bool,
}

/// What a block is made of. It never changes: the same number always carries the same text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Composition {
    /// MT-PRIORITY of the highest stanza.
    pub(super) priority: i8,
    /// Rows of stanzas that end here.
    pub(super) rows: Vec<u64>,
    /// Ids that stayed here.
    pub(super) kept: Vec<Kept>,
    /// Where stanzas begin and end.
    pub(super) cuts: Vec<Cut>,
    /// The text of all.
    pub(super) text: Vec<u8>,
    /// Octets of the stanzas before anything was done; only for the console, not on disk.
    pub(super) raw: usize,
    /// It has nothing but what may be lost with this side, and leaves without being saved; not on disk.
    pub(super) passes: bool,
    /// It has nothing but that and stanzas whose rows are saved with it, and leaves meanwhile; not on disk.
    pub(super) joins: bool,
}

/// A stanza of which not all is in blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fragment {
    /// Its row.
    pub(super) row: u64,
    /// Its MT-PRIORITY.
    pub(super) priority: i8,
    /// What is left of it.
    pub(super) text: Vec<u8>,
}

/// What is stored of one context of the peer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Received {
    /// The peer's instance.
    pub(super) instance: u32,
    /// The last epoch read.
    pub(super) epoch: u16,
    /// All numbers below it are stored.
    pub(super) next: u32,
    /// The beginning of a stanza that goes on, and where it stands.
    pub(super) partial: Option<(u32, Vec<u8>)>,
    /// Instances before this one.
    pub(super) retired: Vec<u32>,
}

impl Composition {
    /// The parts, for the alphabet.
    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let mut at = 0;
        let part = |cut: &Cut| {
            let text = self.text.get(at..at + cut.octets).unwrap_or_default();
            at += cut.octets;
            Part { text, begins: cut.begins, ends: cut.ends }
        };
        self.cuts.iter().map(part).collect()
    }

    pub(super) fn octets(&self) -> Bytes {
        let mut out = vec![VERSION, self.priority.to_be_bytes()[0]];
        put_count(&mut out, self.rows.len());
        self.rows.iter().for_each(|row| out.put_u64(*row));
        put_count(&mut out, self.kept.len());
        for kept in &self.kept {
            out.put_u16(kept.place.index);
            put_text(&mut out, kept.from.as_bytes());
            put_text(&mut out, kept.id.as_bytes());
        }
        put_count(&mut out, self.cuts.len());
        for cut in &self.cuts {
            put_count(&mut out, cut.octets);
            out.push(u8::from(cut.begins) | u8::from(cut.ends) << 1);
        }
        out.extend_from_slice(&self.text);
        out.into()
    }

    pub(super) fn read(octets: &[u8], context: u8, number: u32) -> Result<Self, WireError> {
        let mut reader = open(octets)?;
        let [priority] = [reader.u8()?].map(|octet| i8::from_be_bytes([octet]));
        let mut read = Self { priority, ..Self::default() };
        for _ in 0..reader.u32()? {
            read.rows.push(reader.u64()?);
        }
        for _ in 0..reader.u32()? {
            let place = Place { context, number, index: reader.u16()? };
            let (from, id) = (text(&mut reader)?, text(&mut reader)?);
            read.kept.push(Kept { place, from, id });
        }
        let mut length = 0;
        for _ in 0..reader.u32()? {
            let octets = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
            let flags = reader.u8()?;
            length += octets;
            read.cuts.push(Cut { octets, begins: flags & 1 != 0, ends: flags & 2 != 0 });
        }
        read.text = reader.take(length)?.to_vec();
        reader.finish()?;
        Ok(read)
    }
}

impl Fragment {
    pub(super) fn octets(&self) -> Bytes {
        let mut out = vec![VERSION, self.priority.to_be_bytes()[0]];
        out.put_u64(self.row);
        out.extend_from_slice(&self.text);
        out.into()
    }

    pub(super) fn read(octets: &[u8]) -> Result<Self, WireError> {
        let mut reader = open(octets)?;
        let priority = i8::from_be_bytes([reader.u8()?]);
        Ok(Self { priority, row: reader.u64()?, text: reader.rest().to_vec() })
    }
}

impl Received {
    pub(super) fn octets(&self) -> Bytes {
        let mut out = vec![VERSION];
        out.put_u32(self.instance);
        out.put_u16(self.epoch);
        out.put_u32(self.next);
        put_count(&mut out, self.retired.len());
        self.retired.iter().for_each(|instance| out.put_u32(*instance));
        if let Some((number, text)) = &self.partial {
            out.put_u32(*number);
            out.extend_from_slice(text);
        }
        out.into()
    }

    pub(super) fn read(octets: &[u8]) -> Result<Self, WireError> {
        let mut reader = open(octets)?;
        let (instance, epoch, next) = (reader.u32()?, reader.u16()?, reader.u32()?);
        let mut retired = Vec::new();
        for _ in 0..reader.u32()? {
            retired.push(reader.u32()?);
        }
        let partial = match reader.left() {
            0 => None,
            _ => Some((reader.u32()?, reader.rest().to_vec())),
        };
        Ok(Self { instance, epoch, next, partial, retired })
    }
}

impl Key {
    pub(super) fn octets(self) -> Vec<u8> {
        match self {
            Self::Instance => vec![b'I'],
            Self::Epoch(context) => vec![b'E', context],
            Self::Acknowledged(context) => vec![b'A', context],
            Self::Reserved(context) => vec![b'N', context],
            Self::Block(context, number) => [&[b'B', context][..], &number.to_be_bytes()].concat(),
            Self::Fragment(context) => vec![b'F', context],
            Self::Received(context) => vec![b'R', context],
        }
    }

    pub(super) fn read(octets: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(octets);
        let key = match reader.u8()? {
            b'I' => Self::Instance,
            b'E' => Self::Epoch(reader.u8()?),
            b'A' => Self::Acknowledged(reader.u8()?),
            b'N' => Self::Reserved(reader.u8()?),
            b'B' => Self::Block(reader.u8()?, reader.u32()?),
            b'F' => Self::Fragment(reader.u8()?),
            b'R' => Self::Received(reader.u8()?),
            letter => return Err(WireError::OutOfRange { field: "row", value: letter.into() }),
        };
        reader.finish()?;
        Ok(key)
    }
}

/// A number on its own.
pub(super) fn number_octets(number: u32) -> Bytes {
    let mut out = vec![VERSION];
    out.put_u32(number);
    out.into()
}

/// Reads a number on its own.
///
/// # Errors
/// Another layout.
pub(super) fn read_number(octets: &[u8]) -> Result<u32, WireError> {
    let mut reader = open(octets)?;
    let number = reader.u32()?;
    reader.finish()?;
    Ok(number)
}

fn open(octets: &[u8]) -> Result<Reader<'_>, WireError> {
    let mut reader = Reader::new(octets);
    match reader.u8()? {
        VERSION => Ok(reader),
        version => Err(WireError::OutOfRange { field: "version", value: version.into() }),
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_count(out, text.len());
    out.extend_from_slice(text);
}

fn text(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let length = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
    Ok(String::from_utf8_lossy(reader.take(length)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_as_they_were_written() {
        for key in [
            Key::Instance,
            Key::Epoch(1),
            Key::Acknowledged(2),
            Key::Reserved(6),
            Key::Block(3, 0x0102_0304),
            Key::Fragment(4),
            Key::Received(5),
        ] {
            assert_eq!(Key::read(&key.octets()), Ok(key));
        }
        assert!(Key::read(b"X").is_err() && Key::read(b"").is_err() && Key::read(b"Ix").is_err());
        assert_eq!(read_number(&number_octets(77)), Ok(77));
        let place = Place { context: 3, number: 9, index: 1 };
        let composition = Composition {
            priority: -4,
            rows: vec![1, u64::MAX],
            kept: vec![Kept { place, from: "a@x".to_owned(), id: "i d".to_owned() }],
            cuts: vec![Cut { octets: 2, begins: false, ends: true }, Cut { octets: 3, begins: true, ends: false }],
            text: b"abcde".to_vec(),
            raw: 0,
            passes: false,
            joins: false,
        };
        let octets = composition.octets();
        assert_eq!(Composition::read(&octets, 3, 9), Ok(composition.clone()));
        (0..octets.len()).for_each(|end| assert!(Composition::read(&octets[..end], 3, 9).is_err()));
        let parts = composition.parts();
        assert_eq!((parts[0].text, parts[1].text), (&b"ab"[..], &b"cde"[..]));
        let fragment = Fragment { row: 6, priority: 4, text: b"rest".to_vec() };
        assert_eq!(Fragment::read(&fragment.octets()), Ok(fragment));
        let received =
            Received { instance: 1, epoch: 2, next: 3, partial: Some((2, b"<mess".to_vec())), retired: vec![7, 8] };
        assert_eq!(Received::read(&received.octets()), Ok(received.clone()));
        let received = Received { partial: None, ..received };
        assert_eq!(Received::read(&received.octets()), Ok(received));
    }
}

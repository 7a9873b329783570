//! What is written to the disk, row by row: a kind, two addresses, and a value of length-prefixed parts.

/// The kind of a row: the first octet of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum RowKind {
    /// What a far contact shows a local subscriber.
    Contact,
    /// What a local client showed a far subscriber.
    Sent,
    /// A local user's seat in a far room.
    Seat,
}

impl RowKind {
    const fn octet(self) -> u8 {
        match self {
            Self::Contact => b'c',
            Self::Sent => b's',
            Self::Seat => b'r',
        }
    }
}

/// A row's key.
pub(super) fn key(kind: RowKind, pair: &super::body::Pair) -> Vec<u8> {
    [&[kind.octet()], pair.0.as_bytes(), b"\0", pair.1.as_bytes()].concat()
}

/// The parts of a key.
pub(super) fn parse(octets: &[u8]) -> Option<(RowKind, &str, &str)> {
    let (first, rest) = octets.split_first()?;
    let kind = [RowKind::Contact, RowKind::Sent, RowKind::Seat].into_iter().find(|kind| kind.octet() == *first)?;
    let (one, other) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
    Some((kind, one, other))
}

/// Writes parts.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn part(&mut self, octets: &[u8]) -> &mut Self {
        let length = u16::try_from(octets.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(octets.get(..usize::from(length)).unwrap_or_default());
        self
    }

    pub(super) fn finish(&mut self) -> bytes::Bytes {
        std::mem::take(&mut self.0).into()
    }
}

/// Reads parts.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    pub(super) fn part(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (part, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.0 = rest;
        Some(part)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

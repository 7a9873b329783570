//! Reading and writing octets: one bounds-checked reader and a few writers for all binary layouts.
//!
//! Promises: no function panics on any input; every error carries the octet offset at which it was met. All
//! multi-octet integers are big-endian, as in STANAG 5066 and ACP 142.

pub use ::bytes::{Buf, BufMut, Bytes, BytesMut};

/// Why octets could not be read as the layout demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// The input ends before the field does.
    #[error("octet {offset}: {needed} more octets needed, {left} left")]
    Truncated {
        /// Where the field begins.
        offset: usize,
        /// Octets the field needs.
        needed: usize,
        /// Octets that are left.
        left: usize,
    },
    /// A field has a value outside its range.
    #[error("{field} cannot be {value}")]
    OutOfRange {
        /// The field's name in the fact sheet.
        field: &'static str,
        /// The value met.
        value: u64,
    },
    /// Octets follow where the layout ends.
    #[error("octet {offset}: {left} octets too many")]
    Trailing {
        /// Where the layout ends.
        offset: usize,
        /// Octets that follow.
        left: usize,
    },
}

/// Reads fields from a slice, front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    octets: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first octet.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { octets, offset: 0 }
    }

    /// Octets read so far.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Octets left.
    pub const fn left(&self) -> usize {
        self.octets.len() - self.offset
    }

    /// Takes `count` octets.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let rest = self.octets.get(self.offset..).unwrap_or_default();
        let Some(taken) = rest.get(..count) else {
            return Err(WireError::Truncated { offset: self.offset, needed: count, left: rest.len() });
        };
        self.offset += count;
        Ok(taken)
    }

    /// Takes all octets that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.octets.get(self.offset..).unwrap_or_default();
        self.offset = self.octets.len();
        rest
    }

    /// One octet.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end of input; so for the other integers.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two octets, highest first.
    ///
    /// # Errors
    /// See [`Reader::u8`].
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four octets, highest first.
    ///
    /// # Errors
    /// See [`Reader::u8`].
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight octets, highest first.
    ///
    /// # Errors
    /// See [`Reader::u8`].
    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`WireError::Trailing`] when octets are left.
    pub const fn finish(self) -> Result<(), WireError> {
        match self.left() {
            0 => Ok(()),
            left => Err(WireError::Trailing { offset: self.offset, left }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

/// Octets as lower-case hex, two digits an octet, no blanks.
pub fn hex(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Octets from hex digits; blanks and line ends are skipped. `None` on any other character or an odd count.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_to_the_end_and_not_beyond() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.u16(), Err(WireError::Truncated { offset: 7, needed: 2, left: 0 }));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn hex_round_trip() {
        assert_eq!(unhex("90 eb\n00"), Some(vec![0x90, 0xeb, 0]));
        assert_eq!(hex(&[0x90, 0xeb, 0]), "90eb00");
        assert_eq!(unhex("9"), None);
        assert_eq!(unhex("zz"), None);
    }
}

//! Cuts a unit that does not fit one U_PDU into segments, with its length in front.
//!
//! RCOP and UDOP have no end mark, so the unit says its length itself: 4 octets, highest first, counted without them
//! (ours, defaults.md). [`super::reassembly::Reassembly`] is the other end.

use super::limits::SEGMENTS_MAX;
use crate::bytes::{BufMut, Bytes, BytesMut};

/// Octets of the length in front of a unit.
pub const LENGTH_OCTETS: usize = 4;

/// Why a unit cannot be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SegmentFault {
    /// It would need more segments than can be numbered.
    #[error("{octets} octets need more than 65,536 segments of {segment_octets}")]
    TooLarge {
        /// Octets of the unit.
        octets: usize,
        /// Octets of a segment.
        segment_octets: usize,
    },
}

/// A unit with its length in front, cut into segments.
#[derive(Clone, Debug)]
pub struct Segments {
    octets: Bytes,
    segment_octets: usize,
}

impl Segments {
    /// Cuts `unit` into segments of at most `segment_octets`.
    ///
    /// # Errors
    /// [`SegmentFault::TooLarge`] when 16 bits cannot number the segments, or 32 bits its octets.
    //= s5066/RCOP-003
    pub fn new(unit: &[u8], segment_octets: usize) -> Result<Self, SegmentFault> {
        let too_large = SegmentFault::TooLarge { octets: unit.len(), segment_octets };
        let length = u32::try_from(unit.len()).map_err(|_| too_large)?;
        if segment_octets == 0 || (unit.len() + LENGTH_OCTETS).div_ceil(segment_octets) > SEGMENTS_MAX {
            return Err(too_large);
        }
        let mut octets = BytesMut::with_capacity(LENGTH_OCTETS + unit.len());
        octets.put_u32(length);
        octets.put_slice(unit);
        Ok(Self { octets: octets.freeze(), segment_octets })
    }

    /// How many segments.
    pub fn count(&self) -> usize {
        self.octets.len().div_ceil(self.segment_octets)
    }

    /// Segment `number`; `None` behind the last.
    pub fn segment(&self, number: u16) -> Option<Bytes> {
        let start = usize::from(number) * self.segment_octets;
        let end = (start + self.segment_octets).min(self.octets.len());
        (start < end).then(|| self.octets.slice(start..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts() {
        let segments = Segments::new(b"HELLO WORLD", 6).unwrap();
        assert_eq!(segments.count(), 3);
        assert_eq!(segments.segment(0).unwrap(), &b"\0\0\0\x0bHE"[..]);
        assert_eq!(segments.segment(1).unwrap(), &b"LLO WO"[..]);
        assert_eq!(segments.segment(2).unwrap(), &b"RLD"[..]);
        assert_eq!(segments.segment(3), None);
        let empty = Segments::new(b"", 2042).unwrap();
        assert_eq!((empty.count(), empty.segment(0).unwrap()), (1, Bytes::from_static(&[0; 4])));
    }

    #[test]
    fn refuses_what_cannot_be_numbered() {
        assert!(Segments::new(b"", 0).is_err());
        assert_eq!(Segments::new(&[0; 65_532], 1).unwrap().count(), 65_536);
        assert!(Segments::new(&[0; 65_533], 1).is_err());
    }
}

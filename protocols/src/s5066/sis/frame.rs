//! Cuts the octet stream of a SIS socket into frames (A.2.2.2, fact sheet 1.2).
//!
//! Preamble `90 EB`, version 0, size (16 bits, counts what follows), type, body. Promises: never holds more than
//! one unfinished frame and what was pushed last; a fault is final, because nothing tells where the next frame
//! begins. The size is checked against the type before the body is waited for, so that a wrong length cannot make
//! us wait for octets that never come.

use std::ops::RangeInclusive;

use super::fault::SisFault;
use super::limits::FRAME_HEADER_OCTETS;
use crate::bytes::{Buf, Bytes, BytesMut};

/// The Maury-Styles word 0xEB90, low octet first.
pub const PREAMBLE: [u8; 2] = [0x90, 0xeb];
/// The version of Edition 3.
pub const VERSION: u8 = 0;

/// One frame: the type octet and the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// All octets, from the preamble on.
    pub octets: Bytes,
}

impl Frame {
    /// The type octet.
    pub fn kind(&self) -> u8 {
        self.octets.get(FRAME_HEADER_OCTETS).copied().unwrap_or_default()
    }

    /// What follows the type octet.
    pub fn body(&self) -> Bytes {
        self.octets.slice((FRAME_HEADER_OCTETS + 1).min(self.octets.len())..)
    }
}

/// Collects octets and yields whole frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
    fault: Option<SisFault>,
}

impl FrameReader {
    /// An empty reader at the begin of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds octets. After a fault they are dropped.
    pub fn push(&mut self, octets: &[u8]) {
        if self.fault.is_none() {
            self.buffer.extend_from_slice(octets);
        }
    }

    /// The next whole frame; `None` when more octets are needed or the stream is broken.
    ///
    /// # Errors
    /// The fault that ends the stream, once; the pipe must be closed.
    pub fn next_frame(&mut self) -> Option<Result<Frame, SisFault>> {
        if self.fault.is_some() {
            return None;
        }
        match frame_octets(&self.buffer) {
            Ok(Some(octets)) if self.buffer.len() >= octets => {
                Some(Ok(Frame { octets: self.buffer.split_to(octets).freeze() }))
            }
            Ok(_) => None,
            Err(fault) => {
                self.fault = Some(fault);
                self.buffer.advance(self.buffer.len());
                Some(Err(fault))
            }
        }
    }

    /// Whether a frame has begun and is not whole.
    pub fn is_inside_frame(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// Octets of the frame at the start of `octets`, as soon as its header is there.
//= s5066/SIS-001
fn frame_octets(octets: &[u8]) -> Result<Option<usize>, SisFault> {
    for (&octet, &wanted) in octets.iter().zip(&PREAMBLE) {
        if octet != wanted {
            return Err(SisFault::Preamble(octet));
        }
    }
    if let Some(&version) = octets.get(2)
        && version != VERSION
    {
        return Err(SisFault::Version(version));
    }
    let &[_, _, _, high, low, ref rest @ ..] = octets else { return Ok(None) };
    let size = u16::from_be_bytes([high, low]);
    if size == 0 {
        return Err(SisFault::Size { kind: 0, size });
    }
    if let Some(&kind) = rest.first()
        && !sizes(kind).contains(&size)
    {
        return Err(SisFault::Size { kind, size });
    }
    Ok(Some(FRAME_HEADER_OCTETS + usize::from(size)))
}

/// Values of the size field that a primitive of this type can have.
//= s5066/SIS-002
const fn sizes(kind: u8) -> RangeInclusive<u16> {
    match kind {
        2 | 15 | 16 | 17 => 1..=1,
        4 | 5 => 2..=2,
        14 => 3..=3,
        1 | 3 => 4..=4,
        7 => 5..=5,
        6 | 12 => 6..=6,
        8..=11 | 13 => 7..=7,
        18 | 19 => 2..=u16::MAX,
        20 | 24 => 12..=u16::MAX,
        21 | 25 => 13..=u16::MAX,
        22 | 23 | 26 | 27 => 8..=u16::MAX,
        _ => 1..=u16::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8], chunk: usize) -> Vec<Result<Vec<u8>, SisFault>> {
        let (mut reader, mut frames) = (FrameReader::new(), Vec::new());
        for chunk in octets.chunks(chunk) {
            reader.push(chunk);
            while let Some(frame) = reader.next_frame() {
                frames.push(frame.map(|frame| frame.octets.to_vec()));
            }
        }
        frames
    }

    #[test]
    fn any_cut_gives_the_same_frames() {
        let stream =
            [[0x90, 0xeb, 0, 0, 1, 17].as_slice(), &[0x90, 0xeb, 0, 0, 2, 5, 1], &[0x90, 0xeb, 0, 0, 1]].concat();
        let whole = read(&stream, stream.len());
        assert_eq!(whole, [Ok(vec![0x90, 0xeb, 0, 0, 1, 17]), Ok(vec![0x90, 0xeb, 0, 0, 2, 5, 1])]);
        for chunk in 1..stream.len() {
            assert_eq!(read(&stream, chunk), whole, "{chunk}");
        }
    }

    #[test]
    fn what_breaks_a_stream_does_so_at_once_and_for_ever() {
        let table: [(&[u8], SisFault); 8] = [
            (&[0x91], SisFault::Preamble(0x91)),
            (&[0x90, 0xea], SisFault::Preamble(0xea)),
            (&[0x90, 0xeb, 1], SisFault::Version(1)),
            (&[0x90, 0xeb, 0, 0, 0], SisFault::Size { kind: 0, size: 0 }),
            (&[0x90, 0xeb, 0, 0xff, 0xff, 17], SisFault::Size { kind: 17, size: 0xffff }),
            (&[0x90, 0xeb, 0, 0, 3, 3], SisFault::Size { kind: 3, size: 3 }),
            (&[0x90, 0xeb, 0, 0, 11, 20], SisFault::Size { kind: 20, size: 11 }),
            (&[0x90, 0xeb, 0, 0, 12, 21], SisFault::Size { kind: 21, size: 12 }),
        ];
        for (octets, fault) in table {
            let mut reader = FrameReader::new();
            reader.push(octets);
            assert_eq!(reader.next_frame(), Some(Err(fault)));
            reader.push(&[0x90, 0xeb, 0, 0, 1, 17]);
            assert_eq!(reader.next_frame(), None);
            assert!(!reader.is_inside_frame());
        }
    }

    #[test]
    fn the_largest_frame_passes() {
        let mut octets = vec![0x90, 0xeb, 0, 0xff, 0xff, 99];
        octets.resize(FRAME_HEADER_OCTETS + 0xffff, 0);
        assert_eq!(read(&octets, 1000), [Ok(octets.clone())]);
    }
}

//! The two CRCs of a D_PDU (C.3.2.8, C.3.2.11, fact sheet 4.3).
//!
//! Both take each octet with its lowest bit first, begin at 0 and end without a final exclusive or.

use crc::{Algorithm, Crc};

const HEADER_ALGORITHM: Algorithm<u16> =
    Algorithm { width: 16, poly: 0x9949, init: 0, refin: true, refout: true, xorout: 0, check: 0, residue: 0 };
const SEGMENT_ALGORITHM: Algorithm<u32> =
    Algorithm { width: 32, poly: 0x0aa7_25cf, init: 0, refin: true, refout: true, xorout: 0, check: 0, residue: 0 };

static HEADER: Crc<u16> = Crc::<u16>::new(&HEADER_ALGORITHM);
static SEGMENT: Crc<u32> = Crc::<u32>::new(&SEGMENT_ALGORITHM);

/// The CRC of a header, from behind the sync octets to before the CRC, as it stands in the frame: low octet first.
//= s5066/DTS-002
pub(super) fn header(octets: &[u8]) -> [u8; 2] {
    HEADER.checksum(octets).to_le_bytes()
}

/// The CRC of a segment as it stands in the frame: low octet first.
//= s5066/DTS-002
pub(super) fn segment(octets: &[u8]) -> [u8; 4] {
    SEGMENT.checksum(octets).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as the fact sheet words it.
    fn slow(octets: &[u8], polynomial: u32) -> u32 {
        octets.iter().flat_map(|octet| (0..8).map(move |bit| u32::from(octet >> bit & 1))).fold(0, |crc, bit| {
            let feedback = crc & 1 ^ bit;
            crc >> 1 ^ if feedback == 1 { polynomial } else { 0 }
        })
    }

    #[test]
    fn the_worked_example_and_the_words() {
        let example = [0xf0, 0x00, 0x00, 0x47, 0x05, 0x64, 0x02];
        assert_eq!(header(&example), [0x5f, 0x1e]);
        assert_eq!(segment(&example), [0x95, 0x8f, 0x17, 0xf4]);
        assert_eq!((header(&[]), segment(&[])), ([0; 2], [0; 4]));
        let octets: Vec<u8> = (0..=255).collect();
        assert_eq!(u32::from(u16::from_le_bytes(header(&octets))), slow(&octets, 0x9299));
        assert_eq!(u32::from_le_bytes(segment(&octets)), slow(&octets, 0xf3a4_e550));
    }
}

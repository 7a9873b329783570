//! The two checksums met in practice: Fletcher (ISO 8073), which is sent by default, and the Internet checksum.
//!
//! Both stand in octets 6 and 7 and cover the PDU to its Length_of_PDU. Neither guards against intent.

use serde::{Deserialize, Serialize};

/// Offset of the checksum in every PDU.
const OFFSET: usize = 6;

/// Which checksum is sent. Both are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// Fletcher, ISO 8073 style (ACP 142 annex B as implemented).
    #[default]
    Fletcher,
    /// RFC 1071.
    Internet,
}

impl Checksum {
    /// Writes the checksum into a whole PDU; a PDU shorter than 8 octets is left alone.
    pub fn seal(self, pdu: &mut [u8]) {
        if pdu.len() < OFFSET + 2 {
            return;
        }
        pdu[OFFSET..OFFSET + 2].fill(0);
        let sum = match self {
            Self::Fletcher => fletcher(pdu),
            Self::Internet => internet(pdu),
        };
        pdu[OFFSET..OFFSET + 2].copy_from_slice(&sum);
    }

    /// Which checksum of a whole PDU is right, if one is.
    pub fn of(pdu: &[u8]) -> Option<Self> {
        //= acp142/PMUL-011
        let (c0, c1) = sums(pdu.iter().copied());
        if (c0, c1) == (0, 0) {
            return Some(Self::Fletcher);
        }
        (internet_sum(pdu) == 0xffff).then_some(Self::Internet)
    }
}

/// The running sums of Fletcher's checksum, modulo 255.
fn sums(octets: impl Iterator<Item = u8>) -> (u32, u32) {
    octets.fold((0, 0), |(c0, c1), octet| {
        let c0 = (c0 + u32::from(octet)) % 255;
        (c0, (c1 + c0) % 255)
    })
}

//= acp142/PMUL-010
fn fletcher(pdu: &[u8]) -> [u8; 2] {
    let (c0, c1) = sums(pdu.iter().copied());
    let k = ((pdu.len() - OFFSET - 1) % 255) as u32;
    let first = (k * c0 + 255 - c1) % 255;
    let second = (c1 + 255 * 255 - (k + 1) * c0 % 255) % 255;
    [first as u8, second as u8]
}

fn internet(pdu: &[u8]) -> [u8; 2] {
    (!internet_sum(pdu)).to_be_bytes()
}

fn internet_sum(pdu: &[u8]) -> u16 {
    let words = pdu.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low)));
    let mut sum: u32 = words.sum(); // at most 32,768 words of 16 bits
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_is_accepted_and_one_flipped_bit_is_not() {
        for length in [16usize, 17, 255, 256, 300, 2042] {
            for algorithm in [Checksum::Fletcher, Checksum::Internet] {
                let mut pdu: Vec<u8> = (0..length).map(|i| (i * 7 + 3) as u8).collect();
                algorithm.seal(&mut pdu);
                assert_eq!(Checksum::of(&pdu), Some(algorithm), "{length} octets");
                pdu[9] ^= 0x10;
                assert_eq!(Checksum::of(&pdu), None, "{length} octets, flipped");
            }
        }
    }

    #[test]
    fn too_short_is_left_alone() {
        let mut pdu = [1, 2, 3];
        Checksum::Fletcher.seal(&mut pdu);
        assert_eq!(pdu, [1, 2, 3]);
    }
}

//! Deflate and inflate, and the BER wrapper of STANAG 4406 Annex E around a zlib stream ([`cdt`]).
//!
//! Promises: [`inflate`] is the only way in this house from compressed octets to plain ones; it stops at a cap of octets
//! and of ratio, whatever the input claims, and holds no more than the cap. The Adler-32 of the stream is checked.
//! Refuses: streams that end early, do not end, or are followed by anything. Limits: the caller's cap,
//! [`RATIO_MAX`], [`RATIO_FREE_OCTETS`].

pub mod cdt;

use std::io::Write as _;

use flate2::{Compression, Decompress, FlushDecompress, Status, write::ZlibEncoder};

use crate::fault::{Blame, Fault, Next};

/// Octets out per octet in beyond which a stream is taken for a bomb.
pub const RATIO_MAX: usize = 250;
/// Up to this many octets the ratio does not matter.
pub const RATIO_FREE_OCTETS: usize = 1 << 20;
/// Octets inflated at a time.
const STEP_OCTETS: usize = 32 << 10;

/// Why octets could not be inflated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompressFault {
    /// Not a zlib stream, or a damaged one.
    #[error("the zlib stream is damaged at octet {offset}")]
    Damaged {
        /// Octets that were good.
        offset: usize,
    },
    /// The input ended before the stream.
    #[error("the zlib stream ends early, after {octets} octets")]
    Truncated {
        /// Octets of input.
        octets: usize,
    },
    /// More than the caller takes, or a ratio that no mail has.
    #[error("the zlib stream holds more than {cap} octets")]
    TooLarge {
        /// What was allowed.
        cap: usize,
    },
    /// Octets behind the end of the stream.
    #[error("{octets} octets follow the zlib stream")]
    Trailing {
        /// How many.
        octets: usize,
    },
    /// The stream wants a preset dictionary.
    #[error("the zlib stream needs a dictionary")]
    Dictionary,
}

impl Fault for CompressFault {
    fn blame(&self) -> Blame {
        Blame::Peer
    }

    fn next(&self) -> Next {
        Next::Ignore
    }
}

/// Inflates one whole zlib stream (RFC 1950) of at most `cap` octets.
///
/// # Errors
/// [`CompressFault`]; nothing of the stream is returned then.
pub fn inflate(input: &[u8], cap: usize) -> Result<Vec<u8>, CompressFault> {
    //= cdt/CDT-008
    let cap = cap.min(input.len().saturating_mul(RATIO_MAX).max(RATIO_FREE_OCTETS));
    let mut stream = Decompress::new(true);
    let mut plain = Vec::new();
    let mut step = vec![0; STEP_OCTETS.min(cap + 1)];
    let mut used = 0;
    loop {
        let (before_in, before_out) = (stream.total_in(), stream.total_out());
        let status = stream.decompress(input.get(used..).unwrap_or_default(), &mut step, FlushDecompress::None);
        let status = status.map_err(|error| match error.needs_dictionary() {
            Some(_) => CompressFault::Dictionary,
            None => CompressFault::Damaged { offset: used },
        })?;
        let taken = usize::try_from(stream.total_in() - before_in).unwrap_or(usize::MAX);
        let given = usize::try_from(stream.total_out() - before_out).unwrap_or(usize::MAX);
        used = used.saturating_add(taken);
        if plain.len() + given > cap {
            return Err(CompressFault::TooLarge { cap });
        }
        plain.extend_from_slice(step.get(..given).unwrap_or_default());
        match status {
            //= cdt/CDT-006
            Status::StreamEnd if used < input.len() => {
                return Err(CompressFault::Trailing { octets: input.len() - used });
            }
            Status::StreamEnd => return Ok(plain),
            Status::Ok | Status::BufError if taken == 0 && given == 0 => {
                return Err(CompressFault::Truncated { octets: input.len() });
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// Deflates into one zlib stream at the best level: airtime costs more than computing.
pub fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut stream = ZlibEncoder::new(Vec::with_capacity(plain.len() / 2 + 64), Compression::best());
    // Writing into a vector does not fail.
    let _ = stream.write_all(plain);
    stream.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random as _, Seeded};

    proptest::proptest! {
        #[test]
        fn round_trip(plain: Vec<u8>) {
            let packed = deflate(&plain);
            proptest::prop_assert_eq!(inflate(&packed, plain.len()), Ok(plain));
        }
    }

    /// Hostile 13.
    #[test]
    fn bombs_stop_at_the_cap() {
        let bomb = deflate(&vec![0; 20 << 20]);
        assert!(bomb.len() < 30_000);
        assert_eq!(inflate(&bomb, 1000), Err(CompressFault::TooLarge { cap: 1000 }));
        let ratio = bomb.len() * RATIO_MAX;
        assert_eq!(inflate(&bomb, usize::MAX), Err(CompressFault::TooLarge { cap: ratio }));
        assert_eq!(inflate(&deflate(&bomb), 1 << 20).map(|inner| inner.len()), Ok(bomb.len()));
        assert_eq!(
            inflate(&deflate(&vec![7; RATIO_FREE_OCTETS]), usize::MAX).map(|plain| plain.len()),
            Ok(RATIO_FREE_OCTETS)
        );
        assert_eq!(inflate(&deflate(b"abc"), 2), Err(CompressFault::TooLarge { cap: 2 }));
        assert_eq!(inflate(&deflate(b""), 0), Ok(Vec::new()));
    }

    /// Hostile 14.
    #[test]
    fn damaged_streams_are_faults() {
        let plain = b"the same words, the same words, the same words".repeat(20);
        let packed = deflate(&plain);
        for end in 0..packed.len() {
            assert_eq!(inflate(&packed[..end], 1 << 20), Err(CompressFault::Truncated { octets: end }));
        }
        let twice = [&packed[..], &packed[..]].concat();
        assert_eq!(inflate(&twice, 1 << 20), Err(CompressFault::Trailing { octets: packed.len() }));
        assert_eq!(inflate(b"not zlib", 100), Err(CompressFault::Damaged { offset: 0 }));
        assert_eq!(inflate(&[0x78, 0xbb, 0, 0, 0, 1], 100), Err(CompressFault::Dictionary));
        let mut random = Seeded::new(1);
        for _ in 0..1000 {
            let mut flipped = packed.clone();
            let at = random.below(packed.len() as u64) as usize;
            flipped[at] ^= 1 << random.below(8);
            // Flips in fields that zlib does not check (the level in the second octet) change nothing of the text.
            assert!(inflate(&flipped, 1 << 20).is_ok_and(|text| text == plain) || inflate(&flipped, 1 << 20).is_err());
        }
    }
}

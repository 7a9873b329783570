//! How large the segments of C_PDUs are on a waveform.
//!
//! A segment is what a FLASH may have to wait for, and what a lost interleaver block costs: so it is short in time; but
//! its header of about 22 octets is to cost little. Where much is lost the data transfer sublayer makes them smaller.

use crate::modem::Waveform;

/// No fewer octets, or the headers would eat the air.
pub(super) const OCTETS_LEAST: usize = 96;
/// What the size field of a D_PDU can say.
const OCTETS_MOST: usize = 1_023;
/// At low rates so many octets whatever their time, for the sake of the headers.
const OCTETS_USUAL: usize = 200;
/// Else so many seconds,
const SECONDS: usize = 5;
/// or interleaver blocks.
const BLOCKS: u64 = 6;

/// Interleaver blocks of a segment that is sent several times.
const REPEATED_BLOCKS: u64 = 2;

/// Octets at most of a segment that is sent several times without ARQ: the loss of a block costs little of a copy.
pub(super) fn repeated_octets(waveform: &Waveform) -> usize {
    let blocks = usize::try_from(waveform.block_bits().saturating_mul(REPEATED_BLOCKS) / 8).unwrap_or(usize::MAX);
    blocks.clamp(OCTETS_LEAST, OCTETS_MOST)
}

/// Octets of an interleaver block: what is lost is lost in blocks.
pub(super) fn block_octets(waveform: &Waveform) -> usize {
    usize::try_from(waveform.block_bits() / 8).unwrap_or(usize::MAX)
}

/// Octets of a segment at most while it is not known how much gets through.
pub(super) fn first_octets(waveform: &Waveform) -> usize {
    (octets(waveform) / 2).max(OCTETS_USUAL.min(octets(waveform)))
}

/// Octets of a segment at most.
pub(super) fn octets(waveform: &Waveform) -> usize {
    let blocks = usize::try_from(waveform.block_bits().saturating_mul(BLOCKS) / 8).unwrap_or(usize::MAX);
    let seconds = (waveform.bits_per_second as usize / 8).saturating_mul(SECONDS);
    seconds.max(blocks).clamp(OCTETS_USUAL, OCTETS_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modem::Interleaver;

    #[test]
    fn segments_grow_with_the_rate() {
        let of = |rate| octets(&Waveform::new(rate, Interleaver::Short).unwrap());
        assert_eq!([75, 300, 1200, 2400, 9600].map(of), [200, 200, 750, 1023, 1023]);
    }
}

//! How large the segments of C_PDUs are on a waveform.
//!
//! A segment is what a FLASH may have to wait for, and what a lost interleaver block costs: so it is short in time; but
//! its header of about 22 octets is to cost little. Where much is lost the data transfer sublayer makes them smaller.

use skywave_protocols::time::Duration;

use crate::modem::Waveform;

/// No fewer octets, or the headers would eat the air.
pub(super) const OCTETS_LEAST: usize = 96;
/// What the size field of a D_PDU can say.
const OCTETS_MOST: usize = 1_023;
/// At low rates so many octets whatever their time, for the sake of the headers: ten of them hold the largest C_PDU of
/// ACP 142.
const OCTETS_USUAL: usize = 210;
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

/// Octets of a D_PDU besides its segment, about.
const HEADER_OCTETS: usize = 22;
/// No fewer octets in the D_PDU with which data begins.
const LEAD_OCTETS_LEAST: usize = 64;

/// Octets at most of the D_PDU with which the data of a transmission begins. The delay of an answer counts from when the
/// first data is heard, so that this is to be heard with the first blocks; but not where a header more costs as much.
pub(super) fn lead_octets(waveform: &Waveform, answer_delay: Duration) -> usize {
    let header = Duration::from_micros(HEADER_OCTETS as u64 * 8_000_000 / u64::from(waveform.bits_per_second.max(1)));
    if header * 2 > answer_delay {
        return usize::MAX;
    }
    usize::try_from(waveform.block_bits() / 8).unwrap_or(usize::MAX).max(LEAD_OCTETS_LEAST)
}

/// Where so many octets or more want the air, the delay of an answer has passed before they are sent, however the first
/// of them are cut.
pub(super) fn lead_unless_octets(waveform: &Waveform, answer_delay: Duration) -> usize {
    let octets_delayed = u128::from(waveform.bits_per_second) * answer_delay.as_micros() / 8_000_000;
    usize::try_from(octets_delayed).unwrap_or(usize::MAX).saturating_add(octets(waveform) + HEADER_OCTETS)
}

/// Octets of a segment at most while it is not known how much gets through.
pub(super) fn first_octets(waveform: &Waveform) -> usize {
    (octets(waveform) / 2).max(OCTETS_USUAL.min(octets(waveform)))
}

/// The same with its header.
pub(super) fn first_d_pdu_octets(waveform: &Waveform) -> usize {
    first_octets(waveform) + HEADER_OCTETS
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
        assert_eq!([75, 300, 1200, 2400, 9600].map(of), [210, 210, 750, 1023, 1023]);
    }

    #[test]
    fn data_begins_with_what_is_heard_early_where_an_answer_takes_its_time() {
        let of = |rate, seconds| {
            lead_octets(&Waveform::new(rate, Interleaver::Short).unwrap(), Duration::from_millis(seconds))
        };
        for (rate, milliseconds, octets) in [
            (75, 2_500, usize::MAX),
            (300, 2_500, LEAD_OCTETS_LEAST),
            (1200, 2_500, 90),
            (1200, 200, usize::MAX),
            (2400, 2_500, 180),
            (9600, 2_500, 1_291),
            (9600, 0, usize::MAX),
        ] {
            assert_eq!(of(rate, milliseconds), octets, "{rate} {milliseconds}");
        }
    }
}

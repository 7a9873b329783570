//! What nobody can be faster than on a radio, whatever software runs on it: the limits beside the chat tables.

use skywave_protocols::s5066::node::dpdu::limits::SEGMENT_OCTETS_MAX;
use skywave_protocols::s5066::node::dts::limits::WINDOW_MAX;
use skywave_transports::modem::limits::TRANSMISSION_SECONDS_MAX;
use skywave_transports::modem::{Interleaver, Waveform};

use super::radio::Radio;
use super::vendor::message_octets;

/// Octets around a message on the air: the framing of D_PDU, C_PDU and S_PDU, and RCOP.
const FRAMING_OCTETS: usize = 30;
/// Octets of a D_PDU besides its segment, checksums included.
const D_PDU_OCTETS: usize = 22;
/// Octets of an acknowledgement.
const ACK_OCTETS: usize = 20;

/// Seconds of a round trip of the published octets without turns and without delays: twice their airtime.
pub(super) fn round_trip(rate: u32, payload: usize) -> Option<f64> {
    let waveform = Waveform::new(rate, Interleaver::Short).ok()?;
    Some(2.0 * waveform.airtime(message_octets(payload) + FRAMING_OCTETS).as_secs_f64())
}

/// The share of the line that one transmission of the longest kind fills, all of it segments of the largest size, as many
/// as a window has, with the two turns and the acknowledgement that belong to it.
pub(super) fn occupancy(radio: Radio, rate: u32) -> Option<f64> {
    let waveform = Waveform::new(rate, Interleaver::Short).ok()?;
    let largest = SEGMENT_OCTETS_MAX + D_PDU_OCTETS;
    let octets = waveform.octets_within(TRANSMISSION_SECONDS_MAX).min(usize::from(WINDOW_MAX) * largest);
    let carried = octets - octets.div_ceil(largest) * D_PDU_OCTETS;
    let seconds = (waveform.airtime(octets) + waveform.airtime(ACK_OCTETS) + radio.turn * 2).as_secs_f64();
    Some(carried as f64 * 8.0 / seconds / f64::from(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The floors of `performance-anchors.md`, section 6.
    #[test]
    fn floors_are_those_of_the_specification() {
        for (rate, seconds) in [(75, 19.5), (1200, 2.7), (9600, 3.0)] {
            let floor = round_trip(rate, 0).unwrap();
            assert!((floor - seconds).abs() < 0.15, "{rate} bit/s: {floor} s");
        }
    }

    #[test]
    fn no_line_is_filled_by_more_than_its_longest_transmission() {
        for (rate, least, most) in [(75, 0.84, 0.90), (1200, 0.91, 0.95), (9600, 0.90, 0.96)] {
            let (paper, modern) = (occupancy(Radio::PAPER, rate).unwrap(), occupancy(Radio::MODERN, rate).unwrap());
            assert!((least..=most).contains(&paper) && paper < modern && modern < 1.0, "{rate}: {paper}, {modern}");
        }
    }
}

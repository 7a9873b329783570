//! The end of a transmission: what each of its D_PDUs announces, and what a hearer makes of it (C.3.2.3).
//!
//! A D_PDU announces the half seconds from its own first octet to the end of the transmission, rounded up; so the
//! numbers of one transmission never rise. Its first octet counts from the start of the interleaver block that holds it.
//! A hearer does not see that first octet: it gets a D_PDU when the interleaver block with its last octet is there, and
//! knows only that it began behind the one before it, and how long it is. So it knows the end within some seconds. Where
//! the carrier ends in that time, the transmission has ended with it. Where it ends sooner, as when it fades or was cut
//! off, the latest end counts: nobody transmits before it.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::node::dpdu::eow::{EowMessage, RATES};
use skywave_protocols::s5066::node::dpdu::{DPdu, decode};
use skywave_protocols::time::{Duration, Instant};

use crate::modem::Waveform;

const HALF_SECOND: Duration = Duration::from_millis(500);

/// Writes into D_PDUs when the transmission ends that takes `airtime` in all; `before` octets of it precede them.
//= s5066/NODE-018
pub(super) fn announce(waveform: &Waveform, airtime: Duration, before: usize, pdus: &mut [DPdu]) {
    let mut octets = before;
    for pdu in pdus {
        let left = airtime.saturating_sub(waveform.begins(octets)).as_micros().div_ceil(HALF_SECOND.as_micros());
        pdu.eot = u8::try_from(left).unwrap_or(u8::MAX);
        octets += pdu.octets();
    }
}

/// When the transmission ends of which a D_PDU has just been heard that began at `begun` or later: not before the first
/// instant, and at the second for certain. At which rate it came is not known here.
pub(super) fn end_heard(begun: Instant, now: Instant, eot: u8) -> (Instant, Instant) {
    let left = HALF_SECOND * u32::from(eot);
    (begun + left.saturating_sub(HALF_SECOND), now + left)
}

/// The rate of a transmission in bit/s, if one of its D_PDUs says it: nodes of ours that change their rate do.
pub(super) fn rate_said(pdu: &DPdu) -> Option<u32> {
    let EowMessage::RateChange(change) = pdu.eow.meaning() else { return None };
    RATES.get(usize::from(change.rate)).copied().filter(|_| change.advisory)
}

/// How long before it was heard a frame of so many octets left at most: its blocks, and one more that it shares with others.
pub(super) fn longest(waveform: &Waveform, octets: usize) -> Duration {
    let blocks = (octets as u64).saturating_mul(8).div_ceil(waveform.block_bits()).saturating_add(1);
    waveform.block.saturating_mul(u32::try_from(blocks).unwrap_or(u32::MAX))
}

/// Whether an instant certainly lies before the end that a D_PDU announced whose first octet left at `begun` or later:
/// what it announces is rounded up to the half second.
pub(super) fn is_before_end(begun: Instant, octets: &Bytes, at: Instant) -> bool {
    let eot = decode(octets).map_or(0, |received| received.pdu.eot);
    at <= begun + (HALF_SECOND * u32::from(eot)).saturating_sub(HALF_SECOND)
}

#[cfg(test)]
mod tests {
    use skywave_protocols::s5066::address::NodeAddress;
    use skywave_protocols::s5066::node::dpdu::{Body, Eow};

    use super::*;
    use crate::modem::Interleaver;

    fn pdu() -> DPdu {
        let address = NodeAddress::individual;
        DPdu {
            eow: Eow::default(),
            eot: 0,
            destination: address(1),
            source: address(2),
            body: Body::Warning { received: 0, reason: 1 },
        }
    }

    #[test]
    fn announcements_never_rise_and_hold_the_end() {
        for rate in [75, 1200, 9600] {
            let waveform = Waveform::new(rate, Interleaver::Short).unwrap();
            let mut pdus = vec![pdu(); 20];
            let octets = pdus[0].octets();
            let airtime = waveform.airtime(octets * pdus.len());
            announce(&waveform, airtime, 0, &mut pdus);
            let eots: Vec<u8> = pdus.iter().map(|pdu| pdu.eot).collect();
            assert!(eots.is_sorted_by(|a, b| a >= b) && eots[19] > 0, "{eots:?}");
            for (number, eot) in eots.into_iter().enumerate() {
                // It is heard at the end of the block that holds its last octet.
                let heard = Instant::ZERO + waveform.heard((number + 1) * octets);
                // What came before it was heard with the block in which it began, or earlier.
                let begun = Instant::ZERO + waveform.heard((number * octets).max(1)) - waveform.block;
                let (earliest, latest) = end_heard(begun, heard, eot);
                let end = Instant::ZERO + airtime;
                assert!(earliest <= end && end <= latest, "{rate} {number}: {earliest:?} {end:?} {latest:?}");
            }
        }
    }

    #[test]
    fn nothing_announced_overflows() {
        let waveform = Waveform::new(75, Interleaver::Short).unwrap();
        assert_eq!(end_heard(Instant::ZERO, Instant::ZERO, 255).1, Instant::ZERO + HALF_SECOND * 255);
        assert_eq!(end_heard(Instant::ZERO, Instant::ZERO, 0).0, Instant::ZERO);
        let mut pdus = [pdu()];
        announce(&waveform, Duration::from_secs(10_000), 0, &mut pdus);
        assert_eq!(pdus[0].eot, 255);
    }
}

//! What went on the air, for captures: each frame with the instant at which its first octet left the antenna.
//!
//! Promises: a frame is told once, when its transmission has ended; of one that was cut off, only the frames that had
//! left whole. What nobody fetches is dropped, the oldest first.

use std::collections::VecDeque;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::{Duration, Instant};

use super::{StationId, Transmission};
use crate::modem::limits::ON_AIR_WAITING_MAX;

/// A frame that went on the air.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnAir {
    /// Whose.
    pub station: StationId,
    /// When its first octet left.
    pub at: Instant,
    /// At which rate.
    pub bits_per_second: u32,
    /// It.
    pub octets: Bytes,
}

/// Frames that wait to be fetched; nothing is kept until somebody listens in.
#[derive(Debug, Default)]
pub(super) struct ListeningIn(Option<VecDeque<OnAir>>);

impl ListeningIn {
    pub(super) fn begin(&mut self) {
        self.0.get_or_insert_default();
    }

    pub(super) fn poll(&mut self) -> Option<OnAir> {
        self.0.as_mut()?.pop_front()
    }

    /// Takes a transmission that has ended.
    pub(super) fn take(&mut self, transmission: &Transmission) {
        let Some(waiting) = &mut self.0 else { return };
        let Transmission { station, waveform, data, end, .. } = *transmission;
        let bits_per_second = waveform.bits_per_second;
        let after = |octets: u64| {
            let micros = octets.saturating_mul(8_000_000) / u64::from(bits_per_second.max(1));
            data + Duration::from_micros(micros)
        };
        let mut octets = 0;
        for frame in &transmission.frames {
            let at = after(octets);
            octets += frame.octets.len() as u64;
            if after(octets) > end {
                return;
            }
            if waiting.len() >= ON_AIR_WAITING_MAX {
                waiting.pop_front();
            }
            waiting.push_back(OnAir { station, at, bits_per_second, octets: frame.octets.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use skywave_protocols::random::Seeded;
    use skywave_protocols::time::Now;

    use super::super::{Channel, ChannelConfig};
    use super::*;
    use crate::modem::loss::Loss;
    use crate::modem::{Interleaver, Waveform};

    const A: StationId = StationId(0);

    fn at(millis: u64) -> Now {
        Now::default().after(Duration::from_millis(millis))
    }

    /// Stations that three frames of 60 octets leave at 1200 bit/s, from the first second on.
    fn channel() -> Channel {
        let waveform = Waveform::new(1200, Interleaver::Short).unwrap();
        let config =
            ChannelConfig { waveform, propagation: Duration::ZERO, loss: Loss::default(), outages: Vec::new() };
        let mut channel = Channel::new(at(0), config, Seeded::new(1));
        assert!(channel.attach(A) && channel.attach(StationId(1)));
        channel.listen_in();
        send(&mut channel, at(1000));
        channel
    }

    fn send(channel: &mut Channel, now: Now) {
        let frames = (0..3).map(|number| Bytes::from(vec![number; 60])).collect();
        let waveform = channel.waveform();
        channel.transmit(now, A, &waveform, frames).unwrap();
    }

    fn told(channel: &mut Channel) -> Vec<(u64, u8)> {
        std::iter::from_fn(|| channel.poll_on_air())
            .map(|frame| (frame.at.as_micros() / 1000, frame.octets[0]))
            .collect()
    }

    #[test]
    fn frames_are_told_with_the_time_of_their_first_octet() {
        let mut channel = channel();
        assert_eq!(told(&mut channel), [], "not before the end: they may still be replaced");
        channel.handle_wakeup(at(10_000));
        // Key-up 150 ms, preamble 600 ms, 400 ms a frame.
        assert_eq!(told(&mut channel), [(1750, 0), (2150, 1), (2550, 2)]);
        assert_eq!(told(&mut channel), [], "once");
    }

    #[test]
    fn of_what_is_cut_off_the_whole_frames_are_told() {
        let mut channel = channel();
        channel.abort(at(2200), A);
        channel.handle_wakeup(at(10_000));
        assert_eq!(told(&mut channel), [(1750, 0)]);
    }

    #[test]
    fn nothing_is_kept_for_nobody_and_little_for_somebody_who_sleeps() {
        let mut channel = channel();
        channel.handle_wakeup(at(10_000));
        let mut second = 10;
        for _ in 0..ON_AIR_WAITING_MAX {
            second += 10;
            send(&mut channel, at(second * 1000));
            channel.handle_wakeup(at(second * 1000 + 9000));
            while channel.poll().is_some() {}
        }
        assert_eq!(told(&mut channel).len(), ON_AIR_WAITING_MAX);

        let mut silent = ListeningIn::default();
        assert_eq!(silent.poll(), None);
        silent.begin();
        assert_eq!(silent.poll(), None);
    }
}

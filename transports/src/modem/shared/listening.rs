//! What a guest's station sent and heard, for captures: the host of the channel has the whole of it, a guest its part.
//!
//! Promises: a frame that was sent is told once, when its transmission has ended, as it was replaced last; of one that
//! was stopped only the frames that had left whole. Nothing is kept until somebody listens in. What nobody fetches is
//! dropped, the oldest first.

use std::collections::VecDeque;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::{Duration, Instant};

use super::super::Waveform;
use super::super::limits::ON_AIR_WAITING_MAX;

/// A frame that a guest's station sent or heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passed {
    /// It was sent.
    Sent {
        /// When its first octet left, by the guest's clock.
        at: Instant,
        /// At which rate.
        bits_per_second: u32,
        /// It.
        octets: Bytes,
    },
    /// It was heard, just now; at which rate is not said.
    Heard(Bytes),
}

#[derive(Debug)]
struct Transmission {
    keyed: Instant,
    waveform: Waveform,
    frames: Vec<Bytes>,
    /// From which frame on each replacement took out which.
    before: Vec<(usize, Vec<Bytes>)>,
}

/// Frames that wait to be fetched.
#[derive(Debug, Default)]
pub(super) struct Listening {
    waiting: Option<VecDeque<Passed>>,
    sending: Option<Transmission>,
}

impl Listening {
    pub(super) fn begin(&mut self) {
        self.waiting.get_or_insert_default();
    }

    pub(super) fn poll(&mut self) -> Option<Passed> {
        self.waiting.as_mut()?.pop_front()
    }

    pub(super) fn heard(&mut self, frame: &Bytes) {
        self.tell(|| Passed::Heard(frame.clone()));
    }

    pub(super) fn keyed(&mut self, keyed: Instant, waveform: &Waveform, frames: &[Bytes]) {
        if self.waiting.is_some() {
            self.sending =
                Some(Transmission { keyed, waveform: *waveform, frames: frames.to_vec(), before: Vec::new() });
        }
    }

    pub(super) fn replaced(&mut self, from: usize, frames: &[Bytes]) {
        if let Some(sending) = &mut self.sending {
            let taken_out = sending.frames.split_off(from.min(sending.frames.len()));
            sending.before.push((from, taken_out));
            sending.frames.extend_from_slice(frames);
        }
    }

    /// Only so many of the replacements came in time, the first ones.
    pub(super) fn kept(&mut self, replaced: u16) {
        if let Some(sending) = &mut self.sending
            && let Some((from, taken_out)) = sending.before.get(usize::from(replaced)).cloned()
        {
            sending.frames.truncate(from);
            sending.frames.extend(taken_out);
        }
    }

    /// The transmission has ended; when it was stopped, at that instant.
    pub(super) fn ended(&mut self, stopped: Option<Instant>) {
        let Some(Transmission { keyed, waveform, frames, .. }) = self.sending.take() else { return };
        let bits_per_second = waveform.bits_per_second;
        let begins = keyed + waveform.lead();
        let after = |octets: u64| {
            begins + Duration::from_micros(octets.saturating_mul(8_000_000) / u64::from(bits_per_second.max(1)))
        };
        let mut octets = 0;
        for frame in frames {
            let at = after(octets);
            octets += frame.len() as u64;
            if stopped.is_some_and(|stopped| after(octets) > stopped) {
                return;
            }
            self.tell(|| Passed::Sent { at, bits_per_second, octets: frame });
        }
    }

    fn tell(&mut self, passed: impl FnOnce() -> Passed) {
        let Some(waiting) = &mut self.waiting else { return };
        if waiting.len() >= ON_AIR_WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(passed());
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Interleaver;
    use super::*;

    fn frame(first: u8) -> Bytes {
        Bytes::from(vec![first; 60])
    }

    /// Three frames from the first second on.
    fn sending() -> Listening {
        let mut listening = Listening::default();
        listening.begin();
        let waveform = Waveform::new(1200, Interleaver::Short).unwrap();
        listening.keyed(Instant::ZERO + Duration::from_secs(1), &waveform, &[frame(0), frame(1), frame(2)]);
        listening
    }

    fn told(listening: &mut Listening) -> Vec<(u128, u8)> {
        let millis = |passed| match passed {
            Passed::Sent { at, octets, .. } => (u128::from(at.as_micros()) / 1000, octets[0]),
            Passed::Heard(octets) => (0, octets[0]),
        };
        std::iter::from_fn(|| listening.poll()).map(millis).collect()
    }

    #[test]
    fn what_was_replaced_is_told_as_it_left() {
        let mut listening = sending();
        listening.replaced(1, &[frame(7)]);
        assert_eq!(told(&mut listening), [], "not before the end");
        listening.ended(None);
        assert_eq!(told(&mut listening), [(1750, 0), (2150, 7)]);
        let mut late = sending();
        late.replaced(2, &[frame(7)]);
        late.replaced(1, &[frame(8)]);
        late.kept(1);
        late.ended(None);
        assert_eq!(told(&mut late), [(1750, 0), (2150, 1), (2550, 7)], "not what came too late");
        listening.ended(None);
        listening.heard(&frame(9));
        assert_eq!(told(&mut listening), [(0, 9)], "once");
    }

    #[test]
    fn of_what_was_stopped_the_whole_frames_are_told_and_nobody_keeps_what_nobody_wants() {
        let mut listening = sending();
        listening.ended(Some(Instant::ZERO + Duration::from_millis(2200)));
        assert_eq!(told(&mut listening), [(1750, 0)]);
        for _ in 0..=ON_AIR_WAITING_MAX {
            listening.heard(&frame(1));
        }
        assert_eq!(told(&mut listening).len(), ON_AIR_WAITING_MAX);
        let mut nobody = Listening::default();
        nobody.heard(&frame(1));
        assert_eq!(told(&mut nobody), []);
    }
}

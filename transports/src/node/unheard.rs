//! How long announced ends that were not heard may keep a station silent, in sum.
//!
//! Whose carrier ends before the end it announced may have faded: nobody transmits before that end. But a frame with a
//! false announcement says the same, and one every two minutes would silence a station for ever. So there is a budget,
//! which comes back evenly: who is told of such ends more often believes carriers instead, until it has.

use skywave_protocols::time::{Duration, Instant};

use super::limits::{UNHEARD_SILENCE_MAX, UNHEARD_SILENCE_SPAN};

/// What is left of the time that may be waited for ends that were announced and not heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unheard {
    left: Duration,
    /// Up to when it is counted.
    counted: Instant,
    /// Up to when it is spent already.
    spent: Instant,
}

impl Unheard {
    pub(super) const fn new() -> Self {
        Self { left: UNHEARD_SILENCE_MAX, counted: Instant::ZERO, spent: Instant::ZERO }
    }

    /// A carrier is heard: from here on nobody waits for an end unheard.
    pub(super) fn carrier(&mut self, now: Instant) {
        self.count(now);
        self.spent = now;
    }

    /// Until when `end` is waited for: to itself, or sooner when there have been too many.
    pub(super) fn wait(&mut self, now: Instant, end: Instant) -> Instant {
        self.count(now);
        let wait = end.since(now).min(self.left);
        self.left = self.left.saturating_sub(wait);
        self.spent = now + wait;
        self.spent
    }

    /// What has come back since, and what was spent on a wait that is over.
    fn count(&mut self, now: Instant) {
        let share =
            now.since(self.counted).as_micros() * UNHEARD_SILENCE_MAX.as_micros() / UNHEARD_SILENCE_SPAN.as_micros();
        let back = Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX));
        self.left = self.left.saturating_add(back).saturating_add(self.spent.since(now)).min(UNHEARD_SILENCE_MAX);
        (self.counted, self.spent) = (now, self.spent.min(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(127_500_000);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_end_now_and_then_is_waited_for() {
        let mut unheard = Unheard::new();
        for minutes in (0..600).step_by(6) {
            let now = at(60 * minutes);
            assert_eq!(unheard.wait(now, now + LONGEST), now + LONGEST, "{minutes}");
        }
        // What a carrier cuts short, or a later announcement, was not waited for.
        let mut unheard = Unheard::new();
        for seconds in 0..1000 {
            let now = at(10_000 + seconds);
            assert_eq!(unheard.wait(now, now + LONGEST), now + LONGEST, "{seconds}");
            unheard.carrier(now + Duration::from_millis(100));
        }
    }

    #[test]
    fn a_forger_cannot_silence_for_ever() {
        for gap in [1, 30, 120, 128] {
            let (mut unheard, mut silent, mut until) = (Unheard::new(), Duration::ZERO, Instant::ZERO);
            let hours = 10;
            for seconds in (0..hours * 3600).step_by(gap) {
                let now = at(seconds);
                silent = silent.saturating_sub(until.since(now));
                until = unheard.wait(now, now + LONGEST);
                silent = silent.saturating_add(until.since(now));
            }
            let share = silent.as_secs_f64() / (hours * 3600) as f64;
            assert!(share < 0.5, "every {gap} s: silent for {share} of the time");
        }
    }
}

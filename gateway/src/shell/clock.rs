//! The only place where the product reads a clock.

use std::time::SystemTime;

use skywave_protocols::time::{Instant, Now, WallTime};

/// Reads both clocks of the machine; `mono` counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
    wall: WallTime,
    speed: u32,
}

impl Clock {
    /// A clock whose monotonic origin is now.
    pub fn start() -> Self {
        Self::at_speed(1)
    }

    /// A clock that runs `speed` times as fast, for demonstrations; 0 is taken as 1.
    #[expect(clippy::disallowed_methods, reason = "this file is the clock")]
    pub fn at_speed(speed: u32) -> Self {
        Self { origin: std::time::Instant::now(), wall: system_time(), speed: speed.max(1) }
    }

    /// A clock that runs `speed` times as fast and shows `wall` now: one of several processes that must agree. At the usual
    /// speed all follow the system's.
    pub fn at_speed_from(speed: u32, wall: WallTime) -> Self {
        Self { wall, ..Self::at_speed(speed) }
    }

    /// How many times as fast as real time it runs.
    pub const fn speed(&self) -> u32 {
        self.speed
    }

    /// Both clocks, read at the same moment.
    pub fn now(&self) -> Now {
        let mono = Instant::from_micros(micros(self.origin.elapsed()).saturating_mul(self.speed.into()));
        // A clock that is not sped up follows the system's when that is set.
        let wall = if self.speed == 1 { system_time() } else { self.wall + mono.since(Instant::ZERO) };
        Now { mono, wall }
    }

    /// The moment of the runtime's timer that is `at`.
    pub fn deadline(&self, at: Instant) -> tokio::time::Instant {
        // A wakeup beyond a year is a wakeup in a year: the runtime's timer cannot hold all of our clock.
        const LONGEST: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);
        let from_origin = (at.since(Instant::ZERO) / self.speed).min(self.origin.elapsed() + LONGEST);
        tokio::time::Instant::from_std(self.origin + from_origin)
    }
}

#[expect(clippy::disallowed_methods, reason = "this file is the clock")]
fn system_time() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_micros(micros(since))
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skywave_protocols::time::Duration;

    #[test]
    fn a_fast_clock_goes_on_from_where_another_is() {
        let later = system_time() + Duration::from_secs(1_000_000_000);
        let (fast, usual) = (Clock::at_speed_from(50, later), Clock::at_speed_from(1, later));
        assert!(fast.now().wall >= later, "it does not begin with the system's");
        assert!(usual.now().wall < later, "it is the system's");
    }
}

//! The only place where the product reads a clock.

use std::time::SystemTime;

use skywave_protocols::time::{Instant, Now, WallTime};

/// Reads both clocks of the machine; `mono` counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock whose monotonic origin is now.
    #[expect(clippy::disallowed_methods, reason = "this file is the clock")]
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// Both clocks, read at the same moment.
    #[expect(clippy::disallowed_methods, reason = "this file is the clock")]
    pub fn now(&self) -> Now {
        let mono = Instant::from_micros(micros(self.origin.elapsed()));
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { mono, wall: WallTime::from_unix_micros(micros(wall)) }
    }

    /// The moment of the runtime's timer that is `at`.
    pub fn deadline(&self, at: Instant) -> tokio::time::Instant {
        // A wakeup beyond a year is a wakeup in a year: the runtime's timer cannot hold all of our clock.
        const LONGEST: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);
        let from_origin = at.since(Instant::ZERO).min(self.origin.elapsed() + LONGEST);
        tokio::time::Instant::from_std(self.origin + from_origin)
    }
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

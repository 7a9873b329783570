//! Time as an argument: a monotonic [`Instant`], a civil [`WallTime`], and what a machine says about its next wakeup.
//!
//! Both clocks always travel together as [`Now`]: timers run on `mono`, which never jumps; expiry times on the wire
//! are `wall`. Only the shell reads a clock.

use std::collections::BTreeMap;
use std::ops::{Add, Sub};

pub use std::time::Duration;

/// A point on the site's monotonic clock, in microseconds since an arbitrary origin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);

    /// A point `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }
}

/// A civil point in time, in microseconds since 1970-01-01 00:00:00 UTC. May jump when the system clock is set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(u64);

impl WallTime {
    /// A point `seconds` after 1970-01-01 00:00:00 UTC.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// A point `micros` microseconds after 1970-01-01 00:00:00 UTC.
    pub const fn from_unix_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Whole seconds since 1970-01-01 00:00:00 UTC.
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Microseconds since 1970-01-01 00:00:00 UTC.
    pub const fn unix_micros(self) -> u64 {
        self.0
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Both clocks, read at the same moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// For timers.
    pub mono: Instant,
    /// For expiry times and time stamps.
    pub wall: WallTime,
}

impl Now {
    /// The same moment `span` later on both clocks.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self { mono: self.mono + span, wall: self.wall + span }
    }
}

/// When a machine wants to be woken, and why (shown to operators and in stories).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wakeup {
    /// The point in time.
    pub at: Instant,
    /// The reason in two or three words.
    pub why: &'static str,
}

impl Wakeup {
    /// The earlier of two wakeups.
    pub fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

/// The timers of one machine, named by the variants of `K`. Setting a timer again moves it.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    at: BTreeMap<K, Instant>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { at: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// No timer set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets or moves a timer.
    pub fn set(&mut self, timer: K, at: Instant) {
        self.at.insert(timer, at);
    }

    /// Stops a timer, if it runs.
    pub fn clear(&mut self, timer: K) {
        self.at.remove(&timer);
    }

    /// Whether the timer runs.
    pub fn is_set(&self, timer: K) -> bool {
        self.at.contains_key(&timer)
    }

    /// Takes one expired timer, the earliest first; call until `None`.
    pub fn pop_expired(&mut self, now: Instant) -> Option<K> {
        let (timer, _) = self.next().filter(|&(_, at)| at <= now)?;
        self.at.remove(&timer);
        Some(timer)
    }

    /// The earliest timer.
    pub fn next(&self) -> Option<(K, Instant)> {
        self.at.iter().map(|(&timer, &at)| (timer, at)).min_by_key(|&(timer, at)| (at, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_of_time_and_once() {
        let mut timers = Timers::new();
        timers.set("late", Instant::from_micros(20));
        timers.set("early", Instant::from_micros(10));
        timers.set("moved", Instant::from_micros(1));
        timers.set("moved", Instant::from_micros(30));
        assert_eq!(timers.pop_expired(Instant::from_micros(5)), None);
        assert_eq!(timers.pop_expired(Instant::from_micros(25)), Some("early"));
        assert_eq!(timers.pop_expired(Instant::from_micros(25)), Some("late"));
        assert_eq!(timers.pop_expired(Instant::from_micros(25)), None);
        assert_eq!(timers.next(), Some(("moved", Instant::from_micros(30))));
    }

    #[test]
    fn times_saturate() {
        assert_eq!(Instant::from_micros(u64::MAX) + Duration::from_secs(1), Instant::from_micros(u64::MAX));
        assert_eq!(Instant::ZERO.since(Instant::from_micros(5)), Duration::ZERO);
        assert_eq!(WallTime::from_unix_seconds(u64::MAX).unix_micros(), u64::MAX);
    }
}

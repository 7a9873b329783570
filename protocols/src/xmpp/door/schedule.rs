//! Many timers, each named by a value: the next one is found without looking at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// Timers of a machine with many parts. Setting a timer again moves it.
#[derive(Clone, Debug)]
pub struct Schedule<K> {
    at: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { at: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Schedule<K> {
    /// No timer set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets or moves a timer.
    pub fn set(&mut self, timer: K, at: Instant) {
        self.clear(&timer);
        self.order.insert((at, timer.clone()));
        self.at.insert(timer, at);
    }

    /// Stops a timer, if it runs.
    pub fn clear(&mut self, timer: &K) {
        if let Some(at) = self.at.remove(timer) {
            self.order.remove(&(at, timer.clone()));
        }
    }

    /// Whether the timer runs.
    pub fn is_set(&self, timer: &K) -> bool {
        self.at.contains_key(timer)
    }

    /// Takes one expired timer, the earliest first; call until `None`.
    pub fn pop_expired(&mut self, now: Instant) -> Option<K> {
        let (at, timer) = self.order.first().cloned().filter(|&(at, _)| at <= now)?;
        self.order.remove(&(at, timer.clone()));
        self.at.remove(&timer);
        Some(timer)
    }

    /// The earliest timer.
    pub fn next(&self) -> Option<(&K, Instant)> {
        self.order.first().map(|(at, timer)| (timer, *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_of_time_and_once() {
        let at = Instant::from_micros;
        let mut schedule = Schedule::new();
        schedule.set("late", at(20));
        schedule.set("early", at(10));
        schedule.set("moved", at(1));
        schedule.set("moved", at(30));
        schedule.set("stopped", at(2));
        schedule.clear(&"stopped");
        assert_eq!(schedule.pop_expired(at(5)), None);
        assert_eq!(schedule.next(), Some((&"early", at(10))));
        assert_eq!(schedule.pop_expired(at(25)), Some("early"));
        assert_eq!(schedule.pop_expired(at(25)), Some("late"));
        assert_eq!(schedule.pop_expired(at(25)), None);
        assert!(schedule.is_set(&"moved") && !schedule.is_set(&"early"));
    }
}

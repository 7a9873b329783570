//! What arrived by a stream and is not done with: while it is much, nothing more is read, and the network's own flow
//! control holds the peer back. Otherwise a fast peer fills the memory with what waits for the disk.

use std::collections::BTreeMap;

use super::limits::{UNANSWERED_OCTETS_MAX, UNANSWERED_OCTETS_RESUME};

/// The arrivals that nobody has answered, by number, and their octets.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    arrivals: BTreeMap<u64, usize>,
    octets: usize,
    paused: bool,
}

impl Unanswered {
    /// One arrived. Whether reading is to pause now.
    pub(super) fn arrived(&mut self, arrival: u64, octets: usize) -> bool {
        self.arrivals.insert(arrival, octets);
        self.octets += octets;
        let much = self.octets > UNANSWERED_OCTETS_MAX;
        much && !std::mem::replace(&mut self.paused, true)
    }

    /// One is on the disk, or given up. Whether reading is to go on now.
    pub(super) fn done(&mut self, arrival: u64) -> bool {
        self.octets -= self.arrivals.remove(&arrival).unwrap_or_default();
        let little = self.octets <= UNANSWERED_OCTETS_RESUME;
        little && std::mem::take(&mut self.paused)
    }

    /// Whether reading has paused.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_pauses_once_and_goes_on_once() {
        let mut unanswered = Unanswered::default();
        let third = UNANSWERED_OCTETS_MAX / 3 + 1;
        assert_eq!([1, 2, 3, 4].map(|arrival| unanswered.arrived(arrival, third)), [false, false, true, false]);
        assert!(unanswered.is_paused());
        assert_eq!(
            [9, 1, 1, 2, 3, 4].map(|arrival| unanswered.done(arrival)),
            [false, false, false, false, true, false]
        );
        assert!(!unanswered.is_paused() && unanswered.octets == 0);
    }
}

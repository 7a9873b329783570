//! The active window of every lane: which hops wait, which are under way, whether more wait on disk.

use std::collections::{BTreeMap, BTreeSet};

use skywave_transports::io::Space;

use super::limits::{ACTIVE_HOPS_LOW, ACTIVE_HOPS_MAX, UNDER_WAY_HOPS_MAX};
use super::record::{HopKey, Lane, lane_end, lane_start};
use crate::store::Query;

/// The lane of mail that is a batch for this site.
pub const BATCH_LANE: &str = "batch-smtp";
/// The lane of recipients that nobody takes: given up as soon as they are looked at.
pub const NOWHERE_LANE: &str = "nowhere";

/// One lane's window.
#[derive(Debug, Default)]
struct Window {
    waiting: BTreeSet<HopKey>,
    under_way: BTreeSet<HopKey>,
    /// Rows of this lane on disk that are not in memory may exist.
    more_on_disk: bool,
    /// Rows that the fetch under way asked for.
    fetching: Option<usize>,
    /// A hop left the window for the disk since that fetch was asked for: it may have missed it.
    missed: bool,
    /// The last fetch failed: no other until somebody says so.
    failed: bool,
}

/// The windows of all lanes.
#[derive(Debug, Default)]
pub struct Lanes {
    windows: BTreeMap<Lane, Window>,
}

impl Lanes {
    /// A lane that may have rows on disk.
    pub fn open(&mut self, lane: Lane) {
        self.windows.entry(lane).or_default().more_on_disk = true;
    }

    /// A hop that begins at once: it never waits.
    pub fn begin(&mut self, key: HopKey) {
        self.windows.entry(key.lane.clone()).or_default().under_way.insert(key);
    }

    /// The names of the lanes where hops wait, in memory or perhaps on disk.
    pub fn at_work(&self) -> impl Iterator<Item = &Lane> {
        let waits = |window: &Window| !window.waiting.is_empty() || window.more_on_disk;
        self.windows.iter().filter(move |(_, window)| waits(window)).map(|(lane, _)| lane)
    }

    /// All hops that wait in memory.
    pub fn all_waiting(&self) -> impl Iterator<Item = &HopKey> {
        self.windows.values().flat_map(|window| &window.waiting)
    }

    /// Puts a hop that is on disk into its window. Returns the hop that left the window for it (that may be itself).
    pub fn insert(&mut self, key: HopKey) -> Option<HopKey> {
        let window = self.windows.entry(key.lane.clone()).or_default();
        if window.under_way.contains(&key) {
            return None;
        }
        window.waiting.insert(key);
        if window.waiting.len() <= ACTIVE_HOPS_MAX {
            return None;
        }
        window.more_on_disk = true;
        window.missed = true;
        window.waiting.pop_last()
    }

    /// What the fullest windows hold: of what, how much, and how much at most.
    pub fn held(&self) -> [(&'static str, usize, usize); 2] {
        let most = |count: fn(&Window) -> usize| self.windows.values().map(count).max().unwrap_or_default();
        [
            ("hops waiting in a lane", most(|window| window.waiting.len()), ACTIVE_HOPS_MAX),
            ("hops under way in a lane", most(|window| window.under_way.len()), UNDER_WAY_HOPS_MAX),
        ]
    }

    /// The most urgent waiting hop of a lane.
    pub fn first(&self, lane: &str) -> Option<&HopKey> {
        self.windows.get(lane)?.waiting.first()
    }

    /// The waiting hops of a lane, the most urgent first.
    pub fn waiting_first(&self, lane: &str) -> impl Iterator<Item = &HopKey> {
        self.windows.get(lane).into_iter().flat_map(|window| &window.waiting)
    }

    /// A waiting hop is under way now.
    pub fn start(&mut self, key: &HopKey) {
        if let Some(window) = self.windows.get_mut(&key.lane)
            && window.waiting.remove(key)
        {
            window.under_way.insert(key.clone());
        }
    }

    /// A hop leaves the lane: done, delayed, held or moved. True when it was here.
    pub fn remove(&mut self, key: &HopKey) -> bool {
        self.windows.get_mut(&key.lane).is_some_and(|window| window.waiting.remove(key) | window.under_way.remove(key))
    }

    /// Whether the hop is in memory, waiting or under way.
    pub fn knows(&self, key: &HopKey) -> bool {
        self.windows.get(&key.lane).is_some_and(|window| window.waiting.contains(key) || window.under_way.contains(key))
    }

    /// The hop has another key now (its precedence changed). True when it was in memory.
    pub fn rename(&mut self, old: &HopKey, new: &HopKey) -> bool {
        let Some(window) = self.windows.get_mut(&old.lane) else { return false };
        if window.waiting.remove(old) {
            return window.waiting.insert(new.clone());
        }
        window.under_way.remove(old) && window.under_way.insert(new.clone())
    }

    /// Whether the hop is under way.
    pub fn is_under_way(&self, key: &HopKey) -> bool {
        self.windows.get(&key.lane).is_some_and(|window| window.under_way.contains(key))
    }

    /// The hops of the same lane that go before this one: those under way, and those more urgent or older.
    pub fn ahead<'a>(&'a self, key: &'a HopKey) -> impl Iterator<Item = &'a HopKey> {
        let windows = self.windows.get(&key.lane).into_iter();
        windows.flat_map(move |window| {
            let under_way = window.under_way.iter().filter(move |other| *other != key);
            window.waiting.range(..key).chain(under_way)
        })
    }

    /// Hops under way in a lane.
    pub fn under_way(&self, lane: &str) -> usize {
        self.windows.get(lane).map_or(0, |window| window.under_way.len())
    }

    /// Hops waiting in memory in a lane, and whether more wait on disk.
    pub fn waiting(&self, lane: &str) -> (usize, bool) {
        self.windows.get(lane).map_or((0, false), |window| (window.waiting.len(), window.more_on_disk))
    }

    /// The query that refills a lane whose window runs low, if one is needed.
    pub fn refill(&mut self, lane: &str) -> Option<Query> {
        let window = self.windows.get_mut(lane)?;
        let idle = window.fetching.is_none() && !window.failed;
        if !idle || !window.more_on_disk || window.waiting.len() >= ACTIVE_HOPS_LOW {
            return None;
        }
        // From the start: a more urgent hop may have been put on disk since; what is in memory is skipped.
        let limit = window.under_way.len() + window.waiting.len() + ACTIVE_HOPS_MAX;
        window.fetching = Some(limit);
        window.missed = false;
        Some(Query::Range { space: Space::Hop, from: lane_start(lane), to: lane_end(lane), limit, reverse: false })
    }

    /// Takes the keys that a refill found; returns those that are new and whose mails are to be fetched.
    pub fn refilled(&mut self, lane: &str, keys: Vec<HopKey>) -> Vec<HopKey> {
        let Some(window) = self.windows.get_mut(lane) else { return Vec::new() };
        let asked = window.fetching.take().unwrap_or(0);
        window.more_on_disk = window.missed || keys.len() >= asked;
        keys.into_iter().filter(|key| !window.waiting.contains(key) && !window.under_way.contains(key)).collect()
    }

    /// The refill failed; it is not tried again before [`Lanes::try_again`].
    pub fn refill_failed(&mut self, lane: &str) {
        if let Some(window) = self.windows.get_mut(lane) {
            window.fetching = None;
            window.more_on_disk = true;
            window.failed = true;
        }
    }

    /// Refills that failed may be tried again.
    pub fn try_again(&mut self) {
        self.windows.values_mut().for_each(|window| window.failed = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::record::Ticket;

    fn key(number: u64) -> HopKey {
        HopKey { lane: "hf".into(), p_mul: 8, accepted_at: number, ticket: Ticket(number), hop: 0 }
    }

    #[test]
    fn the_window_is_bounded_and_keeps_the_most_urgent() {
        let mut lanes = Lanes::default();
        for number in 0..ACTIVE_HOPS_MAX as u64 {
            assert_eq!(lanes.insert(key(number + 10)), None);
        }
        assert_eq!(lanes.insert(key(9_999)), Some(key(9_999)), "the least urgent stays on disk");
        assert_eq!(lanes.insert(key(1)).map(|k| k.ticket.0), Some(ACTIVE_HOPS_MAX as u64 + 9));
        assert_eq!(lanes.first("hf"), Some(&key(1)));
        assert_eq!(lanes.waiting("hf"), (ACTIVE_HOPS_MAX, true));
    }

    #[test]
    fn a_low_window_is_refilled_once() {
        let mut lanes = Lanes::default();
        lanes.open("hf".into());
        assert!(lanes.refill("hf").is_some());
        assert!(lanes.refill("hf").is_none(), "one at a time");
        assert_eq!(lanes.refilled("hf", vec![key(1), key(2)]), [key(1), key(2)]);
        lanes.insert(key(1));
        lanes.start(&key(1));
        assert!(lanes.is_under_way(&key(1)));
        assert!(lanes.refill("hf").is_none(), "nothing more is on disk");
        assert!(lanes.remove(&key(1)) && !lanes.remove(&key(1)));
    }

    #[test]
    fn what_came_during_a_refill_does_not_hide_what_is_still_on_disk() {
        let mut lanes = Lanes::default();
        lanes.open("hf".into());
        let Some(Query::Range { limit, .. }) = lanes.refill("hf") else { panic!("asked") };
        lanes.insert(key(9_000));
        let fetched: Vec<HopKey> = (0..limit as u64).map(key).collect();
        assert_eq!(lanes.refilled("hf", fetched).len(), limit);
        assert!(lanes.waiting("hf").1, "as many as asked for: there are more");
        let _ = lanes.remove(&key(9_000));
        assert!(lanes.refill("hf").is_some());
        for number in 0..=ACTIVE_HOPS_MAX as u64 {
            lanes.insert(key(number));
        }
        assert!(lanes.refilled("hf", Vec::new()).is_empty());
        assert!(lanes.waiting("hf").1, "one left the window while the fetch was under way");
    }

    #[test]
    fn a_refill_that_failed_is_not_tried_before_its_time() {
        let mut lanes = Lanes::default();
        lanes.open("hf".into());
        assert!(lanes.refill("hf").is_some());
        lanes.refill_failed("hf");
        assert!(lanes.refill("hf").is_none(), "no turning on the spot");
        lanes.try_again();
        assert!(lanes.refill("hf").is_some());
    }
}

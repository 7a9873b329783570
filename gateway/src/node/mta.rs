//! How many hand-overs to each local MTA may be open: a bounded number of connections, some of them kept for Flash
//! and Override, and a bounded sum of octets; and how many mails that wait for a place already bear the mark that their
//! hand-over is open (ADR 0046), so that no connection rests while a mark is on its way to the disk.

use std::collections::{BTreeMap, BTreeSet};

use super::config::LocalConfig;
use crate::queue::record::{HopKey, Lane, Ticket};

/// For each connection so many of the mails that wait first may bear the mark: what is handed over while the disk syncs a
/// few times.
const MARKED_PER_CONNECTION: usize = 4;
/// P_MUL priorities up to this one (Flash and Override) may use the reserved connections.
const URGENT_P_MUL: u8 = 2;

#[derive(Debug)]
struct Door {
    connections_max: usize,
    connections_urgent: usize,
    octets_max: u64,
    open: usize,
    octets: u64,
    /// New mails on their way to the disk that have a place.
    born: BTreeSet<HopKey>,
    /// New mails on their way to the disk that are marked open and have no place yet.
    ahead: BTreeSet<HopKey>,
    /// Hand-overs begun since waiting mails were last marked.
    begun: usize,
}

/// A hop, whatever its precedence is now.
pub type Duty = (Ticket, u16);

/// See the module.
#[derive(Debug, Default)]
pub struct Mta {
    doors: BTreeMap<Lane, Door>,
    /// Hops whose mark is on its way to the disk: they do not begin before it is there.
    marking: BTreeSet<Duty>,
    /// Hops of an earlier run that wait with a mark of this one: they were not open at the crash.
    marked_here: BTreeSet<Duty>,
}

impl Mta {
    /// The doors of a configuration.
    pub fn new(locals: &[LocalConfig]) -> Self {
        let door = |local: &LocalConfig| Door {
            connections_max: local.connections_max,
            connections_urgent: local.connections_urgent,
            octets_max: local.octets_in_flight_max,
            open: 0,
            octets: 0,
            born: BTreeSet::new(),
            ahead: BTreeSet::new(),
            begun: 0,
        };
        let doors = locals.iter().map(|local| (local.name.clone(), door(local))).collect();
        Self { doors, ..Self::default() }
    }

    /// Whether the lane is a local MTA.
    pub fn is_door(&self, lane: &str) -> bool {
        self.doors.contains_key(lane)
    }

    /// Whether a new mail is to be born with the mark that its hand-over is open: when it gets a place at once, or when
    /// so few wait before it that it soon will: `waiting` do.
    pub fn mark(&mut self, key: &HopKey, octets: u64, waiting: usize) -> bool {
        let has_place = waiting == 0 && self.open(key, octets);
        let Some(door) = self.doors.get_mut(&key.lane) else { return false };
        if has_place {
            return door.born.insert(key.clone());
        }
        waiting + door.ahead.len() < door.marked_max() && door.ahead.insert(key.clone())
    }

    /// How many of the mails that wait first are to bear the mark, when it is time to mark some: when the first bears none,
    /// or half of those marked have begun.
    pub fn marks_wanted(&mut self, lane: &str, first_is_marked: bool) -> Option<usize> {
        let door = self.doors.get_mut(lane)?;
        let marked_max = door.marked_max();
        let due = !first_is_marked || door.begun >= marked_max.div_ceil(2);
        due.then(|| {
            door.begun = 0;
            marked_max
        })
    }

    /// The mark of a hop is on its way to the disk; `older`: the mail is one of an earlier run.
    pub fn marking(&mut self, duty: Duty, older: bool) {
        self.marking.insert(duty);
        if older {
            self.marked_here.insert(duty);
        }
    }

    /// Whether the mark of a hop is on its way to the disk.
    pub fn is_marking(&self, duty: Duty) -> bool {
        self.marking.contains(&duty)
    }

    /// The mark of a hop is on the disk, or will not be.
    pub fn marked(&mut self, duty: Duty) -> bool {
        self.marking.remove(&duty)
    }

    /// Whether the mark of a hop was made in this run; it is asked for once, or forgotten with it.
    pub fn was_marked_here(&mut self, duty: Duty) -> bool {
        self.marked_here.remove(&duty)
    }

    /// The mail of [`Mta::mark`] is on the disk: whether it has a place since then.
    pub fn born(&mut self, key: &HopKey) -> bool {
        let Some(door) = self.doors.get_mut(&key.lane) else { return false };
        door.ahead.remove(key);
        door.born.remove(key)
    }

    /// Takes a place for a hand-over, if one is free. One mail always finds room for its octets.
    pub fn open(&mut self, key: &HopKey, octets: u64) -> bool {
        let Some(door) = self.doors.get_mut(&key.lane) else { return false };
        let urgent = key.p_mul <= URGENT_P_MUL;
        let places =
            if urgent { door.connections_max } else { door.connections_max.saturating_sub(door.connections_urgent) };
        let fits = door.octets == 0 || urgent || door.octets + octets <= door.octets_max;
        if door.open >= places || !fits {
            return false;
        }
        door.open += 1;
        door.begun += 1;
        door.octets += octets;
        true
    }

    /// Gives a place back.
    pub fn unreserve(&mut self, key: &HopKey, octets: u64) {
        if let Some(door) = self.doors.get_mut(&key.lane) {
            door.open = door.open.saturating_sub(1);
            door.octets = door.octets.saturating_sub(octets);
        }
    }
}

impl Door {
    const fn marked_max(&self) -> usize {
        self.connections_max.saturating_mul(MARKED_PER_CONNECTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::record::Ticket;

    fn key(p_mul: u8, number: u64) -> HopKey {
        HopKey { lane: "mta".into(), p_mul, accepted_at: 0, ticket: Ticket(number), hop: 0 }
    }

    /// An MTA with three connections, one of them for Flash, and 100 octets in flight.
    fn three_places() -> Mta {
        Mta::new(&[LocalConfig {
            name: "mta".into(),
            domains: Vec::new(),
            target: String::new(),
            connections_max: 3,
            connections_urgent: 1,
            keep_open: None,
            final_delivery: false,
            octets_in_flight_max: 100,
        }])
    }

    #[test]
    fn marks_are_bounded_and_given_up_once() {
        let mut mta = three_places();
        assert!((1..=2).all(|number| mta.mark(&key(8, number), 10, 0)), "these have a place");
        assert!((3..=14).all(|number| mta.mark(&key(8, number), 10, 0)), "these wait for one");
        assert!(!mta.mark(&key(8, 15), 10, 0), "no further mark");
        assert!(mta.mark(&key(2, 16), 10, 0), "the place that is kept");
        assert_eq!(
            [1, 3, 1, 16].map(|number| mta.born(&key(if number == 16 { 2 } else { 8 }, number))),
            [true, false, false, true]
        );
        assert!(!mta.mark(&key(8, 17), 10, 1), "one waits on disk, eleven marks are under way");
        assert!(mta.mark(&key(8, 17), 10, 0));
        assert!(!mta.mark(&HopKey { lane: "hf".into(), ..key(8, 18) }, 10, 0), "a link");
    }

    #[test]
    fn marks_are_made_when_half_of_them_are_used_up() {
        let mut mta = three_places();
        assert_eq!(mta.marks_wanted("mta", false), Some(12), "the first has none");
        for number in 1..=6 {
            assert_eq!(mta.marks_wanted("mta", true), None, "{number}");
            assert!(mta.open(&key(8, number), 1));
            mta.unreserve(&key(8, number), 1);
        }
        assert_eq!((mta.marks_wanted("mta", true), mta.marks_wanted("mta", true)), (Some(12), None));
        assert_eq!(mta.marks_wanted("hf", false), None, "a link");
    }

    #[test]
    fn places_are_bounded_and_some_are_kept_for_flash() {
        let mut mta = three_places();
        let key = |p_mul| HopKey { lane: "mta".into(), p_mul, accepted_at: 0, ticket: Ticket(1), hop: 0 };
        assert!(mta.open(&key(8), 1000), "one mail always goes");
        assert!(!mta.open(&key(8), 1), "the octets are used up");
        mta.unreserve(&key(8), 1000);
        assert!(mta.open(&key(8), 10) && mta.open(&key(8), 10));
        assert!(!mta.open(&key(8), 10), "the third is kept");
        assert!(mta.open(&key(2), 10) && !mta.open(&key(2), 10));
    }
}

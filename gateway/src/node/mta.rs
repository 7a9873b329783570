//! How many hand-overs to each local MTA may be open: a bounded number of connections, some of them kept for Flash
//! and Override, and a bounded sum of octets; and how many mails that wait for a place may already bear the mark that
//! their hand-over is open.

use std::collections::{BTreeMap, BTreeSet};

use super::config::LocalConfig;
use crate::queue::record::{HopKey, Lane};

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
}

/// See the module.
#[derive(Debug, Default)]
pub struct Mta {
    doors: BTreeMap<Lane, Door>,
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
        };
        Self { doors: locals.iter().map(|local| (local.name.clone(), door(local))).collect() }
    }

    /// Whether the lane is a local MTA.
    pub fn is_door(&self, lane: &str) -> bool {
        self.doors.contains_key(lane)
    }

    /// Whether a new mail is to be born with the mark that its hand-over is open: when it gets a place at once, or when
    /// fewer wait before it than there are connections, so that it soon will. `waiting` wait already.
    pub fn mark(&mut self, key: &HopKey, octets: u64, waiting: usize) -> bool {
        let has_place = waiting == 0 && self.open(key, octets);
        let Some(door) = self.doors.get_mut(&key.lane) else { return false };
        if has_place {
            return door.born.insert(key.clone());
        }
        waiting + door.ahead.len() < door.connections_max && door.ahead.insert(key.clone())
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
        assert!((3..=5).all(|number| mta.mark(&key(8, number), 10, 0)), "these wait for one");
        assert!(!mta.mark(&key(8, 6), 10, 0), "no further mark");
        assert!(mta.mark(&key(2, 7), 10, 0), "the place that is kept");
        assert_eq!(
            [1, 3, 1, 7].map(|number| mta.born(&key(if number == 7 { 2 } else { 8 }, number))),
            [true, false, false, true]
        );
        assert!(!mta.mark(&key(8, 8), 10, 1), "one waits on disk, two marks are under way");
        assert!(mta.mark(&key(8, 8), 10, 0));
        assert!(!mta.mark(&HopKey { lane: "hf".into(), ..key(8, 9) }, 10, 0), "a link");
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

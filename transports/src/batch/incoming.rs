//! Units on their way in: rebuilt, told once, remembered while repeats may come.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::reassembly::{Outcome, Reassembly, UnitKey};
use skywave_protocols::time::{Instant, Now, Wakeup};

use super::config::BatchConfig;
use super::limits::{REFUSED_WAIT, SEEN_MAX, UNANSWERED_MAX};
use super::seen::{Key, Seen};
use crate::radio::Arrival;
use crate::transport::{ArrivalId, TransportEvent};

/// What arrives.
#[derive(Debug)]
pub(super) struct Incoming {
    reassembly: Reassembly,
    /// Told, not answered for good.
    unanswered: BTreeMap<ArrivalId, Told>,
    /// Answered for good.
    pub(super) seen: Seen,
    arrivals: u64,
    counters: Counters,
}

/// A unit that was told.
#[derive(Debug)]
struct Told {
    key: Key,
    event: TransportEvent,
    /// The gateway could not take it: when it is told again. Nobody else would send it again: over RCOP the node has
    /// confirmed it, and a group's sender does not know.
    again: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counters {
    units: u64,
    repeats: u64,
    no_room: u64,
}

impl Incoming {
    pub(super) fn new(config: &BatchConfig) -> Self {
        let mut limits = config.reassembly;
        limits.unit_octets = limits.unit_octets.min(config.unit_octets_max);
        Self {
            reassembly: Reassembly::new(limits),
            unanswered: BTreeMap::new(),
            seen: Seen::default(),
            arrivals: 0,
            counters: Counters::default(),
        }
    }

    /// Takes a segment; yields what is to be told.
    pub(super) fn handle(&mut self, now: Now, config: &BatchConfig, arrival: &Arrival) -> Option<TransportEvent> {
        let key = UnitKey {
            source: arrival.source,
            source_sap: arrival.source_sap,
            connection: arrival.port.connection,
            u_pdu_id: arrival.segment.u_pdu_id,
        };
        match self.reassembly.handle_segment(now, key, arrival.segment.number, &arrival.octets) {
            Ok(Outcome::Held | Outcome::Duplicate) => None,
            Ok(Outcome::Whole(content)) => self.on_unit(now, config, arrival, content),
            Err(fault) => {
                Some(TransportEvent::notice("batch_segment_refused", format!("{fault}, from {}", arrival.source)))
            }
        }
    }

    pub(super) fn accept(&mut self, now: Now, arrival: ArrivalId) {
        if let Some(told) = self.unanswered.remove(&arrival) {
            self.seen.remember(now, told.key);
        }
    }

    /// Without `retry` it is remembered as if it had been taken, so that its repeats do not come again.
    pub(super) fn refuse(&mut self, now: Now, arrival: ArrivalId, retry: bool) {
        match self.unanswered.get_mut(&arrival) {
            Some(told) if retry => told.again = Some(now.mono + REFUSED_WAIT),
            Some(_) | None => self.accept(now, arrival),
        }
    }

    /// Yields what is to be told again.
    pub(super) fn handle_wakeup(&mut self, now: Now) -> Vec<TransportEvent> {
        self.reassembly.handle_wakeup(now);
        self.seen.handle_wakeup(now);
        let due = |told: &mut Told| told.again.take_if(|at| *at <= now.mono).map(|_| told.event.clone());
        self.unanswered.values_mut().filter_map(due).collect()
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        let again = self.unanswered.values().filter_map(|told| told.again).min();
        let again = again.map(|at| Wakeup { at, why: "unit told again" });
        Wakeup::earlier(again, Wakeup::earlier(self.reassembly.next_wakeup(), self.seen.next_wakeup()))
    }

    /// What it holds: of what, how much, and how much at most.
    pub(super) fn held(&self) -> [(&'static str, usize, usize); 2] {
        [("units unanswered", self.unanswered.len(), UNANSWERED_MAX), ("units seen", self.seen.len(), SEEN_MAX)]
    }

    pub(super) fn describe(&self) -> serde_json::Value {
        let (partials, octets) = self.reassembly.depth();
        serde_json::json!({
            "partial_units": partials,
            "partial_octets": octets,
            "unanswered": self.unanswered.len(),
            "seen": self.seen.len(),
            "counters": self.counters,
            "reassembly": self.reassembly.counters(),
        })
    }

    fn on_unit(&mut self, now: Now, config: &BatchConfig, arrival: &Arrival, content: Bytes) -> Option<TransportEvent> {
        let key = unit_key(arrival, &content);
        let told = self.unanswered.values_mut().find(|told| told.key == key);
        if self.seen.knows(now.mono, &key) || told.is_some() {
            self.counters.repeats += 1;
            return told.and_then(|told| told.again.take().map(|_| told.event.clone()));
        }
        if self.unanswered.len() >= UNANSWERED_MAX {
            self.counters.no_room += 1;
            return Some(TransportEvent::notice(
                "batch_unit_dropped",
                "too many units wait for the gateway".to_owned(),
            ));
        }
        self.counters.units += 1;
        self.arrivals += 1;
        let number = ArrivalId(self.arrivals);
        let from = config.sites.iter().find(|&(_, address)| *address == arrival.source).map(|(site, _)| site.clone());
        let event = TransportEvent::Arrived {
            arrival: number,
            from,
            source: arrival.source.to_string(),
            priority: arrival.precedence.mt_priority(),
            confirmed: false,
            key: key.clone(),
            content,
        };
        self.unanswered.insert(number, Told { key, event: event.clone(), again: None });
        Some(event)
    }
}

/// The same for every repeat: where it came from, and a digest of what it says.
fn unit_key(arrival: &Arrival, content: &[u8]) -> Key {
    let mut key = arrival.source.octets().to_vec();
    key.extend_from_slice(&Sha256::digest(content)[..16]);
    key
}

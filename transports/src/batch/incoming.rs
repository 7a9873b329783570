//! Units on their way in: rebuilt, told once, remembered while repeats may come.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::reassembly::{Outcome, Reassembly, UnitKey};
use skywave_protocols::time::{Now, Wakeup};

use super::config::BatchConfig;
use super::limits::{SEEN_MAX, UNANSWERED_MAX};
use super::seen::{Key, Seen};
use crate::radio::Arrival;
use crate::transport::{ArrivalId, TransportEvent};

/// What arrives.
#[derive(Debug)]
pub(super) struct Incoming {
    reassembly: Reassembly,
    /// Told, not answered.
    unanswered: BTreeMap<ArrivalId, Key>,
    /// Answered for good.
    pub(super) seen: Seen,
    arrivals: u64,
    counters: Counters,
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
        if let Some(key) = self.unanswered.remove(&arrival) {
            self.seen.remember(now, key);
        }
    }

    /// Without `retry` it is remembered as if it had been taken, so that its repeats do not come again.
    pub(super) fn refuse(&mut self, now: Now, arrival: ArrivalId, retry: bool) {
        match self.unanswered.remove(&arrival) {
            Some(key) if !retry => self.seen.remember(now, key),
            Some(_) | None => {}
        }
    }

    pub(super) fn handle_wakeup(&mut self, now: Now) {
        self.reassembly.handle_wakeup(now);
        self.seen.handle_wakeup(now);
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        Wakeup::earlier(self.reassembly.next_wakeup(), self.seen.next_wakeup())
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
        if self.seen.knows(now.mono, &key) || self.unanswered.values().any(|other| *other == key) {
            self.counters.repeats += 1;
            return None;
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
        self.unanswered.insert(number, key.clone());
        let from = config.sites.iter().find(|&(_, address)| *address == arrival.source).map(|(site, _)| site.clone());
        Some(TransportEvent::Arrived {
            arrival: number,
            from,
            source: arrival.source.to_string(),
            priority: arrival.mt_priority(),
            confirmed: false,
            key,
            content,
        })
    }
}

/// The same for every repeat: where it came from, and a digest of what it says.
fn unit_key(arrival: &Arrival, content: &[u8]) -> Key {
    let mut key = arrival.source.octets().to_vec();
    key.extend_from_slice(&Sha256::digest(content)[..16]);
    key
}

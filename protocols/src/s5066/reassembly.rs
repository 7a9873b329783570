//! Rebuilds units from segments that come in any order, twice, never, or from a liar.
//!
//! Promises: a unit is yielded once per complete set of segments, whole; memory stays within `limits.rs`. A unit is
//! known by source, source SAP, connection id and U_PDU id, never by application id. Refuses: empty segments, units
//! above the limit, more data than the unit's length says. A segment that contradicts one already held begins the
//! unit anew, as U_PDU ids are used again after 256 units or a restart. When a limit is met, the unit to which
//! nothing was added for longest is dropped, first of the same source.

use std::collections::BTreeMap;

use serde::Serialize;

use super::address::NodeAddress;
use super::limits::{
    PARTIAL_AGE, PARTIAL_IDLE, PARTIAL_OCTETS_MAX, PARTIAL_OCTETS_PER_SOURCE_MAX, PARTIALS_MAX,
    PARTIALS_PER_SOURCE_MAX, SEGMENT_COST_OCTETS, UNIT_OCTETS_MAX,
};
use super::segment::LENGTH_OCTETS;
use super::sis::fields::SapId;
use crate::bytes::{Bytes, BytesMut};
use crate::fault::{Blame, Fault, Next};
use crate::time::{Instant, Now, Wakeup};

/// What all segments of a unit have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnitKey {
    /// The node it came from.
    pub source: NodeAddress,
    /// The client it came from.
    pub source_sap: SapId,
    /// The connection id.
    pub connection: u8,
    /// The U_PDU id.
    pub u_pdu_id: u8,
}

/// What a segment led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is held; more are needed.
    Held,
    /// It was held already.
    Duplicate,
    /// The unit is whole.
    Whole(Bytes),
}

/// Why a segment was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReassemblyFault {
    /// It has no data.
    #[error("a segment without data")]
    Empty,
    /// The unit says it is larger than the limit.
    #[error("a unit of {octets} octets, the limit is {limit}")]
    TooLarge {
        /// Octets announced.
        octets: usize,
        /// The limit.
        limit: usize,
    },
    /// The segments hold more than the unit's length says.
    #[error("a unit of {octets} octets has more data than that")]
    BeyondEnd {
        /// Octets announced.
        octets: usize,
    },
    /// The unit was refused before.
    #[error("a segment of a refused unit")]
    Refused,
}

impl Fault for ReassemblyFault {
    fn blame(&self) -> Blame {
        Blame::Peer
    }

    fn next(&self) -> Next {
        Next::Ignore
    }
}

/// Limits that may be set lower than `limits.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReassemblyLimits {
    /// Octets of one unit.
    pub unit_octets: usize,
    /// Octets held for one source.
    pub source_octets: usize,
    /// Octets held in all.
    pub octets: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self { unit_octets: UNIT_OCTETS_MAX, source_octets: PARTIAL_OCTETS_PER_SOURCE_MAX, octets: PARTIAL_OCTETS_MAX }
    }
}

/// What was counted since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ReassemblyCounters {
    /// Segments held already.
    pub duplicates: u64,
    /// Units begun anew because a segment contradicted one held.
    pub contradictions: u64,
    /// Segments refused.
    pub refused: u64,
    /// Unfinished units dropped for their age.
    pub aged: u64,
    /// Unfinished units dropped to make room.
    pub evicted: u64,
}

/// All unfinished units of a port.
#[derive(Debug, Default)]
pub struct Reassembly {
    limits: ReassemblyLimits,
    partials: BTreeMap<UnitKey, Partial>,
    cost: usize,
    counters: ReassemblyCounters,
}

#[derive(Debug)]
struct Partial {
    segments: BTreeMap<u16, Bytes>,
    /// Data and overhead of what is held.
    cost: usize,
    /// Segments without a gap from the first, and their octets.
    in_a_row: usize,
    octets_in_a_row: usize,
    octets: usize,
    /// Octets of the unit, its length field included.
    length: Option<usize>,
    refused: bool,
    began: Instant,
    touched: Instant,
}

impl Reassembly {
    /// Nothing held yet.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a segment.
    ///
    /// # Errors
    /// A [`ReassemblyFault`]; the segment is dropped and counted, and its unit if the fault is of the unit.
    //= s5066/RCOP-003
    //= s5066/RCOP-004
    pub fn handle_segment(
        &mut self,
        now: Now,
        key: UnitKey,
        number: u16,
        data: &[u8],
    ) -> Result<Outcome, ReassemblyFault> {
        let outcome = self.take(now.mono, key, number, data);
        match &outcome {
            Ok(Outcome::Held | Outcome::Whole(_)) => {}
            Ok(Outcome::Duplicate) => self.counters.duplicates += 1,
            Err(_) => self.counters.refused += 1,
        }
        self.make_room(key);
        outcome
    }

    /// Drops what is too old.
    pub fn handle_wakeup(&mut self, now: Now) {
        while let Some((key, _)) = self.partials.iter().find(|(_, partial)| partial.drop_at() <= now.mono) {
            let key = *key;
            self.counters.aged += 1;
            self.remove(key);
        }
    }

    /// When the next unfinished unit is too old.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let at = self.partials.values().map(Partial::drop_at).min()?;
        Some(Wakeup { at, why: "unit unfinished" })
    }

    /// Unfinished units, and the octets they cost.
    pub fn depth(&self) -> (usize, usize) {
        (self.partials.len(), self.cost)
    }

    /// What was counted.
    pub fn counters(&self) -> ReassemblyCounters {
        self.counters
    }

    fn take(&mut self, now: Instant, key: UnitKey, number: u16, data: &[u8]) -> Result<Outcome, ReassemblyFault> {
        if data.is_empty() {
            return Err(ReassemblyFault::Empty);
        }
        let limit = self.limits.unit_octets.min(self.limits.source_octets);
        match self.partials.get(&key).map(|partial| (partial.segments.get(&number), partial.refused)) {
            // A first segment may be that of a new unit under a used number.
            Some((_, true)) if number != 0 => return Err(ReassemblyFault::Refused),
            Some((_, true)) => self.remove(key),
            Some((Some(held), false)) if held == data => return Ok(Outcome::Duplicate),
            Some((Some(_), false)) => {
                self.counters.contradictions += 1;
                self.remove(key);
            }
            Some((None, false)) | None => {}
        }
        let before = self.partials.get(&key).map_or(0, |partial| partial.cost);
        let partial = self.partials.entry(key).or_insert_with(|| Partial::new(now));
        let outcome = partial.add(now, number, data, limit);
        self.cost = self.cost + partial.cost - before;
        if let Ok(Outcome::Whole(_)) = outcome {
            self.remove(key);
        }
        outcome
    }

    /// Drops units until all limits hold; `key` is the one that has grown.
    fn make_room(&mut self, key: UnitKey) {
        loop {
            let of_source = || self.partials.iter().filter(|(other, _)| other.source == key.source);
            let (count, cost) =
                of_source().fold((0, 0), |(count, cost), (_, partial)| (count + 1, cost + partial.cost));
            let victim = if count > PARTIALS_PER_SOURCE_MAX || cost > self.limits.source_octets {
                oldest(of_source())
            } else if self.partials.len() > PARTIALS_MAX || self.cost > self.limits.octets {
                oldest(self.partials.iter())
            } else {
                return;
            };
            let Some(victim) = victim else { return };
            self.counters.evicted += 1;
            self.remove(victim);
        }
    }

    fn remove(&mut self, key: UnitKey) {
        if let Some(partial) = self.partials.remove(&key) {
            self.cost -= partial.cost;
        }
    }
}

fn oldest<'a>(partials: impl Iterator<Item = (&'a UnitKey, &'a Partial)>) -> Option<UnitKey> {
    partials.min_by_key(|(_, partial)| partial.touched).map(|(key, _)| *key)
}

impl Partial {
    fn new(now: Instant) -> Self {
        Self {
            segments: BTreeMap::new(),
            cost: SEGMENT_COST_OCTETS,
            in_a_row: 0,
            octets_in_a_row: 0,
            octets: 0,
            length: None,
            refused: false,
            began: now,
            touched: now,
        }
    }

    fn drop_at(&self) -> Instant {
        (self.touched + PARTIAL_IDLE).min(self.began + PARTIAL_AGE)
    }

    fn add(&mut self, now: Instant, number: u16, data: &[u8], limit: usize) -> Result<Outcome, ReassemblyFault> {
        self.touched = now;
        self.octets += data.len();
        self.cost += data.len() + SEGMENT_COST_OCTETS;
        // A copy: a slice would keep the whole read buffer alive for a few octets.
        self.segments.insert(number, Bytes::copy_from_slice(data));
        while let Some(segment) = u16::try_from(self.in_a_row).ok().and_then(|next| self.segments.get(&next)) {
            self.in_a_row += 1;
            self.octets_in_a_row += segment.len();
        }
        self.read_length();
        let announced = self.length.unwrap_or(0);
        if self.octets.max(announced) > limit.saturating_add(LENGTH_OCTETS) {
            return Err(self.refuse(ReassemblyFault::TooLarge { octets: self.octets.max(announced), limit }));
        }
        match self.length {
            Some(length) if self.octets > length => {
                Err(self.refuse(ReassemblyFault::BeyondEnd { octets: length - LENGTH_OCTETS }))
            }
            Some(length) if self.octets_in_a_row == length => Ok(Outcome::Whole(self.unit())),
            Some(_) | None => Ok(Outcome::Held),
        }
    }

    /// The length stands in the first four octets, which may lie in four segments.
    fn read_length(&mut self) {
        if self.length.is_some() || self.octets_in_a_row < LENGTH_OCTETS {
            return;
        }
        let length = self
            .segments
            .values()
            .flatten()
            .take(LENGTH_OCTETS)
            .fold(0, |length, &octet| length << 8 | usize::from(octet));
        self.length = Some(length + LENGTH_OCTETS);
    }

    fn unit(&self) -> Bytes {
        let mut unit = BytesMut::with_capacity(self.octets);
        for segment in self.segments.values() {
            unit.extend_from_slice(segment);
        }
        unit.freeze().slice(LENGTH_OCTETS..)
    }

    /// Keeps only the mark, so that the rest of the unit is not held.
    fn refuse(&mut self, fault: ReassemblyFault) -> ReassemblyFault {
        self.segments = BTreeMap::new();
        self.cost = SEGMENT_COST_OCTETS;
        self.refused = true;
        fault
    }
}

#[cfg(test)]
mod tests;

//! The units of one context towards one site, in their order.
//!
//! Promises: `Delivered` is told in the order of submission, and nothing is handed down while something before it has
//! to be repeated: a compressed stream bears no gap. A unit that was confirmed although one before it was not comes
//! again with that one: its receiver could make nothing of it. The priority in the node never rises inside a line, for
//! nodes let higher priorities pass; instead all units before an urgent one are as urgent as it is.

use std::collections::VecDeque;

use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::time::{Instant, Now};

use super::limits::EXPEDITED_MAX;
use crate::transport::{TransportFault, Unit, UnitTicket};

/// A unit that has not ended for its site.
#[derive(Debug)]
pub(super) struct Entry {
    /// Counts submissions of the link.
    pub(super) number: u64,
    pub(super) unit: Unit,
    pub(super) expires: Instant,
    pub(super) state: State,
    /// Chosen when it is first handed down; repeats have the same.
    pub(super) u_pdu_id: Option<u8>,
    pub(super) octets_sent: u64,
}

/// Where a unit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// To be handed down, for the first time or again.
    Waiting,
    /// In the hands of the node.
    InAir { priority: MtPriority, expedited: bool },
    /// The peer's node has it, but not yet something before it.
    Confirmed,
}

/// How a unit is to be handed down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Next {
    pub(super) number: u64,
    /// How urgent it is with all that waits behind it.
    pub(super) urgency: MtPriority,
    /// Its priority in the node.
    pub(super) priority: MtPriority,
    pub(super) expedited: bool,
    pub(super) octets: usize,
}

/// A line. See the module's page.
#[derive(Debug, Default)]
pub(super) struct Line {
    entries: VecDeque<Entry>,
}

impl Line {
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn octets(&self) -> usize {
        self.entries.iter().map(|entry| entry.unit.content.len()).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.number == number)
    }

    /// What goes next, if anything may.
    pub(super) fn next(&self, window: usize, may_expedite: bool) -> Option<Next> {
        let at = self.entries.iter().position(|entry| entry.state == State::Waiting)?;
        let in_air = |entry: &Entry| match entry.state {
            State::InAir { priority, expedited } => Some((priority, expedited)),
            State::Waiting | State::Confirmed => None,
        };
        // What was handed down behind it has to end first: it comes again after it.
        if self.entries.iter().skip(at).any(|entry| in_air(entry).is_some()) {
            return None;
        }
        let air: Vec<_> = self.entries.iter().filter_map(in_air).collect();
        if air.len() >= window {
            return None;
        }
        let urgency = self.entries.iter().skip(at).map(|entry| entry.unit.priority).max()?;
        let lowest = air.iter().map(|&(priority, _)| priority).min();
        let expedited = may_expedite
            && urgency.precedence() >= Precedence::Flash
            && air.len() < EXPEDITED_MAX
            && air.iter().all(|&(_, expedited)| expedited);
        let entry = self.entries.get(at)?;
        Some(Next {
            number: entry.number,
            urgency,
            priority: lowest.map_or(urgency, |lowest| lowest.min(urgency)),
            expedited,
            octets: entry.unit.content.len(),
        })
    }

    pub(super) fn raise(&mut self, ticket: UnitTicket, priority: MtPriority) {
        for entry in self.entries.iter_mut().filter(|entry| entry.unit.ticket == ticket) {
            entry.unit.priority = entry.unit.priority.max(priority);
        }
    }

    /// The peer's node has it. Yields the tickets that have now ended well, in order.
    pub(super) fn confirmed(&mut self, number: u64) -> Vec<UnitTicket> {
        let Some(at) = self.in_air(number) else { return Vec::new() };
        let early = self.entries.iter().take(at).any(|entry| entry.state == State::Waiting);
        if let Some(entry) = self.entries.get_mut(at) {
            entry.state = if early { State::Waiting } else { State::Confirmed };
        }
        self.ended()
    }

    /// Takes out what has ended well and has nothing open before it.
    pub(super) fn ended(&mut self) -> Vec<UnitTicket> {
        let mut ended = Vec::new();
        while self.entries.front().is_some_and(|entry| entry.state == State::Confirmed) {
            ended.extend(self.entries.pop_front().map(|entry| entry.unit.ticket));
        }
        ended
    }

    /// It did not get there, for all we know: it waits again, with everything that was confirmed behind it.
    pub(super) fn returned(&mut self, number: u64) {
        let Some(at) = self.in_air(number) else { return };
        let behind = self.entries.iter_mut().enumerate().skip(at);
        for (index, entry) in behind {
            if index == at || entry.state == State::Confirmed {
                entry.state = State::Waiting;
            }
        }
    }

    /// Takes a unit out, wherever it is; [`Line::ended`] follows, as it may have been the last before others.
    pub(super) fn remove(&mut self, number: u64) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.number == number)?;
        self.entries.remove(at)
    }

    /// The first that waits although its time has passed. What is in the air is awaited: it may get there.
    pub(super) fn expired(&self, now: Now) -> Option<u64> {
        let late = |entry: &&Entry| entry.state == State::Waiting && entry.expires <= now.mono;
        self.entries.iter().find(late).map(|entry| entry.number)
    }

    /// When the next one that waits expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let waiting = self.entries.iter().filter(|entry| entry.state == State::Waiting);
        waiting.map(|entry| entry.expires).min()
    }

    fn in_air(&self, number: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.number == number && matches!(entry.state, State::InAir { .. }))
    }
}

impl Entry {
    /// The fault of a unit that is above what the medium takes.
    pub(super) fn too_large(&self, limit: usize) -> Option<TransportFault> {
        let octets = self.unit.content.len();
        (octets > limit).then_some(TransportFault::TooLarge { octets, limit })
    }
}

//! One client's connection: its stream, its bind, what it has waiting, when it was last heard.

use super::super::limits::{BIND_WAIT, REQUEST_COST_OCTETS};
use super::SisServerConfig;
use crate::s5066::sis::fields::{Rank, SapId, ServiceType};
use crate::s5066::sis::frame::FrameReader;
use crate::s5066::sis::limits::KEEP_ALIVE_ANSWER;
use crate::time::{Instant, Now};

/// What a client bound with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Binding {
    pub(super) sap: SapId,
    pub(super) rank: Rank,
    pub(super) service: ServiceType,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) reader: FrameReader,
    pub(super) binding: Option<Binding>,
    pub(super) queued_octets: usize,
    pub(super) flow_off: bool,
    pub(super) invalid: u32,
    expedited: (Instant, u32),
    heard: Instant,
    /// When we asked whether it lives; it answers within 10 s.
    pub(super) asked: Option<Instant>,
}

impl Session {
    pub(super) fn new(now: Now) -> Self {
        Self {
            reader: FrameReader::new(),
            binding: None,
            queued_octets: 0,
            flow_off: false,
            invalid: 0,
            expedited: (now.mono, 0),
            heard: now.mono,
            asked: None,
        }
    }

    pub(super) fn heard(&mut self, now: Now) {
        self.heard = now.mono;
    }

    pub(super) fn is_bound_at(&self, sap: SapId) -> bool {
        self.binding.is_some_and(|binding| binding.sap == sap)
    }

    /// When silence becomes a matter: a client not bound is closed, a bound one asked, one that was asked unbound.
    pub(super) fn due(&self, config: &SisServerConfig) -> Option<Instant> {
        match (self.binding, self.asked) {
            (None, _) => config.keep_alive.map(|_| self.heard + BIND_WAIT),
            (Some(_), Some(asked)) => Some(asked + KEEP_ALIVE_ANSWER),
            (Some(_), None) => config.keep_alive.map(|span| self.heard + span),
        }
    }

    /// Counts a U_PDU that waits; says whether the client must be told to stop.
    pub(super) fn charge(&mut self, cost: usize, limit: usize) -> bool {
        self.queued_octets += cost;
        let switch = !self.flow_off && self.queued_octets > limit;
        self.flow_off |= switch;
        switch
    }

    /// Counts a U_PDU that no longer waits; says whether the client may be told to go on.
    pub(super) fn release(&mut self, cost: usize, limit: usize) -> bool {
        self.queued_octets = self.queued_octets.saturating_sub(cost);
        let switch = self.flow_off && self.queued_octets <= limit / 2;
        self.flow_off &= !switch;
        switch
    }

    /// Counts an expedited request; says whether they are too many.
    //= s5066/NODE-011
    pub(super) fn count_expedited(&mut self, now: Now, config: &SisServerConfig) -> bool {
        let (begin, count) = self.expedited;
        let fresh = now.mono.since(begin) >= config.expedited_window;
        self.expedited = if fresh { (now.mono, 1) } else { (begin, count + 1) };
        self.expedited.1 > config.expedited_max
    }
}

/// What a U_PDU of `octets` costs while it waits.
pub(super) const fn cost(octets: usize) -> usize {
    octets + REQUEST_COST_OCTETS
}

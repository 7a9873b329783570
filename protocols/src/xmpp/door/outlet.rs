//! What waits for one pair of domains, and where it stands on its way to a stream.

use std::collections::VecDeque;

use bytes::Bytes;

use super::event::ConnId;
use super::limits::{WAITING_OCTETS_MAX, WAITING_STANZAS_MAX};
use crate::time::Instant;
use crate::xmpp::stream::Question;

/// A stanza that waits; without a token it is the door's own.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub token: Option<u64>,
    pub octets: Bytes,
}

/// A place to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub target: String,
    pub direct_tls: bool,
}

/// Where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Nothing is under way.
    Idle,
    /// The server is looked up.
    LookUp,
    /// A stream of its own is being made, or it was wanted on another's.
    Opening(ConnId),
    /// Stanzas go out on this stream.
    Attached(ConnId),
    /// The last try failed.
    BackOff,
    /// The component's connection is not up.
    Component,
}

/// One pair's way out.
#[derive(Debug)]
pub(super) struct Outlet {
    pub waiting: VecDeque<Waiting>,
    pub octets: usize,
    pub place: Place,
    /// Places not tried yet in this round.
    pub targets: VecDeque<Target>,
    /// Keys to be asked about at its server.
    pub questions: VecDeque<Question>,
    /// Tries that failed since it last worked.
    pub failures: u32,
    /// Since when it is attached.
    pub since: Option<Instant>,
    /// Whether another's stream refused it, or kept silent: it then gets its own.
    pub alone: bool,
}

impl Outlet {
    pub(super) const fn new(place: Place) -> Self {
        Self {
            waiting: VecDeque::new(),
            octets: 0,
            place,
            targets: VecDeque::new(),
            questions: VecDeque::new(),
            failures: 0,
            since: None,
            alone: false,
        }
    }

    /// Takes a stanza, unless too much waits already.
    pub(super) fn push(&mut self, waiting: Waiting) -> bool {
        let octets = self.octets + waiting.octets.len();
        if self.waiting.len() >= WAITING_STANZAS_MAX || octets > WAITING_OCTETS_MAX {
            return false;
        }
        self.octets = octets;
        self.waiting.push_back(waiting);
        true
    }

    /// Gives the first stanza.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.octets -= waiting.octets.len();
        Some(waiting)
    }

    /// Whether it has any reason to be connected.
    pub(super) fn is_wanted(&self) -> bool {
        !self.waiting.is_empty() || !self.questions.is_empty()
    }
}

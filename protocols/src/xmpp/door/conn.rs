//! One connection of the door: its stream, what was written and is not confirmed, what arrived and is not taken.

use std::collections::VecDeque;
use std::net::IpAddr;

use bytes::Bytes;

use super::event::StreamView;
use crate::time::Instant;
use crate::xmpp::component::Component;
use crate::xmpp::stream::end::StreamEnd;
use crate::xmpp::stream::{Pair, Role, S2s};

/// What runs on a connection.
#[derive(Debug)]
pub(super) enum Stream {
    /// The component with this index in the configuration.
    Component(usize, Box<Component>),
    /// A stream between servers.
    Server(Box<S2s>),
}

impl Stream {
    pub(super) fn opened(&mut self) {
        match self {
            Self::Component(_, component) => component.opened(),
            Self::Server(stream) => stream.opened(),
        }
    }

    pub(super) fn read(&mut self, octets: &[u8]) {
        match self {
            Self::Component(_, component) => component.read(octets),
            Self::Server(stream) => stream.read(octets),
        }
    }

    pub(super) fn end(&mut self, why: StreamEnd) {
        match self {
            Self::Component(_, component) => component.end(why),
            Self::Server(stream) => stream.end(why),
        }
    }

    pub(super) fn lost(&mut self, why: StreamEnd) {
        match self {
            Self::Component(_, component) => component.lost(why),
            Self::Server(stream) => stream.lost(why),
        }
    }

    pub(super) fn poll_write(&mut self) -> Option<Bytes> {
        match self {
            Self::Component(_, component) => component.poll_write(),
            Self::Server(stream) => stream.poll_write(),
        }
    }

    pub(super) fn keep_alive(&mut self) {
        match self {
            Self::Component(_, component) => component.send(b" "),
            Self::Server(stream) => stream.keep_alive(),
        }
    }

    pub(super) fn is_inside(&self) -> bool {
        match self {
            Self::Component(_, component) => component.is_inside(),
            Self::Server(stream) => stream.is_inside(),
        }
    }

    pub(super) const fn items(&self) -> u64 {
        match self {
            Self::Component(_, component) => component.items(),
            Self::Server(stream) => stream.items(),
        }
    }

    /// Writes a stanza; whether it will be confirmed.
    pub(super) fn send(&mut self, octets: &[u8]) -> bool {
        match self {
            Self::Component(_, component) => {
                component.send(octets);
                false
            }
            Self::Server(stream) => stream.send(octets),
        }
    }

    pub(super) fn server(&mut self) -> Option<&mut S2s> {
        match self {
            Self::Component(..) => None,
            Self::Server(stream) => Some(stream),
        }
    }

    pub(super) fn stanza_octets_max(&self) -> usize {
        match self {
            Self::Component(..) => crate::xmpp::limits::LAN_STANZA_OCTETS_MAX,
            Self::Server(stream) => stream.stanza_octets_max(),
        }
    }
}

/// A stanza that was written and is not confirmed.
#[derive(Debug)]
pub(super) struct Flown {
    pub token: Option<u64>,
    pub octets: usize,
    /// Whether the peer will confirm it; else it is with the peer when it has left.
    pub managed: bool,
    /// Which write of the connection took it along.
    pub write: u64,
}

/// A stanza that arrived and is not taken.
#[derive(Debug)]
pub(super) struct Untaken {
    pub arrival: u64,
    pub octets: usize,
    pub taken: bool,
}

/// Who connected, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    pub address: IpAddr,
    pub at: Instant,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub stream: Stream,
    /// Set if we accepted it.
    pub accepted: Option<Accepted>,
    pub flown: VecDeque<Flown>,
    pub flown_octets: usize,
    /// Writes asked of the connection so far.
    pub writes: u64,
    pub untaken: VecDeque<Untaken>,
    pub untaken_octets: usize,
    pub paused: bool,
    /// Items read when somebody last looked.
    pub items: u64,
    /// Stanzas that broke a limit.
    pub skipped: u64,
    /// Whether the connection itself is gone: nothing can be written or closed any more.
    pub gone: bool,
    /// Pairs whose stanzas go out here.
    pub pairs: Vec<Pair>,
}

impl Conn {
    pub(super) const fn new(stream: Stream, accepted: Option<Accepted>) -> Self {
        Self {
            stream,
            accepted,
            flown: VecDeque::new(),
            flown_octets: 0,
            writes: 0,
            untaken: VecDeque::new(),
            untaken_octets: 0,
            paused: false,
            items: 0,
            skipped: 0,
            gone: false,
            pairs: Vec::new(),
        }
    }

    /// The first written stanzas that the peer confirms, so many at most.
    pub(super) fn confirm(&mut self, at_most: usize) -> Vec<u64> {
        let mut left = at_most;
        self.settle(|flown| {
            let confirmed = flown.managed && left > 0;
            left -= usize::from(confirmed);
            confirmed
        })
    }

    /// What nobody will confirm and the first so many writes took along.
    pub(super) fn left(&mut self, writes: u64) -> Vec<u64> {
        self.settle(|flown| !flown.managed && flown.write <= writes)
    }

    /// Forgets the written stanzas that are done with; their tokens.
    fn settle(&mut self, mut is_done: impl FnMut(&Flown) -> bool) -> Vec<u64> {
        let mut confirmed = Vec::new();
        let mut kept = VecDeque::new();
        for flown in std::mem::take(&mut self.flown) {
            if is_done(&flown) {
                self.flown_octets -= flown.octets;
                confirmed.extend(flown.token);
            } else {
                kept.push_back(flown);
            }
        }
        self.flown = kept;
        confirmed
    }

    /// Marks a stanza as taken; how many at the front are taken by that.
    pub(super) fn take(&mut self, arrival: u64) -> u32 {
        if let Some(untaken) = self.untaken.iter_mut().find(|untaken| untaken.arrival == arrival) {
            untaken.taken = true;
        }
        let mut taken = 0;
        while self.untaken.front().is_some_and(|untaken| untaken.taken) {
            let octets = self.untaken.pop_front().map_or(0, |untaken| untaken.octets);
            self.untaken_octets -= octets;
            taken += 1;
        }
        taken
    }

    pub(super) fn view(&self, connection: u64, name: &dyn Fn(usize) -> String) -> StreamView {
        let (unconfirmed, untaken) = (self.flown.len(), self.untaken.len());
        match &self.stream {
            Stream::Component(index, component) => StreamView {
                connection,
                direction: "component",
                ours: name(*index),
                theirs: String::new(),
                secured: false,
                authenticated: if component.is_up() { "handshake" } else { "none" },
                bidi: true,
                stream_management: false,
                unconfirmed,
                untaken,
            },
            Stream::Server(stream) => StreamView {
                connection,
                direction: if stream.role() == Role::Initiating { "outgoing" } else { "incoming" },
                ours: stream.pair().ours.clone(),
                theirs: stream.pair().theirs.clone(),
                secured: stream.is_secured(),
                authenticated: stream.authenticated(),
                bidi: stream.is_bidi(),
                stream_management: stream.is_managed(),
                unconfirmed,
                untaken,
            },
        }
    }
}

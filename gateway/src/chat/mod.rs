//! Chat at one site: [`Chat`] stands between the local XMPP servers and the far sites.
//!
//! ```text
//! local server → fast (door) → outward (filter, presence, queue) → on disk → slow (session) → link
//! link → slow (session) → on disk → inward (filter, presence) → queue::local → fast (door) → local server
//! ```
//!
//! Over a fast stream what goes to the link leaves while it is being saved ([`gather`]).
//!
//! Promises: what a local server was told is taken is on disk if its kind is kept there ([`fate`]), and is then sent,
//! answered with an error, or still on disk, whatever crashes; what came by a link is confirmed to the far site only once
//! it is on disk; order inside a conversation is kept both ways; nothing is sent that was not asked for. Everything that
//! one input changes on disk is one batch ([`work`]), so that a session's records and the rows they speak of never
//! disagree. Pure: the node carries octets, batches and units. Limits: [`limits`].
//!
//! [`fate`]: skywave_protocols::xmpp::fate

pub mod config;
mod confusable;
mod fast;
mod gather;
mod held;
mod inward;
mod keyed;
pub mod limits;
pub mod lines;
pub mod numbers;
pub mod operator;
mod outward;
mod peers;
pub mod queue;
mod reached;
mod recent;
pub mod record;
pub mod restore;
mod show;
mod slow;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::random::Random;
use skywave_protocols::time::{Now, Wakeup};
use skywave_protocols::xmpp::door::{ConnId, ConnInput, Door, DoorOutput, Found};
use skywave_protocols::xmpp::local::Gateway;
use skywave_transports::io::Write;
use skywave_transports::transport::ArrivalId;

use crate::telemetry::Event;

use config::ChatConfig;
use keyed::Keyed;
use numbers::Numbers;
use peers::Peer;
use queue::local::LocalQueue;
use reached::Reached;
use recent::Recent;
use work::{Pending, Work};

pub use inward::BY_UNIT;
pub use slow::{BY_FAR_GATEWAY, LinkState};

/// Which of a peer's links is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    /// The first link for its stream.
    Stream,
    /// The link for single units while it keeps silence.
    Units,
    /// Another link for a stream, by its place in the configuration.
    Alternate(u8),
}

/// A peer's index and one of its links.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Line {
    /// The peer's index in the configuration.
    pub peer: usize,
    /// Which link.
    pub way: Way,
}

/// What chat asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum ChatOutput {
    /// Of the door: connections and names; never an event.
    Door(DoorOutput),
    /// Make changes durable as one batch.
    Store {
        /// Its number; answered by `stored` or `store_failed`, unless it is kept.
        number: u64,
        /// The changes.
        writes: Vec<Write>,
        /// It only notes what has happened, and must be stored in the end; nothing is answered.
        keep: bool,
        /// Somebody urgent waits.
        urgent: bool,
    },
    /// A unit for a link.
    Unit(Line, ChatUnit),
    /// An arrived unit is on disk.
    Accept(Line, ArrivalId),
    /// Whether something waits for a link that connects on demand.
    Wanted(Line, bool),
    /// The stream of a link cannot go on; its connection, if it has one, begins anew.
    Reset(Line),
    /// Something happened.
    Tell(Event),
}

/// A unit for a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChatUnit {
    /// Unique at this site for ever.
    pub ticket: u64,
    /// How urgent.
    pub priority: MtPriority,
    /// Units of one context keep their order.
    pub context: u16,
    /// The octets.
    pub content: Bytes,
}

/// Chat at one site. See the module.
pub struct Chat {
    config: ChatConfig,
    /// What it says of itself.
    gateway: Gateway,
    door: Door,
    /// A dialback secret and a generator for the door, used when the disk shows what is kept of earlier runs.
    fresh: (String, Keyed),
    peers: Vec<Peer>,
    numbers: Numbers,
    local: LocalQueue,
    work: Work,
    pending: BTreeMap<u64, Pending>,
    batches: u64,
    /// Units handed to links and not settled: the session's number of each.
    units: BTreeMap<u64, (Line, u64)>,
    out: VecDeque<ChatOutput>,
    /// Addresses told of because they look like others.
    confusables: BTreeSet<String>,
    recent: Recent,
    reached: Reached,
    ready: bool,
    stopping: bool,
}

impl Chat {
    /// Chat that has seen nothing yet. Its rows come with [`Chat::restore`], then [`Chat::start`] begins.
    pub fn new(config: ChatConfig, now: Now, random: &mut dyn Random) -> Self {
        let mut out = VecDeque::new();
        let gateway = Gateway { domain: Some(config.domain.clone()), started: now.wall, ..Gateway::default() };
        let mut peers = Vec::new();
        for peer in &config.peers {
            match Peer::new(peer.clone(), &gateway, &mut || Box::new(Keyed::new(random))) {
                Ok(peer) => peers.push(peer),
                // What the configuration's check lets through can be built: nobody sees this.
                Err(why) => out.push_back(ChatOutput::Tell(Event::Notice {
                    part: peer.name.to_string(),
                    alarm: true,
                    name: "peer_unusable".to_owned(),
                    detail: why,
                })),
            }
        }
        Self {
            door: Door::new(config.door.clone(), Box::new(Keyed::new(random))),
            fresh: (Keyed::secret(random), Keyed::new(random)),
            local: LocalQueue::new(config.local_stanzas_max),
            config,
            gateway,
            peers,
            numbers: Numbers::default(),
            work: Work::default(),
            pending: BTreeMap::new(),
            batches: 0,
            units: BTreeMap::new(),
            out,
            confusables: BTreeSet::new(),
            recent: Recent::default(),
            reached: Reached::default(),
            ready: false,
            stopping: false,
        }
    }

    /// Its configuration.
    pub const fn config(&self) -> &ChatConfig {
        &self.config
    }

    /// A server connected.
    pub fn accepted(&mut self, now: Now, conn: ConnId, direct_tls: bool, peer: std::net::SocketAddr) {
        self.door.accepted(now, conn, direct_tls, peer);
        self.settle(now);
    }

    /// Of a connection of the door.
    pub fn handle_connection(&mut self, now: Now, conn: ConnId, input: ConnInput) {
        self.door.handle(now, conn, input);
        self.settle(now);
    }

    /// A name that the door asked for.
    pub fn resolved(&mut self, now: Now, number: u64, found: Found) {
        self.door.resolved(now, number, found);
        self.settle(now);
    }

    /// A time has come.
    pub fn handle_wakeup(&mut self, now: Now) {
        if self.door.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
            self.door.handle_wakeup(now);
        }
        self.peers_due(now);
        self.settle(now);
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let gives = self.ready && !self.stopping;
        let paused = self.local.next_wakeup().filter(|_| gives).map(|at| Wakeup { at, why: "local server again" });
        let door = if self.ready { self.door.next_wakeup() } else { None };
        let peers = self.peers.iter().map(Peer::next_wakeup);
        peers.chain([door, paused]).fold(None, Wakeup::earlier)
    }

    /// The next thing it asks for.
    pub fn poll(&mut self) -> Option<ChatOutput> {
        self.out.pop_front()
    }

    /// The end in good order: streams of local servers and of far sites end, nothing new is taken or given. Rows stay where they are.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        for index in 0..self.peers.len() {
            self.write_gathered(now, index, true);
        }
        self.door.stop(now);
        for peer in &mut self.peers {
            peer.close();
        }
        self.settle(now);
    }

    /// Whether the ends of streams are still on their way to the links.
    pub fn is_closing(&self) -> bool {
        self.peers.iter().any(Peer::is_closing)
    }

    /// Takes everything its parts have to say until none has more, then writes what changed as one batch.
    fn settle(&mut self, now: Now) {
        loop {
            let mut moved = self.drain_door(now);
            for peer in 0..self.peers.len() {
                moved |= self.drain_sessions(now, peer);
            }
            for peer in 0..self.peers.len() {
                moved |= self.write_gathered(now, peer, false);
            }
            moved |= self.give(now);
            moved |= self.resume_held(now);
            moved |= self.watch_reach(now);
            if moved {
                continue;
            }
            self.note_presence();
            match self.flush() {
                // Nothing had to be written: what would follow the write follows now.
                Some(pending) => self.follow(now, pending),
                None => break,
            }
        }
        for index in 0..self.peers.len() {
            self.tell_wanted(index);
            if let Some(peer) = self.peers.get_mut(index) {
                peer.watch_marks(now);
            }
        }
    }

    fn tell(&mut self, event: Event) {
        self.out.push_back(ChatOutput::Tell(event));
    }

    fn notice(&mut self, part: &str, alarm: bool, name: &str, detail: String) {
        self.tell(Event::Notice { part: part.to_owned(), alarm, name: name.to_owned(), detail });
    }
}

//! The channel access sublayer: physical links with other nodes, made and broken (Annex B, fact sheet section 3).
//!
//! A link is a duty of two nodes towards each other: while it lasts, both keep the state of their ARQ. The layer above
//! says which links it wants; other nodes ask for theirs. A link is exclusive (a hard link) or not (a soft link); an
//! exclusive one keeps others from asking. Ways to make one, by peer ([`LinkSetup`]): the handshake of the standard, data
//! riding with the request (between two nodes of ours), and none at all (point to point; with a foreign node by a reset).
//!
//! Promises: every [`CasOutput::Connected`] of a peer is followed by one [`CasOutput::Disconnected`] before the next;
//! every link wanted is connected, refused, or waits for an end of silence, of an exclusive link, or for room. In EMCON
//! nothing is handed down and no time runs. Refuses: groups, requests beyond the limits, requests while an exclusive
//! link is held. Limits: `limits.rs` of the node.
//!
//! ```text
//! caller                     called                caller, riding              called
//!   |--- REQUEST ------------->| linked              |--- data that asks for 3 -->| linked
//!   |<-- ACCEPTED -------------|                     |<-- ack that answers 3 -----|
//!   |--- data ---------------->|                     |--- data ------------------>|
//! ```

mod config;
mod requests;
mod soft;
mod state;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use super::cpdu::{LinkBreak, LinkMessage, LinkRejection};
use super::limits::{
    LINK_MESSAGE_AGE_MAX, LINK_MESSAGES_UNSENT_MAX, LINK_PEERS_MAX, LINK_WARNING_GAP, LINK_WARNINGS_MAX,
    LINK_WARNINGS_SPAN, RIDES_PLAIN_EVERY,
};
use super::mark::{LINK_NUMBER_MAX, Mark};
use crate::random::{Random as _, Seeded};
use crate::s5066::address::NodeAddress;
use crate::time::{Instant, Now};
pub use config::{CasConfig, LinkSetup};
use state::On;
pub use state::State;

/// What the sublayer wants done, or tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CasOutput {
    /// Send this to a node, by the expedited non-ARQ service; [`Cas::sent`] says that it has left.
    Send {
        /// To whom.
        peer: NodeAddress,
        /// The C_PDU.
        message: LinkMessage,
    },
    /// Whatever was to be sent to a node and has not left is out of date: it is not sent.
    Withdraw {
        /// To whom.
        peer: NodeAddress,
    },
    /// A link is made: the ARQ with this node begins anew.
    Connected {
        /// With whom.
        peer: NodeAddress,
        /// A hard link.
        exclusive: bool,
        /// We asked for it.
        by_us: bool,
    },
    /// A link that was wanted is not to be had; it is wanted no more.
    Refused {
        /// With whom.
        peer: NodeAddress,
        /// Why.
        reason: LinkRefusal,
    },
    /// A link is gone: nothing that was not acknowledged will be.
    Disconnected {
        /// With whom.
        peer: NodeAddress,
        /// Why.
        reason: LinkEnd,
    },
}

/// Why a link cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkRefusal {
    /// The other node, or this one, will not.
    Rejected(LinkRejection),
    /// The other node does not answer.
    NotResponding,
    /// A group, or the node itself.
    Address,
}

/// Why a link is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkEnd {
    /// We broke it.
    Released(LinkBreak),
    /// The other node broke it.
    Broken(LinkBreak),
    /// The other node refuses what we thought made.
    Rejected {
        /// Why.
        reason: LinkRejection,
        /// An answer was missing before: perhaps it had accepted then, and has some of the data.
        late: bool,
    },
    /// A new link with the same node takes its place.
    Replaced,
    /// The other node knows of no link.
    Unconnected,
    /// It was given up without a word, to make room.
    Crowded,
}

/// What the sublayer counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct CasCounters {
    /// Links made.
    pub made: u64,
    /// Links that could not be had.
    pub refused: u64,
    /// Requests of others that we rejected.
    pub rejected: u64,
    /// Links of ours that the other node knew nothing of.
    pub unconnected: u64,
    /// C_PDUs that meant nothing here, or were more than may wait.
    pub ignored: u64,
}

/// A link as operators see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct LinkView {
    /// With whom.
    pub peer: NodeAddress,
    /// How far it is.
    pub state: State,
    /// A hard link.
    pub exclusive: bool,
    /// We asked for it.
    pub by_us: bool,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug)]
struct Peer {
    state: State,
    exclusive: bool,
    by_us: bool,
    /// The link was made by agreement alone.
    skipped: bool,
    /// Data rode with our request for it.
    rode: bool,
    /// Data rode, and an answer to it was missing.
    unanswered: bool,
    /// The number of the last request of ours for a link that is not exclusive.
    number: u16,
    /// The number in the request of theirs that made the link; 0 for none.
    their_number: u16,
    /// The number of its last request that was accepted, also when that link has ended.
    accepted: u16,
    /// It asked for a link, or accepted ours, without a number, or its links are made by a reset: it is no node of ours.
    foreign: bool,
    /// It asked under that number when it was heard last: perhaps it does not know that we accept.
    asks: bool,
    /// Such a link of its has ended here since: what it sent on that may come again with what it sends next.
    unaware: bool,
    /// Data moved on this link.
    moved: bool,
    made_at: Instant,
    moved_at: Instant,
    /// When the answer awaited is missing.
    deadline: Option<Instant>,
    /// How often we asked again.
    tries: u32,
    /// Since when it was believed how often that it knows of no link.
    warned: (Instant, u32),
    /// What we break it for.
    breaking_for: LinkBreak,
    /// A link is wanted and not begun; whether it is to be exclusive.
    wanted: Option<bool>,
}

impl Peer {
    const fn new(number: u16) -> Self {
        Self {
            state: State::Idle,
            exclusive: false,
            by_us: false,
            skipped: false,
            rode: false,
            unanswered: false,
            number,
            their_number: 0,
            accepted: 0,
            foreign: false,
            asks: false,
            unaware: false,
            moved: false,
            made_at: Instant::ZERO,
            moved_at: Instant::ZERO,
            deadline: None,
            tries: 0,
            warned: (Instant::ZERO, 0),
            breaking_for: LinkBreak::Unknown,
            wanted: None,
        }
    }

    /// What is kept of it whatever becomes of its links.
    const fn anew(&self, number: u16) -> Self {
        let unaware = self.unaware || self.asks;
        Self { warned: self.warned, accepted: self.accepted, foreign: self.foreign, unaware, ..Self::new(number) }
    }

    /// Somebody above was told that it is connected.
    const fn is_up(&self) -> bool {
        matches!(self.state, State::Linked | State::Riding)
    }

    /// It takes a place among the links.
    const fn is_link(&self) -> bool {
        matches!(self.state, State::Linked | State::Riding | State::Calling)
    }
}

/// The sublayer. See the module's page.
#[derive(Debug)]
pub struct Cas {
    config: CasConfig,
    random: Seeded,
    peers: BTreeMap<NodeAddress, Peer>,
    /// What was handed down and has not left, and since when.
    unsent: BTreeMap<(NodeAddress, LinkMessage), Instant>,
    silent: bool,
    counters: CasCounters,
    outputs: VecDeque<CasOutput>,
}

impl Cas {
    /// No links.
    pub fn new(config: CasConfig, random: Seeded) -> Self {
        Self {
            config,
            random,
            peers: BTreeMap::new(),
            unsent: BTreeMap::new(),
            silent: false,
            counters: CasCounters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// A link with `peer` is wanted. One that is there already, and exclusive if that is wanted, is not told again.
    pub fn want(&mut self, now: Now, peer: NodeAddress, exclusive: bool) {
        if peer.is_group() || peer == self.config.address {
            return self.refuse(peer, LinkRefusal::Address);
        }
        if self.config.broadcast_only {
            return self.refuse(peer, LinkRefusal::Rejected(LinkRejection::BroadcastOnly));
        }
        if !self.admit(peer) {
            return self.refuse(peer, LinkRefusal::Rejected(LinkRejection::Unknown));
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.wanted = Some(known.wanted.unwrap_or_default() || exclusive);
        }
        self.begin(now, peer);
    }

    /// The link with `peer` is not wanted any more, nor any that was wanted.
    pub fn release(&mut self, now: Now, peer: NodeAddress, reason: LinkBreak) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.wanted = None;
        }
        self.end(now, peer, reason);
        self.begin_all(now);
    }

    /// What was handed down for `peer` has left: the time of the answer begins.
    pub fn sent(&mut self, now: Now, peer: NodeAddress) {
        self.unsent.retain(|&(known, _), _| known != peer);
        let (request_wait, break_wait) = (self.config.request_wait, self.config.break_wait);
        if let Some(known) = self.peers.get_mut(&peer) {
            match known.state {
                State::Calling => known.deadline = Some(now.mono + request_wait),
                State::Breaking => known.deadline = Some(now.mono + break_wait),
                State::Idle | State::Riding | State::Linked => {}
            }
        }
    }

    /// A C_PDU of types 1 to 5 came.
    pub fn heard(&mut self, now: Now, source: NodeAddress, message: LinkMessage) {
        if source.is_group() || source == self.config.address {
            self.counters.ignored += 1;
            return;
        }
        match message {
            LinkMessage::Request { .. } if self.silent => self.counters.ignored += 1,
            LinkMessage::Request { exclusive, number } => self.on_request(now, source, exclusive, number),
            LinkMessage::Accepted { number } => self.on_accepted(now, source, number),
            LinkMessage::Rejected(reason) => self.on_rejected(source, reason),
            LinkMessage::Break(reason) => self.on_break(now, source, reason),
            LinkMessage::BreakConfirm => {
                self.peers.get_mut(&source).into_iter().for_each(|known| known.unaware = false);
                self.go(source, On::BreakConfirmed);
            }
        }
        self.begin_all(now);
    }

    /// A D_PDU of the ARQ (types 0 to 5) came from `peer`, with what it says of its link; it `answers` if it acknowledges
    /// or is about resets. Said before the ARQ takes it: `false` where it must not, since it is of another link than the
    /// one that we have. What finds no link goes to the ARQ, which warns its sender.
    //= s5066/CAS-007
    pub fn data_heard(&mut self, now: Now, peer: NodeAddress, mark: Option<Mark>, answers: bool) -> bool {
        if peer.is_group() || peer == self.config.address {
            return true;
        }
        let is_down = self.peers.get(&peer).is_none_or(|known| known.state == State::Idle);
        let is_agreed = matches!(self.config.setup_of(peer), LinkSetup::Skip | LinkSetup::Reset);
        if is_down && mark.is_none() && is_agreed && !self.config.broadcast_only && self.admit(peer) {
            self.start(now, peer, LinkSetup::Reset, false, false);
        }
        let takes = match mark {
            Some(Mark::Asks(number)) => self.on_asking(now, peer, number),
            Some(Mark::Answers(number)) => self.on_answering(now, peer, number),
            None => self.on_unmarked(now, peer, answers),
        };
        if let Some(known) = self.peers.get_mut(&peer).filter(|known| takes && known.state == State::Linked) {
            (known.moved, known.moved_at) = (true, now.mono);
        }
        takes
    }

    /// Whether a D_PDU that may be taken still is of the link that there is: what its link changed above may have ended it.
    pub fn still_takes(&self, peer: NodeAddress, mark: Option<Mark>) -> bool {
        self.peers.get(&peer).is_none_or(|known| match mark {
            Some(Mark::Asks(number)) => known.state == State::Linked && known.their_number == number,
            Some(Mark::Answers(_)) | None => known.state != State::Riding,
        })
    }

    /// `peer` warned that it knows of no link with us (D_PDU type 15, reason 1): it is made anew.
    //= s5066/CAS-008
    pub fn peer_unconnected(&mut self, now: Now, peer: NodeAddress) {
        if let Some(known) = self.peers.get_mut(&peer).filter(|known| known.state == State::Riding) {
            // It understood nothing of what data says: the next one has a request in front.
            known.tries = known.tries.max(1);
        }
        let Some(known) = self.peers.get(&peer).copied().filter(|known| known.state == State::Linked) else { return };
        let is_new = now.mono.since(known.made_at) < LINK_WARNING_GAP;
        if is_new || !self.believes(now, peer) || !self.go(peer, On::Unconnected) {
            self.counters.ignored += 1;
            return;
        }
        self.counters.unconnected += 1;
        self.tell_down(peer, LinkEnd::Unconnected);
        let setup = match self.config.setup_of(peer) {
            LinkSetup::Ride if !known.exclusive => LinkSetup::Ride,
            LinkSetup::Skip if known.rides() => LinkSetup::Skip,
            LinkSetup::Ride | LinkSetup::Skip | LinkSetup::Reset | LinkSetup::Handshake => LinkSetup::Handshake,
        };
        if setup == LinkSetup::Handshake && self.silent {
            if let Some(known) = self.peers.get_mut(&peer) {
                known.wanted = Some(known.exclusive);
            }
            return;
        }
        self.start(now, peer, setup, known.exclusive, true);
    }

    /// Whether a node may still say that it knows of no link; counted if so.
    fn believes(&mut self, now: Now, peer: NodeAddress) -> bool {
        let Some(known) = self.peers.get_mut(&peer) else { return false };
        if now.mono.since(known.warned.0) > LINK_WARNINGS_SPAN {
            known.warned = (now.mono, 0);
        }
        known.warned.1 += 1;
        known.warned.1 <= LINK_WARNINGS_MAX
    }

    /// The node begins or ends its silence (EMCON).
    //= s5066/CAS-009
    pub fn set_silent(&mut self, now: Now, silent: bool) {
        if std::mem::replace(&mut self.silent, silent) == silent {
            return;
        }
        let known: Vec<NodeAddress> = self.peers.keys().copied().collect();
        if silent {
            let unsent: Vec<NodeAddress> = self.unsent.keys().map(|&(peer, _)| peer).collect();
            unsent.into_iter().for_each(|peer| self.withdraw(peer));
            return;
        }
        for peer in known {
            let Some(known) = self.peers.get_mut(&peer) else { continue };
            known.moved_at = now.mono;
            let (state, exclusive, reason) = (known.state, known.exclusive, known.breaking_for);
            match state {
                State::Calling => self.send(now, peer, LinkMessage::Request { exclusive, number: 0 }),
                State::Breaking => self.send(now, peer, LinkMessage::Break(reason)),
                State::Idle | State::Riding | State::Linked => {}
            }
        }
        self.begin_all(now);
    }

    /// The request that stands in front of the data of a transmission for `peer`, until it is accepted. The first time
    /// what data says of its link is enough; after that it is the standard's own, which also nodes take that know nothing
    /// of numbers. `always`: the D_PDU of the request has something else to say; then every other one has the number.
    //= s5066/CAS-007
    pub fn ride(&self, peer: NodeAddress, always: bool) -> Option<LinkMessage> {
        let known = self.peers.get(&peer).filter(|known| known.state == State::Riding)?;
        let is_plain = known.tries % RIDES_PLAIN_EVERY == RIDES_PLAIN_EVERY - 1;
        let number = if is_plain || !always { 0 } else { known.number };
        (always || known.tries > 0).then_some(LinkMessage::Request { exclusive: false, number })
    }

    /// What D_PDUs to `peer` say of the link that one of us asks for, until the caller knows that it is made. A request of
    /// the standard is told by it from its repetition, where both nodes are ours.
    //= s5066/CAS-007
    pub fn mark(&self, peer: NodeAddress) -> Option<Mark> {
        let known = self.peers.get(&peer)?;
        match known.state {
            State::Riding => Some(Mark::Asks(known.number)),
            State::Calling if !known.exclusive => Some(Mark::Asks(known.number)),
            State::Linked if known.asks => Some(Mark::Answers(known.their_number)),
            State::Idle | State::Calling | State::Linked | State::Breaking => None,
        }
    }

    /// Whether a link is there by agreement alone: nothing says that the other node begins it too.
    pub fn is_agreed(&self, peer: NodeAddress) -> bool {
        self.peers.get(&peer).is_some_and(|known| known.is_up() && known.skipped && !known.rides())
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<CasOutput> {
        self.outputs.pop_front()
    }

    /// All links, made and being made.
    pub fn links(&self) -> impl Iterator<Item = LinkView> + '_ {
        let is_there = |(_, known): &(&NodeAddress, &Peer)| known.state != State::Idle;
        self.peers.iter().filter(is_there).map(|(&peer, known)| LinkView {
            peer,
            state: known.state,
            exclusive: known.exclusive,
            by_us: known.by_us,
        })
    }

    /// What was counted.
    pub const fn counters(&self) -> CasCounters {
        self.counters
    }

    /// Begins a link, whatever stood before. `by_us`: the layer above wants it.
    fn start(&mut self, now: Now, peer: NodeAddress, setup: LinkSetup, exclusive: bool, by_us: bool) {
        let Some(known) = self.peers.get(&peer).copied() else { return };
        let on = match setup {
            LinkSetup::Handshake => On::Call,
            LinkSetup::Ride | LinkSetup::Skip => On::Ride,
            LinkSetup::Reset => On::Skip,
        };
        if !self.go(peer, on) {
            return;
        }
        if known.is_up() {
            self.tell_down(peer, LinkEnd::Replaced);
        }
        let skipped = matches!(setup, LinkSetup::Skip | LinkSetup::Reset);
        let rode = matches!(setup, LinkSetup::Ride | LinkSetup::Skip);
        let is_numbered = rode || setup == LinkSetup::Handshake && !exclusive;
        let number = if is_numbered { known.number % LINK_NUMBER_MAX + 1 } else { known.number };
        // Where `skip` is said this may be a node of ours that remembers a link.
        let foreign = known.foreign || self.config.setup_of(peer) == LinkSetup::Reset;
        if let Some(known) = self.peers.get_mut(&peer) {
            *known = Peer { state: known.state, exclusive, by_us, skipped, rode, foreign, ..known.anew(number) };
            (known.made_at, known.moved_at) = (now.mono, now.mono);
        }
        match setup {
            LinkSetup::Handshake => self.send(now, peer, LinkMessage::Request { exclusive, number: 0 }),
            LinkSetup::Ride | LinkSetup::Skip | LinkSetup::Reset => self.tell_up(peer),
        }
    }

    /// Ends a link of ours, with a word where there is somebody to hear it.
    fn end(&mut self, now: Now, peer: NodeAddress, reason: LinkBreak) {
        let Some(known) = self.peers.get(&peer).copied() else { return };
        let is_mute = self.silent || known.skipped || self.is_unasked(peer);
        let on = if is_mute { On::Drop } else { On::Release };
        if !self.go(peer, on) {
            return;
        }
        if known.is_up() {
            self.tell_down(peer, LinkEnd::Released(reason));
        }
        if let Some(known) = self.peers.get_mut(&peer).filter(|known| known.state == State::Breaking) {
            (known.breaking_for, known.tries) = (reason, 0);
            self.send(now, peer, LinkMessage::Break(reason));
        }
    }

    /// Moves a link as the table says. `false` when the event means nothing here.
    fn go(&mut self, peer: NodeAddress, on: On) -> bool {
        let after = self.peers.get(&peer).and_then(|known| known.state.after(on));
        let (Some(after), Some(known)) = (after, self.peers.get_mut(&peer)) else {
            self.counters.ignored += 1;
            return false;
        };
        let is_change = known.state != after;
        known.state = after;
        known.deadline = None;
        if is_change {
            self.withdraw(peer);
        }
        true
    }

    /// Takes back what was handed down for `peer` and has not left.
    fn withdraw(&mut self, peer: NodeAddress) {
        let before = self.unsent.len();
        self.unsent.retain(|&(known, _), _| known != peer);
        if self.unsent.len() != before {
            self.outputs.push_back(CasOutput::Withdraw { peer });
        }
    }

    /// Whether our first request to `peer` has not left.
    fn is_unasked(&self, peer: NodeAddress) -> bool {
        let is_first = self.peers.get(&peer).is_some_and(|known| known.state == State::Calling && known.tries == 0);
        let is_request = |message: &LinkMessage| matches!(message, LinkMessage::Request { .. });
        is_first && self.unsent.keys().any(|(known, message)| *known == peer && is_request(message))
    }

    /// Hands a C_PDU down, unless the same is on its way.
    fn send(&mut self, now: Now, peer: NodeAddress, message: LinkMessage) {
        if self.silent {
            return;
        }
        let key = (peer, message);
        let is_lost = |at: &Instant| now.mono.since(*at) >= LINK_MESSAGE_AGE_MAX;
        if self.unsent.get(&key).is_none_or(is_lost) {
            if self.unsent.len() >= LINK_MESSAGES_UNSENT_MAX {
                self.unsent.retain(|_, at| !is_lost(at));
            }
            if self.unsent.len() >= LINK_MESSAGES_UNSENT_MAX {
                self.counters.ignored += 1;
            } else {
                self.unsent.insert(key, now.mono);
                self.outputs.push_back(CasOutput::Send { peer, message });
            }
        }
        // Until it is said to have left: then the answer's own time runs.
        if let Some(known) = self.peers.get_mut(&peer).filter(|k| matches!(k.state, State::Calling | State::Breaking)) {
            known.deadline = Some(now.mono + LINK_MESSAGE_AGE_MAX);
        }
    }

    /// A link that can be used.
    fn tell_up(&mut self, peer: NodeAddress) {
        if let Some(known) = self.peers.get(&peer) {
            self.counters.made += 1;
            self.outputs.push_back(CasOutput::Connected { peer, exclusive: known.exclusive, by_us: known.by_us });
        }
    }

    fn tell_down(&mut self, peer: NodeAddress, reason: LinkEnd) {
        self.outputs.push_back(CasOutput::Disconnected { peer, reason });
    }

    fn refuse(&mut self, peer: NodeAddress, reason: LinkRefusal) {
        self.counters.refused += 1;
        self.outputs.push_back(CasOutput::Refused { peer, reason });
    }

    /// Makes sure that there is an entry for `peer`. `false` when all entries are needed.
    fn admit(&mut self, peer: NodeAddress) -> bool {
        if self.peers.contains_key(&peer) {
            return true;
        }
        if self.peers.len() >= LINK_PEERS_MAX {
            let unused = |(_, known): &(&NodeAddress, &Peer)| known.state == State::Idle && known.wanted.is_none();
            let oldest = self.peers.iter().filter(unused).min_by_key(|(_, known)| known.moved_at);
            let Some(oldest) = oldest.map(|(&peer, _)| peer) else { return false };
            self.peers.remove(&oldest);
        }
        let number = u16::try_from(self.random.below(u64::from(LINK_NUMBER_MAX))).unwrap_or_default();
        self.peers.insert(peer, Peer::new(number));
        true
    }
}

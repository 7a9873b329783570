//! The node's one hard link: who asked for it, how far it is, which of two comes first (A.3.2, fact sheet 1.10, 2).
//!
//! A machine of its own inside the SIS server. A hard link rests on an exclusive physical link, which is made before the
//! other SIS is asked and broken by the side that ended the hard link. Promises: at most one hard link at a time; every
//! request of a client is answered, at the latest when its timers end; while a link of type 1 or 2 is up, only the
//! traffic that it is for passes ([`HardLinkState::permits`]).
//!
//! ```text
//! asked for ── exclusive link made ── S_PDU 3 ── S_PDU 4 ── up ── S_PDU 6 ── S_PDU 7 ── link broken
//! called:                             S_PDU 3 ── (type 2: the client accepts) ── S_PDU 4 ── up
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::ClientId;
use super::limits::LINK_PEERS_MAX;
pub use super::spdu::{HardLinkMessage, HardLinkTermination};
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::fields::{HardLink, HardLinkType, Rank, SapId};
use crate::s5066::sis::pdu::Primitive;
use crate::s5066::sis::reason::{HardLinkEnd, HardLinkRejection, HardLinkStatus};
use crate::time::{Duration, Instant, Now};

/// What the hard link wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HardLinkOutput {
    /// Tell a client.
    Tell(ClientId, Primitive),
    /// Tell all clients that use the link (every bound one with type 0, else the one named here).
    TellUsers(Option<ClientId>, Primitive),
    /// Send a message to a node.
    Send(NodeAddress, HardLinkMessage),
    /// Make an exclusive physical link with a node.
    Want(NodeAddress),
    /// The physical link with a node has done its duty.
    Release(NodeAddress),
}

/// A client as far as hard links are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkClient {
    /// Its connection.
    pub id: ClientId,
    /// Where it is bound.
    pub sap: SapId,
    /// Its rank.
    pub rank: Rank,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The physical link is being made.
    Linking,
    /// We asked the other node.
    Requested,
    /// We asked our client.
    Asking,
    /// It is made.
    Up,
    /// We told the other node that it ends.
    Terminating,
}

#[derive(Clone, Debug)]
struct Link {
    link: HardLink,
    /// The client here: who asked, or (type 2) who was asked.
    client: Option<LinkClient>,
    /// It was asked for here.
    by_us: bool,
    rank: Rank,
    phase: Phase,
    deadline: Option<Instant>,
}

impl Link {
    /// Higher rank, then higher link priority, then (same node) higher type; the existing one before an equal one.
    //= s5066/NODE-013
    fn yields_to(&self, rank: Rank, new: HardLink) -> bool {
        let kind = |link: HardLink| if link.node == new.node { link.kind as u8 } else { 0 };
        (rank, new.priority, kind(new)) > (self.rank, self.link.priority, kind(self.link))
    }

    fn users(&self) -> Option<ClientId> {
        if self.link.kind == HardLinkType::Reservation { None } else { self.client_id() }
    }

    fn client_id(&self) -> Option<ClientId> {
        self.client.map(|client| client.id)
    }

    /// Whether a U_PDU is of those whom the link is for.
    fn is_for(&self, source_sap: SapId, destination: NodeAddress, sap: SapId) -> bool {
        let HardLink { kind, remote_sap, node, .. } = self.link;
        let is_ours = self.client.is_some_and(|client| client.sap == source_sap);
        match kind {
            HardLinkType::Reservation => true,
            HardLinkType::Partial if self.by_us => destination == node && is_ours,
            HardLinkType::Partial => destination == node && sap == remote_sap,
            HardLinkType::Full | HardLinkType::Undefined => destination == node && is_ours && sap == remote_sap,
        }
    }

    fn request(&self) -> Option<HardLinkMessage> {
        let HardLink { kind, priority, remote_sap, .. } = self.link;
        let requesting = self.client?.sap;
        Some(HardLinkMessage::Request { kind, priority, requesting, remote: remote_sap })
    }
}

/// The node's one hard link.
#[derive(Debug)]
pub struct HardLinkState {
    wait: Duration,
    current: Option<Link>,
    /// Nodes with which there is an exclusive physical link.
    exclusive: BTreeSet<NodeAddress>,
    /// Nodes that were told of an end, and when their physical link is broken at the latest.
    ending: BTreeMap<NodeAddress, Instant>,
    outputs: Vec<HardLinkOutput>,
}

impl HardLinkState {
    /// No link; the other node or a client has `wait` to answer.
    pub const fn new(wait: Duration) -> Self {
        Self { wait, current: None, exclusive: BTreeSet::new(), ending: BTreeMap::new(), outputs: Vec::new() }
    }

    /// A client asks for a link.
    //= s5066/NODE-013
    pub fn establish(&mut self, now: Now, client: LinkClient, link: HardLink) {
        if link.kind == HardLinkType::Undefined || link.node.is_group() {
            return self.reject(client.id, HardLinkRejection::NotResponding, link);
        }
        if let Some(existing) = &self.current {
            let same = |kind| kind == HardLinkType::Reservation;
            let equal =
                (existing.rank, existing.link.priority, existing.link.node) == (client.rank, link.priority, link.node);
            if equal && same(existing.link.kind) && same(link.kind) {
                return self.reject(client.id, HardLinkRejection::Exists, link);
            }
            if !existing.yields_to(client.rank, link) {
                return self.reject(client.id, HardLinkRejection::HigherPriority, link);
            }
            self.displace(now);
        }
        let deadline = Some(now.mono + self.wait);
        let (client, rank) = (Some(client), client.rank);
        self.current = Some(Link { link, client, by_us: true, rank, phase: Phase::Linking, deadline });
        self.ending.remove(&link.node);
        if self.exclusive.contains(&link.node) {
            self.ask(now, link.node);
        } else {
            self.outputs.push(HardLinkOutput::Want(link.node));
        }
    }

    /// An exclusive physical link was made.
    //= s5066/HL-001
    pub fn link_made(&mut self, now: Now, node: NodeAddress) {
        if self.exclusive.len() < LINK_PEERS_MAX {
            self.exclusive.insert(node);
        }
        self.ask(now, node);
    }

    /// The exclusive physical link that was wanted is not to be had; `busy`: the other node has one.
    pub fn link_refused(&mut self, node: NodeAddress, busy: bool) {
        if let Some(current) = self.current.take_if(|c| c.link.node == node && c.phase == Phase::Linking) {
            let reason = if busy { HardLinkRejection::Busy } else { HardLinkRejection::NotResponding };
            self.tell(current.client_id(), Primitive::HardLinkRejected(reason, current.link));
        }
    }

    /// A physical link is gone.
    //= s5066/HL-003
    pub fn link_lost(&mut self, node: NodeAddress) {
        self.ending.remove(&node);
        if !self.exclusive.remove(&node) {
            return;
        }
        // While it is being made, what is gone is the soft link in its way.
        let is_hit = |current: &mut Link| current.link.node == node && current.phase != Phase::Linking;
        let Some(current) = self.current.take_if(is_hit) else { return };
        if current.phase == Phase::Requested {
            let primitive = Primitive::HardLinkRejected(HardLinkRejection::NotResponding, current.link);
            self.tell(current.client_id(), primitive);
        } else {
            let primitive = Primitive::HardLinkTerminated(HardLinkEnd::Broken, current.link);
            self.outputs.push(HardLinkOutput::TellUsers(current.users(), primitive));
        }
        // It may be made anew below, for nobody.
        self.outputs.push(HardLinkOutput::Release(node));
    }

    /// Whether a U_PDU may go while the hard link is as it is: types 1 and 2 are for their clients alone.
    //= s5066/HL-002
    pub fn permits(&self, source_sap: SapId, destination: NodeAddress, sap: SapId) -> bool {
        let up = self.current.as_ref().filter(|current| current.phase == Phase::Up);
        up.is_none_or(|current| current.is_for(source_sap, destination, sap))
    }

    /// Whether a U_PDU may go on the physical link with its destination, which is perhaps only being made for a hard
    /// link: before the other node has said for whom, nothing does.
    //= s5066/HL-002
    pub fn carries(&self, source_sap: SapId, destination: NodeAddress, sap: SapId) -> bool {
        let current = self.current.as_ref().filter(|current| current.link.node == destination);
        let nobodys = !self.exclusive.contains(&destination);
        current.map_or(nobodys, |current| current.is_for(source_sap, destination, sap))
    }

    /// A client ends a link; only who asked for it may, or (type 2) who was asked. `false` for others.
    pub fn terminate(&mut self, now: Now, client: ClientId, node: NodeAddress) -> bool {
        let wait = self.wait;
        let Some(current) = self.current.as_mut() else { return false };
        if current.link.node != node || current.client_id() != Some(client) {
            return false;
        }
        if current.phase == Phase::Linking {
            let link = current.link;
            self.current = None;
            self.outputs.push(HardLinkOutput::Release(node));
            self.tell(Some(client), Primitive::HardLinkTerminated(HardLinkEnd::Remote, link));
        } else if current.phase != Phase::Terminating {
            current.phase = Phase::Terminating;
            current.deadline = Some(now.mono + wait);
            self.outputs
                .push(HardLinkOutput::Send(node, HardLinkMessage::Terminate(HardLinkTermination::ClientRequest)));
        }
        true
    }

    /// A client that was asked answers. `false` when it was not.
    pub fn answer(&mut self, now: Now, client: ClientId, node: NodeAddress, accepted: bool) -> bool {
        let Some(current) = self.current.as_mut() else { return false };
        let asked = current.phase == Phase::Asking && current.client_id() == Some(client) && current.link.node == node;
        if !asked {
            return false;
        }
        if accepted {
            (current.phase, current.deadline) = (Phase::Up, None);
            self.outputs.push(HardLinkOutput::Send(node, HardLinkMessage::Confirm));
        } else {
            self.current = None;
            self.part(now.mono + self.wait, node, HardLinkMessage::Rejected(HardLinkRejection::Busy));
        }
        true
    }

    /// A client is gone: the link it asked for, or was asked for, ends, the physical one at the latest `until` then.
    pub fn client_gone(&mut self, until: Instant, client: ClientId) {
        let Some(current) = self.current.take_if(|current| current.client_id() == Some(client)) else { return };
        let node = current.link.node;
        match current.phase {
            Phase::Linking => self.outputs.push(HardLinkOutput::Release(node)),
            Phase::Asking => self.part(until, node, HardLinkMessage::Rejected(HardLinkRejection::NotBound)),
            Phase::Requested | Phase::Up | Phase::Terminating => {
                self.part(until, node, HardLinkMessage::Terminate(HardLinkTermination::NotBound));
            }
        }
    }

    /// The SIS of another node says something. `bound` is the client at the SAP it names, `rank` the rank that counts
    /// for types 0 and 1.
    pub fn message(
        &mut self,
        now: Now,
        node: NodeAddress,
        message: HardLinkMessage,
        bound: Option<LinkClient>,
        rank: Rank,
    ) {
        match message {
            HardLinkMessage::Request { kind, priority, requesting, .. } => {
                let link = HardLink { kind, priority, remote_sap: requesting, node };
                self.requested(now, link, bound, rank);
            }
            HardLinkMessage::Confirm => {
                if let Some(current) = self.current_with(node, Phase::Requested) {
                    (current.phase, current.deadline) = (Phase::Up, None);
                    let (client, link) = (current.client_id(), current.link);
                    self.tell(client, Primitive::HardLinkEstablished(HardLinkStatus::Good, link));
                }
            }
            HardLinkMessage::Rejected(reason) => {
                if let Some(current) = self.current_with(node, Phase::Requested) {
                    let (client, link) = (current.client_id(), current.link);
                    self.current = None;
                    self.release(node);
                    self.tell(client, Primitive::HardLinkRejected(reason, link));
                }
            }
            HardLinkMessage::Terminate(reason) => {
                // Who ends it breaks the physical link; should that never happen, we do.
                self.part(now.mono + self.wait, node, HardLinkMessage::TerminateConfirm);
                let end = match reason {
                    HardLinkTermination::ClientRequest | HardLinkTermination::Other(_) => HardLinkEnd::Remote,
                    HardLinkTermination::HigherPriority => HardLinkEnd::HigherPriority,
                    HardLinkTermination::NotBound => HardLinkEnd::NotBound,
                };
                self.end(node, end);
            }
            HardLinkMessage::TerminateConfirm => {
                if self.current_with(node, Phase::Terminating).is_some() {
                    self.end(node, HardLinkEnd::Remote);
                    self.release(node);
                } else if self.ending.remove(&node).is_some() {
                    self.release(node);
                }
            }
        }
    }

    /// Ends what waited too long.
    pub fn handle_wakeup(&mut self, now: Now) {
        let over: Vec<NodeAddress> =
            self.ending.iter().filter(|&(_, &at)| at <= now.mono).map(|(&node, _)| node).collect();
        for node in over {
            self.ending.remove(&node);
            self.release(node);
        }
        let late = |current: &mut Link| current.deadline.is_some_and(|deadline| deadline <= now.mono);
        let Some(current) = self.current.take_if(late) else { return };
        let node = current.link.node;
        match current.phase {
            Phase::Linking | Phase::Requested => {
                let primitive = Primitive::HardLinkRejected(HardLinkRejection::NotResponding, current.link);
                self.tell(current.client_id(), primitive);
                self.outputs.push(HardLinkOutput::Release(node));
            }
            Phase::Asking => {
                self.part(now.mono + self.wait, node, HardLinkMessage::Rejected(HardLinkRejection::NotResponding))
            }
            Phase::Terminating => {
                let primitive = Primitive::HardLinkTerminated(HardLinkEnd::NotResponding, current.link);
                self.outputs.push(HardLinkOutput::TellUsers(current.users(), primitive));
                self.release(node);
            }
            Phase::Up => {}
        }
    }

    /// When it wants to be woken.
    pub fn deadline(&self) -> Option<Instant> {
        let current = self.current.as_ref().and_then(|current| current.deadline);
        self.ending.values().copied().chain(current).min()
    }

    /// What it wants done, in order.
    pub fn take_outputs(&mut self) -> Vec<HardLinkOutput> {
        std::mem::take(&mut self.outputs)
    }

    /// The node at the other end while the link is made.
    pub fn peer(&self) -> Option<NodeAddress> {
        self.current.as_ref().filter(|current| current.phase == Phase::Up).map(|current| current.link.node)
    }

    fn requested(&mut self, now: Now, link: HardLink, bound: Option<LinkClient>, rank: Rank) {
        let full = link.kind == HardLinkType::Full;
        let rank = match bound {
            Some(client) if full => client.rank,
            None if full => {
                return self.part(
                    now.mono + self.wait,
                    link.node,
                    HardLinkMessage::Rejected(HardLinkRejection::NotBound),
                );
            }
            Some(_) | None => rank,
        };
        if let Some(existing) = &self.current {
            if existing.link == link && existing.phase == Phase::Up {
                // Our confirmation was lost.
                return self.outputs.push(HardLinkOutput::Send(link.node, HardLinkMessage::Confirm));
            }
            if existing.link == link && existing.phase == Phase::Asking {
                return;
            }
            if !existing.yields_to(rank, link) {
                let equal = (existing.rank, existing.link.priority) == (rank, link.priority);
                let reason = if equal { HardLinkRejection::Busy } else { HardLinkRejection::HigherPriority };
                let message = HardLinkMessage::Rejected(reason);
                // The same node keeps the link that it has with us.
                if existing.link.node == link.node {
                    return self.outputs.push(HardLinkOutput::Send(link.node, message));
                }
                return self.part(now.mono + self.wait, link.node, message);
            }
            self.displace(now);
        }
        self.ending.remove(&link.node);
        let mut new = Link { link, client: None, by_us: false, rank, phase: Phase::Up, deadline: None };
        if let Some(client) = bound.filter(|_| full) {
            (new.client, new.phase, new.deadline) = (Some(client), Phase::Asking, Some(now.mono + self.wait));
            let indication = Primitive::HardLinkIndication(HardLinkStatus::Good, link);
            self.outputs.push(HardLinkOutput::Tell(client.id, indication));
        } else {
            self.outputs.push(HardLinkOutput::Send(link.node, HardLinkMessage::Confirm));
        }
        self.current = Some(new);
    }

    /// Ends the existing link for one of higher precedence.
    fn displace(&mut self, now: Now) {
        let Some(current) = self.current.take() else { return };
        let node = current.link.node;
        let terminate = HardLinkMessage::Terminate(HardLinkTermination::HigherPriority);
        let rejected = Primitive::HardLinkRejected(HardLinkRejection::HigherPriority, current.link);
        match current.phase {
            Phase::Linking => {
                self.outputs.push(HardLinkOutput::Release(node));
                self.tell(current.client_id(), rejected);
            }
            Phase::Asking => {
                self.part(now.mono + self.wait, node, HardLinkMessage::Rejected(HardLinkRejection::HigherPriority))
            }
            Phase::Requested => {
                self.part(now.mono + self.wait, node, terminate);
                self.tell(current.client_id(), rejected);
            }
            Phase::Up | Phase::Terminating => {
                self.part(now.mono + self.wait, node, terminate);
                let primitive = Primitive::HardLinkTerminated(HardLinkEnd::HigherPriority, current.link);
                self.outputs.push(HardLinkOutput::TellUsers(current.users(), primitive));
            }
        }
    }

    /// Says a last word to a node; its physical link stays until that is answered, or `until` then.
    fn part(&mut self, until: Instant, node: NodeAddress, message: HardLinkMessage) {
        self.outputs.push(HardLinkOutput::Send(node, message));
        if self.exclusive.contains(&node) {
            self.ending.insert(node, until);
        }
    }

    /// Breaks an exclusive physical link; a soft one is no business of a hard link's.
    fn release(&mut self, node: NodeAddress) {
        if self.exclusive.contains(&node) {
            self.outputs.push(HardLinkOutput::Release(node));
        }
    }

    /// Asks the other SIS, now that there is a physical link.
    //= s5066/HL-001
    fn ask(&mut self, now: Now, node: NodeAddress) {
        let wait = self.wait;
        let Some(current) = self.current_with(node, Phase::Linking) else { return };
        (current.phase, current.deadline) = (Phase::Requested, Some(now.mono + wait));
        let request = current.request();
        self.outputs.extend(request.map(|request| HardLinkOutput::Send(node, request)));
    }

    fn end(&mut self, node: NodeAddress, reason: HardLinkEnd) {
        if let Some(current) = self.current.take_if(|current| current.link.node == node) {
            let primitive = Primitive::HardLinkTerminated(reason, current.link);
            self.outputs.push(HardLinkOutput::TellUsers(current.users(), primitive));
        }
    }

    fn current_with(&mut self, node: NodeAddress, phase: Phase) -> Option<&mut Link> {
        self.current.as_mut().filter(|current| current.link.node == node && current.phase == phase)
    }

    fn tell(&mut self, client: Option<ClientId>, primitive: Primitive) {
        self.outputs.extend(client.map(|client| HardLinkOutput::Tell(client, primitive)));
    }

    fn reject(&mut self, client: ClientId, reason: HardLinkRejection, link: HardLink) {
        self.outputs.push(HardLinkOutput::Tell(client, Primitive::HardLinkRejected(reason, link)));
    }
}

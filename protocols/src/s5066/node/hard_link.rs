//! The node's one hard link: who asked for it, how far it is, which of two comes first (A.3.2, fact sheet 1.10, 2).
//!
//! A machine of its own inside the SIS server. Promises: at most one hard link at a time; every request of a client is
//! answered, at the latest when its timer ends. First form: the link reserves nothing below the SIS, since the channel
//! access layer is not there yet; types 1 and 2 are answered and reported but other traffic is not held back.

use super::ClientId;
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
    client: Option<ClientId>,
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
        if self.link.kind == HardLinkType::Reservation { None } else { self.client }
    }
}

/// The node's one hard link.
#[derive(Debug)]
pub struct HardLinkState {
    wait: Duration,
    current: Option<Link>,
    outputs: Vec<HardLinkOutput>,
}

impl HardLinkState {
    /// No link; the other node or a client has `wait` to answer.
    pub const fn new(wait: Duration) -> Self {
        Self { wait, current: None, outputs: Vec::new() }
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
            self.displace();
        }
        let request = HardLinkMessage::Request {
            kind: link.kind,
            priority: link.priority,
            requesting: client.sap,
            remote: link.remote_sap,
        };
        self.outputs.push(HardLinkOutput::Send(link.node, request));
        let deadline = Some(now.mono + self.wait);
        let client_id = Some(client.id);
        self.current = Some(Link { link, client: client_id, rank: client.rank, phase: Phase::Requested, deadline });
    }

    /// A client ends a link; only who asked for it may, or (type 2) who was asked. `false` for others.
    pub fn terminate(&mut self, now: Now, client: ClientId, node: NodeAddress) -> bool {
        let wait = self.wait;
        let Some(current) = self.current.as_mut() else { return false };
        if current.link.node != node || current.client != Some(client) {
            return false;
        }
        if current.phase != Phase::Terminating {
            current.phase = Phase::Terminating;
            current.deadline = Some(now.mono + wait);
            self.outputs
                .push(HardLinkOutput::Send(node, HardLinkMessage::Terminate(HardLinkTermination::ClientRequest)));
        }
        true
    }

    /// A client that was asked answers. `false` when it was not.
    pub fn answer(&mut self, client: ClientId, node: NodeAddress, accepted: bool) -> bool {
        let Some(current) = self.current.as_mut() else { return false };
        let asked = current.phase == Phase::Asking && current.client == Some(client) && current.link.node == node;
        if !asked {
            return false;
        }
        if accepted {
            (current.phase, current.deadline) = (Phase::Up, None);
            self.outputs.push(HardLinkOutput::Send(node, HardLinkMessage::Confirm));
        } else {
            self.current = None;
            self.outputs.push(HardLinkOutput::Send(node, HardLinkMessage::Rejected(HardLinkRejection::Busy)));
        }
        true
    }

    /// A client is gone: the link it asked for, or was asked for, ends.
    pub fn client_gone(&mut self, client: ClientId) {
        if let Some(current) = self.current.take_if(|current| current.client == Some(client)) {
            let message = match current.phase {
                Phase::Asking => HardLinkMessage::Rejected(HardLinkRejection::NotBound),
                Phase::Requested | Phase::Up | Phase::Terminating => {
                    HardLinkMessage::Terminate(HardLinkTermination::NotBound)
                }
            };
            self.outputs.push(HardLinkOutput::Send(current.link.node, message));
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
                    let (client, link) = (current.client, current.link);
                    self.tell(client, Primitive::HardLinkEstablished(HardLinkStatus::Good, link));
                }
            }
            HardLinkMessage::Rejected(reason) => {
                if let Some(current) = self.current_with(node, Phase::Requested) {
                    let (client, link) = (current.client, current.link);
                    self.current = None;
                    self.tell(client, Primitive::HardLinkRejected(reason, link));
                }
            }
            HardLinkMessage::Terminate(reason) => {
                self.outputs.push(HardLinkOutput::Send(node, HardLinkMessage::TerminateConfirm));
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
                }
            }
        }
    }

    /// Ends what waited too long.
    pub fn handle_wakeup(&mut self, now: Now) {
        let late = |current: &mut Link| current.deadline.is_some_and(|deadline| deadline <= now.mono);
        let Some(current) = self.current.take_if(late) else { return };
        let node = current.link.node;
        match current.phase {
            Phase::Requested => {
                self.tell(current.client, Primitive::HardLinkRejected(HardLinkRejection::NotResponding, current.link));
            }
            Phase::Asking => {
                let message = HardLinkMessage::Rejected(HardLinkRejection::NotResponding);
                self.outputs.push(HardLinkOutput::Send(node, message));
            }
            Phase::Terminating => {
                let primitive = Primitive::HardLinkTerminated(HardLinkEnd::NotResponding, current.link);
                self.outputs.push(HardLinkOutput::TellUsers(current.users(), primitive));
            }
            Phase::Up => {}
        }
    }

    /// When it wants to be woken.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().and_then(|current| current.deadline)
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
        let refuse = |reason| HardLinkOutput::Send(link.node, HardLinkMessage::Rejected(reason));
        let rank = match bound {
            Some(client) if full => client.rank,
            None if full => return self.outputs.push(refuse(HardLinkRejection::NotBound)),
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
                return self.outputs.push(refuse(reason));
            }
            self.displace();
        }
        let mut new = Link { link, client: None, rank, phase: Phase::Up, deadline: None };
        if let Some(client) = bound.filter(|_| full) {
            (new.client, new.phase, new.deadline) = (Some(client.id), Phase::Asking, Some(now.mono + self.wait));
            let indication = Primitive::HardLinkIndication(HardLinkStatus::Good, link);
            self.outputs.push(HardLinkOutput::Tell(client.id, indication));
        } else {
            self.outputs.push(HardLinkOutput::Send(link.node, HardLinkMessage::Confirm));
        }
        self.current = Some(new);
    }

    /// Ends the existing link for one of higher precedence.
    fn displace(&mut self) {
        let Some(current) = self.current.take() else { return };
        let node = current.link.node;
        let (message, primitive) = match current.phase {
            Phase::Asking => (HardLinkMessage::Rejected(HardLinkRejection::HigherPriority), None),
            Phase::Requested => {
                let primitive = Primitive::HardLinkRejected(HardLinkRejection::HigherPriority, current.link);
                (HardLinkMessage::Terminate(HardLinkTermination::HigherPriority), Some(primitive))
            }
            Phase::Up | Phase::Terminating => {
                let primitive = Primitive::HardLinkTerminated(HardLinkEnd::HigherPriority, current.link);
                (HardLinkMessage::Terminate(HardLinkTermination::HigherPriority), Some(primitive))
            }
        };
        self.outputs.push(HardLinkOutput::Send(node, message));
        if let Some(primitive) = primitive {
            let users = if current.phase == Phase::Requested { current.client } else { current.users() };
            self.outputs.push(HardLinkOutput::TellUsers(users, primitive));
        }
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

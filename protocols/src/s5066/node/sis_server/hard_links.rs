//! What the server's clients, other nodes and the layer below do to the hard link, and what it holds back.

use super::super::hard_link::{HardLinkMessage, HardLinkOutput, LinkClient};
use super::super::{Carriage, ClientId, Content, Outgoing, RequestId};
use super::session::Binding;
use super::{ServerOutput, SisServer};
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::fields::{HardLink, SapId};
use crate::time::Now;

/// Priority of messages about hard links, which go expedited.
const HARD_LINK_PRIORITY: u8 = 15;

impl SisServer {
    /// The SIS of another node says something about a hard link.
    pub fn handle_hard_link(&mut self, now: Now, source: NodeAddress, message: HardLinkMessage) {
        self.hard_link_deadline = now.mono + self.config.hard_link_wait;
        let bound = match message {
            HardLinkMessage::Request { remote, .. } => self.bound_at(remote),
            HardLinkMessage::Confirm
            | HardLinkMessage::Rejected(_)
            | HardLinkMessage::Terminate(_)
            | HardLinkMessage::TerminateConfirm => None,
        };
        let bound = bound.map(|(id, binding)| LinkClient { id, sap: binding.sap, rank: binding.rank });
        self.hard_link.message(now, source, message, bound, self.config.hard_link_rank);
        self.drain_hard_link();
    }

    /// A physical link was made, by whomever.
    pub fn link_made(&mut self, now: Now, node: NodeAddress, exclusive: bool) {
        if exclusive {
            self.hard_link_deadline = now.mono + self.config.hard_link_wait;
            self.hard_link.link_made(now, node);
            self.drain_hard_link();
        }
    }

    /// A physical link that was wanted is not to be had; `busy`: the other node has an exclusive one.
    pub fn link_refused(&mut self, node: NodeAddress, busy: bool) {
        self.hard_link.link_refused(node, busy);
        self.drain_hard_link();
    }

    /// A physical link is gone.
    pub fn link_lost(&mut self, node: NodeAddress) {
        self.hard_link.link_lost(node);
        self.drain_hard_link();
    }

    /// Whether a U_PDU that was handed down may go on the link with its destination as it is now.
    //= s5066/HL-002
    pub fn carries(&self, outgoing: &Outgoing) -> bool {
        match outgoing.content {
            Content::Data(_) => self.hard_link.carries(outgoing.source_sap, outgoing.destination, outgoing.sap),
            Content::HardLink(_) => true,
        }
    }

    /// The node at the other end of the hard link, while there is one.
    pub fn hard_link_peer(&self) -> Option<NodeAddress> {
        self.hard_link.peer()
    }

    pub(super) fn on_establish(&mut self, now: Now, client: ClientId, binding: Binding, link: HardLink) {
        self.hard_link.establish(now, LinkClient { id: client, sap: binding.sap, rank: binding.rank }, link);
        self.drain_hard_link();
    }

    pub(super) fn on_terminate(&mut self, now: Now, client: ClientId, node: NodeAddress) {
        let known = self.hard_link.terminate(now, client, node);
        self.after_hard_link(client, known);
    }

    pub(super) fn on_answer(&mut self, now: Now, client: ClientId, node: NodeAddress, accepted: bool) {
        let known = self.hard_link.answer(now, client, node, accepted);
        self.after_hard_link(client, known);
    }

    fn after_hard_link(&mut self, client: ClientId, known: bool) {
        if known {
            self.drain_hard_link();
        } else {
            self.on_invalid(client);
        }
    }

    /// Hands a U_PDU down, or holds it while a hard link is for others.
    //= s5066/HL-002
    pub(super) fn hand_down(&mut self, outgoing: Outgoing) {
        if self.hard_link.permits(outgoing.source_sap, outgoing.destination, outgoing.sap) {
            self.outputs.push_back(ServerOutput::Send(outgoing));
        } else {
            self.held.insert(outgoing, ());
        }
    }

    fn hand_down_held(&mut self) {
        let passes = |unit: &Outgoing| self.hard_link.permits(unit.source_sap, unit.destination, unit.sap);
        let free: Vec<RequestId> =
            self.held.iter().filter(|entry| passes(&entry.unit)).map(|entry| entry.unit.id).collect();
        for id in free {
            self.outputs.extend(self.held.remove(id).map(|entry| ServerOutput::Send(entry.unit)));
        }
    }

    pub(super) fn drain_hard_link(&mut self) {
        for output in self.hard_link.take_outputs() {
            match output {
                HardLinkOutput::Tell(client, primitive) | HardLinkOutput::TellUsers(Some(client), primitive) => {
                    if self.sessions.contains_key(&client) {
                        self.write(client, &primitive);
                    }
                }
                HardLinkOutput::TellUsers(None, primitive) => {
                    let bound: Vec<ClientId> = self.bound().map(|(client, ..)| client).collect();
                    for client in bound {
                        self.write(client, &primitive);
                    }
                }
                HardLinkOutput::Want(node) => self.outputs.push_back(ServerOutput::WantLink(node)),
                HardLinkOutput::Release(node) => self.outputs.push_back(ServerOutput::ReleaseLink(node)),
                HardLinkOutput::Send(node, message) => {
                    let deadline = self.hard_link_deadline;
                    let id = self.next_id();
                    self.outputs.push_back(ServerOutput::Send(Outgoing {
                        id,
                        destination: node,
                        sap: SapId::MANAGEMENT,
                        source_sap: SapId::MANAGEMENT,
                        priority: HARD_LINK_PRIORITY,
                        expedited: true,
                        carriage: Carriage::Arq,
                        in_order: true,
                        client_confirm: false,
                        deadline,
                        confirm_by: None,
                        content: Content::HardLink(message),
                    }));
                }
            }
        }
        if !self.held.is_empty() {
            self.hand_down_held();
        }
    }
}

//! A node that begins to do nothing but broadcast while it runs, or ends that: what its clients are told.

use super::super::{Carriage, ClientId, Outcome, RequestId};
use super::SisServer;
use crate::s5066::sis::fields::TransmissionMode;
use crate::s5066::sis::reason::UnbindReason;
use crate::time::Now;

impl SisServer {
    /// From now on the node has no links, or may have them again. Clients that bound with ARQ are unbound, and what is
    /// held back of others ends; what was handed down is ended by whoever took it.
    //= s5066/NODE-041
    pub fn set_broadcast_only(&mut self, now: Now, broadcast_only: bool) {
        self.config.broadcast_only = broadcast_only;
        if !broadcast_only {
            return;
        }
        self.hard_link_deadline = now.mono + self.config.hard_link_wait;
        let with_arq = self.bound().filter(|(.., binding)| binding.service.mode.transmission == TransmissionMode::Arq);
        let clients: Vec<ClientId> = with_arq.map(|(client, ..)| client).collect();
        for client in clients {
            self.unbind(client, UnbindReason::BroadcastSession);
        }
        let held = self.held.iter().filter(|entry| entry.unit.carriage == Carriage::Arq);
        let held: Vec<RequestId> = held.map(|entry| entry.unit.id).collect();
        for id in held {
            self.held.remove(id);
            self.finish(id, Outcome::NotResponding);
        }
    }

    /// Whether the node has no links.
    pub const fn is_broadcast_only(&self) -> bool {
        self.config.broadcast_only
    }
}

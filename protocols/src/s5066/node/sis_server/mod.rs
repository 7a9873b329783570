//! The node's end of the subnetwork interface: several clients, each on its own connection (Annex A, F.16).
//!
//! A client binds at one SAP with a rank, hands over U_PDUs and gets those that arrive. The server checks each request,
//! hands it down as [`Outgoing`], and answers with CONFIRM or REJECTED where the client asked for it, naming the U_PDU
//! by its leading octets. Per client it counts the octets that wait and says DATA_FLOW_OFF above a limit.
//!
//! Promises: pure; a U_PDU handed down gets exactly one outcome, and its client exactly one answer if it asked. Refuses:
//! broken streams (closed at once), invalid primitives (unbound with reason 3 when there are too many), expedited
//! requests above a configured number (reason 4), management by clients of a rank below 15. Limits: `limits.rs`.
//!
//! ```text
//! connected --BIND_REQUEST--> bound (BIND_ACCEPTED, SUBNET_AVAILABILITY) | connected (BIND_REJECTED)
//! bound --UNBIND_REQUEST--> connected      bound --UNBIND_INDICATION, closed pipe--> gone
//! ```

use std::collections::{BTreeMap, VecDeque};

use super::hard_link::HardLinkState;
use super::limits::{CLIENTS_MAX, CONNECTIONS_UNBOUND_MAX};
use super::queue::TransmitQueue;
use super::{ClientId, Incoming, Outcome, Outgoing, RequestId};
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::management::Ask;
use crate::s5066::sis::fields::{Confirmation, Rank, SapId, TransmissionMode};
use crate::s5066::sis::limits::{KEEP_ALIVE_INTERVAL, MTU_OCTETS};
use crate::s5066::sis::pdu::Primitive;
use crate::s5066::sis::reason::{DataRejection, UnbindReason};
use crate::s5066::sis::unidata::{Block, Quirks, Returned, UnidataIndication};
use crate::time::{Duration, Instant, Now, Wakeup};
use session::{Binding, Session};

mod broadcast;
mod hard_links;
mod requests;
mod session;

#[cfg(test)]
mod tests;

/// What a node is configured with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SisServerConfig {
    /// The node's own address.
    pub address: NodeAddress,
    /// Largest U_PDU taken from a client, in octets: 2048, at most 4096 for a node that only broadcasts.
    pub mtu: u16,
    /// Clients bound at once, 5 to 16.
    pub clients_max: usize,
    /// Octets of one client that may wait before it is told to stop.
    pub queue_octets_max: usize,
    /// Leading octets of a U_PDU in its confirmation (`U_PDU_response_frag_size`).
    pub response_octets: usize,
    /// Time to live of a U_PDU whose client asks for no end.
    pub ttl_max: Duration,
    /// Invalid primitives before a client is unbound.
    pub invalid_max: u32,
    /// Expedited requests of one client within [`SisServerConfig::expedited_window`] before it is unbound.
    pub expedited_max: u32,
    /// See there.
    pub expedited_window: Duration,
    /// After how long a silence a client is asked whether it lives; `None` never (for compressed time). At least
    /// 120 s by the standard.
    pub keep_alive: Option<Duration>,
    /// Highest rank a client may bind with.
    pub rank_max: Rank,
    /// Rank that counts for hard links of types 0 and 1 asked for by other nodes.
    pub hard_link_rank: Rank,
    /// How long another node or a client may take to answer about a hard link.
    pub hard_link_wait: Duration,
    /// How long another node may take to confirm a U_PDU whose client asked for it; `None`: as long as the U_PDU lives.
    pub confirm_wait: Option<Duration>,
    /// The node has no links: it takes nothing with ARQ.
    pub broadcast_only: bool,
}

impl SisServerConfig {
    /// The usual values for a node.
    pub fn new(address: NodeAddress) -> Self {
        Self {
            address,
            mtu: MTU_OCTETS,
            clients_max: CLIENTS_MAX,
            queue_octets_max: 64 << 10,
            response_octets: 32,
            ttl_max: Duration::from_secs(24 * 3600),
            invalid_max: 8,
            expedited_max: 60,
            expedited_window: Duration::from_secs(600),
            keep_alive: Some(KEEP_ALIVE_INTERVAL),
            rank_max: Rank::MANAGER,
            hard_link_rank: Rank::default(),
            hard_link_wait: Duration::from_secs(120),
            confirm_wait: None,
            broadcast_only: false,
        }
    }
}

/// What the server wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerOutput {
    /// Octets for a client.
    Write(ClientId, Bytes),
    /// Close a client's connection after what was written has left.
    Close(ClientId),
    /// Carry this to other nodes; answered once by [`SisServer::finish`].
    Send(Outgoing),
    /// Make an exclusive physical link with a node, for a hard link; answered by [`SisServer::link_made`] or
    /// [`SisServer::link_refused`].
    WantLink(NodeAddress),
    /// Break the exclusive physical link with a node, or do not make it.
    ReleaseLink(NodeAddress),
    /// A client manages the node; answered by [`SisServer::answer`].
    Manage {
        /// Which.
        client: ClientId,
        /// The type of its message.
        kind: u8,
        /// What it asks.
        ask: Ask,
    },
}

/// What the server counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct ServerCounters {
    /// U_PDUs handed down.
    pub requests: u64,
    /// U_PDUs given to clients.
    pub indications: u64,
    /// U_PDUs that arrived for a SAP without a client.
    pub not_bound: u64,
    /// U_PDUs dropped because a client went on after DATA_FLOW_OFF.
    pub overflows: u64,
    /// U_PDUs dropped because they were too large or wrongly addressed.
    pub refused: u64,
    /// Invalid primitives.
    pub invalid: u64,
    /// Clients unbound by the node.
    pub unbound: u64,
}

#[derive(Debug)]
struct Pending {
    client: ClientId,
    sap: SapId,
    cost: usize,
    confirmation: Confirmation,
    expedited: bool,
    returned: Returned,
}

/// The server. See the module's page.
#[derive(Debug)]
pub struct SisServer {
    config: SisServerConfig,
    sessions: BTreeMap<ClientId, Session>,
    pending: BTreeMap<RequestId, Pending>,
    next_request: u64,
    queued_octets: usize,
    hard_link: HardLinkState,
    /// What must wait until a hard link for others ends.
    held: TransmitQueue<()>,
    /// Until when messages about hard links are worth sending: set by every input that may cause one.
    hard_link_deadline: Instant,
    emcon: bool,
    counters: ServerCounters,
    outputs: VecDeque<ServerOutput>,
}

impl SisServer {
    /// A server without clients.
    pub fn new(config: SisServerConfig) -> Self {
        let hard_link = HardLinkState::new(config.hard_link_wait);
        Self {
            config,
            sessions: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_request: 0,
            queued_octets: 0,
            hard_link,
            held: TransmitQueue::new(),
            hard_link_deadline: Instant::ZERO,
            emcon: false,
            counters: ServerCounters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// A client connected.
    //= s5066/NODE-001
    pub fn accept(&mut self, now: Now, client: ClientId) {
        if self.sessions.len() >= self.config.clients_max.min(CLIENTS_MAX) + CONNECTIONS_UNBOUND_MAX {
            return self.outputs.push_back(ServerOutput::Close(client));
        }
        self.sessions.insert(client, Session::new(now));
    }

    /// A client's connection is gone: as if it had unbound.
    //= s5066/NODE-002
    pub fn closed(&mut self, now: Now, client: ClientId) {
        self.hard_link_deadline = now.mono + self.config.hard_link_wait;
        if self.sessions.remove(&client).is_some() {
            self.hard_link.client_gone(self.hard_link_deadline, client);
            self.drain_hard_link();
        }
    }

    /// Octets of a client.
    pub fn handle_read(&mut self, now: Now, client: ClientId, octets: &[u8]) {
        self.hard_link_deadline = now.mono + self.config.hard_link_wait;
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.heard(now);
        session.reader.push(octets);
        while let Some(frame) = self.sessions.get_mut(&client).and_then(|session| session.reader.next_frame()) {
            match frame {
                Ok(frame) => match Primitive::decode(&frame, Quirks::default()) {
                    Ok(primitive) => self.on_primitive(now, client, primitive),
                    Err(_) => self.on_invalid(client),
                },
                //= s5066/NODE-012
                Err(_) => {
                    self.counters.invalid += 1;
                    self.unbind(client, UnbindReason::InvalidPrimitives);
                }
            }
        }
    }

    /// Says what became of a U_PDU handed down.
    //= s5066/NODE-008
    pub fn finish(&mut self, id: RequestId, outcome: Outcome) {
        let Some(pending) = self.pending.remove(&id) else { return };
        self.queued_octets = self.queued_octets.saturating_sub(pending.cost);
        let bound = self.sessions.get_mut(&pending.client).filter(|session| session.is_bound_at(pending.sap));
        let Some(session) = bound else { return };
        let switched_on = session.release(pending.cost, self.config.queue_octets_max);
        let rejected = |reason| {
            if pending.expedited {
                Primitive::ExpeditedUnidataRequestRejected(reason, pending.returned.clone())
            } else {
                Primitive::UnidataRequestRejected(reason, pending.returned.clone())
            }
        };
        let asked_client = pending.confirmation == Confirmation::Client;
        let answer = match outcome {
            Outcome::Expired => rejected(DataRejection::TtlExpired),
            Outcome::NotResponding => rejected(DataRejection::NotResponding),
            Outcome::NotBound if asked_client => rejected(DataRejection::NotBound),
            Outcome::Delivered | Outcome::NotBound | Outcome::Sent if pending.expedited => {
                Primitive::ExpeditedUnidataRequestConfirm(pending.returned.clone())
            }
            Outcome::Delivered | Outcome::NotBound | Outcome::Sent => {
                Primitive::UnidataRequestConfirm(pending.returned.clone())
            }
        };
        if matches!(pending.confirmation, Confirmation::Node | Confirmation::Client) {
            self.write(pending.client, &answer);
        }
        if switched_on {
            self.write(pending.client, &Primitive::DataFlowOn);
        }
    }

    /// A U_PDU arrived. Says whether a client is bound at its SAP; if none is, it is dropped.
    //= s5066/NODE-010
    pub fn deliver(&mut self, incoming: Incoming) -> bool {
        let Some((client, _)) = self.bound_at(incoming.sap) else {
            self.counters.not_bound += 1;
            return false;
        };
        self.counters.indications += 1;
        let expedited = incoming.expedited;
        let blocks =
            |blocks: Vec<(u16, u16)>| blocks.into_iter().map(|(offset, octets)| Block { offset, octets }).collect();
        let indication = UnidataIndication {
            priority: incoming.priority,
            sap: incoming.sap,
            destination: incoming.destination,
            transmission: incoming.transmission,
            source_sap: incoming.source_sap,
            source: incoming.source,
            errored: blocks(incoming.errored),
            missing: blocks(incoming.missing),
            u_pdu: incoming.u_pdu,
        };
        let primitive = if expedited {
            Primitive::ExpeditedUnidataIndication(indication)
        } else {
            Primitive::UnidataIndication(indication)
        };
        self.write(client, &primitive);
        true
    }

    /// Whether the client at a SAP takes U_PDUs with parts missing: it bound for non-ARQ with errors. The D_PDUs of a
    /// U_PDU do not say what its sender wanted.
    pub fn takes_errors(&self, sap: SapId) -> bool {
        let mode = |(_, binding): (ClientId, Binding)| binding.service.mode.transmission;
        self.bound_at(sap).map(mode) == Some(TransmissionMode::NonArqWithErrors)
    }

    /// The node begins or ends its silence; clients are told.
    //= s5066/NODE-004
    pub fn set_emcon(&mut self, emcon: bool) {
        if self.emcon == emcon {
            return;
        }
        self.emcon = emcon;
        let availability = self.availability();
        let bound: Vec<ClientId> = self.bound().map(|(client, ..)| client).collect();
        for client in bound {
            self.write(client, &availability);
        }
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        self.hard_link_deadline = now.mono + self.config.hard_link_wait;
        self.hard_link.handle_wakeup(now);
        self.drain_hard_link();
        while let Some(entry) = self.held.pop_expired(now.mono) {
            self.finish(entry.unit.id, Outcome::Expired);
        }
        let due: Vec<ClientId> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.due(&self.config).is_some_and(|at| at <= now.mono))
            .map(|(&c, _)| c)
            .collect();
        for client in due {
            self.on_silence(now, client);
        }
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<ServerOutput> {
        self.outputs.pop_front()
    }

    /// When the server wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let sessions = self.sessions.values().filter_map(|session| session.due(&self.config)).min();
        let keep_alive = sessions.map(|at| Wakeup { at, why: "keep-alive" });
        let hard_link = self.hard_link.deadline().map(|at| Wakeup { at, why: "hard link answer" });
        let held = self.held.next_deadline().map(|at| Wakeup { at, why: "time to live" });
        Wakeup::earlier(Wakeup::earlier(keep_alive, hard_link), held)
    }

    /// What was counted.
    pub const fn counters(&self) -> ServerCounters {
        self.counters
    }

    /// Octets of U_PDUs handed down and not finished, with their cost.
    pub const fn queued_octets(&self) -> usize {
        self.queued_octets
    }

    /// SAP and rank of every bound client, and the octets it has waiting.
    pub fn clients(&self) -> impl Iterator<Item = (ClientId, SapId, Rank, usize)> + '_ {
        self.bound().map(|(client, session, binding)| (client, binding.sap, binding.rank, session.queued_octets))
    }

    fn bound(&self) -> impl Iterator<Item = (ClientId, &Session, Binding)> + '_ {
        self.sessions.iter().filter_map(|(&client, session)| Some((client, session, session.binding?)))
    }

    fn bound_at(&self, sap: SapId) -> Option<(ClientId, Binding)> {
        self.bound().find(|(.., binding)| binding.sap == sap).map(|(client, _, binding)| (client, binding))
    }

    fn write(&mut self, client: ClientId, primitive: &Primitive) {
        // A primitive of ours that does not fit its 16-bit size is an indication of over 64 kB, which the link service
        // does not build.
        if let Ok(octets) = primitive.encode() {
            self.outputs.push_back(ServerOutput::Write(client, octets));
        }
    }
}

//! What clients ask for.

use super::super::limits::{CLIENTS_MAX, FLOW_OFF_TOLERANCE, QUEUE_SHARES_MAX};
use super::super::{Carriage, ClientId, Content, Outgoing, RequestId};
use super::session::{Binding, cost};
use super::{Pending, ServerOutput, SisServer};
use crate::s5066::management::{self, Ask};
use crate::s5066::sis::fields::{Confirmation, Order, Rank, SapId, ServiceType, TransmissionMode};
use crate::s5066::sis::pdu::{Management, Primitive};
use crate::s5066::sis::reason::{Availability, AvailabilityReason, BindRejection, DataRejection, UnbindReason};
use crate::s5066::sis::unidata::{Returned, UnidataRequest};
use crate::time::Now;

/// SAPs that Annex F reserves: nobody may bind there.
const SAPS_RESERVED: [u8; 2] = [10, 11];

impl SisServer {
    pub(super) fn on_primitive(&mut self, now: Now, client: ClientId, primitive: Primitive) {
        let bound = self.sessions.get(&client).and_then(|session| session.binding);
        match (primitive, bound) {
            (Primitive::BindRequest { sap, rank, service }, _) => self.on_bind(client, sap, rank, service),
            (Primitive::KeepAlive, _) => self.on_keep_alive(client),
            (Primitive::UnbindRequest, Some(_)) => self.on_unbind_request(client),
            (Primitive::UnidataRequest(request), Some(binding)) => {
                self.on_request(now, client, binding, request, false)
            }
            (Primitive::ExpeditedUnidataRequest(request), Some(binding)) => {
                self.on_expedited(now, client, binding, request);
            }
            (Primitive::HardLinkEstablish(link), Some(binding)) => self.on_establish(now, client, binding, link),
            (Primitive::HardLinkTerminate(node), Some(_)) => self.on_terminate(now, client, node),
            (Primitive::HardLinkAccept(link), Some(_)) => self.on_answer(now, client, link.node, true),
            (Primitive::HardLinkReject(_, link), Some(_)) => self.on_answer(now, client, link.node, false),
            (Primitive::ManagementRequest(message), Some(binding)) => self.on_management(client, binding, message),
            // What only a node may send, what is unknown, and whatever comes before the bind.
            (
                Primitive::UnbindRequest
                | Primitive::BindAccepted { .. }
                | Primitive::BindRejected(_)
                | Primitive::UnbindIndication(_)
                | Primitive::HardLinkEstablish(_)
                | Primitive::HardLinkTerminate(_)
                | Primitive::HardLinkEstablished(..)
                | Primitive::HardLinkRejected(..)
                | Primitive::HardLinkTerminated(..)
                | Primitive::HardLinkIndication(..)
                | Primitive::HardLinkAccept(_)
                | Primitive::HardLinkReject(..)
                | Primitive::SubnetAvailability(..)
                | Primitive::DataFlowOn
                | Primitive::DataFlowOff
                | Primitive::ManagementRequest(_)
                | Primitive::ManagementIndication(_)
                | Primitive::UnidataRequest(_)
                | Primitive::UnidataIndication(_)
                | Primitive::UnidataRequestConfirm(_)
                | Primitive::UnidataRequestRejected(..)
                | Primitive::ExpeditedUnidataRequest(_)
                | Primitive::ExpeditedUnidataIndication(_)
                | Primitive::ExpeditedUnidataRequestConfirm(_)
                | Primitive::ExpeditedUnidataRequestRejected(..)
                | Primitive::Unknown { .. },
                _,
            ) => self.on_invalid(client),
        }
    }

    /// Counts an invalid primitive; too many end the connection.
    //= s5066/NODE-012
    pub(super) fn on_invalid(&mut self, client: ClientId) {
        self.counters.invalid += 1;
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.invalid += 1;
        if session.invalid > self.config.invalid_max {
            self.unbind(client, UnbindReason::InvalidPrimitives);
        }
    }

    /// Ends a client's connection; a bound one is told why.
    pub(super) fn unbind(&mut self, client: ClientId, reason: UnbindReason) {
        let Some(session) = self.sessions.remove(&client) else { return };
        if session.binding.is_some() {
            self.write(client, &Primitive::UnbindIndication(reason));
            self.counters.unbound += 1;
        }
        self.outputs.push_back(ServerOutput::Close(client));
        self.hard_link.client_gone(self.hard_link_deadline, client);
        self.drain_hard_link();
    }

    pub(super) fn availability(&self) -> Primitive {
        if self.emcon {
            Primitive::SubnetAvailability(Availability::ReceiveOnly, AvailabilityReason::Emcon)
        } else {
            Primitive::SubnetAvailability(Availability::HalfDuplex, AvailabilityReason::Unspecified)
        }
    }

    //= s5066/NODE-007
    pub(super) fn on_silence(&mut self, now: Now, client: ClientId) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if session.binding.is_none() || session.asked.is_some() {
            self.unbind(client, UnbindReason::Inactivity);
        } else {
            session.asked = Some(now.mono);
            self.write(client, &Primitive::KeepAlive);
        }
    }

    //= s5066/NODE-002
    //= s5066/NODE-003
    fn on_bind(&mut self, client: ClientId, sap: SapId, rank: Rank, service: ServiceType) {
        let Some(session) = self.sessions.get(&client) else { return };
        let refusal = if session.binding.is_some() || rank > self.config.rank_max {
            Some(BindRejection::Resources)
        } else if SAPS_RESERVED.contains(&sap.number()) {
            Some(BindRejection::InvalidSap)
        } else if matches!(service.mode.transmission, TransmissionMode::Default | TransmissionMode::Reserved(_)) {
            // There is no code for it; accepted, every request in the mode of the bind would have none.
            self.counters.invalid += 1;
            Some(BindRejection::Resources)
        } else if self.config.broadcast_only && service.mode.transmission == TransmissionMode::Arq {
            //= s5066/NODE-026
            Some(BindRejection::BroadcastSession)
        } else if self.bound_at(sap).is_some() {
            Some(BindRejection::SapAllocated)
        } else if self.bound().count() >= self.config.clients_max.min(CLIENTS_MAX) && !self.make_room(rank) {
            Some(BindRejection::Resources)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return self.write(client, &Primitive::BindRejected(reason));
        }
        if let Some(session) = self.sessions.get_mut(&client) {
            session.binding = Some(Binding { sap, rank, service });
        }
        self.write(client, &Primitive::BindAccepted { sap, mtu: self.config.mtu });
        self.write(client, &self.availability());
    }

    /// Unbinds the client of lowest rank if a newcomer of `rank` ranks higher.
    fn make_room(&mut self, rank: Rank) -> bool {
        let lowest =
            self.bound().min_by_key(|(.., binding)| binding.rank).map(|(client, _, binding)| (client, binding));
        let Some((client, _)) = lowest.filter(|(_, binding)| binding.rank < rank) else { return false };
        self.unbind(client, UnbindReason::Preempted);
        true
    }

    fn on_unbind_request(&mut self, client: ClientId) {
        if let Some(session) = self.sessions.get_mut(&client) {
            (session.binding, session.queued_octets, session.flow_off, session.asked) = (None, 0, false, None);
        }
        self.hard_link.client_gone(self.hard_link_deadline, client);
        self.drain_hard_link();
    }

    fn on_keep_alive(&mut self, client: ClientId) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        // An answer is not answered.
        if session.asked.take().is_none() {
            self.write(client, &Primitive::KeepAlive);
        }
    }

    //= s5066/NODE-011
    fn on_expedited(&mut self, now: Now, client: ClientId, binding: Binding, request: UnidataRequest) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if session.count_expedited(now, &self.config) {
            return self.unbind(client, UnbindReason::Expedited);
        }
        self.on_request(now, client, binding, request, true);
    }

    fn on_request(&mut self, now: Now, client: ClientId, binding: Binding, request: UnidataRequest, expedited: bool) {
        //= s5066/NODE-005
        let service = match request.mode.transmission {
            TransmissionMode::Default => binding.service,
            TransmissionMode::Arq
            | TransmissionMode::NonArq
            | TransmissionMode::NonArqWithErrors
            | TransmissionMode::Reserved(_) => {
                ServiceType { mode: request.mode, retransmissions: request.retransmissions }
            }
        };
        let arq = service.mode.transmission == TransmissionMode::Arq;
        let confirmation = if arq { service.mode.confirmation } else { Confirmation::None };
        let leading = request.u_pdu.slice(..request.u_pdu.len().min(self.config.response_octets));
        let returned = Returned { sap: request.sap, destination: request.destination, leading };
        if let Err(reason) = self.check(&request, service) {
            self.counters.refused += 1;
            // A U_PDU without a mode asks for nothing, but the code for it exists only to be sent.
            if confirmation != Confirmation::None || reason == DataRejection::NoMode {
                let rejected = if expedited {
                    Primitive::ExpeditedUnidataRequestRejected(reason, returned)
                } else {
                    Primitive::UnidataRequestRejected(reason, returned)
                };
                self.write(client, &rejected);
            }
            return;
        }
        let cost = cost(request.u_pdu.len());
        let id = self.next_id();
        let limit = self.config.queue_octets_max;
        let Some(session) = self.sessions.get_mut(&client) else { return };
        //= s5066/NODE-006
        let full = session.queued_octets + cost > limit.saturating_mul(FLOW_OFF_TOLERANCE)
            || self.queued_octets + cost > limit.saturating_mul(QUEUE_SHARES_MAX);
        if full {
            self.counters.overflows += 1;
            return;
        }
        let switched_off = session.charge(cost, limit);
        self.queued_octets += cost;
        self.counters.requests += 1;
        self.pending.insert(id, Pending { client, sap: binding.sap, cost, confirmation, expedited, returned });
        let mut outgoing = outgoing(now, id, binding.sap, service, request, expedited, self.config.ttl_max);
        //= s5066/NODE-025
        let wait = self.config.confirm_wait.filter(|_| confirmation != Confirmation::None);
        outgoing.confirm_by = wait.map(|wait| now.mono + wait);
        self.hand_down(outgoing);
        if switched_off {
            self.write(client, &Primitive::DataFlowOff);
        }
    }

    //= s5066/NODE-005
    fn check(&self, request: &UnidataRequest, service: ServiceType) -> Result<(), DataRejection> {
        match service.mode.transmission {
            //= s5066/NODE-026
            TransmissionMode::Arq if request.destination.is_group() || self.config.broadcast_only => {
                return Err(DataRejection::NotResponding);
            }
            TransmissionMode::Arq | TransmissionMode::NonArq | TransmissionMode::NonArqWithErrors => {}
            TransmissionMode::Default | TransmissionMode::Reserved(_) => return Err(DataRejection::NoMode),
        }
        if request.u_pdu.len() > usize::from(self.config.mtu) {
            return Err(DataRejection::TooLarge);
        }
        if request.destination == self.config.address {
            return Err(DataRejection::NotResponding);
        }
        Ok(())
    }

    /// Takes a management message; only a client of rank 15 may send one.
    //= s5066/NODE-003
    fn on_management(&mut self, client: ClientId, binding: Binding, message: Management) {
        if binding.rank != Rank::MANAGER {
            return self.on_invalid(client);
        }
        match Ask::parse(&message.body) {
            Some(ask) => self.outputs.push_back(ServerOutput::Manage { client, kind: message.kind, ask }),
            None => self.answer(client, message.kind, management::UNKNOWN),
        }
    }

    /// Answers a management message, under the type it came with.
    pub fn answer(&mut self, client: ClientId, kind: u8, text: &str) {
        self.write(client, &Primitive::ManagementIndication(management::answer(kind, text)));
    }

    pub(super) fn next_id(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }
}

fn outgoing(
    now: Now,
    id: RequestId,
    source_sap: SapId,
    service: ServiceType,
    request: UnidataRequest,
    expedited: bool,
    ttl_max: crate::time::Duration,
) -> Outgoing {
    let carriage = match service.mode.transmission {
        TransmissionMode::Arq => Carriage::Arq,
        TransmissionMode::NonArq | TransmissionMode::Default | TransmissionMode::Reserved(_) => {
            Carriage::NonArq { retransmissions: service.retransmissions, with_errors: false }
        }
        TransmissionMode::NonArqWithErrors => {
            Carriage::NonArq { retransmissions: service.retransmissions, with_errors: true }
        }
    };
    Outgoing {
        id,
        destination: request.destination,
        sap: request.sap,
        source_sap,
        priority: request.priority,
        expedited,
        carriage,
        in_order: service.mode.order == Order::InOrder,
        client_confirm: carriage == Carriage::Arq && service.mode.confirmation == Confirmation::Client,
        deadline: now.mono + request.ttl.span().unwrap_or(ttl_max),
        confirm_by: None,
        content: Content::Data(request.u_pdu),
    }
}

//! Links of the stack: what the channel access sublayer wants done, and U_PDUs that wait for a link again.

use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::cas::{CasOutput, LinkEnd, LinkRefusal};
use skywave_protocols::s5066::node::cpdu::{CPdu, LinkBreak, LinkMessage};
use skywave_protocols::s5066::node::dts::limits::RETRY_WAIT_URGENT_MAX;
use skywave_protocols::s5066::node::dts::{CPduNumber, Sending, Service};
use skywave_protocols::s5066::node::{Carriage, RequestId};
use skywave_protocols::time::Now;

use super::{DOUBLINGS_MAX, Load, PRIORITY_LINK, Stack, Unit, service};
use crate::node::limits::{LINK_MESSAGE_LIFE, LINK_RETRY_FIRST, LINK_RETRY_MAX};

impl Stack {
    pub(super) fn on_cas(&mut self, now: Now, output: CasOutput) {
        match output {
            CasOutput::Send { peer, message } => {
                if matches!(message, LinkMessage::Request { .. }) {
                    // Its D_PDU says more than the message.
                    self.dts.meet(now, peer);
                }
                self.next_number += 1;
                let number = CPduNumber(self.next_number);
                self.loads.insert(number, Load::Link(peer));
                self.dts.submit(
                    now,
                    Sending {
                        number,
                        destination: peer,
                        service: Service::ExpeditedNonArq { copies: 1 },
                        priority: PRIORITY_LINK,
                        deadline: now.mono + LINK_MESSAGE_LIFE,
                        c_pdu: CPdu::Link(message).encode(),
                    },
                );
            }
            CasOutput::Withdraw { peer } => {
                let is_meant = |load: &Load| matches!(load, Load::Link(other) if *other == peer);
                let stale: Vec<CPduNumber> =
                    self.loads.iter().filter(|(_, load)| is_meant(load)).map(|(&number, _)| number).collect();
                for number in stale {
                    self.loads.remove(&number);
                    self.dts.cancel(number);
                }
            }
            CasOutput::Connected { peer, exclusive, .. } => {
                self.counters.links += 1;
                if self.cas.is_agreed(peer) {
                    self.dts.connect_agreed(now, peer);
                } else {
                    self.dts.connect(now, peer);
                }
                if !self.dts.is_connected(peer) {
                    // No room for its windows.
                    self.cas.release(now, peer, LinkBreak::HigherLayer);
                    return self.link_later(now, peer);
                }
                self.linked.insert(peer);
                if let Some(waiters) = self.waiters.get_mut(&peer) {
                    (waiters.retry_at, waiters.retry_urgent_at) = (None, None);
                }
                // It may be for certain clients alone.
                self.server.link_made(now, peer, exclusive);
                self.send_replies(now, peer);
                self.link(now, peer);
            }
            CasOutput::Refused { peer, reason } => {
                let is_busy = matches!(reason, LinkRefusal::Rejected(_));
                self.server.link_refused(peer, is_busy);
                self.link_later(now, peer);
            }
            CasOutput::Disconnected { peer, reason } => {
                self.server.link_lost(peer);
                self.linked.remove(&peer);
                self.dts.disconnect(now, peer, matches!(reason, LinkEnd::Rejected { late: false, .. }));
                if matches!(reason, LinkEnd::Rejected { .. }) {
                    // Data rode with the request: at once again it would ride into a link that is for others.
                    return self.link_later(now, peer);
                }
                self.waiters.get_mut(&peer).into_iter().for_each(|waiters| waiters.refusals = 0);
                // What waited for the end of a link that was for others.
                self.link(now, peer);
            }
        }
    }

    /// No link was made: it is asked for again after a pause, longer each time.
    fn link_later(&mut self, now: Now, peer: NodeAddress) {
        let waiters = self.waiters.entry(peer).or_default();
        let wait = (LINK_RETRY_FIRST * (1 << waiters.refusals.min(DOUBLINGS_MAX))).min(LINK_RETRY_MAX);
        waiters.refusals = waiters.refusals.saturating_add(1);
        waiters.retry_at = Some(now.mono + wait);
        waiters.retry_urgent_at = Some(now.mono + wait.min(RETRY_WAIT_URGENT_MAX));
        let units = &self.units;
        if waiters.units.iter().any(|id| units.get(id).is_some_and(Unit::is_urgent)) {
            waiters.hasten();
        }
    }

    /// The window began anew under a U_PDU, which goes again: what came after it by the same service and has not begun is
    /// taken back, so that it does not overtake.
    pub(super) fn take_back(&mut self, failed: RequestId) {
        let Some(failed_unit) = self.units.get(&failed) else { return };
        let peer = failed_unit.outgoing.destination;
        let is_expedited = |unit: &Unit| service(&unit.outgoing) == Service::ExpeditedArq;
        let expedited = is_expedited(failed_unit);
        let is_meant = |unit: &Unit| {
            let is_arq = unit.outgoing.carriage == Carriage::Arq;
            unit.outgoing.destination == peer && is_arq && is_expedited(unit) == expedited
        };
        let later = self.units.range(failed..).filter(|(_, unit)| is_meant(unit));
        let later: Vec<(RequestId, CPduNumber)> = later.filter_map(|(&id, unit)| Some((id, unit.number?))).collect();
        for (id, number) in later {
            if self.dts.take_back(number) {
                self.loads.remove(&number);
                self.units.get_mut(&id).into_iter().for_each(|unit| unit.number = None);
                self.waiters.entry(peer).or_default().units.insert(id);
            }
        }
    }

    /// What must not go on the link with a peer any more, and has not begun, waits for its end.
    //= s5066/HL-002
    pub(super) fn hold_others(&mut self, peer: NodeAddress) {
        let (server, dts) = (&self.server, &mut self.dts);
        let is_meant = |unit: &Unit| {
            let is_arq = unit.outgoing.carriage == Carriage::Arq;
            unit.outgoing.destination == peer && is_arq && !server.carries(&unit.outgoing)
        };
        for (&id, unit) in self.units.iter_mut().filter(|(_, unit)| is_meant(unit)) {
            let Some(number) = unit.number.filter(|&number| dts.take_back(number)) else { continue };
            self.loads.remove(&number);
            unit.number = None;
            self.waiters.entry(peer).or_default().units.insert(id);
        }
    }

    /// A U_PDU did not get through to a peer that we are no longer linked with: it waits for the next link.
    pub(super) fn wait_again(&mut self, now: Now, id: RequestId) {
        let Some(unit) = self.units.get(&id) else { return };
        let peer = unit.outgoing.destination;
        self.counters.begun_again += 1;
        self.wait(now, peer, id);
    }

    /// A U_PDU waits for the link with a peer, if there is none.
    pub(super) fn wait(&mut self, now: Now, peer: NodeAddress, id: RequestId) {
        let waiters = self.waiters.entry(peer).or_default();
        waiters.units.insert(id);
        if self.units.get(&id).is_some_and(Unit::is_urgent) {
            waiters.hasten();
        }
        self.link(now, peer);
    }
}

#[cfg(test)]
mod tests {
    use skywave_protocols::bytes::Bytes;
    use skywave_protocols::random::Seeded;
    use skywave_protocols::s5066::address::NodeAddress;
    use skywave_protocols::s5066::node::dpdu::{Body, DPdu, DataPart, Eow, Received, ResetPart};
    use skywave_protocols::s5066::node::dts::Plan;
    use skywave_protocols::s5066::node::spdu::{self, SPdu};
    use skywave_protocols::s5066::node::{ClientId, Content, Outgoing};
    use skywave_protocols::s5066::sis::fields::{DeliveryMode, Rank, SapId, ServiceType};
    use skywave_protocols::s5066::sis::frame::FrameReader;
    use skywave_protocols::s5066::sis::pdu::Primitive;
    use skywave_protocols::s5066::sis::reason::UnbindReason;
    use skywave_protocols::s5066::sis::unidata::Quirks;
    use skywave_protocols::time::Duration;

    use super::*;
    use crate::node::{ClientInput, ClientOutput, StationConfig};

    const US: NodeAddress = NodeAddress::individual(1);
    const PEER: NodeAddress = NodeAddress::individual(2);

    fn expedited(now: Now, id: u64) -> Outgoing {
        Outgoing {
            id: RequestId(id),
            destination: PEER,
            sap: SapId::RCOP,
            source_sap: SapId::RCOP,
            priority: 12,
            expedited: true,
            carriage: Carriage::Arq,
            in_order: true,
            client_confirm: false,
            deadline: now.mono + Duration::from_secs(600),
            confirm_by: None,
            content: Content::Data(Bytes::from(vec![id as u8; 40])),
        }
    }

    /// The first of them was put together with a transmission that did not begin.
    #[test]
    fn what_is_expedited_keeps_its_order_over_a_full_reset() {
        let now = Now::default().after(Duration::from_secs(1000));
        let mut stack = Stack::new(&StationConfig::new(US), &Seeded::new(1));
        stack.cas.heard(now, PEER, LinkMessage::Request { exclusive: false, number: 0 });
        stack.settle(now);
        (1..4).for_each(|id| stack.submit(now, expedited(now, id)));
        stack.settle(now);
        let plan = Plan::new(1000, 200);
        assert!(!stack.compose(now, &plan).is_empty());
        stack.cut_off(now, 0);
        let body = Body::Reset(ResetPart { full_command: true, frame_id: 77, ..ResetPart::default() });
        let pdu = DPdu { eow: Eow::NONE, eot: 0, destination: US, source: PEER, body };
        stack.heard(now, &Received { pdu, segment_intact: true, address_octets: 2, octets: 20 });
        let pdus: Vec<DPdu> = (0..2)
            .flat_map(|_| {
                let pdus = stack.compose(now, &plan);
                stack.sent(now);
                pdus
            })
            .collect();
        let first = pdus.iter().find_map(|pdu| match &pdu.body {
            Body::ExpeditedData(part) => part.segment.last(),
            _ => None,
        });
        assert_eq!(first, Some(&1), "{pdus:?}");
    }

    /// It is whole and acknowledged, and waits for one before it: its client has it before it is unbound.
    #[test]
    fn what_was_confirmed_has_arrived_when_a_node_begins_to_broadcast() {
        let (now, client) = (Now::default().after(Duration::from_secs(1000)), ClientId(1));
        let mut stack = Stack::new(&StationConfig::new(US), &Seeded::new(1));
        stack.handle_client(now, client, ClientInput::Accepted);
        let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
        let bind = Primitive::BindRequest { sap: SapId::RCOP, rank: Rank::default(), service };
        stack.handle_client(now, client, ClientInput::Read(bind.encode().unwrap()));
        stack.cas.heard(now, PEER, LinkMessage::Request { exclusive: false, number: 0 });
        stack.settle(now);
        let (source, destination, u_pdu) = (SapId::RCOP, SapId::RCOP, Bytes::from_static(b"x"));
        let data = spdu::Data { priority: 3, source, destination, client_confirm: false, ttd: None, u_pdu };
        let segment = CPdu::Data(SPdu::Data(data).encode()).encode();
        let (start, end, in_order, drop) = (true, true, true, false);
        let part = DataPart { start, end, in_order, drop, uwe: true, lwe: false, fsn: 1, segment };
        let pdu = DPdu { eow: Eow::NONE, eot: 0, destination: US, source: PEER, body: Body::Data(part) };
        stack.heard(now, &Received { pdu, segment_intact: true, address_octets: 2, octets: 20 });
        let is_ack = |pdu: &DPdu| matches!(&pdu.body, Body::Ack(ack) if ack.above().eq([1]));
        let plan = Plan { partner: Some(PEER), ..Plan::new(1000, 200) };
        assert!(stack.compose(now, &plan).iter().any(is_ack), "its sender is told so");
        stack.sent(now);
        stack.set_broadcast_only(now, true);
        let mut reader = FrameReader::new();
        while let Some((_, output)) = stack.poll() {
            if let ClientOutput::Write(octets) = output {
                reader.push(&octets);
            }
        }
        let frames = std::iter::from_fn(|| reader.next_frame());
        let told: Vec<Primitive> =
            frames.map(|frame| Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap()).collect();
        let unbound = Primitive::UnbindIndication(UnbindReason::BroadcastSession);
        assert!(matches!(&told[..], [.., Primitive::UnidataIndication(_), last] if *last == unbound), "{told:?}");
    }
}

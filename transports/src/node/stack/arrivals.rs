//! What arrives: C_PDUs to the sublayer of links, S_PDUs to the SIS server, and what is said about U_PDUs of ours.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::cpdu::{self, CPdu};
use skywave_protocols::s5066::node::dpdu::Eow;
use skywave_protocols::s5066::node::dpdu::eow::{EowMessage, RateResponse};
use skywave_protocols::s5066::node::dts::{Block, Brought, CPduNumber, SendFault, Sending, Service};
use skywave_protocols::s5066::node::limits::PRIORITY_URGENT;
use skywave_protocols::s5066::node::spdu::{self, Delivery, DeliveryFailure, SPdu};
use skywave_protocols::s5066::node::{Content, Incoming, Outcome};
use skywave_protocols::s5066::sis::fields::TransmissionMode;
use skywave_protocols::time::{Now, WallTime};

use super::{Load, Stack, Unit, saps};
use crate::node::limits::{CLOCK_TOLERANCE, REPLIES_MAX, REPLY_LIFE, REPLY_PEERS_MAX};

/// "Cannot change", of a rate as of a waveform (table C-5).
const REASON_CANNOT_CHANGE: u8 = 2;

/// How a C_PDU arrived.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) source: NodeAddress,
    pub(super) destination: NodeAddress,
    pub(super) brought: Brought,
    pub(super) errored: Vec<Block>,
    pub(super) missing: Vec<Block>,
}

impl Arrival {
    const fn is_arq(&self) -> bool {
        matches!(self.brought, Brought::Arq | Brought::ExpeditedArq)
    }

    const fn is_expedited(&self) -> bool {
        matches!(self.brought, Brought::ExpeditedArq | Brought::ExpeditedNonArq)
    }
}

/// Blocks of a C_PDU counted from the end of a header of so many octets; `None` when the header is hit.
fn behind(blocks: &[Block], header: usize) -> Option<Vec<Block>> {
    let header = u16::try_from(header).ok()?;
    blocks.iter().map(|&(offset, octets)| Some((offset.checked_sub(header)?, octets))).collect()
}

impl Stack {
    pub(super) fn on_c_pdu(&mut self, now: Now, arrival: &Arrival, octets: &Bytes) {
        let s_pdu = match CPdu::decode(octets) {
            Ok(CPdu::Link(message)) => return self.cas.heard(now, arrival.source, message),
            Ok(CPdu::Data(s_pdu)) => s_pdu,
            Err(_) => return self.counters.unreadable += 1,
        };
        match SPdu::decode(&s_pdu) {
            Ok(SPdu::Data(data)) => self.on_data(now, arrival, data),
            Ok(SPdu::DeliveryConfirm(delivery)) => self.at_client(arrival.source, &delivery, Outcome::Delivered),
            Ok(SPdu::DeliveryFail(_, delivery)) => self.at_client(arrival.source, &delivery, Outcome::NotBound),
            Ok(SPdu::HardLink(message)) => {
                self.server.handle_hard_link(now, arrival.source, message);
                // It may say for whom the link is.
                self.hold_others(arrival.source);
                self.link(now, arrival.source);
            }
            Err(_) => self.counters.unreadable += 1,
        }
    }

    /// A U_PDU arrived.
    fn on_data(&mut self, now: Now, arrival: &Arrival, data: spdu::Data) {
        //= s5066/NODE-021
        if data.ttd.is_some_and(|ttd| ttd.has_passed(a_little_before(now.wall))) {
            self.counters.late += 1;
            return;
        }
        let header = cpdu::DATA_HEADER_OCTETS + data.octets() - data.u_pdu.len();
        let blocks = [&arrival.errored, &arrival.missing].map(|blocks| behind(blocks, header));
        let [Some(errored), Some(missing)] = blocks else { return self.counters.incomplete += 1 };
        let with_errors = !errored.is_empty() || !missing.is_empty();
        if with_errors && !self.server.takes_errors(data.destination) {
            self.counters.incomplete += 1;
            return;
        }
        let (client_confirm, source, destination) = (data.client_confirm, data.source, data.destination);
        let leading = data.u_pdu.slice(..data.u_pdu.len().min(self.response_octets));
        let bound = self.server.deliver(Incoming {
            source: arrival.source,
            destination: arrival.destination,
            source_sap: data.source,
            sap: data.destination,
            priority: data.priority,
            expedited: self.was_expedited(arrival, data.priority),
            transmission: match (arrival.is_arq(), with_errors) {
                (true, _) => TransmissionMode::Arq,
                (false, true) => TransmissionMode::NonArqWithErrors,
                (false, false) => TransmissionMode::NonArq,
            },
            errored,
            missing,
            u_pdu: data.u_pdu,
        });
        if client_confirm && arrival.is_arq() {
            self.reply(now, arrival, data.priority, Delivery { source, destination, leading }, bound);
        }
    }

    /// Whether its client asked for the expedited service. What a node of ours sent so on its own account, since it is
    /// urgent, says how urgent; one of others may say so of anything.
    //= s5066/NODE-040
    fn was_expedited(&self, arrival: &Arrival, priority: u8) -> bool {
        match arrival.brought {
            Brought::ExpeditedArq => priority < PRIORITY_URGENT || self.cas.is_foreign(arrival.source),
            Brought::ExpeditedNonArq => true,
            Brought::Arq | Brought::NonArq => false,
        }
    }

    /// Tells the SIS of a peer whether a client has its U_PDU, by the service that it came by.
    //= s5066/NODE-022
    fn reply(&mut self, now: Now, arrival: &Arrival, priority: u8, delivery: Delivery, bound: bool) {
        let s_pdu = if bound {
            SPdu::DeliveryConfirm(delivery)
        } else {
            SPdu::DeliveryFail(DeliveryFailure::NotBound, delivery)
        };
        let service = if arrival.is_expedited() { Service::ExpeditedArq } else { Service::Arq { in_order: false } };
        self.send_reply(
            now,
            Sending {
                number: CPduNumber(0),
                destination: arrival.source,
                service,
                priority,
                deadline: now.mono + REPLY_LIFE,
                c_pdu: CPdu::Data(s_pdu.encode()).encode(),
            },
        );
    }

    fn send_reply(&mut self, now: Now, reply: Sending) {
        self.next_number += 1;
        let number = CPduNumber(self.next_number);
        let reply = Sending { number, ..reply };
        self.loads.insert(number, Load::Reply(Box::new(reply.clone())));
        self.dts.submit(now, reply);
    }

    /// What a peer has not heard of its U_PDUs is said again on the next link: twice does no harm.
    pub(super) fn reply_again(&mut self, now: Now, why: SendFault, reply: Sending) {
        let may = matches!(why, SendFault::NotConnected | SendFault::Disconnected | SendFault::Reset);
        if !may || reply.deadline <= now.mono {
            return self.counters.replies_dropped += 1;
        }
        if self.linked.contains(&reply.destination) {
            return self.send_reply(now, reply);
        }
        if self.replies.len() >= REPLY_PEERS_MAX && !self.replies.contains_key(&reply.destination) {
            let dropped = self.replies.pop_first().map_or(0, |(_, replies)| replies.len());
            self.counters.replies_dropped += dropped as u64;
        }
        let waiting = self.replies.entry(reply.destination).or_default();
        if waiting.len() < REPLIES_MAX {
            waiting.push(reply);
        } else {
            self.counters.replies_dropped += 1;
        }
    }

    /// A link is there: what waited for it to be said.
    pub(super) fn send_replies(&mut self, now: Now, peer: NodeAddress) {
        for reply in self.replies.remove(&peer).unwrap_or_default() {
            self.send_reply(now, reply);
        }
    }

    /// The orderwire of a peer asks for something: nothing is negotiated, since receivers find rates by themselves.
    //= s5066/NODE-027
    pub(super) fn on_advised(&mut self, now: Now, peer: NodeAddress, eow: Eow) {
        let answer = match eow.meaning() {
            EowMessage::RateChange(change) if change.advisory => return,
            EowMessage::RateChange(_) | EowMessage::WaveformChange { .. } => {
                EowMessage::RateResponse { response: RateResponse::Refuse, reason: REASON_CANNOT_CHANGE }
            }
            EowMessage::Frequency { response: false, .. } => EowMessage::Unrecognised(eow.kind),
            // The sublayer below has answered what users agree on.
            EowMessage::User(_) | EowMessage::None => return,
            EowMessage::RateResponse { .. } | EowMessage::Unrecognised(_) | EowMessage::Capability(_) => return,
            EowMessage::Frequency { .. } | EowMessage::Reserved(_) => return,
        };
        if !self.emcon && self.dts.message(now, peer, answer.into(), None) {
            self.counters.changes_refused += 1;
        }
    }

    /// The peer's SIS says what became of a U_PDU, which it names by its leading octets: the oldest that its node has said
    /// to have is meant, or else the oldest of which something was on the air.
    //= s5066/NODE-022
    fn at_client(&mut self, peer: NodeAddress, delivery: &Delivery, outcome: Outcome) {
        let key = (peer, saps(delivery.source, delivery.destination));
        let (units, dts) = (&self.units, &self.dts);
        let is_meant = |unit: &Unit| match &unit.outgoing.content {
            Content::Data(u_pdu) => unit.at_client.is_none() && u_pdu.starts_with(&delivery.leading),
            Content::HardLink(_) => false,
        };
        let has_begun = |unit: &Unit| unit.at_node || unit.number.is_some_and(|number| dts.has_begun(number));
        let ids = self.confirming.get(&key).into_iter().flatten();
        let open = ids.filter_map(|&id| Some((id, units.get(&id).filter(|unit| is_meant(unit) && has_begun(unit))?)));
        let Some((id, _)) = open.min_by_key(|(id, unit)| (!unit.at_node, *id)) else { return };
        if let Some(unit) = self.units.get_mut(&id) {
            unit.at_client = Some(outcome);
            if unit.at_node {
                self.finish(id, outcome);
            }
        }
    }
}

/// By so much the clock of whoever set a time to die may be behind ours.
fn a_little_before(wall: WallTime) -> WallTime {
    let tolerance = u64::try_from(CLOCK_TOLERANCE.as_micros()).unwrap_or(u64::MAX);
    WallTime::from_unix_micros(wall.unix_micros().saturating_sub(tolerance))
}

#[cfg(test)]
mod tests {
    use skywave_protocols::random::Seeded;
    use skywave_protocols::s5066::node::cpdu::LinkMessage;
    use skywave_protocols::s5066::sis::fields::{DeliveryMode, Rank, SapId, ServiceType};
    use skywave_protocols::s5066::sis::frame::FrameReader;
    use skywave_protocols::s5066::sis::pdu::Primitive;
    use skywave_protocols::s5066::sis::unidata::Quirks;
    use skywave_protocols::time::Duration;

    use super::*;
    use crate::node::{ClientId, ClientInput, ClientOutput, StationConfig};

    /// Whether a client was given something as expedited that came by that service, from a node which asked for its link so.
    fn is_told_as_expedited(request: LinkMessage, priority: u8) -> bool {
        let (us, peer) = (NodeAddress::individual(1), NodeAddress::individual(2));
        let mut stack = Stack::new(&StationConfig::new(us), &Seeded::new(1));
        let (now, client) = (Now::default(), ClientId(1));
        stack.handle_client(now, client, ClientInput::Accepted);
        let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
        let bind = Primitive::BindRequest { sap: SapId::RCOP, rank: Rank::default(), service };
        stack.handle_client(now, client, ClientInput::Read(bind.encode().unwrap()));
        stack.cas.heard(now, peer, request);
        stack.settle(now);
        let (source, destination, u_pdu) = (SapId::RCOP, SapId::RCOP, Bytes::from_static(b"x"));
        let data = spdu::Data { priority, source, destination, client_confirm: false, ttd: None, u_pdu };
        let brought = Brought::ExpeditedArq;
        let arrival = Arrival { source: peer, destination: us, brought, errored: Vec::new(), missing: Vec::new() };
        stack.on_data(now, &arrival, data);
        stack.settle(now);
        let mut reader = FrameReader::new();
        while let Some((_, output)) = stack.poll() {
            if let ClientOutput::Write(octets) = output {
                reader.push(&octets);
            }
        }
        let frames = std::iter::from_fn(|| reader.next_frame());
        let last = frames.map(|frame| Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap()).last();
        assert!(matches!(last, Some(Primitive::ExpeditedUnidataIndication(_) | Primitive::UnidataIndication(_))));
        matches!(last, Some(Primitive::ExpeditedUnidataIndication(_)))
    }

    #[test]
    fn what_others_say_to_be_expedited_is_so_whatever_its_priority() {
        let request = |number| LinkMessage::Request { exclusive: false, number };
        for (number, priority, expedited) in [(0, 0, true), (0, 13, true), (5, 0, true), (5, 13, false)] {
            assert_eq!(is_told_as_expedited(request(number), priority), expedited, "{number} {priority}");
        }
        // How a hard link is asked for says nothing.
        assert!(!is_told_as_expedited(LinkMessage::Request { exclusive: true, number: 0 }, 13));
    }

    #[test]
    fn what_a_peer_is_not_told_is_counted() {
        let peer = NodeAddress::individual(2);
        let mut stack = Stack::new(&StationConfig::new(NodeAddress::individual(1)), &Seeded::new(1));
        let reply = |now: Now| Sending {
            number: CPduNumber(1),
            destination: peer,
            service: Service::Arq { in_order: false },
            priority: 0,
            deadline: now.mono + Duration::from_secs(1),
            c_pdu: Bytes::new(),
        };
        let now = Now::default();
        stack.reply_again(now, SendFault::Disconnected, reply(now));
        assert_eq!(stack.counters.replies_dropped, 0, "it waits for a link");
        stack.reply_again(now, SendFault::Full, reply(now));
        let late = Now { mono: now.mono + Duration::from_secs(2), ..now };
        stack.reply_again(late, SendFault::Disconnected, reply(now));
        assert_eq!(stack.counters.replies_dropped, 2);
    }
}

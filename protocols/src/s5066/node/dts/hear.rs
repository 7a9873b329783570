//! What the D_PDUs of others do.

use super::compose::asks;
use super::event::{Brought, DtsEvent, SendFault};
use super::expedited::ExpeditedReceiver;
use super::limits::{EVENTS_MAX, PEERS_MAX, WARNING_PAUSE, WARNINGS_MAX};
use super::resets::{Pending, ResetOrder};
use super::{Dts, arq::receiver::Taken};
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::node::dpdu::eow::EowMessage;
use crate::s5066::node::dpdu::{
    AckPart, Body, DPdu, DataPart, Eow, ExpeditedPart, ManagementPart, NonArqPart, ResetPart, WarningReason,
};
use crate::s5066::node::mark::Mark;
use crate::time::{Instant, Now};

/// Octets of an ordinary data D_PDU besides its segment, for the estimate of loss.
const OVERHEAD_OCTETS: usize = 17;

/// Who is asked for an answer by a D_PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    /// This node.
    pub answer: bool,
    /// Another one.
    pub others: bool,
}

impl Dts {
    /// Takes a D_PDU that was heard. `segment_intact` says whether its segment is whole; header information counts
    /// anyway.
    pub fn heard(&mut self, now: Now, pdu: &DPdu, segment_intact: bool) -> Heard {
        if pdu.source == self.config.address || pdu.source.is_group() {
            self.counters.forged += 1;
            return Heard::default();
        }
        let deaf = self.is_deaf();
        if std::mem::take(&mut self.unheard) > 0 {
            self.peers.values_mut().for_each(|peer| peer.somebody_heard(deaf));
        }
        if let Some(peer) = self.peers.get_mut(&pdu.source) {
            peer.heard(now.mono);
        }
        let asks = asks(&pdu.body);
        if !self.is_ours(pdu.destination) {
            self.counters.overheard += 1;
            return Heard { answer: false, others: asks };
        }
        self.counters.damaged += u64::from(!segment_intact);
        if let Body::NonArq(part) | Body::ExpeditedNonArq(part) = &pdu.body {
            let advises = matches!(pdu.eow.meaning(), EowMessage::RateChange(_)) && !pdu.destination.is_group();
            if advises && self.peer(now.mono, pdu.source).is_some() {
                self.on_orderwire(pdu.source, pdu.eow);
            }
            self.on_non_arq(now.mono, pdu, part, segment_intact);
            return Heard::default();
        }
        // Only types 7 and 8 have groups as destination; the reader gives the others no group flag.
        self.on_addressed(now, pdu, segment_intact);
        Heard { answer: asks, others: false }
    }

    /// A D_PDU of a link that only its sender has: it is not taken, and its sender is told.
    pub fn unread(&mut self, now: Now, pdu: &DPdu) {
        self.counters.strangers += 1;
        self.warn(now.mono, pdu.source, pdu.body.kind(), WarningReason::NotConnected);
    }

    fn is_ours(&self, destination: NodeAddress) -> bool {
        destination == self.config.address
            || destination == NodeAddress::ALL_STATIONS
            || self.config.groups.contains(&destination)
    }

    fn on_addressed(&mut self, now: Now, pdu: &DPdu, intact: bool) {
        let source = pdu.source;
        let connected = self.is_connected(source);
        let needs_connection = matches!(pdu.body.kind(), 0..=5) && !matches!(pdu.body, Body::Unknown { .. });
        if needs_connection && !connected {
            return self.unread(now, pdu);
        }
        if !matches!(pdu.body, Body::Management(_) | Body::Warning { .. } | Body::Unknown { .. }) {
            self.on_orderwire(source, pdu.eow);
        }
        let is_data = matches!(pdu.body, Body::Data(_) | Body::DataAck(..) | Body::Ack(_));
        if let Some(peer) = self.peers.get_mut(&source).filter(|_| is_data) {
            peer.resets.data_heard();
        }
        match &pdu.body {
            Body::Data(data) => self.on_data(source, data, intact),
            Body::DataAck(data, ack) => {
                self.on_ack(source, ack);
                self.on_data(source, data, intact);
            }
            Body::Ack(ack) => self.on_ack(source, ack),
            Body::Reset(part) => self.on_reset(now.mono, source, part),
            Body::ExpeditedData(part) => self.on_expedited(source, part, intact),
            Body::ExpeditedAck(ack) => self.on_expedited_ack(source, ack),
            Body::Management(part) => self.on_management(now.mono, source, pdu.eow, part),
            Body::Warning { reason, .. } => self.on_warning(source, *reason),
            Body::Unknown { kind, .. } => {
                self.counters.invalid += 1;
                let known = !(9..=14).contains(kind);
                let reason = if known { WarningReason::Invalid } else { WarningReason::UnrecognisedType };
                // A warning is never answered by one, not even a broken one.
                if *kind != 15 {
                    self.warn(now.mono, source, *kind, reason);
                }
            }
            Body::NonArq(_) | Body::ExpeditedNonArq(_) => {}
        }
    }

    fn on_data(&mut self, source: NodeAddress, data: &DataPart, intact: bool) {
        let full = self.events.len() >= EVENTS_MAX;
        let Some(peer) = self.peers.get_mut(&source) else { return };
        if peer.resets.pending().is_some() || full {
            return;
        }
        peer.owes_ack = true;
        // The segment of a frame to be dropped has no octets that could be damaged.
        if !intact {
            return;
        }
        let mut whole = Vec::new();
        match peer.receiver.take(data, &mut whole) {
            Taken::New => {}
            Taken::Repeat => self.counters.repeats += 1,
            Taken::Doubtful => self.counters.out_of_window += 1,
            Taken::OutOfSync => {
                self.counters.out_of_window += 1;
                self.counters.resets_begun += 1;
                peer.resets.begin(Pending::TheirTransmit);
            }
        }
        self.counters.unassembled += std::mem::take(&mut peer.receiver.unassembled);
        self.arrived(source, Brought::Arq, whole);
    }

    fn on_ack(&mut self, source: NodeAddress, ack: &AckPart) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        if peer.resets.pending().is_some() {
            // It is not read, and no other one comes for what was asked before: that goes again.
            peer.sender.unanswered();
            return;
        }
        if let Some(progress) = peer.sender.acknowledge(ack) {
            peer.unsure = false;
            peer.rate.acknowledged(progress.tried, progress.missed, progress.tried_octets, OVERHEAD_OCTETS);
            for number in progress.delivered {
                self.forget(number);
                self.events.push_back(DtsEvent::Delivered(number));
            }
            return;
        }
        self.counters.out_of_window += 1;
        self.counters.resets_begun += 1;
        self.resync_transmit(source);
    }

    /// Begins our window towards a node anew and tells it where.
    fn resync_transmit(&mut self, address: NodeAddress) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let first = peer.sender.next_fsn();
        let failed = peer.sender.restart(first, false);
        peer.resets.begin(Pending::TheirReceive(first));
        self.fail(failed, SendFault::Reset);
    }

    fn on_reset(&mut self, now: Instant, source: NodeAddress, part: &ResetPart) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        self.counters.resets_heard += u64::from(!part.ack);
        match peer.resets.heard(now, part) {
            None => self.events.push_back(DtsEvent::ConnectionLost(source)),
            Some(ResetOrder::None) => {}
            Some(ResetOrder::Transmit) => self.resync_transmit(source),
            Some(ResetOrder::Receive(first)) => {
                let mut whole = Vec::new();
                peer.receiver.restart(first, &mut whole);
                peer.owes_ack = false;
                self.arrived(source, Brought::Arq, whole);
            }
            Some(ResetOrder::Both) => {
                (peer.owes_ack, peer.owes_expedited_ack, peer.unsure) = (false, false, false);
                peer.expedited_in = ExpeditedReceiver::default();
                self.restart(source, false, SendFault::Reset);
            }
        }
    }

    fn on_expedited(&mut self, source: NodeAddress, part: &ExpeditedPart, intact: bool) {
        let full = self.events.len() >= EVENTS_MAX;
        let Some(peer) = self.peers.get_mut(&source).filter(|peer| !full && !peer.resets.pends_full()) else { return };
        if !intact {
            peer.owes_expedited_ack |= peer.expedited_in.damaged(part.c_pdu_id);
            return;
        }
        peer.owes_expedited_ack = true;
        let whole = peer.expedited_in.take(part);
        self.arrived(source, Brought::ExpeditedArq, whole.into_iter().collect());
    }

    fn on_expedited_ack(&mut self, source: NodeAddress, ack: &AckPart) {
        let Some(peer) = self.peers.get_mut(&source).filter(|peer| !peer.resets.pends_full()) else { return };
        peer.unsure = false;
        if let Some(number) = peer.expedited_out.acknowledge(ack) {
            self.forget(number);
            self.events.push_back(DtsEvent::Delivered(number));
        }
    }

    fn on_management(&mut self, now: Instant, source: NodeAddress, eow: Eow, part: &ManagementPart) {
        let Some(peer) = self.peer(now, source) else { return };
        let (acked, new) = peer.management.heard(part);
        if acked {
            self.events.push_back(DtsEvent::ManagementDone { peer: source, acknowledged: true });
        }
        if new && self.events.len() < EVENTS_MAX {
            let extended = part.extended.clone().unwrap_or_default();
            self.note_advice(source, eow);
            self.events.push_back(DtsEvent::Advised { peer: source, eow, extended });
        }
    }

    /// An orderwire message that rode with another D_PDU: every D_PDU of a transmission may repeat it.
    fn on_orderwire(&mut self, source: NodeAddress, eow: Eow) {
        let meaning = eow.meaning();
        if meaning == EowMessage::None || Mark::of(eow).is_some() || self.events.len() >= EVENTS_MAX {
            return;
        }
        let known = DtsEvent::Advised { peer: source, eow, extended: Bytes::new() };
        if self.events.back() == Some(&known) {
            return;
        }
        if let (EowMessage::User(_), Some(peer)) = (meaning, self.peers.get_mut(&source)) {
            //= s5066/DTS-005
            peer.eow = EowMessage::Unrecognised(eow.kind).into();
        }
        if self.note_advice(source, eow) {
            self.events.push_back(known);
        }
    }

    /// Takes an advisory; `false` when it says nothing new.
    fn note_advice(&mut self, source: NodeAddress, eow: Eow) -> bool {
        match (eow.meaning(), self.peers.get_mut(&source)) {
            (EowMessage::RateChange(change), Some(peer)) if change.advisory && !self.config.rates.is_empty() => {
                peer.rate.advised(&self.config.rates, change)
            }
            _ => true,
        }
    }

    fn on_warning(&mut self, source: NodeAddress, reason: u8) {
        self.counters.warnings_heard += 1;
        // Whoever was never spoken to has nothing to complain of.
        let spoken = self.peers.get(&source).is_some_and(|peer| peer.connected && peer.asked > 0);
        if reason == WarningReason::NotConnected as u8 && spoken {
            self.events.push_back(DtsEvent::PeerUnconnected(source));
        }
    }

    /// Owes a node a warning, unless it had one lately.
    //= s5066/DTS-022
    fn warn(&mut self, now: Instant, to: NodeAddress, received: u8, reason: WarningReason) {
        let lately = self.warned.get(&to).is_some_and(|&at| now.since(at) < WARNING_PAUSE);
        if lately || self.warnings.len() >= WARNINGS_MAX {
            return;
        }
        if self.warned.len() >= PEERS_MAX {
            self.warned.retain(|_, at| now.since(*at) < WARNING_PAUSE);
        }
        if self.warned.len() < PEERS_MAX {
            self.warned.insert(to, now);
            self.warnings.push_back((to, received, reason as u8));
        }
    }

    fn on_non_arq(&mut self, now: Instant, pdu: &DPdu, part: &NonArqPart, intact: bool) {
        if self.events.len() >= EVENTS_MAX {
            return;
        }
        let expedited = matches!(pdu.body, Body::ExpeditedNonArq(_));
        let key = (pdu.source, expedited, pdu.destination, part.c_pdu_id);
        let mut whole = Vec::new();
        self.non_arq_in.take(now, key, part, intact, &mut whole);
        self.counters.repeats += std::mem::take(&mut self.non_arq_in.repeats);
        self.give_out(whole);
    }
}

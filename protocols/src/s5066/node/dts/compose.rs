//! What a transmission carries: the most urgent first.
//!
//! Order: what is owed; resets and management; expedited data; then by priority, within one repetitions of what was lost
//! (lowest frame first), what has a number already, new data, and data without ARQ. Everything that asks for an answer is
//! for one node. A FLASH changes what of a transmission has not begun.

use super::arq::sender::{Chosen, Room};
use super::event::DtsEvent;
use super::limits::{ACKS_PER_TRANSMISSION_MAX, D_PDUS_PER_TRANSMISSION_MAX, PROBE_OCTETS};
use super::non_arq_send::Gone;
use super::peer::{PRIORITY_EXPEDITED, Peer};
use super::{CPduNumber, Dts, Plan};
use crate::s5066::address::NodeAddress;
use crate::s5066::node::cpdu::LinkMessage;
use crate::s5066::node::dpdu::{AckPart, Body, DPdu, Eow, ManagementPart, NonArqPart, ResetPart};
use crate::s5066::node::limits::PRIORITY_URGENT;
use crate::s5066::node::mark::Mark;
use crate::time::{Instant, Now};

/// Octets of a data D_PDU besides addresses and segment; without ARQ six more.
const DATA_OVERHEAD_OCTETS: usize = 15;
const NON_ARQ_OVERHEAD_OCTETS: usize = 21;
/// Octets of a short acknowledgement that rides with data.
const ACK_RIDES_OCTETS: usize = 4;
/// The highest priority of the standard.
const PRIORITY_MOST: u8 = 15;
/// Priority of C_PDUs about links, which go by the expedited non-ARQ service.
const PRIORITY_LINK: u8 = 15;
/// Half seconds after which a C_PDU about a link that stands alone is not sent any more.
const LINK_PDU_WINDOW: u16 = 255;
/// A repeated acknowledgement in the last of so many data D_PDUs costs few octets and may save a turn.
const DATA_BEFORE_SECOND_ACK: usize = 3;

/// Whether a D_PDU asks for an answer.
pub const fn asks(body: &Body) -> bool {
    match body {
        Body::Data(_) | Body::DataAck(..) | Body::ExpeditedData(_) => true,
        Body::Reset(part) => !part.ack,
        Body::Management(part) => part.valid,
        Body::Ack(_) | Body::ExpeditedAck(_) | Body::NonArq(_) | Body::ExpeditedNonArq(_) => false,
        Body::Warning { .. } | Body::Unknown { .. } => false,
    }
}

/// What a D_PDU in the air means for the machines.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Item {
    Ack,
    ExpeditedAck,
    Reset(ResetPart),
    Management(ManagementPart),
    Expedited { c_pdu_id: u8, fsn: u8 },
    Data { at: Chosen, ack: bool },
    NonArq(Gone),
    Warning,
}

/// A transmission that is put together or in the air.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    items: Vec<(NodeAddress, Item, Eow)>,
    /// Who is asked for an answer.
    partner: Option<NodeAddress>,
    /// When it was put together.
    begun: Instant,
    /// What each replacement took out of it.
    before: Vec<Replaced>,
}

/// The end of a transmission that others took the place of.
#[derive(Clone, Debug)]
struct Replaced {
    from: usize,
    items: Vec<(NodeAddress, Item, Eow)>,
    /// Whose frames the data are of: another may get the number of one that was taken out and given up.
    owners: Vec<Option<CPduNumber>>,
    partner: Option<NodeAddress>,
}

/// A transmission while it is put together.
struct Build<'a> {
    now: Instant,
    plan: &'a Plan,
    octets: usize,
    frames: Vec<DPdu>,
    /// Something with a segment is in the transmission, perhaps in the part that stays.
    has_segments: bool,
}

impl Dts {
    /// Puts a transmission together. Empty: nothing wants the air. The end of transmission is left 0.
    pub fn compose(&mut self, now: Now, plan: &Plan) -> Vec<DPdu> {
        self.cut_off(now, 0);
        self.flight.begun = now.mono;
        self.build(now.mono, plan)
    }

    /// The same for a transmission in the air of which nothing has begun: it takes the place of all that was in it.
    pub fn compose_anew(&mut self, now: Now, plan: &Plan) -> Vec<DPdu> {
        let replaced = self.replaced(0);
        let mut before = std::mem::take(&mut self.flight.before);
        before.push(replaced);
        let frames = self.compose(now, plan);
        self.flight.before = before;
        frames
    }

    /// A FLASH came while a transmission is in the air: a new end for it, behind its first `from_frame` D_PDUs, of at
    /// most `plan.octets`. `None`: the transmission stays as it is, since nothing more urgent waits that could go in it.
    pub fn amend(&mut self, now: Now, from_frame: usize, plan: &Plan) -> Option<Vec<DPdu>> {
        let tail = self.flight.items.iter().skip(from_frame);
        let least = tail.map(|(peer, item, _)| self.priority_of(*peer, item)).min()?;
        let kept_asks = self.flight.items.iter().take(from_frame).any(|(_, item, _)| item.asks());
        let partner = self.flight.partner.filter(|_| kept_asks);
        let arq = self.peers.iter().filter(|(peer, _)| partner.is_none_or(|partner| partner == **peer));
        let arq = arq.filter(|_| plan.arq_allowed).filter_map(|(_, peer)| peer.claim()).max();
        let non_arq = self.non_arq_out.most_urgent();
        let non_arq = non_arq.map(|(expedited, priority)| if expedited { PRIORITY_EXPEDITED } else { priority });
        let best = arq.max(non_arq).filter(|&best| best >= PRIORITY_URGENT && best > least);
        best?;
        let before = self.clone();
        let replaced = self.replaced(from_frame);
        self.flight.before.push(replaced);
        self.unchoose_from(from_frame);
        self.flight.partner = partner;
        let frames = self.build(now.mono, plan);
        if frames.is_empty() {
            // What is urgent is cut already and does not fit: what was chosen goes, and counts as sent. An acknowledgement
            // of what counts as not sent would begin the window anew, and bring it twice.
            *self = before;
            return None;
        }
        Some(frames)
    }

    /// Only so many of the replacements by [`Dts::compose_anew`] and [`Dts::amend`] came in time, the first ones: the
    /// others count as not made, so that what they were to take out counts as sent with the rest.
    pub fn kept(&mut self, replaced: usize) {
        let mut later = self.flight.before.split_off(replaced.min(self.flight.before.len())).into_iter();
        let Some(Replaced { from, items, owners, partner }) = later.next() else { return };
        self.unchoose_from(from);
        for ((address, item, eow), owner) in items.into_iter().zip(owners) {
            if self.owner(address, &item) == owner {
                self.flight.items.push((address, item, eow));
            } else {
                // Given up meanwhile, and its number is another's, of which the other node now has something else.
                self.events.push_back(DtsEvent::ConnectionLost(address));
            }
        }
        self.flight.partner = partner;
    }

    /// The transmission has left the air.
    pub fn sent(&mut self, now: Now) {
        self.cut_off(now, usize::MAX);
    }

    /// The transmission was stopped when so many of its D_PDUs had begun.
    pub fn cut_off(&mut self, now: Now, frames_begun: usize) {
        self.unchoose_from(frames_begun);
        let flight = std::mem::take(&mut self.flight);
        if !flight.items.is_empty() {
            self.transmissions += 1;
        }
        if let Some(peer) = flight.partner.and_then(|partner| self.peers.get_mut(&partner)) {
            (peer.asked, peer.airtime) = (self.transmissions, now.mono.since(flight.begun));
        }
        for (address, item, eow) in flight.items {
            self.item_sent(address, item, eow);
        }
    }

    /// A C_PDU about a link, to stand in front of what [`Dts::compose`] puts together. It is not counted among its
    /// D_PDUs. Without a number of its own it says by the mark which link it asks for.
    pub fn link_pdu(&mut self, destination: NodeAddress, message: LinkMessage) -> DPdu {
        let segment = message.encode();
        let part = NonArqPart {
            in_order: false,
            c_pdu_id: self.non_arq_out.take_expedited_id(),
            c_pdu_size: u16::try_from(segment.len()).unwrap_or_default(),
            offset: 0,
            window: LINK_PDU_WINDOW,
            segment,
        };
        // What rides behind it says which link it is of, and not at which rate to answer.
        let peer = self.peers.get(&destination);
        let place = peer.map_or(self.config.rate_first, |peer| peer.rate.rate());
        let advice = super::rate::advisory(&self.config.rates, place);
        let mark =
            peer.and_then(|peer| peer.mark).filter(|_| matches!(message, LinkMessage::Request { number: 0, .. }));
        let eow = mark.map_or(advice, Mark::eow);
        DPdu { eow, eot: 0, destination, source: self.config.address, body: Body::ExpeditedNonArq(part) }
    }

    /// What D_PDUs to each node say of the link that they ride on, from now on: nothing where `mark` has none.
    //= s5066/CAS-007
    pub fn set_marks(&mut self, mark: impl Fn(NodeAddress) -> Option<Mark>) {
        for (&address, peer) in &mut self.peers {
            peer.mark = mark(address);
        }
    }

    /// Whom the next transmission would ask for an answer: its rate is to be used.
    pub fn partner(&self, now: Now, plan: &Plan) -> Option<NodeAddress> {
        self.choose_partner(now.mono, plan)
    }

    /// Who is asked for an answer by the transmission that was put together last.
    pub const fn asked(&self) -> Option<NodeAddress> {
        self.flight.partner
    }

    fn build(&mut self, now: Instant, plan: &Plan) -> Vec<DPdu> {
        let has_segments = self.flight.items.iter().any(|(_, item, _)| item.has_segment());
        let mut build = Build { now, plan, octets: plan.octets, frames: Vec::new(), has_segments };
        let partner = self.flight.partner.or_else(|| self.choose_partner(now, plan));
        // Messages about links: what follows them counts only if they were heard.
        self.put_non_arq(&mut build, (true, PRIORITY_LINK));
        self.put_owed(&mut build, partner);
        if plan.acks_only {
            return build.frames;
        }
        let mut arq_data = partner.is_some();
        if let Some(partner) = partner {
            self.put_control(&mut build, partner);
            arq_data = self.put_expedited(&mut build, partner) && !self.gives_way(partner);
        }
        for priority in (0..=PRIORITY_MOST).rev() {
            self.put_non_arq(&mut build, (true, priority));
        }
        self.put_by_priority(&mut build, partner.filter(|_| arq_data));
        if let Some(partner) = partner.filter(|_| self.flight.items.iter().any(|(_, item, _)| item.asks())) {
            self.flight.partner = Some(partner);
        }
        build.frames
    }

    /// The node with the most urgent claim; among equals the one whose turn is answered, then the one asked longest ago.
    fn choose_partner(&self, now: Instant, plan: &Plan) -> Option<NodeAddress> {
        if !plan.arq_allowed || plan.acks_only {
            return None;
        }
        let answered = |address: &NodeAddress| plan.partner.as_ref() == Some(address);
        let claims = self.peers.iter().filter_map(|(address, peer)| Some((peer.claim()?, address, peer)));
        let ready = claims.filter(|(claim, address, peer)| peer.ready_at(*claim) <= now || answered(address));
        ready
            .map(|(claim, address, peer)| (claim, address, peer.asked))
            .max_by_key(|(claim, address, asked)| (*claim, answered(address), std::cmp::Reverse(*asked)))
            .map(|(_, address, _)| *address)
    }

    /// Whether the answer to a full reset stays short: who commanded it may have waited for that with something urgent.
    fn gives_way(&self, partner: NodeAddress) -> bool {
        let waited = self.peers.get(&partner).is_some_and(|peer| peer.resets.has_commanded());
        !waited && self.items_to(partner).any(Item::answers_reset)
    }

    /// What is owed: first to whose turn is answered. An acknowledgement to the partner waits: it may ride with data.
    fn put_owed(&mut self, build: &mut Build<'_>, partner: Option<NodeAddress>) {
        let first = build.plan.partner;
        let owing = self.peers.iter().filter(|(_, peer)| peer.owes()).map(|(&address, _)| address);
        let mut owing: Vec<NodeAddress> = owing.collect();
        owing.sort_by_key(|address| first != Some(*address));
        for address in owing.into_iter().take(ACKS_PER_TRANSMISSION_MAX) {
            let kept: Vec<Item> = self.items_to(address).cloned().collect();
            let Some(peer) = self.peers.get(&address) else { continue };
            let reset = peer.resets.ack().filter(|part| !kept.contains(&Item::Reset(*part)));
            let expedited = peer.owes_expedited_ack && !kept.contains(&Item::ExpeditedAck);
            let expedited = expedited.then(|| peer.expedited_in.ack());
            let blocked = peer.resets.pending().is_some();
            let ack = peer.owes_ack && !blocked && !kept.iter().any(Item::acknowledges);
            let data_follows = peer.sender.wants_air() && peer.expedited_out.backlog() == 0;
            let rides = partner == Some(address) && !build.plan.acks_only && data_follows;
            let ack = (ack && !rides).then(|| peer.receiver.ack());
            let management = peer.management.ack().filter(|_| !peer.management.wants_air() || build.plan.acks_only);
            let management = management.filter(|part| !kept.contains(&Item::Management(part.clone())));
            let parts = [
                reset.map(|part| (Body::Reset(part), Item::Reset(part))),
                expedited.map(|part| (Body::ExpeditedAck(part), Item::ExpeditedAck)),
                ack.map(|part| (Body::Ack(part), Item::Ack)),
                management.map(|part| (Body::Management(part.clone()), Item::Management(part))),
            ];
            for (body, item) in parts.into_iter().flatten() {
                self.put(build, address, body, item);
            }
        }
        self.put_warnings(build);
    }

    fn put_warnings(&mut self, build: &mut Build<'_>) {
        for (address, received, reason) in self.warnings.clone() {
            if !self.items_to(address).any(|item| *item == Item::Warning) {
                self.put(build, address, Body::Warning { received, reason }, Item::Warning);
            }
        }
    }

    fn put_control(&mut self, build: &mut Build<'_>, partner: NodeAddress) {
        let Some(peer) = self.peers.get_mut(&partner) else { return };
        let (reset, management) = (peer.resets.choose(), peer.management.choose());
        if let Some(part) = reset {
            self.put(build, partner, Body::Reset(part), Item::Reset(part));
        }
        if let Some((eow, part)) = management {
            self.put_with(build, partner, eow, Body::Management(part.clone()), Item::Management(part));
        }
    }

    /// Expedited data; `false` when ordinary data of this node must not follow it.
    fn put_expedited(&mut self, build: &mut Build<'_>, partner: NodeAddress) -> bool {
        let mut room = self.room(build, partner, DATA_OVERHEAD_OCTETS);
        room.lead = usize::MAX;
        if self.probes(partner) {
            (room.d_pdus, room.lead) = (room.d_pdus.min(1), PROBE_OCTETS);
        }
        let goes = |peer: &&mut Peer| peer.connected && !peer.resets.pends_full();
        let Some(peer) = self.peers.get_mut(&partner).filter(goes) else { return false };
        let mut chosen = Vec::new();
        let whole = peer.expedited_out.choose(&mut room, &mut chosen);
        let open = peer.resets.pending().is_none();
        for part in chosen {
            let item = Item::Expedited { c_pdu_id: part.c_pdu_id, fsn: part.fsn };
            self.put(build, partner, Body::ExpeditedData(part), item);
        }
        whole && open
    }

    /// Data of the partner and data without ARQ, by priority.
    //= s5066/DTS-021
    fn put_by_priority(&mut self, build: &mut Build<'_>, partner: Option<NodeAddress>) {
        let ack = partner.and_then(|partner| self.ack_that_rides(partner));
        // The acknowledgement takes its octets and, at worst, a D_PDU of its own.
        let kept = ack.as_ref().map_or(0, |ack| DATA_OVERHEAD_OCTETS + ack.selective.len());
        build.octets = build.octets.saturating_sub(kept);
        let peer = partner.and_then(|partner| self.peers.get(&partner));
        let mut risk = peer.map_or((0, 0), |peer| peer.risk(build.octets, D_PDUS_PER_TRANSMISSION_MAX));
        let probed = partner.filter(|partner| self.probes(*partner));
        if let Some(probed) = probed {
            self.put_probe(build, probed);
        }
        for priority in (0..=PRIORITY_MOST).rev() {
            if let Some(partner) = partner.filter(|_| probed.is_none()) {
                self.put_data(build, partner, priority, &mut risk);
            }
            self.put_non_arq(build, (false, priority));
        }
        build.octets += kept;
        if let Some(partner) = partner {
            self.finish_data(build, partner, ack);
        }
    }

    /// Whether a node is only asked whether it is there.
    fn probes(&self, partner: NodeAddress) -> bool {
        self.peers.get(&partner).is_some_and(|peer| peer.is_probed(self.is_deaf()))
    }

    /// One short D_PDU that asks for an answer, unless something does already.
    fn put_probe(&mut self, build: &mut Build<'_>, partner: NodeAddress) {
        if self.items_to(partner).any(Item::asks) {
            return;
        }
        let room = self.room(build, partner, DATA_OVERHEAD_OCTETS);
        let Some(peer) = self.peers.get_mut(&partner) else { return };
        let Some(at) = peer.sender.choose_probe(&room) else { return };
        if let Some(part) = peer.sender.part(at, None) {
            self.put(build, partner, Body::Data(part), Item::Data { at, ack: false });
        }
    }

    /// Data of one priority for the partner, at no more risk than said.
    fn put_data(&mut self, build: &mut Build<'_>, partner: NodeAddress, priority: u8, risk: &mut (usize, usize)) {
        let mut room = self.room(build, partner, DATA_OVERHEAD_OCTETS);
        (room.octets, room.d_pdus) = (room.octets.min(risk.0), room.d_pdus.min(risk.1));
        let Some(peer) = self.peers.get_mut(&partner) else { return };
        let mut chosen = Vec::new();
        peer.sender.choose(priority, &mut room, &mut chosen);
        for at in chosen {
            let part = self.peers.get(&partner).and_then(|peer| peer.sender.part(at, None));
            let Some(part) = part else { continue };
            let before = build.octets;
            self.put(build, partner, Body::Data(part), Item::Data { at, ack: false });
            *risk = (risk.0.saturating_sub(before - build.octets), risk.1.saturating_sub(1));
        }
    }

    /// Sets the window's edges in the data that was put in, and lets the acknowledgement ride with the first of it.
    fn finish_data(&mut self, build: &mut Build<'_>, partner: NodeAddress, mut ack: Option<AckPart>) {
        let Some(peer) = self.peers.get(&partner) else { return };
        let kept = self.flight.items.len() - build.frames.len();
        let chosen = |item: &Item| if let Item::Data { at, .. } = item { Some(*at) } else { None };
        let all: Vec<Chosen> = self.flight.items.iter().filter_map(|(_, item, _)| chosen(item)).collect();
        let newest = peer.sender.newest(&all);
        let mut count = 0;
        let last = all.len();
        for ((_, item, _), frame) in self.flight.items.iter_mut().skip(kept).zip(&mut build.frames) {
            let Item::Data { at, ack: acks } = item else { continue };
            let Some(part) = peer.sender.part(*at, newest) else { continue };
            count += 1;
            let rides = count == 1 || count == last && count > DATA_BEFORE_SECOND_ACK;
            *acks = rides && ack.is_some();
            frame.body = match ack.clone().filter(|_| rides) {
                Some(ack) => Body::DataAck(part, ack),
                None => Body::Data(part),
            };
        }
        if count == 0
            && let Some(ack) = ack.take()
        {
            self.put(build, partner, Body::Ack(ack), Item::Ack);
        }
    }

    /// The acknowledgement that is owed to the partner, unless it has its own D_PDU in the transmission.
    fn ack_that_rides(&self, partner: NodeAddress) -> Option<AckPart> {
        let peer = self.peers.get(&partner).filter(|peer| peer.owes_ack && peer.resets.pending().is_none())?;
        let there = self.items_to(partner).any(Item::acknowledges);
        (!there).then(|| peer.receiver.ack())
    }

    fn put_non_arq(&mut self, build: &mut Build<'_>, urgency: (bool, u8)) {
        let mut room = self.room(build, self.config.address, NON_ARQ_OVERHEAD_OCTETS);
        let mut chosen = Vec::new();
        self.non_arq_out.choose(build.now, urgency, &mut room, &mut chosen);
        for (address, body, gone) in chosen {
            self.put(build, address, body, Item::NonArq(gone));
        }
    }

    /// The room that is left for D_PDUs with segments to one node.
    fn room(&self, build: &Build<'_>, address: NodeAddress, overhead: usize) -> Room {
        let sizes = (address.size_min(), self.config.address.size_min());
        let overhead = overhead + usize::from(sizes.0.max(sizes.1));
        let most = build.plan.segment_octets.min(self.config.segment_octets_max).max(1);
        let least = self.config.segment_octets_min.max(build.plan.block_octets);
        let peer = self.peers.get(&address);
        let much = peer.is_some_and(|peer| peer.sender.holds(build.plan.lead_unless_octets));
        let lead = if much { usize::MAX } else { build.plan.lead_octets };
        let segment = peer.map_or(most, |peer| peer.rate.segment_octets(overhead, least, most));
        Room {
            octets: build.octets,
            octets_most: build.plan.octets_most,
            overhead,
            segment,
            lead: lead.saturating_sub(overhead + ACK_RIDES_OCTETS).max(1),
            repeated_segment: build.plan.repeated_segment_octets.clamp(1, segment.max(1)),
            d_pdus: D_PDUS_PER_TRANSMISSION_MAX.saturating_sub(self.flight.items.len()),
            empty: !build.has_segments,
        }
    }

    fn put(&mut self, build: &mut Build<'_>, destination: NodeAddress, body: Body, item: Item) {
        let eow = self.eow_to(destination);
        self.put_with(build, destination, eow, body, item);
    }

    fn put_with(&mut self, build: &mut Build<'_>, destination: NodeAddress, eow: Eow, body: Body, item: Item) {
        let pdu = DPdu { eow, eot: 0, destination, source: self.config.address, body };
        build.octets = build.octets.saturating_sub(pdu.octets());
        build.has_segments |= item.has_segment();
        build.frames.push(pdu);
        self.flight.items.push((destination, item, eow));
    }

    /// What rides with every D_PDU to a node: a message that waits for one, else the rate in use, so that it answers at
    /// that rate.
    fn eow_to(&self, destination: NodeAddress) -> Eow {
        let Some(peer) = self.peers.get(&destination) else { return Eow::NONE };
        if let Some(mark) = peer.mark {
            return mark.eow();
        }
        if peer.eow != Eow::NONE {
            return peer.eow;
        }
        super::rate::advisory(&self.config.rates, peer.rate.rate())
    }

    fn items_to(&self, address: NodeAddress) -> impl Iterator<Item = &Item> {
        self.flight.items.iter().filter(move |(to, _, _)| *to == address).map(|(_, item, _)| item)
    }

    fn priority_of(&self, address: NodeAddress, item: &Item) -> u8 {
        match item {
            Item::Ack | Item::ExpeditedAck | Item::Reset(_) | Item::Management(_) | Item::Warning => u8::MAX,
            Item::Expedited { .. } => PRIORITY_EXPEDITED,
            Item::Data { at, .. } => self.peers.get(&address).and_then(|peer| peer.sender.priority(*at)).unwrap_or(0),
            Item::NonArq(gone) => self.non_arq_out.priority(*gone).unwrap_or(0),
        }
    }

    /// What is to be taken out of the transmission from a place on.
    fn replaced(&self, from: usize) -> Replaced {
        let items: Vec<_> = self.flight.items.iter().skip(from).cloned().collect();
        let owners = items.iter().map(|(address, item, _)| self.owner(*address, item)).collect();
        Replaced { from, items, owners, partner: self.flight.partner }
    }

    /// The C_PDU that data with ARQ is of.
    fn owner(&self, address: NodeAddress, item: &Item) -> Option<CPduNumber> {
        let Item::Data { at, .. } = item else { return None };
        self.peers.get(&address).and_then(|peer| peer.sender.number(*at))
    }

    /// Takes what has not begun out of the transmission.
    fn unchoose_from(&mut self, from: usize) {
        if from >= self.flight.items.len() {
            return;
        }
        for (address, item, _) in self.flight.items.split_off(from) {
            if let Item::NonArq(gone) = item {
                self.non_arq_out.unchoose(gone);
            }
            let Some(peer) = self.peers.get_mut(&address) else { continue };
            match item {
                Item::Reset(part) if !part.ack => peer.resets.unchoose(),
                Item::Management(part) if part.valid => peer.management.unchoose(),
                Item::Expedited { c_pdu_id, fsn } => peer.expedited_out.unchoose(c_pdu_id, fsn),
                Item::Data { at, .. } => peer.sender.unchoose(at),
                Item::Ack | Item::ExpeditedAck | Item::Warning | Item::NonArq(_) => {}
                Item::Reset(_) | Item::Management(_) => {}
            }
        }
        if !self.flight.items.iter().any(|(_, item, _)| item.asks()) {
            self.flight.partner = None;
        }
    }

    fn item_sent(&mut self, address: NodeAddress, item: Item, eow: Eow) {
        if item == Item::Warning {
            self.counters.warnings_given += 1;
            return self.warnings.retain(|(to, _, _)| *to != address);
        }
        if let Item::NonArq(gone) = item
            && let Some(number) = self.non_arq_out.sent(gone)
        {
            self.forget(number);
            self.events.push_back(DtsEvent::Sent(number));
        }
        let Some(peer) = self.peers.get_mut(&address) else { return };
        peer.rate.note_used();
        if eow != Eow::NONE && peer.eow == eow {
            peer.eow = Eow::NONE;
        }
        match item {
            Item::Ack => peer.owes_ack = false,
            Item::ExpeditedAck => peer.owes_expedited_ack = false,
            Item::Reset(part) => peer.resets.sent(&part),
            Item::Management(part) => peer.management.sent(&part),
            Item::Expedited { c_pdu_id, fsn } => peer.expedited_out.sent(c_pdu_id, fsn),
            Item::Data { at, ack } => {
                peer.owes_ack &= !ack;
                let first = peer.sender.sent(at);
                let counted =
                    if first { &mut self.counters.segments_sent } else { &mut self.counters.segments_repeated };
                *counted += 1;
            }
            Item::NonArq(_) | Item::Warning => {}
        }
    }
}

impl Item {
    const fn asks(&self) -> bool {
        match self {
            Self::Data { .. } | Self::Expedited { .. } => true,
            Self::Reset(part) => !part.ack,
            Self::Management(part) => part.valid,
            Self::Ack | Self::ExpeditedAck | Self::NonArq(_) | Self::Warning => false,
        }
    }

    const fn answers_reset(&self) -> bool {
        matches!(self, Self::Reset(part) if part.ack)
    }

    /// It acknowledges types 0 and 2.
    const fn acknowledges(&self) -> bool {
        matches!(self, Self::Ack | Self::Data { ack: true, .. })
    }

    const fn has_segment(&self) -> bool {
        matches!(self, Self::Data { .. } | Self::Expedited { .. } | Self::NonArq(_))
    }
}

//! What a station has to send: U_PDUs cut into parts, in the order in which they go, and who answers.
//!
//! Each transmission is put together afresh from the most urgent parts, and what of it has not begun is put together
//! again when a FLASH comes, so a FLASH waits only for the part in the air. With ARQ the parts that the receiver lacks are repeated until it has all or the deadline passes; one transmission
//! asks one destination for an acknowledgement. Without ARQ each U_PDU goes 1 + n times, once in a transmission. A
//! destination that does not answer is left alone for longer and longer, and then tried with a single part.
//!
//! U_PDUs in order: a part names the nearest earlier U_PDU of its stream that is not finished; when that one expires,
//! the parts say so by naming another or none.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::queue::{Entry, TransmitQueue};
use skywave_protocols::s5066::node::{Carriage, Content, Outcome, Outgoing, RequestId};
use skywave_protocols::s5066::sis::fields::SapId;
use skywave_protocols::time::{Duration, Instant};

use super::frame::{AckRecord, AckStatus, AirFrame, DATA_OVERHEAD_OCTETS, DataFrame};
use super::limits::{
    DATA_FRAMES_PER_TRANSMISSION_MAX, FRAGMENT_OCTETS_MAX, FRAGMENTS_MAX, LOSSY_ONE_IN, PEERS_MAX, RETRY_WAIT_MAX,
};

/// Priority from which a U_PDU gets on the air before the rest (defaults.md: FLASH is 12).
pub(super) const PRIORITY_URGENT: u8 = 12;
/// Failures after which a destination is only probed.
const FAILURES_BEFORE_PROBE: u32 = 2;
const RETRY_WAIT_BASE_MS: u64 = 2000;

/// A U_PDU in order comes out after the earlier ones of its stream.
type Stream = (NodeAddress, SapId, SapId, u8, bool);

#[derive(Debug)]
pub(super) struct Sending {
    unit: u16,
    parts: Vec<Bytes>,
    /// ARQ: which parts the receiver has. Non-ARQ: which went out in this copy.
    done: Vec<bool>,
    /// ARQ: which parts went out since the receiver last told what it has.
    tried: Vec<bool>,
    /// Non-ARQ: copies that have not left.
    copies: u32,
    /// The receiver has all of it and waits for an earlier one; the `after` we named last.
    held: bool,
    named: Option<u16>,
    /// Went out at least once.
    begun: bool,
}

#[derive(Debug, Default)]
struct Peer {
    failures: u32,
    retry_at: Instant,
}

/// A part of a U_PDU in the air.
type Part = (RequestId, usize);

/// What is in the air: acknowledgements first, then parts in this order.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// Who was asked for an acknowledgement.
    pub(super) partner: Option<NodeAddress>,
    /// The turn it says.
    pub(super) turn: u8,
    /// Frames of acknowledgements in front.
    pub(super) acks: usize,
    /// The parts, and the octets of their frames.
    parts: Vec<(Part, usize)>,
    /// Octets of the acknowledgements.
    ack_octets: usize,
}

impl Load {
    /// Acknowledgements, and no parts yet.
    pub(super) fn new(turn: u8, acks: &[Bytes]) -> Self {
        let ack_octets = acks.iter().map(Bytes::len).sum();
        Self { partner: None, turn, acks: acks.len(), ack_octets, parts: Vec::new() }
    }

    /// Leaves out what follows the first `frames` frames; the octets that stay.
    fn cut(&mut self, frames: usize) -> usize {
        self.parts.truncate(frames.saturating_sub(self.acks));
        self.ack_octets + self.parts.iter().map(|(_, octets)| octets).sum::<usize>()
    }

    /// How many frames it has.
    pub(super) fn frames(&self) -> usize {
        self.acks + self.parts.len()
    }
}

/// What is finished, and how.
pub(super) type Finished = Vec<(RequestId, Outcome)>;

#[derive(Debug)]
pub(super) struct Outbox {
    own: NodeAddress,
    queue: TransmitQueue<Sending>,
    units: BTreeMap<u16, RequestId>,
    streams: BTreeMap<Stream, BTreeMap<RequestId, u16>>,
    peers: BTreeMap<NodeAddress, Peer>,
    /// Destinations that missed much of what they were last sent.
    lossy: BTreeSet<NodeAddress>,
    next_unit: u16,
}

impl Outbox {
    pub(super) fn new(own: NodeAddress, first_unit: u16) -> Self {
        Self {
            own,
            queue: TransmitQueue::new(),
            units: BTreeMap::new(),
            streams: BTreeMap::new(),
            peers: BTreeMap::new(),
            lossy: BTreeSet::new(),
            next_unit: first_unit,
        }
    }

    /// Takes a U_PDU and cuts it into parts of about `part_octets`, of which many fit into transmissions of `budget`.
    pub(super) fn submit(&mut self, outgoing: Outgoing, part_octets: usize, budget: usize) {
        let octets = match &outgoing.content {
            Content::Data(octets) => octets.clone(),
            Content::HardLink(message) => Bytes::from(message.encode()),
        };
        let part_octets = fitting(octets.len(), part_octets, budget);
        let count = octets.len().div_ceil(part_octets).max(1);
        let part = |i: usize| octets.slice(i * part_octets..octets.len().min((i + 1) * part_octets));
        let copies = match outgoing.carriage {
            Carriage::Arq => 0,
            Carriage::NonArq { retransmissions, .. } => u32::from(retransmissions) + 1,
        };
        let unit = self.free_unit();
        self.units.insert(unit, outgoing.id);
        if is_in_order(&outgoing) {
            self.streams.entry(stream(&outgoing)).or_default().insert(outgoing.id, unit);
        }
        let parts = (0..count).map(part).collect();
        let (done, tried) = (vec![false; count], vec![false; count]);
        let sending = Sending { unit, parts, done, tried, copies, held: false, named: None, begun: false };
        self.queue.insert(outgoing, sending);
    }

    /// When there is something to send, and whether it is urgent.
    pub(super) fn earliest(&self, now: Instant) -> Option<(Instant, bool)> {
        let mut earliest: Option<(Instant, bool)> = None;
        for entry in self.queue.iter().filter(|entry| self.is_waiting(entry)) {
            let at = self.ready_at(&entry.unit).max(now);
            let urgent = entry.unit.expedited || entry.unit.priority >= PRIORITY_URGENT;
            if earliest.is_none_or(|(first, _)| at < first) {
                earliest = Some((at, urgent));
            }
            if at <= now {
                break;
            }
        }
        earliest
    }

    /// Whether something waits that is urgent, and more so than what of the load follows its first `begun` frames.
    pub(super) fn has_more_urgent(&self, now: Instant, load: &Load, begun: usize) -> bool {
        let urgency = |unit: &Outgoing| (unit.expedited, unit.priority);
        let late = load.parts.iter().skip(begun.saturating_sub(load.acks));
        let late: BTreeSet<Part> = late.map(|(part, _)| *part).collect();
        let Some(least) = late.iter().filter_map(|(id, _)| Some(urgency(&self.queue.entry(*id)?.unit))).min() else {
            return false;
        };
        let kept: BTreeSet<Part> = load.parts.iter().map(|(part, _)| *part).collect();
        self.queue.iter().take_while(|entry| urgency(&entry.unit) > least).any(|entry| {
            let outgoing = &entry.unit;
            (outgoing.expedited || outgoing.priority >= PRIORITY_URGENT)
                && self.is_waiting(entry)
                && self.ready_at(outgoing) <= now
                && (0..entry.state.parts.len())
                    .any(|part| !entry.state.done[part] && !kept.contains(&(outgoing.id, part)))
        })
    }

    /// Cuts a load in the air after its first `from` frames, and fills what is then left of `budget` octets anew. An
    /// urgent part for somebody else than who was asked for an acknowledgement goes in the next transmission.
    pub(super) fn amend(&mut self, now: Instant, load: &mut Load, from: usize, budget: usize) -> Vec<Bytes> {
        let octets = load.cut(from);
        if load.parts.is_empty() {
            load.partner = None;
        }
        let mut frames = Vec::new();
        self.compose(now, budget.saturating_sub(octets), load, &mut frames);
        frames
    }

    /// Puts the most urgent parts into at most `budget` octets, behind what the load has.
    pub(super) fn compose(&mut self, now: Instant, mut budget: usize, load: &mut Load, frames: &mut Vec<Bytes>) {
        let in_air: BTreeSet<Part> = load.parts.iter().map(|(part, _)| *part).collect();
        let mut room = DATA_FRAMES_PER_TRANSMISSION_MAX.saturating_sub(load.parts.len());
        let mut chosen: Vec<(RequestId, Option<u16>, Vec<usize>)> = Vec::new();
        for entry in self.queue.iter().filter(|entry| self.is_waiting(entry)) {
            let outgoing = &entry.unit;
            let arq = outgoing.carriage == Carriage::Arq;
            if arq && (load.partner.unwrap_or(outgoing.destination) != outgoing.destination) {
                // What is urgent is not to wait behind more for the present partner.
                if outgoing.priority >= PRIORITY_URGENT && !in_air.is_empty() {
                    break;
                }
                continue;
            }
            if arq && load.partner.is_none() && self.ready_at(outgoing) > now {
                continue;
            }
            let probing = arq && self.failures(outgoing.destination) >= FAILURES_BEFORE_PROBE;
            let after = self.after(outgoing);
            let gone = |part| in_air.contains(&(outgoing.id, part));
            let mut parts = choose(&entry.state, after, &mut budget, probing, gone);
            let whole = parts.len() <= room;
            parts.truncate(room);
            room -= parts.len();
            if parts.is_empty() && entry.state.is_all_gone(gone) {
                continue;
            } else if parts.is_empty() {
                break;
            }
            if arq {
                load.partner = Some(outgoing.destination);
            }
            chosen.push((outgoing.id, after, parts));
            if probing || !whole {
                break;
            }
        }
        for (id, after, parts) in chosen {
            if let Some(entry) = self.queue.entry_mut(id) {
                entry.state.named = after;
                entry.state.begun = true;
                for part in parts {
                    let frame = frame(self.own, entry, after, part, load.turn);
                    load.parts.push(((id, part), frame.len()));
                    frames.push(frame);
                }
            }
        }
    }

    /// A transmission has left the air.
    pub(super) fn sent(&mut self, load: &Load) -> Finished {
        let mut finished = Vec::new();
        for &((id, part), _) in &load.parts {
            let Some(entry) = self.queue.entry_mut(id) else { continue };
            let state = &mut entry.state;
            if entry.unit.carriage == Carriage::Arq {
                state.tried.iter_mut().skip(part).take(1).for_each(|tried| *tried = true);
                continue;
            }
            state.done.iter_mut().skip(part).take(1).for_each(|done| *done = true);
            if state.done.iter().all(|&done| done) {
                state.copies = state.copies.saturating_sub(1);
                state.done.fill(false);
            }
            if state.copies == 0 {
                finished.extend(self.finish(id, Outcome::Sent));
            }
        }
        finished
    }

    /// A destination says what it received.
    pub(super) fn acknowledged(&mut self, from: NodeAddress, records: &[AckRecord]) -> Finished {
        let mut finished = Vec::new();
        let (mut tried, mut missed) = (0, 0);
        for record in records {
            let Some(&id) = self.units.get(&record.unit) else { continue };
            let Some(entry) = self.queue.entry_mut(id) else { continue };
            // An acknowledgement from somebody else, or for what was never sent, is forged or stale.
            if entry.unit.destination != from || entry.unit.carriage != Carriage::Arq || !entry.state.begun {
                continue;
            }
            let has = |part: usize| match &record.status {
                AckStatus::Partial(parts) => parts.get(part).copied().unwrap_or(false),
                AckStatus::Held | AckStatus::Delivered | AckStatus::NotBound => true,
            };
            for part in (0..entry.state.tried.len()).filter(|&part| entry.state.tried[part]) {
                tried += 1;
                missed += usize::from(!has(part));
            }
            entry.state.tried.fill(false);
            match &record.status {
                AckStatus::Partial(parts) if parts.is_empty() => {
                    entry.state.done.fill(false);
                    entry.state.held = false;
                }
                AckStatus::Partial(parts) => {
                    // All parts but neither delivered nor held makes no sense; believed, it would stop the queue.
                    if parts.len() == entry.state.done.len() && parts.contains(&false) {
                        entry.state.done.copy_from_slice(parts);
                        entry.state.held = false;
                    }
                }
                AckStatus::Held => {
                    entry.state.done.fill(true);
                    entry.state.held = true;
                }
                AckStatus::Delivered => finished.extend(self.finish(id, Outcome::Delivered)),
                AckStatus::NotBound => finished.extend(self.finish(id, Outcome::NotBound)),
            }
        }
        self.note_loss(from, tried, missed);
        finished
    }

    /// How a destination hears us, by what it had of the parts sent to it.
    fn note_loss(&mut self, from: NodeAddress, tried: usize, missed: usize) {
        if missed * LOSSY_ONE_IN > tried && (self.lossy.len() < PEERS_MAX || self.lossy.contains(&from)) {
            self.lossy.insert(from);
        } else if missed == 0 && tried >= LOSSY_ONE_IN {
            self.lossy.remove(&from);
        }
    }

    /// Whether a destination missed much of what it was last sent: then parts had better be small.
    pub(super) fn is_lossy(&self, peer: NodeAddress) -> bool {
        self.lossy.contains(&peer)
    }

    /// A destination was heard: it can be spoken to at once.
    pub(super) fn heard(&mut self, peer: NodeAddress) {
        self.peers.remove(&peer);
    }

    /// A destination did not answer.
    pub(super) fn missed(&mut self, now: Instant, peer: NodeAddress, random: &mut Seeded) {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            self.peers.pop_first();
        }
        for entry in self.queue.iter_mut().filter(|entry| entry.unit.destination == peer && entry.state.held) {
            // What was to tell a held U_PDU of its new place may be lost: as if another had been named.
            if entry.state.tried.contains(&true) {
                entry.state.named = Some(entry.state.unit);
                entry.state.tried.fill(false);
            }
        }
        let entry = self.peers.entry(peer).or_default();
        entry.failures += 1;
        let doubled = RETRY_WAIT_BASE_MS << (entry.failures - 1).min(6);
        let wait = Duration::from_millis(doubled / 2 + random.below(doubled)).min(RETRY_WAIT_MAX);
        entry.retry_at = now + wait;
    }

    /// How often in a row a destination did not answer.
    pub(super) fn failures(&self, peer: NodeAddress) -> u32 {
        self.peers.get(&peer).map_or(0, |peer| peer.failures)
    }

    /// Gives up what is worth nothing any more.
    pub(super) fn expire(&mut self, now: Instant) -> Finished {
        let mut finished = Vec::new();
        while let Some(entry) = self.queue.pop_expired(now) {
            let copies_left = matches!(entry.unit.carriage, Carriage::NonArq { .. }) && entry.state.begun;
            // A non-ARQ U_PDU that left at least once was sent.
            let outcome = if copies_left { Outcome::Sent } else { Outcome::Expired };
            finished.push((entry.unit.id, outcome));
            self.forget(&entry);
        }
        finished
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queue.next_deadline()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    fn finish(&mut self, id: RequestId, outcome: Outcome) -> Option<(RequestId, Outcome)> {
        let entry = self.queue.remove(id)?;
        self.forget(&entry);
        Some((id, outcome))
    }

    fn forget(&mut self, entry: &Entry<Sending>) {
        self.units.remove(&entry.state.unit);
        if is_in_order(&entry.unit) {
            let key = stream(&entry.unit);
            if let Some(stream) = self.streams.get_mut(&key) {
                stream.remove(&entry.unit.id);
                if stream.is_empty() {
                    self.streams.remove(&key);
                }
            }
        }
    }

    fn is_waiting(&self, entry: &Entry<Sending>) -> bool {
        match entry.unit.carriage {
            Carriage::NonArq { .. } => entry.state.copies > 0,
            Carriage::Arq if entry.state.held => entry.state.named != self.after(&entry.unit),
            Carriage::Arq => true,
        }
    }

    fn ready_at(&self, outgoing: &Outgoing) -> Instant {
        match outgoing.carriage {
            Carriage::Arq => self.peers.get(&outgoing.destination).map_or(Instant::ZERO, |peer| peer.retry_at),
            Carriage::NonArq { .. } => Instant::ZERO,
        }
    }

    /// The nearest earlier unit of the stream that is not finished.
    fn after(&self, outgoing: &Outgoing) -> Option<u16> {
        if !is_in_order(outgoing) {
            return None;
        }
        self.streams.get(&stream(outgoing))?.range(..outgoing.id).next_back().map(|(_, &unit)| unit)
    }

    fn free_unit(&mut self) -> u16 {
        while self.units.contains_key(&self.next_unit) {
            self.next_unit = self.next_unit.wrapping_add(1);
        }
        let unit = self.next_unit;
        self.next_unit = unit.wrapping_add(1);
        unit
    }
}

impl Sending {
    /// Whether all that is wanted of it is in the air.
    fn is_all_gone(&self, gone: impl Fn(usize) -> bool) -> bool {
        (0..self.parts.len()).all(|part| self.done[part] || gone(part))
    }
}

fn is_in_order(outgoing: &Outgoing) -> bool {
    outgoing.in_order && outgoing.carriage == Carriage::Arq
}

fn stream(outgoing: &Outgoing) -> Stream {
    (outgoing.destination, outgoing.source_sap, outgoing.sap, outgoing.priority, outgoing.expedited)
}

/// The size of equal parts near `aim` with which transmissions of `budget` octets carry most.
fn fitting(octets: usize, aim: usize, budget: usize) -> usize {
    let fewest = octets.div_ceil((aim + aim / 16).max(1)).clamp(1, FRAGMENTS_MAX);
    let sizes = (fewest.max(2) - 1..=fewest + 2).map(|count| octets.div_ceil(count.min(FRAGMENTS_MAX)).max(1));
    sizes
        .filter(|&size| size <= (aim + aim / 2).min(FRAGMENT_OCTETS_MAX + FRAGMENT_OCTETS_MAX / 16))
        .rev()
        .max_by_key(|size| budget / (size + DATA_OVERHEAD_OCTETS) * size)
        .unwrap_or(1)
}

/// Which parts of a U_PDU, besides those in the air, fit into the budget; only the first when probing.
fn choose(
    sending: &Sending,
    after: Option<u16>,
    budget: &mut usize,
    probing: bool,
    gone: impl Fn(usize) -> bool,
) -> Vec<usize> {
    // Held and named wrongly: any part carries the news, the shortest is the last one.
    let news = sending.held && sending.named != after;
    let mut parts = Vec::new();
    let last = sending.parts.len() - 1;
    for (index, part) in sending.parts.iter().enumerate() {
        let wanted = if news { index == last } else { !sending.done[index] };
        if !wanted || gone(index) {
            continue;
        }
        let octets = part.len() + DATA_OVERHEAD_OCTETS;
        if octets > *budget {
            break;
        }
        *budget -= octets;
        parts.push(index);
        if probing {
            break;
        }
    }
    parts
}

fn frame(own: NodeAddress, entry: &Entry<Sending>, after: Option<u16>, index: usize, turn: u8) -> Bytes {
    let outgoing = &entry.unit;
    let with_errors = match outgoing.carriage {
        Carriage::Arq => false,
        Carriage::NonArq { with_errors, .. } => with_errors,
    };
    AirFrame::Data(DataFrame {
        source: own,
        destination: outgoing.destination,
        turn,
        priority: outgoing.priority,
        unit: entry.state.unit,
        after,
        arq: outgoing.carriage == Carriage::Arq,
        expedited: outgoing.expedited,
        hard_link: matches!(outgoing.content, Content::HardLink(_)),
        with_errors,
        source_sap: outgoing.source_sap,
        sap: outgoing.sap,
        index: u8::try_from(index).unwrap_or(u8::MAX),
        count: u8::try_from(entry.state.parts.len()).unwrap_or(u8::MAX),
        part: entry.state.parts[index].clone(),
    })
    .encode()
}

//! One message being sent: what is still to be sent in this round, who has acknowledged what, and which timer runs.
//!
//! A *round* is the sending of some Data_PDUs with their Address_PDUs. No timer runs while PDUs of the round wait in
//! our queue or in the node below; when the last has left, [`Transmission::settle`] decides what is waited for.

use std::collections::{BTreeMap, VecDeque};

use super::address::{Address, Destination};
use super::config::EngineConfig;
use super::event::{Advance, To, Token};
use super::numbers::Numbers;
use super::pdu::{Data, Map, MessageId, NodeId, Pdu};
use crate::bytes::Bytes;
use crate::time::{Instant, WallTime};

/// Unanswered repair rounds after which a receiver is taken to have lost everything (it may have lost its disk).
const UNANSWERED_ROUNDS_MAX: u32 = 3;

/// Repeats to receivers in EMCON are still to come.
pub const SILENCE_EXPECTED: &str = "sent, silence expected";
/// All that was planned has left; only a late acknowledgement or expiry can follow.
pub const ALL_REPEATS_DONE: &str = "sent, all repeats done, silence expected";

/// One receiver of one message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Recipient {
    /// Message_Sequence_Number.
    pub(super) sequence: u32,
    /// In EMCON, as far as known.
    pub(super) silent: bool,
    /// Acknowledged something at least once.
    pub(super) heard: bool,
    /// Acknowledged everything.
    pub(super) done: bool,
    /// Acknowledged in this round.
    pub(super) answered: bool,
    /// Rounds in a row without an answer.
    pub(super) unanswered: u32,
    /// What it reported missing last.
    pub(super) reported: Numbers,
}

/// What a transmission waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wait {
    /// Acknowledgements of receivers that may transmit.
    AckMissing,
    /// The next repeat towards receivers in EMCON.
    SilentRepeat,
}

/// What [`Transmission::settle`] or a timer brought about, in words for the operator.
pub(super) type Why = &'static str;

/// A PDU made for the queue.
pub(super) struct Made {
    pub(super) to: To,
    pub(super) octets: Bytes,
}

#[derive(Debug)]
pub(super) struct Transmission {
    pub(super) handle: u64,
    pub(super) id: MessageId,
    pub(super) content: Bytes,
    pub(super) fragment_octets: usize,
    pub(super) priority: u8,
    pub(super) expiry: WallTime,
    pub(super) group: u32,
    /// It waits for its group.
    pub(super) held: bool,
    pub(super) recipients: BTreeMap<NodeId, Recipient>,
    /// Data_PDUs of this round that were not handed down.
    pub(super) pending: Numbers,
    /// Repair rounds so far.
    pub(super) rounds: u32,
    /// EMCON_RTC: repeats left; `None` before the first sending has ended.
    pub(super) repeats_left: Option<u32>,
    pub(super) octets_sent: u64,
    pub(super) timer: Option<(Instant, Wait)>,
    /// When gathered acknowledgements are answered by one Address_PDU.
    pub(super) window: Option<Instant>,
    address_due: bool,
    addresses: VecDeque<(Map, Vec<NodeId>)>,
    in_flight: BTreeMap<Token, (Option<u16>, usize)>,
    back_off: u32,
    exhausted: bool,
    /// All Data_PDUs that left were confirmed by the node of the receiver.
    carried: bool,
    /// The node below refused a PDU: nothing is sent before this.
    resume_at: Option<Instant>,
}

impl Transmission {
    pub(super) fn new(handle: u64, id: MessageId, content: Bytes, fragment_octets: usize) -> Self {
        Self {
            handle,
            id,
            content,
            fragment_octets: fragment_octets.max(1),
            priority: 0,
            expiry: WallTime::default(),
            group: 0,
            held: false,
            recipients: BTreeMap::new(),
            pending: Numbers::default(),
            rounds: 0,
            repeats_left: None,
            octets_sent: 0,
            timer: None,
            window: None,
            address_due: true,
            addresses: VecDeque::new(),
            in_flight: BTreeMap::new(),
            back_off: 0,
            exhausted: false,
            carried: true,
            resume_at: None,
        }
    }

    /// Total_Number_of_PDUs. Always the true one, in repeats too.
    pub(super) fn total(&self) -> u16 {
        //= acp142/PMUL-021
        u16::try_from(self.content.len().div_ceil(self.fragment_octets)).unwrap_or(u16::MAX)
    }

    /// Whether it goes to one receiver that may answer.
    pub(super) fn by_arq(&self) -> bool {
        let mut open = self.open();
        open.next().is_some_and(|(_, r)| !r.silent) && open.next().is_none()
    }

    /// Octets of the largest fragment that is still to go; all but the last are equal.
    pub(super) fn largest_pending(&self) -> usize {
        match self.pending.first() {
            Some(first) if first < self.total() => self.fragment_octets,
            Some(_) => self.content.len() - (usize::from(self.total()) - 1) * self.fragment_octets,
            None => 0,
        }
    }

    /// Address_PDUs that wait were made for another bearer: they are made again.
    pub(super) fn address_again(&mut self) {
        self.address_due |= !self.addresses.is_empty();
        self.addresses.clear();
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (NodeId, &Recipient)> {
        self.recipients.iter().filter(|(_, r)| !r.done).map(|(&node, r)| (node, r))
    }

    pub(super) fn is_done(&self) -> bool {
        self.recipients.values().all(|r| r.done)
    }

    /// Whether a PDU can be made now.
    pub(super) fn has_work(&self) -> bool {
        self.resume_at.is_none() && !self.held && self.has_pdus()
    }

    /// Whether it needs the medium or soon will: it is being sent, or acknowledgements are waited for.
    pub(super) fn is_active(&self) -> bool {
        self.has_pdus() || !self.in_flight.is_empty() || matches!(self.timer, Some((_, Wait::AckMissing)))
    }

    fn has_pdus(&self) -> bool {
        self.address_due || !self.addresses.is_empty() || !self.pending.is_empty()
    }

    /// Data_PDUs that have not left: those pending and those in the node below.
    pub(super) fn not_left(&self) -> Numbers {
        let mut numbers = self.pending.clone();
        self.in_flight.values().filter_map(|(number, _)| *number).for_each(|number| numbers.insert(number));
        numbers
    }

    pub(super) fn advance(&self, why: Why) -> Advance {
        let addresses = self.addresses.len() + usize::from(self.address_due);
        let waiting = self.pending.count() + self.in_flight.len() + addresses;
        Advance {
            handle: self.handle,
            octets_sent: self.octets_sent,
            pdus_waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            waiting_for: self.open().map(|(node, _)| node).collect(),
            why,
        }
    }

    /// The next PDU: Address_PDUs before the Data_PDUs they announce, those in ascending order.
    pub(super) fn make(&mut self, token: Token, config: &EngineConfig) -> Option<Made> {
        if self.address_due && self.addresses.is_empty() {
            self.queue_addresses(config);
        }
        self.address_due = false;
        let (octets, number) = match self.addresses.pop_front() {
            Some((map, nodes)) => (self.address(map, &nodes, config), None),
            None => {
                let number = self.pending.first()?;
                self.pending.remove(number);
                (self.data(number, config), Some(number))
            }
        };
        let octets = Bytes::from(octets);
        self.in_flight.insert(token, (number, octets.len()));
        Some(Made { to: self.to(), octets })
    }

    pub(super) fn to(&self) -> To {
        let nodes: Vec<NodeId> = self.open().map(|(node, _)| node).collect();
        To { group: Some(self.group), nodes, silent: self.open().any(|(_, r)| r.silent), may_be_lost: false }
    }

    fn queue_addresses(&mut self, config: &EngineConfig) {
        let nodes: Vec<NodeId> = self.open().map(|(node, _)| node).collect();
        let size = Address::destinations_per_pdu(config.pdu_octets_max);
        let count = nodes.len().div_ceil(size);
        let chunks = nodes.chunks(size).enumerate();
        self.addresses = chunks.map(|(index, chunk)| (Map::place(index, count), chunk.to_vec())).collect();
    }

    fn address(&self, map: Map, nodes: &[NodeId], config: &EngineConfig) -> Vec<u8> {
        let sequence = |node: &NodeId| self.recipients.get(node).map_or(0, |r| r.sequence);
        let entry = |node: &NodeId| Destination { node: *node, sequence: sequence(node), reserved: Bytes::new() };
        let address = Address {
            extra: false,
            priority: self.priority,
            map,
            message: self.id,
            total: self.total(),
            expiry: wire_expiry(self.expiry),
            destinations: nodes.iter().map(entry).collect(),
        };
        config.encode(Pdu::Address(address))
    }

    fn data(&self, sequence: u16, config: &EngineConfig) -> Vec<u8> {
        let start = (usize::from(sequence).saturating_sub(1) * self.fragment_octets).min(self.content.len());
        let end = (start + self.fragment_octets).min(self.content.len());
        let (priority, message, fragment) = (self.priority, self.id, &self.content[start..end]);
        config.encode(Pdu::Data(Data { priority, message, sequence, fragment }))
    }

    /// A PDU has left the node below, `confirmed` by the receiver's. Whether it was a Data_PDU.
    pub(super) fn left(&mut self, token: Token, confirmed: bool) -> bool {
        let Some((number, octets)) = self.in_flight.remove(&token) else { return false };
        self.octets_sent += octets as u64;
        self.carried &= confirmed || number.is_none();
        number.is_some()
    }

    /// A PDU was not sent by the node below: it is to be sent again.
    pub(super) fn returned(&mut self, token: Token) {
        match self.in_flight.remove(&token) {
            Some((Some(number), _)) => self.pending.insert(number),
            Some((None, _)) => self.address_due = true,
            None => {}
        }
    }

    /// The node below refused a PDU: the message rests until then.
    pub(super) fn rest(&mut self, until: Instant) {
        self.resume_at = Some(self.resume_at.map_or(until, |at| at.max(until)));
    }

    /// Starts a round with these Data_PDUs besides those still pending. False when the bound of rounds is reached.
    fn begin_round(&mut self, numbers: &Numbers, config: &EngineConfig) -> bool {
        self.timer = None;
        if self.rounds >= config.rounds_max {
            self.exhausted = true;
            return false;
        }
        self.rounds += 1;
        self.queue(numbers);
        true
    }

    fn queue(&mut self, numbers: &Numbers) {
        self.timer = None;
        self.window = None;
        self.pending.extend(numbers);
        self.address_due = true;
        self.recipients.values_mut().for_each(|r| r.answered = false);
    }

    /// Decides what is waited for once the round has left. Yields words when something changed.
    //= acp142/PMUL-040
    pub(super) fn settle(&mut self, now: Instant, config: &EngineConfig) -> Option<Why> {
        if self.has_pdus() || !self.in_flight.is_empty() || self.timer.is_some() || self.exhausted || self.is_done() {
            return None;
        }
        let free: Vec<&Recipient> = self.open().map(|(_, r)| r).filter(|r| !r.silent).collect();
        if free.is_empty() {
            return Some(self.wait_in_silence(now, config));
        }
        if free.iter().all(|r| r.answered) {
            let missing = self.union_of_reported();
            let begun = self.begin_round(&missing, config);
            return Some(if begun { "repeating what is missing" } else { "rounds exhausted, waiting" });
        }
        let awaited = free.iter().filter(|r| !r.answered).count();
        self.timer = Some((now + config.ack_wait_for(self.back_off, awaited), Wait::AckMissing));
        Some("sent, waiting for acknowledgement")
    }

    //= acp142/PMUL-043
    fn wait_in_silence(&mut self, now: Instant, config: &EngineConfig) -> Why {
        let plan = config.silent_plan(self.priority);
        if *self.repeats_left.get_or_insert(plan.repeats) > 0 {
            self.timer = Some((now + plan.interval, Wait::SilentRepeat));
            return SILENCE_EXPECTED;
        }
        ALL_REPEATS_DONE
    }

    /// The union of what receivers that may transmit reported missing.
    fn union_of_reported(&self) -> Numbers {
        let mut union = Numbers::default();
        self.open().filter(|(_, r)| !r.silent).for_each(|(_, r)| union.extend(&r.reported));
        union
    }

    /// The timer has expired. Yields words when something changed.
    pub(super) fn fire(&mut self, now: Instant, config: &EngineConfig) -> Option<Why> {
        if self.window.is_some_and(|at| at <= now) {
            self.window = None;
            self.address_due = true;
        }
        self.resume_at.take_if(|at| *at <= now);
        let (_, wait) = self.timer.take_if(|(at, _)| *at <= now)?;
        if self.has_pdus() || !self.in_flight.is_empty() {
            return None; // settled again when the last has left
        }
        match wait {
            Wait::AckMissing => Some(self.repeat_for_lack_of_acks(config)),
            Wait::SilentRepeat => {
                self.repeats_left = self.repeats_left.map(|left| left.saturating_sub(1));
                let all = Numbers::up_to(self.total());
                self.queue(&all);
                Some("repeating by plan, silence expected")
            }
        }
    }

    //= acp142/PMUL-042
    fn repeat_for_lack_of_acks(&mut self, config: &EngineConfig) -> Why {
        // Where the message is known to have gone out, the acknowledgement is rather what was lost or late: the
        // Address_PDU alone asks for it again, once.
        let went_out = self.carried || self.recipients.values().any(|r| r.heard);
        let (mut full, mut asking) = (false, went_out);
        for r in self.recipients.values_mut().filter(|r| !r.done && !r.silent && !r.answered) {
            r.unanswered += 1;
            let first = went_out && r.unanswered == 1;
            full |= (!r.heard && !first) || r.unanswered >= UNANSWERED_ROUNDS_MAX;
            asking &= first;
        }
        let missing = self.union_of_reported();
        let full = full || (missing.is_empty() && !asking);
        let numbers = if full { Numbers::up_to(self.total()) } else { missing };
        self.back_off += 1;
        match (self.begin_round(&numbers, config), full) {
            (false, _) => "rounds exhausted, waiting",
            (true, true) => "no acknowledgement, repeating all",
            (true, false) if asking && numbers.is_empty() => "no acknowledgement, asking again",
            (true, false) => "no acknowledgement, repeating what is missing",
        }
    }

    /// A receiver has everything. False when that was known.
    //= acp142/PMUL-041
    pub(super) fn acked_all(&mut self, now: Instant, node: NodeId, config: &EngineConfig) -> bool {
        let Some(r) = self.recipients.get_mut(&node) else { return false };
        let news = !r.done;
        *r = Recipient { sequence: r.sequence, heard: true, done: true, answered: true, ..Recipient::default() };
        if self.is_done() {
            (self.pending, self.timer, self.window) = (Numbers::default(), None, None);
        } else if news {
            self.back_off = 0;
            self.trim();
            self.rethink();
        }
        // One updated Address_PDU answers all acknowledgements of a window. While others are awaited it would only be
        // in their way: the next round or the end carries it.
        let awaiting = matches!(self.timer, Some((_, Wait::AckMissing)));
        if !self.is_done() && !self.has_pdus() && !awaiting && self.window.is_none() {
            self.window = Some(now + config.address_window);
        }
        news
    }

    /// A receiver lacks these. `whole` when the list is known to name everything it lacks.
    pub(super) fn acked_part(&mut self, node: NodeId, missing: Numbers, whole: bool) {
        let first_sending = self.rounds == 0 && self.repeats_left.is_none();
        let in_mid_round = !self.pending.is_empty();
        let pending = self.pending.clone();
        let Some(r) = self.recipients.get_mut(&node).filter(|r| !r.done) else { return };
        if r.answered {
            r.reported.extend(&missing);
        } else {
            r.reported = missing;
        }
        // What has not been sent yet in the first sending is not missing, it is coming.
        if first_sending {
            r.reported.subtract(&pending);
        }
        (r.heard, r.silent, r.unanswered) = (true, false, 0);
        self.back_off = 0;
        let answers = if in_mid_round { whole && !first_sending } else { true };
        if answers && let Some(r) = self.recipients.get_mut(&node) {
            r.answered = true;
        }
        self.trim();
        self.rethink();
    }

    /// In a repeat, what all open receivers turn out to have need not go out again.
    fn trim(&mut self) {
        if self.pending.is_empty() || !self.open().all(|(_, r)| r.answered && !r.silent) {
            return;
        }
        let mut had = self.pending.clone();
        had.subtract(&self.union_of_reported());
        self.pending.subtract(&had);
        self.recipients.values_mut().filter(|r| !r.done).for_each(|r| r.answered = false);
    }

    /// After an acknowledgement: the timer ends early when what it waits for is there or can come, and
    /// [`Transmission::settle`] decides anew.
    fn rethink(&mut self) {
        let over = match self.timer {
            Some((_, Wait::AckMissing)) => self.open().all(|(_, r)| r.silent || r.answered),
            Some((_, Wait::SilentRepeat)) => self.open().any(|(_, r)| !r.silent),
            None => false,
        };
        if over {
            self.timer = None;
        }
    }

    /// A receiver enters or leaves EMCON. One that leaves is given time to acknowledge before anything is repeated.
    pub(super) fn set_silent(&mut self, node: NodeId, silent: bool) {
        let Some(r) = self.recipients.get_mut(&node).filter(|r| !r.done && r.silent != silent) else { return };
        r.silent = silent;
        self.timer = None;
    }

    pub(super) fn raise(&mut self, priority: u8) {
        self.priority = self.priority.min(priority);
    }

    /// Shifts the timers after own EMCON.
    pub(super) fn shift(&mut self, span: crate::time::Duration) {
        self.timer = self.timer.map(|(at, wait)| (at + span, wait));
        self.window = self.window.map(|at| at + span);
        self.resume_at = self.resume_at.map(|at| at + span);
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timer.map(|(at, _)| at).into_iter().chain(self.window).chain(self.resume_at).min()
    }
}

/// Expiry_Time: whole seconds, the end of the second so that it is not early.
pub(super) fn wire_expiry(expiry: WallTime) -> u32 {
    u32::try_from(expiry.unix_micros().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

//! Forming blocks, letting units leave, repeating what is not acknowledged.

use super::super::block::{Stored, Unit, ack_digest, low};
use super::super::config::{Medium, unit_octets};
use super::super::fault::SlowFault;
use super::super::limits::{
    ANSWERS_FOR, BLOCK_STANZAS_MAX, LINGER, LINGER_STANZAS_MAX, PASSING_SPACING, REPEATS_PER_EPOCH_MAX,
};
use super::super::queue::{Waiting, context_of};
use super::super::record::{Composition, Cut, Fragment, Key};
use super::super::sender::{self, Formed, Sender, State};
use super::super::session::{Confirmation, SlowOutput};
use super::super::short_id::{Ids, Kept, Place};
use super::super::stream_frame;
use super::{Skywave, of_context};
use crate::bytes::Bytes;
use crate::message::precedence::{MtPriority, Precedence};
use crate::time::{Instant, Now};

/// Tries to find how much of a long stanza fits.
const CUTS_TRIED_MAX: u32 = 4;
/// By so many octets a stanza more may make a unit larger than its own text is.
const STANZA_MARGIN: usize = 16;

impl Skywave {
    /// Forms the blocks that the medium has room for.
    pub(super) fn form(&mut self, now: Now) {
        for context in self.forming_contexts() {
            if self.form_at(context).is_some_and(|at| at <= now.mono) {
                self.form_block(now, context);
            }
        }
    }

    fn forming_contexts(&self) -> Vec<u8> {
        let mut contexts = self.queue.contexts(self.config.two_contexts);
        let unfinished = self.senders.values().filter(|sender| sender.fragment.is_some()).map(|sender| sender.context);
        for context in unfinished {
            if !contexts.contains(&context) {
                contexts.push(context);
            }
        }
        contexts
    }

    /// When the next block is formed, if only time is missing.
    pub(super) fn next_form(&self) -> Option<Instant> {
        self.forming_contexts().into_iter().filter_map(|context| self.form_at(context)).min()
    }

    /// When a block of this context may be formed; nothing while it waits for something else than time.
    //= xmpp/SLOW-012
    fn form_at(&self, context: u8) -> Option<Instant> {
        let medium = self.medium?;
        let unsent: usize = self.senders.values().map(Sender::unsent).sum();
        let sender = self.senders.get(&context);
        let window = self.config.window_blocks.clamp(1, super::super::limits::WINDOW_BLOCKS_MAX);
        let is_full = sender.is_some_and(|sender| sender.has_unsent() || sender.blocks.len() >= window);
        if self.room_units <= unsent || self.room_octets == 0 || is_full {
            return None;
        }
        if sender.is_some_and(|sender| sender.fragment.is_some()) {
            return Some(Instant::ZERO);
        }
        let first = self.waiting_in(context).next()?;
        if self.joining && self.may_pass(context) && self.waiting_in(context).any(|waiting| waiting.joins) {
            return Some(Instant::ZERO);
        }
        if first.passes && self.may_pass(context) {
            return Some(self.passed_at.map_or(Instant::ZERO, |at| at + PASSING_SPACING));
        }
        if !self.in_flight.is_empty() {
            return Some(Instant::ZERO);
        }
        let few = || self.waiting_in(context).take(1 + LINGER_STANZAS_MAX);
        let oldest = few().map(|waiting| waiting.since).fold(first.since, Instant::min);
        let is_urgent = first.outgoing.priority.precedence() >= Precedence::Immediate;
        // Who was just heard is owed an answer below, and this may ride with it.
        let is_answer = self.heard_at.is_some_and(|at| oldest <= at + ANSWERS_FOR);
        if is_urgent || is_answer || self.waiting_in(context).nth(1 + LINGER_STANZAS_MAX).is_some() {
            return Some(Instant::ZERO);
        }
        few().map(|waiting| waiting.since + self.config.linger_on(medium, waiting.is_written)).min()
    }

    /// Whether a block may leave unsaved now, if it has nothing that is to be saved.
    fn may_pass(&self, context: u8) -> bool {
        let has_numbers = |sender: &Sender| sender.next < sender.reserved;
        self.medium.is_some_and(Medium::is_fast) && self.senders.get(&context).is_some_and(has_numbers)
    }

    fn waiting_in(&self, context: u8) -> impl Iterator<Item = &Waiting> {
        let two = self.config.two_contexts;
        self.queue.iter().filter(move |waiting| {
            context_of(waiting.outgoing.label_context, waiting.outgoing.priority, two) == context
        })
    }

    fn form_block(&mut self, now: Now, context: u8) {
        let Some(medium) = self.medium else { return };
        let limit = Limit {
            octets: self.config.block_octets(medium),
            octets_most: self.config.block_octets_most(medium),
            unit_octets: unit_octets(medium),
        };
        let number = self.sender(context).next;
        let may_leave = medium.is_fast() && self.sender(context).fragment.is_none();
        let mut block =
            Composition { priority: i8::MIN, passes: may_leave, joins: may_leave, ..Composition::default() };
        let is_whole = self.take_fragment(context, limit, &mut block);
        if is_whole {
            self.take_waiting(context, number, limit, &mut block);
        }
        if block.cuts.is_empty() {
            return;
        }
        let dictionaries = self.dictionaries.clone();
        let reserved = if may_leave { self.sender(context).reserve() } else { Vec::new() };
        self.passed_at = Some(now.mono).filter(|_| block.joins);
        let Formed { changes, beside } = self.sender(context).form(&dictionaries, block);
        self.change(changes);
        if !beside.is_empty() {
            self.outputs.push_back(SlowOutput::Beside { changes: beside });
        }
        self.change(reserved);
        let tidied = self.sender(context).tidy();
        self.change_lazily(now, tidied);
    }

    /// Puts what is left of a stanza into a block; false when even that is too much.
    fn take_fragment(&mut self, context: u8, limit: Limit, block: &mut Composition) -> bool {
        let Some(mut fragment) = self.sender(context).fragment.take() else { return true };
        block.priority = block.priority.max(fragment.priority);
        let key = Key::Fragment(context).octets();
        let most = octets_that_fit(limit, &fragment.text, false);
        let is_whole = fragment.text.len() <= most;
        if is_whole {
            block.rows.push(fragment.row);
            append(block, &fragment.text, false, true);
            self.change(vec![(key, None)]);
        } else {
            let rest = fragment.text.split_off(most);
            append(block, &fragment.text, false, false);
            let fragment = Fragment { text: rest, ..fragment };
            let octets = fragment.octets();
            self.sender(context).fragment = Some(fragment);
            self.change(vec![(key, Some(octets))]);
        }
        is_whole
    }

    /// Moves waiting stanzas into a block, in order, while there is room.
    fn take_waiting(&mut self, context: u8, number: u32, limit: Limit, block: &mut Composition) {
        let rows: Vec<u64> =
            self.waiting_in(context).take(BLOCK_STANZAS_MAX).map(|waiting| waiting.outgoing.number).collect();
        let (mut index, mut coded) = (0, None);
        for row in rows {
            let Some((rank, waiting)) = self.queue.remove(row) else { continue };
            let leaves = waiting.passes || waiting.joins;
            // What is to be saved before has a block of its own: nothing else waits for the disk with it.
            if block.joins && !leaves && !block.cuts.is_empty() {
                self.queue.put_back(rank, waiting);
                return;
            }
            let outgoing = &waiting.outgoing;
            let (text, id) = match self.config.short_ids {
                true => self.ids.shorten(&outgoing.stanza),
                false => (Ids::literally(&outgoing.stanza), None),
            };
            if text.len() > self.config.stanza_octets() {
                let why = SlowFault::StanzaTooLarge { octets: text.len(), limit: self.config.stanza_octets() };
                self.outputs.push_back(SlowOutput::Refused { number: row, why });
                continue;
            }
            let most = if block.cuts.is_empty() { octets_that_fit(limit, &text, true) } else { usize::MAX };
            let is_cut = text.len() > most;
            let has_room = block.cuts.is_empty() || fits(limit, block, &text, &mut coded);
            if !has_room {
                self.queue.put_back(rank, waiting);
                return;
            }
            let priority = outgoing.priority.value();
            block.priority = block.priority.max(priority);
            block.raw += outgoing.stanza.size_octets();
            if let Some(id) = id {
                let place = Place { context, number, index };
                let kept = Kept { place, from: outgoing.stanza.from().to_bare().to_string(), id };
                // The next stanza of this block may refer to it.
                self.ids.keep(kept.clone());
                block.kept.push(kept);
            }
            index += 1;
            block.passes &= waiting.passes && !is_cut;
            block.joins &= leaves && !is_cut;
            if is_cut {
                return self.cut(context, row, priority, &text, most, block);
            }
            block.rows.push(row);
            append(block, &text, true, true);
        }
    }

    fn cut(&mut self, context: u8, row: u64, priority: i8, text: &[u8], limit: usize, block: &mut Composition) {
        let (first, rest) = text.split_at(limit.min(text.len()));
        append(block, first, true, false);
        let fragment = Fragment { row, priority, text: rest.to_vec() };
        self.change(vec![(Key::Fragment(context).octets(), Some(fragment.octets()))]);
        self.sender(context).fragment = Some(fragment);
    }

    /// Begins the epochs without which nothing can leave.
    pub(super) fn begin_epochs(&mut self) {
        if self.medium.is_none() {
            return;
        }
        let waiting: Vec<u8> =
            self.senders.values().filter(|sender| sender.needs_epoch()).map(|sender| sender.context).collect();
        waiting.into_iter().for_each(|context| self.renew(context));
    }

    pub(super) fn renew(&mut self, context: u8) {
        let dictionaries = self.dictionaries.clone();
        let sender = self.sender(context);
        sender.repeat_at = None;
        let changes = sender.renew(&dictionaries);
        self.change(changes);
    }

    /// Lets units leave: blocks of urgent contexts first, then the others, then requests and acknowledgements alone.
    pub(super) fn emit(&mut self, now: Now) {
        if self.medium.is_none() {
            return;
        }
        while self.room_units > 0 && self.room_octets > 0 {
            let ready = self
                .senders
                .values()
                .filter_map(|sender| Some((sender.context & 1 == 0, sender.context, sender.ready()?)))
                .min();
            if let Some((_, context, number)) = ready {
                if !self.emit_block(now, context, number) {
                    return;
                }
            } else if let Some((context, request)) = self.requests.pop_first() {
                self.emit_unit(of_context(context), context, request, None);
            } else if !self.emit_ack(now) {
                return;
            }
        }
    }

    fn emit_block(&mut self, now: Now, context: u8, number: u32) -> bool {
        let carries = self.sender(context).carries_ack(number) && !self.muted.contains_key(&context);
        let ack = self.receivers.get(&context).and_then(|receiver| receiver.ack()).filter(|_| carries);
        let instance = self.instance;
        let repeat_after = self.config.repeat_after;
        let sender = self.sender(context);
        let Some(octets) = sender.unit(number, instance, ack) else { return false };
        let block = sender.blocks.iter().find(|block| block.number == number);
        let (priority, stanzas, raw) = block.map_or((0, 0, 0), |block| {
            let composition = &block.composition;
            (composition.priority, composition.cuts.iter().filter(|cut| cut.begins).count(), composition.raw)
        });
        if let Some(ack) = ack {
            self.told(context, ack);
        }
        let priority = MtPriority::try_from(priority).unwrap_or(of_context(context));
        let octets_sent = octets.len();
        let unit = self.emit_unit(priority, context, octets, Some((context, number)));
        self.outputs.push_back(SlowOutput::Counted { stanzas, octets_raw: raw, octets_sent });
        let sender = self.sender(context);
        sender.set_state(number, State::Sent(unit));
        let patience = sender.patience(repeat_after);
        sender.repeat_at.get_or_insert(now.mono + patience);
        true
    }

    fn told(&mut self, context: u8, ack: Stored) {
        let receiver = self.receiver(context);
        receiver.told = ack.next;
        (receiver.ack_due, receiver.untold_since) = (None, None);
        receiver.untold_stanzas = 0;
    }

    fn emit_ack(&mut self, now: Now) -> bool {
        let Some(context) = self.acks_alone().find(|(_, at)| *at <= now.mono).map(|(context, _)| context) else {
            return false;
        };
        let Some(ack) = self.receiver(context).ack() else {
            self.receiver(context).ack_due = None;
            return true;
        };
        let unit = Unit::Ack { context, next_low: low(ack.next), digest: ack_digest(context, ack) };
        self.told(context, ack);
        self.emit_unit(of_context(context), context, unit.octets(), None);
        true
    }

    /// When an acknowledgement leaves on its own, if only time is missing.
    pub(super) fn next_ack(&self) -> Option<Instant> {
        let has_room = self.medium.is_some() && self.room_units > 0 && self.room_octets > 0;
        self.acks_alone().map(|(_, at)| at).min().filter(|_| has_room)
    }

    /// Contexts whose acknowledgement leaves on its own, and when.
    fn acks_alone(&self) -> impl Iterator<Item = (u8, Instant)> {
        let due = self.receivers.iter().filter_map(|(&context, receiver)| Some((context, receiver.ack_due?)));
        due.filter(|&(context, at)| !self.rides_soon(context, at))
    }

    /// Whether a block is about to leave that carries the acknowledgement which is due: on its own that would be a unit for
    /// nothing, and on a radio the block would wait for the turn after it.
    fn rides_soon(&self, context: u8, due: Instant) -> bool {
        let is_muted = self.muted.contains_key(&context);
        let Some(sender) = self.senders.get(&context).filter(|_| !is_muted) else { return false };
        let mut saving = sender.blocks.iter().filter(|block| matches!(block.state, State::Unsaved | State::Saving));
        match saving.next() {
            Some(block) => sender.carries_ack(block.number),
            None => sender.carries_ack(sender.next) && self.form_at(context).is_some_and(|at| at <= due + LINGER),
        }
    }

    fn emit_unit(&mut self, priority: MtPriority, context: u8, octets: Vec<u8>, block: Option<(u8, u32)>) -> u64 {
        let has_boundaries = self.medium.is_none_or(|medium| medium.boundaries);
        let content: Bytes = if has_boundaries { octets.into() } else { stream_frame::framed(&octets).into() };
        self.units += 1;
        self.room_units = self.room_units.saturating_sub(1);
        self.room_octets = self.room_octets.saturating_sub(content.len());
        self.in_flight.insert(self.units, block);
        self.outputs.push_back(SlowOutput::Unit { unit: self.units, priority, context: context.into(), content });
        self.units
    }

    pub(in super::super) fn unit_delivered(&mut self, now: Now, unit: u64) {
        let repeat_after = self.config.repeat_after;
        if let Some(Some((context, number))) = self.in_flight.remove(&unit) {
            let sender = self.sender(context);
            let patience = sender.patience(repeat_after);
            if sender.blocks.iter().any(|block| block.number == number && block.state == State::Sent(unit)) {
                sender.set_state(number, State::Delivered);
                sender.repeat_at = Some(now.mono + patience);
            }
        }
        self.work(now);
    }

    pub(in super::super) fn unit_failed(&mut self, now: Now, unit: u64) {
        if let Some(Some((context, number))) = self.in_flight.remove(&unit) {
            let sender = self.sender(context);
            if sender.blocks.iter().any(|block| block.number == number && block.state == State::Sent(unit)) {
                sender.set_state(number, State::Ready);
            }
        }
        self.work(now);
    }

    /// Repeats the oldest block of each context that has waited long enough; after some repeats in a new epoch. A stream
    /// begins anew at once: what was written is there, so an end does not cut it where the other did.
    //= xmpp/SLOW-019
    pub(super) fn repeat(&mut self, now: Now) {
        if self.medium.is_none() {
            return;
        }
        let is_stream = self.medium.is_some_and(|medium| !medium.boundaries);
        let repeat_after = self.config.repeat_after;
        let due: Vec<u8> = self
            .senders
            .values()
            .filter(|sender| sender.repeat_at.is_some_and(|at| at <= now.mono))
            .map(|sender| sender.context)
            .collect();
        let mut gives_up = false;
        for context in due {
            let sender = self.sender(context);
            sender.repeat_at = None;
            let Some(oldest) = sender.blocks.front_mut() else { continue };
            match oldest.state {
                State::Delivered => {
                    oldest.state = State::Ready;
                    sender.repeats += 1;
                    gives_up = true;
                    if sender.repeats.is_multiple_of(REPEATS_PER_EPOCH_MAX) {
                        self.renew(context);
                    }
                }
                // The medium still works on it.
                State::Sent(_) => sender.repeat_at = Some(now.mono + sender.patience(repeat_after)),
                State::Unsaved | State::Saving | State::Ready => {}
            }
        }
        if gives_up && is_stream {
            self.break_stream(now, "blocks that were written are not acknowledged");
        }
    }

    pub(super) fn next_repeat(&self) -> Option<Instant> {
        self.medium?;
        self.senders.values().filter_map(|sender| sender.repeat_at).min()
    }

    /// The peer has stored all below `next`.
    pub(super) fn acknowledged(&mut self, now: Now, context: u8, next: u32) {
        let repeat_after = self.config.repeat_after;
        let sender = self.sender(context);
        let before = sender.base;
        let done = sender.acknowledge(next);
        if sender.base == before {
            return;
        }
        if sender.blocks.iter().any(|block| matches!(block.state, State::Sent(_) | State::Delivered)) {
            sender.repeat_at = Some(now.mono + sender.patience(repeat_after));
        }
        let is_untold = sender.is_untold();
        let tidied = sender.tidy();
        self.change_lazily(now, tidied);
        if is_untold {
            self.renew(context);
        }
        for number in done {
            self.outputs.push_back(SlowOutput::Done { number, how: Confirmation::PeerStored });
        }
    }
}

/// How much a block may have.
#[derive(Clone, Copy)]
struct Limit {
    /// Octets of text that surely fit.
    octets: usize,
    /// Octets of text of which it is tried whether they do.
    octets_most: usize,
    /// Octets of the unit.
    unit_octets: usize,
}

/// Whether a stanza more finds room in a block. `coded` is how much text of it made how large a unit: no octet of
/// text makes more than one of the unit, so that it need not be tried each time.
fn fits(limit: Limit, block: &Composition, text: &[u8], coded: &mut Option<(usize, usize)>) -> bool {
    let octets = block.text.len() + text.len();
    if octets <= limit.octets || octets > limit.octets_most {
        return octets <= limit.octets;
    }
    if coded.is_some_and(|(of, unit)| unit + (octets - of) + STANZA_MARGIN <= limit.unit_octets) {
        return true;
    }
    let mut longer = block.clone();
    append(&mut longer, text, true, true);
    let unit = sender::unit_octets(&longer);
    *coded = Some((octets, unit));
    unit <= limit.unit_octets
}

/// Octets of a stanza, or of what is left of it, that a block takes which has nothing else.
fn octets_that_fit(limit: Limit, text: &[u8], begins: bool) -> usize {
    let mut octets = text.len().min(limit.octets_most);
    for _ in 0..CUTS_TRIED_MAX {
        if octets <= limit.octets {
            break;
        }
        let mut block = Composition::default();
        append(&mut block, text.get(..octets).unwrap_or_default(), begins, octets == text.len());
        let unit = sender::unit_octets(&block);
        if unit <= limit.unit_octets {
            return octets;
        }
        // A little less than what the same ratio would give.
        octets = octets * limit.unit_octets * 31 / 32 / unit;
    }
    limit.octets
}

fn append(block: &mut Composition, text: &[u8], begins: bool, ends: bool) {
    block.text.extend_from_slice(text);
    block.cuts.push(Cut { octets: text.len(), begins, ends });
}

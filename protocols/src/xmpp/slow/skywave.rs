//! The profile `skywave`: blocks with a header of our own, acknowledged when the peer has them on its disk.
//!
//! States of a block: formed and numbered → saved with its text → on the medium → delivered → stored by the peer. Only
//! then its rows are done. A block never changes its text, so whatever is lost, repeated, or read by a side that was
//! restarted in between, each number yields its stanzas once, or stays unacknowledged. `docs/adr/0022` has the table.
//!
//! Promises: nothing leaves before it is saved, but on a fast stream what may be lost with this side (ADR 87), and what is
//! being saved with its rows (ADR 89); nothing is
//! acknowledged before it is saved; an idle link sends nothing.

mod receiving;
mod sending;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

use std::collections::{BTreeMap, VecDeque};

use super::config::{Medium, SlowConfig};
use super::dictionary::Dictionaries;
use super::fault::SlowFault;
use super::limits::{LABEL_MAX, RECEIVED_WAIT, SAVE_AGAIN_AFTER, TIDY_AFTER};
use super::queue::Queue;
use super::receiver::Receiver;
use super::record::{Composition, Fragment, Key, Received, number_octets, read_number};
use super::sender::{Change, Known, Sender, State};
use super::session::{Confirmation, Outgoing, SlowOutput};
use super::short_id::Ids;
use crate::bytes::{Bytes, WireError};
use crate::message::precedence::MtPriority;
use crate::random::Random;
use crate::time::{Instant, Now, Wakeup};
use crate::xmpp::Stanza;

/// The machine.
pub(super) struct Skywave {
    config: SlowConfig,
    dictionaries: Dictionaries,
    random: Box<dyn Random>,
    /// This side's instance: new when its records are.
    instance: u32,
    queue: Queue,
    senders: BTreeMap<u8, Sender>,
    receivers: BTreeMap<u8, Receiver>,
    ids: Ids,
    medium: Option<Medium>,
    room_units: usize,
    room_octets: usize,
    /// Units on the medium, and the block that each carries.
    in_flight: BTreeMap<u64, Option<(u8, u32)>>,
    units: u64,
    stream: Incoming,
    /// When the last block left unsaved, if none was saved since.
    passed_at: Option<Instant>,
    /// Stanzas are being taken whose rows are saved with what is made of them.
    joining: bool,
    /// Requests for a new epoch that wait for room, and when the last one of a context left.
    requests: BTreeMap<u8, Vec<u8>>,
    asked: BTreeMap<u8, Instant>,
    /// When a unit of the peer last arrived.
    heard_at: Option<Instant>,
    /// Contexts whose acknowledgements do not ride on blocks: the peer seems to have begun anew.
    muted: BTreeMap<u8, ()>,
    store: Saving,
    outputs: VecDeque<SlowOutput>,
}

/// A stream from the peer.
#[derive(Default)]
struct Incoming {
    /// Octets whose unit is not whole, or that wait for those before them.
    octets: Vec<u8>,
    /// When the last of them came.
    heard_at: Option<Instant>,
    /// When it begins anew, as it cannot be read; and why.
    break_at: Option<(Instant, &'static str)>,
    /// When it last did.
    broken_at: Option<Instant>,
    /// How often it did since a block could be read.
    breaks: u32,
}

/// What is to be saved.
#[derive(Default)]
struct Saving {
    saves: u64,
    /// To be saved at once.
    changes: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// To be saved with something else, or after a while.
    lazy: BTreeMap<Vec<u8>, Option<Bytes>>,
    arrived: Vec<Stanza>,
    /// Since when something is not saved that came by a fast stream and was handed on already.
    early_since: Option<Instant>,
    /// There is no place for what has arrived.
    is_full: bool,
    open: Option<Batch>,
    again_at: Option<Instant>,
    tidy_at: Option<Instant>,
}

/// A batch that is being saved.
struct Batch {
    save: u64,
    changes: Vec<Change>,
    arrived: Vec<Stanza>,
    /// What each context has then stored.
    received: Vec<(u8, super::block::Stored)>,
}

impl Skywave {
    pub(super) fn new(config: SlowConfig, mut random: Box<dyn Random>) -> Self {
        let dictionaries = Dictionaries::new(&config.names);
        let instance = new_instance(random.as_mut());
        let mut session = Self {
            config,
            dictionaries,
            random,
            instance,
            queue: Queue::default(),
            senders: BTreeMap::new(),
            receivers: BTreeMap::new(),
            ids: Ids::new(instance),
            medium: None,
            room_units: 0,
            room_octets: 0,
            in_flight: BTreeMap::new(),
            units: 0,
            stream: Incoming::default(),
            passed_at: None,
            joining: false,
            requests: BTreeMap::new(),
            asked: BTreeMap::new(),
            heard_at: None,
            muted: BTreeMap::new(),
            store: Saving::default(),
            outputs: VecDeque::new(),
        };
        session.note_instance();
        session
    }

    /// The instance is on the disk before the first block leaves: it is saved with it.
    fn note_instance(&mut self) {
        self.store.lazy.insert(Key::Instance.octets(), Some(number_octets(self.instance)));
    }

    pub(super) fn restore(&mut self, _: Now, rows: Vec<(Vec<u8>, Bytes)>) {
        if rows.is_empty() {
            return;
        }
        let keys: Vec<Vec<u8>> = rows.iter().map(|(key, _)| key.clone()).collect();
        if let Err(why) = self.read_rows(rows) {
            // Half a memory is worse than none: as a new instance this side is understood, and rows are submitted again.
            self.senders.clear();
            self.receivers.clear();
            self.instance = new_instance(self.random.as_mut());
            self.ids = Ids::new(self.instance);
            self.store.lazy = keys.into_iter().map(|key| (key, None)).collect();
            self.note_instance();
            self.notice("chat-records-unreadable", true, why);
        }
    }

    fn read_rows(&mut self, rows: Vec<(Vec<u8>, Bytes)>) -> Result<(), String> {
        let words = |fault: WireError| fault.to_string();
        let mut rows: Vec<(Key, Bytes)> = rows
            .into_iter()
            .map(|(key, value)| Ok((Key::read(&key)?, value)))
            .collect::<Result<_, WireError>>()
            .map_err(words)?;
        rows.sort_by_key(|(key, _)| *key);
        let mut instance = None;
        for (key, value) in rows {
            self.read_row(key, &value, &mut instance).map_err(words)?;
        }
        self.instance = instance.ok_or("no instance")?;
        let mut ids = Ids::new(self.instance);
        for sender in self.senders.values_mut() {
            let kept = |composition: &Composition| composition.kept.clone();
            sender.blocks.iter().flat_map(|block| kept(&block.composition)).for_each(|kept| ids.keep(kept));
            if !sender.settle() {
                return Err(format!("a block of context {} is missing", sender.context));
            }
        }
        if let Some(received) = self.receivers.values().find_map(|receiver| receiver.received.as_ref()) {
            ids.set_peer(received.instance);
        }
        self.ids = ids;
        self.store.lazy.clear();
        Ok(())
    }

    fn read_row(&mut self, key: Key, value: &[u8], instance: &mut Option<u32>) -> Result<(), WireError> {
        match key {
            Key::Instance => *instance = Some(read_number(value)?),
            Key::Epoch(context) => self.sender(context).epoch = u16::try_from(read_number(value)?).unwrap_or(0),
            Key::Acknowledged(context) => self.sender(context).base = read_number(value)?,
            Key::Reserved(context) => self.sender(context).reserved = read_number(value)?,
            Key::Block(context, number) => {
                let composition = Composition::read(value, context, number)?;
                self.sender(context).restore_block(number, composition);
            }
            Key::Fragment(context) => self.sender(context).fragment = Some(Fragment::read(value)?),
            Key::Received(context) => {
                let received = Received::read(value)?;
                self.receivers.insert(context, Receiver::new(context, Some(received)));
            }
        }
        Ok(())
    }

    fn sender(&mut self, context: u8) -> &mut Sender {
        self.senders.entry(context).or_insert_with(|| Sender::new(context))
    }

    fn receiver(&mut self, context: u8) -> &mut Receiver {
        self.receivers.entry(context).or_insert_with(|| Receiver::new(context, None))
    }

    pub(super) fn submit(&mut self, now: Now, outgoing: Outgoing) {
        self.line_up(now, outgoing);
        self.work(now);
    }

    /// Has a stanza wait for a block.
    fn line_up(&mut self, now: Now, outgoing: Outgoing) {
        let number = outgoing.number;
        match self.senders.values().find_map(|sender| sender.knows_row(number)) {
            Some(Known::Done) => {
                return self.outputs.push_back(SlowOutput::Done { number, how: Confirmation::PeerStored });
            }
            Some(Known::OnTheWay) => return,
            None => {}
        }
        if outgoing.label_context > LABEL_MAX {
            let why = SlowFault::NoEpoch { context: outgoing.label_context };
            return self.outputs.push_back(SlowOutput::Refused { number, why });
        }
        if let Err(why) = self.queue.push(now.mono, outgoing) {
            self.outputs.push_back(SlowOutput::Refused { number, why });
        }
    }

    pub(super) fn takes_joined(&self) -> bool {
        self.medium.is_some_and(Medium::is_fast)
    }

    /// Stanzas whose rows are in the same batch as what leaves: neither is on the disk without the other.
    //= xmpp/SLOW-034
    pub(super) fn submit_joined(&mut self, now: Now, joined: Vec<Outgoing>) {
        let numbers: Vec<u64> = joined.iter().map(|outgoing| outgoing.number).collect();
        joined.into_iter().for_each(|outgoing| self.line_up(now, outgoing));
        self.queue.join(&numbers, true);
        self.joining = true;
        self.work(now);
        // What has not left now has its row on the disk before its block is, and waits for that.
        self.joining = false;
        self.queue.join(&numbers, false);
    }

    pub(super) fn save_again(&mut self, now: Now, changes: Vec<Change>) {
        for (key, value) in changes {
            let is_open = match Key::read(&key) {
                Ok(Key::Block(context, number)) => number >= self.sender(context).base,
                Ok(_) | Err(_) => true,
            };
            // What was noted meanwhile is newer.
            if is_open && !self.store.lazy.contains_key(&key) {
                self.store.changes.entry(key).or_insert(value);
            }
        }
        self.store.again_at.get_or_insert(now.mono + SAVE_AGAIN_AFTER);
    }

    pub(super) fn has_to_save(&self) -> bool {
        self.store.open.is_some() || !self.store.changes.is_empty()
    }

    pub(super) fn knows(&self, number: u64) -> bool {
        self.senders.values().any(|sender| sender.knows_row(number).is_some())
    }

    pub(super) fn withdraw(&mut self, number: u64) -> bool {
        self.queue.remove(number).is_some()
    }

    pub(super) fn medium_up(&mut self, now: Now, medium: Medium) {
        self.medium = Some(medium);
        self.stream.begin();
        self.in_flight.clear();
        self.asked.clear();
        self.senders.values_mut().for_each(Sender::hope_again);
        self.senders.values_mut().for_each(Sender::resend_all);
        self.work(now);
    }

    pub(super) fn medium_down(&mut self, _: Now) {
        self.medium = None;
        self.stream.begin();
        self.in_flight.clear();
        (self.room_units, self.room_octets) = (0, 0);
        self.requests.clear();
        self.senders.values_mut().for_each(Sender::resend_all);
    }

    pub(super) fn set_room(&mut self, now: Now, units: usize, octets: usize) {
        (self.room_units, self.room_octets) = (units, octets);
        self.work(now);
    }

    pub(super) fn stored(&mut self, now: Now, save: u64) {
        let Some(batch) = self.store.open.take_if(|batch| batch.save == save) else { return };
        for (context, stored) in batch.received {
            self.note_stored(now, context, stored);
        }
        self.note_reserved(&batch.changes);
        self.settle_blocks(State::Ready);
        self.read_stream(now);
        self.work(now);
    }

    pub(super) fn store_failed(&mut self, now: Now, save: u64) {
        if self.take_back(save) {
            self.store.again_at = Some(now.mono + SAVE_AGAIN_AFTER);
            self.notice("chat-batch-not-saved", true, format!("batch {save} is tried again"));
        }
    }

    pub(super) fn hold_back(&mut self, now: Now, save: u64) {
        if self.take_back(save) {
            self.store.is_full = true;
            self.read_stream(now);
            self.work(now);
        }
    }

    pub(super) fn resume(&mut self, now: Now) {
        self.store.is_full = false;
        self.work(now);
    }

    /// Numbers that the disk now has reserved: blocks below them may leave unsaved.
    fn note_reserved(&mut self, changes: &[Change]) {
        for (key, value) in changes {
            if let (Ok(Key::Reserved(context)), Some(value)) = (Key::read(key), value) {
                self.sender(context).reserved = read_number(value).unwrap_or(0);
            }
        }
    }

    /// Has everything of an open batch wait for the next one.
    fn take_back(&mut self, save: u64) -> bool {
        let Some(mut batch) = self.store.open.take_if(|batch| batch.save == save) else { return false };
        // What was read of the peer is noted anew with the stanzas that came with it, and never without them.
        let received: Vec<Vec<u8>> =
            batch.received.iter().map(|(context, _)| Key::Received(*context).octets()).collect();
        for (key, value) in batch.changes.into_iter().filter(|(key, _)| !received.contains(key)) {
            // What was noted meanwhile is newer.
            let value = self.store.lazy.remove(&key).unwrap_or(value);
            self.store.changes.entry(key).or_insert(value);
        }
        batch.arrived.append(&mut self.store.arrived);
        self.store.arrived = batch.arrived;
        for (context, _) in batch.received {
            self.receiver(context).changed = true;
        }
        self.settle_blocks(State::Unsaved);
        true
    }

    fn settle_blocks(&mut self, state: State) {
        for block in self.senders.values_mut().flat_map(|sender| &mut sender.blocks) {
            if block.state == State::Saving {
                block.state = state;
            }
        }
    }

    /// Does all that can be done now.
    fn work(&mut self, now: Now) {
        self.mind_stream(now);
        self.repeat(now);
        self.begin_epochs();
        self.form(now);
        self.save(now);
        self.emit(now);
    }

    /// Hands a batch to the store, if there is something for it and none is open.
    //= xmpp/SLOW-013
    fn save(&mut self, now: Now) {
        if self.store.open.is_some() || self.store.again_at.is_some_and(|at| at > now.mono) {
            return;
        }
        self.store.again_at = None;
        let takes = !self.store.is_full;
        let has_come = takes && self.has_unsaved() && self.early_until().is_none_or(|at| at <= now.mono);
        let is_tidy = self.store.lazy.is_empty() || self.store.tidy_at.is_none_or(|at| at > now.mono);
        if !has_come && self.store.changes.is_empty() && is_tidy {
            return;
        }
        let received = if takes { self.note_received() } else { Vec::new() };
        let mut changes = std::mem::take(&mut self.store.lazy);
        changes.append(&mut self.store.changes);
        for block in self.senders.values_mut().flat_map(|sender| &mut sender.blocks) {
            if block.state == State::Unsaved {
                block.state = State::Saving;
            }
        }
        (self.store.tidy_at, self.store.early_since) = (None, None);
        self.store.saves += 1;
        let save = self.store.saves;
        let changes: Vec<Change> = changes.into_iter().collect();
        let arrived = if takes { std::mem::take(&mut self.store.arrived) } else { Vec::new() };
        self.store.open = Some(Batch { save, changes: changes.clone(), arrived: arrived.clone(), received });
        self.outputs.push_back(SlowOutput::Save { save, changes, arrived });
    }

    /// Until when what has come waits to be saved with something else: where all of it was handed on already only the
    /// acknowledgement waits for it.
    //= xmpp/SLOW-031
    fn early_until(&self) -> Option<Instant> {
        let is_early = self.store.arrived.is_empty() && self.has_unsaved();
        self.store.early_since.filter(|_| is_early).map(|since| since + RECEIVED_WAIT)
    }

    /// Has what was read of the peer saved: with that it can be acknowledged.
    fn note_received(&mut self) -> Vec<(u8, super::block::Stored)> {
        let mut received = Vec::new();
        for (context, receiver) in &mut self.receivers {
            let Some(known) = receiver.received.as_ref().filter(|_| std::mem::take(&mut receiver.changed)) else {
                continue;
            };
            self.store.changes.insert(Key::Received(*context).octets(), Some(known.octets()));
            received.push((*context, super::block::Stored { instance: known.instance, next: known.next }));
        }
        received
    }

    fn change(&mut self, changes: Vec<Change>) {
        for (key, value) in changes {
            self.store.lazy.remove(&key);
            self.store.changes.insert(key, value);
        }
    }

    fn change_lazily(&mut self, now: Now, changes: Vec<Change>) {
        for (key, value) in changes {
            match self.store.changes.get_mut(&key) {
                // It waits for the disk again, and would be put over what is newer.
                Some(waiting) => *waiting = value,
                None => _ = self.store.lazy.insert(key, value),
            }
        }
        self.store.tidy_at.get_or_insert(now.mono + TIDY_AFTER);
    }

    fn notice(&mut self, name: &'static str, alarm: bool, detail: String) {
        self.outputs.push_back(SlowOutput::Notice { name, alarm, detail });
    }

    pub(super) fn handle_wakeup(&mut self, now: Now) {
        self.work(now);
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        let is_saving = self.store.open.is_some();
        let may_save = !is_saving && self.store.again_at.is_none() && !self.store.is_full;
        let may_tidy = !is_saving && self.store.again_at.is_none() && !self.store.lazy.is_empty();
        let times = [
            (self.next_form(), "linger"),
            (self.next_repeat(), "block not acknowledged"),
            (self.next_ack(), "acknowledgement"),
            (self.next_break(), "stream cannot be read"),
            (self.store.again_at.filter(|_| !is_saving), "save again"),
            (self.store.tidy_at.filter(|_| may_tidy), "tidy records"),
            (self.early_until().filter(|_| may_save), "save what was handed on"),
        ];
        times
            .into_iter()
            .filter_map(|(at, why)| Some(Wakeup { at: at?, why }))
            .fold(None, |earliest, wakeup| Wakeup::earlier(earliest, Some(wakeup)))
    }

    /// What finds no place is not waited for: the peer stops by itself at the end of its window, and what it confirms of
    /// ours comes behind it.
    pub(super) fn holds_back(&self) -> bool {
        !self.store.is_full && self.has_unsaved()
    }

    fn has_unsaved(&self) -> bool {
        !self.store.arrived.is_empty() || self.receivers.values().any(|receiver| receiver.changed)
    }

    pub(super) fn poll(&mut self) -> Option<SlowOutput> {
        self.outputs.pop_front()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

/// Never 0, which stands for no instance.
fn new_instance(random: &mut dyn Random) -> u32 {
    u32::try_from(random.below(u64::from(u32::MAX))).unwrap_or(0) + 1
}

/// The priority of a unit without stanzas.
fn of_context(context: u8) -> MtPriority {
    use crate::message::precedence::Precedence;
    if context & 1 == 1 { Precedence::Flash.mt_priority() } else { Precedence::Routine.mt_priority() }
}

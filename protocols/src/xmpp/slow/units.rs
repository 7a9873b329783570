//! The profile `units`: each stanza alone in a unit that needs no other, for peers that cannot answer (ACP 142).
//!
//! The carrier repeats, rebuilds and removes doubles; a unit is read with the dictionary that its digest fits, or not at
//! all. Ids cross as they are: there is no number to make short ones from.

use std::collections::{BTreeMap, VecDeque};

use super::block::{Unit, alone_digest};
use super::config::{Medium, SlowConfig};
use super::dictionary::Dictionaries;
use super::envelope::Envelopes;
use super::fault::SlowFault;
use super::limits::{BLOCK_CODED_OCTETS_MAX, BLOCK_TEXT_OCTETS_MAX, SAVE_AGAIN_AFTER};
use super::queue::{Queue, context_of};
use super::session::{Confirmation, Outgoing, SlowOutput};
use super::symbols::{self, Part};
use super::window::Window;
use crate::time::{Instant, Now, Wakeup};
use crate::xmpp::limits::ReaderLimits;
use crate::xmpp::{Item, Stanza, StreamReader};

/// The machine.
pub(super) struct Units {
    config: SlowConfig,
    dictionaries: Dictionaries,
    queue: Queue,
    medium: Option<Medium>,
    room_units: usize,
    room_octets: usize,
    in_flight: BTreeMap<u64, (u64, Outgoing)>,
    arrived: Vec<Stanza>,
    /// There is no place for what has arrived.
    is_full: bool,
    open: Option<(u64, Vec<Stanza>)>,
    saves: u64,
    again_at: Option<Instant>,
    outputs: VecDeque<SlowOutput>,
}

impl Units {
    pub(super) fn new(config: SlowConfig) -> Self {
        Self {
            dictionaries: Dictionaries::new(&config.names),
            config,
            queue: Queue::default(),
            medium: None,
            room_units: 0,
            room_octets: 0,
            in_flight: BTreeMap::new(),
            arrived: Vec::new(),
            is_full: false,
            open: None,
            saves: 0,
            again_at: None,
            outputs: VecDeque::new(),
        }
    }

    pub(super) fn submit(&mut self, now: Now, outgoing: Outgoing) {
        let number = outgoing.number;
        if self.in_flight.values().any(|(row, _)| *row == number) {
            return;
        }
        if let Err(why) = self.queue.push(now.mono, outgoing) {
            return self.outputs.push_back(SlowOutput::Refused { number, why });
        }
        self.emit(now);
    }

    pub(super) fn withdraw(&mut self, number: u64) -> bool {
        self.queue.remove(number).is_some()
    }

    pub(super) fn medium_up(&mut self, now: Now, medium: Medium) {
        self.medium = Some(medium);
        self.emit(now);
    }

    /// What was on the medium is submitted again to the next one.
    pub(super) fn medium_down(&mut self, now: Now) {
        self.medium = None;
        (self.room_units, self.room_octets) = (0, 0);
        for (_, (_, outgoing)) in std::mem::take(&mut self.in_flight) {
            let _ = self.queue.push(now.mono, outgoing);
        }
    }

    pub(super) fn set_room(&mut self, now: Now, units: usize, octets: usize) {
        (self.room_units, self.room_octets) = (units, octets);
        self.emit(now);
    }

    pub(super) fn unit_delivered(&mut self, now: Now, unit: u64) {
        if let Some((number, _)) = self.in_flight.remove(&unit) {
            self.outputs.push_back(SlowOutput::Done { number, how: Confirmation::PeerStored });
        }
        self.emit(now);
    }

    pub(super) fn unit_failed(&mut self, now: Now, unit: u64) {
        if let Some((_, outgoing)) = self.in_flight.remove(&unit) {
            let _ = self.queue.push(now.mono, outgoing);
        }
        self.emit(now);
    }

    fn emit(&mut self, now: Now) {
        let Some(medium) = self.medium else { return };
        while self.room_units > 0 && self.room_octets > 0 {
            let Some(number) = self.queue.iter().next().map(|waiting| waiting.outgoing.number) else { return };
            let Some((_, waiting)) = self.queue.remove(number) else { return };
            self.emit_one(now, medium, waiting.outgoing);
        }
    }

    fn emit_one(&mut self, _: Now, medium: Medium, outgoing: Outgoing) {
        let text = outgoing.stanza.octets();
        let limit = medium.unit_octets_max.min(BLOCK_TEXT_OCTETS_MAX).min(self.config.stanza_octets());
        let content = write(&self.dictionaries, &text);
        let number = outgoing.number;
        if content.len() > limit || text.len() > BLOCK_TEXT_OCTETS_MAX {
            let why = SlowFault::StanzaTooLarge { octets: text.len(), limit };
            return self.outputs.push_back(SlowOutput::Refused { number, why });
        }
        self.room_units -= 1;
        self.room_octets = self.room_octets.saturating_sub(content.len());
        // The same unit has the same number whatever happened in between: a carrier that remembers sends it once.
        let (unit, priority) = (number, outgoing.priority);
        let context = context_of(outgoing.label_context, priority, self.config.two_contexts).into();
        let (octets_raw, octets_sent) = (text.len(), content.len());
        self.in_flight.insert(unit, (number, outgoing));
        self.outputs.push_back(SlowOutput::Unit { unit, priority, context, content: content.into() });
        self.outputs.push_back(SlowOutput::Counted { stanzas: 1, octets_raw, octets_sent });
    }

    pub(super) fn arrived(&mut self, now: Now, octets: &[u8]) {
        match read(&self.dictionaries, octets) {
            Ok(stanza) => self.arrived.push(stanza),
            Err(fault) => {
                let detail = fault.to_string();
                self.outputs.push_back(SlowOutput::Notice { name: "chat-unit-dropped", alarm: false, detail });
            }
        }
        self.save(now);
    }

    fn save(&mut self, now: Now) {
        let waits = self.again_at.is_some_and(|at| at > now.mono);
        if self.open.is_some() || self.arrived.is_empty() || self.is_full || waits {
            return;
        }
        self.again_at = None;
        self.saves += 1;
        let arrived = std::mem::take(&mut self.arrived);
        self.open = Some((self.saves, arrived.clone()));
        self.outputs.push_back(SlowOutput::Save { save: self.saves, changes: Vec::new(), arrived });
    }

    pub(super) fn stored(&mut self, now: Now, save: u64) {
        if self.open.take_if(|(open, _)| *open == save).is_some() {
            self.save(now);
        }
    }

    pub(super) fn store_failed(&mut self, now: Now, save: u64) {
        if self.take_back(save) {
            self.again_at = Some(now.mono + SAVE_AGAIN_AFTER);
        }
    }

    pub(super) fn hold_back(&mut self, _: Now, save: u64) {
        self.is_full |= self.take_back(save);
    }

    pub(super) fn resume(&mut self, now: Now) {
        self.is_full = false;
        self.save(now);
    }

    /// Has everything of an open batch wait for the next one.
    fn take_back(&mut self, save: u64) -> bool {
        let Some((_, mut arrived)) = self.open.take_if(|(open, _)| *open == save) else { return false };
        arrived.append(&mut self.arrived);
        self.arrived = arrived;
        true
    }

    pub(super) fn handle_wakeup(&mut self, now: Now) {
        self.save(now);
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        self.again_at.filter(|_| self.open.is_none()).map(|at| Wakeup { at, why: "save again" })
    }

    pub(super) fn has_unsaved(&self) -> bool {
        !self.arrived.is_empty()
    }

    pub(super) fn poll(&mut self) -> Option<SlowOutput> {
        self.outputs.pop_front()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

//= xmpp/SLOW-020
pub(super) fn write(dictionaries: &Dictionaries, text: &[u8]) -> Vec<u8> {
    let dictionary = dictionaries.level(0);
    let content = symbols::encode(&mut Envelopes::default(), &[Part { text, begins: true, ends: true }]);
    let body = Window::new(&dictionary.octets).deflate(&content);
    Unit::Alone { level: 0, digest: alone_digest(0, dictionary.digest, text), body: &body }.octets()
}

/// The stanza of a unit.
pub(super) fn read(dictionaries: &Dictionaries, octets: &[u8]) -> Result<Stanza, SlowFault> {
    let Unit::Alone { level, digest, body } = Unit::read(octets)? else { return Err(SlowFault::Digest) };
    let dictionary = dictionaries.level(level.into());
    let content = Window::new(&dictionary.octets).inflate(body, BLOCK_CODED_OCTETS_MAX)?;
    let decoded = symbols::decode(&mut Envelopes::default(), &content, BLOCK_TEXT_OCTETS_MAX)?;
    if alone_digest(level, dictionary.digest, &decoded.text) != digest {
        return Err(SlowFault::Digest);
    }
    let broken = |why: String| SlowFault::Stanza { why };
    let mut reader = StreamReader::headless(ReaderLimits::HF);
    reader.read(&decoded.text);
    match reader.next() {
        Ok(Some(Item::Element(element))) => Stanza::from_element(element).map_err(|fault| broken(fault.to_string())),
        Ok(_) => Err(broken("it is not whole".to_owned())),
        Err(fault) => Err(broken(fault.to_string())),
    }
}

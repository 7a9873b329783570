//! The profile `units`: each stanza alone in a unit that needs no other, for peers that cannot answer (ACP 142).
//!
//! The carrier repeats, rebuilds and removes doubles; a unit is read with the dictionary that its digest fits, or not at
//! all. Ids cross as they are: there is no number to make short ones from. Promises, whatever crashes: a stanza that the
//! carrier may have is never given back, so that it goes by nothing else as well; a unit that the carrier offers again,
//! because it could not note that it was taken, is taken once. Not promised: order, as each unit is repeated by itself.
//!
//! | key | value |
//! |---|---|
//! | `G` row | the carrier has this stanza, or may have it |
//! | `T` place | a counter, and the carrier's name of a unit that was taken |
//!
//! All numbers are big-endian.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::block::{Unit, alone_digest};
use super::config::{Medium, SlowConfig};
use super::dictionary::Dictionaries;
use super::envelope::Envelopes;
use super::fault::SlowFault;
use super::limits::{BLOCK_CODED_OCTETS_MAX, BLOCK_TEXT_OCTETS_MAX, SAVE_AGAIN_AFTER, UNITS_TAKEN_KEPT};
use super::queue::{Queue, context_of};
use super::session::{Confirmation, Outgoing, SlowOutput};
use super::symbols::{self, Part};
use super::window::Window;
use crate::bytes::Bytes;
use crate::time::{Instant, Now, Wakeup};
use crate::xmpp::limits::ReaderLimits;
use crate::xmpp::{Item, Stanza, StreamReader};

const GIVEN: u8 = b'G';
const TAKEN: u8 = b'T';

/// A stanza that arrived, and the carrier's name of its unit, if it has one.
type Arrived = (Vec<u8>, Stanza);
/// Records that change.
type Changes = BTreeMap<Vec<u8>, Option<Bytes>>;

/// A batch on its way to the disk.
#[derive(Default)]
struct Batch {
    save: u64,
    arrived: Vec<Arrived>,
    changes: Changes,
    /// Stanzas whose records are in it.
    noted: BTreeSet<u64>,
}

/// The machine.
pub(super) struct Units {
    config: SlowConfig,
    dictionaries: Dictionaries,
    queue: Queue,
    medium: Option<Medium>,
    room_units: usize,
    room_octets: usize,
    /// Stanzas that the carrier has, or may have, by their records.
    given: BTreeSet<u64>,
    /// Those for which there is to be a record.
    noting: BTreeSet<u64>,
    in_flight: BTreeMap<u64, Outgoing>,
    arrived: Vec<Arrived>,
    /// Names of units that were taken lately, each with its counter.
    taken: VecDeque<(u64, Vec<u8>)>,
    /// There is no place for what has arrived.
    is_full: bool,
    changes: Changes,
    open: Option<Batch>,
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
            given: BTreeSet::new(),
            noting: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            arrived: Vec::new(),
            taken: VecDeque::new(),
            is_full: false,
            changes: Changes::new(),
            open: None,
            saves: 0,
            again_at: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes back the records of earlier runs; what is none of ours is passed over.
    pub(super) fn restore(&mut self, rows: Vec<(Vec<u8>, Bytes)>) {
        for (key, value) in rows {
            let number = |octets: &[u8]| octets.try_into().ok().map(u64::from_be_bytes);
            match key.split_first() {
                Some((&GIVEN, row)) => self.given.extend(number(row)),
                Some((&TAKEN, _)) => {
                    let counter = value.get(..8).and_then(number);
                    self.taken.extend(counter.map(|counter| (counter, value[8..].to_vec())));
                }
                Some(_) | None => {}
            }
        }
        self.taken.make_contiguous().sort_unstable();
    }

    /// Forgets records of stanzas that the gateway has no longer.
    pub(super) fn forget(&mut self, now: Now, is_gone: impl Fn(u64) -> bool) {
        let gone: Vec<u64> = self.given.iter().copied().filter(|&number| is_gone(number)).collect();
        gone.into_iter().for_each(|number| self.end(number));
        self.save(now);
    }

    pub(super) fn submit(&mut self, now: Now, outgoing: Outgoing) {
        let number = outgoing.number;
        if self.in_flight.contains_key(&number) {
            return;
        }
        if let Err(why) = self.queue.push(now.mono, outgoing) {
            return self.outputs.push_back(SlowOutput::Refused { number, why });
        }
        self.emit(now);
    }

    pub(super) fn withdraw(&mut self, number: u64) -> bool {
        !self.knows(number) && self.queue.remove(number).is_some()
    }

    /// Whether the carrier has a stanza, or may have it by now.
    pub(super) fn knows(&self, number: u64) -> bool {
        let in_batch = self.open.as_ref().is_some_and(|batch| batch.noted.contains(&number));
        in_batch || self.given.contains(&number) || self.noting.contains(&number)
    }

    pub(super) fn medium_up(&mut self, now: Now, medium: Medium) {
        self.medium = Some(medium);
        self.emit(now);
    }

    /// What was on the medium is submitted again to the next one.
    pub(super) fn medium_down(&mut self, now: Now) {
        self.medium = None;
        (self.room_units, self.room_octets) = (0, 0);
        for (_, outgoing) in std::mem::take(&mut self.in_flight) {
            let _ = self.queue.push(now.mono, outgoing);
        }
    }

    pub(super) fn set_room(&mut self, now: Now, units: usize, octets: usize) {
        (self.room_units, self.room_octets) = (units, octets);
        self.emit(now);
    }

    pub(super) fn unit_delivered(&mut self, now: Now, unit: u64) {
        if self.in_flight.remove(&unit).is_some() {
            self.end(unit);
            self.outputs.push_back(SlowOutput::Done { number: unit, how: Confirmation::PeerStored });
        }
        self.emit(now);
        self.save(now);
    }

    pub(super) fn unit_failed(&mut self, now: Now, unit: u64) {
        if let Some(outgoing) = self.in_flight.remove(&unit) {
            let _ = self.queue.push(now.mono, outgoing);
        }
        self.emit(now);
    }

    /// The carrier will not have a stanza any more: nor does a record say so.
    fn end(&mut self, number: u64) {
        if self.given.remove(&number) {
            self.changes.insert(given_key(number), None);
        }
    }

    /// Sends what the medium takes; first a record says that the carrier has it.
    //= xmpp/SLOW-032
    fn emit(&mut self, now: Now) {
        let Some(medium) = self.medium else { return };
        while self.room_units > 0 && self.room_octets > 0 {
            let first = self.queue.iter().next().map(|waiting| waiting.outgoing.number);
            let Some(number) = first.filter(|number| self.given.contains(number)) else { break };
            let Some((_, waiting)) = self.queue.remove(number) else { break };
            self.emit_one(medium, waiting.outgoing);
        }
        if self.room_octets > 0 {
            let next = self.queue.iter().take(self.room_units).map(|waiting| waiting.outgoing.number);
            let unknown: Vec<u64> = next.filter(|&number| !self.knows(number)).collect();
            self.noting.extend(unknown);
            self.save(now);
        }
    }

    fn emit_one(&mut self, medium: Medium, outgoing: Outgoing) {
        let text = outgoing.stanza.octets();
        let limit = medium.unit_octets_max.min(BLOCK_TEXT_OCTETS_MAX).min(self.config.stanza_octets());
        let content = write(&self.dictionaries, &text);
        let number = outgoing.number;
        if content.len() > limit || text.len() > BLOCK_TEXT_OCTETS_MAX {
            self.end(number);
            let why = SlowFault::StanzaTooLarge { octets: text.len(), limit };
            return self.outputs.push_back(SlowOutput::Refused { number, why });
        }
        self.room_units -= 1;
        self.room_octets = self.room_octets.saturating_sub(content.len());
        // The same unit has the same number whatever happened in between: a carrier that remembers sends it once.
        let (unit, priority) = (number, outgoing.priority);
        let context = context_of(outgoing.label_context, priority, self.config.two_contexts).into();
        let (octets_raw, octets_sent) = (text.len(), content.len());
        self.in_flight.insert(unit, outgoing);
        self.outputs.push_back(SlowOutput::Unit { unit, priority, context, content: content.into() });
        self.outputs.push_back(SlowOutput::Counted { stanzas: 1, octets_raw, octets_sent });
    }

    /// A unit, under the name that the carrier has for it over restarts, or none.
    pub(super) fn arrived(&mut self, now: Now, name: &[u8], octets: &[u8]) {
        //= xmpp/SLOW-033
        if !name.is_empty() && self.taken.iter().any(|(_, taken)| taken == name) {
            return;
        }
        match read(&self.dictionaries, octets) {
            Ok(stanza) => self.arrived.push((name.to_vec(), stanza)),
            Err(fault) => {
                let detail = fault.to_string();
                self.outputs.push_back(SlowOutput::Notice { name: "chat-unit-dropped", alarm: false, detail });
            }
        }
        self.save(now);
    }

    fn save(&mut self, now: Now) {
        if self.open.is_some() || self.again_at.is_some_and(|at| at > now.mono) {
            return;
        }
        let arrived = if self.is_full { Vec::new() } else { std::mem::take(&mut self.arrived) };
        if arrived.is_empty() && self.noting.is_empty() && self.changes.is_empty() {
            return;
        }
        self.again_at = None;
        self.saves += 1;
        let mut changes = std::mem::take(&mut self.changes);
        let noted = std::mem::take(&mut self.noting);
        changes.extend(noted.iter().map(|&number| (given_key(number), Some(Bytes::new()))));
        let mut counter = self.taken.back().map_or(0, |(counter, _)| *counter);
        for (name, _) in arrived.iter().filter(|(name, _)| !name.is_empty()) {
            counter += 1;
            changes.insert(taken_key(counter), Some([&counter.to_be_bytes(), name.as_slice()].concat().into()));
        }
        let stanzas = arrived.iter().map(|(_, stanza)| stanza.clone()).collect();
        let rows = changes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        self.open = Some(Batch { save: self.saves, arrived, changes, noted });
        self.outputs.push_back(SlowOutput::Save { save: self.saves, changes: rows, arrived: stanzas });
    }

    pub(super) fn stored(&mut self, now: Now, save: u64) {
        let Some(batch) = self.open.take_if(|open| open.save == save) else { return };
        for (name, _) in batch.arrived.into_iter().filter(|(name, _)| !name.is_empty()) {
            let counter = self.taken.back().map_or(0, |(counter, _)| *counter) + 1;
            self.taken.push_back((counter, name));
        }
        while self.taken.len() > UNITS_TAKEN_KEPT {
            self.taken.pop_front();
        }
        self.given.extend(batch.noted);
        self.emit(now);
        self.save(now);
    }

    pub(super) fn store_failed(&mut self, now: Now, save: u64) {
        if self.take_back(save) {
            self.again_at = Some(now.mono + SAVE_AGAIN_AFTER);
        }
    }

    pub(super) fn hold_back(&mut self, now: Now, save: u64) {
        self.is_full |= self.take_back(save);
        self.save(now);
    }

    pub(super) fn resume(&mut self, now: Now) {
        self.is_full = false;
        self.save(now);
    }

    /// Has everything of an open batch wait for the next one.
    fn take_back(&mut self, save: u64) -> bool {
        let Some(mut batch) = self.open.take_if(|open| open.save == save) else { return false };
        batch.arrived.append(&mut self.arrived);
        self.arrived = batch.arrived;
        // What was noted and taken is noted anew; what has been forgotten stays so.
        batch.changes.retain(|_, value| value.is_none());
        batch.changes.append(&mut self.changes);
        self.changes = batch.changes;
        self.noting.append(&mut batch.noted);
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

fn given_key(number: u64) -> Vec<u8> {
    [&[GIVEN][..], &number.to_be_bytes()].concat()
}

/// Names of units take turns in so many places.
fn taken_key(counter: u64) -> Vec<u8> {
    let place = u16::try_from(counter % UNITS_TAKEN_KEPT as u64).unwrap_or_default();
    [&[TAKEN][..], &place.to_be_bytes()].concat()
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

#[cfg(test)]
mod tests {
    use super::super::config::Profile;
    use super::*;
    use crate::message::precedence::Precedence;

    const MEDIUM: Medium = Medium { boundaries: true, unit_octets_max: 2_034, bits_per_second: 1_200 };

    fn machine() -> Units {
        Units::new(SlowConfig::new(Profile::Units))
    }

    fn stanza() -> Stanza {
        Stanza::parse(b"<message from='a@hq.test' to='b@field.test' id='1'><body>x</body></message>").unwrap()
    }

    fn outgoing(number: u64) -> Outgoing {
        let priority = Precedence::Routine.mt_priority();
        Outgoing { number, priority, label_context: 0, since: Now::default().wall, stanza: stanza() }
    }

    /// Plays the disk, which keeps `rows`; units that leave.
    fn play(units: &mut Units, rows: &mut BTreeMap<Vec<u8>, Bytes>, works: bool) -> (Vec<u64>, usize) {
        let (mut left, mut arrived) = (Vec::new(), 0);
        while let Some(output) = units.poll() {
            match output {
                SlowOutput::Unit { unit, .. } => left.push(unit),
                SlowOutput::Save { save, .. } if !works => units.store_failed(Now::default(), save),
                SlowOutput::Save { save, changes, arrived: stanzas } => {
                    for (key, value) in changes {
                        match value {
                            Some(value) => rows.insert(key, value),
                            None => rows.remove(&key),
                        };
                    }
                    arrived += stanzas.len();
                    units.stored(Now::default(), save);
                }
                _other => {}
            }
        }
        (left, arrived)
    }

    fn restarted(rows: &BTreeMap<Vec<u8>, Bytes>) -> Units {
        let mut units = machine();
        units.restore(rows.clone().into_iter().collect());
        units
    }

    //= xmpp/SLOW-032
    #[test]
    fn what_the_carrier_may_have_is_not_given_back_whatever_crashes() {
        let (now, mut rows, mut units) = (Now::default(), BTreeMap::new(), machine());
        units.medium_up(now, MEDIUM);
        units.submit(now, outgoing(1));
        assert!(units.withdraw(1), "no room, no unit");
        (1..=2).for_each(|number| units.submit(now, outgoing(number)));
        units.set_room(now, 1, 1000);
        assert_eq!(play(&mut units, &mut rows, false), (vec![], 0), "its record is not on the disk");
        units.handle_wakeup(now.after(SAVE_AGAIN_AFTER));
        assert_eq!(play(&mut units, &mut rows, true), (vec![1], 0));
        units.medium_down(now);
        assert!(!units.withdraw(1) && units.withdraw(2), "the carrier has it still");
        let mut units = restarted(&rows);
        (1..=2).for_each(|number| units.submit(now, outgoing(number)));
        assert!(units.knows(1) && !units.withdraw(1) && units.withdraw(2), "over a restart too");
        units.medium_up(now, MEDIUM);
        units.set_room(now, 1, 1000);
        assert_eq!(play(&mut units, &mut rows, true), (vec![1], 0), "the carrier knows the number");
        units.unit_delivered(now, 1);
        play(&mut units, &mut rows, true);
        assert!(rows.is_empty() && !units.knows(1));
    }

    #[test]
    fn records_of_what_is_gone_are_forgotten() {
        let (now, mut rows, mut units) = (Now::default(), BTreeMap::new(), machine());
        units.medium_up(now, MEDIUM);
        units.set_room(now, 9, 1000);
        (1..=2).for_each(|number| units.submit(now, outgoing(number)));
        assert_eq!(play(&mut units, &mut rows, true), (vec![1, 2], 0));
        let mut units = restarted(&rows);
        units.forget(now, |number| number == 1);
        play(&mut units, &mut rows, true);
        assert_eq!((rows.len(), units.knows(1), units.knows(2)), (1, false, true));
    }

    //= xmpp/SLOW-033
    #[test]
    fn a_unit_that_is_offered_again_is_taken_once() {
        let (now, mut rows, mut units) = (Now::default(), BTreeMap::new(), machine());
        let unit = write(&units.dictionaries, &stanza().octets());
        units.arrived(now, b"one", &unit);
        assert_eq!(play(&mut units, &mut rows, false), (vec![], 0));
        let mut units = restarted(&rows);
        for (name, taken) in [("one", 1), ("one", 0), ("two", 1), ("", 1), ("", 1)] {
            units.arrived(now, name.as_bytes(), &unit);
            assert_eq!(play(&mut units, &mut rows, true), (vec![], taken), "{name}");
            units = restarted(&rows);
        }
        for number in 0..2 * UNITS_TAKEN_KEPT {
            units.arrived(now, number.to_string().as_bytes(), &unit);
            play(&mut units, &mut rows, true);
        }
        assert_eq!((rows.len(), units.taken.len()), (UNITS_TAKEN_KEPT, UNITS_TAKEN_KEPT));
        units = restarted(&rows);
        units.arrived(now, (2 * UNITS_TAKEN_KEPT - 1).to_string().as_bytes(), &unit);
        assert_eq!(play(&mut units, &mut rows, true), (vec![], 0));
    }

    #[test]
    fn what_finds_no_place_holds_up_nothing_else() {
        let (now, mut rows, mut units) = (Now::default(), BTreeMap::new(), machine());
        let unit = write(&units.dictionaries, &stanza().octets());
        units.medium_up(now, MEDIUM);
        units.set_room(now, 9, 1000);
        units.arrived(now, b"one", &unit);
        units.submit(now, outgoing(1));
        let Some(SlowOutput::Save { save, .. }) = units.poll() else { panic!() };
        units.hold_back(now, save);
        assert_eq!(play(&mut units, &mut rows, true), (vec![1], 0));
        assert!(units.has_unsaved());
        units.resume(now);
        assert_eq!(play(&mut units, &mut rows, true), (vec![], 1));
    }
}

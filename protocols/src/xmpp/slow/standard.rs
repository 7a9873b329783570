//! The profiles `standard` and `m-link-r17`: XEP-0361 on TCP, XEP-0365 0.2.1 on RCOP.
//!
//! Nothing but stanzas crosses, as if the stream had been agreed on: in one zlib stream for each direction where both ends
//! configure it, with stream management (XEP-0198) where both do (never on RCOP). A unit holds one stanza or several; a
//! reader takes parts too. A stanza counts as with the peer when its stream management says so, else when the medium does:
//! that is not the peer's disk. After a lost stream what is not confirmed is sent again, so a stanza may arrive twice.
//! One bad stanza is dropped and counted; a stream that cannot be read any longer begins anew (TCP: the connection does).
//! What a transport altered without noticing is found by its checksums or not at all, as these profiles have no digest.

mod management;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use self::management::{Counted, Counts};
use super::config::{Management, Medium, SlowConfig};
use super::dictionary;
use super::fault::SlowFault;
use super::limits::{BLOCK_STANZAS_MAX, LINGER_STANZAS_MAX, SAVE_AGAIN_AFTER};
use super::queue::{Queue, Rank, Waiting};
use super::session::{Confirmation, Outgoing, SlowOutput};
use super::zlib::{Deflater, Inflater};
use crate::message::precedence::{MtPriority, Precedence};
use crate::time::{Instant, Now, Wakeup};
use crate::xmpp::limits::ReaderLimits;
use crate::xmpp::writer::STREAM_END;
use crate::xmpp::{Stanza, StreamReader};

/// A stanza that was taken from the queue, and its place there.
type Taken = (Rank, Waiting);

/// What arrived and is to be read, in its order.
#[derive(Debug)]
enum Incoming {
    /// A unit, or a slice of a stream.
    Octets(Vec<u8>),
    /// Here a new stream begins.
    Anew,
}

/// The machine.
pub(super) struct Standard {
    config: SlowConfig,
    dictionary: Option<Vec<u8>>,
    queue: Queue,
    medium: Option<Medium>,
    room_units: usize,
    room_octets: usize,
    units: u64,
    /// Stanzas in each unit on the medium.
    in_flight: BTreeMap<u64, Vec<Taken>>,
    deflater: Option<Deflater>,
    inflater: Option<Inflater>,
    reader: StreamReader,
    incoming: VecDeque<Incoming>,
    /// Octets in it.
    held: usize,
    /// Streams that have begun since the one being read.
    past: usize,
    /// Whether the running stream cannot be read: only a new one can.
    is_lost: bool,
    /// Whether the peer is to be told so, by the end of our stream.
    end_wanted: bool,
    /// The unit with the end of our stream, after which nothing is said on this connection.
    last: Option<u64>,
    counts: Counts,
    arrived: Vec<Stanza>,
    /// There is no place for what has arrived.
    is_full: bool,
    open: Option<(u64, Vec<Stanza>, u32)>,
    saves: u64,
    again_at: Option<Instant>,
    outputs: VecDeque<SlowOutput>,
}

impl Standard {
    pub(super) fn new(config: SlowConfig) -> Self {
        let dictionary = (config.compress && config.dictionary).then(|| dictionary::plain(&config.names));
        let mut session = Self {
            counts: Counts::default(),
            dictionary,
            queue: Queue::default(),
            medium: None,
            room_units: 0,
            room_octets: 0,
            units: 0,
            in_flight: BTreeMap::new(),
            deflater: None,
            inflater: None,
            reader: StreamReader::headless(ReaderLimits::HF),
            incoming: VecDeque::new(),
            held: 0,
            past: 0,
            is_lost: false,
            end_wanted: false,
            last: None,
            arrived: Vec::new(),
            is_full: false,
            open: None,
            saves: 0,
            again_at: None,
            outputs: VecDeque::new(),
            config,
        };
        session.begin_sending();
        session.begin_reading();
        session
    }

    fn begin_sending(&mut self) {
        self.deflater = self.config.compress.then(|| Deflater::new(self.dictionary.as_deref()));
    }

    fn begin_reading(&mut self) {
        self.inflater = self.config.compress.then(|| Inflater::new(self.dictionary.as_deref()));
        self.reader = StreamReader::headless(ReaderLimits::HF);
        self.is_lost = false;
    }

    /// Stream management is for TCP only.
    //= xmpp/LINK-020
    fn manages(&self) -> bool {
        self.config.management != Management::Off && self.medium.is_some_and(|medium| !medium.boundaries)
    }

    pub(super) fn submit(&mut self, now: Now, outgoing: Outgoing) {
        let number = outgoing.number;
        let on_the_way = self.in_flight.values().flatten().any(|(_, waiting)| waiting.outgoing.number == number);
        if on_the_way || self.counts.knows(number) {
            return;
        }
        if let Err(why) = self.queue.push(now.mono, outgoing) {
            return self.outputs.push_back(SlowOutput::Refused { number, why });
        }
        self.work(now);
    }

    pub(super) fn withdraw(&mut self, number: u64) -> bool {
        self.queue.remove(number).is_some()
    }

    /// A new connection, or a new binding: nothing of the earlier stream is left at either end.
    //= xmpp/LINK-013
    pub(super) fn medium_up(&mut self, now: Now, medium: Medium) {
        self.return_unconfirmed();
        self.medium = Some(medium);
        self.begin_sending();
        self.incoming.push_back(Incoming::Anew);
        self.past += 1;
        let enable = self.config.management == Management::Explicit;
        self.counts = Counts::new(now.mono, enable && !medium.boundaries);
        // What is being saved belongs to the stream before.
        if let Some((_, _, counted)) = &mut self.open {
            *counted = 0;
        }
        self.end_wanted = false;
        self.last = None;
        self.work(now);
    }

    pub(super) fn medium_down(&mut self, _: Now) {
        self.return_unconfirmed();
        self.last = None;
        self.medium = None;
        (self.room_units, self.room_octets) = (0, 0);
    }

    /// What is not confirmed goes back to its place.
    fn return_unconfirmed(&mut self) {
        let unconfirmed = std::mem::take(&mut self.in_flight).into_values().flatten();
        let uncounted = self.counts.take_all();
        unconfirmed.chain(uncounted).for_each(|(rank, waiting)| self.queue.put_back(rank, waiting));
    }

    pub(super) fn set_room(&mut self, now: Now, units: usize, octets: usize) {
        (self.room_units, self.room_octets) = (units, octets);
        self.work(now);
    }

    pub(super) fn unit_delivered(&mut self, now: Now, unit: u64) {
        let stanzas = self.in_flight.remove(&unit).unwrap_or_default();
        let has_boundaries = self.medium.is_some_and(|medium| medium.boundaries);
        let how = if has_boundaries { Confirmation::NodeConfirmed } else { Confirmation::Written };
        for (_, waiting) in stanzas {
            self.outputs.push_back(SlowOutput::Done { number: waiting.outgoing.number, how });
        }
        if self.last == Some(unit) {
            // The peer has all of it: the connection is of no more use.
            self.last = Some(0);
            self.outputs.push_back(SlowOutput::Restart);
        }
        self.work(now);
    }

    /// A unit is lost: where it was part of a zlib stream, so is all that followed it.
    //= xmpp/LINK-014
    pub(super) fn unit_failed(&mut self, now: Now, unit: u64) {
        if self.last == Some(unit) {
            self.last = Some(0);
        }
        let lost = if self.deflater.is_some() {
            self.begin_sending();
            self.in_flight.split_off(&unit)
        } else {
            self.in_flight.remove(&unit).map(|stanzas| (unit, stanzas)).into_iter().collect()
        };
        lost.into_values().flatten().for_each(|(rank, waiting)| self.queue.put_back(rank, waiting));
        self.work(now);
    }

    fn work(&mut self, now: Now) {
        self.read_on();
        self.save(now);
        self.read_on();
        while self.may_speak() && self.emit(now) {}
    }

    const fn may_speak(&self) -> bool {
        self.medium.is_some() && self.last.is_none() && self.room_units > 0 && self.room_octets > 0
    }

    /// Ends the stream of a connection in good order: the last count, so that nothing stored comes again, the fault if
    /// there is one, and the end. The connection goes once that is written.
    //= xmpp/LINK-022
    pub(super) fn close(&mut self, error: Option<&'static str>) {
        let is_stream = self.medium.is_some_and(|medium| !medium.boundaries);
        if !is_stream || self.last.is_some() {
            return;
        }
        let mut text = Vec::new();
        if self.manages() {
            self.counts.write_last(&mut text);
        }
        if let Some(condition) = error {
            let namespace = "urn:ietf:params:xml:ns:xmpp-streams";
            let fault = format!("<stream:error><{condition} xmlns='{namespace}'/></stream:error>");
            text.extend_from_slice(fault.as_bytes());
        }
        text.extend_from_slice(STREAM_END);
        self.emit_unit(&text, Vec::new());
        self.last = Some(self.units);
    }

    /// Whether the end of the stream is on its way out.
    pub(super) fn is_closing(&self) -> bool {
        self.last.is_some_and(|unit| unit > 0)
    }

    /// The connection cannot go on: its peer is told why, and it begins anew.
    //= xmpp/LINK-023
    pub(super) fn restart(&mut self, condition: &'static str) {
        self.close(Some(condition));
        self.outputs.push_back(SlowOutput::Restart);
    }

    /// Lets one unit leave, if there is something to say; false if not.
    fn emit(&mut self, now: Now) -> bool {
        let Some(medium) = self.medium else { return false };
        let mut text = Vec::new();
        if self.manages() {
            let is_settled = self.open.is_none() && self.arrived.is_empty();
            self.counts.write_front(is_settled, &mut text);
        }
        let mut taken = Vec::new();
        if self.form_at().is_some_and(|at| at <= now.mono) {
            self.take_stanzas(medium, &mut text, &mut taken);
        }
        if self.manages() {
            let due = (self.config.request_stanzas, self.config.request_after);
            let sent = taken.drain(..);
            self.counts.write_back(now.mono, due, sent, &mut text);
        }
        let ends = std::mem::take(&mut self.end_wanted);
        if ends {
            text.extend_from_slice(STREAM_END);
        }
        if text.is_empty() {
            return false;
        }
        self.emit_unit(&text, taken);
        if ends {
            self.begin_sending();
        }
        true
    }

    fn emit_unit(&mut self, text: &[u8], taken: Vec<Taken>) {
        let content = match &mut self.deflater {
            Some(deflater) => deflater.write(text),
            None => text.to_vec(),
        };
        self.units += 1;
        self.room_units = self.room_units.saturating_sub(1);
        self.room_octets = self.room_octets.saturating_sub(content.len());
        let highest = taken.iter().map(|(_, waiting)| waiting.outgoing.priority).max();
        let priority: MtPriority = highest.unwrap_or(Precedence::Routine.mt_priority());
        let (stanzas, octets_raw, octets_sent) = (taken.len(), text.len(), content.len());
        let unit = self.units;
        self.in_flight.insert(unit, taken);
        self.outputs.push_back(SlowOutput::Unit { unit, priority, context: 0, content: content.into() });
        self.outputs.push_back(SlowOutput::Counted { stanzas, octets_raw, octets_sent });
    }

    /// When the next unit is formed, if only time is missing.
    fn form_at(&self) -> Option<Instant> {
        let medium = self.medium.filter(|_| self.may_speak())?;
        let first = self.queue.iter().next()?;
        let is_urgent = first.outgoing.priority.precedence() >= Precedence::Immediate;
        if is_urgent || !self.in_flight.is_empty() || self.queue.len() > LINGER_STANZAS_MAX {
            return Some(Instant::ZERO);
        }
        self.queue.iter().map(|waiting| waiting.since + self.config.linger_on(medium, waiting.is_written)).min()
    }

    //= xmpp/LINK-015
    fn take_stanzas(&mut self, medium: Medium, text: &mut Vec<u8>, taken: &mut Vec<Taken>) {
        let alone = self.config.one_stanza_per_unit && medium.boundaries;
        let most = if alone { 1 } else { BLOCK_STANZAS_MAX };
        let limit = self.config.block_octets(medium);
        let largest = medium.unit_octets_max.saturating_sub(64).min(self.config.stanza_octets());
        let rows: Vec<u64> = self.queue.iter().take(most).map(|waiting| waiting.outgoing.number).collect();
        for row in rows {
            let Some((rank, waiting)) = self.queue.remove(row) else { continue };
            let octets = waiting.outgoing.stanza.octets();
            if octets.len() > largest {
                let why = SlowFault::StanzaTooLarge { octets: octets.len(), limit: largest };
                self.outputs.push_back(SlowOutput::Refused { number: row, why });
            } else if taken.is_empty() || text.len() + octets.len() <= limit {
                text.extend_from_slice(&octets);
                taken.push((rank, waiting));
            } else {
                return self.queue.put_back(rank, waiting);
            }
        }
    }

    fn save(&mut self, now: Now) {
        let waits = self.again_at.is_some_and(|at| at > now.mono);
        if self.open.is_some() || waits || self.is_full {
            return;
        }
        if self.arrived.is_empty() {
            // Dropped stanzas count too, as soon as nothing before them waits for the disk.
            let dropped = self.counts.take_read();
            return self.counts.stored(dropped);
        }
        self.again_at = None;
        self.saves += 1;
        let arrived = std::mem::take(&mut self.arrived);
        self.open = Some((self.saves, arrived.clone(), self.counts.take_read()));
        self.outputs.push_back(SlowOutput::Save { save: self.saves, changes: Vec::new(), arrived });
    }

    pub(super) fn stored(&mut self, now: Now, save: u64) {
        if let Some((_, _, counted)) = self.open.take_if(|(open, _, _)| *open == save) {
            self.counts.stored(counted);
            self.work(now);
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
        self.work(now);
    }

    /// Has everything of an open batch wait for the next one.
    fn take_back(&mut self, save: u64) -> bool {
        let Some((_, mut arrived, counted)) = self.open.take_if(|(open, _, _)| *open == save) else { return false };
        arrived.append(&mut self.arrived);
        self.arrived = arrived;
        self.counts.give_read(counted);
        true
    }

    pub(super) fn handle_wakeup(&mut self, now: Now) {
        self.work(now);
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        let has_room = self.may_speak();
        let request = self.counts.request_at(self.config.request_after).filter(|_| has_room && self.manages());
        let again = self.again_at.filter(|_| self.open.is_none());
        [(self.form_at(), "linger"), (request, "stream management"), (again, "save again")]
            .into_iter()
            .filter_map(|(at, why)| Some(Wakeup { at: at?, why }))
            .fold(None, |earliest, wakeup| Wakeup::earlier(earliest, Some(wakeup)))
    }

    fn notice(&mut self, name: &'static str, alarm: bool, detail: String) {
        self.outputs.push_back(SlowOutput::Notice { name, alarm, detail });
    }

    fn on_counted(&mut self, counted: Counted) {
        match counted {
            Counted::Done(stanzas) => {
                for (_, waiting) in stanzas {
                    let number = waiting.outgoing.number;
                    self.outputs.push_back(SlowOutput::Done { number, how: Confirmation::PeerStored });
                }
            }
            Counted::TooHigh { count, sent } => {
                self.notice("chat-count-too-high", true, format!("the peer counted {count}, {sent} were sent"));
                self.restart("undefined-condition");
            }
        }
    }

    pub(super) fn has_unsaved(&self) -> bool {
        !self.arrived.is_empty() || self.held > 0
    }

    pub(super) fn poll(&mut self) -> Option<SlowOutput> {
        self.outputs.pop_front()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

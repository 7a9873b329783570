//! Units from the peer.
//!
//! On a stream nothing is lost while it lasts, so what cannot be read there was not cut where the peer cut it, and may
//! never be again: the stream begins anew, at once the first time, then after longer and longer waits.

use super::super::block::{Request, Stored, Unit, ack_digest};
use super::super::config::Medium;
use super::super::dictionary::LEVELS;
use super::super::fault::SlowFault;
use super::super::limits::{
    ACK_AGAIN_DELAY, ARRIVED_STANZAS_MAX, ASK_AFTER, BREAK_AGAIN_AFTER, BREAK_DOUBLINGS_MAX, HELD_OCTETS_MAX,
    READ_AHEAD_STANZAS, STREAM_PIECE_OCTETS, STREAM_PIECE_WAIT, UNTOLD_STANZAS_MAX,
};
use super::super::receiver::{Start, Turn, Yield};
use super::super::session::SlowOutput;
use super::super::stream_frame::{self, Cut};
use super::{Incoming, Skywave};
use crate::time::{Duration, Instant, Now};
use crate::xmpp::Stanza;
use crate::xmpp::fate::Meaning;

impl Skywave {
    pub(in super::super) fn arrived(&mut self, now: Now, octets: &[u8]) {
        self.heard_at = Some(now.mono);
        match self.medium {
            Some(medium) if !medium.boundaries => self.on_stream(now, octets),
            Some(_) | None => _ = self.on_unit(now, octets),
        }
        self.work(now);
    }

    fn on_stream(&mut self, now: Now, octets: &[u8]) {
        self.stream.octets.extend_from_slice(octets);
        self.stream.heard_at = Some(now.mono);
        self.read_stream(now);
        if self.stream.octets.len() > HELD_OCTETS_MAX {
            self.break_stream(now, "the transport does not hold back");
        }
    }

    /// Reads on, unless so much waits for the disk that the peer is to be held back.
    //= xmpp/SLOW-023
    pub(super) fn read_stream(&mut self, now: Now) {
        while !self.is_read_ahead() {
            match stream_frame::cut(&mut self.stream.octets) {
                Cut::Unit(unit) => match self.on_unit(now, &unit) {
                    // Its blocks come again, or what it lacks is asked for.
                    Ok(()) | Err(SlowFault::NoEpoch { .. } | SlowFault::Dictionary { .. } | SlowFault::Full { .. }) => {
                    }
                    Err(_) => self.stream.misread(now.mono, "a unit that cannot be read"),
                },
                Cut::More => return,
                Cut::Broken => {
                    self.stream.octets.clear();
                    return self.stream.misread(now.mono, "no unit where one should begin");
                }
            }
        }
    }

    /// Whether so much waits for the disk that a stream is read no further. What waits for a place is not meant: what
    /// the peer confirms comes behind it.
    const fn is_read_ahead(&self) -> bool {
        !self.store.is_full && self.store.arrived.len() >= READ_AHEAD_STANZAS
    }

    /// Has a stream begin anew that cannot be read, or whose unit does not go on.
    //= xmpp/SLOW-022
    pub(super) fn mind_stream(&mut self, now: Now) {
        if self.next_part().is_some_and(|at| at <= now.mono) {
            self.stream.misread(now.mono, "a unit that does not end");
        }
        if let Some((_, why)) = self.stream.break_at.filter(|(at, _)| *at <= now.mono) {
            self.break_stream(now, why);
        }
    }

    /// When the stream begins anew, if nothing comes.
    pub(super) fn next_break(&self) -> Option<Instant> {
        self.medium?;
        let at = self.stream.break_at.map(|(at, _)| at);
        if at.is_some() { at } else { self.next_part() }
    }

    /// Until when more must come of a unit that is not whole.
    fn next_part(&self) -> Option<Instant> {
        let medium = self.medium?;
        if self.stream.octets.is_empty() || self.stream.break_at.is_some() || self.is_read_ahead() {
            return None;
        }
        let micros = STREAM_PIECE_OCTETS * 8 * 1_000_000 / u64::from(medium.bits_per_second.max(1));
        let piece = Duration::from_micros(micros);
        self.stream.heard_at.map(|at| at + STREAM_PIECE_WAIT + piece)
    }

    /// Has the stream begin anew: one that is not cut where the peer cuts it may never come right by itself.
    pub(super) fn break_stream(&mut self, now: Now, why: &str) {
        self.stream.begin();
        self.stream.broken_at = Some(now.mono);
        self.stream.breaks += 1;
        self.notice("chat-stream-broken", false, why.to_owned());
        self.outputs.push_back(SlowOutput::Restart);
    }

    fn on_unit(&mut self, now: Now, octets: &[u8]) -> Result<(), SlowFault> {
        let read = self.read_unit(now, octets);
        if let Err(fault) = &read {
            self.notice("chat-unit-dropped", false, fault.to_string());
        }
        read
    }

    fn read_unit(&mut self, now: Now, octets: &[u8]) -> Result<(), SlowFault> {
        if self.store.arrived.len() > ARRIVED_STANZAS_MAX {
            // Not acknowledged, so it comes again.
            return Err(SlowFault::Full { waiting: self.store.arrived.len() });
        }
        match Unit::read(octets)? {
            unit @ (Unit::Data { .. } | Unit::Far { .. }) => self.on_data(now, &unit, octets),
            unit @ Unit::Start { .. } => self.on_start(now, &unit),
            Unit::Request(request) => {
                self.on_request(now, &request);
                Ok(())
            }
            Unit::Ack { context, next_low, digest } => self.on_ack(now, context, next_low, digest),
            Unit::Alone { .. } => Err(SlowFault::Digest),
        }
    }

    fn on_data(&mut self, now: Now, unit: &Unit<'_>, octets: &[u8]) -> Result<(), SlowFault> {
        let (context, number_low, digest, is_far) = match *unit {
            Unit::Data { context, number_low, digest, .. } => (context, number_low, digest, false),
            Unit::Far { context, number_low, digest, .. } => (context, number_low, digest, true),
            Unit::Start { .. } | Unit::Request(_) | Unit::Ack { .. } | Unit::Alone { .. } => return Ok(()),
        };
        let turn = self.receivers.get(&context).map_or(Turn::NoEpoch, |receiver| receiver.turn(number_low, is_far));
        match turn {
            Turn::NoEpoch => {
                self.ask(now, context, digest, false);
                Err(SlowFault::NoEpoch { context })
            }
            Turn::Early(number) => {
                self.receiver(context).keep(number, octets);
                // On a stream hardly anything comes before its turn: what is missing may have left in an earlier epoch and
                // not come again, as it was acknowledged.
                //= xmpp/SLOW-025
                if self.medium.is_some_and(|medium| !medium.boundaries) {
                    self.ask(now, context, digest, false);
                }
                Ok(())
            }
            Turn::Old => {
                self.ack_again(now, context);
                Ok(())
            }
            Turn::Now => {
                let read = self.read_data(now, unit);
                if read.is_err() {
                    // Altered, or of an epoch whose beginning was lost: the peer answers only if it sent this digest.
                    self.ask(now, context, digest, false);
                }
                read?;
                while let Some(octets) = self.receiver(context).take_early() {
                    let unit = Unit::read(&octets)?;
                    self.read_data(now, &unit)?;
                }
                Ok(())
            }
        }
    }

    fn read_data(&mut self, now: Now, unit: &Unit<'_>) -> Result<(), SlowFault> {
        let (Unit::Data { context, ack_low, .. } | Unit::Far { context, ack_low, .. }) = *unit else { return Ok(()) };
        let instance = self.instance;
        let meanings = self.sender(context).meanings(ack_low);
        let mut acks: Vec<Option<Stored>> = meanings.map(|next| Some(Stored { instance, next })).collect();
        if ack_low == 0 {
            acks.push(None);
        }
        let Some(receiver) = self.receivers.get_mut(&context) else { return Ok(()) };
        let found = receiver.read(unit, &acks, &self.ids)?;
        receiver.unit_octets = unit.octets().len();
        self.muted.remove(&context);
        self.take(now, context, found);
        Ok(())
    }

    fn on_start(&mut self, now: Now, unit: &Unit<'_>) -> Result<(), SlowFault> {
        let Unit::Start { context, epoch, instance, number, dictionary, digest, .. } = *unit else { return Ok(()) };
        let start = Start { epoch, instance, number };
        if self.receivers.get(&context).is_some_and(|receiver| !receiver.is_newer(&start)) {
            self.ack_again(now, context);
            return Ok(());
        }
        let Some(known) = self.dictionaries.find(dictionary).cloned() else {
            self.ask(now, context, digest, true);
            return Err(SlowFault::Dictionary { digest: dictionary });
        };
        let mut ids = self.ids.clone();
        ids.set_peer(instance);
        let mut receiver = self.receivers.get(&context).cloned().unwrap_or_else(|| super::Receiver::new(context, None));
        let found = receiver.begin(start, &known, unit, &ids)?;
        self.receivers.insert(context, receiver);
        self.ids.set_peer(instance);
        self.muted.remove(&context);
        self.asked.remove(&context);
        self.take(now, context, found);
        Ok(())
    }

    /// Takes what a block yielded.
    fn take(&mut self, now: Now, context: u8, found: Yield) {
        for fault in found.faults {
            self.notice("chat-stanza-dropped", true, fault.to_string());
        }
        self.stream.is_read();
        self.receiver(context).untold_stanzas += found.stanzas.len();
        self.hand_on(now, found.stanzas);
        if let Some(ack) = found.ack {
            self.acknowledged(now, context, ack.next);
        }
        if !self.receiver(context).changed {
            // It was stored before: the peer has not heard of it.
            self.ack_again(now, context);
        }
    }

    /// What may come twice does not wait for the disk, unless something before it does.
    //= xmpp/SLOW-021
    fn hand_on(&mut self, now: Now, mut stanzas: Vec<Stanza>) {
        let nothing_waits =
            self.store.arrived.is_empty() && self.store.open.as_ref().is_none_or(|batch| batch.arrived.is_empty());
        if nothing_waits {
            let waits = stanzas.iter().position(|stanza| !Meaning::of(stanza).may_repeat());
            let rest = stanzas.split_off(waits.unwrap_or(stanzas.len()));
            if !stanzas.is_empty() {
                if self.medium.is_some_and(Medium::is_fast) {
                    self.store.early_since.get_or_insert(now.mono);
                }
                self.outputs.push_back(SlowOutput::Early { arrived: stanzas });
            }
            stanzas = rest;
        }
        self.store.arrived.append(&mut stanzas);
    }

    fn on_ack(&mut self, now: Now, context: u8, next_low: u8, digest: u32) -> Result<(), SlowFault> {
        let instance = self.instance;
        let Some(sender) = self.senders.get(&context) else { return Err(SlowFault::NoEpoch { context }) };
        let next = sender
            .meanings(next_low)
            .find(|&next| ack_digest(context, Stored { instance, next }) == digest)
            .ok_or(SlowFault::Digest)?;
        self.acknowledged(now, context, next);
        Ok(())
    }

    /// The peer wants a new epoch. One that asks about a unit of an earlier epoch has been answered already.
    fn on_request(&mut self, now: Now, request: &Request) {
        let context = request.context;
        let instance = self.instance;
        let digests = self.dictionaries.digests();
        let Some(sender) = self.senders.get_mut(&context) else { return };
        if !sender.knows_tag(request.tag) {
            return;
        }
        if let Some(theirs) = request.dictionaries {
            let level = digests.iter().position(|digest| theirs.contains(digest)).unwrap_or(LEVELS - 1);
            sender.set_level(now.mono, level);
            self.notice(
                "chat-dictionaries-differ",
                true,
                format!("level {level} is used: compare the names of both sites"),
            );
        } else {
            sender.hope(now.mono);
        }
        match request.stored {
            Some(stored) if stored.instance == instance => self.acknowledged(now, context, stored.next),
            Some(_) => {}
            None => {
                self.muted.insert(context, ());
            }
        }
        self.renew(context);
    }

    /// Asks for a new epoch, not more often than makes sense.
    fn ask(&mut self, now: Now, context: u8, tag: u32, dictionary: bool) {
        if self.asked.get(&context).is_some_and(|at| now.mono.since(*at) < ASK_AFTER) {
            return;
        }
        self.asked.insert(context, now.mono);
        let stored = self.receivers.get(&context).and_then(|receiver| receiver.ack());
        let dictionaries = dictionary.then(|| self.dictionaries.digests());
        let request = Request { context, tag, stored, dictionaries };
        self.requests.insert(context, Unit::Request(request).octets());
    }

    fn ack_again(&mut self, now: Now, context: u8) {
        self.ack_within(now, context, ACK_AGAIN_DELAY);
    }

    fn ack_within(&mut self, now: Now, context: u8, delay: Duration) {
        let at = now.mono + delay;
        let receiver = self.receiver(context);
        receiver.ack_due = Some(receiver.ack_due.map_or(at, |due| Instant::min(due, at)));
    }

    /// A batch is on the disk: now it can be acknowledged.
    pub(super) fn note_stored(&mut self, now: Now, context: u8, stored: Stored) {
        let half = u32::try_from(self.config.window_blocks / 2).unwrap_or(1).max(1);
        let (quiet, latest) = (self.ack_quiet(context), self.config.repeat_after / 2);
        let is_stream = self.medium.is_some_and(|medium| !medium.boundaries);
        let receiver = self.receiver(context);
        // A peer that began anew meanwhile has nothing of this.
        if receiver.received.as_ref().is_some_and(|received| received.instance != stored.instance) {
            return;
        }
        receiver.stored = Some(stored);
        let untold = stored.next.saturating_sub(receiver.told);
        let are_many = is_stream && receiver.untold_stanzas >= UNTOLD_STANZAS_MAX;
        if untold >= half || (untold > 0 && are_many) {
            self.ack_within(now, context, Duration::ZERO);
        } else if untold > 0 {
            let since = *receiver.untold_since.get_or_insert(now.mono);
            let at = Instant::min(now.mono + quiet, since + latest);
            // What the peer seems to lack is not put off.
            let soon = receiver.ack_due.filter(|due| *due <= now.mono + ACK_AGAIN_DELAY);
            receiver.ack_due = Some(soon.unwrap_or(at));
        }
    }

    /// How long an acknowledgement waits after a block has come: another one of its size would come in time, and where
    /// one follows the other an acknowledgement of each would only cost the peer turns.
    fn ack_quiet(&self, context: u8) -> Duration {
        let octets = self.receivers.get(&context).map_or(0, |receiver| receiver.unit_octets) as u64;
        let rate = self.medium.map_or(0, |medium| medium.bits_per_second).max(1);
        // Half as much again for what the medium adds.
        let next = Duration::from_millis(12_000 * octets / u64::from(rate));
        self.config.ack_delay.max(next)
    }
}

impl Incoming {
    /// A new stream.
    pub(super) fn begin(&mut self) {
        self.octets.clear();
        (self.heard_at, self.break_at) = (None, None);
    }

    /// A unit could not be read: the stream begins anew, at once unless that has just not helped.
    fn misread(&mut self, now: Instant, why: &'static str) {
        let doublings = self.breaks.saturating_sub(1).min(BREAK_DOUBLINGS_MAX);
        let next = self.broken_at.filter(|_| self.breaks > 0).map(|at| at + BREAK_AGAIN_AFTER * (1 << doublings));
        self.break_at.get_or_insert((next.map_or(now, |next| next.max(now)), why));
    }

    /// A block could be read: the stream is cut where the peer cuts it.
    fn is_read(&mut self) {
        self.break_at = None;
        self.breaks = 0;
    }
}

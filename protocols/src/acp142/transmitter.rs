//! The sending half of an engine: all messages being sent, the memory of those that ended, and what answers
//! acknowledgements that come late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::address::Address;
use super::config::EngineConfig;
use super::event::{Effects, Event, OutPdu, Outgoing, To, Token, Undelivered};
use super::fault::Acp142Fault;
use super::limits::{
    ANSWERS_WAITING_MAX, DATA_HEADER_OCTETS, DATA_PDUS_MAX, DESTINATIONS_MAX, FINISHED_MESSAGES_MAX, SILENCE_PLANS_MAX,
    TRANSMISSIONS_MAX,
};
use super::numbers::Numbers;
use super::pdu::{Discard, Map, MessageId, NodeId, Pdu};
use super::record::{self, Key};
use super::transmission::{Recipient, Transmission, Why, wire_expiry};
use crate::bytes::Bytes;
use crate::time::{Duration, Instant, Now, WallTime};

/// How a message we sent ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Finished {
    pub(super) handle: u64,
    pub(super) priority: u8,
    pub(super) expiry: WallTime,
    pub(super) group: u32,
    pub(super) total: u16,
    pub(super) cancelled: bool,
    /// It goes on under another number: the bearer takes smaller PDUs.
    pub(super) renewed: bool,
    /// Each receiver, and whether it has the message.
    pub(super) outcomes: BTreeMap<NodeId, bool>,
}

/// A PDU that answers or ends something and belongs to no running message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The final Ack-Ack: an Address_PDU without destinations.
    Final(u32, Vec<NodeId>),
    /// The message was given up.
    Discard(u32, Vec<NodeId>),
}

#[derive(Debug, Default)]
pub(super) struct Transmitter {
    pub(super) messages: BTreeMap<u32, Transmission>,
    pub(super) finished: BTreeMap<u32, Finished>,
    by_handle: BTreeMap<u64, u32>,
    pub(super) last_number: Option<u32>,
    sequences: BTreeMap<NodeId, u32>,
    pub(super) silent: BTreeSet<NodeId>,
    pub(super) silent_until: BTreeMap<NodeId, WallTime>,
    tokens: BTreeMap<Token, u32>,
    answers: VecDeque<Answer>,
    /// Messages with groups of their own that are repeated and have receivers of whom nothing was heard.
    pub(super) unheard: BTreeSet<u32>,
}

/// While a round runs, its progress is told after so many Data_PDUs.
const TELL_EVERY_PDUS: usize = 8;

impl Transmitter {
    /// Takes a message. A handle that is known does not start a second message: what is known of it is said again.
    //= acp142/PMUL-044
    pub(super) fn submit(
        &mut self,
        now: Now,
        out: Outgoing,
        config: &EngineConfig,
        effects: &mut Effects,
    ) -> Result<(), Acp142Fault> {
        if let Some(number) = self.running(out.handle) {
            self.say_again(number, effects);
            return Ok(());
        }
        self.check(now, &out, config)?;
        let number = self.give_number(now, effects);
        let id = MessageId { source: config.id, number };
        let silent = |(node, silent): &(NodeId, bool)| *silent || self.silent.contains(node);
        let by_arq = matches!(out.destinations.as_slice(), [only] if !silent(only));
        let mut t = Transmission::new(out.handle, id, out.message, config.fragment_octets(by_arq));
        (t.priority, t.expiry, t.group) = (out.priority.min(15), out.expiry, out.group);
        for (node, silent) in out.destinations {
            let sequence = self.give_sequence(node, effects);
            let silent = silent || self.silent.contains(&node);
            t.recipients.insert(node, Recipient { sequence, silent, ..Recipient::default() });
        }
        self.begin(t, effects);
        Ok(())
    }

    /// The first sending of a message begins.
    fn begin(&mut self, mut t: Transmission, effects: &mut Effects) {
        let number = t.id.number;
        t.pending = Numbers::up_to(t.total());
        effects.put(Key::Content(number).octets(), t.content.clone());
        effects.put(Key::Pending(number).octets(), record::write_pending(&t.pending));
        effects.put(Key::Transmission(number).octets(), record::write_transmission(&t));
        self.by_handle.insert(t.handle, number);
        self.messages.insert(number, t);
    }

    /// Begins messages anew, under other numbers, of which Data_PDUs are to go that the bearer takes no longer: it would
    /// refuse them again and again until the message expires. Who has the message keeps it. Whether there were any.
    //= acp142/PMUL-048
    pub(super) fn renew(
        &mut self,
        now: Now,
        bearer_octets_max: usize,
        config: &EngineConfig,
        effects: &mut Effects,
    ) -> bool {
        let too_large = self.messages.iter().filter(|(_, t)| {
            let fits = t.content.len() <= DATA_PDUS_MAX * config.fragment_octets(t.by_arq());
            !t.held && fits && t.largest_pending() + DATA_HEADER_OCTETS > bearer_octets_max
        });
        let numbers: Vec<u32> = too_large.map(|(&number, _)| number).collect();
        for &number in &numbers {
            let Some(old) = self.messages.remove(&number) else { continue };
            let id = MessageId { source: config.id, number: self.give_number(now, effects) };
            let mut t = Transmission::new(old.handle, id, old.content.clone(), config.fragment_octets(old.by_arq()));
            (t.priority, t.expiry, t.group) = (old.priority, old.expiry, old.group);
            (t.repeats_left, t.octets_sent) = (old.repeats_left, old.octets_sent);
            for (&node, r) in &old.recipients {
                let again = match r.done {
                    true => r.clone(),
                    false => Recipient {
                        sequence: self.give_sequence(node, effects),
                        silent: r.silent,
                        ..Recipient::default()
                    },
                };
                t.recipients.insert(node, again);
            }
            effects.notice("message_renewed", format!("{}, was {number:08x}: smaller PDUs", t.id));
            self.begin(t, effects);
            self.close(&old, Some(Undelivered::Cancelled), true, effects);
        }
        !numbers.is_empty()
    }

    /// The running message that another one has become.
    pub(super) fn successor(&self, number: u32) -> Option<u32> {
        let finished = self.finished.get(&number).filter(|finished| finished.renewed)?;
        self.number(finished.handle)
    }

    fn give_sequence(&mut self, node: NodeId, effects: &mut Effects) -> u32 {
        let sequence = self.sequences.entry(node).or_insert(0);
        *sequence = sequence.wrapping_add(1);
        effects.put(Key::Sequence(node).octets(), record::write_number(*sequence));
        *sequence
    }

    fn check(&self, now: Now, out: &Outgoing, config: &EngineConfig) -> Result<(), Acp142Fault> {
        let limit = config.message_octets_max.min(DATA_PDUS_MAX * config.fragment_octets(false));
        let octets = out.message.len();
        let nodes: BTreeSet<NodeId> = out.destinations.iter().map(|(node, _)| *node).collect();
        if octets == 0 {
            return Err(Acp142Fault::Empty);
        } else if octets > limit {
            return Err(Acp142Fault::TooLarge { octets, limit });
        } else if nodes.is_empty() {
            return Err(Acp142Fault::Destinations("none"));
        } else if nodes.len() != out.destinations.len() {
            return Err(Acp142Fault::Destinations("one is named twice"));
        } else if nodes.contains(&config.id) {
            return Err(Acp142Fault::Destinations("our own id is among them"));
        } else if nodes.len() > DESTINATIONS_MAX {
            return Err(Acp142Fault::Destinations("more than 1,024"));
        } else if out.expiry <= now.wall {
            return Err(Acp142Fault::Expired);
        } else if self.messages.len() >= TRANSMISSIONS_MAX {
            return Err(Acp142Fault::Full(self.messages.len()));
        }
        Ok(())
    }

    /// Message_ID: seconds since 1970, and always beyond the last one, which is on the disk.
    //= acp142/PMUL-004
    fn give_number(&mut self, now: Now, effects: &mut Effects) -> u32 {
        let clock = now.wall.unix_seconds() as u32;
        let number = match self.last_number {
            Some(last) if ahead(clock, last) => clock,
            Some(last) => last.wrapping_add(1),
            None => clock,
        };
        self.last_number = Some(number);
        effects.put(Key::LastNumber.octets(), record::write_number(number));
        number
    }

    fn say_again(&self, number: u32, effects: &mut Effects) {
        if let Some(t) = self.messages.get(&number) {
            let handle = t.handle;
            let done = t.recipients.iter().filter(|(_, r)| r.done);
            done.for_each(|(&by, _)| effects.event(Event::Delivered { handle, by }));
            effects.event(Event::Progress(t.advance("resumed")));
        } else if let Some(finished) = self.finished.get(&number) {
            let why = if finished.cancelled { Undelivered::Cancelled } else { Undelivered::Expired };
            for (&node, &delivered) in &finished.outcomes {
                effects.event(if delivered {
                    Event::Delivered { handle: finished.handle, by: node }
                } else {
                    Event::Failed { handle: finished.handle, to: node, why }
                });
            }
        }
    }

    /// Gives a message up. Octets of it that have left.
    pub(super) fn cancel(&mut self, handle: u64, effects: &mut Effects) -> u64 {
        let number = self.by_handle.get(&handle).copied();
        let Some(number) = number.filter(|number| self.messages.contains_key(number)) else { return 0 };
        let sent = self.messages.get(&number).map_or(0, |t| t.octets_sent);
        self.end(number, Some(Undelivered::Cancelled), effects);
        sent
    }

    pub(super) fn raise(&mut self, handle: u64, priority: u8, effects: &mut Effects) {
        let Some(t) = self.by_handle.get(&handle).and_then(|number| self.messages.get_mut(number)) else { return };
        t.raise(priority);
        effects.put(Key::Transmission(t.id.number).octets(), record::write_transmission(t));
    }

    pub(super) fn set_silent(
        &mut self,
        now: Now,
        node: NodeId,
        silent: bool,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        if !silent {
            self.silent.remove(&node);
            self.silent_until.remove(&node);
        } else if self.silent.len() < SILENCE_PLANS_MAX {
            self.silent.insert(node);
        }
        for t in self.messages.values_mut() {
            t.set_silent(node, silent);
            settle(t, now, config, effects);
        }
    }

    pub(super) fn plan_silence(&mut self, node: NodeId, until: Option<WallTime>) {
        match until {
            Some(until) if self.silent_until.len() < SILENCE_PLANS_MAX => {
                self.silent_until.insert(node, until);
            }
            Some(_) | None => {
                self.silent_until.remove(&node);
            }
        }
    }

    /// The message or answer that goes next: its priority, and the number of the message.
    fn best(&self) -> Option<(u8, Option<u32>)> {
        let answer = self.answers.front().map(|answer| (self.answer_priority(answer), None));
        let waiting = self.messages.iter().filter(|(_, t)| t.has_work());
        let message = waiting.map(|(&number, t)| (t.priority, Some(number))).min();
        answer.into_iter().chain(message).min()
    }

    pub(super) fn next_priority(&self) -> Option<u8> {
        self.best().map(|(priority, _)| priority)
    }

    fn answer_priority(&self, answer: &Answer) -> u8 {
        let (Answer::Final(number, _) | Answer::Discard(number, _)) = answer;
        self.finished.get(number).map_or(0, |finished| finished.priority)
    }

    pub(super) fn poll(&mut self, token: Token, config: &EngineConfig) -> Option<OutPdu> {
        match self.best()? {
            (_, None) => self.poll_answer(token, config),
            (priority, Some(number)) => {
                let t = self.messages.get_mut(&number)?;
                let made = t.make(token, config)?;
                let (expiry, handle) = (t.expiry, Some(t.handle));
                self.tokens.insert(token, number);
                Some(OutPdu { token, to: made.to, priority, octets: made.octets, expiry, handle })
            }
        }
    }

    fn poll_answer(&mut self, token: Token, config: &EngineConfig) -> Option<OutPdu> {
        let answer = self.answers.pop_front()?;
        let (Answer::Final(number, _) | Answer::Discard(number, _)) = &answer;
        let finished = self.finished.get(number)?;
        let Finished { priority, expiry, total, .. } = *finished;
        let message = MessageId { source: config.id, number: *number };
        let pdu = match answer {
            Answer::Final(..) => Pdu::Address(Address {
                extra: false,
                priority,
                map: Map::Only,
                message,
                total,
                expiry: wire_expiry(expiry),
                destinations: Vec::new(),
            }),
            Answer::Discard(..) => Pdu::Discard(Discard { priority, message }),
        };
        let to = self.to_of(&answer);
        let octets = Bytes::from(config.encode(pdu));
        Some(OutPdu { token, to, priority, octets, expiry, handle: None })
    }

    pub(super) fn left(
        &mut self,
        now: Now,
        token: Token,
        confirmed: bool,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        let Some(t) = self.tokens.remove(&token).and_then(|number| self.messages.get_mut(&number)) else { return };
        if t.left(token, confirmed) {
            effects.put(Key::Pending(t.id.number).octets(), record::write_pending(&t.not_left()));
            if t.pending.count() > 0 && t.pending.count().is_multiple_of(TELL_EVERY_PDUS) {
                effects.event(Event::Progress(t.advance("sending")));
            }
        }
        settle(t, now, config, effects);
    }

    pub(super) fn returned(&mut self, token: Token, rest_until: Option<Instant>) {
        if let Some(t) = self.tokens.remove(&token).and_then(|number| self.messages.get_mut(&number)) {
            t.returned(token);
            rest_until.into_iter().for_each(|until| t.rest(until));
        }
    }

    /// To whom the next PDU goes.
    pub(super) fn next_to(&self) -> Option<To> {
        match self.best()? {
            (_, Some(number)) => self.messages.get(&number).map(Transmission::to),
            (_, None) => self.answers.front().map(|answer| self.to_of(answer)),
        }
    }

    fn to_of(&self, answer: &Answer) -> To {
        let (Answer::Final(number, nodes) | Answer::Discard(number, nodes)) = answer;
        let group = self.finished.get(number).map(|finished| finished.group);
        let silent = nodes.iter().any(|node| self.silent.contains(node));
        To { group, nodes: nodes.clone(), silent, may_be_lost: false }
    }

    pub(super) fn is_silent(&self, node: NodeId) -> bool {
        self.silent.contains(&node)
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        if self.answers.len() < ANSWERS_WAITING_MAX && !self.answers.contains(&answer) {
            self.answers.push_back(answer);
        }
    }

    /// The running message of a handle.
    pub(super) fn number(&self, handle: u64) -> Option<u32> {
        self.by_handle.get(&handle).copied().filter(|number| self.messages.contains_key(number))
    }

    /// Whether a message is being sent, or its end is still to be told.
    pub(super) fn is_at(&self, number: u32) -> bool {
        let of = |answer: &Answer| matches!(answer, Answer::Final(n, _) | Answer::Discard(n, _) if *n == number);
        self.messages.contains_key(&number) || self.answers.iter().any(of)
    }

    /// A message goes to this group now (0: the fixed one), or waits for one.
    pub(super) fn set_group(&mut self, number: u32, group: Option<u32>, effects: &mut Effects) {
        let Some(t) = self.messages.get_mut(&number) else { return };
        t.held = group.is_none();
        if let Some(group) = group.filter(|group| *group != t.group) {
            t.group = group;
            effects.put(Key::Transmission(number).octets(), record::write_transmission(t));
        }
    }

    /// Ends a message: all have it (`None`), or why the others have not.
    //= acp142/PMUL-045
    pub(super) fn end(&mut self, number: u32, why: Option<Undelivered>, effects: &mut Effects) {
        let Some(t) = self.messages.remove(&number) else { return };
        if let Some(why) = why {
            t.open().for_each(|(to, _)| effects.event(Event::Failed { handle: t.handle, to, why }));
        }
        self.close(&t, why, false, effects);
    }

    /// Remembers a message that has ended, and tells its receivers.
    fn close(&mut self, t: &Transmission, why: Option<Undelivered>, renewed: bool, effects: &mut Effects) {
        let number = t.id.number;
        let finished = Finished {
            handle: t.handle,
            priority: t.priority,
            expiry: t.expiry,
            group: t.group,
            total: t.total(),
            cancelled: why == Some(Undelivered::Cancelled),
            renewed,
            outcomes: t.recipients.iter().map(|(&node, r)| (node, r.done)).collect(),
        };
        let nodes: Vec<NodeId> = finished.outcomes.keys().copied().collect();
        let open: Vec<NodeId> = t.open().map(|(node, _)| node).collect();
        for key in [Key::Transmission(number), Key::Content(number), Key::Pending(number)] {
            effects.delete(key.octets());
        }
        self.remember(number, finished, effects);
        match why {
            None => self.answer(Answer::Final(number, nodes)),
            Some(_) if t.octets_sent == 0 => {}
            Some(_) => self.answer(Answer::Discard(number, open)),
        }
    }

    fn remember(&mut self, number: u32, finished: Finished, effects: &mut Effects) {
        effects.put(Key::Finished(number).octets(), record::write_finished(&finished));
        self.finished.insert(number, finished);
        while self.finished.len() > FINISHED_MESSAGES_MAX {
            let Some((number, finished)) = self.finished.pop_first() else { return };
            if self.by_handle.get(&finished.handle) == Some(&number) {
                self.by_handle.remove(&finished.handle);
            }
            effects.delete(Key::Finished(number).octets());
        }
    }

    pub(super) fn expire(&mut self, now: Now, effects: &mut Effects) {
        let expired = self.messages.iter().filter(|(_, t)| t.expiry <= now.wall);
        let expired: Vec<u32> = expired.map(|(&number, _)| number).collect();
        expired.into_iter().for_each(|number| self.end(number, Some(Undelivered::Expired), effects));
    }

    pub(super) fn fire(&mut self, now: Now, config: &EngineConfig, effects: &mut Effects) {
        for t in self.messages.values_mut() {
            let fired = t.fire(now.mono, config);
            if fired.is_some() {
                if t.group != 0 && t.open().any(|(_, r)| !r.heard) {
                    self.unheard.insert(t.id.number);
                }
                effects.put(Key::Pending(t.id.number).octets(), record::write_pending(&t.not_left()));
                effects.put(Key::Transmission(t.id.number).octets(), record::write_transmission(t));
            }
            say(t, fired, effects);
            settle(t, now, config, effects);
        }
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.messages.values().filter_map(Transmission::next_timer).min()
    }

    pub(super) fn next_expiry(&self) -> Option<WallTime> {
        self.messages.values().map(|t| t.expiry).min()
    }

    pub(super) fn shift(&mut self, span: Duration) {
        self.messages.values_mut().for_each(|t| t.shift(span));
    }

    pub(super) fn knows(&self, handle: u64) -> bool {
        self.running(handle).is_some()
    }

    /// The message of a handle, running or ended. What was cancelled may be wanted again, as a new message.
    fn running(&self, handle: u64) -> Option<u32> {
        let number = self.by_handle.get(&handle).copied();
        number.filter(|number| !self.finished.get(number).is_some_and(|finished| finished.cancelled))
    }

    /// A handle has this message now, unless it has a later one: an earlier one was cancelled.
    fn name(&mut self, handle: u64, number: u32) {
        let named = self.by_handle.entry(handle).or_insert(number);
        if ahead(number, *named) {
            *named = number;
        }
    }

    /// Takes back what was stored. A message resumes with what had not left.
    //= acp142/PMUL-046
    pub(super) fn restore(&mut self, now: Now, t: Transmission, config: &EngineConfig, effects: &mut Effects) {
        let number = t.id.number;
        self.name(t.handle, number);
        if t.is_done() {
            self.messages.insert(number, t);
            return self.end(number, None, effects);
        }
        let t = self.messages.entry(number).or_insert(t);
        settle(t, now, config, effects);
    }

    pub(super) fn restore_finished(&mut self, number: u32, finished: Finished) {
        self.name(finished.handle, number);
        self.finished.insert(number, finished);
    }

    pub(super) fn restore_last_number(&mut self, number: u32) {
        self.last_number = Some(number);
    }

    pub(super) fn restore_sequence(&mut self, node: NodeId, sequence: u32) {
        self.sequences.insert(node, sequence);
    }
}

pub(super) fn settle(t: &mut Transmission, now: Now, config: &EngineConfig, effects: &mut Effects) {
    let rounds = t.rounds;
    let why = t.settle(now.mono, config);
    if t.rounds != rounds || why.is_some() {
        effects.put(Key::Pending(t.id.number).octets(), record::write_pending(&t.not_left()));
        effects.put(Key::Transmission(t.id.number).octets(), record::write_transmission(t));
    }
    say(t, why, effects);
}

fn say(t: &Transmission, why: Option<Why>, effects: &mut Effects) {
    if let Some(why) = why {
        if why == "rounds exhausted, waiting" {
            effects.alarm("rounds_exhausted", format!("message {} after {} rounds", t.id, t.rounds));
        }
        effects.event(Event::Progress(t.advance(why)));
    }
}

/// Whether number `a` comes after `b` in the circle of Message_IDs.
pub(super) const fn ahead(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

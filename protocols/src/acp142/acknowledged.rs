//! What acknowledgements do at the sender: which are believed, and what follows from them.

use std::collections::BTreeMap;

use super::ack::Ack;
use super::config::EngineConfig;
use super::event::{Effects, Event};
use super::numbers::{Numbers, Span};
use super::pdu::NodeId;
use super::record::{self, Key};
use super::transmission::Transmission;
use super::transmitter::{Answer, Transmitter, ahead, settle};
use crate::time::Now;

impl Transmitter {
    /// An Ack_PDU. Entries about other senders' messages are not for us.
    pub(super) fn ack(&mut self, now: Now, ack: &Ack, config: &EngineConfig, effects: &mut Effects) {
        let mut parts: BTreeMap<u32, (Numbers, bool, bool)> = BTreeMap::new();
        for entry in &ack.entries {
            //= acp142/PMUL-032
            if entry.message.source != config.id && entry.message.source != ack.acker {
                continue;
            }
            let values: usize = entry.missing.iter().map(|span| span.count()).sum();
            let part = parts.entry(entry.message.number).or_default();
            let total = self.messages.get(&entry.message.number).map_or(0, Transmission::total);
            let (inside, beyond) = within(&entry.missing, total);
            part.0.extend(&inside);
            part.1 |= values < config.missing_max || entry.ranges;
            part.2 |= beyond;
            if entry.missing.is_empty() {
                self.acked_all(now, ack.acker, entry.message.number, config, effects);
            }
        }
        for (number, (missing, whole, beyond)) in parts {
            if beyond && self.messages.contains_key(&number) {
                effects.notice("ack_beyond_total", format!("{} of {number:08x}", ack.acker));
            }
            if !missing.is_empty() || beyond {
                self.acked_part(now, ack.acker, number, missing, whole, config, effects);
            }
        }
    }

    /// Whether the acknowledgement is one that can be: of a message of ours, by one of its receivers.
    //= acp142/PMUL-033
    fn believe(&mut self, now: Now, acker: NodeId, number: u32, effects: &mut Effects) -> bool {
        let running = self.messages.get(&number).map(|t| t.recipients.contains_key(&acker));
        let known = running.or_else(|| self.finished.get(&number).map(|f| f.outcomes.contains_key(&acker)));
        match known {
            Some(true) => {}
            Some(false) => {
                effects.alarm("ack_of_stranger", format!("{acker} is no receiver of {number:08x}"));
                return false;
            }
            None if self.last_number.is_none_or(|last| ahead(number, last)) => {
                effects.alarm("ack_of_future_message", format!("{acker} acknowledges {number:08x}"));
                return false;
            }
            None => {
                effects.notice("ack_of_unknown_message", format!("{acker} acknowledges {number:08x}"));
                return false;
            }
        }
        if let Some(until) = self.silent_until.get(&acker).filter(|until| **until > now.wall) {
            let early = until.since(now.wall).as_secs();
            effects.alarm("ack_in_planned_silence", format!("{acker} was to be silent {early} s more"));
        }
        true
    }

    fn acked_all(&mut self, now: Now, acker: NodeId, number: u32, config: &EngineConfig, effects: &mut Effects) {
        if !self.believe(now, acker, number, effects) {
            return;
        }
        self.silence_ended(now, acker, config, effects);
        // Who has the message has it under whatever number.
        let at = self.successor(number).unwrap_or(number);
        if at != number {
            self.late_ack(acker, number, effects);
        }
        let Some(t) = self.messages.get_mut(&at) else { return self.late_ack(acker, number, effects) };
        let number = at;
        if t.acked_all(now.mono, acker, config) {
            effects.event(Event::Delivered { handle: t.handle, by: acker });
            effects.put(Key::Transmission(number).octets(), record::write_transmission(t));
        }
        if t.is_done() {
            self.end(number, None, effects);
        } else {
            settle(t, now, config, effects);
        }
    }

    /// A complete acknowledgement of a message that has ended: its sender still waits for our answer.
    fn late_ack(&mut self, acker: NodeId, number: u32, effects: &mut Effects) {
        if self.finished.get(&number).is_some_and(|f| f.outcomes.get(&acker) == Some(&false)) {
            effects.notice("ack_after_end", format!("{acker} has {number:08x} after all"));
        }
        self.answer(Answer::Final(number, vec![acker]));
    }

    #[expect(clippy::too_many_arguments, reason = "what an entry says, and the surroundings")]
    fn acked_part(
        &mut self,
        now: Now,
        acker: NodeId,
        number: u32,
        missing: Numbers,
        whole: bool,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        if !self.believe(now, acker, number, effects) {
            return;
        }
        self.silence_ended(now, acker, config, effects);
        let Some(t) = self.messages.get_mut(&number) else {
            if self.finished.get(&number).is_some_and(|f| f.outcomes.get(&acker) == Some(&false)) {
                self.answer(Answer::Discard(number, vec![acker]));
            }
            return;
        };
        if missing.is_empty() {
            return;
        }
        t.acked_part(acker, missing, whole);
        effects.put(Key::Transmission(number).octets(), record::write_transmission(t));
        settle(t, now, config, effects);
    }

    fn silence_ended(&mut self, now: Now, node: NodeId, config: &EngineConfig, effects: &mut Effects) {
        let believed = self.messages.values().any(|t| t.recipients.get(&node).is_some_and(|r| !r.done && r.silent));
        if self.silent.contains(&node) || believed {
            effects.event(Event::SilenceEnded(node));
            // The others of this node's messages may be acknowledged in the same breath; they get their waiting time.
            self.set_silent(now, node, false, config, effects);
        }
    }
}

/// The numbers up to `total`, and whether there were others.
//= acp142/PMUL-034
fn within(spans: &[Span], total: u16) -> (Numbers, bool) {
    let inside = spans.iter().filter(|span| span.first <= total);
    let cut: Vec<Span> = inside.map(|span| Span { first: span.first, last: span.last.min(total) }).collect();
    (Numbers::from_spans(&cut), spans.iter().any(|span| span.last > total))
}

//! Sender and receiver of one link: [`Engine`].
//!
//! The caller pulls PDUs one by one ([`Engine::next_priority`], [`Engine::poll_pdu`]), so the most urgent goes next
//! whatever was begun, and answers each with [`Engine::pdu_left`] or [`Engine::pdu_returned`]. After every call it
//! takes what [`Engine::poll_event`] and [`Engine::poll_write`] yield; writes of one turn belong in one batch, and
//! come back after a restart through [`Engine::restore`].
//!
//! Promises: a submitted handle ends, per destination, in exactly one `Delivered` or `Failed` (after a restart the
//! same may be said again); `Arrived` comes once for a message until the gateway answers it (again after a restart);
//! the final acknowledgement goes only after [`Engine::accept`]. Under own EMCON [`Engine::poll_pdu`] yields nothing.

use std::collections::BTreeMap;

use super::ack::{Ack, AckEntry};
use super::config::EngineConfig;
use super::event::{Arrival, Effects, Emission, Event, OutPdu, Outgoing, StateWrite, To, Token};
use super::fault::Acp142Fault;
use super::grouping::Grouping;
use super::limits::{
    ACK_ENTRY_OCTETS, ACK_HEADER_OCTETS, ACKS_BELOW_MAX, ADDRESS_SETS_MAX, DONE_MESSAGES_MAX, DYNAMIC_GROUPS_MAX,
    FINISHED_MESSAGES_MAX, ORPHAN_OCTETS_MAX, PDU_OCTETS_MIN, RECEPTION_OCTETS_MAX, RECEPTIONS_MAX, TRANSMISSIONS_MAX,
};
use super::pdu::{MessageId, NodeId, Pdu};
use super::receiver::Receiver;
use super::reception::{AckPlan, Reception, Stage};
use super::record::{self, Key};
use super::transmission::Transmission;
use super::transmitter::Transmitter;
use crate::bytes::{Bytes, WireError};
use crate::random::Seeded;
use crate::time::{Duration, Now, Wakeup, WallTime};

/// One link's P_MUL.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    /// `pdu_octets_max` and `pdu_octets_arq` as they are configured.
    pdu_octets_wanted: (usize, Option<usize>),
    /// What the bearer takes.
    bearer_octets_max: usize,
    renewed: bool,
    now: Now,
    emission: Emission,
    silent_since: Now,
    next_token: u64,
    pub(super) transmitter: Transmitter,
    receiver: Receiver,
    /// Acknowledgements in the hands of the node below.
    acks_below: BTreeMap<Token, Vec<MessageId>>,
    pub(super) grouping: Grouping,
    pub(super) effects: Effects,
}

impl Engine {
    /// An engine with nothing in it. `config` should be free of [`EngineConfig::mistakes`].
    pub fn new(config: EngineConfig, now: Now, random: Seeded) -> Self {
        Self {
            grouping: Grouping::new(&config, now, random.fork("groups")),
            pdu_octets_wanted: (config.pdu_octets_max, config.pdu_octets_arq),
            bearer_octets_max: usize::MAX,
            renewed: false,
            config,
            now,
            emission: Emission::Free,
            silent_since: now,
            next_token: 1,
            transmitter: Transmitter::default(),
            receiver: Receiver::new(random.fork("ack delay")),
            acks_below: BTreeMap::new(),
            effects: Effects::default(),
        }
    }

    /// Its parameters.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Takes a message. A handle that is known (after a restart) starts no second message; what is known of it is
    /// said again. One that was cancelled starts a new message.
    ///
    /// # Errors
    /// [`Acp142Fault`] when the message cannot be sent; nothing is kept of it then.
    pub fn submit(&mut self, now: Now, outgoing: Outgoing) -> Result<(), Acp142Fault> {
        let result = self.transmitter.submit(self.sending(now), outgoing, &self.config, &mut self.effects);
        self.turn(now);
        result
    }

    /// Gives a message up: `Failed` for every destination that has not acknowledged. Octets of it that have left.
    pub fn cancel(&mut self, now: Now, handle: u64) -> u64 {
        let sent = self.transmitter.cancel(handle, &mut self.effects);
        self.turn(now);
        sent
    }

    /// Makes a message more urgent.
    pub fn raise(&mut self, now: Now, handle: u64, priority: u8) {
        self.transmitter.raise(handle, priority, &mut self.effects);
        self.turn(now);
    }

    /// Whether the handle is known: running, or ended and not cancelled.
    pub fn knows(&self, handle: u64) -> bool {
        self.transmitter.knows(handle)
    }

    /// Messages being sent, and their octets.
    pub fn load(&self) -> (usize, usize) {
        let octets = self.transmitter.messages.values().map(|t| t.content.len()).sum();
        (self.transmitter.messages.len(), octets)
    }

    /// Of these, those that need the medium or wait for acknowledgements (not for receivers in EMCON).
    pub fn active_load(&self) -> (usize, usize) {
        let active = || self.transmitter.messages.values().filter(|t| t.is_active());
        (active().count(), active().map(|t| t.content.len()).sum())
    }

    /// What it holds: of what, how much, and how much at most.
    pub fn held(&self) -> [(&'static str, usize, usize); 10] {
        let (own, joined) = self.group_load();
        let (receptions, octets, orphans) = self.receiver.room.load();
        [
            ("messages", self.transmitter.messages.len(), TRANSMISSIONS_MAX),
            ("ended messages", self.transmitter.finished.len(), FINISHED_MESSAGES_MAX),
            ("half messages", receptions, RECEPTIONS_MAX),
            ("octets of half messages", octets, RECEPTION_OCTETS_MAX),
            ("octets of unknown messages", orphans, ORPHAN_OCTETS_MAX),
            ("complete messages", self.receiver.done.len(), DONE_MESSAGES_MAX),
            ("sets of addresses", self.receiver.sets.len(), ADDRESS_SETS_MAX),
            ("acknowledgements below", self.acks_below.len(), ACKS_BELOW_MAX),
            ("own groups", own, DYNAMIC_GROUPS_MAX),
            ("joined groups", joined, DYNAMIC_GROUPS_MAX),
        ]
    }

    /// Keeps PDUs within what the bearer takes from now on: at most what is configured, at least [`PDU_OCTETS_MIN`].
    /// Messages of which larger ones are to go begin anew ([`Engine::take_renewed`]).
    pub fn limit_pdus(&mut self, now: Now, octets_max: usize) {
        let octets_max = octets_max.max(PDU_OCTETS_MIN);
        self.bearer_octets_max = octets_max;
        let (all, by_arq) = self.pdu_octets_wanted;
        self.config.pdu_octets_max = all.min(octets_max);
        self.config.pdu_octets_arq = by_arq.map(|octets| octets.min(octets_max));
        self.transmitter.messages.values_mut().for_each(Transmission::address_again);
        self.turn(now);
    }

    /// Whether messages have begun anew since this was asked: their numbers must be on the disk before PDUs go.
    pub fn take_renewed(&mut self) -> bool {
        std::mem::take(&mut self.renewed)
    }

    /// Half messages held of a sender.
    pub fn half_messages_of(&self, source: NodeId) -> usize {
        self.receiver.holds(source)
    }

    /// Says that a node enters or leaves EMCON.
    pub fn set_silent(&mut self, now: Now, node: NodeId, silent: bool) {
        self.transmitter.set_silent(self.sending(now), node, silent, &self.config, &mut self.effects);
        self.turn(now);
    }

    /// The plan says that a node keeps silent until then: an acknowledgement before is believed, and alarmed.
    pub fn plan_silence(&mut self, node: NodeId, until: Option<WallTime>) {
        self.transmitter.plan_silence(node, until);
    }

    /// Our own EMCON begins or ends. Timers that would transmit stand still meanwhile.
    //= acp142/PMUL-055
    pub fn set_own_emission(&mut self, now: Now, emission: Emission) {
        if self.emission == emission {
            return;
        }
        self.emission = emission;
        match emission {
            Emission::Silent => self.silent_since = now,
            Emission::Free => self.transmitter.shift(now.mono.since(self.silent_since.mono)),
        }
        self.receiver.set_emission(now, emission, &self.config, &mut self.effects);
        self.grouping.set_emission(now, emission);
        self.turn(now);
    }

    /// Takes a datagram. `from` is the node the bearer says it came from, when it knows: a PDU that claims another
    /// sender is forged and dropped. With `known_senders_only` unnamed ones are dropped too.
    pub fn handle_pdu(&mut self, now: Now, from: Option<NodeId>, datagram: &[u8]) {
        match Pdu::decode(datagram) {
            Ok(pdu) => {
                let pdu = self.config.read(pdu);
                self.take(now, from, &pdu);
            }
            Err(Acp142Fault::Checksum) => self.effects.notice("checksum_wrong", format!("{} octets", datagram.len())),
            Err(fault) => self.effects.notice("pdu_broken", fault),
        }
        self.turn(now);
    }

    fn take(&mut self, now: Now, from: Option<NodeId>, pdu: &Pdu<'_>) {
        if let Pdu::Reject(note) = pdu {
            // It names the rejected request, which is ours, and not who rejects.
            let known = from.is_some() || !self.config.known_senders_only;
            return match self.grouping.is_used() && known && note.message.source == self.config.id {
                true => self.grouping.handle_pdu(now, pdu),
                false => self.effects.notice("dynamic_group_ignored", note.message),
            };
        }
        let Some(sender) = sender_of(pdu) else {
            return self.effects.notice("pdu_unknown", format!("{pdu:?}").chars().take(80).collect::<String>());
        };
        if sender == self.config.id {
            return; // our own, echoed by the group
        }
        //= acp142/PMUL-061
        match from {
            Some(from) if from != sender => {
                return self.effects.alarm("pdu_forged", format!("{from} sent a PDU of {sender}"));
            }
            None if self.config.known_senders_only => {
                return self.effects.notice("pdu_of_unknown_sender", sender);
            }
            Some(_) | None => {}
        }
        let sending = self.sending(now);
        let (config, effects) = (&self.config, &mut self.effects);
        match pdu {
            Pdu::Data(data) => self.receiver.data(now, data, config, effects),
            //= acp142/PMUL-015
            Pdu::Address(address) if address.extra => {
                effects.notice("extra_address_not_agreed", address.message);
            }
            Pdu::Address(address) => {
                self.receiver.address(now, address, config, effects);
                if self.receiver.done.get(&address.message).is_some_and(|done| done.told) {
                    self.grouping.reception_ended(address.message);
                }
            }
            Pdu::Discard(discard) => {
                self.receiver.discard(discard.message, config, effects);
                if !self.receiver.receptions.contains_key(&discard.message) {
                    self.grouping.reception_ended(discard.message);
                }
            }
            Pdu::Ack(ack) => self.transmitter.ack(sending, ack, config, effects),
            //= acp142/PMUL-062
            Pdu::FecAddress(fec) => {
                effects.notice("fec_not_agreed", format!("{} wants code {}", fec.address.message, fec.code));
            }
            // Strangers could keep us in groups of theirs until there is no place for those of our sites.
            Pdu::Announce(_) if self.grouping.is_used() && from.is_none() => {
                effects.notice("group_of_unknown_sender", sender);
            }
            Pdu::Announce(_) | Pdu::Request(_) | Pdu::Reject(_) | Pdu::Release(_) if self.grouping.is_used() => {
                self.grouping.handle_pdu(now, pdu);
            }
            Pdu::Announce(_) | Pdu::Request(_) | Pdu::Reject(_) | Pdu::Release(_) => {
                effects.notice("dynamic_group_ignored", sender);
            }
            Pdu::Unknown { .. } => {}
        }
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        self.turn(now);
    }

    /// The sender's clock: it stands still under own EMCON, so that its timers are suspended.
    pub(super) fn sending(&self, now: Now) -> Now {
        match self.emission {
            Emission::Free => now,
            Emission::Silent => Now { mono: self.silent_since.mono, wall: now.wall },
        }
    }

    /// What time brings; ends every call.
    pub(super) fn turn(&mut self, now: Now) {
        self.now = now;
        self.transmitter.expire(now, &mut self.effects);
        if self.emission == Emission::Free {
            self.transmitter.fire(now, &self.config, &mut self.effects);
            self.renewed |= self.transmitter.renew(now, self.bearer_octets_max, &self.config, &mut self.effects);
        }
        self.receiver.tick(now, &self.config, &mut self.effects);
        self.attend_groups(now);
    }

    /// The gateway has an arrived message on its disk.
    pub fn accept(&mut self, now: Now, arrival: Arrival) {
        self.receiver.accept(now, arrival, &self.config, &mut self.effects);
        self.turn(now);
    }

    /// The gateway cannot take an arrived message: now (`retry`: it is offered again later) or ever (it is
    /// acknowledged and forgotten; whoever refuses has to report).
    pub fn refuse(&mut self, now: Now, arrival: Arrival, retry: bool) {
        self.receiver.refuse(now, arrival, retry, &self.config, &mut self.effects);
        self.turn(now);
    }

    /// P_MUL priority of the PDU that goes next; `None` when nothing is to be sent now.
    pub fn next_priority(&self) -> Option<u8> {
        if self.emission == Emission::Silent {
            return None;
        }
        let ack = self.ready_acks().map(|(_, priority)| priority).min();
        ack.into_iter().chain(self.transmitter.next_priority()).min()
    }

    /// The PDU that goes next: the most urgent; among equals acknowledgements first, then by age.
    //= acp142/PMUL-047
    pub fn poll_pdu(&mut self, now: Now) -> Option<OutPdu> {
        if self.emission == Emission::Silent {
            return None;
        }
        self.now = now;
        let token = Token(self.next_token);
        loop {
            let data = self.transmitter.next_priority();
            let ack = self.next_ack();
            let out = match (ack, data) {
                (Some((id, priority)), data) if data.is_none_or(|data| priority <= data) => {
                    let Some(out) = self.make_ack(now, token, id) else { continue };
                    Some(out)
                }
                (_, Some(_)) => self.transmitter.poll(token, &self.config),
                (_, None) => None,
            };
            self.next_token += u64::from(out.is_some());
            return out;
        }
    }

    /// To whom the PDU goes that goes next.
    pub fn next_to(&self) -> Option<To> {
        let data = self.transmitter.next_priority().filter(|_| self.emission == Emission::Free);
        match self.next_ack() {
            Some((id, priority)) if data.is_none_or(|data| priority <= data) => Some(self.to_sender(id)),
            Some(_) | None => data.and_then(|_| self.transmitter.next_to()),
        }
    }

    /// A PDU has left the node below.
    pub fn pdu_left(&mut self, now: Now, token: Token) {
        self.left(now, token, false);
    }

    /// A PDU has left the node below, and the receiver's node has confirmed it.
    pub fn pdu_confirmed(&mut self, now: Now, token: Token) {
        self.left(now, token, true);
    }

    fn left(&mut self, now: Now, token: Token, confirmed: bool) {
        self.acks_below.remove(&token);
        self.transmitter.left(self.sending(now), token, confirmed, &self.config, &mut self.effects);
        self.turn(now);
    }

    /// A PDU was not sent by the node below. It is sent again: at once when the node or link was lost (`wait` zero),
    /// or, when the node refused it, after `wait`, until when the whole message rests.
    pub fn pdu_returned(&mut self, now: Now, token: Token, wait: Duration) {
        let until = (wait > Duration::ZERO).then(|| self.sending(now).mono + wait);
        self.transmitter.returned(token, until);
        for id in self.acks_below.remove(&token).unwrap_or_default() {
            self.receiver.ack_again(now, id, wait, &mut self.effects);
        }
        self.turn(now);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.effects.events.pop_front()
    }

    /// The next change of stored state.
    pub fn poll_write(&mut self) -> Option<StateWrite> {
        self.effects.writes.pop_front()
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let wall = |at: WallTime| self.now.mono + at.since(self.now.wall);
        let free = self.emission == Emission::Free;
        let acks = self.transmitter.next_timer().filter(|_| free).map(|at| Wakeup { at, why: "ack missing" });
        let ends = self.transmitter.next_expiry().map(|at| Wakeup { at: wall(at), why: "message expires" });
        let half = self.receiver.next_timer().map(|at| Wakeup { at, why: "ack due" });
        let old = self.receiver.next_expiry(&self.config).map(|at| Wakeup { at: wall(at), why: "reception expires" });
        [acks, ends, half, old, self.grouping.next_wakeup()].into_iter().fold(None, Wakeup::earlier)
    }

    fn next_ack(&self) -> Option<(MessageId, u8)> {
        let free = self.emission == Emission::Free;
        self.ready_acks().filter(|_| free).min_by_key(|&(id, priority)| (priority, id))
    }

    /// To the sender of a message that is acknowledged. What else it is told goes along, and by the safer way if any of
    /// it may not be lost.
    //= acp142/PMUL-035
    fn to_sender(&self, message: MessageId) -> To {
        let node = message.source;
        let first_of_many = |id| self.receiver.done.get(&id).is_some_and(|done| done.first_of_many && !done.ack.owed);
        let along = self.ready_acks().map(|(id, _)| id).filter(|id| id.source == node);
        let may_be_lost = std::iter::once(message).chain(along).all(first_of_many);
        To { group: None, nodes: vec![node], silent: self.transmitter.is_silent(node), may_be_lost }
    }

    /// Acknowledgements whose time has come, with their priority.
    fn ready_acks(&self) -> impl Iterator<Item = (MessageId, u8)> {
        let half = self.receiver.receptions.values().filter(|r| r.ack.ready && r.stage == Stage::Collecting);
        half.map(|r| (r.id, r.priority)).chain(self.receiver.done_ready())
    }

    /// One Ack_PDU: the given message first, and with it what else is to be told to the same node. `None` when
    /// nothing is to be told any more; the plan is cleared.
    //= acp142/PMUL-035
    fn make_ack(&mut self, now: Now, token: Token, first: MessageId) -> Option<OutPdu> {
        let node = first.source;
        let to = self.to_sender(first);
        let quirks = self.config.quirks_of(node);
        let mut priority = u8::MAX;
        let mut entries: Vec<AckEntry> = Vec::new();
        let mut told = Vec::new();
        let mut left = self.config.pdu_octets_max.saturating_sub(ACK_HEADER_OCTETS);
        let others: Vec<MessageId> = self.ready_acks().map(|(id, _)| id).filter(|id| id.source == node).collect();
        for id in std::iter::once(first).chain(others.into_iter().filter(|&id| id != first)) {
            if left < ACK_ENTRY_OCTETS + 6 {
                break;
            }
            let Some((own, own_priority)) = self.entries_for(now, id, left) else { continue };
            left = left.saturating_sub(own.iter().map(AckEntry::octets).sum());
            entries.extend(own);
            priority = priority.min(own_priority);
            told.push(id);
        }
        if entries.is_empty() {
            return None;
        }
        //= acp142/PMUL-036
        if quirks.acker_id_in_entry {
            entries.iter_mut().for_each(|entry| entry.message.source = self.config.id);
        }
        let ack = Ack { priority, acker: self.config.id, entries, timestamp: None };
        let octets = Bytes::from(self.config.encode(Pdu::Ack(ack)));
        if self.acks_below.len() < ACKS_BELOW_MAX {
            self.acks_below.insert(token, told);
        }
        let expiry = now.wall + self.config.ack_wait_max;
        Some(OutPdu { token, to, priority, octets, expiry, handle: None })
    }

    /// The entries for one message, made at the last moment so that they are true when they leave.
    fn entries_for(&mut self, now: Now, id: MessageId, octets_max: usize) -> Option<(Vec<AckEntry>, u8)> {
        let repeat_at = now.mono + self.config.ack_pdu_time;
        let ranges = !self.config.quirks_of(id.source).no_ranges;
        if let Some(done) = self.receiver.done.get_mut(&id) {
            let owed = done.ack.owed;
            done.ack.went(now.mono, repeat_at);
            done.first_of_many = false;
            if owed {
                self.effects.put(Key::Done(id).octets(), record::write_done(done));
            }
            return Some((vec![AckEntry { message: id, missing: Vec::new(), ranges: false }], done.priority));
        }
        let r = self.receiver.receptions.get_mut(&id)?;
        let AckPlan { whole, .. } = r.ack;
        let missing = r.missing(if whole { r.total } else { r.highest });
        let octets_max = octets_max + ACK_HEADER_OCTETS;
        let entries = AckEntry::listing(id, &missing, ranges, self.config.missing_max, octets_max);
        note_reported(r, whole, &entries);
        r.ack.went(now.mono, repeat_at);
        Some((entries, r.priority))
    }

    /// Takes back all stored rows, once, before anything else. Broken rows are counted, and deleted.
    //= acp142/PMUL-046
    pub fn restore(&mut self, now: Now, rows: impl IntoIterator<Item = (Vec<u8>, Bytes)>) {
        self.now = now;
        let mut content = BTreeMap::new();
        let mut pending = BTreeMap::new();
        let mut halves: BTreeMap<MessageId, (Option<Reception>, BTreeMap<u16, Bytes>)> = BTreeMap::new();
        let mut messages = Vec::new();
        for (key, value) in rows {
            let read = Key::parse(&key).and_then(|key| {
                match key {
                    Key::LastNumber => self.transmitter.restore_last_number(record::read_number(&value)?),
                    Key::Sequence(node) => self.transmitter.restore_sequence(node, record::read_number(&value)?),
                    Key::Transmission(number) => messages.push((number, value)),
                    Key::Content(number) => drop(content.insert(number, value)),
                    Key::Pending(number) => drop(pending.insert(number, record::read_pending(&value)?)),
                    Key::Finished(number) => {
                        self.transmitter.restore_finished(number, record::read_finished(&value)?);
                    }
                    Key::Reception(id) => {
                        halves.entry(id).or_default().0 = Some(record::read_reception(id, &value)?);
                    }
                    Key::Fragment(id, sequence) => drop(halves.entry(id).or_default().1.insert(sequence, value)),
                    Key::Done(id) => {
                        self.receiver.insert_done(id, record::read_done(&value)?, &mut self.effects);
                    }
                }
                Ok(())
            });
            if let Err(fault) = read {
                self.row_broken(key, &fault);
            }
        }
        for (number, value) in messages {
            let id = MessageId { source: self.config.id, number };
            let content = content.remove(&number).unwrap_or_default();
            match record::read_transmission(id, &value, content) {
                Ok(mut t) if !t.content.is_empty() => {
                    t.pending = pending.remove(&number).unwrap_or_default();
                    self.transmitter.restore(now, t, &self.config, &mut self.effects);
                }
                Ok(_) => self.row_broken(
                    Key::Transmission(number).octets(),
                    &WireError::OutOfRange { field: "content", value: 0 },
                ),
                Err(fault) => self.row_broken(Key::Transmission(number).octets(), &fault),
            }
        }
        self.restore_halves(now, halves);
        self.resume_groups(now);
        self.turn(now);
    }

    fn restore_halves(&mut self, now: Now, halves: BTreeMap<MessageId, (Option<Reception>, BTreeMap<u16, Bytes>)>) {
        for (id, (reception, fragments)) in halves {
            match reception {
                Some(mut r) => {
                    r.fragments = fragments.into_iter().filter(|(number, _)| (1..=r.total).contains(number)).collect();
                    self.receiver.restore(now, r, &self.config, &mut self.effects);
                }
                None => {
                    for &sequence in fragments.keys() {
                        self.effects.delete(Key::Fragment(id, sequence).octets());
                    }
                }
            }
        }
        // Acknowledgements owed from before the restart.
        self.receiver.set_emission(now, self.emission, &self.config, &mut self.effects);
    }

    fn row_broken(&mut self, key: Vec<u8>, fault: &WireError) {
        self.effects.alarm("row_broken", fault);
        self.effects.delete(key);
    }
}

/// After a list has been made: where the next round will end, and how much is known to the sender.
fn note_reported(r: &mut Reception, whole: bool, entries: &[AckEntry]) {
    let spans = || entries.iter().flat_map(|entry| &entry.missing);
    if let Some(last) = spans().last().filter(|_| whole) {
        r.round_end = last.last;
        r.quiet = None;
        r.acked_in_round = true;
    }
    r.reported = spans().map(|span| span.count()).sum();
}

/// Who a PDU says sent it; `None` when it says nothing we understand.
fn sender_of(pdu: &Pdu<'_>) -> Option<NodeId> {
    Some(match pdu {
        Pdu::Data(data) => data.message.source,
        Pdu::Ack(ack) => ack.acker,
        Pdu::Address(address) => address.message.source,
        Pdu::Discard(discard) => discard.message.source,
        Pdu::Announce(announce) => announce.message.source,
        Pdu::Request(note) | Pdu::Release(note) => note.message.source,
        // A Reject_PDU carries the rejected request's identity, which is ours.
        Pdu::Reject(_) => return None,
        Pdu::FecAddress(fec) => fec.address.message.source,
        Pdu::Unknown { .. } => return None,
    })
}

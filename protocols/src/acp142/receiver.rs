//! The receiving half of an engine: half messages, orphans, the dedupe window, and the acknowledgements they call for.

use std::collections::{BTreeMap, BTreeSet};

use super::config::EngineConfig;
use super::event::{Arrival, Effects, Emission, Event};
use super::limits::{DONE_MESSAGES_MAX, FREE_ACK_PDUS_MAX};
use super::pdu::{Data, MessageId, NodeId};
use super::reception::{AckPlan, Done, Reception, Stage};
use super::record::{self, Key};
use super::room::Room;
use crate::bytes::Bytes;
use crate::random::{Random as _, Seeded};
use crate::time::{Duration, Instant, Now, WallTime};

#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) receptions: BTreeMap<MessageId, Reception>,
    pub(super) done: BTreeMap<MessageId, Done>,
    /// Those of them that have an acknowledgement planned; the window is too large to be searched at every PDU.
    acking: BTreeSet<MessageId>,
    forget: BTreeSet<(WallTime, MessageId)>,
    /// Sets of Address_PDUs, begun and so far without us, and how many receivers they have named.
    pub(super) sets: BTreeMap<MessageId, u16>,
    pub(super) room: Room,
    emission: Emission,
    next_arrival: u64,
    next_order: u64,
    random: Seeded,
}

impl Receiver {
    pub(super) fn new(random: Seeded) -> Self {
        Self {
            receptions: BTreeMap::new(),
            done: BTreeMap::new(),
            acking: BTreeSet::new(),
            forget: BTreeSet::new(),
            sets: BTreeMap::new(),
            room: Room::default(),
            emission: Emission::Free,
            next_arrival: 1,
            next_order: 0,
            random,
        }
    }

    /// Makes an entry for a message; false when there is no room for one of this priority.
    pub(super) fn begin(
        &mut self,
        now: Now,
        id: MessageId,
        priority: u8,
        config: &EngineConfig,
        effects: &mut Effects,
    ) -> bool {
        let mut r = Reception::orphan(id, priority);
        if !self.make_room(id, priority, r.cost, true, effects) {
            return false;
        }
        r.valid_until = now.mono + config.orphan_validity;
        r.order = self.next_order;
        self.next_order += 1;
        self.room.enter(&r);
        self.receptions.insert(id, r);
        true
    }

    /// Evicts until `cost` fits: only what is less urgent, or of a sender that holds more.
    //= acp142/PMUL-060
    fn make_room(&mut self, id: MessageId, priority: u8, cost: usize, new: bool, effects: &mut Effects) -> bool {
        let orphan = self.receptions.get(&id).is_none_or(|r| r.stage == Stage::Orphan);
        while let Some(lack) = self.room.lack(id.source, orphan, cost, new) {
            let victim = self.room.victim(self.receptions.values(), lack, id, priority);
            let Some(victim) = victim else {
                effects.notice("no_room_for_reception", format!("{id}: {lack}"));
                return false;
            };
            effects.notice("reception_evicted", format!("{victim} for {id}: {lack}"));
            self.drop_reception(victim, effects);
        }
        true
    }

    //= acp142/PMUL-051
    pub(super) fn data(&mut self, now: Now, data: &Data<'_>, config: &EngineConfig, effects: &mut Effects) {
        let id = data.message;
        if let Some(done) = self.done.get(&id) {
            // The sender does not know that we have it, unless the repeat is for others.
            if !done.told && done.ack.sent_at.is_none_or(|at| at + config.ack_wait <= now.mono) {
                self.plan_ack(now, id, true, config, effects);
            }
            return;
        }
        match self.receptions.get(&id).map(|r| r.stage) {
            None => {
                if self.begin(now, id, data.priority, config, effects) {
                    self.store(now, data, config, effects);
                }
            }
            Some(Stage::Orphan | Stage::Collecting) => self.store(now, data, config, effects),
            Some(Stage::Offered(_) | Stage::Refused(_) | Stage::TooLarge) => {}
        }
    }

    fn store(&mut self, now: Now, data: &Data<'_>, config: &EngineConfig, effects: &mut Effects) {
        let (id, sequence) = (data.message, data.sequence);
        let Some(r) = self.receptions.get_mut(&id) else { return };
        r.ack.answered();
        if r.stage == Stage::Collecting && sequence > r.total {
            if !config.quirks_of(id.source).shrinking_totals {
                return effects.notice("data_beyond_total", format!("{id}: {sequence} of {}", r.total));
            }
            r.total = sequence;
            effects.put(Key::Reception(id).octets(), record::write_reception(r));
        }
        if r.stage == Stage::Collecting {
            r.quiet = quiet_at(now, config);
        }
        if let Some(held) = r.fragments.get(&sequence) {
            if held != data.fragment {
                effects.alarm("conflicting_fragment", format!("{id}: {sequence} differs, the first is kept"));
            }
            return self.test_for_ack(now, id, sequence, false, config, effects);
        }
        let (cost, priority) = (Reception::cost_of(data.fragment), r.priority);
        if r.octets() + data.fragment.len() > config.message_octets_max {
            effects.notice("message_too_large", id);
            return self.set_too_large(id, effects);
        }
        if !self.make_room(id, priority, cost, false, effects) {
            return;
        }
        let Some(r) = self.receptions.get_mut(&id) else { return };
        self.room.grow(id.source, r.stage == Stage::Orphan, cost);
        r.cost += cost;
        let fragment = Bytes::copy_from_slice(data.fragment);
        if r.stage == Stage::Collecting {
            effects.put(Key::Fragment(id, sequence).octets(), fragment.clone());
        }
        r.fragments.insert(sequence, fragment);
        r.highest = r.highest.max(sequence);
        self.test_for_ack(now, id, sequence, true, config, effects);
    }

    fn set_too_large(&mut self, id: MessageId, effects: &mut Effects) {
        let Some(mut r) = self.receptions.remove(&id) else { return };
        self.room.leave(&r);
        forget_rows(&r, effects);
        let plain = Reception::orphan(id, r.priority);
        (r.stage, r.fragments, r.cost, r.quiet, r.ack) =
            (Stage::TooLarge, plain.fragments, plain.cost, None, plain.ack);
        self.room.enter(&r);
        self.receptions.insert(id, r);
    }

    //= acp142/PMUL-052
    pub(super) fn test_for_ack(
        &mut self,
        now: Now,
        id: MessageId,
        sequence: u16,
        new: bool,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        let Some(r) = self.receptions.get_mut(&id).filter(|r| r.stage == Stage::Collecting) else { return };
        if r.is_whole() {
            return self.offer(id, effects);
        }
        let round_over = sequence >= r.round_end && (new || !r.acked_in_round);
        let early = config.early_acks && new && r.gaps() >= r.reported + config.missing_max;
        if round_over || early {
            self.plan_ack(now, id, round_over, config, effects);
        }
    }

    fn offer(&mut self, id: MessageId, effects: &mut Effects) {
        let Some(r) = self.receptions.get_mut(&id) else { return };
        let arrival = Arrival(self.next_arrival);
        self.next_arrival += 1;
        r.stage = Stage::Offered(arrival);
        (r.quiet, r.ack) = (None, AckPlan::default());
        let confirmed = self.emission == Emission::Free;
        let (message, priority, octets) = (id, r.priority, r.assemble());
        effects.event(Event::Arrived { arrival, message, priority, confirmed, octets });
    }

    /// The gateway has the message on its disk: only now it is acknowledged.
    //= acp142/PMUL-053
    pub(super) fn accept(&mut self, now: Now, arrival: Arrival, config: &EngineConfig, effects: &mut Effects) {
        let Some(id) = self.offered(arrival) else { return };
        let Some(r) = self.receptions.remove(&id) else { return };
        self.room.leave(&r);
        forget_rows(&r, effects);
        let forget = r.expiry + config.clock_grace * 2;
        // Its loss may have all of the message sent again: only where that is as cheap.
        let first_of_many = r.among_others && r.total <= FREE_ACK_PDUS_MAX;
        let (priority, before_us) = (r.priority, r.before_us);
        let done = Done { forget, priority, before_us, first_of_many, told: false, ack: AckPlan::default() };
        effects.put(Key::Done(id).octets(), record::write_done(&done));
        self.insert_done(id, done, effects);
        self.plan_ack(now, id, true, config, effects);
    }

    /// The gateway cannot take it: it is offered again, or (`retry` false) it is acknowledged and forgotten, for P_MUL
    /// has no way to refuse; the report is the gateway's.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        arrival: Arrival,
        retry: bool,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        let Some(id) = self.offered(arrival) else { return };
        effects.notice("arrival_refused", id);
        if !retry {
            return self.accept(now, arrival, config, effects);
        }
        if let Some(r) = self.receptions.get_mut(&id) {
            r.stage = Stage::Refused(now.mono + config.refuse_wait);
        }
    }

    fn offered(&self, arrival: Arrival) -> Option<MessageId> {
        self.receptions.values().find(|r| r.stage == Stage::Offered(arrival)).map(|r| r.id)
    }

    pub(super) fn insert_done(&mut self, id: MessageId, done: Done, effects: &mut Effects) {
        self.forget.insert((done.forget, id));
        self.done.insert(id, done);
        while self.done.len() > DONE_MESSAGES_MAX {
            let Some((_, id)) = self.forget.pop_first() else { return };
            self.done.remove(&id);
            effects.delete(Key::Done(id).octets());
        }
    }

    pub(super) fn discard(&mut self, message: MessageId, config: &EngineConfig, effects: &mut Effects) {
        let stage = self.receptions.get(&message).map(|r| r.stage);
        match stage {
            Some(Stage::Orphan | Stage::Collecting | Stage::TooLarge) if config.obey_discards => {
                effects.notice("reception_discarded", message);
                self.drop_reception(message, effects);
            }
            Some(Stage::Orphan | Stage::Collecting | Stage::TooLarge) => effects.alarm("discard_ignored", message),
            Some(Stage::Offered(_) | Stage::Refused(_)) | None => {}
        }
    }

    pub(super) fn drop_reception(&mut self, id: MessageId, effects: &mut Effects) {
        if let Some(r) = self.receptions.remove(&id) {
            self.room.leave(&r);
            forget_rows(&r, effects);
        }
    }

    /// Plans an acknowledgement for when those before us have had their time; under own EMCON it is owed.
    //= acp142/PMUL-054
    pub(super) fn plan_ack(
        &mut self,
        now: Now,
        id: MessageId,
        whole: bool,
        config: &EngineConfig,
        effects: &mut Effects,
    ) {
        let done = self.done.get(&id).map(|done| (done.before_us, done.ack.sent_at));
        let Some((before_us, sent_at)) =
            done.or_else(|| self.receptions.get(&id).map(|r| (r.before_us, r.ack.sent_at)))
        else {
            return;
        };
        let at = (now.mono + self.ack_delay(before_us, config))
            .max(sent_at.map_or(Instant::ZERO, |at| at + config.ack_delay_per_receiver));
        let free = self.emission == Emission::Free;
        if let Some(done) = self.done.get_mut(&id) {
            if free {
                done.ack.plan(at, whole);
                self.acking.insert(id);
            } else if !done.ack.owed {
                done.ack.owed = true;
                effects.put(Key::Done(id).octets(), record::write_done(done));
            }
        } else if let Some(r) = self.receptions.get_mut(&id).filter(|_| free) {
            r.ack.plan(at, whole);
        }
    }

    /// An acknowledgement did not leave: it is planned again.
    pub(super) fn ack_again(&mut self, now: Now, id: MessageId, wait: Duration, effects: &mut Effects) {
        let (at, free) = (now.mono + wait, self.emission == Emission::Free);
        if let Some(done) = self.done.get_mut(&id) {
            done.ack.owed |= !free;
            if free {
                done.ack.plan(at, true);
                self.acking.insert(id);
            } else {
                effects.put(Key::Done(id).octets(), record::write_done(done));
            }
        } else if let Some(r) = self.receptions.get_mut(&id).filter(|r| free && r.stage == Stage::Collecting) {
            r.ack.plan(at, true);
        }
    }

    /// The first in the list answers at once. Who took a wrong place from a list in several PDUs may meet another: hence
    /// a little at random.
    fn ack_delay(&mut self, before_us: u16, config: &EngineConfig) -> Duration {
        let delay = config.ack_delay(u32::from(before_us));
        let jitter = u64::try_from(config.ack_delay_per_receiver.as_micros() / 4).unwrap_or(u64::MAX);
        if before_us == 0 { delay } else { delay + Duration::from_micros(self.random.below(jitter.max(1))) }
    }

    /// Own EMCON begins or ends. What is owed at its end goes out, and is repeated until the sender answers.
    //= acp142/PMUL-055
    pub(super) fn set_emission(&mut self, now: Now, emission: Emission, config: &EngineConfig, effects: &mut Effects) {
        self.emission = emission;
        if emission == Emission::Silent {
            self.receptions.values_mut().for_each(|r| r.ack.hush());
            for (&id, done) in &mut self.done {
                let owed = done.ack.owed;
                done.ack.hush();
                if done.ack.owed && !owed {
                    effects.put(Key::Done(id).octets(), record::write_done(done));
                }
            }
            return;
        }
        let done = self.done.iter_mut().filter(|(_, done)| done.ack.owed).map(|(&id, done)| (id, &mut done.ack));
        let half = self.receptions.values_mut().filter(|r| r.stage == Stage::Collecting).map(|r| (r.id, &mut r.ack));
        let mut owed = Vec::new();
        for (id, ack) in done.chain(half) {
            ack.repeats_left = config.ack_pdu_repeats;
            ack.sent_at = None;
            owed.push(id);
        }
        owed.into_iter().for_each(|id| self.plan_ack(now, id, true, config, effects));
    }

    /// What time brings: orphans and half messages end, acknowledgements become ready, refused ones are offered again.
    //= acp142/PMUL-056
    pub(super) fn tick(&mut self, now: Now, config: &EngineConfig, effects: &mut Effects) {
        let free = self.emission == Emission::Free;
        let (mut ended, mut again, mut quiet) = (Vec::new(), Vec::new(), Vec::new());
        for r in self.receptions.values_mut() {
            match r.stage {
                Stage::Orphan if r.valid_until <= now.mono => ended.push(r.id),
                Stage::Collecting | Stage::TooLarge if r.expiry + config.clock_grace <= now.wall => ended.push(r.id),
                Stage::Refused(at) if at <= now.mono => again.push(r.id),
                Stage::Orphan | Stage::Collecting | Stage::TooLarge | Stage::Offered(_) | Stage::Refused(_) => {}
            }
            if r.quiet.take_if(|at| *at <= now.mono).is_some() {
                quiet.push(r.id);
            }
        }
        for id in ended {
            effects.notice("reception_expired", id);
            self.drop_reception(id, effects);
        }
        again.into_iter().for_each(|id| self.offer(id, effects));
        quiet.into_iter().for_each(|id| self.plan_ack(now, id, true, config, effects));
        while let Some(&(forget, id)) = self.forget.first().filter(|(forget, _)| *forget <= now.wall) {
            self.forget.remove(&(forget, id));
            self.done.remove(&id);
            effects.delete(Key::Done(id).octets());
        }
        if free {
            self.receptions.values_mut().for_each(|r| r.ack.tick(now.mono));
            let done = &mut self.done;
            self.acking.retain(|id| {
                let Some(done) = done.get_mut(id) else { return false };
                done.ack.tick(now.mono);
                done.ack.is_planned()
            });
        }
    }

    /// Complete messages whose acknowledgement is to go now.
    pub(super) fn done_ready(&self) -> impl Iterator<Item = (MessageId, u8)> {
        let done = self.acking.iter().filter_map(|id| Some((*id, self.done.get(id)?)));
        done.filter(|(_, done)| done.ack.ready).map(|(id, done)| (id, done.priority))
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        let free = self.emission == Emission::Free;
        let one = |r: &Reception| {
            let own = match r.stage {
                Stage::Orphan => Some(r.valid_until),
                Stage::Refused(at) => Some(at),
                Stage::Collecting | Stage::Offered(_) | Stage::TooLarge => None,
            };
            own.into_iter().chain(r.quiet.filter(|_| free)).chain(r.ack.next().filter(|_| free)).min()
        };
        let halves = self.receptions.values().filter_map(one).min();
        let done = self.acking.iter().filter_map(|id| self.done.get(id)?.ack.next()).min().filter(|_| free);
        halves.into_iter().chain(done).min()
    }

    pub(super) fn next_expiry(&self, config: &EngineConfig) -> Option<WallTime> {
        let collecting = |r: &&Reception| matches!(r.stage, Stage::Collecting | Stage::TooLarge);
        let half = self.receptions.values().filter(collecting).map(|r| r.expiry + config.clock_grace).min();
        half.into_iter().chain(self.forget.first().map(|(at, _)| *at)).min()
    }

    /// Takes back a half message; when it is whole it is offered again, under a new number.
    pub(super) fn restore(&mut self, now: Now, mut r: Reception, config: &EngineConfig, effects: &mut Effects) {
        let id = r.id;
        r.cost += r.fragments.values().map(|fragment| Reception::cost_of(fragment)).sum::<usize>();
        r.highest = r.fragments.last_key_value().map_or(0, |(&n, _)| n);
        (r.round_end, r.quiet) = (r.total, quiet_at(now, config));
        (r.order, self.next_order) = (self.next_order, self.next_order + 1);
        self.room.enter(&r);
        self.receptions.insert(id, r);
        self.test_for_ack(now, id, 0, false, config, effects);
    }

    pub(super) fn holds(&self, source: NodeId) -> usize {
        self.room.messages_of(source)
    }
}

pub(super) fn quiet_at(now: Now, config: &EngineConfig) -> Option<Instant> {
    (config.quiet > Duration::ZERO).then(|| now.mono + config.quiet)
}

fn forget_rows(r: &Reception, effects: &mut Effects) {
    if r.stage == Stage::Orphan {
        return;
    }
    effects.delete(Key::Reception(r.id).octets());
    r.fragments.keys().for_each(|&sequence| effects.delete(Key::Fragment(r.id, sequence).octets()));
}

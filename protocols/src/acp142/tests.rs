//! Engines over a lossy channel in virtual time: nothing is lost silently, nothing comes twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::config::{EngineConfig, Medium};
use super::engine::Engine;
use super::event::{Emission, Event, OutPdu, Outgoing, To, Token, Undelivered};
use super::pdu::{Data, MessageId, NodeId, Pdu};
use crate::bytes::Bytes;
use crate::random::{Random as _, Seeded};
use crate::time::{Duration, Instant, Now, WallTime};

const START: u64 = 1_700_000_000;
const MINUTE: Duration = Duration::from_secs(60);

/// One site: an engine, its disk, what its gateway has seen, and its transmitter.
pub(super) struct Site {
    pub(super) engine: Engine,
    disk: BTreeMap<Vec<u8>, Bytes>,
    seen: BTreeSet<MessageId>,
    pub(super) arrived: Vec<Bytes>,
    pub(super) events: Vec<Event>,
    on_air: Option<(Instant, OutPdu)>,
    refuse_first: bool,
}

pub(super) struct World {
    pub(super) now: Now,
    pub(super) sites: BTreeMap<NodeId, Site>,
    random: Seeded,
    pub(super) loss_per_million: u32,
    bits_per_second: u64,
    pub(super) air: Vec<(NodeId, Vec<u8>)>,
    inbox: VecDeque<(Instant, NodeId, NodeId, Bytes)>,
}

pub(super) fn config(id: u32) -> EngineConfig {
    let mut config = EngineConfig::new(NodeId(id));
    config.pdu_octets_max = 128;
    config.pace(&Medium {
        bits_per_second: 2400,
        turnaround: Duration::from_secs(2),
        burst: Duration::ZERO,
        transmission_max: Duration::ZERO,
    });
    config
}

impl World {
    pub(super) fn new(seed: u64, count: u32) -> Self {
        Self::with(seed, (1..=count).map(config).collect())
    }

    pub(super) fn with(seed: u64, configs: Vec<EngineConfig>) -> Self {
        let now = Now { mono: Instant::ZERO, wall: WallTime::from_unix_seconds(START) };
        let site = |config: EngineConfig| Site {
            engine: Engine::new(config, now, Seeded::new(seed)),
            disk: BTreeMap::new(),
            seen: BTreeSet::new(),
            arrived: Vec::new(),
            events: Vec::new(),
            on_air: None,
            refuse_first: false,
        };
        let sites = configs.into_iter().map(|config| (config.id, site(config))).collect();
        let (random, air, inbox) = (Seeded::new(seed).fork("world"), Vec::new(), VecDeque::new());
        Self { now, sites, random, loss_per_million: 0, bits_per_second: 2400, air, inbox }
    }

    pub(super) fn site(&mut self, id: u32) -> &mut Site {
        self.sites.get_mut(&NodeId(id)).unwrap()
    }

    pub(super) fn submit(&mut self, from: u32, handle: u64, octets: &[u8], to: &[(u32, bool)], priority: u8) {
        let life = Duration::from_secs(24 * 3600);
        self.submit_for(from, handle, octets, to, priority, life);
    }

    pub(super) fn submit_for(
        &mut self,
        from: u32,
        handle: u64,
        octets: &[u8],
        to: &[(u32, bool)],
        priority: u8,
        life: Duration,
    ) {
        let now = self.now;
        let outgoing = Outgoing {
            handle,
            message: Bytes::copy_from_slice(octets),
            destinations: to.iter().map(|&(node, silent)| (NodeId(node), silent)).collect(),
            priority,
            expiry: now.wall + life,
            group: 1,
        };
        self.site(from).engine.submit(now, outgoing).unwrap();
        self.settle(NodeId(from));
    }

    /// Drains a site after an input: disk, events, gateway, transmitter.
    pub(super) fn settle(&mut self, id: NodeId) {
        let now = self.now;
        let rate = self.bits_per_second;
        let site = self.sites.get_mut(&id).unwrap();
        loop {
            while let Some(write) = site.engine.poll_write() {
                match write.value {
                    Some(value) => site.disk.insert(write.key, value),
                    None => site.disk.remove(&write.key),
                };
            }
            let Some(event) = site.engine.poll_event() else { break };
            if let Event::Arrived { arrival, message, octets, .. } = &event {
                if site.refuse_first {
                    site.refuse_first = false;
                    site.engine.refuse(now, *arrival, true);
                } else {
                    if site.seen.insert(*message) {
                        site.arrived.push(octets.clone());
                    }
                    site.engine.accept(now, *arrival);
                }
            }
            site.events.push(event);
        }
        if site.on_air.is_none()
            && let Some(out) = site.engine.poll_pdu(now)
        {
            let airtime = Duration::from_micros(out.octets.len() as u64 * 8_000_000 / rate);
            site.on_air = Some((now.mono + airtime, out));
        }
    }

    /// One step to the next thing that happens; false when nothing will.
    pub(super) fn step(&mut self, until: Instant) -> bool {
        let wakeups = self.sites.values().filter_map(|site| site.engine.next_wakeup().map(|wakeup| wakeup.at));
        let airs = self.sites.values().filter_map(|site| site.on_air.as_ref().map(|(at, _)| *at));
        let next = wakeups.chain(airs).chain(self.inbox.front().map(|first| first.0)).min();
        let Some(next) = next.filter(|next| *next <= until) else { return false };
        self.now = self.now.after(next.since(self.now.mono));
        let now = self.now;
        if let Some((_, from, to, octets)) = self.inbox.pop_front_if(|first| first.0 <= now.mono) {
            self.sites.get_mut(&to).unwrap().engine.handle_pdu(now, Some(from), &octets);
            self.settle(to);
            return true;
        }
        let ids: Vec<NodeId> = self.sites.keys().copied().collect();
        for id in ids {
            let site = self.sites.get_mut(&id).unwrap();
            if let Some((_, out)) = site.on_air.take_if(|(at, _)| *at <= now.mono) {
                site.engine.pdu_left(now, out.token);
                self.spread(id, &out);
            } else {
                site.engine.handle_wakeup(now);
            }
            self.settle(id);
        }
        true
    }

    fn spread(&mut self, from: NodeId, out: &OutPdu) {
        self.air.push((from, out.octets.to_vec()));
        let all: Vec<NodeId> = self.sites.keys().copied().filter(|&id| id != from).collect();
        let to = if out.to.group.is_some() { all } else { out.to.nodes.clone() };
        for to in to {
            if self.sites.contains_key(&to) && !self.random.chance(self.loss_per_million) {
                self.inbox.push_back((self.now.mono, from, to, out.octets.clone()));
            }
        }
    }

    pub(super) fn run(&mut self, span: Duration) {
        let until = self.now.mono + span;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 200_000, "the world does not come to rest");
        }
        self.now = self.now.after(until.since(self.now.mono));
    }

    /// Kills a site and starts it again from its disk; what was on the air is lost.
    pub(super) fn restart(&mut self, id: u32) {
        let now = self.now;
        let site = self.site(id);
        let config = site.engine.config().clone();
        site.engine = Engine::new(config, now, Seeded::new(99));
        site.on_air = None;
        let rows: Vec<_> = site.disk.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        site.engine.restore(now, rows);
        self.settle(NodeId(id));
    }

    pub(super) fn delivered(&self, id: u32) -> Vec<(u64, u32)> {
        let delivered = |event: &Event| match event {
            Event::Delivered { handle, by } => Some((*handle, by.0)),
            _ => None,
        };
        self.sites[&NodeId(id)].events.iter().filter_map(delivered).collect()
    }

    pub(super) fn failed(&self, id: u32) -> Vec<(u64, u32, Undelivered)> {
        let failed = |event: &Event| match event {
            Event::Failed { handle, to, why } => Some((*handle, to.0, *why)),
            _ => None,
        };
        self.sites[&NodeId(id)].events.iter().filter_map(failed).collect()
    }

    pub(super) fn notices(&self, id: u32) -> Vec<&'static str> {
        let name = |event: &Event| match event {
            Event::Notice { name, .. } => Some(*name),
            _ => None,
        };
        self.sites[&NodeId(id)].events.iter().filter_map(name).collect()
    }

    /// How often each Data_PDU of a site went over the air, for all its messages.
    fn data_on_air(&self, from: u32) -> BTreeMap<(u32, u16), usize> {
        let mut counts = BTreeMap::new();
        for (_, octets) in self.air.iter().filter(|(site, _)| site.0 == from) {
            if let Ok(Pdu::Data(data)) = Pdu::decode(octets) {
                *counts.entry((data.message.number, data.sequence)).or_insert(0) += 1;
            }
        }
        counts
    }
}

pub(super) fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn one_message_over_a_clean_channel_costs_what_it_must() {
    let mut world = World::new(1, 2);
    world.submit(1, 7, &text(1000), &[(2, false)], 8);
    world.run(MINUTE * 30);
    assert_eq!(world.site(2).arrived, [text(1000)]);
    assert_eq!(world.delivered(1), [(7, 2)]);
    // Address, 9 Data_PDUs, the acknowledgement, the Ack-Ack; nothing else.
    let kinds: Vec<u8> = world.air.iter().map(|(_, octets)| octets[3] & 0x3f).collect();
    assert_eq!(kinds, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(world.site(1).engine.load(), (0, 0));
    // Only the dedupe window and the memory of the end are left.
    let letters = |site: &Site| site.disk.keys().map(|key| key[0] as char).collect::<String>();
    assert_eq!((letters(world.site(1)), letters(world.site(2))), ("ELS".into(), "D".into()));
}

#[test]
fn everything_arrives_once_over_lossy_channels_with_two_and_three_sites() {
    for seed in 0..40 {
        let mut world = World::new(seed, 3);
        world.loss_per_million = 50_000 + 10_000 * (seed as u32 % 30);
        world.submit(1, 1, &text(3000), &[(2, false), (3, false)], 8);
        world.submit(2, 2, &text(500), &[(1, false)], 4);
        world.run(MINUTE);
        world.submit(3, 3, &text(1200), &[(1, false), (2, false)], 2);
        world.submit(1, 4, &text(50), &[(2, false)], 2);
        world.run(Duration::from_secs(26 * 3600));
        for (from, handle, to) in [(1, 1, 2), (1, 1, 3), (2, 2, 1), (3, 3, 1), (3, 3, 2), (1, 4, 2)] {
            let told = world.delivered(from).iter().filter(|d| **d == (handle, to)).count();
            let failed = world.failed(from).iter().filter(|f| (f.0, f.1) == (handle, to)).count();
            assert_eq!((told, failed), (1, 0), "seed {seed}: {handle} to {to}");
        }
        assert_eq!(world.site(2).arrived.len(), 3, "seed {seed}");
        assert!(world.site(3).arrived == [text(3000)], "seed {seed}");
        for id in 1..=3 {
            assert_eq!(world.site(id).engine.load(), (0, 0));
            let alarms = world.sites[&NodeId(id)].events.iter();
            let alarms: Vec<_> = alarms.filter(|e| matches!(e, Event::Notice { alarm: true, .. })).collect();
            assert!(alarms.is_empty(), "seed {seed}: {alarms:?}");
        }
    }
}

#[test]
fn a_flash_overtakes_and_the_routine_message_resumes() {
    let mut world = World::new(3, 2);
    world.submit(1, 1, &text(20_000), &[(2, false)], 8);
    world.run(Duration::from_secs(20));
    assert!(world.site(2).arrived.is_empty());
    let before = world.now.mono;
    world.submit(1, 2, &text(200), &[(2, false)], 2);
    while world.site(2).arrived.is_empty() {
        assert!(world.step(before + MINUTE));
    }
    // One PDU on the air, then an Address_PDU and two Data_PDUs.
    assert!(world.now.mono.since(before) < Duration::from_secs(3), "{:?}", world.now.mono.since(before));
    world.run(MINUTE * 30);
    assert_eq!(world.site(2).arrived, [text(200), text(20_000)]);
    assert!(world.data_on_air(1).values().all(|&count| count == 1), "nothing is sent twice");
}

#[test]
fn lost_pdus_only_are_repeated() {
    let mut world = World::new(4, 2);
    world.loss_per_million = 200_000;
    world.submit(1, 1, &text(10_000), &[(2, false)], 8);
    while !world.data_on_air(1).keys().any(|(_, sequence)| *sequence == 90) {
        assert!(world.step(world.now.mono + MINUTE * 60));
    }
    world.loss_per_million = 0;
    world.run(MINUTE * 30);
    assert_eq!(world.site(2).arrived, [text(10_000)]);
    let repeated = world.data_on_air(1).values().filter(|&&count| count > 1).count();
    assert!((5..35).contains(&repeated), "{repeated} of 90");
    assert!(world.data_on_air(1).values().all(|&count| count <= 2));
}

#[test]
fn restarts_at_any_moment_on_either_side_resume() {
    for seed in 0..40u64 {
        let mut world = World::new(seed, 2);
        let mut random = Seeded::new(seed);
        world.loss_per_million = 20_000 * (seed as u32 % 4);
        world.submit(1, 1, &text(5000), &[(2, false)], 8);
        let mut restarts = 0;
        for _ in 0..400 {
            if !world.step(world.now.mono + Duration::from_secs(26 * 3600)) {
                break;
            }
            if random.below(25) == 0 && restarts < 8 {
                world.restart(1 + random.below(2) as u32);
                restarts += 1;
                // The gateway submits again what it has not seen delivered.
                if world.delivered(1).is_empty() {
                    world.submit(1, 1, &text(5000), &[(2, false)], 8);
                }
            }
        }
        world.run(Duration::from_secs(26 * 3600));
        assert_eq!(world.site(2).arrived, [text(5000)], "seed {seed}");
        assert!(world.delivered(1).contains(&(1, 2)), "seed {seed}");
        assert_eq!(world.failed(1), [], "seed {seed}");
        let numbers: BTreeSet<u32> = world.data_on_air(1).keys().map(|(number, _)| *number).collect();
        assert_eq!(numbers.len(), 1, "seed {seed}: one message");
        if world.loss_per_million == 0 {
            let sent: usize = world.data_on_air(1).values().sum();
            // Each restart costs at most the PDU that was on the air, and what an early repair repeats.
            assert!(sent <= 45 + 4 * restarts, "seed {seed}: {sent} Data_PDUs, {restarts} restarts");
        }
    }
}

#[test]
fn a_silent_ship_gets_the_message_and_answers_late() {
    let mut world = World::new(5, 3);
    let now = world.now;
    world.site(3).engine.set_own_emission(now, Emission::Silent);
    world.submit(1, 1, &text(2000), &[(2, false), (3, true)], 2);
    world.run(MINUTE * 45);
    assert_eq!(world.site(3).arrived, [text(2000)]);
    assert_eq!(world.delivered(1), [(1, 2)]);
    assert!(world.air.iter().all(|(from, _)| from.0 != 3), "the ship emits nothing");
    let why: Vec<&str> = world.sites[&NodeId(1)].events.iter().filter_map(why_of).collect();
    assert!(why.contains(&"sent, silence expected"), "{why:?}");
    // EMCON_RTI for Flash is 600 s, EMCON_RTC 4.
    let counts = world.data_on_air(1);
    assert!(counts.values().all(|&count| count == 5), "{counts:?}");
    // The ship is restarted in EMCON, then EMCON ends.
    world.restart(3);
    let now = world.now;
    world.site(3).engine.set_own_emission(now, Emission::Silent);
    world.run(MINUTE);
    let now = world.now;
    world.site(3).engine.set_own_emission(now, Emission::Free);
    world.settle(NodeId(3));
    world.run(MINUTE * 10);
    assert_eq!(world.delivered(1), [(1, 2), (1, 3)]);
    assert!(world.sites[&NodeId(1)].events.contains(&Event::SilenceEnded(NodeId(3))));
    assert_eq!(world.site(3).arrived.len(), 1);
}

fn why_of(event: &Event) -> Option<&'static str> {
    match event {
        Event::Progress(advance) => Some(advance.why),
        _ => None,
    }
}

#[test]
fn own_silence_suspends_timers_and_emits_nothing() {
    let mut world = World::new(6, 2);
    world.submit(1, 1, &text(300), &[(2, false)], 8);
    world.run(Duration::from_secs(1));
    let now = world.now;
    world.site(1).engine.set_own_emission(now, Emission::Silent);
    let sent = world.air.iter().filter(|(from, _)| from.0 == 1).count();
    world.run(MINUTE * 600);
    // One PDU was with the node below when silence began; it is the node's to hold back.
    assert!(world.air.iter().filter(|(from, _)| from.0 == 1).count() <= sent + 1);
    assert_eq!(world.site(1).engine.next_priority(), None);
    let now = world.now;
    world.site(1).engine.set_own_emission(now, Emission::Free);
    world.settle(NodeId(1));
    world.run(MINUTE * 10);
    assert_eq!(world.delivered(1), [(1, 2)]);
}

#[test]
fn expiry_is_reported_once_and_discarded() {
    let mut world = World::new(7, 2);
    world.loss_per_million = 1_000_000;
    world.submit_for(1, 1, &text(300), &[(2, false)], 8, MINUTE * 10);
    world.submit_for(1, 2, &text(300), &[(2, false)], 8, MINUTE * 600);
    world.run(MINUTE * 20);
    assert_eq!(world.failed(1), [(1, 2, Undelivered::Expired)]);
    let now = world.now;
    assert!(world.site(1).engine.cancel(now, 2) > 300);
    assert_eq!(world.site(1).engine.cancel(now, 2), 0, "once");
    world.settle(NodeId(1));
    world.run(MINUTE * 20);
    assert_eq!(world.failed(1), [(1, 2, Undelivered::Expired), (2, 2, Undelivered::Cancelled)]);
    let discards = world.air.iter().filter(|(_, octets)| octets[3] == 3).count();
    assert_eq!(discards, 2);
    // Submitting the same handles again tells their ends and sends nothing.
    world.submit(1, 1, &text(300), &[(2, false)], 8);
    assert_eq!(world.failed(1).len(), 3);
    assert_eq!(world.site(1).engine.load(), (0, 0));
}

#[test]
fn the_final_acknowledgement_waits_for_the_gateway() {
    let mut world = World::new(8, 2);
    world.site(2).refuse_first = true;
    world.submit(1, 1, &text(300), &[(2, false)], 8);
    world.run(Duration::from_secs(50));
    assert_eq!(world.delivered(1), []);
    assert!(world.air.iter().all(|(from, _)| from.0 != 2));
    world.run(MINUTE * 10);
    assert_eq!(world.delivered(1), [(1, 2)]);
    assert_eq!(world.site(2).arrived.len(), 1);
}

#[test]
fn a_late_joiner_keeps_orphans_until_it_is_addressed() {
    let mut world = World::new(9, 2);
    let mut pdus = Vec::new();
    world.submit(1, 1, &text(1000), &[(2, false)], 8);
    let now = world.now;
    world.site(1).on_air.take().inspect(|(_, out)| pdus.push(out.clone()));
    while let Some(out) = world.site(1).engine.poll_pdu(now) {
        pdus.push(out);
    }
    for out in pdus.iter().skip(1) {
        world.site(2).engine.handle_pdu(now, None, &out.octets);
    }
    world.settle(NodeId(2));
    assert!(world.site(2).arrived.is_empty());
    world.site(2).engine.handle_pdu(now, None, &pdus[0].octets);
    world.settle(NodeId(2));
    assert_eq!(world.site(2).arrived, [text(1000)]);
    // Orphans that are never claimed are dropped.
    let stray = MessageId { source: NodeId(9), number: 1 };
    let stray = Pdu::Data(Data { priority: 8, message: stray, sequence: 1, fragment: b"x" }).encode(Default::default());
    world.site(2).engine.handle_pdu(now, None, &stray);
    assert_eq!(world.site(2).engine.half_messages_of(NodeId(9)), 1);
    world.run(Duration::from_secs(4 * 3600));
    assert_eq!(world.site(2).engine.half_messages_of(NodeId(9)), 0);
}

#[test]
fn no_timer_runs_while_pdus_wait_below() {
    let mut world = World::new(10, 2);
    world.submit(1, 1, &text(300), &[(2, false)], 8);
    let now = world.now;
    let first = world.site(1).on_air.take().unwrap().1;
    let mut tokens = vec![first.token];
    while let Some(out) = world.site(1).engine.poll_pdu(now) {
        tokens.push(out.token);
    }
    let last = tokens.pop().unwrap();
    tokens.into_iter().for_each(|token| world.site(1).engine.pdu_left(now, token));
    let later = now.after(MINUTE * 300);
    world.site(1).engine.handle_wakeup(later);
    assert_eq!(world.site(1).engine.poll_pdu(later), None, "the last PDU is still below");
    world.site(1).engine.pdu_left(later, last);
    assert_eq!(world.site(1).engine.poll_pdu(later), None);
    let wait = world.site(1).engine.next_wakeup().unwrap();
    assert_eq!(wait.why, "ack missing");
    world.site(1).engine.handle_wakeup(later.after(MINUTE * 30));
    assert!(world.site(1).engine.poll_pdu(later.after(MINUTE * 30)).is_some());
}

#[test]
fn a_returned_pdu_goes_again() {
    let mut world = World::new(11, 2);
    world.submit(1, 1, &text(50), &[(2, false)], 8);
    let now = world.now;
    let address = world.site(1).on_air.take().unwrap().1;
    let data = world.site(1).engine.poll_pdu(now).unwrap();
    world.site(1).engine.pdu_returned(now, data.token, Duration::ZERO);
    world.site(1).engine.pdu_left(now, address.token);
    assert_eq!(world.site(1).engine.poll_pdu(now).map(|out| out.octets), Some(data.octets));
}

#[test]
fn a_refused_message_rests_and_others_go_on() {
    let mut world = World::new(12, 3);
    world.submit(1, 1, &text(50), &[(2, false)], 2);
    world.submit(1, 2, &text(50), &[(3, false)], 8);
    let now = world.now;
    let address = world.site(1).on_air.take().unwrap().1;
    let engine = &mut world.site(1).engine;
    engine.pdu_returned(now, address.token, MINUTE);
    assert_eq!(engine.next_to().map(|to| to.nodes), Some(vec![NodeId(3)]));
    world.settle(NodeId(1));
    world.run(MINUTE * 5);
    assert_eq!(world.delivered(1), [(2, 3), (1, 2)]);
}

#[test]
fn a_returned_acknowledgement_goes_again() {
    let mut world = World::new(13, 2);
    world.submit(1, 1, &text(50), &[(2, false)], 8);
    while world.site(2).on_air.is_none() {
        assert!(world.step(Instant::ZERO + MINUTE));
    }
    let now = world.now;
    let ack = world.site(2).on_air.take().unwrap().1;
    assert_eq!((ack.octets[3], ack.to.nodes), (1, vec![NodeId(1)]));
    world.site(2).engine.pdu_returned(now, ack.token, Duration::from_secs(1));
    world.run(Duration::from_secs(10));
    assert_eq!(world.delivered(1), [(1, 2)]);
}

/// The bearer came to take less when all but the acknowledgement had come: it counts for the message begun anew.
#[test]
fn a_late_acknowledgement_counts_for_the_message_begun_anew() {
    let mut world = World::new(5, 3);
    world.submit(1, 7, &[7; 1_000], &[(2, false), (3, false)], 8);
    let end = world.now.mono + MINUTE * 60;
    while world.site(2).arrived.is_empty() {
        assert!(world.step(end));
    }
    world.loss_per_million = 1_000_000;
    let heard = world.air.len();
    let now = world.now;
    world.site(1).engine.limit_pdus(now, 70);
    while !world.notices(1).contains(&"message_renewed") {
        assert!(world.step(end));
    }
    assert!(world.site(1).engine.take_renewed());
    let acks = world.air[heard..].iter().filter(|(from, _)| *from == NodeId(2)).map(|(_, octets)| octets.clone());
    let acks: Vec<Vec<u8>> = acks.collect();
    assert!(!acks.is_empty() && world.delivered(1).is_empty() && world.failed(1).is_empty());
    for ack in &acks {
        let now = world.now;
        world.site(1).engine.handle_pdu(now, Some(NodeId(2)), ack);
        world.settle(NodeId(1));
    }
    assert_eq!(world.delivered(1), [(7, 2)], "once");
    world.restart(1);
    world.loss_per_million = 0;
    world.run(MINUTE * 600);
    let mut delivered = world.delivered(1);
    delivered.dedup();
    assert_eq!(delivered.last(), Some(&(7, 3)));
    assert_eq!(world.failed(1), []);
    assert_eq!((world.site(2).arrived.len(), world.site(3).arrived.len()), (1, 2), "3 had it, and said so in vain");
}

/// An Ack_PDU that tells of several messages goes the way of the one that may least be lost.
#[test]
fn gathered_acknowledgements_go_by_the_safer_way() {
    for (alone, may_be_lost) in [(false, true), (true, false)] {
        let mut world = World::new(5, 3);
        // Its transmitter is busy while the messages arrive.
        let to = To { group: None, nodes: Vec::new(), silent: false, may_be_lost: false };
        let expiry = world.now.wall;
        let busy = OutPdu { token: Token(0), to, priority: 8, octets: Bytes::new(), expiry, handle: None };
        world.site(2).on_air = Some((Instant::ZERO + MINUTE * 600, busy));
        world.submit(1, 1, &text(50), &[(2, false), (3, false)], 4);
        if alone {
            world.submit(1, 2, &text(60), &[(2, false)], 8);
        }
        world.run(Duration::from_secs(5));
        let now = world.now;
        let engine = &mut world.site(2).engine;
        assert_eq!(engine.next_to().map(|to| to.may_be_lost), Some(may_be_lost));
        let out = engine.poll_pdu(now).unwrap();
        let Ok(Pdu::Ack(ack)) = Pdu::decode(&out.octets) else { panic!("{out:?}") };
        assert_eq!((ack.entries.len(), out.to.may_be_lost), (1 + usize::from(alone), may_be_lost));
    }
}

/// Sites that have agreed on other priorities write those, in every kind of PDU, and mean what they meant.
#[test]
fn priorities_on_the_wire_are_those_that_were_agreed() {
    let agreed = |id| EngineConfig { priorities: Some([50, 40, 30, 20, 10, 0]), ..config(id) };
    let mut world = World::with(6, (1..=2).map(agreed).collect());
    world.submit(1, 1, &text(300), &[(2, false)], 4);
    world.submit(1, 2, &text(300), &[(2, false)], 9);
    world.run(MINUTE * 10);
    let written: BTreeSet<(u8, u8)> = world.air.iter().map(|(_, octets)| (octets[3] & 0x3f, octets[2])).collect();
    // Data, acknowledgement and address, of Immediate and, rounded, of Deferred.
    assert_eq!(written.into_iter().collect::<Vec<_>>(), [(0, 20), (0, 50), (1, 20), (1, 50), (2, 20), (2, 50)]);
    let arrived = |event: &Event| match event {
        Event::Arrived { priority, .. } => Some(*priority),
        _ => None,
    };
    let arrived: Vec<u8> = world.site(2).events.iter().filter_map(arrived).collect();
    assert_eq!(arrived, [4, 10]);
    let mistakes = EngineConfig { priorities: Some([5, 4, 4, 2, 1, 0]), ..config(1) }.mistakes();
    assert_eq!(mistakes.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["priorities"]);
}

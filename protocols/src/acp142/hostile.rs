//! Hostile inputs 33 to 42 of the list, and random sequences of PDUs against one engine.

use super::ack::{Ack, AckEntry};
use super::address::{Address, Destination, FecAddress};
use super::checksum::Checksum;
use super::config::EngineConfig;
use super::engine::Engine;
use super::event::{Event, Outgoing, Undelivered};
use super::limits::{DESTINATIONS_MAX, RECEPTIONS_MAX, RECEPTIONS_PER_SENDER_MAX};
use super::numbers::Span;
use super::pdu::{Data, Discard, Map, MessageId, NodeId, Pdu};
use super::tests::{World, config, text};
use crate::bytes::Bytes;
use crate::random::{Random as _, Seeded};
use crate::time::{Duration, Instant, Now, WallTime};

const START: u64 = 1_700_000_000;
const DAY: Duration = Duration::from_secs(86_400);

fn id(source: u32, number: u32) -> MessageId {
    MessageId { source: NodeId(source), number }
}

fn data(message: MessageId, priority: u8, sequence: u16, fragment: &[u8]) -> Vec<u8> {
    Pdu::Data(Data { priority, message, sequence, fragment }).encode(Checksum::Fletcher)
}

fn address(message: MessageId, priority: u8, total: u16, to: &[u32]) -> Address {
    let entry = |&node: &u32| Destination { node: NodeId(node), sequence: 1, reserved: Bytes::new() };
    let expiry = (START + 20 * 86_400) as u32;
    let destinations = to.iter().map(entry).collect();
    Address { extra: false, priority, map: Map::Only, message, total, expiry, destinations }
}

fn addressed(message: MessageId, priority: u8, total: u16, to: &[u32]) -> Vec<u8> {
    Pdu::Address(address(message, priority, total, to)).encode(Checksum::Fletcher)
}

fn ack(acker: u32, message: MessageId, missing: &[(u16, u16)]) -> Vec<u8> {
    let missing = missing.iter().map(|&(first, last)| Span { first, last }).collect();
    let entries = vec![AckEntry { message, missing, ranges: true }];
    Pdu::Ack(Ack { priority: 0, acker: NodeId(acker), entries, timestamp: None }).encode(Checksum::Fletcher)
}

fn discard(message: MessageId) -> Vec<u8> {
    Pdu::Discard(Discard { priority: 0, message }).encode(Checksum::Fletcher)
}

/// An engine alone, and the names of what it noticed.
struct Lone {
    engine: Engine,
    now: Now,
    arrived: Vec<(MessageId, Bytes)>,
    noticed: Vec<(&'static str, bool)>,
}

impl Lone {
    fn new(config: EngineConfig) -> Self {
        let now = Now { mono: Instant::ZERO, wall: WallTime::from_unix_seconds(START) };
        Self { engine: Engine::new(config, now, Seeded::new(1)), now, arrived: vec![], noticed: vec![] }
    }

    fn take(&mut self, octets: &[u8]) -> &mut Self {
        self.take_from(None, octets)
    }

    fn take_from(&mut self, from: Option<u32>, octets: &[u8]) -> &mut Self {
        self.engine.handle_pdu(self.now, from.map(NodeId), octets);
        while self.engine.poll_write().is_some() {}
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Arrived { arrival, message, octets, .. } => {
                    self.arrived.push((message, octets));
                    self.engine.accept(self.now, arrival);
                }
                Event::Notice { name, alarm, .. } => self.noticed.push((name, alarm)),
                Event::Delivered { .. } | Event::Failed { .. } | Event::Progress(_) | Event::SilenceEnded(_) => {}
            }
        }
        self
    }

    fn noticed(&mut self) -> Vec<(&'static str, bool)> {
        std::mem::take(&mut self.noticed)
    }
}

fn number_of(world: &World, site: u32) -> u32 {
    let own = world.air.iter().find(|(from, _)| from.0 == site);
    let Some(Ok(Pdu::Address(address))) = own.map(|(_, octets)| Pdu::decode(octets)) else { panic!("an address") };
    address.message.number
}

/// Hostile input 33.
#[test]
fn forged_acknowledgements_are_ignored_and_alarmed() {
    let mut world = World::new(1, 1);
    world.submit(1, 1, &text(100), &[(2, false), (3, true)], 8);
    world.run(Duration::from_secs(5));
    let (now, number) = (world.now, number_of(&world, 1));
    let engine = &mut world.site(1).engine;
    engine.plan_silence(NodeId(3), Some(now.wall + DAY));
    engine.handle_pdu(now, None, &ack(9, id(1, number), &[]));
    engine.handle_pdu(now, None, &ack(2, id(1, number + 1), &[]));
    engine.handle_pdu(now, None, &ack(2, id(1, number - 1), &[]));
    engine.handle_pdu(now, Some(NodeId(9)), &ack(2, id(1, number), &[]));
    engine.handle_pdu(now, None, &ack(2, id(5, number), &[]));
    world.settle(NodeId(1));
    assert_eq!(world.delivered(1), []);
    let alarms = ["ack_of_stranger", "ack_of_future_message", "ack_of_unknown_message", "pdu_forged"];
    assert_eq!(world.notices(1), alarms);
    // In EMCON, earlier than planned: believed, and alarmed.
    world.site(1).engine.handle_pdu(now, None, &ack(3, id(1, number), &[]));
    world.settle(NodeId(1));
    assert_eq!(world.delivered(1), [(1, 3)]);
    assert_eq!(world.notices(1).last(), Some(&"ack_in_planned_silence"));
}

/// Hostile input 34.
#[test]
fn forged_discards_are_ignored() {
    let mut lone = Lone::new(config(2));
    lone.take(&addressed(id(1, 5), 8, 2, &[2])).take(&data(id(1, 5), 8, 1, b"a"));
    lone.take_from(Some(9), &discard(id(1, 5)));
    assert_eq!(lone.noticed(), [("pdu_forged", true)]);
    lone.take(&data(id(1, 5), 8, 2, b"b"));
    assert_eq!(lone.arrived, [(id(1, 5), Bytes::from_static(b"ab"))], "nothing was dropped");
    let mut deaf = Lone::new(EngineConfig { obey_discards: false, known_senders_only: true, ..config(2) });
    deaf.take_from(Some(1), &addressed(id(1, 5), 8, 2, &[2])).take_from(Some(1), &discard(id(1, 5)));
    assert_eq!(deaf.noticed(), [("discard_ignored", true)]);
    deaf.take(&data(id(1, 5), 8, 1, b"a"));
    assert_eq!(deaf.noticed(), [("pdu_of_unknown_sender", false)]);
    // From its sender it is obeyed.
    lone.take(&addressed(id(1, 6), 8, 2, &[2])).take(&discard(id(1, 6)));
    assert_eq!(lone.engine.half_messages_of(NodeId(1)), 0);
}

/// Hostile input 35.
#[test]
fn address_lists_are_bounded() {
    let mut lone = Lone::new(config(2));
    let mut lying = addressed(id(1, 5), 8, 1, &[2]);
    lying[20..22].copy_from_slice(&9000u16.to_be_bytes());
    Checksum::Fletcher.seal(&mut lying);
    lone.take(&lying);
    assert_eq!(lone.noticed(), [("pdu_broken", false)]);
    lone.take(&addressed(id(1, 6), 8, 1, &[2, 2, 2])).take(&data(id(1, 6), 8, 1, b"once"));
    assert_eq!(lone.arrived.len(), 1);
    let many: Vec<u32> = (2..8000).collect();
    lone.take(&addressed(id(1, 7), 8, 1, &many)).take(&data(id(1, 7), 8, 1, b"many"));
    assert_eq!(lone.arrived.len(), 2);
    let outgoing = |to: Vec<(NodeId, bool)>| Outgoing {
        handle: 1,
        message: Bytes::from_static(b"x"),
        destinations: to,
        priority: 8,
        expiry: WallTime::from_unix_seconds(START + 60),
        group: 0,
    };
    let to = |ids: &[u32]| ids.iter().map(|&node| (NodeId(node), false)).collect::<Vec<_>>();
    let ten_thousand: Vec<u32> = (3..10_003).collect();
    assert!(ten_thousand.len() > DESTINATIONS_MAX);
    for bad in [to(&ten_thousand), to(&[]), to(&[3, 3]), to(&[2])] {
        assert!(lone.engine.submit(lone.now, outgoing(bad)).is_err());
    }
    assert!(lone.engine.submit(lone.now, Outgoing { message: Bytes::new(), ..outgoing(to(&[3])) }).is_err());
}

/// Hostile input 36.
#[test]
fn numbers_and_contents_that_conflict() {
    let mut lone = Lone::new(config(2));
    let mut zero = data(id(1, 5), 8, 1, b"a");
    zero[4..6].fill(0);
    Checksum::Fletcher.seal(&mut zero);
    lone.take(&zero).take(&addressed(id(1, 5), 8, 3, &[2]));
    lone.take(&data(id(1, 5), 8, 4, b"beyond")).take(&data(id(1, 5), 8, 1, b"first"));
    lone.take(&data(id(1, 5), 8, 1, b"other")).take(&addressed(id(1, 5), 8, 1, &[2]));
    let noticed = [("pdu_broken", false), ("data_beyond_total", false), ("conflicting_fragment", true)];
    assert_eq!(lone.noticed(), noticed);
    lone.take(&data(id(1, 5), 8, 2, b"-")).take(&data(id(1, 5), 8, 3, b"last"));
    assert_eq!(lone.arrived, [(id(1, 5), Bytes::from_static(b"first-last"))], "first kept, total not lowered");
    // A peer whose totals shrink: a fragment beyond raises it.
    let mut config = config(2);
    config.quirks.insert(NodeId(1), super::quirks::Quirks::LIBJPMUL);
    let mut lone = Lone::new(config);
    lone.take(&addressed(id(1, 6), 8, 2, &[2])).take(&data(id(1, 6), 8, 4, b"d"));
    for (sequence, fragment) in [(1, b"a"), (2, b"b"), (3, b"c")] {
        lone.take(&data(id(1, 6), 8, sequence, fragment));
    }
    assert_eq!(lone.arrived, [(id(1, 6), Bytes::from_static(b"abcd"))]);
}

/// Hostile input 37.
#[test]
fn replays_and_numbers_after_a_restart() {
    let mut world = World::new(2, 2);
    world.submit(1, 1, &text(300), &[(2, false)], 8);
    world.run(Duration::from_secs(600));
    let replay: Vec<Vec<u8>> = world.air.iter().filter(|(from, _)| from.0 == 1).map(|(_, o)| o.clone()).collect();
    world.restart(2);
    let now = world.now;
    for octets in &replay {
        world.site(2).engine.handle_pdu(now, None, octets);
        world.settle(NodeId(2));
    }
    assert_eq!(world.site(2).arrived.len(), 1);
    // The clock of the sender goes back ten years; its numbers do not.
    let first = number_of(&world, 1);
    world.restart(1);
    world.air.clear();
    world.now.wall = WallTime::from_unix_seconds(START - 10 * 365 * 86_400);
    world.submit(1, 2, &text(10), &[(2, false)], 8);
    world.run(Duration::from_secs(60));
    assert_eq!(number_of(&world, 1), first + 1);
}

/// Hostile input 38.
#[test]
fn broken_pdus_are_dropped_and_counted() {
    let mut lone = Lone::new(config(2));
    let good = addressed(id(1, 5), 8, 1, &[2]);
    let mut flipped = good.clone();
    flipped[9] ^= 1;
    lone.take(&flipped).take(&good[..good.len() - 1]).take(&[]).take(&[0, 4, 0, 0]);
    let broken = [("checksum_wrong", false), ("pdu_broken", false), ("pdu_broken", false), ("pdu_broken", false)];
    assert_eq!(lone.noticed(), broken);
    let longer = [good, vec![0; 40]].concat();
    lone.take(&longer).take(&data(id(1, 5), 8, 1, b"x"));
    assert_eq!(lone.arrived.len(), 1, "cut at its length");
}

/// Hostile input 39.
#[test]
fn missing_lists_are_bounded_by_the_message() {
    let mut world = World::new(3, 1);
    world.submit(1, 1, &text(300), &[(2, false)], 8);
    world.run(Duration::from_secs(5));
    let (now, number) = (world.now, number_of(&world, 1));
    world.air.clear();
    world.site(1).engine.handle_pdu(now, None, &ack(2, id(1, number), &[(9, 65_535)]));
    world.settle(NodeId(1));
    world.run(Duration::from_secs(5));
    assert_eq!((world.notices(1), world.air.len()), (vec!["ack_beyond_total"], 0), "nothing to repeat");
    world.site(1).engine.handle_pdu(now, None, &ack(2, id(1, number), &[(2, 65_535)]));
    world.settle(NodeId(1));
    world.run(Duration::from_secs(5));
    assert_eq!(world.air.len(), 3, "an Address_PDU and two Data_PDUs");
}

/// Hostile input 40.
#[test]
fn timers_cannot_be_used_against_the_sender() {
    let mut world = World::new(4, 1);
    world.submit(1, 1, &text(1000), &[(2, false)], 8);
    for _ in 0..2000 {
        world.step(world.now.mono + Duration::from_secs(3600));
        if world.air.last().is_some_and(|(_, octets)| octets[5] == 9 && octets[3] == 0) {
            let (now, number) = (world.now, number_of(&world, 1));
            world.site(1).engine.handle_pdu(now, None, &ack(2, id(1, number), &[(1, 9)]));
            world.settle(NodeId(1));
        }
    }
    // 32 rounds, then silence, an alarm, and the end at expiry.
    assert_eq!(world.air.iter().filter(|(_, octets)| octets[3] == 0).count(), 9 * 33);
    assert_eq!(world.notices(1), ["rounds_exhausted"]);
    world.run(DAY * 2);
    assert_eq!(world.failed(1), [(1, 2, Undelivered::Expired)]);

    let mut world = World::new(5, 1);
    world.submit_for(1, 1, &text(1000), &[(2, true)], 8, DAY * 365);
    world.run(DAY * 364);
    assert_eq!(world.air.iter().filter(|(_, octets)| octets[3] == 0).count(), 9 * 3, "EMCON_RTC repeats");
    assert_eq!(world.failed(1), []);
    world.run(DAY * 2);
    assert_eq!(world.failed(1), [(1, 2, Undelivered::Expired)]);
}

/// Hostile input 41.
#[test]
fn ten_thousand_half_messages_of_a_thousand_senders() {
    let mut lone = Lone::new(config(2));
    lone.take(&addressed(id(50_000, 1), 2, 2, &[2])).take(&data(id(50_000, 1), 2, 1, b"flash "));
    for number in 0..10 {
        for sender in 100..1100 {
            lone.take(&data(id(sender, number), 8, 1, b"half"));
        }
    }
    let senders = (100..1100).chain([50_000]);
    let held: usize = senders.map(|sender| lone.engine.half_messages_of(NodeId(sender))).sum();
    assert_eq!(held, RECEPTIONS_MAX);
    lone.take(&data(id(50_000, 1), 2, 2, b"message"));
    assert_eq!(lone.arrived, [(id(50_000, 1), Bytes::from_static(b"flash message"))], "the Flash is kept");
    for number in 0..1000 {
        lone.take(&addressed(id(7, number), 8, 2, &[2]));
        lone.take(&addressed(id(8, number), 2, 2, &[2]));
    }
    assert!(lone.engine.half_messages_of(NodeId(7)) <= RECEPTIONS_PER_SENDER_MAX);
    assert_eq!(lone.engine.half_messages_of(NodeId(8)), RECEPTIONS_PER_SENDER_MAX);
}

/// Hostile input 42.
#[test]
fn fec_is_counted_and_never_delivered() {
    let mut lone = Lone::new(config(2));
    let fec = FecAddress { address: address(id(1, 5), 8, 1, &[2]), code: 1, parameters: Bytes::from_static(b"\0\x10") };
    lone.take(&Pdu::FecAddress(fec).encode(Checksum::Fletcher)).take(&data(id(1, 5), 8, 1, b"x"));
    assert_eq!(lone.noticed(), [("fec_not_agreed", false)]);
    // When Extra_Address_PDUs are to be used is not known either: told, and nothing is delivered by them.
    let extra = Pdu::Address(Address { extra: true, ..address(id(1, 6), 8, 1, &[2]) });
    lone.take(&extra.encode(Checksum::Fletcher)).take(&data(id(1, 6), 8, 1, b"x"));
    assert_eq!(lone.noticed(), [("extra_address_not_agreed", false)]);
    assert_eq!(lone.arrived, []);
    assert_eq!(lone.arrived, []);
}

#[test]
fn random_sequences_of_pdus_neither_panic_nor_grow_nor_spin() {
    for seed in 0..30 {
        let mut random = Seeded::new(seed);
        let mut lone = Lone::new(config(2));
        let mut out = 0;
        for handle in 0..300 {
            let message = id(1 + random.below(3) as u32, START as u32 + random.below(6) as u32);
            let number = |random: &mut Seeded| random.below(9) as u16 + 1;
            let octets = match random.below(5) {
                0 => {
                    addressed(message, random.below(12) as u8, number(&mut random), &[2, 3][..random.below(3) as usize])
                }
                1 | 2 => data(message, 8, number(&mut random), &text(random.below(100) as usize)),
                3 => {
                    let first = number(&mut random);
                    let missing = [(first, first + number(&mut random))];
                    ack(random.below(5) as u32, message, &missing[..random.below(2) as usize])
                }
                _ => discard(message),
            };
            lone.take(&octets);
            if random.below(10) == 0 {
                let to = vec![(NodeId(1), random.below(2) == 0), (NodeId(3), false)];
                let message = Bytes::from(text(1 + random.below(500) as usize));
                let expiry = lone.now.wall + Duration::from_secs(1 + random.below(4000));
                let outgoing = Outgoing { handle, message, destinations: to, priority: 8, expiry, group: 0 };
                lone.engine.submit(lone.now, outgoing).unwrap();
            }
            while let Some(pdu) = lone.engine.poll_pdu(lone.now) {
                out += 1;
                assert!(out < 20_000 && pdu.octets.len() <= 128, "seed {seed}");
                lone.engine.pdu_left(lone.now, pdu.token);
            }
            lone.now = lone.now.after(Duration::from_secs(random.below(60)));
            lone.engine.handle_wakeup(lone.now);
            let wakeup = lone.engine.next_wakeup();
            assert!(wakeup.is_none_or(|wakeup| wakeup.at > lone.now.mono), "seed {seed}: {wakeup:?} at {:?}", lone.now);
        }
    }
}

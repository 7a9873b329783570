//! A forging station on the IP network of two sites joined by ACP 142: inputs 33 to 42 where a gateway can be told
//! from an engine alone. It knows all ids and numbers, and sends from an address of its own or a site's.

use std::net::{IpAddr, SocketAddr};

use skywave::world::World;
use skywave::world::plan::LinkKind;
use skywave_protocols::acp142::ack::{Ack, AckEntry};
use skywave_protocols::acp142::address::{Address, Destination, FecAddress};
use skywave_protocols::acp142::checksum::Checksum;
use skywave_protocols::acp142::numbers::Span;
use skywave_protocols::acp142::pdu::{Data, Discard, Map, MessageId, NodeId, Pdu};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::time::Duration;

use super::{HOUR, MINUTE, count, order, plan, settles, world};

pub const HQ: usize = 0;
pub const FIELD: usize = 1;
/// The forger's own address, in no table.
pub const STRANGER: [u8; 4] = [10, 0, 0, 99];
/// Expiry of forged messages: beyond every world.
const EXPIRY: u32 = 2_000_000_000;

pub fn pair() -> World {
    world(3, &plan(&["hq", "field"], &[LinkKind::Udp]))
}

fn message(source: u32, number: u32) -> MessageId {
    MessageId { source: NodeId(source), number }
}

/// Sends a PDU to a site's socket for data, or for acknowledgements.
pub fn forge(world: &mut World, from: impl Into<IpAddr>, to: usize, pdu: &Pdu<'_>) {
    forge_octets(world, from, to, matches!(pdu, Pdu::Ack(_)), &pdu.encode(Checksum::Fletcher));
}

fn forge_octets(world: &mut World, from: impl Into<IpAddr>, to: usize, ack: bool, octets: &[u8]) {
    let port = if ack { 2754 } else { 2753 };
    let (source, destination) = (SocketAddr::new(from.into(), port), SocketAddr::new(world.sites[to].host, port));
    world.datagram(source, destination, Bytes::copy_from_slice(octets));
}

pub fn address(source: u32, number: u32, total: u16, to: &[u32]) -> Pdu<'static> {
    let entry = |&node: &u32| Destination { node: NodeId(node), sequence: 1, reserved: Bytes::new() };
    Pdu::Address(Address {
        extra: false,
        priority: 6,
        map: Map::Only,
        message: message(source, number),
        total,
        expiry: EXPIRY,
        destinations: to.iter().map(entry).collect(),
    })
}

pub fn data(source: u32, number: u32, sequence: u16, fragment: &[u8]) -> Pdu<'_> {
    Pdu::Data(Data { priority: 6, message: message(source, number), sequence, fragment })
}

fn ack(acker: u32, of: MessageId, missing: Vec<Span>) -> Pdu<'static> {
    let entries = vec![AckEntry { message: of, missing, ranges: true }];
    Pdu::Ack(Ack { priority: 0, acker: NodeId(acker), entries, timestamp: None })
}

/// A whole unit from a station, cut as this house cuts.
pub fn forge_unit(world: &mut World, from: impl Into<IpAddr> + Copy, source: u32, number: u32, to: usize, unit: &[u8]) {
    let fragments: Vec<&[u8]> = unit.chunks(1_000).collect();
    forge(world, from, to, &address(source, number, fragments.len() as u16, &[to as u32 + 1]));
    for (sequence, fragment) in (1..).zip(fragments) {
        forge(world, from, to, &data(source, number, sequence, fragment));
    }
}

/// The numbers that headquarters gives to messages at this time.
fn numbers(world: &World) -> impl Iterator<Item = u32> + use<> {
    let now = (1_900_000_000 + world.at().as_micros() / 1_000_000) as u32;
    now.saturating_sub(60)..now + 60
}

/// Input 33: acknowledgements of a station that is no recipient, and of messages that do not exist yet, end nothing.
#[test]
fn acknowledgements_of_others_end_no_mail() {
    let mut world = pair();
    world.net.loss_per_million = 1_000_000;
    world.mail(HQ, order("a@hq.test", &["b@field.test"], "wanted"));
    world.run_for(Duration::from_secs(10));
    for number in numbers(&world).collect::<Vec<_>>() {
        forge(&mut world, STRANGER, HQ, &ack(77, message(1, number), Vec::new()));
        // Of a site in the table, with the id of nobody.
        let field = world.sites[FIELD].host;
        forge(&mut world, field, HQ, &ack(77, message(1, number), Vec::new()));
    }
    world.run_for(MINUTE);
    assert_eq!(world.sites[HQ].disk.owes(), 1, "still owed");
    world.net.loss_per_million = 0;
    settles(&mut world, HOUR);
    assert_eq!(count(&world, FIELD, "wanted"), 1);
}

/// Input 33: who answers although it was to be silent for longer is believed, and told as an alarm; also after a restart.
#[test]
fn an_answer_in_planned_silence_is_an_alarm() {
    use skywave::node::command::Command;
    let mut world = pair();
    let until = 1_900_000_000 + world.at().as_micros() / 1_000_000 + 7_200;
    let silence = |on, until| Command::Silence { link: "udp".to_owned(), site: "field.test".to_owned(), on, until };
    super::ask(&mut world, HQ, silence(true, Some(until)));
    world.trouble(Duration::ZERO, skywave::world::Trouble::Crash(HQ, Duration::from_secs(1)));
    world.run_for(MINUTE);
    world.mail(HQ, order("a@hq.test", &["b@field.test"], "early"));
    settles(&mut world, HOUR);
    let alarms = super::notices(&world, HQ, "ack_in_planned_silence");
    assert_eq!((count(&world, FIELD, "early"), alarms > 0), (1, true));
    super::ask(&mut world, HQ, silence(false, None));
    world.mail(HQ, order("a@hq.test", &["b@field.test"], "open"));
    settles(&mut world, HOUR);
    assert_eq!(super::notices(&world, HQ, "ack_in_planned_silence"), alarms);
}

/// Input 34: Discard_PDUs of a stranger cost no mail that is being received.
#[test]
fn forged_discards_cost_no_mail() {
    let mut world = pair();
    let mail = skywave::world::MailOrder {
        body: skywave::world::story::step::body(60_000, true, 1),
        ..order("a@hq.test", &["b@field.test"], "long")
    };
    world.mail(HQ, mail);
    let own = world_host(&world, FIELD);
    for _ in 0..20 {
        world.run_for(Duration::from_millis(700));
        for number in numbers(&world).collect::<Vec<_>>() {
            let discard = Pdu::Discard(Discard { priority: 0, message: message(1, number) });
            forge(&mut world, own, FIELD, &discard);
        }
    }
    settles(&mut world, HOUR);
    assert_eq!(count(&world, FIELD, "long"), 1);
}

fn world_host(world: &World, site: usize) -> IpAddr {
    world.sites[site].host
}

/// Inputs 35, 36, 38, 39, 41 and 42: an hour of everything that a station can say wrongly. Nothing of it is delivered,
/// nothing grows beyond its limit, and mail in both directions goes on.
#[test]
fn an_hour_of_forged_pdus_does_no_harm() {
    let mut world = pair();
    let mut random = Seeded::new(9);
    for round in 0..60u32 {
        for _ in 0..40 {
            let octets = forged(&mut random, round);
            let to = random.below(2) as usize;
            forge_octets(&mut world, STRANGER, to, random.chance(300_000), &octets);
        }
        if round % 20 == 0 {
            world.mail(HQ, order("a@hq.test", &["b@field.test"], &format!("out {round}")));
            world.mail(FIELD, order("b@field.test", &["a@hq.test"], &format!("home {round}")));
        }
        world.run_for(MINUTE);
    }
    settles(&mut world, HOUR);
    assert_eq!((count(&world, FIELD, "out"), count(&world, HQ, "home")), (3, 3));
    assert_eq!((world.sites[HQ].mta.received().len(), world.sites[FIELD].mta.received().len()), (3, 3));
}

fn forged(random: &mut Seeded, round: u32) -> Vec<u8> {
    let (source, number) = (random.below(2_000) as u32 + 3, random.below(50) as u32 + round);
    let sequence = random.below(70_000) as u16;
    let fragment = vec![7; random.below(1_300) as usize];
    let pdu = match random.below(6) {
        0 => data(source, number, sequence, &fragment),
        1 => address(source, number, sequence, &[1, 2, 2, 1, 2]),
        2 => address(source, number, 0, &(1..160).collect::<Vec<u32>>()),
        3 => Pdu::Discard(Discard { priority: 0, message: message(source, number) }),
        4 => ack(2, message(1, 1_900_000_000 + round * 60), vec![Span { first: 1, last: u16::MAX }]),
        _ => {
            let Pdu::Address(address) = address(source, number, 3, &[1, 2]) else { return Vec::new() };
            Pdu::FecAddress(FecAddress { address, code: 1, parameters: Bytes::new() })
        }
    };
    let mut octets = pdu.encode(Checksum::Fletcher);
    match random.below(5) {
        0 => octets.truncate(random.below(octets.len() as u64) as usize),
        1 => octets.extend_from_slice(&[0; 9]),
        2 => {
            let at = random.below(octets.len() as u64) as usize;
            octets[at] ^= 1 << random.below(8);
        }
        _ => {}
    }
    octets
}

/// Input 37: a complete message said again, at once and after a restart, is one mail.
#[test]
fn a_replayed_unit_is_delivered_once() {
    let mut world = pair();
    let unit = super::units::mule("<x@far.test>", &["<b@field.test>"], "Subject: once\r\n\r\nx\r\n");
    let far = world_host(&world, HQ);
    forge_unit(&mut world, far, 1, 77, FIELD, &unit);
    world.run_for(MINUTE);
    forge_unit(&mut world, far, 1, 77, FIELD, &unit);
    world.run_for(MINUTE);
    world.trouble(Duration::ZERO, skywave::world::Trouble::Crash(FIELD, Duration::from_secs(5)));
    world.run_for(MINUTE);
    forge_unit(&mut world, far, 1, 77, FIELD, &unit);
    world.run_for(MINUTE);
    assert_eq!(count(&world, FIELD, "once"), 1);
    assert_eq!(world.violations(), [""; 0]);
}

/// Input 40: an acknowledgement after each repeat, always with everything missing: the sender gives up by its expiry,
/// with one report, and has not sent for ever.
#[test]
fn acknowledgements_that_never_end_do_not_keep_a_sender_busy() {
    let mut world = pair();
    world.mail(HQ, order("a@hq.test", &["b@field.test"], "never"));
    world.net.loss_per_million = 1_000_000;
    world.run_for(Duration::from_secs(5));
    let field = world_host(&world, FIELD);
    let begun = numbers(&world).collect::<Vec<_>>();
    for _ in 0..1_000 {
        for &number in &begun {
            forge(&mut world, field, HQ, &ack(2, message(1, number), vec![Span { first: 1, last: 1 }]));
        }
        world.run_for(10 * MINUTE);
        if world.sites[HQ].disk.owes() == 0 {
            break;
        }
    }
    assert_eq!(count(&world, HQ, "expired"), 1, "{:?}", super::subjects(&world, HQ));
    assert!(world.net.lost < 20_000, "{} datagrams for one mail", world.net.lost);
}

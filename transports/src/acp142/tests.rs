//! Links over a radio in memory and over UDP in memory, with disks, in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use skywave_protocols::acp142::config::EngineConfig;
use skywave_protocols::acp142::dynamic_group::GroupConfig;
use skywave_protocols::acp142::pdu::{NodeId, Pdu};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::reason::DataRejection;
use skywave_protocols::time::{Duration, Instant, Now, WallTime};

use super::air::{Air, AirConfig};
use super::config::{Config, Group, Site, ip_medium};
use super::link::Acp142Link;
use super::udp::{GLOBAL_GROUP, Udp, UdpConfig};
use crate::io::{Row, SocketId, SocketInput, SocketOutput};
use crate::radio::{AirEvent, AirLink as _, AirPdu, Arrival, Segment, Service};
use crate::transport::{
    Delivery, Emission, SiteName, Transport, TransportEvent, TransportFault, TransportInput, TransportOutput, Unit,
    UnitTicket,
};

pub(super) const START: Now = Now { mono: Instant::ZERO, wall: WallTime::from_unix_seconds(1_700_000_000) };
const RATE: u32 = 2400;
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn name(id: u32) -> SiteName {
    format!("site{id}.test").into()
}

fn config(id: u32, count: u32, silent: &[u32]) -> Config {
    let others = (1..=count).filter(|&other| other != id);
    let site = |other| Site { name: name(other), id: NodeId(other), silent: silent.contains(&other) };
    let sites: Vec<Site> = others.map(site).collect();
    let mut engine = EngineConfig::new(NodeId(id));
    engine.pdu_octets_max = 400;
    engine.pace(&ip_medium(RATE, Duration::from_secs(2)));
    let group = Some(Group { members: sites.iter().map(|site| site.name.clone()).collect() });
    let config = Config { engine, sites, group, bits_per_second: RATE, turnaround: Duration::from_secs(2) };
    assert_eq!(config.mistakes(), []);
    config
}

pub(super) fn unit(ticket: u64, to: &[u32], precedence: Precedence, octets: usize) -> Unit {
    Unit {
        ticket: UnitTicket(ticket),
        to: to.iter().map(|&id| name(id)).collect(),
        priority: precedence.mt_priority(),
        expiry: START.wall + HOUR * 24,
        delivery: Delivery::Committed,
        context: 0,
        content: content(ticket, octets),
    }
}

pub(super) fn content(ticket: u64, octets: usize) -> Bytes {
    (0..octets).map(|i| (i as u64 * 7 + ticket) as u8).collect()
}

/// What the gateway of a link has: its disk, and what it was told.
#[derive(Default)]
pub(super) struct Gateway {
    disk: BTreeMap<Vec<u8>, Bytes>,
    pub(super) events: Vec<TransportEvent>,
    pub(super) mails: Vec<Bytes>,
    sends: Vec<(SocketId, SocketOutput)>,
    disk_broken: bool,
}

impl Gateway {
    fn serve<T: Transport>(&mut self, now: Now, link: &mut T) {
        while let Some(output) = link.poll() {
            match output {
                TransportOutput::Store(batch, _) if self.disk_broken => {
                    link.handle(now, TransportInput::StoreFailed(batch, "disk full".to_owned()));
                }
                TransportOutput::Store(batch, records) => {
                    for (key, value) in records {
                        match value {
                            Some(value) => self.disk.insert(key, value),
                            None => self.disk.remove(&key),
                        };
                    }
                    link.handle(now, TransportInput::Stored(batch));
                }
                TransportOutput::Event(event) => {
                    if let TransportEvent::Arrived { arrival, content, .. } = &event {
                        self.mails.push(content.clone());
                        link.accept(now, *arrival);
                    }
                    self.events.push(event);
                }
                TransportOutput::Socket(socket, output) => self.sends.push((socket, output)),
                TransportOutput::Pipe(..) => panic!("no pipes here"),
                TransportOutput::Capture(_) => {}
            }
        }
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.disk.iter().map(|(key, value)| Row { key: key.clone(), value: value.clone() }).collect()
    }

    pub(super) fn delivered(&self) -> Vec<(u64, SiteName)> {
        let one = |event: &TransportEvent| match event {
            TransportEvent::Delivered { ticket, by } => Some((ticket.0, by.clone())),
            _ => None,
        };
        self.events.iter().filter_map(one).collect()
    }

    pub(super) fn failed(&self) -> Vec<(u64, TransportFault)> {
        let one = |event: &TransportEvent| match event {
            TransportEvent::Failed { ticket, fault, .. } => Some((ticket.0, fault.clone())),
            _ => None,
        };
        self.events.iter().filter_map(one).collect()
    }
}

/// Radios that hand down one PDU at a time; ARQ never loses, non-ARQ may.
pub(super) struct Radios {
    pub(super) now: Now,
    links: BTreeMap<u32, (Acp142Link<Air>, Gateway)>,
    on_air: BTreeMap<u32, (Instant, AirPdu)>,
    pub(super) air: Vec<(u32, AirPdu)>,
    random: Seeded,
    loss_per_million: u32,
    count: u32,
    /// What the nodes take.
    pub(super) mtu: usize,
    /// Largest PDU for several, and for one by ARQ.
    pub(super) pdu_octets: (usize, Option<usize>),
}

fn address(id: u32) -> NodeAddress {
    NodeAddress::individual(0x0102_0300 + id)
}

impl Radios {
    pub(super) fn new(seed: u64, count: u32, silent: &[u32]) -> Self {
        Self::with(seed, count, silent, (400, None))
    }

    pub(super) fn with(seed: u64, count: u32, silent: &[u32], pdu_octets: (usize, Option<usize>)) -> Self {
        let (links, on_air, air) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let random = Seeded::new(seed);
        let (now, mtu, loss_per_million) = (START, 2042, 0);
        let mut radios = Self { now, links, on_air, air, random, loss_per_million, count, mtu, pdu_octets };
        (1..=count).for_each(|id| radios.start(id, silent));
        radios
    }

    /// Starts a site, or starts it again from its disk.
    pub(super) fn start(&mut self, id: u32, silent: &[u32]) {
        let mut air = AirConfig::new();
        air.addresses = (1..=self.count).map(|id| (NodeId(id), address(id))).collect();
        air.group = Some(NodeAddress::group(0x0102_0304));
        let gateway = self.links.remove(&id).map(|(_, gateway)| gateway).unwrap_or_default();
        self.on_air.remove(&id);
        let mut config = config(id, self.count, silent);
        (config.engine.pdu_octets_max, config.engine.pdu_octets_arq) = self.pdu_octets;
        let mut link = Acp142Link::new(config, Air::new(air), self.now, Seeded::new(7));
        link.handle(self.now, TransportInput::Restored(gateway.rows()));
        link.air(self.now, AirEvent::Ready { mtu: self.mtu });
        self.links.insert(id, (link, gateway));
        self.serve(id);
    }

    pub(super) fn link(&mut self, id: u32) -> &mut Acp142Link<Air> {
        &mut self.links.get_mut(&id).unwrap().0
    }

    pub(super) fn gateway(&self, id: u32) -> &Gateway {
        &self.links[&id].1
    }

    pub(super) fn break_disk(&mut self, id: u32, broken: bool) {
        self.links.get_mut(&id).unwrap().1.disk_broken = broken;
    }

    /// The node of a site goes, with the PDU it has, and comes back taking at most so much.
    pub(super) fn reconnect(&mut self, id: u32, mtu: usize) {
        self.mtu = mtu;
        let now = self.now;
        if let Some((_, pdu)) = self.on_air.remove(&id) {
            self.link(id).air(now, AirEvent::Returned { token: pdu.token });
        }
        self.link(id).air(now, AirEvent::Lost("session lost".to_owned()));
        self.link(id).air(now, AirEvent::Ready { mtu });
        self.serve(id);
    }

    pub(super) fn submit(&mut self, from: u32, unit: Unit) {
        let now = self.now;
        self.link(from).submit(now, unit);
        self.serve(from);
    }

    fn serve(&mut self, id: u32) {
        let now = self.now;
        let (link, gateway) = self.links.get_mut(&id).unwrap();
        gateway.serve(now, link);
        if !self.on_air.contains_key(&id) && link.offer().is_some() {
            let pdu = link.release(now).expect("an offer is kept");
            assert!(pdu.octets.len() <= self.mtu, "{} octets, the node takes {}", pdu.octets.len(), self.mtu);
            let airtime = Duration::from_micros((pdu.octets.len() as u64 + 12) * 8_000_000 / u64::from(RATE));
            self.on_air.insert(id, (now.mono + airtime, pdu));
        }
        let (link, gateway) = self.links.get_mut(&id).unwrap();
        gateway.serve(now, link);
    }

    fn step(&mut self, until: Instant) -> bool {
        let wakeups = self.links.values().filter_map(|(link, _)| link.next_wakeup().map(|wakeup| wakeup.at));
        let next = wakeups.chain(self.on_air.values().map(|(at, _)| *at)).min().filter(|at| *at <= until);
        let Some(next) = next else { return false };
        self.now = self.now.after(next.since(self.now.mono));
        let now = self.now;
        for id in 1..=self.count {
            if self.on_air.get(&id).is_some_and(|(at, _)| *at <= now.mono) {
                let (_, pdu) = self.on_air.remove(&id).unwrap();
                self.spread(id, pdu);
            }
            self.link(id).handle_wakeup(now);
            self.serve(id);
        }
        true
    }

    fn spread(&mut self, id: u32, pdu: AirPdu) {
        let now = self.now;
        let event =
            if pdu.confirm { AirEvent::Confirmed { token: pdu.token } } else { AirEvent::Sent { token: pdu.token } };
        self.link(id).air(now, event);
        for other in (1..=self.count).filter(|&other| other != id) {
            let meant = pdu.to.is_group() || pdu.to == address(other);
            let lost = pdu.port.service == Service::Udop && self.random.chance(self.loss_per_million);
            if meant && !lost {
                let arrival = Arrival {
                    source: address(id),
                    source_sap: pdu.port.sap,
                    destination: pdu.to,
                    port: pdu.port,
                    segment: Segment { u_pdu_id: 0, number: 0 },
                    precedence: Precedence::Routine,
                    octets: pdu.octets.clone(),
                };
                self.link(other).air(now, AirEvent::Arrived(arrival));
                self.serve(other);
            }
        }
        self.air.push((id, pdu));
    }

    pub(super) fn run(&mut self, span: Duration) {
        let until = self.now.mono + span;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 100_000, "the radios do not come to rest");
        }
        self.now = self.now.after(until.since(self.now.mono));
    }
}

#[test]
fn one_site_is_reached_by_arq_and_several_by_the_group() {
    let mut radios = Radios::new(1, 3, &[]);
    radios.submit(1, unit(5, &[2], Precedence::Routine, 1000));
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered(), [(5, name(2))]);
    assert_eq!(radios.gateway(2).mails, [content(5, 1000)]);
    assert!(radios.air.iter().all(|(_, pdu)| pdu.confirm && pdu.port.connection == 1 && !pdu.to.is_group()));
    // Address, three Data_PDUs, acknowledgement, Ack-Ack.
    assert_eq!(radios.air.len(), 6);
    radios.air.clear();
    radios.submit(1, unit(6, &[2, 3], Precedence::Flash, 500));
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered().len(), 3);
    assert_eq!(radios.gateway(3).mails, [content(6, 500)]);
    let first = &radios.air[0].1;
    assert_eq!((first.port.service, first.to, first.confirm), (Service::Udop, NodeAddress::group(0x0102_0304), false));
    assert_eq!(first.priority, Precedence::Flash.mt_priority());
    // One of many acknowledgements makes no link for itself.
    let acks = || radios.air.iter().filter(|(from, _)| *from != 1);
    assert!(acks().count() == 2 && acks().all(|(_, pdu)| !pdu.confirm && pdu.to == address(1)));
    // Where much would be sent again for a lost one, it does.
    radios.air.clear();
    radios.submit(1, unit(7, &[2, 3], Precedence::Routine, 8000));
    radios.run(HOUR);
    let acks = || radios.air.iter().filter(|(from, _)| *from != 1);
    assert!(acks().count() == 2 && acks().all(|(_, pdu)| pdu.confirm));
}

/// The first acknowledgements of a message to several may be lost; those that are asked for again go by ARQ. So do lists of
/// what is missing.
#[test]
fn acknowledgements_that_were_lost_come_by_arq() {
    let mut radios = Radios::new(1, 3, &[]);
    radios.submit(1, unit(6, &[2, 3], Precedence::Routine, 500));
    while radios.gateway(2).mails.is_empty() || radios.gateway(3).mails.is_empty() {
        radios.run(Duration::from_millis(100));
    }
    let before = radios.air.len();
    radios.loss_per_million = 1_000_000;
    while radios.air[before..].iter().filter(|(from, _)| *from != 1).count() < 2 {
        radios.run(Duration::from_millis(100));
    }
    radios.loss_per_million = 0;
    radios.run(HOUR);
    let mut delivered = radios.gateway(1).delivered();
    delivered.sort();
    assert_eq!(delivered, [(6, name(2)), (6, name(3))]);
    let acks: Vec<bool> = radios.air.iter().filter(|(from, _)| *from != 1).map(|(_, pdu)| pdu.confirm).collect();
    assert_eq!(acks, [false, false, true, true]);
    assert_eq!((radios.gateway(2).mails.len(), radios.gateway(3).mails.len()), (1, 1));
    // A receiver that lacks something says so by ARQ.
    radios.air.clear();
    radios.loss_per_million = 400_000;
    radios.submit(1, unit(7, &[2, 3], Precedence::Routine, 8000));
    radios.run(HOUR);
    let lists = |(from, pdu): &&(u32, AirPdu)| *from != 1 && pdu.octets.len() > 24;
    assert!(radios.air.iter().filter(lists).count() > 0);
    assert!(radios.air.iter().filter(lists).all(|(_, pdu)| pdu.confirm));
}

#[test]
fn units_survive_loss_and_restarts_of_either_side_under_their_tickets() {
    for seed in 0..20 {
        let mut radios = Radios::new(seed, 3, &[]);
        let mut random = Seeded::new(seed);
        radios.loss_per_million = 150_000;
        radios.submit(1, unit(1, &[2, 3], Precedence::Routine, 6000));
        radios.submit(1, unit(2, &[3], Precedence::Priority, 2000));
        for _ in 0..6 {
            radios.run(Duration::from_secs(5 + random.below(40)));
            radios.start(1 + random.below(3) as u32, &[]);
            if radios.gateway(1).delivered().len() < 3 {
                radios.submit(1, unit(1, &[2, 3], Precedence::Routine, 6000));
            }
        }
        radios.run(HOUR * 20);
        let delivered: std::collections::BTreeSet<_> = radios.gateway(1).delivered().into_iter().collect();
        assert_eq!(delivered.into_iter().collect::<Vec<_>>(), [(1, name(2)), (1, name(3)), (2, name(3))], "{seed}");
        assert_eq!(radios.gateway(1).failed(), []);
        assert_eq!(radios.gateway(2).mails, [content(1, 6000)], "seed {seed}");
        assert_eq!(radios.gateway(3).mails.len(), 2, "seed {seed}");
    }
}

#[test]
fn the_silent_ship() {
    let mut radios = Radios::new(2, 2, &[2]);
    let now = radios.now;
    radios.link(2).set_emission(now, Emission::Silent);
    radios.submit(1, unit(9, &[2], Precedence::Flash, 500));
    radios.run(HOUR);
    assert_eq!(radios.gateway(2).mails.len(), 1);
    let confirmed = |event: &TransportEvent| matches!(event, TransportEvent::Arrived { confirmed: false, .. });
    assert!(radios.gateway(2).events.iter().any(confirmed));
    assert!(radios.air.iter().all(|(from, pdu)| *from == 1 && !pdu.confirm && pdu.to.is_group()));
    let progress = |event: &TransportEvent| match event {
        TransportEvent::Progress(progress) => Some(progress.why.clone()),
        _ => None,
    };
    let words: Vec<String> = radios.gateway(1).events.iter().filter_map(progress).collect();
    assert!(words.iter().any(|why| why == "sent, silence expected"), "{words:?}");
    assert_eq!(radios.link(1).room().units, 16, "waiting for a silent site takes no room");
    let now = radios.now;
    radios.link(2).set_emission(now, Emission::Free);
    radios.serve(2);
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered(), [(9, name(2))]);
}

#[test]
fn when_only_the_node_is_in_emcon_timers_stand_still_and_nothing_goes() {
    use skywave_protocols::s5066::sis::reason::Availability;
    let mut radios = Radios::new(3, 2, &[]);
    radios.submit(1, unit(9, &[2], Precedence::Routine, 3000));
    radios.run(Duration::from_secs(4));
    let ours = |radios: &Radios| radios.air.iter().filter(|(from, _)| *from == 1).count();
    let sent = ours(&radios);
    let now = radios.now;
    radios.link(1).air(now, AirEvent::Emission(Availability::ReceiveOnly));
    radios.serve(1);
    radios.run(HOUR * 6);
    assert!(ours(&radios) <= sent + 1, "one was in the air, {} more went", ours(&radios) - sent);
    assert_eq!(radios.link(1).offer(), None);
    let why = radios.link(1).next_wakeup().map(|wakeup| wakeup.why);
    assert!(why.is_none_or(|why| why == "message expires"), "{why:?}");
    assert_eq!(radios.link(1).describe()["node_silent"], true);
    let now = radios.now;
    radios.link(1).air(now, AirEvent::Emission(Availability::HalfDuplex));
    radios.serve(1);
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered(), [(9, name(2))]);
}

#[test]
fn a_receiver_whose_node_is_in_emcon_owes_its_acknowledgement() {
    use skywave_protocols::s5066::sis::reason::Availability;
    let mut radios = Radios::new(4, 2, &[]);
    let now = radios.now;
    radios.link(2).air(now, AirEvent::Emission(Availability::ReceiveOnly));
    radios.submit(1, unit(9, &[2], Precedence::Routine, 500));
    radios.run(HOUR);
    let unconfirmed = |event: &TransportEvent| matches!(event, TransportEvent::Arrived { confirmed: false, .. });
    assert!(radios.gateway(2).events.iter().any(unconfirmed));
    assert!(radios.air.iter().all(|(from, _)| *from == 1));
    let now = radios.now;
    radios.link(2).air(now, AirEvent::Emission(Availability::HalfDuplex));
    radios.serve(2);
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered(), [(9, name(2))]);
    // A session that begins anew says again what the node may not do; until then it may.
    let now = radios.now;
    radios.link(2).air(now, AirEvent::Emission(Availability::ReceiveOnly));
    radios.link(2).air(now, AirEvent::Lost("session lost".to_owned()));
    radios.link(2).air(now, AirEvent::Ready { mtu: 2042 });
    assert_eq!(radios.link(2).describe()["node_silent"], false);
}

#[test]
fn unconfirmed_units_count_as_relayed_after_the_planned_repeats() {
    let mut radios = Radios::new(3, 2, &[]);
    let now = radios.now;
    radios.link(2).set_emission(now, Emission::Silent);
    radios.submit(1, Unit { delivery: Delivery::Unconfirmed, ..unit(4, &[2], Precedence::Flash, 300) });
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered(), [(4, name(2))]);
    let sent = radios.air.iter().filter(|(_, pdu)| pdu.octets[3] == 0).count();
    assert_eq!(sent, 5, "once and four repeats");
    radios.run(HOUR * 25);
    assert_eq!((radios.gateway(1).delivered().len(), radios.gateway(1).failed().len()), (1, 0));
}

#[test]
fn nothing_leaves_before_it_is_on_the_disk() {
    let mut radios = Radios::new(4, 2, &[]);
    radios.break_disk(1, true);
    radios.submit(1, unit(1, &[2], Precedence::Routine, 300));
    radios.run(Duration::from_secs(60));
    assert!(radios.air.is_empty());
    radios.break_disk(1, false);
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered(), [(1, name(2))]);
}

#[test]
fn what_cannot_be_sent_fails_at_once() {
    let mut radios = Radios::new(5, 2, &[]);
    let far = Unit { to: vec!["nowhere.test".into()], ..unit(1, &[], Precedence::Routine, 10) };
    radios.submit(1, far);
    radios.submit(1, unit(2, &[2], Precedence::Routine, 0));
    radios.submit(1, Unit { expiry: START.wall, ..unit(3, &[2], Precedence::Routine, 10) });
    let limit = radios.link(1).profile().unit_octets_max;
    radios.submit(1, unit(4, &[2], Precedence::Routine, limit + 1));
    let failed = radios.gateway(1).failed();
    let faults: Vec<String> = failed.iter().map(|(_, fault)| fault.to_string()).collect();
    assert_eq!(
        faults,
        [
            "site nowhere.test is not on this link",
            "refused by the other site: a message without octets",
            "expired before it was acknowledged",
            "16777217 octets, the link takes 16777216"
        ]
    );
}

#[test]
fn a_flash_has_room_and_overtakes_when_the_link_is_full() {
    let mut radios = Radios::new(6, 2, &[]);
    for ticket in 1..=16 {
        radios.submit(1, unit(ticket, &[2], Precedence::Routine, 2000));
    }
    assert_eq!(radios.link(1).room().units, 0);
    radios.submit(1, unit(99, &[2], Precedence::Flash, 100));
    radios.run(Duration::from_secs(6));
    assert_eq!(radios.gateway(2).mails, [content(99, 100)]);
    let now = radios.now;
    radios.link(1).cancel(now, UnitTicket(3));
    radios.serve(1);
    assert_eq!(radios.gateway(1).failed(), [(3, TransportFault::Cancelled)]);
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered().len(), 16);
    assert!(radios.gateway(1).events.contains(&TransportEvent::RoomChanged));
}

#[test]
fn rejected_and_lost_pdus_go_again() {
    let mut radios = Radios::new(7, 2, &[]);
    radios.submit(1, unit(1, &[2], Precedence::Routine, 900));
    for _ in 0..3 {
        let (_, pdu) = radios.on_air.remove(&1).unwrap();
        let now = radios.now;
        let reason = DataRejection::NotResponding;
        radios.link(1).air(now, AirEvent::Rejected { token: pdu.token, reason });
        radios.serve(1);
        assert!(radios.on_air.is_empty(), "it rests");
        radios.run(Duration::from_secs(61));
        let now = radios.now;
        if let Some((_, pdu)) = radios.on_air.remove(&1) {
            radios.link(1).air(now, AirEvent::Returned { token: pdu.token });
            radios.link(1).air(now, AirEvent::Lost("session closed".to_owned()));
            assert_eq!(radios.link(1).offer(), None);
            radios.link(1).air(now, AirEvent::Ready { mtu: 2042 });
            radios.serve(1);
        }
        if radios.on_air.is_empty() {
            break;
        }
    }
    radios.run(HOUR);
    assert_eq!(radios.gateway(1).delivered(), [(1, name(2))]);
}

/// Two or more links over UDP in memory.
pub(super) struct Network {
    pub(super) now: Now,
    pub(super) links: BTreeMap<u32, (Acp142Link<Udp>, Gateway)>,
    pub(super) sent: Vec<(u32, SocketOutput, Instant)>,
    /// Who is in which group.
    members: BTreeMap<u32, BTreeSet<IpAddr>>,
    groups: Option<GroupConfig>,
    random: Seeded,
    pub(super) loss_per_million: u32,
}

pub(super) fn ip(id: u32) -> IpAddr {
    IpAddr::from([10, 0, 0, id as u8])
}

impl Network {
    fn new(seed: u64, count: u32) -> Self {
        Self::with_groups(seed, count, None)
    }

    /// The same with groups for single messages; the id in `groups` is each one's own.
    pub(super) fn with_groups(seed: u64, count: u32, groups: Option<GroupConfig>) -> Self {
        let (links, random) = (BTreeMap::new(), Seeded::new(seed));
        let (members, sent) = (BTreeMap::new(), vec![]);
        let mut network = Self { now: START, links, sent, members, groups, random, loss_per_million: 0 };
        (1..=count).for_each(|id| network.start(seed, id, count, Gateway::default()));
        network
    }

    /// A link begins with what its gateway has on disk.
    pub(super) fn start(&mut self, seed: u64, id: u32, count: u32, gateway: Gateway) {
        let mut udp = UdpConfig::new();
        udp.addresses = (1..=count).map(|id| (NodeId(id), ip(id))).collect();
        udp.group = Some(IpAddr::from([239, 1, 2, 3]));
        udp.global_group = self.groups.as_ref().map(|_| GLOBAL_GROUP);
        let mut config = config(id, count, &[]);
        config.engine.groups = self.groups.clone().map(|groups| GroupConfig { id: NodeId(id), ..groups });
        let mut link = Acp142Link::new(config, Udp::new(udp), self.now, Seeded::new(seed));
        link.handle(self.now, TransportInput::Restored(gateway.rows()));
        self.members.remove(&id);
        self.links.insert(id, (link, gateway));
        self.serve(id);
    }

    pub(super) fn serve(&mut self, id: u32) {
        let now = self.now;
        let mut wire = VecDeque::from([id]);
        while let Some(id) = wire.pop_front() {
            let (link, gateway) = self.links.get_mut(&id).unwrap();
            gateway.serve(now, link);
            for (socket, output) in std::mem::take(&mut gateway.sends) {
                self.sent.push((id, output.clone(), now.mono));
                match output {
                    SocketOutput::Bind(bound) => {
                        let (link, _) = self.links.get_mut(&id).unwrap();
                        link.handle(now, TransportInput::Socket(socket, SocketInput::Bound(bound)));
                        wire.push_back(id);
                    }
                    SocketOutput::Send { destination, octets, .. } => {
                        for (&other, (link, _)) in &mut self.links {
                            let heard = self.members.get(&other).is_some_and(|all| all.contains(&destination.ip()));
                            let meant = heard || destination.ip() == ip(other);
                            if other == id || !meant || self.random.chance(self.loss_per_million) {
                                continue;
                            }
                            // Acknowledgements come from whatever port the peer likes.
                            let source = (ip(id), 40_000).into();
                            let input = SocketInput::Datagram { source, octets: octets.clone() };
                            link.handle(
                                now,
                                TransportInput::Socket(SocketId(u64::from(destination.port() == 2754)), input),
                            );
                            wire.push_back(other);
                        }
                    }
                    SocketOutput::Join(group) => drop(self.members.entry(id).or_default().insert(group)),
                    SocketOutput::Leave(group) => drop(self.members.entry(id).or_default().remove(&group)),
                }
            }
        }
    }

    pub(super) fn run(&mut self, span: Duration) {
        let until = self.now.mono + span;
        let mut steps = 0;
        loop {
            let wakeups = self.links.values().filter_map(|(link, _)| link.next_wakeup().map(|wakeup| wakeup.at));
            let Some(next) = wakeups.min().filter(|at| *at <= until) else { break };
            self.now = self.now.after(next.since(self.now.mono));
            for id in self.links.keys().copied().collect::<Vec<_>>() {
                let now = self.now;
                self.links.get_mut(&id).unwrap().0.handle_wakeup(now);
                self.serve(id);
            }
            steps += 1;
            assert!(steps < 50_000, "the network does not come to rest: {next:?}");
        }
        self.now = self.now.after(until.since(self.now.mono));
    }
}

#[test]
fn udp_binds_joins_paces_and_marks() {
    let mut network = Network::new(1, 3);
    let first: Vec<_> = network.sent.iter().filter(|(id, ..)| *id == 1).map(|(_, output, _)| output.clone()).collect();
    assert_eq!(first[0], SocketOutput::Bind("0.0.0.0:2753".parse().unwrap()));
    assert_eq!(first[1], SocketOutput::Bind("0.0.0.0:2754".parse().unwrap()));
    assert!(first.contains(&SocketOutput::Join(IpAddr::from([239, 1, 2, 3]))));
    network.sent.clear();
    let (link, _) = network.links.get_mut(&1).unwrap();
    link.submit(START, unit(1, &[2, 3], Precedence::Flash, 3000));
    network.serve(1);
    network.run(HOUR);
    let (_, gateway) = &network.links[&1];
    assert_eq!(gateway.delivered().len(), 2);
    let mut last = None;
    for (id, output, at) in &network.sent {
        let SocketOutput::Send { destination, octets, dscp } = output else { continue };
        assert_eq!(*dscp, 24);
        if *id != 1 {
            assert_eq!(*destination, (ip(1), 2754).into());
        } else if let Some((before, size)) = last.replace((*at, octets.len()))
            && matches!(Pdu::decode(octets), Ok(Pdu::Data(_)))
        {
            let airtime = Duration::from_micros((size as u64 + 28) * 8_000_000 / u64::from(RATE));
            assert!(at.since(before) + Duration::from_millis(3) >= airtime, "{:?} after {size}", at.since(before));
        }
    }
}

#[test]
fn udp_with_loss_delivers_to_all_once() {
    for seed in 0..10 {
        let mut network = Network::new(seed, 3);
        network.loss_per_million = 200_000;
        let (link, _) = network.links.get_mut(&1).unwrap();
        link.submit(START, unit(1, &[2, 3], Precedence::Routine, 5000));
        link.submit(START, unit(2, &[3], Precedence::Immediate, 700));
        network.serve(1);
        network.run(HOUR * 20);
        assert_eq!(network.links[&1].1.delivered().len(), 3, "seed {seed}");
        assert_eq!(network.links[&2].1.mails, [content(1, 5000)], "seed {seed}");
        assert_eq!(network.links[&3].1.mails.len(), 2, "seed {seed}");
    }
}

#[test]
fn a_forged_source_is_alarmed() {
    let mut network = Network::new(2, 2);
    let (link, _) = network.links.get_mut(&1).unwrap();
    link.submit(START, unit(1, &[2], Precedence::Routine, 700));
    network.loss_per_million = 1_000_000;
    network.serve(1);
    network.run(Duration::from_secs(10));
    let sent = network.sent.iter().find_map(|(_, output, _)| match output {
        SocketOutput::Send { octets, .. } => Some(octets.clone()),
        _ => None,
    });
    let input = SocketInput::Datagram { source: (ip(2), 2753).into(), octets: sent.unwrap() };
    let now = network.now;
    let (link, gateway) = network.links.get_mut(&2).unwrap();
    // Site 2 hears its own address claim to be site 1.
    link.handle(now, TransportInput::Socket(SocketId(0), input));
    gateway.serve(now, link);
    let alarmed =
        |event: &TransportEvent| matches!(event, TransportEvent::Notice(notice) if notice.name == "pdu_forged");
    assert!(gateway.events.iter().any(alarmed));
}

#[test]
fn a_link_that_never_came_up_says_why_and_each_other_reason() {
    let mut radios = Radios::new(1, 1, &[]);
    let down = |radios: &mut Radios| -> Vec<TransportEvent> {
        let of_state = |event: &&TransportEvent| matches!(event, TransportEvent::Up | TransportEvent::Down(_));
        radios.gateway(1).events.iter().filter(of_state).cloned().collect()
    };
    let before = down(&mut radios).len();
    for why in ["refused", "refused", "no route"] {
        let now = radios.now;
        radios.link(1).air(now, AirEvent::Lost(why.to_owned()));
        radios.serve(1);
    }
    let said = down(&mut radios);
    assert_eq!(&said[before..], ["refused", "no route"].map(|why| TransportEvent::Down(why.to_owned())));
}

#[test]
fn priorities_map_both_ways() {
    for value in -9..=9 {
        let priority = MtPriority::try_from(value).unwrap();
        let back = super::core::mt_priority(priority.p_mul());
        assert_eq!(back.value(), value.min(6));
    }
    assert_eq!(super::core::mt_priority(255).value(), -9);
}

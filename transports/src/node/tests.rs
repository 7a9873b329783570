//! Stations on a simulated channel, from a client's octets to a client's octets.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::dpdu::{
    AckPart, Body, DPdu, DataPart, Eow, ExpeditedPart, ManagementPart, NonArqPart, ResetPart, decode,
};
use skywave_protocols::s5066::sis::fields::{
    Confirmation, DeliveryMode, HardLink, HardLinkType, Order, Rank, SapId, ServiceType, TransmissionMode, Ttl,
};
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::reason::{DataRejection, HardLinkStatus};
use skywave_protocols::s5066::sis::unidata::{Quirks, UnidataRequest};
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};

use super::{ClientId, ClientInput, ClientOutput, Simulator, SimulatorStation, Station, StationConfig};
use crate::modem::channel::StationId;
use crate::modem::weather::Weather;
use crate::modem::{Interleaver, Modem, ModemEvent, ModemFault, Waveform};

const NAMES: [&str; 4] = ["hq.test", "field.test", "north.test", "south.test"];
const GROUP: NodeAddress = NodeAddress::group(1);
const UDOP: u64 = 7;
const RCOP: u64 = 6;
const WITH_ERRORS: DeliveryMode =
    DeliveryMode::new(TransmissionMode::NonArqWithErrors, Confirmation::None, Order::AsTheyArrive);

/// What a client was told: at how many seconds, at which station and SAP.
struct Told {
    seconds: f64,
    station: u16,
    sap: u64,
    primitive: Primitive,
}

struct Bench {
    simulator: Simulator,
    now: Now,
    readers: BTreeMap<(u16, u64), FrameReader>,
    told: Vec<Told>,
    digest: Sha256,
}

fn address(number: u16) -> NodeAddress {
    NodeAddress::individual(0x0102_0301 + u32::from(number))
}

impl Bench {
    /// Stations with a client at SAP 6 (ARQ) and one at SAP 7 each; all are in the group 16.0.0.1.
    fn new(weather: &str, stations: usize) -> Self {
        Self::with(weather, stations, &[])
    }

    /// The same; the stations may change to these rates.
    fn with(weather: &str, stations: usize, rates: &[u32]) -> Self {
        let weather = Weather::parse(weather).unwrap();
        let config = |number| {
            let mut config = StationConfig::new(address(number));
            config.groups = vec![GROUP];
            config.rates = rates.to_vec();
            config.server.keep_alive = None;
            config.server.queue_octets_max = 4 << 20;
            config
        };
        let stations: Vec<SimulatorStation> = NAMES
            .iter()
            .take(stations)
            .enumerate()
            .map(|(number, name)| SimulatorStation { name: (*name).to_owned(), config: config(number as u16) })
            .collect();
        let mut stations = stations;
        for added in &weather.stations {
            stations.push(SimulatorStation { name: added.name.clone(), config: config(stations.len() as u16) });
        }
        let now = Now::default().after(Duration::from_secs(1000));
        let simulator = Simulator::new(now, &weather, stations).unwrap();
        let mut bench = Self { simulator, now, readers: BTreeMap::new(), told: Vec::new(), digest: Sha256::new() };
        let ids: Vec<u16> = bench.simulator.stations().map(|(id, ..)| id.0).collect();
        for station in ids {
            for sap in [RCOP, UDOP] {
                bench.bind(station, sap);
            }
        }
        bench.told.clear();
        bench
    }

    fn bind(&mut self, station: u16, sap: u64) {
        self.input(station, sap, ClientInput::Accepted);
        // Of what comes without ARQ it takes what is not whole too.
        let mode = if sap == UDOP { WITH_ERRORS } else { DeliveryMode::ARQ_NODE };
        let service = ServiceType { mode, retransmissions: 0 };
        let sap_id = SapId::try_from(sap as u8).unwrap();
        self.say(station, sap, &Primitive::BindRequest { sap: sap_id, rank: Rank::default(), service });
    }

    fn input(&mut self, station: u16, sap: u64, input: ClientInput) {
        self.simulator.client_input(self.now, StationId(station), ClientId(sap), input);
        self.drain();
    }

    fn say(&mut self, station: u16, sap: u64, primitive: &Primitive) {
        self.input(station, sap, ClientInput::Read(primitive.encode().unwrap()));
    }

    fn drain(&mut self) {
        while let Some((station, client, output)) = self.simulator.poll() {
            let ClientOutput::Write(octets) = output else { panic!("{client:?} of {station:?} was closed") };
            self.digest.update(self.now.mono.as_micros().to_le_bytes());
            self.digest.update(&octets);
            let seconds = self.seconds();
            let reader = self.readers.entry((station.0, client.0)).or_default();
            reader.push(&octets);
            while let Some(frame) = reader.next_frame() {
                let primitive = Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap();
                self.told.push(Told { seconds, station: station.0, sap: client.0, primitive });
            }
        }
    }

    fn seconds(&self) -> f64 {
        self.now.mono.as_micros() as f64 / 1e6 - 1000.0
    }

    /// Runs until the given second, or until nothing is left to do.
    fn run(&mut self, until: f64) {
        while let Some(wakeup) = self.simulator.next_wakeup() {
            let target = wakeup.at.max(self.now.mono);
            if target.as_micros() as f64 / 1e6 - 1000.0 > until {
                break;
            }
            self.now = self.now.after(target.since(self.now.mono));
            self.simulator.handle_wakeup(self.now);
            self.drain();
        }
        self.now = self.now.after(Duration::from_secs_f64((until - self.seconds()).max(0.0)));
    }

    fn arq(&mut self, station: u16, to: u16, priority: u8, ttl_seconds: u64, u_pdu: Bytes) {
        let mode = DeliveryMode::new(TransmissionMode::Arq, Confirmation::Client, Order::InOrder);
        let request = UnidataRequest {
            priority,
            sap: SapId::RCOP,
            destination: address(to),
            mode,
            retransmissions: 0,
            ttl: Ttl::from_span(Duration::from_secs(ttl_seconds)),
            u_pdu,
        };
        self.say(station, RCOP, &Primitive::UnidataRequest(request));
    }

    fn broadcast(&mut self, station: u16, retransmissions: u8, transmission: TransmissionMode, u_pdu: Bytes) {
        let mode = DeliveryMode::new(transmission, Confirmation::None, Order::AsTheyArrive);
        let ttl = Ttl::INFINITE;
        let request =
            UnidataRequest { priority: 6, sap: SapId::UDOP, destination: GROUP, mode, retransmissions, ttl, u_pdu };
        self.say(station, UDOP, &Primitive::UnidataRequest(request));
    }

    /// The first four octets of what arrived at a station's client, with the seconds.
    fn arrived(&self, station: u16, sap: u64) -> Vec<(u32, f64)> {
        let arrived = self.told.iter().filter(|told| (told.station, told.sap) == (station, sap));
        arrived
            .filter_map(|told| match &told.primitive {
                Primitive::UnidataIndication(indication) => Some((tag(&indication.u_pdu), told.seconds)),
                _ => None,
            })
            .collect()
    }

    /// Confirmed and rejected U_PDUs of a station's RCOP client, by their first four octets.
    fn answered(&self, station: u16) -> (Vec<u32>, Vec<u32>) {
        let (mut confirmed, mut rejected) = (Vec::new(), Vec::new());
        for told in self.told.iter().filter(|told| (told.station, told.sap) == (station, RCOP)) {
            match &told.primitive {
                Primitive::UnidataRequestConfirm(returned) => confirmed.push(tag(&returned.leading)),
                Primitive::UnidataRequestRejected(reason, returned) => {
                    assert_eq!(*reason, DataRejection::TtlExpired);
                    rejected.push(tag(&returned.leading));
                }
                _ => {}
            }
        }
        (confirmed, rejected)
    }
}

fn tag(octets: &[u8]) -> u32 {
    u32::from_be_bytes(octets[..4].try_into().unwrap())
}

fn unit(tag: u32, octets: usize) -> Bytes {
    let mut unit = vec![0; octets.max(4)];
    Seeded::new(u64::from(tag)).fill(&mut unit);
    unit[..4].copy_from_slice(&tag.to_be_bytes());
    unit.into()
}

#[test]
fn a_u_pdu_arrives_and_is_confirmed() {
    let mut bench = Bench::new("", 2);
    let sent = unit(1, 2000);
    bench.arq(0, 1, 6, 600, sent.clone());
    bench.run(600.0);
    let Primitive::UnidataIndication(indication) = &bench.told[0].primitive else { panic!() };
    assert_eq!((&indication.u_pdu, indication.source, indication.priority), (&sent, address(0), 6));
    assert_eq!(indication.transmission, TransmissionMode::Arq);
    assert_eq!(bench.answered(0), (vec![1], vec![]));
    // 2000 octets are 13.3 s of air at 1200 bit/s: two transmissions and two answers.
    assert!(bench.told[0].seconds < 30.0, "{}", bench.told[0].seconds);
    assert_eq!(bench.told.len(), 2);
    assert!(bench.simulator.next_wakeup().is_none(), "{:?}", bench.simulator.next_wakeup());
}

#[test]
fn a_short_u_pdu_takes_a_few_seconds_at_every_rate() {
    for (rate, seconds) in [(75, 25.0), (300, 6.0), (1200, 4.0), (9600, 4.0), (1_000_000, 2.5)] {
        let mut bench = Bench::new(&format!("bits_per_second = {rate}"), 2);
        bench.arq(0, 1, 6, 600, unit(1, 40));
        bench.run(600.0);
        let arrived = bench.arrived(1, RCOP);
        assert!(arrived.len() == 1 && arrived[0].1 < seconds, "{rate}: {arrived:?}");
        assert_eq!(bench.answered(0).0, [1], "{rate}");
    }
}

#[test]
fn who_drives_it_late_gets_the_same_radio() {
    let run = |step: f64| {
        let mut bench = Bench::new("loss_percent = 10.0", 4);
        for number in 0..20 {
            bench.arq((number % 4) as u16, ((number + 1) % 4) as u16, 6, 3600, unit(number, 1000));
        }
        while bench.seconds() < 600.0 {
            bench.now = bench.now.after(Duration::from_secs_f64(step));
            bench.simulator.handle_wakeup(bench.now);
            bench.drain();
        }
        (0..4).map(|station| bench.simulator.counters(StationId(station))).collect::<Vec<_>>()
    };
    assert_eq!(run(0.01), run(30.0));
}

#[test]
fn bulk_uses_the_channel_well() {
    // Share of the line rate that reaches the clients, one way and both ways.
    let rows = [(75, 0.3, 0.3), (300, 0.45, 0.4), (1200, 0.55, 0.6), (9600, 0.65, 0.75)];
    for (rate, one, both) in rows {
        for (ways, share) in [(1, one), (2, both)] {
            let mut bench = Bench::new(&format!("bits_per_second = {rate}"), 2);
            for number in 0..700 {
                for way in 0..ways {
                    bench.arq(way, 1 - way, 6, 100_000, unit(number, 2000));
                }
            }
            bench.run(1200.0);
            let octets = (bench.arrived(1, RCOP).len() + bench.arrived(0, RCOP).len()) * 2000;
            let is = octets as f64 * 8.0 / 1200.0 / f64::from(rate);
            assert!(is > share, "{rate} bit/s, {ways} ways: {is}");
        }
    }
}

#[test]
fn a_flash_waits_for_what_is_in_the_air_and_no_more() {
    let mut bench = Bench::new("", 2);
    for number in 0..100 {
        bench.arq(0, 1, 6, 3600, unit(number, 1000));
    }
    bench.run(20.0);
    let begun = bench.seconds();
    bench.arq(0, 1, 12, 3600, unit(9999, 200));
    bench.run(1000.0);
    let (_, seconds) = *bench.arrived(1, RCOP).iter().find(|(tag, _)| *tag == 9999).unwrap();
    // At most: 8 s in the air, the answer (1.4 s), turns and slots (2 s), the FLASH itself (its part of 8 s).
    assert!(seconds - begun < 8.0 + 1.4 + 2.0 + 8.0, "{}", seconds - begun);
    bench.run(3600.0);
    let order: Vec<u32> = bench.arrived(1, RCOP).iter().map(|(tag, _)| *tag).filter(|tag| *tag != 9999).collect();
    assert_eq!(order, (0..100).collect::<Vec<_>>(), "the rest comes in order");
}

#[test]
fn in_emcon_a_station_hears_and_emits_nothing() {
    let weather = "[[emcon]]\nstation = \"field.test\"\nfrom_seconds = 0.0\nuntil_seconds = 240.0";
    let mut bench = Bench::new(weather, 2);
    bench.arq(0, 1, 6, 600, unit(1, 500));
    bench.arq(1, 0, 6, 600, unit(2, 500));
    bench.run(240.0);
    assert_eq!(bench.simulator.counters(StationId(1)).transmissions, 0);
    assert_eq!(bench.arrived(1, RCOP).len(), 1, "a silent station hears");
    assert_eq!(bench.answered(0), (vec![], vec![]));
    bench.run(600.0);
    assert_eq!((bench.arrived(1, RCOP).len(), bench.arrived(0, RCOP).len()), (1, 1));
    assert_eq!((bench.answered(0).0, bench.answered(1).0), (vec![1], vec![2]));
    assert_eq!(bench.simulator.emissions_in_emcon(), 0);
}

#[test]
fn emcon_cuts_off_what_is_in_the_air() {
    let mut bench = Bench::new("", 2);
    bench.arq(0, 1, 6, 100, unit(1, 2000));
    bench.run(5.0);
    bench.simulator.set_emcon(bench.now, StationId(0), true);
    bench.run(101.0);
    assert_eq!(bench.simulator.emissions_in_emcon(), 0);
    assert_eq!(bench.simulator.counters(StationId(0)).transmissions, 1);
    assert_eq!(bench.answered(0), (vec![], vec![1]), "the time to live goes on");
}

#[test]
fn broadcasts_reach_the_group_once_and_nobody_answers() {
    let mut bench = Bench::new("loss_percent = 20.0\nseed = 5", 4);
    for number in 0..10 {
        bench.broadcast(0, 7, TransmissionMode::NonArq, unit(number, 300));
    }
    bench.run(3600.0);
    for station in 1..4 {
        let mut arrived: Vec<u32> = bench.arrived(station, UDOP).iter().map(|(tag, _)| *tag).collect();
        arrived.sort_unstable();
        assert_eq!(arrived, (0..10).collect::<Vec<_>>(), "station {station}");
        assert_eq!(bench.simulator.counters(StationId(station)).transmissions, 0);
    }
    assert_eq!(bench.simulator.view(StationId(0)).unwrap().queued(), 0);
}

#[test]
fn a_u_pdu_with_errors_says_what_is_missing() {
    // One whose first segment is lost is nobody's: it would say for whom it is.
    let mut bench = Bench::new("loss_percent = 6.0\nseed = 2", 2);
    for number in 0..20 {
        bench.broadcast(0, 0, TransmissionMode::NonArqWithErrors, unit(number, 2000));
    }
    bench.run(1500.0);
    let mut gaps = 0;
    for told in &bench.told {
        let Primitive::UnidataIndication(indication) = &told.primitive else { continue };
        let sent = unit(tag(&indication.u_pdu), 2000);
        gaps += indication.missing.len();
        for (i, octet) in indication.u_pdu.iter().enumerate() {
            let gap = indication
                .missing
                .iter()
                .any(|gap| (usize::from(gap.offset)..usize::from(gap.offset) + usize::from(gap.octets)).contains(&i));
            assert!(gap || indication.missing.iter().any(|gap| gap.offset == 0) || *octet == sent[i]);
        }
    }
    assert!(bench.told.len() >= 10 && gaps > 3, "{} U_PDUs, {gaps} gaps", bench.told.len());
}

#[test]
fn the_rate_follows_what_gets_through() {
    let weather = "bits_per_second = 9600\n[[fade]]\nat_seconds = 0.0\nfor_seconds = 900.0\nbits_per_second_max = 1200";
    let arrived = |rates: &[u32]| {
        let mut bench = Bench::with(weather, 2, rates);
        for number in 0..200 {
            bench.arq(0, 1, 6, 100_000, unit(number, 2000));
        }
        bench.run(900.0);
        let during = bench.arrived(1, RCOP).len();
        bench.run(7200.0);
        (during, bench.arrived(1, RCOP).len())
    };
    assert_eq!(arrived(&[]), (0, 200), "the usual rate does not get through the fade");
    // 900 s at 1200 bit/s are 67 of them.
    let (during, all) = arrived(&[300, 1200, 4800, 9600]);
    assert!(during > 15 && all == 200, "{during} in the fade, {all} in all");
}

#[test]
fn four_stations_share_the_channel_fairly() {
    let mut bench = Bench::new("seed = 11", 4);
    for number in 0..400 {
        for station in 0..4 {
            bench.arq(station, (station + 1) % 4, 6, 100_000, unit(number, 500));
        }
    }
    bench.run(3600.0);
    let counts: Vec<usize> = (0..4).map(|station| bench.arrived(station, RCOP).len()).collect();
    let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
    assert!(least * 2 > most && least > 50, "{counts:?}");
}

#[test]
fn without_a_client_there_a_u_pdu_is_rejected_when_asked() {
    let mut bench = Bench::new("", 2);
    let mode = DeliveryMode::new(TransmissionMode::Arq, Confirmation::Client, Order::InOrder);
    let request = UnidataRequest {
        priority: 6,
        sap: SapId::T_MMHS,
        destination: address(1),
        mode,
        retransmissions: 0,
        ttl: Ttl::INFINITE,
        u_pdu: unit(1, 4),
    };
    bench.say(0, RCOP, &Primitive::UnidataRequest(request));
    bench.run(60.0);
    assert!(matches!(
        bench.told.last().map(|told| &told.primitive),
        Some(Primitive::UnidataRequestRejected(DataRejection::NotBound, _))
    ));
}

#[test]
fn a_hard_link_is_made_over_the_air() {
    let mut bench = Bench::new("loss_percent = 10.0", 2);
    let link = HardLink { kind: HardLinkType::Full, priority: 1, remote_sap: SapId::UDOP, node: address(1) };
    bench.say(0, RCOP, &Primitive::HardLinkEstablish(link));
    bench.run(60.0);
    let offered = HardLink { remote_sap: SapId::RCOP, node: address(0), ..link };
    assert_eq!(bench.told[0].primitive, Primitive::HardLinkIndication(HardLinkStatus::Good, offered));
    assert_eq!((bench.told[0].station, bench.told[0].sap), (1, UDOP));
    bench.say(1, UDOP, &Primitive::HardLinkAccept(offered));
    bench.run(120.0);
    assert_eq!(bench.told[1].primitive, Primitive::HardLinkEstablished(HardLinkStatus::Good, link));
    bench.say(0, RCOP, &Primitive::HardLinkTerminate(address(1)));
    bench.run(240.0);
    let kinds: Vec<u8> = bench.told[2..].iter().map(|told| told.primitive.kind()).collect();
    assert_eq!(kinds, [10, 10]);
}

/// While two clients have a link for themselves, others wait; what waited goes when it ends.
#[test]
fn a_hard_link_keeps_the_air_for_its_clients() {
    let mut bench = Bench::new("", 3);
    let link = HardLink { kind: HardLinkType::Full, priority: 1, remote_sap: SapId::UDOP, node: address(1) };
    bench.say(0, RCOP, &Primitive::HardLinkEstablish(link));
    bench.run(60.0);
    bench.say(1, UDOP, &Primitive::HardLinkAccept(HardLink { remote_sap: SapId::RCOP, node: address(0), ..link }));
    bench.run(120.0);
    assert_eq!(bench.told[1].primitive, Primitive::HardLinkEstablished(HardLinkStatus::Good, link));
    bench.arq(2, 0, 3, 3600, unit(1, 200));
    bench.arq(1, 0, 3, 3600, unit(2, 200));
    bench.run(600.0);
    assert_eq!(bench.arrived(0, RCOP), [], "neither from without nor from another client");
    bench.say(0, RCOP, &Primitive::HardLinkTerminate(address(1)));
    bench.run(1800.0);
    let mut tags: Vec<u32> = bench.arrived(0, RCOP).iter().map(|&(tag, _)| tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, [1, 2]);
}

#[test]
fn weather_files_with_wrong_names_are_refused() {
    let rows = [
        ("[[emcon]]\nstation = \"x.test\"", "emcon[0].station"),
        ("[[station]]\nname = \"ship.test\"\naddress = \"1.2.3.1\"", "station[0].address"),
        ("[[station]]\nname = \"ship.test\"\naddress = \"16.2.3.1\"", "station[0].address"),
        ("[[station]]\nname = \"ship.test\"\naddress = \"ship\"", "station[0].address"),
        ("[[group]]\naddress = \"1.2.3.4\"\nmembers = []", "group[0].address"),
    ];
    for (text, key) in rows {
        let weather = Weather::parse(text).unwrap();
        let stations = vec![SimulatorStation { name: "hq.test".to_owned(), config: StationConfig::new(address(0)) }];
        let faults = Simulator::new(Now::default(), &weather, stations).unwrap_err();
        assert_eq!(faults[0].key, key, "{faults:?}");
    }
    let weather = Weather::parse("[[station]]\nname = \"ship.test\"").unwrap();
    let stations = vec![SimulatorStation { name: "hq.test".to_owned(), config: StationConfig::new(address(0)) }];
    let simulator = Simulator::new(Now::default(), &weather, stations).unwrap();
    assert_eq!(simulator.stations().last(), Some((StationId(1), "ship.test", address(1))));
}

#[test]
fn the_sample_weathers_carry_traffic() {
    for name in ["calm", "burst-10", "silent-ship"] {
        let weather = match name {
            "calm" => include_str!("../../../gateway/examples/weather/calm.toml"),
            "burst-10" => include_str!("../../../gateway/examples/weather/burst-10.toml"),
            _ => include_str!("../../../gateway/examples/weather/silent-ship.toml"),
        };
        let mut bench = Bench::new(weather, 2);
        let stations = bench.simulator.stations().count() as u16;
        for to in 1..stations {
            let (_, _, to) = bench.simulator.stations().nth(usize::from(to)).unwrap();
            let mode = DeliveryMode::new(TransmissionMode::Arq, Confirmation::Client, Order::InOrder);
            let mut request = UnidataRequest {
                priority: 6,
                sap: SapId::RCOP,
                destination: to,
                mode,
                retransmissions: 0,
                ttl: Ttl::from_span(Duration::from_secs(900)),
                u_pdu: Bytes::new(),
            };
            for number in 0..3 {
                request.u_pdu = unit(number, 1500);
                bench.say(0, RCOP, &Primitive::UnidataRequest(request.clone()));
            }
        }
        bench.broadcast(0, 3, TransmissionMode::NonArq, unit(99, 500));
        bench.run(900.0);
        assert_eq!(bench.answered(0).0.len(), 3 * (usize::from(stations) - 1), "{name}");
        assert_eq!(bench.simulator.emissions_in_emcon(), 0, "{name}");
        if name == "silent-ship" {
            assert_eq!((bench.arrived(1, UDOP).len(), bench.arrived(2, UDOP).len()), (1, 1));
            let late = bench.told.iter().filter(|told| told.station == 0 && told.seconds > 240.0).count();
            assert!(late >= 3, "the ship acknowledges when its silence ends");
        }
    }
}

/// Random traffic between all stations under a random weather; what must hold holds, and it is the same twice.
fn storm(seed: u64, stations: usize) -> String {
    let mut random = Seeded::new(seed);
    let rate = [300, 1200, 2400, 9600][random.below(4) as usize];
    let mut weather = format!("seed = {seed}\nbits_per_second = {rate}\nloss_percent = {}\n", random.below(8));
    if random.chance(500_000) {
        weather += &format!("[burst]\nloss_percent = {}\nmean_blocks = {}\n", random.below(30), 1 + random.below(6));
    }
    for _ in 0..random.below(4) {
        let station = NAMES[random.below(stations as u64) as usize];
        let (at, length) = (random.below(600), random.below(200));
        weather += &match random.below(3) {
            0 => format!("[[outage]]\nat_seconds = {at}.0\nfor_seconds = {length}.0\n"),
            1 => format!("[[outage]]\nat_seconds = {at}.0\nfor_seconds = {length}.0\nstation = \"{station}\"\n"),
            _ => format!(
                "[[emcon]]\nstation = \"{station}\"\nfrom_seconds = {at}.0\nuntil_seconds = {}.0\n",
                at + length + 1
            ),
        };
    }
    let mut bench = Bench::new(&weather, stations);
    let mut sent: Vec<(u16, u16, u32)> = Vec::new();
    for number in 0..25 {
        let from = random.below(stations as u64) as u16;
        let to = (from + 1 + random.below(stations as u64 - 1) as u16) % stations as u16;
        let ttl = [40, 300, 5000][random.below(3) as usize];
        bench.arq(from, to, random.below(16) as u8, ttl, unit(number, 4 + random.below(2044) as usize));
        sent.push((from, to, number));
        let pause = random.below(20) as f64;
        bench.run(bench.seconds() + pause);
    }
    bench.run(20_000.0);
    assert_eq!(bench.simulator.emissions_in_emcon(), 0, "{weather}");
    for station in 0..stations as u16 {
        assert_eq!(bench.simulator.view(StationId(station)).unwrap().queued(), 0, "{weather}");
        let (confirmed, rejected) = bench.answered(station);
        for &(_, to, number) in sent.iter().filter(|(from, ..)| *from == station) {
            let arrived = bench.arrived(to, RCOP).iter().filter(|(tag, _)| *tag == number).count();
            let answers = (
                confirmed.iter().filter(|tag| **tag == number).count(),
                rejected.iter().filter(|tag| **tag == number).count(),
            );
            assert!(arrived <= 1, "{number} arrived {arrived} times\n{weather}");
            assert!(matches!(answers, (1, 0) | (0, 1)), "{number}: {answers:?}\n{weather}");
            assert!(answers.1 == 1 || arrived == 1, "{number} was confirmed and did not arrive\n{weather}");
        }
    }
    for told in &bench.told {
        if let Primitive::UnidataIndication(indication) = &told.primitive {
            assert_eq!(indication.u_pdu, unit(tag(&indication.u_pdu), indication.u_pdu.len()));
        }
    }
    format!("{:x} {}", bench.digest.finalize(), bench.simulator.octets_on_air())
}

#[test]
fn the_same_seed_gives_the_same_octets() {
    assert_eq!(storm(42, 4), storm(42, 4));
    assert_ne!(storm(42, 4), storm(43, 4));
}

/// A modem whose other end is the test.
struct Bare {
    waveform: Waveform,
    events: VecDeque<ModemEvent>,
    sent: Vec<Bytes>,
    transmitting: bool,
}

impl Modem for Bare {
    fn waveform(&self) -> Waveform {
        self.waveform
    }

    fn carrier(&self) -> bool {
        false
    }

    fn transmitting(&self) -> bool {
        self.transmitting
    }

    fn transmit(&mut self, now: Now, waveform: &Waveform, frames: Vec<Bytes>) -> Result<Instant, ModemFault> {
        self.transmitting = true;
        let octets = frames.iter().map(Bytes::len).sum();
        self.sent.extend(frames);
        Ok(now.mono + waveform.airtime(octets))
    }

    fn begun(&self, _now: Now) -> Option<usize> {
        self.transmitting.then_some(0)
    }

    fn replace(&mut self, now: Now, _from: usize, frames: Vec<Bytes>) -> Result<Instant, ModemFault> {
        self.transmit(now, &self.waveform(), frames)
    }

    fn abort(&mut self, _now: Now) {
        self.transmitting = false;
    }

    fn handle_wakeup(&mut self, _now: Now) {}

    fn poll_event(&mut self) -> Option<ModemEvent> {
        self.events.pop_front()
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        None
    }
}

/// A frame as somebody hostile would make it: valid octets, any fields.
fn hostile_frame(random: &mut Seeded) -> Bytes {
    let source = [address(1), address(0), address(3), NodeAddress::individual(random.below(300) as u32)];
    let source = source[random.below(4) as usize];
    let destination = [address(0), address(0), GROUP, address(2)][random.below(4) as usize];
    let mut segment = vec![0; random.below(512) as usize];
    random.fill(&mut segment);
    if random.chance(300_000) {
        // A C_PDU about links, or an S_PDU.
        segment = vec![random.below(0x60) as u8];
    }
    let c_pdu_size = segment.len() as u16 + [0, 0, 700][random.below(3) as usize];
    let mut flag = || random.chance(300_000);
    let flags = [flag(), flag(), flag(), flag(), flag(), flag()];
    let fsn = random.below(256) as u8;
    let data = DataPart {
        start: flags[0],
        end: flags[1],
        in_order: flags[2],
        drop: flags[3],
        uwe: flags[4],
        lwe: flags[5],
        fsn,
        segment: if flags[3] { Bytes::new() } else { segment.clone().into() },
    };
    let ack = AckPart::new(random.below(256) as u8, (0..random.below(20)).map(|_| random.below(128) as u8 + 1));
    let non_arq = NonArqPart {
        in_order: flags[2],
        c_pdu_id: random.below(40) as u16,
        c_pdu_size,
        offset: [0, 0, random.below(800) as u16][random.below(3) as usize],
        window: random.below(0x1_0000) as u16,
        segment: segment.clone().into(),
    };
    let body = match random.below(12) {
        0 | 1 => Body::Data(data),
        2 => Body::Ack(ack),
        3 => Body::DataAck(data, ack),
        4 => Body::Reset(ResetPart {
            full_command: flags[0],
            tx_window_request: flags[1],
            rx_window_command: flags[2],
            ack: flags[3],
            new_rx_lwe: fsn,
            frame_id: random.below(256) as u8,
        }),
        5 => Body::ExpeditedData(ExpeditedPart {
            start: flags[0],
            end: flags[1],
            c_pdu_id: fsn & 15,
            fsn: random.below(200) as u8,
            segment: segment.into(),
        }),
        6 => Body::ExpeditedAck(ack),
        7 => Body::Management(ManagementPart { valid: flags[0], ack: flags[1], frame_id: fsn, extended: None }),
        8 => Body::NonArq(non_arq),
        9 => Body::ExpeditedNonArq(non_arq),
        10 => Body::Warning { received: fsn & 15, reason: fsn >> 4 },
        _ => Body::Unknown { kind: 9 + fsn % 6, part: Bytes::from(segment).slice(..0) },
    };
    let group = matches!(body, Body::NonArq(_) | Body::ExpeditedNonArq(_));
    let destination = if destination.is_group() && !group { address(0) } else { destination };
    DPdu { eow: Eow::default(), eot: random.below(256) as u8, destination, source, body }.encode()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_frames_hurt(seed: u64) {
        let mut random = Seeded::new(seed);
        let waveform = Waveform::new(9600, Interleaver::Short).unwrap();
        let mut modem = Bare { waveform, events: VecDeque::new(), sent: Vec::new(), transmitting: false };
        let mut config = StationConfig::new(address(0));
        (config.groups, config.server.keep_alive) = (vec![GROUP], None);
        let mut station = Station::new(config, Seeded::new(1));
        let mut now = Now::default();
        station.handle_client(now, ClientId(1), ClientInput::Accepted, &mut modem);
        let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
        let bind = Primitive::BindRequest { sap: SapId::RCOP, rank: Rank::default(), service };
        station.handle_client(now, ClientId(1), ClientInput::Read(bind.encode().unwrap()), &mut modem);
        for round in 0..120 {
            modem.events.push_back(ModemEvent::CarrierOn);
            for _ in 0..random.below(6) {
                let mut frame = hostile_frame(&mut random).to_vec();
                if random.chance(200_000) {
                    let at = random.below(frame.len() as u64) as usize;
                    frame[at] ^= 1 << random.below(8);
                }
                modem.events.push_back(ModemEvent::Received(frame.into()));
            }
            modem.events.push_back(ModemEvent::CarrierOff);
            station.handle_modem(now, &mut modem);
            for _ in 0..20 {
                let Some(wakeup) = station.next_wakeup() else { break };
                now = now.after(wakeup.at.since(now.mono).min(Duration::from_secs(1)));
                station.handle_wakeup(now, &mut modem);
                if std::mem::take(&mut modem.transmitting) {
                    modem.events.push_back(ModemEvent::Sent);
                    station.handle_modem(now, &mut modem);
                }
            }
            let emcon = round % 40 > 20;
            station.set_emcon(now, emcon, &mut modem);
            let sent = modem.sent.len();
            if emcon {
                station.handle_wakeup(now.after(Duration::from_secs(60)), &mut modem);
                prop_assert_eq!(modem.sent.len(), sent);
            }
            prop_assert_eq!(station.over_limit(), None);
            while station.poll().is_some() {}
        }
        prop_assert!(station.counters().frames_forged > 0);
        for frame in &modem.sent {
            prop_assert!(decode(frame).is_ok());
        }
    }

    #[test]
    fn under_any_weather_arq_delivers_once_or_rejects(seed: u64, four: bool) {
        storm(seed, if four { 4 } else { 2 });
    }
}

#[test]
fn the_simulator_takes_every_waveform() {
    for interleaver in ["short", "long"] {
        let waveform = Waveform::new(2400, Interleaver::Long).unwrap();
        assert!(waveform.block > Duration::from_secs(4));
        let mut bench = Bench::new(&format!("bits_per_second = 2400\ninterleaver = \"{interleaver}\""), 2);
        bench.arq(0, 1, 6, 600, unit(1, 1000));
        bench.run(600.0);
        assert_eq!(bench.answered(0).0, [1], "{interleaver}");
    }
}

//! Radios with batch and ACP 142 links at the embedded node, over the simulated channel: from a unit to a unit.

use std::collections::BTreeMap;

use skywave_protocols::acp142::config::EngineConfig;
use skywave_protocols::acp142::pdu::NodeId;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::{Duration, Now, Wakeup, WallTime};

use super::*;
use crate::acp142::{Acp142Link, Air, AirConfig, Config, Group, Site};
use crate::batch::BatchConfig;
use crate::batch::BatchLink;
use crate::io::{PipeId, PipeInput, PipeOutput};
use crate::modem::weather::Weather;
use crate::node::station::{ClientInput, ClientOutput};
use crate::node::{ClientId, Simulator, SimulatorStation, StationConfig};
use crate::transport::{Delivery, SiteName, TransportEvent, TransportInput, TransportOutput, Unit, UnitTicket};

const SITES: [&str; 3] = ["hq", "field", "ship"];
const GROUP: NodeAddress = NodeAddress::group(1);
const UDOP: usize = 0;
const RCOP: usize = 1;
const MULTICAST: usize = 2;

/// Three sites, each with a radio that has a batch link over UDOP, one over RCOP, and one of ACP 142.
struct Bench {
    now: Now,
    simulator: Simulator,
    radios: Vec<Radio>,
    /// What links told: second, site, link.
    told: Vec<(u64, usize, usize, TransportEvent)>,
}

fn address(site: usize) -> NodeAddress {
    NodeAddress::individual(site as u32 + 1)
}

impl Bench {
    fn new(weather: &str) -> Self {
        let weather = Weather::parse(weather).unwrap();
        let now = Now::default().after(Duration::from_secs(1000));
        let station = |site: usize| {
            let mut config = StationConfig::new(address(site));
            config.groups = vec![GROUP];
            SimulatorStation { name: SITES[site].to_owned(), config }
        };
        let simulator = Simulator::new(now, &weather, (0..SITES.len()).map(station).collect()).unwrap();
        let radios = (0..SITES.len()).map(radio).collect();
        let mut bench = Self { now, simulator, radios, told: Vec::new() };
        for site in 0..SITES.len() {
            bench.radios[site].handle_link(now, MULTICAST, TransportInput::Restored(Vec::new()));
        }
        bench.settle();
        let up = bench.told.iter().filter(|(.., event)| *event == TransportEvent::Up).count();
        assert_eq!(up, SITES.len() * 3, "{:?}", bench.told);
        bench.told.clear();
        bench
    }

    /// Moves outputs to where they belong until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for site in 0..self.radios.len() {
                while let Some(output) = self.radios[site].poll() {
                    moved = true;
                    self.on_output(site, output);
                }
            }
            while let Some((station, ClientId(client), output)) = self.simulator.poll() {
                moved = true;
                let input = match output {
                    ClientOutput::Write(octets) => PipeInput::Read(octets),
                    ClientOutput::Close => PipeInput::Closed(None),
                };
                self.pipe_input(usize::from(station.0), PipeId(client), input);
            }
            if !moved {
                return;
            }
        }
    }

    fn on_output(&mut self, site: usize, output: RadioOutput) {
        match output {
            RadioOutput::Shared(TransportOutput::Pipe(pipe, output)) => match output {
                PipeOutput::Open { .. } => {
                    self.client_input(site, pipe, ClientInput::Accepted);
                    self.pipe_input(site, pipe, PipeInput::Opened);
                }
                PipeOutput::Write(octets) => self.client_input(site, pipe, ClientInput::Read(octets)),
                PipeOutput::Close => {
                    self.client_input(site, pipe, ClientInput::Closed);
                    self.pipe_input(site, pipe, PipeInput::Closed(None));
                }
                other => panic!("{other:?}"),
            },
            RadioOutput::Link(link, TransportOutput::Store(batch, _)) => {
                self.radios[site].handle_link(self.now, link, TransportInput::Stored(batch));
            }
            RadioOutput::Link(link, TransportOutput::Event(event)) => {
                let seconds = self.now.mono.as_micros() / 1_000_000 - 1000;
                if let TransportEvent::Arrived { arrival, .. } = event {
                    self.radios[site].link_mut(link).unwrap().accept(self.now, arrival);
                }
                self.told.push((seconds, site, link, event));
            }
            other => panic!("{other:?}"),
        }
    }

    fn pipe_input(&mut self, site: usize, pipe: PipeId, input: PipeInput) {
        self.radios[site].handle(self.now, TransportInput::Pipe(pipe, input));
    }

    fn client_input(&mut self, site: usize, pipe: PipeId, input: ClientInput) {
        let station = self.simulator.station(SITES[site]).unwrap();
        self.simulator.client_input(self.now, station, ClientId(pipe.0), input);
    }

    fn submit(&mut self, site: usize, link: usize, unit: Unit) {
        self.radios[site].link_mut(link).unwrap().submit(self.now, unit);
        self.radios[site].pump(self.now);
        self.settle();
    }

    /// Runs for so many seconds.
    fn run(&mut self, seconds: u64) {
        let end = self.now.after(Duration::from_secs(seconds));
        let mut turns = 0;
        loop {
            let radios = self.radios.iter().map(Radio::next_wakeup);
            let Some(wakeup) = radios.fold(self.simulator.next_wakeup(), Wakeup::earlier) else { break };
            if wakeup.at > end.mono {
                break;
            }
            turns += 1;
            assert!(turns < 200_000, "woken for nothing: {wakeup:?}");
            self.now = self.now.after(wakeup.at.since(self.now.mono));
            self.simulator.handle_wakeup(self.now);
            for radio in &mut self.radios {
                radio.handle_wakeup(self.now);
            }
            self.settle();
        }
        self.now = end;
    }

    /// When and where units arrived.
    fn arrived(&self) -> Vec<(u64, usize, &Bytes)> {
        self.told
            .iter()
            .filter_map(|told| match told {
                (seconds, site, _, TransportEvent::Arrived { content, .. }) => Some((*seconds, *site, content)),
                _ => None,
            })
            .collect()
    }

    fn delivered(&self, ticket: u64) -> Vec<&str> {
        self.told
            .iter()
            .filter_map(|(.., event)| match event {
                TransportEvent::Delivered { ticket: UnitTicket(other), by } if *other == ticket => Some(&**by),
                _ => None,
            })
            .collect()
    }
}

fn radio(site: usize) -> Radio {
    let mut config = RadioConfig::new("node:5066", address(site));
    config.bits_per_second = 1200;
    let mut random = Seeded::new(site as u64);
    let mut radio = Radio::new(config, Box::new(random.fork("radio")));
    let sites: BTreeMap<SiteName, NodeAddress> =
        SITES.iter().enumerate().map(|(site, &name)| (name.into(), address(site))).collect();
    let udop = BatchConfig { rounds: 3, ..BatchConfig::udop(sites.clone(), Some(GROUP)) };
    radio.add_link("batch-udop", Box::new(BatchLink::new(udop, &mut random)));
    radio.add_link("batch-rcop", Box::new(BatchLink::new(BatchConfig::rcop(sites), &mut random)));
    radio.add_link("multicast", Box::new(multicast(site, random.fork("multicast"))));
    radio
}

fn multicast(site: usize, random: Seeded) -> Acp142Link<Air> {
    let id = |site: usize| NodeId(site as u32 + 1);
    let mut engine = EngineConfig::new(id(site));
    engine.pdu_octets_max = 500;
    engine.pace(1200, Duration::from_secs(2));
    let others = || (0..SITES.len()).filter(move |&other| other != site);
    let config = Config {
        engine,
        sites: others().map(|other| Site { name: SITES[other].into(), id: id(other), silent: false }).collect(),
        group: Some(Group { members: others().map(|other| SITES[other].into()).collect() }),
        bits_per_second: 1200,
        turnaround: Duration::from_secs(2),
    };
    let mut air = AirConfig::new();
    air.addresses = (0..SITES.len()).map(|site| (id(site), address(site))).collect();
    air.group = Some(GROUP);
    Acp142Link::new(config, Air::new(air), Now::default().after(Duration::from_secs(1000)), random)
}

fn unit(ticket: u64, to: &[&str], precedence: Precedence, octets: usize) -> Unit {
    let mut content = vec![0; octets];
    Seeded::new(ticket).fill(&mut content);
    Unit {
        ticket: UnitTicket(ticket),
        to: to.iter().map(|&site| site.into()).collect(),
        priority: precedence.mt_priority(),
        expiry: WallTime::from_unix_seconds(100_000),
        delivery: Delivery::Unconfirmed,
        context: 0,
        content: content.into(),
    }
}

#[test]
fn a_broadcast_reaches_the_group_once_and_counts_as_relayed_after_its_rounds() {
    let mut bench = Bench::new("bits_per_second = 1200");
    let sent = unit(1, &["field", "ship"], Precedence::Routine, 5000);
    bench.submit(0, UDOP, sent.clone());
    bench.run(1500);
    let arrived = bench.arrived();
    assert_eq!(arrived.iter().map(|&(_, site, _)| site).collect::<Vec<_>>(), [1, 2]);
    assert!(arrived.iter().all(|&(seconds, _, content)| seconds < 120 && *content == sent.content), "{arrived:?}");
    assert_eq!(bench.delivered(1), ["field", "ship"]);
    // Three rounds of three PDUs, and nothing else.
    assert_eq!(bench.radios[0].counters().handed, 9);
}

#[test]
fn rcop_delivers_through_loss_and_confirms() {
    let mut bench = Bench::new("bits_per_second = 1200\nloss_percent = 15.0\nseed = 3");
    let sent = unit(1, &["field"], Precedence::Routine, 20_000);
    bench.submit(0, RCOP, sent.clone());
    bench.run(1500);
    let arrived = bench.arrived();
    assert!(matches!(arrived[..], [(_, 1, content)] if *content == sent.content), "{}", arrived.len());
    assert_eq!(bench.delivered(1), ["field"]);
}

#[test]
fn a_flash_overtakes_bulk_of_another_link_on_the_same_radio() {
    let mut bench = Bench::new("bits_per_second = 1200");
    bench.submit(0, RCOP, unit(1, &["field"], Precedence::Routine, 60_000));
    bench.submit(0, UDOP, unit(2, &["ship"], Precedence::Routine, 60_000));
    bench.run(60);
    bench.submit(0, UDOP, unit(3, &["field", "ship"], Precedence::Flash, 300));
    bench.run(4000);
    let flash: Vec<_> = bench.arrived().into_iter().filter(|(.., content)| content.len() == 300).collect();
    assert_eq!(flash.len(), 2);
    // What was in the hands of the node is at most 8 s and 30 s of data and one transmission.
    assert!(flash.iter().all(|&(seconds, ..)| (60..120).contains(&seconds)), "{:?}", flash[0].0);
    assert_eq!((bench.delivered(1), bench.delivered(3)), (vec!["field"], vec!["field", "ship"]));
}

#[test]
fn in_emcon_nothing_is_emitted_and_what_waits_goes_when_it_ends() {
    let mut bench = Bench::new("bits_per_second = 1200");
    let hq = bench.simulator.station("hq").unwrap();
    bench.simulator.set_emcon(bench.now, hq, true);
    bench.settle();
    bench.submit(0, UDOP, unit(1, &["field"], Precedence::Override, 500));
    bench.run(600);
    assert_eq!((bench.arrived().len(), bench.simulator.counters(hq).transmissions), (0, 0));
    assert_eq!(bench.radios[0].describe()["silent"], true);
    bench.simulator.set_emcon(bench.now, hq, false);
    bench.settle();
    bench.run(60);
    assert_eq!(bench.arrived().len(), 1);
}

#[test]
fn a_node_that_drops_its_clients_loses_nothing() {
    let mut bench = Bench::new("bits_per_second = 1200");
    let sent = unit(1, &["field"], Precedence::Routine, 20_000);
    bench.submit(0, RCOP, sent.clone());
    bench.run(20);
    for pipe in [PipeId(1), PipeId(2)] {
        bench.client_input(0, pipe, ClientInput::Closed);
        bench.pipe_input(0, pipe, PipeInput::Closed(None));
    }
    bench.settle();
    bench.run(1500);
    let arrived = bench.arrived();
    assert!(matches!(arrived[..], [(_, 1, content)] if *content == sent.content), "{}", arrived.len());
    assert_eq!(bench.delivered(1), ["field"]);
}

#[test]
fn acp_142_delivers_to_a_group_and_to_one_through_loss() {
    let mut bench = Bench::new("bits_per_second = 1200\nloss_percent = 10.0\nseed = 4");
    bench.submit(0, MULTICAST, unit(1, &["field", "ship"], Precedence::Routine, 5000));
    bench.submit(1, MULTICAST, unit(2, &["hq"], Precedence::Flash, 800));
    bench.run(3000);
    let mut arrived: Vec<_> = bench.arrived().iter().map(|(_, site, content)| (*site, content.len())).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, [(0, 800), (1, 5000), (2, 5000)]);
    let mut delivered = bench.delivered(1);
    delivered.sort_unstable();
    assert_eq!((delivered, bench.delivered(2)), (vec!["field", "ship"], vec!["hq"]));
}

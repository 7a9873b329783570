//! A bench for tests: radios with links at embedded nodes, over the simulated channel, from a unit to a unit.

use skywave_protocols::acp142::config::EngineConfig;
use skywave_protocols::acp142::pdu::NodeId;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::{Duration, Now, Wakeup, WallTime};

use super::*;
use crate::acp142::{Acp142Link, Air, AirConfig, Config, Group, Site, radio_medium};
use crate::io::{PipeId, PipeInput, PipeOutput};
use crate::modem::weather::Weather;
use crate::node::{ClientId, Simulator, SimulatorStation, StationConfig};
use crate::node::{ClientInput, ClientOutput};
use crate::transport::{Delivery, TransportEvent, TransportInput, TransportOutput, Unit, UnitTicket};

pub(super) const GROUP: NodeAddress = NodeAddress::group(1);
/// How often the bench may be woken in one run.
const TURNS_MAX: u32 = 2_000_000;

/// Sites with a radio each, all at stations of one channel. Disks answer at once; what arrives is accepted at once.
pub(super) struct Bench {
    pub(super) now: Now,
    pub(super) simulator: Simulator,
    pub(super) radios: Vec<Radio>,
    /// What links told: second, site, link.
    pub(super) told: Vec<(f64, usize, usize, TransportEvent)>,
    sites: Vec<String>,
}

pub(super) fn address(site: usize) -> NodeAddress {
    NodeAddress::individual(site as u32 + 1)
}

impl Bench {
    /// A site for each name; `radio` makes its radio. All are in [`GROUP`].
    pub(super) fn new(weather: &str, sites: &[&str], radio: impl Fn(usize) -> Radio) -> Self {
        let weather = Weather::parse(weather).unwrap();
        let now = Now::default().after(Duration::from_secs(1000));
        let station = |site: usize| {
            let mut config = StationConfig::new(address(site));
            config.groups = vec![GROUP];
            SimulatorStation { name: sites[site].to_owned(), config }
        };
        let simulator = Simulator::new(now, &weather, (0..sites.len()).map(station).collect()).unwrap();
        let radios: Vec<Radio> = (0..sites.len()).map(radio).collect();
        let links: usize = radios.iter().map(Radio::links).sum();
        let sites = sites.iter().map(|&site| site.to_owned()).collect();
        let mut bench = Self { now, simulator, radios, told: Vec::new(), sites };
        for site in 0..bench.radios.len() {
            for link in 0..bench.radios[site].links() {
                bench.radios[site].handle_link(now, link, TransportInput::Restored(Vec::new()));
            }
        }
        bench.settle();
        let up = bench.told.iter().filter(|(.., event)| *event == TransportEvent::Up).count();
        assert_eq!(up, links, "{:?}", bench.told);
        bench.told.clear();
        bench
    }

    /// Moves outputs to where they belong until nothing moves.
    pub(super) fn settle(&mut self) {
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
                let seconds = self.seconds();
                if let TransportEvent::Arrived { arrival, .. } = event {
                    self.radios[site].link_mut(link).unwrap().accept(self.now, arrival);
                }
                self.told.push((seconds, site, link, event));
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn pipe_input(&mut self, site: usize, pipe: PipeId, input: PipeInput) {
        self.radios[site].handle(self.now, TransportInput::Pipe(pipe, input));
    }

    pub(super) fn client_input(&mut self, site: usize, pipe: PipeId, input: ClientInput) {
        let station = self.simulator.station(&self.sites[site]).unwrap();
        self.simulator.client_input(self.now, station, ClientId(pipe.0), input);
    }

    pub(super) fn submit(&mut self, site: usize, link: usize, unit: Unit) {
        self.radios[site].link_mut(link).unwrap().submit(self.now, unit);
        self.radios[site].pump(self.now);
        self.settle();
    }

    /// Runs for so many seconds.
    pub(super) fn run(&mut self, seconds: u64) {
        let end = self.now.after(Duration::from_secs(seconds));
        let mut turns = 0;
        loop {
            let radios = self.radios.iter().map(Radio::next_wakeup);
            let Some(wakeup) = radios.fold(self.simulator.next_wakeup(), Wakeup::earlier) else { break };
            if wakeup.at > end.mono {
                break;
            }
            turns += 1;
            assert!(turns < TURNS_MAX, "woken for nothing: {wakeup:?}");
            self.now = self.now.after(wakeup.at.since(self.now.mono));
            self.simulator.handle_wakeup(self.now);
            for radio in &mut self.radios {
                radio.handle_wakeup(self.now);
            }
            self.settle();
        }
        self.now = end;
    }

    /// Since the bench began.
    pub(super) fn seconds(&self) -> f64 {
        self.now.mono.as_micros() as f64 / 1e6 - 1000.0
    }

    /// When and where units arrived.
    pub(super) fn arrived(&self) -> Vec<(f64, usize, &Bytes)> {
        self.told
            .iter()
            .filter_map(|told| match told {
                (seconds, site, _, TransportEvent::Arrived { content, .. }) => Some((*seconds, *site, content)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn delivered(&self, ticket: u64) -> Vec<&str> {
        self.told
            .iter()
            .filter_map(|(.., event)| match event {
                TransportEvent::Delivered { ticket: UnitTicket(other), by } if *other == ticket => Some(&**by),
                _ => None,
            })
            .collect()
    }
}

/// A unit of random octets.
pub(super) fn unit(ticket: u64, to: &[&str], precedence: Precedence, octets: usize) -> Unit {
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

/// The ACP 142 link of a site among `sites`, as the gateway would configure it.
pub(super) fn acp142(site: usize, sites: &[&str], bits_per_second: u32, turnaround: Duration) -> Acp142Link<Air> {
    let id = |site: usize| NodeId(site as u32 + 1);
    let mut engine = EngineConfig::new(id(site));
    engine.pdu_octets_max = EngineConfig::pdu_octets_by_rate(bits_per_second);
    engine.pdu_octets_arq = Some(EngineConfig::pdu_octets_by_arq());
    engine.pace(&radio_medium(bits_per_second, turnaround));
    let others = || (0..sites.len()).filter(move |&other| other != site);
    let config = Config {
        engine,
        sites: others().map(|other| Site { name: sites[other].into(), id: id(other), silent: false }).collect(),
        group: Some(Group { members: others().map(|other| sites[other].into()).collect() }),
        bits_per_second,
        turnaround,
    };
    let mut air = AirConfig::new();
    air.addresses = (0..sites.len()).map(|site| (id(site), address(site))).collect();
    air.group = Some(GROUP);
    let random = Seeded::new(site as u64).fork("acp142");
    Acp142Link::new(config, Air::new(air), Now::default().after(Duration::from_secs(1000)), random)
}

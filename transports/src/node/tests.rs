//! Stations on a simulated channel, from a client's octets to a client's octets.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest as _, Sha256};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::management::Ask;
use skywave_protocols::s5066::node::cas::LinkSetup;
use skywave_protocols::s5066::node::dpdu::{
    AckPart, Body, DPdu, DataPart, Eow, ExpeditedPart, ManagementPart, NonArqPart, ResetPart, decode,
};
use skywave_protocols::s5066::sis::fields::{
    Confirmation, DeliveryMode, HardLink, HardLinkType, Order, Rank, SapId, ServiceType, TransmissionMode, Ttl,
};
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::reason::{DataRejection, HardLinkStatus, UnbindReason};
use skywave_protocols::s5066::sis::unidata::{Quirks, UnidataRequest};
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};

use super::{ClientId, ClientInput, ClientOutput, Simulator, SimulatorStation, Station, StationConfig};
use crate::modem::channel::StationId;
use crate::modem::weather::Weather;
use crate::modem::{Interleaver, Modem, ModemEvent, ModemFault, Waveform};

mod access;
mod hostile;
mod layers;
mod links;
mod service;
mod storm;

const NAMES: [&str; 4] = ["hq.test", "field.test", "north.test", "south.test"];
const GROUP: NodeAddress = NodeAddress::group(1);
const UDOP: u64 = 7;
const RCOP: u64 = 6;
/// Wakeups of one run, far more than the longest one needs: stations that are never done with an instant, or with each
/// other, fail a test instead of keeping it for ever.
const WAKEUPS_MAX: u64 = 2_000_000;
const WITH_ERRORS: DeliveryMode =
    DeliveryMode::new(TransmissionMode::NonArqWithErrors, Confirmation::None, Order::AsTheyArrive);

/// What a client was told: at how many seconds, at which station and SAP.
struct Told {
    seconds: f64,
    station: u16,
    sap: u64,
    primitive: Primitive,
    /// How often its node had begun anew.
    life: usize,
}

struct Bench {
    simulator: Simulator,
    now: Now,
    readers: BTreeMap<(u16, u64), FrameReader>,
    told: Vec<Told>,
    digest: Sha256,
    /// Nodes that began anew.
    restarts: Vec<u16>,
    /// Wakeups that one run may take.
    wakeups_max: u64,
    /// Clients that their node threw out; none may be but in tests that ask for it.
    closed: Option<Vec<(u16, u64)>>,
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
        Self::configured(weather, stations, |config| config.rates = rates.to_vec())
    }

    /// The same; with `change` stations are configured.
    fn configured(weather: &str, stations: usize, change: impl Fn(&mut StationConfig)) -> Self {
        let weather = Weather::parse(weather).unwrap();
        let config = |number| {
            let mut config = StationConfig::new(address(number));
            config.groups = vec![GROUP];
            config.server.keep_alive = None;
            config.server.queue_octets_max = 4 << 20;
            change(&mut config);
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
        let mut bench = Self {
            simulator,
            now,
            readers: BTreeMap::new(),
            told: Vec::new(),
            digest: Sha256::new(),
            restarts: Vec::new(),
            wakeups_max: WAKEUPS_MAX,
            closed: None,
        };
        let ids: Vec<u16> = bench.simulator.stations().map(|(id, ..)| id.0).collect();
        for station in ids {
            for sap in [RCOP, UDOP] {
                bench.bind(station, sap);
            }
        }
        bench.told.clear();
        bench
    }

    /// The node of a station begins anew, and its clients with it.
    fn restart(&mut self, station: u16) {
        let random = Seeded::new(1000 + self.restarts.len() as u64);
        self.simulator.restart(self.now, StationId(station), random, |_| {});
        self.drain();
        self.readers.retain(|(of, _), _| *of != station);
        self.restarts.push(station);
        for sap in [RCOP, UDOP] {
            self.bind(station, sap);
        }
    }

    /// How often a station has begun anew.
    fn life(&self, station: u16) -> usize {
        self.restarts.iter().filter(|of| **of == station).count()
    }

    /// A number that a station tells about its state.
    fn number(&self, station: u16, pointer: &str) -> u64 {
        let state = self.simulator.view(StationId(station)).unwrap().describe();
        state.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap()
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
            let ClientOutput::Write(octets) = output else {
                let closed = self.closed.as_mut().unwrap_or_else(|| panic!("{client:?} of {station:?} was closed"));
                closed.push((station.0, client.0));
                continue;
            };
            self.digest.update(self.now.mono.as_micros().to_le_bytes());
            self.digest.update(&octets);
            let seconds = self.seconds();
            let reader = self.readers.entry((station.0, client.0)).or_default();
            reader.push(&octets);
            while let Some(frame) = reader.next_frame() {
                let primitive = Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap();
                let life = self.restarts.iter().filter(|of| **of == station.0).count();
                self.told.push(Told { seconds, station: station.0, sap: client.0, primitive, life });
            }
        }
    }

    fn seconds(&self) -> f64 {
        self.now.mono.as_micros() as f64 / 1e6 - 1000.0
    }

    /// Runs until the given second, or until nothing is left to do.
    ///
    /// # Panics
    /// When that does not come to an end.
    fn run(&mut self, until: f64) {
        let mut wakeups = 0;
        while let Some(wakeup) = self.simulator.next_wakeup() {
            let target = wakeup.at.max(self.now.mono);
            if target.as_micros() as f64 / 1e6 - 1000.0 > until {
                break;
            }
            wakeups += 1;
            let (why, now, max) = (wakeup.why, self.seconds(), self.wakeups_max);
            assert!(wakeups <= max, "more than {max} wakeups, at {now} s and not at {until} s: now for {why:?}");
            let restless = self.simulator.restless();
            assert!(restless == 0, "a station is never done with what is due at {now} s: {why:?}");
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

    /// The same, confirmed by the node: no client says a word.
    fn node_arq(&mut self, station: u16, to: u16, u_pdu: Bytes) {
        let (sap, destination, ttl) = (SapId::RCOP, address(to), Ttl::INFINITE);
        let mode = DeliveryMode::ARQ_NODE;
        let request = UnidataRequest { priority: 6, sap, destination, mode, retransmissions: 0, ttl, u_pdu };
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
                Primitive::UnidataRequestConfirm(returned) | Primitive::ExpeditedUnidataRequestConfirm(returned) => {
                    confirmed.push(tag(&returned.leading));
                }
                Primitive::UnidataRequestRejected(reason, returned)
                | Primitive::ExpeditedUnidataRequestRejected(reason, returned) => {
                    assert!(matches!(reason, DataRejection::TtlExpired | DataRejection::NotResponding));
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

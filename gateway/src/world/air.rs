//! The simulated radio of a world: one station per site, and the sessions of the gateways at them.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::cas::LinkSetup;
use skywave_protocols::time::{Duration, Instant, Now};
use skywave_transports::modem::channel::{OnAir, StationId};
use skywave_transports::modem::weather::{Weather, WeatherGroup};
use skywave_transports::node::{ClientId, ClientInput, ClientOutput, Simulator, SimulatorStation, StationConfig};

use super::plan::{GROUP_ADDRESS, WORLD_BEGINS};
use crate::node::config::SiteConfig;

/// The radio. See the module's page.
#[derive(Debug)]
pub struct Air {
    weather: Weather,
    waiting: Vec<SimulatorStation>,
    simulator: Option<Simulator>,
    /// Site index → its station's name.
    names: BTreeMap<usize, String>,
    powered_off: BTreeMap<usize, bool>,
    sessions: BTreeMap<u64, usize>,
    next_session: u64,
    /// How the stations make their links; `None`: as they usually do. Said before the first is attached.
    pub setup: Option<LinkSetup>,
    /// What else the station of a site, by its index, has otherwise than usual. Said before the first is attached.
    pub tune: Option<fn(usize, &mut StationConfig)>,
    /// What went on the air, where somebody asked for it by putting a list here before anything did.
    pub on_air: Option<Vec<OnAir>>,
    /// Why the weather does not fit the sites.
    pub faults: Vec<String>,
}

impl Air {
    /// A radio without stations.
    pub fn new(weather: &Weather, mut random: Seeded) -> Self {
        Self {
            weather: Weather { seed: weather.seed ^ random.number(), ..weather.clone() },
            waiting: Vec::new(),
            simulator: None,
            names: BTreeMap::new(),
            powered_off: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            setup: None,
            tune: None,
            on_air: None,
            faults: Vec::new(),
        }
    }

    /// Adds the station of a site that has a radio. All stations are added before the first is used.
    pub fn attach(&mut self, site: usize, config: &SiteConfig) {
        let Some(radio) = config.radios.first() else { return };
        let Ok(address) = radio.address.parse::<NodeAddress>() else { return };
        let name = config.site.to_string();
        self.weather.stations.retain(|station| station.name != name);
        self.names.insert(site, name.clone());
        let mut config = StationConfig::new(address);
        config.cas.setup = self.setup.unwrap_or(config.cas.setup);
        if let Some(tune) = self.tune {
            tune(site, &mut config);
        }
        self.waiting.push(SimulatorStation { name, config });
    }

    /// A gateway connects to its station; the session's number, or `None` when it is switched off.
    pub fn open(&mut self, at: Instant, site: usize) -> Option<u64> {
        if self.powered_off.contains_key(&site) {
            return None;
        }
        let station = self.station(at, site)?;
        self.next_session += 1;
        let session = self.next_session;
        self.sessions.insert(session, site);
        self.input(at, station, session, ClientInput::Accepted);
        Some(session)
    }

    /// Octets of a gateway.
    pub fn read(&mut self, at: Instant, session: u64, octets: &[u8]) {
        let Some(&site) = self.sessions.get(&session) else { return };
        if let Some(station) = self.station(at, site) {
            self.input(at, station, session, ClientInput::Read(Bytes::copy_from_slice(octets)));
        }
    }

    /// A gateway closed its connection.
    pub fn close(&mut self, at: Instant, session: u64) {
        let Some(site) = self.sessions.remove(&session) else { return };
        if let Some(station) = self.station(at, site) {
            self.input(at, station, session, ClientInput::Closed);
        }
    }

    /// A site crashed: all its sessions are gone.
    pub fn hang_up(&mut self, at: Instant, site: usize) -> Vec<u64> {
        let gone: Vec<u64> = self.sessions.iter().filter(|(_, of)| **of == site).map(|(id, _)| *id).collect();
        for &session in &gone {
            self.close(at, session);
        }
        gone
    }

    /// Octets for a session; `None` in them when the station closed it.
    pub fn poll_write(&mut self) -> Option<(u64, Option<Bytes>)> {
        let (_, client, output) = self.simulator.as_mut()?.poll()?;
        match output {
            ClientOutput::Write(octets) => Some((client.0, Some(octets))),
            ClientOutput::Close => {
                self.sessions.remove(&client.0);
                Some((client.0, None))
            }
        }
    }

    /// When it wants to be woken.
    pub fn next_at(&self) -> Option<Instant> {
        Some(self.simulator.as_ref()?.next_wakeup()?.at)
    }

    /// Plays what is due.
    pub fn handle_wakeup(&mut self, at: Instant) {
        if let Some(simulator) = &mut self.simulator {
            simulator.handle_wakeup(now(at));
        }
        self.listen(at);
    }

    /// A station enters or leaves EMCON.
    pub fn set_emcon(&mut self, at: Instant, site: usize, on: bool) {
        let station = self.station(at, site);
        if let (Some(station), Some(simulator)) = (station, &mut self.simulator) {
            simulator.set_emcon(now(at), station, on);
        }
    }

    /// No propagation for a time.
    pub fn outage(&mut self, at: Instant, span: Duration) {
        self.begin(at);
        if let Some(simulator) = &mut self.simulator {
            simulator.add_outage(now(at), span);
        }
    }

    /// A station's node is switched on or off; the sessions that end by it.
    pub fn set_power(&mut self, at: Instant, site: usize, on: bool) -> Vec<u64> {
        if on {
            self.powered_off.remove(&site);
            return Vec::new();
        }
        self.powered_off.insert(site, true);
        self.hang_up(at, site)
    }

    /// A station's node begins anew, and takes U_PDUs of at most so many octets; the sessions that end by it.
    pub fn renew(&mut self, at: Instant, site: usize, mtu: u16) -> Vec<u64> {
        let gone = self.hang_up(at, site);
        let station = self.station(at, site);
        if let (Some(station), Some(simulator)) = (station, &mut self.simulator) {
            let random = Seeded::new(self.next_session);
            simulator.restart(now(at), station, random, |config| config.server.mtu = mtu);
        }
        gone
    }

    /// Transmissions of a site's station.
    pub fn transmissions(&self, site: usize) -> u64 {
        let simulator = self.simulator.as_ref().zip(self.names.get(&site));
        let counters = simulator.and_then(|(simulator, name)| Some(simulator.counters(simulator.station(name)?)));
        counters.map_or(0, |counters| counters.transmissions)
    }

    /// Transmissions of stations that should have been silent.
    pub fn emissions_in_emcon(&self) -> u64 {
        self.simulator.as_ref().map_or(0, Simulator::emissions_in_emcon)
    }

    /// Transmissions that began before an end that their station had heard announced.
    pub fn begun_early(&self) -> u64 {
        self.simulator.as_ref().map_or(0, Simulator::begun_early)
    }

    /// A fingerprint of every frame on the air.
    pub fn fingerprint(&self) -> u64 {
        self.simulator.as_ref().map_or(0, Simulator::fingerprint)
    }

    /// What of a station exceeds its limits.
    pub fn over_limit(&self) -> Option<String> {
        self.simulator.as_ref()?.over_limit()
    }

    /// Octets that all stations put on the air.
    pub fn octets_on_air(&self) -> u64 {
        self.simulator.as_ref().map_or(0, Simulator::octets_on_air)
    }

    /// Seconds that all stations were on the air.
    pub fn seconds_on_air(&self) -> f64 {
        self.simulator.as_ref().map_or(0.0, Simulator::seconds_on_air)
    }

    fn station(&mut self, at: Instant, site: usize) -> Option<StationId> {
        self.begin(at);
        self.simulator.as_ref()?.station(self.names.get(&site)?)
    }

    fn begin(&mut self, at: Instant) {
        if self.simulator.is_some() || !self.faults.is_empty() {
            return;
        }
        let members = self.waiting.iter().map(|station| station.name.clone()).collect();
        self.weather.groups.retain(|group| group.address != GROUP_ADDRESS);
        self.weather.groups.push(WeatherGroup { address: GROUP_ADDRESS.to_owned(), members });
        match Simulator::new(now(at), &self.weather, std::mem::take(&mut self.waiting)) {
            Ok(mut simulator) => {
                if self.on_air.is_some() {
                    simulator.listen_in();
                }
                self.simulator = Some(simulator);
            }
            Err(faults) => self.faults = faults.iter().map(ToString::to_string).collect(),
        }
    }

    fn input(&mut self, at: Instant, station: StationId, session: u64, input: ClientInput) {
        if let Some(simulator) = &mut self.simulator {
            simulator.client_input(now(at), station, ClientId(session), input);
        }
        self.listen(at);
    }

    /// Keeps what has left the air since.
    fn listen(&mut self, at: Instant) {
        if let (Some(kept), Some(simulator)) = (&mut self.on_air, &mut self.simulator) {
            kept.extend(std::iter::from_fn(|| simulator.poll_on_air(now(at)).map(|(.., frame)| frame)));
        }
    }
}

/// The radio lives on the world's clock.
fn now(at: Instant) -> Now {
    Now { mono: at, wall: WORLD_BEGINS + at.since(Instant::ZERO) }
}

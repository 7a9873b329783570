//! Stations whose simulated channel another process hosts: each has a connection of its own to it.
//!
//! The other end is [`crate::modem::shared::host`] beside that process's `Simulator`. Promises: pure. Weather, EMCON
//! schedules and outages are the host's; the silence of these stations is ordered here.

use serde_json::{Value, json};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::node::ClientId;
use skywave_protocols::time::{Now, Wakeup};

use super::simulator::{SimulatorStation, earlier, fit, station_id};
use super::stack::{ClientInput, ClientOutput};
use super::station::Station;
use crate::modem::Modem as _;
use crate::modem::channel::StationId;
use crate::modem::shared::guest::GuestModem;
use crate::modem::shared::listening::Passed;
use crate::modem::shared::wire::SharedFault;

#[derive(Debug)]
struct Site {
    name: String,
    station: Station,
    modem: GuestModem,
}

/// Stations on a channel elsewhere. See the module's page. They are numbered in the order given.
#[derive(Debug)]
pub struct Joined {
    sites: Vec<Site>,
}

impl Joined {
    /// Stations and their modems, which the host has welcomed. `random` differs from start to start.
    pub fn new(stations: Vec<(SimulatorStation, GuestModem)>, random: &Seeded) -> Self {
        let site = |(station, mut modem): (SimulatorStation, GuestModem)| {
            let SimulatorStation { name, mut config } = station;
            fit(&mut config, modem.welcome());
            if config.emcon {
                modem.set_emcon(Now::default(), true);
            }
            Site { station: Station::new(config, random.fork(&name)), name, modem }
        };
        Self { sites: stations.into_iter().map(site).collect() }
    }

    /// The number of the station of a site.
    pub fn station(&self, name: &str) -> Option<StationId> {
        self.sites.iter().position(|site| site.name == name).map(station_id)
    }

    /// From now on [`Joined::poll_passed`] tells what the stations send and hear.
    pub fn listen_in(&mut self) {
        self.sites.iter_mut().for_each(|site| site.modem.listen_in());
    }

    /// The next frame that a station sent or heard: the station's site, and when it left or, as it was heard, now.
    pub fn poll_passed(&mut self, now: Now) -> Option<(&str, Now, Passed)> {
        self.sites.iter_mut().find_map(|site| {
            let passed = site.modem.poll_passed()?;
            let at = match &passed {
                Passed::Sent { at, .. } => earlier(now, *at),
                Passed::Heard(_) => now,
            };
            Some((site.name.as_str(), at, passed))
        })
    }

    /// Takes octets of the host for a station.
    ///
    /// # Errors
    /// [`SharedFault`]: that connection is of no more use.
    pub fn host_read(&mut self, now: Now, station: StationId, octets: &[u8]) -> Result<(), SharedFault> {
        let Some(site) = self.site(station) else { return Ok(()) };
        let read = site.modem.handle_read(octets);
        if site.modem.has_events() {
            site.station.handle_modem(now, &mut site.modem);
        }
        read
    }

    /// The next octets for the host, and the station whose connection they belong to.
    pub fn poll_host(&mut self) -> Option<(StationId, Bytes)> {
        let mut sites = self.sites.iter_mut().enumerate();
        sites.find_map(|(number, site)| Some((station_id(number), site.modem.poll_write()?)))
    }

    /// Takes what happens at a client's connection of a station.
    pub fn client_input(&mut self, now: Now, station: StationId, client: ClientId, input: ClientInput) {
        if let Some(site) = self.site(station) {
            site.station.handle_client(now, client, input, &mut site.modem);
        }
    }

    /// Begins or ends a station's silence.
    pub fn set_emcon(&mut self, now: Now, station: StationId, emcon: bool) {
        if let Some(site) = self.site(station) {
            site.station.set_emcon(now, emcon, &mut site.modem);
        }
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        for site in &mut self.sites {
            if site.station.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
                site.station.handle_wakeup(now, &mut site.modem);
            }
        }
    }

    /// The next output for a client of a station.
    pub fn poll(&mut self) -> Option<(StationId, ClientId, ClientOutput)> {
        self.sites.iter_mut().enumerate().find_map(|(number, site)| {
            let (client, output) = site.station.poll()?;
            Some((station_id(number), client, output))
        })
    }

    /// When a station wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        self.sites.iter().map(|site| site.station.next_wakeup()).fold(None, Wakeup::earlier)
    }

    /// The state for the console; what went on air is the host's to tell.
    pub fn describe(&self) -> Value {
        let describe = |site: &Site| {
            let mut station = site.station.describe();
            station["site"] = json!(site.name);
            station
        };
        let waveform = self.sites.first().map(|site| site.modem.welcome().waveform);
        json!({
            "bits_per_second": waveform.map(|waveform| waveform.bits_per_second),
            "interleaver": waveform.map(|waveform| waveform.interleaver),
            "stations": self.sites.iter().map(describe).collect::<Vec<_>>(),
        })
    }

    fn site(&mut self, station: StationId) -> Option<&mut Site> {
        self.sites.get_mut(usize::from(station.0))
    }
}

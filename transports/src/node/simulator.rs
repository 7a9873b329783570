//! Several stations on one simulated channel: one pure machine.
//!
//! The world drives it in virtual time, `skywave demo` and `skywave node` in real time. It keeps the weather's schedule
//! of EMCON by itself; outages are the channel's. Promises: the same weather, stations, inputs and times give the same
//! octets. The checkers read [`Simulator::counters`].

use std::collections::BTreeSet;

use serde_json::{Value, json};
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::ClientId;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup, WallTime};

use super::config::StationConfig;
use super::eot;
use super::limits::{QUEUE_OCTETS_MAX, ROUNDS_MAX};
use super::stack::{ClientInput, ClientOutput};
use super::station::Station;
use crate::modem::channel::{Channel, ChannelConfig, OnAir, Outage, StationCounters, StationId};
use crate::modem::limits::STATIONS_MAX;
use crate::modem::shared::wire::Welcome;
use crate::modem::weather::{Weather, WeatherFault, WeatherStation};

/// A station that takes part.
#[derive(Clone, Debug)]
pub struct SimulatorStation {
    /// The name of its site, as weather files use it.
    pub name: String,
    /// Its configuration; groups of the weather are added, turnaround and length of transmissions replaced.
    pub config: StationConfig,
}

#[derive(Debug)]
struct Site {
    name: String,
    station: Station,
    /// When it wants to be woken, as of its last input.
    wakeup: Option<Wakeup>,
    /// Transmissions that it had begun by then.
    transmissions: u64,
    /// Those of them that began before an end that it had heard announced. Must stay 0.
    begun_early: u64,
}

/// Stations and the channel between them. See the module's page.
#[derive(Debug)]
pub struct Simulator {
    radio: Welcome,
    channel: Channel,
    sites: Vec<Site>,
    /// The wakeups of all sites.
    wakeups: BTreeSet<(Instant, u16)>,
    /// When who begins (`true`) or ends its silence.
    schedule: BTreeSet<(Instant, u16, bool)>,
    /// Instants with which somebody was not done after so many rounds. Must stay 0.
    restless: u64,
}

impl Simulator {
    /// Stations under a weather; those that the weather adds follow the given ones. A station that is both given and
    /// in the weather keeps its configuration and takes the weather's address.
    ///
    /// # Errors
    /// Every name in the weather that is no station, every address that is none or is taken.
    pub fn new(now: Now, weather: &Weather, stations: Vec<SimulatorStation>) -> Result<Self, Vec<WeatherFault>> {
        let mut stations = stations;
        let names: Vec<&str> = stations.iter().map(|station| station.name.as_str()).collect();
        let mut faults = weather.unknown_stations(&names);
        for (number, added) in weather.stations.iter().enumerate() {
            add_station(number, added, &mut stations, &mut faults);
        }
        add_groups(weather, &mut stations, &mut faults);
        if stations.len() > STATIONS_MAX {
            faults.push(fault("station".to_owned(), format!("{} stations, at most {STATIONS_MAX}", stations.len())));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let random = Seeded::new(weather.seed);
        let names: Vec<String> = stations.iter().map(|station| station.name.clone()).collect();
        let mut channel = Channel::new(now, channel_config(now, weather, &names), random.fork("channel"));
        let (mut sites, two_only) = (Vec::new(), stations.len() <= 2);
        for (number, SimulatorStation { name, mut config }) in stations.into_iter().enumerate() {
            channel.attach(station_id(number));
            if config.rates.is_empty() {
                config.rates.clone_from(&weather.rates);
            }
            fit(&mut config, &radio_of(weather));
            config.two_only.get_or_insert(two_only);
            channel.set_emcon(now, station_id(number), config.emcon);
            let station = Station::new(config, random.fork(&name));
            sites.push(Site { name, station, wakeup: None, transmissions: 0, begun_early: 0 });
        }
        let (radio, schedule) = (radio_of(weather), schedule(now, weather, &names));
        let mut simulator = Self { radio, channel, sites, wakeups: BTreeSet::new(), schedule, restless: 0 };
        simulator.advance(now);
        Ok(simulator)
    }

    /// The number of the station of a site.
    pub fn station(&self, name: &str) -> Option<StationId> {
        self.sites.iter().position(|site| site.name == name).map(station_id)
    }

    /// All stations: number, site, address.
    pub fn stations(&self) -> impl Iterator<Item = (StationId, &str, NodeAddress)> + '_ {
        self.sites.iter().enumerate().map(|(i, site)| (station_id(i), site.name.as_str(), site.station.address()))
    }

    /// Takes what happens at a client's connection of a station. Connections are numbered per station.
    pub fn client_input(&mut self, now: Now, station: StationId, client: ClientId, input: ClientInput) {
        self.advance(now);
        if let Some(site) = self.sites.get_mut(usize::from(station.0)) {
            site.station.handle_client(now, client, input, &mut self.channel.port(station));
        }
        self.note(now, station);
        self.advance(now);
    }

    /// Begins or ends a station's silence.
    pub fn set_emcon(&mut self, now: Now, station: StationId, emcon: bool) {
        self.advance(now);
        self.switch_emcon(now, station, emcon);
        self.advance(now);
    }

    /// From now on nobody hears anybody for so long.
    pub fn add_outage(&mut self, now: Now, span: Duration) {
        self.advance(now);
        let outage = Outage { station: None, from: now.mono, until: now.mono + span, bits_per_second_max: 0 };
        self.channel.add_outage(outage);
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        self.advance(now);
    }

    /// How this radio is for the stations of other processes, whose numbers begin behind ours.
    pub fn welcome(&self) -> Welcome {
        Welcome { station: station_id(self.sites.len()).0, ..self.radio.clone() }
    }

    /// Lets stations of other processes act on the channel.
    pub fn with_channel(&mut self, now: Now, act: impl FnOnce(&mut Channel)) {
        self.advance(now);
        act(&mut self.channel);
        self.advance(now);
    }

    /// The next output for a client of a station.
    pub fn poll(&mut self) -> Option<(StationId, ClientId, ClientOutput)> {
        self.sites.iter_mut().enumerate().find_map(|(number, site)| {
            let (client, output) = site.station.poll()?;
            Some((station_id(number), client, output))
        })
    }

    /// From now on what goes on the air is kept for [`Simulator::poll_on_air`].
    pub fn listen_in(&mut self) {
        self.channel.listen_in();
    }

    /// The next frame that went on the air: of which site (none where another process has the station), when its first
    /// octet left, itself.
    pub fn poll_on_air(&mut self, now: Now) -> Option<(Option<&str>, Now, OnAir)> {
        let frame = self.channel.poll_on_air()?;
        let site = self.sites.get(usize::from(frame.station.0)).map(|site| site.name.as_str());
        Some((site, earlier(now, frame.at), frame))
    }

    /// When the simulator wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let station = self.wakeups.first().and_then(|&(_, number)| self.sites.get(usize::from(number))?.wakeup);
        let schedule = self.schedule.first().map(|&(at, ..)| Wakeup { at, why: "EMCON schedule" });
        Wakeup::earlier(Wakeup::earlier(self.channel.next_wakeup(), schedule), station)
    }

    /// What a station put on the air, and its emissions in EMCON.
    pub fn counters(&self, station: StationId) -> StationCounters {
        self.channel.counters(station)
    }

    /// Octets on air of all stations: every frame, repeat and acknowledgement.
    pub fn octets_on_air(&self) -> u64 {
        self.sites.iter().enumerate().map(|(i, _)| self.counters(station_id(i)).octets_on_air).sum()
    }

    /// Seconds on air of all stations: key-up, preambles and padding included.
    pub fn seconds_on_air(&self) -> f64 {
        self.sites.iter().enumerate().map(|(i, _)| self.counters(station_id(i)).seconds_on_air()).sum()
    }

    /// A fingerprint of every frame that was put on the air, with its time and station.
    pub const fn fingerprint(&self) -> u64 {
        self.channel.fingerprint()
    }

    /// What of a station exceeds its limits, in words; `None` when all is well.
    pub fn over_limit(&self) -> Option<String> {
        self.sites.iter().find_map(|site| Some(format!("{}: {}", site.name, site.station.over_limit()?)))
    }

    /// The node of a station begins anew, as after a crash: what is in the air is cut off, its clients' connections are
    /// gone, and it knows of nothing that was before. Its configuration may be another one.
    pub fn restart(&mut self, now: Now, station: StationId, random: Seeded, change: impl FnOnce(&mut StationConfig)) {
        self.advance(now);
        self.channel.abort(now, station);
        self.channel.forget_received(station);
        if let Some(site) = self.sites.get_mut(usize::from(station.0)) {
            let emcon = site.station.emcon();
            let mut config = site.station.config().clone();
            change(&mut config);
            site.station = Station::new(config, random);
            site.station.set_emcon(now, emcon, &mut self.channel.port(station));
        }
        self.note(now, station);
        self.advance(now);
    }

    /// Transmissions of stations that were in EMCON. Must stay 0.
    pub fn emissions_in_emcon(&self) -> u64 {
        self.sites.iter().enumerate().map(|(i, _)| self.counters(station_id(i)).emissions_in_emcon).sum()
    }

    /// Transmissions that began before the end which the last D_PDU heard of another station had announced. Must stay 0.
    pub fn begun_early(&self) -> u64 {
        self.sites.iter().map(|site| site.begun_early).sum()
    }

    /// How often a station had more and more to do at one instant, so that the others were not played on. Must stay 0.
    pub const fn restless(&self) -> u64 {
        self.restless
    }

    /// A station, to be looked at.
    pub fn view(&self, station: StationId) -> Option<&Station> {
        self.sites.get(usize::from(station.0)).map(|site| &site.station)
    }

    /// The state for the console, with stable field names.
    pub fn describe(&self) -> Value {
        let waveform = self.channel.waveform();
        let stations: Vec<Value> = self
            .sites
            .iter()
            .enumerate()
            .map(|(number, site)| {
                let mut station = site.station.describe();
                station["site"] = json!(site.name);
                station["air"] = json!(self.counters(station_id(number)));
                station
            })
            .collect();
        json!({
            "bits_per_second": waveform.bits_per_second,
            "interleaver": waveform.interleaver,
            "bytes_on_air": self.octets_on_air(),
            "seconds_on_air": self.seconds_on_air(),
            "emissions_in_emcon": self.emissions_in_emcon(),
            "stations": stations,
        })
    }

    /// Plays everything that is due, each thing at its own instant: whoever drives the simulator late, or in compressed
    /// time, gets the same radio as who is on time.
    fn advance(&mut self, now: Now) {
        while let Some(wakeup) = self.next_wakeup().filter(|wakeup| wakeup.at <= now.mono) {
            if !self.play(earlier(now, wakeup.at)) {
                // Who drives the simulator gets on with all else, and comes back at once.
                self.restless += 1;
                return;
            }
        }
        self.play(now);
    }

    /// Plays what is due at one instant, until nobody has anything more to do: `false` when that does not come.
    fn play(&mut self, now: Now) -> bool {
        while let Some(&(at, number, emcon)) = self.schedule.first().filter(|(at, ..)| *at <= now.mono) {
            self.schedule.remove(&(at, number, emcon));
            self.switch_emcon(now, StationId(number), emcon);
        }
        for _ in 0..ROUNDS_MAX {
            self.channel.handle_wakeup(now);
            let mut still = true;
            for number in 0..self.sites.len() {
                still &= !self.play_site(now, number);
            }
            if still {
                return true;
            }
        }
        false
    }

    /// Gives a site what its modem has for it and wakes it if it is time. Says whether anything was to be done.
    fn play_site(&mut self, now: Now, number: usize) -> bool {
        let id = station_id(number);
        let Some(site) = self.sites.get_mut(number) else { return false };
        let heard = self.channel.has_events(id);
        if heard {
            site.station.handle_modem(now, &mut self.channel.port(id));
        }
        let due = if heard { site.station.next_wakeup() } else { site.wakeup }.is_some_and(|due| due.at <= now.mono);
        if due {
            site.station.handle_wakeup(now, &mut self.channel.port(id));
        }
        if heard || due {
            self.note(now, id);
        }
        heard || due
    }

    /// Takes down what a site does and when it wants to be woken, after every input to it.
    fn note(&mut self, now: Now, id: StationId) {
        let Some(site) = self.sites.get_mut(usize::from(id.0)) else { return };
        let transmissions = self.channel.counters(id).transmissions;
        if std::mem::replace(&mut site.transmissions, transmissions) != transmissions {
            let early =
                self.channel.last_received(id).any(|(_, begun, frame)| eot::is_before_end(begun, frame, now.mono));
            site.begun_early += u64::from(early);
        }
        let before = std::mem::replace(&mut site.wakeup, site.station.next_wakeup());
        if let Some(wakeup) = before {
            self.wakeups.remove(&(wakeup.at, id.0));
        }
        self.wakeups.extend(site.wakeup.map(|wakeup| (wakeup.at, id.0)));
    }

    fn switch_emcon(&mut self, now: Now, id: StationId, emcon: bool) {
        if let Some(site) = self.sites.get_mut(usize::from(id.0)) {
            site.station.set_emcon(now, emcon, &mut self.channel.port(id));
        }
        self.note(now, id);
    }
}

/// What stations have to know of the radio of a weather.
fn radio_of(weather: &Weather) -> Welcome {
    Welcome {
        station: 0,
        speed: 1,
        wall: WallTime::default(),
        waveform: weather.waveform,
        turnaround: weather.turnaround,
        answer_delay: weather.answer_delay,
        idle_guard: weather.idle_guard,
        transmission_max: weather.transmission_max,
    }
}

/// Fits a station to its radio.
pub(super) fn fit(config: &mut StationConfig, radio: &Welcome) {
    config.turnaround = radio.turnaround;
    config.answer_delay = radio.answer_delay;
    config.idle_guard = radio.idle_guard;
    config.transmission_max = radio.transmission_max.unwrap_or(config.transmission_max);
    config.transmission_shared_max = config.transmission_shared_max.min(config.transmission_max);
    config.rates.retain(|&rate| radio.waveform.at_rate(rate).is_ok());
    let usual = radio.waveform.bits_per_second;
    config.rate_first = config.rates.iter().rposition(|&rate| rate <= usual).unwrap_or_default();
    let longest = config.link_answer_longest(&radio.waveform);
    config.cas.request_wait = config.cas.request_wait.max(longest);
    config.cas.break_wait = config.cas.break_wait.max(longest);
    if !config.queue_fits_rate {
        return;
    }
    // A fast channel is only filled by what is there when a transmission begins.
    let two_transmissions = radio.waveform.octets_within(config.transmission_max).saturating_mul(2);
    let waiting = &mut config.server.queue_octets_max;
    *waiting = two_transmissions.clamp(*waiting, QUEUE_OCTETS_MAX.max(*waiting));
}

pub(super) fn station_id(number: usize) -> StationId {
    StationId(u16::try_from(number).unwrap_or(u16::MAX))
}

/// Both clocks at an instant that has passed.
pub(super) fn earlier(now: Now, at: Instant) -> Now {
    let ago = u64::try_from(now.mono.since(at).as_micros()).unwrap_or(u64::MAX);
    Now { mono: at, wall: WallTime::from_unix_micros(now.wall.unix_micros().saturating_sub(ago)) }
}

fn fault(key: String, reason: String) -> WeatherFault {
    WeatherFault { key, reason }
}

fn add_station(
    number: usize,
    added: &WeatherStation,
    stations: &mut Vec<SimulatorStation>,
    faults: &mut Vec<WeatherFault>,
) {
    let given = stations.iter().position(|station| station.name == added.name);
    if given.is_some() && added.address.is_none() {
        return;
    }
    let others = stations.iter().filter(|station| station.name != added.name);
    let others: Vec<NodeAddress> = others.map(|station| station.config.server.address).collect();
    let taken = |address: NodeAddress| others.contains(&address);
    let address = match added.address.as_deref().map(str::parse::<NodeAddress>) {
        Some(Ok(address)) => address,
        Some(Err(error)) => return faults.push(fault(format!("station[{number}].address"), error.to_string())),
        None => {
            let free = (0x0102_0301..).map(NodeAddress::individual).find(|&address| !taken(address));
            free.unwrap_or(NodeAddress::individual(0))
        }
    };
    if address.is_group() || taken(address) {
        let reason = format!("{address} is a group or taken by another station");
        return faults.push(fault(format!("station[{number}].address"), reason));
    }
    match given.and_then(|given| stations.get_mut(given)) {
        Some(station) => station.config.server.address = address,
        None => stations.push(SimulatorStation { name: added.name.clone(), config: StationConfig::new(address) }),
    }
}

fn add_groups(weather: &Weather, stations: &mut [SimulatorStation], faults: &mut Vec<WeatherFault>) {
    for (number, group) in weather.groups.iter().enumerate() {
        match group.address.parse::<NodeAddress>() {
            Ok(address) if address.is_group() => {
                let members = stations.iter_mut().filter(|station| group.members.contains(&station.name));
                members.for_each(|station| station.config.groups.push(address));
            }
            Ok(address) => {
                faults.push(fault(format!("group[{number}].address"), format!("{address} is no group address")));
            }
            Err(error) => faults.push(fault(format!("group[{number}].address"), error.to_string())),
        }
    }
}

fn channel_config(now: Now, weather: &Weather, names: &[String]) -> ChannelConfig {
    let number = |name: &String| names.iter().position(|known| known == name).map(station_id);
    let outage = |period: &crate::modem::weather::OutagePeriod| {
        let (station, bits_per_second_max) = (period.station.as_ref().and_then(number), period.bits_per_second_max);
        let outage =
            |(from, until)| Outage { station, from: now.mono + from, until: now.mono + until, bits_per_second_max };
        period.each().map(outage).collect::<Vec<_>>()
    };
    ChannelConfig {
        waveform: weather.waveform,
        propagation: weather.propagation,
        loss: weather.loss,
        outages: weather.outages.iter().chain(&weather.fades).flat_map(outage).collect(),
    }
}

fn schedule(now: Now, weather: &Weather, names: &[String]) -> BTreeSet<(Instant, u16, bool)> {
    let mut schedule = BTreeSet::new();
    for period in &weather.emcon {
        let Some(number) = names.iter().position(|name| *name == period.station).map(station_id) else { continue };
        schedule.insert((now.mono + period.from, number.0, true));
        if let Some(until) = period.until {
            schedule.insert((now.mono + until, number.0, false));
        }
    }
    schedule
}

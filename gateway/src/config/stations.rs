//! The file of `skywave node`: stations on one simulated radio, and the weather between them.
//!
//! Checked like the configuration of a site: all mistakes at once, those of the weather file with that file's name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::cas::LinkSetup;
use skywave_protocols::s5066::node::limits::CLIENTS_MAX;
use skywave_protocols::s5066::sis::fields::Rank;
use skywave_protocols::s5066::sis::limits::MTU_OCTETS_MAX;
use skywave_protocols::time::{Duration, Now};
use skywave_transports::modem::weather::{Weather, WeatherFault, wrong_rates};
use skywave_transports::node::StationConfig;
use skywave_transports::node::simulator::{Simulator, SimulatorStation};

use super::mistake::{Found, Key, Mistake, Places};
use super::node_names::NodeNames;
use super::station_layers::{RawArq, RawLink, RawSis};
use super::values::{self, domain_name, positive};
use super::{Text, deserialize, syntax_mistakes, without_echoes};
use crate::shell::radio::RadioStation;

/// A week: what is idle longer might as well stay.
const IDLE_SECONDS_MAX: u64 = 604_800;
/// The standard wants so many clients served at once at least.
const CLIENTS_MIN: usize = 5;
/// How many times as fast as real time a radio may run that other processes share: an answer is missed 0.85 s of its
/// time after it is due, and a hop by TCP on a busy machine takes some milliseconds.
const SHARED_SPEED_MAX: u32 = 50;
/// What an S_PDU can say (15 days).
const TTL_SECONDS_MAX: u64 = 1_296_000;

/// The file: stations by name, and the weather between them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStations {
    /// A weather file, seen from this one; calm without.
    weather_file: Option<String>,
    /// Rate of the modems, instead of the weather's.
    bits_per_second: Option<u32>,
    /// Rates that the stations may change to, instead of the weather's.
    rates: Option<Vec<u32>>,
    /// How many times as fast as real time; sites that connect must run as fast.
    speed: Option<u32>,
    /// A radio shared by several processes.
    radio: RawRadio,
    /// Addresses of nodes and groups elsewhere by their names.
    nodes: BTreeMap<String, String>,
    /// Stations by the names of their sites.
    station: BTreeMap<String, RawStation>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRadio {
    /// Other processes may share this radio here.
    listen: Option<SocketAddr>,
    /// The radio is hosted by another process, at `HOST:PORT`.
    join: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStation {
    listen: Option<SocketAddr>,
    address: Option<String>,
    groups: Vec<String>,
    /// It keeps radio silence from its start on.
    emcon: bool,
    /// How links are made.
    setup: LinkSetup,
    /// How they are made with some nodes, by their addresses.
    peer: BTreeMap<String, RawPeer>,
    /// Longest transmission.
    transmission_seconds: f64,
    /// Longest transmission while others have data too.
    transmission_shared_seconds: f64,
    /// A link made by handshake ends when nothing moves for so long.
    link_idle_seconds: u64,
    /// The same while there are several links.
    link_idle_shared_seconds: u64,
    /// Links at once.
    links_max: usize,
    /// Clients at once.
    clients_max: usize,
    /// Time to live of what asks for no end.
    ttl_max_seconds: u64,
    /// Rank that counts for hard links that other nodes ask for.
    hard_link_rank: u8,
    /// After so long without a confirmation clients are told that the other node does not respond.
    confirm_wait_seconds: Option<u64>,
    /// It has no links: all goes without ARQ.
    broadcast_only: bool,
    /// Making and ending links.
    link: RawLink,
    /// ARQ of D_PDUs.
    arq: RawArq,
    /// The clients' side.
    sis: RawSis,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPeer {
    setup: LinkSetup,
}

impl Default for RawStation {
    fn default() -> Self {
        let StationConfig { server, cas, transmission_max, transmission_shared_max, emcon, .. } =
            StationConfig::new(NodeAddress::ALL_STATIONS);
        Self {
            listen: None,
            address: None,
            groups: Vec::new(),
            emcon,
            setup: cas.setup,
            peer: BTreeMap::new(),
            transmission_seconds: transmission_max.as_secs_f64(),
            transmission_shared_seconds: transmission_shared_max.as_secs_f64(),
            link_idle_seconds: cas.soft_idle.as_secs(),
            link_idle_shared_seconds: cas.soft_idle_shared.as_secs(),
            links_max: cas.links_max,
            clients_max: server.clients_max,
            ttl_max_seconds: server.ttl_max.as_secs(),
            hard_link_rank: server.hard_link_rank.number(),
            confirm_wait_seconds: server.confirm_wait.map(|wait| wait.as_secs()),
            broadcast_only: server.broadcast_only,
            link: RawLink::default(),
            arq: RawArq::default(),
            sis: RawSis::default(),
        }
    }
}

impl RawStation {
    /// How the station behaves.
    fn config(&self, address: NodeAddress, names: &NodeNames, key: &Key, found: &mut Found<'_>) -> StationConfig {
        let mut config = StationConfig::new(address);
        let mut seconds = |name: &str, given: f64| {
            let span = (1.0..=127.5).contains(&given).then(|| Duration::try_from_secs_f64(given).ok()).flatten();
            found.take(&key.at(name), span.ok_or_else(|| format!("cannot be {given}: 1 to 127.5 s")))
        };
        config.transmission_max = seconds("transmission_seconds", self.transmission_seconds).unwrap_or_default();
        let shared = seconds("transmission_shared_seconds", self.transmission_shared_seconds);
        config.transmission_shared_max = shared.unwrap_or_default();
        for (name, given, most) in [
            ("link_idle_seconds", self.link_idle_seconds, IDLE_SECONDS_MAX),
            ("link_idle_shared_seconds", self.link_idle_shared_seconds, IDLE_SECONDS_MAX),
            ("links_max", self.links_max as u64, config.cas.links_max as u64),
            ("ttl_max_seconds", self.ttl_max_seconds, TTL_SECONDS_MAX),
        ] {
            if !(1..=most).contains(&given) {
                found.wrong(&key.at(name), format!("cannot be {given}: 1 to {most}"));
            }
        }
        if !(CLIENTS_MIN..=CLIENTS_MAX).contains(&self.clients_max) {
            let reason = format!("cannot be {}: {CLIENTS_MIN} to {CLIENTS_MAX}", self.clients_max);
            found.wrong(&key.at("clients_max"), reason);
        }
        config.cas.soft_idle = Duration::from_secs(self.link_idle_seconds);
        config.cas.soft_idle_shared = Duration::from_secs(self.link_idle_shared_seconds);
        config.cas.links_max = self.links_max;
        config.cas.setup = self.setup;
        let mut written = BTreeMap::new();
        for (peer, RawPeer { setup }) in &self.peer {
            let key = key.at("peer").at(peer);
            let Some(address) = node(&key, peer, false, names, found) else { continue };
            config.cas.setups.insert(address, *setup);
            if let Some(other) = written.insert(address, peer) {
                found.wrong(&key, format!("is the same node as peer.{other:?}"));
            }
        }
        config.server.clients_max = self.clients_max;
        config.server.ttl_max = Duration::from_secs(self.ttl_max_seconds);
        let rank = Rank::try_from(self.hard_link_rank).map_err(|error| error.to_string());
        config.server.hard_link_rank = found.take(&key.at("hard_link_rank"), rank).unwrap_or_default();
        if let Some(wait) = self.confirm_wait_seconds {
            if !(1..=TTL_SECONDS_MAX).contains(&wait) {
                found.wrong(&key.at("confirm_wait_seconds"), format!("cannot be {wait}: 1 to {TTL_SECONDS_MAX}"));
            }
            config.server.confirm_wait = Some(Duration::from_secs(wait));
        }
        if self.broadcast_only {
            (config.cas.broadcast_only, config.server.broadcast_only) = (true, true);
            config.server.mtu = MTU_OCTETS_MAX;
        }
        self.link.apply(&mut config.cas, &key.at("link"), found);
        self.sis.apply(&mut config, &key.at("sis"), found);
        self.arq.apply(&mut config, &key.at("arq"), found);
        config.emcon = self.emcon;
        config
    }
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Stations {
    /// Between them.
    pub weather: Weather,
    /// How many times as fast as real time.
    pub speed: u32,
    /// Where other processes may share the radio.
    pub shared_at: Option<SocketAddr>,
    /// Who hosts the radio, `HOST:PORT`; then weather and speed are the host's.
    pub joins: Option<String>,
    /// All of them, by name.
    pub stations: Vec<RadioStation>,
}

/// Reads the file of `skywave node`; `read` reads the weather file, whose name is seen from the folder of this one.
///
/// # Errors
/// All mistakes.
pub fn load(text: &Text, read: impl FnOnce(&Path) -> Result<Text, Vec<Mistake>>) -> Result<Stations, Vec<Mistake>> {
    let syntax = syntax_mistakes(std::slice::from_ref(text));
    if !syntax.is_empty() {
        return Err(syntax);
    }
    let (places, mut mistakes) = (Places::of(text), Vec::new());
    let mut value = toml::from_str::<toml::Value>(&text.text).unwrap_or_else(|_| toml::Table::new().into());
    let raw: RawStations = deserialize(&mut value, &places, &mut mistakes);
    let mut found = Found::new(&places);
    let stations = stations(&raw, &mut found);
    if let Some(speed) = raw.speed {
        positive(&Key::new("speed"), speed.into(), &mut found);
    }
    radio(&raw, &mut found);
    let weather = weather(&raw, &text.file, read, &mut found).and_then(|(weather, of)| {
        rates(&raw, &weather, &mut found);
        let all = stations.iter().map(|station| station.station.clone()).collect();
        // What does not fit together shows when it is put together; nothing runs yet.
        match Simulator::new(Now::default(), &weather, all) {
            Ok(_) => Ok(weather),
            Err(faults) => Err(of.mistakes(faults)),
        }
    });
    without_echoes(&mut mistakes, found.finish());
    let weather = weather.map_err(|wrong| mistakes.extend(wrong));
    match weather {
        Ok(weather) if mistakes.is_empty() => Ok(Stations {
            weather,
            speed: raw.speed.unwrap_or(1),
            shared_at: raw.radio.listen,
            joins: raw.radio.join,
            stations,
        }),
        Ok(_) | Err(()) => Err(mistakes),
    }
}

/// Whoever joins a radio takes it as it is.
fn radio(raw: &RawStations, found: &mut Found<'_>) {
    if let (Some(speed), Some(_)) = (raw.speed.filter(|speed| *speed > SHARED_SPEED_MAX), raw.radio.listen) {
        let reason = format!("cannot be {speed} where other processes share the radio: at most {SHARED_SPEED_MAX}");
        found.wrong(&Key::new("speed"), reason);
    }
    let Some(host) = &raw.radio.join else { return };
    if host.rsplit_once(':').is_none_or(|(name, port)| name.is_empty() || port.parse::<u16>().is_err()) {
        found.wrong(&Key::new("radio").at("join"), "is no HOST:PORT");
    }
    let own = [
        (Key::new("radio").at("listen"), raw.radio.listen.is_some()),
        (Key::new("weather_file"), raw.weather_file.is_some()),
        (Key::new("bits_per_second"), raw.bits_per_second.is_some()),
        (Key::new("speed"), raw.speed.is_some()),
    ];
    for (key, _) in own.iter().filter(|(_, given)| *given) {
        found.wrong(key, "is the host's; it cannot stand beside radio.join");
    }
}

/// Rates that a radio of this weather has. Those of a radio elsewhere are not known here: what it has not is left out.
fn rates(raw: &RawStations, weather: &Weather, found: &mut Found<'_>) {
    let (Some(rates), None) = (&raw.rates, &raw.radio.join) else { return };
    for reason in wrong_rates(rates, &weather.waveform) {
        found.wrong(&Key::new("rates"), &reason);
    }
}

fn stations(raw: &RawStations, found: &mut Found<'_>) -> Vec<RadioStation> {
    let mut stations = Vec::new();
    let names = names(raw, found);
    let (mut listen_at, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    if raw.station.is_empty() {
        found.wrong(&Key::new("station"), "there is no [station.\"NAME\"]");
    }
    for (name, station) in &raw.station {
        let key = Key::new("station").at(name);
        domain_name(&key, name, found);
        let listen = found.required(&key.at("listen"), station.listen.as_ref());
        let address = found.required(&key.at("address"), station.address.as_ref());
        let address = address.and_then(|text| {
            values::node_address(&key.at("address"), &text, false, found);
            text.parse().ok()
        });
        let groups = station.groups.iter().filter_map(|text| node(&key.at("groups"), text, true, &names, found));
        let groups = groups.collect();
        if listen.is_some_and(|listen| listen.port() > 0 && !listen_at.insert(listen)) {
            found.wrong(&key.at("listen"), "another station listens there");
        }
        if address.is_some_and(|address| !addresses.insert(address)) {
            found.wrong(&key.at("address"), "another station has it");
        }
        if let (Some(listen), Some(address)) = (listen, address) {
            let rates = raw.rates.clone().unwrap_or_default();
            let config = StationConfig { groups, rates, ..station.config(address, &names, &key, found) };
            stations.push(RadioStation { station: SimulatorStation { name: name.clone(), config }, listen });
        }
    }
    stations
}

/// The names of stations and of nodes elsewhere; what is wrong with a station's address is told with the station.
fn names(raw: &RawStations, found: &mut Found<'_>) -> NodeNames {
    let mut names = NodeNames::default();
    for (name, address) in &raw.nodes {
        names.add(&Key::new("nodes").at(name), name, address, found);
    }
    for (name, station) in &raw.station {
        let address = station.address.as_ref().filter(|address| address.parse::<NodeAddress>().is_ok());
        let key = Key::new("station").at(name).at("address");
        address.into_iter().for_each(|address| names.add(&key, name, address, found));
    }
    names
}

/// A node, or a group, by its name or its address.
fn node(key: &Key, text: &str, group: bool, names: &NodeNames, found: &mut Found<'_>) -> Option<NodeAddress> {
    let address = found.take(key, names.address(text))?;
    values::node_address(key, &address.to_string(), group, found);
    Some(address)
}

/// The weather, and where in its file its keys stand.
fn weather(
    raw: &RawStations,
    file: &str,
    read: impl FnOnce(&Path) -> Result<Text, Vec<Mistake>>,
    found: &mut Found<'_>,
) -> Result<(Weather, Places), Vec<Mistake>> {
    let text = match &raw.weather_file {
        Some(name) => read(&Path::new(file).parent().unwrap_or(Path::new(".")).join(name))?,
        None => Text { file: file.to_owned(), text: String::new() },
    };
    let places = Places::of(&text);
    let weather = Weather::parse(&text.text).map_err(|faults| places.mistakes(faults))?;
    let Some(rate) = raw.bits_per_second else { return Ok((weather, places)) };
    let calm = weather.clone();
    let weather = found.take(&Key::new("bits_per_second"), weather.with_bits_per_second(rate).map_err(|f| f.reason));
    Ok((weather.unwrap_or(calm), places))
}

impl Places {
    pub(super) fn of(Text { file, text }: &Text) -> Self {
        let mut places = Self::default();
        places.note(file, text, toml::de::DeTable::parse_recoverable(text).0.get_ref());
        places
    }

    /// What the weather calls `outage[0].at_seconds` or `line 7, interleaver`.
    fn mistakes(&self, faults: Vec<WeatherFault>) -> Vec<Mistake> {
        let mistake = |fault: WeatherFault| match fault.key.strip_prefix("line ") {
            Some(line) => {
                let (line, key) = line.split_once(", ").unwrap_or((line, ""));
                let line = line.parse().unwrap_or_default();
                Mistake { file: self.first_file.clone(), line, key: key.to_owned(), reason: fault.reason }
            }
            None => {
                let parts = fault.key.split(['.', '[', ']']).filter(|part| !part.is_empty());
                self.mistake(&parts.fold(Key::default(), |key, part| key.at(part)), fault.reason)
            }
        };
        faults.into_iter().map(mistake).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../examples/node.toml");

    fn loaded(text: &str, weather: &str) -> Result<Stations, Vec<String>> {
        let text = Text { file: "etc/node.toml".to_owned(), text: text.to_owned() };
        let read = |path: &Path| Ok(Text { file: path.display().to_string(), text: weather.to_owned() });
        load(&text, read).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_sample_is_in_order() {
        let loaded = loaded(SAMPLE, include_str!("../../examples/weather/calm.toml")).unwrap();
        assert_eq!(loaded.stations.len(), 3);
        assert_eq!((loaded.speed, loaded.weather.waveform.bits_per_second), (1, 1200));
        assert_eq!(loaded.stations[0].station.config.groups.len(), 1);
    }

    #[test]
    fn how_a_station_behaves_is_said_by_its_keys() {
        let keys = "emcon = true\nsetup = \"handshake\"\npeer.\"1.1.0.9\".setup = \"skip\"\ntransmission_seconds = 60\n\
                    peer.\"1.1.0.7\".setup = \"reset\"\nconfirm_wait_seconds = 90\nbroadcast_only = true\n\
                    transmission_shared_seconds = 10.5\nlink_idle_seconds = 7\nlink_idle_shared_seconds = 5\nlinks_max = 3\n\
                    clients_max = 6\nttl_max_seconds = 60\nhard_link_rank = 4\n";
        let text = format!("[station.\"a.test\"]\nlisten = \"127.0.0.1:1\"\naddress = \"1.1.0.1\"\n{keys}");
        let config = loaded(&text, "").unwrap().stations.remove(0).station.config;
        let peer = |text: &str| config.cas.setup_of(text.parse().unwrap());
        assert_eq!((peer("1.1.0.8"), peer("1.1.0.9")), (LinkSetup::Handshake, LinkSetup::Skip));
        assert_eq!(peer("1.1.0.7"), LinkSetup::Reset);
        let millis = |span: Duration| span.as_micros() / 1_000;
        assert_eq!(config.server.confirm_wait.map(millis), Some(90_000));
        assert!(config.cas.broadcast_only && config.server.broadcast_only && config.server.mtu == MTU_OCTETS_MAX);
        assert_eq!(millis(config.transmission_max), 60_000);
        assert_eq!(millis(config.transmission_shared_max), 10_500);
        assert_eq!((millis(config.cas.soft_idle), millis(config.cas.soft_idle_shared)), (7_000, 5_000));
        assert_eq!((config.emcon, config.cas.links_max, config.server.clients_max), (true, 3, 6));
        assert_eq!((millis(config.server.ttl_max), config.server.hard_link_rank.number()), (60_000, 4));
        let wrong = keys
            .replace("emcon = true", "emcon = 1")
            .replace("= 60", "= 0")
            .replace("= 90", "= 0")
            .replace("10.5", "200")
            .replace("= 3", "= 65");
        let wrong = wrong
            .replace("clients_max = 6", "clients_max = 4")
            .replace("rank = 4", "rank = 16")
            .replace("1.1.0.9", "17.0.0.9")
            .replace("\"skip\"", "\"jump\"");
        let text = text.replace(keys, &wrong);
        let found = loaded(&text, "").unwrap_err();
        assert_eq!(found.len(), 10, "{found:#?}");
    }

    #[test]
    fn nodes_and_groups_have_names() {
        let text = "[nodes]\nship = \"1.1.0.9\"\nfleet = \"17.0.0.1\"\n[station.a]\nlisten = \"127.0.0.1:1\"\n\
                    address = \"1.1.0.1\"\ngroups = [\"fleet\"]\npeer.ship.setup = \"handshake\"\npeer.b.setup = \"skip\"\n\
                    [station.b]\nlisten = \"127.0.0.1:2\"\naddress = \"1.1.0.2\"\n";
        let config = loaded(text, "").unwrap().stations.remove(0).station.config;
        let peer = |text: &str| config.cas.setup_of(text.parse().unwrap());
        assert_eq!((peer("1.1.0.9"), peer("1.1.0.2")), (LinkSetup::Handshake, LinkSetup::Skip));
        assert_eq!(config.groups, ["17.0.0.1".parse().unwrap()]);
        let wrong = text.replace("peer.ship", "peer.fleet").replace("peer.b", "peer.nobody").replace("17.0.0.1", "18");
        let found = loaded(&wrong, "").unwrap_err();
        assert_eq!(found.len(), 4, "{found:#?}");
        let twice = text.replace("peer.b.", "peer.\"1.1.0.9\".");
        let found = loaded(&twice, "").unwrap_err();
        assert!(
            found.len() == 1 && found[0].ends_with("peer.ship: is the same node as peer.\"1.1.0.9\""),
            "{found:#?}"
        );
    }

    #[test]
    fn whoever_joins_a_radio_takes_it_as_it_is() {
        let sample = include_str!("../../examples/nodes/join.toml");
        let joined = loaded(sample, "").unwrap();
        assert_eq!((joined.joins.as_deref(), joined.shared_at), (Some("127.0.0.1:5060"), None));
        let hosted = SAMPLE.replace("# [radio]", "[radio]").replace("# listen", "listen");
        assert!(loaded(&hosted, "").unwrap().shared_at.is_some());
        let fast = |speed: u32| loaded(&format!("speed = {speed}\n{hosted}"), "");
        assert!(fast(50).is_ok());
        let wrong = fast(51).unwrap_err();
        assert!(wrong[0].ends_with("cannot be 51 where other processes share the radio: at most 50"), "{wrong:#?}");
        let found = loaded(&sample.replace("127.0.0.1:5060", "nowhere").replace("[radio]", "speed = 2\n[radio]"), "");
        let found = found.unwrap_err();
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].ends_with("speed: is the host's; it cannot stand beside radio.join"), "{found:#?}");
        assert!(found[1].ends_with("radio.join: is no HOST:PORT"), "{found:#?}");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "speeed = 3\nbits_per_second = 1000\nspeed = 0\nweather_file = \"w.toml\"\n\
                    [station.\"a b\"]\nlisten = \"here\"\naddress = \"17.0.0.1\"\n\
                    [station.\"hq.test\"]\nlisten = \"127.0.0.1:1\"\naddress = \"1.1.0.1\"\ngroups = [\"1.2.3.4\"]\n\
                    [station.\"ship.test\"]\nlisten = \"127.0.0.1:1\"\naddress = \"1.1.0.1\"\n";
        let weather = "[[emcon]]\nstation = \"nobody.test\"\nfrom_seconds = 1.0\n";
        let wanted = [
            "etc/node.toml:1: speeed: unknown field `speeed`",
            "etc/node.toml:6: station.\"a b\".listen: invalid socket address",
            "etc/node.toml:2: bits_per_second: ",
            "etc/node.toml:3: speed: cannot be 0",
            "etc/node.toml:5: station.\"a b\": \"a b\" is no domain name",
            "etc/node.toml:7: station.\"a b\".address: \"17.0.0.1\" is a group",
            "etc/node.toml:11: station.\"hq.test\".groups: \"1.2.3.4\" is no group",
            "etc/node.toml:13: station.\"ship.test\".listen: another station listens there",
            "etc/node.toml:14: station.\"ship.test\".address: another station has it",
            "etc/w.toml:2: emcon.0.station: there is no station nobody.test",
        ];
        let found = loaded(text, weather).unwrap_err();
        assert_eq!(found.len(), wanted.len(), "{found:#?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.starts_with(wanted), "{found}\n{wanted}");
        }
    }

    #[test]
    fn a_weather_file_that_cannot_be_read_is_a_mistake_too() {
        let found = loaded("weather_file = \"w.toml\"\n", "seed = 1\nbits = 3\nloss_percent = 200\n").unwrap_err();
        assert_eq!(found[0], "etc/node.toml: station: there is no [station.\"NAME\"]");
        assert!(found[1].starts_with("etc/w.toml:2: bits: unknown field"), "{found:#?}");
        let syntax = loaded("speed =\n[station", "").unwrap_err();
        assert!(syntax.iter().all(|mistake| mistake.starts_with("etc/node.toml:")), "{syntax:#?}");
    }
}

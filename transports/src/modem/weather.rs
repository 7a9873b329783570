//! Weather files: what a simulated radio does, as data with a seed.
//!
//! A weather file is TOML. Everything in it is optional; the default is a calm channel at 1200 bit/s with the short
//! interleaver. Unknown keys are refused, and every mistake is named with its key, all of them at once. Stations are
//! named as sites are (`ship.test`); whoever starts the simulation knows some of them already, the file may add
//! others. Times count from the start of the simulation.
//!
//! ```toml
//! seed = 7
//! bits_per_second = 1200
//! interleaver = "short"
//! turnaround_seconds = 0.2
//! loss_percent = 1.0
//!
//! [burst]
//! loss_percent = 10.0
//! mean_blocks = 3
//!
//! [[outage]]
//! at_seconds = 30.0
//! for_seconds = 20.0
//! station = "field.test"      # without it: everybody
//!
//! [[emcon]]
//! station = "ship.test"
//! from_seconds = 0.0
//! until_seconds = 240.0       # without it: for ever
//!
//! [[station]]
//! name = "ship.test"
//! address = "1.2.3.7"
//!
//! [[group]]
//! address = "16.0.0.1"
//! members = ["field.test", "ship.test"]
//! ```

use serde::Deserialize;
use skywave_protocols::time::Duration;

use super::limits::{PERIODS_MAX, STATIONS_MAX, WEATHER_FILE_OCTETS_MAX};
use super::loss::{Burst, Loss};
use super::{Interleaver, Waveform};

/// A weather file that was checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Weather {
    /// The seed of everything random on the channel.
    pub seed: u64,
    /// The mode of the modems.
    pub waveform: Waveform,
    /// From antenna to antenna.
    pub propagation: Duration,
    /// From the end of a reception to the start of the answer.
    pub turnaround: Duration,
    /// Longest transmission of a station; `None` leaves it to the station.
    pub transmission_max: Option<Duration>,
    /// What receivers lose.
    pub loss: Loss,
    /// Times without propagation.
    pub outages: Vec<OutagePeriod>,
    /// Times of silence.
    pub emcon: Vec<EmconPeriod>,
    /// Stations that the file adds.
    pub stations: Vec<WeatherStation>,
    /// Groups.
    pub groups: Vec<WeatherGroup>,
}

/// A time without propagation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutagePeriod {
    /// At which station; `None` for all.
    pub station: Option<String>,
    /// From when.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
}

/// A time in which a station emits nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmconPeriod {
    /// Which station.
    pub station: String,
    /// From when.
    pub from: Duration,
    /// Until when; `None` for ever.
    pub until: Option<Duration>,
}

/// A station that the file adds.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeatherStation {
    /// Its site.
    pub name: String,
    /// Its STANAG 5066 address in dotted form; without it the simulation chooses one.
    #[serde(default)]
    pub address: Option<String>,
}

/// A group of stations.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeatherGroup {
    /// Its group address in dotted form (`16.0.0.1` to `31.255.255.255`).
    pub address: String,
    /// Its stations.
    pub members: Vec<String>,
}

/// One mistake in a weather file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct WeatherFault {
    /// The key; for what is no TOML at all or has unknown keys, the line.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    seed: u64,
    bits_per_second: u32,
    interleaver: Interleaver,
    turnaround_seconds: f64,
    key_up_seconds: f64,
    propagation_seconds: f64,
    transmission_seconds: Option<f64>,
    loss_percent: f64,
    burst: Option<RawBurst>,
    outage: Vec<RawOutage>,
    emcon: Vec<RawEmcon>,
    station: Vec<WeatherStation>,
    group: Vec<WeatherGroup>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            seed: 1,
            bits_per_second: 1200,
            interleaver: Interleaver::Short,
            turnaround_seconds: 0.2,
            key_up_seconds: 0.15,
            propagation_seconds: 0.01,
            transmission_seconds: None,
            loss_percent: 0.0,
            burst: None,
            outage: Vec::new(),
            emcon: Vec::new(),
            station: Vec::new(),
            group: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBurst {
    loss_percent: f64,
    mean_blocks: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutage {
    at_seconds: f64,
    for_seconds: f64,
    station: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEmcon {
    station: String,
    #[serde(default)]
    from_seconds: f64,
    until_seconds: Option<f64>,
}

impl Default for Weather {
    fn default() -> Self {
        let mut faults = Faults::default();
        check(Raw::default(), &mut faults)
    }
}

impl Weather {
    /// Reads a weather file.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(text: &str) -> Result<Self, Vec<WeatherFault>> {
        if text.len() > WEATHER_FILE_OCTETS_MAX {
            let reason = format!("{} octets, at most {WEATHER_FILE_OCTETS_MAX}", text.len());
            return Err(vec![WeatherFault { key: "file".to_owned(), reason }]);
        }
        let raw: Raw = toml::from_str(text).map_err(|error| vec![syntax(text, &error)])?;
        let mut faults = Faults::default();
        let weather = check(raw, &mut faults);
        if faults.0.is_empty() { Ok(weather) } else { Err(faults.0) }
    }

    /// The same weather at another rate, with the interleaver if that rate has it, else the short one.
    ///
    /// # Errors
    /// The rate is no HF rate.
    pub fn with_bits_per_second(mut self, bits_per_second: u32) -> Result<Self, WeatherFault> {
        let waveform = Waveform::new(bits_per_second, self.waveform.interleaver)
            .or_else(|_| Waveform::new(bits_per_second, Interleaver::Short))
            .map_err(|fault| WeatherFault { key: "bits_per_second".to_owned(), reason: fault.to_string() })?;
        self.waveform = Waveform { key_up: self.waveform.key_up, ..waveform };
        Ok(self)
    }

    /// Every name of a station in the file that is neither added by it nor among `known`, with its key.
    pub fn unknown_stations(&self, known: &[&str]) -> Vec<WeatherFault> {
        let outages = self.outages.iter().enumerate();
        let outages = outages.filter_map(|(i, o)| Some((format!("outage[{i}].station"), o.station.as_deref()?)));
        let emcon = self.emcon.iter().enumerate().map(|(i, e)| (format!("emcon[{i}].station"), e.station.as_str()));
        let groups = self.groups.iter().enumerate();
        let groups =
            groups.flat_map(|(i, g)| g.members.iter().map(move |m| (format!("group[{i}].members"), m.as_str())));
        outages
            .chain(emcon)
            .chain(groups)
            .filter(|(_, name)| !known.contains(name) && !self.stations.iter().any(|station| station.name == *name))
            .map(|(key, name)| WeatherFault { key, reason: format!("there is no station {name}") })
            .collect()
    }
}

#[derive(Default)]
struct Faults(Vec<WeatherFault>);

impl Faults {
    fn add(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        self.0.push(WeatherFault { key: key.into(), reason: reason.into() });
    }

    fn seconds(&mut self, key: impl Into<String>, seconds: f64, max: f64) -> Duration {
        if (0.0..=max).contains(&seconds) {
            return Duration::from_micros((seconds * 1e6).round() as u64);
        }
        self.add(key, format!("{seconds} is not between 0 and {max} seconds"));
        Duration::ZERO
    }

    fn per_million(&mut self, key: &str, percent: f64, max: f64) -> u32 {
        if (0.0..=max).contains(&percent) {
            return (percent * 10_000.0).round() as u32;
        }
        self.add(key, format!("{percent} is not between 0 and {max} percent"));
        0
    }
}

/// A year; longer simulations are not worth a weather file.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

fn check(raw: Raw, faults: &mut Faults) -> Weather {
    let mut waveform = waveform(&raw, faults);
    waveform.key_up = faults.seconds("key_up_seconds", raw.key_up_seconds, 1.0);
    let single_per_million = faults.per_million("loss_percent", raw.loss_percent, 100.0);
    let burst = raw.burst.map(|burst| {
        if burst.mean_blocks == 0 {
            faults.add("burst.mean_blocks", "a burst has at least 1 block");
        }
        Burst {
            loss_per_million: faults.per_million("burst.loss_percent", burst.loss_percent, 99.0),
            mean_blocks: burst.mean_blocks.max(1),
        }
    });
    for (key, count, max) in [
        ("outage", raw.outage.len(), PERIODS_MAX),
        ("emcon", raw.emcon.len(), PERIODS_MAX),
        ("station", raw.station.len(), STATIONS_MAX),
        ("group", raw.group.len(), STATIONS_MAX),
    ] {
        if count > max {
            faults.add(key, format!("{count} entries, at most {max}"));
        }
    }
    for (number, station) in raw.station.iter().enumerate() {
        if raw.station[..number].iter().any(|other| other.name == station.name) {
            faults.add(format!("station[{number}].name"), format!("{} is there already", station.name));
        }
    }
    Weather {
        seed: raw.seed,
        waveform,
        propagation: faults.seconds("propagation_seconds", raw.propagation_seconds, 1.0),
        turnaround: faults.seconds("turnaround_seconds", raw.turnaround_seconds, 60.0),
        transmission_max: raw.transmission_seconds.map(|max| faults.seconds("transmission_seconds", max, 127.5)),
        loss: Loss { single_per_million, burst },
        outages: raw.outage.into_iter().enumerate().map(|(i, outage)| check_outage(i, outage, faults)).collect(),
        emcon: raw.emcon.into_iter().enumerate().map(|(i, emcon)| check_emcon(i, emcon, faults)).collect(),
        stations: raw.station,
        groups: raw.group,
    }
}

fn waveform(raw: &Raw, faults: &mut Faults) -> Waveform {
    Waveform::new(raw.bits_per_second, raw.interleaver).unwrap_or_else(|fault| {
        let key = match fault {
            super::waveform::WaveformFault::Rate(_) => "bits_per_second",
            super::waveform::WaveformFault::Interleaver { .. } => "interleaver",
        };
        faults.add(key, fault.to_string());
        Waveform {
            bits_per_second: 1,
            interleaver: raw.interleaver,
            key_up: Duration::ZERO,
            preamble: Duration::ZERO,
            block: Duration::from_secs(1),
            end_of_message_bits: 0,
        }
    })
}

fn check_outage(number: usize, raw: RawOutage, faults: &mut Faults) -> OutagePeriod {
    let from = faults.seconds(format!("outage[{number}].at_seconds"), raw.at_seconds, SECONDS_MAX);
    let length = faults.seconds(format!("outage[{number}].for_seconds"), raw.for_seconds, SECONDS_MAX);
    OutagePeriod { station: raw.station, from, until: from + length }
}

fn check_emcon(number: usize, raw: RawEmcon, faults: &mut Faults) -> EmconPeriod {
    let from = faults.seconds(format!("emcon[{number}].from_seconds"), raw.from_seconds, SECONDS_MAX);
    let key = format!("emcon[{number}].until_seconds");
    let until = raw.until_seconds.map(|until| faults.seconds(key.clone(), until, SECONDS_MAX));
    if until.is_some_and(|until| until <= from) {
        faults.add(key, "the silence ends before it begins");
    }
    EmconPeriod { station: raw.station, from, until }
}

/// Names the line, and the key where the parser knows it, of what serde refused.
fn syntax(text: &str, error: &toml::de::Error) -> WeatherFault {
    let line =
        error.span().and_then(|span| text.get(..span.start)).map_or(1, |before| before.matches('\n').count() + 1);
    let key = text.lines().nth(line - 1).and_then(|text| text.split_once('=')).map(|(key, _)| key.trim().to_owned());
    let key = key.filter(|key| !key.is_empty()).map_or(format!("line {line}"), |key| format!("line {line}, {key}"));
    WeatherFault { key, reason: error.message().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_good() {
        for (name, text) in [
            ("calm", include_str!("../../../gateway/examples/weather/calm.toml")),
            ("burst-10", include_str!("../../../gateway/examples/weather/burst-10.toml")),
            ("silent-ship", include_str!("../../../gateway/examples/weather/silent-ship.toml")),
        ] {
            let weather = Weather::parse(text).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
            assert_eq!(weather.unknown_stations(&["hq.test", "field.test"]), [], "{name}");
        }
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Weather::parse(""), Ok(Weather::default()));
        assert_eq!(Weather::default().waveform, Waveform::new(1200, Interleaver::Short).unwrap());
    }

    #[test]
    fn every_mistake_is_named_with_its_key() {
        let rows: [(&str, &[&str]); 11] = [
            ("[[station]]\nname = \"a\"\n[[station]]\nname = \"a\"", &["station[1].name"]),
            ("bits_per_second = 1000", &["bits_per_second"]),
            ("interleaver = \"medium\"", &["interleaver"]),
            ("interleaver = \"shortest\"", &["line 1, interleaver"]),
            ("seed = 1\nbits = 3", &["line 2, bits"]),
            ("seed =", &["line 1, seed"]),
            ("loss_percent = 101\nturnaround_seconds = -1.0", &["loss_percent", "turnaround_seconds"]),
            ("loss_percent = nan", &["loss_percent"]),
            ("[burst]\nloss_percent = 100.0\nmean_blocks = 0", &["burst.mean_blocks", "burst.loss_percent"]),
            ("[[emcon]]\nstation = \"a\"\nfrom_seconds = 9.0\nuntil_seconds = 3.0", &["emcon[0].until_seconds"]),
            ("[[outage]]\nat_seconds = 1.0\nfor_seconds = -1.0", &["outage[0].for_seconds"]),
        ];
        for (text, keys) in rows {
            let faults = Weather::parse(text).unwrap_err();
            assert_eq!(faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), keys, "{text}: {faults:?}");
        }
    }

    #[test]
    fn unknown_stations_are_named() {
        let weather = Weather::parse(
            "[[emcon]]\nstation = \"ship.test\"\n[[group]]\naddress = \"16.0.0.1\"\nmembers = [\"hq.test\", \"x\"]",
        );
        let faults = weather.unwrap().unknown_stations(&["hq.test"]);
        assert_eq!(
            faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(),
            ["emcon[0].station", "group[0].members"]
        );
    }
}

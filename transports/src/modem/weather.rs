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
//! waveform = "serial"         # or "s4285"
//! turnaround_seconds = 0.2
//! loss_percent = 1.0
//! rates = [300, 1200, 2400]   # stations change to these by what gets through
//!
//! [burst]
//! loss_percent = 10.0
//! mean_blocks = 3
//!
//! [[outage]]
//! at_seconds = 30.0
//! for_seconds = 20.0
//! station = "field.test"      # without it: everybody
//! every_seconds = 86400.0     # and again, so many times in all
//! times = 7
//!
//! [[fade]]                    # the same keys, and what still gets through
//! at_seconds = 600.0
//! for_seconds = 300.0
//! bits_per_second_max = 300
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
use super::reading::{Reading, read};
use super::waveform::{Family, WaveformFault};
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
    /// From the first ARQ data heard in a transmission until a node can answer it.
    pub answer_delay: Duration,
    /// So long after the end of a transmission, turn and key-up, who was not asked leaves the channel free.
    pub idle_guard: Duration,
    /// Longest transmission of a station; `None` leaves it to the station.
    pub transmission_max: Option<Duration>,
    /// Rates in bit/s that stations may change to by what gets through, slowest first; empty: they keep to the usual one.
    pub rates: Vec<u32>,
    /// What receivers lose.
    pub loss: Loss,
    /// Times without propagation.
    pub outages: Vec<OutagePeriod>,
    /// Times in which only low rates get through.
    pub fades: Vec<OutagePeriod>,
    /// Times of silence.
    pub emcon: Vec<EmconPeriod>,
    /// Stations that the file adds.
    pub stations: Vec<WeatherStation>,
    /// Groups.
    pub groups: Vec<WeatherGroup>,
}

/// A time without propagation, or with little, once or again and again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutagePeriod {
    /// At which station; `None` for all.
    pub station: Option<String>,
    /// From when.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
    /// From one begin to the next.
    pub every: Duration,
    /// How often in all; at least 1.
    pub times: u32,
    /// The highest rate that gets through; 0: nothing does.
    pub bits_per_second_max: u32,
}

impl OutagePeriod {
    /// Begin and end of each repetition.
    pub fn each(&self) -> impl Iterator<Item = (Duration, Duration)> + '_ {
        (0..self.times).map(|time| {
            let later = self.every.saturating_mul(time);
            (self.from.saturating_add(later), self.until.saturating_add(later))
        })
    }
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
    waveform: Option<RawFamily>,
    bandwidth_khz: Option<u8>,
    interleaver: Interleaver,
    turnaround_seconds: f64,
    answer_delay_seconds: f64,
    idle_guard_seconds: f64,
    key_up_seconds: f64,
    preamble_seconds: Option<f64>,
    crypto_seconds: f64,
    propagation_seconds: f64,
    transmission_seconds: Option<f64>,
    rates: Vec<u32>,
    loss_percent: f64,
    burst: Option<RawBurst>,
    outage: Vec<RawOutage>,
    fade: Vec<RawFade>,
    emcon: Vec<RawEmcon>,
    station: Vec<WeatherStation>,
    group: Vec<WeatherGroup>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            seed: 1,
            bits_per_second: 1200,
            waveform: None,
            bandwidth_khz: None,
            interleaver: Interleaver::Short,
            turnaround_seconds: 0.2,
            answer_delay_seconds: 0.0,
            idle_guard_seconds: 0.1,
            key_up_seconds: 0.15,
            preamble_seconds: None,
            crypto_seconds: 0.0,
            propagation_seconds: 0.01,
            transmission_seconds: None,
            rates: Vec::new(),
            loss_percent: 0.0,
            burst: None,
            outage: Vec::new(),
            fade: Vec::new(),
            emcon: Vec::new(),
            station: Vec::new(),
            group: Vec::new(),
        }
    }
}

/// The families of 3 kHz.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum RawFamily {
    #[serde(rename = "serial")]
    Serial,
    #[serde(rename = "s4285")]
    Stanag4285,
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
    #[serde(default)]
    every_seconds: f64,
    #[serde(default = "once")]
    times: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFade {
    at_seconds: f64,
    for_seconds: f64,
    bits_per_second_max: u32,
    station: Option<String>,
    #[serde(default)]
    every_seconds: f64,
    #[serde(default = "once")]
    times: u32,
}

const fn once() -> u32 {
    1
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
        let Reading { value, mistakes } = read::<Raw>(text);
        let mut faults = Faults(mistakes.iter().map(|error| form(text, error)).collect());
        match value.map(|raw| check(raw, &mut faults)) {
            Some(weather) if faults.0.is_empty() => Ok(weather),
            Some(_) | None => Err(faults.0),
        }
    }

    /// The same weather at another rate, with the interleaver if that rate has it, else the short one.
    ///
    /// # Errors
    /// The rate is no HF rate, or none at the bandwidth.
    pub fn with_bits_per_second(mut self, bits_per_second: u32) -> Result<Self, WeatherFault> {
        self.waveform = self
            .waveform
            .at_rate(bits_per_second)
            .map_err(|fault| WeatherFault { key: "bits_per_second".to_owned(), reason: fault.to_string() })?;
        Ok(self)
    }

    /// Every name of a station in the file that is neither added by it nor among `known`, with its key.
    pub fn unknown_stations(&self, known: &[&str]) -> Vec<WeatherFault> {
        let outages = self.outages.iter().enumerate().map(|one| ("outage", one));
        let fades = self.fades.iter().enumerate().map(|one| ("fade", one));
        let outages = outages.chain(fades);
        let outages = outages.filter_map(|(key, (i, o))| Some((format!("{key}[{i}].station"), o.station.as_deref()?)));
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
    waveform.crypto = faults.seconds("crypto_seconds", raw.crypto_seconds, 10.0);
    if let Some(preamble) = raw.preamble_seconds {
        waveform = waveform.with_preamble(faults.seconds("preamble_seconds", preamble, 10.0));
    }
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
    for reason in wrong_rates(&raw.rates, &waveform) {
        faults.add("rates", reason);
    }
    let outages: Vec<OutagePeriod> =
        raw.outage.into_iter().enumerate().map(|(i, outage)| check_outage(("outage", i), outage, 0, faults)).collect();
    let fades: Vec<OutagePeriod> =
        raw.fade.into_iter().enumerate().map(|(i, fade)| check_fade(i, fade, faults)).collect();
    let played = |periods: &[OutagePeriod]| periods.iter().map(|period| period.times as usize).sum();
    for (key, count, max) in [
        ("outage", played(&outages), PERIODS_MAX),
        ("fade", played(&fades), PERIODS_MAX),
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
    if raw.idle_guard_seconds <= 2.0 * raw.propagation_seconds {
        faults.add("idle_guard_seconds", "must be more than twice propagation_seconds, which an answer takes");
    }
    Weather {
        seed: raw.seed,
        waveform,
        propagation: faults.seconds("propagation_seconds", raw.propagation_seconds, 1.0),
        turnaround: faults.seconds("turnaround_seconds", raw.turnaround_seconds, 60.0),
        answer_delay: faults.seconds("answer_delay_seconds", raw.answer_delay_seconds, 60.0),
        idle_guard: faults.seconds("idle_guard_seconds", raw.idle_guard_seconds, 2.0),
        transmission_max: raw.transmission_seconds.map(|max| faults.seconds("transmission_seconds", max, 127.5)),
        rates: raw.rates,
        loss: Loss { single_per_million, burst },
        outages,
        fades,
        emcon: raw.emcon.into_iter().enumerate().map(|(i, emcon)| check_emcon(i, emcon, faults)).collect(),
        stations: raw.station,
        groups: raw.group,
    }
}

/// What is wrong with rates that a modem of this kind is to change to.
pub fn wrong_rates(rates: &[u32], waveform: &Waveform) -> Vec<String> {
    let ascending = rates.is_sorted_by(|a, b| a < b);
    let order = (!ascending).then(|| "the slowest first, each once".to_owned());
    let none = |&rate: &u32| waveform.at_rate(rate).err().map(|fault| fault.to_string());
    rates.iter().filter_map(none).chain(order).collect()
}

fn waveform(raw: &Raw, faults: &mut Faults) -> Waveform {
    let family = match (raw.waveform, raw.bandwidth_khz) {
        (None, Some(bandwidth)) => Family::WideBand(bandwidth),
        (Some(RawFamily::Stanag4285), _) => Family::Stanag4285,
        (Some(RawFamily::Serial) | None, _) => Family::Serial,
    };
    if raw.waveform.is_some() && raw.bandwidth_khz.is_some() {
        faults.add("bandwidth_khz", "is a wide-band waveform's: it cannot stand beside `waveform`");
    }
    Waveform::of_family(family, raw.bits_per_second, raw.interleaver).unwrap_or_else(|fault| {
        let key = match fault {
            WaveformFault::Rate(_) | WaveformFault::RateOf4285(_) | WaveformFault::RateAtBandwidth { .. } => {
                "bits_per_second"
            }
            WaveformFault::Bandwidth(_) => "bandwidth_khz",
            WaveformFault::Interleaver { .. } => "interleaver",
        };
        faults.add(key, fault.to_string());
        Waveform {
            bits_per_second: 1,
            interleaver: raw.interleaver,
            family,
            key_up: Duration::ZERO,
            preamble: Duration::ZERO,
            preamble_is_set: false,
            crypto: Duration::ZERO,
            block: Duration::from_secs(1),
            end_of_message_bits: 0,
        }
    })
}

fn check_outage(at: (&str, usize), raw: RawOutage, bits_per_second_max: u32, faults: &mut Faults) -> OutagePeriod {
    let key = |name: &str| format!("{}[{}].{name}", at.0, at.1);
    let from = faults.seconds(key("at_seconds"), raw.at_seconds, SECONDS_MAX);
    let length = faults.seconds(key("for_seconds"), raw.for_seconds, SECONDS_MAX);
    let every = faults.seconds(key("every_seconds"), raw.every_seconds, SECONDS_MAX);
    if raw.times == 0 || (raw.times > 1 && every < length) {
        faults.add(key("times"), "at least 1; more than once only every so many seconds that it ends in between");
    }
    OutagePeriod { station: raw.station, from, until: from + length, every, times: raw.times, bits_per_second_max }
}

fn check_fade(number: usize, raw: RawFade, faults: &mut Faults) -> OutagePeriod {
    let RawFade { at_seconds, for_seconds, bits_per_second_max, station, every_seconds, times } = raw;
    let outage = RawOutage { at_seconds, for_seconds, station, every_seconds, times };
    check_outage(("fade", number), outage, bits_per_second_max, faults)
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
fn form(text: &str, error: &toml::de::Error) -> WeatherFault {
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
    fn waveforms_have_their_family_and_what_goes_before_the_data() {
        let text = "waveform = \"s4285\"\nbits_per_second = 3600\ninterleaver = \"long\"\ncrypto_seconds = 1.5\n\
                    preamble_seconds = 0.0333\nidle_guard_seconds = 0.5\nrates = [75, 3600]";
        let weather = Weather::parse(text).unwrap();
        let micros = |span: Duration| span.as_micros();
        assert_eq!((weather.waveform.family, micros(weather.waveform.lead())), (Family::Stanag4285, 1_683_300));
        assert_eq!(micros(weather.idle_guard), 500_000);
        let slow = weather.with_bits_per_second(75).unwrap().waveform;
        assert_eq!((slow.family, micros(slow.lead()), slow.block_bits()), (Family::Stanag4285, 1_683_300, 768));
    }

    #[test]
    fn every_mistake_is_named_with_its_key() {
        let rows: [(&str, &[&str]); 24] = [
            ("[[station]]\nname = \"a\"\n[[station]]\nname = \"a\"", &["station[1].name"]),
            ("bits_per_second = 1000", &["bits_per_second"]),
            ("interleaver = \"medium\"", &["interleaver"]),
            ("interleaver = \"shortest\"", &["line 1, interleaver"]),
            ("seed = 1\nbits = 3", &["line 2, bits"]),
            ("seed =", &["line 1, seed"]),
            ("loss_percent = 101\nturnaround_seconds = -1.0", &["loss_percent", "turnaround_seconds"]),
            ("loss_percent = nan", &["loss_percent"]),
            ("bandwidth_khz = 5", &["bandwidth_khz"]),
            ("waveform = \"s4285\"\nbits_per_second = 9600", &["bits_per_second"]),
            ("waveform = \"s4285\"\ninterleaver = \"medium\"", &["interleaver"]),
            ("waveform = \"s4285\"\nbandwidth_khz = 24", &["bandwidth_khz"]),
            (
                "preamble_seconds = 11\ncrypto_seconds = -1\nidle_guard_seconds = 3",
                &["crypto_seconds", "preamble_seconds", "idle_guard_seconds"],
            ),
            ("idle_guard_seconds = 0.2\npropagation_seconds = 0.1", &["idle_guard_seconds"]),
            ("bandwidth_khz = 24\nbits_per_second = 9601", &["bits_per_second"]),
            ("[[outage]]\nat_seconds = 1.0\nfor_seconds = 9.0\ntimes = 2\nevery_seconds = 8.0", &["outage[0].times"]),
            ("[[fade]]\nat_seconds = 1.0\nfor_seconds = 1.0", &["line 1"]),
            ("[burst]\nloss_percent = 100.0\nmean_blocks = 0", &["burst.mean_blocks", "burst.loss_percent"]),
            ("[[emcon]]\nstation = \"a\"\nfrom_seconds = 9.0\nuntil_seconds = 3.0", &["emcon[0].until_seconds"]),
            ("[[outage]]\nat_seconds = 1.0\nfor_seconds = -1.0", &["outage[0].for_seconds"]),
            (
                "seed = true\nbits_per_second = 1000\nrate = 3\n[burst]\nloss_percent = \"much\"\n[[emcon]]\nuntil_seconds = -1.0\nstation = \"a\"",
                &[
                    "line 1, seed",
                    "line 3, rate",
                    "line 5, loss_percent",
                    "bits_per_second",
                    "emcon[0].until_seconds",
                    "emcon[0].until_seconds",
                ],
            ),
            (
                "[[outage]]\nat_seconds = \"noon\"\nfor_seconds = []\n[[outage]]\nfor_seconds = 1\n[[outage]]\nat_seconds = 1\nfor_seconds = 1\nstaton = \"a\"",
                &["line 2, at_seconds", "line 3, for_seconds", "line 4", "line 9, staton"],
            ),
            ("seed = \nloss_percent = \n", &["line 1, seed", "line 2, loss_percent"]),
            (
                "[[group]]\naddress = 1\nmembers = [1, \"a\", 2]",
                &["line 2, address", "line 3, members", "line 3, members"],
            ),
        ];
        for (text, keys) in rows {
            let faults = Weather::parse(text).unwrap_err();
            assert_eq!(faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), keys, "{text}: {faults:?}");
        }
    }

    #[test]
    fn periods_come_again() {
        let text = "answer_delay_seconds = 2.3\n[[fade]]\nat_seconds = 60\nfor_seconds = 5\nevery_seconds = 3600\n\
                    times = 3\nbits_per_second_max = 300\nstation = \"x\"";
        let weather = Weather::parse(text).unwrap();
        assert_eq!(weather.answer_delay, Duration::from_millis(2300));
        let each: Vec<_> = weather.fades[0].each().map(|(from, until)| (from.as_secs(), until.as_secs())).collect();
        assert_eq!((each, weather.fades[0].bits_per_second_max), (vec![(60, 65), (3660, 3665), (7260, 7265)], 300));
        assert_eq!(weather.unknown_stations(&[])[0].key, "fade[0].station");
        let many = Weather::parse("[[outage]]\nat_seconds = 0\nfor_seconds = 1\nevery_seconds = 2\ntimes = 100001");
        assert_eq!(many.unwrap_err()[0].key, "outage");
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

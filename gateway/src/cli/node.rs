//! `skywave node`: STANAG 5066 nodes on one simulated radio, a SIS port each. Real modems follow later.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_transports::modem::weather::Weather;
use skywave_transports::node::simulator::SimulatorStation;
use skywave_transports::node::station::StationConfig;

use super::args::NodeArguments;
use super::exit::{self, Fault};
use super::runtime;
use crate::shell::capture::CaptureFile;
use crate::shell::clock::Clock;
use crate::shell::log::LogFormat;
use crate::shell::radio::{Radio, RadioStation};

/// The file: stations by name, and the weather between them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// A weather file, seen from this one; calm without.
    #[serde(default)]
    weather_file: Option<PathBuf>,
    /// Rate of the modems, instead of the weather's.
    #[serde(default)]
    bits_per_second: Option<u32>,
    /// How many times as fast as real time; sites that connect must run as fast.
    #[serde(default)]
    speed: Option<u32>,
    /// Stations by the names of their sites.
    station: BTreeMap<String, StationFile>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StationFile {
    listen: SocketAddr,
    address: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// Runs the nodes until they are told to stop.
pub(super) fn node(arguments: &NodeArguments) -> Result<(), Fault> {
    let wrong = |why: String| Fault::new(exit::CONFIGURATION, format!("{}: {why}", arguments.config.display()));
    let text = std::fs::read_to_string(&arguments.config)
        .map_err(|error| Fault::new(exit::NO_INPUT, format!("{}: {error}", arguments.config.display())))?;
    let file: NodeFile = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let weather = weather(&file, &arguments.config).map_err(wrong)?;
    let stations = stations(&file).map_err(wrong)?;
    let capture = match &arguments.capture {
        Some(path) => {
            Some(CaptureFile::create(path).map_err(|error| Fault::new(exit::CANT_CREATE, error.to_string()))?)
        }
        None => None,
    };
    super::run::log_to_stderr(LogFormat::Text);
    runtime()?.block_on(async {
        let clock = Clock::at_speed(file.speed.unwrap_or(1));
        let radio =
            Radio::start(clock, &weather, stations, capture).map_err(|why| Fault::new(exit::UNAVAILABLE, why))?;
        for ((name, station), address) in file.station.iter().zip(&radio.addresses) {
            tracing::info!("station={name}, address={}, listens at {address}", station.address);
        }
        crate::shell::notify::notify("READY=1");
        let _ = super::run::told_to_stop().await;
        let shown = radio.describe().await;
        tracing::info!("stopped: {shown}");
        Ok(())
    })
}

fn weather(file: &NodeFile, at: &Path) -> Result<Weather, String> {
    let text = match &file.weather_file {
        Some(path) => {
            let path = at.parent().unwrap_or(Path::new(".")).join(path);
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => String::new(),
    };
    let words = |faults: Vec<skywave_transports::modem::weather::WeatherFault>| {
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let weather = Weather::parse(&text).map_err(words)?;
    match file.bits_per_second {
        Some(rate) => weather.with_bits_per_second(rate).map_err(|fault| fault.to_string()),
        None => Ok(weather),
    }
}

fn stations(file: &NodeFile) -> Result<Vec<RadioStation>, String> {
    let mut stations = Vec::new();
    for (name, station) in &file.station {
        let address: NodeAddress =
            station.address.parse().map_err(|error| format!("station.{name}.address: {error}"))?;
        let mut config = StationConfig::new(address);
        for group in &station.groups {
            config.groups.push(group.parse().map_err(|error| format!("station.{name}.groups: {error}"))?);
        }
        stations
            .push(RadioStation { station: SimulatorStation { name: name.clone(), config }, listen: station.listen });
    }
    if stations.is_empty() {
        return Err("no [station.\"NAME\"]".to_owned());
    }
    Ok(stations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_in_order() {
        let file: NodeFile = toml::from_str(include_str!("../../examples/node.toml")).unwrap();
        let stations = stations(&file).unwrap();
        assert_eq!(stations.len(), 3);
        assert!(file.weather_file.is_some());
        assert!(toml::from_str::<NodeFile>("speeed = 1\n[station]").is_err());
    }
}

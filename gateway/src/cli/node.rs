//! `skywave node`: STANAG 5066 nodes on one simulated radio, a SIS port each. Real modems follow later.

use super::args::NodeArguments;
use super::exit::{self, Fault};
use super::{files, runtime};
use crate::config::stations;
use crate::shell::capture::CaptureFile;
use crate::shell::clock::Clock;
use crate::shell::log::LogFormat;
use crate::shell::radio::{Radio, RadioStation};

/// Runs the nodes until they are told to stop.
pub(super) fn node(arguments: &NodeArguments) -> Result<(), Fault> {
    let loaded = files::told(files::read(&arguments.config).and_then(|text| stations::load(&text, files::read)))?;
    let described: Vec<String> = loaded.stations.iter().map(described).collect();
    let capture = match &arguments.capture {
        Some(path) => {
            Some(CaptureFile::create(path).map_err(|error| Fault::new(exit::CANT_CREATE, error.to_string()))?)
        }
        None => None,
    };
    super::run::log_to_stderr(LogFormat::Text);
    runtime()?.block_on(async {
        let clock = Clock::at_speed(loaded.speed);
        let radio = Radio::start(clock, &loaded.weather, loaded.stations, capture)
            .map_err(|why| Fault::new(exit::UNAVAILABLE, why))?;
        for (station, address) in described.iter().zip(&radio.addresses) {
            tracing::info!("{station}, listens at {address}");
        }
        crate::shell::notify::notify("READY=1");
        let _ = super::run::told_to_stop().await;
        let shown = radio.describe().await;
        tracing::info!("stopped: {shown}");
        Ok(())
    })
}

fn described(RadioStation { station, .. }: &RadioStation) -> String {
    format!("station={}, address={}", station.name, station.config.server.address)
}

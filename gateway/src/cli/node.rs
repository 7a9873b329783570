//! `skywave node`: STANAG 5066 nodes on one simulated radio, a SIS port each. Several such processes can share a
//! radio: one hosts it, the others join. Real modems follow later.

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
    super::process::log_to_stderr(LogFormat::Text);
    runtime()?.block_on(async {
        let clock = Clock::at_speed(loaded.speed);
        let radio = match &loaded.joins {
            Some(host) => Radio::join(host, loaded.stations, capture).await,
            None => Radio::host(clock, &loaded.weather, loaded.stations, loaded.shared_at, capture),
        };
        let radio = radio.map_err(|why| Fault::new(exit::UNAVAILABLE, why))?;
        for (station, address) in described.iter().zip(&radio.addresses) {
            tracing::info!("{station}, listens at {address}");
        }
        if let (Some(_), Some(address)) = (loaded.shared_at, radio.addresses.last()) {
            tracing::info!("the radio can be joined at {address}");
        }
        crate::shell::notify::notify("READY=1");
        tokio::select! {
            _ = super::process::told_to_stop() => {}
            () = radio.ended() => return Err(Fault::new(exit::UNAVAILABLE, "the radio has ended".to_owned())),
        }
        let shown = radio.describe().await;
        tracing::info!("stopped: {shown}");
        Ok(())
    })
}

fn described(RadioStation { station, .. }: &RadioStation) -> String {
    format!("station={}, address={}", station.name, station.config.server.address)
}

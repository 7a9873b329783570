//! `skywave demo`: two or more sites in this process, with their own queues, SMTP ports, mailboxes and XMPP servers, each behind the
//! TCP port of a STANAG 5066 node of its own, on one simulated radio. Time runs compressed for all of them.

mod connect;
mod mailbox;
mod people;
mod run;
mod show;
mod submit;

use std::path::{Path, PathBuf};

use skywave_transports::modem::weather::{Weather, WeatherFault};

use super::exit::{self, Fault};
use crate::demo::{BITS_PER_SECOND, SPEED};

/// Options of `skywave demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Demo {
    /// Exit when all is delivered (0) or has failed (1)
    #[arg(long)]
    pub once: bool,
    /// Print the result as one JSON object; what happens goes to standard error
    #[arg(long)]
    pub json: bool,
    /// How many times as fast as the clock on the wall time runs
    #[arg(long, default_value_t = SPEED, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub speed: u32,
    /// Rate of the simulated radio; default 1200, or what the weather says
    #[arg(long)]
    pub bits_per_second: Option<u32>,
    /// A weather file: loss, outages, silence, a third site
    #[arg(long, value_name = "FILE")]
    pub weather: Option<PathBuf>,
    /// Write what passes between the sites and their STANAG 5066 nodes, and what goes on the air, as pcapng
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
    /// Start a Prosody for each site, with an account that any client can use; where it is not installed, say so and go
    /// on with the stand-in
    #[arg(long)]
    pub prosody: bool,
}

/// Runs the demonstration.
///
/// # Errors
/// A file or port cannot be used; without words and with code 1 when not everything went well.
pub fn run(options: &Demo) -> Result<(), Fault> {
    let weather = weather(options).map_err(|why| Fault::new(exit::DATA, why))?;
    let folder = std::env::temp_dir().join(format!("skywave-demo-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fault::new(exit::OS_ERROR, error.to_string()))?;
    let outcome = runtime.block_on(run::play(options, weather, &folder));
    let _ = std::fs::remove_dir_all(&folder);
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::told(1)),
        Err(why) => Err(Fault::new(exit::UNAVAILABLE, why)),
    }
}

fn weather(options: &Demo) -> Result<Weather, String> {
    let words = |faults: Vec<WeatherFault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let weather = match &options.weather {
        Some(path) => {
            Weather::parse(&read(path)?).map_err(|faults| format!("{}: {}", path.display(), words(faults)))?
        }
        None => Weather::default().with_bits_per_second(BITS_PER_SECOND).map_err(|fault| fault.to_string())?,
    };
    match options.bits_per_second {
        Some(rate) => weather.with_bits_per_second(rate).map_err(|fault| format!("--bits-per-second: {fault}")),
        None => Ok(weather),
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

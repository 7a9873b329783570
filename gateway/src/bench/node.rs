//! `skywave bench node`: what two nodes on one radio cost in real time, at a rate and under load.
//!
//! Two processes of `skywave node`: one has a station and the simulated radio, the other joins it with the second
//! station. Consoles in this process load the link by ARQ through the SIS port of the first and take what arrives at the
//! second; their processor time is not the nodes'. The bar is the fastest radio there is, 240 kbit/s: at most 5 % of a core for a node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use skywave_protocols::random::Random as _;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::console::answer::{Answer, AnswerConfig};
use skywave_protocols::s5066::console::limits::PROBES_PER_RUN_MAX;
use skywave_protocols::s5066::console::probe::APPLICATION;
use skywave_protocols::s5066::console::session::Way;
use skywave_protocols::s5066::console::traffic::{Traffic, TrafficConfig, TrafficReport};
use skywave_protocols::s5066::console::{Over, Tool as _};
use skywave_protocols::s5066::sis::event::SisConfig;
use skywave_protocols::s5066::sis::fields::{Confirmation, DeliveryMode, Order, SapId, TransmissionMode, Ttl};
use skywave_protocols::s5066::sis::limits::MTU_OCTETS;
use skywave_protocols::time::Duration;

use super::BenchFault;
use super::folder::Folder;
use super::process::{Running, free_address, listening, processor_seconds};
use super::table::{Cell, Report, Table};
use crate::shell::clock::Clock;
use crate::shell::console;
use crate::shell::random::OsRandom;

/// Share of a core that a node may take.
const SHARE_MAX: f64 = 0.05;
/// U_PDUs under way at a time: more than the windows of the node hold.
const WINDOW: u32 = 512;
const NEAR: &str = "1.1.0.1";
const FAR: &str = "1.1.0.2";

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Rate of the radio.
    pub bits_per_second: u32,
    /// Seconds of load at that rate.
    pub seconds: u32,
    /// Below which folder the nodes' files lie.
    pub place: PathBuf,
}

/// A node of its own process.
struct Node {
    process: Running,
    address: SocketAddr,
    /// Processor seconds when it was looked at first.
    before: f64,
}

impl Node {
    /// Starts it with these lines in front of its station.
    fn start(folder: &Path, name: &str, own: &str, radio: &str) -> Result<Self, BenchFault> {
        let address = free_address()?;
        let config = folder.join(format!("{name}.toml"));
        let text = format!("{radio}[station.\"{name}.test\"]\nlisten = \"{address}\"\naddress = \"{own}\"\n");
        std::fs::write(&config, text).map_err(|error| BenchFault::local(&config.display().to_string(), error))?;
        let program = std::env::current_exe().map_err(|error| BenchFault::local("this program", error))?;
        let mut command = Command::new(program);
        command.arg("node").arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running::start(&mut command)?;
        listening(address, "skywave node")?;
        let before = processor_seconds(process.id());
        Ok(Self { process, address, before })
    }

    fn processor_seconds(&self) -> f64 {
        processor_seconds(self.process.id()) - self.before
    }
}

/// Loads the link, and looks at what it cost.
///
/// # Errors
/// A node that does not start or refuses.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    let folder = Folder::new(&options.place)?;
    let files = folder.sub("nodes")?;
    let shared = free_address()?;
    let host = format!("bits_per_second = {}\n[radio]\nlisten = \"{shared}\"\n", options.bits_per_second);
    let near = Node::start(&files, "near", NEAR, &host)?;
    let far = Node::start(&files, "far", FAR, &format!("[radio]\njoin = \"{shared}\"\n"))?;
    let clock = Clock::start();
    let traffic = load(options, near.address, far.address, clock)?;
    let seconds = std::time::Duration::from_micros(clock.now().mono.as_micros()).as_secs_f64();
    let row = |name: &str, node: &Node| {
        let share = node.processor_seconds() / seconds;
        vec![
            Cell::text(name),
            Cell::Real(seconds, 1),
            Cell::Real(node.processor_seconds(), 2),
            Cell::Real(share * 100.0, 2),
            Cell::Bar(format!("at most {:.0} % of a core", SHARE_MAX * 100.0), share <= SHARE_MAX),
        ]
    };
    let rows = vec![row("sender, and the radio of both", &near), row("receiver", &far)];
    near.process.stop();
    far.process.stop();
    let table = Table {
        name: "node",
        title: format!(
            "Processor time of a node at {} bit/s while {:.0} bit/s are carried by ARQ ({} of {} U_PDUs of {} octets \
             confirmed).",
            options.bits_per_second, traffic.bits_per_second, traffic.confirmed, traffic.pdus, traffic.octets
        ),
        columns: vec![
            ("process", "process"),
            ("seconds", "s"),
            ("processor_seconds", "processor s"),
            ("core_percent", "% of a core"),
            ("bar", "bar"),
        ],
        rows,
    };
    let facts = vec![
        ("bits per second", options.bits_per_second.to_string()),
        ("bits per second carried", format!("{:.0}", traffic.bits_per_second)),
    ];
    Ok(Report { facts, tables: vec![table] })
}

/// U_PDUs of the largest size for so many seconds at the rate.
fn pdus(options: &Options) -> u32 {
    let bits = u64::from(options.bits_per_second) * u64::from(options.seconds);
    let pdus = bits / (u64::from(MTU_OCTETS) * 8);
    u32::try_from(pdus).unwrap_or(u32::MAX).clamp(1, PROBES_PER_RUN_MAX)
}

fn load(options: &Options, near: SocketAddr, far: SocketAddr, clock: Clock) -> Result<TrafficReport, BenchFault> {
    let failed = |why: String| BenchFault::Process(format!("the load: {why}"));
    let sap = SapId::RCOP;
    let mode = DeliveryMode::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder);
    let patience = Duration::from_secs(300);
    let config = TrafficConfig {
        way: Way {
            destination: FAR.parse::<NodeAddress>().map_err(|error| failed(error.to_string()))?,
            sap,
            mode,
            retransmissions: 0,
            priority: 4,
            ttl: Ttl::from_span(patience),
            expedited: false,
            application: Some(APPLICATION),
        },
        pdus: pdus(options),
        octets: usize::from(MTU_OCTETS),
        window: WINDOW,
        patience,
        asks_count: false,
    };
    let mut traffic = Traffic::new(SisConfig::new(sap, mode), config, OsRandom.number() as u32, false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| BenchFault::local("runtime", error))?;
    let server = near.to_string();
    // Somebody at the far node takes what arrives.
    let answers = AnswerConfig { application: Some(APPLICATION), ttl: Ttl::from_span(patience), span: None };
    let mut answer = Answer::new(SisConfig::new(sap, mode), answers, OsRandom.number(), false);
    let over = runtime.block_on(async {
        let far = far.to_string();
        tokio::select! {
            over = console::run(clock, &far, &mut answer, std::future::pending(), |_| {}) => over,
            over = console::run(clock, &server, &mut traffic, std::future::pending(), |_| {}) => over,
        }
    });
    match over {
        Ok(Over::Done) => Ok(traffic.report()),
        Ok(over) => Err(failed(format!("{over:?}"))),
        Err(why) => Err(failed(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_lasts_as_long_as_asked_for() {
        for (bits_per_second, seconds, expected) in
            [(240_000, 60, 878), (75, 60, 1), (1_000_000, 100_000, PROBES_PER_RUN_MAX)]
        {
            let options = Options { bits_per_second, seconds, place: PathBuf::new() };
            assert_eq!(pdus(&options), expected, "{bits_per_second} {seconds}");
        }
    }
}

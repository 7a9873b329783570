//! `skywave s5066`: the console of a STANAG 5066 server, ours or anybody's.
//!
//! With `--json` the result is one object; where what happens is the result (`monitor`, `--answer`), one object for each
//! thing that happens stands before it, on a line of its own.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use skywave_conformance::Subject as _;
use skywave_conformance::subject::{Answer as Decoded, own::Own};
use skywave_protocols::random::Random as _;
use skywave_protocols::s5066::console::answer::{Answer, AnswerConfig};
use skywave_protocols::s5066::console::manage::{Manage, ManageReport};
use skywave_protocols::s5066::console::note::Note;
use skywave_protocols::s5066::console::ping::{Ping, PingConfig};
use skywave_protocols::s5066::console::probe::{self, APPLICATION};
use skywave_protocols::s5066::console::session::Way;
use skywave_protocols::s5066::console::status::{SAPS, Status};
use skywave_protocols::s5066::console::traffic::{Traffic, TrafficConfig};
use skywave_protocols::s5066::console::watch::Watch;
use skywave_protocols::s5066::console::{Over, Tool};
use skywave_protocols::s5066::management::Ask;
use skywave_protocols::s5066::sis::event::{SessionEnd, SisConfig};
use skywave_protocols::s5066::sis::fields::{Confirmation, DeliveryMode, Order, Rank, SapId, TransmissionMode, Ttl};
use skywave_protocols::s5066::sis::reason::{BindRejection, UnbindReason};
use skywave_protocols::time::Duration;

use super::exit::{self, Fault};
use super::{files, out, runtime, show};
use crate::config::node_names::NodeNames;
use crate::shell::clock::Clock;
use crate::shell::console::{self, Relayed};
use crate::shell::random::OsRandom;

/// The largest size of a probe: the MTU of a broadcast-only node.
const OCTETS_MAX: u64 = skywave_protocols::s5066::sis::limits::MTU_OCTETS_MAX as u64;

/// Time to live of probes in seconds, unless what is under way takes longer.
const TTL_SECONDS_USUAL: u32 = 3_600;
/// The lowest rate of the radios: nobody but the node knows the rate in use.
const SLOWEST_BITS_PER_SECOND: u64 = 75;
/// U_PDUs of load.
const PDUS: u32 = 100;
/// By the expedited service: no more than a node of ours takes at once, with the requests for a count.
const PDUS_EXPEDITED: u32 = 50;

/// What to do about an unbind for expedited U_PDUs.
const EXPEDITED_RULE: &str = "; a node takes so many from a client within a time (our nodes: 60 within 600 s, \
    expedited_max and expedited_window_seconds): ask for fewer --pdus";

/// `skywave s5066`.
#[derive(Clone, Debug, Args)]
pub struct S5066 {
    /// Which server, and how it is shown.
    #[command(flatten)]
    pub at: AtServer,
    /// What to do.
    #[command(subcommand)]
    pub verb: S5066Verb,
}

/// Which server, and how it is shown.
#[derive(Clone, Debug, Args)]
pub struct AtServer {
    /// Where the server listens for clients
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5066", global = true)]
    pub server: String,
    /// Machine-readable output
    #[arg(long, global = true)]
    pub json: bool,
    /// Show every primitive
    #[arg(long, global = true)]
    pub trace: bool,
    /// A file with the names of nodes: that of `skywave node`, or a site's configuration; names stand for addresses, and
    /// beside them in what is shown
    #[arg(long, value_name = "FILE", global = true)]
    pub names: Option<PathBuf>,
    /// The server's time runs so many times as fast (skywave node with speed, skywave demo)
    #[arg(long, value_name = "N", default_value_t = 1, global = true,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub speed: u32,
}

/// `skywave s5066 …`.
#[derive(Clone, Debug, Subcommand)]
pub enum S5066Verb {
    /// Bind at a free SAP and say what the server says
    Status {
        /// Only this SAP; without, those that no protocol uses
        #[arg(long, value_parser = sap)]
        sap: Option<SapId>,
        /// The rank to bind with
        #[arg(long, default_value = "0", value_parser = rank)]
        rank: Rank,
        /// So long the server has after the bind to say what its subnetwork can do
        #[arg(long, default_value_t = 1)]
        wait_seconds: u32,
    },
    /// Show what the node counts (rank 15; Skywave's own nodes)
    State(Managing),
    /// Begin or end the node's radio silence: it answers nobody (rank 15; Skywave's own nodes)
    Emcon {
        /// Whether it is silent
        #[arg(value_parser = ["on", "off"])]
        emcon: String,
        /// Where and how long.
        #[command(flatten)]
        managing: Managing,
    },
    /// Have the node do nothing but broadcast, or no longer: links end, and clients with ARQ (rank 15; Skywave's own nodes)
    Broadcast {
        /// Whether it does
        #[arg(value_parser = ["on", "off"])]
        broadcast: String,
        /// Where and how long.
        #[command(flatten)]
        managing: Managing,
    },
    /// Round trips to a console at another node, which runs with --answer
    Ping {
        /// How the probes travel.
        #[command(flatten)]
        probes: Probes,
        /// How many; 0 for as many as there is time
        #[arg(long, default_value_t = 4)]
        count: u32,
        /// Octets of each U_PDU
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=OCTETS_MAX))]
        octets: u64,
        /// From an answer to the next ping
        #[arg(long, default_value_t = 1.0)]
        pause_seconds: f64,
        /// How long an answer is waited for
        #[arg(long, default_value_t = 120)]
        timeout_seconds: u32,
    },
    /// Throughput to another node; a console there with --answer counts
    Traffic {
        /// How the probes travel.
        #[command(flatten)]
        probes: Probes,
        /// How many U_PDUs [default: 100, or 50 with --expedited: a node unbinds a client that hands over more expedited
        /// ones than it allows (our nodes: 60 within 600 s)]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
        pdus: Option<u32>,
        /// Octets of each
        #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..=OCTETS_MAX))]
        octets: u64,
        /// U_PDUs under way at a time
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256))]
        window: u32,
        /// The end, when nothing moves for so long
        #[arg(long, default_value_t = 600)]
        timeout_seconds: u32,
        /// Ask nobody there what was counted
        #[arg(long)]
        no_count: bool,
    },
    /// Show primitives as they pass: as a relay between a client and the server, or what arrives at a SAP
    Monitor {
        /// Where clients connect instead of the server
        #[arg(long, value_name = "HOST:PORT", required_unless_present = "sap", conflicts_with = "sap")]
        listen: Option<SocketAddr>,
        /// Bind at this SAP
        #[arg(long, value_parser = sap)]
        sap: Option<SapId>,
        /// The rank to bind with
        #[arg(long, default_value = "0", value_parser = rank)]
        rank: Rank,
        /// End after so long
        #[arg(long)]
        for_seconds: Option<u32>,
    },
}

/// How a node is managed.
#[derive(Clone, Debug, Args)]
pub struct Managing {
    /// Bind at this SAP; without, at one that no protocol uses
    #[arg(long, value_parser = sap)]
    pub sap: Option<SapId>,
    /// How long the answer is waited for
    #[arg(long, default_value_t = 10)]
    pub timeout_seconds: u32,
}

/// How probes travel.
#[derive(Clone, Debug, Args)]
pub struct Probes {
    /// The node (w.x.y.z, or its name with --names), or a group with --non-arq
    #[arg(required_unless_present = "answer")]
    pub address: Option<String>,
    /// Be the other end: answer pings and count traffic, until stopped
    #[arg(long, conflicts_with = "address")]
    pub answer: bool,
    /// With --answer: end after so long
    #[arg(long, requires = "answer")]
    pub for_seconds: Option<u32>,
    /// Bind at this SAP; at 6 and 7 the probes have the header of RCOP and UDOP
    #[arg(long, default_value = "13", value_parser = sap)]
    pub sap: SapId,
    /// The SAP of the other console, where it is another one
    #[arg(long, value_parser = sap)]
    pub remote_sap: Option<SapId>,
    /// The application id behind a header of RCOP and UDOP at any SAP
    #[arg(long, value_parser = clap_number)]
    pub application: Option<u16>,
    /// The rank to bind with
    #[arg(long, default_value = "0", value_parser = rank)]
    pub rank: Rank,
    /// Without ARQ: nobody repeats, nobody confirms
    #[arg(long)]
    pub non_arq: bool,
    /// Without ARQ: send each U_PDU so many times more
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=15), requires = "non_arq")]
    pub repeats: u8,
    /// By the expedited service
    #[arg(long)]
    pub expedited: bool,
    /// Priority: 0 lowest to 15
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=15))]
    pub priority: u8,
    /// When a probe is worth nothing any more [default: 3600, or for traffic twice what all that is under way takes at
    /// 75 bit/s, where that is more]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_296_000))]
    pub ttl_seconds: Option<u32>,
}

fn sap(text: &str) -> Result<SapId, String> {
    let number: u8 = text.parse().map_err(|_| "a SAP is a number from 0 to 15".to_owned())?;
    SapId::try_from(number).map_err(|error| error.to_string())
}

fn rank(text: &str) -> Result<Rank, String> {
    let number: u8 = text.parse().map_err(|_| "a rank is a number from 0 to 15".to_owned())?;
    Rank::try_from(number).map_err(|error| error.to_string())
}

fn clap_number(text: &str) -> Result<u16, String> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    };
    number.map_err(|_| "an application id is a number from 0 to 65535, or 0x0 to 0xffff".to_owned())
}

impl Probes {
    fn application(&self) -> Option<u16> {
        let has_header = self.sap == SapId::RCOP || self.sap == SapId::UDOP;
        self.application.or(has_header.then_some(APPLICATION))
    }

    fn mode(&self) -> DeliveryMode {
        if self.non_arq {
            DeliveryMode::NON_ARQ
        } else {
            DeliveryMode::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder)
        }
    }

    fn session(&self) -> SisConfig {
        SisConfig { rank: self.rank, ..SisConfig::new(self.sap, self.mode()) }
    }

    /// Time to live of probes of which `octets` are under way at a time.
    fn ttl(&self, octets: u64) -> Ttl {
        let slowest = octets.saturating_mul(2 * 8) / SLOWEST_BITS_PER_SECOND;
        let usual = TTL_SECONDS_USUAL.max(u32::try_from(slowest).unwrap_or(u32::MAX));
        Ttl::from_span(seconds(self.ttl_seconds.unwrap_or(usual)))
    }

    /// How many U_PDUs make load.
    fn pdus(&self, said: Option<u32>) -> u32 {
        said.unwrap_or(if self.expedited { PDUS_EXPEDITED } else { PDUS })
    }

    fn way(&self, names: &NodeNames, octets: u64) -> Result<Way, Fault> {
        let address = self.address.as_ref().ok_or_else(|| Fault::new(exit::USAGE, "no address"))?;
        let destination = names.address(address).map_err(|why| Fault::new(exit::USAGE, why))?;
        if destination.is_group() && !self.non_arq {
            return Err(Fault::new(exit::USAGE, "a group takes only --non-arq"));
        }
        Ok(Way {
            destination,
            sap: self.remote_sap.unwrap_or(self.sap),
            mode: self.mode(),
            retransmissions: self.repeats,
            priority: self.priority,
            ttl: self.ttl(octets),
            expedited: self.expedited,
            application: self.application(),
        })
    }
}

/// The server, and how what it says is shown.
struct Console<'a> {
    at: &'a AtServer,
    names: NodeNames,
}

impl<'a> Console<'a> {
    fn new(at: &'a AtServer) -> Result<Self, Fault> {
        let load = |path: &PathBuf| files::told(files::read(path).and_then(|text| NodeNames::load(&text)));
        Ok(Self { at, names: at.names.as_ref().map(load).transpose()?.unwrap_or_default() })
    }

    /// Shows a line: as it is to machines, with names to people.
    fn print(&self, line: &str) {
        if !line.is_empty() {
            out::line_if_read(&if self.at.json { line.to_owned() } else { self.names.told(line) });
        }
    }
}

impl Deref for Console<'_> {
    type Target = AtServer;

    fn deref(&self) -> &AtServer {
        self.at
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// Runs a tool and prints what it found out.
pub(super) fn s5066(arguments: &S5066) -> Result<(), Fault> {
    let (at, run) = (&Console::new(&arguments.at)?, OsRandom.number() as u32);
    match &arguments.verb {
        S5066Verb::Status { sap, rank, wait_seconds } => {
            let saps = sap.map_or_else(|| SAPS.map(SapId::from_low_bits).to_vec(), |sap| vec![sap]);
            let tool = Status::new(&saps, *rank, seconds(*wait_seconds), run.into(), at.trace);
            finish(at, tool, Shown::Primitives, |_| true)
        }
        S5066Verb::State(managing) => manage(at, Ask::State, managing),
        S5066Verb::Emcon { emcon, managing } => manage(at, Ask::Emcon(emcon == "on"), managing),
        S5066Verb::Broadcast { broadcast, managing } => manage(at, Ask::Broadcast(broadcast == "on"), managing),
        S5066Verb::Ping { probes, .. } | S5066Verb::Traffic { probes, .. } if probes.answer => {
            let span = probes.for_seconds.map(seconds);
            let config = AnswerConfig { application: probes.application(), ttl: probes.ttl(0), span };
            finish(at, Answer::new(probes.session(), config, run.into(), at.trace), Shown::Stream, |_| true)
        }
        S5066Verb::Ping { probes, count, octets, pause_seconds, timeout_seconds } => {
            let pause = Duration::try_from_secs_f64(*pause_seconds)
                .map_err(|error| Fault::new(exit::USAGE, format!("--pause-seconds: {error}")))?;
            let config = PingConfig {
                way: probes.way(&at.names, *octets)?,
                count: *count,
                octets: fitting(*octets, probes)?,
                pause,
                patience: seconds(*timeout_seconds),
            };
            finish(at, Ping::new(probes.session(), config, run, at.trace), Shown::Lines, |report| report.answered > 0)
        }
        S5066Verb::Traffic { probes, pdus, octets, window, timeout_seconds, no_count } => {
            let config = TrafficConfig {
                way: probes.way(&at.names, octets.saturating_mul((*window).into()))?,
                pdus: probes.pdus(*pdus),
                octets: fitting(*octets, probes)?,
                window: *window,
                patience: seconds(*timeout_seconds),
                asks_count: !no_count,
            };
            let through = |confirmed: u32, handed: u32| confirmed + handed > 0;
            let tool = Traffic::new(probes.session(), config, run, at.trace);
            finish(at, tool, Shown::Lines, |report| through(report.confirmed, report.handed))
        }
        S5066Verb::Monitor { listen: Some(listen), for_seconds, .. } => relay(at, *listen, *for_seconds),
        S5066Verb::Monitor { sap, rank, for_seconds, .. } => {
            let sap = sap.ok_or_else(|| Fault::new(exit::USAGE, "no SAP"))?;
            let config = SisConfig { rank: *rank, ..SisConfig::new(sap, DeliveryMode::NON_ARQ) };
            finish(at, Watch::new(config, for_seconds.map(seconds), run.into()), Shown::Stream, |_| true)
        }
    }
}

/// Asks one thing of the node itself.
fn manage(at: &Console<'_>, ask: Ask, managing: &Managing) -> Result<(), Fault> {
    let tool = Manage::new(ask, managing.sap, seconds(managing.timeout_seconds), OsRandom.number(), at.trace);
    finish(at, tool, Shown::Primitives, ManageReport::is_done)
}

/// The size asked for, where a probe has room in it.
fn fitting(octets: u64, probes: &Probes) -> Result<usize, Fault> {
    let (octets, least) = (usize::try_from(octets).unwrap_or(usize::MAX), probe::octets_min(probes.application()));
    if octets < least {
        return Err(Fault::new(exit::USAGE, format!("--octets: a probe needs {least}, not {octets}")));
    }
    Ok(octets)
}

/// What of the happenings is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// They are the result.
    Stream,
    /// To people.
    Lines,
    /// Only primitives, to people who asked for them: the result says the rest.
    Primitives,
}

/// Runs a tool to its end.
fn finish<T>(at: &Console<'_>, mut tool: T, shown: Shown, is_good: impl FnOnce(&T::Report) -> bool) -> Result<(), Fault>
where
    T: Tool,
    T::Report: Display,
{
    let show = |note: Note| {
        let wanted = match shown {
            Shown::Stream => true,
            Shown::Lines => !at.json,
            Shown::Primitives => !at.json && matches!(note, Note::Primitive { .. }),
        };
        if wanted {
            at.print(&if at.json { note_json(&note).to_string() } else { note_line(&note) });
        }
    };
    let over = runtime()?.block_on(async {
        let clock = Clock::at_speed(at.speed);
        console::run(clock, &at.server, &mut tool, stop(), show).await
    });
    let over = over.map_err(|why| Fault::new(exit::OS_ERROR, why))?;
    let report = tool.report();
    let ended = ended(&at.server, &over);
    if at.json {
        at.print(&with_end(&report, &over, ended.as_ref().err()).to_string());
    } else {
        at.print(report.to_string().trim_end());
    }
    ended?;
    if is_good(&report) { Ok(()) } else { Err(Fault::new(exit::UNAVAILABLE, "nothing got through")) }
}

async fn stop() {
    if super::process::told_to_stop().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The fault, if it is one, that a tool ended with.
fn ended(server: &str, over: &Over) -> Result<(), Fault> {
    match over {
        Over::Done | Over::Stopped => Ok(()),
        Over::Unfit(why) => Err(Fault::new(exit::USAGE, why.clone())),
        Over::Failed(end) => {
            let code = match end {
                SessionEnd::BindRejected(BindRejection::InvalidSap) => exit::USAGE,
                SessionEnd::BindRejected(_) | SessionEnd::Unbound(_) => exit::TRY_LATER,
                SessionEnd::Broken(_) | SessionEnd::Strange => exit::DATA,
                SessionEnd::Pipe(_)
                | SessionEnd::BindUnanswered
                | SessionEnd::FrameUnfinished
                | SessionEnd::Silent
                | SessionEnd::Stopped => exit::UNAVAILABLE,
            };
            let rule = match end {
                SessionEnd::Unbound(UnbindReason::Expedited) => EXPEDITED_RULE,
                _other => "",
            };
            Err(Fault::new(code, format!("{server}: {end}{rule}")))
        }
    }
}

fn with_end(report: &impl Serialize, over: &Over, fault: Option<&Fault>) -> Value {
    let mut value = serde_json::to_value(report).unwrap_or_default();
    value["ended"] = json!(match over {
        Over::Done => "done",
        Over::Stopped => "stopped",
        Over::Unfit(_) | Over::Failed(_) => "failed",
    });
    value["why"] = json!(fault.map(|fault| fault.why.as_str()));
    value
}

fn note_json(note: &Note) -> Value {
    let mut value = serde_json::to_value(note).unwrap_or_default();
    if let Note::Primitive { octets, .. } = note {
        value["octets"] = json!(skywave_protocols::bytes::hex(octets));
        match Own.decode("sis", octets) {
            Decoded::Is(tree) => value["primitive"] = tree,
            Decoded::Refused(refusal) => value["refused"] = json!(refusal.to_string()),
            Decoded::NotAsked => {}
        }
    }
    value
}

fn note_line(note: &Note) -> String {
    let Note::Primitive { toward, octets } = note else { return note.to_string() };
    match Own.decode("sis", octets) {
        Decoded::Is(tree) => {
            let name = tree["primitive"].as_str().unwrap_or("?").to_owned();
            let facts = show::facts(&tree);
            let facts: Vec<&str> = facts.lines().filter(|line| !line.starts_with("primitive:")).collect();
            format!("{toward} {name} {}", facts.join(", ")).trim_end().to_owned()
        }
        Decoded::Refused(refusal) => format!("{note} ({refusal})"),
        Decoded::NotAsked => note.to_string(),
    }
}

fn relay(at: &Console<'_>, listen: SocketAddr, for_seconds: Option<u32>) -> Result<(), Fault> {
    let show = |relayed: Relayed| {
        at.print(&match (relayed, at.json) {
            (Relayed::Came(client, from), false) => format!("client {client} from {from}"),
            (Relayed::Came(client, from), true) => {
                json!({ "event": "came", "client": client, "from": from }).to_string()
            }
            (Relayed::Note(client, note), false) => format!("{client} {}", note_line(&note)),
            (Relayed::Note(client, note), true) => {
                let mut value = note_json(&note);
                value["client"] = json!(client);
                value.to_string()
            }
            (Relayed::Ended(client, why), false) => format!("client {client}: {why}"),
            (Relayed::Ended(client, why), true) => {
                json!({ "event": "ended", "client": client, "why": why }).to_string()
            }
        });
    };
    let over = runtime()?.block_on(async {
        let stop = async {
            match for_seconds {
                Some(span) => tokio::select! {
                    () = stop() => {}
                    () = tokio::time::sleep(seconds(span)) => {}
                },
                None => stop().await,
            }
        };
        let listening = |bound| eprintln!("clients of {} connect to {bound}", at.server);
        console::relay(listen, &at.server, stop, listening, show).await
    });
    over.map_err(|why| Fault::new(exit::UNAVAILABLE, why))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use skywave_protocols::s5066::address::NodeAddress;
    use skywave_protocols::s5066::console::limits::COUNT_ASKED_MAX;
    use skywave_protocols::s5066::node::sis_server::SisServerConfig;

    use super::*;
    use crate::config::Text;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        s5066: S5066,
    }

    /// U_PDUs and time to live, in seconds, of load.
    fn traffic(options: &str) -> (u32, u64) {
        let line = format!("s5066 traffic 1.1.0.2 {options}");
        let S5066Verb::Traffic { probes, pdus, octets, window, .. } = Line::parse_from(line.split(' ')).s5066.verb
        else {
            panic!("no traffic")
        };
        let ttl = probes.way(&NodeNames::default(), octets * u64::from(window)).unwrap().ttl;
        (probes.pdus(pdus), ttl.span().unwrap().as_secs())
    }

    #[test]
    fn a_node_is_told_by_its_name_or_its_address() {
        let text = Text { file: "n".to_owned(), text: "[nodes]\nship = \"1.1.0.9\"\n".to_owned() };
        let names = NodeNames::load(&text).unwrap();
        for (said, address) in [("ship", Some("1.1.0.9")), ("1.1.0.2", Some("1.1.0.2")), ("boat", None)] {
            let S5066Verb::Ping { probes, .. } = Line::parse_from(["s5066", "ping", said]).s5066.verb else {
                panic!("no ping")
            };
            let destination = probes.way(&names, 64).map(|way| way.destination.to_string());
            assert_eq!(destination.ok().as_deref(), address, "{said}");
        }
    }

    #[test]
    fn expedited_load_fits_our_own_node() {
        let allowed = SisServerConfig::new(NodeAddress::individual(1)).expedited_max;
        let (pdus, _) = traffic("--expedited");
        assert!(pdus + COUNT_ASKED_MAX <= allowed, "{pdus} of {allowed}");
        assert_eq!((traffic("--window 1").0, traffic("--expedited --pdus 70").0), (100, 70));
        let unbound = Over::Failed(SessionEnd::Unbound(UnbindReason::Expedited));
        let why = ended("node", &unbound).unwrap_err().why;
        assert!(why.contains(&format!("our nodes: {allowed} within 600 s")), "{why}");
    }

    #[test]
    fn load_lives_long_enough_for_the_slowest_rate() {
        for (options, octets) in [("--window 32", 32 * 1_024), ("--window 256 --octets 2048", 256 * 2_048)] {
            let (_, ttl) = traffic(options);
            assert!(ttl >= octets * 8 * 2 / 75, "{options}: {ttl}");
        }
        assert_eq!((traffic("--window 1").1, traffic("--ttl-seconds 60").1), (3_600, 60));
    }
}

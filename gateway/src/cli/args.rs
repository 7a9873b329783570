//! The words of the command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use skywave_protocols::message::precedence::Precedence;

use crate::bench::relay::LOAD_NAMES;

/// Mail and chat over links that are slow, late, lossy, one-way or silent.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "skywave",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Run one site in the foreground
    Run(Run),
    /// Two sites, a simulated HF radio between them, real mail and chat
    Demo(super::demo::Demo),
    /// Validate configurations; two are also compared as the two ends of their links
    Check(Check),
    /// How a running site is
    Status(AtSite),
    /// The queue of a running site
    Queue(Queue),
    /// Links of a running site
    Link(Link),
    /// The life of one message, by ticket or Message-ID
    Track(Track),
    /// Submit a message from standard input, with the flags of sendmail
    Send(Send),
    /// The embedded STANAG 5066 nodes alone, on a simulated radio
    Node(NodeArguments),
    /// Console for a STANAG 5066 server, ours or anybody's
    S5066(super::s5066::S5066),
    /// Explain octets of a protocol
    Decode(Decode),
    /// Run the conformance vectors
    Conformance(Conformance),
    /// Make a line for the password file from a password on standard input
    #[command(hide = true)]
    Password {
        /// The user
        user: String,
    },
    /// Shell completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Manual pages
    Man {
        /// Write a page for each command into this directory; without, the main page goes to standard output
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
    /// The benchmark tables of docs/performance.md
    Bench(Bench),
}

/// Where the configuration is.
pub const CONFIGURATION: &str = "/etc/skywave/skywave.toml";

/// `skywave run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The configuration; files in conf.d beside it are read after it
    #[arg(short, long, value_name = "FILE", default_value = CONFIGURATION)]
    pub config: PathBuf,
    /// Write S_PRIMITIVEs and ACP 142 PDUs to a pcapng file
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
}

/// `skywave check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Configurations; several are compared with each other
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The same, as other commands have it
    #[arg(short, long, value_name = "FILE", default_value = CONFIGURATION, conflicts_with = "files")]
    pub config: Vec<PathBuf>,
    /// Show the effective configuration
    #[arg(long)]
    pub print: bool,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

/// Which running site is asked.
#[derive(Clone, Debug, Args)]
pub struct AtSite {
    /// The configuration of the site
    #[arg(short, long, value_name = "FILE", default_value = CONFIGURATION, global = true)]
    pub config: PathBuf,
    /// The site's run directory, instead of a configuration
    #[arg(long, value_name = "DIRECTORY", global = true)]
    pub run_directory: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long, global = true)]
    pub json: bool,
}

/// `skywave queue`.
#[derive(Clone, Debug, Args)]
pub struct Queue {
    /// Which site.
    #[command(flatten)]
    pub site: AtSite,
    /// What to do.
    #[command(subcommand)]
    pub verb: QueueVerb,
}

/// `skywave queue …`.
#[derive(Clone, Debug, Subcommand)]
pub enum QueueVerb {
    /// What waits, most urgent first
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Only what waits for this link or local MTA
        #[arg(long)]
        link: Option<String>,
        /// As mailq prints it
        #[arg(long)]
        mailq: bool,
    },
    /// One mail: envelope, hops, history
    Show {
        /// Its queue id
        ticket: String,
    },
    /// Keep a mail from being sent, or a stanza of chat that waits for a link
    Hold {
        /// Its queue id, or the number of the stanza
        ticket: String,
    },
    /// Let it go again
    Release {
        /// Its queue id, or the number of the stanza
        ticket: String,
    },
    /// Try it now; all waiting ones without an id
    Retry {
        /// Its queue id
        ticket: Option<String>,
    },
    /// Send it by another link
    Reroute {
        /// Its queue id
        ticket: String,
        /// The link
        link: String,
    },
    /// Change its precedence
    Precedence {
        /// Its queue id
        ticket: String,
        /// deferred, routine, priority, immediate, flash or override
        #[arg(value_parser = precedence)]
        precedence: Precedence,
    },
    /// Delete a mail, or a stanza of chat that waits for a link
    Delete {
        /// Its queue id, or the number of the stanza
        ticket: String,
        /// Send a failure report, or an error, to its sender
        #[arg(long)]
        report: bool,
    },
    /// Units that came by a link and could not be read, or not wholly; one of them with its octets
    Quarantine {
        /// Its number
        number: Option<u64>,
    },
}

fn precedence(text: &str) -> Result<Precedence, String> {
    Precedence::parse(text).ok_or_else(|| "one of deferred, routine, priority, immediate, flash, override".to_owned())
}

/// `skywave link`.
#[derive(Clone, Debug, Args)]
pub struct Link {
    /// Which site.
    #[command(flatten)]
    pub site: AtSite,
    /// What to do.
    #[command(subcommand)]
    pub verb: LinkVerb,
}

/// `skywave link …`.
#[derive(Clone, Debug, Subcommand)]
pub enum LinkVerb {
    /// All links
    List,
    /// One link
    Show {
        /// Its name
        link: String,
    },
    /// Use a link again
    Up {
        /// Its name
        link: String,
    },
    /// Do not use a link
    Down {
        /// Its name
        link: String,
    },
    /// Send a probe to a site and wait for the acknowledgement
    Ping {
        /// The link
        link: String,
        /// The site
        site: String,
        /// Give up after so many seconds
        #[arg(long, default_value_t = 300)]
        timeout_seconds: u32,
    },
    /// Our own emission control
    Emcon {
        /// on: nothing is emitted; off: free again
        #[arg(value_parser = ["on", "off"])]
        state: String,
        /// Only on this link
        link: Option<String>,
    },
    /// Say that a site will not answer, or that it will again
    Silence {
        /// The link
        link: String,
        /// The site
        site: String,
        /// on: it will not answer; off: it will
        #[arg(value_parser = ["on", "off"])]
        state: String,
        /// Until when by plan: 2030-01-31T18:00:00Z; an answer before is told as an alarm
        #[arg(long, value_parser = moment)]
        until: Option<u64>,
    },
}

/// Seconds of Unix time.
fn moment(text: &str) -> Result<u64, String> {
    let moment = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    let seconds = moment.ok().and_then(|moment| u64::try_from(moment.unix_timestamp()).ok());
    seconds.ok_or_else(|| "a moment like 2030-01-31T18:00:00Z".to_owned())
}

/// `skywave track`.
#[derive(Clone, Debug, Args)]
pub struct Track {
    /// Which site.
    #[command(flatten)]
    pub site: AtSite,
    /// Queue id or Message-ID
    pub id: String,
}

/// `skywave send`: everything behind it is read as sendmail reads it.
#[derive(Clone, Debug, Args)]
pub struct Send {
    /// -t -i -f ADDRESS -F NAME -N NOTIFY -R full|hdrs -V ENVID -bs -bp -C FILE --precedence PRECEDENCE, recipients
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    pub words: Vec<String>,
}

/// `skywave node`.
#[derive(Clone, Debug, Args)]
pub struct NodeArguments {
    /// Stations and weather
    #[arg(short, long, value_name = "FILE", default_value = "/etc/skywave/node.toml")]
    pub config: PathBuf,
    /// Write S_PRIMITIVEs and D_PDUs to a pcapng file
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
}

/// `skywave decode`.
#[derive(Clone, Debug, Args)]
pub struct Decode {
    /// sis, spdu, cpdu, dpdu, rcop, udop, acp142 (or p_mul), cdt, mule, bsmtp, smtp, xmpp (streams, and units of chat), zlib,
    /// slow
    pub protocol: String,
    /// The octets in hex; - or nothing reads hex or raw octets from standard input
    #[arg(default_value = "-")]
    pub octets: String,
    /// A domain or name in the dictionary of the link for chat; once for each
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

/// `skywave conformance`.
#[derive(Clone, Debug, Args)]
pub struct Conformance {
    /// Only these protocols
    pub protocols: Vec<String>,
    /// Somebody else's implementation instead of ours
    #[arg(long, value_name = "HOST:PORT")]
    pub against: Option<String>,
    /// Vectors of this directory instead of the built-in ones
    #[arg(long, value_name = "DIRECTORY")]
    pub vectors: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

/// `skywave bench`.
#[derive(Clone, Debug, Args)]
pub struct Bench {
    /// Machine-readable output
    #[arg(long, global = true)]
    pub json: bool,
    /// The folder below which queues are put while it runs; it decides which disk is measured
    #[arg(long, value_name = "DIRECTORY", global = true, default_value = crate::bench::folder::PLACE)]
    pub place: PathBuf,
    /// Which.
    #[command(subcommand)]
    pub verb: BenchVerb,
}

/// `skywave bench NAME`.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchVerb {
    /// SMTP in, durable queue, SMTP out: beside Postfix, in turn (as root; package postfix)
    Relay {
        /// Runs of each load through each server
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Mails of a run
        #[arg(long, default_value_t = 2_000)]
        mails: u64,
        /// Let each session send all its mails on one connection
        #[arg(long)]
        keep_connections: bool,
        /// Only this load: octets of a text, sessions; may be given more than once
        #[arg(long = "load", value_parser = PossibleValuesParser::new(LOAD_NAMES))]
        loads: Vec<String>,
    },
    /// From end of data to the next hop's 250, with arrivals that do not wait, by precedence
    Latency {
        /// Seconds of each share of the capacity
        #[arg(long, default_value_t = 15)]
        seconds: u32,
        /// Octets of a text
        #[arg(long, default_value_t = 1_000)]
        octets: usize,
    },
    /// Memory and start with nothing, 10,000 and 100,000 mails queued
    Memory {
        /// Starts of each kind
        #[arg(long, default_value_t = 5)]
        starts: usize,
        /// Octets of a text
        #[arg(long, default_value_t = 1_000)]
        octets: usize,
    },
    /// Octets of a mail of 500 characters on its way over HF
    Mail,
    /// What chat costs on a link, and how fast gateways carry it
    Chat {
        /// Only these parts
        #[arg(value_enum)]
        parts: Vec<crate::bench::chat::Part>,
        /// One-way delays of the slow wire in seconds
        #[arg(long, value_name = "SECONDS", value_delimiter = ',', default_value = "1,5")]
        delays: Vec<u32>,
        /// Seconds of half load
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// What the link between gateways speaks
        #[arg(long, default_value = "skywave")]
        profile: String,
    },
    /// Round trips and throughput over real radios, through the SIS servers of two of them
    LiveHf(crate::bench::live_hf::Options),
    /// Chat, mail and FLASH over HF: published figures, a model of them, this program, the limits (in virtual time)
    Hf {
        /// Only these parts
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<crate::bench::hf::Part>,
        /// Tell the parts and stop
        #[arg(long)]
        list: bool,
        /// Write the plots into this folder
        #[arg(long, value_name = "FOLDER")]
        plots: Option<PathBuf>,
    },
    /// What two ordinary mail servers say to each other for one mail (as root; package postfix)
    Exchange {
        /// Octets of the text
        #[arg(long, default_value_t = 500)]
        octets: u32,
        /// One-way delay of the wire between them
        #[arg(long, default_value_t = 1)]
        delay_seconds: u32,
    },
    /// What two nodes on one simulated radio cost of a core in real time, under load
    Node {
        /// Rate of the radio
        #[arg(long, default_value_t = 240_000, value_parser = clap::value_parser!(u32).range(75..=240_000))]
        bits_per_second: u32,
        /// Seconds of load at that rate
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
        seconds: u32,
    },
    /// Mails made durable in a second by the store alone
    Store {
        /// Mails of a row
        #[arg(long, default_value_t = 10_000)]
        mails: usize,
        /// Octets of a text
        #[arg(long, default_value_t = 1_000)]
        octets: usize,
    },
}

//! `skywave bench chat`: what chat costs on a link and how fast gateways carry it.
//!
//! Its parts are run one by one or together: [`octets`] counts what stanzas cost to transport on the slow side, and what
//! each filter leaves of an [`hour`] of traffic; [`ordinary`] holds the same conversation by ordinary
//! server-to-server XMPP over a slow wire, for comparison; [`throughput`] and [`memory`] measure the gateways themselves,
//! on loopback.

mod gateways;
pub mod hour;
pub mod memory;
pub mod octets;
pub mod ordinary;
pub mod pair;
pub mod throughput;

use std::path::PathBuf;

use super::BenchFault;
use super::table::Report;

/// A part of the bench.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub enum Part {
    /// Octets to transport: a new peer, chat lines, an hour of mixed traffic filter by filter (in virtual time)
    Octets,
    /// The same conversation by ordinary server-to-server XMPP over a slow wire (as root; package prosody)
    Ordinary,
    /// Stanzas a second through two gateways, and the latency they add at half load
    Throughput,
    /// 1,000 domains, 8 links, 10,000 cached presences
    Memory,
}

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which parts; none means all.
    pub parts: Vec<Part>,
    /// One-way delays of the slow wire, in seconds.
    pub delays_seconds: Vec<u32>,
    /// Seconds of half load.
    pub seconds: u32,
    /// What the link between gateways speaks.
    pub profile: String,
    /// Below which folder everything lies.
    pub place: PathBuf,
}

/// Runs the parts that are asked for.
///
/// # Errors
/// When a part cannot be run.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    let all = [Part::Octets, Part::Ordinary, Part::Throughput, Part::Memory];
    let mut report = Report::default();
    for part in all.iter().filter(|part| options.parts.is_empty() || options.parts.contains(part)) {
        let found = match part {
            Part::Octets => octets::run(),
            Part::Ordinary => ordinary::run(&options.delays_seconds, &options.profile, &options.place)?,
            Part::Throughput => throughput::run(options.seconds, &options.profile, &options.place)?,
            Part::Memory => memory::run(&options.place)?,
        };
        report.facts.extend(found.facts);
        report.tables.extend(found.tables);
    }
    Ok(report)
}

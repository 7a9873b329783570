//! `skywave bench`: runs a bench and prints its tables.

use std::time::Duration;

use super::args::{Bench, BenchVerb};
use super::exit::{self, Fault};
use super::out;
use crate::bench::folder::Folder;
use crate::bench::table::Report;
use crate::bench::{BenchFault, chat, exchange, hf, latency, live_hf, mail, memory, node, relay};
use crate::shell::clock::Clock;

/// Runs the bench that is asked for.
pub(super) fn bench(bench: &Bench) -> Result<(), Fault> {
    let report = match &bench.verb {
        BenchVerb::Relay { rounds, mails, keep_connections, loads } => relay::run(&relay::Options {
            rounds: *rounds,
            mails: *mails,
            keeps_connections: *keep_connections,
            loads: loads.clone(),
            place: bench.place.clone(),
        }),
        BenchVerb::Latency { seconds, octets } => {
            latency::run(&latency::Options { seconds: *seconds, octets: *octets, place: bench.place.clone() })
        }
        BenchVerb::Memory { starts, octets } => {
            memory::run(&memory::Options { starts: *starts, octets: *octets, place: bench.place.clone() })
        }
        BenchVerb::Mail => mail::run(),
        BenchVerb::Exchange { octets, delay_seconds } => exchange::run(&exchange::Options {
            octets: *octets,
            delay_seconds: *delay_seconds,
            place: bench.place.clone(),
        }),
        BenchVerb::Node { bits_per_second, seconds } => node::run(&node::Options {
            bits_per_second: *bits_per_second,
            seconds: *seconds,
            place: bench.place.clone(),
        }),
        BenchVerb::Chat { parts, delays, seconds, profile } => chat::run(&chat::Options {
            parts: parts.clone(),
            delays_seconds: delays.clone(),
            seconds: *seconds,
            profile: profile.clone(),
            place: bench.place.clone(),
        }),
        BenchVerb::LiveHf(options) => live_hf::run(options),
        BenchVerb::Hf { list: true, .. } => {
            let lines = hf::PARTS.map(|(part, words)| format!("{:<10} {words}\n", part.name()));
            return out::text(&lines.concat());
        }
        BenchVerb::Hf { only, list: false, plots } => {
            hf::run(&hf::Options { only: only.clone(), plots: plots.clone() })
        }
        BenchVerb::Store { mails, octets } => return store(bench, *mails, *octets),
    };
    print(bench, &report.map_err(fault)?)
}

fn print(bench: &Bench, report: &Report) -> Result<(), Fault> {
    if bench.json { out::line(&report.json().to_string()) } else { out::text(&report.markdown()) }
}

fn store(bench: &Bench, mails: usize, octets: usize) -> Result<(), Fault> {
    let folder = Folder::new(&bench.place).and_then(|folder| Ok((folder.sub("store")?, folder))).map_err(fault)?;
    let clock = Clock::start();
    let now = || Duration::from_micros(clock.now().mono.as_micros());
    let table = crate::store::bench::table(&folder.0, mails, octets, &now);
    let table = table.map_err(|why| Fault::new(exit::UNAVAILABLE, why))?;
    out::line(&if bench.json { serde_json::json!({ "markdown": table }).to_string() } else { table })
}

fn fault(fault: BenchFault) -> Fault {
    let code = match &fault {
        BenchFault::Missing { .. } | BenchFault::Process(_) => exit::UNAVAILABLE,
        BenchFault::Local { .. } => exit::OS_ERROR,
    };
    Fault::new(code, fault.to_string())
}

//! `skywave bench relay`: SMTP in → durable queue → SMTP out, beside Postfix on the same machine and disk.
//!
//! Both take the load of `smtp-source` and relay it to an `smtp-sink` of their own, in turn within one run, so that a
//! busy machine slows both; who comes first changes with each round, as a disk that rested is faster for a while. Equal
//! durability: both answer 250 when the mail is synced to disk. The third row of each load is `smtp-source` straight
//! into `smtp-sink`: what the tools themselves can do here.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::BenchFault;
use super::folder::Folder;
use super::postfix::{self, Postfix};
use super::process::processor_seconds;
use super::site::Site;
use super::table::{Cell, Report, Table, median, ratio};
use super::tools::{Load, Sink};
use crate::shell::clock::Clock;

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Runs of each load through each server.
    pub rounds: usize,
    /// Mails of a run with many sessions; with one session a quarter.
    pub mails: u64,
    /// Whether sessions keep their connections.
    pub keeps_connections: bool,
    /// Only these loads, by their names; all without.
    pub loads: Vec<String>,
    /// Below which folder all queues lie.
    pub place: PathBuf,
}

/// Name, sessions, octets of a text, and how many times Postfix is the bar.
const LOADS: [(&str, u32, u32, f64); 4] = [
    ("1000x1", 1, 1_000, 1.0),
    ("1000x20", 20, 1_000, 5.0),
    ("50000x1", 1, 50_000, 1.0),
    ("50000x20", 20, 50_000, 2.5),
];
/// The names of the loads: octets of a text, sessions.
pub const LOAD_NAMES: [&str; 4] = [LOADS[0].0, LOADS[1].0, LOADS[2].0, LOADS[3].0];

/// What one run of a load through one server gave: mails a second, milliseconds of processor time for a mail.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Rates {
    accepted: f64,
    delivered: f64,
    processor: f64,
}

/// A server under load, and where its mail comes out.
struct Way {
    name: &'static str,
    address: SocketAddr,
    sink: Sink,
    /// The server's first process.
    process: Option<u32>,
}

/// Runs everything.
///
/// # Errors
/// When Postfix is missing or a process fails.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    postfix::present()?;
    let folder = Folder::new(&options.place)?;
    let (ours, theirs, straight) = (Sink::start()?, Sink::start()?, Sink::start()?);
    let peer = Postfix::relaying(&folder.sub("postfix")?, theirs.address)?;
    let site = Site::new(&folder.sub("skywave")?, ours.address)?;
    let (process, _) = site.start()?;
    let direct = straight.address;
    let ways = [
        Way { name: "Postfix", address: peer.address, sink: theirs, process: peer.master() },
        Way { name: "Skywave", address: site.address, sink: ours, process: Some(process.id()) },
        Way { name: "tools alone", address: direct, sink: straight, process: None },
    ];
    let mut table = empty_table();
    let wanted = |name: &str| options.loads.is_empty() || options.loads.iter().any(|load| load == name);
    for (_, sessions, octets, bar) in LOADS.into_iter().filter(|(name, ..)| wanted(name)) {
        let mails = if sessions == 1 { options.mails.div_ceil(4) } else { options.mails };
        let load = Load { sessions, mails, octets, keeps_connections: options.keeps_connections };
        let runs = in_turn(&ways, load, options.rounds)?;
        table.rows.extend(rows(load, bar, &ways.each_ref().map(|way| way.name), &runs));
    }
    process.stop();
    drop(peer);
    Ok(Report { facts: facts(options), tables: vec![table] })
}

fn facts(options: &Options) -> Vec<(&'static str, String)> {
    let connections = if options.keeps_connections { "kept by each session" } else { "one for each mail" };
    vec![
        ("Postfix", postfix::version()),
        ("rounds", options.rounds.to_string()),
        ("mails a run", format!("{} ({} with one session)", options.mails, options.mails.div_ceil(4))),
        ("connections of the source", connections.to_owned()),
    ]
}

/// Each load once through each server to warm up, then so many rounds in turn.
fn in_turn(ways: &[Way; 3], load: Load, rounds: usize) -> Result<Vec<[Rates; 3]>, BenchFault> {
    let [peer, ours, tools] = ways;
    let alone = measure(tools, load)?;
    let warm = Load { mails: load.mails.div_ceil(10), ..load };
    measure(peer, warm)?;
    measure(ours, warm)?;
    let round = |number: usize| {
        if number.is_multiple_of(2) {
            let first = measure(peer, load)?;
            Ok([first, measure(ours, load)?, alone])
        } else {
            let first = measure(ours, load)?;
            Ok([measure(peer, load)?, first, alone])
        }
    };
    (0..rounds).map(round).collect()
}

fn measure(way: &Way, load: Load) -> Result<Rates, BenchFault> {
    let before = way.sink.count();
    let used = way.process.map(processor_seconds);
    let clock = Clock::start();
    load.send(way.address)?;
    let accepted = clock.now().mono.as_micros();
    way.sink.wait_for(before + load.mails)?;
    let delivered = clock.now().mono.as_micros();
    let rate = |micros: u64| load.mails as f64 * 1e6 / micros.max(1) as f64;
    let used = way.process.zip(used).map_or(0.0, |(process, before)| processor_seconds(process) - before);
    let processor = used * 1e3 / load.mails.max(1) as f64;
    Ok(Rates { accepted: rate(accepted), delivered: rate(delivered), processor })
}

fn empty_table() -> Table {
    Table {
        name: "relay",
        title: "Mails a second, medians; `accepted` until the source has its last 250, `delivered` until the sink has \
                the last mail. Ratio: Skywave to Postfix of the same round, median (least to greatest)."
            .to_owned(),
        columns: vec![
            ("octets", "octets"),
            ("sessions", "sessions"),
            ("server", "server"),
            ("accepted_per_second", "accepted/s"),
            ("delivered_per_second", "delivered/s"),
            ("processor_milliseconds_per_mail", "CPU ms/mail"),
            ("ratio", "ratio (delivered)"),
            ("ratio_range", "range"),
            ("bar", "bar"),
        ],
        rows: Vec::new(),
    }
}

fn rows(load: Load, bar: f64, names: &[&str; 3], runs: &[[Rates; 3]]) -> Vec<Vec<Cell>> {
    let ratios: Vec<f64> = runs.iter().map(|[peer, ours, _]| ratio(ours.delivered, peer.delivered)).collect();
    let middle = median(&ratios);
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = ratios.iter().copied().fold(0.0, f64::max);
    let row = |way: usize| {
        let of = |figure: fn(&Rates) -> f64, decimals| {
            Cell::Real(median(&runs.iter().map(|round| figure(&round[way])).collect::<Vec<_>>()), decimals)
        };
        let mut cells = vec![
            Cell::Whole(load.octets.into()),
            Cell::Whole(load.sessions.into()),
            Cell::text(names[way]),
            of(|rates| rates.accepted, 0),
            of(|rates| rates.delivered, 0),
            if way == 2 { Cell::Empty } else { of(|rates| rates.processor, 2) },
        ];
        cells.extend(match way {
            1 => [
                Cell::Real(middle, 1),
                Cell::text(format!("{least:.1} to {greatest:.1}")),
                Cell::Bar(format!("at least {bar}"), middle >= bar),
            ],
            _ => [Cell::Empty, Cell::Empty, Cell::Empty],
        });
        cells
    };
    (0..3).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let rates = |delivered: f64| Rates { accepted: delivered * 2.0, delivered, processor: 1.0 };
        let runs = [[10.0, 60.0, 500.0], [20.0, 60.0, 400.0], [10.0, 40.0, 300.0]].map(|round| round.map(rates));
        let load = Load { sessions: 20, mails: 10, octets: 1_000, keeps_connections: false };
        let rows = rows(load, 5.0, &["a", "b", "c"], &runs);
        assert_eq!(rows[0][3..6], [Cell::Real(20.0, 0), Cell::Real(10.0, 0), Cell::Real(1.0, 2)]);
        assert_eq!(rows[1][4..6], [Cell::Real(60.0, 0), Cell::Real(1.0, 2)]);
        assert_eq!(rows[1][6..8], [Cell::Real(4.0, 1), Cell::text("3.0 to 6.0")]);
        assert_eq!(rows[1][8], Cell::Bar("at least 5".to_owned(), false));
        assert_eq!(rows[2][4..6], [Cell::Real(400.0, 0), Cell::Empty]);
    }
}

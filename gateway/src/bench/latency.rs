//! `skywave bench latency`: from the end of a mail's data to the next hop's 250, with arrivals that do not wait for the
//! server (open loop) at shares of what it can take, by precedence.
//!
//! Capacity is measured first, in the same run, with as many sessions as the relay bench has. The source, the sink and
//! the site share the machine; the end of data is noted before the octets are written, so waiting in the source counts.

use std::path::PathBuf;
use std::thread::park_timeout;
use std::time::Duration;

use skywave_protocols::message::precedence::Precedence;

use super::BenchFault;
use super::folder::Folder;
use super::load::{Load, Sent, timetable};
use super::sink::{Moments, Sink};
use super::site::Site;
use super::table::{Cell, Report, Table, median, percentile};
use crate::shell::clock::Clock;

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Seconds of each share.
    pub seconds: u32,
    /// Octets of each text.
    pub octets: usize,
    /// Below which folder the queue lies.
    pub place: PathBuf,
}

/// Shares of the capacity, in per cent.
const SHARES: [u32; 3] = [10, 50, 90];
/// Sessions, for the capacity as for the timetables: with fewer no mail waits for a connection to the next hop, and the
/// capacity is one that the timetables cannot have.
const SESSIONS: usize = 64;
const MAILS_CAPACITY: usize = 24_000;
const SEED: u64 = 1;
/// How long mails may stay away after the last was accepted.
const STILL_SECONDS_MAX: u64 = 60;
/// The bars, in milliseconds: the median of all mail, the 95th percentile of Flash at the highest share.
const MEDIAN_MAX: f64 = 15.0;
const FLASH_MAX: f64 = 50.0;

/// Runs everything.
///
/// # Errors
/// When the site fails.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    let folder = Folder::new(&options.place)?;
    let clock = Clock::start();
    let sink = Sink::start(clock)?;
    let site = Site::new(&folder.sub("skywave")?, sink.address)?;
    let (process, _) = site.start()?;
    let pour = |mails, sessions| {
        let load = Load { mails, octets: options.octets, sessions };
        let answered = Moments::new(load.mails.len());
        sink.expect(&answered);
        let sent = load.send(site.address, clock)?;
        wait_for(&answered, clock)?;
        Ok::<_, BenchFault>((load, sent, answered))
    };
    let at_once = |count: usize| vec![(0, Precedence::Routine); count];
    pour(at_once(MAILS_CAPACITY / 10), SESSIONS)?;
    let (_, sent, answered) = pour(at_once(MAILS_CAPACITY), SESSIONS)?;
    let capacity = MAILS_CAPACITY as f64 * 1e6 / answered.last().saturating_sub(sent.started).max(1) as f64;
    let mut table = empty_table();
    for share in SHARES {
        let rate = capacity * f64::from(share) / 100.0;
        let count = (rate * f64::from(options.seconds)).ceil() as usize;
        let (load, sent, answered) = pour(timetable(SEED, count, rate), SESSIONS)?;
        table.rows.extend(rows(share, rate, &load, &sent, &answered));
    }
    process.stop();
    let facts = vec![
        ("capacity", format!("{capacity:.0} mails/s with {SESSIONS} sessions")),
        ("seconds of each share", options.seconds.to_string()),
        ("octets", options.octets.to_string()),
        ("seed", SEED.to_string()),
    ];
    Ok(Report { facts, tables: vec![table] })
}

fn wait_for(answered: &Moments, clock: Clock) -> Result<(), BenchFault> {
    let (mut before, mut since) = (0, clock.now().mono);
    loop {
        let count = answered.count();
        if count == answered.expected() {
            return Ok(());
        }
        let now = clock.now().mono;
        if count != before {
            (before, since) = (count, now);
        } else if now.since(since) > Duration::from_secs(STILL_SECONDS_MAX) {
            return Err(BenchFault::Process(format!("only {count} of {} mails came out", answered.expected())));
        }
        park_timeout(Duration::from_millis(20));
    }
}

fn empty_table() -> Table {
    Table {
        name: "latency",
        title: "Milliseconds from the end of data to the next hop's 250, by share of the capacity and precedence; \
                `late` is how much later than its timetable the source could begin a mail (95th percentile)."
            .to_owned(),
        columns: vec![
            ("share_percent", "share %"),
            ("per_second", "mails/s"),
            ("precedence", "precedence"),
            ("mails", "mails"),
            ("median_milliseconds", "median ms"),
            ("p95_milliseconds", "p95 ms"),
            ("worst_milliseconds", "worst ms"),
            ("late_p95_milliseconds", "late p95 ms"),
            ("bar", "bar"),
        ],
        rows: Vec::new(),
    }
}

fn rows(share: u32, rate: f64, load: &Load, sent: &Sent, answered: &Moments) -> Vec<Vec<Cell>> {
    let span = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?) as f64 / 1e3);
    let classes = std::iter::once(None).chain(Precedence::ALL.into_iter().rev().map(Some));
    let mut rows = Vec::new();
    for class in classes {
        let of_class = || {
            let numbered = load.mails.iter().enumerate();
            numbered.filter(move |(_, mail)| class.is_none_or(|class| mail.1 == class))
        };
        let took: Vec<f64> =
            of_class().filter_map(|(number, _)| span(sent.ended.of(number), answered.of(number))).collect();
        let late: Vec<f64> =
            of_class().filter_map(|(number, mail)| span(Some(sent.started + mail.0), sent.begun.of(number))).collect();
        if took.is_empty() {
            continue;
        }
        let (middle, high) = (median(&took), percentile(&took, 95));
        let bar = match class {
            None => Cell::Bar(format!("median at most {MEDIAN_MAX}"), middle <= MEDIAN_MAX),
            Some(Precedence::Flash) if share == 90 => Cell::Bar(format!("p95 at most {FLASH_MAX}"), high <= FLASH_MAX),
            Some(_) => Cell::Empty,
        };
        rows.push(vec![
            Cell::Whole(share.into()),
            Cell::Real(rate, 0),
            Cell::text(class.map_or("all", Precedence::name)),
            Cell::Whole(took.len() as u64),
            Cell::Real(middle, 1),
            Cell::Real(high, 1),
            Cell::Real(percentile(&took, 100), 1),
            Cell::Real(percentile(&late, 95), 1),
            bar,
        ]);
    }
    rows
}

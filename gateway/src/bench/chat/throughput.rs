//! Stanzas a second through two gateways on loopback, and the latency they add at half of that.
//!
//! A host for components at each site takes the place of the local server. The rate is taken with so many stanzas under
//! way at a time; the latency with arrivals that do not wait (open loop), from the moment a stanza is due to be written
//! to the moment it is read at the other host. Lines of chat are durable: on the disk of the first gateway before it is
//! sent, on that of the second before it is handed on: they may take one group commit longer, which is measured before, as
//! what the median of 64 callers of the store waits. Chat states are not. Each bears its number in a thread: ids do not
//! cross as they are.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::park_timeout;
use std::time::Duration;

use super::super::BenchFault;
use super::super::folder::Folder;
use super::super::load::timetable;
use super::super::sink::Moments;
use super::super::table::{Cell, Report, Table, median, percentile};
use super::super::xmpp::Host;
use super::super::xmpp::host::Numbers;
use super::gateways::Gateways;
use crate::shell::clock::Clock;
use crate::store::bench as store;

/// Stanzas under way at once when the rate is taken: fewer than a queue holds.
const UNDER_WAY: usize = 500;
/// Stanzas of the rate.
const RATE_STANZAS: usize = 20_000;
/// How long none may come before a run is given up.
const STILL: Duration = Duration::from_secs(30);
/// The bars of the issue, in milliseconds.
const MEDIAN_MAX: f64 = 2.0;
const P99_MAX: f64 = 20.0;
/// How a group commit is measured: so many wait at once, each with a body of so many octets, so many in all.
const COMMIT_CALLERS: usize = 64;
const COMMIT_OCTETS: usize = 300;
const COMMITS: usize = 6_400;
const SEED: u64 = 1;
/// What stands before the number of a stanza.
const NUMBER_BEFORE: &str = "<thread>n";

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Line,
    State,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Line => "line of chat (durable)",
            Self::State => "chat state",
        }
    }

    fn stanza(self, number: usize) -> String {
        let content = match self {
            Self::Line => "<body>Convoy at the bridge, two vehicles, waiting for orders.</body>",
            Self::State => "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        };
        format!(
            "<message to='bob@field.test/tent' from='alice@hq.test/desk' id='n{number}' type='chat'>{content}\
             {NUMBER_BEFORE}{number}</thread></message>"
        )
    }
}

/// The two gateways and what is heard at the far end.
struct Way {
    clock: Clock,
    to_field: TcpStream,
    heard: Arc<Mutex<Moments>>,
}

/// Runs everything for `seconds` of half load.
///
/// # Errors
/// When a gateway fails or stanzas stay away.
pub fn run(seconds: u32, profile: &str, place: &Path) -> Result<Report, BenchFault> {
    let folder = Folder::new(place)?;
    let clock = Clock::start();
    let commit = group_commit(&folder.sub("store")?, clock)?;
    let heard = Arc::new(Mutex::new(Moments::new(0)));
    let hq = Host::start(|| Box::new(|_: &[u8]| {}))?;
    let noting = Arc::clone(&heard);
    let field = Host::start(move || {
        let (noting, numbers) = (Arc::clone(&noting), Mutex::new(Numbers::new(NUMBER_BEFORE)));
        Box::new(move |octets: &[u8]| {
            let moments = noting.lock().unwrap_or_else(PoisonError::into_inner).clone();
            numbers.lock().unwrap_or_else(PoisonError::into_inner).read(octets, |number| moments.note(number, &clock));
        })
    })?;
    let gateways = Gateways::start(&folder.sub("gateways")?, profile, &hq, &field)?;
    let to_field = gateways.to_field.try_clone().map_err(|error| BenchFault::local("a host", error))?;
    let mut way = Way { clock, to_field, heard };
    let mut rows = Vec::new();
    for kind in [Kind::State, Kind::Line] {
        way.pour(kind, RATE_STANZAS / 10)?;
        let rate = way.pour(kind, RATE_STANZAS)?;
        let took = way.drip(kind, rate / 2.0, seconds)?;
        rows.push(row(kind, rate, &took, commit));
    }
    let facts = vec![
        ("profile", profile.to_owned()),
        ("stanzas of a rate", format!("{RATE_STANZAS}, {UNDER_WAY} under way at once")),
        ("seconds of half load", seconds.to_string()),
        ("one group commit", format!("{commit:.2} ms, the median of {COMMIT_CALLERS} that wait at once")),
    ];
    Ok(Report { facts, tables: vec![table(rows)] })
}

/// Milliseconds of a group commit on this disk.
fn group_commit(place: &Path, clock: Clock) -> Result<f64, BenchFault> {
    let now = || Duration::from_micros(clock.now().mono.as_micros());
    let measured = store::measure(place, COMMIT_CALLERS, COMMITS, COMMIT_OCTETS, &now);
    measured.map(|measured| measured.median.as_secs_f64() * 1e3).map_err(BenchFault::Process)
}

impl Way {
    fn expect(&self, stanzas: usize) -> Moments {
        let moments = Moments::new(stanzas);
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = moments.clone();
        moments
    }

    fn say(&mut self, text: &str) -> Result<(), BenchFault> {
        self.to_field.write_all(text.as_bytes()).map_err(|error| BenchFault::local("a host", error))
    }

    /// Sends as fast as stanzas come out at the other end; stanzas a second.
    fn pour(&mut self, kind: Kind, stanzas: usize) -> Result<f64, BenchFault> {
        let moments = self.expect(stanzas);
        let began = self.clock.now().mono.as_micros();
        let (mut sent, mut text) = (0, String::new());
        let mut still = Still::new(self.clock);
        loop {
            let count = moments.count();
            if count == stanzas {
                let took = moments.last().saturating_sub(began).max(1);
                return Ok(stanzas as f64 * 1e6 / took as f64);
            }
            still.check(count, stanzas)?;
            text.clear();
            while sent < stanzas && sent < count + UNDER_WAY {
                text.push_str(&kind.stanza(sent));
                sent += 1;
            }
            if text.is_empty() {
                park_timeout(Duration::from_millis(1));
            } else {
                self.say(&text)?;
            }
        }
    }

    /// Sends at moments fixed beforehand; milliseconds that each stanza took from its moment.
    fn drip(&mut self, kind: Kind, rate: f64, seconds: u32) -> Result<Vec<f64>, BenchFault> {
        let due = timetable(SEED, (rate * f64::from(seconds)) as usize, rate);
        let moments = self.expect(due.len());
        let began = self.clock.now().mono.as_micros();
        for (number, (at, _)) in due.iter().enumerate() {
            while let Some(wait) = (began + at).checked_sub(self.clock.now().mono.as_micros()).filter(|&wait| wait > 0)
            {
                park_timeout(Duration::from_micros(wait));
            }
            self.say(&kind.stanza(number))?;
        }
        let mut still = Still::new(self.clock);
        while moments.count() < due.len() {
            still.check(moments.count(), due.len())?;
            park_timeout(Duration::from_millis(20));
        }
        let took =
            |(number, (at, _)): (usize, &(u64, _))| Some(moments.of(number)?.saturating_sub(began + at) as f64 / 1e3);
        Ok(due.iter().enumerate().filter_map(took).collect())
    }
}

/// Notices that nothing comes any more.
struct Still {
    clock: Clock,
    last: (usize, u64),
}

impl Still {
    fn new(clock: Clock) -> Self {
        Self { clock, last: (0, clock.now().mono.as_micros()) }
    }

    fn check(&mut self, count: usize, expected: usize) -> Result<(), BenchFault> {
        let now = self.clock.now().mono.as_micros();
        if count != self.last.0 {
            self.last = (count, now);
        } else if now - self.last.1 > STILL.as_micros() as u64 {
            return Err(BenchFault::Process(format!("only {count} of {expected} stanzas came out")));
        }
        Ok(())
    }
}

fn row(kind: Kind, rate: f64, took: &[f64], commit: f64) -> Vec<Cell> {
    let (middle, high) = (median(took), percentile(took, 99));
    let (more, words) = match kind {
        Kind::State => (0.0, ""),
        Kind::Line => (commit, " with a group commit"),
    };
    let (middle_max, high_max) = (MEDIAN_MAX + more, P99_MAX + more);
    let bar = format!("median at most {middle_max:.1}, p99 at most {high_max:.1}{words}");
    let bar = Cell::Bar(bar, middle <= middle_max && high <= high_max);
    vec![
        Cell::text(kind.name()),
        Cell::Real(rate, 0),
        Cell::Real(rate / 2.0, 0),
        Cell::Whole(took.len() as u64),
        Cell::Real(middle, 2),
        Cell::Real(high, 2),
        Cell::Real(percentile(took, 100), 1),
        bar,
    ]
}

fn table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "throughput",
        title: "Stanzas a second through two gateways on loopback, and the milliseconds they add at half that rate."
            .to_owned(),
        columns: vec![
            ("kind", "kind"),
            ("per_second", "stanzas/s"),
            ("half_load_per_second", "at half load"),
            ("stanzas", "stanzas"),
            ("median_milliseconds", "median ms"),
            ("p99_milliseconds", "p99 ms"),
            ("worst_milliseconds", "worst ms"),
            ("bar", "bar"),
        ],
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_chat_state_misses_the_bar() {
        let cells = row(Kind::State, 1_000.0, &[1.0, 1.5, 30.0], 9.0);
        assert_eq!(cells.len(), table(Vec::new()).columns.len());
        assert!(matches!(cells.last(), Some(Cell::Bar(_, false))), "{cells:?}");
        assert!(matches!(row(Kind::State, 1.0, &[1.0], 0.0).last(), Some(Cell::Bar(_, true))));
        for (commit, reached) in [(1.4, false), (1.6, true)] {
            let cells = row(Kind::Line, 1.0, &[3.5], commit);
            assert!(matches!(cells.last(), Some(Cell::Bar(_, is)) if *is == reached), "{cells:?}");
        }
    }

    #[test]
    fn stanzas_have_the_number_that_is_looked_for() {
        let (mut numbers, mut found) = (Numbers::new(NUMBER_BEFORE), Vec::new());
        numbers.read(Kind::Line.stanza(17).as_bytes(), |number| found.push(number));
        assert_eq!(found, [17]);
    }
}

//! `skywave bench memory`: resident memory and start of `skywave run` with nothing, 10,000 and 100,000 mails queued.
//!
//! The next hop does not listen, so everything stays queued. 10,000 mails come by SMTP; the rest are copies of one of
//! them, written to the spool as the site would have written them.

use std::path::{Path, PathBuf};
use std::thread::park_timeout;
use std::time::Duration;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_transports::io::Space;

use super::BenchFault;
use super::folder::Folder;
use super::load::Load;
use super::process::{Running, free_address};
use super::site::Site;
use super::table::{Cell, Report, Table, median};
use crate::node::accept::standing_entry;
use crate::queue::record::{HopState, MailRecord, Ticket};
use crate::shell::clock::Clock;
use crate::store::sqlite::SqliteStore;
use crate::store::{Batch, BodyId, Query, Store as _};

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Starts of each kind; the median counts.
    pub starts: usize,
    /// Octets of each text.
    pub octets: usize,
    /// Below which folder the queue lies.
    pub place: PathBuf,
}

const MAILS_LOADED: usize = 10_000;
const MAILS_MANY: usize = 100_000;
const SESSIONS: usize = 16;
/// Mails written to the spool in one transaction.
const COPIES_AT_ONCE: usize = 1_000;
/// After what time memory is looked at.
const REST: Duration = Duration::from_secs(2);
const MEBIBYTE: f64 = 1_048_576.0;
/// The bars.
const IDLE_MAX: f64 = 30.0;
const LOADED_MAX: f64 = 64.0;
const READY_MAX: f64 = 100.0;

/// A row of the table.
struct Seen {
    queued: usize,
    state: &'static str,
    resident: f64,
    ready: Option<f64>,
    bar: Cell,
}

/// Runs everything.
///
/// # Errors
/// When the site fails.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    let folder = Folder::new(&options.place)?;
    let site = Site::new(&folder.sub("skywave")?, free_address()?)?;
    let mut seen = Vec::new();
    let (resident, ready) = starts(&site, options.starts)?;
    let bar = Cell::Bar(format!("memory at most {IDLE_MAX} MB"), resident <= IDLE_MAX);
    seen.push(Seen { queued: 0, state: "idle after start", resident, ready: Some(ready), bar });
    let resident = loaded(&site, options.octets)?;
    let bar = Cell::Bar(format!("memory at most {LOADED_MAX} MB"), resident <= LOADED_MAX);
    seen.push(Seen { queued: MAILS_LOADED, state: "taken by SMTP", resident, ready: None, bar });
    let (resident, ready) = starts(&site, options.starts)?;
    let bar = Cell::Bar(format!("memory at most {LOADED_MAX} MB"), resident <= LOADED_MAX);
    seen.push(Seen { queued: MAILS_LOADED, state: "after start", resident, ready: Some(ready), bar });
    copy(&site.spool(), MAILS_MANY - MAILS_LOADED)?;
    let (resident, ready) = starts(&site, options.starts)?;
    let bar = Cell::Bar(format!("ready within {READY_MAX} ms"), ready <= READY_MAX);
    seen.push(Seen { queued: MAILS_MANY, state: "after start", resident, ready: Some(ready), bar });
    let facts = vec![("starts", options.starts.to_string()), ("octets of a text", options.octets.to_string())];
    Ok(Report { facts, tables: vec![table(seen)] })
}

/// Starts the site several times: the median of its memory in MB a while after, and of the milliseconds to ready.
fn starts(site: &Site, count: usize) -> Result<(f64, f64), BenchFault> {
    let (mut memory, mut times) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (process, ready) = site.start()?;
        park_timeout(REST);
        memory.push(resident(&process)?);
        times.push(ready.as_secs_f64() * 1e3);
        process.stop();
    }
    Ok((median(&memory), median(&times)))
}

fn resident(process: &Running) -> Result<f64, BenchFault> {
    let octets = process.resident().ok_or_else(|| BenchFault::Process("the site has ended".to_owned()))?;
    Ok(octets as f64 / MEBIBYTE)
}

fn loaded(site: &Site, octets: usize) -> Result<f64, BenchFault> {
    let (process, _) = site.start()?;
    let load = Load { mails: vec![(0, Precedence::Routine); MAILS_LOADED], octets, sessions: SESSIONS };
    load.send(site.address, Clock::start())?;
    park_timeout(REST);
    let resident = resident(&process)?;
    process.stop();
    Ok(resident)
}

/// Writes copies of the first mail in a spool.
fn copy(spool: &Path, copies: usize) -> Result<(), BenchFault> {
    let failed = |why: String| BenchFault::Local { what: "the spool".to_owned(), why };
    let mut store = SqliteStore::open(spool).map_err(|fault| failed(fault.to_string()))?;
    let last = Query::Range { space: Space::Mail, from: Vec::new(), to: Vec::new(), limit: 1, reverse: true };
    let rows = store.fetch(&last).map_err(|fault| failed(fault.to_string()))?;
    let row = rows.first().ok_or_else(|| failed("no mail is queued".to_owned()))?;
    let record = MailRecord::decode(&row.value).map_err(|error| failed(error.to_string()))?;
    let octets = usize::try_from(record.octets).unwrap_or_default();
    let body = store.load_body(record.body, 0, octets).map_err(|fault| failed(fault.to_string()))?;
    for first in (1..=copies).step_by(COPIES_AT_ONCE) {
        let batch = copied(&mut store, &record, &body, first..(first + COPIES_AT_ONCE).min(copies + 1));
        batch.and_then(|batch| store.commit(&[batch])).map_err(|fault| failed(fault.to_string()))?;
    }
    while store.tend() {}
    Ok(())
}

fn copied(
    store: &mut SqliteStore,
    record: &MailRecord,
    body: &Bytes,
    numbers: std::ops::Range<usize>,
) -> Result<Batch, crate::store::StoreFault> {
    let mut batch = Batch::default();
    for number in numbers {
        let mut copy = record.clone();
        copy.ticket = Ticket(record.ticket.0 + number as u64);
        copy.body = BodyId(copy.ticket.0);
        copy.accepted_at += number as u64;
        for hop in &mut copy.hops {
            hop.state = HopState::Waiting;
            hop.not_before = None;
        }
        store.append_body(copy.body, body)?;
        batch.keep.push(copy.body);
        batch.writes.push(copy.put());
        batch.writes.extend((0..copy.hops.len()).map(|hop| copy.hop_key(hop).write(true)));
        batch.writes.push(standing_entry(&copy).write(true));
    }
    Ok(batch)
}

fn table(seen: Vec<Seen>) -> Table {
    let row = |seen: Seen| {
        vec![
            Cell::Whole(seen.queued as u64),
            Cell::text(seen.state),
            Cell::Real(seen.resident, 1),
            seen.ready.map_or(Cell::Empty, |ready| Cell::Real(ready, 0)),
            seen.bar,
        ]
    };
    Table {
        name: "memory",
        title:
            "Resident memory (VmRSS) of the process two seconds later, and the time from its start to its word that \
                it is ready; medians."
                .to_owned(),
        columns: vec![
            ("queued", "queued"),
            ("state", "state"),
            ("resident_megabytes", "memory MB"),
            ("ready_milliseconds", "ready ms"),
            ("bar", "bar"),
        ],
        rows: seen.into_iter().map(row).collect(),
    }
}

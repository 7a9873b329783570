//! Measures a store: commits in a second and how long one waits, with some callers waiting at once.
//!
//! A caller does what a mail at the door does: appends a body, commits it with the mail's record and its hop, and
//! begins again when that is durable. The clock is an argument.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use skywave_protocols::bytes::Bytes;
use skywave_transports::io::{Space, Write};

use super::sqlite::SqliteStore;
use super::writer::{Answer, StoreAnswer, StoreHandle, StoreRequest, spawn};
use super::{Batch, BodyId, Query, Reader};

const MAIL_OCTETS: usize = 600;
const HOP_OCTETS: usize = 120;
/// Callers of the rows of the table.
pub const CALLERS: [usize; 3] = [1, 8, 64];
/// Rows that a site finds when it is ready.
const FIRST_ROWS: usize = 64;

/// A row of the table.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    /// Who waited at once.
    pub callers: usize,
    /// Mails made durable.
    pub mails: usize,
    /// How long all took.
    pub took: Duration,
    /// How long the median mail took, from its first octet to `Stored`.
    pub median: Duration,
    /// The longest.
    pub worst: Duration,
}

impl Display for Measured {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let millis = |span: Duration| span.as_secs_f64() * 1e3;
        let rate = self.mails as f64 / self.took.as_secs_f64().max(1e-9);
        let (median, worst) = (millis(self.median), millis(self.worst));
        write!(f, "| {} | {} | {rate:.0} | {median:.2} | {worst:.2} |", self.callers, self.mails)
    }
}

/// The table as Markdown: for each of [`CALLERS`] a store of its own below `folder`, then how long it takes to open the
/// last one again with everything queued.
///
/// # Errors
/// In words, when a store fails.
pub fn table(folder: &Path, mails: usize, body_octets: usize, clock: &dyn Fn() -> Duration) -> Result<String, String> {
    let mut lines = vec![
        format!("Bodies of {body_octets} octets, each mail waits until it is durable."),
        String::new(),
        "| callers | mails | mails/s | median ms | worst ms |".to_owned(),
        "| ---: | ---: | ---: | ---: | ---: |".to_owned(),
    ];
    let mut last = folder.to_path_buf();
    for callers in CALLERS {
        last = folder.join(format!("spool-{callers}"));
        lines.push(measure(&last, callers, mails, body_octets, clock)?.to_string());
    }
    let opened = reopening(&last, clock)?;
    lines.extend([
        String::new(),
        format!(
            "Opened again with {mails} queued, first {FIRST_ROWS} hops read: {:.1} ms.",
            opened.as_secs_f64() * 1e3
        ),
    ]);
    Ok(lines.join("\n"))
}

/// One row.
///
/// # Errors
/// In words, when the store fails.
pub fn measure(
    folder: &Path,
    callers: usize,
    mails: usize,
    body_octets: usize,
    clock: &dyn Fn() -> Duration,
) -> Result<Measured, String> {
    let store = SqliteStore::open(folder).map_err(|fault| fault.to_string())?;
    let reader: Box<dyn Reader> = Box::new(store.reader().map_err(|fault| fault.to_string())?);
    let (sender, answers) = channel();
    let answer: Answer = Arc::new(move |answer| drop(sender.send(answer)));
    let (handle, threads) = spawn(Box::new(store), Some(reader), answer).map_err(|error| error.to_string())?;
    let body = Bytes::from(vec![b'x'; body_octets]);
    let (mut begun, mut waits) = (Vec::with_capacity(mails), Vec::with_capacity(mails));
    let start = clock();
    for _ in 0..callers.min(mails) {
        begin(&handle, begun.len() as u64, &body);
        begun.push(clock());
    }
    while waits.len() < mails {
        match answers.recv().map_err(|_| "the store has ended")? {
            StoreAnswer::Stored(number) => {
                let at = usize::try_from(number).unwrap_or_default();
                waits.push(clock().saturating_sub(begun.get(at).copied().unwrap_or_default()));
                if begun.len() < mails {
                    begin(&handle, begun.len() as u64, &body);
                    begun.push(clock());
                }
            }
            StoreAnswer::StoreFailed(_, fault) | StoreAnswer::BodyFailed(_, fault) => return Err(fault.to_string()),
            StoreAnswer::Appended(..)
            | StoreAnswer::Fetched(..)
            | StoreAnswer::Loaded(..)
            | StoreAnswer::Damaged(_)
            | StoreAnswer::Stopped => {}
        }
    }
    let took = clock().saturating_sub(start);
    handle.send(StoreRequest::Stop);
    threads.join();
    waits.sort();
    let at = |part: usize| waits.get(part.min(waits.len().saturating_sub(1))).copied().unwrap_or_default();
    Ok(Measured { callers, mails, took, median: at(waits.len() / 2), worst: at(waits.len()) })
}

fn begin(handle: &StoreHandle, number: u64, body: &Bytes) {
    let key = number.to_be_bytes().to_vec();
    let row = |space, octets| Write { space, key: key.clone(), value: Some(Bytes::from(vec![b'm'; octets])) };
    let writes = vec![row(Space::Mail, MAIL_OCTETS), row(Space::Hop, HOP_OCTETS)];
    handle.send(StoreRequest::Append(BodyId(number), body.clone()));
    handle.send(StoreRequest::Commit(number, Batch { keep: vec![BodyId(number)], writes, ..Batch::default() }));
}

fn reopening(folder: &Path, clock: &dyn Fn() -> Duration) -> Result<Duration, String> {
    let start = clock();
    let store = SqliteStore::open(folder).map_err(|fault| fault.to_string())?;
    let mut reader = store.reader().map_err(|fault| fault.to_string())?;
    let (from, to) = (Vec::new(), Vec::new());
    let query = Query::Range { space: Space::Hop, from, to, limit: FIRST_ROWS, reverse: false };
    reader.fetch(&query).map_err(|fault| fault.to_string())?;
    Ok(clock().saturating_sub(start))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_number_of_callers() {
        let folder = tempfile::tempdir().unwrap();
        let time = Cell::new(0);
        let clock = || Duration::from_millis(time.replace(time.get() + 1));
        let table = table(folder.path(), 70, 500, &clock).unwrap();
        assert_eq!(table.lines().filter(|line| line.contains("| 70 |")).count(), CALLERS.len(), "{table}");
        assert!(table.contains("Opened again with 70 queued"), "{table}");
    }
}

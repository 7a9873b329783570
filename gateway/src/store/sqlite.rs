//! A site's store on a disk: one SQLite database in WAL mode with `synchronous=FULL`, and large bodies beside it.
//!
//! The spool: `skywave.db`; `tmp/ID` a large body being received; `body/xx/ID` one that is kept; `corrupt/` files set
//! aside (rows go to the table `corrupt`); `lock`, held while the store is open. All of it readable by the owner alone.
//!
//! Promises: what [`Store::commit`] accepted survives a crash at any point; a row never points to a missing file: a
//! large body is written to `tmp/`, synced, renamed, its folder synced, and only then its row is written. Every row and
//! every 64 KiB of a large body has a CRC-32, checked at each reading; what fails is set aside. Opening reads nothing
//! but a few pages and `tmp/`; files without a row are swept while the store is idle ([`Store::tend`]).
//! After an I/O error the store first proves by a write of its own that the disk takes writes again.
//! Refuses: a second instance on the same spool, and a spool of a later layout. Limits: [`super::limits`].

mod aside;
mod bodies;
mod open;
mod read;
mod repair;
mod spool;
mod sql;
mod sweep;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use skywave_protocols::bytes::Bytes;
use skywave_transports::io::{Row, Write};

use bodies::{Bodies, Incoming, Kept};
use read::LoadFault;

use super::disk::Disk;
use super::limits::{LOG_PAGES_LOOK, LOG_PAGES_MAX, LOG_PAGES_WANTED};
use super::record;
use super::{Batch, BodyId, Query, Reader, Store, StoreFault};
pub use open::OpenFault;
pub use spool::Spool;

const TEMPORARY: &str = "tmp";
const BODY: &str = "body";
const CORRUPT: &str = "corrupt";
/// Pages that a transaction changes besides those of its rows.
const COMMIT_PAGES: u64 = 8;
const PAGE_OCTETS: u64 = 4096;

/// The store of one site.
pub struct SqliteStore {
    connection: Connection,
    spool: Spool,
    bodies: Bodies,
    damaged: Vec<String>,
    /// An I/O error was met: nothing is accepted until a probe succeeds.
    doubted: bool,
    /// About how many pages went to the write-ahead log since it was last looked at.
    log_grown: u64,
    sweep: sweep::Sweep,
    // Closing the file gives the lock free.
    lock: Option<File>,
}

impl SqliteStore {
    /// Takes `batches` into one transaction.
    fn transact(&mut self, batches: &[Batch]) -> rusqlite::Result<Vec<BodyId>> {
        let mut files = Vec::new();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for batch in batches {
            for body in &batch.keep {
                if let Some(incoming) = self.bodies.of(*body) {
                    keep(&transaction, *body, incoming)?;
                }
            }
            batch.writes.iter().try_for_each(|change| write(&transaction, change))?;
            for body in &batch.drop {
                // Most are rows; to ask of each whether it was one costs more than to try.
                let id = params![body.0.cast_signed()];
                if transaction.prepare_cached(sql::BODY_DROP_ROW)?.execute(id)? == 0 {
                    files.extend(
                        transaction
                            .prepare_cached(sql::BODY_DROP)?
                            .execute(id)
                            .map(|gone| (gone > 0).then_some(*body))?,
                    );
                }
            }
        }
        transaction.commit()?;
        Ok(files)
    }

    /// Every body that is to be kept must be at hand or kept already.
    fn all_known(&self, batches: &[Batch]) -> Result<(), StoreFault> {
        for body in batches.iter().flat_map(|batch| &batch.keep).filter(|body| self.bodies.of(**body).is_none()) {
            let mut statement = self.connection.prepare_cached(sql::BODY_KNOWN).map_err(|error| fault(&error))?;
            if !statement.exists(params![body.0.cast_signed()]).map_err(|error| fault(&error))? {
                return Err(StoreFault::NoBody(body.0));
            }
        }
        Ok(())
    }

    /// Writes something of its own before anything is accepted after an error.
    ///
    /// The connection is kept: it knows which frames of the log were committed and writes over the others. Opening anew
    /// would take frames for committed that a failed sync left in the system's cache.
    fn verified(&mut self) -> Result<(), StoreFault> {
        if self.doubted {
            self.connection.execute(sql::PROBE, []).map_err(|error| fault(&error))?;
            self.doubted = false;
        }
        Ok(())
    }

    fn noted(&mut self, error: &rusqlite::Error) -> StoreFault {
        if is_damage(error) {
            self.repair_at_next_start();
        }
        fault(error)
    }

    /// Looks after the log when it may have grown by `grown_min` pages since it was last looked at.
    fn checkpoint_grown(&mut self, grown_min: u64, pages_min: u64) {
        if self.log_grown >= grown_min {
            self.log_grown = 0;
            self.checkpoint(pages_min);
        }
    }

    /// Copies the write-ahead log back when it holds at least `pages_min` pages; what failed is tried again later.
    fn checkpoint(&self, pages_min: u64) {
        let pages = |mode: &str| -> rusqlite::Result<u64> {
            self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                let (log, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
                Ok(u64::try_from(log - copied).unwrap_or_default())
            })
        };
        if pages("NOOP").is_ok_and(|waiting| waiting >= pages_min) {
            let _ = pages("PASSIVE");
        }
    }

    /// A reader of the same spool for another thread.
    ///
    /// # Errors
    /// `Failed` when the database cannot be opened once more.
    pub fn reader(&self) -> Result<SqliteReader, StoreFault> {
        let connection = self.spool.connect().map_err(|error| fault(&error))?;
        connection.pragma_update(None, "query_only", true).map_err(|error| fault(&error))?;
        Ok(SqliteReader { connection, disk: Arc::clone(&self.spool.disk) })
    }
}

/// About how many pages a batch changes; rather too many, as several rows share a page.
fn pages(batch: &Batch) -> u64 {
    let octets = batch.writes.iter().map(|write| write.value.as_ref().map_or(0, Bytes::len) as u64).sum::<u64>();
    octets / PAGE_OCTETS + (batch.writes.len() + batch.keep.len() + batch.drop.len()) as u64
}

fn keep(transaction: &Transaction<'_>, body: BodyId, incoming: &Incoming) -> rusqlite::Result<()> {
    let id = body.0.cast_signed();
    let mut statement = transaction.prepare_cached(sql::BODY_PUT)?;
    match incoming.kept() {
        Kept::Row(octets) => {
            let sum = read::small_sum(body, octets);
            statement.execute(params![id, incoming.length().cast_signed(), sum, octets, None::<Vec<u8>>])?
        }
        Kept::File { length, sums } => {
            let sum = read::large_sum(body, length, &sums);
            statement.execute(params![id, length.cast_signed(), sum, None::<Vec<u8>>, sums])?
        }
    };
    Ok(())
}

fn write(transaction: &Transaction<'_>, change: &Write) -> rusqlite::Result<()> {
    let statements = sql::of(change.space);
    match &change.value {
        Some(value) => {
            let sum = record::sum(&change.key, value);
            transaction.prepare_cached(statements.put)?.execute(params![change.key, &value[..], sum])?
        }
        None => transaction.prepare_cached(statements.delete)?.execute(params![change.key])?,
    };
    Ok(())
}

impl Store for SqliteStore {
    fn append_body(&mut self, body: BodyId, octets: &[u8]) -> Result<(), StoreFault> {
        self.bodies.append(body, octets).map_err(|error| io_fault(&error))
    }

    fn abandon_body(&mut self, body: BodyId) {
        self.bodies.abandon(body);
    }

    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        self.verified()?;
        self.all_known(batches)?;
        let kept: Vec<BodyId> = batches.iter().flat_map(|batch| batch.keep.iter().copied()).collect();
        self.bodies.settle(&kept).map_err(|error| io_fault(&error))?;
        let files = self.transact(batches).map_err(|error| {
            let fault = self.noted(&error);
            self.doubted |= matches!(fault, StoreFault::Failed(_));
            fault
        })?;
        kept.into_iter().for_each(|body| self.bodies.done(body));
        batches.iter().flat_map(|batch| &batch.drop).for_each(|body| self.bodies.abandon(*body));
        for body in files {
            // A file that cannot be removed now has no row any more and is swept at the next start.
            let _ = self.spool.disk.remove(&body_path(body));
        }
        self.log_grown += batches.iter().map(pages).sum::<u64>() + COMMIT_PAGES;
        self.checkpoint_grown(LOG_PAGES_MAX, 2 * LOG_PAGES_MAX);
        Ok(())
    }

    fn fetch(&mut self, query: &Query) -> Result<Vec<Row>, StoreFault> {
        let found = read::fetch(&self.connection, query).map_err(|error| self.noted(&error))?;
        self.set_aside(found.damage);
        Ok(found.rows)
    }

    fn load_body(&mut self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, StoreFault> {
        match read::load(&self.connection, &*self.spool.disk, body, offset, octets) {
            Ok(bytes) => Ok(bytes),
            Err(LoadFault::Store(fault)) => Err(fault),
            Err(LoadFault::Damaged(damage)) => {
                let name = self.set_aside(vec![damage]).pop();
                Err(StoreFault::Damaged(name.unwrap_or_else(|| body_name(body))))
            }
        }
    }

    fn damaged(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damaged)
    }

    fn after_commit(&mut self) {
        self.checkpoint_grown(LOG_PAGES_LOOK, LOG_PAGES_MAX);
    }

    fn tend(&mut self) -> bool {
        self.checkpoint(LOG_PAGES_WANTED);
        self.sweep_step()
    }
}

/// Reads a spool beside its store.
pub struct SqliteReader {
    connection: Connection,
    disk: Arc<dyn Disk>,
}

impl Reader for SqliteReader {
    fn fetch(&mut self, query: &Query) -> Result<Vec<Row>, StoreFault> {
        let found = read::fetch(&self.connection, query).map_err(|error| match is_damage(&error) {
            // The store meets the same and sees to the repair.
            true => StoreFault::Damaged(error.to_string()),
            false => fault(&error),
        })?;
        match found.damage.first() {
            None => Ok(found.rows),
            Some(damage) => Err(StoreFault::Damaged(format!("{damage:?}"))),
        }
    }

    fn load_body(&mut self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, StoreFault> {
        read::load(&self.connection, &*self.disk, body, offset, octets).map_err(|error| match error {
            LoadFault::Store(fault) => fault,
            LoadFault::Damaged(damage) => StoreFault::Damaged(format!("{damage:?}")),
        })
    }
}

fn body_name(body: BodyId) -> String {
    format!("{:016x}", body.0)
}

/// The last octet of a number changes most, so folders fill evenly.
fn body_folder(body: BodyId) -> String {
    format!("{BODY}/{:02x}", body.0 & 0xff)
}

fn body_path(body: BodyId) -> String {
    format!("{}/{}", body_folder(body), body_name(body))
}

fn temporary_path(body: BodyId) -> String {
    format!("{TEMPORARY}/{}", body_name(body))
}

/// Whether a page of the database made no sense.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn fault(error: &rusqlite::Error) -> StoreFault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreFault::Full(error.to_string()),
        Some(_) | None => StoreFault::Failed(error.to_string()),
    }
}

fn io_fault(error: &std::io::Error) -> StoreFault {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::WriteZero => {
            StoreFault::Full(error.to_string())
        }
        _ => StoreFault::Failed(error.to_string()),
    }
}

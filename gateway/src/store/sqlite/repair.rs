//! Repairs a database whose pages are damaged: rows that can be read move to a new one, the old one is kept.
//!
//! Run at the start, when the database cannot be opened or the marker `repair` says that a page was met that made no
//! sense. Promises: the damaged database stays in `corrupt/`; rows are taken from both ends up to the damage; a crash in
//! the middle only makes the next start repair again or finish; files without a row are then set aside, not removed.

use std::io;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use skywave_transports::io::Space;

use super::spool::{DATABASE, Spool, prepare};
use super::{CORRUPT, SqliteStore};
use crate::store::disk::Disk;

/// Says that a repair is due.
pub(super) const DUE: &str = "repair";
/// Says that the new database is complete.
const READY: &str = "repair-ready";
/// Says that files without a row are to be kept for the operator.
pub(super) const KEEP_ORPHANS: &str = "repaired";
const NEW: &str = "skywave.db.new";

/// Whether the marker is set.
pub(super) fn is_marked(disk: &dyn Disk, marker: &str) -> bool {
    disk.kind(marker).is_ok_and(|kind| kind.is_some())
}

fn mark(disk: &dyn Disk, marker: &str) -> io::Result<()> {
    disk.append(marker, b"")?;
    disk.sync_folder("")
}

impl SqliteStore {
    /// Has the database repaired at the next start; told once.
    pub(super) fn repair_at_next_start(&mut self) {
        let disk = &*self.spool.disk;
        if !is_marked(disk, DUE) && mark(disk, DUE).is_ok() {
            self.damaged.push(format!("{DATABASE} (a page; repaired at the next start)"));
        }
    }
}

/// Finishes a repair that a crash interrupted after its new database was complete.
pub(super) fn finish(root: &Path, disk: &dyn Disk) -> io::Result<()> {
    if !is_marked(disk, READY) {
        return Ok(());
    }
    disk.remove(&format!("{DATABASE}-wal"))?;
    disk.remove(&format!("{DATABASE}-shm"))?;
    if root.join(NEW).exists() {
        disk.rename(NEW, DATABASE)?;
    }
    disk.remove(DUE)?;
    disk.sync_folder("")?;
    disk.remove(READY)?;
    disk.sync_folder("")
}

/// Repairs the database; returns where the damaged one is kept.
pub(super) fn repair(root: &Path, spool: &Spool) -> io::Result<String> {
    let disk = &*spool.disk;
    let free = (1..u32::MAX).map(|number| format!("{CORRUPT}/skywave-{number}.db"));
    let kept = free.into_iter().find(|name| !is_marked(disk, name)).ok_or(io::ErrorKind::AlreadyExists)?;
    std::fs::copy(root.join(DATABASE), root.join(&kept))?;
    let log = format!("{DATABASE}-wal");
    if is_marked(disk, &log) {
        std::fs::copy(root.join(log), root.join(format!("{kept}-wal")))?;
    }
    disk.remove(NEW)?;
    disk.append(NEW, b"")?;
    let new = Spool { database: root.join(NEW), ..spool.clone() };
    move_rows(&root.join(&kept), &new).map_err(io::Error::other)?;
    disk.sync(NEW)?;
    mark(disk, KEEP_ORPHANS)?;
    mark(disk, READY)?;
    finish(root, disk)?;
    Ok(kept)
}

fn move_rows(kept: &Path, new: &Spool) -> rusqlite::Result<()> {
    let mut target = new.connect()?;
    prepare(&target)?;
    if let Ok(source) = Connection::open(kept) {
        let transaction = target.transaction()?;
        let spaces = Space::ALL.map(|space| (space.name(), "key", 3));
        for (table, key, columns) in spaces.into_iter().chain([("body", "id", 5), ("corrupt", "number", 6)]) {
            // From either end up to the damage.
            for order in ["ASC", "DESC"] {
                take_rows(&source, &transaction, table, &format!("{key} {order}"), columns)?;
            }
        }
        transaction.commit()?;
    }
    // The new database must be one file when it takes its place.
    target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)
}

fn take_rows(
    source: &Connection,
    target: &Connection,
    table: &str,
    order: &str,
    columns: usize,
) -> rusqlite::Result<()> {
    let places = vec!["?"; columns].join(", ");
    let mut insert = target.prepare(&format!("INSERT OR IGNORE INTO {table} VALUES ({places})"))?;
    let Ok(mut select) = source.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")) else { return Ok(()) };
    let Ok(mut rows) = select.query([]) else { return Ok(()) };
    while let Ok(Some(row)) = rows.next() {
        let values: rusqlite::Result<Vec<Value>> = (0..columns).map(|column| row.get(column)).collect();
        if let Ok(values) = values {
            // A row that does not fit its table is part of the damage.
            let _ = insert.execute(params_from_iter(values));
        }
    }
    Ok(())
}

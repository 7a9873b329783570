//! Where a store lies, and a connection to its database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use skywave_transports::io::Space;

use super::sql;
use crate::store::disk::Disk;
use crate::store::limits::{CACHE_KIB, LOG_OCTETS_KEPT};

/// The database's file.
pub(super) const DATABASE: &str = "skywave.db";
const BUSY_MILLISECONDS: u32 = 5000;
const STATEMENTS_CACHED: usize = 144;

/// Where a store lies: the database's file and file system, and the disk of everything beside it.
#[derive(Clone)]
pub struct Spool {
    /// The database.
    pub database: PathBuf,
    /// SQLite's name of the file system of the database; `None` for the machine's own.
    pub file_system: Option<String>,
    /// Whether no second connection is wanted; then no shared memory is used.
    pub alone: bool,
    /// The disk of `tmp/`, `body/` and `corrupt/`.
    pub disk: Arc<dyn Disk>,
}

impl Spool {
    /// One more connection to the database.
    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &self.file_system {
            None => Connection::open_with_flags(&self.database, flags)?,
            Some(name) => Connection::open_with_flags_and_vfs(&self.database, flags, name.as_str())?,
        };
        if self.alone {
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            // A file system without shared memory or locks: anything else would not keep the promises.
            return Err(rusqlite::Error::InvalidParameterName(format!("no write-ahead log here, only {mode}")));
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "journal_size_limit", LOG_OCTETS_KEPT.cast_signed())?;
        connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "busy_timeout", BUSY_MILLISECONDS)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        Ok(connection)
    }

    /// Its folder, for people.
    pub(super) fn shown(&self) -> String {
        self.database.parent().unwrap_or_else(|| Path::new("")).display().to_string()
    }
}

/// Makes what is missing; returns the layout found, 0 for a new database.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<u32> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found == 0 {
        let tables: Vec<&str> = Space::ALL.iter().map(|space| sql::of(*space).table).collect();
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {}; {} PRAGMA user_version = {}; COMMIT;",
            tables.join("; "),
            sql::TABLES,
            sql::LAYOUT
        ))?;
    }
    Ok(found)
}

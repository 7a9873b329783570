//! Opens a spool: its lock, its folders, its database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use skywave_protocols::fault::{Blame, Fault, Next};
use skywave_transports::io::Space;

use super::bodies::Bodies;
use super::{BODY, CORRUPT, SqliteStore, TEMPORARY, is_damage, repair, sql, sweep};
use crate::store::disk::{Disk, Folder, Kind};
use crate::store::limits::{CACHE_KIB, LOG_OCTETS_KEPT};

pub(super) const DATABASE: &str = "skywave.db";
const LOCK: &str = "lock";
const FILE_MODE: u32 = 0o600;
const BUSY_MILLISECONDS: u32 = 5000;
const STATEMENTS_CACHED: usize = 144;

/// Why a spool was not opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenFault {
    /// Another instance holds it.
    #[error("the spool {spool} is in use by another instance (process {process}); two cannot share one")]
    InUse {
        /// Which.
        spool: String,
        /// Its process number, as it wrote it down.
        process: String,
    },
    /// It was written by a later version.
    #[error("the spool {spool} has layout {found}, this version knows {}", sql::LAYOUT)]
    Later {
        /// Which.
        spool: String,
        /// Its layout.
        found: u32,
    },
    /// The disk or the database refused.
    #[error("the spool {spool} cannot be opened: {why}")]
    Failed {
        /// Which.
        spool: String,
        /// Why.
        why: String,
    },
}

impl Fault for OpenFault {
    fn blame(&self) -> Blame {
        match self {
            Self::InUse { .. } | Self::Later { .. } => Blame::Operator,
            Self::Failed { .. } => Blame::Local,
        }
    }

    fn next(&self) -> Next {
        Next::GiveUp
    }
}

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

    fn shown(&self) -> String {
        self.database.parent().unwrap_or_else(|| Path::new("")).display().to_string()
    }
}

impl SqliteStore {
    /// Opens the spool in the folder `root`, which is made when absent.
    ///
    /// # Errors
    /// [`OpenFault`]; no fault leaves the spool changed.
    pub fn open(root: &Path) -> Result<Self, OpenFault> {
        let failed = |why: io::Error| OpenFault::Failed { spool: root.display().to_string(), why: why.to_string() };
        let disk = Folder::new(root).map_err(failed)?;
        let lock = locked(root)?;
        let mut damaged = Vec::new();
        let database = root.join(DATABASE);
        if disk.kind(DATABASE).map_err(failed)?.is_none_or(|kind| kind != Kind::File) {
            damaged.extend(out_of_the_way(&disk, DATABASE).map_err(failed)?);
            // Made here, so that it and the files SQLite puts beside it belong to the owner alone.
            OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&database).map_err(failed)?;
            disk.sync_folder("").map_err(failed)?;
        }
        let spool = Spool { database, file_system: None, alone: false, disk: Arc::new(disk) };
        repair::finish(root, &*spool.disk).map_err(failed)?;
        let is_due = repair::is_marked(&*spool.disk, repair::DUE);
        let opened = if is_due { Err(Refusal::Damage(String::new())) } else { Self::try_open(spool.clone()) };
        let mut store = match opened {
            Ok(store) => store,
            Err(Refusal::Fault(fault)) => return Err(fault),
            Err(Refusal::Damage(_)) => {
                spool.disk.make_folder(CORRUPT).map_err(failed)?;
                damaged.push(format!("{DATABASE} (now {})", repair::repair(root, &spool).map_err(failed)?));
                Self::open_spool(spool)?
            }
        };
        store.damaged.extend(damaged);
        store.lock = Some(lock);
        Ok(store)
    }

    /// Opens a spool wherever it is, without a lock; for tests over a disk of their own.
    ///
    /// # Errors
    /// [`OpenFault`].
    pub fn open_spool(spool: Spool) -> Result<Self, OpenFault> {
        Self::try_open(spool.clone()).map_err(|refusal| refusal.told(&spool))
    }

    fn try_open(spool: Spool) -> Result<Self, Refusal> {
        let failed = |why: &dyn std::fmt::Display| {
            Refusal::Fault(OpenFault::Failed { spool: spool.shown(), why: why.to_string() })
        };
        let mut damaged = Vec::new();
        for folder in [CORRUPT, TEMPORARY, BODY] {
            if spool.disk.kind(folder).map_err(|error| failed(&error))? != Some(Kind::Folder) {
                damaged.extend(out_of_the_way(&*spool.disk, folder).map_err(|error| failed(&error))?);
                spool.disk.make_folder(folder).map_err(|error| failed(&error))?;
                spool.disk.sync_folder("").map_err(|error| failed(&error))?;
            }
        }
        let refused = |error: rusqlite::Error| match is_damage(&error) {
            true => Refusal::Damage(error.to_string()),
            false => failed(&error),
        };
        let connection = spool.connect().map_err(refused)?;
        let found = prepare(&connection).map_err(refused)?;
        if found > sql::LAYOUT {
            return Err(Refusal::Fault(OpenFault::Later { spool: spool.shown(), found }));
        }
        if found == 0 {
            // The journal of the first transaction must not come back after a crash and undo what followed.
            spool.disk.sync_folder("").map_err(|error| failed(&error))?;
        }
        let mut store = Self {
            connection,
            bodies: Bodies::new(Arc::clone(&spool.disk)),
            damaged,
            doubted: false,
            sweep: sweep::Sweep::default(),
            lock: None,
            spool,
        };
        store.sweep_temporary();
        Ok(store)
    }
}

/// Why a database was not opened.
enum Refusal {
    /// It can be repaired.
    Damage(String),
    /// It cannot.
    Fault(OpenFault),
}

impl Refusal {
    fn told(self, spool: &Spool) -> OpenFault {
        match self {
            Self::Damage(why) => OpenFault::Failed { spool: spool.shown(), why },
            Self::Fault(fault) => fault,
        }
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

/// Renames what stands where the spool needs something else; returns its new name.
fn out_of_the_way(disk: &dyn Disk, name: &str) -> io::Result<Option<String>> {
    if disk.kind(name)?.is_none() {
        return Ok(None);
    }
    for number in 1..u32::MAX {
        let aside = format!("{name}.corrupt-{number}");
        if disk.kind(&aside)?.is_none() {
            disk.rename(name, &aside)?;
            return Ok(Some(aside));
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn locked(root: &Path) -> Result<File, OpenFault> {
    let spool = root.display().to_string();
    let failed = |why: io::Error| OpenFault::Failed { spool: spool.clone(), why: format!("{LOCK}: {why}") };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let mut file = options.open(root.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let _ = file.take(20).read_to_string(&mut process);
            return Err(OpenFault::InUse { spool, process: process.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // The number only helps to read the message above: a full disk must not keep the site from starting.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

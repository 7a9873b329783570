//! Opens a spool: its lock, its folders, its database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use skywave_protocols::fault::{Blame, Fault, Next};

use super::bodies::Bodies;
use super::spool::{DATABASE, Spool, prepare};
use super::{BODY, CORRUPT, SqliteStore, TEMPORARY, is_damage, repair, sql, sweep};
use crate::store::disk::{Disk, Folder, Kind};

const LOCK: &str = "lock";
const FILE_MODE: u32 = 0o600;

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
            log_grown: 0,
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

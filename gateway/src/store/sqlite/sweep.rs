//! Finds what a crash left: files without a row. `tmp/` at the start, `body/` while nobody waits, a folder at a time.
//!
//! Promises: a file with a row or with a body at hand is never touched; what is no plain file with a body's name (links,
//! folders, strangers), and after a repair what has no row, is moved to `corrupt/`, not removed. Opening is not held up: large queues have many files.

use rusqlite::params;

use super::{BODY, SqliteStore, TEMPORARY, body_folder, repair, sql};
use crate::store::BodyId;
use crate::store::disk::Kind;

/// How far the sweep has come.
#[derive(Clone, Default, Debug)]
pub(super) struct Sweep {
    /// Folders still to be looked at; `None` before the first look.
    folders: Option<Vec<String>>,
}

impl SqliteStore {
    /// Empties `tmp/`: nothing there was ever committed.
    pub(super) fn sweep_temporary(&mut self) {
        for (name, kind) in self.spool.disk.list(TEMPORARY).unwrap_or_default() {
            let path = format!("{TEMPORARY}/{name}");
            if kind == Kind::File && body_of(&name).is_some() {
                let _ = self.spool.disk.remove(&path);
            } else {
                self.stranger(&path, &name);
            }
        }
    }

    /// Looks at one folder of bodies; true when there are more.
    pub(super) fn sweep_step(&mut self) -> bool {
        let disk = std::sync::Arc::clone(&self.spool.disk);
        let Some(folders) = &mut self.sweep.folders else {
            let found = disk.list(BODY).unwrap_or_default();
            let (folders, strangers): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|(name, kind)| *kind == Kind::Folder && is_body_folder(name));
            self.sweep.folders = Some(folders.into_iter().map(|(name, _)| format!("{BODY}/{name}")).collect());
            strangers.iter().for_each(|(name, _)| self.stranger(&format!("{BODY}/{name}"), name));
            return true;
        };
        let keeps = repair::is_marked(&*disk, repair::KEEP_ORPHANS);
        let Some(folder) = folders.pop() else {
            if keeps {
                let _ = disk.remove(repair::KEEP_ORPHANS);
            }
            return false;
        };
        for (name, kind) in disk.list(&folder).unwrap_or_default() {
            let path = format!("{folder}/{name}");
            match body_of(&name).filter(|body| kind == Kind::File && body_folder(*body) == folder) {
                Some(body) if self.is_orphan(body) && keeps => self.stranger(&path, &name),
                Some(body) if self.is_orphan(body) => drop(disk.remove(&path)),
                Some(_) => {}
                None => self.stranger(&path, &name),
            }
        }
        true
    }

    fn is_orphan(&self, body: BodyId) -> bool {
        let known = || self.connection.prepare_cached(sql::BODY_KNOWN)?.exists(params![body.0.cast_signed()]);
        // An error is no proof.
        self.bodies.of(body).is_none() && matches!(known(), Ok(false))
    }

    fn stranger(&mut self, path: &str, name: &str) {
        if let Some(target) = self.file_aside(path, name) {
            self.damaged.push(format!("{path} (now {target})"));
        }
    }
}

fn is_body_folder(name: &str) -> bool {
    name.len() == 2 && u8::from_str_radix(name, 16).is_ok()
}

fn body_of(name: &str) -> Option<BodyId> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten().map(BodyId)
}

//! Sets damaged records aside: rows into the table `corrupt`, files into the folder `corrupt/`.
//!
//! Promises: what is set aside is no longer served and is told once by name; a failure to set it aside changes nothing
//! and is tried again when the record is met again.

use rusqlite::{TransactionBehavior, params};
use skywave_transports::io::Space;

use super::read::{Damage, whole};
use super::{CORRUPT, SqliteStore, body_name, body_path, sql};
use crate::store::BodyId;
use crate::store::limits::CORRUPT_ROWS_MAX;

impl SqliteStore {
    /// Sets what is damaged aside; returns the names.
    pub(super) fn set_aside(&mut self, damage: Vec<Damage>) -> Vec<String> {
        let mut names = Vec::new();
        for damage in damage {
            let name = match damage {
                Damage::Row(space, key) => self.row_aside(space, &key),
                Damage::Body(body, why) => self.body_aside(body, &why),
            };
            names.extend(name.ok().flatten());
        }
        self.damaged.extend(names.iter().cloned());
        names
    }

    fn row_aside(&mut self, space: Space, key: &[u8]) -> rusqlite::Result<Option<String>> {
        let statements = sql::of(space);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let is_whole = transaction.query_row(statements.one, params![key], |row| Ok(whole(row).is_some()));
        if is_whole != Ok(false) {
            // Written anew or deleted since it was read.
            return Ok(None);
        }
        let number: i64 = transaction.query_row(sql::CORRUPT_NEXT, [], |row| row.get(0))?;
        let name = format!("{}/{} (corrupt row {number})", space.name(), shown(key));
        transaction.execute(statements.set_aside, params![key, name])?;
        transaction.execute(statements.delete, params![key])?;
        transaction.execute(sql::CORRUPT_TRIM, params![CORRUPT_ROWS_MAX])?;
        transaction.commit()?;
        Ok(Some(name))
    }

    fn body_aside(&mut self, body: BodyId, why: &str) -> rusqlite::Result<Option<String>> {
        let id = body.0.cast_signed();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number: i64 = transaction.query_row(sql::CORRUPT_NEXT, [], |row| row.get(0))?;
        let name = format!("body/{} ({why}; corrupt row {number})", body_name(body));
        if transaction.execute(sql::BODY_SET_ASIDE, params![id, name])? == 0 {
            return Ok(None);
        }
        transaction.execute(sql::BODY_DROP, params![id])?;
        transaction.execute(sql::CORRUPT_TRIM, params![CORRUPT_ROWS_MAX])?;
        transaction.commit()?;
        // Without its row the file is an orphan: if the renaming fails the sweep decides about it.
        self.file_aside(&body_path(body), &format!("{}.{number}", body_name(body)));
        Ok(Some(name))
    }

    /// Moves whatever stands at `path` to `corrupt/`; returns its new path.
    pub(super) fn file_aside(&self, path: &str, name: &str) -> Option<String> {
        let disk = &self.spool.disk;
        let free = |number: u32| match number {
            0 => format!("{CORRUPT}/{name}"),
            number => format!("{CORRUPT}/{name}-{number}"),
        };
        let target = (0..1000).map(free).find(|target| disk.kind(target).is_ok_and(|kind| kind.is_none()))?;
        disk.kind(path).ok()??;
        disk.rename(path, &target).ok().map(|()| target)
    }
}

fn shown(key: &[u8]) -> String {
    use std::fmt::Write as _;
    key.iter().fold(String::new(), |mut text, octet| {
        if octet.is_ascii_graphic() && *octet != b'%' {
            text.push(char::from(*octet));
        } else {
            let _ = write!(text, "%{octet:02x}");
        }
        text
    })
}

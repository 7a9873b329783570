//! What the operator has said of links and sites, kept over restarts: not to be used, EMCON, silent.
//!
//! Promises: what one word says of several links is one batch, so that they never disagree; what is said while the marks
//! of earlier runs are still being read holds, and not they.

use std::collections::BTreeSet;

use skywave_protocols::time::{Now, WallTime};
use skywave_transports::io::{Row, Space, Write};
use skywave_transports::transport::SiteName;

use super::Node;
use super::steps::Saved;
use crate::store::Batch;

/// Keys of marks that were written before those of earlier runs were read; nothing from then on.
#[derive(Debug)]
pub struct Words(Option<BTreeSet<String>>);

impl Default for Words {
    fn default() -> Self {
        Self(Some(BTreeSet::new()))
    }
}

impl Node {
    /// A site on a link, and on those that go with it, keeps silence or does so no more.
    pub(super) fn believe(&mut self, now: Now, index: usize, site: &SiteName, silent: bool, until: Option<WallTime>) {
        let planned = until.map_or_else(String::new, |until| format!(" {}", until.unix_seconds()));
        let mut marks = Vec::new();
        for index in self.silent_together(index, site) {
            let Some(link) = self.links.link(index).map(|link| link.name.clone()) else { continue };
            self.links.with(now, index, |transport| {
                transport.plan_silence(site, until);
                transport.set_silence(now, site, silent);
            });
            marks.push((silence_mark(&link, site), Some(said(silent) + &planned)));
        }
        self.write_marks(marks);
    }

    /// Keeps marks, or forgets those without a value.
    pub(super) fn write_marks(&mut self, marks: impl IntoIterator<Item = (String, Option<String>)>) {
        let mut writes = Vec::new();
        for (key, value) in marks {
            if let Some(early) = &mut self.operator.early.0 {
                early.insert(key.clone());
            }
            writes.push(Write { space: Space::Site, key: key.into_bytes(), value: value.map(Into::into) });
        }
        self.save(Batch { writes, ..Batch::default() }, Saved::Notes(Vec::new()));
    }

    /// The operator's marks of the last run hold again, but for what was said meanwhile.
    pub(super) fn take_marks(&mut self, now: Now, rows: Vec<Row>) {
        let early = self.operator.early.0.take().unwrap_or_default();
        for row in rows {
            let Ok(key) = String::from_utf8(row.key) else { continue };
            if !early.contains(&key) {
                self.take_mark(now, &key, std::str::from_utf8(&row.value).unwrap_or_default());
            }
        }
    }

    fn take_mark(&mut self, now: Now, key: &str, value: &str) {
        let (mark, until) = match value.split_once(' ') {
            Some((mark, until)) => (mark, until.parse().ok().map(WallTime::from_unix_seconds)),
            None => (value, None),
        };
        let on = mark == "on";
        let mut parts = key.splitn(4, '/').skip(1);
        match (parts.next(), parts.next(), parts.next()) {
            (Some("down"), Some(link), None) if on => drop(self.links.down.insert(link.into())),
            (Some("emcon"), Some(link), None) => {
                if let Some(index) = self.links.index(link).filter(|_| on) {
                    self.set_emission(now, index, on);
                }
            }
            (Some("silence"), Some(link), Some(site)) => {
                if let Some(index) = self.links.index(link) {
                    let site: SiteName = site.into();
                    self.links.with(now, index, |transport| {
                        transport.plan_silence(&site, until);
                        transport.set_silence(now, &site, on);
                    });
                    self.chat_silence(now, index, &site, on);
                }
            }
            (_, _, _) => {}
        }
    }
}

/// What a mark says.
pub(super) fn said(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

/// The key of an operator's word that a link is not to be used.
pub(super) fn down_mark(link: &str) -> String {
    format!("mark/down/{link}")
}

/// The key of an operator's word that we emit nothing on a link.
pub(super) fn emcon_mark(link: &str) -> String {
    format!("mark/emcon/{link}")
}

/// The key of an operator's word that a site on a link keeps silence, or does no more.
pub(super) fn silence_mark(link: &str, site: &str) -> String {
    format!("mark/silence/{link}/{site}")
}

//! What each rule did, or in a dry run would have done.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::stanza::Kind;
use super::limits::{COUNTERS_MAX, NOTICES_MAX};

/// What one rule saved.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Saved {
    /// The rule: its name, or its place.
    pub rule: String,
    /// Stanzas that it fitted.
    pub matched: u64,
    /// Stanzas that did not cross because of it.
    pub stanzas: u64,
    /// Octets that did not cross, before compression; what an answer or error to the sender costs is not on the link.
    pub octets: u64,
}

/// The report of a filter.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// Whether nothing was done and this says what would have been saved.
    pub dry_run: bool,
    /// Stanzas that came.
    pub stanzas: u64,
    /// Their octets, before compression.
    pub octets: u64,
    /// Rule by rule, in the order in which they are looked at.
    pub rules: Vec<Saved>,
    /// What `count` counted, by name.
    pub counters: BTreeMap<String, u64>,
    /// Notices that nobody took in time.
    pub notices_lost: u64,
}

/// What `log` and `alarm` say. No addresses and no content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The rule.
    pub rule: String,
    /// Whether the operator is to be woken.
    pub alarm: bool,
    /// The kind of stanza.
    pub kind: Kind,
    /// Its size on the link, before compression.
    pub octets: usize,
}

/// The place of a rule in the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row(usize);

/// Counts.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) report: Report,
    notices: Vec<Notice>,
}

impl Ledger {
    pub(crate) fn row(&mut self, rule: &str) -> Row {
        self.report.rules.push(Saved { rule: rule.to_owned(), ..Saved::default() });
        Row(self.report.rules.len() - 1)
    }

    pub(crate) fn name(&self, row: Row) -> &str {
        self.report.rules.get(row.0).map_or("", |saved| saved.rule.as_str())
    }

    pub(crate) fn matched(&mut self, row: Row) {
        if let Some(saved) = self.report.rules.get_mut(row.0) {
            saved.matched += 1;
        }
    }

    /// A whole stanza, or some octets of one, did not cross.
    pub(crate) fn saved(&mut self, row: Row, stanzas: u64, octets: usize) {
        if let Some(saved) = self.report.rules.get_mut(row.0) {
            saved.stanzas += stanzas;
            saved.octets += octets as u64;
        }
    }

    pub(crate) fn count(&mut self, name: &str) {
        if self.report.counters.len() < COUNTERS_MAX || self.report.counters.contains_key(name) {
            *self.report.counters.entry(name.to_owned()).or_default() += 1;
        }
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(notice);
        } else {
            self.report.notices_lost += 1;
        }
    }

    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

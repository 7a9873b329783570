//! The records of mails that are in memory, and for how long they must stay there.
//!
//! A record stays while one of its hops is in a lane's window, while a change of it is on its way to the disk, and
//! until every fetch is answered that may have read the disk before that change. So a stale row never comes back to
//! life: what is in memory always wins over what was fetched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::seam::Number;
use crate::queue::record::{MailRecord, Ticket};

#[derive(Debug, Default)]
struct Entry {
    /// `None`: the mail is finished, its deletion on its way.
    record: Option<Box<MailRecord>>,
    hops_in_memory: u32,
    writes: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Mails {
    entries: BTreeMap<Ticket, Entry>,
    /// Fetches under way.
    fetches: BTreeSet<Number>,
    /// Mails without duty in memory, with the newest fetch that may have read an older state of them.
    leaving: VecDeque<(Number, Ticket)>,
}

impl Mails {
    /// The record of a mail that is in memory and not finished.
    pub fn record(&self, ticket: Ticket) -> Option<&MailRecord> {
        self.entries.get(&ticket)?.record.as_deref()
    }

    /// The same, to change it.
    pub fn record_mut(&mut self, ticket: Ticket) -> Option<&mut MailRecord> {
        self.entries.get_mut(&ticket)?.record.as_deref_mut()
    }

    /// Whether anything is known of it in memory, be it that it is finished.
    pub fn knows(&self, ticket: Ticket) -> bool {
        self.entries.contains_key(&ticket)
    }

    /// Mails in memory.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Takes a record into memory, unless memory knows better.
    pub fn insert(&mut self, record: MailRecord) {
        self.entries
            .entry(record.ticket)
            .or_insert_with(|| Entry { record: Some(Box::new(record)), ..Entry::default() });
    }

    /// One of its hops is in a window.
    pub fn pin(&mut self, ticket: Ticket) {
        if let Some(entry) = self.entries.get_mut(&ticket) {
            entry.hops_in_memory += 1;
        }
    }

    /// One of its hops left a window.
    pub fn unpin(&mut self, ticket: Ticket) {
        if let Some(entry) = self.entries.get_mut(&ticket) {
            entry.hops_in_memory = entry.hops_in_memory.saturating_sub(1);
        }
        self.leave(ticket);
    }

    /// A change of it is on its way to the disk.
    pub fn writing(&mut self, ticket: Ticket) {
        self.entries.entry(ticket).or_default().writes += 1;
    }

    /// A change of it is on the disk, or will never be.
    pub fn written(&mut self, ticket: Ticket) {
        if let Some(entry) = self.entries.get_mut(&ticket) {
            entry.writes = entry.writes.saturating_sub(1);
        }
        self.leave(ticket);
    }

    /// It is finished: takes its record out; the entry stays until the deletion is on the disk.
    pub fn finish(&mut self, ticket: Ticket) -> Option<Box<MailRecord>> {
        self.entries.get_mut(&ticket)?.record.take()
    }

    /// A fetch is under way.
    pub fn fetching(&mut self, number: Number) {
        self.fetches.insert(number);
    }

    /// A fetch is answered.
    pub fn fetched(&mut self, number: Number) {
        self.fetches.remove(&number);
        let oldest = self.fetches.first().copied().unwrap_or(Number::MAX);
        while let Some(&(newest, ticket)) = self.leaving.front()
            && newest < oldest
        {
            self.leaving.pop_front();
            self.forget(ticket);
        }
    }

    fn leave(&mut self, ticket: Ticket) {
        if !self.is_idle(ticket) {
            return;
        }
        match self.fetches.last() {
            Some(&newest) => self.leaving.push_back((newest, ticket)),
            None => self.forget(ticket),
        }
    }

    fn forget(&mut self, ticket: Ticket) {
        if self.is_idle(ticket) {
            self.entries.remove(&ticket);
        }
    }

    fn is_idle(&self, ticket: Ticket) -> bool {
        self.entries.get(&ticket).is_some_and(|entry| entry.hops_in_memory == 0 && entry.writes == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_mail_is_known_until_no_fetch_can_bring_it_back() {
        let mut mails = Mails::default();
        let ticket = Ticket(1);
        mails.fetching(10);
        mails.writing(ticket);
        assert!(mails.knows(ticket) && mails.record(ticket).is_none());
        mails.written(ticket);
        assert!(mails.knows(ticket), "fetch 10 may have read it before the deletion");
        mails.fetching(11);
        mails.fetched(10);
        assert!(!mails.knows(ticket), "fetch 11 began after the deletion was on the disk");
    }
}

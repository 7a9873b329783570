//! What is due when: retries, expiries, delay notices. On disk in order of time; only the next time is in memory.

use skywave_protocols::bytes::{Bytes, Reader};
use skywave_protocols::time::WallTime;
use skywave_transports::io::{Space, Write};

use super::limits::AGENDA_BATCH_MAX;
use super::record::Ticket;
use crate::store::Query;

/// Why a mail is looked at again at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// A hop may be tried again.
    Retry(u16),
    /// A delay is to be reported.
    Notice,
    /// The mail has lived long enough.
    Expiry,
}

/// An entry of the agenda.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// When, in microseconds since 1970.
    pub at: u64,
    /// Which mail.
    pub ticket: Ticket,
    /// Why.
    pub due: Due,
}

impl Entry {
    /// The key in the store.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, hop) = match self.due {
            Due::Retry(hop) => (0, hop),
            Due::Notice => (1, 0),
            Due::Expiry => (2, 0),
        };
        let mut key = self.at.to_be_bytes().to_vec();
        key.extend(self.ticket.0.to_be_bytes());
        key.push(kind);
        key.extend(hop.to_be_bytes());
        key
    }

    /// Reads a key of the store.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(key);
        let (at, ticket, kind, hop) =
            (reader.u64().ok()?, Ticket(reader.u64().ok()?), reader.u8().ok()?, reader.u16().ok()?);
        reader.finish().ok()?;
        let due = match kind {
            0 => Due::Retry(hop),
            1 => Due::Notice,
            2 => Due::Expiry,
            3.. => return None,
        };
        Some(Self { at, ticket, due })
    }

    /// The write that puts it on the agenda, or takes it off.
    pub fn write(&self, present: bool) -> Write {
        Write { space: Space::Delayed, key: self.encode(), value: present.then(Bytes::new) }
    }
}

/// The time of the next entry, and whether entries are being fetched.
#[derive(Debug, Default)]
pub struct Agenda {
    next: Option<u64>,
    fetching: bool,
}

impl Agenda {
    /// An entry was put on the agenda.
    pub fn added(&mut self, at: u64) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// When to wake, in microseconds since 1970.
    pub const fn next(&self) -> Option<u64> {
        if self.fetching { None } else { self.next }
    }

    /// The query for what is due, if anything is: a first look at the start, and whenever the time has come.
    pub fn query(&mut self, wall: WallTime) -> Option<Query> {
        if self.fetching || self.next.is_none_or(|next| next > wall.unix_micros()) {
            return None;
        }
        Some(self.first_query())
    }

    /// The query for the earliest entries, due or not.
    pub fn first_query(&mut self) -> Query {
        self.fetching = true;
        self.next = None;
        Query::Range {
            space: Space::Delayed,
            from: Vec::new(),
            to: Vec::new(),
            limit: AGENDA_BATCH_MAX,
            reverse: false,
        }
    }

    /// Takes what was fetched; returns what is due. The first that is not due yet sets the next time.
    pub fn fetched(&mut self, wall: WallTime, rows: impl Iterator<Item = Vec<u8>>) -> Vec<Entry> {
        self.fetching = false;
        let mut due = Vec::new();
        let mut last = None;
        for entry in rows.filter_map(|key| Entry::decode(&key)) {
            if entry.at > wall.unix_micros() {
                self.added(entry.at);
                return due;
            }
            last = Some(entry.at);
            due.push(entry);
        }
        if due.len() >= AGENDA_BATCH_MAX
            && let Some(at) = last
        {
            self.added(at);
        }
        due
    }

    /// The fetch failed: look again at `at`.
    pub fn failed(&mut self, at: u64) {
        self.fetching = false;
        self.added(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_sort_by_time_and_are_read_back() {
        let entry = |at, due| Entry { at, ticket: Ticket(7), due };
        let rows = [entry(1, Due::Expiry), entry(2, Due::Retry(3)), entry(2, Due::Notice)];
        let keys: Vec<_> = rows.iter().map(Entry::encode).collect();
        assert!(keys.is_sorted());
        assert!(rows.iter().zip(&keys).all(|(row, key)| Entry::decode(key).as_ref() == Some(row)));
        assert_eq!(Entry::decode(&[0; 18]), None);
    }

    #[test]
    fn what_is_not_due_sets_the_next_time() {
        let mut agenda = Agenda::default();
        let entry = |at| Entry { at, ticket: Ticket(1), due: Due::Expiry };
        agenda.added(5_000_000);
        assert_eq!(agenda.query(WallTime::from_unix_micros(4_999_999)), None);
        assert!(agenda.query(WallTime::from_unix_micros(5_000_000)).is_some());
        assert_eq!(agenda.next(), None, "being fetched");
        let keys = [entry(5_000_000).encode(), entry(9_000_000).encode()];
        assert_eq!(agenda.fetched(WallTime::from_unix_micros(5_000_000), keys.into_iter()), [entry(5_000_000)]);
        assert_eq!(agenda.next(), Some(9_000_000));
    }
}

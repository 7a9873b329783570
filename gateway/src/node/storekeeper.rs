//! Numbers every batch on its way to the store, and keeps what must not be lost when the disk fails.
//!
//! A batch that accepts something fails towards whoever waits for it. A batch that only notes what has already
//! happened (a delivery, a retry) must reach the disk in the end: it is kept and stored again, merged with what came
//! after it, until the disk works. While the disk fails nothing new is accepted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skywave_protocols::time::{Duration, Instant};
use skywave_transports::io::{Space, Write};

use super::seam::Number;
use super::steps::{AnswerTo, Refused, Saved};
use crate::queue::limits::UNSAVED_BATCHES_MAX;
use crate::store::{Batch, StoreFault};

/// How long to wait before a failed disk is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Keys remembered before those are looked for that can be forgotten.
const LATEST_KEYS_SWEPT: usize = 1024;

struct Outstanding {
    saved: Saved,
    /// Kept for another try; `None` for what is refused instead.
    notes: Option<Batch>,
    /// What it writes while older notes wait.
    over: BTreeSet<(Space, Vec<u8>)>,
}

/// Notes that wait until the disk works.
struct Unsaved {
    /// Batches with higher numbers are newer.
    since: Number,
    batch: Batch,
    saved: Saved,
}

/// See the module.
#[derive(Default)]
pub struct Storekeeper {
    next: Number,
    outstanding: BTreeMap<Number, Outstanding>,
    /// Which outstanding batch wrote a key last.
    latest: BTreeMap<(Space, Vec<u8>), Number>,
    unsaved: VecDeque<Unsaved>,
    /// At how many keys `latest` is swept next.
    sweep_at: usize,
    failing: bool,
    retry_at: Option<Instant>,
}

impl Storekeeper {
    /// A fresh number, for batches and everything else that is answered by number.
    pub fn number(&mut self) -> Number {
        self.next += 1;
        self.next
    }

    /// Whether the disk fails at present.
    pub const fn is_failing(&self) -> bool {
        self.failing
    }

    /// When to try again.
    pub const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Prepares a batch: the number under which it is to be sent, or `None` if it waits until the disk works.
    pub fn prepare(&mut self, batch: Batch, saved: Saved) -> Option<(Number, Batch)> {
        let keeps = matches!(saved, Saved::Notes(_));
        if keeps && (self.failing || !self.unsaved.is_empty()) {
            self.keep(batch, saved);
            return None;
        }
        let number = self.number();
        if keeps || self.outstanding.values().any(|other| other.notes.is_some()) {
            for write in &batch.writes {
                self.latest.insert((write.space, write.key.clone()), number);
            }
        }
        let mut over = BTreeSet::new();
        if !self.unsaved.is_empty() {
            over.extend(batch.writes.iter().map(|write| (write.space, write.key.clone())));
        }
        self.outstanding.insert(number, Outstanding { saved, notes: keeps.then(|| batch.clone()), over });
        Some((number, batch))
    }

    /// A batch is on the disk. The flag says that the disk has just recovered.
    pub fn stored(&mut self, number: Number) -> Option<(Saved, bool)> {
        let outstanding = self.outstanding.remove(&number)?;
        self.sweep();
        // An older note of the same would be written over it.
        for older in self.unsaved.iter_mut().filter(|older| older.since < number) {
            older.batch.writes.retain(|write| !outstanding.over.contains(&(write.space, write.key.clone())));
        }
        let recovered = std::mem::replace(&mut self.failing, false);
        if self.unsaved.is_empty() {
            self.retry_at = None;
        }
        Some((outstanding.saved, recovered))
    }

    /// A batch is not on the disk: given back, or kept for another try.
    pub fn failed(&mut self, now: Instant, number: Number, fault: StoreFault) -> Option<Refused> {
        let outstanding = self.outstanding.remove(&number)?;
        self.failing = true;
        self.retry_at = Some(now + RETRY_WAIT);
        let Some(mut batch) = outstanding.notes else { return Some(Refused { saved: outstanding.saved, fault }) };
        // What a later batch has written since must not be overwritten by this older one.
        batch
            .writes
            .retain(|write| self.latest.get(&(write.space, write.key.clone())).is_none_or(|&last| last <= number));
        self.unsaved.push_front(Unsaved { since: number, batch, saved: outstanding.saved });
        None
    }

    /// What to store now that another try is due: everything kept, as one batch.
    pub fn retry(&mut self, now: Instant) -> Option<(Number, Batch)> {
        if self.retry_at.is_none_or(|at| at > now) {
            return None;
        }
        self.retry_at = Some(now + RETRY_WAIT);
        let mut merged: BTreeMap<(Space, Vec<u8>), Write> = BTreeMap::new();
        let (mut batch, mut tickets) = (Batch::default(), Vec::new());
        for Unsaved { batch: part, saved, .. } in self.unsaved.drain(..) {
            batch.keep.extend(part.keep);
            batch.drop.extend(part.drop);
            merged.extend(part.writes.into_iter().map(|write| ((write.space, write.key.clone()), write)));
            if let Saved::Notes(more) = saved {
                tickets.extend(more);
            }
        }
        batch.writes = merged.into_values().collect();
        if batch.writes.is_empty() {
            // Nothing to save: a mark of our own shows whether the disk works again.
            batch.writes.push(Write { space: Space::Site, key: b"probe".to_vec(), value: Some(Default::default()) });
        }
        let number = self.number();
        let outstanding =
            Outstanding { saved: Saved::Notes(tickets), notes: Some(batch.clone()), over: BTreeSet::new() };
        self.outstanding.insert(number, outstanding);
        Some((number, batch))
    }

    /// Forgets who wrote last what no batch under way can overwrite.
    fn sweep(&mut self) {
        let oldest = self.outstanding.keys().next().copied();
        if oldest.is_none() {
            self.latest.clear();
        }
        if let Some(oldest) = oldest.filter(|_| self.latest.len() >= self.sweep_at.max(LATEST_KEYS_SWEPT)) {
            self.latest.retain(|_, last| *last > oldest);
            self.sweep_at = 2 * self.latest.len();
        }
    }

    /// Batches that wait until the disk works.
    pub fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// Whether anything is on its way to the disk.
    pub fn is_busy(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// Whether a mail is on its way to the disk, for whose answer somebody waits.
    pub fn is_accepting(&self, waits: impl Fn(&AnswerTo) -> bool) -> bool {
        let accepted = |other: &Outstanding| matches!(&other.saved, Saved::Accepted(mail) if waits(&mail.answer));
        self.outstanding.values().any(accepted)
    }

    fn keep(&mut self, batch: Batch, saved: Saved) {
        if self.unsaved.len() < UNSAVED_BATCHES_MAX {
            self.unsaved.push_back(Unsaved { since: self.next, batch, saved });
            return;
        }
        // Full: merge into the last, whose writes are older.
        if let (Some(Unsaved { since, batch: last, saved: Saved::Notes(tickets) }), Saved::Notes(more)) =
            (self.unsaved.back_mut(), saved)
        {
            *since = self.next;
            last.keep.extend(batch.keep);
            last.drop.extend(batch.drop);
            last.writes.extend(batch.writes);
            tickets.extend(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::record::Ticket;

    fn note(key: &[u8], value: &'static [u8]) -> Batch {
        let write = Write { space: Space::Mail, key: key.to_vec(), value: Some(value.into()) };
        Batch { writes: vec![write], ..Batch::default() }
    }

    #[test]
    fn notes_survive_a_failing_disk_and_never_overwrite_later_ones() {
        let mut keeper = Storekeeper::default();
        let saved = || Saved::Notes(vec![Ticket(1)]);
        let (first, _) = keeper.prepare(note(b"a", b"1"), saved()).unwrap();
        let (second, _) = keeper.prepare(note(b"a", b"2"), saved()).unwrap();
        assert!(keeper.failed(Instant::ZERO, first, StoreFault::Full(String::new())).is_none());
        assert!(keeper.is_failing());
        assert!(keeper.stored(second).is_some_and(|(_, recovered)| recovered));
        assert!(keeper.prepare(note(b"b", b"3"), saved()).is_none(), "kept behind the failed one");
        assert!(keeper.retry(Instant::ZERO).is_none(), "not yet");
        let (number, batch) = keeper.retry(Instant::ZERO + RETRY_WAIT).unwrap();
        let keys: Vec<_> = batch.writes.iter().map(|write| write.key.as_slice()).collect();
        assert_eq!(keys, [b"b"], "a was written later by the second");
        assert!(keeper.stored(number).is_some());
        assert_eq!(keeper.retry_at(), None);
    }

    /// A note waits for the disk; before it is tried again something newer of the same is stored.
    #[test]
    fn what_waits_is_not_written_over_what_is_newer() {
        let mut keeper = Storekeeper::default();
        let (failed, _) = keeper.prepare(note(b"x", b"0"), Saved::Transport(0, 1)).unwrap();
        keeper.failed(Instant::ZERO, failed, StoreFault::Full(String::new()));
        assert!(keeper.prepare(note(b"row", b"held"), Saved::Notes(Vec::new())).is_none());
        assert!(keeper.prepare(note(b"other", b"1"), Saved::Notes(Vec::new())).is_none());
        let (newer, _) = keeper.prepare(note(b"row", b"gone"), Saved::Transport(0, 2)).unwrap();
        assert!(keeper.stored(newer).is_some());
        let (_, batch) = keeper.retry(Instant::ZERO + RETRY_WAIT).unwrap();
        let keys: Vec<_> = batch.writes.iter().map(|write| write.key.as_slice()).collect();
        assert_eq!(keys, [b"other"]);
    }

    #[test]
    fn what_somebody_waits_for_is_given_back() {
        let mut keeper = Storekeeper::default();
        let (number, _) = keeper.prepare(note(b"a", b"1"), Saved::Transport(0, 7)).unwrap();
        let refused = keeper.failed(Instant::ZERO, number, StoreFault::Full(String::new())).unwrap();
        assert!(matches!(refused.saved, Saved::Transport(0, 7)));
        let (probe, batch) = keeper.retry(Instant::ZERO + RETRY_WAIT).unwrap();
        assert_eq!(batch.writes[0].space, Space::Site);
        assert!(keeper.stored(probe).is_some_and(|(_, recovered)| recovered));
    }
}

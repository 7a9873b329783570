//! What one input changes on disk, as one batch, and what follows when it is there or is not.
//!
//! A batch has two kinds of writes. What somebody waits for (a stanza taken over, a session's records with the stanzas
//! that came with them) is refused when the disk fails. Notes of what has happened are stored in the end, whatever fails.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Now;
use skywave_transports::io::{Space, Write};
use skywave_transports::transport::ArrivalId;

use super::queue::local::Handing;
use super::{Chat, ChatOutput, Line};

/// A session's record, by its own key; nothing to delete it.
type Change = (Vec<u8>, Option<Bytes>);

/// What is to be written, and what follows.
#[derive(Debug, Default)]
pub(super) struct Work {
    writes: BTreeMap<(Space, Vec<u8>), Write>,
    notes: BTreeMap<(Space, Vec<u8>), Write>,
    pub(super) after: Pending,
    urgent: bool,
}

/// What follows when a batch is on the disk.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Stanzas taken over from local servers: peer and number.
    pub(super) taken: Vec<(usize, u64)>,
    /// Records of sessions.
    pub(super) saves: Vec<(Line, u64)>,
    /// Records of blocks that have left, with the rows that are in them.
    pub(super) beside: Vec<(Line, Vec<Change>)>,
    /// Stanzas that came by a link.
    pub(super) handings: Vec<(u64, Handing)>,
    /// Units that they came in.
    pub(super) arrivals: Vec<(Line, ArrivalId)>,
    /// Stanzas whose rows now say that the local server may have them.
    pub(super) marks: Vec<u64>,
    /// Notes that are stored all the same when the batch is not.
    notes: BTreeMap<(Space, Vec<u8>), Write>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        let owed = self.taken.is_empty() && self.saves.is_empty() && self.marks.is_empty();
        owed && self.handings.is_empty() && self.arrivals.is_empty()
    }
}

impl Work {
    /// A write that somebody waits for.
    pub(super) fn write(&mut self, write: Write) {
        self.writes.insert((write.space, write.key.clone()), write);
    }

    /// A note of what has happened.
    pub(super) fn note(&mut self, write: Write) {
        let key = (write.space, write.key.clone());
        // What is written and forgotten at once need not be written.
        if write.value.is_none() {
            self.writes.remove(&key);
        }
        self.notes.insert(key, write);
    }

    /// Somebody urgent waits.
    pub(super) fn hurry(&mut self, precedence: Precedence) {
        self.urgent |= precedence >= Precedence::Flash;
    }
}

impl Chat {
    /// Asks for everything that changed to be stored; yields what follows at once because nothing is to be written.
    pub(super) fn flush(&mut self) -> Option<Pending> {
        if let Some(reserve) = self.numbers.reserve().filter(|_| self.ready) {
            self.work.note(reserve);
        }
        let Work { writes, notes, mut after, urgent } = std::mem::take(&mut self.work);
        if writes.is_empty() && notes.is_empty() {
            return (!after.is_empty()).then_some(after);
        }
        // What a batch under way notes of the same must not be tried again after this, should it fail.
        for older in self.pending.values_mut() {
            older.notes.retain(|key, _| !writes.contains_key(key) && !notes.contains_key(key));
        }
        self.batches += 1;
        let (number, keep) = (self.batches, after.is_empty() && writes.is_empty());
        if !keep {
            after.notes.clone_from(&notes);
            self.pending.insert(number, after);
        }
        let writes = writes.into_values().chain(notes.into_values()).collect();
        self.out.push_back(ChatOutput::Store { number, writes, keep, urgent });
        None
    }

    /// A batch is on the disk.
    pub fn stored(&mut self, now: Now, number: u64) {
        if let Some(pending) = self.pending.remove(&number) {
            self.follow(now, pending);
            self.settle(now);
        }
    }

    /// What was to be written is on the disk.
    //= xmpp/CHAT-002
    pub(super) fn follow(&mut self, now: Now, pending: Pending) {
        for (peer, number) in pending.taken {
            self.row_stored(now, peer, number);
        }
        for (line, save) in pending.saves {
            if let Some(side) = self.side_mut(line) {
                side.session.stored(now, save);
            }
        }
        for (line, arrival) in pending.arrivals {
            self.out.push_back(ChatOutput::Accept(line, arrival));
        }
        for (number, handing) in pending.handings {
            self.push_local(now, number, handing);
        }
        for number in pending.marks {
            self.local.mark(number);
        }
    }

    /// A batch is not: whoever waited for it is told; notes are tried again until they are stored.
    pub fn store_failed(&mut self, now: Now, number: u64, why: &str) {
        let Some(pending) = self.pending.remove(&number) else { return };
        for note in pending.notes.into_values() {
            self.work.note(note);
        }
        for (peer, number) in pending.taken {
            self.row_refused(now, peer, number, why);
        }
        for (line, save) in pending.saves {
            if let Some(side) = self.side_mut(line) {
                side.session.store_failed(now, save);
            }
        }
        for (line, changes) in pending.beside {
            if let Some(side) = self.side_mut(line) {
                side.session.save_again(now, changes);
            }
        }
        for (line, arrival) in pending.arrivals {
            // The session still has what they brought, and has it saved again.
            if let Some(side) = self.side_mut(line) {
                side.arrivals.push(arrival);
            }
        }
        for number in pending.marks {
            self.local.not_marked(now.mono, number);
        }
        self.settle(now);
    }
}

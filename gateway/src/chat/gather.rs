//! Stanzas for a fast stream, whose rows are written together, and which leave while they are.
//!
//! On a fast stream the disk is what is waited for, so what comes within half a millisecond shares one batch, and its
//! block leaves at once: its record is in that same batch. A crash leaves both on the disk, or neither; then the far site
//! may have what its sender was never told is taken (ADR 89).

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::{Instant, Now, Wakeup};
use skywave_protocols::xmpp::slow::Outgoing;
use skywave_protocols::xmpp::slow::limits::SAVE_AGAIN_AFTER;
use skywave_transports::io::Space;

use super::limits::{GATHER_WAIT, GATHERED_MAX};
use super::peers::Peer;
use super::queue::out::Waiting;
use super::record::Record;
use super::{Chat, Line, Way};

/// Those of one far site.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    numbers: Vec<u64>,
    /// When they are written.
    until: Option<Instant>,
}

impl Gathered {
    /// When they are written, if there are any.
    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        self.until.map(|at| Wakeup { at, why: "rows gathered" })
    }
}

impl Peer {
    /// Whether the session that a stanza would go to lets it leave while its row is being saved.
    fn joins(&self, waiting: &Waiting) -> bool {
        let side = self.way_of(waiting).and_then(|way| self.side(way));
        waiting.hold.is_none() && side.is_some_and(|side| side.session.takes_joined())
    }

    /// What is written of a stanza that waits.
    pub(super) fn record_out(&self, waiting: &Waiting) -> Record {
        Record {
            peer: self.config.name.to_string(),
            since: waiting.since,
            life: waiting.fate.life,
            priority: waiting.priority,
            own: false,
            route: waiting.route.and_then(|way| self.config.link_of(way)).map(ToString::to_string),
            bits_per_second_min: waiting.bits_per_second_min,
            given: false,
            kept: waiting.kept,
            stanza: waiting.stanza.octets().into(),
        }
    }

    /// Hands stanzas to their sessions whose rows are in the batch that this input makes.
    fn submit_joined(&mut self, now: Now, numbers: &BTreeSet<u64>) {
        let mut released = Vec::new();
        for &number in numbers {
            if self.queue.get(number).is_some_and(|waiting| self.joins(waiting)) {
                released.extend(self.queue.stored(number));
            }
        }
        let joins = |number: &u64| {
            numbers.contains(number) || self.queue.get(*number).is_some_and(|waiting| !waiting.fate.durable)
        };
        // What has its row on the disk already may not leave before its block is there too.
        if !released.iter().all(joins) {
            return released.into_iter().for_each(|number| self.submit(now, number));
        }
        let mut joined: BTreeMap<Way, Vec<Outgoing>> = BTreeMap::new();
        for number in released {
            if let Some((way, outgoing)) = self.placed(now, number) {
                joined.entry(way).or_default().push(outgoing);
            }
        }
        for (way, outgoing) in joined {
            if let Some(side) = self.side_mut(way) {
                side.session.submit_joined(now, outgoing);
            }
        }
    }
}

impl Chat {
    /// Has a stanza of a local server wait for others with which its row is written, where that pays; false where it does
    /// not.
    //= xmpp/CHAT-016
    pub(super) fn gather(&mut self, now: Now, index: usize, number: u64, waiting: &Waiting) -> bool {
        let Some(peer) = self.peers.get_mut(index).filter(|peer| peer.joins(waiting)) else { return false };
        peer.gathered.numbers.push(number);
        let hurries = waiting.priority.precedence() >= Precedence::Flash;
        let is_full = peer.gathered.numbers.len() >= GATHERED_MAX;
        let at = if hurries || is_full { now.mono } else { now.mono + GATHER_WAIT };
        peer.gathered.until = Some(peer.gathered.until.map_or(at, |until| until.min(at)));
        true
    }

    /// Writes the rows that were gathered, if it is time; whether there were any.
    pub(super) fn write_gathered(&mut self, now: Now, index: usize, at_once: bool) -> bool {
        let due = |peer: &&mut Peer| peer.gathered.until.is_some_and(|until| at_once || until <= now.mono);
        let Some(peer) = self.peers.get_mut(index).filter(due) else { return false };
        peer.gathered.until = None;
        // What was replaced or given up meanwhile is written no more.
        let gathered = std::mem::take(&mut peer.gathered.numbers);
        let numbers: BTreeSet<u64> = gathered.into_iter().filter(|&number| peer.queue.get(number).is_some()).collect();
        for &number in &numbers {
            self.write_row(index, number);
        }
        if let Some(peer) = self.peers.get_mut(index) {
            peer.submit_joined(now, &numbers);
        }
        true
    }

    /// Has the row of a stanza written that waits for a link.
    pub(super) fn write_row(&mut self, index: usize, number: u64) {
        let Some(peer) = self.peers.get(index) else { return };
        let Some(waiting) = peer.queue.get(number) else { return };
        self.work.write(peer.record_out(waiting).write(Space::ChatOut, number));
        self.work.after.taken.push((index, number));
        self.work.hurry(waiting.priority.precedence());
    }

    /// A row could not be stored, and its stanza is in a block: it goes with the next batch of that session, or soon.
    pub(super) fn owe_row(&mut self, now: Now, index: usize, number: u64) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let way = peer.queue.way(number);
        if let Some(side) = way.and_then(|way| peer.side_mut(way)) {
            side.owed_rows.push(number);
            side.owed_until.get_or_insert(now.mono + SAVE_AGAIN_AFTER);
        }
    }

    /// Rows that are owed are written.
    pub(super) fn write_owed(&mut self, line: Line) {
        let Some(side) = self.side_mut(line) else { return };
        side.owed_until = None;
        let owed = std::mem::take(&mut side.owed_rows);
        owed.into_iter().for_each(|number| self.write_row(line.peer, number));
    }

    /// Writes what a far site is owed of rows, if it is time.
    pub(super) fn write_owed_in_time(&mut self, now: Now, index: usize) {
        for way in self.peers.get(index).map(Peer::ways).into_iter().flatten() {
            let line = Line { peer: index, way };
            let Some(side) = self.side_mut(line) else { continue };
            if side.owed_until.is_none_or(|until| until > now.mono) {
                continue;
            }
            if side.session.has_to_save() {
                // The block may have left: the row is not on the disk before it.
                side.owed_until = Some(now.mono + SAVE_AGAIN_AFTER);
            } else {
                self.write_owed(line);
            }
        }
    }
}

//! What an operator does to one stanza that waits for a link: keeps it back, lets it go, deletes it.
//!
//! What is in a block already may be on the air, or in the far site's hands: it is left alone.

use serde_json::{Value, json};
use skywave_protocols::time::Now;
use skywave_transports::io::Space;

use super::Chat;
use super::lines::shown;
use super::queue::out::Waiting;
use super::record::LIFE_OVER;
use crate::telemetry::StanzaFate;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Keep it back, and with it what follows it in its conversation.
    Hold,
    /// Let it go again.
    Release,
    /// Delete it.
    Delete {
        /// Whether its sender is told, where an error may be sent.
        report: bool,
    },
}

/// Why it was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// No such stanza waits.
    #[error("it does not wait here")]
    Unknown,
    /// It came by a link.
    #[error("it waits for a local server, not for a link")]
    NotForLink,
    /// It is being written.
    #[error("it is being written to the disk, try again")]
    NotStored,
    /// Part of it may be at the far site.
    #[error("it is in a block that may be on its way")]
    OnItsWay,
}

impl Denied {
    /// Whether the same order may succeed later.
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::NotStored | Self::OnItsWay)
    }
}

impl Chat {
    /// Does it; what it changed on disk is in what is asked for next.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub fn order(&mut self, now: Now, number: u64, order: Order) -> Result<Value, Denied> {
        let found = self.peers.iter().position(|peer| peer.queue.get(number).is_some());
        let index = found.ok_or_else(|| match self.local.get(number) {
            Some(_) => Denied::NotForLink,
            None => Denied::Unknown,
        })?;
        let peer = self.peers.get_mut(index).ok_or(Denied::Unknown)?;
        // The disk may refuse a row that is on its way there: its sender is told then, and this would bring it back.
        let is_being_stored = |it: &Waiting| it.fate.durable && it.arrival.is_some();
        if !peer.queue.is_stored(number) || peer.queue.get(number).is_some_and(is_being_stored) {
            return Err(Denied::NotStored);
        }
        if order != Order::Release && !peer.take_back(number) {
            return Err(Denied::OnItsWay);
        }
        match order {
            Order::Hold => self.hold(now, index, number),
            Order::Release => self.let_go(now, index, number),
            Order::Delete { report } => self.delete(now, index, number, report),
        }
        self.settle(now);
        let number = shown(number);
        Ok(match order {
            Order::Hold | Order::Release => json!({ "number": number, "held": order == Order::Hold }),
            Order::Delete { .. } => json!({ "number": number, "deleted": true }),
        })
    }

    //= xmpp/CHAT-020
    fn hold(&mut self, now: Now, index: usize, number: u64) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        for later in peer.queue.behind(number) {
            // What is in a block goes on its way: it was before this one there, as what is urgent may be.
            peer.withdraw(later);
        }
        peer.queue.keep_back(number);
        self.note_out(index, number);
        self.tell_held(now, index, number, "held by the operator");
    }

    fn let_go(&mut self, now: Now, index: usize, number: u64) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let released = peer.queue.let_go(number);
        self.note_out(index, number);
        self.tell_held(now, index, number, "released by the operator");
        self.release(now, index, released);
    }

    //= xmpp/CHAT-021
    fn delete(&mut self, now: Now, index: usize, number: u64, report: bool) {
        let why = "deleted by the operator";
        if !report {
            let gone = self.discard(now, index, number, StanzaFate::Discarded, why);
            if let (Some(peer), Some(waiting)) = (self.peers.get_mut(index), gone) {
                peer.presence.lost(&waiting.stanza);
            }
            return;
        }
        // Its row stays until its sender has been told: after a crash it is found late, and told of again.
        if let Some(waiting) = self.peers.get_mut(index).and_then(|peer| peer.queue.get_mut(number)) {
            waiting.fate.life = Some(LIFE_OVER);
            waiting.kept = false;
        }
        self.note_out(index, number);
        self.give_up(now, index, number, None, why);
    }

    /// Its row says what it is now.
    fn note_out(&mut self, index: usize, number: u64) {
        let Some(peer) = self.peers.get(index) else { return };
        if let Some(waiting) = peer.queue.get(number).filter(|waiting| waiting.fate.durable) {
            self.work.note(peer.record_out(waiting).write(Space::ChatOut, number));
        }
    }

    fn tell_held(&mut self, now: Now, index: usize, number: u64, words: &str) {
        let waiting = self.peers.get(index).and_then(|peer| peer.queue.get(number)).cloned();
        if let Some(waiting) = waiting {
            self.line_out(now, index, number, &waiting, StanzaFate::Held, words);
        }
    }
}

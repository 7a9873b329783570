//! Stream management (XEP-0198) where nothing is negotiated: both ends count from the first octet of a connection.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::Taken;
use crate::time::{Duration, Instant};

/// The namespace.
pub(super) const NAMESPACE: &str = "urn:xmpp:sm:3";

/// The counts of one connection.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Sent stanzas that the peer has not counted.
    sent: VecDeque<Taken>,
    /// What the peer has counted.
    counted: u32,
    /// Stanzas read and not yet handed to the store.
    read: u32,
    /// Stanzas that are on the disk, or dropped for good.
    stored: u32,
    /// The count that was told last.
    told: u32,
    enable: bool,
    enabled: bool,
    answer: bool,
    /// Whether an answer of the peer is outstanding.
    asked: bool,
    /// Stanzas sent since the peer was asked.
    since_asked: u32,
    asked_at: Option<Instant>,
}

/// What a count of the peer means.
pub(super) enum Counted {
    /// These are with the peer.
    Done(Vec<Taken>),
    /// It counts more than was sent, or less than it said before.
    TooHigh {
        /// What it says.
        count: u32,
        /// What was sent.
        sent: u32,
    },
}

impl Counts {
    /// The counts of a new connection.
    pub(super) fn new(now: Instant, enable: bool) -> Self {
        Self { enable, asked_at: Some(now), ..Self::default() }
    }

    pub(super) fn knows(&self, row: u64) -> bool {
        self.sent.iter().any(|(_, waiting)| waiting.outgoing.number == row)
    }

    /// All that is not counted, for another connection.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Taken> + use<> {
        std::mem::take(&mut self.sent).into_iter()
    }

    /// A stanza was read.
    pub(super) fn add_read(&mut self) {
        self.read = self.read.wrapping_add(1);
    }

    pub(super) fn take_read(&mut self) -> u32 {
        std::mem::take(&mut self.read)
    }

    pub(super) fn give_read(&mut self, read: u32) {
        self.read = self.read.wrapping_add(read);
    }

    pub(super) fn stored(&mut self, counted: u32) {
        self.stored = self.stored.wrapping_add(counted);
    }

    /// The peer asks for our count.
    pub(super) fn want_answer(&mut self) {
        self.answer = true;
    }

    /// The peer began explicitly: that changes nothing, and is answered.
    pub(super) fn want_enabled(&mut self) {
        self.enabled = true;
    }

    /// What stands before the stanzas of a unit.
    pub(super) fn write_front(&mut self, is_settled: bool, text: &mut Vec<u8>) {
        if std::mem::take(&mut self.enable) {
            text.extend_from_slice(format!("<enable xmlns='{NAMESPACE}'/>").as_bytes());
        }
        if std::mem::take(&mut self.enabled) {
            text.extend_from_slice(format!("<enabled xmlns='{NAMESPACE}'/>").as_bytes());
        }
        // What waits for the disk is not counted yet, and soon is.
        if is_settled && std::mem::take(&mut self.answer) {
            self.told = self.stored;
            let mut answer = String::new();
            let _ = write!(answer, "<a xmlns='{NAMESPACE}' h='{}'/>", self.stored);
            text.extend_from_slice(answer.as_bytes());
        }
    }

    /// What stands before the end of the stream: our count, where the peer does not know it.
    pub(super) fn write_last(&mut self, text: &mut Vec<u8>) {
        if self.stored != self.told {
            self.told = self.stored;
            text.extend_from_slice(format!("<a xmlns='{NAMESPACE}' h='{}'/>", self.stored).as_bytes());
        }
    }

    /// What stands behind them: our own count where it is new, and a question now and then.
    pub(super) fn write_back(
        &mut self,
        now: Instant,
        (stanzas, after): (u32, Duration),
        sent: impl Iterator<Item = Taken>,
        text: &mut Vec<u8>,
    ) {
        let before = self.sent.len();
        self.sent.extend(sent);
        let added = u32::try_from(self.sent.len() - before).unwrap_or(u32::MAX);
        if added > 0 && self.stored != self.told {
            self.told = self.stored;
            text.extend_from_slice(format!("<a xmlns='{NAMESPACE}' h='{}'/>", self.stored).as_bytes());
        }
        if before == 0 && added > 0 {
            self.asked_at = Some(now);
        }
        self.since_asked = self.since_asked.saturating_add(added);
        let is_due = self.since_asked >= stanzas || self.request_at(after).is_some_and(|at| at <= now);
        if is_due && !self.asked && !self.sent.is_empty() {
            self.asked = true;
            self.since_asked = 0;
            self.asked_at = Some(now);
            text.extend_from_slice(format!("<r xmlns='{NAMESPACE}'/>").as_bytes());
        }
    }

    /// When the peer is asked, if nothing else makes us speak.
    pub(super) fn request_at(&self, after: Duration) -> Option<Instant> {
        let wants = !self.asked && !self.sent.is_empty();
        self.asked_at.filter(|_| wants).map(|at| at + after)
    }

    /// The peer's count.
    //= xmpp/LINK-021
    pub(super) fn on_count(&mut self, count: u32) -> Counted {
        let new = usize::try_from(count.wrapping_sub(self.counted)).unwrap_or(usize::MAX);
        if new > self.sent.len() {
            let sent = self.counted.wrapping_add(u32::try_from(self.sent.len()).unwrap_or(u32::MAX));
            return Counted::TooHigh { count, sent };
        }
        self.asked = false;
        self.counted = count;
        Counted::Done(self.sent.drain(..new).collect())
    }

    /// For tests of the wrap.
    #[cfg(test)]
    pub(super) fn set_counted(&mut self, counted: u32) {
        self.counted = counted;
    }
}

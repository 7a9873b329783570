//! Management D_PDUs: orderwire messages with an acknowledgement, stop and wait (C.6.4, fact sheet 4.6).

use std::collections::VecDeque;

use super::limits::MANAGEMENT_MESSAGES_MAX;
use crate::bytes::Bytes;
use crate::s5066::node::dpdu::{Eow, ManagementPart};

/// Both ends towards one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Management {
    waiting: VecDeque<(Eow, Option<Bytes>)>,
    /// The number of the message that is under way or comes next.
    tx_id: u8,
    /// Answers to it that did not come.
    tries: u32,
    awaiting: bool,
    in_air: bool,
    /// The number of the last message heard; none is out of range.
    rx_id: Option<u8>,
    /// An acknowledgement of this message is owed.
    owed: Option<u8>,
}

impl Management {
    /// Takes a message, once if the same waits already; `false` when too many wait.
    pub(super) fn submit(&mut self, eow: Eow, extended: Option<Bytes>) -> bool {
        let message = (eow, extended);
        let is_there = self.waiting.contains(&message);
        let room = self.waiting.len() < MANAGEMENT_MESSAGES_MAX;
        if room && !is_there {
            self.waiting.push_back(message);
        }
        room || is_there
    }

    /// Whether a message could be sent now.
    pub(super) fn wants_air(&self) -> bool {
        !self.waiting.is_empty() && !self.awaiting && !self.in_air
    }

    /// Whether an answer is awaited.
    pub(super) const fn awaits(&self) -> bool {
        self.awaiting
    }

    /// Whether an acknowledgement is owed.
    pub(super) const fn owes(&self) -> bool {
        self.owed.is_some()
    }

    /// Whether a message of ours waits, or its answer.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty() || self.awaiting
    }

    /// Nothing waits, nothing is owed.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.owed.is_none()
    }

    /// The message for a transmission; an acknowledgement that is owed rides along.
    //= s5066/DTS-015
    pub(super) fn choose(&mut self) -> Option<(Eow, ManagementPart)> {
        let (eow, extended) = self.waiting.front().filter(|_| self.wants_air()).cloned()?;
        self.in_air = true;
        // The acknowledgement names nothing, so it can ride with any message: copies keep the number of the message.
        let ack = self.owed.is_some();
        Some((eow, ManagementPart { valid: true, ack, frame_id: self.tx_id, extended }))
    }

    /// The acknowledgement alone, if one is owed.
    pub(super) fn ack(&self) -> Option<ManagementPart> {
        self.owed.map(|frame_id| ManagementPart { valid: false, ack: true, frame_id, extended: None })
    }

    /// A management D_PDU has left the air, or at least begun to.
    pub(super) fn sent(&mut self, part: &ManagementPart) {
        if part.ack {
            self.owed = None;
        }
        if part.valid {
            (self.in_air, self.awaiting) = (false, true);
        }
    }

    /// A message has not begun after all.
    pub(super) const fn unchoose(&mut self) {
        self.in_air = false;
    }

    /// The answer did not come. `true` when the message is given up after so many repetitions.
    //= s5066/DTS-015
    pub(super) fn unanswered(&mut self, retries: u32) -> bool {
        if !std::mem::take(&mut self.awaiting) {
            return false;
        }
        self.tries += 1;
        let over = self.tries > retries;
        if over {
            self.finish();
        }
        over
    }

    /// Takes a management D_PDU: whether it acknowledges our message, and whether its own is new.
    //= s5066/DTS-015
    pub(super) fn heard(&mut self, part: &ManagementPart) -> (bool, bool) {
        let acked = part.ack && self.awaiting;
        if acked {
            self.finish();
        }
        let new = part.valid && self.rx_id != Some(part.frame_id);
        if part.valid {
            (self.rx_id, self.owed) = (Some(part.frame_id), Some(part.frame_id));
        }
        (acked, new)
    }

    fn finish(&mut self) {
        self.waiting.pop_front();
        self.tx_id = self.tx_id.wrapping_add(1);
        (self.tries, self.awaiting, self.in_air) = (0, false, false);
    }
}

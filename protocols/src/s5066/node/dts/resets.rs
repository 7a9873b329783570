//! RESET/WIN-RESYNC D_PDUs: what is pending here, and what a node commands (C.3.6, C.6.5, fact sheet 5.2).
//!
//! The end that finds that both no longer speak of the same window asks for one window, which leaves the other direction
//! alone; when that is not answered it commands both. While anything is pending no D_PDUs of types 0 to 2 are sent or
//! taken, and none of types 4 and 5 while both windows are to begin anew: what was expedited begins anew with them.
//! Commands carry numbers; a repeated one is acknowledged and not carried out again.

use super::limits::{RESETS_MAX, RESETS_SPAN};
use crate::s5066::node::dpdu::ResetPart;
use crate::time::Instant;

/// What we asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Pending {
    /// Both windows begin anew.
    Full,
    /// The sender there begins its window anew.
    TheirTransmit,
    /// The receiver there sets its window to this number.
    TheirReceive(u8),
}

/// What a node's message means for our windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ResetOrder {
    /// Nothing.
    None,
    /// Begin both anew.
    Both,
    /// Begin the transmit window anew, then tell the number by [`Resets::begin`].
    Transmit,
    /// Begin the receive window anew at this number.
    Receive(u8),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Resets {
    pending: Option<Pending>,
    frame_id: u8,
    tries: u32,
    awaiting: bool,
    in_air: bool,
    owes_ack: bool,
    /// We commanded a full one, and no data has come since.
    commanded: bool,
    /// The number of the last command carried out.
    heard_id: Option<u8>,
    /// Commands carried out lately.
    lately: (Instant, usize),
}

impl Resets {
    /// Our messages are numbered from here.
    pub(super) const fn new(frame_id: u8) -> Self {
        Self {
            pending: None,
            frame_id,
            tries: 0,
            awaiting: false,
            in_air: false,
            owes_ack: false,
            commanded: false,
            heard_id: None,
            lately: (Instant::ZERO, 0),
        }
    }

    /// Begins a reset; a full one takes the place of any other.
    //= s5066/DTS-016
    pub(super) fn begin(&mut self, pending: Pending) {
        if self.pending == Some(Pending::Full) || self.pending == Some(pending) {
            return;
        }
        self.pending = Some(pending);
        self.frame_id = self.frame_id.wrapping_add(1);
        (self.tries, self.awaiting, self.in_air) = (0, false, false);
    }

    /// The link ended: nothing is to be answered any more, and what of it is in the air counts for nothing.
    pub(super) const fn end(&mut self) {
        *self = Self::new(self.frame_id.wrapping_add(1));
    }

    /// What is pending.
    pub(super) const fn pending(&self) -> Option<Pending> {
        self.pending
    }

    /// Whether both windows are to begin anew: until that is answered nothing else with ARQ is sent or taken.
    pub(super) const fn pends_full(&self) -> bool {
        matches!(self.pending, Some(Pending::Full))
    }

    /// Whether a command or request could be sent now.
    pub(super) const fn wants_air(&self) -> bool {
        self.pending.is_some() && !self.awaiting && !self.in_air
    }

    /// Whether an answer is awaited.
    pub(super) const fn awaits(&self) -> bool {
        self.awaiting
    }

    /// Whether an acknowledgement is owed.
    pub(super) const fn owes(&self) -> bool {
        self.owes_ack
    }

    /// The command or request for a transmission.
    pub(super) fn choose(&mut self) -> Option<ResetPart> {
        let pending = self.pending.filter(|_| self.wants_air())?;
        self.in_air = true;
        let mut part = ResetPart { frame_id: self.frame_id, ..ResetPart::default() };
        match pending {
            Pending::Full => (part.full_command, self.commanded) = (true, true),
            Pending::TheirTransmit => part.tx_window_request = true,
            Pending::TheirReceive(lwe) => (part.rx_window_command, part.new_rx_lwe) = (true, lwe),
        }
        Some(part)
    }

    /// The acknowledgement, if one is owed.
    pub(super) fn ack(&self) -> Option<ResetPart> {
        self.owes_ack.then(|| ResetPart { ack: true, ..ResetPart::default() })
    }

    /// A message has left the air, or at least begun to.
    pub(super) fn sent(&mut self, part: &ResetPart) {
        if part.ack {
            self.owes_ack = false;
        } else if part.frame_id == self.frame_id {
            (self.in_air, self.awaiting) = (false, true);
        }
    }

    /// A message has not begun after all.
    pub(super) const fn unchoose(&mut self) {
        self.in_air = false;
    }

    /// The answer did not come. `true` when not even a full reset was answered so often.
    pub(super) fn unanswered(&mut self, retries: u32) -> bool {
        if !std::mem::take(&mut self.awaiting) {
            return false;
        }
        self.tries += 1;
        if self.tries <= retries {
            return false;
        }
        match self.pending {
            Some(Pending::Full) => {
                self.pending = None;
                true
            }
            Some(Pending::TheirTransmit | Pending::TheirReceive(_)) | None => {
                self.begin(Pending::Full);
                false
            }
        }
    }

    /// Takes a message of the other end. `None`: it commands more often than can be right.
    //= s5066/DTS-016
    pub(super) fn heard(&mut self, now: Instant, part: &ResetPart) -> Option<ResetOrder> {
        if part.ack {
            return Some(self.on_ack());
        }
        if part.tx_window_request {
            let asked = self.pending.is_none() && !self.is_repeat(part);
            return if asked { self.count(now, part).then_some(ResetOrder::Transmit) } else { Some(ResetOrder::None) };
        }
        if !part.full_command && !part.rx_window_command {
            return Some(ResetOrder::None);
        }
        if self.is_repeat(part) {
            self.owes_ack = true;
            return Some(ResetOrder::None);
        }
        if !self.count(now, part) {
            return None;
        }
        self.owes_ack = true;
        if part.full_command {
            self.pending = self.pending.filter(|pending| *pending == Pending::Full);
            return Some(ResetOrder::Both);
        }
        self.pending = self.pending.filter(|pending| *pending != Pending::TheirTransmit);
        Some(ResetOrder::Receive(part.new_rx_lwe))
    }

    /// A D_PDU of types 0 to 2 came: whoever sends those has nothing pending, so that what it commands after them is new,
    /// also when it began anew and its number is the one that was heard last.
    pub(super) const fn data_heard(&mut self) {
        (self.heard_id, self.commanded) = (None, false);
    }

    /// Whether we commanded a full reset lately: both may, at once.
    pub(super) const fn has_commanded(&self) -> bool {
        self.commanded
    }

    fn on_ack(&mut self) -> ResetOrder {
        // An acknowledgement names no number; it counts only for what has been on the air.
        if !std::mem::take(&mut self.awaiting) {
            return ResetOrder::None;
        }
        match self.pending {
            Some(Pending::Full) => {
                self.pending = None;
                ResetOrder::Both
            }
            Some(Pending::TheirReceive(_)) => {
                self.pending = None;
                ResetOrder::None
            }
            // The window itself is the answer.
            Some(Pending::TheirTransmit) | None => ResetOrder::None,
        }
    }

    fn is_repeat(&self, part: &ResetPart) -> bool {
        self.heard_id == Some(part.frame_id)
    }

    /// Counts a new command; `false` when there are too many.
    fn count(&mut self, now: Instant, part: &ResetPart) -> bool {
        self.heard_id = Some(part.frame_id);
        if now.since(self.lately.0) > RESETS_SPAN {
            self.lately = (now, 0);
        }
        self.lately.1 += 1;
        self.lately.1 <= RESETS_MAX
    }
}

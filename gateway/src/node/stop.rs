//! The end in good order: nothing new is taken, what is on its way to the disk is answered truly, and dialogues with
//! local MTAs may end, so that a restart repeats none of them.

use skywave_protocols::time::{Duration, Now};

use super::steps::AnswerTo;
use super::{Node, Output, Pending};
use crate::queue::record::{HopKey, HopState};
use crate::store::Batch;

/// How long the end waits for the disk and the local MTAs.
const STOP_WAIT: Duration = Duration::from_secs(10);

impl Node {
    pub(super) fn stop(&mut self, now: Now) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.stop_chat(now);
        self.stop_at = Some(now.mono + STOP_WAIT);
        let waiting: Vec<HopKey> = self.lanes.all_waiting().cloned().collect();
        waiting.iter().for_each(|key| self.unmark(key));
        for pipe in self.sessions.pipes() {
            // Whose mail is on its way to the disk is told what became of it first.
            if !self.storekeeper.is_accepting(|answer| *answer == AnswerTo::Session(pipe)) {
                self.session_stop(now, pipe);
            }
        }
    }

    /// A mail that got the mark of an open hand-over in this run, and never a place, loses it: the next run need not
    /// announce it as a possible duplicate.
    pub(super) fn unmark(&mut self, key: &HopKey) {
        let marked_here = self.started_ticket.is_none_or(|first| key.ticket >= first)
            || self.mta.was_marked_here((key.ticket, key.hop));
        let Some(record) = self.mails.record_mut(key.ticket).filter(|_| marked_here) else { return };
        let hop = &mut record.hops[usize::from(key.hop)];
        if hop.state == HopState::Open && self.mta.is_door(&key.lane) {
            hop.state = HopState::Waiting;
            let writes = vec![record.put()];
            self.save_notes(key.ticket, Batch { writes, ..Batch::default() });
        }
    }

    /// Says that the site has ended once nothing is under way that a restart would repeat.
    pub(super) fn stop_if_done(&mut self, now: Now) {
        let Some(at) = self.stop_at else { return };
        let handing = |pending: &Pending| matches!(pending, Pending::HandOver { .. } | Pending::Convert { .. });
        let closing = self.chat.chat.as_ref().is_some_and(|chat| chat.is_closing());
        let busy = closing || self.storekeeper.is_busy() || self.pending.values().any(handing);
        if busy && now.mono < at {
            return;
        }
        self.stop_at = None;
        for pipe in self.sessions.pipes() {
            self.session_stop(now, pipe);
        }
        self.out.push_back(Output::Stopped);
    }
}

//! Keys that servers show us: who is to judge them, and who waits for the judgement.

use super::event::ConnId;
use super::limits::{VERIFICATION_WAIT, VERIFICATIONS_MAX};
use super::outlet::{Outlet, Place};
use super::{Door, Timer};
use crate::time::Now;
use crate::xmpp::dialback::Verdict;
use crate::xmpp::stream::Question;

/// One key under judgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// The stream on which it was shown.
    pub asker: ConnId,
}

impl Door {
    /// A key was shown on a stream: it goes to the server of its domain, on another stream.
    //= xmpp/DBK-005
    //= xmpp/DBK-009
    pub(super) fn want_verdict(&mut self, now: Now, asker: ConnId, question: Question) {
        if self.questions.len() >= VERIFICATIONS_MAX || self.stopping {
            return self.answer_asker(asker, &question, Verdict::Error("resource-constraint".to_owned()));
        }
        self.questions.insert(question.clone(), Asking { asker });
        self.timers.set(Timer::Question(question.clone()), now.mono + VERIFICATION_WAIT);
        if let Some(id) = self.stream_to_ask(&question.pair.theirs, asker) {
            if let Some(stream) = self.conns.get_mut(&id).and_then(|conn| conn.stream.server())
                && stream.ask(question.clone())
            {
                return self.stirred.push_back(id);
            }
            return self.have_verdict(&question, Verdict::Error("resource-constraint".to_owned()));
        }
        let pair = question.pair.clone();
        let outlet = self.outlets.entry(pair.clone()).or_insert_with(|| Outlet::new(Place::Idle));
        // Bidirectional streams attach the outlet to the very stream that asks: that one must not judge itself.
        if outlet.place == Place::Attached(asker) || outlet.place == Place::Component {
            return self.have_verdict(&question, Verdict::Error("remote-connection-failed".to_owned()));
        }
        outlet.questions.push_back(question);
        self.ripe.push_back(pair);
    }

    /// A key was judged, or nobody could.
    pub(super) fn have_verdict(&mut self, question: &Question, verdict: Verdict) {
        self.timers.clear(&Timer::Question(question.clone()));
        if let Some(Asking { asker }) = self.questions.remove(question) {
            self.answer_asker(asker, question, verdict);
        }
    }

    fn answer_asker(&mut self, asker: ConnId, question: &Question, verdict: Verdict) {
        if let Some(stream) = self.conns.get_mut(&asker).and_then(|conn| conn.stream.server()) {
            stream.answer(&question.pair, verdict);
            self.stirred.push_back(asker);
        }
    }

    pub(super) fn question_lapsed(&mut self, question: &Question) {
        self.have_verdict(question, Verdict::Error("remote-server-timeout".to_owned()));
    }

    /// A stream is over: its own keys need no judgement, and what it was asked gets none.
    pub(super) fn questions_lost(&mut self, id: ConnId, unanswered: Vec<Question>) {
        for question in unanswered {
            self.have_verdict(&question, Verdict::Error("remote-connection-failed".to_owned()));
        }
        let own: Vec<Question> =
            self.questions.iter().filter(|(_, it)| it.asker == id).map(|(it, _)| it.clone()).collect();
        for question in own {
            self.questions.remove(&question);
            self.timers.clear(&Timer::Question(question));
        }
    }
}

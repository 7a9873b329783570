//! Dialback on a stream, in all three roles: showing keys, judging ours, and having others judged.

use minidom::Element;

use super::end::{StreamEnd, shortened};
use super::limits::{DOMAINS_MAX, KEY_OCTETS_MAX, KEYS_JUDGED_MAX, QUESTIONS_MAX};
use super::{Asked, Pair, Phase, Question, Role, S2s, StreamEvent};
use crate::xmpp::dialback::{Dialback, Verdict, key, same};
use crate::xmpp::door::config::ServerAuth;

impl S2s {
    /// Has a key judged here, by the server of the domain that it should be from. [`StreamEvent::Verdict`] follows, or the
    /// end. False: no more can be asked.
    pub fn ask(&mut self, question: Question) -> bool {
        if self.questions.len() + self.asked.len() >= QUESTIONS_MAX {
            return false;
        }
        self.questions.push_back(question);
        self.proceed();
        true
    }

    /// The key that the peer showed for this pair was judged.
    //= xmpp/DBK-004
    pub fn answer(&mut self, pair: &Pair, verdict: Verdict) {
        if !self.judged.remove(pair) || self.phase == Phase::Over {
            return;
        }
        let valid = verdict == Verdict::Valid;
        let invalid = verdict == Verdict::Invalid;
        self.answer_result(pair, verdict);
        if valid {
            self.speaks_for(pair.theirs.clone(), pair.ours.clone());
        } else if invalid {
            self.notice(
                "chat.dialback_invalid",
                true,
                format!("a wrong key for {} towards {}", pair.theirs, pair.ours),
            );
            //= xmpp/DBK-008
            if !self.is_established() && self.judged.is_empty() {
                self.end(StreamEnd::Refused("not-authorized", "the key is wrong"));
            }
        }
    }

    fn answer_result(&mut self, pair: &Pair, verdict: Verdict) {
        let answer = Dialback::ResultAnswer { from: pair.ours.clone(), to: pair.theirs.clone(), verdict };
        self.write(&answer.element());
    }

    pub(super) fn on_dialback(&mut self, element: &Element) {
        //= xmpp/STREAM-005
        if !self.secured && self.config.tls_required {
            return self.end(StreamEnd::Refused("policy-violation", "dialback before TLS"));
        }
        match Dialback::parse(element) {
            Some(Dialback::Result { from, to, key }) => self.on_result(Pair { ours: to, theirs: from }, key),
            Some(Dialback::ResultAnswer { from, to, verdict }) => {
                self.on_result_answer(Pair { ours: to, theirs: from }, verdict);
            }
            Some(Dialback::Verify { from, to, id, key }) => self.on_verify(from, to, id, &key),
            Some(Dialback::VerifyAnswer { from, to, id, verdict }) => {
                self.on_verify_answer(Pair { ours: to, theirs: from }, id, verdict);
            }
            None => self.end(StreamEnd::Refused("improper-addressing", "an element of dialback that means nothing")),
        }
    }

    /// The peer shows a key: somebody else must judge it, never this connection.
    //= xmpp/DBK-003
    //= xmpp/DBK-009
    fn on_result(&mut self, pair: Pair, key: String) {
        let expected = self.role == Role::Receiving || self.bidi;
        let server = self.config.server_of(&pair.theirs);
        let refusal = if !self.config.fronts(&pair.ours) {
            Some("item-not-found")
        } else if !expected || self.config.fronts(&pair.theirs) || server.is_none() {
            Some("policy-violation")
        } else if server.is_some_and(|server| server.auth == ServerAuth::External) {
            Some("not-authorized")
        } else if self.judged.len() >= KEYS_JUDGED_MAX || self.theirs.len() >= DOMAINS_MAX {
            Some("resource-constraint")
        } else {
            None
        };
        if let Some(condition) = refusal {
            return self.answer_result(&pair, Verdict::Error(condition.to_owned()));
        }
        if key.is_empty() || key.len() > KEY_OCTETS_MAX {
            return self.answer_result(&pair, Verdict::Invalid);
        }
        // A key shown twice is judged once.
        if self.judged.insert(pair.clone()) {
            self.events.push_back(StreamEvent::WantVerdict(Question { pair, id: self.id.clone(), key }));
        }
    }

    //= xmpp/DBK-004
    fn on_result_answer(&mut self, pair: Pair, verdict: Verdict) {
        if self.ours.get(&pair) != Some(&Asked::Shown) {
            let detail = format!("{} answers about {}, which was not asked", pair.theirs, pair.ours);
            return self.notice("chat.dialback_unasked", true, shortened(&detail));
        }
        match verdict {
            Verdict::Valid => self.pair_is_ready(pair),
            Verdict::Invalid | Verdict::Error(_) => {
                self.ours.remove(&pair);
                self.events.push_back(StreamEvent::PairRefused { pair, verdict });
            }
        }
    }

    /// The peer asks whether a key is ours: the key itself says so.
    //= xmpp/DBK-002
    fn on_verify(&mut self, from: String, to: String, id: String, shown: &str) {
        let verdict = if !self.config.fronts(&to) {
            Verdict::Error("item-not-found".to_owned())
        } else if same(shown, &key(&self.config.dialback_secret, &from, &to, &id)) {
            Verdict::Valid
        } else {
            self.notice("chat.dialback_forged", true, shortened(&format!("{from} was shown a wrong key for {to}")));
            Verdict::Invalid
        };
        self.write(&Dialback::VerifyAnswer { from: to, to: from, id, verdict }.element());
    }

    //= xmpp/DBK-005
    fn on_verify_answer(&mut self, pair: Pair, id: String, verdict: Verdict) {
        match self.asked.remove(&(pair.clone(), id)) {
            Some(question) => self.events.push_back(StreamEvent::Verdict(question, verdict)),
            None => {
                let detail = format!("{} judges a key that was not asked about", pair.theirs);
                self.notice("chat.dialback_unasked", true, shortened(&detail));
            }
        }
        self.proceed();
    }

    /// Shows our keys for the pairs that are wanted.
    //= xmpp/DBK-003
    pub(super) fn show_keys(&mut self) {
        let wanted = |(pair, asked): (&Pair, &Asked)| (*asked == Asked::Wanted).then(|| pair.clone());
        let wanted: Vec<Pair> = self.ours.iter().filter_map(wanted).collect();
        if wanted.is_empty() {
            return;
        }
        let only_external = self.server.as_ref().is_some_and(|server| server.auth == ServerAuth::External);
        if only_external || self.id.is_empty() || !(self.offer.dialback || self.knows_dialback) {
            if !self.is_established() {
                self.end(StreamEnd::Impossible("the server offers no way to show who we are"));
            } else {
                for pair in wanted {
                    self.ours.remove(&pair);
                    let verdict = Verdict::Error("policy-violation".to_owned());
                    self.events.push_back(StreamEvent::PairRefused { pair, verdict });
                }
            }
            return;
        }
        self.request_bidi();
        for pair in wanted {
            let key = key(&self.config.dialback_secret, &pair.theirs, &pair.ours, &self.id);
            self.write(&Dialback::Result { from: pair.ours.clone(), to: pair.theirs.clone(), key }.element());
            self.ours.insert(pair, Asked::Shown);
        }
    }

    /// Asks about the keys that wait.
    //= xmpp/DBK-005
    pub(super) fn ask_questions(&mut self) {
        while let Some(question) = self.questions.pop_front() {
            let Question { pair, id, key } = &question;
            let verify =
                Dialback::Verify { from: pair.ours.clone(), to: pair.theirs.clone(), id: id.clone(), key: key.clone() };
            self.write(&verify.element());
            self.asked.insert((pair.clone(), id.clone()), question);
        }
    }

    /// The questions that got no answer, when it is over.
    pub fn take_questions(&mut self) -> Vec<Question> {
        let asked = std::mem::take(&mut self.asked);
        self.questions.drain(..).chain(asked.into_values()).collect()
    }
}

//! The stand-in for a site's local MTA: takes hand-overs, answers by plan, keeps what it took with its time.
//!
//! The dialogue itself is the shell's; here only its outcomes are played, every one that `HandOverOutcome` can name.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::Instant;

use crate::node::seam::{HandOver, HandOverOutcome, Needs, SmtpReply};

/// How the MTA answers at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mood {
    /// It takes everything but the addresses it refuses.
    #[default]
    Takes,
    /// Nobody answers at its port.
    Down,
    /// Every recipient gets a 451.
    Defers,
    /// Every recipient gets a 550.
    Refuses,
    /// The connection breaks after the text; it has taken it.
    BreaksAfterTaking,
    /// The connection breaks after the text; it has not taken it.
    BreaksBeforeTaking,
    /// It lacks something.
    Lacks(Needs),
    /// It lacks DELIVERBY.
    LacksDeliverBy,
}

/// A mail that the MTA has taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// Reverse path; empty for the null path.
    pub from: String,
    /// Forward paths it took.
    pub to: Vec<String>,
    /// The Message-ID of its header, with brackets; empty without one.
    pub message_id: String,
    /// Its subject.
    pub subject: String,
    /// The MT-PRIORITY it came with.
    pub mt_priority: Option<i8>,
    /// The seconds that DELIVERBY left it.
    pub by_seconds: Option<i64>,
    /// The text.
    pub text: Bytes,
}

/// The MTA. See the module's page.
#[derive(Debug, Default)]
pub struct LocalMta {
    /// How it answers.
    pub mood: Mood,
    /// Whether it offers MT-PRIORITY.
    pub offers_mt_priority: bool,
    /// Whether it offers DSN.
    pub offers_dsn: bool,
    refusals: BTreeMap<String, u16>,
    received: Vec<Received>,
}

impl LocalMta {
    /// An MTA that offers everything and takes everything.
    pub fn new() -> Self {
        Self { offers_mt_priority: true, offers_dsn: true, ..Self::default() }
    }

    /// Answers mail for an address with this code from now on; 250 ends it.
    pub fn answer_with(&mut self, address: &str, code: u16) {
        if code / 100 == 2 {
            self.refusals.remove(address);
        } else {
            self.refusals.insert(address.to_owned(), code);
        }
    }

    /// What it has taken, oldest first.
    pub fn received(&self) -> &[Received] {
        &self.received
    }

    /// Whether this hand-over's text will be asked for.
    pub fn wants_text(&self, hand_over: &HandOver) -> bool {
        match self.mood {
            Mood::Down => false,
            Mood::Lacks(needs) => !lacks(needs, hand_over.needs),
            Mood::LacksDeliverBy => !hand_over.needs_deliver_by,
            Mood::BreaksBeforeTaking | Mood::BreaksAfterTaking | Mood::Takes | Mood::Defers | Mood::Refuses => true,
        }
    }

    /// Plays the dialogue with the text that was sent.
    pub fn take(&mut self, at: Instant, hand_over: &HandOver, text: Bytes) -> HandOverOutcome {
        let broken = |why: &str, in_doubt| HandOverOutcome::Broken { why: why.to_owned(), in_doubt };
        match self.mood {
            Mood::Down => broken("connection refused", false),
            Mood::Lacks(needs) if lacks(needs, hand_over.needs) => HandOverOutcome::Lacks(needs),
            Mood::LacksDeliverBy if hand_over.needs_deliver_by => HandOverOutcome::LacksDeliverBy,
            Mood::BreaksBeforeTaking => broken("connection lost after end of data", true),
            Mood::BreaksAfterTaking => {
                self.keep(at, hand_over, text, |_| 250);
                broken("connection lost after end of data", true)
            }
            Mood::Takes | Mood::Lacks(_) | Mood::LacksDeliverBy => {
                let refusals = self.refusals.clone();
                self.keep(at, hand_over, text, |to| refusals.get(to).copied().unwrap_or(250))
            }
            Mood::Defers => self.keep(at, hand_over, text, |_| 451),
            Mood::Refuses => self.keep(at, hand_over, text, |_| 550),
        }
    }

    fn keep(&mut self, at: Instant, hand_over: &HandOver, text: Bytes, code: impl Fn(&str) -> u16) -> HandOverOutcome {
        let recipients = hand_over.envelope.recipients.iter().map(|recipient| recipient.to.to_string());
        let replies: Vec<(String, u16)> = recipients.map(|to| (to.clone(), code(&to))).collect();
        let to: Vec<String> = replies.iter().filter(|(_, code)| *code == 250).map(|(to, _)| to.clone()).collect();
        if !to.is_empty() {
            let by = hand_over.envelope.mail.by.filter(|_| self.mood != Mood::LacksDeliverBy);
            let mt_priority = hand_over.envelope.mail.mt_priority.filter(|_| self.offers_mt_priority);
            self.received.push(Received {
                at,
                from: hand_over.envelope.sender.as_ref().map(ToString::to_string).unwrap_or_default(),
                to,
                message_id: header(&text, "message-id").unwrap_or_default(),
                subject: header(&text, "subject").unwrap_or_default(),
                mt_priority: mt_priority.map(|priority| priority.value()),
                by_seconds: by.map(|by| by.seconds),
                text,
            });
        }
        let replies = replies.into_iter().map(|(_, code)| reply(code)).collect();
        let deliver_by = self.mood != Mood::LacksDeliverBy;
        HandOverOutcome::Replies { server: "mta.test".to_owned(), replies, dsn: self.offers_dsn, deliver_by }
    }
}

const fn lacks(offered_not: Needs, needed: Needs) -> bool {
    (offered_not.eight_bit && needed.eight_bit)
        || (offered_not.binary && needed.binary)
        || (offered_not.utf8 && needed.utf8)
}

fn reply(code: u16) -> SmtpReply {
    let (enhanced, text) = match code {
        250 => ("2.0.0", "taken"),
        451 => ("4.3.0", "try again later"),
        452 => ("4.2.2", "mailbox full"),
        _ => ("5.1.1", "no such mailbox"),
    };
    SmtpReply { code, enhanced: Some(enhanced.to_owned()), text: text.to_owned() }
}

/// The first header field of this name (in lower case), unfolded.
pub fn header(text: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let mut value: Option<String> = None;
    for line in text.split("\r\n").take_while(|line| !line.is_empty()) {
        match &mut value {
            Some(value) if line.starts_with([' ', '\t']) => value.push_str(line),
            Some(_) => break,
            None => {
                let field = line.split_once(':').filter(|(field, _)| field.trim().eq_ignore_ascii_case(name));
                value = field.map(|(_, rest)| rest.trim().to_owned());
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use skywave_protocols::message::address::Mailbox;
    use skywave_protocols::message::mail::{Envelope, MailParameters, Recipient};

    use super::*;
    use crate::node::seam::ConnectionClass;

    fn hand_over(to: &[&str]) -> HandOver {
        let recipients = to.iter().map(|to| Recipient::plain(Mailbox::parse(to).unwrap())).collect();
        HandOver {
            target: "mta:25".to_owned(),
            class: ConnectionClass::Normal,
            keep_open_seconds: None,
            hello: "hq.test".to_owned(),
            envelope: Envelope { sender: None, mail: MailParameters::default(), recipients },
            content: Vec::new(),
            content_without_mt_priority: None,
            needs: Needs::default(),
            needs_deliver_by: false,
        }
    }

    #[test]
    fn it_answers_by_plan_and_keeps_what_it_took() {
        let text = Bytes::from_static(b"Message-ID: <1@x>\r\nSubject: a\r\n b\r\n\r\nSubject: no\r\n");
        for (mood, kept, codes) in [
            (Mood::Takes, 1, &[250, 552][..]),
            (Mood::Down, 0, &[]),
            (Mood::Defers, 0, &[451, 451]),
            (Mood::Refuses, 0, &[550, 550]),
            (Mood::BreaksAfterTaking, 1, &[]),
            (Mood::BreaksBeforeTaking, 0, &[]),
            (Mood::Lacks(Needs { eight_bit: true, ..Needs::default() }), 1, &[250, 552]),
        ] {
            let mut mta = LocalMta { mood, ..LocalMta::default() };
            mta.answer_with("full@f.test", 552);
            let outcome = mta.take(Instant::ZERO, &hand_over(&["a@f.test", "full@f.test"]), text.clone());
            let got: Vec<u16> = match outcome {
                HandOverOutcome::Replies { replies, .. } => replies.iter().map(|reply| reply.code).collect(),
                HandOverOutcome::Broken { .. } | HandOverOutcome::Lacks(_) | HandOverOutcome::LacksDeliverBy => {
                    Vec::new()
                }
            };
            assert_eq!((mta.received().len(), got.as_slice()), (kept, codes), "{mood:?}");
            for mail in mta.received() {
                assert_eq!((mail.message_id.as_str(), mail.subject.as_str()), ("<1@x>", "a b"));
            }
        }
    }
}

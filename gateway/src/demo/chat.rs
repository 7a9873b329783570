//! The sample conversation of the demonstration, and what became of each line.
//!
//! One line after the other: each is said when the one before was heard, and the last two while the long mail is on the
//! air, which they must not wait for.

use std::collections::BTreeMap;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::WallTime;

use super::samples::Start;
use crate::telemetry::{Event, StanzaFate, StanzaLine};

/// What is kept of stanzas whose line is not known yet.
const EARLY_MAX: usize = 64;

/// A line of the conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The index of the site where it is said.
    pub site: usize,
    /// By whom there: the part before the `@`.
    pub user: &'static str,
    /// To whom.
    pub to: &'static str,
    /// At the earliest.
    pub start: Start,
    /// The words.
    pub text: String,
}

/// The whole conversation; the texts are different in every demonstration, so that they are recognised.
pub fn lines(seed: u64) -> Vec<Line> {
    let line = |site, start, text: &str| {
        let (user, to) = if site == 0 { ("alice", "bob@field.test") } else { ("bob", "alice@hq.test") };
        Line { site, user, to, start, text: format!("{text} [{seed:x}]") }
    };
    vec![
        line(0, Start::AtOnce, "Field, this is headquarters. How do you read?"),
        line(1, Start::AtOnce, "Loud & clear. Weather is closing in."),
        line(0, Start::WhileLong, "A survey of 200 KB is on its way to you."),
        line(1, Start::WhileLong, "Understood, we do not wait for it."),
    ]
}

impl Line {
    /// The addresses, without resources, from and to.
    pub fn ends(&self) -> (String, &'static str) {
        let site = if self.site == 0 { "hq" } else { "field" };
        (format!("{}@{site}.test", self.user), self.to)
    }
}

/// What became of a line.
#[derive(Clone, PartialEq, Debug)]
pub struct LineFate {
    /// What was said.
    pub line: Line,
    /// Its id.
    pub id: String,
    /// When it was said.
    pub said_at: Option<WallTime>,
    /// When the site had it.
    pub accepted_at: Option<WallTime>,
    /// Octets of the stanza.
    pub bytes: usize,
    /// When it was heard, each time.
    pub heard_at: Vec<WallTime>,
    /// When the site where it was said knew that the other has it.
    pub confirmed_at: Option<WallTime>,
    /// How urgent the site took it to be.
    pub precedence: Option<Precedence>,
    /// Octets handed to the link for the block that carries it.
    pub bytes_on_air: u64,
}

/// All lines.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Conversation {
    /// In their order.
    pub fates: Vec<LineFate>,
    /// By site and link: units of chat, and their octets.
    pub units_sent: BTreeMap<(usize, String), (u64, u64)>,
    /// What sites told of stanzas before their speaker had told us the id, with the time and the site.
    early: Vec<(WallTime, usize, StanzaLine)>,
}

impl Conversation {
    /// Nothing was said yet.
    pub fn new(seed: u64) -> Self {
        let fate = |line| LineFate {
            line,
            id: String::new(),
            said_at: None,
            accepted_at: None,
            bytes: 0,
            heard_at: Vec::new(),
            confirmed_at: None,
            precedence: None,
            bytes_on_air: 0,
        };
        Self { fates: lines(seed).into_iter().map(fate).collect(), units_sent: BTreeMap::new(), early: Vec::new() }
    }

    /// The number of the line that is to be said now. `started` tells whether what starts so has its time.
    pub fn due(&self, started: impl Fn(Start) -> bool) -> Option<usize> {
        let next = self.fates.iter().position(|fate| fate.said_at.is_none())?;
        let before_heard = next.checked_sub(1).is_none_or(|before| !self.fates[before].heard_at.is_empty());
        (before_heard && started(self.fates[next].line.start)).then_some(next)
    }

    /// The line with this number was said, as the stanza with this id.
    pub fn said(&mut self, number: usize, id: String) {
        let Some(fate) = self.fates.get_mut(number) else { return };
        fate.id = id;
        for (at, site, stanza) in std::mem::take(&mut self.early) {
            self.stanza(at, site, &stanza);
        }
    }

    /// Somebody at a site heard something; the line it is.
    pub fn heard(&mut self, at: WallTime, to: &str, text: &str) -> Option<&LineFate> {
        let fate = self.fates.iter_mut().find(|fate| fate.line.text == text && fate.line.to == to)?;
        fate.heard_at.push(at);
        Some(fate)
    }

    /// A site told something.
    pub fn told(&mut self, at: WallTime, site: usize, event: &Event) {
        match event {
            Event::Stanza(stanza) => self.stanza(at, site, stanza),
            Event::ChatBlock { bytes_sent, link, .. } => {
                let (units, bytes) = self.units_sent.entry((site, link.clone())).or_default();
                (*units, *bytes) = (*units + 1, *bytes + bytes_sent);
                // One line is under way at a time: the block that leaves behind it carries it.
                let mut fates = self.fates.iter_mut().filter(|fate| fate.line.site == site);
                if let Some(fate) = fates.rfind(|fate| fate.said_at.is_some() && fate.bytes_on_air == 0) {
                    fate.bytes_on_air = *bytes_sent;
                }
            }
            _other => {}
        }
    }

    fn stanza(&mut self, at: WallTime, site: usize, stanza: &StanzaLine) {
        let of_line = |fate: &&mut LineFate| fate.line.site == site && fate.id == stanza.id;
        let Some(fate) = self.fates.iter_mut().find(of_line) else {
            // Presence has no part in the conversation, and lines are few.
            if stanza.kind == "message" && self.early.len() < EARLY_MAX {
                self.early.push((at, site, stanza.clone()));
            }
            return;
        };
        match stanza.status {
            StanzaFate::Accepted => {
                (fate.accepted_at, fate.bytes) = (Some(at), stanza.bytes);
                fate.precedence = Some(stanza.precedence);
            }
            StanzaFate::Sent => fate.confirmed_at = Some(at),
            _other => {}
        }
    }

    /// Whether every line was heard.
    pub fn is_complete(&self) -> bool {
        self.fates.iter().all(|fate| !fate.heard_at.is_empty())
    }

    /// What did not go as it should, in words. `long_at` is when the long mail was delivered.
    pub fn faults(&self, long_at: Option<WallTime>) -> Vec<String> {
        let fault = |fate: &LineFate| match fate.heard_at.as_slice() {
            [] => Some(format!("{:?} was not heard by {}", fate.line.text, fate.line.to)),
            [at] if fate.line.start == Start::WhileLong && long_at.is_some_and(|long_at| *at > long_at) => {
                Some(format!("{:?} waited for the long mail", fate.line.text))
            }
            [_] => None,
            times => Some(format!("{:?} was heard by {} {} times", fate.line.text, fate.line.to, times.len())),
        };
        self.fates.iter().filter_map(fault).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_waits_for_the_one_before_and_for_its_time() {
        let mut conversation = Conversation::new(7);
        let at = WallTime::from_unix_seconds;
        assert_eq!(conversation.due(|start| start == Start::AtOnce), Some(0));
        for number in 0..4 {
            assert_eq!(conversation.due(|_| true), Some(number));
            conversation.fates[number].said_at = Some(at(10));
            assert_eq!(conversation.due(|_| true), None, "the line before was not heard");
            let line = conversation.fates[number].line.clone();
            assert!(conversation.heard(at(20), line.to, &line.text).is_some());
            assert_eq!(conversation.due(|start| start == Start::AtOnce), [Some(1), None, None, None][number]);
        }
        assert!(conversation.is_complete() && conversation.faults(Some(at(21))).is_empty());
        assert_eq!(conversation.faults(Some(at(19))).len(), 2, "those that are said while the long mail is on the air");
    }

    #[test]
    fn what_a_site_tells_before_the_id_is_known_counts() {
        let mut conversation = Conversation::new(7);
        let at = WallTime::from_unix_seconds;
        let stanza = StanzaLine {
            number: "c1".to_owned(),
            kind: "message",
            id: "x".to_owned(),
            from: String::new(),
            to: String::new(),
            peer: String::new(),
            bytes: 152,
            delay_seconds: 0.0,
            precedence: Precedence::Routine,
            status: StanzaFate::Accepted,
            text: String::new(),
        };
        conversation.told(at(3), 0, &Event::Stanza(Box::new(stanza)));
        conversation.said(0, "x".to_owned());
        assert_eq!((conversation.fates[0].accepted_at, conversation.fates[0].bytes), (Some(at(3)), 152));
    }

    #[test]
    fn what_was_not_heard_or_twice_is_named() {
        let mut conversation = Conversation::new(7);
        let line = conversation.fates[0].line.clone();
        for _ in 0..2 {
            conversation.heard(WallTime::from_unix_seconds(1), line.to, &line.text);
        }
        assert!(conversation.heard(WallTime::from_unix_seconds(1), "eve@field.test", &line.text).is_none());
        for bytes_sent in [40, 30] {
            let (peer, link) = ("field".to_owned(), "chat".to_owned());
            conversation.told(
                WallTime::from_unix_seconds(1),
                0,
                &Event::ChatBlock { peer, link, bytes_raw: 100, bytes_sent },
            );
        }
        assert_eq!(conversation.units_sent[&(0, "chat".to_owned())], (2, 70));
        let faults = conversation.faults(None);
        assert_eq!(faults.len(), 4);
        assert!(faults[0].contains("2 times"));
    }
}

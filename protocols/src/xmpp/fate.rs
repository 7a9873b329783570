//! What becomes of a stanza that cannot cross at once: how long it waits, whether on disk, and what happens then.
//!
//! One table, the fact sheet's section 14.2. Chat and subscriptions wait on disk and are never silently lost; presence is
//! replaced by newer presence; what only says that somebody is typing is not worth keeping.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::local::{Cause, is_from_room};
use super::ns;
use super::stanza::{Kind, Stanza};
use crate::message::precedence::Precedence;
use crate::time::Duration;

/// What a stanza is, as far as waiting is concerned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// A message from person to person.
    Chat,
    /// A message to a room.
    ToRoom,
    /// A message from a room to one occupant.
    FromRoom,
    /// A message that matters now or never.
    Headline,
    /// A message that answers another with an error.
    MessageError,
    /// Chat states, receipts and markers without anything said.
    Aside,
    /// Somebody is or is no longer available.
    Presence,
    /// Presence to or from a room or a single client.
    DirectedPresence,
    /// A question for presence.
    Probe,
    /// One of the four stanzas about subscriptions.
    Subscription,
    /// Presence of type error.
    PresenceError,
    /// An iq of type get or set.
    Request,
    /// An iq of type result or error.
    Response,
}

impl Meaning {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Chat,
        Self::ToRoom,
        Self::FromRoom,
        Self::Headline,
        Self::MessageError,
        Self::Aside,
        Self::Presence,
        Self::DirectedPresence,
        Self::Probe,
        Self::Subscription,
        Self::PresenceError,
        Self::Request,
        Self::Response,
    ];

    /// What the stanza is.
    pub fn of(stanza: &Stanza) -> Self {
        match stanza.kind() {
            Kind::Message => Self::of_message(stanza),
            Kind::Presence => Self::of_presence(stanza),
            Kind::Iq if matches!(stanza.typ(), Some("get" | "set")) => Self::Request,
            Kind::Iq => Self::Response,
        }
    }

    /// Whether it does no harm that the same comes again at once: it says how things are.
    pub const fn may_repeat(self) -> bool {
        matches!(self, Self::Aside | Self::Presence)
    }

    fn of_message(stanza: &Stanza) -> Self {
        match stanza.typ() {
            Some("error") => Self::MessageError,
            Some("groupchat") if is_from_room(stanza) => Self::FromRoom,
            _ if is_aside(stanza) => Self::Aside,
            Some("groupchat") => Self::ToRoom,
            Some("headline") => Self::Headline,
            // A type that nobody knows counts as normal (RFC 6121 section 5.2.2). Private words of an occupant come
            // from a room too: a refusal would go to the room.
            _ if is_from_room(stanza) => Self::FromRoom,
            _ => Self::Chat,
        }
    }

    fn of_presence(stanza: &Stanza) -> Self {
        match stanza.typ() {
            Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed") => Self::Subscription,
            Some("probe") => Self::Probe,
            Some("error") => Self::PresenceError,
            _ if is_directed(stanza) => Self::DirectedPresence,
            _ => Self::Presence,
        }
    }
}

/// Whether presence is to or from a room, or to a single client: it concerns nobody else.
pub fn is_directed(stanza: &Stanza) -> bool {
    stanza.to().resource().is_some()
        || (stanza.child(ns::MUC_USER, "x").is_some() && stanza.from().resource().is_some())
}

/// Whether a message says nothing that a person wrote: only chat states, receipts, markers and hints.
pub fn is_aside(stanza: &Stanza) -> bool {
    let mut seen = false;
    for child in stanza.element().children() {
        let aside = child.has_ns(ns::CHAT_STATES)
            || child.has_ns(ns::RECEIPTS)
            || child.has_ns("urn:xmpp:chat-markers:0")
            || child.has_ns("urn:xmpp:hints")
            || child.has_ns("urn:xmpp:sid:0")
            || child.has_ns("urn:xmpp:occupant-id:0")
            || child.is("thread", ns::SERVER);
        if !aside {
            return false;
        }
        seen |= !child.is("thread", ns::SERVER);
    }
    seen
}

/// What happens when a stanza's life is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// The sender is told, with the condition of this cause.
    Bounce(Cause),
    /// It goes without a word.
    Drop,
    /// Its life is never over.
    Never,
}

/// What becomes of a stanza.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fate {
    /// Whether it is on disk before the sender is told that it was taken.
    pub durable: bool,
    /// How long it waits; `None` for ever.
    pub life: Option<Duration>,
    /// What then.
    pub after: After,
    /// Whether newer ones of the same sender and addressee replace it while it waits.
    pub replaced: bool,
    /// Whether one that waited long says so by `urn:xmpp:delay`.
    pub tells_delay: bool,
}

/// How long stanzas wait.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lives {
    /// Messages from person to person, to rooms and from rooms.
    pub chat_seconds: u64,
    /// The same by precedence, where it differs.
    pub chat_by_precedence_seconds: BTreeMap<Precedence, u64>,
    /// Messages of type headline.
    pub headline_seconds: u64,
    /// Chat states, receipts and markers on their own.
    pub aside_seconds: u64,
    /// Requests (iq get and set), their answers, and questions for presence; an hour where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_seconds: Option<u64>,
    /// A message that waited longer than this says so; 0 for never.
    pub delay_after_seconds: u64,
}

impl Lives {
    /// For links over TCP.
    pub const TCP: Self = Self {
        chat_seconds: 24 * 3600,
        chat_by_precedence_seconds: BTreeMap::new(),
        headline_seconds: 300,
        aside_seconds: 60,
        request_seconds: Some(600),
        delay_after_seconds: 60,
    };
    /// For HF: requests wait an hour.
    pub const HF: Self = Self {
        chat_seconds: 24 * 3600,
        chat_by_precedence_seconds: BTreeMap::new(),
        headline_seconds: 300,
        aside_seconds: 60,
        request_seconds: Some(3_600),
        delay_after_seconds: 60,
    };
}

impl Default for Lives {
    fn default() -> Self {
        let mut lives = Self::HF;
        lives.request_seconds = None;
        lives
    }
}

impl Lives {
    /// What becomes of a stanza of this precedence. A life that a rule set goes before these.
    pub fn fate(&self, stanza: &Stanza, precedence: Precedence) -> Fate {
        self.fate_of(Meaning::of(stanza), precedence)
    }

    /// What becomes of stanzas of this meaning.
    //= xmpp/FATE-001
    pub fn fate_of(&self, meaning: Meaning, precedence: Precedence) -> Fate {
        let chat = self.chat_by_precedence_seconds.get(&precedence).copied().unwrap_or(self.chat_seconds);
        let request = self.request_seconds.or(Self::HF.request_seconds).unwrap_or_default();
        let row = |durable, seconds: Option<u64>, after, replaced, tells_delay| Fate {
            durable,
            life: seconds.map(Duration::from_secs),
            after,
            replaced,
            tells_delay,
        };
        let expired = After::Bounce(Cause::Expired);
        match meaning {
            Meaning::Chat | Meaning::ToRoom => row(true, Some(chat), expired, false, true),
            // An error would make the room throw the occupant out.
            Meaning::FromRoom => row(true, Some(chat), After::Drop, false, true),
            Meaning::MessageError => row(true, Some(chat), After::Drop, false, false),
            Meaning::Headline => row(false, Some(self.headline_seconds), After::Drop, false, true),
            Meaning::Aside => row(false, Some(self.aside_seconds), After::Drop, false, false),
            Meaning::Presence | Meaning::DirectedPresence => row(false, None, After::Never, true, false),
            Meaning::Probe => row(false, Some(request), After::Drop, true, false),
            Meaning::Subscription => row(true, None, After::Never, false, false),
            Meaning::PresenceError => row(false, Some(chat), After::Drop, false, false),
            Meaning::Request => row(false, Some(request), expired, false, false),
            Meaning::Response => row(false, Some(request), After::Drop, false, false),
        }
    }

    /// Whether a stanza that waited so long says so: once, and not where it already says when it was written.
    //= xmpp/FATE-002
    pub fn tells_delay(&self, stanza: &Stanza, fate: &Fate, waited: Duration) -> bool {
        fate.tells_delay
            && self.delay_after_seconds > 0
            && waited > Duration::from_secs(self.delay_after_seconds)
            && stanza.child(ns::DELAY, "delay").is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(text: &str) -> Meaning {
        Meaning::of(&Stanza::parse(text.as_bytes()).unwrap())
    }

    /// The rows of the sheet: stanza, meaning, on disk, seconds on HF, what then, replaced, tells delay.
    #[test]
    fn the_table() {
        let expired = After::Bounce(Cause::Expired);
        let (day, hour) = (Some(86_400), Some(3600));
        let person = "to='bob@field.test/x' from='ann@hq.test/a'";
        let broadcast = "to='bob@field.test' from='ann@hq.test/a'";
        let to_room = "to='ops@chat.field.test' from='ann@hq.test/a'";
        let to_seat = "to='ops@chat.field.test/ann' from='ann@hq.test/a'";
        let from_seat = "to='ann@hq.test/a' from='ops@chat.field.test/bob'";
        let user = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
        let body = "<body>x</body>";
        let typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        let received = "<received xmlns='urn:xmpp:receipts' id='1'/>";
        let rows = [
            (format!("<message {person} type='chat'>{body}</message>"), Meaning::Chat, true, day, expired),
            (format!("<message {person}>{body}{typing}</message>"), Meaning::Chat, true, day, expired),
            (format!("<message {person} type='x'>{body}</message>"), Meaning::Chat, true, day, expired),
            (format!("<message {to_room} type='groupchat'>{body}</message>"), Meaning::ToRoom, true, day, expired),
            (
                format!("<message {from_seat} type='groupchat'>{body}</message>"),
                Meaning::FromRoom,
                true,
                day,
                After::Drop,
            ),
            (
                format!("<message {from_seat} type='chat'>{body}{user}</message>"),
                Meaning::FromRoom,
                true,
                day,
                After::Drop,
            ),
            (
                format!("<message {person} type='headline'>{body}</message>"),
                Meaning::Headline,
                false,
                Some(300),
                After::Drop,
            ),
            (format!("<message {person} type='error'>{body}</message>"), Meaning::MessageError, true, day, After::Drop),
            (format!("<message {person} type='chat'>{typing}</message>"), Meaning::Aside, false, Some(60), After::Drop),
            (
                format!("<message {person}>{received}<thread>t</thread></message>"),
                Meaning::Aside,
                false,
                Some(60),
                After::Drop,
            ),
            (format!("<presence {broadcast}/>"), Meaning::Presence, false, None, After::Never),
            (format!("<presence {broadcast} type='unavailable'/>"), Meaning::Presence, false, None, After::Never),
            (format!("<presence {to_seat}/>"), Meaning::DirectedPresence, false, None, After::Never),
            (format!("<presence {from_seat}>{user}</presence>"), Meaning::DirectedPresence, false, None, After::Never),
            (format!("<presence {broadcast} type='probe'/>"), Meaning::Probe, false, hour, After::Drop),
            (format!("<presence {broadcast} type='subscribe'/>"), Meaning::Subscription, true, None, After::Never),
            (format!("<presence {broadcast} type='unsubscribed'/>"), Meaning::Subscription, true, None, After::Never),
            (format!("<presence {broadcast} type='error'/>"), Meaning::PresenceError, false, day, After::Drop),
            (format!("<iq {person} type='get'/>"), Meaning::Request, false, hour, expired),
            (format!("<iq {person} type='set'/>"), Meaning::Request, false, hour, expired),
            (format!("<iq {person} type='result'/>"), Meaning::Response, false, hour, After::Drop),
            (format!("<iq {person} type='error'/>"), Meaning::Response, false, hour, After::Drop),
        ];
        for (text, expected, durable, seconds, after) in &rows {
            assert_eq!(meaning(text), *expected, "{text}");
            let fate = Lives::HF.fate_of(*expected, Precedence::Routine);
            let life = seconds.map(Duration::from_secs);
            assert_eq!((fate.durable, fate.life, fate.after), (*durable, life, *after), "{text}");
        }
        for meaning in Meaning::ALL {
            assert!(rows.iter().any(|row| row.1 == meaning), "{meaning:?} has no row");
        }
        assert_eq!(Lives::TCP.fate_of(Meaning::Request, Precedence::Routine).life, Some(Duration::from_secs(600)));
    }

    #[test]
    fn a_message_of_nothing_is_not_an_aside() {
        assert_eq!(meaning("<message to='b@f.test' from='a@h.test'/>"), Meaning::Chat);
        assert_eq!(meaning("<message to='b@f.test' from='a@h.test'><thread>t</thread></message>"), Meaning::Chat);
    }

    #[test]
    fn what_ends_on_disk_ends_with_an_error_or_never_unless_a_room_or_an_error_would_get_it() {
        for meaning in Meaning::ALL {
            let fate = Lives::default().fate_of(meaning, Precedence::Routine);
            let silent = fate.durable && fate.after == After::Drop;
            assert_eq!(silent, matches!(meaning, Meaning::FromRoom | Meaning::MessageError), "{meaning:?}");
            assert_eq!(fate.life.is_none(), fate.after == After::Never, "{meaning:?}");
        }
    }

    #[test]
    fn life_by_precedence_and_delay_told_once() {
        let lives = Lives { chat_by_precedence_seconds: [(Precedence::Flash, 900)].into(), ..Lives::HF };
        let life = |precedence| lives.fate_of(Meaning::Chat, precedence).life.map(|life| life.as_secs());
        assert_eq!((life(Precedence::Flash), life(Precedence::Routine)), (Some(900), Some(86_400)));

        let plain = Stanza::parse(b"<message to='b@f.test' from='a@h.test'><body>x</body></message>").unwrap();
        let told = Stanza::parse(
            b"<message to='b@f.test' from='a@h.test'><body>x</body><delay xmlns='urn:xmpp:delay'/></message>",
        )
        .unwrap();
        let fate = lives.fate(&plain, Precedence::Routine);
        let seconds = Duration::from_secs;
        assert!(!lives.tells_delay(&plain, &fate, seconds(60)));
        assert!(lives.tells_delay(&plain, &fate, seconds(61)));
        assert!(!lives.tells_delay(&told, &fate, seconds(61)));
        assert!(!Lives { delay_after_seconds: 0, ..lives }.tells_delay(&plain, &fate, seconds(999)));
    }
}

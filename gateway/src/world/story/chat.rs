//! What users of XMPP servers do in a story, and what must follow.
//!
//! - `SITE chat USER to ADDRESS "TEXT"` (or a room's address), `SITE types USER to ADDRESS`, `SITE pings USER ADDRESS`
//! - `SITE subscribes USER to ADDRESS`, `SITE online USER [SHOW]`, `SITE offline USER`
//! - `SITE joins USER ROOM as NICK` (again with another nick: changes it), `SITE leaves USER ROOM as NICK`,
//!   `SITE subject USER ROOM "TEXT"`
//! - `SITE server down [TIME]`, `SITE server up`
//! - `then SITE hears "TEXT"`, `then SITE hears "A" before "B"`, `then SITE hears "TEXT" delayed`, `then SITE hears N texts`,
//!   `then SITE hears typing from ADDRESS`
//! - `then SITE sees ADDRESS online`, `… offline`, `… away`: the last presence that came from there
//! - `then SITE room ROOM has NICK`, `then SITE room ROOM got N stanzas`
//! - `then SITE gets CONDITION for USER`, `then SITE gets pong from ADDRESS`

use skywave_protocols::time::Duration;
use skywave_protocols::xmpp::{Kind, ns};

use super::Story;
use super::parse::duration;
use super::step::Step;
use crate::world::chat::Deed;
use crate::world::xmpp_server::XmppServer;
use crate::world::{Trouble, World};

/// Reads what a user does; `None` when the words are of something else.
pub(super) fn step(site: usize, words: &[&str]) -> Result<Option<Step>, String> {
    let deed = |user: &str, deed| Ok(Some(Step::Chat(site, user.to_owned(), deed)));
    let owned = |text: &str| text.to_owned();
    match words {
        ["chat", user, "to", to, text] => deed(user, Deed::Say { to: owned(to), text: owned(text) }),
        ["types", user, "to", to] => deed(user, Deed::Types(owned(to))),
        ["pings", user, to] => deed(user, Deed::Ping(owned(to))),
        ["subscribes", user, "to", to] => deed(user, Deed::Subscribe(owned(to))),
        ["online", user] => deed(user, Deed::Online(None)),
        ["online", user, show] => deed(user, Deed::Online(Some(owned(show)))),
        ["offline", user] => deed(user, Deed::Offline),
        ["joins", user, room, "as", nick] => deed(user, Deed::Join(owned(room), owned(nick))),
        ["leaves", user, room, "as", nick] => deed(user, Deed::Leave(owned(room), owned(nick))),
        ["subject", user, room, text] => deed(user, Deed::Subject(owned(room), owned(text))),
        ["server", "down"] => Ok(Some(Step::Trouble(Trouble::Xmpp(site, false), None))),
        ["server", "up"] => Ok(Some(Step::Trouble(Trouble::Xmpp(site, true), None))),
        ["server", "down", span] => {
            let end: (Duration, Trouble) = (duration(span)?, Trouble::Xmpp(site, true));
            Ok(Some(Step::Trouble(Trouble::Xmpp(site, false), Some(end))))
        }
        _ => Ok(None),
    }
}

/// Something about chat that must be true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A text reached a user.
    Text(String),
    /// One before another.
    Before(String, String),
    /// A text that says that it waited.
    Delayed(String),
    /// That somebody types, or stops to.
    Typing(String),
    /// So many texts in all.
    Count(usize),
    /// The last presence from an address: online, offline, or a word to show.
    Presence(String, String),
    /// Somebody sits in a room.
    Seat(String, String),
    /// A room got so many stanzas from the other site.
    RoomGot(String, usize),
    /// A user got an error with this condition.
    Error(String, String),
    /// A ping was answered.
    Pong(String),
}

impl Heard {
    /// Reads the words behind the site; `None` when they are of something else.
    pub(super) fn parse(_story: &Story, words: &[&str]) -> Result<Option<Self>, String> {
        let owned = |text: &str| text.to_owned();
        Ok(Some(match words {
            ["hears", count, "texts"] => Self::Count(count.parse().map_err(|_| "texts are counted in numbers")?),
            ["hears", "typing", "from", address] => Self::Typing(owned(address)),
            ["hears", text] => Self::Text(owned(text)),
            ["hears", first, "before", second] => Self::Before(owned(first), owned(second)),
            ["hears", text, "delayed"] => Self::Delayed(owned(text)),
            ["sees", address, state] => Self::Presence(owned(address), owned(state)),
            ["room", room, "got", count, "stanzas"] => {
                let count = count.parse().map_err(|_| "stanzas are counted in numbers")?;
                Self::RoomGot(owned(room), count)
            }
            ["room", room, "has", nick] => Self::Seat(owned(room), owned(nick)),
            ["gets", "pong", "from", address] => Self::Pong(owned(address)),
            ["gets", condition, "for", user] => Self::Error(owned(condition), owned(user)),
            _ => return Ok(None),
        }))
    }

    /// Whether it is true at a site.
    pub(super) fn holds(&self, world: &World, site: usize) -> bool {
        let server: &XmppServer = &world.sites[site].xmpp;
        let first = |text: &str| server.heard().position(|(_, body)| body == text);
        match self {
            Self::Text(text) => first(text).is_some(),
            Self::Before(one, other) => match (first(one), first(other)) {
                (Some(one), Some(other)) => one < other,
                (Some(_), None) => true,
                (None, _) => false,
            },
            Self::Delayed(text) => server
                .got()
                .iter()
                .any(|got| got.body().as_ref() == Some(text) && got.stanza.child(ns::DELAY, "delay").is_some()),
            Self::Typing(address) => server.got().iter().any(|got| {
                let stanza = &got.stanza;
                let says = stanza.element().children().any(|child| child.has_ns(ns::CHAT_STATES));
                says && stanza.from().to_bare().as_str() == address
            }),
            Self::Count(count) => server.heard().count() == *count,
            Self::Presence(address, state) => seen(server, address).as_deref() == Some(state),
            Self::Seat(room, nick) => server.occupants(room).contains(nick),
            Self::RoomGot(room, count) => {
                let to_it = |got: &&crate::world::xmpp_server::Got| got.stanza.to().to_bare().as_str() == room;
                server.at_rooms().iter().filter(to_it).count() == *count
            }
            Self::Error(condition, user) => server.got().iter().any(|got| {
                got.condition().as_ref() == Some(condition)
                    && got.stanza.to().node().is_some_and(|node| node.as_str() == user)
            }),
            Self::Pong(address) => server.got().iter().any(|got| {
                let stanza = &got.stanza;
                stanza.kind() == Kind::Iq && stanza.typ() == Some("result") && stanza.from().to_string() == *address
            }),
        }
    }
}

/// What users of a server see of an address: the last presence that came from it.
fn seen(server: &XmppServer, address: &str) -> Option<String> {
    let from = |got: &&crate::world::xmpp_server::Got| {
        let stanza = &got.stanza;
        stanza.kind() == Kind::Presence
            && matches!(stanza.typ(), None | Some("unavailable"))
            && (stanza.from().to_string() == address || stanza.from().to_bare().to_string() == address)
    };
    let last = server.got().iter().rev().find(from)?;
    if last.stanza.typ().is_some() {
        return Some("offline".to_owned());
    }
    Some(last.stanza.child(ns::SERVER, "show").map_or_else(|| "online".to_owned(), |show| show.text()))
}

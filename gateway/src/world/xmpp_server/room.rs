//! The stand-in's room service: as much of XEP-0045 as two sites need to talk in a room of one of them.

use std::collections::BTreeMap;

use skywave_protocols::time::Instant;
use skywave_protocols::xmpp::{Kind, Stanza, ns};

use super::seam::{escape, stanza};

/// Messages that a joining occupant is shown.
const HISTORY: usize = 5;
/// Conditions of errors for which a room throws an occupant out, as Prosody and ejabberd do.
const KICKS: [&str; 9] = [
    "gone",
    "internal-server-error",
    "item-not-found",
    "jid-malformed",
    "recipient-unavailable",
    "redirect",
    "remote-server-not-found",
    "remote-server-timeout",
    "service-unavailable",
];

#[derive(Debug, Default)]
struct Room {
    /// Nick → full address.
    occupants: BTreeMap<String, String>,
    subject: String,
    history: Vec<(String, String)>,
}

/// All rooms of a domain.
#[derive(Debug)]
pub(super) struct Rooms {
    domain: String,
    rooms: BTreeMap<String, Room>,
}

impl Rooms {
    pub(super) const fn new(domain: String) -> Self {
        Self { domain, rooms: BTreeMap::new() }
    }

    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    pub(super) fn occupants(&self, room: &str) -> Vec<String> {
        self.rooms.get(room).map_or_else(Vec::new, |room| room.occupants.keys().cloned().collect())
    }

    /// A stanza for a room: what it sends.
    pub(super) fn take(&mut self, _at: Instant, got: &Stanza) -> Vec<Stanza> {
        let name = got.to().to_bare().to_string();
        let nick = got.to().resource().map(ToString::to_string);
        let from = got.from().to_string();
        let room = self.rooms.entry(name.clone()).or_default();
        match (got.kind(), got.typ(), nick) {
            (Kind::Presence, None, Some(nick)) => room.enter(&name, &from, &nick),
            (Kind::Presence, Some("unavailable"), _) => room.leave(&name, &from, None),
            (Kind::Message, Some("error"), _) | (Kind::Presence, Some("error"), _) => room.complaint(&name, got),
            (Kind::Message, Some("groupchat"), None) => room.say(&name, got),
            (Kind::Message, _, Some(nick)) => room.whisper(&name, got, &nick),
            _ => Vec::new(),
        }
    }
}

impl Room {
    fn nick(&self, address: &str) -> Option<String> {
        self.occupants.iter().find(|(_, at)| *at == address).map(|(nick, _)| nick.clone())
    }

    fn enter(&mut self, name: &str, from: &str, nick: &str) -> Vec<Stanza> {
        if let Some(old) = self.nick(from).filter(|old| old != nick) {
            return self.rename(name, from, &old, nick);
        }
        if self.occupants.get(nick).is_some_and(|holder| holder != from) {
            let error = format!("<error type='cancel'><conflict xmlns='{}'/></error>", ns::STANZA_ERRORS);
            let text = format!("<presence from='{name}/{nick}' to='{from}' type='error'>{error}</presence>");
            return stanza(&text).into_iter().collect();
        }
        let mut sent: Vec<Option<Stanza>> =
            self.occupants.keys().map(|other| seat(name, other, from, None, &[])).collect();
        self.occupants.insert(nick.to_owned(), from.to_owned());
        for (other, to) in &self.occupants {
            let codes: &[u16] = if other == nick { &[110] } else { &[] };
            sent.push(seat(name, nick, to, None, codes));
        }
        for (nick, text) in self.history.iter().rev().take(HISTORY).rev() {
            let delay = format!("<delay xmlns='{}' from='{name}' stamp='2030-03-17T17:46:40Z'/>", ns::DELAY);
            sent.push(stanza(&format!(
                "<message from='{name}/{nick}' to='{from}' type='groupchat'><body>{}</body>{delay}</message>",
                escape(text)
            )));
        }
        sent.push(self.show_subject(name, from));
        sent.into_iter().flatten().collect()
    }

    fn rename(&mut self, name: &str, from: &str, old: &str, new: &str) -> Vec<Stanza> {
        let audience: Vec<String> = self.occupants.values().cloned().collect();
        self.occupants.remove(old);
        self.occupants.insert(new.to_owned(), from.to_owned());
        let gone = audience.iter().map(|to| seat(name, old, to, Some(new), &[303]));
        let here = audience.iter().map(|to| seat(name, new, to, None, if to == from { &[110] } else { &[] }));
        gone.chain(here).flatten().collect()
    }

    fn leave(&mut self, name: &str, from: &str, code: Option<u16>) -> Vec<Stanza> {
        let Some(nick) = self.nick(from) else { return Vec::new() };
        let audience: Vec<String> = self.occupants.values().cloned().collect();
        self.occupants.remove(&nick);
        let codes: Vec<u16> = code.into_iter().collect();
        audience.iter().filter_map(|to| seat(name, &nick, to, Some(&nick), &codes)).collect()
    }

    fn complaint(&mut self, name: &str, got: &Stanza) -> Vec<Stanza> {
        let error = got.child(ns::SERVER, "error");
        let kicks = error.is_some_and(|error| error.children().any(|child| KICKS.contains(&child.name())));
        if kicks { self.leave(name, got.from().as_str(), Some(333)) } else { Vec::new() }
    }

    fn say(&mut self, name: &str, got: &Stanza) -> Vec<Stanza> {
        let Some(nick) = self.nick(got.from().as_str()) else {
            let (from, to, id) = (got.to(), got.from(), got.id().unwrap_or_default());
            let error = format!("<error type='modify'><not-acceptable xmlns='{}'/></error>", ns::STANZA_ERRORS);
            let text = format!("<message from='{from}' to='{to}' id='{id}' type='error'>{error}</message>");
            return stanza(&text).into_iter().collect();
        };
        let body = got.child(ns::SERVER, "body").map(|body| body.text());
        if let Some(text) = &body {
            self.history.push((nick.clone(), text.clone()));
        }
        if let Some(subject) = got.child(ns::SERVER, "subject").filter(|_| body.is_none()) {
            self.subject = subject.text();
        }
        self.occupants.values().filter_map(|to| self.reflected(name, &nick, to, got)).collect()
    }

    fn reflected(&self, name: &str, nick: &str, to: &str, got: &Stanza) -> Option<Stanza> {
        use skywave_protocols::xmpp::writer::set_attribute;
        let mut copy = got.clone();
        let from = format!("{name}/{nick}");
        copy.edit(|element| {
            set_attribute(element, rxml::xml_ncname!("from"), &from);
            set_attribute(element, rxml::xml_ncname!("to"), to);
        })
        .ok()?;
        Some(copy)
    }

    fn whisper(&mut self, name: &str, got: &Stanza, nick: &str) -> Vec<Stanza> {
        let (Some(from), Some(to)) = (self.nick(got.from().as_str()), self.occupants.get(nick)) else {
            return Vec::new();
        };
        self.reflected(name, &from, to, got).into_iter().collect()
    }

    fn show_subject(&self, name: &str, to: &str) -> Option<Stanza> {
        let subject = escape(&self.subject);
        stanza(&format!("<message from='{name}' to='{to}' type='groupchat'><subject>{subject}</subject></message>"))
    }
}

/// What a room tells one occupant of a seat: taken, or left (then perhaps for another nick).
fn seat(name: &str, nick: &str, to: &str, left: Option<&str>, codes: &[u16]) -> Option<Stanza> {
    let codes: String = codes.iter().map(|code| format!("<status code='{code}'/>")).collect();
    let (typ, role) = if left.is_some() { (" type='unavailable'", "none") } else { ("", "participant") };
    let renamed = left.filter(|new| *new != nick).map_or_else(String::new, |new| format!(" nick='{new}'"));
    let item = format!("<item affiliation='none' role='{role}'{renamed}/>");
    stanza(&format!(
        "<presence from='{name}/{nick}' to='{to}'{typ}><x xmlns='{}'>{item}{codes}</x></presence>",
        ns::MUC_USER
    ))
}

//! The stand-in for a site's XMPP server: components connect to it (XEP-0114), its users say what a story tells them to.
//!
//! It keeps subscriptions and answers probes as servers do ([`roster`]), has a room service ([`room`]), and remembers
//! every stanza that reached a user. It is strict where real servers are: a component's stanza from another domain closes
//! its stream. Pure; the world carries its octets.

mod connection;
mod room;
mod roster;

use std::collections::{BTreeMap, VecDeque};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::Instant;
use skywave_protocols::xmpp::{Kind, Stanza, ns};

use connection::{Connection, Heard};
use room::Rooms;
use roster::Roster;

/// The secret that components share with it in all worlds.
pub const COMPONENT_SECRET: &str = "world";
/// The port for components.
pub const COMPONENT_PORT: u16 = 5347;
/// Users have this resource.
pub const RESOURCE: &str = "desk";

/// A stanza that reached a user, or the server itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Got {
    /// When.
    pub at: Instant,
    /// The stanza.
    pub stanza: Stanza,
}

impl Got {
    /// The text of its body.
    pub fn body(&self) -> Option<String> {
        self.stanza.child(ns::SERVER, "body").map(|body| body.text())
    }

    /// The condition of its error.
    pub fn condition(&self) -> Option<String> {
        let error = self.stanza.child(ns::SERVER, "error")?;
        error
            .children()
            .find(|child| child.has_ns(ns::STANZA_ERRORS) && child.name() != "text")
            .map(|c| c.name().to_owned())
    }
}

/// A stanza that one of its users, or a room, sent to a component.
#[derive(Clone, PartialEq, Debug)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// The stanza.
    pub stanza: Stanza,
    /// Whether a connection took it.
    pub taken: bool,
}

/// What it asks of the world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerOutput {
    /// Octets for the gateway.
    Write(u64, Bytes),
    /// The connection is closed.
    Close(u64),
}

/// The server. See the module.
#[derive(Debug)]
pub struct XmppServer {
    domain: String,
    /// Whether anybody answers at its port.
    pub up: bool,
    connections: BTreeMap<u64, Connection>,
    roster: Roster,
    rooms: Rooms,
    got: Vec<Got>,
    at_rooms: Vec<Got>,
    sent: Vec<Sent>,
    ids: u64,
    out: VecDeque<ServerOutput>,
}

impl XmppServer {
    /// The server of a domain; its rooms are at `chat.` before it.
    pub fn new(domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            up: true,
            connections: BTreeMap::new(),
            roster: Roster::default(),
            rooms: Rooms::new(format!("chat.{domain}")),
            got: Vec::new(),
            at_rooms: Vec::new(),
            sent: Vec::new(),
            ids: 0,
            out: VecDeque::new(),
        }
    }

    /// Where components find it.
    pub fn target(domain: &str) -> String {
        format!("xmpp.{domain}:{COMPONENT_PORT}")
    }

    /// What its users got, oldest first.
    pub fn got(&self) -> &[Got] {
        &self.got
    }

    /// What its rooms got, oldest first.
    pub fn at_rooms(&self) -> &[Got] {
        &self.at_rooms
    }

    /// What its users and rooms sent to components, oldest first.
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// The nicks in a room, by its full address.
    pub fn occupants(&self, room: &str) -> Vec<String> {
        self.rooms.occupants(room)
    }

    /// Somebody connected.
    pub fn open(&mut self, session: u64) {
        self.connections.insert(session, Connection::new(session));
    }

    /// Whether a connection is open.
    pub fn is_open(&self, session: u64) -> bool {
        self.connections.contains_key(&session)
    }

    /// A connection was closed by the gateway.
    pub fn close(&mut self, session: u64) {
        self.connections.remove(&session);
    }

    /// All connections break.
    pub fn hang_up(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.connections).into_keys().collect()
    }

    /// Octets of a connection.
    pub fn read(&mut self, at: Instant, session: u64, octets: &[u8]) {
        let Some(connection) = self.connections.get_mut(&session) else { return };
        connection.read(octets);
        let heard: Vec<Heard> = std::iter::from_fn(|| connection.hear()).collect();
        for heard in heard {
            match heard {
                Heard::Write(octets) => self.out.push_back(ServerOutput::Write(session, octets)),
                Heard::Stanza(stanza) => self.take(at, stanza),
                Heard::End => {
                    self.out.push_back(ServerOutput::Close(session));
                    self.connections.remove(&session);
                }
            }
        }
    }

    /// The next thing it asks for.
    pub fn poll(&mut self) -> Option<ServerOutput> {
        self.out.pop_front()
    }

    /// A stanza that came through a component.
    fn take(&mut self, at: Instant, stanza: Stanza) {
        let to = stanza.to().clone();
        let answers = if to.domain().as_str() == self.rooms.domain() {
            self.at_rooms.push(Got { at, stanza: stanza.clone() });
            self.rooms.take(at, &stanza)
        } else {
            self.got.push(Got { at, stanza: stanza.clone() });
            self.roster.take(&stanza)
        };
        answers.into_iter().for_each(|answer| self.send(at, answer));
    }

    /// A user, or a room, sends a stanza: to a component, or to somebody here.
    pub fn send(&mut self, at: Instant, stanza: Stanza) {
        let domain = stanza.to().domain().to_string();
        if domain == self.domain || domain == self.rooms.domain() {
            return self.take(at, stanza);
        }
        let connection = self.connections.values().find(|connection| connection.name() == Some(&domain));
        let session = connection.map(Connection::session);
        self.sent.push(Sent { at, stanza: stanza.clone(), taken: session.is_some() });
        if let Some(session) = session {
            let octets = stanza.octets_for(skywave_protocols::xmpp::writer::Scope::COMPONENT);
            self.out.push_back(ServerOutput::Write(session, octets.into()));
        }
    }

    /// The full address of a user.
    pub fn user(&self, name: &str) -> String {
        format!("{name}@{}/{RESOURCE}", self.domain)
    }

    /// A user says something to somebody, or to a room. The stanza's id.
    pub fn say(&mut self, at: Instant, user: &str, to: &str, text: &str) -> String {
        let typ = if to.split('@').nth(1).is_some_and(|domain| domain.starts_with("chat.")) && !to.contains('/') {
            "groupchat"
        } else {
            "chat"
        };
        let id = self.id(user);
        let from = self.user(user);
        let text = escape(text);
        self.send_text(
            at,
            &format!("<message from='{from}' to='{to}' id='{id}' type='{typ}'><body>{text}</body></message>"),
        );
        id
    }

    /// A user sends a ping.
    pub fn ping(&mut self, at: Instant, user: &str, to: &str) -> String {
        let (id, from) = (self.id(user), self.user(user));
        self.send_text(
            at,
            &format!("<iq from='{from}' to='{to}' id='{id}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"),
        );
        id
    }

    /// A user types, and stops.
    pub fn types(&mut self, at: Instant, user: &str, to: &str) {
        let from = self.user(user);
        for state in ["composing", "paused"] {
            let child = format!("<{state} xmlns='{}'/>", ns::CHAT_STATES);
            self.send_text(at, &format!("<message from='{from}' to='{to}' type='chat'>{child}</message>"));
        }
    }

    /// A user asks to see somebody's presence.
    pub fn subscribe(&mut self, at: Instant, user: &str, to: &str) {
        let from = format!("{user}@{}", self.domain);
        self.roster.asks(&from, to);
        self.send_text(at, &format!("<presence from='{from}' to='{to}' type='subscribe'/>"));
    }

    /// A user comes online or goes offline; with words to show.
    pub fn presence(&mut self, at: Instant, user: &str, online: bool, show: Option<&str>) {
        let bare = format!("{user}@{}", self.domain);
        let stanzas = self.roster.set(&bare, online, show);
        stanzas.into_iter().for_each(|stanza| self.send(at, stanza));
    }

    /// A user enters a room, changes its nick there, or leaves it.
    pub fn room_presence(&mut self, at: Instant, user: &str, room: &str, nick: &str, joins: bool) {
        let from = self.user(user);
        let text = if joins {
            format!("<presence from='{from}' to='{room}/{nick}'><x xmlns='{}'/></presence>", ns::MUC)
        } else {
            format!("<presence from='{from}' to='{room}/{nick}' type='unavailable'/>")
        };
        self.send_text(at, &text);
    }

    /// A user sets a room's subject.
    pub fn subject(&mut self, at: Instant, user: &str, room: &str, text: &str) {
        let (id, from, text) = (self.id(user), self.user(user), escape(text));
        let subject = format!("<subject>{text}</subject>");
        self.send_text(
            at,
            &format!("<message from='{from}' to='{room}' id='{id}' type='groupchat'>{subject}</message>"),
        );
    }

    fn id(&mut self, user: &str) -> String {
        self.ids += 1;
        format!("{user}-{}", self.ids)
    }

    fn send_text(&mut self, at: Instant, text: &str) {
        // What a story cannot say well is not said.
        if let Ok(stanza) = Stanza::parse(text.as_bytes()) {
            self.send(at, stanza);
        }
    }

    /// Bodies that users here got, with their times.
    pub fn heard(&self) -> impl Iterator<Item = (Instant, String)> {
        let said = |got: &&Got| got.stanza.kind() == Kind::Message && !got.stanza.is_error();
        self.got.iter().filter(said).filter_map(|got| Some((got.at, got.body()?)))
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}

/// A stanza made of text that is known to be one.
fn stanza(text: &str) -> Option<Stanza> {
    Stanza::parse(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests;

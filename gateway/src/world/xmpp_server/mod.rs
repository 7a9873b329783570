//! The stand-in for a site's XMPP server: components connect to it (XEP-0114), or it speaks as a server with servers
//! ([`streams`]); its users say what a story tells them to.
//!
//! It keeps subscriptions and answers probes as servers do ([`roster`]), has a room service ([`room`]), and remembers
//! every stanza that reached a user. It is strict where real servers are: a component's stanza from another domain closes
//! its stream. Pure; the world carries its octets.

mod connection;
mod room;
mod roster;
mod seam;
mod streams;

use std::collections::{BTreeMap, VecDeque};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Instant, Wakeup};
use skywave_protocols::xmpp::door::ConnInput;
use skywave_protocols::xmpp::{Kind, Stanza, ns};

use connection::{Connection, Heard};
use room::Rooms;
use roster::Roster;
use seam::escape;
pub use seam::{COMPONENT_PORT, COMPONENT_SECRET, Got, RESOURCE, SERVER_PORT, Sent, ServerOutput};
use streams::{Brought, Streams};

use crate::chat::config::ChatConfig;

/// The server. See the module.
#[derive(Debug)]
pub struct XmppServer {
    domain: String,
    /// Whether anybody answers at its ports.
    up: bool,
    connections: BTreeMap<u64, Connection>,
    streams: Option<Streams>,
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
            streams: None,
            roster: Roster::default(),
            rooms: Rooms::new(format!("chat.{domain}")),
            got: Vec::new(),
            at_rooms: Vec::new(),
            sent: Vec::new(),
            ids: 0,
            out: VecDeque::new(),
        }
    }

    /// The server of a site as its gateway's configuration expects it; `random` makes its stream ids.
    pub fn of(domain: &str, chat: Option<&ChatConfig>, random: Seeded) -> Self {
        Self { streams: chat.and_then(|chat| Streams::of(chat, random)), ..Self::new(domain) }
    }

    /// Where servers find it.
    pub fn server_target(domain: &str) -> String {
        Streams::target(domain)
    }

    /// What its certificate proves.
    pub fn names(&self) -> Vec<String> {
        self.streams.as_ref().map_or_else(Vec::new, |streams| streams.names().to_vec())
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

    /// Whether it takes connections at a target.
    pub fn listens_at(&self, target: &str) -> bool {
        let as_server = self.streams.is_some() && target == Self::server_target(&self.domain);
        self.up && (as_server || target == Self::target(&self.domain))
    }

    /// Somebody connected to a target.
    pub fn accept(&mut self, at: Instant, session: u64, target: &str) {
        match self.streams.as_mut().filter(|_| target == Self::server_target(&self.domain)) {
            Some(streams) => streams.accept(at, session),
            None => self.open(session),
        }
        self.settle(at);
    }

    /// A component connected.
    pub fn open(&mut self, session: u64) {
        self.connections.insert(session, Connection::new(session));
    }

    /// Whether a connection is open.
    pub fn is_open(&self, session: u64) -> bool {
        self.connections.contains_key(&session) || self.streams.as_ref().is_some_and(|it| it.is_open(session))
    }

    /// The connection of this number has a session, or could not be made.
    pub fn opened(&mut self, at: Instant, conn: u64, session: Option<u64>) {
        if let Some(streams) = self.streams.as_mut() {
            streams.opened(at, conn, session);
        }
        self.settle(at);
    }

    /// TLS is there; the names that the gateway's certificate proves.
    pub fn secured(&mut self, at: Instant, session: u64, peer_names: Vec<String>) {
        if let Some(streams) = self.streams.as_mut() {
            streams.handle(at, session, ConnInput::Secured { peer_names, alpn: None });
        }
        self.settle(at);
    }

    /// A connection was closed by the gateway.
    pub fn close(&mut self, at: Instant, session: u64) {
        self.connections.remove(&session);
        if let Some(streams) = self.streams.as_mut() {
            streams.handle(at, session, ConnInput::Closed(None));
        }
        self.settle(at);
    }

    /// The gateway is gone, and all connections with it.
    pub fn hang_up(&mut self, at: Instant) {
        self.connections.clear();
        let sessions = self.streams.as_ref().map(Streams::sessions).unwrap_or_default();
        sessions.into_iter().for_each(|session| self.close(at, session));
    }

    /// It goes down, or comes up; the connections that break.
    pub fn set_power(&mut self, up: bool) -> Vec<u64> {
        self.up = up;
        if up {
            return Vec::new();
        }
        let broken = self.streams.as_mut().map(Streams::begin_anew).unwrap_or_default();
        std::mem::take(&mut self.connections).into_keys().chain(broken).collect()
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        self.streams.as_ref().filter(|_| self.up)?.next_wakeup()
    }

    /// Whether it wants to be woken by then.
    pub fn is_due(&self, at: Instant) -> bool {
        self.next_wakeup().is_some_and(|wakeup| wakeup.at <= at)
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, at: Instant) {
        if let Some(streams) = self.streams.as_mut() {
            streams.handle_wakeup(at);
        }
        self.settle(at);
    }

    /// Takes everything that its streams bring.
    fn settle(&mut self, at: Instant) {
        while let Some(brought) = self.streams.as_mut().and_then(|streams| streams.poll(at)) {
            match brought {
                Brought::Output(output) => self.out.push_back(output),
                Brought::Stanza(stanza) => self.take(at, stanza),
            }
        }
    }

    /// Octets of a connection.
    pub fn read(&mut self, at: Instant, session: u64, octets: &[u8]) {
        if let Some(streams) = self.streams.as_mut().filter(|streams| streams.is_open(session)) {
            streams.handle(at, session, ConnInput::Read(Bytes::copy_from_slice(octets)));
            return self.settle(at);
        }
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
        if let Some(streams) = self.streams.as_mut() {
            self.sent.push(Sent { at, stanza: stanza.clone(), taken: self.up });
            if self.up {
                streams.deliver(at, stanza);
                self.settle(at);
            }
            return;
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
        self.say_with(at, user, to, text, "")
    }

    /// The same under a label with these words.
    pub fn say_marked(&mut self, at: Instant, user: &str, to: &str, text: &str, marking: &str) -> String {
        let marking = escape(marking);
        let label = format!("<displaymarking>{marking}</displaymarking>");
        self.say_with(
            at,
            user,
            to,
            text,
            &format!("<securitylabel xmlns='{}'>{label}</securitylabel>", ns::SECURITY_LABEL),
        )
    }

    fn say_with(&mut self, at: Instant, user: &str, to: &str, text: &str, more: &str) -> String {
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
            &format!("<message from='{from}' to='{to}' id='{id}' type='{typ}'><body>{text}</body>{more}</message>"),
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

#[cfg(test)]
mod tests;

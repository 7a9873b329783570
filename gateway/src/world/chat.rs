//! Carries the octets between nodes and the stand-ins for their XMPP servers, and has users say something.

use std::net::SocketAddr;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::xmpp::door::DoorSecure;
use skywave_transports::io::{PipeId, PipeInput, Secure, Secured, Trust};

use super::World;
use super::execute::PIPE_DELAY;
use super::heap::{FarEnd, Happening};
use super::xmpp_server::ServerOutput;
use crate::node::Input;
use crate::node::seam::ACCEPTED_PIPE;

/// Accepted connections of servers have this bit; those of clients and of other sites have not.
const FROM_SERVER: u64 = 1 << 61;

/// What the ends of a connection want of TLS, as far as they began it.
#[derive(Default)]
pub(super) struct Securing {
    pub(super) node: Option<Secure>,
    pub(super) server: Option<DoorSecure>,
}

/// What a user of a site does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Says something to somebody, or in a room.
    Say {
        /// To whom.
        to: String,
        /// The text.
        text: String,
    },
    /// Says something to somebody, marked by a label.
    SayMarked {
        /// To whom.
        to: String,
        /// The text.
        text: String,
        /// The words of its label.
        marking: String,
    },
    /// Types, and stops.
    Types(String),
    /// Pings an address.
    Ping(String),
    /// Asks to see somebody's presence.
    Subscribe(String),
    /// Comes online, perhaps with words to show.
    Online(Option<String>),
    /// Goes offline.
    Offline,
    /// Enters a room under a nick, or takes another nick there.
    Join(String, String),
    /// Leaves a room.
    Leave(String, String),
    /// Sets a room's subject.
    Subject(String, String),
}

impl World {
    /// A user of a site does something now.
    pub fn chat(&mut self, site: usize, user: &str, deed: &Deed) {
        let at = self.at;
        let Some(server) = self.sites.get_mut(site).map(|site| &mut site.xmpp) else { return };
        match deed {
            Deed::Say { to, text } => drop(server.say(at, user, to, text)),
            Deed::SayMarked { to, text, marking } => drop(server.say_marked(at, user, to, text, marking)),
            Deed::Types(to) => server.types(at, user, to),
            Deed::Ping(to) => drop(server.ping(at, user, to)),
            Deed::Subscribe(to) => server.subscribe(at, user, to),
            Deed::Online(show) => server.presence(at, user, true, show.as_deref()),
            Deed::Offline => server.presence(at, user, false, None),
            Deed::Join(room, nick) => server.room_presence(at, user, room, nick, true),
            Deed::Leave(room, nick) => server.room_presence(at, user, room, nick, false),
            Deed::Subject(room, text) => server.subject(at, user, room, text),
        }
        self.drain_xmpp();
    }

    /// Connects a node to its site's server, if it is there and the target names it.
    pub(super) fn open_xmpp(&mut self, site: usize, target: &str) -> Option<u64> {
        if !self.sites[site].xmpp.listens_at(target) {
            return None;
        }
        self.xmpp_sessions += 1;
        let (at, session) = (self.at, self.xmpp_sessions);
        self.sites[site].xmpp.accept(at, session, target);
        Some(session)
    }

    /// A server connects to its site's gateway.
    fn call_gateway(&mut self, site: usize, conn: u64, target: &str) {
        let at = self.at;
        let Some((_, listener)) = self.listener_at(target).filter(|(of, _)| *of == site) else {
            return self.sites[site].xmpp.opened(at, conn, None);
        };
        self.xmpp_sessions += 1;
        let session = self.xmpp_sessions;
        let pipe = PipeId(ACCEPTED_PIPE | FROM_SERVER | session);
        self.add_pipe(site, pipe, FarEnd::Xmpp(session));
        self.sites[site].xmpp.opened(at, conn, Some(session));
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.feed(site, Input::Accepted { listener, pipe, peer });
    }

    /// Octets of a node reach its server.
    pub(super) fn write_xmpp(&mut self, session: u64, octets: &[u8]) {
        let at = self.at;
        let Some(site) = self.sites.iter().position(|site| site.xmpp.is_open(session)) else { return };
        self.sites[site].xmpp.read(at, session, octets);
        if let Some((_, pipe)) = self.pipe_of(FarEnd::Xmpp(session)) {
            self.has_left(site, pipe);
        }
    }

    /// A node closed its connection.
    pub(super) fn close_xmpp(&mut self, session: u64) {
        self.securing.remove(&session);
        let at = self.at;
        for site in &mut self.sites {
            site.xmpp.close(at, session);
        }
    }

    /// Carries what servers wrote.
    pub(super) fn drain_xmpp(&mut self) {
        for index in 0..self.sites.len() {
            while let Some(output) = self.sites[index].xmpp.poll() {
                match output {
                    ServerOutput::Write(session, octets) => self.tell_session(session, Some(octets)),
                    ServerOutput::Close(session) => self.tell_session(session, None),
                    ServerOutput::Open(conn, target) => self.call_gateway(index, conn, &target),
                    ServerOutput::Secure(session, secure) => {
                        self.secure_xmpp(session, |ends| ends.server = Some(secure))
                    }
                }
            }
        }
    }

    fn tell_session(&mut self, session: u64, octets: Option<Bytes>) {
        let Some((site, pipe)) = self.pipe_of(FarEnd::Xmpp(session)) else { return };
        let addressee = self.addressee(site);
        let happening = match octets {
            Some(octets) => Happening::ToPipe(addressee, pipe, octets),
            None => Happening::PipeEnds(addressee, pipe, None),
        };
        self.heap.push(self.at + PIPE_DELAY, happening);
    }

    /// One end of a connection between servers begins TLS, which is played: once both have, whoever shows a certificate
    /// proves all its domains to an end that asks.
    pub(super) fn secure_xmpp(&mut self, session: u64, begins: impl FnOnce(&mut Securing)) {
        begins(self.securing.entry(session).or_default());
        let Some(Securing { node: Some(node), server: Some(server) }) = self.securing.get(&session) else { return };
        let (node, server) = (node.clone(), server.clone());
        self.securing.remove(&session);
        let Some((site, pipe)) = self.pipe_of(FarEnd::Xmpp(session)) else { return };
        let asks = server.want_peer_certificate && node.certificate.is_some();
        let chat = self.sites[site].config.chat.as_ref().filter(|_| asks);
        let names_of_node = chat.map(|chat| chat.door.fronted.clone()).unwrap_or_default();
        let asks = node.trust != Trust::Anybody && server.certificate.is_some();
        let peer_names = if asks { self.sites[site].xmpp.names() } else { Vec::new() };
        let secured = PipeInput::Secured(Secured { peer_names, alpn: None });
        self.tell_node(site, PIPE_DELAY, Input::Pipe(pipe, secured));
        let at = self.at;
        self.sites[site].xmpp.secured(at, session, names_of_node);
    }

    /// A server goes down, and its connections with it, or comes up.
    pub(super) fn xmpp_power(&mut self, site: usize, up: bool) {
        for session in self.sites[site].xmpp.set_power(up) {
            self.securing.remove(&session);
            if let Some((site, pipe)) = self.pipe_of(FarEnd::Xmpp(session)) {
                let ends = Happening::PipeEnds(self.addressee(site), pipe, Some("connection reset".to_owned()));
                self.heap.push(self.at + PIPE_DELAY, ends);
            }
        }
    }
}

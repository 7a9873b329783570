//! Carries the octets between nodes and the stand-ins for their XMPP servers, and has users say something.

use skywave_protocols::bytes::Bytes;

use super::World;
use super::execute::PIPE_DELAY;
use super::heap::Happening;
use super::site::FarEnd;
use super::xmpp_server::{ServerOutput, XmppServer};
use crate::node::Input;
use skywave_transports::io::PipeInput;

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
        let is_it = target == XmppServer::target(&self.sites[site].config.site);
        if !is_it || !self.sites[site].xmpp.up {
            return None;
        }
        self.xmpp_sessions += 1;
        self.sites[site].xmpp.open(self.xmpp_sessions);
        Some(self.xmpp_sessions)
    }

    /// Octets of a node reach its server.
    pub(super) fn write_xmpp(&mut self, session: u64, octets: &[u8]) {
        let at = self.at;
        let Some(site) = self.sites.iter().position(|site| site.xmpp.is_open(session)) else { return };
        self.sites[site].xmpp.read(at, session, octets);
        if let Some((_, pipe)) = self.pipe_of(FarEnd::Xmpp(session)) {
            self.tell_node(site, PIPE_DELAY, Input::Pipe(pipe, PipeInput::Drained));
        }
    }

    /// A node closed its connection.
    pub(super) fn close_xmpp(&mut self, session: u64) {
        for site in &mut self.sites {
            site.xmpp.close(session);
        }
    }

    /// Carries what servers wrote.
    pub(super) fn drain_xmpp(&mut self) {
        for index in 0..self.sites.len() {
            while let Some(output) = self.sites[index].xmpp.poll() {
                let (session, octets) = match output {
                    ServerOutput::Write(session, octets) => (session, Some(octets)),
                    ServerOutput::Close(session) => (session, None),
                };
                self.tell_session(session, octets);
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

    /// A server goes down, and its connections with it, or comes up.
    pub(super) fn xmpp_power(&mut self, site: usize, up: bool) {
        self.sites[site].xmpp.up = up;
        if up {
            return;
        }
        for session in self.sites[site].xmpp.hang_up() {
            if let Some((site, pipe)) = self.pipe_of(FarEnd::Xmpp(session)) {
                let ends = Happening::PipeEnds(self.addressee(site), pipe, Some("connection reset".to_owned()));
                self.heap.push(self.at + PIPE_DELAY, ends);
            }
        }
    }
}

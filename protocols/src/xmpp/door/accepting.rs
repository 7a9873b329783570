//! Servers that connect.

use std::net::SocketAddr;

use super::conn::{Conn, Stream};
use super::event::{ConnId, DoorOutput};
use super::limits::{ACCEPTED_MAX, STRANGERS_MAX};
use super::{Door, Timer};
use crate::time::Now;
use crate::xmpp::stream::S2s;

impl Door {
    //= xmpp/STREAM-006
    pub(super) fn accept(&mut self, now: Now, id: ConnId, direct_tls: bool, peer: SocketAddr) {
        let accepted = self.conns.values().filter(|conn| conn.accepted).count();
        let stranger = |conn: &&Conn| match &conn.stream {
            Stream::Server(stream) => conn.accepted && !stream.is_established(),
            Stream::Component(..) => false,
        };
        let strangers = self.conns.values().filter(stranger).count();
        if accepted >= ACCEPTED_MAX || strangers >= STRANGERS_MAX || self.stopping {
            self.notice("chat.too_many_connections", true, format!("{peer} is turned away"));
            return self.outputs.push_back(DoorOutput::Close(id));
        }
        if direct_tls && self.config.certificate.is_none() {
            self.notice("chat.no_certificate", true, "TLS was to begin, and no certificate is configured".to_owned());
            return self.outputs.push_back(DoorOutput::Close(id));
        }
        let seed = self.seed();
        let mut stream = S2s::receiving(self.config.clone(), direct_tls, seed);
        stream.opened();
        self.conns.insert(id, Conn::new(Stream::Server(Box::new(stream)), true));
        self.timers.set(Timer::SetUp(id), now.mono + self.config.times.accept);
        self.stirred.push_back(id);
    }
}

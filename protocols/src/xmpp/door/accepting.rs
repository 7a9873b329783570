//! Servers that connect.

use std::net::{IpAddr, SocketAddr};

use super::conn::{Accepted, Conn, Stream};
use super::event::{ConnId, DoorOutput};
use super::limits::{ACCEPTED_MAX, STRANGERS_MAX, STRANGERS_PER_ADDRESS_MAX};
use super::{Door, Timer};
use crate::time::Now;
use crate::xmpp::stream::S2s;
use crate::xmpp::stream::end::StreamEnd;

impl Door {
    pub(super) fn accept(&mut self, now: Now, id: ConnId, direct_tls: bool, peer: SocketAddr) {
        let address = peer.ip().to_canonical();
        let accepted = self.conns.values().filter(|conn| conn.accepted.is_some()).count();
        if accepted >= ACCEPTED_MAX || self.stopping || !self.has_place_for(address) {
            self.turned_away(|| format!("{peer} is turned away"));
            return self.outputs.push_back(DoorOutput::Close(id));
        }
        if direct_tls && self.config.certificate.is_none() {
            self.notice("chat.no_certificate", true, "TLS was to begin, and no certificate is configured".to_owned());
            return self.outputs.push_back(DoorOutput::Close(id));
        }
        let seed = self.seed();
        let mut stream = S2s::receiving(self.config.clone(), direct_tls, seed);
        stream.opened();
        let accepted = Some(Accepted { address, at: now.mono });
        self.conns.insert(id, Conn::new(Stream::Server(Box::new(stream)), accepted));
        self.timers.set(Timer::SetUp(id), now.mono + self.config.times.accept);
        self.stirred.push_back(id);
    }

    /// Whether one more stranger of this address may come. Where there are too many the oldest that has said nothing of
    /// use makes room: a server says its header at once, and who only holds connections open keeps nobody else out.
    //= xmpp/STREAM-006
    fn has_place_for(&mut self, address: IpAddr) -> bool {
        let strangers: Vec<(ConnId, Accepted, bool)> = self.strangers().collect();
        let of_address = |stranger: &&(ConnId, Accepted, bool)| stranger.1.address == address;
        let crowd: Vec<_> = if strangers.iter().filter(of_address).count() >= STRANGERS_PER_ADDRESS_MAX {
            strangers.iter().filter(of_address).collect()
        } else if strangers.len() >= STRANGERS_MAX {
            strangers.iter().collect()
        } else {
            return true;
        };
        let silent = crowd.into_iter().filter(|(_, _, is_silent)| *is_silent);
        let Some(&(oldest, Accepted { address, .. }, _)) = silent.min_by_key(|(id, accepted, _)| (accepted.at, *id))
        else {
            return false;
        };
        self.turned_away(|| format!("{address} said nothing and gives way"));
        self.end(oldest, StreamEnd::GivesWay);
        true
    }

    /// Connections of which nobody knows yet who they are, and whether they have not even said whom they want.
    fn strangers(&self) -> impl Iterator<Item = (ConnId, Accepted, bool)> {
        self.conns.iter().filter_map(|(id, conn)| match (&conn.stream, conn.accepted) {
            (Stream::Server(stream), Some(accepted)) if !stream.is_established() && !stream.is_over() => {
                Some((*id, accepted, stream.pair().ours.is_empty()))
            }
            _ => None,
        })
    }

    /// Whoever has connections turned away without end is told of at the first of each power of two.
    fn turned_away(&mut self, detail: impl FnOnce() -> String) {
        self.turned_away += 1;
        if self.turned_away.is_power_of_two() {
            let detail = format!("{}, {} so far", detail(), self.turned_away);
            self.notice("chat.too_many_connections", true, detail);
        }
    }
}

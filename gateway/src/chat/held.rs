//! What came by a link and finds no place in the queue for its local server: it stays with its session, unconfirmed, so that
//! it is still the far site's; that one stops by itself, and says so to its own users when its queue is full. What our
//! users say goes on.
//!
//! Only what is kept on disk is waited for. One batch of a session is taken whole or not at all, as its records say what
//! is in it: what stands in it for other servers waits too.

use skywave_protocols::time::Now;
use skywave_protocols::xmpp::Stanza;

use super::{Chat, Line};

impl Chat {
    /// Holds back a batch of a session in which something is kept on disk that finds no place; whether it did.
    //= xmpp/CHAT-011
    pub(super) fn is_held_back(&mut self, now: Now, line: Line, save: u64, arrived: &[Stanza]) -> bool {
        let Some(peer) = self.peers.get(line.peer) else { return false };
        let full = arrived.iter().find(|stanza| {
            let domain = stanza.to().domain();
            let is_kept = || peer.config.lives.fate(stanza, peer.precedence.of(stanza)).durable;
            self.config.is_local(domain.as_str()) && !self.local.has_room(domain.as_str()) && is_kept()
        });
        let Some(domain) = full.map(|stanza| stanza.to().domain().to_string()) else { return false };
        let part = peer.name().to_owned();
        if let Some(side) = self.side_mut(line) {
            side.session.hold_back(now, save);
            side.held_for = Some(domain.clone());
        }
        let detail = format!("{} stanzas wait for local servers, and {domain} takes none", self.local.len());
        self.notice(&part, true, "far_site_held_back", detail);
        true
    }

    /// Lets those go on for whom there is a place again: half of the lane, so that not each batch fills it anew.
    pub(super) fn resume_held(&mut self, now: Now) -> bool {
        let mut moved = false;
        for peer in 0..self.peers.len() {
            for way in self.peers.get(peer).map(super::peers::Peer::ways).into_iter().flatten() {
                let line = Line { peer, way };
                let held = self.peers.get(peer).and_then(|peer| peer.side(way)?.held_for.as_deref());
                if !held.is_some_and(|domain| self.local.is_half_free(domain)) {
                    continue;
                }
                if let Some(side) = self.side_mut(line) {
                    side.held_for = None;
                    side.session.resume(now);
                    moved = true;
                }
            }
        }
        moved
    }
}

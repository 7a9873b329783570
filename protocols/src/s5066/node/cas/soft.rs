//! When links begin that are wanted, and when soft links end.

use super::super::cpdu::{LinkBreak, LinkMessage, LinkRejection};
use super::super::limits::LINK_PEERS_MAX;
use super::state::On;
use super::{Cas, LinkEnd, LinkRefusal, LinkSetup, Peer, State};
use crate::s5066::address::NodeAddress;
use crate::time::{Duration, Instant, Now, Wakeup};

impl Cas {
    /// The exclusive link with `peer` is not wanted any more. A soft one that is there, or has taken its place, stays: its
    /// data may be on the way.
    pub fn release_exclusive(&mut self, now: Now, peer: NodeAddress, reason: LinkBreak) {
        match self.peers.get_mut(&peer).filter(|known| known.is_link() && !known.exclusive) {
            Some(known) => known.wanted = known.wanted.filter(|exclusive| !exclusive),
            None => self.release(now, peer, reason),
        }
    }

    /// From now on the node has no links, or may have them again. Those that there are end, and others are told why.
    //= s5066/NODE-041
    pub fn set_broadcast_only(&mut self, now: Now, broadcast_only: bool) {
        self.config.broadcast_only = broadcast_only;
        let known: Vec<NodeAddress> = self.peers.keys().copied().filter(|_| broadcast_only).collect();
        for peer in known {
            let Some(known) = self.peers.get_mut(&peer) else { continue };
            let (is_link, is_asked) = (known.is_link(), known.wanted.take().is_some() || known.state == State::Calling);
            if is_link {
                self.end(now, peer, LinkBreak::Broadcast);
            }
            if is_asked {
                self.refuse(peer, LinkRefusal::Rejected(LinkRejection::BroadcastOnly));
            }
        }
    }

    /// The ARQ with `peer` has given up: the link that carried it ends. One that is asked for, or wanted, is another one.
    pub fn connection_lost(&mut self, now: Now, peer: NodeAddress) {
        if self.peers.get(&peer).is_some_and(Peer::is_up) {
            self.end(now, peer, LinkBreak::Unknown);
        }
        self.begin_all(now);
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        // Each turn moves the time of the one it is about, so that the bound is never met.
        for _ in 0..2 * LINK_PEERS_MAX {
            let Some((_, peer)) = self.earliest().filter(|&(at, _)| at <= now.mono) else { break };
            self.on_due(now, peer);
        }
    }

    /// Whoever waits for the answer of `peer` knows that it does not come: what it would answer is said again at once.
    pub fn missed(&mut self, now: Now, peer: NodeAddress) {
        if let Some(known) = self.peers.get_mut(&peer).filter(|known| known.state == State::Riding) {
            known.unanswered = true;
            // Where the link is agreed there is nothing to ask.
            known.tries = known.tries.saturating_add(u32::from(!known.skipped));
        }
        let is_waiting = |known: &Peer| matches!(known.state, State::Calling | State::Breaking);
        let has_left = !self.unsent.keys().any(|&(known, _)| known == peer);
        if !self.silent && has_left && self.peers.get(&peer).is_some_and(is_waiting) {
            self.on_due(now, peer);
        }
    }

    /// When the sublayer wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        self.earliest().map(|(at, _)| Wakeup { at, why: "link" })
    }

    /// Begins the link that is wanted with `peer`, if nothing stands against it.
    //= s5066/CAS-010
    pub(super) fn begin(&mut self, now: Now, peer: NodeAddress) {
        let Some(known) = self.peers.get(&peer).copied() else { return };
        let Some(exclusive) = known.wanted else { return };
        if known.is_link() && (known.exclusive || !exclusive) {
            self.forget_want(peer);
            return;
        }
        let setup = match self.config.setup_of(peer) {
            LinkSetup::Ride if exclusive => LinkSetup::Handshake,
            setup => setup,
        };
        let is_held = self.peers.iter().any(|(&p, other)| p != peer && other.exclusive && other.is_link());
        let is_full = !known.is_link() && self.count_links() >= self.config.links_max;
        if is_held || is_full || setup == LinkSetup::Handshake && self.silent {
            return;
        }
        if matches!(setup, LinkSetup::Skip | LinkSetup::Reset) && known.is_up() {
            // There is nobody to ask: the link that is there is exclusive from now on.
            self.end(now, peer, LinkBreak::Unknown);
        }
        self.start(now, peer, setup, exclusive, true);
        self.forget_want(peer);
    }

    /// Begins whatever waited and can begin now.
    pub(super) fn begin_all(&mut self, now: Now) {
        if self.peers.values().any(|known| known.wanted.is_some()) {
            let waiting: Vec<NodeAddress> =
                self.peers.iter().filter(|(_, known)| known.wanted.is_some()).map(|(&peer, _)| peer).collect();
            waiting.into_iter().for_each(|peer| self.begin(now, peer));
        }
    }

    pub(super) fn count_links(&self) -> usize {
        self.peers.values().filter(|known| known.is_link()).count()
    }

    /// Makes room for a link that another node asks for: one on which no data ever moved is forgotten, or one that is
    /// idle is broken.
    pub(super) fn make_room(&mut self, now: Now) -> bool {
        let soft = || self.peers.iter().filter(|(_, known)| known.is_soft());
        let unused = soft().filter(|(_, known)| !known.moved && !known.by_us).min_by_key(|(_, known)| known.made_at);
        if let Some((&peer, _)) = unused {
            if self.go(peer, On::Drop) {
                self.tell_down(peer, LinkEnd::Crowded);
            }
            return true;
        }
        let is_idle = |known: &Peer| now.mono.since(known.moved_at) >= self.config.soft_max_when_others_wait;
        let idle = soft().filter(|(_, known)| is_idle(known)).min_by_key(|(_, known)| known.moved_at);
        let Some((&peer, _)) = idle else { return false };
        self.end(now, peer, LinkBreak::HigherLayer);
        true
    }

    fn forget_want(&mut self, peer: NodeAddress) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.wanted = None;
        }
    }

    fn on_due(&mut self, now: Now, peer: NodeAddress) {
        let Some(known) = self.peers.get(&peer).copied() else { return };
        match known.state {
            State::Calling if known.tries >= self.config.request_retries => {
                self.go(peer, On::GivenUp);
                self.refuse(peer, LinkRefusal::NotResponding);
            }
            State::Breaking if known.tries >= self.config.break_retries => {
                self.go(peer, On::GivenUp);
            }
            State::Calling => self.again(now, peer, LinkMessage::Request { exclusive: known.exclusive, number: 0 }),
            State::Breaking => self.again(now, peer, LinkMessage::Break(known.breaking_for)),
            State::Linked => {
                let reason =
                    if now.mono >= self.idle_at(&known) { LinkBreak::NoMoreData } else { LinkBreak::HigherLayer };
                self.end(now, peer, reason);
            }
            State::Idle | State::Riding => {}
        }
        self.begin_all(now);
    }

    fn again(&mut self, now: Now, peer: NodeAddress, message: LinkMessage) {
        self.go(peer, On::Unanswered);
        if let Some(known) = self.peers.get_mut(&peer) {
            known.tries += 1;
        }
        self.send(now, peer, message);
    }

    fn earliest(&self) -> Option<(Instant, NodeAddress)> {
        if self.silent {
            return None;
        }
        let is_crowded = self.count_links() >= self.config.links_max
            && self.peers.values().any(|known| known.wanted.is_some() && !known.is_link());
        let due = |(&peer, known): (&NodeAddress, &Peer)| Some((self.due(known, is_crowded)?, peer));
        self.peers.iter().filter_map(due).min()
    }

    //= s5066/CAS-011
    fn due(&self, known: &Peer, is_crowded: bool) -> Option<Instant> {
        match known.state {
            State::Calling | State::Breaking => known.deadline,
            State::Linked if known.is_soft() => {
                let last = known.made_at + self.config.soft_max_when_others_wait;
                if known.rides() {
                    return is_crowded.then_some(last);
                }
                let idle = self.idle_at(known);
                Some(if is_crowded { idle.min(last.max(self.called_until(known))) } else { idle })
            }
            // Somebody asked for a hard link and never came back to it.
            State::Linked if known.exclusive && !known.skipped && !known.by_us && !known.moved => {
                Some(known.made_at + self.config.first_data_wait)
            }
            State::Idle | State::Riding | State::Linked => None,
        }
    }

    /// When a soft link has been idle for long enough.
    fn idle_at(&self, known: &Peer) -> Instant {
        if !known.by_us && !known.moved {
            return known.made_at + self.config.first_data_wait;
        }
        let is_alone = self.count_links() <= 1;
        let idle = if is_alone { self.config.soft_idle } else { self.config.soft_idle_shared };
        let more = if known.by_us { Duration::ZERO } else { self.config.called_min };
        known.moved_at + idle + more
    }

    /// Until when the called side must not end a link.
    fn called_until(&self, known: &Peer) -> Instant {
        if known.by_us { known.made_at } else { known.made_at + self.config.called_min }
    }
}

impl Peer {
    /// A link that ends by itself.
    const fn is_soft(&self) -> bool {
        matches!(self.state, State::Linked) && !self.exclusive && !self.skipped
    }

    /// Data may ride when it is made anew: one of the two nodes asked with a number.
    pub(super) const fn rides(&self) -> bool {
        self.their_number != 0 || self.rode
    }
}

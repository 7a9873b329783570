//! What other nodes say about links.

use super::super::cpdu::{LinkBreak, LinkMessage, LinkRejection};
use super::state::On;
use super::{Cas, LinkEnd, LinkRefusal, Peer, State};
use crate::s5066::address::NodeAddress;
use crate::time::Now;

/// Exclusive links at once at the called side: a second one, so that the SIS can compare the two.
const EXCLUSIVE_MAX: usize = 2;

impl Cas {
    //= s5066/CAS-002
    //= s5066/CAS-003
    //= s5066/CAS-004
    pub(super) fn on_request(&mut self, now: Now, source: NodeAddress, exclusive: bool, number: u16) {
        // A caller that waits for our word must not get it hours later; one whose data rides reads it whenever it comes.
        if self.silent && (exclusive || number == 0) {
            self.counters.ignored += 1;
            return;
        }
        if let Some(known) = self.peers.get(&source).copied()
            && known.state == State::Linked
            && known.repeats(exclusive, number)
        {
            return self.accept(now, source, number);
        }
        if let Some(reason) = self.refusal(now, source, exclusive) {
            self.counters.rejected += 1;
            return self.send(now, source, LinkMessage::Rejected(reason));
        }
        let Some(known) = self.peers.get(&source).copied() else { return };
        if !self.go(source, On::Requested) {
            return;
        }
        self.withdraw(source);
        // Both asked at once and nothing of either was heard yet: one link, and what rides with ours stays good.
        let is_ours = known.state == State::Riding && !exclusive;
        if !is_ours && known.is_up() {
            self.tell_down(source, LinkEnd::Replaced);
        }
        let by_us = matches!(known.state, State::Riding | State::Calling);
        if let Some(known) = self.peers.get_mut(&source) {
            let (state, rode, wanted) = (known.state, is_ours && known.rode, known.wanted);
            let fresh = Peer { state, exclusive, by_us, rode, wanted, ..Peer::new(known.number) };
            *known = Peer { their_number: number, made_at: now.mono, moved_at: now.mono, ..fresh };
        }
        if !is_ours {
            self.tell_up(source);
        }
        self.accept(now, source, number);
    }

    //= s5066/CAS-005
    pub(super) fn on_accepted(&mut self, now: Now, source: NodeAddress, number: u16) {
        let Some(known) = self.peers.get(&source).copied() else { return };
        // Our call says number 0 and is answered so; another number answers data that rode before it.
        let is_stale = number != 0
            && match known.state {
                State::Riding => number != known.number,
                State::Calling => true,
                State::Idle | State::Linked | State::Breaking => false,
            };
        if is_stale || !self.go(source, On::Accepted) {
            return;
        }
        if let Some(known) = self.peers.get_mut(&source) {
            (known.made_at, known.moved_at) = (now.mono, now.mono);
        }
        if known.state == State::Riding {
            return;
        }
        if known.exclusive {
            let soft: Vec<NodeAddress> =
                self.peers.iter().filter(|(_, other)| other.is_link() && !other.exclusive).map(|(&p, _)| p).collect();
            soft.into_iter().for_each(|peer| self.end(now, peer, LinkBreak::HigherPriority));
        }
        self.tell_up(source);
    }

    pub(super) fn on_rejected(&mut self, source: NodeAddress, reason: LinkRejection) {
        let Some(known) = self.peers.get(&source).copied() else { return };
        if !self.go(source, On::Rejected) {
            return;
        }
        if known.is_up() {
            self.tell_down(source, LinkEnd::Rejected(reason));
        } else {
            self.refuse(source, LinkRefusal::Rejected(reason));
        }
    }

    /// A break is always confirmed: our confirmation may have been lost.
    //= s5066/CAS-006
    pub(super) fn on_break(&mut self, now: Now, source: NodeAddress, reason: LinkBreak) {
        let was_up = self.peers.get(&source).is_some_and(Peer::is_up);
        if self.go(source, On::Broken) && was_up {
            self.tell_down(source, LinkEnd::Broken(reason));
        }
        self.send(now, source, LinkMessage::BreakConfirm);
    }

    fn accept(&mut self, now: Now, source: NodeAddress, number: u16) {
        if self.silent {
            if let Some(known) = self.peers.get_mut(&source) {
                known.owed = Some(number);
            }
        } else {
            self.send(now, source, LinkMessage::Accepted { number });
        }
    }

    /// Why a request is rejected; `None` accepts it, and then there is an entry for its sender.
    fn refusal(&mut self, now: Now, source: NodeAddress, exclusive: bool) -> Option<LinkRejection> {
        if self.config.broadcast_only {
            return Some(LinkRejection::BroadcastOnly);
        }
        let others = || self.peers.iter().filter(|&(&peer, known)| peer != source && known.exclusive);
        let held = others().filter(|(_, known)| known.is_up()).count();
        if held >= if exclusive { EXCLUSIVE_MAX } else { 1 } {
            return Some(LinkRejection::Exclusive);
        }
        let ours = self.peers.get(&source).is_some_and(|known| known.state == State::Calling && known.exclusive);
        let asked = others().any(|(_, known)| known.state == State::Calling);
        if !exclusive && (ours || asked) {
            return Some(LinkRejection::HigherPriority);
        }
        let is_link = self.peers.get(&source).is_some_and(Peer::is_link);
        let has_room = is_link || self.count_links() < self.config.links_max || self.make_room(now);
        (!has_room || !self.admit(source)).then_some(LinkRejection::Unknown)
    }
}

impl Peer {
    /// Whether a request is a repetition of the one that made this link, our answer to which was lost.
    //= s5066/CAS-004
    const fn repeats(&self, exclusive: bool, number: u16) -> bool {
        // Without a number the caller sends no data before it has our word: once data moved, it asks for a new link.
        let same = if number == 0 { self.their_number == 0 && !self.moved } else { number == self.their_number };
        same && exclusive == self.exclusive
    }
}

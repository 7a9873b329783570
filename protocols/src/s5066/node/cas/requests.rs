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
        let is_it = |known: &&mut Peer| known.state == State::Linked && known.repeats(exclusive, number);
        if let Some(known) = self.peers.get_mut(&source).filter(is_it) {
            known.asks = number != 0;
            return self.send(now, source, LinkMessage::Accepted { number });
        }
        if let Some(reason) = self.refusal(now, source, exclusive) {
            let rejected = LinkMessage::Rejected(reason);
            // Each D_PDU of a ride asks; they are answered at once.
            self.counters.rejected += u64::from(!self.unsent.contains_key(&(source, rejected)));
            return self.send(now, source, rejected);
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
            let asks = number != 0;
            *known = Peer { their_number: number, asks, made_at: now.mono, moved_at: now.mono, ..fresh };
        }
        if !is_ours {
            self.tell_up(source);
        }
        self.send(now, source, LinkMessage::Accepted { number });
    }

    /// Data that rides with a request came: the link that it asks for is the one we have, or is made. `false` when it is
    /// refused.
    //= s5066/CAS-007
    pub(super) fn on_asking(&mut self, now: Now, source: NodeAddress, number: u16) -> bool {
        let is_it = |known: &&Peer| known.state == State::Linked && known.their_number == number;
        match self.peers.get_mut(&source) {
            Some(known) if is_it(&&*known) => known.asks = true,
            Some(_) | None => self.on_request(now, source, false, number),
        }
        // What answers the data says that we accept: nothing else needs to.
        let accepted = LinkMessage::Accepted { number };
        if self.unsent.contains_key(&(source, accepted)) {
            self.withdraw(source);
        }
        self.peers.get(&source).filter(is_it).is_some()
    }

    /// Data of a link that we asked for, by what it says.
    //= s5066/CAS-007
    pub(super) fn on_answering(&mut self, now: Now, source: NodeAddress, number: u16) -> bool {
        let Some(known) = self.peers.get(&source).copied() else { return true };
        let is_ours = known.number == number;
        match known.state {
            State::Riding | State::Calling if is_ours => {
                self.on_accepted(now, source, number);
                true
            }
            State::Riding => false,
            // Where nothing of ours rode, others use these orderwire messages for something else.
            State::Linked => !known.rode || is_ours,
            // There is no link: the other node is warned.
            State::Idle | State::Calling | State::Breaking => true,
        }
    }

    /// Data that says nothing of its link: not one that rides, nor one that answers such.
    //= s5066/CAS-007
    pub(super) fn on_unmarked(&mut self, source: NodeAddress) -> bool {
        let Some(known) = self.peers.get_mut(&source) else { return true };
        known.asks = false;
        // Of a link that only it remembers: ours it has not accepted yet.
        known.state != State::Riding
    }

    //= s5066/CAS-005
    pub(super) fn on_accepted(&mut self, now: Now, source: NodeAddress, number: u16) {
        let Some(known) = self.peers.get(&source).copied() else { return };
        // Nodes that know of no numbers say 0; another number than ours answers what was asked before.
        let is_stale = number != 0
            && match known.state {
                State::Riding => number != known.number,
                State::Calling => known.exclusive || number != known.number,
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

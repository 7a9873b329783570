//! What other nodes say about links.

use super::super::cpdu::{LinkBreak, LinkMessage, LinkRejection};
use super::state::On;
use super::{Cas, LinkEnd, LinkRefusal, LinkSetup, Peer, State};
use crate::s5066::address::NodeAddress;
use crate::time::Now;

/// Exclusive links at once at the called side: a second one, so that the SIS can compare the two.
const EXCLUSIVE_MAX: usize = 2;

impl Cas {
    /// Whether a node is known to be none of ours, by how it made its last link.
    pub fn is_foreign(&self, peer: NodeAddress) -> bool {
        self.peers.get(&peer).is_some_and(|known| known.foreign)
    }

    //= s5066/CAS-002
    //= s5066/CAS-003
    //= s5066/CAS-004
    pub(super) fn on_request(&mut self, now: Now, source: NodeAddress, exclusive: bool, number: u16) {
        let is_it = |known: &Peer| known.state == State::Linked && known.repeats(exclusive, number);
        if self.peers.get(&source).is_some_and(is_it) {
            return self.send(now, source, LinkMessage::Accepted { number });
        }
        // The link under this number has ended here: what rides on it may have been taken.
        let had = |known: &Peer| number != 0 && known.accepted == number;
        let ended = self.peers.get(&source).is_some_and(had).then_some(LinkRejection::Unknown);
        if let Some(reason) = ended.or_else(|| self.refusal(now, source, exclusive)) {
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
            let (exclusive, asks) = (exclusive || is_ours && known.exclusive, number != 0);
            let accepted = if asks { number } else { known.accepted };
            // A hard link has no number, whosoever asks.
            let foreign = if exclusive { known.foreign } else { !asks };
            let kept = Peer { accepted, foreign, unaware: false, ..known.anew(known.number) };
            let fresh = Peer { state, exclusive, by_us, rode, wanted, ..kept };
            let skipped = asks && self.config.setup_of(source) == LinkSetup::Skip;
            *known = Peer { their_number: number, asks, skipped, made_at: now.mono, moved_at: now.mono, ..fresh };
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
        let is_it = |known: &&Peer| known.state == State::Linked && known.asks_under(number);
        match self.peers.get_mut(&source) {
            Some(known) if is_it(&&*known) => {}
            // It was made and has ended here, and its sender has not heard so: what it sent before was taken.
            Some(known) if known.accepted == number => {
                self.send(now, source, LinkMessage::Break(LinkBreak::HigherLayer));
                return false;
            }
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
                self.peers.get(&source).is_some_and(|known| known.state == State::Linked)
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
    pub(super) fn on_unmarked(&mut self, now: Now, source: NodeAddress, answers: bool) -> bool {
        let Some(known) = self.peers.get_mut(&source) else { return true };
        (known.asks, known.unaware) = (false, false);
        if known.state != State::Riding {
            return true;
        }
        let known = *known;
        if known.skipped && answers && self.go(source, On::Drop) {
            // A node of ours would say which link it answers: what this one has of it nobody can tell.
            self.tell_down(source, LinkEnd::Unconnected);
            self.peers.get_mut(&source).into_iter().for_each(|known| known.foreign = true);
            self.start(now, source, LinkSetup::Reset, known.exclusive, known.by_us);
            return true;
        }
        // Of a link that only it remembers: ours it has not accepted yet.
        false
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
        let keeps = known.state == State::Riding || known.state == State::Calling && !known.exclusive;
        if !is_stale && keeps && known.unaware {
            return self.renew(now, source, &known);
        }
        if is_stale || !self.go(source, On::Accepted) {
            return;
        }
        if let Some(known) = self.peers.get_mut(&source) {
            (known.made_at, known.moved_at) = (now.mono, now.mono);
            known.foreign = if keeps { number == 0 } else { known.foreign };
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

    /// Asks under the next number: the other node asked too and kept what it had sent, of which we took some on a link
    /// that it never heard was made. Of a link that it has, the next one takes the place.
    fn renew(&mut self, now: Now, source: NodeAddress, known: &Peer) {
        if !self.go(source, On::Drop) {
            return;
        }
        if known.is_up() {
            self.tell_down(source, LinkEnd::Replaced);
        }
        let setup = match (known.state, known.skipped) {
            (State::Riding, true) => LinkSetup::Skip,
            (State::Riding, false) => LinkSetup::Ride,
            (State::Idle | State::Calling | State::Linked | State::Breaking, _) => LinkSetup::Handshake,
        };
        self.start(now, source, setup, known.exclusive, known.by_us);
        self.peers.get_mut(&source).into_iter().for_each(|known| known.unaware = false);
    }

    pub(super) fn on_rejected(&mut self, source: NodeAddress, reason: LinkRejection) {
        let Some(known) = self.peers.get(&source).copied() else { return };
        if !self.go(source, On::Rejected) {
            return;
        }
        if known.is_up() {
            self.tell_down(source, LinkEnd::Rejected { reason, late: known.unanswered });
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
        // Without a number the caller sends no data before it has our word: once data moved, it asks for a new link. A hard
        // link that a client gave up and wants again has no number either, and data of ours may have arrived on it.
        let same = match number {
            0 => self.their_number == 0 && !self.moved && !exclusive,
            _ => self.asks_under(number),
        };
        same && exclusive == self.exclusive
    }

    /// Whether it asks for the link that there is under this number. Who has shown that it knows of it asks no more: it
    /// began anew and drew the same number.
    const fn asks_under(&self, number: u16) -> bool {
        number == self.their_number && self.asks
    }
}

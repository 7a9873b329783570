//! From a local server to a link: what may cross, how urgent it is, and how it waits.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Now;
use skywave_protocols::xmpp::fate::Meaning;
use skywave_protocols::xmpp::limits::ReaderLimits;
use skywave_protocols::xmpp::local::{Cause, Complaint, Condition, ErrorType, answer_for_gateway, bounce};
use skywave_protocols::xmpp::presence::Presence;
use skywave_protocols::xmpp::rules::{Orders, Verdict};
use skywave_protocols::xmpp::{Stanza, ns};
use skywave_transports::io::Space;

use super::config::EmconRule;
use super::limits::{ADDED_OCTETS_MAX, RESERVED_SHARE};
use super::queue::local::Handing;
use super::queue::out::Waiting;
use super::{Chat, record};
use crate::telemetry::StanzaFate;

impl Chat {
    /// A stanza of a local server. The door is told when it is on disk, or done with.
    pub(super) fn outward(&mut self, now: Now, arrival: u64, stanza: Stanza) {
        if self.config.fronts_itself() && stanza.to().domain().as_str() == self.config.domain {
            return self.for_gateway(now, arrival, &stanza);
        }
        //= xmpp/CHAT-012
        if !self.config.is_local(stanza.from().domain().as_str()) {
            let complaint = Complaint::new(Condition::NotAllowed);
            return self.refuse(now, None, arrival, &stanza, &complaint, "its sender is no local user");
        }
        let Some(index) = self.peer_of(stanza.to().domain().as_str()) else {
            return self.refuse(now, None, arrival, &stanza, &self.complaint(Cause::UnknownDomain), "no link");
        };
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.counters.stanzas_taken += 1;
        if !peer.config.serves(stanza.from().domain().as_str()) {
            let complaint = self.complaint(Cause::UnknownDomain);
            return self.refuse(now, Some(index), arrival, &stanza, &complaint, "this domain may not use the link");
        }
        if let Some(complaint) = self.confusable(index, stanza.to()) {
            let why = "its address mixes scripts";
            return self.refuse(now, Some(index), arrival, &stanza, &complaint, why);
        }
        let Some(peer) = self.peers.get_mut(index) else { return };
        // Whether somebody still sits in a far room is known here: no rule about pings says it better.
        if let Some(answer) = peer.presence.self_ping(&stanza) {
            self.door.taken(now, arrival);
            return self.answered(now, index, &stanza, answer);
        }
        let verdict = peer.judge(now, None, &stanza);
        self.tell_rules(index);
        match verdict {
            Verdict::Pass { stanza, orders } => self.outward_presence(now, index, arrival, stanza, &orders),
            Verdict::Drop => {
                self.door.taken(now, arrival);
                self.dropped(now, index, &stanza, "by a rule");
            }
            Verdict::Reply(answer) => {
                self.door.taken(now, arrival);
                self.answered(now, index, &stanza, answer);
            }
        }
    }

    /// A stanza for the gateway's own domain: requests are answered, all else has nobody to go to.
    //= xmpp/LOCAL-008
    fn for_gateway(&mut self, now: Now, arrival: u64, stanza: &Stanza) {
        let answer = answer_for_gateway(stanza, &self.gateway, now.wall).filter(|_| stanza.to().node().is_none());
        let Some(answer) = answer else {
            let complaint = Complaint::new(Condition::ServiceUnavailable);
            return self.refuse(now, None, arrival, stanza, &complaint, "for the gateway itself");
        };
        self.door.taken(now, arrival);
        self.answered(now, usize::MAX, stanza, answer);
    }

    fn outward_presence(&mut self, now: Now, index: usize, arrival: u64, stanza: Stanza, orders: &Orders) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let before = stanza.clone();
        let Presence { mut cross, replace, ends_join, back, on } = peer.presence.outbound(now, stanza);
        if ends_join && self.cancel_join(now, index, &before) {
            cross = None;
        }
        if cross.is_none() {
            let answered = !back.is_empty();
            self.door.taken(now, arrival);
            if answered {
                self.count(index, |counters| counters.stanzas_answered += 1);
                self.line_of(now, index, &before, StanzaFate::Answered, "from the presence cache");
            } else {
                self.dropped(now, index, &before, "nothing new for the far site");
            }
        }
        for stanza in back {
            self.reply(now, index, stanza, None);
        }
        for stanza in on {
            self.queue_out(now, index, None, stanza, &Orders::default());
        }
        if let Some(stanza) = cross {
            let coalesce = orders.coalesce.clone().or(replace);
            self.queue_out(now, index, Some(arrival), stanza, &Orders { coalesce, ..orders.clone() });
        }
    }

    /// A stanza made here for the far site: an error, an answer.
    pub(super) fn send_own(&mut self, now: Now, index: usize, stanza: Stanza) {
        self.queue_out(now, index, None, stanza, &Orders::default());
    }

    fn queue_out(&mut self, now: Now, index: usize, arrival: Option<u64>, stanza: Stanza, orders: &Orders) {
        let Some(peer) = self.peers.get(index) else { return };
        let meaning = Meaning::of(&stanza);
        let mut precedence = orders
            .precedence
            .map_or_else(|| peer.precedence.of(&stanza), |precedence| peer.precedence.at_most(precedence));
        if matches!(meaning, Meaning::Presence | Meaning::Probe) {
            precedence = precedence.min(peer.config.presence_precedence);
        }
        let mut fate = peer.config.lives.fate_of(meaning, precedence);
        fate.life = orders.life.or(fate.life);
        let octets = stanza.size_octets();
        let old = orders.coalesce.as_ref().and_then(|key| self.take_replaced(index, key));
        if let Some((complaint, why)) = self.obstacle(index, &stanza, meaning, octets, precedence, old) {
            if let Some(peer) = self.peers.get_mut(index) {
                peer.presence.lost(&stanza);
            }
            self.release(now, index, old.into_iter().collect());
            return self.refuse(now, Some(index), arrival.unwrap_or_default(), &stanza, &complaint, &why);
        }
        let number = self.numbers.take();
        // Whether with it the leave of a room goes that the far site was not told.
        let gone = old.and_then(|old| self.discard(now, index, old, StanzaFate::Replaced, "by a newer one"));
        let stands_for_leave = gone.as_ref().is_some_and(Waiting::is_leave);
        let Some(peer) = self.peers.get(index) else { return };
        let route = orders.route.as_ref().and_then(|link| peer.config.way_to(link));
        let waiting = Waiting {
            octets,
            since: now.wall,
            until: fate.life.map(|life| now.mono + life),
            fate,
            priority: precedence.mt_priority(),
            // A rule may say of any kind what replaces what.
            replace: orders.coalesce.clone(),
            hold: orders.hold.map(|hold| now.mono + hold),
            route,
            bits_per_second_min: orders.hold_until_bits_per_second,
            label_group: peer.label_group(&stanza),
            kept: false,
            stands_for_leave,
            arrival,
            stanza,
        };
        self.keep(now, index, number, waiting, gone.is_some());
    }

    /// Puts a stanza into the queue: on disk first, if its kind is kept there.
    fn keep(&mut self, now: Now, index: usize, number: u64, mut waiting: Waiting, replaces: bool) {
        let is_durable = waiting.fate.durable;
        // What was made of something else, or takes its place, is in one batch with the end of that.
        let is_alone = waiting.arrival.is_some() && !replaces;
        let is_gathered = is_durable && is_alone && self.gather(now, index, number, &waiting);
        if !is_durable {
            if let Some(arrival) = waiting.arrival.take() {
                self.door.taken(now, arrival);
            }
            self.line_out(now, index, number, &waiting, StanzaFate::Accepted, "waits in memory");
        }
        let Some(peer) = self.peers.get_mut(index) else { return };
        let released = peer.queue.push(number, waiting, !is_durable);
        if is_durable && !is_gathered {
            self.write_row(index, number);
        }
        self.release(now, index, released);
    }

    /// The row of a stanza is on the disk.
    //= xmpp/CHAT-001
    pub(super) fn row_stored(&mut self, now: Now, index: usize, number: u64) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(waiting) = peer.queue.get_mut(number) else { return };
        let arrival = waiting.arrival.take();
        let waiting = waiting.clone();
        let released = peer.queue.stored(number);
        if let Some(arrival) = arrival {
            self.door.taken(now, arrival);
        }
        self.line_out(now, index, number, &waiting, StanzaFate::Accepted, "on disk");
        self.release(now, index, released);
    }

    /// The row could not be stored: the sender is told at once, unless the stanza is in a block.
    pub(super) fn row_refused(&mut self, now: Now, index: usize, number: u64, why: &str) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if !peer.take_back(number) {
            return self.owe_row(now, index, number);
        }
        let Some((waiting, freed)) = peer.queue.remove(number) else { return };
        self.release(now, index, freed);
        let complaint = self.complaint(Cause::QueueFull);
        let arrival = waiting.arrival.unwrap_or_default();
        self.refuse(now, Some(index), arrival, &waiting.stanza, &complaint, why);
    }

    /// Why a stanza cannot wait for the link.
    fn obstacle(
        &self,
        index: usize,
        stanza: &Stanza,
        meaning: Meaning,
        octets: usize,
        precedence: Precedence,
        old: Option<u64>,
    ) -> Option<(Complaint<'static>, String)> {
        let peer = self.peers.get(index)?;
        let config = &peer.config;
        if octets > config.stanza_octets_max {
            let why = format!("{octets} octets, the link takes {}", config.stanza_octets_max);
            return Some((Complaint::of(Cause::TooLarge, None), why));
        }
        // The far end would drop it, after this one was told that it has it.
        if octets + ADDED_OCTETS_MAX > ReaderLimits::HF.stanza_octets || !stanza.fits(ReaderLimits::HF) {
            return Some((
                Complaint::of(Cause::TooLarge, None),
                "the far site does not take what is built so".to_owned(),
            ));
        }
        //= xmpp/CHAT-015
        // Nobody says these again, or takes an error for them as what it is: a contact would stay asked for, or shown.
        let once = matches!(meaning, Meaning::Subscription | Meaning::Response);
        let state = matches!(meaning, Meaning::Presence | Meaning::DirectedPresence | Meaning::FromRoom);
        // The last places are for what is urgent or comes only once.
        let reserved = usize::from(precedence < Precedence::Immediate && !once);
        let [stanzas_max, octets_max] =
            [config.queue.stanzas_max, config.queue.octets_max].map(|max| max - reserved * (max / RESERVED_SHARE));
        if let Err(full) = peer.queue.room(octets, old, stanzas_max, octets_max) {
            return Some((Complaint::of(Cause::QueueFull, None), full.to_string()));
        }
        if peer.is_shut() && config.emcon == EmconRule::Refuse && !state && !once && !stanza.is_error() {
            let (text, why) = if peer.silent {
                ("the far site keeps radio silence", "the far site keeps silence")
            } else {
                ("the link to the far site is not to be used now", "the link is not to be used")
            };
            let complaint = Complaint {
                error_type: ErrorType::Wait,
                text: Some(text),
                ..Complaint::new(Condition::RecipientUnavailable)
            };
            return Some((complaint, why.to_owned()));
        }
        None
    }

    /// What waits with this key and is not on its way: it may give way.
    fn take_replaced(&mut self, index: usize, key: &[u8]) -> Option<u64> {
        let peer = self.peers.get_mut(index)?;
        peer.queue.replaceable(key).filter(|&old| peer.take_back(old))
    }

    /// A stanza that was taken back gives way.
    pub(super) fn discard(
        &mut self,
        now: Now,
        index: usize,
        number: u64,
        fate: StanzaFate,
        why: &str,
    ) -> Option<Waiting> {
        let (waiting, freed) = self.peers.get_mut(index)?.queue.remove(number)?;
        // Its row may be on its way to the disk still: nobody else will say that it is done with.
        if let Some(arrival) = waiting.arrival {
            self.door.taken(now, arrival);
        }
        if waiting.fate.durable {
            self.work.note(record::forget(Space::ChatOut, number));
        }
        self.line_out(now, index, number, &waiting, fate, why);
        self.release(now, index, freed);
        Some(waiting)
    }

    /// A user leaves a room that has not answered the join: if the join is still here, all that the room would have got
    /// goes. Whether the leave is no news to it either.
    //= xmpp/CHAT-007
    fn cancel_join(&mut self, now: Now, index: usize, leave: &Stanza) -> bool {
        let Some(peer) = self.peers.get_mut(index) else { return false };
        let waiting = peer.queue.same_seat(leave);
        let is_join = |number: &&u64| {
            peer.queue.get(**number).is_some_and(|waiting| waiting.stanza.child(ns::MUC, "x").is_some())
        };
        let Some(join) = waiting.iter().find(is_join).copied() else { return false };
        if !peer.take_back(join) {
            return false;
        }
        let mut owed = false;
        for number in waiting {
            if self.peers.get_mut(index).is_some_and(|peer| peer.take_back(number)) {
                let why = "its user has left the room again";
                let gone = self.discard(now, index, number, StanzaFate::Replaced, why);
                owed |= gone.is_some_and(|waiting| waiting.is_leave());
            }
        }
        !owed
    }

    /// What says that a stanza comes back for this cause.
    pub(super) const fn complaint(&self, cause: Cause) -> Complaint<'static> {
        Complaint::of(cause, None)
    }

    /// Gives a stanza back at once, where an error may be sent for it.
    fn refuse(
        &mut self,
        now: Now,
        index: Option<usize>,
        arrival: u64,
        stanza: &Stanza,
        complaint: &Complaint<'static>,
        why: &str,
    ) {
        if arrival > 0 {
            self.door.taken(now, arrival);
        }
        let complaint = Complaint { by: Some(&self.config.domain), ..*complaint };
        let error = bounce(stanza, &complaint);
        let (peer, fate) = (index.unwrap_or(usize::MAX), error.is_some());
        self.count(peer, |counters| counters.stanzas_returned += 1);
        self.line_of(now, peer, stanza, if fate { StanzaFate::Returned } else { StanzaFate::Discarded }, why);
        if let Some(error) = error {
            self.reply(now, peer, error, None);
        }
    }

    /// A stanza made here for a local server. With `settles` it ends the row of that number when it is handed over.
    pub(super) fn reply(&mut self, now: Now, index: usize, stanza: Stanza, settles: Option<u64>) {
        let number = self.numbers.take();
        let octets = stanza.size_octets();
        let handing = Handing {
            peer: index,
            octets,
            since: now.wall,
            durable: false,
            own: true,
            given: false,
            repeated: false,
            settles,
            stanza,
        };
        // The sender of what was given up is told however full it is: the row of his words stands as long as he is not.
        if settles.is_some() || self.local.has_room(handing.stanza.to().domain().as_str()) {
            self.push_local(now, number, handing);
        } else {
            self.count(index, |counters| counters.stanzas_dropped += 1);
            self.line_in(now, number, &handing, StanzaFate::Discarded, "too many stanzas wait for local servers");
        }
    }

    fn answered(&mut self, now: Now, index: usize, stanza: &Stanza, answer: Stanza) {
        self.count(index, |counters| counters.stanzas_answered += 1);
        self.line_of(now, index, stanza, StanzaFate::Answered, "by the gateway");
        self.reply(now, index, answer, None);
    }

    pub(super) fn dropped(&mut self, now: Now, index: usize, stanza: &Stanza, why: &str) {
        self.count(index, |counters| counters.stanzas_dropped += 1);
        self.line_of(now, index, stanza, StanzaFate::Dropped, why);
    }

    /// What the presence cache has to say by itself: `back` is for the local side here, `on` for the far one.
    pub(super) fn presence_done(&mut self, now: Now, index: usize, presence: Presence) {
        for stanza in presence.back {
            self.reply(now, index, stanza, None);
        }
        for stanza in presence.on.into_iter().chain(presence.cross) {
            self.send_own(now, index, stanza);
        }
    }

    /// What rules wrote down for the operator.
    pub(super) fn tell_rules(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let part = peer.name().to_owned();
        for notice in peer.filter.take_notices() {
            let detail = format!("rule {}: {} of {} octets", notice.rule, notice.kind.name(), notice.octets);
            self.notice(&part, notice.alarm, "rule", detail);
        }
    }
}

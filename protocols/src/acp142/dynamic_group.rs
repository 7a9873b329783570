//! Dynamic multicast groups: ask for an address, announce it to those who shall join, give it back.
//!
//! A procedure beside the engine (RFC 8494 needs fixed groups only): the caller opens a group for a message, sends
//! the message to the group it is told, and closes it when the message has ended. Needs two-way traffic: silence means
//! consent, so a node in EMCON cannot reject, and a collision then only costs bandwidth.
//!
//! Promises: a request rejected in time is released and tried with another address, a bounded number of times; a late
//! reject is ignored; an announced group we are named for is joined once and left at release, expiry or when the
//! caller says that its message has ended. Refuses: releases by others than the owner. Limits: [`DYNAMIC_GROUPS_MAX`].

use std::collections::{BTreeMap, VecDeque};

use super::checksum::Checksum;
use super::event::Emission;
use super::group_pdu::{Announce, GroupNote};
use super::limits::{DYNAMIC_GROUP_ATTEMPTS_MAX, DYNAMIC_GROUPS_MAX};
use super::pdu::{Map, MessageId, NodeId, Pdu};
use super::transmission::wire_expiry;
use crate::bytes::Bytes;
use crate::random::{Random as _, Seeded};
use crate::time::{Duration, Instant, Now, Wakeup, WallTime};

/// Parameters of the procedure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// Our own id.
    pub id: NodeId,
    /// First and last multicast address (IPv4) that may be asked for.
    pub range: (u32, u32),
    /// WAIT_FOR_REJECT_TIME.
    pub wait_for_reject: Duration,
    /// ANNOUNCE_DELAY: from the first Announce_PDU to the message.
    pub announce_delay: Duration,
    /// ANNOUNCE_CT: how often it is announced, 1 or more.
    pub announcements: u32,
    /// Largest PDU sent.
    pub pdu_octets_max: usize,
    /// Checksum sent.
    pub checksum: Checksum,
}

impl GroupConfig {
    /// The starting values for HF, with addresses from 239.192.0.0/16.
    pub const fn new(id: NodeId) -> Self {
        Self {
            id,
            range: (0xefc0_0000, 0xefc0_ffff),
            wait_for_reject: Duration::from_secs(120),
            announce_delay: Duration::from_secs(120),
            announcements: 2,
            pdu_octets_max: 512,
            checksum: Checksum::Fletcher,
        }
    }
}

/// To whom a PDU of the procedure goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// The global group at TPORT: all that may transmit.
    Transmitters,
    /// The global group at RPORT: all that may receive.
    Receivers,
    /// One node at TPORT.
    One(NodeId),
}

/// What the procedure tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupEvent {
    /// The message may be sent to this group now.
    Ready {
        /// Message_ID it was opened for.
        number: u32,
        /// The group.
        group: u32,
    },
    /// No free address was found.
    NoneFree {
        /// Message_ID it was opened for.
        number: u32,
    },
    /// Join this group.
    Join(u32),
    /// Leave this group.
    Leave(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Asked for; silence until then is consent.
    Requested { until: Instant },
    /// Announced; again at `next` while any are left, and ready at the end.
    Announcing { left: u32, next: Instant, ready: Instant },
    /// In use.
    Ready,
}

#[derive(Clone, Debug)]
struct Own {
    group: u32,
    state: State,
    attempts: u32,
    destinations: Vec<NodeId>,
    expiry: WallTime,
}

/// The procedure of one node: its own groups, those it has joined, and those it heard of.
#[derive(Debug)]
pub struct DynamicGroups {
    config: GroupConfig,
    random: Seeded,
    emission: Emission,
    silent_since: Instant,
    last: Now,
    own: BTreeMap<u32, Own>,
    joined: BTreeMap<MessageId, (u32, WallTime)>,
    /// Groups of others, by the request that asked for them.
    taken: BTreeMap<MessageId, u32>,
    pdus: VecDeque<(Channel, Bytes)>,
    events: VecDeque<GroupEvent>,
}

impl DynamicGroups {
    /// No group yet.
    pub fn new(config: GroupConfig, now: Now, random: Seeded) -> Self {
        Self {
            config,
            random,
            emission: Emission::Free,
            silent_since: now.mono,
            last: now,
            own: BTreeMap::new(),
            joined: BTreeMap::new(),
            taken: BTreeMap::new(),
            pdus: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Asks for a group for the message `number`; `Ready` or `NoneFree` follows.
    //= acp142/PMUL-070
    pub fn open(&mut self, now: Now, number: u32, destinations: Vec<NodeId>, expiry: WallTime) {
        self.last = now;
        if self.own.len() >= DYNAMIC_GROUPS_MAX || self.own.contains_key(&number) {
            return self.events.push_back(GroupEvent::NoneFree { number });
        }
        self.request(now, number, Own { group: 0, state: State::Ready, attempts: 0, destinations, expiry });
    }

    fn request(&mut self, now: Now, number: u32, mut own: Own) {
        let group = self.free_address().filter(|_| own.attempts < DYNAMIC_GROUP_ATTEMPTS_MAX);
        let Some(group) = group else {
            return self.events.push_back(GroupEvent::NoneFree { number });
        };
        own.group = group;
        own.attempts += 1;
        own.state = State::Requested { until: self.clock(now) + self.config.wait_for_reject };
        self.own.insert(number, own);
        let note = self.note(number, group);
        self.send(Channel::Transmitters, &Pdu::Request(note));
    }

    /// A random address of the range that nobody is known to use.
    fn free_address(&mut self) -> Option<u32> {
        let (first, last) = self.config.range;
        let count = u64::from(last.saturating_sub(first)) + 1;
        let start = self.random.below(count);
        // As many tries as groups can be known, so that a free one is found if there is any.
        let tries = count.min(3 * DYNAMIC_GROUPS_MAX as u64 + 1);
        let candidates = (0..tries).map(|i| first.saturating_add(u32::try_from((start + i) % count).unwrap_or(0)));
        let mut free = candidates.filter(|group| {
            let own = self.own.values().any(|own| own.group == *group);
            !own && !self.taken.values().any(|taken| taken == group)
        });
        free.next()
    }

    /// A group of an earlier run of ours goes on: it is announced anew, and then `Ready`.
    pub fn resume(&mut self, now: Now, number: u32, group: u32, destinations: Vec<NodeId>, expiry: WallTime) {
        self.last = now;
        if self.own.len() >= DYNAMIC_GROUPS_MAX || self.own.contains_key(&number) {
            return self.events.push_back(GroupEvent::NoneFree { number });
        }
        // Consent was given then: what is left is the announcement.
        let state = State::Requested { until: self.clock(now) };
        self.own.insert(number, Own { group, state, attempts: 1, destinations, expiry });
    }

    /// Some that were to join have not been heard of: they may have missed the announcement, or been restarted.
    pub fn announce_again(&mut self, now: Now, number: u32, destinations: Vec<NodeId>) {
        self.last = now;
        let Some(own) = self.own.get_mut(&number).filter(|own| own.state == State::Ready) else { return };
        own.destinations = destinations;
        self.announce(number);
    }

    /// The Message_IDs of ours that groups are open for.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.own.keys().copied()
    }

    /// How many groups are held: our own, and those of others that we have joined.
    pub fn load(&self) -> (usize, usize) {
        (self.own.len(), self.joined.len())
    }

    /// Whether a PDU waits that may go.
    pub fn has_pdus(&self) -> bool {
        self.emission == Emission::Free && !self.pdus.is_empty()
    }

    /// The message has ended: the group is free again.
    pub fn close(&mut self, now: Now, number: u32) {
        self.last = now;
        if let Some(own) = self.own.remove(&number) {
            let note = self.note(number, own.group);
            self.send(Channel::Transmitters, &Pdu::Release(note));
        }
    }

    /// A message that we were announced for has ended (complete, discarded or expired).
    pub fn message_ended(&mut self, message: MessageId) {
        if let Some((group, _)) = self.joined.remove(&message) {
            self.leave(group);
        }
    }

    /// Our own EMCON begins or ends: nothing is emitted, and our procedures stand still meanwhile.
    pub fn set_own_emission(&mut self, now: Now, emission: Emission) {
        if self.emission == emission {
            return;
        }
        if emission == Emission::Free {
            let span = now.mono.since(self.silent_since);
            for own in self.own.values_mut() {
                own.state = match own.state {
                    State::Requested { until } => State::Requested { until: until + span },
                    State::Announcing { left, next, ready } => {
                        State::Announcing { left, next: next + span, ready: ready + span }
                    }
                    State::Ready => State::Ready,
                };
            }
        }
        (self.emission, self.silent_since, self.last) = (emission, now.mono, now);
    }

    /// Takes a PDU of the procedure; others are none of its business.
    pub fn handle_pdu(&mut self, now: Now, pdu: &Pdu<'_>) {
        self.last = now;
        match pdu {
            Pdu::Request(note) => self.requested(*note),
            Pdu::Reject(note) => self.rejected(now, *note),
            Pdu::Release(note) => self.released(*note),
            Pdu::Announce(announce) => self.announced(now, announce),
            Pdu::Data(_) | Pdu::Ack(_) | Pdu::Address(_) | Pdu::Discard(_) => {}
            Pdu::FecAddress(_) | Pdu::Unknown { .. } => {}
        }
    }

    /// Somebody asks for a group: if it is ours we reject, unless we are silent.
    //= acp142/PMUL-071
    fn requested(&mut self, note: GroupNote) {
        if note.message.source == self.config.id {
            return;
        }
        let ours = self.own.values().any(|own| own.group == note.group);
        if !ours {
            self.take(note.message, note.group);
        } else if self.emission == Emission::Free {
            self.send(Channel::One(note.message.source), &Pdu::Reject(note));
        }
    }

    fn take(&mut self, message: MessageId, group: u32) {
        while self.taken.len() >= DYNAMIC_GROUPS_MAX {
            self.taken.pop_first();
        }
        self.taken.insert(message, group);
    }

    /// Our request is rejected: in time, another address is tried; late, it is ignored.
    //= acp142/PMUL-072
    fn rejected(&mut self, now: Now, note: GroupNote) {
        let number = note.message.number;
        let asked = self
            .own
            .get(&number)
            .is_some_and(|own| own.group == note.group && matches!(own.state, State::Requested { .. }));
        if note.message.source != self.config.id || !asked {
            return;
        }
        if let Some(own) = self.own.remove(&number) {
            self.send(Channel::Transmitters, &Pdu::Release(note));
            // Whoever rejected owns it; we do not know who.
            self.take(MessageId { source: NodeId(0), number: note.group }, note.group);
            self.request(now, number, own);
        }
    }

    fn released(&mut self, note: GroupNote) {
        if self.taken.get(&note.message) == Some(&note.group) {
            self.taken.remove(&note.message);
        }
        self.taken.remove(&MessageId { source: NodeId(0), number: note.group });
        if self.joined.get(&note.message).is_some_and(|(group, _)| *group == note.group) {
            self.message_ended(note.message);
        }
    }

    //= acp142/PMUL-073
    fn announced(&mut self, now: Now, announce: &Announce) {
        let (message, group) = (announce.message, announce.group);
        if message.source == self.config.id {
            return;
        }
        self.take(message, group);
        let expiry = WallTime::from_unix_seconds(announce.expiry.into());
        let named = announce.destinations.contains(&self.config.id) && expiry > now.wall;
        if self.joined.get(&message).is_some_and(|(joined, _)| named && *joined != group) {
            // Its owner was restarted and begins anew.
            self.message_ended(message);
        }
        if named && !self.joined.contains_key(&message) && self.joined.len() < DYNAMIC_GROUPS_MAX {
            if !self.joined.values().any(|(joined, _)| *joined == group) {
                self.events.push_back(GroupEvent::Join(group));
            }
            self.joined.insert(message, (group, expiry));
        }
    }

    fn leave(&mut self, group: u32) {
        if !self.joined.values().any(|(joined, _)| *joined == group) {
            self.events.push_back(GroupEvent::Leave(group));
        }
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        self.last = now;
        let over = self.joined.iter().filter(|(_, (_, expiry))| *expiry <= now.wall);
        let over: Vec<MessageId> = over.map(|(&message, _)| message).collect();
        over.into_iter().for_each(|message| self.message_ended(message));
        if self.emission == Emission::Free {
            let numbers: Vec<u32> = self.own.keys().copied().collect();
            numbers.into_iter().for_each(|number| self.advance(now, number));
        }
    }

    //= acp142/PMUL-074
    fn advance(&mut self, now: Now, number: u32) {
        let Some(own) = self.own.get(&number) else { return };
        let group = own.group;
        let (state, announce) = match own.state {
            State::Requested { until } if until <= now.mono => {
                (self.announcing(now, self.config.announcements, now.mono + self.config.announce_delay), true)
            }
            State::Announcing { ready, .. } if ready <= now.mono => {
                self.events.push_back(GroupEvent::Ready { number, group });
                (State::Ready, false)
            }
            State::Announcing { left, next, ready } if left > 0 && next <= now.mono => {
                (self.announcing(now, left, ready), true)
            }
            State::Requested { .. } | State::Announcing { .. } | State::Ready => return,
        };
        if let Some(own) = self.own.get_mut(&number) {
            own.state = state;
        }
        if announce {
            self.announce(number);
        }
    }

    /// The state after one more announcement.
    fn announcing(&self, now: Now, left: u32, ready: Instant) -> State {
        let step = self.config.announce_delay / self.config.announcements.max(1);
        State::Announcing { left: left.saturating_sub(1), next: now.mono + step, ready }
    }

    fn announce(&mut self, number: u32) {
        let Some(own) = self.own.get(&number).cloned() else { return };
        let message = MessageId { source: self.config.id, number };
        let per_pdu = (self.config.pdu_octets_max.saturating_sub(24) / 4).max(1);
        let count = own.destinations.len().div_ceil(per_pdu);
        for (index, chunk) in own.destinations.chunks(per_pdu).enumerate() {
            let announce = Announce {
                map: Map::place(index, count),
                message,
                expiry: wire_expiry(own.expiry),
                group: own.group,
                destinations: chunk.to_vec(),
            };
            self.send(Channel::Receivers, &Pdu::Announce(announce));
        }
    }

    fn note(&self, number: u32, group: u32) -> GroupNote {
        GroupNote { message: MessageId { source: self.config.id, number }, group }
    }

    fn clock(&self, now: Now) -> Instant {
        match self.emission {
            Emission::Free => now.mono,
            Emission::Silent => self.silent_since,
        }
    }

    fn send(&mut self, channel: Channel, pdu: &Pdu<'_>) {
        // Requests by others cannot make us hold more answers than groups.
        if self.pdus.len() < 4 * DYNAMIC_GROUPS_MAX {
            self.pdus.push_back((channel, pdu.encode(self.config.checksum).into()));
        }
    }

    /// The next PDU; none while we are silent.
    pub fn poll_pdu(&mut self) -> Option<(Channel, Bytes)> {
        if self.emission == Emission::Silent { None } else { self.pdus.pop_front() }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<GroupEvent> {
        self.events.pop_front()
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let free = self.emission == Emission::Free;
        let own = self.own.values().filter(|_| free).filter_map(|own| match own.state {
            State::Requested { until } => Some(until),
            State::Announcing { left: 0, ready, .. } => Some(ready),
            State::Announcing { next, ready, .. } => Some(next.min(ready)),
            State::Ready => None,
        });
        let expiry = self.joined.values().map(|(_, at)| self.last.mono + at.since(self.last.wall));
        let own = own.min().map(|at| Wakeup { at, why: "group procedure" });
        Wakeup::earlier(own, expiry.min().map(|at| Wakeup { at, why: "group expires" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Now = Now { mono: Instant::ZERO, wall: WallTime::from_unix_seconds(1_700_000_000) };
    const HOUR: Duration = Duration::from_secs(3600);

    struct Nodes {
        now: Now,
        nodes: BTreeMap<NodeId, DynamicGroups>,
        events: Vec<(u32, u64, GroupEvent)>,
        kinds: Vec<(u32, u8)>,
    }

    impl Nodes {
        fn new(count: u32, range: (u32, u32)) -> Self {
            let node = |id: u32| {
                let config = GroupConfig { range, ..GroupConfig::new(NodeId(id)) };
                (NodeId(id), DynamicGroups::new(config, START, Seeded::new(id.into())))
            };
            Self { now: START, nodes: (1..=count).map(node).collect(), events: vec![], kinds: vec![] }
        }

        fn node(&mut self, id: u32) -> &mut DynamicGroups {
            self.nodes.get_mut(&NodeId(id)).unwrap()
        }

        fn open(&mut self, id: u32, number: u32, to: &[u32]) {
            let (now, to) = (self.now, to.iter().map(|&id| NodeId(id)).collect());
            self.node(id).open(now, number, to, now.wall + HOUR);
            self.settle();
        }

        fn settle(&mut self) {
            while let Some((from, (channel, octets))) =
                self.nodes.iter_mut().find_map(|(&id, node)| Some((id, node.poll_pdu()?)))
            {
                self.kinds.push((from.0, octets[3] & 0x3f));
                let pdu = Pdu::decode(&octets).unwrap();
                for (&id, node) in self.nodes.iter_mut().filter(|(id, _)| **id != from) {
                    if channel == Channel::One(id) || !matches!(channel, Channel::One(_)) {
                        node.handle_pdu(self.now, &pdu);
                    }
                }
            }
            let at = self.now.mono.as_micros() / 1_000_000;
            for (id, node) in &mut self.nodes {
                self.events.extend(std::iter::from_fn(|| node.poll_event()).map(|event| (id.0, at, event)));
            }
        }

        fn run(&mut self, span: Duration) {
            let until = self.now.mono + span;
            while let Some(next) = self.nodes.values().filter_map(|node| node.next_wakeup()).map(|w| w.at).min() {
                if next > until {
                    break;
                }
                self.now = self.now.after(next.since(self.now.mono));
                self.nodes.values_mut().for_each(|node| node.handle_wakeup(self.now));
                self.settle();
            }
            self.now = self.now.after(until.since(self.now.mono));
        }
    }

    #[test]
    fn request_announce_ready_release() {
        let mut nodes = Nodes::new(3, (10, 10));
        nodes.open(1, 7, &[2]);
        nodes.run(Duration::from_secs(600));
        let ready = (1, 240, GroupEvent::Ready { number: 7, group: 10 });
        assert_eq!(nodes.events, [(2, 120, GroupEvent::Join(10)), ready]);
        assert_eq!(nodes.kinds, [(1, 5), (1, 4), (1, 4)]);
        let now = nodes.now;
        nodes.node(1).close(now, 7);
        nodes.settle();
        assert_eq!(nodes.events.last(), Some(&(2, 600, GroupEvent::Leave(10))));
        // Free again: another node gets it.
        nodes.open(3, 1, &[1]);
        nodes.run(Duration::from_secs(600));
        assert!(nodes.events.contains(&(3, 840, GroupEvent::Ready { number: 1, group: 10 })));
    }

    #[test]
    fn a_rejected_request_is_released_and_tried_elsewhere() {
        let mut nodes = Nodes::new(2, (10, 11));
        nodes.open(1, 7, &[2]);
        let group = nodes.node(1).own[&7].group;
        nodes.node(2).taken.clear();
        nodes.node(2).config.range = (group, group);
        nodes.open(2, 8, &[1]);
        // Request, Request, Reject, Release; and nothing else is in node 2's range.
        assert_eq!(nodes.kinds, [(1, 5), (2, 5), (1, 6), (2, 7)]);
        assert_eq!(nodes.events, [(2, 0, GroupEvent::NoneFree { number: 8 })]);
        nodes.node(2).config.range = (10, 11);
        nodes.open(2, 8, &[1]);
        nodes.run(HOUR / 2);
        let ready = nodes.events.iter().filter(|(_, _, event)| matches!(event, GroupEvent::Ready { .. }));
        assert_eq!(ready.count(), 2);
        // A late reject is ignored.
        let late = GroupNote { message: MessageId { source: NodeId(1), number: 7 }, group };
        let now = nodes.now;
        nodes.node(1).handle_pdu(now, &Pdu::Reject(late));
        assert_eq!(nodes.node(1).poll_pdu(), None);
    }

    #[test]
    fn in_emcon_nothing_goes_out_and_nothing_advances() {
        let mut nodes = Nodes::new(2, (10, 20));
        nodes.open(1, 7, &[2]);
        let now = nodes.now;
        nodes.node(1).set_own_emission(now, Emission::Silent);
        nodes.run(HOUR);
        assert_eq!(nodes.kinds, [(1, 5)]);
        let now = nodes.now;
        nodes.node(1).set_own_emission(now, Emission::Free);
        nodes.run(Duration::from_secs(239));
        assert_eq!(nodes.kinds.len(), 3);
        assert!(!nodes.events.iter().any(|(id, ..)| *id == 1));
        nodes.run(Duration::from_secs(1));
        assert!(nodes.events.iter().any(|(id, ..)| *id == 1));
    }

    #[test]
    fn strangers_cannot_fill_it_or_release_for_others() {
        let mut nodes = Nodes::new(1, (10, 20));
        let now = nodes.now;
        let announce = |source: u32| Announce {
            map: Map::Only,
            message: MessageId { source: NodeId(source), number: 1 },
            expiry: 1_700_000_100,
            group: source,
            destinations: vec![NodeId(1)],
        };
        for source in 2..10_000 {
            nodes.node(1).handle_pdu(now, &Pdu::Announce(announce(source)));
        }
        nodes.settle();
        assert_eq!(nodes.events.len(), DYNAMIC_GROUPS_MAX);
        let forged = GroupNote { message: MessageId { source: NodeId(3), number: 2 }, group: 3 };
        nodes.node(1).handle_pdu(now, &Pdu::Release(forged));
        nodes.settle();
        assert_eq!(nodes.events.len(), DYNAMIC_GROUPS_MAX);
        nodes.run(Duration::from_secs(200));
        assert_eq!(nodes.events.len(), 2 * DYNAMIC_GROUPS_MAX, "all are left at expiry");
    }
}

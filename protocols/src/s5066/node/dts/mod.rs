//! The data transfer sublayer: C_PDUs to D_PDUs, with and without ARQ, towards all other nodes (Annex C, fact sheet 5).
//!
//! A machine that knows nothing of the modem: [`Dts::compose`] says what the next transmission carries, [`Dts::sent`]
//! that it has left, [`Dts::heard`] takes each D_PDU of others, [`Dts::missed`] that an answer did not come. When to
//! transmit, and the end of transmission in every D_PDU, is the station's affair.
//!
//! Promises: a C_PDU with ARQ is delivered once, in order where asked, or reported as failed; what is urgent goes before
//! what is not, down to the D_PDU; one transmission asks one node for an answer. Refuses: ARQ to groups and to nodes
//! without connection, D_PDUs that claim our own address or a group as source. Resets, warnings and everything that is
//! kept about others is bounded by `limits`.
//!
//! Types 0 to 2: `arq`; 3: `resets`; 4, 5: `expedited`; 6: `management`; 7, 8: `non_arq_send`, `non_arq_receive`.

pub mod arq;
mod compose;
mod config;
mod event;
mod expedited;
mod hear;
pub mod limits;
mod management;
mod non_arq_receive;
mod non_arq_send;
mod peer;
pub mod rate;
mod resets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use compose::asks;
pub use config::{CPduNumber, DtsConfig, Plan, Sending, Service};
pub use event::{Block, Brought, DtsCounters, DtsEvent, SendFault};
pub use hear::Heard;
pub use peer::PeerState;

use crate::bytes::Bytes;
use crate::random::{Random as _, Seeded};
use crate::s5066::address::NodeAddress;
use crate::s5066::node::dpdu::Eow;
use crate::s5066::node::limits::PRIORITY_URGENT;
use crate::time::{Instant, Now, Wakeup};
use compose::Flight;
use limits::{C_PDU_OCTETS_MAX, C_PDU_OCTETS_TOTAL_MAX, C_PDUS_MAX, MISSES_BEFORE_PROBE, PEERS_MAX};
use non_arq_receive::NonArqReceiver;
use non_arq_send::NonArqSender;
use peer::Peer;
use rate::Quality;
use resets::Pending;

/// The data transfer sublayer of a node. See the module's page.
#[derive(Clone, Debug)]
pub struct Dts {
    config: DtsConfig,
    random: Seeded,
    peers: BTreeMap<NodeAddress, Peer>,
    non_arq_out: NonArqSender,
    non_arq_in: NonArqReceiver,
    /// C_PDUs that are not finished.
    entries: BTreeMap<CPduNumber, Entry>,
    deadlines: BTreeSet<(Instant, CPduNumber)>,
    octets: usize,
    /// Warnings owed, and when nodes were warned last.
    warnings: VecDeque<(NodeAddress, u8, u8)>,
    warned: BTreeMap<NodeAddress, Instant>,
    /// What is in the air.
    flight: Flight,
    transmissions: u64,
    /// Answers missing in a row without anybody being heard.
    unheard: u32,
    counters: DtsCounters,
    events: VecDeque<DtsEvent>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    destination: NodeAddress,
    service: Service,
    deadline: Instant,
    octets: usize,
}

/// That something wants the air.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// From when on.
    pub at: Instant,
    /// It is expedited or of a priority from 12 on.
    pub urgent: bool,
}

impl Dts {
    /// A node without connections. Numbers of non-ARQ C_PDUs, expedited C_PDUs and resets begin at random ones, so that
    /// a node that begins anew is not taken for repeating itself.
    pub fn new(config: DtsConfig, mut random: Seeded) -> Self {
        let mut first = || (random.number() & 0x0fff) as u16;
        let non_arq_out = NonArqSender::new(config.address, [first(), first()], config.non_arq_copy_wait);
        Self {
            config,
            random,
            peers: BTreeMap::new(),
            non_arq_out,
            non_arq_in: NonArqReceiver::default(),
            entries: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            octets: 0,
            warnings: VecDeque::new(),
            warned: BTreeMap::new(),
            flight: Flight::default(),
            transmissions: 0,
            unheard: 0,
            counters: DtsCounters::default(),
            events: VecDeque::new(),
        }
    }

    /// A connection was made: both windows begin at 0. What had begun on an earlier one fails; what had not goes on it.
    //= s5066/DTS-007
    pub fn connect(&mut self, now: Now, peer: NodeAddress) {
        self.restart(peer, false, SendFault::Reset);
        let (config, random) = (&self.config, &mut self.random);
        let fresh = Peer::new(config, random);
        let Some(known) = self.peer(now.mono, peer) else { return };
        known.connected = true;
        (known.resets, known.expedited_in) = (fresh.resets, fresh.expedited_in);
        (known.owes_ack, known.owes_expedited_ack, known.unsure) = (false, false, false);
        known.agreed = false;
        known.heard(now.mono);
        // What it is warned of has ended: it would take what it sends now for unread.
        self.warnings.retain(|(to, ..)| *to != peer);
    }

    /// The same where nothing was said: the other node may remember windows of a link before it. A full reset goes
    /// first, and again until it is answered.
    //= s5066/DTS-016
    pub fn connect_agreed(&mut self, now: Now, peer: NodeAddress) {
        self.connect(now, peer);
        if let Some(known) = self.peers.get_mut(&peer) {
            self.counters.resets_begun += 1;
            known.agreed = true;
            known.resets.begin(Pending::Full);
        }
    }

    /// The connection ended: everything with ARQ that is not acknowledged fails. `refused`: the other node never had one
    /// nor said so too late, so that nothing counts as begun.
    pub fn disconnect(&mut self, _now: Now, peer: NodeAddress, refused: bool) {
        self.restart(peer, true, SendFault::Disconnected);
        for event in self.events.iter_mut().filter(|_| refused) {
            if let DtsEvent::Failed { why: SendFault::Disconnected, begun, .. } = event {
                *begun = false;
            }
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            (known.connected, known.agreed) = (false, false);
            (known.owes_ack, known.owes_expedited_ack) = (false, false);
            known.resets.end();
        }
    }

    /// A node that will be sent something: what is to be said to it can be noted.
    pub fn meet(&mut self, now: Now, peer: NodeAddress) {
        self.peer(now.mono, peer);
    }

    /// Whether a node has a connection.
    pub fn is_connected(&self, peer: NodeAddress) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.connected)
    }

    /// Takes a C_PDU; what becomes of it is told by an event.
    pub fn submit(&mut self, now: Now, sending: Sending) {
        let number = sending.number;
        if let Some(why) = self.refusal(now.mono, &sending) {
            self.events.push_back(DtsEvent::Failed { number, why, begun: false });
            return;
        }
        let Sending { destination, service, deadline, .. } = sending;
        let octets = sending.c_pdu.len();
        self.octets += octets;
        self.deadlines.insert((deadline, number));
        self.entries.insert(number, Entry { destination, service, deadline, octets });
        let peer = self.peers.get_mut(&destination);
        match service {
            Service::NonArq { .. } | Service::ExpeditedNonArq { .. } => self.non_arq_out.submit(sending),
            Service::Arq { .. } => peer.into_iter().for_each(|peer| peer.sender.submit(sending.clone())),
            Service::ExpeditedArq => peer.into_iter().for_each(|peer| peer.expedited_out.submit(sending.clone())),
        }
    }

    /// Gives a C_PDU up; whether any of it had been sent, `None` if it is finished or unknown. No event follows.
    pub fn cancel(&mut self, number: CPduNumber) -> Option<bool> {
        let entry = self.forget(number)?;
        let peer = self.peers.get_mut(&entry.destination);
        match entry.service {
            Service::NonArq { .. } | Service::ExpeditedNonArq { .. } => self.non_arq_out.cancel(number),
            Service::Arq { .. } => peer?.sender.cancel(number),
            Service::ExpeditedArq => peer?.expedited_out.cancel(number),
        }
    }

    /// Gives a C_PDU with ARQ up if none of it has been sent: whether that was so. No event follows.
    pub fn take_back(&mut self, number: CPduNumber) -> bool {
        self.entries.contains_key(&number) && !self.has_begun(number) && self.cancel(number).is_some()
    }

    /// Whether some of a C_PDU that is not finished is or was on the air; without ARQ nobody needs to know.
    pub fn has_begun(&self, number: CPduNumber) -> bool {
        let Some(entry) = self.entries.get(&number) else { return false };
        self.peers.get(&entry.destination).is_none_or(|peer| match entry.service {
            Service::Arq { .. } => peer.sender.has_begun(number),
            Service::ExpeditedArq => peer.expedited_out.has_begun(number),
            Service::NonArq { .. } | Service::ExpeditedNonArq { .. } => true,
        })
    }

    /// Queues a management message; `false` when too many wait or too many nodes are known.
    pub fn message(&mut self, now: Now, peer: NodeAddress, eow: Eow, extended: Option<Bytes>) -> bool {
        self.peer(now.mono, peer).is_some_and(|peer| peer.management.submit(eow, extended))
    }

    /// Lets an orderwire message ride with the next D_PDU to a node that is known.
    pub fn ride(&mut self, peer: NodeAddress, eow: Eow) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.eow = eow;
        }
    }

    /// The answer that was awaited from a node is over, or never came: what asked for it and was not acknowledged may go
    /// again: at once if something of the node was `heard` or for the first time, else after a back-off of 2 s to 10 min,
    /// or 60 s for what is urgent.
    /// Nothing happens when all was acknowledged.
    pub fn missed(&mut self, now: Now, address: NodeAddress, heard: bool) {
        let (retries, config) = (self.config.retries, &self.config);
        let unheard = if heard { 0 } else { self.unheard.saturating_add(1) };
        let Some(peer) = self.peers.get_mut(&address) else { return };
        if !peer.missed(now.mono, heard, unheard, &mut self.random) {
            return;
        }
        self.unheard = unheard;
        self.counters.answers_missing += 1;
        let management_lost = peer.management.unanswered(config.management_retries);
        let reset_lost = peer.resets.unanswered(if peer.agreed { u32::MAX } else { config.reset_retries });
        let silent = retries.is_some_and(|retries| peer.failures >= retries) && peer.connected;
        if unheard >= MISSES_BEFORE_PROBE {
            let at = peer.ready_at(0);
            // One that has answered all that it was asked is not known to be silent.
            let silent = self.peers.values_mut().filter(|other| other.failures > 0);
            silent.for_each(|other| other.wait_for(at));
        }
        if management_lost {
            self.events.push_back(DtsEvent::ManagementDone { peer: address, acknowledged: false });
        }
        if reset_lost || silent {
            self.events.push_back(DtsEvent::ConnectionLost(address));
        }
    }

    /// When something wants the air, and whether it is urgent; `None` when nothing does.
    pub fn waiting(&self, now: Instant) -> Option<Waiting> {
        let mut first: Option<Waiting> = None;
        let mut add = |at: Instant, urgent: bool| {
            let at = at.max(now);
            let better = first.is_none_or(|first| (at, !urgent) < (first.at, !first.urgent));
            first = if better { Some(Waiting { at, urgent }) } else { first };
        };
        for peer in self.peers.values() {
            if peer.owes() {
                add(now, false);
            }
            if let Some(priority) = peer.claim() {
                add(peer.ready_at(priority), priority >= PRIORITY_URGENT);
            }
        }
        if let Some((expedited, priority)) = self.non_arq_out.most_urgent() {
            add(now, expedited || priority >= PRIORITY_URGENT);
        }
        first
    }

    /// Lets deadlines and reception windows pass.
    pub fn expire(&mut self, now: Now) {
        while let Some(&(_, number)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now.mono) {
            let begun = self.cancel(number).unwrap_or(false);
            self.events.push_back(DtsEvent::Failed { number, why: SendFault::Expired, begun });
        }
        while let Some(number) = self.non_arq_out.pop_closed(now.mono) {
            self.forget(number);
            self.events.push_back(DtsEvent::Sent(number));
        }
        let mut whole = Vec::new();
        self.non_arq_in.expire(now.mono, &mut whole);
        self.give_out(whole);
    }

    /// When [`Dts::expire`] has something to do.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let wake = |at: Option<Instant>, why| at.map(|at| Wakeup { at, why });
        let deadline = wake(self.deadlines.first().map(|(at, _)| *at), "time to live");
        let half = wake(self.non_arq_in.next_due(), "reception window");
        Wakeup::earlier(Wakeup::earlier(deadline, half), wake(self.non_arq_out.next_closed(), "copies"))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<DtsEvent> {
        self.events.pop_front()
    }

    /// Octets that a FLASH for this node has to wait for inside a C_PDU: 0 unless the window has no number left.
    pub fn begun(&self, peer: NodeAddress) -> usize {
        self.peers.get(&peer).map_or(0, |peer| peer.sender.begun_octets())
    }

    /// Segments sent to a node and lost lately.
    pub fn quality(&self, peer: NodeAddress) -> Quality {
        self.peers.get(&peer).map(|peer| peer.rate.quality()).unwrap_or_default()
    }

    /// The place of the rate to be used towards a node among the configured ones.
    pub fn rate(&self, peer: NodeAddress) -> usize {
        self.peers.get(&peer).map_or(self.config.rate_first, |peer| peer.rate.rate())
    }

    /// What was counted.
    pub const fn counters(&self) -> DtsCounters {
        self.counters
    }

    /// The state of each node, for the console.
    pub fn describe(&self) -> impl Iterator<Item = (NodeAddress, PeerState)> + '_ {
        self.peers.iter().map(|(&address, peer)| (address, peer.state()))
    }

    /// C_PDUs under way and their octets.
    pub fn queued(&self) -> (usize, usize) {
        (self.entries.len(), self.octets)
    }

    /// What exceeds its limit, in words; `None` when all is well.
    pub fn over_limit(&self) -> Option<String> {
        let (partials, octets) = self.non_arq_in.waiting();
        let table = [
            ("C_PDUs", self.entries.len(), C_PDUS_MAX),
            ("octets of C_PDUs", self.octets, C_PDU_OCTETS_TOTAL_MAX),
            ("nodes", self.peers.len(), PEERS_MAX),
            ("half C_PDUs", partials, limits::NON_ARQ_PARTIALS_MAX),
            ("octets of half C_PDUs", octets, limits::NON_ARQ_OCTETS_MAX),
            ("warnings", self.warnings.len(), limits::WARNINGS_MAX),
        ];
        let over = table.into_iter().find(|(_, count, limit)| count > limit);
        over.map(|(what, count, limit)| format!("{count} {what}, {limit} are allowed"))
    }

    fn refusal(&self, now: Instant, sending: &Sending) -> Option<SendFault> {
        let arq = matches!(sending.service, Service::Arq { .. } | Service::ExpeditedArq);
        let full = self.entries.len() >= C_PDUS_MAX || self.octets + sending.c_pdu.len() > C_PDU_OCTETS_TOTAL_MAX;
        match () {
            () if sending.c_pdu.len() > C_PDU_OCTETS_MAX => Some(SendFault::TooLarge),
            () if arq && sending.destination.is_group() => Some(SendFault::Group),
            //= s5066/DTS-020
            () if arq && !self.is_connected(sending.destination) => Some(SendFault::NotConnected),
            () if sending.deadline <= now => Some(SendFault::Expired),
            () if full || self.entries.contains_key(&sending.number) => Some(SendFault::Full),
            () => None,
        }
    }

    /// Whether nobody has answered lately nor said anything else: perhaps it is we who hear nothing.
    const fn is_deaf(&self) -> bool {
        self.unheard >= MISSES_BEFORE_PROBE
    }

    /// The state of a node, made if there is room for it.
    fn peer(&mut self, now: Instant, address: NodeAddress) -> Option<&mut Peer> {
        if address.is_group() || address == self.config.address {
            return None;
        }
        if !self.peers.contains_key(&address) {
            if self.peers.len() >= PEERS_MAX {
                let spare = self.peers.iter().filter(|(_, peer)| peer.is_spare());
                let oldest = spare.min_by_key(|(_, peer)| (!peer.is_idle(), peer.heard_at));
                let oldest = oldest.map(|(&address, _)| address)?;
                self.peers.remove(&oldest);
            }
            let mut peer = Peer::new(&self.config, &mut self.random);
            peer.heard_at = now;
            self.peers.insert(address, peer);
        }
        self.peers.get_mut(&address)
    }

    /// Begins the windows towards a node anew; what had begun fails, and what waits if `all`.
    fn restart(&mut self, address: NodeAddress, all: bool, why: SendFault) {
        let mut whole = Vec::new();
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let mut failed = peer.sender.restart(0, all);
        failed.extend(peer.expedited_out.restart(all));
        peer.receiver.restart(0, &mut whole);
        self.fail(failed, why);
        self.arrived(address, Brought::Arq, whole);
    }

    fn fail(&mut self, failed: Vec<(CPduNumber, bool)>, why: SendFault) {
        for (number, begun) in failed {
            self.forget(number);
            self.events.push_back(DtsEvent::Failed { number, why, begun });
        }
    }

    fn forget(&mut self, number: CPduNumber) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.deadlines.remove(&(entry.deadline, number));
        self.octets -= entry.octets;
        Some(entry)
    }

    /// C_PDUs with ARQ that arrived.
    fn arrived(&mut self, source: NodeAddress, brought: Brought, c_pdus: Vec<Bytes>) {
        let destination = self.config.address;
        for c_pdu in c_pdus {
            let (errored, missing) = (Vec::new(), Vec::new());
            self.events.push_back(DtsEvent::Received { source, destination, brought, c_pdu, errored, missing });
        }
    }

    /// C_PDUs without ARQ that arrived.
    fn give_out(&mut self, whole: Vec<non_arq_receive::Whole>) {
        for non_arq_receive::Whole { source, destination, expedited, c_pdu, errored, missing } in whole {
            let brought = if expedited { Brought::ExpeditedNonArq } else { Brought::NonArq };
            self.events.push_back(DtsEvent::Received { source, destination, brought, c_pdu, errored, missing });
        }
    }
}

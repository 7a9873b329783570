//! The layers of a node put together: SIS server, S_PDUs, channel access sublayer, data transfer sublayer.
//!
//! ```text
//! clients ── SIS server ──Outgoing── S_PDU ── C_PDU ── DTS ── D_PDUs ── station
//!                                              └─ CAS: which peers are linked
//! ```
//! It decides which service carries a U_PDU: non-ARQ to groups and where asked for; ARQ to one node, once a link with it
//! is made; by expedited ARQ what is urgent and wants its order. A U_PDU stays here until it is delivered, or its time to
//! live ends: a link that breaks or a peer that is silent ends nothing.
//!
//! Promises: every U_PDU handed down gets one outcome. Limits: what waits is bounded by the SIS server, what arrives by
//! the data transfer sublayer.

mod arrivals;
mod links;
mod outcomes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::management::Ask;
use skywave_protocols::s5066::node::cas::{Cas, CasConfig};
use skywave_protocols::s5066::node::cpdu::{CPdu, LinkBreak};
use skywave_protocols::s5066::node::dpdu::{DPdu, Received};
use skywave_protocols::s5066::node::dts::{CPduNumber, Dts, DtsEvent, Plan, Sending, Service, Waiting};
use skywave_protocols::s5066::node::limits::{PRIORITY_URGENT, QUEUE_SHARES_MAX};
use skywave_protocols::s5066::node::mark::Mark;
use skywave_protocols::s5066::node::sis_server::{ServerCounters, ServerOutput, SisServer};
use skywave_protocols::s5066::node::spdu::{self, SPdu, TimeToDie};
use skywave_protocols::s5066::node::{Carriage, ClientId, Content, Outcome, Outgoing, RequestId};
use skywave_protocols::s5066::sis::fields::{Rank, SapId};
use skywave_protocols::time::{Instant, Now, Wakeup};

use self::arrivals::Arrival;
use super::asks::{answers_arq, is_of_arq, rides};
use super::config::StationConfig;
use super::limits::{LINK_PDU_OCTETS, ORDERS_MAX};

/// Messages about links go before all data.
const PRIORITY_LINK: u8 = 15;
/// How often the pause before a refused link is asked for again is doubled.
const DOUBLINGS_MAX: u32 = 8;

/// What happens at a client's connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientInput {
    /// It connected.
    Accepted,
    /// Octets arrived.
    Read(Bytes),
    /// It is gone.
    Closed,
}

/// What a client's connection is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientOutput {
    /// Write octets.
    Write(Bytes),
    /// Close after what was written has left.
    Close,
}

/// What a client that manages the node asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) client: ClientId,
    pub(super) kind: u8,
    pub(super) ask: Ask,
}

/// What of the layers was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub(super) struct StackCounters {
    /// U_PDUs whose deadline passed here.
    expired: u64,
    /// U_PDUs that arrived after their time to die.
    late: u64,
    /// C_PDUs and S_PDUs that cannot be read.
    unreadable: u64,
    /// D_PDUs of links that had ended here.
    stale: u64,
    /// U_PDUs with parts missing that no client wanted so.
    incomplete: u64,
    /// Links made.
    links: u64,
    /// U_PDUs that were handed to another link, as theirs had ended.
    begun_again: u64,
    /// Changes of rate, frequency or waveform that were asked of us by the orderwire, and refused.
    changes_refused: u64,
    /// U_PDUs whose link ended while they were on the air: reported, since nobody knows whether they arrived.
    doubtful: u64,
    /// What was to be said to peers about U_PDUs of theirs, and could not be kept until there was a link.
    replies_dropped: u64,
}

/// What a C_PDU in the data transfer sublayer is.
#[derive(Clone, Debug)]
enum Load {
    /// A U_PDU of a client, or a message about the hard link.
    Unit(RequestId),
    /// A message about the link with a peer.
    Link(NodeAddress),
    /// What we say to a peer about a U_PDU of its.
    Reply(Box<Sending>),
}

/// A U_PDU that is not finished.
#[derive(Debug)]
struct Unit {
    outgoing: Outgoing,
    c_pdu: Bytes,
    /// Its number below, while it is there.
    number: Option<CPduNumber>,
    /// The peer's node has all of it.
    at_node: bool,
    /// What the peer's SIS says of it, or of one that begins alike: it counts once the peer's node has all of this one.
    at_client: Option<Outcome>,
}

impl Unit {
    const fn is_data(&self) -> bool {
        matches!(self.outgoing.content, Content::Data(_))
    }

    const fn is_urgent(&self) -> bool {
        self.outgoing.expedited || self.outgoing.priority >= PRIORITY_URGENT
    }
}

/// Units that wait for a link, and when it is asked for again after a refusal.
#[derive(Debug, Default)]
struct Waiters {
    units: BTreeSet<RequestId>,
    refusals: u32,
    retry_at: Option<Instant>,
    /// The same for what is urgent.
    retry_urgent_at: Option<Instant>,
}

impl Waiters {
    /// Something urgent is among them: it does not wait as long.
    fn hasten(&mut self) {
        self.retry_at = self.retry_at.min(self.retry_urgent_at);
    }
}

/// The layers. See the module's page.
#[derive(Debug)]
pub(super) struct Stack {
    address: NodeAddress,
    response_octets: usize,
    queue_octets_max: usize,
    server: SisServer,
    cas: Cas,
    dts: Dts,
    units: BTreeMap<RequestId, Unit>,
    loads: BTreeMap<CPduNumber, Load>,
    /// Units that their peer's client confirms, in the order of their numbers.
    confirming: BTreeMap<(NodeAddress, u8), BTreeSet<RequestId>>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    /// When clients are told that nothing was confirmed.
    confirms: BTreeSet<(Instant, RequestId)>,
    /// What is said to peers about U_PDUs of theirs on the next link.
    replies: BTreeMap<NodeAddress, Vec<Sending>>,
    waiters: BTreeMap<NodeAddress, Waiters>,
    /// Nodes that there is a link with.
    linked: BTreeSet<NodeAddress>,
    next_number: u64,
    /// D_PDUs in front of those that the data transfer sublayer put together.
    riding: usize,
    emcon: bool,
    /// What leads a transmission says at which rate to answer.
    says_rates: bool,
    counters: StackCounters,
    orders: VecDeque<Order>,
    outputs: VecDeque<(ClientId, ClientOutput)>,
}

impl Stack {
    pub(super) fn new(config: &StationConfig, random: &Seeded) -> Self {
        let address = config.server.address;
        let mut stack = Self {
            address,
            response_octets: config.server.response_octets,
            queue_octets_max: config.server.queue_octets_max,
            server: SisServer::new(config.server.clone()),
            cas: Cas::new(CasConfig { address, ..config.cas.clone() }, random.fork("cas")),
            dts: Dts::new(config.dts(), random.fork("dts")),
            units: BTreeMap::new(),
            loads: BTreeMap::new(),
            confirming: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            confirms: BTreeSet::new(),
            replies: BTreeMap::new(),
            waiters: BTreeMap::new(),
            linked: BTreeSet::new(),
            next_number: 0,
            riding: 0,
            emcon: false,
            says_rates: !config.rates.is_empty(),
            counters: StackCounters::default(),
            orders: VecDeque::new(),
            outputs: VecDeque::new(),
        };
        if config.emcon {
            stack.set_emcon(Now::default(), true);
        }
        stack
    }

    /// Takes what happens at a client's connection.
    pub(super) fn handle_client(&mut self, now: Now, client: ClientId, input: ClientInput) {
        match input {
            ClientInput::Accepted => self.server.accept(now, client),
            ClientInput::Read(octets) => self.server.handle_read(now, client, &octets),
            ClientInput::Closed => self.server.closed(now, client),
        }
    }

    pub(super) fn handle_wakeup(&mut self, now: Now) {
        self.server.handle_wakeup(now);
        self.cas.handle_wakeup(now);
        let due = |waiters: &Waiters| waiters.retry_at.is_some_and(|at| at <= now.mono);
        let peers: Vec<NodeAddress> = self.waiters.iter().filter(|(_, w)| due(w)).map(|(&peer, _)| peer).collect();
        for peer in peers {
            self.link(now, peer);
        }
    }

    pub(super) fn set_emcon(&mut self, now: Now, emcon: bool) {
        self.emcon = emcon;
        self.server.set_emcon(emcon);
        self.cas.set_silent(now, emcon);
        let peers: Vec<NodeAddress> = self.waiters.keys().copied().collect();
        for peer in peers.into_iter().filter(|_| !emcon) {
            self.link(now, peer);
        }
    }

    /// The node begins to do nothing but broadcast, or may have links again.
    //= s5066/NODE-041
    pub(super) fn set_broadcast_only(&mut self, now: Now, broadcast_only: bool) {
        // What has arrived behind a hole is given out as its link ends: its clients are bound until then.
        self.cas.set_broadcast_only(now, broadcast_only);
        self.settle(now);
        self.server.set_broadcast_only(now, broadcast_only);
        if broadcast_only {
            self.end_with_arq();
        }
        self.settle(now);
    }

    /// A D_PDU was heard.
    pub(super) fn heard(&mut self, now: Now, received: &Received) {
        let pdu = &received.pdu;
        if pdu.destination == self.address && is_of_arq(pdu) {
            let mark = Mark::of(pdu.eow);
            let takes = self.cas.data_heard(now, pdu.source, mark, answers_arq(pdu));
            self.settle(now);
            if !takes {
                self.counters.stale += 1;
                if !matches!(mark, Some(Mark::Asks(_))) {
                    // It is of a link that has ended here, and ours may have nothing to say by which its sender would know.
                    self.dts.unread(now, pdu);
                }
                return;
            }
            if !self.cas.still_takes(pdu.source, mark) {
                return self.counters.stale += 1;
            }
        }
        if let Some(request) = rides(pdu).filter(|_| pdu.destination == self.address && received.segment_intact) {
            self.cas.heard(now, pdu.source, request);
            return self.settle(now);
        }
        self.dts.heard(now, pdu, received.segment_intact);
        self.settle(now);
    }

    /// The answer that a peer owes is over: it `answered`, or did not.
    pub(super) fn missed(&mut self, now: Now, peer: NodeAddress, answered: bool) {
        self.dts.missed(now, peer, answered);
        if !answered {
            self.cas.missed(now, peer);
        }
    }

    /// What wants the air, and since or from when on.
    pub(super) fn waiting(&self, now: Now) -> Option<Waiting> {
        self.dts.waiting(now.mono)
    }

    /// Whether it is known how much gets through to the node whom a transmission would ask for an answer.
    pub(super) fn knows_way(&self, now: Now) -> bool {
        let partner = self.dts.partner(now, &Plan::new(usize::MAX, usize::MAX));
        partner.is_none_or(|peer| self.dts.quality(peer).sent > 0)
    }

    /// The place of the rate to be used towards whom a transmission would ask, or whom it answers; `None` where nobody is.
    pub(super) fn rate_to(&self, now: Now, answer_to: Option<NodeAddress>) -> Option<usize> {
        let plan = Plan { partner: answer_to, ..Plan::new(usize::MAX, usize::MAX) };
        self.dts.partner(now, &plan).or(answer_to).map(|peer| self.dts.rate(peer))
    }

    /// How many C_PDUs were handed to the data transfer sublayer so far.
    pub(super) const fn handed_down(&self) -> u64 {
        self.next_number
    }

    /// The most urgent D_PDUs that fit a transmission.
    pub(super) fn compose(&mut self, now: Now, plan: &Plan) -> Vec<DPdu> {
        self.compose_by(now, plan, Dts::compose)
    }

    /// The same in the place of those of the transmission in the air, of which nothing has begun.
    pub(super) fn compose_anew(&mut self, now: Now, plan: &Plan) -> Vec<DPdu> {
        self.compose_by(now, plan, Dts::compose_anew)
    }

    fn compose_by(&mut self, now: Now, plan: &Plan, by: fn(&mut Dts, Now, &Plan) -> Vec<DPdu>) -> Vec<DPdu> {
        self.dts.set_marks(|peer| self.cas.mark(peer));
        let ride = |peer| Some((peer, self.cas.ride(peer, self.says_rates)?));
        let request = self.dts.partner(now, plan).and_then(ride);
        let room = if request.is_some() { LINK_PDU_OCTETS } else { 0 };
        let mut pdus = by(&mut self.dts, now, &Plan { octets: plan.octets.saturating_sub(room), ..*plan });
        self.riding = 0;
        if let Some((peer, request)) = request
            && pdus.iter().any(|pdu| pdu.destination == peer && is_of_arq(pdu))
        {
            pdus.insert(0, self.dts.link_pdu(peer, request));
            self.riding = 1;
        }
        pdus
    }

    /// What goes in the place of the D_PDUs from `from` on, if something urgent waits.
    pub(super) fn amend(&mut self, now: Now, from: usize, plan: &Plan) -> Option<Vec<DPdu>> {
        // The request that rides in front stays there.
        let from = from.checked_sub(self.riding)?;
        // The link may be another one by now.
        self.dts.set_marks(|peer| self.cas.mark(peer));
        self.dts.amend(now, from, plan)
    }

    /// Only so many of the replacements took place, the first ones.
    pub(super) fn kept(&mut self, replaced: usize) {
        self.dts.kept(replaced);
    }

    /// The transmission has left.
    pub(super) fn sent(&mut self, now: Now) {
        self.dts.sent(now);
    }

    /// Of the transmission only the first `begun` D_PDUs left.
    pub(super) fn cut_off(&mut self, now: Now, begun: usize) {
        self.dts.cut_off(now, begun.saturating_sub(self.riding));
    }

    pub(super) fn poll(&mut self) -> Option<(ClientId, ClientOutput)> {
        self.outputs.pop_front()
    }

    /// What a client that manages the node asked; answered by [`Stack::answer`].
    pub(super) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    pub(super) fn answer(&mut self, now: Now, order: &Order, text: &str) {
        self.server.answer(order.client, order.kind, text);
        self.settle(now);
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        let deadline = self.deadlines.first().map(|&(at, _)| Wakeup { at, why: "time to live" });
        let confirm = self.confirms.first().map(|&(at, _)| Wakeup { at, why: "confirmation" });
        let retry = self.waiters.values().filter_map(|waiters| waiters.retry_at).min();
        let retry = retry.filter(|_| !self.emcon).map(|at| Wakeup { at, why: "link asked for again" });
        let below = [self.cas.next_wakeup(), self.dts.next_wakeup(), deadline, confirm, retry];
        below.into_iter().fold(self.server.next_wakeup(), Wakeup::earlier)
    }

    /// U_PDUs whose deadline passed.
    pub(super) const fn expired(&self) -> u64 {
        self.counters.expired
    }

    pub(super) const fn server_counters(&self) -> ServerCounters {
        self.server.counters()
    }

    /// Octets of the C_PDUs of U_PDUs that are not finished.
    pub(super) fn queued_octets(&self) -> usize {
        self.units.values().map(|unit| unit.c_pdu.len()).sum()
    }

    /// U_PDUs that are not finished.
    pub(super) fn queued(&self) -> usize {
        self.units.len()
    }

    pub(super) fn over_limit(&self) -> Option<String> {
        let queued = self.server.queued_octets();
        let limit = self.queue_octets_max.saturating_mul(QUEUE_SHARES_MAX);
        let queue = (queued > limit).then(|| format!("{queued} octets wait in the server, {limit} are allowed"));
        queue.or_else(|| self.dts.over_limit())
    }

    pub(super) fn describe(&self) -> Value {
        let client = |(_, sap, rank, octets): (ClientId, _, _, usize)| json!({ "sap": SapId::number(sap), "rank": Rank::number(rank), "queued_octets": octets });
        json!({
            "clients": self.server.clients().map(client).collect::<Vec<_>>(),
            "queued_units": self.units.len(),
            "queued_octets": self.server.queued_octets(),
            "broadcast_only": self.server.is_broadcast_only(),
            "hard_link": self.server.hard_link_peer().map(|peer| peer.to_string()),
            "links": self.linked.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "layers": self.counters,
            "cas": self.cas.counters(),
            "dts": self.dts.counters(),
            "peers": self.dts.describe().map(|(peer, state)| (peer.to_string(), json!(state))).collect::<Map<_, _>>(),
            "server": self.server.counters(),
        })
    }

    /// Lets the layers hand each other what they have, until nothing moves, and drops what is too old.
    pub(super) fn settle(&mut self, now: Now) {
        self.dts.expire(now);
        self.expire(now);
        loop {
            if let Some(output) = self.server.poll() {
                self.on_server(now, output);
            } else if let Some(event) = self.dts.poll_event() {
                self.on_dts(now, event);
            } else if let Some(output) = self.cas.poll_output() {
                self.on_cas(now, output);
            } else {
                return;
            }
        }
    }

    fn on_server(&mut self, now: Now, output: ServerOutput) {
        match output {
            ServerOutput::Write(client, octets) => self.outputs.push_back((client, ClientOutput::Write(octets))),
            ServerOutput::Close(client) => self.outputs.push_back((client, ClientOutput::Close)),
            ServerOutput::Send(outgoing) => self.submit(now, outgoing),
            ServerOutput::WantLink(peer) => self.cas.want(now, peer, true),
            ServerOutput::ReleaseLink(peer) => {
                self.cas.release_exclusive(now, peer, LinkBreak::HigherLayer);
                // What waits for a soft one: it may have been asked for, and its request had to give way.
                self.link(now, peer);
            }
            ServerOutput::Manage { client, kind, .. } if self.orders.len() >= ORDERS_MAX => {
                self.server.answer(client, kind, "busy: one at a time");
            }
            ServerOutput::Manage { client, kind, ask } => self.orders.push_back(Order { client, kind, ask }),
        }
    }

    /// Takes a U_PDU.
    //= s5066/NODE-020
    fn submit(&mut self, now: Now, outgoing: Outgoing) {
        let s_pdu = match &outgoing.content {
            Content::HardLink(message) => SPdu::HardLink(*message),
            Content::Data(u_pdu) => SPdu::Data(spdu::Data {
                priority: if outgoing.expedited { 0 } else { outgoing.priority },
                source: outgoing.source_sap,
                destination: outgoing.sap,
                client_confirm: outgoing.client_confirm,
                ttd: TimeToDie::of_deadline(now, outgoing.deadline),
                u_pdu: u_pdu.clone(),
            }),
        };
        let (id, peer) = (outgoing.id, outgoing.destination);
        self.deadlines.insert((outgoing.deadline, id));
        self.confirms.extend(outgoing.confirm_by.map(|at| (at, id)));
        if outgoing.client_confirm {
            self.confirming.entry(confirming_key(&outgoing)).or_default().insert(id);
        }
        let arq = outgoing.carriage == Carriage::Arq;
        let c_pdu = CPdu::Data(s_pdu.encode()).encode();
        self.units.insert(id, Unit { outgoing, c_pdu, number: None, at_node: false, at_client: None });
        if arq {
            self.wait(now, peer, id);
        } else {
            self.hand_down(now, id);
        }
    }

    /// Sends what waits for a peer if there is a link, and asks for one if there is none.
    fn link(&mut self, now: Now, peer: NodeAddress) {
        let Some(waiters) = self.waiters.get_mut(&peer) else { return };
        if !self.linked.contains(&peer) {
            let may = !self.emcon && waiters.retry_at.is_none_or(|at| at <= now.mono);
            if may && waiters.units.is_empty() {
                self.waiters.remove(&peer);
            } else if may {
                waiters.retry_at = None;
                self.cas.want(now, peer, false);
            }
            return;
        }
        // A link that is for certain clients alone leaves the others waiting for its end.
        let (units, server) = (&self.units, &self.server);
        let carries = |id: &RequestId| units.get(id).is_some_and(|unit| server.carries(&unit.outgoing));
        let (free, held): (BTreeSet<_>, _) = std::mem::take(&mut waiters.units).into_iter().partition(carries);
        waiters.units = held;
        if waiters.units.is_empty() && waiters.refusals == 0 {
            self.waiters.remove(&peer);
        }
        for id in free {
            self.hand_down(now, id);
        }
    }

    fn hand_down(&mut self, now: Now, id: RequestId) {
        self.next_number += 1;
        let number = CPduNumber(self.next_number);
        let Some(unit) = self.units.get_mut(&id) else { return };
        unit.number = Some(number);
        let outgoing = &unit.outgoing;
        let sending = Sending {
            number,
            destination: outgoing.destination,
            service: service(outgoing),
            priority: outgoing.priority,
            deadline: outgoing.deadline,
            c_pdu: unit.c_pdu.clone(),
        };
        self.loads.insert(number, Load::Unit(id));
        self.dts.submit(now, sending);
    }
}

impl Stack {
    fn on_dts(&mut self, now: Now, event: DtsEvent) {
        match event {
            DtsEvent::Received { source, destination, brought, c_pdu, errored, missing } => {
                let arrival = Arrival { source, destination, brought, errored, missing };
                self.on_c_pdu(now, &arrival, &c_pdu);
            }
            DtsEvent::Delivered(number) => match self.loads.remove(&number) {
                Some(Load::Unit(id)) => self.at_node(id),
                Some(Load::Link(_) | Load::Reply(_)) | None => {}
            },
            DtsEvent::Sent(number) => match self.loads.remove(&number) {
                Some(Load::Unit(id)) => self.finish(id, Outcome::Sent),
                Some(Load::Link(peer)) => self.cas.sent(now, peer),
                Some(Load::Reply(_)) | None => {}
            },
            DtsEvent::Failed { number, why, begun } => match self.loads.remove(&number) {
                Some(Load::Unit(id)) => self.on_failed(now, id, why, begun),
                Some(Load::Link(peer)) => self.cas.sent(now, peer),
                Some(Load::Reply(reply)) => self.reply_again(now, why, *reply),
                None => {}
            },
            DtsEvent::PeerUnconnected(peer) => self.cas.peer_unconnected(now, peer),
            DtsEvent::ConnectionLost(peer) => self.cas.connection_lost(now, peer),
            DtsEvent::Advised { peer, eow, .. } => self.on_advised(now, peer, eow),
            DtsEvent::ManagementDone { .. } => {}
        }
    }
}

/// Which service carries a U_PDU.
//= s5066/NODE-020
const fn service(outgoing: &Outgoing) -> Service {
    let urgent = outgoing.priority >= PRIORITY_URGENT;
    match outgoing.carriage {
        Carriage::NonArq { retransmissions, .. } => {
            let copies = retransmissions.saturating_add(1);
            if outgoing.expedited { Service::ExpeditedNonArq { copies } } else { Service::NonArq { copies } }
        }
        Carriage::Arq if outgoing.expedited => Service::ExpeditedArq,
        // Its order is that of the expedited service, where nothing less urgent can be before it.
        Carriage::Arq if urgent && outgoing.in_order => Service::ExpeditedArq,
        Carriage::Arq => Service::Arq { in_order: outgoing.in_order },
    }
}

const fn saps(source: SapId, destination: SapId) -> u8 {
    source.number() << 4 | destination.number()
}

fn confirming_key(outgoing: &Outgoing) -> (NodeAddress, u8) {
    (outgoing.destination, saps(outgoing.source_sap, outgoing.sap))
}

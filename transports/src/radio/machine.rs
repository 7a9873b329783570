//! The radio itself: sessions, the links on them, and the loop that hands the most urgent PDU down.

use std::collections::{BTreeMap, VecDeque};

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Random;
use skywave_protocols::s5066::rcop::{HEADER_OCTETS, Header};
use skywave_protocols::s5066::sis::event::{SisEvent, SisRequest, SubmitFault};
use skywave_protocols::s5066::sis::fields::{Confirmation, Order, SapId, TransmissionMode, Ttl};
use skywave_protocols::s5066::sis::reason::{DataRejection, HardLinkStatus};
use skywave_protocols::s5066::sis::unidata::UnidataIndication;
use skywave_protocols::time::{Instant, Now, Wakeup};

use super::config::RadioConfig;
use super::counters::{RadioCounters, describe_session};
use super::hold::{self, Hold};
use super::limits::{REFUSED_WAIT, SIS_PRIORITY_MAX};
use super::link::{AirEvent, AirLink, AirPdu, Arrival, Offer, Port, Segment, Service};
use super::manage::Manage;
use super::pacing::{Pacing, Verdict};
use super::session::Session;
use crate::io::{PipeId, PipeOutput};
use crate::transport::{Emission, TransportInput, TransportOutput};

/// What a radio asks for: on its own behalf (pipes to the node, captures), or on that of a link.
#[derive(Clone, PartialEq, Debug)]
pub enum RadioOutput {
    /// Shared by all links.
    Shared(TransportOutput),
    /// Of one link, by its number.
    Link(usize, TransportOutput),
}

/// One attachment to a STANAG 5066 node with the links that share it.
pub struct Radio {
    config: RadioConfig,
    random: Box<dyn Random>,
    links: Vec<Attached>,
    sessions: Vec<Session>,
    pacing: Pacing,
    hold: Option<Hold>,
    manage: Option<Manage>,
    flights: BTreeMap<u64, Flight>,
    flights_begun: u64,
    pipes_asked: u64,
    /// The next U_PDU id of each connection.
    u_pdu_ids: BTreeMap<(SapId, u8), u8>,
    outputs: VecDeque<TransportOutput>,
    emission: Emission,
    /// The link that was last served; ties go round.
    served: usize,
    counters: RadioCounters,
    /// When it was last told the time.
    seen: Instant,
}

struct Attached {
    name: String,
    link: Box<dyn AirLink>,
    ports: Vec<Port>,
    ready: bool,
    /// Not asked before: its last PDU was refused here.
    not_before: Instant,
}

/// A PDU in the hands of the node.
struct Flight {
    link: usize,
    token: u64,
    sap: SapId,
    confirm: bool,
}

impl Radio {
    /// A radio without links. `random` spreads the tries of its sessions.
    pub fn new(config: RadioConfig, mut random: Box<dyn Random>) -> Self {
        let manager = config.manage_sap.map(|sap| Session::manager(&config, sap, random.number()));
        let manage = manager.is_some().then(|| Manage::new(0));
        Self {
            pacing: Pacing::new(&config),
            hold: config.hold_link.map(Hold::new),
            config,
            random,
            links: Vec::new(),
            sessions: manager.into_iter().collect(),
            manage,
            flights: BTreeMap::new(),
            flights_begun: 0,
            pipes_asked: 0,
            u_pdu_ids: BTreeMap::new(),
            outputs: VecDeque::new(),
            emission: Emission::Free,
            served: 0,
            counters: RadioCounters::default(),
            seen: Instant::ZERO,
        }
    }

    /// Adds a link and begins the sessions that it needs; yields its number, counted from 0.
    pub fn add_link(&mut self, name: impl Into<String>, link: Box<dyn AirLink>) -> usize {
        let ports = link.ports();
        for &port in &ports {
            if !self.sessions.iter().any(|session| session.sap == port.sap) {
                let mut session = Session::new(&self.config, port, self.random.number());
                session.client.start();
                self.sessions.push(session);
            }
        }
        let not_before = Instant::ZERO;
        self.links.push(Attached { name: name.into(), link, ports, ready: false, not_before });
        self.settle_sessions(Now { mono: self.seen, ..Now::default() });
        self.links.len() - 1
    }

    /// How many links it has.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// A link, by its number. After it was told something, [`Radio::pump`] must follow.
    pub fn link_mut(&mut self, number: usize) -> Option<&mut dyn AirLink> {
        match self.links.get_mut(number) {
            Some(attached) => Some(attached.link.as_mut()),
            None => None,
        }
    }

    /// A link to look at.
    pub fn link(&self, number: usize) -> Option<&dyn AirLink> {
        self.links.get(number).map(|attached| attached.link.as_ref())
    }

    /// Takes an input of a pipe that the radio opened.
    pub fn handle(&mut self, now: Now, input: TransportInput) {
        if let TransportInput::Pipe(pipe, input) = input {
            let (sessions, outputs) = (&mut self.sessions, &mut self.outputs);
            if let Some(session) = sessions.iter_mut().find(|session| session.pipe == Some(pipe)) {
                session.handle(now, input, |output| outputs.push_back(output));
            }
        }
        self.pump(now);
    }

    /// Takes an input of a link (stored batches, its own pipes).
    pub fn handle_link(&mut self, now: Now, number: usize, input: TransportInput) {
        if let Some(attached) = self.links.get_mut(number) {
            attached.link.handle(now, input);
        }
        self.pump(now);
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        for session in &mut self.sessions {
            session.client.handle_wakeup(now);
        }
        for attached in &mut self.links {
            attached.link.handle_wakeup(now);
        }
        self.pump(now);
    }

    /// Our own emission control: while `Silent`, nothing is handed to the node. The links are told as well.
    pub fn set_emission(&mut self, now: Now, emission: Emission) {
        self.emission = emission;
        for attached in &mut self.links {
            attached.link.set_emission(now, emission);
        }
        self.pump(now);
    }

    /// Lets everything that can happen now happen: events to links, PDUs to the node.
    pub fn pump(&mut self, now: Now) {
        self.seen = now.mono;
        self.order_silence();
        self.settle_sessions(now);
        self.make_ready(now);
        self.let_link_go(now);
        let frozen = self.is_silent();
        self.pacing.set_frozen(now.mono, frozen);
        while let Some(flight) = self.pacing.pop_left(now.mono) {
            self.end_flight(now, flight, |token| AirEvent::Sent { token });
        }
        while self.hand_one(now) {
            self.settle_sessions(now);
        }
    }

    /// The next output, until `None`.
    pub fn poll(&mut self) -> Option<RadioOutput> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(RadioOutput::Shared(output));
        }
        let mut links = self.links.iter_mut().enumerate();
        links.find_map(|(number, attached)| Some(RadioOutput::Link(number, attached.link.poll()?)))
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let sessions = self.sessions.iter().map(|session| session.client.next_wakeup());
        let links = self.links.iter().map(|attached| attached.link.next_wakeup());
        let left = self.pacing.next_left().map(|at| Wakeup { at, why: "PDU leaves" });
        let free = self.next_free().map(|at| Wakeup { at, why: "air free" });
        let hold = self.next_hold().map(|at| Wakeup { at, why: "hard link idle" });
        sessions.chain(links).chain([left, free, hold]).fold(None, Wakeup::earlier)
    }

    /// What was counted.
    pub fn counters(&self) -> RadioCounters {
        self.counters
    }

    /// The state for the console.
    pub fn describe(&self) -> serde_json::Value {
        let (seconds, clocked, confirming) = self.pacing.depth(self.seen);
        let sessions: Vec<_> = self.sessions.iter().map(describe_session).collect();
        let links: Vec<_> = self
            .links
            .iter()
            .map(|attached| serde_json::json!({ "name": attached.name, "ready": attached.ready, "state": attached.link.describe() }))
            .collect();
        serde_json::json!({
            "target": self.config.target,
            "own_address": self.config.own_address,
            "emission": self.emission,
            "silent": self.is_silent(),
            "hard_link": self.hold.as_ref().and_then(Hold::held),
            "node_answered": self.manage.as_ref().and_then(Manage::answer),
            "handed_seconds": seconds,
            "handed_pdus": clocked,
            "confirming_pdus": confirming,
            "sessions": sessions,
            "links": links,
            "counters": self.counters,
        })
    }

    /// Whether we may not transmit, by our own decision or by what the node says.
    fn is_silent(&self) -> bool {
        let node_silent = |session: &Session| session.client.mtu().is_some() && !can_transmit(session);
        self.emission == Emission::Silent || self.sessions.iter().any(node_silent)
    }

    /// Takes writes and events out of all sessions.
    fn settle_sessions(&mut self, now: Now) {
        for at in 0..self.sessions.len() {
            while let Some(event) = self.sessions[at].client.poll_event() {
                self.on_session_event(now, at, event);
            }
            let outputs = &mut self.outputs;
            self.sessions[at].write(|output| outputs.push_back(output));
        }
    }

    fn on_session_event(&mut self, now: Now, at: usize, event: SisEvent) {
        let sap = self.sessions[at].sap;
        match event {
            SisEvent::WantOpen => self.open(at),
            SisEvent::WantClose => self.close(at),
            SisEvent::Bound { .. } => {
                self.sessions[at].ended = None;
                self.order_silence();
                self.make_ready(now);
            }
            SisEvent::Ended { why, .. } => self.on_ended(now, at, why.to_string()),
            SisEvent::Availability(status, _) => {
                for attached in self.links.iter_mut().filter(|attached| attached.ready && attached.uses(sap)) {
                    attached.link.air(now, AirEvent::Emission(status));
                }
            }
            SisEvent::Flow(flowing) => {
                let ports = self.links.iter().flat_map(|attached| &attached.ports);
                let services: Vec<Service> = ports.filter(|port| port.sap == sap).map(|port| port.service).collect();
                for service in services.into_iter().filter(|_| !flowing) {
                    self.pacing.stop(service == Service::Rcop);
                }
            }
            // What is handed down is counted when it is submitted.
            SisEvent::Handed { .. } => {}
            SisEvent::Confirmed { token } => self.end_flight(now, token, |token| AirEvent::Confirmed { token }),
            SisEvent::Rejected { token, reason } => {
                self.end_flight(now, token, |token| AirEvent::Rejected { token, reason });
            }
            SisEvent::Returned { token } => self.end_flight(now, token, |token| AirEvent::Returned { token }),
            SisEvent::Arrived { indication, .. } => self.on_arrived(now, indication),
            SisEvent::HardLinkOffered(_, link) => {
                self.counters.hard_links_refused += 1;
                self.sessions[at].client.reject_hard_link(link, 1);
            }
            SisEvent::Managed(message) => {
                if let Some(manage) = &mut self.manage {
                    manage.answered(&message.body);
                }
            }
            SisEvent::HardLinkEstablished(status, link) if status != HardLinkStatus::Error => {
                self.hold_link(|hold| hold.established(link.node));
            }
            SisEvent::HardLinkEstablished(_, link)
            | SisEvent::HardLinkRejected(_, link)
            | SisEvent::HardLinkTerminated(_, link) => {
                self.hold_link(|hold| hold.ended(now.mono, link.node));
            }
        }
    }

    /// Lets the machine of the hard link decide.
    fn hold_link(&mut self, step: impl FnOnce(&mut Hold) -> Option<hold::Order>) {
        if let Some(order) = self.hold.as_mut().and_then(step) {
            order.put(&mut self.sessions);
        }
    }

    /// The node is to be silent while all links are.
    fn order_silence(&mut self) {
        let silent =
            !self.links.is_empty() && self.links.iter().all(|attached| attached.link.emission() == Emission::Silent);
        if let Some(manage) = &mut self.manage {
            manage.want(silent, &mut self.sessions);
        }
    }

    /// In EMCON nothing is ended: the node would have to say so.
    fn let_link_go(&mut self, now: Now) {
        if !self.is_silent() {
            self.hold_link(|hold| hold.due(now.mono));
        }
    }

    fn next_hold(&self) -> Option<Instant> {
        self.hold.as_ref().filter(|_| !self.is_silent())?.next()
    }

    fn open(&mut self, at: usize) {
        self.pipes_asked += 1;
        let pipe = PipeId(self.pipes_asked);
        self.sessions[at].pipe = Some(pipe);
        let open = PipeOutput::Open { target: self.config.target.clone(), dscp: self.config.dscp };
        self.outputs.push_back(TransportOutput::Pipe(pipe, open));
    }

    fn close(&mut self, at: usize) {
        let outputs = &mut self.outputs;
        let session = &mut self.sessions[at];
        session.write(|output| outputs.push_back(output));
        if let Some(pipe) = session.pipe {
            outputs.push_back(TransportOutput::Pipe(pipe, PipeOutput::Close));
        }
    }

    /// Tells links whose sessions are all bound, and did not know it yet.
    fn make_ready(&mut self, now: Now) {
        if self.links.iter().all(|attached| attached.ready) {
            return;
        }
        let bound: BTreeMap<SapId, (u16, &Session)> =
            self.sessions.iter().filter_map(|session| Some((session.sap, (session.client.mtu()?, session)))).collect();
        for attached in &mut self.links {
            let sessions: Option<Vec<_>> = attached.ports.iter().map(|port| bound.get(&port.sap)).collect();
            let Some(sessions) = sessions.filter(|_| !attached.ready) else { continue };
            let Some(mtu) = sessions.iter().map(|&&(mtu, _)| usize::from(mtu)).min() else { continue };
            attached.ready = true;
            attached.link.air(now, AirEvent::Ready { mtu: mtu.saturating_sub(HEADER_OCTETS) });
            if let Some((_, session)) = sessions.into_iter().find(|(_, session)| !can_transmit(session)) {
                attached.link.air(now, AirEvent::Emission(session.client.availability().0));
            }
        }
    }

    /// The client has returned what awaited confirmation; what the model holds did not leave either, for all we know.
    fn on_ended(&mut self, now: Now, at: usize, why: String) {
        let sap = self.sessions[at].sap;
        self.hold_link(|hold| hold.session_ended(at));
        if let Some(manage) = &mut self.manage {
            manage.session_ended(at);
        }
        let held: Vec<u64> =
            self.flights.iter().filter(|(_, flight)| flight.sap == sap && !flight.confirm).map(|(&n, _)| n).collect();
        for flight in held {
            self.end_flight(now, flight, |token| AirEvent::Returned { token });
        }
        let news = self.sessions[at].ended.as_ref() != Some(&why);
        for attached in self.links.iter_mut().filter(|attached| attached.uses(sap)) {
            if std::mem::take(&mut attached.ready) || news {
                attached.link.air(now, AirEvent::Lost(why.clone()));
            }
        }
        self.sessions[at].ended = Some(why);
    }

    fn end_flight(&mut self, now: Now, flight: u64, event: impl FnOnce(u64) -> AirEvent) {
        self.pacing.end(now.mono, flight);
        let Some(Flight { link, token, .. }) = self.flights.remove(&flight) else { return };
        if let Some(attached) = self.links.get_mut(link) {
            attached.link.air(now, event(token));
        }
    }

    //= s5066/RCOP-005
    fn on_arrived(&mut self, now: Now, indication: UnidataIndication) {
        let service = match indication.transmission {
            TransmissionMode::Arq | TransmissionMode::Default | TransmissionMode::Reserved(_) => Service::Rcop,
            TransmissionMode::NonArq | TransmissionMode::NonArqWithErrors => Service::Udop,
        };
        let whole = indication.errored.is_empty() && indication.missing.is_empty();
        let Some((header, octets)) = Header::decode(&indication.u_pdu).ok().filter(|_| whole) else {
            self.counters.damaged += 1;
            return;
        };
        if service == Service::Rcop {
            self.hold_link(|hold| hold.heard(now.mono, indication.source));
        }
        let Header { connection, application, .. } = header;
        let port = Port { sap: indication.sap, service, connection, application };
        let Some(attached) = self.links.iter_mut().find(|attached| attached.ports.contains(&port)) else {
            self.counters.unclaimed += 1;
            return;
        };
        self.counters.arrived += 1;
        let arrival = Arrival {
            source: indication.source,
            source_sap: indication.source_sap,
            destination: indication.destination,
            port,
            segment: Segment { u_pdu_id: header.u_pdu_id, number: header.segment },
            precedence: Precedence::at_most(&self.config.priorities, indication.priority),
            octets,
        };
        attached.link.air(now, AirEvent::Arrived(arrival));
    }

    /// Hands one PDU down, the most urgent that may go; whether anything happened.
    fn hand_one(&mut self, now: Now) -> bool {
        let Some((link, offer)) = self.choose(now.mono) else { return false };
        self.served = link;
        let attached = &mut self.links[link];
        let Some(pdu) = attached.link.release(now) else {
            // It offers what it does not give; it is asked again later.
            attached.not_before = now.mono + REFUSED_WAIT;
            return true;
        };
        let token = pdu.token;
        match self.submit(now, link, offer, pdu) {
            Ok(()) => self.counters.handed += 1,
            Err(event) => {
                self.counters.refused += 1;
                let attached = &mut self.links[link];
                attached.not_before = now.mono + REFUSED_WAIT;
                attached.link.air(now, event.unwrap_or(AirEvent::Returned { token }));
            }
        }
        true
    }

    /// The link that may hand its PDU down: by priority, then in turn. A less urgent PDU passes a more urgent one that
    /// must wait for its own service only if nothing of the less urgent one's service is in the hands of the node.
    fn choose(&self, now: Instant) -> Option<(usize, Offer)> {
        if self.is_silent() {
            return None;
        }
        let offers = self.offers(now);
        let may = |&(_, offer): &(usize, Offer)| {
            self.is_in_front(now, &offers, offer) && self.pacing.verdict(now, offer) == Verdict::Now
        };
        offers.iter().copied().find(may)
    }

    /// What all links offer, the most urgent first; equals in turn.
    fn offers(&self, now: Instant) -> Vec<(usize, Offer)> {
        let count = self.links.len();
        let mut offers: Vec<_> = (0..count)
            .map(|step| (self.served + 1 + step) % count)
            .filter_map(|link| Some((link, self.offer(link, now)?)))
            .collect();
        offers.sort_by_key(|(_, offer)| offer.priority);
        offers
    }

    /// Whether an offer may go as far as the others are concerned.
    fn is_in_front(&self, now: Instant, offers: &[(usize, Offer)], offer: Offer) -> bool {
        let most_urgent = offers.first().is_none_or(|(_, first)| offer.priority <= first.priority);
        most_urgent || self.pacing.is_idle(now, offer.confirm)
    }

    fn offer(&self, link: usize, now: Instant) -> Option<Offer> {
        let attached = self.links.get(link)?;
        let asked = attached.ready && attached.not_before <= now && self.flows(attached);
        asked.then(|| attached.link.offer()).flatten()
    }

    /// Whether the node takes data on all sessions of a link.
    fn flows(&self, attached: &Attached) -> bool {
        self.sessions.iter().filter(|session| attached.uses(session.sap)).all(|session| session.client.is_flowing())
    }

    /// When an offer that must wait for the clock, or for its own fault, may go.
    fn next_free(&self) -> Option<Instant> {
        if self.is_silent() {
            return None;
        }
        let now = self.seen;
        let offers = self.offers(now);
        let free = offers.iter().filter_map(|&(_, offer)| match self.pacing.verdict(now, offer) {
            // One that must not pass another waits for that one, or for a flight to end.
            Verdict::Now => self.is_in_front(now, &offers, offer).then_some(now),
            Verdict::At(at) => Some(at),
            Verdict::Wait => None,
        });
        let refused = |attached: &&Attached| attached.not_before > now && attached.link.offer().is_some();
        let again = self.links.iter().filter(refused).map(|attached| attached.not_before);
        free.chain(again).min()
    }

    /// Hands a PDU to its session. The error is what the link is told, `None` for `Returned`.
    fn submit(&mut self, now: Now, link: usize, offer: Offer, pdu: AirPdu) -> Result<(), Option<AirEvent>> {
        let reject = |reason| Some(AirEvent::Rejected { token: pdu.token, reason });
        let port = pdu.port;
        let known = self.links[link].ports.contains(&port);
        let at = self.sessions.iter().position(|session| session.sap == port.sap && known);
        let Some(at) = at else { return Err(reject(DataRejection::NoMode)) };
        let rcop = port.service == Service::Rcop;
        if rcop {
            self.hold_link(|hold| hold.sending(now.mono, at, pdu.to));
        }
        let mut mode = port.mode();
        if !pdu.confirm {
            mode.confirmation = Confirmation::None;
        } else if pdu.to_client {
            //= xmpp/RCOP-005
            mode.confirmation = Confirmation::Client;
        }
        if rcop && !pdu.ordered {
            mode.order = Order::AsTheyArrive;
        }
        let segment = pdu.segment.unwrap_or_else(|| {
            let next = self.u_pdu_ids.entry((port.sap, port.connection)).or_default();
            let u_pdu_id = *next;
            *next = next.wrapping_add(1);
            Segment { u_pdu_id, number: 0 }
        });
        let Port { connection, application, .. } = port;
        let header = Header { connection, u_pdu_id: segment.u_pdu_id, segment: segment.number, application };
        self.flights_begun += 1;
        let flight = self.flights_begun;
        let u_pdu = header.encode(&pdu.octets);
        let confirm = rcop && pdu.confirm;
        let offer = Offer { octets: u_pdu.len(), confirm, ..offer };
        let request = SisRequest {
            token: flight,
            sap: port.sap,
            destination: pdu.to.with_size(self.config.address_half_octets),
            mode,
            priority: node_priority(&self.config.priorities, &pdu),
            retransmissions: if rcop { 0 } else { pdu.repeats.min(15) },
            ttl: Ttl::from_span(pdu.ttl),
            // The expedited service is not for UDOP.
            expedited: rcop && pdu.expedited,
            u_pdu,
        };
        let repeats = request.retransmissions;
        self.sessions[at].client.submit(now, request).map_err(|fault| match fault {
            SubmitFault::TooLarge { .. } => reject(DataRejection::TooLarge),
            SubmitFault::GroupByArq => reject(DataRejection::NoMode),
            SubmitFault::NotBound | SubmitFault::Full => None,
        })?;
        self.pacing.hand(now.mono, flight, offer, repeats);
        self.flights.insert(flight, Flight { link, token: pdu.token, sap: port.sap, confirm });
        Ok(())
    }
}

impl Attached {
    fn uses(&self, sap: SapId) -> bool {
        self.ports.iter().any(|port| port.sap == sap)
    }
}

/// Between the precedences there is room in the node: what people say to each other is short, and takes it.
fn node_priority(table: &[u8; 6], pdu: &AirPdu) -> u8 {
    let priority = table[pdu.priority.precedence() as usize];
    if pdu.conversation { (priority + 1).min(SIS_PRIORITY_MAX) } else { priority }
}

fn can_transmit(session: &Session) -> bool {
    session.client.availability().0.can_transmit()
}

#[cfg(test)]
mod tests;

//! The link for batch units (RFC 2442) over UDOP or RCOP: no protocol of its own, only a length in front.
//!
//! UDOP: each unit is sent in planned rounds to a node or group and never confirmed: when the last round has left,
//! that is `Delivered`, which here means relayed. All rounds have the same U_PDU id and cut, so that a receiver fills
//! the gaps of one round from the next. RCOP: each segment is confirmed by the peer's node, which is not the peer's
//! disk. Promises: each unit ends once per site; expired units are not sent; a Flash goes before the remaining
//! segments of a routine unit. Repeats that arrive are told once, across restarts too, until [`Transport::refuse`] asks for another.
//! Limits: see `limits.rs`.

pub mod config;
mod incoming;
pub mod limits;
mod outgoing;
mod seen;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::random::Random;
use skywave_protocols::s5066::sis::reason::DataRejection;
use skywave_protocols::time::{Instant, Now, Wakeup};

pub use config::{BATCH_OCTETS_MAX, BatchConfig};
use incoming::Incoming;
use limits::{REJECTED_WAIT, UNITS_HELD_MAX, UNITS_MAX};
use outgoing::{After, Leg, Outgoing};

use crate::radio::{AirEvent, AirLink, AirPdu, Arrival, Offer, Port, Segment, Service, Tokens};
use crate::transport::{
    ArrivalId, Emission, Profile, Progress, Room, Sent, SiteName, Transport, TransportEvent, TransportFault,
    TransportInput, TransportOutput, Unit, UnitTicket, over,
};

/// A batch link on a radio.
pub struct BatchLink {
    config: BatchConfig,
    incoming: Incoming,
    outgoing: BTreeMap<UnitTicket, Outgoing>,
    /// Order of submission; ties of priority are served so.
    submitted: u64,
    /// What is in the air: which unit, which leg, which segment.
    tokens: Tokens<(UnitTicket, usize, u16)>,
    next_u_pdu_id: u8,
    /// Octets of application data in one PDU; `None` without a session.
    mtu: Option<usize>,
    emission: Emission,
    /// Whether the node says it may transmit.
    node_transmits: bool,
    silent: BTreeSet<SiteName>,
    outputs: VecDeque<TransportOutput>,
    had_no_room: bool,
}

impl BatchLink {
    /// A link that waits for its radio. `random` chooses the first U_PDU id, so that a restart does not repeat one.
    pub fn new(config: BatchConfig, random: &mut dyn Random) -> Self {
        Self {
            incoming: Incoming::new(&config),
            config,
            outgoing: BTreeMap::new(),
            submitted: 0,
            tokens: Tokens::default(),
            next_u_pdu_id: random.below(256) as u8,
            mtu: None,
            emission: Emission::Free,
            node_transmits: true,
            silent: BTreeSet::new(),
            outputs: VecDeque::new(),
            had_no_room: false,
        }
    }

    fn tell(&mut self, event: TransportEvent) {
        self.outputs.push_back(TransportOutput::Event(event));
    }

    fn fail(&mut self, ticket: UnitTicket, to: SiteName, fault: TransportFault) {
        self.tell(TransportEvent::Failed { ticket, to, fault });
    }

    /// The unit and leg whose segment goes next: the most urgent, then the oldest.
    fn next_leg(&self) -> Option<(&Outgoing, usize)> {
        let mtu = self.mtu?;
        let free = self.emission == Emission::Free && self.node_transmits && mtu > 0;
        let rcop = self.config.port.service == Service::Rcop;
        // ARQ towards somebody who will not answer would only keep the transmitter on.
        let held = |leg: &Leg| rcop && leg.sites.iter().all(|site| self.silent.contains(site));
        let candidates = self.outgoing.values().filter(|_| free).filter_map(|outgoing| {
            let leg = outgoing.legs.iter().position(|leg| leg.is_sendable() && !held(leg))?;
            Some((outgoing, leg))
        });
        candidates.min_by_key(|(outgoing, _)| (outgoing.unit.priority.p_mul(), outgoing.number))
    }

    /// The legs of a unit: one to the group or node, or one for each site.
    fn legs(&mut self, unit: &Unit) -> Vec<Leg> {
        let mut sites = Vec::new();
        for site in &unit.to {
            match self.config.sites.get(site) {
                Some(&address) => sites.push((site.clone(), address)),
                None => {
                    let fault = TransportFault::UnknownSite(site.to_string());
                    self.fail(unit.ticket, site.clone(), fault);
                }
            }
        }
        let rounds = self.config.rounds_after_first();
        match (self.config.group, sites.len()) {
            (Some(group), 2..) if self.config.port.service == Service::Udop => {
                vec![Leg::new(sites.into_iter().map(|(site, _)| site).collect(), group, rounds)]
            }
            (Some(_) | None, _) => {
                sites.into_iter().map(|(site, address)| Leg::new(vec![site], address, rounds)).collect()
            }
        }
    }

    /// Who transmits keeps silence no more.
    fn heard(&mut self, arrival: &Arrival) {
        let from = |site: &&SiteName| self.config.sites.get(*site) == Some(&arrival.source);
        let Some(site) = self.silent.iter().find(from).cloned() else { return };
        self.silent.remove(&site);
        self.tell(TransportEvent::notice("silence_ended", format!("{site} transmits")));
        self.tell(TransportEvent::SilenceEnded(site));
    }

    fn take_u_pdu_id(&mut self) -> u8 {
        let u_pdu_id = self.next_u_pdu_id;
        self.next_u_pdu_id = u_pdu_id.wrapping_add(1);
        u_pdu_id
    }

    fn on_sent(&mut self, now: Now, token: u64) {
        let Some((ticket, leg, number)) = self.tokens.end(token) else { return };
        let Some(outgoing) = self.outgoing.get_mut(&ticket) else { return };
        match outgoing.on_sent(leg, number, now.mono + self.config.round_gap) {
            After::More => self.tell_progress(ticket),
            After::Done => self.finish_leg(ticket, leg),
        }
    }

    fn on_returned(&mut self, token: u64, not_before: Option<Instant>) {
        let Some((ticket, leg, number)) = self.tokens.end(token) else { return };
        if let Some(outgoing) = self.outgoing.get_mut(&ticket) {
            outgoing.on_returned(leg, number, not_before);
        }
    }

    fn on_rejected(&mut self, now: Now, token: u64, reason: DataRejection) {
        let later = Some(now.mono + REJECTED_WAIT);
        if reason.may_pass() {
            // The unit's own expiry ends the trying.
            self.on_returned(token, later);
        } else if let Some((ticket, leg, _)) = self.tokens.end(token) {
            let fault = TransportFault::Refused(format!("the node rejected it: {reason}"));
            self.fail_leg(ticket, leg, &fault);
        }
    }

    fn finish_leg(&mut self, ticket: UnitTicket, leg: usize) {
        let Some(outgoing) = self.outgoing.get_mut(&ticket) else { return };
        let sites = outgoing.end_leg(leg);
        for by in sites {
            self.tell(TransportEvent::Delivered { ticket, by });
        }
        self.drop_if_over(ticket);
    }

    fn fail_leg(&mut self, ticket: UnitTicket, leg: usize, fault: &TransportFault) {
        let Some(outgoing) = self.outgoing.get_mut(&ticket) else { return };
        for to in outgoing.end_leg(leg) {
            self.fail(ticket, to, fault.clone());
        }
        self.drop_if_over(ticket);
    }

    fn fail_unit(&mut self, ticket: UnitTicket, fault: &TransportFault) {
        let legs = self.outgoing.get(&ticket).map_or(0, |outgoing| outgoing.legs.len());
        for leg in 0..legs {
            self.fail_leg(ticket, leg, fault);
        }
        self.drop_if_over(ticket);
    }

    fn drop_if_over(&mut self, ticket: UnitTicket) {
        if self.outgoing.get(&ticket).is_some_and(|outgoing| outgoing.legs.iter().all(|leg| leg.over)) {
            self.outgoing.remove(&ticket);
        }
        if self.had_no_room && self.room().units > 0 {
            self.had_no_room = false;
            self.tell(TransportEvent::RoomChanged);
        }
    }

    fn tell_progress(&mut self, ticket: UnitTicket) {
        let Some(outgoing) = self.outgoing.get(&ticket) else { return };
        let waiting_for: Vec<_> =
            outgoing.legs.iter().filter(|leg| !leg.over).flat_map(|leg| leg.sites.iter().cloned()).collect();
        let progress = Progress {
            ticket,
            octets_sent: outgoing.octets_sent,
            pdus_waiting: outgoing.pdus_waiting(),
            waiting_for,
            why: outgoing.why(self.config.port.service).to_owned(),
        };
        self.tell(TransportEvent::Progress(progress));
    }

    /// A session with a smaller MTU: what was cut larger is cut anew, under a new number.
    fn on_ready(&mut self, mtu: usize) {
        self.mtu = Some(mtu);
        self.node_transmits = true;
        for leg in self.outgoing.values_mut().flat_map(|outgoing| &mut outgoing.legs) {
            leg.forget_cut_above(mtu);
        }
        self.tell(TransportEvent::Up);
    }

    fn expire(&mut self, now: Now) {
        let due = |outgoing: &&Outgoing| outgoing.expires <= now.mono;
        while let Some(ticket) = self.outgoing.values().find(due).map(|outgoing| outgoing.unit.ticket) {
            self.fail_unit(ticket, &TransportFault::Expired);
            self.outgoing.remove(&ticket);
        }
    }
}

impl AirLink for BatchLink {
    fn ports(&self) -> Vec<Port> {
        vec![self.config.port]
    }

    fn emission(&self) -> Emission {
        self.emission
    }

    fn offer(&self) -> Option<Offer> {
        let (outgoing, leg) = self.next_leg()?;
        let octets = outgoing.legs[leg].octets_next(outgoing.unit.content.len(), self.mtu?);
        let confirm = self.config.port.service == Service::Rcop;
        Some(Offer { priority: outgoing.unit.priority.p_mul(), octets, confirm })
    }

    fn release(&mut self, now: Now) -> Option<AirPdu> {
        self.expire(now);
        let mtu = self.mtu?;
        let (ticket, leg) = self.next_leg().map(|(outgoing, leg)| (outgoing.unit.ticket, leg))?;
        if self.outgoing.get(&ticket)?.legs[leg].is_uncut() {
            let u_pdu_id = self.take_u_pdu_id();
            let outgoing = self.outgoing.get_mut(&ticket)?;
            if outgoing.legs[leg].cut(&outgoing.unit.content, mtu, u_pdu_id).is_err() {
                let fault = TransportFault::TooLarge { octets: outgoing.unit.content.len(), limit: mtu << 16 };
                self.fail_leg(ticket, leg, &fault);
                return None;
            }
        }
        let outgoing = self.outgoing.get_mut(&ticket)?;
        let (number, octets) = outgoing.take_segment(leg)?;
        let token = self.tokens.begin((ticket, leg, number));
        let Leg { to, u_pdu_id, .. } = outgoing.legs[leg];
        Some(AirPdu {
            token,
            port: self.config.port,
            to,
            priority: outgoing.unit.priority,
            ttl: outgoing.expires.since(now.mono),
            octets,
            repeats: self.config.node_repeats,
            confirm: self.config.port.service == Service::Rcop,
            to_client: false,
            expedited: false,
            conversation: false,
            // Sorted by their numbers at the other end.
            ordered: false,
            segment: Some(Segment { u_pdu_id, number }),
        })
    }

    fn air(&mut self, now: Now, event: AirEvent) {
        match event {
            AirEvent::Ready { mtu } => self.on_ready(mtu),
            AirEvent::Lost(why) => {
                self.mtu = None;
                self.tell(TransportEvent::Down(why));
            }
            AirEvent::Sent { token } | AirEvent::Confirmed { token } => self.on_sent(now, token),
            AirEvent::Returned { token } => self.on_returned(token, None),
            AirEvent::Rejected { token, reason } => self.on_rejected(now, token, reason),
            AirEvent::Emission(status) => self.node_transmits = status.can_transmit(),
            AirEvent::Arrived(arrival) => {
                self.heard(&arrival);
                if let Some(event) = self.incoming.handle(now, &self.config, &arrival) {
                    self.tell(event);
                }
            }
        }
    }
}

impl Transport for BatchLink {
    fn profile(&self) -> Profile {
        let udop = self.config.port.service == Service::Udop;
        Profile {
            ordered: false,
            reliable: !udop,
            boundaries: true,
            fan_out: udop && self.config.group.is_some(),
            unit_octets_max: self.config.unit_octets_max,
            bits_per_second: self.config.bits_per_second,
            turnaround: self.config.turnaround,
        }
    }

    fn room(&self) -> Room {
        let units = UNITS_MAX.saturating_sub(self.outgoing.len());
        let held: usize = self.outgoing.values().map(|outgoing| outgoing.unit.content.len()).sum();
        Room { units, octets: (2 * self.config.unit_octets_max).saturating_sub(held) }
    }

    fn over_limit(&self) -> Option<String> {
        over(self.incoming.held().into_iter().chain([("units", self.outgoing.len(), UNITS_HELD_MAX)]))
    }

    fn submit(&mut self, now: Now, unit: Unit) {
        let (ticket, octets, limit) = (unit.ticket, unit.content.len(), self.config.unit_octets_max);
        let legs = self.legs(&unit);
        self.submitted += 1;
        let expires = now.mono + unit.expiry.since(now.wall);
        self.outgoing.insert(ticket, Outgoing::new(unit, self.submitted, expires, legs));
        if octets > limit {
            self.fail_unit(ticket, &TransportFault::TooLarge { octets, limit });
        } else if self.outgoing.len() > UNITS_HELD_MAX {
            self.fail_unit(ticket, &TransportFault::Refused(format!("{UNITS_HELD_MAX} units wait already")));
        }
        self.expire(now);
        self.drop_if_over(ticket);
        self.had_no_room |= self.room().units == 0;
    }

    fn raise(&mut self, _now: Now, ticket: UnitTicket, priority: MtPriority) {
        if let Some(outgoing) = self.outgoing.get_mut(&ticket) {
            outgoing.unit.priority = outgoing.unit.priority.max(priority);
        }
    }

    fn cancel(&mut self, _now: Now, ticket: UnitTicket) -> Sent {
        let octets = self.outgoing.get(&ticket).map_or(0, |outgoing| outgoing.octets_sent);
        self.fail_unit(ticket, &TransportFault::Cancelled);
        Sent { octets }
    }

    fn set_emission(&mut self, _now: Now, emission: Emission) {
        self.emission = emission;
    }

    fn set_silence(&mut self, _now: Now, site: &SiteName, silent: bool) {
        if silent {
            if self.config.sites.contains_key(site) {
                self.silent.insert(site.clone());
            }
        } else {
            self.silent.remove(site);
        }
    }

    fn accept(&mut self, now: Now, arrival: ArrivalId) {
        self.incoming.accept(now, arrival);
    }

    fn refuse(&mut self, now: Now, arrival: ArrivalId, retry: bool) {
        self.incoming.refuse(now, arrival, retry);
    }

    fn handle(&mut self, now: Now, input: TransportInput) {
        // What is not sent is still the gateway's; stored is only what has arrived.
        match input {
            TransportInput::Stored(batch) => self.incoming.seen.stored(batch),
            TransportInput::StoreFailed(batch, _) => self.incoming.seen.store_failed(now, batch),
            TransportInput::Restored(rows) => self.incoming.seen.restore(now, rows),
            TransportInput::Pipe(..) | TransportInput::Accepted(..) | TransportInput::Socket(..) => {}
        }
    }

    fn handle_wakeup(&mut self, now: Now) {
        self.incoming.handle_wakeup(now).into_iter().for_each(|event| self.tell(event));
        self.expire(now);
        for leg in self.outgoing.values_mut().flat_map(|outgoing| &mut outgoing.legs) {
            leg.handle_wakeup(now.mono);
        }
    }

    fn poll(&mut self) -> Option<TransportOutput> {
        self.outputs.pop_front().or_else(|| self.incoming.seen.poll())
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        let expiry = self.outgoing.values().map(|outgoing| outgoing.expires).min();
        let expiry = expiry.map(|at| Wakeup { at, why: "unit expires" });
        let legs = self.outgoing.values().flat_map(|outgoing| &outgoing.legs);
        let round = legs.filter_map(|leg| leg.not_before).min().map(|at| Wakeup { at, why: "next round" });
        Wakeup::earlier(Wakeup::earlier(expiry, round), self.incoming.next_wakeup())
    }

    fn describe(&self) -> serde_json::Value {
        let units: Vec<_> =
            self.outgoing.values().map(|outgoing| outgoing.describe(self.config.port.service)).collect();
        serde_json::json!({
            "service": match self.config.port.service { Service::Udop => "udop", Service::Rcop => "rcop" },
            "ready": self.mtu.is_some(),
            "mtu": self.mtu,
            "emission": self.emission,
            "silent_sites": self.silent,
            "units": units,
            "incoming": self.incoming.describe(),
        })
    }
}

#[cfg(test)]
mod tests;

//! The link for chat over RCOP (XEP-0365 0.2.1): one U_PDU for each unit, at most a window of them unconfirmed.
//!
//! The node is asked for ARQ, in order, with delivery confirmation. Promises: `Delivered` (the peer's node has it,
//! which is not its disk) is told in the order of submission of a context; what a node rejects for a reason that may
//! pass, or nobody knows the fate of, is repeated in its order until it expires; a second context overtakes the first;
//! in EMCON nothing is offered, and nothing is ever sent that was not submitted: no white space, no pings. Refuses:
//! U_PDUs from nodes that are no site of the link, without data, or segments where units are whole. Nothing is
//! rebuilt from segments, so nothing is held for a peer. Limits: see `limits.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::s5066::rcop::HEADER_OCTETS;
use skywave_protocols::s5066::sis::limits::MTU_OCTETS;
use skywave_protocols::s5066::sis::reason::DataRejection;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};

use super::config::RcopConfig;
use super::limits::{AHEAD, TTL_MAX, UNITS_MAX, UNITS_MIN};
use super::line::{Entry, Line, Next, State};
use crate::radio::{AirEvent, AirLink, AirPdu, Arrival, Offer, Port, Segment, Tokens};
use crate::transport::{
    ArrivalId, Emission, Profile, Progress, Room, Sent, SiteName, Transport, TransportEvent, TransportFault,
    TransportInput, TransportOutput, Unit, UnitTicket, over,
};

/// A site and a context.
type LineKey = (SiteName, u16);

/// A link for chat on a radio.
pub struct RcopLink {
    config: RcopConfig,
    random: Seeded,
    lines: BTreeMap<LineKey, Line>,
    /// Order of submission; ties of priority are served so.
    submitted: u64,
    tokens: Tokens<(LineKey, u64)>,
    /// The next U_PDU id of each port.
    u_pdu_ids: Vec<u8>,
    /// Octets of application data in one PDU; `None` without a session.
    mtu: Option<usize>,
    unit_octets_max: usize,
    emission: Emission,
    /// Whether the node says it may transmit.
    node_transmits: bool,
    silent: BTreeSet<SiteName>,
    /// Sites whose node does not answer: how often it was tried, and when it is tried again.
    absent: BTreeMap<SiteName, (u32, Option<Instant>)>,
    /// The last U_PDU of each site and connection, to know a repeat of it.
    last: BTreeMap<(SiteName, u8), (Segment, [u8; 32])>,
    arrivals: u64,
    counters: Counters,
    outputs: VecDeque<TransportOutput>,
    had_no_room: bool,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counters {
    units_sent: u64,
    repeats_sent: u64,
    units_arrived: u64,
    repeats_arrived: u64,
    segments_missing: u64,
    strangers: u64,
    refused: u64,
}

impl RcopLink {
    /// A link that waits for its radio. `random` chooses the first U_PDU ids, so that a restart does not repeat them,
    /// and spreads the tries.
    pub fn new(config: RcopConfig, random: &mut dyn Random) -> Self {
        Self {
            u_pdu_ids: config.ports.iter().map(|_| random.below(256) as u8).collect(),
            random: Seeded::new(random.number()),
            config,
            lines: BTreeMap::new(),
            submitted: 0,
            tokens: Tokens::default(),
            mtu: None,
            unit_octets_max: usize::from(MTU_OCTETS) - HEADER_OCTETS,
            emission: Emission::Free,
            node_transmits: true,
            silent: BTreeSet::new(),
            absent: BTreeMap::new(),
            last: BTreeMap::new(),
            arrivals: 0,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            had_no_room: true,
        }
    }

    fn tell(&mut self, event: TransportEvent) {
        self.outputs.push_back(TransportOutput::Event(event));
    }

    fn fail(&mut self, ticket: UnitTicket, to: SiteName, fault: TransportFault) {
        self.tell(TransportEvent::Failed { ticket, to, fault });
    }

    fn may_send(&self) -> bool {
        self.emission == Emission::Free && self.node_transmits && self.mtu.is_some()
    }

    /// Whether ARQ towards a site would find somebody who answers.
    fn answers(&self, site: &SiteName) -> bool {
        !self.silent.contains(site) && self.absent.get(site).is_none_or(|(_, until)| until.is_none())
    }

    /// The line whose unit goes next: the most urgent, then the oldest.
    fn next_unit(&self) -> Option<(&LineKey, Next)> {
        let lines = self.lines.iter().filter(|((site, _), _)| self.may_send() && self.answers(site));
        lines
            .filter_map(|(key, line)| Some((key, line.next(self.config.window, self.config.expedited)?)))
            .min_by_key(|(_, next)| (next.urgency.p_mul(), next.number))
    }

    fn port(&self, context: u16) -> Option<Port> {
        self.config.ports.get(usize::from(context)).copied()
    }

    fn take_u_pdu_id(&mut self, context: u16) -> Option<u8> {
        let next = self.u_pdu_ids.get_mut(usize::from(context))?;
        let u_pdu_id = *next;
        *next = next.wrapping_add(1);
        Some(u_pdu_id)
    }

    fn on_confirmed(&mut self, token: u64) {
        let Some((key, number)) = self.tokens.end(token) else { return };
        self.absent.remove(&key.0);
        let ended = self.lines.get_mut(&key).map(|line| line.confirmed(number)).unwrap_or_default();
        self.end(&key, ended);
    }

    fn end(&mut self, key: &LineKey, ended: Vec<UnitTicket>) {
        for ticket in ended {
            self.tell(TransportEvent::Delivered { ticket, by: key.0.clone() });
        }
    }

    fn on_returned(&mut self, token: u64) {
        let Some((key, number)) = self.tokens.end(token) else { return };
        if let Some(line) = self.lines.get_mut(&key) {
            line.returned(number);
        }
    }

    fn on_rejected(&mut self, now: Now, token: u64, reason: DataRejection) {
        let Some((key, number)) = self.tokens.end(token) else { return };
        if reason.may_pass() {
            let (tries, until) = self.absent.entry(key.0.clone()).or_default();
            // Units that were in the air together are rejected together: that is one try.
            if until.is_none_or(|until| until <= now.mono) {
                *until = Some(now.mono + self.config.back_off.wait(*tries, &mut self.random));
                *tries = tries.saturating_add(1);
            }
            if let Some(line) = self.lines.get_mut(&key) {
                line.returned(number);
            }
        } else {
            self.remove(&key, number, TransportFault::Refused(format!("the node rejected it: {reason}")));
        }
    }

    /// Ends a unit badly.
    fn remove(&mut self, key: &LineKey, number: u64, fault: TransportFault) {
        let Some(line) = self.lines.get_mut(key) else { return };
        let Some(entry) = line.remove(number) else { return };
        let ended = line.ended();
        self.fail(entry.unit.ticket, key.0.clone(), fault);
        self.end(key, ended);
    }

    fn expire(&mut self, now: Now) {
        let late = |(key, line): (&LineKey, &Line)| Some((key.clone(), line.expired(now)?));
        while let Some((key, number)) = self.lines.iter().find_map(late) {
            self.remove(&key, number, TransportFault::Expired);
        }
    }

    /// Says once when there is room after there was none; forgets lines that are empty.
    fn settle(&mut self, now: Now) {
        self.expire(now);
        self.lines.retain(|_, line| line.len() > 0);
        let has_room = self.room().units > 0;
        if has_room && std::mem::take(&mut self.had_no_room) {
            self.tell(TransportEvent::RoomChanged);
        }
        self.had_no_room |= !has_room;
    }

    fn on_ready(&mut self, mtu: usize) {
        self.mtu = Some(mtu);
        self.node_transmits = true;
        if std::mem::replace(&mut self.unit_octets_max, mtu) != mtu {
            self.tell(TransportEvent::Profile(self.profile()));
        }
        let too_large = |(key, line): (&LineKey, &Line)| {
            line.iter().find_map(|entry| Some((key.clone(), entry.number, entry.too_large(mtu)?)))
        };
        while let Some((key, number, fault)) = self.lines.iter().find_map(too_large) {
            self.remove(&key, number, fault);
        }
        self.tell(TransportEvent::Up);
    }

    //= xmpp/RCOP-003
    fn on_arrived(&mut self, arrival: Arrival) {
        let site = self.config.sites.iter().find(|&(_, address)| *address == arrival.source);
        let Some(site) = site.map(|(site, _)| site.clone()) else {
            self.counters.strangers += 1;
            return self.tell_refused("rcop_stranger", format!("{} is no site of this link", arrival.source));
        };
        // Whoever sends can be reached.
        self.absent.remove(&site);
        let Segment { u_pdu_id, number } = arrival.segment;
        if arrival.octets.is_empty() || (number != 0 && !self.config.segments) {
            self.counters.refused += 1;
            let detail = format!("segment {number} of U_PDU {u_pdu_id}, {} octets", arrival.octets.len());
            return self.tell_refused("rcop_segment_refused", format!("{detail}, from {site}"));
        }
        let known = (site.clone(), arrival.port.connection);
        let this = (arrival.segment, Sha256::digest(&arrival.octets).into());
        let before = self.last.insert(known, this);
        if before == Some(this) {
            self.counters.repeats_arrived += 1;
            return;
        }
        let follows =
            before.is_some_and(|(last, _)| last.u_pdu_id == u_pdu_id && last.number.checked_add(1) == Some(number));
        if number != 0 && !follows {
            self.counters.segments_missing += 1;
            self.tell_refused("rcop_segment_missing", format!("before {number} of U_PDU {u_pdu_id}, from {site}"));
        }
        self.counters.units_arrived += 1;
        self.arrivals += 1;
        self.tell(TransportEvent::Arrived {
            arrival: ArrivalId(self.arrivals),
            from: Some(site),
            source: arrival.source.to_string(),
            priority: arrival.precedence.mt_priority(),
            confirmed: false,
            key: Vec::new(),
            content: arrival.octets,
        });
    }

    fn tell_refused(&mut self, name: &'static str, detail: String) {
        // A flood must not become a flood of words: the first of each power of two is told, the rest counted.
        let Counters { strangers, refused, segments_missing, .. } = self.counters;
        if (strangers + refused + segments_missing).is_power_of_two() {
            self.tell(TransportEvent::notice(name, detail));
        }
    }
}

impl AirLink for RcopLink {
    fn ports(&self) -> Vec<Port> {
        self.config.ports.clone()
    }

    fn emission(&self) -> Emission {
        self.emission
    }

    fn offer(&self) -> Option<Offer> {
        let (_, next) = self.next_unit()?;
        let priority = next.urgency.p_mul().saturating_sub(1);
        Some(Offer { priority, octets: next.octets, confirm: true })
    }

    //= xmpp/RCOP-002
    fn release(&mut self, now: Now) -> Option<AirPdu> {
        self.expire(now);
        let (key, next) = self.next_unit().map(|(key, next)| (key.clone(), next))?;
        let (port, to) = (self.port(key.1)?, *self.config.sites.get(&key.0)?);
        let known = self.lines.get_mut(&key)?.get_mut(next.number)?.u_pdu_id;
        let u_pdu_id = known.or_else(|| self.take_u_pdu_id(key.1))?;
        let entry = self.lines.get_mut(&key)?.get_mut(next.number)?;
        entry.u_pdu_id = Some(u_pdu_id);
        entry.state = State::InAir { priority: next.priority, expedited: next.expedited };
        entry.octets_sent += next.octets as u64;
        let counter = if known.is_some() { &mut self.counters.repeats_sent } else { &mut self.counters.units_sent };
        *counter += 1;
        let (ttl, octets) = (entry.expires.since(now.mono).clamp(Duration::from_secs(2), TTL_MAX), &entry.unit.content);
        let progress = Progress {
            ticket: entry.unit.ticket,
            octets_sent: entry.octets_sent,
            pdus_waiting: 0,
            waiting_for: vec![key.0.clone()],
            why: "confirmation of the peer's node".to_owned(),
        };
        let octets = octets.clone();
        self.tell(TransportEvent::Progress(progress));
        Some(AirPdu {
            token: self.tokens.begin((key, next.number)),
            port,
            to,
            priority: next.priority,
            ttl,
            octets,
            repeats: 0,
            confirm: true,
            to_client: self.config.to_client,
            expedited: next.expedited,
            conversation: true,
            ordered: true,
            segment: Some(Segment { u_pdu_id, number: 0 }),
        })
    }

    fn air(&mut self, now: Now, event: AirEvent) {
        match event {
            AirEvent::Ready { mtu } => self.on_ready(mtu),
            AirEvent::Lost(why) => {
                self.mtu = None;
                self.tell(TransportEvent::Down(why));
            }
            AirEvent::Sent { token } | AirEvent::Confirmed { token } => self.on_confirmed(token),
            AirEvent::Returned { token } => self.on_returned(token),
            AirEvent::Rejected { token, reason } => self.on_rejected(now, token, reason),
            AirEvent::Emission(status) => self.node_transmits = status.can_transmit(),
            AirEvent::Arrived(arrival) => self.on_arrived(arrival),
        }
        self.settle(now);
    }
}

impl Transport for RcopLink {
    fn profile(&self) -> Profile {
        Profile {
            ordered: true,
            reliable: true,
            boundaries: true,
            fan_out: false,
            unit_octets_max: self.unit_octets_max,
            bits_per_second: self.config.bits_per_second,
            turnaround: self.config.turnaround,
        }
    }

    /// Of context 0. The others are for what may not wait: the gateway hands that down all the same.
    fn room(&self) -> Room {
        let reachable = self.config.sites.keys().any(|site| !self.silent.contains(site));
        if !self.may_send() || !reachable {
            return Room { units: 0, octets: 0 };
        }
        let lines = self.lines.iter().filter(|((_, context), _)| *context == 0);
        let (units, octets) =
            lines.fold((0, 0), |(units, octets), (_, line)| (units.max(line.len()), octets.max(line.octets())));
        let ahead = usize::try_from(AHEAD.as_secs() * u64::from(self.config.bits_per_second) / 8).unwrap_or(usize::MAX);
        let least = self.config.window.min(UNITS_MIN) * self.unit_octets_max;
        let all = (self.config.window * self.unit_octets_max).min(ahead.max(least));
        Room { units: self.config.window.saturating_sub(units), octets: all.saturating_sub(octets) }
    }

    fn over_limit(&self) -> Option<String> {
        over([("units", self.lines.values().map(Line::len).sum(), UNITS_MAX)])
    }

    fn submit(&mut self, now: Now, unit: Unit) {
        let context = self.config.line_of(unit.context);
        for site in &unit.to {
            self.submitted += 1;
            let held: usize = self.lines.values().map(Line::len).sum();
            let entry = Entry {
                number: self.submitted,
                expires: now.mono + unit.expiry.since(now.wall),
                state: State::Waiting,
                u_pdu_id: None,
                octets_sent: 0,
                unit: unit.clone(),
            };
            let fault = match entry.too_large(self.unit_octets_max) {
                _ if !self.config.sites.contains_key(site) => Some(TransportFault::UnknownSite(site.to_string())),
                None if held >= UNITS_MAX => Some(TransportFault::Refused(format!("{held} units wait already"))),
                fault => fault,
            };
            match fault {
                Some(fault) => self.fail(unit.ticket, site.clone(), fault),
                None => self.lines.entry((site.clone(), context)).or_default().push(entry),
            }
        }
        self.settle(now);
    }

    fn raise(&mut self, _now: Now, ticket: UnitTicket, priority: MtPriority) {
        for line in self.lines.values_mut() {
            line.raise(ticket, priority);
        }
    }

    fn cancel(&mut self, now: Now, ticket: UnitTicket) -> Sent {
        let mut sent = Sent::default();
        let of_ticket = |(key, line): (&LineKey, &Line)| {
            let entry = line.iter().find(|entry| entry.unit.ticket == ticket)?;
            Some((key.clone(), entry.number, entry.octets_sent))
        };
        while let Some((key, number, octets)) = self.lines.iter().find_map(of_ticket) {
            sent.octets += octets;
            self.remove(&key, number, TransportFault::Cancelled);
        }
        self.settle(now);
        sent
    }

    fn set_emission(&mut self, now: Now, emission: Emission) {
        self.emission = emission;
        self.settle(now);
    }

    fn set_silence(&mut self, now: Now, site: &SiteName, silent: bool) {
        if !silent {
            self.silent.remove(site);
            self.absent.remove(site);
        } else if self.config.sites.contains_key(site) {
            self.silent.insert(site.clone());
        }
        self.settle(now);
    }

    // The peer's node has confirmed already: there is nothing left to be said.
    fn accept(&mut self, _now: Now, _arrival: ArrivalId) {}

    fn refuse(&mut self, _now: Now, _arrival: ArrivalId, _retry: bool) {}

    fn handle(&mut self, _now: Now, _input: TransportInput) {
        // It opens no pipe and stores nothing: what is not confirmed is still the gateway's.
    }

    fn handle_wakeup(&mut self, now: Now) {
        for (_, until) in self.absent.values_mut() {
            *until = until.filter(|&until| until > now.mono);
        }
        self.settle(now);
    }

    fn poll(&mut self) -> Option<TransportOutput> {
        self.outputs.pop_front()
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        let expiry = self.lines.values().filter_map(Line::next_expiry).min();
        let expiry = expiry.map(|at| Wakeup { at, why: "unit expires" });
        let again = self.absent.values().filter_map(|(_, until)| *until).min();
        Wakeup::earlier(expiry, again.map(|at| Wakeup { at, why: "try a site again" }))
    }

    fn describe(&self) -> serde_json::Value {
        let lines: Vec<_> = self
            .lines
            .iter()
            .map(|((site, context), line)| {
                serde_json::json!({
                    "site": site, "context": context, "units": line.len(), "octets": line.octets(),
                    "in_air": line.iter().filter(|entry| matches!(entry.state, State::InAir { .. })).count(),
                })
            })
            .collect();
        serde_json::json!({
            "service": "rcop",
            "ready": self.mtu.is_some(),
            "mtu": self.mtu,
            "window": self.config.window,
            "emission": self.emission,
            "silent_sites": self.silent,
            "sites_not_responding": self.absent.keys().collect::<Vec<_>>(),
            "lines": lines,
            "counters": self.counters,
        })
    }
}

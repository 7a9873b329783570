//! The core of a link: sites and tickets on one side, the engine on the other, records in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skywave_protocols::acp142::engine::Engine;
use skywave_protocols::acp142::event::{Advance, Arrival, Event, Outgoing, Undelivered};
use skywave_protocols::acp142::fault::Acp142Fault;
use skywave_protocols::acp142::limits::DATA_PDUS_MAX;
use skywave_protocols::acp142::pdu::{MessageId, NodeId};
use skywave_protocols::acp142::{self, event};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Instant, Now, Wakeup, WallTime};

use super::config::{Config, Site};
use super::limits::{
    ACTIVE_OCTETS_MAX, ACTIVE_UNITS_MAX, EARLY_UNITS_MAX, OCTETS_MAX, STORE_RETRY_WAIT, UNITS_MAX, URGENT_PRIORITY_MAX,
};
use crate::io::Row;
use crate::transport::{
    ArrivalId, Delivery, Emission, Notice, Profile, Progress, Room, Sent, SiteName, TransportEvent, TransportFault,
    TransportOutput, Unit, UnitTicket, over,
};

/// Records of one batch.
type Records = Vec<(Vec<u8>, Option<Bytes>)>;

/// Everything of a link that does not depend on the bearer.
#[derive(Debug)]
pub struct Core {
    pub(super) engine: Engine,
    pub(super) config: Config,
    names: BTreeMap<NodeId, SiteName>,
    nodes: BTreeMap<SiteName, NodeId>,
    silent: BTreeSet<NodeId>,
    emission: Emission,
    /// The node below says that it may not transmit.
    node_silent: bool,
    outputs: VecDeque<TransportOutput>,
    /// Tickets whose fate is still to be told, per site. Tickets from before a restart may be missing here.
    open: BTreeMap<UnitTicket, BTreeSet<NodeId>>,
    unconfirmed: BTreeSet<UnitTicket>,
    restored: bool,
    early: Vec<Unit>,
    next_batch: u64,
    /// Batches handed out and not reported as stored.
    storing: BTreeMap<u64, Records>,
    /// Until this batch is on the disk nothing is sent.
    hold: Option<u64>,
    /// Batches that failed, and when they are tried again.
    failed: BTreeSet<u64>,
    retry_at: Option<Instant>,
    was_full: bool,
    up: Option<Result<(), String>>,
}

impl Core {
    pub(super) fn new(config: Config, now: Now, random: Seeded) -> Self {
        let names = config.sites.iter().map(|site| (site.id, site.name.clone())).collect();
        let nodes = config.sites.iter().map(|site| (site.name.clone(), site.id)).collect();
        let mut engine = Engine::new(config.engine.clone(), now, random);
        let silent: BTreeSet<NodeId> = config.sites.iter().filter(|site| site.silent).map(|site| site.id).collect();
        silent.iter().for_each(|&node| engine.set_silent(now, node, true));
        Self {
            engine,
            config,
            names,
            nodes,
            silent,
            emission: Emission::Free,
            node_silent: false,
            outputs: VecDeque::new(),
            open: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            restored: false,
            early: Vec::new(),
            next_batch: 1,
            storing: BTreeMap::new(),
            hold: None,
            failed: BTreeSet::new(),
            retry_at: None,
            was_full: false,
            up: None,
        }
    }

    pub(super) fn profile(&self) -> Profile {
        let engine = self.engine.config();
        Profile {
            ordered: false,
            reliable: true,
            boundaries: true,
            fan_out: self.config.group.is_some(),
            unit_octets_max: engine.message_octets_max.min(DATA_PDUS_MAX * engine.fragment_octets(false)),
            bits_per_second: self.config.bits_per_second,
            turnaround: self.config.turnaround,
        }
    }

    pub(super) fn room(&self) -> Room {
        let (units, octets) = self.engine.load();
        let (active, active_octets) = self.engine.active_load();
        let early = self.early.len();
        Room {
            units: ACTIVE_UNITS_MAX.saturating_sub(active + early).min(UNITS_MAX.saturating_sub(units + early)),
            octets: ACTIVE_OCTETS_MAX.saturating_sub(active_octets).min(OCTETS_MAX.saturating_sub(octets)),
        }
    }

    /// Whether PDUs may go: the records are back, and messages taken are on the disk.
    pub(super) fn may_send(&self) -> bool {
        self.restored && self.hold.is_none() && !self.is_silent()
    }

    pub(super) fn submit(&mut self, now: Now, unit: Unit) {
        if !self.restored {
            if self.early.len() < EARLY_UNITS_MAX {
                return self.early.push(unit);
            }
            let fault = TransportFault::Refused("the link has not started".to_owned());
            return self.fail_all(&unit, &fault);
        }
        let ticket = unit.ticket;
        let known = self.engine.knows(ticket.0);
        let Some(destinations) = self.destinations(&unit) else { return };
        self.open.insert(ticket, destinations.iter().map(|(node, _)| *node).collect());
        if unit.delivery == Delivery::Unconfirmed {
            self.unconfirmed.insert(ticket);
        }
        let outgoing = Outgoing {
            handle: ticket.0,
            message: unit.content.clone(),
            destinations,
            priority: unit.priority.p_mul(),
            expiry: unit.expiry,
            group: 0,
        };
        // The procedure takes its time, which what is urgent has not.
        let own_group = outgoing.destinations.len() > 1 && outgoing.priority > URGENT_PRIORITY_MAX;
        let taken = match own_group {
            true => self.engine.submit_to_own_group(now, outgoing),
            false => self.engine.submit(now, outgoing),
        };
        if let Err(fault) = taken {
            self.open.remove(&ticket);
            return self.fail_all(&unit, &fault_of(&fault));
        }
        self.drain();
        if !known {
            self.hold = self.storing.keys().next_back().copied();
        }
    }

    /// The destinations with their silence; `None` when all has been reported as failed.
    fn destinations(&mut self, unit: &Unit) -> Option<Vec<(NodeId, bool)>> {
        let mut destinations: Vec<(NodeId, bool)> = Vec::new();
        for site in &unit.to {
            match self.nodes.get(site).copied().filter(|_| unit.to.len() == 1 || self.in_group(site)) {
                Some(node) if destinations.iter().any(|(other, _)| *other == node) => {}
                Some(node) => {
                    let silent = unit.delivery == Delivery::Unconfirmed || self.silent.contains(&node);
                    destinations.push((node, silent));
                }
                None => {
                    let fault = TransportFault::UnknownSite(site.to_string());
                    self.event(TransportEvent::Failed { ticket: unit.ticket, to: site.clone(), fault });
                }
            }
        }
        (!destinations.is_empty()).then_some(destinations)
    }

    fn in_group(&self, site: &SiteName) -> bool {
        self.config.group.as_ref().is_some_and(|group| group.members.contains(site))
    }

    fn fail_all(&mut self, unit: &Unit, fault: &TransportFault) {
        for to in &unit.to {
            self.event(TransportEvent::Failed { ticket: unit.ticket, to: to.clone(), fault: fault.clone() });
        }
    }

    pub(super) fn raise(&mut self, now: Now, ticket: UnitTicket, priority: MtPriority) {
        if let Some(unit) = self.early.iter_mut().find(|unit| unit.ticket == ticket) {
            unit.priority = priority;
        }
        self.engine.raise(now, ticket.0, priority.p_mul());
        if priority.p_mul() <= URGENT_PRIORITY_MAX {
            self.engine.hurry(now, ticket.0);
        }
        self.drain();
    }

    pub(super) fn cancel(&mut self, now: Now, ticket: UnitTicket) -> Sent {
        if let Some(index) = self.early.iter().position(|unit| unit.ticket == ticket) {
            let unit = self.early.remove(index);
            self.fail_all(&unit, &TransportFault::Cancelled);
        }
        let octets = self.engine.cancel(now, ticket.0);
        self.drain();
        Sent { octets }
    }

    pub(super) const fn emission(&self) -> Emission {
        self.emission
    }

    pub(super) fn set_emission(&mut self, now: Now, emission: Emission) {
        self.emission = emission;
        self.tell_emission(now);
    }

    /// The node below may not transmit, or may again: the same for our timers as our own silence.
    pub(super) fn set_node_silent(&mut self, now: Now, silent: bool) {
        self.node_silent = silent;
        self.tell_emission(now);
    }

    fn is_silent(&self) -> bool {
        self.emission == Emission::Silent || self.node_silent
    }

    fn tell_emission(&mut self, now: Now) {
        let own = if self.is_silent() { event::Emission::Silent } else { event::Emission::Free };
        self.engine.set_own_emission(now, own);
        self.drain();
    }

    pub(super) fn set_silence(&mut self, now: Now, site: &SiteName, silent: bool) {
        let Some(&node) = self.nodes.get(site) else { return };
        if silent {
            self.silent.insert(node);
        } else {
            self.silent.remove(&node);
        }
        self.engine.set_silent(now, node, silent);
        self.drain();
    }

    pub(super) fn plan_silence(&mut self, site: &SiteName, until: Option<WallTime>) {
        if let Some(&node) = self.nodes.get(site) {
            self.engine.plan_silence(node, until);
        }
    }

    pub(super) fn accept(&mut self, now: Now, arrival: ArrivalId) {
        self.engine.accept(now, Arrival(arrival.0));
        self.drain();
    }

    pub(super) fn refuse(&mut self, now: Now, arrival: ArrivalId, retry: bool) {
        self.engine.refuse(now, Arrival(arrival.0), retry);
        self.drain();
    }

    /// All records of the link, once.
    pub(super) fn restore(&mut self, now: Now, rows: Vec<Row>) {
        if self.restored {
            return;
        }
        self.restored = true;
        self.engine.restore(now, rows.into_iter().map(|row| (row.key, row.value)));
        // What the plan says of a site holds, whatever was stored.
        for Site { id, silent, .. } in self.config.sites.clone() {
            let silent = silent || self.silent.contains(&id);
            self.engine.set_silent(now, id, silent);
        }
        if self.is_silent() {
            self.engine.set_own_emission(now, event::Emission::Silent);
        }
        self.drain();
        for unit in std::mem::take(&mut self.early) {
            self.submit(now, unit);
        }
    }

    pub(super) fn stored(&mut self, batch: u64) {
        self.storing.remove(&batch);
        if self.hold.is_some_and(|hold| self.storing.keys().all(|&waiting| waiting > hold)) {
            self.hold = None;
        }
    }

    pub(super) fn store_failed(&mut self, now: Now, batch: u64, why: &str) {
        if self.storing.contains_key(&batch) {
            self.failed.insert(batch);
            self.retry_at = Some(now.mono + STORE_RETRY_WAIT);
            self.notice(true, "store_failed", why.to_owned());
        }
    }

    pub(super) fn handle_wakeup(&mut self, now: Now) {
        if self.retry_at.take_if(|at| *at <= now.mono).is_some() {
            for batch in std::mem::take(&mut self.failed) {
                if let Some(records) = self.storing.get(&batch) {
                    self.outputs.push_back(TransportOutput::Store(batch, records.clone()));
                }
            }
        }
        self.engine.handle_wakeup(now);
        self.drain();
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        let retry = self.retry_at.map(|at| Wakeup { at, why: "store again" });
        Wakeup::earlier(retry, self.engine.next_wakeup())
    }

    pub(super) fn poll(&mut self) -> Option<TransportOutput> {
        self.outputs.pop_front()
    }

    pub(super) fn output(&mut self, output: TransportOutput) {
        self.outputs.push_back(output);
    }

    pub(super) fn event(&mut self, event: TransportEvent) {
        self.output(TransportOutput::Event(event));
    }

    pub(super) fn notice(&mut self, alarm: bool, name: &'static str, detail: String) {
        self.event(TransportEvent::Notice(Notice { alarm, name, detail }));
    }

    /// Says that the medium can be used, or why not; repeats are not said, another reason is.
    pub(super) fn set_up(&mut self, up: Result<(), String>) {
        if self.up.as_ref() == Some(&up) {
            return;
        }
        self.up = Some(up.clone());
        match up {
            Ok(()) => {
                self.event(TransportEvent::Profile(self.profile()));
                self.event(TransportEvent::Up);
            }
            Err(why) => self.event(TransportEvent::Down(why)),
        }
    }

    /// Takes what the engine yields: its writes as one batch, then its events.
    pub(super) fn drain(&mut self) {
        let writes: Records = std::iter::from_fn(|| self.engine.poll_write()).map(|w| (w.key, w.value)).collect();
        if !writes.is_empty() {
            let batch = self.next_batch;
            self.next_batch += 1;
            self.storing.insert(batch, writes.clone());
            self.output(TransportOutput::Store(batch, writes));
        }
        if self.engine.take_renewed() {
            self.hold = self.storing.keys().next_back().copied();
        }
        while let Some(event) = self.engine.poll_event() {
            self.take_event(event);
        }
        let full = self.room().units == 0 || self.room().octets == 0;
        if self.was_full && !full {
            self.event(TransportEvent::RoomChanged);
        }
        self.was_full = full;
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Delivered { handle, by } => self.delivered(UnitTicket(handle), by),
            Event::Failed { handle, to, why } => self.failed(UnitTicket(handle), to, why),
            Event::Progress(advance) => self.progress(advance),
            Event::Arrived { arrival, message, priority, confirmed, octets } => {
                self.arrived(arrival, message, priority, confirmed, octets);
            }
            Event::SilenceEnded(node) => {
                self.silent.remove(&node);
                let name = self.name(node);
                self.notice(false, "silence_ended", format!("{name} answers"));
                self.event(TransportEvent::SilenceEnded(name));
            }
            Event::Notice { alarm, name, detail } => self.notice(alarm, name, detail),
        }
    }

    fn name(&self, node: NodeId) -> SiteName {
        self.names.get(&node).cloned().unwrap_or_else(|| node.to_string().into())
    }

    /// Whether the fate of a ticket at a site is still to be told; it is not after this.
    fn close(&mut self, ticket: UnitTicket, node: NodeId) -> bool {
        let Some(open) = self.open.get_mut(&ticket) else {
            // From before a restart, not submitted again yet: told now, the gateway knows the ticket.
            return !self.unconfirmed.contains(&ticket);
        };
        let news = open.remove(&node);
        if open.is_empty() {
            self.open.remove(&ticket);
        }
        news
    }

    fn delivered(&mut self, ticket: UnitTicket, node: NodeId) {
        if self.close(ticket, node) {
            let by = self.name(node);
            self.event(TransportEvent::Delivered { ticket, by });
        }
    }

    fn failed(&mut self, ticket: UnitTicket, node: NodeId, why: Undelivered) {
        if self.close(ticket, node) {
            let fault = match why {
                Undelivered::Expired => TransportFault::Expired,
                Undelivered::Cancelled => TransportFault::Cancelled,
            };
            let to = self.name(node);
            self.event(TransportEvent::Failed { ticket, to, fault });
        }
        if !self.open.contains_key(&ticket) {
            self.unconfirmed.remove(&ticket);
        }
    }

    fn progress(&mut self, advance: Advance) {
        let ticket = UnitTicket(advance.handle);
        // Unconfirmed: all planned repeats have left, which counts as relayed.
        if advance.why == acp142::ALL_REPEATS_DONE && self.unconfirmed.contains(&ticket) {
            advance.waiting_for.iter().for_each(|&node| self.delivered(ticket, node));
        }
        let waiting_for = advance.waiting_for.iter().map(|&node| self.name(node)).collect();
        self.event(TransportEvent::Progress(Progress {
            ticket,
            octets_sent: advance.octets_sent,
            pdus_waiting: advance.pdus_waiting,
            waiting_for,
            why: advance.why.to_owned(),
        }));
    }

    fn arrived(&mut self, arrival: Arrival, message: MessageId, priority: u8, confirmed: bool, content: Bytes) {
        let key = [message.source.0.to_be_bytes(), message.number.to_be_bytes()].concat();
        self.event(TransportEvent::Arrived {
            arrival: ArrivalId(arrival.0),
            from: self.names.get(&message.source).cloned(),
            source: format!("P_MUL {}", message.source),
            priority: mt_priority(priority),
            confirmed,
            key,
            content,
        });
    }

    pub(super) fn over_limit(&self) -> Option<String> {
        // Of what is more urgent than Immediate the engine takes more than the room that is told.
        over(self.engine.held().into_iter().chain([("early units", self.early.len(), EARLY_UNITS_MAX)]))
    }

    pub(super) fn describe(&self) -> serde_json::Value {
        let (units, octets) = self.engine.load();
        let (active, _) = self.engine.active_load();
        let silent: Vec<String> = self.silent.iter().map(|&node| self.name(node).to_string()).collect();
        serde_json::json!({
            "carrier": "acp142",
            "id": self.engine.config().id.to_string(),
            "up": self.up == Some(Ok(())),
            "emission": self.emission,
            "node_silent": self.node_silent,
            "units": units,
            "units_active": active,
            "octets": octets,
            "silent_sites": silent,
            "groups_own": self.engine.group_load().0,
            "groups_joined": self.engine.group_load().1,
            "pdu_octets_max": self.engine.config().pdu_octets_max,
        })
    }
}

/// The MT-PRIORITY of a P_MUL priority: 6 − value; beyond the table the lowest.
pub(super) fn mt_priority(p_mul: u8) -> MtPriority {
    let lowest =
        MtPriority::try_from(-9).unwrap_or(skywave_protocols::message::precedence::Precedence::Deferred.mt_priority());
    i8::try_from(p_mul).ok().and_then(|p_mul| MtPriority::try_from(6 - p_mul).ok()).unwrap_or(lowest)
}

fn fault_of(fault: &Acp142Fault) -> TransportFault {
    match *fault {
        Acp142Fault::TooLarge { octets, limit } => TransportFault::TooLarge { octets, limit },
        Acp142Fault::Expired => TransportFault::Expired,
        Acp142Fault::Wire(_)
        | Acp142Fault::Cut { .. }
        | Acp142Fault::Checksum
        | Acp142Fault::Empty
        | Acp142Fault::Destinations(_)
        | Acp142Fault::Full(_) => TransportFault::Refused(fault.to_string()),
    }
}

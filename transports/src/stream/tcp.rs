//! The link for chat over TCP (XEP-0361): a stream of octets without any handshake but, if it is wanted, that of TLS.
//!
//! Either side opens, or one of them; a side that has none of its own sends on the connection of the other. When both
//! open at once both connections stay, and each side sends on the one that it opened; octets are taken from both. From
//! `Up` to `Down` all units go by one connection: whatever is said on the next one begins anew, and what had not left
//! has failed. `Delivered` means that octets have left, not that they arrived. Peers are known by where they connect
//! from, or by their certificate; who is not is closed on and counted. In EMCON nothing is opened, secured or written,
//! although the network answers for us what a connection that is open brings. Limits: see `limits.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Instant, Now, Wakeup};

use super::certificates::{proves, secure};
use super::config::TcpConfig;
use super::connection::{Connection, Counters, Held, State};
use super::early::Early;
use super::limits::{TCP_GOOD, TCP_PENDING_MAX, TCP_UNIT_OCTETS_MAX, UNITS_MAX};
use super::unanswered::Unanswered;
use crate::io::{PipeId, PipeInput, PipeOutput, TlsRole};
use crate::transport::{
    ArrivalId, Emission, Profile, Room, Sent, SiteName, Transport, TransportEvent, TransportFault, TransportInput,
    TransportOutput, Unit, UnitTicket, over,
};

/// A link for chat over TCP.
pub struct TcpLink {
    config: TcpConfig,
    random: Seeded,
    /// Connections that are wanted: the one we opened, the peer's, and those of peers still to be known.
    pipes: BTreeMap<PipeId, Connection>,
    pipes_opened: u64,
    /// The connection on which we send, from `Up` to `Down`.
    sending: Option<PipeId>,
    up_since: Instant,
    /// Whether something came by the connection we send on: a peer that is really there.
    heard: bool,
    /// Why it was last told to be down.
    down: String,
    tries: u32,
    retry_at: Option<Instant>,
    /// Before it, nobody knows whether we are to be silent.
    started: bool,
    wanted: bool,
    emission: Emission,
    silent: bool,
    units: VecDeque<Held>,
    early: Early,
    /// Writes on the connection that is sent on.
    writes: u64,
    written_at: Instant,
    arrivals: u64,
    unanswered: Unanswered,
    counters: Counters,
    outputs: VecDeque<TransportOutput>,
    had_no_room: bool,
}

impl TcpLink {
    /// A link that begins when its records are restored, of which it has none. `random` spreads the tries.
    pub fn new(config: TcpConfig, random: Seeded) -> Self {
        Self {
            config,
            random,
            pipes: BTreeMap::new(),
            pipes_opened: 0,
            sending: None,
            up_since: Instant::ZERO,
            heard: false,
            down: String::new(),
            tries: 0,
            retry_at: None,
            started: false,
            wanted: false,
            emission: Emission::Free,
            silent: false,
            units: VecDeque::new(),
            early: Early::default(),
            writes: 0,
            written_at: Instant::ZERO,
            arrivals: 0,
            unanswered: Unanswered::default(),
            counters: Counters::default(),
            outputs: VecDeque::new(),
            had_no_room: true,
        }
    }

    fn tell(&mut self, event: TransportEvent) {
        self.outputs.push_back(TransportOutput::Event(event));
    }

    fn ask(&mut self, pipe: PipeId, output: PipeOutput) {
        self.outputs.push_back(TransportOutput::Pipe(pipe, output));
    }

    fn site(&self) -> SiteName {
        self.config.site.clone()
    }

    fn may_speak(&self) -> bool {
        self.emission == Emission::Free && !self.silent
    }

    fn of(&self, opened_by_us: bool) -> Option<(PipeId, &Connection)> {
        let ours = self.pipes.iter().find(|(_, connection)| {
            connection.opened_by_us == opened_by_us && (opened_by_us || connection.state == State::Open)
        });
        ours.map(|(&pipe, connection)| (pipe, connection))
    }

    /// Opens a connection where one is to be opened, takes the one to send on, writes what waits.
    fn settle(&mut self, now: Now) {
        self.expire(now);
        if self.emission == Emission::Free {
            let unanswered = |(pipe, one): (&PipeId, &Connection)| (one.state == State::Unanswered).then_some(*pipe);
            for pipe in self.pipes.iter().filter_map(unanswered).collect::<Vec<_>>() {
                self.secure(now, pipe);
            }
        }
        let due = self.retry_at.is_none_or(|at| at <= now.mono);
        if due && self.is_to_open() {
            self.open();
        }
        self.choose(now);
        self.write(now);
        let has_room = self.room().units > 0;
        if has_room && std::mem::take(&mut self.had_no_room) {
            self.tell(TransportEvent::RoomChanged);
        }
        self.had_no_room |= !has_room;
    }

    /// Whether a connection is to be opened, at once or later.
    fn is_to_open(&self) -> bool {
        let wanted = self.started && (self.config.permanent || self.wanted);
        let connects = self.config.opener.connects() && self.config.target.is_some();
        self.pipes.is_empty() && wanted && connects && self.may_speak()
    }

    fn open(&mut self) {
        let Some(target) = self.config.target.clone() else { return };
        self.retry_at = None;
        self.pipes_opened += 1;
        let pipe = PipeId(self.pipes_opened);
        let connection = Connection { opened_by_us: true, peer: target.clone(), state: State::Opening };
        self.pipes.insert(pipe, connection);
        self.ask(pipe, PipeOutput::Open { target, dscp: self.config.dscp });
    }

    /// The connection to send on: our own, or the peer's if we have none and are not about to.
    //= xmpp/X2X-005
    fn choose(&mut self, now: Now) {
        if self.sending.is_some() {
            return;
        }
        let chosen = match self.of(true) {
            Some((pipe, connection)) => (connection.state == State::Open).then_some(pipe),
            None => self.of(false).map(|(pipe, _)| pipe),
        };
        if let Some(pipe) = chosen {
            self.sending = Some(pipe);
            self.writes = 0;
            (self.up_since, self.written_at, self.heard) = (now.mono, now.mono, false);
            self.down.clear();
            self.tell(TransportEvent::Up);
            self.take_early();
        }
    }

    /// What the peer said before we had a connection to send on belongs to the stream that begins now.
    fn take_early(&mut self) {
        let (read, held_back) = self.early.take();
        read.into_iter().for_each(|(pipe, content)| self.read(pipe, content));
        if let Some(pipe) = held_back.filter(|pipe| self.pipes.contains_key(pipe) && !self.unanswered.is_paused()) {
            self.ask(pipe, PipeOutput::Resume);
        }
    }

    /// Somebody connected.
    //= xmpp/X2X-006
    fn accepted(&mut self, now: Now, pipe: PipeId, peer: SocketAddr) {
        let from = &self.config.accept_from;
        let known = from.is_empty() || from.iter().any(|from| from.takes(peer));
        let pending = self.pipes.values().filter(|one| !one.opened_by_us && one.state != State::Open).count();
        if !known || !self.config.opener.listens() || pending >= TCP_PENDING_MAX {
            let why = if known { "no more connections are taken" } else { "no peer of this link" };
            self.refuse_pipe(pipe, &format!("{peer}: {why}"));
            return;
        }
        self.counters.accepted += 1;
        let state = State::Unanswered;
        self.pipes.insert(pipe, Connection { opened_by_us: false, peer: peer.to_string(), state });
        self.ask(pipe, PipeOutput::TellDrained);
        if self.config.tls.is_none() {
            self.begin(now, pipe);
        }
        self.settle(now);
    }

    fn refuse_pipe(&mut self, pipe: PipeId, why: &str) {
        self.counters.refused += 1;
        self.pipes.remove(&pipe);
        self.ask(pipe, PipeOutput::Close);
        // A flood of strangers is counted: the first of each power of two is told.
        if self.counters.refused.is_power_of_two() {
            self.tell(TransportEvent::notice("stream_refused", why.to_owned()));
        }
    }

    /// A connection is there: TLS follows, or the stream.
    fn secure(&mut self, now: Now, pipe: PipeId) {
        let Some(connection) = self.pipes.get_mut(&pipe) else { return };
        let role = if connection.opened_by_us { TlsRole::Client } else { TlsRole::Server };
        match &self.config.tls {
            Some(tls) => {
                connection.state = State::Securing;
                let secure = secure(tls, role);
                self.ask(pipe, PipeOutput::Secure(secure));
            }
            None => self.begin(now, pipe),
        }
    }

    fn secured(&mut self, now: Now, pipe: PipeId, names: &[String]) {
        let Some(connection) = self.pipes.get(&pipe).filter(|one| one.state == State::Securing) else { return };
        let Some(tls) = &self.config.tls else { return };
        // A server that asks for no certificate knows the peer by his address.
        let asked = connection.opened_by_us || tls.mutual;
        let fits = |wanted: &String| names.iter().any(|name| proves(name, wanted));
        if asked && !tls.peer_names.is_empty() && !tls.peer_names.iter().any(fits) {
            let why = format!("{}: the certificate names {}", connection.peer, names.join(", "));
            let ours = connection.opened_by_us;
            self.refuse_pipe(pipe, &why);
            if ours {
                self.failed(now, &why);
            }
            return self.settle(now);
        }
        self.begin(now, pipe);
    }

    /// The stream begins on a connection. A second one of the peer takes the place of the first, which he must have
    /// lost.
    fn begin(&mut self, now: Now, pipe: PipeId) {
        let before = self.of(false).map(|(pipe, _)| pipe);
        let Some(connection) = self.pipes.get_mut(&pipe) else { return };
        connection.state = State::Open;
        let ours = connection.opened_by_us;
        // What the network holds counts as sent: a stanza that comes later could not overtake it.
        self.ask(pipe, PipeOutput::LimitSending(self.config.network_octets()));
        if self.unanswered.is_paused() {
            self.ask(pipe, PipeOutput::Pause);
        }
        if let Some(old) = before.filter(|_| !ours) {
            // Who lost one begins with both anew: half a stanza read from the old one has no end on the new one.
            for gone in [Some(old), self.sending].into_iter().flatten() {
                if self.pipes.remove(&gone).is_some() {
                    self.ask(gone, PipeOutput::Close);
                }
            }
            self.early.forget(old);
            if self.sending.is_some() {
                self.end(now, "the peer connected anew", false);
            }
        }
        self.choose(now);
        if self.sending.is_none() {
            self.early.hold_back(pipe);
            self.ask(pipe, PipeOutput::Pause);
        }
    }

    /// What was sent on is gone: units that have not left fail. All else is closed as well if the streams on it were
    /// of the same session.
    fn end(&mut self, now: Now, why: &str, close_all: bool) {
        self.sending = None;
        if self.heard || self.up_since + TCP_GOOD <= now.mono {
            self.tries = 0;
        }
        if close_all {
            for (pipe, _) in std::mem::take(&mut self.pipes) {
                self.ask(pipe, PipeOutput::Close);
            }
        }
        for held in std::mem::take(&mut self.units) {
            let fault = TransportFault::Lost(why.to_owned());
            self.tell(TransportEvent::Failed { ticket: held.unit.ticket, to: self.site(), fault });
        }
        why.clone_into(&mut self.down);
        self.tell(TransportEvent::Down(why.to_owned()));
    }

    /// A try to connect has failed, or what it had brought is over.
    fn failed(&mut self, now: Now, why: &str) {
        self.retry_at = Some(now.mono + self.config.back_off.wait(self.tries, &mut self.random));
        self.tries = self.tries.saturating_add(1);
        if self.sending.is_none() && self.down != why {
            why.clone_into(&mut self.down);
            self.tell(TransportEvent::Down(why.to_owned()));
        }
    }

    fn closed(&mut self, now: Now, pipe: PipeId, why: &str) {
        let Some(connection) = self.pipes.remove(&pipe) else { return };
        let why = format!("{}: {why}", connection.peer);
        self.early.forget(pipe);
        // What is sent on the one and what is read from the other is one session: both begin anew.
        if self.sending == Some(pipe) || self.sending.is_some() && connection.state == State::Open {
            self.counters.lost += 1;
            self.end(now, &why, true);
            self.failed(now, &why);
        } else if connection.opened_by_us {
            // The peer's may do instead.
            self.choose(now);
            self.failed(now, &why);
        }
        self.settle(now);
    }

    fn read(&mut self, pipe: PipeId, content: Bytes) {
        let Some(connection) = self.pipes.get(&pipe).filter(|one| one.state == State::Open) else { return };
        let source = connection.peer.clone();
        if self.sending.is_none() {
            if !self.early.keep(pipe, content) {
                self.refuse_pipe(pipe, &format!("{source}: says more than it is asked to"));
            }
            return;
        }
        self.heard |= self.sending.is_some();
        self.counters.octets_arrived += content.len() as u64;
        self.arrivals += 1;
        let pauses = self.unanswered.arrived(self.arrivals, content.len());
        self.tell(TransportEvent::Arrived {
            arrival: ArrivalId(self.arrivals),
            from: Some(self.site()),
            source,
            // A stream does not say how urgent its octets are; stanzas do.
            priority: Precedence::Routine.mt_priority(),
            confirmed: false,
            key: Vec::new(),
            content,
        });
        if pauses {
            self.ask_all(&PipeOutput::Pause);
        }
    }

    fn ask_all(&mut self, output: &PipeOutput) {
        let open = self.pipes.iter().filter(|(_, one)| one.state == State::Open);
        let pipes: Vec<PipeId> = open.map(|(&pipe, _)| pipe).collect();
        pipes.into_iter().for_each(|pipe| self.ask(pipe, output.clone()));
    }

    fn answered(&mut self, arrival: ArrivalId) {
        if self.unanswered.done(arrival.0) {
            self.ask_all(&PipeOutput::Resume);
        }
    }

    fn drained(&mut self, now: Now, pipe: PipeId, writes: u64) {
        if self.sending != Some(pipe) {
            return;
        }
        while self.units.front().is_some_and(|held| held.written.is_some_and(|write| write <= writes)) {
            if let Some(held) = self.units.pop_front() {
                self.tell(TransportEvent::Delivered { ticket: held.unit.ticket, by: self.site() });
            }
        }
        self.settle(now);
    }

    /// Writes what was held while we were silent, and the white space that is due.
    fn write(&mut self, now: Now) {
        let Some(pipe) = self.sending.filter(|_| self.may_speak()) else { return };
        let mut writes = Vec::new();
        for held in self.units.iter_mut().filter(|held| held.written.is_none()) {
            self.writes += 1;
            held.written = Some(self.writes);
            writes.push(held.unit.content.clone());
        }
        if writes.is_empty() && self.next_white_space().is_some_and(|at| at <= now.mono) {
            self.writes += 1;
            writes.push(Bytes::from_static(b" "));
        }
        for octets in writes {
            self.written_at = now.mono;
            self.counters.octets_sent += octets.len() as u64;
            self.ask(pipe, PipeOutput::Write(octets));
        }
    }

    fn next_white_space(&self) -> Option<Instant> {
        let span = self.config.white_space.filter(|_| self.sending.is_some() && self.may_speak())?;
        Some(self.written_at + span)
    }

    /// What was held for too long is not written any more.
    fn expire(&mut self, now: Now) {
        let late = |held: &Held| held.written.is_none() && held.expires <= now.mono;
        let (expired, kept) = std::mem::take(&mut self.units).into_iter().partition::<VecDeque<_>, _>(late);
        self.units = kept;
        for held in expired {
            let fault = TransportFault::Expired;
            self.tell(TransportEvent::Failed { ticket: held.unit.ticket, to: self.site(), fault });
        }
    }
}

impl Transport for TcpLink {
    fn profile(&self) -> Profile {
        Profile {
            ordered: true,
            reliable: true,
            boundaries: false,
            fan_out: false,
            unit_octets_max: TCP_UNIT_OCTETS_MAX,
            bits_per_second: self.config.bits_per_second,
            turnaround: self.config.turnaround,
        }
    }

    fn room(&self) -> Room {
        if self.sending.is_none() || !self.may_speak() {
            return Room { units: 0, octets: 0 };
        }
        let held: usize = self.units.iter().map(|held| held.unit.content.len()).sum();
        let octets = self.config.buffer_octets.saturating_sub(held);
        let units = if octets == 0 { 0 } else { UNITS_MAX.saturating_sub(self.units.len()) };
        Room { units, octets }
    }

    fn over_limit(&self) -> Option<String> {
        over([("units", self.units.len(), UNITS_MAX), ("connections", self.pipes.len(), TCP_PENDING_MAX + 2)])
    }

    fn submit(&mut self, now: Now, unit: Unit) {
        let (octets, limit) = (unit.content.len(), TCP_UNIT_OCTETS_MAX);
        for to in unit.to.iter().filter(|to| **to != self.config.site) {
            let fault = TransportFault::UnknownSite(to.to_string());
            let event = TransportEvent::Failed { ticket: unit.ticket, to: to.clone(), fault };
            self.outputs.push_back(TransportOutput::Event(event));
        }
        if !unit.to.contains(&self.config.site) {
            return;
        }
        let fault = if octets > limit {
            Some(TransportFault::TooLarge { octets, limit })
        } else if self.sending.is_none() {
            // The stream it was made for is over.
            Some(TransportFault::Lost(self.down.clone()))
        } else if self.units.len() >= UNITS_MAX {
            Some(TransportFault::Refused(format!("{UNITS_MAX} units wait already")))
        } else {
            None
        };
        match fault {
            Some(fault) => self.tell(TransportEvent::Failed { ticket: unit.ticket, to: self.site(), fault }),
            None => {
                let expires = now.mono + unit.expiry.since(now.wall);
                self.units.push_back(Held { unit, expires, written: None });
            }
        }
        self.settle(now);
    }

    // Octets leave in the order in which they were made.
    fn raise(&mut self, _now: Now, _ticket: UnitTicket, _priority: MtPriority) {}

    fn cancel(&mut self, now: Now, ticket: UnitTicket) -> Sent {
        let Some(at) = self.units.iter().position(|held| held.unit.ticket == ticket) else { return Sent::default() };
        let Some(held) = self.units.remove(at) else { return Sent::default() };
        self.tell(TransportEvent::Failed { ticket, to: self.site(), fault: TransportFault::Cancelled });
        self.settle(now);
        Sent { octets: if held.written.is_some() { held.unit.content.len() as u64 } else { 0 } }
    }

    fn set_emission(&mut self, now: Now, emission: Emission) {
        self.emission = emission;
        if emission == Emission::Silent {
            // A connection that is being opened goes on knocking; one that is open is left alone.
            let opening = |one: &Connection| matches!(one.state, State::Opening | State::Securing);
            let all: Vec<PipeId> = self.pipes.iter().filter(|(_, one)| opening(one)).map(|(&pipe, _)| pipe).collect();
            for pipe in all {
                self.pipes.remove(&pipe);
                self.ask(pipe, PipeOutput::Close);
            }
        }
        self.settle(now);
    }

    fn set_silence(&mut self, now: Now, site: &SiteName, silent: bool) {
        if *site == self.config.site {
            self.silent = silent;
        }
        self.settle(now);
    }

    fn set_wanted(&mut self, now: Now, wanted: bool) {
        self.wanted = wanted;
        self.settle(now);
    }

    fn reset(&mut self, now: Now) {
        if self.sending.is_some() {
            self.end(now, "the stream begins anew", true);
            self.failed(now, "the stream begins anew");
        }
        self.settle(now);
    }

    // TCP has confirmed already: there is nothing left to be said to the peer.
    fn accept(&mut self, _now: Now, arrival: ArrivalId) {
        self.answered(arrival);
    }

    fn refuse(&mut self, _now: Now, arrival: ArrivalId, _retry: bool) {
        self.answered(arrival);
    }

    fn handle(&mut self, now: Now, input: TransportInput) {
        match input {
            TransportInput::Restored(_) => self.started = true,
            TransportInput::Accepted(pipe, peer) => return self.accepted(now, pipe, peer),
            TransportInput::Pipe(pipe, input) => return self.handle_pipe(now, pipe, input),
            // It binds no socket and stores nothing: what has not left is still the gateway's.
            TransportInput::Socket(..) | TransportInput::Stored(_) | TransportInput::StoreFailed(..) => {}
        }
        self.settle(now);
    }

    fn handle_wakeup(&mut self, now: Now) {
        self.settle(now);
    }

    fn poll(&mut self) -> Option<TransportOutput> {
        self.outputs.pop_front()
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        let again = self.retry_at.filter(|_| self.is_to_open());
        let expiry = self.units.iter().filter(|held| held.written.is_none()).map(|held| held.expires).min();
        [
            again.map(|at| Wakeup { at, why: "connect again" }),
            expiry.map(|at| Wakeup { at, why: "unit expires" }),
            self.next_white_space().map(|at| Wakeup { at, why: "white space" }),
        ]
        .into_iter()
        .fold(None, Wakeup::earlier)
    }

    fn describe(&self) -> serde_json::Value {
        let connection = |(pipe, one): (&PipeId, &Connection)| {
            serde_json::json!({
                "peer": one.peer,
                "opened_by_us": one.opened_by_us,
                "state": one.state,
                "sends": self.sending == Some(*pipe),
            })
        };
        serde_json::json!({
            "service": "tcp",
            "opener": self.config.opener,
            "tls": self.config.tls.is_some(),
            "emission": self.emission,
            "connections": self.pipes.iter().map(connection).collect::<Vec<_>>(),
            "tries": self.tries,
            "units": self.units.len(),
            "counters": self.counters,
        })
    }
}

impl TcpLink {
    fn handle_pipe(&mut self, now: Now, pipe: PipeId, input: PipeInput) {
        match input {
            PipeInput::Opened => {
                if self.pipes.get(&pipe).is_some_and(|one| one.state == State::Opening) {
                    self.counters.opened += 1;
                    self.secure(now, pipe);
                }
            }
            PipeInput::Refused(why) | PipeInput::SecureFailed(why) => return self.closed(now, pipe, &why),
            PipeInput::Closed(why) => {
                return self.closed(now, pipe, why.as_deref().unwrap_or("closed by the peer"));
            }
            PipeInput::Read(content) => self.read(pipe, content),
            PipeInput::Drained(writes) => return self.drained(now, pipe, writes),
            PipeInput::Secured(secured) => return self.secured(now, pipe, &secured.peer_names),
        }
        self.settle(now);
    }
}

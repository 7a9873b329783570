//! The door to the local servers: one machine for all connections of a site, between servers and as component.
//!
//! A stanza given to [`Door::deliver`] finds its way by its two domains: through a component, on a stream that is there, on
//! one that is made for it. Promises: each stanza given ends with `HandedOver`, `Returned` or `Refused`; what is for one
//! pair of domains goes out in the order given, and when a stream breaks all that was given for its pairs and not confirmed
//! comes back, in that order; nothing is written that would cost a stream: a sender that we do not front, a recipient that
//! no server is known for, more octets than the server takes. A stanza that arrives counts towards the server only when it
//! is [`Door::taken`]. Components are connected for good; streams between servers when there is something to say.
//! Limits: [`limits`].

mod accepting;
mod arrivals;
mod components;
pub mod config;
mod conn;
pub mod event;
pub mod limits;
mod outgoing;
mod outlet;
mod questions;
pub mod schedule;
mod streams;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

pub use self::config::{ComponentConfig, DoorConfig, DoorTimes, LocalServer, ServerAuth, ServerRoute};
use self::conn::Conn;
pub use self::event::{
    ConnId, ConnInput, DoorEvent, DoorLookup, DoorOutput, DoorSecure, DoorView, Found, FoundHost, StreamView,
    WaitingView,
};
use self::limits::{OUTLETS_MAX, VERIFICATIONS_MAX, WAITING_OCTETS_IN_ALL_MAX};
use self::outlet::{Outlet, Place, Waiting};
use self::questions::Asking;
use self::schedule::Schedule;
use super::limits::LAN_STANZA_OCTETS_MAX;
use super::stanza::Stanza;
use super::stream::end::StreamEnd;
use super::stream::{Pair, Question};
use super::writer::Scope;
use crate::message::domain::covers;
use crate::random::Random;
use crate::time::{Duration, Instant, Now, Wakeup};

/// The timers of the door.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The components are to be connected for the first time.
    Start,
    /// A stream must be usable.
    SetUp(ConnId),
    /// An element that began must end.
    Element(ConnId),
    /// What was written must leave.
    Write(ConnId),
    /// An answer to `<r/>` is awaited.
    Confirmation(ConnId),
    /// Nothing was written for long.
    KeepAlive(ConnId),
    /// A stream that nobody wants may close.
    Unwanted(ConnId),
    /// Our key for a pair must be judged.
    Judgement(ConnId, Pair),
    /// A pair may be tried again.
    BackOff(Pair),
    /// A component may be tried again.
    Component(usize),
    /// A key must be judged.
    Question(Question),
}

impl Timer {
    const fn why(&self) -> &'static str {
        match self {
            Self::Start => "connect components",
            Self::SetUp(_) => "stream not usable",
            Self::Element(_) => "stanza unfinished",
            Self::Write(_) => "server does not read",
            Self::Confirmation(_) => "confirmation missing",
            Self::KeepAlive(_) => "stream quiet",
            Self::Unwanted(_) => "stream unused",
            Self::Judgement(..) => "our key not judged",
            Self::BackOff(_) => "try server again",
            Self::Component(_) => "try component again",
            Self::Question(_) => "key not judged",
        }
    }
}

/// One component and its connection.
#[derive(Debug, Default)]
struct ComponentState {
    conn: Option<ConnId>,
    failures: u32,
    up_since: Option<Instant>,
}

/// The door. See the module.
pub struct Door {
    config: Arc<DoorConfig>,
    random: Box<dyn Random>,
    conns: BTreeMap<ConnId, Conn>,
    components: Vec<ComponentState>,
    outlets: BTreeMap<Pair, Outlet>,
    waiting_octets: usize,
    questions: BTreeMap<Question, Asking>,
    lookups: BTreeMap<u64, outgoing::LookingUp>,
    /// Which connection a stanza arrived on.
    arrivals: BTreeMap<u64, ConnId>,
    timers: Schedule<Timer>,
    /// Connections and pairs at which something may be done.
    stirred: VecDeque<ConnId>,
    ripe: VecDeque<Pair>,
    outputs: VecDeque<DoorOutput>,
    next_conn: u64,
    next_number: u64,
    /// Connections that were turned away or gave way.
    turned_away: u64,
    stopping: bool,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("conns", &self.conns.len())
            .field("outlets", &self.outlets.len())
            .finish_non_exhaustive()
    }
}

impl Door {
    /// What it holds: of what, how much, and how much at most.
    pub fn held(&self) -> [(&'static str, usize, usize); 3] {
        [
            ("pairs of domains", self.outlets.len(), OUTLETS_MAX),
            ("octets for local servers", self.waiting_octets, WAITING_OCTETS_IN_ALL_MAX),
            ("keys in question", self.questions.len(), VERIFICATIONS_MAX),
        ]
    }

    /// A door that connects its components at the first wakeup. `random` makes stream ids and spreads tries.
    pub fn new(config: DoorConfig, random: Box<dyn Random>) -> Self {
        let mut timers = Schedule::new();
        timers.set(Timer::Start, Instant::ZERO);
        Self {
            components: config.components.iter().map(|_| ComponentState::default()).collect(),
            config: Arc::new(config),
            random,
            conns: BTreeMap::new(),
            outlets: BTreeMap::new(),
            waiting_octets: 0,
            questions: BTreeMap::new(),
            lookups: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            timers,
            stirred: VecDeque::new(),
            ripe: VecDeque::new(),
            outputs: VecDeque::new(),
            next_conn: 0,
            next_number: 0,
            turned_away: 0,
            stopping: false,
        }
    }

    /// Whether some local server is configured for a domain.
    pub fn serves(&self, domain: &str) -> bool {
        let covers = |pattern: &String| covers(pattern, domain);
        self.config.server_of(domain).is_some()
            || self.config.components.iter().any(|component| component.locals.iter().any(covers))
    }

    /// A server connected; `direct_tls` if to a listener on which TLS comes first.
    pub fn accepted(&mut self, now: Now, conn: ConnId, direct_tls: bool, peer: SocketAddr) {
        self.accept(now, conn, direct_tls, peer);
        self.run(now);
    }

    /// Of a connection.
    pub fn handle(&mut self, now: Now, conn: ConnId, input: ConnInput) {
        let Some(it) = self.conns.get_mut(&conn) else { return };
        match input {
            ConnInput::Opened => it.stream.opened(),
            ConnInput::Read(octets) => it.stream.read(&octets),
            ConnInput::Drained(writes) => self.drained(conn, writes),
            ConnInput::Secured { peer_names, .. } => {
                if let Some(stream) = it.stream.server() {
                    stream.secured(peer_names);
                }
            }
            ConnInput::Refused(why) => Self::gone(it, StreamEnd::Connection(why)),
            ConnInput::Closed(why) => {
                let why = why.unwrap_or_else(|| "the server closed the connection".to_owned());
                Self::gone(it, StreamEnd::Connection(why));
            }
            ConnInput::SecureFailed(why) => Self::gone(it, StreamEnd::TlsFailed(why)),
        }
        self.stirred.push_back(conn);
        self.run(now);
    }

    /// A name was looked up.
    pub fn resolved(&mut self, now: Now, number: u64, found: Found) {
        self.looked_up(now, number, found);
        self.run(now);
    }

    /// A stanza for a local server. Ends with `HandedOver`, `Returned` or `Refused`.
    pub fn deliver(&mut self, now: Now, token: u64, stanza: Stanza) {
        self.dispatch(now, Some(token), &stanza);
        self.run(now);
    }

    /// The gateway has taken responsibility for a stanza that arrived, or has dropped it.
    pub fn taken(&mut self, now: Now, arrival: u64) {
        self.take(arrival);
        self.run(now);
    }

    /// Ends all streams in good order and connects no more.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in all {
            self.end(conn, StreamEnd::Stopping);
        }
        self.run(now);
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now) {
        while let Some(timer) = self.timers.pop_expired(now.mono) {
            match timer {
                Timer::Start => self.start_components(now),
                Timer::SetUp(conn) => self.end(conn, StreamEnd::TooSlow("the set-up of the stream")),
                Timer::Element(conn) => self.end(conn, StreamEnd::TooSlow("the end of an element")),
                Timer::Write(conn) => self.end(conn, StreamEnd::TooSlow("reading what we wrote")),
                Timer::Confirmation(conn) => self.unconfirmed(conn),
                Timer::KeepAlive(conn) => self.keep_alive(conn),
                Timer::Unwanted(conn) => self.close_unwanted(conn),
                Timer::Judgement(conn, pair) => self.not_judged(conn, &pair),
                Timer::BackOff(pair) => self.back_off_over(pair),
                Timer::Component(index) => self.open_component(now, index),
                Timer::Question(question) => self.question_lapsed(&question),
            }
        }
        self.run(now);
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        self.timers.next().map(|(timer, at)| Wakeup { at, why: timer.why() })
    }

    /// What it asks for and tells.
    pub fn poll(&mut self) -> Option<DoorOutput> {
        self.outputs.pop_front()
    }

    /// What an operator is shown.
    pub fn describe(&self) -> DoorView {
        let name = |index: usize| self.config.components.get(index).map_or_else(String::new, |it| it.name.clone());
        let streams = self.conns.iter().map(|(id, conn)| conn.view(id.0, &name)).collect();
        let waits = |(_, outlet): &(&Pair, &Outlet)| !outlet.waiting.is_empty();
        let waiting = self.outlets.iter().filter(waits).map(|(pair, outlet)| WaitingView {
            ours: pair.ours.clone(),
            theirs: pair.theirs.clone(),
            stanzas: outlet.waiting.len(),
            octets: outlet.octets,
            what_for: match outlet.place {
                Place::LookUp => "look-up",
                Place::Opening(_) => "connection",
                Place::Attached(_) => "stream",
                Place::Idle | Place::BackOff | Place::Component => "back-off",
            },
            failures: outlet.failures,
        });
        DoorView { streams, waiting: waiting.collect() }
    }

    /// Does what can be done until nothing more can.
    fn run(&mut self, now: Now) {
        loop {
            if let Some(conn) = self.stirred.pop_front() {
                self.settle(now, conn);
            } else if let Some(pair) = self.ripe.pop_front() {
                self.push_on(now, &pair);
            } else {
                return;
            }
        }
    }

    /// Checks a stanza and lets it wait at its outlet.
    //= xmpp/STANZA-003
    fn dispatch(&mut self, now: Now, token: Option<u64>, stanza: &Stanza) {
        let ours = stanza.from().domain().as_str().to_owned();
        let theirs = stanza.to().domain().as_str().to_owned();
        let pair = Pair { ours, theirs };
        if !self.config.fronts(&pair.ours) {
            return self.refuse(token, "internal-server-error", format!("{} is not fronted here", pair.ours));
        }
        let component = self.config.component_for(&pair.ours, &pair.theirs).is_some();
        if !component && (self.config.server_of(&pair.theirs).is_none() || self.config.fronts(&pair.theirs)) {
            return self.refuse(token, "remote-server-not-found", format!("no server is known for {}", pair.theirs));
        }
        let scope = if component { Scope::COMPONENT } else { Scope::SERVER };
        let octets = stanza.octets_for(scope);
        if octets.len() > LAN_STANZA_OCTETS_MAX {
            return self.refuse(
                token,
                "policy-violation",
                format!("{} octets are too many for a server", octets.len()),
            );
        }
        if !self.outlets.contains_key(&pair) && self.outlets.len() >= OUTLETS_MAX
            || self.waiting_octets + octets.len() > WAITING_OCTETS_IN_ALL_MAX
            || self.stopping
        {
            return self.give_back(token, "the door takes no more now");
        }
        self.wait(now, pair, component, Waiting { token, octets: Bytes::from(octets) });
    }

    fn wait(&mut self, _now: Now, pair: Pair, component: bool, waiting: Waiting) {
        let (token, octets) = (waiting.token, waiting.octets.len());
        let place = if component { Place::Component } else { Place::Idle };
        let outlet = self.outlets.entry(pair.clone()).or_insert_with(|| Outlet::new(place));
        if outlet.push(waiting) {
            self.waiting_octets += octets;
            self.ripe.push_back(pair);
        } else {
            self.give_back(token, "too much waits for this server");
        }
    }

    fn refuse(&mut self, token: Option<u64>, condition: &'static str, why: String) {
        if let Some(token) = token {
            self.tell(DoorEvent::Refused { token, condition, why });
        }
    }

    fn give_back(&mut self, token: Option<u64>, why: &str) {
        if let Some(token) = token {
            self.tell(DoorEvent::Returned { token, why: why.to_owned() });
        }
    }

    fn tell(&mut self, event: DoorEvent) {
        self.outputs.push_back(DoorOutput::Event(event));
    }

    fn notice(&mut self, name: &'static str, alarm: bool, detail: String) {
        self.tell(DoorEvent::Notice { name, alarm, detail });
    }

    /// The wait after a number of failures: doubling, with up to a quarter less so that sites spread.
    fn back_off(&mut self, failures: u32) -> Duration {
        let times = self.config.times;
        let wait = times.back_off_first.saturating_mul(1 << failures.min(20)).min(times.back_off_longest);
        let spread = u64::try_from(wait.as_micros() / 4).unwrap_or(u64::MAX);
        wait - Duration::from_micros(self.random.below(spread))
    }

    fn new_conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.random.fill(&mut seed);
        seed
    }

    fn gone(conn: &mut Conn, why: StreamEnd) {
        conn.gone = true;
        conn.stream.lost(why);
    }

    /// Ends a stream from our side.
    fn end(&mut self, conn: ConnId, why: StreamEnd) {
        if let Some(it) = self.conns.get_mut(&conn) {
            it.stream.end(why);
            self.stirred.push_back(conn);
        }
    }
}

#[cfg(test)]
mod tests;

//! Streams that we open: finding the server, trying its places one after another, waiting after a failure.

use std::collections::VecDeque;

use super::config::{LocalServer, ServerRoute};
use super::conn::{Conn, Stream};
use super::event::{ConnId, DoorEvent, DoorLookup, DoorOutput, Found, FoundHost};
use super::limits::{STREAM_GOOD, TARGETS_MAX};
use super::outlet::{Place, Target};
use super::{Door, Timer};
use crate::time::Now;
use crate::xmpp::dialback::Verdict;
use crate::xmpp::stream::end::StreamEnd;
use crate::xmpp::stream::{Pair, Role, S2s};

/// The port of servers that say nothing else.
const PORT: u16 = 5269;

/// A look-up under way: first services with TLS from the first octet, then those with STARTTLS.
#[derive(Debug)]
pub(super) struct LookingUp {
    pair: Pair,
    direct_tls: bool,
    /// What the first look-up found.
    found: Vec<(FoundHost, bool)>,
    /// Why the first look-up got no answer.
    failed: Option<String>,
    /// Whether the service is expressly not offered.
    refused: bool,
}

impl Door {
    /// Does what can be done for a pair: writes, opens, or waits on.
    pub(super) fn push_on(&mut self, now: Now, pair: &Pair) {
        let Some(outlet) = self.outlets.get(pair) else { return };
        match outlet.place.clone() {
            Place::Attached(id) => {
                self.send_waiting(now, pair, id);
                self.hand_questions(now, pair, id);
            }
            Place::Opening(id) => self.hand_questions(now, pair, id),
            Place::Component => {
                if let Some(id) = self.component_conn(pair) {
                    self.attach(now, pair, id);
                }
            }
            Place::Idle if outlet.is_wanted() => self.connect(now, pair),
            Place::Idle => {
                // What is not wanted and never failed need not be remembered.
                if outlet.failures == 0 && !outlet.alone {
                    self.outlets.remove(pair);
                }
            }
            Place::BackOff if !outlet.questions.is_empty() => {
                // Who asks us to believe it is there.
                self.timers.clear(&Timer::BackOff(pair.clone()));
                self.set_place(pair, Place::Idle);
                self.connect(now, pair);
            }
            Place::LookUp | Place::BackOff => {}
        }
    }

    fn set_place(&mut self, pair: &Pair, place: Place) {
        if let Some(outlet) = self.outlets.get_mut(pair) {
            outlet.place = place;
        }
    }

    fn attach(&mut self, now: Now, pair: &Pair, id: ConnId) {
        let (Some(conn), Some(outlet)) = (self.conns.get_mut(&id), self.outlets.get_mut(pair)) else { return };
        self.timers.clear(&Timer::Judgement(id, pair.clone()));
        outlet.place = Place::Attached(id);
        outlet.since = Some(now.mono);
        outlet.targets = VecDeque::new();
        if !conn.pairs.contains(pair) {
            conn.pairs.push(pair.clone());
        }
        self.ripe.push_back(pair.clone());
    }

    /// Finds a stream that can carry the pair too, or makes one.
    fn connect(&mut self, now: Now, pair: &Pair) {
        let Some(server) = self.config.server_of(&pair.theirs).cloned() else {
            return self.outlet_hopeless(pair, "remote-server-not-found", "no server is configured for it");
        };
        if let Some(id) = self.stream_to_share(pair, &server) {
            self.set_place(pair, Place::Opening(id));
            self.want_on(now, id, pair);
            return self.stirred.push_back(id);
        }
        let untried = self.outlets.get(pair).is_some_and(|outlet| !outlet.targets.is_empty());
        if !untried {
            match &server.route {
                ServerRoute::Static { target, direct_tls } => {
                    let target = Target { target: target.clone(), direct_tls: *direct_tls };
                    if let Some(outlet) = self.outlets.get_mut(pair) {
                        outlet.targets.push_back(target);
                    }
                }
                ServerRoute::Srv => return self.look_up(pair),
            }
        }
        self.open(now, pair, server);
    }

    /// Another stream of ours to the same server on which this pair can be had. The same place is not enough: two entries
    /// may demand different proofs there.
    //= xmpp/DBK-010
    fn stream_to_share(&self, pair: &Pair, server: &LocalServer) -> Option<ConnId> {
        let outlet = self.outlets.get(pair)?;
        if outlet.alone {
            return None;
        }
        let same_entry = |other: &Pair| match &server.route {
            _ if other.theirs == pair.theirs => true,
            ServerRoute::Static { .. } => self.config.server_of(&other.theirs) == Some(server),
            ServerRoute::Srv => false,
        };
        let shares = |(id, conn): (&ConnId, &Conn)| match &conn.stream {
            Stream::Server(stream) => (same_entry(stream.pair()) && stream.can_carry(pair)).then_some(*id),
            Stream::Component(..) => None,
        };
        self.conns.iter().find_map(shares)
    }

    /// Asks a stream for a pair, if stanzas wait for it.
    fn want_on(&mut self, now: Now, id: ConnId, pair: &Pair) {
        let stanzas = self.outlets.get(pair).is_some_and(|outlet| !outlet.waiting.is_empty());
        if let Some(stream) = self.conns.get_mut(&id).and_then(|conn| conn.stream.server())
            && stanzas
        {
            stream.want(pair.clone());
        }
        self.hand_questions(now, pair, id);
    }

    /// Hands the pair's questions to its stream, and asks for the pair itself if stanzas came meanwhile.
    fn hand_questions(&mut self, now: Now, pair: &Pair, id: ConnId) {
        let (Some(conn), Some(outlet)) = (self.conns.get_mut(&id), self.outlets.get_mut(pair)) else { return };
        let opening = outlet.place == Place::Opening(id);
        let Some(stream) = conn.stream.server() else { return };
        if opening && !outlet.waiting.is_empty() {
            stream.want(pair.clone());
            let timer = Timer::Judgement(id, pair.clone());
            if !self.timers.is_set(&timer) {
                self.timers.set(timer, now.mono + self.config.times.set_up);
            }
        }
        let mut lost = Vec::new();
        while let Some(question) = outlet.questions.pop_front() {
            if !stream.ask(question.clone()) {
                lost.push(question);
            }
        }
        self.stirred.push_back(id);
        for question in lost {
            self.have_verdict(&question, Verdict::Error("resource-constraint".to_owned()));
        }
    }

    fn open(&mut self, now: Now, pair: &Pair, server: LocalServer) {
        let Some(target) = self.outlets.get_mut(pair).and_then(|outlet| outlet.targets.pop_front()) else { return };
        let id = self.new_conn();
        let seed = self.seed();
        let stream = S2s::initiating(self.config.clone(), server, pair.clone(), target.direct_tls, seed);
        self.conns.insert(id, Conn::new(Stream::Server(Box::new(stream)), None));
        self.set_place(pair, Place::Opening(id));
        self.want_on(now, id, pair);
        self.timers.set(Timer::SetUp(id), now.mono + self.config.times.set_up);
        self.outputs.push_back(DoorOutput::Open(id, target.target));
    }

    //= xmpp/SRV-001
    fn look_up(&mut self, pair: &Pair) {
        self.set_place(pair, Place::LookUp);
        let looking =
            LookingUp { pair: pair.clone(), direct_tls: true, found: Vec::new(), failed: None, refused: false };
        self.ask_dns(looking);
    }

    fn ask_dns(&mut self, looking: LookingUp) {
        self.next_number += 1;
        let service = if looking.direct_tls { "_xmpps-server" } else { "_xmpp-server" };
        let name = format!("{service}._tcp.{}", looking.pair.theirs);
        self.lookups.insert(self.next_number, looking);
        self.outputs.push_back(DoorOutput::Resolve(self.next_number, DoorLookup::Srv(name)));
    }

    pub(super) fn looked_up(&mut self, now: Now, number: u64, found: Found) {
        let Some(mut looking) = self.lookups.remove(&number) else { return };
        match found {
            Found::Hosts(hosts) => {
                //= xmpp/SRV-002
                looking.refused |= hosts.iter().all(is_none);
                let direct_tls = looking.direct_tls;
                looking.found.extend(hosts.into_iter().filter(|host| !is_none(host)).map(|host| (host, direct_tls)));
            }
            Found::Failed(why) => looking.failed = Some(why),
            Found::Nothing | Found::Addresses(_) => {}
        }
        if looking.direct_tls {
            looking.direct_tls = false;
            return self.ask_dns(looking);
        }
        self.choose_targets(now, looking);
    }

    //= xmpp/SRV-001
    fn choose_targets(&mut self, now: Now, looking: LookingUp) {
        let LookingUp { pair, found, failed, refused, .. } = looking;
        if !self.outlets.get(&pair).is_some_and(|outlet| outlet.place == Place::LookUp) {
            return;
        }
        let mut targets: VecDeque<Target> = self.in_order(found).into();
        if targets.is_empty() {
            if let Some(why) = failed {
                return self.outlet_failed(
                    now,
                    &pair,
                    false,
                    &StreamEnd::Connection(format!("no answer from DNS: {why}")),
                );
            }
            if refused {
                self.set_place(&pair, Place::Idle);
                return self.outlet_hopeless(
                    &pair,
                    "remote-server-not-found",
                    "its DNS says that it offers no such service",
                );
            }
            targets.push_back(Target { target: format!("{}:{PORT}", pair.theirs), direct_tls: false });
        }
        if let Some(outlet) = self.outlets.get_mut(&pair) {
            outlet.targets = targets;
            outlet.place = Place::Idle;
        }
        self.ripe.push_back(pair);
    }

    /// By priority, and among equals by chance in proportion to their weights.
    pub(super) fn in_order(&mut self, mut found: Vec<(FoundHost, bool)>) -> Vec<Target> {
        let mut targets = Vec::new();
        while let Some(best) = found.iter().map(|(host, _)| host.priority).min()
            && targets.len() < TARGETS_MAX
        {
            let weight = |(host, _): &(FoundHost, bool)| {
                if host.priority == best { u64::from(host.weight) + 1 } else { 0 }
            };
            let mut lot = self.random.below(found.iter().map(weight).sum());
            let at = found.iter().position(|host| {
                let weight = weight(host);
                let hit = lot < weight;
                lot = lot.saturating_sub(weight);
                hit
            });
            let Some(at) = at.filter(|at| *at < found.len()) else { break };
            let (host, direct_tls) = found.remove(at);
            let target = format!("{}:{}", host.host.trim_end_matches('.'), host.port);
            targets.push(Target { target, direct_tls });
        }
        targets
    }

    /// Stanzas of a pair may go out on this stream.
    pub(super) fn pair_ready(&mut self, now: Now, id: ConnId, pair: Pair) {
        self.timers.clear(&Timer::SetUp(id));
        let outlet = self.outlets.entry(pair.clone()).or_insert_with(|| super::Outlet::new(Place::Idle));
        // A stream that the server opened is as good as one of ours, unless one of ours is there or nearly there.
        let free = match outlet.place {
            Place::Idle | Place::BackOff | Place::LookUp => true,
            // A stream that was only made to ask about a key.
            Place::Opening(at) => at == id || outlet.waiting.is_empty(),
            Place::Attached(_) | Place::Component => false,
        };
        if !free {
            return;
        }
        self.timers.clear(&Timer::BackOff(pair.clone()));
        self.attach(now, &pair, id);
        self.tell(DoorEvent::Up { local: pair.theirs, ours: pair.ours });
    }

    /// The server does not take our key for a pair.
    //= xmpp/DBK-008
    pub(super) fn pair_refused(&mut self, now: Now, id: ConnId, pair: &Pair, verdict: &Verdict) {
        let Some(outlet) = self.outlets.get_mut(pair).filter(|outlet| outlet.place == Place::Opening(id)) else {
            return;
        };
        let shared = self.conns.get_mut(&id).and_then(|conn| conn.stream.server()).is_some_and(|it| it.pair() != pair);
        if shared && !outlet.alone {
            // It may be the sharing that the server does not want.
            outlet.alone = true;
            outlet.place = Place::Idle;
            return self.ripe.push_back(pair.clone());
        }
        match verdict {
            Verdict::Invalid => {
                outlet.place = Place::Idle;
                let detail = format!("{} finds our key for {} wrong", pair.theirs, pair.ours);
                self.notice("chat.dialback_refused", true, detail);
                self.outlet_hopeless(pair, "internal-server-error", "the server finds our key wrong");
            }
            Verdict::Error(condition) if condition == "item-not-found" => {
                outlet.place = Place::Idle;
                self.outlet_hopeless(pair, "remote-server-not-found", "the server does not host this domain");
            }
            Verdict::Valid | Verdict::Error(_) => {
                let why = format!("the server could not judge our key: {verdict:?}");
                self.outlet_failed(now, pair, false, &StreamEnd::Connection(why));
            }
        }
    }

    /// The server says nothing of our key for a pair, on a stream that goes on: it may be that others share it.
    //= xmpp/DBK-011
    pub(super) fn not_judged(&mut self, id: ConnId, pair: &Pair) {
        let stream = self.conns.get_mut(&id).and_then(|conn| conn.stream.server());
        let opening = |outlet: &&mut super::Outlet| outlet.place == Place::Opening(id) && !outlet.waiting.is_empty();
        let Some(outlet) = self.outlets.get_mut(pair).filter(opening) else { return };
        if stream.is_some_and(|stream| !stream.is_over()) {
            outlet.alone = true;
            outlet.place = Place::Idle;
            self.ripe.push_back(pair.clone());
        }
    }

    /// A pair's stream could not be made, or broke: tries the next place, or gives everything back and waits.
    pub(super) fn outlet_failed(&mut self, now: Now, pair: &Pair, attached: bool, why: &StreamEnd) {
        let Some(outlet) = self.outlets.get_mut(pair) else { return };
        let component = self.config.component_for(&pair.ours, &pair.theirs).is_some();
        if component {
            outlet.place = Place::Component;
            return self.empty(pair, &why.to_string());
        }
        outlet.place = Place::Idle;
        if matches!(why, StreamEnd::PeerError { condition, .. } if condition == "host-unknown") && !attached {
            return self.outlet_hopeless(pair, "remote-server-not-found", "the server does not host this domain");
        }
        if !attached && !outlet.targets.is_empty() && !self.stopping {
            return self.ripe.push_back(pair.clone());
        }
        let worked = outlet.since.take().is_some_and(|since| now.mono.since(since) >= STREAM_GOOD);
        let ordinary = attached && matches!(why, StreamEnd::PeerClosed | StreamEnd::Idle);
        if worked {
            outlet.failures = 0;
        }
        let failures = outlet.failures;
        let wanted = outlet.is_wanted();
        let mut questions = std::mem::take(&mut outlet.questions);
        self.empty(pair, &why.to_string());
        for question in questions.drain(..) {
            self.have_verdict(&question, Verdict::Error("remote-connection-failed".to_owned()));
        }
        if ordinary && !wanted {
            // An idle stream was closed: nothing is wrong.
            return self.ripe.push_back(pair.clone());
        }
        if let Some(outlet) = self.outlets.get_mut(pair) {
            outlet.failures = failures.saturating_add(1);
            outlet.place = Place::BackOff;
        }
        let wait = self.back_off(failures);
        self.timers.set(Timer::BackOff(pair.clone()), now.mono + wait);
        self.tell(DoorEvent::Down { local: pair.theirs.clone(), ours: pair.ours.clone(), why: why.to_string() });
    }

    pub(super) fn back_off_over(&mut self, pair: Pair) {
        let Some(outlet) = self.outlets.get_mut(&pair).filter(|outlet| outlet.place == Place::BackOff) else { return };
        outlet.place = Place::Idle;
        if !outlet.is_wanted() {
            // Whoever comes next tries at once; the number of failures is kept only as long as somebody waits.
            self.outlets.remove(&pair);
            return;
        }
        self.ripe.push_back(pair);
    }

    /// Gives back all that waits for a pair, in order.
    pub(super) fn empty(&mut self, pair: &Pair, why: &str) {
        while let Some(waiting) = self.outlets.get_mut(pair).and_then(|outlet| outlet.pop()) {
            self.waiting_octets -= waiting.octets.len();
            self.give_back(waiting.token, why);
        }
    }

    /// What waits for a pair will never be taken.
    fn outlet_hopeless(&mut self, pair: &Pair, condition: &'static str, why: &str) {
        let Some(mut outlet) = self.outlets.remove(pair) else { return };
        while let Some(waiting) = outlet.pop() {
            self.waiting_octets -= waiting.octets.len();
            self.refuse(waiting.token, condition, why.to_owned());
        }
        for question in outlet.questions {
            self.have_verdict(&question, Verdict::Error("remote-server-not-found".to_owned()));
        }
        self.tell(DoorEvent::Down { local: pair.theirs.clone(), ours: pair.ours.clone(), why: why.to_owned() });
    }

    /// A stream of ours that a question can be asked on: to the same server, and not the one that it came on.
    pub(super) fn stream_to_ask(&self, theirs: &str, not: ConnId) -> Option<ConnId> {
        let asks = |(id, conn): (&ConnId, &Conn)| match &conn.stream {
            Stream::Server(stream) if *id != not && stream.role() == Role::Initiating => {
                (stream.pair().theirs == theirs && !conn.gone).then_some(*id)
            }
            Stream::Server(_) | Stream::Component(..) => None,
        };
        self.conns.iter().find_map(asks)
    }
}

//= xmpp/SRV-002
fn is_none(host: &FoundHost) -> bool {
    host.host.is_empty() || host.host == "."
}

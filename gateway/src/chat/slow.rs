//! The sessions of the far sites: what they get, what they ask for, and the state of the links under them.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Random;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::local::Cause;
use skywave_protocols::xmpp::slow::{Confirmation, Medium, Outgoing, Session, SlowConfig, SlowFault, SlowOutput};
use skywave_transports::io::{Space, Write};
use skywave_transports::transport::ArrivalId;

use super::config::PeerConfig;
use super::inward::delayed;
use super::limits::{MARK_WAIT, OUTAGE_PATIENCE, UNIT_BEFORE_OCTETS, UNIT_PATIENCE, UNITS_MAX};
use super::peers::Peer;
use super::queue::out::Waiting;
use super::{Chat, ChatOutput, ChatUnit, Line, Way, record};
use crate::queue::record::lane_start;
use crate::telemetry::{Event, StanzaFate};

/// What is told of a stanza that the far gateway had on its disk before this one.
pub const BY_FAR_GATEWAY: &str = "by the far gateway";

/// What is known of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkState {
    /// Whether its medium can be used.
    pub up: bool,
    /// Whether the operator lets it be used, and we may emit on it.
    pub allowed: bool,
    /// What it can do.
    pub medium: Medium,
    /// Units that it takes now.
    pub units: usize,
    /// Octets that it takes now.
    pub octets: usize,
}

impl Default for LinkState {
    fn default() -> Self {
        let medium = Medium { boundaries: false, unit_octets_max: 0, bits_per_second: 0 };
        Self { up: false, allowed: false, medium, units: 0, octets: 0 }
    }
}

/// One session and its link.
pub(super) struct Side {
    pub(super) session: Session,
    pub(super) link: LinkState,
    /// What was last told of whether something waits.
    wanted: bool,
    /// The room last told to the session.
    room: (usize, usize),
    /// Arrivals of which something is not in a batch.
    pub(super) arrivals: Vec<ArrivalId>,
    /// Units on their way, and their octets: each, and all.
    under_way: BTreeMap<u64, usize>,
    under_way_octets: usize,
    /// When the medium last showed that it works: a unit was delivered, the peer was heard, or the first unit left.
    moved_at: Instant,
    /// Something is overdue: the medium does not say so, but it seems to be out.
    overdue: bool,
    /// Since when the far site owes a sign of life: something left, and nothing was delivered or heard.
    owed_since: Option<Instant>,
    /// It owes one for so long that the medium is taken to be out.
    out: bool,
    /// The peer keeps silence here; for the first link and that of units its own mark counts.
    pub(super) silent: bool,
    /// When that was said, while we were here.
    pub(super) silent_since: Option<Instant>,
    /// Single units that ended badly and go again.
    failed: BTreeSet<u64>,
    /// Stanzas in blocks whose rows the disk refused, and when they are written again at the latest.
    pub(super) owed_rows: Vec<u64>,
    pub(super) owed_until: Option<Instant>,
    /// The local domain for which there is no place for what came.
    pub(super) held_for: Option<String>,
}

impl Side {
    pub(super) fn new(config: SlowConfig, random: Box<dyn Random>) -> Self {
        Self {
            session: Session::new(config, random),
            link: LinkState::default(),
            wanted: false,
            room: (0, 0),
            arrivals: Vec::new(),
            under_way: BTreeMap::new(),
            under_way_octets: 0,
            moved_at: Instant::ZERO,
            overdue: false,
            owed_since: None,
            out: false,
            silent: false,
            silent_since: None,
            failed: BTreeSet::new(),
            owed_rows: Vec::new(),
            owed_until: None,
            held_for: None,
        }
    }

    /// The same where the peer keeps silence on its link, or not.
    pub(super) fn silenced(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }

    /// Whether a unit takes longer than the medium would need.
    pub(super) const fn is_overdue(&self) -> bool {
        self.overdue
    }

    /// When what is under way is overdue: its airtime and some turns of the medium after that last moved. A unit alone
    /// counts like what may be before it; of many, those at the end of a long transmission wait for all of it.
    fn overdue_at(&self) -> Option<Instant> {
        (!self.under_way.is_empty()).then(|| self.moved_at + UNIT_PATIENCE + self.airtime())
    }

    /// When the medium is taken to be out, unless there is a sign of life. Others may have the air for long: a unit is
    /// overdue sooner, and a new try is no sign.
    fn out_at(&self) -> Option<Instant> {
        self.owed_since.map(|since| since + OUTAGE_PATIENCE + self.airtime())
    }

    /// How long the medium is busy with what is under way and may be before it.
    fn airtime(&self) -> Duration {
        let octets = self.under_way_octets as u64 + UNIT_BEFORE_OCTETS;
        Duration::from_millis(8_000 * octets / u64::from(self.link.medium.bits_per_second.max(1)))
    }

    /// When what is under way is overdue, or the medium taken to be out, if it is not yet; or rows are written again.
    pub(super) fn next_overdue(&self) -> Option<Wakeup> {
        let overdue = self.overdue_at().filter(|_| !self.overdue).map(|at| Wakeup { at, why: "unit overdue" });
        let out = self.out_at().filter(|_| !self.out).map(|at| Wakeup { at, why: "no sign of the far site" });
        let owed = self.owed_until.map(|at| Wakeup { at, why: "rows to be written again" });
        Wakeup::earlier(Wakeup::earlier(overdue, out), owed)
    }

    /// Whether the medium can be used, as far as it says, and the far site shows.
    pub(super) const fn is_up(&self) -> bool {
        self.link.up && !self.out
    }

    /// The same to rules: where nothing is on its way the next stanza finds out. Otherwise a rule that rejects what
    /// cannot leave would keep a link down for ever.
    pub(super) fn is_worth_a_try(&self) -> bool {
        self.is_up() || self.link.up && self.under_way.is_empty()
    }

    /// The far site was heard, or has something of ours.
    fn lives(&mut self, now: Now) {
        self.moved_at = now.mono;
        self.out = false;
        self.owed_since = (!self.under_way.is_empty()).then_some(now.mono);
    }

    /// A unit leaves.
    fn leaves(&mut self, now: Now, ticket: u64, octets: usize) {
        if self.under_way.is_empty() {
            self.moved_at = now.mono;
        }
        self.owed_since.get_or_insert(now.mono);
        self.under_way_octets += octets;
        self.under_way.insert(ticket, octets);
    }

    /// A unit has ended.
    fn ended(&mut self, ticket: u64) {
        self.under_way_octets -= self.under_way.remove(&ticket).unwrap_or(0);
    }

    /// Whether a unit is overdue now. Then no more blocks are made: what waits outside of blocks can still be overtaken,
    /// replaced, given up, and say that it waited.
    fn look_at_units(&mut self, now: Now) {
        self.overdue = self.overdue_at().is_some_and(|at| at <= now.mono);
        self.out = self.out_at().is_some_and(|at| at <= now.mono);
    }
}

impl Peer {
    /// Hands a stanza of the queue to the session that it belongs to now; it stays where it is while there is none.
    pub(super) fn submit(&mut self, now: Now, number: u64) {
        if let Some((way, outgoing)) = self.placed(now, number)
            && let Some(side) = self.side_mut(way)
        {
            side.session.submit(now, outgoing);
        }
    }

    /// A stanza of the queue, placed with the session that it belongs to now; nothing while there is none.
    pub(super) fn placed(&mut self, now: Now, number: u64) -> Option<(Way, Outgoing)> {
        let waiting = self.queue.get(number)?;
        let way = self.keeper_of(number).or_else(|| self.way_of(waiting))?;
        let outgoing = Outgoing {
            number,
            priority: waiting.priority,
            label_context: waiting.label_group,
            since: waiting.since,
            stanza: self.marked(now, waiting),
        };
        self.queue.place(number, way).then_some((way, outgoing))
    }

    /// The link in whose blocks a stanza was before a restart: by another it would arrive twice.
    fn keeper_of(&self, number: u64) -> Option<Way> {
        let others = !self.alternates.is_empty() || self.units.is_some();
        self.ways().filter(|_| others).find(|&way| self.knows_by(way, number))
    }

    /// Whether a stanza is in a block of some link.
    pub(super) fn has_in_block(&self, number: u64) -> bool {
        self.ways().any(|way| self.knows_by(way, number))
    }

    fn knows_by(&self, way: Way, number: u64) -> bool {
        self.side(way).is_some_and(|side| side.session.knows(number))
    }

    /// The stanza as it crosses: one that waited long says since when.
    //= xmpp/FATE-002
    fn marked(&self, now: Now, waiting: &Waiting) -> Stanza {
        let waited = now.wall.since(waiting.since);
        if self.config.lives.tells_delay(&waiting.stanza, &waiting.fate, waited) {
            return delayed(waiting.stanza.clone(), waiting.since, waiting.stanza.from().domain().as_str());
        }
        waiting.stanza.clone()
    }

    /// What the session has not put into a block is handed to it again, in its old order: it may have to say by now that
    /// it waited.
    pub(super) fn submit_again(&mut self, now: Now) {
        let back: Vec<u64> = self.queue.released().into_iter().filter(|&number| self.withdraw(number)).collect();
        back.into_iter().for_each(|number| self.submit(now, number));
    }

    /// When something that waits has to say so; at most every half minute.
    pub(super) fn next_mark(&self) -> Option<Instant> {
        self.mark_at
    }

    /// Says of what has waited long that it did.
    pub(super) fn mark_due(&mut self, now: Now) {
        if self.mark_at.take_if(|at| *at <= now.mono).is_some() {
            self.submit_again(now);
        }
        self.watch_marks(now);
    }

    /// Sets the time for the next look at what waits, if anything does.
    pub(super) fn watch_marks(&mut self, now: Now) {
        let after = Duration::from_secs(self.config.lives.delay_after_seconds);
        if self.mark_at.is_none() && !after.is_zero() && !self.queue.is_empty() {
            self.mark_at = Some(now.mono + after.max(MARK_WAIT));
        }
    }

    /// Takes a stanza back from its session, if one has it; false when it is in a block already.
    pub(super) fn withdraw(&mut self, number: u64) -> bool {
        let Some(way) = self.queue.way(number) else { return true };
        let back = self.side_mut(way).is_some_and(|side| side.session.withdraw(number));
        if back {
            self.queue.unplace(number);
        }
        back
    }

    /// Tells the sessions how much their links take: nothing by the stream while the
    /// peer keeps silence.
    pub(super) fn apply_room(&mut self, now: Now) {
        for way in self.ways() {
            if let Some(side) = self.side_mut(way) {
                side.look_at_units(now);
            }
            let open = self.is_usable(way);
            let Some(side) = self.side_mut(way) else { continue };
            let room = if open { (side.link.units, side.link.octets) } else { (0, 0) };
            if std::mem::replace(&mut side.room, room) != room {
                side.session.set_room(now, room.0, room.1);
            }
        }
        self.redirect(now);
    }
}

impl Chat {
    /// The state of a link as the node sees it now.
    pub fn link_state(&mut self, now: Now, line: Line, state: &LinkState) {
        let Some(peer) = self.peers.get_mut(line.peer) else { return };
        let Some(side) = peer.side_mut(line.way).filter(|side| side.link != *state) else { return };
        let was = std::mem::replace(&mut side.link, *state);
        match (was.up, state.up) {
            (true, false) => {
                side.under_way.clear();
                side.under_way_octets = 0;
                side.owed_since = None;
                side.session.medium_down(now);
            }
            (false, true) => {
                side.session.medium_up(now, state.medium);
                peer.submit_again(now);
            }
            (true, true) if was.medium != state.medium => side.session.medium_up(now, state.medium),
            (true, true) | (false, false) => {}
        }
        peer.apply_room(now);
        self.settle(now);
    }

    /// Tells the presence caches which far sites came into reach or went out of it.
    //= xmpp/CHAT-014
    pub(super) fn watch_reach(&mut self, now: Now) -> bool {
        let mut moved = false;
        for index in 0..self.peers.len() {
            let Some(peer) = self.peers.get_mut(index) else { continue };
            let reached = peer.is_reached();
            if std::mem::replace(&mut peer.reached, reached) != reached {
                moved = true;
                let presence = peer.presence.link(now, reached);
                self.presence_done(now, index, presence);
            }
        }
        moved
    }

    /// A unit that was handed to a link has arrived, as far as the link can tell.
    pub fn unit_delivered(&mut self, now: Now, ticket: u64) {
        let Some((line, unit)) = self.units.remove(&ticket) else { return };
        if let Some(side) = self.side_mut(line) {
            side.ended(ticket);
            side.lives(now);
            side.failed.remove(&unit);
            side.session.unit_delivered(now, unit);
        }
        self.unit_settled(now, line);
        self.settle(now);
    }

    /// It has not, or nobody knows.
    pub fn unit_failed(&mut self, now: Now, ticket: u64) {
        let Some((line, unit)) = self.units.remove(&ticket) else { return };
        if let Some(side) = self.side_mut(line) {
            side.ended(ticket);
            if line.way == Way::Units {
                side.failed.insert(unit);
                if side.failed.len() > UNITS_MAX {
                    side.failed.pop_first();
                }
            }
            side.session.unit_failed(now, unit);
        }
        self.unit_settled(now, line);
        self.settle(now);
    }

    /// A unit has met its end, or come: the medium works, and what waited meanwhile says so.
    fn unit_settled(&mut self, now: Now, line: Line) {
        let Some(peer) = self.peers.get_mut(line.peer) else { return };
        let was = peer.side(line.way).is_some_and(|side| side.overdue);
        if was {
            peer.submit_again(now);
        }
        peer.apply_room(now);
    }

    /// A unit, or some octets of a stream, arrived by a link, under the name that the link has for it. Answered by `Accept`
    /// or `Refuse`.
    pub fn arrived(&mut self, now: Now, line: Line, arrival: ArrivalId, name: &[u8], octets: &[u8]) {
        let Some(side) = self.side_mut(line) else { return };
        side.arrivals.push(arrival);
        // While the peer transmits, what we have for it can only wait.
        side.lives(now);
        let was_overdue = side.overdue;
        side.session.unit_arrived(now, name, octets);
        self.drain_sessions(now, line.peer);
        self.settle_arrivals(line);
        if was_overdue {
            self.unit_settled(now, line);
        }
        self.settle(now);
    }

    /// Notes with what batch the arrivals of a link are done with: with one that leaves nothing of them to be stored. A
    /// transport that holds back reads no further before.
    fn settle_arrivals(&mut self, line: Line) {
        let is_saved = self.work.after.saves.iter().any(|(of, _)| *of == line);
        let is_done = |side: &&mut Side| !side.arrivals.is_empty() && !side.session.has_unsaved();
        let Some(side) = self.side_mut(line).filter(is_done) else { return };
        let arrivals = std::mem::take(&mut side.arrivals);
        for arrival in arrivals {
            if is_saved {
                self.work.after.arrivals.push((line, arrival));
            } else {
                self.out.push_back(ChatOutput::Accept(line, arrival));
            }
        }
    }

    /// Hands stanzas whose rows are on the disk to their session.
    pub(super) fn release(&mut self, now: Now, index: usize, numbers: Vec<u64>) {
        if let Some(peer) = self.peers.get_mut(index) {
            numbers.into_iter().for_each(|number| peer.submit(now, number));
        }
    }

    /// Takes everything the sessions of a peer have to say.
    pub(super) fn drain_sessions(&mut self, now: Now, peer: usize) -> bool {
        let mut moved = false;
        for way in self.peers.get(peer).map(Peer::ways).into_iter().flatten() {
            let line = Line { peer, way };
            while let Some(output) = self.side_mut(line).and_then(|side| side.session.poll()) {
                moved = true;
                self.session_output(now, line, output);
            }
            self.settle_arrivals(line);
        }
        moved
    }

    fn session_output(&mut self, now: Now, line: Line, output: SlowOutput) {
        match output {
            SlowOutput::Unit { unit, priority, context, content } => {
                self.unit(now, line, unit, ChatUnit { ticket: 0, priority, context, content });
            }
            SlowOutput::Save { save, arrived, .. } if self.is_held_back(now, line, save, &arrived) => {}
            SlowOutput::Save { save, changes, arrived } => {
                self.write_owed(line);
                self.save(line, changes);
                self.work.after.saves.push((line, save));
                arrived.into_iter().for_each(|stanza| self.inward(now, line, stanza, false));
            }
            SlowOutput::Beside { changes } => {
                self.save(line, changes.clone());
                self.work.after.beside.push((line, changes));
            }
            SlowOutput::Early { arrived } => {
                arrived.into_iter().for_each(|stanza| self.inward(now, line, stanza, true));
            }
            SlowOutput::Done { number, how } => self.done(now, line, number, how),
            SlowOutput::Refused { number, why } => self.session_refuses(now, line.peer, number, &why),
            SlowOutput::Restart => self.out.push_back(ChatOutput::Reset(line)),
            SlowOutput::Notice { name, alarm, detail } => {
                let part = self.peers.get(line.peer).map_or_else(String::new, |peer| peer.name().to_owned());
                self.notice(&part, alarm, name, detail);
            }
            SlowOutput::Counted { octets_raw, octets_sent, .. } => {
                self.counted(line, octets_raw as u64, octets_sent as u64);
            }
        }
    }

    fn unit(&mut self, now: Now, line: Line, unit: u64, made: ChatUnit) {
        let ticket = self.ticket(line, unit);
        if self.units.len() >= UNITS_MAX {
            self.units.pop_first();
        }
        self.units.insert(ticket, (line, unit));
        if let Some(side) = self.side_mut(line) {
            // ACP 142 repeats by plans of its own, as long as it takes.
            if line.way != Way::Units {
                side.leaves(now, ticket, made.content.len());
            }
        }
        self.out.push_back(ChatOutput::Unit(line, ChatUnit { ticket, ..made }));
    }

    /// What a unit is known by below. The carrier of single units keeps them over restarts and its own outages: there it is
    /// the number of the stanza, by which it finds again what it has; but for one that ended badly, which is a new one.
    //= xmpp/SLOW-027
    fn ticket(&mut self, line: Line, unit: u64) -> u64 {
        let is_known = line.way == Way::Units && self.side_mut(line).is_some_and(|side| !side.failed.contains(&unit));
        if is_known { unit } else { self.numbers.take() }
    }

    /// A session's records: the peer's name and the way stand before its own keys.
    fn save(&mut self, line: Line, changes: Vec<(Vec<u8>, Option<Bytes>)>) {
        let Some(prefix) = self.peers.get(line.peer).map(|peer| session_prefix(&peer.config, line.way)) else { return };
        for (key, value) in changes {
            self.work.write(Write { space: Space::ChatLink, key: [prefix.as_slice(), &key].concat(), value });
        }
    }

    /// A stanza has reached the far site, as far as the profile can tell.
    fn done(&mut self, now: Now, line: Line, number: u64, how: Confirmation) {
        let Some(peer) = self.peers.get_mut(line.peer) else { return };
        let Some((waiting, freed)) = peer.queue.remove(number) else {
            // A row of an earlier run whose peer was configured anew.
            return self.work.note(record::forget(Space::ChatOut, number));
        };
        peer.counters.stanzas_sent += 1;
        peer.presence.delivered(&waiting.stanza);
        // Its row is on its way to the disk still: the far one was faster.
        if let Some(arrival) = waiting.arrival {
            self.door.taken(now, arrival);
            self.line_out(now, line.peer, number, &waiting, StanzaFate::Accepted, BY_FAR_GATEWAY);
        }
        if waiting.fate.durable {
            self.work.note(record::forget(Space::ChatOut, number));
        }
        let words = match how {
            Confirmation::PeerStored => "taken over by the far gateway",
            Confirmation::NodeConfirmed => "confirmed by the far node",
            Confirmation::Written => "written to the link",
        };
        self.line_out(now, line.peer, number, &waiting, StanzaFate::Sent, words);
        self.release(now, line.peer, freed);
    }

    /// The session can never carry it.
    fn session_refuses(&mut self, now: Now, index: usize, number: u64, why: &SlowFault) {
        let cause = match why {
            SlowFault::Full { .. } => Cause::QueueFull,
            _other => Cause::TooLarge,
        };
        self.give_up(now, index, number, Some(cause), &why.to_string());
    }

    fn counted(&mut self, line: Line, bytes_raw: u64, bytes_sent: u64) {
        let Some(peer) = self.peers.get_mut(line.peer) else { return };
        peer.counters.bytes_raw += bytes_raw;
        peer.counters.bytes_sent += bytes_sent;
        let link = peer.config.link_of(line.way).unwrap_or(&peer.config.link).to_string();
        let peer = peer.name().to_owned();
        self.tell(Event::ChatBlock { peer, link, bytes_raw, bytes_sent });
    }

    /// Says whether something waits, where that has changed: links that connect on demand then connect.
    pub(super) fn tell_wanted(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let (by_units, waits) = (peer.speaks_by_units(), !peer.queue.is_empty());
        let first_fails = !peer.is_usable(Way::Stream);
        for way in peer.ways() {
            let wanted = peer.queue.is_routed(way)
                || waits
                    && match way {
                        Way::Stream => !by_units,
                        Way::Units => by_units,
                        Way::Alternate(_) => first_fails || peer.queue.has_parked(),
                    };
            let Some(side) = peer.side_mut(way) else { continue };
            if std::mem::replace(&mut side.wanted, wanted) != wanted {
                self.out.push_back(ChatOutput::Wanted(Line { peer: index, way }, wanted));
            }
        }
    }
}

/// What stands before the keys of a session. Another link than the first keeps its records wherever it stands in the
/// configuration.
pub(super) fn session_prefix(peer: &PeerConfig, way: Way) -> Vec<u8> {
    let mut prefix = lane_start(&peer.name);
    match way {
        Way::Stream => prefix.push(b's'),
        Way::Units => prefix.push(b'u'),
        Way::Alternate(_) => {
            prefix.push(b'a');
            prefix.extend(lane_start(peer.link_of(way).map_or("", |link| link)));
        }
    }
    prefix
}

//! The far sites: what each is configured with, and the machines that work for it.

use std::sync::Arc;

use skywave_protocols::random::Random;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::fate::{After, Meaning};
use skywave_protocols::xmpp::local::{Cause, Complaint, Gateway, bounce};
use skywave_protocols::xmpp::precedence::PrecedenceTable;
use skywave_protocols::xmpp::presence::PresenceCache;
use skywave_protocols::xmpp::rules::{Direction, Facts, Filter, LabelGroups, Verdict};
use skywave_transports::io::Space;

use super::config::{EmconRule, PeerConfig};
use super::gather::Gathered;
use super::limits::{ALTERNATES_MAX, HEARD_AFTER};
use super::queue::out::{OutQueue, Waiting};
use super::slow::Side;
use super::{Chat, Line, Way, record};
use crate::telemetry::StanzaFate;

/// Which of a peer's links for a stream can be used.
type Usable = [bool; 1 + ALTERNATES_MAX];

/// A far site.
pub(super) struct Peer {
    pub(super) config: PeerConfig,
    pub(super) filter: Filter,
    /// Labels that share no compression.
    labels: LabelGroups,
    pub(super) presence: PresenceCache,
    pub(super) precedence: PrecedenceTable,
    pub(super) queue: OutQueue,
    pub(super) stream: Side,
    pub(super) units: Option<Side>,
    pub(super) alternates: Vec<Side>,
    /// It is known to keep silence on its first link.
    pub(super) silent: bool,
    /// Whether it was in reach when the presence cache was last told.
    pub(super) reached: bool,
    /// The links that could be used when the queue was last looked at for them.
    usable: Usable,
    /// When those that wait are looked at, whether they have to say so.
    pub(super) mark_at: Option<Instant>,
    /// Stanzas whose rows are about to be written.
    pub(super) gathered: Gathered,
    pub(super) counters: Counters,
}

/// Figures of a peer since the start.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Counters {
    pub(super) stanzas_taken: u64,
    pub(super) stanzas_sent: u64,
    pub(super) stanzas_arrived: u64,
    pub(super) stanzas_delivered: u64,
    pub(super) stanzas_dropped: u64,
    pub(super) stanzas_answered: u64,
    pub(super) stanzas_returned: u64,
    pub(super) stanzas_misaddressed: u64,
    pub(super) stanzas_confusable: u64,
    pub(super) bytes_raw: u64,
    pub(super) bytes_sent: u64,
}

impl Peer {
    /// Builds its machines.
    ///
    /// # Errors
    /// What they cannot be built of, in words; the configuration's check finds the same.
    pub(super) fn new(
        config: PeerConfig,
        gateway: &Gateway,
        random: &mut dyn FnMut() -> Box<dyn Random>,
    ) -> Result<Self, String> {
        let (filter, precedence) = rules(&config, gateway)?;
        let labels = LabelGroups::new(&config.label_groups)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        Ok(Self {
            filter,
            labels,
            precedence,
            presence: PresenceCache::new(config.presence.clone()),
            queue: OutQueue::default(),
            stream: Side::new(config.session.clone(), random()),
            units: config.units.as_ref().map(|(_, session)| Side::new(session.clone(), random())),
            alternates: config
                .alternates
                .iter()
                .map(|it| Side::new(it.session.clone(), random()).silenced(it.silent))
                .collect(),
            silent: config.silent,
            reached: false,
            usable: Usable::default(),
            mark_at: None,
            gathered: Gathered::default(),
            counters: Counters::default(),
            config,
        })
    }

    /// Takes other rules; a filter that stays the same keeps its report and what it counts.
    ///
    /// # Errors
    /// What they cannot be built of; then nothing changes.
    fn reconfigure(&mut self, config: &PeerConfig, gateway: &Gateway) -> Result<(), String> {
        let (filter, precedence) = rules(config, gateway)?;
        if self.config.filter != config.filter {
            self.filter = filter.expecting(&mut self.filter);
        }
        self.precedence = precedence;
        self.presence.reconfigure(config.presence.clone());
        self.config.take_rules(config);
        Ok(())
    }

    /// Itself, or the first link and that for units, which have one mark.
    fn silent_together(&self, way: Way) -> Vec<Way> {
        match way {
            Way::Alternate(_) => vec![way],
            Way::Stream | Way::Units => self.ways().filter(|way| !matches!(way, Way::Alternate(_))).collect(),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// What the rules say about a stanza that came by a link, or that is for one.
    pub(super) fn judge(&mut self, now: Now, came_by: Option<Way>, stanza: &Stanza) -> Verdict {
        let direction = if came_by.is_some() { Direction::FromLink } else { Direction::ToLink };
        // What rules are told of the link is that of the one that it came by, or would take.
        let way = came_by.or_else(|| self.first_usable(None)).unwrap_or(Way::Stream);
        let side = self.side(way);
        let (link, is_up) = side.map(|side| (side.link, side.is_worth_a_try())).unwrap_or_default();
        let name = Arc::clone(self.config.link_of(way).unwrap_or(&self.config.link));
        let oldest = self.queue.iter().next().map_or(Duration::ZERO, |(_, waiting)| now.wall.since(waiting.since));
        let online = stanza.to().is_full().then(|| self.presence.is_online(stanza.to())).flatten();
        let facts = Facts {
            direction,
            peer: &self.config.name,
            link: &name,
            link_up: is_up && link.allowed,
            bits_per_second: link.medium.bits_per_second,
            precedence: self.precedence.of(stanza),
            queue_age: oldest,
            online,
            now,
        };
        self.filter.apply(&facts, stanza.clone())
    }

    /// Which of the groups of labels that share no compression a stanza is of.
    pub(super) fn label_group(&self, stanza: &Stanza) -> u8 {
        self.labels.number_of(stanza)
    }

    /// Ends the streams on its links, where we may still speak.
    pub(super) fn close(&mut self) {
        for way in self.ways() {
            let open = self.is_usable(way);
            if let Some(side) = self.side_mut(way).filter(|_| open) {
                side.session.close();
            }
        }
    }

    /// Whether the end of one is on its way out.
    pub(super) fn is_closing(&self) -> bool {
        self.ways().filter_map(|way| self.side(way)).any(|side| side.session.is_closing())
    }

    /// Whether what is taken now goes as single units.
    pub(super) fn speaks_by_units(&self) -> bool {
        self.silent && self.config.emcon == EmconRule::Units && self.units.is_some()
    }

    /// The links for a stream, in their order.
    fn streams(&self) -> impl Iterator<Item = Way> + use<> {
        std::iter::once(Way::Stream).chain((0..).take(self.alternates.len()).map(Way::Alternate))
    }

    /// All its links.
    pub(super) fn ways(&self) -> impl Iterator<Item = Way> + use<> {
        self.streams().chain(self.units.is_some().then_some(Way::Units))
    }

    /// Whether a link can be used now, as far as anybody knows.
    pub(super) fn is_usable(&self, way: Way) -> bool {
        self.side(way).is_some_and(|side| side.link.up && !side.is_overdue()) && !self.is_closed(way)
    }

    /// Whether nothing may be sent on a link: the operator or our own silence forbids it, or the peer keeps silence there.
    pub(super) fn is_closed(&self, way: Way) -> bool {
        let silent = way == Way::Stream && self.silent;
        silent || self.side(way).is_none_or(|side| !side.link.allowed || side.silent)
    }

    /// Whether nothing may be sent as a stream at all.
    pub(super) fn is_shut(&self) -> bool {
        self.streams().all(|way| self.is_closed(way))
    }

    /// Whether the medium of a link for a stream can be used, and the far site shows there.
    pub(super) fn is_reached(&self) -> bool {
        self.streams().any(|way| self.side(way).is_some_and(Side::is_up))
    }

    /// The first link for a stream that can be used, and is at least so fast.
    fn first_usable(&self, bits_per_second_min: Option<u32>) -> Option<Way> {
        self.streams().find(|&way| self.is_usable(way) && self.is_fast(way, bits_per_second_min))
    }

    fn is_fast(&self, way: Way, bits_per_second_min: Option<u32>) -> bool {
        let rate = self.side(way).map_or(0, |side| side.link.medium.bits_per_second);
        bits_per_second_min.is_none_or(|min| rate >= min)
    }

    /// The link that a stanza takes now; nothing if a rule has it wait for one. What no rule sends anywhere goes by the
    /// first that can be used.
    //= xmpp/CHAT-006
    pub(super) fn way_of(&self, waiting: &Waiting) -> Option<Way> {
        let min = waiting.bits_per_second_min;
        match (waiting.route, min) {
            (Some(way), None) => Some(way),
            (Some(way), Some(_)) => Some(way).filter(|&way| self.is_usable(way) && self.is_fast(way, min)),
            (None, Some(_)) => self.first_usable(min),
            (None, None) => {
                let otherwise = if self.speaks_by_units() { Way::Units } else { Way::Stream };
                Some(self.first_usable(None).unwrap_or(otherwise))
            }
        }
    }

    /// Takes a stanza back unless it is in a block already.
    pub(super) fn take_back(&mut self, number: u64) -> bool {
        !self.queue.is_released(number) || self.withdraw(number)
    }

    /// Has the stanzas that wait for a link look for one again, if the links that can be used are others than before.
    pub(super) fn redirect(&mut self, now: Now) {
        let mut usable = Usable::default();
        for (mark, way) in usable.iter_mut().zip(self.streams()) {
            *mark = self.is_usable(way);
        }
        if std::mem::replace(&mut self.usable, usable) == usable {
            return;
        }
        if !self.alternates.is_empty() || self.queue.has_parked() {
            self.submit_again(now);
        }
    }

    /// One of its sides.
    pub(super) fn side(&self, way: Way) -> Option<&Side> {
        match way {
            Way::Stream => Some(&self.stream),
            Way::Units => self.units.as_ref(),
            Way::Alternate(place) => self.alternates.get(usize::from(place)),
        }
    }

    /// One of its sides, to change.
    pub(super) fn side_mut(&mut self, way: Way) -> Option<&mut Side> {
        match way {
            Way::Stream => Some(&mut self.stream),
            Way::Units => self.units.as_mut(),
            Way::Alternate(place) => self.alternates.get_mut(usize::from(place)),
        }
    }

    /// When it wants to be woken.
    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        let late = self.queue.next_late().map(|at| Wakeup { at, why: "stanza expires" });
        let sides = std::iter::once(&self.stream).chain(&self.units).chain(&self.alternates);
        let sessions = sides.map(|side| Wakeup::earlier(side.session.next_wakeup(), side.next_overdue()));
        let mark = self.next_mark().map(|at| Wakeup { at, why: "stanzas wait" });
        let hold = self.queue.next_hold().map(|at| Wakeup { at, why: "stanza held by a rule" });
        let gathered = self.gathered.next_wakeup();
        sessions.chain([late, mark, hold, gathered, self.presence.next_wakeup()]).fold(None, Wakeup::earlier)
    }
}

/// What a peer's rules are made into.
fn rules(config: &PeerConfig, gateway: &Gateway) -> Result<(Filter, PrecedenceTable), String> {
    let filter = Filter::new(&config.filter)
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let precedence = PrecedenceTable::new(&config.precedence).map_err(|mistakes| format!("{mistakes:?}"))?;
    Ok((filter.with_gateway(gateway.clone()), precedence))
}

impl Chat {
    /// Takes other rules for its far sites, where [`ChatConfig::can_become`] says that they can change; they hold for
    /// what comes from now on.
    ///
    /// [`ChatConfig::can_become`]: super::config::ChatConfig::can_become
    //= xmpp/CHAT-010
    pub fn reconfigure(&mut self, now: Now, peers: &[PeerConfig]) {
        for config in peers {
            let Some(peer) = self.peers.iter_mut().find(|peer| peer.config.name == config.name) else { continue };
            // What the configuration's check lets through can be built: nobody sees this.
            if let Err(why) = peer.reconfigure(config, &self.gateway) {
                self.notice(&config.name, true, "rules_unusable", why);
            }
        }
        self.config.peers = peers.to_vec();
        self.settle(now);
    }

    /// A peer's side, to change.
    pub(super) fn side_mut(&mut self, line: Line) -> Option<&mut Side> {
        self.peers.get_mut(line.peer)?.side_mut(line.way)
    }

    /// The peer that a far domain belongs to: the most exact pattern wins.
    pub(super) fn peer_of(&self, domain: &str) -> Option<usize> {
        let exact = |peer: &Peer| peer.config.domains.iter().any(|known| known == domain);
        let first = self.peers.iter().position(exact);
        first.or_else(|| self.peers.iter().position(|peer| peer.config.has_domain(domain)))
    }

    /// Whatever of the peers is due.
    pub(super) fn peers_due(&mut self, now: Now) {
        for index in 0..self.peers.len() {
            let Some(peer) = self.peers.get_mut(index) else { continue };
            for way in peer.ways() {
                let due = |side: &&mut Side| side.session.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono);
                if let Some(side) = peer.side_mut(way).filter(due) {
                    side.session.handle_wakeup(now);
                }
            }
            if peer.presence.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
                let presence = peer.presence.handle_wakeup(now);
                self.presence_done(now, index, presence);
            }
            self.expire(now, index);
            self.write_owed_in_time(now, index);
            let unheld = self.peers.get_mut(index).map_or_else(Vec::new, |peer| peer.queue.unhold(now.mono));
            self.release(now, index, unheld);
            if let Some(peer) = self.peers.get_mut(index) {
                peer.mark_due(now);
                peer.apply_room(now);
            }
        }
    }

    /// Gives up what has waited too long and is not under way.
    //= xmpp/CHAT-003
    pub(super) fn expire(&mut self, now: Now, index: usize) {
        let late = self.peers.get_mut(index).map_or_else(Vec::new, |peer| peer.queue.late(now.mono));
        for number in late {
            // What is inside a block that is on its way is not taken back: it may get there.
            if self.peers.get_mut(index).is_some_and(|peer| peer.take_back(number)) {
                self.give_up(now, index, number, None, "its life is over");
            } else {
                self.answer_late_request(now, index, number);
            }
        }
    }

    /// Who asked is told that no answer came in time; one that comes later all the same is nobody's.
    fn answer_late_request(&mut self, now: Now, index: usize, number: u64) {
        let Some(waiting) = self.peers.get(index).and_then(|peer| peer.queue.get(number)) else { return };
        if Meaning::of(&waiting.stanza) != Meaning::Request {
            return;
        }
        let error = bounce(&waiting.stanza, &Complaint::of(Cause::Expired, Some(&self.config.domain)));
        if let Some(error) = error {
            self.reply(now, index, error, None);
        }
    }

    /// A stanza will not cross: its life is over, or for that cause.
    pub(super) fn give_up(&mut self, now: Now, index: usize, number: u64, cause: Option<Cause>, why: &str) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some((waiting, freed)) = peer.queue.remove(number) else { return };
        peer.presence.lost(&waiting.stanza);
        self.release(now, index, freed);
        if let Some(arrival) = waiting.arrival {
            self.door.taken(now, arrival);
        }
        let tells = self.peers.get(index).is_some_and(|peer| peer.config.errors.tells());
        let error = match waiting.fate.after {
            After::Bounce(expired) if tells => {
                bounce(&waiting.stanza, &Complaint::of(cause.unwrap_or(expired), Some(&self.config.domain)))
            }
            After::Bounce(_) | After::Drop | After::Never => None,
        };
        let fate = if error.is_some() { StanzaFate::Returned } else { StanzaFate::Discarded };
        self.line_out(now, index, number, &waiting, fate, why);
        match error {
            // The row stays until the sender has been told: after a crash it is told again.
            Some(error) => self.reply(now, index, error, waiting.fate.durable.then_some(number)),
            None if waiting.fate.durable => self.work.note(record::forget(Space::ChatOut, number)),
            None => {}
        }
    }

    /// A peer has been heard by a link. If it was believed to keep silence there it does no more, unless that was said
    /// only just now: then it may have been sent before. Whether its silence has ended.
    //= xmpp/CHAT-009
    pub fn heard(&mut self, now: Now, line: Line) -> bool {
        let Some(peer) = self.peers.get(line.peer) else { return false };
        let Some(side) = peer.side(line.way) else { return false };
        let silent = side.silent || peer.silent && !matches!(line.way, Way::Alternate(_));
        let fresh = side.silent_since.is_some_and(|since| now.mono.since(since) < HEARD_AFTER);
        if !silent || fresh {
            return false;
        }
        let (part, link) =
            (peer.name().to_owned(), peer.config.link_of(line.way).map_or_else(String::new, |it| it.to_string()));
        self.notice(&part, false, "silence_ended", format!("heard by {link}"));
        self.set_silence(now, line, false);
        true
    }

    /// The links whose silence ends with that of another: the first, and that for units while it is silent there.
    pub fn silent_together(&self, line: Line) -> Vec<Line> {
        let ways = self.peers.get(line.peer).map_or_else(Vec::new, |peer| peer.silent_together(line.way));
        ways.into_iter().map(|way| Line { way, ..line }).collect()
    }

    /// A peer begins or ends to keep silence on a link.
    //= xmpp/CHAT-004
    pub fn set_silence(&mut self, now: Now, line: Line, silent: bool) {
        let Some(peer) = self.peers.get_mut(line.peer) else { return };
        let since = silent.then_some(now.mono);
        for way in peer.silent_together(line.way) {
            if let Some(side) = peer.side_mut(way) {
                side.silent_since = since;
                side.silent = silent && matches!(way, Way::Alternate(_));
            }
        }
        if !matches!(line.way, Way::Alternate(_)) {
            peer.silent = silent;
        }
        peer.apply_room(now);
        // What is not yet in a block of the stream goes as units, or by another link.
        if peer.speaks_by_units() {
            peer.submit_again(now);
        }
        self.settle(now);
    }
}

//! The far sites: what each is configured with, and the machines that work for it.

use skywave_protocols::random::Random;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::fate::{After, Meaning};
use skywave_protocols::xmpp::local::{Cause, Complaint, Gateway, bounce};
use skywave_protocols::xmpp::precedence::PrecedenceTable;
use skywave_protocols::xmpp::presence::PresenceCache;
use skywave_protocols::xmpp::rules::{Direction, Facts, Filter, Verdict};
use skywave_transports::io::Space;

use super::config::{EmconRule, PeerConfig};
use super::queue::out::OutQueue;
use super::slow::Side;
use super::{Chat, Line, Way, record};
use crate::telemetry::StanzaFate;

/// A far site.
pub(super) struct Peer {
    pub(super) config: PeerConfig,
    pub(super) filter: Filter,
    pub(super) presence: PresenceCache,
    pub(super) precedence: PrecedenceTable,
    pub(super) queue: OutQueue,
    pub(super) stream: Side,
    pub(super) units: Option<Side>,
    /// It is known to keep silence.
    pub(super) silent: bool,
    /// When those that wait are looked at, whether they have to say so.
    pub(super) mark_at: Option<Instant>,
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
        let filter = Filter::new(&config.filter)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let precedence = PrecedenceTable::new(&config.precedence).map_err(|mistakes| format!("{mistakes:?}"))?;
        Ok(Self {
            filter: filter.with_gateway(gateway.clone()),
            precedence,
            presence: PresenceCache::new(config.presence.clone()),
            queue: OutQueue::default(),
            stream: Side::new(config.session.clone(), random()),
            units: config.units.as_ref().map(|(_, session)| Side::new(session.clone(), random())),
            silent: config.silent,
            mark_at: None,
            counters: Counters::default(),
            config,
        })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// What the rules say about a stanza.
    pub(super) fn judge(&mut self, now: Now, direction: Direction, stanza: &Stanza) -> Verdict {
        let link = &self.stream.link;
        let oldest = self.queue.iter().next().map_or(Duration::ZERO, |(_, waiting)| now.wall.since(waiting.since));
        let online = stanza.to().is_full().then(|| self.presence.is_online(stanza.to())).flatten();
        let facts = Facts {
            direction,
            peer: &self.config.name,
            link: &self.config.link,
            link_up: link.up && link.allowed,
            bits_per_second: link.medium.bits_per_second,
            precedence: self.precedence.of(stanza),
            queue_age: oldest,
            label_releasable: false,
            online,
            now,
        };
        self.filter.apply(&facts, stanza.clone())
    }

    /// Whether what is taken now goes as single units.
    pub(super) fn speaks_by_units(&self) -> bool {
        self.silent && self.config.emcon == EmconRule::Units && self.units.is_some()
    }

    /// One of its sides.
    pub(super) fn side(&self, way: Way) -> Option<&Side> {
        match way {
            Way::Stream => Some(&self.stream),
            Way::Units => self.units.as_ref(),
        }
    }

    /// One of its sides, to change.
    pub(super) fn side_mut(&mut self, way: Way) -> Option<&mut Side> {
        match way {
            Way::Stream => Some(&mut self.stream),
            Way::Units => self.units.as_mut(),
        }
    }

    /// When it wants to be woken.
    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        let late = self.queue.next_late().map(|at| Wakeup { at, why: "stanza expires" });
        let sides = [Some(&self.stream), self.units.as_ref()];
        let sides = sides.into_iter().flatten();
        let sessions = sides.map(|side| Wakeup::earlier(side.session.next_wakeup(), side.next_overdue()));
        let mark = self.next_mark().map(|at| Wakeup { at, why: "stanzas wait" });
        let hold = self.queue.next_hold().map(|at| Wakeup { at, why: "stanza held by a rule" });
        sessions.chain([late, mark, hold, self.presence.next_wakeup()]).fold(None, Wakeup::earlier)
    }
}

impl Chat {
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
            for way in [Way::Stream, Way::Units] {
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
            let taken_back = |peer: &mut Peer| !peer.queue.is_released(number) || peer.withdraw(number);
            if self.peers.get_mut(index).is_some_and(taken_back) {
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

    /// A peer begins or ends to keep silence.
    //= xmpp/CHAT-004
    pub fn set_silence(&mut self, now: Now, peer: usize, silent: bool) {
        let Some(it) = self.peers.get_mut(peer) else { return };
        let before = it.speaks_by_units();
        it.silent = silent;
        it.apply_room(now);
        if !before && it.speaks_by_units() {
            // What is not yet in a block of the stream goes as units.
            let waiting: Vec<u64> = it.queue.iter().map(|(number, _)| number).collect();
            for number in waiting {
                if it.queue.is_released(number) && it.stream.session.withdraw(number) {
                    it.submit(now, number);
                }
            }
        }
        self.settle(now);
    }
}

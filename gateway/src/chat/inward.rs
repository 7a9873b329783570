//! From a link to a local server: what a far site may say, and how it waits here.

use minidom::Element;
use rxml::xml_ncname;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::{Now, WallTime};
use skywave_protocols::xmpp::fate::Meaning;
use skywave_protocols::xmpp::limits::ReaderLimits;
use skywave_protocols::xmpp::local::{Cause, bounce, stamp};
use skywave_protocols::xmpp::presence::Presence;
use skywave_protocols::xmpp::rules::Verdict;
use skywave_protocols::xmpp::writer::set_attribute;
use skywave_protocols::xmpp::{Kind, Stanza, ns};
use skywave_transports::io::Space;

use super::queue::local::Handing;
use super::record::Record;
use super::{Chat, Line, Way};
use crate::telemetry::StanzaFate;

/// What is told of a stanza that came alone: it keeps no order.
pub const BY_UNIT: &str = "as a single unit";

impl Chat {
    /// A stanza that came with a session's records; what is made of it is in the same batch. One that came `early` waits
    /// for none.
    pub(super) fn inward(&mut self, now: Now, line: Line, stanza: Stanza, early: bool) {
        let index = line.peer;
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.counters.stanzas_arrived += 1;
        //= xmpp/LINK-003
        let ours =
            peer.config.serves(stanza.to().domain().as_str()) && self.config.is_local(stanza.to().domain().as_str());
        let theirs = self.peer_of(stanza.from().domain().as_str()) == Some(index);
        if !ours || !theirs {
            // Never a reason to end the link: it is counted, and an operator can see it.
            self.count(index, |counters| counters.stanzas_misaddressed += 1);
            let Some(peer) = self.peers.get(index).filter(|it| it.counters.stanzas_misaddressed.is_power_of_two())
            else {
                return;
            };
            let part = peer.name().to_owned();
            let detail = format!("{} from {} to {}", stanza.kind().name(), stanza.from(), stanza.to());
            return self.notice(&part, false, "stanza_misaddressed", detail);
        }
        // Its canonical form may break limits that the form that came did not: its row could not be read again.
        if !stanza.fits(ReaderLimits::LAN) {
            self.send_back(now, index, &stanza, Cause::TooLarge);
            self.count(index, |counters| counters.stanzas_dropped += 1);
            return self.line_of(now, index, &stanza, StanzaFate::Discarded, "built as no stanza is taken");
        }
        if self.refuses_confusable(now, line, &stanza) {
            return;
        }
        let Some(peer) = self.peers.get_mut(index) else { return };
        let verdict = peer.judge(now, Some(line.way), &stanza);
        self.tell_rules(index);
        match verdict {
            Verdict::Pass { stanza, .. } => self.inward_presence(now, line, stanza, early),
            Verdict::Drop => self.dropped(now, index, &stanza, "by a rule for what comes"),
            Verdict::Reply(answer) => {
                self.count(index, |counters| counters.stanzas_answered += 1);
                self.line_of(now, index, &stanza, StanzaFate::Answered, "by the gateway, to the far site");
                self.send_own(now, index, answer);
            }
        }
    }

    fn inward_presence(&mut self, now: Now, line: Line, stanza: Stanza, early: bool) {
        let index = line.peer;
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Presence { cross, replace: _, ends_join: _, back, on } = peer.presence.inbound(now, stanza);
        for stanza in back {
            self.send_own(now, index, stanza);
        }
        for stanza in cross.into_iter().chain(on) {
            self.hand(now, line, stanza, early);
        }
    }

    /// Puts a stanza that came into the queue for its local server, once the batch is on the disk, or early.
    fn hand(&mut self, now: Now, line: Line, stanza: Stanza, early: bool) {
        let index = line.peer;
        let Some(peer) = self.peers.get(index) else { return };
        let precedence = peer.precedence.of(&stanza);
        let fate = peer.config.lives.fate(&stanza, precedence);
        let number = self.numbers.take();
        let stanza = with_id(stanza, number, fate.durable);
        // What is kept on disk was given a place before: see `held`.
        if !fate.durable && !self.local.has_room_in_memory(stanza.to().domain().as_str()) {
            let why = "too many stanzas wait for local servers";
            // Of presence the newest is in the cache, and an error would have the far site say no more for an hour.
            let is_told = Meaning::of(&stanza) != Meaning::Presence;
            let fate = if is_told && self.send_back(now, index, &stanza, Cause::QueueFull) {
                self.count(index, |counters| counters.stanzas_returned += 1);
                StanzaFate::Returned
            } else {
                self.count(index, |counters| counters.stanzas_dropped += 1);
                StanzaFate::Discarded
            };
            return self.line_of(now, index, &stanza, fate, why);
        }
        let handing = Handing {
            peer: index,
            octets: stanza.size_octets(),
            since: now.wall,
            durable: fate.durable,
            own: false,
            // What goes to the server as soon as it is on the disk says so there at once.
            given: self.local.is_free(now.mono, &stanza),
            repeated: false,
            settles: None,
            stanza,
        };
        if fate.durable {
            self.work.write(self.record_in(&handing).write(Space::ChatIn, number));
            self.work.hurry(precedence);
        }
        let words = if line.way == Way::Units { BY_UNIT } else { "by the link" };
        self.line_in(now, number, &handing, StanzaFate::Arrived, words);
        if early && !fate.durable {
            self.push_local(now, number, handing);
        } else {
            self.work.after.handings.push((number, handing));
        }
    }

    /// The row of a stanza for a local server.
    fn record_in(&self, handing: &Handing) -> Record {
        let peer = self.peers.get(handing.peer);
        let precedence = peer.map_or(Precedence::Routine, |peer| peer.precedence.of(&handing.stanza));
        Record {
            peer: peer.map_or_else(String::new, |peer| peer.config.name.to_string()),
            since: handing.since,
            life: None,
            priority: precedence.mt_priority(),
            own: handing.own,
            route: None,
            bits_per_second_min: None,
            given: handing.given,
            kept: false,
            stanza: handing.stanza.octets().into(),
        }
    }

    /// Rows of what can go to local servers now, and does not say so yet, say so before it goes: only what may have
    /// reached a server is told as a possible duplicate after a crash.
    //= xmpp/CHAT-008
    pub(super) fn mark_given(&mut self, now: Now) {
        for number in self.local.unmarked(now.mono) {
            let Some(handing) = self.local.get(number) else { continue };
            let record = Record { given: true, ..self.record_in(handing) };
            self.work.write(record.write(Space::ChatIn, number));
            self.work.after.marks.push(number);
        }
    }

    /// The local server will never take it: its sender beyond the link is told, where an error may be sent for it.
    pub(super) fn send_back(&mut self, now: Now, index: usize, stanza: &Stanza, cause: Cause) -> bool {
        let mut complaint = self.complaint(cause);
        complaint.by = Some(&self.config.domain);
        let error = bounce(stanza, &complaint);
        let is_told = error.is_some();
        error.into_iter().for_each(|error| self.send_own(now, index, error));
        is_told
    }

    /// A message that waited says since when, once.
    //= xmpp/FATE-002
    pub(super) fn with_delay(&self, now: Now, number: u64, stanza: Stanza) -> Stanza {
        let Some(handing) = self.local.get(number).filter(|handing| !handing.own) else { return stanza };
        let Some(peer) = self.peers.get(handing.peer) else { return stanza };
        let fate = peer.config.lives.fate(&stanza, peer.precedence.of(&stanza));
        if !peer.config.lives.tells_delay(&stanza, &fate, now.wall.since(handing.since)) {
            return stanza;
        }
        delayed(stanza, handing.since, &self.config.domain)
    }

    /// Whether what a local server did not confirm is given to it again: all that came by a link but what matters now or
    /// never. Of presence the newest is.
    //= xmpp/CHAT-013
    pub(super) fn is_kept(&self, number: u64, handing: &Handing) -> bool {
        let passes = matches!(Meaning::of(&handing.stanza), Meaning::Aside | Meaning::Headline);
        let is_answer = handing.own && handing.state().is_none();
        let is_news = !is_answer && !passes && !self.local.is_outdated(number);
        handing.durable || handing.settles.is_some() || is_news
    }

    /// Has a stanza wait for its server.
    pub(super) fn push_local(&mut self, now: Now, number: u64, handing: Handing) {
        if let Some((older, gone)) = self.local.push(number, handing) {
            self.line_in(now, older, &gone, StanzaFate::Replaced, "by a newer one");
        }
    }
}

/// A message that may be handed over twice bears the same id both times.
fn with_id(mut stanza: Stanza, number: u64, durable: bool) -> Stanza {
    if durable && stanza.kind() == Kind::Message && stanza.id().is_none() {
        // The address parts do not change: this cannot fail.
        let _ = stanza.edit(|element| set_attribute(element, xml_ncname!("id"), format!("sw-{number:x}")));
    }
    stanza
}

/// The same stanza with the mark of XEP-0203: we have had it since then.
pub(super) fn delayed(mut stanza: Stanza, since: WallTime, by: &str) -> Stanza {
    let mut delay = Element::bare("delay", ns::DELAY);
    set_attribute(&mut delay, xml_ncname!("from"), by);
    set_attribute(&mut delay, xml_ncname!("stamp"), stamp(since));
    // The address parts do not change: this cannot fail.
    let _ = stanza.edit(|element| {
        element.append_child(delay);
    });
    stanza
}

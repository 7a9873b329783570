//! What the house owes chat, looked at after each step.
//!
//! - Conservation: a message that a node told as accepted on its disk is at all times at a user of the far site, returned
//!   to its sender, told as given up where nobody may be told, or on some disk.
//! - Nothing reaches a user twice, except what was under way to a local server when a node crashed or a connection broke;
//!   each time the node has told before that it may come again.
//! - Inside a conversation messages of one precedence arrive in the order in which they were accepted, but for single units
//!   among each other.
//!
//! The profiles of the XEPs (`standard`, `m-link-r17`) are held to what their confirmations say, which is less: what a
//! node told as written to the link, or as confirmed by the far node, is lost if the link broke, a gateway was away or a
//! stream could not be read on while it was on its way to the far disk; and what was not confirmed by then may come
//! again. Without such a break nothing is excused: `docs/adr/0030`. Nor do they keep the order of a conversation whose
//! messages take two links: what the far node confirmed on the one it may hand on later than what comes by the other.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Instant;
use skywave_protocols::xmpp::slow::Profile;
use skywave_protocols::xmpp::{Kind, Stanza};

use super::World;
use super::message_key::{MessageKey, key_of};
use super::plan::CHAT_LINK;
use super::site::Site;
use super::xmpp_server::Got;
use crate::chat::config::PeerConfig;
use crate::chat::{BY_FAR_GATEWAY, BY_UNIT};
use crate::telemetry::{Event, StanzaFate, StanzaLine};

/// Told of a stanza that is on a disk: here, or that of the far gateway, which was faster.
const KEPT: [&str; 2] = ["on disk", BY_FAR_GATEWAY];
/// Told of a stanza that is with the link or the far node, and perhaps on nobody's disk.
const WEAKLY_SENT: [&str; 2] = ["written to the link", "confirmed by the far node"];
/// Told when a stream that others may have written to cannot be read on.
const STREAM_BREAKS: [&str; 2] = ["chat-stream-broken", "chat-stream-ended"];

/// What is owed for one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChatDuty {
    /// Which.
    pub key: MessageKey,
    /// Its id where it was accepted.
    pub id: String,
    /// When it was accepted.
    pub accepted_at: Instant,
    /// Its precedence.
    pub precedence: Precedence,
    /// When users got it.
    pub delivered: Vec<Instant>,
    /// Its sender got an error.
    pub returned: bool,
    /// A node said that it gave it up without telling anybody.
    pub given_up: bool,
    /// It crosses by a profile that confirms no more than the XEPs do.
    pub plain: bool,
    /// Others of its conversation may come by another link before it.
    pub loose: bool,
    /// A node said that it is with the link or the far node, which is not the far disk.
    pub sent: bool,
    /// Something broke while it was on no disk of the far site.
    pub in_doubt: bool,
}

impl ChatDuty {
    /// Whether nothing more is owed.
    pub fn is_met(&self) -> bool {
        !self.delivered.is_empty() || self.returned || self.given_up || (self.sent && self.in_doubt)
    }
}

/// The memory of these checks. See the module.
#[derive(Debug, Default)]
pub struct ChatDuties {
    /// All duties, in the order of acceptance.
    pub duties: Vec<ChatDuty>,
    /// By sender, addressee and id where it was accepted.
    by_id: BTreeMap<(String, String, String), usize>,
    by_key: BTreeMap<MessageKey, Vec<usize>>,
    /// Told as accepted since the last step.
    fresh: Vec<(Instant, usize, StanzaLine)>,
    /// What users got, before it was told as accepted or after.
    delivered: BTreeMap<MessageKey, Vec<Instant>>,
    returned: BTreeSet<(String, String, String)>,
    /// How often what a link had may have come again by it.
    by_link: BTreeMap<MessageKey, usize>,
    /// How often what was under way to a server at a crash may have been handed over, by its row.
    by_crash: BTreeMap<MessageKey, usize>,
    /// How often a node told that a hand-over had an end that nobody knows: by site, sender, addressee and id there.
    by_break: BTreeMap<(usize, String, String, String), usize>,
    /// How often a node told that a hand-over may be the second, or is going to be, likewise.
    announced: BTreeMap<(usize, String, String, String), usize>,
    /// Came as single units, by site, sender, addressee and id there.
    by_unit: BTreeSet<(usize, String, String, String)>,
    /// The last of a conversation and precedence that arrived, by its place among the duties: as a single unit or not.
    last: BTreeMap<(String, String, Precedence, bool), usize>,
    seen: BTreeMap<(usize, bool), usize>,
    /// A link or a gateway broke since the last step.
    broken: bool,
}

impl ChatDuties {
    /// A node told something about a stanza.
    pub(super) fn told(&mut self, at: Instant, site: usize, line: &StanzaLine) {
        if line.kind != "message" {
            return;
        }
        match line.status {
            StanzaFate::Accepted if KEPT.contains(&line.text.as_str()) => self.fresh.push((at, site, line.clone())),
            StanzaFate::Discarded => {
                let id = (line.from.clone(), line.to.clone(), line.id.clone());
                if let Some(duty) = self.by_id.get(&id).and_then(|&index| self.duties.get_mut(index)) {
                    duty.given_up = true;
                }
            }
            StanzaFate::Sent if WEAKLY_SENT.contains(&line.text.as_str()) => {
                let id = (line.from.clone(), line.to.clone(), line.id.clone());
                if let Some(duty) = self.by_id.get(&id).and_then(|&index| self.duties.get_mut(index)) {
                    duty.sent = true;
                }
            }
            // Whether it had reached the server nobody can tell.
            StanzaFate::Deferred => {
                *self.by_break.entry(there(site, line)).or_default() += 1;
                *self.announced.entry(there(site, line)).or_default() += 1;
            }
            StanzaFate::Arrived if line.text == BY_UNIT => _ = self.by_unit.insert(there(site, line)),
            StanzaFate::PossibleDuplicate => *self.announced.entry(there(site, line)).or_default() += 1,
            _other => {}
        }
    }

    /// What was told as accepted becomes a duty.
    fn accept(&mut self, world: &World) {
        for (at, site, line) in std::mem::take(&mut self.fresh) {
            let id = (line.from.clone(), line.to.clone(), line.id.clone());
            let is_it = |sent: &&super::xmpp_server::Sent| {
                let stanza = &sent.stanza;
                stanza.id().unwrap_or_default() == line.id
                    && stanza.from().as_str() == line.from
                    && stanza.to().as_str() == line.to
            };
            let sent = world.sites.get(site).and_then(|site| site.xmpp.sent().iter().rev().find(is_it));
            let Some(key) = sent.and_then(|sent| key_of(&sent.stanza)) else { continue };
            let already = self.by_key.get(&key).map_or(0, Vec::len);
            let delivered = self.delivered.get(&key).and_then(|times| times.get(already)).copied();
            let index = self.duties.len();
            self.by_key.entry(key.clone()).or_default().push(index);
            self.by_id.insert(id.clone(), index);
            self.duties.push(ChatDuty {
                key,
                id: line.id,
                accepted_at: at,
                precedence: line.precedence,
                delivered: delivered.into_iter().collect(),
                returned: self.returned.contains(&id),
                given_up: false,
                plain: is_plain(world, site, &line.to),
                loose: is_plain(world, site, &line.to) && peer(world, site, &line.to).is_some_and(has_alternates),
                sent: false,
                in_doubt: false,
            });
        }
    }

    /// A node told something else: does it break what is on its way?
    pub(super) fn told_of_link(&mut self, event: &Event) {
        self.broken |= match event {
            // What a node confirmed while its gateway was away nobody has.
            Event::LinkDown { link, .. } | Event::LinkUp { link } => link.starts_with(CHAT_LINK),
            Event::Notice { name, .. } => STREAM_BREAKS.contains(&name.as_str()),
            _other => false,
        };
    }

    /// A site begins a life: what went to it meanwhile, or came from it before, may be lost or come again.
    pub(super) fn started(&mut self) {
        self.broken = true;
    }

    /// Something broke. What is on no disk of the far site may be lost, and what its sender keeps may come again.
    fn broke(&mut self, world: &World) {
        for duty in self.duties.iter_mut().filter(|duty| duty.plain) {
            duty.in_doubt |= !world.sites.iter().any(|site| site.disk.hands_chat(&duty.key));
        }
        // Also what was on the disk when a crash came before anybody was told so.
        for (index, site) in world.sites.iter().enumerate() {
            for key in site.disk.chat_sent().filter(|key| is_plain(world, index, &key.1)) {
                *self.by_link.entry(key.clone()).or_default() += 1;
            }
        }
    }

    /// A site crashed: what was under way to its server there may have been handed over; its row says so.
    pub(super) fn crashed(&mut self, site: &Site) {
        self.broken = true;
        for key in site.disk.chat_given() {
            *self.by_crash.entry(key.clone()).or_default() += 1;
        }
    }

    /// Looks at what users got since the last step; yields what is wrong.
    pub(super) fn after_step(&mut self, world: &World) -> Vec<String> {
        self.accept(world);
        if std::mem::take(&mut self.broken) {
            self.broke(world);
        }
        let mut wrong = Vec::new();
        for (index, site) in world.sites.iter().enumerate() {
            for (rooms, all) in [(false, site.xmpp.got()), (true, site.xmpp.at_rooms())] {
                let seen = self.seen.insert((index, rooms), all.len()).unwrap_or(0);
                for got in all.iter().skip(seen).filter(|got| got.stanza.kind() == Kind::Message) {
                    wrong.extend(self.got(index, site, got));
                }
            }
        }
        wrong
    }

    fn got(&mut self, index: usize, site: &Site, got: &Got) -> Option<String> {
        let stanza = &got.stanza;
        if stanza.is_error() {
            let id = stanza.id().unwrap_or_default().to_owned();
            let id = (stanza.to().to_string(), stanza.from().to_string(), id);
            if let Some(duty) = self.by_id.get(&id).and_then(|&index| self.duties.get_mut(index)) {
                duty.returned = true;
            }
            self.returned.insert(id);
            return None;
        }
        if is_local(site, stanza) {
            return None;
        }
        let key = key_of(stanza)?;
        let id = stanza.id().unwrap_or_default().to_owned();
        let there = (index, stanza.from().to_string(), stanza.to().to_string(), id);
        let times = self.delivered.entry(key.clone()).or_default();
        times.push(got.at);
        let count = times.len();
        let duties = self.by_key.get(&key).cloned().unwrap_or_default();
        let of_key = |of: &BTreeMap<MessageKey, usize>| of.get(&key).copied().unwrap_or(0);
        let of_stanza = |of: &BTreeMap<_, usize>| of.get(&there).copied().unwrap_or(0);
        let expected = duties.len().max(1) + of_key(&self.by_link);
        if count > expected + of_key(&self.by_crash) + of_stanza(&self.by_break) {
            return Some(format!("{}: {key:?} reached a user {count} times", site.name));
        }
        if count > expected + of_stanza(&self.announced) {
            return Some(format!("{}: {key:?} reached a user {count} times without a warning", site.name));
        }
        let &duty = duties.get(count - 1).or_else(|| duties.last())?;
        let by_unit = self.by_unit.contains(&there);
        self.in_order(site, duty, got.at, by_unit, count > duties.len())
    }

    /// Notes an arrival, and whether something later of its conversation came before it.
    fn in_order(&mut self, site: &Site, index: usize, at: Instant, by_unit: bool, repeated: bool) -> Option<String> {
        let duty = self.duties.get_mut(index)?;
        duty.delivered.push(at);
        let conversation = |alone| (bare(&duty.key.0), bare(&duty.key.1), duty.precedence, alone);
        let is_before = |last: Option<&usize>| last.is_some_and(|&last| last > index);
        let passed = is_before(self.last.get(&conversation(false)));
        let passed = passed || !by_unit && is_before(self.last.get(&conversation(true)));
        let last = self.last.entry(conversation(by_unit)).or_insert(index);
        *last = index.max(*last);
        (passed && !repeated && !duty.loose)
            .then(|| format!("{}: {:?} came after a later one of its conversation", site.name, duty.key))
    }

    /// What is nowhere.
    pub(super) fn conservation(&self, world: &World) -> Vec<String> {
        let open = self.duties.iter().filter(|duty| !duty.is_met() && !duty.sent);
        let lost = open.filter(|duty| !world.sites.iter().any(|site| site.disk.owes_chat(&duty.key)));
        let words = |duty: &ChatDuty| {
            format!(
                "at {:.3} s {:?} is neither with a user, returned, nor on a disk",
                world.at().as_micros() as f64 / 1e6,
                duty.key
            )
        };
        lost.map(words).collect()
    }

    /// Whether something that was told as sent is not yet with anybody: it may be in the memory of a gateway whose disk fails.
    pub(super) fn are_under_way(&self) -> bool {
        self.duties.iter().any(|duty| duty.sent && !duty.is_met())
    }

    /// What must be true at the end.
    pub(super) fn at_the_end(&self) -> Vec<String> {
        let open = self.duties.iter().filter(|duty| !duty.is_met());
        open.map(|duty| format!("{:?} was accepted, and neither delivered nor returned", duty.key)).collect()
    }
}

/// A stanza where it is handed over.
fn there(site: usize, line: &StanzaLine) -> (usize, String, String, String) {
    (site, line.from.clone(), line.to.clone(), line.id.clone())
}

fn bare(address: &str) -> String {
    address.split('/').next().unwrap_or_default().to_owned()
}

/// Whether a site reaches an address by a profile without confirmations of its own.
fn is_plain(world: &World, site: usize, to: &str) -> bool {
    peer(world, site, to).is_some_and(|peer| matches!(peer.session.profile, Profile::Standard | Profile::MLinkR17))
}

fn has_alternates(peer: &PeerConfig) -> bool {
    !peer.alternates.is_empty()
}

/// The far site of an address.
fn peer<'a>(world: &'a World, site: usize, to: &str) -> Option<&'a PeerConfig> {
    let domain = bare(to).rsplit('@').next().unwrap_or_default().to_owned();
    let chat = world.sites.get(site)?.config.chat.as_ref()?;
    chat.peers.iter().find(|peer| peer.has_domain(&domain))
}

/// Between users and rooms of one server.
fn is_local(site: &Site, stanza: &Stanza) -> bool {
    let own = &*site.config.site;
    let domain = stanza.from().domain();
    domain.as_str() == own || domain.as_str().strip_suffix(own).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use skywave_transports::modem::weather::Weather;

    use super::*;

    fn line(status: StanzaFate, text: &str) -> StanzaLine {
        StanzaLine {
            number: "1".to_owned(),
            kind: "message",
            id: "x1".to_owned(),
            from: "a@hq.test/desk".to_owned(),
            to: "b@field.test".to_owned(),
            peer: "field".to_owned(),
            bytes: 100,
            delay_seconds: 0.0,
            precedence: Precedence::Routine,
            status,
            text: text.to_owned(),
        }
    }

    fn owing(plain: bool) -> ChatDuties {
        let line = line(StanzaFate::Accepted, "on disk");
        let key = (line.from.clone(), line.to.clone(), "hello".to_owned());
        let duty = ChatDuty {
            key: key.clone(),
            id: line.id.clone(),
            accepted_at: Instant::ZERO,
            precedence: line.precedence,
            delivered: Vec::new(),
            returned: false,
            given_up: false,
            plain,
            loose: false,
            sent: false,
            in_doubt: false,
        };
        let by_id = BTreeMap::from([((line.from, line.to, line.id), 0)]);
        ChatDuties { duties: vec![duty], by_id, by_key: BTreeMap::from([(key, vec![0])]), ..ChatDuties::default() }
    }

    #[test]
    fn only_what_broke_on_its_way_by_a_plain_profile_may_stay_away() {
        let world = World::new(1, &Weather::default());
        let down = |link: &str| Event::LinkDown { link: link.to_owned(), why: "x".to_owned() };
        for (plain, said, breaks, lost_now, lost_at_the_end) in [
            (true, "", false, 1, 1),
            (true, "", true, 1, 1),
            (true, "written to the link", false, 0, 1),
            (true, "written to the link", true, 0, 0),
            (true, "confirmed by the far node", true, 0, 0),
            (true, "taken over by the far gateway", true, 1, 1),
            (false, "taken over by the far gateway", true, 1, 1),
        ] {
            let mut duties = owing(plain);
            duties.told(Instant::ZERO, 0, &line(StanzaFate::Sent, said));
            duties.told_of_link(&down("hf"));
            assert!(!duties.broken, "another link");
            if breaks {
                duties.told_of_link(&down("chat-field"));
            }
            assert_eq!(duties.after_step(&world), Vec::<String>::new());
            let found = (duties.conservation(&world).len(), duties.at_the_end().len());
            assert_eq!(found, (lost_now, lost_at_the_end), "{plain} {said} {breaks}");
        }
    }
}

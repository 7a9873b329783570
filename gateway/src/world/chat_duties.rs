//! What the house owes chat, looked at after each step.
//!
//! - Conservation: a message that a node told as accepted on its disk is at all times at a user of the far site, returned
//!   to its sender, told as given up where nobody may be told, or on some disk.
//! - Nothing reaches a user twice, except what was under way to a local server when a node crashed or a connection broke.
//! - Inside a conversation messages of one precedence arrive in the order in which they were accepted.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Instant;
use skywave_protocols::xmpp::{Kind, Stanza, ns};

use super::World;
use super::site::Site;
use super::xmpp_server::Got;
use crate::telemetry::{StanzaFate, StanzaLine};

/// Sender, addressee and text of a message: its id may be another one beyond the link.
pub type MessageKey = (String, String, String);

/// The key of a message that says something, or sets a subject.
pub fn key_of(stanza: &Stanza) -> Option<MessageKey> {
    let said = stanza.child(ns::SERVER, "body").or_else(|| stanza.child(ns::SERVER, "subject"))?;
    Some((stanza.from().to_string(), stanza.to().to_string(), said.text()))
}

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
}

impl ChatDuty {
    /// Whether nothing more is owed.
    pub fn is_met(&self) -> bool {
        !self.delivered.is_empty() || self.returned || self.given_up
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
    repeats_allowed: BTreeMap<MessageKey, usize>,
    /// Handed over with an end that nobody knows: site and id there.
    doubtful: Vec<(usize, String)>,
    /// The last of a conversation and precedence that arrived, by its place among the duties.
    last: BTreeMap<(String, String, Precedence), usize>,
    seen: BTreeMap<(usize, bool), usize>,
}

impl ChatDuties {
    /// A node told something about a stanza.
    pub(super) fn told(&mut self, at: Instant, site: usize, line: &StanzaLine) {
        if line.kind != "message" {
            return;
        }
        match line.status {
            StanzaFate::Accepted if line.text == "on disk" => self.fresh.push((at, site, line.clone())),
            StanzaFate::Discarded => {
                let id = (line.from.clone(), line.to.clone(), line.id.clone());
                if let Some(duty) = self.by_id.get(&id).and_then(|&index| self.duties.get_mut(index)) {
                    duty.given_up = true;
                }
            }
            // Whether it had reached the server nobody can tell.
            StanzaFate::Deferred => self.doubtful.push((site, line.id.clone())),
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
            });
        }
    }

    /// A site crashed: what was under way to its server there may have been handed over; its row says so.
    pub(super) fn crashed(&mut self, site: &Site) {
        for key in site.disk.chat_given() {
            *self.repeats_allowed.entry(key.clone()).or_default() += 1;
        }
    }

    /// Looks at what users got since the last step; yields what is wrong.
    pub(super) fn after_step(&mut self, world: &World) -> Vec<String> {
        self.accept(world);
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
        let doubtful = (index, stanza.id().unwrap_or_default().to_owned());
        if self.doubtful.contains(&doubtful) {
            *self.repeats_allowed.entry(key.clone()).or_default() += 1;
        }
        let times = self.delivered.entry(key.clone()).or_default();
        times.push(got.at);
        let count = times.len();
        let duties = self.by_key.get(&key).cloned().unwrap_or_default();
        let repeats = self.repeats_allowed.get(&key).copied().unwrap_or(0);
        if count > duties.len().max(1) + repeats {
            return Some(format!("{}: {key:?} reached a user {count} times", site.name));
        }
        let &duty = duties.get(count - 1).or_else(|| duties.last())?;
        self.in_order(site, duty, got.at, count > duties.len())
    }

    /// Notes an arrival, and whether something later of its conversation came before it.
    fn in_order(&mut self, site: &Site, index: usize, at: Instant, repeated: bool) -> Option<String> {
        let duty = self.duties.get_mut(index)?;
        duty.delivered.push(at);
        let conversation = (bare(&duty.key.0), bare(&duty.key.1), duty.precedence);
        let last = self.last.entry(conversation).or_insert(index);
        let late = !repeated && *last > index;
        *last = index.max(*last);
        late.then(|| format!("{}: {:?} came after a later one of its conversation", site.name, duty.key))
    }

    /// What is nowhere.
    pub(super) fn conservation(&self, world: &World) -> Vec<String> {
        let open = self.duties.iter().filter(|duty| !duty.is_met());
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

    /// What must be true at the end.
    pub(super) fn at_the_end(&self) -> Vec<String> {
        let open = self.duties.iter().filter(|duty| !duty.is_met());
        open.map(|duty| format!("{:?} was accepted, and neither delivered nor returned", duty.key)).collect()
    }
}

fn bare(address: &str) -> String {
    address.split('/').next().unwrap_or_default().to_owned()
}

/// Between users and rooms of one server.
fn is_local(site: &Site, stanza: &Stanza) -> bool {
    let own = &*site.config.site;
    let domain = stanza.from().domain();
    domain.as_str() == own || domain.as_str().strip_suffix(own).is_some_and(|rest| rest.ends_with('.'))
}

//! What far contacts show local subscribers, and which questions about them need not cross.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use jid::Jid;

use super::super::local::presence;
use super::super::stanza::Stanza;
use super::body::{Body, Pair, Pool, address, content, presence_of};
use super::config::{OnLinkDown, PresenceConfig, PresenceSync, SyntheticPresence};
use super::limits::{PAIRS_MAX, PER_WAKEUP_MAX, RESOURCES_MAX};
use super::recent::Recent;
use super::record::{Reader, Writer};
use crate::time::{Duration, Instant, Now, WallTime};

/// Whether the contact lets the subscriber see its presence, as far as was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Authorised {
    /// Nothing was seen yet.
    #[default]
    Unknown,
    /// `subscribed`, or any presence.
    Yes,
    /// `unsubscribed`.
    No,
}

/// One client of a contact; the resource is empty for the bare address.
#[derive(Debug)]
struct Seen {
    resource: Arc<str>,
    body: Body,
    at: WallTime,
}

/// What one contact shows one subscriber.
#[derive(Debug, Default)]
pub(super) struct Contact {
    authorised: Authorised,
    /// When something about it was last heard; `None` when what is kept is no answer.
    heard: Option<WallTime>,
    seen: Vec<Seen>,
    /// Since when it may have changed without our hearing of it.
    stale_since: Option<WallTime>,
    /// When its question last crossed.
    asked: Option<Instant>,
    /// It was shown as unavailable because of an outage.
    hidden: bool,
}

/// What becomes of a question.
#[derive(Debug)]
pub(super) enum Question {
    /// It crosses, from the bare address.
    Cross(Stanza),
    /// It is answered here; with nothing when nothing is to be said.
    Answered(Vec<Stanza>),
}

/// Contacts as they are to appear, and behind which others follow.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) stanzas: Vec<Stanza>,
    pub(super) next: Option<Pair>,
}

/// The contacts of one peer.
#[derive(Debug)]
pub(super) struct Contacts {
    pairs: Recent<Pair, Contact>,
    /// Rows to write or delete.
    pub(super) changed: BTreeSet<Pair>,
}

/// The link as far as presence is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkView {
    pub(super) up: bool,
    pub(super) now: Now,
}

impl Contacts {
    pub(super) const fn new() -> Self {
        Self { pairs: Recent::new(PAIRS_MAX), changed: BTreeSet::new() }
    }

    fn contact(&mut self, pair: &Pair) -> &mut Contact {
        self.changed.insert(pair.clone());
        let (contact, gone) = self.pairs.entry(pair, Contact::default);
        self.changed.extend(gone);
        contact
    }

    /// Available presence of a contact to a subscriber (bare address).
    //= xmpp/PRES-001
    pub(super) fn show(&mut self, pool: &mut Pool, at: WallTime, stanza: &Stanza) {
        let pair = pair_of(pool, stanza.from(), stanza.to());
        let resource = pool.text(stanza.from().resource().map_or("", |resource| resource.as_str()));
        let body = pool.body(&content(stanza));
        let contact = self.contact(&pair);
        contact.news(at);
        contact.seen.retain(|seen| seen.resource != resource);
        match body {
            Some(body) if contact.seen.len() < RESOURCES_MAX => contact.seen.push(Seen { resource, body, at }),
            // What is not kept whole is no answer: the question crosses.
            Some(_) | None => contact.heard = None,
        }
    }

    /// Unavailable presence of a client, or of all when it comes from the bare address.
    pub(super) fn gone(&mut self, pool: &mut Pool, at: WallTime, stanza: &Stanza) {
        let pair = pair_of(pool, stanza.from(), stanza.to());
        let resource = stanza.from().resource().map(|resource| resource.as_str().to_owned());
        let contact = self.contact(&pair);
        contact.news(at);
        contact.seen.retain(|seen| resource.as_ref().is_some_and(|resource| *seen.resource != **resource));
    }

    /// The contact said who may see it.
    pub(super) fn authorise(&mut self, pool: &mut Pool, contact: &Jid, subscriber: &Jid, authorised: Authorised) {
        let pair = pair_of(pool, contact, subscriber);
        let contact = self.contact(&pair);
        contact.authorised = authorised;
        contact.asked = None;
        if authorised == Authorised::No {
            contact.seen.clear();
            contact.heard = None;
        }
    }

    /// Somebody asks for a contact's presence.
    //= xmpp/PRES-002
    pub(super) fn question(
        &mut self,
        pool: &mut Pool,
        link: LinkView,
        config: &PresenceConfig,
        probe: &Stanza,
    ) -> Question {
        let pair = pair_of(pool, probe.to(), probe.from());
        let (contact, gone) = self.pairs.entry(&pair, Contact::default);
        self.changed.extend(gone);
        let nothing = Question::Answered(Vec::new());
        let to = probe.from();
        if contact.authorised == Authorised::Yes {
            if !link.up && config.on_link_down == OnLinkDown::Offline {
                return Question::Answered(unavailable(&pair.0, to));
            }
            if contact.is_answer(link.now.wall, config) || !link.up {
                return Question::Answered(contact.answers(&pair.0, to, link.now.wall, config));
            }
        }
        // Nobody answers a stranger's question; asking again soon is air for nothing.
        let again = Duration::from_secs(config.ask_again_seconds);
        if contact.asked.is_some_and(|asked| link.now.mono.since(asked) < again) {
            return nothing;
        }
        contact.asked = Some(link.now.mono);
        presence_from_bare(&pair).map_or(nothing, Question::Cross)
    }

    /// Whether a client, or an account, is online; `None` when nobody knows.
    pub(super) fn online(&self, address: &Jid) -> Option<bool> {
        let bare: Arc<str> = address.to_bare().as_str().into();
        let resource = address.resource().map(|resource| resource.as_str());
        let from = (Arc::clone(&bare), Arc::from(""));
        let mut known = None;
        for (_, contact) in self.pairs.range(from..).take_while(|((contact, _), _)| *contact == bare) {
            if contact.heard.is_some() {
                let here = contact.seen.iter().any(|seen| resource.is_none_or(|resource| *seen.resource == *resource));
                known = Some(known.unwrap_or(false) || here);
            }
        }
        known
    }

    /// The link went: what is kept may be out of date from now on.
    pub(super) fn link_lost(&mut self, at: WallTime) {
        for (_, contact) in self.pairs.iter_mut().filter(|(_, contact)| contact.stale_since.is_none()) {
            contact.stale_since = Some(at);
        }
    }

    /// The link is back: what the far site sends by itself is right again.
    pub(super) fn link_back(&mut self, config: &PresenceConfig) {
        if config.sync() == PresenceSync::Push {
            self.pairs.iter_mut().for_each(|(_, contact)| contact.stale_since = None);
        }
    }

    /// What was hidden is shown again, from behind one contact on.
    pub(super) fn show_again(&mut self, config: &PresenceConfig, behind: Option<Pair>) -> Shown {
        self.some_of(behind, |pair, contact, shown| {
            if config.sync() != PresenceSync::Probe && std::mem::take(&mut contact.hidden) {
                shown.extend(contact.present(pair));
            }
            if config.synthetic == SyntheticPresence::LinkUp && contact.is_silent() {
                shown.extend(synthetic(&pair.0, &pair.1, config, None));
            }
        })
    }

    /// The outage is long: everybody who was available appears as unavailable, once; from behind one contact on.
    //= xmpp/PRES-006
    pub(super) fn hide(&mut self, config: &PresenceConfig, behind: Option<Pair>) -> Shown {
        self.some_of(behind, |pair, contact, shown| {
            if !std::mem::replace(&mut contact.hidden, !contact.seen.is_empty()) {
                let to = Jid::new(&pair.1).ok();
                let clients = contact.seen.iter().filter_map(|seen| client(&pair.0, &seen.resource));
                shown.extend(to.iter().flat_map(|to| {
                    clients.clone().filter_map(|from| presence(&from, to, Some("unavailable"))).collect::<Vec<_>>()
                }));
            }
            if config.synthetic == SyntheticPresence::LinkUp && contact.is_silent() {
                shown.extend(synthetic(&pair.0, &pair.1, config, Some("unavailable")));
            }
        })
    }

    /// Goes through the contacts behind one, until enough is shown.
    fn some_of(&mut self, behind: Option<Pair>, show: impl Fn(&Pair, &mut Contact, &mut Vec<Stanza>)) -> Shown {
        let mut stanzas = Vec::new();
        let start = behind.map_or(Bound::Unbounded, Bound::Excluded);
        for (pair, contact) in self.pairs.range_mut((start, Bound::Unbounded)) {
            show(pair, contact, &mut stanzas);
            // One contact has few clients.
            if stanzas.len() >= PER_WAKEUP_MAX {
                return Shown { stanzas, next: Some(pair.clone()) };
            }
        }
        Shown { stanzas, next: None }
    }

    /// The next contact to ask after an outage.
    pub(super) fn resync(&mut self, now: Now, config: &PresenceConfig) -> Option<Stanza> {
        let again = Duration::from_secs(config.ask_again_seconds);
        let (pair, contact) = self.pairs.iter_mut().find(|(_, contact)| contact.wants_resync(now, again))?;
        contact.asked = Some(now.mono);
        presence_from_bare(pair)
    }

    /// Whether somebody is to be asked.
    pub(super) fn wants_resync(&self, now: Now, config: &PresenceConfig) -> bool {
        let again = Duration::from_secs(config.ask_again_seconds);
        self.pairs.iter().any(|(_, contact)| contact.wants_resync(now, again))
    }

    /// What the contact showed last came from the gateway and not from it: an error about it is nobody's business.
    pub(super) fn is_hidden(&self, pool: &mut Pool, contact: &Jid, subscriber: &Jid) -> bool {
        self.pairs.get(&pair_of(pool, contact, subscriber)).is_some_and(|contact| contact.hidden)
    }

    pub(super) fn write(&self, pair: &Pair) -> Option<bytes::Bytes> {
        let contact = self.pairs.get(pair)?;
        let mut writer = Writer::default();
        writer.number(match contact.authorised {
            Authorised::Unknown => 0,
            Authorised::Yes => 1,
            Authorised::No => 2,
        });
        writer.number(contact.heard.map_or(0, WallTime::unix_micros));
        for seen in &contact.seen {
            writer.part(seen.resource.as_bytes()).number(seen.at.unix_micros()).part(&seen.body);
        }
        Some(writer.finish())
    }

    /// Reads a row; `None` when it is none.
    pub(super) fn read(&mut self, pool: &mut Pool, pair: &Pair, value: &[u8]) -> Option<()> {
        let mut reader = Reader(value);
        let authorised = match reader.number()? {
            0 => Authorised::Unknown,
            1 => Authorised::Yes,
            2 => Authorised::No,
            _ => return None,
        };
        let heard = Some(reader.number()?).filter(|heard| *heard > 0).map(WallTime::from_unix_micros);
        let mut contact = Contact { authorised, heard, ..Contact::default() };
        while !reader.is_empty() && contact.seen.len() < RESOURCES_MAX {
            let resource = pool.text(std::str::from_utf8(reader.part()?).ok()?);
            let at = WallTime::from_unix_micros(reader.number()?);
            let octets = reader.part()?;
            Stanza::parse(octets).ok()?;
            contact.seen.push(Seen { resource, body: pool.body(octets)?, at });
        }
        self.pairs.entry(pair, || contact);
        Some(())
    }

    /// Pairs, and clients of contacts.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.pairs.len(), self.pairs.iter().map(|(_, contact)| contact.seen.len()).sum())
    }
}

impl Contact {
    fn news(&mut self, at: WallTime) {
        self.authorised = Authorised::Yes;
        self.heard = Some(at);
        self.stale_since = None;
        self.asked = None;
        self.hidden = false;
    }

    fn is_answer(&self, now: WallTime, config: &PresenceConfig) -> bool {
        let fresh = self.stale_since.is_none_or(|since| now.since(since) < Duration::from_secs(config.stale_seconds));
        (self.heard.is_some() && fresh) || self.is_synthetic(config)
    }

    fn is_synthetic(&self, config: &PresenceConfig) -> bool {
        config.synthetic != SyntheticPresence::Never && self.is_silent()
    }

    /// A subscription crossed, and no presence ever.
    fn is_silent(&self) -> bool {
        self.authorised == Authorised::Yes && self.heard.is_none() && self.seen.is_empty()
    }

    fn wants_resync(&self, now: Now, again: Duration) -> bool {
        self.authorised == Authorised::Yes
            && self.stale_since.is_some()
            && self.asked.is_none_or(|asked| now.mono.since(asked) >= again)
    }

    fn answers(&self, bare: &str, to: &Jid, now: WallTime, config: &PresenceConfig) -> Vec<Stanza> {
        if self.is_synthetic(config) {
            return synthetic(bare, to.as_str(), config, None).into_iter().collect();
        }
        if self.seen.is_empty() {
            return unavailable(bare, to);
        }
        let delay = Duration::from_secs(config.delay_after_seconds);
        let old = |at: WallTime| (!delay.is_zero() && now.since(at) > delay).then_some(at);
        self.seen
            .iter()
            .filter_map(|seen| presence_of(&seen.body, &client(bare, &seen.resource)?, to, old(seen.at)))
            .collect()
    }

    /// What is known, to the subscriber.
    fn present(&self, pair: &Pair) -> Vec<Stanza> {
        let Ok(to) = Jid::new(&pair.1) else { return Vec::new() };
        let one = |seen: &Seen| presence_of(&seen.body, &client(&pair.0, &seen.resource)?, &to, None);
        self.seen.iter().filter_map(one).collect()
    }
}

fn client(bare: &str, resource: &str) -> Option<Jid> {
    address(bare, Some(resource).filter(|resource| !resource.is_empty()))
}

fn unavailable(bare: &str, to: &Jid) -> Vec<Stanza> {
    Jid::new(bare).ok().and_then(|from| presence(&from, to, Some("unavailable"))).into_iter().collect()
}

fn synthetic(bare: &str, to: &str, config: &PresenceConfig, typ: Option<&str>) -> Option<Stanza> {
    presence(&address(bare, Some(&config.synthetic_resource))?, &Jid::new(to).ok()?, typ)
}

/// The question, from the subscriber's bare address: one for all its clients.
fn presence_from_bare(pair: &Pair) -> Option<Stanza> {
    presence(&Jid::new(&pair.1).ok()?, &Jid::new(&pair.0).ok()?, Some("probe"))
}

/// Contact and subscriber, both bare.
pub(super) fn pair_of(pool: &mut Pool, contact: &Jid, subscriber: &Jid) -> Pair {
    pool.pair(contact.to_bare().as_str(), subscriber.to_bare().as_str())
}

//! What local clients showed far subscribers: nothing crosses twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use jid::Jid;

use super::super::local::presence;
use super::super::stanza::Stanza;
use super::body::{Body, Pair, Pool, content, presence_of};
use super::limits::{ASKED_MAX, SENT_MAX};
use super::recent::Recent;
use super::record::{Reader, Writer};
use crate::time::{Duration, Instant};

/// How long the far site may wait for the answer to its question.
const ASKED_LIFE: Duration = Duration::from_secs(600);
/// How long presence that got an error is not sent again.
const DEAD_LIFE: Duration = Duration::from_secs(3600);

/// What a client showed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Shown {
    /// That it is unavailable, or nothing yet.
    #[default]
    Unavailable,
    /// This; `None` where it was too large to be kept.
    Available(Option<Body>),
}

impl Shown {
    /// Whether the second would be no news.
    fn is(&self, other: &Self) -> bool {
        self == other && *self != Self::Available(None)
    }
}

#[derive(Debug, Default)]
struct Sent {
    shown: Shown,
    /// The far site has it on its disk, or its link says so.
    delivered: bool,
    /// The far site asked: it crosses even if it is no news.
    asked: bool,
    /// It got an error and is not sent again before this.
    dead_until: Option<Instant>,
    /// The newest change waits for others until this.
    held: Option<(Instant, Shown)>,
}

/// The local clients of one peer.
#[derive(Debug)]
pub(super) struct Own {
    /// By client (full address) and far subscriber (bare address).
    sent: Recent<Pair, Sent>,
    /// Local contact and far subscriber, both bare: the far site asked.
    asked: Recent<Pair, Instant>,
    held: BTreeSet<(Instant, Pair)>,
    /// Shown before a restart and perhaps lost in it.
    unsure: BTreeSet<Pair>,
    pub(super) changed: BTreeSet<Pair>,
}

impl Own {
    pub(super) const fn new() -> Self {
        Self {
            sent: Recent::new(SENT_MAX),
            asked: Recent::new(ASKED_MAX),
            held: BTreeSet::new(),
            unsure: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Whether presence to a subscriber crosses now: only what is news, after the hold-down.
    //= xmpp/PRES-003
    pub(super) fn broadcast(&mut self, pool: &mut Pool, now: Instant, stanza: &Stanza, hold: Duration) -> bool {
        let pair = pool.pair(stanza.from().as_str(), stanza.to().to_bare().as_str());
        let available = stanza.typ().is_none();
        if !available && stanza.from().is_bare() {
            return self.all_gone(pool, now, stanza);
        }
        let shown = if available { Shown::Available(pool.body(&content(stanza))) } else { Shown::Unavailable };
        let known = self.sent.get(&pair);
        if known.is_none() && !available {
            return false;
        }
        let first = known.is_none();
        let (sent, gone) = self.sent.entry(&pair, Sent::default);
        if let Some(gone) = gone {
            self.unsure.remove(&gone);
            self.changed.insert(gone);
        }
        if sent.dead_until.is_some_and(|until| now < until) {
            return false;
        }
        sent.dead_until = None;
        if let Some((due, _)) = sent.held.take() {
            self.held.remove(&(due, pair.clone()));
        }
        if sent.shown.is(&shown) && !(sent.asked && available) {
            return false;
        }
        if !hold.is_zero() && !first && !sent.asked {
            let due = now + hold;
            sent.held = Some((due, shown));
            self.held.insert((due, pair));
            return false;
        }
        *sent = Sent { shown, ..Sent::default() };
        self.unsure.remove(&pair);
        self.changed.insert(pair);
        true
    }

    /// Unavailable from the bare address: the last client went, or nobody was there when the far site asked.
    fn all_gone(&mut self, pool: &mut Pool, now: Instant, stanza: &Stanza) -> bool {
        let subscriber = stanza.to().to_bare();
        let mut news = false;
        for pair in self.of(stanza.from().as_str(), subscriber.as_str()) {
            if let Some(sent) = self.sent.peek_mut(&pair) {
                news |= sent.shown != Shown::Unavailable;
                if let Some((due, _)) = sent.held.take() {
                    self.held.remove(&(due, pair.clone()));
                }
                *sent = Sent { dead_until: sent.dead_until, ..Sent::default() };
                self.changed.insert(pair);
            }
        }
        let pair = pool.pair(stanza.from().as_str(), subscriber.as_str());
        let asked = self.asked.remove(&pair).is_some_and(|at| now.since(at) < ASKED_LIFE);
        news || asked
    }

    /// The far site asks for a local contact: its answer crosses whatever was sent before.
    pub(super) fn asked(&mut self, pool: &mut Pool, now: Instant, probe: &Stanza) {
        let (contact, subscriber) = (probe.to().to_bare(), probe.from().to_bare());
        let pair = pool.pair(contact.as_str(), subscriber.as_str());
        *self.asked.entry(&pair, || now).0 = now;
        for pair in self.of(contact.as_str(), subscriber.as_str()) {
            if let Some(sent) = self.sent.peek_mut(&pair) {
                sent.asked = true;
                sent.dead_until = None;
            }
        }
    }

    /// A subscription began: whatever a client shows next is news. What it showed just before may count at the far site
    /// all the same: some servers send presence first and `subscribed` after it.
    pub(super) fn anew(&mut self, contact: &Jid, subscriber: &Jid) {
        for pair in self.of(contact.to_bare().as_str(), subscriber.to_bare().as_str()) {
            let Some(sent) = self.sent.peek_mut(&pair) else { continue };
            if let Some((due, _)) = sent.held.take() {
                self.held.remove(&(due, pair.clone()));
            }
            *sent = Sent { shown: Shown::Available(None), ..Sent::default() };
            self.changed.insert(pair);
        }
    }

    /// A subscription ended: what was sent counts no longer.
    pub(super) fn forget(&mut self, contact: &Jid, subscriber: &Jid) {
        for pair in self.of(contact.to_bare().as_str(), subscriber.to_bare().as_str()) {
            self.remove(&pair);
        }
    }

    fn remove(&mut self, pair: &Pair) {
        if let Some(sent) = self.sent.remove(pair)
            && let Some((due, _)) = sent.held
        {
            self.held.remove(&(due, pair.clone()));
        }
        self.unsure.remove(pair);
        self.changed.insert(pair.clone());
    }

    /// The far site answered presence with an error: the pair is dead for a while.
    //= xmpp/PRES-007
    pub(super) fn refused(&mut self, now: Instant, contact: &Jid, subscriber: &Jid) {
        for pair in self.of(contact.to_bare().as_str(), subscriber.to_bare().as_str()) {
            if let Some(sent) = self.sent.peek_mut(&pair) {
                *sent = Sent { dead_until: Some(now + DEAD_LIFE), ..Sent::default() };
                self.changed.insert(pair);
            }
        }
    }

    /// The far site has this.
    pub(super) fn delivered(&mut self, pool: &mut Pool, stanza: &Stanza) {
        let pair = pool.pair(stanza.from().as_str(), stanza.to().to_bare().as_str());
        let Some(sent) = self.sent.peek_mut(&pair) else { return };
        let same = match &sent.shown {
            Shown::Unavailable => stanza.typ() == Some("unavailable"),
            Shown::Available(body) => {
                stanza.typ().is_none() && body.as_ref().is_none_or(|body| **body == *content(stanza))
            }
        };
        if !same {
            return;
        }
        // A client that is gone everywhere need not be remembered.
        if sent.shown == Shown::Unavailable && sent.held.is_none() && sent.dead_until.is_none() {
            return self.remove(&pair);
        }
        sent.delivered = true;
        self.changed.insert(pair);
    }

    /// This never left: it is news again.
    pub(super) fn lost(&mut self, stanza: &Stanza) {
        self.forget_client(stanza.from(), stanza.to());
    }

    fn forget_client(&mut self, client: &Jid, subscriber: &Jid) {
        let pair: Pair = (Arc::from(client.as_str()), Arc::from(subscriber.to_bare().as_str()));
        if let Some(sent) = self.sent.peek_mut(&pair) {
            // Unknown what the far site shows: both availabilities are news.
            sent.shown = Shown::Available(None);
            sent.delivered = false;
            self.changed.insert(pair);
        }
    }

    /// One change whose hold-down is over, or one that a restart may have lost.
    pub(super) fn due(&mut self, now: Instant) -> Option<Stanza> {
        while let Some(pair) = self.unsure.pop_first() {
            if let Some(stanza) = self.sent.get(&pair).and_then(|sent| stanza_of(&pair, &sent.shown)) {
                return Some(stanza);
            }
        }
        while let Some((due, pair)) = self.held.first().cloned().filter(|(due, _)| *due <= now) {
            self.held.remove(&(due, pair.clone()));
            let Some(sent) = self.sent.peek_mut(&pair) else { continue };
            let Some((_, shown)) = sent.held.take() else { continue };
            if sent.shown.is(&shown) {
                continue;
            }
            sent.shown = shown.clone();
            sent.delivered = false;
            self.changed.insert(pair.clone());
            if let Some(stanza) = stanza_of(&pair, &shown) {
                return Some(stanza);
            }
        }
        None
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if !self.unsure.is_empty() {
            return Some(Instant::ZERO);
        }
        self.held.first().map(|(due, _)| *due)
    }

    /// The entries of all clients of a local contact to one subscriber.
    fn of(&self, contact: &str, subscriber: &str) -> Vec<Pair> {
        let from: Pair = (Arc::from(contact), Arc::from(""));
        let to: Pair = (Arc::from(format!("{contact}0")), Arc::from(""));
        let own =
            |client: &str| client.strip_prefix(contact).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.sent
            .range(from..to)
            .filter(|((client, other), _)| **other == *subscriber && own(client))
            .map(|(pair, _)| pair.clone())
            .collect()
    }

    pub(super) fn write(&self, pair: &Pair) -> Option<bytes::Bytes> {
        let sent = self.sent.get(pair)?;
        let body: &[u8] = match &sent.shown {
            Shown::Unavailable => b"",
            Shown::Available(Some(body)) => body,
            // Not kept: after a restart it is as if nothing had been shown, and whatever comes is news.
            Shown::Available(None) => return None,
        };
        Some(Writer::default().number(u64::from(sent.delivered)).part(body).finish())
    }

    pub(super) fn read(&mut self, pool: &mut Pool, pair: &Pair, value: &[u8]) -> Option<()> {
        let mut reader = Reader(value);
        let delivered = reader.number()? == 1;
        let octets = reader.part()?;
        let shown = if octets.is_empty() {
            Shown::Unavailable
        } else {
            Stanza::parse(octets).ok()?;
            Shown::Available(Some(pool.body(octets)?))
        };
        if !delivered {
            self.unsure.insert(pair.clone());
        }
        self.sent.entry(pair, || Sent { shown, delivered, ..Sent::default() });
        Some(())
    }

    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.sent.len(), self.held.len())
    }
}

fn stanza_of(pair: &Pair, shown: &Shown) -> Option<Stanza> {
    let (from, to) = (Jid::new(&pair.0).ok()?, Jid::new(&pair.1).ok()?);
    match shown {
        Shown::Unavailable => presence(&from, &to, Some("unavailable")),
        Shown::Available(Some(body)) => presence_of(body, &from, &to, None),
        Shown::Available(None) => None,
    }
}

//! The presence of one peer: which part of the machine a stanza concerns, and what the clock brings.

use std::collections::BTreeSet;

use bytes::Bytes;
use jid::Jid;
use serde::Serialize;

use super::super::fate::is_directed;
use super::super::local::{Complaint, Condition, ErrorType, bounce, presence, result};
use super::super::ns;
use super::super::rules::config::FoldPresenceConfig;
use super::super::rules::{Folding, is_room_presence};
use super::super::stanza::{Kind, Stanza};
use super::body::{Pair, Pool};
use super::config::{PresenceConfig, PresenceMode, PresenceSync, SyntheticPresence};
use super::contacts::{Authorised, Contacts, LinkView, Question};
use super::limits::{PER_WAKEUP_MAX, SHOW_AGAIN_AFTER};
use super::own::Own;
use super::record::{self, RowKind};
use super::seats::{Move, Seats};
use crate::time::{Duration, Instant, Now, Wakeup};

/// What becomes of a stanza, and what else is to be said.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Presence {
    /// The stanza itself, as it goes on; `None` when it goes nowhere.
    pub cross: Option<Stanza>,
    /// What older stanza it replaces in the queue for the link: one with the same key.
    pub replace: Option<Vec<u8>>,
    /// The stanza is the leave of a room that has not answered the join: if the join still waits, neither need cross.
    pub ends_join: bool,
    /// Further stanzas for the side that the stanza came from; without a stanza, for the local side.
    pub back: Vec<Stanza>,
    /// Further stanzas for the other side; without a stanza, for the link.
    pub on: Vec<Stanza>,
}

impl Presence {
    fn cross(stanza: Stanza) -> Self {
        Self { cross: Some(stanza), ..Self::default() }
    }

    fn newest(stanza: Stanza) -> Self {
        let key = key_of(&stanza, false);
        Self { cross: Some(stanza), replace: Some(key), ..Self::default() }
    }

    /// The same of a user to a room.
    fn newest_of_seat(stanza: Stanza) -> Self {
        let key = key_of(&stanza, true);
        Self { cross: Some(stanza), replace: Some(key), ..Self::default() }
    }

    fn back(back: Vec<Stanza>) -> Self {
        Self { back, ..Self::default() }
    }
}

/// Presence that replaces what waits: one key for each sender and addressee. For a room it is one whatever the nick; two
/// clients of one user, in the same room or seen by the same friend, are two addressees.
//= xmpp/PRES-009
fn key_of(stanza: &Stanza, of_seat: bool) -> Vec<u8> {
    let (from, to) = (stanza.from(), stanza.to());
    if of_seat {
        return format!("r\0{from}\0{}", to.to_bare()).into_bytes();
    }
    let kind = if is_directed(stanza) { "d" } else { "p" };
    format!("{kind}\0{from}\0{to}").into_bytes()
}

/// What the sender of presence of a type that nobody knows is told.
//= xmpp/PRES-011
fn no_presence(stanza: &Stanza) -> Option<Stanza> {
    bounce(stanza, &Complaint::new(Condition::BadRequest))
}

/// For the console.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct PresenceFacts {
    /// Pairs of far contact and local subscriber.
    pub pairs: usize,
    /// Clients of far contacts that are available.
    pub clients: usize,
    /// Local clients that showed themselves, by far subscriber.
    pub shown: usize,
    /// Of these, changes that wait for the hold-down.
    pub held: usize,
    /// Seats of local users in far rooms.
    pub seats: usize,
    /// Octets of all different presences.
    pub octets: usize,
}

/// The presence of one peer.
#[derive(Debug)]
pub struct PresenceCache {
    config: PresenceConfig,
    pool: Pool,
    contacts: Contacts,
    own: Own,
    seats: Seats,
    link_up: bool,
    /// Started with what was known before, and the link has not been heard of.
    begins: bool,
    /// When contacts appear as unavailable, while the link is down.
    hide_at: Option<Instant>,
    /// All contacts are being shown anew, so many at a time: when the next are, and behind which.
    showing: Option<(Instant, Option<Pair>)>,
    /// When the next contact is asked after an outage.
    resync_at: Option<Instant>,
    /// Rows that could not be read and go.
    unreadable: BTreeSet<Vec<u8>>,
}

impl PresenceCache {
    /// Nothing is known, and the link is down.
    pub fn new(config: PresenceConfig) -> Self {
        Self {
            config,
            pool: Pool::default(),
            contacts: Contacts::new(),
            own: Own::new(),
            seats: Seats::default(),
            link_up: false,
            begins: false,
            hide_at: None,
            showing: None,
            resync_at: None,
            unreadable: BTreeSet::new(),
        }
    }

    /// Takes other rules for what comes from now on; what is known stays.
    pub fn reconfigure(&mut self, config: PresenceConfig) {
        self.config = config;
    }

    /// Takes its own rows after a restart. What cannot be read is deleted by the next [`Self::changes`].
    //= xmpp/PRES-008
    pub fn restore(&mut self, rows: Vec<(Vec<u8>, Bytes)>) {
        self.begins = !rows.is_empty();
        for (key, value) in rows {
            let read = record::parse(&key).and_then(|(kind, one, other)| {
                let pair = self.pool.pair(one, other);
                match kind {
                    RowKind::Contact => self.contacts.read(&mut self.pool, &pair, &value),
                    RowKind::Sent => self.own.read(&mut self.pool, &pair, &value),
                    RowKind::Seat => self.seats.read(&pair, &value),
                }
            });
            if read.is_none() {
                self.unreadable.insert(key);
            }
        }
    }

    /// Rows to write, or to delete where there is no value, since the last call.
    pub fn changes(&mut self) -> Vec<(Vec<u8>, Option<Bytes>)> {
        let mut rows: Vec<(Vec<u8>, Option<Bytes>)> =
            std::mem::take(&mut self.unreadable).into_iter().map(|key| (key, None)).collect();
        let mut add = |kind: RowKind, changed: &mut BTreeSet<Pair>, write: &dyn Fn(&Pair) -> Option<Bytes>| {
            let changed = std::mem::take(changed);
            rows.extend(changed.iter().map(|pair| (record::key(kind, pair), write(pair))));
        };
        let mut changed = std::mem::take(&mut self.contacts.changed);
        add(RowKind::Contact, &mut changed, &|pair| self.contacts.write(pair));
        let mut changed = std::mem::take(&mut self.own.changed);
        add(RowKind::Sent, &mut changed, &|pair| self.own.write(pair));
        let mut changed = std::mem::take(&mut self.seats.changed);
        add(RowKind::Seat, &mut changed, &|pair| self.seats.write(pair));
        rows
    }

    /// A stanza from a local server for the far site, of any kind; after the rules.
    pub fn outbound(&mut self, now: Now, stanza: Stanza) -> Presence {
        match stanza.kind() {
            Kind::Presence => self.outbound_presence(now, stanza),
            Kind::Iq => match self.self_ping(&stanza) {
                Some(answer) => Presence::back(vec![answer]),
                None => Presence::cross(stanza),
            },
            Kind::Message => Presence::cross(stanza),
        }
    }

    fn outbound_presence(&mut self, now: Now, stanza: Stanza) -> Presence {
        match stanza.typ() {
            Some("probe") => self.question(now, stanza),
            Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed") => self.outbound_subscription(stanza),
            // It answers what the gateway made up: the far contact never sent it.
            Some("error") if self.contacts.is_hidden(&mut self.pool, stanza.to(), stanza.from()) => Presence::default(),
            Some("error") if !self.lets_error_pass(self.config.to_link, &stanza) => Presence::default(),
            Some("error") => Presence::cross(stanza),
            Some(typ) if typ != "unavailable" => Presence::back(no_presence(&stanza).into_iter().collect()),
            _ if is_directed(&stanza) => self.outbound_directed(stanza),
            _ => self.broadcast(now, stanza),
        }
    }

    /// Whether an error crosses: where nothing does that it could answer, it does not either.
    //= xmpp/PRES-011
    fn lets_error_pass(&self, mode: PresenceMode, error: &Stanza) -> bool {
        mode != PresenceMode::None || self.config.allow_rooms && is_directed(error)
    }

    /// Subscriptions cross always, in order.
    //= xmpp/PRES-004
    fn outbound_subscription(&mut self, stanza: Stanza) -> Presence {
        if self.config.to_link == PresenceMode::None && !self.config.allow_subscriptions {
            return Presence::default();
        }
        match stanza.typ() {
            Some("subscribed") => self.own.anew(stanza.from(), stanza.to()),
            Some("unsubscribed") => self.own.forget(stanza.from(), stanza.to()),
            Some("unsubscribe") => self.contacts.authorise(&mut self.pool, stanza.to(), stanza.from(), Authorised::No),
            _ => {}
        }
        Presence::cross(stanza)
    }

    fn outbound_directed(&mut self, stanza: Stanza) -> Presence {
        if self.config.to_link == PresenceMode::None && !self.config.allow_rooms {
            return Presence::default();
        }
        let of_seat = stanza.child(ns::MUC, "x").is_some() || self.seats.is_in(stanza.from(), stanza.to()).is_some();
        match self.seats.outbound(&mut self.pool, &stanza) {
            Move::Newest if of_seat => Presence::newest_of_seat(stanza),
            Move::Newest => Presence::newest(stanza),
            Move::Further => Presence::cross(stanza),
            Move::LeavesUnseen => Presence { ends_join: true, ..Presence::newest_of_seat(stanza) },
        }
    }

    fn broadcast(&mut self, now: Now, stanza: Stanza) -> Presence {
        let stanza = match self.config.to_link {
            PresenceMode::None => return Presence::default(),
            PresenceMode::Full => return Presence::newest(stanza),
            mode => folded(mode, stanza),
        };
        let hold = Duration::from_secs(self.config.hold_down_seconds());
        if self.own.broadcast(&mut self.pool, now.mono, &stanza, hold) {
            Presence::newest(stanza)
        } else {
            Presence::default()
        }
    }

    fn question(&mut self, now: Now, probe: Stanza) -> Presence {
        if probe.to().node().is_none() {
            let typ = (!self.link_up).then_some("unavailable");
            return Presence::back(presence(probe.to(), probe.from(), typ).into_iter().collect());
        }
        match self.config.from_link {
            PresenceMode::Full => return Presence::cross(probe),
            // Nothing would come back; who is to appear as available does.
            PresenceMode::None if self.config.synthetic == SyntheticPresence::Never => return Presence::default(),
            _ => {}
        }
        let link = LinkView { up: self.link_up, now };
        match self.contacts.question(&mut self.pool, link, &self.config, &probe) {
            Question::Cross(_) if self.config.from_link == PresenceMode::None => Presence::default(),
            Question::Cross(probe) => Presence::newest(probe),
            Question::Answered(back) => Presence::back(back),
        }
    }

    /// A stanza from the link for a local server, of any kind; after the rules.
    pub fn inbound(&mut self, now: Now, stanza: Stanza) -> Presence {
        if stanza.kind() != Kind::Presence {
            if stanza.kind() == Kind::Message {
                self.seats.heard(&stanza);
            }
            return Presence::cross(stanza);
        }
        match stanza.typ() {
            Some("probe") => {
                self.own.asked(&mut self.pool, now.mono, &stanza);
                Presence::cross(stanza)
            }
            Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed") => self.inbound_subscription(stanza),
            Some("error") => {
                self.own.refused(now.mono, stanza.to(), stanza.from());
                self.seats.inbound(&mut self.pool, &stanza);
                if self.lets_error_pass(self.config.from_link, &stanza) {
                    Presence::cross(stanza)
                } else {
                    Presence::default()
                }
            }
            // An error over the link would be worth more than this is.
            Some(typ) if typ != "unavailable" => Presence::default(),
            _ if is_room_presence(&stanza) => self.inbound_room(stanza),
            _ if is_directed(&stanza) => Presence::cross(stanza),
            _ => self.inbound_broadcast(now, stanza),
        }
    }

    fn inbound_subscription(&mut self, stanza: Stanza) -> Presence {
        if self.config.from_link == PresenceMode::None && !self.config.allow_subscriptions {
            return Presence::default();
        }
        let mut authorise =
            |authorised| self.contacts.authorise(&mut self.pool, stanza.from(), stanza.to(), authorised);
        match stanza.typ() {
            Some("subscribed") => authorise(Authorised::Yes),
            Some("unsubscribed") => authorise(Authorised::No),
            Some("unsubscribe") => self.own.forget(stanza.to(), stanza.from()),
            _ => {}
        }
        Presence::cross(stanza)
    }

    fn inbound_room(&mut self, stanza: Stanza) -> Presence {
        if self.config.from_link == PresenceMode::None && !self.config.allow_rooms {
            return Presence::default();
        }
        self.seats.inbound(&mut self.pool, &stanza);
        Presence::cross(stanza)
    }

    fn inbound_broadcast(&mut self, now: Now, stanza: Stanza) -> Presence {
        let stanza = match self.config.from_link {
            PresenceMode::None => return Presence::default(),
            PresenceMode::Full => return Presence::cross(stanza),
            mode => folded(mode, stanza),
        };
        if stanza.typ().is_none() {
            self.contacts.show(&mut self.pool, now.wall, &stanza);
        } else {
            self.contacts.gone(&mut self.pool, now.wall, &stanza);
        }
        Presence::cross(stanza)
    }

    /// The answer to a user's question whether it still sits in a far room (XEP-0410), if a seat is known.
    //= xmpp/LOCAL-007
    pub fn self_ping(&self, request: &Stanza) -> Option<Stanza> {
        let ping = request.kind() == Kind::Iq && request.typ() == Some("get");
        let mut asked = request.element().children();
        let alone = asked.next().is_some_and(|child| child.is("ping", ns::PING)) && asked.next().is_none();
        if !ping || !request.to().is_full() || !alone {
            return None;
        }
        if self.seats.is_in(request.from(), request.to())? {
            return result(request);
        }
        // It is in by another name: any other error would have its client enter again.
        let renamed = Complaint { error_type: ErrorType::Cancel, ..Complaint::new(Condition::ItemNotFound) };
        bounce(request, &renamed)
    }

    /// Whether a far client is online, or an occupant's seat taken by a local user; `None` when nobody knows.
    pub fn is_online(&self, address: &Jid) -> Option<bool> {
        if address.is_full() && self.seats.is_taken(address) {
            return Some(true);
        }
        self.contacts.online(address)
    }

    /// The far site has this stanza: after a restart it is not sent again.
    pub fn delivered(&mut self, stanza: &Stanza) {
        if stanza.kind() == Kind::Presence && matches!(stanza.typ(), None | Some("unavailable")) && !is_directed(stanza)
        {
            self.own.delivered(&mut self.pool, stanza);
        }
    }

    /// This stanza was given up before it left: whatever comes next is news.
    pub fn lost(&mut self, stanza: &Stanza) {
        if stanza.kind() == Kind::Presence && !is_directed(stanza) {
            self.own.lost(stanza);
        }
    }

    /// The link went up or down. `back` is for the local side, `on` for the link.
    pub fn link(&mut self, now: Now, up: bool) -> Presence {
        let was = std::mem::replace(&mut self.link_up, up);
        self.begins = false;
        match (was, up) {
            (true, false) => {
                self.outage(now);
                self.resync_at = None;
                self.showing = None;
                Presence::default()
            }
            (false, true) => {
                self.hide_at = None;
                let asks = self.config.sync() == PresenceSync::Probe && self.contacts.wants_resync(now, &self.config);
                self.resync_at = asks.then_some(now.mono);
                self.contacts.link_back(&self.config);
                Presence::back(self.show_some(now, None))
            }
            (true, true) | (false, false) => Presence::default(),
        }
    }

    /// Shows the next contacts behind one as they are to appear now.
    //= xmpp/PRES-006
    fn show_some(&mut self, now: Now, behind: Option<Pair>) -> Vec<Stanza> {
        let shown = if self.link_up {
            self.contacts.show_again(&self.config, behind)
        } else {
            self.contacts.hide(&self.config, behind)
        };
        self.showing = shown.next.map(|next| (now.mono + SHOW_AGAIN_AFTER, Some(next)));
        shown.stanzas
    }

    /// What is known may be out of date from now on, and is not shown for ever.
    fn outage(&mut self, now: Now) {
        self.contacts.link_lost(now.wall);
        let seconds = self.config.offline_after_seconds;
        self.hide_at = (seconds > 0).then(|| now.mono + Duration::from_secs(seconds));
    }

    /// What the clock brings. `back` is for the local side, `on` for the link.
    pub fn handle_wakeup(&mut self, now: Now) -> Presence {
        let mut presence = Presence::default();
        if std::mem::take(&mut self.begins) && !self.link_up {
            self.outage(now);
        }
        while presence.on.len() < PER_WAKEUP_MAX
            && let Some(stanza) = self.own.due(now.mono)
        {
            presence.on.push(stanza);
        }
        if self.hide_at.is_some_and(|at| at <= now.mono) {
            self.hide_at = None;
            presence.back = self.show_some(now, None);
        } else if let Some((_, behind)) = self.showing.take_if(|(at, _)| *at <= now.mono) {
            presence.back = self.show_some(now, behind);
        }
        if self.resync_at.is_some_and(|at| at <= now.mono) {
            let probe = self.contacts.resync(now, &self.config);
            let interval = Duration::from_secs(60) / self.config.resync_per_minute.max(1);
            self.resync_at = probe.is_some().then(|| now.mono + interval);
            presence.on.extend(probe);
        }
        presence
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let due = self.own.next_due().map(|at| Wakeup { at, why: "presence held down" });
        let hide = self.hide_at.map(|at| Wakeup { at, why: "contacts unreachable" });
        let showing = self.showing.as_ref().map(|(at, _)| Wakeup { at: *at, why: "show further contacts" });
        let resync = self.resync_at.map(|at| Wakeup { at, why: "ask contacts again" });
        let begin = self.begins.then_some(Wakeup { at: Instant::ZERO, why: "presence restored" });
        [due, hide, showing, resync, begin].into_iter().fold(None, Wakeup::earlier)
    }

    /// For the console.
    pub fn describe(&self) -> PresenceFacts {
        let (pairs, clients) = self.contacts.sizes();
        let (shown, held) = self.own.sizes();
        PresenceFacts { pairs, clients, shown, held, seats: self.seats.len(), octets: self.pool.octets() }
    }
}

/// Broadcast presence as the mode lets it through.
fn folded(mode: PresenceMode, stanza: Stanza) -> Stanza {
    let keep_show = match mode {
        PresenceMode::Folded => false,
        PresenceMode::FoldedShow => true,
        PresenceMode::Full | PresenceMode::Cached | PresenceMode::OnChangeOnly | PresenceMode::None => return stanza,
    };
    let mut folding = Folding::new(&stanza, false, &[]);
    folding.fold_presence(&FoldPresenceConfig { keep_show, ..FoldPresenceConfig::default() });
    folding.finish().unwrap_or(stanza)
}

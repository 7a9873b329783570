//! The seats of local users in far rooms: whether a user asks a room if it is still in can be answered here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jid::Jid;
use minidom::Element;

use super::super::ns;
use super::super::stanza::Stanza;
use super::body::{Pair, Pool};
use super::limits::SEATS_MAX;

/// The status of one's own presence, and of a change of name.
const SELF: &str = "110";
const RENAMED: &str = "303";

#[derive(Debug)]
struct Seat {
    nick: String,
    /// The room has shown us the seat.
    taken: bool,
}

/// Seats by room (bare address) and user (full address).
#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: BTreeMap<Pair, Seat>,
    pub(super) changed: BTreeSet<Pair>,
}

/// What presence of a local user to a room means to the presence before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Move {
    /// It takes the place of what waits.
    Newest,
    /// A change behind a join that the room has not answered: in its place it would lose the join.
    Further,
    /// The leave behind such a join.
    LeavesUnseen,
}

impl Seats {
    /// Presence of a local user to an occupant's address: a join, a change, a leave.
    pub(super) fn outbound(&mut self, pool: &mut Pool, stanza: &Stanza) -> Move {
        let Some(nick) = stanza.to().resource().map(|nick| nick.as_str().to_owned()) else { return Move::Newest };
        let pair = pool.pair(stanza.to().to_bare().as_str(), stanza.from().as_str());
        if stanza.typ() == Some("unavailable") {
            let Some(seat) = self.seats.remove(&pair) else { return Move::Newest };
            self.changed.insert(pair);
            return if seat.taken { Move::Newest } else { Move::LeavesUnseen };
        }
        let join = stanza.child(ns::MUC, "x").is_some();
        match self.seats.get(&pair) {
            Some(seat) if join || seat.taken => Move::Newest,
            Some(_) => Move::Further,
            None if join && self.seats.len() < SEATS_MAX => {
                self.seats.insert(pair, Seat { nick, taken: false });
                Move::Newest
            }
            None => Move::Newest,
        }
    }

    /// Presence of a room.
    //= xmpp/PRES-005
    pub(super) fn inbound(&mut self, pool: &mut Pool, stanza: &Stanza) {
        let Some(nick) = stanza.from().resource().map(|nick| nick.as_str()) else { return };
        let pair = pool.pair(stanza.from().to_bare().as_str(), stanza.to().as_str());
        let user = stanza.child(ns::MUC_USER, "x");
        let has = |code: &str| user.is_some_and(|user| has_status(user, code));
        let known = self.seats.get(&pair);
        let own = has(SELF) || known.is_some_and(|seat| seat.nick == nick);
        match stanza.typ() {
            Some("error") if known.is_some_and(|seat| !seat.taken) => {
                self.seats.remove(&pair);
            }
            Some("unavailable") if own && has(RENAMED) => {
                if let (Some(seat), Some(new)) = (self.seats.get_mut(&pair), user.and_then(new_nick)) {
                    seat.nick = new;
                }
            }
            Some("unavailable") if own => {
                self.seats.remove(&pair);
            }
            None if own && (known.is_some() || self.seats.len() < SEATS_MAX) => {
                self.seats.insert(pair.clone(), Seat { nick: nick.to_owned(), taken: true });
            }
            _ => return,
        }
        self.changed.insert(pair);
    }

    /// A message to a local user: if a room denies in it that the user has a seat, there is none.
    //= xmpp/PRES-010
    pub(super) fn heard(&mut self, message: &Stanza) {
        if denies_seat(message) {
            let pair = (Arc::from(message.from().to_bare().as_str()), Arc::from(message.to().as_str()));
            if self.seats.remove(&pair).is_some() {
                self.changed.insert(pair);
            }
        }
    }

    /// Whether a local user sits in a room under this name; `None` where no seat in the room is known.
    pub(super) fn is_in(&self, user: &Jid, occupant: &Jid) -> Option<bool> {
        let pair: Pair = (Arc::from(occupant.to_bare().as_str()), Arc::from(user.as_str()));
        let seat = self.seats.get(&pair)?;
        Some(occupant.resource().is_some_and(|nick| nick.as_str() == seat.nick))
    }

    /// Whether some local user sits there.
    pub(super) fn is_taken(&self, occupant: &Jid) -> bool {
        let room: Arc<str> = Arc::from(occupant.to_bare().as_str());
        let nick = occupant.resource().map(|nick| nick.as_str());
        self.seats
            .range((Arc::clone(&room), Arc::from(""))..)
            .take_while(|((at, _), _)| *at == room)
            .any(|(_, seat)| seat.taken && Some(seat.nick.as_str()) == nick)
    }

    pub(super) fn write(&self, pair: &Pair) -> Option<bytes::Bytes> {
        let seat = self.seats.get(pair).filter(|seat| seat.taken)?;
        Some(seat.nick.clone().into_bytes().into())
    }

    pub(super) fn read(&mut self, pair: &Pair, value: &[u8]) -> Option<()> {
        let nick = std::str::from_utf8(value).ok().filter(|nick| !nick.is_empty())?.to_owned();
        if self.seats.len() < SEATS_MAX {
            self.seats.insert(pair.clone(), Seat { nick, taken: true });
        }
        Some(())
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }
}

/// Whether a room says that the user does not sit in it. That somebody whom he spoke to in private is gone, or that he may
/// not speak, says nothing of the kind.
fn denies_seat(message: &Stanza) -> bool {
    let error = message.is_error().then(|| message.child(ns::SERVER, "error")).flatten();
    let says = |condition| error.is_some_and(|error| error.has_child(condition, ns::STANZA_ERRORS));
    says("not-acceptable") || says("item-not-found") && message.from().resource().is_none()
}

fn has_status(user: &Element, code: &str) -> bool {
    user.children().any(|child| child.is("status", ns::MUC_USER) && child.attr("code") == Some(code))
}

fn new_nick(user: &Element) -> Option<String> {
    user.get_child("item", ns::MUC_USER)?.attr("nick").map(str::to_owned)
}

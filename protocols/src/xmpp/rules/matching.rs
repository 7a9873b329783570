//! When a rule fits a stanza.

use std::cell::OnceCell;

use jid::Jid;
use minidom::Element;

use super::super::local::is_from_room;
use super::super::ns;
use super::super::stanza::{Kind, Stanza};
use super::bucket::Buckets;
use super::config::{AddressKind, Direction, LinkState};
use super::label::LabelTest;
use super::name::{AddressPattern, Glob, Name};
use super::window::Window;
use crate::message::precedence::Precedence;
use crate::time::{Duration, Now};

/// What is known besides the stanza.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The way it goes.
    pub direction: Direction,
    /// The name of the peer.
    pub peer: &'a str,
    /// The name of the link.
    pub link: &'a str,
    /// Whether the link can carry now.
    pub link_up: bool,
    /// Its speed; 0 when nobody knows.
    pub bits_per_second: u32,
    /// What the stanza has so far.
    pub precedence: Precedence,
    /// How long the oldest stanza for the peer waits.
    pub queue_age: Duration,
    /// For a full address: whether the presence cache says that the addressee is online.
    pub online: Option<bool>,
    /// The time.
    pub now: Now,
}

/// A stanza and what is computed of it at most once.
pub(crate) struct Subject<'a> {
    pub(crate) stanza: &'a Stanza,
    octets: OnceCell<usize>,
    from_kind: AddressKind,
    to_kind: AddressKind,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(stanza: &'a Stanza, rooms: &[Glob]) -> Self {
        let (from_room, to_room) = room_sides(stanza);
        Self {
            stanza,
            octets: OnceCell::new(),
            from_kind: kind_of(stanza.from(), from_room, rooms),
            to_kind: kind_of(stanza.to(), to_room, rooms),
        }
    }

    /// As written on the link, without compression.
    pub(crate) fn octets(&self) -> usize {
        *self.octets.get_or_init(|| self.stanza.size_octets())
    }

    pub(crate) fn to_room(&self) -> bool {
        matches!(self.to_kind, AddressKind::Room | AddressKind::Occupant)
    }
}

/// Which end the stanza itself shows to be a room.
fn room_sides(stanza: &Stanza) -> (bool, bool) {
    let from_room = is_from_room(stanza);
    let to_room = match stanza.kind() {
        Kind::Message => stanza.typ() == Some("groupchat") && !from_room,
        Kind::Presence => stanza.child(ns::MUC, "x").is_some() && !from_room,
        Kind::Iq => false,
    };
    (from_room, to_room)
}

fn kind_of(address: &Jid, shown: bool, rooms: &[Glob]) -> AddressKind {
    if address.node().is_none() {
        return AddressKind::Domain;
    }
    let room = shown || rooms.iter().any(|domain| domain.matches(address.domain().as_str()));
    match (room, address.is_full()) {
        (true, true) => AddressKind::Occupant,
        (true, false) => AddressKind::Room,
        (false, true) => AddressKind::UserFull,
        (false, false) => AddressKind::UserBare,
    }
}

/// The type that counts: a message of no or unknown type is `normal` (RFC 6121 section 5.2.2), so that an invented type
/// escapes no rule.
pub(crate) fn effective_type(stanza: &Stanza) -> &str {
    match (stanza.kind(), stanza.typ()) {
        (Kind::Message, Some(known @ ("chat" | "groupchat" | "headline" | "error"))) => known,
        (Kind::Message, _) => "normal",
        (_, typ) => typ.unwrap_or("none"),
    }
}

/// A condition about an attribute.
#[derive(Clone, Debug)]
pub(crate) struct AttributeTest {
    pub(crate) name: String,
    pub(crate) value: Option<Glob>,
    pub(crate) child: Option<Name>,
}

impl AttributeTest {
    fn holds(&self, stanza: &Stanza) -> bool {
        if let Some(name) = &self.child {
            return stanza.element().children().any(|child| name.matches(child) && self.fits(child));
        }
        self.fits(stanza.element()) || stanza.element().children().any(|child| self.fits(child))
    }

    fn fits(&self, element: &Element) -> bool {
        let value = match self.name.as_str() {
            "xml:lang" => element.attr_ns(&rxml::Namespace::XML, "lang"),
            name => element.attr(name),
        };
        value.is_some_and(|value| self.value.as_ref().is_none_or(|pattern| pattern.matches(value)))
    }
}

/// A checked condition: an empty list, or `None`, is no condition.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    pub(crate) direction: Option<Direction>,
    pub(crate) peer: Vec<Glob>,
    pub(crate) link: Vec<Glob>,
    pub(crate) stanza: Vec<Kind>,
    pub(crate) types: Vec<String>,
    pub(crate) from: Vec<AddressPattern>,
    pub(crate) from_kind: Vec<AddressKind>,
    pub(crate) to: Vec<AddressPattern>,
    pub(crate) to_kind: Vec<AddressKind>,
    pub(crate) child: Vec<Name>,
    pub(crate) payload: Vec<Glob>,
    pub(crate) only_children: Vec<Name>,
    pub(crate) has_body: Option<bool>,
    pub(crate) has_subject: Option<bool>,
    pub(crate) attributes: Vec<AttributeTest>,
    pub(crate) octets_over: Option<usize>,
    pub(crate) label: Option<LabelTest>,
    pub(crate) precedence_min: Option<Precedence>,
    pub(crate) precedence_max: Option<Precedence>,
    pub(crate) link_state: Option<LinkState>,
    pub(crate) queue_age_over: Option<Duration>,
    pub(crate) rate_under: Option<u32>,
    pub(crate) windows: Vec<Window>,
    pub(crate) buckets: Option<Buckets>,
}

/// An empty list asks for nothing.
fn any<T>(list: &[T], fits: impl Fn(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(fits)
}

impl Condition {
    /// Whether all conditions hold. The rate comes last: only what fits otherwise is counted.
    //= xmpp/RULE-003
    pub(crate) fn holds(&mut self, facts: &Facts<'_>, subject: &Subject<'_>) -> bool {
        self.circumstances(facts)
            && self.addressing(subject)
            && self.content(subject)
            && self.buckets.as_mut().is_none_or(|buckets| buckets.exceeded(facts.now.mono, subject.stanza))
    }

    fn circumstances(&self, facts: &Facts<'_>) -> bool {
        let state = if facts.link_up { LinkState::Up } else { LinkState::Down };
        self.direction.is_none_or(|wanted| wanted == Direction::Both || wanted == facts.direction)
            && any(&self.peer, |peer| peer.matches(facts.peer))
            && any(&self.link, |link| link.matches(facts.link))
            && self.precedence_min.is_none_or(|min| facts.precedence >= min)
            && self.precedence_max.is_none_or(|max| facts.precedence <= max)
            && self.link_state.is_none_or(|wanted| wanted == state)
            && self.queue_age_over.is_none_or(|over| facts.queue_age > over)
            && self.rate_under.is_none_or(|under| (1..under).contains(&facts.bits_per_second))
            && any(&self.windows, |window| window.holds(facts.now.wall))
    }

    fn addressing(&self, subject: &Subject<'_>) -> bool {
        let stanza = subject.stanza;
        any(&self.stanza, |kind| *kind == stanza.kind())
            && any(&self.types, |wanted| self.type_fits(wanted, stanza))
            && any(&self.from, |from| from.matches(stanza.from()))
            && any(&self.to, |to| to.matches(stanza.to()))
            && any(&self.from_kind, |kind| *kind == subject.from_kind)
            && any(&self.to_kind, |kind| *kind == subject.to_kind)
    }

    fn type_fits(&self, wanted: &str, stanza: &Stanza) -> bool {
        let found = effective_type(stanza);
        wanted == found || (wanted == "none" && stanza.kind() == Kind::Message && found == "normal")
    }

    fn content(&self, subject: &Subject<'_>) -> bool {
        let stanza = subject.stanza;
        let children = || stanza.element().children();
        let named = |names: &[Name], child: &Element| names.iter().any(|name| name.matches(child));
        (self.child.is_empty() || children().any(|child| named(&self.child, child)))
            && (self.only_children.is_empty()
                || (children().next().is_some() && children().all(|child| named(&self.only_children, child))))
            && (self.payload.is_empty() || self.payload_fits(stanza))
            && self.has_body.is_none_or(|wanted| wanted == stanza.child(ns::SERVER, "body").is_some())
            && self.has_subject.is_none_or(|wanted| wanted == stanza.child(ns::SERVER, "subject").is_some())
            && self.attributes.iter().all(|attribute| attribute.holds(stanza))
            && self.octets_over.is_none_or(|over| subject.octets() > over)
            && self.label.as_ref().is_none_or(|label| label.holds(stanza))
    }

    fn payload_fits(&self, stanza: &Stanza) -> bool {
        stanza.kind() == Kind::Iq
            && payload_namespace(stanza)
                .is_some_and(|namespace| self.payload.iter().any(|pattern| pattern.matches(&namespace)))
    }
}

/// The namespace of what a request or answer holds: of the first child that is not the error.
pub(crate) fn payload_namespace(stanza: &Stanza) -> Option<String> {
    stanza.element().children().find(|child| !child.is("error", ns::SERVER)).map(Element::ns)
}

//! Ids stay on their side: what crosses is where the stanza stands, which costs nothing, and short references to it.
//!
//! A message or request crosses without its id. The far gateway gives it one made of the sender's instance, the number of
//! the block and the place in it: unique for ever, and the same after a restart. Where an answer refers to it (`id` of a
//! result or error, of a receipt, a marker, a correction, a reflected room message) the reference crosses as `~place` when
//! the other side gave the id, `^place` when this side did, and is put back to what the clients there know. Ids that are
//! not known cross as they are. On the air, in an `id` attribute: none: give one; empty: there was none (of a presence it
//! is the other way round, as presences rarely have one); `=…`: as it is, where it would begin with one of these signs.
//! Limits: [`IDS_MAX`] ids are remembered, the oldest are forgotten first; a reference to a forgotten id crosses back as
//! the far side knew it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use minidom::Element;
use rxml::xml_ncname;

use super::limits::{ID_OCTETS_MAX, IDS_MAX};
use crate::xmpp::stanza::{Kind, Stanza};
use crate::xmpp::writer::{Scope, remove_attribute, set_attribute, write_element};

/// Children of a stanza whose `id` names another message, or this one.
const REFERENCES: [&str; 8] = [
    "urn:xmpp:receipts",
    "urn:xmpp:chat-markers:0",
    "urn:xmpp:message-correct:0",
    "urn:xmpp:reply:0",
    "urn:xmpp:reactions:0",
    "urn:xmpp:message-retract:1",
    "urn:xmpp:fasten:0",
    "urn:xmpp:sid:0",
];
/// Shortest id that may stand for a message of somebody else: shorter ones may be counters of several clients.
const FOREIGN_ID_OCTETS_MIN: usize = 8;

/// Where a stanza stands in what one side sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    /// The context.
    pub(super) context: u8,
    /// The block in which it begins.
    pub(super) number: u32,
    /// Which of the stanzas that begin there.
    pub(super) index: u16,
}

impl Place {
    const FIRST: Self = Self { context: 0, number: 0, index: 0 };
    const LAST: Self = Self { context: u8::MAX, number: u32::MAX, index: u16::MAX };
}

/// An id that stayed here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// Where its stanza stands.
    pub(super) place: Place,
    /// Who gave it.
    pub(super) from: String,
    /// The id.
    pub(super) id: String,
}

/// The ids of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    own: u32,
    peer: Option<u32>,
    by_place: BTreeMap<Place, Kept>,
    by_id: BTreeMap<(String, String), Place>,
    /// Where each id stands, whoever gave it.
    anybody: BTreeSet<(Arc<str>, Place)>,
    order: VecDeque<Place>,
}

impl Ids {
    /// Ids of the side with this instance.
    pub(super) fn new(own: u32) -> Self {
        Self { own, ..Self::default() }
    }

    /// The peer's instance is known.
    pub(super) fn set_peer(&mut self, peer: u32) {
        self.peer = Some(peer);
    }

    /// Remembers an id that did not cross.
    pub(super) fn keep(&mut self, kept: Kept) {
        while self.order.len() >= IDS_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(kept) = self.by_place.remove(&oldest) {
                self.anybody.remove(&(Arc::from(kept.id.as_str()), oldest));
                let key = (kept.from, kept.id);
                if self.by_id.get(&key) == Some(&oldest) {
                    self.by_id.remove(&key);
                }
            }
        }
        self.order.push_back(kept.place);
        self.by_id.insert((kept.from.clone(), kept.id.clone()), kept.place);
        self.anybody.insert((Arc::from(kept.id.as_str()), kept.place));
        self.by_place.insert(kept.place, kept);
    }

    /// The octets that cross for a stanza, and its id if that stays here.
    pub(super) fn shorten(&self, stanza: &Stanza) -> (Vec<u8>, Option<String>) {
        let from = stanza.from().to_bare().to_string();
        let own_id = stanza.id().map(str::to_owned);
        let (root, kept) = self.shorten_root(stanza, &from);
        let mut element = stanza.element().clone();
        match root {
            Some(id) => set_attribute(&mut element, xml_ncname!("id"), id),
            None => remove_attribute(&mut element, "id"),
        }
        for child in element.children_mut().filter(|child| is_reference(child)) {
            let Some(id) = child.attr("id").map(str::to_owned) else { continue };
            let short = match kept {
                true if own_id.as_deref() == Some(&id) => "^".to_owned(),
                true | false => self.reference(&from, &id),
            };
            set_attribute(child, xml_ncname!("id"), short);
        }
        // What was a stanza is one still, in the same form: addresses are as before.
        (write_element(&element, Scope::LINK), own_id.filter(|_| kept))
    }

    /// The octets that cross for a stanza where ids are not shortened.
    pub(super) fn literally(stanza: &Stanza) -> Vec<u8> {
        let mut element = stanza.element().clone();
        match stanza.id() {
            Some(id) => set_attribute(&mut element, xml_ncname!("id"), literal(id)),
            None if stanza.kind() != Kind::Presence => set_attribute(&mut element, xml_ncname!("id"), ""),
            None => {}
        }
        for child in element.children_mut().filter(|child| is_reference(child)) {
            let Some(id) = child.attr("id").map(literal) else { continue };
            set_attribute(child, xml_ncname!("id"), id);
        }
        write_element(&element, Scope::LINK)
    }

    /// The attribute of the stanza itself, and whether its id stays here.
    fn shorten_root(&self, stanza: &Stanza, from: &str) -> (Option<String>, bool) {
        let is_presence = stanza.kind() == Kind::Presence;
        let Some(id) = stanza.id() else { return ((!is_presence).then(String::new), false) };
        let reference = self.reference(from, id);
        let is_answer = matches!(stanza.typ(), Some("result" | "error" | "groupchat"));
        if reference.starts_with('~') || (is_answer && reference.starts_with('^')) || id.len() > ID_OCTETS_MAX {
            return (Some(reference), false);
        }
        (is_presence.then(String::new), true)
    }

    fn reference(&self, from: &str, id: &str) -> String {
        if let Some(place) = self.peer.and_then(|peer| place_of(peer, id)) {
            return format!("~{}", token(place));
        }
        let own = self.by_id.get(&(from.to_owned(), id.to_owned())).copied();
        match own.or_else(|| self.foreign(id)) {
            Some(place) => format!("^{}", token(place)),
            None => literal(id),
        }
    }

    /// The last place of an id, whoever gave it.
    fn foreign(&self, id: &str) -> Option<Place> {
        if id.len() < FOREIGN_ID_OCTETS_MIN {
            return None;
        }
        let id: Arc<str> = Arc::from(id);
        let all = (Arc::clone(&id), Place::FIRST)..=(id, Place::LAST);
        self.anybody.range(all).next_back().map(|(_, place)| *place)
    }

    /// What the clients here are to see of an element that the peer sent at `place`.
    pub(super) fn restore(&self, mut element: Element, peer: u32, place: Place) -> Element {
        let own_id = full(peer, place);
        let is_presence = element.name() == "presence";
        let root = match (element.attr("id"), is_presence) {
            (None, true) => None,
            (None, false) => Some(own_id.clone()),
            (Some(""), true) => Some(own_id.clone()),
            (Some(""), false) => None,
            (Some(id), _) => Some(self.referred(id, peer, &own_id)),
        };
        match root {
            Some(id) => set_attribute(&mut element, xml_ncname!("id"), id),
            None => remove_attribute(&mut element, "id"),
        }
        for child in element.children_mut().filter(|child| is_reference(child)) {
            let Some(id) = child.attr("id").map(|id| self.referred(id, peer, &own_id)) else { continue };
            set_attribute(child, xml_ncname!("id"), id);
        }
        element
    }

    fn referred(&self, id: &str, peer: u32, own_id: &str) -> String {
        match id.split_at_checked(1) {
            Some(("=", literal)) => literal.to_owned(),
            Some(("^", "")) => own_id.to_owned(),
            Some(("^", place)) => format!("{}-{place}", base36(peer)),
            Some(("~", place)) => match read_token(place).and_then(|place| self.by_place.get(&place)) {
                Some(kept) => kept.id.clone(),
                None => format!("{}-{place}", base36(self.own)),
            },
            _ => id.to_owned(),
        }
    }
}

/// An id that crosses as it is.
fn literal(id: &str) -> String {
    if id.is_empty() || id.starts_with(['~', '^', '=']) { format!("={id}") } else { id.to_owned() }
}

fn is_reference(element: &Element) -> bool {
    REFERENCES.iter().any(|namespace| element.has_ns(*namespace))
}

fn full(instance: u32, place: Place) -> String {
    format!("{}-{}", base36(instance), token(place))
}

/// The place in an id that this house gave to a stanza of `instance`.
fn place_of(instance: u32, id: &str) -> Option<Place> {
    let (owner, place) = id.split_once('-')?;
    let place = read_token(place)?;
    (owner == base36(instance)).then_some(place)
}

fn token(place: Place) -> String {
    let mut text = String::new();
    if place.context > 0 {
        let _ = write!(text, "{}:", base36(place.context.into()));
    }
    text.push_str(&base36(place.number));
    if place.index > 0 {
        let _ = write!(text, ".{}", base36(place.index.into()));
    }
    text
}

/// Reads what [`token`] writes, and only that.
fn read_token(text: &str) -> Option<Place> {
    let number = |text: &str| u32::from_str_radix(text, 36).ok();
    let (context, rest) = text.split_once(':').unwrap_or(("0", text));
    let (block, index) = rest.split_once('.').unwrap_or((rest, "0"));
    let place = Place {
        context: number(context)?.try_into().ok()?,
        number: number(block)?,
        index: number(index)?.try_into().ok()?,
    };
    (token(place) == text).then_some(place)
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sides; what one sends the other restores.
    struct Side {
        ids: Ids,
        number: u32,
    }

    fn sides() -> (Side, Side) {
        let (mut a, mut b) = (Ids::new(1_000_000), Ids::new(2));
        a.set_peer(2);
        b.set_peer(1_000_000);
        (Side { ids: a, number: 40 }, Side { ids: b, number: 7 })
    }

    fn stanza(text: &str) -> Stanza {
        Stanza::parse(text.as_bytes()).unwrap()
    }

    fn cross(from: &mut Side, to: &Side, text: &str) -> (String, String) {
        let place = Place { context: 0, number: from.number, index: 0 };
        from.number += 1;
        let stanza = stanza(text);
        let (octets, kept) = from.ids.shorten(&stanza);
        if let Some(id) = kept {
            from.ids.keep(Kept { place, from: stanza.from().to_bare().to_string(), id });
        }
        let element = Stanza::parse(&octets).unwrap().into_element();
        let restored = Stanza::from_element(to.ids.restore(element, from.ids.own, place)).unwrap();
        (String::from_utf8(octets).unwrap(), String::from_utf8(restored.octets()).unwrap())
    }

    #[test]
    fn ids_stay_and_answers_find_them() {
        let (mut a, mut b) = sides();
        let (air, there) =
            cross(&mut a, &b, "<iq to='b@y' from='a@x/1' id='uuid-of-36-octets' type='get'><q xmlns='z'/></iq>");
        assert_eq!(air, "<iq to='b@y' from='a@x/1' type='get'><q xmlns='z'/></iq>");
        assert_eq!(there, "<iq to='b@y' from='a@x/1' id='lfls-14' type='get'><q xmlns='z'/></iq>");
        let (air, back) = cross(&mut b, &a, "<iq to='a@x/1' from='b@y' id='lfls-14' type='result'/>");
        assert_eq!(air, "<iq to='a@x/1' from='b@y' id='~14' type='result'/>");
        assert_eq!(back, "<iq to='a@x/1' from='b@y' id='uuid-of-36-octets' type='result'/>");
    }

    #[test]
    fn receipts_corrections_and_rooms_refer() {
        let (mut a, mut b) = sides();
        let message = "<message to='b@y' from='a@x/1' id='first-id'><body>hi</body><origin-id xmlns='urn:xmpp:sid:0' id='first-id'/></message>";
        let (air, there) = cross(&mut a, &b, message);
        assert_eq!(
            air,
            "<message to='b@y' from='a@x/1'><body>hi</body><origin-id xmlns='urn:xmpp:sid:0' id='^'/></message>"
        );
        assert!(there.contains("from='a@x/1' id='lfls-14'") && there.contains("sid:0' id='lfls-14'"), "{there}");
        let (air, back) = cross(
            &mut b,
            &a,
            "<message to='a@x/1' from='b@y'><received xmlns='urn:xmpp:receipts' id='lfls-14'/></message>",
        );
        assert_eq!(
            air,
            "<message to='a@x/1' from='b@y' id=''><received xmlns='urn:xmpp:receipts' id='~14'/></message>"
        );
        assert_eq!(
            back,
            "<message to='a@x/1' from='b@y'><received xmlns='urn:xmpp:receipts' id='first-id'/></message>"
        );
        let (air, there) = cross(
            &mut a,
            &b,
            "<message to='b@y' from='a@x/1' id='second'><body>ho</body><replace xmlns='urn:xmpp:message-correct:0' id='first-id'/></message>",
        );
        assert!(air.contains("correct:0' id='^14'"), "{air}");
        assert!(there.contains("correct:0' id='lfls-14'"), "{there}");
        let room = "<message to='a@x/1' from='room@y/nick' id='lfls-14' type='groupchat'><body>hi</body></message>";
        let (_, back) = cross(&mut b, &a, room);
        assert_eq!(back, room.replace("lfls-14", "first-id"));
    }

    #[test]
    fn what_is_not_known_crosses_as_it_is() {
        let (mut a, b) = sides();
        for text in [
            "<message to='b@y' from='a@x' id='~1'><received xmlns='urn:xmpp:receipts' id='^'/></message>",
            "<message to='b@y' from='a@x'><received xmlns='urn:xmpp:receipts' id=''/></message>",
            "<presence to='b@y' from='a@x' id=''/>",
            "<presence to='b@y' from='a@x'/>",
        ] {
            let element = Stanza::parse(&Ids::literally(&stanza(text))).unwrap().into_element();
            let restored = b.ids.restore(element, 1, Place { context: 0, number: 0, index: 0 });
            assert_eq!(Stanza::from_element(restored).unwrap().octets(), text.as_bytes());
        }
        for text in [
            "<message to='b@y' from='a@x'><body>no id</body></message>",
            "<presence to='b@y' from='a@x'/>",
            "<message to='b@y' from='a@x'><received xmlns='urn:xmpp:receipts' id='~14'/></message>",
            "<message to='b@y' from='a@x'><received xmlns='urn:xmpp:receipts' id='^'/></message>",
            "<message to='b@y' from='a@x'><received xmlns='urn:xmpp:receipts' id='='/></message>",
            "<message to='b@y' from='a@x'><received xmlns='urn:xmpp:receipts' id=''/></message>",
            "<message to='b@y' from='a@x'><item xmlns='other' id='first-id'/></message>",
            "<iq to='b@y' from='a@x' id='2-zz' type='result'/>",
        ] {
            let (_, there) = cross(&mut a, &b, text);
            assert_eq!(there, text, "{text}");
        }
        let long = format!("<message to='b@y' from='a@x' id='{}'/>", "i".repeat(ID_OCTETS_MAX + 1));
        assert_eq!(cross(&mut a, &b, &long).1, long);
        let (air, there) = cross(&mut a, &b, "<presence to='b@y' from='a@x' id='p1'/>");
        assert_eq!(air, "<presence to='b@y' from='a@x' id=''/>");
        assert!(there.contains("id='lfls-"), "{there}");
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let mut ids = Ids::new(1);
        let kept = |number| Kept {
            place: Place { context: 3, number, index: 2 },
            from: "a@x".to_owned(),
            id: format!("id number {number}"),
        };
        (0..=IDS_MAX as u32).for_each(|number| ids.keep(kept(number)));
        assert_eq!((ids.by_place.len(), ids.by_id.len(), ids.order.len()), (IDS_MAX, IDS_MAX, IDS_MAX));
        assert_eq!(ids.anybody.len(), IDS_MAX);
        assert_eq!(ids.reference("a@x", "id number 0"), "id number 0");
        assert_eq!(ids.reference("a@x", "id number 1"), "^3:1.2");
        assert_eq!(ids.reference("c@x", "id number 1"), "^3:1.2");
        ids.keep(Kept { from: "d@x".to_owned(), id: "id number 7".to_owned(), ..kept(5_000) });
        assert_eq!(ids.reference("c@x", "id number 7"), "^3:3uw.2", "the last one of whoever");
        assert_eq!(ids.reference("a@x", "id number 7"), "^3:7.2", "one's own first");
        assert_eq!(ids.referred("~3:2.2", 9, ""), "id number 2");
        assert_eq!(ids.referred("~3:0.2", 9, ""), "1-3:0.2");
    }

    proptest::proptest! {
        #[test]
        fn tokens(context: u8, number: u32, index: u16, text: String) {
            let place = Place { context, number, index };
            proptest::prop_assert_eq!(read_token(&token(place)), Some(place));
            if let Some(place) = read_token(&text) {
                proptest::prop_assert_eq!(token(place), text);
            }
        }
    }
}

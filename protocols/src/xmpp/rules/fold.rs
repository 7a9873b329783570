//! Takes away what need not cross: elements of messages and presence, attributes, ends of long texts.
//!
//! Promises: nothing of the must-keep list goes, whatever a rule says; requests and answers keep their content; folding
//! twice is folding once; no stanza grows, but for a body that a rule replaces and "xa" that becomes "away".

use minidom::{Element, Node};
use rxml::{Namespace, xml_ncname};

use super::super::ns;
use super::super::stanza::{Kind, Stanza};
use super::super::writer::{remove_attribute, set_attribute};
use super::config::{Depth, FoldPresenceConfig, NegativePriority};
use super::name::Name;

/// XEP-0289 rooms: their element belongs to every groupchat message.
const FMUC: &str = "http://isode.com/protocol/fmuc";
const CONFERENCE: &str = "jabber:x:conference";
/// All encryption of XEP-0384 and the first one of Conversations.
const OMEMO_BEGIN: &str = "urn:xmpp:omemo:";
const AXOLOTL: &str = "eu.siacs.conversations.axolotl";
/// What refers to a message by its id: while one of these may cross, ids of messages must.
pub(crate) const REFER_TO_IDS: [&str; 5] = [
    "urn:xmpp:receipts",
    "urn:xmpp:chat-markers:0",
    "urn:xmpp:message-correct:0",
    "urn:xmpp:reactions:0",
    "urn:xmpp:reply:0",
];

/// A list of elements and how it is meant.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) mode: ListMode,
    pub(crate) names: Vec<Name>,
}

/// How a list is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListMode {
    /// What is in it stays. Strict: body, subject, thread and error only if they are in it.
    Keep {
        /// See above.
        strict: bool,
    },
    /// What is in it goes.
    Strip,
}

impl List {
    fn named(&self, element: &Element) -> bool {
        self.names.iter().any(|name| name.matches(element))
    }

    /// Whether some element of this namespace stays.
    pub(crate) fn passes(&self, namespace: &str) -> bool {
        let touched = self.names.iter().any(|name| name.touches(namespace));
        match self.mode {
            ListMode::Keep { .. } => touched,
            ListMode::Strip => !touched,
        }
    }
}

/// What is done with elements.
#[derive(Clone, Debug)]
pub(crate) enum ElementAction {
    Strip,
    KeepOnly { strict: bool },
    FoldPresence(FoldPresenceConfig),
    Truncate { characters_max: usize, mark: String },
    Replace { text: String },
    StripAttribute(String),
    Normalise,
}

/// A stanza while it is folded.
pub(crate) struct Folding {
    kind: Kind,
    typ: Option<String>,
    element: Element,
    /// Presence to or from a room: a room and its occupants need what rooms define.
    sacred: bool,
    release_label: bool,
    keep: Vec<Name>,
    priority_negative: bool,
    removed: bool,
    changed: bool,
}

impl Folding {
    /// Begins. `release_label` says that the label may go, `keep` what else stays.
    pub(crate) fn new(stanza: &Stanza, release_label: bool, keep: &[Name]) -> Self {
        Self {
            kind: stanza.kind(),
            typ: stanza.typ().map(str::to_owned),
            sacred: is_room_presence(stanza),
            priority_negative: has_negative_priority(stanza),
            element: stanza.element().clone(),
            release_label,
            keep: keep.to_vec(),
            removed: false,
            changed: false,
        }
    }

    /// The stanza as it became, or `None` if nothing changed.
    pub(crate) fn finish(self) -> Option<Stanza> {
        self.changed.then(|| Stanza::from_element(self.element).ok()).flatten()
    }

    /// Whether folding left a message that says nothing: no child, or only a thread. A subject counts in a room even
    /// when it is empty: it ends the history.
    //= xmpp/FOLD-004
    pub(crate) fn says_nothing(&self) -> bool {
        self.removed
            && self.kind == Kind::Message
            && self.typ.as_deref() != Some("error")
            && self.element.children().all(|child| child.is("thread", ns::SERVER))
    }

    /// Applies a list to direct children.
    pub(crate) fn list(&mut self, list: &List) {
        if self.kind == Kind::Iq {
            return;
        }
        let groupchat = self.typ.as_deref() == Some("groupchat");
        self.retain(|element| match list.mode {
            ListMode::Strip => !list.named(element),
            ListMode::Keep { strict } => list.named(element) || (!strict && implied(element, groupchat)),
        });
        if matches!(list.mode, ListMode::Keep { .. }) {
            self.drop_text();
            self.drop_what_hides();
        }
    }

    /// Applies one action to the elements that the list names.
    pub(crate) fn act(&mut self, action: &ElementAction, names: &[Name], depth: Depth) {
        match action {
            ElementAction::Strip if depth == Depth::Any => self.strip_deep(names),
            ElementAction::Strip => self.list(&List { mode: ListMode::Strip, names: names.to_vec() }),
            ElementAction::KeepOnly { strict } => {
                self.list(&List { mode: ListMode::Keep { strict: *strict }, names: names.to_vec() });
            }
            ElementAction::FoldPresence(options) => self.fold_presence(options),
            ElementAction::Truncate { characters_max, mark } => self.truncate(names, *characters_max, mark),
            ElementAction::Replace { text } => self.replace(names, text),
            ElementAction::StripAttribute(name) => self.strip_attribute(name),
            ElementAction::Normalise => self.normalise(),
        }
    }

    /// Presence becomes available or unavailable and nothing else; `show` stays where the options say so.
    //= xmpp/FOLD-002
    pub(crate) fn fold_presence(&mut self, options: &FoldPresenceConfig) {
        if self.kind != Kind::Presence {
            return;
        }
        self.retain(|element| options.keep_show && element.is("show", ns::SERVER));
        self.drop_text();
        if self.sacred {
            return self.drop_what_hides();
        }
        self.plain_show(options.map_xa);
        self.hide_negative(options.negative_priority);
        if self.is_availability() {
            self.strip_attribute("id");
            self.strip_attribute("xml:lang");
        }
    }

    /// A client whose negative priority went appears as unavailable, where that is wanted.
    pub(crate) fn hide_negative(&mut self, wanted: NegativePriority) {
        let gone = self.element.get_child("priority", ns::SERVER).is_none();
        if self.priority_negative && gone && self.typ.is_none() && wanted == NegativePriority::Unavailable {
            set_attribute(&mut self.element, xml_ncname!("type"), "unavailable");
            self.typ = Some("unavailable".to_owned());
            self.element.take_nodes();
            self.changed = true;
        }
    }

    /// "Extended away" becomes "away".
    pub(crate) fn map_xa(&mut self) {
        if self.kind == Kind::Presence && !self.sacred {
            self.plain_show(true);
        }
    }

    fn is_availability(&self) -> bool {
        self.kind == Kind::Presence && matches!(self.typ.as_deref(), None | Some("unavailable"))
    }

    /// A `show` holds one of four words, and nothing hides in it.
    fn plain_show(&mut self, map_xa: bool) {
        let Some(show) = self.element.get_child("show", ns::SERVER) else { return };
        let text = show.text();
        let word = match text.trim() {
            "xa" if map_xa => "away",
            known @ ("away" | "chat" | "dnd" | "xa") => known,
            _ => "",
        };
        let plain = show.children().next().is_none() && show.attrs().iter().next().is_none() && text == word;
        if plain && self.element.children().filter(|child| child.is("show", ns::SERVER)).count() == 1 {
            return;
        }
        let word = word.to_owned();
        while self.element.remove_child("show", ns::SERVER).is_some() {}
        if !word.is_empty() {
            let mut show = Element::bare("show", ns::SERVER);
            show.append_text(word);
            self.element.append_child(show);
        }
        self.changed = true;
    }

    /// Keeps the direct children that `wanted` wants, and those that must stay.
    fn retain(&mut self, wanted: impl Fn(&Element) -> bool) {
        let stays = |folding: &Self, element: &Element| {
            wanted(element) || folding.must_keep(element) || folding.keep.iter().any(|name| name.matches(element))
        };
        if self.element.children().all(|child| stays(self, child)) {
            return;
        }
        let nodes = self.element.take_nodes();
        for node in nodes {
            match node {
                Node::Element(child) if !stays(self, &child) => self.removed = true,
                node => self.element.append_node(node),
            }
        }
        self.changed = true;
    }

    /// Text between elements means nothing in a stanza.
    fn drop_text(&mut self) {
        if self.kind == Kind::Iq || self.element.texts().next().is_none() {
            return;
        }
        let nodes = self.element.take_nodes();
        nodes.into_iter().filter(|node| node.as_element().is_some()).for_each(|node| self.element.append_node(node));
        self.changed = true;
    }

    /// The must-keep list, for direct children.
    //= xmpp/FOLD-001
    fn must_keep(&self, element: &Element) -> bool {
        let typ = self.typ.as_deref();
        if typ == Some("error") && element.is("error", ns::SERVER) {
            return true;
        }
        match self.kind {
            Kind::Iq => true,
            Kind::Presence => {
                let subscription = matches!(typ, Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed"));
                (self.sacred && is_of_rooms(element)) || (subscription && element.is("status", ns::SERVER))
            }
            Kind::Message => {
                element.is("x", CONFERENCE)
                    || element.is("x", ns::MUC_USER)
                    || element.is("delay", ns::DELAY)
                    || is_encrypted(element)
                    || (element.has_ns(ns::SECURITY_LABEL) && !self.release_label)
            }
        }
    }

    /// What must stay is for its own content: of another namespace in it nothing is known that anybody needs. Labels and
    /// errors are frames for others' elements.
    //= xmpp/FOLD-008
    fn drop_what_hides(&mut self) {
        let frames = |child: &Element| child.has_ns(ns::SECURITY_LABEL) || child.is("error", ns::SERVER);
        let named = |folding: &Self, child: &Element| folding.keep.iter().any(|name| name.matches(child));
        let bare: Vec<bool> = self
            .element
            .children()
            .map(|child| self.must_keep(child) && !frames(child) && !named(self, child))
            .collect();
        let mut dropped = false;
        for (child, bare) in self.element.children_mut().zip(bare) {
            if bare {
                let own = child.ns();
                dropped |= keep_namespace(child, &own);
            }
        }
        self.changed |= dropped;
    }

    /// Removes named elements at any depth; of iqs only below their content, which the addressee needs.
    fn strip_deep(&mut self, names: &[Name]) {
        let mut element = std::mem::replace(&mut self.element, Element::bare("presence", ns::SERVER));
        let mut removed = false;
        for node in element.take_nodes() {
            match node {
                Node::Element(mut child) => {
                    let kept = self.must_keep(&child) || self.keep.iter().any(|name| name.matches(&child));
                    if !kept && names.iter().any(|name| name.matches(&child)) {
                        removed = true;
                        self.removed = true;
                        continue;
                    }
                    // What must stay stays whole, except that the content of an iq is only its frame.
                    if !kept || (self.kind == Kind::Iq && !child.is("error", ns::SERVER)) {
                        removed |= strip_below(&mut child, names);
                    }
                    element.append_child(child);
                }
                text @ Node::Text(_) => element.append_node(text),
            }
        }
        self.element = element;
        self.changed |= removed;
    }

    //= xmpp/FOLD-005
    fn truncate(&mut self, names: &[Name], characters_max: usize, mark: &str) {
        if self.sacred || self.kind == Kind::Iq {
            return;
        }
        let mut changed = false;
        for child in self.element.children_mut().filter(|child| names.iter().any(|name| name.matches(child))) {
            if let Some(cut) = cut(&child.text(), characters_max, mark) {
                child.take_nodes();
                child.append_text(cut);
                changed = true;
            }
        }
        self.changed |= changed;
    }

    fn replace(&mut self, names: &[Name], text: &str) {
        let named = |element: &Element| names.iter().any(|name| name.matches(element));
        let protected = |element: &Element| element.is("error", ns::SERVER) || element.has_ns(ns::SECURITY_LABEL);
        if self.kind != Kind::Message || !self.element.children().any(|child| named(child) && !protected(child)) {
            return;
        }
        let nodes = self.element.take_nodes();
        for node in nodes {
            match node {
                Node::Element(child) if child.is("body", ns::SERVER) || (named(&child) && !protected(&child)) => {}
                node => self.element.append_node(node),
            }
        }
        let mut body = Element::bare("body", ns::SERVER);
        body.append_text(text);
        self.element.append_child(body);
        self.changed = true;
    }

    /// Never `to`, `from` and `type`; the id of an iq never, of presence only where nobody answers it, of a message only
    /// where nothing in it asks for an answer.
    //= xmpp/FOLD-006
    fn strip_attribute(&mut self, name: &str) {
        let allowed = match name {
            "to" | "from" | "type" => false,
            "id" => match self.kind {
                Kind::Iq => false,
                Kind::Presence => self.is_availability() && !self.sacred,
                Kind::Message => self.may_lose_its_id(),
            },
            _ => !self.sacred,
        };
        if !allowed {
            return;
        }
        match name {
            "xml:lang" => {
                self.changed |= self.element.attrs_mut().remove(&Namespace::XML, "lang").is_some();
            }
            name => {
                self.changed |= self.element.attr(name).is_some();
                remove_attribute(&mut self.element, name);
            }
        }
    }

    fn may_lose_its_id(&self) -> bool {
        // A room's own words come back to the speaker, who knows them by the id.
        !matches!(self.typ.as_deref(), Some("error" | "groupchat"))
            && !self.element.children().any(|child| REFER_TO_IDS.iter().any(|namespace| child.has_ns(*namespace)))
    }

    fn normalise(&mut self) {
        if self.sacred || self.kind == Kind::Iq {
            return;
        }
        self.drop_text();
        let empty = |element: &Element| {
            element.has_ns(ns::SERVER)
                && !matches!(element.name(), "subject" | "error")
                && element.nodes().next().is_none()
                && element.attrs().iter().next().is_none()
        };
        let mut changed = false;
        for body in self.element.children_mut().filter(|child| child.is("body", ns::SERVER)) {
            let text = body.text();
            if text.trim() != text && body.children().next().is_none() {
                body.take_nodes();
                if !text.trim().is_empty() {
                    body.append_text(text.trim());
                }
                changed = true;
            }
        }
        self.changed |= changed;
        self.retain(|element| !empty(element));
    }
}

/// Presence between a room and one occupant: the join, what the room tells, all with the elements of XEP-0045.
///
/// Only where it goes to a seat or comes from one, so that a client's empty element of that name escapes no rule.
pub(crate) fn is_room_presence(stanza: &Stanza) -> bool {
    stanza.kind() == Kind::Presence
        && stanza.element().children().any(|child| match child.ns().as_str() {
            ns::MUC => stanza.to().is_full(),
            ns::MUC_USER => stanza.from().is_full() && stanza.from().node().is_some() && stanza.to().is_full(),
            _ => false,
        })
}

/// What presence between a room and an occupant is made of.
fn is_of_rooms(element: &Element) -> bool {
    let namespace = element.ns();
    let of_rooms = namespace.strip_prefix(ns::MUC).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'));
    let own = element.has_ns(ns::SERVER) && matches!(element.name(), "show" | "status" | "priority" | "error");
    of_rooms || own || namespace == FMUC || element.has_ns(ns::SECURITY_LABEL) || element.is("delay", ns::DELAY)
}

/// An encrypted message: without this element nothing is left of it.
pub(crate) fn is_encrypted(element: &Element) -> bool {
    element.name() == "encrypted" && (element.has_ns(AXOLOTL) || element.ns().starts_with(OMEMO_BEGIN))
}

fn implied(element: &Element, groupchat: bool) -> bool {
    (element.has_ns(ns::SERVER) && matches!(element.name(), "body" | "subject" | "thread" | "error"))
        || (groupchat && element.is("fmuc", FMUC))
}

fn has_negative_priority(stanza: &Stanza) -> bool {
    stanza.kind() == Kind::Presence
        && stanza
            .child(ns::SERVER, "priority")
            .and_then(|priority| priority.text().trim().parse::<i8>().ok())
            .is_some_and(|priority| priority < 0)
}

/// Removes all below an element that is of another namespace.
fn keep_namespace(element: &mut Element, namespace: &str) -> bool {
    let mut removed = false;
    for node in element.take_nodes() {
        match node {
            Node::Element(child) if child.ns() != namespace => removed = true,
            Node::Element(mut child) => {
                removed |= keep_namespace(&mut child, namespace);
                element.append_child(child);
            }
            Node::Text(text) => element.append_text(text),
        }
    }
    removed
}

fn strip_below(element: &mut Element, names: &[Name]) -> bool {
    let mut removed = false;
    for node in element.take_nodes() {
        match node {
            Node::Element(mut child) => {
                if names.iter().any(|name| name.matches(&child)) {
                    removed = true;
                    continue;
                }
                removed |= strip_below(&mut child, names);
                element.append_child(child);
            }
            // Joined, as the reader would give it: what stood between is gone.
            Node::Text(text) => element.append_text(text),
        }
    }
    removed
}

/// The text cut to so many characters, the mark included; `None` if it is short enough. Never longer in octets.
fn cut(text: &str, characters_max: usize, mark: &str) -> Option<String> {
    if text.chars().count() <= characters_max {
        return None;
    }
    let marks = mark.chars().count();
    let begin = |characters: usize| text.chars().take(characters).collect::<String>();
    let marked = begin(characters_max.saturating_sub(marks)) + mark;
    if marks > characters_max || marked.len() > text.len() {
        return Some(begin(characters_max));
    }
    Some(marked)
}

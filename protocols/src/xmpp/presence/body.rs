//! What presence says, apart from who says it to whom: kept once for all pairs, as most presence is equal.

use std::collections::BTreeSet;
use std::sync::Arc;

use jid::Jid;
use minidom::Element;
use rxml::xml_ncname;

use super::super::local::stamp;
use super::super::ns;
use super::super::stanza::Stanza;
use super::super::writer::{remove_attribute, set_attribute};
use super::limits::{BODIES_OCTETS_MAX, BODY_OCTETS_MAX};
use crate::time::WallTime;

/// Available presence without its addresses, as octets.
pub(super) type Body = Arc<[u8]>;
/// Contact and subscriber, or sender and addressee.
pub(super) type Pair = (Arc<str>, Arc<str>);

/// Stands for both addresses in a body.
const NOBODY: &str = "x";
/// Fewer texts than this are not worth looking through.
const PRUNE_FROM: usize = 1024;

/// Texts and bodies that are kept once.
#[derive(Debug)]
pub(super) struct Pool {
    texts: BTreeSet<Arc<str>>,
    bodies: BTreeSet<Body>,
    octets: usize,
    prune_at: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self { texts: BTreeSet::new(), bodies: BTreeSet::new(), octets: 0, prune_at: PRUNE_FROM }
    }
}

impl Pool {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        self.prune();
        let new: Arc<str> = Arc::from(text);
        self.texts.insert(Arc::clone(&new));
        new
    }

    pub(super) fn pair(&mut self, one: &str, other: &str) -> Pair {
        (self.text(one), self.text(other))
    }

    /// The body of that content; `None` when it is too large to be kept, or all are.
    pub(super) fn body(&mut self, octets: &[u8]) -> Option<Body> {
        if let Some(known) = self.bodies.get(octets) {
            return Some(Arc::clone(known));
        }
        if octets.len() > BODY_OCTETS_MAX {
            return None;
        }
        if self.octets + octets.len() > BODIES_OCTETS_MAX {
            self.drop_unused();
        }
        if self.octets + octets.len() > BODIES_OCTETS_MAX {
            return None;
        }
        self.prune();
        let new: Body = Arc::from(octets);
        self.octets += octets.len();
        self.bodies.insert(Arc::clone(&new));
        Some(new)
    }

    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// Looks through everything only when there is twice as much as last time.
    fn prune(&mut self) {
        if self.texts.len() + self.bodies.len() >= self.prune_at {
            self.drop_unused();
            self.prune_at = (2 * (self.texts.len() + self.bodies.len())).max(PRUNE_FROM);
        }
    }

    fn drop_unused(&mut self) {
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.bodies.retain(|body| Arc::strong_count(body) > 1);
        self.octets = self.bodies.iter().map(|body| body.len()).sum();
    }
}

/// What available presence says: without addresses, id, and the age that a server added.
pub(super) fn content(stanza: &Stanza) -> Vec<u8> {
    let mut element = stanza.element().clone();
    set_attribute(&mut element, xml_ncname!("from"), NOBODY);
    set_attribute(&mut element, xml_ncname!("to"), NOBODY);
    remove_attribute(&mut element, "id");
    while element.remove_child("delay", ns::DELAY).is_some() {}
    Stanza::from_element(element).map(|stanza| stanza.octets()).unwrap_or_default()
}

/// Presence with this content between two addresses; with `since`, saying that it is as old as that.
pub(super) fn presence_of(body: &[u8], from: &Jid, to: &Jid, since: Option<WallTime>) -> Option<Stanza> {
    let mut element = Stanza::parse(body).ok()?.into_element();
    set_attribute(&mut element, xml_ncname!("from"), from.as_str());
    set_attribute(&mut element, xml_ncname!("to"), to.as_str());
    if let Some(since) = since {
        let mut delay = Element::bare("delay", ns::DELAY);
        set_attribute(&mut delay, xml_ncname!("from"), from.domain().as_str());
        set_attribute(&mut delay, xml_ncname!("stamp"), stamp(since));
        element.append_child(delay);
    }
    Stanza::from_element(element).ok()
}

/// An address from its parts.
pub(super) fn address(bare: &str, resource: Option<&str>) -> Option<Jid> {
    match resource {
        Some(resource) => Jid::new(&format!("{bare}/{resource}")).ok(),
        None => Jid::new(bare).ok(),
    }
}

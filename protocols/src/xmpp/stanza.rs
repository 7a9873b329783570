//! One message, presence or iq: checked, in one form, with one sender and one recipient.

use std::sync::{Arc, OnceLock};

use jid::Jid;
use minidom::{Element, Node};
use rxml::xml_ncname;

use super::fault::XmppFault;
use super::limits::ReaderLimits;
use super::ns;
use super::reader::{Item, StreamReader};
use super::shape::shape;
use super::writer::{Scope, set_attribute, write_element, write_stanza_for};

/// The three kinds of stanza.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A message.
    Message,
    /// Presence or a subscription.
    Presence,
    /// A request or its answer.
    Iq,
}

impl Kind {
    /// The kind of an element called `name`.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "message" => Some(Self::Message),
            "presence" => Some(Self::Presence),
            "iq" => Some(Self::Iq),
            _ => None,
        }
    }

    /// The name of its element.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }
}

/// A stanza. Its namespace is `jabber:server`, its addresses are normalised. Copies share one tree: what waits is known to
/// a queue and to a session.
#[derive(Clone, PartialEq, Debug)]
pub struct Stanza(Arc<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    kind: Kind,
    element: Element,
    from: Jid,
    to: Jid,
    /// How many octets it has, once somebody asked.
    octets: OnceLock<usize>,
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        // All the rest is made of the tree.
        self.element == other.element
    }
}

impl Stanza {
    /// Checks an element. One in a client's or component's namespace moves to `jabber:server` with all its own parts;
    /// what a foreign element encloses stays as it is.
    ///
    /// # Errors
    /// It is no stanza, or `from` or `to` is missing or no address.
    pub fn from_element(mut element: Element) -> Result<Self, XmppFault> {
        let Some(kind) = Kind::of(element.name()).filter(|_| ns::has_content(&element)) else {
            return Err(XmppFault::NotAStanza { namespace: element.ns(), name: element.name().to_owned() });
        };
        //= xmpp/STANZA-004
        element = in_server_namespace(element);
        let (from, to) = addresses(&mut element)?;
        Ok(Self(Arc::new(Parts { kind, element, from, to, octets: OnceLock::new() })))
    }

    /// The same, with addresses for a stanza that names none.
    ///
    /// # Errors
    /// As [`Self::from_element`].
    pub fn from_element_with(mut element: Element, from: &Jid, to: &Jid) -> Result<Self, XmppFault> {
        if element.attr("from").is_none() {
            set_attribute(&mut element, xml_ncname!("from"), from.as_str());
        }
        if element.attr("to").is_none() {
            set_attribute(&mut element, xml_ncname!("to"), to.as_str());
        }
        Self::from_element(element)
    }

    /// Reads one stanza as [`Self::octets`] writes it, with the limits of the LAN.
    ///
    /// # Errors
    /// Anything but exactly one stanza.
    pub fn parse(octets: &[u8]) -> Result<Self, XmppFault> {
        let mut reader = StreamReader::headless(ReaderLimits::LAN);
        reader.read(octets);
        let element = match reader.next()? {
            Some(Item::Element(element)) => element,
            Some(Item::Skipped(skipped)) => return Err(skipped.fault),
            Some(Item::Header(_) | Item::End) | None => return Err(XmppFault::Incomplete),
        };
        if reader.next()?.is_some() || reader.is_inside() {
            return Err(XmppFault::Trailing);
        }
        Self::from_element(element)
    }

    /// The canonical octets: see [`super::writer`].
    pub fn octets(&self) -> Vec<u8> {
        write_element(&self.0.element, Scope::LINK)
    }

    /// How many octets those are: written out once, however often it is asked.
    pub fn size_octets(&self) -> usize {
        *self.0.octets.get_or_init(|| self.octets().len())
    }

    /// Whether a reader with these limits takes the canonical octets, with what a gateway adds on the way. Of octets it
    /// says nothing.
    //= xmpp/LINK-024
    pub fn fits(&self, limits: ReaderLimits) -> bool {
        shape(&self.0.element).fits(limits)
    }

    /// The octets on a stream with this scope.
    pub fn octets_for(&self, scope: Scope<'_>) -> Vec<u8> {
        write_stanza_for(&self.0.element, scope)
    }

    /// Message, presence or iq.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The sender.
    pub fn from(&self) -> &Jid {
        &self.0.from
    }

    /// The recipient.
    pub fn to(&self) -> &Jid {
        &self.0.to
    }

    /// The attribute `type`.
    pub fn typ(&self) -> Option<&str> {
        self.0.element.attr("type")
    }

    /// The attribute `id`.
    pub fn id(&self) -> Option<&str> {
        self.0.element.attr("id")
    }

    /// The tree.
    pub fn element(&self) -> &Element {
        &self.0.element
    }

    /// The tree, taken.
    pub fn into_element(self) -> Element {
        Arc::unwrap_or_clone(self.0).element
    }

    /// Changes the tree and checks it again; on a fault the stanza is as before.
    ///
    /// # Errors
    /// What it became is no stanza.
    pub fn edit(&mut self, change: impl FnOnce(&mut Element)) -> Result<(), XmppFault> {
        let mut element = self.0.element.clone();
        change(&mut element);
        *self = Self::from_element(element)?;
        Ok(())
    }

    /// The first child with this namespace and name.
    pub fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.0.element.get_child(name, namespace)
    }

    /// Whether it is a message that says something.
    pub fn has_body(&self) -> bool {
        self.kind() == Kind::Message && self.child(ns::SERVER, "body").is_some()
    }

    /// Whether it is an error; such a one is never answered with an error.
    pub fn is_error(&self) -> bool {
        self.typ() == Some("error")
    }
}

/// Moves the element and all that belongs to it directly into `jabber:server`; joins text that stands together.
///
/// All namespaces of stanzas are one here: a body in another of them, which a server might show to a client all the same,
/// must not pass a rule about bodies. Rebuilds instead of editing, as the namespace of an [`Element`] is fixed.
fn in_server_namespace(element: Element) -> Element {
    let mut moved = Element::bare(element.name(), ns::SERVER);
    for ((namespace, name), value) in element.attrs() {
        moved.set_attr(namespace.clone(), name.clone(), value.clone());
    }
    let mut element = element;
    for node in element.take_nodes() {
        match node {
            Node::Text(text) if text.is_empty() => {}
            Node::Text(text) => moved.append_text(text),
            Node::Element(child) if ns::has_content(&child) => {
                moved.append_child(in_server_namespace(child));
            }
            Node::Element(child) => {
                moved.append_child(joined(child));
            }
        }
    }
    moved
}

/// The same element with text that stands together joined, so that equal trees compare equal.
fn joined(mut element: Element) -> Element {
    for node in element.take_nodes() {
        match node {
            Node::Text(text) if text.is_empty() => {}
            Node::Text(text) => element.append_text(text),
            Node::Element(child) => {
                element.append_child(joined(child));
            }
        }
    }
    element
}

//= xmpp/STANZA-001
fn addresses(element: &mut Element) -> Result<(Jid, Jid), XmppFault> {
    let from = address(element, "from")?;
    let to = address(element, "to")?;
    for (name, normal) in [(xml_ncname!("from"), &from), (xml_ncname!("to"), &to)] {
        if element.attr(name.as_str()) != Some(normal.as_str()) {
            set_attribute(element, name, normal.as_str());
        }
    }
    Ok((from, to))
}

//= xmpp/STANZA-002
fn address(element: &Element, attribute: &'static str) -> Result<Jid, XmppFault> {
    let value = element.attr(attribute).ok_or(XmppFault::AddressMissing(attribute))?;
    Jid::new(value).map_err(|error| XmppFault::AddressBad { attribute, why: error.to_string() })
}

#[cfg(test)]
mod tests;

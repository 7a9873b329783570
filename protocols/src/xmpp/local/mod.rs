//! What the gateway answers itself: errors, and requests that need not cross the link.
//!
//! Promises: an error is never answered with an error; an error carries neither label nor content of what it answers; a
//! room never gets a condition that makes it throw an occupant out. Refuses to answer anything but `get` and `set`.

mod answer;
mod condition;

use jid::Jid;
use minidom::Element;
use rxml::xml_ncname;

use super::ns;
use super::stanza::{Kind, Stanza};
use super::writer::set_attribute;

pub use answer::{Answer, Disco, Gateway, Identity, Reach, answer, answer_for_gateway, stamp};
pub use condition::{Cause, Condition, ErrorType};

/// Characters of the text in an error; longer ones are cut.
pub const ERROR_TEXT_CHARACTERS_MAX: usize = 200;

/// What an error says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Complaint<'a> {
    /// The condition.
    pub condition: Condition,
    /// What the sender may do about it.
    pub error_type: ErrorType,
    /// A sentence for a person; never anything of the stanza.
    pub text: Option<&'a str>,
    /// The domain of the gateway that says it.
    pub by: Option<&'a str>,
}

impl<'a> Complaint<'a> {
    /// The condition with its usual type, without words.
    pub const fn new(condition: Condition) -> Self {
        Self { condition, error_type: condition.usual_type(), text: None, by: None }
    }

    /// What says that a stanza comes back for this cause.
    pub const fn of(cause: Cause, by: Option<&'a str>) -> Self {
        let condition = cause.condition();
        Self { condition, error_type: condition.usual_type(), text: cause.text(), by }
    }
}

/// The error that tells the sender; `None` where an error must never be produced.
pub fn bounce(stanza: &Stanza, complaint: &Complaint<'_>) -> Option<Stanza> {
    if !may_be_answered_with_an_error(stanza) {
        return None;
    }
    let mut complaint = *complaint;
    //= xmpp/LOCAL-002
    if is_from_room(stanza) && complaint.condition.empties_a_seat() {
        complaint.condition = Condition::ResourceConstraint;
        complaint.error_type = ErrorType::Wait;
    }
    let mut reply = reply(stanza, "error");
    reply.append_child(error_element(&complaint));
    Stanza::from_element(reply).ok()
}

/// Whether RFC 6120 and RFC 6121 allow an error in answer to this.
//= xmpp/LOCAL-001
pub fn may_be_answered_with_an_error(stanza: &Stanza) -> bool {
    match (stanza.kind(), stanza.typ()) {
        (Kind::Message, typ) => typ != Some("error"),
        (Kind::Presence, typ) => !matches!(typ, Some("error" | "unavailable" | "probe")),
        (Kind::Iq, typ) => matches!(typ, Some("get" | "set")),
    }
}

/// Whether a room sent it to an occupant: an error in answer would go to the room, not to a person.
pub fn is_from_room(stanza: &Stanza) -> bool {
    let from_occupant = stanza.from().is_full() || stanza.from().node().is_some();
    match stanza.kind() {
        Kind::Message if stanza.typ() == Some("groupchat") => stanza.to().is_full(),
        Kind::Message | Kind::Presence => from_occupant && stanza.child(ns::MUC_USER, "x").is_some(),
        Kind::Iq => false,
    }
}

fn error_element(complaint: &Complaint<'_>) -> Element {
    let mut error = Element::bare("error", ns::SERVER);
    set_attribute(&mut error, xml_ncname!("type"), complaint.error_type.name());
    if let Some(by) = complaint.by {
        set_attribute(&mut error, xml_ncname!("by"), by);
    }
    error.append_child(Element::bare(complaint.condition.name(), ns::STANZA_ERRORS));
    if let Some(text) = complaint.text {
        let mut element = Element::bare("text", ns::STANZA_ERRORS);
        element.append_text(plain(text));
        error.append_child(element);
    }
    error
}

/// The text without what XML cannot carry, cut to the limit.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c })
        .take(ERROR_TEXT_CHARACTERS_MAX)
        .collect()
}

/// An empty stanza back to the sender, with the same id.
fn reply(stanza: &Stanza, typ: &str) -> Element {
    let mut element = Element::bare(stanza.kind().name(), ns::SERVER);
    set_attribute(&mut element, xml_ncname!("to"), stanza.from().as_str());
    set_attribute(&mut element, xml_ncname!("from"), stanza.to().as_str());
    if let Some(id) = stanza.id() {
        set_attribute(&mut element, xml_ncname!("id"), id);
    }
    set_attribute(&mut element, xml_ncname!("type"), typ);
    element
}

/// The result without content of a request.
pub(crate) fn result(request: &Stanza) -> Option<Stanza> {
    Stanza::from_element(reply(request, "result")).ok()
}

/// Presence of that type from one address to another, without content.
pub fn presence(from: &Jid, to: &Jid, typ: Option<&str>) -> Option<Stanza> {
    let mut element = Element::bare("presence", ns::SERVER);
    set_attribute(&mut element, xml_ncname!("to"), to.as_str());
    set_attribute(&mut element, xml_ncname!("from"), from.as_str());
    if let Some(typ) = typ {
        set_attribute(&mut element, xml_ncname!("type"), typ);
    }
    Stanza::from_element(element).ok()
}

#[cfg(test)]
mod tests;

//! What a chat message is known by on both sides of a link.

use skywave_protocols::xmpp::{Stanza, ns};

/// Sender, addressee and text of a message: its id may be another one beyond the link.
pub type MessageKey = (String, String, String);

/// The key of a message that says something, or sets a subject.
pub fn key_of(stanza: &Stanza) -> Option<MessageKey> {
    let said = stanza.child(ns::SERVER, "body").or_else(|| stanza.child(ns::SERVER, "subject"))?;
    Some((stanza.from().to_string(), stanza.to().to_string(), said.text()))
}

//! Namespaces, by the name of what they hold.

use minidom::Element;

/// The stream itself: `stream`, `features`, `error`.
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Stanzas between servers; the form in which stanzas are kept here.
pub const SERVER: &str = "jabber:server";
/// Stanzas between client and server.
pub const CLIENT: &str = "jabber:client";
/// Stanzas of a component that connects to its server.
pub const COMPONENT_ACCEPT: &str = "jabber:component:accept";
/// Stanzas of a component that its server connects to.
pub const COMPONENT_CONNECT: &str = "jabber:component:connect";
/// STARTTLS.
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Dialback keys and their answers.
pub const DIALBACK: &str = "jabber:server:dialback";
/// The stream feature that offers dialback.
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// The request to use a stream in both directions.
pub const BIDI: &str = "urn:xmpp:bidi";
/// The stream feature that offers it.
pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
/// Stream management.
pub const SM: &str = "urn:xmpp:sm:3";
/// Limits that a peer announces.
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Conditions of stanza errors.
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Conditions of stream errors.
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Ping.
pub const PING: &str = "urn:xmpp:ping";
/// Delayed delivery.
pub const DELAY: &str = "urn:xmpp:delay";
/// Chat states.
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Rooms: the join.
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// Rooms: what a room tells its occupants.
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Rooms: moderation.
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Rooms: configuration.
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// What an entity can do.
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// What an entity holds.
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Software version.
pub const VERSION: &str = "jabber:iq:version";
/// Last activity.
pub const LAST: &str = "jabber:iq:last";
/// Entity time.
pub const TIME: &str = "urn:xmpp:time";
/// Message markup in HTML.
pub const XHTML_IM: &str = "http://jabber.org/protocol/xhtml-im";
/// Delivery receipts.
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// Security labels.
pub const SECURITY_LABEL: &str = "urn:xmpp:sec-label:0";

/// The namespaces in which stanzas live, on one kind of stream or another.
const CONTENT: [&str; 4] = [SERVER, CLIENT, COMPONENT_ACCEPT, COMPONENT_CONNECT];

/// Whether stanzas live in this namespace.
pub fn is_content(namespace: &str) -> bool {
    CONTENT.contains(&namespace)
}

/// Whether stanzas live in the namespace of this element.
pub fn has_content(element: &Element) -> bool {
    CONTENT.iter().any(|namespace| element.has_ns(*namespace))
}

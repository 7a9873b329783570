//! What the stand-in and its parts, and the world, say to each other.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::Instant;
use skywave_protocols::xmpp::door::DoorSecure;
use skywave_protocols::xmpp::{Stanza, ns};

/// The secret that components share with it in all worlds.
pub const COMPONENT_SECRET: &str = "world";
/// The port for components.
pub const COMPONENT_PORT: u16 = 5347;
/// The port for servers.
pub const SERVER_PORT: u16 = 5269;
/// Users have this resource.
pub const RESOURCE: &str = "desk";

/// A stanza that reached a user, or the server itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Got {
    /// When.
    pub at: Instant,
    /// The stanza.
    pub stanza: Stanza,
}

impl Got {
    /// The text of its body.
    pub fn body(&self) -> Option<String> {
        self.stanza.child(ns::SERVER, "body").map(|body| body.text())
    }

    /// The condition of its error.
    pub fn condition(&self) -> Option<String> {
        let error = self.stanza.child(ns::SERVER, "error")?;
        error
            .children()
            .find(|child| child.has_ns(ns::STANZA_ERRORS) && child.name() != "text")
            .map(|c| c.name().to_owned())
    }
}

/// A stanza that one of its users, or a room, sent to a component.
#[derive(Clone, PartialEq, Debug)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// The stanza.
    pub stanza: Stanza,
    /// Whether a connection took it, or will be made for it.
    pub taken: bool,
}

/// What it asks of the world.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerOutput {
    /// Octets for the gateway.
    Write(u64, Bytes),
    /// The connection is closed.
    Close(u64),
    /// A connection of this number is to be opened to the gateway: answered by [`XmppServer::opened`].
    Open(u64, String),
    /// Both ends are to secure the connection: answered by [`XmppServer::secured`].
    Secure(u64, DoorSecure),
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}

/// A stanza made of text that is known to be one.
pub(super) fn stanza(text: &str) -> Option<Stanza> {
    Stanza::parse(text.as_bytes()).ok()
}

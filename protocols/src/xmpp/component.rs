//! A component's connection to its server (XEP-0114): one connection for one name.
//!
//! Promises: after [`ComponentEvent::Up`] every stanza given goes out in the server's namespace, every stanza that arrives
//! is told; the last event is [`ComponentEvent::Ended`]. There is no TLS and no confirmation in this protocol.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use minidom::Element;
use sha1::{Digest, Sha1};

use super::dialback::same;
use super::limits::ReaderLimits;
use super::ns;
use super::reader::{Header, Item, Skipped, StreamReader};
use super::stream::end::{StreamEnd, error_element, peer_error};
use super::writer::{STREAM_END, Scope, StreamHeader, write_element, write_stream_header};

/// The handshake: SHA-1 of the stream's id and the secret, in lower-case hex.
//= xmpp/COMP-002
pub fn handshake(stream_id: &str, secret: &str) -> String {
    let digest = Sha1::new().chain_update(stream_id).chain_update(secret).finalize();
    super::dialback::hex(&digest)
}

/// What the connection tells.
#[derive(Clone, PartialEq, Debug)]
pub enum ComponentEvent {
    /// The server took the handshake.
    Up,
    /// An element of the server that should be a stanza.
    Element(Element),
    /// The same, passed over as it broke a limit.
    Skipped(Skipped),
    /// It is over; close when what was written has left.
    Ended(StreamEnd),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Opening,
    /// Our header is out.
    Header,
    /// Our handshake is out.
    Handshake,
    Up,
    Over,
}

/// A component's connection. See the module.
#[derive(Debug)]
pub struct Component {
    name: String,
    secret: String,
    state: State,
    reader: StreamReader,
    items: u64,
    out: BytesMut,
    events: VecDeque<ComponentEvent>,
}

impl Component {
    /// A connection that is being opened.
    pub fn new(name: &str, secret: &str) -> Self {
        Self {
            name: name.to_owned(),
            secret: secret.to_owned(),
            state: State::Opening,
            reader: StreamReader::new(ReaderLimits::UNAUTHENTICATED),
            items: 0,
            out: BytesMut::new(),
            events: VecDeque::new(),
        }
    }

    /// Whether stanzas may go.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Whether an element has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.reader.is_inside()
    }

    /// Items read so far: who looks now and then sees whether the peer got on.
    pub const fn items(&self) -> u64 {
        self.items
    }

    /// The connection is open.
    //= xmpp/COMP-001
    pub fn opened(&mut self) {
        if self.state == State::Opening {
            self.state = State::Header;
            self.out.extend_from_slice(&write_stream_header(&StreamHeader {
                namespace: ns::COMPONENT_ACCEPT,
                to: Some(&self.name),
                ..StreamHeader::default()
            }));
        }
    }

    /// Octets of the server.
    pub fn read(&mut self, octets: &[u8]) {
        if matches!(self.state, State::Opening | State::Over) {
            return;
        }
        self.reader.read(octets);
        while self.state != State::Over {
            match self.reader.next() {
                Ok(Some(item)) => {
                    self.items += 1;
                    self.on_item(item);
                }
                Ok(None) => return,
                Err(fault) => self.end(StreamEnd::Broken(fault)),
            }
        }
    }

    /// Writes a stanza; `octets` as the scope [`Scope::COMPONENT`] writes them. Only while it is up.
    pub fn send(&mut self, octets: &[u8]) {
        if self.state == State::Up {
            self.out.extend_from_slice(octets);
        }
    }

    /// Ends it from our side.
    pub fn end(&mut self, why: StreamEnd) {
        if self.state == State::Over {
            return;
        }
        if self.state != State::Opening {
            if let Some(condition) = why.condition() {
                self.out.extend_from_slice(&write_element(&error_element(condition), Scope::COMPONENT));
            }
            self.out.extend_from_slice(STREAM_END);
        }
        self.state = State::Over;
        self.events.push_back(ComponentEvent::Ended(why));
    }

    /// The connection ended.
    pub fn lost(&mut self, why: StreamEnd) {
        if self.state != State::Over {
            self.state = State::Over;
            self.events.push_back(ComponentEvent::Ended(why));
        }
    }

    /// Octets for the server.
    pub fn poll_write(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<ComponentEvent> {
        self.events.pop_front()
    }

    fn on_item(&mut self, item: Item) {
        match item {
            Item::Header(header) => self.on_header(&header),
            Item::Element(element) => self.on_element(element),
            Item::Skipped(skipped) if self.state == State::Up => {
                self.events.push_back(ComponentEvent::Skipped(skipped));
            }
            Item::Skipped(skipped) => self.end(StreamEnd::Broken(skipped.fault)),
            Item::End => self.end(StreamEnd::PeerClosed),
        }
    }

    //= xmpp/COMP-002
    fn on_header(&mut self, header: &Header) {
        if header.namespace != ns::COMPONENT_ACCEPT {
            return self.end(StreamEnd::Refused("invalid-namespace", "the server speaks no component's namespace"));
        }
        // A header that announces an error carries no id; the error follows.
        if let Some(id) = header.id.as_ref().filter(|id| !id.is_empty()) {
            let mut element = Element::bare("handshake", ns::COMPONENT_ACCEPT);
            element.append_text(handshake(id, &self.secret));
            self.out.extend_from_slice(&write_element(&element, Scope::COMPONENT));
        }
        self.state = State::Handshake;
    }

    //= xmpp/COMP-003
    fn on_element(&mut self, element: Element) {
        if element.is("error", ns::STREAM) {
            return self.end(peer_error(&element));
        }
        match self.state {
            State::Handshake if element.is("handshake", ns::COMPONENT_ACCEPT) => {
                self.state = State::Up;
                self.reader.set_limits(ReaderLimits::LAN);
                self.events.push_back(ComponentEvent::Up);
            }
            State::Up => self.events.push_back(ComponentEvent::Element(element)),
            State::Opening | State::Header | State::Handshake | State::Over => {
                self.end(StreamEnd::Refused("not-authorized", "the server sent something before the handshake"));
            }
        }
    }
}

/// Whether a handshake is the right one for this stream and secret, for who plays the server.
pub fn is_handshake(given: &str, stream_id: &str, secret: &str) -> bool {
    same(given.trim(), &handshake(stream_id, secret))
}

#[cfg(test)]
mod tests;

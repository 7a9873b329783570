//! One component's connection to the stand-in, as XEP-0114 has it.

use std::collections::VecDeque;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::xmpp::limits::ReaderLimits;
use skywave_protocols::xmpp::{Item, Stanza, StreamReader, component, ns};

use super::seam::COMPONENT_SECRET;

/// What a connection brought.
#[derive(Debug)]
pub(super) enum Heard {
    /// To be answered at once.
    Write(Bytes),
    /// A stanza.
    Stanza(Stanza),
    /// It is over.
    End,
}

/// The connection.
#[derive(Debug)]
pub(super) struct Connection {
    session: u64,
    reader: StreamReader,
    name: Option<String>,
    authenticated: bool,
    heard: VecDeque<Heard>,
}

impl Connection {
    pub(super) fn new(session: u64) -> Self {
        let reader = StreamReader::new(ReaderLimits::LAN);
        Self { session, reader, name: None, authenticated: false, heard: VecDeque::new() }
    }

    pub(super) const fn session(&self) -> u64 {
        self.session
    }

    /// The component's name once it has shown that it knows the secret.
    pub(super) fn name(&self) -> Option<&String> {
        self.name.as_ref().filter(|_| self.authenticated)
    }

    pub(super) fn read(&mut self, octets: &[u8]) {
        self.reader.read(octets);
        loop {
            match self.reader.next() {
                Ok(Some(item)) => self.item(item),
                Ok(None) => return,
                Err(_) => return self.heard.push_back(Heard::End),
            }
        }
    }

    pub(super) fn hear(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Header(header) => {
                let name = header.to.unwrap_or_default();
                let answer = format!(
                    "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' from='{name}' id='{}'>",
                    ns::COMPONENT_ACCEPT,
                    ns::STREAM,
                    self.id()
                );
                self.name = Some(name);
                self.heard.push_back(Heard::Write(answer.into()));
            }
            Item::Element(element) if element.name() == "handshake" => {
                self.authenticated = element.text() == component::handshake(&self.id(), COMPONENT_SECRET);
                let answer = if self.authenticated { "<handshake/>" } else { "</stream:stream>" };
                self.heard.push_back(Heard::Write(answer.into()));
                if !self.authenticated {
                    self.heard.push_back(Heard::End);
                }
            }
            Item::Element(element) => match Stanza::from_element(element) {
                Ok(stanza) if self.name().is_some_and(|name| stanza.from().domain().as_str() == name) => {
                    self.heard.push_back(Heard::Stanza(stanza));
                }
                // As Prosody does it: one wrong sender costs the connection.
                Ok(_) | Err(_) => {
                    self.heard.push_back(Heard::Write("</stream:stream>".into()));
                    self.heard.push_back(Heard::End);
                }
            },
            Item::Skipped(_) => {}
            Item::End => self.heard.push_back(Heard::End),
        }
    }

    fn id(&self) -> String {
        format!("world-{}", self.session)
    }
}

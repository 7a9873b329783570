//! Stanzas that arrive on a stream between servers.

use minidom::Element;
use rxml::xml_ncname;

use super::end::{StreamEnd, shortened};
use super::{S2s, StreamEvent};
use crate::fault::{Fault, Next};
use crate::xmpp::fault::XmppFault;
use crate::xmpp::ns;
use crate::xmpp::reader::Skipped;
use crate::xmpp::stanza::{Kind, Stanza};
use crate::xmpp::writer::set_attribute;

impl S2s {
    /// An element of which only the start is known: it counts as the stanza that it is, if it is one.
    //= xmpp/STREAM-012
    pub(super) fn on_skipped(&mut self, skipped: Skipped) {
        match skipped.head {
            Some(head) if head.has_ns(ns::SERVER) => self.on_stanza(head, Some(skipped.fault)),
            Some(_) | None => self.on_strange(),
        }
    }

    /// A stanza, or the start of one that broke a limit.
    //= xmpp/STANZA-003
    pub(super) fn on_stanza(&mut self, element: Element, broken: Option<XmppFault>) {
        if Kind::of(element.name()).is_none() {
            return self.on_strange();
        }
        if self.theirs.is_empty() {
            return self.end(StreamEnd::Refused("not-authorized", "a stanza before its sender was known"));
        }
        match Stanza::from_element(element) {
            Ok(stanza) if !self.theirs.contains(stanza.from().domain().as_str()) => {
                let detail = format!("{} is not authenticated here", stanza.from().domain());
                self.notice("chat.invalid_from", true, shortened(&detail));
                self.end(StreamEnd::Refused("invalid-from", "a stanza from a domain that is not authenticated"));
            }
            Ok(stanza) if !self.config.fronts(stanza.to().domain().as_str()) => {
                let detail = format!("a stanza for {}, which is not fronted", stanza.to().domain());
                self.notice("chat.host_unknown", false, shortened(&detail));
                self.events.push_back(StreamEvent::PassedOver);
            }
            Ok(stanza) => self.events.push_back(match broken {
                None => StreamEvent::Stanza(stanza),
                Some(fault) => StreamEvent::Skipped(stanza, fault),
            }),
            Err(fault) if fault.next() == Next::Ignore => {
                // One bad address of one user must not cost all users of that server their stream.
                self.notice("chat.bad_stanza", false, shortened(&fault.to_string()));
                self.events.push_back(StreamEvent::PassedOver);
            }
            Err(fault) => self.end(StreamEnd::Broken(fault)),
        }
    }
}

/// The answer to a ping of one server for another; `None` for everything else.
//= xmpp/PING-001
pub fn pong(stanza: &Stanza) -> Option<Stanza> {
    let between_servers = |jid: &jid::Jid| jid.node().is_none() && jid.resource().is_none();
    let asks = stanza.kind() == Kind::Iq && stanza.typ() == Some("get") && stanza.child(ns::PING, "ping").is_some();
    if !asks || !between_servers(stanza.from()) || !between_servers(stanza.to()) {
        return None;
    }
    let mut element = Element::bare("iq", ns::SERVER);
    set_attribute(&mut element, xml_ncname!("from"), stanza.to().as_str());
    set_attribute(&mut element, xml_ncname!("to"), stanza.from().as_str());
    set_attribute(&mut element, xml_ncname!("type"), "result");
    if let Some(id) = stanza.id() {
        set_attribute(&mut element, xml_ncname!("id"), id);
    }
    Stanza::from_element(element).ok()
}

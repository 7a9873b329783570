//! Stream management on a stream between servers.

use minidom::Element;

use super::end::StreamEnd;
use super::{Asked, S2s, StreamEvent};
use crate::xmpp::ns;
use crate::xmpp::sm::{Handled, Sent, answer, number_of, too_high_element};

impl S2s {
    /// Whether what is sent will be confirmed.
    pub const fn is_managed(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether a request for confirmation is open.
    pub fn awaits_confirmation(&self) -> bool {
        self.sent.is_some_and(|sent| sent.is_asked())
    }

    /// Writes a stanza (as the scope of a stream between servers writes it) for a pair that is ready; whether it will be
    /// confirmed.
    pub fn send(&mut self, octets: &[u8]) -> bool {
        self.out.extend_from_slice(octets);
        match &mut self.sent {
            Some(sent) => {
                sent.count();
                true
            }
            None => false,
        }
    }

    /// Asks for confirmation of what was sent, unless that is asked already.
    //= xmpp/SM-003
    pub fn ask_confirmation(&mut self) {
        if self.sent.as_mut().is_some_and(Sent::ask) {
            self.write(&Element::bare("r", ns::SM));
        }
    }

    /// So many more of what arrived were taken, in order, with so many left.
    //= xmpp/SM-002
    pub fn taken(&mut self, stanzas: u32, left: usize) {
        if let Some(handled) = &mut self.handled
            && handled.take(stanzas, left)
        {
            let number = handled.number();
            self.write(&answer(number));
        }
    }

    /// The counting of what arrives has begun, with so many left of what came before.
    //= xmpp/SM-006
    pub fn begin_counting(&mut self, left: usize) {
        if let Some(handled) = &mut self.handled {
            handled.begin(left);
        }
    }

    /// The peer asks how much we have taken: told at once, and again when more is taken.
    //= xmpp/SM-002
    pub fn tell_handled(&mut self, left: usize) {
        if let Some(handled) = &mut self.handled {
            handled.asked(left);
            let number = handled.number();
            self.write(&answer(number));
        }
    }

    pub(super) fn on_management(&mut self, element: &Element) {
        match element.name() {
            "enable" => self.on_enable(),
            "enabled" if self.sent.is_some() => self.count_arrivals(),
            "failed" if self.sent.take().is_some() => self.events.push_back(StreamEvent::Unmanaged),
            "r" if self.handled.is_some() => self.events.push_back(StreamEvent::Asked),
            "a" => self.on_confirmation(element),
            // There is nothing to resume between servers.
            "resume" => {
                let mut failed = Element::bare("failed", ns::SM);
                failed.append_child(Element::bare("item-not-found", ns::STANZA_ERRORS));
                self.write(&failed);
            }
            _ => self.on_strange(),
        }
    }

    //= xmpp/SM-001
    fn on_enable(&mut self) {
        let allowed = self.server.as_ref().is_some_and(|server| server.sm) && self.is_established();
        if !allowed || self.handled.is_some() {
            let mut failed = Element::bare("failed", ns::SM);
            failed.append_child(Element::bare("unexpected-request", ns::STANZA_ERRORS));
            return self.write(&failed);
        }
        self.count_arrivals();
        if self.ours.values().any(|asked| *asked == Asked::Ready) {
            self.sent.get_or_insert_with(Sent::default);
        }
        self.write(&Element::bare("enabled", ns::SM));
    }

    /// From here on what arrives counts. What came before may still wait to be taken: the door knows how much of it.
    //= xmpp/SM-006
    fn count_arrivals(&mut self) {
        if self.handled.is_none() {
            self.handled = Some(Handled::default());
            self.events.push_back(StreamEvent::CountingBegins);
        }
    }

    //= xmpp/SM-004
    fn on_confirmation(&mut self, element: &Element) {
        let Some(sent) = &mut self.sent else { return self.on_strange() };
        let Some(handled) = number_of(element) else {
            return self.end(StreamEnd::Refused("bad-format", "a confirmation without a number"));
        };
        match sent.confirm(handled) {
            Ok(0) => {}
            Ok(confirms) => self.events.push_back(StreamEvent::Confirmed(confirms)),
            Err(fault) => {
                let error = too_high_element(fault);
                self.end_with(
                    StreamEnd::Refused("undefined-condition", "a confirmation of more than was sent"),
                    Some(&error),
                );
            }
        }
    }
}

//! Stream management (XEP-0198) between servers: what was sent and confirmed, what arrived and was taken.
//!
//! Both counts run modulo 2^32. A stanza that arrived counts when the gateway has taken responsibility for it and not
//! before, and in order: what is taken out of turn waits for what came first. There is no resumption between servers.

use minidom::Element;
use rxml::xml_ncname;

use super::ns;
use super::writer::set_attribute;

/// What was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    sent: u32,
    confirmed: u32,
    /// Whether a request for confirmation is open.
    asked: bool,
}

/// The peer confirms more than was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("confirmed {handled}, sent {sent}")]
pub struct TooHigh {
    /// What it confirms.
    pub handled: u32,
    /// What was sent.
    pub sent: u32,
}

impl Sent {
    /// Counting that begins at this number, for tests of the wrap.
    pub const fn beginning_at(number: u32) -> Self {
        Self { sent: number, confirmed: number, asked: false }
    }

    /// A stanza goes out.
    pub fn count(&mut self) {
        self.sent = self.sent.wrapping_add(1);
    }

    /// How many are not confirmed.
    pub const fn unconfirmed(&self) -> u32 {
        self.sent.wrapping_sub(self.confirmed)
    }

    /// Whether confirmation should be asked for now; then it counts as asked.
    //= xmpp/SM-003
    pub fn ask(&mut self) -> bool {
        let ask = !self.asked && self.unconfirmed() > 0;
        self.asked |= ask;
        ask
    }

    /// Whether a request for confirmation is open.
    pub const fn is_asked(&self) -> bool {
        self.asked
    }

    /// The peer has handled so many; how many that confirms.
    ///
    /// # Errors
    /// It cannot have handled so many. An old number is such a one: it would confirm nearly 2^32.
    //= xmpp/SM-004
    pub fn confirm(&mut self, handled: u32) -> Result<u32, TooHigh> {
        let confirms = handled.wrapping_sub(self.confirmed);
        if confirms > self.unconfirmed() {
            return Err(TooHigh { handled, sent: self.sent });
        }
        self.confirmed = handled;
        self.asked = false;
        Ok(confirms)
    }
}

/// What arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Handled {
    handled: u32,
    /// The peer asked and not everything had been taken.
    owing: bool,
    /// Stanzas that came before the counting began and are not taken; `None` while nobody has said how many.
    uncounted: Option<u32>,
}

impl Handled {
    /// Counting that begins at this number, with nothing before it, for tests of the wrap.
    pub const fn beginning_at(number: u32) -> Self {
        Self { handled: number, owing: false, uncounted: Some(0) }
    }

    /// So many came before the counting began and are not taken: they never count. Nothing counts before this is said.
    //= xmpp/SM-006
    pub fn begin(&mut self, untaken: usize) {
        self.uncounted = Some(u32::try_from(untaken).unwrap_or(u32::MAX));
    }

    /// So many more were taken, with so many left; whether an answer is owed for them.
    //= xmpp/SM-002
    pub fn take(&mut self, stanzas: u32, left: usize) -> bool {
        let Some(uncounted) = &mut self.uncounted else { return false };
        let early = stanzas.min(*uncounted);
        *uncounted -= early;
        self.handled = self.handled.wrapping_add(stanzas - early);
        let answer = self.owing && stanzas > early;
        self.owing &= left > 0;
        answer
    }

    /// The peer asks; so many are not taken yet.
    pub fn asked(&mut self, left: usize) {
        self.owing = left > 0;
    }

    /// The number for an answer.
    pub const fn number(&self) -> u32 {
        self.handled
    }
}

/// `<a h='number'/>`.
pub fn answer(number: u32) -> Element {
    let mut element = Element::bare("a", ns::SM);
    set_attribute(&mut element, xml_ncname!("h"), number.to_string());
    element
}

/// The number of an `<a/>`; `None` if it is none (a sign, more than 32 bits).
pub fn number_of(element: &Element) -> Option<u32> {
    let text = element.attr("h")?;
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The stream error for a number that is too high.
pub fn too_high_element(fault: TooHigh) -> Element {
    let mut error = super::stream::end::error_element("undefined-condition");
    let mut detail = Element::bare("handled-count-too-high", ns::SM);
    set_attribute(&mut detail, xml_ncname!("h"), fault.handled.to_string());
    set_attribute(&mut detail, xml_ncname!("send-count"), fault.sent.to_string());
    error.append_child(detail);
    error
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    //= xmpp/SM-004
    #[test]
    fn what_is_beyond_sent_or_behind_confirmed_is_an_error() {
        let mut sent = Sent::default();
        for _ in 0..5 {
            sent.count();
        }
        assert_eq!(sent.confirm(3), Ok(3));
        assert_eq!(sent.confirm(3), Ok(0));
        assert_eq!(sent.confirm(6), Err(TooHigh { handled: 6, sent: 5 }));
        assert_eq!(sent.confirm(2), Err(TooHigh { handled: 2, sent: 5 }));
        assert_eq!(sent.confirm(5), Ok(2));
        assert_eq!(sent.unconfirmed(), 0);
    }

    //= xmpp/SM-002
    #[test]
    fn counts_wrap_at_two_to_the_thirty_second() {
        let mut sent = Sent::beginning_at(u32::MAX - 1);
        for _ in 0..4 {
            sent.count();
        }
        assert_eq!(sent.confirm(u32::MAX), Ok(1));
        assert_eq!(sent.confirm(0), Ok(1));
        assert_eq!(sent.confirm(3), Err(TooHigh { handled: 3, sent: 2 }));
        assert_eq!(sent.confirm(2), Ok(2));
        let mut handled = Handled::beginning_at(u32::MAX);
        assert!(!handled.take(1, 0));
        assert_eq!(handled.number(), 0);
    }

    #[test]
    fn one_question_is_open_at_a_time() {
        let mut sent = Sent::default();
        assert!(!sent.ask());
        sent.count();
        assert!(sent.ask() && !sent.ask() && sent.is_asked());
        sent.count();
        assert_eq!(sent.confirm(1), Ok(1));
        assert!(sent.ask());
    }

    #[test]
    fn what_was_asked_before_it_was_taken_is_answered_when_it_is() {
        let mut handled = Handled::beginning_at(0);
        handled.asked(2);
        assert!(handled.take(1, 1));
        assert!(handled.take(1, 0));
        assert!(!handled.take(1, 0));
        handled.asked(0);
        assert!(!handled.take(1, 0));
        assert_eq!(handled.number(), 4);
    }

    //= xmpp/SM-006
    #[test]
    fn what_came_first_does_not_count() {
        let mut handled = Handled::default();
        assert!(!handled.take(1, 3));
        handled.begin(3);
        handled.asked(4);
        assert!(!handled.take(2, 2), "nothing new to tell");
        assert_eq!(handled.number(), 0);
        assert!(handled.take(2, 0));
        assert_eq!(handled.number(), 1);
    }

    #[test]
    fn numbers_are_plain_or_nothing() {
        let with = |h: &str| {
            let mut element = Element::bare("a", ns::SM);
            set_attribute(&mut element, xml_ncname!("h"), h);
            number_of(&element)
        };
        assert_eq!((with("0"), with("4294967295")), (Some(0), Some(u32::MAX)));
        for bad in ["-1", "+1", "4294967296", "", " 1", "x"] {
            assert_eq!(with(bad), None, "{bad}");
        }
        assert_eq!(number_of(&Element::bare("a", ns::SM)), None);
    }

    proptest! {
        #[test]
        fn never_more_than_was_sent_is_confirmed(start: u32, acts in prop::collection::vec(any::<Option<u8>>(), 0..64)) {
            let mut sent = Sent::beginning_at(start);
            let mut open: u32 = 0;
            for act in acts {
                match act {
                    None => {
                        sent.count();
                        open += 1;
                    }
                    Some(ahead) => match sent.confirm(start.wrapping_add(u32::from(ahead))) {
                        Ok(confirms) => {
                            prop_assert!(confirms <= open);
                            open -= confirms;
                        }
                        Err(fault) => prop_assert_eq!(fault.handled, start.wrapping_add(u32::from(ahead))),
                    },
                }
                prop_assert_eq!(sent.unconfirmed(), open);
            }
        }
    }
}

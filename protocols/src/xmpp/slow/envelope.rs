//! Short tokens for the beginnings of stanzas: who writes to whom, and what kind of stanza it is.
//!
//! Both ends of a context keep the same table: a beginning that is sent in full enters it, the one unused for the
//! longest time leaves it. Limits: [`SLOTS_MAX`], [`ENVELOPE_OCTETS_MAX`].

use super::limits::{ENVELOPE_OCTETS_MAX, SLOTS_MAX};

const BODY: &[u8] = b"<body>";

/// The table of one context and direction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Envelopes {
    slots: Vec<Slot>,
    uses: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Slot {
    text: Vec<u8>,
    used: u64,
}

/// The beginning of a stanza up to the end of its first tag and of a body's, if that is short enough for the table.
pub(super) fn envelope(text: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'>', text)? + 1;
    let longer = end + BODY.len();
    let end = if text.get(end..longer) == Some(BODY) { longer } else { end };
    text.get(..end).filter(|envelope| envelope.len() <= ENVELOPE_OCTETS_MAX)
}

impl Envelopes {
    /// The slot that holds `text`.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        self.slots.iter().position(|slot| slot.text == text)
    }

    /// What a slot holds; it counts as used now.
    pub(super) fn take(&mut self, index: usize) -> Option<&[u8]> {
        self.uses += 1;
        let slot = self.slots.get_mut(index)?;
        slot.used = self.uses;
        Some(&slot.text)
    }

    /// Gives `text` a slot.
    pub(super) fn insert(&mut self, text: &[u8]) {
        self.uses += 1;
        let slot = Slot { text: text.to_vec(), used: self.uses };
        if self.slots.len() < SLOTS_MAX {
            self.slots.push(slot);
        } else if let Some(oldest) = self.slots.iter_mut().min_by_key(|slot| slot.used) {
            *oldest = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings() {
        for (text, expected) in [
            ("<message to='a' from='b'><body>hi</body></message>", Some("<message to='a' from='b'><body>")),
            ("<presence to='a' from='b'/>", Some("<presence to='a' from='b'/>")),
            ("<presence to='a'><show>", Some("<presence to='a'>")),
            ("<message to='a'", None),
            ("", None),
        ] {
            assert_eq!(envelope(text.as_bytes()), expected.map(str::as_bytes), "{text}");
        }
        assert_eq!(envelope(&[&vec![b'x'; ENVELOPE_OCTETS_MAX][..], b">"].concat()), None);
    }

    #[test]
    fn the_slot_unused_for_the_longest_time_is_taken() {
        let mut table = Envelopes::default();
        let name = |n: usize| format!("e{n}").into_bytes();
        (0..SLOTS_MAX).for_each(|n| table.insert(&name(n)));
        assert_eq!(table.take(0), Some(&b"e0"[..]));
        table.insert(b"new");
        assert_eq!((table.find(b"e0"), table.find(b"e1"), table.find(b"new")), (Some(0), None, Some(1)));
        assert_eq!(table.take(SLOTS_MAX), None);
    }
}

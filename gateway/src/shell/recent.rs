//! Texts that went to the store a moment ago, kept so that a hand-over need not read them back.
//!
//! Promises: what is yielded is what was appended, octet for octet, and only after the commit that keeps it was asked
//! for; the node asks for a text only after that commit was answered, so nothing is handed over that is not on the disk.
//! A text that is not here is in the store. Limits: below; the oldest give way.

use std::collections::{BTreeMap, VecDeque};

use skywave_protocols::bytes::Bytes;

use crate::store::BodyId;

/// Octets of one text that is kept.
const TEXT_OCTETS_MAX: usize = 64 << 10;
/// Octets of all texts that are kept.
const OCTETS_MAX: usize = 4 << 20;
/// Texts that are kept or being received.
const TEXTS_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    texts: BTreeMap<BodyId, Text>,
    /// Whole texts, oldest first; some may be gone.
    order: VecDeque<BodyId>,
    octets: usize,
}

#[derive(Debug, Default)]
struct Text {
    /// `None`: too large, or there was no room; it is not begun again in its middle.
    pieces: Option<Vec<Bytes>>,
    octets: usize,
    whole: bool,
}

impl Recent {
    /// The next piece of a text that is being received.
    pub(super) fn append(&mut self, body: BodyId, octets: &Bytes) {
        if self.texts.len() >= TEXTS_MAX && !self.texts.contains_key(&body) {
            self.make_room(OCTETS_MAX);
        }
        let text = self.texts.entry(body).or_insert_with(|| Text { pieces: Some(Vec::new()), ..Text::default() });
        text.octets += octets.len();
        let Some(pieces) = &mut text.pieces else { return };
        pieces.push(octets.clone());
        self.octets += octets.len();
        if text.octets > TEXT_OCTETS_MAX {
            self.give_up(body);
        } else {
            self.make_room(OCTETS_MAX);
            if self.octets > OCTETS_MAX {
                self.give_up(body);
            }
        }
    }

    /// The commit that keeps a text is asked for.
    pub(super) fn keep(&mut self, body: BodyId) {
        let Some(text) = self.texts.get_mut(&body) else { return };
        if text.pieces.is_none() {
            self.texts.remove(&body);
        } else if !text.whole {
            text.whole = true;
            self.order.push_back(body);
        }
    }

    /// A text is dropped or abandoned.
    pub(super) fn forget(&mut self, body: BodyId) {
        if let Some(Text { pieces: Some(_), octets, .. }) = self.texts.remove(&body) {
            self.octets -= octets;
        }
        while self.order.front().is_some_and(|oldest| !self.texts.contains_key(oldest)) {
            self.order.pop_front();
        }
    }

    /// Octets of a whole text from `offset`: at most `octets` of them, and no more than came in one piece.
    pub(super) fn load(&self, body: BodyId, offset: u64, octets: usize) -> Option<Bytes> {
        let text = self.texts.get(&body).filter(|text| text.whole)?;
        let mut from = usize::try_from(offset).ok()?;
        for piece in text.pieces.as_ref()? {
            if from < piece.len() {
                return Some(piece.slice(from..piece.len().min(from.saturating_add(octets))));
            }
            from -= piece.len();
        }
        Some(Bytes::new())
    }

    fn give_up(&mut self, body: BodyId) {
        if let Some(text) = self.texts.get_mut(&body)
            && text.pieces.take().is_some()
        {
            self.octets -= text.octets;
        }
    }

    /// Lets the oldest whole texts go until no more than so many octets are kept.
    fn make_room(&mut self, octets: usize) {
        while (self.octets > octets || self.texts.len() >= TEXTS_MAX)
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(octets: usize) -> Bytes {
        (0..octets).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into()
    }

    fn kept(recent: &mut Recent, body: u64, octets: usize) -> Bytes {
        let text = piece(octets);
        recent.append(BodyId(body), &text);
        recent.keep(BodyId(body));
        text
    }

    #[test]
    fn a_text_is_there_from_its_commit_until_it_is_dropped() {
        let mut recent = Recent::default();
        let (text, body) = (piece(3000), BodyId(1));
        recent.append(body, &text.slice(..1000));
        assert_eq!(recent.load(body, 0, 10), None, "not whole");
        recent.append(body, &text.slice(1000..));
        recent.keep(body);
        let mut read = Vec::new();
        while let Some(octets) = recent.load(body, read.len() as u64, 700).filter(|octets| !octets.is_empty()) {
            assert!(octets.len() <= 700);
            read.extend_from_slice(&octets);
        }
        assert_eq!(read, text);
        assert_eq!(recent.load(body, 3000, 1), Some(Bytes::new()), "its end");
        recent.forget(body);
        assert_eq!((recent.load(body, 0, 10), recent.octets, recent.order.len()), (None, 0, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_give_way() {
        let mut recent = Recent::default();
        for body in 0..100 {
            kept(&mut recent, body, TEXT_OCTETS_MAX);
        }
        assert_eq!(recent.octets, OCTETS_MAX);
        assert_eq!(recent.load(BodyId(99 - (OCTETS_MAX / TEXT_OCTETS_MAX) as u64), 0, 1), None);
        assert!(recent.load(BodyId(99), 0, 1).is_some());
        (0..100).for_each(|body| recent.forget(BodyId(body)));
        assert_eq!((recent.octets, recent.texts.len(), recent.order.len()), (0, 0, 0));
    }

    #[test]
    fn many_small_texts_are_bounded_too() {
        let mut recent = Recent::default();
        for body in 0..3 * TEXTS_MAX as u64 {
            kept(&mut recent, body, 1);
        }
        assert!(recent.texts.len() <= TEXTS_MAX && recent.order.len() <= TEXTS_MAX);
    }

    #[test]
    fn a_text_that_is_too_large_never_appears_in_part() {
        let mut recent = Recent::default();
        for _ in 0..3 {
            recent.append(BodyId(1), &piece(TEXT_OCTETS_MAX / 2));
        }
        recent.append(BodyId(1), &piece(1));
        recent.keep(BodyId(1));
        assert_eq!((recent.load(BodyId(1), 0, 1), recent.octets, recent.texts.len()), (None, 0, 0));
        for body in 2..200 {
            recent.append(BodyId(body), &piece(TEXT_OCTETS_MAX));
        }
        assert!(recent.octets <= OCTETS_MAX, "also of texts that are being received");
    }
}

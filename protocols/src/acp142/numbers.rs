//! Sets of Data_PDU sequence numbers: [`Numbers`] (a bitmap) inside, [`Span`]s (first to last) on the wire.

use serde::Serialize;

/// Consecutive sequence numbers, both ends included; `first` is at least 1 and at most `last`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Span {
    /// The first number.
    pub first: u16,
    /// The last number.
    pub last: u16,
}

impl Span {
    /// One number.
    pub const fn one(number: u16) -> Self {
        Self { first: number, last: number }
    }

    /// How many numbers.
    pub const fn count(self) -> usize {
        self.last as usize - self.first as usize + 1
    }
}

/// A set of sequence numbers from 1 to 65535. At most 8 KiB, whatever is put in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    words: Vec<u64>,
}

impl Numbers {
    /// All numbers from 1 to `last`; empty when `last` is 0.
    pub fn up_to(last: u16) -> Self {
        let mut numbers = Self::default();
        if last > 0 {
            numbers.insert_span(Span { first: 1, last });
        }
        numbers
    }

    /// The set of these spans.
    pub fn from_spans(spans: &[Span]) -> Self {
        let mut numbers = Self::default();
        for &span in spans {
            numbers.insert_span(span);
        }
        numbers
    }

    /// Adds a number.
    pub fn insert(&mut self, number: u16) {
        let word = usize::from(number / 64);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (number % 64);
    }

    /// Adds all numbers of a span.
    pub fn insert_span(&mut self, span: Span) {
        for number in span.first..=span.last {
            self.insert(number);
        }
    }

    /// Removes a number.
    pub fn remove(&mut self, number: u16) {
        if let Some(word) = self.words.get_mut(usize::from(number / 64)) {
            *word &= !(1 << (number % 64));
        }
    }

    /// Whether the number is in the set.
    pub fn contains(&self, number: u16) -> bool {
        self.words.get(usize::from(number / 64)).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds all numbers of another set.
    pub fn extend(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Removes all numbers of another set.
    pub fn subtract(&mut self, other: &Self) {
        for (word, less) in self.words.iter_mut().zip(&other.words) {
            *word &= !less;
        }
    }

    /// The lowest number.
    pub fn first(&self) -> Option<u16> {
        let (index, word) = self.words.iter().enumerate().find(|(_, word)| **word != 0)?;
        u16::try_from(index * 64 + word.trailing_zeros() as usize).ok()
    }

    /// The highest number.
    pub fn last(&self) -> Option<u16> {
        let (index, word) = self.words.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        u16::try_from(index * 64 + 63 - word.leading_zeros() as usize).ok()
    }

    /// How many numbers.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The numbers in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).filter_map(move |bit| u16::try_from(index * 64 + bit).ok())
        })
    }

    /// The set as ascending spans, as few as possible. Costs a step for each 64 numbers and each span.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut from = 0;
        while let Some(first) = self.next(from, true) {
            let end = self.next(first, false).unwrap_or(self.words.len() * 64);
            if let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(end - 1)) {
                spans.push(Span { first, last });
            }
            from = end;
        }
        spans
    }

    /// The first number from `from` on that is in the set (or, `wanted` false, is not).
    fn next(&self, from: usize, wanted: bool) -> Option<usize> {
        let mut mask = u64::MAX << (from % 64);
        for (index, word) in self.words.iter().enumerate().skip(from / 64) {
            let found = if wanted { *word } else { !word } & mask;
            if found != 0 {
                return Some(index * 64 + found.trailing_zeros() as usize);
            }
            mask = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set(a in prop::collection::btree_set(1u16..=u16::MAX, 0..40),
                            b in prop::collection::btree_set(1u16..300, 0..40)) {
            let make = |set: &BTreeSet<u16>| { let mut n = Numbers::default(); set.iter().for_each(|&x| n.insert(x)); n };
            let (x, y) = (make(&a), make(&b));
            prop_assert_eq!(x.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!((x.first(), x.last(), x.count()), (a.first().copied(), a.last().copied(), a.len()));
            prop_assert_eq!(Numbers::from_spans(&y.spans()).iter().collect::<BTreeSet<_>>(), b.clone());
            let (mut sum, mut rest) = (x.clone(), x);
            sum.extend(&y);
            rest.subtract(&y);
            prop_assert_eq!(sum.iter().collect::<BTreeSet<_>>(), a.union(&b).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(rest.iter().collect::<BTreeSet<_>>(), a.difference(&b).copied().collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn whole_range_and_spans() {
        let all = Numbers::up_to(u16::MAX);
        assert_eq!(all.spans(), [Span { first: 1, last: u16::MAX }]);
        assert_eq!(all.count(), 65_535);
        assert!(Numbers::up_to(0).is_empty());
        let some = Numbers::from_spans(&[Span::one(2), Span { first: 5, last: 7 }]);
        assert_eq!(some.spans(), [Span::one(2), Span { first: 5, last: 7 }]);
        assert!(some.contains(6) && !some.contains(8));
    }
}

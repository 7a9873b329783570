//! Receiving without ARQ: segments of all copies merged to C_PDUs (C.3.10, C.3.11).
//!
//! A C_PDU comes out once, when it is whole, or with blocks missing when its reception window is over. Until then its
//! number stays known, so that further copies come to nothing. Limits: half C_PDUs per source and in all, and their
//! octets; the oldest goes first, as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Block;
use super::limits::{
    NON_ARQ_OCTETS_MAX, NON_ARQ_PARTIALS_MAX, NON_ARQ_PARTIALS_PER_SOURCE_MAX, NON_ARQ_PIECES_MAX,
    NON_ARQ_REMEMBERED_MAX,
};
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::node::dpdu::NonArqPart;
use crate::time::{Duration, Instant};

/// Whose C_PDU, of which service, to whom, and its number.
pub(super) type Key = (NodeAddress, bool, NodeAddress, u16);

/// A C_PDU that comes out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Whole {
    pub(super) source: NodeAddress,
    pub(super) destination: NodeAddress,
    pub(super) expedited: bool,
    pub(super) c_pdu: Bytes,
    pub(super) errored: Vec<Block>,
    pub(super) missing: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Partial {
    octets: Vec<u8>,
    /// Stretches that came intact, by where they begin: ends behind them. They do not touch.
    good: BTreeMap<usize, usize>,
    /// Stretches that came damaged.
    damaged: BTreeMap<usize, usize>,
    closes: Instant,
    /// Counts up: the smallest is the oldest.
    age: u64,
}

/// The receiving end of both non-ARQ services.
#[derive(Clone, Debug, Default)]
pub(super) struct NonArqReceiver {
    partials: BTreeMap<Key, Partial>,
    ages: BTreeMap<u64, Key>,
    per_source: BTreeMap<NodeAddress, usize>,
    closing: BTreeSet<(Instant, Key)>,
    /// What came out, and until when, with its size.
    remembered: BTreeMap<Key, (Instant, usize)>,
    forgetting: BTreeSet<(Instant, Key)>,
    octets: usize,
    age: u64,
    /// Segments that repeat what is there or whose C_PDU has come out.
    pub(super) repeats: u64,
}

impl NonArqReceiver {
    /// Takes a segment; what came out by it.
    //= s5066/DTS-018
    pub(super) fn take(&mut self, now: Instant, key: Key, part: &NonArqPart, intact: bool, out: &mut Vec<Whole>) {
        let size = usize::from(part.c_pdu_size);
        let (begin, end) = (usize::from(part.offset), usize::from(part.offset) + part.segment.len());
        if end > size {
            return;
        }
        if self.remembered.get(&key).is_some_and(|(_, known)| *known == size) {
            self.repeats += 1;
            return;
        }
        if self.partials.get(&key).is_some_and(|partial| partial.octets.len() != size) {
            self.finish(now, key, out);
        }
        let closes = now + Duration::from_millis(500 * u64::from(part.window));
        if !self.partials.contains_key(&key) {
            self.make_room(now, key.0, size, out);
            self.insert(key, size, closes);
        }
        let Some(partial) = self.partials.get_mut(&key) else { return };
        self.closing.remove(&(partial.closes, key));
        partial.closes = closes;
        self.closing.insert((closes, key));
        if intact {
            self.repeats += u64::from(covers(&partial.good, begin, end) && end > begin);
            if partial.good.len() < NON_ARQ_PIECES_MAX {
                partial.octets[begin..end].copy_from_slice(&part.segment);
                merge(&mut partial.good, begin, end);
            }
        } else if partial.damaged.len() < NON_ARQ_PIECES_MAX {
            // Damaged octets are better than none, and worse than those that came intact.
            for at in (begin..end).filter(|&at| !covers(&partial.good, at, at + 1)) {
                partial.octets[at] = part.segment[at - begin];
            }
            merge(&mut partial.damaged, begin, end);
        }
        if covers(&partial.good, 0, size) {
            self.finish(now, key, out);
        }
    }

    /// Gives out what the end of its reception window has come for, as it is.
    //= s5066/DTS-018
    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Whole>) {
        while let Some(&(_, key)) = self.closing.first().filter(|(closes, _)| *closes <= now) {
            self.finish(now, key, out);
        }
        while let Some(&(at, key)) = self.forgetting.first().filter(|(at, _)| *at <= now) {
            self.forgetting.remove(&(at, key));
            self.remembered.remove(&key);
        }
    }

    /// When the first window is over.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.closing.first().map(|(at, _)| *at)
    }

    /// Half C_PDUs and their octets.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.partials.len(), self.octets)
    }

    fn insert(&mut self, key: Key, size: usize, closes: Instant) {
        self.age += 1;
        let (good, damaged) = (BTreeMap::new(), BTreeMap::new());
        self.partials.insert(key, Partial { octets: vec![0; size], good, damaged, closes, age: self.age });
        self.ages.insert(self.age, key);
        *self.per_source.entry(key.0).or_default() += 1;
        self.octets += size;
    }

    fn make_room(&mut self, now: Instant, source: NodeAddress, size: usize, out: &mut Vec<Whole>) {
        if self.per_source.get(&source).is_some_and(|&count| count >= NON_ARQ_PARTIALS_PER_SOURCE_MAX)
            && let Some(&key) = self.ages.values().find(|key| key.0 == source)
        {
            self.finish(now, key, out);
        }
        while self.partials.len() >= NON_ARQ_PARTIALS_MAX || self.octets + size > NON_ARQ_OCTETS_MAX {
            let Some((_, &key)) = self.ages.first_key_value() else { return };
            self.finish(now, key, out);
        }
    }

    /// Gives a C_PDU out as it is.
    fn finish(&mut self, now: Instant, key: Key, out: &mut Vec<Whole>) {
        let Some(partial) = self.partials.remove(&key) else { return };
        self.ages.remove(&partial.age);
        self.closing.remove(&(partial.closes, key));
        if let Some(count) = self.per_source.get_mut(&key.0) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&key.0);
            }
        }
        let size = partial.octets.len();
        self.octets -= size;
        self.remember(now, key, partial.closes, size);
        let (missing, errored) = (gaps(&partial.good, &partial.damaged, size), errors(&partial));
        if partial.good.is_empty() && partial.damaged.is_empty() && size > 0 {
            return;
        }
        let (source, expedited, destination, _) = key;
        out.push(Whole { source, destination, expedited, c_pdu: partial.octets.into(), errored, missing });
    }

    fn remember(&mut self, now: Instant, key: Key, until: Instant, size: usize) {
        if until <= now {
            return;
        }
        if self.remembered.len() >= NON_ARQ_REMEMBERED_MAX
            && let Some((_, first)) = self.forgetting.pop_first()
        {
            self.remembered.remove(&first);
        }
        if let Some((before, _)) = self.remembered.insert(key, (until, size)) {
            self.forgetting.remove(&(before, key));
        }
        self.forgetting.insert((until, key));
    }
}

/// Adds a stretch; what it touches becomes one with it.
fn merge(stretches: &mut BTreeMap<usize, usize>, mut begin: usize, mut end: usize) {
    if begin == end {
        return;
    }
    while let Some((&from, &to)) = stretches.range(..=end).next_back().filter(|(_, to)| **to >= begin) {
        stretches.remove(&from);
        (begin, end) = (begin.min(from), end.max(to));
    }
    stretches.insert(begin, end);
}

fn covers(stretches: &BTreeMap<usize, usize>, begin: usize, end: usize) -> bool {
    begin == end || stretches.range(..=begin).next_back().is_some_and(|(_, &to)| to >= end)
}

fn block(begin: usize, end: usize) -> Block {
    (u16::try_from(begin).unwrap_or(u16::MAX), u16::try_from(end - begin).unwrap_or(u16::MAX))
}

/// What neither came intact nor damaged.
fn gaps(good: &BTreeMap<usize, usize>, damaged: &BTreeMap<usize, usize>, size: usize) -> Vec<Block> {
    let mut all = good.clone();
    damaged.iter().for_each(|(&begin, &end)| merge(&mut all, begin, end));
    outside(&all, 0, size)
}

/// What came damaged and not intact.
fn errors(partial: &Partial) -> Vec<Block> {
    partial.damaged.iter().flat_map(|(&begin, &end)| outside(&partial.good, begin, end)).collect()
}

/// The parts of a stretch that none of the others covers.
fn outside(stretches: &BTreeMap<usize, usize>, begin: usize, end: usize) -> Vec<Block> {
    let (mut at, mut blocks) = (begin, Vec::new());
    for (&from, &to) in stretches {
        if to <= at || from >= end {
            continue;
        }
        if from > at {
            blocks.push(block(at, from));
        }
        at = at.max(to);
    }
    if at < end {
        blocks.push(block(at, end));
    }
    blocks
}

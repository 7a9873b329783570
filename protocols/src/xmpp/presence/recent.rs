//! A map that forgets what was longest unused.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::RangeBounds;

/// A bounded map.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    next: u64,
    max: usize,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    pub(super) const fn new(max: usize) -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), next: 0, max }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Without counting as use.
    pub(super) fn peek_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// The value, new if there was none, and the key that had to go for it.
    pub(super) fn entry(&mut self, key: &K, new: impl FnOnce() -> V) -> (&mut V, Option<K>) {
        let mut gone = None;
        match self.entries.get(key) {
            Some((tick, _)) => {
                self.order.remove(tick);
            }
            None if self.entries.len() >= self.max => {
                gone = self.order.pop_first().map(|(_, oldest)| oldest);
                if let Some(oldest) = &gone {
                    self.entries.remove(oldest);
                }
            }
            None => {}
        }
        let tick = self.next;
        self.next += 1;
        self.order.insert(tick, key.clone());
        let slot = self.entries.entry(key.clone()).or_insert_with(|| (tick, new()));
        slot.0 = tick;
        (&mut slot.1, gone)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (tick, value) = self.entries.remove(key)?;
        self.order.remove(&tick);
        Some(value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, (_, value))| (key, value))
    }

    /// Without counting as use.
    pub(super) fn range_mut<R: RangeBounds<K>>(&mut self, range: R) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.range_mut(range).map(|(key, (_, value))| (key, value))
    }

    pub(super) fn range<R: RangeBounds<K>>(&self, range: R) -> impl Iterator<Item = (&K, &V)> {
        let range: Range<'_, K, (u64, V)> = self.entries.range(range);
        range.map(|(key, (_, value))| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes() {
        let mut recent = Recent::new(2);
        assert_eq!(recent.entry(&'a', || 1).1, None);
        assert_eq!(recent.entry(&'b', || 2).1, None);
        assert_eq!(recent.entry(&'a', || 9), (&mut 1, None));
        assert_eq!(recent.entry(&'c', || 3).1, Some('b'));
        assert_eq!((recent.len(), recent.get(&'b')), (2, None));
        assert_eq!(recent.remove(&'a'), Some(1));
        assert_eq!(recent.entry(&'d', || 4).1, None);
        assert_eq!(recent.entry(&'e', || 5).1, Some('c'));
    }
}

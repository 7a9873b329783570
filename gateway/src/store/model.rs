//! A store in memory over a disk that misbehaves on demand: what the world gives to its nodes.
//!
//! Promises: the same calls give the same answers. A commit that returned is durable; what was only submitted is lost by
//! [`ModelStore::crash`], or survives, batch by batch in their order and each whole: a torn or reordered sector spoils
//! its batch and all after it, as the checksums of a log do. Refuses: what a plan of [`Trouble`] tells it to refuse.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Random;
use skywave_transports::io::{Row, Space};

use super::limits::BODIES_OPEN_MAX;
use super::record;
use super::{Batch, BodyId, Query, Store, StoreFault};

const SECTOR_OCTETS: usize = 512;

/// A trouble of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No room for rows nor bodies.
    Full,
    /// Commits fail; reading goes on.
    CommitsFail,
    /// Octets of bodies cannot be written.
    BodiesFail,
    /// Nothing can be read.
    ReadsFail,
}

/// A value with the checksum it was stored with.
#[derive(Clone, Debug)]
struct Guarded {
    value: Bytes,
    sum: u32,
}

/// The store. Cloning it copies its disk.
#[derive(Clone, Default, Debug)]
pub struct ModelStore {
    rows: BTreeMap<(Space, Vec<u8>), Guarded>,
    bodies: BTreeMap<BodyId, Guarded>,
    incoming: BTreeMap<BodyId, Vec<u8>>,
    submitted: VecDeque<(u64, Batch)>,
    damaged: Vec<String>,
    aside: u64,
    trouble: Option<Trouble>,
    plan: Vec<(Range<u64>, Trouble)>,
    commits: u64,
}

impl ModelStore {
    /// An empty disk without troubles.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on the disk has this trouble, or none.
    pub fn set_trouble(&mut self, trouble: Option<Trouble>) {
        self.trouble = trouble;
    }

    /// During these commits, counted from 0 over the life of the store, the disk has this trouble.
    pub fn plan(&mut self, commits: Range<u64>, trouble: Trouble) {
        self.plan.push((commits, trouble));
    }

    /// Commits asked for so far.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Hands a batch over that [`Self::settle`] makes durable later; rows are not seen before.
    pub fn submit(&mut self, number: u64, batch: Batch) {
        self.submitted.push_back((number, batch));
    }

    /// Whether batches wait for [`Self::settle`].
    pub fn is_settled(&self) -> bool {
        self.submitted.is_empty()
    }

    /// Makes all submitted batches durable as one group; says for each how it went. A batch at fault fails alone.
    pub fn settle(&mut self) -> Vec<(u64, Result<(), StoreFault>)> {
        let group = std::mem::take(&mut self.submitted);
        if group.is_empty() {
            return Vec::new();
        }
        match self.counted() {
            Err(fault) => group.into_iter().map(|(number, _)| (number, Err(fault.clone()))).collect(),
            Ok(()) => group
                .into_iter()
                .map(|(number, batch)| (number, self.known(&batch).map(|()| self.apply(&batch))))
                .collect(),
        }
    }

    /// The machine stops. Bodies being received are lost; of the submitted batches those survive whose sectors all
    /// reached the disk, up to the first that did not.
    pub fn crash(&mut self, random: &mut dyn Random) {
        let survives = random.below(101);
        for (_, batch) in std::mem::take(&mut self.submitted) {
            let octets: usize = batch.writes.iter().map(|w| w.key.len() + w.value.as_ref().map_or(0, Bytes::len)).sum();
            let whole = (0..=octets / SECTOR_OCTETS).all(|_| random.below(100) < survives);
            if !whole || self.known(&batch).is_err() {
                break;
            }
            self.apply(&batch);
        }
        self.incoming.clear();
        self.damaged.clear();
    }

    /// Damages a stored row; false when there is none.
    pub fn damage_row(&mut self, space: Space, key: &[u8]) -> bool {
        self.rows.get_mut(&(space, key.to_vec())).map(|row| row.sum ^= 1).is_some()
    }

    /// Damages a stored body; false when there is none.
    pub fn damage_body(&mut self, body: BodyId) -> bool {
        self.bodies.get_mut(&body).map(|kept| kept.sum ^= 1).is_some()
    }

    /// All rows of a space as they lie on the disk, for checkers.
    pub fn rows(&self, space: Space) -> impl Iterator<Item = (&[u8], &Bytes)> {
        let from = (space, Vec::new());
        let of_space = self.rows.range(from..).take_while(move |((of, _), _)| *of == space);
        of_space.map(|((_, key), row)| (key.as_slice(), &row.value))
    }

    /// The numbers of all kept bodies, for checkers.
    pub fn bodies(&self) -> impl Iterator<Item = BodyId> {
        self.bodies.keys().copied()
    }

    fn has(&self, trouble: Trouble) -> bool {
        let planned = self.plan.iter().any(|(span, planned)| *planned == trouble && span.contains(&self.commits));
        planned || self.trouble == Some(trouble)
    }

    fn counted(&mut self) -> Result<(), StoreFault> {
        let full = self.has(Trouble::Full);
        let fails = self.has(Trouble::CommitsFail);
        self.commits += 1;
        match (full, fails) {
            (true, _) => Err(StoreFault::Full("the model's disk is full".into())),
            (false, true) => Err(StoreFault::Failed("the model's disk failed".into())),
            (false, false) => Ok(()),
        }
    }

    fn known(&self, batch: &Batch) -> Result<(), StoreFault> {
        let is_known = |body: &&BodyId| self.incoming.contains_key(body) || self.bodies.contains_key(body);
        batch.keep.iter().find(|body| !is_known(body)).map_or(Ok(()), |body| Err(StoreFault::NoBody(body.0)))
    }

    fn apply(&mut self, batch: &Batch) {
        for body in &batch.keep {
            if let Some(octets) = self.incoming.remove(body) {
                let sum = record::sum(&body.0.to_be_bytes(), &octets);
                self.bodies.insert(*body, Guarded { value: octets.into(), sum });
            }
        }
        for write in &batch.writes {
            let key = (write.space, write.key.clone());
            match &write.value {
                Some(value) => {
                    let sum = record::sum(&write.key, value);
                    self.rows.insert(key, Guarded { value: value.clone(), sum });
                }
                None => drop(self.rows.remove(&key)),
            }
        }
        for body in &batch.drop {
            self.incoming.remove(body);
            self.bodies.remove(body);
        }
    }

    fn set_aside(&mut self, what: &str) -> String {
        self.aside += 1;
        let name = format!("{what} (corrupt row {})", self.aside);
        self.damaged.push(name.clone());
        name
    }

    fn found(&mut self, query: &Query) -> Vec<Row> {
        let (space, keys): (Space, Vec<Vec<u8>>) = match query {
            Query::Keys { space, keys } => (*space, keys.clone()),
            Query::Range { space, from, to, reverse, .. } => (*space, self.keys_between(*space, from, to, *reverse)),
            Query::Count { space, from, to } => {
                let count = self.keys_between(*space, from, to, false).len() as u64;
                return vec![Row { key: Vec::new(), value: Bytes::copy_from_slice(&count.to_be_bytes()) }];
            }
        };
        let limit = if let Query::Range { limit, .. } = query { *limit } else { usize::MAX };
        let mut rows = Vec::new();
        for key in keys {
            if rows.len() >= limit {
                break;
            }
            match self.rows.get(&(space, key.clone())) {
                Some(row) if record::checked(&key, &row.value, row.sum).is_ok() => {
                    rows.push(Row { value: row.value.clone(), key });
                }
                Some(_) => {
                    self.set_aside(&format!("{}/{}", space.name(), key.escape_ascii()));
                    self.rows.remove(&(space, key));
                }
                None => {}
            }
        }
        rows
    }

    fn keys_between(&self, space: Space, from: &[u8], to: &[u8], reverse: bool) -> Vec<Vec<u8>> {
        let of_space = self.rows.range((space, from.to_vec())..).map(|(key, _)| key);
        let within = of_space.take_while(|(of, key)| *of == space && (to.is_empty() || key.as_slice() < to));
        let mut keys: Vec<Vec<u8>> = within.map(|(_, key)| key.clone()).collect();
        if reverse {
            keys.reverse();
        }
        keys
    }
}

impl Store for ModelStore {
    fn append_body(&mut self, body: BodyId, octets: &[u8]) -> Result<(), StoreFault> {
        let too_many = self.incoming.len() >= BODIES_OPEN_MAX && !self.incoming.contains_key(&body);
        if self.has(Trouble::Full) || too_many {
            self.incoming.remove(&body);
            return Err(StoreFault::Full("the model's disk is full".into()));
        }
        if self.has(Trouble::BodiesFail) {
            self.incoming.remove(&body);
            return Err(StoreFault::Failed("the model's disk failed".into()));
        }
        self.incoming.entry(body).or_default().extend_from_slice(octets);
        Ok(())
    }

    fn abandon_body(&mut self, body: BodyId) {
        self.incoming.remove(&body);
    }

    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        self.settle();
        self.counted()?;
        batches.iter().try_for_each(|batch| self.known(batch))?;
        batches.iter().for_each(|batch| self.apply(batch));
        Ok(())
    }

    fn fetch(&mut self, query: &Query) -> Result<Vec<Row>, StoreFault> {
        if self.has(Trouble::ReadsFail) {
            return Err(StoreFault::Failed("the model's disk cannot be read".into()));
        }
        Ok(self.found(query))
    }

    fn load_body(&mut self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, StoreFault> {
        if self.has(Trouble::ReadsFail) {
            return Err(StoreFault::Failed("the model's disk cannot be read".into()));
        }
        let Some(kept) = self.bodies.get(&body) else { return Err(StoreFault::NoBody(body.0)) };
        if record::sum(&body.0.to_be_bytes(), &kept.value) != kept.sum {
            self.bodies.remove(&body);
            return Err(StoreFault::Damaged(self.set_aside(&format!("body/{:016x}", body.0))));
        }
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(kept.value.len());
        Ok(kept.value.slice(from..from.saturating_add(octets).min(kept.value.len())))
    }

    fn damaged(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damaged)
    }
}

#[cfg(test)]
mod tests {
    use skywave_protocols::random::Seeded;

    use super::*;
    use crate::store::conformance_tests::{append, batch, keys, put, range, suite};

    #[test]
    fn conforms() {
        suite(|| Box::new(ModelStore::new()));
    }

    #[test]
    fn of_what_was_submitted_a_crash_leaves_whole_batches_in_order() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut store = ModelStore::new();
            store.commit(&[batch(vec![put(Space::Mail, b"\0", b"durable")])]).unwrap();
            append(&mut store, BodyId(1), 10);
            for number in 1..=4_u8 {
                let pair = vec![put(Space::Mail, &[number], &[0; 600]), put(Space::Hop, &[number], b"")];
                store.submit(number.into(), batch(pair));
            }
            store.crash(&mut Seeded::new(seed));
            let mails = store.fetch(&range(Space::Mail, b"", b"")).unwrap();
            let expected: Vec<Vec<u8>> = (0..mails.len() as u8).map(|number| vec![number]).collect();
            assert_eq!(keys(&mails), expected, "seed {seed}");
            assert_eq!(store.rows(Space::Hop).count() + 1, mails.len(), "seed {seed}: half a batch");
            let keep = Batch { keep: vec![BodyId(1)], ..Batch::default() };
            assert_eq!(store.commit(&[keep]), Err(StoreFault::NoBody(1)));
            outcomes.insert(mails.len());
        }
        assert_eq!(outcomes, (1..=5).collect(), "every number of survivors is met");
    }

    #[test]
    fn the_same_seed_crashes_the_same_way() {
        let crashed = |seed| {
            let mut store = ModelStore::new();
            (0..9).for_each(|number| store.submit(number, batch(vec![put(Space::Mail, &[number as u8], &[0; 999])])));
            store.crash(&mut Seeded::new(seed));
            store.rows(Space::Mail).count()
        };
        assert!((0..50).all(|seed| crashed(seed) == crashed(seed)));
    }

    #[test]
    fn troubles_come_and_go() {
        let one = || batch(vec![put(Space::Mail, b"m", b"1")]);
        let mut store = ModelStore::new();
        store.plan(1..3, Trouble::Full);
        store.plan(3..4, Trouble::CommitsFail);
        let went: Vec<_> = (0..5).map(|_| store.commit(&[one()])).collect();
        assert!(matches!(
            went[..],
            [Ok(()), Err(StoreFault::Full(_)), Err(StoreFault::Full(_)), Err(StoreFault::Failed(_)), Ok(())]
        ));
        store.set_trouble(Some(Trouble::BodiesFail));
        assert!(matches!(store.append_body(BodyId(1), b"x"), Err(StoreFault::Failed(_))));
        store.set_trouble(Some(Trouble::ReadsFail));
        assert!(store.fetch(&range(Space::Mail, b"", b"")).is_err());
        store.set_trouble(None);
        store.submit(7, one());
        store.submit(8, Batch { keep: vec![BodyId(9)], ..Batch::default() });
        assert_eq!(store.settle(), [(7, Ok(())), (8, Err(StoreFault::NoBody(9)))]);
        assert!(store.is_settled());
    }

    #[test]
    fn damage_is_set_aside() {
        let mut store = ModelStore::new();
        append(&mut store, BodyId(1), 10);
        let rows = [b"a", b"b"].map(|key| put(Space::Hop, key, b"v")).to_vec();
        store.commit(&[Batch { keep: vec![BodyId(1)], writes: rows, ..Batch::default() }]).unwrap();
        assert!(store.damage_row(Space::Hop, b"a") && store.damage_body(BodyId(1)));
        assert_eq!(keys(&store.fetch(&range(Space::Hop, b"", b"")).unwrap()), [b"b"]);
        assert!(matches!(store.load_body(BodyId(1), 0, 1), Err(StoreFault::Damaged(_))));
        assert_eq!(store.load_body(BodyId(1), 0, 1), Err(StoreFault::NoBody(1)));
        assert_eq!(store.damaged(), ["hop/a (corrupt row 1)", "body/0000000000000001 (corrupt row 2)"]);
    }
}

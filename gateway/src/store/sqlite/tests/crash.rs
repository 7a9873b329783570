//! The SQLite store over a disk that crashes and errs at random points: 20 seeds, or as many as `SKYWAVE_SEEDS` says.
//!
//! After every crash: each commit that returned is there whole, at most the one commit that was under way is there too,
//! and then whole; nothing is damaged; the files are those of the rows. A crash in the middle of recovery changes nothing.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random, Seeded};
use skywave_transports::io::{Space, Write};

use super::super::{OpenFault, Spool, SqliteStore, body_path};
use super::simulated::{SimulatedDisk, Trouble};
use crate::store::conformance_tests::{octets, range};
use crate::store::limits::BODY_ROW_OCTETS_MAX;
use crate::store::{Batch, BodyId, Store, StoreFault};

const LIVES: usize = 4;
const COMMITS_PER_LIFE: usize = 40;

fn seeds() -> u64 {
    std::env::var("SKYWAVE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(20)
}

/// What a store holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Held {
    rows: BTreeMap<(Space, Vec<u8>), Bytes>,
    bodies: BTreeMap<BodyId, usize>,
}

impl Held {
    fn with(&self, batches: &[Batch], sizes: &BTreeMap<BodyId, usize>) -> Self {
        let mut held = self.clone();
        for batch in batches {
            held.bodies.extend(batch.keep.iter().map(|body| (*body, sizes[body])));
            for Write { space, key, value } in &batch.writes {
                match value {
                    Some(value) => drop(held.rows.insert((*space, key.clone()), value.clone())),
                    None => drop(held.rows.remove(&(*space, key.clone()))),
                }
            }
            held.bodies.retain(|body, _| !batch.drop.contains(body));
        }
        held
    }

    /// Where two differ, for the message of a failed test.
    fn unlike(&self, other: &Self) -> String {
        let rows = self.rows.iter().filter(|(key, value)| other.rows.get(key) != Some(value)).map(|(key, _)| key);
        let bodies = self.bodies.keys().filter(|body| !other.bodies.contains_key(body));
        format!("only here: rows {:?}, bodies {:?}", rows.collect::<Vec<_>>(), bodies.collect::<Vec<_>>())
    }

    /// Reads everything; bodies are looked for under all numbers ever used.
    fn read(store: &mut SqliteStore, sizes: &BTreeMap<BodyId, usize>) -> Self {
        let mut held = Self::default();
        for space in Space::ALL {
            let rows = store.fetch(&range(space, b"", b"")).unwrap();
            held.rows.extend(rows.into_iter().map(|row| ((space, row.key), row.value)));
        }
        for (body, size) in sizes {
            match store.load_body(*body, 0, *size + 1) {
                Ok(content) => {
                    assert_eq!(content, octets(*body, *size), "body {body:?}");
                    held.bodies.insert(*body, *size);
                }
                Err(fault) => assert_eq!(fault, StoreFault::NoBody(body.0)),
            }
        }
        assert_eq!(store.damaged(), Vec::<String>::new());
        held
    }
}

struct Trial {
    name: String,
    disk: SimulatedDisk,
    random: Seeded,
    next_body: u64,
    sizes: BTreeMap<BodyId, usize>,
    held: Held,
}

impl Trial {
    fn new(name: &str, seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        let name = format!("{name}-{seed}");
        sqlite_vfs::register(&name, disk.clone(), false).unwrap();
        let random = Seeded::new(seed).fork("work");
        Self { name, disk, random, next_body: 0, sizes: BTreeMap::new(), held: Held::default() }
    }

    fn open(&self) -> Result<SqliteStore, OpenFault> {
        opened(&self.name, &self.disk)
    }

    /// Appends bodies and makes batches that keep them, change rows and drop old bodies.
    fn batches(&mut self, store: &mut SqliteStore) -> Vec<Batch> {
        let mut dropped = Vec::new();
        (0..=self.random.below(3)).map(|_| self.batch(store, &mut dropped)).collect()
    }

    fn batch(&mut self, store: &mut SqliteStore, dropped: &mut Vec<BodyId>) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..self.random.below(6) {
            let space = Space::ALL[self.random.below(Space::ALL.len() as u64) as usize];
            let key = vec![self.random.below(8) as u8; self.random.below(3) as usize];
            let size = [0, 20, 300, 9_000][self.random.below(4) as usize];
            let value = self.random.chance(700_000).then(|| {
                let mut octets = vec![0; size];
                self.random.fill(&mut octets);
                Bytes::from(octets)
            });
            batch.writes.push(Write { space, key, value });
        }
        if self.random.chance(300_000) {
            let body = BodyId(self.next_body);
            self.next_body += 1;
            let size = [0, 500, BODY_ROW_OCTETS_MAX, 70_000, 200_000][self.random.below(5) as usize];
            self.sizes.insert(body, size);
            // Whether it failed shows at the commit: a body that failed is not known there.
            let _ = octets(body, size).chunks(50_000).try_for_each(|part| store.append_body(body, part));
            if size == 0 {
                let _ = store.append_body(body, b"");
            }
            batch.keep.push(body);
        }
        if self.random.chance(200_000) {
            let oldest = self.held.bodies.keys().find(|body| !dropped.contains(body)).copied();
            dropped.extend(oldest);
            batch.drop.extend(oldest);
        }
        batch
    }

    fn after(&self, batches: &[Batch]) -> Held {
        self.held.with(batches, &self.sizes)
    }
}

pub fn opened(name: &str, disk: &SimulatedDisk) -> Result<SqliteStore, OpenFault> {
    SqliteStore::open_spool(Spool {
        database: PathBuf::from("skywave.db"),
        file_system: Some(name.to_owned()),
        alone: true,
        disk: Arc::new(disk.clone()),
    })
}

pub fn stops(after: u64, at_sync: bool) -> Option<Trouble> {
    Some(Trouble { after, at_sync, lasts: None, kind: ErrorKind::Other })
}

/// Works until the disk stops; returns the batches of the commit that was under way.
fn live(trial: &mut Trial) -> Vec<Batch> {
    let stop = 1 + trial.random.below(400);
    let at_sync = trial.random.chance(400_000);
    trial.disk.trouble(stops(stop, at_sync));
    let Ok(mut store) = trial.open() else { return Vec::new() };
    for _ in 0..COMMITS_PER_LIFE {
        let batches = trial.batches(&mut store);
        match store.commit(&batches) {
            Ok(()) => trial.held = trial.after(&batches),
            Err(_) => {
                assert!(trial.disk.is_troubled(), "a commit failed without cause");
                return batches;
            }
        }
        match trial.random.below(8) {
            0 => store.checkpoint(1),
            1 => drop(store.tend()),
            _ => {}
        }
    }
    Vec::new()
}

/// Opens a copy of the disk, stops it in the middle of the opening and of the work after it, crashes it, and reads.
fn crash_twice(trial: &Trial, seed: u64, life: usize) -> Held {
    let disk = trial.disk.copy();
    let name = format!("{}-again-{life}", trial.name);
    sqlite_vfs::register(&name, disk.clone(), false).unwrap();
    disk.trouble(stops(1 + Seeded::new(seed).fork("again").below(12), seed.is_multiple_of(2)));
    if let Ok(store) = opened(&name, &disk) {
        store.checkpoint(1);
    }
    disk.crash();
    Held::read(&mut opened(&name, &disk).unwrap(), &trial.sizes)
}

#[test]
fn every_crash_leaves_what_was_committed() {
    let (mut under_way, mut survived) = (0, 0);
    for seed in 0..seeds() {
        let mut trial = Trial::new("crash", seed);
        for life in 0..LIVES {
            let batches = live(&mut trial);
            trial.disk.crash();
            let again = crash_twice(&trial, seed, life);
            let mut store = trial.open().unwrap_or_else(|fault| panic!("seed {seed}, life {life}: {fault}"));
            let held = Held::read(&mut store, &trial.sizes);
            assert!(held == again, "seed {seed}, life {life}: a second crash changed what is held");
            let with = trial.after(&batches);
            if with != trial.held {
                under_way += 1;
                survived += u64::from(held == with);
            }
            assert!(
                held == trial.held || held == with,
                "seed {seed}, life {life}: something lost, or half a batch; wanted {}; found {}",
                trial.held.unlike(&held),
                held.unlike(&trial.held),
            );
            trial.held = held;
            while store.tend() {}
            let large = trial.held.bodies.iter().filter(|(_, size)| **size > BODY_ROW_OCTETS_MAX);
            let mut wanted: Vec<String> = large.map(|(body, _)| body_path(*body)).collect();
            wanted.sort();
            assert_eq!(trial.disk.files("body/"), wanted, "seed {seed}, life {life}: files and rows disagree");
            assert_eq!(trial.disk.files("tmp/"), Vec::<String>::new(), "seed {seed}, life {life}");
        }
    }
    assert!(under_way > seeds(), "crashes hit commits: {under_way}");
    assert!(0 < survived && survived < under_way, "both outcomes are met: {survived} of {under_way}");
}

/// Errors come and go; nothing is committed that was not said to be, and work goes on without restart.
fn errs(seed: u64, kind: ErrorKind) -> u64 {
    let mut trial = Trial::new(&format!("errs-{kind:?}"), seed);
    let mut store = trial.open().unwrap();
    let mut failures = 0;
    for round in 0..6 {
        let (after, lasts) = (1 + trial.random.below(30), 1 + trial.random.below(20));
        trial.disk.trouble(Some(Trouble { after, at_sync: round % 3 == 0, lasts: Some(lasts), kind }));
        for _ in 0..12 {
            let batches = trial.batches(&mut store);
            match store.commit(&batches) {
                Ok(()) => trial.held = trial.after(&batches),
                Err(_) => {
                    failures += 1;
                    batches.iter().flat_map(|batch| &batch.keep).for_each(|body| store.abandon_body(*body));
                }
            }
            if trial.random.chance(100_000) {
                store.checkpoint(1);
            }
        }
        trial.disk.trouble(None);
        let recovered = store.commit(&[Batch::default()]);
        assert_eq!(recovered, Ok(()), "seed {seed}, round {round}: the disk works, the store does not");
        let held = Held::read(&mut store, &trial.sizes);
        assert!(
            held == trial.held,
            "seed {seed}, round {round}: wanted {}; found {}",
            trial.held.unlike(&held),
            held.unlike(&trial.held)
        );
    }
    drop(store);
    trial.disk.crash();
    let held = Held::read(&mut trial.open().unwrap(), &trial.sizes);
    assert!(held == trial.held, "seed {seed}: not what was committed, after a crash");
    failures
}

#[test]
fn a_full_disk_loses_nothing_and_is_left_behind() {
    let failures: u64 = (0..seeds()).map(|seed| errs(seed, ErrorKind::WriteZero)).sum();
    assert!(failures > seeds(), "{failures}");
}

#[test]
fn a_failing_disk_loses_nothing_and_is_left_behind() {
    let failures: u64 = (0..seeds()).map(|seed| errs(seed, ErrorKind::Other)).sum();
    assert!(failures > seeds(), "{failures}");
}

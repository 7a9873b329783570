//! What every store must do: run on each implementation by [`suite`].

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use skywave_protocols::bytes::Bytes;
use skywave_transports::io::{Row, Space, Write};

use super::{Batch, BodyId, Query, Store, StoreFault};

/// Everything; `make` makes an empty store each time.
pub fn suite(make: impl Fn() -> Box<dyn Store>) {
    rows_are_put_replaced_and_deleted(&mut *make());
    ranges_are_ordered_and_limited(&mut *make());
    keys_and_values_are_any_octets(&mut *make());
    batches_of_one_commit_see_each_other_in_order(&mut *make());
    bodies_of_all_sizes_come_back(&mut *make());
    a_body_is_there_from_its_commit_to_its_drop(&mut *make());
    nothing_of_a_refused_commit_is_stored(&mut *make());
    a_body_may_be_kept_twice(&mut *make());
    random_batches_agree_with_a_map(&make);
}

pub fn put(space: Space, key: &[u8], value: &[u8]) -> Write {
    Write { space, key: key.to_vec(), value: Some(Bytes::copy_from_slice(value)) }
}

pub fn delete(space: Space, key: &[u8]) -> Write {
    Write { space, key: key.to_vec(), value: None }
}

pub fn batch(writes: Vec<Write>) -> Batch {
    Batch { writes, ..Batch::default() }
}

pub fn range(space: Space, from: &[u8], to: &[u8]) -> Query {
    Query::Range { space, from: from.to_vec(), to: to.to_vec(), limit: usize::MAX, reverse: false }
}

pub fn keys(rows: &[Row]) -> Vec<&[u8]> {
    rows.iter().map(|row| row.key.as_slice()).collect()
}

/// Octets of a pattern that does not repeat at powers of two.
pub fn octets(body: BodyId, length: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).map(|at| ((at * 31 + body.0 % 251) % 251) as u8).collect();
    let mut octets = period.repeat(length / period.len() + 1);
    octets.truncate(length);
    octets
}

pub fn append(store: &mut dyn Store, body: BodyId, length: usize) {
    let content = octets(body, length);
    store.append_body(body, &[]).unwrap();
    for part in content.chunks(7_001) {
        store.append_body(body, part).unwrap();
    }
}

fn count(store: &mut dyn Store, space: Space, from: &[u8], to: &[u8]) -> u64 {
    let rows = store.fetch(&Query::Count { space, from: from.to_vec(), to: to.to_vec() }).unwrap();
    u64::from_be_bytes(rows[0].value[..].try_into().unwrap())
}

fn rows_are_put_replaced_and_deleted(store: &mut dyn Store) {
    store.commit(&[batch(vec![put(Space::Mail, b"a", b"1"), put(Space::Hop, b"a", b"2")])]).unwrap();
    store.commit(&[batch(vec![put(Space::Mail, b"a", b"3"), delete(Space::Mail, b"absent")])]).unwrap();
    let query = Query::Keys { space: Space::Mail, keys: vec![b"x".to_vec(), b"a".to_vec()] };
    assert_eq!(store.fetch(&query).unwrap(), [Row { key: b"a".to_vec(), value: Bytes::from_static(b"3") }]);
    store.commit(&[batch(vec![delete(Space::Mail, b"a")])]).unwrap();
    assert_eq!(store.fetch(&query).unwrap(), []);
    assert_eq!(store.fetch(&range(Space::Hop, b"", b"")).unwrap().len(), 1, "spaces do not mix");
    store.commit(&[]).unwrap();
    store.commit(&[Batch::default()]).unwrap();
    assert!(store.damaged().is_empty());
}

fn ranges_are_ordered_and_limited(store: &mut dyn Store) {
    let names: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"b", b"\xff\xff"];
    store.commit(&[batch(names.iter().rev().map(|key| put(Space::Hop, key, key)).collect())]).unwrap();
    assert_eq!(keys(&store.fetch(&range(Space::Hop, b"", b"")).unwrap()), names);
    assert_eq!(keys(&store.fetch(&range(Space::Hop, b"a", b"b")).unwrap()), [b"a".as_slice(), b"a\0"]);
    assert_eq!(store.fetch(&range(Space::Hop, b"b", b"a")).unwrap(), []);
    let last = |from: &[u8], to: &[u8], limit| Query::Range {
        space: Space::Hop,
        from: from.to_vec(),
        to: to.to_vec(),
        limit,
        reverse: true,
    };
    assert_eq!(keys(&store.fetch(&last(b"", b"", 2)).unwrap()), [b"\xff\xff".as_slice(), b"b"]);
    assert_eq!(keys(&store.fetch(&last(b"\0", b"b", 9)).unwrap()), [b"a\0".as_slice(), b"a", b"\0"]);
    assert_eq!(store.fetch(&last(b"", b"", 0)).unwrap(), []);
    assert_eq!(count(store, Space::Hop, b"", b""), 6);
    assert_eq!(count(store, Space::Hop, b"a", b"b"), 2);
    assert_eq!(count(store, Space::Mail, b"", b""), 0);
}

fn keys_and_values_are_any_octets(store: &mut dyn Store) {
    let key: Vec<u8> = (0..=255).collect();
    let value: Vec<u8> = key.iter().rev().cycle().take(1_000_000).copied().collect();
    store.commit(&[batch(vec![put(Space::Site, &key, &value), put(Space::Site, b"empty", b"")])]).unwrap();
    let rows = store.fetch(&Query::Keys { space: Space::Site, keys: vec![key.clone(), b"empty".to_vec()] }).unwrap();
    assert_eq!((rows[0].key.as_slice(), &rows[0].value[..]), (key.as_slice(), value.as_slice()));
    assert!(rows[1].value.is_empty());
}

fn batches_of_one_commit_see_each_other_in_order(store: &mut dyn Store) {
    let body = BodyId(9);
    append(store, body, 100_000);
    let keeps = Batch { keep: vec![body], writes: vec![put(Space::Mail, b"k", b"1")], ..Batch::default() };
    let drops = Batch { drop: vec![body], writes: vec![delete(Space::Mail, b"k")], ..Batch::default() };
    let last = batch(vec![put(Space::Mail, b"l", b"1"), delete(Space::Mail, b"l"), put(Space::Mail, b"m", b"2")]);
    store.commit(&[keeps, drops, last]).unwrap();
    assert_eq!(keys(&store.fetch(&range(Space::Mail, b"", b"")).unwrap()), [b"m"]);
    assert_eq!(store.load_body(body, 0, 1), Err(StoreFault::NoBody(9)));
}

fn bodies_of_all_sizes_come_back(store: &mut dyn Store) {
    let sizes = [0, 1, 7_001, 65_535, 65_536, 65_537, 131_072, 200_001, 1_000_000];
    let bodies: Vec<BodyId> = (0..sizes.len() as u64).map(|number| BodyId(u64::MAX - number)).collect();
    for (body, size) in bodies.iter().zip(sizes) {
        append(store, *body, size);
    }
    store.commit(&[Batch { keep: bodies.clone(), ..Batch::default() }]).unwrap();
    for (body, size) in bodies.iter().zip(sizes) {
        let content = octets(*body, size);
        assert_eq!(store.load_body(*body, 0, usize::MAX >> 1).unwrap(), content, "{size} octets");
        for (offset, wanted) in [(0, 1), (65_535, 2), (65_536, 65_536), (70_000, 10), (199_999, 5), (size, 9)] {
            let from = offset.min(size);
            let expected = &content[from..size.min(from + wanted)];
            assert_eq!(store.load_body(*body, offset as u64, wanted).unwrap(), expected, "{offset} of {size}");
        }
        assert_eq!(store.load_body(*body, u64::MAX, 5).unwrap(), b"".as_slice());
        assert_eq!(store.load_body(*body, 0, 0).unwrap(), b"".as_slice());
    }
}

fn a_body_is_there_from_its_commit_to_its_drop(store: &mut dyn Store) {
    for (body, size) in [(BodyId(1), 10), (BodyId(2), 100_000)] {
        append(store, body, size);
        assert_eq!(store.load_body(body, 0, 5), Err(StoreFault::NoBody(body.0)), "not committed");
        store.commit(&[Batch { keep: vec![body], ..Batch::default() }]).unwrap();
        store.abandon_body(body);
        assert_eq!(store.load_body(body, 0, 5).unwrap().len(), 5, "abandoning comes too late");
        store.commit(&[Batch { drop: vec![body], ..Batch::default() }]).unwrap();
        assert_eq!(store.load_body(body, 0, 5), Err(StoreFault::NoBody(body.0)), "dropped");
    }
    append(store, BodyId(3), 100_000);
    store.abandon_body(BodyId(3));
    let keep = Batch { keep: vec![BodyId(3)], ..Batch::default() };
    assert_eq!(store.commit(&[keep]), Err(StoreFault::NoBody(3)), "abandoned");
}

fn nothing_of_a_refused_commit_is_stored(store: &mut dyn Store) {
    append(store, BodyId(5), 80_000);
    append(store, BodyId(6), 10);
    let good =
        Batch { keep: vec![BodyId(5), BodyId(6)], writes: vec![put(Space::Mail, b"g", b"1")], ..Batch::default() };
    let bad = Batch { keep: vec![BodyId(7)], writes: vec![put(Space::Mail, b"b", b"1")], ..Batch::default() };
    assert_eq!(store.commit(&[good.clone(), bad]), Err(StoreFault::NoBody(7)));
    assert_eq!(store.fetch(&range(Space::Mail, b"", b"")).unwrap(), []);
    assert_eq!(store.load_body(BodyId(6), 0, 1), Err(StoreFault::NoBody(6)));
    store.commit(&[good]).unwrap();
    assert_eq!(store.load_body(BodyId(5), 0, 80_000).unwrap(), octets(BodyId(5), 80_000));
    assert_eq!(store.load_body(BodyId(6), 0, 80_000).unwrap(), octets(BodyId(6), 10));
}

fn a_body_may_be_kept_twice(store: &mut dyn Store) {
    for size in [10, 100_000] {
        let body = BodyId(size as u64);
        append(store, body, size);
        let keep = Batch { keep: vec![body, body], ..Batch::default() };
        store.commit(&[keep.clone(), keep.clone()]).unwrap();
        store.commit(&[keep]).unwrap();
        assert_eq!(store.load_body(body, 0, size).unwrap(), octets(body, size));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Vec<Write>>),
    Body(u64, usize),
    Drop(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop::collection::vec(0_u8..3, 0..3);
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let write = (0..Space::ALL.len(), key, value).prop_map(|(space, key, value)| {
        let space = Space::ALL[space];
        Write { space, key, value: value.map(Bytes::from) }
    });
    let batches = prop::collection::vec(prop::collection::vec(write, 0..5), 0..4);
    prop_oneof![
        4 => batches.prop_map(Step::Commit),
        1 => (0_u64..4, 0_usize..150_000).prop_map(|(body, size)| Step::Body(body, size)),
        1 => (0_u64..4).prop_map(Step::Drop),
    ]
}

fn random_batches_agree_with_a_map(make: &impl Fn() -> Box<dyn Store>) {
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let steps = prop::collection::vec(step(), 0..12);
    runner.run(&steps, |steps| agrees(&mut *make(), &steps)).unwrap();
}

fn agrees(store: &mut dyn Store, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut rows = BTreeMap::<(Space, Vec<u8>), Bytes>::new();
    let mut bodies = BTreeMap::<u64, BodyId>::new();
    let mut sizes = BTreeMap::<BodyId, usize>::new();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Commit(batches) => {
                store.commit(&batches.iter().cloned().map(batch).collect::<Vec<_>>()).unwrap();
                for Write { space, key, value } in batches.iter().flatten() {
                    match value {
                        Some(value) => drop(rows.insert((*space, key.clone()), value.clone())),
                        None => drop(rows.remove(&(*space, key.clone()))),
                    }
                }
            }
            Step::Body(name, size) => {
                let body = BodyId(number as u64);
                append(store, body, *size);
                let old = bodies.insert(*name, body);
                store
                    .commit(&[Batch { keep: vec![body], drop: old.into_iter().collect(), ..Batch::default() }])
                    .unwrap();
                sizes.insert(body, *size);
            }
            Step::Drop(name) => {
                let old = bodies.remove(name);
                store.commit(&[Batch { drop: old.into_iter().collect(), ..Batch::default() }]).unwrap();
            }
        }
    }
    for space in Space::ALL {
        let expected: Vec<Row> = rows
            .range((space, Vec::new())..)
            .take_while(|((of, _), _)| *of == space)
            .map(|((_, key), value)| Row { key: key.clone(), value: value.clone() })
            .collect();
        prop_assert_eq!(store.fetch(&range(space, b"", b"")).unwrap(), expected);
    }
    for (body, size) in sizes {
        let expected = match bodies.values().any(|kept| *kept == body) {
            true => Ok(Bytes::from(octets(body, size))),
            false => Err(StoreFault::NoBody(body.0)),
        };
        prop_assert_eq!(store.load_body(body, 0, size), expected);
    }
    prop_assert!(store.damaged().is_empty());
    Ok(())
}

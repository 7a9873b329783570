//! Tests of the SQLite store on the real disk.

mod crash;
mod simulated;
mod world;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use skywave_transports::io::Space;
use tempfile::TempDir;

use super::*;
use crate::store::conformance_tests::{append, batch, keys, octets, put, range, suite};

/// A store and its folder, which goes with it.
struct Guarded(SqliteStore, #[expect(dead_code, reason = "removes the folder at the end")] TempDir);

impl Store for Guarded {
    fn append_body(&mut self, body: BodyId, octets: &[u8]) -> Result<(), StoreFault> {
        self.0.append_body(body, octets)
    }
    fn abandon_body(&mut self, body: BodyId) {
        self.0.abandon_body(body);
    }
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault> {
        self.0.commit(batches)
    }
    fn fetch(&mut self, query: &Query) -> Result<Vec<Row>, StoreFault> {
        self.0.fetch(query)
    }
    fn load_body(&mut self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, StoreFault> {
        self.0.load_body(body, offset, octets)
    }
    fn damaged(&mut self) -> Vec<String> {
        self.0.damaged()
    }
}

#[test]
fn conforms() {
    suite(|| {
        let folder = tempfile::tempdir().unwrap();
        Box::new(Guarded(SqliteStore::open(folder.path()).unwrap(), folder))
    });
}

fn opened(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(folder.path()).unwrap()
}

fn keep(store: &mut SqliteStore, body: BodyId, size: usize) {
    append(store, body, size);
    store.commit(&[Batch { keep: vec![body], ..Batch::default() }]).unwrap();
}

fn file_of(folder: &TempDir, body: BodyId) -> PathBuf {
    folder.path().join(body_path(body))
}

fn swept(store: &mut SqliteStore) {
    while store.tend() {}
}

fn raw(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("skywave.db")).unwrap()
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder);
    append(&mut store, BodyId(1), 200_000);
    append(&mut store, BodyId(2), 200_000);
    let first = Batch { keep: vec![BodyId(1)], writes: vec![put(Space::Mail, b"m", b"v")], ..Batch::default() };
    store.commit(&[first]).unwrap();
    drop(store);
    let mut store = opened(&folder);
    assert_eq!(keys(&store.fetch(&range(Space::Mail, b"", b"")).unwrap()), [b"m"]);
    assert_eq!(store.load_body(BodyId(1), 0, 200_000).unwrap(), octets(BodyId(1), 200_000));
    assert_eq!(store.load_body(BodyId(2), 0, 1), Err(StoreFault::NoBody(2)));
    assert!(std::fs::read_dir(folder.path().join("tmp")).unwrap().next().is_none(), "tmp is emptied at the start");
}

#[test]
fn a_second_instance_is_refused_and_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    let Err(fault) = SqliteStore::open(folder.path()) else { panic!("two on one spool") };
    assert!(fault.to_string().contains(&format!("process {}", std::process::id())), "{fault}");
    drop(store);
    opened(&folder);
}

#[test]
fn files_belong_to_the_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("spool");
    let mut store = SqliteStore::open(&root).unwrap();
    keep(&mut store, BodyId(1), 100_000);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in ["skywave.db", "skywave.db-wal", "skywave.db-shm", "lock", &body_path(BodyId(1))] {
        assert_eq!(mode(&root.join(file)), 0o600, "{file}");
    }
    for path in ["", "tmp", "body", "corrupt", "body/01"] {
        assert_eq!(mode(&root.join(path)), 0o700, "{path}");
    }
}

#[test]
fn a_damaged_row_is_set_aside_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder);
    let rows = [b"a", b"b", b"c"].map(|key| put(Space::Hop, key, b"value"));
    store.commit(&[batch(rows.to_vec())]).unwrap();
    let raw = raw(&folder);
    assert_eq!(raw.execute("UPDATE hop SET value = x'00000000' WHERE key = x'61'", []).unwrap(), 1);
    assert_eq!(raw.execute("UPDATE hop SET value = 'text' WHERE key = x'63'", []).unwrap(), 1);
    let mut reader = store.reader().unwrap();
    assert!(matches!(reader.fetch(&range(Space::Hop, b"", b"")), Err(StoreFault::Damaged(_))));
    let query = Query::Range { space: Space::Hop, from: vec![], to: vec![], limit: 1, reverse: false };
    assert_eq!(keys(&store.fetch(&query).unwrap()), [b"b"], "the limit counts whole rows");
    assert_eq!(keys(&store.fetch(&range(Space::Hop, b"", b"")).unwrap()), [b"b"]);
    assert_eq!(store.damaged(), ["hop/a (corrupt row 1)", "hop/c (corrupt row 2)"]);
    assert_eq!(keys(&reader.fetch(&range(Space::Hop, b"", b"")).unwrap()), [b"b"]);
    assert!(store.damaged().is_empty());
    let kept: i64 = raw.query_row("SELECT count(*) FROM corrupt WHERE at > '2020'", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2);
}

type Damaging = fn(&Path);

#[test]
fn a_damaged_body_is_set_aside() {
    let damages: [(&str, Damaging); 4] = [
        ("octets from 65536", |path| {
            let mut content = std::fs::read(path).unwrap();
            content[70_000] ^= 1;
            std::fs::write(path, content).unwrap();
        }),
        ("ends 1 octets early", |path| {
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(199_999).unwrap();
        }),
        ("octets from 131072", |path| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(140_000).unwrap();
            file.set_len(200_000).unwrap();
        }),
        ("its file", |path| {
            std::fs::rename(path, path.with_extension("old")).unwrap();
            symlink(path.with_extension("old"), path).unwrap();
        }),
    ];
    for (why, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let mut store = opened(&folder);
        keep(&mut store, BodyId(3), 200_000);
        keep(&mut store, BodyId(4), 10);
        damage(&file_of(&folder, BodyId(3)));
        let Err(StoreFault::Damaged(name)) = store.load_body(BodyId(3), 0, 200_000) else { panic!("{why}: served") };
        assert!(name.contains(why), "{name}: {why}");
        assert_eq!(store.damaged(), [name]);
        assert_eq!(store.load_body(BodyId(3), 0, 1), Err(StoreFault::NoBody(3)), "{why}");
        assert_eq!(std::fs::read_dir(folder.path().join("corrupt")).unwrap().count(), 1, "{why}");
        assert_eq!(store.load_body(BodyId(4), 0, 10).unwrap(), octets(BodyId(4), 10), "{why}");
    }
}

#[test]
fn what_a_crash_left_is_swept_and_strangers_are_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder);
    keep(&mut store, BodyId(0x0101), 100_000);
    drop(store);
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("tmp/00000000000000ff"), b"half").unwrap();
    symlink("/etc/passwd", at("tmp/00000000000000fe")).unwrap();
    std::fs::create_dir(at("tmp/folder")).unwrap();
    std::fs::write(at("body/01/0000000000000201"), b"orphan").unwrap();
    std::fs::write(at("body/01/stranger"), b"?").unwrap();
    std::fs::create_dir(at("body/01/0000000000000301")).unwrap();
    std::fs::write(at("body/file"), b"?").unwrap();
    let mut store = opened(&folder);
    swept(&mut store);
    assert_eq!(store.load_body(BodyId(0x0101), 0, 100_000).unwrap().len(), 100_000);
    let count = |name: &str| std::fs::read_dir(at(name)).unwrap().count();
    assert_eq!((count("tmp"), count("body"), count("body/01"), count("corrupt")), (0, 1, 1, 5));
    assert_eq!(store.damaged().len(), 5);
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn what_stands_in_the_way_is_moved() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("skywave.db")).unwrap();
    std::fs::write(folder.path().join("tmp"), b"a file").unwrap();
    symlink("/nowhere", folder.path().join("body")).unwrap();
    let mut store = opened(&folder);
    keep(&mut store, BodyId(1), 100_000);
    assert_eq!(store.damaged(), ["tmp.corrupt-1", "body.corrupt-1", "skywave.db.corrupt-1"]);
}

/// A spool with 3000 mails and a large body, and the octets of a page of its database to be spoiled.
fn filled(folder: &TempDir) -> PathBuf {
    let mut store = opened(folder);
    for number in 0..3000_u16 {
        store.commit(&[batch(vec![put(Space::Mail, &number.to_be_bytes(), &[7; 200])])]).unwrap();
    }
    keep(&mut store, BodyId(1), 100_000);
    drop(store);
    folder.path().join("skywave.db")
}

#[test]
fn a_damaged_page_costs_its_rows_and_not_the_site() {
    let folder = tempfile::tempdir().unwrap();
    let database = filled(&folder);
    let mut content = std::fs::read(&database).unwrap();
    let page = 4096 * (content.len() / 4096 / 2);
    content[page..page + 4096].fill(0xa5);
    std::fs::write(&database, content).unwrap();
    let mut store = opened(&folder);
    assert!(store.reader().unwrap().fetch(&range(Space::Mail, b"", b"")).is_err());
    assert!(matches!(store.fetch(&range(Space::Mail, b"", b"")), Err(StoreFault::Failed(_))));
    assert_eq!(store.damaged(), ["skywave.db (a page; repaired at the next start)"]);
    drop(store);
    let mut store = opened(&folder);
    assert_eq!(store.damaged(), ["skywave.db (now corrupt/skywave-1.db)"]);
    let rows = store.fetch(&range(Space::Mail, b"", b"")).unwrap().len();
    assert!((2900..3000).contains(&rows), "{rows} of 3000");
    assert_eq!(store.load_body(BodyId(1), 0, 200_000).unwrap(), octets(BodyId(1), 100_000));
    store.commit(&[batch(vec![put(Space::Mail, b"new", b"1")])]).unwrap();
    drop(store);
    assert!(opened(&folder).damaged().is_empty(), "repaired once");
}

#[test]
fn a_destroyed_database_leaves_a_site_that_starts_and_files_that_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let database = filled(&folder);
    std::fs::write(&database, vec![0xa5; 50_000]).unwrap();
    let mut store = opened(&folder);
    swept(&mut store);
    assert_eq!(store.fetch(&range(Space::Mail, b"", b"")).unwrap(), []);
    assert_eq!(store.damaged().len(), 2);
    let kept = std::fs::read(folder.path().join("corrupt/0000000000000001")).unwrap();
    assert_eq!(kept, octets(BodyId(1), 100_000));
    assert!(!folder.path().join("repaired").exists());
}

#[test]
fn a_later_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(opened(&folder));
    raw(&folder).pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteStore::open(folder.path()), Err(OpenFault::Later { found: 99, .. })));
}

#[test]
fn the_log_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder);
    let value = vec![7; 1 << 20];
    for round in 0..40_u8 {
        store.commit(&[batch(vec![put(Space::Site, &[round % 3], &value)])]).unwrap();
    }
    let log = std::fs::metadata(folder.path().join("skywave.db-wal")).unwrap().len();
    assert!(log < 28 << 20, "{log} octets");
}

#[test]
fn a_full_disk_is_told_and_left_behind_without_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder);
    store.commit(&[batch(vec![put(Space::Mail, b"before", b"1")])]).unwrap();
    let pages = |store: &SqliteStore, count: i64| {
        store.connection.query_row(&format!("PRAGMA max_page_count = {count}"), [], |_| Ok(())).unwrap();
    };
    pages(&store, 20);
    let large = batch(vec![put(Space::Mail, b"large", &vec![1; 1 << 20])]);
    assert!(matches!(store.commit(std::slice::from_ref(&large)), Err(StoreFault::Full(_))));
    assert_eq!(keys(&store.fetch(&range(Space::Mail, b"", b"")).unwrap()), [b"before"]);
    pages(&store, 1 << 20);
    store.commit(&[large]).unwrap();
    assert_eq!(store.fetch(&range(Space::Mail, b"", b"")).unwrap().len(), 2);
}

#[test]
fn too_many_open_bodies_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder);
    let most = crate::store::limits::BODIES_OPEN_MAX as u64;
    (0..most).for_each(|body| store.append_body(BodyId(body), b"x").unwrap());
    assert!(matches!(store.append_body(BodyId(most), b"x"), Err(StoreFault::Full(_))));
    store.append_body(BodyId(0), b"y").unwrap();
}

#[test]
fn memory_for_bodies_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder);
    let part = vec![1; 60_000];
    let bodies: Vec<BodyId> = (0..400).map(BodyId).collect();
    bodies.iter().for_each(|body| store.append_body(*body, &part).unwrap());
    assert!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count() > 100, "what does not fit goes to files");
    store.commit(&[Batch { keep: bodies.clone(), ..Batch::default() }]).unwrap();
    bodies.iter().for_each(|body| assert_eq!(store.load_body(*body, 0, 70_000).unwrap(), part));
}

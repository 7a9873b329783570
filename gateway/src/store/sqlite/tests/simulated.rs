//! A disk in memory that loses, tears and reorders what was not synced, for SQLite and for the files beside it.
//!
//! What a file holds after a crash: what was synced, plus any of the later writes, each whole, in part, or only as a
//! hole of zeros. What a folder names after a crash: for each name changed since the folder was synced, the old or the
//! new. A sync that fails drops what it should have synced, as Linux does: the cache shows it, the disk never gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use skywave_protocols::random::{Random, Seeded};
use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenOptions, Vfs, WalDisabled};

use crate::store::disk::{Disk, Kind};

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Clone, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

/// A trouble that begins after so many operations, or with the first sync after them, and lasts for so many; `None` for
/// ever: the machine has stopped.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub after: u64,
    pub at_sync: bool,
    pub lasts: Option<u64>,
    pub kind: ErrorKind,
}

#[derive(Clone)]
struct State {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    folders: BTreeSet<String>,
    random: Seeded,
    operations: u64,
    trouble: Option<Trouble>,
}

/// The disk; clones share it.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

fn apply(octets: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, written) => {
            let (from, to) = (*at as usize, *at as usize + written.len());
            octets.resize(octets.len().max(to), 0);
            octets[from..to].copy_from_slice(written);
        }
        Change::Length(length) => octets.resize(*length as usize, 0),
    }
}

impl Content {
    fn change(&mut self, change: Change) {
        apply(&mut self.cached, &change);
        self.unsynced.push(change);
    }

    fn synced(&mut self) {
        self.durable.clone_from(&self.cached);
        self.unsynced.clear();
    }

    /// Any of the changes since the last sync reach the disk.
    fn some_reach_the_disk(&mut self, random: &mut Seeded) {
        let likely = [0, 100, random.below(101)][random.below(3) as usize];
        for change in std::mem::take(&mut self.unsynced) {
            let whole = random.below(100) < likely;
            match &change {
                _ if whole => apply(&mut self.durable, &change),
                Change::Write(at, written) => match random.below(4) {
                    0 => {
                        let hole = (self.durable.len() as u64).max(at + 1);
                        apply(&mut self.durable, &Change::Length(hole));
                    }
                    1 => {
                        let torn = random.below(written.len() as u64 + 1) as usize;
                        apply(&mut self.durable, &Change::Write(*at, written[..torn].to_vec()));
                    }
                    2 => {
                        let torn = random.below(written.len() as u64 + 1);
                        let rest = written[torn as usize..].to_vec();
                        apply(&mut self.durable, &Change::Write(at + torn, rest));
                    }
                    _ => {}
                },
                Change::Length(_) => {}
            }
        }
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        let Some(trouble) = self.trouble.filter(|trouble| !trouble.at_sync) else { return Ok(()) };
        let ends = trouble.lasts.map_or(u64::MAX, |lasts| trouble.after.saturating_add(lasts));
        if (trouble.after..ends).contains(&self.operations) { Err(trouble.kind.into()) } else { Ok(()) }
    }

    fn create(&mut self, path: &str) -> usize {
        self.contents.push(Content::default());
        self.names.insert(path.to_owned(), self.contents.len() - 1);
        self.contents.len() - 1
    }

    fn of(&mut self, path: &str) -> io::Result<&mut Content> {
        let number = *self.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(&mut self.contents[number])
    }

    fn sync(&mut self, number: usize) -> io::Result<()> {
        if let Some(trouble) = self.trouble.as_mut().filter(|trouble| trouble.at_sync) {
            trouble.after = trouble.after.max(self.operations + 1);
            trouble.at_sync = trouble.after > self.operations + 1;
        }
        let went = self.step();
        let State { contents, random, .. } = self;
        match went {
            Ok(()) => contents[number].synced(),
            Err(_) => contents[number].some_reach_the_disk(random),
        }
        went
    }

    fn folder_synced(&mut self, path: &str) {
        let Self { names, durable_names, .. } = self;
        durable_names.retain(|name, _| folder_of(name) != path);
        durable_names.extend(names.iter().filter(|(name, _)| folder_of(name) == path).map(|(n, i)| (n.clone(), *i)));
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl SimulatedDisk {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            contents: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            folders: BTreeSet::new(),
            random: Seeded::new(seed).fork("disk"),
            operations: 0,
            trouble: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A disk of the same content that goes its own way.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    /// Sets a trouble; its beginning counts from now.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        let mut state = self.state();
        state.operations = 0;
        state.trouble = trouble;
    }

    /// Whether the trouble has begun.
    pub fn is_troubled(&self) -> bool {
        let state = self.state();
        state.trouble.is_some_and(|trouble| !trouble.at_sync && state.operations >= trouble.after)
    }

    /// Power goes: what was not synced survives in part. The disk works again afterwards.
    pub fn crash(&self) {
        let mut guard = self.state();
        let State { contents, names, durable_names, random, trouble, .. } = &mut *guard;
        *trouble = None;
        for content in contents.iter_mut() {
            content.some_reach_the_disk(random);
            content.cached.clone_from(&content.durable);
        }
        let changed: BTreeSet<String> = names.keys().chain(durable_names.keys()).cloned().collect();
        for name in changed {
            let number = if random.chance(500_000) { names.get(&name) } else { durable_names.get(&name) };
            match number.copied() {
                Some(number) => drop(durable_names.insert(name, number)),
                None => drop(durable_names.remove(&name)),
            }
        }
        names.clone_from(durable_names);
    }

    /// Gives the memory back: SQLite keeps a file system that it was told of.
    pub fn wipe(&self) {
        let mut state = self.state();
        (state.names, state.durable_names, state.contents) = Default::default();
    }

    /// The paths of all files below `folder`.
    pub fn files(&self, folder: &str) -> Vec<String> {
        self.state().names.keys().filter(|name| name.starts_with(folder)).cloned().collect()
    }
}

impl Disk for SimulatedDisk {
    fn append(&self, path: &str, octets: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let went = state.step();
        if !state.names.contains_key(path) {
            if let Err(error) = went {
                return Err(error);
            }
            state.create(path);
        }
        let content = state.of(path)?;
        let at = content.cached.len() as u64;
        // A write that fails may have written a part.
        let written = if went.is_ok() { octets } else { &octets[..octets.len() / 2] };
        content.change(Change::Write(at, written.to_vec()));
        went
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        let number = *state.names.get(path).ok_or(ErrorKind::NotFound)?;
        state.sync(number)
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.folder_synced(path);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let number = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.names.remove(path);
        Ok(())
    }

    fn read(&self, path: &str, offset: u64, octets: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let content = &state.of(path)?.cached;
        let from = (offset as usize).min(content.len());
        Ok(content[from..from.saturating_add(octets).min(content.len())].to_vec())
    }

    fn list(&self, path: &str) -> io::Result<Vec<(String, Kind)>> {
        let state = self.state();
        let inside = |name: &String| Some(name.strip_prefix(path)?.strip_prefix('/')?.to_owned());
        let files = state.names.keys().filter_map(inside).filter(|name| !name.contains('/')).map(|n| (n, Kind::File));
        let folders = state.folders.iter().filter_map(inside).filter(|n| !n.contains('/')).map(|n| (n, Kind::Folder));
        Ok(files.chain(folders).collect())
    }

    fn kind(&self, path: &str) -> io::Result<Option<Kind>> {
        let state = self.state();
        let folder = state.folders.contains(path).then_some(Kind::Folder);
        Ok(folder.or(state.names.contains_key(path).then_some(Kind::File)))
    }

    // Folders are durable at once: a lost one is made again by the next body in it.
    fn make_folder(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.folders.insert(path.to_owned());
        Ok(())
    }
}

/// A file that SQLite has open.
pub struct Handle {
    disk: SimulatedDisk,
    number: usize,
    name: String,
    lock: LockKind,
}

impl Handle {
    fn change(&mut self, change: Change) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        state.contents[self.number].change(change);
        Ok(())
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = WalDisabled;

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents[self.number].cached.len() as u64)
    }

    fn read_exact_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        let content = &state.contents[self.number].cached;
        let from = (offset as usize).min(content.len());
        let read = &content[from..(from + buf.len()).min(content.len())];
        buf[..read.len()].copy_from_slice(read);
        buf[read.len()..].fill(0);
        if read.len() == buf.len() { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&mut self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.change(Change::Write(offset, buf.to_vec()))
    }

    fn sync(&mut self, _data_only: bool) -> io::Result<()> {
        let mut state = self.disk.state();
        state.sync(self.number)?;
        // SQLite's own file system syncs the folder when it first syncs a new journal or log.
        if state.durable_names.get(&self.name) != Some(&self.number) {
            state.folder_synced("");
        }
        Ok(())
    }

    fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.change(Change::Length(size))
    }

    fn lock(&mut self, lock: LockKind) -> io::Result<bool> {
        self.lock = lock;
        Ok(true)
    }

    fn reserved(&mut self) -> io::Result<bool> {
        Ok(self.lock > LockKind::Shared)
    }

    fn current_lock(&self) -> io::Result<LockKind> {
        Ok(self.lock)
    }

    fn wal_index(&self, _readonly: bool) -> io::Result<WalDisabled> {
        Ok(WalDisabled)
    }
}

impl Vfs for SimulatedDisk {
    type Handle = Handle;

    fn open(&self, name: &str, options: OpenOptions) -> io::Result<Handle> {
        let mut state = self.state();
        let number = match state.names.get(name) {
            Some(number) => *number,
            None if matches!(options.access, OpenAccess::Create | OpenAccess::CreateNew) => {
                state.step()?;
                state.create(name)
            }
            None => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Handle { disk: self.clone(), number, name: name.to_owned(), lock: LockKind::None })
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.names.remove(name).map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.state().names.contains_key(name))
    }

    fn temporary_name(&self) -> String {
        "temporary".to_owned()
    }

    fn random(&self, buffer: &mut [i8]) {
        let mut state = self.state();
        buffer.iter_mut().for_each(|octet| *octet = state.random.number() as i8);
    }

    fn sleep(&self, duration: Duration) -> Duration {
        duration
    }
}

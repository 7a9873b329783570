//! Bodies that are being received: small ones in memory, large ones in `tmp/`, with a running checksum for each chunk of
//! what went to the file.
//!
//! Promises: [`Bodies::settle`] returns only when every large body asked for lies durable under its final name. An error
//! of a body's file makes that body useless and no other: what the system did with its octets cannot be known.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use flate2::Crc;

use super::{BODY, body_folder, body_path, temporary_path};
use crate::store::BodyId;
use crate::store::disk::Disk;
use crate::store::limits::{
    BODIES_OPEN_MAX, BODY_CHUNK_OCTETS, BODY_ROW_OCTETS_MAX, BODY_SYNC_OCTETS, BUFFERED_OCTETS_MAX,
};

/// A body that is being received.
pub struct Incoming {
    /// Octets not yet in a file.
    buffer: Vec<u8>,
    length: u64,
    place: Where,
    /// Checksums of the chunks that are complete.
    sums: Vec<u8>,
    /// That of the chunk at hand.
    chunk: Crc,
    chunk_octets: usize,
    /// Octets in the file that are not synced.
    unsynced: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Where {
    Memory,
    Temporary,
    Final,
}

/// What the row of a body holds.
pub enum Kept<'a> {
    /// All its octets.
    Row(&'a [u8]),
    /// Length and checksums of the chunks; the octets are in its file.
    File { length: u64, sums: Vec<u8> },
}

impl Incoming {
    fn new() -> Self {
        Self {
            buffer: Vec::new(),
            length: 0,
            place: Where::Memory,
            sums: Vec::new(),
            chunk: Crc::new(),
            chunk_octets: 0,
            unsynced: 0,
        }
    }

    fn take(&mut self, octets: &[u8]) {
        self.length += octets.len() as u64;
        self.buffer.extend_from_slice(octets);
    }

    /// Sums up what goes to the file.
    fn sum(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let (now, later) = octets.split_at(octets.len().min(BODY_CHUNK_OCTETS - self.chunk_octets));
            self.chunk.update(now);
            self.chunk_octets += now.len();
            if self.chunk_octets == BODY_CHUNK_OCTETS {
                let done = std::mem::take(&mut self.chunk);
                self.sums.extend(done.sum().to_be_bytes());
                self.chunk_octets = 0;
            }
            octets = later;
        }
    }

    /// Octets appended so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What its row is to hold.
    pub fn kept(&self) -> Kept<'_> {
        if self.place == Where::Memory {
            return Kept::Row(&self.buffer);
        }
        let mut sums = self.sums.clone();
        if self.chunk_octets > 0 {
            sums.extend(self.chunk.sum().to_be_bytes());
        }
        Kept::File { length: self.length, sums }
    }
}

/// All bodies that are being received.
pub struct Bodies {
    disk: Arc<dyn Disk>,
    incoming: BTreeMap<BodyId, Incoming>,
    buffered: usize,
    folders: BTreeSet<String>,
}

impl Bodies {
    /// None yet.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, incoming: BTreeMap::new(), buffered: 0, folders: BTreeSet::new() }
    }

    /// The body with this number.
    pub fn of(&self, body: BodyId) -> Option<&Incoming> {
        self.incoming.get(&body)
    }

    /// Adds octets to a body.
    pub fn append(&mut self, body: BodyId, octets: &[u8]) -> io::Result<()> {
        if self.incoming.len() >= BODIES_OPEN_MAX && !self.incoming.contains_key(&body) {
            let why = format!("{BODIES_OPEN_MAX} bodies are being received");
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        let incoming = self.incoming.entry(body).or_insert_with(Incoming::new);
        incoming.take(octets);
        self.buffered += octets.len();
        if incoming.buffer.len() > BODY_ROW_OCTETS_MAX || self.buffered > BUFFERED_OCTETS_MAX {
            self.flush(body).inspect_err(|_| self.abandon(body))?;
        }
        Ok(())
    }

    /// Forgets a body and its temporary file.
    pub fn abandon(&mut self, body: BodyId) {
        match self.forget(body) {
            // What cannot be removed now is swept at the next start.
            Some(Where::Temporary) => drop(self.disk.remove(&temporary_path(body))),
            Some(Where::Final) => drop(self.disk.remove(&body_path(body))),
            Some(Where::Memory) | None => {}
        }
    }

    /// Forgets a body whose row is durable.
    pub fn done(&mut self, body: BodyId) {
        self.forget(body);
    }

    fn forget(&mut self, body: BodyId) -> Option<Where> {
        let incoming = self.incoming.remove(&body)?;
        self.buffered -= incoming.buffer.len();
        Some(incoming.place)
    }

    fn flush(&mut self, body: BodyId) -> io::Result<()> {
        let Some(incoming) = self.incoming.get_mut(&body) else { return Ok(()) };
        let octets = std::mem::take(&mut incoming.buffer);
        self.buffered -= octets.len();
        incoming.place = Where::Temporary;
        incoming.unsynced += octets.len();
        incoming.sum(&octets);
        self.disk.append(&temporary_path(body), &octets)?;
        if incoming.unsynced >= BODY_SYNC_OCTETS {
            incoming.unsynced = 0;
            self.disk.sync(&temporary_path(body))?;
        }
        Ok(())
    }

    /// Makes those of `bodies` durable that are files: content, then name, then the folder of the name.
    pub fn settle(&mut self, bodies: &[BodyId]) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for body in bodies {
            if self.incoming.get(body).is_some_and(|incoming| incoming.place == Where::Temporary) {
                self.flush(*body).and_then(|()| self.place(*body)).inspect_err(|_| self.abandon(*body))?;
            }
            // One placed by a commit that then failed is in the folder, but perhaps not durably.
            if self.incoming.get(body).is_some_and(|incoming| incoming.place == Where::Final) {
                folders.insert(body_folder(*body));
            }
        }
        folders.iter().try_for_each(|folder| self.disk.sync_folder(folder))
    }

    fn place(&mut self, body: BodyId) -> io::Result<()> {
        self.disk.sync(&temporary_path(body))?;
        let folder = body_folder(body);
        if !self.folders.contains(&folder) {
            self.disk.make_folder(&folder)?;
            self.disk.sync_folder(BODY)?;
            self.folders.insert(folder);
        }
        self.disk.rename(&temporary_path(body), &body_path(body))?;
        if let Some(incoming) = self.incoming.get_mut(&body) {
            incoming.place = Where::Final;
        }
        Ok(())
    }
}

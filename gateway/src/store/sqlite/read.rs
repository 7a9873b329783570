//! Reading what is committed: rows and ranges of bodies, each checked against its checksum.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use skywave_protocols::bytes::Bytes;
use skywave_transports::io::{Row, Space};

use super::{body_path, fault, sql};
use crate::store::disk::Disk;
use crate::store::limits::BODY_CHUNK_OCTETS;
use crate::store::record;
use crate::store::{BodyId, Query, StoreFault};

/// Something that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// A row.
    Row(Space, Vec<u8>),
    /// A body: its row, or octets of its file; the reason in words.
    Body(BodyId, String),
}

/// What a fetch found.
#[derive(Clone, Default, Debug)]
pub struct Found {
    /// What is whole.
    pub rows: Vec<Row>,
    /// What is not.
    pub damage: Vec<Damage>,
}

/// Why a body was not loaded.
#[derive(Clone, Debug)]
pub enum LoadFault {
    /// It or the disk is at fault.
    Store(StoreFault),
    /// It is damaged.
    Damaged(Damage),
}

impl From<rusqlite::Error> for LoadFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(fault(&error))
    }
}

/// Fetches rows; damaged ones are named beside.
pub fn fetch(connection: &Connection, query: &Query) -> rusqlite::Result<Found> {
    let mut found = Found::default();
    match query {
        Query::Range { space, from, to, limit, reverse } => {
            let statements = sql::of(*space);
            let text = match (*reverse, to.is_empty()) {
                (false, false) => statements.up,
                (false, true) => statements.up_open,
                (true, false) => statements.down,
                (true, true) => statements.down_open,
            };
            let mut statement = connection.prepare_cached(text)?;
            bind(&mut statement, from, to)?;
            let mut rows = statement.raw_query();
            while found.rows.len() < *limit {
                let Some(row) = rows.next()? else { break };
                take(&mut found, *space, row);
            }
        }
        Query::Keys { space, keys } => {
            let mut statement = connection.prepare_cached(sql::of(*space).one)?;
            for key in keys {
                let mut rows = statement.query([key])?;
                while let Some(row) = rows.next()? {
                    take(&mut found, *space, row);
                }
            }
        }
        Query::Count { space, from, to } => {
            let statements = sql::of(*space);
            let text = if to.is_empty() { statements.count_open } else { statements.count };
            let mut statement = connection.prepare_cached(text)?;
            bind(&mut statement, from, to)?;
            let mut rows = statement.raw_query();
            let count = rows.next()?.map_or(Ok(0), |row| row.get::<_, i64>(0))?;
            found.rows.push(Row { key: Vec::new(), value: Bytes::copy_from_slice(&count.to_be_bytes()) });
        }
    }
    Ok(found)
}

fn bind(statement: &mut CachedStatement<'_>, from: &[u8], to: &[u8]) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, from)?;
    if !to.is_empty() {
        statement.raw_bind_parameter(2, to)?;
    }
    Ok(())
}

fn take(found: &mut Found, space: Space, row: &rusqlite::Row<'_>) {
    match whole(row) {
        Some(row) => found.rows.push(row),
        None => {
            let key = row.get_ref(0).ok().and_then(|key| key.as_bytes().ok()).unwrap_or_default().to_vec();
            found.damage.push(Damage::Row(space, key));
        }
    }
}

/// The row when it is as it was written.
pub fn whole(row: &rusqlite::Row<'_>) -> Option<Row> {
    let key = row.get_ref(0).ok()?.as_blob().ok()?;
    let value = row.get_ref(1).ok()?.as_blob().ok()?;
    let stored = u32::try_from(row.get_ref(2).ok()?.as_i64().ok()?).ok()?;
    record::checked(key, value, stored).ok()?;
    Some(Row { key: key.to_vec(), value: Bytes::copy_from_slice(value) })
}

/// The checksum in the row of a small body.
pub fn small_sum(body: BodyId, octets: &[u8]) -> u32 {
    record::sum(&body.0.to_be_bytes(), octets)
}

/// The checksum in the row of a large body: over its length and the checksums of its chunks.
pub fn large_sum(body: BodyId, length: u64, sums: &[u8]) -> u32 {
    record::sum(&[body.0.to_be_bytes(), length.to_be_bytes()].concat(), sums)
}

/// Loads a range of a body.
pub fn load(
    connection: &Connection,
    disk: &dyn Disk,
    body: BodyId,
    offset: u64,
    octets: usize,
) -> Result<Bytes, LoadFault> {
    let damaged = |why: &str| LoadFault::Damaged(Damage::Body(body, why.to_owned()));
    let mut statement = connection.prepare_cached(sql::BODY)?;
    let row = statement.query_row(params![body.0.cast_signed()], |row| Ok(read_row(body, row, offset, octets)));
    match row.optional()? {
        None => Err(LoadFault::Store(StoreFault::NoBody(body.0))),
        Some(None) => Err(damaged("its record")),
        Some(Some(Place::Here(bytes))) => Ok(bytes),
        Some(Some(Place::File { length, sums })) => {
            let end = length.min(offset.saturating_add(octets as u64));
            if offset >= end {
                return Ok(Bytes::new());
            }
            load_file(disk, body, &sums, offset..end, length)
        }
    }
}

enum Place {
    Here(Bytes),
    File { length: u64, sums: Vec<u8> },
}

fn read_row(body: BodyId, row: &rusqlite::Row<'_>, offset: u64, octets: usize) -> Option<Place> {
    let length = u64::try_from(row.get_ref(0).ok()?.as_i64().ok()?).ok()?;
    let stored = u32::try_from(row.get_ref(1).ok()?.as_i64().ok()?).ok()?;
    if let Some(content) = row.get_ref(2).ok()?.as_blob_or_null().ok()? {
        let is_whole = content.len() as u64 == length && small_sum(body, content) == stored;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let to = from.saturating_add(octets).min(content.len());
        return is_whole.then(|| Place::Here(Bytes::copy_from_slice(&content[from..to])));
    }
    let sums = row.get_ref(3).ok()?.as_blob().ok()?;
    let chunks = length.div_ceil(BODY_CHUNK_OCTETS as u64);
    let is_whole = sums.len() as u64 == chunks * 4 && large_sum(body, length, sums) == stored;
    is_whole.then(|| Place::File { length, sums: sums.to_vec() })
}

/// Reads the chunks that hold `range` and checks each.
fn load_file(
    disk: &dyn Disk,
    body: BodyId,
    sums: &[u8],
    range: std::ops::Range<u64>,
    length: u64,
) -> Result<Bytes, LoadFault> {
    let chunk = BODY_CHUNK_OCTETS as u64;
    let damaged = |why: String| LoadFault::Damaged(Damage::Body(body, why));
    let first = range.start / chunk;
    let end = range.end.div_ceil(chunk).saturating_mul(chunk).min(length);
    let wanted = usize::try_from(end - first * chunk).map_err(|_| damaged("its length".into()))?;
    let octets = disk.read(&body_path(body), first * chunk, wanted).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::InvalidData => damaged(format!("its file: {error}")),
        _ => LoadFault::Store(StoreFault::Failed(error.to_string())),
    })?;
    if octets.len() != wanted {
        return Err(damaged(format!("its file ends {} octets early", wanted - octets.len())));
    }
    let first = usize::try_from(first).unwrap_or_default();
    for (number, part) in octets.chunks(BODY_CHUNK_OCTETS).enumerate() {
        let stored = sums.get((first + number) * 4..).and_then(|rest| rest.first_chunk::<4>());
        if stored != Some(&record::checksum(&[part]).to_be_bytes()) {
            return Err(damaged(format!("octets from {}", (first + number) * BODY_CHUNK_OCTETS)));
        }
    }
    let skip = usize::try_from(range.start % chunk).unwrap_or_default();
    let count = usize::try_from(range.end - range.start).unwrap_or_default();
    Ok(Bytes::from(octets).slice(skip..skip + count))
}

//! Units that were told and answered for good: known for a while, across restarts, so that repeats are not told again.
//!
//! | key | value |
//! |---|---|
//! | `S` source digest | version, and the wall time (microseconds) at which it may be forgotten |

use std::collections::{BTreeMap, VecDeque};

use skywave_protocols::bytes::{Bytes, Reader, WireError};
use skywave_protocols::time::{Instant, Now, Wakeup, WallTime};

use super::limits::{SEEN_MAX, SEEN_SPAN, STORE_RETRY_WAIT};
use crate::io::Row;
use crate::transport::TransportOutput;

/// Source and content of a unit.
pub(super) type Key = Vec<u8>;
type Records = Vec<(Vec<u8>, Option<Bytes>)>;

const LETTER: u8 = b'S';
const VERSION: u8 = 1;

/// What is known of, with its records.
#[derive(Debug, Default)]
pub(super) struct Seen {
    forget: BTreeMap<Key, Instant>,
    outputs: VecDeque<TransportOutput>,
    batches: u64,
    /// Batches handed out and not reported as stored, and when those that failed are tried again.
    storing: BTreeMap<u64, Records>,
    failed: BTreeMap<u64, Instant>,
}

impl Seen {
    pub(super) fn knows(&self, now: Instant, key: &Key) -> bool {
        self.forget.get(key).is_some_and(|&forget| forget > now)
    }

    pub(super) fn remember(&mut self, now: Now, key: Key) {
        let mut records = Vec::new();
        if self.forget.len() >= SEEN_MAX
            && let Some(oldest) = self.forget.iter().min_by_key(|&(_, forget)| *forget).map(|(key, _)| key.clone())
        {
            records.push((row(&oldest), None));
            self.forget.remove(&oldest);
        }
        let until = (now.wall + SEEN_SPAN).unix_micros().to_be_bytes();
        records.push((row(&key), Some(Bytes::from([&[VERSION][..], &until].concat()))));
        self.forget.insert(key, now.mono + SEEN_SPAN);
        self.store(records);
    }

    /// Takes back what was stored. Rows that are broken or old are deleted.
    pub(super) fn restore(&mut self, now: Now, rows: Vec<Row>) {
        let mut useless = Vec::new();
        for row in rows {
            match read(&row) {
                Ok((key, until)) if until > now.wall && self.forget.len() < SEEN_MAX => {
                    let left = until.since(now.wall).min(SEEN_SPAN);
                    self.forget.insert(key, now.mono + left);
                }
                Ok(_) | Err(_) => useless.push((row.key, None)),
            }
        }
        self.store(useless);
    }

    pub(super) fn stored(&mut self, batch: u64) {
        self.storing.remove(&batch);
        self.failed.remove(&batch);
    }

    pub(super) fn store_failed(&mut self, now: Now, batch: u64) {
        if self.storing.contains_key(&batch) {
            self.failed.insert(batch, now.mono + STORE_RETRY_WAIT);
        }
    }

    pub(super) fn handle_wakeup(&mut self, now: Now) {
        let due: Vec<u64> = self.failed.iter().filter(|(_, at)| **at <= now.mono).map(|(&batch, _)| batch).collect();
        for batch in due {
            self.failed.remove(&batch);
            if let Some(records) = self.storing.get(&batch) {
                self.outputs.push_back(TransportOutput::Store(batch, records.clone()));
            }
        }
        let old: Vec<Key> = self.forget.iter().filter(|(_, at)| **at <= now.mono).map(|(key, _)| key.clone()).collect();
        let records = old.iter().map(|key| (row(key), None)).collect();
        self.forget.retain(|_, at| *at > now.mono);
        self.store(records);
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        let forget = self.forget.values().min().map(|&at| Wakeup { at, why: "forget a unit" });
        let again = self.failed.values().min().map(|&at| Wakeup { at, why: "store again" });
        Wakeup::earlier(forget, again)
    }

    pub(super) fn poll(&mut self) -> Option<TransportOutput> {
        self.outputs.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.forget.len()
    }

    fn store(&mut self, records: Records) {
        if records.is_empty() {
            return;
        }
        self.batches += 1;
        self.storing.insert(self.batches, records.clone());
        self.outputs.push_back(TransportOutput::Store(self.batches, records));
    }
}

fn row(key: &[u8]) -> Vec<u8> {
    [&[LETTER][..], key].concat()
}

fn read(row: &Row) -> Result<(Key, WallTime), WireError> {
    let (letter, key) = row.key.split_first().unwrap_or((&0, &[]));
    let mut reader = Reader::new(&row.value);
    let version = reader.u8()?;
    let until = WallTime::from_unix_micros(reader.u64()?);
    reader.finish()?;
    if *letter != LETTER || version != VERSION {
        return Err(WireError::OutOfRange { field: "row version", value: version.into() });
    }
    Ok((key.to_vec(), until))
}

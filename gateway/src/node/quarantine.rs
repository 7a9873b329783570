//! Units that cannot be read, or not wholly: counted, told, and the newest of them kept for the operator.
//!
//! Each has a number that goes on across restarts; its place on disk is the number in a ring of [`UNITS_MAX`].

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use skywave_protocols::bytes::{Bytes, hex};
use skywave_transports::io::{Row, Space, Write};

use super::seam::ReplyTo;
use super::steps::Saved;
use super::{Node, Pending};
use crate::store::{Batch, Query, StoreFault};
use crate::telemetry::Event;

/// Octets of a unit that are kept.
const OCTETS_MAX: usize = 64 << 10;
/// Units kept; the oldest makes room.
const UNITS_MAX: u64 = 64;
/// The row with the number of the next unit.
const NEXT: &[u8] = b"quarantined";

/// What is noted of a unit, in front of its octets.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    number: u64,
    at_unix_micros: u64,
    link: String,
    from: String,
    why: String,
    octets: usize,
}

impl Node {
    /// Counts, tells and keeps a unit.
    pub(super) fn quarantine(&mut self, link: String, from: &str, unit: &Bytes, name: &'static str, why: &str) {
        let number = self.quarantined;
        self.quarantined += 1;
        let detail = format!("from {from}: {why}; kept as quarantine {number}");
        self.tell(Event::Notice { part: link.clone(), alarm: true, name: name.into(), detail });
        let at_unix_micros = self.now.wall.unix_micros();
        let (from, why, octets) = (from.to_owned(), why.to_owned(), unit.len());
        let mut value =
            serde_json::to_vec(&Note { number, at_unix_micros, link, from, why, octets }).unwrap_or_default();
        value.push(b'\n');
        value.extend_from_slice(&unit[..octets.min(OCTETS_MAX)]);
        let put = |key: Vec<u8>, value: Vec<u8>| Write { space: Space::Site, key, value: Some(value.into()) };
        let next = put(NEXT.to_vec(), self.quarantined.to_be_bytes().to_vec());
        let batch = Batch { writes: vec![put(place(number), value), next], ..Batch::default() };
        self.save(batch, Saved::Notes(Vec::new()));
    }

    /// The row with the next number.
    pub(super) fn quarantine_query() -> Query {
        Query::Keys { space: Space::Site, keys: vec![NEXT.to_vec()] }
    }

    /// The numbers go on where an earlier run ended.
    pub(super) fn quarantine_counted(&mut self, rows: &[Row]) {
        let next = rows.first().and_then(|row| row.value.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes);
        self.quarantined = self.quarantined.max(next);
    }

    /// `skywave queue quarantine`: all, or one with its octets.
    pub(super) fn show_quarantine(&mut self, reply_to: ReplyTo, number: Option<u64>) {
        let query = match number {
            Some(number) => Query::Keys { space: Space::Site, keys: vec![place(number)] },
            None => {
                let (from, to) = (b"quarantine/".to_vec(), b"quarantine0".to_vec());
                let limit = usize::try_from(UNITS_MAX).unwrap_or(usize::MAX);
                Query::Range { space: Space::Site, from, to, limit, reverse: false }
            }
        };
        let fetch = self.fetch(query);
        self.pending.insert(fetch, Pending::Quarantine(reply_to, number));
    }

    pub(super) fn quarantine_fetched(
        &mut self,
        reply_to: ReplyTo,
        number: Option<u64>,
        rows: Result<Vec<Row>, StoreFault>,
    ) {
        let rows = match rows {
            Ok(rows) => rows,
            Err(fault) => return self.reply_error(reply_to, &fault.to_string(), 75),
        };
        let mut units: Vec<(Note, &[u8])> = rows.iter().filter_map(|row| read(&row.value)).collect();
        units.sort_by_key(|(note, _)| note.number);
        match (number, units.pop_if(|(note, _)| number == Some(note.number))) {
            (None, _) => {
                let units: Vec<Value> = units.iter().map(|(note, _)| json!(note)).collect();
                self.reply_ok(reply_to, json!({ "units": units }));
            }
            (Some(_), Some((note, octets))) => {
                self.reply_ok(reply_to, json!({ "unit": note, "kept_octets": octets.len(), "hex": hex(octets) }));
            }
            (Some(number), None) => self.reply_error(reply_to, &format!("no unit {number} is kept"), 69),
        }
    }
}

/// Its key on disk.
fn place(number: u64) -> Vec<u8> {
    format!("quarantine/{:03}", number % UNITS_MAX).into_bytes()
}

fn read(value: &[u8]) -> Option<(Note, &[u8])> {
    let end = value.iter().position(|octet| *octet == b'\n')?;
    Some((serde_json::from_slice(&value[..end]).ok()?, &value[end + 1..]))
}

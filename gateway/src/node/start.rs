//! What is read at the start: records of links, the operator's marks, lanes that only the disk knows. What cannot be
//! read is asked for again: a site that forgot its emission control or its message numbers would do harm.

use skywave_protocols::time::{Duration, Now};
use skywave_transports::io::{Row, Space};

use super::{Node, Pending};
use crate::queue::limits::AGENDA_BATCH_MAX;
use crate::queue::record::{HopKey, lane_end, lane_start};
use crate::store::Query;

/// How long to wait before rows that could not be read are asked for again.
const READ_AGAIN_WAIT: Duration = Duration::from_secs(1);
/// The operator's marks that are read.
const MARKS_MAX: usize = 10_000;

impl Node {
    /// Asks for something without which no mail is taken.
    pub(super) fn await_fetch(&mut self, pending: Pending) {
        self.awaited += 1;
        self.ask(pending);
    }

    /// Asks for the rows of a `pending` that says by itself which they are.
    pub(super) fn ask(&mut self, pending: Pending) {
        if let Some(query) = self.query_of(&pending) {
            let number = self.fetch(query);
            self.pending.insert(number, pending);
        }
    }

    /// The rows could not be read: they are asked for again in a while. Gives back what others have to deal with.
    pub(super) fn read_again(&mut self, now: Now, pending: Pending) -> Option<Pending> {
        if self.query_of(&pending).is_none() {
            return Some(pending);
        }
        self.unread.push(pending);
        self.unread_at = Some(now.mono + READ_AGAIN_WAIT);
        None
    }

    pub(super) fn read_again_due(&mut self, now: Now) {
        if self.unread_at.take_if(|at| *at <= now.mono).is_some() {
            std::mem::take(&mut self.unread).into_iter().for_each(|pending| self.ask(pending));
        }
    }

    fn query_of(&self, pending: &Pending) -> Option<Query> {
        let range =
            |space, from: Vec<u8>, to: Vec<u8>, limit, reverse| Query::Range { space, from, to, limit, reverse };
        let (start, end) = (Vec::new, Vec::new);
        Some(match pending {
            Pending::LastTicket(space) => range(*space, start(), end(), 1, true),
            Pending::Count => Query::Count { space: Space::Mail, from: start(), to: end() },
            Pending::Quarantined => Self::quarantine_query(),
            Pending::Marks => range(Space::Site, b"mark/".to_vec(), b"mark0".to_vec(), MARKS_MAX, false),
            Pending::Restore(index) => {
                let name = &self.links.link(*index)?.name;
                range(Space::Transport, lane_start(name), lane_end(name), usize::MAX, false)
            }
            Pending::Chat(Space::Site) => range(Space::Site, b"chat/".to_vec(), b"chat0".to_vec(), MARKS_MAX, false),
            Pending::Chat(space) => range(*space, start(), end(), usize::MAX, false),
            Pending::Lane(from) => range(Space::Hop, from.clone(), end(), 1, false),
            Pending::Displaced(from) => range(Space::Delayed, from.clone(), end(), AGENDA_BATCH_MAX, false),
            _other => return None,
        })
    }

    /// The first hop on disk beyond the lanes looked at: its lane is worked off too, be it configured or not.
    pub(super) fn lane_found(&mut self, rows: Vec<Row>) {
        let Some(row) = rows.into_iter().next() else { return };
        let next = match HopKey::decode(&row.key) {
            Some(key) => {
                let next = lane_end(&key.lane);
                self.lanes.open(key.lane);
                next
            }
            None => [row.key, vec![0]].concat(),
        };
        self.ask(Pending::Lane(next));
    }
}

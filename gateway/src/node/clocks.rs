//! When somebody sets the wall clock. Timers of the node live on the monotonic clock; what is due at a date does not:
//! after a jump back, dates on the agenda may lie years ahead. They are found and brought near again.

use skywave_protocols::time::{Duration, Now, WallTime};
use skywave_transports::io::Row;

use super::accept::standing_entry;
use super::steps::Then;
use super::{Node, Pending};
use crate::queue::agenda::{Due, Entry};
use crate::queue::limits::AGENDA_BATCH_MAX;
use crate::store::Batch;

/// The wall clock may differ so much from the monotonic one without being told.
const JUMP_MIN: Duration = Duration::from_secs(60);

impl Node {
    /// Looks whether the wall clock went another way than the monotonic one since the last input.
    pub(super) fn watch_clocks(&mut self, before: Now, now: Now) {
        if self.started_at.is_none() {
            return;
        }
        let expected = before.wall + now.mono.since(before.mono);
        let (back, forth) = (expected.since(now.wall), now.wall.since(expected));
        if back.max(forth) < JUMP_MIN {
            return;
        }
        let way = if back > forth { "back" } else { "forth" };
        let detail = format!("{:.0} s {way}", back.max(forth).as_secs_f64());
        self.notice("clock", true, "clock_jumped", detail);
        if back > forth && self.ready {
            self.look_for_displaced(now.wall);
        }
    }

    /// Looks at everything on the agenda that is further away than a retry can be.
    pub(super) fn look_for_displaced(&mut self, wall: WallTime) {
        let from = (wall + self.config.queue.retry_longest).unix_micros();
        self.ask(Pending::Displaced(from.to_be_bytes().to_vec()));
    }

    /// Entries that lie far ahead are here.
    pub(super) fn displaced(&mut self, now: Now, rows: Vec<Row>) {
        let next =
            rows.last().filter(|_| rows.len() >= AGENDA_BATCH_MAX).map(|row| [row.key.as_slice(), &[0]].concat());
        let queue = &self.config.queue;
        let longest = queue.lifetimes.iter().copied().max().unwrap_or(Duration::ZERO);
        let ahead = |wait| (now.wall + wait).unix_micros();
        let (retry, life) = (ahead(queue.retry_longest), ahead(longest));
        let notice = ahead(queue.delay_notice.unwrap_or(Duration::ZERO));
        for entry in rows.iter().filter_map(|row| Entry::decode(&row.key)) {
            match entry.due {
                Due::Retry(_) if entry.at > retry => self.with_mail(now, entry.ticket, Then::Due(entry)),
                Due::Notice if entry.at > notice => self.with_mail(now, entry.ticket, Then::Nearer(entry)),
                Due::Expiry if entry.at > life => self.with_mail(now, entry.ticket, Then::Nearer(entry)),
                Due::Retry(_) | Due::Notice | Due::Expiry => {}
            }
        }
        if let Some(next) = next {
            self.ask(Pending::Displaced(next));
        }
    }

    /// Brings the dates of a mail near: as far from now as they were from the mail's acceptance.
    pub(super) fn bring_near(&mut self, now: Now, entry: Entry) {
        let wall = now.wall.unix_micros();
        let Some(record) = self.mails.record_mut(entry.ticket) else { return };
        let displaced = entry.due == Due::Expiry || record.accepted_at > wall;
        if !displaced || standing_entry(record) != entry {
            return; // A date far ahead that the sender gave, or one that stands no more.
        }
        let nearer = |at: u64| wall + at.saturating_sub(record.accepted_at);
        (record.expires_at, record.notice_at) = (nearer(record.expires_at), record.notice_at.map(nearer));
        record.note(now.wall, "the clock was set back; its dates were brought near");
        let stands = standing_entry(record);
        let writes = vec![entry.write(false), stands.write(true), record.put()];
        self.agenda.added(stands.at);
        self.save_notes(entry.ticket, Batch { writes, ..Batch::default() });
    }
}

//! When somebody sets the wall clock. Timers of the node live on the monotonic clock; what is due at a date does not:
//! after a jump back, dates on the agenda may lie years ahead. They are found and brought near again.

use skywave_protocols::time::{Duration, Now, WallTime};
use skywave_transports::io::Row;

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
        let (retry, life) = ((now.wall + queue.retry_longest).unix_micros(), (now.wall + longest).unix_micros());
        for entry in rows.iter().filter_map(|row| Entry::decode(&row.key)) {
            match entry.due {
                Due::Retry(_) if entry.at > retry => self.with_mail(now, entry.ticket, Then::Due(entry)),
                Due::Notice | Due::Expiry if entry.at > life => self.with_mail(now, entry.ticket, Then::Nearer(entry)),
                Due::Retry(_) | Due::Notice | Due::Expiry => {}
            }
        }
        if let Some(next) = next {
            self.ask(Pending::Displaced(next));
        }
    }

    /// Brings a date of a mail near: as far from now as it was from the mail's acceptance.
    pub(super) fn bring_near(&mut self, now: Now, entry: Entry) {
        let Some(record) = self.mails.record_mut(entry.ticket) else { return };
        let at = now.wall.unix_micros() + entry.at.saturating_sub(record.accepted_at);
        match entry.due {
            Due::Expiry => record.expires_at = at,
            Due::Notice => record.notice_at = Some(at),
            Due::Retry(_) => return,
        }
        record.note(now.wall, "the clock was set back; its dates were brought near");
        let writes = vec![entry.write(false), Entry { at, ..entry }.write(true), record.put()];
        self.agenda.added(at);
        self.save_notes(entry.ticket, Batch { writes, ..Batch::default() });
    }
}

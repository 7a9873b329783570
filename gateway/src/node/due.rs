//! What the agenda says is due, and mails that are looked at without being in memory.

use skywave_protocols::time::Now;
use skywave_transports::io::{Row, Space};

use super::accept::standing_entry;
use super::steps::Then;
use super::{Node, Pending};
use crate::queue::agenda::{Due, Entry};
use crate::queue::record::{HopKey, HopState, MailRecord, Ticket};
use crate::report::{Kind, Outcome};
use crate::store::{Batch, Query, StoreFault};
use crate::telemetry::Status;

impl Node {
    /// Does `then` with a mail: at once when its record is in memory, else when it has been fetched.
    pub(super) fn with_mail(&mut self, now: Now, ticket: Ticket, then: Then) {
        if self.mails.record(ticket).is_some() {
            // It may leave its lane meanwhile, and must stay in memory all the same.
            self.mails.pin(ticket);
            self.then(now, ticket, then);
            return self.mails.unpin(ticket);
        }
        if self.mails.knows(ticket) {
            return self.then_without(now, ticket, then); // Finished; its deletion is on the way.
        }
        let number = self.fetch(Query::Keys { space: Space::Mail, keys: vec![ticket.key()] });
        self.pending.insert(number, Pending::Mail(ticket, then));
    }

    /// A record asked for is here, or there is none.
    pub(super) fn mail_fetched(&mut self, now: Now, ticket: Ticket, then: Then, rows: Result<Vec<Row>, StoreFault>) {
        let rows = match rows {
            Ok(rows) => rows,
            Err(fault) => return self.then_failed(now, ticket, then, &fault),
        };
        self.take_records(&rows);
        if self.mails.record(ticket).is_some() {
            self.mails.pin(ticket);
            self.then(now, ticket, then);
            self.mails.unpin(ticket);
        } else {
            self.then_without(now, ticket, then);
        }
    }

    /// Takes fetched records into memory, unless memory knows better.
    pub(super) fn take_records(&mut self, rows: &[Row]) {
        for row in rows {
            match MailRecord::decode(&row.value) {
                Ok(record) => self.mails.insert(record),
                Err(error) => self.unreadable_record(&row.key, &error.to_string()),
            }
        }
    }

    fn then(&mut self, now: Now, ticket: Ticket, then: Then) {
        match then {
            Then::Due(entry) => self.due(now, entry),
            Then::Nearer(entry) => self.bring_near(now, entry),
            Then::Unit(hop, news) => self.unit_news(now, ticket, hop, news),
            Then::Command(reply_to, command) => self.mail_command(now, reply_to, ticket, command),
            Then::Enter(key) => self.enter_found(now, &key),
        }
    }

    fn then_without(&mut self, now: Now, ticket: Ticket, then: Then) {
        match then {
            Then::Due(entry) | Then::Nearer(entry) => {
                let batch = Batch { writes: vec![entry.write(false)], ..Batch::default() };
                self.save_notes(ticket, batch);
            }
            Then::Unit(..) => {} // News of a mail that is finished: nothing is owed.
            Then::Command(reply_to, command) => self.finished_command(now, reply_to, ticket, command),
            Then::Enter(key) => {
                // A hop without a mail: left behind by a damaged record that was set aside.
                let batch = Batch { writes: vec![key.write(false)], ..Batch::default() };
                self.save_notes(ticket, batch);
            }
        }
    }

    fn then_failed(&mut self, now: Now, _ticket: Ticket, then: Then, fault: &StoreFault) {
        match then {
            Then::Due(entry) => {
                self.agenda.failed((now.wall + self.config.queue.retry_first).unix_micros().max(entry.at))
            }
            Then::Command(reply_to, _) => self.reply_error(reply_to, &fault.to_string(), 75),
            // The unit's news is lost to memory: after a restart the hop is sent again and found to be a repeat.
            Then::Unit(..) | Then::Nearer(_) => {}
            Then::Enter(key) => self.refill_later(now, &key.lane),
        }
    }

    /// Fetches what is due.
    pub(super) fn agenda_due(&mut self, now: Now) {
        if let Some(query) = self.agenda.query(now.wall) {
            let number = self.fetch(query);
            self.pending.insert(number, Pending::Agenda);
        }
    }

    pub(super) fn agenda_fetched(&mut self, now: Now, rows: Result<Vec<Row>, StoreFault>) {
        match rows {
            Ok(rows) => {
                for entry in self.agenda.fetched(now.wall, rows.into_iter().map(|row| row.key)) {
                    self.with_mail(now, entry.ticket, Then::Due(entry));
                }
            }
            Err(_) => self.agenda.failed((now.wall + self.config.queue.retry_first).unix_micros()),
        }
    }

    fn due(&mut self, now: Now, entry: Entry) {
        match entry.due {
            Due::Retry(hop) => self.retry_due(now, entry, hop),
            Due::Notice => self.notice_due(now, entry),
            Due::Expiry => self.expiry_due(now, entry),
        }
    }

    fn notice_due(&mut self, now: Now, entry: Entry) {
        let Some(record) = self.mails.record_mut(entry.ticket) else { return };
        record.notice_at = None;
        record.note(now.wall, "late; the sender is told if it wants to know");
        let next = standing_entry(record);
        let writes = vec![record.put(), entry.write(false), next.write(true)];
        self.agenda.added(next.at);
        let batch = Batch { writes, ..Batch::default() };
        self.save_notes(entry.ticket, batch);
        self.report_delayed(now, entry.ticket);
    }

    /// The mail has lived long enough: every open hop is given up, each with exactly one report.
    fn expiry_due(&mut self, now: Now, entry: Entry) {
        let Some(record) = self.mails.record(entry.ticket) else { return };
        if record.is_done() {
            return self.finish_if_done(now, entry.ticket); // A crash came before its records went.
        }
        let open = |(index, hop): (usize, &crate::queue::record::Hop)| (hop.state != HopState::Done).then_some(index);
        let hops: Vec<usize> = record.hops.iter().enumerate().filter_map(open).collect();
        let keys: Vec<HopKey> = hops.iter().map(|&hop| record.hop_key(hop)).collect();
        // A crash may come before the reports are on the disk: then it is looked at again.
        self.look_again(now, entry);
        for key in keys {
            self.expire(now, &key);
        }
    }

    fn expire(&mut self, now: Now, key: &HopKey) {
        if self.mta.is_door(&key.lane) && self.lanes.is_under_way(key) {
            return; // The dialogue is running: its reply counts.
        }
        let Some(record) = self.mails.record(key.ticket) else { return };
        let hop = &record.hops[usize::from(key.hop)];
        let (owed, last) = (self.reports.unreported(key.ticket, hop.owed()), hop.last.clone());
        if owed.is_empty() {
            return;
        }
        self.take_back(now, key);
        let words = if last.is_empty() {
            "its time has passed".to_owned()
        } else {
            format!("its time has passed; last: {last}")
        };
        for &recipient in &owed {
            self.tell_tried(now, key, recipient, &key.lane, "5.4.7", Status::Expired, &words);
        }
        let outcome =
            |recipient| Outcome { recipient, status: "5.4.7".into(), diagnostic: Some(words.clone()), relay: None };
        let outcomes = owed.into_iter().map(outcome).collect();
        self.report_given_up(now, key, Kind::Expired, outcomes);
    }

    fn look_again(&mut self, now: Now, entry: Entry) {
        let at = (now.wall + self.config.queue.retry_first).unix_micros();
        self.agenda.added(at);
        if let Some(record) = self.mails.record_mut(entry.ticket) {
            record.expires_at = at;
            let writes = vec![entry.write(false), Entry { at, ..entry }.write(true), record.put()];
            self.save_notes(entry.ticket, Batch { writes, ..Batch::default() });
        }
    }

    /// Takes a hop out of its lane, and its unit back from the link.
    pub(super) fn take_back(&mut self, now: Now, key: &HopKey) {
        if let Some(index) = self.links.index(&key.lane) {
            let unit = key.ticket.unit(usize::from(key.hop));
            self.links.with(now, index, |transport| transport.cancel(now, unit));
        }
        self.leave_lane(key);
    }
}

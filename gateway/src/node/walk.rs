//! Commands that look at every mail: the queue, or the history, is walked through page by page, so that its length costs
//! time and no memory, and other work goes on between two pages.
//!
//! Promises: every mail that was there when the command came is looked at once; what memory knows of it wins over what was
//! read. Refuses: nothing. Limits: [`PAGE_MAILS_MAX`] mails are looked at in one step.

use std::collections::BTreeMap;

use skywave_protocols::time::Now;
use skywave_transports::io::{Row, Space};

use super::command::Command;
use super::seam::ReplyTo;
use super::steps::Then;
use super::{Node, Pending};
use crate::queue::limits::PAGE_MAILS_MAX;
use crate::queue::record::{MailRecord, Ticket};
use crate::store::{Query, StoreFault};

/// What is looked for.
#[derive(Debug)]
enum Purpose {
    /// Mails that wait for their time are tried now.
    Retry,
    /// The first of the queue.
    List { limit: usize, first: BTreeMap<Place, MailRecord> },
    /// A mail of the queue with this Message-ID; then a finished one.
    QueuedId(String),
    /// A finished mail with this Message-ID, the newest first.
    FinishedId(String),
}

/// Where a mail stands in a list: P_MUL priority, time of acceptance, ticket.
type Place = (u8, u64, Ticket);

/// A walk, and what is left of it: `from <= key < to`, no end where `to` is empty.
#[derive(Debug)]
pub struct Walk {
    purpose: Purpose,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Walk {
    fn query(&self) -> Query {
        let finished = matches!(self.purpose, Purpose::FinishedId(_));
        Query::Range {
            space: if finished { Space::History } else { Space::Mail },
            from: self.from.clone(),
            to: self.to.clone(),
            limit: PAGE_MAILS_MAX,
            reverse: finished,
        }
    }

    /// Takes a page off what is left; false when it was the last.
    fn pass(&mut self, page: &[Row]) -> bool {
        let Some(last) = page.last() else { return false };
        if matches!(self.purpose, Purpose::FinishedId(_)) {
            self.to.clone_from(&last.key);
        } else {
            self.from = [last.key.as_slice(), &[0]].concat();
        }
        true
    }
}

impl Node {
    /// Tries every mail that waits for its time now.
    pub(super) fn retry_all(&mut self, reply_to: ReplyTo) {
        // The walk itself is a part of what is waited for.
        self.gather(reply_to, 1);
        self.walk_queue(reply_to, Purpose::Retry);
    }

    /// Lists the most urgent mails of the queue.
    pub(super) fn list_all(&mut self, reply_to: ReplyTo, limit: usize) {
        self.walk_queue(reply_to, Purpose::List { limit, first: BTreeMap::new() });
    }

    /// Shows the mail with a Message-ID.
    pub(super) fn track_message_id(&mut self, reply_to: ReplyTo, id: String) {
        self.walk_queue(reply_to, Purpose::QueuedId(id));
    }

    fn walk_queue(&mut self, reply_to: ReplyTo, purpose: Purpose) {
        // Mails that come later would let the walk run after them.
        let to = Ticket(self.last_ticket.saturating_add(1)).key();
        self.turn_page(reply_to, Walk { purpose, from: Vec::new(), to });
    }

    fn turn_page(&mut self, reply_to: ReplyTo, walk: Walk) {
        let number = self.fetch(walk.query());
        self.pending.insert(number, Pending::Page(reply_to, Box::new(walk)));
    }

    /// The next page of a walk is here.
    pub(super) fn page_fetched(
        &mut self,
        now: Now,
        reply_to: ReplyTo,
        mut walk: Walk,
        rows: Result<Vec<Row>, StoreFault>,
    ) {
        let rows = match rows {
            Ok(rows) => rows,
            Err(fault) if self.answers.is_gathering(reply_to) => {
                return self.gathering_broke_off(reply_to, fault.to_string());
            }
            Err(fault) => return self.reply_error(reply_to, &fault.to_string(), super::answers::TRY_LATER),
        };
        if !walk.pass(&rows) {
            return self.end_walk(reply_to, walk.purpose);
        }
        let records = rows.iter().filter_map(|row| match MailRecord::decode(&row.value) {
            Ok(record) => Some(record),
            Err(error) => {
                self.unreadable_record(&row.key, &error.to_string());
                None
            }
        });
        let records: Vec<MailRecord> = records.collect();
        match &mut walk.purpose {
            Purpose::Retry => self.retry_page(now, reply_to, records),
            Purpose::List { limit, first } => {
                for record in records {
                    first.insert((record.priority.p_mul(), record.accepted_at, record.ticket), record);
                    if first.len() > *limit {
                        first.pop_last();
                    }
                }
            }
            Purpose::QueuedId(id) => {
                if let Some(found) = records.iter().find(|record| same_id(&record.message_id, id)) {
                    let shown = self.shown(self.mails.record(found.ticket).unwrap_or(found), true);
                    return self.reply_ok(reply_to, shown);
                }
            }
            Purpose::FinishedId(id) => {
                if let Some(found) = records.iter().find(|record| same_id(&record.message_id, id)) {
                    return self.reply_ok(reply_to, super::show::mail(found, now.wall, true));
                }
            }
        }
        self.turn_page(reply_to, walk);
    }

    fn end_walk(&mut self, reply_to: ReplyTo, purpose: Purpose) {
        match purpose {
            Purpose::Retry => self.gathered(reply_to, None),
            Purpose::List { first, .. } => self.reply_mails(reply_to, first.into_values().collect()),
            Purpose::QueuedId(id) => {
                let purpose = Purpose::FinishedId(id);
                self.turn_page(reply_to, Walk { purpose, from: Vec::new(), to: Vec::new() });
            }
            Purpose::FinishedId(id) => {
                self.reply_error(reply_to, &format!("no mail with {id} is known here"), super::operator::UNAVAILABLE);
            }
        }
    }

    /// Tries those of a page that wait for their time.
    fn retry_page(&mut self, now: Now, reply_to: ReplyTo, page: Vec<MailRecord>) {
        for record in page {
            let ticket = record.ticket;
            if !self.mails.knows(ticket) && record.is_delayed() {
                self.mails.insert(record);
            }
            if self.mails.record(ticket).is_some_and(MailRecord::is_delayed) {
                self.gather_more(reply_to);
                let command = Command::QueueRetry { ticket: Some(ticket.to_string()) };
                self.with_mail(now, ticket, Then::Command(reply_to, command));
            }
        }
    }
}

fn same_id(own: &str, asked: &str) -> bool {
    own.trim_matches(['<', '>']) == asked.trim_matches(['<', '>'])
}

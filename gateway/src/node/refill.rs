//! Hops that waited on disk come back into their lanes' windows.

use skywave_protocols::time::{Duration, Now};
use skywave_transports::io::{Row, Space};

use super::steps::Then;
use super::{Node, Pending};
use crate::queue::record::{HopKey, HopState, Lane};
use crate::store::{Query, StoreFault};

/// How long to wait before rows that could not be read are asked for again.
const REFILL_WAIT: Duration = Duration::from_secs(2);

impl Node {
    /// A lane could not be refilled; it is tried again in a while.
    pub(super) fn refill_later(&mut self, now: Now, lane: &Lane) {
        self.lanes.refill_failed(lane);
        self.refill_at = Some(now.mono + REFILL_WAIT);
    }

    pub(super) fn refills_due(&mut self, now: Now) {
        if self.refill_at.take_if(|at| *at <= now.mono).is_some() {
            self.lanes.try_again();
        }
    }

    /// The keys of a lane's waiting hops are here: their mails follow.
    pub(super) fn refilled(&mut self, now: Now, lane: &Lane, rows: Result<Vec<Row>, StoreFault>) {
        let Ok(rows) = rows else { return self.refill_later(now, lane) };
        let keys = rows.iter().filter_map(|row| HopKey::decode(&row.key)).collect();
        let (known, unknown): (Vec<_>, Vec<_>) =
            self.lanes.refilled(lane, keys).into_iter().partition(|key| self.mails.knows(key.ticket));
        for key in known {
            if self.mails.record(key.ticket).is_some() {
                self.enter_found(now, &key);
            }
        }
        if !unknown.is_empty() {
            let tickets = unknown.iter().map(|key| key.ticket.key()).collect();
            let number = self.fetch(Query::Keys { space: Space::Mail, keys: tickets });
            self.pending.insert(number, Pending::RefillMails(unknown));
        }
    }

    /// The mails of waiting hops are here.
    pub(super) fn refill_mails(&mut self, now: Now, keys: Vec<HopKey>, rows: Result<Vec<Row>, StoreFault>) {
        let Ok(rows) = rows else {
            if let Some(key) = keys.first() {
                self.refill_later(now, &key.lane);
            }
            return;
        };
        self.take_records(&rows);
        for key in keys {
            self.with_mail_at_hand(now, &key);
        }
    }

    fn with_mail_at_hand(&mut self, now: Now, key: &HopKey) {
        if self.mails.knows(key.ticket) {
            self.mails.pin(key.ticket);
            self.enter_found(now, key);
            self.mails.unpin(key.ticket);
        } else {
            self.with_mail(now, key.ticket, Then::Enter(key.clone()));
        }
    }

    /// A hop found on disk enters its lane, if memory agrees that it waits.
    pub(super) fn enter_found(&mut self, now: Now, key: &HopKey) {
        let Some(record) = self.mails.record(key.ticket) else { return };
        let hop = usize::from(key.hop);
        if record.is_done() {
            return self.finish_if_done(now, key.ticket);
        }
        let waits = record.hops.get(hop).is_some_and(|hop| hop.state != HopState::Done && hop.not_before.is_none());
        let owes = |hop: &crate::queue::record::Hop| !self.reports.unreported(key.ticket, hop.owed()).is_empty();
        if waits && !record.held && record.hop_key(hop) == *key && record.hops.get(hop).is_some_and(owes) {
            self.enter_lane(now, key.ticket, hop);
        }
    }
}

//! What operators are shown: facts with stable field names, units in the name.

use serde_json::{Value, json};
use skywave_protocols::time::{Duration, WallTime};
use skywave_transports::io::{Row, Space, Write};
use skywave_transports::transport::Emission;

use super::accept::path;
use super::seam::ReplyTo;
use super::steps::Saved;
use super::{Node, Pending};
use crate::queue::record::{HopKey, HopState, MailRecord, Ticket};
use crate::store::{Batch, Query, StoreFault};

/// Nothing has been heard of a hop yet.
const WAITS_FOR_ITS_TURN: &str = "waits for its turn";
/// Most mails of one listing.
const LISTED_MAX: usize = 10_000;
/// History rows removed at once.
const PRUNE_ROWS_MAX: usize = 256;

/// What a fetch for a command is to be made into.
#[derive(Debug)]
pub enum Listing {
    /// Hops of the queue, whose mails are fetched next.
    Hops,
    /// Mails of the queue, in the order of these tickets.
    Mails(Vec<Ticket>),
    /// One finished mail.
    History(Ticket),
}

impl Node {
    pub(super) fn status(&self) -> Value {
        let uptime = self.started_at.map_or(Duration::ZERO, |start| self.now.mono.since(start.mono));
        let notices: Vec<Value> = self
            .notices
            .iter()
            .map(|((part, name), count)| json!({ "part": part, "name": name, "count": count }))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "site": &*self.config.site,
            "ready": self.ready,
            "uptime_seconds": uptime.as_secs_f64(),
            "mails_queued": self.counters.mails_queued(),
            "mails_accepted": self.counters.accepted,
            "recipients_delivered": self.counters.delivered,
            "recipients_bounced": self.counters.bounced,
            "mails_in_memory": self.mails.count(),
            "smtp_connections": self.sessions.served(),
            "store_failing": self.storekeeper.is_failing(),
            "links": self.list_links()["links"],
            "chat": self.chat_status(),
            "notices": notices,
        })
    }

    pub(super) fn list_links(&self) -> Value {
        let links: Vec<Value> = (0..self.links.len()).map(|index| self.link_line(index)).collect();
        json!({ "links": links })
    }

    fn link_line(&self, index: usize) -> Value {
        let Some(link) = self.links.link(index) else { return Value::Null };
        let (waiting, more_on_disk) = self.lanes.waiting(&link.name);
        let profile = self.links.transport(index).map(|transport| transport.profile());
        json!({
            "name": &*link.name,
            "carriage": link.carriage,
            "up": link.up,
            "why": link.why,
            "in_use": !self.links.down.contains(&link.name),
            "emission": link.emission,
            "hops_waiting": waiting,
            "more_on_disk": more_on_disk,
            "hops_under_way": self.lanes.under_way(&link.name),
            "units_sent": link.units_sent,
            "units_received": link.units_received,
            "profile": profile,
            "chat": self.show_chat_link(index),
        })
    }

    pub(super) fn show_link(&self, index: usize) -> Value {
        let mut shown = self.link_line(index);
        shown["transport"] = self.links.transport(index).map_or(Value::Null, |transport| transport.describe());
        shown["radio"] = self.links.describe_carrier(index);
        shown
    }

    /// Lists the queue: what waits in one lane, or all mails, most urgent first.
    pub(super) fn list_queue(&mut self, reply_to: ReplyTo, limit: usize, lane: Option<&str>) {
        let limit = limit.min(LISTED_MAX);
        let Some(lane) = lane else { return self.list_all(reply_to, limit) };
        let (from, to) = (crate::queue::record::lane_start(lane), crate::queue::record::lane_end(lane));
        let number = self.fetch(Query::Range { space: Space::Hop, from, to, limit, reverse: false });
        self.pending.insert(number, Pending::Listing(reply_to, Listing::Hops));
    }

    pub(super) fn track_ticket(&mut self, reply_to: ReplyTo, ticket: Ticket) {
        let number = self.fetch(Query::Keys { space: Space::History, keys: vec![ticket.key()] });
        self.pending.insert(number, Pending::Listing(reply_to, Listing::History(ticket)));
    }

    /// Rows for a command are here.
    pub(super) fn listed(&mut self, reply_to: ReplyTo, listing: Listing, rows: Result<Vec<Row>, StoreFault>) {
        let rows = match rows {
            Ok(rows) => rows,
            Err(fault) => return self.reply_error(reply_to, &fault.to_string(), 75),
        };
        let records = || rows.iter().filter_map(|row| MailRecord::decode(&row.value).ok());
        match listing {
            Listing::Hops => {
                let tickets: Vec<Ticket> =
                    rows.iter().filter_map(|row| HopKey::decode(&row.key)).map(|key| key.ticket).collect();
                let keys = tickets.iter().map(|ticket| ticket.key()).collect();
                let number = self.fetch(Query::Keys { space: Space::Mail, keys });
                self.pending.insert(number, Pending::Listing(reply_to, Listing::Mails(tickets)));
            }
            Listing::Mails(tickets) => {
                let mut mails: Vec<MailRecord> = records().collect();
                mails.sort_by_key(|mail| tickets.iter().position(|ticket| *ticket == mail.ticket));
                self.reply_mails(reply_to, mails);
            }
            Listing::History(ticket) => match records().next() {
                Some(record) => self.reply_ok(reply_to, mail(&record, self.now.wall, true)),
                None => self.reply_error(reply_to, &format!("{ticket} is not known here"), 69),
            },
        }
    }

    pub(super) fn reply_mails(&mut self, reply_to: ReplyTo, mails: Vec<MailRecord>) {
        // Memory knows better than the disk how far a mail is.
        let line = |record: MailRecord| self.shown(self.mails.record(record.ticket).unwrap_or(&record), false);
        let mails: Vec<Value> = mails.into_iter().map(line).collect();
        let stanzas = self.list_chat(LISTED_MAX);
        let queued = self.counters.mails_queued();
        self.reply_ok(reply_to, json!({ "mails": mails, "mails_queued": queued, "stanzas": stanzas }));
    }

    /// A mail of the queue, with what its hops wait for as this node knows it.
    pub(super) fn shown(&self, record: &MailRecord, whole: bool) -> Value {
        let mut shown = mail(record, self.now.wall, whole);
        for (index, hop) in record.hops.iter().enumerate() {
            let waits = hop.state == HopState::Waiting && hop.not_before.is_none() && !record.held;
            if let Some(line) = shown["hops"].get_mut(index).filter(|_| waits) {
                self.show_waiting(line, &record.hop_key(index));
            }
        }
        shown
    }

    /// Why a hop is still here, and when it will go as far as can be said.
    fn show_waiting(&self, line: &mut Value, key: &HopKey) {
        let index = self.links.index(&key.lane);
        let link = index.and_then(|index| self.links.link(index));
        let barred = link.and_then(|link| {
            if self.links.down.contains(&link.name) {
                Some("the link is taken out of use".to_owned())
            } else if link.emission == Emission::Silent {
                Some("we keep silence on the link (EMCON)".to_owned())
            } else {
                (!link.up).then(|| format!("the link is down: {}", link.why))
            }
        });
        let why = line["why"].as_str().unwrap_or_default().to_owned();
        if let Some(barred) = barred {
            let idle = why == WAITS_FOR_ITS_TURN;
            line["why"] = json!(if idle { barred } else { format!("{why}; {barred}") });
            return;
        }
        if self.lanes.is_under_way(key) {
            return;
        }
        let mails: Vec<u64> =
            self.lanes.ahead(key).map(|other| self.mails.record(other.ticket).map_or(0, |mail| mail.octets)).collect();
        let (count, octets) = (mails.len(), mails.iter().sum::<u64>());
        line["mails_ahead"] = json!(count);
        line["bytes_ahead"] = json!(octets);
        let rate = index.and_then(|index| self.links.transport(index)).map(|link| link.profile().bits_per_second);
        let seconds = rate.filter(|rate| *rate > 0).map(|rate| octets as f64 * 8.0 / f64::from(rate));
        line["estimated_wait_seconds"] = json!(seconds);
        if count > 0 {
            let about =
                seconds.map_or_else(String::new, |seconds| format!(", about {seconds:.0} s before compression"));
            line["why"] = json!(format!("{why}, behind {count} ({octets} octets{about})"));
        }
    }

    /// Removes history whose time has passed.
    pub(super) fn prune_history(&mut self) {
        let before = self.now.wall.unix_micros().saturating_sub(self.config.queue.history.as_micros() as u64);
        let to = before.to_be_bytes().to_vec();
        let query = Query::Range { space: Space::History, from: Vec::new(), to, limit: PRUNE_ROWS_MAX, reverse: false };
        let number = self.fetch(query);
        self.pending.insert(number, Pending::Prune);
    }

    pub(super) fn prune(&mut self, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        let delete = |row: Row| Write { space: Space::History, key: row.key, value: None };
        let batch = Batch { writes: rows.into_iter().map(delete).collect(), ..Batch::default() };
        self.save(batch, Saved::Notes(Vec::new()));
    }
}

/// A mail as operators see it: a line of the queue, or with everything that happened.
pub fn mail(record: &MailRecord, wall: WallTime, whole: bool) -> Value {
    let seconds = |at: u64| (at as f64 - wall.unix_micros() as f64) / 1e6;
    let hops: Vec<Value> = record.hops.iter().map(|hop| hop_line(record, hop, wall)).collect();
    let mut shown = json!({
        "ticket": record.ticket.to_string(),
        "precedence": record.precedence(),
        "mt_priority": record.priority,
        "from": path(record.envelope.sender.as_ref()),
        "to": record.envelope.recipients.iter().map(|recipient| recipient.to.as_str()).collect::<Vec<_>>(),
        "bytes": record.octets,
        "age_seconds": -seconds(record.accepted_at),
        "expires_in_seconds": seconds(record.expires_at),
        "held": record.held,
        "message_id": record.message_id,
        "hops": hops,
    });
    if whole {
        let entry =
            |at: u64, what: &str| json!({ "at_unix_seconds": at as f64 / 1e6, "seconds": -seconds(at), "what": what });
        shown["source"] = json!(record.source);
        shown["origin"] = json!(record.origin);
        shown["history"] = record.history.iter().map(|e| entry(e.at, &e.what)).collect();
    }
    shown
}

fn hop_line(record: &MailRecord, hop: &crate::queue::record::Hop, wall: WallTime) -> Value {
    let sites: Vec<&str> = hop.parts.iter().filter_map(|part| part.site.as_deref()).collect();
    let wait = hop.not_before.map(|at| at.saturating_sub(wall.unix_micros()) as f64 / 1e6);
    let why = match (hop.state, record.held, wait) {
        (HopState::Done, ..) => "done".to_owned(),
        (_, true, _) => "held by the operator".to_owned(),
        (_, false, Some(seconds)) => format!("tried again in {seconds:.0} s: {}", hop.last),
        (HopState::Open, false, None) => "being handed over".to_owned(),
        (HopState::Waiting, false, None) if hop.last.is_empty() => WAITS_FOR_ITS_TURN.to_owned(),
        (HopState::Waiting, false, None) => hop.last.clone(),
    };
    json!({
        "link": &*hop.lane,
        "sites": sites,
        "state": hop.state,
        "recipients_waiting": hop.owed().len(),
        "attempts": hop.attempts,
        "retry_in_seconds": wait,
        "bytes_on_link": hop.octets_sent,
        "why": why,
    })
}

//! Taking a mail over: from a client, from the radio, or from ourselves (reports). Accepted means on disk.
//!
//! The order is visible: the batch is asked for; `Input::Stored` says that it is on the disk; only then the client
//! gets its 250, the radio its final acknowledgement, and the hops begin.

use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::mail::{ByMode, Envelope};
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::smtp::reply::{Reply, escaped};
use skywave_protocols::time::{Now, WallTime};
use skywave_transports::io::Write;

use super::arrivals::in_short;
use super::steps::{Accepted, AnswerTo, Incoming, Refused, Saved};
use super::{Node, Output};
use crate::door::intake::Heading;
use crate::node::config::SiteConfig;
use crate::queue::agenda::{Due, Entry};
use crate::queue::lanes::NOWHERE_LANE;
use crate::queue::limits::HOPS_PER_MAIL_MAX;
use crate::queue::record::{Hop, HopState, MailRecord, Origin, Part, Ticket};
use crate::router;
use crate::store::{Batch, BodyId};
use crate::telemetry::Event;

impl Node {
    /// A fresh ticket: later ones are greater, whatever the clock does.
    pub(super) fn new_ticket(&mut self, wall: WallTime) -> Ticket {
        self.last_ticket = wall.unix_micros().max(self.last_ticket + 1);
        Ticket(self.last_ticket)
    }

    /// Routes a mail and asks for it to be stored. Recipients that nobody takes must have been refused before, except
    /// on multicast links, where they are others' business.
    pub(super) fn accept(&mut self, now: Now, incoming: Incoming) {
        let arrived_by = incoming.arrived_by.as_deref();
        let mut routed = router::route(&self.config, &self.links.down, &incoming.envelope, arrived_by);
        if arrived_by.is_none() && !routed.nowhere.is_empty() {
            // Only in batches and after a change of the configuration: they are bounced from a lane of their own.
            let part = Part { site: None, recipients: std::mem::take(&mut routed.nowhere) };
            routed.hops.push(Hop::new(NOWHERE_LANE.into(), vec![part]));
        }
        routed.hops.truncate(HOPS_PER_MAIL_MAX);
        if routed.hops.is_empty() {
            return self.nobody_here(now, incoming);
        }
        let mut record = new_record(now.wall, &self.config, &incoming, routed.hops);
        self.open_at_birth(&mut record);
        record.note(now.wall, format!("accepted from {}", record.source));
        let batch = first_batch(&record, incoming.extra);
        self.save(batch, Saved::Accepted(Box::new(Accepted { record, answer: incoming.answer })));
    }

    /// What an operator may want to know of a mail: how its precedence was found, and addresses that may be meant to be
    /// taken for others (hostile-inputs 7 and 11). Never a reason to refuse.
    pub(super) fn tell_oddities(&mut self, part: &str, envelope: &Envelope, heading: &Heading) {
        let mut tell = |name: &str, words: Vec<String>| {
            if !words.is_empty() {
                let detail = format!("{}: {}", escaped(&heading.message_id), in_short(&words));
                self.tell(Event::Notice { part: part.to_owned(), alarm: false, name: name.to_owned(), detail });
            }
        };
        tell("precedence_notes", heading.decision.notes.iter().map(ToString::to_string).collect());
        let all = envelope.sender.iter().chain(envelope.recipients.iter().map(|recipient| &recipient.to));
        let mixed = all.filter(|mailbox| mailbox.mixes_scripts()).map(ToString::to_string).collect();
        tell("address_mixes_scripts", mixed);
    }

    /// A hand-over that can begin at once or soon is marked open in the first batch, which saves a commit.
    fn open_at_birth(&mut self, record: &mut MailRecord) {
        for index in 0..record.hops.len() {
            let key = record.hop_key(index);
            let before = self.lanes.waiting_first(&key.lane).take_while(|other| **other < key).count();
            if self.mta.mark(&key, record.octets, before) {
                record.hops[index].state = HopState::Open;
            }
        }
    }

    fn nobody_here(&mut self, now: Now, incoming: Incoming) {
        self.out.push_back(Output::AbandonBody(BodyId(incoming.ticket.0)));
        match incoming.answer {
            AnswerTo::Session(pipe) => {
                self.session_finish(now, pipe, Reply::new(550, (1, 2), "no way to any recipient"));
            }
            // RFC 8494 section 3 step 3: discarded silently, but the carrier's acknowledgement is due.
            AnswerTo::Arrival(link, arrival) => self.arrival_stored(now, link, arrival),
            AnswerTo::Report(settles) => self.settle_reported(now, settles),
        }
    }

    /// The batch of a mail is on the disk.
    pub(super) fn accepted(&mut self, now: Now, accepted: Accepted) {
        let Accepted { record, answer } = accepted;
        let ticket = record.ticket;
        self.tell_accepted(&record);
        self.agenda.added(standing_entry(&record).at);
        match answer {
            AnswerTo::Session(pipe) => {
                let words = format!("queued as {ticket}");
                self.session_finish(now, pipe, Reply::new(250, (0, 0), words));
            }
            AnswerTo::Arrival(link, arrival) => self.arrival_stored(now, link, arrival),
            AnswerTo::Report(settles) => self.settle_reported(now, settles),
        }
        self.mails.insert(record);
        self.counters.mails += 1;
        let hops = self.mails.record(ticket).map_or(0, |record| record.hops.len());
        for hop in 0..hops {
            self.enter_lane(now, ticket, hop);
        }
    }

    /// The batch of a mail is not on the disk.
    pub(super) fn accept_failed(&mut self, now: Now, accepted: Accepted, why: &str) {
        self.out.push_back(Output::AbandonBody(accepted.record.body));
        for (index, hop) in accepted.record.hops.iter().enumerate() {
            let key = accepted.record.hop_key(index);
            if hop.state == HopState::Open && self.mta.born(&key) {
                self.mta.unreserve(&key, accepted.record.octets);
            }
        }
        match accepted.answer {
            AnswerTo::Session(pipe) => {
                let reply = Reply::new(452, (3, 1), format!("cannot store mail now: {why}"));
                self.session_finish(now, pipe, reply);
            }
            AnswerTo::Arrival(link, arrival) => self.arrival_refused(now, link, arrival),
            AnswerTo::Report(settles) => self.report_again(now, settles),
        }
    }

    /// Something could not be stored and is given back.
    pub(super) fn refused(&mut self, now: Now, refused: Refused) {
        let why = refused.fault.to_string();
        match refused.saved {
            Saved::Accepted(accepted) => self.accept_failed(now, *accepted, &why),
            Saved::Marked(keys) => self.marks_failed(&keys),
            Saved::Transport(link, number) => self.transport_store_failed(now, link, number, why),
            Saved::Chat(number) => self.chat_store_failed(now, number, &why),
            Saved::Notes(_) => {}
        }
    }

    fn tell_accepted(&mut self, record: &MailRecord) {
        let origin = (record.origin.site != *self.config.site)
            .then(|| format!("{} {}", record.origin.site, record.origin.ticket));
        self.tell(Event::MailAccepted {
            ticket: record.ticket.to_string(),
            message_id: record.message_id.clone(),
            from: path(record.envelope.sender.as_ref()),
            recipients: record.envelope.recipients.len(),
            bytes: record.octets,
            precedence: record.precedence(),
            source: record.source.clone(),
            origin,
        });
    }
}

/// A reverse path for logs.
pub fn path(sender: Option<&Mailbox>) -> String {
    sender.map_or_else(String::new, ToString::to_string)
}

/// The record of a mail as it is accepted.
pub(super) fn new_record(wall: WallTime, config: &SiteConfig, incoming: &Incoming, hops: Vec<Hop>) -> MailRecord {
    let queue = &config.queue;
    let here = || Origin { site: config.site.to_string(), ticket: incoming.ticket.to_string() };
    let precedence = incoming.priority.precedence();
    let accepted_at = wall.unix_micros();
    let lifetime = (wall + queue.lifetimes[usize::from(precedence.mmhs())]).unix_micros();
    let by = incoming
        .envelope
        .mail
        .by
        .map(|by| (by.mode, accepted_at.saturating_add_signed(by.seconds.saturating_mul(1_000_000))));
    //= smtp/BY-001
    let (expires_at, notice_by) = match by {
        Some((ByMode::Return, at)) => (lifetime.min(at), None),
        Some((ByMode::Notify, at)) => (lifetime, Some(at)),
        None => (lifetime, None),
    };
    let notice_at = notice_by.or_else(|| queue.delay_notice.map(|wait| (wall + wait).unix_micros()));
    MailRecord {
        ticket: incoming.ticket,
        accepted_at,
        expires_at,
        notice_at: notice_at.filter(|&at| at < expires_at),
        source: incoming.source.clone(),
        origin: incoming.origin.clone().unwrap_or_else(here),
        envelope: incoming.envelope.clone(),
        priority: incoming.priority,
        body: BodyId(incoming.ticket.0),
        octets: incoming.octets,
        header_octets: incoming.header_octets,
        message_id: incoming.message_id.clone(),
        mt_priority_fields: incoming.mt_priority_fields.clone(),
        needs: incoming.needs,
        hops,
        held: false,
        history: Vec::new(),
    }
}

/// Everything that makes a mail recoverable, in one batch.
fn first_batch(record: &MailRecord, extra: Vec<Write>) -> Batch {
    let mut writes = extra;
    writes.push(record.put());
    writes.extend((0..record.hops.len()).map(|hop| record.hop_key(hop).write(true)));
    writes.push(standing_entry(record).write(true));
    Batch {
        keep: vec![record.body],
        drop: Vec::new(),
        writes,
        urgent: record.precedence() >= Precedence::Flash,
        patient: false,
    }
}

/// What the agenda holds for a mail besides retries: when its lateness is to be reported, and once that is done when it
/// expires. One entry at a time: most mails leave before either, and each entry is two changes of the disk.
pub fn standing_entry(record: &MailRecord) -> Entry {
    let (at, due) = record.notice_at.map_or((record.expires_at, Due::Expiry), |at| (at, Due::Notice));
    Entry { at, ticket: record.ticket, due }
}

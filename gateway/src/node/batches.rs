//! Batches (RFC 2442) inside ordinary mail, both ways.
//!
//! Out: a hop whose lane is a way over mail becomes a mail to the peer's batch address; the hop is settled as relayed
//! once that mail is on the disk. In: mail to the site's own batch address, from who may relay, is opened and each mail
//! in it accepted like one that came by a link; what cannot be opened, or not wholly, goes to the postmaster (RFC 2442
//! section 3) and is not answered.

use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::mail::{Envelope, MailParameters, Notify, Recipient};
use skywave_protocols::time::Now;
use skywave_transports::transport::ArrivalId;

use super::arrivals::{Opening, in_short};
use super::delivery::whole;
use super::seam::{Answer, Cover, Job, Needs};
use super::steps::{AnswerTo, Incoming, Settles};
use super::{Node, Output, Pending};
use crate::queue::lanes::BATCH_LANE;
use crate::queue::record::{HopKey, Ticket};
use crate::report::{self, Kind, Outcome};
use crate::store::BodyId;
use crate::telemetry::Status;

impl Node {
    /// Begins to put a hop's mail into a batch inside a mail, or to open a batch; `None` when the lane is neither.
    pub(super) fn start_batch(&mut self, now: Now, key: &HopKey) -> Option<bool> {
        let to = self.config.batch_mail.iter().find(|way| way.name == key.lane).map(|way| way.to.clone());
        if to.is_none() && *key.lane != *BATCH_LANE {
            return None;
        }
        let Some(record) = self.mails.record(key.ticket) else {
            self.leave_lane(key);
            return Some(true);
        };
        let content = vec![whole(record)];
        let envelope = record.hop_envelope(usize::from(key.hop));
        self.lanes.start(key);
        let number = self.storekeeper.number();
        match to {
            Some(to) => {
                let ticket = self.new_ticket(now.wall);
                let message_id = format!("{ticket}@{}", self.config.mail.hostname);
                let Some(from) = self.postmaster() else { return Some(true) };
                let cover = Cover { from, to: to.clone(), message_id, at: now.wall };
                let hello = self.config.mail.hostname.clone();
                self.pending.insert(number, Pending::WrapMail { key: key.clone(), ticket, to });
                let extensions = self.config.batch_extensions(&key.lane);
                let job = Job::WrapBatchMail { hello, cover, extensions, envelope, content };
                self.out.push_back(Output::Compute(number, Box::new(job)));
            }
            None => {
                let octets_max = usize::try_from(self.config.mail.size_octets_max).unwrap_or(usize::MAX);
                self.pending.insert(number, Pending::UnwrapMail(key.clone()));
                self.out.push_back(Output::Compute(number, Box::new(Job::UnwrapBatchMail { content, octets_max })));
            }
        }
        Some(true)
    }

    pub(super) fn postmaster(&self) -> Option<Mailbox> {
        Mailbox::parse(&self.config.mail.postmaster).ok()
    }

    /// A mail with a batch is made: it is accepted, and settles the hop when it is on the disk.
    pub(super) fn batch_mail_made(&mut self, now: Now, key: &HopKey, ticket: Ticket, to: Mailbox, answer: Answer) {
        let Some(key) = self.fresh_key(key).filter(|key| self.is_this_one(key)) else { return };
        let text = match answer {
            Answer::Unit(text) => text,
            Answer::Impossible { status, why } => return self.give_up(now, &key, &status, &why),
            Answer::Failed(fault) => return self.retry_later(now, &key, &fault.to_string(), "4.3.0"),
            Answer::Mails(_) | Answer::Converted { .. } | Answer::Authenticated(_) => return,
        };
        let Some(record) = self.mails.record(key.ticket) else { return };
        let priority = record.priority;
        let outcome =
            |recipient| Outcome { recipient, status: "2.0.0".into(), diagnostic: None, relay: Some(to.to_string()) };
        let outcomes = record.hops[usize::from(key.hop)].owed().into_iter().map(outcome).collect();
        let settles = Settles { ticket: key.ticket, hop: Some(key), kind: Kind::Relayed, outcomes };
        self.begin_report(&settles);
        let mail = MailParameters { mt_priority: record_value(priority), ..MailParameters::default() };
        let recipient = Recipient { notify: Some(Notify { failure: true, ..Notify::NEVER }), ..Recipient::plain(to) };
        let envelope = Envelope { sender: self.postmaster(), mail, recipients: vec![recipient] };
        let octets = text.len() as u64;
        let header_octets = report::header_octets(&text) as u64;
        self.out.push_back(Output::AppendBody(BodyId(ticket.0), text));
        self.accept(
            now,
            Incoming {
                ticket,
                source: "batch".into(),
                origin: None,
                envelope,
                priority,
                octets,
                header_octets,
                message_id: format!("<{ticket}@{}>", self.config.mail.hostname),
                mt_priority_fields: Vec::new(),
                needs: Needs::default(),
                arrived_by: None,
                extra: Vec::new(),
                answer: AnswerTo::Report(settles),
            },
        );
    }

    /// A mail with a batch is open: its mails are accepted as if they had come by a link.
    pub(super) fn batch_mail_opened(&mut self, now: Now, key: &HopKey, answer: Answer) {
        let Some(key) = self.fresh_key(key).filter(|key| self.is_this_one(key)) else { return };
        match answer {
            Answer::Mails(opened) => {
                let Some(record) = self.mails.record(key.ticket) else { return };
                let source = format!("batch {}", key.ticket);
                let opening = Opening::in_a_mail(ArrivalId(key.ticket.0), source, record.priority);
                let owed = record.hops[usize::from(key.hop)].owed();
                self.report_faults(now, key.ticket, &owed, &opened.faults);
                self.look_up(now, opening, opened);
            }
            Answer::Impossible { status, why } => self.give_up(now, &key, &status, &why),
            Answer::Failed(fault) => self.retry_later(now, &key, &fault.to_string(), "4.3.0"),
            Answer::Unit(_) | Answer::Converted { .. } | Answer::Authenticated(_) => {}
        }
    }

    /// Sends a batch that can be read in part only to the postmaster too.
    fn report_faults(&mut self, now: Now, ticket: Ticket, recipients: &[u32], faults: &[String]) {
        if faults.is_empty() {
            return;
        }
        let outcome = |&recipient| Outcome {
            recipient,
            status: "5.6.0".into(),
            diagnostic: Some(format!("read in part only: {}", in_short(faults))),
            relay: None,
        };
        let outcomes = recipients.iter().map(outcome).collect();
        self.report(now, Settles { ticket, hop: None, kind: Kind::Failed, outcomes });
    }

    /// Everything in a batch mail is on the disk (or something is not: then it is opened again later).
    pub(super) fn batch_mail_stored(&mut self, now: Now, arrival: ArrivalId, failed: bool) {
        let ticket = Ticket(arrival.0);
        let Some(record) = self.mails.record(ticket) else { return };
        let Some(hop) = record.hops.iter().position(|hop| *hop.lane == *BATCH_LANE) else { return };
        let (key, owed) = (record.hop_key(hop), record.hops[hop].owed());
        if failed {
            return self.retry_later(now, &key, "the mails in the batch could not be stored", "4.3.1");
        }
        for &recipient in &owed {
            self.tell_tried(
                now,
                &key,
                recipient,
                BATCH_LANE,
                "2.0.0",
                Status::Relayed,
                "opened, its mails are on the disk",
            );
        }
        self.settle(now, &key, &owed, "batch opened");
        self.finish_if_done(now, ticket);
    }
}

/// The MT-PRIORITY of the mail around a batch: said only where it is not the usual one.
fn record_value(
    priority: skywave_protocols::message::precedence::MtPriority,
) -> Option<skywave_protocols::message::precedence::MtPriority> {
    let usual = skywave_protocols::message::precedence::Precedence::Routine.mt_priority();
    (priority != usual).then_some(priority)
}

//! Reports to senders: failures, delays, relaying. A report is a mail like any other; what it reports on is settled
//! only once the report is on the disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::mail::{ByMode, Envelope, MailParameters, Notify, Recipient, Ret};
use skywave_protocols::time::{Duration, Instant, Now};
use skywave_transports::io::Write;

use super::arrivals::needs;
use super::seam::Number;
use super::steps::{AnswerTo, Incoming, Settles};
use super::{Node, Output, Pending};
use crate::queue::lanes::BATCH_LANE;
use crate::queue::limits::RETURNED_OCTETS_MAX;
use crate::queue::record::{HopKey, MailRecord, Ticket};
use crate::report::{self, Kind, Outcome, Reported};
use crate::store::{BodyId, StoreFault};
use crate::telemetry::Status;

/// How long to wait before a report that could not be stored is tried again.
const AGAIN_WAIT: Duration = Duration::from_secs(2);

/// Which relaying is reported.
#[derive(Clone, Copy, Debug)]
pub struct Relaying {
    /// To those who want to hear of success: the next hop says nothing about it.
    success: bool,
    /// To all but NOTIFY=NEVER: BY asks for a trace, or the next hop would not tell that it is late.
    by: bool,
}

/// Reports under way.
#[derive(Debug, Default)]
pub struct Reports {
    under_way: BTreeMap<Ticket, u32>,
    /// Recipients that are being given up: a second reason begins no second report.
    given_up: BTreeSet<(Ticket, u32)>,
    again: VecDeque<Settles>,
    again_at: Option<Instant>,
}

impl Reports {
    /// Whether a report about the mail is not yet on the disk.
    pub fn is_reporting(&self, ticket: Ticket) -> bool {
        self.under_way.contains_key(&ticket)
    }

    /// When to try again.
    pub const fn next(&self) -> Option<Instant> {
        self.again_at
    }

    /// Of these recipients, those that are not being given up already.
    pub fn unreported(&self, ticket: Ticket, mut recipients: Vec<u32>) -> Vec<u32> {
        recipients.retain(|&recipient| !self.given_up.contains(&(ticket, recipient)));
        recipients
    }

    fn begin(&mut self, settles: &Settles) {
        *self.under_way.entry(settles.ticket).or_default() += 1;
        self.given_up.extend(settles.given_up());
    }

    fn end(&mut self, settles: &Settles) {
        for recipient in settles.given_up() {
            self.given_up.remove(&recipient);
        }
        if let Some(count) = self.under_way.get_mut(&settles.ticket) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&settles.ticket);
            }
        }
    }
}

impl Node {
    /// Gives recipients up: reports to the sender if it wants to know, and settles them.
    pub(super) fn report_failed(&mut self, now: Now, key: &HopKey, outcomes: Vec<Outcome>) {
        self.report_given_up(now, key, Kind::Failed, outcomes);
    }

    /// The same for a mail whose time has passed.
    pub(super) fn report_given_up(&mut self, now: Now, key: &HopKey, kind: Kind, outcomes: Vec<Outcome>) {
        let unreported = |outcome: &Outcome| !self.reports.given_up.contains(&(key.ticket, outcome.recipient));
        let outcomes: Vec<Outcome> = outcomes.into_iter().filter(unreported).collect();
        if outcomes.is_empty() {
            return;
        }
        let Some(record) = self.mails.record(key.ticket) else { return };
        let all: Vec<u32> = outcomes.iter().map(|outcome| outcome.recipient).collect();
        let wanted = wanted(record, outcomes, |notify| notify.failure);
        if wanted.is_empty() {
            // A null sender or NOTIFY=NEVER: nobody wants to know; the log has it.
            self.settle(now, key, &all, "given up without report");
            return self.finish_if_done(now, key.ticket);
        }
        let silent: Vec<u32> =
            all.into_iter().filter(|r| wanted.iter().all(|outcome| outcome.recipient != *r)).collect();
        self.settle(now, key, &silent, "given up without report");
        self.report(now, Settles { ticket: key.ticket, hop: Some(key.clone()), kind, outcomes: wanted });
    }

    /// Reports that a mail was delivered, or went on to where no report comes back from, if that is wanted.
    pub(super) fn report_success(&mut self, now: Now, ticket: Ticket, kind: Kind, recipients: Vec<u32>, relay: &str) {
        self.report_gone(now, ticket, kind, recipients, relay, |notify| notify.success);
    }

    fn report_gone(
        &mut self,
        now: Now,
        ticket: Ticket,
        kind: Kind,
        recipients: Vec<u32>,
        relay: &str,
        asks: impl Fn(Notify) -> bool,
    ) {
        let outcome =
            |recipient| Outcome { recipient, status: "2.0.0".into(), diagnostic: None, relay: Some(relay.to_owned()) };
        let Some(record) = self.mails.record(ticket) else { return };
        let outcomes = wanted(record, recipients.into_iter().map(outcome).collect(), asks);
        if !outcomes.is_empty() {
            self.report(now, Settles { ticket, hop: None, kind, outcomes });
        }
    }

    /// Which relaying is to be reported where the next hop offers DSN, and DELIVERBY, or does not.
    //= smtp/BY-004
    //= smtp/BY-005
    pub(super) fn relaying(&self, ticket: Ticket, dsn: bool, deliver_by: bool) -> Relaying {
        let by = self.mails.record(ticket).and_then(|record| record.envelope.mail.by);
        let by = by.is_some_and(|by| by.trace || (by.mode == ByMode::Notify && !deliver_by));
        Relaying { success: !dsn, by }
    }

    /// Reports that a mail went on, to those who are to hear of that.
    pub(super) fn report_relayed(
        &mut self,
        now: Now,
        ticket: Ticket,
        recipients: Vec<u32>,
        relay: &str,
        relaying: Relaying,
    ) {
        let asks = |notify: Notify| (relaying.success && notify.success) || (relaying.by && notify != Notify::NEVER);
        self.report_gone(now, ticket, Kind::Relayed, recipients, relay, asks);
    }

    /// Reports that a mail is late.
    pub(super) fn report_delayed(&mut self, now: Now, ticket: Ticket) {
        let Some(record) = self.mails.record(ticket) else { return };
        let owed =
            record.hops.iter().flat_map(|hop| hop.owed().into_iter().map(|recipient| (recipient, hop.last.clone())));
        let outcome = |(recipient, last): (u32, String)| Outcome {
            recipient,
            status: "4.4.7".into(),
            diagnostic: (!last.is_empty()).then_some(last),
            relay: None,
        };
        let outcomes = wanted(record, owed.map(outcome).collect(), |notify| notify.delay);
        if !outcomes.is_empty() {
            self.report(now, Settles { ticket, hop: None, kind: Kind::Delayed, outcomes });
        }
    }

    /// Begins a report: the header of the original is loaded first.
    pub(super) fn report(&mut self, _now: Now, settles: Settles) {
        let Some(record) = self.mails.record(settles.ticket) else { return };
        let full = is_full(record, &settles);
        let octets = if full { record.octets } else { record.header_octets };
        let octets = usize::try_from(octets).unwrap_or(usize::MAX).min(RETURNED_OCTETS_MAX);
        let body = record.body;
        self.begin_report(&settles);
        let load = self.storekeeper.number();
        self.pending.insert(load, Pending::Report(settles));
        self.out.push_back(Output::LoadBody { load, body, offset: 0, octets });
    }

    /// The original's beginning is loaded: the report is written and accepted as a mail.
    pub(super) fn report_loaded(&mut self, now: Now, settles: Settles, loaded: Result<Bytes, StoreFault>) {
        let returned = match loaded {
            Ok(octets) => octets,
            Err(StoreFault::Full(_) | StoreFault::Failed(_)) => return self.report_again(now, settles),
            // The text is lost; the report goes without it rather than not at all.
            Err(StoreFault::Damaged(_) | StoreFault::NoBody(_)) => Bytes::new(),
        };
        let Some(record) = self.mails.record(settles.ticket).cloned() else { return };
        let to = if for_postmaster(&record, &settles) { self.postmaster() } else { record.envelope.sender.clone() };
        let Some(to) = to else { return };
        let complete = returned.len() as u64 == record.octets && is_full(&record, &settles);
        let outcomes = settles.outcomes.clone();
        let reported = Reported {
            record: &record,
            to: &to,
            kind: settles.kind,
            outcomes: &outcomes,
            unreadable: &[],
            returned: &returned,
            complete,
        };
        let extra = self.settled_with_it(&settles);
        self.accept_report(now, &reported, extra, AnswerTo::Report(settles));
    }

    /// Writes a report and accepts it as a mail.
    pub(super) fn accept_report(&mut self, now: Now, reported: &Reported<'_>, extra: Vec<Write>, answer: AnswerTo) {
        let ticket = self.new_ticket(now.wall);
        let text = report::write(&self.config, ticket, now.wall, reported);
        // RFC 6710 section 4.6: a report has the priority of what it reports on.
        let priority = reported.record.priority;
        let smtputf8 = !reported.to.is_ascii();
        let mt_priority = reported.record.envelope.mail.mt_priority;
        let mail = MailParameters { mt_priority, smtputf8, ..MailParameters::default() };
        let needs = needs(&text, smtputf8);
        let to = Recipient { notify: Some(Notify::NEVER), ..Recipient::plain(reported.to.clone()) };
        let envelope = Envelope { sender: None, mail, recipients: vec![to] };
        let octets = text.len() as u64;
        let header_octets = report::header_octets(&text) as u64;
        self.out.push_back(Output::AppendBody(BodyId(ticket.0), text));
        self.accept(
            now,
            Incoming {
                ticket,
                source: "report".into(),
                origin: None,
                envelope,
                priority,
                octets,
                header_octets,
                message_id: report::message_id(&self.config, ticket),
                mt_priority_fields: Vec::new(),
                needs,
                arrived_by: None,
                extra,
                answer,
            },
        );
    }

    /// The record of the mail as it is once the report is on the disk: stored with it, so that a crash between the two
    /// begins no second report.
    fn settled_with_it(&self, settles: &Settles) -> Vec<Write> {
        let (Some(key), Some(record)) = (&settles.hop, self.mails.record(settles.ticket)) else { return Vec::new() };
        let mut record = record.clone();
        let recipients: Vec<u32> = settles.outcomes.iter().map(|outcome| outcome.recipient).collect();
        record.hops[usize::from(key.hop)].settle(&recipients);
        vec![record.put()]
    }

    /// Something that settles a hop when it is on the disk is under way.
    pub(super) fn begin_report(&mut self, settles: &Settles) {
        self.reports.begin(settles);
        self.mails.pin(settles.ticket);
    }

    /// A report is on the disk (or has nowhere to go): what it reported is settled.
    pub(super) fn settle_reported(&mut self, now: Now, settles: Settles) {
        self.reports.end(&settles);
        if let Some(key) = &settles.hop {
            let recipients: Vec<u32> = settles.outcomes.iter().map(|outcome| outcome.recipient).collect();
            if settles.kind == Kind::Relayed {
                self.relayed_by_mail(now, key, &settles.outcomes);
            }
            self.settle(now, key, &recipients, settles.kind.words());
        }
        self.finish_if_done(now, settles.ticket);
        self.mails.unpin(settles.ticket);
    }

    /// A batch went out as a mail: told, and reported where success is to be reported.
    fn relayed_by_mail(&mut self, now: Now, key: &HopKey, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let relay = outcome.relay.clone().unwrap_or_default();
            self.tell_tried(now, key, outcome.recipient, &relay, "2.0.0", Status::Relayed, "sent as a batch in a mail");
        }
        let recipients = outcomes.iter().map(|outcome| outcome.recipient).collect();
        let knows_by = self.config.batch_extensions(&key.lane).deliver_by;
        let relaying = self.relaying(key.ticket, false, knows_by);
        self.report_relayed(now, key.ticket, recipients, &key.lane, relaying);
    }

    /// A report could not be stored: it is written again in a while.
    pub(super) fn report_again(&mut self, now: Now, settles: Settles) {
        if settles.kind == Kind::Relayed
            && let Some(key) = &settles.hop
        {
            // No report but the mail around a batch: the hop is as it was before.
            self.reports.end(&settles);
            self.retry_later(now, key, "the mail around the batch could not be stored", "4.3.1");
            return self.mails.unpin(settles.ticket);
        }
        self.deletion_delayed(settles.ticket);
        self.reports.again.push_back(settles);
        self.reports.again_at = Some(now.mono + AGAIN_WAIT);
    }

    /// Writes reports that could not be stored before.
    pub(super) fn reports_due(&mut self, now: Now) {
        if self.reports.again_at.is_none_or(|at| at > now.mono) {
            return;
        }
        self.reports.again_at = None;
        for settles in std::mem::take(&mut self.reports.again) {
            let ticket = settles.ticket;
            // `report` counts and pins it anew.
            self.reports.end(&settles);
            self.report(now, settles);
            self.mails.unpin(ticket);
        }
    }

    /// The answer to a load.
    pub(super) fn loaded(&mut self, now: Now, number: Number, loaded: Result<Bytes, StoreFault>) {
        if let Some(Pending::Report(settles)) = self.pending.remove(&number) {
            self.report_loaded(now, settles, loaded);
        }
    }
}

/// Whether a recipient is the site's batch address. What is wrong with a batch is for the postmaster, and not answered.
//= bsmtp/BSMTP-008
//= bsmtp/BSMTP-009
fn is_batch(record: &MailRecord, outcome: &Outcome) -> bool {
    let mut batches = record.hops.iter().filter(|hop| *hop.lane == *BATCH_LANE).flat_map(|hop| &hop.parts);
    batches.any(|part| part.recipients.contains(&outcome.recipient))
}

fn for_postmaster(record: &MailRecord, settles: &Settles) -> bool {
    settles.outcomes.iter().any(|outcome| is_batch(record, outcome))
}

/// Whether a report returns the whole of the mail.
fn is_full(record: &MailRecord, settles: &Settles) -> bool {
    let full = record.envelope.mail.ret == Some(Ret::Full) || for_postmaster(record, settles);
    full && settles.kind != Kind::Delayed
}

/// The outcomes that are to be reported: those the sender wants to hear of (none for a null sender), and failures of
/// batches.
fn wanted(record: &MailRecord, outcomes: Vec<Outcome>, asks: impl Fn(Notify) -> bool) -> Vec<Outcome> {
    let notify = |outcome: &Outcome| {
        if is_batch(record, outcome) {
            return Notify { failure: true, ..Notify::NEVER };
        }
        if record.envelope.sender.is_none() {
            return Notify::NEVER;
        }
        let recipient = record.envelope.recipients.get(outcome.recipient as usize);
        recipient.map_or(Notify::NEVER, |recipient| recipient.notify.unwrap_or(Notify::ABSENT))
    };
    outcomes.into_iter().filter(|outcome| asks(notify(outcome))).collect()
}

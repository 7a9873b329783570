//! Hops at work: a lane's best hop begins whenever there is a place, and what became of it is noted.

use skywave_protocols::message::mail::ByMode;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::{Duration, Now};
use skywave_transports::io::{Space, Write};

use super::mta::Duty;
use super::reporting::Relaying;
use super::seam::{HandOver, HandOverOutcome, Number, Piece, SmtpReply};
use super::steps::Saved;
use super::{Node, Output, Pending};
use crate::node::accept::{path, standing_entry};
use crate::node::config::LocalConfig;
use crate::node::seam::ConnectionClass;
use crate::queue::agenda::{Due, Entry};
use crate::queue::record::{HopKey, HopState, MailRecord, Ticket};
use crate::report::{Kind, Outcome};
use crate::store::Batch;
use crate::telemetry::{Event, Status};

/// After how many finished mails old history is looked for.
const PRUNE_EVERY_MAILS: u64 = 64;

const fn duty(key: &HopKey) -> Duty {
    (key.ticket, key.hop)
}

impl Node {
    /// Puts a hop into its lane's window, or begins it if it has a place since its birth.
    pub(super) fn enter_lane(&mut self, now: Now, ticket: Ticket, hop: usize) {
        let Some(record) = self.mails.record(ticket) else { return };
        let (key, state) = (record.hop_key(hop), record.hops[hop].state);
        let waits = state != HopState::Done && !record.held && record.hops[hop].not_before.is_none();
        if !waits || self.lanes.knows(&key) {
            return;
        }
        self.mails.pin(ticket);
        if state == HopState::Open && self.mta.born(&key) {
            self.lanes.begin(key.clone());
            self.begin_hand_over(now, &key);
            return;
        }
        if self.stopping {
            self.unmark(&key);
        }
        if let Some(out) = self.lanes.insert(key) {
            self.mta.was_marked_here(duty(&out));
            self.mails.unpin(out.ticket);
        }
    }

    /// Begins whatever can begin in every lane.
    pub(super) fn work(&mut self, now: Now) {
        let lanes: Vec<_> = self.lanes.at_work().cloned().collect();
        for lane in lanes {
            while let Some(key) = self.lanes.first(&lane).cloned() {
                let begun = if self.mta.is_door(&lane) {
                    self.open_door(now, &key)
                } else if let Some(begun) = self.start_batch(now, &key) {
                    begun
                } else {
                    self.start_unit(now, &key)
                };
                if !begun {
                    break;
                }
            }
            self.mark_ahead(&lane);
            if let Some(query) = self.lanes.refill(&lane) {
                let number = self.fetch(query);
                self.pending.insert(number, Pending::Refill(lane));
            }
        }
    }

    /// Takes a place at the door for a hop whose mark, that its hand-over is open, is on the disk.
    fn open_door(&mut self, now: Now, key: &HopKey) -> bool {
        if self.storekeeper.is_failing() || self.stopping {
            return false;
        }
        let Some(record) = self.mails.record(key.ticket) else {
            self.leave_lane(key);
            return true;
        };
        let marked = record.hops[usize::from(key.hop)].state == HopState::Open;
        if !marked || self.mta.is_marking(duty(key)) || !self.mta.open(key, record.octets) {
            return false;
        }
        // Of an earlier run: its dialogue may have begun before the crash.
        let older = self.started_ticket.is_some_and(|first| key.ticket < first);
        if older && !self.mta.was_marked_here(duty(key)) {
            let message_id = record.message_id.clone();
            self.tell(Event::PossibleDuplicate { ticket: key.ticket.to_string(), message_id });
        }
        self.lanes.start(key);
        self.begin_hand_over(now, key);
        true
    }

    /// Marks the first of those that wait at a door, before their turn comes: one write for many.
    fn mark_ahead(&mut self, lane: &str) {
        if self.storekeeper.is_failing() || self.stopping {
            return;
        }
        let marked = |key: &HopKey| {
            let record = self.mails.record(key.ticket);
            record.is_none_or(|record| record.hops[usize::from(key.hop)].state == HopState::Open)
        };
        let Some(first) = self.lanes.first(lane) else { return };
        let Some(count) = self.mta.marks_wanted(lane, marked(first)) else { return };
        let keys: Vec<HopKey> =
            self.lanes.waiting_first(lane).take(count).filter(|key| !marked(key)).cloned().collect();
        let (mut writes, mut urgent) = (Vec::with_capacity(keys.len()), false);
        for key in &keys {
            let Some(record) = self.mails.record_mut(key.ticket) else { continue };
            record.hops[usize::from(key.hop)].state = HopState::Open;
            writes.push(record.put());
            urgent |= record.precedence() >= Precedence::Flash;
            self.mails.writing(key.ticket);
            self.mta.marking(duty(key), self.started_ticket.is_some_and(|first| key.ticket < first));
        }
        if !writes.is_empty() {
            self.save(Batch { writes, urgent, ..Batch::default() }, Saved::Marked(keys));
        }
    }

    /// Marks are on the disk.
    pub(super) fn marked(&mut self, keys: &[HopKey]) {
        for key in keys {
            self.mta.marked(duty(key));
            self.mails.written(key.ticket);
        }
    }

    /// Marks could not be stored: these hops wait without.
    pub(super) fn marks_failed(&mut self, keys: &[HopKey]) {
        for key in keys {
            let hop = self.mails.record_mut(key.ticket).and_then(|record| record.hops.get_mut(usize::from(key.hop)));
            if self.mta.marked(duty(key))
                && let Some(hop) = hop.filter(|hop| hop.state == HopState::Open && hop.lane == key.lane)
            {
                hop.state = HopState::Waiting;
            }
            self.mta.was_marked_here(duty(key));
            self.mails.written(key.ticket);
        }
    }

    /// Hands a mail over; its place is taken and its mark is on the disk.
    pub(super) fn begin_hand_over(&mut self, now: Now, key: &HopKey) {
        let Some(record) = self.mails.record(key.ticket) else { return };
        let Some(local) = self.config.local.iter().find(|local| local.name == key.lane) else { return };
        let mut hand_over = hand_over(&self.config.mail.hostname, local, record, usize::from(key.hop));
        record.shorten_by(&mut hand_over.envelope, now.wall);
        let recipients = record.hops[usize::from(key.hop)].owed();
        let number = self.storekeeper.number();
        self.pending.insert(number, Pending::HandOver { key: key.clone(), recipients, converted: None });
        self.out.push_back(Output::HandOver(number, Box::new(hand_over)));
    }

    /// A hand-over ended.
    pub(super) fn handed_over(&mut self, now: Now, number: Number, outcome: HandOverOutcome) {
        let Some(Pending::HandOver { key, recipients, converted }) = self.pending.remove(&number) else { return };
        if let Some(body) = converted {
            self.out.push_back(Output::AbandonBody(body));
        }
        // Its precedence may have changed meanwhile.
        let Some(key) = self.fresh_key(&key) else { return };
        if let HandOverOutcome::Lacks(lacks) = outcome {
            return self.convert(key, recipients, lacks, converted.is_some());
        }
        let Some(octets) = self.mails.record(key.ticket).map(|record| record.octets) else { return };
        self.mta.unreserve(&key, octets);
        match outcome {
            HandOverOutcome::Replies { server, dsn, deliver_by, replies } => {
                let relaying = self.relaying(key.ticket, dsn, deliver_by);
                self.replies(now, &key, &recipients, &server, relaying, &replies);
            }
            HandOverOutcome::Broken { why, in_doubt } => {
                let doubt = if in_doubt { "; it may have been taken" } else { "" };
                self.retry_later(now, &key, &format!("{why}{doubt}"), "4.4.2");
            }
            HandOverOutcome::LacksDeliverBy => {
                self.give_up(now, &key, "5.3.3", "to be returned if late, and the next server has no DELIVERBY");
            }
            HandOverOutcome::Lacks(_) => {}
        }
    }

    fn replies(&mut self, now: Now, key: &HopKey, to: &[u32], server: &str, relaying: Relaying, replies: &[SmtpReply]) {
        let relay = format!("{} {server}", key.lane);
        let (mut taken, mut refused, mut again) = (Vec::new(), Vec::new(), None);
        for (&recipient, reply) in to.iter().zip(replies) {
            let words = format!("{} {}", reply.code, reply.text);
            let status = reply.enhanced.clone().unwrap_or_else(|| format!("{}.0.0", reply.code / 100));
            match reply.code {
                200..=299 => {
                    self.tell_tried(now, key, recipient, &relay, &status, Status::Sent, &words);
                    taken.push(recipient);
                }
                500..=599 => {
                    self.tell_tried(now, key, recipient, &relay, &status, Status::Bounced, &words);
                    refused.push(Outcome {
                        recipient,
                        status,
                        diagnostic: Some(words),
                        relay: Some(server.to_owned()),
                    });
                }
                _ => again = Some((words, status)),
            }
        }
        if replies.len() < to.len() {
            again = Some((format!("{} replies for {} recipients", replies.len(), to.len()), "4.5.0".to_owned()));
        }
        let relayed = taken.clone();
        self.settle(now, key, &taken, &format!("handed over to {relay}"));
        let is_final = self.config.local.iter().any(|local| local.name == key.lane && local.final_delivery);
        if is_final {
            self.report_success(now, key.ticket, Kind::Delivered, relayed, server);
        } else {
            self.report_relayed(now, key.ticket, relayed, server, relaying);
        }
        if let Some((words, status)) = again {
            // Those refused are owed a report until it is stored, but no other try.
            let refused: Vec<u32> = refused.iter().map(|outcome| outcome.recipient).collect();
            self.retry_others_later(now, key, &words, &status, &refused);
        }
        self.report_failed(now, key, refused);
        self.finish_if_done(now, key.ticket);
    }

    /// Takes recipients off what a hop owes and notes it on disk.
    pub(super) fn settle(&mut self, now: Now, key: &HopKey, recipients: &[u32], what: &str) {
        if recipients.is_empty() {
            return;
        }
        let Some(record) = self.mails.record_mut(key.ticket) else { return };
        let hop = &mut record.hops[usize::from(key.hop)];
        hop.settle(recipients);
        let done = hop.state == HopState::Done;
        record.note(now.wall, format!("{what} ({} recipients)", recipients.len()));
        if record.is_done() {
            return; // `finish_if_done` takes everything away at once.
        }
        let mut writes = vec![record.put()];
        if done {
            writes.push(key.write(false));
        }
        self.save_notes(key.ticket, Batch { writes, ..Batch::default() });
        if done {
            self.leave_lane(key);
        }
    }

    /// The hop waits for a time, by the back-off of the configuration.
    pub(super) fn retry_later(&mut self, now: Now, key: &HopKey, words: &str, status: &str) {
        self.retry_others_later(now, key, words, status, &[]);
    }

    fn retry_others_later(&mut self, now: Now, key: &HopKey, words: &str, status: &str, refused: &[u32]) {
        let relay = key.lane.to_string();
        let (first, longest) = (self.config.queue.retry_first, self.config.queue.retry_longest);
        let Some(record) = self.mails.record_mut(key.ticket) else { return };
        let mut owed = record.hops[usize::from(key.hop)].owed();
        owed.retain(|recipient| !refused.contains(recipient));
        let hop = &mut record.hops[usize::from(key.hop)];
        let wait = first.saturating_mul(1 << hop.attempts.min(16)).min(longest);
        let at = (now.wall + wait).unix_micros();
        hop.state = HopState::Waiting;
        hop.attempts += 1;
        hop.not_before = Some(at);
        hop.heard(words);
        record.note(now.wall, format!("deferred: {words}"));
        let entry = Entry { at, ticket: key.ticket, due: Due::Retry(key.hop) };
        let writes = vec![record.put(), key.write(false), entry.write(true)];
        self.agenda.added(at);
        for recipient in owed {
            self.tell_tried(now, key, recipient, &relay, status, Status::Deferred, words);
        }
        self.save_notes(key.ticket, Batch { writes, ..Batch::default() });
        self.leave_lane(key);
    }

    /// A hop's time has come again.
    pub(super) fn retry_due(&mut self, now: Now, entry: Entry, hop: u16) {
        let Some(record) = self.mails.record_mut(entry.ticket) else { return };
        let Some(state) = record.hops.get_mut(usize::from(hop)) else { return };
        let mut writes = vec![entry.write(false)];
        if state.not_before == Some(entry.at) {
            state.not_before = None;
            writes.push(record.put());
            writes.push(record.hop_key(usize::from(hop)).write(true));
            self.save_notes(entry.ticket, Batch { writes, ..Batch::default() });
            self.enter_lane(now, entry.ticket, usize::from(hop));
        } else {
            self.save_notes(entry.ticket, Batch { writes, ..Batch::default() });
        }
    }

    /// Ends a mail that owes nothing any more: its records go, its history stays for a while.
    pub(super) fn finish_if_done(&mut self, now: Now, ticket: Ticket) {
        if !self.mails.record(ticket).is_some_and(MailRecord::is_done) || self.reports.is_reporting(ticket) {
            return;
        }
        self.mails.writing(ticket);
        let Some(mut record) = self.mails.finish(ticket) else { return };
        for hop in 0..record.hops.len() {
            self.leave_lane(&record.hop_key(hop));
        }
        record.note(now.wall, "finished");
        let mut writes = vec![Write { space: Space::Mail, key: ticket.key(), value: None }];
        writes.extend((0..record.hops.len()).map(|hop| record.hop_key(hop).write(false)));
        writes.push(standing_entry(&record).write(false));
        let retries = record.hops.iter().zip(0..).filter_map(|(hop, index)| {
            hop.not_before.map(|at| Entry { at, ticket, due: Due::Retry(index) }.write(false))
        });
        writes.extend(retries);
        writes.push(Write { space: Space::History, ..record.put() });
        let batch = Batch { drop: vec![record.body], writes, patient: true, ..Batch::default() };
        let number = self.save(batch, Saved::Notes(vec![ticket]));
        self.finish_saved(ticket, number);
        self.counters.mails -= 1;
        self.counters.finished += 1;
        if self.counters.finished.is_multiple_of(PRUNE_EVERY_MAILS) {
            self.prune_history();
        }
        self.tell(Event::MailFinished { ticket: ticket.to_string() });
    }

    /// A hop leaves its lane's window.
    pub(super) fn leave_lane(&mut self, key: &HopKey) {
        self.mta.was_marked_here(duty(key));
        if self.lanes.remove(key) {
            self.mails.unpin(key.ticket);
        }
    }

    /// Stores notes about one mail.
    pub(super) fn save_notes(&mut self, ticket: Ticket, batch: Batch) {
        self.mails.writing(ticket);
        self.save(batch, Saved::Notes(vec![ticket]));
    }

    #[expect(clippy::too_many_arguments, reason = "one log line has that many fields")]
    pub(super) fn tell_tried(
        &mut self,
        now: Now,
        key: &HopKey,
        recipient: u32,
        relay: &str,
        dsn: &str,
        status: Status,
        text: &str,
    ) {
        let Some(record) = self.mails.record(key.ticket) else { return };
        let Some(to) = record.envelope.recipients.get(recipient as usize) else { return };
        let delay = Duration::from_micros(now.wall.unix_micros().saturating_sub(record.accepted_at));
        let event = Event::MailTried {
            ticket: key.ticket.to_string(),
            from: path(record.envelope.sender.as_ref()),
            to: to.to.to_string(),
            relay: relay.to_owned(),
            delay_seconds: delay.as_secs_f64(),
            precedence: record.precedence(),
            dsn: dsn.to_owned(),
            status,
            text: text.to_owned(),
            bytes_on_link: record.hops[usize::from(key.hop)].octets_sent,
        };
        self.tell(event);
    }
}

/// What the shell is asked for.
pub fn hand_over(hello: &str, local: &LocalConfig, record: &MailRecord, hop: usize) -> HandOver {
    let urgent = local.connections_urgent > 0 && record.precedence() >= Precedence::Flash;
    let mut envelope = record.hop_envelope(hop);
    if local.final_delivery {
        let notifies = envelope.recipients.iter_mut().filter_map(|recipient| recipient.notify.as_mut());
        notifies.for_each(|notify| notify.success = false); // We report it; two reports would be one too many.
    }
    HandOver {
        target: local.target.clone(),
        class: if urgent { ConnectionClass::Urgent } else { ConnectionClass::Normal },
        keep_open_seconds: local.keep_open.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX)),
        hello: hello.to_owned(),
        envelope,
        content: vec![whole(record)],
        content_without_mt_priority: without_mt_priority(record),
        needs: record.needs,
        needs_deliver_by: !local.final_delivery && is_to_be_returned(record),
    }
}

/// Whether a mail must not go to a server that would not return it in time. Where mailboxes are right behind the server
/// its 250 is the delivery, and that is in time.
//= smtp/BY-003
fn is_to_be_returned(record: &MailRecord) -> bool {
    record.envelope.mail.by.is_some_and(|by| by.mode == ByMode::Return)
}

/// The header field that stands in for MT-PRIORITY (RFC 6758).
pub fn mt_priority_field(record: &MailRecord) -> Option<Piece> {
    let value = record.envelope.mail.mt_priority?;
    Some(Piece::Octets(format!("MT-Priority: {value}\r\n").into_bytes().into()))
}

/// The text of a mail as it is stored.
pub fn whole(record: &MailRecord) -> Piece {
    Piece::Body { body: record.body, from: 0, to: record.octets }
}

/// The text for a server without MT-PRIORITY: other MT-Priority fields go, ours comes first.
//= smtp/MTP-010
fn without_mt_priority(record: &MailRecord) -> Option<Vec<Piece>> {
    let mut pieces = vec![mt_priority_field(record)?];
    let mut from = 0;
    for &(start, end) in &record.mt_priority_fields {
        pieces.push(Piece::Body { body: record.body, from, to: start });
        from = end;
    }
    pieces.push(Piece::Body { body: record.body, from, to: record.octets });
    Some(pieces)
}

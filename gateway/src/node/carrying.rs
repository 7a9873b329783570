//! Hops over links: a mail becomes a unit, the unit goes to the transport, and what becomes of it is noted.

use skywave_protocols::message::mail::Envelope;
use skywave_protocols::time::{Now, WallTime};
use skywave_transports::io::{Space, Write};
use skywave_transports::transport::{
    Delivery, SiteName, TransportEvent, TransportFault, TransportInput, Unit, UnitTicket,
};

use super::config::Carriage;
use super::delivery::whole;
use super::links::{Change, LinkOutput};
use super::marks::silence_mark;
use super::seam::{Answer, Job};
use super::steps::{Saved, Then, UnitNews};
use super::{Node, Output, Pending};
use crate::queue::limits::URGENT_HOPS_MAX;
use crate::queue::record::{HopKey, MailRecord, Ticket};
use crate::report::{Kind, Outcome};
use crate::store::{Batch, StoreFault};
use crate::telemetry::{Event, Status};

/// P_MUL priorities up to this one (Flash and Override) go to a link that has no room for others.
const URGENT_P_MUL: u8 = 2;

impl Node {
    /// Begins to make a unit of the hop, if its link can take one. False: the lane has to wait.
    pub(super) fn start_unit(&mut self, now: Now, key: &HopKey) -> bool {
        let Some(index) = self.links.index(&key.lane) else { return self.lane_is_gone(now, key) };
        if !self.link_takes(index, key) {
            return false;
        }
        let Some(record) = self.mails.record(key.ticket) else {
            self.leave_lane(key);
            return true;
        };
        let envelope = outgoing(record, usize::from(key.hop), now.wall);
        let content = vec![whole(record)];
        let Some(link) = self.links.link_mut(index) else { return false };
        let job = match link.carriage {
            // It carried mail by an earlier configuration.
            Carriage::Xmpp => return self.lane_is_gone(now, key),
            Carriage::Mule => Job::WrapMule { envelope, content },
            Carriage::Batch => {
                let extensions = self.config.batch_extensions(&key.lane);
                Job::WrapBatch { hello: self.config.mail.hostname.clone(), extensions, envelope, content }
            }
        };
        link.wrapping += 1;
        self.lanes.start(key);
        let number = self.storekeeper.number();
        self.pending.insert(number, Pending::Wrap { key: key.clone(), link: index });
        self.out.push_back(Output::Compute(number, Box::new(job)));
        true
    }

    fn link_takes(&self, index: usize, key: &HopKey) -> bool {
        let (Some(link), Some(transport)) = (self.links.link(index), self.links.transport(index)) else { return false };
        if self.links.down.contains(&link.name) || !link.restored || self.stopping {
            return false;
        }
        let room = transport.room();
        let urgent = key.p_mul <= URGENT_P_MUL && self.lanes.under_way(&key.lane) < URGENT_HOPS_MAX;
        // Units being made have no room reserved in the transport yet.
        urgent || (room.units > link.wrapping && room.octets > 0)
    }

    /// The configuration no longer has the lane: the mail is routed anew.
    fn lane_is_gone(&mut self, now: Now, key: &HopKey) -> bool {
        self.mails.pin(key.ticket);
        self.leave_lane(key);
        self.reroute(now, key, None);
        self.mails.unpin(key.ticket);
        true
    }

    /// A unit is made, or cannot be.
    pub(super) fn wrapped(&mut self, now: Now, key: &HopKey, index: usize, answer: Answer) {
        if let Some(link) = self.links.link_mut(index) {
            link.wrapping = link.wrapping.saturating_sub(1);
        }
        // The operator may have changed its precedence, or taken it back, meanwhile.
        let Some(fresh) = self.fresh_key(key) else { return };
        let key = &fresh;
        if !self.is_this_one(key) {
            return;
        }
        match answer {
            Answer::Unit(content) => self.submit(now, key, index, content),
            Answer::Impossible { status, why } => self.give_up(now, key, &status, &why),
            Answer::Failed(StoreFault::Damaged(why)) => {
                self.give_up(now, key, "5.3.0", &format!("the stored text is damaged: {why}"));
            }
            Answer::Failed(StoreFault::NoBody(_)) => self.give_up(now, key, "5.3.0", "the stored text is missing"),
            Answer::Failed(fault @ (StoreFault::Full(_) | StoreFault::Failed(_))) => {
                self.retry_later(now, key, &fault.to_string(), "4.3.0");
            }
            Answer::Mails(_) | Answer::Converted { .. } | Answer::Authenticated(_) => {}
        }
    }

    /// Whether what was made of a hop is still wanted: it may be held, or held and released, and is made again then.
    pub(super) fn is_this_one(&self, key: &HopKey) -> bool {
        let again = |other: &Pending| match other {
            Pending::Wrap { key: later, .. } | Pending::WrapMail { key: later, .. } | Pending::UnwrapMail(later) => {
                (later.ticket, later.hop) == (key.ticket, key.hop)
            }
            _other => false,
        };
        self.lanes.is_under_way(key) && !self.pending.values().any(again)
    }

    /// The key a hop has now, if it is still in the same lane.
    pub(super) fn fresh_key(&self, key: &HopKey) -> Option<HopKey> {
        let fresh = self.mails.record(key.ticket)?.hop_key(usize::from(key.hop));
        (fresh.lane == key.lane).then_some(fresh)
    }

    fn submit(&mut self, now: Now, key: &HopKey, index: usize, content: skywave_protocols::bytes::Bytes) {
        let Some(record) = self.mails.record_mut(key.ticket) else { return };
        let hop = &mut record.hops[usize::from(key.hop)];
        let to: Vec<SiteName> = hop.parts.iter().filter_map(|part| part.site.clone()).collect();
        hop.heard("handed to the link");
        let unit_bytes = content.len();
        let (priority, expires_at, precedence) = (record.priority, record.expires_at, record.precedence());
        record.note(now.wall, format!("handed to {} as {unit_bytes} octets", key.lane));
        let sites = to.iter().map(ToString::to_string).collect();
        self.tell(Event::HopStarted {
            ticket: key.ticket.to_string(),
            link: key.lane.to_string(),
            sites,
            unit_bytes,
            precedence,
        });
        let carriage = self.links.link(index).map(|link| link.carriage);
        let delivery = if carriage == Some(Carriage::Batch) { Delivery::Unconfirmed } else { Delivery::Committed };
        let unit = Unit {
            ticket: key.ticket.unit(usize::from(key.hop)),
            to,
            priority,
            expiry: WallTime::from_unix_micros(expires_at),
            delivery,
            context: 0,
            content,
        };
        if let Some(link) = self.links.link_mut(index) {
            link.units_sent += 1;
        }
        self.links.with(now, index, |transport| transport.submit(now, unit));
    }

    /// Gives all recipients of a hop up.
    pub(super) fn give_up(&mut self, now: Now, key: &HopKey, status: &str, why: &str) {
        let Some(record) = self.mails.record(key.ticket) else { return };
        let owed = self.reports.unreported(key.ticket, record.hops[usize::from(key.hop)].owed());
        for &recipient in &owed {
            self.tell_tried(now, key, recipient, &key.lane, status, Status::Bounced, why);
        }
        let outcome =
            |recipient| Outcome { recipient, status: status.to_owned(), diagnostic: Some(why.to_owned()), relay: None };
        let outcomes = owed.into_iter().map(outcome).collect();
        self.report_failed(now, key, outcomes);
    }

    /// Takes everything the links have to say.
    pub(super) fn drain_links(&mut self, now: Now) {
        while let Some(output) = self.links.poll() {
            match output {
                LinkOutput::Event(index, event) => self.link_event(now, index, event),
                LinkOutput::Pipe(pipe, output) => self.out.push_back(Output::Pipe(pipe, output)),
                LinkOutput::Socket(socket, output) => self.out.push_back(Output::Socket(socket, output)),
                LinkOutput::Store(index, number, changes) => self.transport_store(index, number, changes),
                LinkOutput::Capture(capture) => self.out.push_back(Output::Capture(capture)),
            }
        }
    }

    fn link_event(&mut self, now: Now, index: usize, event: TransportEvent) {
        let Some(link) = self.links.link(index) else { return };
        let name = link.name.to_string();
        if link.carriage == Carriage::Xmpp {
            return self.chat_link_event(now, index, event);
        }
        match event {
            TransportEvent::Up => self.link_state(index, None),
            TransportEvent::Down(why) => self.link_state(index, Some(why)),
            TransportEvent::Profile(_) | TransportEvent::RoomChanged => {}
            TransportEvent::Progress(progress) => self.unit_progress(&name, progress),
            TransportEvent::Delivered { ticket, by } => self.unit(now, ticket, UnitNews::Delivered(by)),
            TransportEvent::Failed { ticket, to, fault } => self.unit(now, ticket, UnitNews::Failed(to, fault)),
            TransportEvent::Arrived { arrival, from, source, priority, confirmed: _, key: _, content } => {
                self.arrived(index, arrival, from, source, priority, content);
            }
            TransportEvent::SilenceEnded(site) => self.write_marks([(silence_mark(&name, &site), None)]),
            TransportEvent::Notice(notice) => self.tell(Event::Notice {
                part: name,
                alarm: notice.alarm,
                name: notice.name.to_owned(),
                detail: notice.detail,
            }),
        }
    }

    pub(super) fn link_state(&mut self, index: usize, down: Option<String>) {
        let Some(link) = self.links.link_mut(index) else { return };
        let name = link.name.to_string();
        link.up = down.is_none();
        link.why = down.clone().unwrap_or_default();
        self.tell(match down {
            Some(why) => Event::LinkDown { link: name, why },
            None => Event::LinkUp { link: name },
        });
    }

    fn unit_progress(&mut self, link: &str, progress: skywave_transports::transport::Progress) {
        let (ticket, hop) = Ticket::of_unit(progress.ticket);
        let Some(hop) = self.mails.record_mut(ticket).and_then(|record| record.hops.get_mut(hop)) else { return };
        hop.octets_sent = progress.octets_sent;
        let why = match progress.pdus_waiting {
            0 => progress.why,
            left => format!("{}, {left} PDUs left in this round", progress.why),
        };
        hop.heard(&why);
        self.tell(Event::HopProgress {
            ticket: ticket.to_string(),
            link: link.to_owned(),
            bytes_on_link: progress.octets_sent,
            why,
        });
    }

    /// News of a unit; the mail's record is fetched if it is not in memory.
    fn unit(&mut self, now: Now, unit: UnitTicket, news: UnitNews) {
        let (ticket, hop) = Ticket::of_unit(unit);
        if !self.ping_news(now, unit, &news) {
            self.with_mail(now, ticket, Then::Unit(hop, news));
        }
    }

    /// News of a unit whose mail is in memory.
    pub(super) fn unit_news(&mut self, now: Now, ticket: Ticket, hop: usize, news: UnitNews) {
        let Some(record) = self.mails.record(ticket) else { return };
        let Some(owed) = record.hops.get(hop) else { return };
        let site = match &news {
            UnitNews::Delivered(site) | UnitNews::Failed(site, _) => site,
        };
        let part = owed.parts.iter().find(|part| part.site.as_ref() == Some(site));
        let Some(recipients) = part.map(|part| part.recipients.clone()) else { return };
        let key = record.hop_key(hop);
        let relay = format!("{} {site}", key.lane);
        match news {
            UnitNews::Delivered(_) => self.part_delivered(now, &key, &relay, recipients),
            UnitNews::Failed(_, fault) => self.part_failed(now, &key, &relay, recipients, &fault),
        }
    }

    fn part_delivered(&mut self, now: Now, key: &HopKey, relay: &str, recipients: Vec<u32>) {
        let carriage = self.links.index(&key.lane).and_then(|index| self.links.link(index)).map(|link| link.carriage);
        let recipients = self.reports.unreported(key.ticket, recipients);
        // A batch is repeated by plan and confirmed by nobody: relayed is all that can be said.
        let (status, words) = match carriage {
            Some(Carriage::Batch) => (Status::Relayed, "sent by plan, nobody confirms"),
            Some(Carriage::Mule | Carriage::Xmpp) | None => (Status::Sent, "on the disk of the next site"),
        };
        for &recipient in &recipients {
            self.tell_tried(now, key, recipient, relay, "2.0.0", status, words);
        }
        self.settle(now, key, &recipients, &format!("delivered to {relay}"));
        let batch = status == Status::Relayed;
        let knows_by = !batch || self.config.batch_extensions(&key.lane).deliver_by;
        let relaying = self.relaying(key.ticket, !batch, knows_by);
        self.report_relayed(now, key.ticket, recipients, relay, relaying);
        self.finish_if_done(now, key.ticket);
    }

    fn part_failed(&mut self, now: Now, key: &HopKey, relay: &str, recipients: Vec<u32>, fault: &TransportFault) {
        let (status, kind) = match fault {
            TransportFault::Cancelled => return,
            TransportFault::Expired => ("5.4.7", Kind::Expired),
            TransportFault::Refused(_) | TransportFault::Lost(_) => ("5.3.0", Kind::Failed),
            TransportFault::TooLarge { .. } => ("5.3.4", Kind::Failed),
            TransportFault::UnknownSite(_) => ("5.4.4", Kind::Failed),
        };
        // What the agenda has seen first is reported already: exactly one report.
        let recipients = self.reports.unreported(key.ticket, recipients);
        let told = if kind == Kind::Expired { Status::Expired } else { Status::Bounced };
        let words = fault.to_string();
        for &recipient in &recipients {
            self.tell_tried(now, key, recipient, relay, status, told, &words);
        }
        let outcome =
            |recipient| Outcome { recipient, status: status.to_owned(), diagnostic: Some(words.clone()), relay: None };
        let outcomes = recipients.into_iter().map(outcome).collect();
        self.report_given_up(now, key, kind, outcomes);
    }

    fn transport_store(&mut self, index: usize, number: u64, changes: Vec<Change>) {
        let Some(prefix) = self.links.link(index).map(|link| transport_prefix(&link.name)) else { return };
        let write =
            |(key, value): Change| Write { space: Space::Transport, key: [prefix.as_slice(), &key].concat(), value };
        let batch = Batch { writes: changes.into_iter().map(write).collect(), ..Batch::default() };
        self.save(batch, Saved::Transport(index, number));
    }

    pub(super) fn transport_stored(&mut self, now: Now, index: usize, number: u64) {
        self.links.handle_link(now, index, TransportInput::Stored(number));
    }

    pub(super) fn transport_store_failed(&mut self, now: Now, index: usize, number: u64, why: String) {
        self.links.handle_link(now, index, TransportInput::StoreFailed(number, why));
    }
}

/// First octets of the keys of a link's records.
pub fn transport_prefix(link: &str) -> Vec<u8> {
    crate::queue::record::lane_start(link)
}

/// The envelope as it leaves: only what the next site needs to know.
fn outgoing(record: &MailRecord, hop: usize, wall: WallTime) -> Envelope {
    let mut envelope = record.hop_envelope(hop);
    // The unit says its size by itself.
    envelope.mail.size = None;
    record.shorten_by(&mut envelope, wall);
    envelope
}

//! Units that arrive by a link: opened, freed of repeats, accepted like any other mail. The final acknowledgement goes
//! out only when everything in the unit is on the disk.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::mail::Envelope;
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::smtp::headers::{Policy, Received};
use skywave_protocols::smtp::limits::LINE_OCTETS_MAX;
use skywave_protocols::smtp::reply::escaped;
use skywave_protocols::time::{Now, WallTime};
use skywave_transports::io::{Row, Space, Write};
use skywave_transports::transport::{ArrivalId, SiteName};

use super::accept::new_record;
use super::config::Carriage;
use super::links::PING_UNIT;
use super::seam::{Answer, Found, Job, Needs, Number, Opened};
use super::steps::{AnswerTo, Incoming, Saved};
use super::{Node, Output, Pending};
use crate::door::intake::{Heading, Intake, heading};
use crate::queue::lanes::BATCH_LANE;
use crate::queue::limits::RETURNED_OCTETS_MAX;
use crate::queue::record::Origin;
use crate::report::{Kind, Reported};
use crate::router::{self, Way, way};
use crate::store::{BodyId, Query};
use crate::telemetry::Event;

/// Rows forgotten at once when the time of dedupe keys has passed; more when more are added.
const FORGET_ROWS_MIN: usize = 64;

/// In place of a link's index: the mails came as a batch inside a mail.
pub const IN_A_MAIL: usize = usize::MAX;

/// A unit being opened or its mails being looked up.
#[derive(Debug)]
pub struct Opening {
    link: usize,
    arrival: ArrivalId,
    from: Option<SiteName>,
    source: String,
    priority: MtPriority,
    unit: Bytes,
}

impl Opening {
    /// Mails that came as a batch inside a mail.
    pub const fn in_a_mail(arrival: ArrivalId, source: String, priority: MtPriority) -> Self {
        Self { link: IN_A_MAIL, arrival, from: None, source, priority, unit: Bytes::new() }
    }
}

/// Arrivals that are not answered yet, and dedupe keys of mails on their way to the disk.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Mails of an arrival that are not on the disk yet.
    open: BTreeMap<(usize, ArrivalId), usize>,
    /// Arrivals of which a mail could not be stored.
    failed: BTreeSet<(usize, ArrivalId)>,
    /// Dedupe keys of mails that are not on the disk yet, and with which arrival they came.
    seeing: BTreeMap<Vec<u8>, (usize, ArrivalId)>,
    /// The last unit found the queue full, which has been told.
    holding_back: bool,
    /// Units that came before the queue of earlier runs was counted; no more than their carriers hold.
    uncounted: Vec<Opening>,
}

impl Node {
    /// A unit arrived: it is opened beside the node.
    pub(super) fn arrived(
        &mut self,
        index: usize,
        arrival: ArrivalId,
        from: Option<SiteName>,
        source: String,
        priority: MtPriority,
        unit: Bytes,
    ) {
        if *unit == *PING_UNIT {
            let now = self.now;
            self.links.with(now, index, |transport| transport.accept(now, arrival));
            return;
        }
        if !self.counters.counted {
            return self.arrivals.uncounted.push(Opening { link: index, arrival, from, source, priority, unit });
        }
        if self.holds_back(index, arrival, &source) {
            return;
        }
        let Some(link) = self.links.link_mut(index) else { return };
        link.units_received += 1;
        let octets_max = link.inflated_octets_max;
        let job = match link.carriage {
            // Told to the chat machine: `Node::chat_link_event`.
            Carriage::Xmpp => return,
            Carriage::Mule => Job::UnwrapMule { unit: unit.clone(), octets_max },
            Carriage::Batch => Job::UnwrapBatch { unit: unit.clone(), octets_max },
        };
        let number = self.storekeeper.number();
        let opening = Opening { link: index, arrival, from, source, priority, unit };
        self.pending.insert(number, Pending::Unwrap(Box::new(opening)));
        self.out.push_back(Output::Compute(number, Box::new(job)));
    }

    /// The mails of earlier runs are counted: what came meanwhile is taken now, or held back.
    pub(super) fn queue_counted(&mut self) {
        self.counters.counted = true;
        for Opening { link, arrival, from, source, priority, unit } in std::mem::take(&mut self.arrivals.uncounted) {
            self.arrived(link, arrival, from, source, priority, unit);
        }
    }

    /// A queue that is full takes nothing more: the unit stays where it is, without final acknowledgement, and is offered
    /// again. What mails over SMTP leave free for the urgent is free for all of these, so that two sites that are full
    /// of mail for each other do not wait for each other. A batch is taken: its sender takes it for relayed, and nobody
    /// would send it again.
    fn holds_back(&mut self, index: usize, arrival: ArrivalId, source: &str) -> bool {
        let Some(link) = self.links.link(index).filter(|link| link.carriage == Carriage::Mule) else { return false };
        let (name, queued) = (link.name.to_string(), self.counters.mails_queued());
        let full = queued >= self.config.queue.mails_max;
        if full {
            if !std::mem::replace(&mut self.arrivals.holding_back, true) {
                let detail = format!("{queued} mails are queued; from {source} and others, until there is room");
                self.tell(Event::Notice { part: name, alarm: true, name: "arrivals_held_back".into(), detail });
            }
            let now = self.now;
            self.links.with(now, index, |transport| transport.refuse(now, arrival, true));
        } else {
            self.arrivals.holding_back = false;
        }
        full
    }

    /// A unit is open, or cannot be opened.
    pub(super) fn unwrapped(&mut self, now: Now, opening: Opening, answer: Answer) {
        let (link, arrival) = (opening.link, opening.arrival);
        match answer {
            Answer::Mails(opened) => self.look_up(now, opening, opened),
            Answer::Impossible { status, why } => {
                self.set_aside(&opening, "unit_unreadable", &format!("{status} {why}"));
                // RFC 8494 section 3.3: discarded silently. The carrier did its part and is told so.
                self.links.with(now, link, |transport| transport.accept(now, arrival));
            }
            Answer::Failed(_) => {
                self.links.with(now, link, |transport| transport.refuse(now, arrival, true));
            }
            Answer::Unit(_) | Answer::Converted { .. } | Answer::Authenticated(_) => {}
        }
    }

    /// A unit that cannot be read, or not all of it.
    fn set_aside(&mut self, opening: &Opening, name: &'static str, why: &str) {
        let link = self.links.link(opening.link).map_or_else(String::new, |link| link.name.to_string());
        self.quarantine(link, &opening.source, &opening.unit, name, why);
    }

    /// Something was meant to be mail and cannot be read: told, as nobody else will.
    //= bsmtp/BSMTP-008
    fn tell_faults(&mut self, opening: &Opening, faults: &[String]) {
        if faults.is_empty() {
            return;
        }
        let words = in_short(faults);
        if opening.link == IN_A_MAIL {
            let detail = format!("{}: {words}; the postmaster has it", opening.source);
            return self.tell(Event::Notice {
                part: BATCH_LANE.to_owned(),
                alarm: true,
                name: "unit_read_in_part".into(),
                detail,
            });
        }
        self.set_aside(opening, "unit_read_in_part", &words);
    }

    /// Asks the store which recipients of the mails have been seen before.
    pub(super) fn look_up(&mut self, now: Now, opening: Opening, opened: Opened) {
        let arrival = (opening.link, opening.arrival);
        self.tell_faults(&opening, &opened.faults);
        self.arrivals.open.insert(arrival, opened.mails.len() + 1);
        for found in opened.mails {
            let mail = self.read_arrival(now, &opening, found);
            let keys: Vec<Vec<u8>> = mail.keys().into_iter().chain(mail.refused_key()).collect();
            if keys.is_empty() {
                self.seen(now, mail, Vec::new());
                continue;
            }
            let number = self.fetch(Query::Keys { space: Space::Seen, keys });
            self.pending.insert(number, Pending::Seen(Box::new(mail)));
        }
        self.arrival_stored(now, arrival.0, arrival.1);
    }

    fn read_arrival(&mut self, now: Now, opening: &Opening, found: Found) -> ArrivedMail {
        let Found { mut envelope, text, refused, notes } = found;
        let ticket = self.new_ticket(now.wall);
        let link = self.links.link(opening.link).map_or_else(String::new, |link| link.name.to_string());
        if !notes.is_empty() {
            let detail = format!("in a mail from {}: {}", opening.source, in_short(&notes));
            let name = "parameters_left_out".into();
            self.tell(Event::Notice { part: link.clone(), alarm: false, name, detail });
        }
        let carriage = self.links.link(opening.link).map_or(Carriage::Batch, |link| link.carriage);
        let mut intake = Intake::default();
        let beginning = intake.take(text.clone()).unwrap_or_else(|| intake.rest());
        let number = ticket.to_string();
        let received = Received {
            client: opening.from.as_deref().unwrap_or("unknown"),
            peer: &link,
            site: &self.config.site,
            protocol: match carriage {
                Carriage::Mule => "MULE",
                Carriage::Batch => "BSMTP",
                Carriage::Xmpp => "XMPP",
            },
            ticket: &number,
            priority: None,
            at: now.wall,
        };
        // The carrier's priority stands in for a parameter that is absent; it is not handed on.
        let default = if envelope.mail.mt_priority.is_some() {
            self.config.mail.precedence_default
        } else {
            opening.priority.precedence()
        };
        let ceiling = self.ceiling(&link, opening.from.as_ref()).precedence();
        let policy = Policy { default, ceiling, mmhs: self.config.mail.mmhs_unknown };
        let heading = heading(&beginning, &envelope.mail, policy, &received);
        envelope.mail.mt_priority = match carriage {
            // In a batch the field of RFC 6758 stands for a parameter that its writer could not use.
            Carriage::Batch => heading.value,
            Carriage::Mule | Carriage::Xmpp => envelope.mail.mt_priority.and(heading.value),
        };
        let origin = heading.origin.clone();
        ArrivedMail {
            link: opening.link,
            arrival: opening.arrival,
            ticket,
            source: opening.source.clone(),
            envelope,
            text,
            heading,
            origin,
            refused,
        }
    }

    /// The highest precedence taken from a site on a link.
    //= smtp/PRIO-008
    fn ceiling(&self, link: &str, from: Option<&SiteName>) -> MtPriority {
        let sites = router::link(&self.config, link).map_or(&[][..], |link| link.transport.sites());
        let of_site = sites.iter().find(|site| Some(&site.site) == from).and_then(|site| site.precedence_ceiling);
        of_site.map_or(self.config.mail.precedence_ceiling, |own| own.min(self.config.mail.precedence_ceiling))
    }

    /// What the store knows of a mail's recipients is here.
    pub(super) fn seen_fetched(
        &mut self,
        now: Now,
        mail: ArrivedMail,
        rows: Result<Vec<Row>, crate::store::StoreFault>,
    ) {
        match rows {
            Ok(rows) => self.seen(now, mail, rows.into_iter().map(|row| row.key).collect()),
            Err(_) => {
                self.arrivals.failed.insert((mail.link, mail.arrival));
                self.arrival_stored(now, mail.link, mail.arrival);
            }
        }
    }

    fn seen(&mut self, now: Now, mut mail: ArrivedMail, seen: Vec<Vec<u8>>) {
        let (link, arrival) = (mail.link, mail.arrival);
        let name = self.links.link(link).map_or_else(String::new, |link| link.name.to_string());
        let repeated = self.drop_repeats(&mut mail, &seen);
        self.report_refused(now, &mail, &seen, &name);
        if repeated > 0 {
            let key =
                mail.origin.as_ref().map_or_else(String::new, |origin| format!("{} {}", origin.site, origin.ticket));
            self.tell(Event::Duplicate { link: name.clone(), key });
        }
        if link != IN_A_MAIL {
            self.drop_strangers(&mut mail, &name); // In a batch they are bounced: nobody else has it.
        }
        if mail.envelope.recipients.is_empty() || mail.heading.received > self.config.mail.hops_max {
            if !mail.envelope.recipients.is_empty() {
                let detail = format!("{} Received fields from {}", mail.heading.received, mail.source);
                self.tell(Event::Notice { part: name, alarm: true, name: "mail_loops".into(), detail });
            }
            return self.arrival_stored(now, link, arrival);
        }
        self.accept_arrived(now, mail, name);
    }

    /// Takes recipients out that this mail has reached here before.
    fn drop_repeats(&mut self, mail: &mut ArrivedMail, seen: &[Vec<u8>]) -> usize {
        let before = mail.envelope.recipients.len();
        let keys = mail.keys();
        if !keys.is_empty() {
            let (arrival, mut in_doubt) = ((mail.link, mail.arrival), false);
            let mut keys = keys.iter();
            let seeing = &self.arrivals.seeing;
            mail.envelope.recipients.retain(|_| {
                keys.next().is_none_or(|key| {
                    let other = seeing.get(key);
                    in_doubt |= other.is_some_and(|&other| other != arrival);
                    !seen.contains(key) && other.is_none()
                })
            });
            if in_doubt {
                // The same mail is on its way to the disk and may not reach it: this one has to come again.
                self.arrivals.failed.insert(arrival);
            }
        }
        before - mail.envelope.recipients.len()
    }

    /// Takes recipients out that are others' business (RFC 8494 section 3 step 3).
    //= mule/RELAY-003
    fn drop_strangers(&mut self, mail: &mut ArrivedMail, link: &str) {
        let (config, down) = (&self.config, &self.links.down);
        mail.envelope.recipients.retain(|recipient| match way(config, down, &recipient.to) {
            Way::Local(_) => true,
            Way::Site(_, lane) => *lane != *link,
            Way::Nowhere => false,
        });
    }

    fn accept_arrived(&mut self, now: Now, mail: ArrivedMail, link: String) {
        self.tell_oddities(&link, &mail.envelope, &mail.heading);
        self.out.push_back(Output::AppendBody(BodyId(mail.ticket.0), mail.heading.octets.clone()));
        let extra = self.remember(now, mail.keys(), (mail.link, mail.arrival));
        self.accept(now, mail.incoming(link, extra));
    }

    /// What notes dedupe keys with the mail that they are of.
    fn remember(&mut self, now: Now, keys: Vec<Vec<u8>>, arrival: (usize, ArrivalId)) -> Vec<Write> {
        self.arrivals.seeing.extend(keys.iter().map(|key| (key.clone(), arrival)));
        self.forget_old(now.wall, 2 * keys.len());
        seen_writes(&keys, (now.wall + self.config.queue.dedupe).unix_micros())
    }

    /// Lines of a unit that were to name a recipient and cannot be read: told, and reported to the sender where nobody
    /// but this site has the unit. The unit is not acknowledged before the report is on the disk.
    //= bsmtp/BSMTP-005
    fn report_refused(&mut self, now: Now, mail: &ArrivedMail, seen: &[Vec<u8>], link: &str) {
        let (arrival, key) = ((mail.link, mail.arrival), mail.refused_key());
        if mail.refused.is_empty() || key.as_ref().is_some_and(|key| seen.contains(key)) {
            return;
        }
        if let Some(&other) = key.as_ref().and_then(|key| self.arrivals.seeing.get(key)) {
            if other != arrival {
                self.arrivals.failed.insert(arrival);
            }
            return;
        }
        let lines: Vec<String> = mail.refused.iter().map(|(line, why)| format!("{line}: {why}")).collect();
        let detail = format!("in a mail from {}: {}", mail.source, in_short(&lines));
        self.tell(Event::Notice { part: link.to_owned(), alarm: true, name: "recipients_refused".into(), detail });
        let shared = router::link(&self.config, link).is_some_and(router::has_group);
        let Some(sender) = mail.envelope.sender.clone().filter(|_| !shared) else { return };
        let incoming = mail.incoming(link.to_owned(), Vec::new());
        let record = new_record(now.wall, &self.config, &incoming, Vec::new());
        let extra = self.remember(now, key.into_iter().collect(), arrival);
        let returned = &mail.heading.octets[..mail.heading.octets.len().min(RETURNED_OCTETS_MAX)];
        let reported = Reported {
            record: &record,
            to: &sender,
            kind: Kind::Failed,
            outcomes: &[],
            unreadable: &mail.refused,
            returned,
            complete: false,
        };
        if let Some(open) = self.arrivals.open.get_mut(&arrival) {
            *open += 1;
        }
        self.accept_report(now, &reported, extra, AnswerTo::Arrival(arrival.0, arrival.1));
    }

    /// One mail of an arrival is on the disk (or needs not be). The last one answers the arrival.
    pub(super) fn arrival_stored(&mut self, now: Now, link: usize, arrival: ArrivalId) {
        let Some(left) = self.arrivals.open.get_mut(&(link, arrival)) else { return };
        *left -= 1;
        if *left > 0 {
            return;
        }
        self.arrivals.open.remove(&(link, arrival));
        let failed = self.arrivals.failed.remove(&(link, arrival));
        // What was seen is on the disk now; what failed may come again.
        self.arrivals.seeing.retain(|_, of| *of != (link, arrival));
        if link == IN_A_MAIL {
            return self.batch_mail_stored(now, arrival, failed);
        }
        self.links.with(now, link, |transport| {
            if failed { transport.refuse(now, arrival, true) } else { transport.accept(now, arrival) }
        });
    }

    /// One mail of an arrival could not be stored: the sender will send it again.
    pub(super) fn arrival_refused(&mut self, now: Now, link: usize, arrival: ArrivalId) {
        self.arrivals.failed.insert((link, arrival));
        self.arrival_stored(now, link, arrival);
    }

    /// Fetches dedupe keys whose time has passed, more of them than are added.
    fn forget_old(&mut self, wall: WallTime, rows: usize) {
        let query = Query::Range {
            space: Space::Seen,
            from: vec![BY_TIME],
            to: [vec![BY_TIME], wall.unix_micros().to_be_bytes().to_vec()].concat(),
            limit: rows.max(FORGET_ROWS_MIN),
            reverse: false,
        };
        let number: Number = self.fetch(query);
        self.pending.insert(number, Pending::Forget);
    }

    pub(super) fn forget(&mut self, rows: Vec<Row>) {
        let delete = |key| Write { space: Space::Seen, key, value: None };
        let writes: Vec<Write> = rows
            .into_iter()
            .flat_map(|row| {
                let key = row.key.get(9..).unwrap_or_default().to_vec();
                [delete(row.key), delete(key)]
            })
            .collect();
        if !writes.is_empty() {
            let batch = crate::store::Batch { writes, ..Default::default() };
            self.save(batch, Saved::Notes(Vec::new()));
        }
    }
}

/// A mail out of a unit.
#[derive(Debug)]
pub struct ArrivedMail {
    link: usize,
    arrival: ArrivalId,
    ticket: crate::queue::record::Ticket,
    source: String,
    envelope: Envelope,
    text: Bytes,
    heading: Heading,
    origin: Option<Origin>,
    /// Lines that name no recipient, and why.
    refused: Vec<(String, String)>,
}

impl ArrivedMail {
    /// The mail as it is accepted.
    fn incoming(&self, link: String, extra: Vec<Write>) -> Incoming {
        let utf8 = self.heading.utf8 || self.envelope.recipients.iter().any(|recipient| !recipient.to.is_ascii());
        let in_a_mail = self.link == IN_A_MAIL;
        Incoming {
            ticket: self.ticket,
            source: if in_a_mail { self.source.clone() } else { format!("radio {link} {}", self.source) },
            origin: self.origin.clone(),
            envelope: self.envelope.clone(),
            priority: self.heading.priority,
            octets: self.heading.octets.len() as u64,
            header_octets: self.heading.header_octets,
            message_id: self.heading.message_id.clone(),
            mt_priority_fields: self.heading.mt_priority_fields.clone(),
            needs: needs(&self.text, utf8),
            arrived_by: (!in_a_mail).then_some(link),
            extra,
            answer: AnswerTo::Arrival(self.link, self.arrival),
        }
    }

    /// The dedupe key of the report on its refused recipients: no address has a NUL.
    fn refused_key(&self) -> Option<Vec<u8>> {
        let origin = self.origin.as_ref().filter(|_| !self.refused.is_empty())?;
        Some([b"k", origin.site.as_bytes(), b"\0", origin.ticket.as_bytes(), b"\0\0refused"].concat())
    }

    /// One dedupe key for each recipient: the same mail may come by two ways with different recipients.
    fn keys(&self) -> Vec<Vec<u8>> {
        let Some(origin) = &self.origin else { return Vec::new() };
        let key =
            |to: &str| [b"k", origin.site.as_bytes(), b"\0", origin.ticket.as_bytes(), b"\0", to.as_bytes()].concat();
        self.envelope.recipients.iter().map(|recipient| key(recipient.to.as_str())).collect()
    }
}

/// Words of others for one line: the first few, and how many there are.
pub(super) fn in_short(words: &[String]) -> String {
    const WORDS: usize = 3;
    const CHARS: usize = 200;
    let shown = words.iter().take(WORDS).map(|words| escaped(&words.chars().take(CHARS).collect::<String>()));
    let more = words.len().saturating_sub(WORDS);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    shown.collect::<Vec<_>>().join("; ") + &more
}

/// First octet of keys that are ordered by the time at which they are forgotten.
const BY_TIME: u8 = b't';

fn seen_writes(keys: &[Vec<u8>], forget_at: u64) -> Vec<Write> {
    let put = |key| Write { space: Space::Seen, key, value: Some(Bytes::new()) };
    let by_time = |key: &[u8]| [&[BY_TIME], forget_at.to_be_bytes().as_slice(), key].concat();
    keys.iter().flat_map(|key| [put(key.clone()), put(by_time(key))]).collect()
}

/// What a text demands of a server.
pub(super) fn needs(text: &[u8], utf8: bool) -> Needs {
    let mut binary = text.contains(&0);
    let mut line = 0;
    for (index, &octet) in text.iter().enumerate() {
        line += 1;
        match octet {
            b'\n' if index == 0 || text[index - 1] != b'\r' => binary = true,
            b'\r' if text.get(index + 1) != Some(&b'\n') => binary = true,
            b'\n' => {
                binary |= line > LINE_OCTETS_MAX + 2;
                line = 0;
            }
            _ => {}
        }
    }
    Needs { eight_bit: !text.is_ascii(), binary: binary || line > LINE_OCTETS_MAX, utf8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_demands() {
        let long = [b"x".repeat(LINE_OCTETS_MAX + 1), b"\r\n".to_vec()].concat();
        let fits = [b"x".repeat(LINE_OCTETS_MAX), b"\r\n".to_vec()].concat();
        for (text, eight_bit, binary) in [
            (&b"a\r\nb\r\n"[..], false, false),
            (b"\xc3\xa4\r\n", true, false),
            (b"a\nb", false, true),
            (b"a\rb", false, true),
            (b"\0", false, true),
            (&long, false, true),
            (&fits, false, false),
        ] {
            let needs = needs(text, false);
            assert_eq!((needs.eight_bit, needs.binary), (eight_bit, binary), "{:?}", &text[..text.len().min(9)]);
        }
    }
}

//! Units that arrive by a link: opened, freed of repeats, accepted like any other mail. The final acknowledgement goes
//! out only when everything in the unit is on the disk.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::mail::Envelope;
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::smtp::headers::{Policy, Received};
use skywave_protocols::smtp::limits::LINE_OCTETS_MAX;
use skywave_protocols::time::{Now, WallTime};
use skywave_transports::io::{Row, Space, Write};
use skywave_transports::transport::{ArrivalId, SiteName};

use super::config::Carriage;
use super::links::PING_UNIT;
use super::seam::{Answer, Job, Needs, Number};
use super::steps::{AnswerTo, Incoming, Saved};
use super::{Node, Output, Pending};
use crate::door::intake::{Heading, Intake, heading};
use crate::queue::record::Origin;
use crate::router::{Way, way};
use crate::store::{BodyId, Query};
use crate::telemetry::Event;

/// Rows forgotten at once when the time of dedupe keys has passed; more when more are added.
const FORGET_ROWS_MIN: usize = 64;
/// Octets of an unreadable unit that are kept for the operator.
const QUARANTINE_OCTETS_MAX: usize = 64 << 10;
/// Unreadable units kept; the oldest makes room.
const QUARANTINE_UNITS_MAX: u64 = 64;

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
    quarantined: u64,
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
        self.out.push_back(Output::Compute(number, job));
    }

    /// A unit is open, or cannot be opened.
    pub(super) fn unwrapped(&mut self, now: Now, opening: Opening, answer: Answer) {
        let (link, arrival) = (opening.link, opening.arrival);
        match answer {
            Answer::Mails(mails) => self.look_up(now, opening, mails),
            Answer::Impossible { status, why } => {
                self.quarantine(&opening, &format!("{status} {why}"));
                // RFC 8494 section 3.3: discarded silently. The carrier did its part and is told so.
                self.links.with(now, link, |transport| transport.accept(now, arrival));
            }
            Answer::Failed(_) => {
                self.links.with(now, link, |transport| transport.refuse(now, arrival, true));
            }
            Answer::Unit(_) | Answer::Converted { .. } | Answer::Authenticated(_) => {}
        }
    }

    /// An unreadable unit is counted, kept for the operator and shown.
    fn quarantine(&mut self, opening: &Opening, why: &str) {
        let slot = self.arrivals.quarantined % QUARANTINE_UNITS_MAX;
        self.arrivals.quarantined += 1;
        let link = self.links.link(opening.link).map_or_else(String::new, |link| link.name.to_string());
        let kept = opening.unit.slice(..opening.unit.len().min(QUARANTINE_OCTETS_MAX));
        let detail = format!("from {}: {why}; kept as quarantine {slot}", opening.source);
        self.tell(Event::Notice { part: link, alarm: true, name: "unit_unreadable".into(), detail });
        let write = Write { space: Space::Site, key: format!("quarantine/{slot:03}").into_bytes(), value: Some(kept) };
        let batch = crate::store::Batch { writes: vec![write], ..Default::default() };
        self.save(batch, Saved::Notes(Vec::new()));
    }

    /// Asks the store which recipients of the mails have been seen before.
    pub(super) fn look_up(&mut self, now: Now, opening: Opening, mails: Vec<(Envelope, Bytes)>) {
        let arrival = (opening.link, opening.arrival);
        self.arrivals.open.insert(arrival, mails.len() + 1);
        for (envelope, text) in mails {
            let mail = self.read_arrival(now, &opening, envelope, text);
            let keys = mail.keys();
            if keys.is_empty() {
                self.seen(now, mail, Vec::new());
                continue;
            }
            let number = self.fetch(Query::Keys { space: Space::Seen, keys });
            self.pending.insert(number, Pending::Seen(Box::new(mail)));
        }
        self.arrival_stored(now, arrival.0, arrival.1);
    }

    fn read_arrival(&mut self, now: Now, opening: &Opening, mut envelope: Envelope, text: Bytes) -> ArrivedMail {
        let ticket = self.new_ticket(now.wall);
        let link = self.links.link(opening.link).map_or_else(String::new, |link| link.name.to_string());
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
        let policy = Policy { default, ceiling: self.config.mail.precedence_ceiling.precedence() };
        let heading = heading(&beginning, &envelope.mail, policy, &received);
        envelope.mail.mt_priority = envelope.mail.mt_priority.and(heading.value);
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
        }
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
        let body = BodyId(mail.ticket.0);
        let octets = mail.heading.octets.len() as u64;
        let needs = needs(&mail.text, mail.heading.utf8 || mail.envelope.recipients.iter().any(|r| !r.to.is_ascii()));
        self.out.push_back(Output::AppendBody(body, mail.heading.octets.clone()));
        let keys = mail.keys();
        self.arrivals.seeing.extend(keys.iter().map(|key| (key.clone(), (mail.link, mail.arrival))));
        self.forget_old(now.wall, 2 * keys.len());
        let forget_at = (now.wall + self.config.queue.dedupe).unix_micros();
        self.accept(
            now,
            Incoming {
                ticket: mail.ticket,
                source: if mail.link == IN_A_MAIL { mail.source } else { format!("radio {link} {}", mail.source) },
                origin: mail.origin,
                envelope: mail.envelope,
                priority: mail.heading.priority,
                octets,
                header_octets: mail.heading.header_octets,
                message_id: mail.heading.message_id,
                mt_priority_fields: mail.heading.mt_priority_fields,
                needs,
                arrived_by: (mail.link != IN_A_MAIL).then_some(link),
                extra: seen_writes(&keys, forget_at),
                answer: AnswerTo::Arrival(mail.link, mail.arrival),
            },
        );
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
}

impl ArrivedMail {
    /// One dedupe key for each recipient: the same mail may come by two ways with different recipients.
    fn keys(&self) -> Vec<Vec<u8>> {
        let Some(origin) = &self.origin else { return Vec::new() };
        let key =
            |to: &str| [b"k", origin.site.as_bytes(), b"\0", origin.ticket.as_bytes(), b"\0", to.as_bytes()].concat();
        self.envelope.recipients.iter().map(|recipient| key(recipient.to.as_str())).collect()
    }
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

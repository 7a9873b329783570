//! The operator's commands: holds, retries, reroutes, links up and down, emission control, pings.

use std::collections::BTreeMap;

use serde_json::json;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup, WallTime};
use skywave_transports::io::Write;
use skywave_transports::transport::{Delivery, Emission, SiteName, Unit, UnitTicket};

use super::answers::TRY_LATER;
use super::command::{Command, Reply};
use super::links::PING_UNIT;
use super::marks::{Words, down_mark, emcon_mark, said};
use super::seam::ReplyTo;
use super::steps::{Then, UnitNews};
use super::{Node, Output};
use crate::queue::agenda::{Due, Entry};
use crate::queue::limits::HOPS_PER_MAIL_MAX;
use crate::queue::record::{Hop, HopKey, HopState, Lane, Ticket};
use crate::report::Outcome;
use crate::store::Batch;
use crate::telemetry::Event;

/// Exit codes of sysexits that commands end with.
const USAGE: u8 = 64;
pub(super) const UNAVAILABLE: u8 = 69;
/// Units of pings have tickets with this bit, which no mail has.
const PING: u64 = 1 << 63;
/// Pings under way at once.
const PINGS_MAX: usize = 16;

/// What the operator waits for.
#[derive(Debug, Default)]
pub struct Operator {
    pings: BTreeMap<UnitTicket, Ping>,
    /// What was said before the marks of earlier runs were read.
    pub(super) early: Words,
}

#[derive(Debug)]
struct Ping {
    reply_to: ReplyTo,
    link: String,
    sent: Now,
    until: Instant,
}

impl Operator {
    /// When the first ping is given up.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        self.pings.values().map(|ping| Wakeup { at: ping.until, why: "ping" }).min_by_key(|wakeup| wakeup.at)
    }
}

impl Node {
    pub(super) fn command(&mut self, now: Now, reply_to: ReplyTo, command: Command) {
        let Some(command) = self.chat_command(now, reply_to, command) else { return };
        self.begin_command();
        self.carry_out(now, reply_to, command);
        self.end_command();
    }

    fn carry_out(&mut self, now: Now, reply_to: ReplyTo, command: Command) {
        match command {
            Command::Status => {
                let status = self.status();
                self.reply_ok(reply_to, status);
            }
            Command::QueueList { limit, link } => self.list_queue(reply_to, limit, link.as_deref()),
            Command::QueueShow { ref ticket }
            | Command::QueueHold { ref ticket }
            | Command::QueueRelease { ref ticket }
            | Command::QueueRetry { ticket: Some(ref ticket) }
            | Command::QueueReroute { ref ticket, .. }
            | Command::QueuePrecedence { ref ticket, .. }
            | Command::QueueDelete { ref ticket, .. } => match Ticket::parse(ticket) {
                Some(ticket) => self.with_mail(now, ticket, Then::Command(reply_to, command)),
                None => self.reply_error(reply_to, &format!("{ticket} is no queue id"), USAGE),
            },
            Command::QueueQuarantine { number } => self.show_quarantine(reply_to, number),
            Command::QueueRetry { ticket: None } => self.retry_all(reply_to),
            Command::Track { ref id } => match Ticket::parse(id) {
                Some(ticket) => self.with_mail(now, ticket, Then::Command(reply_to, command)),
                None => self.track_message_id(reply_to, id.clone()),
            },
            Command::LinkList => {
                let links = self.list_links();
                self.reply_ok(reply_to, links);
            }
            Command::LinkShow { link } => match self.links.index(&link) {
                Some(index) => {
                    let shown = self.show_link(index);
                    self.reply_ok(reply_to, shown);
                }
                None => self.no_link(reply_to, &link),
            },
            Command::LinkUp { link } => self.use_link(reply_to, &link, true),
            Command::LinkDown { link } => self.use_link(reply_to, &link, false),
            Command::Emcon { link, on } => self.emcon(now, reply_to, link.as_deref(), on),
            Command::Silence { link, site, on, until } => {
                let until = until.filter(|_| on).map(WallTime::from_unix_seconds);
                self.silence(now, reply_to, &link, &site, on, until);
            }
            Command::LinkPing { link, site, timeout_seconds } => {
                self.ping(now, reply_to, &link, &site, timeout_seconds);
            }
            Command::Reload { config } => self.reload(now, reply_to, config),
        }
    }

    /// A command about one mail whose record is in memory.
    pub(super) fn mail_command(&mut self, now: Now, reply_to: ReplyTo, ticket: Ticket, command: Command) {
        self.begin_command();
        match command {
            Command::QueueShow { .. } | Command::Track { .. } => {
                let shown = self.mails.record(ticket).map(|record| self.shown(record, true));
                self.reply_ok(reply_to, shown.unwrap_or_default());
            }
            Command::QueueHold { .. } => self.hold(now, reply_to, ticket),
            Command::QueueRelease { .. } => self.release(now, reply_to, ticket),
            Command::QueueRetry { .. } => self.retry_now(now, reply_to, ticket),
            Command::QueueReroute { link, .. } => self.reroute_all(now, reply_to, ticket, &link),
            Command::QueuePrecedence { precedence, .. } => self.change_precedence(now, reply_to, ticket, precedence),
            Command::QueueDelete { report, .. } => self.delete(now, reply_to, ticket, report),
            Command::Status
            | Command::QueueList { .. }
            | Command::QueueQuarantine { .. }
            | Command::LinkList
            | Command::LinkShow { .. }
            | Command::LinkUp { .. }
            | Command::LinkDown { .. }
            | Command::Emcon { .. }
            | Command::Silence { .. }
            | Command::LinkPing { .. }
            | Command::Reload { .. } => {}
        }
        self.end_command();
    }

    /// A command about a mail that is not in the queue: its history may be there.
    pub(super) fn finished_command(&mut self, _now: Now, reply_to: ReplyTo, ticket: Ticket, command: Command) {
        match command {
            Command::Track { .. } | Command::QueueShow { .. } => self.track_ticket(reply_to, ticket),
            _other => self.reply_error(reply_to, &format!("{ticket} is not in the queue"), UNAVAILABLE),
        }
    }

    fn open_hops(&self, ticket: Ticket) -> Vec<HopKey> {
        let Some(record) = self.mails.record(ticket) else { return Vec::new() };
        let open = (0..record.hops.len()).filter(|&hop| record.hops[hop].state != HopState::Done);
        open.map(|hop| record.hop_key(hop)).collect()
    }

    /// Hops whose dialogue with an MTA runs cannot be changed until it ends.
    fn in_dialogue(&self, ticket: Ticket) -> bool {
        self.open_hops(ticket).iter().any(|key| self.mta.is_door(&key.lane) && self.lanes.is_under_way(key))
            || self.reports.is_reporting(ticket)
    }

    fn busy(&mut self, reply_to: ReplyTo, ticket: Ticket) -> bool {
        let busy = self.in_dialogue(ticket);
        if busy {
            self.reply_error(reply_to, &format!("{ticket} is being handed over, try again"), 75);
        }
        busy
    }

    fn hold(&mut self, now: Now, reply_to: ReplyTo, ticket: Ticket) {
        if self.busy(reply_to, ticket) {
            return;
        }
        let keys = self.open_hops(ticket);
        keys.iter().for_each(|key| self.take_back(now, key));
        let Some(record) = self.mails.record_mut(ticket) else { return };
        record.held = true;
        record.note(now.wall, "held by the operator");
        let mut writes = vec![record.put()];
        writes.extend(keys.iter().map(|key| key.write(false)));
        self.save_notes(ticket, Batch { writes, ..Batch::default() });
        self.reply_stored(reply_to, json!({ "ticket": ticket.to_string(), "held": true }));
    }

    fn release(&mut self, now: Now, reply_to: ReplyTo, ticket: Ticket) {
        let Some(record) = self.mails.record_mut(ticket) else { return };
        record.held = false;
        record.note(now.wall, "released by the operator");
        self.wait_again(now, ticket, Vec::new());
        self.reply_stored(reply_to, json!({ "ticket": ticket.to_string(), "held": false }));
    }

    fn retry_now(&mut self, now: Now, reply_to: ReplyTo, ticket: Ticket) {
        let Some(record) = self.mails.record_mut(ticket) else { return };
        let due = |(hop, index): (&mut Hop, u16)| {
            hop.not_before.take().map(|at| Entry { at, ticket, due: Due::Retry(index) }.write(false))
        };
        let off_the_agenda = record.hops.iter_mut().zip(0..).filter_map(due).collect();
        record.note(now.wall, "retried by the operator");
        self.wait_again(now, ticket, off_the_agenda);
        self.reply_stored(reply_to, json!({ "ticket": ticket.to_string() }));
    }

    /// Puts every open hop back into its lane, on disk (together with `writes`) and in memory.
    fn wait_again(&mut self, now: Now, ticket: Ticket, mut writes: Vec<Write>) {
        let Some(record) = self.mails.record(ticket) else { return };
        let waiting = |hop: &Hop| hop.state != HopState::Done && hop.not_before.is_none();
        let hops: Vec<usize> = (0..record.hops.len()).filter(|&hop| waiting(&record.hops[hop])).collect();
        writes.push(record.put());
        if !record.held {
            writes.extend(hops.iter().map(|&hop| record.hop_key(hop).write(true)));
        }
        self.save_notes(ticket, Batch { writes, ..Batch::default() });
        for hop in hops {
            let waits = self.mails.record(ticket).is_some_and(|record| !self.lanes.knows(&record.hop_key(hop)));
            if waits {
                self.enter_lane(now, ticket, hop);
            }
        }
    }

    fn reroute_all(&mut self, now: Now, reply_to: ReplyTo, ticket: Ticket, link: &str) {
        let Some(lane) = self.links.index(link).and_then(|index| self.links.link(index)).map(|link| link.name.clone())
        else {
            return self.no_link(reply_to, link);
        };
        if self.busy(reply_to, ticket) {
            return;
        }
        let keys: Vec<HopKey> = self.open_hops(ticket).into_iter().filter(|key| !self.mta.is_door(&key.lane)).collect();
        if let Some(site) = self.beyond(ticket, &keys, &lane) {
            return self.reply_error(reply_to, &format!("{link} does not reach {site}"), USAGE);
        }
        for key in &keys {
            self.reroute(now, key, Some(lane.clone()));
        }
        self.reply_stored(reply_to, json!({ "ticket": ticket.to_string(), "link": link, "hops": keys.len() }));
    }

    /// A site of these hops that a link does not reach.
    fn beyond(&self, ticket: Ticket, keys: &[HopKey], lane: &str) -> Option<SiteName> {
        let record = self.mails.record(ticket)?;
        let link = crate::router::link(&self.config, lane)?;
        let parts = keys.iter().flat_map(|key| &record.hops[usize::from(key.hop)].parts);
        parts.filter_map(|part| part.site.clone()).find(|site| !crate::router::reaches(link, site))
    }

    /// Moves a hop to another lane, or to whatever lane the configuration says now.
    pub(super) fn reroute(&mut self, now: Now, key: &HopKey, lane: Option<Lane>) {
        self.mails.pin(key.ticket);
        self.take_back(now, key);
        let hop = usize::from(key.hop);
        match lane {
            Some(lane) => self.change_lane(now, key, hop, lane),
            None => self.route_anew(now, key, hop),
        }
        self.mails.unpin(key.ticket);
    }

    fn change_lane(&mut self, now: Now, key: &HopKey, hop: usize, lane: Lane) {
        let Some(record) = self.mails.record_mut(key.ticket) else { return };
        record.note(now.wall, format!("moved from {} to {lane}", key.lane));
        record.hops[hop].lane = lane;
        record.hops[hop].state = HopState::Waiting;
        let writes = vec![key.write(false), record.put(), record.hop_key(hop).write(true)];
        self.save_notes(key.ticket, Batch { writes, ..Batch::default() });
        self.enter_lane(now, key.ticket, hop);
    }

    /// Replaces a hop whose lane is configured no more by what the configuration says now.
    fn route_anew(&mut self, now: Now, key: &HopKey, hop: usize) {
        let Some(record) = self.mails.record_mut(key.ticket) else { return };
        let owed = record.hops[hop].owed();
        let mut routed = crate::router::route(&self.config, &self.links.down, &record.hop_envelope(hop), None);
        // Indexes into the hop's envelope become indexes into the mail's.
        let whole =
            |indexes: &mut Vec<u32>| indexes.iter_mut().for_each(|i| *i = owed.get(*i as usize).copied().unwrap_or(*i));
        routed.hops.iter_mut().flat_map(|hop| &mut hop.parts).for_each(|part| whole(&mut part.recipients));
        if routed.hops.is_empty() || record.hops.len() + routed.hops.len() > HOPS_PER_MAIL_MAX {
            return self.give_up(now, key, "5.4.4", "no way to this domain is configured any more");
        }
        whole(&mut routed.nowhere);
        record.note(now.wall, format!("{} is configured no more; routed anew", key.lane));
        let first = record.hops.len();
        record.hops.append(&mut routed.hops);
        let hops = first..record.hops.len();
        // The old hop keeps those that nobody takes until they are reported.
        let moved: Vec<u32> = owed.into_iter().filter(|recipient| !routed.nowhere.contains(recipient)).collect();
        record.hops[hop].settle(&moved);
        let mut writes = vec![key.write(false), record.put()];
        writes.extend(hops.clone().map(|hop| record.hop_key(hop).write(true)));
        if !routed.nowhere.is_empty() {
            writes.push(key.write(true));
        }
        self.save_notes(key.ticket, Batch { writes, ..Batch::default() });
        if !routed.nowhere.is_empty() {
            self.give_up(now, key, "5.4.4", "no way to this domain is configured any more");
        }
        hops.for_each(|hop| self.enter_lane(now, key.ticket, hop));
    }

    fn change_precedence(&mut self, now: Now, reply_to: ReplyTo, ticket: Ticket, precedence: Precedence) {
        let keys = self.open_hops(ticket);
        let value = precedence.mt_priority();
        let Some(record) = self.mails.record_mut(ticket) else { return };
        let old = record.precedence();
        record.priority = value;
        if record.envelope.mail.mt_priority.is_some() {
            record.envelope.mail.mt_priority = Some(value);
        }
        record
            .note(now.wall, format!("precedence changed by the operator from {} to {}", old.name(), precedence.name()));
        let mut writes = vec![record.put()];
        let under_way: Vec<bool> = keys.iter().map(|key| self.lanes.is_under_way(key)).collect();
        for (key, &under_way) in keys.iter().zip(&under_way) {
            let new = HopKey { p_mul: value.p_mul(), ..key.clone() };
            if self.lanes.rename(key, &new) || self.mails.record(ticket).is_some_and(|record| !record.held) {
                writes.extend([key.write(false), new.write(true)]);
            }
            if under_way && let Some(index) = self.links.index(&key.lane) {
                let unit = ticket.unit(usize::from(key.hop));
                self.links.with(now, index, |transport| transport.raise(now, unit, value));
            }
        }
        self.save_notes(ticket, Batch { writes, ..Batch::default() });
        self.reply_stored(reply_to, json!({ "ticket": ticket.to_string(), "precedence": precedence }));
    }

    fn delete(&mut self, now: Now, reply_to: ReplyTo, ticket: Ticket, report: bool) {
        if self.busy(reply_to, ticket) {
            return;
        }
        for key in self.open_hops(ticket) {
            self.mails.pin(ticket);
            self.take_back(now, &key);
            let owed =
                self.mails.record(ticket).map_or_else(Vec::new, |record| record.hops[usize::from(key.hop)].owed());
            if report {
                let words = "deleted by the operator";
                let outcome = |recipient| Outcome {
                    recipient,
                    status: "5.7.1".into(),
                    diagnostic: Some(words.into()),
                    relay: None,
                };
                self.report_failed(now, &key, owed.into_iter().map(outcome).collect());
            } else {
                self.settle(now, &key, &owed, "deleted by the operator");
            }
            self.finish_if_done(now, ticket);
            self.mails.unpin(ticket);
        }
        let facts = json!({ "ticket": ticket.to_string(), "deleted": true, "reported": report });
        self.reply_deleted(reply_to, ticket, facts);
    }

    fn use_link(&mut self, reply_to: ReplyTo, link: &str, up: bool) {
        let Some(name) = self.links.index(link).and_then(|index| self.links.link(index)).map(|link| link.name.clone())
        else {
            return self.no_link(reply_to, link);
        };
        if up {
            self.links.down.remove(&name);
        } else {
            self.links.down.insert(name);
        }
        self.write_marks([(down_mark(link), Some(said(!up)))]);
        self.reply_stored(reply_to, json!({ "link": link, "in_use": up }));
    }

    fn emcon(&mut self, now: Now, reply_to: ReplyTo, link: Option<&str>, on: bool) {
        let links: Vec<(usize, Lane)> = (0..)
            .zip(self.links.iter().map(|link| link.name.clone()))
            .filter(|(_, name)| link.is_none_or(|wanted| wanted == &**name))
            .collect();
        if links.is_empty() {
            return self.no_link(reply_to, link.unwrap_or("(any)"));
        }
        links.iter().for_each(|(index, _)| self.set_emission(now, *index, on));
        self.write_marks(links.iter().map(|(_, name)| (emcon_mark(name), Some(said(on)))));
        let names: Vec<&str> = links.iter().map(|(_, name)| &**name).collect();
        self.reply_stored(reply_to, json!({ "links": names, "emcon": on }));
    }

    pub(super) fn set_emission(&mut self, now: Now, index: usize, on: bool) {
        let emission = if on { Emission::Silent } else { Emission::Free };
        let Some(link) = self.links.link_mut(index) else { return };
        link.emission = emission;
        let event = Event::Emission { link: link.name.to_string(), silent: on };
        self.links.with(now, index, |transport| transport.set_emission(now, emission));
        self.tell(event);
    }

    fn silence(&mut self, now: Now, reply_to: ReplyTo, link: &str, site: &str, on: bool, until: Option<WallTime>) {
        let Some(index) = self.links.index(link) else { return self.no_link(reply_to, link) };
        let name: SiteName = site.into();
        let sites = self.config.links.iter().find(|it| *it.name == *link).map_or(&[][..], |it| it.transport.sites());
        if !sites.iter().any(|it| it.site == name) {
            return self.reply_error(reply_to, &format!("{link} does not reach {site}"), USAGE);
        }
        self.chat_silence(now, index, &name, on);
        self.believe(now, index, &name, on, until);
        self.reply_stored(reply_to, json!({ "link": link, "site": site, "silent": on }));
    }

    fn ping(&mut self, now: Now, reply_to: ReplyTo, link: &str, site: &str, timeout_seconds: u32) {
        let Some(index) = self.links.index(link) else { return self.no_link(reply_to, link) };
        if self.operator.pings.len() >= PINGS_MAX {
            return self.reply_error(reply_to, "too many pings are under way", 75);
        }
        if self.links.link(index).is_some_and(|link| !link.carriage.takes_mail()) {
            return self.reply_error(reply_to, "a link for chat carries nothing else, pings neither", USAGE);
        }
        let wait = Duration::from_secs(u64::from(timeout_seconds));
        let ticket = UnitTicket(PING | self.random.number() >> 1);
        let unit = Unit {
            ticket,
            to: vec![site.into()],
            priority: Precedence::Priority.mt_priority(),
            expiry: now.wall + wait,
            delivery: Delivery::Committed,
            context: 0,
            content: Bytes::from_static(PING_UNIT),
        };
        let ping = Ping { reply_to, link: link.to_owned(), sent: now, until: now.mono + wait };
        self.operator.pings.insert(ticket, ping);
        self.links.with(now, index, |transport| transport.submit(now, unit));
    }

    /// Takes news of a ping's unit; false if it is no ping's.
    pub(super) fn ping_news(&mut self, now: Now, unit: UnitTicket, news: &UnitNews) -> bool {
        if unit.0 & PING == 0 {
            return false;
        }
        let Some(ping) = self.operator.pings.remove(&unit) else { return true };
        match news {
            UnitNews::Delivered(site) => {
                let seconds = now.mono.since(ping.sent.mono).as_secs_f64();
                self.reply_ok(ping.reply_to, json!({ "link": ping.link, "site": &**site, "seconds": seconds }));
            }
            UnitNews::Failed(_, fault) => self.reply_error(ping.reply_to, &fault.to_string(), UNAVAILABLE),
        }
        true
    }

    pub(super) fn pings_due(&mut self, now: Now) {
        let late: Vec<UnitTicket> =
            self.operator.pings.iter().filter(|(_, ping)| ping.until <= now.mono).map(|(&unit, _)| unit).collect();
        for unit in late {
            let Some(ping) = self.operator.pings.remove(&unit) else { continue };
            if let Some(index) = self.links.index(&ping.link) {
                self.links.with(now, index, |transport| transport.cancel(now, unit));
            }
            self.reply_error(ping.reply_to, "no answer in time", UNAVAILABLE);
        }
    }

    fn reload(&mut self, now: Now, reply_to: ReplyTo, config: Option<Box<super::config::SiteConfig>>) {
        let Some(config) = config else { return self.reply_error(reply_to, "no configuration was given", USAGE) };
        let same_shape = config.site == self.config.site
            && config.links == self.config.links
            && config.radios == self.config.radios
            && config.local == self.config.local
            && config.mail.listen == self.config.mail.listen
            && config.mail.submission == self.config.mail.submission
            && match (&self.config.chat, &config.chat) {
                (Some(ours), Some(theirs)) => ours.can_become(theirs),
                (ours, theirs) => ours.is_none() && theirs.is_none(),
            };
        if !same_shape {
            let why = "site, listeners, links, radios, local servers and what chat has of them change only at a restart; \
                       nothing was changed";
            return self.reply_error(reply_to, why, 78);
        }
        self.server_config = super::mail_door::server_config(&config.mail);
        self.submission_config = super::mail_door::submission_config(&self.server_config);
        if let (Some(chat), Some(theirs)) = (&mut self.chat.chat, &config.chat) {
            chat.reconfigure(now, &theirs.peers);
        }
        self.config = *config;
        self.reply_ok(reply_to, json!({ "reloaded": true }));
    }

    fn no_link(&mut self, reply_to: ReplyTo, link: &str) {
        self.reply_error(reply_to, &format!("there is no link {link}"), USAGE);
    }

    pub(super) fn reply_ok(&mut self, reply_to: ReplyTo, facts: serde_json::Value) {
        self.out.push_back(Output::Reply(reply_to, Reply::Ok(facts)));
    }

    pub(super) fn reply_error(&mut self, reply_to: ReplyTo, why: &str, code: u8) {
        if self.answers.is_gathering(reply_to) {
            // A mail that is finished meanwhile needs no other try.
            return self.gathered(reply_to, (code == TRY_LATER).then(|| why.to_owned()));
        }
        self.out.push_back(Output::Reply(reply_to, Reply::Error { why: why.to_owned(), code }));
    }
}

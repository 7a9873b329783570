//! Looks at a world after each step and writes down what is against the invariants of the house.
//!
//! - Conservation: what was answered with 250 is at all times delivered, reported, or owed by a record on some disk.
//! - A 250 goes out only when the mail's record is on the disk; a mail answered with 4xx or 5xx is never delivered.
//! - Nothing is delivered twice, except what was in hand-over at a crash and is told as a possible duplicate, and what
//!   a local MTA took before its connection broke.
//! - The same for chat: [`super::chat_duties`].
//! - A station in EMCON emits nothing, and no station and no gateway holds more than its limits.
//! - Nothing less urgent is given to a link while a Flash for the same site has waited for a link for some seconds.
//! - A site whose disk fails waits between tries.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::{Duration, Instant};

use super::World;
use super::chat_duties::ChatDuties;
use super::client::Submission;
use super::errands::Errand;
use super::local_mta::Received;
use super::plan::full_name;
use super::report::{self, Report};
use super::site::Site;
use crate::node::Node;
use crate::telemetry::{Event, Status};

/// Commits that may fail in [`PATIENCE_WINDOW`].
const FAILED_COMMITS_IN_WINDOW_MAX: u64 = 300;
const PATIENCE_WINDOW: Duration = Duration::from_secs(60);

/// What is accepted as Flash gets to its link within this time, or before anything less urgent for the same site.
const FLASH_GRACE: Duration = Duration::from_secs(5);

fn is_flash(precedence: Precedence) -> bool {
    precedence.mt_priority() >= Precedence::Flash.mt_priority()
}

/// What the house owes one recipient of one accepted mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Duty {
    /// The Message-ID of the mail.
    pub message_id: String,
    /// The recipient.
    pub to: String,
    /// The sender; empty for the null path.
    pub from: String,
    /// Whether a failure is to be reported.
    pub report_wanted: bool,
    /// When it was accepted.
    pub accepted_at: Instant,
    /// When local MTAs took it.
    pub delivered: Vec<Instant>,
    /// What was reported to the sender.
    pub reports: Vec<String>,
    /// A node said that it gave the recipient up.
    pub given_up: bool,
    /// A node said that it was sent where nobody confirms.
    pub relayed: bool,
}

impl Duty {
    /// Whether nothing more is owed.
    pub fn is_met(&self) -> bool {
        let reported = self.reports.iter().any(|action| action == "failed");
        !self.delivered.is_empty() || reported || self.relayed || (self.given_up && !self.report_wanted)
    }
}

/// The checkers' memory. See the module's page.
#[derive(Debug, Default)]
pub struct Checkers {
    /// What was found.
    pub violations: Vec<String>,
    /// All duties, in the order of acceptance.
    pub duties: Vec<Duty>,
    /// What is owed for chat.
    pub chat: ChatDuties,
    /// Reports that reached a sender's local MTA.
    pub reports: Vec<Report>,
    /// When local MTAs took a mail for a recipient.
    delivered: BTreeMap<(String, String), Vec<Instant>>,
    tickets: BTreeMap<(usize, String), String>,
    seen: BTreeMap<usize, usize>,
    /// Mails answered with 4xx or 5xx, with their site and how often that had stored something then.
    refused: BTreeMap<String, (String, u64)>,
    repeats_allowed: BTreeMap<String, usize>,
    announced: BTreeSet<String>,
    versions: Vec<u64>,
    silent_links: BTreeSet<(usize, String)>,
    emissions_in_emcon: u64,
    begun_early: u64,
    /// Flash mails that no link was given yet: by site and ticket, since when.
    flashes: BTreeMap<(usize, String), Instant>,
    /// For each site: since when failing commits are counted, and how many there were before.
    failures: BTreeMap<usize, (Instant, u64)>,
}

impl Checkers {
    /// Writes down what is wrong.
    pub fn violation(&mut self, words: String) {
        self.violations.push(words);
    }

    /// The duty of a mail towards a recipient.
    pub fn duty(&self, message_id: &str, to: &str) -> Option<&Duty> {
        self.duties.iter().find(|duty| duty.message_id == message_id && duty.to == to)
    }

    /// A client was answered.
    pub(super) fn answered(&mut self, at: Instant, errand: &Errand, answer: &Submission, site: &Site) {
        if !answer.is_taken() {
            if answer.end.is_some() {
                self.refused.insert(errand.message_id.clone(), (site.name.clone(), site.disk.commits()));
            }
            return;
        }
        if !site.disk.has_mail(&errand.message_id) && !self.is_delivered(&errand.message_id) {
            self.violation(format!("{}: 250 for {} before its record was on the disk", site.name, errand.message_id));
        }
        let never = errand.order.rcpt_parameters.contains("NOTIFY=NEVER")
            || (errand.order.rcpt_parameters.contains("NOTIFY=") && !errand.order.rcpt_parameters.contains("FAILURE"));
        self.duties.extend(answer.accepted.iter().map(|to| Duty {
            message_id: errand.message_id.clone(),
            to: to.clone(),
            from: errand.order.from.clone(),
            report_wanted: !never && !errand.order.from.is_empty(),
            accepted_at: at,
            delivered: self.delivered.get(&(errand.message_id.clone(), to.clone())).cloned().unwrap_or_default(),
            reports: Vec::new(),
            given_up: false,
            relayed: false,
        }));
    }

    fn is_delivered(&self, message_id: &str) -> bool {
        self.delivered.keys().any(|(id, _)| id == message_id)
    }

    /// A site begins a life.
    pub(super) fn started(&mut self, site: usize, at: Instant) {
        self.flashes_again(site, at);
        self.silent_links.retain(|(of, _)| *of != site);
        self.chat.started();
    }

    /// A site crashed; its open hand-overs may be repeated: those under way, and those that ended when the disk did not
    /// know it yet.
    pub(super) fn crashed(&mut self, site: &Site) {
        self.chat.crashed(site);
        if site.disk.is_in_doubt() {
            // What was refused because the disk failed may be found on it: only the disk knows.
            let found = (site.name.clone(), site.disk.commits());
            self.refused.retain(|_, refused| *refused != found);
        }
        let mut open: BTreeSet<String> = site.hand_overs.values().flatten().cloned().collect();
        let unknown = self.delivered.keys().filter(|(message_id, to)| site.disk.owes_recipient(message_id, to));
        open.extend(unknown.map(|(message_id, _)| message_id.clone()));
        for message_id in open {
            *self.repeats_allowed.entry(message_id).or_default() += 1;
        }
    }

    /// A local MTA broke a hand-over and may have taken the mail.
    pub(super) fn in_doubt(&mut self, message_id: Option<String>) {
        if let Some(message_id) = message_id {
            *self.repeats_allowed.entry(message_id.clone()).or_default() += 1;
            self.announced.insert(message_id);
        }
    }

    /// A datagram left a site.
    pub(super) fn datagram_sent(&mut self, site: usize, links: usize) {
        let silent = self.silent_links.iter().filter(|(of, _)| *of == site).count();
        if links > 0 && silent >= links {
            self.violation(format!("site {site} sent a datagram although all its links are in EMCON"));
        }
    }

    /// A node told something.
    pub(super) fn told(&mut self, site: usize, at: Instant, event: &Event) {
        self.chat.told_of_link(event);
        match event {
            Event::Stanza(line) => self.chat.told(at, site, line),
            Event::MailAccepted { ticket, message_id, precedence, .. } => {
                self.tickets.insert((site, ticket.clone()), message_id.clone());
                if is_flash(*precedence) {
                    self.flashes.insert((site, ticket.clone()), at);
                }
            }
            Event::HopStarted { ticket, sites, precedence, .. } => {
                self.flashes.remove(&(site, ticket.clone()));
                self.no_flash_waits(site, at, ticket, sites, *precedence);
            }
            // What holds a link or the disk up holds a Flash up too.
            Event::LinkDown { .. } | Event::LinkUp { .. } | Event::StoreFailing { .. } | Event::StoreRecovered => {
                self.flashes_again(site, at);
            }
            Event::PossibleDuplicate { message_id, .. } => {
                self.announced.insert(message_id.clone());
            }
            Event::MailFinished { ticket } => {
                self.flashes.remove(&(site, ticket.clone()));
            }
            Event::Emission { link, silent: true } => {
                self.flashes_again(site, at);
                self.silent_links.insert((site, link.clone()));
            }
            Event::Emission { link, silent: false } => {
                self.flashes_again(site, at);
                self.silent_links.remove(&(site, link.clone()));
            }
            Event::MailTried { ticket, to, status, .. } => {
                self.flashes.remove(&(site, ticket.clone()));
                let Some(message_id) = self.tickets.get(&(site, ticket.clone())) else { return };
                let of = |duty: &&mut Duty| duty.message_id == *message_id && duty.to == *to;
                if let Some(duty) = self.duties.iter_mut().find(of) {
                    duty.given_up |= matches!(status, Status::Bounced | Status::Expired);
                    duty.relayed |= *status == Status::Relayed;
                }
            }
            Event::Ready { .. }
            | Event::MailRefused { .. }
            | Event::Duplicate { .. }
            | Event::HopProgress { .. }
            | Event::ChatBlock { .. }
            | Event::ChatServerUp { .. }
            | Event::ChatServerDown { .. }
            | Event::Notice { .. }
            | Event::Damaged { .. } => {}
        }
    }

    /// A unit was given to a link: no Flash for the same site may have waited for that.
    fn no_flash_waits(&mut self, site: usize, at: Instant, given: &str, sites: &[String], precedence: Precedence) {
        if is_flash(precedence) {
            return;
        }
        let late = self.flashes.iter().filter(|((of, _), since)| *of == site && at.since(**since) > FLASH_GRACE);
        let message = |ticket: &String| self.tickets.get(&(site, ticket.clone()));
        let for_them = |duty: &&Duty| {
            let domain = duty.to.rsplit('@').next().unwrap_or_default();
            !duty.is_met() && sites.iter().any(|site| site == domain)
        };
        let passed = late
            .filter_map(|((_, ticket), _)| Some((ticket, message(ticket)?)))
            .find(|(_, message_id)| self.duties.iter().filter(for_them).any(|duty| duty.message_id == **message_id));
        if let Some((flash, _)) = passed {
            let words = format!("site {site}: {given} ({precedence:?}) was given to a link before the Flash {flash}");
            self.violation(words);
        }
    }

    fn flashes_again(&mut self, site: usize, at: Instant) {
        self.flashes.iter_mut().filter(|((of, _), _)| *of == site).for_each(|(_, since)| *since = at);
    }

    /// Looks at everything that may have changed.
    pub(super) fn after_step(&mut self, world: &World) {
        for (index, site) in world.sites.iter().enumerate() {
            let seen = self.seen.get(&index).copied().unwrap_or(0);
            for mail in site.mta.received().iter().skip(seen) {
                self.received(site, mail);
            }
            self.seen.insert(index, site.mta.received().len());
            self.patience(index, site, world.at());
            if let Some(over) = site.node.as_ref().and_then(Node::over_limit) {
                self.violation(format!("{}: {over}", site.name));
            }
        }
        let wrong = self.chat.after_step(world);
        self.violations.extend(wrong);
        let versions: Vec<u64> = world.sites.iter().map(|site| site.disk.version()).collect();
        if versions != self.versions {
            self.versions = versions;
            self.conservation(world);
        }
        if let Some(over) = world.air.over_limit() {
            self.violation(over);
        }
        let emissions = world.air.emissions_in_emcon();
        if emissions > self.emissions_in_emcon {
            self.emissions_in_emcon = emissions;
            self.violation(format!("a station in EMCON emitted at {:?}", world.at()));
        }
        let early = world.air.begun_early();
        if early > self.begun_early {
            self.begun_early = early;
            self.violation(format!("a station transmitted before an announced end at {:?}", world.at()));
        }
    }

    /// A node that asks a failing disk again and again without a pause burns the processor and the flash.
    fn patience(&mut self, index: usize, site: &Site, at: Instant) {
        let failures = site.disk.failures();
        let (since, before) = *self.failures.entry(index).or_insert((at, failures));
        if at.since(since) > PATIENCE_WINDOW {
            self.failures.insert(index, (at, failures));
        }
        if failures - before > FAILED_COMMITS_IN_WINDOW_MAX {
            self.failures.insert(index, (at, failures));
            self.violation(format!("{}: {} commits in a minute on a disk that fails", site.name, failures - before));
        }
    }

    /// Looks at what must be true when everything has come to its end.
    pub fn at_the_end(&mut self) {
        let open: Vec<String> = self
            .duties
            .iter()
            .filter(|duty| !duty.is_met())
            .map(|duty| format!("{} to {} was accepted, and neither delivered nor reported", duty.message_id, duty.to))
            .collect();
        self.violations.extend(open);
        self.violations.extend(self.chat.at_the_end());
    }

    fn received(&mut self, site: &Site, mail: &Received) {
        if let Some(report) = report::read(mail.at, &mail.to, &mail.text).filter(|_| mail.from.is_empty()) {
            for (recipient, action) in &report.actions {
                let of = |duty: &&mut Duty| duty.message_id == report.message_id && duty.to == *recipient;
                if let Some(duty) = self.duties.iter_mut().find(of) {
                    duty.reports.push(action.clone());
                }
            }
            self.reports.push(report);
            return;
        }
        if self.refused.contains_key(&mail.message_id) {
            self.violation(format!("{}: {} was refused and delivered all the same", site.name, mail.message_id));
        }
        let allowed = 1 + self.repeats_allowed.get(&mail.message_id).copied().unwrap_or(0);
        for to in &mail.to {
            let times = self.delivered.entry((mail.message_id.clone(), to.clone())).or_default();
            times.push(mail.at);
            let count = times.len();
            let of = |duty: &&mut Duty| duty.message_id == mail.message_id && duty.to == *to;
            if let Some(duty) = self.duties.iter_mut().find(of) {
                duty.delivered.push(mail.at);
            }
            if count > allowed {
                self.violation(format!("{}: {} was delivered {count} times to {to}", site.name, mail.message_id));
            } else if count > 1 && !self.announced.contains(&mail.message_id) {
                self.violation(format!("{}: {} was delivered twice without a warning", site.name, mail.message_id));
            }
        }
    }

    fn conservation(&mut self, world: &World) {
        let mut lost = Vec::new();
        for duty in self.duties.iter().filter(|duty| !duty.is_met()) {
            // What is wrong with a batch is for the postmaster of the site that cannot read it.
            let owed = world.sites.iter().any(|site| {
                site.disk.owes_recipient(&duty.message_id, &duty.to)
                    || site.disk.owes_report(&duty.from)
                    || site.disk.owes_report(&format!("postmaster@{}", full_name(&site.name)))
            });
            if !owed {
                lost.push(format!(
                    "at {:.3} s {} to {} is neither delivered, reported, nor on a disk",
                    world.at().as_micros() as f64 / 1e6,
                    duty.message_id,
                    duty.to
                ));
            }
        }
        self.violations.extend(lost);
        self.violations.extend(self.chat.conservation(world));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn accepted(ticket: &str, precedence: Precedence) -> Event {
        Event::MailAccepted {
            ticket: ticket.to_owned(),
            message_id: format!("<{ticket}>"),
            from: "a@hq.test".to_owned(),
            recipients: 1,
            bytes: 1,
            precedence,
            source: "smtp".to_owned(),
            origin: None,
        }
    }

    fn given(ticket: &str, to: &str, precedence: Precedence) -> Event {
        let (ticket, link, sites) = (ticket.to_owned(), "hf".to_owned(), vec![to.to_owned()]);
        Event::HopStarted { ticket, link, sites, unit_bytes: 1, precedence }
    }

    fn duty(ticket: &str, to: &str) -> Duty {
        Duty {
            message_id: format!("<{ticket}>"),
            to: to.to_owned(),
            from: String::new(),
            report_wanted: false,
            accepted_at: at(0),
            delivered: Vec::new(),
            reports: Vec::new(),
            given_up: false,
            relayed: false,
        }
    }

    #[test]
    fn a_flash_that_something_less_urgent_passes_is_found() {
        let down = Event::LinkDown { link: "hf".to_owned(), why: "x".to_owned() };
        let rows = [
            (vec![], 10, "field.test", true),
            (vec![], 4, "field.test", false),
            (vec![], 10, "ship.test", false),
            (vec![given("f", "field.test", Precedence::Flash)], 10, "field.test", false),
            (vec![down], 10, "field.test", false),
        ];
        for (before, seconds, site, found) in rows {
            let mut checkers = Checkers { duties: vec![duty("f", "b@field.test")], ..Checkers::default() };
            checkers.told(0, at(0), &accepted("f", Precedence::Flash));
            checkers.told(0, at(0), &accepted("r", Precedence::Routine));
            before.iter().for_each(|event| checkers.told(0, at(8), event));
            checkers.told(0, at(seconds), &given("r", site, Precedence::Routine));
            assert_eq!(!checkers.violations.is_empty(), found, "{before:?} {seconds} {site}");
        }
    }
}

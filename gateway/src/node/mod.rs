//! A site as one value: [`Node`] takes [`Input`], yields [`Output`], says when and why it wants to be woken.
//!
//! It touches no clock, socket, file or system randomness. The way of a mail through the rooms of this module:
//! `mail_door` or `arrivals` → `accept` (on disk) → `delivery` (lanes, local MTA) or `carrying` (links) → settled,
//! with `reporting` where somebody is to be told. `due` and `refill` bring back what waited on disk; `storekeeper`
//! and `mails` keep memory and disk from contradicting each other.

pub mod accept;
pub mod acp142_options;
mod answers;
pub mod arrivals;
pub mod batches;
mod bounds;
pub mod build;
mod carrying;
mod chat;
mod clocks;
pub mod command;
pub mod config;
mod convert;
mod delivery;
mod due;
mod links;
mod mail_door;
mod mails;
mod marks;
mod mta;
mod operator;
mod quarantine;
mod refill;
pub mod reporting;
pub mod seam;
mod show;
mod start;
pub mod steps;
mod stop;
mod storekeeper;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use skywave_protocols::message::address::Mailbox;
use skywave_protocols::random::Random;
use skywave_protocols::smtp::server::ServerConfig;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};
use skywave_transports::io::{PipeId, Space};

use crate::door::sessions::Sessions;
use crate::queue::agenda::Agenda;
use crate::queue::lanes::{BATCH_LANE, Lanes, NOWHERE_LANE};
use crate::queue::record::{HopKey, Lane, Ticket};
use crate::store::{Batch, BodyId, Query};
use crate::telemetry::Event;

use links::Links;
use mails::Mails;
use mta::Mta;
use reporting::Reports;
use seam::{Answer, ListenerId, Number};
use steps::{Saved, Settles, Then};
use storekeeper::Storekeeper;

pub use seam::{Input, Output};

/// What an answer by number is for.
#[derive(Debug)]
enum Pending {
    /// Keys of a lane's waiting hops.
    Refill(Lane),
    /// Mails of these hops.
    RefillMails(Vec<HopKey>),
    /// What is due.
    Agenda,
    /// The rows of chat in this space.
    Chat(Space),
    /// The records of a link's transport.
    Restore(usize),
    /// The operator's marks of links: which are down, silent, in EMCON.
    Marks,
    /// How many mails are queued.
    Count,
    /// The newest ticket on disk, of mails that are queued or finished.
    LastTicket(Space),
    /// The first hop on disk from this key on: its lane may be configured no more.
    Lane(Vec<u8>),
    /// The agenda from this key on, after the clock was set back.
    Displaced(Vec<u8>),
    /// A mail's record.
    Mail(Ticket, Then),
    /// Whether recipients of a mail were seen before.
    Seen(Box<arrivals::ArrivedMail>),
    /// Dedupe keys whose time has passed.
    Forget,
    /// Old history.
    Prune,
    /// Units kept for the operator, or one of them.
    Quarantine(seam::ReplyTo, Option<u64>),
    /// The number of the next unit kept.
    Quarantined,
    /// Rows for a command.
    Listing(seam::ReplyTo, show::Listing),
    /// The next page of a command that looks at every mail.
    Page(seam::ReplyTo, Box<walk::Walk>),
    /// The beginning of a mail that is reported on.
    Report(Settles),
    /// A unit is being made.
    Wrap { key: HopKey, link: usize },
    /// A unit is being opened.
    Unwrap(Box<arrivals::Opening>),
    /// A batch is being put into a mail to this address.
    WrapMail { key: HopKey, ticket: Ticket, to: Mailbox },
    /// A batch is being taken out of a mail.
    UnwrapMail(HopKey),
    /// A text is being converted for a server.
    Convert { key: HopKey, recipients: Vec<u32>, body: BodyId },
    /// A hand-over is under way.
    HandOver { key: HopKey, recipients: Vec<u32>, converted: Option<BodyId> },
    /// A password is being checked.
    Authenticate(PipeId),
}

/// Figures of a node since its start.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    /// Mails in the queue; below zero while those of earlier runs are still being counted.
    mails: i64,
    /// Those of earlier runs are counted.
    counted: bool,
    finished: u64,
    accepted: u64,
    delivered: u64,
    bounced: u64,
}

impl Counters {
    const fn mails_queued(&self) -> u64 {
        if self.mails < 0 { 0 } else { self.mails.unsigned_abs() }
    }
}

/// A site. See the module.
pub struct Node {
    config: config::SiteConfig,
    server_config: Arc<ServerConfig>,
    submission_config: Arc<ServerConfig>,
    random: Box<dyn Random>,
    out: VecDeque<Output>,
    pending: BTreeMap<Number, Pending>,
    storekeeper: Storekeeper,
    mails: Mails,
    lanes: Lanes,
    agenda: Agenda,
    mta: Mta,
    links: Links,
    chat: chat::ChatHook,
    sessions: Sessions,
    arrivals: arrivals::Arrivals,
    reports: Reports,
    operator: operator::Operator,
    answers: answers::Answers,
    counters: Counters,
    notices: BTreeMap<(String, String), u64>,
    /// The number of the next unit kept for the operator.
    quarantined: u64,
    last_ticket: u64,
    /// The first ticket of this run: hops of earlier mails that are marked open were open at a crash.
    started_ticket: Option<Ticket>,
    started_at: Option<Now>,
    /// Restores and marks still awaited before mail is taken.
    awaited: usize,
    /// What could not be read at the start, and when it is asked for again.
    unread: Vec<Pending>,
    unread_at: Option<Instant>,
    /// When refills that failed are tried again.
    refill_at: Option<Instant>,
    ready: bool,
    stopping: bool,
    /// Until when the end waits for what is under way.
    stop_at: Option<Instant>,
    now: Now,
}

impl Node {
    /// A node that has seen nothing yet; `Input::Started` is its first input.
    pub fn new(config: config::SiteConfig, random: Box<dyn Random>) -> Self {
        let server_config = mail_door::server_config(&config.mail);
        Self {
            submission_config: mail_door::submission_config(&server_config),
            server_config,
            mta: Mta::new(&config.local),
            config,
            random,
            out: VecDeque::new(),
            pending: BTreeMap::new(),
            storekeeper: Storekeeper::default(),
            mails: Mails::default(),
            lanes: Lanes::default(),
            agenda: Agenda::default(),
            links: Links::default(),
            chat: chat::ChatHook::default(),
            sessions: Sessions::default(),
            arrivals: arrivals::Arrivals::default(),
            reports: Reports::default(),
            operator: operator::Operator::default(),
            answers: answers::Answers::default(),
            counters: Counters::default(),
            notices: BTreeMap::new(),
            quarantined: 0,
            last_ticket: 0,
            started_ticket: None,
            started_at: None,
            awaited: 0,
            unread: Vec::new(),
            unread_at: None,
            refill_at: None,
            ready: false,
            stopping: false,
            stop_at: None,
            now: Now::default(),
        }
    }

    /// Takes an input. Drain [`Node::poll`] afterwards; `pump` does both.
    pub fn handle(&mut self, now: Now, input: Input) {
        let before = std::mem::replace(&mut self.now, now);
        self.watch_clocks(before, now);
        self.dispatch(now, input);
        self.drain_links(now);
        self.work(now);
        self.drain_links(now);
        self.drain_chat(now);
        self.stop_if_done(now);
    }

    fn dispatch(&mut self, now: Now, input: Input) {
        match input {
            Input::Started => self.start(now),
            Input::Woken => self.woken(now),
            Input::Command(reply_to, command) => self.command(now, reply_to, command),
            Input::ListenFailed(listener, why) => {
                let part = self.links.listens(listener);
                self.notice(part.as_deref().unwrap_or("door"), true, "listen_failed", why);
            }
            Input::Listening(..) => {}
            Input::Accepted { listener, pipe, peer } if Self::is_chat_listener(listener) => {
                self.chat_accepted(now, listener, pipe, peer);
            }
            Input::Accepted { listener, pipe, peer } => {
                if !self.links.accepted(now, listener, pipe, peer) {
                    self.session_accepted(now, listener, pipe, peer);
                }
            }
            Input::Pipe(pipe, input) if self.is_chat_pipe(pipe) => self.chat_pipe(now, pipe, input),
            Input::Pipe(pipe, input) if self.links.has_pipe(pipe) => self.links.handle_pipe(now, pipe, input),
            Input::Pipe(pipe, input) => self.session_input(now, pipe, input),
            Input::Socket(socket, input) => self.links.handle_socket(now, socket, input),
            Input::Resolved(number, resolved) => self.chat_resolved(now, number, resolved),
            Input::Stored(number) => self.stored(now, number),
            Input::StoreFailed(number, fault) => self.store_failed(now, number, fault),
            Input::BodyAppended(body, octets) => self.body_appended(now, body, octets),
            Input::BodyFailed(body, fault) => self.body_failed(now, body, &fault.to_string()),
            Input::Fetched(number, rows) => self.fetched(now, number, rows),
            Input::Loaded(number, octets) => self.loaded(now, number, octets),
            Input::Damaged(records) => records.into_iter().for_each(|record| self.tell(Event::Damaged { record })),
            Input::HandedOver(number, outcome) => self.handed_over(now, number, outcome),
            Input::Computed(number, answer) => self.computed(now, number, answer),
            Input::Stop => self.stop(now),
        }
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let at = |at: Option<Instant>, why| at.map(|at| Wakeup { at, why });
        let agenda = self.agenda.next().map(|due| {
            let wait = due.saturating_sub(self.now.wall.unix_micros());
            Wakeup { at: self.now.mono + Duration::from_micros(wait), why: "agenda" }
        });
        [
            self.sessions.next_wakeup(),
            self.links.next_wakeup(),
            self.chat.next_wakeup(),
            at(self.storekeeper.retry_at(), "disk retry"),
            at(self.reports.next(), "report again"),
            at(self.unread_at, "read again"),
            at(self.refill_at, "refill again"),
            at(self.stop_at, "stop"),
            self.operator.next_wakeup(),
            agenda,
        ]
        .into_iter()
        .fold(None, Wakeup::earlier)
    }

    /// Its configuration.
    pub const fn config(&self) -> &config::SiteConfig {
        &self.config
    }

    fn start(&mut self, now: Now) {
        self.started_at = Some(now);
        self.build_links(now);
        self.build_chat(now);
        for space in [Space::Mail, Space::History] {
            self.await_fetch(Pending::LastTicket(space));
        }
        // Links begin when their records are back, and must know by then whether they are to be silent.
        self.await_fetch(Pending::Marks);
        self.await_fetch(Pending::Quarantined);
    }

    /// One of the things awaited at the start is here; with the last one the site takes mail.
    fn arrived_at_start(&mut self, now: Now) {
        self.awaited = self.awaited.saturating_sub(1);
        if self.awaited > 0 || self.ready {
            return;
        }
        self.ready = true;
        self.started_ticket = Some(self.new_ticket(now.wall));
        let door: Vec<Output> =
            (0..).zip(self.door_listeners()).map(|(number, at)| Output::Listen(ListenerId(number), at)).collect();
        self.out.extend(door);
        let listeners = self.links.listeners().map(|(listener, address)| Output::Listen(listener, address));
        self.out.extend(listeners);
        let links = self.links.iter().map(|link| link.name.clone());
        let ways = self.config.batch_mail.iter().map(|way| way.name.clone());
        let own = [BATCH_LANE.into(), NOWHERE_LANE.into()];
        let doors = self.config.local.iter().map(|local| local.name.clone());
        for lane in doors.chain(links).chain(ways).chain(own).collect::<Vec<_>>() {
            self.lanes.open(lane);
        }
        let query = self.agenda.first_query();
        let number = self.fetch(query);
        self.pending.insert(number, Pending::Agenda);
        self.ask(Pending::Lane(Vec::new()));
        self.look_for_displaced(now.wall);
        self.start_chat(now);
        // Counting reads the whole queue: mail is taken meanwhile.
        self.ask(Pending::Count);
        self.tell(Event::Ready { site: self.config.site.to_string() });
    }

    fn woken(&mut self, now: Now) {
        self.sessions_due(now);
        self.links.handle_wakeup(now);
        self.chat_due(now);
        self.agenda_due(now);
        self.reports_due(now);
        self.pings_due(now);
        self.read_again_due(now);
        self.refills_due(now);
        if let Some((number, batch)) = self.storekeeper.retry(now.mono) {
            self.out.push_back(Output::Store(number, batch));
        }
    }

    fn stored(&mut self, now: Now, number: Number) {
        let Some((saved, recovered)) = self.storekeeper.stored(number) else { return };
        if recovered {
            self.tell(Event::StoreRecovered);
        }
        match saved {
            Saved::Accepted(accepted) => {
                self.counters.accepted += 1;
                self.accepted(now, *accepted);
            }
            Saved::Notes(tickets) => tickets.into_iter().for_each(|ticket| self.mails.written(ticket)),
            Saved::Marked(keys) => self.marked(&keys),
            Saved::Transport(link, number) => self.transport_stored(now, link, number),
            Saved::Chat(number) => self.chat_stored(now, number),
        }
        self.answer_stored(number);
    }

    fn store_failed(&mut self, now: Now, number: Number, fault: crate::store::StoreFault) {
        if !self.storekeeper.is_failing() {
            self.tell(Event::StoreFailing { why: fault.to_string() });
        }
        self.answer_not_stored(number, &fault.to_string());
        if let Some(refused) = self.storekeeper.failed(now.mono, number, fault) {
            self.refused(now, refused);
        }
    }

    fn fetched(
        &mut self,
        now: Now,
        number: Number,
        rows: Result<Vec<skywave_transports::io::Row>, crate::store::StoreFault>,
    ) {
        let pending = self.pending.remove(&number);
        let pending = if rows.is_err() { pending.and_then(|pending| self.read_again(now, pending)) } else { pending };
        match pending {
            Some(Pending::Refill(lane)) => self.refilled(now, &lane, rows),
            Some(Pending::RefillMails(keys)) => self.refill_mails(now, keys, rows),
            Some(Pending::Agenda) => self.agenda_fetched(now, rows),
            Some(Pending::Chat(space)) => {
                self.chat_rows(space, rows.unwrap_or_default());
                self.arrived_at_start(now);
            }
            Some(Pending::Restore(link)) => {
                let name = self.links.link(link).map_or(0, |link| link.name.len() + 1);
                let mut rows = rows.unwrap_or_default();
                rows.iter_mut().for_each(|row| drop(row.key.drain(..name.min(row.key.len()))));
                self.links.restore(now, link, rows);
                self.arrived_at_start(now);
            }
            Some(Pending::Marks) => {
                self.take_marks(now, rows.unwrap_or_default());
                (0..self.links.len()).for_each(|index| self.await_fetch(Pending::Restore(index)));
                self.arrived_at_start(now);
            }
            Some(Pending::Quarantine(reply_to, number)) => self.quarantine_fetched(reply_to, number, rows),
            Some(Pending::Quarantined) => {
                self.quarantine_counted(&rows.unwrap_or_default());
                self.arrived_at_start(now);
            }
            Some(Pending::Count) => {
                let count = rows.ok().and_then(|rows| rows.first().and_then(|row| row.value.as_ref().try_into().ok()));
                self.counters.mails += count.map_or(0, u64::from_be_bytes).cast_signed();
                self.queue_counted();
            }
            Some(Pending::LastTicket(_)) => {
                let last = rows.ok().and_then(|rows| rows.first().and_then(|row| row.key.as_slice().try_into().ok()));
                self.last_ticket = self.last_ticket.max(last.map_or(0, u64::from_be_bytes));
                self.arrived_at_start(now);
            }
            Some(Pending::Lane(_)) => self.lane_found(rows.unwrap_or_default()),
            Some(Pending::Displaced(_)) => self.displaced(now, rows.unwrap_or_default()),
            Some(Pending::Mail(ticket, then)) => self.mail_fetched(now, ticket, then, rows),
            Some(Pending::Seen(mail)) => self.seen_fetched(now, *mail, rows),
            Some(Pending::Forget) => self.forget(rows.unwrap_or_default()),
            Some(Pending::Prune) => self.prune(rows.unwrap_or_default()),
            Some(Pending::Listing(reply_to, listing)) => self.listed(reply_to, listing, rows),
            Some(Pending::Page(reply_to, walk)) => self.page_fetched(now, reply_to, *walk, rows),
            Some(other) => drop(self.pending.insert(number, other)),
            None => {}
        }
        self.mails.fetched(number);
    }

    fn computed(&mut self, now: Now, number: Number, answer: Answer) {
        match self.pending.remove(&number) {
            Some(Pending::Wrap { key, link }) => self.wrapped(now, &key, link, answer),
            Some(Pending::WrapMail { key, ticket, to }) => self.batch_mail_made(now, &key, ticket, to, answer),
            Some(Pending::UnwrapMail(key)) => self.batch_mail_opened(now, &key, answer),
            Some(Pending::Unwrap(opening)) => self.unwrapped(now, *opening, answer),
            Some(Pending::Convert { key, recipients, body }) => self.converted(now, key, recipients, body, answer),
            Some(Pending::Authenticate(pipe)) => self.authenticated(now, pipe, &answer),
            Some(other) => drop(self.pending.insert(number, other)),
            None => {}
        }
    }

    /// Sends a batch to the store under the number returned, or keeps it until the disk works.
    fn save(&mut self, batch: Batch, saved: Saved) -> Option<Number> {
        let prepared = self.storekeeper.prepare(batch, saved);
        let number = prepared.as_ref().map(|(number, _)| *number);
        self.answers.saving(number);
        self.out.extend(prepared.map(|(number, batch)| Output::Store(number, batch)));
        number
    }

    /// Asks for rows.
    fn fetch(&mut self, query: Query) -> Number {
        let number = self.storekeeper.number();
        self.mails.fetching(number);
        self.out.push_back(Output::Fetch(number, query));
        number
    }

    fn tell(&mut self, event: Event) {
        if let Event::MailTried { status, .. } = &event {
            match status {
                crate::telemetry::Status::Sent | crate::telemetry::Status::Relayed => self.counters.delivered += 1,
                crate::telemetry::Status::Bounced | crate::telemetry::Status::Expired => self.counters.bounced += 1,
                crate::telemetry::Status::Deferred => {}
            }
        }
        if let Event::Notice { part, name, .. } = &event {
            *self.notices.entry((part.clone(), name.clone())).or_default() += 1;
        }
        self.out.push_back(Output::Tell(event));
    }

    fn notice(&mut self, part: &str, alarm: bool, name: &str, detail: String) {
        self.tell(Event::Notice { part: part.to_owned(), alarm, name: name.to_owned(), detail });
    }

    fn unreadable_record(&mut self, key: &[u8], why: &str) {
        let record = format!("mail {} ({why})", skywave_protocols::bytes::hex(key));
        self.tell(Event::Damaged { record });
    }
}

//! The server side of one SMTP connection, without a socket.
//!
//! The gateway feeds octets and time, takes replies and events, and answers three kinds of question: every MAIL and RCPT
//! ([`Event::Sender`], [`Event::Recipient`]: [`Server::answer`]), every password ([`Event::Authenticate`]:
//! [`Server::authenticated`]), and the complete body ([`Event::BodyEnd`]: [`Server::finish`], to be called after the
//! commit only, as its 2xx hands responsibility over). One question is open at a time; what the client pipelines
//! meanwhile waits, bounded.
//!
//! Promises: a body comes in pieces of bounded size, dots unstuffed, between [`Event::Opened`] and [`Event::BodyEnd`];
//! a transaction that was begun ([`Event::Sender`] answered well) and does not reach `BodyEnd` yields exactly one
//! [`Event::Aborted`]; the last event is [`Event::Closed`], and the pipe closes when everything written has left.
//! Refuses and closes: bare CR, bare LF and NUL in commands and DATA, pipelining where RFC 2920 forbids it, endless
//! lines, slow lorises. Limits: [`crate::smtp::limits`] and [`ServerConfig`].

mod auth;
mod commands;
mod config;
mod transfer;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::message::address::Mailbox;
use crate::message::mail::{Envelope, MailParameters, Recipient};
use crate::time::{Instant, Now, Wakeup};

use super::body::Scanner;
use super::fault::SmtpFault;
use super::limits::{
    BODY_OUTSTANDING_OCTETS_MAX, BODY_PROGRESS_OCTETS_MIN, COMMAND_OCTETS_MAX, INPUT_OCTETS_MAX, INPUT_PAUSE_OCTETS,
    OUTPUT_PAUSE_OCTETS,
};
use super::reply::Reply;

pub use super::body::BodyFacts;
use auth::AuthStep;
pub use auth::Secret;
pub use config::{Secured, ServerConfig, Session};

/// What the server tells the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Is this password right? Answer with [`Server::authenticated`].
    Authenticate {
        /// The user's name as given.
        user: String,
        /// The password; never logged.
        password: Secret,
    },
    /// May this sender begin a mail? Answer with [`Server::answer`].
    Sender {
        /// `None` is the null path.
        sender: Option<Mailbox>,
        /// As given.
        parameters: Box<MailParameters>,
    },
    /// Is this recipient taken? Answer with [`Server::answer`].
    Recipient(Box<Recipient>),
    /// The envelope is complete, the body begins.
    Opened(Box<Envelope>),
    /// A piece of the body. Say [`Server::body_taken`] when it is stored.
    BodyPiece(Bytes),
    /// The body is complete. Commit, then answer with [`Server::finish`].
    BodyEnd(BodyFacts),
    /// The mail begun will not come; nothing of it may be kept.
    Aborted,
    /// Secure the pipe as its server once everything written has left, then say [`Server::handle_secured`].
    StartTls,
    /// Something for the log; the connection goes on.
    Noted(SmtpFault),
    /// The connection is over; close the pipe when everything written has left. A mail between `BodyEnd` and `finish`
    /// is the gateway's: to keep it (the client may send it again) or to drop it if it is not yet committed.
    Closed(Option<SmtpFault>),
}

/// A question to the gateway.
#[derive(Debug)]
enum Question {
    Sender(Option<Mailbox>, Box<MailParameters>),
    Recipient(Box<Recipient>),
    User(String),
    Finish,
}

#[derive(Debug)]
enum State {
    /// Between command lines.
    Command,
    /// The gateway owes an answer.
    Waiting(Question),
    /// A line of an AUTH exchange comes.
    Auth(AuthStep),
    /// DATA comes.
    Data,
    /// Octets of a chunk come.
    Chunk { left: u64, octets: u64, last: bool },
    /// Octets of a refused chunk come; then the reply goes out.
    Skip { left: u64, reply: Reply },
    /// The pipe is being secured.
    Securing,
    /// Nothing more will happen.
    Closed,
}

/// A mail being received.
#[derive(Debug)]
struct Transaction {
    envelope: Envelope,
    /// Set by DATA or the first BDAT.
    scanner: Option<Scanner>,
    /// Whether the gateway has been told that the mail will not come.
    failed: bool,
    /// The gateway's reply, when it came before the end of the body.
    early: Option<Reply>,
}

/// The server side of one connection. See the module.
#[derive(Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
    session: Session,
    state: State,
    transaction: Option<Transaction>,
    input: BytesMut,
    output: String,
    greeted: bool,
    piece: BytesMut,
    events: VecDeque<Event>,
    outstanding: usize,
    errors: u32,
    idle_commands: u32,
    auth_failures: u32,
    deadline: Instant,
    progress: u64,
}

impl Server {
    /// A connection just accepted from `peer`; the greeting is ready to be written.
    pub fn new(config: Arc<ServerConfig>, now: Now, peer: SocketAddr) -> Self {
        let mut server = Self {
            session: Session::new(peer),
            state: State::Command,
            transaction: None,
            input: BytesMut::new(),
            output: String::new(),
            greeted: false,
            piece: BytesMut::new(),
            events: VecDeque::new(),
            outstanding: 0,
            errors: 0,
            idle_commands: 0,
            auth_failures: 0,
            deadline: now.mono + config.command_wait,
            progress: 0,
            config,
        };
        let greeting = format!("{} ESMTP Skywave", server.config.hostname);
        server.reply(&Reply::plain(220, greeting));
        server
    }

    /// SIZE as the client declared it for the mail that has begun.
    pub fn declared_size(&self) -> Option<u64> {
        self.transaction.as_ref().and_then(|transaction| transaction.envelope.mail.size)
    }

    /// Who is at the other end.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Octets from the peer.
    pub fn handle_read(&mut self, now: Now, octets: &[u8]) {
        if matches!(self.state, State::Closed | State::Securing) {
            return;
        }
        //= smtp/PIPE-001
        if !self.greeted {
            return self.fail(SmtpFault::Pipelining("connect"));
        }
        self.input.extend_from_slice(octets);
        self.run(now);
        if self.input.len() > INPUT_OCTETS_MAX {
            self.fail(SmtpFault::InputOverflow(self.input.len()));
        }
    }

    /// The peer closed the pipe, or it broke.
    pub fn handle_closed(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.close(None);
        }
    }

    /// The time asked for has come.
    pub fn handle_wakeup(&mut self, now: Now) {
        if self.next_wakeup().is_none_or(|wakeup| wakeup.at > now.mono) {
            return;
        }
        match self.state {
            State::Data | State::Chunk { .. } | State::Skip { .. } => {
                // While we ask for a pause, silence is ours and not the peer's.
                if self.progress < BODY_PROGRESS_OCTETS_MIN && !self.wants_pause() {
                    return self.fail(SmtpFault::Timeout("data"));
                }
                self.progress = 0;
                self.deadline = now.mono + self.config.body_wait;
            }
            //= smtp/TIME-001
            State::Command | State::Auth(_) => self.fail(SmtpFault::Timeout("command")),
            // No reply in clear in the middle of a handshake.
            State::Securing => self.close(Some(SmtpFault::Timeout("TLS"))),
            State::Waiting(_) | State::Closed => {}
        }
    }

    /// The pipe is secured: everything the client said before is forgotten (RFC 3207 section 4.2). Also for pipes that
    /// are secured from the beginning.
    pub fn handle_secured(&mut self, now: Now, secured: Secured) {
        if matches!(self.state, State::Closed) {
            return;
        }
        if matches!(self.state, State::Securing) {
            self.session = Session::new(self.session.peer);
            self.state = State::Command;
        }
        self.session.secured = Some(secured);
        self.deadline = now.mono + self.config.command_wait;
    }

    /// The gateway's answer to [`Event::Sender`] or [`Event::Recipient`]: a 2xx takes it. Without an open question
    /// nothing happens.
    pub fn answer(&mut self, now: Now, reply: &Reply) {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Waiting(Question::Sender(sender, parameters)) => self.sender_answered(sender, *parameters, reply),
            State::Waiting(Question::Recipient(recipient)) => self.recipient_answered(*recipient, reply),
            other => {
                self.state = other;
                return;
            }
        }
        self.deadline = now.mono + self.config.command_wait;
        self.reply(reply);
        self.run(now);
    }

    /// The gateway's answer to [`Event::BodyEnd`]. It may come earlier, to refuse: the rest of the body is then read and
    /// dropped, no `BodyEnd` follows, and the client gets the reply at its end.
    pub fn finish(&mut self, now: Now, reply: Reply) {
        match self.state {
            State::Waiting(Question::Finish) => {
                self.state = State::Command;
                self.deadline = now.mono + self.config.command_wait;
                self.finished(&reply);
                self.run(now);
            }
            State::Data | State::Chunk { .. } | State::Skip { .. } | State::Command => {
                let opened = self.transaction.as_mut().filter(|transaction| transaction.scanner.is_some());
                if let Some(transaction) = opened {
                    transaction.failed = true;
                    transaction.early = Some(reply);
                }
            }
            State::Waiting(_) | State::Auth(_) | State::Securing | State::Closed => {}
        }
    }

    /// Closes the connection from this side, with a last reply (421 at shutdown).
    pub fn shut_down(&mut self, reply: &Reply) {
        if !matches!(self.state, State::Closed) {
            self.reply(reply);
            self.close(None);
        }
    }

    /// The gateway has put away this many octets of body pieces.
    pub const fn body_taken(&mut self, octets: usize) {
        self.outstanding = self.outstanding.saturating_sub(octets);
    }

    /// Whether reading should pause: too much body, input or output waits for somebody else.
    pub fn wants_pause(&self) -> bool {
        self.outstanding > BODY_OUTSTANDING_OCTETS_MAX
            || self.input.len() > INPUT_PAUSE_OCTETS
            || self.output.len() > OUTPUT_PAUSE_OCTETS
    }

    /// Octets to the peer.
    pub fn poll_write(&mut self) -> Option<Bytes> {
        self.greeted = true;
        if self.output.is_empty() {
            return None;
        }
        Some(Bytes::from(std::mem::take(&mut self.output)))
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When the peer's time is up.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let why = match self.state {
            State::Command | State::Auth(_) => "smtp command",
            State::Data | State::Chunk { .. } | State::Skip { .. } => "smtp data",
            State::Securing => "smtp tls",
            State::Waiting(_) | State::Closed => return None,
        };
        Some(Wakeup { at: self.deadline, why })
    }

    /// Works on the input until it is used up or something else is waited for.
    fn run(&mut self, now: Now) {
        loop {
            let progress = match self.state {
                State::Command | State::Auth(_) => self.line(now),
                State::Data => self.data(now),
                State::Chunk { left, octets, last } => self.chunk(now, left, octets, last),
                State::Skip { left, .. } => self.skip(now, left),
                State::Waiting(_) | State::Securing | State::Closed => false,
            };
            if !progress {
                return;
            }
        }
    }

    /// One command line, if it is complete.
    fn line(&mut self, now: Now) -> bool {
        let found = memchr::memchr3(b'\r', b'\n', 0, &self.input);
        let end = found.unwrap_or(self.input.len());
        //= smtp/LINE-001
        if end + 2 > COMMAND_OCTETS_MAX {
            self.fail(SmtpFault::CommandTooLong(COMMAND_OCTETS_MAX));
            return false;
        }
        match (self.input.get(end), self.input.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                let line = self.input.split_to(end + 2).freeze();
                self.deadline = now.mono + self.config.command_wait;
                self.command_line(now, &line[..end]);
                true
            }
            (None, _) | (Some(b'\r'), None) => false,
            //= smtp/LINE-002
            (Some(&octet), _) => {
                let fault = match octet {
                    b'\r' => SmtpFault::BareLineEnd("CR"),
                    b'\n' => SmtpFault::BareLineEnd("LF"),
                    _ => SmtpFault::Nul,
                };
                self.fail(fault);
                false
            }
        }
    }

    fn reply(&mut self, reply: &Reply) {
        reply.write(self.session.extended && self.config.extensions.enhanced_status_codes, &mut self.output);
    }

    /// Refuses a command; too many of that end the connection.
    fn refuse(&mut self, reply: &Reply) {
        self.reply(reply);
        self.errors += 1;
        if self.errors > self.config.errors_max {
            self.fail(SmtpFault::TooManyErrors);
        }
    }

    /// Tells the peer why and closes.
    fn fail(&mut self, fault: SmtpFault) {
        self.reply(&fault.reply());
        self.close(Some(fault));
    }

    fn close(&mut self, fault: Option<SmtpFault>) {
        let finishing = matches!(self.state, State::Waiting(Question::Finish));
        if finishing {
            self.transaction = None;
        }
        self.abort();
        self.input = BytesMut::new();
        self.state = State::Closed;
        self.events.push_back(Event::Closed(fault));
    }

    /// Ends the transaction, if there is one, and says so once.
    fn abort(&mut self) {
        self.piece = BytesMut::new();
        self.outstanding = 0;
        if self.transaction.take().is_some_and(|transaction| !transaction.failed) {
            self.events.push_back(Event::Aborted);
        }
    }
}

#[cfg(test)]
mod tests;

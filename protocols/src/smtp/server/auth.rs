//! AUTH PLAIN (RFC 4616) and LOGIN (as everybody does it), only over TLS unless configured otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::smtp::fault::SmtpFault;
use crate::smtp::limits::AUTH_FAILURES_MAX;
use crate::smtp::reply::Reply;
use crate::time::Now;

use super::{Event, Question, Server, State};

/// Text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, to be compared and forgotten.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// What the next line of the exchange is.
#[derive(Debug)]
pub(super) enum AuthStep {
    Plain,
    LoginUser,
    LoginPassword(String),
}

impl Server {
    /// Whether AUTH is offered now.
    pub(super) fn offers_auth(&self) -> bool {
        let private = self.session.secured.is_some() || self.config.auth_in_clear;
        self.config.extensions.auth && private && self.session.user.is_none()
    }

    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&str>) {
        if !self.session.extended || self.session.user.is_some() || self.transaction.is_some() {
            return self.refuse(&Reply::new(503, (5, 1), "AUTH is not possible now"));
        }
        //= smtp/AUTH-001
        if !self.offers_auth() {
            return self.refuse(&Reply::new(538, (7, 11), "encryption required for authentication"));
        }
        let step = match mechanism {
            "PLAIN" => AuthStep::Plain,
            "LOGIN" => AuthStep::LoginUser,
            _ => return self.refuse(&Reply::new(504, (5, 4), "mechanism not supported")),
        };
        match initial {
            Some("=") => self.auth_text(step, ""),
            Some(text) => self.auth_text(step, text),
            None => self.challenge(step),
        }
    }

    /// A line of the exchange.
    pub(super) fn auth_line(&mut self, step: AuthStep, line: &[u8]) {
        self.state = State::Command;
        match std::str::from_utf8(line) {
            Ok("*") => self.refuse(&Reply::new(501, (7, 0), "authentication cancelled")),
            Ok(text) => self.auth_text(step, text),
            Err(_) => self.malformed(),
        }
    }

    fn auth_text(&mut self, step: AuthStep, text: &str) {
        let Some(text) = STANDARD.decode(text).ok().and_then(|octets| String::from_utf8(octets).ok()) else {
            return self.malformed();
        };
        match step {
            AuthStep::Plain => self.plain(&text),
            AuthStep::LoginUser => self.challenge(AuthStep::LoginPassword(text)),
            AuthStep::LoginPassword(user) => self.ask(user, text),
        }
    }

    fn plain(&mut self, text: &str) {
        let mut parts = text.split('\0');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            // To act for somebody else is not offered.
            (Some(identity), Some(user), Some(password), None) if identity.is_empty() || identity == user => {
                self.ask(user.to_owned(), password.to_owned());
            }
            (Some(_), Some(_), Some(_), None) => self.auth_refused(),
            _ => self.malformed(),
        }
    }

    fn challenge(&mut self, step: AuthStep) {
        let text = match step {
            AuthStep::Plain => String::new(),
            AuthStep::LoginUser => STANDARD.encode("Username:"),
            AuthStep::LoginPassword(_) => STANDARD.encode("Password:"),
        };
        self.reply(&Reply::plain(334, text));
        self.state = State::Auth(step);
    }

    fn ask(&mut self, user: String, password: String) {
        self.events.push_back(Event::Authenticate { user: user.clone(), password: Secret(password) });
        self.state = State::Waiting(Question::User(user));
    }

    /// The gateway's answer to [`Event::Authenticate`].
    pub fn authenticated(&mut self, now: Now, right: bool) {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Waiting(Question::User(user)) if right => {
                self.session.user = Some(user);
                self.reply(&Reply::new(235, (7, 0), "authentication successful"));
            }
            State::Waiting(Question::User(_)) => self.auth_refused(),
            other => {
                self.state = other;
                return;
            }
        }
        self.deadline = now.mono + self.config.command_wait;
        self.run(now);
    }

    fn auth_refused(&mut self) {
        self.refuse(&Reply::new(535, (7, 8), "authentication credentials invalid"));
        self.auth_failures += 1;
        if self.auth_failures >= AUTH_FAILURES_MAX && !matches!(self.state, State::Closed) {
            self.fail(SmtpFault::TooManyAuthFailures);
        }
    }

    fn malformed(&mut self) {
        self.refuse(&Reply::new(501, (5, 2), "malformed authentication data"));
    }
}

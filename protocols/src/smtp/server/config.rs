//! What a server is told, and what it knows about its client.

use std::net::SocketAddr;
use std::time::Duration;

use crate::smtp::grammar::Extensions;
use crate::smtp::limits;

/// The configuration of one listening door, shared by its connections.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Our name, in the greeting and after EHLO.
    pub hostname: String,
    /// Largest mail in octets; announced with SIZE.
    pub size_max: u64,
    /// Recipients of one mail; the next get 452.
    pub recipients_max: usize,
    /// Longest line of a body in octets, CRLF not counted; at least 998.
    pub line_octets_max: usize,
    /// Longest header in octets.
    pub header_octets_max: usize,
    /// Refused commands before the connection is closed.
    pub errors_max: u32,
    /// What is offered. BINARYMIME needs CHUNKING.
    pub extensions: Extensions,
    /// Whether a certificate is there, so that STARTTLS can be offered.
    pub tls: bool,
    /// Whether AUTH is taken without TLS.
    pub auth_in_clear: bool,
    /// Whether MAIL needs AUTH first (a submission port).
    pub auth_required: bool,
    /// Time for one command.
    pub command_wait: Duration,
    /// Time in which some of the body must come.
    pub body_wait: Duration,
}

impl ServerConfig {
    /// The defaults for the server called `hostname`.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            size_max: limits::MAIL_OCTETS_MAX,
            recipients_max: limits::RECIPIENTS_MAX,
            line_octets_max: limits::LINE_OCTETS_MAX,
            header_octets_max: limits::HEADER_OCTETS_MAX,
            errors_max: limits::ERRORS_MAX,
            extensions: Extensions::SERVER,
            tls: false,
            auth_in_clear: false,
            auth_required: false,
            command_wait: limits::COMMAND_WAIT,
            body_wait: limits::BODY_WAIT,
        }
    }
}

/// What is known about a secured pipe.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Secured {
    /// The names of the client's certificate, if it showed one that was trusted.
    pub peer_names: Vec<String>,
}

/// Who is at the other end of a connection, as far as known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The address of the pipe.
    pub peer: SocketAddr,
    /// The name given with EHLO or HELO; not checked.
    pub client_name: Option<String>,
    /// Whether it was EHLO.
    pub extended: bool,
    /// Set once the pipe is secured.
    pub secured: Option<Secured>,
    /// Set once a password was right.
    pub user: Option<String>,
}

impl Session {
    pub(super) const fn new(peer: SocketAddr) -> Self {
        Self { peer, client_name: None, extended: false, secured: None, user: None }
    }

    /// The protocol's name in a Received field (RFC 3848).
    pub const fn protocol(&self, smtputf8: bool) -> &'static str {
        match (smtputf8, self.extended, self.secured.is_some(), self.user.is_some()) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, false, _, _) => "SMTP",
            (false, true, false, false) => "ESMTP",
            (false, true, true, false) => "ESMTPS",
            (false, true, false, true) => "ESMTPA",
            (false, true, true, true) => "ESMTPSA",
        }
    }
}

//! What passes between the door and its node.

use std::net::IpAddr;

use bytes::Bytes;
use serde::Serialize;

use crate::xmpp::stanza::Stanza;

/// One connection. The door numbers those it opens; those accepted have the highest bit set by the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct ConnId(pub u64);

/// What a connection reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConnInput {
    /// It is open.
    Opened,
    /// It could not be opened; the reason in words.
    Refused(String),
    /// Octets arrived.
    Read(Bytes),
    /// The octets of the first so many writes have left.
    Drained(u64),
    /// It ended; the reason in words, if there is one.
    Closed(Option<String>),
    /// TLS is established.
    Secured {
        /// DNS names of the peer's verified certificate; empty without one.
        peer_names: Vec<String>,
        /// The agreed ALPN protocol.
        alpn: Option<String>,
    },
    /// TLS failed and the connection ended; the reason in words.
    SecureFailed(String),
}

/// What the door asks for, and what it tells.
#[derive(Clone, PartialEq, Debug)]
pub enum DoorOutput {
    /// Open a connection to `host:port`.
    Open(ConnId, String),
    /// Write octets.
    Write(ConnId, Bytes),
    /// Close after what was written has left. Nothing more of this connection is of interest.
    Close(ConnId),
    /// Read nothing until `Resume`.
    Pause(ConnId),
    /// Read again.
    Resume(ConnId),
    /// Start TLS after what was written has left.
    Secure(ConnId, DoorSecure),
    /// Look a name up; answered with the number.
    Resolve(u64, DoorLookup),
    /// What happened.
    Event(DoorEvent),
}

/// How TLS is to be established.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DoorSecure {
    /// Whether we are the client.
    pub client: bool,
    /// As client: the domain that is asked for. As server the certificate does not depend on what is asked for: Prosody
    /// asks for nothing.
    pub server_name: Option<String>,
    /// ALPN protocols.
    pub alpn: Vec<String>,
    /// Name of the certificate to show.
    pub certificate: Option<String>,
    /// As client: the server's certificate must prove `server_name`. As server: a certificate is asked for and its names
    /// are told if it proves itself; without one, or with one that proves nothing, TLS goes on all the same.
    pub want_peer_certificate: bool,
    /// Whether TLS fails without one that proves the name that was called.
    pub require_peer_certificate: bool,
}

/// A name to look up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DoorLookup {
    /// Services of a name (`_xmpp-server._tcp.example.org`).
    Srv(String),
    /// Addresses of a host.
    Addresses(String),
}

/// What a look-up found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Hosts of a service.
    Hosts(Vec<FoundHost>),
    /// Addresses of a host.
    Addresses(Vec<IpAddr>),
    /// The name surely does not exist or has no such record.
    Nothing,
    /// Nobody answered; the reason in words.
    Failed(String),
}

/// One host of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundHost {
    /// Its name; `.` says that the service is not offered.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Lower first.
    pub priority: u16,
    /// Weight among equals.
    pub weight: u16,
}

/// What happened at the door.
#[derive(Clone, PartialEq, Debug)]
pub enum DoorEvent {
    /// A local server handed a stanza over. Its sender is one that the stream is authenticated for, its recipient one
    /// that we front. Answer with `taken`.
    Arrived {
        /// The number for `taken`.
        arrival: u64,
        /// The stanza.
        stanza: Stanza,
    },
    /// A stanza is with its local server.
    HandedOver {
        /// As given to `deliver`.
        token: u64,
        /// Whether the server confirmed it; else it was written and has left.
        confirmed: bool,
    },
    /// The stream could not be made or died first: deliver again later, with the same id. The server may have it already.
    Returned {
        /// As given to `deliver`.
        token: u64,
        /// The reason in words.
        why: String,
    },
    /// The stanza will never be taken.
    Refused {
        /// As given to `deliver`.
        token: u64,
        /// The condition of the stanza error that tells the sender.
        condition: &'static str,
        /// The reason in words.
        why: String,
    },
    /// A local domain can be reached.
    Up {
        /// The domain.
        local: String,
        /// For which domain of ours, or by which component.
        ours: String,
    },
    /// A local domain cannot be reached; it is tried again.
    Down {
        /// The domain.
        local: String,
        /// For which domain of ours, or by which component.
        ours: String,
        /// The reason in words.
        why: String,
    },
    /// Something for the log.
    Notice {
        /// Its name.
        name: &'static str,
        /// Whether somebody must look.
        alarm: bool,
        /// In words, without addresses of users.
        detail: String,
    },
}

/// What an operator is shown of the door.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DoorView {
    /// The open streams, in the order of their numbers.
    pub streams: Vec<StreamView>,
    /// What waits for streams that are not there.
    pub waiting: Vec<WaitingView>,
}

/// One stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StreamView {
    /// The connection.
    pub connection: u64,
    /// `component`, `outgoing` or `incoming`.
    pub direction: &'static str,
    /// Our domain.
    pub ours: String,
    /// The server's domain; empty until it is known.
    pub theirs: String,
    /// Whether it runs inside TLS.
    pub secured: bool,
    /// How we or they are authenticated: `handshake`, `external`, `dialback` or `none`.
    pub authenticated: &'static str,
    /// Whether it carries stanzas both ways.
    pub bidi: bool,
    /// Whether stream management confirms what we write.
    pub stream_management: bool,
    /// Stanzas written and not confirmed.
    pub unconfirmed: usize,
    /// Stanzas that arrived and are not taken yet.
    pub untaken: usize,
}

/// What waits for one pair of domains.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WaitingView {
    /// Our domain.
    pub ours: String,
    /// The local domain.
    pub theirs: String,
    /// Stanzas.
    pub stanzas: usize,
    /// Octets.
    pub octets: usize,
    /// What it waits for: `look-up`, `connection`, `stream`, `back-off`.
    pub what_for: &'static str,
    /// Tries that failed since it last worked.
    pub failures: u32,
}

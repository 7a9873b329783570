//! What machines and the shell say to each other about pipes, datagrams and stored records.
//!
//! The gateway's `Input` and `Output` are made of these, and so is what a [`crate::transport::Transport`] asks for.
//! Numbers of pipes and sockets are chosen by whoever opens them and are local to that machine; the node translates.

use std::net::SocketAddr;

use skywave_protocols::bytes::Bytes;

/// The number of a pipe (one TCP connection), local to the machine that opened it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PipeId(pub u64);

/// The number of a datagram socket, local to the machine that opened it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId(pub u64);

/// What a pipe reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PipeInput {
    /// The connection asked for is open.
    Opened,
    /// It could not be opened; the reason in words.
    Refused(String),
    /// It ended: by the other end, by an error (in words), or after our own close.
    Closed(Option<String>),
    /// Octets arrived.
    Read(Bytes),
    /// All octets of the first so many `Write`s of this pipe have left for the network. It says how many, as a write may have
    /// been asked for while this was on its way.
    Drained(u64),
    /// TLS is established.
    Secured(Secured),
    /// TLS failed; the pipe is closed. The reason in words.
    SecureFailed(String),
}

/// What is known of the other end after TLS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Secured {
    /// DNS names of the peer's certificate where an authority or a pin vouches for them, wildcards as they are written;
    /// empty otherwise.
    pub peer_names: Vec<String>,
    /// The agreed ALPN protocol.
    pub alpn: Option<String>,
}

/// What a machine asks of a pipe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PipeOutput {
    /// Open a connection; answered by `Opened` or `Refused`.
    Open {
        /// Host name or address, and port.
        target: String,
        /// Differentiated Services code point of its packets.
        dscp: u8,
    },
    /// Write octets; `Drained` follows when all written octets have left.
    Write(Bytes),
    /// Close after what was written has left.
    Close,
    /// Close at once, whatever has not left; nothing more is said of this pipe.
    Abandon,
    /// Read nothing until `Resume`: the network's own flow control then holds the peer back.
    Pause,
    /// Read again.
    Resume,
    /// Say `Drained` of this pipe too, although it was accepted: by itself that is said only of pipes we opened.
    TellDrained,
    /// Let the network hold at most about so many octets that have not been sent; what is written waits here meanwhile,
    /// where something more urgent can still go before it.
    LimitSending(usize),
    /// Start TLS. Octets read in clear before it are discarded.
    Secure(Secure),
}

/// How TLS is to be established.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secure {
    /// Which end we are.
    pub role: TlsRole,
    /// The name that the server must prove (client) or the name asked for (server, `None` for any).
    pub server_name: Option<String>,
    /// ALPN protocols offered.
    pub alpn: Vec<String>,
    /// Name of the certificate to show, as the shell's configuration knows it.
    pub certificate: Option<String>,
    /// What makes the other end trusted.
    pub trust: Trust,
}

/// Which end of TLS we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsRole {
    /// We connect.
    Client,
    /// We answer.
    Server,
}

/// Who vouches for certificates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Authority {
    /// The system's roots.
    System,
    /// Those in a file that the shell's configuration knows by this name.
    Named(String),
}

/// What makes the other end of TLS trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// No certificate is asked for (server) or any is taken (client, opportunistic).
    Anybody,
    /// Any certificate is taken, or none; the names in it are told only where the authority vouches for them. For
    /// those who decide after TLS (SASL EXTERNAL or dialback).
    Asked(Authority),
    /// A certificate for which this authority vouches.
    Authority(Authority),
    /// One of these SHA-256 digests of the certificate, in hex.
    Pins(Vec<String>),
}

/// What a datagram socket reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SocketInput {
    /// It is bound.
    Bound(SocketAddr),
    /// It could not be bound, or broke; the reason in words.
    Failed(String),
    /// A datagram arrived.
    Datagram {
        /// From where.
        source: SocketAddr,
        /// Its content.
        octets: Bytes,
    },
}

/// What a machine asks of a datagram socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SocketOutput {
    /// Bind it.
    Bind(SocketAddr),
    /// Send a datagram.
    Send {
        /// To where.
        destination: SocketAddr,
        /// Its content.
        octets: Bytes,
        /// Differentiated Services code point.
        dscp: u8,
    },
    /// Join a multicast group.
    Join(std::net::IpAddr),
    /// Leave it.
    Leave(std::net::IpAddr),
}

/// One change of a stored record. Keys are ordered octet strings inside a named space; a value is opaque to the store,
/// which guards it with a checksum of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The space: a short name, a table to the store.
    pub space: Space,
    /// The key: compared octet by octet.
    pub key: Vec<u8>,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
}

/// The named key spaces of a site's store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Ticket → the mail's envelope and state.
    Mail,
    /// Link, precedence, age, ticket → what one link owes one mail. The order of sending.
    Hop,
    /// Time, ticket, link → hops that wait for a time.
    Delayed,
    /// Ticket, number → what happened to it.
    History,
    /// Key of a mail seen on the radio side → when it may be forgotten.
    Seen,
    /// Single values of the site (counters, marks, operator's holds).
    Site,
    /// State of transports; the node puts the link's name in front of the key.
    Transport,
    /// Number → a stanza that waits for its link.
    ChatOut,
    /// Number → a stanza that came by a link and waits for the local server.
    ChatIn,
    /// State of the chat sessions of links; the node puts the peer's name in front of the key.
    ChatLink,
    /// Cached presence; the node puts the peer's name in front of the key.
    Presence,
}

impl Space {
    /// All spaces.
    pub const ALL: [Self; 11] = [
        Self::Mail,
        Self::Hop,
        Self::Delayed,
        Self::History,
        Self::Seen,
        Self::Site,
        Self::Transport,
        Self::ChatOut,
        Self::ChatIn,
        Self::ChatLink,
        Self::Presence,
    ];

    /// The name of its table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Hop => "hop",
            Self::Delayed => "delayed",
            Self::History => "history",
            Self::Seen => "seen",
            Self::Site => "site",
            Self::Transport => "transport",
            Self::ChatOut => "chat_out",
            Self::ChatIn => "chat_in",
            Self::ChatLink => "chat_link",
            Self::Presence => "presence",
        }
    }
}

/// A stored record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Bytes,
}

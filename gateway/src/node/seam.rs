//! What the shell (or the world) says to a node, and what the node says back. Nothing else passes.

use std::net::{IpAddr, SocketAddr};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::mail::Envelope;
use skywave_protocols::smtp::grammar::Extensions;
use skywave_protocols::time::WallTime;
use skywave_transports::io::{PipeId, PipeInput, PipeOutput, Row, SocketId, SocketInput, SocketOutput};
use skywave_transports::transport::Capture;

use crate::node::command::{Command, Reply};
use crate::store::{Batch, BodyId, Query, StoreFault};
use crate::telemetry::Event;

/// The number of a listener, chosen by the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u32);
/// Listeners below belong to the doors, those from here on to links.
pub const LINK_LISTENERS: u32 = 1 << 16;
/// The number of a batch, fetch, load, hand-over, computation or resolution, chosen by the node.
pub type Number = u64;
/// Where a command's reply goes, chosen by the shell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplyTo(pub u64);

/// Pipes that the shell numbers (accepted ones) have this bit set; the node's own do not.
pub const ACCEPTED_PIPE: u64 = 1 << 63;

/// What a node is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// First input of all: the store is open.
    Started,
    /// The time of `next_wakeup` has come.
    Woken,
    /// An operator (or the control socket) asks something; answered by `Output::Reply`.
    Command(ReplyTo, Command),
    /// A listener could not listen; the reason in words.
    ListenFailed(ListenerId, String),
    /// A listener listens.
    Listening(ListenerId, SocketAddr),
    /// Somebody connected. The pipe's number has [`ACCEPTED_PIPE`] set.
    Accepted {
        /// At which listener.
        listener: ListenerId,
        /// The new pipe.
        pipe: PipeId,
        /// Who.
        peer: SocketAddr,
    },
    /// Of a pipe.
    Pipe(PipeId, PipeInput),
    /// Of a datagram socket.
    Socket(SocketId, SocketInput),
    /// A name was looked up.
    Resolved(Number, Resolved),
    /// A batch is on the disk.
    Stored(Number),
    /// A batch is not.
    StoreFailed(Number, StoreFault),
    /// So many octets appended to a body have been taken over; lets the node read on.
    BodyAppended(BodyId, usize),
    /// A body could not be appended to; it is useless.
    BodyFailed(BodyId, StoreFault),
    /// Rows asked for.
    Fetched(Number, Result<Vec<Row>, StoreFault>),
    /// A range of a body asked for.
    Loaded(Number, Result<Bytes, StoreFault>),
    /// Records were set aside as damaged.
    Damaged(Vec<String>),
    /// A hand-over ended.
    HandedOver(Number, HandOverOutcome),
    /// A computation ended.
    Computed(Number, Answer),
    /// End in good order: take nothing new, close what is open.
    Stop,
}

/// What a node asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Listen for connections.
    Listen(ListenerId, SocketAddr),
    /// Of a pipe.
    Pipe(PipeId, PipeOutput),
    /// Of a datagram socket.
    Socket(SocketId, SocketOutput),
    /// Look a name up.
    Resolve(Number, Lookup),
    /// Make a batch durable; answered by `Stored` or `StoreFailed`.
    Store(Number, Batch),
    /// Append to a body; answered by `BodyAppended` or `BodyFailed`, or by the answer to the batch that keeps it.
    AppendBody(BodyId, Bytes),
    /// Forget a body that was never committed.
    AbandonBody(BodyId),
    /// Fetch rows; answered by `Fetched`.
    Fetch(Number, Query),
    /// Load a range of a body; answered by `Loaded`.
    LoadBody {
        /// The number of this load.
        load: Number,
        /// Which body.
        body: BodyId,
        /// First octet.
        offset: u64,
        /// At most so many octets.
        octets: usize,
    },
    /// Hand a mail over to the local MTA; answered by `HandedOver`.
    HandOver(Number, Box<HandOver>),
    /// Compute something long; answered by `Computed`.
    Compute(Number, Box<Job>),
    /// The reply to a command.
    Reply(ReplyTo, Reply),
    /// Something happened: a log line, an event of the control socket, a line of the story.
    Tell(Event),
    /// A packet for the capture file.
    Capture(Capture),
    /// The node has ended after `Input::Stop`.
    Stopped,
}

/// A name to look up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Addresses of a host.
    Addresses(String),
    /// Mail exchangers of a domain.
    Mx(String),
    /// Services of a name (`_xmpp-server._tcp.example.org`).
    Srv(String),
}

/// What a look-up found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolved {
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// Hosts with preference (MX) or priority, weight and port (SRV), best first.
    Hosts(Vec<ResolvedHost>),
    /// The name surely does not exist or has no such record.
    Nothing,
    /// There is a record, and it says that the service is not offered: the target `.` (RFC 2782, RFC 7505). Addresses
    /// of the domain are not to be tried instead.
    NotOffered,
    /// Nobody answered; the reason in words.
    Failed(String),
}

/// One host of an MX or SRV answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolvedHost {
    /// The host's name.
    pub host: String,
    /// Its port; 0 where the record has none.
    pub port: u16,
    /// Preference or priority, lower first.
    pub priority: u16,
    /// Weight among equals.
    pub weight: u16,
}

/// A part of a message text: octets at hand, or a range of a stored body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// These octets.
    Octets(Bytes),
    /// Octets of a body from `from` up to but not including `to`.
    Body {
        /// Which body.
        body: BodyId,
        /// First octet.
        from: u64,
        /// First octet beyond.
        to: u64,
    },
}

impl Piece {
    /// Its length in octets.
    pub fn octets(&self) -> u64 {
        match self {
            Self::Octets(octets) => octets.len() as u64,
            Self::Body { from, to, .. } => to.saturating_sub(*from),
        }
    }
}

/// A mail for the local MTA.
#[derive(Clone, PartialEq, Debug)]
pub struct HandOver {
    /// Host and port.
    pub target: String,
    /// Connections of different classes are kept apart (reserved for high precedence).
    pub class: ConnectionClass,
    /// How long a connection stays open without work, in seconds; `None` for ever.
    pub keep_open_seconds: Option<u32>,
    /// Name given in EHLO.
    pub hello: String,
    /// The envelope; parameters that the server does not offer are left out or reported by the shell as `Lacks`.
    pub envelope: Envelope,
    /// The text as it is stored, without dot-stuffing.
    pub content: Vec<Piece>,
    /// The text to send instead where the server lacks MT-PRIORITY (RFC 6758 header), as pieces; else `content`.
    pub content_without_mt_priority: Option<Vec<Piece>>,
    /// What the server must offer for this content.
    pub needs: Needs,
    /// Whether the server must offer DELIVERBY: this mail is rather returned than relayed to one that would not keep to
    /// its time.
    pub needs_deliver_by: bool,
}

/// Connections to the local MTA are kept apart by class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionClass {
    /// Flash and Override.
    Urgent,
    /// Everything else.
    Normal,
}

/// What content demands of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Needs {
    /// Octets above 127.
    pub eight_bit: bool,
    /// Bare CR, bare LF, NUL, or lines above 998 octets.
    pub binary: bool,
    /// Addresses or header fields in UTF-8.
    pub utf8: bool,
}

/// How a hand-over ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandOverOutcome {
    /// The dialogue came to its end: a reply per recipient, in the order of the envelope.
    Replies {
        /// The server's name from its greeting.
        server: String,
        /// Whether it offered DSN: if not, we report the relaying where success reports are asked for (RFC 3461).
        dsn: bool,
        /// Whether it offered DELIVERBY: if not, we report the relaying of a mail that is to be told of when late
        /// (RFC 2852).
        deliver_by: bool,
        /// For each recipient.
        replies: Vec<SmtpReply>,
    },
    /// It broke; nothing was accepted unless `in_doubt` (the text had been sent, no reply came).
    Broken {
        /// Where and why, in words.
        why: String,
        /// Whether the server may have accepted it.
        in_doubt: bool,
    },
    /// The server does not offer what the content needs; nothing was sent.
    Lacks(Needs),
    /// The server does not offer DELIVERBY, which this mail must have; nothing was sent.
    LacksDeliverBy,
}

/// A reply of an SMTP server.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct SmtpReply {
    /// Three digits.
    pub code: u16,
    /// The enhanced status code, if it gave one.
    pub enhanced: Option<String>,
    /// Its text, lines joined by a blank.
    pub text: String,
}

/// Long work, done beside the node so that a FLASH never waits for it.
#[derive(Clone, PartialEq, Debug)]
pub enum Job {
    /// Make a MULE unit: payload, deflate, CompressedData.
    WrapMule {
        /// The envelope with the recipients of this hop.
        envelope: Envelope,
        /// The text.
        content: Vec<Piece>,
    },
    /// Make a batch unit (RFC 2442).
    WrapBatch {
        /// Name given in EHLO.
        hello: String,
        /// What its reader knows.
        extensions: Extensions,
        /// The envelope with the recipients of this hop.
        envelope: Envelope,
        /// The text.
        content: Vec<Piece>,
    },
    /// Make a mail that holds a batch (application/batch-SMTP).
    WrapBatchMail {
        /// Name given in EHLO.
        hello: String,
        /// What the mail around the batch says.
        cover: Cover,
        /// What its reader knows.
        extensions: Extensions,
        /// The envelope with the recipients of this hop.
        envelope: Envelope,
        /// The text.
        content: Vec<Piece>,
    },
    /// Open a mail that holds a batch.
    UnwrapBatchMail {
        /// The mail.
        content: Vec<Piece>,
        /// Cap of one message.
        octets_max: usize,
    },
    /// Open a MULE unit; inflates at most `octets_max`.
    UnwrapMule {
        /// The unit.
        unit: Bytes,
        /// Cap of the inflated size.
        octets_max: usize,
    },
    /// Open a batch unit.
    UnwrapBatch {
        /// The unit.
        unit: Bytes,
        /// Cap of one message.
        octets_max: usize,
    },
    /// Convert a text for a server that lacks something.
    Convert {
        /// The envelope.
        envelope: Envelope,
        /// The text.
        content: Vec<Piece>,
        /// What the server lacks.
        lacks: Needs,
        /// Where the converted text is put: appended to this new body before the answer.
        into: BodyId,
    },
    /// Check a password against the file of hashes.
    Authenticate {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// What the mail around a batch says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cover {
    /// Its generator.
    pub from: Mailbox,
    /// Its processor.
    pub to: Mailbox,
    /// Unique; without angle brackets.
    pub message_id: String,
    /// When.
    pub at: WallTime,
}

/// A password on its way; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What was found in a unit or in the batch of a mail.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Opened {
    /// Its mails.
    pub mails: Vec<Found>,
    /// What could not be read, in words: something that was meant to be mail may be lost with it.
    pub faults: Vec<String>,
}

/// A mail found in a unit.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Its envelope; perhaps without recipients, when all are in `refused`.
    pub envelope: Envelope,
    /// Its text.
    pub text: Bytes,
    /// Lines that were to name a recipient and cannot be used, as written, and why.
    pub refused: Vec<(String, String)>,
    /// Parameters that were left out, and why.
    pub notes: Vec<String>,
}

/// The answer to a [`Job`].
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// A unit to be carried.
    Unit(Bytes),
    /// What was found in a unit.
    Mails(Opened),
    /// A text was converted: the new body's size and the envelope to use with it.
    Converted {
        /// The envelope.
        envelope: Envelope,
        /// Octets of the new body.
        octets: u64,
    },
    /// The password is right or not.
    Authenticated(bool),
    /// It could not be done: an enhanced status code (`5.6.3`) and words. Nothing else is changed.
    Impossible {
        /// The enhanced status code.
        status: String,
        /// Why.
        why: String,
    },
    /// The disk failed under it; it may be tried again.
    Failed(StoreFault),
}

//! What happened, told once: a log line, who watches the control socket and the story in tests all read [`Event`].
//!
//! What a test asserts is what an operator sees. Values are fields; addresses are never above DEBUG unless the line is
//! one of the mail log lines that a Postfix operator greps for.

use serde::Serialize;
use skywave_protocols::message::precedence::Precedence;

/// How loud an event is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// All is lost.
    Error,
    /// Wake a human.
    Warn,
    /// State that users see.
    Info,
    /// Off the happy path.
    Debug,
}

/// How one recipient's (or hop's) try ended, in the words of Postfix's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Delivered: the next site or MTA has it on its disk.
    Sent,
    /// Sent by plan without confirmation; nobody will confirm.
    Relayed,
    /// It will be tried again.
    Deferred,
    /// Given up; reported to the sender.
    Bounced,
    /// Given up because its time has passed; reported.
    Expired,
}

/// What became of a stanza at this site.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StanzaFate {
    /// Taken over from the local server (on our disk, if its kind is kept there).
    Accepted,
    /// The operator keeps it back, or lets it go again; the words say which.
    Held,
    /// The far site has it, as far as the profile of the link can tell; the words say by whom.
    Sent,
    /// It came by a link.
    Arrived,
    /// The local server has it: confirmed, or written to its connection; the words say which.
    Delivered,
    /// The connection to the local server broke before it confirmed: it will get it again with the same id.
    Deferred,
    /// It was handed over before a restart and may reach the local server twice.
    PossibleDuplicate,
    /// Answered here: it need not cross.
    Answered,
    /// A rule, or the presence cache, keeps it from crossing.
    Dropped,
    /// A newer one of its kind took its place while it waited.
    Replaced,
    /// Given up; its sender got an error.
    Returned,
    /// Given up; nobody may be told of a stanza of its kind.
    Discarded,
}

impl StanzaFate {
    /// Its word in log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Held => "held",
            Self::Sent => "sent",
            Self::Arrived => "arrived",
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::PossibleDuplicate => "possible-duplicate",
            Self::Answered => "answered",
            Self::Dropped => "dropped",
            Self::Replaced => "replaced",
            Self::Returned => "returned",
            Self::Discarded => "discarded",
        }
    }
}

/// One line about one stanza.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StanzaLine {
    /// The gateway's number of it at this site.
    pub number: String,
    /// `message`, `presence` or `iq`.
    pub kind: &'static str,
    /// The stanza's own id; empty if it has none.
    pub id: String,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The far site, as the configuration names it.
    pub peer: String,
    /// Octets of its canonical form.
    pub bytes: usize,
    /// Since we took it over.
    pub delay_seconds: f64,
    /// Its precedence on the link.
    pub precedence: Precedence,
    /// What became of it.
    pub status: StanzaFate,
    /// Why, or by whom.
    pub text: String,
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The node takes mail.
    Ready {
        /// The site.
        site: String,
    },
    /// A mail is on our disk.
    MailAccepted {
        /// Its ticket.
        ticket: String,
        /// The Message-ID of its header.
        message_id: String,
        /// Reverse path.
        from: String,
        /// Number of recipients.
        recipients: usize,
        /// Octets of its text.
        bytes: u64,
        /// Its precedence.
        precedence: Precedence,
        /// Where it came from: `smtp 127.0.0.1`, `radio hf field.test`, `report`.
        source: String,
        /// The ticket at its origin, when it came by radio.
        origin: Option<String>,
    },
    /// A mail was not taken.
    MailRefused {
        /// The client.
        source: String,
        /// The reply.
        reply: String,
    },
    /// Something became of one recipient.
    MailTried {
        /// Its ticket.
        ticket: String,
        /// Reverse path.
        from: String,
        /// Forward path.
        to: String,
        /// Link and site, or door and server.
        relay: String,
        /// Since acceptance.
        delay_seconds: f64,
        /// Its precedence.
        precedence: Precedence,
        /// Enhanced status code.
        dsn: String,
        /// How it ended.
        status: Status,
        /// The other side's words.
        text: String,
        /// Octets handed to the medium for this hop so far, zero for doors.
        bytes_on_link: u64,
    },
    /// A mail left the queue: everything it owed is done.
    MailFinished {
        /// Its ticket.
        ticket: String,
    },
    /// A mail came a second time by radio and was dropped.
    Duplicate {
        /// The link.
        link: String,
        /// Its origin's site and ticket, or the carrier's key.
        key: String,
    },
    /// A hand-over was open when we crashed: the local MTA may get it twice.
    PossibleDuplicate {
        /// Its ticket.
        ticket: String,
        /// The Message-ID of its header.
        message_id: String,
    },
    /// A unit was handed to a link.
    HopStarted {
        /// The mail's ticket.
        ticket: String,
        /// The link.
        link: String,
        /// The sites.
        sites: Vec<String>,
        /// Octets of the unit.
        unit_bytes: usize,
        /// The mail's precedence.
        precedence: Precedence,
    },
    /// A unit advanced on a link.
    HopProgress {
        /// The mail's ticket.
        ticket: String,
        /// The link.
        link: String,
        /// Octets handed to the medium.
        bytes_on_link: u64,
        /// Why it waits.
        why: String,
    },
    /// A link can be used.
    LinkUp {
        /// The link.
        link: String,
    },
    /// A link cannot be used.
    LinkDown {
        /// The link.
        link: String,
        /// Why.
        why: String,
    },
    /// Emission control changed.
    Emission {
        /// The link.
        link: String,
        /// True: nothing is emitted.
        silent: bool,
    },
    /// Something became of a stanza.
    Stanza(Box<StanzaLine>),
    /// Chat was handed to a link.
    ChatBlock {
        /// The far site, as the configuration names it.
        peer: String,
        /// The link.
        link: String,
        /// Octets of the stanzas in canonical form.
        bytes_raw: u64,
        /// Octets handed to the transport for them.
        bytes_sent: u64,
    },
    /// A local XMPP server can be reached.
    ChatServerUp {
        /// Its domain.
        server: String,
    },
    /// It cannot.
    ChatServerDown {
        /// Its domain.
        server: String,
        /// Why.
        why: String,
    },
    /// Counted by name; shown to the operator.
    Notice {
        /// The link or part.
        part: String,
        /// Whether a human should wake.
        alarm: bool,
        /// The counter.
        name: String,
        /// Particulars, escaped.
        detail: String,
    },
    /// The store fails; mail is refused with 4xx until it works.
    StoreFailing {
        /// Why.
        why: String,
    },
    /// The store works again.
    StoreRecovered,
    /// A damaged record was set aside.
    Damaged {
        /// Its name in the store.
        record: String,
    },
}

impl Event {
    /// How loud it is.
    pub fn level(&self) -> Level {
        match self {
            Self::StoreFailing { .. } => Level::Error,
            Self::Damaged { .. } | Self::PossibleDuplicate { .. } => Level::Warn,
            Self::Notice { alarm: true, .. } => Level::Warn,
            Self::Stanza(line) => stanza_level(line),
            Self::Ready { .. }
            | Self::MailAccepted { .. }
            | Self::MailRefused { .. }
            | Self::MailTried { .. }
            | Self::MailFinished { .. }
            | Self::LinkUp { .. }
            | Self::LinkDown { .. }
            | Self::Emission { .. }
            | Self::ChatServerUp { .. }
            | Self::ChatServerDown { .. }
            | Self::StoreRecovered => Level::Info,
            Self::Duplicate { .. }
            | Self::HopStarted { .. }
            | Self::HopProgress { .. }
            | Self::ChatBlock { .. }
            | Self::Notice { .. } => Level::Debug,
        }
    }
}

/// Messages are told like mails; presence and queries only to who looks closer.
fn stanza_level(line: &StanzaLine) -> Level {
    match line.status {
        StanzaFate::PossibleDuplicate => Level::Warn,
        StanzaFate::Dropped | StanzaFate::Answered | StanzaFate::Replaced => Level::Debug,
        _fate if line.kind == "message" => Level::Info,
        _fate => Level::Debug,
    }
}

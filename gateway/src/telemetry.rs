//! What happened, told once: a log line, a metric, the telemetry file and the story in tests all read [`Event`].
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
    pub const fn level(&self) -> Level {
        match self {
            Self::StoreFailing { .. } => Level::Error,
            Self::Damaged { .. } | Self::PossibleDuplicate { .. } => Level::Warn,
            Self::Notice { alarm: true, .. } => Level::Warn,
            Self::Ready { .. }
            | Self::MailAccepted { .. }
            | Self::MailRefused { .. }
            | Self::MailTried { .. }
            | Self::MailFinished { .. }
            | Self::LinkUp { .. }
            | Self::LinkDown { .. }
            | Self::Emission { .. }
            | Self::StoreRecovered => Level::Info,
            Self::Duplicate { .. } | Self::HopStarted { .. } | Self::HopProgress { .. } | Self::Notice { .. } => {
                Level::Debug
            }
        }
    }
}

//! What goes wrong in SMTP, whose fault it is, and the one function that says it in SMTP's words.

use crate::fault::{Blame, Fault, Next};
use crate::message::address::AddressError;

use super::reply::Reply;

/// Why a command or a line of an envelope could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GrammarFault {
    /// No such command.
    #[error("command not recognized")]
    UnknownCommand,
    /// The command is known, its form is wrong.
    #[error("syntax: {0}")]
    Syntax(&'static str),
    /// A control character, or octets that are no UTF-8.
    #[error("octet 0x{0:02x} is not allowed in a command")]
    Octet(u8),
    /// The reverse path.
    #[error("sender: {0}")]
    Sender(AddressError),
    /// The forward path.
    #[error("recipient: {0}")]
    Recipient(AddressError),
    /// An address outside ASCII in a mail without SMTPUTF8.
    #[error("an address outside ASCII needs SMTPUTF8")]
    NeedsSmtpUtf8,
    /// A parameter of no extension that is offered.
    #[error("parameter {0} is not supported")]
    ParameterUnknown(String),
    /// A parameter with a value that its extension does not allow.
    #[error("parameter {0} has a value that is not allowed")]
    ParameterValue(&'static str),
    /// A parameter given twice.
    #[error("parameter {0} is given twice")]
    ParameterTwice(&'static str),
}

impl Fault for GrammarFault {
    fn blame(&self) -> Blame {
        match self {
            Self::Sender(_) | Self::Recipient(_) | Self::NeedsSmtpUtf8 => Blame::Sender,
            Self::UnknownCommand
            | Self::Syntax(_)
            | Self::Octet(_)
            | Self::ParameterUnknown(_)
            | Self::ParameterValue(_)
            | Self::ParameterTwice(_) => Blame::Peer,
        }
    }

    fn next(&self) -> Next {
        Next::GiveUp
    }
}

impl GrammarFault {
    /// The reply to the command.
    pub fn reply(&self) -> Reply {
        let (code, detail) = match self {
            Self::UnknownCommand => (500, (5, 1)),
            Self::Syntax(_) => (501, (5, 4)),
            Self::Octet(_) => (500, (5, 2)),
            Self::Sender(_) => (553, (1, 7)),
            Self::Recipient(_) => (553, (1, 3)),
            Self::NeedsSmtpUtf8 => (553, (6, 7)),
            Self::ParameterUnknown(_) => (555, (5, 4)),
            //= smtp/PRIO-003
            Self::ParameterValue("MT-PRIORITY") | Self::ParameterTwice(_) => (501, (5, 2)),
            Self::ParameterValue(_) => (501, (5, 4)),
        };
        Reply::new(code, detail, self.to_string())
    }
}

/// What ends a mail or a connection.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SmtpFault {
    /// A command that cannot be read.
    #[error(transparent)]
    Grammar(#[from] GrammarFault),
    /// A CR without LF, or an LF without CR.
    #[error("bare {0} received")]
    BareLineEnd(&'static str),
    /// A NUL.
    #[error("NUL received")]
    Nul,
    /// A command line beyond the limit.
    #[error("command line too long, {0} octets are allowed")]
    CommandTooLong(usize),
    /// Octets before the server had answered what they depend on.
    #[error("improper command pipelining after {0}")]
    Pipelining(&'static str),
    /// A line of the body beyond the limit.
    #[error("line too long, {0} octets are allowed")]
    LineTooLong(usize),
    /// A header beyond the limit.
    #[error("header too large, {0} octets are allowed")]
    HeaderTooLarge(usize),
    /// A mail beyond the limit.
    #[error("message too large, {0} octets are allowed")]
    MailTooLarge(u64),
    /// A refused mail that goes on and on.
    #[error("refused message does not end")]
    Endless,
    /// Too many refused commands.
    #[error("too many errors")]
    TooManyErrors,
    /// Too many commands that lead nowhere.
    #[error("too many commands without mail")]
    TooManyIdleCommands,
    /// Too many failed authentications.
    #[error("too many failed authentications")]
    TooManyAuthFailures,
    /// Nothing, or nearly nothing, came.
    #[error("timeout waiting for {0}")]
    Timeout(&'static str),
    /// The shell went on reading although it was asked to pause.
    #[error("{0} octets wait unread")]
    InputOverflow(usize),
    /// Plain text behind STARTTLS; it was discarded.
    #[error("{0} octets in clear after STARTTLS were discarded")]
    PlainTextAfterStartTls(usize),
}

impl Fault for SmtpFault {
    fn blame(&self) -> Blame {
        match self {
            Self::Grammar(fault) => fault.blame(),
            Self::LineTooLong(_) | Self::HeaderTooLarge(_) | Self::MailTooLarge(_) => Blame::Sender,
            Self::Timeout(_) => Blame::Link,
            Self::InputOverflow(_) => Blame::Local,
            Self::BareLineEnd(_)
            | Self::Nul
            | Self::CommandTooLong(_)
            | Self::Pipelining(_)
            | Self::Endless
            | Self::TooManyErrors
            | Self::TooManyIdleCommands
            | Self::TooManyAuthFailures
            | Self::PlainTextAfterStartTls(_) => Blame::Peer,
        }
    }

    fn next(&self) -> Next {
        match self {
            Self::Grammar(fault) => fault.next(),
            Self::LineTooLong(_) | Self::HeaderTooLarge(_) | Self::MailTooLarge(_) => Next::GiveUp,
            Self::PlainTextAfterStartTls(_) => Next::Ignore,
            Self::BareLineEnd(_)
            | Self::Nul
            | Self::CommandTooLong(_)
            | Self::Pipelining(_)
            | Self::Endless
            | Self::TooManyErrors
            | Self::TooManyIdleCommands
            | Self::TooManyAuthFailures
            | Self::Timeout(_)
            | Self::InputOverflow(_) => Next::CloseLink,
        }
    }
}

impl SmtpFault {
    /// The reply that refuses a body whose end is known, so that the connection goes on.
    pub fn content_reply(&self) -> Reply {
        match self {
            Self::BareLineEnd(_) | Self::Nul => Reply::new(554, (6, 0), self.to_string()),
            _ => self.reply(),
        }
    }

    /// The reply that tells the peer.
    pub fn reply(&self) -> Reply {
        let (code, detail) = match self {
            Self::Grammar(fault) => return fault.reply(),
            Self::BareLineEnd(_) | Self::Nul => (521, (5, 2)),
            Self::CommandTooLong(_) => (500, (5, 2)),
            Self::Pipelining(_) => (503, (5, 1)),
            Self::LineTooLong(_) => (554, (6, 0)),
            Self::HeaderTooLarge(_) | Self::MailTooLarge(_) | Self::Endless => (552, (3, 4)),
            Self::TooManyErrors | Self::TooManyIdleCommands => (421, (7, 0)),
            Self::TooManyAuthFailures => (421, (7, 0)),
            Self::Timeout(_) => (421, (4, 2)),
            Self::InputOverflow(_) => (421, (3, 2)),
            Self::PlainTextAfterStartTls(_) => (220, (0, 0)),
        };
        Reply::new(code, detail, self.to_string())
    }
}

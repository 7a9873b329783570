//! Batch SMTP (RFC 2442): the client's half of an SMTP dialogue as one object.
//!
//! * [`write`]: EHLO, MAIL, RCPT, DATA with dots stuffed, QUIT.
//! * [`Reader`]: yields one mail after another; nothing is answered, faults are noted with the mail or on their own.
//! * [`media`]: the object inside a mail, as application/batch-SMTP.
//!
//! Promises: text of a body is never taken for a command; each mail has its number in the batch, so that a restart can
//! pass over what is done; a mail with no usable recipient is still yielded, for its report. Refuses: what cannot be
//! carried by DATA (bare CR, bare LF, NUL) both ways; behind that point nothing of the batch is read. Limits:
//! [`BatchLimits`], and those of [`crate::smtp::limits`] for lines.

pub mod media;
mod reader;

pub use reader::{BatchLimits, Item, Mail, Reader};

use crate::fault::{Blame, Fault, Next};
use crate::message::mail::Envelope;
use crate::smtp::fault::{GrammarFault, SmtpFault};
use crate::smtp::grammar::{self, Extensions};

/// What is wrong with a batch. Goes to the operator, not on the wire.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchFault {
    /// A command that cannot be read or used; passed over.
    #[error("line {line}: {fault}")]
    Command {
        /// The line, from 1; lines of bodies are not counted.
        line: usize,
        /// What is wrong.
        fault: GrammarFault,
    },
    /// A command where it has no place; passed over.
    #[error("line {line}: {command} has no place here")]
    Order {
        /// The line.
        line: usize,
        /// The command.
        command: &'static str,
    },
    /// A mail whose body never came.
    #[error("a mail without body")]
    NoBody,
    /// The octets end inside a line, a body or a transaction.
    #[error("the batch ends early")]
    Truncated,
    /// Octets behind QUIT.
    #[error("{octets} octets follow QUIT")]
    Trailing {
        /// How many.
        octets: usize,
    },
    /// What SMTP refuses: the rest of the batch is not read.
    #[error(transparent)]
    Broken(#[from] SmtpFault),
    /// A mail beyond a limit; it is left out.
    #[error("mail {number}: {fault}")]
    Mail {
        /// Its number, from 1.
        number: usize,
        /// The limit.
        fault: SmtpFault,
    },
    /// More mails than a batch may have.
    #[error("more than {0} mails in a batch")]
    TooManyMails(usize),
    /// A mail that is no batch.
    #[error("no application/batch-SMTP")]
    MediaType,
    /// The batch needs an extension that is not there.
    #[error("required extension {0} is not supported")]
    ExtensionRequired(String),
    /// A body that DATA cannot carry.
    #[error("octet {offset} of the body cannot be sent with DATA")]
    Unsendable {
        /// Where.
        offset: usize,
    },
}

impl Fault for BatchFault {
    fn blame(&self) -> Blame {
        match self {
            Self::Unsendable { .. } => Blame::Sender,
            Self::Command { .. }
            | Self::Order { .. }
            | Self::NoBody
            | Self::Truncated
            | Self::Trailing { .. }
            | Self::Broken(_)
            | Self::Mail { .. }
            | Self::TooManyMails(_)
            | Self::MediaType
            | Self::ExtensionRequired(_) => Blame::Peer,
        }
    }

    fn next(&self) -> Next {
        match self {
            Self::Unsendable { .. } => Next::GiveUp,
            Self::Command { .. }
            | Self::Order { .. }
            | Self::NoBody
            | Self::Truncated
            | Self::Trailing { .. }
            | Self::Broken(_)
            | Self::Mail { .. }
            | Self::TooManyMails(_)
            | Self::MediaType
            | Self::ExtensionRequired(_) => Next::Ignore,
        }
    }
}

/// The batch of `mails` (ideally one: RFC 2442 section 2) from the site `host`. Parameters of extensions beyond
/// `extensions` are left out; [`Extensions::BATCH`] is what anybody reads. A body without a last CRLF gets one.
///
/// # Errors
/// [`BatchFault::Unsendable`] when a body must be converted first.
pub fn write(host: &str, mails: &[(Envelope, &[u8])], extensions: &Extensions) -> Result<Vec<u8>, BatchFault> {
    let mut batch = format!("EHLO {host}\r\n").into_bytes();
    for (envelope, body) in mails {
        //= bsmtp/BSMTP-002
        let mut lines = grammar::mail_line(envelope, extensions);
        for recipient in &envelope.recipients {
            lines.push_str("\r\n");
            lines.push_str(&grammar::rcpt_line(recipient, extensions));
        }
        batch.extend_from_slice(lines.as_bytes());
        batch.extend_from_slice(b"\r\nDATA\r\n");
        stuffed(body, &mut batch)?;
        batch.extend_from_slice(b".\r\n");
    }
    batch.extend_from_slice(b"QUIT\r\n");
    Ok(batch)
}

/// Appends `body` with dots stuffed and a CRLF at its end.
fn stuffed(body: &[u8], out: &mut Vec<u8>) -> Result<(), BatchFault> {
    let mut start = 0;
    while start < body.len() {
        let rest = &body[start..];
        let end = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
        //= bsmtp/BSMTP-003
        let ends_well = end == rest.len() || rest[end..].starts_with(b"\r\n");
        if !ends_well {
            return Err(BatchFault::Unsendable { offset: start + end });
        }
        if rest[0] == b'.' {
            out.push(b'.');
        }
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\r\n");
        start += end + 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

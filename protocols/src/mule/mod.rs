//! MULE payloads (RFC 8494): one mail with its envelope as the content of a multicast message.
//!
//! A payload is a FROM-line, RCPT-lines, an empty line and the message octets as they are: no commands, no
//! dot-stuffing, no final dot (`acp142.md` section 3). Promises: parameters that nobody here knows are handed on as
//! written; a wrong parameter is noted and left out, a wrong recipient is set aside for a report, and neither costs the
//! other recipients their mail; an absent MT-PRIORITY stays absent. Refuses: payloads without a readable FROM-line, a
//! recipient or the empty line. Limits: [`LINE_OCTETS_MAX`], [`RECIPIENTS_MAX`].

use bytes::Bytes;

use crate::compress::cdt::{self, CdtFault, ContentType};
use crate::fault::{Blame, Fault, Next};
use crate::message::mail::Envelope;
use crate::smtp::fault::GrammarFault;
use crate::smtp::grammar::{self, Extensions};

/// Longest line of the envelope, CRLF included.
pub const LINE_OCTETS_MAX: usize = 8192;
/// Recipients of one payload.
pub const RECIPIENTS_MAX: usize = 10_000;

/// A payload, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload {
    /// Sender, parameters, recipients.
    pub envelope: Envelope,
    /// The message octets.
    pub body: Bytes,
    /// RCPT-lines that cannot be used, as written, and why.
    pub refused: Vec<(String, GrammarFault)>,
    /// Parameters that were left out, and why.
    pub notes: Vec<GrammarFault>,
}

/// Why octets are no payload: discarded and counted, as nobody can be told (RFC 8494 section 5.1).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MuleFault {
    /// The wrapper.
    #[error(transparent)]
    Wrapper(#[from] CdtFault),
    /// Something else than a MULE payload is in the wrapper.
    #[error("content type {0:?} is not MULE")]
    ContentType(ContentType),
    /// A line of the envelope does not end, or not in time.
    #[error("line {line} of the envelope does not end")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// The FROM-line.
    #[error("FROM-line: {0}")]
    Sender(GrammarFault),
    /// Not one usable RCPT-line.
    #[error("no recipient")]
    NoRecipient,
    /// More than [`RECIPIENTS_MAX`].
    #[error("more than {RECIPIENTS_MAX} recipients")]
    TooManyRecipients,
}

impl Fault for MuleFault {
    fn blame(&self) -> Blame {
        Blame::Peer
    }

    fn next(&self) -> Next {
        Next::Ignore
    }
}

/// The payload of a mail for the recipients in `envelope`.
pub fn encode(envelope: &Envelope, body: &[u8]) -> Vec<u8> {
    let mut lines = grammar::mail_argument_line(envelope.sender.as_ref(), &envelope.mail, &Extensions::MULE);
    for recipient in &envelope.recipients {
        //= mule/MULE-002
        lines.push_str("\r\n");
        lines.push_str(&grammar::rcpt_argument_line(recipient, &Extensions::MULE));
    }
    lines.push_str("\r\n\r\n");
    //= mule/MULE-004
    [lines.as_bytes(), body].concat()
}

/// Reads a payload.
///
/// # Errors
/// [`MuleFault`].
pub fn decode(octets: impl Into<Bytes>) -> Result<Payload, MuleFault> {
    let octets: Bytes = octets.into();
    //= mule/MULE-001
    let mut lines = Lines { octets: &octets, offset: 0, number: 0 };
    let (sender, mail, notes) =
        grammar::mail_arguments(text(lines.next()?).map_err(MuleFault::Sender)?, &Extensions::MULE)
            .map_err(MuleFault::Sender)?;
    let envelope = Envelope { sender, mail, recipients: Vec::new() };
    let mut payload = Payload { envelope, body: Bytes::new(), refused: Vec::new(), notes };
    loop {
        let line = lines.next()?;
        if line.is_empty() {
            break;
        }
        if payload.envelope.recipients.len() + payload.refused.len() >= RECIPIENTS_MAX {
            return Err(MuleFault::TooManyRecipients);
        }
        payload.recipient_line(line);
    }
    if payload.envelope.recipients.is_empty() {
        //= mule/MULE-003
        return Err(MuleFault::NoRecipient);
    }
    payload.body = octets.slice(lines.offset..);
    Ok(payload)
}

/// Encodes, deflates and wraps with content type 25: what ACP 142 carries.
///
/// # Errors
/// [`MuleFault::Wrapper`] when the encoder refuses, which it has no reason to.
pub fn wrap(envelope: &Envelope, body: &[u8]) -> Result<Vec<u8>, MuleFault> {
    //= mule/MULE-005
    Ok(cdt::wrap(&ContentType::Mule, &encode(envelope, body))?)
}

/// Unwraps, inflates to at most `cap` octets and reads what ACP 142 delivered.
///
/// # Errors
/// [`MuleFault`].
pub fn unwrap(octets: &[u8], cap: usize) -> Result<Payload, MuleFault> {
    match cdt::unwrap(octets, cap)? {
        (ContentType::Mule, payload) => decode(payload),
        (other, _) => Err(MuleFault::ContentType(other)),
    }
}

impl Payload {
    fn recipient_line(&mut self, line: &[u8]) {
        let read = text(line).and_then(|line| grammar::rcpt_arguments(line, &Extensions::MULE));
        match read {
            Ok((recipient, notes)) => {
                self.envelope.recipients.push(recipient);
                self.notes.extend(notes);
            }
            Err(fault) => self.refused.push((String::from_utf8_lossy(line).into_owned(), fault)),
        }
    }
}

/// The lines of an envelope. Only CRLF ends one.
struct Lines<'a> {
    octets: &'a [u8],
    offset: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a [u8], MuleFault> {
        self.number += 1;
        let rest = self.octets.get(self.offset..).unwrap_or_default();
        let rest = rest.get(..LINE_OCTETS_MAX).unwrap_or(rest);
        let end = memchr::memmem::find(rest, b"\r\n").ok_or(MuleFault::Line { line: self.number })?;
        self.offset += end + 2;
        Ok(&rest[..end])
    }
}

/// A line as text without control characters: a bare CR or LF would become a line of its own somewhere else.
fn text(line: &[u8]) -> Result<&str, GrammarFault> {
    if let Some(&octet) = line.iter().find(|octet| octet.is_ascii_control()) {
        return Err(GrammarFault::Octet(octet));
    }
    std::str::from_utf8(line).map_err(|_| GrammarFault::Syntax("UTF-8"))
}

#[cfg(test)]
mod tests;

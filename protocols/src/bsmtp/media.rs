//! A batch inside a mail: the media type application/batch-SMTP, both ways.
//!
//! Promises: the extensions a batch needs are checked before anything of it is read. The batch is the mail's only part;
//! a mail with several parts is no batch. Limits: the caller bounds the mail, decoding never enlarges it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{MessageParser, MimeHeaders as _};

use crate::message::address::Mailbox;
use crate::smtp::grammar::Extensions;
use crate::smtp::headers::date;
use crate::time::WallTime;

use super::BatchFault;

/// Octets encoded per line of base64: 76 characters (RFC 2045 section 6.8).
const LINE_OCTETS: usize = 57;

/// What the mail around a batch says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cover<'a> {
    /// The generator of the batch.
    pub from: &'a Mailbox,
    /// Its processor.
    pub to: &'a Mailbox,
    /// Without angle brackets; unique.
    pub message_id: &'a str,
    /// When.
    pub at: WallTime,
    /// EHLO keywords the batch needs beyond 8BITMIME, SIZE and DSN; by agreement only.
    pub required: &'a [&'a str],
}

/// The mail that carries `batch`.
pub fn wrap(cover: &Cover<'_>, batch: &[u8]) -> Vec<u8> {
    let mut mail = format!(
        "From: <{}>\r\nTo: <{}>\r\nSubject: Batch of mail\r\nDate: {}\r\nMessage-ID: <{}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: application/batch-SMTP{}\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        cover.from,
        cover.to,
        date(cover.at),
        cover.message_id,
        required_parameter(cover.required),
    );
    for line in batch.chunks(LINE_OCTETS) {
        mail.push_str(&STANDARD.encode(line));
        mail.push_str("\r\n");
    }
    mail.into_bytes()
}

/// The batch in `mail`.
///
/// # Errors
/// [`BatchFault::MediaType`] when there is none, [`BatchFault::ExtensionRequired`] when it needs what we lack: both go
/// to the postmaster (RFC 2442 section 3).
pub fn unwrap(mail: &[u8]) -> Result<Vec<u8>, BatchFault> {
    let message = MessageParser::default().parse(mail).ok_or(BatchFault::MediaType)?;
    let [part] = message.parts.as_slice() else { return Err(BatchFault::MediaType) };
    let kind = part.content_type().ok_or(BatchFault::MediaType)?;
    let fits = kind.ctype().eq_ignore_ascii_case("application")
        && kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("batch-smtp"));
    if !fits || part.is_encoding_problem {
        return Err(BatchFault::MediaType);
    }
    //= bsmtp/BSMTP-009
    for keyword in kind.attribute("required-extensions").unwrap_or_default().split(',').map(str::trim) {
        // MULE's set is what a reader of batches understands; BDAT is not among it.
        let mut known = Extensions::NONE;
        let unreadable = ["CHUNKING", "STARTTLS", "PIPELINING"].iter().any(|name| keyword.eq_ignore_ascii_case(name));
        if !keyword.is_empty() && (unreadable || !known.set(keyword, true)) {
            return Err(BatchFault::ExtensionRequired(keyword.chars().take(64).collect()));
        }
    }
    Ok(part.contents().to_vec())
}

fn required_parameter(required: &[&str]) -> String {
    //= bsmtp/BSMTP-010
    match required {
        [] => String::new(),
        required => format!(";\r\n\trequired-extensions=\"8bitMIME,SIZE,NOTARY,{}\"", required.join(",")),
    }
}

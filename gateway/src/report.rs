//! Writes delivery status notifications (RFC 3464): exact per-recipient groups from a queue record.
//!
//! Written by hand, as no library makes them from a record. Returns the header of the original, or the whole of it
//! where RET=FULL asks for it and it is small.

use std::fmt::Write as _;

use serde::Serialize;
use skywave_protocols::bytes::{Bytes, BytesMut};
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::smtp::headers::date;
use skywave_protocols::smtp::reply::escaped;
use skywave_protocols::time::WallTime;

use crate::node::config::SiteConfig;
use crate::queue::record::{MailRecord, Ticket};

/// What is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Refused for good.
    Failed,
    /// Its time has passed.
    Expired,
    /// It is late but still tried.
    Delayed,
    /// It went where no report comes back from.
    Relayed,
    /// It is in the mailbox.
    Delivered,
}

/// What became of one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Index into the envelope.
    pub recipient: u32,
    /// Enhanced status code.
    pub status: String,
    /// The other side's words, `code text`.
    pub diagnostic: Option<String>,
    /// The server that said so.
    pub relay: Option<String>,
}

impl Kind {
    /// For the history.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Failed => "failed, reported to the sender",
            Self::Expired => "expired, reported to the sender",
            Self::Delayed => "delay reported to the sender",
            Self::Relayed => "relaying reported to the sender",
            Self::Delivered => "delivery reported to the sender",
        }
    }

    const fn action(self) -> &'static str {
        match self {
            Self::Failed | Self::Expired => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
            Self::Delivered => "delivered",
        }
    }

    const fn subject(self) -> &'static str {
        match self {
            Self::Failed => "Undeliverable mail",
            Self::Expired => "Undeliverable mail (time expired)",
            Self::Delayed => "Delayed mail (still being tried)",
            Self::Relayed => "Mail relayed (no further report will come)",
            Self::Delivered => "Mail delivered",
        }
    }

    const fn explanation(self) -> &'static str {
        match self {
            Self::Failed => "Your message could not be delivered to the recipients below and is given up.",
            Self::Expired => "Your message could not be delivered in the time it was given and is given up.",
            Self::Delayed => {
                "Your message has not been delivered yet. It is still being tried; you need not send it again."
            }
            Self::Delivered => "Your message was delivered to the recipients below.",
            Self::Relayed => "Your message was sent on by a way that gives no further reports.",
        }
    }
}

/// What a report is written from.
pub struct Reported<'a> {
    /// The original.
    pub record: &'a MailRecord,
    /// What happened.
    pub kind: Kind,
    /// To whom.
    pub outcomes: &'a [Outcome],
    /// The beginning of the original.
    pub returned: &'a [u8],
    /// Whether that is the whole.
    pub complete: bool,
}

/// The Message-ID of a report.
pub fn message_id(config: &SiteConfig, ticket: Ticket) -> String {
    format!("<{ticket}@{}>", config.mail.hostname)
}

/// Octets of the header of a report that [`write`] made.
pub fn header_octets(text: &[u8]) -> usize {
    text.windows(4).position(|window| window == b"\r\n\r\n").map_or(text.len(), |at| at + 4)
}

/// Writes a report.
pub fn write(config: &SiteConfig, ticket: Ticket, wall: WallTime, reported: &Reported<'_>) -> Bytes {
    let boundary = format!("={ticket}=");
    let mut text = String::new();
    let _ = header(&mut text, config, ticket, wall, reported, &boundary);
    let _ = explanation(&mut text, config, reported, &boundary);
    let _ = status(&mut text, config, wall, reported, &boundary);
    let mut octets = BytesMut::from(text.as_bytes());
    original(&mut octets, reported, &boundary);
    octets.freeze()
}

fn header(
    text: &mut String,
    config: &SiteConfig,
    ticket: Ticket,
    wall: WallTime,
    reported: &Reported<'_>,
    boundary: &str,
) -> std::fmt::Result {
    let record = reported.record;
    let to = record.envelope.sender.as_ref().map_or("", |sender| sender.as_str());
    write!(text, "From: Mail Delivery System <{}>\r\nTo: <{to}>\r\n", config.mail.postmaster)?;
    write!(text, "Subject: {}\r\nDate: {}\r\n", reported.kind.subject(), date(wall))?;
    write!(text, "Message-ID: {}\r\n", message_id(config, ticket))?;
    if !record.message_id.is_empty() {
        write!(text, "References: {}\r\n", escaped(&record.message_id))?;
    }
    if record.precedence() != Precedence::Routine {
        write!(text, "MMHS-Primary-Precedence: {}\r\n", record.precedence().name())?;
    }
    write!(text, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n")?;
    write!(text, "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n\r\n")
}

fn explanation(text: &mut String, config: &SiteConfig, reported: &Reported<'_>, boundary: &str) -> std::fmt::Result {
    write!(text, "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")?;
    write!(text, "This is the Skywave gateway at {}.\r\n\r\n{}\r\n\r\n", config.site, reported.kind.explanation())?;
    for outcome in reported.outcomes {
        let words = outcome.diagnostic.as_deref().unwrap_or("");
        write!(text, "<{}>: {} {}\r\n", address(reported.record, outcome), outcome.status, printable(words))?;
    }
    write!(text, "\r\n")
}

fn status(
    text: &mut String,
    config: &SiteConfig,
    wall: WallTime,
    reported: &Reported<'_>,
    boundary: &str,
) -> std::fmt::Result {
    let record = reported.record;
    write!(text, "--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\n")?;
    if let Some(envid) = &record.envelope.mail.envid {
        write!(text, "Original-Envelope-Id: {}\r\n", escaped(envid))?;
    }
    write!(text, "Reporting-MTA: dns; {}\r\n", config.mail.hostname)?;
    write!(text, "Arrival-Date: {}\r\n", date(WallTime::from_unix_micros(record.accepted_at)))?;
    for outcome in reported.outcomes {
        write!(text, "\r\n")?;
        let recipient = record.envelope.recipients.get(outcome.recipient as usize);
        if let Some(orcpt) = recipient.and_then(|recipient| recipient.orcpt.as_ref()) {
            write!(text, "Original-Recipient: {}\r\n", escaped(orcpt))?;
        }
        write!(text, "Final-Recipient: {}\r\n", typed(address(record, outcome)))?;
        write!(text, "Action: {}\r\nStatus: {}\r\n", reported.kind.action(), outcome.status)?;
        if let Some(relay) = &outcome.relay {
            write!(text, "Remote-MTA: dns; {}\r\n", escaped(relay))?;
        }
        if let Some(words) = &outcome.diagnostic {
            let kind = if words.as_bytes().first().is_some_and(u8::is_ascii_digit) { "smtp" } else { "x-skywave" };
            write!(text, "Diagnostic-Code: {kind}; {}\r\n", escaped(words))?;
        }
        write!(text, "Last-Attempt-Date: {}\r\n", date(wall))?;
        if reported.kind == Kind::Delayed {
            write!(text, "Will-Retry-Until: {}\r\n", date(WallTime::from_unix_micros(record.expires_at)))?;
        }
    }
    write!(text, "\r\n")
}

fn original(octets: &mut BytesMut, reported: &Reported<'_>, boundary: &str) {
    let kind = if reported.complete { "message/rfc822" } else { "text/rfc822-headers" };
    octets.extend_from_slice(format!("--{boundary}\r\nContent-Type: {kind}\r\n").as_bytes());
    if !reported.returned.is_ascii() {
        octets.extend_from_slice(b"Content-Transfer-Encoding: 8bit\r\n");
    }
    octets.extend_from_slice(b"\r\n");
    let header = usize::try_from(reported.record.header_octets).unwrap_or(usize::MAX);
    let returned =
        if reported.complete { reported.returned } else { &reported.returned[..reported.returned.len().min(header)] };
    octets.extend_from_slice(returned);
    octets.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
}

fn address<'a>(record: &'a MailRecord, outcome: &Outcome) -> &'a str {
    record.envelope.recipients.get(outcome.recipient as usize).map_or("", |recipient| recipient.to.as_str())
}

/// An address with its type. This part of a report is seven bits wide, whatever way it goes: an address outside ASCII is
/// written so that it passes.
//= smtp/UTF8-002
fn typed(address: &str) -> String {
    if address.is_ascii() {
        return format!("rfc822; {address}");
    }
    let mut text = String::from("utf-8; ");
    for c in address.chars() {
        match c {
            '!'..='~' if !matches!(c, '\\' | '+' | '=') => text.push(c),
            _other => {
                let _ = write!(text, "\\x{{{:X}}}", u32::from(c));
            }
        }
    }
    text
}

/// Words of others for a text: control characters become blanks.
fn printable(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_pass_seven_bits() {
        for (address, typed) in [
            ("a+b@field.test", "rfc822; a+b@field.test"),
            ("grüße@feld.test", r"utf-8; gr\x{FC}\x{DF}e@feld.test"),
            (r"x\=+𝄞@feld.test", r"utf-8; x\x{5C}\x{3D}\x{2B}\x{1D11E}@feld.test"),
        ] {
            assert_eq!(self::typed(address), typed);
        }
    }
}

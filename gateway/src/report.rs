//! Writes delivery status notifications (RFC 3464): exact per-recipient groups from a queue record.
//!
//! Written by hand, as no library makes them from a record. Returns the header of the original, or the whole of it
//! where RET=FULL asks for it and it is small.

use std::fmt::Write as _;

use serde::Serialize;
use skywave_protocols::bytes::{Bytes, BytesMut};
use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::smtp::grammar::xtext;
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
    /// Who gets the report.
    pub to: &'a Mailbox,
    /// What happened.
    pub kind: Kind,
    /// To whom.
    pub outcomes: &'a [Outcome],
    /// Lines that were to name a recipient, as written, and why they do not.
    pub unreadable: &'a [(String, String)],
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
    let (mut text, mut parts) = (String::new(), String::new());
    let _ = explanation(&mut parts, config, reported, &boundary);
    let _ = status(&mut parts, config, wall, reported, &boundary);
    let returned = returned(reported);
    let eight_bit = !parts.is_ascii() || !returned.is_ascii();
    let _ = header(&mut text, config, ticket, wall, reported, &boundary, eight_bit);
    let mut octets = BytesMut::from(text.as_bytes());
    octets.extend_from_slice(parts.as_bytes());
    original(&mut octets, reported, returned, &boundary);
    octets.freeze()
}

/// What says how wide a part is: 8 bit only where it must, and then around it too (RFC 2045 section 6.4).
const fn encoding(eight_bit: bool) -> &'static str {
    if eight_bit { "Content-Transfer-Encoding: 8bit\r\n" } else { "" }
}

fn header(
    text: &mut String,
    config: &SiteConfig,
    ticket: Ticket,
    wall: WallTime,
    reported: &Reported<'_>,
    boundary: &str,
    eight_bit: bool,
) -> std::fmt::Result {
    let record = reported.record;
    write!(text, "From: Mail Delivery System <{}>\r\nTo: <{}>\r\n", config.mail.postmaster, reported.to)?;
    write!(text, "Subject: {}\r\nDate: {}\r\n", reported.kind.subject(), date(wall))?;
    write!(text, "Message-ID: {}\r\n", message_id(config, ticket))?;
    if !record.message_id.is_empty() {
        write!(text, "References: {}\r\n", escaped(&record.message_id))?;
    }
    if record.precedence() != Precedence::Routine {
        write!(text, "MMHS-Primary-Precedence: {}\r\n", record.precedence().name())?;
    }
    write!(text, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n{}", encoding(eight_bit))?;
    write!(text, "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n\r\n")
}

fn explanation(text: &mut String, config: &SiteConfig, reported: &Reported<'_>, boundary: &str) -> std::fmt::Result {
    let mut words = String::new();
    write!(words, "This is the Skywave gateway at {}.\r\n\r\n{}\r\n\r\n", config.site, reported.kind.explanation())?;
    for outcome in reported.outcomes {
        let diagnostic = outcome.diagnostic.as_deref().unwrap_or("");
        write!(words, "<{}>: {} {}\r\n", address(reported.record, outcome), outcome.status, printable(diagnostic))?;
    }
    for (line, why) in reported.unreadable.iter().take(UNREADABLE_MAX) {
        write!(words, "{}: {UNREADABLE_STATUS} {}\r\n", unreadable(line), printable(why))?;
    }
    let charset = if words.is_ascii() { "us-ascii" } else { "utf-8" };
    write!(text, "--{boundary}\r\nContent-Type: text/plain; charset={charset}\r\n{}\r\n", encoding(!words.is_ascii()))?;
    write!(text, "{words}\r\n")
}

/// The status of a recipient whose line cannot be read (RFC 3463: bad destination mailbox address syntax).
const UNREADABLE_STATUS: &str = "5.1.3";
/// Lines that a report shows; more are counted by the site's alarm.
const UNREADABLE_MAX: usize = 100;
/// Characters of a line that a report shows.
const UNREADABLE_CHARS_MAX: usize = 200;

fn unreadable(line: &str) -> String {
    escaped(&line.chars().take(UNREADABLE_CHARS_MAX).collect::<String>())
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
        //= smtp/DSN-004
        write!(text, "Original-Envelope-Id: {}\r\n", xtext::shown(envid))?;
    }
    write!(text, "Reporting-MTA: dns; {}\r\n", config.mail.hostname)?;
    write!(text, "Arrival-Date: {}\r\n", date(WallTime::from_unix_micros(record.accepted_at)))?;
    for outcome in reported.outcomes {
        write!(text, "\r\n")?;
        let recipient = record.envelope.recipients.get(outcome.recipient as usize);
        if let Some(orcpt) = recipient.and_then(|recipient| recipient.orcpt.as_ref()) {
            let shown = xtext::original_recipient(orcpt).unwrap_or_else(|| escaped(orcpt));
            write!(text, "Original-Recipient: {shown}\r\n")?;
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
    for (line, why) in reported.unreadable.iter().take(UNREADABLE_MAX) {
        write!(text, "\r\nFinal-Recipient: unknown; {}\r\n", unreadable(line))?;
        write!(text, "Action: {}\r\nStatus: {UNREADABLE_STATUS}\r\n", reported.kind.action())?;
        write!(text, "Diagnostic-Code: x-skywave; {}\r\n", escaped(why))?;
    }
    write!(text, "\r\n")
}

/// What is returned of the original: all of it, or its header.
fn returned<'a>(reported: &Reported<'a>) -> &'a [u8] {
    let header = usize::try_from(reported.record.header_octets).unwrap_or(usize::MAX);
    let end = if reported.complete { usize::MAX } else { header };
    &reported.returned[..reported.returned.len().min(end)]
}

fn original(octets: &mut BytesMut, reported: &Reported<'_>, returned: &[u8], boundary: &str) {
    let header = &returned[..header_octets(returned).min(returned.len())];
    //= smtp/DSN-005
    let utf8 = !header.is_ascii() && std::str::from_utf8(header).is_ok();
    let kind = match (reported.complete, utf8) {
        (true, false) => "message/rfc822",
        (true, true) => "message/global",
        (false, false) => "text/rfc822-headers",
        (false, true) => "message/global-headers",
    };
    let encoding = encoding(!returned.is_ascii());
    octets.extend_from_slice(format!("--{boundary}\r\nContent-Type: {kind}\r\n{encoding}\r\n").as_bytes());
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

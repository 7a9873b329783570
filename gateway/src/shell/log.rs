//! Log lines in the manner a Postfix operator greps: `queue id: from=<…>, to=<…>, relay=…, status=sent (…)`.
//!
//! What came from outside is escaped: a line is one line, whatever an address contains.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;

use skywave_protocols::time::WallTime;

use crate::telemetry::{Event, Level};

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people and grep.
    #[default]
    Text,
    /// One JSON object a line, with the event's fields.
    Json,
}

/// Octets of lines that one turn of the event loop may hold back.
const HELD_OCTETS_MAX: usize = 64 << 10;

thread_local! {
    /// The lines of the turn at hand; `None` between turns and on other threads.
    static HELD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Standard error, to which the lines of one turn of the event loop go in one write.
#[derive(Debug, Default)]
pub struct LogWriter;

impl io::Write for LogWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let full = HELD.with_borrow_mut(|held| {
            let Some(lines) = held else { return Some(octets.to_vec()) };
            lines.extend_from_slice(octets);
            (lines.len() >= HELD_OCTETS_MAX).then(|| std::mem::take(lines))
        });
        full.map_or(Ok(()), |lines| io::Write::write_all(&mut io::stderr(), &lines)).map(|()| octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Until it is dropped the lines of this thread are held back.
#[must_use]
pub(super) struct Held;

/// Begins a turn.
pub(super) fn hold() -> Held {
    HELD.set(Some(Vec::new()));
    Held
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lines) = HELD.take().filter(|lines| !lines.is_empty()) {
            // Nobody could be told that the log cannot be written.
            let _ = io::Write::write_all(&mut io::stderr(), &lines);
        }
    }
}

/// Writes events to the log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) site: std::sync::Arc<str>,
    pub(super) format: LogFormat,
}

impl Log {
    /// Writes the line of an event that happened at `at`, if the operator wants to see its level.
    pub(super) fn tell(&self, at: WallTime, event: &Event) {
        let (wanted, level) = match event.level() {
            Level::Error => (tracing::enabled!(tracing::Level::ERROR), "ERROR"),
            Level::Warn => (tracing::enabled!(tracing::Level::WARN), "WARN"),
            Level::Info => (tracing::enabled!(tracing::Level::INFO), "INFO"),
            Level::Debug => (tracing::enabled!(tracing::Level::DEBUG), "DEBUG"),
        };
        if wanted {
            // Nobody could be told that the log cannot be written.
            let _ = io::Write::write_all(&mut LogWriter, self.whole(at, level, event).as_bytes());
        }
    }

    fn whole(&self, at: WallTime, level: &str, event: &Event) -> String {
        match self.format {
            LogFormat::Text => format!("{} {level:>5} {}\n", stamp(at), line(event)),
            LogFormat::Json => {
                let mut object = serde_json::to_value(event).unwrap_or_default();
                object["timestamp"] = stamp(at).into();
                object["level"] = level.into();
                object["site"] = (*self.site).into();
                format!("{object}\n")
            }
        }
    }
}

/// `2030-03-17T17:46:40.123456Z`, as the lines have that do not come from events.
fn stamp(at: WallTime) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let moment = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.unix_micros()) * 1000).ok();
    moment.and_then(|moment| moment.format(&format).ok()).unwrap_or_default()
}

/// The line of an event.
pub fn line(event: &Event) -> String {
    mail_line(event).unwrap_or_else(|| other_line(event))
}

/// Lines about one mail begin with its ticket.
fn mail_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::MailAccepted { ticket, message_id, from, recipients, bytes, precedence, source, origin } => {
            let mut line = format!(
                "{}: message-id={}, from=<{}>, size={bytes}, nrcpt={recipients}, precedence={}, source={}",
                escaped(ticket),
                escaped(message_id),
                escaped(from),
                precedence.name(),
                escaped(source)
            );
            if let Some(origin) = origin {
                let _ = write!(line, ", origin={}", escaped(origin));
            }
            line
        }
        Event::MailRefused { source, reply } => {
            format!("NOQUEUE: reject: from {}: {}", escaped(source), escaped(reply))
        }
        Event::MailTried { .. } => tried_line(event),
        Event::MailFinished { ticket } => format!("{}: removed", escaped(ticket)),
        Event::Duplicate { link, key } => format!("NOQUEUE: duplicate: link={}, key={}", escaped(link), escaped(key)),
        Event::PossibleDuplicate { ticket, message_id } => format!(
            "{}: message-id={}, possible duplicate: the hand-over was open when the site went down",
            escaped(ticket),
            escaped(message_id)
        ),
        Event::HopStarted { ticket, link, sites, unit_bytes, precedence } => format!(
            "{}: link={}, sites={}, unit_bytes={unit_bytes}, precedence={}, status=sending",
            escaped(ticket),
            escaped(link),
            escaped(&sites.join(" ")),
            precedence.name()
        ),
        Event::HopProgress { ticket, link, bytes_on_link, why } => format!(
            "{}: link={}, bytes_on_link={bytes_on_link}, waiting ({})",
            escaped(ticket),
            escaped(link),
            escaped(why)
        ),
        Event::Ready { .. }
        | Event::LinkUp { .. }
        | Event::LinkDown { .. }
        | Event::Emission { .. }
        | Event::Stanza(_)
        | Event::ChatBlock { .. }
        | Event::ChatServerUp { .. }
        | Event::ChatServerDown { .. }
        | Event::Notice { .. }
        | Event::StoreFailing { .. }
        | Event::StoreRecovered
        | Event::Damaged { .. } => return None,
    })
}

fn tried_line(event: &Event) -> String {
    let Event::MailTried { ticket, from, to, relay, delay_seconds, precedence, dsn, status, text, bytes_on_link } =
        event
    else {
        return String::new();
    };
    let mut line = format!(
        "{}: from=<{}>, to=<{}>, relay={}, delay={delay_seconds:.2}, precedence={}, dsn={}, status={} ({})",
        escaped(ticket),
        escaped(from),
        escaped(to),
        escaped(relay),
        precedence.name(),
        escaped(dsn),
        status_word(*status),
        escaped(text)
    );
    if *bytes_on_link > 0 {
        let _ = write!(line, ", bytes_on_link={bytes_on_link}");
    }
    line
}

/// One line a stanza and fate, begun like the lines of mails.
fn stanza_line(line: &crate::telemetry::StanzaLine) -> String {
    format!(
        "{}: {} from=<{}>, to=<{}>, id={}, peer={}, size={}, delay={:.2}, precedence={}, status={} ({})",
        escaped(&line.number),
        line.kind,
        escaped(&line.from),
        escaped(&line.to),
        escaped(&line.id),
        escaped(&line.peer),
        line.bytes,
        line.delay_seconds,
        line.precedence.name(),
        line.status.name(),
        escaped(&line.text)
    )
}

const fn status_word(status: crate::telemetry::Status) -> &'static str {
    use crate::telemetry::Status;
    match status {
        Status::Sent => "sent",
        Status::Relayed => "relayed",
        Status::Deferred => "deferred",
        Status::Bounced => "bounced",
        Status::Expired => "expired",
    }
}

fn other_line(event: &Event) -> String {
    match event {
        Event::Ready { site } => format!("ready: site={}", escaped(site)),
        Event::LinkUp { link } => format!("link={}, status=up", escaped(link)),
        Event::LinkDown { link, why } => format!("link={}, status=down ({})", escaped(link), escaped(why)),
        Event::Emission { link, silent } => {
            format!("link={}, emcon={}", escaped(link), if *silent { "on" } else { "off" })
        }
        Event::Notice { part, alarm, name, detail } => {
            format!("{}: {name}: {}{}", escaped(part), escaped(detail), if *alarm { " (alarm)" } else { "" })
        }
        Event::Stanza(line) => stanza_line(line),
        Event::ChatBlock { peer, link, bytes_raw, bytes_sent } => {
            let (peer, link) = (escaped(peer), escaped(link));
            format!("chat: peer={peer}, link={link}, bytes_raw={bytes_raw}, bytes_sent={bytes_sent}, status=block")
        }
        Event::ChatServerUp { server } => format!("chat: server={}, status=up", escaped(server)),
        Event::ChatServerDown { server, why } => {
            format!("chat: server={}, status=down ({})", escaped(server), escaped(why))
        }
        Event::StoreFailing { why } => format!("store fails, mail is refused: {}", escaped(why)),
        Event::StoreRecovered => "store works again".to_owned(),
        Event::Damaged { record } => format!("damaged record set aside: {}", escaped(record)),
        mail @ (Event::MailAccepted { .. }
        | Event::MailRefused { .. }
        | Event::MailTried { .. }
        | Event::MailFinished { .. }
        | Event::Duplicate { .. }
        | Event::PossibleDuplicate { .. }
        | Event::HopStarted { .. }
        | Event::HopProgress { .. }) => mail_line(mail).unwrap_or_default(),
    }
}

/// Control characters, separators of lines and marks that turn the direction of text, made visible.
pub fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    let bad = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(bad) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if bad(c) {
            let _ = write!(clean, "\\u{{{:x}}}", u32::from(c));
        } else {
            clean.push(c);
        }
    }
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Status;
    use io::Write as _;
    use skywave_protocols::message::precedence::Precedence;

    #[test]
    fn a_json_line_has_the_fields_of_its_event() {
        let at = WallTime::from_unix_micros(1_900_000_000_000_007);
        let removed = Event::MailFinished { ticket: "00000A1".to_owned() };
        let log = |format| Log { site: "hq.test".into(), format };
        let text = log(LogFormat::Text).whole(at, "INFO", &removed);
        assert_eq!(text, "2030-03-17T17:46:40.000007Z  INFO 00000A1: removed\n");
        let json = log(LogFormat::Json).whole(at, "INFO", &removed);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "timestamp": "2030-03-17T17:46:40.000007Z", "level": "INFO", "site": "hq.test",
            "event": "mail_finished", "ticket": "00000A1",
        });
        assert_eq!((read, json.lines().count()), (expected, 1));
    }

    #[test]
    fn a_turn_holds_its_lines_back() {
        let turn = hold();
        LogWriter.write_all(b"one\n").unwrap();
        LogWriter.write_all(b"two\n").unwrap();
        assert_eq!(HELD.with_borrow(Clone::clone).as_deref(), Some(&b"one\ntwo\n"[..]));
        drop(turn);
        assert_eq!(HELD.with_borrow(Clone::clone), None);
        LogWriter.write_all(b"").unwrap();
        assert_eq!(HELD.with_borrow(Clone::clone), None, "outside a turn nothing is held");
    }

    #[test]
    fn a_line_is_one_line_as_operators_know_it() {
        let event = Event::MailTried {
            ticket: "00000A1".to_owned(),
            from: "a@hq.test".to_owned(),
            to: "b@field.test\r\nNov 22 forged: sent".to_owned(),
            relay: "hf field.test".to_owned(),
            delay_seconds: 61.004,
            precedence: Precedence::Flash,
            dsn: "2.0.0".to_owned(),
            status: Status::Sent,
            text: "on its disk".to_owned(),
            bytes_on_link: 812,
        };
        assert_eq!(
            line(&event),
            "00000A1: from=<a@hq.test>, to=<b@field.test\\u{d}\\u{a}Nov 22 forged: sent>, relay=hf field.test, \
             delay=61.00, precedence=flash, dsn=2.0.0, status=sent (on its disk), bytes_on_link=812"
        );
        assert_eq!(line(&Event::MailFinished { ticket: "00000A1".to_owned() }), "00000A1: removed");
        assert_eq!(
            line(&Event::LinkDown { link: "hf".to_owned(), why: "no answer".to_owned() }),
            "link=hf, status=down (no answer)"
        );
        assert_eq!(escaped("a\u{202e}b"), "a\\u{202e}b");
    }
}

//! The Received field that Skywave writes (RFC 5321 section 4.4, with the PRIORITY clause of RFC 6710), and reading it
//! back.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::message::precedence::MtPriority;
use crate::time::WallTime;

/// What a Received field says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received<'a> {
    /// The name the peer gave (EHLO), or the name of a peer site; anything unfit for the field is replaced.
    pub client: &'a str,
    /// Its address, or the link.
    pub peer: &'a str,
    /// Our site.
    pub site: &'a str,
    /// The protocol's name: `ESMTPS`, `MULE` ….
    pub protocol: &'a str,
    /// The mail's ticket.
    pub ticket: &'a str,
    /// The MT-PRIORITY the mail has, if any.
    pub priority: Option<MtPriority>,
    /// When it was received.
    pub at: WallTime,
}

impl std::fmt::Display for Received<'_> {
    /// The whole field, folded, with its last CRLF.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Received: from {} ({})\r\n", word(self.client), word(self.peer))?;
        write!(f, "\tby {} (Skywave) with {} id {}", word(self.site), word(self.protocol), word(self.ticket))?;
        if let Some(priority) = self.priority {
            //= smtp/PRIO-007
            write!(f, " PRIORITY {priority}")?;
        }
        write!(f, ";\r\n\t{}\r\n", date(self.at))
    }
}

/// Site and ticket of a Received field that a Skywave wrote.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Trace {
    /// The site.
    pub site: String,
    /// Its ticket.
    pub ticket: String,
}

impl Trace {
    /// Reads the unfolded value of a Received field; `None` when no Skywave wrote it.
    pub fn parse(text: &str) -> Option<Self> {
        let clauses = text.split(';').next()?;
        let mut words = clauses.split_ascii_whitespace();
        if words.next()? != "from" {
            return None;
        }
        let _client = words.next()?;
        let mut words = words.skip_while(|word| word.starts_with('('));
        let site = words.next().filter(|word| *word == "by").and_then(|_| words.next())?;
        let marked = words.next() == Some("(Skywave)") && words.next() == Some("with");
        let _protocol = words.next()?;
        let ticket = words.next().filter(|word| *word == "id").and_then(|_| words.next())?;
        marked.then(|| Self { site: site.to_owned(), ticket: ticket.to_owned() })
    }
}

/// A date as RFC 5322 section 3.3 writes it, in UTC.
pub fn date(at: WallTime) -> String {
    let seconds = i64::try_from(at.unix_seconds()).unwrap_or(i64::MAX);
    // Beyond the year 9999 there is no such date; a clock that says so is broken.
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&Rfc2822).unwrap_or_default()
}

/// One word that can stand in a Received field and cannot be taken for anything else.
fn word(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]@+=/".contains(c);
    let word: String = text.chars().take(255).map(|c| if fits(c) { c } else { '_' }).collect();
    if word.is_empty() { "unknown".to_owned() } else { word }
}

//! The grammar of commands and parameters (RFC 5321 section 4.1), read and written.
//!
//! Shared by the SMTP server, MULE payloads and batches. Promises: addresses, ENVID, ORCPT and AUTH are kept to the
//! octet as written (a quoted local part stays quoted, any address type of ORCPT passes); splitting comes before
//! decoding, so an encoded CRLF is never a line end. Absent MT-PRIORITY is not 0. Limits: the caller bounds the line.

mod extensions;
mod parameters;
mod path;
mod write;
pub mod xtext;

pub use extensions::Extensions;
pub use parameters::{mail_arguments, rcpt_arguments};
pub use write::{mail_argument_line, mail_line, rcpt_argument_line, rcpt_line};

use crate::message::address::Mailbox;
use crate::message::mail::{MailParameters, Recipient};

use super::fault::GrammarFault;

/// A command line, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// EHLO and the client's name.
    Ehlo(String),
    /// HELO and the client's name.
    Helo(String),
    /// MAIL FROM; no sender is the null path.
    Mail(Option<Mailbox>, Box<MailParameters>),
    /// RCPT TO.
    Rcpt(Box<Recipient>),
    /// DATA.
    Data,
    /// BDAT (RFC 3030).
    Bdat {
        /// Octets that follow.
        octets: u64,
        /// Whether they are the last of the mail.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth {
        /// In upper case.
        mechanism: String,
        /// The initial response as written.
        initial: Option<String>,
    },
}

/// Reads one command line, without its CRLF. `host` completes `<Postmaster>`.
///
/// # Errors
/// [`GrammarFault`], which knows its reply.
pub fn command(line: &[u8], extensions: &Extensions, host: &str) -> Result<Command, GrammarFault> {
    let line = text(line)?;
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim_matches(' ');
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => Ok(Command::Ehlo(client_name(rest)?)),
        "HELO" => Ok(Command::Helo(client_name(rest)?)),
        "MAIL" => mail(rest, extensions),
        "RCPT" => rcpt(rest, extensions, host),
        "DATA" => bare(rest, Command::Data),
        "BDAT" if extensions.chunking => bdat(rest),
        "RSET" => bare(rest, Command::Rset),
        "QUIT" => bare(rest, Command::Quit),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => Ok(Command::Vrfy),
        "EXPN" => Ok(Command::Expn),
        "HELP" => Ok(Command::Help),
        "STARTTLS" if extensions.start_tls => bare(rest, Command::StartTls),
        "AUTH" if extensions.auth => auth(rest),
        _ => Err(GrammarFault::UnknownCommand),
    }
}

/// The line as text, refused when it holds what no command may.
fn text(line: &[u8]) -> Result<&str, GrammarFault> {
    //= smtp/LINE-003
    if let Some(&octet) = line.iter().find(|octet| octet.is_ascii_control()) {
        return Err(GrammarFault::Octet(octet));
    }
    std::str::from_utf8(line).map_err(|error| GrammarFault::Octet(line.get(error.valid_up_to()).copied().unwrap_or(0)))
}

fn bare(rest: &str, command: Command) -> Result<Command, GrammarFault> {
    if rest.is_empty() { Ok(command) } else { Err(GrammarFault::Syntax("this command has no argument")) }
}

fn client_name(rest: &str) -> Result<String, GrammarFault> {
    const FORM: GrammarFault = GrammarFault::Syntax("EHLO hostname");
    // Names that break RFC 5321 (underscores, a bare address) are common and harm nobody; blanks and non-ASCII do.
    let fits = !rest.is_empty() && rest.len() <= 255 && rest.bytes().all(|octet| octet.is_ascii_graphic());
    if fits { Ok(rest.to_owned()) } else { Err(FORM) }
}

fn mail(rest: &str, extensions: &Extensions) -> Result<Command, GrammarFault> {
    let arguments = after_keyword(rest, "FROM:").ok_or(GrammarFault::Syntax("MAIL FROM:<address>"))?;
    let (sender, parameters, faults) = mail_arguments(arguments, extensions)?;
    match faults.into_iter().next() {
        Some(fault) if !extensions.unknown => Err(fault),
        Some(_) | None => Ok(Command::Mail(sender, Box::new(parameters))),
    }
}

fn rcpt(rest: &str, extensions: &Extensions, host: &str) -> Result<Command, GrammarFault> {
    let arguments = after_keyword(rest, "TO:").ok_or(GrammarFault::Syntax("RCPT TO:<address>"))?;
    let (recipient, faults) = match after_keyword(arguments, "<postmaster>") {
        //= smtp/ADDR-003
        Some(parameters) => rcpt_arguments(&format!("<postmaster@{host}> {parameters}"), extensions)?,
        None => rcpt_arguments(arguments, extensions)?,
    };
    match faults.into_iter().next() {
        Some(fault) if !extensions.unknown => Err(fault),
        Some(_) | None => Ok(Command::Rcpt(Box::new(recipient))),
    }
}

/// What follows `keyword` (any case), without the blanks that some clients put there.
fn after_keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| tail.trim_start_matches(' '))
}

fn bdat(rest: &str) -> Result<Command, GrammarFault> {
    const FORM: GrammarFault = GrammarFault::Syntax("BDAT octets [LAST]");
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let size = words.next().ok_or(FORM)?;
    if !size.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(FORM);
    }
    //= smtp/BDAT-004
    let octets = size.parse().map_err(|_| FORM)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(FORM),
    };
    if words.next().is_some() {
        return Err(FORM);
    }
    Ok(Command::Bdat { octets, last })
}

fn auth(rest: &str) -> Result<Command, GrammarFault> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(GrammarFault::Syntax("AUTH mechanism"))?.to_ascii_uppercase();
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() {
        return Err(GrammarFault::Syntax("AUTH mechanism [initial-response]"));
    }
    Ok(Command::Auth { mechanism, initial })
}

#[cfg(test)]
mod tests;

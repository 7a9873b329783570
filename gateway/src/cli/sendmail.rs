//! The flags of sendmail, and a message made fit for submission. Pure.

use skywave_protocols::message::mail::{Notify, Ret};
use skywave_protocols::message::precedence::Precedence;

/// What sendmail is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Submit a message (`-bm`).
    #[default]
    Submit,
    /// Speak SMTP on standard input and output (`-bs`).
    Smtp,
    /// Show the queue (`-bp`).
    Queue,
}

/// The flags, read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// What to do.
    pub mode: Mode,
    /// Recipients from the header (`-t`).
    pub recipients_from_header: bool,
    /// A dot alone does not end the message (`-i`, `-oi`).
    pub ignore_dots: bool,
    /// Envelope sender (`-f`, `-r`).
    pub sender: Option<String>,
    /// Full name of the sender (`-F`).
    pub full_name: Option<String>,
    /// `-N`.
    pub notify: Option<Notify>,
    /// `-R`.
    pub ret: Option<Ret>,
    /// `-V`.
    pub envid: Option<String>,
    /// `--precedence`.
    pub precedence: Option<Precedence>,
    /// `-C`.
    pub config: Option<String>,
    /// Where it is submitted, instead of the configured listener (`--server`).
    pub server: Option<String>,
    /// Recipients of the command line.
    pub recipients: Vec<String>,
}

/// Reads the flags.
///
/// # Errors
/// The flag that is none, in words.
pub fn flags(words: &[String]) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            None => flags.recipients.push(word.clone()),
            Some("-") => {
                flags.recipients.extend(words.by_ref().cloned());
            }
            Some(flag) => one_flag(&mut flags, flag, &mut words)?,
        }
    }
    Ok(flags)
}

fn one_flag<'a>(flags: &mut Flags, flag: &str, words: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
    // The value stands in the same word or in the next.
    let mut value = |rest: &str| match rest {
        "" => words.next().cloned().ok_or_else(|| format!("-{flag} needs a value")),
        rest => Ok(rest.to_owned()),
    };
    let letter = flag.chars().next().unwrap_or_default();
    let rest = flag.get(letter.len_utf8()..).unwrap_or_default();
    match (letter, flag) {
        (_, "bm" | "m" | "n" | "U" | "G" | "em" | "oem" | "odb" | "odi" | "om" | "v") => {}
        (_, "bs") => flags.mode = Mode::Smtp,
        (_, "bp") => flags.mode = Mode::Queue,
        (_, "t") => flags.recipients_from_header = true,
        (_, "i" | "oi") => flags.ignore_dots = true,
        (_, "ti" | "it") => (flags.recipients_from_header, flags.ignore_dots) = (true, true),
        ('-', "-precedence") => flags.precedence = Some(precedence(&value("")?)?),
        ('-', "-server") => flags.server = Some(value("")?),
        ('f' | 'r', _) => flags.sender = Some(value(rest)?),
        ('F', _) => flags.full_name = Some(value(rest)?),
        ('N', _) => flags.notify = Some(notify(&value(rest)?)?),
        ('R', _) => flags.ret = Some(ret(&value(rest)?)?),
        ('V', _) => flags.envid = Some(value(rest)?),
        ('C', _) => flags.config = Some(value(rest)?),
        // Accepted and without meaning here: log tag, body type, protocol, hop count, options, debugging.
        ('L' | 'B' | 'p' | 'h' | 'd' | 'A' | 'X', _) => drop(value(rest)?),
        ('o', _) => {}
        _ => return Err(format!("-{flag} is not known")),
    }
    Ok(())
}

fn precedence(text: &str) -> Result<Precedence, String> {
    Precedence::parse(text).ok_or_else(|| format!("{text} is no precedence"))
}

fn notify(text: &str) -> Result<Notify, String> {
    let mut notify = Notify::NEVER;
    for word in text.split(',') {
        match word.to_ascii_lowercase().as_str() {
            "never" if text.eq_ignore_ascii_case("never") => {}
            "success" => notify.success = true,
            "failure" => notify.failure = true,
            "delay" => notify.delay = true,
            _ => return Err(format!("{text} is no notification: never, or success,failure,delay")),
        }
    }
    Ok(notify)
}

fn ret(text: &str) -> Result<Ret, String> {
    match text.to_ascii_lowercase().as_str() {
        "full" => Ok(Ret::Full),
        "hdrs" => Ok(Ret::Hdrs),
        _ => Err(format!("{text} is neither full nor hdrs")),
    }
}

/// A message as it is submitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// Its octets, CRLF at the ends of lines.
    pub text: Vec<u8>,
    /// Recipients named in To, Cc and Bcc.
    pub recipients: Vec<String>,
    /// The address in From.
    pub from: Option<String>,
}

/// What a message without these fields gets.
#[derive(Clone, Copy, Debug)]
pub struct Missing<'a> {
    /// From, with the full name.
    pub from: &'a str,
    /// Date.
    pub date: &'a str,
    /// Message-ID, with angle brackets.
    pub message_id: &'a str,
}

/// Lines get CRLF, a lone dot ends the message unless dots are ignored, Bcc goes, missing fields come.
pub fn prepare(input: &[u8], ignore_dots: bool, missing: &Missing<'_>) -> Prepared {
    let lines = lines(input, ignore_dots);
    let is_field = |line: &[u8]| {
        line.iter()
            .position(|octet| *octet == b':')
            .is_some_and(|at| at > 0 && line[..at].iter().all(|octet| octet.is_ascii_graphic()))
    };
    let is_more = |line: &[u8]| line.first().is_some_and(|octet| matches!(octet, b' ' | b'\t'));
    let header_end = lines
        .iter()
        .enumerate()
        .position(|(index, line)| !(is_field(line) || (index > 0 && is_more(line))))
        .unwrap_or(lines.len());
    let (header, body) = lines.split_at(header_end);
    let parsed = mail_parser::MessageParser::default().parse_headers(&with_line_ends(header)[..]).map(|message| {
        let addresses = [message.to(), message.cc(), message.bcc()].into_iter().flatten();
        let addresses = addresses.flat_map(|list| list.clone().into_list()).filter_map(|one| one.address);
        let from = message.from().and_then(|from| from.first()).and_then(|one| one.address.as_deref());
        (addresses.map(std::borrow::Cow::into_owned).collect(), from.map(str::to_owned))
    });
    let (recipients, from) = parsed.unwrap_or_default();
    let has = |name: &str| header.iter().any(|line| is_named(line, name));
    let mut out: Vec<Vec<u8>> = Vec::new();
    for (name, value) in [("From", missing.from), ("Date", missing.date), ("Message-ID", missing.message_id)] {
        if !has(name) {
            out.push(format!("{name}: {value}").into_bytes());
        }
    }
    let mut hidden = false;
    for line in header {
        if !is_more(line) {
            hidden = is_named(line, "Bcc");
        }
        if !hidden {
            out.push(line.clone());
        }
    }
    if body.first().is_none_or(|line| !line.is_empty()) {
        out.push(Vec::new());
    }
    out.extend_from_slice(body);
    Prepared { text: with_line_ends(&out), recipients, from }
}

fn is_named(line: &[u8], name: &str) -> bool {
    line.len() > name.len() && line[name.len()] == b':' && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
}

fn lines(input: &[u8], ignore_dots: bool) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for line in input.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"." && !ignore_dots {
            return lines;
        }
        lines.push(line.to_vec());
    }
    // What follows the last line end is no line.
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

fn with_line_ends(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.iter().copied().chain(*b"\r\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Flags, String> {
        flags(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_those_of_sendmail() {
        let flags = read("-t -oi -fa@hq.test -F Anna -N success,delay -Rhdrs -V QQ1 -B 8BITMIME b@x c@x").unwrap();
        assert!(flags.recipients_from_header && flags.ignore_dots);
        assert_eq!((flags.sender.as_deref(), flags.full_name.as_deref()), (Some("a@hq.test"), Some("Anna")));
        assert_eq!(flags.notify, Some(Notify { success: true, failure: false, delay: true }));
        assert_eq!((flags.ret, flags.envid.as_deref()), (Some(Ret::Hdrs), Some("QQ1")));
        assert_eq!(flags.recipients, ["b@x", "c@x"]);
        assert_eq!(read("-bp").unwrap().mode, Mode::Queue);
        assert_eq!(read("--precedence flash -- -odd@x").unwrap().recipients, ["-odd@x"]);
        for wrong in ["-f", "-N sometimes", "-N never,success", "-R half", "-k", "--precedence slow", "-bd"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_are_made_fit() {
        let missing = Missing { from: "me@hq.test", date: "D", message_id: "<1@hq.test>" };
        for (input, ignore_dots, text, recipients) in [
            (
                "Subject: x\n\nhi\n.\nnot this\n",
                false,
                "From: me@hq.test\r\nDate: D\r\nMessage-ID: <1@hq.test>\r\nSubject: x\r\n\r\nhi\r\n",
                vec![],
            ),
            (
                "From: a@b\nDate: E\nMessage-ID: <2>\nTo: X <x@y>,\n z@y\nBCC: q@y,\n\tr@y\nCc: c@y\n\n.\n",
                true,
                "From: a@b\r\nDate: E\r\nMessage-ID: <2>\r\nTo: X <x@y>,\r\n z@y\r\nCc: c@y\r\n\r\n.\r\n",
                vec!["x@y", "z@y", "c@y", "q@y", "r@y"],
            ),
            (
                "no header at all",
                false,
                "From: me@hq.test\r\nDate: D\r\nMessage-ID: <1@hq.test>\r\n\r\nno header at all\r\n",
                vec![],
            ),
            ("", false, "From: me@hq.test\r\nDate: D\r\nMessage-ID: <1@hq.test>\r\n\r\n", vec![]),
        ] {
            let prepared = prepare(input.as_bytes(), ignore_dots, &missing);
            assert_eq!(String::from_utf8(prepared.text).unwrap(), text);
            assert_eq!(prepared.recipients, recipients, "{input:?}");
        }
    }
}

//! SMTP replies: a code, an enhanced code (RFC 2034, RFC 3463) and text.
//!
//! Promises: whatever the text contains, a reply never ends a line early and never carries control characters or
//! octets outside ASCII: they are escaped (hostile-inputs 59).

use std::fmt::Write as _;

use super::limits::REPLY_LINE_OCTETS_MAX;

/// A reply of one or more lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    code: u16,
    detail: Option<(u16, u16)>,
    lines: Vec<String>,
}

impl Reply {
    /// A reply with an enhanced code: `code` 200–599, and subject and detail of RFC 3463. The class of the enhanced
    /// code always follows from `code`. A code outside the range becomes 451.
    pub fn new(code: u16, detail: (u16, u16), text: impl Into<String>) -> Self {
        Self { detail: Some(detail), ..Self::plain(code, text) }
    }

    /// A reply without an enhanced code, as greetings, 3xx and answers to HELO are.
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        let code = if (200..600).contains(&code) { code } else { 451 };
        Self { code, detail: None, lines: vec![text.into()] }
    }

    /// The same reply with one more line.
    #[must_use]
    pub fn line(mut self, text: impl Into<String>) -> Self {
        self.lines.push(text.into());
        self
    }

    /// Three digits.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// Class, subject and detail, if the reply has an enhanced code.
    pub fn enhanced(&self) -> Option<(u16, u16, u16)> {
        self.detail.map(|(subject, detail)| (self.code / 100, subject, detail))
    }

    /// The text of all lines.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// 2xx or 3xx.
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 4xx: worth another try.
    pub const fn is_transient(&self) -> bool {
        self.code >= 400 && self.code < 500
    }

    /// Appends the reply as it goes on the wire; `enhanced` says whether the session has ENHANCEDSTATUSCODES.
    pub fn write(&self, enhanced: bool, out: &mut String) {
        let prefix = match self.enhanced().filter(|_| enhanced && self.code / 100 != 3) {
            Some((class, subject, detail)) => format!("{class}.{subject}.{detail} "),
            None => String::new(),
        };
        let room = REPLY_LINE_OCTETS_MAX - prefix.len() - 4;
        let lines: Vec<String> = self.lines.iter().map(|line| escaped(line)).collect();
        let mut pieces = lines.iter().flat_map(|line| pieces(line, room)).peekable();
        while let Some(piece) = pieces.next() {
            let mark = if pieces.peek().is_some() { '-' } else { ' ' };
            let _ = write!(out, "{}{mark}{prefix}{piece}\r\n", self.code);
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some((class, subject, detail)) = self.enhanced() {
            write!(f, " {class}.{subject}.{detail}")?;
        }
        write!(f, " {}", escaped(&self.text()))
    }
}

/// Text with everything but printable ASCII escaped: safe in a reply, a log line and a report.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        match c {
            ' '..='~' => safe.push(c),
            _ => safe.extend(c.escape_default()),
        }
        safe
    })
}

/// ASCII text cut into lines of at most `room` octets, at least one.
fn pieces(text: &str, room: usize) -> impl Iterator<Item = &str> {
    let room = room.max(1);
    (0..text.len().max(1))
        .step_by(room)
        .map(move |from| text.get(from..text.len().min(from + room)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_codes() {
        for (reply, enhanced, wire) in [
            (Reply::new(250, (1, 5), "ok"), true, "250 2.1.5 ok\r\n"),
            (Reply::new(250, (1, 5), "ok"), false, "250 ok\r\n"),
            (Reply::plain(220, "hq ESMTP"), true, "220 hq ESMTP\r\n"),
            (Reply::new(550, (1, 1), "a").line("b"), true, "550-5.1.1 a\r\n550 5.1.1 b\r\n"),
            (Reply::new(354, (0, 0), "go"), true, "354 go\r\n"),
            (Reply::new(99, (0, 0), "bad"), true, "451 4.0.0 bad\r\n"),
            (Reply::new(550, (1, 1), "<a\r\n250 ok\u{e4}>"), true, "550 5.1.1 <a\\r\\n250 ok\\u{e4}>\r\n"),
        ] {
            let mut out = String::new();
            reply.write(enhanced, &mut out);
            assert_eq!(out, wire);
        }
    }

    #[test]
    fn long_text_is_cut_into_lines() {
        let mut out = String::new();
        Reply::new(550, (1, 1), "x".repeat(1200)).write(true, &mut out);
        assert_eq!(out.lines().count(), 3);
        assert!(out.split("\r\n").all(|line| line.len() <= 510));
    }
}

//! Header fields at the beginning of a mail, found by octet range: no MIME parse, no copy, nothing rewritten.
//!
//! The gateway gives the beginning of a body (its whole header, [`HEADER_OCTETS_MAX`] at most) and gets ranges. Edits
//! remove or put in front whole fields and leave every other octet as it is, so signatures over other fields hold.
//! Only CRLF ends a line. The header ends at the first empty line, or before the first line that is neither a field
//! nor the continuation of one. Limits: [`HEADER_OCTETS_MAX`], [`HEADER_FIELDS_MAX`].

mod precedence;
mod received;

use std::ops::Range;

use super::limits::{HEADER_FIELDS_MAX, HEADER_OCTETS_MAX};
use crate::message::precedence::MtPriority;

pub use precedence::{Decision, MmhsUnknown, Note, Policy, Source, Stand, precedence};
pub use received::{Received, Trace, date};

/// The fields of a header by octet range.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The fields in order.
    pub fields: Vec<Field>,
    /// Where the fields end: the offset of the empty line, if there is one.
    pub end: usize,
    /// Where the body begins, behind the empty line.
    pub body: usize,
    /// Whether the end was found; otherwise the input, or a limit, ended first.
    pub complete: bool,
}

/// One field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name.
    pub name: Range<usize>,
    /// What follows the colon, folds included, the last CRLF not.
    pub value: Range<usize>,
    /// From the name to behind the last CRLF.
    pub whole: Range<usize>,
}

impl Field {
    /// The value without folds and outer blanks; octets that are no UTF-8 are replaced.
    pub fn text(&self, octets: &[u8]) -> String {
        let value = octets.get(self.value.clone()).unwrap_or_default();
        String::from_utf8_lossy(value).replace("\r\n", "").trim_matches([' ', '\t']).to_owned()
    }

    /// Whether this is the field called `name` (any case).
    pub fn is(&self, octets: &[u8], name: &str) -> bool {
        octets.get(self.name.clone()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    }
}

impl Header {
    /// Finds the fields at the beginning of `octets`.
    pub fn scan(octets: &[u8]) -> Self {
        let octets = &octets[..octets.len().min(HEADER_OCTETS_MAX)];
        let mut header = Self::default();
        while let Some(end) = line_end(octets, header.end) {
            let line = &octets[header.end..end];
            if line == b"\r\n" {
                return Self { body: end, complete: true, ..header };
            }
            let continues = line.starts_with(b" ") || line.starts_with(b"\t");
            match header.fields.last_mut() {
                Some(field) if continues => {
                    field.value.end = end - 2;
                    field.whole.end = end;
                }
                _ => match name_and_colon(line) {
                    Some(place) if header.fields.len() < HEADER_FIELDS_MAX => {
                        header.fields.push(field(header.end, place, end));
                    }
                    Some(_) => return Self { body: header.end, ..header },
                    None => return Self { body: header.end, complete: true, ..header },
                },
            }
            header.end = end;
        }
        Self { body: header.end, ..header }
    }

    /// All fields called `name` (any case), in order.
    pub fn named<'a>(&'a self, octets: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.is(octets, name))
    }

    /// How often the mail was received so far, for the loop limit.
    pub fn received_count(&self, octets: &[u8]) -> usize {
        self.named(octets, "Received").count()
    }

    /// Site and ticket of the topmost Received field that a Skywave wrote, for dedupe.
    pub fn trace(&self, octets: &[u8]) -> Option<Trace> {
        self.named(octets, "Received").find_map(|field| Trace::parse(&field.text(octets)))
    }
}

/// `octets` (a mail or its beginning with the whole header) without the fields called `name`.
pub fn without(octets: &[u8], name: &str) -> Vec<u8> {
    let header = Header::scan(octets);
    let mut kept = Vec::with_capacity(octets.len());
    let mut at = 0;
    for field in header.named(octets, name) {
        kept.extend_from_slice(&octets[at..field.whole.start]);
        at = field.whole.end;
    }
    kept.extend_from_slice(&octets[at..]);
    kept
}

/// `octets` with `field` (whole lines, each with its CRLF) in front.
pub fn with_first(octets: &[u8], field: &str) -> Vec<u8> {
    [field.as_bytes(), octets].concat()
}

/// The mail for a peer without MT-PRIORITY (RFC 6758 section 3): every MT-Priority field goes, and one comes when
/// there is a value.
pub fn with_mt_priority(octets: &[u8], value: Option<MtPriority>) -> Vec<u8> {
    //= smtp/PRIO-006
    let stripped = without(octets, "MT-Priority");
    match value {
        Some(value) => with_first(&stripped, &format!("MT-Priority: {value}\r\n")),
        None => stripped,
    }
}

/// Text without comments (nested ones too, RFC 5322 section 3.2.2) and outer blanks; `None` when one does not end.
fn without_comments(text: &str) -> Option<String> {
    let (mut depth, mut escaped, mut kept) = (0u32, false, String::new());
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if depth > 0 => escaped = true,
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            c if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    (depth == 0).then(|| kept.trim().to_owned())
}

fn field(start: usize, (name, colon): (usize, usize), end: usize) -> Field {
    Field { name: start..start + name, value: start + colon + 1..end - 2, whole: start..end }
}

/// Offset behind the CRLF that ends the line at `start`.
fn line_end(octets: &[u8], start: usize) -> Option<usize> {
    let mut from = start;
    loop {
        let at = from + memchr::memchr(b'\n', octets.get(from..)?)?;
        if at > start && octets[at - 1] == b'\r' {
            return Some(at + 1);
        }
        from = at + 1;
    }
}

/// Octets of the field name a line begins with, and the offset of its colon, which old software puts behind blanks
/// (RFC 5322 section 4.5.8).
fn name_and_colon(line: &[u8]) -> Option<(usize, usize)> {
    let name = line.iter().position(|&octet| !(b'!'..=b'~').contains(&octet) || octet == b':')?;
    let blanks = line[name..].iter().position(|&octet| octet != b' ' && octet != b'\t')?;
    (name > 0 && line[name + blanks] == b':').then_some((name, name + blanks))
}

#[cfg(test)]
mod tests;

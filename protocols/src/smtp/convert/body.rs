//! Which parts of a mail are encoded anew, found with mail-parser's offsets.

use std::ops::Range;

use mail_parser::{Encoding, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};

use crate::smtp::grammar::Extensions;
use crate::smtp::headers::{Field, Header};

use super::encoding::{base64, quoted_printable};
use super::{ConvertFault, Edit, Needs};

/// Parts of one mail that are looked at.
const PARTS_MAX: usize = 10_000;

/// Finds what to do so that the body fits.
pub(super) fn edits(octets: &[u8], target: &Extensions, edits: &mut Vec<Edit>) -> Result<(), ConvertFault> {
    let message = MessageParser::default().parse(octets).ok_or(ConvertFault::Structure)?;
    let mut work = Work { octets, target, edits, signed: Vec::new(), parts: 0 };
    work.message(&message)
}

struct Work<'a> {
    octets: &'a [u8],
    target: &'a Extensions,
    edits: &'a mut Vec<Edit>,
    signed: Vec<Range<usize>>,
    parts: usize,
}

impl Work<'_> {
    fn message(&mut self, message: &Message<'_>) -> Result<(), ConvertFault> {
        for part in &message.parts {
            self.parts += 1;
            if self.parts > PARTS_MAX {
                return Err(ConvertFault::Structure);
            }
            self.part(part)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &MessagePart<'_>) -> Result<(), ConvertFault> {
        let start = part.raw_header_offset() as usize;
        let body = part.raw_body_offset() as usize..part.raw_end_offset() as usize;
        let content = self.octets.get(body.clone()).ok_or(ConvertFault::Structure)?;
        if self.signed.iter().any(|signed| signed.contains(&start)) {
            return Ok(());
        }
        let fits = Needs::of(content).met_by(self.target);
        match &part.body {
            PartType::Multipart(_) if is(part, "multipart", "signed") => {
                //= smtp/CONV-002
                self.signed.push(body);
                if fits { Ok(()) } else { Err(ConvertFault::Signed) }
            }
            PartType::Multipart(_) => self.relabel(start, &body),
            PartType::Message(nested) if part.encoding == Encoding::None => {
                self.relabel(start, &body)?;
                self.message(nested)
            }
            PartType::Message(_)
            | PartType::Text(_)
            | PartType::Html(_)
            | PartType::Binary(_)
            | PartType::InlineBinary(_) => match (fits, part.encoding) {
                (true, Encoding::None) => self.relabel(start, &body),
                (true, _) => Ok(()),
                (false, Encoding::None) => self.encode(part, start, &body),
                (false, _) => Err(ConvertFault::Structure),
            },
        }
    }

    /// Encodes a leaf part anew.
    fn encode(&mut self, part: &MessagePart<'_>, start: usize, body: &Range<usize>) -> Result<(), ConvertFault> {
        let (header, octets) = self.header(start, body)?;
        let label = encoding_field(&header, octets).map_or_else(String::new, |field| field.text(octets));
        let plain = ["", "7bit", "8bit", "binary"].iter().any(|known| known.eq_ignore_ascii_case(&label));
        // A container that mail-parser could not take apart must not be encoded, nor what claims to be encoded already.
        let container = part.content_type().is_some_and(|kind| {
            kind.ctype().eq_ignore_ascii_case("multipart") || kind.ctype().eq_ignore_ascii_case("message")
        });
        if !plain || container {
            return Err(ConvertFault::Structure);
        }
        let content = self.octets.get(body.clone()).ok_or(ConvertFault::Structure)?;
        let text = part.content_type().is_none_or(|kind| kind.ctype().eq_ignore_ascii_case("text"));
        let (word, with) = if text && clean_lines(content) {
            ("quoted-printable", quoted_printable(content))
        } else {
            ("base64", base64(content))
        };
        self.edits.push(Edit { at: body.clone(), with });
        self.label(part, start, body, word)
    }

    /// Says how a part is encoded; what else MIME needs is added at the top of the mail.
    fn label(
        &mut self,
        part: &MessagePart<'_>,
        start: usize,
        body: &Range<usize>,
        word: &str,
    ) -> Result<(), ConvertFault> {
        let (header, octets) = self.header(start, body)?;
        if let Some(field) = encoding_field(&header, octets) {
            self.replace(start, &field, word);
            return Ok(());
        }
        let mut lines = String::new();
        if start == 0 && header.named(octets, "MIME-Version").next().is_none() {
            lines.push_str("MIME-Version: 1.0\r\n");
        }
        if start == 0 && part.content_type().is_none() {
            let content = self.octets.get(body.clone()).unwrap_or_default();
            let charset = if std::str::from_utf8(content).is_ok() { "utf-8" } else { "unknown-8bit" };
            lines.push_str(&format!("Content-Type: text/plain; charset={charset}\r\n"));
        }
        lines.push_str(&format!("Content-Transfer-Encoding: {word}\r\n"));
        let at = start + header.end;
        self.edits.push(Edit { at: at..at, with: lines.into_bytes() });
        Ok(())
    }

    /// Corrects the label of a container, or of a part that stays: `binary` and `8bit` say what the server cannot take.
    fn relabel(&mut self, start: usize, body: &Range<usize>) -> Result<(), ConvertFault> {
        let (header, octets) = self.header(start, body)?;
        let Some(field) = encoding_field(&header, octets) else { return Ok(()) };
        let lowest = if self.target.eight_bit_mime { "8bit" } else { "7bit" };
        let label = field.text(octets);
        let too_much =
            label.eq_ignore_ascii_case("binary") || (label.eq_ignore_ascii_case("8bit") && !self.target.eight_bit_mime);
        if too_much {
            self.replace(start, &field, lowest);
        }
        Ok(())
    }

    fn replace(&mut self, start: usize, field: &Field, word: &str) {
        let at = start + field.value.start..start + field.value.end;
        self.edits.push(Edit { at, with: format!(" {word}").into_bytes() });
    }

    /// The header of a part, which must be one to our own reading too.
    fn header(&self, start: usize, body: &Range<usize>) -> Result<(Header, &[u8]), ConvertFault> {
        let octets = self.octets.get(start..body.start).ok_or(ConvertFault::Structure)?;
        let header = Header::scan(octets);
        if !header.complete || header.body != octets.len() {
            return Err(ConvertFault::Structure);
        }
        Ok((header, octets))
    }
}

fn encoding_field(header: &Header, octets: &[u8]) -> Option<Field> {
    header.named(octets, "Content-Transfer-Encoding").next().cloned()
}

fn is(part: &MessagePart<'_>, kind: &str, subtype: &str) -> bool {
    part.content_type().is_some_and(|found| {
        found.ctype().eq_ignore_ascii_case(kind) && found.subtype().is_some_and(|s| s.eq_ignore_ascii_case(subtype))
    })
}

/// Whether all line ends are CRLF and there is no NUL; quoted-printable may have any other text, however long its lines.
fn clean_lines(content: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = content.get(at..).and_then(|rest| memchr::memchr3(b'\r', b'\n', 0, rest)) {
        if !content[at + found..].starts_with(b"\r\n") {
            return false;
        }
        at += found + 2;
    }
    true
}

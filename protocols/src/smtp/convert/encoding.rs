//! Quoted-printable, base64 and encoded words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of an encoded line (RFC 2045 section 6.7, 6.8).
const LINE_MAX: usize = 76;
/// Octets of text in one encoded word: 60 characters of base64 and 12 around them stay below 75.
const WORD_OCTETS_MAX: usize = 45;

/// Quoted-printable. `text` has CRLF line ends only.
pub(super) fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    let mut rest = text;
    loop {
        let end = memchr::memmem::find(rest, b"\r\n");
        quoted_line(&rest[..end.unwrap_or(rest.len())], &mut out);
        let Some(end) = end else { return out };
        out.extend_from_slice(b"\r\n");
        rest = &rest[end + 2..];
    }
}

fn quoted_line(line: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    for (at, &octet) in line.iter().enumerate() {
        let last = at + 1 == line.len();
        let plain = match octet {
            b' ' | b'\t' => !last,
            b'=' => false,
            octet => octet.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        // A full line may end with its last character, any other leaves room for the soft break.
        if column + width > LINE_MAX - usize::from(!last) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        column += width;
    }
}

/// Base64 in lines.
pub(super) fn base64(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / 3 * 4 + octets.len() / 28);
    for line in octets.chunks(LINE_MAX / 4 * 3) {
        out.extend_from_slice(STANDARD.encode(line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    // The CRLF before a boundary belongs to the boundary.
    out.truncate(out.len().saturating_sub(2));
    out
}

/// Text as encoded words, folded.
pub(super) fn words(text: &str) -> String {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD_OCTETS_MAX {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let encoded: Vec<_> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    encoded.join("\r\n ")
}

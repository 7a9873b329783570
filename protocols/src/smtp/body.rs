//! Looks at every octet of a body as it comes: where DATA ends, what must not be in it, and how large it is.
//!
//! Used by the server and by the reader of batches. Promises: only CRLF.CRLF ends DATA; a bare CR, a bare LF or a NUL is a fault at that octet; memory does not depend on
//! the input. A body beyond a limit of *content* (line, header, size) is read to its end, so that the reply stays in
//! step, but yields nothing any more.

use bytes::BytesMut;

use crate::smtp::fault::SmtpFault;
use crate::smtp::limits::SKIPPED_OCTETS_MAX;

/// What the gateway learns about a complete body, for down-conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BodyFacts {
    /// Octets, dots unstuffed, the final `.` not counted.
    pub octets: u64,
    /// Whether there are octets above 127.
    pub eight_bit: bool,
    /// The longest line without its CRLF; 0 for BINARYMIME, where lines mean nothing.
    pub line_octets: usize,
    /// Whether the body came by BDAT with BODY=BINARYMIME.
    pub binary: bool,
}

/// The limits of one body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Octets of the whole body.
    pub size: u64,
    /// Octets of a line, CRLF not counted.
    pub line: usize,
    /// Octets of the header.
    pub header: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// At the beginning of a line of DATA, where a dot counts.
    Start,
    /// Behind a dot at the beginning of a line.
    Dot,
    /// Behind dot and CR: the end, if LF follows.
    DotCr,
    /// Inside a line.
    Text,
    /// Behind a CR inside a line.
    TextCr,
}

/// What a stretch of DATA led to.
#[derive(PartialEq, Eq, Debug)]
pub enum Step {
    /// All octets are used, the body goes on.
    More,
    /// The body ended after this many octets.
    End(usize),
    /// The peer cannot be followed any more.
    Broken(SmtpFault),
}

/// The scanner of one body.
#[derive(Debug)]
pub struct Scanner {
    limits: BodyLimits,
    place: Place,
    dots: bool,
    in_header: bool,
    line: usize,
    facts: BodyFacts,
    fault: Option<SmtpFault>,
}

impl Scanner {
    /// A scanner at the beginning of a body: with dots as in DATA, or without as in BDAT, where it may be binary.
    pub const fn new(limits: BodyLimits, dots: bool, binary: bool) -> Self {
        let facts = BodyFacts { octets: 0, eight_bit: false, line_octets: 0, binary };
        let place = if dots { Place::Start } else { Place::Text };
        Self { limits, place, dots, in_header: true, line: 0, facts, fault: None }
    }

    /// What is known so far.
    pub const fn facts(&self) -> BodyFacts {
        self.facts
    }

    /// The fault of content, if any: the body will be refused at its end.
    pub const fn fault(&self) -> Option<&SmtpFault> {
        self.fault.as_ref()
    }

    /// Octets of DATA; what is content goes to `out`.
    pub fn data(&mut self, input: &[u8], out: &mut BytesMut) -> Step {
        let mut at = 0;
        while let Some(&octet) = input.get(at) {
            match (self.place, octet) {
                (Place::Start, b'.') => {
                    self.place = Place::Dot;
                    at += 1;
                }
                (Place::Dot, b'\r') => {
                    self.place = Place::DotCr;
                    at += 1;
                }
                //= smtp/DATA-001
                (Place::DotCr, b'\n') => return Step::End(at + 1),
                (Place::Start | Place::Dot | Place::Text, _) => {
                    self.place = Place::Text;
                    match self.text(&input[at..], out) {
                        Ok(used) => at += used,
                        Err(fault) => return Step::Broken(fault),
                    }
                }
                (Place::TextCr, b'\n') => {
                    self.line_end(out);
                    at += 1;
                }
                (Place::DotCr | Place::TextCr, _) => return Step::Broken(SmtpFault::BareLineEnd("CR")),
            }
            if self.facts.octets > self.limits.size.saturating_add(SKIPPED_OCTETS_MAX) {
                return Step::Broken(SmtpFault::Endless);
            }
        }
        Step::More
    }

    /// Octets of a chunk of BDAT, whose end is known: nothing in it can break the connection.
    pub fn chunk(&mut self, input: &[u8], out: &mut BytesMut) {
        if self.facts.binary {
            return self.put(input, out);
        }
        let mut at = 0;
        while let Some(&octet) = input.get(at) {
            if self.place == Place::TextCr {
                if octet != b'\n' {
                    return self.refuse(SmtpFault::BareLineEnd("CR"));
                }
                self.line_end(out);
                at += 1;
                continue;
            }
            match self.text(&input[at..], out) {
                Ok(used) => at += used,
                Err(fault) => return self.refuse(fault),
            }
        }
    }

    /// The last chunk is over.
    pub fn chunks_end(&mut self) {
        if self.place == Place::TextCr {
            self.refuse(SmtpFault::BareLineEnd("CR"));
        }
    }

    /// Text up to and including the next CR; how many octets that were.
    fn text(&mut self, input: &[u8], out: &mut BytesMut) -> Result<usize, SmtpFault> {
        let Some(end) = memchr::memchr3(b'\r', b'\n', 0, input) else {
            self.put(input, out);
            return Ok(input.len());
        };
        self.put(&input[..end], out);
        match input[end] {
            b'\r' => self.place = Place::TextCr,
            //= smtp/DATA-002
            b'\n' => return Err(SmtpFault::BareLineEnd("LF")),
            _ => return Err(SmtpFault::Nul),
        }
        Ok(end + 1)
    }

    fn line_end(&mut self, out: &mut BytesMut) {
        self.in_header &= self.line > 0;
        self.facts.line_octets = self.facts.line_octets.max(self.line);
        self.line = 0;
        self.put(b"\r\n", out);
        self.line = 0;
        self.place = if self.dots { Place::Start } else { Place::Text };
    }

    fn put(&mut self, octets: &[u8], out: &mut BytesMut) {
        self.facts.octets += octets.len() as u64;
        self.line += octets.len();
        self.facts.eight_bit |= !octets.is_ascii();
        if self.facts.octets > self.limits.size {
            self.refuse(SmtpFault::MailTooLarge(self.limits.size));
        //= smtp/DATA-003
        } else if !self.facts.binary && self.line > self.limits.line {
            self.refuse(SmtpFault::LineTooLong(self.limits.line));
        } else if self.in_header && !self.facts.binary && self.facts.octets > self.limits.header as u64 {
            self.refuse(SmtpFault::HeaderTooLarge(self.limits.header));
        }
        if self.fault.is_none() {
            out.extend_from_slice(octets);
        }
    }

    fn refuse(&mut self, fault: SmtpFault) {
        self.fault.get_or_insert(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BodyLimits = BodyLimits { size: 10_000, line: 1000, header: 2000 };

    /// Feeds `input` in pieces of `step`; the content and what it led to.
    fn scan(input: &[u8], step: usize) -> (Vec<u8>, Step, Option<SmtpFault>) {
        let mut scanner = Scanner::new(LIMITS, true, false);
        let mut out = BytesMut::new();
        for (number, piece) in input.chunks(step).enumerate() {
            match scanner.data(piece, &mut out) {
                Step::More => {}
                Step::End(used) => return (out.to_vec(), Step::End(number * step + used), scanner.fault),
                Step::Broken(fault) => return (out.to_vec(), Step::Broken(fault), None),
            }
        }
        (out.to_vec(), Step::More, scanner.fault)
    }

    /// Hostile 1: every way to end DATA but the right one.
    #[test]
    fn only_crlf_dot_crlf_ends() {
        let cr = || Step::Broken(SmtpFault::BareLineEnd("CR"));
        let lf = || Step::Broken(SmtpFault::BareLineEnd("LF"));
        for (input, expected) in [
            (&b"a\r\n.\r\n"[..], Step::End(6)),
            (b".\r\n", Step::End(3)),
            (b"a\n.\n", lf()),
            (b"a\n.\r\n", lf()),
            (b"a\r\n.\n", lf()),
            (b"a\r.\r", cr()),
            (b"a\r\n.\rX", cr()),
            (b"a\r\n.\r\r\n", cr()),
            (b"a\r\r\n.\r\n", cr()),
            (b"a\r\n\r.\r\n", cr()),
            (b"a\r\n.\0\r\n", Step::Broken(SmtpFault::Nul)),
            (b"a\0b\r\n", Step::Broken(SmtpFault::Nul)),
            (b"a\r\n..\r\n", Step::More),
            (b"a\r\n. \r\n", Step::More),
            (b"a.\r\n", Step::More),
        ] {
            for step in [1, 2, 3, 100] {
                assert_eq!(scan(input, step).1, expected, "{:?} by {step}", String::from_utf8_lossy(input));
            }
        }
    }

    #[test]
    fn dots_are_unstuffed() {
        for (input, content) in [
            (&b"..a\r\n.b\r\n...\r\n.\r\n"[..], &b".a\r\nb\r\n..\r\n"[..]),
            (b"\r\n..\r\n.\r\n", b"\r\n.\r\n"),
            (b".\r\n", b""),
        ] {
            for step in [1, 2, 5, 100] {
                assert_eq!(scan(input, step).0, content);
            }
        }
    }

    #[test]
    fn content_beyond_a_limit_is_read_to_its_end() {
        let long_line = [&b"\r\n"[..], &[b'x'; 1001], b"\r\n.\r\n"].concat();
        let fits = [&b"\r\n"[..], &[b'x'; 1000], b"\r\n.\r\n"].concat();
        let large = [&b"\r\n"[..], &b"x\r\n".repeat(4000), b".\r\n"].concat();
        let header = [&b"x: y\r\n".repeat(400)[..], b"\r\n.\r\n"].concat();
        for (input, fault) in [
            (long_line, Some(SmtpFault::LineTooLong(1000))),
            (fits, None),
            (large, Some(SmtpFault::MailTooLarge(10_000))),
            (header, Some(SmtpFault::HeaderTooLarge(2000))),
        ] {
            let (content, step, found) = scan(&input, 777);
            assert_eq!((step, found), (Step::End(input.len()), fault));
            assert!(content.len() <= 10_000);
        }
    }

    #[test]
    fn a_chunk_of_text_obeys_and_a_binary_one_may_hold_anything() {
        let octets = b"a\nb\rc\0d";
        for (binary, fault) in [(true, None), (false, Some(SmtpFault::BareLineEnd("LF")))] {
            let mut scanner = Scanner::new(LIMITS, false, binary);
            let mut out = BytesMut::new();
            scanner.chunk(octets, &mut out);
            scanner.chunks_end();
            assert_eq!(scanner.fault(), fault.as_ref());
            assert!(!binary || out == octets[..]);
        }
    }

    proptest::proptest! {
        #[test]
        fn cutting_does_not_matter(input in proptest::collection::vec(proptest::sample::select(b".\r\na\0".to_vec()), 0..40), step in 1usize..6) {
            proptest::prop_assert_eq!(scan(&input, step), scan(&input, 1000));
        }
    }
}

//! The octets around a block in the profile `skywave`: `docs/adr/0022-the-block-header-of-skywave.md`.
//!
//! ```text
//! ordinary   0 u nnnn aaaa dddddd dddddddd dddddddd   u context, n number, a acknowledgement, d digest (22 bits)
//! start      1 000 0000, context, epoch (2), instance (4), number (4), dictionary (3), digest (3)
//! request    1 001 00lk, context, tag (3), [k: instance (4), next (4)], [l: 3 dictionaries (3 each)], digest (3)
//! ack        1 010 aaaa, digest (3)                   of context 0; 1 011 of context 1
//! ack        1 100 aaaa, context, digest (3)
//! labelled   1 101 nnnn, context, 0000 aaaa, digest (3)
//! alone      1 110 00vv, digest (3)                   v: level of the dictionary
//! far        1 111 nnnn, context, NNNN aaaa, digest (3)        N: the four bits of the number above nnnn
//! ```
//!
//! Numbers on the air are the low four bits, or eight where more than eight blocks wait for their acknowledgement; the
//! digest covers the whole ones, so a unit from another epoch or another lap of the numbers does not fit. Promises: every
//! octet of a header is covered by the digest.

use sha2::{Digest as _, Sha256};

use crate::bytes::{BufMut as _, Reader, WireError};

use super::dictionary::LEVELS;

/// Bits of the digest in an ordinary header.
const SHORT_DIGEST_BITS: u32 = 22;
/// Numbers as they stand in a header.
const LOW: u32 = 0x0f;

/// A unit, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unit<'a> {
    /// A block of the running epoch.
    Data {
        /// The context.
        context: u8,
        /// The low four bits of its number.
        number_low: u8,
        /// The low four bits of the number wanted next from the other side.
        ack_low: u8,
        /// 22 bits in contexts 0 and 1, else 24.
        digest: u32,
        /// The deflate stream.
        body: &'a [u8],
    },
    /// The first block of an epoch.
    Start {
        /// The context.
        context: u8,
        /// The epoch.
        epoch: u16,
        /// The sender's instance.
        instance: u32,
        /// The whole number.
        number: u32,
        /// 24 bits of the dictionary's digest.
        dictionary: u32,
        /// 24 bits.
        digest: u32,
        /// The deflate stream.
        body: &'a [u8],
    },
    /// The peer cannot read: it wants a new epoch.
    Request(Request),
    /// What the peer has stored.
    Ack {
        /// The context.
        context: u8,
        /// The low four bits of the number wanted next.
        next_low: u8,
        /// 24 bits.
        digest: u32,
    },
    /// A block of the running epoch, far ahead of what is acknowledged.
    Far {
        /// The context.
        context: u8,
        /// The low eight bits of its number.
        number_low: u8,
        /// The low four bits of the number wanted next from the other side.
        ack_low: u8,
        /// 24 bits.
        digest: u32,
        /// The deflate stream.
        body: &'a [u8],
    },
    /// A stanza that needs no other unit.
    Alone {
        /// The level of the dictionary.
        level: u8,
        /// 24 bits.
        digest: u32,
        /// The deflate stream.
        body: &'a [u8],
    },
}

/// Asks for a new epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Of which context.
    pub context: u8,
    /// The digest of the unit that could not be read.
    pub tag: u32,
    /// Whose blocks are stored, and the number that is wanted next.
    pub stored: Option<Stored>,
    /// The dictionaries that the peer has, where it lacked the one named.
    pub dictionaries: Option<[u32; LEVELS]>,
}

/// What a receiver has on disk of a sender: all numbers below `next`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The sender's instance.
    pub instance: u32,
    /// The next number.
    pub next: u32,
}

/// What the digest of a block covers beside its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Covered {
    /// The sender's instance.
    pub instance: u32,
    /// The epoch.
    pub epoch: u16,
    /// The context.
    pub context: u8,
    /// The whole number.
    pub number: u32,
    /// What is acknowledged, whole.
    pub ack: Option<Stored>,
}

fn digest(kind: &str, numbers: &[u32], text: &[u8]) -> u32 {
    let mut hash = Sha256::new();
    hash.update(b"skywave chat 1 ");
    hash.update(kind.as_bytes());
    numbers.iter().for_each(|number| hash.update(number.to_be_bytes()));
    hash.update(text);
    hash.finalize().iter().take(3).fold(0, |number, octet| number << 8 | u32::from(*octet))
}

const fn short(digest: u32) -> u32 {
    digest >> (24 - SHORT_DIGEST_BITS)
}

impl Covered {
    fn numbers(&self) -> [u32; 7] {
        let (known, instance, next) = self.ack.map_or((0, 0, 0), |ack| (1, ack.instance, ack.next));
        [self.instance, u32::from(self.epoch), u32::from(self.context), self.number, known, instance, next]
    }

    /// The digest of an ordinary or labelled block, whose last stanza goes on in the next one (`more`) or not: that is
    /// said by the last symbol, which a block cut short has lost without a change of its text.
    //= xmpp/SLOW-011
    pub fn data(&self, text: &[u8], more: bool) -> u32 {
        let digest = self.far(text, more);
        if self.context <= 1 { short(digest) } else { digest }
    }

    /// The digest of a block far ahead.
    pub fn far(&self, text: &[u8], more: bool) -> u32 {
        digest(if more { "data goes on" } else { "data" }, &self.numbers(), text)
    }

    /// The digest of the first block of an epoch.
    pub fn start(&self, dictionary: u32, text: &[u8], more: bool) -> u32 {
        let numbers: Vec<u32> = self.numbers().into_iter().chain([dictionary]).collect();
        digest(if more { "start goes on" } else { "start" }, &numbers, text)
    }
}

/// The digest of an acknowledgement on its own.
pub fn ack_digest(context: u8, stored: Stored) -> u32 {
    digest("ack", &[u32::from(context), stored.instance, stored.next], &[])
}

/// The digest of a stanza on its own.
pub fn alone_digest(level: u8, dictionary: u32, text: &[u8]) -> u32 {
    digest("alone", &[u32::from(level), dictionary], text)
}

impl Request {
    fn digest(&self, octets: &[u8]) -> u32 {
        digest("request", &[u32::from(self.context)], octets)
    }
}

/// The low bits of a number, as a header carries them.
pub fn low(number: u32) -> u8 {
    u8::try_from(number & LOW).unwrap_or(0)
}

/// The whole number that has these low bits and is the first from `from` on.
pub const fn whole(from: u32, low: u8) -> u32 {
    from.wrapping_add((low as u32).wrapping_sub(from) & LOW)
}

/// The same of the eight low bits of a block far ahead.
pub const fn whole_far(from: u32, low: u8) -> u32 {
    from.wrapping_add((low as u32).wrapping_sub(from) & 0xff)
}

fn put_u24(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(number.to_be_bytes().get(1..).unwrap_or_default());
}

fn u24(reader: &mut Reader<'_>) -> Result<u32, WireError> {
    let octets = reader.take(3)?;
    Ok(octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}

impl<'a> Unit<'a> {
    /// Takes a unit apart.
    ///
    /// # Errors
    /// The layout is none of those above. Digests are not checked here, but for a request's.
    pub fn read(octets: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(octets);
        let first = reader.u8()?;
        if first & 0x80 == 0 {
            let rest = u24(&mut reader)?;
            let header = u32::from(first) << 24 | rest;
            return Ok(Unit::Data {
                context: first >> 6 & 1,
                number_low: first >> 2 & 0x0f,
                ack_low: low(header >> SHORT_DIGEST_BITS),
                digest: header & ((1 << SHORT_DIGEST_BITS) - 1),
                body: reader.rest(),
            });
        }
        let field = first & 0x0f;
        match first >> 4 & 7 {
            0 if field == 0 => Self::read_start(reader),
            1 if field < 4 => Self::read_request(reader, field),
            2 | 3 => {
                let context = first >> 4 & 1;
                let digest = u24(&mut reader)?;
                reader.finish()?;
                Ok(Unit::Ack { context, next_low: field, digest })
            }
            4 => {
                let (context, digest) = (reader.u8()?, u24(&mut reader)?);
                reader.finish()?;
                Ok(Unit::Ack { context, next_low: field, digest })
            }
            5 => {
                let (context, ack_low) = (reader.u8()?, reader.u8()?);
                if context <= 1 || ack_low > 0x0f {
                    return Err(WireError::OutOfRange { field: "context", value: context.into() });
                }
                let digest = u24(&mut reader)?;
                Ok(Unit::Data { context, number_low: field, ack_low, digest, body: reader.rest() })
            }
            7 => {
                let (context, numbers, digest) = (reader.u8()?, reader.u8()?, u24(&mut reader)?);
                let (number_low, ack_low) = (numbers & 0xf0 | field, numbers & 0x0f);
                Ok(Unit::Far { context, number_low, ack_low, digest, body: reader.rest() })
            }
            6 if usize::from(field) < LEVELS => {
                let digest = u24(&mut reader)?;
                Ok(Unit::Alone { level: field, digest, body: reader.rest() })
            }
            _ => Err(WireError::OutOfRange { field: "kind", value: first.into() }),
        }
    }

    fn read_start(mut reader: Reader<'a>) -> Result<Self, WireError> {
        let (context, epoch) = (reader.u8()?, reader.u16()?);
        let (instance, number) = (reader.u32()?, reader.u32()?);
        let (dictionary, digest) = (u24(&mut reader)?, u24(&mut reader)?);
        Ok(Unit::Start { context, epoch, instance, number, dictionary, digest, body: reader.rest() })
    }

    fn read_request(mut reader: Reader<'a>, field: u8) -> Result<Self, WireError> {
        let (context, tag) = (reader.u8()?, u24(&mut reader)?);
        let stored = match field & 1 {
            0 => None,
            _ => Some(Stored { instance: reader.u32()?, next: reader.u32()? }),
        };
        let dictionaries = match field & 2 {
            0 => None,
            _ => Some([u24(&mut reader)?, u24(&mut reader)?, u24(&mut reader)?]),
        };
        let digest = u24(&mut reader)?;
        reader.finish()?;
        let request = Request { context, tag, stored, dictionaries };
        if request.digest(&request.fields()) != digest {
            return Err(WireError::OutOfRange { field: "digest", value: digest.into() });
        }
        Ok(Unit::Request(request))
    }

    /// The octets.
    pub fn octets(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match *self {
            Unit::Data { context, number_low, ack_low, digest, body } if context <= 1 => {
                let header = u32::from(context) << 30
                    | u32::from(number_low) << 26
                    | u32::from(ack_low) << SHORT_DIGEST_BITS
                    | digest;
                out.put_u32(header);
                out.extend_from_slice(body);
            }
            Unit::Data { context, number_low, ack_low, digest, body } => {
                out.extend_from_slice(&[0xd0 | number_low, context, ack_low]);
                put_u24(&mut out, digest);
                out.extend_from_slice(body);
            }
            Unit::Start { context, epoch, instance, number, dictionary, digest, body } => {
                out.extend_from_slice(&[0x80, context]);
                out.put_u16(epoch);
                out.put_u32(instance);
                out.put_u32(number);
                put_u24(&mut out, dictionary);
                put_u24(&mut out, digest);
                out.extend_from_slice(body);
            }
            Unit::Request(ref request) => {
                let fields = request.fields();
                out.extend_from_slice(&fields);
                put_u24(&mut out, request.digest(&fields));
            }
            Unit::Ack { context, next_low, digest } => {
                match context {
                    0 => out.push(0xa0 | next_low),
                    1 => out.push(0xb0 | next_low),
                    _ => out.extend_from_slice(&[0xc0 | next_low, context]),
                }
                put_u24(&mut out, digest);
            }
            Unit::Far { context, number_low, ack_low, digest, body } => {
                out.extend_from_slice(&[0xf0 | number_low & 0x0f, context, number_low & 0xf0 | ack_low]);
                put_u24(&mut out, digest);
                out.extend_from_slice(body);
            }
            Unit::Alone { level, digest, body } => {
                out.push(0xe0 | level);
                put_u24(&mut out, digest);
                out.extend_from_slice(body);
            }
        }
        out
    }
}

impl Request {
    /// All octets but the digest.
    fn fields(&self) -> Vec<u8> {
        let field = u8::from(self.stored.is_some()) | u8::from(self.dictionaries.is_some()) << 1;
        let mut out = vec![0x90 | field, self.context];
        put_u24(&mut out, self.tag);
        if let Some(stored) = self.stored {
            out.put_u32(stored.instance);
            out.put_u32(stored.next);
        }
        self.dictionaries.iter().flatten().for_each(|dictionary| put_u24(&mut out, *dictionary));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<(Unit<'static>, usize)> {
        let stored = Some(Stored { instance: 7, next: 0x0102_0304 });
        let request = Request { context: 1, tag: 0x00ab_cdef, stored: None, dictionaries: None };
        vec![
            (Unit::Data { context: 0, number_low: 15, ack_low: 1, digest: 0x003f_0102, body: b"body" }, 8),
            (Unit::Data { context: 1, number_low: 1, ack_low: 15, digest: 1, body: b"" }, 4),
            (Unit::Data { context: 6, number_low: 3, ack_low: 9, digest: 0x00ff_0001, body: b"x" }, 7),
            (
                Unit::Start {
                    context: 2,
                    epoch: 0x0102,
                    instance: 3,
                    number: 4,
                    dictionary: 5,
                    digest: 6,
                    body: b"first",
                },
                23,
            ),
            (Unit::Request(request.clone()), 8),
            (Unit::Request(Request { stored, ..request.clone() }), 16),
            (Unit::Request(Request { stored, dictionaries: Some([1, 2, 0x00ff_ffff]), ..request }), 25),
            (Unit::Ack { context: 0, next_low: 5, digest: 0x0001_0203 }, 4),
            (Unit::Ack { context: 1, next_low: 0, digest: 0x00ff_ffff }, 4),
            (Unit::Ack { context: 9, next_low: 15, digest: 0 }, 5),
            (Unit::Alone { level: 2, digest: 9, body: b"alone" }, 9),
            (Unit::Far { context: 0, number_low: 0xa5, ack_low: 7, digest: 0x00ff_0002, body: b"far" }, 9),
        ]
    }

    #[test]
    fn every_unit_reads_as_it_was_written() {
        for (unit, octets) in samples() {
            let written = unit.octets();
            assert_eq!(written.len(), octets, "{unit:?}");
            assert_eq!(Unit::read(&written).as_ref(), Ok(&unit));
        }
    }

    #[test]
    fn no_other_octets_are_units() {
        for (unit, _) in samples() {
            let written = unit.octets();
            for end in 0..written.len() {
                assert_ne!(Unit::read(&written[..end]).as_ref(), Ok(&unit));
            }
            for bit in 0..written.len() * 8 {
                let mut flipped = written.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(Unit::read(&flipped).as_ref(), Ok(&unit), "bit {bit}");
            }
        }
        for bad in
            [&[0x81, 0][..], &[0x94; 30], &[0xe3; 9], &[0xf0; 5], &[0xd0, 1, 0, 0, 0, 0], &[0xd0, 2, 16, 0, 0, 0]]
        {
            assert!(Unit::read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn digests_differ_by_everything_they_cover() {
        let covered = Covered { instance: 1, epoch: 2, context: 0, number: 3, ack: None };
        let all = [
            covered,
            Covered { instance: 9, ..covered },
            Covered { epoch: 9, ..covered },
            Covered { context: 1, ..covered },
            Covered { number: 19, ..covered },
            Covered { ack: Some(Stored { instance: 0, next: 0 }), ..covered },
            Covered { ack: Some(Stored { instance: 0, next: 16 }), ..covered },
        ];
        for (n, one) in all.iter().enumerate() {
            for other in &all[n + 1..] {
                assert_ne!(one.data(b"text", false), other.data(b"text", false));
                assert_ne!(one.start(1, b"text", false), other.start(1, b"text", false));
            }
            assert_ne!(one.data(b"text", false), one.data(b"texs", false));
            assert_ne!(one.data(b"text", false), one.data(b"text", true), "whether it goes on");
            assert_ne!(one.start(1, b"text", false), one.start(1, b"text", true));
            assert_ne!(one.start(1, b"text", false), one.start(2, b"text", false));
        }
    }

    #[test]
    fn whole_numbers_are_the_first_from_there_on() {
        for (from, low, expected) in [(0, 0, 0), (0, 15, 15), (17, 1, 17), (17, 0, 32), (31, 14, 46)] {
            assert_eq!(whole(from, low), expected, "{from} {low}");
        }
        for (from, low, expected) in [(0, 255, 255), (17, 17, 17), (257, 0, 512), (257, 2, 258)] {
            assert_eq!(whole_far(from, low), expected, "{from} {low}");
        }
    }
}

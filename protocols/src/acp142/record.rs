//! The rows an engine keeps on disk: keys and values, all big-endian, each value opened by its version.
//!
//! | key | value |
//! |---|---|
//! | `L` | the last Message_ID given |
//! | `S` node | the next Message_Sequence_Number towards a node |
//! | `T` number | a message being sent, without its octets |
//! | `C` number | its octets |
//! | `P` number | which of its Data_PDUs have not left |
//! | `E` number | the end of a message we sent |
//! | `R` source number | a message being received, without its fragments |
//! | `F` source number sequence | a fragment |
//! | `D` source number | a complete message (the dedupe window) |

use std::collections::BTreeMap;

use super::numbers::{Numbers, Span};
use super::pdu::{MessageId, NodeId};
use super::reception::{Done, Reception, Stage};
use super::transmission::{Recipient, Transmission};
use super::transmitter::Finished;
use crate::bytes::{BufMut as _, Bytes, Reader, WireError};
use crate::time::WallTime;

const VERSION: u8 = 1;

/// A key, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    LastNumber,
    Sequence(NodeId),
    Transmission(u32),
    Content(u32),
    Pending(u32),
    Finished(u32),
    Reception(MessageId),
    Fragment(MessageId, u16),
    Done(MessageId),
}

impl Key {
    pub(super) fn octets(self) -> Vec<u8> {
        let numbered = |letter: u8, number: u32| [&[letter][..], &number.to_be_bytes()].concat();
        let message =
            |letter: u8, id: MessageId| [numbered(letter, id.source.0), id.number.to_be_bytes().into()].concat();
        match self {
            Self::LastNumber => vec![b'L'],
            Self::Sequence(node) => numbered(b'S', node.0),
            Self::Transmission(number) => numbered(b'T', number),
            Self::Content(number) => numbered(b'C', number),
            Self::Pending(number) => numbered(b'P', number),
            Self::Finished(number) => numbered(b'E', number),
            Self::Reception(id) => message(b'R', id),
            Self::Fragment(id, sequence) => [message(b'F', id), sequence.to_be_bytes().into()].concat(),
            Self::Done(id) => message(b'D', id),
        }
    }

    pub(super) fn parse(octets: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(octets);
        let letter = reader.u8()?;
        let key = match letter {
            b'L' => Self::LastNumber,
            b'S' => Self::Sequence(NodeId(reader.u32()?)),
            b'T' => Self::Transmission(reader.u32()?),
            b'C' => Self::Content(reader.u32()?),
            b'P' => Self::Pending(reader.u32()?),
            b'E' => Self::Finished(reader.u32()?),
            b'R' => Self::Reception(super::pdu::read_message(&mut reader)?),
            b'F' => Self::Fragment(super::pdu::read_message(&mut reader)?, reader.u16()?),
            b'D' => Self::Done(super::pdu::read_message(&mut reader)?),
            letter => return Err(WireError::OutOfRange { field: "row", value: letter.into() }),
        };
        reader.finish()?;
        Ok(key)
    }
}

fn open(value: &[u8]) -> Result<Reader<'_>, WireError> {
    let mut reader = Reader::new(value);
    match reader.u8()? {
        VERSION => Ok(reader),
        version => Err(WireError::OutOfRange { field: "row version", value: version.into() }),
    }
}

fn put_numbers(out: &mut Vec<u8>, numbers: &Numbers) {
    let spans = numbers.spans();
    out.put_u16(u16::try_from(spans.len()).unwrap_or(u16::MAX));
    for span in spans {
        out.put_u16(span.first);
        out.put_u16(span.last);
    }
}

fn numbers(reader: &mut Reader<'_>) -> Result<Numbers, WireError> {
    let count = reader.u16()?;
    let mut numbers = Numbers::default();
    for _ in 0..count {
        let (first, last) = (reader.u16()?, reader.u16()?);
        if first == 0 || last < first {
            return Err(WireError::OutOfRange { field: "span", value: first.into() });
        }
        numbers.insert_span(Span { first, last });
    }
    Ok(numbers)
}

/// `L` and `S`: one number.
pub(super) fn write_number(number: u32) -> Vec<u8> {
    [&[VERSION][..], &number.to_be_bytes()].concat()
}

pub(super) fn read_number(value: &[u8]) -> Result<u32, WireError> {
    open(value)?.u32()
}

/// `P`: what has not left.
pub(super) fn write_pending(not_left: &Numbers) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_numbers(&mut out, not_left);
    out
}

pub(super) fn read_pending(value: &[u8]) -> Result<Numbers, WireError> {
    numbers(&mut open(value)?)
}

/// `T`.
pub(super) fn write_transmission(t: &Transmission) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.put_u64(t.handle);
    out.put_u8(t.priority);
    out.put_u64(t.expiry.unix_micros());
    out.put_u32(t.group);
    out.put_u32(u32::try_from(t.fragment_octets).unwrap_or(u32::MAX));
    out.put_u32(t.rounds);
    out.put_u32(t.repeats_left.unwrap_or(u32::MAX));
    out.put_u64(t.octets_sent);
    out.put_u16(u16::try_from(t.recipients.len()).unwrap_or(u16::MAX));
    for (node, r) in &t.recipients {
        out.put_u32(node.0);
        out.put_u32(r.sequence);
        out.put_u8(u8::from(r.silent) | u8::from(r.heard) << 1 | u8::from(r.done) << 2);
        put_numbers(&mut out, &r.reported);
    }
    out
}

pub(super) fn read_transmission(id: MessageId, value: &[u8], content: Bytes) -> Result<Transmission, WireError> {
    let mut reader = open(value)?;
    let handle = reader.u64()?;
    let priority = reader.u8()?;
    let expiry = WallTime::from_unix_micros(reader.u64()?);
    let group = reader.u32()?;
    let fragment_octets = reader.u32()? as usize;
    let mut t = Transmission::new(handle, id, content, fragment_octets);
    (t.priority, t.expiry, t.group) = (priority, expiry, group);
    t.rounds = reader.u32()?;
    t.repeats_left = Some(reader.u32()?).filter(|&left| left != u32::MAX);
    t.octets_sent = reader.u64()?;
    let mut recipients = BTreeMap::new();
    for _ in 0..reader.u16()? {
        let node = NodeId(reader.u32()?);
        let sequence = reader.u32()?;
        let flags = reader.u8()?;
        let (silent, heard, done) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        let reported = numbers(&mut reader)?;
        recipients.insert(node, Recipient { sequence, silent, heard, done, reported, ..Recipient::default() });
    }
    t.recipients = recipients;
    Ok(t)
}

/// `E`.
pub(super) fn write_finished(f: &Finished) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.put_u64(f.handle);
    out.put_u8(f.priority);
    out.put_u64(f.expiry.unix_micros());
    out.put_u32(f.group);
    out.put_u16(f.total);
    out.put_u8(u8::from(f.cancelled) + u8::from(f.renewed));
    out.put_u16(u16::try_from(f.outcomes.len()).unwrap_or(u16::MAX));
    for (node, delivered) in &f.outcomes {
        out.put_u32(node.0);
        out.put_u8(u8::from(*delivered));
    }
    out
}

pub(super) fn read_finished(value: &[u8]) -> Result<Finished, WireError> {
    let mut reader = open(value)?;
    let handle = reader.u64()?;
    let priority = reader.u8()?;
    let expiry = WallTime::from_unix_micros(reader.u64()?);
    let (group, total, end) = (reader.u32()?, reader.u16()?, reader.u8()?);
    let (cancelled, renewed) = (end != 0, end > 1);
    let mut outcomes = BTreeMap::new();
    for _ in 0..reader.u16()? {
        outcomes.insert(NodeId(reader.u32()?), reader.u8()? != 0);
    }
    Ok(Finished { handle, priority, expiry, group, total, cancelled, renewed, outcomes })
}

/// `R`.
pub(super) fn write_reception(r: &Reception) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.put_u8(r.priority);
    out.put_u16(r.total);
    out.put_u64(r.expiry.unix_micros());
    out.put_u16(r.before_us);
    out
}

pub(super) fn read_reception(id: MessageId, value: &[u8]) -> Result<Reception, WireError> {
    let mut reader = open(value)?;
    let mut r = Reception::orphan(id, reader.u8()?);
    r.stage = Stage::Collecting;
    r.total = reader.u16()?;
    r.expiry = WallTime::from_unix_micros(reader.u64()?);
    r.before_us = reader.u16()?;
    Ok(r)
}

/// `D`.
pub(super) fn write_done(done: &Done) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.put_u64(done.forget.unix_micros());
    out.put_u8(done.priority);
    out.put_u16(done.before_us);
    out.put_u8(u8::from(done.ack.owed));
    out
}

pub(super) fn read_done(value: &[u8]) -> Result<Done, WireError> {
    let mut reader = open(value)?;
    let forget = WallTime::from_unix_micros(reader.u64()?);
    let (priority, before_us) = (reader.u8()?, reader.u16()?);
    let mut done = Done { forget, priority, before_us, first_of_many: false, told: false, ack: Default::default() };
    done.ack.owed = reader.u8()? != 0;
    Ok(done)
}

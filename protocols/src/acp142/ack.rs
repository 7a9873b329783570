//! Ack_PDU: which messages are complete, and of the others which Data_PDUs are missing.
//!
//! Ranges are written as three numbers `first, 0, last`; any other 0 ends a list (the terminator of the 1999 draft),
//! and so does a number that does not rise. An entry that promises numbers and holds none is refused, so that a
//! damaged list is never taken for "complete".

use super::limits::{ACK_ENTRY_OCTETS, ACK_HEADER_OCTETS};
use super::numbers::{Numbers, Span};
use super::pdu::{Header, Map, MessageId, NodeId, kind, read_message, write_message};
use crate::bytes::{BufMut as _, Reader, WireError};

/// Ack_Info_Entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AckEntry {
    /// The message. The source may be the acknowledging node by a peer's quirk.
    pub message: MessageId,
    /// What is missing, ascending; empty means complete.
    pub missing: Vec<Span>,
    /// Whether spans of more than three numbers are written as ranges.
    pub ranges: bool,
}

/// Ack_PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// Priority octet; ours is that of the most urgent message acknowledged, others send 0.
    pub priority: u8,
    /// Who acknowledges.
    pub acker: NodeId,
    /// The entries.
    pub entries: Vec<AckEntry>,
    /// The optional time stamp in units of 100 ms; accepted, never used or sent.
    pub timestamp: Option<u64>,
}

impl AckEntry {
    /// Octets of the entry on the wire.
    pub fn octets(&self) -> usize {
        ACK_ENTRY_OCTETS + 2 * self.missing.iter().map(|&span| values(span, self.ranges)).sum::<usize>()
    }

    /// Entries for one message that fit into one Ack_PDU of `octets_max`, each with at most `values_max` values, and
    /// the first number that did not fit.
    pub fn listing(
        message: MessageId,
        missing: &Numbers,
        ranges: bool,
        values_max: usize,
        octets_max: usize,
    ) -> Vec<Self> {
        let mut left = octets_max.saturating_sub(ACK_HEADER_OCTETS);
        let mut entries: Vec<Self> = Vec::new();
        let mut used = usize::MAX; // so that the first span opens an entry
        for span in pieces(missing, ranges) {
            let needed = values(span, ranges);
            let opens = used.saturating_add(needed) > values_max.max(3);
            let octets = 2 * needed + if opens { ACK_ENTRY_OCTETS } else { 0 };
            if octets > left {
                break;
            }
            left -= octets;
            if opens {
                entries.push(Self { message, missing: Vec::new(), ranges });
                used = 0;
            }
            used += needed;
            if let Some(entry) = entries.last_mut() {
                entry.missing.push(span);
            }
        }
        entries
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let length = usize::from(reader.u16()?);
        //= acp142/PMUL-030
        let Some(list) = length.checked_sub(ACK_ENTRY_OCTETS).filter(|list| list % 2 == 0) else {
            return Err(WireError::OutOfRange { field: "length of ack entry", value: length as u64 });
        };
        let message = read_message(reader)?;
        let list = reader.take(list)?;
        let (missing, ranges) = read_list(list);
        if missing.is_empty() && !list.is_empty() {
            return Err(WireError::OutOfRange { field: "missing sequence number", value: 0 });
        }
        Ok(Self { message, missing, ranges })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(u16::try_from(self.octets()).unwrap_or(u16::MAX));
        write_message(out, self.message);
        for &span in &self.missing {
            if is_range(span, self.ranges) {
                out.put_u16(span.first);
                out.put_u16(0);
                out.put_u16(span.last);
            } else {
                (span.first..=span.last).for_each(|number| out.put_u16(number));
            }
        }
    }
}

impl Ack {
    pub(super) fn read(header: Header, reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let acker = NodeId(reader.u32()?);
        let count = usize::from(reader.u16()?);
        if count * ACK_ENTRY_OCTETS > reader.left() {
            let needed = count * ACK_ENTRY_OCTETS;
            return Err(WireError::Truncated { offset: reader.offset(), needed, left: reader.left() });
        }
        let entries = (0..count).map(|_| AckEntry::read(reader)).collect::<Result<_, _>>()?;
        let timestamp = if reader.left() >= 8 { Some(reader.u64()?) } else { None };
        Ok(Self { priority: header.priority, acker, entries, timestamp })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Header {
        out.put_u32(self.acker.0);
        out.put_u16(u16::try_from(self.entries.len()).unwrap_or(u16::MAX));
        self.entries.iter().for_each(|entry| entry.write(out));
        if let Some(timestamp) = self.timestamp {
            out.put_u64(timestamp);
        }
        Header { priority: self.priority, map: Map::Only, kind: kind::ACK, own: 0 }
    }
}

const fn is_range(span: Span, ranges: bool) -> bool {
    ranges && span.count() > 3
}

const fn values(span: Span, ranges: bool) -> usize {
    if is_range(span, ranges) { 3 } else { span.count() }
}

/// The spans to be written; those that are no ranges number by number, so that a list can end anywhere.
fn pieces(missing: &Numbers, ranges: bool) -> impl Iterator<Item = Span> {
    missing.spans().into_iter().flat_map(move |span| {
        let step = if is_range(span, ranges) { usize::MAX } else { 1 };
        (span.first..=span.last).step_by(step).map(move |first| if step == 1 { Span::one(first) } else { span })
    })
}

//= acp142/PMUL-031
fn read_list(list: &[u8]) -> (Vec<Span>, bool) {
    let mut values = list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut spans: Vec<Span> = Vec::new();
    let mut ranges = false;
    let mut may_extend = false;
    while let Some(value) = values.next() {
        if value == 0 {
            // Only `first, 0, last` with last > first is a range; any other 0 ends the list.
            match (spans.last_mut(), values.next()) {
                (Some(span), Some(last)) if may_extend && last > span.last => {
                    span.last = last;
                    ranges |= span.count() > 3;
                    may_extend = false;
                }
                (Some(_) | None, Some(_) | None) => break,
            }
            continue;
        }
        match spans.last_mut() {
            Some(span) if value <= span.last => break,
            Some(span) if value == span.last + 1 => span.last = value,
            Some(_) | None => spans.push(Span::one(value)),
        }
        may_extend = true;
    }
    (spans, ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: &[u16]) -> Vec<(u16, u16)> {
        let octets: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        read_list(&octets).0.iter().map(|span| (span.first, span.last)).collect()
    }

    #[test]
    fn lists_with_ranges_terminators_and_disorder() {
        type Row = (&'static [u16], &'static [(u16, u16)]);
        let rows: [Row; 10] = [
            (&[2, 5, 7], &[(2, 2), (5, 5), (7, 7)]),
            (&[3, 0, 9, 12], &[(3, 9), (12, 12)]),
            (&[2, 5, 0], &[(2, 2), (5, 5)]),
            (&[9, 0, 3], &[(9, 9)]),
            (&[5, 4, 9], &[(5, 5)]),
            (&[3, 0, 9, 0, 12], &[(3, 9)]),
            (&[0], &[]),
            (&[1, 0, 65_535], &[(1, 65_535)]),
            (&[2, 2], &[(2, 2)]),
            (&[1, 2, 0, 4, 5], &[(1, 5)]),
        ];
        for (values, spans) in rows {
            assert_eq!(list(values), spans, "{values:?}");
        }
    }

    #[test]
    fn listings_obey_both_limits_and_lose_nothing_in_front() {
        let message = MessageId { source: NodeId(1), number: 2 };
        let odd = Numbers::from_spans(&(1..400u16).step_by(2).map(Span::one).collect::<Vec<_>>());
        for (ranges, values_max, octets_max) in [(true, 64, 512), (false, 20, 512), (true, 3, 100), (false, 64, 30)] {
            let entries = AckEntry::listing(message, &odd, ranges, values_max, octets_max);
            let octets: usize = ACK_HEADER_OCTETS + entries.iter().map(AckEntry::octets).sum::<usize>();
            assert!(octets <= octets_max, "{octets} of {octets_max}");
            let listed: Vec<u16> = entries.iter().flat_map(|e| e.missing.iter().map(|s| s.first)).collect();
            let expected: Vec<u16> = odd.iter().take(listed.len()).collect();
            assert_eq!(listed, expected);
            assert!(!listed.is_empty());
        }
        let all = Numbers::up_to(60_000);
        assert_eq!(AckEntry::listing(message, &all, true, 64, 64).first().map(|e| e.octets()), Some(16));
    }
}

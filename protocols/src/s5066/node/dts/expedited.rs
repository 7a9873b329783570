//! Expedited ARQ: D_PDU types 4 and 5 (C.6.2, fact sheet 5.1).
//!
//! One C_PDU at a time, ahead of everything else; its frame numbers begin at 0. Acknowledgements do not name their C_PDU,
//! so they count only for what has been on the air; and behind a C_PDU that was given up after it had been on the air the
//! next one has more segments, so that no late acknowledgement of that one is one of all of this. The receiver tells
//! C_PDUs apart by their number of four bits and by their octets, since a node that begins anew may use a number again.

use std::collections::{BTreeMap, VecDeque};

use super::arq::sender::Room;
use super::config::{CPduNumber, Sending};
use super::limits::{C_PDU_OCTETS_MAX, EXPEDITED_SEGMENTS_MAX};
use crate::bytes::{BufMut as _, Bytes, BytesMut};
use crate::s5066::node::dpdu::limits::SEGMENT_OCTETS_MAX;
use crate::s5066::node::dpdu::{AckPart, ExpeditedPart};

/// The C_PDU that is being sent; the bits stand for its segments.
#[derive(Clone, Debug)]
struct Current {
    number: CPduNumber,
    segments: Vec<Bytes>,
    sent: u128,
    acked: u128,
    /// In the transmission that is put together or in the air.
    in_air: u128,
    /// Sent and not heard of since.
    awaiting: u128,
}

impl Current {
    /// Cut into so many segments at least, as far as its octets go.
    fn new(sending: &Sending, room: &Room, count_min: usize) -> Self {
        let c_pdu = &sending.c_pdu;
        let octets = room.segment.max(c_pdu.len().div_ceil(EXPEDITED_SEGMENTS_MAX)).clamp(1, SEGMENT_OCTETS_MAX);
        let count = c_pdu.len().div_ceil(octets).max(count_min).clamp(1, c_pdu.len().max(1));
        // All the same but the last, and no fewer than wanted as long as there are not too many.
        let (even, less) = (c_pdu.len().div_ceil(count).max(1), (c_pdu.len() / count).max(1));
        let is_few = c_pdu.len().div_ceil(even) < count && c_pdu.len().div_ceil(less) <= EXPEDITED_SEGMENTS_MAX;
        let even = if is_few { less } else { even };
        let count = c_pdu.len().div_ceil(even).max(1);
        // A short one in front, where the first is to ask whether the node is there.
        let lead = if count < EXPEDITED_SEGMENTS_MAX && room.lead < even / 2 { room.lead } else { 0 };
        let ends = (1..=count).map(|index| c_pdu.len().min(index * even));
        let ends = (lead > 0).then_some(lead).into_iter().chain(ends);
        let starts = std::iter::once(0).chain(ends.clone());
        let segments = starts.zip(ends).map(|(start, end)| c_pdu.slice(start..end)).collect();
        Self { number: sending.number, segments, sent: 0, acked: 0, in_air: 0, awaiting: 0 }
    }

    fn due(&self) -> impl Iterator<Item = usize> + use<> {
        let gone = self.acked | self.in_air | self.awaiting;
        (0..self.segments.len()).filter(move |place| gone >> place & 1 == 0)
    }
}

/// The sending end.
#[derive(Clone, Debug)]
pub(super) struct ExpeditedSender {
    id: u8,
    current: Option<Current>,
    waiting: VecDeque<Sending>,
    /// Segments of the next C_PDU at least: one more than what was given up had.
    count_min: usize,
}

impl ExpeditedSender {
    /// The first C_PDU gets this number: 0 to 15.
    pub(super) const fn new(id: u8) -> Self {
        Self { id: id & 0x0f, current: None, waiting: VecDeque::new(), count_min: 1 }
    }

    /// Takes a C_PDU; more urgent ones go first.
    pub(super) fn submit(&mut self, sending: Sending) {
        let at = self.waiting.partition_point(|other| other.priority >= sending.priority);
        self.waiting.insert(at, sending);
    }

    /// Gives a C_PDU up: whether some of it had been on the air.
    pub(super) fn cancel(&mut self, number: CPduNumber) -> Option<bool> {
        if let Some(current) = self.current.take_if(|current| current.number == number) {
            self.next_id();
            return Some(self.is_begun(&current));
        }
        let at = self.waiting.iter().position(|sending| sending.number == number)?;
        self.waiting.remove(at).map(|_| false)
    }

    /// Whether some of a C_PDU has been on the air or is about to be.
    pub(super) fn has_begun(&self, number: CPduNumber) -> bool {
        self.current.as_ref().is_some_and(|current| current.number == number && current.sent | current.in_air != 0)
    }

    /// Gives up what had begun, and what waits if `all`.
    pub(super) fn restart(&mut self, all: bool) -> Vec<(CPduNumber, bool)> {
        let begun = self.current.take().map(|current| (current.number, self.is_begun(&current)));
        self.next_id();
        let waiting = if all { std::mem::take(&mut self.waiting) } else { VecDeque::new() };
        begun.into_iter().chain(waiting.into_iter().map(|sending| (sending.number, false))).collect()
    }

    /// Whether something could be sent now.
    pub(super) fn wants_air(&self) -> bool {
        self.current.as_ref().map_or(!self.waiting.is_empty(), |current| current.due().next().is_some())
    }

    /// C_PDUs that are under way or wait.
    pub(super) fn backlog(&self) -> usize {
        self.waiting.len() + usize::from(self.current.is_some())
    }

    /// Chooses segments for a transmission. `false` when something of a C_PDU stays neither acknowledged nor chosen:
    /// then no ordinary data may follow, for a receiver may discard what it has when it leaves the expedited state.
    //= s5066/DTS-014
    pub(super) fn choose(&mut self, room: &mut Room, chosen: &mut Vec<ExpeditedPart>) -> bool {
        if self.current.is_none()
            && let Some(sending) = self.waiting.pop_front()
        {
            self.current = Some(Current::new(&sending, room, self.count_min));
        }
        let Some(current) = self.current.as_mut() else { return true };
        for place in current.due() {
            if !room.fits(current.segments[place].len()) {
                return false;
            }
            room.put(current.segments[place].len());
            current.in_air |= 1 << place;
            chosen.push(ExpeditedPart {
                start: place == 0,
                end: place + 1 == current.segments.len(),
                c_pdu_id: self.id,
                fsn: place as u8,
                segment: current.segments[place].clone(),
            });
        }
        current.awaiting == 0
    }

    /// A segment has left the air, or at least begun to.
    pub(super) fn sent(&mut self, c_pdu_id: u8, fsn: u8) {
        if let Some((current, bit)) = self.current_bit(c_pdu_id, fsn) {
            current.in_air &= !bit;
            current.sent |= bit;
            current.awaiting |= bit;
        }
    }

    /// A segment has not begun after all.
    pub(super) fn unchoose(&mut self, c_pdu_id: u8, fsn: u8) {
        if let Some((current, bit)) = self.current_bit(c_pdu_id, fsn) {
            current.in_air &= !bit;
        }
    }

    /// The answer is over: what was sent and not acknowledged may be sent again. Whether there was any.
    pub(super) fn unanswered(&mut self) -> bool {
        self.current.as_mut().is_some_and(|current| std::mem::take(&mut current.awaiting) != 0)
    }

    /// Takes an acknowledgement; the C_PDU that is finished by it.
    //= s5066/DTS-014
    pub(super) fn acknowledge(&mut self, ack: &AckPart) -> Option<CPduNumber> {
        let current = self.current.as_mut()?;
        let below = if ack.rx_lwe >= 128 { u128::MAX } else { (1 << ack.rx_lwe) - 1 };
        let bit = |step: u8| 1_u128.checked_shl(u32::from(ack.rx_lwe) + u32::from(step)).unwrap_or(u128::MAX);
        let acked = ack.above().map(bit).fold(below, |bits, bit| bits | bit);
        if acked & !current.sent != 0 {
            // It is of one that was given up. The answer is over by it all the same: what it does not speak of goes again.
            current.awaiting = 0;
            return None;
        }
        // Each acknowledgement tells all: a receiver may have discarded what it had.
        (current.acked, current.awaiting) = (acked, 0);
        if acked.count_ones() as usize != current.segments.len() {
            return None;
        }
        let number = current.number;
        (self.current, self.count_min) = (None, 1);
        self.next_id();
        Some(number)
    }

    /// Whether some of a C_PDU that is given up had been on the air: then it may still be acknowledged.
    fn is_begun(&mut self, current: &Current) -> bool {
        let begun = current.sent | current.in_air != 0;
        if begun {
            self.count_min = self.count_min.max(current.segments.len() + 1).min(EXPEDITED_SEGMENTS_MAX);
        }
        begun
    }

    fn next_id(&mut self) {
        self.id = (self.id + 1) & 0x0f;
    }

    fn current_bit(&mut self, c_pdu_id: u8, fsn: u8) -> Option<(&mut Current, u128)> {
        let bit = 1_u128.checked_shl(fsn.into())?;
        self.current.as_mut().filter(|_| c_pdu_id == self.id).map(|current| (current, bit))
    }
}

/// The receiving end.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpeditedReceiver {
    id: Option<u8>,
    parts: BTreeMap<u8, ExpeditedPart>,
    /// The C_PDU has come out; its parts stay so that repeats are known.
    done: bool,
}

impl ExpeditedReceiver {
    /// Takes a segment that arrived intact; the C_PDU that became whole. `None` with a repeat.
    //= s5066/DTS-014
    pub(super) fn take(&mut self, part: &ExpeditedPart) -> Option<Bytes> {
        let another = self.parts.get(&part.fsn).is_some_and(|known| known != part);
        if self.id != Some(part.c_pdu_id) || another {
            (self.id, self.done) = (Some(part.c_pdu_id), false);
            self.parts.clear();
        }
        let octets: usize = self.parts.values().map(|part| part.segment.len()).sum();
        let room = octets + part.segment.len() <= C_PDU_OCTETS_MAX && usize::from(part.fsn) < EXPEDITED_SEGMENTS_MAX;
        if self.done || !room {
            return None;
        }
        self.parts.insert(part.fsn, part.clone());
        if !self.is_whole() {
            return None;
        }
        self.done = true;
        let mut c_pdu = BytesMut::new();
        self.parts.values().for_each(|part| c_pdu.put_slice(&part.segment));
        Some(c_pdu.freeze())
    }

    /// Takes note of a segment that came damaged: of which C_PDU is known. `false` when nothing may be told of it, since
    /// that would speak of a C_PDU that has come out.
    pub(super) fn damaged(&mut self, c_pdu_id: u8) -> bool {
        if self.id != Some(c_pdu_id) {
            (self.id, self.done) = (Some(c_pdu_id), false);
            self.parts.clear();
        }
        !self.done
    }

    /// What is to be told to the sender.
    pub(super) fn ack(&self) -> AckPart {
        let lwe = self.contiguous();
        let above = self.parts.keys().filter_map(|fsn| fsn.checked_sub(lwe)).filter(|&step| step > 0);
        AckPart::new(lwe, above)
    }

    fn contiguous(&self) -> u8 {
        let there = (0..EXPEDITED_SEGMENTS_MAX as u8).take_while(|fsn| self.parts.contains_key(fsn));
        there.count() as u8
    }

    fn is_whole(&self) -> bool {
        let there = usize::from(self.contiguous());
        let last = self.parts.values().next_back();
        there == self.parts.len()
            && last.is_some_and(|part| part.end)
            && self.parts.get(&0).is_some_and(|part| part.start)
    }
}

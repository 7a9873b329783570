//! The sending end of ARQ: C_PDUs to segments, repeated until acknowledged.
//!
//! A C_PDU is cut, and its segments get their consecutive numbers, when the first of them enters a transmission: so its
//! segments have the size that suits the rate of that moment. Numbers are not the order of sending: a more urgent C_PDU
//! gets later numbers and goes before what of an earlier one has not left. A part of the window is kept for it.
//!
//! What is cancelled after some of it was on the air keeps its numbers and is sent as segments to be dropped, for only so
//! does the receiver's window move on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::window::{Acknowledged, FSN_MODULUS, SendWindow};
use crate::bytes::Bytes;
use crate::s5066::node::dpdu::limits::SEGMENT_OCTETS_MAX;
use crate::s5066::node::dpdu::{AckPart, DataPart};
use crate::s5066::node::dts::config::{CPduNumber, Sending, Service};
use crate::s5066::node::dts::limits::{DOUBTS_MAX, PROBE_OCTETS, WINDOW_RESERVE};
use crate::s5066::node::limits::PRIORITY_URGENT;

/// Room in a transmission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Room {
    /// Octets that are left.
    pub(in super::super) octets: usize,
    /// Octets that a single D_PDU may have as long as nothing with a segment is in the transmission.
    pub(in super::super) octets_most: usize,
    /// Octets of a D_PDU besides its segment.
    pub(in super::super) overhead: usize,
    /// Octets of a segment at most.
    pub(in super::super) segment: usize,
    /// Octets of the first segment at most while nothing with a segment has been put in.
    pub(in super::super) lead: usize,
    /// The same of a C_PDU without ARQ that is sent several times.
    pub(in super::super) repeated_segment: usize,
    /// D_PDUs that are left.
    pub(in super::super) d_pdus: usize,
    /// Nothing with a segment has been put in yet.
    pub(in super::super) empty: bool,
}

impl Room {
    /// Whether a segment of so many octets fits.
    pub(in super::super) const fn fits(&self, octets: usize) -> bool {
        let all = octets + self.overhead;
        self.d_pdus > 0 && (all <= self.octets || self.empty && all <= self.octets_most)
    }

    /// Puts it in.
    pub(in super::super) const fn put(&mut self, octets: usize) {
        self.octets = self.octets.saturating_sub(octets + self.overhead);
        self.d_pdus = self.d_pdus.saturating_sub(1);
        self.empty = false;
    }
}

#[derive(Clone, Debug)]
struct Frame {
    number: CPduNumber,
    priority: u8,
    data: DataPart,
    /// The receiver has it.
    acked: bool,
    /// It is in the transmission that is put together or in the air.
    in_air: bool,
    /// It has been sent and nothing was heard of it since.
    awaiting: bool,
}

impl Frame {
    /// It may enter a transmission.
    const fn is_due(&self) -> bool {
        !self.acked && !self.in_air && !self.awaiting
    }
}

/// A C_PDU whose segments have numbers.
#[derive(Clone, Copy, Debug)]
struct Under {
    /// Segments that are not acknowledged.
    left: u16,
    /// It was given up: its end is reported already.
    dropped: bool,
    /// Some of it was on the air, perhaps segments that have left the window.
    begun: bool,
}

/// What an acknowledgement brought.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in super::super) struct Progress {
    /// C_PDUs of which all is acknowledged now.
    pub(in super::super) delivered: Vec<CPduNumber>,
    /// Segments that had been sent since the last acknowledgement, and their octets.
    pub(in super::super) tried: u32,
    /// Those of them that did not arrive.
    pub(in super::super) missed: u32,
    pub(in super::super) tried_octets: usize,
}

#[derive(Clone, Debug)]
pub(in super::super) struct ArqSender {
    window: SendWindow<FSN_MODULUS>,
    size: u16,
    /// The absolute number of the lower edge: counts frames for ever, also over resets.
    base: u64,
    frames: VecDeque<Frame>,
    under: BTreeMap<CPduNumber, Under>,
    waiting: BTreeMap<(Reverse<u8>, u64), Sending>,
    places: BTreeMap<CPduNumber, (Reverse<u8>, u64)>,
    order: u64,
    doubts: u8,
}

/// A segment chosen for a transmission: the absolute number of its frame.
pub(in super::super) type Chosen = u64;

impl ArqSender {
    pub(in super::super) fn new(size: u16) -> Self {
        Self {
            window: SendWindow::new(size, 0),
            size,
            base: 0,
            frames: VecDeque::new(),
            under: BTreeMap::new(),
            waiting: BTreeMap::new(),
            places: BTreeMap::new(),
            order: 0,
            doubts: 0,
        }
    }

    /// Takes a C_PDU.
    pub(in super::super) fn submit(&mut self, sending: Sending) {
        let place = (Reverse(sending.priority), self.order);
        self.order += 1;
        self.places.insert(sending.number, place);
        self.waiting.insert(place, sending);
    }

    /// Gives a C_PDU up: whether some of it had been on the air; `None` if it is not here.
    //= s5066/DTS-011
    pub(in super::super) fn cancel(&mut self, number: CPduNumber) -> Option<bool> {
        if let Some(place) = self.places.remove(&number) {
            self.waiting.remove(&place);
            return Some(false);
        }
        let under = self.under.get_mut(&number).filter(|under| !under.dropped)?;
        under.dropped = true;
        let begun = self.has_begun(number);
        for frame in self.frames.iter_mut().filter(|frame| frame.number == number && !frame.acked) {
            frame.data.drop = true;
            frame.data.segment = Bytes::new();
        }
        if !begun {
            self.take_back();
        }
        Some(begun)
    }

    /// The highest priority at which something could be sent now: what needs a number only if there is one.
    pub(in super::super) fn most_urgent(&self) -> Option<u8> {
        let frames = self.frames.iter().filter(|frame| frame.is_due()).map(|frame| frame.priority).max();
        let waiting = self.waiting.values().next();
        let waiting = waiting.filter(|sending| self.free(sending.priority) > 0).map(|sending| sending.priority);
        frames.max(waiting)
    }

    /// Whether anything is neither acknowledged nor in the air.
    pub(in super::super) fn wants_air(&self) -> bool {
        self.most_urgent().is_some()
    }

    /// Chooses what of one priority goes into a transmission: repetitions first, then what has a number, then new.
    pub(in super::super) fn choose(&mut self, priority: u8, room: &mut Room, chosen: &mut Vec<Chosen>) {
        for sent in [true, false] {
            for place in 0..self.frames.len() {
                self.put(place, priority, sent, room, chosen);
            }
        }
        let range = (Reverse(priority), 0)..=(Reverse(priority), u64::MAX);
        while let Some((&place, sending)) = self.waiting.range(range.clone()).next() {
            let cuts = Cuts::new(sending.c_pdu.len(), room, self.segments_max());
            if !self.begin(place, cuts, room, chosen) {
                return;
            }
        }
    }

    /// Chooses one segment by whose answer it is known that the node is there: the shortest of what is urgent, if any of it
    /// can go, else of all. Where all are long one is cut for it.
    pub(in super::super) fn choose_probe(&mut self, room: &Room) -> Option<Chosen> {
        self.choose_shortest(PRIORITY_URGENT, room).or_else(|| self.choose_shortest(0, room))
    }

    fn choose_shortest(&mut self, priority_least: u8, room: &Room) -> Option<Chosen> {
        let mut room = Room { d_pdus: room.d_pdus.min(1), lead: PROBE_OCTETS, ..*room };
        let mut chosen = Vec::new();
        let frames = self.frames.iter().enumerate();
        let due = frames.filter(|(_, frame)| frame.is_due() && frame.priority >= priority_least);
        let shortest = due.map(|(place, frame)| (frame.data.segment.len(), place, frame.priority)).min();
        let next = self.waiting.first_key_value().filter(|(_, sending)| sending.priority >= priority_least);
        if let Some((&place, sending)) = next.filter(|_| shortest.is_none_or(|(octets, ..)| octets > PROBE_OCTETS)) {
            let cuts = Cuts::new(sending.c_pdu.len(), &room, self.segments_max());
            self.begin(place, cuts, &mut room, &mut chosen);
        }
        if let Some((_, place, priority)) = shortest.filter(|_| chosen.is_empty()) {
            let sent = self.window.is_sent(place as u16);
            self.put(place, priority, sent, &mut room, &mut chosen);
        }
        chosen.pop()
    }

    /// Puts a frame that has a number into the transmission, if it is one of those wanted and fits.
    fn put(&mut self, place: usize, priority: u8, sent: bool, room: &mut Room, chosen: &mut Vec<Chosen>) {
        let Some(frame) = self.frames.get_mut(place) else { return };
        let wanted = frame.is_due() && frame.priority == priority;
        if wanted && self.window.is_sent(place as u16) == sent && room.fits(frame.data.segment.len()) {
            room.put(frame.data.segment.len());
            frame.in_air = true;
            chosen.push(self.base + place as u64);
        }
    }

    /// Cuts a C_PDU and puts what fits of it into the transmission; `false` if not even its first segment does.
    fn begin(&mut self, place: (Reverse<u8>, u64), cuts: Cuts, room: &mut Room, chosen: &mut Vec<Chosen>) -> bool {
        let Some(sending) = self.waiting.get(&place) else { return false };
        let (count, first) = (cuts.count(), cuts.end(0));
        if !room.fits(first) || count > usize::from(self.free(sending.priority)) {
            return false;
        }
        let Some(sending) = self.waiting.remove(&place) else { return false };
        self.places.remove(&sending.number);
        let in_order = matches!(sending.service, Service::Arq { in_order: true });
        let before = self.frames.len();
        for index in 0..count {
            let segment = sending.c_pdu.slice(cuts.end_before(index)..cuts.end(index));
            let Some(place) = self.window.assign() else { break };
            let data = DataPart {
                start: index == 0,
                end: index + 1 == count,
                in_order,
                drop: false,
                uwe: false,
                lwe: false,
                fsn: self.window.fsn(place),
                segment,
            };
            let (number, priority) = (sending.number, sending.priority);
            self.frames.push_back(Frame { number, priority, data, acked: false, in_air: false, awaiting: false });
        }
        self.under.insert(sending.number, Under { left: count as u16, dropped: false, begun: false });
        for place in before..self.frames.len() {
            self.put(place, sending.priority, false, room, chosen);
        }
        true
    }

    /// The place of the newest frame when all of what was chosen has left: the upper window edge.
    pub(in super::super) fn newest(&self, chosen: &[Chosen]) -> Option<u16> {
        chosen.iter().filter_map(|&at| self.place(at)).max().max(self.window.upper_edge())
    }

    /// The part of a chosen frame, with the edges of the window as they are when all of the transmission has left.
    //= s5066/DTS-013
    pub(in super::super) fn part(&self, at: Chosen, newest: Option<u16>) -> Option<DataPart> {
        let place = self.place(at)?;
        let mut data = self.frames.get(usize::from(place))?.data.clone();
        (data.uwe, data.lwe) = (Some(place) == newest, place == 0);
        Some(data)
    }

    /// A chosen frame has left the air, or at least begun to; whether for the first time.
    pub(in super::super) fn sent(&mut self, at: Chosen) -> bool {
        let Some(place) = self.place(at) else { return false };
        let first = !self.window.is_sent(place);
        self.window.mark_sent(place);
        if let Some(frame) = self.frames.get_mut(usize::from(place)) {
            (frame.in_air, frame.awaiting) = (false, true);
            let number = frame.number;
            self.under.get_mut(&number).into_iter().for_each(|under| under.begun = true);
        }
        first
    }

    /// A chosen frame has not begun after all.
    pub(in super::super) fn unchoose(&mut self, at: Chosen) {
        if let Some(frame) = self.place(at).and_then(|place| self.frames.get_mut(usize::from(place))) {
            frame.in_air = false;
        }
    }

    /// The C_PDU of a chosen frame.
    pub(in super::super) fn number(&self, at: Chosen) -> Option<CPduNumber> {
        Some(self.frames.get(usize::from(self.place(at)?))?.number)
    }

    /// The priority of a chosen frame.
    pub(in super::super) fn priority(&self, at: Chosen) -> Option<u8> {
        Some(self.frames.get(usize::from(self.place(at)?))?.priority)
    }

    /// Takes an acknowledgement. `None`: both ends no longer speak of the same window.
    //= s5066/DTS-008
    pub(in super::super) fn acknowledge(&mut self, ack: &AckPart) -> Option<Progress> {
        let advanced = match self.window.acknowledge(ack.rx_lwe, ack.above()) {
            Acknowledged::Advanced(advanced) => usize::from(advanced),
            Acknowledged::Stale => {
                // The answer is over by it all the same: what it does not speak of goes again.
                self.unanswered();
                self.doubts += 1;
                return (self.doubts < DOUBTS_MAX).then(Progress::default);
            }
            Acknowledged::OutOfSync => return None,
        };
        self.doubts = 0;
        let mut progress = Progress::default();
        for (index, frame) in self.frames.iter_mut().enumerate() {
            let has = index < advanced || self.window.is_acked((index - advanced) as u16);
            if std::mem::take(&mut frame.awaiting) {
                progress.tried += 1;
                progress.missed += u32::from(!has);
                progress.tried_octets += frame.data.segment.len();
            }
            if !has || frame.acked {
                continue;
            }
            frame.acked = true;
            frame.data.segment = Bytes::new();
            let Some(under) = self.under.get_mut(&frame.number) else { continue };
            under.left = under.left.saturating_sub(1);
            if under.left == 0 && !under.dropped {
                progress.delivered.push(frame.number);
            }
        }
        self.frames.drain(..advanced.min(self.frames.len()));
        self.base += advanced as u64;
        self.under.retain(|_, under| under.left > 0);
        self.take_back();
        Some(progress)
    }

    /// The answer is over: what was sent and not acknowledged may be sent again. Whether there was any.
    pub(in super::super) fn unanswered(&mut self) -> bool {
        self.frames.iter_mut().fold(false, |any, frame| any | std::mem::take(&mut frame.awaiting))
    }

    /// Begins a new window at `first` and gives up what had begun. What had not waits on, unless `all`.
    pub(in super::super) fn restart(&mut self, first: u8, all: bool) -> Vec<(CPduNumber, bool)> {
        let mut failed: Vec<(CPduNumber, bool)> = Vec::new();
        for (&number, _) in self.under.iter().filter(|(_, under)| !under.dropped) {
            failed.push((number, self.has_begun(number)));
        }
        if all {
            failed.extend(std::mem::take(&mut self.waiting).into_values().map(|sending| (sending.number, false)));
            self.places.clear();
        }
        self.base += self.frames.len() as u64;
        self.frames.clear();
        self.under.clear();
        self.window = SendWindow::new(self.size, first);
        self.doubts = 0;
        failed
    }

    /// The first number of a window that begins behind the present one.
    pub(in super::super) fn next_fsn(&self) -> u8 {
        self.window.fsn(self.window.assigned())
    }

    /// Octets of routine that have a number and were never on the air, if what is urgent has to wait behind them: it
    /// finds no number.
    pub(in super::super) fn begun_octets(&self) -> usize {
        if self.free(u8::MAX) > 0 {
            return 0;
        }
        let left = self.frames.iter().enumerate().filter(|(place, _)| !self.window.is_sent(*place as u16));
        left.map(|(_, frame)| frame.data.segment.len()).sum()
    }

    /// Whether so many octets or more want the air.
    pub(in super::super) fn holds(&self, octets: usize) -> bool {
        let frames = self.frames.iter().filter(|frame| frame.is_due()).map(|frame| frame.data.segment.len());
        let mut all = frames.chain(self.waiting.values().map(|sending| sending.c_pdu.len()));
        let mut left = octets;
        left == 0
            || all.any(|octets| {
                left = left.saturating_sub(octets);
                left == 0
            })
    }

    /// C_PDUs that wait, and segments that are not acknowledged.
    pub(in super::super) fn backlog(&self) -> (usize, usize) {
        (self.waiting.len(), self.frames.iter().filter(|frame| !frame.acked).count())
    }

    fn place(&self, at: Chosen) -> Option<u16> {
        at.checked_sub(self.base).filter(|&place| place < self.frames.len() as u64).map(|place| place as u16)
    }

    /// Whether some of a C_PDU is or was on the air.
    pub(in super::super) fn has_begun(&self, number: CPduNumber) -> bool {
        let was = self.under.get(&number).is_some_and(|under| under.begun);
        was || self.frames.iter().any(|frame| frame.number == number && frame.in_air)
    }

    /// Forgets dropped C_PDUs at the upper end of the window that were never on the air.
    fn take_back(&mut self) {
        while let Some(last) = self.frames.back() {
            let number = last.number;
            if self.has_begun(number) || !self.under.get(&number).is_some_and(|under| under.dropped) {
                break;
            }
            self.frames.retain(|frame| frame.number != number);
            self.window.take_back(self.frames.len() as u16);
            self.under.remove(&number);
        }
    }

    /// Numbers that a C_PDU of this priority may take.
    fn free(&self, priority: u8) -> u16 {
        let kept =
            if priority >= PRIORITY_URGENT || self.window.size() < 2 * WINDOW_RESERVE { 0 } else { WINDOW_RESERVE };
        self.window.room().saturating_sub(kept)
    }

    /// Segments of one C_PDU at most: they must find numbers in a window that others use too.
    fn segments_max(&self) -> usize {
        usize::from((self.window.size() / 2).max(1))
    }
}

/// Where a C_PDU is cut: some segments of one size, and behind them others of another, but for the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cuts {
    c_pdu: usize,
    /// How many there are of the first size.
    first: usize,
    first_octets: usize,
    other_octets: usize,
}

impl Cuts {
    /// As few segments as the largest allows, all of a size; but a short one where data begins, if that is wanted, and
    /// such that they fill the transmission where that is worth the header of one more.
    //= s5066/DTS-012
    //= s5066/DTS-024
    fn new(c_pdu: usize, room: &Room, segments_max: usize) -> Self {
        let largest = room.segment.max(c_pdu.div_ceil(segments_max)).clamp(1, SEGMENT_OCTETS_MAX);
        let even = |octets: usize| octets.div_ceil(octets.div_ceil(largest).max(1)).max(1);
        let octets = even(c_pdu);
        let cut = |first: usize, first_octets: usize| {
            let first_octets = first_octets.max(1);
            let rest = c_pdu.saturating_sub(first * first_octets);
            let cuts = Self { c_pdu, first, first_octets, other_octets: even(rest) };
            (cuts.count() <= segments_max).then_some(cuts)
        };
        let whole = Self { c_pdu, first: 1, first_octets: octets, other_octets: octets };
        if room.empty && room.lead < octets {
            return cut(1, room.lead).unwrap_or(whole);
        }
        let fitting = room.octets / (octets + room.overhead);
        if fitting >= c_pdu.div_ceil(octets) {
            return whole;
        }
        // What is left behind those that fit is not sent, so that it costs little; a header costs its octets.
        let left = room.octets.saturating_sub(fitting * (octets + room.overhead));
        if left.saturating_sub(room.overhead) * 2 < octets {
            return whole;
        }
        cut(fitting + 1, (room.octets / (fitting + 1)).saturating_sub(room.overhead)).unwrap_or(whole)
    }

    const fn count(&self) -> usize {
        let first = self.first * self.first_octets;
        match self.c_pdu.checked_sub(first) {
            Some(rest) => self.first + rest.div_ceil(self.other_octets),
            None => self.c_pdu.div_ceil(self.first_octets),
        }
    }

    fn end(&self, index: usize) -> usize {
        let others = (index + 1).saturating_sub(self.first);
        self.c_pdu.min((index + 1).min(self.first) * self.first_octets + others * self.other_octets)
    }

    fn end_before(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.end(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_pdus_are_cut_so_that_headers_cost_little() {
        // C_PDU, octets of the transmission that are left, lead while it is empty: octets of the segments.
        let rows: [(usize, usize, Option<usize>, &[usize]); 9] = [
            (100, 1_000, None, &[100]),
            (410, 1_000, None, &[205, 205]),
            (500, 1_000, None, &[167, 167, 166]),
            // Five fit, and 27 octets more, which no header is spent on.
            (2_046, 1_162, None, &[205, 205, 205, 205, 205, 205, 205, 205, 205, 201]),
            // Half a segment more fits: six fill the transmission, and the rest needs no more than it did.
            (2_046, 1_262, None, &[188, 188, 188, 188, 188, 188, 184, 184, 184, 184, 182]),
            (2_046, 160, None, &[138, 191, 191, 191, 191, 191, 191, 191, 191, 191, 189]),
            // What does not fit at all waits for the next transmission, as it is.
            (205, 60, None, &[205]),
            (410, 2_000, Some(64), &[64, 173, 173]),
            (60, 2_000, Some(64), &[60]),
        ];
        for (c_pdu, octets, lead, sizes) in rows {
            let room = Room {
                octets,
                octets_most: octets,
                overhead: 22,
                segment: 205,
                lead: lead.unwrap_or(usize::MAX),
                repeated_segment: 205,
                d_pdus: 512,
                empty: lead.is_some(),
            };
            let cuts = Cuts::new(c_pdu, &room, 64);
            let is: Vec<usize> = (0..cuts.count()).map(|index| cuts.end(index) - cuts.end_before(index)).collect();
            assert_eq!(is, sizes, "{c_pdu} octets into {octets}, lead {lead:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn segments_are_the_c_pdu_whatever_the_room(
            (c_pdu, octets) in (1_usize..70_000, 0_usize..20_000),
            (segment, lead, empty) in (1_usize..1_100, 1_usize..300, proptest::prelude::any::<bool>()),
        ) {
            let room = Room { octets, octets_most: octets, overhead: 22, segment, lead, repeated_segment: segment, d_pdus: 9, empty };
            let cuts = Cuts::new(c_pdu, &room, 64);
            let most = segment.max(c_pdu.div_ceil(64)).min(SEGMENT_OCTETS_MAX);
            let mut before = 0;
            for index in 0..cuts.count() {
                let end = cuts.end(index);
                assert!(cuts.end_before(index) == before && end > before && end - before <= most, "{cuts:?} {index}");
                before = end;
            }
            assert_eq!(before, c_pdu);
            assert!(cuts.count() <= 64.max(c_pdu.div_ceil(SEGMENT_OCTETS_MAX)));
        }
    }
}

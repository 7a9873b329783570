//! Sending without ARQ: D_PDU types 7 and 8 (C.3.10, C.3.11).
//!
//! A C_PDU goes out so many times, each time in another transmission or in several, cut as the room suggests: segments
//! say where they belong. All copies carry the same number, so receivers merge them. The reception window says when the
//! last copy will have left; the last copy shortens it, so that receivers need not hold a half C_PDU for long.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::arq::sender::Room;
use super::config::{CPduNumber, Sending, Service};
use super::peer::PRIORITY_EXPEDITED;
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::node::dpdu::limits::SEGMENT_OCTETS_MAX;
use crate::s5066::node::dpdu::{Body, NonArqPart};
use crate::time::{Duration, Instant};

/// Half a second in microseconds: the unit of reception windows.
const HALF_SECOND_MICROS: u128 = 500_000;
/// The last copy leaves within one transmission, which is no longer than this.
const LAST_COPY_WAIT: Duration = Duration::from_millis(127_500);
/// A segment that fills the rest of a transmission has at least so many octets.
const FILLING_OCTETS_MIN: usize = 32;
/// Numbers of C_PDUs.
const IDS: u16 = 4096;

/// Expedited first, then priority, then age.
type Place = (Reverse<bool>, Reverse<u8>, u64);

#[derive(Clone, Debug)]
struct Copies {
    sending: Sending,
    /// The number on the air, once it has one.
    id: Option<u16>,
    left: u8,
    /// Octets of this copy that have left the air, and that are in the transmission put together.
    done: usize,
    chosen: usize,
    /// It has its part of the transmission put together.
    in_air: bool,
    /// Some copy has left whole.
    whole: bool,
    closes: Instant,
}

/// A segment in a transmission: its C_PDU, where it begins and where it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gone {
    number: CPduNumber,
    begin: usize,
    end: usize,
}

/// The sending end of both non-ARQ services.
#[derive(Clone, Debug)]
pub(super) struct NonArqSender {
    own: NodeAddress,
    entries: BTreeMap<Place, Copies>,
    places: BTreeMap<CPduNumber, Place>,
    /// When the reception windows of those end of which a copy has left whole.
    closing: BTreeSet<(Instant, CPduNumber)>,
    order: u64,
    /// The next numbers, ordinary and expedited.
    next: [u16; 2],
    copy_wait: Duration,
}

impl NonArqSender {
    /// Of this node; numbers begin at these; a copy may take so long to leave.
    pub(super) fn new(own: NodeAddress, next: [u16; 2], copy_wait: Duration) -> Self {
        let next = next.map(|id| id % IDS);
        Self {
            own,
            entries: BTreeMap::new(),
            places: BTreeMap::new(),
            closing: BTreeSet::new(),
            order: 0,
            next,
            copy_wait,
        }
    }

    /// The number for an expedited C_PDU that is sent from outside.
    pub(super) fn take_expedited_id(&mut self) -> u16 {
        let id = self.next[1];
        self.next[1] = (id + 1) % IDS;
        id
    }

    /// Takes a C_PDU.
    pub(super) fn submit(&mut self, sending: Sending) {
        let (expedited, copies) = match sending.service {
            Service::ExpeditedNonArq { copies } => (true, copies),
            Service::NonArq { copies } => (false, copies),
            Service::Arq { .. } | Service::ExpeditedArq => return,
        };
        let place = (Reverse(expedited), Reverse(sending.priority), self.order);
        self.order += 1;
        self.places.insert(sending.number, place);
        let (left, closes) = (copies.max(1), sending.deadline);
        let entry = Copies { sending, id: None, left, done: 0, chosen: 0, in_air: false, whole: false, closes };
        self.entries.insert(place, entry);
    }

    /// Gives a C_PDU up: whether some of it had been on the air.
    pub(super) fn cancel(&mut self, number: CPduNumber) -> Option<bool> {
        let place = self.places.remove(&number)?;
        let entry = self.entries.remove(&place)?;
        self.closing.remove(&(entry.closes, number));
        Some(entry.id.is_some())
    }

    /// What is most urgent: expedited or not, and its priority.
    pub(super) fn most_urgent(&self) -> Option<(bool, u8)> {
        let entry = self.entries.iter().find(|(_, entry)| !entry.in_air)?;
        Some((entry.0.0.0, entry.0.1.0))
    }

    /// The priority of what a segment belongs to; 16 when it is expedited.
    pub(super) fn priority(&self, gone: Gone) -> Option<u8> {
        self.places.get(&gone.number).map(|place| if place.0.0 { PRIORITY_EXPEDITED } else { place.1.0 })
    }

    /// Chooses what of one priority goes into a transmission, whose room is told for this node's own address; to whom,
    /// and what.
    //= s5066/DTS-017
    pub(super) fn choose(
        &mut self,
        now: Instant,
        (expedited, priority): (bool, u8),
        room: &mut Room,
        chosen: &mut Vec<(NodeAddress, Body, Gone)>,
    ) {
        let range = (Reverse(expedited), Reverse(priority), 0)..=(Reverse(expedited), Reverse(priority), u64::MAX);
        let (overhead, own_size) = (room.overhead, self.own.size_min());
        for (_, entry) in self.entries.range_mut(range) {
            if entry.in_air {
                continue;
            }
            if entry.id.is_some() && now >= entry.closes && !entry.whole {
                // Its window is over and nobody can have all of it: it begins anew under another number.
                (entry.id, entry.done, entry.chosen) = (None, 0, 0);
            }
            let (fresh, next) = (entry.id.is_none(), &mut self.next[usize::from(expedited)]);
            if fresh {
                let wait = self.copy_wait.saturating_mul(entry.left.into());
                entry.closes = (now + wait).min(entry.sending.deadline.max(now + LAST_COPY_WAIT));
                entry.id = Some(*next);
            }
            room.overhead = overhead + usize::from(entry.sending.destination.size_min().saturating_sub(own_size));
            let (number, closed) = (entry.sending.number, entry.closes);
            let goes_on = entry.cut(now, expedited, room, chosen);
            if self.closing.remove(&(closed, number)) {
                self.closing.insert((entry.closes, number));
            }
            match (fresh, entry.in_air) {
                (true, true) => *next = (*next + 1) % IDS,
                // Nothing of it fits any more: it keeps no number that was never on the air.
                (true, false) => entry.id = None,
                (false, _) => {}
            }
            if !goes_on {
                return;
            }
        }
    }

    /// A segment has left the air; the C_PDU whose last copy that was.
    pub(super) fn sent(&mut self, gone: Gone) -> Option<CPduNumber> {
        let place = *self.places.get(&gone.number)?;
        let entry = self.entries.get_mut(&place)?;
        entry.in_air = false;
        entry.done = entry.done.max(gone.end);
        if entry.done < entry.sending.c_pdu.len() {
            return None;
        }
        (entry.done, entry.chosen, entry.whole) = (0, 0, true);
        entry.left -= 1;
        if entry.left > 0 {
            self.closing.insert((entry.closes, gone.number));
            return None;
        }
        self.cancel(gone.number).map(|_| gone.number)
    }

    /// A segment has not begun after all.
    pub(super) fn unchoose(&mut self, gone: Gone) {
        if let Some(entry) = self.places.get(&gone.number).and_then(|place| self.entries.get_mut(place)) {
            entry.in_air = false;
            entry.chosen = entry.chosen.min(gone.begin);
        }
    }

    /// C_PDUs whose reception window is over before all copies have left: one at least has.
    pub(super) fn pop_closed(&mut self, now: Instant) -> Option<CPduNumber> {
        let number = self.closing.first().filter(|(closes, _)| *closes <= now)?.1;
        self.cancel(number).map(|_| number)
    }

    /// When the first such window is over.
    pub(super) fn next_closed(&self) -> Option<Instant> {
        self.closing.first().map(|(closes, _)| *closes)
    }
}

impl Copies {
    /// Cuts what fits of this copy; `false` when the room is used up.
    fn cut(
        &mut self,
        now: Instant,
        expedited: bool,
        room: &mut Room,
        chosen: &mut Vec<(NodeAddress, Body, Gone)>,
    ) -> bool {
        let size = self.sending.c_pdu.len();
        let last = self.left == 1 && size - self.chosen <= room.octets;
        let closes = if last { self.closes.min(now + LAST_COPY_WAIT) } else { self.closes };
        let window = closes.since(now).as_micros().div_ceil(HALF_SECOND_MICROS);
        loop {
            let left = size - self.chosen;
            let segment = if self.is_repeated() { room.repeated_segment } else { room.segment };
            let whole = left.min(segment).min(SEGMENT_OCTETS_MAX);
            let octets = if room.fits(whole) { whole } else { room.octets.saturating_sub(room.overhead) };
            if !room.fits(octets) || octets < whole.min(FILLING_OCTETS_MIN) {
                return false;
            }
            room.put(octets);
            // Windows only ever say when the last D_PDU leaves; a shorter one is final.
            (self.in_air, self.closes) = (true, closes);
            let part = NonArqPart {
                in_order: false,
                c_pdu_id: self.id.unwrap_or_default(),
                c_pdu_size: u16::try_from(size).unwrap_or(u16::MAX),
                offset: u16::try_from(self.chosen).unwrap_or(u16::MAX),
                window: u16::try_from(window).unwrap_or(u16::MAX).max(1),
                segment: self.segment(octets),
            };
            let begin = self.chosen;
            self.chosen += octets;
            let body = if expedited { Body::ExpeditedNonArq(part) } else { Body::NonArq(part) };
            chosen.push((
                self.sending.destination,
                body,
                Gone { number: self.sending.number, begin, end: self.chosen },
            ));
            if self.chosen >= size {
                return true;
            }
        }
    }

    /// Whether it is sent more than once in all.
    const fn is_repeated(&self) -> bool {
        match self.sending.service {
            Service::NonArq { copies } | Service::ExpeditedNonArq { copies } => copies > 1,
            Service::Arq { .. } | Service::ExpeditedArq => false,
        }
    }

    fn segment(&self, octets: usize) -> Bytes {
        self.sending.c_pdu.slice(self.chosen..self.chosen + octets)
    }
}

//! One message being received: its fragments, what is missing, and when that is to be acknowledged.

use std::collections::BTreeMap;

use super::event::Arrival;
use super::limits::FRAGMENT_OVERHEAD_OCTETS;
use super::numbers::{Numbers, Span};
use super::pdu::MessageId;
use crate::bytes::{Bytes, BytesMut};
use crate::time::{Instant, WallTime};

/// Where a message stands at its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Data_PDUs came, the Address_PDU did not.
    Orphan,
    /// Addressed to us and incomplete.
    Collecting,
    /// Complete and with the gateway.
    Offered(Arrival),
    /// The gateway could not take it; it is offered again at this time.
    Refused(Instant),
    /// Larger than we take; its PDUs are ignored.
    TooLarge,
}

/// When an acknowledgement goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct AckPlan {
    /// At this time.
    pub(super) due: Option<Instant>,
    /// The time has come; it goes with the next PDU.
    pub(super) ready: bool,
    /// The list may name everything up to the total (otherwise: up to the highest number heard).
    pub(super) whole: bool,
    /// We were in EMCON when it should have gone.
    pub(super) owed: bool,
    /// After EMCON: repeats left, and when the next goes.
    pub(super) repeats_left: u32,
    pub(super) repeat_at: Option<Instant>,
    /// When the last one went.
    pub(super) sent_at: Option<Instant>,
}

impl AckPlan {
    /// Plans an acknowledgement; the earlier of two stays.
    pub(super) fn plan(&mut self, at: Instant, whole: bool) {
        self.whole |= whole;
        if !self.ready {
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
        }
    }

    /// The sender has answered: no repeat is needed.
    pub(super) fn answered(&mut self) {
        (self.repeats_left, self.repeat_at) = (0, None);
    }

    /// The time has come, if it has.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.repeat_at.take_if(|at| *at <= now).is_some() {
            self.whole = true;
            self.due = Some(now);
        }
        self.ready |= self.due.take_if(|at| *at <= now).is_some();
    }

    /// It has been handed down.
    pub(super) fn went(&mut self, now: Instant, repeat_at: Instant) {
        (self.ready, self.whole, self.owed, self.sent_at) = (false, false, false, Some(now));
        if self.repeats_left > 0 {
            self.repeats_left -= 1;
            self.repeat_at = Some(repeat_at);
        }
    }

    /// We enter EMCON: what was planned is owed.
    pub(super) fn hush(&mut self) {
        *self = Self { owed: self.owed || self.is_planned(), sent_at: self.sent_at, ..Self::default() };
    }

    pub(super) fn is_planned(&self) -> bool {
        self.ready || self.due.is_some() || self.repeat_at.is_some()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.repeat_at).min()
    }
}

/// A message not yet taken by the gateway.
#[derive(Clone, Debug)]
pub(super) struct Reception {
    pub(super) id: MessageId,
    pub(super) priority: u8,
    pub(super) stage: Stage,
    /// Total_Number_of_PDUs; 0 while unknown.
    pub(super) total: u16,
    pub(super) expiry: WallTime,
    /// How many receivers stand before us in the Address_PDU: they acknowledge before us.
    pub(super) before_us: u16,
    /// Others are named beside us.
    pub(super) among_others: bool,
    pub(super) fragments: BTreeMap<u16, Bytes>,
    /// Octets it costs.
    pub(super) cost: usize,
    /// An orphan is dropped at this time.
    pub(super) valid_until: Instant,
    /// If nothing more is heard, what is missing is reported at this time.
    pub(super) quiet: Option<Instant>,
    /// The highest number heard.
    pub(super) highest: u16,
    /// The number that ends the present round: the total, later the last number reported missing.
    pub(super) round_end: u16,
    /// Missing numbers reported before the end of the round (MM).
    pub(super) reported: usize,
    /// An acknowledgement has gone since the last Address_PDU.
    pub(super) acked_in_round: bool,
    pub(super) ack: AckPlan,
    /// Age: smaller is older.
    pub(super) order: u64,
}

impl Reception {
    pub(super) fn orphan(id: MessageId, priority: u8) -> Self {
        Self {
            id,
            priority,
            stage: Stage::Orphan,
            total: 0,
            expiry: WallTime::default(),
            before_us: 0,
            among_others: false,
            fragments: BTreeMap::new(),
            cost: FRAGMENT_OVERHEAD_OCTETS,
            valid_until: Instant::ZERO,
            quiet: None,
            highest: 0,
            round_end: u16::MAX,
            reported: 0,
            acked_in_round: false,
            ack: AckPlan::default(),
            order: 0,
        }
    }

    pub(super) const fn cost_of(fragment: &[u8]) -> usize {
        fragment.len() + FRAGMENT_OVERHEAD_OCTETS
    }

    pub(super) fn is_whole(&self) -> bool {
        self.total > 0 && self.fragments.len() == usize::from(self.total)
    }

    /// What is missing up to a number.
    pub(super) fn missing(&self, up_to: u16) -> Numbers {
        let mut missing = Numbers::default();
        let mut next = 1u32;
        for &have in self.fragments.keys().take_while(|&&have| have <= up_to) {
            insert(&mut missing, next, u32::from(have).saturating_sub(1));
            next = u32::from(have) + 1;
        }
        insert(&mut missing, next, u32::from(up_to));
        missing
    }

    /// How many numbers below the highest heard are missing.
    pub(super) fn gaps(&self) -> usize {
        usize::from(self.highest).saturating_sub(self.fragments.len())
    }

    /// The whole message. Fragments follow one another; no offset is transmitted.
    pub(super) fn assemble(&self) -> Bytes {
        let mut message = BytesMut::with_capacity(self.fragments.values().map(Bytes::len).sum());
        self.fragments.values().for_each(|fragment| message.extend_from_slice(fragment));
        message.freeze()
    }

    pub(super) fn octets(&self) -> usize {
        self.cost.saturating_sub(FRAGMENT_OVERHEAD_OCTETS * (self.fragments.len() + 1))
    }
}

fn insert(numbers: &mut Numbers, first: u32, last: u32) {
    if let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(last))
        && first <= last
    {
        numbers.insert_span(Span { first, last });
    }
}

/// A complete message the gateway has taken: kept so that repeats are known and acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) forget: WallTime,
    pub(super) priority: u8,
    pub(super) before_us: u16,
    /// The message is for others too, and its acknowledgement has not gone: one of many that may go without ARQ.
    pub(super) first_of_many: bool,
    /// The sender has our acknowledgement, it said so.
    pub(super) told: bool,
    pub(super) ack: AckPlan,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acp142::pdu::NodeId;

    #[test]
    fn missing_numbers() {
        let mut r = Reception::orphan(MessageId { source: NodeId(1), number: 1 }, 8);
        for number in [2, 3, 6] {
            r.fragments.insert(number, Bytes::new());
        }
        let listed = |up_to| r.missing(up_to).iter().collect::<Vec<_>>();
        assert_eq!(listed(6), [1, 4, 5]);
        assert_eq!(listed(4), [1, 4]);
        assert_eq!(listed(8), [1, 4, 5, 7, 8]);
        r.fragments.insert(u16::MAX, Bytes::new());
        assert_eq!(r.missing(u16::MAX).count(), 65_531);
    }
}

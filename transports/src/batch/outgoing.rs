//! Units on their way out: what of each leg is to be sent, in the air, and done.

use std::collections::BTreeSet;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::segment::{LENGTH_OCTETS, SegmentFault, Segments};
use skywave_protocols::time::Instant;

use crate::radio::Service;
use crate::transport::{SiteName, Unit};

/// A unit that has not ended for every site.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) unit: Unit,
    /// Counts submissions.
    pub(super) number: u64,
    pub(super) expires: Instant,
    pub(super) legs: Vec<Leg>,
    pub(super) octets_sent: u64,
}

/// The way of a unit to one address.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) sites: Vec<SiteName>,
    pub(super) to: NodeAddress,
    pub(super) u_pdu_id: u8,
    /// Ended, well or not.
    pub(super) over: bool,
    /// The next round, or another try, not before this time.
    pub(super) not_before: Option<Instant>,
    segments: Option<Segments>,
    pending: BTreeSet<u16>,
    in_air: BTreeSet<u16>,
    rounds_left: u8,
}

/// What follows when a segment has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// More of the leg is to come.
    More,
    /// The leg is done.
    Done,
}

impl Outgoing {
    pub(super) fn new(unit: Unit, number: u64, expires: Instant, legs: Vec<Leg>) -> Self {
        Self { unit, number, expires, legs, octets_sent: 0 }
    }

    /// Takes the next segment of a leg into the air.
    pub(super) fn take_segment(&mut self, leg: usize) -> Option<(u16, Bytes)> {
        let (number, octets) = self.legs.get_mut(leg)?.take_segment()?;
        self.octets_sent += octets.len() as u64;
        Some((number, octets))
    }

    pub(super) fn on_sent(&mut self, leg: usize, number: u16, next_round: Instant) -> After {
        self.legs.get_mut(leg).map_or(After::More, |leg| leg.on_sent(number, next_round))
    }

    /// A segment did not leave, for all we know.
    pub(super) fn on_returned(&mut self, leg: usize, number: u16, not_before: Option<Instant>) {
        let Some(leg) = self.legs.get_mut(leg).filter(|leg| !leg.over) else { return };
        // A segment of an older cut means nothing now.
        if leg.in_air.remove(&number) {
            leg.pending.insert(number);
            leg.not_before = leg.not_before.max(not_before);
        }
    }

    /// Ends a leg; yields its sites if it had not ended before.
    pub(super) fn end_leg(&mut self, leg: usize) -> Vec<SiteName> {
        match self.legs.get_mut(leg) {
            Some(leg) if !leg.over => {
                leg.over = true;
                leg.segments = None;
                leg.pending.clear();
                leg.in_air.clear();
                leg.not_before = None;
                leg.sites.clone()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// PDUs of this round that are not handed to the medium.
    pub(super) fn pdus_waiting(&self) -> u32 {
        self.legs.iter().map(|leg| u32::try_from(leg.pending.len()).unwrap_or(u32::MAX)).sum()
    }

    /// What it waits for, for operators.
    pub(super) fn why(&self, service: Service) -> &'static str {
        let open = || self.legs.iter().filter(|leg| !leg.over);
        if open().any(|leg| leg.not_before.is_some()) {
            match service {
                Service::Udop => "next planned repeat",
                Service::Rcop => "rejected by a node, tried again later",
            }
        } else if open().any(|leg| !leg.pending.is_empty() || leg.segments.is_none()) {
            "being sent"
        } else {
            match service {
                Service::Udop => "leaving the node",
                Service::Rcop => "confirmation of the peer's node",
            }
        }
    }

    pub(super) fn describe(&self, service: Service) -> serde_json::Value {
        serde_json::json!({
            "ticket": self.unit.ticket,
            "octets": self.unit.content.len(),
            "octets_sent": self.octets_sent,
            "pdus_waiting": self.pdus_waiting(),
            "rounds_left": self.legs.iter().map(|leg| leg.rounds_left).max(),
            "why": self.why(service),
        })
    }
}

impl Leg {
    pub(super) fn new(sites: Vec<SiteName>, to: NodeAddress, rounds_after_first: u8) -> Self {
        Self {
            sites,
            to,
            u_pdu_id: 0,
            over: false,
            not_before: None,
            segments: None,
            pending: BTreeSet::new(),
            in_air: BTreeSet::new(),
            rounds_left: rounds_after_first,
        }
    }

    pub(super) fn is_uncut(&self) -> bool {
        self.segments.is_none()
    }

    /// Whether a segment could go now.
    pub(super) fn is_sendable(&self) -> bool {
        !self.over && self.not_before.is_none() && (self.is_uncut() || !self.pending.is_empty())
    }

    /// Octets of the next segment.
    pub(super) fn octets_next(&self, unit_octets: usize, mtu: usize) -> usize {
        let next = self.pending.first().and_then(|&number| self.segments.as_ref()?.segment(number));
        next.map_or_else(|| mtu.min(unit_octets + LENGTH_OCTETS), |octets| octets.len())
    }

    pub(super) fn cut(&mut self, unit: &[u8], mtu: usize, u_pdu_id: u8) -> Result<(), SegmentFault> {
        let segments = Segments::new(unit, mtu)?;
        self.pending = (0..=u16::MAX).take(segments.count()).collect();
        self.segments = Some(segments);
        self.u_pdu_id = u_pdu_id;
        Ok(())
    }

    /// What was cut for a larger MTU is to be cut again.
    pub(super) fn forget_cut_above(&mut self, mtu: usize) {
        let first = self.segments.as_ref().and_then(|segments| segments.segment(0));
        if first.is_some_and(|first| first.len() > mtu) {
            self.segments = None;
            self.pending.clear();
            self.in_air.clear();
        }
    }

    pub(super) fn handle_wakeup(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|&at| at > now);
    }

    fn take_segment(&mut self) -> Option<(u16, Bytes)> {
        let number = self.pending.pop_first()?;
        let octets = self.segments.as_ref()?.segment(number)?;
        self.in_air.insert(number);
        Some((number, octets))
    }

    fn on_sent(&mut self, number: u16, next_round: Instant) -> After {
        if self.over || !self.in_air.remove(&number) || !self.in_air.is_empty() || !self.pending.is_empty() {
            return After::More;
        }
        if self.rounds_left == 0 {
            return After::Done;
        }
        self.rounds_left -= 1;
        let count = self.segments.as_ref().map_or(0, Segments::count);
        self.pending = (0..=u16::MAX).take(count).collect();
        self.not_before = Some(next_round);
        After::More
    }
}

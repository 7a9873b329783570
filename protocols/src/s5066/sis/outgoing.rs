//! The requests of a session: those that wait for the node to take data, and those whose confirmation is awaited.

use std::collections::{BTreeMap, VecDeque};

use super::event::{SisRequest, SubmitFault};
use super::fields::SapId;
use super::limits::{CONFIRMATION_LATE, REQUESTS_OUTSTANDING_MAX, REQUESTS_WAITING_MAX, REQUESTS_WAITING_OCTETS_MAX};
use super::unidata::Returned;
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::time::{Duration, Instant};

/// Expedited first, then priority, then age.
type Place = (bool, u8, u64);
/// What a confirmation names besides leading octets.
type Target = (bool, NodeAddress, SapId);

/// All requests of a session that have not ended.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    waiting: BTreeMap<Place, SisRequest>,
    waiting_octets: usize,
    /// In order of handing down.
    outstanding: BTreeMap<Target, VecDeque<Outstanding>>,
    outstanding_count: usize,
    submitted: u64,
}

#[derive(Debug)]
struct Outstanding {
    token: u64,
    u_pdu: Bytes,
    deadline: Option<Instant>,
}

impl Outgoing {
    /// Puts a request in line.
    pub(super) fn push(&mut self, request: SisRequest) -> Result<(), SubmitFault> {
        let octets = self.waiting_octets + request.u_pdu.len();
        let outstanding_full = self.outstanding_count + self.waiting.len() >= REQUESTS_OUTSTANDING_MAX;
        if self.waiting.len() >= REQUESTS_WAITING_MAX || octets > REQUESTS_WAITING_OCTETS_MAX || outstanding_full {
            return Err(SubmitFault::Full);
        }
        self.waiting_octets = octets;
        self.submitted += 1;
        let priority = if request.expedited { 0 } else { 15 - request.priority.min(15) };
        self.waiting.insert((!request.expedited, priority, self.submitted), request);
        Ok(())
    }

    /// Takes the most urgent waiting request.
    pub(super) fn pop(&mut self) -> Option<SisRequest> {
        let (_, request) = self.waiting.pop_first()?;
        self.waiting_octets -= request.u_pdu.len();
        Some(request)
    }

    /// Remembers a request that was handed down and will be confirmed or rejected.
    pub(super) fn await_confirmation(&mut self, now: Instant, request: &SisRequest) {
        let late = |span: Duration| now + span + CONFIRMATION_LATE;
        let outstanding =
            Outstanding { token: request.token, u_pdu: request.u_pdu.clone(), deadline: request.ttl.span().map(late) };
        let target = (request.expedited, request.destination, request.sap);
        self.outstanding.entry(target).or_default().push_back(outstanding);
        self.outstanding_count += 1;
    }

    /// Ends the oldest request that a confirmation or rejection can mean. Requests to one client may be confirmed in
    /// any order, as the node orders them by priority.
    //= s5066/SIS-007
    //= s5066/SIS-014
    pub(super) fn end(&mut self, expedited: bool, returned: &Returned) -> Option<u64> {
        let target = (expedited, returned.destination, returned.sap);
        let queue = self.outstanding.get_mut(&target)?;
        let at = queue.iter().position(|outstanding| outstanding.u_pdu.starts_with(&returned.leading))?;
        let ended = queue.remove(at)?;
        if queue.is_empty() {
            self.outstanding.remove(&target);
        }
        self.outstanding_count -= 1;
        Some(ended.token)
    }

    /// Ends one request that the node should long have answered.
    pub(super) fn end_unanswered(&mut self, now: Instant) -> Option<u64> {
        let due = |outstanding: &Outstanding| outstanding.deadline.is_some_and(|deadline| deadline <= now);
        let (&target, at) =
            self.outstanding.iter().find_map(|(target, queue)| Some((target, queue.iter().position(due)?)))?;
        let queue = self.outstanding.get_mut(&target)?;
        let ended = queue.remove(at)?;
        if queue.is_empty() {
            self.outstanding.remove(&target);
        }
        self.outstanding_count -= 1;
        Some(ended.token)
    }

    /// When the next request must have been answered.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.outstanding.values().flatten().filter_map(|outstanding| outstanding.deadline).min()
    }

    /// Ends all: those handed down in their order, then those that waited.
    pub(super) fn drain(&mut self) -> Vec<u64> {
        let handed = std::mem::take(&mut self.outstanding).into_values().flatten().map(|outstanding| outstanding.token);
        let waiting = std::mem::take(&mut self.waiting).into_values().map(|request| request.token);
        (self.waiting_octets, self.outstanding_count) = (0, 0);
        handed.chain(waiting).collect()
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Requests whose confirmation is awaited.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding_count
    }
}

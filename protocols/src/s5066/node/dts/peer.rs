//! All that is kept about one other node.

use super::arq::receiver::ArqReceiver;
use super::arq::sender::ArqSender;
use super::config::DtsConfig;
use super::expedited::{ExpeditedReceiver, ExpeditedSender};
use super::limits::{MISSES_BEFORE_PROBE, RETRY_WAIT_MAX, RETRY_WAIT_MIN};
use super::management::Management;
use super::rate::{Quality, RateControl};
use super::resets::Resets;
use crate::random::{Random as _, Seeded};
use crate::s5066::node::dpdu::Eow;
use crate::s5066::node::limits::PRIORITY_URGENT;
use crate::s5066::node::mark::Mark;
use crate::time::{Duration, Instant};

/// Resets and management block what comes after them: they go like what is urgent.
const PRIORITY_CONTROL: u8 = PRIORITY_URGENT;
/// D_PDUs at a rate that has not proved itself.
const TRIAL_D_PDUS: usize = 8;
/// Expedited service goes before all priorities.
pub(super) const PRIORITY_EXPEDITED: u8 = 16;

/// One other node.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) connected: bool,
    pub(super) sender: ArqSender,
    pub(super) receiver: ArqReceiver,
    pub(super) expedited_out: ExpeditedSender,
    pub(super) expedited_in: ExpeditedReceiver,
    pub(super) management: Management,
    pub(super) resets: Resets,
    pub(super) rate: RateControl,
    /// Acknowledgements owed for types 0 and 2, and for type 4.
    pub(super) owes_ack: bool,
    pub(super) owes_expedited_ack: bool,
    /// An orderwire message that rides with the next D_PDU.
    pub(super) eow: Eow,
    /// What every D_PDU says of the link that it rides on.
    pub(super) mark: Option<Mark>,
    /// Its link is there by agreement: a reset makes both windows begin, and it is repeated until it is answered.
    pub(super) agreed: bool,
    /// Answers missing in a row.
    pub(super) failures: u32,
    /// It has not acknowledged since an answer was missing.
    pub(super) unsure: bool,
    pub(super) retry_at: Instant,
    /// When it was last asked for an answer, by the count of transmissions.
    pub(super) asked: u64,
    pub(super) heard_at: Instant,
}

/// The state of one node for the console.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct PeerState {
    /// It has a connection.
    pub connected: bool,
    /// C_PDUs that wait.
    pub waiting: usize,
    /// Segments that are not acknowledged.
    pub unacknowledged: usize,
    /// Octets held that are no whole C_PDU yet or wait for earlier ones.
    pub held_octets: usize,
    /// Segments sent and lost lately.
    pub quality: Quality,
    /// The place of the rate in use.
    pub rate: usize,
    /// Answers missing in a row.
    pub failures: u32,
    /// A reset is under way.
    pub resetting: bool,
}

impl Peer {
    pub(super) fn new(config: &DtsConfig, random: &mut Seeded) -> Self {
        Self {
            connected: false,
            sender: ArqSender::new(config.window),
            receiver: ArqReceiver::new(0),
            expedited_out: ExpeditedSender::new((random.number() & 0x0f) as u8),
            expedited_in: ExpeditedReceiver::default(),
            management: Management::default(),
            resets: Resets::new((random.number() & 0xff) as u8),
            rate: RateControl::new(config.rates.len(), config.rate_first),
            owes_ack: false,
            owes_expedited_ack: false,
            eow: Eow::NONE,
            mark: None,
            agreed: false,
            failures: 0,
            unsure: false,
            retry_at: Instant::ZERO,
            asked: 0,
            heard_at: Instant::ZERO,
        }
    }

    /// Whether it is owed an acknowledgement of any kind.
    pub(super) const fn owes(&self) -> bool {
        self.owes_ack || self.owes_expedited_ack || self.management.owes() || self.resets.owes()
    }

    /// The priority of the most urgent that asks for an answer, if anything does.
    pub(super) fn claim(&self) -> Option<u8> {
        let control = (self.resets.wants_air() || self.management.wants_air()).then_some(PRIORITY_CONTROL);
        let blocked = !self.connected || self.resets.pending().is_some();
        let data = if blocked { None } else { self.sender.most_urgent() };
        let expedited = (self.connected && self.expedited_out.wants_air()).then_some(PRIORITY_EXPEDITED);
        control.max(data).max(expedited)
    }

    /// Whether nothing would be lost with it but what it had received.
    pub(super) fn is_idle(&self) -> bool {
        !self.connected && !self.owes() && self.management.is_idle()
    }

    /// Whether it may make room for another: nothing of ours is lost with it. Answers that are owed to somebody without a
    /// link are no reason to keep it: anybody may ask for them under as many addresses as there are.
    pub(super) fn is_spare(&self) -> bool {
        !self.connected && !self.management.waits()
    }

    /// It was heard.
    pub(super) const fn heard(&mut self, now: Instant) {
        (self.failures, self.retry_at, self.heard_at) = (0, Instant::ZERO, now);
    }

    /// Its answer is over, and perhaps nothing of it was heard. `false` when all that asked for it was acknowledged.
    pub(super) fn missed(&mut self, now: Instant, heard: bool, random: &mut Seeded) -> bool {
        let open = self.sender.unanswered() | self.expedited_out.unanswered();
        let open = open | self.management.awaits() | self.resets.awaits();
        if !open {
            return false;
        }
        self.unsure = true;
        self.rate.missed();
        if heard {
            return true;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            // Whose answer was lost is there; slots see to it that two do not meet again.
            return true;
        }
        let wait = RETRY_WAIT_MIN.saturating_mul(1 << (self.failures - 2).min(16)).min(RETRY_WAIT_MAX);
        let jitter = random.below(wait.as_micros() as u64 / 2);
        self.retry_at = now + wait / 2 + Duration::from_micros(jitter);
        true
    }

    /// Octets and D_PDUs that may be risked on it, of so many.
    pub(super) fn risk(&self, octets: usize, d_pdus: usize) -> (usize, usize) {
        if self.failures >= MISSES_BEFORE_PROBE {
            (octets, 1)
        } else if self.rate.is_on_trial() {
            // Enough to judge a rate by.
            (octets, d_pdus.min(TRIAL_D_PDUS))
        } else if self.unsure {
            // Perhaps only the acknowledgement was lost: a part of it asks as well as all.
            (octets / 4, d_pdus)
        } else {
            (octets, d_pdus)
        }
    }

    pub(super) fn state(&self) -> PeerState {
        let (waiting, unacknowledged) = self.sender.backlog();
        PeerState {
            connected: self.connected,
            waiting: waiting + self.expedited_out.backlog(),
            unacknowledged,
            held_octets: self.receiver.octets(),
            quality: self.rate.quality(),
            rate: self.rate.rate(),
            failures: self.failures,
            resetting: self.resets.pending().is_some(),
        }
    }
}

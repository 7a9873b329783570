//! All that is kept about one other node.

use super::arq::receiver::ArqReceiver;
use super::arq::sender::ArqSender;
use super::config::DtsConfig;
use super::expedited::{ExpeditedReceiver, ExpeditedSender};
use super::limits::{
    MISSES_BEFORE_PROBE, MISSES_BEFORE_SLOW, PROBE_AIRTIMES, RETRY_WAIT_MAX, RETRY_WAIT_MIN, RETRY_WAIT_URGENT_MAX,
};
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
    /// The same as it was when somebody was heard last: what is missed after that may be our own ears.
    failures_before: u32,
    /// It has not acknowledged since an answer was missing.
    pub(super) unsure: bool,
    /// When it may be tried again, and when with what is urgent.
    retry_at: Instant,
    retry_urgent_at: Instant,
    /// How long the transmission took that asked it last.
    pub(super) airtime: Duration,
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
            failures_before: 0,
            unsure: false,
            retry_at: Instant::ZERO,
            retry_urgent_at: Instant::ZERO,
            airtime: Duration::ZERO,
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
        let goes = self.connected && !self.resets.pends_full() && self.expedited_out.wants_air();
        let expedited = goes.then_some(PRIORITY_EXPEDITED);
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
        (self.failures, self.failures_before, self.heard_at) = (0, 0, now);
        (self.retry_at, self.retry_urgent_at) = (Instant::ZERO, Instant::ZERO);
    }

    /// Somebody was heard. If nobody was for several answers that were missing (`deaf`), that this one did not answer then
    /// says nothing of it, but that it is there is not known. One that was silent before that stays so.
    pub(super) fn somebody_heard(&mut self, deaf: bool) {
        if deaf && self.failures_before < MISSES_BEFORE_PROBE {
            self.failures = if self.failures > 0 { MISSES_BEFORE_PROBE } else { 0 };
            (self.retry_at, self.retry_urgent_at) = (Instant::ZERO, Instant::ZERO);
        }
        self.failures_before = self.failures;
    }

    /// It is not tried before another one, but with what is urgent: who hears nobody asks one at a time.
    pub(super) fn wait_for(&mut self, other: Instant) {
        self.retry_at = self.retry_at.max(other);
    }

    /// From when on it may be asked for an answer with something of this priority.
    pub(super) const fn ready_at(&self, priority: u8) -> Instant {
        if priority >= PRIORITY_URGENT { self.retry_urgent_at } else { self.retry_at }
    }

    /// Its answer is over, and perhaps nothing of it was heard. `false` when all that asked for it was acknowledged.
    /// `unheard`: so many answers were missing in a row, of whomever, without anybody being heard.
    pub(super) fn missed(&mut self, now: Instant, heard: bool, unheard: u32, random: &mut Seeded) -> bool {
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
        let failures = self.failures.max(unheard);
        if failures == 1 {
            // Whose answer was lost is there; slots see to it that two do not meet again.
            return true;
        }
        let wait = RETRY_WAIT_MIN.saturating_mul(1 << (failures - 2).min(16));
        let probe = if failures >= MISSES_BEFORE_SLOW { self.airtime } else { Duration::ZERO };
        let wait = wait.max(probe.saturating_mul(PROBE_AIRTIMES)).min(RETRY_WAIT_MAX);
        let share = random.below(1 << 20) as u32;
        let after = |wait: Duration| now + wait / 2 + wait.saturating_mul(share) / (2 << 20);
        (self.retry_at, self.retry_urgent_at) = (after(wait), after(wait.min(RETRY_WAIT_URGENT_MAX)));
        true
    }

    /// Whether it is not known to be there: it is asked by one short D_PDU, until it is heard.
    pub(super) const fn is_probed(&self, deaf: bool) -> bool {
        self.failures >= MISSES_BEFORE_PROBE || deaf
    }

    /// Octets and D_PDUs that may be risked on it, of so many.
    pub(super) fn risk(&self, octets: usize, d_pdus: usize) -> (usize, usize) {
        if self.rate.is_on_trial() {
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

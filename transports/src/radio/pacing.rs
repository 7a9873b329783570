//! How much is in the hands of the node, and whether it may get more.
//!
//! What is handed down cannot be overtaken by us any more, so it is kept short. Confirmations tell what has left with
//! ARQ; nothing tells it without, so a model does: rate, turnaround and repeats give the time at which the last octet
//! is judged to have left. Each service has its own budget: a peer that does not answer must not stop a broadcast. A few
//! PDUs of Flash may exceed it, since the node puts them first, and a few short ones that await confirmation: a line of
//! chat must not wait until two long transmissions of mail are confirmed. While the node may not transmit, the model
//! stands still.
//!
//! What the node itself can hold is not known, and it drops what comes long after it said stop. So the octets in its
//! hands begin small and grow by what has left: never more than twice of what it has taken before without a word.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::time::{Duration, Instant};

use super::config::RadioConfig;
use super::limits::{
    AIR_OVERHEAD_PERCENT, CONFIRM_PDUS_MAX, CONFIRM_PDUS_MIN, SHORT_OCTETS_MAX, SHORT_PDUS_MAX, TOP_UP,
    URGENT_PDUS_MAX, URGENT_PRIORITY_MAX, WINDOW_OCTETS_FIRST, WINDOW_OCTETS_MAX,
};
use super::link::Offer;

/// Whether a PDU may be handed down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It may.
    Now,
    /// Not before this time.
    At(Instant),
    /// Not before something else has ended.
    Wait,
}

/// How much of one service may be in the hands of the node, in octets.
#[derive(Debug)]
struct Window {
    octets: usize,
    held: usize,
}

impl Window {
    const fn new() -> Self {
        Self { octets: WINDOW_OCTETS_FIRST, held: 0 }
    }

    fn takes(&self, octets: usize) -> bool {
        self.held == 0 || self.held + octets <= self.octets
    }

    /// So much has left.
    fn left(&mut self, octets: usize) {
        self.held = self.held.saturating_sub(octets);
        self.octets = (self.octets + octets).min(WINDOW_OCTETS_MAX);
    }

    /// The node says stop.
    fn stop(&mut self) {
        self.octets = (self.held / 2).max(WINDOW_OCTETS_FIRST);
    }
}

/// The model of one radio. Flights are numbered by the caller.
#[derive(Debug)]
pub(super) struct Pacing {
    bits_per_second: u64,
    turnaround: Duration,
    air_ahead: Duration,
    confirm_ahead: Duration,
    /// When the transmitter will have sent all unconfirmed data.
    busy_until: Instant,
    /// Unconfirmed flights in the order in which they leave.
    clocked: BTreeMap<(Instant, u64), ()>,
    /// Flights that await confirmation, with their time on air.
    confirming: BTreeMap<u64, Duration>,
    /// Octets of each flight, and whether it awaits confirmation.
    octets: BTreeMap<u64, (usize, bool)>,
    clocked_window: Window,
    confirm_window: Window,
    /// Urgent flights that exceed the budget.
    extra: BTreeSet<u64>,
    /// Short flights that await confirmation.
    short: BTreeSet<u64>,
    /// Since when the node may not transmit.
    frozen: Option<Instant>,
}

impl Pacing {
    pub(super) fn new(config: &RadioConfig) -> Self {
        Self {
            bits_per_second: u64::from(config.bits_per_second.max(1)),
            turnaround: config.turnaround,
            air_ahead: config.air_ahead,
            confirm_ahead: config.confirm_ahead,
            busy_until: Instant::ZERO,
            clocked: BTreeMap::new(),
            confirming: BTreeMap::new(),
            octets: BTreeMap::new(),
            clocked_window: Window::new(),
            confirm_window: Window::new(),
            extra: BTreeSet::new(),
            short: BTreeSet::new(),
            frozen: None,
        }
    }

    /// Time on air of a PDU sent once.
    pub(super) fn airtime(&self, octets: usize) -> Duration {
        let bits = (octets as u64).saturating_mul(8 * (100 + AIR_OVERHEAD_PERCENT)) / 100;
        Duration::from_micros(bits.saturating_mul(1_000_000) / self.bits_per_second)
    }

    /// Whether an offered PDU may be handed down.
    pub(super) fn verdict(&self, now: Instant, offer: Offer) -> Verdict {
        if self.frozen.is_some() {
            return Verdict::Wait;
        }
        let (airtime, urgent) = (self.airtime(offer.octets), offer.priority <= URGENT_PRIORITY_MAX);
        if urgent && self.extra.len() < URGENT_PDUS_MAX {
            return Verdict::Now;
        }
        if offer.confirm {
            let awaited: Duration = self.confirming.values().sum();
            let few = self.confirming.len() < CONFIRM_PDUS_MAX;
            let fits = few && awaited + airtime <= self.confirm_ahead && self.confirm_window.takes(offer.octets);
            let fits = fits || self.confirming.len() < CONFIRM_PDUS_MIN;
            let fits = fits || (is_short(offer) && self.short.len() < SHORT_PDUS_MAX);
            return if fits { Verdict::Now } else { Verdict::Wait };
        }
        if !self.clocked_window.takes(offer.octets) {
            return self.next_left().map_or(Verdict::Now, Verdict::At);
        }
        // Either it fits, or what is left is so little that the transmitter would stop: then one PDU of any size.
        let top_up = TOP_UP.min(self.air_ahead / 4);
        let at = self.busy_until - top_up.max(self.air_ahead.saturating_sub(airtime));
        if at <= now { Verdict::Now } else { Verdict::At(at) }
    }

    /// Whether nothing of this service is in the hands of the node.
    pub(super) fn is_idle(&self, now: Instant, confirm: bool) -> bool {
        if confirm { self.confirming.is_empty() } else { self.busy_until <= now }
    }

    /// A PDU was handed down.
    pub(super) fn hand(&mut self, now: Instant, flight: u64, offer: Offer, repeats: u8) {
        if self.verdict(now, Offer { priority: u8::MAX, ..offer }) != Verdict::Now {
            self.extra.insert(flight);
        }
        let airtime = self.airtime(offer.octets);
        self.octets.insert(flight, (offer.octets, offer.confirm));
        self.window(offer.confirm).held += offer.octets;
        if offer.confirm {
            self.confirming.insert(flight, airtime);
            if is_short(offer) {
                self.short.insert(flight);
            }
            return;
        }
        // ARQ data in the hands of the node shares the transmitter: what is not confirmed leaves half as fast.
        let share = if self.confirming.is_empty() { 1 } else { 2 };
        let start = if self.busy_until > now { self.busy_until } else { now + self.turnaround };
        self.busy_until = start + airtime.saturating_mul(share * (1 + u32::from(repeats)));
        self.clocked.insert((self.busy_until, flight), ());
    }

    /// A flight ended in another way than by leaving.
    pub(super) fn end(&mut self, now: Instant, flight: u64) {
        if let Some((octets, confirm)) = self.octets.remove(&flight) {
            self.window(confirm).left(octets);
        }
        self.confirming.remove(&flight);
        self.short.remove(&flight);
        self.clocked.retain(|&(_, other), ()| other != flight);
        self.extra.remove(&flight);
        let last = self.clocked.last_key_value().map_or(now, |(&(leaves, _), ())| leaves);
        self.busy_until = self.busy_until.min(last.max(now));
    }

    /// Takes one unconfirmed flight that has left by now.
    pub(super) fn pop_left(&mut self, now: Instant) -> Option<u64> {
        let (&(leaves, flight), ()) = self.clocked.first_key_value()?;
        if self.frozen.is_some() || leaves > now {
            return None;
        }
        self.clocked.pop_first();
        if let Some((octets, confirm)) = self.octets.remove(&flight) {
            self.window(confirm).left(octets);
        }
        self.extra.remove(&flight);
        Some(flight)
    }

    /// The node takes no more data of a service for now.
    pub(super) fn stop(&mut self, confirm: bool) {
        self.window(confirm).stop();
    }

    fn window(&mut self, confirm: bool) -> &mut Window {
        if confirm { &mut self.confirm_window } else { &mut self.clocked_window }
    }

    /// When the next unconfirmed flight will have left.
    pub(super) fn next_left(&self) -> Option<Instant> {
        let (&(leaves, _), ()) = self.clocked.first_key_value()?;
        self.frozen.is_none().then_some(leaves)
    }

    /// The node may or may not transmit. What it holds leaves later by as long as it was silent.
    pub(super) fn set_frozen(&mut self, now: Instant, frozen: bool) {
        match (self.frozen, frozen) {
            (None, true) => self.frozen = Some(now),
            (Some(since), false) => {
                let span = now.since(since);
                self.frozen = None;
                if self.busy_until > since {
                    self.busy_until = self.busy_until + span;
                }
                let clocked = std::mem::take(&mut self.clocked);
                self.clocked = clocked.into_keys().map(|(leaves, flight)| ((leaves + span, flight), ())).collect();
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Seconds of unconfirmed data, PDUs of unconfirmed data, PDUs that await confirmation.
    pub(super) fn depth(&self, now: Instant) -> (u64, usize, usize) {
        (self.busy_until.since(now).as_secs(), self.clocked.len(), self.confirming.len())
    }
}

/// Whether it is a line of chat or the like.
const fn is_short(offer: Offer) -> bool {
    offer.octets <= SHORT_OCTETS_MAX
}

#[cfg(test)]
mod tests {
    use skywave_protocols::s5066::address::NodeAddress;

    use super::*;

    const ROUTINE: Offer = Offer { priority: 8, octets: 268, confirm: false };
    const FLASH: Offer = Offer { priority: 2, ..ROUTINE };

    /// 300 bit/s: 268 octets take 8.004 s with what nodes add; so budgets of 8 s hold one.
    fn pacing() -> Pacing {
        let mut config = RadioConfig::new("node:5066", NodeAddress::individual(1));
        (config.turnaround, config.confirm_ahead) = (Duration::from_secs(2), Duration::from_secs(45));
        Pacing::new(&config)
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_large_pdu_waits_until_little_is_left() {
        let mut pacing = pacing();
        assert_eq!(pacing.verdict(at(100), ROUTINE), Verdict::Now);
        pacing.hand(at(100), 1, ROUTINE, 0);
        let Verdict::At(next) = pacing.verdict(at(100), ROUTINE) else { panic!() };
        assert_eq!(next.since(at(100)).as_secs(), 8, "2 s turnaround, 8 s on air, 2 s before the end");
        assert_eq!(pacing.verdict(next, ROUTINE), Verdict::Now);
        assert_eq!(pacing.pop_left(at(110)), None);
        assert_eq!(pacing.pop_left(at(111)), Some(1));
        assert!(pacing.is_idle(at(111), false));
    }

    #[test]
    fn small_pdus_fill_the_budget_and_repeats_count() {
        let mut pacing = pacing();
        let small = Offer { octets: 30, ..ROUTINE };
        let mut handed = 0;
        while pacing.verdict(at(1), small) == Verdict::Now {
            handed += 1;
            pacing.hand(at(1), handed, small, 0);
        }
        // 2 s turnaround and 0.896 s each stay within 8 s.
        assert_eq!(handed, 6);
        let mut pacing = super::tests::pacing();
        pacing.hand(at(1), 1, small, 3);
        assert_eq!((pacing.pop_left(at(6)), pacing.pop_left(at(7))), (None, Some(1)));
    }

    #[test]
    fn a_few_flashes_at_a_time_may_exceed() {
        let mut pacing = pacing();
        pacing.hand(at(1), 1, ROUTINE, 0);
        for flight in 2..2 + URGENT_PDUS_MAX as u64 {
            assert_eq!(pacing.verdict(at(1), FLASH), Verdict::Now);
            pacing.hand(at(1), flight, FLASH, 0);
        }
        assert!(matches!(pacing.verdict(at(1), FLASH), Verdict::At(_)));
        assert_eq!(pacing.pop_left(at(60)), Some(1));
        assert_eq!(pacing.pop_left(at(60)), Some(2));
        pacing.hand(at(60), 9, ROUTINE, 0);
        assert_eq!(pacing.verdict(at(60), FLASH), Verdict::Now);
    }

    #[test]
    fn confirmations_open_their_own_budget() {
        let mut pacing = pacing();
        let arq = Offer { confirm: true, octets: 600, ..ROUTINE };
        for flight in 0..2 {
            assert_eq!(pacing.verdict(at(1), arq), Verdict::Now, "{flight}");
            pacing.hand(at(1), flight, arq, 0);
        }
        assert_eq!(pacing.verdict(at(1000), arq), Verdict::Wait);
        assert_eq!(pacing.verdict(at(1000), ROUTINE), Verdict::Now, "a broadcast goes on");
        pacing.end(at(1000), 0);
        assert_eq!(pacing.verdict(at(1000), arq), Verdict::Now);
    }

    #[test]
    fn a_few_short_pdus_do_not_wait_for_the_confirmation_of_long_ones() {
        let mut pacing = pacing();
        let long = Offer { confirm: true, octets: 2_000, ..ROUTINE };
        let short = Offer { octets: 60, ..long };
        let mut flight = 0;
        let mut hand = |pacing: &mut Pacing, offer| {
            let may = pacing.verdict(at(1), offer) == Verdict::Now;
            if may {
                flight += 1;
                pacing.hand(at(1), flight, offer, 0);
            }
            may
        };
        while hand(&mut pacing, long) {}
        let passed = (0..10).filter(|_| hand(&mut pacing, short)).count();
        assert_eq!(passed, SHORT_PDUS_MAX);
        assert!(!hand(&mut pacing, Offer { octets: SHORT_OCTETS_MAX + 1, ..short }));
        pacing.end(at(2), flight);
        assert_eq!((pacing.verdict(at(2), short), pacing.verdict(at(2), long)), (Verdict::Now, Verdict::Wait));
    }

    #[test]
    fn octets_below_grow_by_what_has_left_and_shrink_when_the_node_says_stop() {
        let mut config = RadioConfig::new("node:5066", NodeAddress::individual(1));
        config.bits_per_second = 1_000_000;
        let mut pacing = Pacing::new(&config);
        let mut flight = 0;
        let mut fill = |pacing: &mut Pacing, confirm| {
            let offer = Offer { priority: 8, octets: 2048, confirm };
            let first = flight;
            while pacing.verdict(at(1), offer) == Verdict::Now {
                flight += 1;
                pacing.hand(at(1), flight, offer, 0);
            }
            flight - first
        };
        let first = (WINDOW_OCTETS_FIRST / 2048) as u64;
        assert_eq!((fill(&mut pacing, true), fill(&mut pacing, false)), (first, first));
        (1..=first).for_each(|confirmed| pacing.end(at(1), confirmed));
        assert_eq!(fill(&mut pacing, true), 2 * first, "all have left: twice as many may go");
        pacing.stop(true);
        assert_eq!(fill(&mut pacing, true), 0);
        while pacing.pop_left(at(100)).is_some() {}
        assert_eq!(fill(&mut pacing, false), 2 * first);
    }

    #[test]
    fn silence_stops_the_clock() {
        let mut pacing = pacing();
        pacing.hand(at(1), 1, ROUTINE, 0);
        pacing.set_frozen(at(2), true);
        assert_eq!((pacing.pop_left(at(500)), pacing.next_left()), (None, None));
        assert_eq!(pacing.verdict(at(500), FLASH), Verdict::Wait);
        pacing.set_frozen(at(1002), false);
        assert_eq!((pacing.pop_left(at(1011)), pacing.pop_left(at(1012))), (None, Some(1)));
    }

    #[test]
    fn a_flight_returned_frees_its_time() {
        let mut pacing = pacing();
        pacing.hand(at(1), 1, ROUTINE, 0);
        pacing.hand(at(1), 2, ROUTINE, 15);
        pacing.end(at(1), 2);
        assert_eq!((pacing.pop_left(at(12)), pacing.is_idle(at(12), false)), (Some(1), true));
    }
}

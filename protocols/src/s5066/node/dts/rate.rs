//! Segment size and data rate by what arrives (issue: adapted to observed frame errors; our own scheme).
//!
//! A pure machine for one direction to one node. It is told how many segments each acknowledgement found missing and
//! which answers never came. It goes one rate down when most is lost, and one up after some transmissions of which
//! anything arrived: in bursts a segment is lost by the time it takes, so that slower is worse, and a loss is no reason not
//! to try what is faster. Each step up that failed doubles how many it takes for the next, up to a bound, and one that
//! succeeded begins at few again.
//! Answers that never come speak of collisions too, and of nobody being there: then it goes down rate by rate, begins again
//! at the rate that had held when the slowest brought none either, and each answer is a step back to that rate.
//! Receivers that find the rate by themselves need no
//! handshake: the sender just changes (C.6.4), and says so in an advisory orderwire message, so that the other end answers
//! at the same rate: who only acknowledges would never learn that its answers are lost.
//!
//! Promises: the same reports give the same answers; sizes stay within what is configured.

use super::limits::MISSES_BEFORE_PROBE;
use crate::s5066::node::dpdu::eow::{Eow, EowMessage, Interleaver, RATES, RateChange};

/// A data rate, in bit/s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub struct Rate(pub u32);

/// Segments below which no loss is concluded from; those of several acknowledgements are counted together, as a chat line
/// is one segment.
const SEGMENTS_MIN: u32 = 2;
/// More than so many of a hundred lost: one rate down. Half the rate without loss would carry more.
const LOSS_DOWN_PERCENT: u32 = 60;
/// Transmissions that bring anything before a step up, at first and at most: a failed step costs a short transmission and
/// an answer that does not come, so that trying after every dozen costs little, and the end of a long fade is found.
const CREDIT_FIRST: u32 = 3;
const CREDIT_MOST: u32 = 12;
/// Segments told of that count like a transmission more.
const CREDIT_SEGMENTS: u32 = 8;
/// How much a report of many segments counts against what was known, in hundredths; fewer segments count less.
const WEIGHT_PERCENT: u32 = 30;
/// Segments of a report that counts in full.
const WEIGHT_SEGMENTS: u32 = 8;
/// Reports are kept in mind until so many segments were counted; then the older half fades.
const QUALITY_SEGMENTS: u32 = 256;

/// Segments sent and lost lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Quality {
    /// Segments whose fate is known.
    pub sent: u32,
    /// Those that had not arrived.
    pub lost: u32,
}

/// Chooses segment size and rate for one direction.
#[derive(Clone, Debug)]
pub struct RateControl {
    /// How many rates there are.
    rates: usize,
    rate: usize,
    /// Transmissions that brought anything, and how many it takes for a step up.
    credit: u32,
    credit_needed: u32,
    /// Segments told and missed that were too few to conclude from.
    few: (u32, u32),
    /// The last step was up and has not proved itself.
    trial: bool,
    /// A rate that held until answers were missing, as when two transmit at once, or until the other end advised a slower
    /// one: each transmission that brings anything is a step back to it.
    held: usize,
    /// The place of the rate of the last transmission.
    used: usize,
    /// Estimated loss per octet on the air.
    octet_loss: f64,
    quality: Quality,
    silences: u32,
}

impl RateControl {
    /// Begins with the rate at this place of so many, slowest first.
    pub const fn new(rates: usize, rate: usize) -> Self {
        Self {
            rates,
            rate: if rate < rates || rates == 0 { rate } else { rates - 1 },
            credit: 0,
            credit_needed: CREDIT_FIRST,
            few: (0, 0),
            trial: false,
            held: 0,
            used: usize::MAX,
            octet_loss: 0.0,
            quality: Quality { sent: 0, lost: 0 },
            silences: 0,
        }
    }

    /// The place of the rate to be used.
    pub const fn rate(&self) -> usize {
        self.rate
    }

    /// Whether the rate was raised and has not proved itself.
    pub const fn is_on_trial(&self) -> bool {
        self.trial
    }

    /// What was seen lately.
    pub const fn quality(&self) -> Quality {
        self.quality
    }

    /// An acknowledgement told the fate of `tried` segments with `octets` in all, besides `overhead` octets each.
    //= s5066/DTS-019
    pub fn acknowledged(&mut self, tried: u32, missed: u32, octets: usize, overhead: usize) {
        self.silences = 0;
        if tried == 0 {
            return;
        }
        let missed = missed.min(tried);
        self.quality.sent += tried;
        self.quality.lost += missed;
        if self.quality.sent > QUALITY_SEGMENTS {
            (self.quality.sent, self.quality.lost) = (self.quality.sent / 2, self.quality.lost / 2);
        }
        self.estimate(tried, missed, octets as f64 / f64::from(tried) + overhead as f64);
        let (told, lost) = (tried + self.few.0, missed + self.few.1);
        let enough = told >= SEGMENTS_MIN;
        self.few = if enough { (0, 0) } else { (told, lost) };
        // Slower than the slowest there is nothing.
        if enough && self.rate > 0 && lost * 100 > told * LOSS_DOWN_PERCENT {
            return self.down();
        }
        if missed == tried {
            return;
        }
        // What was heard for long says more.
        self.credit += 1 + tried / CREDIT_SEGMENTS;
        if std::mem::take(&mut self.trial) {
            // The channel is better than it was when steps failed: as long as steps succeed they follow each other.
            (self.credit, self.credit_needed) = (CREDIT_FIRST, CREDIT_FIRST);
        }
        if self.rate < self.held || self.credit >= self.credit_needed {
            self.up();
        }
    }

    /// An answer did not come.
    pub fn missed(&mut self) {
        self.silences += 1;
        // One silence may be a lost acknowledgement; more speak of the rate, or of nobody being there.
        if !self.trial && self.silences < MISSES_BEFORE_PROBE {
            return;
        }
        self.silences = 0;
        if self.trial {
            return self.down();
        }
        self.held = self.held.max(self.rate);
        if self.rate == 0 {
            // Nobody is there: slower does not help, and takes the air from others.
            (self.rate, self.few) = (self.held, (0, 0));
        } else {
            self.down();
        }
    }

    /// A transmission went at the rate that is to be used.
    pub const fn note_used(&mut self) {
        self.used = self.rate;
    }

    /// The other end advises a rate: the fastest of ours that is no faster is taken. Whether that changes anything.
    pub fn advised(&mut self, rates: &[Rate], change: RateChange) -> bool {
        let Some(&advised) = RATES.get(usize::from(change.rate)).filter(|_| !rates.is_empty()) else { return false };
        let rate = rates.iter().rposition(|rate| rate.0 <= advised).unwrap_or(0).min(self.rates.saturating_sub(1));
        // Who answers at the rate that we used last only says so; meanwhile we may have stepped up.
        let changed = rate != self.rate && rate != self.used;
        if changed {
            if rate < self.rate && !self.trial {
                // Its way here is not ours to it.
                self.held = self.held.max(self.rate);
            }
            (self.trial, self.rate, self.credit) = (rate > self.rate, rate, 0);
        }
        changed
    }

    /// Octets of a segment that carry most at the observed loss, between `least` and `most`.
    //= s5066/DTS-019
    pub fn segment_octets(&self, overhead: usize, least: usize, most: usize) -> usize {
        if self.octet_loss <= 0.0 {
            return most;
        }
        // The maximum of L / (L + h) · (1 − q)^(L + h) over L, for small q: L² + h L = h / q.
        let overhead = overhead as f64;
        let best = ((overhead * overhead + 4.0 * overhead / self.octet_loss).sqrt() - overhead) / 2.0;
        (best as usize).clamp(least.min(most), most)
    }

    fn estimate(&mut self, tried: u32, missed: u32, octets: f64) {
        let lost = f64::from(missed) / f64::from(tried);
        // −ln(1 − p) by its simplest fraction, which no mathematical library computes differently.
        let sample = 2.0 * lost / (2.0 - lost) / octets.max(1.0);
        let weight =
            f64::from(WEIGHT_PERCENT) / 100.0 * f64::from(tried.min(WEIGHT_SEGMENTS)) / f64::from(WEIGHT_SEGMENTS);
        self.octet_loss += (sample - self.octet_loss) * weight;
        // So little costs nothing even in the longest segments.
        if self.octet_loss < 1e-7 {
            self.octet_loss = 0.0;
        }
    }

    fn up(&mut self) {
        (self.credit, self.few) = (0, (0, 0));
        if self.rate + 1 < self.rates {
            self.rate += 1;
            self.trial = true;
        }
    }

    fn down(&mut self) {
        (self.credit, self.few) = (0, (0, 0));
        self.rate = self.rate.saturating_sub(1);
        if !std::mem::take(&mut self.trial) {
            return;
        }
        // It may have been a collision as well: what held is believed half as much.
        self.held = usize::midpoint(self.held, self.rate);
        if self.held <= self.rate {
            self.held = 0;
            self.credit_needed = (self.credit_needed * 2).min(CREDIT_MOST);
        }
    }
}

/// The orderwire message that says the rate at this place, if there is one and the standard has a code for it.
pub(super) fn advisory(rates: &[Rate], place: usize) -> Eow {
    // The interleaver is the modem's affair: autobaud receivers find it too.
    let change = rates.get(place).and_then(|&rate| advice(rate, Interleaver::Short));
    change.map_or(Eow::NONE, |change| EowMessage::RateChange(change).into())
}

/// The advice to use a rate, if the table of the standard has it.
pub fn advice(rate: Rate, interleaver: Interleaver) -> Option<RateChange> {
    let code = RATES.iter().position(|&known| known == rate.0)?;
    let rate = u8::try_from(code).ok()?;
    Some(RateChange { rate, interleaver, advisory: true, same_both_ways: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random as _, Seeded};

    const OVERHEAD: usize = 17;

    #[test]
    fn segments_shrink_with_loss_and_grow_back() {
        let mut control = RateControl::new(1, 0);
        assert_eq!(control.segment_octets(OVERHEAD, 48, 1023), 1023);
        for _ in 0..20 {
            control.acknowledged(20, 6, 20 * 200, OVERHEAD);
        }
        let lossy = control.segment_octets(OVERHEAD, 48, 1023);
        assert!((80..130).contains(&lossy), "{lossy}");
        for _ in 0..200 {
            control.acknowledged(20, 0, 20 * 200, OVERHEAD);
        }
        assert_eq!(control.segment_octets(OVERHEAD, 48, 1023), 1023);
        for _ in 0..20 {
            control.acknowledged(9, 9, 900, OVERHEAD);
        }
        assert_eq!(control.segment_octets(OVERHEAD, 48, 1023), 48);
    }

    #[test]
    fn the_rate_settles_where_the_channel_holds() {
        // A channel that carries places 0 to 3 and nothing above.
        let mut control = RateControl::new(6, 1);
        let mut above = 0;
        for _ in 0..200 {
            let carries = control.rate() <= 3;
            above += u32::from(!carries);
            if carries {
                control.acknowledged(10, 0, 2000, OVERHEAD)
            } else {
                control.acknowledged(10, 9, 2000, OVERHEAD)
            }
        }
        // Each of them is a short one.
        assert!(control.rate() >= 2 && above < 32, "{above} of 200 transmissions were too fast");
        // It goes dead: down to the slowest, and from the start again. When it is back, what held before is soon reached.
        let held = control.rate().min(3);
        let mut slowest = 0;
        (0..40).for_each(|_| {
            control.missed();
            slowest += u32::from(control.rate() == 0);
        });
        assert!((1..30).contains(&slowest), "{slowest}: down to the slowest, and not for ever");
        while control.rate() > 0 {
            control.missed();
        }
        (0..held).for_each(|_| control.acknowledged(4, 0, 800, OVERHEAD));
        assert_eq!(control.rate(), held, "each answer is a step back");
    }

    /// Lines of one segment each say by and by what one of many segments says at once.
    #[test]
    fn short_messages_raise_the_rate_too() {
        let mut control = RateControl::new(3, 0);
        let told = (0..).take_while(|_| {
            control.acknowledged(1, 0, 80, OVERHEAD);
            control.rate() < 2
        });
        assert!(told.count() <= 2 * CREDIT_FIRST as usize);
        control.acknowledged(1, 1, 80, OVERHEAD);
        assert_eq!(control.rate(), 2, "one is not enough to conclude from");
        control.acknowledged(1, 1, 80, OVERHEAD);
        assert_eq!(control.rate(), 1);
    }

    /// What held before does so no longer: it settles at the fastest that does, and seldom tries what does not.
    #[test]
    fn in_a_fade_the_rate_below_is_found() {
        let mut control = RateControl::new(5, 4);
        for _ in 0..60 {
            if control.rate() <= 1 { control.acknowledged(4, 0, 800, OVERHEAD) } else { control.missed() }
        }
        let mut above = 0;
        for _ in 0..60 {
            above += u32::from(control.rate() > 1);
            if control.rate() <= 1 { control.acknowledged(4, 0, 800, OVERHEAD) } else { control.missed() }
        }
        assert!(control.rate() >= 1 && above <= 12, "{above} of 60");
    }

    /// Bursts of 2.4 s, 5 % of the time, and single blocks lost: what a segment loses grows with the seconds it takes.
    struct Bursts {
        random: Seeded,
        bad: bool,
    }

    impl Bursts {
        const BLOCK_MILLISECONDS: u64 = 600;

        fn pass(&mut self, milliseconds: u64) -> bool {
            (0..milliseconds.div_ceil(Self::BLOCK_MILLISECONDS)).fold(false, |lost, _| {
                let change = if self.bad { 250_000 } else { 13_158 };
                self.bad ^= self.random.chance(change);
                lost | self.bad | self.random.chance(5_000)
            })
        }
    }

    const RATES: [u64; 5] = [75, 300, 600, 1200, 2400];

    /// So many reports of so many segments each over bursts and above `fastest` nothing, with some answers lost: the rate
    /// after each, and the bits carried in a second on the air.
    fn reports(control: &mut RateControl, seed: u64, segments: u32, fastest: usize, count: usize) -> (Vec<usize>, u64) {
        let mut bursts = Bursts { random: Seeded::new(seed), bad: false };
        let (mut places, mut bits, mut milliseconds) = (Vec::new(), 0, 1);
        for _ in 0..count {
            let (place, rate) = (control.rate(), RATES[control.rate()]);
            let usual = (rate * 5 / 8).clamp(210, 1_023) as usize;
            let octets = control.segment_octets(OVERHEAD, (rate as usize * 6 / 80).max(48), usual);
            let tried = if control.is_on_trial() { segments.min(8) } else { segments };
            let each = (octets + OVERHEAD) as u64 * 8_000 / rate;
            let lost = |bursts: &mut Bursts| place > fastest || bursts.pass(each);
            let missed = (0..tried).filter(|_| lost(&mut bursts)).count() as u32;
            milliseconds += u64::from(tried) * each + 3_000;
            if missed == tried || bursts.pass(Bursts::BLOCK_MILLISECONDS * 2) {
                control.missed();
            } else {
                bits += u64::from(tried - missed) * octets as u64 * 8;
                control.acknowledged(tried, missed, tried as usize * octets, OVERHEAD);
            }
            places.push(control.rate());
        }
        (places, bits * 1000 / milliseconds)
    }

    /// A loss is no reason to go slower where what goes slower is lost more often. Segments of a report; reports after
    /// which the fastest of five is reached from the slowest; share of reports at the two fastest then, in hundredths; bits
    /// in a second, all at least or at most so in the mean of 20 seeds.
    #[test]
    fn in_bursts_the_rate_rises_whatever_a_report_holds() {
        for (segments, reached, fast, carried) in
            [(1, 24, 75, 400), (2, 16, 85, 600), (4, 12, 90, 800), (8, 8, 95, 1_100)]
        {
            let (mut until, mut high, mut bits) = (0, 0, 0);
            for seed in 0..20 {
                let mut control = RateControl::new(RATES.len(), 0);
                let (first, _) = reports(&mut control, seed, segments, 4, 100);
                until += first.iter().position(|place| *place == 4).unwrap_or(first.len()) + 1;
                let (places, each) = reports(&mut control, seed + 100, segments, 4, 400);
                high += places.iter().filter(|place| **place >= 3).count();
                bits += each;
            }
            let (until, high, bits) = (until / 20, high * 100 / (20 * 400), bits / 20);
            assert!(until <= reached && high >= fast && bits >= carried, "{segments}: {until} {high} % {bits} bit/s");
        }
    }

    /// A fade that lets 300 bit/s through, bursts in it: it is kept to, with tries now and then.
    #[test]
    fn in_bursts_and_a_fade_the_rate_below_is_kept() {
        for (segments, fast, slowest) in [(1, 45, 45), (2, 25, 25), (4, 20, 20), (8, 15, 15)] {
            let (mut above, mut least) = (0, 0);
            for seed in 0..20 {
                let mut control = RateControl::new(RATES.len(), 4);
                reports(&mut control, seed, segments, 1, 40);
                let (places, _) = reports(&mut control, seed + 100, segments, 1, 400);
                above += places.iter().filter(|place| **place > 1).count();
                least += places.iter().filter(|place| **place == 0).count();
            }
            let (above, least) = (above * 100 / (20 * 400), least * 100 / (20 * 400));
            assert!(above <= fast && least <= slowest, "{segments}: {above} % too fast, {least} % too slow");
        }
    }

    #[test]
    fn advice_is_taken() {
        let rates = [Rate(75), Rate(300), Rate(1200), Rate(9600)];
        let mut control = RateControl::new(rates.len(), 0);
        let advice = |rate| advice(Rate(rate), Interleaver::Short).unwrap();
        assert!(control.advised(&rates, advice(2400)) && !control.advised(&rates, advice(2400)));
        assert_eq!(control.rate(), 2);
        assert!(control.advised(&rates, advice(150)));
        assert_eq!(control.rate(), 0);
        // An answer at the rate that we used before a step up does not take it back.
        control.note_used();
        for _ in 0..CREDIT_FIRST {
            control.acknowledged(2, 0, 400, OVERHEAD);
        }
        assert!(control.is_on_trial() && !control.advised(&rates, advice(75)));
        assert_eq!(control.rate(), 1);
        assert!(super::advice(Rate(12_000), Interleaver::Short).is_none());
    }
}

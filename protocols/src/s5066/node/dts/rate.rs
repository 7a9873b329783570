//! Segment size and data rate by what arrives (issue: adapted to observed frame errors; our own scheme).
//!
//! A pure machine for one direction to one node. It is told how many segments each acknowledgement found missing and
//! which answers never came. It goes one rate down when much is lost, and one up after some clean transmissions; each
//! step up that failed doubles how many it takes for the next, up to a bound, and one that succeeded begins at few again.
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

/// Segments below which nothing is concluded about the rate; those of several acknowledgements are counted together, as a
/// chat line is one segment.
const SEGMENTS_MIN: u32 = 2;
/// More than so many of a hundred lost: one rate down. Half the rate without loss would carry as much.
const LOSS_DOWN_PERCENT: u32 = 45;
/// Fewer than so many of a hundred lost: a clean transmission.
const LOSS_CLEAN_PERCENT: u32 = 8;
/// Clean transmissions before a step up, at first and at most: a failed step costs a short transmission and an answer that
/// does not come, so that trying after every dozen costs little, and the end of a long fade is found.
const CLEAN_FIRST: u32 = 3;
const CLEAN_MOST: u32 = 12;
/// Clean segments that count like a clean transmission more.
const CLEAN_SEGMENTS: u32 = 8;
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
    clean: u32,
    clean_needed: u32,
    /// Segments told and missed that were too few to conclude from.
    few: (u32, u32),
    /// The last step was up and has not proved itself.
    trial: bool,
    /// A rate that held until answers were missing, as when two transmit at once: each clean one is a step back to it.
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
            clean: 0,
            clean_needed: CLEAN_FIRST,
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
        let (tried, missed) = (tried + self.few.0, missed + self.few.1);
        if tried < SEGMENTS_MIN {
            self.few = (tried, missed);
            return;
        }
        self.few = (0, 0);
        if missed * 100 > tried * LOSS_DOWN_PERCENT {
            self.down();
        } else if missed * 100 < tried * LOSS_CLEAN_PERCENT {
            // What was clean for long says more.
            self.clean += 1 + tried / CLEAN_SEGMENTS;
            if std::mem::take(&mut self.trial) {
                // The channel is better than it was when steps failed: as long as steps succeed they follow each other.
                self.clean_needed = CLEAN_FIRST;
                self.clean = CLEAN_FIRST;
            }
            if self.rate < self.held || self.clean >= self.clean_needed {
                self.up();
            }
        } else {
            self.clean = 0;
        }
    }

    /// An answer did not come.
    pub fn missed(&mut self) {
        self.silences += 1;
        self.clean = 0;
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
            (self.trial, self.rate, self.clean) = (rate > self.rate, rate, 0);
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
        (self.clean, self.few) = (0, (0, 0));
        if self.rate + 1 < self.rates {
            self.rate += 1;
            self.trial = true;
        }
    }

    fn down(&mut self) {
        (self.clean, self.few) = (0, (0, 0));
        self.rate = self.rate.saturating_sub(1);
        if !std::mem::take(&mut self.trial) {
            return;
        }
        // It may have been a collision as well: what held is believed half as much.
        self.held = usize::midpoint(self.held, self.rate);
        if self.held <= self.rate {
            self.held = 0;
            self.clean_needed = (self.clean_needed * 2).min(CLEAN_MOST);
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
        assert!(told.count() <= 4 * CLEAN_FIRST as usize);
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
        for _ in 0..CLEAN_FIRST {
            control.acknowledged(2, 0, 400, OVERHEAD);
        }
        assert!(control.is_on_trial() && !control.advised(&rates, advice(75)));
        assert_eq!(control.rate(), 1);
        assert!(super::advice(Rate(12_000), Interleaver::Short).is_none());
    }
}

//! Which interleaver blocks a receiver loses: independently, in bursts, or both.
//!
//! A burst is the two-state process of Gilbert: in the bad state every block is lost, in the good state none; the state
//! changes between blocks and goes on changing while nobody transmits. All numbers are parts per million, all
//! arithmetic is on integers, so a seed means the same everywhere.

use skywave_protocols::random::{Random as _, Seeded};

use super::limits::BURST_STEPS_MAX;

/// How blocks are lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Loss {
    /// Probability that a block is lost by itself.
    pub single_per_million: u32,
    /// Losses in bursts.
    pub burst: Option<Burst>,
}

/// Losses in bursts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Burst {
    /// Share of blocks lost in the long run; below 1,000,000.
    pub loss_per_million: u32,
    /// Mean length of a burst in blocks; at least 1.
    pub mean_blocks: u32,
}

impl Burst {
    /// Chance of leaving the bad state between two blocks.
    fn leave(self) -> u32 {
        1_000_000 / self.mean_blocks.max(1)
    }

    /// Chance of entering it: chosen so that the bad state has its share in the long run.
    fn enter(self) -> u32 {
        let good = u64::from(1_000_000_u32.saturating_sub(self.loss_per_million)).max(1);
        let chance = u64::from(self.leave()) * u64::from(self.loss_per_million) / good;
        u32::try_from(chance.min(1_000_000)).unwrap_or(1_000_000)
    }
}

/// What one receiver loses.
#[derive(Clone, Debug)]
pub struct LossProcess {
    loss: Loss,
    random: Seeded,
    bad: bool,
    block: Option<u64>,
}

impl LossProcess {
    /// The process of one receiver.
    pub const fn new(loss: Loss, random: Seeded) -> Self {
        Self { loss, random, bad: false, block: None }
    }

    /// Whether the block with this number (counted in block lengths since the channel began, ascending) is lost.
    pub fn is_lost(&mut self, block: u64) -> bool {
        let single = self.loss.single_per_million > 0 && self.random.chance(self.loss.single_per_million);
        let burst = self.loss.burst.is_some_and(|burst| self.advance(burst, block));
        single || burst
    }

    fn advance(&mut self, burst: Burst, block: u64) -> bool {
        let steps = self.block.map_or(u64::MAX, |last| block.saturating_sub(last));
        if steps > BURST_STEPS_MAX {
            self.bad = self.random.chance(burst.loss_per_million);
        } else {
            for _ in 0..steps {
                let change = if self.bad { burst.leave() } else { burst.enter() };
                self.bad ^= self.random.chance(change);
            }
        }
        self.block = Some(block);
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(loss: Loss, step: u64) -> (u32, u32) {
        let mut process = LossProcess::new(loss, Seeded::new(3));
        let (mut lost, mut runs, mut before) = (0, 0, false);
        for block in 0..200_000_u64 {
            let now = process.is_lost(block * step);
            lost += u32::from(now);
            runs += u32::from(now && !before);
            before = now;
        }
        (lost, runs)
    }

    #[test]
    fn losses_have_the_share_and_length_asked_for() {
        let burst = |loss, mean| Loss {
            single_per_million: 0,
            burst: Some(Burst { loss_per_million: loss, mean_blocks: mean }),
        };
        let rows = [
            (Loss::default(), 1, 0.0, 0.0),
            (Loss { single_per_million: 100_000, burst: None }, 1, 0.10, 1.11),
            (burst(100_000, 3), 1, 0.10, 3.0),
            (burst(100_000, 10), 1, 0.10, 10.0),
            (burst(300_000, 5), 1, 0.30, 5.0),
            (burst(100_000, 3), 1000, 0.10, 1.11),
        ];
        for (loss, step, share, length) in rows {
            let (lost, runs) = lost(loss, step);
            let is = f64::from(lost) / 200_000.0;
            assert!((is - share).abs() < 0.012, "{loss:?}: {is} of the blocks lost, not {share}");
            let mean = f64::from(lost) / f64::from(runs.max(1));
            assert!((mean - length).abs() < 0.6, "{loss:?}: bursts of {mean} blocks, not {length}");
        }
    }
}

//! How long things take on the air: rates, interleavers, preambles.
//!
//! The serial waveforms of MIL-STD-188-110 and STANAG 4539, as far as timing goes. A transmission takes key-up, preamble
//! and whole interleaver blocks; the last block is padded. Rates above 9600 bit/s stand for wide-band waveforms, those
//! above 240,000 bit/s for nothing that exists: they let tests run without waiting.

use serde::{Deserialize, Serialize};
use skywave_protocols::time::Duration;

/// The rates of the 3 kHz serial waveforms, in bit/s.
pub const HF_RATES: [u32; 11] = [75, 150, 300, 600, 1200, 2400, 3200, 4800, 6400, 8000, 9600];
/// Highest rate accepted, in bit/s.
pub const BITS_PER_SECOND_MAX: u32 = 1_000_000_000;
/// End-of-message pattern and flush of the coder, in bits.
const END_OF_MESSAGE_BITS: u32 = 32 + 144;
/// Key-up of transmitter and power amplifier.
const KEY_UP: Duration = Duration::from_millis(150);

/// How deep octets are spread over time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interleaver {
    /// None; losses still fall on short stretches of 0.12 s.
    Zero,
    /// About 0.12 s (3200 bit/s and above).
    UltraShort,
    /// About 0.36 s (3200 to 9600 bit/s).
    VeryShort,
    /// 0.6 s up to 2400 bit/s, 1.08 s up to 9600.
    #[default]
    Short,
    /// 2.15 s (3200 bit/s and above).
    Medium,
    /// 4.8 s up to 2400 bit/s, 4.3 s up to 9600.
    Long,
    /// 8.61 s (3200 to 9600 bit/s).
    VeryLong,
}

/// A rate and interleaver that do not go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WaveformFault {
    /// No waveform has the rate.
    #[error("{0} bit/s is no HF rate")]
    Rate(u32),
    /// The waveform has no such interleaver.
    #[error("there is no {interleaver:?} interleaver at {bits_per_second} bit/s")]
    Interleaver {
        /// The rate.
        bits_per_second: u32,
        /// The interleaver.
        interleaver: Interleaver,
    },
}

/// One mode of a modem.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waveform {
    /// User data rate.
    pub bits_per_second: u32,
    /// Its interleaver.
    pub interleaver: Interleaver,
    /// From keying to the first symbol; range 0.02 to 1 s.
    pub key_up: Duration,
    /// From the first symbol to the first data symbol.
    pub preamble: Duration,
    /// One interleaver block.
    pub block: Duration,
    /// Bits the modem adds to the data.
    pub end_of_message_bits: u32,
}

impl Waveform {
    /// The waveform of a rate and interleaver, with the usual key-up.
    ///
    /// # Errors
    /// [`WaveformFault`] when there is none.
    pub fn new(bits_per_second: u32, interleaver: Interleaver) -> Result<Self, WaveformFault> {
        if !(HF_RATES.contains(&bits_per_second) || (9601..=BITS_PER_SECOND_MAX).contains(&bits_per_second)) {
            return Err(WaveformFault::Rate(bits_per_second));
        }
        let (preamble_us, block_us) = match bits_per_second {
            ..=2400 => serial_low(interleaver),
            2401..=9600 => serial_high(interleaver),
            9601..=240_000 => wide_band(interleaver),
            _ => Some((20_000, 20_000)),
        }
        .ok_or(WaveformFault::Interleaver { bits_per_second, interleaver })?;
        Ok(Self {
            bits_per_second,
            interleaver,
            key_up: KEY_UP,
            preamble: Duration::from_micros(preamble_us),
            block: Duration::from_micros(block_us),
            end_of_message_bits: END_OF_MESSAGE_BITS,
        })
    }

    /// Bits that one interleaver block carries; at least 1.
    pub fn block_bits(&self) -> u64 {
        let micros = u64::try_from(self.block.as_micros()).unwrap_or(u64::MAX);
        // Rounded to the nearest: 2.1525 s must not lose a bit to the division.
        (u64::from(self.bits_per_second).saturating_mul(micros).saturating_add(500_000) / 1_000_000).max(1)
    }

    /// Interleaver blocks that `octets` fill, the last one padded.
    pub fn blocks(&self, octets: usize) -> u64 {
        let bits = (octets as u64).saturating_mul(8).saturating_add(u64::from(self.end_of_message_bits));
        bits.div_ceil(self.block_bits()).max(1)
    }

    /// Time on the air of a transmission of `octets`, from keying to the end.
    pub fn airtime(&self, octets: usize) -> Duration {
        let blocks = u32::try_from(self.blocks(octets)).unwrap_or(u32::MAX);
        self.key_up + self.preamble + self.block.saturating_mul(blocks)
    }

    /// Octets that fit into a transmission of at most `limit`; 0 when not even one block does.
    pub fn octets_within(&self, limit: Duration) -> usize {
        let left = limit.saturating_sub(self.key_up + self.preamble).as_micros();
        let blocks = u64::try_from(left / self.block.as_micros().max(1)).unwrap_or(u64::MAX);
        let bits = blocks.saturating_mul(self.block_bits()).saturating_sub(u64::from(self.end_of_message_bits));
        usize::try_from(bits / 8).unwrap_or(usize::MAX)
    }
}

/// Preamble and block in microseconds, 75 to 2400 bit/s.
fn serial_low(interleaver: Interleaver) -> Option<(u64, u64)> {
    match interleaver {
        Interleaver::Zero => Some((600_000, 119_600)),
        Interleaver::Short => Some((600_000, 600_000)),
        Interleaver::Long => Some((4_800_000, 4_800_000)),
        Interleaver::UltraShort | Interleaver::VeryShort | Interleaver::Medium | Interleaver::VeryLong => None,
    }
}

/// 3200 to 9600 bit/s: 1, 3, 9, 18, 36 or 72 frames of 287 symbols at 2400 symbols/s.
fn serial_high(interleaver: Interleaver) -> Option<(u64, u64)> {
    let block = match interleaver {
        Interleaver::Zero => return None,
        Interleaver::UltraShort => 119_600,
        Interleaver::VeryShort => 358_800,
        Interleaver::Short => 1_076_300,
        Interleaver::Medium => 2_152_500,
        Interleaver::Long => 4_305_000,
        Interleaver::VeryLong => 8_610_000,
    };
    Some((250_000, block))
}

/// STANAG 5069 up to 240 kbit/s: one super-frame of preamble.
fn wide_band(interleaver: Interleaver) -> Option<(u64, u64)> {
    match interleaver {
        Interleaver::UltraShort => Some((240_000, 120_000)),
        Interleaver::Short => Some((240_000, 480_000)),
        Interleaver::Medium => Some((240_000, 1_920_000)),
        Interleaver::Long => Some((240_000, 7_680_000)),
        Interleaver::Zero | Interleaver::VeryShort | Interleaver::VeryLong => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: u32 = 0;

    fn airtime(rate: u32, interleaver: Interleaver, end_bits: u32, octets: usize) -> f64 {
        let waveform = Waveform { end_of_message_bits: end_bits, ..Waveform::new(rate, interleaver).unwrap() };
        (waveform.airtime(octets).as_secs_f64() * 100.0).round() / 100.0
    }

    #[test]
    fn airtime_agrees_with_the_computed_limits() {
        // Section 6 of the performance anchors: application octets and 30 of framing, seconds one way.
        let rows = [(75, 30, 9.75), (75, 12, 7.95), (1200, 30, 1.35), (9600, 30, 1.48)];
        for (rate, octets, seconds) in rows {
            let is = airtime(rate, Interleaver::Short, END_OF_MESSAGE_BITS, octets + 30);
            assert!((is - seconds).abs() < 0.011, "{rate} bit/s, {octets} octets: {is} s, not {seconds}");
        }
    }

    #[test]
    fn airtime_follows_the_formula_of_modem_timing() {
        // Section "HF modem timing": one block of 90 octets at 1200 bit/s; one octet with the long interleaver.
        let rows = [
            (1200, Interleaver::Short, 70, 0.15 + 0.6 + 0.6),
            (1200, Interleaver::Short, 90, 0.15 + 0.6 + 0.6),
            (1200, Interleaver::Short, 91, 0.15 + 0.6 + 1.2),
            (1200, Interleaver::Long, 1, 0.15 + 4.8 + 4.8),
            (75, Interleaver::Short, 200, 0.15 + 0.6 + 36.0 * 0.6),
            (9600, Interleaver::VeryLong, 1, 0.15 + 0.25 + 8.61),
            (9600, Interleaver::UltraShort, 143, 0.15 + 0.25 + 0.1196),
        ];
        for (rate, interleaver, octets, seconds) in rows {
            let is = airtime(rate, interleaver, PLAIN, octets);
            assert!((is - seconds).abs() < 0.011, "{rate} {interleaver:?} {octets}: {is} s, not {seconds}");
        }
    }

    #[test]
    fn octets_within_is_the_inverse_of_airtime() {
        for rate in HF_RATES.into_iter().chain([64_000, 1_000_000]) {
            let waveform = Waveform::new(rate, Interleaver::Short).unwrap();
            for seconds in [1, 2, 8, 30, 127] {
                let limit = Duration::from_secs(seconds);
                let octets = waveform.octets_within(limit);
                assert!(octets == 0 || waveform.airtime(octets) <= limit);
                assert!(waveform.airtime(octets + 1) > limit, "{rate} {seconds}");
            }
        }
    }

    #[test]
    fn what_no_modem_has_is_refused() {
        assert_eq!(Waveform::new(1000, Interleaver::Short), Err(WaveformFault::Rate(1000)));
        assert_eq!(Waveform::new(0, Interleaver::Short), Err(WaveformFault::Rate(0)));
        assert!(Waveform::new(75, Interleaver::VeryLong).is_err());
        assert!(Waveform::new(9600, Interleaver::Zero).is_err());
    }
}

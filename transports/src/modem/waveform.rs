//! How long things take on the air: rates, interleavers, preambles.
//!
//! The serial waveforms of MIL-STD-188-110, STANAG 4539 and STANAG 4285, as far as timing goes. A transmission takes key-up,
//! preamble, where there is one that of a crypto, and whole interleaver blocks; the last block is padded. The wide-band waveforms of STANAG 5069 have bandwidths of 3 to
//! 48 kHz; a rate above 12,800 bit/s without a bandwidth stands for one of them, above 240,000 bit/s for nothing that
//! exists: such rates let tests run without waiting. The tables and what they rest on: `docs/src/radio-model.md`.

use serde::{Deserialize, Serialize};
use skywave_protocols::time::Duration;

mod tables;

pub use tables::{BANDWIDTHS_KHZ, BITS_PER_SECOND_MAX, HF_RATES, STANAG_4285_RATES, wide_band_rates};

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
    /// About 0.12 s (3200 bit/s and above, wide band).
    UltraShort,
    /// About 0.36 s (3200 to 9600 bit/s).
    VeryShort,
    /// 0.6 s up to 2400 bit/s, 1.08 s up to 9600, 0.48 s in wide band.
    #[default]
    Short,
    /// 2.15 s (3200 bit/s and above), 1.92 s in wide band.
    Medium,
    /// 4.8 s up to 2400 bit/s, 4.3 s up to 9600, 7.68 s in wide band.
    Long,
    /// 8.61 s (3200 to 9600 bit/s).
    VeryLong,
}

/// Whose waveform it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Family {
    /// MIL-STD-188-110 and STANAG 4539, 3 kHz; faster than they are, a wide-band waveform of any bandwidth.
    #[default]
    Serial,
    /// STANAG 4285.
    Stanag4285,
    /// STANAG 5069, of this bandwidth in kHz.
    WideBand(u8),
}

/// A rate and interleaver that do not go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WaveformFault {
    /// No waveform has the rate.
    #[error("{0} bit/s is no HF rate")]
    Rate(u32),
    /// STANAG 4285 has other rates.
    #[error("{0} bit/s is no rate of STANAG 4285")]
    RateOf4285(u32),
    /// No waveform has the bandwidth.
    #[error("{0} kHz is no bandwidth of an HF waveform: 3 to 48 kHz")]
    Bandwidth(u8),
    /// The waveforms of the bandwidth have other rates.
    #[error("{bits_per_second} bit/s is no rate at {bandwidth_khz} kHz")]
    RateAtBandwidth {
        /// The bandwidth.
        bandwidth_khz: u8,
        /// The rate.
        bits_per_second: u32,
    },
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
    /// Whose it is.
    pub family: Family,
    /// From keying to the first symbol; range 0.02 to 1 s.
    pub key_up: Duration,
    /// From the first symbol to the first data symbol, a crypto's preamble apart.
    pub preamble: Duration,
    /// It is not the table's, but holds for all rates of the modem.
    pub preamble_is_set: bool,
    /// Preamble and synchronisation of a crypto behind it; range 0 to 10 s.
    pub crypto: Duration,
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
        let times = match bits_per_second {
            ..=2400 => tables::serial_low(interleaver),
            2401..=9600 | 12_800 => tables::serial_high(interleaver),
            9601..=240_000 => tables::wide_band(interleaver),
            _ => Some((20_000, 20_000)),
        };
        Self::of(Family::Serial, bits_per_second, interleaver, times)
    }

    /// The waveform of STANAG 4285 of a rate and interleaver, with the usual key-up.
    ///
    /// # Errors
    /// [`WaveformFault`] when there is none.
    pub fn stanag_4285(bits_per_second: u32, interleaver: Interleaver) -> Result<Self, WaveformFault> {
        if !STANAG_4285_RATES.contains(&bits_per_second) {
            return Err(WaveformFault::RateOf4285(bits_per_second));
        }
        Self::of(Family::Stanag4285, bits_per_second, interleaver, tables::stanag_4285(interleaver))
    }

    /// The wide-band waveform of a bandwidth, rate and interleaver, with the usual key-up.
    ///
    /// # Errors
    /// [`WaveformFault`] when there is none.
    pub fn wide_band(bandwidth_khz: u8, bits_per_second: u32, interleaver: Interleaver) -> Result<Self, WaveformFault> {
        if !BANDWIDTHS_KHZ.contains(&bandwidth_khz) {
            return Err(WaveformFault::Bandwidth(bandwidth_khz));
        }
        if !wide_band_rates(bandwidth_khz).contains(&bits_per_second) {
            return Err(WaveformFault::RateAtBandwidth { bandwidth_khz, bits_per_second });
        }
        Self::of(Family::WideBand(bandwidth_khz), bits_per_second, interleaver, tables::wide_band(interleaver))
    }

    /// The waveform of a family.
    ///
    /// # Errors
    /// [`WaveformFault`] when there is none.
    pub fn of_family(family: Family, bits_per_second: u32, interleaver: Interleaver) -> Result<Self, WaveformFault> {
        match family {
            Family::Serial => Self::new(bits_per_second, interleaver),
            Family::Stanag4285 => Self::stanag_4285(bits_per_second, interleaver),
            Family::WideBand(bandwidth) => Self::wide_band(bandwidth, bits_per_second, interleaver),
        }
    }

    /// `times`: preamble and block in microseconds, where the family has the interleaver.
    fn of(
        family: Family,
        bits_per_second: u32,
        interleaver: Interleaver,
        times: Option<(u64, u64)>,
    ) -> Result<Self, WaveformFault> {
        let (preamble, block) = times.ok_or(WaveformFault::Interleaver { bits_per_second, interleaver })?;
        Ok(Self {
            bits_per_second,
            interleaver,
            family,
            key_up: KEY_UP,
            preamble: Duration::from_micros(preamble),
            preamble_is_set: false,
            crypto: Duration::ZERO,
            block: Duration::from_micros(block),
            end_of_message_bits: END_OF_MESSAGE_BITS,
        })
    }

    /// The same with another preamble than the table's, also at its other rates.
    #[must_use]
    pub const fn with_preamble(self, preamble: Duration) -> Self {
        Self { preamble, preamble_is_set: true, ..self }
    }

    /// The rates this modem can change to without another bandwidth, ascending.
    pub fn rates(&self) -> Vec<u32> {
        match self.family {
            Family::WideBand(bandwidth) => wide_band_rates(bandwidth),
            Family::Stanag4285 => STANAG_4285_RATES.to_vec(),
            Family::Serial if HF_RATES.contains(&self.bits_per_second) => HF_RATES.to_vec(),
            Family::Serial => vec![self.bits_per_second],
        }
    }

    /// The same modem at another rate: the interleaver stays if that rate has it, else it is the short one.
    ///
    /// # Errors
    /// [`WaveformFault`] when the modem has no such rate.
    pub fn at_rate(&self, bits_per_second: u32) -> Result<Self, WaveformFault> {
        let make = |interleaver| Self::of_family(self.family, bits_per_second, interleaver);
        let waveform = make(self.interleaver).or_else(|_| make(Interleaver::Short))?;
        let waveform = if self.preamble_is_set { waveform.with_preamble(self.preamble) } else { waveform };
        let (key_up, crypto, end_of_message_bits) = (self.key_up, self.crypto, self.end_of_message_bits);
        Ok(Self { key_up, crypto, end_of_message_bits, ..waveform })
    }

    /// From keying to the first data symbol.
    pub fn lead(&self) -> Duration {
        self.key_up + self.preamble + self.crypto
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
        self.lead() + self.block.saturating_mul(blocks)
    }

    /// From keying until the block begins in which the octet after `octets_before` others goes out: from then on it
    /// cannot be taken back. The end of a transmission that its D_PDUs announce (EOT) is counted from there.
    pub fn begins(&self, octets_before: usize) -> Duration {
        let block = (octets_before as u64).saturating_mul(8) / self.block_bits();
        let blocks = u32::try_from(block).unwrap_or(u32::MAX);
        self.lead() + self.block.saturating_mul(blocks)
    }

    /// From keying until receivers have the first `octets` (at least one), but for the propagation: when the block is
    /// complete that the last of them is in.
    pub fn heard(&self, octets: usize) -> Duration {
        self.begins(octets.saturating_sub(1)) + self.block
    }

    /// Octets that fit into a transmission of at most `limit`; 0 when not even one block does.
    pub fn octets_within(&self, limit: Duration) -> usize {
        let left = limit.saturating_sub(self.lead()).as_micros();
        let blocks = u64::try_from(left / self.block.as_micros().max(1)).unwrap_or(u64::MAX);
        let bits = blocks.saturating_mul(self.block_bits()).saturating_sub(u64::from(self.end_of_message_bits));
        usize::try_from(bits / 8).unwrap_or(usize::MAX)
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
            (12_800, Interleaver::UltraShort, 191, 0.15 + 0.25 + 0.1196),
        ];
        for (rate, interleaver, octets, seconds) in rows {
            let is = airtime(rate, interleaver, PLAIN, octets);
            assert!((is - seconds).abs() < 0.011, "{rate} {interleaver:?} {octets}: {is} s, not {seconds}");
        }
    }

    #[test]
    fn stanag_4285_has_its_rates_and_times() {
        // Rate, interleaver, octets that fill a block, seconds from keying to the end of one block.
        let rows = [
            (75, Interleaver::Short, 8, 0.15 + 0.1067 + 0.8533),
            (300, Interleaver::Long, 384, 0.15 + 0.1067 + 10.24),
            (1200, Interleaver::Short, 128, 0.15 + 0.1067 + 0.8533),
            (2400, Interleaver::Long, 3072, 0.15 + 0.1067 + 10.24),
            (3600, Interleaver::Short, 384, 0.15 + 0.1067 + 0.8533),
        ];
        for (rate, interleaver, octets, seconds) in rows {
            let waveform = Waveform { end_of_message_bits: PLAIN, ..Waveform::stanag_4285(rate, interleaver).unwrap() };
            assert_eq!((waveform.blocks(octets), waveform.blocks(octets + 1)), (1, 2), "{rate} {interleaver:?}");
            let is = waveform.airtime(octets).as_secs_f64();
            assert!((is - seconds).abs() < 0.001, "{rate} {interleaver:?}: {is} s, not {seconds}");
        }
        assert_eq!(Waveform::stanag_4285(9600, Interleaver::Short), Err(WaveformFault::RateOf4285(9600)));
        assert!(Waveform::stanag_4285(1200, Interleaver::Medium).is_err());
        assert_eq!(Waveform::new(3600, Interleaver::Short), Err(WaveformFault::Rate(3600)));
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
    fn octets_begin_and_are_heard_with_their_block() {
        // Key-up 0.15, preamble 0.6, blocks of 90 octets in 0.6 s: before, begins, heard with it.
        let waveform = Waveform::new(1200, Interleaver::Short).unwrap();
        for (before, begins, heard) in
            [(0, 0.75, 1.35), (89, 0.75, 1.35), (90, 1.35, 1.95), (179, 1.35, 1.95), (180, 1.95, 2.55)]
        {
            let is = (waveform.begins(before).as_secs_f64(), waveform.heard(before + 1).as_secs_f64());
            assert!((is.0 - begins).abs() < 1e-6 && (is.1 - heard).abs() < 1e-6, "{before}: {is:?}");
        }
        assert!(waveform.heard(1000) <= waveform.airtime(1000));
    }

    #[test]
    fn wide_band_has_its_rates_and_times() {
        assert_eq!(wide_band_rates(24).last(), Some(&120_000));
        assert_eq!(wide_band_rates(48).last(), Some(&240_000));
        assert_eq!(wide_band_rates(48)[4], 19_200);
        assert!(wide_band_rates(5).is_empty());
        for bandwidth in BANDWIDTHS_KHZ {
            let rates = wide_band_rates(bandwidth);
            assert!(rates.len() == 14 && rates.is_sorted() && rates.iter().all(|rate| *rate <= 240_000), "{rates:?}");
            for rate in rates {
                let waveform = Waveform::wide_band(bandwidth, rate, Interleaver::Medium).unwrap();
                assert_eq!(
                    waveform.airtime(1).as_micros(),
                    150_000 + 240_000 + 1_920_000 * u128::from(waveform.blocks(1))
                );
            }
        }
        assert_eq!(Waveform::wide_band(5, 1200, Interleaver::Short), Err(WaveformFault::Bandwidth(5)));
        assert!(Waveform::wide_band(24, 9600, Interleaver::Zero).is_err());
        let fault = WaveformFault::RateAtBandwidth { bandwidth_khz: 24, bits_per_second: 9601 };
        assert_eq!(Waveform::wide_band(24, 9601, Interleaver::Short), Err(fault));
    }

    #[test]
    fn a_modem_changes_its_rate() {
        let slow = Waveform { key_up: Duration::ZERO, ..Waveform::new(75, Interleaver::Zero).unwrap() };
        let fast = slow.at_rate(9600).unwrap();
        assert_eq!((fast.bits_per_second, fast.interleaver), (9600, Interleaver::Short));
        assert_eq!(fast.key_up, Duration::ZERO);
        assert_eq!(slow.rates(), HF_RATES);
        let wide = Waveform::wide_band(12, 9600, Interleaver::Long).unwrap();
        assert_eq!(wide.at_rate(38_400).unwrap().family, Family::WideBand(12));
        let crypto = Duration::from_millis(1_500);
        let set = Waveform { crypto, ..Waveform::stanag_4285(75, Interleaver::Long).unwrap() }.with_preamble(KEY_UP);
        let fast = set.at_rate(3600).unwrap();
        assert_eq!((fast.preamble, fast.crypto, fast.interleaver), (KEY_UP, crypto, Interleaver::Long));
        assert_eq!(fast.airtime(1), KEY_UP * 2 + crypto + fast.block);
        assert_eq!(
            (fast.rates(), fast.at_rate(4800)),
            (STANAG_4285_RATES.to_vec(), Err(WaveformFault::RateOf4285(4800)))
        );
        assert!(wide.at_rate(75).is_err() && wide.rates().contains(&64_000));
    }

    #[test]
    fn what_no_modem_has_is_refused() {
        assert_eq!(Waveform::new(1000, Interleaver::Short), Err(WaveformFault::Rate(1000)));
        assert_eq!(Waveform::new(0, Interleaver::Short), Err(WaveformFault::Rate(0)));
        assert!(Waveform::new(75, Interleaver::VeryLong).is_err());
        assert!(Waveform::new(9600, Interleaver::Zero).is_err());
    }
}

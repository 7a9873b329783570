//! What modems can do: rates, interleavers and preambles by family of waveforms.
//!
//! Every row with its mark (read in a source, derived, or remembered) stands in `docs/src/radio-model.md`.

use super::Interleaver;

/// The rates of the 3 kHz serial waveforms, in bit/s; the fastest is without a code.
pub const HF_RATES: [u32; 12] = [75, 150, 300, 600, 1200, 2400, 3200, 4800, 6400, 8000, 9600, 12_800];
/// The rates of STANAG 4285, in bit/s; the fastest is without a code.
pub const STANAG_4285_RATES: [u32; 7] = [75, 150, 300, 600, 1200, 2400, 3600];
/// Highest rate accepted, in bit/s.
pub const BITS_PER_SECOND_MAX: u32 = 1_000_000_000;
/// The bandwidths of the wide-band waveforms, in kHz.
pub const BANDWIDTHS_KHZ: [u8; 12] = [3, 6, 9, 12, 15, 18, 21, 24, 30, 36, 42, 48];
/// The rates of the wide-band waveforms at 3 kHz, ascending; other bandwidths have multiples of them.
const WIDE_BAND_RATES_3_KHZ: [u32; 14] =
    [75, 150, 300, 600, 1200, 1600, 2400, 3200, 4800, 6400, 8000, 9600, 12_000, 16_000];
/// The fastest wide-band waveform where it is known not to be such a multiple: bandwidth in kHz, bit/s.
const WIDE_BAND_FASTEST: [(u8, u32); 2] = [(24, 120_000), (48, 240_000)];

/// The rates of the wide-band waveforms of a bandwidth, ascending; empty when there is no such bandwidth.
pub fn wide_band_rates(bandwidth_khz: u8) -> Vec<u32> {
    if !BANDWIDTHS_KHZ.contains(&bandwidth_khz) {
        return Vec::new();
    }
    let mut rates = WIDE_BAND_RATES_3_KHZ.map(|rate| rate * u32::from(bandwidth_khz) / 3).to_vec();
    let known = WIDE_BAND_FASTEST.iter().find(|(bandwidth, _)| *bandwidth == bandwidth_khz);
    if let (Some(fastest), Some(&(_, rate))) = (rates.last_mut(), known) {
        *fastest = rate;
    }
    rates
}

/// Preamble and block in microseconds, 75 to 2400 bit/s.
pub(super) const fn serial_low(interleaver: Interleaver) -> Option<(u64, u64)> {
    match interleaver {
        Interleaver::Zero => Some((600_000, 119_600)),
        Interleaver::Short => Some((600_000, 600_000)),
        Interleaver::Long => Some((4_800_000, 4_800_000)),
        Interleaver::UltraShort | Interleaver::VeryShort | Interleaver::Medium | Interleaver::VeryLong => None,
    }
}

/// STANAG 4285: 8 or 96 frames of 256 symbols at 2400 symbols/s. Each frame begins with 80 symbols of synchronisation; that
/// a receiver needs a whole frame before the data is our assumption.
pub(super) const fn stanag_4285(interleaver: Interleaver) -> Option<(u64, u64)> {
    match interleaver {
        Interleaver::Short => Some((106_667, 853_333)),
        Interleaver::Long => Some((106_667, 10_240_000)),
        Interleaver::Zero
        | Interleaver::UltraShort
        | Interleaver::VeryShort
        | Interleaver::Medium
        | Interleaver::VeryLong => None,
    }
}

/// 3200 to 12,800 bit/s: 1, 3, 9, 18, 36 or 72 frames of 287 symbols at 2400 symbols/s.
pub(super) const fn serial_high(interleaver: Interleaver) -> Option<(u64, u64)> {
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

/// STANAG 5069, 3 to 48 kHz: one super-frame of preamble.
pub(super) const fn wide_band(interleaver: Interleaver) -> Option<(u64, u64)> {
    match interleaver {
        Interleaver::UltraShort => Some((240_000, 120_000)),
        Interleaver::Short => Some((240_000, 480_000)),
        Interleaver::Medium => Some((240_000, 1_920_000)),
        Interleaver::Long => Some((240_000, 7_680_000)),
        Interleaver::Zero | Interleaver::VeryShort | Interleaver::VeryLong => None,
    }
}

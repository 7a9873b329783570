//! The radios of the bench: one calibrated against published measurements, one as radios are now.

use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;

/// What of a radio and its node's hardware stays whatever software runs on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Radio {
    /// Its name in tables.
    pub name: &'static str,
    /// From the end of a reception to the first symbol that can be keyed.
    pub turn: Duration,
    /// From the first ARQ data heard until it can be answered.
    pub answer_delay: Duration,
}

impl Radio {
    /// As the products of the published measurements. Both constants were fitted, within what the specification expects
    /// (turn about 2 s, answer delay 2 to 2.5 s).
    pub const PAPER: Self =
        Self { name: "paper", turn: Duration::from_millis(2_100), answer_delay: Duration::from_millis(2_500) };
    /// As a modern radio.
    pub const MODERN: Self = Self { name: "modern", turn: Duration::from_millis(300), answer_delay: Duration::ZERO };

    /// Whether it is the calibrated one.
    pub fn is_paper(self) -> bool {
        self == Self::PAPER
    }

    /// Its weather: calm, short interleaver, at a rate. `None`: no such rate.
    pub fn weather(self, bits_per_second: u32) -> Option<Weather> {
        let weather = Weather { turnaround: self.turn, answer_delay: self.answer_delay, ..Weather::default() };
        weather.with_bits_per_second(bits_per_second).ok()
    }
}

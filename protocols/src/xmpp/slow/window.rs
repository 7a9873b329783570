//! DEFLATE (RFC 1951) with a history that both ends hold as octets: one final block per unit, nothing between units.
//!
//! Each unit is a deflate stream of its own whose preset dictionary is the history. That is the same to the octet count
//! as one stream with a flush per unit, but 10 bits shorter (no empty block to flush with), and a unit that cannot be
//! read leaves no trace in the reader. Zero octets at the end are not sent: the end mark of a fixed block is all zero.
//! Promises: inflating stops at a cap of octets and of ratio. Limits: [`WINDOW_OCTETS_MAX`], [`RATIO_MAX`].

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Strategy};

use super::fault::SlowFault;
use super::limits::{RATIO_FREE_OCTETS, RATIO_MAX, WINDOW_OCTETS_MAX};

/// Octets that a reader adds behind a stream for those that were not sent: an end mark may stand in two of them.
const END_OCTETS: [u8; 3] = [0; 3];
/// Octets inflated at a time.
const STEP_OCTETS: usize = 4 << 10;
const WINDOW_BITS: u8 = 15;

thread_local! {
    /// The deflate stream of all windows of a thread, begun anew for each unit: its tables are 300 KB, and to make them cost
    /// as much as to deflate.
    static STREAM: RefCell<Compress> =
        RefCell::new(Compress::new_with_window_bits(Compression::best(), false, WINDOW_BITS));
}

/// What matches may refer to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Window {
    history: Vec<u8>,
}

impl Window {
    /// A window that begins with a dictionary.
    pub(super) fn new(dictionary: &[u8]) -> Self {
        let mut window = Self::default();
        window.push(dictionary);
        window
    }

    /// Adds what a unit held; the oldest octets go.
    pub(super) fn push(&mut self, content: &[u8]) {
        self.history.extend_from_slice(content);
        let excess = self.history.len().saturating_sub(WINDOW_OCTETS_MAX);
        self.history.drain(..excess);
    }

    /// Deflates `content` at the best level: airtime costs more than computing.
    pub(super) fn deflate(&self, content: &[u8]) -> Vec<u8> {
        //= xmpp/SLOW-010
        // Enough for stored blocks, so that one call ends the stream.
        let mut octets = Vec::with_capacity(content.len() + content.len() / 1_000 + 64);
        STREAM.with_borrow_mut(|stream| {
            stream.reset();
            if !self.history.is_empty() {
                // A fresh stream takes any dictionary.
                let _ = stream.set_dictionary(&self.history);
            }
            let _ = stream.compress_vec(content, &mut octets, FlushCompress::Finish);
        });
        while octets.last() == Some(&0) {
            octets.pop();
        }
        octets
    }

    /// Deflates `content` without a history, by the strategy that makes it shortest: digits and keys of letters repeat by
    /// chance, and matches of them cost more than the letters (hex digits 58 % against 51 %).
    pub(super) fn deflate_alone(content: &[u8]) -> Vec<u8> {
        let alone = Self::default();
        let mut shortest = alone.deflate(content);
        for strategy in [Strategy::Filtered, Strategy::HuffmanOnly] {
            let deflated = alone.deflate_by(strategy, content);
            if deflated.as_ref().is_some_and(|deflated| deflated.len() < shortest.len()) {
                shortest = deflated.unwrap_or_default();
            }
        }
        shortest
    }

    /// Deflates `content` so that only long matches count, in the history too: what surrounds such digits was met before.
    pub(super) fn deflate_filtered(&self, content: &[u8]) -> Option<Vec<u8>> {
        self.deflate_by(Strategy::Filtered, content)
    }

    /// By a strategy. `None`: it found no end, which does not happen.
    fn deflate_by(&self, strategy: Strategy, content: &[u8]) -> Option<Vec<u8>> {
        let window_bits = -i32::from(WINDOW_BITS);
        let config = DeflateConfig { level: 9, method: Method::Deflated, window_bits, mem_level: 8, strategy };
        let mut stream = Deflate::new_with_config(config);
        if !self.history.is_empty() {
            stream.set_dictionary(&self.history).ok()?;
        }
        let mut octets = vec![0; content.len() + content.len() / 8 + 64];
        let status = stream.compress(content, &mut octets, DeflateFlush::Finish);
        octets.truncate(usize::try_from(stream.total_out()).unwrap_or(0));
        // Of runs of one letter more octets are zero than a reader adds.
        let zeros = octets.iter().rev().take_while(|octet| **octet == 0).take(END_OCTETS.len()).count();
        octets.truncate(octets.len() - zeros);
        matches!(status, Ok(zlib_rs::Status::StreamEnd)).then_some(octets)
    }

    /// Inflates what [`Window::deflate`] gave with the same history, up to `cap` octets.
    ///
    /// # Errors
    /// [`SlowFault::Damaged`], [`SlowFault::TooLarge`]; the window is not changed either way.
    pub(super) fn inflate(&self, octets: &[u8], cap: usize) -> Result<Vec<u8>, SlowFault> {
        let damaged = || SlowFault::Damaged { octets: octets.len() };
        let cap = cap.min(octets.len().saturating_mul(RATIO_MAX).max(RATIO_FREE_OCTETS));
        let input = [octets, &END_OCTETS].concat();
        let mut stream = Decompress::new_with_window_bits(false, WINDOW_BITS);
        if !self.history.is_empty() {
            stream.set_dictionary(&self.history).map_err(|_| damaged())?;
        }
        let mut plain = Vec::new();
        let mut step = [0; STEP_OCTETS];
        loop {
            let used = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
            let rest = input.get(used..).unwrap_or_default();
            let status = stream.decompress(rest, &mut step, FlushDecompress::None).map_err(|_| damaged())?;
            let total = usize::try_from(stream.total_out()).unwrap_or(usize::MAX);
            let given = total.saturating_sub(plain.len());
            if total > cap {
                return Err(SlowFault::TooLarge { cap });
            }
            plain.extend_from_slice(step.get(..given).unwrap_or_default());
            let taken = usize::try_from(stream.total_in()).unwrap_or(usize::MAX).saturating_sub(used);
            match status {
                // What the encoder would not have sent is an alteration, even where it changes nothing.
                Status::StreamEnd if used + taken >= octets.len() => return Ok(plain),
                Status::StreamEnd => return Err(damaged()),
                Status::Ok | Status::BufError if taken == 0 && given == 0 => return Err(damaged()),
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random as _, Seeded};

    proptest::proptest! {
        #[test]
        fn round_trip(dictionary: Vec<u8>, contents: Vec<Vec<u8>>) {
            let (mut here, mut there) = (Window::new(&dictionary), Window::new(&dictionary));
            for content in contents {
                let octets = here.deflate(&content);
                here.push(&content);
                let read = there.inflate(&octets, content.len());
                proptest::prop_assert_eq!(read.as_ref(), Ok(&content));
                let read = there.inflate(&Window::deflate_alone(&content), content.len());
                proptest::prop_assert_eq!(read.as_ref(), Ok(&content));
                let filtered = there.deflate_filtered(&content).unwrap();
                let read = there.inflate(&filtered, content.len());
                proptest::prop_assert_eq!(read.as_ref(), Ok(&content));
                there.push(&content);
            }
        }
    }

    #[test]
    fn what_surrounds_digits_is_found_in_the_history() {
        let mut random = Seeded::new(6);
        let mut block = || {
            let mut digits = [0; 400];
            random.fill(&mut digits);
            let stamp = "<delay xmlns='urn:xmpp:delay' from='hq.test' stamp='2026-11-22T16:00:00Z'/>";
            format!("<body>{}</body>{stamp}", crate::bytes::hex(&digits)).into_bytes()
        };
        let window = Window::new(&[block(), block()].concat());
        let content = block();
        let filtered = window.deflate_filtered(&content).unwrap();
        let others = [window.deflate(&content), Window::deflate_alone(&content)].map(|octets| octets.len());
        assert!(filtered.len() + 40 < others[0].min(others[1]), "{} {others:?}", filtered.len());
        assert_eq!(window.inflate(&filtered, content.len()), Ok(content));
    }

    #[test]
    fn hex_digits_take_half_their_octets_alone_and_runs_read_as_they_were() {
        let mut random = [0; 1_000];
        Seeded::new(5).fill(&mut random);
        let hex = crate::bytes::hex(&random).into_bytes();
        let alone = Window::deflate_alone(&hex);
        assert!(alone.len() < hex.len() * 52 / 100, "{}", alone.len());
        assert!(Window::default().deflate(&hex).len() > hex.len() * 55 / 100);
        for content in [hex, vec![b'a'; 5_000], b"ab".repeat(40), [b"xyz".repeat(9), vec![0; 900]].concat()] {
            let alone = Window::deflate_alone(&content);
            assert_eq!(Window::new(b"something else").inflate(&alone, content.len()), Ok(content));
        }
    }

    #[test]
    fn long_contents_and_histories() {
        let mut random = Seeded::new(3);
        let (mut here, mut there) = (Window::new(b"dictionary"), Window::new(b"dictionary"));
        for length in [0_usize, 1, 4_095, 4_096, 4_097, 16_384, 40_000, 100] {
            for noise in [false, true] {
                let mut content = b"the same words again and ".repeat(length / 25 + 1);
                content.truncate(length);
                if noise {
                    random.fill(&mut content);
                }
                let octets = here.deflate(&content);
                assert!(octets.len() <= content.len() + 40, "{length}: {}", octets.len());
                assert!(there.inflate(&octets, 50_000).as_ref() == Ok(&content), "{length}");
                here.push(&content);
                there.push(&content);
            }
        }
    }

    /// Hostile 13.
    #[test]
    fn bombs_stop_at_the_cap() {
        let window = Window::default();
        let bomb = window.deflate(&vec![0; 20 << 20]);
        assert_eq!(window.inflate(&bomb, 1_000), Err(SlowFault::TooLarge { cap: 1_000 }));
        let ratio = bomb.len() * RATIO_MAX;
        assert!(ratio > RATIO_FREE_OCTETS);
        assert!(window.inflate(&bomb, usize::MAX) == Err(SlowFault::TooLarge { cap: ratio }));
        assert_eq!(window.inflate(&window.deflate(&[7; 100]), 99), Err(SlowFault::TooLarge { cap: 99 }));
        assert_eq!(window.inflate(&window.deflate(&[7; 100]), 100), Ok(vec![7; 100]));
    }

    /// Hostile 14.
    #[test]
    fn cut_and_lengthened_streams_do_not_read_the_same() {
        let window = Window::new(b"report position at 1800Z");
        let content = b"report position at 1930Z and 2015Z".to_vec();
        let octets = window.deflate(&content);
        for end in 0..octets.len() {
            let read = window.inflate(&octets[..end], 1_000);
            assert!(read.as_ref() != Ok(&content), "cut at {end}");
        }
        for tail in [&[0_u8][..], &[1], &[0, 0, 0, 1]] {
            let longer = [&octets[..], tail].concat();
            assert!(window.inflate(&longer, 1_000).as_ref() != Ok(&content) || tail == [0], "{tail:?}");
        }
        assert_ne!(Window::new(b"another").inflate(&octets, 1_000), Ok(content));
    }
}

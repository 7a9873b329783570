//! One zlib stream (RFC 1950) for each direction of a link, with a partial flush for each unit (XEP-0138 as configured).
//!
//! Promises: what is inflated is capped in octets and in ratio. Refuses: streams that end, as a link's never does.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::fault::SlowFault;
use super::limits::{RATIO_FREE_OCTETS, RATIO_MAX};

const STEP_OCTETS: usize = 4 << 10;
const WINDOW_BITS: u8 = 15;

/// The writing end.
#[derive(Debug)]
pub(super) struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// A new stream; it begins with its header.
    pub(super) fn new(dictionary: Option<&[u8]>) -> Self {
        let mut stream = Compress::new_with_window_bits(Compression::best(), true, WINDOW_BITS);
        if let Some(dictionary) = dictionary {
            // A fresh stream takes any dictionary.
            let _ = stream.set_dictionary(dictionary);
        }
        Self { stream }
    }

    /// The octets for `text`, which a reader can inflate to its end.
    //= xmpp/LINK-010
    pub(super) fn write(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 64);
        let before = self.stream.total_in();
        loop {
            let used = usize::try_from(self.stream.total_in() - before).unwrap_or(usize::MAX);
            let rest = text.get(used..).unwrap_or_default();
            let status = self.stream.compress_vec(rest, &mut out, FlushCompress::Partial);
            if status.is_err() || out.len() < out.capacity() {
                return out;
            }
            out.reserve(STEP_OCTETS);
        }
    }
}

/// The reading end.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    dictionary: Option<Vec<u8>>,
}

impl Inflater {
    /// A new stream, which must begin with its header.
    pub(super) fn new(dictionary: Option<&[u8]>) -> Self {
        Self { stream: Decompress::new_with_window_bits(true, WINDOW_BITS), dictionary: dictionary.map(<[u8]>::to_vec) }
    }

    /// Whether a stream may begin with these octets.
    //= xmpp/LINK-012
    pub(super) fn may_begin(octets: &[u8]) -> bool {
        matches!(octets, [first, second, ..]
            if first & 0x0f == 8 && (u32::from(*first) * 256 + u32::from(*second)) % 31 == 0)
    }

    /// What `octets` inflate to, at most `cap` octets.
    ///
    /// # Errors
    /// The stream is of no more use.
    //= xmpp/LINK-011
    pub(super) fn read(&mut self, octets: &[u8], cap: usize) -> Result<Vec<u8>, SlowFault> {
        let damaged = || SlowFault::Damaged { octets: octets.len() };
        let cap = cap.min(octets.len().saturating_mul(RATIO_MAX).max(RATIO_FREE_OCTETS));
        let (begin_in, begin_out) = (self.stream.total_in(), self.stream.total_out());
        let mut plain = Vec::new();
        let mut step = [0; STEP_OCTETS];
        loop {
            let used = usize::try_from(self.stream.total_in() - begin_in).unwrap_or(usize::MAX);
            let rest = octets.get(used..).unwrap_or_default();
            let status = self.stream.decompress(rest, &mut step, FlushDecompress::Sync);
            let given = usize::try_from(self.stream.total_out() - begin_out).unwrap_or(usize::MAX) - plain.len();
            if plain.len() + given > cap {
                return Err(SlowFault::TooLarge { cap });
            }
            plain.extend_from_slice(step.get(..given).unwrap_or_default());
            match status {
                Err(error) if error.needs_dictionary().is_some() => {
                    let dictionary = self.dictionary.take().ok_or_else(damaged)?;
                    self.stream.set_dictionary(&dictionary).map_err(|_| damaged())?;
                }
                Err(_) | Ok(Status::StreamEnd) => return Err(damaged()),
                Ok(Status::Ok | Status::BufError) => {
                    let now = usize::try_from(self.stream.total_in() - begin_in).unwrap_or(usize::MAX);
                    if now >= octets.len() && given < STEP_OCTETS {
                        return Ok(plain);
                    }
                    if now == used && given == 0 {
                        return Err(damaged());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    const FIRST: &str =
        "<message from='a@hq.example' to='b@field.example' type='chat' id='1'><body>hi</body></message>";
    const SECOND: &str =
        "<message from='a@hq.example' to='b@field.example' type='chat' id='2'><body>report at 1800Z</body></message>";

    /// The golden vector: another encoder's blocks, by partial and by sync flush.
    #[test]
    fn streams_of_others_are_read_block_by_block() {
        let partial = [
            "78dab2c94d2d2e4e4c4f55482bcacfb5554f74c828d44bad48cc2dc849555728c9b7554f7248cb4ccd494112ac2c48b5554fce482c5157c84cb1553754b7b349ca4fa9b4cbc8b4d107336cf4a186da0104",
            "900dc5a61bc14c2f4a2dc82f2a51482c5130b4303088c2b00a20",
        ];
        let sync = [
            "78dab2c94d2d2e4e4c4f55482bcacfb5554f74c828d44bad48cc2dc849555728c9b7554f7248cb4ccd494112ac2c48b5554fce482c5157c84cb1553754b7b349ca4fa9b4cbc8b4d107336cf4a186da01000000ffff",
            "b2a1d8742398e945a905f945250a89250a8616060651185601000000ffff",
        ];
        for blocks in [partial, sync] {
            let mut stream = Inflater::new(None);
            for (block, text) in blocks.iter().zip([FIRST, SECOND]) {
                assert_eq!(stream.read(&octets(block), 1_000), Ok(text.into()));
            }
        }
    }

    #[test]
    fn every_block_can_be_read_at_once() {
        for dictionary in [None, Some(&b"<message to='"[..])] {
            let (mut here, mut there) = (Deflater::new(dictionary), Inflater::new(dictionary));
            for text in [FIRST, SECOND, "", FIRST, &FIRST.repeat(500)] {
                let block = here.write(text.as_bytes());
                assert!(there.read(&block, 1 << 20) == Ok(text.into()));
            }
        }
        let block = Deflater::new(Some(b"abc")).write(b"abc");
        assert!(Inflater::may_begin(&block));
        assert_eq!(Inflater::new(None).read(&block, 10), Err(SlowFault::Damaged { octets: block.len() }));
        assert!(Inflater::new(Some(b"other")).read(&block, 10).is_err());
    }

    /// Hostile 13.
    #[test]
    fn bombs_stop_at_the_cap() {
        let bomb = Deflater::new(None).write(&vec![b' '; 20 << 20]);
        assert_eq!(Inflater::new(None).read(&bomb, 1_000), Err(SlowFault::TooLarge { cap: 1_000 }));
        let ratio = bomb.len() * RATIO_MAX;
        assert!(Inflater::new(None).read(&bomb, usize::MAX) == Err(SlowFault::TooLarge { cap: ratio }));
    }

    #[test]
    fn beginnings() {
        for (octets, may) in [
            (&[0x78, 0xda][..], true),
            (&[0x78, 0x01], true),
            (&[0x78, 0x02], false),
            (&[0x79, 0xda], false),
            (&[0x78], false),
        ] {
            assert_eq!(Inflater::may_begin(octets), may, "{octets:?}");
        }
    }
}

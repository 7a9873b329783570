//! Finds D_PDUs in the octets that a modem yields.
//!
//! A modem knows octets, not frames; damage may hide a beginning, and 90 EB may stand inside data. So the CRC of a header
//! decides: where it is wrong, the search goes on one octet behind the sync octets. Promises: each octet is looked at a
//! bounded number of times; what is kept is shorter than the longest D_PDU and what was pushed last.

use super::codec::announced_octets;
use super::{DPduFault, Received, SYNC, decode};
use crate::bytes::{Buf as _, BytesMut};

/// Finds D_PDUs in the octets of one transmission.
#[derive(Debug, Default)]
pub struct Splitter {
    octets: BytesMut,
    /// No more octets come.
    ended: bool,
    skipped: u64,
}

impl Splitter {
    /// Nothing received.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets as they came; call [`Splitter::poll`] until it has no more before the next.
    pub fn push(&mut self, octets: &[u8]) {
        self.ended = false;
        self.octets.extend_from_slice(octets);
    }

    /// The transmission is over: what is cut off comes out as it is, or not at all.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next D_PDU.
    //= s5066/DTS-003
    pub fn poll(&mut self) -> Option<Received> {
        loop {
            let found = find_sync(&self.octets);
            self.skip(found);
            match announced_octets(&self.octets) {
                Ok(octets) if octets <= self.octets.len() || self.ended => {
                    let received = decode(&self.octets).ok()?;
                    self.octets.advance(octets.min(self.octets.len()));
                    return Some(received);
                }
                Ok(_) => return None,
                Err(DPduFault::Cut(_)) if !self.ended => return None,
                Err(_) if self.octets.is_empty() => return None,
                Err(_) => self.skip(1),
            }
        }
    }

    /// Octets that belonged to no D_PDU so far.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn skip(&mut self, octets: usize) {
        self.skipped += octets as u64;
        self.octets.advance(octets);
    }
}

/// Where sync octets begin, or could: the first of them may be the last octet there is.
fn find_sync(octets: &[u8]) -> usize {
    let whole = octets.windows(SYNC.len()).position(|pair| pair == SYNC);
    whole.unwrap_or_else(|| if octets.last() == Some(&SYNC[0]) { octets.len() - 1 } else { octets.len() })
}

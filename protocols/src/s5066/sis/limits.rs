//! What bounds the subnetwork interface.

use crate::time::Duration;

/// Octets in front of what the size field counts: preamble, version, size.
pub const FRAME_HEADER_OCTETS: usize = 5;
/// Octets of a whole frame at most: the size field has 16 bits.
pub const FRAME_OCTETS_MAX: usize = FRAME_HEADER_OCTETS + u16::MAX as usize;
/// The MTU of a general node in octets.
pub const MTU_OCTETS: u16 = 2048;
/// The largest MTU that a broadcast-only node may announce, in octets.
pub const MTU_OCTETS_MAX: u16 = 4096;
/// The largest legal time to live: 15 days in units of 2 seconds.
pub const TTL_UNITS_MAX: u32 = 648_000;
/// An answer to a keep-alive comes within this time or not at all.
pub const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);
/// A side sends an unsolicited keep-alive at most once in this time.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(120);

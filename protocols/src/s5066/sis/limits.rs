//! What bounds the subnetwork interface.

use crate::time::Duration;

/// Octets in front of what the size field counts: preamble, version, size.
pub const FRAME_HEADER_OCTETS: usize = 5;
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
/// Requests held for a node that is not taking data.
pub const REQUESTS_WAITING_MAX: usize = 256;
/// Octets of U_PDUs in those requests.
pub const REQUESTS_WAITING_OCTETS_MAX: usize = 1 << 20;
/// Requests handed down whose confirmation is awaited.
pub const REQUESTS_OUTSTANDING_MAX: usize = 1_024;
/// Primitives of unknown type or wrong direction in one session before it is closed.
pub const STRANGE_PRIMITIVES_MAX: u32 = 8;
/// An answer to a bind request comes within this time.
pub const BIND_ANSWER: Duration = Duration::from_secs(30);
/// A frame that has begun is whole after this time: the interface is a local network.
pub const FRAME_WHOLE: Duration = Duration::from_secs(30);
/// Keep-alives in a row without any answer before the session is given up.
pub const KEEP_ALIVES_UNANSWERED_MAX: u32 = 2;
/// A keep-alive is answered at most once in this time.
pub const KEEP_ALIVE_ANSWER_GAP: Duration = Duration::from_secs(1);
/// A session that held this long was good: the back-off begins anew.
pub const SESSION_GOOD: Duration = Duration::from_secs(60);
/// A confirmation may come this long after the time to live of its request.
pub const CONFIRMATION_LATE: Duration = Duration::from_secs(120);

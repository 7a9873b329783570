//! What bounds a radio.

use skywave_protocols::time::Duration;

/// What nodes add to U_PDUs on the air (segment headers, checks), in percent: 22 octets to every 200.
pub const AIR_OVERHEAD_PERCENT: u64 = 12;
/// PDUs whose confirmation is awaited that may always be in the hands of the node.
pub const CONFIRM_PDUS_MIN: usize = 2;
/// Octets of one service in the hands of the node before any has left: nodes that hold 32 kB lose nothing by it.
pub const WINDOW_OCTETS_FIRST: usize = 32 << 10;
/// The most that ever are.
pub const WINDOW_OCTETS_MAX: usize = 4 << 20;
/// PDUs whose confirmation is awaited that may be in the hands of the node; a session keeps no more in mind, and one
/// place is left for what is urgent.
pub const CONFIRM_PDUS_MAX: usize = skywave_protocols::s5066::sis::limits::REQUESTS_OUTSTANDING_MAX - 24;
/// PDUs of Flash and Override that may exceed the pacing: an address PDU and what follows it.
pub const URGENT_PDUS_MAX: usize = 4;
/// The highest priority in a node.
pub const SIS_PRIORITY_MAX: u8 = 15;
/// PDUs that await confirmation and are so short that they do not wait until longer ones are confirmed, at once, and
/// their octets: a line of chat is under a hundred.
pub const SHORT_PDUS_MAX: usize = 4;
/// See [`SHORT_PDUS_MAX`].
pub const SHORT_OCTETS_MAX: usize = 512;
/// P_MUL priority up to which a PDU may do so: Flash and Override.
pub const URGENT_PRIORITY_MAX: u8 = 2;
/// Unconfirmed data is topped up when less than this is left, so that the transmitter does not stop in between.
pub const TOP_UP: Duration = Duration::from_secs(2);
/// A hard link that was refused, or has ended, is asked for again after this time at the earliest.
pub const HOLD_AGAIN_WAIT: Duration = Duration::from_secs(60);
/// A link whose PDU was refused here is asked again after this time.
pub const REFUSED_WAIT: Duration = Duration::from_secs(1);

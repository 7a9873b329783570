//! What bounds a radio.

use skywave_protocols::time::Duration;

/// What nodes add to U_PDUs on the air (segment headers, checks), in percent: 22 octets to every 200.
pub const AIR_OVERHEAD_PERCENT: u64 = 12;
/// PDUs whose confirmation is awaited that may always be in the hands of the node.
pub const CONFIRM_PDUS_MIN: usize = 2;
/// P_MUL priority up to which a PDU may exceed the pacing by one: Flash and Override.
pub const URGENT_PRIORITY_MAX: u8 = 2;
/// Unconfirmed data is topped up when less than this is left, so that the transmitter does not stop in between.
pub const TOP_UP: Duration = Duration::from_secs(2);
/// A link whose PDU was refused here is asked again after this time.
pub const REFUSED_WAIT: Duration = Duration::from_secs(1);

//! Every limit of these links, unit last.

use skywave_protocols::time::Duration;

/// Units being sent at once, besides those that only wait for sites in EMCON. More urgent ones than Immediate may exceed it.
pub const ACTIVE_UNITS_MAX: usize = 16;
/// Their octets.
pub const ACTIVE_OCTETS_MAX: usize = 32 << 20;
/// All units held, those waiting for sites in EMCON included; some are kept for Flash and Override.
pub const UNITS_MAX: usize = 240;
/// Octets of all units held.
pub const OCTETS_MAX: usize = 128 << 20;
/// P_MUL priority up to which a unit does not wait for a group of its own: Flash and Override.
pub const URGENT_PRIORITY_MAX: u8 = 2;
/// Units taken before the records have come back; more fail.
pub const EARLY_UNITS_MAX: usize = 1_024;
/// A batch of records that could not be stored is tried again after this.
pub const STORE_RETRY_WAIT: Duration = Duration::from_secs(5);
/// A message whose PDU the node rejected rests so long.
pub const REJECTED_WAIT: Duration = Duration::from_secs(60);
/// The longest TTL of a U_PDU.
pub const TTL_MAX: Duration = Duration::from_secs(15 * 86_400);
/// A socket that could not be bound is tried again after this.
pub const BIND_RETRY_WAIT: Duration = Duration::from_secs(10);
/// Octets of IPv4 and UDP headers around a PDU, for pacing.
pub const UDP_OVERHEAD_OCTETS: usize = 28;
/// PDUs may be sent so much ahead of the pace, so that timers need not be finer.
pub const PACING_SLACK: Duration = Duration::from_millis(2);

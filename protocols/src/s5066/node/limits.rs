//! What bounds the node.

use crate::time::Duration;

/// Priority from which something is urgent: FLASH is 12 (defaults.md).
pub const PRIORITY_URGENT: u8 = 12;
/// Connections of clients that are not bound, beyond the clients that may be.
pub const CONNECTIONS_UNBOUND_MAX: usize = 8;
/// Clients bound at once: one per SAP.
pub const CLIENTS_MAX: usize = 16;
/// What a waiting U_PDU costs besides its octets, in octets.
pub const REQUEST_COST_OCTETS: usize = 64;
/// After DATA_FLOW_OFF a client may hand over so many times its queue limit before U_PDUs are dropped.
pub const FLOW_OFF_TOLERANCE: usize = 2;
/// All clients together may have so many times the queue limit of one waiting, those of gone clients included.
pub const QUEUE_SHARES_MAX: usize = 24;
/// A primitive unfinished for this long closes the connection of a client that is not bound.
pub const BIND_WAIT: Duration = Duration::from_secs(120);

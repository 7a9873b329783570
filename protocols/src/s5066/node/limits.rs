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
/// Nodes whose links are kept in mind; one without a link goes first.
pub const LINK_PEERS_MAX: usize = 256;
/// C_PDUs about links that were handed down and have not left.
pub const LINK_MESSAGES_UNSENT_MAX: usize = 64;
/// A C_PDU about a link that has not left for so long is taken as lost and may be handed down again.
pub const LINK_MESSAGE_AGE_MAX: Duration = Duration::from_secs(600);
/// A made link is believed in for so long, whatever warnings come.
pub const LINK_WARNING_GAP: Duration = Duration::from_secs(10);
/// Links with one node that are made anew because it warns that it has none: so many,
pub const LINK_WARNINGS_MAX: u32 = 5;
/// within this time. Anybody may warn in its name, and what was on the air is rejected each time.
pub const LINK_WARNINGS_SPAN: Duration = Duration::from_secs(600);
/// Every so many transmissions of which nothing was heard, the request in front of riding data is the standard's: the
/// first one goes without any.
pub const RIDES_PLAIN_EVERY: u32 = 2;

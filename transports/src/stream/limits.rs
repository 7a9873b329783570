//! What bounds the links for chat.

use skywave_protocols::time::Duration;

/// Units of one context that may be unconfirmed by RCOP, at most.
pub const WINDOW_MAX: usize = 64;
/// Units that a link takes at once, all contexts together; what is submitted above it fails.
pub const UNITS_MAX: usize = 128;
/// Units of one context are taken for so long a time on air: they fill the longest transmission, and what waits outside of
/// them can still be overtaken.
pub const AHEAD: Duration = Duration::from_secs(130);
/// But so many of any size.
pub const UNITS_MIN: usize = 2;
/// Expedited units of one context in the hands of a node at once: nodes cut clients off that send many.
pub const EXPEDITED_MAX: usize = 2;
/// First wait after a node rejected a unit for what may pass.
pub const REJECTED_WAIT: Duration = Duration::from_secs(30);
/// The longest such wait.
pub const REJECTED_WAIT_MAX: Duration = Duration::from_secs(600);
/// Life of a U_PDU in a node at most: the standard's 15 days.
pub const TTL_MAX: Duration = Duration::from_secs(15 * 24 * 3600);
/// Largest unit over TCP in octets.
pub const TCP_UNIT_OCTETS_MAX: usize = 1 << 20;
/// Octets that arrived over TCP and are not on the disk yet, beyond which nothing more is read.
pub const UNANSWERED_OCTETS_MAX: usize = 16 << 10;
/// Octets down to which reading then goes on.
pub const UNANSWERED_OCTETS_RESUME: usize = UNANSWERED_OCTETS_MAX / 2;
/// Octets written to a TCP connection that have not left, unless configured otherwise: two large blocks.
pub const TCP_BUFFER_OCTETS: usize = 64 << 10;
/// Least of what the network may hold unsent: a packet or three.
pub const TCP_NETWORK_OCTETS_MIN: usize = 4 << 10;
/// What the network may hold leaves in so long: more than a turn by satellite takes, so that it is never idle.
pub const TCP_NETWORK_TIME: Duration = Duration::from_secs(2);
/// Connections of peers that are being secured at once; more are closed.
pub const TCP_PENDING_MAX: usize = 4;
/// First wait before a connection is tried again.
pub const TCP_WAIT: Duration = Duration::from_secs(5);
/// The longest such wait.
pub const TCP_WAIT_MAX: Duration = Duration::from_secs(600);
/// A connection that lasted so long was good: the next tries begin with the first wait.
pub const TCP_GOOD: Duration = Duration::from_secs(60);
/// Networks and pins that may be configured for one link.
pub const TCP_ACCEPT_MAX: usize = 64;
/// Octets read from a peer before there is a connection to send on; reading pauses with the first.
pub const EARLY_OCTETS_MAX: usize = 1 << 20;

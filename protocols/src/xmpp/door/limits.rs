//! What bounds the door.

use crate::time::Duration;

/// Stanzas that wait for one pair of domains.
pub const WAITING_STANZAS_MAX: usize = 4096;
/// Octets that wait for one pair of domains.
pub const WAITING_OCTETS_MAX: usize = 8 << 20;
/// Octets that wait in all.
pub const WAITING_OCTETS_IN_ALL_MAX: usize = 64 << 20;
/// Octets written to one stream and not confirmed; more waits.
pub const UNCONFIRMED_OCTETS_MAX: usize = 1 << 20;
/// Stanzas that arrived on one stream and are not taken; then it is not read.
pub const UNTAKEN_STANZAS_MAX: usize = 512;
/// A stream that is not read is read again below this.
pub const UNTAKEN_STANZAS_RESUME: usize = 256;
/// Octets that arrived on one stream and are not taken; then it is not read.
pub const UNTAKEN_OCTETS_MAX: usize = 2 << 20;
/// Connections accepted and open.
pub const ACCEPTED_MAX: usize = 2048;
/// Connections accepted of which nobody knows yet who they are.
pub const STRANGERS_MAX: usize = 256;
/// Of these, from one address: more than a server opens at once, for a pair of domains each, and a fraction of all.
pub const STRANGERS_PER_ADDRESS_MAX: usize = 32;
/// Keys that wait for verification.
pub const VERIFICATIONS_MAX: usize = 1024;
/// Pairs of domains for which something waits or a stream is open.
pub const OUTLETS_MAX: usize = 8192;
/// Places tried for one domain before waiting.
pub const TARGETS_MAX: usize = 8;
/// A stream that worked for so long is a success: the next failure waits as after the first.
pub const STREAM_GOOD: Duration = Duration::from_secs(30);
/// A verification not answered within this has failed: the server that asks waits itself.
pub const VERIFICATION_WAIT: Duration = Duration::from_secs(50);

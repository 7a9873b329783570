//! What bounds a batch link.

use skywave_protocols::time::Duration;

/// Units taken from the gateway at once: the rest stays under its hold.
pub const UNITS_MAX: usize = 8;
/// Units held in all: what is urgent is taken beyond [`UNITS_MAX`], and fails beyond this.
pub const UNITS_HELD_MAX: usize = 272;
/// Units remembered so that their repeats are not told again.
pub const SEEN_MAX: usize = 1024;
/// How long they are remembered: longer than any plan of rounds.
pub const SEEN_SPAN: Duration = Duration::from_secs(24 * 3600);
/// A record that could not be stored is tried again after this.
pub const STORE_RETRY_WAIT: Duration = Duration::from_secs(5);
/// A unit that the gateway could not take is told again after this.
pub const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// Wait after the node rejected a segment for what may pass.
pub const REJECTED_WAIT: Duration = Duration::from_secs(60);
/// Units that arrived and wait for the gateway's answer.
pub const UNANSWERED_MAX: usize = 64;

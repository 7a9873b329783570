//! What bounds the memory of one peer's presence.

use crate::time::Duration;

/// Pairs of far contact and local subscriber; the one longest unheard of is forgotten for a new one.
pub const PAIRS_MAX: usize = 20_000;
/// Clients of one contact.
pub const RESOURCES_MAX: usize = 16;
/// Pairs of local client and far subscriber to which presence was sent.
pub const SENT_MAX: usize = 20_000;
/// Seats of local users in far rooms.
pub const SEATS_MAX: usize = 5_000;
/// Questions of far sites that wait for an answer.
pub const ASKED_MAX: usize = 5_000;
/// Octets of one presence that is kept; a larger one crosses and is not kept.
pub const BODY_OCTETS_MAX: usize = 8 << 10;
/// Octets of all different presences kept.
pub const BODIES_OCTETS_MAX: usize = 8 << 20;
/// Presence stanzas given out by one wakeup; the next ones come with the next wakeup.
pub const PER_WAKEUP_MAX: usize = 1_000;
/// Contacts between two wakeups that show all of them.
pub const SHOW_AGAIN_AFTER: Duration = Duration::from_secs(1);

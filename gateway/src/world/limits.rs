//! What a world may grow to.

use skywave_protocols::time::Duration;

/// Most steps at one and the same instant: more means that two machines wake each other for ever.
pub const STEPS_AT_ONE_INSTANT_MAX: u32 = 200_000;
/// Most steps of one world.
pub const STEPS_MAX: u64 = 200_000_000;
/// Longest time a world is driven.
pub const WORLD_TIME_MAX: Duration = Duration::from_secs(60 * 86_400);
/// Most lines of one story.
pub const STORY_LINES_MAX: usize = 1_000;
/// Most events of a site that are kept as text for a failing story; older ones are left out.
pub const LOG_LINES_KEPT_MAX: usize = 20_000;
/// Largest mail that a story or seed sends.
pub const STORY_MAIL_OCTETS_MAX: usize = 10_000_000;
/// Tries of a client whose mail was deferred or whose connection broke.
pub const CLIENT_TRIES_MAX: u32 = 500;

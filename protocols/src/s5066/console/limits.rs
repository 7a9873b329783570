//! What bounds the tools of the console.

use crate::time::Duration;

/// Probes of one run that are told apart: so many have a place in the record of what arrived.
pub const PROBES_PER_RUN_MAX: u32 = 1 << 16;
/// Runs that an answering console counts at the same time; the one that was heard of least lately makes room.
pub const RUNS_MAX: usize = 64;
/// Answers that a report lists one by one; all count.
pub const ANSWERS_LISTED_MAX: usize = 1_000;
/// Pings whose answer may still come after they were given up.
pub const LATE_MAX: usize = 64;
/// Outputs that nobody fetched; notes beyond are dropped and counted.
pub const OUTPUTS_MAX: usize = 4_096;
/// How long the far console's count is waited for after the last probe of a run, at least.
pub const COUNT_ASKED_AGAIN: Duration = Duration::from_secs(60);
/// How often it is asked for.
pub const COUNT_ASKED_MAX: u32 = 3;

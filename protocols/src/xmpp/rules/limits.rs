//! What bounds the rules and what they remember.

use crate::time::Duration;

/// Stanza rules of one filter.
pub const RULES_MAX: usize = 500;
/// Entries of one list of a rule: names, addresses, types.
pub const LIST_MAX: usize = 200;
/// Octets of a pattern.
pub const PATTERN_OCTETS_MAX: usize = 512;
/// Rules and folds a profile may be built on.
pub const NAME_OCTETS_MAX: usize = 64;
/// Senders or pairs that the token buckets of one rule remember; beyond it the one longest unused is forgotten, and
/// starts with a full bucket when it comes again.
pub const BUCKETS_MAX: usize = 1000;
/// Requests that were handed on and whose answers may come; of whoever has most, the oldest is forgotten first.
pub const ASKED_MAX: usize = 4096;
/// How long an answer may take: longer than request and answer wait at both sites.
pub const ASKED_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How often what is too old to be answered is forgotten.
pub const ASKED_SWEEP: Duration = Duration::from_secs(3600);
/// Requests whose results a cache rule waits for.
pub const CACHE_WAITING_MAX: usize = 256;
/// Results that a cache rule keeps.
pub const CACHE_RESULTS_MAX: usize = 256;
/// Octets of all results that a filter keeps.
pub const CACHE_OCTETS_MAX: usize = 1 << 20;
/// Octets of one result that is kept.
pub const CACHE_RESULT_OCTETS_MAX: usize = 32 << 10;
/// Notices that wait to be taken; further ones are only counted.
pub const NOTICES_MAX: usize = 100;
/// Names of counters (`count`) of one filter.
pub const COUNTERS_MAX: usize = 200;
/// Characters that `truncate` may leave at most, and the least.
pub const TRUNCATE_CHARACTERS_MAX: usize = 100_000;
/// Characters of the mark at a cut.
pub const MARK_CHARACTERS_MAX: usize = 16;
/// Characters of a text that replaces a body.
pub const REPLACEMENT_CHARACTERS_MAX: usize = 500;
/// Longest span in a rule: a year.
pub const SPAN_SECONDS_MAX: u64 = 366 * 24 * 3600;
/// Groups of labels that share no compression; each has two contexts, and what bears no label and what fits no group has
/// two as well.
pub(crate) const LABEL_GROUPS_MAX: usize = 16;

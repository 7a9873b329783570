//! Limits of the queue.

/// Hops of one lane (link or door) that are held in memory; the rest waits on disk.
pub const ACTIVE_HOPS_MAX: usize = 256;
/// When fewer than this many hops of a lane wait in memory and more are on disk, they are fetched.
pub const ACTIVE_HOPS_LOW: usize = 64;
/// Hops of one lane that are under way: what its link or connections take, and of what is urgent so many more.
pub const UNDER_WAY_HOPS_MAX: usize = 512;
/// Hops under way above which what is urgent waits for room in its link too.
pub const URGENT_HOPS_MAX: usize = 256;
/// Hops of one mail.
pub const HOPS_PER_MAIL_MAX: usize = 1 << 12;
/// Entries in the history of one mail; the middle is left out beyond it.
pub const HISTORY_ENTRIES_MAX: usize = 64;
/// Agenda entries taken at once.
pub const AGENDA_BATCH_MAX: usize = 128;
/// Octets of a remembered reply or reason.
pub const REASON_OCTETS_MAX: usize = 512;
/// Octets of the original that a report returns at most.
pub const RETURNED_OCTETS_MAX: usize = 64 << 10;
/// Batches that are stored again after a failure of the disk.
pub const UNSAVED_BATCHES_MAX: usize = 4096;
/// Mails that a command about all of them reads, and changes, in one step.
pub const PAGE_MAILS_MAX: usize = 256;

//! The limits of the store.

/// Longest body kept as a row, in octets; a longer one is a file. Chosen where SQLite stops being faster than files.
pub const BODY_ROW_OCTETS_MAX: usize = 64 << 10;
/// Octets of a large body that share one checksum: what a damaged octet costs, and the least that a load reads.
pub const BODY_CHUNK_OCTETS: usize = 64 << 10;
/// Octets after which a large body is synced while it is still received, so that its commit has little left to sync.
pub const BODY_SYNC_OCTETS: usize = 4 << 20;
/// Octets of all bodies being received that are held in memory; above it the body at hand goes to its file.
pub const BUFFERED_OCTETS_MAX: usize = 16 << 20;
/// Bodies being received at once; a further one is refused as `Full`.
pub const BODIES_OPEN_MAX: usize = 4096;
/// Batches in one transaction of the writer.
pub const GROUP_BATCHES_MAX: usize = 256;
/// Octets of rows in one transaction of the writer; a single larger batch still goes, alone.
pub const GROUP_OCTETS_MAX: usize = 4 << 20;
/// Requests the writer takes over before it commits what it has.
pub const DRAIN_REQUESTS_MAX: usize = 1024;
/// Pages in the write-ahead log from which it is copied back once nobody waits.
pub const LOG_PAGES_WANTED: u64 = 1000;
/// Pages in the write-ahead log from which it is copied back once those who waited are answered; at twice as many the
/// commit itself does it.
pub const LOG_PAGES_MAX: u64 = 3000;
/// Pages by which the write-ahead log may have grown before it is looked at.
pub const LOG_PAGES_LOOK: u64 = 500;
/// Octets to which the file of the write-ahead log is cut when it begins anew.
pub const LOG_OCTETS_KEPT: u64 = 16 << 20;
/// Damaged rows that are kept for the operator; the oldest give way.
pub const CORRUPT_ROWS_MAX: u32 = 10_000;
/// Memory for pages of the writing and of each reading connection, in KiB.
pub const CACHE_KIB: u32 = 4096;
/// Milliseconds that batches for which nobody waits stand by for one that somebody waits for; begun anew with each of at
/// most [`COMPANY_REQUESTS_MAX`] requests.
pub const COMPANY_MILLISECONDS: u64 = 5;
/// See [`COMPANY_MILLISECONDS`].
pub const COMPANY_REQUESTS_MAX: usize = 64;
/// Milliseconds without a request after which the writer does a piece of housekeeping.
pub const IDLE_MILLISECONDS: u64 = 100;

//! What bounds the data transfer sublayer.

use crate::time::Duration;

/// Frames of the ARQ window at most: half of the frame numbers.
pub const WINDOW_MAX: u16 = 128;
/// Frames of a window of usual size that are kept free for what is urgent, so that a FLASH never waits for it.
pub const WINDOW_RESERVE: u16 = 8;
/// Octets of a C_PDU: the field of non-ARQ D_PDUs has 16 bits.
pub const C_PDU_OCTETS_MAX: usize = 65_535;
/// Nodes whose state is kept; one without link and traffic that was unheard longest goes first.
pub const PEERS_MAX: usize = 256;
/// C_PDUs that wait or are under way.
pub const C_PDUS_MAX: usize = 65_536;
/// Octets of them.
pub const C_PDU_OCTETS_TOTAL_MAX: usize = 64 << 20;
/// D_PDUs in one transmission.
pub const D_PDUS_PER_TRANSMISSION_MAX: usize = 512;
/// Acknowledgements to several nodes in one transmission.
pub const ACKS_PER_TRANSMISSION_MAX: usize = 32;
/// Segments of an expedited C_PDU: its frame numbers start at 0 and do not wrap.
pub const EXPEDITED_SEGMENTS_MAX: usize = 128;
/// Warnings owed to nodes; more are not given.
pub const WARNINGS_MAX: usize = 16;
/// A node is warned at most so often.
pub const WARNING_PAUSE: Duration = Duration::from_secs(20);
/// Management messages that wait for one node.
pub const MANAGEMENT_MESSAGES_MAX: usize = 8;
/// Resets by one node within [`RESETS_SPAN`]; after that its connection counts as lost.
pub const RESETS_MAX: usize = 8;
/// See [`RESETS_MAX`].
pub const RESETS_SPAN: Duration = Duration::from_secs(600);
/// D_PDUs in a row that do not fit the window before it is reset; a single one may have been held up.
pub const DOUBTS_MAX: u8 = 3;
/// Unfinished non-ARQ C_PDUs of one node.
pub const NON_ARQ_PARTIALS_PER_SOURCE_MAX: usize = 64;
/// Unfinished non-ARQ C_PDUs in all.
pub const NON_ARQ_PARTIALS_MAX: usize = 512;
/// Octets of them in all.
pub const NON_ARQ_OCTETS_MAX: usize = 8 << 20;
/// Pieces of one unfinished non-ARQ C_PDU that do not touch.
pub const NON_ARQ_PIECES_MAX: usize = 256;
/// Non-ARQ C_PDUs that are remembered as delivered.
pub const NON_ARQ_REMEMBERED_MAX: usize = 4096;
/// Events that nobody has taken; further received C_PDUs are dropped, unacknowledged where possible.
pub const EVENTS_MAX: usize = 65_536;
/// Longest pause before a silent node is tried again: before that they double, so that no pause is much longer than the
/// silence was,
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(600);
/// and with what is urgent: no FLASH waits longer for its next try, nor for its first.
pub const RETRY_WAIT_URGENT_MAX: Duration = Duration::from_secs(60);
/// A probe takes at most one part in so many of the air: at slow rates it takes long, and others may be there.
pub const PROBE_AIRTIMES: u32 = 10;
/// Answers missing in a row from which that counts: before, it may have been collisions.
pub const MISSES_BEFORE_SLOW: u32 = 5;
/// Shortest pause.
pub const RETRY_WAIT_MIN: Duration = Duration::from_secs(2);
/// Answers missing in a row from which a node is only probed, with one D_PDU.
pub const MISSES_BEFORE_PROBE: u32 = 2;
/// Octets of a segment that is short enough for a probe; where all are longer one of so many is cut.
pub const PROBE_OCTETS: usize = 64;

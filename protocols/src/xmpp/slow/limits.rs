//! Every limit of the slow side, unit last.

use crate::time::Duration;

/// Envelopes that have a short token at one time, per context and direction.
pub const SLOTS_MAX: usize = 24;
/// Longest envelope that gets a short token.
pub const ENVELOPE_OCTETS_MAX: usize = 512;
/// Plain octets that matches may reach back: what is kept of the dictionary and of earlier blocks.
pub const WINDOW_OCTETS_MAX: usize = 16 << 10;
/// Octets of all names put into a dictionary; the rest is left out at both ends alike.
pub const NAMES_OCTETS_MAX: usize = 4 << 10;
/// Octets of text in one block, whatever the configuration says.
pub const BLOCK_TEXT_OCTETS_MAX: usize = 16 << 10;
/// Octets that the deflate stream of one block may inflate to (text may be coded in twice its octets).
pub const BLOCK_CODED_OCTETS_MAX: usize = 2 * BLOCK_TEXT_OCTETS_MAX + 2;
/// Octets out per octet in beyond which a block is taken for a bomb; DEFLATE itself ends at 1,032.
pub const RATIO_MAX: usize = 250;
/// Up to this many octets the ratio does not matter.
pub const RATIO_FREE_OCTETS: usize = 64 << 10;
/// Octets of one stanza on the slow side.
pub const STANZA_OCTETS_MAX: usize = 64 << 10;
/// Blocks of a context that wait for the peer's acknowledgement; numbers have four bits in a header, or eight.
pub const WINDOW_BLOCKS_MAX: usize = 64;
/// So many of them may be told apart by four bits of their numbers.
pub const NEAR_BLOCKS_MAX: usize = 8;
/// A medium whose units are no larger takes each as one U_PDU of STANAG 5066.
pub const RADIO_UNIT_OCTETS_MAX: usize = 2_048;
/// Octets of a unit that fill two segments of D_PDUs with the headers of RCOP, S_PDU and C_PDU.
pub const UNIT_OCTETS_FULL: usize = 2_034;
/// Acknowledged blocks of a context whose rows and ids are still known.
pub const RECENT_BLOCKS_MAX: usize = 64;
/// Highest number of a label: each has two contexts, and a context is one octet in a header.
pub const LABEL_MAX: u8 = 127;
/// Stanzas waiting in one context beyond which an idle link does not linger.
pub const LINGER_STANZAS_MAX: usize = 16;
/// Stanzas that arrived and are not on the disk yet; units beyond are left to be repeated.
pub const ARRIVED_STANZAS_MAX: usize = 4_096;
/// Stanzas that wait for the disk while a batch is being saved, from which on a stream is not read any further.
pub const READ_AHEAD_STANZAS: usize = 64;
/// Octets of a stream that wait to be read; a transport that brings more does not hold back, and begins anew.
pub const HELD_OCTETS_MAX: usize = 1 << 20;
/// Octets of a stream read at a time: of a compressed one (at most 64 KiB of text), and of a plain one.
pub const SLICE_OCTETS_COMPRESSED: usize = 256;
/// See [`SLICE_OCTETS_COMPRESSED`].
pub const SLICE_OCTETS_PLAIN: usize = 4 << 10;
/// Stanzas that are stored and not acknowledged on a stream, from which on an acknowledgement leaves at once: until then
/// they take places in the queue of the peer.
pub const UNTOLD_STANZAS_MAX: usize = 128;
/// How long nothing may come while a unit of a stream is not whole, besides the time of [`STREAM_PIECE_OCTETS`].
pub const STREAM_PIECE_WAIT: Duration = Duration::from_secs(120);
/// Octets of a stream that may come at once after as long as they take.
pub const STREAM_PIECE_OCTETS: u64 = 4 << 10;
/// Shortest time between two ends of a stream that could not be read, if nothing could in between; doubles.
pub const BREAK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How often that time doubles.
pub const BREAK_DOUBLINGS_MAX: u32 = 5;
/// How long an acknowledgement waits that the peer seems to have lost.
pub const ACK_AGAIN_DELAY: Duration = Duration::from_secs(1);
/// Stanzas that wait to be put into blocks; more are refused.
pub const WAITING_STANZAS_MAX: usize = 10_000;
/// Stanzas in one block.
pub const BLOCK_STANZAS_MAX: usize = 64;
/// Original ids remembered for answers that refer to them.
pub const IDS_MAX: usize = 4_096;
/// Longest id that is shortened.
pub const ID_OCTETS_MAX: usize = 256;
/// Earlier instances of a peer whose late units are recognised and dropped.
pub const RETIRED_INSTANCES_MAX: usize = 8;
/// Octets held of a stream whose unit is not complete.
pub const UNIT_OCTETS_MAX: usize = BLOCK_CODED_OCTETS_MAX + 64;
/// Repeats of one block without an answer after which a new epoch begins.
pub const REPEATS_PER_EPOCH_MAX: u32 = 3;
/// Rate up to which blocks are small.
pub const SLOW_BITS_PER_SECOND: u32 = 300;
/// Rate of a stream from which on what may be lost with a side does not wait for its disk.
pub const FAST_BITS_PER_SECOND: u32 = 256_000;
/// Shortest time between two blocks that leave unsaved: each costs more than the stanzas in it.
pub const PASSING_SPACING: Duration = Duration::from_micros(500);
/// On a fast stream, how long what was handed on already waits to be saved with something else.
pub const RECEIVED_WAIT: Duration = Duration::from_millis(5);
/// Numbers of blocks that were acknowledged since as many were reserved, from which on more are.
pub const RESERVE_AGAIN_BLOCKS: u32 = 16;
/// Octets of text in a block up to that rate: at 75 bit/s what follows waits up to 213 s.
pub const BLOCK_OCTETS_SLOW: usize = 2 << 10;
/// Octets of text in a block above that rate.
pub const BLOCK_OCTETS_FAST: usize = 8 << 10;
/// Smallest block, and what a unit may need beside its text.
pub const BLOCK_TEXT_OCTETS_MIN: usize = 64;
/// Octets in whose time on the medium an idle link waits for more stanzas: 2 s at 1200 bit/s, 37 ms at 64 kbit/s.
pub const LINGER_OCTETS: u64 = 300;
/// The longest that an idle link waits for more stanzas, unless configured.
pub const LINGER: Duration = Duration::from_secs(2);
/// The longest that an idle link waits for more where somebody wrote something, unless configured: what comes with it, as a
/// room's copies of it for several of its occupants, leaves with it, but no person is waited for.
pub const LINGER_WRITTEN: Duration = Duration::from_millis(20);
/// For so long after something has arrived an idle link does not wait for more: the node below owes an answer, and what
/// comes in time rides with it.
pub const ANSWERS_FOR: Duration = Duration::from_secs(10);
/// How long an acknowledgement waits for a block to ride on: longer than a person takes to answer.
pub const ACK_DELAY: Duration = Duration::from_secs(90);
/// When a block that was delivered and not acknowledged is repeated. Long: a medium tells what it lost, and a peer that
/// began anew asks; where turns are rare, acknowledgements take many minutes.
pub const REPEAT_AFTER: Duration = Duration::from_secs(900);
/// How often that time doubles.
pub const REPEAT_DOUBLINGS_MAX: u32 = 4;
/// Shortest time between two requests for a new epoch.
pub const ASK_AFTER: Duration = Duration::from_secs(30);
/// After so long an epoch that begins tries the best dictionary again.
pub const LEVEL_AGAIN_AFTER: Duration = Duration::from_secs(600);
/// When a batch that the store refused is tried again.
pub const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Names of single units remembered as taken. More cannot be waiting for the carrier's own note of that: it holds 128 of one
/// sender that are not whole or not taken.
pub const UNITS_TAKEN_KEPT: usize = 256;
/// How long records that are no longer needed wait for a batch to ride on.
pub const TIDY_AFTER: Duration = Duration::from_secs(60);
/// Stanzas after which a peer is asked for its count (XEP-0198).
pub const REQUEST_STANZAS: u32 = 10;
/// Time after which a peer is asked for its count.
pub const REQUEST_AFTER: Duration = Duration::from_secs(60);
/// Headers of the current epoch that a peer may name when it asks for a new one.
pub const TAGS_MAX: usize = 2 * WINDOW_BLOCKS_MAX;

//! What bounds the reassembly of units from segments.

use crate::time::Duration;

/// Octets of one unit at most, unless configured lower.
pub const UNIT_OCTETS_MAX: usize = 16 << 20;
/// Octets held for all unfinished units.
pub const PARTIAL_OCTETS_MAX: usize = 64 << 20;
/// Octets held for the unfinished units of one source.
pub const PARTIAL_OCTETS_PER_SOURCE_MAX: usize = 24 << 20;
/// Unfinished units in all.
pub const PARTIALS_MAX: usize = 256;
/// Unfinished units of one source.
pub const PARTIALS_PER_SOURCE_MAX: usize = 16;
/// What a held segment costs besides its data, in octets.
pub const SEGMENT_COST_OCTETS: usize = 96;
/// An unfinished unit is dropped when nothing new came for this long: at 75 bit/s a segment takes four minutes.
pub const PARTIAL_IDLE: Duration = Duration::from_secs(3600);
/// An unfinished unit is dropped at this age, whatever comes.
pub const PARTIAL_AGE: Duration = Duration::from_secs(24 * 3600);
/// Segments of one unit: the number has 16 bits.
pub const SEGMENTS_MAX: usize = 1 << 16;

//! What bounds a D_PDU: the widths of its fields.

/// Octets of a segment: SIZE has 10 bits.
pub const SEGMENT_OCTETS_MAX: usize = 1023;
/// Octets of selective acknowledgements: a window of 128 frames.
pub const SELECTIVE_OCTETS_MAX: usize = 16;
/// Octets of an extended management message: the header's length has 5 bits.
pub const EXTENDED_OCTETS_MAX: usize = 23;
/// Octets of the part of a type in general: h is at most 31 and counts 6 others.
pub const PART_OCTETS_MAX: usize = 25;
/// Octets of addresses: 7 half-octets each.
pub const ADDRESS_OCTETS_MAX: u8 = 7;
/// Octets of a D_PDU: sync, the longest header, the longest segment and its CRC.
pub const D_PDU_OCTETS_MAX: usize = 2 + 31 + 7 + SEGMENT_OCTETS_MAX + 4;

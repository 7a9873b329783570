//! What bounds a station's link service.

use skywave_protocols::time::Duration;

/// Fragments of one U_PDU: the index is an octet.
pub const FRAGMENTS_MAX: usize = 255;
/// Octets of a U_PDU in one frame.
pub const FRAGMENT_OCTETS_MAX: usize = 1_024;
/// At low rates no fewer, or the headers would eat the air.
pub const FRAGMENT_OCTETS_MIN: usize = 96;
/// Octets of one frame that arrives.
pub const FRAME_OCTETS_MAX: usize = 2048;
/// Records in one acknowledgement frame.
pub const RECORDS_PER_ACK_MAX: usize = 32;
/// Acknowledgement frames in one transmission: what the longest transmission at the highest rate calls for.
pub const ACKS_PER_TRANSMISSION_MAX: usize = 32;
/// Data frames in one transmission; acknowledgements may stand in front of them.
pub const DATA_FRAMES_PER_TRANSMISSION_MAX: usize =
    crate::modem::limits::FRAMES_PER_TRANSMISSION_MAX - ACKS_PER_TRANSMISSION_MAX;
/// Turns that two stations may take in a row before all others get a chance.
pub const TURNS_MAX: u8 = 6;
/// Sources whose state is kept; the one unheard longest goes first.
pub const SOURCES_MAX: usize = 64;
/// U_PDUs of one source that are not whole, or whole and waiting for earlier ones.
pub const PARTIALS_PER_SOURCE_MAX: usize = 1_024;
/// Octets of such U_PDUs of one source.
pub const REASSEMBLY_OCTETS_PER_SOURCE_MAX: usize = 2 << 20;
/// U_PDUs of one source remembered as received, so that repeats are known.
pub const REMEMBERED_PER_SOURCE_MAX: usize = 4096;
/// U_PDUs whose acknowledgement one source is owed.
pub const OWED_PER_SOURCE_MAX: usize = 1_024;
/// A U_PDU of which nothing more arrives is forgotten after this.
pub const PARTIAL_AGE_MAX: Duration = Duration::from_secs(2 * 3600);
/// A U_PDU in the mode with errors is delivered as it is when nothing more of it arrives for this long.
pub const WITH_ERRORS_WAIT: Duration = Duration::from_secs(30);
/// Destinations whose silence is kept in mind.
pub const PEERS_MAX: usize = 256;
/// Octets of one client that may wait in a node, whatever the rate: what two transmissions carry, but no more than this.
pub const QUEUE_OCTETS_MAX: usize = 2 << 20;
/// Parts of U_PDUs are small towards a destination that misses more than one of so many.
pub const LOSSY_ONE_IN: usize = 12;
/// Longest pause before a silent destination is tried again.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);

//! Limits of the modem seam and the simulated channel.

use skywave_protocols::time::Duration;

/// Longest transmission: what the EOT field of a D_PDU can announce (STANAG 5066 section 5.3 of the fact sheet).
pub const TRANSMISSION_SECONDS_MAX: Duration = Duration::from_millis(127_500);
/// Frames in one transmission.
pub const FRAMES_PER_TRANSMISSION_MAX: usize = 4096;
/// Stations on one channel.
pub const STATIONS_MAX: usize = 64;
/// Events a station may leave lying on the channel; older ones are dropped and counted.
pub const EVENTS_WAITING_MAX: usize = 16_384;
/// Frames that went on the air and nobody fetched, where somebody listens in; older ones are dropped.
pub const ON_AIR_WAITING_MAX: usize = 4 * FRAMES_PER_TRANSMISSION_MAX;
/// Steps of the burst process that are played out one by one; after a longer pause the state is drawn afresh.
pub const BURST_STEPS_MAX: u64 = 256;
/// Outages or EMCON periods in a weather file.
pub const PERIODS_MAX: usize = 100_000;
/// Octets of a weather file.
pub const WEATHER_FILE_OCTETS_MAX: usize = 8 << 20;
/// Mistakes of form that are told of one weather file.
pub const MISTAKES_MAX: usize = 64;
/// Octets of one message between processes that share a radio: the longest transmission at 240 kbit/s, and its frames'
/// lengths.
pub const GUEST_MESSAGE_OCTETS_MAX: usize = 4 << 20;
/// Octets of a name or reason in such a message.
pub const GUEST_NAME_OCTETS_MAX: usize = 255;

//! What bounds one stream between servers.

/// Elements of unknown meaning on one stream.
pub const STRANGE_ELEMENTS_MAX: usize = 16;
/// Notices for the log that one stream may cause.
pub const NOTICES_MAX: usize = 16;
/// Attempts at SASL on one stream.
pub const SASL_ATTEMPTS_MAX: u32 = 3;
/// Keys of one stream that are judged at one time.
pub const KEYS_JUDGED_MAX: usize = 64;
/// Domains that one stream may be authenticated for, in each direction.
pub const DOMAINS_MAX: usize = 1024;
/// Keys that one stream asks about at one time.
pub const QUESTIONS_MAX: usize = 256;
/// Octets of a key.
pub const KEY_OCTETS_MAX: usize = 256;
/// The smallest stanza size that a peer may announce: RFC 6120 demands 10,000 octets.
pub const PEER_STANZA_OCTETS_MIN: usize = 10_000;

//! What bounds SMTP. All are octets or counts per connection or per mail; those a site may change are in
//! [`super::limits`], with these as defaults.

use std::time::Duration;

/// Longest command line, CRLF included. RFC 5321 asks for 512, extensions add up to about 1,900.
pub const COMMAND_OCTETS_MAX: usize = 4096;
/// Longest line of DATA, CRLF included. RFC 5321 section 4.5.3.1.6 asks for 1,000; much software writes longer ones.
pub const LINE_OCTETS_MAX: usize = 2048;
/// Longest header of a mail.
pub const HEADER_OCTETS_MAX: usize = 256 << 10;
/// Largest mail accepted unless configured otherwise.
pub const MAIL_OCTETS_MAX: u64 = 64 << 20;
/// Recipients of one mail.
pub const RECIPIENTS_MAX: usize = 1000;
/// Refused commands after which the connection is closed.
pub const ERRORS_MAX: u32 = 20;
/// Commands that lead nowhere (NOOP, RSET, VRFY …) in a row after which the connection is closed.
pub const IDLE_COMMANDS_MAX: u32 = 100;
/// Failed authentications after which the connection is closed.
pub const AUTH_FAILURES_MAX: u32 = 3;
/// A chunk (BDAT) beyond this is not even skipped: the number cannot be meant.
pub const CHUNK_OCTETS_MAX: u64 = 1 << 32;
/// Octets of a mail already refused that are still read before the connection is closed.
pub const SKIPPED_OCTETS_MAX: u64 = 256 << 20;
/// A piece of a body given to the gateway.
pub const BODY_PIECE_OCTETS_MAX: usize = 32 << 10;
/// Octets of body the gateway may owe before reading pauses.
pub const BODY_OUTSTANDING_OCTETS_MAX: usize = 256 << 10;
/// Octets waiting for an answer of the gateway before reading pauses.
pub const INPUT_PAUSE_OCTETS: usize = 16 << 10;
/// Octets waiting beyond which the connection is closed: the shell did not pause.
pub const INPUT_OCTETS_MAX: usize = 4 << 20;
/// Octets of replies not yet taken before reading pauses.
pub const OUTPUT_PAUSE_OCTETS: usize = 64 << 10;
/// Longest line of a reply without its CRLF (RFC 5321 section 4.5.3.1.5 allows 512 with it).
pub const REPLY_LINE_OCTETS_MAX: usize = 500;
/// Longest ENVID (RFC 3461 section 4.4).
pub const ENVID_OCTETS_MAX: usize = 100;
/// Longest ORCPT (RFC 3461 section 4.2).
pub const ORCPT_OCTETS_MAX: usize = 500;

/// A command must be complete within this time (RFC 5321 section 4.5.3.2.7).
pub const COMMAND_WAIT: Duration = Duration::from_secs(300);
/// At least [`BODY_PROGRESS_OCTETS_MIN`] of a body must come within this time (RFC 5321 section 4.5.3.2.5).
pub const BODY_WAIT: Duration = Duration::from_secs(180);
/// See [`BODY_WAIT`].
pub const BODY_PROGRESS_OCTETS_MIN: u64 = 1024;

/// Header fields looked at.
pub const HEADER_FIELDS_MAX: usize = 10_000;

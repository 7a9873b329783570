//! The limits of the SMTP door; how many connections it serves is configured (`connections_max`).

/// Connections that are being told to come again (421), until they are closed. A further one is closed without a word.
pub const REFUSALS_MAX: usize = 64;

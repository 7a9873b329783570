//! UDOP, the unreliable datagram client protocol over non-ARQ, to a node or a group (F.9).
//!
//! Its header is that of RCOP; nothing is confirmed, and segments come as they arrive or not at all.

use super::sis::fields::{DeliveryMode, SapId};

pub use super::rcop::{HEADER_OCTETS, Header};

/// The SAP of UDOP.
pub const SAP: SapId = SapId::UDOP;
/// Non-ARQ, no confirmation, as they arrive.
//= s5066/UDOP-002
pub const MODE: DeliveryMode = DeliveryMode::NON_ARQ;

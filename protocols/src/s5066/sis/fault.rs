//! What can be wrong on the subnetwork interface.

use crate::bytes::WireError;
use crate::fault::{Blame, Fault, Next};

/// A fault of the octet stream or of a primitive in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SisFault {
    /// A frame does not begin with 90 EB.
    #[error("a frame begins with {0:02x} instead of 90 eb")]
    Preamble(u8),
    /// The version octet is not 0.
    #[error("version {0}, only 0 is known")]
    Version(u8),
    /// The size cannot be that of a primitive of this type.
    #[error("type {kind} with size {size}")]
    Size {
        /// The type octet; 0 when the size leaves no room for one.
        kind: u8,
        /// The size field.
        size: u16,
    },
    /// The fields of a primitive do not fit its size, or a field is out of range.
    #[error("type {kind}: {error}")]
    Primitive {
        /// The type octet.
        kind: u8,
        /// What is wrong.
        error: WireError,
    },
}

impl Fault for SisFault {
    fn blame(&self) -> Blame {
        Blame::Peer
    }

    fn next(&self) -> Next {
        Next::CloseLink
    }
}

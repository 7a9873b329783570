//! What can be wrong with PDUs and submissions, whose fault it is and what follows.

use crate::bytes::WireError;
use crate::fault::{Blame, Fault, Next};

/// A fault of this module.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Acp142Fault {
    /// The layout is broken.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// Length_of_PDU says more than arrived.
    #[error("length of PDU says {said}, {arrived} octets arrived")]
    Cut {
        /// The field.
        said: usize,
        /// What arrived.
        arrived: usize,
    },
    /// Neither checksum is right.
    #[error("checksum is wrong")]
    Checksum,
    /// A submission without octets.
    #[error("a message without octets")]
    Empty,
    /// A submission that is too large for one message.
    #[error("{octets} octets, one message takes {limit}")]
    TooLarge {
        /// Its size.
        octets: usize,
        /// The limit.
        limit: usize,
    },
    /// A submission to nobody or to ourselves, or to too many.
    #[error("destinations: {0}")]
    Destinations(&'static str),
    /// A submission whose expiry time has passed.
    #[error("expired before it was submitted")]
    Expired,
    /// Too many messages are being sent.
    #[error("{0} messages are being sent already")]
    Full(usize),
}

impl Fault for Acp142Fault {
    fn blame(&self) -> Blame {
        match self {
            Self::Wire(_) => Blame::Peer,
            Self::Cut { .. } | Self::Checksum => Blame::Link,
            Self::Empty | Self::TooLarge { .. } | Self::Expired => Blame::Sender,
            Self::Destinations(_) => Blame::Operator,
            Self::Full(_) => Blame::Local,
        }
    }

    fn next(&self) -> Next {
        match self {
            Self::Wire(_) | Self::Cut { .. } | Self::Checksum => Next::Ignore,
            Self::Empty | Self::TooLarge { .. } | Self::Expired | Self::Destinations(_) => Next::GiveUp,
            Self::Full(_) => Next::Retry,
        }
    }
}

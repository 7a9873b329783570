//! Why octets from the radio, or a stanza for it, were not taken.

use crate::bytes::WireError;
use crate::fault::{Blame, Fault, Next};

/// A fault of the slow side. None of them closes a link.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SlowFault {
    /// The layout of a unit.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A deflate stream that is none, ends early, or is followed by something.
    #[error("the deflate stream of {octets} octets is damaged")]
    Damaged {
        /// Octets of the stream.
        octets: usize,
    },
    /// More than a block or stanza may hold.
    #[error("a block holds more than {cap} octets")]
    TooLarge {
        /// What was allowed.
        cap: usize,
    },
    /// A short token that stands for nothing.
    #[error("symbol {code} means nothing here")]
    Symbol {
        /// The symbol.
        code: u8,
    },
    /// The digest does not fit: altered, from another epoch, or out of order.
    #[error("the digest of a block does not fit")]
    Digest,
    /// A block for which no epoch is known.
    #[error("context {context} has no epoch")]
    NoEpoch {
        /// The context.
        context: u8,
    },
    /// The peer uses a dictionary that this site does not have.
    #[error("dictionary {digest:06x} is not known here")]
    Dictionary {
        /// Its digest.
        digest: u32,
    },
    /// What a block carried is no stanza.
    #[error("not a stanza: {why}")]
    Stanza {
        /// The reader's words.
        why: String,
    },
    /// A stanza for the radio that no unit of this medium can carry.
    #[error("a stanza of {octets} octets, this medium carries {limit}")]
    StanzaTooLarge {
        /// Octets of it.
        octets: usize,
        /// What the medium carries.
        limit: usize,
    },
    /// More stanzas wait than are kept.
    #[error("{waiting} stanzas wait already")]
    Full {
        /// How many.
        waiting: usize,
    },
}

impl Fault for SlowFault {
    fn blame(&self) -> Blame {
        match self {
            Self::Wire(_) | Self::Damaged { .. } | Self::Digest | Self::NoEpoch { .. } => Blame::Link,
            Self::TooLarge { .. } | Self::Symbol { .. } | Self::Stanza { .. } => Blame::Peer,
            Self::Dictionary { .. } => Blame::Operator,
            Self::StanzaTooLarge { .. } => Blame::Sender,
            Self::Full { .. } => Blame::Local,
        }
    }

    fn next(&self) -> Next {
        match self {
            Self::StanzaTooLarge { .. } => Next::GiveUp,
            Self::Full { .. } => Next::Retry,
            Self::Wire(_)
            | Self::Damaged { .. }
            | Self::TooLarge { .. }
            | Self::Symbol { .. }
            | Self::Digest
            | Self::NoEpoch { .. }
            | Self::Dictionary { .. }
            | Self::Stanza { .. } => Next::Ignore,
        }
    }
}

//! What is wrong with a stream or a stanza, whose fault it is, and the one function that says it as a stream error.

use crate::fault::{Blame, Fault, Next};

/// Why a stream or a stanza is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum XmppFault {
    /// The octets are no XML that XMPP allows; the parser's words.
    #[error("not well formed: {0}")]
    NotWellFormed(String),
    /// XML that XMPP forbids: DTD, processing instruction, comment; the parser's words.
    #[error("restricted XML: {0}")]
    Restricted(String),
    /// Octets that are no UTF-8.
    #[error("octet 0x{0:02x} is no UTF-8 here")]
    NotUtf8(u8),
    /// A prefix that nobody declared.
    #[error("prefix {0} is not declared")]
    UndeclaredPrefix(String),
    /// More octets than one stanza may have.
    #[error("more than {limit} octets in one stanza")]
    TooLarge {
        /// The limit, in octets.
        limit: usize,
    },
    /// Elements nested too deep.
    #[error("elements nested more than {limit} deep")]
    TooDeep {
        /// The limit, in elements.
        limit: usize,
    },
    /// Too many of something in one stanza.
    #[error("more than {limit} {what} in one stanza or element")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A name or value that is too long.
    #[error("{what} longer than {limit} octets")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit, in octets.
        limit: usize,
    },
    /// The first element is no stream header.
    #[error("{{{namespace}}}{name} is no stream header")]
    NotAStream {
        /// Namespace found.
        namespace: String,
        /// Name found.
        name: String,
    },
    /// A stream header where only stanzas may be: all that follows would be inside it.
    #[error("a stream header in mid-stream")]
    SecondHeader,
    /// Text between stanzas.
    #[error("text between stanzas")]
    TextBetween,
    /// An element that is no message, presence or iq.
    #[error("{{{namespace}}}{name} is no stanza")]
    NotAStanza {
        /// Namespace found.
        namespace: String,
        /// Name found.
        name: String,
    },
    /// A stanza without sender or recipient.
    #[error("stanza without {0}")]
    AddressMissing(&'static str),
    /// A sender or recipient that is no address.
    #[error("{attribute} is no address: {why}")]
    AddressBad {
        /// `from` or `to`.
        attribute: &'static str,
        /// The reason in words.
        why: String,
    },
    /// Octets behind the end of what should be one stanza.
    #[error("octets behind the end of the stanza")]
    Trailing,
    /// The octets end inside the stanza.
    #[error("the stanza is not complete")]
    Incomplete,
}

impl Fault for XmppFault {
    fn blame(&self) -> Blame {
        match self {
            Self::NotWellFormed(_)
            | Self::Restricted(_)
            | Self::NotUtf8(_)
            | Self::UndeclaredPrefix(_)
            | Self::TooLarge { .. }
            | Self::TooDeep { .. }
            | Self::TooMany { .. }
            | Self::TooLong { .. }
            | Self::NotAStream { .. }
            | Self::SecondHeader
            | Self::TextBetween
            | Self::NotAStanza { .. }
            | Self::Trailing
            | Self::Incomplete => Blame::Peer,
            Self::AddressMissing(_) | Self::AddressBad { .. } => Blame::Sender,
        }
    }

    fn next(&self) -> Next {
        match self {
            Self::NotAStanza { .. } | Self::AddressMissing(_) | Self::AddressBad { .. } => Next::Ignore,
            Self::NotWellFormed(_)
            | Self::Restricted(_)
            | Self::NotUtf8(_)
            | Self::UndeclaredPrefix(_)
            | Self::TooLarge { .. }
            | Self::TooDeep { .. }
            | Self::TooMany { .. }
            | Self::TooLong { .. }
            | Self::NotAStream { .. }
            | Self::SecondHeader
            | Self::TextBetween
            | Self::Trailing
            | Self::Incomplete => Next::CloseLink,
        }
    }
}

impl XmppFault {
    /// Whether it is a limit: the octets are XML all the same.
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::TooDeep { .. } | Self::TooMany { .. } | Self::TooLong { .. })
    }

    /// The condition of the stream error that tells the peer.
    //= xmpp/STREAM-008
    pub fn condition(&self) -> &'static str {
        match self {
            Self::NotWellFormed(_) | Self::NotUtf8(_) | Self::Incomplete | Self::Trailing => "not-well-formed",
            Self::Restricted(_) => "restricted-xml",
            Self::UndeclaredPrefix(_) => "bad-namespace-prefix",
            Self::TooLarge { .. } | Self::TooDeep { .. } | Self::TooMany { .. } | Self::TooLong { .. } => {
                "policy-violation"
            }
            Self::NotAStream { .. } => "invalid-namespace",
            Self::TextBetween | Self::SecondHeader => "bad-format",
            Self::NotAStanza { .. } => "unsupported-stanza-type",
            Self::AddressMissing(_) | Self::AddressBad { .. } => "improper-addressing",
        }
    }
}

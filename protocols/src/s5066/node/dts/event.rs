//! What the data transfer sublayer tells, and what it counts.

use super::config::CPduNumber;
use crate::bytes::Bytes;
use crate::fault::{Blame, Fault, Next};
use crate::s5066::address::NodeAddress;
use crate::s5066::node::dpdu::Eow;

/// Which service brought a C_PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Brought {
    /// Types 0 and 2.
    Arq,
    /// Type 4.
    ExpeditedArq,
    /// Type 7.
    NonArq,
    /// Type 8.
    ExpeditedNonArq,
}

/// Octets of a C_PDU: where they begin and how many.
pub type Block = (u16, u16);

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DtsEvent {
    /// A C_PDU arrived.
    Received {
        /// Who sent it.
        source: NodeAddress,
        /// To whom: this node or a group.
        destination: NodeAddress,
        /// How it came.
        brought: Brought,
        /// Its octets; those of missing blocks are 0.
        c_pdu: Bytes,
        /// Blocks that came damaged: only without ARQ.
        errored: Vec<Block>,
        /// Blocks that never came: only without ARQ.
        missing: Vec<Block>,
    },
    /// All of a C_PDU with ARQ was acknowledged.
    Delivered(CPduNumber),
    /// The last copy of a C_PDU without ARQ has left.
    Sent(CPduNumber),
    /// A C_PDU was given up.
    Failed {
        /// Which.
        number: CPduNumber,
        /// Why.
        why: SendFault,
        /// Some of it had been on the air, so it may have arrived nevertheless.
        begun: bool,
    },
    /// A node says that it has no connection with us: make one, and submit again.
    PeerUnconnected(NodeAddress),
    /// A node does not answer, or resets without end.
    ConnectionLost(NodeAddress),
    /// An orderwire message came; in management D_PDUs perhaps with an extended message.
    Advised {
        /// Who sent it.
        peer: NodeAddress,
        /// The message.
        eow: Eow,
        /// Octets of the extended message.
        extended: Bytes,
    },
    /// A management message was acknowledged, or given up.
    ManagementDone {
        /// To whom it went.
        peer: NodeAddress,
        /// Whether it was acknowledged.
        acknowledged: bool,
    },
}

/// Why a C_PDU was given up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum SendFault {
    /// ARQ needs a connection.
    #[error("not connected")]
    NotConnected,
    /// The connection ended first.
    #[error("disconnected")]
    Disconnected,
    /// The windows were reset first.
    #[error("the window was reset")]
    Reset,
    /// Its deadline passed.
    #[error("expired")]
    Expired,
    /// It has more than 65,535 octets.
    #[error("too large for a C_PDU")]
    TooLarge,
    /// A group cannot acknowledge.
    #[error("ARQ to a group")]
    Group,
    /// Too much waits already.
    #[error("too much waits")]
    Full,
}

impl Fault for SendFault {
    fn blame(&self) -> Blame {
        match self {
            Self::NotConnected | Self::Disconnected | Self::Reset | Self::Expired => Blame::Link,
            Self::TooLarge | Self::Group => Blame::Sender,
            Self::Full => Blame::Local,
        }
    }

    fn next(&self) -> Next {
        match self {
            Self::NotConnected | Self::Disconnected | Self::Reset | Self::Full => Next::Retry,
            Self::Expired | Self::TooLarge | Self::Group => Next::GiveUp,
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct DtsCounters {
    /// D_PDUs for others.
    pub overheard: u64,
    /// D_PDUs that claim our own address or a group as source.
    pub forged: u64,
    /// D_PDUs that need a connection, from nodes without one.
    pub strangers: u64,
    /// D_PDUs of unknown or impossible form.
    pub invalid: u64,
    /// Segments that came damaged.
    pub damaged: u64,
    /// Segments that had been received before.
    pub repeats: u64,
    /// D_PDUs whose numbers did not fit the window.
    pub out_of_window: u64,
    /// Resets that others commanded.
    pub resets_heard: u64,
    /// Resets that we commanded.
    pub resets_begun: u64,
    /// Warnings heard.
    pub warnings_heard: u64,
    /// Warnings given.
    pub warnings_given: u64,
    /// Segments that were part of no C_PDU, or of one that is too large.
    pub unassembled: u64,
    /// Segments sent for the first time with ARQ.
    pub segments_sent: u64,
    /// Segments sent again with ARQ.
    pub segments_repeated: u64,
    /// Answers that did not come.
    pub answers_missing: u64,
}

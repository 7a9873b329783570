//! What the data transfer sublayer is configured with, and what is handed to it.

use super::limits::WINDOW_MAX;
use super::rate::Rate;
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::node::dpdu::limits::SEGMENT_OCTETS_MAX;
use crate::time::{Duration, Instant};

/// The number of a C_PDU, chosen by whoever submits it, unique among those under way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CPduNumber(pub u64);

/// How a C_PDU is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Selective-repeat ARQ: types 0 to 2.
    Arq {
        /// It comes out after earlier ones of this kind; otherwise as soon as it is whole.
        in_order: bool,
    },
    /// ARQ ahead of that, one C_PDU at a time: types 4 and 5.
    ExpeditedArq,
    /// Never acknowledged: type 7.
    NonArq {
        /// How often it is sent in all: at least 1.
        copies: u8,
    },
    /// Never acknowledged, ahead of the rest: type 8.
    ExpeditedNonArq {
        /// How often it is sent in all: at least 1.
        copies: u8,
    },
}

/// A C_PDU to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sending {
    /// Its number.
    pub number: CPduNumber,
    /// Where it goes: a node, or without ARQ also a group.
    pub destination: NodeAddress,
    /// How.
    pub service: Service,
    /// 0 lowest to 15.
    pub priority: u8,
    /// When it is worth nothing any more.
    pub deadline: Instant,
    /// Its octets: at most 65,535.
    pub c_pdu: Bytes,
}

/// What a transmission may carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Octets it may have.
    pub octets: usize,
    /// Octets that a single D_PDU may have where `octets` is less: what the longest transmission carries.
    pub octets_most: usize,
    /// Octets of a segment at most, as the waveform suggests: 1 to 1023. Observed loss makes them smaller.
    pub segment_octets: usize,
    /// Octets that are lost together: smaller segments would be lost as often.
    pub block_octets: usize,
    /// The same as `segment_octets` for a C_PDU without ARQ that is sent several times: smaller ones let copies fill
    /// each other's gaps.
    pub repeated_segment_octets: usize,
    /// Octets at most of the D_PDU with which the data of a transmission begins, where a new C_PDU is cut for it: what is
    /// heard early can be answered early.
    pub lead_octets: usize,
    /// But not where so many octets or more want the air: by the end of them an answer can be ready all the same.
    pub lead_unless_octets: usize,
    /// Whose turn is answered: it is preferred where two nodes are equally urgent.
    pub partner: Option<NodeAddress>,
    /// What asks for an answer may go out.
    pub arq_allowed: bool,
    /// Nothing but what is owed.
    pub acks_only: bool,
}

impl Plan {
    /// A transmission of so many octets for whatever is most urgent.
    pub const fn new(octets: usize, segment_octets: usize) -> Self {
        Self {
            octets,
            octets_most: octets,
            segment_octets,
            block_octets: 0,
            lead_octets: usize::MAX,
            lead_unless_octets: usize::MAX,
            repeated_segment_octets: segment_octets,
            partner: None,
            arq_allowed: true,
            acks_only: false,
        }
    }
}

/// What the data transfer sublayer of a node is configured with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DtsConfig {
    /// The node's address.
    pub address: NodeAddress,
    /// Groups it belongs to; all stations always belong to 31.255.255.255.
    pub groups: Vec<NodeAddress>,
    /// Frames in the air or unacknowledged: 1 to 128.
    pub window: u16,
    /// Octets of a segment: at most 1023.
    pub segment_octets_max: usize,
    /// No fewer where much is lost, or headers would eat the air.
    pub segment_octets_min: usize,
    /// Answers missing in a row after which a connection counts as lost; `None`: never, its C_PDUs end by their
    /// deadlines. The fact sheet gives no value.
    pub retries: Option<u32>,
    /// Answers missing before a window resynchronisation becomes a full reset, and that a lost connection. The standard
    /// gives no value.
    pub reset_retries: u32,
    /// Repetitions of a management message before the connection counts as lost (C.6.4: 3).
    pub management_retries: u32,
    /// How long a copy of a non-ARQ C_PDU may take to leave: with the number of copies the reception window.
    pub non_arq_copy_wait: Duration,
    /// The rates that may be used, slowest first; empty: the rate is not ours to choose.
    pub rates: Vec<Rate>,
    /// The place of the rate to begin with.
    pub rate_first: usize,
}

impl DtsConfig {
    /// The usual values.
    pub const fn new(address: NodeAddress) -> Self {
        Self {
            address,
            groups: Vec::new(),
            window: WINDOW_MAX,
            segment_octets_max: SEGMENT_OCTETS_MAX,
            segment_octets_min: 48,
            retries: None,
            reset_retries: 3,
            management_retries: 3,
            non_arq_copy_wait: Duration::from_secs(300),
            rates: Vec::new(),
            rate_first: 0,
        }
    }
}

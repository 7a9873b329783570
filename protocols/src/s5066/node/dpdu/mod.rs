//! D_PDUs: what the data transfer sublayers of two nodes say to each other over the modem (C.3, fact sheet 4).
//!
//! ```text
//! 90 EB | TYPE4 EOW11..8 | EOW7..0 | EOT8 | m3 h5 | addresses (m octets) | part of the type | CRC16 | [ segment | CRC32 ]
//! ```
//! [`decode`] reads one D_PDU from its sync octets on; [`split::Splitter`] finds D_PDUs in the octets of a modem.
//! Promises: no octets make the reader panic; a header with a wrong CRC is no D_PDU; a D_PDU whose segment is damaged or
//! cut off is still one, and says so. A part that its type cannot have becomes [`Body::Unknown`], since who sent it is
//! to be warned. Limits: a D_PDU has at most [`limits::D_PDU_OCTETS_MAX`] octets.

mod codec;
mod crc;
pub mod eow;
mod fault;
pub mod limits;
pub mod split;
#[cfg(test)]
mod tests;

pub use codec::{Received, decode};
pub use eow::Eow;
pub use fault::DPduFault;

use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use limits::SELECTIVE_OCTETS_MAX;

/// The octets in front of every D_PDU.
pub const SYNC: [u8; 2] = [0x90, 0xeb];
/// Octets of the header that all types have, with the sync octets and both lengths' octet.
const HEAD_OCTETS: usize = 6;
/// Octets of the CRC of a header.
const HEADER_CRC_OCTETS: usize = 2;
/// Octets of the CRC of a segment.
const SEGMENT_CRC_OCTETS: usize = 4;

/// A D_PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DPdu {
    /// The engineering orderwire message that rides along.
    pub eow: Eow,
    /// End of transmission: half seconds from the first sync octet of this D_PDU to the end of the transmission.
    pub eot: u8,
    /// To whom: a node, or with types 7 and 8 also a group.
    pub destination: NodeAddress,
    /// Who sends it.
    pub source: NodeAddress,
    /// What it says.
    pub body: Body,
}

/// What a D_PDU says, by type (C.3.3 to C.3.12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// 0 DATA-ONLY: a segment with selective ARQ.
    Data(DataPart),
    /// 1 ACK-ONLY.
    Ack(AckPart),
    /// 2 DATA-ACK: both in one.
    DataAck(DataPart, AckPart),
    /// 3 RESET/WIN-RESYNC.
    Reset(ResetPart),
    /// 4 EXPEDITED DATA-ONLY: a segment with ARQ of its own.
    ExpeditedData(ExpeditedPart),
    /// 5 EXPEDITED ACK-ONLY.
    ExpeditedAck(AckPart),
    /// 6 MANAGEMENT: carries an engineering orderwire message with an acknowledgement.
    Management(ManagementPart),
    /// 7 NON-ARQ DATA.
    NonArq(NonArqPart),
    /// 8 EXPEDITED NON-ARQ DATA.
    ExpeditedNonArq(NonArqPart),
    /// 15 WARNING.
    Warning {
        /// The type of the D_PDU that is complained of: 0 to 15.
        received: u8,
        /// Why; see [`WarningReason`] for the values in use: 0 to 15.
        reason: u8,
    },
    /// Types 9 to 14, which Edition 3 reserves; or a defined type with a part that it cannot have.
    Unknown {
        /// The type: 0 to 15.
        kind: u8,
        /// The octets between addresses and CRC: at most 25.
        part: Bytes,
    },
}

/// A segment of a C_PDU with selective ARQ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataPart {
    /// The first segment of its C_PDU.
    pub start: bool,
    /// The last segment of its C_PDU.
    pub end: bool,
    /// The C_PDU is delivered after all earlier ones that also carry this flag: 1 = in order.
    pub in_order: bool,
    /// The receiver discards all segments of this C_PDU; sent without octets.
    pub drop: bool,
    /// The frame number is the sender's upper window edge.
    pub uwe: bool,
    /// The frame number is the sender's lower window edge.
    pub lwe: bool,
    /// The frame sequence number.
    pub fsn: u8,
    /// The octets: at most 1023.
    pub segment: Bytes,
}

/// What was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AckPart {
    /// The receiver's lower window edge: the oldest frame number that was not received.
    pub rx_lwe: u8,
    /// Bit 0 of the first octet stands for the frame after `rx_lwe`, and so on: 0 to 16 octets, the last not 0.
    pub selective: Bytes,
}

/// A reset or resynchronisation of the windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub struct ResetPart {
    /// Both windows go back to their beginning.
    pub full_command: bool,
    /// The receiver of this is asked to resynchronise its transmit window.
    pub tx_window_request: bool,
    /// The receiver of this sets its receive window to `new_rx_lwe`.
    pub rx_window_command: bool,
    /// What was commanded has been done.
    pub ack: bool,
    /// The new lower edge of a receive window.
    pub new_rx_lwe: u8,
    /// The number of this message at its sender; 0 in an acknowledgement.
    pub frame_id: u8,
}

/// A segment of a C_PDU with expedited ARQ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpeditedPart {
    /// The first segment of its C_PDU.
    pub start: bool,
    /// The last segment of its C_PDU.
    pub end: bool,
    /// The number of the C_PDU: 0 to 15.
    pub c_pdu_id: u8,
    /// The number of the segment in its C_PDU.
    pub fsn: u8,
    /// The octets: at most 1023.
    pub segment: Bytes,
}

/// The part of a management D_PDU.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ManagementPart {
    /// The orderwire message in the header, or the extended message, is valid.
    pub valid: bool,
    /// Acknowledges the last management message.
    pub ack: bool,
    /// The number of the message at its sender.
    pub frame_id: u8,
    /// An extended message: 0 to 23 octets.
    pub extended: Option<Bytes>,
}

/// A segment of a C_PDU without ARQ. The group flag follows from the destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NonArqPart {
    /// The C_PDU is delivered after earlier ones that also carry this flag.
    pub in_order: bool,
    /// The number of the C_PDU: 0 to 4095.
    pub c_pdu_id: u16,
    /// Octets of the C_PDU.
    pub c_pdu_size: u16,
    /// Where in the C_PDU the segment belongs, in octets.
    pub offset: u16,
    /// Half seconds after which nothing more of the C_PDU is sent.
    pub window: u16,
    /// The octets: at most 1023.
    pub segment: Bytes,
}

/// Why a node warns another (C.3.12).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum WarningReason {
    /// 0: the type is not known.
    UnrecognisedType = 0,
    /// 1: a D_PDU that needs a connection, from a node without one.
    NotConnected = 1,
    /// 2: the D_PDU is not valid.
    Invalid = 2,
    /// 3: not valid in the present state.
    InvalidForState = 3,
}

impl DPdu {
    /// Octets of the D_PDU on the air, from the sync octets to the last CRC.
    pub fn octets(&self) -> usize {
        let tail = self.body.segment().map_or(0, |segment| segment.len() + SEGMENT_CRC_OCTETS);
        HEAD_OCTETS + usize::from(self.address_octets_min()) + self.body.part_octets() + HEADER_CRC_OCTETS + tail
    }

    /// The fewest octets that hold both addresses: 1 to 7.
    pub const fn address_octets_min(&self) -> u8 {
        let (destination, source) = (self.destination.size_min(), self.source.size_min());
        if destination > source { destination } else { source }
    }
}

impl Body {
    /// The type: 0 to 15.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Data(_) => 0,
            Self::Ack(_) => 1,
            Self::DataAck(..) => 2,
            Self::Reset(_) => 3,
            Self::ExpeditedData(_) => 4,
            Self::ExpeditedAck(_) => 5,
            Self::Management(_) => 6,
            Self::NonArq(_) => 7,
            Self::ExpeditedNonArq(_) => 8,
            Self::Warning { .. } => 15,
            Self::Unknown { kind, .. } => *kind & 0x0f,
        }
    }

    /// The segment, in the types that have one.
    pub const fn segment(&self) -> Option<&Bytes> {
        match self {
            Self::Data(data) | Self::DataAck(data, _) => Some(&data.segment),
            Self::ExpeditedData(data) => Some(&data.segment),
            Self::NonArq(data) | Self::ExpeditedNonArq(data) => Some(&data.segment),
            Self::Ack(_) | Self::Reset(_) | Self::ExpeditedAck(_) | Self::Management(_) => None,
            Self::Warning { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Octets of the part of the type, without segment.
    fn part_octets(&self) -> usize {
        match self {
            Self::Data(_) | Self::Reset(_) | Self::ExpeditedData(_) => 3,
            Self::Ack(ack) | Self::ExpeditedAck(ack) => 1 + ack.selective.len(),
            Self::DataAck(_, ack) => 4 + ack.selective.len(),
            Self::Management(part) => 2 + part.extended.as_ref().map_or(0, Bytes::len),
            Self::NonArq(_) | Self::ExpeditedNonArq(_) => 9,
            Self::Warning { .. } => 1,
            Self::Unknown { part, .. } => part.len(),
        }
    }
}

impl AckPart {
    /// The acknowledgement of all frames before `rx_lwe` and of those `above` it, of which each counts from `rx_lwe`:
    /// 1 to 128; others are left out.
    //= s5066/DTS-006
    pub fn new(rx_lwe: u8, above: impl IntoIterator<Item = u8>) -> Self {
        let mut octets = [0_u8; SELECTIVE_OCTETS_MAX];
        let mut count = 0;
        for distance in above {
            let Some(bit) = usize::from(distance).checked_sub(1) else { continue };
            if let Some(octet) = octets.get_mut(bit / 8) {
                *octet |= 1 << (bit % 8);
                count = count.max(bit / 8 + 1);
            }
        }
        Self { rx_lwe, selective: Bytes::copy_from_slice(&octets[..count]) }
    }

    /// How far above `rx_lwe` the frames are that were received: 1 to 128, ascending.
    pub fn above(&self) -> impl Iterator<Item = u8> + '_ {
        let bits = self.selective.iter().take(SELECTIVE_OCTETS_MAX).enumerate();
        bits.flat_map(|(octet, &value)| {
            (0..8_usize)
                .filter(move |bit| value >> bit & 1 != 0)
                .filter_map(move |bit| u8::try_from(octet * 8 + bit + 1).ok())
        })
    }
}

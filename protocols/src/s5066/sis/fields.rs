//! The meaning types inside S_PRIMITIVEs (A.2.2, fact sheet 1.4).

use serde::{Deserialize, Serialize};

use super::limits::TTL_UNITS_MAX;
use crate::bytes::WireError;
use crate::time::Duration;

/// A service access point of a node: 0 to 15 (F table F-1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct SapId(u8);

impl SapId {
    /// Subnetwork management.
    pub const MANAGEMENT: Self = Self(0);
    /// Formal messages (STANAG 4406 Annex E).
    pub const T_MMHS: Self = Self(2);
    /// Reliable connection-oriented protocol.
    pub const RCOP: Self = Self(6);
    /// Unreliable datagram-oriented protocol.
    pub const UDOP: Self = Self(7);

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// From the low four bits of `value`.
    pub const fn from_low_bits(value: u8) -> Self {
        Self(value & 0x0f)
    }
}

impl TryFrom<u8> for SapId {
    type Error = WireError;

    fn try_from(value: u8) -> Result<Self, WireError> {
        if value < 16 { Ok(Self(value)) } else { Err(out_of_range("sap", value)) }
    }
}

impl From<SapId> for u8 {
    fn from(sap: SapId) -> Self {
        sap.0
    }
}

/// The rank of a client: 0 lowest to 15. Decides who keeps resources and hard links.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Rank(u8);

impl Rank {
    /// For clients authorised to manage the node.
    pub const MANAGER: Self = Self(15);

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// From the low four bits of `value`.
    pub const fn from_low_bits(value: u8) -> Self {
        Self(value & 0x0f)
    }
}

impl TryFrom<u8> for Rank {
    type Error = WireError;

    fn try_from(value: u8) -> Result<Self, WireError> {
        if value < 16 { Ok(Self(value)) } else { Err(out_of_range("rank", value)) }
    }
}

impl From<Rank> for u8 {
    fn from(rank: Rank) -> Self {
        rank.0
    }
}

/// How a U_PDU is carried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransmissionMode {
    /// As the bind said; not valid in a bind.
    Default,
    /// With acknowledgements and repetition by the nodes.
    Arq,
    /// Without acknowledgements; only U_PDUs free of errors are delivered.
    NonArq,
    /// Without acknowledgements; delivered with a list of what is wrong or missing.
    NonArqWithErrors,
    /// To be defined: 4 to 15.
    Reserved(u8),
}

impl TransmissionMode {
    /// From the low four bits of `value`.
    pub const fn from_low_bits(value: u8) -> Self {
        match value & 0x0f {
            0 => Self::Default,
            1 => Self::Arq,
            2 => Self::NonArq,
            3 => Self::NonArqWithErrors,
            other => Self::Reserved(other),
        }
    }

    /// The number: 0 to 15.
    pub const fn number(self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Arq => 1,
            Self::NonArq => 2,
            Self::NonArqWithErrors => 3,
            Self::Reserved(number) => number & 0x0f,
        }
    }
}

/// Which confirmation a client asks for; other than `None` only with ARQ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// None.
    None,
    /// The peer's node has all of it.
    Node,
    /// The peer's node has given it to a client.
    Client,
    /// The value 3, undefined.
    Undefined,
}

impl Confirmation {
    const fn from_low_bits(value: u8) -> Self {
        match value & 3 {
            0 => Self::None,
            1 => Self::Node,
            2 => Self::Client,
            _ => Self::Undefined,
        }
    }
}

/// In which order U_PDUs of one source come out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As they were sent.
    InOrder,
    /// As they arrive.
    AsTheyArrive,
}

/// The delivery attributes of a request: one octet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct DeliveryMode {
    /// How it is carried.
    pub transmission: TransmissionMode,
    /// Which confirmation is asked for.
    pub confirmation: Confirmation,
    /// In which order it comes out.
    pub order: Order,
    /// The flag of the undefined extended field; 0 on sending.
    pub extended: bool,
}

impl DeliveryMode {
    /// As the bind said.
    pub const DEFAULT: Self = Self::new(TransmissionMode::Default, Confirmation::None, Order::InOrder);
    /// ARQ with node delivery confirmation, in order.
    pub const ARQ_NODE: Self = Self::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder);
    /// Non-ARQ, no confirmation, as they arrive.
    pub const NON_ARQ: Self = Self::new(TransmissionMode::NonArq, Confirmation::None, Order::AsTheyArrive);

    /// These attributes without the extended field.
    pub const fn new(transmission: TransmissionMode, confirmation: Confirmation, order: Order) -> Self {
        Self { transmission, confirmation, order, extended: false }
    }

    /// Reads the octet `[TXMODE4|CONF2|ORDER1|EXT1]`. Order bit 0 means in order.
    //= s5066/SIS-005
    pub const fn from_octet(octet: u8) -> Self {
        Self {
            transmission: TransmissionMode::from_low_bits(octet >> 4),
            confirmation: Confirmation::from_low_bits(octet >> 2),
            order: if octet & 2 == 0 { Order::InOrder } else { Order::AsTheyArrive },
            extended: octet & 1 != 0,
        }
    }

    /// The octet.
    //= s5066/SIS-005
    pub const fn octet(self) -> u8 {
        let order = match self.order {
            Order::InOrder => 0,
            Order::AsTheyArrive => 2,
        };
        self.transmission.number() << 4 | (self.confirmation as u8) << 2 | order | self.extended as u8
    }
}

/// What a client binds with: the attributes of requests in mode `Default`, and the repetitions of non-ARQ data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct ServiceType {
    /// The attributes.
    pub mode: DeliveryMode,
    /// How often non-ARQ data is repeated after the first time: 0 to 15.
    pub retransmissions: u8,
}

/// A time to live: 20 bits in units of 2 seconds; 0 is for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct Ttl(u32);

impl Ttl {
    /// No end; the node then uses its own maximum.
    pub const INFINITE: Self = Self(0);

    /// The shortest legal time that is not shorter than `span`, at most 15 days. A span of zero becomes one unit,
    /// as the value 0 would mean for ever.
    //= s5066/SIS-006
    pub fn from_span(span: Duration) -> Self {
        let units = span.as_millis().div_ceil(2000).clamp(1, u128::from(TTL_UNITS_MAX));
        Self(u32::try_from(units).unwrap_or(TTL_UNITS_MAX))
    }

    /// From the low 20 bits of `units`, as they are on the wire.
    pub const fn from_units(units: u32) -> Self {
        Self(units & 0x000f_ffff)
    }

    /// Units of 2 seconds.
    pub const fn units(self) -> u32 {
        self.0
    }

    /// The span; `None` for ever. Values above the legal maximum read as the maximum.
    pub fn span(self) -> Option<Duration> {
        (self.0 != 0).then(|| Duration::from_secs(u64::from(self.0.min(TTL_UNITS_MAX)) * 2))
    }
}

/// What kind of hard link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HardLinkType {
    /// Type 0: a link reservation that all clients share.
    Reservation,
    /// Type 1: partial bandwidth; traffic involves the requesting client at one end.
    Partial,
    /// Type 2: full bandwidth; only the two named clients.
    Full,
    /// Type 3, not defined.
    Undefined,
}

/// The octet and address that name a hard link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HardLink {
    /// Its type.
    pub kind: HardLinkType,
    /// Its priority: 0 lowest to 3.
    pub priority: u8,
    /// The client at the other end; significant only for `Full`.
    pub remote_sap: SapId,
    /// The other node.
    pub node: crate::s5066::address::NodeAddress,
}

impl HardLink {
    /// Reads `[TYPE2|PRIO2|SAP4]` and the address.
    pub(super) const fn from_octets(octet: u8, address: [u8; 4]) -> Self {
        Self {
            kind: match octet >> 6 {
                0 => HardLinkType::Reservation,
                1 => HardLinkType::Partial,
                2 => HardLinkType::Full,
                _ => HardLinkType::Undefined,
            },
            priority: octet >> 4 & 3,
            remote_sap: SapId::from_low_bits(octet),
            node: crate::s5066::address::NodeAddress::from_octets(address),
        }
    }

    /// The octet `[TYPE2|PRIO2|SAP4]`.
    pub const fn octet(self) -> u8 {
        (self.kind as u8) << 6 | (self.priority & 3) << 4 | self.remote_sap.number()
    }
}

const fn out_of_range(field: &'static str, value: u8) -> WireError {
    WireError::OutOfRange { field, value: value as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_of_delivery_mode_and_hard_link_survives() {
        for octet in 0..=255 {
            assert_eq!(DeliveryMode::from_octet(octet).octet(), octet);
            assert_eq!(HardLink::from_octets(octet, [0xe0, 0, 0, 1]).octet(), octet);
        }
        assert_eq!(DeliveryMode::ARQ_NODE.octet(), 0x14);
        assert_eq!(DeliveryMode::NON_ARQ.octet(), 0x22);
    }

    #[test]
    fn ttl_rounds_up_and_is_never_for_ever_by_accident() {
        let table = [(0, 1), (1, 1), (2000, 1), (2001, 2), (600_000, 300), (u64::MAX, TTL_UNITS_MAX)];
        for (millis, units) in table {
            assert_eq!(Ttl::from_span(Duration::from_millis(millis)).units(), units, "{millis}");
        }
        assert_eq!(Ttl::INFINITE.span(), None);
        assert_eq!(Ttl::from_units(u32::MAX).span(), Some(Duration::from_secs(1_296_000)));
    }

    #[test]
    fn sap_and_rank_have_four_bits() {
        assert!(SapId::try_from(16).is_err() && Rank::try_from(16).is_err());
        assert_eq!(SapId::try_from(7), Ok(SapId::UDOP));
    }
}

//! The 27 S_PRIMITIVEs as octets and as meaning, both ways (A.2.1, A.2.2, fact sheet 1.3).
//!
//! Reserved bits are 0 on sending and ignored on receipt. A type above 27 is kept as [`Primitive::Unknown`].

use super::fault::SisFault;
use super::fields::{DeliveryMode, HardLink, Rank, SapId, ServiceType};
use super::frame::{Frame, PREAMBLE, VERSION};
use super::limits::FRAME_HEADER_OCTETS;
use super::reason::{
    Availability, AvailabilityReason, BindRejection, DataRejection, HardLinkEnd, HardLinkRejection, HardLinkStatus,
    UnbindReason,
};
use super::unidata::{Quirks, Returned, UnidataIndication, UnidataRequest, address, size_field};
use crate::bytes::{BufMut, Bytes, BytesMut, Reader, WireError};
use crate::s5066::address::NodeAddress;

/// One S_PRIMITIVE. The names are those of the standard without the leading `S_`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Primitive {
    //= s5066/SIS-003
    /// 1, client to node: attach at a SAP.
    BindRequest {
        /// Where.
        sap: SapId,
        /// With which rank.
        rank: Rank,
        /// With which attributes for requests in the default mode.
        service: ServiceType,
    },
    /// 2, client to node: detach.
    UnbindRequest,
    /// 3, node to client: attached.
    BindAccepted {
        /// Where.
        sap: SapId,
        /// Octets of the largest U_PDU.
        mtu: u16,
    },
    /// 4, node to client: not attached.
    BindRejected(BindRejection),
    /// 5, node to client: detached.
    UnbindIndication(UnbindReason),
    /// 6, client to node: make a hard link.
    HardLinkEstablish(HardLink),
    /// 7, client to node: end the hard link with this node.
    HardLinkTerminate(NodeAddress),
    /// 8, node to client: a hard link is made.
    HardLinkEstablished(HardLinkStatus, HardLink),
    /// 9, node to client: a hard link was refused.
    HardLinkRejected(HardLinkRejection, HardLink),
    /// 10, node to client: a hard link ended.
    HardLinkTerminated(HardLinkEnd, HardLink),
    /// 11, node to client: somebody asks for a hard link.
    HardLinkIndication(HardLinkStatus, HardLink),
    /// 12, client to node: take the hard link.
    HardLinkAccept(HardLink),
    /// 13, client to node: refuse the hard link; reasons are not standardised.
    HardLinkReject(u8, HardLink),
    /// 14, node to client: what the subnetwork can do.
    SubnetAvailability(Availability, AvailabilityReason),
    /// 15, node to client: send again.
    DataFlowOn,
    /// 16, node to client: U_PDUs sent now may be dropped.
    DataFlowOff,
    /// 17, both ways.
    KeepAlive,
    /// 18, client to node.
    ManagementRequest(Management),
    /// 19, node to client.
    ManagementIndication(Management),
    /// 20, client to node: send a U_PDU.
    UnidataRequest(UnidataRequest),
    /// 21, node to client: a U_PDU arrived.
    UnidataIndication(UnidataIndication),
    /// 22, node to client: a U_PDU was delivered as asked.
    UnidataRequestConfirm(Returned),
    /// 23, node to client: a U_PDU was not delivered.
    UnidataRequestRejected(DataRejection, Returned),
    /// 24, client to node: send a U_PDU before all others.
    ExpeditedUnidataRequest(UnidataRequest),
    /// 25, node to client: a U_PDU arrived by the expedited service.
    ExpeditedUnidataIndication(UnidataIndication),
    /// 26, node to client: an expedited U_PDU was delivered as asked.
    ExpeditedUnidataRequestConfirm(Returned),
    /// 27, node to client: an expedited U_PDU was not delivered.
    ExpeditedUnidataRequestRejected(DataRejection, Returned),
    /// A type above 27, or 0.
    Unknown {
        /// The type octet.
        kind: u8,
        /// What follows it.
        body: Bytes,
    },
}

/// A management message, whose contents each product defines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Management {
    /// Its type.
    pub kind: u8,
    /// Its octets.
    pub body: Bytes,
}

impl Primitive {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`SisFault::Primitive`] when the fields do not fit the size.
    //= s5066/SIS-002
    pub fn decode(frame: &Frame, quirks: Quirks) -> Result<Self, SisFault> {
        let (kind, body) = (frame.kind(), frame.body());
        let primitive = match kind {
            1..=5 => decode_session(kind, &body),
            6..=13 => decode_hard_link(kind, &body),
            14..=19 => decode_node(kind, &body),
            20..=27 => decode_data(kind, &body, quirks),
            kind => Ok(Self::Unknown { kind, body }),
        };
        primitive.map_err(|error| SisFault::Primitive { kind, error })
    }

    /// The whole frame, from the preamble on.
    ///
    /// # Errors
    /// [`WireError::OutOfRange`] when a U_PDU or list does not fit the 16-bit size.
    //= s5066/SIS-001
    pub fn encode(&self) -> Result<Bytes, WireError> {
        let mut out = BytesMut::with_capacity(FRAME_HEADER_OCTETS + 32);
        out.put_slice(&[PREAMBLE[0], PREAMBLE[1], VERSION, 0, 0, self.kind()]);
        self.encode_body(&mut out)?;
        let size = size_field("size", out.len() - FRAME_HEADER_OCTETS)?.to_be_bytes();
        out[3..FRAME_HEADER_OCTETS].copy_from_slice(&size);
        Ok(out.freeze())
    }

    /// The type octet.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::BindRequest { .. } => 1,
            Self::UnbindRequest => 2,
            Self::BindAccepted { .. } => 3,
            Self::BindRejected(_) => 4,
            Self::UnbindIndication(_) => 5,
            Self::HardLinkEstablish(_) => 6,
            Self::HardLinkTerminate(_) => 7,
            Self::HardLinkEstablished(..) => 8,
            Self::HardLinkRejected(..) => 9,
            Self::HardLinkTerminated(..) => 10,
            Self::HardLinkIndication(..) => 11,
            Self::HardLinkAccept(_) => 12,
            Self::HardLinkReject(..) => 13,
            Self::SubnetAvailability(..) => 14,
            Self::DataFlowOn => 15,
            Self::DataFlowOff => 16,
            Self::KeepAlive => 17,
            Self::ManagementRequest(_) => 18,
            Self::ManagementIndication(_) => 19,
            Self::UnidataRequest(_) => 20,
            Self::UnidataIndication(_) => 21,
            Self::UnidataRequestConfirm(_) => 22,
            Self::UnidataRequestRejected(..) => 23,
            Self::ExpeditedUnidataRequest(_) => 24,
            Self::ExpeditedUnidataIndication(_) => 25,
            Self::ExpeditedUnidataRequestConfirm(_) => 26,
            Self::ExpeditedUnidataRequestRejected(..) => 27,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    fn encode_body(&self, out: &mut BytesMut) -> Result<(), WireError> {
        match self {
            Self::BindRequest { sap, rank, service } => {
                out.put_u8(sap.number() << 4 | rank.number());
                out.put_slice(&[service.mode.octet(), service.retransmissions << 4]);
            }
            Self::UnbindRequest | Self::DataFlowOn | Self::DataFlowOff | Self::KeepAlive => {}
            Self::BindAccepted { sap, mtu } => {
                out.put_u8(sap.number() << 4);
                out.put_u16(*mtu);
            }
            Self::BindRejected(reason) => out.put_u8(reason.code()),
            Self::UnbindIndication(reason) => out.put_u8(reason.code()),
            Self::HardLinkEstablish(link) | Self::HardLinkAccept(link) => put_link(out, *link),
            Self::HardLinkTerminate(node) => out.put_slice(&node.octets()),
            Self::HardLinkEstablished(status, link) | Self::HardLinkIndication(status, link) => {
                put_coded_link(out, status.code(), *link);
            }
            Self::HardLinkRejected(reason, link) => put_coded_link(out, reason.code(), *link),
            Self::HardLinkTerminated(reason, link) => put_coded_link(out, reason.code(), *link),
            Self::HardLinkReject(reason, link) => put_coded_link(out, *reason, *link),
            Self::SubnetAvailability(status, reason) => out.put_slice(&[status.code(), reason.code()]),
            Self::ManagementRequest(message) | Self::ManagementIndication(message) => {
                out.put_u8(message.kind);
                out.put_slice(&message.body);
            }
            Self::UnidataRequest(request) | Self::ExpeditedUnidataRequest(request) => request.encode(out)?,
            Self::UnidataIndication(indication) | Self::ExpeditedUnidataIndication(indication) => {
                indication.encode(out)?;
            }
            Self::UnidataRequestConfirm(returned) | Self::ExpeditedUnidataRequestConfirm(returned) => {
                returned.encode(0, out)?;
            }
            Self::UnidataRequestRejected(reason, returned)
            | Self::ExpeditedUnidataRequestRejected(reason, returned) => {
                returned.encode(reason.code(), out)?;
            }
            Self::Unknown { body, .. } => out.put_slice(body),
        }
        Ok(())
    }
}

fn decode_session(kind: u8, body: &[u8]) -> Result<Primitive, WireError> {
    let mut reader = Reader::new(body);
    let primitive = match kind {
        1 => {
            let sap_rank = reader.u8()?;
            let mode = DeliveryMode::from_octet(reader.u8()?);
            Primitive::BindRequest {
                sap: SapId::from_low_bits(sap_rank >> 4),
                rank: Rank::from_low_bits(sap_rank),
                service: ServiceType { mode, retransmissions: reader.u8()? >> 4 },
            }
        }
        2 => Primitive::UnbindRequest,
        3 => Primitive::BindAccepted { sap: SapId::from_low_bits(reader.u8()? >> 4), mtu: reader.u16()? },
        4 => Primitive::BindRejected(BindRejection::from_code(reader.u8()?)),
        _ => Primitive::UnbindIndication(UnbindReason::from_code(reader.u8()?)),
    };
    reader.finish()?;
    Ok(primitive)
}

fn decode_hard_link(kind: u8, body: &[u8]) -> Result<Primitive, WireError> {
    let mut reader = Reader::new(body);
    let code = if matches!(kind, 8..=11 | 13) { reader.u8()? } else { 0 };
    if kind == 7 {
        let node = address(&mut reader)?;
        reader.finish()?;
        return Ok(Primitive::HardLinkTerminate(node));
    }
    let link = HardLink::from_octets(reader.u8()?, reader.u32()?.to_be_bytes());
    reader.finish()?;
    Ok(match kind {
        6 => Primitive::HardLinkEstablish(link),
        8 => Primitive::HardLinkEstablished(HardLinkStatus::from_code(code), link),
        9 => Primitive::HardLinkRejected(HardLinkRejection::from_code(code), link),
        10 => Primitive::HardLinkTerminated(HardLinkEnd::from_code(code), link),
        11 => Primitive::HardLinkIndication(HardLinkStatus::from_code(code), link),
        12 => Primitive::HardLinkAccept(link),
        _ => Primitive::HardLinkReject(code, link),
    })
}

fn decode_node(kind: u8, body: &Bytes) -> Result<Primitive, WireError> {
    let mut reader = Reader::new(body);
    let primitive = match kind {
        14 => Primitive::SubnetAvailability(
            Availability::from_code(reader.u8()?),
            AvailabilityReason::from_code(reader.u8()?),
        ),
        15 => Primitive::DataFlowOn,
        16 => Primitive::DataFlowOff,
        17 => Primitive::KeepAlive,
        _ => {
            let message = Management { kind: reader.u8()?, body: body.slice(1..) };
            reader.rest();
            if kind == 18 { Primitive::ManagementRequest(message) } else { Primitive::ManagementIndication(message) }
        }
    };
    reader.finish()?;
    Ok(primitive)
}

//= s5066/SIS-007
//= s5066/SIS-008
fn decode_data(kind: u8, body: &Bytes, quirks: Quirks) -> Result<Primitive, WireError> {
    Ok(match kind {
        20 => Primitive::UnidataRequest(UnidataRequest::decode(body)?),
        21 => Primitive::UnidataIndication(UnidataIndication::decode(body, quirks)?),
        22 => Primitive::UnidataRequestConfirm(Returned::decode(body)?.1),
        24 => Primitive::ExpeditedUnidataRequest(UnidataRequest::decode(body)?),
        25 => Primitive::ExpeditedUnidataIndication(UnidataIndication::decode(body, quirks)?),
        26 => Primitive::ExpeditedUnidataRequestConfirm(Returned::decode(body)?.1),
        kind => {
            let (reason, returned) = Returned::decode(body)?;
            if kind == 23 {
                Primitive::UnidataRequestRejected(reason, returned)
            } else {
                Primitive::ExpeditedUnidataRequestRejected(reason, returned)
            }
        }
    })
}

fn put_link(out: &mut BytesMut, link: HardLink) {
    out.put_u8(link.octet());
    out.put_slice(&link.node.octets());
}

fn put_coded_link(out: &mut BytesMut, code: u8, link: HardLink) {
    out.put_u8(code);
    put_link(out, link);
}

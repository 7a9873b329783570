//! The PDUs of P_MUL: [`Pdu::decode`] from a datagram and [`Pdu::encode`] to one.
//!
//! Promises: a datagram is cut at its Length_of_PDU, so what trails is never read; a PDU that is yielded has a right
//! checksum (either algorithm) and a sound layout. Refuses: datagrams shorter than they say, wrong checksums, lists
//! that do not fit, sequence number 0, octets left over. Keeps: unknown types ([`Pdu::Unknown`]).

use super::ack::Ack;
use super::address::{Address, FecAddress};
use super::checksum::Checksum;
use super::fault::Acp142Fault;
use super::group_pdu::{Announce, GroupNote};
use super::limits::PDU_OCTETS_MAX;
use crate::bytes::{BufMut as _, Reader, WireError};

/// The identity of a node in the multicast network (Source_ID, Destination_ID), mostly written as an IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct NodeId(pub u32);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::net::Ipv4Addr::from_bits(self.0).fmt(f)
    }
}

/// What identifies a message everywhere: who sends it and its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
pub struct MessageId {
    /// The sender.
    pub source: NodeId,
    /// Message_ID (MSID), unique at the sender.
    pub number: u32,
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{:08x}", self.source, self.number)
    }
}

/// The type field of the common header.
pub mod kind {
    /// Data_PDU.
    pub const DATA: u8 = 0x00;
    /// Ack_PDU.
    pub const ACK: u8 = 0x01;
    /// Address_PDU.
    pub const ADDRESS: u8 = 0x02;
    /// Discard_Message_PDU.
    pub const DISCARD: u8 = 0x03;
    /// Announce_PDU.
    pub const ANNOUNCE: u8 = 0x04;
    /// Request_PDU.
    pub const REQUEST: u8 = 0x05;
    /// Reject_PDU.
    pub const REJECT: u8 = 0x06;
    /// Release_PDU.
    pub const RELEASE: u8 = 0x07;
    /// FEC_Address_PDU.
    pub const FEC_ADDRESS: u8 = 0x08;
    /// Extra_Address_PDU.
    pub const EXTRA_ADDRESS: u8 = 0x12;
    /// Extra_FEC_Address_PDU.
    pub const EXTRA_FEC_ADDRESS: u8 = 0x18;
}

/// MAP, "More Address_PDUs": the place of a PDU in its set (bits 7 and 6 of octet 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Map {
    /// The only PDU of the set.
    #[default]
    Only,
    /// The first of several.
    First,
    /// Neither first nor last.
    Middle,
    /// The last of several.
    Last,
}

impl Map {
    /// Place `index` of `count`.
    pub const fn place(index: usize, count: usize) -> Self {
        match (index, index + 1 == count) {
            (0, true) => Self::Only,
            (0, false) => Self::First,
            (_, true) => Self::Last,
            (_, false) => Self::Middle,
        }
    }

    const fn from_bits(bits: u8) -> Self {
        match bits >> 6 {
            0 => Self::Only,
            1 => Self::First,
            2 => Self::Last,
            _ => Self::Middle,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Only => 0,
            Self::First => 0x40,
            Self::Middle => 0xc0,
            Self::Last => 0x80,
        }
    }
}

/// The common header: octets 0 to 7 without length and checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) priority: u8,
    pub(super) map: Map,
    pub(super) kind: u8,
    /// Octets 4 and 5: their meaning depends on the type.
    pub(super) own: u16,
}

/// Data_PDU: one fragment of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data<'a> {
    /// P_MUL priority of the message, 0 highest.
    pub priority: u8,
    /// The message.
    pub message: MessageId,
    /// Sequence number, 1 to 65535.
    pub sequence: u16,
    /// The fragment.
    pub fragment: &'a [u8],
}

/// Discard_Message_PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Discard {
    /// P_MUL priority of the message.
    pub priority: u8,
    /// The message to be dropped.
    pub message: MessageId,
}

/// Any PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pdu<'a> {
    /// A fragment.
    Data(Data<'a>),
    /// An acknowledgement.
    Ack(Ack),
    /// Who shall receive the message.
    Address(Address),
    /// The message is given up.
    Discard(Discard),
    /// A dynamic group is announced.
    Announce(Announce),
    /// A dynamic group is asked for.
    Request(GroupNote),
    /// A request is rejected.
    Reject(GroupNote),
    /// A dynamic group is free again.
    Release(GroupNote),
    /// As Address, with a forward error correction nobody here knows.
    FecAddress(FecAddress),
    /// A type we do not know.
    Unknown {
        /// The type.
        kind: u8,
        /// What follows the common header.
        body: &'a [u8],
    },
}

impl<'a> Pdu<'a> {
    /// Reads one datagram. Octets beyond Length_of_PDU are ignored.
    ///
    /// # Errors
    /// [`Acp142Fault::Cut`], [`Acp142Fault::Checksum`] or [`Acp142Fault::Wire`]; the PDU is to be dropped.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Acp142Fault> {
        let said = usize::from(Reader::new(datagram).u16()?);
        //= acp142/PMUL-012
        let pdu = datagram.get(..said).ok_or(Acp142Fault::Cut { said, arrived: datagram.len() })?;
        let mut reader = Reader::new(pdu);
        reader.u16()?;
        let priority = reader.u8()?;
        let octet = reader.u8()?;
        let header = Header { priority, map: Map::from_bits(octet), kind: octet & 0x3f, own: reader.u16()? };
        reader.u16()?;
        if Checksum::of(pdu).is_none() {
            return Err(Acp142Fault::Checksum);
        }
        Ok(Self::read_body(header, &mut reader)?)
    }

    //= acp142/PMUL-001
    fn read_body(header: Header, reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let pdu = match header.kind {
            kind::DATA => Self::Data(read_data(header, reader)?),
            kind::ACK => Self::Ack(Ack::read(header, reader)?),
            kind::ADDRESS => Self::Address(Address::read(header, reader, false)?),
            kind::EXTRA_ADDRESS => Self::Address(Address::read(header, reader, true)?),
            kind::DISCARD => Self::Discard(Discard { priority: header.priority, message: read_message(reader)? }),
            kind::ANNOUNCE => Self::Announce(Announce::read(header, reader)?),
            kind::REQUEST => Self::Request(GroupNote::read(reader)?),
            kind::REJECT => Self::Reject(GroupNote::read(reader)?),
            kind::RELEASE => Self::Release(GroupNote::read(reader)?),
            kind::FEC_ADDRESS => Self::FecAddress(FecAddress::read(header, reader, false)?),
            kind::EXTRA_FEC_ADDRESS => Self::FecAddress(FecAddress::read(header, reader, true)?),
            kind => Self::Unknown { kind, body: reader.rest() },
        };
        reader.clone().finish()?;
        Ok(pdu)
    }

    /// Writes one datagram. Lists are the caller's to keep within [`PDU_OCTETS_MAX`]; beyond it the PDU is cut and
    /// no receiver will take it.
    pub fn encode(&self, checksum: Checksum) -> Vec<u8> {
        let mut pdu = Vec::with_capacity(64);
        pdu.extend_from_slice(&[0; 8]);
        let header = self.write_body(&mut pdu);
        debug_assert!(pdu.len() <= PDU_OCTETS_MAX, "a PDU of {} octets", pdu.len());
        pdu.truncate(PDU_OCTETS_MAX);
        let length = u16::try_from(pdu.len()).unwrap_or(u16::MAX);
        pdu[0..2].copy_from_slice(&length.to_be_bytes());
        pdu[2] = header.priority;
        pdu[3] = header.map.bits() | header.kind & 0x3f;
        pdu[4..6].copy_from_slice(&header.own.to_be_bytes());
        checksum.seal(&mut pdu);
        pdu
    }

    fn write_body(&self, out: &mut Vec<u8>) -> Header {
        let plain = |kind| Header { priority: 0, map: Map::Only, kind, own: 0 };
        match self {
            Self::Data(data) => {
                write_message(out, data.message);
                out.put_slice(data.fragment);
                Header { priority: data.priority, map: Map::Only, kind: kind::DATA, own: data.sequence }
            }
            Self::Ack(ack) => ack.write(out),
            Self::Address(address) => address.write(out),
            Self::Discard(discard) => {
                write_message(out, discard.message);
                Header { priority: discard.priority, ..plain(kind::DISCARD) }
            }
            Self::Announce(announce) => announce.write(out),
            Self::Request(note) => note.write(out, plain(kind::REQUEST)),
            Self::Reject(note) => note.write(out, plain(kind::REJECT)),
            Self::Release(note) => note.write(out, plain(kind::RELEASE)),
            Self::FecAddress(address) => address.write(out),
            Self::Unknown { kind, body } => {
                out.put_slice(body);
                plain(*kind)
            }
        }
    }
}

fn read_data<'a>(header: Header, reader: &mut Reader<'a>) -> Result<Data<'a>, WireError> {
    let message = read_message(reader)?;
    //= acp142/PMUL-020
    if header.own == 0 {
        return Err(WireError::OutOfRange { field: "sequence number", value: 0 });
    }
    Ok(Data { priority: header.priority, message, sequence: header.own, fragment: reader.rest() })
}

pub(super) fn read_message(reader: &mut Reader<'_>) -> Result<MessageId, WireError> {
    Ok(MessageId { source: NodeId(reader.u32()?), number: reader.u32()? })
}

pub(super) fn write_message(out: &mut Vec<u8>, message: MessageId) {
    out.put_u32(message.source.0);
    out.put_u32(message.number);
}

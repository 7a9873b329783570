//! Address_PDU, FEC_Address_PDU and their Extra forms: who shall receive a message, in how many Data_PDUs, until when.
//!
//! FEC parameters are kept as octets: no code is agreed, so such messages are counted and never delivered.

use super::limits::{ADDRESS_HEADER_OCTETS, DESTINATION_OCTETS};
use super::pdu::{Header, Map, MessageId, NodeId, kind, read_message, write_message};
use crate::bytes::{BufMut as _, Bytes, Reader, WireError};

/// One Destination_Entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The receiver.
    pub node: NodeId,
    /// Message_Sequence_Number: consecutive for each pair of sender and receiver.
    pub sequence: u32,
    /// The reserved field; we send none.
    pub reserved: Bytes,
}

/// Address_PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// An Extra_Address_PDU: read and counted, never sent; nothing is delivered by it.
    pub extra: bool,
    /// P_MUL priority of the message.
    pub priority: u8,
    /// Place in the set of Address_PDUs of this message.
    pub map: Map,
    /// The message.
    pub message: MessageId,
    /// Total_Number_of_PDUs: Data_PDUs of the whole message.
    pub total: u16,
    /// Expiry_Time in seconds since 1970-01-01 UTC.
    pub expiry: u32,
    /// The receivers; none at all is the final acknowledgement of the acknowledgements.
    pub destinations: Vec<Destination>,
}

impl Address {
    /// How many destinations fit into one Address_PDU of `pdu_octets_max`; at least 1.
    pub fn destinations_per_pdu(pdu_octets_max: usize) -> usize {
        (pdu_octets_max.saturating_sub(ADDRESS_HEADER_OCTETS) / DESTINATION_OCTETS).max(1)
    }

    /// Whether it is the final Ack-Ack.
    pub fn is_final(&self) -> bool {
        self.destinations.is_empty() && self.map == Map::Only
    }

    pub(super) fn read(header: Header, reader: &mut Reader<'_>, extra: bool) -> Result<Self, WireError> {
        let message = read_message(reader)?;
        let expiry = reader.u32()?;
        let destinations = read_destinations(reader)?;
        let Header { priority, map, kind: _, own: total } = header;
        Ok(Self { extra, priority, map, message, total, expiry, destinations })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Header {
        write_message(out, self.message);
        out.put_u32(self.expiry);
        write_destinations(out, &self.destinations);
        let kind = if self.extra { kind::EXTRA_ADDRESS } else { kind::ADDRESS };
        Header { priority: self.priority, map: self.map, kind, own: self.total }
    }
}

/// FEC_Address_PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FecAddress {
    /// What it shares with Address_PDU.
    pub address: Address,
    /// FEC_ID.
    pub code: u8,
    /// The parameters of the code; at most 255 octets.
    pub parameters: Bytes,
}

impl FecAddress {
    pub(super) fn read(header: Header, reader: &mut Reader<'_>, extra: bool) -> Result<Self, WireError> {
        let message = read_message(reader)?;
        let expiry = reader.u32()?;
        let length = usize::from(reader.u8()?);
        let code = reader.u8()?;
        let parameters = Bytes::copy_from_slice(reader.take(length)?);
        let destinations = read_destinations(reader)?;
        let Header { priority, map, kind: _, own: total } = header;
        Ok(Self { address: Address { extra, priority, map, message, total, expiry, destinations }, code, parameters })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Header {
        let Address { extra, priority, map, message, total, expiry, ref destinations } = self.address;
        write_message(out, message);
        out.put_u32(expiry);
        let parameters = &self.parameters[..self.parameters.len().min(255)];
        out.put_u8(parameters.len() as u8);
        out.put_u8(self.code);
        out.put_slice(parameters);
        write_destinations(out, destinations);
        Header { priority, map, kind: if extra { kind::EXTRA_FEC_ADDRESS } else { kind::FEC_ADDRESS }, own: total }
    }
}

//= acp142/PMUL-013
fn read_destinations(reader: &mut Reader<'_>) -> Result<Vec<Destination>, WireError> {
    let count = usize::from(reader.u16()?);
    let reserved = usize::from(reader.u16()?);
    // Nothing is reserved for a count the octets cannot hold.
    let needed = count * (DESTINATION_OCTETS + reserved);
    if needed > reader.left() {
        return Err(WireError::Truncated { offset: reader.offset(), needed, left: reader.left() });
    }
    (0..count)
        .map(|_| {
            Ok(Destination {
                node: NodeId(reader.u32()?),
                sequence: reader.u32()?,
                reserved: Bytes::copy_from_slice(reader.take(reserved)?),
            })
        })
        .collect()
}

fn write_destinations(out: &mut Vec<u8>, destinations: &[Destination]) {
    let reserved = destinations.first().map_or(0, |first| first.reserved.len());
    out.put_u16(u16::try_from(destinations.len()).unwrap_or(u16::MAX));
    out.put_u16(u16::try_from(reserved).unwrap_or(u16::MAX));
    for destination in destinations {
        out.put_u32(destination.node.0);
        out.put_u32(destination.sequence);
        // One length holds for all entries.
        let mut field = destination.reserved.to_vec();
        field.resize(reserved, 0);
        out.put_slice(&field);
    }
}

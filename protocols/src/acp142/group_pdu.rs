//! The PDUs of dynamic multicast groups: Announce, and Request, Reject and Release, which share one layout.

use super::pdu::{Header, Map, MessageId, NodeId, kind, read_message, write_message};
use crate::bytes::{BufMut as _, Reader, WireError};

/// Announce_PDU: these nodes shall join the group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announce {
    /// Place in the set.
    pub map: Map,
    /// The announced message.
    pub message: MessageId,
    /// Expiry_Time in seconds since 1970-01-01 UTC.
    pub expiry: u32,
    /// Announced_Multicast_Group, an IPv4 address.
    pub group: u32,
    /// Who shall join.
    pub destinations: Vec<NodeId>,
}

impl Announce {
    pub(super) fn read(header: Header, reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let message = read_message(reader)?;
        let (expiry, group) = (reader.u32()?, reader.u32()?);
        let count = usize::from(header.own);
        if count * 4 > reader.left() {
            return Err(WireError::Truncated { offset: reader.offset(), needed: count * 4, left: reader.left() });
        }
        let destinations = (0..count).map(|_| reader.u32().map(NodeId)).collect::<Result<_, _>>()?;
        Ok(Self { map: header.map, message, expiry, group, destinations })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Header {
        write_message(out, self.message);
        out.put_u32(self.expiry);
        out.put_u32(self.group);
        self.destinations.iter().for_each(|node| out.put_u32(node.0));
        let own = u16::try_from(self.destinations.len()).unwrap_or(u16::MAX);
        Header { priority: 0, map: self.map, kind: kind::ANNOUNCE, own }
    }
}

/// Request_PDU, Reject_PDU and Release_PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupNote {
    /// Whose request it is; in a Reject_PDU the rejected request's.
    pub message: MessageId,
    /// The multicast group, an IPv4 address.
    pub group: u32,
}

impl GroupNote {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { message: read_message(reader)?, group: reader.u32()? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>, header: Header) -> Header {
        write_message(out, self.message);
        out.put_u32(self.group);
        header
    }
}

//! Priorities as a link's sites have agreed to write them. Inside the engine they are 6 − MT-PRIORITY (RFC 8494 section
//! 4), and so they are on the wire where nothing else is configured.

use super::config::EngineConfig;
use super::pdu::Pdu;
use crate::message::precedence::Precedence;

impl EngineConfig {
    /// A PDU as it goes out.
    pub(super) fn encode(&self, mut pdu: Pdu<'_>) -> Vec<u8> {
        if let (Some(table), Some(priority)) = (&self.priorities, pdu.priority_mut()) {
            *priority = table[Precedence::from_p_mul(*priority) as usize];
        }
        pdu.encode(self.checksum)
    }

    /// A PDU that came, with priorities of our own.
    pub(super) fn read<'a>(&self, mut pdu: Pdu<'a>) -> Pdu<'a> {
        if let (Some(table), Some(priority)) = (&self.priorities, pdu.priority_mut()) {
            *priority = Precedence::at_least(table, *priority).mt_priority().p_mul();
        }
        pdu
    }
}

impl Pdu<'_> {
    const fn priority_mut(&mut self) -> Option<&mut u8> {
        match self {
            Self::Data(pdu) => Some(&mut pdu.priority),
            Self::Address(pdu) => Some(&mut pdu.priority),
            Self::FecAddress(pdu) => Some(&mut pdu.address.priority),
            Self::Ack(pdu) => Some(&mut pdu.priority),
            Self::Discard(pdu) => Some(&mut pdu.priority),
            Self::Announce(_) | Self::Request(_) | Self::Reject(_) | Self::Release(_) | Self::Unknown { .. } => None,
        }
    }
}

//! C_PDUs: S_PDUs on a channel, and the making and breaking of physical links (B.3, fact sheet section 3).
//!
//! ```text
//! 0 DATA           00 S_PDU
//! 1 LINK REQUEST   [1|RIDE3 LINK1] (NUMBER16)    LINK: 0 nonexclusive, 1 exclusive
//! 2 LINK ACCEPTED  [2|0 RIDE3] (NUMBER16)
//! 3 LINK REJECTED  [3|REASON4]
//! 4 LINK BREAK     [4|REASON4]
//! 5 BREAK CONFIRM  50
//! ```
//! NUMBER is ours and stands only where RIDE, three bits that the standard leaves unused, is 7: between two nodes of ours
//! that let data ride with the request it tells a repeated request from one for a new link
//! (`docs/adr/0047-data-says-on-which-link-it-rides.md`). Promises: no octets make the reader panic; reserved bits are
//! sent as 0 and ignored. Refuses: the types 6 to 15, octets left over behind the types 1 to 5, the number 0.

use crate::bytes::{BufMut as _, Bytes, BytesMut, Reader, WireError};
use crate::s5066::sis::reason::codes;

/// Octets in front of the S_PDU of a DATA C_PDU.
pub const DATA_HEADER_OCTETS: usize = 1;
/// Octets of the longest C_PDU about a link.
pub const LINK_OCTETS_MAX: usize = 3;
/// All bits of RIDE: a number follows.
const RIDE: u8 = 7;

/// A C_PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CPdu {
    /// 0: an S_PDU.
    Data(Bytes),
    /// 1 to 5: about the physical link.
    Link(LinkMessage),
}

/// What the channel access sublayers of two nodes say to each other: C_PDUs 1 to 5.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LinkMessage {
    /// 1: make a link.
    Request {
        /// For a hard link, instead of a soft link.
        exclusive: bool,
        /// 0 for none, as by the standard; any other where data rides with the request.
        number: u16,
    },
    /// 2: it is made.
    Accepted {
        /// That of the request.
        number: u16,
    },
    /// 3: it is refused.
    Rejected(LinkRejection),
    /// 4: it is broken.
    Break(LinkBreak),
    /// 5: the break was heard.
    BreakConfirm,
}

codes! {
    /// Why a physical link was rejected; 4 bits.
    LinkRejection {
        /// No reason is given.
        Unknown = 0, "reason not given";
        /// The node only broadcasts.
        BroadcastOnly = 1, "broadcast-only node";
        /// A request of higher priority is pending.
        HigherPriority = 2, "link request of higher priority pending";
        /// It has an exclusive link.
        Exclusive = 3, "node supports an exclusive link";
    }
}

codes! {
    /// Why a physical link was broken; 4 bits.
    LinkBreak {
        /// No reason is given.
        Unknown = 0, "reason not given";
        /// The layer above asked for it.
        HigherLayer = 1, "request of the higher layer";
        /// The node broadcasts from now on.
        Broadcast = 2, "switching to broadcast mode";
        /// A request of higher priority is pending.
        HigherPriority = 3, "link request of higher priority pending";
        /// There is nothing to send any more.
        NoMoreData = 4, "no more data";
    }
}

impl CPdu {
    /// The octets.
    //= s5066/CPDU-001
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Data(s_pdu) => {
                let mut out = BytesMut::with_capacity(DATA_HEADER_OCTETS + s_pdu.len());
                out.put_u8(0);
                out.put_slice(s_pdu);
                out.freeze()
            }
            Self::Link(message) => message.encode(),
        }
    }

    /// Reads a C_PDU.
    ///
    /// # Errors
    /// Its type is none of Edition 3, it is empty or too long.
    //= s5066/CPDU-001
    pub fn decode(octets: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(octets);
        let first = reader.u8()?;
        if first >> 4 == 0 {
            return Ok(Self::Data(octets.slice(DATA_HEADER_OCTETS..)));
        }
        let mut message = LinkMessage::from_octet(first)?;
        if let Some(number) = message.number_mut(first)
            && reader.left() > 0
        {
            *number = reader.u16()?;
            if *number == 0 {
                return Err(WireError::OutOfRange { field: "number of a link", value: 0 });
            }
        }
        reader.finish()?;
        Ok(Self::Link(message))
    }
}

impl LinkMessage {
    /// The whole C_PDU.
    //= s5066/CPDU-002
    pub fn encode(self) -> Bytes {
        let (first, number) = match self {
            Self::Request { exclusive, number: 0 } => (0x10 | u8::from(exclusive), 0),
            Self::Request { exclusive, number } => (0x10 | RIDE << 1 | u8::from(exclusive), number),
            Self::Accepted { number: 0 } => (0x20, 0),
            Self::Accepted { number } => (0x20 | RIDE, number),
            Self::Rejected(reason) => (0x30 | reason.code() & 0x0f, 0),
            Self::Break(reason) => (0x40 | reason.code() & 0x0f, 0),
            Self::BreakConfirm => (0x50, 0),
        };
        let mut out = BytesMut::with_capacity(LINK_OCTETS_MAX);
        out.put_u8(first);
        if number != 0 {
            out.put_u16(number);
        }
        out.freeze()
    }

    /// Where the number goes that may stand behind a first octet.
    const fn number_mut(&mut self, first: u8) -> Option<&mut u16> {
        match self {
            Self::Request { number, .. } if first >> 1 & RIDE == RIDE => Some(number),
            Self::Accepted { number } if first & RIDE == RIDE => Some(number),
            Self::Request { .. } | Self::Accepted { .. } => None,
            Self::Rejected(_) | Self::Break(_) | Self::BreakConfirm => None,
        }
    }

    //= s5066/CPDU-002
    const fn from_octet(octet: u8) -> Result<Self, WireError> {
        Ok(match octet >> 4 {
            1 => Self::Request { exclusive: octet & 1 != 0, number: 0 },
            2 => Self::Accepted { number: 0 },
            3 => Self::Rejected(LinkRejection::from_code(octet & 0x0f)),
            4 => Self::Break(LinkBreak::from_code(octet & 0x0f)),
            5 => Self::BreakConfirm,
            other => return Err(WireError::OutOfRange { field: "type of C_PDU", value: other as u64 }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_of_the_figures_both_ways() {
        let rows: [(CPdu, &[u8]); 10] = [
            (CPdu::Data(Bytes::from_static(&[0x40])), &[0x00, 0x40]),
            (CPdu::Data(Bytes::new()), &[0x00]),
            (CPdu::Link(LinkMessage::Request { exclusive: false, number: 0 }), &[0x10]),
            (CPdu::Link(LinkMessage::Request { exclusive: true, number: 0 }), &[0x11]),
            (CPdu::Link(LinkMessage::Request { exclusive: false, number: 0x1234 }), &[0x1e, 0x12, 0x34]),
            (CPdu::Link(LinkMessage::Accepted { number: 0 }), &[0x20]),
            (CPdu::Link(LinkMessage::Accepted { number: 5 }), &[0x27, 0, 5]),
            (CPdu::Link(LinkMessage::Rejected(LinkRejection::Exclusive)), &[0x33]),
            (CPdu::Link(LinkMessage::Break(LinkBreak::NoMoreData)), &[0x44]),
            (CPdu::Link(LinkMessage::BreakConfirm), &[0x50]),
        ];
        for (c_pdu, octets) in rows {
            assert_eq!(c_pdu.encode(), octets);
            assert_eq!(CPdu::decode(&Bytes::from_static(octets)), Ok(c_pdu));
        }
        for wrong in [
            &[][..],
            &[0x10, 0],
            &[0x1e, 1],
            &[0x1e, 0, 0],
            &[0x27, 0, 1, 2],
            &[0x25, 0, 1],
            &[0x50, 1],
            &[0x60],
            &[0xf0],
        ] {
            assert!(CPdu::decode(&Bytes::copy_from_slice(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_octet_alone_is_read_or_refused() {
        for octet in 0..=255_u8 {
            let read = CPdu::decode(&Bytes::copy_from_slice(&[octet]));
            assert_eq!(read.is_ok(), octet < 0x60, "{octet:#x}");
            if let Ok(c_pdu) = read {
                assert_eq!(c_pdu.encode()[0] >> 4, octet >> 4);
            }
        }
    }
}

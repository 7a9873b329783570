//! RCOP, the reliable client protocol over ARQ (F.8), and the 6-octet header it shares with UDOP.
//!
//! Header: `[CONNECTION4|0]`, U_PDU id, segment number (16 bits), application id (16 bits); then application data.
//! There is no end mark: a unit is either one U_PDU, or says its length itself.

use super::sis::fields::{DeliveryMode, SapId};
use crate::bytes::{BufMut, Bytes, BytesMut, Reader, WireError};

/// Octets of the header.
pub const HEADER_OCTETS: usize = 6;
/// The SAP of RCOP.
pub const SAP: SapId = SapId::RCOP;
/// ARQ with node delivery confirmation, in order.
//= s5066/RCOP-002
pub const MODE: DeliveryMode = DeliveryMode::ARQ_NODE;

/// The header of RCOP and UDOP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Header {
    /// Tells concurrent connections of one SAP apart: 0 to 15; 0 is the first or only one.
    pub connection: u8,
    /// Counts the units of a connection; all segments of a unit have the same.
    pub u_pdu_id: u8,
    /// Counts the segments of a unit from 0.
    pub segment: u16,
    /// What the data is (table F-4). Never tells connections apart.
    pub application: u16,
}

impl Header {
    /// Reads the header and yields the application data behind it. The reserved bits are ignored.
    ///
    /// # Errors
    /// [`WireError::Truncated`] below 6 octets.
    //= s5066/RCOP-001
    //= s5066/UDOP-001
    pub fn decode(u_pdu: &Bytes) -> Result<(Self, Bytes), WireError> {
        let mut reader = Reader::new(u_pdu);
        let header = Self {
            connection: reader.u8()? >> 4,
            u_pdu_id: reader.u8()?,
            segment: reader.u16()?,
            application: reader.u16()?,
        };
        Ok((header, u_pdu.slice(HEADER_OCTETS..)))
    }

    /// The U_PDU with this header and `data`. Connection ids above 15 are cut to four bits.
    //= s5066/RCOP-001
    //= s5066/UDOP-001
    pub fn encode(&self, data: &[u8]) -> Bytes {
        let mut u_pdu = BytesMut::with_capacity(HEADER_OCTETS + data.len());
        u_pdu.put_slice(&[self.connection << 4, self.u_pdu_id]);
        u_pdu.put_u16(self.segment);
        u_pdu.put_u16(self.application);
        u_pdu.put_slice(data);
        u_pdu.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_both_ways() {
        let table: [(Header, &[u8], &[u8]); 3] = [
            (
                Header { connection: 0, u_pdu_id: 1, segment: 0, application: 0x8001 },
                b"HELLO",
                b"\x00\x01\x00\x00\x80\x01HELLO",
            ),
            (
                Header { connection: 3, u_pdu_id: 255, segment: 1, application: 0x8001 },
                b"PART2",
                b"\x30\xff\x00\x01\x80\x01PART2",
            ),
            (Header { connection: 15, u_pdu_id: 0, segment: 0xffff, application: 0 }, b"", &[0xf0, 0, 255, 255, 0, 0]),
        ];
        for (header, data, octets) in table {
            assert_eq!(header.encode(data), octets);
            assert_eq!(Header::decode(&Bytes::from_static(octets)), Ok((header, Bytes::from_static(data))));
        }
    }

    #[test]
    fn short_u_pdus_are_refused_and_reserved_bits_ignored() {
        for octets in 0..HEADER_OCTETS {
            assert!(Header::decode(&vec![0; octets].into()).is_err());
        }
        let (header, _) = Header::decode(&Bytes::from_static(&[0x3f, 0, 0, 0, 0, 0])).unwrap();
        assert_eq!(header.connection, 3);
    }
}

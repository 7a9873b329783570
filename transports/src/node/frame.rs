//! The private air frame of the first form of the node. It goes away with the S_PDU, C_PDU and D_PDU layers.
//!
//! ```text
//! data  [KIND4|FLAGS4] [TURN4|PRIO4] source32 destination32 unit16 [SRC SAP4|DST SAP4] index8 count8 (after16) part crc32
//! ack   [KIND4|0000]   [TURN4|0000]  source32 destination32 records8 { unit16 status8 (count8 bitmap) }  crc32
//! ```
//! Kinds: 1 data with ARQ, 2 data without, 3 acknowledgement. Flags: 1 expedited, 2 hard-link message, 4 `after` is
//! present, 8 deliver with errors. A *unit* is the sender's number of a U_PDU; `after` names the unit that has to come
//! out before it. The CRC is CRC-32 (ISO-HDLC) over all octets before it, highest octet first. Promises: no octets make
//! the reader panic; a wrong CRC, an impossible field or octets left over make no frame.

use crc::{CRC_32_ISO_HDLC, Crc};
use skywave_protocols::bytes::{BufMut as _, Bytes, BytesMut, Reader, WireError};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::fields::SapId;

use super::limits::{FRAGMENT_OCTETS_MAX, FRAME_OCTETS_MAX, RECORDS_PER_ACK_MAX};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const CRC_OCTETS: usize = 4;
/// Octets of a data frame besides its part.
pub const DATA_OVERHEAD_OCTETS: usize = 15 + 2 + CRC_OCTETS;
/// Octets of an acknowledgement frame besides its records.
pub const ACK_OVERHEAD_OCTETS: usize = 11 + CRC_OCTETS;

const KIND_ARQ: u8 = 1;
const KIND_NON_ARQ: u8 = 2;
const KIND_ACK: u8 = 3;
const FLAG_EXPEDITED: u8 = 1;
const FLAG_HARD_LINK: u8 = 2;
const FLAG_AFTER: u8 = 4;
const FLAG_WITH_ERRORS: u8 = 8;

/// A frame on the air.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AirFrame {
    /// A part of a U_PDU.
    Data(DataFrame),
    /// What was received.
    Ack(AckFrame),
}

/// A part of a U_PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataFrame {
    /// Who sends it.
    pub source: NodeAddress,
    /// To whom.
    pub destination: NodeAddress,
    /// Turns since the channel was last free for all: 0 to 15.
    pub turn: u8,
    /// 0 to 15.
    pub priority: u8,
    /// The sender's number of the U_PDU.
    pub unit: u16,
    /// The unit that has to come out before this one.
    pub after: Option<u16>,
    /// An acknowledgement is asked for.
    pub arq: bool,
    /// Came by the expedited service.
    pub expedited: bool,
    /// An S_PDU about a hard link instead of a client's U_PDU.
    pub hard_link: bool,
    /// Delivered with parts missing, rather than not at all.
    pub with_errors: bool,
    /// The client there.
    pub source_sap: SapId,
    /// The client here.
    pub sap: SapId,
    /// Which part: 0 to `count` − 1.
    pub index: u8,
    /// How many there are: at least 1.
    pub count: u8,
    /// Its octets.
    pub part: Bytes,
}

/// What was received of the units of one source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AckFrame {
    /// Who received.
    pub source: NodeAddress,
    /// Whose units they are.
    pub destination: NodeAddress,
    /// See [`DataFrame::turn`].
    pub turn: u8,
    /// The units.
    pub records: Vec<AckRecord>,
}

/// What was received of one unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AckRecord {
    /// Its number.
    pub unit: u16,
    /// How far it is.
    pub status: AckStatus,
}

/// How far a unit is at the receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AckStatus {
    /// These parts have arrived; an empty list says that nothing is left of it and it must be sent anew.
    Partial(Vec<bool>),
    /// It was given to its client.
    Delivered,
    /// There is no client at its SAP; it was dropped.
    NotBound,
    /// It is whole and waits for an earlier one.
    Held,
}

impl AckRecord {
    /// Octets of the record in a frame.
    pub fn octets(&self) -> usize {
        match &self.status {
            AckStatus::Partial(parts) => 4 + parts.len().div_ceil(8),
            AckStatus::Delivered | AckStatus::NotBound | AckStatus::Held => 3,
        }
    }
}

impl AirFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// It is no frame of ours, or was damaged.
    pub fn decode(octets: &[u8]) -> Result<Self, WireError> {
        if octets.len() > FRAME_OCTETS_MAX {
            return Err(WireError::OutOfRange { field: "frame octets", value: octets.len() as u64 });
        }
        let body_octets = octets.len().checked_sub(CRC_OCTETS).unwrap_or(octets.len());
        let mut reader = Reader::new(octets);
        let body = reader.take(body_octets)?;
        let crc = reader.u32()?;
        if CRC.checksum(body) != crc {
            return Err(WireError::OutOfRange { field: "crc", value: crc.into() });
        }
        let mut reader = Reader::new(body);
        let (first, second) = (reader.u8()?, reader.u8()?);
        let source = address(&mut reader)?;
        let destination = address(&mut reader)?;
        let turn = second >> 4;
        match first >> 4 {
            kind @ (KIND_ARQ | KIND_NON_ARQ) => {
                let envelope = Envelope { arq: kind == KIND_ARQ, flags: first & 0x0f, second, source, destination };
                Ok(Self::Data(decode_data(reader, &envelope)?))
            }
            KIND_ACK => Ok(Self::Ack(AckFrame { source, destination, turn, records: decode_records(reader)? })),
            kind => Err(WireError::OutOfRange { field: "kind of frame", value: kind.into() }),
        }
    }

    /// The octets of the frame.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(FRAGMENT_OCTETS_MAX + DATA_OVERHEAD_OCTETS);
        match self {
            Self::Data(data) => data.encode(&mut out),
            Self::Ack(ack) => ack.encode(&mut out),
        }
        out.put_u32(CRC.checksum(&out));
        out.freeze()
    }
}

struct Envelope {
    arq: bool,
    flags: u8,
    second: u8,
    source: NodeAddress,
    destination: NodeAddress,
}

impl DataFrame {
    fn encode(&self, out: &mut BytesMut) {
        let kind = if self.arq { KIND_ARQ } else { KIND_NON_ARQ };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(self.expedited, FLAG_EXPEDITED)
            | flag(self.hard_link, FLAG_HARD_LINK)
            | flag(self.after.is_some(), FLAG_AFTER)
            | flag(self.with_errors, FLAG_WITH_ERRORS);
        out.put_slice(&[kind << 4 | flags, self.turn << 4 | self.priority & 0x0f]);
        out.put_slice(&self.source.octets());
        out.put_slice(&self.destination.octets());
        out.put_u16(self.unit);
        out.put_slice(&[self.source_sap.number() << 4 | self.sap.number(), self.index, self.count]);
        if let Some(after) = self.after {
            out.put_u16(after);
        }
        out.put_slice(&self.part);
    }
}

impl AckFrame {
    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&[KIND_ACK << 4, self.turn << 4]);
        out.put_slice(&self.source.octets());
        out.put_slice(&self.destination.octets());
        let records = &self.records[..self.records.len().min(RECORDS_PER_ACK_MAX)];
        out.put_u8(u8::try_from(records.len()).unwrap_or(u8::MAX));
        for record in records {
            out.put_u16(record.unit);
            match &record.status {
                AckStatus::Partial(parts) => {
                    out.put_slice(&[0, u8::try_from(parts.len()).unwrap_or(u8::MAX)]);
                    for chunk in parts.chunks(8) {
                        let bit = |(number, &set): (usize, &bool)| u8::from(set) << number;
                        out.put_u8(chunk.iter().enumerate().map(bit).fold(0, |octet, bit| octet | bit));
                    }
                }
                AckStatus::Delivered => out.put_u8(1),
                AckStatus::NotBound => out.put_u8(2),
                AckStatus::Held => out.put_u8(3),
            }
        }
    }
}

fn decode_data(mut reader: Reader<'_>, envelope: &Envelope) -> Result<DataFrame, WireError> {
    let unit = reader.u16()?;
    let saps = reader.u8()?;
    let (index, count) = (reader.u8()?, reader.u8()?);
    if index >= count {
        return Err(WireError::OutOfRange { field: "index of part", value: index.into() });
    }
    let has = |flag| envelope.flags & flag != 0;
    let after = if has(FLAG_AFTER) { Some(reader.u16()?) } else { None };
    let part = reader.rest();
    if part.len() > FRAGMENT_OCTETS_MAX {
        return Err(WireError::OutOfRange { field: "octets of part", value: part.len() as u64 });
    }
    Ok(DataFrame {
        source: envelope.source,
        destination: envelope.destination,
        turn: envelope.second >> 4,
        priority: envelope.second & 0x0f,
        unit,
        after,
        arq: envelope.arq,
        expedited: has(FLAG_EXPEDITED),
        hard_link: has(FLAG_HARD_LINK),
        with_errors: has(FLAG_WITH_ERRORS),
        source_sap: SapId::from_low_bits(saps >> 4),
        sap: SapId::from_low_bits(saps),
        index,
        count,
        part: Bytes::copy_from_slice(part),
    })
}

fn decode_records(mut reader: Reader<'_>) -> Result<Vec<AckRecord>, WireError> {
    let count = usize::from(reader.u8()?);
    if count > RECORDS_PER_ACK_MAX {
        return Err(WireError::OutOfRange { field: "records", value: count as u64 });
    }
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let unit = reader.u16()?;
        let status = match reader.u8()? {
            0 => {
                let parts = usize::from(reader.u8()?);
                let bitmap = reader.take(parts.div_ceil(8))?;
                AckStatus::Partial((0..parts).map(|part| bitmap[part / 8] >> (part % 8) & 1 != 0).collect())
            }
            1 => AckStatus::Delivered,
            2 => AckStatus::NotBound,
            3 => AckStatus::Held,
            other => return Err(WireError::OutOfRange { field: "status", value: other.into() }),
        };
        records.push(AckRecord { unit, status });
    }
    reader.finish()?;
    Ok(records)
}

fn address(reader: &mut Reader<'_>) -> Result<NodeAddress, WireError> {
    Ok(NodeAddress::from_octets(reader.u32()?.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data() -> impl Strategy<Value = AirFrame> {
        let head = (any::<u32>(), any::<u32>(), 0_u8..16, 0_u8..16, any::<u16>(), any::<Option<u16>>());
        let tail =
            (any::<[bool; 4]>(), any::<u8>(), 0_u8..254, any::<u8>(), prop::collection::vec(any::<u8>(), 0..512));
        (head, tail).prop_map(
            |((source, destination, turn, priority, unit, after), (flags, saps, index, more, part))| {
                AirFrame::Data(DataFrame {
                    source: NodeAddress::individual(source),
                    destination: NodeAddress::group(destination),
                    turn,
                    priority,
                    unit,
                    after,
                    arq: flags[0],
                    expedited: flags[1],
                    hard_link: flags[2],
                    with_errors: flags[3],
                    source_sap: SapId::from_low_bits(saps >> 4),
                    sap: SapId::from_low_bits(saps),
                    index,
                    count: index.saturating_add(1).max(more),
                    part: part.into(),
                })
            },
        )
    }

    fn ack() -> impl Strategy<Value = AirFrame> {
        let status = prop_oneof![
            prop::collection::vec(any::<bool>(), 0..255).prop_map(AckStatus::Partial),
            Just(AckStatus::Delivered),
            Just(AckStatus::NotBound),
            Just(AckStatus::Held),
        ];
        let record = (any::<u16>(), status).prop_map(|(unit, status)| AckRecord { unit, status });
        (any::<u32>(), 0_u8..16, prop::collection::vec(record, 0..RECORDS_PER_ACK_MAX)).prop_map(
            |(bits, turn, records)| {
                let source = NodeAddress::individual(bits);
                AirFrame::Ack(AckFrame { source, destination: NodeAddress::individual(!bits), turn, records })
            },
        )
    }

    proptest! {
        #[test]
        fn both_ways(frame in prop_oneof![data(), ack()]) {
            let octets = frame.encode();
            let records = match &frame {
                AirFrame::Data(data) => data.part.len() + DATA_OVERHEAD_OCTETS - if data.after.is_some() { 0 } else { 2 },
                AirFrame::Ack(ack) => ACK_OVERHEAD_OCTETS + ack.records.iter().map(AckRecord::octets).sum::<usize>(),
            };
            prop_assert_eq!(octets.len(), records);
            prop_assert_eq!(AirFrame::decode(&octets), Ok(frame));
        }

        #[test]
        fn damage_is_seen(frame in prop_oneof![data(), ack()], bit: prop::sample::Index, cut: prop::sample::Index) {
            let mut octets = frame.encode().to_vec();
            prop_assert!(AirFrame::decode(&octets[..cut.index(octets.len())]).is_err());
            let bit = bit.index(octets.len() * 8);
            octets[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(AirFrame::decode(&octets).is_err());
        }

        #[test]
        fn any_octets_with_a_good_crc_do_no_harm(mut octets in prop::collection::vec(any::<u8>(), 0..80)) {
            octets.extend(CRC.checksum(&octets).to_be_bytes());
            if let Ok(frame) = AirFrame::decode(&octets) {
                prop_assert_eq!(AirFrame::decode(&frame.encode()), Ok(frame));
            }
        }
    }
}

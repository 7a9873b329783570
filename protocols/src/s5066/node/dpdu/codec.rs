//! D_PDUs to octets and back.

use super::limits::{
    ADDRESS_OCTETS_MAX, EXTENDED_OCTETS_MAX, PART_OCTETS_MAX, SEGMENT_OCTETS_MAX, SELECTIVE_OCTETS_MAX,
};
use super::{
    AckPart, Body, DPdu, DPduFault, DataPart, Eow, ExpeditedPart, HEADER_CRC_OCTETS, ManagementPart, NonArqPart,
    ResetPart, SEGMENT_CRC_OCTETS, SYNC, crc,
};
use crate::bytes::{BufMut as _, Bytes, BytesMut, Reader, WireError};
use crate::s5066::address::NodeAddress;

/// h counts four octets in front of the addresses and the CRC.
const HEADER_OTHER_OCTETS: usize = 4 + HEADER_CRC_OCTETS;

/// A D_PDU that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// The D_PDU.
    pub pdu: DPdu,
    /// The segment is whole and its CRC right; `true` where there is no segment. Otherwise the octets of the segment
    /// are as they came, perhaps fewer than announced.
    pub segment_intact: bool,
    /// Octets of its addresses: 1 to 7.
    pub address_octets: u8,
    /// Octets it took up, from its sync octets on.
    pub octets: usize,
}

/// Reads the D_PDU at the beginning of `octets`; what follows it is left alone.
///
/// # Errors
/// No sync octets, a header that is cut off, impossible or damaged. A damaged segment is no error.
//= s5066/DTS-001
pub fn decode(octets: &[u8]) -> Result<Received, DPduFault> {
    let mut reader = Reader::new(octets);
    if reader.take(SYNC.len())? != SYNC {
        return Err(DPduFault::NoSync);
    }
    let mut lengths = reader.clone();
    let sizes = lengths.take(4)?[3];
    let (addresses, header) = (sizes >> 5, sizes & 0x1f);
    let Some(part_octets) = usize::from(header).checked_sub(HEADER_OTHER_OCTETS).filter(|_| addresses > 0) else {
        return Err(DPduFault::Sizes { addresses, header });
    };
    let head = reader.take(4 + usize::from(addresses) + part_octets)?;
    //= s5066/DTS-003
    if reader.take(HEADER_CRC_OCTETS)? != crc::header(head) {
        return Err(DPduFault::HeaderCrc);
    }
    let (kind, eow) = (head[0] >> 4, Eow { kind: head[0] & 0x0f, data: head[1] });
    let (address_part, part) = head[4..].split_at(usize::from(addresses));
    let (destination, source) = addresses_of(address_part);
    let mut found = Found { segment: &mut reader, intact: true, group: false };
    let body = found.body(kind, part).unwrap_or_else(|_| Body::Unknown { kind, part: Bytes::copy_from_slice(part) });
    let (segment_intact, group) = (found.intact, found.group);
    let destination = if group { NodeAddress::group(destination) } else { NodeAddress::individual(destination) };
    let pdu = DPdu { eow, eot: head[2], destination, source: NodeAddress::individual(source), body };
    Ok(Received { pdu, segment_intact, address_octets: addresses, octets: reader.offset() })
}

/// Octets that the D_PDU at the beginning of `octets` has, if its header stands there and is right.
pub(super) fn announced_octets(octets: &[u8]) -> Result<usize, DPduFault> {
    let received = decode(octets)?;
    let missing = if received.segment_intact { 0 } else { announced_segment(octets, &received.pdu.body) };
    Ok(received.octets.max(missing))
}

/// Where the segment ends by what the header says, in octets from the sync.
fn announced_segment(octets: &[u8], body: &Body) -> usize {
    let (Some(&sizes), Some(_)) = (octets.get(5), body.segment()) else { return 0 };
    let header = 2 + usize::from(sizes >> 5) + usize::from(sizes & 0x1f);
    let part = 6 + usize::from(sizes >> 5);
    let size = |at: usize| usize::from(octets.get(at).copied().unwrap_or_default());
    header + ((size(part) & 3) << 8 | size(part + 1)) + SEGMENT_CRC_OCTETS
}

/// Destination and source out of 2 m half-octets.
fn addresses_of(octets: &[u8]) -> (u32, u32) {
    let mut nibbles = octets.iter().flat_map(|octet| [octet >> 4, octet & 0x0f]);
    let mut address = || nibbles.by_ref().take(octets.len()).fold(0_u32, |bits, nibble| bits << 4 | u32::from(nibble));
    let destination = address();
    (destination, address())
}

/// Reads the part of a type, and the segment behind the header where the type has one.
struct Found<'a, 'b> {
    segment: &'a mut Reader<'b>,
    intact: bool,
    group: bool,
}

impl Found<'_, '_> {
    fn body(&mut self, kind: u8, part: &[u8]) -> Result<Body, WireError> {
        let mut reader = Reader::new(part);
        let body = match kind {
            0 => Body::Data(self.data(&mut reader)?),
            1 => Body::Ack(ack(&mut reader)?),
            2 => {
                let mut data = data_head(&mut reader)?;
                let ack = ack(&mut reader)?;
                self.fill(&mut data.0.segment, data.1);
                Body::DataAck(data.0, ack)
            }
            3 => Body::Reset(reset(&mut reader)?),
            4 => Body::ExpeditedData(self.expedited(&mut reader)?),
            5 => Body::ExpeditedAck(ack(&mut reader)?),
            6 => Body::Management(management(&mut reader)?),
            7 => Body::NonArq(self.non_arq(&mut reader)?),
            8 => Body::ExpeditedNonArq(self.non_arq(&mut reader)?),
            15 => {
                let octet = reader.u8()?;
                reader.clone().finish()?;
                Body::Warning { received: octet >> 4, reason: octet & 0x0f }
            }
            other => return Err(WireError::OutOfRange { field: "type of D_PDU", value: other.into() }),
        };
        Ok(body)
    }

    fn data(&mut self, reader: &mut Reader<'_>) -> Result<DataPart, WireError> {
        let (mut data, size) = data_head(reader)?;
        reader.clone().finish()?;
        self.fill(&mut data.segment, size);
        Ok(data)
    }

    fn expedited(&mut self, reader: &mut Reader<'_>) -> Result<ExpeditedPart, WireError> {
        let (first, low, fsn) = (reader.u8()?, reader.u8()?, reader.u8()?);
        reader.clone().finish()?;
        let bit = |bit: u8| first >> bit & 1 != 0;
        let c_pdu_id = first >> 2 & 0x0f;
        let mut data = ExpeditedPart { start: bit(7), end: bit(6), c_pdu_id, fsn, segment: Bytes::new() };
        self.fill(&mut data.segment, size_of(first, low));
        Ok(data)
    }

    //= s5066/DTS-004
    fn non_arq(&mut self, reader: &mut Reader<'_>) -> Result<NonArqPart, WireError> {
        let (first, low, id) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let (c_pdu_size, offset, window) = (reader.u16()?, reader.u16()?, reader.u16()?);
        reader.clone().finish()?;
        self.group = first & 4 != 0;
        let c_pdu_id = u16::from(first >> 4) << 8 | u16::from(id);
        let in_order = first & 8 != 0;
        let mut data = NonArqPart { in_order, c_pdu_id, c_pdu_size, offset, window, segment: Bytes::new() };
        self.fill(&mut data.segment, size_of(first, low));
        Ok(data)
    }

    /// Takes the segment behind the header, as far as it is there.
    fn fill(&mut self, segment: &mut Bytes, size: usize) {
        let there = size.min(self.segment.left());
        let octets = self.segment.take(there).unwrap_or_default();
        let crc = self.segment.take(SEGMENT_CRC_OCTETS.min(self.segment.left())).unwrap_or_default();
        self.intact = there == size && crc == crc::segment(octets);
        *segment = Bytes::copy_from_slice(octets);
    }
}

fn size_of(high: u8, low: u8) -> usize {
    usize::from(high & 3) << 8 | usize::from(low)
}

/// The head of a data part and the size of its segment.
fn data_head(reader: &mut Reader<'_>) -> Result<(DataPart, usize), WireError> {
    let (first, low, fsn) = (reader.u8()?, reader.u8()?, reader.u8()?);
    let bit = |bit: u8| first >> bit & 1 != 0;
    let part = DataPart {
        start: bit(7),
        end: bit(6),
        in_order: bit(5),
        drop: bit(4),
        uwe: bit(3),
        lwe: bit(2),
        fsn,
        segment: Bytes::new(),
    };
    Ok((part, size_of(first, low)))
}

fn ack(reader: &mut Reader<'_>) -> Result<AckPart, WireError> {
    let rx_lwe = reader.u8()?;
    let selective = reader.rest();
    if selective.len() > SELECTIVE_OCTETS_MAX {
        return Err(WireError::OutOfRange { field: "selective octets", value: selective.len() as u64 });
    }
    Ok(AckPart { rx_lwe, selective: Bytes::copy_from_slice(selective) })
}

fn reset(reader: &mut Reader<'_>) -> Result<ResetPart, WireError> {
    let (flags, new_rx_lwe, frame_id) = (reader.u8()?, reader.u8()?, reader.u8()?);
    reader.clone().finish()?;
    let bit = |bit: u8| flags >> bit & 1 != 0;
    Ok(ResetPart {
        full_command: bit(3),
        tx_window_request: bit(2),
        rx_window_command: bit(1),
        ack: bit(0),
        new_rx_lwe,
        frame_id,
    })
}

fn management(reader: &mut Reader<'_>) -> Result<ManagementPart, WireError> {
    let (flags, frame_id) = (reader.u8()?, reader.u8()?);
    let extended = if flags & 4 == 0 {
        reader.clone().finish()?;
        None
    } else {
        Some(Bytes::copy_from_slice(reader.rest()))
    };
    Ok(ManagementPart { valid: flags & 2 != 0, ack: flags & 1 != 0, frame_id, extended })
}

impl DPdu {
    /// The octets on the air. What is too long for its field is cut: a segment after 1023 octets.
    pub fn encode(&self) -> Bytes {
        self.encode_with_addresses(self.address_octets_min())
    }

    /// The octets on the air with addresses of so many octets, at least as many as they need and at most 7.
    //= s5066/DTS-001
    pub fn encode_with_addresses(&self, address_octets: u8) -> Bytes {
        let m = address_octets.clamp(self.address_octets_min(), ADDRESS_OCTETS_MAX);
        let mut out = BytesMut::with_capacity(self.octets() + usize::from(m));
        out.put_slice(&SYNC);
        out.put_slice(&[self.body.kind() << 4 | self.eow.kind & 0x0f, self.eow.data, self.eot, 0]);
        self.put_addresses(&mut out, m);
        let part = out.len();
        self.put_part(&mut out);
        let h = HEADER_OTHER_OCTETS + out.len() - part;
        out[5] = m << 5 | h as u8 & 0x1f;
        let crc = crc::header(&out[SYNC.len()..]);
        out.put_slice(&crc);
        if let Some(segment) = self.body.segment() {
            let segment = &segment[..segment.len().min(SEGMENT_OCTETS_MAX)];
            out.put_slice(segment);
            out.put_slice(&crc::segment(segment));
        }
        out.freeze()
    }

    fn put_addresses(&self, out: &mut BytesMut, m: u8) {
        let width = u32::from(m) * 4;
        let both = u64::from(self.destination.bits()) << width | u64::from(self.source.bits());
        let octets = both.to_be_bytes();
        out.put_slice(&octets[octets.len() - usize::from(m)..]);
    }

    fn put_part(&self, out: &mut BytesMut) {
        match &self.body {
            Body::Data(data) => put_data(out, data),
            Body::Ack(ack) | Body::ExpeditedAck(ack) => put_ack(out, ack),
            Body::DataAck(data, ack) => {
                put_data(out, data);
                put_ack(out, ack);
            }
            Body::Reset(reset) => {
                let flags = [reset.ack, reset.rx_window_command, reset.tx_window_request, reset.full_command];
                out.put_slice(&[bits(flags), reset.new_rx_lwe, reset.frame_id]);
            }
            Body::ExpeditedData(data) => {
                let flags = bits([data.end, data.start]) << 6 | (data.c_pdu_id & 0x0f) << 2;
                put_sized(out, flags, &data.segment);
                out.put_u8(data.fsn);
            }
            Body::Management(part) => {
                out.put_slice(&[bits([part.ack, part.valid, part.extended.is_some()]), part.frame_id]);
                let extended = part.extended.as_deref().unwrap_or_default();
                out.put_slice(&extended[..extended.len().min(EXTENDED_OCTETS_MAX)]);
            }
            Body::NonArq(data) | Body::ExpeditedNonArq(data) => {
                let flags = (data.c_pdu_id >> 4 & 0xf0) as u8 | bits([self.destination.is_group(), data.in_order]) << 2;
                put_sized(out, flags, &data.segment);
                out.put_u8((data.c_pdu_id & 0xff) as u8);
                out.put_u16(data.c_pdu_size);
                out.put_u16(data.offset);
                out.put_u16(data.window);
            }
            Body::Warning { received, reason } => out.put_u8(received << 4 | reason & 0x0f),
            Body::Unknown { part, .. } => out.put_slice(&part[..part.len().min(PART_OCTETS_MAX)]),
        }
    }
}

/// Flags as bits, the first in bit 0.
fn bits<const N: usize>(flags: [bool; N]) -> u8 {
    flags.iter().enumerate().fold(0, |octet, (bit, &flag)| octet | u8::from(flag) << bit)
}

fn put_data(out: &mut BytesMut, data: &DataPart) {
    let flags = bits([data.lwe, data.uwe, data.drop, data.in_order, data.end, data.start]) << 2;
    put_sized(out, flags, &data.segment);
    out.put_u8(data.fsn);
}

fn put_ack(out: &mut BytesMut, ack: &AckPart) {
    out.put_u8(ack.rx_lwe);
    out.put_slice(&ack.selective[..ack.selective.len().min(SELECTIVE_OCTETS_MAX)]);
}

/// Flags with the size of a segment in their two lowest bits, and in the octet that follows.
fn put_sized(out: &mut BytesMut, flags: u8, segment: &Bytes) {
    let size = segment.len().min(SEGMENT_OCTETS_MAX);
    out.put_slice(&[flags | (size >> 8) as u8, (size & 0xff) as u8]);
}

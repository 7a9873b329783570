//! The primitives that carry U_PDUs: requests, indications, and what became of a request (fact sheet 1.6 to 1.8).

use super::fields::{DeliveryMode, SapId, TransmissionMode, Ttl};
use super::reason::DataRejection;
use crate::bytes::{BufMut, Bytes, BytesMut, Reader, WireError};
use crate::s5066::address::NodeAddress;

/// How to read what products do differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quirks {
    /// Old products put two zero counters (4 octets) into every indication, whatever its mode. They are accepted
    /// where the sizes fit exactly so.
    pub counters_in_every_indication: bool,
}

/// S_UNIDATA_REQUEST and its expedited form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnidataRequest {
    /// 0 lowest to 15; 0 in the expedited form.
    pub priority: u8,
    /// The client at the other end.
    pub sap: SapId,
    /// The node or group.
    pub destination: NodeAddress,
    /// The attributes; [`TransmissionMode::Default`] takes those of the bind.
    pub mode: DeliveryMode,
    /// How often non-ARQ data is repeated after the first time: 0 to 15.
    pub retransmissions: u8,
    /// When it is worth nothing any more.
    pub ttl: Ttl,
    /// The octets; may be none.
    pub u_pdu: Bytes,
}

/// S_UNIDATA_INDICATION and its expedited form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnidataIndication {
    /// 0 lowest to 15.
    pub priority: u8,
    /// The own client it is for.
    pub sap: SapId,
    /// The own address, or the group.
    pub destination: NodeAddress,
    /// How it was carried.
    pub transmission: TransmissionMode,
    /// The client that sent it.
    pub source_sap: SapId,
    /// The node that sent it.
    pub source: NodeAddress,
    /// Blocks with errors; only with [`TransmissionMode::NonArqWithErrors`].
    pub errored: Vec<Block>,
    /// Blocks that were not received; only with [`TransmissionMode::NonArqWithErrors`].
    pub missing: Vec<Block>,
    /// The octets.
    pub u_pdu: Bytes,
}

/// A part of a U_PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its first octet.
    pub offset: u16,
    /// Its octets.
    pub octets: u16,
}

/// The content of a confirmation or rejection: which U_PDU is meant, by its destination and leading octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Returned {
    /// The destination client.
    pub sap: SapId,
    /// The destination, as in the request.
    pub destination: NodeAddress,
    /// The first octets of the U_PDU, as many as the node is configured to return.
    pub leading: Bytes,
}

impl UnidataRequest {
    pub(super) fn decode(body: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let [priority, sap] = nibbles(reader.u8()?);
        let destination = address(&mut reader)?;
        let mode = DeliveryMode::from_octet(reader.u8()?);
        let [retransmissions, ttl_high] = nibbles(reader.u8()?);
        let ttl = Ttl::from_units(u32::from(ttl_high) << 16 | u32::from(reader.u16()?));
        let u_pdu = sized_rest(reader, body)?;
        let sap = SapId::from_low_bits(sap);
        Ok(Self { priority, sap, destination, mode, retransmissions, ttl, u_pdu })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), WireError> {
        let [_, ttl_high, ttl_middle, ttl_low] = self.ttl.units().to_be_bytes();
        out.put_u8(self.priority << 4 | self.sap.number());
        out.put_slice(&self.destination.octets());
        out.put_u8(self.mode.octet());
        out.put_slice(&[self.retransmissions << 4 | ttl_high & 0x0f, ttl_middle, ttl_low]);
        put_sized(out, &[], &self.u_pdu)
    }
}

impl UnidataIndication {
    pub(super) fn decode(body: &Bytes, quirks: Quirks) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let [priority, sap] = nibbles(reader.u8()?);
        let destination = address(&mut reader)?;
        let [transmission, source_sap] = nibbles(reader.u8()?);
        let source = address(&mut reader)?;
        let size = reader.u16()?;
        let transmission = TransmissionMode::from_low_bits(transmission);
        let (mut errored, mut missing) = (Vec::new(), Vec::new());
        if transmission == TransmissionMode::NonArqWithErrors {
            errored = blocks(&mut reader)?;
            missing = blocks(&mut reader)?;
        } else if quirks.counters_in_every_indication && reader.left() == usize::from(size) + 4 {
            //= s5066/SIS-009
            check_zero(&mut reader)?;
        }
        let u_pdu = rest_of_size(reader, body, size)?;
        let (sap, source_sap) = (SapId::from_low_bits(sap), SapId::from_low_bits(source_sap));
        Ok(Self { priority, sap, destination, transmission, source_sap, source, errored, missing, u_pdu })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), WireError> {
        out.put_u8(self.priority << 4 | self.sap.number());
        out.put_slice(&self.destination.octets());
        out.put_u8(self.transmission.number() << 4 | self.source_sap.number());
        out.put_slice(&self.source.octets());
        let mut lists = BytesMut::new();
        //= s5066/SIS-008
        if self.transmission == TransmissionMode::NonArqWithErrors {
            put_blocks(&mut lists, &self.errored)?;
            put_blocks(&mut lists, &self.missing)?;
        }
        put_sized(out, &lists, &self.u_pdu)
    }
}

impl Returned {
    /// Reads a confirmation; for a rejection also the reason in the high nibble of octet 0.
    pub(super) fn decode(body: &Bytes) -> Result<(DataRejection, Self), WireError> {
        let mut reader = Reader::new(body);
        let [reason, sap] = nibbles(reader.u8()?);
        let destination = address(&mut reader)?;
        let leading = sized_rest(reader, body)?;
        let returned = Self { sap: SapId::from_low_bits(sap), destination, leading };
        Ok((DataRejection::from_code(reason), returned))
    }

    pub(super) fn encode(&self, reason: u8, out: &mut BytesMut) -> Result<(), WireError> {
        out.put_u8(reason << 4 | self.sap.number());
        out.put_slice(&self.destination.octets());
        put_sized(out, &[], &self.leading)
    }
}

const fn nibbles(octet: u8) -> [u8; 2] {
    [octet >> 4, octet & 0x0f]
}

pub(super) fn address(reader: &mut Reader<'_>) -> Result<NodeAddress, WireError> {
    Ok(NodeAddress::from_octets(reader.u32()?.to_be_bytes()))
}

/// A size field and exactly as many octets to the end.
fn sized_rest(mut reader: Reader<'_>, body: &Bytes) -> Result<Bytes, WireError> {
    let size = reader.u16()?;
    rest_of_size(reader, body, size)
}

fn rest_of_size(mut reader: Reader<'_>, body: &Bytes, size: u16) -> Result<Bytes, WireError> {
    let start = reader.offset();
    let octets = reader.take(usize::from(size))?.len();
    reader.finish()?;
    Ok(body.slice(start..start + octets))
}

fn put_sized(out: &mut BytesMut, between: &[u8], octets: &[u8]) -> Result<(), WireError> {
    out.put_u16(size_field("size of U_PDU", octets.len())?);
    out.put_slice(between);
    out.put_slice(octets);
    Ok(())
}

fn blocks(reader: &mut Reader<'_>) -> Result<Vec<Block>, WireError> {
    let count = usize::from(reader.u16()?);
    // The octets are taken before anything is set aside for them, so a count alone costs nothing.
    let pairs = reader.take(count * 4)?;
    let pair = |pair: &[u8]| Block {
        offset: u16::from_be_bytes([pair[0], pair[1]]),
        octets: u16::from_be_bytes([pair[2], pair[3]]),
    };
    Ok(pairs.chunks_exact(4).map(pair).collect())
}

fn put_blocks(out: &mut BytesMut, blocks: &[Block]) -> Result<(), WireError> {
    out.put_u16(size_field("number of blocks", blocks.len())?);
    for block in blocks {
        out.put_u16(block.offset);
        out.put_u16(block.octets);
    }
    Ok(())
}

pub(super) fn size_field(field: &'static str, octets: usize) -> Result<u16, WireError> {
    u16::try_from(octets).map_err(|_| WireError::OutOfRange { field, value: octets as u64 })
}

fn check_zero(reader: &mut Reader<'_>) -> Result<(), WireError> {
    match reader.u32()? {
        0 => Ok(()),
        value => Err(WireError::OutOfRange { field: "counters of an indication without errors", value: value.into() }),
    }
}

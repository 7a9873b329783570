//! PDUs of ACP 142 as trees. `missing` lists numbers, and ranges as `"first-last"`; `checksum` stands there only when
//! it is not Fletcher's.

use serde_json::{Value, json};
use skywave_protocols::acp142::ack::{Ack, AckEntry};
use skywave_protocols::acp142::address::{Address, Destination, FecAddress};
use skywave_protocols::acp142::checksum::Checksum;
use skywave_protocols::acp142::fault::Acp142Fault;
use skywave_protocols::acp142::group_pdu::{Announce, GroupNote};
use skywave_protocols::acp142::numbers::Span;
use skywave_protocols::acp142::pdu::{Data, Discard, Map, MessageId, NodeId, Pdu};
use skywave_protocols::bytes::{WireError, hex};

use super::fields::{Fields, id, word};
use crate::subject::Refusal;

const MAPS: [(&str, Map); 4] =
    [("only", Map::Only), ("first", Map::First), ("middle", Map::Middle), ("last", Map::Last)];
const CHECKSUMS: [(&str, Checksum); 2] = [("fletcher", Checksum::Fletcher), ("internet", Checksum::Internet)];
/// On the wire a range takes three numbers, so it is one only above this many.
const SPAN_WITHOUT_RANGE_MAX: usize = 3;

/// What one datagram means.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    let pdu = Pdu::decode(octets).map_err(|fault| refusal(&fault))?;
    let mut tree = tree(&pdu);
    let length = octets.get(..2).map_or(0, |length| usize::from(u16::from_be_bytes([length[0], length[1]])));
    if let Some(checksum @ Checksum::Internet) = octets.get(..length).and_then(Checksum::of) {
        tree["checksum"] = word(&checksum, &CHECKSUMS);
    }
    Ok(tree)
}

/// The datagram of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    let checksum = match fields.get("checksum") {
        Some(_) => fields.word("checksum", &CHECKSUMS)?,
        None => Checksum::default(),
    };
    let fragment = fields.get("fragment").map_or(Ok(Vec::new()), |_| fields.octets("fragment"))?;
    let pdu = match fields.text("pdu")? {
        "data" => Pdu::Data(Data {
            priority: fields.number("priority")?,
            message: message(fields)?,
            sequence: fields.number("sequence_number")?,
            fragment: &fragment,
        }),
        "ack" => Pdu::Ack(ack(fields)?),
        "address" => Pdu::Address(address(fields, false)?),
        "extra_address" => Pdu::Address(address(fields, true)?),
        "discard" => Pdu::Discard(Discard { priority: fields.number("priority")?, message: message(fields)? }),
        "announce" => Pdu::Announce(announce(fields)?),
        "request" => Pdu::Request(note(fields)?),
        "reject" => Pdu::Reject(note(fields)?),
        "release" => Pdu::Release(note(fields)?),
        "fec_address" => Pdu::FecAddress(fec_address(fields, false)?),
        "extra_fec_address" => Pdu::FecAddress(fec_address(fields, true)?),
        other => return Err(Refusal::new("field", format!("{other} is no PDU"))),
    };
    Ok(pdu.encode(checksum))
}

/// The name of a fault in vectors.
fn refusal(fault: &Acp142Fault) -> Refusal {
    let name = match fault {
        Acp142Fault::Wire(WireError::OutOfRange { field: "sequence number", .. }) => "sequence_number",
        Acp142Fault::Wire(WireError::OutOfRange { field: "length of ack entry", .. }) => "entry_length",
        Acp142Fault::Wire(_) => "layout",
        Acp142Fault::Cut { .. } => "length",
        Acp142Fault::Checksum => "checksum",
        Acp142Fault::Empty
        | Acp142Fault::TooLarge { .. }
        | Acp142Fault::Destinations(_)
        | Acp142Fault::Expired
        | Acp142Fault::Full(_) => "submission",
    };
    Refusal::new(name, fault)
}

fn tree(pdu: &Pdu<'_>) -> Value {
    match pdu {
        Pdu::Data(data) => json!({
            "pdu": "data", "priority": data.priority, "sequence_number": data.sequence,
            "source_id": id(data.message.source.0), "message_id": data.message.number,
            "fragment": hex(data.fragment),
        }),
        Pdu::Ack(ack) => ack_tree(ack),
        Pdu::Address(address) => address_tree(if address.extra { "extra_address" } else { "address" }, address),
        Pdu::Discard(discard) => json!({
            "pdu": "discard", "priority": discard.priority, "source_id": id(discard.message.source.0),
            "message_id": discard.message.number,
        }),
        Pdu::Announce(announce) => json!({
            "pdu": "announce", "map": word(&announce.map, &MAPS), "source_id": id(announce.message.source.0),
            "message_id": announce.message.number, "expiry_time": announce.expiry,
            "announced_multicast_group": id(announce.group),
            "destination_ids": announce.destinations.iter().map(|node| id(node.0)).collect::<Vec<_>>(),
        }),
        Pdu::Request(note) => note_tree("request", note),
        Pdu::Reject(note) => note_tree("reject", note),
        Pdu::Release(note) => note_tree("release", note),
        Pdu::FecAddress(fec) => {
            let mut tree =
                address_tree(if fec.address.extra { "extra_fec_address" } else { "fec_address" }, &fec.address);
            tree["fec_id"] = Value::from(fec.code);
            tree["fec_parameters"] = Value::from(hex(&fec.parameters));
            tree
        }
        Pdu::Unknown { kind, body } => json!({ "pdu": "unknown", "type": kind, "body": hex(body) }),
    }
}

fn ack_tree(ack: &Ack) -> Value {
    let entry = |entry: &AckEntry| {
        json!({
            "source_id": id(entry.message.source.0), "message_id": entry.message.number,
            "missing": entry.missing.iter().flat_map(span_tree).collect::<Vec<_>>(),
        })
    };
    let mut tree = json!({
        "pdu": "ack", "priority": ack.priority, "source_id_of_ack_sender": id(ack.acker.0),
        "entries": ack.entries.iter().map(entry).collect::<Vec<_>>(),
    });
    if let Some(timestamp) = ack.timestamp {
        tree["timestamp"] = Value::from(timestamp);
    }
    tree
}

fn span_tree(span: &Span) -> Vec<Value> {
    if span.count() > SPAN_WITHOUT_RANGE_MAX {
        return vec![Value::from(format!("{}-{}", span.first, span.last))];
    }
    (span.first..=span.last).map(Value::from).collect()
}

fn address_tree(name: &str, address: &Address) -> Value {
    let destination = |destination: &Destination| {
        let mut tree = json!({
            "destination_id": id(destination.node.0), "message_sequence_number": destination.sequence,
        });
        if !destination.reserved.is_empty() {
            tree["reserved"] = Value::from(hex(&destination.reserved));
        }
        tree
    };
    json!({
        "pdu": name, "priority": address.priority, "map": word(&address.map, &MAPS),
        "total_number_of_pdus": address.total, "source_id": id(address.message.source.0),
        "message_id": address.message.number, "expiry_time": address.expiry,
        "destinations": address.destinations.iter().map(destination).collect::<Vec<_>>(),
    })
}

fn note_tree(name: &str, note: &GroupNote) -> Value {
    json!({
        "pdu": name, "source_id": id(note.message.source.0), "message_id": note.message.number,
        "multicast_group": id(note.group),
    })
}

fn message(fields: Fields<'_>) -> Result<MessageId, Refusal> {
    Ok(MessageId { source: NodeId(fields.id("source_id")?), number: fields.number("message_id")? })
}

fn ack(fields: Fields<'_>) -> Result<Ack, Refusal> {
    let entry = |entry: &Value| {
        let fields = Fields::of(entry);
        let missing = fields.list("missing")?.iter().map(span).collect::<Result<Vec<_>, _>>()?;
        let ranges = missing.iter().any(|span| span.count() > SPAN_WITHOUT_RANGE_MAX);
        Ok(AckEntry { message: message(fields)?, missing, ranges })
    };
    Ok(Ack {
        priority: fields.number("priority")?,
        acker: NodeId(fields.id("source_id_of_ack_sender")?),
        entries: fields.list("entries")?.iter().map(entry).collect::<Result<_, Refusal>>()?,
        timestamp: fields.get("timestamp").map(|_| fields.number("timestamp")).transpose()?,
    })
}

fn span(value: &Value) -> Result<Span, Refusal> {
    let read = || {
        if let Some(number) = value.as_u64() {
            return Some(Span::one(u16::try_from(number).ok()?));
        }
        let (first, last) = value.as_str()?.split_once('-')?;
        Some(Span { first: first.parse().ok()?, last: last.parse().ok()? }).filter(|span| span.first <= span.last)
    };
    read().ok_or_else(|| Refusal::new("field", format!("{value} is neither a number nor a range")))
}

fn address(fields: Fields<'_>, extra: bool) -> Result<Address, Refusal> {
    let destination = |entry: &Value| {
        let fields = Fields::of(entry);
        let reserved = fields.get("reserved").map_or(Ok(Vec::new()), |_| fields.octets("reserved"))?;
        Ok(Destination {
            node: NodeId(fields.id("destination_id")?),
            sequence: fields.number("message_sequence_number")?,
            reserved: reserved.into(),
        })
    };
    Ok(Address {
        extra,
        priority: fields.number("priority")?,
        map: fields.word("map", &MAPS)?,
        message: message(fields)?,
        total: fields.number("total_number_of_pdus")?,
        expiry: fields.number("expiry_time")?,
        destinations: fields.list("destinations")?.iter().map(destination).collect::<Result<_, Refusal>>()?,
    })
}

fn fec_address(fields: Fields<'_>, extra: bool) -> Result<FecAddress, Refusal> {
    Ok(FecAddress {
        address: address(fields, extra)?,
        code: fields.number("fec_id")?,
        parameters: fields.octets("fec_parameters")?.into(),
    })
}

fn announce(fields: Fields<'_>) -> Result<Announce, Refusal> {
    let node = |value: &Value| {
        let node = value.as_str().and_then(|text| text.parse::<std::net::Ipv4Addr>().ok());
        node.map(|node| NodeId(node.to_bits())).ok_or_else(|| Refusal::new("field", "destination_ids"))
    };
    Ok(Announce {
        map: fields.word("map", &MAPS)?,
        message: message(fields)?,
        expiry: fields.number("expiry_time")?,
        group: fields.id("announced_multicast_group")?,
        destinations: fields.list("destination_ids")?.iter().map(node).collect::<Result<_, _>>()?,
    })
}

fn note(fields: Fields<'_>) -> Result<GroupNote, Refusal> {
    Ok(GroupNote { message: message(fields)?, group: fields.id("multicast_group")? })
}

//! S_PRIMITIVEs as trees. U_PDUs of the SAPs 2, 6 and 7 are shown with the header that RCOP and UDOP share.

use serde_json::{Map, Value, json};
use skywave_protocols::bytes::{Bytes, hex};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::rcop::Header;
use skywave_protocols::s5066::sis::fault::SisFault;
use skywave_protocols::s5066::sis::fields::{
    Confirmation, DeliveryMode, HardLink, HardLinkType, Order, Rank, SapId, ServiceType, TransmissionMode, Ttl,
};
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::{Management, Primitive};
use skywave_protocols::s5066::sis::reason::{
    Availability, AvailabilityReason, BindRejection, DataRejection, HardLinkEnd, HardLinkRejection, HardLinkStatus,
    UnbindReason,
};
use skywave_protocols::s5066::sis::unidata::{Block, Quirks, Returned, UnidataIndication, UnidataRequest};

use super::fields::{Fields, word};
use crate::subject::Refusal;

/// The names of the primitives; the first has type 1.
const NAMES: [&str; 27] = [
    "S_BIND_REQUEST",
    "S_UNBIND_REQUEST",
    "S_BIND_ACCEPTED",
    "S_BIND_REJECTED",
    "S_UNBIND_INDICATION",
    "S_HARD_LINK_ESTABLISH",
    "S_HARD_LINK_TERMINATE",
    "S_HARD_LINK_ESTABLISHED",
    "S_HARD_LINK_REJECTED",
    "S_HARD_LINK_TERMINATED",
    "S_HARD_LINK_INDICATION",
    "S_HARD_LINK_ACCEPT",
    "S_HARD_LINK_REJECT",
    "S_SUBNET_AVAILABILITY",
    "S_DATA_FLOW_ON",
    "S_DATA_FLOW_OFF",
    "S_KEEP_ALIVE",
    "S_MANAGEMENT_MSG_REQUEST",
    "S_MANAGEMENT_MSG_INDICATION",
    "S_UNIDATA_REQUEST",
    "S_UNIDATA_INDICATION",
    "S_UNIDATA_REQUEST_CONFIRM",
    "S_UNIDATA_REQUEST_REJECTED",
    "S_EXPEDITED_UNIDATA_REQUEST",
    "S_EXPEDITED_UNIDATA_INDICATION",
    "S_EXPEDITED_UNIDATA_REQUEST_CONFIRM",
    "S_EXPEDITED_UNIDATA_REQUEST_REJECTED",
];
const TRANSMISSIONS: [(&str, TransmissionMode); 4] = [
    ("default", TransmissionMode::Default),
    ("arq", TransmissionMode::Arq),
    ("non_arq", TransmissionMode::NonArq),
    ("non_arq_with_errors", TransmissionMode::NonArqWithErrors),
];
const CONFIRMATIONS: [(&str, Confirmation); 4] = [
    ("none", Confirmation::None),
    ("node", Confirmation::Node),
    ("client", Confirmation::Client),
    ("undefined", Confirmation::Undefined),
];
const ORDERS: [(&str, Order); 2] = [("in_order", Order::InOrder), ("as_they_arrive", Order::AsTheyArrive)];
pub(super) const LINK_TYPES: [(&str, HardLinkType); 4] = [
    ("reservation", HardLinkType::Reservation),
    ("partial", HardLinkType::Partial),
    ("full", HardLinkType::Full),
    ("undefined", HardLinkType::Undefined),
];

/// What one frame means.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    let mut reader = FrameReader::new();
    reader.push(octets);
    let frame = match reader.next_frame() {
        Some(frame) => frame.map_err(|fault| refusal(&fault))?,
        None => return Err(Refusal::new("truncated", "the frame is not whole")),
    };
    if reader.is_inside_frame() {
        return Err(Refusal::new("trailing", "octets follow the frame"));
    }
    Primitive::decode(&frame, Quirks::default()).map(|primitive| tree(&primitive)).map_err(|fault| refusal(&fault))
}

/// The frame of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    let name = fields.text("primitive")?;
    let kind = NAMES.iter().position(|known| *known == name).map_or(0, |at| at + 1);
    let primitive = match kind {
        1..=5 => session(kind, fields)?,
        6..=13 => hard_link(kind, fields)?,
        14..=19 => node(kind, fields)?,
        20..=27 => unidata(kind, fields)?,
        _ => return Err(Refusal::new("field", format!("{name} is no primitive"))),
    };
    primitive.encode().map(|octets| octets.to_vec()).map_err(|error| Refusal::new("encode", error))
}

/// The name of a fault in vectors.
fn refusal(fault: &SisFault) -> Refusal {
    let name = match fault {
        SisFault::Preamble(_) => "preamble",
        SisFault::Version(_) => "version",
        SisFault::Size { .. } => "size",
        SisFault::Primitive { .. } => "primitive",
    };
    Refusal::new(name, fault)
}

fn tree(primitive: &Primitive) -> Value {
    let name = NAMES.get(usize::from(primitive.kind()).wrapping_sub(1)).copied().unwrap_or("UNKNOWN");
    let mut tree = match body(primitive) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    tree.insert("primitive".to_owned(), Value::from(name));
    Value::Object(tree)
}

fn body(primitive: &Primitive) -> Value {
    match primitive {
        Primitive::BindRequest { sap, rank, service } => json!({
            "sap": sap, "rank": rank, "service_type": mode_tree(service.mode),
            "retransmissions": service.retransmissions,
        }),
        Primitive::UnbindRequest | Primitive::DataFlowOn | Primitive::DataFlowOff | Primitive::KeepAlive => json!({}),
        Primitive::BindAccepted { sap, mtu } => json!({ "sap": sap, "mtu": mtu }),
        Primitive::BindRejected(reason) => json!({ "reason": reason.code() }),
        Primitive::UnbindIndication(reason) => json!({ "reason": reason.code() }),
        Primitive::HardLinkEstablish(link) | Primitive::HardLinkAccept(link) => link_tree(None, *link),
        Primitive::HardLinkTerminate(node) => json!({ "node": node }),
        Primitive::HardLinkEstablished(status, link) | Primitive::HardLinkIndication(status, link) => {
            link_tree(Some(("status", status.code())), *link)
        }
        Primitive::HardLinkRejected(reason, link) => link_tree(Some(("reason", reason.code())), *link),
        Primitive::HardLinkTerminated(reason, link) => link_tree(Some(("reason", reason.code())), *link),
        Primitive::HardLinkReject(reason, link) => link_tree(Some(("reason", *reason)), *link),
        Primitive::SubnetAvailability(status, reason) => json!({ "status": status.code(), "reason": reason.code() }),
        Primitive::ManagementRequest(message) | Primitive::ManagementIndication(message) => {
            json!({ "message_type": message.kind, "body": hex(&message.body) })
        }
        Primitive::UnidataRequest(request) | Primitive::ExpeditedUnidataRequest(request) => request_tree(request),
        Primitive::UnidataIndication(indication) | Primitive::ExpeditedUnidataIndication(indication) => {
            indication_tree(indication)
        }
        Primitive::UnidataRequestConfirm(returned) | Primitive::ExpeditedUnidataRequestConfirm(returned) => {
            returned_tree(None, returned)
        }
        Primitive::UnidataRequestRejected(reason, returned)
        | Primitive::ExpeditedUnidataRequestRejected(reason, returned) => returned_tree(Some(*reason), returned),
        Primitive::Unknown { kind, body } => json!({ "type": kind, "body": hex(body) }),
    }
}

fn mode_tree(mode: DeliveryMode) -> Value {
    json!({
        "transmission": word(&mode.transmission, &TRANSMISSIONS),
        "confirmation": word(&mode.confirmation, &CONFIRMATIONS),
        "order": word(&mode.order, &ORDERS),
    })
}

fn link_tree(code: Option<(&str, u8)>, link: HardLink) -> Value {
    let mut tree = json!({
        "link_type": word(&link.kind, &LINK_TYPES), "link_priority": link.priority,
        "remote_sap": link.remote_sap, "node": link.node,
    });
    if let Some((key, code)) = code {
        tree[key] = Value::from(code);
    }
    tree
}

fn request_tree(request: &UnidataRequest) -> Value {
    json!({
        "priority": request.priority, "destination_sap": request.sap, "destination": request.destination,
        "delivery_mode": mode_tree(request.mode), "retransmissions": request.retransmissions,
        "ttl_seconds": request.ttl.units() * 2, "u_pdu": u_pdu_tree(request.sap, &request.u_pdu),
    })
}

fn indication_tree(indication: &UnidataIndication) -> Value {
    let mut tree = json!({
        "priority": indication.priority, "destination_sap": indication.sap, "destination": indication.destination,
        "transmission": word(&indication.transmission, &TRANSMISSIONS), "source_sap": indication.source_sap,
        "source": indication.source, "u_pdu": u_pdu_tree(indication.sap, &indication.u_pdu),
    });
    if indication.transmission == TransmissionMode::NonArqWithErrors {
        let blocks = |blocks: &[Block]| -> Vec<Value> {
            blocks.iter().map(|block| json!({ "offset": block.offset, "size": block.octets })).collect()
        };
        tree["error_blocks"] = Value::from(blocks(&indication.errored));
        tree["non_received_blocks"] = Value::from(blocks(&indication.missing));
    }
    tree
}

fn returned_tree(reason: Option<DataRejection>, returned: &Returned) -> Value {
    let mut tree = json!({
        "destination_sap": returned.sap, "destination": returned.destination, "u_pdu_part": hex(&returned.leading),
    });
    if let Some(reason) = reason {
        tree["reason"] = Value::from(reason.code());
    }
    tree
}

pub(super) fn u_pdu_tree(sap: SapId, u_pdu: &Bytes) -> Value {
    let has_header = [SapId::T_MMHS, SapId::RCOP, SapId::UDOP].contains(&sap);
    match Header::decode(u_pdu).ok().filter(|_| has_header) {
        Some((header, data)) => json!({
            "connection_id": header.connection, "u_pdu_id": header.u_pdu_id, "segment": header.segment,
            "application_id": header.application, "data": hex(&data),
        }),
        None => Value::from(hex(u_pdu)),
    }
}

fn session(kind: usize, fields: Fields<'_>) -> Result<Primitive, Refusal> {
    Ok(match kind {
        1 => Primitive::BindRequest {
            sap: sap(fields, "sap")?,
            rank: Rank::from_low_bits(fields.number("rank")?),
            service: ServiceType {
                mode: mode(fields.table("service_type")?)?,
                retransmissions: fields.number("retransmissions")?,
            },
        },
        2 => Primitive::UnbindRequest,
        3 => Primitive::BindAccepted { sap: sap(fields, "sap")?, mtu: fields.number("mtu")? },
        4 => Primitive::BindRejected(BindRejection::from_code(fields.number("reason")?)),
        _ => Primitive::UnbindIndication(UnbindReason::from_code(fields.number("reason")?)),
    })
}

fn hard_link(kind: usize, fields: Fields<'_>) -> Result<Primitive, Refusal> {
    if kind == 7 {
        return Ok(Primitive::HardLinkTerminate(fields.parsed("node")?));
    }
    let link = HardLink {
        kind: fields.word("link_type", &LINK_TYPES)?,
        priority: fields.number("link_priority")?,
        remote_sap: sap(fields, "remote_sap")?,
        node: fields.parsed("node")?,
    };
    Ok(match kind {
        6 => Primitive::HardLinkEstablish(link),
        8 => Primitive::HardLinkEstablished(HardLinkStatus::from_code(fields.number("status")?), link),
        9 => Primitive::HardLinkRejected(HardLinkRejection::from_code(fields.number("reason")?), link),
        10 => Primitive::HardLinkTerminated(HardLinkEnd::from_code(fields.number("reason")?), link),
        11 => Primitive::HardLinkIndication(HardLinkStatus::from_code(fields.number("status")?), link),
        12 => Primitive::HardLinkAccept(link),
        _ => Primitive::HardLinkReject(fields.number("reason")?, link),
    })
}

fn node(kind: usize, fields: Fields<'_>) -> Result<Primitive, Refusal> {
    let message = || -> Result<Management, Refusal> {
        Ok(Management { kind: fields.number("message_type")?, body: fields.octets("body")?.into() })
    };
    Ok(match kind {
        14 => Primitive::SubnetAvailability(
            Availability::from_code(fields.number("status")?),
            AvailabilityReason::from_code(fields.number("reason")?),
        ),
        15 => Primitive::DataFlowOn,
        16 => Primitive::DataFlowOff,
        17 => Primitive::KeepAlive,
        18 => Primitive::ManagementRequest(message()?),
        _ => Primitive::ManagementIndication(message()?),
    })
}

fn unidata(kind: usize, fields: Fields<'_>) -> Result<Primitive, Refusal> {
    let reason = || fields.number("reason").map(DataRejection::from_code);
    Ok(match kind {
        20 => Primitive::UnidataRequest(request(fields)?),
        21 => Primitive::UnidataIndication(indication(fields)?),
        22 => Primitive::UnidataRequestConfirm(returned(fields)?),
        23 => Primitive::UnidataRequestRejected(reason()?, returned(fields)?),
        24 => Primitive::ExpeditedUnidataRequest(request(fields)?),
        25 => Primitive::ExpeditedUnidataIndication(indication(fields)?),
        26 => Primitive::ExpeditedUnidataRequestConfirm(returned(fields)?),
        _ => Primitive::ExpeditedUnidataRequestRejected(reason()?, returned(fields)?),
    })
}

fn request(fields: Fields<'_>) -> Result<UnidataRequest, Refusal> {
    Ok(UnidataRequest {
        priority: fields.number("priority")?,
        sap: sap(fields, "destination_sap")?,
        destination: address(fields, "destination")?,
        mode: mode(fields.table("delivery_mode")?)?,
        retransmissions: fields.number("retransmissions")?,
        ttl: Ttl::from_units(fields.number::<u32>("ttl_seconds")? / 2),
        u_pdu: u_pdu(fields)?,
    })
}

fn indication(fields: Fields<'_>) -> Result<UnidataIndication, Refusal> {
    let blocks = |key: &str| -> Result<Vec<Block>, Refusal> {
        let list = if fields.get(key).is_some() { fields.list(key)? } else { &[] };
        list.iter()
            .map(|block| {
                let block = Fields::of(block);
                Ok(Block { offset: block.number("offset")?, octets: block.number("size")? })
            })
            .collect()
    };
    Ok(UnidataIndication {
        priority: fields.number("priority")?,
        sap: sap(fields, "destination_sap")?,
        destination: address(fields, "destination")?,
        transmission: fields.word("transmission", &TRANSMISSIONS)?,
        source_sap: sap(fields, "source_sap")?,
        source: address(fields, "source")?,
        errored: blocks("error_blocks")?,
        missing: blocks("non_received_blocks")?,
        u_pdu: u_pdu(fields)?,
    })
}

fn returned(fields: Fields<'_>) -> Result<Returned, Refusal> {
    Ok(Returned {
        sap: sap(fields, "destination_sap")?,
        destination: address(fields, "destination")?,
        leading: fields.octets("u_pdu_part")?.into(),
    })
}

pub(super) fn u_pdu(fields: Fields<'_>) -> Result<Bytes, Refusal> {
    let Ok(header) = fields.table("u_pdu") else { return Ok(fields.octets("u_pdu")?.into()) };
    let data = header.octets("data")?;
    let header = Header {
        connection: header.number("connection_id")?,
        u_pdu_id: header.number("u_pdu_id")?,
        segment: header.number("segment")?,
        application: header.number("application_id")?,
    };
    Ok(header.encode(&data))
}

fn mode(fields: Fields<'_>) -> Result<DeliveryMode, Refusal> {
    Ok(DeliveryMode::new(
        fields.word("transmission", &TRANSMISSIONS)?,
        fields.word("confirmation", &CONFIRMATIONS)?,
        fields.word("order", &ORDERS)?,
    ))
}

pub(super) fn sap(fields: Fields<'_>, key: &str) -> Result<SapId, Refusal> {
    SapId::try_from(fields.number::<u8>(key)?).map_err(|error| Refusal::new("field", error))
}

fn address(fields: Fields<'_>, key: &str) -> Result<NodeAddress, Refusal> {
    fields.parsed(key)
}

//! S_PDUs as trees. U_PDUs are shown as in primitives; a time to die as its day and the seconds of that day.

use serde_json::{Map, Value, json};
use skywave_protocols::bytes::{Bytes, hex};
use skywave_protocols::s5066::node::spdu::{
    Data, Delivery, DeliveryFailure, HardLinkMessage, HardLinkTermination, SPdu, TimeToDie,
};
use skywave_protocols::s5066::sis::reason::HardLinkRejection;

use super::fields::{self, Fields, word};
use super::sis::{LINK_TYPES, sap, u_pdu, u_pdu_tree};
use crate::subject::Refusal;

/// The names of the types; the first is 0.
const NAMES: [&str; 8] = [
    "DATA",
    "DATA DELIVERY CONFIRM",
    "DATA DELIVERY FAIL",
    "HARD LINK ESTABLISHMENT REQUEST",
    "HARD LINK ESTABLISHMENT CONFIRM",
    "HARD LINK ESTABLISHMENT REJECTED",
    "HARD LINK TERMINATE",
    "HARD LINK TERMINATE CONFIRM",
];

/// What an S_PDU means.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    let s_pdu = SPdu::decode(&Bytes::copy_from_slice(octets)).map_err(|error| fields::wire(&error))?;
    let kind = octets.first().map_or(0, |first| first >> 4);
    let mut tree = match body(&s_pdu) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    tree.insert("s_pdu".to_owned(), NAMES.get(usize::from(kind)).copied().into());
    Ok(Value::Object(tree))
}

/// The octets of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    let name = fields.text("s_pdu")?;
    let s_pdu = match NAMES.iter().position(|known| *known == name) {
        Some(0) => SPdu::Data(data(fields)?),
        Some(1) => SPdu::DeliveryConfirm(delivery(fields)?),
        Some(2) => SPdu::DeliveryFail(DeliveryFailure::from_code(fields.number("reason")?), delivery(fields)?),
        Some(kind) => SPdu::HardLink(hard_link(kind, fields)?),
        None => return Err(Refusal::new("field", format!("{name} is no S_PDU"))),
    };
    Ok(s_pdu.encode().to_vec())
}

fn body(s_pdu: &SPdu) -> Value {
    match s_pdu {
        SPdu::Data(data) => data_tree(data),
        SPdu::DeliveryConfirm(delivery) => delivery_tree(delivery),
        SPdu::DeliveryFail(reason, delivery) => {
            let mut tree = delivery_tree(delivery);
            tree["reason"] = Value::from(reason.code());
            tree
        }
        SPdu::HardLink(HardLinkMessage::Request { kind, priority, requesting, remote }) => json!({
            "link_type": word(kind, &LINK_TYPES), "link_priority": priority,
            "requesting_sap": requesting, "remote_sap": remote,
        }),
        SPdu::HardLink(HardLinkMessage::Rejected(reason)) => json!({ "reason": reason.code() }),
        SPdu::HardLink(HardLinkMessage::Terminate(reason)) => json!({ "reason": reason.code() }),
        SPdu::HardLink(HardLinkMessage::Confirm | HardLinkMessage::TerminateConfirm) => json!({}),
    }
}

fn data_tree(data: &Data) -> Value {
    let mut tree = json!({
        "priority": data.priority, "source_sap": data.source, "destination_sap": data.destination,
        "client_confirm": data.client_confirm, "u_pdu": u_pdu_tree(data.destination, &data.u_pdu),
    });
    if let Some(ttd) = data.ttd {
        tree["time_to_die"] = json!({ "day_modulo_16": ttd.day, "seconds": u32::from(ttd.units) * 2 });
    }
    tree
}

fn delivery_tree(delivery: &Delivery) -> Value {
    json!({
        "source_sap": delivery.source, "destination_sap": delivery.destination, "u_pdu_part": hex(&delivery.leading),
    })
}

fn data(fields: Fields<'_>) -> Result<Data, Refusal> {
    let ttd = fields.optional("time_to_die", Fields::table)?;
    let ttd = ttd.map(|ttd| {
        let units = u16::try_from(ttd.number::<u32>("seconds")? / 2)
            .map_err(|_| Refusal::new("field", "seconds do not fit in 17 bits"))?;
        Ok(TimeToDie { day: ttd.number("day_modulo_16")?, units })
    });
    Ok(Data {
        priority: fields.number("priority")?,
        source: sap(fields, "source_sap")?,
        destination: sap(fields, "destination_sap")?,
        client_confirm: fields.flag("client_confirm")?,
        ttd: ttd.transpose()?,
        u_pdu: u_pdu(fields)?,
    })
}

fn delivery(fields: Fields<'_>) -> Result<Delivery, Refusal> {
    Ok(Delivery {
        source: sap(fields, "source_sap")?,
        destination: sap(fields, "destination_sap")?,
        leading: fields.octets("u_pdu_part")?.into(),
    })
}

fn hard_link(kind: usize, fields: Fields<'_>) -> Result<HardLinkMessage, Refusal> {
    Ok(match kind {
        3 => HardLinkMessage::Request {
            kind: fields.word("link_type", &LINK_TYPES)?,
            priority: fields.number("link_priority")?,
            requesting: sap(fields, "requesting_sap")?,
            remote: sap(fields, "remote_sap")?,
        },
        4 => HardLinkMessage::Confirm,
        5 => HardLinkMessage::Rejected(HardLinkRejection::from_code(fields.number("reason")?)),
        6 => HardLinkMessage::Terminate(HardLinkTermination::from_code(fields.number("reason")?)),
        _ => HardLinkMessage::TerminateConfirm,
    })
}

//! D_PDUs as trees. Segments and acknowledgements are octets; the orderwire message is shown where there is one. A
//! damaged segment is shown and not written.

use serde_json::{Map, Value, json};
use skywave_protocols::bytes::{WireError, hex};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::dpdu::eow::{Capability, EowMessage, Interleaver, RATES, RateChange, RateResponse};
use skywave_protocols::s5066::node::dpdu::{
    AckPart, Body, DPdu, DPduFault, DataPart, Eow, ExpeditedPart, ManagementPart, NonArqPart, ResetPart, decode as read,
};

use super::fields::{Fields, word};
use crate::subject::Refusal;

/// The names of the types that Edition 3 has.
const NAMES: [(&str, u8); 10] = [
    ("DATA-ONLY", 0),
    ("ACK-ONLY", 1),
    ("DATA-ACK", 2),
    ("RESET/WIN-RESYNC", 3),
    ("EXPEDITED DATA-ONLY", 4),
    ("EXPEDITED ACK-ONLY", 5),
    ("MANAGEMENT", 6),
    ("NON-ARQ DATA", 7),
    ("EXPEDITED NON-ARQ DATA", 8),
    ("WARNING", 15),
];
const UNKNOWN: &str = "UNKNOWN";
const INTERLEAVERS: [(&str, Interleaver); 3] =
    [("none", Interleaver::None), ("short", Interleaver::Short), ("long", Interleaver::Long)];
const RESPONSES: [(&str, RateResponse); 4] = [
    ("accept", RateResponse::Accept),
    ("refuse", RateResponse::Refuse),
    ("cancel", RateResponse::Cancel),
    ("confirm", RateResponse::Confirm),
];

/// What a D_PDU means.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    let received = read(octets).map_err(|fault| refusal(&fault))?;
    if received.octets != octets.len() {
        let offset = received.octets;
        return Err(super::fields::wire(&WireError::Trailing { offset, left: octets.len() - offset }));
    }
    let pdu = received.pdu;
    let mut tree = match body(&pdu.body) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let name = match pdu.body {
        Body::Unknown { .. } => Value::from(UNKNOWN),
        _ => word(&pdu.body.kind(), &NAMES),
    };
    let mut put = |key: &str, value: Value| tree.insert(key.to_owned(), value);
    put("d_pdu", name);
    put("eot", pdu.eot.into());
    put("address_octets", received.address_octets.into());
    put("destination", json!(pdu.destination));
    put("source", json!(pdu.source));
    if pdu.eow != Eow::NONE {
        put("eow", eow_tree(pdu.eow));
    }
    if !received.segment_intact {
        put("segment_intact", false.into());
    }
    Ok(Value::Object(tree))
}

/// The octets of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    if fields.get("segment_intact").is_some() {
        return Err(Refusal::new("field", "a damaged segment is not written"));
    }
    let pdu = DPdu {
        eow: fields.optional("eow", Fields::table)?.map(eow).transpose()?.unwrap_or(Eow::NONE),
        eot: fields.number("eot")?,
        destination: fields.parsed("destination")?,
        source: fields.parsed::<NodeAddress>("source")?,
        body: read_body(fields)?,
    };
    Ok(pdu.encode_with_addresses(fields.number("address_octets")?).to_vec())
}

/// The name of a fault in vectors.
fn refusal(fault: &DPduFault) -> Refusal {
    let name = match fault {
        DPduFault::NoSync => "no_sync",
        DPduFault::Cut(_) => "truncated",
        DPduFault::Sizes { .. } => "sizes",
        DPduFault::HeaderCrc => "header_crc",
    };
    Refusal::new(name, fault)
}

fn body(body: &Body) -> Value {
    match body {
        Body::Data(data) => data_tree(data),
        Body::Ack(ack) | Body::ExpeditedAck(ack) => ack_tree(ack, json!({})),
        Body::DataAck(data, ack) => ack_tree(ack, data_tree(data)),
        Body::Reset(reset) => json!({
            "full_reset_command": reset.full_command, "reset_tx_window_request": reset.tx_window_request,
            "reset_rx_window_command": reset.rx_window_command, "reset_ack": reset.ack,
            "new_rx_lwe": reset.new_rx_lwe, "reset_frame_id": reset.frame_id,
        }),
        Body::ExpeditedData(data) => json!({
            "start": data.start, "end": data.end, "c_pdu_id": data.c_pdu_id, "tx_fsn": data.fsn,
            "segment": hex(&data.segment),
        }),
        Body::Management(part) => {
            let mut tree = json!({ "valid": part.valid, "ack": part.ack, "management_frame_id": part.frame_id });
            if let Some(extended) = &part.extended {
                tree["extended_message"] = Value::from(hex(extended));
            }
            tree
        }
        Body::NonArq(data) | Body::ExpeditedNonArq(data) => json!({
            "in_order": data.in_order, "c_pdu_id": data.c_pdu_id, "c_pdu_size": data.c_pdu_size,
            "segment_offset": data.offset, "reception_window": data.window, "segment": hex(&data.segment),
        }),
        Body::Warning { received, reason } => json!({ "received_type": received, "reason": reason }),
        Body::Unknown { kind, part } => json!({ "type": kind, "part": hex(part) }),
    }
}

fn data_tree(data: &DataPart) -> Value {
    json!({
        "start": data.start, "end": data.end, "in_order": data.in_order, "drop": data.drop, "uwe": data.uwe,
        "lwe": data.lwe, "tx_fsn": data.fsn, "segment": hex(&data.segment),
    })
}

fn ack_tree(ack: &AckPart, mut tree: Value) -> Value {
    tree["rx_lwe"] = Value::from(ack.rx_lwe);
    tree["selective_acks"] = Value::from(hex(&ack.selective));
    tree
}

fn read_body(fields: Fields<'_>) -> Result<Body, Refusal> {
    if fields.text("d_pdu")? == UNKNOWN {
        return Ok(Body::Unknown { kind: fields.number("type")?, part: fields.octets("part")?.into() });
    }
    Ok(match fields.word("d_pdu", &NAMES)? {
        0 => Body::Data(data(fields)?),
        1 => Body::Ack(ack(fields)?),
        2 => Body::DataAck(data(fields)?, ack(fields)?),
        3 => Body::Reset(ResetPart {
            full_command: fields.flag("full_reset_command")?,
            tx_window_request: fields.flag("reset_tx_window_request")?,
            rx_window_command: fields.flag("reset_rx_window_command")?,
            ack: fields.flag("reset_ack")?,
            new_rx_lwe: fields.number("new_rx_lwe")?,
            frame_id: fields.number("reset_frame_id")?,
        }),
        4 => Body::ExpeditedData(ExpeditedPart {
            start: fields.flag("start")?,
            end: fields.flag("end")?,
            c_pdu_id: fields.number("c_pdu_id")?,
            fsn: fields.number("tx_fsn")?,
            segment: fields.octets("segment")?.into(),
        }),
        5 => Body::ExpeditedAck(ack(fields)?),
        6 => Body::Management(ManagementPart {
            valid: fields.flag("valid")?,
            ack: fields.flag("ack")?,
            frame_id: fields.number("management_frame_id")?,
            extended: fields.optional("extended_message", Fields::octets)?.map(Into::into),
        }),
        7 => Body::NonArq(non_arq(fields)?),
        8 => Body::ExpeditedNonArq(non_arq(fields)?),
        _ => Body::Warning { received: fields.number("received_type")?, reason: fields.number("reason")? },
    })
}

fn data(fields: Fields<'_>) -> Result<DataPart, Refusal> {
    Ok(DataPart {
        start: fields.flag("start")?,
        end: fields.flag("end")?,
        in_order: fields.flag("in_order")?,
        drop: fields.flag("drop")?,
        uwe: fields.flag("uwe")?,
        lwe: fields.flag("lwe")?,
        fsn: fields.number("tx_fsn")?,
        segment: fields.octets("segment")?.into(),
    })
}

fn ack(fields: Fields<'_>) -> Result<AckPart, Refusal> {
    Ok(AckPart { rx_lwe: fields.number("rx_lwe")?, selective: fields.octets("selective_acks")?.into() })
}

fn non_arq(fields: Fields<'_>) -> Result<NonArqPart, Refusal> {
    Ok(NonArqPart {
        in_order: fields.flag("in_order")?,
        c_pdu_id: fields.number("c_pdu_id")?,
        c_pdu_size: fields.number("c_pdu_size")?,
        offset: fields.number("segment_offset")?,
        window: fields.number("reception_window")?,
        segment: fields.octets("segment")?.into(),
    })
}

/// An orderwire message; one without a meaning of its own as type and data.
fn eow_tree(eow: Eow) -> Value {
    match eow.meaning() {
        EowMessage::RateChange(change) => json!({
            "type": eow.kind, "rate": RATES.get(usize::from(change.rate)),
            "interleaver": word(&change.interleaver, &INTERLEAVERS),
            "advisory": change.advisory, "same_both_ways": change.same_both_ways,
        }),
        EowMessage::RateResponse { response, reason } => {
            json!({ "type": eow.kind, "response": word(&response, &RESPONSES), "reason": reason })
        }
        EowMessage::Capability(Capability(bits)) => json!({ "type": eow.kind, "capability": bits }),
        EowMessage::WaveformChange { waveform, channels } => {
            json!({ "type": eow.kind, "waveform": waveform, "channels": channels })
        }
        EowMessage::None
        | EowMessage::Unrecognised(_)
        | EowMessage::Frequency { .. }
        | EowMessage::User(_)
        | EowMessage::Reserved(_) => json!({ "type": eow.kind, "data": eow.data }),
    }
}

fn eow(fields: Fields<'_>) -> Result<Eow, Refusal> {
    let kind = fields.number("type")?;
    if fields.get("data").is_some() {
        return Ok(Eow { kind, data: fields.number("data")? });
    }
    let message = match kind {
        1 => {
            let rate = fields.number::<u32>("rate")?;
            let rate = RATES.iter().position(|known| *known == rate).and_then(|at| u8::try_from(at).ok());
            EowMessage::RateChange(RateChange {
                rate: rate.ok_or_else(|| Refusal::new("field", "rate is none of the standard's"))?,
                interleaver: fields.word("interleaver", &INTERLEAVERS)?,
                advisory: fields.flag("advisory")?,
                same_both_ways: fields.flag("same_both_ways")?,
            })
        }
        2 => EowMessage::RateResponse {
            response: fields.word("response", &RESPONSES)?,
            reason: fields.number("reason")?,
        },
        4 => EowMessage::Capability(Capability(fields.number("capability")?)),
        7 => EowMessage::WaveformChange { waveform: fields.number("waveform")?, channels: fields.number("channels")? },
        _ => return Err(Refusal::new("field", "the orderwire message has no data")),
    };
    Ok(message.into())
}

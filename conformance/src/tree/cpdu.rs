//! C_PDUs as trees; the S_PDU of a DATA C_PDU is shown as octets, for it need not be one.

use serde_json::{Value, json};
use skywave_protocols::bytes::{Bytes, hex};
use skywave_protocols::s5066::node::cpdu::{CPdu, LinkBreak, LinkMessage, LinkRejection};

use super::fields::{self, Fields};
use crate::subject::Refusal;

/// What a C_PDU means.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    let c_pdu = CPdu::decode(&Bytes::copy_from_slice(octets)).map_err(|error| fields::wire(&error))?;
    Ok(match c_pdu {
        CPdu::Data(s_pdu) => json!({ "c_pdu": "DATA", "s_pdu": hex(&s_pdu) }),
        CPdu::Link(LinkMessage::Request { exclusive, number }) => {
            numbered(json!({ "c_pdu": "PHYSICAL LINK REQUEST", "exclusive": exclusive }), number)
        }
        CPdu::Link(LinkMessage::Accepted { number }) => numbered(json!({ "c_pdu": "PHYSICAL LINK ACCEPTED" }), number),
        CPdu::Link(LinkMessage::Rejected(reason)) => {
            json!({ "c_pdu": "PHYSICAL LINK REJECTED", "reason": reason.code() })
        }
        CPdu::Link(LinkMessage::Break(reason)) => json!({ "c_pdu": "PHYSICAL LINK BREAK", "reason": reason.code() }),
        CPdu::Link(LinkMessage::BreakConfirm) => json!({ "c_pdu": "PHYSICAL LINK BREAK CONFIRM" }),
    })
}

/// The octets of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    let c_pdu = match fields.text("c_pdu")? {
        "DATA" => CPdu::Data(fields.octets("s_pdu")?.into()),
        "PHYSICAL LINK REQUEST" => {
            CPdu::Link(LinkMessage::Request { exclusive: fields.flag("exclusive")?, number: number(fields)? })
        }
        "PHYSICAL LINK ACCEPTED" => CPdu::Link(LinkMessage::Accepted { number: number(fields)? }),
        "PHYSICAL LINK REJECTED" => {
            CPdu::Link(LinkMessage::Rejected(LinkRejection::from_code(fields.number("reason")?)))
        }
        "PHYSICAL LINK BREAK" => CPdu::Link(LinkMessage::Break(LinkBreak::from_code(fields.number("reason")?))),
        "PHYSICAL LINK BREAK CONFIRM" => CPdu::Link(LinkMessage::BreakConfirm),
        name => return Err(Refusal::new("field", format!("{name} is no C_PDU"))),
    };
    Ok(c_pdu.encode().to_vec())
}

/// The number that nodes of ours give a link; by the standard there is none.
fn numbered(mut tree: Value, number: u16) -> Value {
    if number != 0 {
        tree["link_number"] = Value::from(number);
    }
    tree
}

fn number(fields: Fields<'_>) -> Result<u16, Refusal> {
    Ok(fields.optional("link_number", Fields::number)?.unwrap_or_default())
}

//! Units of the slow side of chat as trees: the header's fields, and the body as it stands.

use serde_json::{Value, json};
use skywave_protocols::bytes::hex;
use skywave_protocols::xmpp::slow::block::{Request, Stored, Unit};

use super::fields::{self, Fields};
use crate::subject::Refusal;

/// What a unit means.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    Ok(match Unit::read(octets).map_err(|fault| fields::wire(&fault))? {
        Unit::Data { context, number_low, ack_low, digest, body } => json!({
            "kind": "block", "context": context, "number_low": number_low, "acknowledged_low": ack_low,
            "digest": digest, "body": hex(body),
        }),
        Unit::Far { context, number_low, ack_low, digest, body } => json!({
            "kind": "block_far_ahead", "context": context, "number_low": number_low, "acknowledged_low": ack_low,
            "digest": digest, "body": hex(body),
        }),
        Unit::Start { context, epoch, instance, number, dictionary, digest, body } => json!({
            "kind": "first_block", "context": context, "epoch": epoch, "instance": instance, "number": number,
            "dictionary": dictionary, "digest": digest, "body": hex(body),
        }),
        Unit::Request(request) => request_tree(&request),
        Unit::Ack { context, next_low, digest } => {
            json!({ "kind": "acknowledgement", "context": context, "next_low": next_low, "digest": digest })
        }
        Unit::Alone { level, digest, body } => {
            json!({ "kind": "alone", "level": level, "digest": digest, "body": hex(body) })
        }
    })
}

/// The unit of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    let body = fields.optional("body", Fields::octets)?.unwrap_or_default();
    let digest = fields.optional("digest", Fields::number::<u32>)?.unwrap_or_default();
    let unit = match fields.text("kind")? {
        "block" => Unit::Data {
            context: fields.number("context")?,
            number_low: fields.number("number_low")?,
            ack_low: fields.number("acknowledged_low")?,
            digest,
            body: &body,
        },
        "block_far_ahead" => Unit::Far {
            context: fields.number("context")?,
            number_low: fields.number("number_low")?,
            ack_low: fields.number("acknowledged_low")?,
            digest,
            body: &body,
        },
        "first_block" => Unit::Start {
            context: fields.number("context")?,
            epoch: fields.number("epoch")?,
            instance: fields.number("instance")?,
            number: fields.number("number")?,
            dictionary: fields.number("dictionary")?,
            digest,
            body: &body,
        },
        "request" => Unit::Request(request(fields)?),
        "acknowledgement" => {
            Unit::Ack { context: fields.number("context")?, next_low: fields.number("next_low")?, digest }
        }
        "alone" => Unit::Alone { level: fields.number("level")?, digest, body: &body },
        kind => return Err(Refusal::new("field", format!("{kind} is no kind of unit"))),
    };
    Ok(unit.octets())
}

fn request_tree(request: &Request) -> Value {
    let mut tree = json!({ "kind": "request", "context": request.context, "tag": request.tag });
    if let Some(stored) = request.stored {
        tree["stored"] = json!({ "instance": stored.instance, "next": stored.next });
    }
    if let Some(dictionaries) = request.dictionaries {
        tree["dictionaries"] = json!(dictionaries);
    }
    tree
}

fn request(fields: Fields<'_>) -> Result<Request, Refusal> {
    let stored = fields.optional("stored", |fields, key| {
        let stored = fields.table(key)?;
        Ok(Stored { instance: stored.number("instance")?, next: stored.number("next")? })
    })?;
    let number = |value: &Value| {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| Refusal::new("field", "dictionaries is no list of numbers"))
    };
    let dictionaries = fields.optional("dictionaries", |fields, key| match fields.list(key)? {
        [first, second, third] => Ok([number(first)?, number(second)?, number(third)?]),
        _ => Err(Refusal::new("field", "dictionaries is no list of three")),
    })?;
    Ok(Request { context: fields.number("context")?, tag: fields.number("tag")?, stored, dictionaries })
}

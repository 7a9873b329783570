//! MULE payloads as trees: paths without angle brackets (empty: the null path), parameters by their keywords in lower
//! case, those that nobody here knows under `other` as written, `payload` the message octets.

use serde_json::{Map, Value, json};
use skywave_protocols::bytes::hex;
use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::mail::{BodyType, ByMode, DeliverBy, Envelope, MailParameters, Notify, Recipient, Ret};
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::mule::{self, MuleFault};

use super::cdt;
use super::fields::{Fields, word};
use crate::subject::Refusal;

const BODIES: [(&str, BodyType); 3] =
    [("7bit", BodyType::SevenBit), ("8bitmime", BodyType::EightBitMime), ("binarymime", BodyType::BinaryMime)];
const RETS: [(&str, Ret); 2] = [("full", Ret::Full), ("hdrs", Ret::Hdrs)];
const BY_MODES: [(&str, ByMode); 2] = [("notify", ByMode::Notify), ("return", ByMode::Return)];

/// What a payload means. One with recipients or parameters that cannot be used is refused as a vector.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    let payload = mule::decode(octets.to_vec()).map_err(|fault| refusal(&fault))?;
    if let Some(fault) = payload.notes.first().or(payload.refused.first().map(|(_, fault)| fault)) {
        return Err(Refusal::new("line", fault));
    }
    let mut tree = mail_tree(&payload.envelope.mail);
    let path = payload.envelope.sender.as_ref().map_or("", |sender| sender.as_str());
    tree.insert("reverse_path".to_owned(), Value::from(path));
    tree.insert("payload".to_owned(), Value::from(hex(&payload.body)));
    let recipients: Vec<Value> = payload.envelope.recipients.iter().map(recipient_tree).collect();
    tree.insert("recipients".to_owned(), Value::from(recipients));
    Ok(Value::Object(tree))
}

/// The payload of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    let sender = match fields.text("reverse_path")? {
        "" => None,
        _ => Some(mailbox(fields, "reverse_path")?),
    };
    let recipients = fields.list("recipients")?.iter().map(recipient).collect::<Result<_, _>>()?;
    let envelope = Envelope { sender, mail: mail(fields)?, recipients };
    Ok(mule::encode(&envelope, &fields.octets("payload")?))
}

/// The name of a fault in vectors.
fn refusal(fault: &MuleFault) -> Refusal {
    match fault {
        MuleFault::Wrapper(fault) => cdt::refusal(fault),
        MuleFault::ContentType(_) => Refusal::new("content_type", fault),
        MuleFault::Line { .. } => Refusal::new("truncated", fault),
        MuleFault::Sender(_) => Refusal::new("sender", fault),
        MuleFault::NoRecipient => Refusal::new("no_recipient", fault),
        MuleFault::TooManyRecipients => Refusal::new("too_many_recipients", fault),
    }
}

fn mail_tree(mail: &MailParameters) -> Map<String, Value> {
    let mut tree = Map::new();
    let mut put = |key: &str, value: Option<Value>| value.map(|value| tree.insert(key.to_owned(), value));
    put("size", mail.size.map(Value::from));
    put("body", mail.body.map(|body| word(&body, &BODIES)));
    put("smtputf8", mail.smtputf8.then_some(Value::Bool(true)));
    put("ret", mail.ret.map(|ret| word(&ret, &RETS)));
    put("envid", mail.envid.clone().map(Value::from));
    put("mt_priority", mail.mt_priority.map(|priority| Value::from(priority.value())));
    let by = |by: DeliverBy| json!({ "seconds": by.seconds, "mode": word(&by.mode, &BY_MODES), "trace": by.trace });
    put("by", mail.by.map(by));
    put("auth", mail.auth.clone().map(Value::from));
    put("other", (!mail.other.is_empty()).then(|| Value::from(mail.other.clone())));
    tree
}

fn recipient_tree(recipient: &Recipient) -> Value {
    let mut tree = json!({ "forward_path": recipient.to.as_str() });
    if let Some(Notify { success, failure, delay }) = recipient.notify {
        let said = [("success", success), ("failure", failure), ("delay", delay)];
        let words: Vec<&str> = said.iter().filter(|(_, on)| *on).map(|(word, _)| *word).collect();
        tree["notify"] = Value::from(words);
    }
    if let Some(orcpt) = &recipient.orcpt {
        tree["orcpt"] = Value::from(orcpt.clone());
    }
    if !recipient.other.is_empty() {
        tree["other"] = Value::from(recipient.other.clone());
    }
    tree
}

fn mail(fields: Fields<'_>) -> Result<MailParameters, Refusal> {
    let priority = |value: &Value| {
        let priority = value.as_i64().and_then(|number| i8::try_from(number).ok());
        priority
            .and_then(|number| MtPriority::try_from(number).ok())
            .ok_or_else(|| Refusal::new("field", "mt_priority is out of range"))
    };
    Ok(MailParameters {
        size: fields.optional("size", |fields, key| fields.number(key))?,
        body: fields.optional("body", |fields, key| fields.word(key, &BODIES))?,
        smtputf8: fields.get("smtputf8").and_then(Value::as_bool).unwrap_or_default(),
        ret: fields.optional("ret", |fields, key| fields.word(key, &RETS))?,
        envid: fields.optional("envid", |fields, key| fields.text(key).map(str::to_owned))?,
        mt_priority: fields.get("mt_priority").map(priority).transpose()?,
        by: fields.optional("by", deliver_by)?,
        auth: fields.optional("auth", |fields, key| fields.text(key).map(str::to_owned))?,
        other: fields.texts("other")?,
    })
}

fn deliver_by(fields: Fields<'_>, key: &str) -> Result<DeliverBy, Refusal> {
    let by = fields.table(key)?;
    let seconds = by.get("seconds").and_then(Value::as_i64);
    Ok(DeliverBy {
        seconds: seconds.ok_or_else(|| Refusal::new("field", "seconds is no number"))?,
        mode: by.word("mode", &BY_MODES)?,
        trace: by.get("trace").and_then(Value::as_bool).unwrap_or_default(),
    })
}

fn recipient(tree: &Value) -> Result<Recipient, Refusal> {
    let fields = Fields::of(tree);
    let notify = |fields: Fields<'_>, key: &str| {
        let words = fields.texts(key)?;
        let says = |word: &str| words.iter().any(|known| known == word);
        Ok(Notify { success: says("success"), failure: says("failure"), delay: says("delay") })
    };
    Ok(Recipient {
        to: mailbox(fields, "forward_path")?,
        notify: fields.optional("notify", notify)?,
        orcpt: fields.optional("orcpt", |fields, key| fields.text(key).map(str::to_owned))?,
        other: fields.texts("other")?,
    })
}

fn mailbox(fields: Fields<'_>, key: &str) -> Result<Mailbox, Refusal> {
    Mailbox::parse(fields.text(key)?).map_err(|why| Refusal::new("field", why))
}

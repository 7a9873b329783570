//! XMPP as trees: stream headers, elements of dialback, stanzas in their canonical form; and the two computations of the
//! standards, which have no octets of their own: lines of text, the name first, the result last.

use serde_json::{Map, Value, json};
use skywave_protocols::xmpp::component::handshake;
use skywave_protocols::xmpp::dialback::{Dialback, Verdict, key};
use skywave_protocols::xmpp::limits::ReaderLimits;
use skywave_protocols::xmpp::ns;
use skywave_protocols::xmpp::writer::{Scope, StreamHeader, write_element, write_stream_header};
use skywave_protocols::xmpp::{Header, Item, Stanza, StreamReader, XmppFault};

use super::fields::Fields;
use crate::subject::Refusal;

const DIALBACK_KEY: &str = "dialback-key";
const HANDSHAKE: &str = "component-handshake";

/// What octets mean.
pub fn decode(octets: &[u8]) -> Result<Value, Refusal> {
    if !octets.starts_with(b"<") {
        return computation(&String::from_utf8_lossy(octets));
    }
    let mut reader = StreamReader::new(ReaderLimits::LAN.strict());
    if octets.starts_with(b"<?xml") || octets.starts_with(b"<stream:stream") {
        return match item(&mut reader, octets)? {
            Item::Header(header) => header_tree(header),
            Item::Element(_) | Item::Skipped(_) | Item::End => Err(Refusal::new("no_meaning", "no header")),
        };
    }
    let open = StreamHeader { namespace: ns::SERVER, version: true, dialback: true, ..StreamHeader::default() };
    item(&mut reader, &write_stream_header(&open))?;
    match item(&mut reader, octets)? {
        Item::Element(element) if element.has_ns(ns::DIALBACK) => {
            let dialback = Dialback::parse(&element).ok_or_else(|| Refusal::new("no_meaning", "means nothing"))?;
            Ok(dialback_tree(&dialback))
        }
        Item::Element(element) => stanza_tree(&Stanza::from_element(element).map_err(refusal)?),
        Item::Header(_) | Item::Skipped(_) | Item::End => Err(Refusal::new("no_meaning", "no element")),
    }
}

/// The octets of a meaning.
pub fn encode(tree: &Value) -> Result<Vec<u8>, Refusal> {
    let fields = Fields::of(tree);
    match fields.text("what")? {
        "stream_header" => encode_header(fields),
        "stanza" => Stanza::parse(fields.text("canonical")?.as_bytes()).map(|stanza| stanza.octets()).map_err(refusal),
        DIALBACK_KEY => {
            let [secret, receiving, originating, id] = dialback_inputs(fields)?;
            Ok([DIALBACK_KEY, secret, receiving, originating, id, &key(secret, receiving, originating, id)]
                .join("\n")
                .into_bytes())
        }
        HANDSHAKE => {
            let (id, secret) = (fields.text("stream_id")?, fields.text("secret")?);
            Ok([HANDSHAKE, id, secret, &handshake(id, secret)].join("\n").into_bytes())
        }
        what => encode_dialback(what, fields),
    }
}

fn dialback_inputs<'a>(fields: Fields<'a>) -> Result<[&'a str; 4], Refusal> {
    let text = |name| -> Result<&'a str, Refusal> { fields.text(name) };
    Ok([text("secret")?, text("receiving")?, text("originating")?, text("stream_id")?])
}

fn computation(text: &str) -> Result<Value, Refusal> {
    let lines: Vec<&str> = text.split('\n').collect();
    let (tree, right, given) = match lines[..] {
        [DIALBACK_KEY, secret, receiving, originating, id, given] => (
            json!({
                "what": DIALBACK_KEY, "secret": secret, "receiving": receiving, "originating": originating,
                "stream_id": id, "key": given,
            }),
            key(secret, receiving, originating, id),
            given,
        ),
        [HANDSHAKE, id, secret, given] => (
            json!({ "what": HANDSHAKE, "stream_id": id, "secret": secret, "digest": given }),
            handshake(id, secret),
            given,
        ),
        _ => return Err(Refusal::new("no_meaning", "neither XML nor a computation")),
    };
    if given != right {
        return Err(Refusal::new("wrong_key", "the computation gives something else"));
    }
    Ok(tree)
}

/// The one item that octets hold.
fn item(reader: &mut StreamReader, octets: &[u8]) -> Result<Item, Refusal> {
    reader.read(octets);
    let item = reader.next().map_err(refusal)?.ok_or_else(|| refusal(XmppFault::Incomplete))?;
    if reader.next().map_err(refusal)?.is_some() || reader.is_inside() {
        return Err(refusal(XmppFault::Trailing));
    }
    Ok(item)
}

fn header_tree(header: Header) -> Result<Value, Refusal> {
    if !matches!(header.namespace.as_str(), ns::SERVER | ns::COMPONENT_ACCEPT) {
        return Err(Refusal::new("invalid_namespace", "neither a stream between servers nor a component's"));
    }
    let mut tree = Map::new();
    tree.insert("what".into(), "stream_header".into());
    tree.insert("namespace".into(), header.namespace.into());
    for (name, value) in [("from", header.from), ("to", header.to), ("id", header.id)] {
        if let Some(value) = value {
            tree.insert(name.into(), value.into());
        }
    }
    let version = header.version.is_some_and(|version| version.starts_with("1."));
    tree.insert("version_1".into(), version.into());
    let dialback = header.prefixes.iter().any(|(prefix, namespace)| prefix == "db" && namespace == ns::DIALBACK);
    tree.insert("dialback".into(), dialback.into());
    Ok(Value::Object(tree))
}

fn encode_header(fields: Fields<'_>) -> Result<Vec<u8>, Refusal> {
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    Ok(write_stream_header(&StreamHeader {
        namespace: fields.text("namespace")?,
        from: text("from"),
        to: text("to"),
        id: text("id"),
        version: flag("version_1"),
        dialback: flag("dialback"),
    }))
}

fn dialback_tree(dialback: &Dialback) -> Value {
    let verdict = |verdict: &Verdict| match verdict {
        Verdict::Valid => ("valid", None),
        Verdict::Invalid => ("invalid", None),
        Verdict::Error(condition) => ("error", Some(condition.clone())),
    };
    match dialback {
        Dialback::Result { from, to, key } => json!({ "what": "db_result", "from": from, "to": to, "key": key }),
        Dialback::Verify { from, to, id, key } => {
            json!({ "what": "db_verify", "from": from, "to": to, "id": id, "key": key })
        }
        Dialback::ResultAnswer { from, to, verdict: it } => {
            let (verdict, condition) = verdict(it);
            answer(json!({ "what": "db_result_answer", "from": from, "to": to, "verdict": verdict }), condition)
        }
        Dialback::VerifyAnswer { from, to, id, verdict: it } => {
            let (verdict, condition) = verdict(it);
            let tree = json!({ "what": "db_verify_answer", "from": from, "to": to, "id": id, "verdict": verdict });
            answer(tree, condition)
        }
    }
}

fn answer(mut tree: Value, condition: Option<String>) -> Value {
    if let Some(condition) = condition {
        tree["condition"] = condition.into();
    }
    tree
}

fn encode_dialback(what: &str, fields: Fields<'_>) -> Result<Vec<u8>, Refusal> {
    let text = |name: &str| fields.text(name).map(str::to_owned);
    let (from, to) = (text("from")?, text("to")?);
    let verdict = || -> Result<Verdict, Refusal> {
        Ok(match fields.text("verdict")? {
            "valid" => Verdict::Valid,
            "invalid" => Verdict::Invalid,
            _ => Verdict::Error(text("condition")?),
        })
    };
    let dialback = match what {
        "db_result" => Dialback::Result { from, to, key: text("key")? },
        "db_verify" => Dialback::Verify { from, to, id: text("id")?, key: text("key")? },
        "db_result_answer" => Dialback::ResultAnswer { from, to, verdict: verdict()? },
        "db_verify_answer" => Dialback::VerifyAnswer { from, to, id: text("id")?, verdict: verdict()? },
        _ => return Err(Refusal::new("field", format!("nothing is called {what}"))),
    };
    Ok(write_element(&dialback.element(), Scope::SERVER))
}

fn stanza_tree(stanza: &Stanza) -> Result<Value, Refusal> {
    let canonical = String::from_utf8(stanza.octets()).map_err(|error| Refusal::new("field", error))?;
    Ok(json!({
        "what": "stanza", "kind": stanza.kind().name(), "from": stanza.from().as_str(), "to": stanza.to().as_str(),
        "has_body": stanza.has_body(), "canonical": canonical,
    }))
}

/// The name of a fault in vectors.
fn refusal(fault: XmppFault) -> Refusal {
    let name = match fault {
        XmppFault::NotWellFormed(_) => "not_well_formed",
        XmppFault::Restricted(_) => "restricted",
        XmppFault::NotUtf8(_) => "not_utf8",
        XmppFault::UndeclaredPrefix(_) => "undeclared_prefix",
        XmppFault::TooLarge { .. } => "too_large",
        XmppFault::TooDeep { .. } => "too_deep",
        XmppFault::TooMany { .. } => "too_many",
        XmppFault::TooLong { .. } => "too_long",
        XmppFault::NotAStream { .. } => "not_a_stream",
        XmppFault::SecondHeader => "second_header",
        XmppFault::TextBetween => "text_between",
        XmppFault::NotAStanza { .. } => "not_a_stanza",
        XmppFault::AddressMissing(_) => "address_missing",
        XmppFault::AddressBad { .. } => "address_bad",
        XmppFault::Trailing => "trailing",
        XmppFault::Incomplete => "incomplete",
    };
    Refusal::new(name, fault)
}

//! `skywave decode`: octets of any protocol that the product speaks, as a tree.

use std::io::Read;

use serde_json::{Value, json};
use skywave_conformance::Subject;
use skywave_conformance::subject::{Answer, own::Own};
use skywave_protocols::bsmtp::{self, BatchLimits, Item};
use skywave_protocols::bytes::unhex;
use skywave_protocols::message::mail::Envelope;

use super::args::Decode;
use super::decode_chat;
use super::exit::{self, Fault};
use super::{out, show};

/// Octets read from standard input at most.
const INPUT_OCTETS_MAX: u64 = 64 << 20;

/// Explains octets.
pub(super) fn decode(arguments: &Decode) -> Result<(), Fault> {
    let octets = octets(&arguments.octets)?;
    let tree = match arguments.protocol.as_str() {
        "xmpp" => decode_chat::tree(&octets, &arguments.names)?,
        protocol => tree(protocol, &octets)?,
    };
    if arguments.json { out::line(&tree.to_string()) } else { out::text(&show::facts(&tree)) }
}

fn octets(argument: &str) -> Result<Vec<u8>, Fault> {
    if argument != "-" {
        return unhex(argument).ok_or_else(|| Fault::new(exit::DATA, "that is not hex"));
    }
    let mut input = Vec::new();
    std::io::stdin()
        .take(INPUT_OCTETS_MAX)
        .read_to_end(&mut input)
        .map_err(|error| Fault::new(exit::NO_INPUT, error.to_string()))?;
    // Hex text is read as hex, everything else as it is.
    let hex = std::str::from_utf8(&input).ok().filter(|text| !text.trim().is_empty()).and_then(unhex);
    Ok(hex.unwrap_or(input))
}

fn tree(protocol: &str, octets: &[u8]) -> Result<Value, Fault> {
    match protocol {
        "bsmtp" => return Ok(batch(octets)),
        "smtp" => return Ok(smtp(octets)),
        // Both have the same header (fact sheet section 4).
        "rcop" | "udop" => return segment(octets),
        _ => {}
    }
    let name = if protocol == "p_mul" { "acp142" } else { protocol };
    match Own.decode(name, octets) {
        Answer::Is(tree) => Ok(tree),
        Answer::Refused(refusal) => Err(Fault::new(exit::DATA, refusal.to_string())),
        Answer::NotAsked => Err(Fault::new(
            exit::USAGE,
            format!(
                "{protocol} is none of sis, spdu, cpdu, dpdu, rcop, udop, acp142, p_mul, cdt, mule, bsmtp, smtp, xmpp, \
                 zlib, slow"
            ),
        )),
    }
}

fn segment(octets: &[u8]) -> Result<Value, Fault> {
    use skywave_protocols::bytes::{Bytes, hex};
    let (header, data) = skywave_protocols::s5066::rcop::Header::decode(&Bytes::copy_from_slice(octets))
        .map_err(|error| Fault::new(exit::DATA, error.to_string()))?;
    Ok(json!({
        "connection": header.connection,
        "u_pdu_id": header.u_pdu_id,
        "segment": header.segment,
        "application": header.application,
        "data": hex(&data),
    }))
}

fn batch(octets: &[u8]) -> Value {
    let mut reader = bsmtp::Reader::new("localhost", BatchLimits::default());
    reader.handle_read(octets);
    reader.finish();
    let (mut mails, mut faults, mut complete) = (Vec::new(), Vec::new(), false);
    while let Some(item) = reader.poll_item() {
        match item {
            Item::Mail(mail) => {
                let mut shown = envelope(&mail.envelope);
                shown["bytes"] = json!(mail.body.len());
                shown["text"] = json!(String::from_utf8_lossy(&mail.body));
                mails.push(shown);
            }
            Item::Fault(fault) => faults.push(fault.to_string()),
            Item::End => complete = true,
        }
    }
    json!({ "mails": mails, "faults": faults, "complete": complete })
}

fn envelope(envelope: &Envelope) -> Value {
    serde_json::to_value(envelope).unwrap_or_default()
}

/// Command lines one by one: what our server would understand.
fn smtp(octets: &[u8]) -> Value {
    use skywave_protocols::smtp::grammar::{self, Extensions};
    let text = String::from_utf8_lossy(octets);
    let lines = text.split("\r\n").flat_map(|line| line.split('\n')).filter(|line| !line.is_empty());
    let shown = lines.map(|line| match grammar::command(line.as_bytes(), &Extensions::SERVER, "localhost") {
        Ok(command) => json!({ "line": line, "command": format!("{command:?}") }),
        Err(fault) => json!({ "line": line, "refused": fault.to_string() }),
    });
    json!({ "lines": shown.collect::<Vec<_>>() })
}

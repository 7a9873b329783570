//! `skywave decode xmpp`: streams as people write them, zlib streams, and the units of our own profile.

use serde_json::{Value, json};
use skywave_conformance::Subject;
use skywave_conformance::subject::{Answer, own::Own};
use skywave_protocols::xmpp::limits::ReaderLimits;
use skywave_protocols::xmpp::slow::explain;
use skywave_protocols::xmpp::{Header, Item, Stanza, StreamReader};

use super::exit::{self, Fault};

/// What octets of chat mean. `names` are those in the dictionary of the link.
pub(super) fn tree(octets: &[u8], names: &[String]) -> Result<Value, Fault> {
    if octets.starts_with(b"<") {
        // One header, stanza or element of dialback alone, as vectors have it; else all that the stream holds.
        return Ok(match Own.decode("xmpp", octets) {
            Answer::Is(tree) => tree,
            Answer::Refused(_) | Answer::NotAsked => json!({ "items": items(octets) }),
        });
    }
    if let Some(text) = explain::inflated(octets, names) {
        return Ok(json!({ "kind": "zlib_stream", "inflated_octets": text.len(), "items": items(&text) }));
    }
    let mut tree = match Own.decode("slow", octets) {
        Answer::Is(tree) => tree,
        Answer::Refused(refusal) => return Err(Fault::new(exit::DATA, refusal.to_string())),
        Answer::NotAsked => return Err(Fault::new(exit::SOFTWARE, "units of chat cannot be read")),
    };
    match explain::stanzas(octets, names) {
        Ok(stanzas) if stanzas.is_empty() => {}
        Ok(stanzas) => tree["stanzas"] = stanzas.iter().map(stanza).collect(),
        Err(fault) => tree["unread"] = json!(fault.to_string()),
    }
    Ok(tree)
}

/// All that a stream holds; one without a header is that of a link (XEP-0361).
fn items(octets: &[u8]) -> Vec<Value> {
    let has_header = octets.starts_with(b"<?xml") || octets.starts_with(b"<stream:stream");
    let mut reader =
        if has_header { StreamReader::new(ReaderLimits::LAN) } else { StreamReader::headless(ReaderLimits::LAN) };
    reader.read(octets);
    let mut items = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(Item::Header(found))) => items.push(header(&found)),
            Ok(Some(Item::Element(element))) => {
                let (name, namespace) = (element.name().to_owned(), element.ns());
                items.push(match Stanza::from_element(element) {
                    Ok(found) => stanza(&found),
                    Err(fault) => {
                        json!({ "what": "element", "name": name, "namespace": namespace, "no_stanza": fault.to_string() })
                    }
                });
            }
            Ok(Some(Item::Skipped(skipped))) => {
                items.push(json!({ "what": "passed_over", "why": skipped.fault.to_string() }));
            }
            Ok(Some(Item::End)) => {
                items.push(json!({ "what": "stream_end" }));
                return items;
            }
            Ok(None) if reader.is_inside() => {
                items.push(json!({ "what": "cut_off" }));
                return items;
            }
            Ok(None) => return items,
            Err(fault) => {
                items.push(json!({ "what": "fault", "why": fault.to_string() }));
                return items;
            }
        }
    }
}

fn header(header: &Header) -> Value {
    json!({
        "what": "stream_header", "namespace": header.namespace, "from": header.from, "to": header.to,
        "id": header.id, "version": header.version,
    })
}

fn stanza(stanza: &Stanza) -> Value {
    json!({
        "what": "stanza", "kind": stanza.kind().name(), "type": stanza.typ(), "id": stanza.id(),
        "from": stanza.from().as_str(), "to": stanza.to().as_str(),
        "canonical": String::from_utf8_lossy(&stanza.octets()),
    })
}

#[cfg(test)]
mod tests {
    use skywave_protocols::bytes::unhex;

    use super::*;

    #[test]
    fn streams_zlib_and_units_are_told_apart() {
        let stanza = "<message from='a@hq.test' to='b@field.test'><body>x</body></message>";
        let one = tree(stanza.as_bytes(), &[]).unwrap();
        assert_eq!(one["kind"], "message");
        let two = tree(format!("{stanza}<a xmlns='urn:xmpp:sm:3' h='1'/><iq").as_bytes(), &[]).unwrap();
        let what: Vec<&str> = two["items"].as_array().unwrap().iter().filter_map(|it| it["what"].as_str()).collect();
        assert_eq!(what, ["stanza", "element", "cut_off"]);
        // The golden vector of the fact sheet, section 11.2.
        let zlib = unhex(
            "78dab2c94d2d2e4e4c4f55482bcacfb5554f74c828d44bad48cc2dc849555728c9b7554f7248cb4ccd494112ac2c48b5554fce48\
             2c5157c84cb1553754b7b349ca4fa9b4cbc8b4d107336cf4a186da0104"
                .replace(' ', "")
                .as_str(),
        );
        let zlib = tree(&zlib.unwrap(), &[]).unwrap();
        assert_eq!(zlib["items"][0]["to"], "b@field.example");
        let acknowledgement = tree(&[0xa5, 1, 2, 3], &[]).unwrap();
        assert_eq!((&acknowledgement["kind"], &acknowledgement["stanzas"]), (&json!("acknowledgement"), &Value::Null));
        assert!(tree(&[0xff], &[]).is_err());
    }

    /// What another program wrote: conformance/vectors/slow/first-block.toml.
    #[test]
    fn the_first_block_of_an_epoch_shows_its_stanzas() {
        let octets = unhex(
            "800000010102030400000000e3b0c43c0cb2fb6b939b5a5c9c989eaa50926fab9ee49096999a93a2975a91985b9093aaae9056949f6b\
             ab9ee890510817b3b349ca4fa9b4bbb0e5c2061b7d30d3461f6a861d",
        );
        let shown = tree(&octets.unwrap(), &[]).unwrap();
        assert_eq!(shown["kind"], "first_block");
        assert_eq!(shown["stanzas"][0]["kind"], "message", "{shown}");
    }
}

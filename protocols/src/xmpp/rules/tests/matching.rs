//! When rules fit: one row per condition.

use super::*;

/// Whether a rule with this condition drops the stanza.
fn fits(condition: &str, facts: &Facts<'_>, text: &str) -> bool {
    let toml = format!("[[rule]]\nmatch = {condition}\naction = {{ count = \"fits\" }}");
    let mut filter = filter(&toml);
    filter.apply(facts, stanza(text));
    filter.report().counters.contains_key("fits")
}

#[test]
fn stanzas_by_themselves() {
    let chat = message("<body>x</body>");
    let odd = message("<body>x</body>").replace("'chat'", "'odd'");
    let plain = message("<body>x</body>").replace(" type='chat'", "");
    let here = format!("<presence {PAIR}/>");
    let avatar = message("<x xmlns='urn:x' var='urn:xmpp:avatar:data'/>");
    let typing = message("<composing xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>");
    let room = "<message to='ann@hq.test/a' from='ops@hall.test/bob' type='groupchat'><subject/></message>";
    let get = request("urn:xmpp:jingle:1");
    for (condition, text, expected) in [
        ("{ stanza = \"message\" }", chat.as_str(), true),
        ("{ stanza = \"presence\" }", &chat, false),
        ("{ stanza = [\"presence\", \"message\"] }", &chat, true),
        ("{ type = \"chat\" }", &chat, true),
        ("{ type = \"normal\" }", &chat, false),
        ("{ type = \"normal\" }", &plain, true),
        ("{ type = \"none\" }", &plain, true),
        ("{ type = \"normal\" }", &odd, true),
        ("{ type = \"none\" }", &here, true),
        ("{ type = \"unavailable\" }", &here, false),
        ("{ from = \"*@hq.test/*\", to = \"bob@field.test\" }", &chat, true),
        ("{ from = [\"eve@*\", \"ann@*\"] }", &chat, true),
        ("{ to = \"*@field.test/*\" }", &chat, false),
        ("{ from_kind = \"user-full\", to_kind = \"user-bare\" }", &chat, true),
        ("{ from_kind = \"occupant\", to_kind = \"user-full\" }", room, true),
        ("{ to_kind = \"domain\" }", &get, true),
        ("{ to_kind = \"room\" }", &chat.replace("bob@", "ops@chat."), true),
        ("{ child = \"{}body\" }", &chat, true),
        ("{ child = \"{http://jabber.org/protocol/*}composing\" }", &typing, true),
        ("{ child = \"{urn:*}*\" }", &chat, false),
        ("{ payload_ns = \"urn:xmpp:jingle:*\" }", &get, true),
        ("{ payload_ns = \"urn:xmpp:jingle\" }", &get, false),
        ("{ payload_ns = \"jabber:server\" }", &chat, false),
        ("{ only_children = [\"{http://jabber.org/protocol/chatstates}*\", \"{}thread\"] }", &typing, true),
        ("{ only_children = [\"{http://jabber.org/protocol/chatstates}*\"] }", &typing, false),
        ("{ only_children = [\"{}body\"] }", &here, false),
        ("{ has_body = true }", &chat, true),
        ("{ has_body = false }", &chat, false),
        ("{ has_subject = true }", room, true),
        ("{ has_subject = false }", &chat, true),
        ("{ attr = { name = \"var\", value = \"urn:xmpp:avatar*\" } }", &avatar, true),
        ("{ attr = { name = \"var\", value = \"urn:xmpp:avatar\" } }", &avatar, false),
        ("{ attr = { name = \"var\", child = \"{urn:y}*\" } }", &avatar, false),
        ("{ attr = { name = \"id\", value = \"1\" } }", &chat, true),
        ("{ attr = [{ name = \"id\" }, { name = \"nothing\" }] }", &chat, false),
        ("{ size_octets_over = 10 }", &chat, true),
        ("{ size_octets_over = 1000 }", &chat, false),
        ("{ stanza = \"message\", has_body = false }", &chat, false),
    ] {
        assert_eq!(fits(condition, &facts(), text), expected, "{condition} {text}");
    }
}

#[test]
fn stanzas_by_circumstances() {
    let chat = message("<body>x</body>");
    let slow = Facts { bits_per_second: 75, ..facts() };
    let unknown = Facts { bits_per_second: 0, ..facts() };
    let down = Facts { link_up: false, ..facts() };
    let old = Facts { queue_age: Duration::from_secs(31), ..facts() };
    let flash = Facts { precedence: Precedence::Flash, ..facts() };
    let inbound = Facts { direction: Direction::FromLink, ..facts() };
    for (condition, facts, expected) in [
        ("{ direction = \"to-link\" }", facts(), true),
        ("{ direction = \"to-link\" }", inbound, false),
        ("{ direction = \"both\" }", inbound, true),
        ("{ peer = \"f*\", link = [\"sat-*\", \"hf-*\"] }", facts(), true),
        ("{ peer = \"g*\" }", facts(), false),
        ("{ link_rate_bits_per_second_under = 600 }", slow, true),
        ("{ link_rate_bits_per_second_under = 600 }", facts(), false),
        ("{ link_rate_bits_per_second_under = 600 }", unknown, false),
        ("{ link_state = \"down\" }", down, true),
        ("{ link_state = \"up\" }", down, false),
        ("{ queue_age_seconds_over = 30 }", old, true),
        ("{ queue_age_seconds_over = 31 }", old, false),
        ("{ precedence_min = \"immediate\" }", flash, true),
        ("{ precedence_max = \"immediate\" }", flash, false),
        ("{ time = \"05:00/06:00\" }", facts(), true),
        ("{ time = [\"06:00/05:00\"] }", facts(), false),
    ] {
        assert_eq!(fits(condition, &facts, &chat), expected, "{condition}");
    }
}

/// Base64 of something that is no label.
const NO_LABEL: &str = "MRgGCWCGSAFlAgEIAQIBBTEIMAaABCoDBAWhAA==";

#[test]
fn labels() {
    // SET { OBJECT IDENTIFIER 2.16.840.1.101.2.1.8.1, INTEGER 5 }
    let der = [0x31, 0x0e, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x02, 0x01, 0x08, 0x01, 0x02, 0x01, 0x05];
    let plain = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let with = |ess: &str| {
        message(&format!(
            "<body>x</body><securitylabel xmlns='urn:xmpp:sec-label:0'><displaymarking>SECRET</displaymarking>\
             <label><esssecuritylabel xmlns='urn:xmpp:sec-label:ess:0'>{ess}</esssecuritylabel></label></securitylabel>"
        ))
    };
    // The same, and SET { SEQUENCE { [0] 1.2.3.4.5, [1] NULL } }.
    let category = [
        0x31, 0x1c, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x02, 0x01, 0x08, 0x01, 0x02, 0x01, 0x05, 0x31, 0x0c,
        0x30, 0x0a, 0x80, 0x04, 0x2a, 0x03, 0x04, 0x05, 0xa1, 0x02, 0x05, 0x00,
    ];
    let category = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, category);
    let rows = [
        ("{ label = { present = true } }", with(&plain), true),
        ("{ label = { present = false } }", with(&plain), false),
        ("{ label = { present = false } }", message("<body>x</body>"), true),
        ("{ label = { marking = \"SEC*\" } }", with(&plain), true),
        ("{ label = { marking = \"TOP*\" } }", with(&plain), false),
        (
            "{ label = { policy = \"2.16.840.1.101.2.1.8.*\", classification_min = 5, classification_max = 5 } }",
            with(&plain),
            true,
        ),
        ("{ label = { classification_min = 6 } }", with(&plain), false),
        ("{ label = { policy = \"1.*\" } }", with(&plain), false),
        ("{ label = { category = \"1.2.3.4.5\" } }", with(&category), true),
        ("{ label = { category = \"1.2.3.4.6\" } }", with(&category), false),
        ("{ label = { category = \"1.2.3.4.5\" } }", with(&plain), false),
        ("{ label = { classification_min = 0 } }", with(NO_LABEL), false),
        ("{ label = { classification_min = 0 } }", with("?"), false),
        ("{ label = { classification_min = 0 } }", message("<body>x</body>"), false),
    ];
    for (condition, text, expected) in rows {
        assert_eq!(fits(condition, &facts(), &text), expected, "{condition} {text}");
    }
}

#[test]
fn more_than_so_many() {
    let mut filter = filter(
        "[[rule]]\nmatch = { stanza = \"presence\", rate = { per = \"from\", count = 2, seconds = 60 } }\naction = \"drop\"",
    );
    let here = format!("<presence {PAIR}/>");
    let passed = (0..5).filter(|_| outcome(&mut filter, &here) != "drop").count();
    assert_eq!(passed, 2);
    assert_ne!(outcome(&mut filter, &message("<body>x</body>")), "drop", "only what fits otherwise is counted");
    let later = Facts { now: NOW.after(Duration::from_secs(60)), ..facts() };
    assert!(matches!(filter.apply(&later, stanza(&here)), Verdict::Pass { .. }));
}

/// A request has exactly one child (RFC 6120 section 8.2.3): a second one would pass under the name of the first, and many
/// clients look for a child by its name and not by its place.
#[test]
fn a_request_with_two_children_or_none_is_answered_here() {
    let (ping, other) = ("<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='jabber:iq:private'/>");
    let policy =
        "[to_link]\niq.pass = [\"urn:xmpp:ping\"]\niq.default = \"reject\"\n[from_link]\niq.default = \"pass\"";
    let mut filter = filter(policy);
    let ask = |typ: &str, inside: &str| format!("<iq {PAIR} id='1' type='{typ}'>{inside}</iq>");
    assert_eq!(outcome(&mut filter, &ask("get", ping)), ask("get", ping));
    for typ in ["get", "set"] {
        for inside in [format!("{ping}{other}"), format!("{other}{ping}"), format!("{ping}{ping}"), String::new()] {
            for direction in [Direction::ToLink, Direction::FromLink] {
                let verdict = filter.apply(&Facts { direction, ..facts() }, stanza(&ask(typ, &inside)));
                let Verdict::Reply(reply) = verdict else { panic!("{typ} {inside}: {verdict:?}") };
                assert!(written(&reply).contains("<bad-request "), "{}", written(&reply));
            }
        }
    }
    // What is no request and no answer is nothing that anybody waits for.
    assert_eq!(outcome(&mut filter, &ask("foo", other)), "drop");
    let asked = "<iq to='ann@hq.test/a' from='bob@field.test' id='1' type='get'><query xmlns='urn:x'/></iq>";
    filter.apply(&from_link(), stanza(asked));
    assert_eq!(outcome(&mut filter, &ask("result", "")), written(&stanza(&ask("result", ""))));
}

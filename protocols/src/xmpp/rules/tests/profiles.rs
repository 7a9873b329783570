//! The built-in profiles against the catalogue of the fact sheet.

use super::*;

/// Element, and whether it passes with sat, hf-fast and hf-slow.
const IN_MESSAGES: [(&str, [bool; 3]); 24] = [
    ("<active xmlns='http://jabber.org/protocol/chatstates'/>", [false; 3]),
    ("<gone xmlns='http://jabber.org/protocol/chatstates'/>", [false; 3]),
    (
        "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>x</body></html>",
        [false; 3],
    ),
    ("<request xmlns='urn:xmpp:receipts'/>", [true, true, false]),
    ("<received xmlns='urn:xmpp:receipts' id='1'/>", [true, true, false]),
    ("<markable xmlns='urn:xmpp:chat-markers:0'/>", [true, false, false]),
    ("<origin-id xmlns='urn:xmpp:sid:0' id='1'/>", [false; 3]),
    ("<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='x'/>", [false; 3]),
    ("<occupant-id xmlns='urn:xmpp:occupant-id:0' id='1'/>", [false; 3]),
    ("<store xmlns='urn:xmpp:hints'/>", [false; 3]),
    ("<nick xmlns='http://jabber.org/protocol/nick'>n</nick>", [true, false, false]),
    ("<reactions xmlns='urn:xmpp:reactions:0' id='1'/>", [true, false, false]),
    ("<reply xmlns='urn:xmpp:reply:0' id='1'/>", [true, false, false]),
    ("<replace xmlns='urn:xmpp:message-correct:0' id='1'/>", [true, false, false]),
    ("<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", [true, false, false]),
    ("<unstyled xmlns='urn:xmpp:styling:0'/>", [false; 3]),
    ("<markup xmlns='urn:xmpp:markup:0'/>", [false; 3]),
    ("<reference xmlns='urn:xmpp:reference:0'/>", [false; 3]),
    ("<spoiler xmlns='urn:xmpp:spoiler:0'/>", [true, false, false]),
    ("<encryption xmlns='urn:xmpp:eme:0'/>", [true, false, false]),
    ("<x xmlns='jabber:x:oob'><url>u</url></x>", [true, false, false]),
    ("<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>", [true; 3]),
    ("<securitylabel xmlns='urn:xmpp:sec-label:0'/>", [true; 3]),
    ("<unknown xmlns='urn:unknown'/>", [true, true, false]),
];

const IN_PRESENCE: [(&str, [bool; 3]); 8] = [
    ("<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>", [true, false, false]),
    ("<x xmlns='vcard-temp:x:update'/>", [false; 3]),
    ("<idle xmlns='urn:xmpp:idle:1' since='2026-01-01T00:00:00Z'/>", [false; 3]),
    ("<nick xmlns='http://jabber.org/protocol/nick'>n</nick>", [true, false, false]),
    ("<show>away</show>", [true, true, false]),
    ("<status>lunch</status>", [true, false, false]),
    ("<priority>5</priority>", [true, false, false]),
    ("<occupant-id xmlns='urn:xmpp:occupant-id:0' id='1'/>", [false; 3]),
];

#[test]
fn elements_of_the_catalogue() {
    for (column, profile) in ["sat", "hf-fast", "hf-slow"].into_iter().enumerate() {
        let mut filter = filter(&format!("base = \"{profile}\""));
        for (element, passes) in IN_MESSAGES {
            let with = message(&format!("<body>x</body>{element}"));
            let expected = if passes[column] { with.clone() } else { message("<body>x</body>") };
            assert_eq!(outcome(&mut filter, &with), expected, "{profile}");
            if !passes[column] {
                assert_eq!(outcome(&mut filter, &message(element)), "drop", "{profile}: {element} alone");
            }
        }
        for (element, passes) in IN_PRESENCE {
            let with = format!("<presence {PAIR}>{element}</presence>");
            let expected = if passes[column] { with.clone() } else { format!("<presence {PAIR}/>") };
            assert_eq!(outcome(&mut filter, &with), expected, "{profile}");
        }
    }
    let mut none = filter("base = \"none\"");
    for (element, _) in IN_MESSAGES {
        assert_eq!(outcome(&mut none, &message(element)), message(element));
    }
}

#[test]
fn messages_for_machines_go() {
    for element in [
        "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:avatar:metadata'/></event>",
        "<received xmlns='urn:xmpp:carbons:2'/>",
        "<result xmlns='urn:xmpp:mam:2'/>",
        "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
    ] {
        for profile in ["sat", "hf-fast", "hf-slow"] {
            let mut filter = filter(&format!("base = \"{profile}\""));
            assert_eq!(
                outcome(&mut filter, &message(&format!("<body>x</body>{element}"))),
                "drop",
                "{profile} {element}"
            );
        }
    }
}

#[test]
fn requests_by_namespace() {
    let rows = [
        ("urn:xmpp:ping", "answer"),
        ("http://jabber.org/protocol/disco#info", "answer"),
        ("http://jabber.org/protocol/disco#items", "answer"),
        ("jabber:iq:version", "answer"),
        ("jabber:iq:last", "answer"),
        ("urn:xmpp:time", "answer"),
        ("http://jabber.org/protocol/muc#admin", "pass"),
        ("http://jabber.org/protocol/muc#owner", "pass"),
        ("jabber:iq:register", "reject"),
        ("vcard-temp", "reject"),
        ("http://jabber.org/protocol/pubsub", "reject"),
        ("http://jabber.org/protocol/pubsub#owner", "reject"),
        ("urn:xmpp:jingle:1", "reject"),
        ("http://jabber.org/protocol/ibb", "reject"),
        ("urn:xmpp:mam:2", "reject"),
        ("urn:anything", "reject"),
    ];
    for profile in ["hf-fast", "hf-slow"] {
        let mut filter = filter(&format!("base = \"{profile}\""));
        for (namespace, expected) in rows {
            let said = outcome(&mut filter, &request(namespace));
            let found = match said.strip_prefix("reply ") {
                None => "pass",
                Some(reply) if reply.contains("service-unavailable") => "reject",
                Some(_) => "answer",
            };
            assert_eq!(found, expected, "{profile} {namespace}: {said}");
        }
    }
}

/// One's own lists go before the profile's.
#[test]
fn a_profile_is_a_base_to_build_on() {
    let mut filter = filter(
        r#"
        base = "hf-slow"
        [to_link]
        message.keep = ["{urn:xmpp:receipts}*"]
        presence.mode = "fold"
        presence.keep_show = true
        iq.pass = ["vcard-temp"]
        iq.reject = ["urn:xmpp:time"]
        [[to_link.rule]]
        match = { stanza = "message", child = "{urn:xmpp:jingle-message:*}*" }
        action = "pass"
        "#,
    );
    let receipt = message("<request xmlns='urn:xmpp:receipts'/>");
    assert_eq!(outcome(&mut filter, &receipt), receipt);
    assert_eq!(outcome(&mut filter, &request("vcard-temp")), request("vcard-temp"));
    assert!(outcome(&mut filter, &request("urn:xmpp:time")).contains("service-unavailable"));
    let away = format!("<presence {PAIR}><show>away</show></presence>");
    assert_eq!(outcome(&mut filter, &away), away);
    let call = message("<body>x</body><propose xmlns='urn:xmpp:jingle-message:0'/>");
    assert_eq!(outcome(&mut filter, &call), message("<body>x</body>"), "the rule passes, the fold still folds");
}

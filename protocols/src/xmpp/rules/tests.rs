use proptest::prelude::*;

use super::config::LabelConfig;
use super::*;
use crate::message::precedence::Precedence;
use crate::time::{Duration, Instant, Now, WallTime};
use crate::xmpp::local::Condition;
use crate::xmpp::stanza::{Kind, Stanza};

mod answers;
mod folding;
mod matching;
mod profiles;

fn stanza(text: &str) -> Stanza {
    Stanza::parse(text.as_bytes()).unwrap()
}

fn written(stanza: &Stanza) -> String {
    String::from_utf8(stanza.octets()).unwrap()
}

fn config(toml: &str) -> FilterConfig {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

fn filter(toml: &str) -> Filter {
    Filter::new(&config(toml)).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{toml}"))
}

fn mistakes(toml: &str) -> Vec<String> {
    Filter::new(&config(toml))
        .map(|_| Vec::new())
        .unwrap_or_else(|found| found.iter().map(ToString::to_string).collect())
}

const NOW: Now = Now { mono: Instant::from_micros(1_000_000_000), wall: WallTime::from_unix_seconds(1_767_330_000) };

const fn facts() -> Facts<'static> {
    Facts {
        direction: Direction::ToLink,
        peer: "field",
        link: "hf-1",
        link_up: true,
        bits_per_second: 1200,
        precedence: Precedence::Routine,
        queue_age: Duration::ZERO,
        online: None,
        now: NOW,
    }
}

fn from_link() -> Facts<'static> {
    Facts { direction: Direction::FromLink, ..facts() }
}

/// What crosses: the octets, `drop`, or `reply` with the octets.
fn outcome(filter: &mut Filter, text: &str) -> String {
    match filter.apply(&facts(), stanza(text)) {
        Verdict::Pass { stanza, .. } => written(&stanza),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Reply(reply) => format!("reply {}", written(&reply)),
    }
}

const PAIR: &str = "to='bob@field.test' from='ann@hq.test/a'";

fn message(inside: &str) -> String {
    format!("<message {PAIR} id='1' type='chat'>{inside}</message>")
}

fn request(namespace: &str) -> String {
    format!("<iq to='field.test' from='ann@hq.test/a' id='q' type='get'><query xmlns='{namespace}'/></iq>")
}

/// The form of the fact sheet, with its hyphens, and everything else of the vocabulary.
#[test]
fn the_whole_vocabulary_is_read() {
    let toml = r##"
        base = "hf-fast"
        dry_run = true
        room_domains = ["chat.*"]
        [disco."chat.*"]
        identity = [{ category = "conference", type = "text", name = "Rooms" }]
        features = ["http://jabber.org/protocol/muc"]
        [[rule]]
        name = "everything at once"
        match = { direction = "to-link", peer = "field", link = ["hf-*", "sat"], stanza = "message", type = ["chat", "none"], from = "*@hq.test", from_kind = "user-full", to = "*@field.test/*", to_kind = ["user-full", "occupant"], child = "{urn:x}*", only-children = ["{}body"], has-body = true, has-subject = false, attr = { name = "var", value = "urn:xmpp:avatar*", child = "{urn:x}y" }, size_octets_over = 100, label = { policy = "1.2.*", classification_min = 3, classification_max = 5, category = "1.2.3", marking = "SEC*" }, precedence_min = "routine", precedence_max = "flash", link-state = "down", queue_age_seconds_over = 30, link_rate_bits_per_second_under = 600, rate = { per = "from-to", count = 3, seconds = 60 }, time = ["22:00/06:00"] }
        action = ["log", { count = "all" }, "alarm", { set-precedence = "flash" }, { set-ttl = { seconds = 60 } }, { route = "sat" }, { delay = { seconds = 5 } }, { hold-until = { bits_per_second_min = 300 } }, { coalesce = { key = "chat-state", hold_seconds = 3 } }, "pass"]
        [[rule]]
        match = { stanza = "iq", type = ["get", "set"], payload-ns = "urn:xmpp:jingle:*" }
        action = { reject = { condition = "feature-not-implemented", type = "cancel" } }
        [[rule]]
        match = { stanza = "iq", type = "get" }
        action = [{ answer = "ping" }, { cache = { seconds = 60 } }, "reject"]
        [to-link]
        message.mode = "keep-only"
        message.elements = ["{}body", "{}subject", "{}thread", "{http://isode.com/protocol/fmuc}fmuc"]
        presence.mode = "keep-only"
        presence.elements = []
        presence.all = false
        iq.default = "reject"
        iq.pass = ["http://jabber.org/protocol/muc#admin"]
        iq.answer = ["urn:xmpp:ping", "http://jabber.org/protocol/disco#info"]
        short-id = true
        [[to-link.rule]]
        match = { stanza = "message", only-children = ["{http://jabber.org/protocol/chatstates}*", "{}thread", "{urn:xmpp:hints}*"] }
        action = "drop"
        [[to-link.element]]
        match = { stanza = "message" }
        elements = ["{urn:x}*"]
        depth = "any"
        action = "strip"
        [[to-link.element]]
        elements = ["{}body"]
        action = ["keep-only", "fold-presence", { truncate = { characters_max = 100 } }, { strip-attr = { name = "xml:lang" } }, "normalise"]
        [[from-link.element]]
        match = { child = "{eu.siacs.conversations.axolotl}encrypted" }
        elements = ["{eu.siacs.conversations.axolotl}encrypted"]
        action = { replace = { text = "(encrypted)" } }
    "##;
    let read = config(toml);
    let filter = Filter::new(&read).unwrap();
    assert_eq!((filter.short_id(), Filter::new(&builtin("hf-slow").unwrap()).unwrap().short_id()), (Some(true), None));
    let again: FilterConfig = toml::from_str(&toml::to_string(&read).unwrap()).unwrap();
    assert_eq!(again, read, "what is written out is read back");
    for profile in PROFILES {
        let read = builtin(profile).unwrap();
        assert_eq!(toml::from_str::<FilterConfig>(&toml::to_string(&read).unwrap()).unwrap(), read, "{profile}");
    }
}

#[test]
fn all_mistakes_at_once_with_key_and_reason() {
    let found = mistakes(
        r#"
        base = "hf"
        [[rule]]
        match = { child = "body" }
        action = "drop"
        [to_link]
        message.elements = ["{}body"]
        presence.mode = "fold"
        presence.elements = ["{}show"]
        iq.answer = ["urn:none"]
        [[to_link.rule]]
        match = { stanza = "message", type = "get", from = "a@b@c", time = "8-9", direction = "from-link" }
        action = [{ answer = "ping" }]
        [[to_link.rule]]
        match = { stanza = "iq" }
        action = { coalesce = { key = "presence" } }
        [[to_link.element]]
        action = ["strip", { truncate = { characters_max = 0 } }, { strip-attr = { name = "to" } }, { strip-attr = { name = "id" } }]
        "#,
    );
    let keys: Vec<&str> = found.iter().map(|mistake| mistake.split(": ").next().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "base",
            "rule.0.match.child.0",
            "rule.0.action.0",
            "to_link.rule.0.match.type.0",
            "to_link.rule.0.match.from.0",
            "to_link.rule.0.match.time.0",
            "to_link.rule.0.match.direction",
            "to_link.rule.0.action.0",
            "to_link.rule.1.action.0",
            "to_link.message.mode",
            "to_link.presence.elements",
            "to_link.element.0.action.0",
            "to_link.element.0.action.1",
            "to_link.element.0.action.2",
            "to_link.iq.answer.0",
            "to_link.element",
        ],
        "{found:#?}"
    );
}

#[test]
fn unknown_keys_and_words_are_refused_with_their_name() {
    for (toml, word) in [
        ("dry = true", "dry"),
        ("[to_link]\nmessages.mode = \"strip\"", "messages"),
        ("[to_link]\nmessage.mode = \"fold-it\"", "fold-it"),
        ("[[rule]]\naction = \"dorp\"", "dorp"),
        ("[[rule]]\nmatch = { stanza = \"mesage\" }\naction = \"drop\"", "mesage"),
        ("[[rule]]\naction = { reject = { condition = \"go-away\" } }", "go-away"),
        ("[[rule]]\naction = { delay = { minutes = 5 } }", "minutes"),
        ("[[rule]]\nmatch = { size = 5 }\naction = \"log\"", "size"),
    ] {
        let error = toml::from_str::<FilterConfig>(toml).unwrap_err().to_string();
        assert!(error.contains(word), "{toml}: {error}");
    }
}

/// What comes from the link goes to its server at once: what could only be ignored is refused.
#[test]
fn orders_for_the_queue_are_refused_where_there_is_none() {
    for action in [
        "{ delay = { seconds = 5 } }",
        "{ hold-until = { bits_per_second_min = 300 } }",
        "{ coalesce = { key = \"presence\" } }",
        "{ set-precedence = \"flash\" }",
        "{ set-ttl = { seconds = 60 } }",
        "{ route = \"sat\" }",
    ] {
        for (list, direction, wrong) in [
            ("from_link.rule", None, true),
            ("rule", None, true),
            ("rule", Some("both"), true),
            ("rule", Some("from-link"), true),
            ("rule", Some("to-link"), false),
            ("to_link.rule", None, false),
        ] {
            let direction = direction.map_or_else(String::new, |direction| format!(", direction = \"{direction}\""));
            let rule = format!("[[{list}]]\nmatch = {{ stanza = \"presence\"{direction} }}\naction = {action}");
            let found = mistakes(&rule);
            assert_eq!(found.len(), usize::from(wrong), "{rule}: {found:?}");
            assert!(found.iter().all(|mistake| mistake.contains(".action.0: ")), "{found:?}");
        }
    }
    for action in ["\"drop\"", "\"reject\"", "\"alarm\"", "{ count = \"x\" }"] {
        let rule = format!("[[rule]]\nmatch = {{ stanza = \"presence\" }}\naction = {action}");
        assert_eq!(mistakes(&rule), Vec::<String>::new());
    }
}

#[test]
fn keys_that_could_do_nothing_are_refused() {
    for (toml, expected) in [
        ("[from_link]\nshort_id = true", "from_link.short_id: is of no use"),
        ("[to_link]\nstrip_labels = true", "to_link.strip_labels: takes no label away"),
    ] {
        let found = mistakes(toml);
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_request_is_never_swallowed() {
    for (condition, wrong) in [
        ("{ }", true),
        ("{ stanza = \"iq\" }", true),
        ("{ stanza = [\"message\", \"iq\"], type = [\"chat\", \"set\"] }", true),
        ("{ stanza = \"iq\", type = \"result\" }", false),
        ("{ stanza = \"message\" }", false),
        ("{ type = [\"chat\", \"error\"] }", false),
        ("{ payload_ns = \"urn:x\" }", true),
    ] {
        let found = mistakes(&format!("[[rule]]\nmatch = {condition}\naction = \"drop\""));
        assert_eq!(!found.is_empty(), wrong, "{condition}: {found:?}");
        assert!(found.iter().all(|mistake| mistake.contains("need an answer")), "{found:?}");
    }
}

/// The order: the first stanza rule that decides, then the policy for requests, then every element rule.
#[test]
fn the_first_rule_that_decides_and_all_element_rules() {
    let toml = r#"
        [[to_link.rule]]
        match = { from = "captain@*" }
        action = [{ set-precedence = "flash" }, { count = "captain" }]
        [[to_link.rule]]
        match = { stanza = "message", child = "{urn:a}a", to = "*@field.test" }
        action = "pass"
        [[to_link.rule]]
        match = { stanza = "message", child = "{urn:a}a" }
        action = "drop"
        [to_link.iq]
        default = "reject"
        pass = ["urn:ok"]
        pass_seconds = 60
        [[to_link.element]]
        elements = ["{urn:a}a"]
        action = "strip"
        [[to_link.element]]
        elements = ["{urn:b}b"]
        action = "strip"
    "#;
    let mut filter = filter(toml);
    let both = "<body>x</body><a xmlns='urn:a'/><b xmlns='urn:b'/>";
    assert_eq!(outcome(&mut filter, &message(both)), message("<body>x</body>"));
    let elsewhere = message(both).replace("bob@field.test", "bob@other.test");
    assert_eq!(outcome(&mut filter, &elsewhere), "drop");
    let captain = message(both).replace("ann@", "captain@");
    let Verdict::Pass { orders, .. } = filter.apply(&facts(), stanza(&captain)) else { panic!() };
    assert_eq!(orders.precedence, Some(Precedence::Flash));
    let Verdict::Pass { orders, .. } = filter.apply(&facts(), stanza(&request("urn:ok"))) else { panic!() };
    assert_eq!(orders.life, Some(Duration::from_secs(60)));
    assert!(outcome(&mut filter, &request("urn:other")).contains("service-unavailable"));
    let answer = "<iq to='field.test' from='ann@hq.test/a' id='q' type='result'><query xmlns='urn:other'/></iq>";
    let asks = "<iq to='ann@hq.test/a' from='field.test' id='q' type='get'><query xmlns='urn:other'/></iq>";
    filter.apply(&from_link(), stanza(asks));
    assert_eq!(outcome(&mut filter, answer), answer, "what was asked is answered whatever it is");
    assert_eq!(filter.report().counters.get("captain"), Some(&1));
}

#[test]
fn reject_gives_an_error_or_nothing_and_answers_pass() {
    let mut filter = filter(
        r#"
        [[rule]]
        match = { child = "{urn:a}a" }
        action = { reject = { condition = "not-allowed" } }
        "#,
    );
    let inside = "<a xmlns='urn:a'/>";
    assert!(outcome(&mut filter, &message(inside)).contains("type='error'><error type='cancel'><not-allowed"));
    let error = message(&format!("{inside}<error type='wait'/>")).replace("type='chat'", "type='error'");
    assert_eq!(outcome(&mut filter, &error), "drop");
    assert_eq!(outcome(&mut filter, &format!("<presence {PAIR} type='unavailable'>{inside}</presence>")), "drop");
    let asks = "<iq to='ann@hq.test/a' from='bob@field.test' id='1' type='get'><b xmlns='urn:b'/></iq>";
    filter.apply(&from_link(), stanza(asks));
    let result = format!("<iq {PAIR} id='1' type='result'>{inside}</iq>");
    assert_eq!(outcome(&mut filter, &result), result);
}

#[test]
fn orders_for_what_passes() {
    let mut filter = filter(
        r#"
        [[to_link.rule]]
        match = { stanza = "message" }
        action = [{ coalesce = { key = "chat-state", hold_seconds = 3 } }, { delay = { seconds = 1 } }, { hold-until = { bits_per_second_min = 300 } }, { set-ttl = { seconds = 60 } }, { route = "sat" }]
        [[rule]]
        match = { stanza = "presence", direction = "to-link" }
        action = { coalesce = { key = "presence" } }
        "#,
    );
    let mut orders = |text: &str| match filter.apply(&facts(), stanza(text)) {
        Verdict::Pass { orders, .. } => orders,
        other => panic!("{other:?}"),
    };
    let typing = orders(&message("<composing xmlns='http://jabber.org/protocol/chatstates'/>"));
    let said = orders(&message("<body>x</body>"));
    assert_eq!(typing.coalesce, Some(b"c\0ann@hq.test/a\0bob@field.test".to_vec()));
    assert_eq!((typing.hold, said.hold), (Some(Duration::from_secs(3)), Some(Duration::from_secs(1))));
    assert_eq!((said.coalesce, said.life, said.route), (None, Some(Duration::from_secs(60)), Some("sat".to_owned())));
    assert_eq!(said.hold_until_bits_per_second, Some(300));
    assert!(orders(&format!("<presence {PAIR}/>")).coalesce.is_some());
    assert_eq!(orders(&format!("<presence {PAIR} type='subscribed'/>")).coalesce, None, "a decision is not news");
}

#[test]
fn a_result_answers_equal_requests_for_its_time_and_in_its_room() {
    let mut filter = filter("[to_link]\niq.cache = [\"urn:info\"]\niq.cache_seconds = 100");
    let ask = |id: &str, to: &str| {
        stanza(&format!("<iq to='{to}' from='ann@hq.test/a' id='{id}' type='get'><query xmlns='urn:info'/></iq>"))
    };
    let at = |seconds| Facts { now: NOW.after(Duration::from_secs(seconds)), ..facts() };
    let from_link = |seconds| Facts { direction: Direction::FromLink, ..at(seconds) };
    let passes = |verdict: Verdict| matches!(verdict, Verdict::Pass { .. });
    assert!(passes(filter.apply(&at(0), ask("1", "bob@field.test/x"))));
    let forged = stanza(
        "<iq to='ann@hq.test/a' from='eve@field.test/x' id='1' type='result'><query xmlns='urn:info'>no</query></iq>",
    );
    filter.apply(&from_link(1), forged);
    assert!(passes(filter.apply(&at(2), ask("2", "bob@field.test/x"))), "somebody else's answer is no answer");
    let result = stanza(
        "<iq to='ann@hq.test/a' from='bob@field.test/x' id='1' type='result'><query xmlns='urn:info'>yes</query></iq>",
    );
    assert!(passes(filter.apply(&from_link(3), result.clone())));
    let Verdict::Reply(reply) = filter.apply(&at(4), ask("3", "bob@field.test/x")) else { panic!() };
    assert_eq!(
        written(&reply),
        "<iq to='ann@hq.test/a' from='bob@field.test/x' id='3' type='result'><query xmlns='urn:info'>yes</query></iq>"
    );
    assert!(passes(filter.apply(&at(200), ask("4", "bob@field.test/x"))), "too old");
    for number in 0..1000 {
        filter.apply(&at(300), ask(&format!("n{number}"), &format!("u{number}@field.test")));
        let text = format!(
            "<iq to='ann@hq.test/a' from='u{number}@field.test' id='n{number}' type='result'><query xmlns='urn:info'>{}</query></iq>",
            "x".repeat(20_000)
        );
        filter.apply(&from_link(300), stanza(&text));
    }
    let (waiting, held, octets) = filter.cache_sizes();
    assert!(waiting <= limits::CACHE_WAITING_MAX && held <= limits::CACHE_RESULTS_MAX, "{waiting} {held}");
    assert!(octets <= limits::CACHE_OCTETS_MAX, "{octets}");
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would() {
    let inputs = [
        message("<body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/>"),
        message("<composing xmlns='http://jabber.org/protocol/chatstates'/>"),
        format!("<presence {PAIR} id='p'><show>away</show><status>lunch</status></presence>"),
        request("urn:xmpp:ping").replace("query", "ping"),
    ];
    let mut dry = filter("base = \"hf-slow\"\ndry_run = true");
    let mut wet = filter("base = \"hf-slow\"");
    for input in &inputs {
        assert_eq!(outcome(&mut dry, input), *input);
        assert_ne!(outcome(&mut wet, input), *input);
    }
    assert_eq!(dry.report().rules, wet.report().rules, "a dry run counts what would have been");
    assert!(dry.report().dry_run && dry.report().stanzas == 4);
    let row = |rule: &str| dry.report().rules.iter().find(|row| row.rule == rule).cloned().unwrap();
    let alone = row("chat states alone");
    assert_eq!((alone.matched, alone.stanzas, alone.octets), (1, 1, inputs[1].len() as u64));
    assert_eq!((row("to_link.iq").stanzas, row("to_link.iq").octets), (1, inputs[3].len() as u64));
    let folded = format!("<presence {PAIR}/>").len();
    assert_eq!(row("to_link.presence").octets, (inputs[2].len() - folded) as u64);
}

#[test]
fn notices_are_bounded_and_hold_no_address() {
    let mut filter =
        filter("[[rule]]\nname = \"watch\"\nmatch = { stanza = \"message\" }\naction = [\"log\", \"alarm\"]");
    for _ in 0..200 {
        outcome(&mut filter, &message("<body>x</body>"));
    }
    let notices = filter.take_notices();
    assert_eq!((notices.len(), filter.report().notices_lost), (limits::NOTICES_MAX, 300));
    assert!(!format!("{notices:?}").contains("hq.test"));
    assert!(notices[0].rule == "watch" && !notices[0].alarm && notices[1].alarm && notices[0].kind == Kind::Message);
}

#[test]
fn disco_names_no_feature_that_is_filtered() {
    for profile in ["hf-fast", "hf-slow"] {
        let filter = filter(&format!("base = \"{profile}\""));
        for feature in [
            "http://jabber.org/protocol/chatstates",
            "http://jabber.org/protocol/xhtml-im",
            "urn:xmpp:jingle:1",
            "urn:xmpp:jingle-message:0",
            "http://jabber.org/protocol/si",
            "urn:xmpp:omemo:2",
        ] {
            assert!(!filter.passes_feature(feature), "{profile} {feature}");
        }
        assert!(filter.passes_feature("urn:xmpp:ping"));
        assert_eq!(filter.passes_feature("urn:xmpp:receipts"), profile == "hf-fast");
    }
    assert!(filter("").passes_feature("urn:xmpp:jingle:1"));
    let mut fast = filter("base = \"hf-fast\"");
    let info = "<iq to='bob@field.test/x' from='ann@hq.test/a' id='1' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    let said = outcome(&mut fast, info);
    assert!(said.contains("urn:xmpp:receipts") && said.contains("<identity type='pc' category='client'"), "{said}");
    assert!(!outcome(&mut filter("base = \"hf-slow\""), info).contains("urn:xmpp:receipts"));
}

#[test]
fn conditions_have_standard_names() {
    assert_eq!(Condition::parse("service-unavailable"), Some(Condition::ServiceUnavailable));
    assert_eq!(LabelConfig::default().present, None);
}

fn arbitrary_child() -> impl Strategy<Value = String> {
    let namespace = prop::sample::select(vec![
        "jabber:client",
        "jabber:server",
        "http://jabber.org/protocol/chatstates",
        "urn:xmpp:delay",
        "urn:xmpp:omemo:2",
        "urn:xmpp:sec-label:0",
        "http://jabber.org/protocol/muc#user",
        "http://jabber.org/protocol/muc",
        "jabber:x:conference",
        "urn:xmpp:hints",
        "urn:other",
    ]);
    let name = prop::sample::select(vec![
        "body",
        "x",
        "show",
        "status",
        "priority",
        "delay",
        "encrypted",
        "error",
        "subject",
        "thread",
        "active",
        "securitylabel",
    ]);
    let text = prop::sample::select(vec!["", "xa", "-1", " text ", "&lt;", "<b/>", "away", "…é"]);
    (namespace, name, text, any::<bool>()).prop_map(|(namespace, name, text, prefixed)| {
        if prefixed {
            format!("<p:{name} xmlns:p='{namespace}'>{text}</p:{name}>")
        } else {
            format!("<{name} xmlns='{namespace}'>{text}</{name}>")
        }
    })
}

pub(super) fn arbitrary_stanza() -> impl Strategy<Value = Stanza> {
    let kind = prop::sample::select(vec!["message", "presence", "iq"]);
    let typ = prop::sample::select(vec![
        "",
        "chat",
        "groupchat",
        "error",
        "unavailable",
        "subscribe",
        "subscribed",
        "probe",
        "get",
        "set",
        "result",
        "odd",
    ]);
    let to = prop::sample::select(vec!["bob@field.test", "bob@field.test/x", "ops@chat.field.test/bob", "field.test"]);
    let from = prop::sample::select(vec!["ann@hq.test/a", "ann@hq.test", "room@chat.hq.test/ann"]);
    (kind, typ, to, from, prop::collection::vec(arbitrary_child(), 0..5), any::<bool>()).prop_map(
        |(kind, typ, to, from, children, lang)| {
            let typ = if typ.is_empty() { String::new() } else { format!(" type='{typ}'") };
            let lang = if lang { " xml:lang='en' id='7'" } else { "" };
            let text = format!("<{kind} to='{to}' from='{from}'{typ}{lang}>{}</{kind}>", children.concat());
            stanza(&text)
        },
    )
}

/// What no folding may take, told from the sheet and not from the code.
fn sacred(stanza: &Stanza) -> Vec<minidom::Element> {
    let typ = stanza.typ();
    let subscription = matches!(typ, Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed"));
    stanza
        .element()
        .children()
        .filter(|child| match (child.ns().as_str(), child.name()) {
            ("jabber:server", "error") => typ == Some("error"),
            ("jabber:server", "status") => stanza.kind() == Kind::Presence && subscription,
            ("jabber:x:conference", "x")
            | ("http://jabber.org/protocol/muc#user", "x")
            | ("urn:xmpp:delay", "delay")
            | ("urn:xmpp:omemo:2", "encrypted")
            | ("urn:xmpp:sec-label:0", _) => stanza.kind() == Kind::Message,
            _ => false,
        })
        .cloned()
        .collect()
}

/// What folding leaves of an error crosses, also when it is folded again.
#[test]
fn an_error_that_says_little_is_not_taken_for_a_chat_state() {
    let error = "<message type='error' to='a@b' from='c@d'><x xmlns='urn:strange'/><thread>t</thread></message>";
    for profile in ["sat", "hf-fast", "hf-slow"] {
        let mut filter = filter(&format!("base = \"{profile}\""));
        let Verdict::Pass { stanza, .. } = filter.apply(&facts(), stanza(error)) else { panic!("{profile}") };
        assert!(matches!(filter.apply(&facts(), stanza), Verdict::Pass { .. }), "{profile}");
    }
}

proptest! {
    #[test]
    fn folding_never_grows_keeps_the_sacred_and_rests_after_once(input in arbitrary_stanza(), profile in 0usize..4) {
        let mut filter = filter(&format!("base = \"{}\"", PROFILES[profile]));
        if let Verdict::Pass { stanza, .. } = filter.apply(&facts(), input.clone()) {
            prop_assert!(stanza.octets().len() <= input.octets().len());
            prop_assert_eq!(sacred(&stanza), sacred(&input));
            prop_assert_eq!((stanza.to(), stanza.from(), stanza.kind()), (input.to(), input.from(), input.kind()));
            let again = filter.apply(&facts(), stanza.clone());
            let resting = matches!(&again, Verdict::Pass { stanza: twice, .. } if *twice == stanza);
            prop_assert!(resting, "{} became {:?}", written(&stanza), again);
        }
    }

    #[test]
    fn a_request_always_crosses_or_is_answered_and_an_error_never_is(input in arbitrary_stanza(), profile in 0usize..4) {
        let mut filter = filter(&format!("base = \"{}\"", PROFILES[profile]));
        let request = input.kind() == Kind::Iq && matches!(input.typ(), Some("get" | "set"));
        match filter.apply(&facts(), input.clone()) {
            Verdict::Drop => prop_assert!(!request, "{}", written(&input)),
            Verdict::Reply(reply) => {
                prop_assert!(input.typ() != Some("error") && input.typ() != Some("result"));
                prop_assert_eq!((reply.to(), reply.from(), reply.id()), (input.from(), input.to(), input.id()));
                prop_assert_eq!(&Stanza::parse(&reply.octets()).unwrap(), &reply);
            }
            Verdict::Pass { .. } => {}
        }
    }
}

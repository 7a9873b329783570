//! What servers must not do, and what becomes of them. Numbers are those of the list of hostile inputs.

use super::super::*;
use super::net::{Net, OPEN};
use crate::xmpp::dialback::key;

fn config() -> DoorConfig {
    DoorConfig {
        fronted: vec!["field.example".into()],
        locals: vec![LocalServer { bidi: false, ..LocalServer::at(vec!["hq.example".into()], "hq:5269".into()) }],
        dialback_secret: "s3cr3t".into(),
        certificate: Some("own".into()),
        tls_required: false,
        ..DoorConfig::default()
    }
}

fn net() -> Net {
    let mut net = Net::new(vec![config()]);
    net.listeners.insert("hq:5269".into(), None);
    net
}

/// A hand that has opened a stream; the id it was given.
fn opened(net: &mut Net) -> (u64, String) {
    let hand = net.dial(0, false);
    let header = net.say(hand, OPEN);
    let id = header.split("id='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap().to_owned();
    (hand, id)
}

/// A hand that is authenticated by its certificate.
fn authenticated(net: &mut Net) -> u64 {
    let hand = net.dial(0, true);
    net.secure(hand, &["hq.example"]);
    net.say(hand, OPEN);
    net.say(hand, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>aHEuZXhhbXBsZQ==</auth>");
    let features = net.say(hand, OPEN);
    assert!(features.contains("<sm xmlns='urn:xmpp:sm:3'/>"), "{features}");
    hand
}

/// The condition of the stream error that ended a hand's stream.
fn error(net: &mut Net, hand: u64, said: &str) -> String {
    let heard = net.say(hand, said);
    assert_eq!(net.closed.get(&hand), Some(&true), "{said}: {heard}");
    assert!(heard.ends_with("</stream:stream>"), "{said}: {heard}");
    let error = heard.split("<stream:error><").nth(1).unwrap_or_default();
    error.split(' ').next().unwrap_or_default().to_owned()
}

/// 18, 19, 20: what is no stream of XMPP ends with the error that says so.
//= xmpp/STREAM-008
#[test]
fn broken_xml_ends_the_stream() {
    let deep = "<a>".repeat(70);
    let large = format!("<message><body>{}", "x".repeat(20_000));
    for (text, condition) in [
        ("<!-- x -->", "restricted-xml"),
        ("<!DOCTYPE x []>", "not-well-formed"),
        ("<a>&lol;</a>", "restricted-xml"),
        ("<x:a/>", "bad-namespace-prefix"),
        ("<a></b>", "not-well-formed"),
        ("<a>\u{fffe}</a>", "not-well-formed"),
        ("words", "bad-format"),
        (deep.as_str(), "policy-violation"),
        (large.as_str(), "policy-violation"),
    ] {
        let mut net = net();
        let (hand, _) = opened(&mut net);
        assert_eq!(error(&mut net, hand, text), condition, "{text}");
    }
}

/// A limit that one user's stanza breaks costs nobody else anything: the stream stays, the count goes on, its sender is told.
//= xmpp/STREAM-012
#[test]
fn a_stanza_that_breaks_a_limit_costs_no_stream() {
    let deep = format!("{}{}", "<a>".repeat(64), "</a>".repeat(64));
    let attributes: String = (0..65).map(|n| format!(" a{n}=''")).collect();
    let wide = format!("<a{attributes}/>");
    let long = format!("<a b='{}'/>", "x".repeat(8193));
    let many = "<a/>".repeat(8192);
    let mut net = net();
    let hand = authenticated(&mut net);
    for (number, inside) in [deep, wide, long, many].iter().enumerate() {
        for kind in ["message", "iq", "presence"] {
            let typ = if kind == "iq" { " type='get'" } else { "" };
            let said = net.say(
                hand,
                &format!(
                    "<{kind} to='b@field.example' from='a@hq.example' id='{number}'{typ}>{inside}</{kind}>\
                     <message to='b@field.example' from='a@hq.example' id='next'/>"
                ),
            );
            assert!(!said.contains("</stream:stream>"), "{kind} {number}: {said}");
            assert_eq!(net.arrived(0).len(), 1, "{kind} {number}: the next one");
        }
    }
    assert_eq!(net.closed.get(&hand), None);
    let told = format!("{:?}", net.events);
    assert!(!told.contains("id='0'"), "nothing of them goes on");
}

/// 22, 25: headers that lie, and elements out of turn.
//= xmpp/STREAM-002
//= xmpp/STREAM-006
#[test]
fn headers_and_elements_out_of_place_end_the_stream() {
    let header = |attributes: &str| {
        format!(
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' {attributes}>"
        )
    };
    for (first, condition) in [
        (header("from='hq.example' to='nobody.example'"), "host-unknown"),
        (header("from='hq.example'"), "improper-addressing"),
        (header("from='@' to='field.example'"), "improper-addressing"),
        (OPEN.replace("'jabber:server'", "'jabber:client'"), "invalid-namespace"),
        ("<iq/>".to_owned(), "invalid-namespace"),
    ] {
        let mut net = net();
        let hand = net.dial(0, false);
        assert_eq!(error(&mut net, hand, &first), condition, "{first}");
    }
    for (text, condition) in [
        ("<message to='u@field.example' from='v@hq.example'/>", "not-authorized"),
        ("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "not-authorized"),
        ("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "not-authorized"),
        ("<db:result/>", "improper-addressing"),
    ] {
        let mut net = net();
        let (hand, _) = opened(&mut net);
        assert_eq!(error(&mut net, hand, text), condition, "{text}");
    }
    let mut net = net();
    let (hand, _) = opened(&mut net);
    assert_eq!(error(&mut net, hand, &"<x xmlns='urn:x'/>".repeat(17)), "unsupported-stanza-type");
}

#[test]
fn a_header_after_tls_must_name_the_same_domains() {
    let mut net = net();
    let (hand, _) = opened(&mut net);
    net.say(hand, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><message/>");
    assert!(net.securing(hand).is_some_and(|secure| !secure.client && secure.want_peer_certificate));
    net.secure(hand, &[]);
    assert_eq!(error(&mut net, hand, &OPEN.replace("hq.example", "other.example")), "improper-addressing");
}

/// 22: a stanza from a domain that the stream is not authenticated for.
//= xmpp/STANZA-003
#[test]
fn a_stanza_from_somebody_else_ends_the_stream_and_a_bad_address_does_not() {
    let mut net = net();
    let hand = authenticated(&mut net);
    for text in [
        "<message to='u@field.example'/>",
        "<message to='@' from='v@hq.example'/>",
        "<presence to='u@x.example' from='v@hq.example'/>",
    ] {
        assert_eq!(net.say(hand, text), "");
    }
    assert_eq!(net.closed.get(&hand), None);
    assert_eq!(net.arrived(0), Vec::<String>::new());
    assert_eq!(error(&mut net, hand, "<message to='u@field.example' from='v@other.example'/>"), "invalid-from");
}

/// A name in a certificate is the only thing that counts for EXTERNAL.
//= xmpp/EXT-001
#[test]
fn who_is_not_in_the_certificate_is_not_believed() {
    let auth =
        |text: &str| format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{text}</auth>");
    for (names, text) in [
        (&["other.example"][..], "="),
        (&[], "aHEuZXhhbXBsZQ=="),
        (&["hq.example"], "b3RoZXIuZXhhbXBsZQ=="),
        (&["hq.example"], "!"),
    ] {
        let mut net = net();
        let hand = net.dial(0, true);
        net.secure(hand, names);
        let features = net.say(hand, OPEN);
        assert_eq!(features.contains("EXTERNAL"), names == ["hq.example"]);
        assert!(net.say(hand, &auth(text)).starts_with("<failure"), "{names:?} {text}");
        assert!(net.say(hand, &auth(text)).starts_with("<failure"));
        assert_eq!(error(&mut net, hand, &auth(text)), "policy-violation");
    }
    let mut net = net();
    let (hand, _) = opened(&mut net);
    assert!(net.say(hand, &auth("=")).starts_with("<failure"), "not in clear");
    assert!(net.say(hand, &auth("=").replace("EXTERNAL", "PLAIN")).contains("invalid-mechanism"));
}

#[test]
fn an_empty_first_response_is_asked_for_once_more() {
    let mut net = net();
    let hand = net.dial(0, true);
    net.secure(hand, &["hq.example"]);
    net.say(hand, OPEN);
    let challenge = net.say(hand, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>");
    assert_eq!(challenge, "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(net.say(hand, "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").starts_with("<success"));
}

/// The authoritative role: only our own keys are right.
//= xmpp/DBK-002
#[test]
fn keys_are_judged_by_our_secret() {
    let mut net = net();
    let (hand, _) = opened(&mut net);
    let right = key("s3cr3t", "hq.example", "field.example", "S1");
    let ask =
        |to: &str, id: &str, key: &str| format!("<db:verify from='hq.example' to='{to}' id='{id}'>{key}</db:verify>");
    assert_eq!(
        net.say(hand, &ask("field.example", "S1", &right)),
        "<db:verify to='hq.example' from='field.example' id='S1' type='valid'/>"
    );
    let wrong = net.say(hand, &ask("field.example", "S2", &right));
    assert_eq!(wrong, "<db:verify to='hq.example' from='field.example' id='S2' type='invalid'/>");
    assert!(net.say(hand, &ask("nobody.example", "S1", &right)).contains("type='error'"));
    assert!(net.notices(0).contains(&"chat.dialback_forged"));
}

/// The receiving role: a key is judged by who is authoritative, on another connection, and nobody else.
//= xmpp/DBK-005
//= xmpp/DBK-009
#[test]
fn a_shown_key_is_judged_elsewhere() {
    for (verdict, ends) in [("valid", false), ("invalid", true)] {
        let mut net = net();
        let (hand, id) = opened(&mut net);
        let answer = net.say(hand, "<db:result from='hq.example' to='field.example'>abc</db:result>");
        assert_eq!((answer.as_str(), net.opened.as_slice()), ("", &["hq:5269".to_owned()][..]));
        let server = net.hand();
        assert!(net.heard(server).contains("from='field.example'"));
        // The one who shows the key cannot judge it, and an answer that was not asked for is none.
        let forged = format!("<db:verify from='hq.example' to='field.example' id='{id}' type='valid'/>");
        assert_eq!(net.say(hand, &forged), "");
        let asked = net.say(
            server,
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns:db='jabber:server:dialback' id='X' from='hq.example' version='1.0'><stream:features/>",
        );
        assert_eq!(asked, format!("<db:verify to='hq.example' from='field.example' id='{id}'>abc</db:verify>"));
        net.say(server, "<db:verify from='hq.example' to='field.example' id='other' type='valid'/>");
        assert_eq!(net.heard(hand), "");
        net.say(
            server,
            &format!("<db:verify from='hq.example' to='field.example' id='{id}' type='{verdict}'>abc</db:verify>"),
        );
        let heard = net.heard(hand);
        assert!(
            heard.starts_with(&format!("<db:result to='hq.example' from='field.example' type='{verdict}'/>")),
            "{heard}"
        );
        assert_eq!(net.closed.contains_key(&hand), ends, "{heard}");
        assert!(net.notices(0).contains(&"chat.dialback_unasked"));
        if !ends {
            net.say(hand, "<message to='u@field.example' from='v@hq.example'/>");
            assert_eq!(net.arrived(0).len(), 1);
        }
        // The connection for the question closes when it is idle.
        net.pass(Duration::from_secs(40));
        assert_eq!(net.closed.get(&server), Some(&true));
    }
}

#[test]
fn a_key_that_nobody_judges_gets_an_error_and_the_stream_stays() {
    let mut net = net();
    net.listeners.clear();
    let (hand, _) = opened(&mut net);
    let answer = net.say(hand, "<db:result from='hq.example' to='field.example'>abc</db:result>");
    assert!(answer.contains("type='error'") && answer.contains("remote-connection-failed"), "{answer}");
    assert_eq!(net.closed.get(&hand), None);
    let mut net = net_silent();
    let (hand, _) = opened(&mut net);
    net.say(hand, "<db:result from='hq.example' to='field.example'>abc</db:result>");
    net.pass(Duration::from_secs(51));
    assert!(net.heard(hand).contains("remote-server-timeout"));
}

fn net_silent() -> Net {
    net()
}

#[test]
fn keys_for_what_is_not_ours_or_from_what_is_are_refused() {
    let mut net = net();
    let (hand, _) = opened(&mut net);
    for (from, to, condition) in [
        ("hq.example", "nobody.example", "item-not-found"),
        ("field.example", "field.example", "policy-violation"),
        ("stranger.example", "field.example", "policy-violation"),
    ] {
        let answer = net.say(hand, &format!("<db:result from='{from}' to='{to}'>abc</db:result>"));
        assert!(answer.contains("type='error'") && answer.contains(condition), "{from} {to}: {answer}");
    }
    assert_eq!(net.opened, Vec::<String>::new());
}

#[test]
fn a_flood_of_keys_is_bounded() {
    let mut many = config();
    many.locals[0].domains = vec!["*".into()];
    let mut net = Net::new(vec![many]);
    net.listeners.insert("hq:5269".into(), None);
    let (hand, _) = opened(&mut net);
    let mut answers = String::new();
    for number in 0..200 {
        answers += &net.say(hand, &format!("<db:result from='d{number}.example' to='field.example'>abc</db:result>"));
    }
    assert_eq!(answers.matches("resource-constraint").count(), 200 - 64);
}

/// 26: confirmations of what was never sent.
//= xmpp/SM-004
#[test]
fn impossible_confirmations_end_the_stream() {
    for (h, condition) in
        [("1", "undefined-condition"), ("4294967295", "undefined-condition"), ("-1", "bad-format"), ("x", "bad-format")]
    {
        let mut bidi = config();
        bidi.locals[0].bidi = true;
        let mut net = Net::new(vec![bidi]);
        let hand = net.dial_known();
        assert!(net.say(hand, "<enable xmlns='urn:xmpp:sm:3'/>").contains("<enabled"));
        assert_eq!(error(&mut net, hand, &format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")), condition, "{h}");
    }
}

#[test]
fn what_is_handled_is_told_at_once_and_truly() {
    let mut net = net();
    net.takes = false;
    let hand = authenticated(&mut net);
    assert!(
        net.say(hand, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>").contains("<enabled xmlns='urn:xmpp:sm:3'/>")
    );
    let said = "<message to='u@field.example' from='v@hq.example'/><message to='@' from='v@hq.example'/><r xmlns='urn:xmpp:sm:3'/>";
    assert_eq!(net.say(hand, said), "<a xmlns='urn:xmpp:sm:3' h='0'/>");
    let events = net.events(0);
    let [DoorEvent::Arrived { arrival, .. }] = events[..] else { panic!("{events:?}") };
    net.doors[0].taken(net.now, arrival);
    net.settle();
    assert_eq!(net.heard(hand), "<a xmlns='urn:xmpp:sm:3' h='2'/>", "the one passed over counts too");
    assert!(net.say(hand, "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>").contains("item-not-found"));
    assert!(net.say(hand, "<enable xmlns='urn:xmpp:sm:3'/>").contains("unexpected-request"));
}

/// A server may send what opened the stream before it asks for confirmations: that counts for nothing, though it is taken
/// later than the request.
//= xmpp/SM-006
#[test]
fn what_came_before_the_counting_began_is_never_counted() {
    let message = |to: &str| format!("<message to='{to}' from='v@hq.example'/>");
    let handled = |h: u32| format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>");
    let ask = "<r xmlns='urn:xmpp:sm:3'/>";
    for piece in [1, usize::MAX] {
        let mut net = net();
        (net.takes, net.piece) = (false, piece);
        let hand = authenticated(&mut net);
        // Of the two the second is passed over, and so never waits for a disk.
        let early = message("u@field.example") + &message("@");
        let said = early + "<enable xmlns='urn:xmpp:sm:3'/>" + &message("u@field.example") + ask;
        assert!(net.say(hand, &said).ends_with(&handled(0)));
        let arrivals: Vec<u64> = net
            .events(0)
            .into_iter()
            .filter_map(|event| if let DoorEvent::Arrived { arrival, .. } = event { Some(arrival) } else { None })
            .collect();
        net.doors[0].taken(net.now, arrivals[0]);
        net.settle();
        net.heard(hand);
        assert_eq!(net.say(hand, ask), handled(0), "what came first is taken, what counts is not");
        net.doors[0].taken(net.now, arrivals[1]);
        net.settle();
        assert_eq!(net.heard(hand), handled(1));
    }
}

/// The server takes what we write and never confirms it; one that answers may take its time.
//= xmpp/SM-003
#[test]
fn a_server_that_does_not_confirm_in_time_is_left() {
    for answers in [false, true] {
        let mut bidi = config();
        bidi.locals[0].bidi = true;
        let mut net = Net::new(vec![bidi]);
        let hand = net.dial_known();
        net.say(hand, "<enable xmlns='urn:xmpp:sm:3'/>");
        net.deliver(0, 1, "<message to='v@hq.example' from='u@field.example'/>");
        assert!(net.heard(hand).ends_with("<r xmlns='urn:xmpp:sm:3'/>"));
        for _ in 0..3 {
            if answers {
                net.say(hand, "<a xmlns='urn:xmpp:sm:3' h='0'/>");
            }
            net.pass(Duration::from_secs(59));
        }
        assert_eq!(net.closed.contains_key(&hand), !answers);
        let events = net.events(0);
        let returned = matches!(&events[..], [DoorEvent::Up { .. }, DoorEvent::Returned { token: 1, why }, ..] if why.contains("confirmation"));
        assert_eq!(returned, !answers, "{events:?}");
        if answers {
            net.say(hand, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
            assert_eq!(net.events(0), [DoorEvent::HandedOver { token: 1, confirmed: true }]);
        }
    }
}

/// What is larger than the server says it takes is refused and not sent.
//= xmpp/STREAM-010
#[test]
fn the_servers_limits_are_kept() {
    let mut net = net();
    let large =
        format!("<message to='v@hq.example' from='u@field.example'><body>{}</body></message>", "x".repeat(12_000));
    net.deliver(0, 1, &large);
    net.deliver(0, 2, "<message to='v@hq.example' from='u@field.example'/>");
    let server = net.hand();
    net.say(
        server,
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' id='X' from='hq.example' version='1.0'><stream:features>\
         <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>11000</max-bytes><idle-seconds>100</idle-seconds></limits>\
         </stream:features>",
    );
    net.say(server, "<db:result from='hq.example' to='field.example' type='valid'/>");
    let events = net.events(0);
    assert!(
        events.iter().any(|event| matches!(event, DoorEvent::Refused { token: 1, condition: "policy-violation", .. }))
    );
    assert!(events.iter().any(|event| matches!(event, DoorEvent::HandedOver { token: 2, .. })), "{events:?}");
    net.heard(server);
    net.pass(Duration::from_secs(51));
    assert_eq!(net.heard(server), " ", "half of the time after which the server would close");
}

/// A server can know how large a stanza we take before one costs its stream.
//= xmpp/STREAM-011
#[test]
fn our_limit_is_told_with_the_features() {
    let told = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes></limits>";
    let mut net = net();
    let hand = net.dial(0, false);
    let features = net.say(hand, OPEN);
    assert!(features.contains(told), "{features}");
    let hand = authenticated(&mut net);
    let message = |octets: usize| {
        let body = "x".repeat(octets);
        format!("<message to='u@field.example' from='v@hq.example'><body>{body}</body></message>")
    };
    let around = message(0).len();
    net.say(hand, &message(524_288 - around));
    assert_eq!(net.arrived(0).len(), 1, "as large as was told");
    assert_eq!(error(&mut net, hand, &message(524_289 - around)), "policy-violation");
}

/// The server finds our key wrong, or cannot judge it.
//= xmpp/DBK-008
#[test]
fn what_becomes_of_stanzas_when_our_key_is_not_taken() {
    for (answer, refused) in [
        ("<db:result from='hq.example' to='field.example' type='invalid'/>", Some("internal-server-error")),
        (
            "<db:result from='hq.example' to='field.example' type='error'><error type='cancel'><item-not-found \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
            Some("remote-server-not-found"),
        ),
        (
            "<db:result from='hq.example' to='field.example' type='error'><error type='cancel'>\
             <remote-connection-failed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
            None,
        ),
        (
            "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            Some("remote-server-not-found"),
        ),
    ] {
        let mut net = net();
        net.deliver(0, 1, "<message to='v@hq.example' from='u@field.example'/>");
        let server = net.hand();
        let shown = net.say(
            server,
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns:db='jabber:server:dialback' id='X' from='hq.example' version='1.0'><stream:features/>",
        );
        assert!(
            shown.ends_with(&format!("{}</db:result>", key("s3cr3t", "hq.example", "field.example", "X"))),
            "{shown}"
        );
        net.say(server, answer);
        let events = net.events(0);
        match refused {
            Some(expected) => assert!(
                matches!(&events[..], [DoorEvent::Refused { token: 1, condition, .. }, DoorEvent::Down { .. }] if *condition == expected),
                "{events:?}"
            ),
            None => assert!(
                matches!(&events[..], [DoorEvent::Returned { token: 1, .. }, DoorEvent::Down { .. }]),
                "{events:?}"
            ),
        }
    }
}

#[test]
fn too_much_for_one_server_comes_back() {
    let mut net = net();
    net.listeners.clear();
    net.deliver(0, 0, "<message to='v@hq.example' from='u@field.example'/>");
    net.events(0);
    for token in 1..=4100 {
        net.deliver(0, token, "<message to='v@hq.example' from='u@field.example'/>");
    }
    let returned = net.events(0).len();
    assert_eq!(returned, 4100 - limits::WAITING_STANZAS_MAX);
    assert_eq!(net.doors[0].describe().waiting[0].stanzas, limits::WAITING_STANZAS_MAX);
}

proptest::proptest! {
    /// Whatever a server says, the door answers or closes, and never panics.
    #[test]
    fn no_words_make_it_panic(parts in proptest::collection::vec(proptest::sample::select(vec![
        OPEN, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<bidi xmlns='urn:xmpp:bidi'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
        "<db:result from='hq.example' to='field.example'>k</db:result>", "</stream:stream>",
        "<db:result from='hq.example' to='field.example' type='valid'/>",
        "<db:verify from='hq.example' to='field.example' id='x'>k</db:verify>",
        "<db:verify from='hq.example' to='field.example' id='x' type='valid'/>",
        "<message to='u@field.example' from='v@hq.example'/>", "<enable xmlns='urn:xmpp:sm:3'/>",
        "<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='1'/>", "<failed xmlns='urn:xmpp:sm:3'/>",
        "<stream:features/>", "<stream:error/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", " ", "<x",
        "TLS", "CLOSE", "WAIT",
    ]), 0..20), outgoing: bool) {
        let mut net = net();
        let hand = if outgoing {
            net.deliver(0, 1, "<message to='v@hq.example' from='u@field.example'/>");
            net.hand()
        } else {
            net.dial(0, false)
        };
        for part in parts {
            match part {
                "TLS" if net.securing(hand).is_some() => net.secure(hand, &["hq.example"]),
                "CLOSE" => net.hang_up(hand),
                "WAIT" => net.pass(Duration::from_secs(20)),
                said => {
                    net.say(hand, said);
                }
            }
        }
        net.pass(Duration::from_secs(600));
        // Whatever was delivered has come to an end, or waits for its next try.
        let ended = net.events(0).iter().any(|event| matches!(event,
            DoorEvent::HandedOver { .. } | DoorEvent::Returned { .. } | DoorEvent::Refused { .. }));
        proptest::prop_assert!(ended == outgoing);
    }
}

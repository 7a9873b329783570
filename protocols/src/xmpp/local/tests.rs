use super::*;
use crate::time::WallTime;

fn stanza(text: &str) -> Stanza {
    Stanza::parse(text.as_bytes()).unwrap()
}

fn octets(stanza: Option<Stanza>) -> String {
    stanza.map_or_else(|| "nothing".to_owned(), |stanza| String::from_utf8(stanza.octets()).unwrap())
}

const TO_FROM: &str = "to='bob@field.test/x' from='ann@hq.test/a'";

#[test]
fn never_an_error_where_none_may_be() {
    for (kind, typ, may) in [
        ("message", "", true),
        ("message", "chat", true),
        ("message", "groupchat", true),
        ("message", "error", false),
        ("presence", "", true),
        ("presence", "subscribe", true),
        ("presence", "unavailable", false),
        ("presence", "probe", false),
        ("presence", "error", false),
        ("iq", "get", true),
        ("iq", "set", true),
        ("iq", "result", false),
        ("iq", "error", false),
        ("iq", "", false),
        ("iq", "GET", false),
    ] {
        let typ_attribute = if typ.is_empty() { String::new() } else { format!("type='{typ}'") };
        let stanza = stanza(&format!("<{kind} {TO_FROM} id='1' {typ_attribute}/>"));
        let error = bounce(&stanza, &Complaint::new(Condition::Forbidden));
        assert_eq!(error.is_some(), may, "{kind} {typ}");
        if let Some(error) = error {
            assert_eq!(bounce(&error, &Complaint::new(Condition::Forbidden)), None, "{kind} {typ}: error to an error");
        }
    }
}

#[test]
fn an_error_has_the_form_of_the_standard_and_nothing_of_the_stanza() {
    let secret = stanza(&format!(
        "<message {TO_FROM} id='7' type='chat'><body>secret</body><thread>t</thread>\
         <securitylabel xmlns='urn:xmpp:sec-label:0'><displaymarking>SECRET</displaymarking></securitylabel></message>"
    ));
    let complaint = Complaint::of(Cause::Expired, Some("hq-gateway.test"));
    assert_eq!(
        octets(bounce(&secret, &complaint)),
        "<message to='ann@hq.test/a' from='bob@field.test/x' id='7' type='error'>\
         <error type='wait' by='hq-gateway.test'>\
         <remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>the link did not carry it in time</text></error></message>"
    );
    let refused = octets(bounce(&secret, &Complaint::of(Cause::LabelRefused, None)));
    assert!(!refused.contains("ecret") && !refused.contains("SECRET") && !refused.contains("sec-label"), "{refused}");
    assert!(!refused.contains("<text"), "words could tell what it held: {refused}");
}

#[test]
fn causes_have_the_conditions_of_the_table() {
    let rows: Vec<_> =
        Cause::ALL.iter().map(|cause| (cause.condition().name(), cause.condition().usual_type().name())).collect();
    assert_eq!(
        rows,
        [
            ("remote-server-not-found", "cancel"),
            ("remote-server-not-found", "cancel"),
            ("remote-server-timeout", "wait"),
            ("resource-constraint", "wait"),
            ("service-unavailable", "cancel"),
            ("forbidden", "auth"),
            ("policy-violation", "modify"),
        ]
    );
    for condition in Condition::ALL {
        assert_eq!(Condition::parse(condition.name()), Some(condition));
    }
}

#[test]
fn a_room_never_gets_what_throws_an_occupant_out() {
    let of_room = [
        "<message to='ann@hq.test/a' from='ops@chat.field.test/bob' type='groupchat'><body>x</body></message>",
        "<message to='ann@hq.test/a' from='ops@chat.field.test/bob' type='chat'><body>x</body>\
         <x xmlns='http://jabber.org/protocol/muc#user'/></message>",
        "<presence to='ann@hq.test/a' from='ops@chat.field.test/bob'>\
         <x xmlns='http://jabber.org/protocol/muc#user'/></presence>",
    ];
    for text in of_room {
        for condition in Condition::ALL {
            let said = octets(bounce(&stanza(text), &Complaint::new(condition)));
            let condition = if condition.empties_a_seat() { Condition::ResourceConstraint } else { condition };
            assert!(said.contains(&format!("<{} ", condition.name())), "{said}");
        }
    }
    let to_room = "<message to='ops@chat.field.test' from='ann@hq.test/a' type='groupchat'><body>x</body></message>";
    let said = octets(bounce(&stanza(to_room), &Complaint::of(Cause::Expired, None)));
    assert!(said.contains("<remote-server-timeout "), "the person who wrote to the room is told the truth: {said}");
}

fn request(to: &str, typ: &str, payload: &str) -> Stanza {
    stanza(&format!("<iq to='{to}' from='ann@hq.test/a' id='9' type='{typ}'>{payload}</iq>"))
}

fn answered(how: Answer, request: &Stanza, reach: Reach) -> String {
    let gateway = Gateway { version: "1.2".to_owned(), ..Gateway::default() };
    let disco = Disco::usual(request.to(), request.to().domain().as_str().starts_with("chat."), Vec::new());
    octets(answer(how, request, &disco, &gateway, reach, WallTime::from_unix_seconds(1_000_000)))
}

const UP: Reach = Reach { link_up: true, online: None, room: false };
const FROM: &str = "<iq to='ann@hq.test/a'";

#[test]
fn pings_by_addressee_link_and_presence() {
    let down = Reach { link_up: false, online: Some(true), room: false };
    let online = Reach { online: Some(true), ..UP };
    for (to, reach, expected) in [
        ("field.test", UP, "type='result'/>"),
        ("bob@field.test", UP, "type='result'/>"),
        ("bob@field.test/x", online, "type='result'/>"),
        ("bob@field.test/x", UP, "service-unavailable"),
        ("bob@field.test/x", Reach { online: Some(false), ..UP }, "service-unavailable"),
        ("ops@chat.field.test/ann", Reach { room: true, ..UP }, "not-acceptable"),
        ("ops@chat.field.test/ann", Reach { room: true, ..online }, "type='result'/>"),
        ("field.test", down, "remote-server-timeout"),
        ("bob@field.test/x", down, "remote-server-timeout"),
    ] {
        let said = answered(Answer::Ping, &request(to, "get", "<ping xmlns='urn:xmpp:ping'/>"), reach);
        assert!(said.starts_with(&format!("{FROM} from='{to}' id='9'")) && said.contains(expected), "{to}: {said}");
    }
}

#[test]
fn only_requests_of_the_kind_are_answered() {
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    for typ in ["result", "error"] {
        assert_eq!(answered(Answer::Ping, &request("field.test", typ, ping), UP), "nothing", "{typ}");
    }
    assert_eq!(answered(Answer::Version, &request("field.test", "get", ping), UP), "nothing");
    assert_eq!(answered(Answer::Ping, &request("field.test", "get", ""), UP), "nothing");
    for answer in [Answer::Ping, Answer::Version, Answer::DiscoInfo, Answer::VcardEmpty, Answer::RosterNone] {
        let namespace = answer.namespace().unwrap();
        assert_eq!(Answer::for_namespace(namespace), Some(answer));
    }
}

#[test]
fn version_last_and_time_speak_for_the_gateway_only() {
    let version = "<query xmlns='jabber:iq:version'/>";
    let last = "<query xmlns='jabber:iq:last'/>";
    let time = "<time xmlns='urn:xmpp:time'/>";
    for (how, payload, expected) in [
        (Answer::Version, version, "<name>Skywave</name><version>1.2</version>"),
        (Answer::Last, last, "seconds='1000000'"),
        (Answer::Time, time, "<tzo>+00:00</tzo><utc>1970-01-12T13:46:40Z</utc>"),
    ] {
        let said = answered(how, &request("field.test", "get", payload), UP);
        assert!(said.contains(expected), "{said}");
        let said = answered(how, &request("bob@field.test", "get", payload), UP);
        assert!(said.contains("service-unavailable"), "{said}");
    }
}

#[test]
fn disco_says_what_it_is_and_no_more_than_can_be_used() {
    let info = "<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>";
    for (to, identity) in [
        ("field.test", "<identity type='im' category='server'/>"),
        ("chat.field.test", "<identity type='text' category='conference'/>"),
        ("ops@chat.field.test", "<identity type='text' category='conference'/>"),
        ("bob@field.test", "<identity type='registered' category='account'/>"),
        ("bob@field.test/x", "<identity type='pc' category='client'/>"),
    ] {
        let said = answered(Answer::DiscoInfo, &request(to, "get", info), UP);
        assert!(said.contains(identity) && said.contains("#info' node='n'>"), "{to}: {said}");
        assert_eq!(said.contains("<feature var='http://jabber.org/protocol/muc'/>"), to.contains("chat."), "{said}");
        assert!(!said.contains("jingle") && !said.contains("chatstates") && !said.contains("xhtml"), "{said}");
    }
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let said = answered(Answer::DiscoItems, &request("field.test", "get", items), UP);
    assert!(said.ends_with("type='result'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"), "{said}");
}

#[test]
fn text_of_an_error_is_legal_xml_and_short() {
    let long = "\u{0}\u{b}<&'\u{ffff}".to_owned() + &"x".repeat(500);
    let complaint = Complaint { text: Some(&long), ..Complaint::new(Condition::NotAllowed) };
    let error = bounce(&stanza(&format!("<message {TO_FROM}/>")), &complaint).unwrap();
    assert_eq!(Stanza::parse(&error.octets()), Ok(error.clone()));
    assert!(error.octets().len() < 500);
}

#[test]
fn the_gateway_answers_for_itself_and_refuses_the_rest() {
    let gateway = Gateway::default();
    let now = WallTime::from_unix_seconds(1_000_000);
    for (typ, payload, expected) in [
        ("get", "<ping xmlns='urn:xmpp:ping'/>", "type='result'/>"),
        ("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "<identity type='xmpp' category='gateway'/>"),
        ("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", "type='result'"),
        ("get", "<query xmlns='jabber:iq:version'/>", "<name>Skywave</name>"),
        ("set", "<query xmlns='jabber:iq:register'/>", "service-unavailable"),
        ("get", "<vCard xmlns='vcard-temp'/>", "service-unavailable"),
        ("get", "", "service-unavailable"),
        ("result", "<ping xmlns='urn:xmpp:ping'/>", "nothing"),
        ("error", "", "nothing"),
    ] {
        let said = octets(answer_for_gateway(&request("gateway.hq.test", typ, payload), &gateway, now));
        assert!(said.contains(expected), "{typ} {payload}: {said}");
    }
    assert_eq!(answer_for_gateway(&stanza(&format!("<message {TO_FROM}/>")), &gateway, now), None);
}

//! Components, with the test as their server.

use super::super::*;
use super::net::Net;
use crate::xmpp::component::handshake;

fn config() -> DoorConfig {
    let component = |name: &str| ComponentConfig {
        name: name.to_owned(),
        target: "server:5347".to_owned(),
        secret: "s3cr3t".to_owned(),
        locals: vec!["hq.example".to_owned(), ".hq.example".to_owned()],
    };
    DoorConfig {
        fronted: vec!["field.example".into(), "chat.field.example".into()],
        components: vec![component("field.example"), component("chat.field.example")],
        ..DoorConfig::default()
    }
}

/// One component that is up; the hand is its server.
fn up() -> (Net, u64) {
    let mut one = config();
    one.components.truncate(1);
    let mut net = Net::new(vec![one]);
    net.listeners.insert("server:5347".into(), None);
    net.pass(Duration::from_secs(1));
    let hand = net.hand();
    shake(&mut net, hand, "field.example");
    (net, hand)
}

/// Plays the server up to the end of the handshake; what the component says then.
fn shake(net: &mut Net, hand: u64, name: &str) -> String {
    let header = net.heard(hand);
    assert!(header.ends_with(&format!("to='{name}'>")), "{header}");
    let answer = net.say(
        hand,
        &format!(
            "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns='jabber:component:accept' id='77' from='{name}'>"
        ),
    );
    assert_eq!(answer, format!("<handshake>{}</handshake>", handshake("77", "s3cr3t")));
    net.say(hand, "<handshake/>")
}

const OUT: &str = "<message to='a@hq.example' from='b@field.example' id='1'><body>x</body></message>";
const IN: &str = "<message to='b@field.example' from='a@hq.example' id='2'><body>y</body></message>";

//= xmpp/COMP-004
#[test]
fn every_name_has_its_connection() {
    let mut net = Net::new(vec![config()]);
    net.listeners.insert("server:5347".into(), None);
    net.pass(Duration::from_secs(1));
    assert_eq!(net.opened, ["server:5347", "server:5347"]);
    let headers = [net.heard(1), net.heard(2)];
    assert!(headers[0].ends_with("to='field.example'>") && headers[1].ends_with("to='chat.field.example'>"));
}

#[test]
fn stanzas_go_both_ways() {
    let (mut net, hand) = up();
    assert_eq!(net.events(0), [DoorEvent::Up { local: "hq.example".into(), ours: "field.example".into() }]);
    net.deliver(0, 5, OUT);
    assert_eq!(net.heard(hand), OUT);
    assert_eq!(net.events(0), [DoorEvent::HandedOver { token: 5, confirmed: false }]);
    assert!(net.doors[0].outlets.is_empty(), "nothing is remembered of each domain while nothing waits");
    net.say(hand, IN);
    assert_eq!(net.arrived(0), [IN]);
    net.deliver(0, 6, OUT);
    assert_eq!(net.heard(hand), OUT);
}

//= xmpp/STANZA-003
#[test]
fn what_would_cost_the_stream_is_never_written() {
    let (mut net, hand) = up();
    net.events(0);
    let rows = [
        ("<message to='a@hq.example' from='b@elsewhere.example'/>", "internal-server-error"),
        ("<message to='a@elsewhere.example' from='b@field.example'/>", "remote-server-not-found"),
        ("<message to='a@chat.field.example' from='b@field.example'/>", "remote-server-not-found"),
    ];
    for (text, expected) in rows {
        net.deliver(0, 9, text);
        let events = net.events(0);
        assert!(
            matches!(&events[..], [DoorEvent::Refused { token: 9, condition, .. }] if *condition == expected),
            "{text}: {events:?}"
        );
    }
    let large =
        format!("<message to='a@hq.example' from='b@field.example'><body>{}</body></message>", "<a/>".repeat(8000));
    net.deliver(0, 9, &large);
    assert!(matches!(&net.events(0)[..], [DoorEvent::HandedOver { .. }]), "so much is allowed");
    assert!(!net.heard(hand).is_empty());
    assert_eq!(net.closed.get(&hand), None);
}

//= xmpp/COMP-005
#[test]
fn what_arrives_for_others_or_from_ourselves_is_dropped_and_the_stream_stays() {
    let (mut net, hand) = up();
    for text in [
        "<message to='b@other.example' from='a@hq.example'/>",
        "<message to='b@field.example' from='x@chat.field.example'/>",
        "<message to='b@field.example'/>",
        "<message to='b@field.example' from='@'/>",
        "<unknown/>",
    ] {
        net.say(hand, text);
    }
    assert_eq!(
        net.notices(0),
        ["chat.host_unknown", "chat.invalid_from", "chat.bad_stanza", "chat.bad_stanza", "chat.bad_stanza"]
    );
    assert_eq!(net.arrived(0), Vec::<String>::new());
    net.say(hand, IN);
    assert_eq!(net.arrived(0), [IN]);
}

/// ejabberd sends what is for any name of a listener by any connection to it (`global_routes`).
//= xmpp/COMP-005
#[test]
fn a_server_may_send_for_another_name_that_it_knows_us_by() {
    let mut two = config();
    two.components[1].target = "other:5347".to_owned();
    for (config, arrives) in [(config(), true), (two, false)] {
        let mut net = Net::new(vec![config]);
        net.listeners.insert("server:5347".into(), None);
        net.listeners.insert("other:5347".into(), None);
        net.pass(Duration::from_secs(1));
        shake(&mut net, 2, "chat.field.example");
        net.say(2, IN);
        assert_eq!((net.notices(0).is_empty(), net.arrived(0).len()), (arrives, usize::from(arrives)));
    }
}

#[test]
fn what_waits_goes_when_the_component_comes_up_and_comes_back_when_it_fails() {
    let mut one = config();
    one.components.truncate(1);
    let mut net = Net::new(vec![one]);
    net.deliver(0, 1, OUT);
    net.deliver(0, 2, OUT);
    assert_eq!(net.events(0), []);
    net.pass(Duration::from_millis(1));
    let events = net.events(0);
    assert!(
        matches!(
            &events[..],
            [DoorEvent::Returned { token: 1, .. }, DoorEvent::Returned { token: 2, .. }, DoorEvent::Down { .. }]
        ),
        "{events:?}"
    );
    net.deliver(0, 3, OUT);
    net.listeners.insert("server:5347".into(), None);
    net.pass(Duration::from_secs(2));
    let hand = net.hand();
    assert_eq!(shake(&mut net, hand, "field.example"), OUT);
    let events = net.events(0);
    assert!(
        matches!(&events[..], [DoorEvent::Up { .. }, DoorEvent::HandedOver { token: 3, confirmed: false }]),
        "{events:?}"
    );
}

//= xmpp/COMP-004
#[test]
fn a_lost_component_is_connected_again_with_growing_waits() {
    let (mut net, hand) = up();
    net.say(
        hand,
        "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
    );
    assert_eq!(net.closed.get(&hand), Some(&true));
    assert!(
        matches!(&net.events(0)[..], [DoorEvent::Up { .. }, DoorEvent::Down { why, .. }] if why.contains("conflict"))
    );
    net.listeners.clear();
    net.pass(Duration::from_secs(3600));
    // 1, 2, 4 … 256 s and then every 300 s, each up to a quarter less.
    assert!((18..26).contains(&net.opened.len()), "{}", net.opened.len());
    net.listeners.insert("server:5347".into(), None);
    let before = net.opened.len();
    while net.opened.len() == before {
        net.pass(Duration::from_secs(1));
    }
    let hand = net.hand();
    shake(&mut net, hand, "field.example");
    assert!(net.events(0).contains(&DoorEvent::Up { local: "hq.example".into(), ours: "field.example".into() }));
}

#[test]
fn a_quiet_component_gets_a_blank_and_a_server_that_stops_in_mid_stanza_is_left() {
    let (mut net, hand) = up();
    net.pass(Duration::from_secs(1500));
    assert_eq!(net.heard(hand), "  ");
    net.say(hand, "<message to='b@field");
    net.pass(Duration::from_secs(100));
    assert_eq!(net.closed.get(&hand), None);
    net.pass(Duration::from_secs(30));
    assert_eq!(net.closed.get(&hand), Some(&true));
    assert!(net.heard(hand).contains("<connection-timeout"));
}

#[test]
fn a_server_that_never_answers_is_left_in_time() {
    let mut net = Net::new(vec![config()]);
    net.listeners.insert("server:5347".into(), None);
    net.pass(Duration::from_secs(59));
    assert_eq!(net.closed.len(), 0);
    net.pass(Duration::from_secs(2));
    assert_eq!(net.closed.len(), 2);
}

//= xmpp/PING-001
#[test]
fn a_ping_of_the_server_is_answered_at_once_and_one_of_a_user_goes_on() {
    let (mut net, hand) = up();
    let ping = |from: &str| {
        format!("<iq to='field.example' from='{from}' id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
    };
    let pong = net.say(hand, &ping("hq.example"));
    assert_eq!(pong, "<iq to='hq.example' from='field.example' id='p' type='result'/>");
    assert_eq!(net.arrived(0).len(), 0);
    assert_eq!(net.say(hand, &ping("a@hq.example/r")), "");
    assert_eq!(net.arrived(0).len(), 1);
}

#[test]
fn a_gateway_that_does_not_keep_up_is_not_overrun() {
    let (mut net, hand) = up();
    net.takes = false;
    let many = IN.repeat(600);
    net.say(hand, &many);
    assert_eq!(net.paused.len(), 1);
    let events = net.events(0);
    for event in events {
        if let DoorEvent::Arrived { arrival, .. } = event {
            net.doors[0].taken(net.now, arrival);
        }
    }
    net.settle();
    assert_eq!(net.paused.len(), 0);
}

#[test]
fn the_door_shows_its_streams() {
    let (mut net, _) = up();
    net.deliver(0, 1, OUT);
    let view = net.doors[0].describe();
    assert_eq!(view.streams.len(), 1);
    assert_eq!((view.streams[0].direction, view.streams[0].authenticated), ("component", "handshake"));
    net.doors[0].stop(net.now);
    net.settle();
    assert_eq!(net.doors[0].describe().streams, []);
    assert_eq!(net.wires(), 0);
}

/// `Drained` of one write may be on its way when the next is asked for: it says nothing of that one.
//= xmpp/SM-005
#[test]
fn a_late_word_about_one_write_confirms_no_other() {
    let (mut net, hand) = up();
    net.events(0);
    net.drains = false;
    let before = net.writes(0);
    net.deliver(0, 5, OUT);
    net.deliver(0, 6, OUT);
    assert_eq!(net.writes(0), before + 2);
    net.left(0, before + 1);
    assert_eq!(net.events(0), [DoorEvent::HandedOver { token: 5, confirmed: false }]);
    net.hang_up(hand);
    assert!(matches!(&net.events(0)[0], DoorEvent::Returned { token: 6, .. }), "it never left");
}

/// A server that knows other servers sends on what strangers say to a component. The radio is not for them.
//= xmpp/COMP-005
#[test]
fn who_is_no_user_of_the_local_server_is_sent_back() {
    let (mut net, hand) = up();
    let stranger = "<message to='b@field.example' from='evil@elsewhere.example/x' id='9'><body>x</body></message>";
    let said = net.say(hand, stranger);
    assert!(
        said.starts_with("<message to='evil@elsewhere.example/x' from='b@field.example' id='9' type='error'>"),
        "{said}"
    );
    assert!(said.contains("<not-allowed "), "{said}");
    assert_eq!(net.notices(0), ["chat.stranger"]);
    assert_eq!(net.arrived(0), [""; 0]);
    assert_eq!(
        net.say(hand, &stranger.replace("id='9'", "id='9' type='error'")),
        "",
        "an error is answered with nothing"
    );
    net.say(hand, IN);
    assert_eq!(net.arrived(0), [IN], "and the stream stays");
}

/// What breaks a limit is one user's; the connection is everybody's.
//= xmpp/STREAM-012
#[test]
fn a_stanza_that_breaks_a_limit_is_answered_and_the_connection_stays() {
    let (mut net, hand) = up();
    net.events(0);
    let inside = format!("{}{}", "<a>".repeat(64), "</a>".repeat(64));
    for number in 1..=5_u32 {
        let text = format!("<iq to='b@field.example' from='a@hq.example' id='{number}' type='get'>{inside}</iq>{IN}");
        let said = net.say(hand, &text);
        assert!(
            said.starts_with(&format!("<iq to='a@hq.example' from='b@field.example' id='{number}' type='error'>")),
            "{said}"
        );
        assert!(said.contains("<policy-violation "), "{said}");
        let notices = net.notices(0);
        assert_eq!(notices, if number.is_power_of_two() { vec!["chat.stanza_skipped"] } else { vec![] }, "{number}");
        assert_eq!(net.arrived(0), [IN]);
    }
}

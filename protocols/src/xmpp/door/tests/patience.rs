//! How long the door waits for a server: as long as it gets on, and not while we ourselves hold it up.

use super::super::*;
use super::net::Net;

const IN: &str = "<message to='u@field.example' from='v@hq.example'><body>x</body></message>";
const OUT: &str = "<message to='v@hq.example' from='u@field.example'><body>x</body></message>";

fn net() -> Net {
    let mut net = Net::new(vec![DoorConfig {
        fronted: vec!["field.example".into()],
        locals: vec![LocalServer::at(vec!["hq.example".into()], "hq:5269".into())],
        dialback_secret: "s3cr3t".into(),
        certificate: Some("own".into()),
        ..DoorConfig::default()
    }]);
    net.listeners.insert("hq:5269".into(), None);
    net
}

/// Has all taken that arrived.
fn take_all(net: &mut Net) {
    for event in net.events(0) {
        if let DoorEvent::Arrived { arrival, .. } = event {
            net.doors[0].taken(net.now, arrival);
        }
    }
    net.settle();
}

/// Its octets never stop between two stanzas: each of them ends in time.
#[test]
fn a_server_that_always_has_more_to_say_is_heard() {
    let mut net = net();
    let hand = net.dial_known();
    let (begin, rest) = IN.split_at(20);
    net.say(hand, begin);
    for _ in 0..10 {
        net.pass(Duration::from_secs(60));
        net.say(hand, &format!("{rest}{begin}"));
        assert_eq!(net.arrived(0), [IN]);
    }
    assert!(!net.closed.contains_key(&hand));
    net.pass(Duration::from_secs(121));
    assert!(net.closed.contains_key(&hand), "the last one never ends");
}

/// The disk hangs: the server is not read, and what it cannot say is not held against it.
#[test]
fn a_server_that_we_do_not_read_is_not_accused() {
    let mut net = net();
    net.takes = false;
    let hand = net.dial_known();
    net.say(hand, &(IN.repeat(limits::UNTAKEN_STANZAS_MAX) + &IN[..20]));
    assert_eq!(net.paused.len(), 1);
    net.pass(Duration::from_secs(600));
    assert!(!net.closed.contains_key(&hand), "{}", net.transcript);
    take_all(&mut net);
    assert_eq!(net.paused.len(), 0);
    net.pass(Duration::from_secs(119));
    assert!(!net.closed.contains_key(&hand), "it has its time from now on");
    net.pass(Duration::from_secs(2));
    assert!(net.closed.contains_key(&hand));
}

/// Its confirmation may lie among what we do not read.
//= xmpp/SM-003
#[test]
fn a_confirmation_that_we_do_not_read_is_not_missed() {
    let mut net = net();
    net.takes = false;
    let hand = net.dial_known();
    net.say(hand, "<enable xmlns='urn:xmpp:sm:3'/>");
    net.deliver(0, 1, OUT);
    net.say(hand, &IN.repeat(limits::UNTAKEN_STANZAS_MAX));
    net.pass(Duration::from_secs(600));
    assert!(!net.closed.contains_key(&hand));
    take_all(&mut net);
    net.say(hand, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    assert_eq!(net.events(0), [DoorEvent::HandedOver { token: 1, confirmed: true }]);
}

/// A slow server takes one write after the other and never all; one that stops taking is left.
//= xmpp/SM-005
#[test]
fn a_server_that_takes_what_we_write_bit_by_bit_is_not_left() {
    let mut net = net();
    let hand = net.dial_known();
    net.drains = false;
    let before = net.writes(0);
    for token in 1..=10 {
        net.deliver(0, token, OUT);
    }
    net.events(0);
    for token in 1..=9 {
        net.pass(Duration::from_secs(100));
        net.left(0, before + token);
        assert_eq!(net.events(0), [DoorEvent::HandedOver { token, confirmed: false }]);
    }
    net.pass(Duration::from_secs(179));
    assert!(!net.closed.contains_key(&hand));
    net.pass(Duration::from_secs(2));
    assert!(net.closed.contains_key(&hand));
    assert!(net.events(0).iter().any(|event| matches!(event, DoorEvent::Returned { token: 10, .. })));
}

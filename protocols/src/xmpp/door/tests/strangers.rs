//! Connections of which nobody knows who they are: few, few from one address, and the silent ones give way.

use super::super::*;
use super::net::{Net, OPEN};

fn net() -> Net {
    Net::new(vec![DoorConfig {
        fronted: vec!["field.example".into()],
        locals: vec![LocalServer::at(vec!["hq.example".into()], "hq:5269".into())],
        tls_required: false,
        ..DoorConfig::default()
    }])
}

fn open(net: &Net, hands: &[u64]) -> usize {
    hands.iter().filter(|hand| !net.closed.contains_key(hand)).count()
}

/// A host that opens connections and says nothing has its share, and the servers theirs.
//= xmpp/STREAM-006
#[test]
fn one_silent_host_locks_nobody_out() {
    let mut net = net();
    let silent: Vec<u64> = (0..300).map(|_| net.dial_from(0, false, [10, 0, 0, 9])).collect();
    assert_eq!(open(&net, &silent), limits::STRANGERS_PER_ADDRESS_MAX);
    let server = net.dial_from(0, false, [10, 0, 0, 1]);
    assert!(net.say(server, OPEN).contains("<stream:features"));
    // Also on the silent one's own address: the oldest of his gives way.
    let server = net.dial_from(0, false, [10, 0, 0, 9]);
    assert!(net.say(server, OPEN).contains("<stream:features"));
    assert_eq!(open(&net, &silent), limits::STRANGERS_PER_ADDRESS_MAX - 1);
    assert_eq!(net.notices(0).len(), 9, "the first of each power of two of 269");
    net.pass(Duration::from_secs(91));
    assert_eq!(open(&net, &silent), 0);
}

/// Many hosts: the oldest that has said nothing makes room, and not one that has.
//= xmpp/STREAM-006
#[test]
fn the_oldest_that_says_nothing_gives_way() {
    let mut net = net();
    let address = |number: usize| [10, 0, 1, u8::try_from(number / 8).unwrap()];
    let hands: Vec<u64> = (0..limits::STRANGERS_MAX).map(|number| net.dial_from(0, false, address(number))).collect();
    assert_eq!(open(&net, &hands), hands.len());
    assert!(net.say(hands[0], OPEN).contains("<stream:features"));
    let server = net.dial_from(0, false, [10, 0, 0, 1]);
    assert!(net.say(server, OPEN).contains("<stream:features"));
    assert!(net.closed.contains_key(&hands[1]) && !net.closed.contains_key(&hands[0]));
    assert!(net.heard(hands[1]).contains("<resource-constraint "), "it is told why");
    // When all have begun a stream, nobody is silent: who comes is turned away, until their time is over.
    for hand in &hands[2..] {
        net.say(*hand, OPEN);
    }
    let late = net.dial_from(0, false, [10, 0, 0, 2]);
    assert!(net.closed.contains_key(&late));
    assert_eq!(open(&net, &hands), hands.len() - 1);
    net.pass(Duration::from_secs(91));
    assert_eq!(open(&net, &hands), 0);
}

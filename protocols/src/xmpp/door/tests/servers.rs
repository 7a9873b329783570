//! Streams between servers: two doors, each the other's local server.

use super::super::*;
use super::net::Net;

/// `ours` fronted, one server at `at` for `theirs`.
fn config(ours: &[&str], theirs: &[&str], at: &str) -> DoorConfig {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    DoorConfig {
        fronted: owned(ours),
        locals: vec![LocalServer { bidi: false, ..LocalServer::at(owned(theirs), at.to_owned()) }],
        dialback_secret: format!("secret of {}", ours[0]),
        tls_required: false,
        ..DoorConfig::default()
    }
}

/// Two doors; `change` is made to both configurations.
fn pair(change: impl Fn(&mut DoorConfig)) -> Net {
    let mut a = config(&["field.example", "chat.field.example"], &["hq.example", ".hq.example"], "b:5269");
    let mut b = config(&["hq.example", "rooms.hq.example"], &["field.example", ".field.example"], "a:5269");
    change(&mut a);
    change(&mut b);
    let mut net = Net::new(vec![a, b]);
    net.names =
        vec![vec!["field.example".into(), "*.field.example".into()], vec!["hq.example".into(), "*.hq.example".into()]];
    net.listeners.insert("a:5269".into(), Some((0, false)));
    net.listeners.insert("b:5269".into(), Some((1, false)));
    net
}

fn with_tls(config: &mut DoorConfig) {
    config.certificate = Some("own".into());
    config.tls_required = true;
}

fn message(from: &str, to: &str, number: u64) -> String {
    format!("<message to='{to}' from='{from}' id='m{number}'><body>{number}</body></message>")
}

/// One message each way; how many were confirmed, and how many connections that took.
fn converse(net: &mut Net) -> (usize, usize) {
    let there = message("u@field.example", "v@hq.example", 1);
    let back = message("v@hq.example", "u@field.example", 2);
    net.deliver(0, 1, &there);
    assert_eq!(
        net.events(0),
        [
            DoorEvent::Up { local: "hq.example".into(), ours: "field.example".into() },
            DoorEvent::HandedOver { token: 1, confirmed: confirmed(net, 0) }
        ],
        "{}",
        net.transcript
    );
    assert_eq!(net.arrived(1), [there]);
    net.deliver(1, 2, &back);
    let events = net.events(1);
    assert!(matches!(events.last(), Some(DoorEvent::HandedOver { token: 2, .. })), "{events:?} {}", net.transcript);
    let managed = events.iter().filter(|event| matches!(event, DoorEvent::HandedOver { confirmed: true, .. })).count();
    assert_eq!(net.arrived(0), [back]);
    (managed, net.wires())
}

fn confirmed(net: &Net, site: usize) -> bool {
    net.doors[site].describe().streams.iter().any(|stream| stream.stream_management)
}

fn authenticated(net: &Net, site: usize) -> Vec<&'static str> {
    net.doors[site].describe().streams.iter().map(|stream| stream.authenticated).collect()
}

//= xmpp/DBK-003
#[test]
fn dialback_in_clear() {
    let mut net = pair(|_| {});
    let (managed, wires) = converse(&mut net);
    assert_eq!((managed, wires), (0, 2));
    assert!(net.transcript.contains("<db:verify to='field.example' from='hq.example' id='"), "{}", net.transcript);
    assert!(authenticated(&net, 0).iter().all(|how| *how == "dialback"));
}

//= xmpp/STREAM-004
#[test]
fn dialback_inside_tls() {
    let mut net = pair(|config| {
        with_tls(config);
        config.locals[0].auth = ServerAuth::Dialback;
    });
    let (_, wires) = converse(&mut net);
    assert_eq!(wires, 2);
    assert!(net.doors[0].describe().streams.iter().all(|stream| stream.secured));
}

//= xmpp/EXT-003
#[test]
fn external() {
    let mut net = pair(|config| {
        with_tls(config);
        config.locals[0].auth = ServerAuth::External;
    });
    let (managed, wires) = converse(&mut net);
    assert_eq!((managed, wires), (1, 2), "confirmed by stream management");
    assert!(!net.transcript.contains("<db:"), "{}", net.transcript);
    assert!(authenticated(&net, 0).iter().all(|how| *how == "external"));
}

#[test]
fn external_without_naming_ourselves_and_with_a_server_that_must_prove_itself() {
    let mut net = pair(|config| {
        with_tls(config);
        config.locals[0].auth = ServerAuth::External;
        config.locals[0].authzid = false;
        config.locals[0].certificate_required = true;
    });
    converse(&mut net);
    assert!(net.transcript.contains(">=</auth>"));
}

#[test]
fn a_certificate_that_does_not_prove_the_domain_leaves_dialback() {
    let mut net = pair(with_tls);
    net.names[0] = vec!["someone.else".into()];
    let (_, wires) = converse(&mut net);
    assert_eq!(wires, 2);
    assert!(net.transcript.contains("<db:result"));
}

#[test]
fn a_server_that_must_prove_itself_and_cannot_gets_nothing() {
    let mut net = pair(|config| {
        with_tls(config);
        config.locals[0].certificate_required = true;
    });
    net.names[1] = vec!["someone.else".into()];
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    let events = net.events(0);
    assert!(
        matches!(&events[..], [DoorEvent::Returned { token: 1, .. }, DoorEvent::Down { why, .. }] if why.contains("prove")),
        "{events:?}"
    );
    assert!(!net.transcript.contains("<body>"));
}

//= xmpp/STREAM-005
#[test]
fn without_tls_nothing_passes_where_it_is_required() {
    let mut net = pair(|_| {});
    let mut strict = config(&["field.example"], &["hq.example"], "b:5269");
    strict.tls_required = true;
    strict.certificate = Some("own".into());
    net.doors[0] = Door::new(strict, Box::new(crate::random::Seeded::new(1)));
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    assert!(matches!(&net.events(0)[..], [DoorEvent::Returned { .. }, DoorEvent::Down { .. }]));
    net.deliver(1, 2, &message("v@hq.example", "u@field.example", 1));
    assert!(
        matches!(&net.events(1)[..], [.., DoorEvent::Returned { .. }, DoorEvent::Down { .. }])
            || !net.transcript.contains("<body>")
    );
    assert!(!net.transcript.contains("<body>"), "{}", net.transcript);
}

//= xmpp/SRV-003
#[test]
fn tls_from_the_first_octet() {
    let mut net = pair(|config| {
        with_tls(config);
        if let ServerRoute::Static { direct_tls, .. } = &mut config.locals[0].route {
            *direct_tls = true;
        }
    });
    net.listeners.insert("a:5269".into(), Some((0, true)));
    net.listeners.insert("b:5269".into(), Some((1, true)));
    converse(&mut net);
    assert!(!net.transcript.contains("starttls"));
}

//= xmpp/BIDI-002
//= xmpp/BIDI-003
#[test]
fn one_stream_serves_both_ways_where_both_want_it() {
    for (auth, expected) in [(ServerAuth::External, 1), (ServerAuth::Dialback, 2)] {
        let mut net = pair(|config| {
            with_tls(config);
            config.locals[0].auth = auth;
            config.locals[0].bidi = true;
        });
        // Dialback needs the second connection for the question about the key; it closes when it is idle.
        let (_, wires) = converse(&mut net);
        assert_eq!(wires, expected, "{auth:?}");
        assert!(net.doors[0].describe().streams.iter().any(|stream| stream.bidi));
        net.pass(Duration::from_secs(60));
        assert_eq!(net.wires(), 1, "{auth:?}");
        net.deliver(1, 9, &message("v@hq.example", "u@field.example", 9));
        assert_eq!((net.arrived(0).len(), net.wires()), (1, 1));
    }
}

//= xmpp/BIDI-004
#[test]
fn the_request_for_both_ways_is_known_in_either_namespace() {
    for namespace in ["urn:xmpp:bidi", "urn:xmpp:features:bidi"] {
        let mut net = pair(|config| {
            with_tls(config);
            config.locals[0].bidi = true;
        });
        let hand = net.dial(0, false);
        let open = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
            xmlns:db='jabber:server:dialback' from='hq.example' to='field.example' version='1.0'>";
        net.say(hand, open);
        assert!(net.say(hand, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").contains("<proceed"));
        net.secure(hand, &["hq.example"]);
        let features = net.say(hand, open);
        assert!(features.contains("<mechanism>EXTERNAL</mechanism>") && features.contains("urn:xmpp:features:bidi"));
        let answer = net.say(
            hand,
            &format!("<bidi xmlns='{namespace}'/><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"),
        );
        assert_eq!(answer, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        net.say(hand, open);
        net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
        assert!(net.heard(hand).contains("<body>1</body>"), "{namespace}");
    }
}

//= xmpp/DBK-010
#[test]
fn several_domains_share_streams() {
    let mut net = pair(|_| {});
    converse(&mut net);
    net.opened.clear();
    net.deliver(0, 10, &message("u@chat.field.example", "v@hq.example", 10));
    net.deliver(0, 11, &message("u@field.example", "r@rooms.hq.example", 11));
    net.deliver(0, 12, &message("u@chat.field.example", "r@rooms.hq.example", 12));
    assert_eq!(net.arrived(1).len(), 3, "{}", net.transcript);
    assert_eq!(net.opened, Vec::<String>::new(), "no connection more");
    assert_eq!(net.events(0).iter().filter(|event| matches!(event, DoorEvent::HandedOver { .. })).count(), 3);
}

#[test]
fn order_is_kept_while_the_stream_is_made_and_octet_by_octet() {
    for piece in [1, 7, usize::MAX] {
        let mut net = pair(with_tls);
        net.piece = piece;
        for number in 0..20 {
            let stanza = Stanza::parse(message("u@field.example", "v@hq.example", number).as_bytes()).unwrap();
            net.doors[0].deliver(net.now, number, stanza);
        }
        net.settle();
        let expected: Vec<String> = (0..20).map(|number| message("u@field.example", "v@hq.example", number)).collect();
        assert_eq!(net.arrived(1), expected);
    }
}

/// A server that judges one key and drops the next, as when it cannot reach us to ask.
//= xmpp/DBK-011
#[test]
fn a_second_pair_whose_key_is_never_judged_gets_a_stream_of_its_own() {
    const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' id='X' from='hq.example' version='1.0'><stream:features>\
         <dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
    let valid = |ours: &str| format!("<db:result from='hq.example' to='{ours}' type='valid'/>");
    let mut net = Net::new(vec![config(&["field.example", "chat.field.example"], &["hq.example"], "b:5269")]);
    net.listeners.insert("b:5269".into(), None);
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    let first = net.hand();
    net.say(first, HEADER);
    net.say(first, &valid("field.example"));
    net.deliver(0, 2, &message("room@chat.field.example", "v@hq.example", 2));
    assert!(
        net.heard(first).contains("<db:result to='hq.example' from='chat.field.example'"),
        "asked on the same stream"
    );
    net.pass(Duration::from_secs(61));
    let second = net.hand();
    assert_ne!(second, first, "{:?}", net.opened);
    net.say(second, HEADER);
    assert!(net.say(second, &valid("chat.field.example")).contains("id='m2'"));
    assert!(!net.closed.contains_key(&first), "the first goes on");
    // Nor is a verdict that comes after all of any harm.
    net.say(first, &valid("chat.field.example"));
    net.deliver(0, 3, &message("u@field.example", "v@hq.example", 3));
    net.deliver(0, 4, &message("room@chat.field.example", "v@hq.example", 4));
    assert!(net.heard(first).contains("id='m3'") && net.heard(second).contains("id='m4'"));
    let handed: Vec<_> = net.events(0).into_iter().filter(|it| matches!(it, DoorEvent::HandedOver { .. })).collect();
    assert_eq!(handed.len(), 4);
}

/// Also there nobody answers: the pair's stanzas come back, as those of any server that cannot be reached.
#[test]
fn a_second_pair_that_nobody_ever_judges_comes_back() {
    let mut net = Net::new(vec![config(&["field.example", "chat.field.example"], &["hq.example"], "b:5269")]);
    net.listeners.insert("b:5269".into(), None);
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    let first = net.hand();
    net.say(
        first,
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' id='X' from='hq.example' version='1.0'><stream:features/>\
         <db:result from='hq.example' to='field.example' type='valid'/>",
    );
    net.deliver(0, 2, &message("room@chat.field.example", "v@hq.example", 2));
    net.pass(Duration::from_secs(125));
    let returned = |event: &DoorEvent| matches!(event, DoorEvent::Returned { token: 2, .. });
    assert!(net.events(0).iter().any(returned));
    assert_eq!(net.doors[0].describe().waiting.len(), 0);
}

//= xmpp/SM-002
//= xmpp/SM-005
#[test]
fn a_stanza_is_confirmed_only_when_it_is_taken() {
    let mut net = pair(|config| {
        with_tls(config);
        config.locals[0].auth = ServerAuth::External;
    });
    net.takes = false;
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    net.deliver(0, 2, &message("u@field.example", "v@hq.example", 2));
    assert_eq!(net.events(0), [DoorEvent::Up { local: "hq.example".into(), ours: "field.example".into() }]);
    let arrivals: Vec<u64> = net
        .events(1)
        .into_iter()
        .filter_map(|event| if let DoorEvent::Arrived { arrival, .. } = event { Some(arrival) } else { None })
        .collect();
    // What is taken out of turn waits for what came first.
    net.doors[1].taken(net.now, arrivals[1]);
    net.settle();
    assert_eq!(net.events(0), []);
    net.doors[1].taken(net.now, arrivals[0]);
    net.settle();
    assert_eq!(
        net.events(0),
        [DoorEvent::HandedOver { token: 1, confirmed: true }, DoorEvent::HandedOver { token: 2, confirmed: true }]
    );
}

#[test]
fn what_is_not_confirmed_comes_back_in_order_when_the_network_breaks() {
    let mut net = pair(|config| {
        with_tls(config);
        config.locals[0].auth = ServerAuth::External;
    });
    net.takes = false;
    for number in 1..=3 {
        net.deliver(0, number, &message("u@field.example", "v@hq.example", number));
    }
    net.events(0);
    net.listeners.clear();
    net.cut();
    let returned: Vec<u64> = net
        .events(0)
        .into_iter()
        .filter_map(|event| if let DoorEvent::Returned { token, .. } = event { Some(token) } else { None })
        .collect();
    assert_eq!(returned, [1, 2, 3]);
}

#[test]
fn a_server_that_is_down_is_tried_with_growing_waits_and_found_again() {
    let mut net = pair(|_| {});
    net.listeners.remove("b:5269");
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    assert!(matches!(&net.events(0)[..], [DoorEvent::Returned { token: 1, .. }, DoorEvent::Down { .. }]));
    // What comes during the wait waits too, and is tried when it is over.
    net.deliver(0, 2, &message("u@field.example", "v@hq.example", 2));
    assert_eq!((net.opened.len(), net.events(0)), (1, vec![]));
    net.listeners.insert("b:5269".into(), Some((1, false)));
    net.pass(Duration::from_secs(2));
    assert_eq!(net.arrived(1).len(), 1);
    assert!(matches!(&net.events(0)[..], [DoorEvent::Up { .. }, DoorEvent::HandedOver { token: 2, .. }]));
}

//= xmpp/STREAM-002
#[test]
fn a_server_that_does_not_host_the_domain_gets_nothing_more() {
    let mut net = pair(|config| config.locals[0].domains.push("*".into()));
    net.deliver(0, 1, &message("u@field.example", "v@nobody.example", 1));
    let events = net.events(0);
    assert!(
        matches!(
            &events[..],
            [DoorEvent::Refused { token: 1, condition: "remote-server-not-found", .. }, DoorEvent::Down { .. }]
        ),
        "{events:?}"
    );
}

//= xmpp/SRV-001
//= xmpp/SRV-002
#[test]
fn servers_are_found_by_dns() {
    let host = |host: &str, port: u16, priority: u16| FoundHost { host: host.into(), port, priority, weight: 0 };
    let by_dns = |config: &mut DoorConfig| {
        with_tls(config);
        config.locals[0].route = ServerRoute::Srv;
    };
    let mut net = pair(by_dns);
    net.dns
        .insert("_xmpp-server._tcp.hq.example".into(), Found::Hosts(vec![host("down.", 5269, 1), host("b.", 5269, 5)]));
    net.dns.insert("_xmpps-server._tcp.hq.example".into(), Found::Hosts(vec![host("first", 5270, 0)]));
    net.dns.insert("_xmpp-server._tcp.field.example".into(), Found::Hosts(vec![host("a", 5269, 0)]));
    converse(&mut net);
    assert_eq!(&net.opened[..3], ["first:5270", "down:5269", "b:5269"]);

    let mut net = pair(by_dns);
    net.dns.insert("_xmpps-server._tcp.hq.example".into(), Found::Hosts(vec![host(".", 0, 0)]));
    net.dns.insert("_xmpp-server._tcp.hq.example".into(), Found::Hosts(vec![host(".", 0, 0)]));
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    assert!(matches!(&net.events(0)[..], [DoorEvent::Refused { condition: "remote-server-not-found", .. }, ..]));
    assert_eq!(net.opened, Vec::<String>::new());

    let mut net = pair(by_dns);
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    assert_eq!(net.opened, ["hq.example:5269"], "without records the domain itself");

    let mut net = pair(by_dns);
    net.dns.insert("_xmpp-server._tcp.hq.example".into(), Found::Failed("timeout".into()));
    net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
    assert!(matches!(&net.events(0)[..], [DoorEvent::Returned { .. }, DoorEvent::Down { .. }]));
}

#[test]
fn targets_of_equal_priority_are_chosen_by_weight() {
    let mut net = pair(|_| {});
    let hosts = |weight: u16| {
        vec![
            (FoundHost { host: "light".into(), port: 1, priority: 1, weight }, false),
            (FoundHost { host: "heavy".into(), port: 1, priority: 1, weight: 900 }, false),
        ]
    };
    let heavy = (0..1000).filter(|_| net.doors[0].in_order(hosts(99))[0].target == "heavy:1").count();
    assert!((850..950).contains(&heavy), "{heavy} of 1000");
    assert_eq!(net.doors[0].in_order(hosts(0)).len(), 2);
    assert!(net.doors[0].in_order(Vec::new()).is_empty());
}

#[test]
fn an_idle_stream_gets_blanks_and_stays() {
    let mut net = pair(|config| {
        with_tls(config);
        config.locals[0].auth = ServerAuth::External;
    });
    converse(&mut net);
    net.transcript.clear();
    net.pass(Duration::from_secs(3600));
    assert_eq!(net.wires(), 2);
    assert!(net.transcript.trim().is_empty() && net.transcript.len() >= 10, "{:?}", net.transcript);
}

#[test]
fn a_restarted_server_is_spoken_to_again() {
    let mut net = pair(with_tls);
    converse(&mut net);
    net.pass(Duration::from_secs(60));
    net.doors[1].stop(net.now);
    net.settle();
    assert!(matches!(&net.events(0)[..], [.., DoorEvent::Down { .. }]));
    let again = config(&["hq.example"], &["field.example"], "a:5269");
    net.doors[1] =
        Door::new(DoorConfig { certificate: Some("own".into()), ..again }, Box::new(crate::random::Seeded::new(99)));
    net.deliver(0, 5, &message("u@field.example", "v@hq.example", 5));
    net.pass(Duration::from_secs(2));
    assert_eq!(net.arrived(1).len(), 1, "{}", net.transcript);
}

/// Who is to be known by a certificate speaks on our own stream only with one: its address proves nothing.
//= xmpp/BIDI-005
#[test]
fn without_a_certificate_a_server_does_not_speak_on_our_stream() {
    for (auth, proves, both_ways) in
        [(ServerAuth::External, true, true), (ServerAuth::External, false, false), (ServerAuth::Dialback, false, true)]
    {
        let mut net = pair(|config| {
            with_tls(config);
            config.locals[0].auth = if config.fronted[0] == "field.example" { auth } else { ServerAuth::Both };
            config.locals[0].bidi = true;
        });
        if !proves {
            net.names[1] = Vec::new();
        }
        net.deliver(0, 1, &message("u@field.example", "v@hq.example", 1));
        let ours = net.doors[0].describe().streams.into_iter().find(|stream| stream.direction == "outgoing").unwrap();
        assert_eq!(ours.bidi, both_ways, "{auth:?} {proves}");
        assert_eq!(net.arrived(1).len(), 1, "{auth:?} {proves}: what we say goes there all the same");
        net.events(0);
        net.deliver(1, 2, &message("v@hq.example", "u@field.example", 2));
        assert_eq!(net.arrived(0).len(), usize::from(both_ways), "{auth:?} {proves}");
    }
}

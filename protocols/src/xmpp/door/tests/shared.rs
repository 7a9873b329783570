//! Streams that several pairs share, and the certificates that each of them demands.

use super::super::*;
use super::net::Net;

const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
     xmlns:db='jabber:server:dialback' id='X' from='hq.example' to='field.example' version='1.0'>";
const DIALBACK: &str = "<stream:features><bidi xmlns='urn:xmpp:features:bidi'/>\
     <dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>";

fn config(locals: Vec<LocalServer>) -> DoorConfig {
    DoorConfig {
        fronted: vec!["field.example".into()],
        locals,
        dialback_secret: "s3cr3t".into(),
        certificate: Some("own".into()),
        tls_required: false,
        ..DoorConfig::default()
    }
}

fn at_hq(domains: &[&str]) -> LocalServer {
    LocalServer::at(domains.iter().map(|domain| (*domain).to_owned()).collect(), "hq:5269".into())
}

fn net(locals: Vec<LocalServer>) -> Net {
    let mut net = Net::new(vec![config(locals)]);
    net.listeners.insert("hq:5269".into(), None);
    net
}

fn message(to: &str) -> String {
    format!("<message to='{to}' from='u@field.example'><body>x</body></message>")
}

/// The server at the other end of the connection that was opened last goes through TLS, if it is to, with a certificate
/// for these names, and offers dialback.
fn serve(net: &mut Net, names: Option<&[&str]>) -> u64 {
    let server = net.hand();
    net.say(server, HEADER);
    if let Some(names) = names {
        net.say(server, "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>");
        net.say(server, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        net.secure(server, names);
        net.say(server, HEADER);
    }
    net.say(server, DIALBACK);
    server
}

fn accepts(net: &mut Net, server: u64, theirs: &str) -> String {
    net.say(server, &format!("<db:result from='{theirs}' to='field.example' type='valid'/>"))
}

/// Two entries lead to the same place; what one of them demands is not left out because the other does without.
//= xmpp/DBK-010
#[test]
fn a_stream_is_shared_only_by_what_one_entry_names() {
    let strict = |auth, certificate_required| LocalServer { auth, certificate_required, ..at_hq(&["secure.example"]) };
    for other in
        [strict(ServerAuth::External, true), strict(ServerAuth::External, false), strict(ServerAuth::Both, true)]
    {
        let mut net = net(vec![at_hq(&["hq.example"]), other]);
        net.deliver(0, 1, &message("v@hq.example"));
        let first = serve(&mut net, None);
        assert!(accepts(&mut net, first, "hq.example").contains("<body>"));
        net.deliver(0, 2, &message("v@secure.example"));
        let heard = net.heard(first);
        assert!(!heard.contains("secure.example"), "{heard}");
        assert_eq!(net.opened.len(), 2, "a stream of its own");
        // Nor is the other domain believed there.
        net.events(0);
        net.say(first, "<message from='v@secure.example' to='u@field.example'><body>forged</body></message>");
        assert_eq!(net.arrived(0), [""; 0]);
    }
}

/// One entry with two domains, of which the certificate proves one or both.
//= xmpp/DBK-010
#[test]
fn a_certificate_that_is_demanded_proves_each_domain_that_shares_the_stream() {
    for (names, shared) in [(&["hq.example"][..], false), (&["hq.example", "rooms.hq.example"][..], true)] {
        let entry = LocalServer { certificate_required: true, ..at_hq(&["hq.example", "rooms.hq.example"]) };
        let mut net = net(vec![entry]);
        net.deliver(0, 1, &message("v@hq.example"));
        let first = serve(&mut net, Some(names));
        assert!(accepts(&mut net, first, "hq.example").contains("<body>"));
        net.deliver(0, 2, &message("r@rooms.hq.example"));
        assert_eq!(net.heard(first).contains("<db:result to='rooms.hq.example'"), shared, "{names:?}");
        assert_eq!(net.opened.len(), if shared { 1 } else { 2 }, "{names:?}");
        if !shared {
            // The stream of its own asks for the proof again, and gets nothing without.
            let second = serve(&mut net, Some(names));
            assert!(!net.heard(second).contains("<body>"));
            assert!(net.events(0).iter().any(|event| matches!(event, DoorEvent::Returned { token: 2, .. })));
        }
    }
}

/// Somebody in between shows a true key of the server, without its certificate: we hear the server through him, and say
/// nothing to him.
#[test]
fn a_stream_without_the_certificate_that_is_demanded_carries_nothing_back() {
    for (names, carries) in [(&[][..], false), (&["hq.example"][..], true)] {
        let mut net = net(vec![LocalServer { certificate_required: true, ..at_hq(&["hq.example"]) }]);
        let caller = net.dial(0, true);
        net.secure(caller, names);
        let header = net.say(caller, &HEADER.replace("id='X' ", ""));
        let id = header.split("id='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap().to_owned();
        net.say(caller, "<bidi xmlns='urn:xmpp:bidi'/><db:result from='hq.example' to='field.example'>abc</db:result>");
        let judge = serve(&mut net, Some(&["hq.example"]));
        let verdict = format!("<db:verify from='hq.example' to='field.example' id='{id}' type='valid'/>");
        net.say(judge, &verdict);
        assert!(net.heard(caller).contains("type='valid'"), "{names:?}");
        net.deliver(0, 1, &message("v@hq.example"));
        assert_eq!(net.heard(caller).contains("<body>"), carries, "{names:?}");
    }
}

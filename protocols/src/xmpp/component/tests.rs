use super::*;
use crate::xmpp::stanza::Stanza;

fn text(component: &mut Component) -> String {
    component.poll_write().map(|octets| String::from_utf8_lossy(&octets).into_owned()).unwrap_or_default()
}

fn opened() -> Component {
    let mut component = Component::new("field.example", "s3cr3t");
    component.opened();
    assert_eq!(
        text(&mut component),
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='field.example'>"
    );
    component
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
     xmlns:stream='http://etherx.jabber.org/streams' from='field.example' id='3BF96D32'>";

//= xmpp/COMP-002
#[test]
fn the_handshake_is_the_digest_of_id_and_secret() {
    // The example of XEP-0114; its secret is "test".
    assert_eq!(handshake("3BF96D32", "test"), "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e");
    assert!(is_handshake(&handshake("i", "s"), "i", "s"));
    assert!(!is_handshake(&handshake("i", "s"), "j", "s"));
}

#[test]
fn a_component_comes_up_and_carries_stanzas_both_ways() {
    let mut component = opened();
    component.read(HEADER.as_bytes());
    assert_eq!(text(&mut component), format!("<handshake>{}</handshake>", handshake("3BF96D32", "s3cr3t")));
    assert!(!component.is_up());
    component.read(b"<handshake/><message to='a@field.example' from='b@hq.example'><body>x</body></message>");
    assert_eq!(component.poll_event(), Some(ComponentEvent::Up));
    let Some(ComponentEvent::Element(element)) = component.poll_event() else { panic!() };
    let stanza = Stanza::from_element(element).unwrap();
    assert!(stanza.has_body());
    component.send(&stanza.octets_for(Scope::COMPONENT));
    assert_eq!(text(&mut component), "<message to='a@field.example' from='b@hq.example'><body>x</body></message>");
    component.read(b"</stream:stream>");
    assert_eq!(component.poll_event(), Some(ComponentEvent::Ended(StreamEnd::PeerClosed)));
    assert_eq!(text(&mut component), "</stream:stream>");
}

//= xmpp/COMP-003
#[test]
fn every_refusal_ends_it_once() {
    let other = HEADER.replace("component:accept", "server");
    let rows: [(&str, &str); 7] = [
        (
            HEADER,
            "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
        ),
        (HEADER, "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"),
        (HEADER, "<message/>"),
        (HEADER, "<!-- x -->"),
        (HEADER, "</stream:stream>"),
        (&other, ""),
        ("<html>", ""),
    ];
    for (header, then) in rows {
        let mut component = opened();
        component.read(header.as_bytes());
        component.read(then.as_bytes());
        component.read(b"<handshake/>");
        let mut events = Vec::new();
        while let Some(event) = component.poll_event() {
            events.push(event);
        }
        assert!(matches!(events[..], [ComponentEvent::Ended(_)]), "{header} {then}: {events:?}");
        assert!(!component.is_up());
        component.send(b"<message/>");
        let written = text(&mut component);
        assert!(written.ends_with("</stream:stream>") && !written.contains("<message/>"), "{written}");
    }
}

#[test]
fn a_stanza_before_it_is_up_is_not_written() {
    let mut component = Component::new("a", "b");
    component.send(b"<message/>");
    component.read(b"<message/>");
    assert_eq!((component.poll_write(), component.poll_event()), (None, None));
}

use proptest::prelude::*;

use super::*;
use crate::xmpp::writer::remove_attribute;

const CHAT: &str = "<message to='b@field.example' from='a@hq.example/r' id='1' type='chat'><body>hi</body></message>";

fn parse(text: &str) -> Result<Stanza, XmppFault> {
    Stanza::parse(text.as_bytes())
}

#[test]
fn a_stanza_knows_what_it_is() {
    let stanza = parse(CHAT).unwrap();
    assert_eq!(stanza.kind(), Kind::Message);
    assert_eq!((stanza.from().as_str(), stanza.to().as_str()), ("a@hq.example/r", "b@field.example"));
    assert_eq!((stanza.typ(), stanza.id()), (Some("chat"), Some("1")));
    assert!(stanza.has_body() && !stanza.is_error());
    assert_eq!(String::from_utf8(stanza.octets()).unwrap(), CHAT);
    assert!(!parse("<presence to='a@b' from='c@d'><body>x</body></presence>").unwrap().has_body());
}

#[test]
fn anything_but_one_stanza_is_refused() {
    let rows = [
        ("", XmppFault::Incomplete),
        ("<message to='a' from='b'>", XmppFault::Incomplete),
        ("</stream:stream>", XmppFault::Incomplete),
        ("<message from='b'/>", XmppFault::AddressMissing("to")),
        ("<message to='b'/>", XmppFault::AddressMissing("from")),
        ("<message to='a' from='b'/> x", XmppFault::TextBetween),
        ("<message to='a' from='b'/> <", XmppFault::Trailing),
        ("<message to='a' from='b'/><message to='a' from='b'/>", XmppFault::Trailing),
        ("<message to='a' from='b'/></stream:stream>", XmppFault::Trailing),
        ("<x/>", XmppFault::NotAStanza { namespace: "jabber:server".into(), name: "x".into() }),
        ("<message xmlns='urn:x'/>", XmppFault::NotAStanza { namespace: "urn:x".into(), name: "message".into() }),
    ];
    for (text, fault) in rows {
        assert_eq!(parse(text), Err(fault), "{text}");
    }
}

#[test]
fn addresses_are_normalised_or_refused() {
    let stanza = parse("<message to='B@Field.EXAMPLE/R' from='Ａ@hq.example'/>").unwrap();
    assert_eq!((stanza.to().as_str(), stanza.from().as_str()), ("b@field.example/R", "a@hq.example"));
    assert_eq!(stanza.element().attr("to"), Some("b@field.example/R"));
    let long = "r".repeat(1024);
    let bad = [
        "",
        "@b",
        "a@",
        "a@b/",
        "a b@c",
        "a@b..c",
        "a@b@c",
        "a\u{202e}@b",
        "a@b\u{202e}",
        "a@b/\u{202e}",
        "a@b/\u{0085}",
        &format!("a@b/{long}"),
        &format!("{long}@b"),
        &format!("a@{}", "d".repeat(64 << 10)),
    ];
    for address in bad {
        let text = format!("<message from='a@b' to='{address}'/>");
        assert!(parse(&text).is_err(), "{address} was taken");
    }
    assert!(
        parse(&format!("<message from='a@b' to='a@b/{}'/>", "r".repeat(1000))).is_ok(),
        "a resource of 1 kB is legal"
    );
}

//= xmpp/STANZA-004
#[test]
fn all_namespaces_of_stanzas_are_one_and_foreign_content_stays() {
    for namespace in [ns::SERVER, ns::CLIENT, ns::COMPONENT_ACCEPT, ns::COMPONENT_CONNECT] {
        for inner in [ns::SERVER, ns::CLIENT, ns::COMPONENT_ACCEPT] {
            let text = format!(
                "<message xmlns='{namespace}' to='a@b' from='c@d'><body xmlns='{inner}'>x</body>\
                 <f xmlns='urn:f'><body xmlns='{inner}'>y</body></f></message>"
            );
            let stanza = parse(&text).unwrap();
            assert!(stanza.has_body(), "{text}");
            let enclosed = stanza.child("urn:f", "f").and_then(|f| f.get_child("body", inner));
            assert_eq!(enclosed.map(Element::text).as_deref(), Some("y"), "{text}");
        }
    }
    let foreign = parse("<message to='a@b' from='c@d'><body xmlns='urn:f'>x</body></message>").unwrap();
    assert!(!foreign.has_body(), "a body in a foreign namespace is none");
    let prefixed = parse("<message to='a@b' from='c@d' xmlns:p='jabber:server'><p:body>x</p:body></message>").unwrap();
    assert!(prefixed.has_body(), "a body under a prefix is one");
}

#[test]
fn missing_addresses_can_be_given() {
    let (from, to) = (Jid::new("a@b").unwrap(), Jid::new("c@d").unwrap());
    let bare = Element::bare("presence", ns::CLIENT);
    let stanza = Stanza::from_element_with(bare, &from, &to).unwrap();
    assert_eq!((stanza.from(), stanza.to()), (&from, &to));
    let mut own = Element::bare("presence", ns::CLIENT);
    set_attribute(&mut own, xml_ncname!("from"), "x@y");
    assert_eq!(Stanza::from_element_with(own, &from, &to).unwrap().from().as_str(), "x@y");
}

#[test]
fn an_edit_is_checked_and_undone_when_it_is_bad() {
    let mut stanza = parse(CHAT).unwrap();
    let before = stanza.clone();
    assert_eq!(stanza.edit(|element| remove_attribute(element, "to")), Err(XmppFault::AddressMissing("to")));
    assert_eq!(stanza, before);
    stanza.edit(|element| set_attribute(element, xml_ncname!("to"), "X@y")).unwrap();
    assert_eq!(stanza.to().as_str(), "x@y");
    assert_eq!(stanza.element().attr("to"), Some("x@y"));
}

#[test]
fn text_that_stands_together_is_joined() {
    let mut element = Element::bare("message", ns::SERVER);
    set_attribute(&mut element, xml_ncname!("from"), "a@b");
    set_attribute(&mut element, xml_ncname!("to"), "a@b");
    let mut inner = Element::bare("x", "urn:x");
    for part in ["a", "", "b"] {
        inner.append_node(Node::Text(part.to_owned()));
    }
    element.append_child(inner);
    let stanza = Stanza::from_element(element).unwrap();
    assert_eq!(Stanza::parse(&stanza.octets()), Ok(stanza));
}

proptest! {
    #[test]
    fn no_octets_make_it_panic_and_what_is_taken_comes_back(octets in prop::collection::vec(any::<u8>(), 0..60), tail: bool) {
        let text = if tail { [&b"<iq from='a@b' to='c@d' "[..], &octets, b"/>"].concat() } else { octets };
        if let Ok(stanza) = Stanza::parse(&text) {
            prop_assert_eq!(Stanza::parse(&stanza.octets()), Ok(stanza));
        }
    }
}

/// Elements, attributes with and without prefixes, and namespaces as a server may send them, near the limits.
fn built() -> impl Strategy<Value = String> {
    let part = (0_usize..70, 0_usize..70, 0_usize..3, 0_usize..10, 245_usize..258);
    (part, 0_usize..1100).prop_map(|((depth, prefixed, shared, plain, name), children)| {
        let declared: String =
            (0..prefixed.min(60)).map(|n| format!(" xmlns:q{n}='urn:{}'", n / (shared + 1))).collect();
        let attributes: String = (0..prefixed.min(60)).map(|n| format!(" q{n}:a{n}='1'")).collect();
        let plain: String = (0..plain).map(|n| format!(" b{n}='2'")).collect();
        let nested: String = (0..depth.min(60)).map(|n| format!("<n xmlns='urn:{}'>", n % 2)).collect();
        let closed = "</n>".repeat(depth.min(60));
        let named = format!("<{}/>", "x".repeat(name.min(256)));
        let wide = if prefixed % 2 == 0 { format!("<w{attributes}{plain}/>") } else { String::new() };
        format!(
            "<message to='a@b' from='c@d'><y{declared}>{wide}{nested}{closed}</y>{named}{}</message>",
            "<e/>".repeat(children)
        )
    })
}

proptest! {
    /// Whatever a local server may send: what is said to fit is taken at the far end, as it is written and with the mark of
    /// a delay; and nothing is said not to fit that breaks no limit by far.
    //= xmpp/LINK-024
    #[test]
    fn what_fits_is_taken_at_the_far_end(text in built()) {
        let Ok(stanza) = Stanza::parse(text.as_bytes()) else { return Ok(()) };
        let mut delayed = stanza.clone();
        delayed.edit(|element| {
            let mut delay = Element::bare("delay", ns::DELAY);
            set_attribute(&mut delay, rxml::xml_ncname!("from"), "gateway.example");
            element.append_child(delay);
        }).unwrap();
        for stanza in [&stanza, &delayed] {
            let mut reader = StreamReader::headless(ReaderLimits::HF);
            reader.read(&stanza.octets());
            let taken = matches!(reader.next(), Ok(Some(Item::Element(_))));
            prop_assert!(taken || !stanza.fits(ReaderLimits::HF), "{}", text);
        }
        let mut reader = StreamReader::headless(ReaderLimits::HF);
        reader.read(&delayed.octets());
        let taken = matches!(reader.next(), Ok(Some(Item::Element(_))));
        prop_assert!(taken || !stanza.fits(ReaderLimits::HF), "with a delay: {}", text);
    }
}

#[test]
fn the_usual_fits_and_what_grows_by_being_written_does_not() {
    let wide = |count: usize| {
        let declared: String = (0..count).map(|n| format!(" xmlns:q{n}='urn:{n}'")).collect();
        let used: String = (0..count).map(|n| format!(" q{n}:a='1'")).collect();
        format!("<message to='a@b' from='c@d'><y{declared}><w{used}/></y></message>")
    };
    let nested = |count: usize| {
        let open: String = (0..count).map(|n| format!("<n xmlns='urn:{}'>", n % 2)).collect();
        format!("<message to='a@b' from='c@d'>{open}{}</message>", "</n>".repeat(count))
    };
    let many = |count: usize| format!("<message to='a@b' from='c@d'>{}</message>", "<e/>".repeat(count));
    for (text, fits) in [
        (wide(32), true),
        (wide(33), false),
        (nested(60), true),
        (many(1022), true),
        (many(1023), false),
        (many(1025), false),
    ] {
        assert_eq!(Stanza::parse(text.as_bytes()).unwrap().fits(ReaderLimits::HF), fits, "{text}");
    }
}

use proptest::prelude::*;
use rxml::xml_ncname;

use super::*;
use crate::xmpp::limits::ReaderLimits;
use crate::xmpp::reader::{Item, StreamReader};

/// Reads one element that stands in the stream that `header` opens.
fn read_in(header: &[u8], octets: &[u8]) -> Option<Element> {
    let mut reader = StreamReader::new(ReaderLimits::LAN);
    reader.read(header);
    reader.read(octets);
    reader.next().unwrap();
    match reader.next().unwrap() {
        Some(Item::Element(element)) => Some(element),
        _ => None,
    }
}

fn read_headless(octets: &[u8]) -> Option<Element> {
    let mut reader = StreamReader::headless(ReaderLimits::LAN);
    reader.read(octets);
    match reader.next() {
        Ok(Some(Item::Element(element))) => Some(element),
        _ => None,
    }
}

#[test]
fn canonical_form() {
    let rows = [
        (
            "<message type = \"chat\"  from='a@b' id='1' to='c@d' ><body>hi</body></message>",
            "<message to='c@d' from='a@b' id='1' type='chat'><body>hi</body></message>",
        ),
        ("<presence xmlns='jabber:server' xml:lang='de' b='2' a='1'/>", "<presence xml:lang='de' a='1' b='2'/>"),
        (
            "<iq><query xmlns='jabber:iq:version'><name>x</name></query></iq>",
            "<iq><query xmlns='jabber:iq:version'><name>x</name></query></iq>",
        ),
        ("<m xmlns:p='u'><p:a><p:b/><c/></p:a></m>", "<m><a xmlns='u'><b/><c xmlns='jabber:server'/></a></m>"),
        ("<m><a xmlns=''/></m>", "<m><a xmlns=''/></m>"),
        ("<m xmlns:p='u' p:x='1' y='2'/>", "<m y='2' xmlns:ns0='u' ns0:x='1'/>"),
        ("<m><b>&lt;&gt;&amp;'\"\n&#13;</b></m>", "<m><b>&lt;&gt;&amp;'\"\n&#13;</b></m>"),
        ("<m a='&lt;&gt;&amp;&apos;\"&#9;&#10;&#13;'/>", "<m a='&lt;&gt;&amp;&apos;\"&#9;&#10;&#13;'/>"),
        ("<m></m>", "<m/>"),
        (
            "<stream:error><x/></stream:error>",
            "<error xmlns='http://etherx.jabber.org/streams'><x xmlns='jabber:server'/></error>",
        ),
    ];
    for (input, output) in rows {
        let element = read_headless(input.as_bytes()).unwrap();
        let written = write_element(&element, Scope::LINK);
        assert_eq!(String::from_utf8_lossy(&written), output, "{input}");
        assert_eq!(read_headless(&written), Some(element), "{output}");
    }
}

//= xmpp/DBK-006
#[test]
fn prefixes_of_the_stream_header_are_used() {
    let mut result = Element::bare("result", ns::DIALBACK);
    set_attribute(&mut result, xml_ncname!("from"), "hq.example");
    set_attribute(&mut result, xml_ncname!("to"), "field.example");
    result.append_text("key");
    assert_eq!(
        String::from_utf8_lossy(&write_element(&result, Scope::SERVER)),
        "<db:result to='field.example' from='hq.example'>key</db:result>"
    );
    let mut features = Element::bare("features", ns::STREAM);
    features.append_child(Element::bare("bidi", ns::BIDI_FEATURE));
    assert_eq!(
        String::from_utf8_lossy(&write_element(&features, Scope::SERVER)),
        "<stream:features><bidi xmlns='urn:xmpp:features:bidi'/></stream:features>"
    );
}

#[test]
fn a_stanza_moves_to_the_components_namespace_and_what_is_enclosed_stays() {
    let input = "<message><body>x</body><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/>\
        <m xmlns='jabber:server'/></forwarded></message>";
    let element = read_headless(input.as_bytes()).unwrap();
    let written = write_stanza_for(&element, Scope::COMPONENT);
    assert_eq!(String::from_utf8_lossy(&written), input);
    let header = write_stream_header(&StreamHeader { namespace: ns::COMPONENT_ACCEPT, ..StreamHeader::default() });
    let read = read_in(&header, &written).unwrap();
    assert!(read.has_child("body", ns::COMPONENT_ACCEPT));
    let forwarded = read.get_child("forwarded", "urn:xmpp:forward:0").unwrap();
    assert!(forwarded.has_child("message", ns::CLIENT) && forwarded.has_child("m", ns::SERVER));
}

#[test]
fn stream_headers() {
    let header = StreamHeader {
        namespace: ns::SERVER,
        from: Some("hq.example"),
        to: Some("a'b"),
        id: Some("x"),
        version: true,
        dialback: true,
    };
    assert_eq!(
        String::from_utf8(write_stream_header(&header)).unwrap(),
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
         xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' to='a&apos;b' \
         from='hq.example' id='x' version='1.0' xml:lang='en'>"
    );
    let component =
        StreamHeader { namespace: ns::COMPONENT_ACCEPT, to: Some("field.example"), ..StreamHeader::default() };
    assert_eq!(
        String::from_utf8(write_stream_header(&component)).unwrap(),
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='field.example'>"
    );
}

#[test]
fn characters_that_xml_cannot_carry_are_replaced() {
    let mut element = Element::bare("a", ns::SERVER);
    element.append_text("x\0y\u{1}\u{ffff}z");
    let written = write_element(&element, Scope::LINK);
    assert_eq!(read_headless(&written).unwrap().text(), "x\u{fffd}y\u{fffd}\u{fffd}z");
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            prop::sample::select(vec![
                '<',
                '>',
                '&',
                '\'',
                '"',
                '\t',
                '\n',
                '\r',
                ']',
                ' ',
                'é',
                '\u{1f600}',
                '\u{85}'
            ]),
            prop::char::range('a', 'z'),
        ],
        1..12,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

fn namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![ns::SERVER, ns::CLIENT, ns::DIALBACK, ns::STREAM, "urn:a", "urn:b", ""])
}

fn head() -> impl Strategy<Value = Element> {
    let attribute_namespace = prop::sample::select(vec!["", "urn:a", "urn:b", rxml::XMLNS_XML]);
    let attribute_name = prop::sample::select(vec!["to", "from", "id", "type", "lang", "a", "b"]);
    let attributes = prop::collection::vec((attribute_namespace, attribute_name, text()), 0..6);
    let name = prop::sample::select(vec!["message", "body", "x", "a.b-c"]);
    (name, namespace(), attributes).prop_map(|(name, namespace, attributes)| {
        let mut element = Element::bare(name, namespace);
        for (namespace, name, value) in attributes {
            element.set_attr(Namespace::from(namespace.to_owned()), NcName::try_from(name).unwrap(), value);
        }
        element
    })
}

fn element() -> impl Strategy<Value = Element> {
    let leaf = (head(), prop::option::of(text())).prop_map(|(mut element, text)| {
        if let Some(text) = text {
            element.append_text(text);
        }
        element
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        (head(), prop::collection::vec((inner, prop::option::of(text())), 0..4)).prop_map(|(mut element, children)| {
            for (child, text) in children {
                element.append_child(child);
                if let Some(text) = text {
                    element.append_text(text);
                }
            }
            element
        })
    })
}

proptest! {
    #[test]
    fn canonical_octets_parse_back_equal(element in element()) {
        let written = write_element(&element, Scope::LINK);
        let read = read_headless(&written);
        prop_assert_eq!(read.as_ref(), Some(&element), "{}", String::from_utf8_lossy(&written));
        prop_assert_eq!(write_element(&element, Scope::LINK), written);
    }

    #[test]
    fn octets_on_a_stream_between_servers_parse_back_equal(element in element()) {
        let header = StreamHeader { namespace: ns::SERVER, version: true, dialback: true, ..StreamHeader::default() };
        let written = write_element(&element, Scope::SERVER);
        prop_assert_eq!(read_in(&write_stream_header(&header), &written), Some(element));
    }
}

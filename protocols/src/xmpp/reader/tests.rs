use proptest::prelude::*;

use super::*;

const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
     xmlns:stream='http://etherx.jabber.org/streams' from='hq.example' to='field.example' id='s1' version='1.0' \
     xml:lang='en'>";

/// All items, and the fault that ends them.
fn read(pieces: &[&[u8]], limits: ReaderLimits, headless: bool) -> (Vec<Item>, Option<XmppFault>) {
    let mut reader = if headless { StreamReader::headless(limits) } else { StreamReader::new(limits) };
    let mut items = Vec::new();
    for piece in pieces {
        reader.read(piece);
        loop {
            match reader.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(fault) => return (items, Some(fault)),
            }
        }
    }
    (items, None)
}

fn whole(text: &str) -> (Vec<Item>, Option<XmppFault>) {
    read(&[text.as_bytes()], ReaderLimits::LAN, false)
}

/// The fault of `inner` inside a stream.
fn fault_in(inner: &str) -> Option<XmppFault> {
    read(&[format!("{OPEN}{inner}").as_bytes()], ReaderLimits::LAN.strict(), false).1
}

#[test]
fn a_second_header_is_no_element() {
    let second = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server'>";
    for text in
        [second.to_owned(), second.replace('>', "/>"), "<stream xmlns='http://etherx.jabber.org/streams'>".into()]
    {
        let mut reader = StreamReader::headless(ReaderLimits::HF);
        reader.read(text.as_bytes());
        assert_eq!(reader.next(), Err(XmppFault::SecondHeader), "{text}");
    }
    // Deeper down it is an element as any other, and another namespace's is no header.
    let mut reader = StreamReader::headless(ReaderLimits::HF);
    reader.read(b"<a><stream:stream/></a><stream xmlns='urn:x'/>");
    assert!(matches!(reader.next(), Ok(Some(Item::Element(_)))));
    assert!(matches!(reader.next(), Ok(Some(Item::Element(_)))));
}

#[test]
fn a_stream_yields_header_elements_and_end() {
    let (items, fault) = whole(&format!(
        "{OPEN} \n<message to='a@field.example' from='b@hq.example'><body>x &amp; <![CDATA[<y>]]>&#x21;</body></message>\
         <db:result to='field.example' from='hq.example'>key</db:result> </stream:stream>ignored"
    ));
    assert_eq!(fault, None);
    let [Item::Header(header), Item::Element(message), Item::Element(result), Item::End] = &items[..] else {
        panic!("{items:?}")
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    assert_eq!((text(&header.from), text(&header.to)), ("hq.example".to_owned(), "field.example".to_owned()));
    assert_eq!((text(&header.id), text(&header.version), text(&header.lang)), ("s1".into(), "1.0".into(), "en".into()));
    assert_eq!(header.namespace, ns::SERVER);
    assert_eq!(header.prefixes[0], ("db".to_owned(), ns::DIALBACK.to_owned()));
    assert!(message.is("message", ns::SERVER));
    assert_eq!(message.get_child("body", ns::SERVER).map(Element::text).as_deref(), Some("x & <y>!"));
    assert!(result.is("result", ns::DIALBACK));
    assert_eq!(result.text(), "key");
}

#[test]
fn what_xmpp_forbids_is_a_fault_that_stays() {
    let rows = [
        ("<!DOCTYPE x [<!ENTITY a 'b'>]>", "DTD"),
        ("<!DOCTYPE x SYSTEM 'file:///etc/passwd'>", "external entity"),
        ("<a>&lol;</a>", "foreign entity"),
        ("<a>&#0;</a>", "U+0000 by reference"),
        ("<a>&#;</a>", "empty reference"),
        ("<a>&#x;</a>", "empty reference"),
        ("<a>&#xD800;</a>", "surrogate"),
        ("<a>&#99999999;</a>", "beyond Unicode"),
        ("<a>\u{fffe}</a>", "U+FFFE"),
        ("<a>\u{0}</a>", "U+0000"),
        ("<?pi x?>", "processing instruction"),
        ("<?xml version='1.0'?>", "second declaration"),
        ("<!-- c -->", "comment"),
        ("<a><!-- c --></a>", "comment inside"),
        ("<x:a/>", "undeclared prefix"),
        ("<a x:b='c'/>", "undeclared prefix of an attribute"),
        ("<a b='1' b='2'/>", "attribute twice"),
        ("<a xmlns:p='n' xmlns:q='n' p:b='1' q:b='2'/>", "attribute twice by namespace"),
        ("<a xmlns='n' xmlns='m'/>", "default namespace twice"),
        ("<a xmlns:p='n' xmlns:p='m'/>", "prefix twice"),
        ("<a xmlns:xml='n'/>", "reserved prefix"),
        ("<a xmlns:p=''/>", "prefix undeclared"),
        ("<a></b>", "tags that do not match"),
        ("<a b=c/>", "value without quotes"),
        ("<a b='<'/>", "less-than in a value"),
        ("<1a/>", "name"),
        ("<a>]]></a>", "end of CDATA outside"),
        ("words", "text between stanzas"),
    ];
    for (text, why) in rows {
        let stream = format!("{OPEN}{text}<ok/>");
        let mut reader = StreamReader::new(ReaderLimits::LAN);
        reader.read(stream.as_bytes());
        assert!(matches!(reader.next(), Ok(Some(Item::Header(_)))), "{why}");
        let first = loop {
            match reader.next() {
                Ok(Some(item)) => assert!(!matches!(item, Item::Element(_)), "{why}: {item:?} passed"),
                Ok(None) => panic!("{why}: taken"),
                Err(fault) => break fault,
            }
        };
        reader.read(b"<ok/>");
        assert_eq!(reader.next(), Err(first), "{why}: the fault stays");
    }
}

#[test]
fn octets_that_are_no_utf8_are_refused() {
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80"] {
        for (before, after) in [(&b"<a>"[..], &b"</a>"[..]), (b"<a b='", b"'/>"), (b"<a", b"/>")] {
            let stream = [OPEN.as_bytes(), before, bad, after, b"<b/>"].concat();
            let (items, fault) = read(&[&stream], ReaderLimits::LAN, false);
            assert_eq!(items.len(), 1, "{bad:?}");
            assert!(fault.is_some(), "{bad:?}");
        }
    }
}

#[test]
fn the_first_element_must_be_a_stream_header() {
    for text in ["<stream/>", "<a xmlns='jabber:server'/>", "<s:features xmlns:s='http://etherx.jabber.org/streams'>"] {
        assert!(matches!(whole(text).1, Some(XmppFault::NotAStream { .. })), "{text}");
    }
    assert!(matches!(whole("<stream:stream>").1, Some(XmppFault::UndeclaredPrefix(_))));
}

#[test]
fn every_limit_is_counted_while_reading() {
    let many = |what: &str, count: usize| what.repeat(count);
    assert_eq!(fault_in(&many("<a>", 100_000)), Some(XmppFault::TooDeep { limit: DEPTH_MAX }));
    let children = format!("<m>{}", many("<a/>", 1_000_000));
    assert!(matches!(fault_in(&children), Some(XmppFault::TooMany { what: "elements", .. })));
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=''")).collect();
    assert!(matches!(fault_in(&format!("<m{attributes}")), Some(XmppFault::TooMany { what: "attributes", .. })));
    let declarations: String = (0..100_000).map(|n| format!(" xmlns:p{n}='u'")).collect();
    assert!(matches!(fault_in(&format!("<m{declarations}")), Some(XmppFault::TooMany { .. })));
    let spread: String = (0..60).map(|n| format!("<m xmlns:p{n}='u' xmlns:q{n}='u'>")).collect();
    assert!(matches!(fault_in(&spread), Some(XmppFault::TooMany { what: "namespace declarations", .. })));
    assert!(matches!(fault_in(&format!("<{}/>", many("a", 300))), Some(XmppFault::TooLong { what: "name", .. })));
    assert!(matches!(fault_in(&format!("<{}/>", many("a", 10_000))), Some(XmppFault::TooLong { .. })));
    assert!(matches!(fault_in(&format!("<a b='{}'/>", many("a", 10_000))), Some(XmppFault::TooLong { .. })));
    assert!(matches!(fault_in(&format!("<a xmlns='{}'/>", many("a", 300))), Some(XmppFault::TooLong { .. })));
    let text = Some(XmppFault::TooLarge { limit: ReaderLimits::LAN.stanza_octets });
    assert_eq!(fault_in(&format!("<a>{}", many("x", 600 << 10))), text);
    assert_eq!(fault_in(&format!("<a {}", many(" ", 600 << 10))), text, "white space inside a tag counts");
}

/// Each limit broken inside one stanza, at its start, in its middle, in its last element: it is passed over, its start is
/// known, and the next one is read.
//= xmpp/STREAM-012
#[test]
fn a_stanza_that_breaks_a_limit_is_passed_over() {
    let many = |what: &str, count: usize| what.repeat(count);
    let spread = |count: usize| -> String { (0..count).map(|n| format!(" p{n}='x'")).collect() };
    let declared = |count: usize| -> String { (0..count).map(|n| format!(" xmlns:p{n}='u'")).collect() };
    let head = "<message to='a@field.example' from='b@hq.example' id='1' type='chat'";
    let deep = |count: usize| format!("{}{}", many("<a>", count), many("</a>", count));
    let rows = [
        (format!("{head}>{}</message>", deep(64)), "nested"),
        (format!("{head}>{}</message>", deep(20_000)), "nested"),
        (format!("{head}>{}</message>", many("<a/>", 8192)), "elements"),
        (format!("{head}><a{}/>x</message>", spread(65)), "attributes"),
        (format!("{head}{}><a/></message>", spread(61)), "attributes"),
        (format!("{head}><a{}/></message>", declared(65)), "declarations"),
        (format!("{head}><a{}><b xmlns:q='u'/></a></message>", declared(61)), "declarations"),
        (format!("{head}><a b='{}'/></message>", many("x", 8193)), "value"),
        (format!("{head}><a b='{}'/></message>", many("x", 200_000)), "value"),
        (format!("{head} b='{}'/>", many("x", 8193)), "value"),
        (format!("{head}><{}/></message>", many("a", 257)), "name"),
        (format!("{head}><a {}=''/></message>", many("a", 257)), "name"),
        (format!("{head}><a xmlns='{}'/></message>", many("a", 257)), "namespace"),
        (format!("<message{} {}/>", spread(65), &head[9..]), "attributes"),
        (format!("<message b='{}' xmlns='jabber:server' {}/>", many("x", 8193), &head[9..]), "value"),
    ];
    for (text, what) in rows {
        let stream = format!("{OPEN}{text} <ok/><x:no/>");
        for pieces in [1, 1000, usize::MAX] {
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(pieces).collect();
            let (items, fault) = read(&pieces, ReaderLimits::LAN, false);
            assert!(matches!(&fault, Some(XmppFault::UndeclaredPrefix(_))), "{what}: {fault:?}");
            let [Item::Header(_), Item::Skipped(skipped), Item::Element(ok)] = &items[..] else {
                panic!("{what}: {items:?}")
            };
            assert!(skipped.fault.is_limit() && skipped.fault.to_string().contains(what), "{what}: {}", skipped.fault);
            let head = skipped.head.as_ref().unwrap();
            assert!(head.is("message", ns::SERVER) && head.nodes().next().is_none(), "{what}");
            for (name, value) in [("to", "a@field.example"), ("from", "b@hq.example"), ("id", "1"), ("type", "chat")] {
                assert_eq!(head.attr(name), Some(value), "{what}");
            }
            assert!(ok.is("ok", ns::SERVER), "{what}: nothing of its declarations stays");
        }
    }
    // Too much in all, XML that is broken inside, and a header, end the stream as ever.
    for (text, why) in [
        (format!("{head}><body>{}</body></message><ok/>", many("x", 524_288)), "more than 524288 octets"),
        (format!("{head}>{}{}", many("<a/>", 9000), many("y", 600_000)), "more than 524288 octets"),
        (format!("{head}>{}</message></b>", many("<a/>", 9000)), "not well formed"),
        (format!("{head}>{}</iq>", many("<a/>", 9000)), "not well formed"),
    ] {
        let (items, fault) = whole(&format!("{OPEN}{text}"));
        assert!(fault.clone().unwrap().to_string().starts_with(why), "{fault:?}");
        assert!(!items.iter().any(|item| matches!(item, Item::Element(_))));
    }
    // Over radio a larger one is passed over too.
    let large = format!("{head}><body>{}</body></message><ok/>", many("x", 100_000));
    let (items, fault) = read(&[large.as_bytes()], ReaderLimits::HF, true);
    assert!(matches!(&items[..], [Item::Skipped(_), Item::Element(_)]) && fault.is_none(), "{fault:?}");
    for over in [0, 1] {
        let body = "x".repeat((64 << 10) - head.len() - "><body></body></message>".len() + over);
        let text = format!("{head}><body>{body}</body></message><ok/>");
        let (items, fault) = read(&[text.as_bytes()], ReaderLimits::HF, true);
        assert!(fault.is_none(), "{fault:?}");
        assert_eq!((items.len(), matches!(items[0], Item::Skipped(_))), (2, over == 1));
    }
}

#[test]
fn input_that_nobody_takes_is_bounded() {
    let mut reader = StreamReader::new(ReaderLimits::LAN);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..5 {
        reader.read(&piece);
    }
    assert_eq!(reader.next(), Err(XmppFault::TooLarge { limit: READER_INPUT_OCTETS_MAX }));
    assert!(reader.into_rest().len() <= READER_INPUT_OCTETS_MAX);
}

#[test]
fn stanzas_are_counted_one_by_one_and_white_space_between_them_is_free() {
    let limits = ReaderLimits { stanza_octets: 1000, elements: 10, skipped_octets: 0 };
    let stanza = format!("<m>{}<a/><a/><a/></m>{}", "x".repeat(800), " ".repeat(9000));
    let stream = format!("{OPEN}{}", stanza.repeat(20));
    let (items, fault) = read(&[stream.as_bytes()], limits, false);
    assert_eq!((items.len(), fault), (21, None));
}

#[test]
fn a_headless_stream_needs_no_header_and_passes_a_declaration_over() {
    let stanza = "<message><body>x</body></message>";
    let rows = [
        (stanza.to_owned(), 1),
        (format!(" \r\n{stanza}{stanza}"), 2),
        (format!("<?xml version='1.0' encoding='UTF-8'?>{stanza}"), 1),
        (format!("  <?xml version='1.0'?>\n{stanza}</stream:stream>"), 2),
        (format!("{stanza}<stream:error/>"), 2),
        ("<".to_owned(), 0),
        (String::new(), 0),
    ];
    for (text, items) in rows {
        let got = read(&[text.as_bytes()], ReaderLimits::HF, true);
        assert_eq!((got.0.len(), &got.1), (items, &None), "{text}");
        if let Some(Item::Element(element)) = got.0.first() {
            assert!(element.is("message", ns::SERVER));
        }
        let bytewise: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytewise, ReaderLimits::HF, true), got, "{text}");
    }
}

#[test]
fn the_longest_declaration_is_the_same_whole_and_octet_by_octet() {
    for filler in 115..130 {
        let text = format!("<?xml{}?><message/>", " ".repeat(filler));
        let bytewise: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        let whole = read(&[text.as_bytes()], ReaderLimits::HF, true);
        assert_eq!(whole.0.len(), usize::from(5 + filler <= DECLARATION_OCTETS_MAX), "{filler}");
        assert_eq!(read(&bytewise, ReaderLimits::HF, true), whole, "{filler}");
    }
}

//= xmpp/LINK-005
#[test]
fn what_has_no_place_on_a_headless_stream_is_a_fault() {
    let declaration_without_end = format!("<?xml {}", "x".repeat(200));
    for text in [
        "<?xml version='1.0'?><?xml version='1.0'?><a/>",
        "<a/><?xml version='1.0'?>",
        "<db:result/>",
        "<?pi?>",
        "<!-- c -->",
        declaration_without_end.as_str(),
    ] {
        let (_, fault) = read(&[text.as_bytes()], ReaderLimits::HF, true);
        assert!(fault.is_some(), "{text}");
    }
    let header = "<stream:stream xmlns='jabber:server' version='1.0'><message/>";
    assert_eq!(read(&[header.as_bytes()], ReaderLimits::HF, true), (vec![], Some(XmppFault::SecondHeader)));
}

#[test]
fn it_knows_whether_it_is_inside_something() {
    let mut reader = StreamReader::new(ReaderLimits::LAN);
    assert!(!reader.is_inside());
    reader.read(OPEN.as_bytes());
    assert!(matches!(reader.next(), Ok(Some(Item::Header(_)))));
    assert!(!reader.is_inside());
    reader.read(b"<mess");
    assert_eq!(reader.next(), Ok(None));
    assert!(reader.is_inside());
    reader.read(b"age/>");
    assert!(matches!(reader.next(), Ok(Some(Item::Element(_)))));
    assert!(!reader.is_inside());
}

#[test]
fn what_follows_in_the_same_read_is_kept_for_the_next_reader() {
    let mut reader = StreamReader::new(ReaderLimits::LAN);
    reader.read(format!("{OPEN}<auth/>{OPEN}").as_bytes());
    assert!(matches!(reader.next(), Ok(Some(Item::Header(_)))));
    assert!(matches!(reader.next(), Ok(Some(Item::Element(_)))));
    assert_eq!(&reader.into_rest()[..], OPEN.as_bytes());
}

/// Octets that a stream may well contain, and some that it may not.
fn pieces() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "<message to='a@b' from='c@d'>",
        "</message>",
        "<body>",
        "</body>",
        "<a xmlns='u'>",
        "</a>",
        "<p:b xmlns:p='v'/>",
        "text",
        " ",
        "\r\n",
        "&amp;",
        "&#x41;",
        "<![CDATA[",
        "]]>",
        "<x ",
        "y='1'",
        "/>",
        ">",
        "é",
        "\u{1f600}",
        "<!--",
        "</stream:stream>",
        "<?",
        "'",
        "\"",
        "&bad;",
    ]);
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

/// Which of two faults in one text is found first may differ; that there is one may not.
fn same(whole: &(Vec<Item>, Option<XmppFault>), bytewise: &(Vec<Item>, Option<XmppFault>)) -> bool {
    whole.0 == bytewise.0 && whole.1.is_some() == bytewise.1.is_some()
}

proptest! {
    #[test]
    fn octet_by_octet_reads_as_whole(body in pieces(), headless: bool) {
        let stream = if headless { body } else { format!("{OPEN}{body}") };
        let whole = read(&[stream.as_bytes()], ReaderLimits::LAN, headless);
        let bytewise: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        let bytewise = read(&bytewise, ReaderLimits::LAN, headless);
        prop_assert!(same(&whole, &bytewise), "{:?} {:?}", whole, bytewise);
    }

    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200), headless: bool) {
        // A bracket may begin the end of a CDATA section: the parser keeps the text before it until it knows more.
        prop_assume!(octets.last() != Some(&b']'));
        let bytewise: Vec<&[u8]> = octets.chunks(1).collect();
        let whole = read(&[&octets], ReaderLimits::LAN, headless);
        let bytewise = read(&bytewise, ReaderLimits::LAN, headless);
        prop_assert!(same(&whole, &bytewise), "{:?} {:?}", whole, bytewise);
    }
}

use super::*;
use crate::xmpp::limits::ReaderLimits;
use crate::xmpp::reader::{Item, StreamReader};
use crate::xmpp::writer::{Scope, StreamHeader, write_element, write_stream_header};

/// Both examples of XEP-0220.
//= xmpp/DBK-001
#[test]
fn keys_are_those_of_the_examples() {
    assert_eq!(
        key("s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F"),
        "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"
    );
    assert_eq!(
        key("d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25"),
        "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d"
    );
}

#[test]
fn every_part_of_a_key_counts() {
    let right = key("s", "r", "o", "i");
    for other in [key("x", "r", "o", "i"), key("s", "x", "o", "i"), key("s", "r", "x", "i"), key("s", "r", "o", "x")] {
        assert!(!same(&right, &other));
    }
    assert!(same(&right, &key("s", "r", "o", "i")));
    assert!(!same(&right, &right[..63]));
}

fn read(text: &str) -> Option<Dialback> {
    let mut reader = StreamReader::new(ReaderLimits::LAN);
    reader.read(&write_stream_header(&StreamHeader {
        namespace: ns::SERVER,
        dialback: true,
        ..StreamHeader::default()
    }));
    reader.read(text.as_bytes());
    reader.next().unwrap();
    match reader.next().unwrap() {
        Some(Item::Element(element)) => Dialback::parse(&element),
        _ => None,
    }
}

#[test]
fn elements_both_ways() {
    let (from, to) = ("a.example".to_owned(), "b.example".to_owned());
    let error = Verdict::Error("item-not-found".into());
    let rows = [
        (
            Dialback::Result { from: from.clone(), to: to.clone(), key: "k".into() },
            "<db:result to='b.example' from='a.example'>k</db:result>",
        ),
        (
            Dialback::ResultAnswer { from: from.clone(), to: to.clone(), verdict: Verdict::Valid },
            "<db:result to='b.example' from='a.example' type='valid'/>",
        ),
        (
            Dialback::Verify { from: from.clone(), to: to.clone(), id: "i".into(), key: "k".into() },
            "<db:verify to='b.example' from='a.example' id='i'>k</db:verify>",
        ),
        (
            Dialback::VerifyAnswer { from: from.clone(), to: to.clone(), id: "i".into(), verdict: Verdict::Invalid },
            "<db:verify to='b.example' from='a.example' id='i' type='invalid'/>",
        ),
        (
            Dialback::ResultAnswer { from, to, verdict: error },
            "<db:result to='b.example' from='a.example' type='error'><error xmlns='jabber:server' type='cancel'>\
             <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
        ),
    ];
    for (dialback, text) in rows {
        assert_eq!(read(text), Some(dialback.clone()), "{text}");
        let written = write_element(&dialback.element(), Scope::SERVER);
        assert_eq!(read(&String::from_utf8_lossy(&written)), Some(dialback));
    }
}

//= xmpp/DBK-007
#[test]
fn what_servers_add_is_ignored_and_what_means_nothing_refused() {
    assert_eq!(
        read("<db:result id='x' from='A.example' to='b.example' type='valid'>the old key</db:result>"),
        Some(Dialback::ResultAnswer { from: "a.example".into(), to: "b.example".into(), verdict: Verdict::Valid })
    );
    let foreign = "<db:result from='a.example' to='b.example' type='error'><error type='cancel'><gone \
                   xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>";
    assert!(matches!(read(foreign), Some(Dialback::ResultAnswer { verdict: Verdict::Error(_), .. })));
    for text in [
        "<db:result from='a.example'>k</db:result>",
        "<db:result from='x@a.example' to='b.example'>k</db:result>",
        "<db:result from='a.example/x' to='b.example'>k</db:result>",
        "<db:result from='a.example' to='b.example' type='perhaps'/>",
        "<db:verify from='a.example' to='b.example'>k</db:verify>",
        "<db:other from='a.example' to='b.example'/>",
        "<result from='a.example' to='b.example'/>",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

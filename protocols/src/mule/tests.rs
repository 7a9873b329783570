use proptest::prelude::*;

use super::*;
use crate::bytes::unhex;
use crate::compress::cdt::tests::mutated;
use crate::message::address::Mailbox;
use crate::message::mail::{BodyType, MailParameters, Notify, Recipient, Ret};
use crate::message::precedence::MtPriority;
use crate::random::Seeded;

macro_rules! vector {
    ($name:literal) => {
        unhex(include_str!(concat!("../../../conformance/vectors/acp142/", $name, ".hex"))).unwrap()
    };
}

#[test]
fn the_example_of_the_rfc() {
    let octets = vector!("mule_payload");
    let payload = decode(octets.clone()).unwrap();
    let mail = &payload.envelope.mail;
    assert_eq!(payload.envelope.sender, Mailbox::parse("from@example.com").ok());
    assert_eq!((mail.mt_priority, mail.body), (MtPriority::parse("4"), Some(BodyType::EightBitMime)));
    assert_eq!((mail.ret, mail.envid.as_deref(), mail.size), (Some(Ret::Hdrs), Some("QQ314159"), None));
    let recipients: Vec<_> = payload.envelope.recipients.iter().map(|r| (r.to.as_str(), r.orcpt.as_deref())).collect();
    assert_eq!(recipients, [("to1@example.net", Some("rfc822;Bob@ent.example.net")), ("to2@example.net", None)]);
    assert_eq!(payload.envelope.recipients[1].notify, Some(Notify { success: true, failure: true, delay: false }));
    assert!(payload.body.starts_with(b"From: from@example.com\r\n"));
    assert_eq!((payload.refused.len(), payload.notes.len()), (0, 0));
    assert_eq!(encode(&payload.envelope, &payload.body), octets);
    assert_eq!(unwrap(&vector!("cdt_mule"), 1 << 20), Ok(payload));
}

#[test]
fn a_null_sender_and_a_binary_body_survive() {
    let octets = vector!("mule_payload_dsn_binary");
    let payload = decode(octets.clone()).unwrap();
    assert_eq!((payload.envelope.sender.as_ref(), payload.envelope.mail.body), (None, Some(BodyType::BinaryMime)));
    assert_eq!(payload.envelope.mail.mt_priority, MtPriority::parse("4"));
    assert!(payload.body.ends_with(b"\r\n\r\n.dot line\r\n.\r\n\0\xffbare\nLF"));
    assert_eq!(encode(&payload.envelope, &payload.body), octets);
    assert_eq!(unwrap(&vector!("cdt_mule_dsn_binary"), 1 << 20), Ok(payload));
}

#[test]
fn parameters_nobody_knows_are_copied_and_absent_priority_stays_absent() {
    let text = "<a@b> BODY=BINARY X-FOO=1 RRVS=x;y\r\n<c@d> NOTIFY=NEVER HOLD\r\n\r\n";
    let payload = decode(text.as_bytes()).unwrap();
    assert_eq!((payload.envelope.mail.mt_priority, payload.envelope.mail.body), (None, Some(BodyType::BinaryMime)));
    let again = encode(&payload.envelope, b"");
    assert_eq!(again, b"<a@b> BODY=BINARYMIME X-FOO=1 RRVS=x;y\r\n<c@d> NOTIFY=NEVER HOLD\r\n\r\n");
}

/// Hostile 9: commands and addresses in the body are text.
#[test]
fn the_body_is_never_read() {
    let body = b"x\r\n.\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<evil@y>\r\n\r\n<evil@z>\r\nQUIT\r\n";
    let payload = decode([&b"<a@b>\r\n<c@d>\r\n\r\n"[..], body].concat()).unwrap();
    assert_eq!((payload.envelope.recipients.len(), &payload.body[..]), (1, &body[..]));
}

/// Hostile 10 to 12.
#[test]
fn payloads_that_are_refused() {
    let domain = format!("<a@b>\r\n<c@{}>\r\n<c@d>\r\n\r\n", "d".repeat(65536));
    for (octets, fault) in [
        (&b""[..], MuleFault::Line { line: 1 }),
        (b"<a@b>", MuleFault::Line { line: 1 }),
        (b"<a@b>\n<c@d>\n\n", MuleFault::Line { line: 1 }),
        (b"<a@b>\r\n\r\nbody", MuleFault::NoRecipient),
        (b"<a@b>\r\n<>\r\n\r\nbody", MuleFault::NoRecipient),
        (b"<a@b>\r\n<c@d>\r\n", MuleFault::Line { line: 3 }),
        (b"MAIL FROM:<a@b>\r\n<c@d>\r\n\r\n", MuleFault::Sender(GrammarFault::Syntax("MAIL FROM:<address>"))),
        (b"<a\n@b>\r\n<c@d>\r\n\r\n", MuleFault::Sender(GrammarFault::Octet(b'\n'))),
        (domain.as_bytes(), MuleFault::Line { line: 2 }),
    ] {
        assert_eq!(
            decode(octets.to_vec()),
            Err(fault),
            "{:?}",
            String::from_utf8_lossy(&octets[..octets.len().min(40)])
        );
    }
    let many = format!("<>\r\n{}\r\n", "<c@d>\r\n".repeat(RECIPIENTS_MAX + 1));
    assert_eq!(decode(many), Err(MuleFault::TooManyRecipients));
    let p1 = unwrap(&vector!("cdt_p1_stub"), 100);
    assert_eq!(p1, Err(MuleFault::ContentType(ContentType::P1)));
}

#[test]
fn a_wrong_recipient_costs_the_others_nothing() {
    let text =
        "<a@b> MT-PRIORITY=11\r\n<\"x\ry\"@d>\r\n<c@d> ORCPT=rfc822;a+0D+0Ab\r\n<e@f> NOTIFY=SOMETIMES\r\n\r\nbody";
    let payload = decode(text.as_bytes()).unwrap();
    assert_eq!(payload.envelope.recipients.len(), 2);
    assert_eq!(payload.envelope.recipients[0].orcpt.as_deref(), Some("rfc822;a+0D+0Ab"));
    assert_eq!(payload.refused, [("<\"x\ry\"@d>".to_owned(), GrammarFault::Octet(b'\r'))]);
    assert_eq!(payload.notes, [GrammarFault::ParameterValue("MT-PRIORITY"), GrammarFault::ParameterValue("NOTIFY")]);
}

#[test]
fn a_thousand_mutations_of_each_vector_do_no_harm() {
    let mut random = Seeded::new(11);
    for octets in [vector!("mule_payload"), vector!("mule_payload_dsn_binary")] {
        for _ in 0..1000 {
            if let Ok(payload) = decode(mutated(&octets, &mut random)) {
                let again = decode(encode(&payload.envelope, &payload.body)).unwrap();
                assert_eq!((again.envelope, again.body), (payload.envelope, payload.body));
            }
        }
    }
}

proptest! {
    #[test]
    fn round_trip(
        senders in proptest::option::of("[a-z]{1,9}@[a-z]{1,9}"),
        to in proptest::collection::vec("[a-zü]{1,9}@[a-z]{1,9}", 1..5),
        priority in proptest::option::of(-9i8..=9),
        body: Vec<u8>,
    ) {
        let envelope = Envelope {
            sender: senders.and_then(|text| Mailbox::parse(&text).ok()),
            mail: MailParameters {
                mt_priority: priority.and_then(|value| MtPriority::try_from(value).ok()),
                smtputf8: true,
                ..MailParameters::default()
            },
            recipients: to.iter().filter_map(|text| Mailbox::parse(text).ok()).map(Recipient::plain).collect(),
        };
        let payload = unwrap(&wrap(&envelope, &body).unwrap(), 1 << 20).unwrap();
        prop_assert_eq!((payload.envelope, &payload.body[..]), (envelope, &body[..]));
    }
}

use mail_parser::{Message, MessageParser};
use proptest::prelude::*;

use super::*;
use crate::message::mail::{MailParameters, Recipient};

const SEVEN: Extensions = Extensions::NONE;
const EIGHT: Extensions = Extensions { eight_bit_mime: true, ..Extensions::NONE };

fn envelope(to: &str, smtputf8: bool) -> Envelope {
    Envelope {
        sender: None,
        mail: MailParameters { smtputf8, ..MailParameters::default() },
        recipients: vec![Recipient::plain(Mailbox::parse(to).unwrap())],
    }
}

fn converted<'a>(mail: &'a [u8], target: &Extensions) -> Result<Converted<'a>, ConvertFault> {
    convert(mail, &envelope("a@b", false), target)
}

fn text(mail: &[u8], target: &Extensions) -> String {
    String::from_utf8(converted(mail, target).unwrap().octets.into_owned()).unwrap()
}

#[test]
fn what_fits_is_not_touched() {
    let plain = b"Subject: x\r\n\r\nplain\r\n";
    let eight = "Subject: x\r\n\r\nä\r\n".as_bytes();
    let binary = b"Subject: x\r\n\r\na\nb\0".as_slice();
    for (mail, target, body) in [
        (&plain[..], SEVEN, None),
        (eight, EIGHT, Some(BodyType::EightBitMime)),
        (eight, Extensions::SERVER, Some(BodyType::EightBitMime)),
        (binary, Extensions::SERVER, Some(BodyType::BinaryMime)),
    ] {
        let found = converted(mail, &target).unwrap();
        assert!(matches!(found.octets, Cow::Borrowed(_)));
        assert_eq!(found.body, body);
    }
}

#[test]
fn a_mail_without_mime_becomes_quoted_printable() {
    let mail = "Subject: x\r\n\r\nä=1 \r\n".as_bytes();
    let expected = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4=3D1=20\r\n";
    assert_eq!(text(mail, &SEVEN), expected);
}

const MIXED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\ngrün\r\n--x\r\nContent-Type: application/pkcs7-mime\r\n\r\n\u{80}\u{ff}\r\n\
    --x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: inner\r\n\r\nblau ü\r\n--x\r\n\
    Content-Type: text/plain\r\n\r\nplain\r\n--x--\r\nepilogue\r\n";

#[test]
fn each_part_is_encoded_by_its_kind() {
    let expected = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\
        Content-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BCn\r\n--x\r\nContent-Type: application/pkcs7-mime\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nwoDDvw==\r\n--x\r\nContent-Type: message/rfc822\r\n\
        Content-Transfer-Encoding: 7bit\r\n\r\nSubject: inner\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        blau =C3=BC\r\n--x\r\nContent-Type: text/plain\r\n\r\nplain\r\n--x--\r\nepilogue\r\n";
    assert_eq!(text(MIXED.as_bytes(), &SEVEN), expected);
}

#[test]
fn binary_becomes_base64_and_long_lines_quoted_printable() {
    let binary = b"MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n\r\xff";
    let expected = "MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAoN/w==";
    assert_eq!(text(binary, &EIGHT), expected);
    let long = format!("Content-Type: text/plain\r\n\r\n{}\r\n", "x".repeat(3000));
    let found = text(long.as_bytes(), &EIGHT);
    assert!(found.contains("quoted-printable") && found.lines().all(|line| line.len() <= 76), "{found}");
}

#[test]
fn signatures_are_not_broken() {
    let signed = |part: &str| {
        format!(
            "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n{part}\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--s--\r\n"
        )
    };
    assert_eq!(converted(signed("ä").as_bytes(), &SEVEN), Err(ConvertFault::Signed));
    let mixed =
        format!("Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n{}--m\r\n\r\nü\r\n--m--\r\n", signed("ascii"));
    let found = text(mixed.as_bytes(), &SEVEN);
    assert!(found.contains(&signed("ascii")) && found.contains("=C3=BC"), "{found}");
    let dkim = "DKIM-Signature: v=1\r\nSubject: x\r\n\r\nä\r\n";
    assert_eq!(converted(dkim.as_bytes(), &SEVEN), Err(ConvertFault::Signed));
    assert!(converted(dkim.as_bytes(), &EIGHT).is_ok());
}

#[test]
fn what_is_not_clear_is_refused() {
    for mail in [
        "Content-Type: multipart/mixed; boundary=x\r\n\r\npreämble\r\n--x\r\n\r\na\r\n--x--\r\n",
        "Content-Transfer-Encoding: base64\r\n\r\nää\r\n",
        "Content-Type: multipart/mixed; boundary=none\r\n\r\nää\r\n",
        "Content-Type: text/plain\nX: y\r\n\r\nä\r\n",
    ] {
        assert_eq!(converted(mail.as_bytes(), &SEVEN), Err(ConvertFault::Structure), "{mail}");
    }
}

#[test]
fn names_and_subjects_become_encoded_words() {
    let mail = "From: \"Jürgen, X\" <j@x.test>\r\nTo: plain@x.test, Zoë\r\n <z@x.test>\r\nSubject: Grüße\r\n\r\nx\r\n";
    let found = convert(mail.as_bytes(), &envelope("a@b", true), &EIGHT).unwrap();
    let expected = "From: =?utf-8?B?SsO8cmdlbiwgWA==?= <j@x.test>\r\nTo: plain@x.test,\r\n =?utf-8?B?Wm/Dqw==?= <z@x.test>\r\n\
                    Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\r\nx\r\n";
    assert_eq!((std::str::from_utf8(&found.octets), found.body, found.smtputf8), (Ok(expected), None, false));
    let long = format!("Subject: {}\r\n\r\n", "ü".repeat(100));
    let found = convert(long.as_bytes(), &envelope("a@b", true), &SEVEN).unwrap().octets.into_owned();
    assert!(found.split(|octet| *octet == b'\n').all(|line| line.len() < 85));
    let message = MessageParser::default().parse(&found).unwrap();
    assert_eq!(message.subject(), Some("ü".repeat(100).as_str()));
}

#[test]
fn addresses_outside_ascii_are_refused() {
    let mail = b"Subject: x\r\n\r\nx\r\n";
    assert_eq!(convert(mail, &envelope("ü@b", true), &EIGHT), Err(ConvertFault::Address));
    assert_eq!(convert(mail, &envelope("ü@b", true), &Extensions::SERVER).map(|found| found.smtputf8), Ok(true));
    assert!(!convert(mail, &envelope("a@b", true), &EIGHT).unwrap().smtputf8);
    for header in [
        "X-Security-Label: GEHEIM ü",
        "SIO-Label: marking=ü",
        "From: <jürgen@x>",
        "From: ü: a@b;",
        "Content-Type: text/plain; name=ü",
        "To: (ü) a@b",
    ] {
        let mail = format!("{header}\r\n\r\nx\r\n");
        let found = convert(mail.as_bytes(), &envelope("a@b", true), &EIGHT);
        assert!(matches!(found, Err(ConvertFault::Field(_))), "{header} {found:?}");
        assert_eq!(found.unwrap_err().status(), (5, 6, 7));
    }
}

fn leaves(message: &Message<'_>) -> Vec<Vec<u8>> {
    message.parts.iter().filter(|part| part.sub_parts().is_none()).map(|part| part.contents().to_vec()).collect()
}

proptest! {
    #[test]
    fn the_content_is_the_same(parts in proptest::collection::vec(("[a-z=ä \t]{0,120}(\r\n[.ü -~]{0,90}){0,4}", any::<bool>()), 1..4)) {
        let mut mail = String::from("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"qq\"\r\n\r\n");
        for (part, text) in &parts {
            let kind = if *text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
            mail.push_str(&format!("--qq\r\nContent-Type: {kind}\r\n\r\n{part}\r\n"));
        }
        mail.push_str("--qq--\r\n");
        let before = MessageParser::default().parse(mail.as_bytes()).unwrap();
        let found = converted(mail.as_bytes(), &SEVEN).unwrap();
        let after = MessageParser::default().parse(&*found.octets).unwrap();
        prop_assert!(found.octets.is_ascii());
        prop_assert_eq!(leaves(&before), leaves(&after));
    }

    #[test]
    fn no_mail_panics_and_the_outcome_always_fits(mail in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b':')], 0..200)) {
        let start = "Content-Type: multipart/mixed; boundary=-\r\n\r\n---\r\n".as_bytes();
        for mail in [mail.clone(), [start, &mail].concat()] {
            if let Ok(found) = converted(&mail, &SEVEN) {
                let end = Header::scan(&found.octets).end;
                prop_assert_eq!(Needs::of(&found.octets[end..]), Needs::default());
            }
        }
    }
}

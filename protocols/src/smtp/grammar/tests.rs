//! Tables for every parameter, a round trip, and a comparison with smtp-proto where that is right.

use proptest::prelude::*;

use super::*;
use crate::message::mail::{BodyType, ByMode, DeliverBy, Envelope, Notify, Ret};
use crate::message::precedence::MtPriority;

fn read(line: &str) -> Result<Command, GrammarFault> {
    command(line.as_bytes(), &Extensions::SERVER, "hq.test")
}

fn parameters(text: &str) -> Result<MailParameters, GrammarFault> {
    match read(&format!("MAIL FROM:<a@b> {text}"))? {
        Command::Mail(_, parameters) => Ok(*parameters),
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands() {
    for (line, expected) in [
        ("EHLO a.test", Command::Ehlo("a.test".into())),
        ("helo [1.2.3.4]", Command::Helo("[1.2.3.4]".into())),
        ("DATA", Command::Data),
        ("data  ", Command::Data),
        ("BDAT 0 LAST", Command::Bdat { octets: 0, last: true }),
        ("BDAT 86 last", Command::Bdat { octets: 86, last: true }),
        ("BDAT 9223372036854775808", Command::Bdat { octets: 1 << 63, last: false }),
        ("NOOP anything at all", Command::Noop),
        ("STARTTLS", Command::StartTls),
        ("AUTH plain AGE=", Command::Auth { mechanism: "PLAIN".into(), initial: Some("AGE=".into()) }),
        ("MAIL FROM:<>", Command::Mail(None, Box::default())),
        ("mail from: <>", Command::Mail(None, Box::default())),
        (
            "RCPT TO:<Postmaster>",
            Command::Rcpt(Box::new(Recipient::plain(Mailbox::parse("postmaster@hq.test").unwrap()))),
        ),
        ("RCPT TO:<@x.test:u@z.test>", Command::Rcpt(Box::new(Recipient::plain(Mailbox::parse("u@z.test").unwrap())))),
    ] {
        assert_eq!(read(line), Ok(expected), "{line}");
    }
}

#[test]
fn refused_lines_and_their_codes() {
    for (line, code, detail) in [
        ("", 500, (5, 1)),
        ("FOO", 500, (5, 1)),
        ("DATA x", 501, (5, 4)),
        ("RSET x", 501, (5, 4)),
        ("EHLO", 501, (5, 4)),
        ("EHLO a b", 501, (5, 4)),
        ("EHLO ä.test", 501, (5, 4)),
        ("MAIL", 501, (5, 4)),
        ("MAIL FROM:a@b", 501, (5, 4)),
        ("MAIL FROM:<a@b>RET=FULL", 501, (5, 4)),
        ("MAIL FROM:<a b@c>", 553, (1, 7)),
        ("MAIL FROM:<ä@b>", 553, (6, 7)),
        ("MAIL FROM:<a@b> FOO=1", 555, (5, 4)),
        ("MAIL FROM:<a@b> =1", 501, (5, 4)),
        ("MAIL FROM:<a@b> SIZE=", 501, (5, 4)),
        ("MAIL FROM:<a@b> SIZE=-1", 501, (5, 4)),
        ("MAIL FROM:<a@b> SIZE=99999999999999999999", 501, (5, 4)),
        ("MAIL FROM:<a@b> BODY=BINARY", 501, (5, 4)),
        ("MAIL FROM:<a@b> SMTPUTF8=1", 501, (5, 4)),
        ("MAIL FROM:<a@b> RET=ALL", 501, (5, 4)),
        ("MAIL FROM:<a@b> ENVID=a+0D+0Ab", 501, (5, 4)),
        ("MAIL FROM:<a@b> BY=0;R", 501, (5, 4)),
        ("MAIL FROM:<a@b> BY=9999999999;N", 501, (5, 4)),
        ("MAIL FROM:<a@b> BY=5", 501, (5, 4)),
        ("MAIL FROM:<a@b> BY=+-5;N", 501, (5, 4)),
        ("MAIL FROM:<a@b> MT-PRIORITY", 501, (5, 2)),
        ("MAIL FROM:<a@b> MT-PRIORITY=10", 501, (5, 2)),
        ("MAIL FROM:<a@b> MT-PRIORITY=+4", 501, (5, 2)),
        ("MAIL FROM:<a@b> MT-PRIORITY=-0", 501, (5, 2)),
        ("MAIL FROM:<a@b> MT-PRIORITY=4 MT-PRIORITY=4", 501, (5, 2)),
        ("RCPT TO:<>", 553, (1, 3)),
        ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", 501, (5, 4)),
        ("RCPT TO:<a@b> ORCPT=noaddress", 501, (5, 4)),
        ("RCPT TO:<a@b> SIZE=1", 555, (5, 4)),
        ("BDAT", 501, (5, 4)),
        ("BDAT x", 501, (5, 4)),
        ("BDAT -1", 501, (5, 4)),
        ("BDAT +1", 501, (5, 4)),
        ("BDAT 18446744073709551616", 501, (5, 4)),
        ("BDAT 1 FIRST", 501, (5, 4)),
        ("NOOP\tx", 500, (5, 2)),
    ] {
        let reply = read(line).unwrap_err().reply();
        assert_eq!((reply.code(), reply.enhanced()), (code, Some((5, detail.0, detail.1))), "{line}");
    }
    assert_eq!(command(b"MAIL FROM:<\xff@b>", &Extensions::SERVER, "h"), Err(GrammarFault::Octet(0xff)));
}

#[test]
fn mail_parameters() {
    let empty = MailParameters::default;
    for (text, expected) in [
        ("", empty()),
        ("SIZE=0", MailParameters { size: Some(0), ..empty() }),
        ("BODY=8bitmime", MailParameters { body: Some(BodyType::EightBitMime), ..empty() }),
        ("BODY=BINARYMIME", MailParameters { body: Some(BodyType::BinaryMime), ..empty() }),
        ("SMTPUTF8 RET=HDRS", MailParameters { smtputf8: true, ret: Some(Ret::Hdrs), ..empty() }),
        ("ENVID=QQ+2B1", MailParameters { envid: Some("QQ+2B1".into()), ..empty() }),
        ("mt-priority=-9", MailParameters { mt_priority: MtPriority::parse("-9"), ..empty() }),
        ("MT-PRIORITY=0", MailParameters { mt_priority: MtPriority::parse("0"), ..empty() }),
        (
            "BY=-5;NT",
            MailParameters { by: Some(DeliverBy { seconds: -5, mode: ByMode::Notify, trace: true }), ..empty() },
        ),
        (
            "BY=120;r",
            MailParameters { by: Some(DeliverBy { seconds: 120, mode: ByMode::Return, trace: false }), ..empty() },
        ),
        ("AUTH=<>", MailParameters { auth: Some("<>".into()), ..empty() }),
    ] {
        assert_eq!(parameters(text), Ok(expected), "{text}");
    }
}

#[test]
fn recipient_parameters_are_kept_as_written() {
    for (text, notify, orcpt) in [
        ("NOTIFY=NEVER", Some(Notify::NEVER), None),
        ("NOTIFY=success,DELAY", Some(Notify { success: true, failure: false, delay: true }), None),
        ("ORCPT=rfc822;Bob@x.test", None, Some("rfc822;Bob@x.test")),
        ("ORCPT=x400;/G=A/S=B/C=GB/", None, Some("x400;/G=A/S=B/C=GB/")),
        // Hostile 12: the CRLF stays encoded.
        ("ORCPT=rfc822;a+0D+0ARCPT+20TO:<x>", None, Some("rfc822;a+0D+0ARCPT+20TO:<x>")),
        ("ORCPT=utf-8;\\x{e4}@x.test", None, Some("utf-8;\\x{e4}@x.test")),
    ] {
        let expected =
            Recipient { notify, orcpt: orcpt.map(str::to_owned), ..Recipient::plain(Mailbox::parse("a@b").unwrap()) };
        assert_eq!(read(&format!("RCPT TO:<a@b> {text}")), Ok(Command::Rcpt(Box::new(expected))), "{text}");
    }
}

#[test]
fn extensions_that_are_off_are_unknown() {
    for line in ["BDAT 1", "STARTTLS", "AUTH PLAIN"] {
        assert_eq!(command(line.as_bytes(), &Extensions::NONE, "h"), Err(GrammarFault::UnknownCommand));
    }
    for line in ["MAIL FROM:<a@b> SIZE=1", "MAIL FROM:<a@b> MT-PRIORITY=4", "RCPT TO:<a@b> NOTIFY=NEVER"] {
        let fault = command(line.as_bytes(), &Extensions::NONE, "h").unwrap_err();
        assert!(matches!(fault, GrammarFault::ParameterUnknown(_)), "{line}");
    }
}

#[test]
fn mule_notes_what_smtp_refuses() {
    let text = "<a@b> MT-PRIORITY=12 BODY=BINARY FOO=bar HOLDFOR=1 RET=HDRS RET=FULL";
    let (sender, mail, faults) = mail_arguments(text, &Extensions::MULE).unwrap();
    assert_eq!(sender, Mailbox::parse("a@b").ok());
    assert_eq!((mail.mt_priority, mail.body, mail.ret), (None, Some(BodyType::BinaryMime), Some(Ret::Hdrs)));
    assert_eq!(mail.other, ["FOO=bar", "HOLDFOR=1"]);
    assert_eq!(faults, [GrammarFault::ParameterValue("MT-PRIORITY"), GrammarFault::ParameterTwice("RET")]);
    let line = mail_argument_line(sender.as_ref(), &mail, &Extensions::MULE);
    assert_eq!(line, "<a@b> BODY=BINARYMIME RET=HDRS FOO=bar HOLDFOR=1");
    assert_eq!(mail_argument_line(sender.as_ref(), &mail, &Extensions::NONE), "<a@b>");
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    prop_oneof![
        "[a-z0-9!#%+=_-]{1,12}(\\.[a-z]{1,5})?@[a-z]{1,8}(\\.[a-z]{2,4}){0,2}",
        "\"[a-z @<>.,:;]{1,10}\"@[a-z]{1,8}",
        "[a-zäöü]{1,8}@[a-zß]{1,8}",
        "[a-z]{1,8}@\\[[0-9]{1,3}\\.0\\.0\\.1\\]",
    ]
    .prop_filter_map("an address", |text| Mailbox::parse(&text).ok())
}

fn body_type() -> impl Strategy<Value = BodyType> {
    prop_oneof![Just(BodyType::SevenBit), Just(BodyType::EightBitMime), Just(BodyType::BinaryMime)]
}

fn deliver_by() -> impl Strategy<Value = DeliverBy> {
    (1i64..999_999_999, any::<bool>(), any::<bool>()).prop_map(|(seconds, notify, trace)| {
        let mode = if notify { ByMode::Notify } else { ByMode::Return };
        DeliverBy { seconds, mode, trace }
    })
}

prop_compose! {
    fn mail()(
        size in proptest::option::of(any::<u64>()),
        body in proptest::option::of(body_type()),
        ret in proptest::option::of(prop_oneof![Just(Ret::Full), Just(Ret::Hdrs)]),
        envid in proptest::option::of("[ -~]{1,30}"),
        priority in proptest::option::of(-9i8..=9),
        by in proptest::option::of(deliver_by()),
        auth in proptest::option::of("[a-z@]{1,10}"),
        other in proptest::collection::vec("X[A-Z]{1,5}=[a-z]{1,5}", 0..3),
    ) -> MailParameters {
        MailParameters {
            size, body, ret, by, auth, other,
            smtputf8: true,
            envid: envid.map(|text| xtext::encode(text.as_bytes())),
            mt_priority: priority.and_then(|value| MtPriority::try_from(value).ok()),
        }
    }
}

prop_compose! {
    fn recipient()(
        to in mailbox(),
        flags in proptest::option::of(any::<(bool, bool, bool)>()),
        orcpt in proptest::option::of("[ -~]{1,30}"),
    ) -> Recipient {
        Recipient {
            to,
            notify: flags.map(|(success, failure, delay)| Notify { success, failure, delay }),
            orcpt: orcpt.map(|text| format!("rfc822;{}", xtext::encode(text.as_bytes()))),
            other: Vec::new(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(sender in proptest::option::of(mailbox()), mail in mail(), recipient in recipient()) {
        let envelope = Envelope { sender, mail, recipients: vec![recipient] };
        let everything = Extensions { unknown: true, ..Extensions::SERVER };
        let line = mail_line(&envelope, &everything);
        let read = command(line.as_bytes(), &everything, "h");
        prop_assert_eq!(read, Ok(Command::Mail(envelope.sender.clone(), Box::new(envelope.mail.clone()))), "{}", line);
        let line = rcpt_line(&envelope.recipients[0], &everything);
        let read = command(line.as_bytes(), &everything, "h");
        prop_assert_eq!(read, Ok(Command::Rcpt(Box::new(envelope.recipients[0].clone()))), "{}", line);
    }

    #[test]
    fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = command(&line, &Extensions::SERVER, "h");
        let mut mail = b"MAIL FROM:<a@b> ".to_vec();
        mail.extend_from_slice(&line);
        let _ = command(&mail, &Extensions::MULE, "h");
    }

    /// smtp-proto is right about everything below; where it is wrong (see dependencies.md) our own tables decide.
    #[test]
    fn agrees_with_smtp_proto(
        size in 0usize..1 << 40, ret: bool, priority in -9i8..=9, seconds in 1i64..999_999, trace: bool,
    ) {
        let envelope = Envelope {
            sender: Mailbox::parse("a.b+c@hq.test").ok(),
            mail: MailParameters {
                size: Some(size as u64),
                body: Some(BodyType::EightBitMime),
                ret: Some(if ret { Ret::Full } else { Ret::Hdrs }),
                mt_priority: MtPriority::try_from(priority).ok(),
                by: Some(DeliverBy { seconds, mode: ByMode::Return, trace }),
                smtputf8: true,
                ..MailParameters::default()
            },
            recipients: Vec::new(),
        };
        let line = format!("{}\r\n", mail_line(&envelope, &Extensions::SERVER));
        let Ok(smtp_proto::Request::Mail { from }) = smtp_proto::Request::parse(&mut line.as_bytes().iter()) else {
            return Err(TestCaseError::fail(line));
        };
        prop_assert_eq!(&from.address, "a.b+c@hq.test");
        prop_assert_eq!((from.size, from.mt_priority, from.by), (size, i64::from(priority), seconds));
        let flags = [
            (smtp_proto::MAIL_RET_FULL, ret),
            (smtp_proto::MAIL_RET_HDRS, !ret),
            (smtp_proto::MAIL_BODY_8BITMIME, true),
            (smtp_proto::MAIL_SMTPUTF8, true),
            (smtp_proto::MAIL_BY_RETURN, true),
            (smtp_proto::MAIL_BY_TRACE, trace),
        ];
        for (flag, on) in flags {
            prop_assert_eq!(from.flags & flag != 0, on, "{}", flag);
        }
    }
}

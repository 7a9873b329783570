use proptest::prelude::*;

use super::media::Cover;
use super::*;
use crate::compress::cdt::tests::mutated;
use crate::message::address::Mailbox;
use crate::message::mail::{BodyType, MailParameters, Recipient};
use crate::message::precedence::MtPriority;
use crate::random::Seeded;
use crate::time::WallTime;

fn read_by(batch: &[u8], step: usize) -> Vec<Item> {
    let limits = BatchLimits { mail_octets: 5000, recipients: 5, mails: 3, faults: 10 };
    let mut reader = Reader::new("hq.test", limits);
    let mut items = Vec::new();
    for piece in batch.chunks(step) {
        reader.handle_read(piece);
        items.extend(std::iter::from_fn(|| reader.poll_item()));
    }
    reader.finish();
    items.extend(std::iter::from_fn(|| reader.poll_item()));
    items
}

/// A line per item: sender, recipients, refused recipients and body of a mail; the text of a fault.
fn read(batch: &str) -> Vec<String> {
    let items = read_by(batch.as_bytes(), 1000);
    assert_eq!(read_by(batch.as_bytes(), 1), items, "cutting matters");
    let address = |mailbox: &Option<Mailbox>| mailbox.as_ref().map_or("", Mailbox::as_str).to_owned();
    let mut lines = Vec::new();
    for item in items {
        lines.push(match item {
            Item::Mail(mail) => {
                let to: Vec<_> = mail.envelope.recipients.iter().map(|recipient| recipient.to.as_str()).collect();
                let (from, refused) = (address(&mail.envelope.sender), mail.refused.len());
                format!("{}: {from}>{}/{refused} {:?}", mail.number, to.join(","), String::from_utf8_lossy(&mail.body))
            }
            Item::Fault(fault) => fault.to_string(),
            Item::End => "end".to_owned(),
        });
    }
    lines
}

#[test]
fn batches() {
    const M: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    let long = format!("EHLO c\r\n{M}DATA\r\n\r\n{}.\r\n{M}DATA\r\nx\r\n.\r\n", "xyz\r\n".repeat(1001));
    let four = format!("{}QUIT\r\n", format!("{M}DATA\r\n.\r\n").repeat(4));
    let rcpt = format!("MAIL FROM:<>\r\n{}DATA\r\n.\r\n", "RCPT TO:<c@d>\r\n".repeat(6));
    let domain = format!("MAIL FROM:<>\r\nRCPT TO:<c@{}>\r\n", "d".repeat(65536));
    for (batch, expected) in [
        (&*format!("EHLO c\r\n{M}DATA\r\nhi\r\n.\r\nQUIT\r\n"), &["1: a@b>c@d/0 \"hi\\r\\n\"", "end"][..]),
        (&format!("HELO c\r\n{M}DATA\r\n..\r\n.\r\n"), &["1: a@b>c@d/0 \".\\r\\n\"", "end"]),
        (
            &format!("{M}RSET\r\n{M}RCPT TO:<e@f>\r\nDATA\r\n.\r\n{M}DATA\r\n.\r\n"),
            &["1: a@b>c@d,e@f/0 \"\"", "2: a@b>c@d/0 \"\"", "end"],
        ),
        ("MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n.\r\n", &["1: >postmaster@hq.test/0 \"\"", "end"]),
        // Hostile 9.
        (
            &format!("{M}DATA\r\nMAIL FROM:<x@y>\r\nRCPT TO:<x@y>\r\nDATA\r\nRSET\r\nQUIT\r\n.\r\nQUIT\r\n"),
            &["1: a@b>c@d/0 \"MAIL FROM:<x@y>\\r\\nRCPT TO:<x@y>\\r\\nDATA\\r\\nRSET\\r\\nQUIT\\r\\n\"", "end"],
        ),
        (&format!("{M}DATA\r\n.stuffed wrongly\r\n.\r\n"), &["1: a@b>c@d/0 \"stuffed wrongly\\r\\n\"", "end"]),
        (&format!("{M}DATA\r\nx\r\n.\n{M}DATA\r\n.\r\n"), &["bare LF received"]),
        (&format!("{M}DATA\r\nx\n.\r\n{M}DATA\r\n.\r\n"), &["bare LF received"]),
        ("DATA\r\nMAIL FROM:<x@y>\r\n.\r\nQUIT\r\n", &["line 1: DATA has no place here", "end"]),
        (
            "MAIL FROM:<x y>\r\nRCPT TO:<a@b>\r\nDATA\r\nMAIL FROM:<c@d>\r\n.\r\nQUIT\r\n",
            &[
                "line 1: sender: the local part is not valid",
                "line 2: RCPT has no place here",
                "line 3: DATA has no place here",
                "end",
            ],
        ),
        // Hostile 10.
        (&format!("{M}QUIT\r\n"), &["a mail without body", "end"]),
        (&format!("{M}MAIL FROM:<e@f>\r\nDATA\r\n.\r\n"), &["a mail without body", "1: e@f>/0 \"\"", "end"]),
        ("MAIL FROM:<a@b>\r\nRCPT TO:<>\r\nDATA\r\nx\r\n.\r\n", &["1: a@b>/1 \"x\\r\\n\"", "end"]),
        (&format!("{M}DATA\r\nx\r\n."), &["the batch ends early"]),
        (&format!("{M}DA"), &["the batch ends early"]),
        (M, &["the batch ends early"]),
        ("QUIT\r\ngarbage\0\n", &["end", "9 octets follow QUIT"]),
        ("garbage\r\nBDAT 3\r\nQUIT\r\n", &["line 1: command not recognized", "line 2: command not recognized", "end"]),
        ("NOOP\0\r\nQUIT\r\n", &["NUL received"]),
        ("NOOP\nQUIT\r\n", &["bare LF received"]),
        ("", &["end"]),
        // Limits.
        (&long, &["mail 1: message too large, 5000 octets are allowed", "2: a@b>c@d/0 \"x\\r\\n\"", "end"]),
        (&four, &["1: a@b>c@d/0 \"\"", "2: a@b>c@d/0 \"\"", "3: a@b>c@d/0 \"\"", "more than 3 mails in a batch"]),
        (&rcpt, &["line 7: syntax: fewer recipients", "1: >c@d,c@d,c@d,c@d,c@d/0 \"\"", "end"]),
        (&domain, &["command line too long, 4096 octets are allowed"]),
    ] {
        assert_eq!(read(batch), expected, "{batch:.200}");
    }
    assert_eq!(read(&"FOO\r\n".repeat(50)).last().map(String::as_str), Some("too many errors"));
}

fn envelope() -> Envelope {
    Envelope {
        sender: Mailbox::parse("a@b").ok(),
        mail: MailParameters {
            body: Some(BodyType::EightBitMime),
            mt_priority: MtPriority::parse("4"),
            ..MailParameters::default()
        },
        recipients: vec![Recipient::plain(Mailbox::parse("c@d").unwrap())],
    }
}

#[test]
fn what_is_written() {
    let batch = write("hq.test", &[(envelope(), b".x\r\ny")], &Extensions::BATCH).unwrap();
    let expected =
        "EHLO hq.test\r\nMAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<c@d>\r\nDATA\r\n..x\r\ny\r\n.\r\nQUIT\r\n";
    assert_eq!(String::from_utf8(batch), Ok(expected.to_owned()));
    let with_priority = write("h", &[(envelope(), b"")], &Extensions::MULE).unwrap();
    assert!(String::from_utf8(with_priority).unwrap().contains("MAIL FROM:<a@b> MT-PRIORITY=4 BODY=8BITMIME\r\n"));
    for (body, offset) in [(&b"a\nb"[..], 1), (b"a\r\nb\rc", 4), (b"\0", 0), (b"a\r", 1)] {
        let written = write("h", &[(envelope(), body)], &Extensions::BATCH);
        assert_eq!(written, Err(BatchFault::Unsendable { offset }));
    }
}

fn cover<'a>(from: &'a Mailbox, required: &'a [&'a str]) -> Cover<'a> {
    Cover { from, to: from, message_id: "1@hq.test", at: WallTime::from_unix_seconds(0), required }
}

#[test]
fn inside_a_mail() {
    let from = Mailbox::parse("batch@hq.test").unwrap();
    let batch = write("hq.test", &[(envelope(), &b"\xc3\xa4 line\r\n".repeat(100))], &Extensions::BATCH).unwrap();
    for required in [&[][..], &["MT-PRIORITY"], &["SMTPUTF8", "DELIVERBY"]] {
        let mail = media::wrap(&cover(&from, required), &batch);
        assert!(mail.split(|octet| *octet == b'\n').all(|line| line.len() < 79));
        assert_eq!(media::unwrap(&mail), Ok(batch.clone()), "{required:?}");
    }
    for required in ["X-NEW", "CHUNKING"] {
        let mail = media::wrap(&cover(&from, &[required]), &batch);
        assert_eq!(media::unwrap(&mail), Err(BatchFault::ExtensionRequired(required.to_owned())));
    }
    let plain = "Content-Type: Application/Batch-SMTP; required-extensions=\"8BITMIME, size\"\r\n\r\nQUIT\r\n";
    assert_eq!(media::unwrap(plain.as_bytes()), Ok(b"QUIT\r\n".to_vec()));
    let quoted =
        "Content-Type: application/batch-smtp\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nQU=49T=0D=0A";
    assert_eq!(media::unwrap(quoted.as_bytes()), Ok(b"QUIT\r\n".to_vec()));
    for other in ["", "Subject: x\r\n\r\nQUIT\r\n", "Content-Type: text/plain\r\n\r\nQUIT\r\n"] {
        assert_eq!(media::unwrap(other.as_bytes()), Err(BatchFault::MediaType));
    }
}

#[test]
fn a_thousand_mutations_do_no_harm() {
    let batch = write("hq.test", &[(envelope(), b"x\r\n..\r\n"), (envelope(), b"y")], &Extensions::MULE).unwrap();
    let mut random = Seeded::new(3);
    for _ in 0..1000 {
        let octets = mutated(&batch, &mut random);
        assert_eq!(read_by(&octets, 1), read_by(&octets, 4096));
    }
}

proptest! {
    #[test]
    fn round_trip(lines in proptest::collection::vec("[.a-zä ]{0,20}", 0..12), step in 1usize..50) {
        let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let batch = write("h", &[(envelope(), body.as_bytes())], &Extensions::MULE).unwrap();
        let items = read_by(&batch, step);
        let [Item::Mail(mail), Item::End] = items.as_slice() else { return Err(TestCaseError::fail(format!("{items:?}"))) };
        prop_assert_eq!((&mail.envelope, &mail.body[..]), (&envelope(), body.as_bytes()));
    }
}

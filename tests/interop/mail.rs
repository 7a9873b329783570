//! Ordinary mail servers at both ends: sender → Postfix A → Skywave A → medium → Skywave B → Postfix B → sink.
//!
//! What arrives is compared with what was sent, to the octet; what went over the medium is judged by tshark.

use std::fs;
use std::process::Command;

use crate::postfix::Postfix;
use crate::sender::Sender;
use crate::sink::{Sink, Taken};
use crate::site::{Medium, Pair};
use crate::tshark::fields;

/// Longest time for one small mail to cross, with two debug builds on a busy machine.
const CROSSING_SECONDS_MAX: u64 = 60;

/// The whole way, with its ends.
struct Way {
    /// What mailboxes in the field get.
    field: Sink,
    /// What mailboxes at headquarters get: reports.
    hq: Sink,
    postfix_a: Postfix,
    _postfix_b: Postfix,
    pair: Pair,
}

impl Way {
    fn open(medium: Medium) -> Self {
        let (field, hq) = (Sink::start(), Sink::start());
        let mut pair = Pair::new(medium);
        let postfix_b = Postfix::start("mta.field.test", &[("field.test", field.address), ("hq.test", pair.field)]);
        let postfix_a = Postfix::start("mta.hq.test", &[("field.test", pair.hq), ("hq.test", hq.address)]);
        pair.start(postfix_a.address, postfix_b.address);
        Self { field, hq, postfix_a, _postfix_b: postfix_b, pair }
    }

    /// Sends one mail into Postfix A and waits for the next in the field.
    fn send(&self, mail: &str, recipients: &[String], octets: &[u8], already: usize) -> Taken {
        let (code, lines) = Sender::connect(self.postfix_a.address).send(mail, recipients, octets);
        assert_eq!(code, 250, "{lines:?}");
        self.field.mails(already + 1, CROSSING_SECONDS_MAX)[already].clone()
    }
}

/// A mail with the header fields that Postfix would add otherwise.
fn mail(subject: &str, fields: &str, body: &str) -> Vec<u8> {
    format!(
        "From: <a@hq.test>\r\nDate: Sat, 21 Nov 2026 14:30:00 +0000\r\nMessage-ID: <{subject}@hq.test>\r\n\
         Subject: {subject}\r\n{fields}\r\n{body}"
    )
    .into_bytes()
}

fn to(address: &str) -> Vec<String> {
    vec![address.to_owned()]
}

/// What follows the header must be the same; the header only grows by trace fields at its top.
fn same_content(taken: &Taken, sent: &[u8]) {
    assert!(taken.octets.ends_with(sent), "{}", String::from_utf8_lossy(&taken.octets));
}

fn all_kinds(medium: Medium) -> Way {
    let way = Way::open(medium);
    let mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    let eight_bit = mail("eight-bit", mime, ".dot\r\n\u{a3}100\r\n..\r\n");
    let taken = way.send("<a@hq.test> BODY=8BITMIME", &to("<b@field.test>"), &eight_bit, 0);
    same_content(&taken, &eight_bit);
    assert!(taken.header("received").is_some_and(|field| field.contains("mta.field.test")), "trace fields");

    let utf8 = mail("utf8", "X-Greeting: gr\u{fc}\u{df}e\r\n", "x\r\n");
    let taken = way.send("<jos\u{e9}@hq.test> SMTPUTF8 BODY=8BITMIME", &to("<j\u{fc}rgen@field.test>"), &utf8, 1);
    same_content(&taken, &utf8);
    assert!(taken.mail.contains("<jos\u{e9}@hq.test>") && taken.mail.contains("SMTPUTF8"), "{}", taken.mail);
    assert!(taken.recipients[0].starts_with("<j\u{fc}rgen@field.test>"), "{:?}", taken.recipients);

    let fifty: Vec<String> = (0..50).map(|number| format!("<user{number}@field.test>")).collect();
    let taken = way.send("<a@hq.test>", &fifty, &mail("fifty", "", "x\r\n"), 2);
    assert_eq!(taken.recipients.len(), 50, "one transaction carries all of them");
    dsn_parameters(&way);
    signed(&way);
    way
}

fn dsn_parameters(way: &Way) {
    let taken = way.send(
        "<a@hq.test> RET=HDRS ENVID=QQ314159",
        &to("<b@field.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;old@field.test"),
        &mail("dsn", "", "x\r\n"),
        3,
    );
    assert!(taken.mail.contains("RET=HDRS") && taken.mail.contains("ENVID=QQ314159"), "{}", taken.mail);
    let recipient = &taken.recipients[0];
    assert!(recipient.contains("NOTIFY=FAILURE,DELAY") || recipient.contains("NOTIFY=DELAY,FAILURE"), "{recipient}");
    assert!(recipient.contains("ORCPT=rfc822;old@field.test"), "{recipient}");
}

/// Signed by openssl at one end, verified by openssl at the other.
fn signed(way: &Way) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=a@hq.test",
        "-days",
        "2",
        "-keyout",
        &file("key"),
        "-out",
        &file("certificate"),
    ]);
    fs::write(folder.path().join("text"), "Content-Type: text/plain\r\n\r\nsigned and sealed\r\n").unwrap();
    openssl(&[
        "cms",
        "-sign",
        "-crlfeol",
        "-in",
        &file("text"),
        "-signer",
        &file("certificate"),
        "-inkey",
        &file("key"),
        "-out",
        &file("mail"),
        "-from",
        "a@hq.test",
        "-to",
        "b@field.test",
        "-subject",
        "signed",
    ]);
    let mail = with_crlf(&fs::read(folder.path().join("mail")).unwrap());
    let taken = way.send("<a@hq.test>", &to("<b@field.test>"), &mail, 4);
    fs::write(folder.path().join("taken"), &taken.octets).unwrap();
    openssl(&[
        "cms",
        "-verify",
        "-noverify",
        "-in",
        &file("taken"),
        "-certfile",
        &file("certificate"),
        "-out",
        &file("out"),
    ]);
    assert!(fs::read_to_string(folder.path().join("out")).unwrap().contains("signed and sealed"));
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for line in octets.split(|octet| *octet == b'\n') {
        lines.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        lines.extend_from_slice(b"\r\n");
    }
    lines.truncate(lines.len().saturating_sub(2));
    lines
}

/// The far mail server refuses one of two recipients: the sender is told of that one, at its own end.
fn refused_recipient(way: &Way) {
    let recipients = ["<refuse@field.test>".to_owned(), "<good@field.test>".to_owned()];
    let taken = way.send("<a@hq.test>", &recipients, &mail("half", "", "x\r\n"), 5);
    assert!(taken.recipients[0].starts_with("<good@"), "{:?}", taken.recipients);
    let report = way.hq.mails(1, CROSSING_SECONDS_MAX).remove(0);
    let text = String::from_utf8_lossy(&report.octets).into_owned();
    assert!(text.contains("refuse@field.test") && text.contains("multipart/report"), "{text}");
    assert!(report.mail.starts_with("<>"), "{}", report.mail);
}

/// What tshark says of the P_MUL PDUs that a site captured: all checksums good, none malformed, data and
/// acknowledgements among them.
fn p_mul_is_good(way: Way) {
    let capture = way.pair.capture("hq");
    let _folder = way.pair.stop();
    // The capture says the registered port, whatever port was configured.
    let options = ["-o", "p_mul.relative_msgid:FALSE", "-d", "udp.port==2753,p_mul"];
    let wanted = ["p_mul.pdu_type", "p_mul.checksum_good", "_ws.malformed"];
    let rows = fields(&capture, &options, "p_mul", &wanted);
    let types: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    for (kind, name) in [("0", "Data"), ("1", "Ack"), ("2", "Address")] {
        assert!(types.iter().any(|found| found.trim_start_matches("0x0") == kind), "no {name} PDU: {types:?}");
    }
    let wrong: Vec<&Vec<String>> = rows.iter().filter(|row| row[1] != "1" || !row[2].is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn all_kinds_of_mail_cross_over_udp() {
    let way = all_kinds(Medium::Udp);
    refused_recipient(&way);
}

#[test]
fn ten_megabytes_cross_over_udp() {
    large(&Way::open(Medium::Udp), 10 << 20);
}

fn large(way: &Way, octets: usize) {
    let lines_wanted = octets / 78;
    let mut mail = mail("large", "", "");
    // Lines that no deflate shrinks much: a counter through a mixing function, in hex.
    let mut state = 1_u64;
    for _ in 0..lines_wanted {
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            mail.extend_from_slice(format!("{:019}", state >> 1).as_bytes());
        }
        mail.extend_from_slice(b"\r\n");
    }
    let (code, lines) = Sender::connect(way.postfix_a.address).send("<a@hq.test>", &to("<b@field.test>"), &mail);
    assert_eq!(code, 250, "{lines:?}");
    let taken = way.field.mails(1, 300).remove(0);
    assert!(taken.octets.ends_with(&mail), "{octets} octets are not the same at the far end");
}

#[test]
fn all_kinds_of_mail_cross_the_radio() {
    let way = all_kinds(Medium::Radio);
    refused_recipient(&way);
    sis_is_good(way);
}

#[test]
fn ten_megabytes_cross_the_radio() {
    large(&Way::open(Medium::Radio), 10 << 20);
}

/// What tshark says of the S_PRIMITIVEs that a site captured, and of the P_MUL PDUs in them. The dissector errs for the
/// types 22, 23, 26 and 27 at the SAPs 2, 6 and 7: it looks for a header behind the returned part.
fn sis_is_good(way: Way) {
    let capture = way.pair.capture("hq");
    let _folder = way.pair.stop();
    let wanted = ["s5066sis.type", "p_mul.pdu_type", "p_mul.checksum_good", "_ws.malformed"];
    let rows = fields(&capture, &["-o", "p_mul.relative_msgid:FALSE"], "s5066sis", &wanted);
    let count = |column: usize| rows.iter().filter(|row| !row[column].is_empty()).count();
    assert!(rows.len() > 20 && count(1) > 10, "{} primitives, {} of them with P_MUL", rows.len(), count(1));
    let errs = ["22", "23", "26", "27"];
    let wrong: Vec<&Vec<String>> = rows
        .iter()
        .filter(|row| !row[3].is_empty() && !row[0].split(',').any(|kind| errs.contains(&kind)))
        .chain(rows.iter().filter(|row| !row[1].is_empty() && row[2].split(',').any(|good| good != "1")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// MT-PRIORITY is said to the gateway itself: Postfix refuses the parameter. Behind Postfix it is a header.
#[test]
fn a_priority_said_to_the_gateway_arrives_as_header() {
    let way = Way::open(Medium::Udp);
    let mut sender = Sender::connect(way.pair.hq);
    assert!(sender.extensions.iter().any(|line| line.starts_with("MT-PRIORITY")), "{:?}", sender.extensions);
    let (code, lines) = sender.send("<a@hq.test> MT-PRIORITY=4", &to("<b@field.test>"), &mail("flash", "", "x\r\n"));
    assert_eq!(code, 250, "{lines:?}");
    let taken = way.field.mails(1, CROSSING_SECONDS_MAX).remove(0);
    assert_eq!(taken.header("mt-priority").as_deref(), Some("4"), "{}", String::from_utf8_lossy(&taken.octets));
    p_mul_is_good(way);
}

//! The harness itself: what goes through Postfix into the sink comes out to the octet, so a difference in the full
//! scenarios is ours.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use crate::postfix::Postfix;
use crate::sender::Sender;
use crate::sink::{EXTENSIONS, Sink};
use crate::tshark;

fn recipient(address: &str) -> Vec<String> {
    vec![address.to_owned()]
}

#[test]
fn postfix_to_sink_keeps_parameters_and_octets() {
    let sink = Sink::start();
    let postfix = Postfix::start("mta.hq.test", &[("field.test", sink.address)]);
    let mut sender = Sender::connect(postfix.address);
    let mail = "Subject: gr\u{fc}\u{df}e\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: 8bit\r\n\r\n.dot\r\n\u{a3}100\r\n";
    let (code, lines) = sender.send(
        "<jos\u{e9}@hq.test> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=QQ1",
        &recipient("<bob@field.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@field.test"),
        mail.as_bytes(),
    );
    assert_eq!(code, 250, "{lines:?}");
    let taken = sink.mails(1, 30).remove(0);
    assert!(taken.octets.ends_with(".dot\r\n\u{a3}100\r\n".as_bytes()), "the body is not the same");
    assert!(taken.mail.contains("jos\u{e9}@hq.test") && taken.mail.contains("SMTPUTF8"), "{}", taken.mail);
    assert!(taken.mail.contains("ENVID=QQ1"), "{}", taken.mail);
    assert!(taken.recipients[0].contains("NOTIFY=SUCCESS,FAILURE"), "{:?}", taken.recipients);
    assert_eq!(sender.command("QUIT").0, 221);
}

#[test]
fn the_sink_records_mt_priority_and_refuses_as_told() {
    let sink = Sink::start();
    let mut sender = Sender::connect(sink.address);
    assert!(sender.extensions.iter().any(|line| line.starts_with("MT-PRIORITY")));
    let sent = sender.send("<a@hq.test> MT-PRIORITY=4", &recipient("<b@field.test>"), b"Subject: x\r\n\r\n..y\r\n");
    assert_eq!(sent.0, 250);
    let taken = sink.mails(1, 5).remove(0);
    assert_eq!((taken.mail.as_str(), taken.body()), ("<a@hq.test> MT-PRIORITY=4", b"..y\r\n".as_slice()));
    assert_eq!(taken.header("subject").as_deref(), Some("x"));
    assert_eq!(sender.command("MAIL FROM:<a@hq.test>").0, 250);
    assert_eq!(sender.command("RCPT TO:<refuse@field.test>").0, 550);
    assert_eq!(sender.command("RCPT TO:<later@field.test>").0, 451);
    assert_eq!(sender.command("DATA").0, 554);
}

#[test]
fn a_sink_without_extensions_offers_none() {
    let sink = Sink::offering(&EXTENSIONS[..1]);
    assert_eq!(Sender::connect(sink.address).extensions, ["sink.test", "PIPELINING", "HELP"]);
}

/// A P_MUL vector over UDP, wrapped as text2pcap does, so that a broken tshark is seen before a broken capture.
#[test]
fn tshark_dissects_a_vector() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = skywave_conformance::vectors().unwrap();
    let vector = vectors.iter().find(|vector| vector.id == "acp142/data-seq1").unwrap();
    let mut dump = "000000".to_owned();
    vector.octets.iter().for_each(|octet| dump.push_str(&format!(" {octet:02x}")));
    let (text, capture) = (folder.path().join("dump"), folder.path().join("capture.pcap"));
    fs::File::create(&text).unwrap().write_all(format!("{dump}\n").as_bytes()).unwrap();
    let made = Command::new("text2pcap").args(["-q", "-u", "40000,2753"]).arg(&text).arg(&capture).status().unwrap();
    assert!(made.success());
    let rows = tshark::fields(
        &capture,
        &["-d", "udp.port==2753,p_mul", "-o", "p_mul.relative_msgid:FALSE"],
        "p_mul",
        &["p_mul.pdu_type", "p_mul.checksum_good", "p_mul.seq_no"],
    );
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0][1..], ["1".to_owned(), "1".to_owned()], "{rows:?}");
}

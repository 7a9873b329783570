use proptest::prelude::*;

use super::*;
use crate::message::mail::MailParameters;
use crate::message::precedence::Precedence;
use crate::time::WallTime;

fn names(mail: &[u8]) -> (Vec<String>, bool, usize) {
    let header = Header::scan(mail);
    let names = header.fields.iter().map(|field| String::from_utf8_lossy(&mail[field.name.clone()]).into_owned());
    (names.collect(), header.complete, header.body)
}

#[test]
fn finds_fields_and_the_end_of_the_header() {
    for (mail, fields, complete, body) in [
        ("A: 1\r\nB: 2\r\n\r\nC: 3\r\n", "A B", true, 14),
        ("A: 1\r\n folded\r\n\tmore\r\nB:\r\n\r\n", "A B", true, 28),
        ("A: 1\r\nno field\r\nB: 2\r\n", "A", true, 6),
        ("\r\nA: 1\r\n", "", true, 2),
        ("A: 1\r\nB: 2", "A", false, 6),
        ("A: 1\nB: 2\r\n\r\n", "A", true, 13),
        ("A \t: 1\r\nB b: 2\r\n\r\n", "A", true, 8),
        (" A: 1\r\n", "", true, 0),
        ("", "", false, 0),
    ] {
        let expected: Vec<String> = fields.split_whitespace().map(str::to_owned).collect();
        assert_eq!(names(mail.as_bytes()), (expected, complete, body), "{mail:?}");
    }
}

#[test]
fn unfolds_and_keeps_ranges() {
    let mail = b"To: a\r\nSubject:  one\r\n two\r\nX: y\r\n\r\n";
    let header = Header::scan(mail);
    let subject = header.named(mail, "SUBJECT").next().unwrap();
    assert_eq!(subject.text(mail), "one two");
    assert_eq!(&mail[subject.whole.clone()], b"Subject:  one\r\n two\r\n");
}

fn decide(parameter: Option<&str>, header: &str, ceiling: Precedence) -> Decision {
    let mail = MailParameters { mt_priority: parameter.and_then(MtPriority::parse), ..MailParameters::default() };
    let octets = format!("{header}\r\n");
    let policy = Policy { ceiling, ..Policy::default() };
    precedence(&mail, &Header::scan(octets.as_bytes()), octets.as_bytes(), policy)
}

/// Hostile 7: every contradiction has one outcome, and none is above the ceiling.
#[test]
fn precedence_has_one_outcome() {
    use Precedence::{Deferred, Flash, Immediate, Override, Priority, Routine};
    let mmhs = "MMHS-Primary-Precedence: routine\r\nMMHS-Copy-Precedence: 3\r\n";
    for (parameter, header, ceiling, expected, value, source, notes) in [
        (None, "", Override, Routine, None, Source::SiteDefault, 0),
        (None, "", Deferred, Deferred, None, Source::SiteDefault, 0),
        (Some("0"), "", Override, Priority, Some(0), Source::Parameter, 0),
        (Some("-9"), "", Override, Deferred, Some(-9), Source::Parameter, 0),
        (Some("9"), "", Override, Override, Some(9), Source::Parameter, 0),
        (Some("3"), "", Override, Flash, Some(3), Source::Parameter, 0),
        (Some("6"), "", Immediate, Immediate, Some(2), Source::Parameter, 1),
        (Some("4"), mmhs, Override, Flash, Some(4), Source::Parameter, 1),
        (None, "MT-Priority: 2\r\n", Override, Immediate, Some(2), Source::MtPriorityField, 0),
        (
            None,
            "mt-priority:\r\n (a (nested) one)\r\n\t-4 (x)\r\n",
            Override,
            Deferred,
            Some(-4),
            Source::MtPriorityField,
            0,
        ),
        (None, "MT-Priority: 4\r\n", Priority, Priority, Some(0), Source::MtPriorityField, 1),
        (None, "MT-Priority: 4\r\nMT-Priority: 4\r\n", Override, Routine, None, Source::SiteDefault, 1),
        (None, "MT-Priority: 10\r\n", Override, Routine, None, Source::SiteDefault, 1),
        (None, "MT-Priority: +4\r\n", Override, Routine, None, Source::SiteDefault, 1),
        (None, "MT-Priority: -\r\n 4\r\n", Override, Routine, None, Source::SiteDefault, 1),
        (None, "MT-Priority: 4 (open\r\n", Override, Routine, None, Source::SiteDefault, 1),
        (None, mmhs, Override, Immediate, None, Source::MmhsField, 0),
        (None, "MMHS-Primary-Precedence: FLASH (urgent)\r\n", Override, Flash, None, Source::MmhsField, 0),
        (None, "MMHS-Primary-Precedence: flash\r\n", Priority, Priority, None, Source::MmhsField, 1),
        (None, "MMHS-Primary-Precedence: 9\r\n", Flash, Flash, None, Source::MmhsField, 1),
        (None, "MMHS-Primary-Precedence: 20\r\n", Flash, Routine, None, Source::MmhsField, 1),
        (None, "MMHS-Primary-Precedence: 99\r\n", Flash, Routine, None, Source::SiteDefault, 1),
        (
            None,
            "MMHS-Copy-Precedence: 5\r\nMMHS-Copy-Precedence: 0\r\n",
            Override,
            Routine,
            None,
            Source::SiteDefault,
            1,
        ),
        (
            None,
            "MT-Priority: 4\r\nMT-Priority: 6\r\nMMHS-Copy-Precedence: 2\r\n",
            Override,
            Priority,
            None,
            Source::MmhsField,
            1,
        ),
    ] {
        let found = decide(parameter, header, ceiling);
        let value = value.and_then(|value| MtPriority::try_from(value).ok());
        assert_eq!(
            (found.precedence, found.value, found.source),
            (expected, value, source),
            "{parameter:?} {header:?}"
        );
        assert_eq!(found.notes.len(), notes, "{parameter:?} {header:?} {:?}", found.notes);
    }
    assert!(decide(Some("4"), mmhs, Override).disagreement());
}

#[test]
fn the_mt_priority_field_replaces_all_others() {
    let mail = b"A: 1\r\nMT-Priority: 4\r\n (x)\r\nB: 2\r\nmt-priority: 6\r\n\r\nMT-Priority: body\r\n";
    let plain = b"A: 1\r\nB: 2\r\n\r\nMT-Priority: body\r\n";
    assert_eq!(with_mt_priority(mail, None), plain);
    assert_eq!(with_mt_priority(mail, MtPriority::parse("-2")), [&b"MT-Priority: -2\r\n"[..], plain].concat());
    assert_eq!(with_mt_priority(plain, None), plain);
}

fn received(client: &str) -> String {
    let (peer, site, protocol, ticket) = ("[192.0.2.1]", "hq.test", "ESMTP", "k7");
    let at = WallTime::from_unix_seconds(1_700_000_000);
    Received { client, peer, site, protocol, ticket, priority: MtPriority::parse("4"), at }.to_string()
}

#[test]
fn received_is_written_and_read_back() {
    let field = received("mail.test");
    let expected = "Received: from mail.test ([192.0.2.1])\r\n\tby hq.test (Skywave) with ESMTP id k7 PRIORITY 4;\r\n\t\
                    Tue, 14 Nov 2023 22:13:20 +0000\r\n";
    assert_eq!(field, expected);
    let mail = [
        "Received: from x by y with SMTP id z; now\r\n",
        &field,
        &received("other"),
        "Subject: Received\r\n\r\nReceived: no\r\n",
    ]
    .concat();
    let header = Header::scan(mail.as_bytes());
    assert_eq!(header.received_count(mail.as_bytes()), 3);
    let trace = Trace { site: "hq.test".into(), ticket: "k7".into() };
    assert_eq!(header.trace(mail.as_bytes()), Some(trace.clone()));
    for client in ["", "by", "a\r\nX: y", "evil) by x (Skywave) with y id z", "\u{e4}"] {
        let field = received(client);
        let header = Header::scan(field.as_bytes());
        assert_eq!((header.fields.len(), header.trace(field.as_bytes())), (1, Some(trace.clone())), "{field}");
    }
}

/// Numbers of MMHS fields that no table knows stand for what the site says, and never for more than the ceiling.
#[test]
fn unknown_mmhs_numbers_stand_for_what_is_configured() {
    let ceiling = Precedence::Immediate;
    for (low, high, expected) in [
        ("ceiling", "default", ["immediate", "routine"]),
        ("default", "ceiling", ["routine", "immediate"]),
        ("flash", "4", ["immediate", "immediate"]),
        ("deferred", "priority", ["deferred", "priority"]),
    ] {
        let mmhs = MmhsUnknown { low: Stand::parse(low).unwrap(), high: Stand::parse(high).unwrap() };
        let policy = Policy { ceiling, mmhs, ..Policy::default() };
        for (numbers, expected) in [([6, 15], expected[0]), ([16, 31], expected[1])] {
            for number in numbers {
                let octets = format!("MMHS-Primary-Precedence: {number}\r\n\r\n");
                let header = Header::scan(octets.as_bytes());
                let decision = precedence(&MailParameters::default(), &header, octets.as_bytes(), policy);
                assert_eq!(decision.precedence.name(), expected, "{low} {high} {number}");
            }
        }
    }
    assert_eq!(Stand::parse("urgent"), None);
}

#[test]
fn a_header_of_a_megabyte_and_ten_thousand_received_fields_are_bounded() {
    let mail = "Received: x\r\n".repeat(11_000);
    let header = Header::scan(mail.as_bytes());
    assert_eq!((header.received_count(mail.as_bytes()), header.complete), (10_000, false));
    let line = format!("X: {}\r\n\r\n", "y".repeat(1 << 20));
    assert!(!Header::scan(line.as_bytes()).complete);
}

proptest! {
    #[test]
    fn fields_and_body_are_the_whole_mail(mail in "(([A-Za-z-]{1,8}|MT-Priority)? ?:[ -~]{0,20}(\r\n [a-z]{0,9}){0,2}\r\n){0,8}(\r\n[ -~\r\n]{0,40})?") {
        let header = Header::scan(mail.as_bytes());
        let mut at = 0;
        for field in &header.fields {
            prop_assert_eq!(field.whole.start, at);
            at = field.whole.end;
        }
        prop_assert_eq!(header.end, at);
        let stripped = without(mail.as_bytes(), "MT-Priority");
        prop_assert_eq!(Header::scan(&stripped).named(&stripped, "MT-Priority").count(), 0);
    }

    #[test]
    fn no_octets_panic(mail in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'A')], 0..120)) {
        let header = Header::scan(&mail);
        let _ = precedence(&MailParameters::default(), &header, &mail, Policy::default());
        let _ = header.trace(&mail);
    }
}

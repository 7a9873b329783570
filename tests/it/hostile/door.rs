//! The SMTP door as part of a site: inputs 7, 8 and 56b.

use skywave::door::limits::REFUSALS_MAX;
use skywave::node::Input;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::time::Duration;
use skywave_transports::io::PipeInput;

use super::lone::Lone;
use super::{MINUTE, plan};

/// A site whose clients may ask for Immediate at most.
fn modest() -> Lone {
    let mut config = plan(&["hq"], &[]).site(0);
    config.mail.precedence_ceiling = Precedence::Immediate.mt_priority();
    Lone::new(config)
}

/// What is said of a mail's precedence, what it is handled as, and what is handed on: as a parameter, and as the only
/// MT-Priority field towards a server without the extension.
#[test]
fn contradicting_precedences_have_one_outcome_at_the_next_server() {
    let rows: [(&str, &str, &str, Option<i8>); 12] = [
        ("", "", "routine", None),
        (" MT-PRIORITY=4", "", "immediate", Some(2)),
        (" MT-PRIORITY=9", "MT-Priority: -9\r\n", "immediate", Some(2)),
        ("", "MT-Priority: 9\r\n", "immediate", None),
        ("", "MT-Priority: 99\r\n", "routine", None),
        ("", "MT-Priority: 2\r\nMT-Priority: -4\r\n", "routine", None),
        ("", "MT-Priority:\r\n 2\r\n", "immediate", None),
        (" MT-PRIORITY=0", "MT-Priority: 2\r\nMMHS-Primary-Precedence: 4\r\n", "priority", Some(0)),
        ("", "MMHS-Primary-Precedence: 5\r\nMMHS-Copy-Precedence: 0\r\n", "immediate", None),
        ("", "MMHS-Primary-Precedence: 0\r\nMMHS-Primary-Precedence: 5\r\n", "routine", None),
        ("", "MMHS-Primary-Precedence: 15\r\n", "immediate", None),
        ("", "MMHS-Primary-Precedence: 31\r\nMMHS-Copy-Precedence: flash\r\n", "immediate", None),
    ];
    for (number, (parameters, fields, handled, handed_on)) in (1..).zip(rows) {
        let mut lone = modest();
        let text = format!("{fields}Subject: x\r\n\r\nMT-Priority: 9 is text here\r\n");
        let reply = lone.mail(number, parameters, &["b@hq.test"], &text);
        assert!(reply.starts_with("250 "), "{parameters} {fields}: {reply}");
        let precedences: Vec<String> = lone
            .told
            .iter()
            .filter_map(|event| match event {
                skywave::telemetry::Event::MailAccepted { precedence, .. } => Some(precedence.name().to_lowercase()),
                _ => None,
            })
            .collect();
        assert_eq!(precedences, [handled], "{parameters} {fields}");
        let (_, hand_over) = lone.hand_overs.pop_front().unwrap();
        let value = hand_over.envelope.mail.mt_priority.map(MtPriority::value);
        assert_eq!(value, handed_on, "{parameters} {fields}");
        if let Some(pieces) = &hand_over.content_without_mt_priority {
            let text = lone.text(pieces);
            let head = text.split("\r\n\r\n").next().unwrap().to_owned();
            let fields: Vec<&str> = head.lines().filter(|line| line.starts_with("MT-Priority:")).collect();
            assert_eq!(fields, [format!("MT-Priority: {}", handed_on.unwrap())], "{head}");
        } else {
            assert_eq!(handed_on, None);
        }
    }
}

/// Input 8: a thousand who say an octet a minute. The site holds as many as it may, tells the others to come again,
/// serves who talks, and is rid of the slow ones in time.
#[test]
fn a_thousand_slow_connections_do_not_keep_others_out() {
    const SLOW: u64 = 1_000;
    let mut config = plan(&["hq"], &[]).site(0);
    config.mail.connections_max = 1_010;
    let mut lone = Lone::new(config);
    let slow: Vec<_> = (0..SLOW).map(|number| lone.connect(number)).collect();
    for octet in b"EHLO slow.te" {
        for &pipe in &slow {
            if !lone.closed.contains(&pipe) {
                lone.say(pipe, &[*octet]);
            }
        }
        lone.pass(MINUTE);
    }
    let reply = lone.mail(SLOW + 1, "", &["b@hq.test"], "Subject: x\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    lone.answer(250);
    let gone = slow.iter().filter(|pipe| lone.closed.contains(pipe)).count();
    assert_eq!(gone, slow.len(), "an octet a minute is no command in time");
    let status = lone.status();
    assert!(status["smtp_connections"].as_u64().unwrap() <= 1, "{status}");
}

#[test]
fn connections_beyond_the_limit_are_told_to_come_again_and_mails_in_hand_go_on() {
    let mut config = plan(&["hq"], &[]).site(0);
    config.mail.connections_max = 10;
    let mut lone = Lone::new(config);
    let first = lone.connect(0);
    for number in 1..10 {
        lone.connect(number);
    }
    let late: Vec<_> = (10..1_000).map(|number| lone.connect(number)).collect();
    assert!(late.iter().all(|pipe| lone.closed.contains(pipe)), "not held");
    let said = lone.heard(late[0]);
    assert!(said.contains("421 "), "and told why: {said:?}");
    lone.say(first, b"EHLO c\r\n");
    lone.say(first, b"MAIL FROM:<a@hq.test>\r\nRCPT TO:<b@hq.test>\r\nDATA\r\n");
    lone.say(first, b"Subject: x\r\n\r\n.\r\n");
    assert!(lone.heard(first).contains("queued as"));
    lone.pass(Duration::from_secs(3_600));
    assert!(lone.closed.contains(&first));
}

/// Those who are refused and do not go are bounded too, and do not take the places of those who are served.
#[test]
fn connections_that_do_not_take_a_no_are_closed_without_a_word() {
    let mut config = plan(&["hq"], &[]).site(0);
    config.mail.connections_max = 10;
    let mut lone = Lone::new(config);
    let served: Vec<_> = (0..10).map(|number| lone.connect(number)).collect();
    lone.lingers = true;
    let late: Vec<_> = (10..1_000).map(|number| lone.connect(number)).collect();
    assert!(late.iter().all(|pipe| lone.closed.contains(pipe)));
    let told: Vec<_> = late.iter().copied().filter(|&pipe| lone.heard(pipe).contains("421 ")).collect();
    assert_eq!(told, late[..REFUSALS_MAX]);
    assert_eq!(lone.node.over_limit(), None);
    lone.feed(Input::Pipe(served[0], PipeInput::Closed(None)));
    let next = lone.connect(1_000);
    assert!(lone.heard(next).contains("220 "), "a place is free, whoever lingers");
    lone.feed(Input::Pipe(told[0], PipeInput::Closed(None)));
    let again = lone.connect(1_001);
    assert!(lone.heard(again).contains("421 "));
}

/// Input 56b: nothing that cannot be delivered is taken. A site that is its own destination does not get through the
/// configuration check.
#[test]
fn null_empty_and_foreign_destinations_are_refused_at_the_door() {
    let mut lone = Lone::new(plan(&["hq", "field"], &[skywave::world::plan::LinkKind::Udp]).site(0));
    let pipe = lone.connect(1);
    lone.say(pipe, b"EHLO c\r\n");
    lone.say(pipe, b"MAIL FROM:<a@hq.test>\r\n");
    lone.heard(pipe);
    for to in ["<>", "", "<@>", "<b@>", "<@hq.test>", "<b@nowhere.test>", "<b@[127.0.0.1]>", "< >"] {
        lone.say(pipe, format!("RCPT TO:{to}\r\n").as_bytes());
        let reply = lone.heard(pipe);
        assert!(reply.starts_with('5'), "{to:?}: {reply}");
    }
    lone.say(pipe, b"DATA\r\n");
    assert!(lone.heard(pipe).starts_with('5'), "no recipient, no text");
}

#[test]
fn a_route_to_the_site_itself_is_no_configuration() {
    let text = "site = \"hq.test\"\n[route.self]\ndomains = [\"x.test\"]\nsite = \"hq.test\"\nlinks = [\"hf\"]\n";
    let text = skywave::config::Text { file: "hq.toml".to_owned(), text: text.to_owned() };
    let mistakes = skywave::config::load(&[text], &std::collections::BTreeMap::new()).unwrap_err();
    let words: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert!(words.iter().any(|words| words.contains("is this site itself")), "{words:?}");
}

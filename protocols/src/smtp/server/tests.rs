//! Dialogues packet by packet against a gateway that answers at once, and hostile inputs 1 to 8.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::smtp::grammar::Extensions;
use crate::smtp::limits;

fn config() -> ServerConfig {
    ServerConfig { tls: true, size_max: 100_000, recipients_max: 3, ..ServerConfig::new("hq.test") }
}

/// A server and a gateway that takes everything but recipients called `no` and passwords other than `right`.
struct Talk {
    server: Server,
    now: Now,
    heard: String,
    events: Vec<Event>,
    body: Vec<u8>,
    verdict: Reply,
    /// Whether events wait until [`Talk::catch_up`].
    slow: bool,
    /// Whether the gateway says of each piece that it is stored.
    tells_taken: bool,
}

impl Talk {
    fn new(config: ServerConfig) -> Self {
        let mut talk = Self {
            server: Server::new(Arc::new(config), Now::default(), ([192, 0, 2, 1], 2525).into()),
            now: Now::default(),
            heard: String::new(),
            events: Vec::new(),
            body: Vec::new(),
            verdict: Reply::new(250, (0, 0), "queued"),
            slow: false,
            tells_taken: true,
        };
        talk.drain();
        talk.heard.clear();
        talk
    }

    fn say(&mut self, packet: &[u8]) -> &mut Self {
        self.server.handle_read(self.now, packet);
        self.drain();
        self
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.server.handle_wakeup(self.now);
        self.drain();
        self
    }

    fn drain(&mut self) {
        loop {
            while let Some(octets) = self.server.poll_write() {
                self.heard.push_str(std::str::from_utf8(&octets).unwrap());
            }
            if self.slow {
                return;
            }
            let Some(event) = self.server.poll_event() else { return };
            self.serve(&event);
            self.events.push(event);
        }
    }

    fn catch_up(&mut self) {
        self.slow = false;
        self.drain();
        self.slow = true;
    }

    fn serve(&mut self, event: &Event) {
        match event {
            Event::Authenticate { password, .. } => {
                let right = password.expose() == "right";
                self.server.authenticated(self.now, right);
            }
            Event::Sender { .. } => self.server.answer(self.now, &Reply::new(250, (1, 0), "ok")),
            Event::Recipient(recipient) if recipient.to.local_part() == "no" => {
                self.server.answer(self.now, &Reply::new(550, (1, 1), "no such user"));
            }
            Event::Recipient(_) => self.server.answer(self.now, &Reply::new(250, (1, 5), "ok")),
            Event::BodyPiece(piece) => {
                assert!(piece.len() <= limits::BODY_PIECE_OCTETS_MAX);
                self.body.extend_from_slice(piece);
                if self.tells_taken {
                    self.server.body_taken(piece.len());
                }
            }
            Event::BodyEnd(_) => self.server.finish(self.now, self.verdict.clone()),
            Event::StartTls => self.server.handle_secured(self.now, Secured::default()),
            Event::Aborted => self.body.clear(),
            Event::Opened(_) | Event::Noted(_) | Event::Closed(_) => {}
        }
    }

    /// The codes of all replies so far, one a reply.
    fn codes(&self) -> String {
        let finals = self.heard.lines().filter(|line| line.as_bytes().get(3) == Some(&b' '));
        finals.map(|line| &line[..3]).collect::<Vec<_>>().join(" ")
    }

    fn closed(&self) -> bool {
        matches!(self.events.last(), Some(Event::Closed(_)))
    }

    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    fn mails(&self) -> usize {
        self.count(|event| matches!(event, Event::BodyEnd(_)))
    }

    fn aborted(&self) -> usize {
        self.count(|event| matches!(event, Event::Aborted))
    }
}

const EHLO: &str = "EHLO c.test\r\n";
const ENVELOPE: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";

fn talk(packets: &[&str]) -> Talk {
    let mut talk = Talk::new(config());
    for packet in packets {
        talk.say(packet.as_bytes());
    }
    talk
}

/// In the middle of DATA.
fn in_data(config: ServerConfig) -> Talk {
    let mut talk = Talk::new(config);
    talk.say(EHLO.as_bytes()).say(ENVELOPE.as_bytes()).say(b"DATA\r\n");
    talk
}

#[test]
fn dialogues() {
    let rows = include_str!("dialogues.txt").lines().filter(|row| !row.is_empty() && !row.starts_with('#'));
    for row in rows {
        let (packets, expected) = row.split_once(" => ").unwrap();
        let packets = packets
            .replace("{E}", EHLO)
            .replace("{M}", ENVELOPE)
            .replace("{100001x}", &"x".repeat(100_001))
            .replace("\\r", "\r")
            .replace("\\n", "\n")
            .replace("\\0", "\0");
        let talk = talk(&packets.split(" | ").collect::<Vec<_>>());
        let end = if talk.closed() { "closed" } else { "open" };
        let outcome = format!("{}; {} {} {end}", talk.codes(), talk.mails(), talk.aborted());
        assert_eq!(outcome, expected, "{row}");
    }
}

#[test]
fn greets_and_offers() {
    let mut server = Server::new(Arc::new(config()), Now::default(), ([192, 0, 2, 1], 1).into());
    assert_eq!(server.poll_write().as_deref(), Some(&b"220 hq.test ESMTP Skywave\r\n"[..]));
    let keywords = "hq.test,PIPELINING,SIZE 100000,8BITMIME,SMTPUTF8,CHUNKING,BINARYMIME,DSN,ENHANCEDSTATUSCODES,\
                    MT-PRIORITY STANAG4406,DELIVERBY,STARTTLS";
    let offer: String = keywords.split(',').map(|keyword| format!("250-{keyword}\r\n")).collect();
    assert_eq!(talk(&[EHLO]).heard, offer + "250 HELP\r\n");
}

#[test]
fn extensions_that_are_off_are_not_offered() {
    let bare = ServerConfig { extensions: Extensions::NONE, auth_required: true, ..config() };
    let mut talk = Talk::new(bare);
    talk.say(EHLO.as_bytes()).say(b"MAIL FROM:<>\r\n");
    assert_eq!(talk.heard, "250-hq.test\r\n250 HELP\r\n530 authentication required\r\n");
}

/// Where users submit, nothing begins before AUTH, whatever is said and in whatever order; what follows BDAT is no command.
#[test]
fn a_submission_port_takes_nothing_without_auth() {
    let mut extensions = Extensions::SERVER;
    extensions.auth = true;
    for (in_clear, words) in [(true, "authentication required"), (false, "send STARTTLS, then AUTH")] {
        let config = ServerConfig { auth_required: true, auth_in_clear: in_clear, tls: true, extensions, ..config() };
        let mut talk = Talk::new(config);
        talk.say(EHLO.as_bytes());
        talk.say(b"RCPT TO:<b@x>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@x>\r\nDATA\r\nVRFY b\r\nNOOP\r\n");
        assert_eq!(talk.codes(), "250 530 530 530 530 530 250", "{}", talk.heard);
        assert!(talk.heard.contains(words), "{}", talk.heard);
        talk.say(b"BDAT 6 LAST\r\nNOOP\r\n").say(b"NOOP\r\n");
        assert!(talk.codes().ends_with("503 250"), "{}", talk.heard);
        assert_eq!(talk.mails(), 0);
        if in_clear {
            talk.say(b"AUTH PLAIN AGEAcmlnaHQ=\r\n").say(b"MAIL FROM:<a@b>\r\nRCPT TO:<b@x>\r\n");
            assert!(talk.codes().ends_with("235 250 250"), "{}", talk.heard);
        }
    }
}

#[test]
fn body_and_envelope_arrive_as_sent() {
    let mail = "MAIL FROM:<a@b> MT-PRIORITY=4 BODY=8BITMIME\r\nRCPT TO:<\"x y\"@d> NOTIFY=NEVER\r\nDATA\r\n";
    let talk = talk(&[EHLO, mail, "Subject: ä\r\n\r\n..dot\r\n.\r\n"]);
    assert_eq!(talk.body, "Subject: ä\r\n\r\n.dot\r\n".as_bytes());
    let Some(Event::Opened(envelope)) = talk.events.iter().find(|event| matches!(event, Event::Opened(_))) else {
        panic!("{:?}", talk.events)
    };
    assert_eq!(envelope.mail.mt_priority.map(|value| value.value()), Some(4));
    assert_eq!(envelope.recipients[0].to.as_str(), "\"x y\"@d");
    let facts = BodyFacts { octets: 21, eight_bit: true, line_octets: 11, binary: false };
    assert!(talk.events.contains(&Event::BodyEnd(facts)), "{:?}", talk.events);
}

/// Hostile 3: a client that speaks first.
#[test]
fn talking_before_the_greeting_is_refused() {
    let mut server = Server::new(Arc::new(config()), Now::default(), ([192, 0, 2, 1], 1).into());
    server.handle_read(Now::default(), b"EHLO c\r\n");
    assert_eq!(server.poll_event(), Some(Event::Closed(Some(SmtpFault::Pipelining("connect")))));
}

/// Hostile 4.
#[test]
fn plain_text_behind_starttls_is_discarded() {
    let talk = talk(&[EHLO, "STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x>\r\n", "MAIL FROM:<a@b>\r\n"]);
    assert_eq!(talk.codes(), "250 220 503");
    assert!(talk.events.contains(&Event::Noted(SmtpFault::PlainTextAfterStartTls(31))));
    assert!(talk.server.session().secured.is_some());
}

/// Hostile 6.
#[test]
fn what_is_too_long_is_refused() {
    let line = "x".repeat(1 << 20);
    let mut talk = in_data(ServerConfig { size_max: 1 << 22, ..config() });
    talk.say(format!("\r\n{line}\r\n.\r\nNOOP\r\n").as_bytes());
    assert_eq!((talk.codes().as_str(), talk.aborted(), talk.body.len()), ("250 250 250 354 554 250", 1, 0));
    talk.say(ENVELOPE.as_bytes()).say(b"DATA\r\n").say("x: y\r\n".repeat(1 << 18).as_bytes()).say(b".\r\n");
    assert!(talk.heard.ends_with("header too large, 262144 octets are allowed\r\n"), "{}", talk.heard);
    talk.say(format!("MAIL FROM:<{line}@x>\r\n").as_bytes());
    assert!(talk.heard.contains("500 5.5.2 command line too long"));
    assert!(talk.closed());
}

/// Hostile 6.
#[test]
fn a_hundred_thousand_recipients_cost_nothing() {
    let mut talk = Talk::new(config());
    talk.say(EHLO.as_bytes()).say(b"MAIL FROM:<>\r\n");
    let many = "RCPT TO:<c@d>\r\n".repeat(1000);
    for _ in 0..100 {
        talk.say(many.as_bytes());
    }
    assert_eq!(talk.count(|event| matches!(event, Event::Recipient(_))), 3);
    talk.say(b"DATA\r\n").say(b".\r\n");
    assert!(talk.heard.ends_with("354 end data with <CR><LF>.<CR><LF>\r\n250 2.0.0 queued\r\n"));
}

#[test]
fn errors_and_idle_commands_end_the_connection() {
    for (command, count) in [("FOO\r\n", limits::ERRORS_MAX + 1), ("NOOP\r\n", limits::IDLE_COMMANDS_MAX + 1)] {
        let mut talk = Talk::new(config());
        for _ in 0..count {
            assert!(!talk.closed());
            talk.say(command.as_bytes());
        }
        assert!(talk.closed() && talk.codes().ends_with("421"));
    }
}

/// Hostile 8: octets that trickle do not keep a connection.
#[test]
fn slow_lorises_run_out_of_time() {
    let mut command = Talk::new(config());
    for octet in "MAIL FROM:<a@b>".bytes() {
        command.say(&[octet]).wait(60);
    }
    assert!(command.closed() && command.codes() == "421", "{}", command.heard);
    let mut body = in_data(config());
    body.say(&[b'x'; 1023]).wait(180);
    assert!(body.closed() && body.aborted() == 1, "{}", body.heard);
    let mut steady = in_data(config());
    for _ in 0..20 {
        steady.say(&b"x\r\n".repeat(400)).wait(180);
    }
    assert!(!steady.closed());
}

/// Hostile 8: a thousand of them hold little, and all are gone after five minutes.
#[test]
fn a_thousand_slow_lorises_hold_little() {
    let mut talks: Vec<Talk> = (0..1000).map(|_| Talk::new(config())).collect();
    for _ in 0..5 {
        for talk in &mut talks {
            talk.say(b"M");
            assert!(talk.server.input.capacity() <= limits::COMMAND_OCTETS_MAX);
            talk.wait(60);
        }
    }
    assert!(talks.iter().all(Talk::closed) && size_of::<Server>() < 2048, "{}", size_of::<Server>());
}

#[test]
fn pauses_while_the_gateway_owes_an_answer() {
    let mut server = Server::new(Arc::new(config()), Now::default(), ([192, 0, 2, 1], 1).into());
    let now = Now::default();
    assert!(server.poll_write().is_some());
    server.handle_read(now, EHLO.as_bytes());
    server.handle_read(now, ENVELOPE.as_bytes());
    let _ = server.poll_write();
    assert!(matches!(server.poll_event(), Some(Event::Sender { .. })));
    assert_eq!((server.poll_event(), server.next_wakeup()), (None, None));
    assert!(!server.wants_pause());
    server.handle_read(now, &b"RCPT TO:<c@d>\r\n".repeat(2000));
    assert!(server.wants_pause());
}

#[test]
fn pauses_while_the_gateway_owes_storage_and_does_not_blame_the_peer() {
    let mut talk = in_data(ServerConfig { size_max: 1 << 30, ..config() });
    talk.say(b"\r\n");
    talk.server.handle_read(talk.now, &b"0123456789abcdef\r\n".repeat(20_000));
    assert!(talk.server.wants_pause());
    for _ in 0..3 {
        talk.now = talk.now.after(limits::BODY_WAIT);
        talk.server.handle_wakeup(talk.now);
    }
    talk.drain();
    assert!(!talk.server.wants_pause() && !talk.closed());
}

#[test]
fn a_kept_connection_does_not_owe_for_mails_that_are_over() {
    let mut talk = Talk::new(ServerConfig { size_max: 90_000, ..config() });
    talk.tells_taken = false; // The news that a mail's last pieces are stored come after its end, or never.
    talk.say(EHLO.as_bytes());
    let (good, large) = (b"0123456789abcdef\r\n".repeat(4000), b"0123456789abcdef\r\n".repeat(6000));
    for text in [&good, &large].repeat(10) {
        talk.say(ENVELOPE.as_bytes()).say(b"DATA\r\n").say(text).say(b".\r\n");
        assert!(!talk.server.wants_pause());
        talk.say(ENVELOPE.as_bytes()).say(b"BDAT 72000\r\n").say(&good).say(b"RSET\r\n");
        assert!(!talk.server.wants_pause());
    }
    assert_eq!((talk.mails(), talk.aborted()), (10, 30));
}

#[test]
fn a_verdict_may_come_early() {
    let mut talk = in_data(config());
    talk.say(b"x\r\n");
    talk.server.finish(Now::default(), Reply::new(452, (3, 1), "disk full"));
    talk.say(b"y\r\n.\r\nNOOP\r\n");
    assert_eq!((talk.codes().as_str(), talk.mails(), talk.aborted()), ("250 250 250 354 452 250", 0, 0));
}

#[test]
fn a_verdict_cannot_end_a_line_early() {
    let mut talk = in_data(config());
    talk.verdict = Reply::new(554, (6, 0), "loop\r\nMAIL");
    talk.say(b".\r\n");
    assert!(talk.heard.ends_with("554 5.6.0 loop\\r\\nMAIL\r\n"));
}

#[test]
fn a_lost_peer_aborts() {
    let mut talk = in_data(config());
    talk.server.handle_closed();
    talk.drain();
    assert!(talk.closed() && talk.aborted() == 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Any mixture of fragments, cut anywhere: no panic, and every mail begun ends in exactly one way.
    #[test]
    fn any_input_is_survived(
        parts in proptest::collection::vec(0usize..14, 0..30), cut in 1usize..40, slow: bool, every in 1usize..5,
    ) {
        const PARTS: [&str; 14] = [
            "EHLO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n", "DATA\r\n", "x\r\n.\r\n", ".\r\n", "BDAT 5\r\n",
            "BDAT 3 LAST\r\nabc", "RSET\r\n", "STARTTLS\r\n", "AUTH LOGIN\r\n", "*\r\n", "\u{1}\r\n",
            "MAIL FROM:<> BODY=BINARYMIME\r\n",
        ];
        let input: String = parts.iter().map(|&part| PARTS[part]).collect();
        let mut talk = Talk::new(config());
        talk.slow = slow;
        for (number, piece) in input.as_bytes().chunks(cut).enumerate() {
            talk.say(piece);
            if number % every == 0 {
                talk.catch_up();
                talk.slow = slow;
            }
        }
        talk.catch_up();
        talk.server.handle_closed();
        talk.catch_up();
        let opened = talk.count(|event| matches!(event, Event::Sender { .. }));
        prop_assert_eq!(opened, talk.mails() + talk.aborted());
        prop_assert_eq!(talk.count(|event| matches!(event, Event::Closed(_))), 1);
    }
}

//! Batches that arrive by radio and are not what they should be: inputs 9 to 12 in the carriage without MULE.

use skywave::node::Input;
use skywave::node::command::{Command, Reply};
use skywave::telemetry::Event;
use skywave::world::plan::LinkKind;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::rcop::Header;
use skywave_protocols::s5066::segment::Segments;
use skywave_protocols::s5066::sis::fields::{SapId, TransmissionMode};
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::unidata::UnidataIndication;
use skywave_transports::batch::BatchConfig;
use skywave_transports::io::{PipeId, PipeInput};

use super::lone::Lone;
use super::plan;

/// A site whose node a test plays.
struct Field {
    lone: Lone,
    pipe: PipeId,
    own: NodeAddress,
    peer: NodeAddress,
    units: u8,
}

impl Field {
    fn new() -> Self {
        let plan = plan(&["hq", "field"], &[LinkKind::Batch]);
        let mut lone = Lone::new(plan.site(1));
        let pipe = lone.opened[0];
        lone.feed(Input::Pipe(pipe, PipeInput::Opened));
        let accepted = Primitive::BindAccepted { sap: SapId::RCOP, mtu: 2048 };
        let [peer, own] = [0, 1].map(|site| plan.address(site).parse().unwrap());
        let mut field = Self { lone, pipe, own, peer, units: 0 };
        field.primitive(&accepted);
        field
    }

    fn primitive(&mut self, primitive: &Primitive) {
        let octets = primitive.encode().unwrap();
        self.lone.feed(Input::Pipe(self.pipe, PipeInput::Read(octets)));
    }

    /// A unit comes by ARQ, in segments as this house cuts them.
    fn unit(&mut self, unit: &[u8]) {
        let port = BatchConfig::rcop(Default::default()).port;
        let segments = Segments::new(unit, 2_000).unwrap();
        self.units += 1;
        for number in 0..segments.count() as u16 {
            let header = Header {
                connection: port.connection,
                u_pdu_id: self.units,
                segment: number,
                application: port.application,
            };
            self.primitive(&Primitive::UnidataIndication(UnidataIndication {
                priority: 3,
                sap: port.sap,
                destination: self.own,
                transmission: TransmissionMode::Arq,
                source_sap: port.sap,
                source: self.peer,
                errored: Vec::new(),
                missing: Vec::new(),
                u_pdu: header.encode(&segments.segment(number).unwrap()),
            }));
        }
    }

    fn notices(&self, named: &str) -> usize {
        self.lone.told.iter().filter(|event| matches!(event, Event::Notice { name, .. } if name == named)).count()
    }

    /// Recipients of what is to be handed over; each is taken.
    fn handed_over(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while !self.lone.hand_overs.is_empty() {
            let hand_over = self.lone.answer(250);
            all.extend(hand_over.envelope.recipients.iter().map(|recipient| recipient.to.as_str().to_owned()));
        }
        all
    }
}

const ENVELOPE: &str = "MAIL FROM:<x@far.test>\r\nRCPT TO:<b@field.test>\r\n";

/// Nothing that was meant to be mail disappears without a word: what can be read is delivered, the unit is kept and
/// counted as soon as a part of it cannot, and the carrier's part is done.
#[test]
fn hostile_batches_are_set_aside_counted_and_shown() {
    let long = format!("EHLO x\r\n{ENVELOPE}DATA\r\n{}\r\n.\r\nQUIT\r\n", "x".repeat(70_000));
    let good = format!("{ENVELOPE}DATA\r\nSubject: good\r\n\r\nx\r\n.\r\n");
    let many =
        format!("MAIL FROM:<x@far.test>\r\n{}DATA\r\n\r\nx\r\n.\r\n", "RCPT TO:<b@field.test>\r\n".repeat(1_002));
    let flood = good.repeat(1_100);
    let rows: [(&str, String, usize, &str); 14] = [
        ("no batch at all", "\0\u{ff} no batch".to_owned(), 0, "unit_unreadable"),
        ("a word", "hello\r\n".to_owned(), 0, "unit_unreadable"),
        ("cut in the envelope", ENVELOPE.to_owned(), 0, "unit_unreadable"),
        ("cut in the text", format!("{ENVELOPE}DATA\r\nx\r\n"), 0, "unit_unreadable"),
        ("a line without end", long, 0, "unit_unreadable"),
        ("no recipient", "MAIL FROM:<x@far.test>\r\nDATA\r\n\r\nx\r\n.\r\nQUIT\r\n".to_owned(), 0, "unit_unreadable"),
        ("smuggling", format!("{ENVELOPE}DATA\r\nx\r\n.\n{good}"), 0, "unit_unreadable"),
        ("a bare LF", format!("{ENVELOPE}DATA\r\nx\n.\n{good}"), 0, "unit_unreadable"),
        ("a NUL", format!("{ENVELOPE}DATA\r\n\0\r\n.\r\n{good}"), 0, "unit_unreadable"),
        ("good, then cut", format!("{good}{ENVELOPE}DATA\r\nx"), 1, "unit_read_in_part"),
        ("good, then more", format!("{good}QUIT\r\ngarbage"), 1, "unit_read_in_part"),
        ("bad, then good", format!("MAIL FROM:<x y>\r\n{good}QUIT\r\n"), 1, "unit_read_in_part"),
        ("recipients beyond the limit", many, 1_000, "unit_read_in_part"),
        ("mails beyond the limit", flood, 1_000, "unit_read_in_part"),
    ];
    for (name, unit, reached, notice) in rows {
        let mut field = Field::new();
        field.unit(unit.as_bytes());
        let to = field.handed_over();
        assert!(to.iter().all(|to| to == "b@field.test"), "{name}: {to:?}");
        assert_eq!((to.len(), field.notices(notice)), (reached, 1), "{name}: {:?}", field.lone.told);
        let Some(Reply::Ok(kept)) = field.lone.ask(Command::QueueQuarantine { number: None }) else { panic!() };
        assert_eq!(kept["units"].as_array().map(Vec::len), Some(1), "{name}: {kept}");
        // It says the same again: nothing more comes of it.
        field.unit(unit.as_bytes());
        assert_eq!((field.handed_over().len(), field.notices(notice)), (0, 1), "{name}");
    }
}

/// Inputs 11 and 12: addresses that would say more than an address cost only their recipient.
#[test]
fn hostile_addresses_in_a_batch_cost_nobody_else_the_mail() {
    let mut field = Field::new();
    let to = [
        "<b@field.test>",
        "<c@field.test> ORCPT=rfc822;c+0D+0ARCPT+20TO:<f@field.test>",
        "<@relay.test,@other.test:g@field.test>",
        "<h%elsewhere.test@field.test>",
        "<\"i\u{0}\"@field.test>",
        &format!("<b@{}.field.test>", "x".repeat(4_000)),
        "<j@field.test> NOTIFY=NEVER,SUCCESS",
    ];
    let lines: String = to.iter().map(|to| format!("RCPT TO:{to}\r\n")).collect();
    field.unit(
        format!("EHLO x\r\nMAIL FROM:<x@far.test>\r\n{lines}DATA\r\nSubject: all\r\n\r\nx\r\n.\r\nQUIT\r\n").as_bytes(),
    );
    let reached = field.handed_over();
    assert!(!reached.iter().any(|to| to.starts_with('f')), "{reached:?}");
    assert!(reached.iter().all(|to| !to.contains(['\r', '\n', '\0']) && to.len() < 300), "{reached:?}");
    let told =
        field.notices("unit_unreadable") + field.notices("unit_read_in_part") + field.notices("recipients_refused");
    assert!(told > 0, "{:?}", field.lone.told);
}

/// Anything in a unit: the site lives, holds nothing of it open, and the next mail passes.
#[test]
fn altered_batches_do_no_harm() {
    use skywave_protocols::random::{Random as _, Seeded};
    let good = format!("EHLO x\r\n{ENVELOPE}DATA\r\nSubject: good\r\n\r\nx\r\n.\r\nQUIT\r\n").into_bytes();
    let (mut field, mut random) = (Field::new(), Seeded::new(3));
    for _ in 0..200 {
        let mut unit = good.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(unit.len() as u64) as usize;
            match random.below(3) {
                0 => unit[at] ^= 1 << random.below(8),
                1 => unit.truncate(at.max(1)),
                _ => drop(unit.splice(at..at, Bytes::from_static(b"\r\n.\r\n"))),
            }
        }
        field.unit(&unit);
        let to = field.handed_over();
        assert!(to.len() <= 4, "{to:?}");
    }
    field.unit(&good.repeat(2)[..good.len()]);
    let mut last = good.clone();
    last.splice(8..8, *b"yz");
    field.unit(&last);
    assert_eq!(field.handed_over().last().map(String::as_str), Some("b@field.test"));
}

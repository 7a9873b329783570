//! What comes from XMPP servers.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::Duration;
use skywave_protocols::xmpp::door::{
    ComponentConfig, ConnId, ConnInput, Door, DoorConfig, DoorEvent, DoorOutput, LocalServer,
};
use skywave_protocols::xmpp::limits::ReaderLimits;
use skywave_protocols::xmpp::{Item, Stanza, StreamReader};

use super::{BEGIN, drain, later};

/// Octets of a stream, with and without a header, whole and octet by octet. Each stanza must be readable in its canonical
/// form. How many stanzas were taken.
pub fn stanza(octets: &[u8]) -> usize {
    let strict = ReaderLimits { stanza_octets: 16 << 10, elements: 64, skipped_octets: 0 };
    let mut taken = 0;
    for headless in [false, true] {
        let whole = items(octets, octets.len().max(1), headless, strict);
        let bytewise = items(octets, 1, headless, strict);
        // Where a limit is not the end of the stream, nothing but the end may come of it.
        items(octets, 7, headless, ReaderLimits { skipped_octets: 32 << 10, ..strict });
        // Which of two faults is found first may depend on the cut; that there is one may not.
        assert_eq!(whole, bytewise, "the cut of the input must not matter");
        for item in whole.0 {
            let Item::Element(element) = item else { continue };
            let Ok(stanza) = Stanza::from_element(element) else { continue };
            taken += 1;
            if stanza.fits(ReaderLimits::LAN) {
                assert_eq!(Stanza::parse(&stanza.octets()).as_ref(), Ok(&stanza), "canonical octets must be read back");
            }
        }
    }
    taken
}

fn items(octets: &[u8], piece: usize, headless: bool, limits: ReaderLimits) -> (Vec<Item>, bool) {
    let mut reader = if headless { StreamReader::headless(limits) } else { StreamReader::new(limits) };
    let mut items = Vec::new();
    // A carriage return at the end waits for what follows it, and so does a fault in the text before it.
    for part in octets.chunks(piece).chain([&b"<"[..]]) {
        reader.read(part);
        loop {
            match reader.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(_) => return (items, true),
            }
        }
    }
    (items, false)
}

fn config(own_certificate: bool) -> DoorConfig {
    DoorConfig {
        fronted: vec!["field.test".to_owned(), ".field.test".to_owned()],
        locals: vec![LocalServer::at(vec!["*".to_owned()], "server:5269".to_owned())],
        dialback_secret: "secret".to_owned(),
        certificate: own_certificate.then(|| "own".to_owned()),
        tls_required: false,
        ..DoorConfig::default()
    }
}

/// A server that connects, and one that is connected to: dialback in all roles, EXTERNAL, both ways, stream management.
/// A line that says `TLS` finishes TLS, `WAIT` lets a minute pass. How many stanzas arrived or were handed over.
pub fn xmpp_stream(octets: &[u8]) -> usize {
    let Some((&choice, words)) = octets.split_first() else { return 0 };
    let mut hand = Hand::new(config(choice & 1 == 0));
    if choice & 2 == 0 {
        hand.accept(choice & 4 != 0);
    } else {
        let stanza = Stanza::parse(b"<message to='b@hq.test' from='a@field.test'><body>x</body></message>");
        if let Ok(stanza) = stanza {
            hand.door.deliver(BEGIN, 1, stanza);
        }
    }
    hand.play(words);
    hand.stop()
}

/// A component and its server. How many stanzas arrived or were handed over.
pub fn xmpp_component(octets: &[u8]) -> usize {
    let component = ComponentConfig {
        name: "field.test".to_owned(),
        target: "server:5347".to_owned(),
        secret: "secret".to_owned(),
        locals: vec!["*".to_owned()],
    };
    let mut hand = Hand::new(DoorConfig { components: vec![component], ..config(false) });
    let stanza = Stanza::parse(b"<message to='b@hq.test' from='a@field.test'><body>x</body></message>");
    if let Ok(stanza) = stanza {
        hand.door.deliver(BEGIN, 1, stanza);
    }
    hand.door.handle_wakeup(hand.now);
    hand.play(octets);
    hand.stop()
}

/// Plays the servers of a door: each says the same words.
struct Hand {
    door: Door,
    now: skywave_protocols::time::Now,
    conns: Vec<ConnId>,
    securing: Vec<ConnId>,
    reached: usize,
    open_tokens: i64,
}

impl Hand {
    fn new(config: DoorConfig) -> Self {
        let door = Door::new(config, Box::new(Seeded::new(7)));
        Self { door, now: BEGIN, conns: Vec::new(), securing: Vec::new(), reached: 0, open_tokens: 0 }
    }

    fn accept(&mut self, direct_tls: bool) {
        let conn = ConnId(1 << 63);
        self.conns.push(conn);
        self.door.accepted(self.now, conn, direct_tls, ([127, 0, 0, 1], 40_000).into());
    }

    fn play(&mut self, words: &[u8]) {
        self.listen();
        for line in words.split_inclusive(|octet| *octet == b'\n') {
            match line.trim_ascii_end() {
                b"TLS" => {
                    for conn in std::mem::take(&mut self.securing) {
                        let peer_names = vec!["hq.test".to_owned()];
                        self.input(conn, ConnInput::Secured { peer_names, alpn: None });
                    }
                }
                b"WAIT" => self.wait(),
                _ => {
                    for conn in self.conns.clone() {
                        self.input(conn, ConnInput::Read(Bytes::copy_from_slice(line)));
                    }
                }
            }
        }
        self.wait();
    }

    fn stop(mut self) -> usize {
        self.door.stop(self.now);
        self.listen();
        assert_eq!(self.door.describe().streams, [], "all streams end when the door stops");
        self.reached
    }

    fn wait(&mut self) {
        self.now = later(self.now, Duration::from_secs(60));
        drain(|| {
            let due = self.door.next_wakeup().is_some_and(|wakeup| wakeup.at <= self.now.mono);
            if due {
                self.door.handle_wakeup(self.now);
            }
            due
        });
        self.listen();
    }

    fn input(&mut self, conn: ConnId, input: ConnInput) {
        self.door.handle(self.now, conn, input);
        self.listen();
    }

    fn listen(&mut self) {
        let mut turns = 0;
        while let Some(output) = self.door.poll() {
            turns += 1;
            assert!(turns < super::TURNS_MAX, "the door never rests");
            match output {
                DoorOutput::Open(conn, _) => {
                    self.conns.push(conn);
                    self.door.handle(self.now, conn, ConnInput::Opened);
                }
                DoorOutput::Write(conn, octets) => {
                    assert!(!octets.is_empty() && self.conns.contains(&conn), "words on a connection that is closed");
                    self.door.handle(self.now, conn, ConnInput::Drained(u64::MAX));
                }
                DoorOutput::Close(conn) => self.conns.retain(|it| *it != conn),
                DoorOutput::Secure(conn, _) => self.securing.push(conn),
                DoorOutput::Pause(_) | DoorOutput::Resume(_) | DoorOutput::Resolve(..) => {}
                DoorOutput::Event(event) => self.told(event),
            }
        }
    }

    fn told(&mut self, event: DoorEvent) {
        match event {
            DoorEvent::Arrived { arrival, stanza } => {
                let ours = |domain: &str| domain == "field.test" || domain.ends_with(".field.test");
                assert!(ours(stanza.to().domain().as_str()), "a stanza for somebody else");
                assert!(!ours(stanza.from().domain().as_str()), "a stanza from ourselves");
                self.reached += 1;
                self.door.taken(self.now, arrival);
            }
            DoorEvent::HandedOver { .. } | DoorEvent::Returned { .. } | DoorEvent::Refused { .. } => {
                self.open_tokens += 1;
                assert!(self.open_tokens <= 1, "one stanza ends once");
                self.reached += usize::from(matches!(event, DoorEvent::HandedOver { .. }));
            }
            DoorEvent::Up { .. } | DoorEvent::Down { .. } | DoorEvent::Notice { .. } => {}
        }
    }
}

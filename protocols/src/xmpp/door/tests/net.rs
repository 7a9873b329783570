//! The wires between doors, and the hands of a test that plays a server itself.

use std::collections::{BTreeMap, VecDeque};

use super::super::*;
use crate::random::Seeded;
use crate::time::{Now, WallTime};

/// The header of hq's server, to field.
pub const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
     xmlns:stream='http://etherx.jabber.org/streams' from='hq.example' to='field.example' version='1.0'>";

/// A door of the test, by its index.
pub type Site = usize;

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// A door's.
    Door(Site, ConnId),
    /// The test's own.
    Hand(u64),
}

/// Doors and wires. Octets travel at once, in the order written.
pub struct Net {
    pub doors: Vec<Door>,
    pub now: Now,
    /// Names that a door's certificate proves.
    pub names: Vec<Vec<String>>,
    /// Who listens where; a hand where no door is named.
    pub listeners: BTreeMap<String, Option<(Site, bool)>>,
    /// What DNS knows.
    pub dns: BTreeMap<String, Found>,
    /// Events of each door.
    pub events: Vec<Vec<DoorEvent>>,
    /// What a hand read.
    pub read: BTreeMap<u64, Vec<u8>>,
    /// Whether a hand's other end has closed.
    pub closed: BTreeMap<u64, bool>,
    /// Whether arrivals are taken at once.
    pub takes: bool,
    /// Octets that travel at one time.
    pub piece: usize,
    /// Connections that were opened.
    pub opened: Vec<String>,
    /// All octets that doors wrote in clear, in order.
    pub transcript: String,
    pub paused: Vec<(Site, ConnId)>,
    /// Whether what doors write leaves at once, and how many writes there were.
    pub drains: bool,
    writes: BTreeMap<(Site, ConnId), u64>,
    wires: BTreeMap<End, End>,
    securing: BTreeMap<End, DoorSecure>,
    inbox: VecDeque<(Site, ConnId, ConnInput)>,
    next: u64,
}

impl Net {
    pub fn new(configs: Vec<DoorConfig>) -> Self {
        let doors: Vec<Door> = configs
            .into_iter()
            .enumerate()
            .map(|(site, config)| Door::new(config, Box::new(Seeded::new(site as u64 + 7))))
            .collect();
        let count = doors.len();
        Self {
            doors,
            now: Now::default().after(Duration::from_secs(1000)),
            names: vec![Vec::new(); count],
            listeners: BTreeMap::new(),
            dns: BTreeMap::new(),
            events: vec![Vec::new(); count],
            read: BTreeMap::new(),
            closed: BTreeMap::new(),
            takes: true,
            piece: usize::MAX,
            opened: Vec::new(),
            transcript: String::new(),
            paused: Vec::new(),
            drains: true,
            writes: BTreeMap::new(),
            wires: BTreeMap::new(),
            securing: BTreeMap::new(),
            inbox: VecDeque::new(),
            next: 0,
        }
    }

    /// Lets all happen that happens without time.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for site in 0..self.doors.len() {
                while let Some(output) = self.doors[site].poll() {
                    moved = true;
                    self.on_output(site, output);
                }
            }
            while let Some((site, conn, input)) = self.inbox.pop_front() {
                moved = true;
                self.doors[site].handle(self.now, conn, input);
                while let Some(output) = self.doors[site].poll() {
                    self.on_output(site, output);
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets time pass, with all wakeups on the way.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now.mono + span;
        self.settle();
        while let Some(at) = self.doors.iter().filter_map(Door::next_wakeup).map(|wakeup| wakeup.at).min() {
            if at > until {
                break;
            }
            self.set_time(at.max(self.now.mono));
            for door in &mut self.doors {
                if door.next_wakeup().is_some_and(|wakeup| wakeup.at <= self.now.mono) {
                    door.handle_wakeup(self.now);
                }
            }
            self.settle();
        }
        self.set_time(until);
    }

    fn set_time(&mut self, at: Instant) {
        let wall = WallTime::from_unix_micros(at.as_micros());
        self.now = Now { mono: at, wall };
    }

    pub fn deliver(&mut self, site: Site, token: u64, text: &str) {
        let stanza = Stanza::parse(text.as_bytes()).unwrap();
        self.doors[site].deliver(self.now, token, stanza);
        self.settle();
    }

    /// A hand connects to a door.
    pub fn dial(&mut self, site: Site, direct_tls: bool) -> u64 {
        self.dial_from(site, direct_tls, [127, 0, 0, 1])
    }

    /// The same from this address.
    pub fn dial_from(&mut self, site: Site, direct_tls: bool, address: [u8; 4]) -> u64 {
        self.next += 1;
        let hand = self.next;
        let conn = ConnId(1 << 63 | hand);
        self.wire(End::Hand(hand), End::Door(site, conn));
        self.doors[site].accepted(self.now, conn, direct_tls, (address, 40_000).into());
        self.settle();
        hand
    }

    /// A server that is known by its certificate, on a stream for both directions.
    pub fn dial_known(&mut self) -> u64 {
        let hand = self.dial(0, true);
        self.secure(hand, &["hq.example"]);
        self.say(hand, OPEN);
        self.say(
            hand,
            "<bidi xmlns='urn:xmpp:bidi'/><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
        );
        self.say(hand, OPEN);
        hand
    }

    /// A hand says something; what it has read so far, since it was last asked.
    pub fn say(&mut self, hand: u64, text: &str) -> String {
        self.push(End::Hand(hand), text.as_bytes());
        self.settle();
        self.heard(hand)
    }

    pub fn heard(&mut self, hand: u64) -> String {
        String::from_utf8(self.read.remove(&hand).unwrap_or_default()).unwrap()
    }

    /// Both ends of a hand's connection finish TLS; the names that the hand's certificate proves.
    pub fn secure(&mut self, hand: u64, names: &[&str]) {
        let Some(End::Door(site, conn)) = self.wires.get(&End::Hand(hand)).copied() else { panic!("no wire") };
        assert!(self.securing.remove(&End::Door(site, conn)).is_some(), "the door did not ask for TLS");
        let peer_names = names.iter().map(|name| (*name).to_owned()).collect();
        self.inbox.push_back((site, conn, ConnInput::Secured { peer_names, alpn: None }));
        self.settle();
    }

    /// What TLS was asked for at the door's end of a hand's connection.
    pub fn securing(&self, hand: u64) -> Option<&DoorSecure> {
        self.wires.get(&End::Hand(hand)).and_then(|end| self.securing.get(end))
    }

    /// Cuts all connections, as a lost network does.
    pub fn cut(&mut self) {
        for (end, _) in std::mem::take(&mut self.wires) {
            if let End::Door(site, conn) = end {
                self.inbox.push_back((site, conn, ConnInput::Closed(Some("reset".to_owned()))));
            }
        }
        self.settle();
    }

    pub fn hang_up(&mut self, hand: u64) {
        self.unwire(End::Hand(hand));
        self.settle();
    }

    /// The events of a door since it was last asked, without notices.
    pub fn events(&mut self, site: Site) -> Vec<DoorEvent> {
        let all = std::mem::take(&mut self.events[site]);
        all.into_iter().filter(|event| !matches!(event, DoorEvent::Notice { .. })).collect()
    }

    /// The stanzas that arrived at a door since it was last asked.
    pub fn arrived(&mut self, site: Site) -> Vec<String> {
        let all = self.events(site);
        all.into_iter()
            .filter_map(|event| match event {
                DoorEvent::Arrived { stanza, .. } => Some(String::from_utf8(stanza.octets()).unwrap()),
                _ => None,
            })
            .collect()
    }

    /// Names of the notices of a door.
    pub fn notices(&mut self, site: Site) -> Vec<&'static str> {
        self.events[site]
            .iter()
            .filter_map(|event| match event {
                DoorEvent::Notice { name, .. } => Some(*name),
                _ => None,
            })
            .collect()
    }

    /// Writes on the connections of a door so far.
    pub fn writes(&self, site: Site) -> u64 {
        self.writes.iter().filter(|((of, _), _)| *of == site).map(|(_, writes)| writes).sum()
    }

    /// The first so many writes of the only connection of a door have left.
    pub fn left(&mut self, site: Site, writes: u64) {
        let conn = *self.doors[site].conns.keys().next().unwrap();
        self.inbox.push_back((site, conn, ConnInput::Drained(writes)));
        self.settle();
    }

    /// How many connections there are.
    pub fn wires(&self) -> usize {
        self.wires.len() / 2
    }

    fn wire(&mut self, a: End, b: End) {
        self.wires.insert(a, b);
        self.wires.insert(b, a);
    }

    fn unwire(&mut self, end: End) {
        let Some(other) = self.wires.remove(&end) else { return };
        self.wires.remove(&other);
        self.securing.remove(&end);
        match other {
            End::Door(site, conn) => self.inbox.push_back((site, conn, ConnInput::Closed(None))),
            End::Hand(hand) => {
                self.closed.insert(hand, true);
            }
        }
    }

    fn push(&mut self, from: End, octets: &[u8]) {
        match self.wires.get(&from).copied() {
            Some(End::Door(site, conn)) => {
                for piece in octets.chunks(self.piece) {
                    self.inbox.push_back((site, conn, ConnInput::Read(Bytes::copy_from_slice(piece))));
                }
            }
            Some(End::Hand(hand)) => self.read.entry(hand).or_default().extend_from_slice(octets),
            None => {}
        }
    }

    fn on_output(&mut self, site: Site, output: DoorOutput) {
        match output {
            DoorOutput::Open(conn, target) => self.open(site, conn, target),
            DoorOutput::Write(conn, octets) => {
                self.transcript.push_str(&String::from_utf8_lossy(&octets));
                self.push(End::Door(site, conn), &octets);
                let writes = self.writes.entry((site, conn)).or_default();
                *writes += 1;
                if self.drains {
                    self.inbox.push_back((site, conn, ConnInput::Drained(*writes)));
                }
            }
            DoorOutput::Close(conn) => self.unwire(End::Door(site, conn)),
            DoorOutput::Pause(conn) => self.paused.push((site, conn)),
            DoorOutput::Resume(conn) => self.paused.retain(|it| *it != (site, conn)),
            DoorOutput::Secure(conn, secure) => self.on_secure(End::Door(site, conn), secure),
            DoorOutput::Resolve(number, lookup) => {
                let DoorLookup::Srv(name) = lookup else { panic!("only services are looked up") };
                let found = self.dns.get(&name).cloned().unwrap_or(Found::Nothing);
                self.doors[site].resolved(self.now, number, found);
            }
            DoorOutput::Event(event) => {
                if let DoorEvent::Arrived { arrival, .. } = event
                    && self.takes
                {
                    self.doors[site].taken(self.now, arrival);
                }
                self.events[site].push(event);
            }
        }
    }

    fn open(&mut self, site: Site, conn: ConnId, target: String) {
        self.opened.push(target.clone());
        self.next += 1;
        match self.listeners.get(&target) {
            None => self.inbox.push_back((site, conn, ConnInput::Refused("connection refused".to_owned()))),
            Some(None) => {
                self.wire(End::Door(site, conn), End::Hand(self.next));
                self.inbox.push_back((site, conn, ConnInput::Opened));
            }
            Some(&Some((other, direct_tls))) => {
                let accepted = ConnId(1 << 63 | self.next);
                self.wire(End::Door(site, conn), End::Door(other, accepted));
                self.doors[other].accepted(self.now, accepted, direct_tls, ([127, 0, 0, 1], 40_000).into());
                self.inbox.push_back((site, conn, ConnInput::Opened));
            }
        }
    }

    /// The number of the hand that was connected to last.
    pub fn hand(&self) -> u64 {
        self.next
    }

    fn on_secure(&mut self, end: End, secure: DoorSecure) {
        self.securing.insert(end, secure);
        let Some(other) = self.wires.get(&end).copied() else { return };
        if !self.securing.contains_key(&other) {
            return;
        }
        for (end, peer) in [(end, other), (other, end)] {
            let (End::Door(site, conn), End::Door(peer_site, _)) = (end, peer) else { continue };
            let peer_shows = self.securing.get(&peer).is_some_and(|secure| secure.certificate.is_some());
            let wants = self.securing.get(&end).is_some_and(|secure| secure.want_peer_certificate);
            let peer_names = if peer_shows && wants { self.names[peer_site].clone() } else { Vec::new() };
            self.inbox.push_back((site, conn, ConnInput::Secured { peer_names, alpn: Some("xmpp-server".into()) }));
        }
        self.securing.remove(&end);
        self.securing.remove(&other);
    }
}

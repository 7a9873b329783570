//! The layers of nodes that hear each other without a radio: which D_PDU is lost is the test's to say.

use super::*;
use crate::node::stack::Stack;
use skywave_protocols::s5066::node::dpdu::WarningReason;
use skywave_protocols::s5066::node::dts::Plan;

/// Octets of a U_PDU that fill one segment, besides its headers.
const SEGMENT_OCTETS: usize = 60;

/// Nodes in a room.
struct Room {
    setup: LinkSetup,
    stacks: Vec<Stack>,
    readers: Vec<FrameReader>,
    now: Now,
    /// What each client of RCOP was told, over all lives of its node.
    told: Vec<Vec<Primitive>>,
    restarts: u64,
}

impl Room {
    fn new(stations: u16, setup: LinkSetup) -> Self {
        let now = Now::default().after(Duration::from_secs(1000));
        let mut room = Self { setup, stacks: Vec::new(), readers: Vec::new(), now, told: Vec::new(), restarts: 0 };
        for station in 0..stations {
            room.stacks.push(room.stack(station));
            room.readers.push(FrameReader::default());
            room.told.push(Vec::new());
            room.bind(station);
        }
        room
    }

    fn stack(&self, station: u16) -> Stack {
        let mut config = StationConfig::new(address(station));
        config.server.keep_alive = None;
        config.cas.setup = self.setup;
        Stack::new(&config, &Seeded::new(100 * self.restarts + u64::from(station) + 1))
    }

    fn bind(&mut self, station: u16) {
        let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
        self.client(station, ClientInput::Accepted);
        self.say(station, &Primitive::BindRequest { sap: SapId::RCOP, rank: Rank::default(), service });
    }

    fn restart(&mut self, station: u16) {
        self.restarts += 1;
        self.stacks[usize::from(station)] = self.stack(station);
        self.readers[usize::from(station)] = FrameReader::default();
        self.bind(station);
    }

    fn say(&mut self, station: u16, primitive: &Primitive) {
        self.client(station, ClientInput::Read(primitive.encode().unwrap()));
    }

    fn client(&mut self, station: u16, input: ClientInput) {
        let stack = &mut self.stacks[usize::from(station)];
        stack.handle_client(self.now, ClientId(RCOP), input);
        stack.settle(self.now);
        self.drain();
    }

    /// A U_PDU whose C_PDU has so many segments.
    fn submit(&mut self, from: u16, to: u16, tag: u32, segments: usize, ttl_seconds: u64) {
        let request = UnidataRequest {
            priority: 6,
            sap: SapId::RCOP,
            destination: address(to),
            mode: DeliveryMode::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder),
            retransmissions: 0,
            ttl: Ttl::from_span(Duration::from_secs(ttl_seconds)),
            u_pdu: unit(tag, segments * SEGMENT_OCTETS - SEGMENT_OCTETS / 2),
        };
        self.say(from, &Primitive::UnidataRequest(request));
    }

    fn drain(&mut self) {
        for (station, stack) in self.stacks.iter_mut().enumerate() {
            while let Some((_, output)) = stack.poll() {
                let ClientOutput::Write(octets) = output else { panic!("a client was closed") };
                self.readers[station].push(&octets);
                while let Some(frame) = self.readers[station].next_frame() {
                    self.told[station].push(Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap());
                }
            }
        }
    }

    /// A transmission of a node; `lost` says which of its D_PDUs nobody hears. What it was.
    fn transmit(&mut self, from: u16, lost: impl Fn(usize, &DPdu) -> bool) -> Vec<DPdu> {
        let sender = usize::from(from);
        let pdus = self.stacks[sender].compose(self.now, &Plan::new(6000, SEGMENT_OCTETS));
        self.now = self.now.after(Duration::from_secs(5));
        for (place, pdu) in pdus.iter().enumerate().filter(|(place, pdu)| !lost(*place, pdu)) {
            let received = decode(&pdu.encode()).unwrap();
            for stack in self.stacks.iter_mut().enumerate().filter(|(station, _)| *station != sender).map(|(_, s)| s) {
                stack.heard(self.now, &received);
            }
            assert_eq!(received.pdu, *pdu, "{place}");
        }
        self.stacks[sender].sent(self.now);
        self.settle();
        pdus
    }

    /// Two nodes in turn, and nothing is lost.
    fn turns(&mut self, pair: [u16; 2], turns: usize) {
        for _ in 0..turns {
            for (from, to) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                let answered = !self.transmit(from, |_, _| false).is_empty();
                self.stacks[usize::from(to)].missed(self.now, address(from), answered);
                self.settle();
            }
        }
    }

    fn settle(&mut self) {
        for stack in &mut self.stacks {
            stack.handle_wakeup(self.now);
            stack.settle(self.now);
        }
        self.drain();
    }

    /// How often a U_PDU arrived at a node.
    fn count(&self, station: u16, wanted: u32) -> usize {
        let is_it =
            |told: &&Primitive| matches!(told, Primitive::UnidataIndication(unit) if tag(&unit.u_pdu) == wanted);
        self.told[usize::from(station)].iter().filter(is_it).count()
    }

    /// Whether a U_PDU was confirmed; `None` while nothing was said of it.
    fn is_confirmed(&self, station: u16, wanted: u32) -> Option<bool> {
        self.told[usize::from(station)].iter().find_map(|told| match told {
            Primitive::UnidataRequestConfirm(unit) if tag(&unit.leading) == wanted => Some(true),
            Primitive::UnidataRequestRejected(_, unit) if tag(&unit.leading) == wanted => Some(false),
            _ => None,
        })
    }

    fn number(&self, station: u16, pointer: &str) -> u64 {
        self.stacks[usize::from(station)].describe().pointer(pointer).and_then(serde_json::Value::as_u64).unwrap()
    }
}

/// A caller begins anew, while the other node remembers its window at any of all positions, and the beginning of what it
/// sends first is lost, or the answer to it: nothing is taken for what it is not, and everything is answered.
#[test]
fn a_caller_that_begins_anew_is_not_taken_for_its_former_self() {
    for setup in [LinkSetup::Skip, LinkSetup::Ride, LinkSetup::Reset] {
        for position in 0..256_usize {
            // D_PDUs lost of the first transmission of the new life, and whether its answer is.
            for (lost, answer_lost) in [(0, false), (1, false), (2, position % 2 == 0), (0, true)] {
                if setup != LinkSetup::Skip && (position + lost) % 3 != 0 {
                    continue;
                }
                let context = format!("{setup:?}, window at {position}, {lost} lost, answer lost: {answer_lost}");
                let mut room = Room::new(2, setup);
                for (tag, begin) in (0..position).step_by(30).enumerate() {
                    room.submit(0, 1, tag as u32, 30.min(position - begin), 36_000);
                    room.turns([0, 1], 2);
                    assert_eq!(room.is_confirmed(0, tag as u32), Some(true), "{context}");
                }
                assert_eq!(room.number(0, "/dts/segments_sent"), position as u64, "{context}");
                room.now = room.now.after(Duration::from_secs(60));
                room.submit(1, 0, 200, 2, 36_000);
                room.restart(0);
                room.submit(0, 1, 100, 3, 36_000);
                room.transmit(0, |place, _| place < lost);
                let answer = room.transmit(1, |_, _| answer_lost);
                room.stacks[0].missed(room.now, address(1), !answer_lost && !answer.is_empty());
                room.settle();
                room.submit(0, 1, 101, 1, 36_000);
                room.turns([0, 1], 12);
                for (from, to, tag) in [(0, 1, 100), (0, 1, 101), (1, 0, 200)] {
                    let (arrived, confirmed) = (room.count(to, tag), room.is_confirmed(from, tag));
                    let sound = match confirmed {
                        Some(true) => arrived == 1,
                        Some(false) => arrived <= 1,
                        None => false,
                    };
                    assert!(sound, "{context}: {tag} arrived {arrived} times, confirmed: {confirmed:?}");
                }
                if setup != LinkSetup::Reset {
                    assert_eq!(room.is_confirmed(0, 100), Some(true), "{context}: it rode");
                }
            }
        }
    }
}

/// A ride is refused after the answer to an earlier part of it was lost: nobody knows whether it arrived.
#[test]
fn what_was_taken_before_its_ride_is_refused_does_not_come_again() {
    let mut room = Room::new(3, LinkSetup::Ride);
    room.submit(0, 1, 1, 1, 36_000);
    room.transmit(0, |_, _| false);
    assert_eq!(room.count(1, 1), 1);
    room.transmit(1, |_, _| true);
    room.stacks[0].missed(room.now, address(1), false);
    // A client of the node that took it has a link for itself with a third one.
    let link = HardLink { kind: HardLinkType::Reservation, priority: 1, remote_sap: SapId::RCOP, node: address(2) };
    room.say(1, &Primitive::HardLinkEstablish(link));
    for _ in 0..6 {
        // The first node is too far from it to be told.
        for from in [1, 2] {
            room.transmit(from, |_, pdu| pdu.destination == address(0));
        }
    }
    let made = Primitive::HardLinkEstablished(HardLinkStatus::Good, link);
    assert!(room.told[1].contains(&made), "{:?}", room.told[1]);
    room.turns([0, 1], 3);
    room.say(1, &Primitive::HardLinkTerminate(address(2)));
    for _ in 0..20 {
        room.now = room.now.after(Duration::from_secs(60));
        room.turns([0, 1], 1);
        room.turns([1, 2], 1);
    }
    assert_eq!((room.count(1, 1), room.is_confirmed(0, 1)), (1, Some(false)));
    room.submit(0, 1, 2, 1, 36_000);
    room.turns([0, 1], 3);
    assert_eq!(room.is_confirmed(0, 2), Some(true));
}

/// A node begins anew and asks for a link, but what it had to say expires: it tells who still has the old one.
#[test]
fn a_node_that_asks_and_has_nothing_to_say_warns_who_sends_on_an_old_link() {
    for setup in [LinkSetup::Ride, LinkSetup::Skip] {
        let mut room = Room::new(2, setup);
        // The second one says that its sender has heard of the link.
        for tag in [1, 5] {
            room.submit(0, 1, tag, 1, 36_000);
            room.turns([0, 1], 2);
        }
        room.restart(0);
        // The channel is busy for as long as this one lives.
        room.submit(0, 1, 2, 1, 40);
        room.now = room.now.after(Duration::from_secs(60));
        room.settle();
        assert_eq!(room.is_confirmed(0, 2), Some(false));
        room.submit(1, 0, 3, 1, 36_000);
        room.turns([1, 0], 4);
        assert_eq!((room.is_confirmed(1, 3), room.count(0, 3)), (Some(false), 0), "{setup:?}: it was on the air");
        room.submit(1, 0, 4, 1, 36_000);
        room.turns([1, 0], 2);
        assert_eq!((room.is_confirmed(1, 4), room.count(0, 4)), (Some(true), 1), "{setup:?}");
        assert!(room.number(0, "/layers/stale") > 0 && room.number(0, "/dts/warnings_given") > 0);
    }
}

/// A foreign node behind an agreed link takes data and says nothing of links: it is reset, and all that nobody knows of
/// is reported.
#[test]
fn a_foreign_node_behind_an_agreed_link_gets_a_reset_before_more() {
    let mut room = Room::new(1, LinkSetup::Skip);
    let from = |body| DPdu { eow: Eow::default(), eot: 0, destination: address(0), source: address(1), body };
    let hear = |room: &mut Room, body| {
        room.stacks[0].heard(room.now, &decode(&from(body).encode()).unwrap());
        room.settle();
    };
    room.submit(0, 1, 1, 1, 36_000);
    assert!(matches!(room.transmit(0, |_, _| false)[..], [DPdu { body: Body::Data(_), .. }]), "data goes at once");
    hear(&mut room, Body::Ack(AckPart::new(7, [])));
    assert_eq!(room.is_confirmed(0, 1), Some(false));
    room.submit(0, 1, 2, 1, 36_000);
    let said = room.transmit(0, |_, _| false);
    let [DPdu { body: Body::Reset(part), .. }] = said[..] else { panic!("{said:?}") };
    assert!(part.full_command && !part.ack);
    hear(&mut room, Body::Reset(ResetPart { ack: true, ..ResetPart::default() }));
    let said = room.transmit(0, |_, _| false);
    assert!(matches!(said[..], [DPdu { body: Body::Data(_), eow: Eow::NONE, .. }]), "{said:?}");
    hear(&mut room, Body::Ack(AckPart::new(1, [])));
    assert_eq!(room.is_confirmed(0, 2), Some(true));
    // One that has forgotten the link is asked for one in the standard's way.
    room.now = room.now.after(Duration::from_secs(60));
    hear(&mut room, Body::Warning { received: 0, reason: WarningReason::NotConnected as u8 });
    room.submit(0, 1, 3, 1, 36_000);
    assert!(matches!(room.transmit(0, |_, _| false)[..], [DPdu { body: Body::ExpeditedNonArq(_), .. }]));
}

/// What never comes to rest fails a test, and says where it was.
#[test]
#[should_panic(expected = "more than 3 wakeups, at ")]
fn a_run_that_does_not_end_is_a_failure() {
    let mut bench = Bench::new("", 2);
    bench.wakeups_max = 3;
    bench.arq(0, 1, 6, 3600, unit(1, 100));
    bench.run(600.0);
}

//! Links on a radio against a scripted node.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::reason::{Availability, AvailabilityReason, BindRejection};
use skywave_protocols::s5066::sis::unidata::{Quirks, Returned, UnidataRequest};
use skywave_protocols::time::Duration;

use skywave_protocols::s5066::sis::fields::Rank;

use super::*;
use crate::io::PipeInput;
use crate::transport::{ArrivalId, Profile, Room, Sent, SiteName, Transport, Unit, UnitTicket};

const OWN: NodeAddress = NodeAddress::individual(1);
const PEER: NodeAddress = NodeAddress::individual(2);

/// What a scripted link has to say and has heard.
#[derive(Default)]
struct Script {
    pdus: VecDeque<(u8, AirPdu)>,
    events: Vec<AirEvent>,
    lies: bool,
    emission: Emission,
}

struct StubLink {
    ports: Vec<Port>,
    script: Arc<Mutex<Script>>,
}

impl AirLink for StubLink {
    fn ports(&self) -> Vec<Port> {
        self.ports.clone()
    }

    fn emission(&self) -> Emission {
        self.script.lock().unwrap().emission
    }

    fn offer(&self) -> Option<Offer> {
        let script = self.script.lock().unwrap();
        let (priority, pdu) = script.pdus.front()?;
        Some(Offer { priority: *priority, octets: pdu.octets.len(), confirm: pdu.confirm })
    }

    fn release(&mut self, _now: Now) -> Option<AirPdu> {
        let mut script = self.script.lock().unwrap();
        if script.lies { None } else { script.pdus.pop_front().map(|(_, pdu)| pdu) }
    }

    fn air(&mut self, _now: Now, event: AirEvent) {
        self.script.lock().unwrap().events.push(event);
    }
}

impl Transport for StubLink {
    fn profile(&self) -> Profile {
        Profile {
            ordered: false,
            reliable: false,
            boundaries: true,
            fan_out: true,
            unit_octets_max: 0,
            bits_per_second: 300,
            turnaround: Duration::ZERO,
        }
    }
    fn room(&self) -> Room {
        Room { units: 0, octets: 0 }
    }
    fn submit(&mut self, _: Now, _: Unit) {}
    fn raise(&mut self, _: Now, _: UnitTicket, _: MtPriority) {}
    fn cancel(&mut self, _: Now, _: UnitTicket) -> Sent {
        Sent::default()
    }
    fn set_emission(&mut self, _: Now, emission: Emission) {
        self.script.lock().unwrap().emission = emission;
    }
    fn set_silence(&mut self, _: Now, _: &SiteName, _: bool) {}
    fn accept(&mut self, _: Now, _: ArrivalId) {}
    fn refuse(&mut self, _: Now, _: ArrivalId, _: bool) {}
    fn handle(&mut self, _: Now, _: TransportInput) {}
    fn handle_wakeup(&mut self, _: Now) {}
    fn poll(&mut self) -> Option<TransportOutput> {
        None
    }
    fn next_wakeup(&self) -> Option<Wakeup> {
        None
    }
    fn describe(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

struct Bench {
    now: Now,
    radio: Radio,
    scripts: Vec<Arc<Mutex<Script>>>,
    /// By pipe: what the node has received.
    node: BTreeMap<PipeId, FrameReader>,
    captured: usize,
}

impl Bench {
    fn new(ports: &[&[Port]]) -> Self {
        Self::with(ports, |_| {})
    }

    fn with(ports: &[&[Port]], change: impl FnOnce(&mut RadioConfig)) -> Self {
        let mut config = RadioConfig::new("node:5066", OWN);
        config.confirm_ahead = Duration::from_secs(45);
        change(&mut config);
        let mut radio = Radio::new(config, Box::new(Seeded::new(1)));
        let mut scripts = Vec::new();
        for (number, ports) in ports.iter().enumerate() {
            let script = Arc::new(Mutex::new(Script::default()));
            scripts.push(Arc::clone(&script));
            let link = StubLink { ports: ports.to_vec(), script };
            assert_eq!(radio.add_link(format!("link-{number}"), Box::new(link)), number);
        }
        Self { now: Now::default(), radio, scripts, node: BTreeMap::new(), captured: 0 }
    }

    /// Lets the node accept every bind.
    fn bound(mut self) -> Self {
        let opened = self.outputs();
        assert!(opened.iter().all(|output| matches!(output, PipeOutput::Open { target, .. } if target == "node:5066")));
        for pipe in self.node.keys().copied().collect::<Vec<_>>() {
            self.input(pipe, PipeInput::Opened);
            let [Primitive::BindRequest { sap, .. }] = self.received()[..] else { panic!() };
            self.node_sends(pipe, &Primitive::BindAccepted { sap, mtu: 2048 });
        }
        for script in &self.scripts {
            assert_eq!(std::mem::take(&mut script.lock().unwrap().events), [AirEvent::Ready { mtu: 2042 }]);
        }
        self
    }

    fn input(&mut self, pipe: PipeId, input: PipeInput) {
        self.radio.handle(self.now, TransportInput::Pipe(pipe, input));
    }

    fn node_sends(&mut self, pipe: PipeId, primitive: &Primitive) {
        self.input(pipe, PipeInput::Read(primitive.encode().unwrap()));
    }

    /// Outputs other than writes, which go to the node.
    fn outputs(&mut self) -> Vec<PipeOutput> {
        let mut others = Vec::new();
        while let Some(output) = self.radio.poll() {
            match output {
                RadioOutput::Shared(TransportOutput::Pipe(pipe, PipeOutput::Write(octets))) => {
                    self.node.get_mut(&pipe).unwrap().push(&octets);
                }
                RadioOutput::Shared(TransportOutput::Pipe(pipe, output)) => {
                    if matches!(output, PipeOutput::Open { .. }) {
                        self.node.insert(pipe, FrameReader::new());
                    }
                    others.push(output);
                }
                RadioOutput::Shared(TransportOutput::Capture(_)) => self.captured += 1,
                other => panic!("{other:?}"),
            }
        }
        others
    }

    fn received(&mut self) -> Vec<Primitive> {
        self.outputs();
        let frames = self.node.values_mut().flat_map(|reader| std::iter::from_fn(|| reader.next_frame()));
        frames.map(|frame| Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap()).collect()
    }

    fn requests(&mut self) -> Vec<UnidataRequest> {
        let request = |primitive| match primitive {
            Primitive::UnidataRequest(request) | Primitive::ExpeditedUnidataRequest(request) => Some(request),
            _ => None,
        };
        self.received().into_iter().filter_map(request).collect()
    }

    fn offer(&mut self, link: usize, priority: u8, pdu: AirPdu) {
        self.scripts[link].lock().unwrap().pdus.push_back((priority, pdu));
        self.radio.pump(self.now);
    }

    fn events(&self, link: usize) -> Vec<AirEvent> {
        std::mem::take(&mut self.scripts[link].lock().unwrap().events)
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        let mut turns = 0;
        while let Some(wakeup) = self.radio.next_wakeup().filter(|wakeup| wakeup.at <= end.mono) {
            self.now = self.now.after(wakeup.at.since(self.now.mono));
            self.radio.handle_wakeup(self.now);
            turns += 1;
            assert!(turns < 10_000, "woken for nothing: {wakeup:?}");
        }
        self.now = end;
    }
}

fn pdu(token: u64, port: Port, octets: usize) -> AirPdu {
    let confirm = port.service == Service::Rcop;
    AirPdu {
        token,
        port,
        to: if confirm { PEER } else { NodeAddress::ALL_STATIONS },
        priority: Precedence::Routine.mt_priority(),
        ttl: Duration::from_secs(600),
        octets: vec![token as u8; octets].into(),
        repeats: 0,
        confirm,
        to_client: false,
        expedited: false,
        conversation: false,
        ordered: true,
        segment: None,
    }
}

fn confirm(request: &UnidataRequest) -> Primitive {
    let leading = request.u_pdu.slice(..request.u_pdu.len().min(8));
    Primitive::UnidataRequestConfirm(Returned { sap: request.sap, destination: request.destination, leading })
}

const MAIL: Port = Port::udop(0, 0x2000);
const BATCH: Port = Port::udop(2, 0x8002);
const CHAT: Port = Port::rcop(0, 0x8001);
const UNICAST: Port = Port::rcop(1, 0x2000);

#[test]
fn links_on_one_sap_share_a_session_and_arrivals_find_their_link() {
    let mut bench = Bench::new(&[&[MAIL, UNICAST], &[BATCH], &[CHAT]]).bound();
    assert_eq!(bench.node.len(), 2);
    let rows = [(MAIL, 0, SapId::UDOP), (BATCH, 1, SapId::UDOP), (CHAT, 2, SapId::RCOP), (UNICAST, 0, SapId::RCOP)];
    for (port, link, sap) in rows {
        let header = Header { connection: port.connection, u_pdu_id: 9, segment: 3, application: port.application };
        let arq = port.service == Service::Rcop;
        let indication = UnidataIndication {
            priority: 3,
            sap,
            destination: OWN,
            transmission: if arq { TransmissionMode::Arq } else { TransmissionMode::NonArq },
            source_sap: sap,
            source: PEER,
            errored: vec![],
            missing: vec![],
            u_pdu: header.encode(b"data"),
        };
        // Sessions were opened in the order of the ports of the first link.
        let pipe = PipeId(if arq { 2 } else { 1 });
        bench.node_sends(pipe, &Primitive::UnidataIndication(indication.clone()));
        let events = bench.events(link);
        let [AirEvent::Arrived(arrival)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((arrival.port, arrival.source, &arrival.octets[..]), (port, PEER, &b"data"[..]));
        assert_eq!(arrival.segment, Segment { u_pdu_id: 9, number: 3 });
        let stranger =
            UnidataIndication { u_pdu: Header { connection: 9, ..header }.encode(b""), ..indication.clone() };
        bench.node_sends(pipe, &Primitive::UnidataIndication(stranger));
        let short = UnidataIndication { u_pdu: Bytes::from_static(b"short"), ..indication };
        bench.node_sends(pipe, &Primitive::UnidataIndication(short));
    }
    let counters = bench.radio.counters();
    assert_eq!((counters.arrived, counters.unclaimed, counters.damaged), (4, 4, 4));
}

#[test]
fn unconfirmed_pdus_go_one_by_one_as_the_air_takes_them() {
    let mut bench = Bench::new(&[&[MAIL]]).bound();
    for token in 0..3 {
        bench.offer(0, 8, pdu(token, MAIL, 600));
    }
    let first = bench.requests();
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].u_pdu.len(), first[0].priority, first[0].mode.octet()), (606, 3, 0x22));
    // 2 s turnaround and 18.1 s on air: the next goes down 2 s before the end.
    bench.pass(Duration::from_secs(18));
    assert_eq!((bench.requests().len(), bench.events(0)), (0, vec![]));
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.requests().len(), 1);
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.events(0), [AirEvent::Sent { token: 0 }]);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.events(0), [AirEvent::Sent { token: 1 }, AirEvent::Sent { token: 2 }]);
    let ids: Vec<_> = bench.requests().iter().map(|request| request.u_pdu[1]).collect();
    assert_eq!(ids, [2], "U_PDU ids count up");
}

/// Priorities inside the node, the size of addresses and the room for what it confirms are as configured.
#[test]
fn the_node_is_used_as_configured() {
    let mut bench = Bench::with(&[&[MAIL]], |config| {
        (config.priorities, config.address_half_octets) = ([0, 2, 4, 6, 8, 10], 1);
    })
    .bound();
    for (token, precedence) in (0..).zip(Precedence::ALL) {
        let urgent = AirPdu { priority: precedence.mt_priority(), ..pdu(token, MAIL, 60) };
        bench.offer(0, precedence.mt_priority().p_mul(), urgent);
    }
    bench.pass(Duration::from_secs(100));
    let requests = bench.requests();
    let mut priorities: Vec<_> = requests.iter().map(|request| request.priority).collect();
    priorities.sort_unstable();
    assert_eq!(priorities, [0, 2, 4, 6, 8, 10]);
    let to = requests[0].destination;
    assert_eq!((to.size(), to.size_min()), (to.size_min(), to.size_min()), "as short as its bits allow");
    for (priority, precedence) in [(1, Precedence::Deferred), (9, Precedence::Flash), (15, Precedence::Override)] {
        assert_eq!(Precedence::at_most(&[0, 2, 4, 6, 8, 10], priority), precedence);
    }
}

#[test]
fn a_flash_of_another_link_overtakes_what_is_not_handed_down() {
    let mut bench = Bench::new(&[&[MAIL], &[BATCH]]).bound();
    for token in 0..5 {
        bench.offer(0, 8, pdu(token, MAIL, 600));
    }
    bench.offer(1, 2, pdu(100, BATCH, 20));
    let sent = bench.requests();
    assert_eq!(sent.iter().map(|request| request.u_pdu[0]).collect::<Vec<_>>(), [0x00, 0x20]);
    // A second one must wait, but not behind routine.
    bench.offer(1, 0, pdu(101, BATCH, 20));
    bench.pass(Duration::from_secs(25));
    let sent = bench.requests();
    assert_eq!(sent[0].u_pdu[0], 0x20);
}

#[test]
fn equals_take_turns() {
    let mut bench = Bench::new(&[&[MAIL], &[BATCH]]).bound();
    for token in 0..4 {
        for (link, port) in [MAIL, BATCH].into_iter().enumerate() {
            bench.scripts[link].lock().unwrap().pdus.push_back((8, pdu(token, port, 600)));
        }
    }
    bench.pass(Duration::from_secs(300));
    let order: Vec<_> = bench.requests().iter().map(|request| request.u_pdu[0] >> 4).collect();
    assert_eq!(order, [2, 0, 2, 0, 2, 0, 2, 0]);
}

#[test]
fn confirmed_pdus_are_paced_by_confirmations_and_a_silent_peer_does_not_stop_a_broadcast() {
    let mut bench = Bench::new(&[&[UNICAST], &[MAIL]]).bound();
    for token in 0..4 {
        bench.offer(0, 8, pdu(token, UNICAST, 2042));
    }
    let sent = bench.requests();
    assert_eq!((sent.len(), sent[0].mode.octet()), (2, 0x14));
    bench.offer(1, 10, pdu(7, MAIL, 100));
    assert_eq!(bench.requests().len(), 1);
    bench.node_sends(PipeId(1), &confirm(&sent[1]));
    assert_eq!(bench.events(0), [AirEvent::Confirmed { token: 1 }]);
    assert_eq!(bench.requests().len(), 1);
    let Primitive::UnidataRequestConfirm(returned) = confirm(&sent[0]) else { panic!() };
    let rejected = Primitive::UnidataRequestRejected(DataRejection::NotResponding, returned);
    bench.node_sends(PipeId(1), &rejected);
    assert_eq!(bench.events(0), [AirEvent::Rejected { token: 0, reason: DataRejection::NotResponding }]);
}

/// The node is told of our silence while all links are silent, again after it was away, and once of its end.
#[test]
fn the_node_is_silenced_with_its_links() {
    let mut bench =
        Bench::with(&[&[MAIL], &[BATCH]], |config| config.manage_sap = Some(SapId::from_low_bits(0))).bound();
    let manager = PipeId(1);
    let told = |bench: &mut Bench| {
        bench.radio.pump(bench.now);
        let text = |primitive| match primitive {
            Primitive::ManagementRequest(message) => String::from_utf8(message.body.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        bench.received().into_iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut bench), [""; 0], "a node that others may have silenced stays as it is");
    let now = bench.now;
    bench.radio.link_mut(0).unwrap().set_emission(now, Emission::Silent);
    assert_eq!(told(&mut bench), [""; 0], "the other link still speaks");
    bench.radio.link_mut(1).unwrap().set_emission(now, Emission::Silent);
    assert_eq!(told(&mut bench), ["emcon on"]);
    assert_eq!(told(&mut bench), [""; 0]);
    bench.input(manager, PipeInput::Closed(None));
    bench.pass(Duration::from_secs(60));
    bench.outputs();
    let again = *bench.node.keys().last().unwrap();
    assert_ne!(again, manager);
    bench.input(again, PipeInput::Opened);
    let [Primitive::BindRequest { sap, rank, .. }] = bench.received()[..] else { panic!() };
    assert_eq!((sap.number(), rank), (0, Rank::MANAGER));
    bench.node_sends(again, &Primitive::BindAccepted { sap, mtu: 2048 });
    assert_eq!(told(&mut bench), ["emcon on"], "a node that began anew has forgotten");
    bench.radio.set_emission(now, Emission::Free);
    assert_eq!(told(&mut bench), ["emcon off"]);
}

#[test]
fn nothing_is_handed_down_in_emcon_and_the_clock_stands_still() {
    let mut bench = Bench::new(&[&[MAIL]]).bound();
    bench.offer(0, 8, pdu(0, MAIL, 600));
    assert_eq!(bench.requests().len(), 1);
    bench.radio.set_emission(bench.now, Emission::Silent);
    bench.offer(0, 0, pdu(1, MAIL, 20));
    bench.pass(Duration::from_secs(100));
    assert_eq!((bench.requests().len(), bench.events(0)), (0, vec![]));
    bench.radio.set_emission(bench.now, Emission::Free);
    assert_eq!((bench.requests().len(), bench.events(0)), (1, vec![]));
    bench.pass(Duration::from_secs(30));
    assert_eq!(bench.events(0).len(), 2);
    let emcon = Primitive::SubnetAvailability(Availability::ReceiveOnly, AvailabilityReason::Emcon);
    bench.node_sends(PipeId(1), &emcon);
    assert_eq!(bench.events(0), [AirEvent::Emission(Availability::ReceiveOnly)]);
    bench.offer(0, 0, pdu(2, MAIL, 20));
    assert_eq!(bench.requests().len(), 0);
    let on = Primitive::SubnetAvailability(Availability::HalfDuplex, AvailabilityReason::Unspecified);
    bench.node_sends(PipeId(1), &on);
    assert_eq!(bench.requests().len(), 1);
}

#[test]
fn a_node_that_restarts_gives_all_tokens_back_once() {
    let mut bench = Bench::new(&[&[MAIL, UNICAST]]).bound();
    bench.offer(0, 8, pdu(0, MAIL, 600));
    bench.offer(0, 8, pdu(1, UNICAST, 600));
    bench.input(PipeId(1), PipeInput::Closed(None));
    bench.input(PipeId(2), PipeInput::Closed(None));
    let events = bench.events(0);
    assert_eq!(events[0], AirEvent::Returned { token: 0 });
    assert!(matches!(&events[1], AirEvent::Lost(why) if why.contains("closed by the node")));
    assert_eq!(events[2], AirEvent::Returned { token: 1 });
    bench.offer(0, 0, pdu(2, MAIL, 20));
    bench.requests();
    bench.pass(Duration::from_secs(2));
    bench.outputs();
    assert_eq!(bench.node.keys().copied().collect::<Vec<_>>(), [PipeId(1), PipeId(2), PipeId(3), PipeId(4)]);
    for pipe in [PipeId(3), PipeId(4)] {
        bench.input(pipe, PipeInput::Opened);
        let sap = match bench.received()[..] {
            [Primitive::BindRequest { sap, .. }] => sap,
            ref other => panic!("{other:?}"),
        };
        bench.node_sends(pipe, &Primitive::BindAccepted { sap, mtu: 1000 });
    }
    let events = bench.events(0);
    assert_eq!(events.last(), Some(&AirEvent::Ready { mtu: 994 }));
    assert!(
        !events.iter().any(|event| matches!(event, AirEvent::Returned { .. } | AirEvent::Sent { .. })),
        "{events:?}"
    );
    assert_eq!(bench.requests().len(), 1);
}

#[test]
fn a_refused_bind_is_told_once_per_reason() {
    let mut bench = Bench::new(&[&[MAIL]]);
    for _ in 0..3 {
        bench.outputs();
        let pipe = *bench.node.keys().last().unwrap();
        bench.input(pipe, PipeInput::Opened);
        bench.node_sends(pipe, &Primitive::BindRejected(BindRejection::SapAllocated));
        assert_eq!(bench.outputs(), [PipeOutput::Close]);
        bench.input(pipe, PipeInput::Closed(None));
        bench.pass(Duration::from_secs(10));
    }
    assert_eq!(bench.events(0), [AirEvent::Lost("the node refused the bind: SAP already allocated".to_owned())]);
}

#[test]
fn what_cannot_be_handed_down_comes_back_and_nobody_spins() {
    let mut bench = Bench::new(&[&[MAIL]]).bound();
    let rows = [
        (pdu(0, MAIL, 2043), AirEvent::Rejected { token: 0, reason: DataRejection::TooLarge }),
        (pdu(1, CHAT, 10), AirEvent::Rejected { token: 1, reason: DataRejection::NoMode }),
    ];
    for (pdu, event) in rows {
        bench.offer(0, 8, pdu);
        assert_eq!(bench.events(0), [event]);
        bench.pass(Duration::from_secs(1));
    }
    bench.scripts[0].lock().unwrap().lies = true;
    bench.offer(0, 8, pdu(2, MAIL, 10));
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.requests().len(), 0);
    bench.scripts[0].lock().unwrap().lies = false;
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.requests().len(), 1);
}

#[test]
fn a_closed_flow_holds_everything_and_captures_show_each_primitive() {
    let mut bench = Bench::with(&[&[MAIL]], |config| config.capture = true).bound();
    bench.node_sends(PipeId(1), &Primitive::DataFlowOff);
    bench.offer(0, 0, pdu(0, MAIL, 10));
    assert_eq!(bench.requests().len(), 0);
    bench.node_sends(PipeId(1), &Primitive::DataFlowOn);
    assert_eq!(bench.requests().len(), 1);
    // Bind, its answer, flow off, flow on, request.
    assert_eq!(bench.captured, 5);
}

#[test]
fn describes_itself() {
    let bench = Bench::new(&[&[MAIL]]).bound();
    let state = bench.radio.describe();
    assert_eq!(state["sessions"][0]["state"], "bound");
    assert_eq!(state["links"][0]["name"], "link-0");
    assert_eq!(state["own_address"], "0.0.0.1");
}

/// One step of an unfriendly world.
fn trouble(bench: &mut Bench, random: &mut Seeded, asked: &mut Vec<(PipeId, UnidataRequest)>) {
    let pipe = *bench.node.keys().nth(random.below(bench.node.len() as u64) as usize).unwrap();
    match random.below(12) {
        0 => bench.node_sends(pipe, &Primitive::DataFlowOff),
        1 | 2 => bench.node_sends(pipe, &Primitive::DataFlowOn),
        3 => bench.node_sends(
            pipe,
            &Primitive::SubnetAvailability(
                Availability::from_code(random.below(6) as u8),
                AvailabilityReason::Unspecified,
            ),
        ),
        4 => bench.input(pipe, PipeInput::Closed(None)),
        5 => bench.input(pipe, PipeInput::Read(vec![0x90, 0xeb, 0, 0, random.below(4) as u8, 17].into())),
        6 => {
            bench.radio.set_emission(bench.now, if random.chance(300_000) { Emission::Silent } else { Emission::Free })
        }
        7..=9 if !asked.is_empty() => {
            let (pipe, request) = asked.swap_remove(random.below(asked.len() as u64) as usize);
            bench.node_sends(pipe, &confirm(&request));
        }
        _ => bench.pass(Duration::from_secs(random.below(20))),
    }
}

/// The node accepts every bind, and remembers what it is asked.
fn serve(bench: &mut Bench, asked: &mut Vec<(PipeId, UnidataRequest)>) {
    for output in bench.outputs() {
        assert!(matches!(output, PipeOutput::Open { .. } | PipeOutput::Close), "{output:?}");
    }
    for pipe in bench.node.keys().copied().collect::<Vec<_>>() {
        bench.input(pipe, PipeInput::Opened);
        bench.outputs();
        while let Some(frame) = bench.node.get_mut(&pipe).unwrap().next_frame() {
            match Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap() {
                Primitive::BindRequest { sap, .. } => {
                    bench.node_sends(pipe, &Primitive::BindAccepted { sap, mtu: 2048 });
                }
                Primitive::UnidataRequest(request) => asked.push((pipe, request)),
                Primitive::KeepAlive => bench.node_sends(pipe, &Primitive::KeepAlive),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn whatever_happens_each_token_ends_exactly_once_and_nobody_spins() {
    for seed in 0..60 {
        let mut bench = Bench::new(&[&[MAIL, UNICAST], &[BATCH], &[CHAT]]);
        let mut random = Seeded::new(seed);
        let (mut asked, mut tokens) = (Vec::new(), 0);
        let mut ended = BTreeMap::new();
        for _ in 0..300 {
            serve(&mut bench, &mut asked);
            let (link, port) = [(0, MAIL), (0, UNICAST), (1, BATCH), (2, CHAT)][random.below(4) as usize];
            if random.chance(300_000) {
                tokens += 1;
                bench.offer(link, random.below(11) as u8, pdu(tokens, port, random.below(2042) as usize));
            }
            trouble(&mut bench, &mut random, &mut asked);
            if random.chance(100_000) {
                for pipe in bench.node.keys().copied().collect::<Vec<_>>() {
                    bench.input(pipe, PipeInput::Closed(None));
                }
            }
            for link in 0..3 {
                for event in bench.events(link) {
                    if let AirEvent::Sent { token }
                    | AirEvent::Confirmed { token }
                    | AirEvent::Returned { token }
                    | AirEvent::Rejected { token, .. } = event
                    {
                        *ended.entry(token).or_insert(0) += 1;
                    }
                }
            }
        }
        let offered: usize = bench.scripts.iter().map(|script| script.lock().unwrap().pdus.len()).sum();
        let in_air = bench.radio.flights.len();
        assert!(ended.values().all(|&times| times == 1), "seed {seed}: {ended:?}");
        assert_eq!(ended.len() + in_air + offered, tokens as usize, "seed {seed}");
        assert!(ended.len() > 10, "seed {seed} tried nothing");
    }
}

//! The client against a scripted node.

use super::*;
use crate::random::Random as _;
use crate::s5066::sis::fields::{Rank, SapId, ServiceType, Ttl};
use crate::s5066::sis::limits::{REQUESTS_WAITING_MAX, TTL_UNITS_MAX};
use crate::s5066::sis::reason::{BindRejection, HardLinkEnd, HardLinkStatus, UnbindReason};
use crate::s5066::sis::unidata::Quirks;

const OWN: NodeAddress = NodeAddress::individual(0x0102_0304);
const PEER: NodeAddress = NodeAddress::individual(0x0102_0305);

/// A client, and the node's end of its pipe.
struct Bench {
    now: Now,
    client: SisClient,
    node: FrameReader,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut SisConfig)) -> Self {
        let mut config = SisConfig::new(SapId::RCOP, DeliveryMode::ARQ_NODE);
        config.own_address = Some(OWN);
        change(&mut config);
        Self { now: Now::default(), client: SisClient::new(config, 7), node: FrameReader::new() }
    }

    fn bound() -> Self {
        let mut bench = Self::new();
        bench.client.start();
        assert_eq!(bench.events(), [SisEvent::WantOpen]);
        bench.bind();
        bench
    }

    /// Opens the pipe asked for and lets the node accept.
    fn bind(&mut self) {
        self.node = FrameReader::new();
        self.client.opened(self.now);
        let sap = self.client.config.sap;
        let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
        assert_eq!(self.sent(), [Primitive::BindRequest { sap, rank: Rank::default(), service }]);
        self.node_sends(&Primitive::BindAccepted { sap, mtu: 2048 });
        assert_eq!(self.events(), [SisEvent::Bound { mtu: 2048 }]);
    }

    fn node_sends(&mut self, primitive: &Primitive) {
        let octets = primitive.encode().unwrap();
        self.client.handle_read(self.now, &octets);
    }

    fn events(&mut self) -> Vec<SisEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    fn sent(&mut self) -> Vec<Primitive> {
        while let Some(octets) = self.client.poll_write() {
            self.node.push(&octets);
        }
        std::iter::from_fn(|| self.node.next_frame())
            .map(|frame| Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap())
            .collect()
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(wakeup) = self.client.next_wakeup().filter(|wakeup| wakeup.at <= end.mono) {
            self.now = self.now.after(wakeup.at.since(self.now.mono));
            self.client.handle_wakeup(self.now);
        }
        self.now = end;
    }

    fn submit(&mut self, token: u64, u_pdu: &'static [u8]) {
        assert_eq!(self.client.submit(self.now, request(token, u_pdu)), Ok(()));
    }
}

fn request(token: u64, u_pdu: &'static [u8]) -> SisRequest {
    SisRequest {
        token,
        sap: SapId::RCOP,
        destination: PEER,
        mode: DeliveryMode::ARQ_NODE,
        priority: 3,
        retransmissions: 0,
        ttl: Ttl::from_units(300),
        expedited: false,
        u_pdu: Bytes::from_static(u_pdu),
    }
}

fn returned(leading: &'static [u8]) -> Returned {
    Returned { sap: SapId::RCOP, destination: PEER, leading: Bytes::from_static(leading) }
}

fn indication(sap: SapId, source: NodeAddress, destination: NodeAddress) -> Primitive {
    Primitive::UnidataIndication(UnidataIndication {
        priority: 3,
        sap,
        destination,
        transmission: TransmissionMode::Arq,
        source_sap: SapId::RCOP,
        source,
        errored: vec![],
        missing: vec![],
        u_pdu: Bytes::from_static(b"data"),
    })
}

#[test]
fn binds_and_unbinds() {
    let mut bench = Bench::bound();
    assert_eq!((bench.client.state(), bench.client.mtu(), bench.client.is_flowing()), (State::Bound, Some(2048), true));
    bench.client.stop(bench.now);
    assert_eq!(bench.sent(), [Primitive::UnbindRequest]);
    assert_eq!(bench.events(), [SisEvent::WantClose, SisEvent::Ended { why: SessionEnd::Stopped, retry_in: None }]);
    bench.client.closed(bench.now, None);
    assert_eq!((bench.client.state(), bench.client.next_wakeup()), (State::Idle, None));
}

#[test]
fn a_refused_bind_is_told_and_tried_again_ever_less_often() {
    let mut bench = Bench::new();
    bench.client.start();
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(bench.events(), [SisEvent::WantOpen]);
        bench.client.opened(bench.now);
        bench.node_sends(&Primitive::BindRejected(BindRejection::SapAllocated));
        let events = bench.events();
        let [SisEvent::WantClose, SisEvent::Ended { why, retry_in: Some(wait) }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(why, &SessionEnd::BindRejected(BindRejection::SapAllocated));
        assert_eq!(why.to_string(), "the node refused the bind: SAP already allocated");
        waits.push(wait.as_millis());
        bench.client.closed(bench.now, None);
        bench.pass(*wait);
    }
    for (wait, longest) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        assert!((longest * 750..=longest * 1000).contains(wait), "{wait} of {longest}");
    }
}

#[test]
fn a_pipe_refused_or_lost_is_tried_again() {
    let mut bench = Bench::new();
    bench.client.start();
    bench.events();
    bench.client.closed(bench.now, Some("connection refused".to_owned()));
    let events = bench.events();
    assert!(
        matches!(&events[..], [SisEvent::Ended { why: SessionEnd::Pipe(reason), retry_in: Some(_) }] if reason == "connection refused"),
        "{events:?}"
    );
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.events(), [SisEvent::WantOpen]);
    bench.bind();
}

#[test]
fn confirmations_find_their_request_in_any_order() {
    let mut bench = Bench::bound();
    bench.submit(1, b"aaaa1");
    bench.submit(2, b"bbbb2");
    bench.submit(3, b"aaaa3");
    assert_eq!(bench.sent().len(), 3);
    bench.node_sends(&Primitive::UnidataRequestConfirm(returned(b"bbb")));
    bench.node_sends(&Primitive::UnidataRequestRejected(DataRejection::NotResponding, returned(b"aaaa3")));
    bench.node_sends(&Primitive::UnidataRequestConfirm(returned(b"")));
    let rejected = SisEvent::Rejected { token: 3, reason: DataRejection::NotResponding };
    assert_eq!(bench.events(), [SisEvent::Confirmed { token: 2 }, rejected, SisEvent::Confirmed { token: 1 }]);
    assert_eq!(bench.client.depth(), (0, 0));
}

#[test]
fn confirmations_that_fit_nothing_are_counted() {
    let mut bench = Bench::bound();
    bench.submit(1, b"aaaa");
    let strangers = [
        Returned { destination: OWN, ..returned(b"aaaa") },
        Returned { sap: SapId::UDOP, ..returned(b"aaaa") },
        returned(b"b"),
        returned(b"aaaa and more"),
    ];
    for stranger in strangers {
        bench.node_sends(&Primitive::UnidataRequestConfirm(stranger));
    }
    bench.node_sends(&Primitive::ExpeditedUnidataRequestConfirm(returned(b"aaaa")));
    assert_eq!(bench.events(), []);
    bench.node_sends(&Primitive::UnidataRequestConfirm(returned(b"aaaa")));
    for _ in 0..10_000 {
        bench.node_sends(&Primitive::UnidataRequestRejected(DataRejection::TtlExpired, returned(b"aaaa")));
    }
    assert_eq!(bench.events(), [SisEvent::Confirmed { token: 1 }]);
    assert_eq!(bench.client.counters().unmatched, 10_005);
}

#[test]
fn while_the_node_takes_nothing_the_most_urgent_waits_in_front_and_the_queue_is_bounded() {
    let mut bench = Bench::bound();
    bench.node_sends(&Primitive::DataFlowOff);
    bench.submit(1, b"routine");
    let flash = SisRequest { priority: 12, ..request(2, b"flash") };
    bench.client.submit(bench.now, flash).unwrap();
    bench.client.submit(bench.now, SisRequest { expedited: true, ..request(3, b"expedited") }).unwrap();
    for token in 4..=REQUESTS_WAITING_MAX as u64 {
        bench.submit(token, b"more");
    }
    assert_eq!(bench.client.submit(bench.now, request(999, b"one too many")), Err(SubmitFault::Full));
    assert_eq!((bench.sent(), bench.events()), (vec![], vec![SisEvent::Flow(false)]));
    bench.node_sends(&Primitive::DataFlowOn);
    let first: Vec<_> = bench.sent().into_iter().map(|primitive| primitive.kind()).take(3).collect();
    assert_eq!(first, [24, 20, 20]);
    assert_eq!(bench.events(), [SisEvent::Flow(true)]);
    assert_eq!(bench.client.depth(), (0, REQUESTS_WAITING_MAX));
}

#[test]
fn a_storm_of_flow_and_availability_leaves_nothing_behind() {
    let mut bench = Bench::bound();
    for _ in 0..10_000 {
        bench.node_sends(&Primitive::DataFlowOff);
        bench.node_sends(&Primitive::SubnetAvailability(Availability::ReceiveOnly, AvailabilityReason::Emcon));
    }
    let emcon = SisEvent::Availability(Availability::ReceiveOnly, AvailabilityReason::Emcon);
    assert_eq!(bench.events(), [SisEvent::Flow(false), emcon]);
    assert!(!bench.client.availability().0.can_transmit());
}

#[test]
fn requests_refused_here() {
    let mut bench = Bench::new();
    assert_eq!(bench.client.submit(bench.now, request(1, b"early")), Err(SubmitFault::NotBound));
    let mut bench = Bench::bound();
    let large = SisRequest { u_pdu: vec![0; 2049].into(), ..request(1, b"") };
    assert_eq!(bench.client.submit(bench.now, large), Err(SubmitFault::TooLarge { octets: 2049, mtu: 2048 }));
    let group = SisRequest { destination: NodeAddress::ALL_STATIONS, ..request(1, b"") };
    assert_eq!(bench.client.submit(bench.now, group.clone()), Err(SubmitFault::GroupByArq));
    let default = SisRequest { mode: DeliveryMode::DEFAULT, ..group.clone() };
    assert_eq!(bench.client.submit(bench.now, default), Err(SubmitFault::GroupByArq));
    let non_arq = SisRequest { mode: DeliveryMode::NON_ARQ, ..group };
    assert_eq!(bench.client.submit(bench.now, non_arq), Ok(()));
    assert_eq!(bench.events(), [SisEvent::Handed { token: 1 }]);
    assert_eq!(bench.client.depth(), (0, 0));
}

#[test]
fn a_node_that_restarts_gives_everything_back() {
    let mut bench = Bench::bound();
    bench.submit(1, b"handed");
    bench.node_sends(&Primitive::DataFlowOff);
    bench.submit(2, b"waits");
    bench.events();
    bench.client.closed(bench.now, None);
    let events = bench.events();
    let [
        SisEvent::Returned { token: 1 },
        SisEvent::Returned { token: 2 },
        SisEvent::Ended { retry_in: Some(wait), .. },
    ] = events[..]
    else {
        panic!("{events:?}")
    };
    bench.pass(wait);
    assert_eq!(bench.events(), [SisEvent::WantOpen]);
    bench.bind();
    assert!(bench.client.is_flowing());
    bench.submit(1, b"handed");
    bench.node_sends(&Primitive::UnidataRequestConfirm(returned(b"handed")));
    assert_eq!(bench.events(), [SisEvent::Confirmed { token: 1 }]);
}

#[test]
fn pre_emption_by_others_is_told_and_the_session_tried_again() {
    let mut bench = Bench::bound();
    bench.submit(1, b"a");
    bench.node_sends(&Primitive::UnbindIndication(UnbindReason::Preempted));
    let events = bench.events();
    assert!(
        matches!(
            events[..],
            [
                SisEvent::WantClose,
                SisEvent::Returned { token: 1 },
                SisEvent::Ended { why: SessionEnd::Unbound(UnbindReason::Preempted), retry_in: Some(_) }
            ]
        ),
        "{events:?}"
    );
    // A pipe that closes late does not shorten the wait to nothing.
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.events(), []);
    bench.client.closed(bench.now, None);
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.events(), [SisEvent::WantOpen]);
}

#[test]
fn keep_alives_are_answered_once_and_asked_every_two_minutes() {
    let mut bench = Bench::bound();
    bench.node_sends(&Primitive::KeepAlive);
    bench.node_sends(&Primitive::KeepAlive);
    assert_eq!(bench.sent(), [Primitive::KeepAlive]);
    assert_eq!(bench.client.counters().keep_alives_ignored, 1);
    bench.pass(Duration::from_secs(119));
    assert_eq!(bench.sent(), []);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.sent(), [Primitive::KeepAlive]);
    bench.node_sends(&Primitive::KeepAlive);
    assert_eq!(bench.sent(), [], "an answer is not answered");
    bench.pass(Duration::from_secs(119));
    assert_eq!(bench.sent(), []);
}

#[test]
fn a_silent_node_is_given_up() {
    let mut bench = Bench::bound();
    bench.pass(Duration::from_secs(249));
    assert_eq!((bench.sent().len(), bench.events()), (2, vec![]));
    bench.pass(Duration::from_secs(1));
    let events = bench.events();
    assert!(matches!(events[..], [SisEvent::WantClose, SisEvent::Ended { why: SessionEnd::Silent, .. }]), "{events:?}");
}

#[test]
fn a_node_that_does_not_answer_the_bind_or_stops_inside_a_primitive() {
    let mut bench = Bench::new();
    bench.client.start();
    bench.client.opened(bench.now);
    bench.events();
    bench.pass(Duration::from_secs(30));
    assert!(matches!(
        bench.events()[..],
        [SisEvent::WantClose, SisEvent::Ended { why: SessionEnd::BindUnanswered, .. }]
    ));

    let mut bench = Bench::bound();
    // 65,535 octets announced, a few sent, one more every few seconds.
    bench.client.handle_read(bench.now, &[0x90, 0xeb, 0, 0xff, 0xff, 21]);
    for _ in 0..6 {
        bench.pass(Duration::from_secs(4));
        bench.client.handle_read(bench.now, &[0]);
    }
    assert_eq!(bench.events(), []);
    bench.pass(Duration::from_secs(6));
    let events = bench.events();
    assert!(matches!(events[..], [SisEvent::WantClose, SisEvent::Ended { why: SessionEnd::FrameUnfinished, .. }]));
}

#[test]
fn broken_streams_are_closed_and_tried_again() {
    let table: [&[u8]; 6] = [
        b"HTTP/1.1 400",
        &[0x90, 0xeb, 1, 0, 1, 17],
        &[0x90, 0xeb, 0, 0, 0],
        &[0x90, 0xeb, 0, 0xff, 0xff, 17],
        &[0x90, 0xeb, 0, 0, 8, 22, 6, 0xe1, 2, 3, 5, 0, 8],
        &[0x90, 0xeb, 0, 0, 0, 0x90, 0xeb, 0, 0, 1, 16],
    ];
    for octets in table {
        let mut bench = Bench::bound();
        bench.client.handle_read(bench.now, octets);
        let events = bench.events();
        let [SisEvent::WantClose, SisEvent::Ended { why: SessionEnd::Broken(_), retry_in: Some(_) }] = events[..]
        else {
            panic!("{events:?}")
        };
        bench.client.handle_read(bench.now, &[0x90, 0xeb, 0, 0, 1, 16]);
        assert_eq!(bench.events(), []);
        bench.client.closed(bench.now, None);
        bench.pass(Duration::from_secs(2));
        assert_eq!(bench.events(), [SisEvent::WantOpen]);
        bench.bind();
    }
}

#[test]
fn strange_primitives_are_tolerated_up_to_a_limit() {
    let mut bench = Bench::bound();
    let strange = Primitive::Unknown { kind: 28, body: Bytes::from_static(b"edition 9") };
    for _ in 0..STRANGE_PRIMITIVES_MAX - 1 {
        bench.node_sends(&strange);
    }
    bench.node_sends(&Primitive::UnbindRequest);
    assert_eq!((bench.events(), bench.client.counters().strange), (vec![], 8));
    bench.node_sends(&strange);
    assert!(matches!(bench.events()[..], [SisEvent::WantClose, SisEvent::Ended { why: SessionEnd::Strange, .. }]));
}

#[test]
fn what_is_not_for_us_is_dropped_and_counted() {
    let mut bench = Bench::bound();
    let other = NodeAddress::individual(9);
    let table = [
        (indication(SapId::UDOP, PEER, OWN), (1, 0)),
        (indication(SapId::RCOP, PEER, other), (2, 0)),
        (indication(SapId::RCOP, OWN, NodeAddress::ALL_STATIONS), (2, 1)),
        (indication(SapId::RCOP, NodeAddress::ALL_STATIONS, OWN), (2, 2)),
    ];
    for (primitive, counted) in table {
        bench.node_sends(&primitive);
        let counters = bench.client.counters();
        assert_eq!((counters.not_for_us, counters.from_own_address), counted);
        assert_eq!(bench.events(), []);
    }
    bench.node_sends(&indication(SapId::RCOP, PEER, OWN));
    bench.node_sends(&indication(SapId::RCOP, PEER, NodeAddress::ALL_STATIONS));
    assert_eq!(bench.events().len(), 2);
}

#[test]
fn a_confirmation_that_never_comes_returns_the_request() {
    let mut bench = Bench::bound();
    bench.submit(1, b"a");
    bench.client.submit(bench.now, SisRequest { ttl: Ttl::from_units(TTL_UNITS_MAX), ..request(2, b"b") }).unwrap();
    bench.client.submit(bench.now, SisRequest { ttl: Ttl::INFINITE, ..request(3, b"c") }).unwrap();
    for _ in 0..6 {
        bench.pass(Duration::from_secs(100));
        bench.node_sends(&Primitive::DataFlowOn);
    }
    assert_eq!(bench.events(), []);
    bench.pass(Duration::from_secs(120));
    assert_eq!(bench.events(), [SisEvent::Returned { token: 1 }]);
    assert_eq!((bench.client.counters().unanswered, bench.client.depth()), (1, (0, 2)));
}

#[test]
fn hard_links() {
    let mut bench = Bench::bound();
    let link = HardLink::from_octets(0x96, PEER.octets());
    bench.client.establish_hard_link(link);
    bench.client.accept_hard_link(link);
    bench.client.reject_hard_link(link, 1);
    bench.client.terminate_hard_link(PEER);
    let kinds: Vec<_> = bench.sent().iter().map(Primitive::kind).collect();
    assert_eq!(kinds, [6, 12, 13, 7]);
    bench.node_sends(&Primitive::HardLinkIndication(HardLinkStatus::Good, link));
    bench.node_sends(&Primitive::HardLinkEstablished(HardLinkStatus::Good, link));
    bench.node_sends(&Primitive::HardLinkTerminated(HardLinkEnd::HigherPriority, link));
    assert_eq!(
        bench.events(),
        [
            SisEvent::HardLinkOffered(HardLinkStatus::Good, link),
            SisEvent::HardLinkEstablished(HardLinkStatus::Good, link),
            SisEvent::HardLinkTerminated(HardLinkEnd::HigherPriority, link),
        ]
    );
}

#[test]
fn any_octets_in_any_chunks_end_every_request_exactly_once() {
    let mut random = Seeded::new(28);
    for _ in 0..300 {
        let mut bench = Bench::bound();
        for token in 0..4 {
            bench.submit(token, b"abc");
        }
        for _ in 0..40 {
            let kind = random.below(30) as u8;
            let mut octets = vec![0x90, 0xeb, 0, 0, 0, kind];
            octets.extend((0..random.below(24)).map(|_| random.below(8) as u8));
            octets[4] = (octets.len() - 5) as u8;
            if random.chance(600_000) {
                octets = Primitive::UnidataRequestConfirm(returned(b"ab")).encode().unwrap().to_vec();
            }
            bench.client.handle_read(bench.now, &octets);
            bench.pass(Duration::from_secs(random.below(5)));
        }
        bench.client.closed(bench.now, None);
        let mut ended: Vec<_> = bench
            .events()
            .into_iter()
            .filter_map(|event| match event {
                SisEvent::Confirmed { token } | SisEvent::Returned { token } | SisEvent::Rejected { token, .. } => {
                    Some(token)
                }
                _ => None,
            })
            .collect();
        ended.sort_unstable();
        assert_eq!(ended, [0, 1, 2, 3]);
    }
}

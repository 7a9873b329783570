use proptest::prelude::*;

use super::super::hard_link::{HardLinkMessage, HardLinkTermination};
use super::super::{Carriage, Content};
use super::*;
use crate::random::{Random as _, Seeded};
use crate::s5066::sis::fields::{DeliveryMode, HardLink, HardLinkType, Order, ServiceType, TransmissionMode, Ttl};
use crate::s5066::sis::frame::FrameReader;
use crate::s5066::sis::pdu::Management;
use crate::s5066::sis::reason::{
    Availability, AvailabilityReason, BindRejection, HardLinkEnd, HardLinkRejection, HardLinkStatus,
};
use crate::s5066::sis::unidata::UnidataRequest;

const A: ClientId = ClientId(1);
const B: ClientId = ClientId(2);
const OWN: NodeAddress = NodeAddress::individual(0x0102_0305);
const PEER: NodeAddress = NodeAddress::individual(0x0102_0306);
const HALF_DUPLEX: Primitive = Primitive::SubnetAvailability(Availability::HalfDuplex, AvailabilityReason::Unspecified);

struct Rig {
    server: SisServer,
    now: Now,
    readers: BTreeMap<ClientId, FrameReader>,
    sent: Vec<Outgoing>,
    closed: Vec<ClientId>,
    /// Physical links are made as soon as they are wanted.
    makes_links: bool,
    released: Vec<NodeAddress>,
}

impl Rig {
    fn new(change: impl FnOnce(&mut SisServerConfig)) -> Self {
        let mut config = SisServerConfig::new(OWN);
        change(&mut config);
        let server = SisServer::new(config);
        let readers = BTreeMap::new();
        let (now, sent, closed, released) = (Now::default(), Vec::new(), Vec::new(), Vec::new());
        Self { server, now, readers, sent, closed, makes_links: true, released }
    }

    fn connect(&mut self, client: ClientId) {
        self.server.accept(self.now, client);
    }

    fn say(&mut self, client: ClientId, primitive: &Primitive) -> Vec<Primitive> {
        self.server.handle_read(self.now, client, &primitive.encode().unwrap());
        self.hear(client)
    }

    /// What the client was told since.
    fn hear(&mut self, client: ClientId) -> Vec<Primitive> {
        while let Some(output) = self.server.poll() {
            match output {
                ServerOutput::Write(client, octets) => self.readers.entry(client).or_default().push(&octets),
                ServerOutput::Close(client) => self.closed.push(client),
                ServerOutput::Send(outgoing) => self.sent.push(outgoing),
                ServerOutput::WantLink(node) if self.makes_links => self.server.link_made(self.now, node, true),
                ServerOutput::WantLink(_) => {}
                ServerOutput::ReleaseLink(node) => self.released.push(node),
                ServerOutput::Manage { client, kind, ask } => self.server.answer(client, kind, ask.text()),
            }
        }
        let reader = self.readers.entry(client).or_default();
        std::iter::from_fn(|| reader.next_frame())
            .map(|frame| Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap())
            .collect()
    }

    fn bound(&mut self, client: ClientId, sap: u8, rank: u8) {
        self.connect(client);
        let said = self.say(client, &bind(sap, rank));
        assert_eq!(said[1], HALF_DUPLEX, "{said:?}");
    }

    fn later(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.server.handle_wakeup(self.now);
    }
}

fn sap(number: u8) -> SapId {
    SapId::try_from(number).unwrap()
}

fn bind(number: u8, rank: u8) -> Primitive {
    let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
    Primitive::BindRequest { sap: sap(number), rank: Rank::try_from(rank).unwrap(), service }
}

fn request(mode: DeliveryMode, destination: NodeAddress, u_pdu: Vec<u8>) -> UnidataRequest {
    UnidataRequest {
        priority: 6,
        sap: sap(6),
        destination,
        mode,
        retransmissions: 2,
        ttl: Ttl::from_units(30),
        u_pdu: u_pdu.into(),
    }
}

fn arq(confirmation: Confirmation) -> DeliveryMode {
    DeliveryMode::new(TransmissionMode::Arq, confirmation, Order::InOrder)
}

fn returned(leading: &[u8]) -> Returned {
    Returned { sap: sap(6), destination: PEER, leading: Bytes::copy_from_slice(leading) }
}

#[test]
fn a_node_without_links_takes_nothing_with_arq() {
    let mut rig = Rig::new(|config| (config.broadcast_only, config.mtu) = (true, 4096));
    rig.connect(A);
    let bind_with = |transmission| {
        let mode = DeliveryMode::new(transmission, Confirmation::None, Order::AsTheyArrive);
        Primitive::BindRequest { sap: sap(6), rank: Rank::default(), service: ServiceType { mode, retransmissions: 0 } }
    };
    let rejected = Primitive::BindRejected(BindRejection::BroadcastSession);
    assert_eq!(rig.say(A, &bind_with(TransmissionMode::Arq)), [rejected]);
    let accepted = Primitive::BindAccepted { sap: sap(6), mtu: 4096 };
    assert_eq!(rig.say(A, &bind_with(TransmissionMode::NonArq)), [accepted, HALF_DUPLEX]);
}

#[test]
fn a_node_that_begins_to_broadcast_unbinds_who_bound_with_arq() {
    let mut rig = Rig::new(|_| {});
    let bind = |transmission, number| {
        let mode = DeliveryMode::new(transmission, Confirmation::None, Order::AsTheyArrive);
        let service = ServiceType { mode, retransmissions: 0 };
        Primitive::BindRequest { sap: sap(number), rank: Rank::default(), service }
    };
    let rows = [(A, TransmissionMode::Arq, 6), (ClientId(21), TransmissionMode::NonArq, 7)];
    for (client, transmission, number) in rows {
        rig.connect(client);
        rig.say(client, &bind(transmission, number));
    }
    rig.server.set_broadcast_only(rig.now, true);
    assert_eq!(rig.hear(A), [Primitive::UnbindIndication(UnbindReason::BroadcastSession)]);
    assert_eq!((rig.hear(ClientId(21)), &rig.closed[..]), (vec![], &[A][..]));
    rig.server.set_broadcast_only(rig.now, false);
    rig.connect(A);
    assert!(matches!(rig.say(A, &bind(TransmissionMode::Arq, 6))[..], [Primitive::BindAccepted { .. }, ..]));
}

#[test]
fn a_bind_says_a_transmission_mode() {
    let mut rig = Rig::new(|_| {});
    rig.connect(A);
    let bind_with = |transmission| {
        let mode = DeliveryMode::new(transmission, Confirmation::None, Order::InOrder);
        let service = ServiceType { mode, retransmissions: 0 };
        Primitive::BindRequest { sap: sap(6), rank: Rank::try_from(3).unwrap(), service }
    };
    for mode in [TransmissionMode::Default, TransmissionMode::Reserved(4), TransmissionMode::Reserved(15)] {
        let rejected = Primitive::BindRejected(BindRejection::Resources);
        assert_eq!(rig.say(A, &bind_with(mode)), [rejected], "{mode:?}");
    }
    assert_eq!(rig.server.counters().invalid, 3);
    let accepted = Primitive::BindAccepted { sap: sap(6), mtu: 2048 };
    assert_eq!(rig.say(A, &bind_with(TransmissionMode::Arq)), [accepted, HALF_DUPLEX]);
}

#[test]
fn binds_are_accepted_or_rejected_with_their_reason() {
    let mut rig = Rig::new(|config| (config.clients_max, config.rank_max) = (5, Rank::try_from(14).unwrap()));
    let accepted = |number| vec![Primitive::BindAccepted { sap: sap(number), mtu: 2048 }, HALF_DUPLEX];
    let rejected = |reason| vec![Primitive::BindRejected(reason)];
    let rows = [
        (1, 6, 3, accepted(6)),
        (2, 6, 3, rejected(BindRejection::SapAllocated)),
        (2, 10, 3, rejected(BindRejection::InvalidSap)),
        (2, 7, 15, rejected(BindRejection::Resources)),
        (2, 7, 3, accepted(7)),
        (2, 8, 3, rejected(BindRejection::Resources)),
        (3, 0, 3, accepted(0)),
        (4, 2, 3, accepted(2)),
        (5, 9, 2, accepted(9)),
        (6, 12, 2, rejected(BindRejection::Resources)),
        (6, 12, 4, accepted(12)),
    ];
    for client in 1..=6 {
        rig.connect(ClientId(client));
    }
    for (client, number, rank, answer) in rows {
        assert_eq!(rig.say(ClientId(client), &bind(number, rank)), answer, "client {client} at SAP {number}");
    }
    // The client of lowest rank had to make room for the last.
    assert_eq!(rig.hear(ClientId(5)), [Primitive::UnbindIndication(UnbindReason::Preempted)]);
    assert_eq!(rig.closed, [ClientId(5)]);
    assert_eq!(rig.say(ClientId(1), &Primitive::UnbindRequest), []);
    assert_eq!(rig.say(ClientId(1), &bind(9, 0)), accepted(9), "unbound, and bound again elsewhere");
    rig.server.closed(rig.now, ClientId(1));
    rig.connect(ClientId(7));
    assert_eq!(rig.say(ClientId(7), &bind(9, 0)), accepted(9), "a dropped connection frees the SAP");
}

#[test]
fn requests_are_confirmed_or_rejected_only_when_asked() {
    let u_pdu: Vec<u8> = (0..100).collect();
    let confirmed = || vec![Primitive::UnidataRequestConfirm(returned(&(0..32).collect::<Vec<u8>>()))];
    let rejected = |reason| vec![Primitive::UnidataRequestRejected(reason, returned(&(0..32).collect::<Vec<u8>>()))];
    let rows = [
        (Confirmation::None, Outcome::Delivered, vec![]),
        (Confirmation::None, Outcome::Expired, vec![]),
        (Confirmation::Node, Outcome::Delivered, confirmed()),
        (Confirmation::Node, Outcome::NotBound, confirmed()),
        (Confirmation::Node, Outcome::Expired, rejected(DataRejection::TtlExpired)),
        (Confirmation::Client, Outcome::Delivered, confirmed()),
        (Confirmation::Client, Outcome::NotBound, rejected(DataRejection::NotBound)),
        (Confirmation::Client, Outcome::NotResponding, rejected(DataRejection::NotResponding)),
    ];
    for (confirmation, outcome, answer) in rows {
        let mut rig = Rig::new(|_| ());
        rig.bound(A, 6, 0);
        assert_eq!(rig.say(A, &Primitive::UnidataRequest(request(arq(confirmation), PEER, u_pdu.clone()))), []);
        let sent = rig.sent.pop().unwrap();
        assert_eq!((sent.carriage, sent.in_order, sent.expedited), (Carriage::Arq, true, false));
        assert_eq!(sent.deadline, rig.now.mono + Duration::from_secs(60));
        assert_eq!(sent.content, Content::Data(u_pdu.clone().into()));
        rig.server.finish(sent.id, outcome);
        rig.server.finish(sent.id, outcome);
        assert_eq!(rig.hear(A), answer, "{confirmation:?} {outcome:?}");
        assert_eq!(rig.server.queued_octets(), 0);
    }
}

#[test]
fn requests_that_cannot_go_are_refused() {
    let group = NodeAddress::group(1);
    let reserved = DeliveryMode::new(TransmissionMode::Reserved(9), Confirmation::None, Order::InOrder);
    let rows = [
        (arq(Confirmation::Node), PEER, 2049, Some(DataRejection::TooLarge)),
        (arq(Confirmation::None), PEER, 2049, None),
        (arq(Confirmation::Node), group, 3, Some(DataRejection::NotResponding)),
        (arq(Confirmation::Node), OWN, 3, Some(DataRejection::NotResponding)),
        (reserved, PEER, 3, Some(DataRejection::NoMode)),
    ];
    for (mode, destination, octets, reason) in rows {
        let mut rig = Rig::new(|_| ());
        rig.bound(A, 6, 0);
        let said = rig.say(A, &Primitive::UnidataRequest(request(mode, destination, vec![7; octets])));
        let reasons: Vec<_> = said
            .iter()
            .map(|primitive| match primitive {
                Primitive::UnidataRequestRejected(reason, _) => *reason,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(reasons, reason.into_iter().collect::<Vec<_>>());
        assert!(rig.sent.is_empty());
    }
    let mut rig = Rig::new(|_| ());
    rig.bound(A, 6, 0);
    rig.say(A, &Primitive::UnidataRequest(request(DeliveryMode::NON_ARQ, group, vec![1])));
    rig.say(A, &Primitive::UnidataRequest(request(DeliveryMode::DEFAULT, PEER, vec![1; 2048])));
    let carriages: Vec<Carriage> = rig.sent.iter().map(|sent| sent.carriage).collect();
    assert_eq!(carriages, [Carriage::NonArq { retransmissions: 2, with_errors: false }, Carriage::Arq]);
}

#[test]
fn flow_goes_off_and_on_and_the_queue_is_bounded() {
    let mut rig = Rig::new(|config| config.queue_octets_max = 4000);
    rig.bound(A, 6, 0);
    let data = Primitive::UnidataRequest(request(arq(Confirmation::Node), PEER, vec![0; 936]));
    let said: Vec<Vec<Primitive>> = (0..12).map(|_| rig.say(A, &data)).collect();
    assert_eq!(said.concat(), [Primitive::DataFlowOff]);
    assert_eq!(said[4].len(), 1, "the fifth thousand is too much");
    assert_eq!((rig.sent.len(), rig.server.counters().overflows), (8, 4));
    let ids: Vec<RequestId> = rig.sent.iter().map(|sent| sent.id).collect();
    let mut heard = Vec::new();
    for id in ids {
        rig.server.finish(id, Outcome::Delivered);
        heard.push(rig.hear(A).len());
    }
    assert_eq!(heard, [1, 1, 1, 1, 1, 2, 1, 1], "flow on when half is free");
    assert_eq!(rig.server.queued_octets(), 0);
}

#[test]
fn arrivals_go_to_the_client_bound_there() {
    let mut rig = Rig::new(|_| ());
    rig.bound(A, 6, 0);
    rig.bound(B, 7, 0);
    let incoming = |number, expedited| Incoming {
        source: PEER,
        destination: OWN,
        source_sap: sap(6),
        sap: sap(number),
        priority: 3,
        expedited,
        transmission: TransmissionMode::Arq,
        errored: Vec::new(),
        missing: Vec::new(),
        u_pdu: Bytes::from_static(b"hello"),
    };
    assert!(rig.server.deliver(incoming(7, false)) && rig.server.deliver(incoming(7, true)));
    assert!(!rig.server.deliver(incoming(9, false)));
    assert_eq!(rig.hear(A), []);
    assert_eq!(rig.hear(B).iter().map(Primitive::kind).collect::<Vec<_>>(), [21, 25]);
}

#[test]
fn emcon_is_told_to_all_clients() {
    let mut rig = Rig::new(|_| ());
    rig.bound(A, 6, 0);
    let silent = Primitive::SubnetAvailability(Availability::ReceiveOnly, AvailabilityReason::Emcon);
    rig.server.set_emcon(true);
    rig.server.set_emcon(true);
    assert_eq!(rig.hear(A), std::slice::from_ref(&silent));
    rig.connect(B);
    assert_eq!(rig.say(B, &bind(7, 0))[1], silent);
    rig.server.set_emcon(false);
    assert_eq!((rig.hear(A), rig.hear(B)), (vec![HALF_DUPLEX], vec![HALF_DUPLEX]));
}

#[test]
fn silence_is_asked_about_and_then_ends_the_bind() {
    let mut rig = Rig::new(|_| ());
    rig.bound(A, 6, 0);
    assert_eq!(rig.say(A, &Primitive::KeepAlive), [Primitive::KeepAlive]);
    rig.later(119);
    assert_eq!(rig.hear(A), []);
    rig.later(1);
    assert_eq!(rig.hear(A), [Primitive::KeepAlive]);
    assert_eq!(rig.say(A, &Primitive::KeepAlive), [], "an answer is not answered");
    rig.later(120);
    assert_eq!(rig.hear(A), [Primitive::KeepAlive]);
    rig.later(10);
    assert_eq!(rig.hear(A), [Primitive::UnbindIndication(UnbindReason::Inactivity)]);
    rig.connect(B);
    rig.later(120);
    assert_eq!((rig.hear(B), rig.closed), (vec![], vec![A, B]), "who never binds is closed");
}

#[test]
fn too_many_expedited_or_invalid_primitives_end_the_bind() {
    let expedited = Primitive::ExpeditedUnidataRequest(request(arq(Confirmation::None), PEER, vec![1]));
    let unknown = Primitive::Unknown { kind: 99, body: Bytes::new() };
    let management = Primitive::ManagementRequest(Management { kind: 1, body: Bytes::new() });
    let rows = [
        (expedited, UnbindReason::Expedited),
        (unknown, UnbindReason::InvalidPrimitives),
        (Primitive::DataFlowOn, UnbindReason::InvalidPrimitives),
        (management, UnbindReason::InvalidPrimitives),
        (Primitive::HardLinkTerminate(PEER), UnbindReason::InvalidPrimitives),
    ];
    for (primitive, reason) in rows {
        let mut rig = Rig::new(|config| (config.expedited_max, config.invalid_max) = (3, 3));
        rig.bound(A, 6, 0);
        for _ in 0..3 {
            assert_eq!(rig.say(A, &primitive), [], "{primitive:?}");
        }
        assert_eq!(rig.say(A, &primitive), [Primitive::UnbindIndication(reason)]);
        assert_eq!(rig.closed, [A]);
        rig.bound(B, 6, 0);
    }
    let mut rig = Rig::new(|_| ());
    rig.bound(A, 0, 15);
    let management = Primitive::ManagementRequest(Management { kind: 1, body: Bytes::new() });
    assert_eq!(rig.say(A, &management)[0].kind(), 19, "rank 15 may");
    let said = |text: &'static [u8]| Management { kind: 1, body: Bytes::from_static(text) };
    for (text, answer) in [(&b""[..], &b"state"[..]), (b"emcon on", b"emcon on"), (b"emcon off", b"emcon off")] {
        let answer = Primitive::ManagementIndication(said(answer));
        assert_eq!(rig.say(A, &Primitive::ManagementRequest(said(text))), [answer]);
    }
    let answers = rig.say(A, &Primitive::ManagementRequest(said(b"dance")));
    let [Primitive::ManagementIndication(answer)] = &answers[..] else { panic!("{answers:?}") };
    assert!(answer.body.starts_with(b"unknown"), "{answer:?}");
}

#[test]
fn expedited_requests_are_counted_per_window() {
    let mut rig = Rig::new(|config| (config.expedited_max, config.keep_alive) = (3, None));
    rig.bound(A, 6, 0);
    for _ in 0..20 {
        let expedited = Primitive::ExpeditedUnidataRequest(request(arq(Confirmation::None), PEER, vec![1]));
        assert_eq!(rig.say(A, &expedited), []);
        rig.later(201);
    }
    assert!(rig.sent.iter().all(|sent| sent.expedited));
}

fn link(kind: HardLinkType, priority: u8) -> HardLink {
    HardLink { kind, priority, remote_sap: sap(6), node: PEER }
}

fn messages(rig: &mut Rig) -> Vec<HardLinkMessage> {
    rig.hear(A);
    let content = rig.sent.drain(..).map(|sent| sent.content);
    content
        .map(|content| match content {
            Content::HardLink(message) => message,
            Content::Data(data) => panic!("{data:?}"),
        })
        .collect()
}

#[test]
fn a_hard_link_is_asked_for_made_and_ended() {
    let reservation = link(HardLinkType::Reservation, 1);
    let mut rig = Rig::new(|_| ());
    rig.bound(A, 6, 2);
    rig.bound(B, 7, 1);
    assert_eq!(rig.say(A, &Primitive::HardLinkEstablish(reservation)), []);
    let asked = HardLinkMessage::Request { kind: reservation.kind, priority: 1, requesting: sap(6), remote: sap(6) };
    assert_eq!(messages(&mut rig), [asked]);
    rig.server.handle_hard_link(rig.now, PEER, HardLinkMessage::Confirm);
    assert_eq!(rig.hear(A), [Primitive::HardLinkEstablished(HardLinkStatus::Good, reservation)]);
    assert_eq!(rig.server.hard_link_peer(), Some(PEER));
    let higher = Primitive::HardLinkRejected(HardLinkRejection::HigherPriority, reservation);
    assert_eq!(rig.say(B, &Primitive::HardLinkEstablish(reservation)), [higher]);
    let exists = Primitive::HardLinkRejected(HardLinkRejection::Exists, reservation);
    assert_eq!(rig.say(A, &Primitive::HardLinkEstablish(reservation)), [exists]);
    assert_eq!(rig.say(A, &Primitive::HardLinkTerminate(PEER)), []);
    assert_eq!(messages(&mut rig), [HardLinkMessage::Terminate(HardLinkTermination::ClientRequest)]);
    rig.server.handle_hard_link(rig.now, PEER, HardLinkMessage::TerminateConfirm);
    let ended = Primitive::HardLinkTerminated(HardLinkEnd::Remote, reservation);
    assert_eq!((rig.hear(A), rig.hear(B)), (vec![ended.clone()], vec![ended]), "all clients share type 0");
    assert_eq!(rig.server.hard_link_peer(), None);
    assert_eq!(rig.released, [PEER], "who ended it breaks the physical link");
}

#[test]
fn a_hard_link_waits_for_its_physical_link() {
    let full = link(HardLinkType::Full, 1);
    for busy in [true, false] {
        let mut rig = Rig::new(|_| ());
        rig.makes_links = false;
        rig.bound(A, 6, 2);
        assert_eq!(rig.say(A, &Primitive::HardLinkEstablish(full)), []);
        assert_eq!(messages(&mut rig), [], "nothing is said before there is a link");
        rig.server.link_lost(PEER);
        assert_eq!(rig.hear(A), [], "that was the soft link in its way");
        rig.server.link_refused(PEER, busy);
        let reason = if busy { HardLinkRejection::Busy } else { HardLinkRejection::NotResponding };
        assert_eq!(rig.hear(A), [Primitive::HardLinkRejected(reason, full)]);
        rig.server.link_made(rig.now, PEER, true);
        assert_eq!(messages(&mut rig), [], "too late");
    }
    let mut rig = Rig::new(|_| ());
    rig.bound(A, 6, 2);
    rig.say(A, &Primitive::HardLinkEstablish(full));
    rig.server.handle_hard_link(rig.now, PEER, HardLinkMessage::Confirm);
    rig.hear(A);
    rig.server.link_lost(PEER);
    assert_eq!(rig.hear(A), [Primitive::HardLinkTerminated(HardLinkEnd::Broken, full)]);
    assert_eq!(rig.released, [PEER], "it is not to be made anew");
    rig.server.link_lost(PEER);
    assert_eq!(rig.hear(A), []);
}

/// Which of three requests pass while a hard link of each type is up, asked for here and there; all pass after it.
#[test]
fn a_hard_link_holds_other_traffic_back() {
    let other = NodeAddress::individual(9);
    let rows = [
        (HardLinkType::Reservation, true, [true, true, true]),
        (HardLinkType::Partial, true, [true, false, false]),
        (HardLinkType::Full, true, [true, false, false]),
        (HardLinkType::Reservation, false, [true, true, true]),
        (HardLinkType::Partial, false, [true, true, false]),
        (HardLinkType::Full, false, [true, false, false]),
    ];
    for (kind, by_us, passes) in rows {
        let mut rig = Rig::new(|config| (config.keep_alive, config.hard_link_wait) = (None, Duration::from_secs(10)));
        rig.bound(A, 6, 2);
        rig.bound(B, 7, 1);
        let wanted = link(kind, 1);
        if by_us {
            rig.say(A, &Primitive::HardLinkEstablish(wanted));
            rig.server.handle_hard_link(rig.now, PEER, HardLinkMessage::Confirm);
        } else {
            rig.server.link_made(rig.now, PEER, true);
            let ask = HardLinkMessage::Request { kind, priority: 1, requesting: sap(6), remote: sap(6) };
            rig.server.handle_hard_link(rig.now, PEER, ask);
            if kind == HardLinkType::Full {
                rig.say(A, &Primitive::HardLinkAccept(wanted));
            }
        }
        rig.hear(A);
        assert!(rig.server.hard_link_peer().is_some());
        rig.sent.clear();
        let requests = [(A, PEER), (B, PEER), (A, other)];
        for ((client, node), passes) in requests.into_iter().zip(passes) {
            rig.say(client, &Primitive::UnidataRequest(request(arq(Confirmation::Node), node, vec![1])));
            assert_eq!(!rig.sent.is_empty(), passes, "{kind:?} {by_us} {node}");
            rig.sent.clear();
        }
        let held = passes.iter().filter(|passes| !**passes).count();
        rig.server.handle_hard_link(rig.now, PEER, HardLinkMessage::Terminate(HardLinkTermination::ClientRequest));
        rig.hear(A);
        let data = rig.sent.iter().filter(|sent| matches!(sent.content, Content::Data(_))).count();
        assert_eq!(data, held);
        assert!(rig.released.is_empty(), "the other node breaks it");
        rig.later(10);
        rig.hear(A);
        assert_eq!(rig.released, [PEER], "unless it does not");
    }
}

#[test]
fn what_is_held_back_expires() {
    let mut rig = Rig::new(|config| config.keep_alive = None);
    rig.bound(A, 6, 2);
    rig.bound(B, 7, 1);
    rig.say(A, &Primitive::HardLinkEstablish(link(HardLinkType::Full, 1)));
    rig.server.handle_hard_link(rig.now, PEER, HardLinkMessage::Confirm);
    assert_eq!(rig.say(B, &Primitive::UnidataRequest(request(arq(Confirmation::Node), PEER, vec![1]))), []);
    assert_eq!(rig.server.next_wakeup().map(|wakeup| wakeup.why), Some("time to live"));
    rig.later(60);
    let rejected = Primitive::UnidataRequestRejected(DataRejection::TtlExpired, returned(&[1]));
    assert_eq!(rig.hear(B), [rejected]);
    assert_eq!(rig.server.queued_octets(), 0);
}

/// The existing link, the link asked for by another client here, and what becomes of both.
#[test]
fn a_hard_link_of_higher_precedence_displaces_another() {
    let other = NodeAddress::individual(9);
    let elsewhere = HardLink { node: other, ..link(HardLinkType::Partial, 1) };
    let mut rig = Rig::new(|config| config.keep_alive = None);
    rig.bound(A, 6, 2);
    rig.bound(B, 7, 3);
    let first = link(HardLinkType::Partial, 1);
    rig.say(A, &Primitive::HardLinkEstablish(first));
    rig.server.handle_hard_link(rig.now, PEER, HardLinkMessage::Confirm);
    rig.hear(A);
    rig.sent.clear();
    rig.makes_links = false;
    assert_eq!(rig.say(B, &Primitive::HardLinkEstablish(elsewhere)), []);
    assert_eq!(rig.hear(A), [Primitive::HardLinkTerminated(HardLinkEnd::HigherPriority, first)]);
    assert_eq!(messages(&mut rig), [HardLinkMessage::Terminate(HardLinkTermination::HigherPriority)]);
    assert!(rig.released.is_empty(), "the message needs the link");
    rig.server.handle_hard_link(rig.now, PEER, HardLinkMessage::TerminateConfirm);
    rig.hear(A);
    assert_eq!(rig.released, [PEER]);
    rig.server.link_lost(PEER);
    rig.server.link_made(rig.now, other, true);
    let ask = HardLinkMessage::Request { kind: elsewhere.kind, priority: 1, requesting: sap(7), remote: sap(6) };
    assert_eq!(messages(&mut rig), [ask]);
    // The client goes before the other node has answered.
    rig.server.closed(rig.now, B);
    assert_eq!(messages(&mut rig), [HardLinkMessage::Terminate(HardLinkTermination::NotBound)]);
    rig.later(120);
    rig.hear(A);
    assert_eq!(rig.released, [PEER, other]);
}

#[test]
fn a_hard_link_that_nobody_answers_is_rejected() {
    let mut rig = Rig::new(|config| (config.hard_link_wait, config.keep_alive) = (Duration::from_secs(60), None));
    rig.bound(A, 6, 0);
    let full = link(HardLinkType::Full, 0);
    rig.say(A, &Primitive::HardLinkEstablish(full));
    rig.later(60);
    assert_eq!(rig.hear(A), [Primitive::HardLinkRejected(HardLinkRejection::NotResponding, full)]);
    assert!(rig.server.next_wakeup().is_none());
}

#[test]
fn the_called_side_answers_by_type_and_precedence() {
    let ask =
        |kind, priority, remote| HardLinkMessage::Request { kind, priority, requesting: sap(6), remote: sap(remote) };
    let confirm = HardLinkMessage::Confirm;
    let reject = HardLinkMessage::Rejected;
    let rows = [
        (vec![ask(HardLinkType::Reservation, 0, 6)], vec![confirm]),
        (vec![ask(HardLinkType::Partial, 0, 9)], vec![confirm]),
        (vec![ask(HardLinkType::Full, 0, 9)], vec![reject(HardLinkRejection::NotBound)]),
        (vec![ask(HardLinkType::Partial, 1, 6), ask(HardLinkType::Partial, 1, 6)], vec![confirm, confirm]),
        (
            vec![ask(HardLinkType::Partial, 1, 6), ask(HardLinkType::Reservation, 0, 6)],
            vec![confirm, reject(HardLinkRejection::HigherPriority)],
        ),
        (
            vec![ask(HardLinkType::Reservation, 1, 6), ask(HardLinkType::Partial, 2, 6)],
            vec![confirm, HardLinkMessage::Terminate(HardLinkTermination::HigherPriority), confirm],
        ),
        (
            vec![ask(HardLinkType::Partial, 0, 6), HardLinkMessage::Terminate(HardLinkTermination::ClientRequest)],
            vec![confirm, HardLinkMessage::TerminateConfirm],
        ),
    ];
    for (said, answers) in rows {
        let mut rig = Rig::new(|_| ());
        rig.bound(A, 6, 0);
        for &message in &said {
            rig.server.handle_hard_link(rig.now, PEER, message);
        }
        assert_eq!(messages(&mut rig), answers, "{said:?}");
    }
}

#[test]
fn the_called_client_of_a_full_link_decides() {
    for (accepts, answer) in [
        (Some(true), HardLinkMessage::Confirm),
        (Some(false), HardLinkMessage::Rejected(HardLinkRejection::Busy)),
        (None, HardLinkMessage::Rejected(HardLinkRejection::NotResponding)),
    ] {
        let mut rig = Rig::new(|config| config.keep_alive = None);
        rig.bound(A, 6, 0);
        let ask =
            HardLinkMessage::Request { kind: HardLinkType::Full, priority: 0, requesting: sap(6), remote: sap(6) };
        rig.server.handle_hard_link(rig.now, PEER, ask);
        let full = link(HardLinkType::Full, 0);
        assert_eq!(rig.hear(A), [Primitive::HardLinkIndication(HardLinkStatus::Good, full)]);
        match accepts {
            Some(true) => rig.say(A, &Primitive::HardLinkAccept(full)),
            Some(false) => rig.say(A, &Primitive::HardLinkReject(1, full)),
            None => {
                rig.later(120);
                Vec::new()
            }
        };
        assert_eq!(messages(&mut rig), [answer]);
        assert_eq!(rig.server.hard_link_peer().is_some(), accepts == Some(true));
    }
}

#[test]
fn a_broken_stream_is_closed_and_disturbs_nobody() {
    let rows: [&[u8]; 5] = [
        b"GET / HTTP/1.0\r\n\r\n",
        &[0x90, 0xeb, 1],
        &[0x90, 0xeb, 0, 0, 0],
        &[0x90, 0xeb, 0, 0xff, 0xff, 17],
        &[0xeb, 0x90],
    ];
    for octets in rows {
        let mut rig = Rig::new(|_| ());
        rig.bound(A, 6, 0);
        rig.bound(B, 7, 0);
        rig.server.handle_read(rig.now, A, octets);
        assert_eq!(rig.hear(A), [Primitive::UnbindIndication(UnbindReason::InvalidPrimitives)]);
        assert_eq!((rig.hear(B), rig.closed), (vec![], vec![A]));
        rig.server.handle_read(rig.now, A, octets);
    }
}

#[test]
fn connections_are_bounded() {
    let mut rig = Rig::new(|_| ());
    for client in 0..40 {
        rig.connect(ClientId(client));
    }
    rig.hear(A);
    assert_eq!(rig.closed.len(), 40 - 24);
}

proptest! {
    /// Whatever octets clients send, in whatever pieces, the server keeps its bounds and answers others.
    #[test]
    fn no_octets_hurt(seed: u64) {
        let mut random = Seeded::new(seed);
        let mut rig = Rig::new(|config| config.queue_octets_max = 2000);
        rig.bound(B, 7, 15);
        for round in 0..60_u64 {
            let client = ClientId(10 + random.below(4));
            if random.below(4) == 0 { rig.server.closed(rig.now, client); }
            rig.connect(client);
            rig.server.handle_read(rig.now, client, &bind((round % 6) as u8, 3).encode().unwrap());
            let mut octets = vec![0; 4 + random.below(60) as usize];
            random.fill(&mut octets);
            let kind = 1 + random.below(28) as u8;
            let size = (octets.len() as u16 + 1).to_be_bytes();
            let mut frame = vec![0x90, 0xeb, 0, size[0], size[1], kind];
            frame.append(&mut octets);
            for piece in frame.chunks(1 + random.below(20) as usize) {
                rig.server.handle_read(rig.now, client, piece);
            }
            rig.later(random.below(20));
            rig.hear(client);
            let answers = rig.say(B, &Primitive::KeepAlive);
            prop_assert!(answers.contains(&Primitive::KeepAlive), "an honest client is served: {:?}", answers);
            let held: usize = rig.server.sessions.values().map(|session| session.queued_octets).sum();
            prop_assert!(held <= rig.server.queued_octets() && held <= 2000 * 2 * 16);
            prop_assert_eq!(rig.server.pending.is_empty(), rig.server.queued_octets() == 0);
        }
        for sent in std::mem::take(&mut rig.sent) {
            rig.server.finish(sent.id, Outcome::Expired);
        }
        prop_assert_eq!((rig.server.pending.len(), rig.server.queued_octets()), (0, 0));
    }
}

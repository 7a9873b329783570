//! Two and more nodes that take turns, over weather.

use proptest::prelude::*;

use super::*;
use crate::s5066::node::dpdu::{
    AckPart, Body, DPdu, DataPart, ExpeditedPart, NonArqPart, ResetPart, WarningReason, decode, eow::EowMessage,
};
use crate::time::Duration;

const A: u32 = 1;
const B: u32 = 2;

fn node(bits: u32) -> NodeAddress {
    NodeAddress::individual(bits)
}

fn at(seconds: u64) -> Now {
    Now::default().after(Duration::from_secs(1000 + seconds))
}

fn dts(bits: u32) -> Dts {
    Dts::new(DtsConfig::new(node(bits)), Seeded::new(bits.into()))
}

fn linked(bits: u32, other: u32) -> Dts {
    let mut dts = dts(bits);
    dts.connect(at(0), node(other));
    dts
}

fn sending(number: u64, to: u32, service: Service, priority: u8, octets: usize) -> Sending {
    let c_pdu: Vec<u8> = (0..octets).map(|at| (number as usize * 31 + at) as u8).collect();
    let (destination, deadline) = (node(to), at(1_000_000).mono);
    Sending { number: CPduNumber(number), destination, service, priority, deadline, c_pdu: c_pdu.into() }
}

const ARQ: Service = Service::Arq { in_order: true };
const UNORDERED: Service = Service::Arq { in_order: false };

fn events(dts: &mut Dts) -> Vec<DtsEvent> {
    std::iter::from_fn(|| dts.poll_event()).collect()
}

fn received(events: &[DtsEvent]) -> Vec<Bytes> {
    let c_pdu = |event: &DtsEvent| match event {
        DtsEvent::Received { c_pdu, missing, .. } if missing.is_empty() => Some(c_pdu.clone()),
        _ => None,
    };
    events.iter().filter_map(c_pdu).collect()
}

/// One transmission from one to the other over the octets of the air; `fate` says for each D_PDU how often it arrives,
/// and whether its last octet is damaged. Whether anything arrived.
fn turn(from: &mut Dts, to: &mut Dts, now: Now, plan: &Plan, mut fate: impl FnMut(usize) -> (u8, bool)) -> bool {
    let frames = from.compose(now, plan);
    let mut heard = false;
    for (index, frame) in frames.iter().enumerate() {
        let (times, damaged) = fate(index);
        let mut octets = frame.encode().to_vec();
        assert_eq!(octets.len(), frame.octets());
        if damaged && let Some(last) = octets.last_mut() {
            *last ^= 1;
        }
        for _ in 0..times {
            if let Ok(received) = decode(&octets) {
                to.heard(now, &received.pdu, received.segment_intact);
                heard = true;
            }
        }
    }
    from.sent(now);
    heard
}

fn calm(_: usize) -> (u8, bool) {
    (1, false)
}

#[test]
fn c_pdus_cross_in_order_and_are_acknowledged() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    for number in 0..5 {
        a.submit(at(0), sending(number, B, ARQ, 3, 450));
    }
    let plan = Plan::new(3000, 200);
    assert_eq!(a.waiting(at(0).mono), Some(Waiting { at: at(0).mono, urgent: false }));
    turn(&mut a, &mut b, at(1), &plan, calm);
    assert_eq!(a.waiting(at(1).mono), None, "an answer is awaited");
    b.submit(at(2), sending(9, A, ARQ, 3, 10));
    // The acknowledgement rides with data.
    let answer = b.compose(at(2), &Plan { partner: Some(node(A)), ..plan });
    assert!(matches!(answer[..], [DPdu { body: Body::DataAck(..), .. }]), "{answer:?}");
    turn(&mut b, &mut a, at(2), &plan, calm);
    while a.waiting(at(3).mono).is_some() || b.waiting(at(3).mono).is_some() {
        turn(&mut a, &mut b, at(3), &plan, calm);
        turn(&mut b, &mut a, at(4), &plan, calm);
    }
    let expected: Vec<Bytes> = (0..5).map(|number| sending(number, B, ARQ, 3, 450).c_pdu).collect();
    assert_eq!(received(&events(&mut b)), expected);
    let done: Vec<DtsEvent> = events(&mut a);
    assert_eq!(done.iter().filter(|event| matches!(event, DtsEvent::Delivered(_))).count(), 5);
    assert_eq!((a.queued(), a.counters().segments_repeated), ((0, 0), 0));
}

#[test]
fn a_flash_goes_before_what_of_a_routine_c_pdu_has_not_left() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    for number in 0..20 {
        a.submit(at(0), sending(number, B, ARQ, 3, 2000));
    }
    let plan = Plan::new(5000, 200);
    let first = a.compose(at(1), &plan);
    a.submit(at(2), sending(99, B, UNORDERED, 12, 300));
    assert!(a.waiting(at(2).mono).is_some_and(|waiting| waiting.urgent));
    // Three D_PDUs have begun; what follows gives way.
    let left = 5000 - first[..3].iter().map(DPdu::octets).sum::<usize>();
    let tail = a.amend(at(2), 3, &Plan::new(left, 200)).unwrap();
    assert!(tail.iter().map(DPdu::octets).sum::<usize>() <= left);
    assert!(a.amend(at(2), 4, &plan).is_none(), "nothing more urgent waits any more");
    for frame in first[..3].iter().chain(&tail) {
        b.heard(at(3), frame, true);
    }
    a.sent(at(3));
    let came = received(&events(&mut b));
    assert_eq!(came[0], sending(99, B, UNORDERED, 12, 300).c_pdu);
    let segments = |frame: &DPdu| frame.body.segment().map_or(0, Bytes::len);
    assert!(tail[..2].iter().map(segments).sum::<usize>() == 300, "the FLASH stands first");
    // Nothing of the routine is lost or doubled.
    for second in 4..30 {
        turn(&mut b, &mut a, at(second), &plan, calm);
        turn(&mut a, &mut b, at(second), &plan, calm);
    }
    assert_eq!(came.len() + received(&events(&mut b)).len(), 21);
    assert_eq!((a.queued().0, a.counters().segments_repeated), (0, 0));
}

#[test]
fn a_flash_overtakes_data_without_arq_and_nothing_of_it_goes_twice() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let service = Service::NonArq { copies: 1 };
    a.submit(at(0), sending(1, B, service, 3, 2000));
    let first = a.compose(at(1), &Plan::new(5000, 200));
    a.submit(at(2), sending(2, B, Service::NonArq { copies: 1 }, 12, 100));
    let tail = a.amend(at(2), 4, &Plan::new(3000, 200)).unwrap();
    for frame in first[..4].iter().chain(&tail) {
        b.heard(at(3), frame, true);
    }
    a.sent(at(3));
    assert_eq!((first.len(), tail.len()), (10, 7));
    assert_eq!(
        received(&events(&mut b)),
        [sending(2, B, service, 12, 100).c_pdu, sending(1, B, service, 3, 2000).c_pdu]
    );
    assert_eq!((b.counters().repeats, a.queued().0), (0, 0));
    assert!(a.compose(at(4), &Plan::new(5000, 200)).is_empty());
}

#[test]
fn a_full_window_keeps_numbers_for_a_flash() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    for number in 0..200 {
        a.submit(at(0), sending(number, B, ARQ, 3, 100));
    }
    let plan = Plan::new(100_000, 100);
    let frames = a.compose(at(1), &plan);
    assert_eq!(frames.len(), usize::from(limits::WINDOW_MAX - limits::WINDOW_RESERVE));
    a.sent(at(1));
    a.submit(at(2), sending(300, B, UNORDERED, 12, 100));
    assert_eq!(a.begun(node(B)), 0);
    assert!(turn(&mut a, &mut b, at(2), &plan, calm));
    assert_eq!(received(&events(&mut b)).len(), 1);
}

#[test]
fn what_is_cancelled_is_dropped_there_and_holds_nothing_up() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let plan = Plan::new(10_000, 100);
    for number in 0..4 {
        a.submit(at(0), sending(number, B, ARQ, 3, 250));
    }
    // The second C_PDU loses a segment, and is cancelled before it is repeated.
    turn(&mut a, &mut b, at(1), &plan, |index| (u8::from(index != 4), false));
    assert_eq!(received(&events(&mut b)).len(), 1);
    assert_eq!((a.cancel(CPduNumber(1)), a.cancel(CPduNumber(7))), (Some(true), None));
    turn(&mut b, &mut a, at(2), &plan, calm);
    let repeat = a.compose(at(3), &plan);
    let dropped = |frame: &DPdu| matches!(&frame.body, Body::Data(data) if data.drop && data.segment.is_empty());
    assert!(repeat.len() == 1 && dropped(&repeat[0]), "{repeat:?}");
    turn(&mut a, &mut b, at(3), &plan, calm);
    turn(&mut b, &mut a, at(4), &plan, calm);
    assert_eq!(received(&events(&mut b)).len(), 2);
    assert_eq!(a.queued(), (0, 0));
    // One that never left is gone without a trace, and so is one whose deadline passes.
    a.submit(at(5), sending(8, B, ARQ, 3, 10));
    assert_eq!(a.cancel(CPduNumber(8)), Some(false));
    a.submit(at(5), Sending { deadline: at(6).mono, ..sending(9, B, ARQ, 3, 10) });
    a.expire(at(6));
    let failed = DtsEvent::Failed { number: CPduNumber(9), why: SendFault::Expired, begun: false };
    assert_eq!(events(&mut a).last(), Some(&failed));
    assert!(a.compose(at(7), &plan).is_empty());
}

#[test]
fn expedited_data_goes_first_and_waits_for_itself() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let plan = Plan::new(600, 100);
    a.submit(at(0), sending(1, B, ARQ, 3, 300));
    for number in [2, 3] {
        a.submit(at(0), sending(number, B, Service::ExpeditedArq, 0, 250));
    }
    let frames = a.compose(at(1), &plan);
    let kinds: Vec<u8> = frames.iter().map(|frame| frame.body.kind()).collect();
    assert_eq!(kinds[..4], [4, 4, 4, 0]);
    // A segment of it is lost: ordinary data waits until it has arrived.
    turn(&mut a, &mut b, at(1), &plan, |index| (u8::from(index != 1), false));
    turn(&mut b, &mut a, at(2), &plan, calm);
    for second in 3..8 {
        turn(&mut a, &mut b, at(second), &plan, calm);
        turn(&mut b, &mut a, at(second), &plan, calm);
    }
    let c_pdu = |number, service, octets| sending(number, B, service, 0, octets).c_pdu;
    let came = received(&events(&mut b));
    assert_eq!(came.len(), 3);
    let place = |wanted: Bytes| came.iter().position(|c_pdu| *c_pdu == wanted);
    assert!(place(c_pdu(2, Service::ExpeditedArq, 250)) < place(c_pdu(3, Service::ExpeditedArq, 250)));
    let done = events(&mut a);
    assert_eq!(done.iter().filter(|event| matches!(event, DtsEvent::Delivered(_))).count(), 3, "{done:?}");
}

#[test]
fn an_expedited_c_pdu_is_not_acknowledged_by_the_one_before() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let plan = Plan::new(600, 100);
    for number in [1, 2] {
        a.submit(at(0), sending(number, B, Service::ExpeditedArq, 0, 50));
    }
    turn(&mut a, &mut b, at(1), &plan, calm);
    turn(&mut b, &mut a, at(2), &plan, calm);
    // The second one comes damaged: what B says of it must not be what it knows of the first.
    turn(&mut a, &mut b, at(3), &plan, |_| (1, true));
    turn(&mut b, &mut a, at(4), &plan, calm);
    assert_eq!(events(&mut a), [DtsEvent::Delivered(CPduNumber(1))]);
    turn(&mut a, &mut b, at(100), &plan, calm);
    turn(&mut b, &mut a, at(101), &plan, calm);
    assert_eq!((events(&mut a), received(&events(&mut b)).len()), (vec![DtsEvent::Delivered(CPduNumber(2))], 2));
}

#[test]
fn a_late_acknowledgement_of_what_was_given_up_is_none_of_the_next_expedited_c_pdu() {
    for octets in [2, 50, 150, 400] {
        let (mut a, mut b) = (linked(A, B), linked(B, A));
        let plan = Plan::new(1000, 100);
        a.submit(at(0), sending(1, B, Service::ExpeditedArq, 0, octets));
        turn(&mut a, &mut b, at(1), &plan, calm);
        // B has it and is silent; A gives it up, and the next one is lost.
        assert_eq!(a.cancel(CPduNumber(1)), Some(true));
        a.submit(at(2), sending(2, B, Service::ExpeditedArq, 0, octets));
        turn(&mut a, &mut b, at(3), &plan, |_| (0, false));
        turn(&mut b, &mut a, at(4), &plan, calm);
        assert_eq!(events(&mut a), [], "{octets} octets");
        for second in [100, 200] {
            a.missed(at(second), node(B), true);
            turn(&mut a, &mut b, at(second), &plan, calm);
            turn(&mut b, &mut a, at(second + 1), &plan, calm);
        }
        let delivered = [DtsEvent::Delivered(CPduNumber(2))];
        assert_eq!((&events(&mut a)[..], received(&events(&mut b)).len()), (&delivered[..], 2), "{octets} octets");
    }
}

#[test]
fn copies_without_arq_merge_and_gaps_are_told() {
    let group = NodeAddress::group(77);
    let mut a = dts(A);
    let mut b = Dts::new(DtsConfig { groups: vec![group], ..DtsConfig::new(node(B)) }, Seeded::new(2));
    let mut stranger = dts(3);
    let plan = Plan::new(400, 100);
    let many = |copies| Sending { destination: group, ..sending(1, 0, Service::NonArq { copies }, 3, 1000) };
    a.submit(at(0), many(2));
    let mut count = 0;
    while a.waiting(at(1).mono).is_some() {
        // Of each copy another part is lost.
        let frames = a.compose(at(1), &plan);
        assert!(frames.iter().map(DPdu::octets).sum::<usize>() <= 400);
        for frame in frames {
            count += 1;
            stranger.heard(at(1), &frame, true);
            if ![3, 4, 12, 15].contains(&count) {
                b.heard(at(1), &frame, true);
            }
        }
        a.sent(at(1));
    }
    assert_eq!(received(&events(&mut b)), [many(2).c_pdu]);
    assert!(events(&mut stranger).is_empty() && stranger.counters().overheard > 0);
    assert_eq!(events(&mut a), [DtsEvent::Sent(CPduNumber(1))]);
    // A single copy with a hole and damage comes out when its window is over.
    a.submit(at(10), many(1));
    let frames = a.compose(at(10), &Plan::new(5000, 100));
    assert_eq!(frames.len(), 10);
    for (index, frame) in frames.iter().enumerate().filter(|(index, _)| *index != 3) {
        b.heard(at(10), frame, index != 5);
    }
    a.sent(at(10));
    assert!(events(&mut b).is_empty());
    let due = b.next_wakeup().unwrap().at;
    assert!(due <= at(10).mono + Duration::from_secs(128));
    b.expire(Now { mono: due, ..at(10) });
    let out = events(&mut b);
    let [DtsEvent::Received { missing, errored, brought: Brought::NonArq, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!((&missing[..], &errored[..]), (&[(300, 100)][..], &[(500, 100)][..]));
    assert_eq!(b.over_limit(), None);
}

#[test]
fn a_lost_answer_is_asked_for_with_little_and_silence_is_probed() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let plan = Plan::new(4000, 200);
    for number in 0..3 {
        a.submit(at(0), sending(number, B, ARQ, 3, 1000));
    }
    turn(&mut a, &mut b, at(1), &plan, calm);
    a.missed(at(2), node(B), true);
    let again = a.compose(at(2), &plan);
    assert!(!again.is_empty() && again.iter().map(DPdu::octets).sum::<usize>() <= 1000);
    a.sent(at(2));
    for (second, waits) in [(3, false), (10, true)] {
        a.missed(at(second), node(B), false);
        let waiting = a.waiting(at(second).mono).unwrap();
        assert_eq!(waiting.at > at(second).mono, waits);
        assert!(waiting.at <= at(second).mono + limits::RETRY_WAIT_MAX);
        assert_eq!(a.compose(at(second), &plan).is_empty(), waits, "not for the first time");
        assert!(!a.compose(Now { mono: waiting.at, ..at(second) }, &plan).is_empty());
        a.sent(at(second));
    }
    a.missed(at(20), node(B), false);
    let probe = a.compose(at(200), &plan);
    assert_eq!(probe.len(), 1);
    turn(&mut a, &mut b, at(200), &plan, calm);
    turn(&mut b, &mut a, at(201), &plan, calm);
    assert_eq!((a.queued().0, received(&events(&mut b)).len()), (0, 3));
}

#[test]
fn strangers_are_warned_seldom_and_never_for_a_warning() {
    let mut a = linked(A, B);
    let segment = Bytes::from_static(b"x");
    let data = DataPart { start: true, end: true, in_order: false, drop: false, uwe: true, lwe: true, fsn: 0, segment };
    let from =
        |source: u32, body: Body| DPdu { eow: Eow::NONE, eot: 1, destination: node(A), source: node(source), body };
    assert!(a.heard(at(1), &from(7, Body::Data(data.clone())), true).answer);
    a.heard(at(1), &from(7, Body::Data(data.clone())), true);
    a.heard(at(1), &from(8, Body::Warning { received: 0, reason: 1 }), true);
    a.heard(at(1), &from(9, Body::Unknown { kind: 12, part: Bytes::new() }), true);
    a.heard(at(1), &from(10, Body::Unknown { kind: 15, part: Bytes::new() }), true);
    let warnings: Vec<(NodeAddress, Body)> =
        a.compose(at(2), &Plan::new(1000, 100)).into_iter().map(|frame| (frame.destination, frame.body)).collect();
    let warning = |to, received, reason: WarningReason| (node(to), Body::Warning { received, reason: reason as u8 });
    let expected = [warning(7, 0, WarningReason::NotConnected), warning(9, 12, WarningReason::UnrecognisedType)];
    assert_eq!(warnings, expected);
    a.sent(at(2));
    a.heard(at(3), &from(7, Body::Data(data.clone())), true);
    assert!(a.compose(at(3), &Plan::new(1000, 100)).is_empty());
    assert!(events(&mut a).is_empty());
    // Many strangers cost no more than the limits say.
    for source in 100..5000 {
        a.heard(at(4), &from(source, Body::Data(data.clone())), true);
        let expedited = ExpeditedPart { start: true, end: true, c_pdu_id: 0, fsn: 0, segment: Bytes::new() };
        a.heard(at(4), &from(source, Body::ExpeditedData(expedited)), true);
        let part = NonArqPart {
            in_order: false,
            c_pdu_id: 1,
            c_pdu_size: 60_000,
            offset: 0,
            window: 9,
            segment: Bytes::new(),
        };
        a.heard(at(4), &from(source, Body::NonArq(part)), true);
        a.message(at(4), node(source), Eow::NONE, None);
    }
    assert_eq!(a.over_limit(), None);
    // A forged source is counted.
    a.heard(at(5), &from(A, Body::Data(data)), true);
    assert_eq!(a.counters().forged, 1);
}

#[test]
fn a_warning_of_a_node_that_was_spoken_to_is_told() {
    let (mut a, mut b) = (linked(A, B), dts(B));
    a.submit(at(0), sending(1, B, ARQ, 3, 10));
    turn(&mut a, &mut b, at(1), &Plan::new(500, 100), calm);
    turn(&mut b, &mut a, at(2), &Plan::new(500, 100), calm);
    assert_eq!(events(&mut a), [DtsEvent::PeerUnconnected(node(B))]);
    a.connect(at(3), node(B));
    b.connect(at(3), node(A));
    let failed = DtsEvent::Failed { number: CPduNumber(1), why: SendFault::Reset, begun: true };
    assert_eq!(events(&mut a), [failed]);
}

#[test]
fn a_node_that_lost_its_window_is_brought_back() {
    let plan = Plan::new(3000, 100);
    // Either end loses it.
    for lost in [A, B] {
        let (mut a, mut b) = (linked(A, B), linked(B, A));
        for number in 0..3 {
            a.submit(at(0), sending(number, B, ARQ, 3, 250));
        }
        turn(&mut a, &mut b, at(1), &plan, calm);
        turn(&mut b, &mut a, at(2), &plan, calm);
        if lost == A {
            a = linked(A, B)
        } else {
            b = linked(B, A)
        }
        let before = received(&events(&mut b)).len();
        for number in 10..15 {
            a.submit(at(3), sending(number, B, ARQ, 3, 250));
        }
        let mut came = 0;
        for second in 4..40 {
            turn(&mut a, &mut b, at(second), &plan, calm);
            turn(&mut b, &mut a, at(second), &plan, calm);
            a.missed(at(second), node(B), true);
            b.missed(at(second), node(A), true);
            came += received(&events(&mut b)).len();
        }
        let told = events(&mut a);
        let failed = told.iter().filter(|event| matches!(event, DtsEvent::Failed { begun: true, .. })).count();
        assert_eq!(a.queued().0, 0, "{lost}: {told:?}");
        // A node that begins anew looks like one that repeats: what it sent first may be taken for that.
        assert!(before + came + failed >= 5, "{lost}: {came} came, {failed} failed");
    }
}

#[test]
fn endless_resets_end_the_connection() {
    let mut a = linked(A, B);
    let mut lost = 0;
    for frame_id in 0..50 {
        let body = Body::Reset(ResetPart { full_command: true, frame_id, ..ResetPart::default() });
        let frame = DPdu { eow: Eow::NONE, eot: 1, destination: node(A), source: node(B), body };
        a.heard(at(1), &frame, true);
        a.compose(at(1), &Plan::new(1000, 100));
        a.sent(at(1));
        lost += events(&mut a).iter().filter(|event| matches!(event, DtsEvent::ConnectionLost(_))).count();
    }
    assert_eq!(lost, 50 - limits::RESETS_MAX);
    assert_eq!(a.counters().resets_heard, 50);
}

#[test]
fn management_messages_wait_for_their_acknowledgement() {
    let (mut a, mut b) = (dts(A), dts(B));
    let plan = Plan::new(500, 100);
    let eow = Eow::from(EowMessage::User(Eow { kind: 9, data: 3 }));
    assert!(a.message(at(0), node(B), eow, Some(Bytes::from_static(b"more"))));
    turn(&mut a, &mut b, at(1), &plan, |_| (2, false));
    let told = events(&mut b);
    assert_eq!(told, [DtsEvent::Advised { peer: node(A), eow, extended: Bytes::from_static(b"more") }]);
    turn(&mut b, &mut a, at(2), &plan, calm);
    assert_eq!(events(&mut a), [DtsEvent::ManagementDone { peer: node(B), acknowledged: true }]);
    assert!(a.message(at(3), node(B), eow, None));
    for second in 0..4 {
        assert!(!a.compose(at(100 * (second + 1)), &plan).is_empty());
        a.sent(at(100 * (second + 1)));
        a.missed(at(100 * (second + 1)), node(B), false);
    }
    assert_eq!(events(&mut a), [DtsEvent::ManagementDone { peer: node(B), acknowledged: false }]);
}

#[test]
fn the_rate_goes_down_in_silence_and_the_other_end_answers_at_it() {
    let rates = [300, 600, 1200, 2400].map(rate::Rate).to_vec();
    let config = |bits| DtsConfig { rates: rates.clone(), rate_first: 3, ..DtsConfig::new(node(bits)) };
    let (mut a, mut b) = (Dts::new(config(A), Seeded::new(1)), Dts::new(config(B), Seeded::new(2)));
    a.connect(at(0), node(B));
    b.connect(at(0), node(A));
    for number in 0..10 {
        a.submit(at(0), sending(number, B, ARQ, 3, 300));
    }
    let plan = Plan::new(1000, 200);
    // Nothing faster than 600 bit/s gets through, either way.
    let mut rounds = 0;
    while a.queued().0 > 0 {
        rounds += 1;
        let now = at(100 * rounds);
        let gets_through = |dts: &Dts, peer| (u8::from(dts.rate(node(peer)) <= 1), false);
        let fate = gets_through(&a, B);
        turn(&mut a, &mut b, now, &plan, |_| fate);
        let fate = gets_through(&b, A);
        let heard = turn(&mut b, &mut a, now, &plan, |_| fate);
        a.missed(now, node(B), heard);
        assert!(rounds < 20, "{:?}", (a.rate(node(B)), b.rate(node(A))));
    }
    assert_eq!(b.rate(node(A)), 1);
    assert_eq!(received(&events(&mut b)).len(), 10);
}

#[test]
fn one_transmission_asks_one_node() {
    let mut a = linked(A, B);
    a.connect(at(0), node(3));
    a.submit(at(0), sending(1, B, ARQ, 3, 10));
    a.submit(at(0), sending(2, 3, ARQ, 3, 10));
    let plan = Plan::new(1000, 100);
    assert_eq!(a.partner(at(0), &Plan { partner: Some(node(3)), ..plan }), Some(node(3)));
    let frames = a.compose(at(0), &plan);
    assert_eq!((frames.len(), a.asked()), (1, Some(frames[0].destination)));
    a.sent(at(0));
    let second = a.compose(at(0), &plan);
    assert!(second.len() == 1 && second[0].destination != frames[0].destination);
}

#[test]
fn refusals_are_told() {
    let mut a = linked(A, B);
    a.submit(at(0), sending(1, 3, ARQ, 3, 10));
    a.submit(at(0), Sending { destination: NodeAddress::ALL_STATIONS, ..sending(2, 0, ARQ, 3, 10) });
    a.submit(at(0), sending(3, B, ARQ, 3, 70_000));
    a.submit(at(0), Sending { deadline: at(0).mono, ..sending(4, B, ARQ, 3, 10) });
    let why = |event: &DtsEvent| if let DtsEvent::Failed { why, .. } = event { Some(*why) } else { None };
    let told: Vec<_> = events(&mut a).iter().filter_map(why).collect();
    assert_eq!(told, [SendFault::NotConnected, SendFault::Group, SendFault::TooLarge, SendFault::Expired]);
}

/// Bulk in C_PDUs of so many octets, in transmissions of at most 127.5 s that are answered by an acknowledgement: what
/// of the rate arrives, in thousandths. Block and preamble are 0.6 s, key-up 0.15 s, each turn 2 s.
fn bulk(bits_per_second: usize, c_pdu: usize) -> usize {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let count = 10 * bits_per_second / 75;
    for number in 0..count {
        a.submit(at(0), sending(number as u64, B, UNORDERED, 3, c_pdu));
    }
    let airtime = |octets: usize| 750 + (octets * 8 * 1000).div_ceil(bits_per_second * 600) * 600;
    let plan = Plan::new((127_500 - 750 - 600) * bits_per_second / 8000, 1023);
    let mut millis = 0;
    while a.queued().0 > 0 {
        for dts in [&mut a, &mut b] {
            let frames = dts.compose(at(1), &plan);
            millis += 2000 + airtime(frames.iter().map(DPdu::octets).sum());
            dts.cut_off(at(1), 0);
        }
        turn(&mut a, &mut b, at(1), &plan, calm);
        // The answer was counted before it was owed: one acknowledgement.
        millis += airtime(20) - airtime(0);
        turn(&mut b, &mut a, at(1), &plan, calm);
    }
    assert_eq!(received(&events(&mut b)).len(), count);
    count * c_pdu * 8 * 1_000_000 / bits_per_second / millis
}

#[test]
fn bulk_takes_nine_tenths_of_the_rate_by_arithmetic() {
    // An MTU makes three segments of 685 octets; eight octets less make two that are full.
    let table = [(75, 2046, 880), (1200, 2054, 900), (1200, 2046, 910), (9600, 2054, 880), (9600, 2046, 910)];
    for (rate, c_pdu, least) in table {
        let share = bulk(rate, c_pdu);
        assert!(share >= least, "{rate} bit/s, C_PDUs of {c_pdu}: {share} thousandths");
    }
}

#[test]
fn bulk_takes_nearly_all_of_a_transmission() {
    // 1200 bit/s, 127.5 s: 19,125 octets; what is left for C_PDUs of an MTU, at addresses of full length.
    let mut a = linked(0x102_0304, 0x102_0305);
    for number in 0..40 {
        a.submit(at(0), Sending { destination: node(0x102_0305), ..sending(number, B, ARQ, 3, 2054) });
    }
    let frames = a.compose(at(0), &Plan::new(19_125, 1023));
    let octets: usize = frames.iter().map(DPdu::octets).sum();
    let segments: usize = frames.iter().filter_map(|frame| frame.body.segment()).map(Bytes::len).sum();
    assert!(octets <= 19_125 && segments * 100 >= 19_125 * 96, "{segments} of {octets} octets");
}

/// What happens to a D_PDU: 0 and 1 it is lost, 2 damaged, 3 it comes twice, else it arrives.
fn fate(weather: &[u8], index: usize) -> (u8, bool) {
    match weather.get(index % weather.len().max(1)) {
        Some(0 | 1) => (0, false),
        Some(2) => (1, true),
        Some(3) => (2, false),
        _ => (1, false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_c_pdu_is_delivered_once_and_in_order_or_reported(
        weather in prop::collection::vec(prop::collection::vec(0_u8..12, 1..9), 1..60),
        sizes in prop::collection::vec((0_usize..900, 0_u8..16, 0_u8..5), 1..40),
        window in 4_u16..129,
        resets in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let config = |bits| DtsConfig { window, ..DtsConfig::new(node(bits)) };
        let mut a = Dts::new(config(A), Seeded::new(1));
        let mut b = Dts::new(config(B), Seeded::new(2));
        a.connect(at(0), node(B));
        b.connect(at(0), node(A));
        let mut sent: BTreeMap<u64, Sending> = BTreeMap::new();
        let mut came: Vec<Bytes> = Vec::new();
        let (mut delivered, mut failed, mut lost) = (BTreeSet::new(), BTreeSet::new(), false);
        let resets: Vec<usize> = resets.iter().map(|at| at.index(weather.len())).collect();
        for round in 0..weather.len() + 60 {
            let now = at(round as u64 * 100);
            for (number, &(octets, priority, kind)) in sizes.iter().enumerate().skip(round * 2).take(2) {
                let service = match kind { 0 => Service::ExpeditedArq, 1 | 2 => UNORDERED, _ => ARQ };
                let mut sending = sending(number as u64, B, service, priority, octets + 8);
                sending.c_pdu = [&(number as u64).to_be_bytes()[..], &sending.c_pdu[8..]].concat().into();
                sent.insert(number as u64, sending.clone());
                a.submit(now, sending);
            }
            if resets.contains(&round) {
                a.peers.get_mut(&node(B)).unwrap().resets.begin(resets::Pending::Full);
            }
            let plan = Plan::new(700, 120);
            let sky = weather.get(round).map_or(&[9_u8][..], |sky| &sky[..]);
            turn(&mut a, &mut b, now, &plan, |index| fate(sky, index));
            let heard = turn(&mut b, &mut a, now, &plan, |index| fate(sky, index + 1));
            a.missed(now, node(B), heard);
            b.missed(now, node(A), true);
            came.extend(received(&events(&mut b)));
            for event in events(&mut a) {
                match event {
                    DtsEvent::Delivered(number) => prop_assert!(delivered.insert(number.0)),
                    DtsEvent::Failed { number, .. } => prop_assert!(failed.insert(number.0)),
                    DtsEvent::ConnectionLost(_) => lost = true,
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            // A reset was not answered for long: both begin anew.
            if std::mem::take(&mut lost) {
                for (dts, other) in [(&mut a, B), (&mut b, A)] {
                    dts.disconnect(now, node(other));
                    dts.connect(now, node(other));
                }
            }
            prop_assert_eq!((a.over_limit(), b.over_limit()), (None, None));
        }
        let number = |c_pdu: &Bytes| u64::from_be_bytes(c_pdu[..8].try_into().unwrap());
        let numbers: Vec<u64> = came.iter().map(number).collect();
        let once: BTreeSet<u64> = numbers.iter().copied().collect();
        prop_assert_eq!(once.len(), numbers.len(), "twice: {:?}", numbers);
        for c_pdu in &came {
            prop_assert_eq!(c_pdu, &sent[&number(c_pdu)].c_pdu);
        }
        prop_assert!(delivered.is_subset(&once), "{:?} of {:?}", delivered, once);
        prop_assert!(delivered.is_disjoint(&failed) && delivered.len() + failed.len() == sent.len());
        prop_assert!(resets.is_empty() && failed.is_empty() || !resets.is_empty());
        // Of one priority, what is to be in order comes in the order of submission.
        for priority in 0..16 {
            let ordered: Vec<u64> = numbers
                .iter()
                .copied()
                .filter(|number| sent[number].service == ARQ && sent[number].priority == priority)
                .collect();
            prop_assert!(ordered.is_sorted(), "{:?}", ordered);
        }
    }

    #[test]
    fn forged_d_pdus_do_no_harm(
        frames in prop::collection::vec((0_u8..6, any::<u8>(), any::<[u8; 4]>(), 1_u32..4), 1..60),
    ) {
        let mut a = linked(A, B);
        for number in 0..10 {
            a.submit(at(0), sending(number, B, ARQ, 3, 300));
        }
        for (kind, flags, octets, source) in frames {
            let bit = |bit: u8| flags >> bit & 1 != 0;
            let ack = AckPart { rx_lwe: octets[0], selective: Bytes::copy_from_slice(&octets[1..3]) };
            let segment = Bytes::copy_from_slice(&octets[2..]);
            let data = DataPart {
                start: bit(7), end: bit(6), in_order: bit(5), drop: bit(4), uwe: bit(3), lwe: bit(2), fsn: octets[1],
                segment: segment.clone(),
            };
            let body = match kind {
                0 => Body::Data(data),
                1 => Body::Ack(ack),
                2 => Body::DataAck(data, ack),
                3 => Body::Reset(ResetPart {
                    full_command: bit(3), tx_window_request: bit(2), rx_window_command: bit(1), ack: bit(0),
                    new_rx_lwe: octets[0], frame_id: octets[1],
                }),
                4 => Body::ExpeditedData(ExpeditedPart {
                    start: bit(7), end: bit(6), c_pdu_id: flags & 15, fsn: octets[0], segment,
                }),
                _ => Body::ExpeditedAck(ack),
            };
            let frame = DPdu { eow: Eow::NONE, eot: 0, destination: node(A), source: node(source), body };
            a.heard(at(1), &frame, !bit(1));
            if bit(0) {
                let frames = a.compose(at(2), &Plan::new(1500, 200));
                prop_assert!(frames.iter().map(DPdu::octets).sum::<usize>() <= 1500 + 64 * 8);
                a.sent(at(2));
                a.missed(at(2), node(B), true);
            }
            prop_assert_eq!(a.over_limit(), None);
            events(&mut a);
        }
    }
}

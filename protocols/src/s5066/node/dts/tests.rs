//! Two and more nodes that take turns, over weather.

mod anew;
mod bulk;
mod trouble;

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

/// A modem elsewhere may hear too late of what goes before the rest: then the rest was on the air, and counts so.
#[test]
fn what_was_not_replaced_in_time_counts_as_sent() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    for number in 0..5 {
        a.submit(at(0), sending(number, B, ARQ, 3, 500));
    }
    let plan = Plan::new(5000, 200);
    let old = a.compose(at(1), &plan);
    a.submit(at(2), sending(9, B, Service::ExpeditedArq, 12, 300));
    a.compose_anew(at(2), &Plan::new(1000, 200));
    a.submit(at(2), sending(10, B, Service::NonArq { copies: 1 }, 13, 300));
    assert!(a.amend(at(2), 1, &Plan::new(500, 200)).is_some());
    let mut unaware = a.clone();
    a.kept(0);
    for frame in &old {
        b.heard(at(3), frame, true);
    }
    for (sender, resets) in [(&mut a, 0), (&mut unaware, 1)] {
        sender.sent(at(3));
        let mut b = b.clone();
        let (mut came, mut told) = (received(&events(&mut b)).len(), Vec::new());
        for second in 4..30 {
            turn(&mut b, sender, at(second), &plan, calm);
            sender.missed(at(second), node(B), true);
            turn(sender, &mut b, at(second), &plan, calm);
            came += received(&events(&mut b)).len();
            told.extend(events(sender));
        }
        let failed = told.iter().filter(|event| matches!(event, DtsEvent::Failed { .. })).count();
        assert_eq!((sender.counters().resets_begun, failed > 0), (resets, resets > 0), "{told:?}");
        assert!(resets > 0 || (sender.queued().0, came) == (0, 7), "{came}: {told:?}");
    }
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
        // Enough for the pauses before a node that was silent is asked again.
        for round in 0..weather.len() + 90 {
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
                    dts.disconnect(now, node(other), false);
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

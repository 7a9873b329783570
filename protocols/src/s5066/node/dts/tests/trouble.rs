//! Strangers, lost windows, resets, silence, refusals.

use super::*;

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

/// Misses so many answers of a node in a row, each at the instant at which it is asked again; the seconds of each pause.
fn silence(a: &mut Dts, peer: u32, from: Now, count: u32) -> (Now, Vec<u64>) {
    let (mut now, mut pauses) = (from, Vec::new());
    for _ in 0..count {
        assert!(!a.compose(now, &Plan::new(4000, 200)).is_empty());
        now = now.after(Duration::from_secs(1));
        a.sent(now);
        a.missed(now, node(peer), false);
        let at = a.waiting(now.mono).unwrap().at;
        pauses.push(at.since(now.mono).as_secs());
        now = now.after(at.since(now.mono));
    }
    (now, pauses)
}

/// A window into an outage of hours would be sent again and again: one short D_PDU asks as well, ever more seldom.
#[test]
fn a_silent_node_is_asked_by_one_short_d_pdu_until_it_is_heard() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let plan = Plan::new(4000, 200);
    for number in 0..3 {
        a.submit(at(0), sending(number, B, ARQ, 3, 1000));
    }
    let (now, pauses) = silence(&mut a, B, at(1), 2);
    assert_eq!(pauses[0], 0, "whose answer was lost is there");
    // All that was cut is long: what waits gets a short beginning, and that is what is repeated.
    a.submit(now, sending(3, B, ARQ, 3, 1000));
    let (now, pauses) = silence(&mut a, B, now, 12);
    assert!(pauses.is_sorted_by(|a, b| *b * 3 > *a) && pauses.iter().max() > Some(&250), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= limits::RETRY_WAIT_MAX.as_secs()), "{pauses:?}");
    let probe = a.compose(now, &plan);
    assert!(probe.len() == 1 && probe[0].body.segment().is_some_and(|segment| segment.len() <= limits::PROBE_OCTETS));
    // A FLASH waits no longer than it did, and asks by a short D_PDU too.
    a.sent(now);
    a.missed(now, node(B), false);
    assert!(a.waiting(now.mono).is_some_and(|waiting| waiting.at.since(now.mono) > limits::RETRY_WAIT_URGENT_MAX));
    a.submit(now, sending(4, B, Service::ExpeditedArq, 12, 400));
    let waiting = a.waiting(now.mono).unwrap();
    assert!(waiting.urgent && waiting.at.since(now.mono) <= limits::RETRY_WAIT_URGENT_MAX, "{waiting:?}");
    let now = now.after(waiting.at.since(now.mono));
    let probe = a.compose(now, &plan);
    assert!(
        matches!(&probe[..], [DPdu { body: Body::ExpeditedData(part), .. }] if part.segment.len() <= 64),
        "{probe:?}"
    );
    // It is heard: the window goes on.
    for _ in 0..4 {
        turn(&mut a, &mut b, now, &plan, calm);
        turn(&mut b, &mut a, now, &plan, calm);
    }
    assert_eq!((a.queued().0, received(&events(&mut b)).len()), (0, 5));
}

/// Who hears nobody asks one node at a time; who hears anybody again asks all.
#[test]
fn who_hears_nobody_asks_one_node_at_a_time() {
    const C: u32 = 3;
    let mut a = linked(A, B);
    a.connect(at(0), node(C));
    let plan = Plan::new(4000, 200);
    a.submit(at(0), sending(1, B, ARQ, 3, 1000));
    let (now, _) = silence(&mut a, B, at(1), 8);
    a.submit(now, sending(2, C, ARQ, 3, 1000));
    // The other was not asked yet: now it is, and with little.
    let asked = a.compose(now, &plan);
    assert!(asked.len() == 1 && asked[0].destination == node(C) && asked[0].octets() < 100, "{asked:?}");
    a.sent(now);
    a.missed(now, node(C), false);
    let pause = a.waiting(now.mono).unwrap().at.since(now.mono);
    assert!(pause > Duration::from_secs(60), "{pause:?}");
    let body = Body::Warning { received: 0, reason: 2 };
    a.heard(now, &DPdu { eow: Eow::NONE, eot: 0, destination: node(9), source: node(8), body }, true);
    assert_eq!(a.waiting(now.mono).map(|waiting| waiting.at), Some(now.mono));
    for expected in [B, C] {
        let asked = a.compose(now, &plan);
        assert!(asked.len() == 1 && asked[0].destination == node(expected), "{asked:?}");
        a.sent(now);
    }
}

/// One is off while another is heard now and then: that nobody was heard for two tries says nothing of our own ears, and
/// its pauses grow on.
#[test]
fn one_that_is_off_is_asked_ever_more_seldom_though_others_are_heard() {
    let (mut a, mut now) = (linked(A, B), at(1));
    a.submit(at(0), sending(1, B, ARQ, 3, 1000));
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let (later, more) = silence(&mut a, B, now, 2);
        pauses.extend(more);
        a.heard(later, &frame(3, 9, Body::Warning { received: 0, reason: 2 }), true);
        now = later;
    }
    assert!(pauses.last() > Some(&250), "{pauses:?}");
    // It is heard itself: at once.
    a.heard(now, &frame(B, 9, Body::Warning { received: 0, reason: 2 }), true);
    assert_eq!(a.waiting(now.mono).map(|waiting| waiting.at), Some(now.mono));
}

/// It missed one answer, as by a collision; then our own receiver fades: what it misses meanwhile says nothing of it.
#[test]
fn one_that_is_silent_only_while_nobody_is_heard_is_asked_at_once_when_somebody_is() {
    let (mut a, other) = (linked(A, B), frame(3, 9, Body::Warning { received: 0, reason: 2 }));
    a.submit(at(0), sending(1, B, ARQ, 3, 1000));
    let (now, _) = silence(&mut a, B, at(1), 1);
    a.heard(now, &other, true);
    let (due, pauses) = silence(&mut a, B, now, 11);
    let pause = pauses.last().copied().unwrap_or_default();
    assert!(pause > 100, "{pauses:?}");
    let now = Now { mono: due.mono - Duration::from_secs(pause / 2), ..due };
    a.heard(now, &other, true);
    assert_eq!(a.waiting(now.mono).map(|waiting| waiting.at), Some(now.mono));
}

/// One that is silent says nothing of another that has answered whatever it was asked: that one is asked at once.
#[test]
fn who_answered_so_far_does_not_wait_for_one_that_is_silent() {
    const C: u32 = 3;
    let mut a = linked(A, B);
    a.connect(at(0), node(C));
    a.submit(at(0), sending(1, B, ARQ, 3, 1000));
    let (due, pauses) = silence(&mut a, B, at(1), 10);
    let pause = pauses.last().copied().unwrap_or_default();
    assert!(pause > 60, "{pauses:?}");
    // Half of the pause before the next try of the silent one is left.
    let now = Now { mono: due.mono - Duration::from_secs(pause / 2), ..due };
    a.submit(now, sending(2, C, ARQ, 3, 1000));
    assert_eq!(a.waiting(now.mono).map(|waiting| waiting.at), Some(now.mono));
    let asked = a.compose(now, &Plan::new(4000, 200));
    assert!(asked.len() == 1 && asked[0].destination == node(C) && asked[0].octets() < 100, "{asked:?}");
    a.sent(now);
    // It is silent too: from now on both wait.
    a.missed(now, node(C), false);
    let wait = a.waiting(now.mono).map(|waiting| waiting.at.since(now.mono));
    assert!(wait > Some(Duration::from_secs(60)), "{wait:?}");
}

fn frame(source: u32, destination: u32, body: Body) -> DPdu {
    DPdu { eow: Eow::NONE, eot: 0, destination: node(destination), source: node(source), body }
}

/// An acknowledgement that was held up is the answer all the same: what it does not speak of goes again.
#[test]
fn what_a_late_acknowledgement_leaves_open_goes_again() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let plan = Plan::new(3000, 200);
    a.submit(at(0), sending(1, B, ARQ, 3, 100));
    turn(&mut a, &mut b, at(1), &plan, calm);
    turn(&mut b, &mut a, at(2), &plan, calm);
    a.submit(at(3), sending(2, B, ARQ, 3, 100));
    turn(&mut a, &mut b, at(3), &plan, |_| (0, false));
    a.heard(at(4), &frame(B, A, Body::Ack(AckPart::new(0, []))), true);
    assert!(a.waiting(at(5).mono).is_some());
    turn(&mut a, &mut b, at(5), &plan, calm);
    assert_eq!(received(&events(&mut b)).len(), 2);
}

/// The data of an answer shows that its window is lost, and so the acknowledgement behind it is not read: what was awaited
/// goes again when both windows are right.
#[test]
fn what_an_unread_acknowledgement_leaves_open_goes_again() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    let plan = Plan::new(3000, 200);
    a.submit(at(0), sending(1, B, ARQ, 3, 100));
    turn(&mut a, &mut b, at(1), &plan, |_| (0, false));
    let segment = Bytes::from_static(b"x");
    let lost = DataPart { start: true, end: true, in_order: false, drop: false, uwe: true, lwe: true, fsn: 9, segment };
    a.heard(at(2), &frame(B, A, Body::Data(lost)), true);
    a.heard(at(2), &frame(B, A, Body::Ack(AckPart::new(0, []))), true);
    for second in 3..7 {
        turn(&mut a, &mut b, at(second), &plan, calm);
        turn(&mut b, &mut a, at(second), &plan, calm);
    }
    assert_eq!(received(&events(&mut b)).len(), 1);
    assert_eq!(events(&mut a), [DtsEvent::Delivered(CPduNumber(1))]);
}

/// Its first segments have left the window: it has begun all the same, and what came after it would overtake it.
#[test]
fn what_is_half_acknowledged_has_begun() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    a.submit(at(0), sending(1, B, ARQ, 3, 800));
    let plan = Plan::new(500, 200);
    turn(&mut a, &mut b, at(1), &plan, calm);
    turn(&mut b, &mut a, at(2), &plan, calm);
    assert!(a.waiting(at(3).mono).is_some(), "the rest");
    assert!(!a.take_back(CPduNumber(1)));
    a.disconnect(at(3), node(B), false);
    let failed = DtsEvent::Failed { number: CPduNumber(1), why: SendFault::Disconnected, begun: true };
    assert_eq!(events(&mut a), [failed]);
}

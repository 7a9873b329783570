//! Full resets, and what of the expedited service they end.

use super::*;

const PLAN: Plan = Plan::new(3000, 200);

/// A node with a link that is there by agreement. What it numbers begins at what `seed` says.
fn agreed(bits: u32, other: u32, seed: u64) -> Dts {
    let mut dts = Dts::new(DtsConfig::new(node(bits)), Seeded::new(seed));
    dts.connect_agreed(at(0), node(other));
    dts
}

fn kinds(frames: &[DPdu]) -> Vec<u8> {
    frames.iter().map(|frame| frame.body.kind()).collect()
}

#[test]
fn nothing_expedited_goes_before_a_full_reset_is_answered() {
    let (mut a, mut b) = (agreed(A, B, 1), linked(B, A));
    a.submit(at(0), sending(1, B, Service::ExpeditedArq, 12, 100));
    assert_eq!(kinds(&a.compose(at(1), &PLAN)), [3]);
    turn(&mut a, &mut b, at(1), &PLAN, calm);
    assert_eq!(a.waiting(at(1).mono), None, "the reset is to be answered");
    turn(&mut b, &mut a, at(2), &PLAN, calm);
    assert_eq!(kinds(&a.compose(at(3), &PLAN)), [4]);
    turn(&mut a, &mut b, at(3), &PLAN, calm);
    turn(&mut b, &mut a, at(4), &PLAN, calm);
    assert_eq!(events(&mut a), [DtsEvent::Delivered(CPduNumber(1))]);
    assert_eq!(received(&events(&mut b)).len(), 1);
}

/// What waited for the answer to a full reset does not wait for the bulk of whoever answers, too.
#[test]
fn the_answer_to_a_full_reset_is_short() {
    let (mut a, mut b) = (agreed(A, B, 1), linked(B, A));
    b.submit(at(0), sending(2, A, ARQ, 3, 2000));
    turn(&mut a, &mut b, at(1), &PLAN, calm);
    assert_eq!(kinds(&b.compose(at(2), &PLAN)), [3]);
    turn(&mut b, &mut a, at(2), &PLAN, calm);
    assert!(b.compose(at(3), &PLAN).len() > 1, "its own goes next");
}

/// It was taken on the link before, and its acknowledgement lost: on the next link it is neither taken nor acknowledged, and
/// the reset ends it.
#[test]
fn what_was_expedited_before_a_full_reset_is_not_taken_after_it() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    a.submit(at(0), sending(1, B, Service::ExpeditedArq, 12, 100));
    turn(&mut a, &mut b, at(1), &PLAN, calm);
    assert_eq!(received(&events(&mut b)).len(), 1);
    b.disconnect(at(2), node(A), false);
    b.connect_agreed(at(2), node(A));
    a.missed(at(3), node(B), true);
    a.submit(at(3), sending(2, B, Service::ExpeditedArq, 12, 100));
    turn(&mut a, &mut b, at(3), &PLAN, calm);
    assert_eq!(events(&mut b), [], "taken before the reset");
    turn(&mut b, &mut a, at(4), &PLAN, calm);
    let failed = DtsEvent::Failed { number: CPduNumber(1), why: SendFault::Reset, begun: true };
    assert_eq!(events(&mut a), [failed]);
    for second in 5..8 {
        turn(&mut a, &mut b, at(second), &PLAN, calm);
        turn(&mut b, &mut a, at(second), &PLAN, calm);
    }
    assert_eq!(received(&events(&mut b)), [sending(2, B, Service::ExpeditedArq, 12, 100).c_pdu]);
    assert_eq!(events(&mut a), [DtsEvent::Delivered(CPduNumber(2))]);
}

/// A node that begins anew may give a C_PDU of the same octets the same number: it is another one.
#[test]
fn what_is_expedited_after_a_full_reset_is_no_repeat() {
    let mut b = linked(B, A);
    for life in 0..2 {
        let mut a = agreed(A, B, 7 + life);
        // The numbers of expedited C_PDUs have four bits.
        let frame = |a: &mut Dts| a.compose(at(1), &PLAN).remove(0);
        turn(&mut a, &mut b, at(1), &PLAN, calm);
        turn(&mut b, &mut a, at(2), &PLAN, calm);
        a.submit(at(2), sending(1, B, Service::ExpeditedArq, 12, 100));
        let mut sent = frame(&mut a);
        if let Body::ExpeditedData(part) = &mut sent.body {
            part.c_pdu_id = 5;
        }
        b.heard(at(3), &sent, true);
        assert_eq!(received(&events(&mut b)).len(), 1, "life {life}");
        b.compose(at(4), &PLAN);
        b.sent(at(4));
    }
}

/// A node that begins anew may number its reset as it did before: behind data it is a new one.
#[test]
fn a_full_reset_of_a_node_that_began_anew_is_carried_out() {
    let mut b = linked(B, A);
    for life in 0..2 {
        let mut a = agreed(A, B, 1);
        a.submit(at(0), sending(1, B, ARQ, 3, 100));
        for second in 1..4 {
            turn(&mut a, &mut b, at(second), &PLAN, calm);
            turn(&mut b, &mut a, at(second), &PLAN, calm);
        }
        assert_eq!(events(&mut a), [DtsEvent::Delivered(CPduNumber(1))]);
        assert_eq!(received(&events(&mut b)).len(), 1, "life {life}: acknowledged and not read");
    }
}

/// The answer is of a C_PDU that was given up, and the next one, which it followed, was lost: that is sent again.
#[test]
fn what_an_acknowledgement_of_another_c_pdu_leaves_open_goes_again() {
    let (mut a, mut b) = (linked(A, B), linked(B, A));
    a.submit(at(0), sending(1, B, Service::ExpeditedArq, 12, 800));
    turn(&mut a, &mut b, at(1), &PLAN, calm);
    assert_eq!(a.cancel(CPduNumber(1)), Some(true));
    // Too short to have more segments than the one before.
    a.submit(at(1), sending(2, B, Service::ExpeditedArq, 12, 2));
    a.submit(at(1), sending(3, B, ARQ, 3, 100));
    turn(&mut a, &mut b, at(1), &PLAN, |_| (0, false));
    turn(&mut b, &mut a, at(2), &PLAN, calm);
    // Nor does it keep the others from the air.
    assert!(a.waiting(at(3).mono).is_some());
    assert!(kinds(&a.compose(at(3), &PLAN)).contains(&4));
}

/// Nobody would take the answer: nothing of it is sent again, not even when it was in the air as the link ended.
#[test]
fn a_full_reset_ends_with_its_link() {
    for is_in_air in [false, true] {
        let mut a = agreed(A, B, 1);
        assert_eq!(kinds(&a.compose(at(1), &PLAN)), [3]);
        if !is_in_air {
            a.sent(at(1));
            a.missed(at(2), node(B), false);
        }
        a.disconnect(at(3), node(B), false);
        a.sent(at(3));
        a.missed(at(4), node(B), false);
        assert_eq!(a.waiting(at(5).mono), None, "in the air: {is_in_air}");
        assert_eq!(a.compose(at(5), &PLAN), []);
    }
}

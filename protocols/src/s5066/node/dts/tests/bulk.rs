//! How much of the air bulk takes, by arithmetic.

use super::*;

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

use proptest::prelude::*;

use super::*;
use crate::random::{Random, Seeded};
use crate::s5066::segment::Segments;
use crate::time::Duration;

fn key(source: u32, u_pdu_id: u8) -> UnitKey {
    UnitKey { source: NodeAddress::individual(source), source_sap: SapId::UDOP, connection: 2, u_pdu_id }
}

fn at(seconds: u64) -> Now {
    Now::default().after(Duration::from_secs(seconds))
}

#[test]
fn gaps_duplicates_and_any_order() {
    let segments = Segments::new(b"the quick brown fox", 5).unwrap();
    let mut reassembly = Reassembly::default();
    let mut take =
        |number: u16| reassembly.handle_segment(at(0), key(1, 9), number, &segments.segment(number).unwrap()).unwrap();
    for number in [4, 2, 1, 3] {
        assert_eq!(take(number), Outcome::Held);
        assert_eq!(take(number), Outcome::Duplicate);
    }
    assert_eq!(take(0), Outcome::Whole(Bytes::from_static(b"the quick brown fox")));
    assert_eq!(reassembly.depth(), (0, 0));
    assert_eq!(reassembly.counters().duplicates, 4);
}

#[test]
fn sources_saps_connections_and_ids_do_not_mix() {
    let segments = Segments::new(b"HELLO", 5).unwrap();
    let mut reassembly = Reassembly::default();
    reassembly.handle_segment(at(0), key(1, 1), 0, &segments.segment(0).unwrap()).unwrap();
    let others = [
        key(2, 1),
        key(1, 2),
        UnitKey { connection: 3, ..key(1, 1) },
        UnitKey { source_sap: SapId::RCOP, ..key(1, 1) },
    ];
    for other in others {
        let outcome = reassembly.handle_segment(at(0), other, 1, &segments.segment(1).unwrap());
        assert_eq!(outcome, Ok(Outcome::Held));
    }
    let outcome = reassembly.handle_segment(at(0), key(1, 1), 1, &segments.segment(1).unwrap());
    assert_eq!(outcome, Ok(Outcome::Whole(Bytes::from_static(b"HELLO"))));
}

#[test]
fn sixty_five_thousand_fragments_of_one_octet() {
    let unit: Vec<u8> = (0..65_532_u32).map(|n| n as u8).collect();
    let segments = Segments::new(&unit, 1).unwrap();
    let mut reassembly = Reassembly::default();
    for number in (1..=u16::MAX).rev() {
        let outcome = reassembly.handle_segment(at(0), key(1, 1), number, &segments.segment(number).unwrap());
        assert_eq!(outcome, Ok(Outcome::Held));
    }
    assert!(reassembly.depth().1 <= 65_536 * (SEGMENT_COST_OCTETS + 1));
    let outcome = reassembly.handle_segment(at(0), key(1, 1), 0, &segments.segment(0).unwrap());
    assert_eq!(outcome, Ok(Outcome::Whole(unit.into())));
}

#[test]
fn a_used_number_begins_a_new_unit() {
    let mut reassembly = Reassembly::default();
    let (old, new) = (Segments::new(b"old unit", 6).unwrap(), Segments::new(b"new unit", 6).unwrap());
    reassembly.handle_segment(at(0), key(1, 1), 0, &old.segment(0).unwrap()).unwrap();
    assert_eq!(reassembly.handle_segment(at(9), key(1, 1), 0, &new.segment(0).unwrap()), Ok(Outcome::Held));
    let outcome = reassembly.handle_segment(at(9), key(1, 1), 1, &new.segment(1).unwrap());
    assert_eq!(outcome, Ok(Outcome::Whole(Bytes::from_static(b"new unit"))));
    assert_eq!(reassembly.counters().contradictions, 1);
}

#[test]
fn too_large_too_long_and_empty_units_are_refused_with_all_that_follows() {
    let limits = ReassemblyLimits { unit_octets: 100, ..ReassemblyLimits::default() };
    let table: [(&[u8], ReassemblyFault); 4] = [
        (&[0, 0, 0, 101], ReassemblyFault::TooLarge { octets: 105, limit: 100 }),
        (&[255, 255, 255, 255, 1], ReassemblyFault::TooLarge { octets: 4_294_967_299, limit: 100 }),
        (&[0, 0, 0, 1, 1, 2], ReassemblyFault::BeyondEnd { octets: 1 }),
        (&[0, 0, 0, 0, 1], ReassemblyFault::BeyondEnd { octets: 0 }),
    ];
    for (data, fault) in table {
        let mut reassembly = Reassembly::new(limits);
        assert_eq!(reassembly.handle_segment(at(0), key(1, 1), 0, data), Err(fault));
        assert_eq!(reassembly.handle_segment(at(0), key(1, 1), 1, b"x"), Err(ReassemblyFault::Refused));
        assert_eq!(reassembly.handle_segment(at(0), key(1, 1), 2, b""), Err(ReassemblyFault::Empty));
        assert_eq!(reassembly.depth().1, SEGMENT_COST_OCTETS);
        let whole = Outcome::Whole(Bytes::from_static(b"x"));
        assert_eq!(reassembly.handle_segment(at(0), key(1, 1), 0, &[0, 0, 0, 1, b'x']), Ok(whole));
    }
    // Without a first segment nobody knows the length, and yet there is an end.
    let mut reassembly = Reassembly::new(limits);
    let outcomes: Vec<_> =
        (1..=20).map(|number| reassembly.handle_segment(at(0), key(1, 1), number, &[0; 10]).is_ok()).collect();
    assert_eq!(outcomes.iter().filter(|held| **held).count(), 10);
}

#[test]
fn unfinished_units_age() {
    let mut reassembly = Reassembly::default();
    reassembly.handle_segment(at(0), key(1, 1), 1, b"x").unwrap();
    assert_eq!(reassembly.next_wakeup().unwrap().at, at(3600).mono);
    let mut hour = 0;
    // Something new every half hour keeps it for a day and no longer.
    for half_hour in 1..100_u16 {
        hour = u64::from(half_hour) * 1800;
        reassembly.handle_wakeup(at(hour));
        if reassembly.depth().0 == 0 {
            break;
        }
        reassembly.handle_segment(at(hour), key(1, 1), half_hour + 1, b"x").unwrap();
    }
    assert_eq!((hour, reassembly.counters().aged, reassembly.depth()), (24 * 3600, 1, (0, 0)));
}

#[test]
fn many_units_of_many_sources_stay_within_the_limits() {
    let limits = ReassemblyLimits { unit_octets: 1 << 20, source_octets: 50_000, octets: 400_000 };
    let mut reassembly = Reassembly::new(limits);
    let mut random = Seeded::new(31);
    for n in 0..20_000 {
        let key = key(random.below(60) as u32, random.below(256) as u8);
        let data = vec![n as u8; random.below(2042) as usize + 1];
        let _ = reassembly.handle_segment(at(n), key, random.below(65_536) as u16, &data);
        let (partials, cost) = reassembly.depth();
        assert!(partials <= PARTIALS_MAX && cost <= 400_000, "{partials} {cost}");
    }
    let summed: usize = reassembly.partials.values().map(|partial| partial.cost).sum();
    assert_eq!(summed, reassembly.cost);
    assert!(reassembly.counters().evicted > 1000);
    // One source cannot push out another.
    let mut reassembly = Reassembly::default();
    reassembly.handle_segment(at(0), key(1, 1), 1, b"x").unwrap();
    for n in 0..1000_u32 {
        reassembly.handle_segment(at(1), key(2, n as u8), (n >> 8) as u16 + 1, b"x").unwrap();
    }
    assert!(reassembly.partials.contains_key(&key(1, 1)));
    assert_eq!(reassembly.depth().0, 1 + PARTIALS_PER_SOURCE_MAX);
}

proptest! {
    #[test]
    fn any_unit_in_any_cut_and_order(
        unit in proptest::collection::vec(any::<u8>(), 0..3000), segment_octets in 1_usize..500, seed in any::<u64>(),
    ) {
        let segments = Segments::new(&unit, segment_octets).unwrap();
        let mut numbers: Vec<u16> = (0..segments.count() as u16).collect();
        let mut random = Seeded::new(seed);
        for last in (1..numbers.len()).rev() {
            numbers.swap(last, random.below(last as u64 + 1) as usize);
        }
        let mut reassembly = Reassembly::default();
        let mut wholes = Vec::new();
        for number in numbers {
            let data = segments.segment(number).unwrap();
            if let Ok(Outcome::Whole(unit)) = reassembly.handle_segment(at(0), key(1, 1), number, &data) {
                wholes.push(unit);
            }
        }
        prop_assert_eq!(wholes, vec![Bytes::from(unit)]);
        prop_assert_eq!(reassembly.depth(), (0, 0));
    }
}

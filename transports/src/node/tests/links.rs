//! Links over the air: hard links, and each way to make a soft one.

use super::*;

#[test]
fn a_hard_link_is_made_over_the_air() {
    let mut bench = Bench::new("loss_percent = 10.0", 2);
    let link = HardLink { kind: HardLinkType::Full, priority: 1, remote_sap: SapId::UDOP, node: address(1) };
    bench.say(0, RCOP, &Primitive::HardLinkEstablish(link));
    bench.run(60.0);
    let offered = HardLink { remote_sap: SapId::RCOP, node: address(0), ..link };
    assert_eq!(bench.told[0].primitive, Primitive::HardLinkIndication(HardLinkStatus::Good, offered));
    assert_eq!((bench.told[0].station, bench.told[0].sap), (1, UDOP));
    bench.say(1, UDOP, &Primitive::HardLinkAccept(offered));
    bench.run(120.0);
    assert_eq!(bench.told[1].primitive, Primitive::HardLinkEstablished(HardLinkStatus::Good, link));
    bench.say(0, RCOP, &Primitive::HardLinkTerminate(address(1)));
    bench.run(240.0);
    let kinds: Vec<u8> = bench.told[2..].iter().map(|told| told.primitive.kind()).collect();
    assert_eq!(kinds, [10, 10]);
}

/// While two clients have a link for themselves, others wait; what waited goes when it ends.
#[test]
fn a_hard_link_keeps_the_air_for_its_clients() {
    let mut bench = Bench::new("", 3);
    let link = HardLink { kind: HardLinkType::Full, priority: 1, remote_sap: SapId::UDOP, node: address(1) };
    bench.say(0, RCOP, &Primitive::HardLinkEstablish(link));
    bench.run(60.0);
    bench.say(1, UDOP, &Primitive::HardLinkAccept(HardLink { remote_sap: SapId::RCOP, node: address(0), ..link }));
    bench.run(120.0);
    assert_eq!(bench.told[1].primitive, Primitive::HardLinkEstablished(HardLinkStatus::Good, link));
    bench.arq(2, 0, 3, 3600, unit(1, 200));
    bench.arq(1, 0, 3, 3600, unit(2, 200));
    bench.run(600.0);
    assert_eq!(bench.arrived(0, RCOP), [], "neither from without nor from another client");
    // Five seconds, ten, twenty, and so on: its data rides with each request, and takes the air of those who have the link.
    let asked = bench.number(2, "/layers/links");
    assert!((1..=9).contains(&asked), "{asked}");
    bench.say(0, RCOP, &Primitive::HardLinkTerminate(address(1)));
    bench.run(1800.0);
    let mut tags: Vec<u32> = bench.arrived(0, RCOP).iter().map(|&(tag, _)| tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, [1, 2]);
}

/// What other clients of both nodes had handed over before waits too, and goes when the link ends; what was on the air
/// when the soft link gave way is reported, unless it got through.
#[test]
fn a_hard_link_carries_nothing_of_the_backlog_of_others() {
    for setup in SETUPS {
        let mut bench = with_setup("bits_per_second = 300", setup);
        let tags: Vec<u32> = (1..40).collect();
        for tag in &tags {
            bench.arq(0, 1, 3, 36_000, unit(*tag, 900));
            bench.arq(1, 0, 3, 36_000, unit(1000 + tag, 900));
        }
        bench.run(100.0);
        let link = HardLink { kind: HardLinkType::Full, priority: 1, remote_sap: SapId::UDOP, node: address(1) };
        bench.say(0, UDOP, &Primitive::HardLinkEstablish(link));
        let offered = HardLink { node: address(0), ..link };
        let from = bench.told.len();
        let ask = Primitive::HardLinkEstablish(link);
        wait_for(&mut bench, from, 1, &Primitive::HardLinkIndication(HardLinkStatus::Good, offered), &ask, "asked");
        bench.say(1, UDOP, &Primitive::HardLinkAccept(offered));
        wait_for(&mut bench, from, 0, &Primitive::HardLinkEstablished(HardLinkStatus::Good, link), &ask, "made");
        // What was on the air already comes to its end.
        bench.run(bench.seconds() + 120.0);
        let count = |bench: &Bench| bench.arrived(0, RCOP).len() + bench.arrived(1, RCOP).len();
        let before = count(&bench);
        assert!((1..30).contains(&before), "{setup:?}: {before}");
        bench.run(bench.seconds() + 3600.0);
        assert_eq!(count(&bench), before, "{setup:?}: while the link is for others");
        bench.say(0, UDOP, &Primitive::HardLinkTerminate(address(1)));
        bench.run(bench.seconds() + 7200.0);
        for (station, base) in [(0, 0), (1, 1000)] {
            let (confirmed, rejected) = bench.answered(station);
            let mut arrived: Vec<u32> = bench.arrived(1 - station, RCOP).iter().map(|(tag, _)| *tag).collect();
            assert!(arrived.is_sorted(), "{setup:?}: {arrived:?}");
            assert!(rejected.len() < 20 && confirmed.len() + rejected.len() == tags.len(), "{setup:?}: {rejected:?}");
            arrived.retain(|tag| !rejected.contains(tag));
            assert_eq!(
                arrived,
                tags.iter().map(|tag| base + tag).filter(|tag| !rejected.contains(tag)).collect::<Vec<_>>()
            );
        }
    }
}

const SETUPS: [LinkSetup; 4] = [LinkSetup::Ride, LinkSetup::Handshake, LinkSetup::Skip, LinkSetup::Reset];
const WEATHERS: [&str; 3] =
    ["", "loss_percent = 12.0\nseed = 3", "seed = 8\n[burst]\nloss_percent = 25.0\nmean_blocks = 5"];

fn with_setup(weather: &str, setup: LinkSetup) -> Bench {
    Bench::configured(weather, 2, |config| config.cas.setup = setup)
}

/// Runs until everything is answered; how many seconds that took.
fn all_confirmed(bench: &mut Bench, tags: &[u32], patience: f64) -> f64 {
    let begun = bench.seconds();
    for tag in tags {
        bench.arq(0, 1, 6, 36_000, unit(*tag, 700));
        bench.arq(1, 0, 6, 36_000, unit(1000 + tag, 300));
    }
    let is_done = |bench: &Bench| {
        let (there, back) = (bench.answered(0).0, bench.answered(1).0);
        tags.iter().all(|tag| there.contains(tag) && back.contains(&(1000 + tag)))
    };
    while !is_done(bench) && bench.seconds() < begun + patience {
        bench.run(bench.seconds() + 1.0);
    }
    bench.seconds() - begun
}

#[test]
fn each_way_to_make_a_link_carries_data_both_ways_and_after_long_pauses() {
    for setup in SETUPS {
        for weather in WEATHERS {
            let mut bench = with_setup(weather, setup);
            let context = format!("{setup:?} {weather:?}");
            let took = all_confirmed(&mut bench, &[1, 2, 3, 4, 5], 900.0);
            assert!(took < if weather.is_empty() { 60.0 } else { 900.0 }, "{context}: {took} s");
            // Shorter than the idle time of a soft link, and longer.
            for (number, pause) in [60.0, 1000.0, 4000.0].into_iter().enumerate() {
                bench.run(bench.seconds() + pause);
                let took = all_confirmed(&mut bench, &[10 + number as u32], 900.0);
                assert!(took < if weather.is_empty() { 30.0 } else { 900.0 }, "{context} after {pause} s: {took} s");
            }
            for (station, base) in [(1, 0), (0, 1000)] {
                let tags: Vec<u32> = bench.arrived(station, RCOP).iter().map(|(tag, _)| *tag).collect();
                assert_eq!(tags, [1, 2, 3, 4, 5, 10, 11, 12].map(|tag| base + tag), "{context}");
            }
            assert_eq!(bench.simulator.begun_early(), 0, "{context}");
            let links = bench.number(0, "/layers/links");
            match setup {
                LinkSetup::Handshake => assert!(links >= 2, "{context}: {links} links, the idle one ended"),
                LinkSetup::Ride | LinkSetup::Skip | LinkSetup::Reset => assert_eq!(links, 1, "{context}"),
            }
        }
    }
}

/// Runs until a client is told something.
fn wait_for(bench: &mut Bench, from: usize, station: u16, wanted: &Primitive, again: &Primitive, context: &str) {
    let until = bench.seconds() + 600.0;
    let mut rejected = 0;
    let sap = if matches!(again, Primitive::HardLinkEstablish(HardLink { remote_sap: SapId::UDOP, .. })) {
        UDOP
    } else {
        RCOP
    };
    while !bench.told[from..].iter().any(|told| told.station == station && told.primitive == *wanted) {
        // Four requests in a row may be lost; then the client asks again.
        let is_rejection = |told: &&Told| matches!(told.primitive, Primitive::HardLinkRejected(..));
        let rejections = bench.told[from..].iter().filter(is_rejection).count();
        if std::mem::replace(&mut rejected, rejections) < rejections {
            bench.say(0, sap, again);
        }
        assert!(bench.seconds() < until, "{context}: {station} was never told {wanted:?}");
        bench.run(bench.seconds() + 1.0);
    }
}

#[test]
fn each_way_to_make_a_link_knows_hard_links_too() {
    for setup in SETUPS {
        for weather in WEATHERS {
            let mut bench = with_setup(weather, setup);
            let context = format!("{setup:?} {weather:?}");
            all_confirmed(&mut bench, &[1], 900.0);
            for round in 0..2 {
                let link =
                    HardLink { kind: HardLinkType::Full, priority: 1, remote_sap: SapId::RCOP, node: address(1) };
                let from = bench.told.len();
                let ask = Primitive::HardLinkEstablish(link);
                bench.say(0, RCOP, &ask);
                let offered = HardLink { node: address(0), ..link };
                wait_for(
                    &mut bench,
                    from,
                    1,
                    &Primitive::HardLinkIndication(HardLinkStatus::Good, offered),
                    &ask,
                    &context,
                );
                bench.say(1, RCOP, &Primitive::HardLinkAccept(offered));
                wait_for(
                    &mut bench,
                    from,
                    0,
                    &Primitive::HardLinkEstablished(HardLinkStatus::Good, link),
                    &ask,
                    &context,
                );
                let tag = 10 + round;
                let took = all_confirmed(&mut bench, &[tag], 900.0);
                assert!(took < 900.0, "{context} {round}: on the hard link");
                bench.say(0, RCOP, &Primitive::HardLinkTerminate(address(1)));
                bench.run(bench.seconds() + 600.0);
                let took = all_confirmed(&mut bench, &[20 + tag], 900.0);
                assert!(took < 900.0, "{context} {round}: after the hard link");
            }
            assert_eq!(bench.simulator.begun_early(), 0, "{context}");
        }
    }
}

/// A node begins anew while a hard link with it is up. What it sends asks for a link of its own, which takes the place of that
/// one: nothing of it is lost.
#[test]
fn a_node_that_begins_anew_is_heard_by_one_with_a_hard_link() {
    for setup in SETUPS {
        let mut bench = with_setup("", setup);
        let link = HardLink { kind: HardLinkType::Reservation, priority: 1, remote_sap: SapId::RCOP, node: address(1) };
        bench.say(0, RCOP, &Primitive::HardLinkEstablish(link));
        bench.run(60.0);
        assert_eq!(bench.told.pop().unwrap().primitive, Primitive::HardLinkEstablished(HardLinkStatus::Good, link));
        bench.restart(1);
        bench.arq(1, 0, 6, 7200, unit(5, 300));
        bench.run(300.0);
        assert_eq!(bench.answered(1), (vec![5], vec![]), "{setup:?}");
        let arrived: Vec<u32> = bench.arrived(0, RCOP).iter().map(|(tag, _)| *tag).collect();
        assert_eq!(arrived, [5], "{setup:?}");
    }
}

/// What is confirmed has arrived, whichever node began anew in the middle, and whatever was lost just then.
#[test]
fn nothing_is_acknowledged_unread_when_a_node_begins_anew() {
    for setup in SETUPS {
        for (seed, station) in (0..12_u64).map(|seed| (seed, (seed % 2) as u16)) {
            let weather = format!("seed = {seed}\nloss_percent = {}", 10 + seed * 2);
            let mut bench = with_setup(&weather, setup);
            let context = format!("{setup:?} {weather:?} restart of {station}");
            for number in 0..6 {
                bench.arq(0, 1, 6, 7200, unit(number, 300));
                bench.arq(1, 0, 6, 7200, unit(1000 + number, 300));
            }
            bench.run(5.0 + seed as f64 * 3.0);
            bench.restart(station);
            for number in 6..12 {
                bench.arq(0, 1, 6, 7200, unit(number, 300));
                bench.arq(1, 0, 6, 7200, unit(1000 + number, 300));
            }
            bench.run(20_000.0);
            for (from, to, base) in [(0, 1, 0), (1, 0, 1000)] {
                let ((confirmed, rejected), arrived) = (bench.answered(from), bench.arrived(to, RCOP));
                for tag in (base..base + 12).filter(|tag| confirmed.contains(tag)) {
                    let count = arrived.iter().filter(|(arrived, _)| *arrived == tag).count();
                    let most = if to == station { 2 } else { 1 };
                    assert!((1..=most).contains(&count), "{context}: {tag} was confirmed and arrived {count} times");
                }
                // What was on the air when the other node began anew is reported.
                let is_open = |tag: &u32| match from == station {
                    true => tag % 1000 >= 6 && !confirmed.contains(tag),
                    false => !confirmed.contains(tag) && !rejected.contains(tag),
                };
                let open: Vec<u32> = (base..base + 12).filter(is_open).collect();
                assert!(open.is_empty(), "{context}: {open:?} neither confirmed nor rejected");
            }
        }
    }
}

/// A handshake that nobody answered is begun again after minutes: what is urgent does not wait for that.
#[test]
fn what_is_urgent_asks_soon_for_a_link_that_was_refused() {
    for silence in [1000, 1060, 1120, 1180, 1240] {
        let weather = format!("[[emcon]]\nstation = \"field.test\"\nfrom_seconds = 0.0\nuntil_seconds = {silence}.0");
        let mut bench = with_setup(&weather, LinkSetup::Handshake);
        bench.arq(0, 1, 6, 36_000, unit(1, 40));
        let begun = f64::from(silence) + 1.0;
        bench.run(begun);
        assert_eq!(bench.arrived(1, RCOP), []);
        bench.arq(0, 1, 12, 36_000, unit(2, 40));
        bench.run(begun + 400.0);
        let arrived = bench.arrived(1, RCOP);
        let seconds = arrived.iter().find(|(tag, _)| *tag == 2).map(|(_, seconds)| seconds - begun);
        assert!(seconds.is_some_and(|seconds| seconds < 70.0), "silent for {silence} s: {arrived:?}");
    }
}

/// A client asks for a hard link and thinks better of it, while a soft link is asked for or carries something: what is for
/// that goes all the same, once.
#[test]
fn what_is_for_a_soft_link_goes_though_a_hard_link_was_asked_for() {
    for setup in SETUPS {
        for (before, after) in (0..24).flat_map(|before| [0, 1, 4, 9].map(|after| (before, after))) {
            let mut bench = with_setup("", setup);
            let context = format!("{setup:?}, asked for after {before} s for {after} s");
            bench.arq(0, 1, 6, 36_000, unit(1, 300));
            bench.run(f64::from(before) * 0.5);
            let kind = HardLinkType::Full;
            let link = HardLink { kind, priority: 1, remote_sap: SapId::UDOP, node: address(1) };
            bench.say(0, UDOP, &Primitive::HardLinkEstablish(link));
            bench.run(bench.seconds() + f64::from(after) * 0.5);
            bench.say(0, UDOP, &Primitive::HardLinkTerminate(address(1)));
            bench.run(bench.seconds() + 300.0);
            let (confirmed, rejected) = bench.answered(0);
            assert_eq!(confirmed.len() + rejected.len(), 1, "{context}: neither confirmed nor rejected");
            let arrived = bench.arrived(1, RCOP).len();
            assert!(arrived == 1 || !rejected.is_empty() && arrived == 0, "{context}: {arrived} times");
        }
    }
}

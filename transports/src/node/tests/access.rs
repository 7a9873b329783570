//! Whose turn it is: FLASH, EMCON, rates, shares.

use super::*;

#[test]
fn a_flash_waits_for_what_is_in_the_air_and_no_more() {
    let mut bench = Bench::new("", 2);
    for number in 0..100 {
        bench.arq(0, 1, 6, 3600, unit(number, 1000));
    }
    bench.run(20.0);
    let begun = bench.seconds();
    bench.arq(0, 1, 12, 3600, unit(9999, 200));
    bench.run(1000.0);
    let (_, seconds) = *bench.arrived(1, RCOP).iter().find(|(tag, _)| *tag == 9999).unwrap();
    // At most: 8 s in the air, the answer (1.4 s), turns and slots (2 s), the FLASH itself (its part of 8 s).
    assert!(seconds - begun < 8.0 + 1.4 + 2.0 + 8.0, "{}", seconds - begun);
    bench.run(3600.0);
    let order: Vec<u32> = bench.arrived(1, RCOP).iter().map(|(tag, _)| *tag).filter(|tag| *tag != 9999).collect();
    assert_eq!(order, (0..100).collect::<Vec<_>>(), "the rest comes in order");
}

#[test]
fn in_emcon_a_station_hears_and_emits_nothing() {
    let weather = "[[emcon]]\nstation = \"field.test\"\nfrom_seconds = 0.0\nuntil_seconds = 240.0";
    let mut bench = Bench::new(weather, 2);
    bench.arq(0, 1, 6, 600, unit(1, 500));
    bench.arq(1, 0, 6, 600, unit(2, 500));
    bench.run(240.0);
    assert_eq!(bench.simulator.counters(StationId(1)).transmissions, 0);
    assert_eq!(bench.arrived(1, RCOP).len(), 1, "a silent station hears");
    assert_eq!(bench.answered(0), (vec![], vec![]));
    bench.run(600.0);
    assert_eq!((bench.arrived(1, RCOP).len(), bench.arrived(0, RCOP).len()), (1, 1));
    assert_eq!((bench.answered(0).0, bench.answered(1).0), (vec![1], vec![2]));
    assert_eq!(bench.simulator.emissions_in_emcon(), 0);
}

#[test]
fn emcon_cuts_off_what_is_in_the_air() {
    let mut bench = Bench::new("", 2);
    bench.arq(0, 1, 6, 100, unit(1, 2000));
    bench.run(5.0);
    bench.simulator.set_emcon(bench.now, StationId(0), true);
    bench.run(101.0);
    assert_eq!(bench.simulator.emissions_in_emcon(), 0);
    assert_eq!(bench.simulator.counters(StationId(0)).transmissions, 1);
    assert_eq!(bench.answered(0), (vec![], vec![1]), "the time to live goes on");
}

#[test]
fn the_rate_follows_what_gets_through() {
    let weather = "bits_per_second = 9600\n[[fade]]\nat_seconds = 0.0\nfor_seconds = 900.0\nbits_per_second_max = 1200";
    let arrived = |rates: &[u32]| {
        let mut bench = Bench::with(weather, 2, rates);
        for number in 0..200 {
            bench.arq(0, 1, 6, 100_000, unit(number, 2000));
        }
        bench.run(900.0);
        let during = bench.arrived(1, RCOP).len();
        bench.run(7200.0);
        (during, bench.arrived(1, RCOP).len())
    };
    assert_eq!(arrived(&[]), (0, 200), "the usual rate does not get through the fade");
    // 900 s at 1200 bit/s are 67 of them.
    let (during, all) = arrived(&[300, 1200, 4800, 9600]);
    assert!(during > 15 && all == 200, "{during} in the fade, {all} in all");
}

#[test]
fn four_stations_share_the_channel_fairly() {
    let mut bench = Bench::new("seed = 11", 4);
    for number in 0..400 {
        for station in 0..4 {
            bench.arq(station, (station + 1) % 4, 6, 100_000, unit(number, 500));
        }
    }
    bench.run(3600.0);
    let counts: Vec<usize> = (0..4).map(|station| bench.arrived(station, RCOP).len()).collect();
    let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
    assert!(least * 2 > most && least > 50, "{counts:?}");
}

#[test]
fn the_rate_rises_again_when_a_fade_is_over() {
    let weather =
        "bits_per_second = 9600\n[[fade]]\nat_seconds = 60.0\nfor_seconds = 1800.0\nbits_per_second_max = 1200";
    let mut bench = Bench::with(weather, 2, &[300, 1200, 2400, 4800, 9600]);
    let pointer = format!("/peers/{}/rate", address(1));
    let mut number = 0;
    let mut rates = Vec::new();
    while bench.seconds() < 3000.0 {
        for _ in 0..20 {
            bench.arq(0, 1, 6, 100_000, unit(number, 2000));
            number += 1;
        }
        bench.run(bench.seconds() + 30.0);
        rates.push((bench.seconds() as u64, bench.number(0, &pointer)));
    }
    let at = |seconds: u64| rates.iter().find(|(at, _)| *at >= seconds).unwrap().1;
    assert_eq!((at(30), at(600)), (4, 1), "{rates:?}");
    let risen = rates.iter().find(|(at, rate)| *at > 1860 && *rate == 4).map(|(at, _)| at - 1860);
    assert!(risen.is_some_and(|seconds| seconds < 600), "after {risen:?} s: {rates:?}");
}

/// Whoever heard an announcement, and not the end of it, keeps to it whatever else it hears.
#[test]
fn nobody_transmits_before_an_end_that_it_heard_announced() {
    let mut cut_short = 0;
    for seed in 0..40 {
        let silence = 10 + seed % 7;
        let weather = format!(
            "seed = {seed}\nbits_per_second = 300\nloss_percent = {}\n\
             [[emcon]]\nstation = \"hq.test\"\nfrom_seconds = {silence}.0\nuntil_seconds = 60.0\n\
             [[emcon]]\nstation = \"field.test\"\nfrom_seconds = {}.0\nuntil_seconds = 90.0\n",
            seed % 20,
            silence + 9
        );
        let mut bench = Bench::new(&weather, 4);
        for number in 0..40 {
            let from = number % 4;
            bench.arq(
                from as u16,
                ((from + 1 + number % 3) % 4) as u16,
                6 + 3 * (number % 3) as u8,
                600,
                unit(number, 150),
            );
        }
        bench.run(600.0);
        let ends_early: u64 = (0..4).map(|station| bench.number(station, "/link/ends_early")).sum();
        cut_short += u64::from(ends_early > 0);
        assert_eq!(bench.simulator.begun_early(), 0, "{weather}");
    }
    assert!(cut_short > 10, "{cut_short} of 40 saw a transmission cut short");
}

/// Two that write to each other in turns, with time between: what comes when the channel is free waits for a slot at most.
#[test]
fn of_two_that_are_alone_nobody_leaves_slots_to_who_let_its_turn_pass() {
    for pause in [5.0, 60.0] {
        let mut bench = Bench::new("turnaround_seconds = 0.3", 2);
        let (mut at, mut ways) = (60.0, Vec::new());
        for tag in 0..20 {
            let (from, to) = ((tag % 2) as u16, 1 - (tag % 2) as u16);
            bench.run(at);
            bench.arq(from, to, 6, 600, unit(tag, 20));
            let heard = |bench: &Bench| bench.arrived(to, RCOP).iter().find(|(known, _)| *known == tag).copied();
            while heard(&bench).is_none() && bench.seconds() < at + 60.0 {
                bench.run(bench.seconds() + 0.05);
            }
            let (_, arrived) = heard(&bench).unwrap();
            ways.push(arrived - at);
            at = arrived + pause;
        }
        // In the air 1.35 s, a slot 0.18 s; the first did not know yet who is there.
        assert!(ways[1..].iter().all(|way| *way < 1.55), "{pause} s: {ways:?}");
    }
}

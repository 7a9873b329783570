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
    let mut sums = [0; 4];
    for seed in [11, 12, 13, 14] {
        let mut bench = Bench::new(&format!("seed = {seed}"), 4);
        for number in 0..400 {
            for station in 0..4 {
                bench.arq(station, (station + 1) % 4, 6, 100_000, unit(number, 500));
            }
        }
        bench.run(3600.0);
        let counts = [0, 1, 2, 3].map(|station| bench.arrived(station, RCOP).len());
        let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
        // An hour has a hundred openings, drawn by lot.
        assert!(least * 5 > most * 2 && least > 50, "seed {seed}: {counts:?}");
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let (least, most) = (*sums.iter().min().unwrap(), *sums.iter().max().unwrap());
    assert!(least * 3 > most * 2, "{sums:?}");
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
    assert_eq!(at(30), 4, "{rates:?}");
    // But for a try of what is faster now and then.
    let during = || rates.iter().filter(|(at, _)| (300..1860).contains(at));
    let kept = during().filter(|(_, rate)| *rate == 1).count();
    assert!(kept * 4 >= during().count() * 3, "{kept}: {rates:?}");
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

/// When transmissions began and how long they took, in seconds, of a station.
struct Watch {
    counters: Vec<(u64, f64)>,
    /// Station, begin, seconds.
    seen: Vec<(usize, f64, f64)>,
}

impl Watch {
    const STEP: f64 = 0.02;

    /// Runs until the given second, and sees what each station transmits.
    fn run(bench: &mut Bench, stations: usize, until: f64) -> Vec<(usize, f64, f64)> {
        let mut watch = Self { counters: vec![(0, 0.0); stations], seen: Vec::new() };
        while bench.seconds() < until {
            bench.run(bench.seconds() + Self::STEP);
            for (station, counted) in watch.counters.iter_mut().enumerate() {
                let counters = bench.simulator.counters(StationId(station as u16));
                let (before, now) = (*counted, (counters.transmissions, counters.seconds_on_air()));
                if now.1 > before.1 {
                    *counted = now;
                    let airtime = now.1 - before.1;
                    watch.seen.push((station, bench.seconds() - airtime, airtime));
                }
            }
        }
        watch.seen
    }
}

/// While both have data to send nobody sends for longer than the other may wait, nor opens the channel for long; while one
/// alone has, and the other acknowledges, it sends for as long as an end can be announced.
#[test]
fn transmissions_are_short_while_the_other_has_data_too() {
    for both in [true, false] {
        let mut bench = Bench::new("", 2);
        for number in 0..400 {
            bench.node_arq(0, 1, unit(number, 1000));
            if both {
                bench.node_arq(1, 0, unit(number, 1000));
            }
        }
        let seen = Watch::run(&mut bench, 2, 900.0);
        // By then each knows what the other has.
        let known: Vec<_> = seen.iter().zip(&seen[1..]).filter(|((_, begun, _), _)| *begun > 60.0).collect();
        let longest = known.iter().map(|(_, (.., seconds))| *seconds).fold(0.0, f64::max);
        // Who answers begins after the turnaround of 0.2 s; who takes the free channel after key-up and a guard more.
        let opens = known.iter().filter(|((_, begun, took), (_, at, _))| at - (begun + took) > 0.3);
        let opening = opens.clone().map(|(_, (.., seconds))| *seconds).fold(0.0, f64::max);
        assert!(known.len() > 5 && (opens.count() > 2 || !both), "{both}: {seen:.1?}");
        if both {
            assert!(longest <= 30.0 && longest > 8.0 && opening <= 8.0, "longest {longest} s, opening {opening} s");
        } else {
            assert!(longest > 60.0 && longest <= 127.5, "{seen:.1?}");
        }
    }
}

/// A line that is written while the transmitter keys and sends its preamble goes with the transmission.
#[test]
fn what_comes_before_the_first_d_pdu_goes_with_the_transmission() {
    let mut bench = Bench::new("turnaround_seconds = 0.3", 2);
    bench.arq(0, 1, 6, 600, unit(1, 20));
    bench.run(60.0);
    let transmissions = |bench: &Bench| bench.simulator.counters(StationId(0)).transmissions;
    let before = transmissions(&bench);
    bench.arq(0, 1, 6, 600, unit(2, 20));
    while transmissions(&bench) == before {
        bench.run(bench.seconds() + 0.02);
    }
    bench.run(bench.seconds() + 0.5);
    bench.arq(0, 1, 6, 600, unit(3, 60));
    let written = bench.seconds();
    bench.run(written + 3.0);
    let arrived = bench.arrived(1, RCOP);
    assert_eq!(arrived.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [1, 2, 3]);
    // The rest of the preamble, and two blocks.
    assert!(arrived[2].1 - written < 1.6, "{arrived:?}, written at {written}");
    assert_eq!(transmissions(&bench), before + 1);
}

/// Two conversations between four stations, each line 2 s after the one before has arrived: mean seconds of a line's way.
fn conversations(seed: u64, turns: u32) -> [Vec<f64>; 2] {
    let mut bench = Bench::new(&format!("seed = {seed}\nturnaround_seconds = 0.3"), 4);
    let mut ways = [Vec::new(), Vec::new()];
    let (mut open, mut due) = ([None, None], [60.0; 2]);
    while ways.iter().any(|ways| ways.len() < turns as usize) && bench.seconds() < 7200.0 {
        for pair in 0..2 {
            let count = ways[pair].len();
            let (from, tag) = ((2 * pair + count % 2) as u16, (pair * 1000 + count) as u32);
            let to = from ^ 1;
            match open[pair] {
                Some(began) => {
                    if let Some((_, at)) = bench.arrived(to, RCOP).iter().find(|(arrived, _)| *arrived == tag) {
                        ways[pair].push(at - began);
                        (open[pair], due[pair]) = (None, at + 2.0);
                    }
                }
                None if due[pair] <= bench.seconds() && count < turns as usize => {
                    open[pair] = Some(bench.seconds());
                    bench.arq(from, to, 6, 3600, unit(tag, 80));
                }
                None => {}
            }
        }
        bench.run(bench.seconds() + 0.2);
    }
    ways
}

/// Who had its turns leaves the free channel to those who had none: neither of two conversations waits for the other's end.
#[test]
fn two_conversations_wait_for_each_other_alike() {
    for seed in 1..=10 {
        let ways = conversations(seed, 20);
        let [one, other] = [0, 1].map(|pair| ways[pair].iter().sum::<f64>() / ways[pair].len() as f64);
        assert!(one.min(other) / one.max(other) > 0.75, "seed {seed}: {one} and {other} s, {ways:.1?}");
        let longest = ways.iter().flatten().copied().fold(0.0, f64::max);
        assert!(longest < 60.0, "seed {seed}: {ways:.1?}");
    }
}

/// Whatever goes before the data, and however long a block is.
#[test]
fn stations_hear_each_other_on_every_kind_of_waveform() {
    for weather in [
        "waveform = \"s4285\"\nbits_per_second = 75\ninterleaver = \"long\"",
        "waveform = \"s4285\"\nbits_per_second = 3600\ncrypto_seconds = 1.5\nidle_guard_seconds = 2.0",
        "waveform = \"s4285\"\nbits_per_second = 300\npreamble_seconds = 2.0\nrates = [75, 300, 2400]\nloss_percent = 10.0",
        "bits_per_second = 12800\ninterleaver = \"very_long\"",
    ] {
        let mut bench = Bench::new(weather, 3);
        for tag in 0..5 {
            bench.arq(0, 1, 6, 7200, unit(tag, 300));
            bench.arq(1, 2, 6, 7200, unit(100 + tag, 60));
        }
        bench.run(7200.0);
        let tags = |station: u16| bench.arrived(station, RCOP).iter().map(|(tag, _)| *tag).collect::<Vec<u32>>();
        assert_eq!((tags(1), tags(2)), (vec![0, 1, 2, 3, 4], vec![100, 101, 102, 103, 104]), "{weather}");
        assert_eq!((bench.answered(0).0.len(), bench.simulator.begun_early()), (5, 0), "{weather}");
    }
}

/// So long after the end of a transmission nobody begins who was not asked.
#[test]
fn a_guard_time_holds_back_who_was_not_asked() {
    let begins = |guard: f64| {
        let mut bench = Bench::new(&format!("idle_guard_seconds = {guard}"), 3);
        bench.broadcast(0, 0, TransmissionMode::NonArq, unit(1, 600));
        bench.run(2.0);
        bench.arq(1, 2, 6, 600, unit(2, 40));
        bench.run(600.0);
        bench.arrived(2, RCOP)[0].1
    };
    let later = begins(1.6) - begins(0.1);
    assert!((1.49..1.51).contains(&later), "{later} s later");
}

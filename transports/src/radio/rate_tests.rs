//! How much of the line rate reaches the other gateway, and what a FLASH waits, at each rate.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::Duration;

use super::bench::{Bench, acp142, address, unit};
use super::*;
use crate::transport::{Delivery, Unit};

const SITES: [&str; 2] = ["hq", "field"];
const TURNAROUND: Duration = Duration::from_millis(200);

fn bench(bits_per_second: u32, weather: &str) -> Bench {
    network(&SITES, bits_per_second, weather)
}

fn network(sites: &[&str], bits_per_second: u32, weather: &str) -> Bench {
    let weather = format!("bits_per_second = {bits_per_second}\n{weather}");
    Bench::new(&weather, sites, |site| {
        let mut config = RadioConfig::new("node:5066", address(site));
        config.bits_per_second = bits_per_second;
        config.turnaround = TURNAROUND;
        let mut radio = Radio::new(config, Box::new(Seeded::new(site as u64)));
        radio.add_link("acp142", Box::new(acp142(site, sites, bits_per_second, TURNAROUND)));
        radio
    })
}

/// The share of the line rate that a unit of so many octets had.
fn share(bits_per_second: u32, weather: &str, octets: usize, delivery: Delivery) -> f64 {
    let mut bench = bench(bits_per_second, weather);
    let sent = Unit { delivery, ..unit(1, &["field"], Precedence::Routine, octets) };
    bench.submit(0, 0, sent.clone());
    let ideal = octets as f64 * 8.0 / f64::from(bits_per_second);
    for _ in 0..100 {
        bench.run(ideal as u64 / 10 + 1);
        if let [(seconds, 1, content)] = bench.arrived()[..] {
            assert_eq!(*content, sent.content);
            return ideal / seconds;
        }
    }
    panic!("{octets} octets did not cross in {} s", bench.seconds());
}

#[test]
fn bulk_fills_the_channel_at_every_rate() {
    // By ARQ with its answers, and without; calm.
    let rows = [
        (75, 5_000, 0.80, 0.81),
        (300, 20_000, 0.85, 0.80),
        (1200, 200_000, 0.91, 0.85),
        (9600, 1_000_000, 0.93, 0.85),
        (64_000, 1_000_000, 0.81, 0.80),
    ];
    let mut missed = Vec::new();
    for (rate, octets, confirmed, unconfirmed) in rows {
        for (delivery, least) in [(Delivery::Committed, confirmed), (Delivery::Unconfirmed, unconfirmed)] {
            let is = share(rate, "", octets, delivery);
            println!("{octets} octets at {rate} bit/s, {delivery:?}: {is:.3} of the rate, not below {least}");
            missed.extend((is < least).then_some((rate, is)));
        }
    }
    assert_eq!(missed, [], "too little of the rate");
}

/// The radio that the bench is calibrated with.
const CALIBRATED: &str = "turnaround_seconds = 2.1\nanswer_delay_seconds = 2.5";

#[test]
fn bulk_fills_the_channel_of_a_radio_that_turns_slowly() {
    for (rate, octets, least) in
        [(75, 30_000, 0.80), (300, 60_000, 0.82), (1200, 240_000, 0.89), (9600, 1_500_000, 0.89)]
    {
        let is = share(rate, CALIBRATED, octets, Delivery::Committed);
        println!("{octets} octets at {rate} bit/s: {is:.4} of the rate, not below {least}");
        assert!(is >= least, "{octets} octets at {rate} bit/s: {is:.4} of the rate");
    }
}

#[test]
fn a_flash_costs_the_routine_behind_it_nothing() {
    for (rate, octets) in [(75, 100_000), (1200, 800_000)] {
        let on_air = |flash: bool| {
            let mut bench = bench(rate, CALIBRATED);
            let routine = Unit { delivery: Delivery::Committed, ..unit(1, &["field"], Precedence::Routine, octets) };
            bench.submit(0, 0, routine);
            bench.run(100);
            if flash {
                let flash = unit(2, &["field"], Precedence::Flash, 150);
                bench.submit(0, 0, Unit { delivery: Delivery::Committed, ..flash });
            }
            bench.run(octets as u64 * 12 / u64::from(rate));
            assert_eq!(bench.arrived().len(), 1 + usize::from(flash));
            bench.simulator.octets_on_air()
        };
        let (alone, both) = (on_air(false), on_air(true));
        // Its own octets are 1,000 on the air, with what confirms them.
        assert!(both < alone + 1_000 + alone / 200, "{rate} bit/s: {alone} and {both} octets on the air");
    }
}

#[test]
fn ten_megabytes_cross_at_a_megabit() {
    // No HF modem is as fast: the window of 128 segments is sent in a second.
    let is = share(1_000_000, "", 10_000_000, Delivery::Committed);
    println!("10 MB at 1 Mbit/s: {:.2} times the ideal", 1.0 / is);
    assert!(1.0 / is < 2.0, "{:.2} times the ideal", 1.0 / is);
}

#[test]
fn bulk_crosses_through_bursts() {
    for (rate, octets, least) in
        [(1200, 100_000, 0.6), (9600, 258_000, 0.6), (64_000, 1_000_000, 0.5), (1_000_000, 1_000_000, 0.25)]
    {
        let is = share(rate, "seed = 5\n[burst]\nloss_percent = 10.0\nmean_blocks = 3", octets, Delivery::Committed);
        assert!(is >= least, "{octets} octets at {rate} bit/s: {is:.3} of the rate");
    }
}

#[test]
fn a_flash_waits_for_one_part_in_the_air_and_the_answer_of_the_other_station() {
    // Seconds: a part and the answer, an Address_PDU and a Data_PDU of the FLASH itself, the ends of their blocks; and what
    // an opening of the channel adds where one comes between, as it does for one in fourteen at 64 kbit/s.
    for (rate, at_most, opening) in [(300, 20.0, 0.0), (1200, 9.0, 0.0), (9600, 5.5, 0.0), (64_000, 1.5, 2.0)] {
        let mut bench = bench(rate, "");
        bench.submit(
            0,
            0,
            Unit { delivery: Delivery::Committed, ..unit(1, &["field"], Precedence::Routine, rate as usize * 100) },
        );
        bench.run(67);
        let mut all = Vec::new();
        for number in 0..12 {
            let begun = bench.seconds();
            let flash = unit(100 + number, &["field"], Precedence::Flash, 150);
            bench.submit(0, 0, Unit { delivery: Delivery::Committed, ..flash });
            bench.run(50 + number);
            let arrived = bench.arrived();
            let waited = arrived.last().map_or(f64::INFINITY, |(seconds, ..)| seconds - begun);
            assert_eq!(arrived.len() as u64, number + 1, "{rate} bit/s");
            println!("{rate} bit/s: a FLASH after {waited:.2} s");
            all.push(waited);
        }
        all.sort_by(f64::total_cmp);
        assert!(all[8] <= at_most && all[11] <= at_most + opening, "{rate} bit/s: {all:?}");
    }
}

/// PDUs that headquarters and all others handed down for one message to ten sites.
fn ten_sites(weather: &str) -> (u64, u64) {
    let sites = ["hq", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10"];
    let mut bench = network(&sites, 1200, weather);
    let sent = Unit { delivery: Delivery::Committed, ..unit(1, &sites[1..], Precedence::Routine, 760) };
    bench.submit(0, 0, sent);
    bench.run(3600);
    assert_eq!((bench.arrived().len(), bench.delivered(1).len()), (10, 10), "{weather}");
    let handed = |site: &Radio| site.counters().handed;
    (handed(&bench.radios[0]), bench.radios[1..].iter().map(handed).sum())
}

#[test]
fn after_a_message_to_ten_sites_only_their_acknowledgements_follow() {
    // An Address_PDU and a Data_PDU; the empty Address_PDU at the end.
    assert_eq!(ten_sites(""), (3, 10));
    for seed in 0..4 {
        let (ours, theirs) = ten_sites(&format!("seed = {seed}\n[burst]\nloss_percent = 5.0\nmean_blocks = 2"));
        assert!(ours <= 9 && theirs <= 20, "seed {seed}: {ours} and {theirs} PDUs");
    }
}

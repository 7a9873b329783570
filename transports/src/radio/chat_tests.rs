//! Links for chat over RCOP at the embedded node, beside a batch link on the same SAP: from a unit to a unit.

use std::collections::BTreeMap;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::Duration;

use super::bench::{Bench, address, unit};
use super::*;
use crate::batch::{BatchConfig, BatchLink};
use crate::io::{PipeId, PipeInput};
use crate::node::ClientInput;
use crate::stream::{RcopConfig, RcopLink};
use crate::transport::{SiteName, TransportEvent, Unit};

const CHAT: usize = 0;
const STANDARD: usize = 1;
const BATCH: usize = 2;

fn bench(weather: &str) -> Bench {
    Bench::new(weather, &["hq", "field"], radio)
}

fn radio(site: usize) -> Radio {
    radio_with(site, |_| {})
}

fn radio_with(site: usize, change: impl FnOnce(&mut RadioConfig)) -> Radio {
    let mut config = RadioConfig::new("node:5066", address(site));
    change(&mut config);
    config.bits_per_second = 1200;
    let mut random = Seeded::new(site as u64);
    let mut radio = Radio::new(config, Box::new(random.fork("radio")));
    let sites: BTreeMap<SiteName, NodeAddress> = [("hq".into(), address(0)), ("field".into(), address(1))].into();
    radio.add_link("chat", Box::new(RcopLink::new(RcopConfig::skywave(sites.clone()), &mut random)));
    radio.add_link("standard", Box::new(RcopLink::new(RcopConfig::standard(sites.clone()), &mut random)));
    radio.add_link("batch", Box::new(BatchLink::new(BatchConfig::rcop(sites), &mut random)));
    radio
}

fn chat(ticket: u64, octets: usize) -> Unit {
    unit(ticket, &["field"], Precedence::Routine, octets)
}

/// Which units arrived at the field by a link, in order; and which were confirmed.
fn fates(bench: &Bench, link: usize, units: &[Unit]) -> (Vec<u64>, Vec<u64>) {
    let arrived = bench.told.iter().filter_map(|told| match told {
        (_, 1, by, TransportEvent::Arrived { content, .. }) if *by == link => {
            units.iter().find(|unit| unit.content == *content).map(|unit| unit.ticket.0)
        }
        _ => None,
    });
    let delivered = bench.told.iter().filter_map(|told| match told {
        (_, 0, by, TransportEvent::Delivered { ticket, .. }) if *by == link => Some(ticket.0),
        _ => None,
    });
    (arrived.collect(), delivered.collect())
}

#[test]
fn units_arrive_once_in_order_through_loss_each_by_its_own_link() {
    let mut bench = bench("bits_per_second = 1200\nloss_percent = 15.0\nseed = 3");
    let units: Vec<Unit> = (1..=24).map(|ticket| chat(ticket, 40 + 60 * ticket as usize)).collect();
    for (number, unit) in units.iter().enumerate() {
        bench.submit(0, [CHAT, STANDARD, BATCH][number % 3], unit.clone());
    }
    bench.run(4000);
    for link in [CHAT, STANDARD] {
        let expected: Vec<u64> = (1..=24).skip(link).step_by(3).collect();
        assert_eq!(fates(&bench, link, &units), (expected.clone(), expected), "{link}");
    }
    let (mut arrived, delivered) = fates(&bench, BATCH, &units);
    arrived.sort_unstable();
    assert_eq!((arrived.len(), delivered.len()), (8, 8));
}

#[test]
fn the_urgent_context_overtakes_blocks_in_the_hands_of_the_node() {
    let mut bench = bench("bits_per_second = 1200");
    let units: Vec<Unit> = (1..=12).map(|ticket| chat(ticket, 1800)).collect();
    units.iter().for_each(|unit| bench.submit(0, CHAT, unit.clone()));
    bench.run(20);
    let flash = Unit { context: 1, ..unit(99, &["field"], Precedence::Flash, 60) };
    bench.submit(0, CHAT, flash.clone());
    bench.run(600);
    let all: Vec<Unit> = units.into_iter().chain([flash]).collect();
    let (arrived, delivered) = fates(&bench, CHAT, &all);
    let place = arrived.iter().position(|&ticket| ticket == 99).unwrap();
    assert!(place <= 4, "{arrived:?}");
    assert_eq!(
        arrived.iter().copied().filter(|&ticket| ticket != 99).collect::<Vec<_>>(),
        (1..=12).collect::<Vec<_>>()
    );
    assert_eq!(delivered.len(), 13);
}

/// Both ends hold: the second finds the link there, and asks no more than once a minute.
//= s5066/HL-004
#[test]
fn a_hard_link_is_held_while_chat_moves_and_then_let_go() {
    let hold = |config: &mut RadioConfig| config.hold_link = Some(Duration::from_secs(60));
    let mut bench = Bench::new("bits_per_second = 1200", &["hq", "field"], |site| radio_with(site, hold));
    let held = |bench: &Bench, site: usize| bench.radios[site].describe()["hard_link"].clone();
    let units: Vec<Unit> = (1..=4).map(|ticket| chat(ticket, 200)).collect();
    for unit in &units {
        bench.submit(0, CHAT, unit.clone());
        bench.run(30);
        assert_eq!(held(&bench, 0), "0.0.0.2", "after {} s", bench.seconds());
    }
    bench.submit(1, CHAT, super::bench::unit(9, &["hq"], Precedence::Routine, 100));
    bench.run(30);
    assert_eq!((held(&bench, 0), held(&bench, 1)), ("0.0.0.2".into(), serde_json::Value::Null));
    let (arrived, delivered) = fates(&bench, CHAT, &units);
    assert_eq!((arrived, delivered), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    bench.run(90);
    assert_eq!(held(&bench, 0), serde_json::Value::Null);
    bench.submit(0, CHAT, chat(5, 200));
    bench.run(30);
    assert_eq!(held(&bench, 0), "0.0.0.2");
}

#[test]
fn a_node_that_drops_its_clients_is_bridged_in_order() {
    let mut bench = bench("bits_per_second = 1200");
    let units: Vec<Unit> = (1..=8).map(|ticket| chat(ticket, 900)).collect();
    units.iter().for_each(|unit| bench.submit(0, CHAT, unit.clone()));
    bench.run(14);
    for pipe in [PipeId(1), PipeId(2)] {
        bench.client_input(0, pipe, ClientInput::Closed);
        bench.pipe_input(0, pipe, PipeInput::Closed(None));
    }
    bench.settle();
    bench.run(1500);
    let (arrived, delivered) = fates(&bench, CHAT, &units);
    assert_eq!(delivered, (1..=8).collect::<Vec<_>>());
    let mut first = Vec::new();
    arrived.into_iter().for_each(|ticket| {
        if !first.contains(&ticket) {
            first.push(ticket)
        }
    });
    assert_eq!(first, (1..=8).collect::<Vec<_>>());
}

#[test]
fn an_idle_hour_puts_nothing_on_the_air() {
    let mut bench = bench("bits_per_second = 1200");
    let units = [chat(1, 200)];
    bench.submit(0, CHAT, units[0].clone());
    bench.run(600);
    assert_eq!(fates(&bench, CHAT, &units), (vec![1], vec![1]));
    let sent = |bench: &Bench| {
        let station = |name| bench.simulator.station(name).unwrap();
        ["hq", "field"].map(|name| bench.simulator.counters(station(name)).transmissions)
    };
    let before = sent(&bench);
    bench.run(3600);
    assert_eq!(sent(&bench), before);
}

//! Radios with batch and ACP 142 links at the embedded node, over the simulated channel: from a unit to a unit.

use std::collections::BTreeMap;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::Duration;

use super::bench::{Bench, GROUP, acp142, address, unit};
use super::*;
use crate::batch::{BatchConfig, BatchLink};
use crate::io::{PipeId, PipeInput};
use crate::node::ClientInput;
use crate::transport::SiteName;

const SITES: [&str; 3] = ["hq", "field", "ship"];
const UDOP: usize = 0;
const RCOP: usize = 1;
const MULTICAST: usize = 2;

/// Three sites, each with a radio that has a batch link over UDOP, one over RCOP, and one of ACP 142.
fn bench(weather: &str) -> Bench {
    Bench::new(weather, &SITES, radio)
}

fn radio(site: usize) -> Radio {
    let mut config = RadioConfig::new("node:5066", address(site));
    config.bits_per_second = 1200;
    let mut random = Seeded::new(site as u64);
    let mut radio = Radio::new(config, Box::new(random.fork("radio")));
    let sites: BTreeMap<SiteName, NodeAddress> =
        SITES.iter().enumerate().map(|(site, &name)| (name.into(), address(site))).collect();
    let udop = BatchConfig { rounds: 3, ..BatchConfig::udop(sites.clone(), Some(GROUP)) };
    radio.add_link("batch-udop", Box::new(BatchLink::new(udop, &mut random)));
    radio.add_link("batch-rcop", Box::new(BatchLink::new(BatchConfig::rcop(sites), &mut random)));
    radio.add_link("multicast", Box::new(acp142(site, &SITES, 1200, Duration::from_secs(2))));
    radio
}

#[test]
fn a_broadcast_reaches_the_group_once_and_counts_as_relayed_after_its_rounds() {
    let mut bench = bench("bits_per_second = 1200");
    let sent = unit(1, &["field", "ship"], Precedence::Routine, 5000);
    bench.submit(0, UDOP, sent.clone());
    bench.run(1500);
    let arrived = bench.arrived();
    assert_eq!(arrived.iter().map(|&(_, site, _)| site).collect::<Vec<_>>(), [1, 2]);
    assert!(arrived.iter().all(|&(seconds, _, content)| seconds < 120.0 && *content == sent.content), "{arrived:?}");
    assert_eq!(bench.delivered(1), ["field", "ship"]);
    // Three rounds of three PDUs, and nothing else.
    assert_eq!(bench.radios[0].counters().handed, 9);
}

#[test]
fn rcop_delivers_through_loss_and_confirms() {
    let mut bench = bench("bits_per_second = 1200\nloss_percent = 15.0\nseed = 3");
    let sent = unit(1, &["field"], Precedence::Routine, 20_000);
    bench.submit(0, RCOP, sent.clone());
    bench.run(1500);
    let arrived = bench.arrived();
    assert!(matches!(arrived[..], [(_, 1, content)] if *content == sent.content), "{}", arrived.len());
    assert_eq!(bench.delivered(1), ["field"]);
}

#[test]
fn a_flash_overtakes_bulk_of_another_link_on_the_same_radio() {
    let mut bench = bench("bits_per_second = 1200");
    bench.submit(0, RCOP, unit(1, &["field"], Precedence::Routine, 60_000));
    bench.submit(0, UDOP, unit(2, &["ship"], Precedence::Routine, 60_000));
    bench.run(60);
    bench.submit(0, UDOP, unit(3, &["field", "ship"], Precedence::Flash, 300));
    bench.run(4000);
    let flash: Vec<_> = bench.arrived().into_iter().filter(|(.., content)| content.len() == 300).collect();
    assert_eq!(flash.len(), 2);
    // What was in the hands of the node is at most 8 s and 30 s of data and one transmission.
    assert!(flash.iter().all(|&(seconds, ..)| (60.0..120.0).contains(&seconds)), "{:?}", flash[0].0);
    assert_eq!((bench.delivered(1), bench.delivered(3)), (vec!["field"], vec!["field", "ship"]));
}

#[test]
fn in_emcon_nothing_is_emitted_and_what_waits_goes_when_it_ends() {
    let mut bench = bench("bits_per_second = 1200");
    let hq = bench.simulator.station("hq").unwrap();
    bench.simulator.set_emcon(bench.now, hq, true);
    bench.settle();
    bench.submit(0, UDOP, unit(1, &["field"], Precedence::Override, 500));
    bench.run(600);
    assert_eq!((bench.arrived().len(), bench.simulator.counters(hq).transmissions), (0, 0));
    assert_eq!(bench.radios[0].describe()["silent"], true);
    bench.simulator.set_emcon(bench.now, hq, false);
    bench.settle();
    bench.run(60);
    assert_eq!(bench.arrived().len(), 1);
}

#[test]
fn a_node_that_drops_its_clients_loses_nothing() {
    let mut bench = bench("bits_per_second = 1200");
    let sent = unit(1, &["field"], Precedence::Routine, 20_000);
    bench.submit(0, RCOP, sent.clone());
    bench.run(20);
    for pipe in [PipeId(1), PipeId(2)] {
        bench.client_input(0, pipe, ClientInput::Closed);
        bench.pipe_input(0, pipe, PipeInput::Closed(None));
    }
    bench.settle();
    bench.run(1500);
    let arrived = bench.arrived();
    assert!(matches!(arrived[..], [(_, 1, content)] if *content == sent.content), "{}", arrived.len());
    assert_eq!(bench.delivered(1), ["field"]);
}

#[test]
fn acp_142_delivers_to_a_group_and_to_one_through_loss() {
    let mut bench = bench("bits_per_second = 1200\nloss_percent = 10.0\nseed = 4");
    bench.submit(0, MULTICAST, unit(1, &["field", "ship"], Precedence::Routine, 5000));
    bench.submit(1, MULTICAST, unit(2, &["hq"], Precedence::Flash, 800));
    bench.run(3000);
    let mut arrived: Vec<_> = bench.arrived().iter().map(|(_, site, content)| (*site, content.len())).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, [(0, 800), (1, 5000), (2, 5000)]);
    let mut delivered = bench.delivered(1);
    delivered.sort_unstable();
    assert_eq!((delivered, bench.delivered(2)), (vec!["field", "ship"], vec!["hq"]));
}

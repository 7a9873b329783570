//! Groups for single messages over UDP in memory: asked for, announced, used, given back, and found again after restarts.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use skywave_protocols::acp142::dynamic_group::GroupConfig;
use skywave_protocols::acp142::pdu::{NodeId, Pdu};
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::Duration;

use super::tests::{Network, START, content, unit};
use super::udp::GLOBAL_GROUP;
use crate::io::SocketOutput;
use crate::transport::Transport as _;

const FIXED: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 1, 2, 3));
const HOUR: Duration = Duration::from_secs(3600);

fn network(seed: u64, count: u32) -> Network {
    let wait = Duration::from_secs(5);
    let range = (0xefc0_0001, 0xefc0_0004);
    let groups = GroupConfig { range, wait_for_reject: wait, announce_delay: wait, ..GroupConfig::new(NodeId(0)) };
    Network::with_groups(seed, count, Some(groups))
}

fn submit(network: &mut Network, from: u32, ticket: u64, to: &[u32], precedence: Precedence, octets: usize) {
    let now = network.now;
    network.links.get_mut(&from).unwrap().0.submit(now, unit(ticket, to, precedence, octets));
    network.serve(from);
}

/// Where a site sent each kind of PDU to.
fn sent_to(network: &Network, from: u32, wanted: fn(&Pdu<'_>) -> bool) -> BTreeSet<IpAddr> {
    let of = network.sent.iter().filter(|(id, ..)| *id == from);
    of.filter_map(|(_, output, _)| match output {
        SocketOutput::Send { destination, octets, .. } => {
            Pdu::decode(octets).ok().filter(wanted).map(|_| destination.ip())
        }
        SocketOutput::Bind(_) | SocketOutput::Join(_) | SocketOutput::Leave(_) => None,
    })
    .collect()
}

fn is_own(group: &IpAddr) -> bool {
    matches!(group, IpAddr::V4(group) if group.octets()[..2] == [239, 192])
}

#[test]
fn a_mail_for_two_goes_to_a_group_of_their_own_and_the_third_hears_nothing() {
    let mut network = network(1, 4);
    submit(&mut network, 1, 1, &[2, 3], Precedence::Routine, 3000);
    network.run(Duration::from_secs(9));
    assert_eq!(sent_to(&network, 1, |pdu| matches!(pdu, Pdu::Data(_))), BTreeSet::new(), "not announced long enough");
    network.run(HOUR);
    let data = sent_to(&network, 1, |pdu| matches!(pdu, Pdu::Data(_)));
    assert!(data.len() == 1 && data.iter().all(is_own), "{data:?}");
    let global = BTreeSet::from([IpAddr::V4(GLOBAL_GROUP)]);
    let procedure = |pdu: &Pdu<'_>| matches!(pdu, Pdu::Request(_) | Pdu::Announce(_) | Pdu::Release(_));
    assert_eq!(sent_to(&network, 1, procedure), global);
    for (id, mails) in [(2, 1), (3, 1), (4, 0)] {
        assert_eq!(network.links[&id].1.mails.len(), mails, "site {id}");
        let joined = |id: u32, join: bool| {
            let of = network.sent.iter().filter(move |(of, ..)| *of == id);
            of.filter(|(_, output, _)| match output {
                SocketOutput::Join(group) => join && is_own(group),
                SocketOutput::Leave(group) => !join && is_own(group),
                SocketOutput::Bind(_) | SocketOutput::Send { .. } => false,
            })
            .count()
        };
        assert_eq!((joined(id, true), joined(id, false)), (mails, mails), "site {id} joins and leaves once");
    }
    assert_eq!(network.links[&1].1.delivered().len(), 2);
    assert_eq!(network.links[&1].0.describe()["groups_own"], 0, "given back");
}

#[test]
fn what_is_urgent_or_for_one_does_not_wait() {
    let mut network = network(2, 3);
    submit(&mut network, 1, 1, &[2, 3], Precedence::Flash, 300);
    submit(&mut network, 1, 2, &[3], Precedence::Routine, 300);
    submit(&mut network, 1, 3, &[2, 3], Precedence::Routine, 300);
    let now = network.now;
    network.links.get_mut(&1).unwrap().0.raise(now, crate::transport::UnitTicket(3), Precedence::Flash.mt_priority());
    network.serve(1);
    network.run(Duration::from_secs(4));
    let data = sent_to(&network, 1, |pdu| matches!(pdu, Pdu::Data(_)));
    assert!(data.contains(&FIXED) && !data.iter().any(is_own), "{data:?}");
    network.run(HOUR);
    assert_eq!(network.links[&3].1.mails.len(), 3);
}

#[test]
fn more_mails_than_groups_go_to_the_fixed_group_and_loss_costs_nothing_but_time() {
    for seed in 0..10 {
        let mut network = network(seed, 4);
        network.loss_per_million = 200_000;
        for ticket in 1..=8 {
            submit(&mut network, 1 + ticket as u32 % 2, ticket, &[3, 4], Precedence::Routine, 2000);
        }
        network.run(HOUR * 20);
        for id in [3, 4] {
            let got: BTreeSet<_> = network.links[&id].1.mails.iter().cloned().collect();
            assert_eq!(got, (1..=8).map(|ticket| content(ticket, 2000)).collect(), "seed {seed}, site {id}");
            assert_eq!(network.links[&id].1.mails.len(), 8, "seed {seed}: once each");
        }
        let data = sent_to(&network, 1, |pdu| matches!(pdu, Pdu::Data(_)));
        assert!(data.contains(&FIXED) && data.iter().any(is_own), "seed {seed}: {data:?}");
        // A release that was lost is made up for by the end of the mail's time.
        network.run(HOUR * 6);
        for id in 1..=4 {
            let state = network.links[&id].0.describe();
            assert_eq!(
                (&state["groups_own"], &state["groups_joined"]),
                (&0.into(), &0.into()),
                "seed {seed}, site {id}"
            );
            assert_eq!(network.links[&id].0.over_limit(), None);
        }
    }
}

#[test]
fn a_restart_of_either_side_finds_the_group_again() {
    let mut network = network(5, 3);
    submit(&mut network, 1, 1, &[2, 3], Precedence::Routine, 6000);
    network.run(Duration::from_secs(14));
    for id in [1, 2] {
        let (_, gateway) = network.links.remove(&id).unwrap();
        network.start(5, id, 3, gateway);
    }
    network.sent.clear();
    network.run(HOUR * 3);
    let data = sent_to(&network, 1, |pdu| matches!(pdu, Pdu::Data(_)));
    assert!(data.iter().any(is_own) && !data.contains(&FIXED), "{data:?}");
    for id in [2, 3] {
        assert_eq!(network.links[&id].1.mails, [content(1, 6000)], "site {id}");
    }
    assert!(network.now.wall > START.wall);
}

#[test]
fn nobody_joins_what_is_no_group_for_messages() {
    let mut network = network(6, 2);
    for group in [0x0a00_0001, 0xe000_0001_u32] {
        let announce = skywave_protocols::acp142::group_pdu::Announce {
            map: skywave_protocols::acp142::pdu::Map::Only,
            message: skywave_protocols::acp142::pdu::MessageId { source: NodeId(2), number: group },
            expiry: u32::MAX,
            group,
            destinations: vec![NodeId(1)],
        };
        let octets = Pdu::Announce(announce).encode(skywave_protocols::acp142::checksum::Checksum::Fletcher).into();
        let input = crate::io::SocketInput::Datagram { source: (super::tests::ip(2), 2752).into(), octets };
        let now = network.now;
        let link = &mut network.links.get_mut(&1).unwrap().0;
        link.handle(now, crate::transport::TransportInput::Socket(crate::io::SocketId(3), input));
        network.serve(1);
    }
    let joined = |output: &SocketOutput| matches!(output, SocketOutput::Join(group) if ![FIXED, IpAddr::V4(GLOBAL_GROUP)].contains(group));
    assert!(!network.sent.iter().any(|(_, output, _)| joined(output)));
}

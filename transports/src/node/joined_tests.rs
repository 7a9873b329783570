//! Three processes on one radio: a host with a station, and two with one each that joined, over a wire without delay.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::ClientId;
use skywave_protocols::s5066::sis::fields::{
    Confirmation, DeliveryMode, Order, Rank, SapId, ServiceType, TransmissionMode, Ttl,
};
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::unidata::{Quirks, UnidataRequest};
use skywave_protocols::time::{Duration, Now, Wakeup};

use super::config::StationConfig;
use super::joined::Joined;
use super::stack::{ClientInput, ClientOutput};
use super::{Simulator, SimulatorStation};
use crate::modem::channel::StationId;
use crate::modem::shared::guest::Joining;
use crate::modem::shared::host::{GuestId, GuestOutput, Guests};
use crate::modem::shared::listening::Passed;
use crate::modem::weather::Weather;

const OWN: StationId = StationId(0);
const CLIENT: ClientId = ClientId(6);

fn address(process: usize) -> NodeAddress {
    NodeAddress::individual(0x0102_0301 + process as u32)
}

fn station(process: usize) -> SimulatorStation {
    let mut config = StationConfig::new(address(process));
    config.server.keep_alive = None;
    SimulatorStation { name: format!("site-{process}.test"), config }
}

struct Processes {
    now: Now,
    host: Simulator,
    guests: Guests,
    joined: Vec<Joined>,
    readers: BTreeMap<usize, FrameReader>,
    /// What the client of each process was told, with the second.
    told: Vec<(usize, f64, Primitive)>,
    /// What guests wrote and the host has not read, while that is slow.
    held: Option<Vec<(GuestId, Bytes)>>,
}

impl Processes {
    fn new() -> Self {
        let now = Now::default();
        let mut host = Simulator::new(now, &Weather::default(), vec![station(0)]).unwrap();
        let mut guests = Guests::new(host.welcome(), host.stations().map(|(.., address)| address).collect());
        let mut joined = Vec::new();
        for process in [1, 2] {
            let id = GuestId(process as u64);
            guests.accepted(id);
            let hello = Joining::hello(&station(process).name, address(process));
            host.with_channel(now, |channel| guests.handle_read(now, id, &hello, channel));
            let Some((_, GuestOutput::Write(octets))) = guests.poll() else { panic!("no welcome") };
            let modem = Joining::default().handle_read(&octets).unwrap().unwrap();
            assert_eq!(modem.welcome().station, process as u16);
            joined.push(Joined::new(vec![(station(process), modem)], &Seeded::new(process as u64)));
        }
        let mut processes = Self { now, host, guests, joined, readers: BTreeMap::new(), told: Vec::new(), held: None };
        for process in 0..3 {
            processes.input(process, ClientInput::Accepted);
            let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
            let bind = Primitive::BindRequest { sap: SapId::RCOP, rank: Rank::default(), service };
            processes.input(process, ClientInput::Read(bind.encode().unwrap()));
        }
        processes
    }

    fn input(&mut self, process: usize, input: ClientInput) {
        match process.checked_sub(1) {
            None => self.host.client_input(self.now, OWN, CLIENT, input),
            Some(guest) => self.joined[guest].client_input(self.now, OWN, CLIENT, input),
        }
        self.settle();
    }

    fn send(&mut self, process: usize, to: usize, u_pdu: Bytes) {
        self.send_by(process, to, 6, u_pdu);
    }

    /// The host reads what guests have written meanwhile.
    fn read_held(&mut self) {
        for (id, octets) in self.held.take().unwrap_or_default() {
            self.host.with_channel(self.now, |channel| self.guests.handle_read(self.now, id, &octets, channel));
        }
        self.settle();
    }

    fn send_by(&mut self, process: usize, to: usize, priority: u8, u_pdu: Bytes) {
        let request = UnidataRequest {
            priority,
            sap: SapId::RCOP,
            destination: address(to),
            mode: DeliveryMode::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder),
            retransmissions: 0,
            ttl: Ttl::from_span(Duration::from_secs(600)),
            u_pdu,
        };
        self.input(process, ClientInput::Read(Primitive::UnidataRequest(request).encode().unwrap()));
    }

    fn settle(&mut self) {
        let now = self.now;
        loop {
            let mut still = true;
            for (number, joined) in self.joined.iter_mut().enumerate() {
                while let Some((_, octets)) = joined.poll_host() {
                    still = false;
                    let id = GuestId(number as u64 + 1);
                    if let Some(held) = &mut self.held {
                        held.push((id, octets));
                        continue;
                    }
                    self.host.with_channel(now, |channel| self.guests.handle_read(now, id, &octets, channel));
                }
            }
            self.host.with_channel(now, |channel| self.guests.pump(channel));
            while let Some((id, output)) = self.guests.poll() {
                still = false;
                let GuestOutput::Write(octets) = output else { panic!("{output:?}") };
                self.joined[id.0 as usize - 1].host_read(now, OWN, &octets).unwrap();
            }
            if still {
                break;
            }
        }
        for process in 0..3 {
            while let Some((.., output)) = match process {
                0 => self.host.poll(),
                _ => self.joined[process - 1].poll(),
            } {
                let ClientOutput::Write(octets) = output else { panic!("{process} was closed") };
                let reader = self.readers.entry(process).or_default();
                reader.push(&octets);
                while let Some(frame) = reader.next_frame() {
                    let primitive = Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap();
                    self.told.push((process, now.mono.as_micros() as f64 / 1e6, primitive));
                }
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now.after(Duration::from_secs(seconds));
        loop {
            let guests = self.joined.iter().map(Joined::next_wakeup);
            let wakeup = guests.fold(self.host.next_wakeup(), Wakeup::earlier);
            let Some(wakeup) = wakeup.filter(|wakeup| wakeup.at <= end.mono) else { break };
            self.now = self.now.after(wakeup.at.since(self.now.mono));
            self.host.handle_wakeup(self.now);
            self.joined.iter_mut().for_each(|joined| joined.handle_wakeup(self.now));
            self.settle();
        }
        self.now = end;
    }

    fn arrived(&self, process: usize) -> Vec<Bytes> {
        let arrived = self.told.iter().filter(|(at, ..)| *at == process);
        arrived
            .filter_map(|(.., primitive)| match primitive {
                Primitive::UnidataIndication(indication) => Some(indication.u_pdu.clone()),
                _ => None,
            })
            .collect()
    }

    fn confirmed(&self, process: usize) -> usize {
        let told = self.told.iter().filter(|(at, ..)| *at == process);
        told.filter(|(.., primitive)| matches!(primitive, Primitive::UnidataRequestConfirm(_))).count()
    }
}

#[test]
fn u_pdus_pass_between_three_processes() {
    let mut processes = Processes::new();
    let words = |from: usize, to: usize| Bytes::from(format!("from {from} to {to} ").repeat(40));
    for (from, to) in [(1, 2), (2, 0), (0, 1)] {
        processes.send(from, to, words(from, to));
    }
    processes.run(300);
    for (from, to) in [(1, 2), (2, 0), (0, 1)] {
        assert_eq!(processes.arrived(to), [words(from, to)], "{from} to {to}");
        assert_eq!(processes.confirmed(from), 1);
    }
    for guest in [1, 2] {
        assert!(processes.host.counters(StationId(guest)).octets_on_air > 500);
    }
}

#[test]
fn a_guest_in_emcon_emits_nothing() {
    let mut processes = Processes::new();
    let now = processes.now;
    processes.joined[0].set_emcon(now, OWN, true);
    processes.settle();
    processes.send(2, 1, Bytes::from_static(b"can you hear me"));
    processes.run(60);
    assert_eq!(processes.arrived(1).len(), 1, "it hears");
    assert_eq!(processes.confirmed(2), 0);
    let counters = processes.host.counters(StationId(1));
    assert_eq!((counters.transmissions, counters.emissions_in_emcon), (0, 0));
    let now = processes.now;
    processes.joined[0].set_emcon(now, OWN, false);
    processes.settle();
    processes.run(120);
    assert_eq!(processes.confirmed(2), 1);
    assert_eq!(processes.joined[0].describe()["stations"][0]["site"], "site-1.test");
}

#[test]
fn a_guest_tells_what_it_sent_and_what_it_heard() {
    let mut processes = Processes::new();
    processes.host.listen_in();
    processes.joined[0].listen_in();
    processes.send(1, 2, Bytes::from("some words ".repeat(100)));
    processes.run(30);
    // What is said while it keys replaces the rest of a transmission.
    processes.send(1, 2, Bytes::from("more words ".repeat(100)));
    processes.run(300);
    let now = processes.now;
    let on_air: Vec<_> = std::iter::from_fn(|| processes.host.poll_on_air(now).map(|(.., frame)| frame)).collect();
    let of = |station: u16| on_air.iter().filter(move |frame| frame.station == StationId(station));
    let guest = &mut processes.joined[0];
    let told: Vec<_> =
        std::iter::from_fn(|| guest.poll_passed(now).map(|(site, _, passed)| (site.to_owned(), passed))).collect();
    assert!(told.iter().all(|(site, _)| site == "site-1.test"));
    let sent = of(1).map(|frame| Passed::Sent {
        at: frame.at,
        bits_per_second: frame.bits_per_second,
        octets: frame.octets.clone(),
    });
    let heard = of(2).map(|frame| Passed::Heard(frame.octets.clone()));
    let (is, was): (Vec<_>, Vec<_>) =
        told.into_iter().map(|(_, passed)| passed).partition(|p| matches!(p, Passed::Sent { .. }));
    assert!(is.len() > 4 && !was.is_empty(), "{} sent, {} heard", is.len(), was.len());
    assert_eq!(is, sent.collect::<Vec<_>>());
    assert_eq!(was, heard.collect::<Vec<_>>());
}

/// A host that is slow for a moment sends on what a guest had replaced: nothing of it arrives twice.
#[test]
fn what_a_slow_host_did_not_replace_arrives_once() {
    for seconds in [2, 4, 6, 9] {
        let mut processes = Processes::new();
        let routine: Vec<Bytes> = (0..12).map(|number| Bytes::from(vec![number; 300])).collect();
        routine.iter().for_each(|u_pdu| processes.send(1, 2, u_pdu.clone()));
        processes.run(4);
        processes.held = Some(Vec::new());
        processes.send_by(1, 2, 12, Bytes::from_static(b"urgent"));
        processes.run(seconds);
        processes.read_held();
        processes.run(600);
        let urgent = processes.arrived(2).iter().filter(|u_pdu| u_pdu.starts_with(b"urgent")).count();
        let mut others = processes.arrived(2);
        others.retain(|u_pdu| !u_pdu.starts_with(b"urgent"));
        assert!(urgent == 1 && others == routine, "{seconds} s late: {urgent} urgent, {} others", others.len());
        assert_eq!(processes.confirmed(1), 13, "{seconds} s late");
        let state = processes.joined[0].describe();
        assert_eq!(state.pointer("/stations/0/dts/resets_begun"), Some(&0.into()), "{seconds} s late: {state}");
    }
}

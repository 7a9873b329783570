use proptest::prelude::*;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::time::{Duration, Now, Wakeup, WallTime};

use super::super::channel::{Channel, ChannelConfig, StationId};
use super::super::limits::STATIONS_MAX;
use super::super::loss::Loss;
use super::super::{Interleaver, Modem as _, ModemEvent, ModemFault, Waveform};
use super::guest::{GuestModem, Joining};
use super::host::{GuestId, GuestOutput, Guests};
use super::listening::Passed;
use super::wire::{Message, SharedFault, Stream, Welcome};

const OWN: StationId = StationId(0);

fn at(seconds: f64) -> Now {
    Now::default().after(Duration::from_micros((seconds * 1e6).round() as u64))
}

fn address(number: u32) -> NodeAddress {
    NodeAddress::individual(0x0101_0000 + number)
}

fn waveform(rate: u32) -> Waveform {
    Waveform::new(rate, Interleaver::Short).unwrap()
}

fn welcome() -> Welcome {
    Welcome {
        station: 1,
        speed: 1,
        wall: WallTime::default(),
        waveform: waveform(1200),
        turnaround: Duration::from_millis(200),
        answer_delay: Duration::ZERO,
        idle_guard: Duration::from_millis(100),
        transmission_max: None,
    }
}

fn frames(count: u8, octets: usize) -> Vec<Bytes> {
    (0..count).map(|number| Bytes::from(vec![number; octets])).collect()
}

/// A host with one station of its own, and guests with a wire without delay.
struct Table {
    now: Now,
    channel: Channel,
    host: Guests,
    modems: Vec<GuestModem>,
    closed: Vec<String>,
}

impl Table {
    fn new(guests: usize) -> Self {
        let config = ChannelConfig {
            waveform: waveform(1200),
            propagation: Duration::from_millis(10),
            loss: Loss::default(),
            outages: Vec::new(),
        };
        let mut channel = Channel::new(at(0.0), config, Seeded::new(1));
        channel.attach(OWN);
        let mut table = Self {
            now: at(0.0),
            channel,
            host: Guests::new(welcome(), vec![address(0)]),
            modems: Vec::new(),
            closed: Vec::new(),
        };
        (0..guests).for_each(|_| table.join());
        table
    }

    fn join(&mut self) {
        let id = GuestId(self.modems.len() as u64);
        self.host.accepted(id);
        let hello = Joining::hello("a.test", address(1 + id.0 as u32));
        self.host.handle_read(self.now, id, &hello, &mut self.channel);
        let Some((_, GuestOutput::Write(octets))) = self.host.poll() else { panic!("no welcome") };
        let modem = Joining::default().handle_read(&octets).unwrap().unwrap();
        self.modems.push(modem);
    }

    fn settle(&mut self) {
        self.channel.handle_wakeup(self.now);
        for (number, modem) in self.modems.iter_mut().enumerate() {
            while let Some(octets) = modem.poll_write() {
                self.host.handle_read(self.now, GuestId(number as u64), &octets, &mut self.channel);
            }
        }
        self.host.pump(&mut self.channel);
        while let Some((id, output)) = self.host.poll() {
            match output {
                GuestOutput::Write(octets) => {
                    // In pieces, as a connection may bring it.
                    for piece in octets.chunks(3) {
                        let _ = self.modems[id.0 as usize].handle_read(piece);
                    }
                }
                GuestOutput::Close(why) => self.closed.push(why),
            }
        }
    }

    fn run(&mut self, seconds: f64) {
        let end = at(seconds);
        while let Some(wakeup) = self.channel.next_wakeup().filter(|wakeup: &Wakeup| wakeup.at <= end.mono) {
            self.now = self.now.after(wakeup.at.since(self.now.mono));
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    fn events(&mut self, guest: usize) -> Vec<ModemEvent> {
        std::iter::from_fn(|| self.modems[guest].poll_event()).collect()
    }
}

#[test]
fn guests_hear_each_other_and_the_host() {
    let mut table = Table::new(2);
    assert_eq!([0, 1].map(|guest| table.modems[guest].welcome().station), [1, 2]);
    let end = table.modems[0].transmit(at(0.0), &waveform(9600), frames(2, 100)).unwrap();
    assert!(table.modems[0].transmitting());
    assert_eq!(table.modems[0].transmit(at(0.0), &waveform(9600), frames(1, 1)), Err(ModemFault::Transmitting));
    table.settle();
    table.run(1.0);
    assert!(table.modems[1].carrier() && !table.modems[0].carrier());
    table.run(5.0);
    assert!(end < at(5.0).mono);
    let received = |frames: Vec<Bytes>| frames.into_iter().map(ModemEvent::Received).collect::<Vec<_>>();
    assert_eq!(table.events(0), [ModemEvent::Sent]);
    let heard = table.events(1);
    assert_eq!(heard[1..3], received(frames(2, 100)));
    assert_eq!((&heard[0], &heard[3]), (&ModemEvent::CarrierOn, &ModemEvent::CarrierOff));
    assert_eq!(std::iter::from_fn(|| table.channel.poll_event(OWN)).count(), 4);
    let now = table.now;
    table.channel.transmit(now, OWN, &waveform(1200), frames(1, 9)).unwrap();
    table.run(10.0);
    assert_eq!(table.events(0)[1..2], received(frames(1, 9)));
}

/// Each guest is told the time of the host, however late it comes.
#[test]
fn a_guest_begins_with_the_clock_of_the_host() {
    let mut table = Table::new(1);
    table.run(3600.0);
    table.join();
    let told = [0, 1].map(|guest| table.modems[guest].welcome().wall);
    assert_eq!(told, [at(0.0), at(3600.0)].map(|now| now.wall));
}

#[test]
fn a_guest_replaces_and_stops_what_has_not_begun() {
    let mut table = Table::new(2);
    // Data from 0.75; blocks of 90 octets end at 1.35, 1.95, 2.55.
    table.modems[0].transmit(at(0.0), &waveform(1200), frames(3, 90)).unwrap();
    table.settle();
    table.run(0.8);
    assert_eq!(table.modems[0].begun(table.now), Some(1));
    assert_eq!(table.modems[0].replace(table.now, 0, frames(1, 9)), Err(ModemFault::Begun));
    assert!(table.modems[0].replace(table.now, 1, vec![Bytes::from_static(b"urgent")]).is_ok());
    table.settle();
    table.run(4.0);
    let heard = table.events(1);
    assert!(heard.contains(&ModemEvent::Received(Bytes::from_static(b"urgent"))), "{heard:?}");
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert_eq!(table.events(0), [ModemEvent::Sent]);
    let now = table.now;
    table.modems[0].transmit(now, &waveform(1200), frames(3, 90)).unwrap();
    table.settle();
    table.run(5.5);
    let now = table.now;
    table.modems[0].abort(now);
    assert!(!table.modems[0].transmitting());
    table.settle();
    table.run(9.0);
    assert_eq!(table.events(0), []);
    assert_eq!(table.events(1).last(), Some(&ModemEvent::CarrierOff));
    assert!(table.modems[0].transmit(table.now, &waveform(1200), frames(1, 1)).is_ok());
}

/// What comes too late at the host changes nothing any more, nor does what counts on it; the guest hears of both.
#[test]
fn a_replacement_that_comes_too_late_is_told() {
    let mut table = Table::new(2);
    // Data from 0.75; blocks of 90 octets end at 1.35, 1.95, 2.55.
    let sent = frames(4, 90);
    table.modems[0].transmit(at(0.0), &waveform(1200), sent.clone()).unwrap();
    table.settle();
    table.run(0.8);
    table.modems[0].replace(table.now, 3, vec![Bytes::from_static(b"in time")]).unwrap();
    table.settle();
    table.modems[0].replace(table.now, 1, vec![Bytes::from(vec![7; 90]); 3]).unwrap();
    table.now = at(1.5);
    table.modems[0].replace(table.now, 3, vec![Bytes::from_static(b"behind it")]).unwrap();
    table.settle();
    table.run(9.0);
    let heard: Vec<ModemEvent> = sent[..3].iter().cloned().map(ModemEvent::Received).collect();
    let events = table.events(1);
    assert_eq!(events[1..4], heard);
    assert_eq!(events[4..5], [ModemEvent::Received(Bytes::from_static(b"in time"))]);
    assert_eq!(table.events(0), [ModemEvent::Kept(1), ModemEvent::Sent]);
}

#[test]
fn what_a_guest_may_not_do_ends_its_connection() {
    let rows: [(Vec<u8>, &str); 5] = [
        (Message::Hello { site: "again".into(), address: address(9) }.encode().to_vec(), "a message out of turn"),
        (Message::Carrier(true).encode().to_vec(), "a message out of turn"),
        (vec![255; 4], "a message of 4294967295 octets"),
        (vec![0, 0, 0, 1, 99], "kind of message cannot be 99"),
        (vec![0, 0, 0, 0], "octet 0: 1 more octets needed"),
    ];
    for (octets, why) in rows {
        let mut table = Table::new(2);
        table.modems[0].transmit(at(0.0), &waveform(1200), frames(3, 90)).unwrap();
        table.settle();
        table.run(1.0);
        table.host.handle_read(table.now, GuestId(0), &octets, &mut table.channel);
        table.run(9.0);
        assert!(table.closed.len() == 1 && table.closed[0].starts_with(why), "{:?}, not {why}", table.closed);
        assert_eq!(table.events(1).last(), Some(&ModemEvent::CarrierOff), "{why}: off the air");
        assert_eq!(table.host.stations().count(), 1);
        table.host.closed(table.now, GuestId(0), &mut table.channel);
        table.join();
        assert_eq!(table.modems[2].welcome().station, 1, "its number is free again");
    }
}

#[test]
fn two_stations_with_one_address_are_not_taken() {
    let mut table = Table::new(2);
    for (number, has_it) in [(0, "the host"), (1, "a guest"), (2, "another guest")] {
        let id = GuestId(90 + u64::from(number));
        table.host.accepted(id);
        table.host.handle_read(table.now, id, &Joining::hello("twin.test", address(number)), &mut table.channel);
        let Some((_, GuestOutput::Write(octets))) = table.host.poll() else { panic!("{has_it}: no answer") };
        let why = Joining::default().handle_read(&octets).unwrap_err().to_string();
        assert!(why.contains(&format!("has the address {}", address(number))), "{has_it}: {why}");
        assert!(matches!(table.host.poll(), Some((_, GuestOutput::Close(_)))), "{has_it}");
    }
    // Who has left has it no more.
    table.host.closed(table.now, GuestId(1), &mut table.channel);
    let id = GuestId(99);
    table.host.accepted(id);
    table.host.handle_read(table.now, id, &Joining::hello("twin.test", address(2)), &mut table.channel);
    let Some((_, GuestOutput::Write(octets))) = table.host.poll() else { panic!("no answer") };
    assert!(Joining::default().handle_read(&octets).unwrap().is_some());
}

#[test]
fn who_says_nothing_takes_no_more_than_the_places_there_are() {
    let mut table = Table::new(0);
    for id in 0..STATIONS_MAX as u64 {
        table.host.accepted(GuestId(id));
    }
    assert_eq!(table.host.poll(), None);
    let late = GuestId(1_000);
    table.host.accepted(late);
    assert!(matches!(table.host.poll(), Some((id, GuestOutput::Write(_))) if id == late));
    assert!(matches!(table.host.poll(), Some((id, GuestOutput::Close(why))) if id == late && why.contains("already")));
    table.host.handle_read(table.now, late, &Joining::hello("late.test", address(9)), &mut table.channel);
    assert_eq!(table.host.poll(), None, "it is not listened to");
}

#[test]
fn a_transmission_the_host_cannot_take_counts_as_sent() {
    let mut table = Table::new(1);
    table.channel.transmit(at(0.0), StationId(1), &waveform(1200), frames(1, 9)).unwrap();
    table.modems[0].transmit(at(0.0), &waveform(1200), frames(1, 9)).unwrap();
    table.settle();
    assert_eq!(table.events(0), [ModemEvent::Sent]);
}

#[test]
fn messages_survive_being_written() {
    let wide = Waveform::wide_band(24, 120_000, Interleaver::UltraShort).unwrap();
    let slow = Waveform::stanag_4285(3600, Interleaver::Long).unwrap().with_preamble(Duration::from_millis(33));
    let slow = Waveform { crypto: Duration::from_millis(1500), ..slow };
    let rows = [
        Message::Transmit { number: 8, waveform: slow, frames: frames(1, 5) },
        Message::Hello { site: "ship.test".into(), address: address(9) },
        Message::Welcome(Welcome { transmission_max: Some(Duration::from_secs(8)), waveform: wide, ..welcome() }),
        Message::Goodbye("no".into()),
        Message::Transmit { number: 7, waveform: wide, frames: frames(3, 5) },
        Message::Replace { number: 7, from: 2, frames: Vec::new() },
        Message::Abort,
        Message::Emcon(true),
        Message::Sent { number: 7, replaced: 2 },
        Message::Received(Bytes::from_static(b"\x90\xeb")),
        Message::Carrier(false),
    ];
    for message in rows {
        let mut stream = Stream::default();
        let octets = message.encode();
        for cut in 0..octets.len() {
            stream.add(&octets[cut..=cut]);
            let whole = cut + 1 == octets.len();
            assert_eq!(stream.next_message().unwrap(), whole.then(|| message.clone()));
        }
    }
    let refused = Message::Goodbye("no".into()).encode();
    assert_eq!(Joining::default().handle_read(&refused).unwrap_err(), SharedFault::Refused("no".into()));
    assert!(Joining::default().handle_read(b"HTTP/1.1 200 OK").is_err());
}

proptest! {
    #[test]
    fn no_octets_hurt_either_end(octets: Vec<u8>, lengths: bool) {
        let mut octets = octets;
        if lengths {
            octets.splice(0..0, (octets.len() as u32).to_be_bytes());
        }
        let mut table = Table::new(1);
        let _ = table.modems[0].handle_read(&octets);
        table.host.handle_read(table.now, GuestId(0), &octets, &mut table.channel);
        table.run(300.0);
        let mut joining = Joining::default();
        let _ = joining.handle_read(&octets);
    }
}

#[test]
fn a_guest_that_listens_in_tells_what_left_and_what_it_heard() {
    let mut table = Table::new(2);
    table.modems.iter_mut().for_each(GuestModem::listen_in);
    let now = table.now;
    table.modems[0].transmit(now, &waveform(1200), frames(3, 60)).unwrap();
    table.modems[0].replace(now, 1, vec![Bytes::from_static(&[9; 30])]).unwrap();
    table.settle();
    table.run(20.0);
    let mut told = |guest: usize| -> Vec<(bool, u8)> {
        let modem = &mut table.modems[guest];
        let is_sent = |passed| match passed {
            Passed::Sent { octets, .. } => (true, octets[0]),
            Passed::Heard(octets) => (false, octets[0]),
        };
        std::iter::from_fn(|| modem.poll_passed()).map(is_sent).collect()
    };
    assert_eq!(told(0), [(true, 0), (true, 9)]);
    assert_eq!(told(1), [(false, 0), (false, 9)]);
}

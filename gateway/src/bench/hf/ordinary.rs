//! What a user would otherwise have: ordinary server-to-server XMPP and SMTP over TCP/IP on the same radio. A model.
//!
//! The exchanges are recorded from real sessions: how many octets of TCP payload each side sends before it waits for the
//! other. They are replayed by two TCP ends with the rules of acknowledgement (RFC 5681, RFC 6298): handshake, slow
//! start from ten segments, an acknowledgement for every second segment or after 40 ms, retransmission after a time that
//! begins at one second and doubles, Karn's rule. Packets are carried by a half-duplex radio without loss, which sends
//! all that waits in one transmission and turns round when the other side has something: segments that TCP repeats
//! because the radio is slow go over the air all the same. What the model leaves out: loss, fast retransmission, and
//! how long servers wait (many give up after 30 to 90 s).

use std::collections::VecDeque;

use skywave_protocols::time::Duration;
use skywave_transports::modem::{Interleaver, Waveform};

use super::super::table::{Cell, Table};
use super::radio::Radio;
use super::{Found, paper};

/// IP and TCP headers of a packet with time stamps.
const HEADERS: u64 = 52;
/// What the subnetwork adds to a packet: S_PDU, C_PDU, D_PDU.
const FRAMING: u64 = 30;
/// Payload of a segment, or less where a packet must fit into one transmission.
const SEGMENT_MAX: u64 = 1460;
const FIRST_WINDOW_SEGMENTS: u64 = 10;
const FIRST_RTO: u64 = 1_000_000;
const RTO_MIN: u64 = 200_000;
const RTO_MAX: u64 = 120_000_000;
const DELAYED_ACK: u64 = 40_000;
/// Longest transmission of the radio.
const TRANSMISSION: Duration = Duration::from_millis(127_500);
/// The exchange is given up after this.
const PATIENCE: u64 = 6 * 3600 * 1_000_000;

/// An exchange: octets of the side that opened the connection, of the other, of the first, and so on.
struct Exchange {
    name: &'static str,
    /// Who speaks first after the handshake: 0 the opener.
    first: usize,
    flights: &'static [u64],
    source: &'static str,
}

/// As `skywave bench chat ordinary --delays 1 --profile standard` and `skywave bench exchange` record them.
const EXCHANGES: [Exchange; 4] = [
    Exchange {
        name: "S2S, first message",
        first: 0,
        flights: &[171, 314, 51, 50, 255, 2252, 2214, 557, 138, 73, 193, 381, 158],
        source: "Prosody 0.12.3, STARTTLS, EXTERNAL, bidi",
    },
    Exchange { name: "S2S, message on an open stream", first: 0, flights: &[158], source: "the same session" },
    Exchange {
        name: "XEP-0361 with zlib, first message",
        first: 0,
        flights: &[136],
        source: "two gateways, profile standard, the same clients",
    },
    Exchange {
        name: "SMTP, a mail of 500 octets",
        first: 1,
        flights: &[32, 19, 149, 98, 65, 795, 51],
        source: "Postfix 3.7.11, PIPELINING, no TLS",
    },
];

/// How an exchange went.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Outcome {
    /// From opening the connection until the last flight is there; `None`: given up.
    pub seconds: Option<f64>,
    /// Octets of packets on air, both ways, with headers.
    pub octets: u64,
    /// Segments that TCP sent again though nothing was lost.
    pub repeats: u64,
    /// Transmissions.
    pub transmissions: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Packet {
    Syn,
    SynAck,
    /// From, octets, and everything up to here of the other side has arrived.
    Segment(u64, u64, u64),
    Ack(u64),
}

impl Packet {
    const fn octets(self) -> u64 {
        HEADERS + FRAMING + if let Self::Segment(_, octets, _) = self { octets } else { 0 }
    }
}

#[derive(Clone, Debug)]
struct End {
    segment: u64,
    /// Octets the application has written, sent, and had acknowledged.
    written: u64,
    sent: u64,
    acked: u64,
    window: u64,
    /// Octets arrived from the other side.
    received: u64,
    unacked_segments: u32,
    ack_at: Option<u64>,
    established: bool,
    rto: u64,
    rto_at: Option<u64>,
    smoothed: Option<(u64, u64)>,
    /// An octet number whose acknowledgement is timed, and since when.
    timed: Option<(u64, u64)>,
    queue: VecDeque<Packet>,
    repeats: u64,
}

impl End {
    const fn new(segment: u64) -> Self {
        Self {
            segment,
            written: 0,
            sent: 0,
            acked: 0,
            window: FIRST_WINDOW_SEGMENTS * segment,
            received: 0,
            unacked_segments: 0,
            ack_at: None,
            established: false,
            rto: FIRST_RTO,
            rto_at: None,
            smoothed: None,
            timed: None,
            queue: VecDeque::new(),
            repeats: 0,
        }
    }

    fn measure(&mut self, now: u64) {
        let Some((_, since)) = self.timed.take() else { return };
        let trip = now - since;
        let (smoothed, varies) = match self.smoothed {
            None => (trip, trip / 2),
            Some((smoothed, varies)) => ((7 * smoothed + trip) / 8, (3 * varies + smoothed.abs_diff(trip)) / 4),
        };
        self.smoothed = Some((smoothed, varies));
        self.rto = (smoothed + (4 * varies).max(1000)).clamp(RTO_MIN, RTO_MAX);
    }

    fn push(&mut self, now: u64) {
        while self.established && self.sent < self.written && self.sent - self.acked < self.window {
            let octets = self.segment.min(self.written - self.sent);
            self.queue.push_back(Packet::Segment(self.sent, octets, self.received));
            self.sent += octets;
            self.timed.get_or_insert((self.sent, now));
            self.rto_at.get_or_insert(now + self.rto);
            (self.ack_at, self.unacked_segments) = (None, 0);
        }
    }

    fn on_ack(&mut self, now: u64, up_to: u64) {
        if up_to <= self.acked {
            return;
        }
        self.window += self.segment.min(up_to - self.acked);
        self.acked = up_to;
        if self.timed.is_some_and(|(number, _)| number <= up_to) {
            self.measure(now);
        }
        self.rto_at = (self.acked < self.sent).then_some(now + self.rto);
    }

    fn on_packet(&mut self, now: u64, packet: Packet) {
        match packet {
            Packet::Syn => {
                // A repeated SYN is answered again.
                self.queue.push_back(Packet::SynAck);
            }
            Packet::SynAck => {
                if !self.established {
                    self.established = true;
                    self.measure(now);
                    self.rto_at = None;
                }
                self.queue.push_back(Packet::Ack(self.received));
            }
            Packet::Ack(up_to) => {
                self.established = true;
                self.on_ack(now, up_to);
            }
            Packet::Segment(from, octets, up_to) => {
                self.established = true;
                self.on_ack(now, up_to);
                let news = from <= self.received && from + octets > self.received;
                self.received = if news { from + octets } else { self.received };
                self.unacked_segments += 1;
                if self.unacked_segments >= 2 || !news {
                    self.acknowledge();
                } else {
                    self.ack_at.get_or_insert(now + DELAYED_ACK);
                }
            }
        }
    }

    fn acknowledge(&mut self) {
        self.queue.push_back(Packet::Ack(self.received));
        (self.ack_at, self.unacked_segments) = (None, 0);
    }

    fn on_time(&mut self, now: u64, opens: bool) {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.acknowledge();
        }
        if self.rto_at.is_some_and(|at| at <= now) {
            self.repeats += 1;
            self.timed = None;
            if !self.established && opens {
                self.queue.push_back(Packet::Syn);
            } else {
                self.window = self.segment;
                let octets = self.segment.min(self.sent - self.acked);
                self.queue.push_back(Packet::Segment(self.acked, octets, self.received));
            }
            self.rto = (self.rto * 2).min(RTO_MAX);
            self.rto_at = Some(now + self.rto);
        }
    }

    fn next_at(&self) -> Option<u64> {
        [self.ack_at, self.rto_at].into_iter().flatten().min()
    }
}

/// The radio between them: who transmits until when, and when it is free for which side.
struct Air {
    radio: Radio,
    waveform: Waveform,
    busy_until: u64,
    /// When a side has heard enough of the other one to transmit.
    ready: [u64; 2],
    arrivals: VecDeque<(u64, usize, Packet)>,
    octets: u64,
    transmissions: u64,
}

impl Air {
    /// Begins a transmission where somebody has something and may.
    fn begin(&mut self, now: u64, ends: &mut [End; 2]) {
        let side = [0, 1].into_iter().filter(|&side| {
            let end: &End = &ends[side];
            !end.queue.is_empty() && self.ready[side] <= now && self.busy_until <= now
        });
        // The side that has waited longer goes first.
        let Some(side) = side.min_by_key(|&side| self.ready[side]) else { return };
        let fits = self.waveform.octets_within(TRANSMISSION) as u64;
        let (mut total, mut packets) = (0, Vec::new());
        while let Some(&packet) = ends[side].queue.front().filter(|packet| total + packet.octets() <= fits) {
            ends[side].queue.pop_front();
            total += packet.octets();
            packets.push((total, packet));
        }
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let octets = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let end = now + micros(self.waveform.airtime(octets(total)));
        let first = now + micros(self.waveform.heard(1));
        for (so_far, packet) in packets {
            self.arrivals.push_back((now + micros(self.waveform.heard(octets(so_far))), 1 - side, packet));
        }
        self.octets += total;
        self.transmissions += 1;
        self.busy_until = end;
        let turn = micros(self.radio.turn);
        self.ready[1 - side] = end.max(first + micros(self.radio.answer_delay)) + turn;
        // Who has spoken listens first for an answer.
        self.ready[side] = self.ready[1 - side] + micros(self.waveform.key_up) + turn;
    }

    fn next_at(&self, now: u64, ends: &[End; 2]) -> Option<u64> {
        let starts = (0..2).filter(|&side| !ends[side].queue.is_empty());
        let starts = starts.map(|side| self.ready[side].max(self.busy_until)).filter(|&at| at > now);
        self.arrivals.front().map(|(at, ..)| *at).into_iter().chain(starts).min()
    }
}

/// Replays an exchange; `opened`: the connection is there already.
pub fn replay(radio: Radio, waveform: Waveform, first: usize, flights: &[u64], opened: bool) -> Outcome {
    let fits = waveform.octets_within(TRANSMISSION) as u64;
    let segment = SEGMENT_MAX.min(fits.saturating_sub(HEADERS + FRAMING)).max(1);
    let mut ends = [End::new(segment), End::new(segment)];
    let mut air =
        Air { radio, waveform, busy_until: 0, ready: [0; 2], arrivals: VecDeque::new(), octets: 0, transmissions: 0 };
    let mut now = 0;
    if opened {
        ends.iter_mut().for_each(|end| {
            (end.established, end.rto) = (true, RTO_MAX);
        });
    } else {
        ends[0].queue.push_back(Packet::Syn);
        ends[0].timed = Some((0, 0));
        ends[0].rto_at = Some(FIRST_RTO);
    }
    let mut flight = 0;
    // What each side must have received before its next flight.
    let mut due = [0_u64; 2];
    let seconds = loop {
        while let Some((_, to, packet)) = air.arrivals.pop_front_if(|(at, ..)| *at <= now) {
            ends[to].on_packet(now, packet);
        }
        for (side, end) in ends.iter_mut().enumerate() {
            end.on_time(now, side == 0);
        }
        // The application: each flight follows when the one before has arrived whole.
        while let Some(&octets) = flights.get(flight) {
            let speaker = (first + flight) % 2;
            if ends[speaker].received < due[speaker] || !ends[speaker].established {
                break;
            }
            ends[speaker].written += octets;
            due[1 - speaker] += octets;
            flight += 1;
        }
        for end in &mut ends {
            end.push(now);
        }
        if flight == flights.len() && (0..2).all(|side| ends[side].received == due[side]) {
            break Some(now as f64 / 1e6);
        }
        air.begin(now, &mut ends);
        let timers = ends.iter().filter_map(End::next_at);
        match air.next_at(now, &ends).into_iter().chain(timers).min() {
            Some(at) if at <= PATIENCE => now = at.max(now),
            _ => break None,
        }
    };
    let repeats = ends.iter().map(|end| end.repeats).sum();
    Outcome { seconds, octets: air.octets, repeats, transmissions: air.transmissions }
}

/// The table.
pub fn run(radios: &[Radio]) -> Found {
    let mut rows = Vec::new();
    for radio in radios {
        for rate in [75, 1200, 9600] {
            let Ok(waveform) = Waveform::new(rate, Interleaver::Short) else { continue };
            for exchange in &EXCHANGES {
                let opened = exchange.name.contains("open stream");
                rows.push(row(
                    *radio,
                    waveform,
                    exchange,
                    &replay(*radio, waveform, exchange.first, exchange.flights, opened),
                ));
            }
        }
    }
    Found { tables: vec![table(rows), under_backlog()], plots: Vec::new() }
}

fn row(radio: Radio, waveform: Waveform, exchange: &Exchange, outcome: &Outcome) -> Vec<Cell> {
    let rate = waveform.bits_per_second;
    let published = paper::BY_TCP.iter().find(|(at, ..)| *at == rate && radio.is_paper());
    let published = published.and_then(|&(_, first, average, ordinary)| match exchange.name {
        "S2S, first message" => ordinary,
        "XEP-0361 with zlib, first message" => Some((first, average)),
        _ => None,
    });
    let (first, average) = published.unzip();
    let figure = |seconds: Option<f64>| seconds.map_or(Cell::Empty, |seconds| Cell::Real(seconds, 1));
    let seconds = |seconds: Option<f64>| seconds.map_or(Cell::text("given up"), |seconds| Cell::Real(seconds, 1));
    vec![
        Cell::text(radio.name),
        Cell::Whole(rate.into()),
        Cell::text(exchange.name),
        seconds(outcome.seconds),
        figure(first),
        figure(average),
        Cell::Whole(exchange.flights.iter().sum()),
        Cell::Whole(outcome.octets),
        Cell::Whole(outcome.repeats),
        Cell::Whole(outcome.transmissions),
        Cell::text(exchange.source),
    ]
}

fn table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "ordinary",
        title:
            "A model: ordinary S2S and SMTP over TCP/IP on the same radio, replayed from recorded exchanges with TCP's \
                rules of acknowledgement. Seconds until the last octet is there (one way; the published figures are \
                round trips and are shown, not compared); repeats: segments TCP sent again though nothing was lost. \
                Servers give up earlier."
                .to_owned(),
        columns: vec![
            ("radio", "radio"),
            ("bits_per_second", "bit/s"),
            ("exchange", "exchange"),
            ("seconds", "s"),
            ("published_round_trip_seconds", "published first round trip, s"),
            ("published_average_seconds", "published average, s"),
            ("payload_octets", "payload"),
            ("octets_on_air", "on air"),
            ("repeats", "repeats"),
            ("transmissions", "transmissions"),
            ("source", "recorded from"),
        ],
        rows,
    }
}

/// What was published of chat under backlog by IP; reported only, as ordinary servers are modelled message by message.
fn under_backlog() -> Table {
    let share = |share: f64| Cell::Real(share * 100.0, 0);
    let row = |&(rate, by_ip, said): &(u32, Option<f64>, &str)| {
        let by_5066 = paper::under_backlog(rate, 1024).map(|bits| bits * paper::HEX_COMPRESSES_TO / f64::from(rate));
        vec![
            Cell::Whole(rate.into()),
            by_5066.map_or(Cell::Empty, share),
            by_ip.map_or(Cell::Empty, share),
            Cell::text(said),
        ]
    };
    Table {
        name: "published_backlog_by_ip",
        title:
            "Chat under backlog with 1024 octets of payload as it was published, % of the rate, by STANAG 5066 and by \
                XEP-0361 over TCP/IP; reported only, neither modelled nor compared."
                .to_owned(),
        columns: vec![
            ("bits_per_second", "bit/s"),
            ("published_percent", "by STANAG 5066"),
            ("published_by_ip_percent", "by IP"),
            ("said", "by IP"),
        ],
        rows: paper::BACKLOG_BY_TCP.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(rate: u32, first: usize, flights: &[u64], opened: bool) -> Outcome {
        replay(Radio::MODERN, Waveform::new(rate, Interleaver::Short).unwrap(), first, flights, opened)
    }

    #[test]
    fn an_open_connection_takes_one_transmission() {
        let outcome = on(1200, 0, &[146], true);
        let waveform = Waveform::new(1200, Interleaver::Short).unwrap();
        let expected = waveform.heard(146 + 82).as_secs_f64();
        assert_eq!(outcome, Outcome { seconds: Some(expected), octets: 228, repeats: 0, transmissions: 1 });
    }

    #[test]
    fn a_new_connection_costs_the_handshake_and_what_tcp_repeats() {
        let opened = on(1200, 0, &[146], true).seconds.unwrap();
        let new = on(1200, 0, &[146], false);
        assert!(new.seconds.unwrap() > 3.0 * opened, "{new:?}");
        assert!(new.repeats > 0, "a round trip is longer than a second: {new:?}");
        let slow = on(75, 0, &[146], false);
        assert!(slow.repeats > new.repeats && slow.seconds > new.seconds, "{slow:?}");
    }

    #[test]
    fn every_exchange_ends_and_is_the_same_twice() {
        for exchange in &EXCHANGES {
            for rate in [75, 1200, 9600] {
                let outcome = on(rate, exchange.first, exchange.flights, false);
                assert!(outcome.seconds.is_some(), "{} at {rate}: {outcome:?}", exchange.name);
                assert!(outcome.octets > exchange.flights.iter().sum());
                assert_eq!(outcome, on(rate, exchange.first, exchange.flights, false));
            }
        }
    }

    #[test]
    fn all_that_was_published_by_ip_is_reported() {
        let tables = run(&[Radio::PAPER]).tables;
        let cells: Vec<&Cell> = tables.iter().flat_map(|table| table.rows.iter().flatten()).collect();
        for figure in [39.1, 12.9, 41.7, 14.9, 330.0, 12.7, 66.0, 11.0] {
            let is = |cell: &&&Cell| matches!(cell, Cell::Real(real, _) if (real - figure).abs() < 1e-9);
            assert_eq!(cells.iter().filter(is).count(), 1, "{figure}");
        }
        assert!(cells.contains(&&Cell::text("no TCP connection possible")));
    }

    #[test]
    fn a_large_flight_is_cut_into_segments() {
        let outcome = on(9600, 0, &[100_000], false);
        assert!(outcome.octets > 100_000 + 69 * 82, "{outcome:?}");
        assert!(outcome.seconds.is_some_and(|seconds| seconds > 100_000.0 * 8.0 / 9600.0), "{outcome:?}");
    }
}

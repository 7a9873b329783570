//! The node of the published measurements, as far as its software showed in them: a model with few constants.
//!
//! Two such nodes stand on the world's channel. What they send has the octets of D_PDUs and no content. A node that has
//! something for the other calls it (REQUEST, ACCEPTED), sends, and is answered: at once after the turn by an
//! acknowledgement of the link's PDUs, after the answer delay too where data came (it counts from the first D_PDU heard,
//! which is why long messages cost less than one constant per turn would say; the caller pays it too, from ACCEPTED on).
//! Data that waits goes with the acknowledgement. The caller drops a link on which no data moved for five seconds (BREAK, CONFIRM); while it is being dropped
//! data waits. That, and two nodes that begin at the same instant and then back off, is what typing delays of five and
//! ten seconds cost.
//!
//! Constants of the software, each fitted or taken as said: [`DROP_AFTER`] (published), [`BACK_OFF_MAX`] (fitted to the
//! delay of 5 s), [`START_OCTETS`] (fitted to the first round trip at 75 bit/s), segments of 256 octets with a window of
//! 128 (the standard's; fitted to the backlog at 9600), [`BLOCK_OCTETS`] (fitted to the backlog of 10 octets).

use std::collections::VecDeque;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::time::{Duration, Instant, Now};
use skywave_transports::modem::channel::{Channel, ChannelConfig, StationId};
use skywave_transports::modem::loss::Loss;
use skywave_transports::modem::{Interleaver, Modem as _, ModemEvent, Waveform};

use super::radio::Radio;

/// A link without data is dropped after this.
const DROP_AFTER: Duration = Duration::from_secs(5);
/// Longest back-off after a collision.
const BACK_OFF_MAX: Duration = Duration::from_secs(16);
/// An answer may be so much later than it should before it counts as missing.
const ANSWER_GUARD: Duration = Duration::from_millis(500);
/// What the first message of a session carries besides.
pub const START_OCTETS: usize = 600;
/// Octets of a segment, of the header and checksums of its D_PDU, and segments in the air unacknowledged.
const SEGMENT_OCTETS: usize = 256;
const D_PDU_OCTETS: usize = 22;
const WINDOW: usize = 128;
/// A D_PDU without a segment, and one with a C_PDU of one octet.
const ACK_OCTETS: usize = 20;
const LINK_OCTETS: usize = 25;
/// S_PDU and C_PDU headers of a message.
const UPPER_OCTETS: usize = 6;
const TRANSMISSION: Duration = Duration::from_millis(127_500);
const PROPAGATION: Duration = Duration::from_millis(10);
/// Under backlog the software closes a block of messages when it has so many octets.
const BLOCK_OCTETS: f64 = 150.0;
/// RCOP's header and what goes with it.
const RCOP_OCTETS: f64 = 6.0;

/// What the paper's payload compresses to, zlib's strategy *filtered* with a flush after each message: payload, octets
/// above those of an empty message. Measured with zlib 1.2.13 and stanzas of 130 octets: it is the strategy that takes
/// both 51 % on hex and 17 octets for the empty stanza.
const COMPRESSED: [(usize, usize); 9] =
    [(0, 0), (10, 11), (50, 47), (100, 73), (200, 123), (512, 281), (1024, 542), (2048, 1061), (10_240, 5212)];
/// Octets of an empty message in a block of many, and of a payload of ten in one.
const IN_A_BLOCK: [(usize, f64); 2] = [(0, 7.5), (10, 14.4)];
/// An empty message with a flush of its own.
const EMPTY: f64 = 17.3;

/// Octets of a message of so much payload that the node is given, RCOP included.
pub fn message_octets(payload: usize) -> usize {
    super::paper::MESSAGE_OCTETS + compressed(payload)
}

fn compressed(payload: usize) -> usize {
    let above = COMPRESSED.iter().position(|(at, _)| *at >= payload).unwrap_or(COMPRESSED.len() - 1).max(1);
    let ((from, low), (to, high)) = (COMPRESSED[above - 1], COMPRESSED[above]);
    low + (high - low) * payload.min(to).saturating_sub(from) / (to - from)
}

/// Octets of one message under backlog, in blocks.
fn backlog_octets(payload: usize) -> f64 {
    let alone = EMPTY + compressed(payload) as f64;
    if alone >= BLOCK_OCTETS {
        return alone + RCOP_OCTETS;
    }
    let [(_, empty), (ten, with_ten)] = IN_A_BLOCK;
    let within = empty + (with_ten - empty) * payload as f64 / ten as f64;
    // The first of a block pays for the flush.
    let messages = ((BLOCK_OCTETS - (alone - within)) / within).floor().max(1.0);
    within + (alone - within + RCOP_OCTETS) / messages
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Request,
    Accepted,
    Break,
    Confirm,
    Ack,
    Data,
}

const KINDS: [Kind; 6] = [Kind::Request, Kind::Accepted, Kind::Break, Kind::Confirm, Kind::Ack, Kind::Data];

/// A D_PDU: its kind, the number of its segment, whether that ends a message, the next segment wanted of the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Frame {
    kind: Kind,
    segment: u32,
    ends: bool,
    wants: u32,
    octets: usize,
}

impl Frame {
    fn encode(self) -> Bytes {
        let mut octets = vec![0; self.octets.max(10)];
        octets[0] = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or(0) as u8;
        octets[1] = self.ends.into();
        octets[2..6].copy_from_slice(&self.segment.to_be_bytes());
        octets[6..10].copy_from_slice(&self.wants.to_be_bytes());
        octets.into()
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_be_bytes(octets.get(at..at + 4)?.try_into().ok()?));
        let kind = *KINDS.get(usize::from(*octets.first()?))?;
        Some(Self { kind, segment: number(2)?, ends: octets[1] != 0, wants: number(6)?, octets: octets.len() })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Down,
    Calling,
    Up { caller: bool },
    Breaking,
}

/// One node.
#[derive(Debug)]
struct Vendor {
    station: StationId,
    radio: Radio,
    random: Seeded,
    link: Link,
    /// Segments not acknowledged: number, octets, whether they end a message; the first so many are in the air.
    segments: VecDeque<(u32, usize, bool)>,
    in_air: usize,
    next: u32,
    wants: u32,
    reply: Option<Kind>,
    owes_ack: bool,
    first_data: Option<Instant>,
    awaits: bool,
    act_at: Option<Instant>,
    missing_at: Option<Instant>,
    drop_at: Option<Instant>,
    wants_drop: bool,
    /// Messages that have arrived.
    arrived: u32,
}

impl Vendor {
    fn new(station: StationId, radio: Radio, random: Seeded) -> Self {
        Self {
            station,
            radio,
            random,
            link: Link::Down,
            segments: VecDeque::new(),
            in_air: 0,
            next: 0,
            wants: 0,
            reply: None,
            owes_ack: false,
            first_data: None,
            awaits: false,
            act_at: None,
            missing_at: None,
            drop_at: None,
            wants_drop: false,
            arrived: 0,
        }
    }

    /// A message of so many octets is to go.
    fn submit(&mut self, now: Instant, octets: usize, idle: bool) {
        let mut left = octets + UPPER_OCTETS;
        while left > 0 {
            let segment = left.min(SEGMENT_OCTETS);
            left -= segment;
            self.segments.push_back((self.next, segment, left == 0));
            self.next += 1;
        }
        if idle && self.act_at.is_none() && !self.awaits {
            self.act_at = Some(now);
        }
    }

    fn moved(&mut self, now: Instant) {
        self.wants_drop = false;
        self.drop_at = (self.link == Link::Up { caller: true }).then_some(now + DROP_AFTER);
    }

    fn on_frame(&mut self, now: Instant, frame: Frame) {
        match frame.kind {
            Kind::Request => (self.link, self.reply) = (Link::Up { caller: false }, Some(Kind::Accepted)),
            Kind::Break => {
                (self.link, self.reply) = (Link::Down, Some(Kind::Confirm));
                self.in_air = 0;
            }
            Kind::Accepted => {
                self.link = Link::Up { caller: true };
                self.first_data.get_or_insert(now);
                self.moved(now);
            }
            Kind::Confirm => {
                (self.link, self.drop_at, self.wants_drop) = (Link::Down, None, false);
            }
            Kind::Ack => self.on_ack(frame.wants),
            Kind::Data => {
                self.first_data.get_or_insert(now);
                self.owes_ack = true;
                if frame.segment == self.wants {
                    self.wants += 1;
                    self.arrived += u32::from(frame.ends);
                }
                self.on_ack(frame.wants);
            }
        }
        self.awaits = false;
        self.missing_at = None;
    }

    fn on_ack(&mut self, wants: u32) {
        while self.segments.front().is_some_and(|(number, ..)| *number < wants) {
            self.segments.pop_front();
        }
        self.in_air = 0;
    }

    fn on_carrier_off(&mut self, now: Instant) {
        // What was heard instead of the answer was none.
        self.missing_at = self.awaits.then_some(now);
        let ready = self.first_data.take().map(|first| {
            self.moved(now);
            first + self.radio.answer_delay
        });
        if self.owes_ack || self.reply.is_some() || self.has_something() {
            self.act_at = Some(ready.map_or(now, |ready| ready.max(now)) + self.radio.turn);
        }
    }

    fn has_something(&self) -> bool {
        !self.segments.is_empty() || self.wants_drop || self.link == Link::Breaking
    }

    /// What it sends now.
    fn compose(&mut self, waveform: &Waveform) -> Vec<Frame> {
        let plain = |kind, octets| Frame { kind, segment: 0, ends: false, wants: self.wants, octets };
        if let Some(kind) = self.reply.take() {
            return vec![plain(kind, LINK_OCTETS)];
        }
        let drops = self.wants_drop && self.link == (Link::Up { caller: true }) && self.segments.is_empty();
        if self.link == Link::Breaking || (drops && !self.owes_ack) {
            self.link = Link::Breaking;
            return vec![plain(Kind::Break, LINK_OCTETS)];
        }
        if matches!(self.link, Link::Down | Link::Calling) && !self.owes_ack {
            if self.segments.is_empty() {
                return Vec::new();
            }
            self.link = Link::Calling;
            return vec![plain(Kind::Request, LINK_OCTETS)];
        }
        let up = matches!(self.link, Link::Up { .. });
        let (mut left, mut frames) = (waveform.octets_within(TRANSMISSION), Vec::new());
        if self.owes_ack {
            left = left.saturating_sub(ACK_OCTETS);
            frames.push(plain(Kind::Ack, ACK_OCTETS));
        }
        for &(segment, octets, ends) in self.segments.iter().take(if up { WINDOW } else { 0 }) {
            let octets = octets + D_PDU_OCTETS;
            if octets > left {
                break;
            }
            left -= octets;
            frames.push(Frame { kind: Kind::Data, segment, ends, wants: self.wants, octets });
        }
        self.in_air = frames.iter().filter(|frame| frame.kind == Kind::Data).count();
        self.owes_ack = false;
        frames
    }

    /// What it sent has left; it asked for an answer or not.
    fn on_sent(&mut self, now: Instant, key_up: Duration) {
        let link = matches!(self.link, Link::Calling | Link::Breaking);
        self.awaits = self.in_air > 0 || link;
        if self.in_air > 0 {
            self.moved(now);
        }
        if self.awaits {
            let delay = if self.in_air > 0 { self.radio.answer_delay } else { Duration::ZERO };
            self.missing_at = Some(now + self.radio.turn + delay + key_up + ANSWER_GUARD);
        } else if self.has_something() {
            self.act_at = Some(now + self.radio.turn);
        }
    }

    fn on_time(&mut self, now: Instant, carrier: bool) {
        if self.drop_at.is_some_and(|at| at <= now) {
            self.drop_at = None;
            self.wants_drop = true;
            if !carrier && !self.awaits && self.act_at.is_none() {
                self.act_at = Some(now);
            }
        }
        if self.missing_at.take_if(|at| *at <= now).is_some() && !carrier {
            (self.awaits, self.in_air) = (false, 0);
            let back_off = self.random.below(u64::try_from(BACK_OFF_MAX.as_micros()).unwrap_or(1));
            self.act_at = Some(now + Duration::from_micros(back_off));
        }
    }

    fn next_at(&self) -> Option<Instant> {
        [self.act_at, self.missing_at, self.drop_at].into_iter().flatten().min()
    }
}

/// Two nodes on a calm channel.
pub struct Pair {
    now: Now,
    waveform: Waveform,
    channel: Channel,
    nodes: [Vendor; 2],
}

/// Round trips of one conversation.
#[derive(Clone, PartialEq, Debug)]
pub struct RoundTrips {
    /// The first, in seconds.
    pub first: f64,
    /// The mean of the later ones.
    pub average: f64,
}

impl Pair {
    /// At a rate, short interleaver. `None`: no such rate.
    pub fn new(radio: Radio, bits_per_second: u32, seed: u64) -> Option<Self> {
        let waveform = Waveform::new(bits_per_second, Interleaver::Short).ok()?;
        let config = ChannelConfig { waveform, propagation: PROPAGATION, loss: Loss::default(), outages: Vec::new() };
        let random = Seeded::new(seed);
        let mut channel = Channel::new(Now::default(), config, random.fork("channel"));
        let nodes = [0, 1].map(|number| {
            channel.attach(StationId(number));
            Vendor::new(StationId(number), radio, random.fork(&format!("node {number}")))
        });
        Some(Self { now: Now::default(), waveform, channel, nodes })
    }

    fn submit(&mut self, side: usize, octets: usize) {
        let port = self.channel.port(StationId(side as u16));
        let idle = !port.carrier() && !port.transmitting();
        self.nodes[side].submit(self.now.mono, octets, idle);
    }

    /// Plays until the given instant or until `done`.
    fn play(&mut self, until: Instant, done: impl Fn(&[Vendor; 2]) -> bool) -> bool {
        loop {
            self.settle();
            if done(&self.nodes) {
                return true;
            }
            let nodes = self.nodes.iter().filter_map(Vendor::next_at);
            let next = self.channel.next_wakeup().map(|wakeup| wakeup.at).into_iter().chain(nodes).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.after(at.since(self.now.mono));
        }
        self.now = self.now.after(until.since(self.now.mono));
        false
    }

    fn settle(&mut self) {
        let now = self.now.mono;
        self.channel.handle_wakeup(self.now);
        for node in &mut self.nodes {
            while let Some(event) = self.channel.poll_event(node.station) {
                match event {
                    ModemEvent::Received(octets) => {
                        if let Some(frame) = Frame::decode(&octets) {
                            node.on_frame(now, frame);
                        }
                    }
                    ModemEvent::Sent => node.on_sent(now, self.waveform.key_up),
                    ModemEvent::CarrierOn | ModemEvent::Kept(_) => {}
                    ModemEvent::CarrierOff => node.on_carrier_off(now),
                }
            }
            let port = self.channel.port(node.station);
            let (carrier, transmitting) = (port.carrier(), port.transmitting());
            node.on_time(now, carrier);
            if node.act_at.is_some_and(|at| at <= now) {
                node.act_at = None;
                if !carrier && !transmitting {
                    let frames: Vec<Bytes> = node.compose(&self.waveform).into_iter().map(Frame::encode).collect();
                    let _ = self.channel.transmit(self.now, node.station, &self.waveform, frames);
                }
            }
        }
    }

    /// A conversation: equal messages to and fro, each `delay` after the one before has arrived.
    pub fn ping_pong(mut self, payload: usize, delay: Duration, turns: u32) -> Option<RoundTrips> {
        let hour = Duration::from_secs(3600);
        let mut trips = Vec::new();
        for turn in 0..turns {
            let began = self.now.mono;
            for side in [0, 1] {
                let extra = if turn == 0 && side == 0 { START_OCTETS } else { 0 };
                let wanted = self.nodes[1 - side].arrived + 1;
                self.submit(side, message_octets(payload) + extra);
                if !self.play(self.now.mono + hour, |nodes| nodes[1 - side].arrived == wanted) {
                    return None;
                }
                if side == 1 {
                    trips.push(self.now.mono.since(began).as_secs_f64());
                }
                let until = self.now.mono + delay;
                self.play(until, |_| false);
            }
        }
        let later = trips.get(1..)?;
        Some(RoundTrips { first: *trips.first()?, average: later.iter().sum::<f64>() / later.len() as f64 })
    }

    /// Bits of payload a second, one way, as long as there is always more to send.
    pub fn backlog(mut self, payload: usize) -> Option<f64> {
        // Messages share segments: what counts is octets.
        let octets = backlog_octets(payload);
        let total = self.waveform.octets_within(TRANSMISSION) * 12;
        self.submit(0, 10);
        self.play(Instant::ZERO + Duration::from_secs(600), |nodes| nodes[1].arrived == 1);
        let began = self.now.mono;
        self.submit(0, total);
        let week = Duration::from_secs(7 * 86_400);
        let arrived = self.play(began + week, |nodes| nodes[1].arrived == 2);
        let seconds = self.now.mono.since(began).as_secs_f64();
        arrived.then(|| total as f64 / octets * payload as f64 * 8.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trips(rate: u32, payload: usize, delay: u64) -> RoundTrips {
        Pair::new(Radio::PAPER, rate, 1).unwrap().ping_pong(payload, Duration::from_secs(delay), 20).unwrap()
    }

    #[test]
    fn hex_compresses_as_it_does_there() {
        assert_eq!([0, 10, 75, 10_240].map(compressed), [0, 11, 60, 5212]);
        assert_eq!(message_octets(0), super::super::paper::MESSAGE_OCTETS);
        assert!((compressed(10_240) as f64 / 10_240.0 - super::super::paper::HEX_COMPRESSES_TO).abs() < 0.005);
    }

    #[test]
    fn a_round_trip_is_two_turns_two_delays_and_the_airtime() {
        // One block each way: 1.35 s, propagation, turn and answer delay.
        let each = 1.35 + 0.01 + 2.1 + 2.5;
        let is = trips(1200, 0, 0);
        assert!((is.average - 2.0 * each).abs() < 0.01, "{is:?}");
        assert!(is.first > is.average + 6.0, "a link is made first: {is:?}");
        assert_eq!(is, trips(1200, 0, 0));
    }

    #[test]
    fn a_link_that_was_dropped_costs_a_break_and_a_call() {
        let (short, long) = (trips(1200, 0, 3).average, trips(1200, 0, 10).average);
        assert!(short < trips(1200, 0, 0).average, "the delay overlaps with the link's own: {short}");
        assert!(long > 3.0 * short, "{long}");
    }

    #[test]
    fn under_backlog_the_link_carries_most_of_its_rate() {
        for rate in [75, 1200] {
            let bits = Pair::new(Radio::PAPER, rate, 1).unwrap().backlog(10_240).unwrap();
            let share = bits * super::super::paper::HEX_COMPRESSES_TO / f64::from(rate);
            assert!((0.75..0.95).contains(&share), "{rate}: {share}");
        }
    }
}

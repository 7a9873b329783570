//! One node on the air: when it transmits, what, and what it makes of what it hears.
//!
//! Listen before transmit. When the channel falls silent, the station that was asked for an acknowledgement answers
//! after the turnaround; its answer may carry data of its own; who was answered may go on. So two stations alternate,
//! but only [`TURNS_MAX`] times before the channel is free for all. All others wait until that answer would have been
//! heard and then for a random number of slots, fewer for urgent data, more for who had the channel last. A
//! transmission is at most as long as configured; the longer, the less goes to turns and preambles. What of it has not
//! begun gives way to a FLASH of the same station, so that one waits for the part in the air; a FLASH of another
//! station waits for the end of the transmission, no more.
//!
//! Promises: pure; in EMCON nothing is emitted, a transmission in the air is cut off, nothing is answered, and what is
//! owed goes out when the silence ends. Refuses: frames that claim to come from this station or from a group.

use std::collections::VecDeque;

use serde_json::{Value, json};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::hard_link::HardLinkMessage;
use skywave_protocols::s5066::node::limits::QUEUE_SHARES_MAX;
use skywave_protocols::s5066::node::sis_server::{ServerCounters, ServerOutput, SisServer, SisServerConfig};
use skywave_protocols::s5066::node::{Carriage, ClientId};
use skywave_protocols::time::{Duration, Instant, Now, Timers, Wakeup};

use super::frame::{AckFrame, AirFrame, DATA_OVERHEAD_OCTETS, DataFrame};
use super::inbox::{Arrival, Inbox};
use super::limits::{FRAGMENT_OCTETS_MAX, FRAGMENT_OCTETS_MIN, TURNS_MAX};
use super::outbox::{Finished, Load, Outbox};
use crate::modem::limits::TRANSMISSION_SECONDS_MAX;
use crate::modem::{Modem, ModemEvent, Waveform};

/// An answer may be so much later than turnaround and key-up before it counts as missing.
const ANSWER_GUARD: Duration = Duration::from_millis(500);
/// Others wait so much longer than turnaround and key-up before they contend.
const CONTENTION_GUARD: Duration = Duration::from_millis(100);
/// A slot is key-up and this: whoever draws a later slot hears the carrier of an earlier one.
const SLOT_GUARD: Duration = Duration::from_millis(30);
/// Longest transmission: long against turns and preambles, and still what another station's FLASH can wait for.
const TRANSMISSION_MAX: Duration = Duration::from_secs(25);
const SLOTS_URGENT: u64 = 3;
const SLOTS_ROUTINE: u64 = 6;
/// Slots that routine leaves to what is urgent, and that the last user of the channel leaves to others.
const SLOTS_POLITE: u64 = 2;
const DOUBLINGS_MAX: u32 = 3;
/// Interleaver blocks of a part where much is lost.
const LOSSY_BLOCKS: u64 = 2;
/// And where little is; or, at low rates, so many seconds, but not for the sake of more octets than these.
const CALM_BLOCKS: u64 = 6;
const CALM_SECONDS: usize = 6;
const CALM_OCTETS: usize = 256;

/// What a station is configured with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StationConfig {
    /// The clients' side, with the station's address.
    pub server: SisServerConfig,
    /// Groups it belongs to; all stations always belong to 31.255.255.255.
    pub groups: Vec<NodeAddress>,
    /// From the end of a reception to the start of the answer: 0.15 to 10 s.
    pub turnaround: Duration,
    /// From the first ARQ data heard in a transmission until the node can answer it, if that is later than the
    /// turnaround: 0 to 10 s. Products need 2 s and more; it is the node's, whatever its rate.
    pub answer_delay: Duration,
    /// Longest transmission; at low rates one part of a U_PDU may take longer.
    pub transmission_max: Duration,
}

impl StationConfig {
    /// The usual values.
    pub fn new(address: NodeAddress) -> Self {
        Self {
            server: SisServerConfig::new(address),
            groups: Vec::new(),
            turnaround: Duration::from_millis(200),
            answer_delay: Duration::ZERO,
            transmission_max: TRANSMISSION_MAX,
        }
    }
}

/// What happens at a client's connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientInput {
    /// It connected.
    Accepted,
    /// Octets arrived.
    Read(Bytes),
    /// It is gone.
    Closed,
}

/// What a client's connection is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientOutput {
    /// Write octets.
    Write(Bytes),
    /// Close after what was written has left.
    Close,
}

/// What a station counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct LinkCounters {
    /// Frames that were none, or damaged.
    pub frames_bad: u64,
    /// Frames that claimed our own address or a group as source.
    pub frames_forged: u64,
    /// Frames for others.
    pub frames_overheard: u64,
    /// Acknowledgements asked for that did not come.
    pub answers_missing: u64,
    /// U_PDUs whose deadline passed.
    pub expired: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The turnaround is over: answer.
    Answer,
    /// The answer should have begun.
    AnswerMissing,
    /// Our slot has come.
    Contend,
}

/// A node on the air. See the module's page.
#[derive(Debug)]
pub struct Station {
    config: StationConfig,
    server: SisServer,
    outbox: Outbox,
    inbox: Inbox,
    random: Seeded,
    timers: Timers<Timer>,
    emcon: bool,
    /// What is in the air.
    flight: Option<Load>,
    /// Who is to acknowledge, and whether it has.
    awaiting: Option<(NodeAddress, bool)>,
    /// Who gives us the next turn in the transmission being heard, and its own turn.
    asked: Option<(NodeAddress, u8)>,
    /// The transmission being heard asks somebody else for an acknowledgement: the next turn is theirs.
    asks_others: bool,
    /// When an answer to what is being heard is ready.
    ready_at: Option<Instant>,
    idle_since: Instant,
    contending_urgently: bool,
    opened_last: bool,
    collisions: u32,
    counters: LinkCounters,
    outputs: VecDeque<(ClientId, ClientOutput)>,
}

impl Station {
    /// A station without clients. The numbers of its U_PDUs begin at a random one: a station that starts anew on a
    /// channel where others remember it needs another seed, or they take its first U_PDUs for repeats.
    pub fn new(config: StationConfig, mut random: Seeded) -> Self {
        let first_unit = (random.number() & 0xffff) as u16;
        Self {
            server: SisServer::new(config.server.clone()),
            outbox: Outbox::new(config.server.address, first_unit),
            inbox: Inbox::default(),
            random,
            timers: Timers::new(),
            emcon: false,
            flight: None,
            awaiting: None,
            asked: None,
            asks_others: false,
            ready_at: None,
            idle_since: Instant::ZERO,
            contending_urgently: false,
            opened_last: false,
            collisions: 0,
            counters: LinkCounters::default(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes what happens at a client's connection.
    pub fn handle_client(&mut self, now: Now, client: ClientId, input: ClientInput, modem: &mut dyn Modem) {
        match input {
            ClientInput::Accepted => self.server.accept(now, client),
            ClientInput::Read(octets) => self.server.handle_read(now, client, &octets),
            ClientInput::Closed => self.server.closed(now, client),
        }
        self.settle(now, modem);
    }

    /// Takes all events that the modem has.
    pub fn handle_modem(&mut self, now: Now, modem: &mut dyn Modem) {
        while let Some(event) = modem.poll_event() {
            match event {
                ModemEvent::Received(octets) => self.on_frame(now, &octets),
                ModemEvent::Sent => self.on_sent(now, modem.waveform()),
                ModemEvent::CarrierOn => self.timers.clear(Timer::Contend),
                ModemEvent::CarrierOff => self.on_carrier_off(now),
            }
        }
        self.settle(now, modem);
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now, modem: &mut dyn Modem) {
        self.server.handle_wakeup(now);
        while let Some(timer) = self.timers.pop_expired(now.mono) {
            match timer {
                Timer::Answer => self.on_answer(now, modem),
                Timer::AnswerMissing => self.on_answer_missing(now, modem),
                Timer::Contend => self.on_slot(now, modem),
            }
        }
        self.settle(now, modem);
    }

    /// Begins or ends the station's silence.
    //= s5066/NODE-015
    pub fn set_emcon(&mut self, now: Now, emcon: bool, modem: &mut dyn Modem) {
        if self.emcon == emcon {
            return;
        }
        self.emcon = emcon;
        self.server.set_emcon(emcon);
        self.idle_since = now.mono;
        if emcon {
            if modem.transmitting() {
                modem.abort(now);
            }
            (self.flight, self.awaiting, self.asked) = (None, None, None);
            self.timers = Timers::new();
        }
        self.settle(now, modem);
    }

    /// The next output for a client.
    pub fn poll(&mut self) -> Option<(ClientId, ClientOutput)> {
        self.outputs.pop_front()
    }

    /// When the station wants to be woken; the modem has wakeups of its own.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let timer = self.timers.next().map(|(timer, at)| {
            let why = match timer {
                Timer::Answer => "turnaround",
                Timer::AnswerMissing => "acknowledgement missing",
                Timer::Contend => "slot",
            };
            Wakeup { at, why }
        });
        let deadline = self.outbox.next_deadline().map(|at| Wakeup { at, why: "time to live" });
        let partial = self.inbox.next_due().map(|at| Wakeup { at, why: "half a U_PDU" });
        [timer, deadline, partial].into_iter().fold(self.server.next_wakeup(), Wakeup::earlier)
    }

    /// The station's address.
    pub const fn address(&self) -> NodeAddress {
        self.config.server.address
    }

    /// Whether it is silent.
    pub const fn emcon(&self) -> bool {
        self.emcon
    }

    /// What the link service counted.
    pub const fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// What the SIS server counted.
    pub const fn server_counters(&self) -> ServerCounters {
        self.server.counters()
    }

    /// U_PDUs that wait for the air or for their acknowledgement.
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// What exceeds its limit, in words; `None` when all is well.
    pub fn over_limit(&self) -> Option<String> {
        let queued = self.server.queued_octets();
        let limit = self.config.server.queue_octets_max.saturating_mul(QUEUE_SHARES_MAX);
        let queue = (queued > limit).then(|| format!("{queued} octets wait in the server, {limit} are allowed"));
        queue.or_else(|| self.inbox.over_limit())
    }

    /// The state for the console, with stable field names.
    pub fn describe(&self) -> Value {
        let clients: Vec<Value> = self
            .server
            .clients()
            .map(
                |(_, sap, rank, octets)| json!({ "sap": sap.number(), "rank": rank.number(), "queued_octets": octets }),
            )
            .collect();
        let (partial_units, partial_octets) = self.inbox.waiting();
        json!({
            "address": self.address().to_string(),
            "groups": self.config.groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "emcon": self.emcon,
            "clients": clients,
            "queued_units": self.outbox.len(),
            "queued_octets": self.server.queued_octets(),
            "partial_units": partial_units,
            "partial_octets": partial_octets,
            "hard_link": self.server.hard_link_peer().map(|peer| peer.to_string()),
            "link": self.counters,
            "server": self.server.counters(),
        })
    }

    fn on_frame(&mut self, now: Now, octets: &[u8]) {
        match AirFrame::decode(octets) {
            Err(_) => self.counters.frames_bad += 1,
            Ok(AirFrame::Data(data)) if self.is_genuine(data.source) => self.on_data(now, data),
            Ok(AirFrame::Ack(ack)) if self.is_genuine(ack.source) => self.on_ack(&ack),
            Ok(AirFrame::Data(_) | AirFrame::Ack(_)) => self.counters.frames_forged += 1,
        }
    }

    fn is_genuine(&self, source: NodeAddress) -> bool {
        source != self.address() && !source.is_group()
    }

    fn on_data(&mut self, now: Now, data: DataFrame) {
        self.outbox.heard(data.source);
        if data.turn == 0 {
            self.opened_last = false;
        }
        let own = data.destination == self.address();
        let group = !data.arq
            && (self.config.groups.contains(&data.destination) || data.destination == NodeAddress::ALL_STATIONS);
        if !own && !group {
            self.asks_others |= data.arq;
            self.counters.frames_overheard += 1;
            return;
        }
        if data.arq {
            self.asked = Some((data.source, data.turn));
            self.ready_at.get_or_insert(now.mono + self.config.answer_delay);
        }
        let arrivals = self.inbox.data(now.mono, data);
        self.deliver(now, arrivals);
    }

    /// Gives out what arrived, and what waited for it.
    fn deliver(&mut self, now: Now, arrivals: Vec<Arrival>) {
        let mut waiting = VecDeque::from(arrivals);
        while let Some(Arrival { source, unit, hard_link, incoming }) = waiting.pop_front() {
            let bound = if hard_link {
                if let Ok(message) = HardLinkMessage::decode(&incoming.u_pdu) {
                    self.server.handle_hard_link(now, source, message);
                }
                true
            } else {
                self.server.deliver(incoming)
            };
            waiting.extend(self.inbox.settle(source, unit, bound));
        }
    }

    fn on_ack(&mut self, ack: &AckFrame) {
        self.outbox.heard(ack.source);
        if ack.destination != self.address() {
            self.counters.frames_overheard += 1;
            return;
        }
        if let Some((_, answered)) = self.awaiting.as_mut().filter(|(partner, _)| *partner == ack.source) {
            *answered = true;
            // The turn comes back to us, unless the answer asks for one.
            self.asked = self.asked.or(Some((ack.source, ack.turn)));
        }
        self.collisions = 0;
        let finished = self.outbox.acknowledged(ack.source, &ack.records);
        self.finish(finished);
    }

    fn on_sent(&mut self, now: Now, waveform: Waveform) {
        self.idle_since = now.mono;
        let Some(load) = self.flight.take() else { return };
        let finished = self.outbox.sent(&load);
        self.finish(finished);
        if let Some(partner) = load.partner {
            self.awaiting = Some((partner, false));
            let wait = self.config.turnaround + self.config.answer_delay + waveform.key_up + ANSWER_GUARD;
            self.timers.set(Timer::AnswerMissing, now.mono + wait);
        }
    }

    fn on_carrier_off(&mut self, now: Now) {
        self.idle_since = now.mono;
        self.end_waiting(now);
        let theirs = std::mem::take(&mut self.asks_others);
        self.asked = self.asked.filter(|&(source, _)| !self.emcon && (!theirs || self.inbox.owes_to(source)));
        let ready_at = self.ready_at.take().map_or(now.mono, |ready_at| ready_at.max(now.mono));
        if self.asked.is_some() {
            self.timers.set(Timer::Answer, ready_at + self.config.turnaround);
        }
    }

    /// Whoever was to answer has answered now, or has not.
    fn end_waiting(&mut self, now: Now) {
        self.timers.clear(Timer::AnswerMissing);
        if let Some((partner, answered)) = self.awaiting.take()
            && !answered
        {
            self.counters.answers_missing += 1;
            self.collisions = (self.collisions + 1).min(DOUBLINGS_MAX);
            self.outbox.missed(now.mono, partner, &mut self.random);
        }
    }

    fn on_answer_missing(&mut self, now: Now, modem: &dyn Modem) {
        // A carrier may be the answer; its end decides.
        if !modem.carrier() {
            self.end_waiting(now);
        }
    }

    //= s5066/NODE-016
    fn on_answer(&mut self, now: Now, modem: &mut dyn Modem) {
        let Some((source, turn)) = self.asked.take().filter(|_| !modem.carrier()) else { return };
        if self.inbox.owes_to(source) || turn + 1 < TURNS_MAX {
            self.transmit(now, modem, Some(source), turn + 1);
        }
    }

    fn on_slot(&mut self, now: Now, modem: &mut dyn Modem) {
        if !modem.carrier() && self.awaiting.is_none() {
            self.opened_last = true;
            self.transmit(now, modem, None, 0);
        }
    }

    /// Sends what is owed and most urgent, if anything.
    fn transmit(&mut self, now: Now, modem: &mut dyn Modem, answer_to: Option<NodeAddress>, turn: u8) {
        if self.emcon || modem.transmitting() {
            return;
        }
        let waveform = modem.waveform();
        let mut budget = self.budget(&waveform);
        let mut frames = self.inbox.acknowledge(self.address(), answer_to, turn.min(15), &mut budget);
        let mut load = Load::new(turn, &frames);
        if turn < TURNS_MAX {
            self.outbox.compose(now.mono, budget, &mut load, &mut frames);
        }
        if !frames.is_empty() && modem.transmit(now, &waveform, frames).is_ok() {
            self.timers.clear(Timer::Contend);
            self.timers.clear(Timer::Answer);
            self.flight = Some(load);
        }
    }

    /// Something urgent waits while we transmit: what has not begun gives way to it.
    fn amend(&mut self, now: Now, modem: &mut dyn Modem) {
        let Some(begun) = self.flight.as_ref().and_then(|_| modem.begun(now)) else { return };
        let Some(mut load) = self.flight.take() else { return };
        let from = begun.max(load.acks);
        if load.turn < TURNS_MAX && from < load.frames() && self.outbox.has_more_urgent(now.mono, &load, from) {
            let before = load.clone();
            let budget = self.budget(&modem.waveform());
            let frames = self.outbox.amend(now.mono, &mut load, from, budget);
            if modem.replace(now, from, frames).is_err() {
                load = before;
            }
        }
        self.flight = Some(load);
    }

    /// Octets of a transmission: what fits into the configured time, but at least one part, and at least the block that
    /// a single octet would pad out anyway.
    fn budget(&self, waveform: &Waveform) -> usize {
        let one_block = waveform.octets_within(waveform.airtime(0));
        let least = one_block.max(FRAGMENT_OCTETS_MIN + DATA_OVERHEAD_OCTETS);
        let usual = waveform.octets_within(self.config.transmission_max);
        usual.max(least).min(waveform.octets_within(TRANSMISSION_SECONDS_MAX))
    }

    /// Octets of a part. Where much is lost about two interleaver blocks, so that the loss of one costs little; else more,
    /// so that headers do. A whole number of parts fills a transmission.
    fn part_octets(&self, waveform: &Waveform, lossy: bool) -> usize {
        let octets =
            |blocks: u64| usize::try_from(waveform.block_bits().saturating_mul(blocks) / 8).unwrap_or(usize::MAX);
        let calm = (waveform.bits_per_second as usize / 8 * CALM_SECONDS).min(CALM_OCTETS).max(octets(CALM_BLOCKS));
        let aim = if lossy { octets(LOSSY_BLOCKS) } else { calm };
        let [least, most] = [FRAGMENT_OCTETS_MIN, FRAGMENT_OCTETS_MAX].map(|octets| octets + DATA_OVERHEAD_OCTETS);
        let budget = self.budget(waveform);
        let count = (budget / least).min(budget.div_ceil(aim.clamp(least, most))).max(1);
        (budget / count).min(most).saturating_sub(DATA_OVERHEAD_OCTETS).max(1)
    }

    /// After every input: takes the server's outputs, drops what is too old, and plans the next transmission.
    fn settle(&mut self, now: Now, modem: &mut dyn Modem) {
        let arrivals = self.inbox.expire(now.mono);
        self.deliver(now, arrivals);
        self.take_server_outputs(modem.waveform());
        let finished = self.outbox.expire(now.mono);
        self.counters.expired += finished.len() as u64;
        self.finish(finished);
        self.take_server_outputs(modem.waveform());
        self.amend(now, modem);
        self.plan(now, modem);
    }

    fn take_server_outputs(&mut self, waveform: Waveform) {
        while let Some(output) = self.server.poll() {
            match output {
                ServerOutput::Write(client, octets) => self.outputs.push_back((client, ClientOutput::Write(octets))),
                ServerOutput::Close(client) => self.outputs.push_back((client, ClientOutput::Close)),
                ServerOutput::Send(outgoing) => {
                    let lossy = match outgoing.carriage {
                        Carriage::Arq => self.outbox.is_lossy(outgoing.destination),
                        // Small parts only help where another copy fills the gaps.
                        Carriage::NonArq { retransmissions, .. } => retransmissions > 0,
                    };
                    let part_octets = self.part_octets(&waveform, lossy);
                    self.outbox.submit(outgoing, part_octets, self.budget(&waveform));
                }
            }
        }
    }

    fn finish(&mut self, finished: Finished) {
        for (id, outcome) in finished {
            self.server.finish(id, outcome);
        }
    }

    //= s5066/NODE-017
    fn plan(&mut self, now: Now, modem: &dyn Modem) {
        let busy = self.emcon || self.flight.is_some() || self.awaiting.is_some() || modem.carrier();
        if busy || self.timers.is_set(Timer::Answer) {
            return self.timers.clear(Timer::Contend);
        }
        let owed = self.inbox.owes().then_some((now.mono, true));
        let Some((at, urgent)) = owed.or_else(|| self.outbox.earliest(now.mono)) else {
            return self.timers.clear(Timer::Contend);
        };
        let planned = self.timers.next().filter(|(timer, _)| *timer == Timer::Contend).map(|(_, planned)| planned);
        if planned.is_some_and(|planned| planned >= at) && (self.contending_urgently || !urgent) {
            return;
        }
        let waveform = modem.waveform();
        let answered = self.config.turnaround + self.config.answer_delay + waveform.key_up;
        let free = self.idle_since + answered + CONTENTION_GUARD;
        let slot = waveform.key_up + SLOT_GUARD;
        let slots = u32::try_from(self.draw_slots(urgent)).unwrap_or(u32::MAX);
        let slot_at = at.max(free) + slot * slots;
        self.contending_urgently = urgent;
        self.timers.set(Timer::Contend, planned.map_or(slot_at, |planned| planned.min(slot_at).max(at)));
    }

    fn draw_slots(&mut self, urgent: bool) -> u64 {
        let window = if urgent { SLOTS_URGENT } else { SLOTS_ROUTINE } << self.collisions.min(DOUBLINGS_MAX);
        let polite = if urgent { 0 } else { SLOTS_POLITE } + if self.opened_last && !urgent { SLOTS_POLITE } else { 0 };
        polite + self.random.below(window)
    }
}

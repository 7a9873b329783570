//! One node on the air: when it transmits, and how long.
//!
//! Listen before transmit. When the channel falls silent, the station that was asked for an answer answers after the
//! turnaround; its answer may carry data of its own; who was answered may go on. So two stations alternate, but only
//! [`TURNS_MAX`] times, or longer where nobody else was heard, before the channel is free for all. All others wait until
//! that answer would have been heard and then for a random number of slots, fewer for urgent data, more for who had the
//! channel last. This access is our own: what Annexes J to L say of it is not known here. Nobody transmits before the end
//! that a transmission announced.
//!
//! A transmission takes as long as the announced end can say, and less while another station has data to send too. What
//! of it has not begun gives way to a FLASH of the same station, within the announced end, so that one waits for the
//! D_PDU in the air; a FLASH of another station waits for the end of the transmission, no more.
//!
//! Promises: pure; in EMCON nothing is emitted, a transmission in the air is cut off, nothing is answered, and what is
//! owed goes out when the silence ends. Refuses: D_PDUs that claim to come from this station or from a group.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::management::Ask;
use skywave_protocols::s5066::node::ClientId;
use skywave_protocols::s5066::node::dpdu::{DPdu, Received, decode};
use skywave_protocols::s5066::node::dts::Plan;
use skywave_protocols::s5066::node::sis_server::ServerCounters;
use skywave_protocols::time::{Duration, Instant, Now, Timers, Wakeup};

use super::asks::{Kinds, answers, asks, is_data};
use super::config::StationConfig;
use super::counters::LinkCounters;
use super::eot;
use super::limits::{
    ANSWER_OCTETS_MAX, DOUBLINGS_MAX, HEARD_MAX, OPENING_MAX, OTHERS_FOR, SEGMENTS_UNKNOWN_MAX, TALKS_FOR, TURNS_FOR,
    TURNS_MAX,
};
use super::lines::lines;
use super::reception::Reception;
use super::segments;
use super::stack::{ClientInput, ClientOutput, Order, Stack};
use super::unheard::Unheard;
use crate::modem::limits::TRANSMISSION_SECONDS_MAX;
use crate::modem::{Modem, ModemEvent, Waveform};

mod amend;
mod contend;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// The turnaround is over: answer.
    Answer,
    /// The answer should have begun.
    AnswerMissing,
    /// Our slot has come.
    Contend,
}

/// What is in the air.
#[derive(Debug)]
struct Flight {
    /// Octets of its D_PDUs.
    octets: Vec<usize>,
    airtime: Duration,
    waveform: Waveform,
    /// Who is asked for answers, and of which kinds.
    asked: Option<(NodeAddress, Kinds)>,
    /// The same before each replacement.
    asked_before: Vec<Option<(NodeAddress, Kinds)>>,
    turn: u8,
    /// What it was put together by: it answers and asks nothing where that says so.
    plan: Plan,
    /// What the stack had handed down by then.
    handed_down: u64,
}

/// A node on the air. See the module's page.
#[derive(Debug)]
pub struct Station {
    config: StationConfig,
    stack: Stack,
    random: Seeded,
    timers: Timers<Timer>,
    emcon: bool,
    flight: Option<Flight>,
    /// Who is to answer what.
    awaiting: Option<(NodeAddress, Kinds)>,
    reception: Reception,
    /// To whom the turn at the next [`Timer::Answer`] answers.
    asked: Option<NodeAddress>,
    /// Turns since the channel was last free for all, as far as was heard.
    turn: u8,
    /// When the channel was last free for all.
    opened_at: Instant,
    /// From when on the channel is silent: later than now while an announced end has not come.
    idle_since: Instant,
    /// Whose transmissions ended early, and when they would have ended for certain.
    cut_short: BTreeMap<NodeAddress, Instant>,
    unheard: Unheard,
    /// Who transmitted last asked for an answer, as far as was heard: that comes before all others begin.
    answer_due: bool,
    /// When stations were heard last, and whether they sent data then, and not mere answers.
    heard: BTreeMap<NodeAddress, (Instant, bool)>,
    contending_urgently: bool,
    opened_last: bool,
    /// We transmitted since the channel was last free for all.
    took_part: bool,
    /// We ended the turns last.
    closed_last: bool,
    /// The opening after which we went on although our turn would have been the last.
    went_on: Option<Instant>,
    collisions: u32,
    counters: LinkCounters,
}

impl Station {
    /// A station without clients.
    pub fn new(config: StationConfig, random: Seeded) -> Self {
        Self {
            stack: Stack::new(&config, &random),
            random,
            timers: Timers::new(),
            emcon: config.emcon,
            flight: None,
            awaiting: None,
            reception: Reception::default(),
            asked: None,
            turn: 0,
            opened_at: Instant::ZERO,
            idle_since: Instant::ZERO,
            cut_short: BTreeMap::new(),
            unheard: Unheard::new(),
            answer_due: false,
            heard: BTreeMap::new(),
            contending_urgently: false,
            opened_last: false,
            took_part: false,
            closed_last: false,
            went_on: None,
            collisions: 0,
            counters: LinkCounters::default(),
            config,
        }
    }

    /// Takes what happens at a client's connection.
    pub fn handle_client(&mut self, now: Now, client: ClientId, input: ClientInput, modem: &mut dyn Modem) {
        self.stack.handle_client(now, client, input);
        self.settle(now, modem);
        while let Some(order) = self.stack.poll_order() {
            self.on_order(now, &order, modem);
        }
    }

    /// Takes all events that the modem has.
    pub fn handle_modem(&mut self, now: Now, modem: &mut dyn Modem) {
        while let Some(event) = modem.poll_event() {
            match event {
                ModemEvent::Received(octets) => self.on_frame(now, &octets, modem),
                ModemEvent::Kept(replaced) => self.on_kept(replaced.into()),
                ModemEvent::Sent => self.on_sent(now, modem.waveform()),
                ModemEvent::CarrierOn => self.on_carrier_on(now, modem),
                ModemEvent::CarrierOff => self.on_carrier_off(now),
            }
        }
        self.settle(now, modem);
    }

    /// Takes a wakeup.
    pub fn handle_wakeup(&mut self, now: Now, modem: &mut dyn Modem) {
        self.stack.handle_wakeup(now);
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
        if emcon {
            let begun = modem.begun(now).unwrap_or(0);
            if modem.transmitting() {
                modem.abort(now);
            }
            if let Some(flight) = self.flight.take() {
                self.stack.cut_off(now, begun);
                self.awaiting = self.awaiting.or(flight.asked);
            }
            if let Some((partner, _)) = self.awaiting.take() {
                self.stack.missed(now, partner, true);
            }
            self.asked = None;
            self.timers = Timers::new();
        }
        // What was in the air is cut off: nothing of it counts as an emission in silence.
        modem.set_emcon(now, emcon);
        self.idle_since = self.idle_since.max(now.mono);
        self.stack.set_emcon(now, emcon);
        self.settle(now, modem);
    }

    /// Does what a client that manages the node asks.
    //= s5066/NODE-015
    //= s5066/NODE-041
    fn on_order(&mut self, now: Now, order: &Order, modem: &mut dyn Modem) {
        match order.ask {
            Ask::State => {
                let state = lines(&self.describe());
                self.stack.answer(now, order, &state);
            }
            Ask::Emcon(emcon) => {
                self.set_emcon(now, emcon, modem);
                self.stack.answer(now, order, order.ask.text());
            }
            Ask::Broadcast(broadcast_only) => {
                // Its client may be among those that are unbound.
                self.stack.answer(now, order, order.ask.text());
                self.stack.set_broadcast_only(now, broadcast_only);
                self.settle(now, modem);
            }
        }
    }

    /// The next output for a client.
    pub fn poll(&mut self) -> Option<(ClientId, ClientOutput)> {
        self.stack.poll()
    }

    /// When the station wants to be woken; the modem has wakeups of its own.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let timer = self.timers.next().map(|(timer, at)| {
            let why = match timer {
                Timer::Answer => "turnaround",
                Timer::AnswerMissing => "answer missing",
                Timer::Contend => "slot",
            };
            Wakeup { at, why }
        });
        Wakeup::earlier(timer, self.stack.next_wakeup())
    }

    /// The station's address.
    pub const fn address(&self) -> NodeAddress {
        self.config.server.address
    }

    /// What it is configured with.
    pub const fn config(&self) -> &StationConfig {
        &self.config
    }

    /// Whether it is silent.
    pub const fn emcon(&self) -> bool {
        self.emcon
    }

    /// What channel access and link service counted.
    pub const fn counters(&self) -> LinkCounters {
        LinkCounters { expired: self.stack.expired(), ..self.counters }
    }

    /// What the SIS server counted.
    pub const fn server_counters(&self) -> ServerCounters {
        self.stack.server_counters()
    }

    /// U_PDUs that wait for the air or for their acknowledgement.
    pub fn queued(&self) -> usize {
        self.stack.queued()
    }

    /// What exceeds its limit, in words; `None` when all is well.
    pub fn over_limit(&self) -> Option<String> {
        let heard = self.heard.len().max(self.cut_short.len());
        (heard > HEARD_MAX).then(|| format!("{heard} stations kept as heard")).or_else(|| self.stack.over_limit())
    }

    /// The state for the console, with stable field names.
    pub fn describe(&self) -> Value {
        let mut state = self.stack.describe();
        state["address"] = json!(self.address().to_string());
        state["groups"] = json!(self.config.groups.iter().map(ToString::to_string).collect::<Vec<_>>());
        state["emcon"] = json!(self.emcon);
        state["link"] = json!(self.counters());
        state
    }

    fn on_frame(&mut self, now: Now, octets: &Bytes, modem: &dyn Modem) {
        match decode(octets) {
            Err(_) => self.counters.frames_bad += 1,
            Ok(received) if received.pdu.source == self.address() => self.counters.frames_forged += 1,
            Ok(received) => {
                //= s5066/NODE-018
                self.reception.rate = eot::rate_said(&received.pdu).or(self.reception.rate);
                let heard_at = self.heard_at(modem);
                let begun = self.reception.begun.max(now.mono - eot::longest(&heard_at, octets.len()));
                if self.reception.ends.len() < HEARD_MAX {
                    let end = eot::end_heard(begun, now.mono, received.pdu.eot);
                    self.reception.ends.insert(received.pdu.source, end);
                }
                self.reception.begun = now.mono - modem.waveform().block;
                self.on_pdu(now, &received);
            }
        }
    }

    /// The mode of what is heard: as it says itself, or the modem does, or else the slowest that it may have.
    fn heard_at(&self, modem: &dyn Modem) -> Waveform {
        let usual = modem.waveform();
        let at = |rate: u32| usual.at_rate(rate).ok();
        let said = self.reception.rate.and_then(at).or(self.reception.mode).or_else(|| modem.heard());
        said.or_else(|| self.config.rates.first().copied().and_then(at)).unwrap_or(usual)
    }

    fn on_pdu(&mut self, now: Now, received: &Received) {
        let pdu = &received.pdu;
        let own = pdu.destination == self.address();
        self.reception.source = Some(pdu.source);
        if is_data(pdu) {
            self.reception.data_octets += pdu.body.segment().map_or(0, |segment| segment.len());
        }
        match asks(pdu).any() {
            true if own => {
                self.reception.asks_us = true;
                self.reception.asked_at.get_or_insert(now.mono);
            }
            true => self.reception.asks_others = true,
            false => {}
        }
        let answered = answers(pdu);
        if own && answered.any() && self.awaiting.is_some_and(|(partner, _)| partner == pdu.source) {
            self.reception.answers = self.reception.answers.and(answered);
            self.collisions = 0;
        }
        if !own && !pdu.destination.is_group() {
            self.counters.frames_overheard += 1;
        }
        self.stack.heard(now, received);
    }

    fn on_carrier_on(&mut self, now: Now, modem: &dyn Modem) {
        self.timers.clear(Timer::Contend);
        self.unheard.carrier(now.mono);
        self.reception = Reception { begun: now.mono, mode: modem.heard(), ..Reception::default() };
        // An answer begins at once, so that no slot comes before it.
        let answer = now.mono < self.contention_free(&modem.waveform());
        if answer {
            self.turn = self.turn.saturating_add(1);
        } else {
            (self.turn, self.opened_at) = (0, now.mono);
        }
        self.opened_last &= answer;
        self.took_part &= answer;
        self.closed_last = false;
    }

    fn on_sent(&mut self, now: Now, waveform: Waveform) {
        self.idle_since = self.idle_since.max(now.mono);
        let Some(flight) = self.flight.take() else { return };
        self.turn = flight.turn;
        self.closed_last = flight.plan.acks_only;
        self.answer_due = flight.asked.is_some();
        self.stack.sent(now);
        if flight.asked.is_some() {
            self.awaiting = flight.asked;
            let wait = self.config.turnaround + self.config.answer_delay + waveform.key_up + self.config.answer_guard;
            self.timers.set(Timer::AnswerMissing, now.mono + wait);
        }
    }

    fn on_carrier_off(&mut self, now: Now) {
        let reception = std::mem::take(&mut self.reception);
        self.note_end(now.mono, &reception);
        self.end_waiting(now, reception.answers);
        // What could not be read may have asked.
        self.answer_due = reception.asks_us || reception.asks_others || reception.source.is_none();
        let Some(source) = reception.source else { return };
        // Who ends the turns acknowledges and no more, whatever it has.
        let ends = self.turn >= TURNS_MAX && now.mono.since(self.opened_at) >= TURNS_FOR;
        let talked = self.heard.get(&source).is_some_and(|heard| Self::talks(now, heard));
        self.note_heard(now.mono, source, reception.data_octets > ANSWER_OCTETS_MAX || ends && talked);
        if !reception.asks_us && !reception.answers.any() {
            // Others got through: what met before is over.
            self.collisions = 0;
        }
        // Who was answered goes on, unless the answer asks somebody else.
        let ours = reception.asks_us || reception.answers.any() && !reception.asks_others;
        if ours && !self.emcon {
            let ready = reception.asked_at.map_or(Instant::ZERO, |at| at + self.config.answer_delay);
            self.asked = Some(source);
            self.timers.set(Timer::Answer, self.idle_since.max(ready) + self.config.turnaround);
        }
    }

    /// From when on the channel is silent, after a carrier has gone. What somebody else had announced before holds on:
    /// only who announced it says anew when it ends.
    //= s5066/NODE-018
    fn note_end(&mut self, now: Instant, reception: &Reception) {
        self.cut_short.retain(|source, end| *end > now && !reception.ends.contains_key(source));
        for (&source, &(earliest, latest)) in &reception.ends {
            if now < earliest {
                // It faded or was cut off: who sends it may still be sending.
                self.counters.ends_early += 1;
                if self.cut_short.len() < HEARD_MAX {
                    self.cut_short.insert(source, latest);
                }
            }
        }
        let end = self.cut_short.values().fold(now, |last, &end| last.max(end));
        self.idle_since = self.unheard.wait(now, end);
        if self.idle_since < end {
            self.counters.ends_disbelieved += 1;
            self.cut_short.clear();
        }
    }

    fn note_heard(&mut self, now: Instant, source: NodeAddress, talks: bool) {
        if self.heard.len() >= HEARD_MAX {
            self.heard.retain(|_, (at, _)| *at + OTHERS_FOR > now);
        }
        if self.heard.len() < HEARD_MAX || self.heard.contains_key(&source) {
            self.heard.insert(source, (now, talks));
        }
    }

    /// Whoever was to answer has answered now, or has not.
    fn end_waiting(&mut self, now: Now, answered: Kinds) {
        self.timers.clear(Timer::AnswerMissing);
        let Some((partner, asked)) = self.awaiting.take() else { return };
        if !answered.any() {
            self.counters.answers_missing += 1;
            self.collisions = (self.collisions + 1).min(DOUBLINGS_MAX);
        }
        if !answered.holds(asked) {
            self.stack.missed(now, partner, answered.any());
        }
    }

    fn on_answer_missing(&mut self, now: Now, modem: &dyn Modem) {
        // A carrier may be the answer; its end decides.
        if !modem.carrier() {
            self.end_waiting(now, Kinds::default());
        }
    }

    //= s5066/NODE-016
    fn on_answer(&mut self, now: Now, modem: &mut dyn Modem) {
        if self.asked.is_some() && now.mono < self.idle_since {
            // Meanwhile somebody announced an end that has not come.
            return self.timers.set(Timer::Answer, self.idle_since + self.config.turnaround);
        }
        if let Some(source) = self.asked.take().filter(|_| !modem.carrier()) {
            self.transmit(now, modem, Some(source), self.turn.saturating_add(1));
        }
    }

    fn on_slot(&mut self, now: Now, modem: &mut dyn Modem) {
        if !modem.carrier() && self.awaiting.is_none() && now.mono >= self.idle_since {
            (self.opened_last, self.opened_at) = (true, now.mono);
            self.transmit(now, modem, None, 0);
        }
    }

    /// Sends what is owed and most urgent, if anything.
    fn transmit(&mut self, now: Now, modem: &mut dyn Modem, answer_to: Option<NodeAddress>, turn: u8) {
        if self.emcon || modem.transmitting() {
            return;
        }
        let waveform = self.waveform_to(now, modem.waveform(), answer_to);
        let plan = self.plan(now, &waveform, answer_to, turn);
        let mut pdus = self.stack.compose(now, &plan);
        if pdus.is_empty() {
            return;
        }
        let octets: Vec<usize> = pdus.iter().map(DPdu::octets).collect();
        let airtime = waveform.airtime(octets.iter().sum());
        eot::announce(&waveform, airtime, 0, &mut pdus);
        let asked = whom_they_ask(&pdus);
        if modem.transmit(now, &waveform, pdus.iter().map(DPdu::encode).collect()).is_ok() {
            self.timers.clear(Timer::Contend);
            self.timers.clear(Timer::Answer);
            self.took_part = true;
            let handed_down = self.stack.handed_down();
            let asked_before = Vec::new();
            self.flight = Some(Flight { octets, airtime, waveform, asked, asked_before, turn, plan, handed_down });
        } else {
            self.stack.cut_off(now, 0);
        }
    }

    /// Whether a turn is the last with a partner before others get a chance: it answers and asks nothing. Of two that
    /// are alone that falls to the one with little to say: whoever has more goes on once, and its partner ends them.
    fn is_last(&mut self, now: Now, turn: u8, partner: Option<NodeAddress>) -> bool {
        let alone = self.is_alone(now, partner);
        let turns_for = if alone { self.config.turns_alone() } else { TURNS_FOR };
        let heard = partner.and_then(|partner| self.heard.get(&partner));
        let listens = partner.is_some() && !heard.is_some_and(|heard| Self::talks(now, heard));
        if turn < TURNS_MAX || now.mono.since(self.opened_at) < turns_for {
            return false;
        }
        let may_go_on = alone && listens && self.went_on != Some(self.opened_at);
        if may_go_on && self.stack.queued_octets() > ANSWER_OCTETS_MAX {
            self.went_on = Some(self.opened_at);
            return false;
        }
        true
    }

    /// Whether somebody who was heard at this time has more to say, as far as is known.
    fn talks(now: Now, &(at, data): &(Instant, bool)) -> bool {
        data && at + TALKS_FOR > now.mono
    }

    /// Whether nobody is known of but one partner.
    fn is_alone(&self, now: Now, partner: Option<NodeAddress>) -> bool {
        let lately = |at: &Instant| *at + OTHERS_FOR > now.mono;
        let others = self.heard.iter().filter(|(other, (at, _))| Some(**other) != partner && lately(at)).count();
        self.config.two_only == Some(true) && others == 0
    }

    /// The mode for a transmission: that of the rate which gets through best to whom it asks or answers. Receivers find
    /// it by themselves, and the orderwire advises them to answer at it.
    //= s5066/NODE-023
    fn waveform_to(&self, now: Now, usual: Waveform, answer_to: Option<NodeAddress>) -> Waveform {
        if self.config.rates.is_empty() {
            return usual;
        }
        let rate = self.stack.rate_to(now, answer_to).and_then(|place| self.config.rates.get(place));
        rate.and_then(|&rate| usual.at_rate(rate).ok()).unwrap_or(usual)
    }

    fn plan(&mut self, now: Now, waveform: &Waveform, answer_to: Option<NodeAddress>, turn: u8) -> Plan {
        let shared = self.heard.values().any(|heard| Self::talks(now, heard));
        // What a transmission cuts stays as it is cut: not too much before it is known what gets through.
        let known = self.stack.knows_way(now);
        let longest = if shared && answer_to.is_none() {
            // Who begins at the same time is not heard: little is lost by it.
            OPENING_MAX
        } else if shared {
            self.config.transmission_shared_max
        } else if !known {
            let segments = segments::first_d_pdu_octets(waveform).saturating_mul(SEGMENTS_UNKNOWN_MAX);
            self.config.transmission_shared_max.max(waveform.airtime(segments))
        } else {
            self.config.transmission_max
        };
        // At least one segment, and at least the block that a single octet would pad out anyway.
        let least = waveform.octets_within(waveform.airtime(0)).max(segments::OCTETS_LEAST);
        let usual = waveform.octets_within(longest.min(self.config.transmission_max)).max(least);
        let most = waveform.octets_within(TRANSMISSION_SECONDS_MAX);
        Plan {
            octets: usual.min(most),
            octets_most: most,
            segment_octets: if known { segments::octets(waveform) } else { segments::first_octets(waveform) },
            block_octets: segments::block_octets(waveform),
            repeated_segment_octets: segments::repeated_octets(waveform),
            lead_octets: segments::lead_octets(waveform, self.config.answer_delay),
            lead_unless_octets: segments::lead_unless_octets(waveform, self.config.answer_delay),
            partner: answer_to,
            arq_allowed: true,
            acks_only: self.is_last(now, turn, answer_to),
        }
    }

    /// After every input: lets the layers do what they have to, and plans the next transmission.
    fn settle(&mut self, now: Now, modem: &mut dyn Modem) {
        self.stack.settle(now);
        self.amend(now, modem);
        self.contend(now, modem);
    }
}

/// Whom D_PDUs ask for an answer, and for answers of which kinds. One transmission asks one node.
fn whom_they_ask(pdus: &[DPdu]) -> Option<(NodeAddress, Kinds)> {
    let partner = pdus.iter().find(|pdu| asks(pdu).any())?.destination;
    let kinds = pdus.iter().filter(|pdu| pdu.destination == partner).map(asks);
    Some((partner, kinds.fold(Kinds::default(), Kinds::and)))
}

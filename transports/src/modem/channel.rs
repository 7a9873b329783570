//! One half-duplex channel shared by several stations: the simulated radio.
//!
//! A transmission is keyed up, sends its preamble, then whole interleaver blocks; after each block, and the propagation
//! delay, every receiver has the frames that end in it, unless one of their blocks was lost there. Each transmission has
//! a mode of its own, which receivers find out from the preamble. A block is lost by the weather ([`super::loss`]), by an
//! outage of sender or receiver or a fade that its rate does not get through, when another station transmits at the same time,
//! and while the receiver itself transmits. A receiver whose preamble was spoilt in one of the last three ways hears
//! nothing of that transmission.
//!
//! Promises: pure; the same seed and the same calls give the same events. A station in EMCON is not stopped from
//! transmitting, since that is its own duty, but each such transmission is counted for the checkers
//! ([`StationCounters::emissions_in_emcon`]). Refuses what [`super::ModemFault`] names. Limits: [`super::limits`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};

use super::limits::{EVENTS_WAITING_MAX, PERIODS_MAX, STATIONS_MAX};
use super::loss::{Loss, LossProcess};
use super::{ModemEvent, ModemFault, Waveform, weigh};

mod on_air;
mod port;
mod transmission;

use on_air::ListeningIn;
pub use on_air::OnAir;
pub use port::Port;
use transmission::{Frame, Reception, Transmission, place};

/// A carrier or preamble is heard at the signal strength of the lowest rate.
const CARRIER: u32 = 1;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The number of a station on its channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct StationId(pub u16);

/// The channel and its weather.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelConfig {
    /// The mode stations use unless they choose another one for a transmission; its block is the step of the bursts.
    pub waveform: Waveform,
    /// From antenna to antenna; 3.3 ms per 1000 km.
    pub propagation: Duration,
    /// What receivers lose.
    pub loss: Loss,
    /// Times without any propagation, and fades.
    pub outages: Vec<Outage>,
}

/// A time in which a station, or everybody, neither hears nor is heard, or hears and is heard at low rates only (a
/// fade: carriers and preambles get through, blocks of faster transmissions are lost).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// Whose; `None` for all.
    pub station: Option<StationId>,
    /// First instant.
    pub from: Instant,
    /// First instant after it.
    pub until: Instant,
    /// The highest rate that still gets through; 0: nothing does.
    pub bits_per_second_max: u32,
}

/// What a station put on the air, and what it should not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct StationCounters {
    /// Transmissions begun.
    pub transmissions: u64,
    /// Octets of the frames in them, repeats and acknowledgements included, padding not.
    pub octets_on_air: u64,
    /// Time keyed, in microseconds: key-up, preamble, padding and flush included.
    #[serde(rename = "microseconds_on_air")]
    pub micros_on_air: u64,
    /// Transmissions that were in the air while the station was in EMCON. Must stay 0.
    pub emissions_in_emcon: u64,
    /// Frames this station received.
    pub frames_received: u64,
    /// Frames of others that this station did not receive.
    pub frames_lost: u64,
    /// Transmissions of others that met with another one at this station.
    pub collisions: u64,
    /// Events nobody fetched.
    pub events_dropped: u64,
}

impl StationCounters {
    /// Seconds keyed.
    pub fn seconds_on_air(&self) -> f64 {
        Duration::from_micros(self.micros_on_air).as_secs_f64()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    /// The signal reaches the others.
    CarrierOn(u64),
    /// They have heard the preamble.
    Synchronised(u64),
    /// They have heard a block.
    Block(u64),
    /// The transmitter is switched off.
    Sent(u64),
    /// The signal ends at the others.
    CarrierOff(u64),
}

#[derive(Debug)]
struct Receiver {
    events: VecDeque<ModemEvent>,
    loss: LossProcess,
    heard: BTreeSet<u64>,
    sending: Option<u64>,
    emcon: bool,
    /// Of each other station, the last frame received here, and one block before the one began that its first octet was in.
    last_received: BTreeMap<StationId, (Instant, Bytes)>,
    counters: StationCounters,
}

/// The channel. See the module's page.
#[derive(Debug)]
pub struct Channel {
    /// The outages in it are sorted by their begin.
    config: ChannelConfig,
    /// How many of them no transmission can meet any more.
    outages_past: usize,
    last_played: Option<Instant>,
    random: Seeded,
    origin: Instant,
    stations: BTreeMap<StationId, Receiver>,
    transmissions: BTreeMap<u64, Transmission>,
    steps: BTreeSet<(Instant, Step)>,
    next_number: u64,
    /// Of everything that was put on the air.
    fingerprint: u64,
    listening_in: ListeningIn,
}

impl Channel {
    /// A silent channel.
    pub fn new(now: Now, mut config: ChannelConfig, random: Seeded) -> Self {
        config.outages.sort_by_key(|outage| outage.from);
        Self {
            config,
            outages_past: 0,
            last_played: None,
            random,
            origin: now.mono,
            stations: BTreeMap::new(),
            transmissions: BTreeMap::new(),
            steps: BTreeSet::new(),
            next_number: 0,
            fingerprint: FNV_OFFSET,
            listening_in: ListeningIn::default(),
        }
    }

    /// Adds a station; `false` when it is there already or there are too many.
    pub fn attach(&mut self, station: StationId) -> bool {
        if self.stations.contains_key(&station) || self.stations.len() >= STATIONS_MAX {
            return false;
        }
        let random = self.random.fork(&format!("receiver {}", station.0));
        let delay = self.config.propagation;
        let waits = |(number, one): &(&u64, &Transmission)| {
            one.aborted || self.steps.contains(&(one.carrier() + delay, Step::CarrierOn(**number)))
        };
        let heard = self.transmissions.iter().filter(|one| !waits(one)).map(|(number, _)| *number).collect();
        let receiver = Receiver {
            events: VecDeque::new(),
            loss: LossProcess::new(self.config.loss, random),
            heard,
            sending: None,
            emcon: false,
            last_received: BTreeMap::new(),
            counters: StationCounters::default(),
        };
        self.stations.insert(station, receiver);
        true
    }

    /// Takes a station away; what it has in the air is cut off.
    pub fn detach(&mut self, now: Now, station: StationId) {
        self.abort(now, station);
        self.stations.remove(&station);
    }

    /// The modem of a station.
    pub const fn port(&mut self, station: StationId) -> Port<'_> {
        Port { channel: self, station }
    }

    /// Starts a transmission in a mode; whoever listens finds out the mode from the preamble.
    ///
    /// # Errors
    /// [`ModemFault`], and nothing was transmitted.
    pub fn transmit(
        &mut self,
        now: Now,
        station: StationId,
        waveform: &Waveform,
        frames: Vec<Bytes>,
    ) -> Result<Instant, ModemFault> {
        let receiver = self.stations.get_mut(&station).ok_or(ModemFault::Unattached)?;
        if receiver.sending.is_some() {
            return Err(ModemFault::Transmitting);
        }
        let octets = weigh(waveform, &frames)?;
        note(&mut self.fingerprint, now.mono, station, &frames);
        let number = self.next_number;
        self.next_number += 1;
        receiver.sending = Some(number);
        receiver.counters.transmissions += 1;
        receiver.counters.emissions_in_emcon += u64::from(receiver.emcon);
        let in_emcon = receiver.emcon;
        let carrier = now.mono + waveform.key_up;
        let (data, end) = (now.mono + waveform.lead(), now.mono + waveform.airtime(octets));
        let transmission = Transmission {
            station,
            waveform: *waveform,
            frames: place(waveform, frames),
            keyed: now.mono,
            data,
            end,
            block: 0,
            blocks: waveform.blocks(octets),
            octets: octets as u64,
            in_emcon,
            aborted: false,
            receptions: BTreeMap::new(),
        };
        self.transmissions.insert(number, transmission);
        let delay = self.config.propagation;
        self.steps.insert((carrier + delay, Step::CarrierOn(number)));
        self.steps.insert((data + delay, Step::Synchronised(number)));
        self.steps.insert((end, Step::Sent(number)));
        Ok(end)
    }

    /// How many frames of a station's transmission have begun.
    pub fn begun(&self, now: Now, station: StationId) -> Option<usize> {
        let number = self.stations.get(&station)?.sending?;
        let transmission = self.transmissions.get(&number)?;
        if now.mono < transmission.data {
            return Some(0);
        }
        let block = now.mono.since(transmission.data).as_micros() / transmission.waveform.block.as_micros().max(1);
        let begun = |frame: &&Frame| u128::from(frame.first_block) <= block;
        Some(transmission.frames.iter().take_while(begun).count())
    }

    /// Puts other frames in the place of those from `from` on, which have not begun.
    ///
    /// # Errors
    /// [`ModemFault`], and the transmission goes on as it was.
    pub fn replace(
        &mut self,
        now: Now,
        station: StationId,
        from: usize,
        frames: Vec<Bytes>,
    ) -> Result<Instant, ModemFault> {
        self.play(now.mono);
        let begun = self.begun(now, station).ok_or(ModemFault::Begun)?;
        let number = self.stations.get(&station).and_then(|receiver| receiver.sending).ok_or(ModemFault::Unattached)?;
        let transmission = self.transmissions.get_mut(&number).ok_or(ModemFault::Begun)?;
        let waveform = transmission.waveform;
        // With all frames begun the end-of-message pattern is on its way too.
        if from < begun || from >= transmission.frames.len() {
            return Err(ModemFault::Begun);
        }
        let kept = transmission.frames.iter().take(from).map(|frame| frame.octets.clone());
        let frames: Vec<Bytes> = kept.chain(frames).collect();
        let octets = weigh(&waveform, &frames)?;
        note(&mut self.fingerprint, now.mono, station, &frames);
        self.steps.remove(&(transmission.end, Step::Sent(number)));
        transmission.end = transmission.keyed + waveform.airtime(octets);
        transmission.blocks = waveform.blocks(octets);
        transmission.octets = octets as u64;
        transmission.frames = place(&waveform, frames);
        self.steps.insert((transmission.end, Step::Sent(number)));
        Ok(transmission.end)
    }

    /// Stops a station's transmission in mid-air.
    pub fn abort(&mut self, now: Now, station: StationId) {
        self.play(now.mono);
        let Some(receiver) = self.stations.get_mut(&station) else { return };
        let Some(number) = receiver.sending.take() else { return };
        let Some(transmission) = self.transmissions.get_mut(&number) else { return };
        note(&mut self.fingerprint, now.mono, station, &[]);
        self.steps.remove(&(transmission.end, Step::Sent(number)));
        self.steps.remove(&(transmission.end + self.config.propagation, Step::CarrierOff(number)));
        transmission.end = now.mono;
        transmission.aborted = true;
        receiver.account(transmission);
        self.listening_in.take(transmission);
        self.steps.insert((now.mono + self.config.propagation, Step::CarrierOff(number)));
    }

    /// Says that a station is, or is no more, in EMCON: from now on its emissions are violations.
    pub fn set_emcon(&mut self, now: Now, station: StationId, emcon: bool) {
        self.play(now.mono);
        let Some(receiver) = self.stations.get_mut(&station) else { return };
        receiver.emcon = emcon;
        let sending = receiver.sending.and_then(|number| self.transmissions.get_mut(&number));
        if let Some(transmission) = sending.filter(|transmission| emcon && !transmission.in_emcon) {
            transmission.in_emcon = true;
            receiver.counters.emissions_in_emcon += 1;
        }
    }

    /// Adds a time without propagation to those of the weather; the oldest is forgotten when there are too many.
    pub fn add_outage(&mut self, outage: Outage) {
        let outages = &mut self.config.outages;
        if outages.len() >= PERIODS_MAX {
            outages.remove(0);
        }
        outages.insert(outages.partition_point(|other| other.from <= outage.from), outage);
        self.outages_past = 0;
    }

    /// Plays what is due.
    pub fn handle_wakeup(&mut self, now: Now) {
        self.play(now.mono);
    }

    /// The next event of any station.
    pub fn poll(&mut self) -> Option<(StationId, ModemEvent)> {
        self.stations.iter_mut().find_map(|(&station, receiver)| Some((station, receiver.events.pop_front()?)))
    }

    /// The next event of one station.
    pub fn poll_event(&mut self, station: StationId) -> Option<ModemEvent> {
        self.stations.get_mut(&station)?.events.pop_front()
    }

    /// Of each other station, the last frame that a station received, and when that left its sender as well as a hearer can
    /// know it: one interleaver block before the start of the one that its first octet was in.
    pub fn last_received(&self, station: StationId) -> impl Iterator<Item = (StationId, Instant, &Bytes)> {
        let receiver = self.stations.get(&station).into_iter();
        receiver.flat_map(|receiver| receiver.last_received.iter().map(|(&of, (at, octets))| (of, *at, octets)))
    }

    /// A station forgets what it received.
    pub fn forget_received(&mut self, station: StationId) {
        if let Some(receiver) = self.stations.get_mut(&station) {
            receiver.last_received.clear();
        }
    }

    /// The mode of what a station hears: the slowest where several transmit.
    pub(super) fn heard(&self, station: StationId) -> Option<Waveform> {
        let heard = self.stations.get(&station)?.heard.iter();
        let waveforms = heard.filter_map(|number| Some(self.transmissions.get(number)?.waveform));
        waveforms.min_by_key(|waveform| waveform.bits_per_second)
    }

    /// Whether events wait for a station.
    pub fn has_events(&self, station: StationId) -> bool {
        self.stations.get(&station).is_some_and(|receiver| !receiver.events.is_empty())
    }

    /// From now on frames that went on the air are kept for [`Channel::poll_on_air`].
    pub fn listen_in(&mut self) {
        self.listening_in.begin();
    }

    /// The next frame that went on the air.
    pub fn poll_on_air(&mut self) -> Option<OnAir> {
        self.listening_in.poll()
    }

    /// When the channel wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        self.steps.first().map(|&(at, step)| {
            let why = match step {
                Step::CarrierOn(_) => "carrier on",
                Step::Synchronised(_) => "preamble heard",
                Step::Block(_) => "interleaver block",
                Step::Sent(_) => "transmission sent",
                Step::CarrierOff(_) => "carrier off",
            };
            Wakeup { at, why }
        })
    }

    /// What a station put on the air so far; a transmission counts when it ends.
    pub fn counters(&self, station: StationId) -> StationCounters {
        self.stations.get(&station).map(|receiver| receiver.counters).unwrap_or_default()
    }

    /// A fingerprint (FNV-1a) of everything put on the air: when, by whom, the octets of every frame.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The mode of the channel.
    pub const fn waveform(&self) -> Waveform {
        self.config.waveform
    }

    fn play(&mut self, until: Instant) {
        while let Some(&(at, step)) = self.steps.first().filter(|(at, _)| *at <= until) {
            self.steps.remove(&(at, step));
            self.last_played = Some(at);
            match step {
                Step::CarrierOn(number) => self.on_carrier(number),
                Step::Synchronised(number) => self.on_synchronised(number, at),
                Step::Block(number) => self.on_block(number, at),
                Step::Sent(number) => self.on_sent(number),
                Step::CarrierOff(number) => self.on_carrier_off(number),
            }
        }
    }

    fn on_carrier(&mut self, number: u64) {
        let Some(transmission) = self.transmissions.get(&number) else { return };
        let (station, at) = (transmission.station, transmission.carrier());
        if transmission.aborted && transmission.end < at {
            return;
        }
        let hearing: Vec<StationId> =
            self.others(station).filter(|&other| !self.is_down(station, other, at, at, CARRIER)).collect();
        for id in hearing {
            let Some(receiver) = self.stations.get_mut(&id) else { continue };
            if receiver.heard.is_empty() {
                receiver.event(ModemEvent::CarrierOn);
            }
            receiver.heard.insert(number);
        }
    }

    fn on_synchronised(&mut self, number: u64, at: Instant) {
        let Some(transmission) = self.transmissions.get(&number) else { return };
        if transmission.aborted {
            return;
        }
        let block = transmission.waveform.block;
        let (station, from, until) = (transmission.station, transmission.carrier(), transmission.data);
        let receptions = self
            .others(station)
            .map(|other| {
                let collided = self.is_disturbed(number, other, from, until);
                let synchronised = !collided && !self.is_down(station, other, from, until, CARRIER);
                (other, Reception { synchronised, collided, ..Reception::default() })
            })
            .collect();
        if let Some(transmission) = self.transmissions.get_mut(&number) {
            transmission.receptions = receptions;
        }
        self.steps.insert((at + block, Step::Block(number)));
    }

    fn on_block(&mut self, number: u64, at: Instant) {
        let Some(transmission) = self.transmissions.get(&number) else { return };
        let (block_time, rate) = (transmission.waveform.block, transmission.waveform.bits_per_second);
        let until = at - self.config.propagation;
        let (station, from) = (transmission.station, until - block_time);
        if until > transmission.end {
            return;
        }
        // The weather's own step, so that a station with short blocks does not hurry it.
        let weather_block = from.since(self.origin).as_micros() / self.config.waveform.block.as_micros().max(1);
        let weather_block = u64::try_from(weather_block).unwrap_or(u64::MAX);
        let mut outcomes: Vec<(StationId, bool, bool)> = Vec::new();
        for other in self.others(station) {
            let collided = self.is_disturbed(number, other, from, until);
            outcomes.push((other, collided || self.is_down(station, other, from, until, rate), collided));
        }
        let Some(transmission) = self.transmissions.get_mut(&number) else { return };
        for (id, mut lost, collided) in outcomes {
            let Some(receiver) = self.stations.get_mut(&id) else { continue };
            // The burst process advances whether or not somebody listens, so that one station's doings do not change
            // another one's weather.
            lost |= receiver.loss.is_lost(weather_block);
            transmission.receive(receiver, id, lost, collided);
        }
        transmission.block += 1;
        if transmission.block < transmission.blocks {
            self.steps.insert((at + block_time, Step::Block(number)));
        } else {
            self.steps.insert((at, Step::CarrierOff(number)));
        }
    }

    fn on_sent(&mut self, number: u64) {
        let Some(transmission) = self.transmissions.get(&number) else { return };
        let Some(receiver) = self.stations.get_mut(&transmission.station) else { return };
        receiver.sending = None;
        receiver.account(transmission);
        receiver.event(ModemEvent::Sent);
        self.listening_in.take(transmission);
    }

    fn on_carrier_off(&mut self, number: u64) {
        for receiver in self.stations.values_mut() {
            if receiver.heard.remove(&number) && receiver.heard.is_empty() {
                receiver.event(ModemEvent::CarrierOff);
            }
        }
        let Some(transmission) = self.transmissions.get_mut(&number) else { return };
        transmission.aborted = true;
        for (id, reception) in &transmission.receptions {
            let Some(receiver) = self.stations.get_mut(id) else { continue };
            receiver.counters.collisions += u64::from(reception.collided);
            receiver.counters.frames_lost += (transmission.frames.len() - reception.next_frame) as u64;
        }
        transmission.frames = Vec::new();
        transmission.receptions = BTreeMap::new();
        self.prune();
    }

    /// Ended transmissions are kept as long as one lives that they may have disturbed.
    fn prune(&mut self) {
        let alive = self.transmissions.values().filter(|transmission| !transmission.aborted);
        let oldest = alive.map(|transmission| transmission.keyed).min();
        self.transmissions
            .retain(|_, one| !one.aborted || oldest.is_some_and(|keyed| keyed <= one.end + Duration::from_secs(1)));
        if let (None, Some(now)) = (oldest, self.last_played) {
            let past = |outage: &&Outage| outage.until < now;
            self.outages_past += self.config.outages[self.outages_past..].iter().take_while(past).count();
        }
    }

    fn others(&self, station: StationId) -> impl Iterator<Item = StationId> + '_ {
        self.stations.keys().copied().filter(move |&other| other != station)
    }

    /// Whether what is sent at this rate does not get from one to the other.
    fn is_down(&self, sender: StationId, receiver: StationId, from: Instant, until: Instant, rate: u32) -> bool {
        let live = self.config.outages.iter().skip(self.outages_past);
        live.take_while(|outage| outage.from <= until).filter(|outage| rate > outage.bits_per_second_max).any(
            |outage| {
                outage.station.is_none_or(|station| station == sender || station == receiver) && from < outage.until
            },
        )
    }

    /// Whether something else spoils a reception: another signal, or the receiver's own transmitter.
    fn is_disturbed(&self, number: u64, receiver: StationId, from: Instant, until: Instant) -> bool {
        self.transmissions.iter().filter(|&(&other, _)| other != number).any(|(_, other)| {
            let own = other.station == receiver;
            let begin = if own { other.keyed } else { other.carrier() };
            begin < until && from < other.end && (own || !self.is_down(other.station, receiver, from, until, CARRIER))
        })
    }
}

impl Receiver {
    fn event(&mut self, event: ModemEvent) {
        if self.events.len() >= EVENTS_WAITING_MAX {
            self.events.pop_front();
            self.counters.events_dropped += 1;
        }
        self.events.push_back(event);
    }

    fn account(&mut self, transmission: &Transmission) {
        let micros = transmission.end.since(transmission.keyed).as_micros();
        self.counters.micros_on_air += u64::try_from(micros).unwrap_or(u64::MAX);
        self.counters.octets_on_air += transmission.octets;
    }
}

/// Adds frames to a fingerprint.
fn note(fingerprint: &mut u64, at: Instant, station: StationId, frames: &[Bytes]) {
    let mut add = |octets: &[u8]| {
        for &octet in octets {
            *fingerprint = (*fingerprint ^ u64::from(octet)).wrapping_mul(FNV_PRIME);
        }
    };
    add(&at.as_micros().to_be_bytes());
    add(&station.0.to_be_bytes());
    frames.iter().for_each(|frame| add(frame));
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;

//! Frames that somebody hostile made.

use proptest::prelude::*;
use skywave_protocols::s5066::node::dpdu::eow::{self, EowMessage, RateChange, RateResponse};

use super::*;

/// A modem whose other end is the test.
struct Bare {
    waveform: Waveform,
    events: VecDeque<ModemEvent>,
    sent: Vec<Bytes>,
    transmitting: bool,
    /// What it says of the mode of what it hears.
    heard: Option<Waveform>,
}

impl Bare {
    const fn new(waveform: Waveform) -> Self {
        Self { waveform, events: VecDeque::new(), sent: Vec::new(), transmitting: false, heard: None }
    }
}

impl Modem for Bare {
    fn waveform(&self) -> Waveform {
        self.waveform
    }

    fn carrier(&self) -> bool {
        false
    }

    fn heard(&self) -> Option<Waveform> {
        self.heard
    }

    fn transmitting(&self) -> bool {
        self.transmitting
    }

    fn transmit(&mut self, now: Now, waveform: &Waveform, frames: Vec<Bytes>) -> Result<Instant, ModemFault> {
        self.transmitting = true;
        let octets = frames.iter().map(Bytes::len).sum();
        self.sent.extend(frames);
        Ok(now.mono + waveform.airtime(octets))
    }

    fn begun(&self, _now: Now) -> Option<usize> {
        self.transmitting.then_some(0)
    }

    fn replace(&mut self, now: Now, _from: usize, frames: Vec<Bytes>) -> Result<Instant, ModemFault> {
        self.transmit(now, &self.waveform(), frames)
    }

    fn set_emcon(&mut self, _now: Now, _emcon: bool) {}

    fn abort(&mut self, _now: Now) {
        self.transmitting = false;
    }

    fn handle_wakeup(&mut self, _now: Now) {}

    fn poll_event(&mut self) -> Option<ModemEvent> {
        self.events.pop_front()
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        None
    }
}

/// A frame as somebody hostile would make it: valid octets, any fields.
fn hostile_frame(random: &mut Seeded) -> Bytes {
    let source = [address(1), address(0), address(3), NodeAddress::individual(random.below(300) as u32)];
    let source = source[random.below(4) as usize];
    let destination = [address(0), address(0), GROUP, address(2)][random.below(4) as usize];
    let mut segment = vec![0; random.below(512) as usize];
    random.fill(&mut segment);
    if random.chance(300_000) {
        // A C_PDU about links, or an S_PDU.
        segment = vec![random.below(0x60) as u8];
    }
    let c_pdu_size = segment.len() as u16 + [0, 0, 700][random.below(3) as usize];
    let mut flag = || random.chance(300_000);
    let flags = [flag(), flag(), flag(), flag(), flag(), flag()];
    let fsn = random.below(256) as u8;
    let data = DataPart {
        start: flags[0],
        end: flags[1],
        in_order: flags[2],
        drop: flags[3],
        uwe: flags[4],
        lwe: flags[5],
        fsn,
        segment: if flags[3] { Bytes::new() } else { segment.clone().into() },
    };
    let ack = AckPart::new(random.below(256) as u8, (0..random.below(20)).map(|_| random.below(128) as u8 + 1));
    let non_arq = NonArqPart {
        in_order: flags[2],
        c_pdu_id: random.below(40) as u16,
        c_pdu_size,
        offset: [0, 0, random.below(800) as u16][random.below(3) as usize],
        window: random.below(0x1_0000) as u16,
        segment: segment.clone().into(),
    };
    let body = match random.below(12) {
        0 | 1 => Body::Data(data),
        2 => Body::Ack(ack),
        3 => Body::DataAck(data, ack),
        4 => Body::Reset(ResetPart {
            full_command: flags[0],
            tx_window_request: flags[1],
            rx_window_command: flags[2],
            ack: flags[3],
            new_rx_lwe: fsn,
            frame_id: random.below(256) as u8,
        }),
        5 => Body::ExpeditedData(ExpeditedPart {
            start: flags[0],
            end: flags[1],
            c_pdu_id: fsn & 15,
            fsn: random.below(200) as u8,
            segment: segment.into(),
        }),
        6 => Body::ExpeditedAck(ack),
        7 => Body::Management(ManagementPart { valid: flags[0], ack: flags[1], frame_id: fsn, extended: None }),
        8 => Body::NonArq(non_arq),
        9 => Body::ExpeditedNonArq(non_arq),
        10 => Body::Warning { received: fsn & 15, reason: fsn >> 4 },
        _ => Body::Unknown { kind: 9 + fsn % 6, part: Bytes::from(segment).slice(..0) },
    };
    let group = matches!(body, Body::NonArq(_) | Body::ExpeditedNonArq(_));
    let destination = if destination.is_group() && !group { address(0) } else { destination };
    DPdu { eow: Eow::default(), eot: random.below(256) as u8, destination, source, body }.encode()
}

/// A station with a client, and the modem whose other end is the test.
struct Alone {
    station: Station,
    modem: Bare,
    now: Now,
}

impl Alone {
    fn new() -> Self {
        Self::with_rates(&[], None)
    }

    /// A station that may change its rate, and whose modem tells the mode of what it hears.
    fn with_rates(rates: &[u32], heard: Option<Waveform>) -> Self {
        let modem = Bare { heard, ..Bare::new(Waveform::new(1200, Interleaver::Short).unwrap()) };
        let mut config = StationConfig::new(address(0));
        (config.server.keep_alive, config.rates) = (None, rates.to_vec());
        let mut alone = Self { station: Station::new(config, Seeded::new(1)), modem, now: Now::default() };
        let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
        let bind = Primitive::BindRequest { sap: SapId::RCOP, rank: Rank::default(), service };
        alone.client(ClientInput::Accepted);
        alone.client(ClientInput::Read(bind.encode().unwrap()));
        alone
    }

    fn client(&mut self, input: ClientInput) {
        self.station.handle_client(self.now, ClientId(1), input, &mut self.modem);
    }

    /// A frame is heard that takes 0.6 s.
    fn hear(&mut self, frame: Bytes) {
        self.modem.events.push_back(ModemEvent::CarrierOn);
        self.station.handle_modem(self.now, &mut self.modem);
        self.now = self.now.after(Duration::from_millis(600));
        self.modem.events.extend([ModemEvent::Received(frame), ModemEvent::CarrierOff]);
        self.station.handle_modem(self.now, &mut self.modem);
    }

    /// Lets time pass; what is transmitted leaves within half a second.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..2 * seconds {
            self.now = self.now.after(Duration::from_millis(500));
            if self.station.next_wakeup().is_some_and(|wakeup| wakeup.at <= self.now.mono) {
                self.station.handle_wakeup(self.now, &mut self.modem);
            }
            if std::mem::take(&mut self.modem.transmitting) {
                self.modem.events.push_back(ModemEvent::Sent);
                self.station.handle_modem(self.now, &mut self.modem);
            }
        }
    }
}

/// A U_PDU for the next station.
fn request(u_pdu: Bytes) -> Primitive {
    let mode = DeliveryMode::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder);
    let (destination, sap, ttl) = (address(1), SapId::RCOP, Ttl::INFINITE);
    Primitive::UnidataRequest(UnidataRequest { priority: 6, sap, destination, mode, retransmissions: 0, ttl, u_pdu })
}

/// Somebody announces every two minutes that he is going to transmit for two, and does not.
#[test]
fn false_ends_do_not_silence_a_station_for_ever() {
    let mut alone = Alone::new();
    alone.client(ClientInput::Read(request(unit(1, 100)).encode().unwrap()));
    let mut sent = Vec::new();
    for turn in 0..120 {
        let pdu = DPdu {
            eow: Eow::default(),
            eot: 255,
            destination: address(7),
            source: address(2 + turn % 5),
            body: Body::Warning { received: 0, reason: 0 },
        };
        alone.hear(pdu.encode());
        alone.pass(120);
        sent.push(alone.modem.sent.len());
    }
    let link = alone.station.counters();
    assert!(link.ends_early >= 120 && link.ends_disbelieved > 10, "{link:?}");
    for (hour, pair) in sent.chunks(30).collect::<Vec<_>>().windows(2).enumerate() {
        assert!(pair[1].last() > pair[0].last(), "nothing was sent in hour {hour}: {sent:?}");
    }
}

/// A carrier ends before the end it announced, and all of it but one D_PDU was lost: when that D_PDU began is known by its
/// rate, which it does not say itself.
#[test]
fn an_end_is_waited_for_at_the_rate_that_the_modem_tells() {
    let waveform = Waveform::new(1200, Interleaver::Short).unwrap();
    let mut alone = Alone::with_rates(&[75, 1200], Some(waveform));
    alone.client(ClientInput::Read(request(unit(1, 100)).encode().unwrap()));
    alone.modem.events.push_back(ModemEvent::CarrierOn);
    alone.station.handle_modem(alone.now, &mut alone.modem);
    alone.now = alone.now.after(Duration::from_secs(8));
    let (c_pdu_id, c_pdu_size, segment) = (1, 200, unit(2, 200));
    let part = NonArqPart { in_order: false, c_pdu_id, c_pdu_size, offset: 0, window: 9, segment };
    let (destination, source, body) = (address(7), address(2), Body::NonArq(part));
    let pdu = DPdu { eow: Eow::default(), eot: 20, destination, source, body };
    alone.modem.events.push_back(ModemEvent::Received(pdu.encode()));
    alone.station.handle_modem(alone.now, &mut alone.modem);
    alone.now = alone.now.after(Duration::from_secs(4));
    alone.modem.events.push_back(ModemEvent::CarrierOff);
    alone.station.handle_modem(alone.now, &mut alone.modem);
    alone.pass(5);
    assert!(
        alone.modem.sent.is_empty(),
        "it began two seconds before it was heard, at 1200 bit/s, and ten before its end"
    );
    alone.pass(10);
    assert!(!alone.modem.sent.is_empty());
}

/// Anybody may ask for answers under as many addresses as a node keeps in mind: it goes on all the same.
#[test]
fn answers_owed_to_strangers_do_not_stop_a_node() {
    for emcon in [false, true] {
        let mut alone = Alone::new();
        alone.station.set_emcon(alone.now, emcon, &mut alone.modem);
        for stranger in 0..300 {
            let part = ManagementPart { valid: true, ack: false, frame_id: 3, extended: None };
            let (source, body) = (NodeAddress::individual(10_000 + stranger), Body::Management(part));
            let pdu = DPdu { eow: Eow::default(), eot: 0, destination: address(0), source, body };
            alone.modem.events.push_back(ModemEvent::Received(pdu.encode()));
            alone.station.handle_modem(alone.now, &mut alone.modem);
        }
        alone.station.set_emcon(alone.now, false, &mut alone.modem);
        alone.client(ClientInput::Read(request(unit(1, 100)).encode().unwrap()));
        alone.pass(600);
        let sent = alone.modem.sent.iter().map(|frame| decode(frame).unwrap().pdu);
        assert!(sent.filter(|pdu| pdu.destination == address(1)).count() > 0, "emcon: {emcon}");
    }
}

/// A master that would change the rate gets an answer, and does not wait for ever.
#[test]
fn a_change_of_rate_is_refused() {
    let change = RateChange { rate: 5, interleaver: eow::Interleaver::Long, advisory: false, same_both_ways: true };
    let refusal = EowMessage::RateResponse { response: RateResponse::Refuse, reason: 2 };
    for (asked, answer) in [
        (EowMessage::RateChange(change), Some(refusal)),
        (EowMessage::WaveformChange { waveform: 3, channels: 1 }, Some(refusal)),
        (EowMessage::Frequency { response: false, data: 7 }, Some(EowMessage::Unrecognised(5))),
        (EowMessage::RateChange(RateChange { advisory: true, ..change }), None),
        (refusal, None),
    ] {
        let mut alone = Alone::new();
        let part = ManagementPart { valid: true, ack: false, frame_id: 3, extended: None };
        let body = Body::Management(part);
        let pdu = DPdu { eow: asked.into(), eot: 2, destination: address(0), source: address(1), body };
        alone.hear(pdu.encode());
        alone.pass(20);
        let sent: Vec<DPdu> = alone.modem.sent.iter().map(|frame| decode(frame).unwrap().pdu).collect();
        let Body::Management(first) = &sent[0].body else { panic!("{sent:?}") };
        assert!(first.ack && first.valid == answer.is_some(), "{sent:?}");
        assert!(answer.is_none_or(|answer| sent[0].eow.meaning() == answer), "{asked:?}: {sent:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_frames_hurt(seed: u64) {
        let mut random = Seeded::new(seed);
        let waveform = Waveform::new(9600, Interleaver::Short).unwrap();
        let mut modem = Bare::new(waveform);
        let mut config = StationConfig::new(address(0));
        (config.groups, config.server.keep_alive) = (vec![GROUP], None);
        let mut station = Station::new(config, Seeded::new(1));
        let mut now = Now::default();
        station.handle_client(now, ClientId(1), ClientInput::Accepted, &mut modem);
        let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
        let bind = Primitive::BindRequest { sap: SapId::RCOP, rank: Rank::default(), service };
        station.handle_client(now, ClientId(1), ClientInput::Read(bind.encode().unwrap()), &mut modem);
        for round in 0..120 {
            modem.events.push_back(ModemEvent::CarrierOn);
            for _ in 0..random.below(6) {
                let mut frame = hostile_frame(&mut random).to_vec();
                if random.chance(200_000) {
                    let at = random.below(frame.len() as u64) as usize;
                    frame[at] ^= 1 << random.below(8);
                }
                modem.events.push_back(ModemEvent::Received(frame.into()));
            }
            modem.events.push_back(ModemEvent::CarrierOff);
            station.handle_modem(now, &mut modem);
            for _ in 0..20 {
                let Some(wakeup) = station.next_wakeup() else { break };
                now = now.after(wakeup.at.since(now.mono).min(Duration::from_secs(1)));
                station.handle_wakeup(now, &mut modem);
                if std::mem::take(&mut modem.transmitting) {
                    modem.events.push_back(ModemEvent::Sent);
                    station.handle_modem(now, &mut modem);
                }
            }
            let emcon = round % 40 > 20;
            station.set_emcon(now, emcon, &mut modem);
            let sent = modem.sent.len();
            if emcon {
                station.handle_wakeup(now.after(Duration::from_secs(60)), &mut modem);
                prop_assert_eq!(modem.sent.len(), sent);
            }
            prop_assert_eq!(station.over_limit(), None);
            while station.poll().is_some() {}
        }
        prop_assert!(station.counters().frames_forged > 0);
        for frame in &modem.sent {
            prop_assert!(decode(frame).is_ok());
        }
    }
}

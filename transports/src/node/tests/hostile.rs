//! Frames that somebody hostile made.

use proptest::prelude::*;

use super::*;

/// A modem whose other end is the test.
struct Bare {
    waveform: Waveform,
    events: VecDeque<ModemEvent>,
    sent: Vec<Bytes>,
    transmitting: bool,
}

impl Modem for Bare {
    fn waveform(&self) -> Waveform {
        self.waveform
    }

    fn carrier(&self) -> bool {
        false
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_frames_hurt(seed: u64) {
        let mut random = Seeded::new(seed);
        let waveform = Waveform::new(9600, Interleaver::Short).unwrap();
        let mut modem = Bare { waveform, events: VecDeque::new(), sent: Vec::new(), transmitting: false };
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

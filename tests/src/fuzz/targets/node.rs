//! What other nodes send over the air, and what the layers of a node make of it.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::cas::{Cas, CasConfig, CasOutput, LinkSetup};
use skywave_protocols::s5066::node::cpdu::{CPdu, LinkBreak};
use skywave_protocols::s5066::node::dpdu::split::Splitter;
use skywave_protocols::s5066::node::dpdu::{DPdu, Eow, Received, SYNC, decode};
use skywave_protocols::s5066::node::dts::{CPduNumber, Dts, DtsConfig, DtsEvent, Plan, Sending, Service};
use skywave_protocols::s5066::node::mark::Mark;
use skywave_protocols::s5066::node::spdu::SPdu;
use skywave_protocols::time::{Duration, Now};

use super::{BEGIN, drain, later, steps};

const OWN: NodeAddress = NodeAddress::individual(0x0102_0304);
/// Linked, linked, a stranger.
const PEERS: [NodeAddress; 3] =
    [NodeAddress::individual(0x0102_0305), NodeAddress::individual(0x0102_0306), NodeAddress::individual(4)];
/// Octets that a transmission of the target carries.
const TRANSMISSION_OCTETS: usize = 3000;

/// Octets of a modem: as they are, in pieces, and as one D_PDU with true CRCs. How many D_PDUs were read.
pub fn d_pdu(octets: &[u8]) -> usize {
    let sealed = sealed(octets);
    let mut read = 0;
    for stream in [octets, &sealed] {
        if let Ok(received) = decode(stream) {
            survives(&received);
        }
        let mut splitter = Splitter::new();
        for piece in stream.chunks(7) {
            splitter.push(piece);
            read += found(&mut splitter);
        }
        splitter.end();
        read += found(&mut splitter);
        assert!(splitter.skipped() <= stream.len() as u64, "more was skipped than there was");
    }
    read
}

fn found(splitter: &mut Splitter) -> usize {
    let mut read = 0;
    drain(|| {
        let Some(received) = splitter.poll() else { return false };
        survives(&received);
        read += 1;
        true
    });
    read
}

/// What was read whole must be written and read again as the same.
fn survives(received: &Received) {
    if received.segment_intact {
        let written = received.pdu.encode_with_addresses(received.address_octets);
        let again = decode(&written).map(|again| again.pdu);
        assert_eq!(again.as_ref(), Ok(&received.pdu), "it was written as {written:02x?}");
    }
}

/// An S_PDU. 1 when it was read.
pub fn s_pdu(octets: &[u8]) -> usize {
    let Ok(s_pdu) = SPdu::decode(&Bytes::copy_from_slice(octets)) else { return 0 };
    if let SPdu::Data(data) = &s_pdu {
        let _ = data.ttd.map(|ttd| ttd.has_passed(BEGIN.wall));
    }
    assert_eq!(SPdu::decode(&s_pdu.encode()), Ok(s_pdu), "an S_PDU must survive being written");
    1
}

/// A C_PDU. 1 when it was read.
pub fn c_pdu(octets: &[u8]) -> usize {
    let Ok(c_pdu) = CPdu::decode(&Bytes::copy_from_slice(octets)) else { return 0 };
    assert_eq!(CPdu::decode(&c_pdu.encode()), Ok(c_pdu), "a C_PDU must survive being written");
    1
}

/// D_PDUs for a node that has links with two others and something to send to them; the third is a stranger. After each
/// a transmission goes out. How many C_PDUs arrived, were delivered or failed.
pub fn dts(octets: &[u8]) -> usize {
    let mut dts = Dts::new(DtsConfig::new(OWN), Seeded::new(1));
    let mut now = BEGIN;
    let mut ended = 0;
    PEERS[..2].iter().for_each(|&peer| dts.connect(now, peer));
    traffic().for_each(|sending| dts.submit(now, sending));
    for (turn, (span, piece)) in steps(octets).enumerate() {
        now = later(now, span);
        if let Ok(Received { pdu, segment_intact, .. }) = decode(&sealed(piece)) {
            let source = PEERS[pdu.source.bits() as usize % PEERS.len()];
            let destination = if pdu.destination.is_group() { pdu.destination } else { OWN };
            dts.heard(now, &DPdu { source, destination, ..pdu }, segment_intact);
        }
        dts.expire(now);
        let frames = dts.compose(now, &Plan::new(TRANSMISSION_OCTETS, 200));
        let total: usize = frames.iter().map(DPdu::octets).sum();
        assert!(total <= TRANSMISSION_OCTETS, "{total} octets");
        for pdu in &frames {
            assert_eq!(decode(&pdu.encode()).map(|read| read.pdu).as_ref(), Ok(pdu), "it sends what nobody reads");
        }
        if turn % 5 == 4 {
            dts.cut_off(now, frames.len() / 2);
        } else {
            dts.sent(now);
        }
        if turn % 3 == 2 {
            dts.missed(now, PEERS[turn % 2], turn % 4 == 1);
        }
        drain(|| {
            match dts.poll_event() {
                Some(DtsEvent::PeerUnconnected(peer) | DtsEvent::ConnectionLost(peer)) => dts.connect(now, peer),
                Some(_) => ended += 1,
                None => return false,
            }
            true
        });
        assert_eq!(dts.over_limit(), None);
    }
    ended
}

/// C_PDUs of each service.
fn traffic() -> impl Iterator<Item = Sending> {
    let rows = [
        (PEERS[0], Service::Arq { in_order: true }, 2, 5000),
        (PEERS[0], Service::Arq { in_order: false }, 12, 100),
        (PEERS[1], Service::Arq { in_order: true }, 4, 900),
        (PEERS[1], Service::ExpeditedArq, 15, 60),
        (NodeAddress::ALL_STATIONS, Service::NonArq { copies: 2 }, 3, 700),
        (PEERS[2], Service::ExpeditedNonArq { copies: 1 }, 15, 1),
    ];
    (0_u64..).zip(rows).map(|(number, (destination, service, priority, octets))| Sending {
        number: CPduNumber(number),
        destination,
        service,
        priority,
        deadline: BEGIN.mono + Duration::from_secs(3600),
        c_pdu: vec![7; octets].into(),
    })
}

/// What other nodes say about links, one octet each, and what is wanted of the sublayer here. Links begin and end in
/// turn. How many were made.
pub fn cas(octets: &[u8]) -> usize {
    let setups = PEERS.into_iter().zip([LinkSetup::Ride, LinkSetup::Handshake, LinkSetup::Skip]).collect();
    // The fourth is one of those.
    let config = CasConfig { setup: LinkSetup::Reset, setups, links_max: 2, ..CasConfig::new(OWN) };
    let mut cas = Cas::new(config, Seeded::new(1));
    let mut now = BEGIN;
    let mut up = [false; PEERS.len()];
    let mut made = 0;
    for (span, piece) in steps(octets) {
        now = later(now, span * 10);
        for (turn, &octet) in piece.iter().enumerate() {
            one(&mut cas, now, PEERS[(turn + span.as_secs() as usize) % PEERS.len()], octet);
            if cas.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
                cas.handle_wakeup(now);
            }
            assert!(cas.next_wakeup().is_none_or(|wakeup| wakeup.at > now.mono), "the machine never rests");
            while let Some(output) = cas.poll_output() {
                let at = |peer| PEERS.iter().position(|known| *known == peer);
                match output {
                    CasOutput::Connected { peer, .. } => {
                        let up = at(peer).and_then(|at| up.get_mut(at));
                        assert_eq!(up.map(|up| std::mem::replace(up, true)), Some(false), "connected twice");
                        made += 1;
                    }
                    CasOutput::Disconnected { peer, .. } => {
                        let up = at(peer).and_then(|at| up.get_mut(at));
                        assert_eq!(up.map(|up| std::mem::replace(up, false)), Some(true), "there was no link");
                    }
                    CasOutput::Send { .. } | CasOutput::Withdraw { .. } | CasOutput::Refused { .. } => {}
                }
            }
        }
    }
    made
}

fn one(cas: &mut Cas, now: Now, peer: NodeAddress, octet: u8) {
    let flag = octet & 1 != 0;
    match octet >> 4 {
        6 => cas.want(now, peer, flag),
        7 => cas.release(now, peer, LinkBreak::HigherLayer),
        8 => cas.sent(now, peer),
        9 => {
            cas.data_heard(now, peer, Mark::of(Eow { kind: octet & 0xf, data: octet }), flag);
        }
        10 => cas.peer_unconnected(now, peer),
        11 => cas.set_silent(now, flag),
        12 => cas.missed(now, peer),
        _ => {
            if let Ok(CPdu::Link(message)) = CPdu::decode(&Bytes::copy_from_slice(&[octet])) {
                cas.heard(now, peer, message);
            }
        }
    }
}

/// The D_PDU with sync octets and true CRCs: otherwise nearly every mutation would stop there.
fn sealed(octets: &[u8]) -> Vec<u8> {
    let mut frame = octets.to_vec();
    let Some(&sizes) = frame.get(5) else { return frame };
    frame[..2].copy_from_slice(&SYNC);
    let (m, h) = (usize::from(sizes >> 5), usize::from(sizes & 0x1f));
    let crc_at = m + h;
    if m == 0 || h < 6 || frame.len() < crc_at + 2 {
        return frame;
    }
    let crc = crc(&frame[2..crc_at], 0x9299);
    frame[crc_at..crc_at + 2].copy_from_slice(&crc.to_le_bytes()[..2]);
    let has_segment = matches!(frame[2] >> 4, 0 | 2 | 4 | 7 | 8);
    let size = frame.get(6 + m..8 + m).map_or(0, |size| usize::from(size[0] & 3) << 8 | usize::from(size[1]));
    let segment = crc_at + 2..crc_at + 2 + size;
    if has_segment && frame.len() >= segment.end + 4 {
        let crc = self::crc(&frame[segment.clone()], 0xf3a4_e550);
        frame[segment.end..segment.end + 4].copy_from_slice(&crc.to_le_bytes());
    }
    frame
}

/// Bit by bit, as the fact sheet words it.
fn crc(octets: &[u8], polynomial: u32) -> u32 {
    octets.iter().flat_map(|octet| (0..8).map(move |bit| u32::from(octet >> bit & 1))).fold(0, |crc, bit| {
        let feedback = crc & 1 ^ bit;
        crc >> 1 ^ if feedback == 1 { polynomial } else { 0 }
    })
}

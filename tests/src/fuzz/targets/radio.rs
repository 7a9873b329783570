//! What comes from a node, from its clients, or from the air.

use skywave_protocols::acp142::checksum::Checksum;
use skywave_protocols::acp142::config::EngineConfig;
use skywave_protocols::acp142::engine::Engine;
use skywave_protocols::acp142::event::{Event, Outgoing as Message};
use skywave_protocols::acp142::pdu::{NodeId, Pdu};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::node::hard_link::HardLinkMessage;
use skywave_protocols::s5066::node::sis_server::{ServerOutput, SisServer, SisServerConfig};
use skywave_protocols::s5066::node::{ClientId, Outcome as Fate};
use skywave_protocols::s5066::rcop::Header;
use skywave_protocols::s5066::reassembly::{Outcome, Reassembly, ReassemblyLimits, UnitKey};
use skywave_protocols::s5066::sis::client::SisClient;
use skywave_protocols::s5066::sis::event::{SisConfig, SisEvent, SisRequest};
use skywave_protocols::s5066::sis::fields::{DeliveryMode, SapId, Ttl};
use skywave_protocols::time::{Duration, Now};
use skywave_transports::modem::channel::{Channel, ChannelConfig};
use skywave_transports::modem::loss::Loss;
use skywave_transports::modem::shared::guest::Joining;
use skywave_transports::modem::shared::host::{GuestId, GuestOutput, Guests};
use skywave_transports::modem::weather::Weather;
use skywave_transports::node::Simulator;

use super::{BEGIN, drain, later, steps};

const OWN: NodeAddress = NodeAddress::individual(0x0102_0304);

/// What a node sends to its client; each step also lets time pass. The client always has something to send. How many
/// events came.
pub fn sis_client(octets: &[u8]) -> usize {
    let config = SisConfig { own_address: Some(OWN), ..SisConfig::new(SapId::RCOP, DeliveryMode::ARQ_NODE) };
    let mut client = SisClient::new(config, 1);
    let mut now = BEGIN;
    client.start();
    let mut events = react(&mut client, now);
    for (span, piece) in steps(octets) {
        now = later(now, span);
        let request = SisRequest {
            token: now.mono.as_micros(),
            sap: SapId::RCOP,
            destination: NodeAddress::individual(0x0102_0305),
            mode: DeliveryMode::ARQ_NODE,
            priority: 3,
            retransmissions: 0,
            ttl: Ttl::INFINITE,
            expedited: false,
            u_pdu: Bytes::from_static(b"\x00\x01\x00\x00\x80\x01HELLO"),
        };
        // Refused while there is no session, or when the queue is full: both are answers.
        let _ = client.submit(now, request);
        client.handle_read(now, piece);
        events += react(&mut client, now);
        if client.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
            client.handle_wakeup(now);
            events += react(&mut client, now);
        }
    }
    events
}

fn react(client: &mut SisClient, now: Now) -> usize {
    let mut events = 0;
    drain(|| {
        let wrote = client.poll_write().is_some();
        match client.poll_event() {
            Some(SisEvent::WantOpen) => client.opened(now),
            Some(SisEvent::WantClose) => client.closed(now, None),
            Some(_) => events += 1,
            None => return wrote,
        }
        true
    });
    events
}

/// What a client sends to the node; everything it asks to be carried is delivered at once. How
/// many U_PDUs it asked for.
pub fn sis_server(octets: &[u8]) -> usize {
    let mut sent = 0;
    let mut server = SisServer::new(SisServerConfig::new(OWN));
    let (mut now, client) = (BEGIN, ClientId(1));
    server.accept(now, client);
    for (span, piece) in steps(octets) {
        now = later(now, span);
        server.handle_read(now, client, piece);
        if let Ok(message) = HardLinkMessage::decode(piece) {
            assert_eq!(HardLinkMessage::decode(&message.encode()), Ok(message), "a message must survive being written");
            server.handle_hard_link(now, NodeAddress::individual(5), message);
        }
        if server.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
            server.handle_wakeup(now);
        }
        drain(|| {
            match server.poll() {
                Some(ServerOutput::Send(outgoing)) => {
                    sent += 1;
                    server.finish(outgoing.id, Fate::Delivered);
                }
                Some(ServerOutput::WantLink(node)) => server.link_made(now, node, true),
                Some(ServerOutput::ReleaseLink(node)) => server.link_lost(node),
                Some(ServerOutput::Manage { client, kind, ask }) => server.answer(client, kind, ask.text()),
                Some(ServerOutput::Write(..)) => {}
                Some(ServerOutput::Close(client)) => {
                    server.closed(now, client);
                    server.accept(now, client);
                }
                None => return false,
            }
            true
        });
    }
    sent
}

/// U_PDUs with the header of RCOP and UDOP, rebuilt to units. The first octet of each names the source. How
/// many units became whole.
pub fn rcop(octets: &[u8]) -> usize {
    let mut whole = 0;
    let limits = ReassemblyLimits { unit_octets: 4096, source_octets: 8192, octets: 16_384 };
    let mut units = Reassembly::new(limits);
    let mut now = BEGIN;
    for (span, piece) in steps(octets) {
        now = later(now, span);
        let Some((&source, u_pdu)) = piece.split_first() else { continue };
        let Ok((header, data)) = Header::decode(&Bytes::copy_from_slice(u_pdu)) else { continue };
        let key = UnitKey {
            source: NodeAddress::individual(u32::from(source)),
            source_sap: SapId::RCOP,
            connection: header.connection,
            u_pdu_id: header.u_pdu_id,
        };
        whole += usize::from(matches!(units.handle_segment(now, key, header.segment, &data), Ok(Outcome::Whole(_))));
        assert!(units.depth().1 <= limits.octets, "{} octets are held", units.depth().1);
        units.handle_wakeup(now);
    }
    whole
}

/// What a process that joins a radio sends to its host; then, what a host sends to a guest. How many messages of the
/// guest were taken or answered.
pub fn shared_radio(octets: &[u8]) -> usize {
    let (mut now, id, mut answers) = (BEGIN, GuestId(1), 0);
    let config = ChannelConfig {
        waveform: Weather::default().waveform,
        propagation: Duration::ZERO,
        loss: Loss::default(),
        outages: Vec::new(),
    };
    let mut channel = Channel::new(now, config, Seeded::new(1));
    let Ok(simulator) = Simulator::new(now, &Weather::default(), Vec::new()) else { return 0 };
    let mut host = Guests::new(simulator.welcome(), Vec::new());
    let mut joining = Joining::default();
    let mut guest = None;
    host.accepted(id);
    host.handle_read(now, id, &Joining::hello("a.test", NodeAddress::individual(1)), &mut channel);
    for (span, piece) in steps(octets) {
        now = later(now, span);
        channel.handle_wakeup(now);
        host.handle_read(now, id, piece, &mut channel);
        host.pump(&mut channel);
        drain(|| {
            let Some((_, output)) = host.poll() else { return false };
            answers += 1;
            if let GuestOutput::Write(octets) = output
                && guest.is_none()
            {
                guest = joining.handle_read(&octets).ok().flatten();
            }
            true
        });
        if let Some(guest) = &mut guest {
            let _ = guest.handle_read(piece);
        }
    }
    host.closed(now, id, &mut channel);
    answers
}

/// One datagram. What is taken must survive being written. How many were taken.
pub fn p_mul_pdu(octets: &[u8]) -> usize {
    let mut taken = 0;
    for datagram in [octets.to_vec(), sealed(octets)] {
        if let Ok(pdu) = Pdu::decode(&datagram) {
            let again = pdu.encode(Checksum::Fletcher);
            // Lists are written in their shortest form, which may leave out what the sender wrote twice.
            assert!(Pdu::decode(&again).is_ok(), "{pdu:?} was written as {again:02x?}");
            taken += 1;
        }
    }
    taken
}

/// Datagrams to an engine that itself sends a message; every arrival is accepted, every second one after a
/// refusal. How many messages arrived and how many events came.
pub fn p_mul(octets: &[u8]) -> usize {
    let mut events = 0;
    let mut now = BEGIN;
    let mut engine = Engine::new(EngineConfig::new(NodeId(0x0a00_0002)), now, Seeded::new(1));
    let message = Message {
        handle: 1,
        message: Bytes::from(vec![7; 1200]),
        destinations: vec![(NodeId(0x0a00_0001), false), (NodeId(0x0a00_0003), true)],
        priority: 8,
        expiry: now.wall + Duration::from_secs(3600),
        group: 1,
    };
    // Nothing speaks against this message; a refusal would show in the world's tests.
    let _ = engine.submit(now, message);
    let mut arrivals = 0_usize;
    for (span, piece) in steps(octets) {
        now = later(now, span);
        engine.handle_pdu(now, None, &sealed(piece));
        if engine.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
            engine.handle_wakeup(now);
        }
        for _ in 0..32 {
            let Some(pdu) = engine.poll_pdu(now) else { break };
            assert!(Pdu::decode(&pdu.octets).is_ok(), "the engine sent what nobody takes");
            engine.pdu_left(now, pdu.token);
        }
        drain(|| {
            let wrote = engine.poll_write().is_some();
            match engine.poll_event() {
                Some(Event::Arrived { arrival, .. }) => {
                    arrivals += 1;
                    if arrivals.is_multiple_of(2) {
                        engine.refuse(now, arrival, true);
                    }
                    engine.accept(now, arrival);
                }
                Some(_) => events += 1,
                None => return wrote,
            }
            true
        });
    }
    arrivals + events
}

/// The datagram with a true length and checksum: otherwise nearly every mutation would stop there.
fn sealed(octets: &[u8]) -> Vec<u8> {
    let mut datagram = octets.to_vec();
    if let (Ok(length), Some(field)) = (u16::try_from(octets.len()), datagram.get_mut(..2)) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    Checksum::Fletcher.seal(&mut datagram);
    datagram
}

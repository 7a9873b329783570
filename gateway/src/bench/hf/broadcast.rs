//! A broadcast from whole sites: a mail to silent receivers who lose some of it and say nothing.
//!
//! The sender's gateway knows that they keep silence and repeats the mail as ACP 142 does towards them; their nodes hear
//! and emit nothing. Everything between the sender's door and the receivers' MTAs runs as in the program.

use skywave_protocols::acp142::config::SilentPlan;
use skywave_protocols::acp142::limits::DATA_HEADER_OCTETS;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::unidata::Quirks;
use skywave_protocols::time::{Duration, Instant};
use skywave_transports::modem::loss::Loss;
use skywave_transports::modem::weather::EmconPeriod;

use super::radio::Radio;
use crate::node::config::TransportConfig;
use crate::telemetry::Event;
use crate::world::plan::{LinkKind, Plan, full_name};
use crate::world::{MailOrder, World};

const RATE: u32 = 1200;
/// Octets of the mail's text: what ACP 142 makes of it are 64 segments.
const TEXT_OCTETS: usize = 77_300;
/// Interleaver blocks that a segment lies in, about: it is lost with any of them.
const BLOCKS: f64 = 12.6;
/// Between two repeats; one takes some eight minutes.
const INTERVAL: Duration = Duration::from_secs(600);
const BEGIN: Duration = Duration::from_secs(60);
/// The sending of all, with what may wait before it.
const PASS: Duration = Duration::from_secs(1_200);

/// What became of a broadcast.
#[derive(Clone, PartialEq, Debug)]
pub struct Broadcast {
    /// Receivers that have the mail.
    pub complete: usize,
    /// Octets that went on the air until the last of them had it; `None` when one has not.
    pub octets_until_all: Option<u64>,
    /// Octets on the air of everything planned.
    pub octets: u64,
    /// Octets of the mail to transport.
    pub message_octets: u64,
    /// Its segments.
    pub segments: u64,
    /// Share of the PDUs sent that a receiver lost, all receivers and repeats together.
    pub lost: f64,
    /// Transmissions of receivers. Must be 0.
    pub emissions: u64,
}

/// Sends one mail so many times to so many receivers, each of whom loses each segment with probability `loss`.
pub fn play(loss: f64, receivers: usize, times: u32, seed: u64) -> Option<Broadcast> {
    let names: Vec<String> =
        std::iter::once("hq".to_owned()).chain((1..=receivers).map(|number| format!("ship{number}"))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = world(&names, loss, times, seed)?;
    world.run_for(BEGIN);
    world.mail(0, order(&names[1..], seed));
    let planned = world.at() + (INTERVAL + PASS).saturating_mul(times) + PASS;
    world.run_until(planned, |_| false);
    if !world.violations().is_empty() {
        return None;
    }
    let mut arrived: Vec<Instant> = Vec::new();
    for site in &world.sites[1..] {
        arrived.extend(site.mta.received().first().map(|received| received.at));
    }
    let air = world.air.on_air.as_deref().unwrap_or_default();
    let until = |at: Instant| air.iter().filter(|frame| frame.at <= at).map(|frame| frame.octets.len() as u64).sum();
    let (sent, heard) = (u_pdus(&world, 0, true), (1..=receivers).map(|site| u_pdus(&world, site, false)).sum::<u64>());
    let message_octets = unit_octets(&world);
    let fragment = fragment_octets(&world)?;
    Some(Broadcast {
        complete: arrived.len(),
        octets_until_all: arrived.iter().max().filter(|_| arrived.len() == receivers).map(|at| until(*at)),
        octets: world.air.octets_on_air(),
        message_octets,
        segments: message_octets.div_ceil(fragment),
        lost: 1.0 - heard as f64 / (sent * receivers as u64).max(1) as f64,
        emissions: (1..=receivers).map(|site| world.air.transmissions(site)).sum(),
    })
}

fn world(names: &[&str], loss: f64, times: u32, seed: u64) -> Option<World> {
    let silent: Vec<String> = names.iter().skip(1).map(|name| (*name).to_owned()).collect();
    let radio = Radio::MODERN;
    let plan = Plan {
        links: vec![LinkKind::Hf],
        bits_per_second: RATE,
        turnaround: radio.turn,
        silent: silent.clone(),
        ..Plan::new(names)
    };
    let mut weather = radio.weather(RATE)?;
    let blocks = 1.0 - (1.0 - loss).powf(1.0 / BLOCKS);
    weather.loss = Loss { single_per_million: (blocks * 1e6).round() as u32, burst: None };
    weather.seed = seed;
    let emcon = |name: &String| EmconPeriod { station: full_name(name).to_string(), from: Duration::ZERO, until: None };
    weather.emcon = silent.iter().map(emcon).collect();
    plan.fit(&mut weather);
    let mut world = World::new(seed, &weather);
    world.take_no_digest();
    world.air.on_air = Some(Vec::new());
    for (index, name) in names.iter().enumerate() {
        let mut config = plan.site(index);
        config.capture = true;
        for link in &mut config.links {
            if let TransportConfig::Acp142Radio { acp142, .. } = &mut link.transport {
                acp142.emcon = [SilentPlan { interval: INTERVAL, repeats: times.saturating_sub(1) }; 6];
            }
        }
        world.add(name, config, false);
    }
    Some(world)
}

fn order(ships: &[&str], seed: u64) -> MailOrder {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = vec![0; TEXT_OCTETS];
    Seeded::new(seed).fill(&mut random);
    let mut body = Vec::with_capacity(TEXT_OCTETS + TEXT_OCTETS / 30);
    for line in random.chunks(74) {
        body.extend(line.iter().map(|octet| LETTERS[usize::from(octet % 64)]));
        body.extend(b"\r\n");
    }
    MailOrder {
        from: "duty@hq.test".to_owned(),
        to: ships.iter().map(|ship| format!("watch@{}", full_name(ship))).collect(),
        mail_parameters: format!("MT-PRIORITY={}", Precedence::Routine.mt_priority().value()),
        rcpt_parameters: String::new(),
        subject: "Broadcast".to_owned(),
        headers: String::new(),
        body: body.into(),
        pipelining: true,
    }
}

/// U_PDUs between a gateway and its node, one way.
fn u_pdus(world: &World, site: usize, sent: bool) -> u64 {
    let mut reader = FrameReader::new();
    let mut count = 0;
    for packet in world.sites[site].captured.iter().filter(|packet| packet.sent == sent) {
        reader.push(&packet.octets);
        while let Some(Ok(frame)) = reader.next_frame() {
            let primitive = Primitive::decode(&frame, Quirks::default());
            count += u64::from(matches!(primitive, Ok(Primitive::UnidataRequest(_) | Primitive::UnidataIndication(_))));
        }
    }
    count
}

fn unit_octets(world: &World) -> u64 {
    let octets = |event: &Event| if let Event::HopStarted { unit_bytes, .. } = event { *unit_bytes as u64 } else { 0 };
    world.sites[0].told.iter().map(|told| octets(&told.event)).max().unwrap_or_default()
}

fn fragment_octets(world: &World) -> Option<u64> {
    let acp142 = world.sites[0].config.links.iter().find_map(|link| link.transport.acp142())?;
    Some((acp142.pdu_octets_max - DATA_HEADER_OCTETS) as u64)
}

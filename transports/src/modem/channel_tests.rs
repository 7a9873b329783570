use proptest::prelude::*;
use skywave_protocols::random::Random as _;

use super::super::Interleaver;
use super::super::Modem as _;
use super::super::loss::Burst;
use super::*;

const A: StationId = StationId(0);
const B: StationId = StationId(1);
const C: StationId = StationId(2);

fn at(seconds: f64) -> Now {
    Now::default().after(Duration::from_micros((seconds * 1e6).round() as u64))
}

fn config(rate: u32) -> ChannelConfig {
    let waveform = Waveform { end_of_message_bits: 0, ..Waveform::new(rate, Interleaver::Short).unwrap() };
    ChannelConfig { waveform, propagation: Duration::from_millis(10), loss: Loss::default(), outages: Vec::new() }
}

fn channel(config: ChannelConfig) -> Channel {
    let mut channel = Channel::new(at(0.0), config, Seeded::new(1));
    assert!([A, B, C].into_iter().all(|station| channel.attach(station)));
    assert!(!channel.attach(A));
    channel
}

fn frames(count: usize, octets: usize) -> Vec<Bytes> {
    (0..count).map(|i| Bytes::from(vec![i as u8; octets])).collect()
}

/// Runs the channel to the end and lists what happened as `seconds station event`.
fn story(channel: &mut Channel) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let wakeup = channel.next_wakeup();
        while let Some((station, event)) = channel.poll() {
            let text = match event {
                ModemEvent::Received(frame) => format!("frame {}", frame[0]),
                ModemEvent::Kept(replaced) => format!("kept after {replaced}"),
                ModemEvent::Sent => "sent".to_owned(),
                ModemEvent::CarrierOn => "on".to_owned(),
                ModemEvent::CarrierOff => "off".to_owned(),
            };
            lines.push((station, text));
        }
        let Some(wakeup) = wakeup else { break };
        let at = wakeup.at.as_micros();
        channel.handle_wakeup(Now::default().after(Duration::from_micros(at)));
        while let Some((station, event)) = channel.poll() {
            let text = match event {
                ModemEvent::Received(frame) => format!("frame {}", frame[0]),
                ModemEvent::Kept(replaced) => format!("kept after {replaced}"),
                ModemEvent::Sent => "sent".to_owned(),
                ModemEvent::CarrierOn => "on".to_owned(),
                ModemEvent::CarrierOff => "off".to_owned(),
            };
            lines.push((station, format!("{:.2} {text}", at as f64 / 1e6)));
        }
    }
    lines.into_iter().map(|(station, text)| format!("{} {text}", station.0)).collect()
}

fn lines_of(station: StationId, story: &[String]) -> Vec<String> {
    let prefix = format!("{} ", station.0);
    story.iter().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect()
}

#[test]
fn frames_come_out_block_by_block() {
    let mut channel = channel(config(1200));
    // Two blocks of 90 octets: frame 0 ends in the first, 1 and 2 in the second.
    let end = channel.transmit(at(1.0), A, &channel.waveform(), frames(3, 60)).unwrap();
    assert_eq!(end, at(2.95).mono);
    let story = story(&mut channel);
    assert_eq!(lines_of(A, &story), ["2.95 sent"]);
    let heard = ["1.16 on", "2.36 frame 0", "2.96 frame 1", "2.96 frame 2", "2.96 off"];
    assert_eq!(lines_of(B, &story), heard);
    assert_eq!(lines_of(C, &story), heard);
    let counters = channel.counters(A);
    assert_eq!((counters.transmissions, counters.octets_on_air, counters.micros_on_air), (1, 180, 1_950_000));
    assert!(channel.transmissions.is_empty(), "nothing is kept");
}

#[test]
fn two_at_once_are_heard_by_nobody() {
    for (second, c_hears) in [(0.0, 0), (0.5, 0), (1.1, 0), (1.2, 1), (1.7, 1), (4.0, 6)] {
        let mut channel = channel(config(1200));
        channel.transmit(at(0.0), A, &channel.waveform(), frames(3, 90)).unwrap();
        channel.handle_wakeup(at(second));
        channel.transmit(at(second), B, &channel.waveform(), frames(3, 90)).unwrap();
        let story = story(&mut channel);
        let frames = lines_of(C, &story).iter().filter(|line| line.contains("frame")).count();
        assert_eq!(frames, c_hears, "{second}: {story:?}");
        let early = channel.counters(C).collisions;
        assert_eq!(early > 0, second < 3.0, "{second}");
        assert!(channel.transmissions.is_empty());
    }
}

#[test]
fn an_outage_takes_the_blocks_it_touches() {
    // First preamble 0.15 to 0.75, blocks end at 1.35, 1.95, 2.55 (and 10 ms for the way).
    let rows =
        [(None, 1.4, 1.5, 2, 2), (Some(B), 1.4, 1.5, 2, 3), (Some(A), 0.2, 0.3, 0, 0), (Some(A), 5.0, 6.0, 3, 3)];
    for (station, from, until, b, c) in rows {
        let outage = Outage { station, from: at(from).mono, until: at(until).mono, bits_per_second_max: 0 };
        let mut channel = channel(ChannelConfig { outages: vec![outage], ..config(1200) });
        channel.transmit(at(0.0), A, &channel.waveform(), frames(3, 90)).unwrap();
        let story = story(&mut channel);
        let count = |id| lines_of(id, &story).iter().filter(|line| line.contains("frame")).count();
        assert_eq!((count(B), count(C)), (b, c), "{outage:?}");
        assert_eq!(channel.counters(B).frames_lost, 3 - b as u64);
    }
}

#[test]
fn outages_are_found_whatever_their_order_and_number() {
    let outage = |from: f64, length: f64| Outage {
        station: None,
        from: at(from).mono,
        until: at(from + length).mono,
        bits_per_second_max: 0,
    };
    let mut outages: Vec<Outage> = (0..5000).map(|i| outage(f64::from(i * 7919 % 5000) * 20.0 + 10.0, 5.0)).collect();
    outages.truncate(4999);
    let mut channel = channel(ChannelConfig { outages, ..config(1200) });
    channel.add_outage(outage(100_000.0, 50.0));
    for (second, heard) in
        [(0.0, 1), (11.0, 0), (16.0, 1), (20.0, 1), (50_010.5, 0), (50_016.0, 1), (100_020.0, 0), (100_060.0, 1)]
    {
        channel.handle_wakeup(at(second));
        channel.transmit(at(second), A, &channel.waveform(), frames(1, 9)).unwrap();
        let story = story(&mut channel);
        assert_eq!(lines_of(B, &story).iter().filter(|line| line.contains("frame")).count(), heard, "{second}");
    }
}

#[test]
fn in_a_fade_only_low_rates_get_through() {
    // Blocks of the fast one end at 0.4 + 1.08 n, of the slow one at 0.75 + 0.6 n.
    let fade = Outage { station: Some(B), from: at(0.0).mono, until: at(1.4).mono, bits_per_second_max: 1200 };
    for (rate, octets, b, c) in [(9600, 1200, 1, 3), (1200, 80, 3, 3)] {
        let mut channel = channel(ChannelConfig { outages: vec![fade], ..config(1200) });
        let waveform = Waveform::new(rate, Interleaver::Short).unwrap();
        channel.transmit(at(0.0), A, &waveform, frames(3, octets)).unwrap();
        let story = story(&mut channel);
        let count = |id| lines_of(id, &story).iter().filter(|line| line.contains("frame")).count();
        assert_eq!((count(B), count(C)), (b, c), "{rate}: {story:?}");
        assert_eq!(lines_of(B, &story).iter().filter(|line| line.contains("on")).count(), 1, "the carrier is heard");
    }
}

#[test]
fn each_transmission_has_its_own_mode() {
    let mut channel = channel(config(1200));
    let mode = |rate, interleaver| Waveform { end_of_message_bits: 0, ..Waveform::new(rate, interleaver).unwrap() };
    for (start, waveform, octets, heard, end) in [
        (0.0, mode(9600, Interleaver::Short), 1200, "1.49 frame 0", "1.48 sent"),
        (10.0, mode(1200, Interleaver::Long), 720, "19.76 frame 0", "19.75 sent"),
        (30.0, mode(75, Interleaver::Short), 5, "31.36 frame 0", "31.35 sent"),
    ] {
        let until = channel.transmit(at(start), A, &waveform, frames(1, octets)).unwrap();
        assert_eq!(until, at(start).mono + waveform.airtime(octets));
        let story = story(&mut channel);
        assert_eq!(lines_of(A, &story), [end]);
        assert_eq!(lines_of(B, &story)[1], heard);
    }
}

#[test]
fn emissions_in_emcon_are_counted() {
    let mut channel = channel(config(1200));
    channel.set_emcon(at(0.0), A, true);
    channel.transmit(at(0.0), A, &channel.waveform(), frames(1, 9)).unwrap();
    channel.transmit(at(0.0), B, &channel.waveform(), frames(1, 9)).unwrap();
    channel.set_emcon(at(0.1), B, true);
    channel.abort(at(0.1), B);
    channel.set_emcon(at(0.1), C, true);
    assert_eq!([A, B, C].map(|id| channel.counters(id).emissions_in_emcon), [1, 1, 0]);
}

#[test]
fn an_aborted_transmission_ends_at_once() {
    let mut channel = channel(config(1200));
    channel.transmit(at(0.0), A, &channel.waveform(), frames(3, 90)).unwrap();
    channel.abort(at(1.5), A);
    let story = story(&mut channel);
    assert_eq!(lines_of(A, &story), [""; 0]);
    assert_eq!(lines_of(C, &story), ["on", "frame 0", "1.51 off"]);
    assert_eq!(channel.counters(A).micros_on_air, 1_500_000);
    channel.transmit(at(2.0), A, &channel.waveform(), frames(1, 1)).unwrap();
    assert!(channel.port(A).transmitting());
}

#[test]
fn frames_that_have_not_begun_give_way() {
    // Keyed at 0, data from 0.75; blocks of 90 octets end at 1.35, 1.95, 2.55, each frame fills one.
    let urgent = || vec![Bytes::from(vec![9; 45]), Bytes::from(vec![8; 90])];
    for (second, begun, end, heard) in [
        (0.5, 0, 1.95, vec!["1.96 frame 9", "1.96 frame 8"]),
        (0.8, 1, 2.55, vec!["frame 0", "2.56 frame 9", "2.56 frame 8"]),
        (1.5, 2, 3.15, vec!["frame 0", "frame 1", "3.16 frame 9", "3.16 frame 8"]),
    ] {
        let mut channel = channel(config(1200));
        channel.transmit(at(0.0), A, &channel.waveform(), frames(3, 90)).unwrap();
        assert_eq!(channel.begun(at(second), A), Some(begun), "{second}");
        if begun > 0 {
            let before = channel.replace(at(second), A, begun - 1, urgent());
            assert_eq!(before, Err(ModemFault::Begun), "what has begun stays");
        }
        assert_eq!(channel.replace(at(second), A, begun, urgent()).unwrap().as_micros(), (end * 1e6_f64) as u64);
        let story = story(&mut channel);
        let frames = lines_of(B, &story).into_iter().filter(|line| line.contains("frame"));
        let plain = |line: &str| line[line.find("frame").unwrap()..].to_owned();
        assert_eq!(
            frames.map(|line| plain(&line)).collect::<Vec<_>>(),
            heard.iter().map(|line| plain(line)).collect::<Vec<_>>(),
            "{second}"
        );
        assert_eq!(lines_of(A, &story), [format!("{end:.2} sent")]);
        assert_eq!(channel.counters(A).octets_on_air, begun as u64 * 90 + 135);
        assert!(channel.transmissions.is_empty());
    }
}

#[test]
fn a_transmission_may_be_cut_short_but_not_emptied_or_prolonged_after_its_last_frame() {
    let mut channel = channel(config(1200));
    assert_eq!(channel.begun(at(0.0), A), None);
    assert_eq!(channel.replace(at(0.0), A, 0, frames(1, 9)), Err(ModemFault::Begun));
    channel.transmit(at(0.0), A, &channel.waveform(), frames(3, 90)).unwrap();
    assert_eq!(channel.replace(at(0.1), A, 0, Vec::new()), Err(ModemFault::Empty));
    assert_eq!(channel.replace(at(1.0), A, 1, Vec::new()), Ok(at(1.35).mono));
    assert_eq!(channel.replace(at(1.1), A, 1, frames(1, 9)), Err(ModemFault::Begun));
    let story = story(&mut channel);
    assert_eq!(lines_of(B, &story).iter().filter(|line| line.contains("frame")).count(), 1, "{story:?}");
    assert!(channel.transmissions.is_empty());
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut channel = channel(config(75));
    let rows = [
        (A, vec![], ModemFault::Empty),
        (A, vec![Bytes::new()], ModemFault::Empty),
        (A, frames(2, 1000), ModemFault::TooLong { octets: 2000, frames: 2 }),
        (StationId(9), frames(1, 1), ModemFault::Unattached),
    ];
    for (station, frames, fault) in rows {
        assert_eq!(channel.transmit(at(0.0), station, &channel.waveform(), frames), Err(fault));
    }
    channel.transmit(at(0.0), A, &channel.waveform(), frames(1, 1)).unwrap();
    assert_eq!(channel.transmit(at(0.1), A, &channel.waveform(), frames(1, 1)), Err(ModemFault::Transmitting));
    assert_eq!(channel.counters(A).transmissions, 1);
}

proptest! {
    #[test]
    fn any_traffic_ends_and_is_the_same_twice(seed: u64, loss in 0_u32..500_000) {
        let run = || {
            let loss = Loss { single_per_million: loss / 4, burst: Some(Burst { loss_per_million: loss, mean_blocks: 3 }) };
            let mut channel = channel(ChannelConfig { loss, ..config(2400) });
            let mut random = Seeded::new(seed);
            let mut now = 0.0;
            for _ in 0..20 {
                now += random.below(4_000) as f64 / 1000.0;
                channel.handle_wakeup(at(now));
                let station = StationId(random.below(3) as u16);
                let frames = frames(1 + random.below(5) as usize, 1 + random.below(300) as usize);
                let _ = channel.transmit(at(now), station, &channel.waveform(), frames.clone());
                if random.below(3) == 0 {
                    now += random.below(2_000) as f64 / 1000.0;
                    channel.handle_wakeup(at(now));
                    let begun = channel.begun(at(now), station).unwrap_or(0);
                    let _ = channel.replace(at(now), station, begun + random.below(2) as usize, frames);
                }
                if random.below(5) == 0 {
                    channel.abort(at(now + 0.3), station);
                    now += 0.3;
                }
            }
            let story = story(&mut channel);
            assert!(channel.transmissions.is_empty() && channel.next_wakeup().is_none());
            story
        };
        prop_assert_eq!(run(), run());
    }
}

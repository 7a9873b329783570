//! The EMCON broadcast: what it costs to reach silent receivers without knowing what they lost.
//!
//! 64 segments to N receivers who lose each segment by itself with probability p and say nothing. Plain repetition, which
//! is what the node (copies) and ACP 142 (repeats by plan) do, beside an ideal erasure code (any 64 of the segments sent
//! are enough) and the floor 1 / (1 - p). The code is not on the wire: the table measures the gap. The first is also
//! played over the simulated channel, segment by interleaver block.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::Now;
use skywave_transports::modem::channel::{Channel, ChannelConfig, StationId};
use skywave_transports::modem::loss::Loss;
use skywave_transports::modem::{Interleaver, ModemEvent, Waveform};

use super::super::table::{Cell, Table};
use super::Found;
use super::paper;
use super::svg::{Axis, Plot, Series};

const SEGMENTS: u32 = 64;
/// All receivers have everything with this probability.
const COMPLETE: f64 = 0.999;
const SEED: u64 = 1;
/// Broadcasts over the channel for each row.
const ROUNDS: u32 = 10;

/// How often everything is sent until all have it.
pub fn plain_repeats(loss: f64, receivers: u32) -> u32 {
    let all = f64::from(SEGMENTS) * f64::from(receivers);
    (1..).find(|&times| (1.0 - loss.powi(times)).powf(all) >= COMPLETE).unwrap_or(i32::MAX).unsigned_abs()
}

/// Segments that an ideal code sends, over those of the message.
pub fn ideal_code(loss: f64, receivers: u32) -> f64 {
    let sent = (SEGMENTS..).find(|&sent| enough(sent, loss).powf(receivers.into()) >= COMPLETE);
    f64::from(sent.unwrap_or(u32::MAX)) / f64::from(SEGMENTS)
}

/// The probability that of `sent` segments at least as many as the message has arrive.
fn enough(sent: u32, loss: f64) -> f64 {
    // Lost 0, lost 1, ...: each term from the one before.
    let mut term = (1.0 - loss).powf(sent.into());
    let mut sum = 0.0;
    for lost in 0..=(sent - SEGMENTS) {
        sum += term;
        term *= f64::from(sent - lost) / f64::from(lost + 1) * loss / (1.0 - loss);
    }
    sum
}

/// Plays broadcasts with so many repeats over the channel: the share of receivers that had everything.
fn played(loss: f64, receivers: u16, times: u32) -> Option<f64> {
    // One segment for each interleaver block.
    let waveform = Waveform { end_of_message_bits: 0, ..Waveform::new(1200, Interleaver::Short).ok()? };
    let config = ChannelConfig {
        waveform,
        propagation: skywave_protocols::time::Duration::ZERO,
        loss: Loss { single_per_million: (loss * 1e6).round() as u32, burst: None },
        outages: Vec::new(),
    };
    let mut now = Now::default();
    let mut channel = Channel::new(now, config, Seeded::new(SEED));
    let sender = StationId(0);
    (0..=receivers).for_each(|station| {
        channel.attach(StationId(station));
    });
    let octets = waveform.octets_within(waveform.airtime(1));
    let frames: Vec<Bytes> = (0..SEGMENTS).map(|number| Bytes::from(vec![number as u8; octets])).collect();
    let mut complete = 0_u32;
    for _ in 0..ROUNDS {
        let mut have = vec![[false; SEGMENTS as usize]; usize::from(receivers)];
        for _ in 0..times {
            channel.transmit(now, sender, &waveform, frames.clone()).ok()?;
            while let Some(wakeup) = channel.next_wakeup() {
                now = now.after(wakeup.at.since(now.mono));
                channel.handle_wakeup(now);
            }
            while let Some((station, event)) = channel.poll() {
                let receiver = station.0.checked_sub(1).and_then(|number| have.get_mut(usize::from(number)));
                if let (Some(receiver), ModemEvent::Received(frame)) = (receiver, event)
                    && let Some(segment) = frame.first().and_then(|&number| receiver.get_mut(usize::from(number)))
                {
                    *segment = true;
                }
            }
        }
        complete += have.iter().filter(|receiver| receiver.iter().all(|segment| *segment)).count() as u32;
    }
    Some(f64::from(complete) / f64::from(ROUNDS * u32::from(receivers)))
}

/// The table and its plot.
pub fn run() -> Found {
    let mut rows = Vec::new();
    let mut plot = plot();
    for (loss, receivers, published_repeats, published_code) in paper::EMCON {
        let (repeats, code) = (plain_repeats(loss, receivers), ideal_code(loss, receivers));
        let agrees = repeats == published_repeats && (code - published_code).abs() < 0.02;
        let share = u16::try_from(receivers).ok().and_then(|receivers| played(loss, receivers, repeats));
        rows.push(vec![
            Cell::Real(loss * 100.0, 0),
            Cell::Whole(receivers.into()),
            Cell::Whole(repeats.into()),
            Cell::Real(code, 2),
            Cell::Real(1.0 / (1.0 - loss), 2),
            Cell::Real(f64::from(repeats) / code, 1),
            share.map_or(Cell::Empty, |share| Cell::Real(share * 100.0, 2)),
            Cell::text(if agrees { "yes" } else { "**no**" }),
        ]);
        let at = match receivers {
            1 => 0,
            10 => 1,
            _ => 2,
        };
        plot.series[at].points.push((loss * 100.0, repeats.into()));
        plot.series[at + 3].points.push((loss * 100.0, code));
    }
    Found { tables: vec![table(rows)], plots: vec![plot] }
}

fn plot() -> Plot {
    let series =
        |name: &str, receivers| Series { name: format!("{name}, {receivers}"), points: Vec::new(), line: true };
    let series = ["repeated", "ideal code"].into_iter().flat_map(|name| [1, 10, 50].map(|count| series(name, count)));
    Plot {
        name: "emcon",
        title: "EMCON broadcast of 64 segments: times the message, until all have it".to_owned(),
        x: Axis { label: "loss, %", range: (0.0, 30.0), log: false, ticks: vec![1.0, 5.0, 10.0, 20.0, 30.0] },
        y: Axis { label: "times the message", range: (0.0, 14.0), log: false, ticks: vec![1.0, 2.0, 4.0, 8.0, 12.0] },
        series: series.collect(),
    }
}

fn table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "emcon",
        title: format!(
            "EMCON broadcast of {SEGMENTS} segments, sent until all receivers have all of it with probability \
             {COMPLETE}: how many times the message goes on air. Played: share of receivers complete after the \
             repeats, in {ROUNDS} broadcasts over the simulated channel. Agrees: with the computed table of the \
             specification."
        ),
        columns: vec![
            ("loss_percent", "loss %"),
            ("receivers", "receivers"),
            ("plain_repetition", "plain repetition (ours)"),
            ("ideal_code", "ideal code"),
            ("floor", "floor 1/(1-p)"),
            ("gap", "gap: plain / ideal"),
            ("played_complete_percent", "played, % complete"),
            ("agrees", "agrees"),
        ],
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_specification_comes_out() {
        for (loss, receivers, repeats, code) in paper::EMCON {
            assert_eq!(plain_repeats(loss, receivers), repeats, "{loss} {receivers}");
            let is = ideal_code(loss, receivers);
            assert!((is - code).abs() < 0.02, "{loss} {receivers}: {is}, not {code}");
        }
    }

    #[test]
    fn what_is_played_is_what_is_computed() {
        for (loss, times) in [(0.10, 1), (0.30, 3), (0.05, 2)] {
            let expected = (1.0 - f64::powi(loss, times)).powi(SEGMENTS as i32);
            let is = played(loss, 40, times as u32).unwrap();
            assert!((is - expected).abs() < 0.06, "{loss} {times}: {is}, not {expected}");
        }
    }
}

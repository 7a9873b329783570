//! The EMCON broadcast: what it costs to reach silent receivers without knowing what they lost.
//!
//! 64 segments to N receivers who lose each segment by itself with probability p and say nothing. Plain repetition, which
//! is what the node (copies) and ACP 142 (repeats by plan) do, beside an ideal erasure code (any 64 of the segments sent
//! are enough) and the floor 1 / (1 - p). The code is not on the wire: the table measures the gap. What ours takes is
//! played by whole sites ([`super::broadcast`]) and counted in octets on the air.

use super::super::table::{Cell, Table};
use super::broadcast::{self, Broadcast};
use super::svg::{Axis, Plot, Series};
use super::{Found, paper};

const SEGMENTS: u32 = 64;
/// All receivers have everything with this probability.
const COMPLETE: f64 = 0.999;

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

/// What broadcasts of whole sites with so many repeats came to, on average.
struct Played {
    broadcasts: Vec<Broadcast>,
    receivers: u32,
}

impl Played {
    fn new(loss: f64, receivers: u32, times: u32, seeds: u64) -> Option<Self> {
        let broadcast = |seed| broadcast::play(loss, receivers as usize, times, seed);
        let broadcasts: Option<Vec<Broadcast>> = (1..=seeds).map(broadcast).collect();
        Some(Self { broadcasts: broadcasts?, receivers })
    }

    fn mean(&self, of: impl Fn(&Broadcast) -> f64) -> f64 {
        self.broadcasts.iter().map(of).sum::<f64>() / self.broadcasts.len().max(1) as f64
    }

    /// Share of the receivers that had everything.
    fn complete(&self) -> f64 {
        self.mean(|broadcast| broadcast.complete as f64) / f64::from(self.receivers)
    }

    /// Octets on the air until the last receiver had everything; `None` when one never had.
    fn until_all(&self) -> Option<f64> {
        let octets: Option<Vec<u64>> = self.broadcasts.iter().map(|broadcast| broadcast.octets_until_all).collect();
        let octets = octets?;
        Some(octets.iter().sum::<u64>() as f64 / octets.len().max(1) as f64)
    }

    fn is_silent(&self) -> bool {
        self.broadcasts.iter().all(|broadcast| broadcast.emissions == 0)
    }
}

/// Broadcasts for a row: receivers lose by themselves, so that many tell in one broadcast what one tells in many.
const fn seeds(receivers: u32) -> u64 {
    match receivers {
        1 => 10,
        2..=10 => 3,
        _ => 1,
    }
}

/// The table and its plot.
pub fn run() -> Found {
    let mut rows = Vec::new();
    let mut plot = plot();
    for (loss, receivers, published_repeats, published_code) in paper::EMCON {
        let (repeats, code) = (plain_repeats(loss, receivers), ideal_code(loss, receivers));
        let played = Played::new(loss, receivers, repeats, seeds(receivers));
        rows.push(row((loss, receivers), (repeats, code), (published_repeats, published_code), played.as_ref()));
        let at = match receivers {
            1 => 0,
            10 => 1,
            _ => 2,
        };
        plot.series[at + 6].points.push((loss * 100.0, repeats.into()));
        plot.series[at + 3].points.push((loss * 100.0, code));
        let times = played.map(|played| played.mean(|one| one.octets as f64 / one.message_octets.max(1) as f64));
        plot.series[at].points.extend(times.map(|times| (loss * 100.0, times)));
    }
    Found { tables: vec![table(rows)], plots: vec![plot] }
}

fn row(
    (loss, receivers): (f64, u32),
    (repeats, code): (u32, f64),
    (published_repeats, published_code): (u32, f64),
    played: Option<&Played>,
) -> Vec<Cell> {
    let agrees = repeats == published_repeats && (code - published_code).abs() < 0.02;
    let figure = |of: &dyn Fn(&Played) -> Option<f64>, decimals| super::chat::real(played.and_then(of), decimals);
    let message = |played: &Played| played.mean(|one| one.message_octets as f64);
    let planned = |played: &Played| played.mean(|one| one.octets as f64);
    vec![
        Cell::Real(loss * 100.0, 0),
        Cell::Whole(receivers.into()),
        figure(&|played| Some(played.mean(|one| one.lost) * 100.0), 1),
        Cell::Whole(repeats.into()),
        figure(&|played| Some(message(played)), 0),
        figure(&|played| Some(planned(played)), 0),
        figure(&|played| played.until_all(), 0),
        figure(&|played| Some(played.complete() * 100.0), 2),
        figure(&|played| Some(message(played) * f64::from(repeats)), 0),
        figure(&|played| Some(message(played) * code), 0),
        figure(&|played| Some(message(played) / (1.0 - loss)), 0),
        figure(&|played| Some(planned(played) / (message(played) * code)), 1),
        Cell::Bar("0 octets of receivers".to_owned(), played.is_some_and(Played::is_silent)),
        Cell::text(if agrees { "yes" } else { "**no**" }),
    ]
}

fn plot() -> Plot {
    let series =
        |name: &str, receivers| Series { name: format!("{name}, {receivers}"), points: Vec::new(), line: true };
    let series = ["ours", "ideal code", "plain repetition"]
        .into_iter()
        .flat_map(|name| [1, 10, 50].map(|count| series(name, count)));
    Plot {
        name: "emcon",
        title: "EMCON broadcast of 64 segments: times the message, until all have it".to_owned(),
        x: Axis { label: "loss, %", range: (0.0, 30.0), log: false, ticks: vec![1.0, 5.0, 10.0, 20.0, 30.0] },
        y: Axis { label: "times the message", range: (0.0, 15.0), log: false, ticks: vec![1.0, 2.0, 4.0, 8.0, 12.0] },
        series: series.collect(),
    }
}

fn table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "emcon",
        title: format!(
            "EMCON broadcast of {SEGMENTS} segments at 1200 bit/s from one site to silent ones, sent so many times that all \
             receivers have all of it with probability {COMPLETE}: octets on the air. Ours: whole sites, door to MTA, with \
             all headers, that many sendings planned (`emcon_repeats` is one less); until the last: when the last receiver \
             had it, mean of 10, 3 and 1 broadcasts to 1, 10 and 50. Lost: of the segments, as seen. Plain repetition, ideal \
             code and floor are computed from the mail's octets to transport, without headers. Agrees: with the computed \
             table of the specification."
        ),
        columns: vec![
            ("loss_percent", "loss %"),
            ("receivers", "receivers"),
            ("lost_percent", "lost %, seen"),
            ("sendings", "sendings"),
            ("message_octets", "octets of the mail"),
            ("planned_octets", "ours, all sendings"),
            ("until_all_octets", "ours, until the last had it"),
            ("complete_percent", "ours, % complete"),
            ("plain_octets", "plain repetition"),
            ("ideal_octets", "ideal code"),
            ("floor_octets", "floor 1/(1-p)"),
            ("gap", "gap: ours / ideal code"),
            ("silence", "silence"),
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

    /// 64 segments, the loss asked for, and all complete by the plan; nobody who keeps silence says anything.
    #[test]
    fn a_broadcast_reaches_all_by_its_plan() {
        let (loss, receivers) = (0.20, 3);
        let times = plain_repeats(loss, receivers);
        let found = broadcast::play(loss, receivers as usize, times, 1).unwrap();
        assert_eq!((found.complete, found.segments, found.emissions), (3, u64::from(SEGMENTS), 0), "{found:?}");
        assert!((found.lost - loss).abs() < 0.04, "{found:?}");
        let until_all = found.octets_until_all.unwrap();
        assert!(until_all > found.message_octets && until_all <= found.octets, "{found:?}");
        // Headers and Address_PDUs, and nothing else, beside plain repetition.
        let plain = (found.message_octets * u64::from(times)) as f64;
        assert!((1.0..1.15).contains(&(found.octets as f64 / plain)), "{found:?}");
    }
}

//! The chat tables: published, modelled, ours, and the bars.
//!
//! The model ([`super::vendor`]) is held against the published figures; the project runs on the same radio and is held
//! against the model.

use skywave_protocols::time::Duration;

use super::super::table::{Cell, Table};
use super::paper::{self, Role};
use super::project::Sites;
use super::radio::Radio;
use super::svg::{Axis, Plot, Series};
use super::vendor::{Pair, RoundTrips};
use super::{Found, floor};

/// Seconds that are the same: ours have pipes, servers and disks on their way, which take milliseconds and which the model
/// does not know.
const SAME: f64 = 0.01;
/// Of the model's draws.
pub(super) const SEED: u64 = 1;
/// Round trips of a conversation, the first included.
const TURNS: u32 = 11;
/// Of the model, whose back-off is drawn.
const MODEL_TURNS: u32 = 41;
/// Typing delays in seconds that only the project is asked for besides the published ones.
const DELAYS: [u64; 9] = [0, 1, 2, 3, 5, 10, 20, 30, 60];
/// What the corrected round trip may grow to with typing delays.
const DELAY_GROWTH: f64 = 1.05;

fn model(rate: u32, payload: usize, delay: u64) -> Option<RoundTrips> {
    Pair::new(Radio::PAPER, rate, SEED)?.ping_pong(payload, Duration::from_secs(delay), MODEL_TURNS)
}

fn project(radio: Radio, rate: u32, payload: usize, delay: u64) -> Option<RoundTrips> {
    Sites::new(radio, rate, 2)?.ping_pong(payload, Duration::from_secs(delay), TURNS)
}

pub(super) fn real(figure: Option<f64>, decimals: usize) -> Cell {
    figure.map_or(Cell::text("none"), |figure| Cell::Real(figure, decimals))
}

pub(super) fn verdict(role: Role, is: Option<f64>, published: f64) -> Cell {
    is.map_or(Cell::text("**missed**"), |is| Cell::text(role.verdict(is, published)))
}

/// Round trips by rate, by payload and by typing delay, with the first ones.
pub fn round_trips() -> Found {
    let by_rate = by_rate();
    let (by_payload, payloads) = by_payload();
    let (by_delay, delays) = by_delay();
    Found { tables: vec![by_rate, super::first::by_setup(), by_payload, by_delay], plots: vec![payloads, delays] }
}

fn by_rate() -> Table {
    let mut rows = Vec::new();
    for (rate, first, average) in paper::BY_RATE {
        let (model, ours) = (model(rate, 0, 0), project(Radio::PAPER, rate, 0, 0));
        let modern = project(Radio::MODERN, rate, 0, 0);
        let (fits_first, fits) = match rate {
            1200 => (Role::Following(paper::FIRST_BAND), Role::Fitted(paper::AVERAGE_BAND)),
            75 => (Role::Fitted(paper::FIRST_BAND), Role::Following(paper::AVERAGE_BAND)),
            _ => (Role::Following(paper::FIRST_BAND), Role::Following(paper::AVERAGE_BAND)),
        };
        let least = if rate == 75 { 3.0 } else { 0.0 };
        let faster =
            ours.as_ref().zip(model.as_ref()).is_some_and(|(ours, model)| ours.average <= model.average - least + SAME);
        let soon = ours.as_ref().is_some_and(|ours| ours.first <= 1.3 * ours.average);
        let half = ours.as_ref().is_some_and(|ours| ours.first <= first / 2.0);
        rows.push(vec![
            Cell::Whole(rate.into()),
            Cell::Real(average, 1),
            real(model.as_ref().map(|trips| trips.average), 1),
            verdict(fits, model.as_ref().map(|trips| trips.average), average),
            real(ours.as_ref().map(|trips| trips.average), 1),
            real(floor::round_trip(rate, 0), 1),
            Cell::Bar(
                if rate == 75 { "3 s below the model".to_owned() } else { "at most the model".to_owned() },
                faster,
            ),
            Cell::Real(first, 1),
            real(model.as_ref().map(|trips| trips.first), 1),
            verdict(fits_first, model.as_ref().map(|trips| trips.first), first),
            real(ours.as_ref().map(|trips| trips.first), 1),
            Cell::Bar("1.3 × average".to_owned(), soon),
            if rate == 75 { Cell::Bar("half the published".to_owned(), half) } else { Cell::Empty },
            real(modern.as_ref().map(|trips| trips.average), 1),
            real(modern.as_ref().map(|trips| trips.first), 1),
        ]);
    }
    Table {
        name: "round_trips_by_rate",
        title:
            "Round trips of messages without payload, seconds (average of the later ones, then the first). Floor, here \
                and below: twice the airtime of the octets that the published software sent, without turns and delays; \
                ours sends fewer."
                .to_owned(),
        columns: vec![
            ("bits_per_second", "bit/s"),
            ("published_average", "published"),
            ("model_average", "model"),
            ("model_average_verdict", "model is"),
            ("project_average", "ours"),
            ("floor", "floor"),
            ("average_bar", "bar"),
            ("published_first", "first, published"),
            ("model_first", "model"),
            ("model_first_verdict", "model is"),
            ("project_first", "ours"),
            ("first_bar", "bar"),
            ("first_half_bar", "bar"),
            ("modern_average", "ours, modern radio"),
            ("modern_first", "first, modern radio"),
        ],
        rows,
    }
}

fn by_payload() -> (Table, Plot) {
    let mut rows = Vec::new();
    let mut points: [Vec<(f64, f64)>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for (payload, first, average) in paper::BY_PAYLOAD {
        let (model, ours) = (model(1200, payload, 0), project(Radio::PAPER, 1200, payload, 0));
        let modern = project(Radio::MODERN, 1200, payload, 0);
        let fits = if payload == 0 { Role::Fitted(paper::AVERAGE_BAND) } else { Role::Following(paper::AVERAGE_BAND) };
        let faster =
            ours.as_ref().zip(model.as_ref()).is_some_and(|(ours, model)| ours.average <= model.average + SAME);
        let found =
            [Some(average), model.as_ref().map(|trips| trips.average), ours.as_ref().map(|trips| trips.average)];
        for (points, figure) in points.iter_mut().zip(found) {
            points.extend(figure.map(|figure| (payload as f64, figure)));
        }
        rows.push(vec![
            Cell::Whole(payload as u64),
            Cell::Real(average, 1),
            real(model.as_ref().map(|trips| trips.average), 1),
            verdict(fits, model.as_ref().map(|trips| trips.average), average),
            real(ours.as_ref().map(|trips| trips.average), 1),
            real(floor::round_trip(1200, payload), 1),
            Cell::Bar("at most the model".to_owned(), faster),
            Cell::Real(first, 1),
            real(model.as_ref().map(|trips| trips.first), 1),
            real(ours.as_ref().map(|trips| trips.first), 1),
            real(modern.as_ref().map(|trips| trips.average), 1),
            real(modern.as_ref().map(|trips| trips.first), 1),
        ]);
    }
    let table = Table {
        name: "round_trips_by_payload",
        title: "Round trips at 1200 bit/s by payload (octets of hex digits), seconds; first ones are reported only. A hundredth of a second more than the model is the same."
            .to_owned(),
        columns: vec![
            ("payload_octets", "payload"),
            ("published_average", "published"),
            ("model_average", "model"),
            ("model_average_verdict", "model is"),
            ("project_average", "ours"),
            ("floor", "floor"),
            ("average_bar", "bar"),
            ("published_first", "first, published"),
            ("model_first", "first, model"),
            ("project_first", "first, ours"),
            ("modern_average", "ours, modern radio"),
            ("modern_first", "first, modern radio"),
        ],
        rows,
    };
    (table, payload_plot(points))
}

/// Published as points, model and ours as lines.
pub(super) fn series(points: [Vec<(f64, f64)>; 3]) -> Vec<Series> {
    let series = ["published", "model", "ours"].into_iter().zip(points);
    series.map(|(name, points)| Series { name: name.to_owned(), points, line: name != "published" }).collect()
}

fn payload_plot(points: [Vec<(f64, f64)>; 3]) -> Plot {
    Plot {
        name: "payload",
        title: "Round trip at 1200 bit/s by payload".to_owned(),
        x: Axis {
            label: "payload, octets of hex digits",
            range: (0.0, 2048.0),
            log: false,
            ticks: vec![0.0, 200.0, 512.0, 1024.0, 2048.0],
        },
        y: Axis {
            label: "round trip, s",
            range: (0.0, 30.0),
            log: false,
            ticks: vec![0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0],
        },
        series: series(points),
    }
}

fn by_delay() -> (Table, Plot) {
    let mut rows = Vec::new();
    let mut points: [Vec<(f64, f64)>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    let (mut at_once, mut modern_at_once) = (None, None);
    for delay in DELAYS {
        let published = paper::BY_DELAY.iter().find(|(at, ..)| *at == delay).map(|&(.., average)| average);
        let (model, ours) = (model(1200, 0, delay), project(Radio::PAPER, 1200, 0, delay));
        let seconds = delay as f64;
        let corrected = |trips: &RoundTrips| trips.average - seconds;
        let (model, ours) = (model.as_ref().map(|trips| trips.average), ours.as_ref().map(corrected));
        let modern = project(Radio::MODERN, 1200, 0, delay).as_ref().map(corrected);
        (at_once, modern_at_once) = (at_once.or(ours), modern_at_once.or(modern));
        let role = match delay {
            0 => Role::Fitted(paper::AVERAGE_BAND),
            1..=3 => Role::Following(paper::AVERAGE_BAND),
            5 => Role::Fitted(paper::LONG_DELAY_BAND),
            _ => Role::Following(paper::LONG_DELAY_BAND),
        };
        let steady = |ours: Option<f64>, at_once: Option<f64>| {
            let steady = ours.zip(at_once).is_some_and(|(ours, at_once)| ours <= at_once * DELAY_GROWTH);
            Cell::Bar("at most 1.05 × without delay".to_owned(), steady)
        };
        let found = [published.map(|average| average - seconds), model.map(|average| average - seconds), ours];
        for (points, figure) in points.iter_mut().zip(found) {
            points.extend(figure.map(|figure| (seconds, figure)));
        }
        rows.push(vec![
            Cell::Whole(delay),
            published.map_or(Cell::Empty, |average| Cell::Real(average, 1)),
            real(model, 1),
            published.map_or(Cell::Empty, |average| verdict(role, model, average)),
            published.map_or(Cell::Empty, |average| Cell::Real(average - seconds, 1)),
            real(model.map(|average| average - seconds), 1),
            real(ours, 1),
            real(floor::round_trip(1200, 0), 1),
            steady(ours, at_once),
            real(modern, 1),
            steady(modern, modern_at_once),
        ]);
    }
    (delay_table(rows), delay_plot(points))
}

fn delay_table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "round_trips_by_delay",
        title: "Round trips at 1200 bit/s by typing delay, seconds; corrected: without the delay itself.".to_owned(),
        columns: vec![
            ("delay_seconds", "delay"),
            ("published_average", "published"),
            ("model_average", "model"),
            ("model_verdict", "model is"),
            ("published_corrected", "corrected, published"),
            ("model_corrected", "corrected, model"),
            ("project_corrected", "corrected, ours"),
            ("floor", "floor"),
            ("bar", "bar"),
            ("modern_corrected", "corrected, ours, modern radio"),
            ("modern_bar", "bar"),
        ],
        rows,
    }
}

fn delay_plot(points: [Vec<(f64, f64)>; 3]) -> Plot {
    Plot {
        name: "typing-delay",
        title: "Round trip at 1200 bit/s without the typing delay".to_owned(),
        x: Axis {
            label: "typing delay, s",
            range: (0.0, 60.0),
            log: false,
            ticks: vec![0.0, 5.0, 10.0, 20.0, 30.0, 60.0],
        },
        y: Axis {
            label: "corrected round trip, s",
            range: (0.0, 60.0),
            log: false,
            ticks: vec![0.0, 10.0, 20.0, 40.0, 60.0],
        },
        series: series(points),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bars of a table that were missed, with the first cell of their rows.
    fn missed(table: &Table) -> Vec<String> {
        let missed = |row: &Vec<Cell>| {
            let bars: Vec<String> = row
                .iter()
                .filter_map(|cell| match cell {
                    Cell::Bar(bar, false) => Some(bar.clone()),
                    Cell::Text(word) if word.contains("missed") => Some("the model".to_owned()),
                    _other => None,
                })
                .collect();
            bars.into_iter().map(|bar| format!("{:?}: {bar}", row[0])).collect::<Vec<_>>()
        };
        table.rows.iter().flat_map(missed).collect()
    }

    /// As docs/performance.md has them.
    #[test]
    fn round_trips_keep_to_their_bars() {
        assert_eq!(missed(&by_rate()), [""; 0]);
        assert_eq!(missed(&by_payload().0), [""; 0]);
        assert_eq!(missed(&by_delay().0), [""; 0]);
    }
}

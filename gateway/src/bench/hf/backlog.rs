//! What share of the line chat fills when more waits than the line carries.

use super::super::table::{Cell, Table};
use super::chat::{SEED, real, series, verdict};
use super::paper::{self, Role};
use super::project::{Sites, Transfer};
use super::radio::Radio;
use super::svg::{Axis, Plot};
use super::vendor::Pair;
use super::{Found, floor};

/// A backlog of chat: payload, rate, the published share of the line, the bar for ours.
struct Backlog {
    rate: u32,
    payload: usize,
    published: Option<f64>,
    fits: Role,
    bar: Option<f64>,
    /// Bar of the line's occupancy.
    occupancy: f64,
}

fn backlogs() -> Vec<Backlog> {
    let mut all = Vec::new();
    for (payload, measured, _) in paper::BY_BACKLOG {
        let published = Some(measured * paper::HEX_COMPRESSES_TO / 1200.0);
        let fits = if payload == 10 { Role::Fitted(paper::AVERAGE_BAND) } else { Role::Following(paper::AVERAGE_BAND) };
        let bar = match payload {
            10 => 0.38,
            100 => 0.62,
            1024 => 0.74,
            _ => 0.82,
        };
        all.push(Backlog { rate: 1200, payload, published, fits, bar: Some(bar), occupancy: 0.80 });
    }
    for (rate, measured, _) in paper::BACKLOG_BY_RATE {
        if rate == 1200 {
            continue;
        }
        let fits = if rate == 9600 { Role::Fitted(paper::AVERAGE_BAND) } else { Role::Following(paper::AVERAGE_BAND) };
        let published = Some(measured * paper::HEX_COMPRESSES_TO / f64::from(rate));
        let occupancy = if rate == 75 { 0.75 } else { 0.80 };
        all.push(Backlog { rate, payload: 1024, published, fits, bar: None, occupancy });
    }
    all
}

/// Seconds of airtime that the backlog of ours should fill at least.
const BACKLOG_SECONDS: u32 = 900;
/// Messages said at once: below the 2,000 that wait for one peer, the last twentieth of which is for what is urgent.
const BACKLOG_MESSAGES_MAX: u32 = 1_800;

fn ours(radio: Radio, backlog: &Backlog) -> Option<(f64, f64)> {
    let each = (backlog.payload / 2 + 12) as u32;
    let messages = (BACKLOG_SECONDS * backlog.rate / 8 / each).clamp(8, BACKLOG_MESSAGES_MAX);
    let Transfer { seconds, octets } = Sites::new(radio, backlog.rate, 2)?.backlog(backlog.payload, messages)?;
    let line = seconds * f64::from(backlog.rate);
    let user = f64::from(messages) * backlog.payload as f64 * 8.0;
    Some((user * paper::HEX_COMPRESSES_TO / line, octets as f64 * 8.0 / line))
}

/// What share of the line a backlog of chat fills.
pub fn run() -> Found {
    let mut rows = Vec::new();
    let mut points: [Vec<(f64, f64)>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for backlog in backlogs() {
        let rate = f64::from(backlog.rate);
        let model = Pair::new(Radio::PAPER, backlog.rate, SEED).and_then(|pair| pair.backlog(backlog.payload));
        let model = model.map(|bits| bits * paper::HEX_COMPRESSES_TO / rate);
        let found = ours(Radio::PAPER, &backlog);
        let modern = ours(Radio::MODERN, &backlog);
        let same = [backlog.published, model, found.map(|(user, _)| user)];
        for (points, figure) in points.iter_mut().zip(same).filter(|_| backlog.rate == paper::RATE) {
            points.extend(figure.map(|figure| (backlog.payload as f64, figure * 100.0)));
        }
        let share = |share: Option<f64>| real(share.map(|share| share * 100.0), 0);
        let reached =
            |bar: f64, is: Option<f64>| Cell::Bar(format!("{:.0} %", bar * 100.0), is.is_some_and(|is| is >= bar));
        rows.push(vec![
            Cell::Whole(backlog.rate.into()),
            Cell::Whole(backlog.payload as u64),
            share(backlog.published),
            share(model),
            backlog.published.map_or(Cell::Empty, |published| verdict(backlog.fits, model, published)),
            share(found.map(|(user, _)| user)),
            backlog.bar.map_or(Cell::Empty, |bar| reached(bar, found.map(|(user, _)| user))),
            share(found.map(|(_, line)| line)),
            share(floor::occupancy(Radio::PAPER, backlog.rate)),
            reached(backlog.occupancy, found.map(|(_, line)| line)),
            share(modern.map(|(user, _)| user)),
            backlog.bar.map_or(Cell::Empty, |bar| reached(bar, modern.map(|(user, _)| user))),
            share(modern.map(|(_, line)| line)),
            share(floor::occupancy(Radio::MODERN, backlog.rate)),
            reached(backlog.occupancy, modern.map(|(_, line)| line)),
        ]);
    }
    let table = Table {
        name: "backlog",
        title: "Chat under backlog, % of the line. By the paper's definition: hex payload × 0.51 / time / rate; occupancy: \
                octets to transport / time / rate; its limit: one transmission of 127.5 s full of the largest segments, \
                two turns and an acknowledgement."
            .to_owned(),
        columns: vec![
            ("bits_per_second", "bit/s"),
            ("payload_octets", "payload"),
            ("published_percent", "published"),
            ("model_percent", "model"),
            ("model_verdict", "model is"),
            ("project_percent", "ours, same definition"),
            ("bar", "bar"),
            ("project_occupancy_percent", "ours, occupancy"),
            ("occupancy_limit_percent", "limit"),
            ("occupancy_bar", "bar"),
            ("modern_percent", "same definition, modern radio"),
            ("modern_bar", "bar"),
            ("modern_occupancy_percent", "occupancy, modern radio"),
            ("modern_occupancy_limit_percent", "limit"),
            ("modern_occupancy_bar", "bar"),
        ],
        rows,
    };
    Found { tables: vec![table], plots: vec![backlog_plot(points)] }
}

fn backlog_plot(points: [Vec<(f64, f64)>; 3]) -> Plot {
    Plot {
        name: "backlog",
        title: "Chat under backlog at 1200 bit/s: payload × 0.51 / time / rate".to_owned(),
        x: Axis {
            label: "payload, octets of hex digits",
            range: (10.0, 10_240.0),
            log: true,
            ticks: vec![10.0, 100.0, 1024.0, 10_240.0],
        },
        y: Axis {
            label: "share of the line, %",
            range: (0.0, 100.0),
            log: false,
            ticks: vec![0.0, 20.0, 40.0, 60.0, 80.0, 100.0],
        },
        series: series(points),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fastest of them; the others take longer without optimisation.
    #[test]
    fn backlogs_fill_the_line() {
        for (rate, payload) in [(75, 1_024), (1_200, 1_024), (1_200, 10_240)] {
            let backlog = backlogs().into_iter().find(|it| (it.rate, it.payload) == (rate, payload)).unwrap();
            let (user, occupancy) = ours(Radio::PAPER, &backlog).unwrap();
            assert!(occupancy >= backlog.occupancy, "{rate} bit/s, {payload} octets: {occupancy} of the line");
            assert!(
                backlog.bar.is_none_or(|bar| user >= bar),
                "{rate} bit/s, {payload} octets: {user} by users' octets"
            );
        }
    }
}

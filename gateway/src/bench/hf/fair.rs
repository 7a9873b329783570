//! Fair shares: two conversations at once between four sites, from several seeds.

use skywave_protocols::time::Duration;

use super::super::table::{Cell, Table};
use super::Found;
use super::chat::real;
use super::project::{Ground, Sites};
use super::radio::Radio;

const SEEDS: u64 = 10;
/// Messages of each conversation, and the pause before an answer.
const TURNS: u32 = 20;
const PAUSE: Duration = Duration::from_secs(2);
/// The bar is ours: the specification asks for fair shares and names no figure.
const SHARE_LEAST: f64 = 0.5;

/// Mean seconds of a message's way in both conversations.
fn ways(radio: Radio, seed: u64) -> Option<[f64; 2]> {
    Sites::on(&Ground { seed, ..Ground::new(radio, 1200, 4)? }).fair(TURNS, PAUSE)
}

/// The lesser over the greater.
fn share([one, other]: [f64; 2]) -> f64 {
    one.min(other) / one.max(other)
}

fn mean(figures: impl Iterator<Item = f64>, count: usize) -> f64 {
    figures.sum::<f64>() / count as f64
}

/// The table.
pub fn run() -> Found {
    let mut rows = Vec::new();
    for radio in [Radio::PAPER, Radio::MODERN] {
        let found: Option<Vec<[f64; 2]>> = (1..=SEEDS).map(|seed| ways(radio, seed)).collect();
        let found = found.unwrap_or_default();
        let some = Some(found.len()).filter(|count| *count > 0);
        let shares = || found.iter().map(|ways| share(*ways));
        let least = shares().reduce(f64::min);
        rows.push(vec![
            Cell::text(radio.name),
            real(some.map(|count| mean(found.iter().map(|ways| ways[0]), count)), 1),
            real(some.map(|count| mean(found.iter().map(|ways| ways[1]), count)), 1),
            real(some.map(|count| mean(shares(), count)), 2),
            real(least, 2),
            Cell::Bar(format!("least at least {SHARE_LEAST}"), least.is_some_and(|least| least >= SHARE_LEAST)),
        ]);
    }
    let table = Table {
        name: "fair",
        title: format!(
            "Two conversations at once between four sites at 1200 bit/s, from {SEEDS} seeds: mean seconds of a message's \
             way, and the lesser mean of a seed over the greater. The bar is ours: the specification asks for fair shares \
             and names no figure."
        ),
        columns: vec![
            ("radio", "radio"),
            ("first_pair_seconds", "hq and field"),
            ("second_pair_seconds", "north and south"),
            ("share_mean", "lesser / greater, mean"),
            ("share_least", "least"),
            ("bar", "bar"),
        ],
        rows,
    };
    Found { tables: vec![table], plots: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of some seeds of docs/performance.md.
    #[test]
    fn two_conversations_share_the_channel() {
        for radio in [Radio::PAPER, Radio::MODERN] {
            let shares: Vec<f64> = (1..=4).map(|seed| share(ways(radio, seed).unwrap())).collect();
            assert!(shares.iter().all(|share| *share >= SHARE_LEAST), "{}: {shares:?}", radio.name);
        }
    }
}

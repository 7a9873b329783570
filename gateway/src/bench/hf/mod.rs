//! `skywave bench hf`: the published measurements of chat over HF, a model of them, the project, and the limits, side by
//! side, in virtual time.
//!
//! Its parts are run one by one or together and give the same figures on every machine. The radio is the world's radio
//! model. Two constants belong to the radio and stay whatever software runs on it ([`radio::Radio`]); what belongs to
//! the software of the paper's time is in its profile and goes.

mod backlog;
mod broadcast;
mod chat;
mod emcon;
mod fair;
mod first;
mod floor;
mod ledger;
mod mail;
mod ordinary;
pub(super) mod paper;
mod project;
mod radio;
mod svg;
mod vendor;
mod week;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::BenchFault;
use super::table::{Report, Table};
use radio::Radio;
use svg::Plot;

/// A part of the bench.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub enum Part {
    /// Round trips of chat by rate, payload and typing delay
    Chat,
    /// Chat under backlog
    Backlog,
    /// Two conversations at once between four sites
    Fair,
    /// Bulk mail to one site
    Bulk,
    /// A FLASH behind a routine mail of 1 MB
    Flash,
    /// A fading week of four sites
    Week,
    /// Ordinary S2S and SMTP over TCP/IP on the same radio (a model)
    Ordinary,
    /// EMCON broadcast: plain repetition, the ideal code, the floor
    Emcon,
}

/// What each part shows, in a line.
pub const PARTS: [(Part, &str); 8] = [
    (Part::Chat, "round trips of chat by rate, payload and typing delay: published, model, ours"),
    (Part::Backlog, "chat under backlog: published, model, ours"),
    (Part::Fair, "two conversations at once between four sites"),
    (Part::Bulk, "bulk mail to one site"),
    (Part::Flash, "a FLASH behind a routine mail of 1 MB, same and opposite direction"),
    (Part::Week, "a fading week of four sites, every message and octet accounted for"),
    (Part::Ordinary, "ordinary S2S and SMTP over TCP/IP on the same radio, a model"),
    (Part::Emcon, "EMCON broadcast beside plain repetition, the ideal erasure code and the floor"),
];

impl Part {
    /// Its word on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn find(self) -> Found {
        match self {
            Self::Chat => chat::round_trips(),
            Self::Backlog => backlog::run(),
            Self::Fair => fair::run(),
            Self::Bulk => mail::bulk(),
            Self::Flash => mail::flash(),
            Self::Week => week::run(),
            Self::Ordinary => ordinary::run(&[Radio::PAPER, Radio::MODERN]),
            Self::Emcon => emcon::run(),
        }
    }
}

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which parts; none means all.
    pub only: Vec<Part>,
    /// Where the plots are written; without it they are not.
    pub plots: Option<PathBuf>,
}

/// What a part found out.
#[derive(Clone, PartialEq, Debug, Default)]
struct Found {
    tables: Vec<Table>,
    plots: Vec<Plot>,
}

/// The parts that take longest, longest first: they begin first, so that no processor waits for one of them at the end.
const LONGEST: [Part; 4] = [Part::Emcon, Part::Week, Part::Backlog, Part::Flash];

/// Runs the parts that are asked for, as many at a time as there are processors; each for itself, so that the figures do
/// not depend on it.
///
/// # Errors
/// When a plot cannot be written.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    let wanted = |part: &Part| options.only.is_empty() || options.only.contains(part);
    let others = PARTS.iter().map(|(part, _)| *part).filter(|part| !LONGEST.contains(part));
    let order: Vec<Part> = LONGEST.into_iter().chain(others).filter(wanted).collect();
    let mut report = Report::default();
    let mut found = side_by_side(&order);
    for (part, _) in PARTS {
        let Some(found) = found.remove(&part) else { continue };
        report.tables.extend(found.tables);
        for plot in &found.plots {
            if let Some(folder) = &options.plots {
                let path = folder.join(format!("{}.svg", plot.name));
                std::fs::write(&path, plot.svg())
                    .map_err(|error| BenchFault::local(&path.display().to_string(), error))?;
            }
        }
    }
    let seconds = |radio: Radio| {
        format!("turn {} s, answer delay {} s", radio.turn.as_secs_f64(), radio.answer_delay.as_secs_f64())
    };
    report.facts = vec![("radio paper", seconds(Radio::PAPER)), ("radio modern", seconds(Radio::MODERN))];
    Ok(report)
}

/// Runs parts in this order on all processors.
fn side_by_side(order: &[Part]) -> BTreeMap<Part, Found> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(&part) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.push((part, part.find()));
        }
        found
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(order.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut found = BTreeMap::from_iter(work());
        for other in others {
            found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_run_once_whoever_runs_it() {
        let found = side_by_side(&[Part::Ordinary, Part::Fair]);
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [Part::Fair, Part::Ordinary]);
        assert_eq!(side_by_side(&[]), BTreeMap::new());
    }
}

//! `skywave bench hf`: the published measurements of chat over HF, a model of them, the project, and the limits, side by
//! side, in virtual time.
//!
//! Its parts are run one by one or together and give the same figures on every machine. The radio is the world's radio
//! model. Two constants belong to the radio and stay whatever software runs on it ([`radio::Radio`]); what belongs to
//! the software of the paper's time is in its profile and goes.

mod chat;
mod emcon;
mod mail;
mod ordinary;
pub(super) mod paper;
mod project;
mod radio;
mod svg;
mod vendor;
mod week;

use std::path::PathBuf;

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

/// Runs the parts that are asked for.
///
/// # Errors
/// When a plot cannot be written.
pub fn run(options: &Options) -> Result<Report, BenchFault> {
    let mut report = Report::default();
    for (part, _) in PARTS.iter().filter(|(part, _)| options.only.is_empty() || options.only.contains(part)) {
        let found = match part {
            Part::Chat => chat::round_trips(),
            Part::Backlog => chat::backlog(),
            Part::Fair => chat::fair(),
            Part::Bulk => mail::bulk(),
            Part::Flash => mail::flash(),
            Part::Week => week::run(),
            Part::Ordinary => ordinary::run(&[Radio::PAPER, Radio::MODERN]),
            Part::Emcon => emcon::run(),
        };
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

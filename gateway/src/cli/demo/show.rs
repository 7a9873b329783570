//! What a person sees of the demonstration: a progress bar on a terminal, lines elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use skywave_protocols::time::WallTime;

use crate::demo::ledger::{Fate, Ledger};
use crate::demo::outcome::{Link, Outcome};
use crate::telemetry::Event;

/// Where lines and bar go: standard output, or standard error where that one carries JSON.
pub struct Show {
    bar: Option<ProgressBar>,
    to_stderr: bool,
    began: WallTime,
    tenths: u64,
}

impl Show {
    /// A view that begins now.
    pub fn new(began: WallTime, json: bool, bytes: u64) -> Self {
        let terminal = if json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        let bar = terminal.then(|| {
            let target = if json { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::stdout() };
            let bar = ProgressBar::with_draw_target(Some(bytes), target);
            let style = ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, to_stderr: json, began, tenths: 0 }
    }

    /// A line with its time.
    pub fn line(&mut self, at: WallTime, words: &str) {
        self.plain(&format!("{}  {words}", clock(at, self.began)));
    }

    /// A line without time.
    pub fn plain(&mut self, words: &str) {
        match &self.bar {
            Some(bar) => bar.println(words),
            None if self.to_stderr => eprintln!("{words}"),
            None => println!("{words}"),
        }
    }

    /// Something happened at a site.
    pub fn event(&mut self, at: WallTime, site: &str, ledger: &Ledger, event: &Event) {
        let subject = |ticket: &str| {
            let fate = ledger.fates.iter().find(|fate| fate.ticket.as_deref() == Some(ticket));
            fate.map_or_else(|| ticket.to_owned(), name)
        };
        match event {
            Event::HopStarted { ticket, link, sites, unit_bytes, .. } => {
                let to = sites.join(", ");
                self.line(at, &format!("{site}: {} goes to {to} on {link}, {unit_bytes} bytes", subject(ticket)));
            }
            Event::Emission { link, silent } => {
                let state = if *silent { "in EMCON, emits nothing" } else { "may emit" };
                self.line(at, &format!("{site}: {link} {state}"));
            }
            Event::LinkUp { link } => self.line(at, &format!("{site}: {link} is up")),
            Event::LinkDown { link, why } => self.line(at, &format!("{site}: {link} is down: {why}")),
            Event::MailFinished { ticket } if ledger.fates.iter().any(|f| f.ticket.as_deref() == Some(ticket)) => {
                self.line(at, &format!("{site}: {} is confirmed by every site", subject(ticket)));
            }
            Event::PossibleDuplicate { .. } | Event::StoreFailing { .. } | Event::Damaged { .. } => {
                self.line(at, &format!("{site}: {}", crate::shell::log::line(event)));
            }
            Event::MailFinished { .. }
            | Event::Ready { .. }
            | Event::MailAccepted { .. }
            | Event::MailRefused { .. }
            | Event::MailTried { .. }
            | Event::Duplicate { .. }
            | Event::HopProgress { .. }
            | Event::Stanza(_)
            | Event::ChatBlock { .. }
            | Event::ChatServerUp { .. }
            | Event::ChatServerDown { .. }
            | Event::Notice { .. }
            | Event::StoreRecovered => {}
        }
    }

    /// Moves the bar; elsewhere a line for every tenth.
    pub fn progress(&mut self, at: WallTime, ledger: &Ledger, long: u64, on_air: u64, seconds_on_air: f64) {
        let weight = |fate: &Fate| {
            let bytes = fate.sample.draft.text.len() as u64;
            if fate.is_delivered() {
                bytes
            } else {
                fate.bytes_on_air().max(if fate.sample.long { long } else { 0 }).min(bytes)
            }
        };
        let done: u64 = ledger.fates.iter().map(weight).sum();
        let total: u64 = ledger.fates.iter().map(|fate| fate.sample.draft.text.len() as u64).sum();
        let on_air = format!("{on_air} bytes and {seconds_on_air:.0} s on air");
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{}  {on_air}", clock(at, self.began)));
            }
            None if done * 10 / total.max(1) > self.tenths => {
                self.tenths = done * 10 / total.max(1);
                self.line(at, &format!("{} % of the samples are across, {on_air}", self.tenths * 10));
            }
            None => {}
        }
    }

    /// The result.
    pub fn result(&mut self, outcome: &Outcome) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.plain("");
        self.plain("precedence    bytes  on link   seconds  from         to                          subject");
        for one in &outcome.messages {
            let seconds = one.seconds.map_or("    never".to_owned(), |seconds| format!("{seconds:9.1}"));
            let to = one.to.iter().map(|to| to.split('@').next().unwrap_or_default()).collect::<Vec<_>>().join(",");
            let sites = one.to.first().and_then(|to| to.split('@').nth(1)).unwrap_or_default();
            let from = one.from.split('@').nth(1).unwrap_or_default();
            self.plain(&format!(
                "{:<10} {:>8} {:>8} {seconds}  {from:<12} {:<27} {}",
                one.precedence.name(),
                one.bytes,
                one.bytes_on_air,
                format!("{to}@{sites}"),
                one.subject
            ));
        }
        self.plain("");
        for Link { name, units_sent, bytes_on_air, seconds_on_air, transmissions, .. } in &outcome.links {
            self.plain(&format!(
                "{name:<14} {units_sent:>3} units; its station: {transmissions} transmissions, {bytes_on_air} bytes, {seconds_on_air:.0} s on air"
            ));
        }
        for fault in &outcome.faults {
            self.plain(&format!("FAILED: {fault}"));
        }
        if outcome.ok {
            self.plain("All messages arrived once, the FLASH ahead of the 200 KB message, and nobody who chats waited for that.");
        }
    }
}

/// What a message is called in lines.
pub fn name(fate: &Fate) -> String {
    let subject = crate::world::local_mta::header(&fate.sample.draft.text, "subject").unwrap_or_default();
    format!("{} \"{subject}\"", fate.sample.precedence.name().to_uppercase())
}

/// Time since the beginning: `00:12:34`.
fn clock(at: WallTime, began: WallTime) -> String {
    let seconds = at.since(began).as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

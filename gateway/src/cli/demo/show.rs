//! What a person sees of the demonstration: a progress bar on a terminal, lines elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use skywave_protocols::time::WallTime;

use super::super::out;
use crate::demo::ledger::{Fate, Ledger};
use crate::demo::outcome::{Link, Message, Outcome};
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
            None => out::line_if_read(words),
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
        self.plain(HEADING);
        for one in &outcome.messages {
            self.plain(&row(one));
        }
        self.plain("");
        for Link { name, units_sent, bytes_on_air, seconds_on_air, transmissions, .. } in &outcome.links {
            self.plain(&format!(
                "{name:<15} {units_sent} units; station: {transmissions} transmissions, {bytes_on_air} bytes, {seconds_on_air:.0} s on air"
            ));
        }
        for fault in &outcome.faults {
            self.plain(&format!("FAILED: {fault}"));
        }
        if outcome.ok {
            let chat = outcome.messages.iter().filter(|one| one.kind == "chat").filter_map(|one| one.seconds);
            let longest = chat.fold(0.0, f64::max);
            self.plain("All messages arrived once, the FLASH ahead of the 200 KB message.");
            self.plain(&format!("What people wrote meanwhile was read within {longest:.0} s."));
        }
    }
}

/// The columns of [`row`]: a terminal of 80 columns shows them whole.
const HEADING: &str = "precedence kind   bytes on link seconds  to                   subject";
const TO_CHARACTERS: usize = 20;
const SUBJECT_CHARACTERS: usize = 18;

/// A message in the table of the result.
fn row(one: &Message) -> String {
    let seconds = one.seconds.map_or("never".to_owned(), |seconds| format!("{seconds:.1}"));
    let to = match one.to.as_slice() {
        [] => String::new(),
        [only] => cut(only, TO_CHARACTERS),
        [first, others @ ..] => {
            let more = format!(" +{}", others.len());
            cut(first, TO_CHARACTERS - more.len()) + &more
        }
    };
    let (precedence, subject) = (one.precedence.name(), cut(&one.subject, SUBJECT_CHARACTERS));
    let Message { kind, bytes, bytes_on_air, .. } = one;
    format!("{precedence:<10} {kind} {bytes:>7} {bytes_on_air:>7} {seconds:>7}  {to:<TO_CHARACTERS$} {subject}")
}

fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
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

#[cfg(test)]
mod tests {
    use skywave_protocols::message::precedence::Precedence;

    use super::*;

    #[test]
    fn rows_fit_eighty_columns() {
        let mut one = Message {
            id: String::new(),
            ticket: None,
            kind: "mail",
            subject: "A survey of 200 KB is on its way to you.".to_owned(),
            from: "operator@hq.test".to_owned(),
            to: ["alpha", "bravo", "charlie"].map(|name| format!("{name}@field.test")).into(),
            precedence: Precedence::Immediate,
            bytes: 200_241,
            bytes_on_air: 204_162,
            accepted_at: None,
            delivered_at: None,
            confirmed_at: None,
            seconds: Some(21_530.45),
        };
        assert_eq!(row(&one), "immediate  mail  200241  204162 21530.5  alpha@field.test +2  A survey of 200 K…");
        assert!(row(&one).chars().count() <= 80 && HEADING.len() <= 80);
        one.to = vec!["a-rather-long-name@field.test".to_owned()];
        assert_eq!(row(&one).chars().count(), 80);
    }
}

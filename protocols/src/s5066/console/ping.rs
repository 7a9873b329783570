//! Sends probes one by one to a console at another node and times the answers.
//!
//! The next ping goes out a pause after the answer to the last, or after the patience with it has ended: a half-duplex
//! radio is measured, not flooded. Of a group all members may answer; then the whole patience is waited. An answer that
//! comes later still counts, as late.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::limits::{ANSWERS_LISTED_MAX, LATE_MAX};
use super::note::{Answered, Note};
use super::probe::{self, Kind, Probe};
use super::session::{Fate, Happening, Session, Way};
use super::{Over, Tool};
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::event::SisConfig;
use crate::s5066::sis::unidata::UnidataIndication;
use crate::time::{Duration, Instant, Now, Wakeup};

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PingConfig {
    /// How pings travel.
    pub way: Way,
    /// How many; 0 for as many as there is time.
    pub count: u32,
    /// Octets of the U_PDU; fewer than a probe needs are taken for so many.
    pub octets: usize,
    /// From an answer to the next ping.
    pub pause: Duration,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// The tool.
#[derive(Debug)]
pub struct Ping {
    session: Session,
    config: PingConfig,
    run: u32,
    phase: Phase,
    /// Those that may still be answered; only the last ones.
    sent: BTreeMap<u32, Sent>,
    next: u32,
    tally: Tally,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The server has not taken the bind.
    Unbound,
    /// The next one goes out then.
    Pausing(Instant),
    /// The last one is waited for until then.
    Waiting(Instant),
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    confirmed: Option<Instant>,
    answered_by: BTreeSet<NodeAddress>,
    given_up: bool,
}

#[derive(Debug, Default)]
struct Tally {
    sent: u32,
    answered: u32,
    late: u32,
    duplicates: u32,
    rejected: u32,
    first: Option<f64>,
    /// All answers that are no duplicates.
    times: Times,
    listed: Vec<Answered>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    count: u32,
    sum: f64,
    squares: f64,
    least: f64,
    most: f64,
}

impl Times {
    fn add(&mut self, seconds: f64) {
        self.least = if self.count == 0 { seconds } else { self.least.min(seconds) };
        self.most = self.most.max(seconds);
        self.count += 1;
        self.sum += seconds;
        self.squares += seconds * seconds;
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    fn deviation(&self) -> Option<f64> {
        let mean = self.mean()?;
        Some((self.squares / f64::from(self.count) - mean * mean).max(0.0).sqrt())
    }
}

/// What came of the pings.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PingReport {
    /// The node or group.
    pub destination: NodeAddress,
    /// Octets of each U_PDU.
    pub octets: usize,
    /// Pings sent.
    pub sent: u32,
    /// Pings that somebody answered.
    pub answered: u32,
    /// Of these, first answered after they were given up.
    pub late: u32,
    /// Answers beyond the first of a node to a ping.
    pub duplicates: u32,
    /// Pings that the server did not deliver.
    pub rejected: u32,
    /// Pings not answered, of 100.
    pub lost_percent: f64,
    /// Seconds until the first answer: with the making of a link.
    pub first_seconds: Option<f64>,
    /// The least seconds of all answers.
    pub least_seconds: Option<f64>,
    /// Their mean.
    pub mean_seconds: Option<f64>,
    /// The mean of those after the first.
    pub later_mean_seconds: Option<f64>,
    /// The most.
    pub most_seconds: Option<f64>,
    /// Their standard deviation.
    pub deviation_seconds: Option<f64>,
    /// Answers one by one; at most [`ANSWERS_LISTED_MAX`].
    pub answers: Vec<Answered>,
}

impl Ping {
    /// Pings to be. `run` is a random number.
    pub fn new(session: SisConfig, config: PingConfig, run: u32, trace: bool) -> Self {
        let octets = config.octets.max(probe::octets_min(config.way.application));
        Self {
            session: Session::new(session, run.into(), trace),
            config: PingConfig { octets, ..config },
            run,
            phase: Phase::Unbound,
            sent: BTreeMap::new(),
            next: 0,
            tally: Tally::default(),
        }
    }

    fn send(&mut self, now: Now) {
        let sequence = self.next;
        let probe = Probe { run: self.run, sequence, kind: Kind::Ping };
        let request = self.config.way.request(sequence.into(), &probe, self.config.octets);
        if self.session.submit(now, request).is_err() {
            // The server takes no data, and much waits already.
            self.phase = Phase::Pausing(now.mono + self.config.patience);
            return;
        }
        self.next = self.next.wrapping_add(1);
        self.tally.sent += 1;
        let sent = Sent { at: now.mono, confirmed: None, answered_by: BTreeSet::new(), given_up: false };
        self.sent.insert(sequence, sent);
        while self.sent.len() > LATE_MAX {
            self.sent.pop_first();
        }
        self.phase = Phase::Waiting(now.mono + self.config.patience);
    }

    fn on_arrived(&mut self, now: Now, indication: &UnidataIndication) {
        let Some(probe) = probe::probe_of(self.config.way.application, &indication.u_pdu) else { return };
        if probe.run != self.run || probe.kind != Kind::Answer {
            return;
        }
        let Some(sent) = self.sent.get_mut(&probe.sequence) else { return };
        let answered = Answered {
            sequence: probe.sequence,
            from: indication.source,
            octets: indication.u_pdu.len(),
            seconds: now.mono.since(sent.at).as_secs_f64(),
            confirmed_after_seconds: sent.confirmed.map(|at| at.since(sent.at).as_secs_f64()),
            late: sent.given_up,
            duplicate: sent.answered_by.contains(&indication.source),
        };
        let first_of_all = sent.answered_by.is_empty();
        if sent.answered_by.len() < LATE_MAX {
            sent.answered_by.insert(indication.source);
        }
        self.tally.take(&answered, first_of_all);
        self.session.note(Note::Answered(answered));
        let is_last = probe.sequence.wrapping_add(1) == self.next;
        if is_last && matches!(self.phase, Phase::Waiting(_)) && !self.config.way.destination.is_group() {
            self.rest(now);
        }
    }

    /// After an answer, or without one: the next, or the end.
    fn rest(&mut self, now: Now) {
        if self.config.count != 0 && self.tally.sent >= self.config.count {
            self.session.end(now, Over::Done);
        } else {
            self.phase = Phase::Pausing(now.mono + self.config.pause);
        }
    }

    /// The last ping will not be answered in time.
    fn give_up(&mut self, now: Now) {
        if let Some((&sequence, sent)) = self.sent.last_key_value()
            && sent.answered_by.is_empty()
        {
            let seconds = now.mono.since(sent.at).as_secs_f64();
            self.session.note(Note::Unanswered { sequence, seconds });
        }
        self.sent.values_mut().for_each(|sent| sent.given_up = true);
        self.rest(now);
    }

    fn on_fate(&mut self, now: Now, token: u64, fate: Fate) {
        let Ok(sequence) = u32::try_from(token) else { return };
        match fate {
            Fate::Confirmed => {
                if let Some(sent) = self.sent.get_mut(&sequence) {
                    sent.confirmed = Some(now.mono);
                }
            }
            Fate::Rejected(reason) => {
                self.tally.rejected += 1;
                self.session.note(Note::Rejected { sequence, why: reason.to_string() });
                if sequence.wrapping_add(1) == self.next && matches!(self.phase, Phase::Waiting(_)) {
                    self.rest(now);
                }
            }
            // An answer may come all the same.
            Fate::Handed | Fate::Returned => {}
        }
    }
}

impl Tally {
    fn take(&mut self, answered: &Answered, first_of_all: bool) {
        if answered.duplicate {
            self.duplicates += 1;
            return;
        }
        if first_of_all {
            self.answered += 1;
            self.late += u32::from(answered.late);
        }
        self.first = self.first.or(Some(answered.seconds));
        self.times.add(answered.seconds);
        if self.listed.len() < ANSWERS_LISTED_MAX {
            self.listed.push(answered.clone());
        }
    }
}

impl Tool for Ping {
    type Report = PingReport;

    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn on_event(&mut self, now: Now, event: Happening) {
        match event {
            Happening::Bound => self.send(now),
            Happening::Arrived { indication, .. } => self.on_arrived(now, &indication),
            Happening::Request { token, fate } => self.on_fate(now, token, fate),
            Happening::Managed(_) | Happening::Ended(_) => {}
        }
    }

    fn on_time(&mut self, now: Now) {
        match self.phase {
            Phase::Pausing(until) if until <= now.mono => self.send(now),
            Phase::Waiting(until) if until <= now.mono => self.give_up(now),
            Phase::Unbound | Phase::Pausing(_) | Phase::Waiting(_) => {}
        }
    }

    fn own_wakeup(&self) -> Option<Wakeup> {
        match self.phase {
            Phase::Unbound => None,
            Phase::Pausing(at) => Some(Wakeup { at, why: "next ping" }),
            Phase::Waiting(at) => Some(Wakeup { at, why: "no answer" }),
        }
    }

    fn report(&self) -> PingReport {
        let Tally { sent, answered, late, duplicates, rejected, first, times, ref listed } = self.tally;
        let lost = f64::from(sent.saturating_sub(answered));
        let any = times.count > 0;
        let later = f64::from(times.count.saturating_sub(1));
        PingReport {
            destination: self.config.way.destination,
            octets: self.config.octets,
            sent,
            answered,
            late,
            duplicates,
            rejected,
            lost_percent: if sent == 0 { 0.0 } else { lost * 100.0 / f64::from(sent) },
            first_seconds: first,
            least_seconds: any.then_some(times.least),
            mean_seconds: times.mean(),
            later_mean_seconds: first.filter(|_| times.count > 1).map(|first| (times.sum - first) / later),
            most_seconds: any.then_some(times.most),
            deviation_seconds: times.deviation(),
            answers: listed.clone(),
        }
    }
}

impl fmt::Display for PingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- {}, U_PDUs of {} octets", self.destination, self.octets)?;
        write!(f, "{} sent, {} answered, {:.0} % lost", self.sent, self.answered, self.lost_percent)?;
        for (count, what) in [(self.late, "late"), (self.duplicates, "again"), (self.rejected, "not delivered")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        writeln!(f)?;
        if let (Some(least), Some(mean), Some(most), Some(deviation)) =
            (self.least_seconds, self.mean_seconds, self.most_seconds, self.deviation_seconds)
        {
            writeln!(f, "seconds: least {least:.2}, mean {mean:.2}, most {most:.2}, deviation {deviation:.2}")?;
        }
        if let (Some(first), Some(later)) = (self.first_seconds, self.later_mean_seconds) {
            writeln!(f, "first {first:.2}, mean of the others {later:.2}")?;
        }
        Ok(())
    }
}

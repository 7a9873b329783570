//! The other end of [`super::ping`] and [`super::traffic`]: answers pings, counts load, and says what it counted.
//!
//! It answers whoever asks, in the way the question came: ARQ or not, expedited or not, with the same priority. A
//! question to a group is answered to the asker alone. Counts of at most `limits.rs` runs are kept.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::limits::{PROBES_PER_RUN_MAX, RUNS_MAX};
use super::note::Note;
use super::probe::{self, Count, Kind, Probe};
use super::session::{Happening, Session, Way};
use super::{Over, Tool};
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::event::SisConfig;
use crate::s5066::sis::fields::{Confirmation, DeliveryMode, Order, TransmissionMode, Ttl};
use crate::s5066::sis::unidata::UnidataIndication;
use crate::time::{Duration, Instant, Now, Wakeup};

/// How it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerConfig {
    /// The application id of probes over RCOP and UDOP; `None` for probes without a header.
    pub application: Option<u16>,
    /// When an answer is worth nothing any more.
    pub ttl: Ttl,
    /// For so long; without, until it is told to stop.
    pub span: Option<Duration>,
}

/// The tool.
#[derive(Debug)]
pub struct Answer {
    session: Session,
    config: AnswerConfig,
    until: Option<Instant>,
    runs: BTreeMap<(NodeAddress, u32), Run>,
    report: AnswerReport,
}

#[derive(Debug)]
struct Run {
    count: Count,
    first: Instant,
    last: Instant,
    /// A bit for each number that came.
    came: Vec<u64>,
}

/// What it did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct AnswerReport {
    /// Where it was bound.
    pub sap: u8,
    /// Pings answered.
    pub pings_answered: u64,
    /// Load counted, in U_PDUs.
    pub load_pdus: u64,
    /// The same in octets.
    pub load_octets: u64,
    /// Counts told.
    pub counts_told: u64,
    /// U_PDUs that were no probes.
    pub strange: u64,
    /// Answers for which there was no room.
    pub dropped: u64,
}

impl Answer {
    /// An answering console to be.
    pub fn new(session: SisConfig, config: AnswerConfig, seed: u64, trace: bool) -> Self {
        let report = AnswerReport { sap: session.sap.number(), ..AnswerReport::default() };
        Self { session: Session::new(session, seed, trace), config, until: None, runs: BTreeMap::new(), report }
    }

    /// Runs that it counts at present.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    fn on_arrived(&mut self, now: Now, expedited: bool, indication: &UnidataIndication) {
        let Some(probe) = probe::probe_of(self.config.application, &indication.u_pdu) else {
            self.report.strange += 1;
            return;
        };
        let kind = match probe.kind {
            Kind::Ping => Kind::Answer,
            Kind::Load => return self.count(now, indication, &probe),
            Kind::AskCount => Kind::Count(self.counted(indication.source, probe.run)),
            Kind::Answer | Kind::Count(_) => {
                self.report.strange += 1;
                return;
            }
        };
        self.session.note(Note::Asked {
            from: indication.source,
            sap: indication.source_sap.number(),
            run: probe.run,
            sequence: probe.sequence,
            octets: indication.u_pdu.len(),
        });
        let answer = Probe { kind, ..probe };
        let request = self.way_back(expedited, indication).request(0, &answer, indication.u_pdu.len());
        match (self.session.submit(now, request), kind) {
            (Ok(()), Kind::Count(_)) => self.report.counts_told += 1,
            (Ok(()), _) => self.report.pings_answered += 1,
            (Err(_), _) => self.report.dropped += 1,
        }
    }

    /// As the question came.
    fn way_back(&self, expedited: bool, indication: &UnidataIndication) -> Way {
        let mode = match indication.transmission {
            TransmissionMode::NonArq | TransmissionMode::NonArqWithErrors => DeliveryMode::NON_ARQ,
            TransmissionMode::Arq | TransmissionMode::Default | TransmissionMode::Reserved(_) => {
                // Nobody waits for the fate of an answer here.
                DeliveryMode::new(TransmissionMode::Arq, Confirmation::None, Order::InOrder)
            }
        };
        Way {
            destination: indication.source,
            sap: indication.source_sap,
            mode,
            retransmissions: 0,
            priority: indication.priority,
            ttl: self.config.ttl,
            expedited,
            application: self.config.application,
        }
    }

    fn count(&mut self, now: Now, indication: &UnidataIndication, probe: &Probe) {
        let octets = indication.u_pdu.len() as u64;
        let key = (indication.source, probe.run);
        if !self.runs.contains_key(&key) && self.runs.len() >= RUNS_MAX {
            let oldest = self.runs.iter().min_by_key(|(_, run)| run.last).map(|(&key, _)| key);
            oldest.map(|key| self.runs.remove(&key));
        }
        let new = || Run { count: Count::default(), first: now.mono, last: now.mono, came: Vec::new() };
        let run = self.runs.entry(key).or_insert_with(new);
        if probe.sequence >= PROBES_PER_RUN_MAX {
            self.report.strange += 1;
            return;
        }
        if run.comes_again(probe.sequence) {
            run.count.duplicates = run.count.duplicates.saturating_add(1);
            return;
        }
        run.last = now.mono;
        run.count.pdus += 1;
        run.count.octets += octets;
        self.report.load_pdus += 1;
        self.report.load_octets += octets;
    }

    fn counted(&self, from: NodeAddress, run: u32) -> Count {
        let Some(run) = self.runs.get(&(from, run)) else { return Count::default() };
        let micros = u64::try_from(run.last.since(run.first).as_micros()).unwrap_or(u64::MAX);
        Count { micros, ..run.count }
    }
}

impl Run {
    /// Marks a number; whether it was marked before.
    fn comes_again(&mut self, sequence: u32) -> bool {
        let (word, bit) = (sequence as usize / 64, 1_u64 << (sequence % 64));
        if self.came.len() <= word {
            self.came.resize(word + 1, 0);
        }
        let again = self.came[word] & bit != 0;
        self.came[word] |= bit;
        again
    }
}

impl Tool for Answer {
    type Report = AnswerReport;

    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn on_event(&mut self, now: Now, event: Happening) {
        match event {
            Happening::Bound => self.until = self.config.span.map(|span| now.mono + span),
            Happening::Arrived { expedited, indication } => self.on_arrived(now, expedited, &indication),
            Happening::Request { .. } | Happening::Managed(_) | Happening::Ended(_) => {}
        }
    }

    fn on_time(&mut self, now: Now) {
        if self.until.is_some_and(|until| until <= now.mono) {
            self.session.end(now, Over::Done);
        }
    }

    fn own_wakeup(&self) -> Option<Wakeup> {
        self.until.map(|at| Wakeup { at, why: "answered long enough" })
    }

    fn report(&self) -> AnswerReport {
        self.report.clone()
    }
}

impl fmt::Display for AnswerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pings answered; {} U_PDUs of load with {} octets counted",
            self.pings_answered, self.load_pdus, self.load_octets
        )?;
        for (count, what) in [(self.strange, "no probes"), (self.dropped, "answers dropped")] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        writeln!(f)
    }
}

//! Sends load to another node and measures how much gets through: by the server's confirmations, and by the count of
//! a console there ([`super::answer`]).
//!
//! So many U_PDUs are under way at a time that the server always has something to send; it holds us back by its flow
//! control. With ARQ the confirmations say what arrived. Without, nobody knows but the far console, which is asked for
//! its count behind the last U_PDU, and asked again when it does not answer.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::limits::{COUNT_ASKED_AGAIN, COUNT_ASKED_MAX, PROBES_PER_RUN_MAX};
use super::note::Note;
use super::probe::{self, Count, Kind, Probe};
use super::session::{Fate, Happening, Session, Way};
use super::{Over, Tool};
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::event::SisConfig;
use crate::s5066::sis::unidata::UnidataIndication;
use crate::time::{Duration, Instant, Now, Wakeup};

/// The token of a request for a count.
const ASKING: u64 = u64::MAX;
/// Of all U_PDUs, so many parts are told as progress.
const PROGRESS_PARTS: u32 = 20;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrafficConfig {
    /// How the load travels.
    pub way: Way,
    /// U_PDUs in all: 1 to 65,536.
    pub pdus: u32,
    /// Octets of each; fewer than a probe needs are taken for so many.
    pub octets: usize,
    /// U_PDUs under way at a time.
    pub window: u32,
    /// The end, when nothing moves for so long.
    pub patience: Duration,
    /// Whether a console there is asked for its count.
    pub asks_count: bool,
}

/// The tool.
#[derive(Debug)]
pub struct Traffic {
    session: Session,
    config: TrafficConfig,
    run: u32,
    phase: Phase,
    /// Handed to the session and not ended: since when.
    under_way: BTreeMap<u32, Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
    tally: Tally,
    count: Option<Count>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Unbound,
    /// Nothing has moved since it was set: until then.
    Sending(Instant),
    /// The count was asked for so often; again, or the end, then.
    Asking(u32, Instant),
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    sent: u32,
    handed: u32,
    confirmed: u32,
    rejected: u32,
    unknown: u32,
    waits: f64,
    longest_wait: f64,
}

/// What got through.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TrafficReport {
    /// The node or group.
    pub destination: NodeAddress,
    /// Octets of each U_PDU.
    pub octets: usize,
    /// U_PDUs that were to be sent.
    pub pdus: u32,
    /// U_PDUs given to the session.
    pub sent: u32,
    /// Taken by the server, without a confirmation asked for.
    pub handed: u32,
    /// Confirmed by the server.
    pub confirmed: u32,
    /// Rejected by the server.
    pub rejected: u32,
    /// Of which nobody knows.
    pub unknown: u32,
    /// From the first request to the last that ended.
    pub seconds: f64,
    /// Bits of U_PDUs confirmed (or handed, where nothing is confirmed) in a second.
    pub bits_per_second: f64,
    /// From a request to its confirmation, in the mean.
    pub mean_confirmation_seconds: Option<f64>,
    /// The longest.
    pub longest_confirmation_seconds: Option<f64>,
    /// What the far console counted; `None` when it was not asked or did not answer.
    pub counted: Option<Counted>,
}

/// What the far console counted.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Counted {
    /// U_PDUs, each once.
    pub pdus: u32,
    /// U_PDUs that came again.
    pub duplicates: u32,
    /// Octets.
    pub octets: u64,
    /// From the first to the last that arrived.
    pub seconds: f64,
    /// Bits in a second, the first U_PDU left out: nobody knows when it began.
    pub bits_per_second: Option<f64>,
    /// Not counted, of 100.
    pub lost_percent: f64,
}

impl Traffic {
    /// Load to be. `run` is a random number.
    pub fn new(session: SisConfig, config: TrafficConfig, run: u32, trace: bool) -> Self {
        let config = TrafficConfig {
            octets: config.octets.max(probe::octets_min(config.way.application)),
            pdus: config.pdus.clamp(1, PROBES_PER_RUN_MAX),
            window: config.window.max(1),
            ..config
        };
        Self {
            session: Session::new(session, run.into(), trace),
            config,
            run,
            phase: Phase::Unbound,
            under_way: BTreeMap::new(),
            first: None,
            last: None,
            tally: Tally::default(),
            count: None,
        }
    }

    fn fill(&mut self, now: Now) {
        let window = self.config.window as usize;
        while self.tally.sent < self.config.pdus && self.under_way.len() < window {
            let sequence = self.tally.sent;
            let probe = Probe { run: self.run, sequence, kind: Kind::Load };
            let request = self.config.way.request(sequence.into(), &probe, self.config.octets);
            if self.session.submit(now, request).is_err() {
                break;
            }
            self.first = self.first.or(Some(now.mono));
            self.tally.sent += 1;
            self.under_way.insert(sequence, now.mono);
        }
        self.phase = Phase::Sending(now.mono + self.config.patience);
    }

    fn on_fate(&mut self, now: Now, token: u64, fate: Fate) {
        let Some(since) = u32::try_from(token).ok().and_then(|sequence| self.under_way.remove(&sequence)) else {
            return;
        };
        self.last = Some(now.mono);
        match fate {
            Fate::Handed => self.tally.handed += 1,
            Fate::Confirmed => {
                let wait = now.mono.since(since).as_secs_f64();
                self.tally.confirmed += 1;
                self.tally.waits += wait;
                self.tally.longest_wait = self.tally.longest_wait.max(wait);
            }
            Fate::Rejected(reason) => {
                self.tally.rejected += 1;
                self.session.note(Note::Rejected { sequence: token as u32, why: reason.to_string() });
            }
            Fate::Returned => self.tally.unknown += 1,
        }
        self.progress(now);
        if matches!(self.phase, Phase::Sending(_)) {
            self.fill(now);
            if self.under_way.is_empty() && self.tally.sent >= self.config.pdus {
                self.close(now);
            }
        }
    }

    fn progress(&mut self, now: Now) {
        let (pdus, of) = (self.tally.ended(), self.config.pdus);
        if pdus.is_multiple_of(of.div_ceil(PROGRESS_PARTS)) || pdus == of {
            let seconds = now.mono.since(self.first.unwrap_or_default()).as_secs_f64();
            self.session.note(Note::Progress { pdus, of, seconds });
        }
    }

    /// All has ended: the count, or the end.
    fn close(&mut self, now: Now) {
        if self.config.asks_count && self.tally.confirmed + self.tally.handed > 0 {
            self.ask(now, 1);
        } else {
            self.session.end(now, Over::Done);
        }
    }

    fn ask(&mut self, now: Now, time: u32) {
        let probe = Probe { run: self.run, sequence: self.tally.sent.wrapping_add(time), kind: Kind::AskCount };
        // As long as the rest: the shortest would do, but padding makes room for the answer in the same octets.
        let request = self.config.way.request(ASKING, &probe, self.config.octets);
        // When it is not taken now, it is asked again later.
        let _ = self.session.submit(now, request);
        self.phase = Phase::Asking(time, now.mono + self.config.patience.max(COUNT_ASKED_AGAIN));
    }

    fn on_arrived(&mut self, now: Now, indication: &UnidataIndication) {
        let Some(probe) = probe::probe_of(self.config.way.application, &indication.u_pdu) else { return };
        if let (Kind::Count(count), true) = (probe.kind, probe.run == self.run) {
            self.count = Some(count);
            self.session.end(now, Over::Done);
        }
    }

    fn counted(&self) -> Option<Counted> {
        let Count { pdus, duplicates, octets, micros } = self.count?;
        let seconds = Duration::from_micros(micros).as_secs_f64();
        let but_first = octets.saturating_sub(self.config.octets as u64) as f64;
        let lost = f64::from(self.tally.sent.saturating_sub(pdus));
        Some(Counted {
            pdus,
            duplicates,
            octets,
            seconds,
            bits_per_second: (micros > 0).then(|| but_first * 8.0 / seconds),
            lost_percent: lost * 100.0 / f64::from(self.tally.sent.max(1)),
        })
    }
}

impl Tally {
    const fn ended(&self) -> u32 {
        self.handed + self.confirmed + self.rejected + self.unknown
    }
}

impl Tool for Traffic {
    type Report = TrafficReport;

    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn on_event(&mut self, now: Now, event: Happening) {
        match event {
            Happening::Bound => self.fill(now),
            Happening::Arrived { indication, .. } => self.on_arrived(now, &indication),
            Happening::Request { token, fate } => self.on_fate(now, token, fate),
            Happening::Managed(_) | Happening::Ended(_) => {}
        }
    }

    fn on_time(&mut self, now: Now) {
        match self.phase {
            Phase::Sending(until) if until <= now.mono => self.session.end(now, Over::Done),
            Phase::Asking(time, until) if until <= now.mono => {
                if time < COUNT_ASKED_MAX {
                    self.ask(now, time + 1);
                } else {
                    self.session.end(now, Over::Done);
                }
            }
            Phase::Unbound | Phase::Sending(_) | Phase::Asking(..) => {}
        }
    }

    fn own_wakeup(&self) -> Option<Wakeup> {
        match self.phase {
            Phase::Unbound => None,
            Phase::Sending(at) => Some(Wakeup { at, why: "nothing moves" }),
            Phase::Asking(_, at) => Some(Wakeup { at, why: "count missing" }),
        }
    }

    fn report(&self) -> TrafficReport {
        let Tally { sent, handed, confirmed, rejected, waits, longest_wait, unknown } = self.tally;
        let seconds = match (self.first, self.last) {
            (Some(first), Some(last)) => last.since(first).as_secs_f64(),
            (_, _) => 0.0,
        };
        let through = if confirmed > 0 { confirmed } else { handed };
        let bits = f64::from(through) * self.config.octets as f64 * 8.0;
        TrafficReport {
            destination: self.config.way.destination,
            octets: self.config.octets,
            pdus: self.config.pdus,
            sent,
            handed,
            confirmed,
            rejected,
            unknown,
            seconds,
            bits_per_second: if seconds > 0.0 { bits / seconds } else { 0.0 },
            mean_confirmation_seconds: (confirmed > 0).then(|| waits / f64::from(confirmed)),
            longest_confirmation_seconds: (confirmed > 0).then_some(longest_wait),
            counted: self.counted(),
        }
    }
}

impl TrafficReport {
    /// Whether everything arrived, as far as anybody can know.
    pub fn is_complete(&self) -> bool {
        match &self.counted {
            Some(counted) => counted.pdus == self.pdus,
            None => self.confirmed + self.handed == self.pdus,
        }
    }
}

impl fmt::Display for TrafficReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- {}, U_PDUs of {} octets", self.destination, self.octets)?;
        write!(f, "{} of {} sent", self.sent, self.pdus)?;
        let fates = [
            (self.confirmed, "confirmed"),
            (self.handed, "taken by the server"),
            (self.rejected, "rejected"),
            (self.unknown, "of unknown fate"),
        ];
        for (count, what) in fates {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        writeln!(f, ", in {:.1} s: {:.0} bit/s", self.seconds, self.bits_per_second)?;
        if let (Some(mean), Some(longest)) = (self.mean_confirmation_seconds, self.longest_confirmation_seconds) {
            writeln!(f, "confirmed after {mean:.1} s in the mean, {longest:.1} s at most")?;
        }
        match &self.counted {
            Some(counted) => {
                write!(f, "counted there: {} U_PDUs, {:.0} % lost", counted.pdus, counted.lost_percent)?;
                if counted.duplicates > 0 {
                    write!(f, ", {} again", counted.duplicates)?;
                }
                match counted.bits_per_second {
                    Some(rate) => writeln!(f, ", in {:.1} s: {rate:.0} bit/s", counted.seconds),
                    None => writeln!(f),
                }
            }
            None => writeln!(f, "nobody counted there"),
        }
    }
}

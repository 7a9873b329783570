//! Binds with rank 15, asks one thing of the node, and says what it answered.

use std::fmt;

use serde::Serialize;

use super::session::{Happening, Session};
use super::status::SAPS;
use super::{Over, Tool};
use crate::s5066::management::Ask;
use crate::s5066::sis::event::{SessionEnd, SisConfig};
use crate::s5066::sis::fields::{DeliveryMode, Rank, SapId};
use crate::s5066::sis::reason::BindRejection;
use crate::time::{Duration, Instant, Now, Wakeup};

/// The tool.
#[derive(Debug)]
pub struct Manage {
    session: Session,
    /// Tried next.
    saps: Vec<SapId>,
    ask: Ask,
    patience: Duration,
    until: Option<Instant>,
    answer: Option<String>,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ManageReport {
    /// What was asked.
    pub asked: &'static str,
    /// The answer's text; none when the node gave none in time.
    pub answer: Option<String>,
}

impl ManageReport {
    /// Whether the node did what was asked: ours answers with the same words, or with its state.
    pub fn is_done(&self) -> bool {
        let state = self.asked == Ask::State.text();
        self.answer.as_deref().is_some_and(|answer| state || answer == self.asked)
    }
}

impl Manage {
    /// Asks at a SAP, or at the first of [`SAPS`] without a client; waits so long for the answer.
    pub fn new(ask: Ask, sap: Option<SapId>, patience: Duration, seed: u64, trace: bool) -> Self {
        let mut saps = sap.map_or_else(|| SAPS.map(SapId::from_low_bits).to_vec(), |sap| vec![sap]);
        let config = SisConfig { rank: Rank::MANAGER, ..SisConfig::new(saps.remove(0), DeliveryMode::NON_ARQ) };
        Self { session: Session::new(config, seed, trace), saps, ask, patience, until: None, answer: None }
    }
}

impl Tool for Manage {
    type Report = ManageReport;

    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn on_event(&mut self, now: Now, event: Happening) {
        match event {
            Happening::Bound => {
                self.until = Some(now.mono + self.patience);
                self.session.manage(self.ask.message());
            }
            Happening::Managed(message) => {
                self.answer = Some(String::from_utf8_lossy(&message.body).into_owned());
                self.session.end(now, Over::Done);
            }
            Happening::Arrived { .. } | Happening::Request { .. } | Happening::Ended(_) => {}
        }
    }

    fn on_end(&mut self, now: Now, why: SessionEnd) {
        if why == SessionEnd::BindRejected(BindRejection::SapAllocated) && !self.saps.is_empty() {
            let next = self.saps.remove(0);
            return self.session.rebind(now, next);
        }
        self.session.end(now, Over::Failed(why));
    }

    fn on_time(&mut self, now: Now) {
        if self.until.is_some_and(|until| until <= now.mono) {
            self.session.end(now, Over::Done);
        }
    }

    fn own_wakeup(&self) -> Option<Wakeup> {
        self.until.map(|at| Wakeup { at, why: "waited long enough" })
    }

    fn report(&self) -> ManageReport {
        ManageReport { asked: self.ask.text(), answer: self.answer.clone() }
    }
}

impl fmt::Display for ManageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Some(answer) => writeln!(f, "{answer}"),
            None => writeln!(f, "no answer: a node of another maker is managed by its own means"),
        }
    }
}

//! Binds at a SAP and shows every primitive that passes, until it is told to stop.

use std::fmt;

use serde::Serialize;

use super::session::{Happening, Session};
use super::{Over, Tool};
use crate::s5066::sis::event::SisConfig;
use crate::time::{Duration, Instant, Now, Wakeup};

/// The tool.
#[derive(Debug)]
pub struct Watch {
    session: Session,
    span: Option<Duration>,
    until: Option<Instant>,
    arrived: u64,
    octets: u64,
}

/// What it saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WatchReport {
    /// Where it was bound.
    pub sap: u8,
    /// U_PDUs that arrived.
    pub u_pdus: u64,
    /// Their octets.
    pub octets: u64,
}

impl Watch {
    /// Watches for so long; without a span until it is told to stop.
    pub fn new(config: SisConfig, span: Option<Duration>, seed: u64) -> Self {
        Self { session: Session::new(config, seed, true), span, until: None, arrived: 0, octets: 0 }
    }
}

impl Tool for Watch {
    type Report = WatchReport;

    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn on_event(&mut self, now: Now, event: Happening) {
        match event {
            Happening::Bound => self.until = self.span.map(|span| now.mono + span),
            Happening::Arrived { indication, .. } => {
                self.arrived += 1;
                self.octets += indication.u_pdu.len() as u64;
            }
            Happening::Request { .. } | Happening::Managed(_) | Happening::Ended(_) => {}
        }
    }

    fn on_time(&mut self, now: Now) {
        if self.until.is_some_and(|until| until <= now.mono) {
            self.session.end(now, Over::Done);
        }
    }

    fn own_wakeup(&self) -> Option<Wakeup> {
        self.until.map(|at| Wakeup { at, why: "watched long enough" })
    }

    fn report(&self) -> WatchReport {
        WatchReport { sap: self.session.sap().number(), u_pdus: self.arrived, octets: self.octets }
    }
}

impl fmt::Display for WatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} U_PDUs with {} octets arrived at SAP {}", self.u_pdus, self.octets, self.sap)
    }
}

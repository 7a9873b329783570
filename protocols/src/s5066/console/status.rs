//! Binds at a free SAP, waits a moment for what the server says of its subnetwork, and unbinds.

use std::fmt;

use serde::Serialize;

use super::note::Note;
use super::session::{Happening, Session};
use super::{Over, Tool};
use crate::s5066::sis::event::{SessionEnd, SisConfig};
use crate::s5066::sis::fields::{DeliveryMode, Rank, SapId};
use crate::s5066::sis::reason::{Availability, AvailabilityReason, BindRejection};
use crate::time::{Duration, Instant, Now, Wakeup};

/// SAPs that are tried one after the other when none is named: those without a client of the standard first
/// (F table F-1), never that of the management and never one that mail or chat of a gateway use.
pub const SAPS: [u8; 8] = [13, 14, 15, 10, 11, 8, 5, 4];

/// The tool.
#[derive(Debug)]
pub struct Status {
    session: Session,
    /// Tried next.
    saps: Vec<SapId>,
    wait: Duration,
    until: Option<Instant>,
    taken: Vec<u8>,
    mtu: Option<u16>,
    flowing: bool,
}

/// What the server says.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StatusReport {
    /// Whether it took a bind.
    pub bound: bool,
    /// Where.
    pub sap: Option<u8>,
    /// SAPs tried before, which have a client.
    pub saps_taken: Vec<u8>,
    /// From the wish for a connection to the answer.
    pub seconds_to_bind: Option<f64>,
    /// Octets of the largest U_PDU.
    pub mtu_octets: Option<u16>,
    /// What the subnetwork can do; on, without a reason, when the server said nothing of it.
    pub availability: Availability,
    /// Why.
    pub availability_reason: AvailabilityReason,
    /// Whether the server takes data.
    pub data_flow: bool,
    /// Primitives of unknown type or wrong direction.
    pub strange_primitives: u64,
}

impl Status {
    /// Tries these SAPs, the first first, and listens for `wait` after the bind.
    pub fn new(saps: &[SapId], rank: Rank, wait: Duration, seed: u64, trace: bool) -> Self {
        let mut saps: Vec<SapId> = saps.to_vec();
        let first = if saps.is_empty() { SapId::from_low_bits(SAPS[0]) } else { saps.remove(0) };
        let config = SisConfig { rank, ..SisConfig::new(first, DeliveryMode::NON_ARQ) };
        Self {
            session: Session::new(config, seed, trace),
            saps,
            wait,
            until: None,
            taken: Vec::new(),
            mtu: None,
            flowing: true,
        }
    }
}

impl Tool for Status {
    type Report = StatusReport;

    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn on_event(&mut self, now: Now, event: Happening) {
        match event {
            Happening::Bound => {
                self.until = Some(now.mono + self.wait);
                self.mtu = self.session.client().mtu();
            }
            // Somebody's data for a client that was here before.
            Happening::Arrived { .. } | Happening::Request { .. } | Happening::Managed(_) | Happening::Ended(_) => {}
        }
    }

    fn on_end(&mut self, now: Now, why: SessionEnd) {
        if why == SessionEnd::BindRejected(BindRejection::SapAllocated) {
            let taken = self.session.sap().number();
            self.taken.push(taken);
            if !self.saps.is_empty() {
                self.session.note(Note::SapTaken { sap: taken });
                let next = self.saps.remove(0);
                return self.session.rebind(now, next);
            }
        }
        self.session.end(now, Over::Failed(why));
    }

    fn on_time(&mut self, now: Now) {
        if self.until.is_some_and(|until| until <= now.mono) {
            self.flowing = self.session.client().is_flowing();
            self.session.end(now, Over::Done);
        }
    }

    fn own_wakeup(&self) -> Option<Wakeup> {
        self.until.map(|at| Wakeup { at, why: "heard enough" })
    }

    fn report(&self) -> StatusReport {
        let client = self.session.client();
        let bound = self.until.is_some();
        let (availability, availability_reason) = client.availability();
        StatusReport {
            bound,
            sap: bound.then(|| self.session.sap().number()),
            saps_taken: self.taken.clone(),
            seconds_to_bind: self.session.seconds_to_bind(),
            mtu_octets: self.mtu,
            availability,
            availability_reason,
            data_flow: self.flowing,
            strange_primitives: client.counters().strange,
        }
    }
}

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for sap in &self.saps_taken {
            writeln!(f, "SAP {sap} has a client")?;
        }
        let (Some(sap), Some(mtu), Some(seconds)) = (self.sap, self.mtu_octets, self.seconds_to_bind) else {
            return Ok(());
        };
        writeln!(f, "took a bind at SAP {sap} after {seconds:.3} s")?;
        writeln!(f, "U_PDUs of at most {mtu} octets")?;
        writeln!(f, "subnetwork {} ({})", self.availability, self.availability_reason)?;
        if !self.data_flow {
            writeln!(f, "it takes no data at present")?;
        }
        if self.strange_primitives > 0 {
            writeln!(f, "{} strange primitives", self.strange_primitives)?;
        }
        Ok(())
    }
}

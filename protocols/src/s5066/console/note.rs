//! What a tool has to show while it runs: as an object with stable fields, or as a line for people.

use std::fmt;

use serde::Serialize;

use super::tap::Toward;
use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::reason::{Availability, AvailabilityReason};

/// One thing to show.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Note {
    /// The server took the bind.
    Bound {
        /// At this SAP.
        sap: u8,
        /// Octets of the largest U_PDU.
        mtu_octets: u16,
        /// From the wish for a session to the answer.
        seconds: f64,
    },
    /// The server has another client at this SAP.
    SapTaken {
        /// Which.
        sap: u8,
    },
    /// What the subnetwork can do.
    Availability {
        /// It.
        availability: Availability,
        /// Why.
        reason: AvailabilityReason,
    },
    /// Whether the server takes data.
    Flow {
        /// It does.
        flowing: bool,
    },
    /// A ping was answered.
    Answered(Answered),
    /// A ping was not answered in time.
    Unanswered {
        /// Which.
        sequence: u32,
        /// So long was waited.
        seconds: f64,
    },
    /// The server says that it did not deliver a probe.
    Rejected {
        /// Which.
        sequence: u32,
        /// Its reason.
        why: String,
    },
    /// A console elsewhere sent a ping, or asked what was counted; it was answered.
    Asked {
        /// Its node.
        from: NodeAddress,
        /// Its SAP.
        sap: u8,
        /// Which run of it.
        run: u32,
        /// The number in the run.
        sequence: u32,
        /// Octets of the U_PDU.
        octets: usize,
    },
    /// So far a run of traffic has come.
    Progress {
        /// U_PDUs that ended: confirmed, rejected or handed over.
        pdus: u32,
        /// Of so many.
        of: u32,
        /// Since the first was handed to the session.
        seconds: f64,
    },
    /// A frame of the subnetwork interface passed.
    Primitive {
        /// Where it goes.
        toward: Toward,
        /// The frame.
        #[serde(skip)]
        octets: Bytes,
    },
    /// The octets of one side are no frames (any more); they are passed on and no more shown.
    Broken {
        /// Where they go.
        toward: Toward,
        /// What is wrong.
        why: String,
    },
}

/// The answer to a ping.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Answered {
    /// Which ping.
    pub sequence: u32,
    /// Who answered.
    pub from: NodeAddress,
    /// Octets of the U_PDU.
    pub octets: usize,
    /// From handing the ping to the session until the answer.
    pub seconds: f64,
    /// The same until the server confirmed the delivery, where that came before the answer.
    pub confirmed_after_seconds: Option<f64>,
    /// After it was given up.
    pub late: bool,
    /// Not the first answer of this node to this ping.
    pub duplicate: bool,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound { sap, mtu_octets, seconds } => {
                write!(f, "bound at SAP {sap} after {seconds:.3} s, U_PDUs of at most {mtu_octets} octets")
            }
            Self::SapTaken { sap } => write!(f, "SAP {sap} has another client"),
            Self::Availability { availability, reason } => write!(f, "subnetwork {availability} ({reason})"),
            Self::Flow { flowing: true } => f.write_str("the server takes data again"),
            Self::Flow { flowing: false } => f.write_str("the server takes no data for now"),
            Self::Answered(answered) => answered.fmt(f),
            Self::Unanswered { sequence, seconds } => write!(f, "no answer to {sequence} within {seconds:.1} s"),
            Self::Rejected { sequence, why } => write!(f, "{sequence} was not delivered: {why}"),
            Self::Asked { from, sap, run, sequence, octets } => {
                write!(f, "{octets} octets from {from} SAP {sap}: run {run:08x}, number {sequence}")
            }
            Self::Progress { pdus, of, seconds } => write!(f, "{pdus} of {of} U_PDUs after {seconds:.1} s"),
            Self::Primitive { toward, octets } => write!(f, "{toward} {}", crate::bytes::hex(octets)),
            Self::Broken { toward, why } => write!(f, "{toward} no frames any more: {why}"),
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, from, octets, seconds, .. } = self;
        write!(f, "{octets} octets from {from}: number {sequence}, {seconds:.2} s")?;
        if let Some(confirmed) = self.confirmed_after_seconds {
            write!(f, ", confirmed after {confirmed:.2} s")?;
        }
        match (self.late, self.duplicate) {
            (_, true) => f.write_str(" (again)"),
            (true, false) => f.write_str(" (late)"),
            (false, false) => Ok(()),
        }
    }
}

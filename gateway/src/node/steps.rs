//! What the parts of a node hand to each other: plain values, each made by one part and ended by another.

use skywave_protocols::message::mail::Envelope;
use skywave_protocols::message::precedence::MtPriority;
use skywave_transports::io::{PipeId, Write};
use skywave_transports::transport::{ArrivalId, SiteName, TransportFault};

use super::command::Command;
use super::seam::{Needs, ReplyTo};
use crate::queue::agenda::Entry;
use crate::queue::record::{HopKey, MailRecord, Origin, Ticket};
use crate::report::{Kind, Outcome};
use crate::store::StoreFault;

/// A mail that is complete and whose text is appended to a body.
#[derive(Debug)]
pub struct Incoming {
    /// Its number, chosen when its text began.
    pub ticket: Ticket,
    /// Where it came from, in words.
    pub source: String,
    /// Where it entered the first gateway, if that was not here.
    pub origin: Option<Origin>,
    /// Its envelope.
    pub envelope: Envelope,
    /// The value that rules its order.
    pub priority: MtPriority,
    /// Octets of its text, our Received field included.
    pub octets: u64,
    /// Octets of its header.
    pub header_octets: u64,
    /// The Message-ID of its header.
    pub message_id: String,
    /// Octet ranges of MT-Priority fields in its text.
    pub mt_priority_fields: Vec<(u64, u64)>,
    /// What its text demands.
    pub needs: Needs,
    /// The link it came by.
    pub arrived_by: Option<String>,
    /// What else is stored with it.
    pub extra: Vec<Write>,
    /// Who waits for the answer.
    pub answer: AnswerTo,
}

/// Who waits until a mail is on the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnswerTo {
    /// An SMTP client.
    Session(PipeId),
    /// A sender beyond a link: link index and arrival.
    Arrival(usize, ArrivalId),
    /// The mail that this one reports on: which hop and recipients it settles.
    Report(Settles),
}

/// A mail whose batch is on its way to the disk.
#[derive(Debug)]
pub struct Accepted {
    /// The record in the batch.
    pub record: MailRecord,
    /// Who waits.
    pub answer: AnswerTo,
}

/// What is settled when a report is on the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settles {
    /// The mail reported on.
    pub ticket: Ticket,
    /// The hop whose recipients are settled; `None` for reports that settle nothing (delay, relayed).
    pub hop: Option<HopKey>,
    /// What is reported.
    pub kind: Kind,
    /// Of whom.
    pub outcomes: Vec<Outcome>,
}

impl Settles {
    /// Recipients that its report gives up.
    pub fn given_up(&self) -> impl Iterator<Item = (Ticket, u32)> {
        let outcomes = self.outcomes.iter().filter(|_| self.hop.is_some());
        outcomes.map(|outcome| (self.ticket, outcome.recipient))
    }
}

/// What a batch was for: decides what follows when it is on the disk, and when it is not.
#[derive(Debug)]
pub enum Saved {
    /// A mail is accepted; somebody waits for the answer.
    Accepted(Box<Accepted>),
    /// Notes about mails.
    Notes(Vec<Ticket>),
    /// The marks that hand-overs of these hops are open: none begins before its mark is on the disk.
    Marked(Vec<HopKey>),
    /// Records of a transport: link index and the transport's number.
    Transport(usize, u64),
    /// Stanzas, and records of chat sessions: chat's number.
    Chat(u64),
}

/// A batch that could not be stored and is given back to whoever wanted it.
#[derive(Debug)]
pub struct Refused {
    /// What it was for.
    pub saved: Saved,
    /// Why.
    pub fault: StoreFault,
}

/// What became of a unit at one site.
#[derive(Clone, PartialEq, Debug)]
pub enum UnitNews {
    /// The site has it.
    Delivered(SiteName),
    /// It will not get it.
    Failed(SiteName, TransportFault),
}

/// What is to be done with a mail once its record is in memory.
#[derive(Debug)]
pub enum Then {
    /// The agenda's entry.
    Due(Entry),
    /// The agenda's entry lies too far ahead: the clock was set back.
    Nearer(Entry),
    /// News of the unit that carries a hop.
    Unit(usize, UnitNews),
    /// An operator's command.
    Command(ReplyTo, Command),
    /// A hop found on disk is to enter its lane.
    Enter(HopKey),
}

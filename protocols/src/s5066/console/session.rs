//! The one session of a tool: a [`SisClient`] that is not tried again once it has ended.

use std::collections::VecDeque;

use super::limits::OUTPUTS_MAX;
use super::note::Note;
use super::probe::{self, Probe};
use super::tap::{Tap, Toward};
use super::{Over, ToolOutput};
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::client::SisClient;
use crate::s5066::sis::event::{SessionEnd, SisConfig, SisEvent, SisRequest, SubmitFault};
use crate::s5066::sis::fields::{DeliveryMode, SapId, Ttl};
use crate::s5066::sis::pdu::Management;
use crate::s5066::sis::reason::DataRejection;
use crate::s5066::sis::unidata::UnidataIndication;
use crate::time::{Instant, Now, Wakeup};

/// How probes travel to a console at another node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// To this node or group.
    pub destination: NodeAddress,
    /// To the client at this SAP of it.
    pub sap: SapId,
    /// With these attributes.
    pub mode: DeliveryMode,
    /// How often non-ARQ data is repeated: 0 to 15.
    pub retransmissions: u8,
    /// 0 lowest to 15.
    pub priority: u8,
    /// When it is worth nothing any more.
    pub ttl: Ttl,
    /// By the expedited service.
    pub expedited: bool,
    /// The application id behind the header of RCOP and UDOP; `None` for probes without a header.
    pub application: Option<u16>,
}

impl Way {
    /// The request for a probe in a U_PDU of `octets` octets.
    pub fn request(&self, token: u64, probe: &Probe, octets: usize) -> SisRequest {
        let Self { destination, sap, mode, retransmissions, priority, ttl, expedited, application } = *self;
        let u_pdu = probe::u_pdu(application, probe, octets);
        SisRequest { token, sap, destination, mode, priority, retransmissions, ttl, expedited, u_pdu }
    }
}

/// What a tool hears of its session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The server took the bind.
    Bound,
    /// A U_PDU arrived.
    Arrived {
        /// By the expedited service.
        expedited: bool,
        /// It.
        indication: UnidataIndication,
    },
    /// A request reached its end.
    Request {
        /// Its token.
        token: u64,
        /// Which end.
        fate: Fate,
    },
    /// The server answered a management message.
    Managed(Management),
    /// The session ended, unasked.
    Ended(SessionEnd),
}

/// The end of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Handed to the server; nobody will confirm it.
    Handed,
    /// Delivered as asked.
    Confirmed,
    /// Not delivered.
    Rejected(DataRejection),
    /// Nobody knows.
    Returned,
}

/// A tool's session. What happens in it is fetched by [`Session::next_event`].
#[derive(Debug)]
pub struct Session {
    config: SisConfig,
    seed: u64,
    client: SisClient,
    /// Shows all primitives.
    tap: Option<Tap>,
    began: Option<Instant>,
    seconds_to_bind: Option<f64>,
    outputs: VecDeque<ToolOutput>,
    notes_dropped: u64,
    over: Option<Over>,
}

impl Session {
    /// A session to come; with `trace` its primitives are shown.
    pub fn new(config: SisConfig, seed: u64, trace: bool) -> Self {
        Self {
            config,
            seed,
            client: SisClient::new(config, seed),
            tap: trace.then(Tap::new),
            began: None,
            seconds_to_bind: None,
            outputs: VecDeque::new(),
            notes_dropped: 0,
            over: None,
        }
    }

    /// Where it binds.
    pub const fn sap(&self) -> SapId {
        self.config.sap
    }

    /// The client, to be looked at.
    pub const fn client(&self) -> &SisClient {
        &self.client
    }

    /// From the wish for a session to the server's yes; `None` before.
    pub const fn seconds_to_bind(&self) -> Option<f64> {
        self.seconds_to_bind
    }

    /// Hands a request to the session. One that it can never take ends the tool.
    pub fn submit(&mut self, now: Now, request: SisRequest) -> Result<(), SubmitFault> {
        let taken = self.client.submit(now, request);
        if let Err(fault @ (SubmitFault::TooLarge { .. } | SubmitFault::GroupByArq)) = taken {
            self.end(now, Over::Unfit(fault.to_string()));
        }
        taken
    }

    /// Says something to the server's management.
    pub fn manage(&mut self, message: Management) {
        self.client.manage(message);
    }

    /// Shows something; beyond the limit it is dropped.
    pub fn note(&mut self, note: Note) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(ToolOutput::Note(note));
        } else {
            self.notes_dropped += 1;
        }
    }

    /// Notes that were dropped.
    pub const fn notes_dropped(&self) -> u64 {
        self.notes_dropped
    }

    /// Ends the session, and the tool with it. The first end counts.
    pub fn end(&mut self, now: Now, over: Over) {
        if self.over.is_none() {
            self.over = Some(over);
            self.client.stop(now);
        }
    }

    /// Begins anew at another SAP, over another pipe. Only after the end of the session before.
    pub fn rebind(&mut self, now: Now, sap: SapId) {
        self.config.sap = sap;
        self.client = SisClient::new(self.config, self.seed);
        self.tap = self.tap.as_ref().map(|_| Tap::new());
        self.start(now);
    }

    pub(super) fn start(&mut self, now: Now) {
        self.began = Some(now.mono);
        self.client.start();
    }

    pub(super) fn opened(&mut self, now: Now) {
        self.client.opened(now);
    }

    pub(super) fn closed(&mut self, now: Now, reason: Option<String>) {
        self.client.closed(now, reason);
    }

    pub(super) fn read(&mut self, now: Now, octets: &[u8]) {
        self.show(Toward::Client, octets);
        self.client.handle_read(now, octets);
    }

    pub(super) fn wake(&mut self, now: Now) {
        self.client.handle_wakeup(now);
    }

    /// What happened next. Wishes about the pipe and what is to be written become outputs in their order, what the
    /// server says of itself becomes notes.
    pub(super) fn next_event(&mut self, now: Now) -> Option<Happening> {
        loop {
            while let Some(octets) = self.client.poll_write() {
                self.show(Toward::Server, &octets);
                self.outputs.push_back(ToolOutput::Write(octets));
            }
            match self.client.poll_event()? {
                SisEvent::WantOpen => self.outputs.push_back(ToolOutput::Open),
                SisEvent::WantClose => self.outputs.push_back(ToolOutput::Close),
                SisEvent::Bound { mtu } => {
                    let seconds = now.mono.since(self.began.unwrap_or_default()).as_secs_f64();
                    self.seconds_to_bind = Some(seconds);
                    self.note(Note::Bound { sap: self.config.sap.number(), mtu_octets: mtu, seconds });
                    return Some(Happening::Bound);
                }
                SisEvent::Availability(availability, reason) => self.note(Note::Availability { availability, reason }),
                SisEvent::Flow(flowing) => self.note(Note::Flow { flowing }),
                SisEvent::Arrived { expedited, indication } => {
                    return Some(Happening::Arrived { expedited, indication });
                }
                SisEvent::Handed { token } => return Some(Happening::Request { token, fate: Fate::Handed }),
                SisEvent::Confirmed { token } => return Some(Happening::Request { token, fate: Fate::Confirmed }),
                SisEvent::Rejected { token, reason } => {
                    return Some(Happening::Request { token, fate: Fate::Rejected(reason) });
                }
                SisEvent::Returned { token } => return Some(Happening::Request { token, fate: Fate::Returned }),
                SisEvent::Managed(message) => return Some(Happening::Managed(message)),
                SisEvent::Ended { why, .. } => return Some(Happening::Ended(why)),
                // The tools ask for no hard links, and leave one that is offered to the server's own time limit.
                SisEvent::HardLinkEstablished(..)
                | SisEvent::HardLinkRejected(..)
                | SisEvent::HardLinkTerminated(..)
                | SisEvent::HardLinkOffered(..) => {}
            }
        }
    }

    fn show(&mut self, toward: Toward, octets: &[u8]) {
        let notes = self.tap.as_mut().map(|tap| tap.pass(toward, octets)).unwrap_or_default();
        notes.into_iter().for_each(|note| self.note(note));
    }

    pub(super) fn poll(&mut self) -> Option<ToolOutput> {
        self.outputs.pop_front()
    }

    pub(super) fn next_wakeup(&self) -> Option<Wakeup> {
        // What is left after the end are outputs.
        if self.over.is_some() { None } else { self.client.next_wakeup() }
    }

    pub(super) const fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }
}

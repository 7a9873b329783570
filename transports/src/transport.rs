//! The seam between the gateway and whatever carries its units: [`Transport`].
//!
//! A transport is object safe, synchronous and free of I/O: it is handed [`TransportInput`] and yields
//! [`TransportOutput`], like every machine here. A *unit* is a run of octets that arrives whole or not at all.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::MtPriority;
use skywave_protocols::time::{Duration, Now, Wakeup, WallTime};

use crate::io::{PipeId, PipeInput, PipeOutput, Row, SocketId, SocketInput, SocketOutput};

/// The name of a site as configured (`field.test`): what units are addressed to.
pub type SiteName = Arc<str>;

/// The number of a submitted unit, chosen by the gateway, unique on its link for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct UnitTicket(pub u64);

/// The number of a unit that arrived, chosen by the transport.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct ArrivalId(pub u64);

/// A unit to be carried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    /// Its number.
    pub ticket: UnitTicket,
    /// To which sites. More than one only where the profile has fan-out.
    pub to: Vec<SiteName>,
    /// How urgent; decides the order down to the PDU.
    pub priority: MtPriority,
    /// When it is worth nothing any more.
    pub expiry: WallTime,
    /// What is asked of the transport.
    pub delivery: Delivery,
    /// Units of one context are kept in order where the profile is ordered.
    pub context: u16,
    /// The octets.
    pub content: Bytes,
}

/// How a unit is to be delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Confirmed by the receiving gateway's commit.
    Committed,
    /// Sent, repeated by plan, never confirmed: counts as relayed.
    Unconfirmed,
}

/// What a transport can do at present. Changes come as [`TransportEvent::Profile`].
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Profile {
    /// Units of one context arrive in the order of submission.
    pub ordered: bool,
    /// Delivery is confirmed.
    pub reliable: bool,
    /// A unit arrives as one piece.
    pub boundaries: bool,
    /// One submission reaches several sites.
    pub fan_out: bool,
    /// Largest unit in octets.
    pub unit_octets_max: usize,
    /// Rate of the medium in bit/s, as far as known.
    pub bits_per_second: u32,
    /// Time to turn the medium around.
    #[serde(skip)]
    pub turnaround: Duration,
}

/// How much more may be submitted now: the scheduler keeps its hold on what is not yet in the air.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Room {
    /// Units.
    pub units: usize,
    /// Octets.
    pub octets: usize,
}

/// How much of a cancelled unit had been sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Sent {
    /// Octets handed to the medium.
    pub octets: u64,
}

/// Our own emission control.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Emission {
    /// We may transmit.
    #[default]
    Free,
    /// We are in EMCON: nothing is emitted; timers that would transmit are suspended.
    Silent,
}

/// Why a unit was not delivered, or not yet.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportFault {
    /// Its expiry time has passed.
    #[error("expired before it was acknowledged")]
    Expired,
    /// It was cancelled by us.
    #[error("cancelled")]
    Cancelled,
    /// The other site refused it.
    #[error("refused by the other site: {0}")]
    Refused(String),
    /// It is larger than the profile allows.
    #[error("{octets} octets, the link takes {limit}")]
    TooLarge {
        /// Its size.
        octets: usize,
        /// The limit.
        limit: usize,
    },
    /// The connection it was written to is gone; whether it arrived is not known.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The destination is not in the link's table.
    #[error("site {0} is not on this link")]
    UnknownSite(String),
}

/// What a transport tells the gateway.
#[derive(Clone, PartialEq, Debug)]
pub enum TransportEvent {
    /// The medium can be used.
    Up,
    /// It cannot; why, in words.
    Down(String),
    /// The profile changed.
    Profile(Profile),
    /// There is room again after there was none.
    RoomChanged,
    /// A unit advanced.
    Progress(Progress),
    /// A site's gateway has it on its disk (or, unconfirmed: all planned repeats left, for every site).
    Delivered {
        /// Which unit.
        ticket: UnitTicket,
        /// By whom.
        by: SiteName,
    },
    /// It will not be delivered to this site.
    Failed {
        /// Which unit.
        ticket: UnitTicket,
        /// To whom.
        to: SiteName,
        /// Why.
        fault: TransportFault,
    },
    /// A unit arrived; it is answered by [`Transport::accept`] after the gateway's commit, or by [`Transport::refuse`].
    Arrived {
        /// Its number.
        arrival: ArrivalId,
        /// From which site, if it is in the link's table.
        from: Option<SiteName>,
        /// The source as the medium knows it, in words.
        source: String,
        /// How urgent the medium says it is.
        priority: MtPriority,
        /// Whether [`Transport::accept`] reaches the sender (false: unconfirmed, or we are in EMCON).
        confirmed: bool,
        /// A key that is the same for every repeat of this unit, for the dedupe window.
        key: Vec<u8>,
        /// The octets.
        content: Bytes,
    },
    /// A site that was believed to keep silence was heard: it does no more.
    SilenceEnded(SiteName),
    /// Something an operator should see; counted by name.
    Notice(Notice),
}

impl TransportEvent {
    /// Something to be counted and seen, for which nobody is woken.
    pub const fn notice(name: &'static str, detail: String) -> Self {
        Self::Notice(Notice { alarm: false, name, detail })
    }
}

/// How far a unit is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Progress {
    /// Which unit.
    pub ticket: UnitTicket,
    /// Octets handed to the medium so far, headers and repeats included.
    pub octets_sent: u64,
    /// PDUs not yet handed to the medium in this round.
    pub pdus_waiting: u32,
    /// Sites that have not confirmed.
    pub waiting_for: Vec<SiteName>,
    /// What it waits for, in words an operator understands (`sent, silence expected`).
    pub why: String,
}

/// Something noteworthy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Notice {
    /// Whether an operator should be woken.
    pub alarm: bool,
    /// The counter's name in snake_case.
    pub name: &'static str,
    /// The particulars.
    pub detail: String,
}

/// What the shell (through the node) hands a transport.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransportInput {
    /// Of a pipe it opened, or that was accepted for it.
    Pipe(PipeId, PipeInput),
    /// Somebody connected to the listener that the configuration gives this link. The pipe's number is the node's, above
    /// all that the transport chooses itself.
    Accepted(PipeId, SocketAddr),
    /// Of a socket it bound.
    Socket(SocketId, SocketInput),
    /// A batch of its records is on the disk.
    Stored(u64),
    /// A batch could not be stored; the reason in words. It may be tried again.
    StoreFailed(u64, String),
    /// All records of its own, once, at the start; keys as it wrote them.
    Restored(Vec<Row>),
}

/// What a transport asks of the shell, or tells the gateway.
#[derive(Clone, PartialEq, Debug)]
pub enum TransportOutput {
    /// For the gateway.
    Event(TransportEvent),
    /// For a pipe.
    Pipe(PipeId, PipeOutput),
    /// For a socket.
    Socket(SocketId, SocketOutput),
    /// Store its own records (key, value or deletion) as one batch; answered by `Stored` or `StoreFailed` with the number.
    Store(u64, Vec<(Vec<u8>, Option<Bytes>)>),
    /// Octets for an opened capture, as they go over a link type.
    Capture(Capture),
}

/// A packet for the capture file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capture {
    /// Which interface of the capture file.
    pub medium: CaptureMedium,
    /// True when we sent it.
    pub sent: bool,
    /// The octets.
    pub octets: Bytes,
}

/// The interfaces of a capture file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CaptureMedium {
    /// S_PRIMITIVEs, shown as TCP port 5066.
    Sis,
    /// P_MUL PDUs on UDP.
    Udp(IpAddr),
}

/// The first of these that is more than it may be, in words: of what there is how much, and how much at most.
pub fn over<'a>(held: impl IntoIterator<Item = (&'a str, usize, usize)>) -> Option<String> {
    let over = held.into_iter().find(|(_, held, limit)| held > limit);
    over.map(|(what, held, limit)| format!("{held} {what} are held, {limit} are allowed"))
}

/// Whatever carries units between sites.
pub trait Transport: Send {
    /// What it can do at present.
    fn profile(&self) -> Profile;
    /// How much more may be submitted.
    fn room(&self) -> Room;
    /// Takes a unit; its fate comes as events.
    fn submit(&mut self, now: Now, unit: Unit);
    /// Makes a submitted unit more urgent.
    fn raise(&mut self, now: Now, ticket: UnitTicket, priority: MtPriority);
    /// Gives a submitted unit up; `Failed` with `Cancelled` follows for every site that had not confirmed.
    fn cancel(&mut self, now: Now, ticket: UnitTicket) -> Sent;
    /// Sets our own emission control.
    fn set_emission(&mut self, now: Now, emission: Emission);
    /// Says that a site is (or is no more) in EMCON and will not answer.
    fn set_silence(&mut self, now: Now, site: &SiteName, silent: bool);
    /// Until when a silent site is to be silent by plan: who answers before is told as an alarm. The transports that
    /// have no such plan pay no heed.
    fn plan_silence(&mut self, _site: &SiteName, _until: Option<WallTime>) {}
    /// Whether the gateway has something to send: a transport that opens connections on demand opens one, although
    /// nothing can be submitted yet. The others pay no heed.
    fn set_wanted(&mut self, _now: Now, _wanted: bool) {}
    /// What was made of the octets that arrived, or what is to be sent, cannot go on: a transport that has a connection
    /// closes it, and another begins. The others pay no heed.
    fn reset(&mut self, _now: Now) {}
    /// The gateway has an arrived unit on its disk: the final acknowledgement may go.
    fn accept(&mut self, now: Now, arrival: ArrivalId);
    /// The gateway cannot take an arrived unit now (`retry`) or ever.
    fn refuse(&mut self, now: Now, arrival: ArrivalId, retry: bool);
    /// Takes an input.
    fn handle(&mut self, now: Now, input: TransportInput);
    /// Takes a wakeup.
    fn handle_wakeup(&mut self, now: Now);
    /// Yields the next output, until `None`.
    fn poll(&mut self) -> Option<TransportOutput>;
    /// When it wants to be woken.
    fn next_wakeup(&self) -> Option<Wakeup>;
    /// Its state for the console, with stable field names.
    fn describe(&self) -> serde_json::Value;
    /// What it holds more of than its limits allow, in words: for those who check it. Costs little.
    fn over_limit(&self) -> Option<String> {
        None
    }
}

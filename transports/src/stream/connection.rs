//! One TCP connection of a link for chat, what is on it, and what was counted.

use serde::Serialize;
use skywave_protocols::time::Instant;

use crate::transport::Unit;

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) opened_by_us: bool,
    /// Where it leads, in words.
    pub(super) peer: String,
    pub(super) state: State,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// We have asked for it.
    Opening,
    /// It was accepted while we are silent: TLS would have us speak.
    Unanswered,
    /// TLS is being agreed.
    Securing,
    /// The stream.
    Open,
}

/// A unit that has not left.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) unit: Unit,
    pub(super) expires: Instant,
    /// Which write of the connection took it along.
    pub(super) written: Option<u64>,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counters {
    pub(super) opened: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) lost: u64,
    pub(super) octets_sent: u64,
    pub(super) octets_arrived: u64,
}

//! One TCP connection of a link for chat.

use serde::Serialize;

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

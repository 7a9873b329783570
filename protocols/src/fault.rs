//! What every fault of every module can say: whose it is and what follows.

/// Whose fault it is: decides who is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The other end sent what it must not send.
    Peer,
    /// Weather: loss, delay, silence, an outage.
    Link,
    /// The message or its sender (bad address, too large, refused content).
    Sender,
    /// This site's configuration or operator.
    Operator,
    /// This machine: disk, memory, operating system.
    Local,
}

/// What follows from a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Try again later.
    Retry,
    /// Give the message up and report it.
    GiveUp,
    /// Close the pipe or link; what was waiting stays.
    CloseLink,
    /// Drop the PDU, count it, go on.
    Ignore,
}

/// A fault with its blame and its consequence. One `thiserror` enum per module implements this.
pub trait Fault: std::error::Error {
    /// Whose fault it is.
    fn blame(&self) -> Blame;
    /// What follows.
    fn next(&self) -> Next;
}

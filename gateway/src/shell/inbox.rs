//! What can happen to a site besides what its node is told: the messages of the event loop.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::hand_over::{Idle, PoolKey};
use crate::node::command::{Command, Reply};
use crate::node::seam::{HandOverOutcome, Input, ListenerId, Number};

/// How many happenings wait before whoever brings them waits too.
pub(super) const INBOX_MAX: usize = 1024;

/// Something for the event loop.
pub(super) enum Happened {
    /// For the node.
    Input(Input),
    /// Somebody connected.
    Accepted(ListenerId, TcpStream, SocketAddr),
    /// An operator asks.
    Command(Command, oneshot::Sender<Reply>),
    /// A hand-over ended; its connection, where it can be used again.
    HandedOver(Number, HandOverOutcome, Option<(PoolKey, Idle)>),
    /// End in good order.
    Stop,
}

/// Where happenings are put.
pub(super) type Inbox = mpsc::Sender<Happened>;

//! What goes in and out of an engine, besides PDUs.

use super::pdu::{MessageId, NodeId};
use crate::bytes::Bytes;
use crate::time::WallTime;

/// A message to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// The caller's number of it, unique for ever.
    pub handle: u64,
    /// Its octets, 1 to `message_octets_max`.
    pub message: Bytes,
    /// The receivers and whether each is in EMCON.
    pub destinations: Vec<(NodeId, bool)>,
    /// P_MUL priority, 0 highest.
    pub priority: u8,
    /// When it is given up.
    pub expiry: WallTime,
    /// The multicast group it is sent to; of no meaning to the engine.
    pub group: u32,
}

/// To whom a PDU goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct To {
    /// The group of the message; `None` for PDUs to one node (acknowledgements).
    pub group: Option<u32>,
    /// Whom it concerns.
    pub nodes: Vec<NodeId>,
    /// Whether one of them is in EMCON.
    pub silent: bool,
    /// An acknowledgement that its reader will ask for again, should it be lost, and that is asked for the first time.
    pub may_be_lost: bool,
}

/// The number of a PDU handed to the lower layer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// A PDU to be sent. The lower layer answers each token once: it has left, or it was not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutPdu {
    /// Its number.
    pub token: Token,
    /// To whom.
    pub to: To,
    /// P_MUL priority.
    pub priority: u8,
    /// Its octets.
    pub octets: Bytes,
    /// After this it is worth nothing.
    pub expiry: WallTime,
    /// Whose message it belongs to; `None` for acknowledgements and answers.
    pub handle: Option<u64>,
}

/// The number of a message that arrived, chosen by the engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Arrival(pub u64);

/// Our own emission control.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Emission {
    /// We may transmit.
    #[default]
    Free,
    /// Nothing is emitted; timers that would transmit are suspended.
    Silent,
}

/// Why a message was not delivered to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undelivered {
    /// Its expiry time passed without an acknowledgement.
    Expired,
    /// We gave it up.
    Cancelled,
}

/// How far a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advance {
    /// Which message.
    pub handle: u64,
    /// Octets of PDUs that have left so far, repeats included.
    pub octets_sent: u64,
    /// PDUs of this round that have not left.
    pub pdus_waiting: u32,
    /// Who has not acknowledged.
    pub waiting_for: Vec<NodeId>,
    /// What it waits for, in words.
    pub why: &'static str,
}

/// What an engine tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A receiver acknowledged the whole message.
    Delivered {
        /// Which message.
        handle: u64,
        /// Who.
        by: NodeId,
    },
    /// The message will not be delivered to a receiver.
    Failed {
        /// Which message.
        handle: u64,
        /// To whom.
        to: NodeId,
        /// Why.
        why: Undelivered,
    },
    /// A message advanced.
    Progress(Advance),
    /// A message is complete. It is answered by `accept` or `refuse`; before that no final acknowledgement goes.
    Arrived {
        /// Its number.
        arrival: Arrival,
        /// Its identity, the same for every repeat.
        message: MessageId,
        /// P_MUL priority.
        priority: u8,
        /// Whether the acknowledgement can go at present (false while we are in EMCON).
        confirmed: bool,
        /// Its octets.
        octets: Bytes,
    },
    /// A receiver believed to be in EMCON acknowledged.
    SilenceEnded(NodeId),
    /// Something to be counted, and seen by an operator if `alarm`.
    Notice {
        /// Wake somebody.
        alarm: bool,
        /// The counter in snake_case.
        name: &'static str,
        /// The particulars.
        detail: String,
    },
}

/// A change of the engine's stored state; the value `None` deletes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateWrite {
    /// The key, ordered octets.
    pub key: Vec<u8>,
    /// The value.
    pub value: Option<Bytes>,
}

/// What machines inside the engine push out.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) events: std::collections::VecDeque<Event>,
    pub(super) writes: std::collections::VecDeque<StateWrite>,
}

impl Effects {
    pub(super) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn notice(&mut self, name: &'static str, detail: impl std::fmt::Display) {
        self.event(Event::Notice { alarm: false, name, detail: detail.to_string() });
    }

    pub(super) fn alarm(&mut self, name: &'static str, detail: impl std::fmt::Display) {
        self.event(Event::Notice { alarm: true, name, detail: detail.to_string() });
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: impl Into<Bytes>) {
        self.writes.push_back(StateWrite { key, value: Some(value.into()) });
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.writes.push_back(StateWrite { key, value: None });
    }
}

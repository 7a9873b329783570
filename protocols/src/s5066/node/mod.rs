//! The inside of a STANAG 5066 node: what stands between its clients and its modem.
//!
//! [`sis_server`] is the node's end of the subnetwork interface: clients, binds, flow control, hard links. It hands
//! [`Outgoing`] U_PDUs down and is told their [`Outcome`]; what arrives from other nodes comes as [`Incoming`].
//! [`queue`] orders what waits for the air, [`hard_link`] is the state of the node's one hard link. Below it, [`spdu`] and
//! [`cpdu`] are what two nodes say to each other about U_PDUs, hard links and physical links (Annexes A and B), and
//! [`cas`] makes and breaks the physical links.

pub mod cas;
pub mod cpdu;
pub mod dpdu;
pub mod dts;
pub mod hard_link;
pub mod limits;
pub mod mark;
pub mod queue;
pub mod sis_server;
pub mod spdu;

use crate::bytes::Bytes;
use crate::s5066::address::NodeAddress;
use crate::s5066::sis::fields::{SapId, TransmissionMode};
use crate::time::Instant;

/// The number of a client's connection, chosen by whoever accepts it, unique for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub u64);

/// The number of a U_PDU handed down, chosen by the SIS server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// A U_PDU on its way to other nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Its number.
    pub id: RequestId,
    /// Where it goes: a node, or with non-ARQ a group.
    pub destination: NodeAddress,
    /// The client there.
    pub sap: SapId,
    /// The client here.
    pub source_sap: SapId,
    /// 0 lowest to 15.
    pub priority: u8,
    /// Goes before all that is not expedited.
    pub expedited: bool,
    /// How it is carried.
    pub carriage: Carriage,
    /// Comes out after all earlier ones of the same clients and priority that are in order too.
    pub in_order: bool,
    /// Only [`Outcome::Delivered`] once the SIS there says that it gave it to its client; else once its node has it.
    pub client_confirm: bool,
    /// When it is worth nothing any more.
    pub deadline: Instant,
    /// When its client is told that the other node does not respond, unless something is confirmed before.
    pub confirm_by: Option<Instant>,
    /// What it is.
    pub content: Content,
}

/// How a U_PDU is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carriage {
    /// Repeated until acknowledged or its deadline.
    Arq,
    /// Sent once and repeated so often, never acknowledged.
    NonArq {
        /// Repetitions after the first time: 0 to 15.
        retransmissions: u8,
        /// Delivered even with parts missing.
        with_errors: bool,
    },
}

/// What is carried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// A client's U_PDU.
    Data(Bytes),
    /// A message about the hard link, between the SIS of both nodes.
    HardLink(hard_link::HardLinkMessage),
}

/// What became of an [`Outgoing`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The other node has all of it and, where asked for, gave it to the client.
    Delivered,
    /// The other node has all of it, but no client is bound there.
    NotBound,
    /// Its deadline passed first.
    Expired,
    /// The other node does not answer.
    NotResponding,
    /// All copies of a non-ARQ U_PDU have left.
    Sent,
}

/// A U_PDU that arrived from another node, complete unless it says otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incoming {
    /// Who sent it.
    pub source: NodeAddress,
    /// To whom: this node, or a group.
    pub destination: NodeAddress,
    /// The client there.
    pub source_sap: SapId,
    /// The client here.
    pub sap: SapId,
    /// 0 lowest to 15.
    pub priority: u8,
    /// Came by the expedited service.
    pub expedited: bool,
    /// How it was carried.
    pub transmission: TransmissionMode,
    /// Parts that came damaged (offset, octets); only in the mode with errors.
    pub errored: Vec<(u16, u16)>,
    /// Parts that are missing (offset, octets); only in the mode with errors.
    pub missing: Vec<(u16, u16)>,
    /// The octets.
    pub u_pdu: Bytes,
}

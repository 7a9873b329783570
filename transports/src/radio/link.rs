//! What a link is to the radio it shares: [`AirLink`], and the PDUs and events between them.

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::fields::{DeliveryMode, SapId};
use skywave_protocols::s5066::sis::reason::{Availability, DataRejection};
use skywave_protocols::s5066::{rcop, udop};
use skywave_protocols::time::{Duration, Now};

use crate::transport::{Emission, Transport};

/// A link on a radio: a [`Transport`] towards the gateway that gives its PDUs to the air scheduler.
///
/// The radio calls [`AirLink::offer`] and [`AirLink::release`] after every input and wakeup. Each released token ends
/// with exactly one of `Sent`, `Confirmed`, `Rejected` and `Returned`.
pub trait AirLink: Transport {
    /// Where it sends and receives. Asked once, when the link is added.
    fn ports(&self) -> Vec<Port>;
    /// Our own emission control, as it was last set.
    fn emission(&self) -> Emission;
    /// What it would release next, if anything. `None` in EMCON and before `Ready`.
    fn offer(&self) -> Option<Offer>;
    /// Gives the next PDU to the air; the radio hands it to the node at once.
    fn release(&mut self, now: Now) -> Option<AirPdu>;
    /// Something happened at the radio.
    fn air(&mut self, now: Now, event: AirEvent);
}

/// What a link would release next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// P_MUL priority, 0 most urgent; 2 and less (Flash, Override) may exceed the pacing by a few PDUs. Of a conversation
    /// one less than its precedence has.
    pub priority: u8,
    /// Octets of the PDU; an estimate is enough.
    pub octets: usize,
    /// Whether a confirmation will be asked for (ARQ): then confirmations pace it, not the clock.
    pub confirm: bool,
}

/// A PDU for the air.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AirPdu {
    /// The link's number for it, unique among those not ended.
    pub token: u64,
    /// From which of its ports, to the same one at the other end.
    pub port: Port,
    /// To a node, or to a group (never with RCOP).
    pub to: NodeAddress,
    /// How urgent: the priority inside the node.
    pub priority: MtPriority,
    /// When it is worth nothing any more. At most 15 days.
    pub ttl: Duration,
    /// Application data, without the header of RCOP or UDOP: at most `Ready::mtu` octets.
    pub octets: Bytes,
    /// How often the node repeats it after the first time: 0 to 15, only UDOP.
    pub repeats: u8,
    /// Whether the node shall confirm it, only RCOP: ends with `Confirmed` or `Rejected` instead of `Sent`.
    pub confirm: bool,
    /// With `confirm`: only once the peer's node has given it to the client that is bound there.
    pub to_client: bool,
    /// By the expedited service of the node, before everything else.
    pub expedited: bool,
    /// Somebody waits for it in front of a screen: inside the nodes it goes before bulk of its precedence.
    pub conversation: bool,
    /// Whether it comes out after the earlier ones of its port and priority; else as soon as it is there. Only RCOP.
    pub ordered: bool,
    /// Which segment of a longer unit it is; `None` for a unit of one U_PDU, which the radio numbers itself.
    pub segment: Option<Segment>,
}

/// Which segment of a unit a PDU is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Segment {
    /// The same for all segments of a unit, counted per port.
    pub u_pdu_id: u8,
    /// From 0.
    pub number: u16,
}

/// The client protocol of a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Service {
    /// Unreliable datagrams, non-ARQ.
    Udop,
    /// Reliable, ARQ.
    Rcop,
}

/// Where a link is found at a node: arriving U_PDUs are told apart by all of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Port {
    /// The SAP.
    pub sap: SapId,
    /// The protocol.
    pub service: Service,
    /// The connection id: 0 to 15.
    pub connection: u8,
    /// The application id.
    pub application: u16,
}

impl Port {
    /// A port of UDOP at its own SAP.
    pub const fn udop(connection: u8, application: u16) -> Self {
        Self { sap: udop::SAP, service: Service::Udop, connection, application }
    }

    /// A port of RCOP at its own SAP.
    pub const fn rcop(connection: u8, application: u16) -> Self {
        Self { sap: rcop::SAP, service: Service::Rcop, connection, application }
    }

    /// The delivery mode of its requests.
    pub const fn mode(self) -> DeliveryMode {
        match self.service {
            Service::Udop => udop::MODE,
            Service::Rcop => rcop::MODE,
        }
    }
}

/// What the radio tells a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AirEvent {
    /// All SAPs of the link are bound; `mtu` is the most octets of one [`AirPdu`], headers already taken off.
    Ready {
        /// Octets of application data in one PDU at most.
        mtu: usize,
    },
    /// The node cannot be used at present; why, in words. `Returned` precedes it for each token of the lost session
    /// that had not ended. Comes again when another try fails for another reason.
    Lost(String),
    /// An unconfirmed PDU is judged to have left, all its repeats included.
    Sent {
        /// Which.
        token: u64,
    },
    /// The node (of the destination) confirmed it.
    Confirmed {
        /// Which.
        token: u64,
    },
    /// It will not be delivered by the node.
    Rejected {
        /// Which.
        token: u64,
        /// Why.
        reason: DataRejection,
    },
    /// Nobody knows what became of it (session lost, no answer, or it could not be handed down); release it again.
    Returned {
        /// Which.
        token: u64,
    },
    /// A U_PDU arrived at one of the link's ports.
    Arrived(Arrival),
    /// What the node can do changed: after a status with `can_transmit() == false` (EMCON) nothing is asked for.
    Emission(Availability),
}

/// A U_PDU that arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The node it came from.
    pub source: NodeAddress,
    /// The client it came from.
    pub source_sap: SapId,
    /// Our own address, or the group it was sent to.
    pub destination: NodeAddress,
    /// The port.
    pub port: Port,
    /// The U_PDU id and segment number of its header.
    pub segment: Segment,
    /// The precedence whose priority inside the node is at most that of the U_PDU (defaults.md).
    pub precedence: Precedence,
    /// Application data.
    pub octets: Bytes,
}

/// What a link has in the air, by token: [`AirPdu::token`] is unique, and ends once.
#[derive(Debug)]
pub struct Tokens<T> {
    given: u64,
    open: BTreeMap<u64, T>,
}

impl<T> Default for Tokens<T> {
    fn default() -> Self {
        Self { given: 0, open: BTreeMap::new() }
    }
}

impl<T> Tokens<T> {
    /// A token for something that goes into the air.
    pub fn begin(&mut self, what: T) -> u64 {
        self.given += 1;
        self.open.insert(self.given, what);
        self.given
    }

    /// What a token stood for; `None` if it has ended before.
    pub fn end(&mut self, token: u64) -> Option<T> {
        self.open.remove(&token)
    }
}

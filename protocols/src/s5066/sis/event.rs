//! What a client session is configured with, what it is asked for, and what it tells.

use serde::Serialize;

use super::fault::SisFault;
use super::fields::{DeliveryMode, HardLink, Rank, SapId, ServiceType, Ttl};
use super::limits::KEEP_ALIVE_INTERVAL;
use super::pdu::Management;
use super::reason::{
    Availability, AvailabilityReason, BindRejection, DataRejection, HardLinkEnd, HardLinkRejection, HardLinkStatus,
    UnbindReason,
};
use super::unidata::{Quirks, UnidataIndication};
use crate::bytes::Bytes;
use crate::random::Random;
use crate::s5066::address::NodeAddress;
use crate::time::Duration;

/// How a client binds and behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SisConfig {
    /// Where to bind.
    pub sap: SapId,
    /// With which rank.
    pub rank: Rank,
    /// With which attributes.
    pub service: ServiceType,
    /// The address of our node: indications from it, and to any other individual node, are dropped.
    pub own_address: Option<NodeAddress>,
    /// What the node does differently.
    pub quirks: Quirks,
    /// Time between tries, at first and at most.
    pub back_off: BackOff,
    /// A keep-alive is sent when nothing was heard for this long; never more often than the standard's 120 s.
    pub keep_alive: Option<Duration>,
}

/// Time between tries: doubles from the first to the longest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackOff {
    /// The first wait.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl BackOff {
    /// The wait before the next try after `tries` that failed: up to a quarter shorter, so that many do not come at
    /// once.
    pub fn wait(self, tries: u32, random: &mut dyn Random) -> Duration {
        let wait = self.first.saturating_mul(1 << tries.min(20)).min(self.longest);
        let spread = u64::try_from(wait.as_micros() / 4).unwrap_or(u64::MAX);
        wait - Duration::from_micros(random.below(spread))
    }
}

impl Default for BackOff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

impl SisConfig {
    /// Binds at `sap` with rank 0 and `mode`; everything else as usual.
    pub fn new(sap: SapId, mode: DeliveryMode) -> Self {
        Self {
            sap,
            rank: Rank::default(),
            service: ServiceType { mode, retransmissions: 0 },
            own_address: None,
            quirks: Quirks::default(),
            back_off: BackOff::default(),
            keep_alive: Some(KEEP_ALIVE_INTERVAL),
        }
    }
}

/// A U_PDU to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SisRequest {
    /// The caller's number; comes back in the events.
    pub token: u64,
    /// To the client at this SAP …
    pub sap: SapId,
    /// … of this node or group.
    pub destination: NodeAddress,
    /// The attributes. Mode `Default` takes those of the bind.
    pub mode: DeliveryMode,
    /// 0 lowest to 15; ignored for expedited requests.
    pub priority: u8,
    /// How often non-ARQ data is repeated: 0 to 15.
    pub retransmissions: u8,
    /// When it is worth nothing any more.
    pub ttl: Ttl,
    /// By the expedited service.
    pub expedited: bool,
    /// The octets: at most the MTU.
    pub u_pdu: Bytes,
}

/// Why a request was not taken. It is given back by its token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitFault {
    /// There is no session at present.
    #[error("not bound")]
    NotBound,
    /// Larger than the MTU of the node.
    #[error("{octets} octets, the node takes {mtu}")]
    TooLarge {
        /// Octets of the U_PDU.
        octets: usize,
        /// Octets that the node takes.
        mtu: u16,
    },
    /// Too much is waiting already.
    #[error("the queue is full")]
    Full,
    /// ARQ cannot reach a group.
    #[error("a group cannot be reached by ARQ")]
    GroupByArq,
}

/// What a session tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SisEvent {
    /// Open a pipe to the node; answer with `opened` or `closed`.
    WantOpen,
    /// Close the pipe; answer with `closed`.
    WantClose,
    /// Data may flow; U_PDUs have at most `mtu` octets.
    Bound {
        /// Octets.
        mtu: u16,
    },
    /// The session ended or did not come about. Every request not ended was returned before.
    Ended {
        /// Why.
        why: SessionEnd,
        /// When it will be tried again; `None` when it is not wanted.
        retry_in: Option<Duration>,
    },
    /// What the subnetwork can do changed.
    Availability(Availability, AvailabilityReason),
    /// Whether the node takes data changed.
    Flow(bool),
    /// The request was handed to the node. If no confirmation was asked for, this is the last that is heard of it.
    Handed {
        /// Which.
        token: u64,
    },
    /// The request was delivered as asked.
    Confirmed {
        /// Which.
        token: u64,
    },
    /// The request was not delivered.
    Rejected {
        /// Which.
        token: u64,
        /// Why.
        reason: DataRejection,
    },
    /// The session ended before the fate of the request was known, or the node never told it.
    Returned {
        /// Which.
        token: u64,
    },
    /// A U_PDU arrived.
    Arrived {
        /// By the expedited service.
        expedited: bool,
        /// It.
        indication: UnidataIndication,
    },
    /// A hard link asked for is made.
    HardLinkEstablished(HardLinkStatus, HardLink),
    /// A hard link asked for was refused.
    HardLinkRejected(HardLinkRejection, HardLink),
    /// A hard link ended.
    HardLinkTerminated(HardLinkEnd, HardLink),
    /// The other end asks for a hard link: accept or reject.
    HardLinkOffered(HardLinkStatus, HardLink),
    /// The node answered a management message, in words of its maker.
    Managed(Management),
}

/// Why a session ended or did not come about.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionEnd {
    /// We ended it.
    #[error("not wanted any more")]
    Stopped,
    /// The pipe could not be opened, or ended; the reason in words.
    #[error("no connection to the node: {0}")]
    Pipe(String),
    /// The node refused the bind.
    #[error("the node refused the bind: {0}")]
    BindRejected(BindRejection),
    /// The node ended it.
    #[error("the node unbound us: {0}")]
    Unbound(UnbindReason),
    /// The octet stream is broken.
    #[error("the node sent what it must not send: {0}")]
    Broken(SisFault),
    /// Too many primitives of unknown type or wrong direction.
    #[error("the node sent too many strange primitives")]
    Strange,
    /// The bind was not answered.
    #[error("the node did not answer the bind")]
    BindUnanswered,
    /// A frame did not become whole.
    #[error("the node stopped inside a primitive")]
    FrameUnfinished,
    /// Keep-alives were not answered.
    #[error("the node does not answer")]
    Silent,
}

/// What was counted since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SisCounters {
    /// Indications for another SAP, or for another individual node.
    pub not_for_us: u64,
    /// Indications that say they are from our own address.
    pub from_own_address: u64,
    /// Confirmations and rejections that fit no request.
    pub unmatched: u64,
    /// Primitives of unknown type or wrong direction.
    pub strange: u64,
    /// Primitives in a state in which they mean nothing.
    pub out_of_place: u64,
    /// Keep-alives beyond the rate that is answered.
    pub keep_alives_ignored: u64,
    /// Requests whose fate the node never told.
    pub unanswered: u64,
    /// Sessions that were bound.
    pub bound: u64,
}

//! The attachment of a site to one STANAG 5066 node, shared by all links that use this radio.
//!
//! A link implements [`AirLink`]: it says how urgent its next PDU is, gives it when asked, and is told what became
//! of it. The radio owns the sessions at the node (one per SAP), gives arriving U_PDUs to the link whose [`Port`]
//! fits, and is the one air scheduler: whatever is in the hands of the node cannot be overtaken any more, so it
//! hands down as little as keeps the transmitter busy, the most urgent PDU of all links first.

pub mod config;
mod counters;
mod hold;
pub mod limits;
pub mod link;
mod machine;
mod manage;
mod pacing;
mod session;

pub use config::RadioConfig;
pub use counters::RadioCounters;
pub use link::{AirEvent, AirLink, AirPdu, Arrival, Offer, Port, Segment, Service, Tokens};
pub use machine::{Radio, RadioOutput};

#[cfg(test)]
mod air_tests;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod chat_tests;
#[cfg(test)]
mod rate_tests;

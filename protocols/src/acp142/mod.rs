//! ACP 142 (P_MUL): messages to one or many nodes over a bearer that may lose, in both directions or one.
//!
//! Bottom up: [`pdu`] and its parts are the wire format; [`engine::Engine`] is sender and receiver of one link.
//!
//! Promises: a message is yielded once and complete, or its end is reported, per destination and exactly once; a more
//! urgent message overtakes the remaining PDUs of a less urgent one; what a node has is not sent again; under own
//! EMCON nothing is emitted. Half-sent and half-received messages survive a restart when the state writes are kept.
//!
//! Refuses: PDUs with a wrong checksum or layout, acknowledgements of strangers, messages not addressed to us. P_MUL
//! has no authenticator: trust is the crypto below, or the bearer's word for who sent (see `Engine::handle_pdu`).
//!
//! Limits: see `limits.rs` and [`config::EngineConfig`]. FEC_Address_PDUs are counted, their messages not delivered.

pub mod ack;
mod acknowledged;
pub mod address;
mod addressed;
pub mod checksum;
pub mod config;
pub mod dynamic_group;
pub mod engine;
pub mod event;
pub mod fault;
pub mod group_pdu;
pub mod grouping;
pub mod limits;
pub mod numbers;
pub mod pdu;
mod priorities;
pub mod quirks;
mod receiver;
mod reception;
mod record;
mod room;
mod transmission;
mod transmitter;

pub use transmission::{ALL_REPEATS_DONE, SILENCE_EXPECTED};

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

//! The subnetwork interface (SIS): S_PRIMITIVEs between a client and its node over TCP (Annex A and F.16).
//!
//! [`pdu::Primitive`] is the codec for all 27 primitives, both ways; [`frame::FrameReader`] cuts the octet stream.
//! Promises: no octets make it panic; what was decoded from a vector is encoded identically; codes without a
//! meaning are kept. Refuses: wrong preamble, version or size, after which a stream cannot be trusted and is closed
//! (the standard has no resynchronisation). Limits: see `limits.rs`.

pub mod client;
pub mod event;
pub mod fault;
pub mod fields;
pub mod frame;
pub mod limits;
mod outgoing;
pub mod pdu;
pub mod reason;
pub mod state;
pub mod unidata;

#[cfg(test)]
mod tests;

//! Ordinary XMPP servers, clients and slow wires, as benches, the demo and the tests with real servers need them.
//!
//! [`prosody`] runs a Prosody as a process of its own, with its own folder and high ports on a loopback address of its
//! own, and ends it by its process number. [`wire`] is a wire with a delay that counts what passes. [`client`] is a
//! client that says exactly what it is told.

pub mod certificates;
pub mod client;
pub mod gateway;
pub mod host;
pub mod prosody;
pub mod wire;

pub use certificates::{Authority, Identity};
pub use client::Client;
pub use host::Host;
pub use prosody::{Prosody, ProsodyPlan, Trust};
pub use wire::Wire;

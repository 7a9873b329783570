//! The assembled STANAG 5066 node: SIS server, S_PDUs, C_PDUs, D_PDUs, channel access, modem.
//!
//! A [`Station`] serves clients on the subnetwork interface and carries their U_PDUs over a [`crate::modem::Modem`]. Its
//! layers are those of `skywave_protocols::s5066::node`; `stack` puts them together, `station` says who may transmit
//! when, which the standard leaves to annexes that are not known here. A [`Simulator`] is several stations on one
//! simulated channel, one pure machine for demonstrations, for `skywave node` and for the world in virtual time;
//! [`Joined`] is stations on a channel that another process hosts.
//!
//! ```text
//! clients ── SIS server ── S_PDU ── C_PDU (links) ── D_PDU (ARQ) ── station (who may transmit when) ── modem
//! ```
//! Limits: `limits.rs`.

mod asks;
pub mod config;
pub mod counters;
mod eot;
pub mod joined;
pub mod limits;
mod lines;
mod reception;
mod segments;
pub mod simulator;
mod stack;
pub mod station;
mod unheard;

#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod tests;

pub use config::StationConfig;
pub use joined::Joined;
pub use simulator::{Simulator, SimulatorStation};
pub use skywave_protocols::s5066::node::ClientId;
pub use stack::{ClientInput, ClientOutput};
pub use station::Station;

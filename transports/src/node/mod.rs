//! The assembled STANAG 5066 node, first form: SIS server, link service, modem.
//!
//! A [`Station`] serves clients on the subnetwork interface (`skywave_protocols::s5066::node::sis_server`) and carries
//! their U_PDUs over a [`crate::modem::Modem`]. A [`Simulator`] is several stations on one simulated channel, one pure
//! machine for demonstrations, for `skywave node` and for the world in virtual time; [`Joined`] is stations on a channel
//! that another process hosts.
//!
//! First form: where the standard has S_PDUs, C_PDUs and D_PDUs (Annexes A to C) there is a simple link service with a
//! frame of its own (`frame`), which keeps their spirit: U_PDUs are cut into parts, an acknowledgement lists the parts
//! received, only missing ones are repeated. It talks to nobody but itself. Its modules will be replaced by
//! `skywave_protocols::s5066::node::{spdu, cas, dts}`; `Station`, `Simulator` and the clients' side stay.
//!
//! ```text
//! clients ── SIS server ── outbox ─┐
//!                  └────── inbox ──┴── station (who may transmit when) ── modem
//! ```
//! Limits: `limits.rs`.

mod frame;
mod inbox;
pub mod joined;
pub mod limits;
mod outbox;
pub mod simulator;
pub mod station;

#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod tests;

pub use joined::Joined;
pub use simulator::{Simulator, SimulatorStation};
pub use skywave_protocols::s5066::node::ClientId;
pub use station::{ClientInput, ClientOutput, Station, StationConfig};

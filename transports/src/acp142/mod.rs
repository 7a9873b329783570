//! Links that carry units by ACP 142 (P_MUL), to one site or many, over a STANAG 5066 radio or over UDP.
//!
//! [`Acp142Link`] is the [`Transport`](crate::transport::Transport); its core maps sites to P_MUL ids, tickets to
//! messages, and keeps the engine's state in the link's records. A [`Bearer`] below it moves the PDUs:
//! [`air::Air`] through the air scheduler of a radio, [`udp::Udp`] as datagrams, paced to a rate.
//!
//! Promises: what [`skywave_protocols::acp142`] promises; a ticket is the same before and after a restart, and a
//! known ticket that is submitted again starts no second message. No PDU of a message leaves before the message is
//! on the disk. Refuses: units to unknown sites, or to several when there is no group. Limits: see [`limits`].

pub mod air;
pub mod config;
pub mod core;
pub mod limits;
pub mod link;
pub mod udp;

pub use air::{Air, AirConfig};
pub use config::{Config, Group, Site, ip_medium, radio_medium};
pub use link::{Acp142Link, Bearer};
pub use udp::{Udp, UdpConfig};

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod mtu_tests;
#[cfg(test)]
mod tests;

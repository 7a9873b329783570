//! Links for chat: octets of a stream over TCP (XEP-0361), and units over RCOP (XEP-0365 0.2.1).
//!
//! Both carry what the slow side's session makes, keep the order of a context, and confirm as far as their medium can:
//! TCP says that octets have left, RCOP that the peer's node has them. Neither is the peer's disk. Nothing is kept over
//! a restart: what was not confirmed is still the gateway's. Limits: see `limits.rs`.

mod certificates;
pub mod config;
mod connection;
mod early;
pub mod limits;
mod line;
pub mod rcop;
pub mod tcp;
mod unanswered;

pub use config::{AcceptFrom, Opener, RcopConfig, TcpConfig, TcpTls};
pub use rcop::RcopLink;
pub use tcp::TcpLink;

#[cfg(test)]
mod rcop_tests;
#[cfg(test)]
mod tcp_tests;

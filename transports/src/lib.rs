//! How units of octets travel between sites: the [`transport::Transport`] seam and its implementations, the assembled
//! STANAG 5066 node, and the [`modem::Modem`] trait with the simulated radio.
//!
//! Nothing here looks into a unit, opens a socket or asks for the time.

pub mod acp142;
pub mod batch;
pub mod io;
pub mod modem;
pub mod node;
pub mod radio;
pub mod stream;
pub mod transport;

//! Every wire format and protocol engine of Skywave, pure.
//!
//! Nothing in this crate opens a socket, touches a file, starts a thread or asks for the time: bytes, time and
//! randomness come in, bytes and events go out. Machines share one shape (a habit, not a trait):
//! `handle_read`, `handle_wakeup`, `poll_write`, `poll_event`, `next_wakeup`.
//!
//! The modules form layers; a module uses only lower rows (checked by the tidy test):
//!
//! ```text
//! row 5  mail and chat formats   mule   bsmtp   xmpp
//! row 4  carriers                acp142
//! row 3  subnetwork              s5066::sis → s5066::{rcop, udop} → s5066::{node, console}
//! row 2  meaning                 message   compress   smtp
//! row 1  ground                  time   random   bytes   fault
//! ```

pub mod bytes;
pub mod fault;
pub mod random;
pub mod time;

pub mod acp142;
pub mod bsmtp;
pub mod compress;
pub mod message;
pub mod mule;
pub mod s5066;
pub mod smtp;
pub mod xmpp;

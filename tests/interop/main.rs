//! Tests with real servers: Postfix, Prosody, ejabberd, slixmpp, openssl and tshark around the running program. Run by `cargo verify`, which
//! installs the servers (feature `interop`); the only tests that wait on a real clock.
//!
//! Every server is a process of the test's own with its own folders and high loopback ports, stopped by its own id.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: what is not as it should be ends it"
)]

mod busy_air;
mod conformance;
mod console;
mod demo;
mod groups;
mod harness;
mod kill;
mod mail;
mod postfix;
mod sender;
mod shared_radio;
mod shell;
mod sink;
mod site;
mod tshark;
mod wait;
mod xmpp;

//! Skywave's gateway: one site is one [`node::Node`]; everything else brings it its inputs or carries its outputs away.
//!
//! `node`, `router`, `queue`, `door`, `chat`, `report` and `world` do no I/O; `shell`, `store::sqlite`,
//! `bench` and `cli` do.

pub mod bench;
pub mod chat;
pub mod cli;
pub mod config;
pub mod demo;
pub mod door;
pub mod node;
pub mod pump;
pub mod queue;
pub mod report;
pub mod router;
pub mod shell;
pub mod store;
pub mod telemetry;
pub mod world;

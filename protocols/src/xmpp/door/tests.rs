//! Doors wired back to back in memory: each is the other's local server.

mod component;
mod hostile;
mod net;
mod patience;
mod servers;
mod shared;
mod strangers;

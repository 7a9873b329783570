//! Selective-repeat ARQ: D_PDU types 0 to 2 (C.6.2).

#[cfg(test)]
mod model;
pub(super) mod receiver;
pub(super) mod sender;
pub mod window;

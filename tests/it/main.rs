//! The integration tests: one binary, pure, no port and no sleep. Real servers are in `interop/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: what is not as it should be ends it"
)]

mod carried;
mod hostile;
mod seeds;
mod stories;
mod tidy;
mod vectors;

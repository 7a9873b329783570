//! The integration tests: one binary, pure, no port and no sleep. Real servers are in `interop/`.

mod tidy;
mod vectors;

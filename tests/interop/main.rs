//! Tests with real servers: run by `cargo verify`, which installs them (feature `interop`).

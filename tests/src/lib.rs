//! What drives the checks: the `verify` command and the fuzz targets. The tests themselves are in `it/` (pure, run by
//! `cargo test`) and `interop/` (real servers, run by `cargo verify`).

pub mod fuzz;
pub mod verify;

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

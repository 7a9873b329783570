//! What drives the checks: the `verify` command and the fuzz targets. The tests themselves are in `it/` (pure, run by
//! `cargo test`) and `interop/` (real servers, run by `cargo verify`).

pub mod commands;
pub mod dictionary;
pub mod fuzz;
pub mod verify;

use std::path::{Path, PathBuf};

use skywave_conformance as conformance;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// What `conformance/COVERAGE.md` must say now.
///
/// # Errors
/// A requirement list, a source or a vector that cannot be read.
pub fn coverage() -> std::io::Result<String> {
    let requirements = conformance::files::requirements(&root())?;
    let citations = conformance::files::citations(&root())?;
    let vectors = conformance::vectors().map_err(std::io::Error::other)?;
    Ok(conformance::coverage::render(&requirements, &citations, &vectors))
}

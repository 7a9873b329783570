//! Reads requirement lists, sources and vectors from the disk: the only file access of this crate.

use std::io;
use std::path::{Path, PathBuf};

use crate::citation::{self, Citation};
use crate::requirement::{self, Requirement};
use crate::vector::Vector;

/// Where citations are looked for, from the root of the workspace.
pub const CITING: [&str; 3] = ["protocols/src", "transports/src", "gateway/src"];

/// The requirement lists below the root of the workspace, in the order of their specs.
///
/// # Errors
/// A file that cannot be read or is no list.
pub fn requirements(root: &Path) -> io::Result<Vec<Requirement>> {
    let mut list = Vec::new();
    for path in below(&root.join("conformance/requirements"), "toml")? {
        let spec = path.file_stem().unwrap_or_default().to_string_lossy();
        let found = requirement::parse(&spec, &std::fs::read_to_string(&path)?).map_err(io::Error::other)?;
        list.extend(found);
    }
    Ok(list)
}

/// The citations below the root of the workspace.
///
/// # Errors
/// A file that cannot be read.
pub fn citations(root: &Path) -> io::Result<Vec<Citation>> {
    let mut list = Vec::new();
    for folder in CITING {
        for path in below(&root.join(folder), "rs")? {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
            list.extend(citation::scan(&name, &std::fs::read_to_string(&path)?));
        }
    }
    Ok(list)
}

/// The vectors in a folder of somebody's own: `PROTOCOL/NAME.toml`.
///
/// # Errors
/// A file that cannot be read or is no vector.
pub fn vectors(folder: &Path) -> io::Result<Vec<Vector>> {
    below(folder, "toml")?
        .into_iter()
        .map(|path| {
            let id = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
            Vector::parse(&id.to_string_lossy(), &std::fs::read_to_string(&path)?).map_err(io::Error::other)
        })
        .collect()
}

/// The files below `folder` with this ending, in the order of their paths.
fn below(folder: &Path, kind: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == kind) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

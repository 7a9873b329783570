//! Puts the vectors into the program, so that an installed `skywave conformance` needs no source tree.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let vectors = root.join("vectors");
    println!("cargo::rerun-if-changed={}", vectors.display());
    let mut list = String::from("&[\n");
    for protocol in sorted(&vectors)? {
        if !protocol.is_dir() {
            continue;
        }
        println!("cargo::rerun-if-changed={}", protocol.display());
        for file in sorted(&protocol)?.iter().filter(|file| file.extension().is_some_and(|kind| kind == "toml")) {
            let name = file.strip_prefix(&vectors).unwrap_or(file).with_extension("");
            let _ = writeln!(list, "({:?}, include_str!({file:?})),", name.display().to_string());
        }
    }
    list.push_str("]\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("vectors.rs"), list)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

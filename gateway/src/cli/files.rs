//! Reads configuration files and the environment for the checked configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::exit::{self, Fault};
use crate::config::{self, Loaded, Mistake, Text};

/// The configuration in `path` and in `conf.d` beside it, with the environment on top.
///
/// # Errors
/// All mistakes, or that a file cannot be read.
pub fn load(path: &Path) -> Result<Loaded, Vec<Mistake>> {
    let mut texts = vec![read(path)?];
    for part in parts(path) {
        texts.push(read(&part)?);
    }
    config::load(&texts, &environment())
}

/// The configuration; mistakes are printed, one a line.
///
/// # Errors
/// Exit code 78, everything told.
pub fn load_or_tell(path: &Path) -> Result<Loaded, Fault> {
    told(load(path))
}

/// Prints mistakes, one a line.
///
/// # Errors
/// Exit code 78, everything told.
pub fn told<T>(loaded: Result<T, Vec<Mistake>>) -> Result<T, Fault> {
    loaded.map_err(|mistakes| {
        for mistake in &mistakes {
            eprintln!("{mistake}");
        }
        Fault::told(exit::CONFIGURATION)
    })
}

/// The text of a file.
///
/// # Errors
/// That it cannot be read.
pub fn read(path: &Path) -> Result<Text, Vec<Mistake>> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Text { file, text }),
        Err(error) => Err(vec![Mistake { file, line: 0, key: String::new(), reason: error.to_string() }]),
    }
}

/// The files of `conf.d`, in the order of their names.
fn parts(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(".")).join("conf.d");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|part| part.extension().is_some_and(|kind| kind == "toml"))
        .collect();
    found.sort();
    found
}

fn environment() -> BTreeMap<String, String> {
    let text = |value: std::ffi::OsString| value.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

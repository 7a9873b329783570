//! Reads source files as the rules need them: without tests, without comments.

use std::path::{Path, PathBuf};

use skywave_tests::root;

/// A Rust source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
    /// Whether its parent takes it only for tests.
    only_for_tests: bool,
}

impl Source {
    /// Its path from the root of the workspace.
    pub fn name(&self) -> String {
        short(&self.path)
    }

    /// Whether all of it is test code.
    pub fn is_test(&self) -> bool {
        let name = self.name();
        self.only_for_tests || name.ends_with("tests.rs") || name.starts_with("tests/it/")
    }

    /// The text up to the test module that stands last; nothing of a file of tests.
    pub fn without_tests(&self) -> &str {
        if self.is_test() {
            return "";
        }
        // A `#[cfg(test)] mod tests;` in the middle only names a file: the tests in place stand last.
        let end = self.text.rfind("\n#[cfg(test)]\nmod ").filter(|at| self.text[*at..].contains("{\n"));
        &self.text[..end.unwrap_or(self.text.len())]
    }

    /// The lines without tests, comments and what follows `//` in a line; numbered from 1.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.without_tests()
            .lines()
            .enumerate()
            .map(|(number, line)| (number + 1, uncommented(line)))
            .filter(|(_, line)| !line.trim().is_empty())
    }

    /// How many of them there are.
    pub fn code_lines(&self) -> usize {
        self.code().count()
    }
}

fn uncommented(line: &str) -> &str {
    match line.find("//") {
        // `://` stands in text.
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        Some(_) | None => line,
    }
}

/// The Rust files below `folder`, in the order of their paths.
pub fn sources(folder: &Path) -> Vec<Source> {
    let mut sources: Vec<Source> = files(folder, &["rs"])
        .into_iter()
        .filter_map(|path| Some(Source { text: std::fs::read_to_string(&path).ok()?, path, only_for_tests: false }))
        .collect();
    let of_tests: Vec<PathBuf> = sources.iter().flat_map(modules_for_tests).collect();
    for source in &mut sources {
        source.only_for_tests =
            of_tests.iter().any(|path| source.path.starts_with(path) || source.path == path.with_extension("rs"));
    }
    sources
}

/// The modules that a file declares behind `#[cfg(test)]`, as paths without ending.
fn modules_for_tests(source: &Source) -> Vec<PathBuf> {
    let stem = source.path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = if ["mod", "lib", "main"].contains(&&*stem) {
        source.path.parent().unwrap_or(&source.path).to_path_buf()
    } else {
        source.path.with_extension("")
    };
    let declared = source.text.split("#[cfg(test)]\nmod ").skip(1);
    declared.filter_map(|rest| Some(folder.join(rest.lines().next()?.strip_suffix(';')?))).collect()
}

/// The files below `folder` whose names end in one of `kinds`, in the order of their paths; build results left out.
pub fn files(folder: &Path, kinds: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if kinds.iter().any(|kind| name == *kind || name.ends_with(&format!(".{kind}"))) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A path from the root of the workspace.
pub fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

//! Rules of the house that neither the compiler nor clippy can check.

mod conformance;
mod layers;
mod licences;
mod samples;
mod source;

use std::path::Path;

use skywave_tests::root;
use source::{Source, files, sources};

const FILE_LINES_MAX: usize = 600;
const FILE_CODE_LINES_WANTED: usize = 500;
const CRATES: [&str; 5] = ["protocols", "transports", "gateway", "conformance", "tests"];

/// Fails with all findings at once.
fn judge(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn all_sources() -> Vec<Source> {
    CRATES.iter().flat_map(|name| sources(&root().join(name))).collect()
}

#[test]
fn modules_of_protocols_use_only_lower_rows() {
    judge(layers::protocols(&sources(&root().join("protocols/src"))));
}

#[test]
fn only_shell_files_do_input_and_output() {
    judge(CRATES.iter().flat_map(|name| layers::purity(name, &sources(&root().join(name).join("src")))).collect());
}

#[test]
fn files_are_short() {
    let mut findings = Vec::new();
    for source in all_sources() {
        let (lines, code) = (source.without_tests().lines().count(), source.code_lines());
        if lines > FILE_LINES_MAX {
            findings.push(format!("{}: {lines} lines without tests, {FILE_LINES_MAX} are allowed", source.name()));
        } else if code > FILE_CODE_LINES_WANTED {
            println!("{}: {code} code lines, {FILE_CODE_LINES_WANTED} are wanted", source.name());
        }
    }
    judge(findings);
}

#[test]
fn what_is_left_to_do_names_its_issue() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let findings = all_sources()
        .iter()
        .flat_map(|source| {
            source.text.lines().enumerate().filter_map(|(number, line)| {
                let (_, comment) = line.split_once("//")?;
                let word = words.iter().find(|word| comment.contains(**word))?;
                let named = comment.contains(&format!("{word}(#"));
                (!named).then(|| format!("{}:{}: {word} without (#issue)", source.name(), number + 1))
            })
        })
        .collect();
    judge(findings);
}

#[test]
fn links_in_the_documents_exist() {
    let mut findings = Vec::new();
    for path in files(&root(), &["md"]) {
        let text = std::fs::read_to_string(&path).unwrap();
        let folder = path.parent().unwrap();
        for target in links(&text) {
            if !folder.join(&target).exists() {
                findings.push(format!("{}: {target} does not exist", source::short(&path)));
            }
        }
    }
    judge(findings);
}

/// The local targets of `[words](target#place)`, code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut code = false;
    let mut targets = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                targets.push(target.to_owned());
            }
        }
    }
    targets
}

#[test]
fn links_are_found() {
    assert_eq!(links("a [b](c.md#d) and [e](https://f) `x`\n```\n[g](h)\n```\n[i](#j)"), ["c.md"]);
}

/// `path::test` in the matrix of hostile inputs.
#[test]
fn every_test_of_the_hostile_inputs_exists() {
    let matrix = std::fs::read_to_string(root().join("docs/src/hostile-inputs.md")).unwrap();
    let named: Vec<(&str, &str)> = matrix.split('`').filter_map(|word| word.split_once("::")).collect();
    assert!(named.len() > 60, "{} tests are named", named.len());
    let is_missing = |(path, test): &(&str, &str)| {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        !text.contains(&format!("fn {test}("))
    };
    judge(named.into_iter().filter(is_missing).map(|(path, test)| format!("{path} has no {test}")).collect());
}

#[test]
fn every_chapter_is_in_the_summary() {
    let summary = std::fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap_or_default();
    let chapters = files(&root().join("docs/src"), &["md"]);
    judge(
        chapters
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .filter(|name| *name != "SUMMARY.md" && !summary.contains(&format!("({name})")))
            .map(|name| format!("docs/src/{name} is not in SUMMARY.md"))
            .collect(),
    );
}

#[test]
fn no_committed_file_names_a_place_on_somebodys_machine() {
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let kinds = ["rs", "md", "toml", "lock", "service", "story", "golden", "run", "txt", "yml", "json"];
    let mut findings = Vec::new();
    for path in files(&root(), &kinds) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            if let Some(place) = places.iter().find(|place| line.contains(**place)) {
                findings.push(format!("{}:{}: {place}", source::short(&path), number + 1));
            }
        }
    }
    judge(findings);
}

#[test]
fn the_top_level_is_fixed() {
    let wanted = ["gateway", "transports", "protocols", "tests", "conformance", "docs", "target"];
    let folders = std::fs::read_dir(root()).unwrap().flatten().filter(|entry| entry.path().is_dir());
    judge(
        folders
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.') && !wanted.contains(&name.as_str()))
            .map(|name| format!("{name}/ is no part of the workspace's fixed top level"))
            .collect(),
    );
}

#[test]
fn every_module_opens_with_its_manual_page() {
    judge(
        all_sources()
            .iter()
            .filter(|source| !source.is_test() && !source.text.starts_with("//!"))
            .map(|source| format!("{}: no //! at the top", source.name()))
            .collect(),
    );
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    judge(
        CRATES
            .iter()
            .filter(|name| {
                let manifest = std::fs::read_to_string(Path::new(&root()).join(name).join("Cargo.toml")).unwrap();
                !manifest.contains("[lints]\nworkspace = true")
            })
            .map(|name| format!("{name}/Cargo.toml: [lints] workspace = true is missing"))
            .collect(),
    );
}

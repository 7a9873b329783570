//! Licences, bans and sources of `deny.toml`, held against the packages that this machine builds.
//!
//! cargo-deny does more (packages of other platforms, the texts of licences) and need not be installed; this always runs.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use skywave_tests::root;

use super::judge;

#[test]
fn every_dependency_has_a_licence_that_deny_toml_allows() {
    let rules = rules();
    let allowed = words(&rules["licenses"]["allow"]);
    let exceptions = rules["licenses"]["exceptions"].as_array().cloned().unwrap_or_default();
    let mut findings = Vec::new();
    let packages = packages();
    assert!(packages.len() > 100, "{} packages", packages.len());
    for package in &packages {
        let (name, licence) = (text(&package["name"]), text(&package["license"]));
        let own = exceptions.iter().filter(|one| text(&one["crate"]) == name).flat_map(|one| words(&one["allow"]));
        let allowed: BTreeSet<String> = allowed.iter().cloned().chain(own).collect();
        if !allows(&licence, &allowed) {
            findings.push(format!("{name} {}: {licence:?} is not allowed", text(&package["version"])));
        }
    }
    judge(findings);
}

#[test]
fn no_banned_crate_and_no_foreign_source_is_in_the_lock() {
    let lock: toml::Value = toml::from_str(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap()).unwrap();
    let lock = serde_json::to_value(lock).unwrap();
    let packages = lock["package"].as_array().unwrap();
    let rules = rules();
    let banned: Vec<String> = rules["bans"]["deny"].as_array().unwrap().iter().map(|one| text(&one["crate"])).collect();
    assert!(!banned.is_empty());
    let is_banned = |package: &&Value| banned.contains(&text(&package["name"]));
    let mut findings: Vec<String> =
        packages.iter().filter(is_banned).map(|p| format!("{} is banned", p["name"])).collect();
    let sources: BTreeSet<String> = packages.iter().map(|p| text(&p["source"])).filter(|s| !s.is_empty()).collect();
    // One registry, which is the one of every other crate, and nothing from a repository.
    if sources.len() != 1 || !sources.iter().all(|source| source.starts_with("registry+")) {
        findings.push(format!("sources are {sources:?}"));
    }
    judge(findings);
}

fn rules() -> Value {
    let rules: toml::Value = toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap();
    serde_json::to_value(rules).unwrap()
}

/// What `cargo metadata` says of everything that is built here; without the network, for it has been built.
fn packages() -> Vec<Value> {
    let said = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host]);
    let output = command.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// Whether an SPDX expression (or an old `A/B`) can be met by these licences.
fn allows(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression =
        expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "+WITH+");
    let allowed: BTreeSet<String> = allowed.iter().map(|licence| licence.replace(" WITH ", "+WITH+")).collect();
    let mut tokens = expression.split_whitespace().peekable();
    let met = any(&mut tokens, &allowed);
    met && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = all(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        met |= all(tokens, allowed);
    }
    met
}

fn all(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        met &= one(tokens, allowed);
    }
    met
}

fn one(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    match tokens.next() {
        Some("(") => {
            let met = any(tokens, allowed);
            tokens.next_if_eq(&")").is_some() && met
        }
        Some(licence) => allowed.contains(licence),
        None => false,
    }
}

#[test]
fn expressions_of_licences_are_understood() {
    let allowed: BTreeSet<String> =
        ["MIT", "Zlib", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR MIT AND Zlib", true),
        ("(GPL-3.0 OR MIT) AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Zlib", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT WITH LLVM-exception", false),
        ("(MIT", false),
        ("MIT)", false),
        ("MIT Zlib", false),
    ] {
        assert_eq!(allows(expression, &allowed), expected, "{expression}");
    }
}

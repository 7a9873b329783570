//! Who may use whom: the rows of `protocols`, and what only shell files may do.

use super::source::Source;

/// The rows of `protocols`, lowest first; a module uses itself and what stands before it in this list, except that
/// modules of one inner list do not know each other.
const ROWS: [&[&str]; 9] = [
    &["bytes", "fault", "random", "time"],
    &["message"],
    &["compress"],
    &["smtp"],
    &["s5066"],
    &["acp142", "slep"],
    &["mmhs"],
    &["mule", "bsmtp", "acp127"],
    &["xmpp"],
];
/// Pairs that the rows would allow and the architecture does not: they meet in `transports` and `gateway`.
const STRANGERS: [(&str, &str); 7] = [
    ("xmpp", "s5066"),
    ("acp142", "s5066"),
    ("mule", "acp142"),
    ("mule", "s5066"),
    ("bsmtp", "acp142"),
    ("bsmtp", "s5066"),
    ("mmhs", "s5066"),
];
/// The same inside `s5066`: what is not named stands at the bottom.
const S5066: [&[&str]; 3] = [&["sis"], &["rcop", "udop"], &["node", "console"]];

/// What breaks the rows of `protocols`.
pub fn protocols(sources: &[Source]) -> Vec<String> {
    sources.iter().filter(|source| !source.is_test()).flat_map(upward_uses).collect()
}

fn upward_uses(source: &Source) -> Vec<String> {
    let name = source.name();
    let inside: Vec<&str> = name.trim_start_matches("protocols/src/").trim_end_matches(".rs").split('/').collect();
    let mut findings = Vec::new();
    for (number, line) in source.code() {
        for used in uses(&absolute(line, &inside)) {
            if let Some(why) = forbidden(&inside, &used) {
                findings.push(format!("{name}:{number}: {} {why}", used.join("::")));
            }
        }
    }
    findings
}

/// The line with `super::` written out as the path from the crate, for a file at `inside`.
fn absolute(line: &str, inside: &[&str]) -> String {
    let place: Vec<&str> = inside.iter().copied().filter(|part| *part != "mod" && *part != "lib").collect();
    let mut pieces = line.split("super::").peekable();
    let mut written = pieces.next().unwrap_or_default().to_owned();
    let mut up = 0;
    while let Some(piece) = pieces.next() {
        up += 1;
        if piece.is_empty() && pieces.peek().is_some() {
            continue;
        }
        written.push_str("crate::");
        place[..place.len().saturating_sub(up)].iter().for_each(|part| written.extend([*part, "::"]));
        written.push_str(piece);
        up = 0;
    }
    written
}

/// The paths behind `crate::` in a line; those in braces one by one.
fn uses(line: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = |path: &str| path.split("::").filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let stem: &str = &rest[..rest.find(|c| !is_path(c)).unwrap_or(rest.len())];
        match rest[stem.len()..].strip_prefix('{') {
            Some(list) => {
                for item in list.split('}').next().unwrap_or_default().split(',') {
                    found.push([words(stem), words(item.trim())].concat());
                }
            }
            None => found.push(words(stem)),
        }
    }
    found
}

fn forbidden(inside: &[&str], used: &[String]) -> Option<&'static str> {
    let (from, to) = (*inside.first()?, used.first()?.as_str());
    if from == "lib" {
        return None;
    }
    if from == to {
        let (from, to) = (inside.get(1)?, used.get(1)?);
        let upward = row(&S5066, from)? < row(&S5066, to)?;
        return (to != from && from != &"mod" && inside[0] == "s5066" && upward).then_some("stands above it in s5066");
    }
    let Some(to_row) = row(&ROWS, to) else { return Some("has no row: give it one in architecture and tidy") };
    let Some(from_row) = row(&ROWS, from) else { return Some("is used by a module that has no row") };
    if STRANGERS.contains(&(from, to)) {
        return Some("must not be known here; they meet in transports and gateway");
    }
    (to_row >= from_row && from_row > 0).then_some("does not stand in a lower row")
}

fn row(rows: &[&[&str]], module: &str) -> Option<usize> {
    rows.iter().position(|row| row.contains(&module))
}

/// What only shell files may name.
const IMPURE: [&str; 12] = [
    "tokio::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "std::fs",
    "std::process::Command",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "std::env::",
    "socket2::",
];
/// Where they may: how a path begins from the crate's `src`.
const SHELLS: [(&str, &[&str]); 5] = [
    ("protocols", &[]),
    ("transports", &[]),
    ("gateway", &["shell/", "cli/", "bench/", "main.rs", "store/sqlite", "store/disk.rs", "store/writer.rs"]),
    ("conformance", &["subject/port.rs", "files.rs"]),
    ("tests", &["verify/", "fuzz/", "bin/", "lib.rs", "dictionary.rs"]),
];

/// What does input or output outside the shell files of a crate.
pub fn purity(name: &str, sources: &[Source]) -> Vec<String> {
    let shells = SHELLS.iter().find(|(crate_name, _)| *crate_name == name).map_or(&[][..], |(_, shells)| *shells);
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let path = source.name();
        let inside = path.split_once("/src/").map_or("", |(_, inside)| inside);
        if shells.iter().any(|shell| inside.starts_with(shell)) {
            continue;
        }
        for (number, line) in source.code() {
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{path}:{number}: {word} outside a shell file"));
            }
        }
    }
    findings
}

#[test]
fn uses_are_read() {
    assert_eq!(uses("use crate::{bytes::Reader, time};"), [vec!["bytes", "Reader"], vec!["time"]]);
    assert_eq!(uses("crate::s5066::sis::Pdu::Bind(crate::time::Now)").len(), 2);
}

#[test]
fn relative_paths_are_read() {
    let inside = ["s5066", "sis", "pdu"];
    assert_eq!(
        absolute("use super::fault::A; super::super::rcop::B", &inside),
        "use crate::s5066::sis::fault::A; crate::s5066::rcop::B"
    );
    assert_eq!(absolute("use super::rcop::B", &["s5066", "mod"]), "use crate::rcop::B");
}

#[test]
fn the_rows_forbid() {
    let used = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    let no = |inside: &str, path: &str| forbidden(&inside.split('/').collect::<Vec<_>>(), &used(path)).is_some();
    assert!(no("acp142/mod", "mule::Payload"), "upward");
    assert!(no("xmpp/door", "s5066::sis"), "strangers");
    assert!(no("s5066/sis/pdu", "s5066::rcop"), "upward inside s5066");
    assert!(no("mule", "news::Something"), "no row");
    assert!(!no("s5066/node/sis_server", "s5066::sis::Pdu"), "downward inside s5066");
    assert!(!no("mule", "mmhs::cdt"), "the compression wrapper is below");
    assert!(!no("bytes", "time"), "ground");
}

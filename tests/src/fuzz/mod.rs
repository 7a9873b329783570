//! Fuzzing on the stable compiler: mutates the corpus of a target from a seed and watches for panics and hangs.
//!
//! A target is a function over any octets; it may assert what must hold. Corpora are committed in
//! `tests/corpus/TARGET/`, one input a file. Promises: the same seed and corpus give the same inputs in the same order,
//! so a finding is found again; an input that breaks a target is saved beside the corpus as `crash-DIGEST` and named.
//! Limits: inputs of at most [`INPUT_OCTETS_MAX`] octets, each within [`INPUT_SECONDS_MAX`] seconds. Why not
//! cargo-fuzz: `docs/adr/0004-fuzz-driver-on-the-stable-compiler.md`.

mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use skywave_protocols::random::{Random, Seeded};

pub use mutate::{INPUT_OCTETS_MAX, mutated};
pub use targets::all;

const USAGE: &str = "usage: fuzz TARGET|all|list [--runs N] [--seed S]";
const RUNS_DEFAULT: u64 = 100_000;

/// Longest time one input may take, in the debug build.
pub const INPUT_SECONDS_MAX: f64 = 10.0;

/// Something that takes any octets and must neither panic nor hang.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of it and of its corpus.
    pub name: &'static str,
    /// The code under test; says how far an input got: 0 when it was refused at once.
    pub run: fn(&[u8]) -> usize,
}

/// Why a target failed.
#[derive(Clone, PartialEq, Debug)]
pub enum Finding {
    /// It has no corpus to start from.
    NoCorpus(PathBuf),
    /// An input made it panic; where the input was saved.
    Panic(PathBuf),
    /// An input took too long; where the input was saved and the seconds.
    Slow(PathBuf, f64),
}

/// Runs the targets that `arguments` name; exit code 0 when none failed, 1 when one did, 64 for wrong usage.
pub fn main(arguments: &[String]) -> ExitCode {
    let (name, runs, seed) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(mistake) => {
            eprintln!("{mistake}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    if name == "list" {
        all().iter().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<&Target> = all().iter().filter(|target| name == "all" || target.name == name).collect();
    if chosen.is_empty() {
        eprintln!("no target is called {name}\n{USAGE}");
        return ExitCode::from(64);
    }
    let corpora = crate::root().join("tests/corpus");
    let findings = chosen.iter().filter_map(|target| shown(target, &corpora, runs, seed)).count();
    let passed = chosen.len() - findings;
    let word = if findings == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {findings} failed; 0 ignored; {runs} mutations each, seed {seed}");
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Result<(String, u64, u64), String> {
    let (mut name, mut runs, mut seed) = (None, RUNS_DEFAULT, 1);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let number = match argument.as_str() {
            "--runs" => &mut runs,
            "--seed" => &mut seed,
            _ if name.is_none() => {
                name = Some(argument.clone());
                continue;
            }
            other => return Err(format!("unknown argument {other}")),
        };
        *number = rest.next().and_then(|n| n.parse().ok()).ok_or_else(|| format!("{argument} needs a number"))?;
    }
    name.map(|name| (name, runs, seed)).ok_or_else(|| "which target?".to_owned())
}

fn shown(target: &Target, corpora: &Path, runs: u64, seed: u64) -> Option<Finding> {
    let begun = now();
    let result = run(target, &corpora.join(target.name), runs, seed);
    let seconds = begun.elapsed().as_secs_f64();
    match &result {
        Ok(inputs) => println!("fuzz {:14} ok      {inputs} inputs in {seconds:.1} s", target.name),
        Err(finding) => println!("fuzz {:14} FAILED  {finding:?}", target.name),
    }
    result.err()
}

/// Runs the corpus of `target` as it is, then `runs` mutations of it.
///
/// # Errors
/// The first finding.
pub fn run(target: &Target, corpus: &Path, runs: u64, seed: u64) -> Result<u64, Finding> {
    let seeds = inputs(corpus);
    if seeds.is_empty() {
        return Err(Finding::NoCorpus(corpus.to_path_buf()));
    }
    let mut random = Seeded::new(seed).fork(target.name);
    for input in &seeds {
        one(target, input, corpus)?;
    }
    for _ in 0..runs {
        let base = &seeds[usize::try_from(random.below(seeds.len() as u64)).unwrap_or_default()];
        let other = &seeds[usize::try_from(random.below(seeds.len() as u64)).unwrap_or_default()];
        one(target, &mutated(&mut random, base, other), corpus)?;
    }
    Ok(runs + seeds.len() as u64)
}

fn one(target: &Target, input: &[u8], corpus: &Path) -> Result<(), Finding> {
    let begun = now();
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        return Err(Finding::Panic(saved(corpus, input)));
    }
    match begun.elapsed().as_secs_f64() {
        seconds if seconds > INPUT_SECONDS_MAX => Err(Finding::Slow(saved(corpus, input), seconds)),
        _ => Ok(()),
    }
}

/// The inputs in a corpus folder, in the order of their names.
pub fn inputs(corpus: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(corpus).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}

fn saved(corpus: &Path, input: &[u8]) -> PathBuf {
    let digest = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3));
    let path = corpus.join(format!("crash-{digest:016x}"));
    if let Err(error) = std::fs::write(&path, input) {
        eprintln!("{}: {error}", path.display());
    }
    path
}

#[expect(clippy::disallowed_methods, reason = "a hang can only be seen on a real clock")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_found_saved_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("seed"), b"aaaa").unwrap();
        let target = Target {
            name: "trap",
            run: |octets| usize::from(!octets.contains(&0xff)) / usize::from(!octets.contains(&0xff)),
        };
        let Err(Finding::Panic(saved)) = run(&target, folder.path(), 10_000, 3) else { panic!("not found") };
        assert!(std::fs::read(&saved).unwrap().contains(&0xff));
        assert_eq!(run(&target, folder.path(), 0, 3), Err(Finding::Panic(saved)));
    }

    /// A corpus that is refused at the first octet finds nothing.
    #[test]
    fn every_corpus_gets_far() {
        for target in all() {
            let inputs = inputs(&crate::root().join("tests/corpus").join(target.name));
            let far = inputs.iter().filter(|input| (target.run)(input) > 0).count();
            assert!(far * 2 >= inputs.len() && far > 0, "{}: {far} of {} inputs", target.name, inputs.len());
        }
    }
}

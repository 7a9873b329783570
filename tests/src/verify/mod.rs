//! The `verify` command: runs the steps of [`steps`] one after the other and judges them.
//!
//! Promises: a step that fails does not hide the later ones; the exit code is 0 only when all passed; the last lines
//! are the counts of tests, taken from the outputs of the steps. All steps build the whole workspace in the debug
//! profile, so that one build serves them all. Refuses: to leave the interop step out silently; what it needs and
//! cannot install is named and the step fails, unless `--skip interop` was said.

mod counts;
mod packages;
pub mod python;
mod steps;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use counts::Counts;
use steps::{Step, Work};

const USAGE: &str = "usage: cargo verify [--list] [--only STEP]… [--skip STEP]…";

/// How a step ended.
struct Outcome {
    name: &'static str,
    verdict: Verdict,
    counts: Counts,
    took: Duration,
}

enum Verdict {
    Passed,
    Failed(String),
    Skipped(&'static str),
}

/// Runs the steps that `arguments` choose; exit code 0 when none failed, 1 when one did, 64 for wrong usage.
pub fn main(arguments: &[String]) -> ExitCode {
    let all = steps::all();
    let chosen = match choose(&all, arguments) {
        Ok(Some(chosen)) => chosen,
        Ok(None) => return ExitCode::SUCCESS,
        Err(mistake) => {
            eprintln!("{mistake}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    let begun = now();
    let outcomes: Vec<Outcome> = all.iter().zip(chosen).map(|(step, wanted)| outcome(step, wanted)).collect();
    summary(&outcomes, begun.elapsed());
    match outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Failed(_))) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn choose(all: &[Step], arguments: &[String]) -> Result<Option<Vec<bool>>, String> {
    let (mut only, mut skip) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let list = match argument.as_str() {
            "--list" => {
                all.iter().for_each(|step| println!("{:12} {}", step.name, step.what));
                return Ok(None);
            }
            "--only" => &mut only,
            "--skip" => &mut skip,
            other => return Err(format!("unknown argument {other}")),
        };
        let name = rest.next().ok_or_else(|| format!("{argument} needs the name of a step"))?;
        if !all.iter().any(|step| step.name == name) {
            return Err(format!("no step is called {name}; see --list"));
        }
        list.push(name.as_str());
    }
    let wanted = |step: &Step| (only.is_empty() || only.contains(&step.name)) && !skip.contains(&step.name);
    Ok(Some(all.iter().map(wanted).collect()))
}

fn outcome(step: &Step, wanted: bool) -> Outcome {
    let begun = now();
    let mut counts = Counts::default();
    let verdict = if wanted {
        println!("\n=== {}: {}", step.name, step.what);
        judge(step, &mut counts)
    } else {
        Verdict::Skipped("not asked for")
    };
    let took = begun.elapsed();
    if wanted {
        println!("=== {}: {} in {:.1} s", step.name, words(&verdict), took.as_secs_f64());
    }
    Outcome { name: step.name, verdict, counts, took }
}

fn judge(step: &Step, counts: &mut Counts) -> Verdict {
    let mut all = |commands: &[Vec<&str>]| commands.iter().map(|command| run(command, counts)).find(not_passed);
    let not_passed = match &step.work {
        Work::Commands(commands) => all(commands),
        Work::OptionalTool { tool, command } => match steps::on_path(tool) {
            Some(_) => all(std::slice::from_ref(command)),
            None => Some(Verdict::Skipped("the tool is not installed")),
        },
        Work::WithPackages(commands) => match packages::install_missing().and_then(|()| python::make()) {
            Ok(()) => all(commands),
            Err(reason) => Some(Verdict::Failed(reason)),
        },
    };
    not_passed.unwrap_or(Verdict::Passed)
}

fn not_passed(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Passed)
}

/// Runs one command, shows its output as it comes and counts the tests in it.
fn run(command: &[&str], counts: &mut Counts) -> Verdict {
    println!("$ {}", command.join(" "));
    let variables: Vec<(&str, &str)> = command.iter().map_while(|word| word.split_once('=')).collect();
    let Some((name, arguments)) = command.get(variables.len()..).and_then(<[_]>::split_first) else {
        return Verdict::Passed;
    };
    let mut child = Command::new(name);
    child.args(arguments).envs(variables).current_dir(crate::root()).stdout(Stdio::piped());
    let mut child = match child.spawn() {
        Ok(child) => child,
        Err(error) => return Verdict::Failed(format!("{name} did not start: {error}")),
    };
    if let Some(output) = child.stdout.take() {
        let mut terminal = std::io::stdout();
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let _ = writeln!(terminal, "{line}");
            counts.read(&line);
        }
    }
    match child.wait() {
        Ok(status) if status.success() => Verdict::Passed,
        Ok(status) => Verdict::Failed(format!("`{}` ended with {status}", command.join(" "))),
        Err(error) => Verdict::Failed(format!("{name}: {error}")),
    }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "passed".to_owned(),
        Verdict::Failed(reason) => format!("FAILED: {reason}"),
        Verdict::Skipped(reason) => format!("skipped ({reason})"),
    }
}

fn summary(outcomes: &[Outcome], took: Duration) {
    println!("\n{:12} {:>8} {:>8} {:>8} {:>9}  result", "step", "passed", "failed", "ignored", "seconds");
    let mut sum = Counts::default();
    for Outcome { name, verdict, counts, took } in outcomes {
        sum = sum + *counts;
        let seconds = took.as_secs_f64();
        println!(
            "{name:12} {:>8} {:>8} {:>8} {seconds:>9.1}  {}",
            counts.passed,
            counts.failed,
            counts.ignored,
            words(verdict)
        );
    }
    let failed = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_))).count();
    println!(
        "verify: {} tests passed, {} failed, {} ignored; {failed} steps failed; {:.0} s",
        sum.passed,
        sum.failed,
        sum.ignored,
        took.as_secs_f64()
    );
}

#[expect(clippy::disallowed_methods, reason = "a command for people: it tells how long its steps took")]
fn now() -> Instant {
    Instant::now()
}

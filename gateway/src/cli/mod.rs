//! What a person types: one command, many verbs. Exit codes are those of sysexits; every command that prints facts has
//! `--json`.

mod args;
mod ask;
mod check;
pub mod exit;
mod files;
mod run;
mod show;

use std::process::ExitCode;

use clap::Parser;

pub use args::Arguments;
use args::Verb;
use exit::Fault;

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // Help and version are not mistakes.
            return if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            if !fault.why.is_empty() {
                eprintln!("skywave: {}", fault.why);
            }
            ExitCode::from(fault.code)
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Fault> {
    match arguments.verb {
        Verb::Run(run) => run::run(&run),
        Verb::Check(check) => check::check(&check),
        Verb::Status(site) => ask::status(&site),
        Verb::Queue(queue) => ask::queue(&queue),
        Verb::Link(link) => ask::link(&link),
        Verb::Track(track) => ask::track(&track),
    }
}

/// A runtime of one thread: the node is one thread's work, and an idle site stays small.
fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Fault::new(exit::OS_ERROR, error.to_string()))
}

//! What a person types: one command, many verbs. Exit codes are those of sysexits; every command that prints facts has
//! `--json`.

mod args;
mod ask;
mod bench;
mod check;
mod conformance;
mod decode;
mod decode_chat;
pub mod demo;
pub mod exit;
mod files;
mod node;
mod out;
mod pages;
mod process;
mod run;
mod s5066;
mod send;
mod sendmail;
pub mod show;

use std::process::ExitCode;

use clap::Parser;

pub use args::Arguments;
use args::Verb;
use exit::Fault;

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let words: Vec<std::ffi::OsString> = called_as(std::env::args_os().collect());
    let arguments = match Arguments::try_parse_from(words) {
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

/// Under the names `sendmail` and `mailq` (update-alternatives) the command is what these are.
fn called_as(words: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let name = words.first().map(std::path::Path::new).and_then(std::path::Path::file_name);
    let front: &[&str] = match name.and_then(std::ffi::OsStr::to_str) {
        Some("sendmail") => &["skywave", "send"],
        Some("mailq") => &["skywave", "send", "-bp"],
        Some(_) | None => return words,
    };
    front.iter().map(std::ffi::OsString::from).chain(words.into_iter().skip(1)).collect()
}

fn run(arguments: Arguments) -> Result<(), Fault> {
    match arguments.verb {
        Verb::Run(run) => run::run(&run),
        Verb::Demo(demo) => demo::run(&demo),
        Verb::Check(check) => check::check(&check),
        Verb::Status(site) => ask::status(&site),
        Verb::Queue(queue) => ask::queue(&queue),
        Verb::Link(link) => ask::link(&link),
        Verb::Track(track) => ask::track(&track),
        Verb::Send(send) => send::send(&send.words),
        Verb::Node(node) => node::node(&node),
        Verb::S5066(s5066) => s5066::s5066(&s5066),
        Verb::Decode(decode) => decode::decode(&decode),
        Verb::Conformance(conformance) => conformance::conformance(&conformance),
        Verb::Password { user } => send::password(&user),
        Verb::Completions { shell } => pages::completions(shell),
        Verb::Man { directory } => pages::man(directory.as_deref()),
        Verb::Bench(bench) => bench::bench(&bench),
    }
}

/// A runtime of one thread: the node is one thread's work, and an idle site stays small.
fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Fault::new(exit::OS_ERROR, error.to_string()))
}

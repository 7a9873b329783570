//! `fuzz TARGET|all [--runs N] [--seed S]`: bounded, seeded mutations of a target's corpus; needs no nightly compiler.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    skywave_tests::fuzz::main(&arguments)
}

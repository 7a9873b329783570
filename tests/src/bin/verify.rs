//! `cargo verify`: every check there is, one heading each, the counts of tests at the end.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    skywave_tests::verify::main(&arguments)
}

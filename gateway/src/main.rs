//! The `skywave` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    skywave::cli::main()
}

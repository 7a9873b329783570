//! Writes the page of all commands in the book.

use std::process::ExitCode;

fn main() -> ExitCode {
    let page = skywave_tests::root().join(skywave_tests::commands::PAGE);
    match std::fs::write(page, skywave_tests::commands::page()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

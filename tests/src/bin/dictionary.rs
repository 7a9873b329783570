//! Writes the alphabet and the dictionary of the slow side from the training corpus.

use std::process::ExitCode;

fn main() -> ExitCode {
    let written = skywave_tests::dictionary::generated()
        .and_then(|files| files.into_iter().try_for_each(|(path, text)| std::fs::write(path, text)));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

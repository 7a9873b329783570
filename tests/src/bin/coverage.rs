//! Writes `conformance/COVERAGE.md` from the requirement lists, the citations and the vectors.

use std::process::ExitCode;

fn main() -> ExitCode {
    let written = skywave_tests::coverage()
        .and_then(|text| std::fs::write(skywave_tests::root().join("conformance/COVERAGE.md"), text));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

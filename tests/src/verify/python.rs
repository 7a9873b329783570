//! The virtual environment with the XMPP library that the tests' clients use; made once, kept among the build results.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The library, at the version the tests were written with.
const LIBRARY: &str = "slixmpp==1.17.0";

/// The interpreter of the environment.
pub fn interpreter() -> PathBuf {
    folder().join("bin/python")
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::root().join("target"), PathBuf::from);
    target.join("interop-python")
}

/// Makes the environment unless it is there with the library in it.
///
/// # Errors
/// In words: what could not be made or fetched.
pub fn make() -> Result<(), String> {
    let check = format!(
        "import slixmpp, sys; sys.exit(slixmpp.__version__ != '{}')",
        LIBRARY.split("==").last().unwrap_or_default()
    );
    if Command::new(interpreter()).args(["-c", &check]).status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    println!("making a virtual environment with {LIBRARY}");
    let python = python().ok_or("no python3 with venv and pip is installed")?;
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder()))?;
    run(Command::new(interpreter()).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", LIBRARY]))
}

/// Whether there is a Python that can make an environment.
pub fn can_make() -> bool {
    python().is_some()
}

/// The system's own interpreter first: one in a home directory may lack parts that the library needs.
fn python() -> Option<&'static str> {
    let works = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    ["/usr/bin/python3", "python3"].into_iter().find(works)
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

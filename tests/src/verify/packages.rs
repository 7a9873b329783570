//! The Debian packages that the interop tests need: found, or installed by root, or named.

use std::process::Command;

use super::python;
use super::steps::on_path;

/// A program and the package that has it.
const NEEDED: [(&str, &str); 6] = [
    ("postfix", "postfix"),
    ("smtp-source", "postfix"),
    ("tshark", "tshark"),
    ("openssl", "openssl"),
    ("prosody", "prosody lua-unbound"),
    ("ejabberdctl", "ejabberd"),
];

/// Answers to the questions that these packages would ask.
const ANSWERS: [&str; 2] = [
    "postfix postfix/main_mailer_type select No configuration",
    "wireshark-common wireshark-common/install-setuid boolean false",
];

/// Installs what is missing.
///
/// # Errors
/// The packages that are missing and why they were not installed, in words.
pub fn install_missing() -> Result<(), String> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let by_hand = format!("these Debian packages are missing: {names}. Install them as root (apt-get install {names})");
    if on_path("apt-get").is_none() || on_path("debconf-set-selections").is_none() {
        return Err(format!("{by_hand}; this machine has no apt-get"));
    }
    println!("installing {names}");
    for answer in ANSWERS {
        shell(&format!("echo '{answer}' | debconf-set-selections")).map_err(|why| format!("{by_hand}; {why}"))?;
    }
    // A machine whose package lists are fresh enough need not fetch them; a clean one must.
    // In run level 1 no service is started by its installation: the tests start servers of their own.
    let install =
        format!("RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {names}");
    shell(&install)
        .or_else(|_| shell("apt-get update -q").and_then(|()| shell(&install)))
        .map_err(|why| format!("{by_hand}; {why}"))?;
    match self::missing() {
        still if still.is_empty() => Ok(()),
        still => Err(format!("apt-get ended well, yet {} is not to be found", still.join(" "))),
    }
}

fn missing() -> Vec<&'static str> {
    let mut missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| on_path(program).is_none()).map(|(_, package)| *package).collect();
    if !python::can_make() {
        missing.push("python3-venv");
    }
    missing.dedup();
    missing
}

fn shell(command: &str) -> Result<(), String> {
    match Command::new("sh").args(["-c", command]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{command}` ended with {status}")),
        Err(error) => Err(format!("`{command}`: {error}")),
    }
}

//! Shell completions and manual pages, made from the words of the command line.

use std::path::Path;

use clap::CommandFactory;

use super::args::Arguments;
use super::exit::{self, Fault};
use super::out;

/// Completions to standard output.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Fault> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "skywave", &mut text);
    out::text(&String::from_utf8_lossy(&text))
}

/// The main page to standard output, or all pages into a directory.
pub(super) fn man(directory: Option<&Path>) -> Result<(), Fault> {
    let command = Arguments::command();
    match directory {
        Some(directory) => clap_mangen::generate_to(command, directory).map_err(|error| cannot(&error)),
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text).map_err(|error| cannot(&error))?;
            out::text(&String::from_utf8_lossy(&text))
        }
    }
}

fn cannot(error: &std::io::Error) -> Fault {
    Fault::new(exit::CANT_CREATE, error.to_string())
}

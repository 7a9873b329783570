//! Shell completions and manual pages, made from the words of the command line.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;

use super::args::Arguments;
use super::exit::{self, Fault};

/// Completions to standard output.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Fault> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "skywave", &mut text);
    std::io::stdout().write_all(&text).map_err(|error| cannot(&error))
}

/// The main page to standard output, or all pages into a directory.
pub(super) fn man(directory: Option<&Path>) -> Result<(), Fault> {
    let command = Arguments::command();
    match directory {
        Some(directory) => clap_mangen::generate_to(command, directory).map_err(|error| cannot(&error)),
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout()).map_err(|error| cannot(&error)),
    }
}

fn cannot(error: &std::io::Error) -> Fault {
    Fault::new(exit::CANT_CREATE, error.to_string())
}

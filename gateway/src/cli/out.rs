//! Standard output: what commands print.

use std::io::{ErrorKind, Write};

use super::exit::{self, Fault};

/// Prints a text as it is. A reader who has gone has read enough (`skywave queue list | head`): no fault.
pub(super) fn text(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Fault::new(exit::CANT_CREATE, error.to_string())),
    }
}

/// Prints a line.
pub(super) fn line(line: &str) -> Result<(), Fault> {
    text(&format!("{line}\n"))
}

/// Prints a line of something that goes on whether anybody reads it or not.
pub(super) fn line_if_read(words: &str) {
    let _unread = line(words);
}

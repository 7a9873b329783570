//! The `skywave` command.

use std::process::ExitCode;

/// Half of a relayed mail's processor time went to the system's allocator (ADR 0025).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    skywave::cli::main()
}

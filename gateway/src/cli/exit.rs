//! How the command ends.

/// Wrong words on the command line.
pub const USAGE: u8 = 64;
/// Wrong input.
pub const DATA: u8 = 65;
/// A file that is not there or cannot be read.
pub const NO_INPUT: u8 = 66;
/// A service that does not answer.
pub const UNAVAILABLE: u8 = 69;
/// A mistake of ours.
pub const SOFTWARE: u8 = 70;
/// The operating system refuses.
pub const OS_ERROR: u8 = 71;
/// A file cannot be made.
pub const CANT_CREATE: u8 = 73;
/// Try later.
pub const TRY_LATER: u8 = 75;
/// The configuration has mistakes.
pub const CONFIGURATION: u8 = 78;

/// Why a command failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Exit code of sysexits.
    pub code: u8,
    /// In words; empty when everything was printed already.
    pub why: String,
}

impl Fault {
    /// A fault with words.
    pub fn new(code: u8, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }

    /// A fault whose words were printed already.
    pub const fn told(code: u8) -> Self {
        Self { code, why: String::new() }
    }
}

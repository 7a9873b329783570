//! Randomness of the operating system.

use skywave_protocols::random::Random;

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, octets: &mut [u8]) {
        if getrandom::fill(octets).is_err() {
            // Without randomness every secret would be known: there is nothing to go on with.
            std::process::abort();
        }
    }
}

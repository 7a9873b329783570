//! The fingerprint of a world: FNV-1a over the printed form of everything that passed.

use std::fmt::Write as _;

use skywave_protocols::time::Instant;

use crate::node::{Input, Output};

/// The fingerprint.
#[derive(Debug)]
pub struct Digest {
    value: u64,
    /// Whether anybody wants it: printing everything takes half the time of a world.
    is_taken: bool,
}

impl Default for Digest {
    fn default() -> Self {
        Self { value: 0xcbf2_9ce4_8422_2325, is_taken: true }
    }
}

impl Digest {
    /// The fingerprint so far.
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// From now on nothing is added.
    pub const fn stop(&mut self) {
        self.is_taken = false;
    }

    /// Adds an input of a node.
    pub fn input(&mut self, at: Instant, site: usize, input: &Input) {
        if !self.is_taken {
            return;
        }
        let _ = write!(self, "{} {site} < {input:?}", at.as_micros());
    }

    /// Adds an output of a node.
    pub fn output(&mut self, at: Instant, site: usize, output: &Output) {
        if !self.is_taken {
            return;
        }
        let _ = write!(self, "{} {site} > {output:?}", at.as_micros());
    }

    /// Adds octets: the fingerprint of the frames on the air.
    pub fn octets(&mut self, octets: &[u8]) {
        for &octet in octets {
            self.value = (self.value ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl std::fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.octets(text.as_bytes());
        Ok(())
    }
}

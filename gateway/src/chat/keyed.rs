//! A generator for a machine of its own that nobody can predict from what it gave: SHA-256 over a secret key and a
//! counter. The key comes from the site's randomness, so that the same seed makes the same world.

use sha2::{Digest, Sha256};
use skywave_protocols::random::Random;

/// Octets of the key.
const KEY_OCTETS: usize = 32;

/// The generator. See the module.
pub struct Keyed {
    key: [u8; KEY_OCTETS],
    counter: u64,
}

impl Keyed {
    /// A generator with a key of its own.
    pub fn new(random: &mut dyn Random) -> Self {
        let mut key = [0; KEY_OCTETS];
        random.fill(&mut key);
        Self { key, counter: 0 }
    }

    /// A secret as text: lower-case hex of as many octets as the key has.
    pub fn secret(random: &mut dyn Random) -> String {
        let mut octets = [0; KEY_OCTETS];
        random.fill(&mut octets);
        skywave_protocols::bytes::hex(&octets)
    }
}

impl Random for Keyed {
    fn fill(&mut self, octets: &mut [u8]) {
        for chunk in octets.chunks_mut(KEY_OCTETS) {
            self.counter += 1;
            let digest = Sha256::new().chain_update(self.key).chain_update(self.counter.to_be_bytes()).finalize();
            chunk.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        }
    }
}

#[cfg(test)]
mod tests {
    use skywave_protocols::random::Seeded;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_and_no_output_gives_the_next() {
        let make = |seed| Keyed::new(&mut Seeded::new(seed));
        let (mut one, mut same, mut other) = (make(1), make(1), make(2));
        let mut octets = [[0; 50]; 3];
        one.fill(&mut octets[0]);
        same.fill(&mut octets[1]);
        other.fill(&mut octets[2]);
        assert_eq!(octets[0], octets[1]);
        assert_ne!(octets[0], octets[2]);
        assert_ne!(octets[0][..32], octets[0][18..]);
        assert_eq!(Keyed::secret(&mut Seeded::new(1)).len(), 64);
    }
}

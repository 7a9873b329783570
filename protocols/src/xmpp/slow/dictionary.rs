//! What both ends know before the first word: the common dictionary, and the names of both sites.
//!
//! Three levels, best first, each with a digest: the common dictionary with the names, the common dictionary alone,
//! nothing. A peer that lacks one says so, and the next is taken; text is never read with another dictionary than it was
//! written with, as the digest of a block covers the text. `dictionary/dictionary.txt` is generated, see `symbols.rs`.
//! Limits: [`NAMES_OCTETS_MAX`].

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::limits::{ENVELOPE_OCTETS_MAX, NAMES_OCTETS_MAX};
use super::symbols;

static COMMON: LazyLock<Vec<u8>> = LazyLock::new(|| symbols::coded(COMMON_TEXT.as_bytes()));
const COMMON_TEXT: &str = include_str!("dictionary/dictionary.txt");

/// How many levels there are.
pub const LEVELS: usize = 3;

/// The dictionaries of one link, best first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dictionaries {
    levels: [Dictionary; LEVELS],
}

/// One dictionary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Dictionary {
    /// Its octets, in the alphabet of `symbols.rs`.
    pub(super) octets: Vec<u8>,
    /// The first 24 bits of its SHA-256.
    pub(super) digest: u32,
}

impl Dictionary {
    fn new(octets: Vec<u8>) -> Self {
        let digest = Sha256::digest(&octets);
        let digest = digest.iter().take(3).fold(0, |number, octet| number << 8 | u32::from(*octet));
        Self { octets, digest }
    }
}

impl Dictionaries {
    /// The dictionaries for two sites with these names (`user@domain`, rooms and domains). The order and case of names
    /// do not matter; names that are too long, or too many, are left out at both ends alike.
    pub fn new(names: &[String]) -> Self {
        let common = COMMON.clone();
        let with_names = [common.clone(), symbols::coded(text_of(names).as_bytes())].concat();
        Self { levels: [Dictionary::new(with_names), Dictionary::new(common), Dictionary::new(Vec::new())] }
    }

    /// The dictionary of a level; the last for levels that do not exist.
    pub(super) fn level(&self, level: usize) -> &Dictionary {
        let [first, second, third] = &self.levels;
        match level {
            0 => first,
            1 => second,
            _ => third,
        }
    }

    /// The dictionary with this digest.
    pub(super) fn find(&self, digest: u32) -> Option<&Dictionary> {
        self.levels.iter().find(|dictionary| dictionary.digest == digest)
    }

    /// The digests of all levels, best first.
    pub(super) fn digests(&self) -> [u32; LEVELS] {
        self.levels.each_ref().map(|dictionary| dictionary.digest)
    }
}

/// The dictionary of a zlib stream: the same text, not in the alphabet.
pub(super) fn plain(names: &[String]) -> Vec<u8> {
    const LAST: &str = "' id='1' type='chat'><body></body></message><message to='";
    [COMMON_TEXT, &text_of(names), LAST].concat().into_bytes()
}

fn text_of(names: &[String]) -> String {
    let mut names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    names.retain(|name| !name.is_empty() && name.len() <= ENVELOPE_OCTETS_MAX / 2);
    // Domains before users: what is met most stands last, where distances are short.
    names.sort_by_key(|name| (name.contains('@'), name.clone()));
    names.dedup();
    let mut text = String::new();
    for name in names {
        if text.len() + name.len() <= NAMES_OCTETS_MAX {
            text.push_str(&name);
            text.push_str("' from='");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_the_first_level_only() {
        let names = |list: &[&str]| Dictionaries::new(&list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let ours = names(&["hq.example", "anna@hq.example", "bob@field.example"]);
        assert_eq!(ours, names(&["bob@field.example", "Anna@hq.example", "hq.example", "hq.example", ""]));
        let theirs = names(&["hq.example"]);
        assert_ne!(ours.level(0).digest, theirs.level(0).digest);
        assert_eq!(ours.digests()[1..], theirs.digests()[1..]);
        assert_eq!(ours.level(9), ours.level(2));
        assert_eq!(ours.find(ours.level(1).digest), Some(ours.level(1)));
        assert_eq!(ours.find(1), None);
        let many: Vec<String> = (0..10_000).map(|n| format!("user{n}@hq.example")).collect();
        assert!(Dictionaries::new(&many).level(0).octets.len() < COMMON.len() + NAMES_OCTETS_MAX);
    }
}

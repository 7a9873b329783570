//! Small, blind changes of an input: what a fuzzer without coverage feedback can do well, from a seed.

use skywave_protocols::random::Random;

/// Longest input that is made.
pub const INPUT_OCTETS_MAX: usize = 64 << 10;

const CHANGES_MAX: u64 = 6;
/// Octets at which length, sign and count arithmetic goes wrong, and those that end lines and mails.
const TELLING: [u8; 14] = [0x00, 0x01, 0x7f, 0x80, 0x81, 0xff, 0xfe, 0x40, b'\r', b'\n', b'.', b' ', b'<', b'='];

/// `base` after one to six changes, some of them with octets of `other`.
pub fn mutated(random: &mut dyn Random, base: &[u8], other: &[u8]) -> Vec<u8> {
    let mut octets = base.to_vec();
    for _ in 0..=random.below(CHANGES_MAX) {
        change(random, &mut octets, other);
    }
    octets.truncate(INPUT_OCTETS_MAX);
    octets
}

fn change(random: &mut dyn Random, octets: &mut Vec<u8>, other: &[u8]) {
    let at = below(random, octets.len());
    match random.below(10) {
        0 => flip(random, octets, at),
        1 => set(octets, at, TELLING[below(random, TELLING.len())]),
        2 => set(octets, at, u8::try_from(random.below(256)).unwrap_or_default()),
        3 => octets.truncate(at),
        4 => drop(octets.drain(at..(at + span(random)).min(octets.len()))),
        5 => insert(octets, at, &vec![TELLING[below(random, TELLING.len())]; span(random)]),
        6 => repeat(random, octets, at),
        7 => insert(octets, at, piece(random, other)),
        8 => number(random, octets, at),
        _ => octets.extend_from_slice(piece(random, other)),
    }
}

fn flip(random: &mut dyn Random, octets: &mut [u8], at: usize) {
    if let Some(octet) = octets.get_mut(at) {
        *octet ^= 1 << random.below(8);
    }
}

fn set(octets: &mut [u8], at: usize, value: u8) {
    if let Some(octet) = octets.get_mut(at) {
        *octet = value;
    }
}

/// Writes a telling 16-bit number, highest octet first.
fn number(random: &mut dyn Random, octets: &mut [u8], at: usize) {
    let numbers = [0_u16, 1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff];
    let number = numbers[below(random, numbers.len())];
    set(octets, at, number.to_be_bytes()[0]);
    set(octets, at + 1, number.to_be_bytes()[1]);
}

fn repeat(random: &mut dyn Random, octets: &mut Vec<u8>, at: usize) {
    let piece = octets[at..(at + span(random)).min(octets.len())].to_vec();
    insert(octets, at, &piece);
}

fn insert(octets: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if octets.len() + piece.len() <= INPUT_OCTETS_MAX {
        octets.splice(at..at, piece.iter().copied());
    }
}

fn piece<'a>(random: &mut dyn Random, other: &'a [u8]) -> &'a [u8] {
    let from = below(random, other.len());
    &other[from..(from + span(random)).min(other.len())]
}

/// Mostly a few octets, now and then many.
fn span(random: &mut dyn Random) -> usize {
    match random.below(8) {
        0 => below(random, 4096),
        1 => below(random, 256),
        _ => 1 + below(random, 8),
    }
}

fn below(random: &mut dyn Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use skywave_protocols::random::Seeded;

    use super::*;

    #[test]
    fn same_seed_same_inputs_within_the_limit() {
        let (mut a, mut b) = (Seeded::new(9), Seeded::new(9));
        for _ in 0..2000 {
            let input = mutated(&mut a, &[7; 300], b"MAIL FROM:<>");
            assert_eq!(input, mutated(&mut b, &[7; 300], b"MAIL FROM:<>"));
            assert!(input.len() <= INPUT_OCTETS_MAX);
        }
        assert!(mutated(&mut a, &[], &[]).len() <= INPUT_OCTETS_MAX);
    }
}

//! Units on a medium without boundaries: each behind its length, in one to three octets of seven bits, lowest first.

use super::limits::UNIT_OCTETS_MAX;

/// Octets that a length may take.
const LENGTH_OCTETS_MAX: usize = 3;

/// What stands at the front of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// A whole unit; it is taken out.
    Unit(Vec<u8>),
    /// More octets are needed.
    More,
    /// No unit can begin so.
    Broken,
}

/// A unit with its length in front.
pub(super) fn framed(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len() + LENGTH_OCTETS_MAX);
    let mut length = unit.len();
    while length >= 0x80 {
        out.push(0x80 | u8::try_from(length & 0x7f).unwrap_or(0));
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
    out.extend_from_slice(unit);
    out
}

/// Takes the first unit from a stream.
pub(super) fn cut(stream: &mut Vec<u8>) -> Cut {
    let mut length = 0;
    for (at, octet) in stream.iter().take(LENGTH_OCTETS_MAX).enumerate() {
        length |= usize::from(octet & 0x7f) << (7 * at);
        if octet & 0x80 != 0 {
            continue;
        }
        let end = at + 1 + length;
        if length == 0 || length > UNIT_OCTETS_MAX {
            return Cut::Broken;
        }
        if stream.len() < end {
            return Cut::More;
        }
        let rest = stream.split_off(end);
        let unit = std::mem::replace(stream, rest).split_off(at + 1);
        return Cut::Unit(unit);
    }
    if stream.len() >= LENGTH_OCTETS_MAX { Cut::Broken } else { Cut::More }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_out_as_they_went_in() {
        let units: Vec<Vec<u8>> = [1, 2, 127, 128, 129, 16_383, 16_384, UNIT_OCTETS_MAX].map(|n| vec![7; n]).to_vec();
        let octets: Vec<u8> = units.iter().flat_map(|unit| framed(unit)).collect();
        for step in [1, 1_000, octets.len()] {
            let (mut stream, mut found) = (Vec::new(), Vec::new());
            for piece in octets.chunks(step) {
                stream.extend_from_slice(piece);
                while let Cut::Unit(unit) = cut(&mut stream) {
                    found.push(unit);
                }
            }
            assert!(found == units && stream.is_empty(), "{step}");
        }
    }

    #[test]
    fn lengths_that_no_unit_has() {
        for octets in [&[0][..], &[0xff, 0xff, 0xff], &[0xff, 0xff, 0x7f], &[0x80, 0x00]] {
            assert_eq!(cut(&mut octets.to_vec()), Cut::Broken, "{octets:?}");
        }
        assert_eq!(cut(&mut vec![0xff]), Cut::More);
        assert_eq!(cut(&mut Vec::new()), Cut::More);
    }
}

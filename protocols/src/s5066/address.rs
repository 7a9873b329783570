//! The address of a STANAG 5066 node or group: 28 bits, a group flag and a size (A.2.2.28, fact sheet 1.5).
//!
//! Text form: `w.x.y.z` with w = 0 to 15 and x, y, z = 0 to 255; a group is written with w + 16. Two addresses are
//! equal when flag and bits are; the size only shortens addresses on the air and identifies nobody.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const BITS_MAX: u32 = 0x0fff_ffff;
const GROUP: u32 = 0x1000_0000;
const SIZE_SHIFT: u32 = 29;
/// The address of a node, or of a group of nodes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeAddress {
    /// The flag and the 28 bits, as in the address field.
    value: u32,
    /// Half-octets: 1 to 7.
    size: u8,
}

/// Why a text is no address of a node.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no STANAG 5066 address: four numbers with dots, the first 0 to 31, the others 0 to 255")]
pub struct AddressError(String);

impl NodeAddress {
    /// Half-octets of an address at most; the size that is sent unless configured otherwise (defaults.md).
    pub const SIZE_MAX: u8 = 7;

    /// All stations: the group of 28 one bits, 31.255.255.255.
    pub const ALL_STATIONS: Self = Self::group(BITS_MAX);

    /// The individual node with these 28 bits; higher bits are cut off.
    pub const fn individual(bits: u32) -> Self {
        Self { value: bits & BITS_MAX, size: Self::SIZE_MAX }
    }

    /// The group with these 28 bits; higher bits are cut off.
    pub const fn group(bits: u32) -> Self {
        Self { value: bits & BITS_MAX | GROUP, size: Self::SIZE_MAX }
    }

    /// The 28 bits.
    pub const fn bits(self) -> u32 {
        self.value & BITS_MAX
    }

    /// Whether it is a group: allowed only as destination of non-ARQ data.
    pub const fn is_group(self) -> bool {
        self.value & GROUP != 0
    }

    /// The size in half-octets as it came (7 for our own): 1 to 7.
    pub const fn size(self) -> u8 {
        self.size
    }

    /// The same address, said to have so many half-octets, or as many as its bits need.
    #[must_use]
    pub const fn with_size(self, size: u8) -> Self {
        let least = self.size_min();
        let size = if size < least { least } else { size };
        Self { value: self.value, size: if size > Self::SIZE_MAX { Self::SIZE_MAX } else { size } }
    }

    /// Half-octets that the bits need at least: 1 to 7.
    pub const fn size_min(self) -> u8 {
        let needed = (32 - self.bits().leading_zeros()).div_ceil(4);
        if needed == 0 { 1 } else { needed as u8 }
    }

    /// Reads the address field. The 28 bits are right-aligned whatever the size says; size 0, which is not valid,
    /// reads as 7.
    //= s5066/SIS-004
    pub const fn from_octets(octets: [u8; 4]) -> Self {
        let field = u32::from_be_bytes(octets);
        let size = (field >> SIZE_SHIFT) as u8;
        Self { value: field & (BITS_MAX | GROUP), size: if size == 0 { Self::SIZE_MAX } else { size } }
    }

    /// The address field.
    //= s5066/SIS-004
    pub const fn octets(self) -> [u8; 4] {
        ((self.size as u32) << SIZE_SHIFT | self.value).to_be_bytes()
    }
}

impl PartialEq for NodeAddress {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for NodeAddress {}

impl Hash for NodeAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl PartialOrd for NodeAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NodeAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The group flag is bit 28, so the first octet of flag and bits is w + 16 by itself.
        let [w, x, y, z] = self.value.to_be_bytes();
        write!(f, "{w}.{x}.{y}.{z}")
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.chars().take(40).collect());
        let mut parts = text.split('.').map(|part| {
            let plain = !part.is_empty() && part.len() <= 3 && part.bytes().all(|octet| octet.is_ascii_digit());
            plain.then(|| part.parse::<u8>().ok()).flatten()
        });
        let mut octets = [0; 4];
        for octet in &mut octets {
            *octet = parts.next().flatten().ok_or_else(wrong)?;
        }
        if parts.next().is_some() || octets[0] > 31 {
            return Err(wrong());
        }
        Ok(Self { value: u32::from_be_bytes(octets), size: Self::SIZE_MAX })
    }
}

impl TryFrom<String> for NodeAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<NodeAddress> for String {
    fn from(address: NodeAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_octets_both_ways() {
        let table = [
            ("1.2.3.5", [0xe1, 2, 3, 5], false),
            ("0.0.0.0", [0xe0, 0, 0, 0], false),
            ("15.255.255.255", [0xef, 255, 255, 255], false),
            ("16.0.0.1", [0xf0, 0, 0, 1], true),
            ("31.255.255.255", [0xff, 255, 255, 255], true),
        ];
        for (text, octets, group) in table {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address.octets(), octets, "{text}");
            assert_eq!(address.to_string(), text);
            assert_eq!(address.is_group(), group, "{text}");
            assert_eq!(NodeAddress::from_octets(octets), address);
            let json = serde_json_like(&address);
            assert_eq!(json, text);
        }
        assert_eq!(NodeAddress::ALL_STATIONS.to_string(), "31.255.255.255");
    }

    fn serde_json_like(address: &NodeAddress) -> String {
        let text: String = (*address).into();
        assert_eq!(NodeAddress::try_from(text.clone()), Ok(*address));
        text
    }

    #[test]
    fn size_is_kept_and_identifies_nobody() {
        let short = NodeAddress::from_octets([0x40, 0, 0, 4]);
        assert_eq!((short.size(), short.size_min()), (2, 1));
        assert_eq!(short.octets(), [0x40, 0, 0, 4]);
        assert_eq!(short, NodeAddress::individual(4));
        assert_eq!(NodeAddress::from_octets([0, 0, 0, 4]).size(), 7);
        assert_eq!(NodeAddress::individual(0).size_min(), 1);
        assert_eq!(NodeAddress::individual(0x10).size_min(), 2);
        assert_eq!(NodeAddress::individual(u32::MAX).size_min(), 7);
    }

    #[test]
    fn bad_texts() {
        for text in ["", "1.2.3", "1.2.3.4.5", "32.0.0.1", "1.2.3.256", "1.2.3.-4", "+1.2.3.4", "1..3.4", "1.2.3.0004"]
        {
            assert!(text.parse::<NodeAddress>().is_err(), "{text}");
        }
    }
}

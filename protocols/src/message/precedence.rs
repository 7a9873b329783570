//! The six precedences of STANAG 4406 and their numbers in every protocol spoken here.
//!
//! The numbers are `defaults.md` and table A1 of `precedence-and-labels.md`; the STANAG 5066 numbers are our own
//! choice, as no mapping is published.

use serde::{Deserialize, Serialize};

/// How urgent a message is. Greater is more urgent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precedence {
    /// Below Routine.
    Deferred,
    /// The default of a site.
    #[default]
    Routine,
    /// Above Routine.
    Priority,
    /// Above Priority.
    Immediate,
    /// Overtakes what is running.
    Flash,
    /// The highest.
    Override,
}

impl Precedence {
    /// All precedences, the lowest first.
    pub const ALL: [Self; 6] =
        [Self::Deferred, Self::Routine, Self::Priority, Self::Immediate, Self::Flash, Self::Override];

    /// The MT-PRIORITY value (RFC 6710, policy STANAG4406).
    pub const fn mt_priority(self) -> MtPriority {
        MtPriority(match self {
            Self::Deferred => -4,
            Self::Routine => -2,
            Self::Priority => 0,
            Self::Immediate => 2,
            Self::Flash => 4,
            Self::Override => 6,
        })
    }

    /// The priorities of U_PDUs in STANAG 5066 (0 lowest to 15), from Deferred to Override, where nothing else is
    /// configured.
    pub const SIS_PRIORITIES: [u8; 6] = [1, 3, 6, 9, 12, 15];

    /// The Differentiated Services code points of IP packets that carry messages, in the same order.
    pub const DSCPS: [u8; 6] = [0, 0, 8, 16, 24, 32];

    /// The highest precedence whose number in an ascending table is at most this; Deferred when all are higher.
    pub fn at_most(table: &[u8; 6], number: u8) -> Self {
        let fits = |precedence: &Self| table[*precedence as usize] <= number;
        Self::ALL.into_iter().rev().find(fits).unwrap_or(Self::Deferred)
    }

    /// The highest precedence whose number in a descending table is at least this; Deferred when all are lower.
    pub fn at_least(table: &[u8; 6], number: u8) -> Self {
        let fits = |precedence: &Self| table[*precedence as usize] >= number;
        Self::ALL.into_iter().rev().find(fits).unwrap_or(Self::Deferred)
    }

    /// The precedence nearest to a P_MUL priority octet (0 highest), rounded towards the more urgent.
    pub const fn from_p_mul(priority: u8) -> Self {
        match priority {
            0 => Self::Override,
            1 | 2 => Self::Flash,
            3 | 4 => Self::Immediate,
            5 | 6 => Self::Priority,
            7 | 8 => Self::Routine,
            _ => Self::Deferred,
        }
    }

    /// The number of the MMHS headers (RFC 6477) and of P772: 0 to 5.
    pub const fn mmhs(self) -> u8 {
        self as u8
    }

    /// The name in lower case, as in MMHS headers and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deferred => "deferred",
            Self::Routine => "routine",
            Self::Priority => "priority",
            Self::Immediate => "immediate",
            Self::Flash => "flash",
            Self::Override => "override",
        }
    }

    /// Reads a name (any case) or an MMHS number.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(text) || p.mmhs().to_string() == text)
    }
}

/// A value of the MT-PRIORITY parameter (RFC 6710): −9 to 9. Relayed as it came, used rounded up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "i8", into = "i8")]
pub struct MtPriority(i8);

impl MtPriority {
    /// The value as a number.
    pub const fn value(self) -> i8 {
        self.0
    }

    /// Reads the parameter's grammar: `0`, or an optional minus and one digit other than 0. No plus sign, no blanks.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, digit) = match text.as_bytes() {
            [digit @ b'0'..=b'9'] => (1, digit),
            [b'-', digit @ b'1'..=b'9'] => (-1, digit),
            _ => return None,
        };
        Some(Self(sign * i8::try_from(digit - b'0').ok()?))
    }

    /// The supported precedence, rounded up (RFC 6710 section 5); above Override there is nothing.
    pub const fn precedence(self) -> Precedence {
        match self.0 {
            i8::MIN..=-4 => Precedence::Deferred,
            -3 | -2 => Precedence::Routine,
            -1 | 0 => Precedence::Priority,
            1 | 2 => Precedence::Immediate,
            3 | 4 => Precedence::Flash,
            5.. => Precedence::Override,
        }
    }

    /// The P_MUL priority octet: 6 − value (RFC 8494 section 4), clamped to 0…15 (`defaults.md`).
    pub const fn p_mul(self) -> u8 {
        let number = 6 - self.0;
        if number < 0 { 0 } else { number.unsigned_abs() }
    }
}

impl TryFrom<i8> for MtPriority {
    type Error = crate::bytes::WireError;

    fn try_from(value: i8) -> Result<Self, Self::Error> {
        if (-9..=9).contains(&value) {
            return Ok(Self(value));
        }
        Err(crate::bytes::WireError::OutOfRange { field: "mt_priority", value: u64::from(value.unsigned_abs()) })
    }
}

impl From<MtPriority> for i8 {
    fn from(value: MtPriority) -> Self {
        value.0
    }
}

impl std::fmt::Display for MtPriority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_table() {
        let rows: Vec<_> = Precedence::ALL
            .iter()
            .rev()
            .map(|p| (p.mt_priority().value(), p.mt_priority().p_mul(), Precedence::SIS_PRIORITIES[*p as usize]))
            .collect();
        assert_eq!(rows, [(6, 0, 15), (4, 2, 12), (2, 4, 9), (0, 6, 6), (-2, 8, 3), (-4, 10, 1)]);
        for precedence in Precedence::ALL {
            assert_eq!(precedence.mt_priority().precedence(), precedence);
            assert_eq!(Precedence::from_p_mul(precedence.mt_priority().p_mul()), precedence);
            assert_eq!(Precedence::parse(precedence.name()), Some(precedence));
        }
    }

    #[test]
    fn numbers_between_those_of_a_table() {
        let sis = [0, 1, 2, 3, 14, 15].map(|number| Precedence::at_most(&Precedence::SIS_PRIORITIES, number).name());
        assert_eq!(sis, ["deferred", "deferred", "deferred", "routine", "flash", "override"]);
        let own = Precedence::ALL.map(|precedence| precedence.mt_priority().p_mul());
        for number in 0..=u8::MAX {
            assert_eq!(Precedence::at_least(&own, number), Precedence::from_p_mul(number), "{number}");
        }
    }

    #[test]
    fn values_beyond_the_table_are_rounded_up_and_clamped() {
        for (text, precedence, p_mul) in
            [("9", Precedence::Override, 0), ("-9", Precedence::Deferred, 15), ("1", Precedence::Immediate, 5)]
        {
            let value = MtPriority::parse(text).map(|v| (v.precedence(), v.p_mul()));
            assert_eq!(value, Some((precedence, p_mul)), "{text}");
        }
        for bad in ["+1", "10", "-0", "", " 1", "1 ", "x", "--1"] {
            assert_eq!(MtPriority::parse(bad), None, "{bad:?}");
        }
    }
}

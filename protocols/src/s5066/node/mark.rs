//! What D_PDUs of the ARQ say, in their orderwire, of the link that they ride on: our own, between two nodes of ours.
//!
//! The caller's say which link they ask for; the called node's that they answer that. So neither needs a D_PDU for it.

use super::dpdu::Eow;

/// The number of such a link at most: three orderwire messages with eight bits each. The least is 1.
pub const LINK_NUMBER_MAX: u16 = 3 * 256 - 1;
/// Of the orderwire messages 8 to 15, which are left to users, 8 to 10 ask and 11 to 13 answer. 15 is others' already.
const ASKS: u8 = 8;
const ANSWERS: u8 = 11;
const FREE: u8 = 14;

/// Which link a D_PDU is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mark {
    /// Of the one that its sender asks for under this number: 1 to [`LINK_NUMBER_MAX`].
    Asks(u16),
    /// Of the one that its receiver asked for under this number.
    Answers(u16),
}

impl Mark {
    /// The orderwire message.
    //= s5066/CAS-007
    pub const fn eow(self) -> Eow {
        let (kind, number) = match self {
            Self::Asks(number) => (ASKS, number),
            Self::Answers(number) => (ANSWERS, number),
        };
        Eow { kind: kind + (number >> 8) as u8, data: (number & 0xff) as u8 }
    }

    /// Reads an orderwire message; `None` for all others.
    //= s5066/CAS-007
    pub const fn of(eow: Eow) -> Option<Self> {
        let (first, answers) = match eow.kind {
            ASKS..ANSWERS => (ASKS, false),
            ANSWERS..FREE => (ANSWERS, true),
            _ => return None,
        };
        match ((eow.kind - first) as u16) << 8 | eow.data as u16 {
            0 => None,
            number if answers => Some(Self::Answers(number)),
            number => Some(Self::Asks(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_orderwire_messages_are_a_mark_or_none() {
        let mut marks = 0;
        for kind in 0..16 {
            for data in 0..=255 {
                let eow = Eow { kind, data };
                let mark = Mark::of(eow);
                let used = (8..14).contains(&kind) && (kind, data) != (8, 0) && (kind, data) != (11, 0);
                assert_eq!(mark.is_some(), used, "{eow:?}");
                assert!(mark.is_none_or(|mark| mark.eow() == eow), "{eow:?}");
                marks += u16::from(mark.is_some());
            }
        }
        assert_eq!(marks, 2 * LINK_NUMBER_MAX);
    }
}

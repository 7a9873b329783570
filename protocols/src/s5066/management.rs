//! What clients of rank 15 say to our node by S_MANAGEMENT_MSG (types 18 and 19), and it to them: a line of text. The
//! standard leaves the contents to each product (A.2.1); a node of another maker understands other words, or none.

use super::sis::pdu::Management;
use crate::bytes::Bytes;

/// The message type of ours.
pub const KIND: u8 = 0;
/// Octets of an answer; what is longer ends at the last whole line.
pub const ANSWER_OCTETS_MAX: usize = 4_000;
/// The answer to anything else.
pub const UNKNOWN: &str = "unknown: state, emcon on, emcon off, broadcast on, broadcast off";

/// What is asked of the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Everything it counts, a line each.
    State,
    /// That it keeps radio silence, or no longer.
    Emcon(bool),
    /// That it does nothing but broadcast, or no longer.
    Broadcast(bool),
}

impl Ask {
    /// Reads a message of any type; no text asks for the state.
    pub fn parse(body: &[u8]) -> Option<Self> {
        match body.trim_ascii() {
            b"" | b"state" => Some(Self::State),
            b"emcon on" => Some(Self::Emcon(true)),
            b"emcon off" => Some(Self::Emcon(false)),
            b"broadcast on" => Some(Self::Broadcast(true)),
            b"broadcast off" => Some(Self::Broadcast(false)),
            _ => None,
        }
    }

    /// Its text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Emcon(true) => "emcon on",
            Self::Emcon(false) => "emcon off",
            Self::Broadcast(true) => "broadcast on",
            Self::Broadcast(false) => "broadcast off",
        }
    }

    /// The message.
    pub fn message(self) -> Management {
        Management { kind: KIND, body: Bytes::from_static(self.text().as_bytes()) }
    }
}

/// An answer of this type: as much of the text as may go.
pub fn answer(kind: u8, text: &str) -> Management {
    let whole = text.len() <= ANSWER_OCTETS_MAX;
    let fits = |line: &&str| line.as_ptr() as usize - text.as_ptr() as usize + line.len() <= ANSWER_OCTETS_MAX;
    let kept = text.split_inclusive('\n').take_while(fits).map(str::len).sum();
    let body = if whole { text } else { text.get(..kept).unwrap_or_default() };
    Management { kind, body: Bytes::copy_from_slice(body.trim_end().as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_asked() {
        for ask in [Ask::State, Ask::Emcon(true), Ask::Emcon(false), Ask::Broadcast(true), Ask::Broadcast(false)] {
            assert!(UNKNOWN.contains(ask.text()));
            assert_eq!(Ask::parse(&ask.message().body), Some(ask));
        }
        assert_eq!(Ask::parse(b" emcon on\n"), Some(Ask::Emcon(true)));
        assert_eq!(Ask::parse(b""), Some(Ask::State));
        assert_eq!(Ask::parse(b"emcon"), None);
    }

    #[test]
    fn a_long_answer_ends_with_a_whole_line() {
        let line = "a line of twenty-one\n";
        let said = answer(7, &line.repeat(1_000));
        assert_eq!((said.kind, said.body.len()), (7, ANSWER_OCTETS_MAX / line.len() * line.len() - 1));
        assert_eq!(&answer(7, "two\nlines\n").body[..], b"two\nlines");
        assert!(answer(7, &"x".repeat(5_000)).body.is_empty(), "no whole line fits");
    }
}

//! The states of the physical link with one other node, in one table (B.3, fact sheet 3.1).

use serde::Serialize;

/// Where the link with a node stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is none.
    #[default]
    Idle,
    /// We asked for it and wait.
    Calling,
    /// We asked for it, and data travels with what we ask.
    Riding,
    /// It is made.
    Linked,
    /// We broke it and wait until the other node has heard so.
    Breaking,
}

/// What moves a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum On {
    /// We want it, by a request that is answered first.
    Call,
    /// We want it, by a request with which data travels.
    Ride,
    /// It is agreed to be there.
    Skip,
    /// The other node asked for it, and we accept.
    Requested,
    /// Our request was accepted.
    Accepted,
    /// Our request was rejected.
    Rejected,
    /// The other node breaks it.
    Broken,
    /// Our break was heard.
    BreakConfirmed,
    /// No answer came; we ask again.
    Unanswered,
    /// No answer came to the last time of asking.
    GivenUp,
    /// We break it.
    Release,
    /// We forget it without a word.
    Drop,
    /// The other node says that there is none.
    Unconnected,
}

impl State {
    /// The state after an event; `None` when the event cannot mean anything here and is ignored.
    //= s5066/CAS-001
    pub const fn after(self, on: On) -> Option<Self> {
        use On::{
            Accepted, BreakConfirmed, Broken, Call, Drop, GivenUp, Rejected, Release, Requested, Ride, Skip,
            Unanswered, Unconnected,
        };
        use State::{Breaking, Calling, Idle, Linked, Riding};
        Some(match (self, on) {
            // A made link, or one that data rides on, is called anew to become exclusive.
            (Idle | Calling | Riding | Linked | Breaking, Call) => Calling,
            (Idle | Breaking, Ride) => Riding,
            (Idle | Breaking, Skip) => Linked,
            (Idle | Calling | Riding | Linked | Breaking, Requested) => Linked,
            (Calling | Riding, Accepted) => Linked,
            (Calling | Riding, Rejected) => Idle,
            // Data that rides may have been taken before.
            (Riding | Linked | Breaking, Broken) => Idle,
            (Breaking, BreakConfirmed) => Idle,
            (Calling, Unanswered) => Calling,
            (Breaking, Unanswered) => Breaking,
            (Calling | Breaking, GivenUp) => Idle,
            (Calling | Linked, Release) => Breaking,
            // Nobody has answered: there may be nobody to tell.
            (Riding, Release) => Idle,
            (Calling | Riding | Linked | Breaking, Drop) => Idle,
            (Linked, Unconnected) => Idle,
            (Calling | Riding | Linked, Ride | Skip) => return None,
            (Idle | Linked | Breaking, Accepted | Rejected) => return None,
            (Idle | Calling, Broken) => return None,
            (Idle | Calling | Riding | Linked, BreakConfirmed) => return None,
            (Idle | Riding | Linked, Unanswered | GivenUp) => return None,
            (Idle | Breaking, Release) => return None,
            (Idle, Drop) => return None,
            (Idle | Calling | Riding | Breaking, Unconnected) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const STATES: [State; 5] = [State::Idle, State::Calling, State::Riding, State::Linked, State::Breaking];
    const EVENTS: [On; 13] = [
        On::Call,
        On::Ride,
        On::Skip,
        On::Requested,
        On::Accepted,
        On::Rejected,
        On::Broken,
        On::BreakConfirmed,
        On::Unanswered,
        On::GivenUp,
        On::Release,
        On::Drop,
        On::Unconnected,
    ];

    #[test]
    fn all_pairs_as_printed() {
        let mut table = String::new();
        for state in STATES {
            for on in EVENTS {
                let after = state.after(on).map_or("-".to_owned(), |state| format!("{state:?}"));
                let _ = writeln!(table, "{:<8} {:<14} {after}", format!("{state:?}"), format!("{on:?}"));
            }
        }
        assert_eq!(table, include_str!("states.golden"), "states.golden should be:\n{table}");
    }
}

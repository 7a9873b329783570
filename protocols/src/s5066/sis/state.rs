//! The states of a client's session at a node, in one table.

use serde::Serialize;

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not wanted.
    #[default]
    Idle,
    /// Wanted; the back-off runs.
    Waiting,
    /// A pipe was asked for.
    Opening,
    /// The bind request was sent.
    Binding,
    /// Bound: data may flow.
    Bound,
    /// We asked for the pipe to be closed and will try again.
    Closing,
    /// We asked for the pipe to be closed for good.
    Leaving,
}

/// What moves a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum On {
    /// The session is wanted.
    Start,
    /// It is not wanted any more.
    Stop,
    /// The back-off is over.
    BackoffOver,
    /// The pipe is open.
    PipeOpened,
    /// The pipe was refused, or ended.
    PipeClosed,
    /// S_BIND_ACCEPTED.
    BindAccepted,
    /// S_BIND_REJECTED.
    BindRejected,
    /// S_UNBIND_INDICATION.
    UnbindIndicated,
    /// The stream is broken, or the node does not answer.
    Broken,
}

impl State {
    /// The state after an event; `None` when the event cannot mean anything here and is ignored.
    pub const fn after(self, on: On) -> Option<Self> {
        use On::{
            BackoffOver, BindAccepted, BindRejected, Broken, PipeClosed, PipeOpened, Start, Stop, UnbindIndicated,
        };
        use State::{Binding, Bound, Closing, Idle, Leaving, Opening, Waiting};
        Some(match (self, on) {
            (Idle, Start) | (Waiting, BackoffOver) => Opening,
            (Opening, PipeOpened) => Binding,
            (Binding, BindAccepted) => Bound,
            (Binding, BindRejected) => Closing,
            (Binding | Bound, UnbindIndicated | Broken) => Closing,
            (Opening | Binding | Bound | Closing, PipeClosed) => Waiting,
            (Waiting, Stop) | (Leaving, PipeClosed) => Idle,
            (Opening | Binding | Bound | Closing, Stop) => Leaving,
            (Leaving, Start) => Closing,
            (Waiting | Opening | Binding | Bound | Closing, Start) => return None,
            (Idle | Leaving, Stop) => return None,
            (Idle | Opening | Binding | Bound | Closing | Leaving, BackoffOver) => return None,
            (Idle | Waiting | Binding | Bound | Closing | Leaving, PipeOpened) => return None,
            (Idle | Waiting, PipeClosed) => return None,
            (Idle | Waiting | Opening | Bound | Closing | Leaving, BindAccepted | BindRejected) => return None,
            (Idle | Waiting | Opening | Closing | Leaving, UnbindIndicated | Broken) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const STATES: [State; 7] =
        [State::Idle, State::Waiting, State::Opening, State::Binding, State::Bound, State::Closing, State::Leaving];
    const EVENTS: [On; 9] = [
        On::Start,
        On::Stop,
        On::BackoffOver,
        On::PipeOpened,
        On::PipeClosed,
        On::BindAccepted,
        On::BindRejected,
        On::UnbindIndicated,
        On::Broken,
    ];

    #[test]
    fn all_pairs_as_printed() {
        let mut table = String::new();
        for state in STATES {
            for on in EVENTS {
                let after = state.after(on).map_or("-".to_owned(), |state| format!("{state:?}"));
                let _ = writeln!(table, "{:<8} {:<16} {after}", format!("{state:?}"), format!("{on:?}"));
            }
        }
        assert_eq!(table, include_str!("states.golden"), "states.golden should be:\n{table}");
    }

    #[test]
    fn every_state_can_be_left_for_idle_and_for_bound() {
        for goal in [State::Idle, State::Bound] {
            for start in STATES {
                let mut reached = vec![start];
                for at in 0.. {
                    let Some(&state) = reached.get(at) else { break };
                    for next in EVENTS.into_iter().filter_map(|on| state.after(on)) {
                        if !reached.contains(&next) {
                            reached.push(next);
                        }
                    }
                }
                assert!(reached.contains(&goal), "{start:?} to {goal:?}");
            }
        }
    }
}

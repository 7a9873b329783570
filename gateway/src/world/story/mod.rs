//! Stories: what people do at sites and what must follow, in lines that a radio operator can read and write.
//!
//! ```text
//! # A ship that keeps silence gets its mail and answers when it may.
//! sites    hq ship
//! weather  calm                          (or keys of a weather file: bits_per_second=2400 loss_percent=5)
//! seed     7
//!
//! hq    mail to=captain@ship.test precedence=flash "Return to port"
//! ship  emcon on
//! then  within 10m  ship has 1 mail from hq
//! then  hq shows "sent, silence expected"
//! wait  1h
//! ship  emcon off
//! then  within 5m   hq shows "delivered"
//! ```
//!
//! Header lines: `sites`, `links` (hf, udp, groups, batch; the preferred first), `chat` (rcop or tcp, and keys of a peer), `weather`, `seed`, `silent`, `absent`,
//! `lifetime`, `delay-notice`, `retry`, `manage-nodes`. The words of steps and checks are those of [`step`], [`check`] and [`chat`]. A story ends
//! when every mail has met its end, unless its last line is `open`: then mails may still wait.

pub mod chat;
pub mod check;
pub mod parse;
pub mod run;
pub mod step;

use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;

pub use run::run;

use super::plan::Plan;
use check::Check;
use step::Step;

/// A story that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Story {
    /// Its sites.
    pub plan: Plan,
    /// Its weather.
    pub weather: Weather,
    /// Its seed.
    pub seed: u64,
    /// Sites that start later.
    pub absent: Vec<String>,
    /// Mails may still wait at its end.
    pub open: bool,
    /// What is done and what must follow.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// Where it stands, from 1.
    pub number: usize,
    /// As written.
    pub text: String,
    /// What it says.
    pub does: Does,
}

/// What a line says.
#[derive(Clone, PartialEq, Debug)]
pub enum Does {
    /// Time passes.
    Wait(Duration),
    /// Something is done.
    Step(Step),
    /// Something must become true in time.
    Then(Duration, Check),
    /// Something must not become true in this time.
    Never(Duration, Check),
}

/// A line that could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct StoryFault {
    /// Which line, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

//! Checked rules and what they do.

use super::super::local::Answer;
use super::config::{CoalesceKey, Depth, RejectConfig};
use super::fold::ElementAction;
use super::matching::Condition;
use super::name::Name;
use super::report::Row;
use crate::message::precedence::Precedence;
use crate::time::Duration;

/// What is done with a stanza.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Pass,
    Drop,
    Reject(RejectConfig),
    Answer(Answer),
    Cache(Duration),
    Coalesce(CoalesceKey, Duration),
    Delay(Duration),
    HoldUntil(u32),
    SetPrecedence(Precedence),
    SetLife(Duration),
    Route(String),
    Log,
    Count(String),
    Alarm,
}

/// A stanza rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) condition: Condition,
    pub(crate) actions: Vec<Action>,
    pub(crate) row: Row,
}

/// An element rule.
#[derive(Debug)]
pub(crate) struct ElementRule {
    pub(crate) condition: Condition,
    pub(crate) names: Vec<Name>,
    pub(crate) depth: Depth,
    pub(crate) actions: Vec<ElementAction>,
    pub(crate) row: Row,
}

//! Who is asked: our own code, or an implementation at a port.

pub mod own;
pub mod port;

use std::fmt;

use serde_json::Value;

/// Somebody who decodes and encodes.
pub trait Subject {
    /// Who, for the report.
    fn name(&self) -> String;
    /// What these octets of `protocol` mean.
    fn decode(&mut self, protocol: &str, octets: &[u8]) -> Answer<Value>;
    /// The octets of this meaning.
    fn encode(&mut self, protocol: &str, tree: &Value) -> Answer<Vec<u8>>;
}

/// What a subject says.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer<T> {
    /// This.
    Is(T),
    /// It refuses.
    Refused(Refusal),
    /// It cannot be asked.
    NotAsked,
}

/// Why something is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The fault as vectors name it, in snake_case.
    pub fault: String,
    /// The fault in words.
    pub words: String,
}

impl Refusal {
    /// A fault and its words.
    pub fn new(fault: &str, words: impl fmt::Display) -> Self {
        Self { fault: fault.to_owned(), words: words.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.fault, self.words)
    }
}

impl<T> From<Result<T, Refusal>> for Answer<T> {
    fn from(result: Result<T, Refusal>) -> Self {
        match result {
            Ok(value) => Self::Is(value),
            Err(refusal) => Self::Refused(refusal),
        }
    }
}

//! What came of a run.

use std::fmt;

use serde::Serialize;

/// What came of one vector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// All directions that it has.
    Passed {
        /// `decode`, `encode`, `round_trip`, `refuse`.
        directions: Vec<&'static str>,
    },
    /// What is wrong.
    Failed {
        /// In words.
        why: String,
    },
    /// Why it was not run.
    Skipped {
        /// In words.
        why: String,
    },
}

/// One line of a report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Result {
    /// The vector.
    pub vector: String,
    /// What it shows.
    pub description: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of all.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// Against whom.
    pub subject: String,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were not run.
    pub skipped: usize,
    /// One by one.
    pub results: Vec<Result>,
}

impl Report {
    /// Whether none failed and one passed.
    pub const fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    pub(crate) fn add(&mut self, result: Result) {
        match result.outcome {
            Outcome::Passed { .. } => self.passed += 1,
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::Skipped { .. } => self.skipped += 1,
        }
        self.results.push(result);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Result { vector, outcome, .. } in &self.results {
            match outcome {
                Outcome::Passed { directions } => writeln!(f, "passed   {vector}  ({})", directions.join(", "))?,
                Outcome::Failed { why } => writeln!(f, "FAILED   {vector}: {why}")?,
                Outcome::Skipped { why } => writeln!(f, "skipped  {vector}: {why}")?,
            }
        }
        let Self { subject, passed, failed, skipped, .. } = self;
        write!(f, "{subject}: {passed} passed, {failed} failed, {skipped} skipped")
    }
}

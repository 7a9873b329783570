//! Conformance as data: vectors and requirement lists per protocol, and the program that runs the vectors against our
//! own code or somebody else's.
//!
//! A [`Vector`] is octets and what they mean. A [`Subject`] decodes and encodes; [`run`] compares both directions and
//! gives a [`Report`]. Requirements ([`requirement`]) are cited in the code as `//= spec/ID`; [`coverage`] counts what
//! is cited and what has a vector, and writes `COVERAGE.md`.
//!
//! Refuses: a vector without a direction to check, an exception without a reason.

pub mod citation;
pub mod coverage;
pub mod files;
mod report;
pub mod requirement;
mod run;
pub mod subject;
pub mod tree;
mod vector;

pub use report::{Outcome, Report, Result};
pub use run::{run, run_vectors};
pub use subject::{Refusal, Subject};
pub use vector::{Vector, VectorError, vectors};

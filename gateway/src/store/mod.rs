//! What a site keeps: ordered records in named spaces, and bodies in pieces. [`Store`] is a trait: SQLite is the
//! default, a model with a misbehaving disk serves the world, others may follow.
//!
//! A store promises: a batch is on the disk whole or not at all when `commit` returns; a row never points to a missing
//! body of the same batch; a damaged record is set aside (and told as a fault of that record alone), never served.
//!
//! [`sqlite`] keeps a site on a disk, [`model`] in memory with troubles on demand; [`writer`] puts a store on threads of
//! its own with group commit; [`disk`] is what stores ask of a folder; [`record`] guards a row with its checksum. All
//! implementations pass the suite in `conformance_tests.rs`.

pub mod bench;
pub mod disk;
pub mod limits;
pub mod model;
pub mod record;
pub mod sqlite;
pub mod writer;

#[cfg(test)]
mod conformance_tests;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::fault::{Blame, Fault, Next};
use skywave_transports::io::{Row, Space, Write};

/// The number of a body, chosen by the node, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct BodyId(pub u64);

/// Changes that reach the disk together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Bodies, complete as appended, that must be durable with the rows.
    pub keep: Vec<BodyId>,
    /// Bodies that are no longer needed once the rows are durable.
    pub drop: Vec<BodyId>,
    /// The rows.
    pub writes: Vec<Write>,
    /// True when somebody urgent waits for it: it is not held to be grouped with others.
    pub urgent: bool,
    /// True when nobody waits for it: it may wait a moment to share its sync with others.
    pub patient: bool,
}

/// What is to be fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// Rows with `from <= key < to` in order of keys, at most `limit`.
    Range {
        /// Where.
        space: Space,
        /// First key.
        from: Vec<u8>,
        /// First key beyond; empty means no end.
        to: Vec<u8>,
        /// At most so many.
        limit: usize,
        /// From the last key downwards.
        reverse: bool,
    },
    /// The rows with exactly these keys; absent ones are left out.
    Keys {
        /// Where.
        space: Space,
        /// Which.
        keys: Vec<Vec<u8>>,
    },
    /// How many rows have `from <= key < to`: answered as one row with an empty key and the count as eight octets,
    /// highest first. Costs time in proportion to the rows counted.
    Count {
        /// Where.
        space: Space,
        /// First key.
        from: Vec<u8>,
        /// First key beyond; empty means no end.
        to: Vec<u8>,
    },
}

/// Why the store did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreFault {
    /// No room; the batch is not stored and may be tried again.
    #[error("disk full: {0}")]
    Full(String),
    /// The disk failed; nothing is accepted until a write succeeds again.
    #[error("disk failed: {0}")]
    Failed(String),
    /// A record or body is damaged; it was set aside under this name.
    #[error("damaged record set aside: {0}")]
    Damaged(String),
    /// There is no such body.
    #[error("body {0} is missing")]
    NoBody(u64),
}

impl Fault for StoreFault {
    fn blame(&self) -> Blame {
        Blame::Local
    }

    fn next(&self) -> Next {
        match self {
            Self::Full(_) | Self::Failed(_) => Next::Retry,
            Self::Damaged(_) | Self::NoBody(_) => Next::GiveUp,
        }
    }
}

/// A durable store. Called by one writer; calls block.
pub trait Store: Send {
    /// Adds octets to the end of a body that is being received. Not durable before `commit`, and not to be loaded
    /// before it. An empty body is begun by appending no octets.
    ///
    /// # Errors
    /// `Full` or `Failed`; the body is then useless and to be dropped.
    fn append_body(&mut self, body: BodyId, octets: &[u8]) -> Result<(), StoreFault>;

    /// Forgets a body that was never committed.
    fn abandon_body(&mut self, body: BodyId);

    /// Makes the batches durable, in order, all or none. Keeping a body that is kept already is no fault.
    ///
    /// # Errors
    /// `Full` or `Failed`: nothing of the batches is stored; only when the machine stops before a later commit succeeded
    /// may they be found after all, then whole (the disk alone knows whether a sync that failed had written).
    /// `NoBody`: a batch keeps a body that was never appended to,
    /// or failed; nothing of the batches is stored.
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreFault>;

    /// Fetches rows.
    ///
    /// # Errors
    /// `Failed`. A damaged row is set aside, left out of the answer, and listed by [`Store::damaged`].
    fn fetch(&mut self, query: &Query) -> Result<Vec<Row>, StoreFault>;

    /// Loads at most `octets` octets of a body from `offset`; fewer at its end.
    ///
    /// # Errors
    /// `NoBody`, `Damaged` or `Failed`.
    fn load_body(&mut self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, StoreFault>;

    /// Names of records set aside since the last call.
    fn damaged(&mut self) -> Vec<String>;

    /// Called when all who waited for a commit are answered: does what is due soon, but nobody should wait for.
    fn after_commit(&mut self) {}

    /// Does a bounded piece of housekeeping while nobody waits; true when more is left to do.
    fn tend(&mut self) -> bool {
        false
    }
}

/// Reads what is committed beside the writer, so that reading does not wait for commits.
pub trait Reader: Send {
    /// Fetches rows as [`Store::fetch`] does.
    ///
    /// # Errors
    /// `Failed`; `Damaged` when a row is damaged: the store itself, asked the same, sets it aside.
    fn fetch(&mut self, query: &Query) -> Result<Vec<Row>, StoreFault>;

    /// Loads of a body as [`Store::load_body`] does.
    ///
    /// # Errors
    /// `NoBody` or `Failed`; `Damaged`: the store itself, asked the same, sets it aside.
    fn load_body(&mut self, body: BodyId, offset: u64, octets: usize) -> Result<Bytes, StoreFault>;
}

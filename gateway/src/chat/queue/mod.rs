//! Where stanzas wait: [`out`] for a link, [`local`] for a local server. Both hold what is in memory only; what is on
//! disk as well is written by the chat machine in the batches that say so.

pub mod local;
pub mod out;

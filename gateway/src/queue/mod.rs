//! The queue of a site: records on disk, an active window of them in memory, and an agenda of what is due when.
//!
//! Event-driven: nothing is scanned. What is in memory is bounded by [`limits::ACTIVE_HOPS_MAX`] per lane; the rest
//! waits on disk in the order of precedence and age and is fetched when the window empties.

pub mod agenda;
pub mod lanes;
pub mod limits;
pub mod record;

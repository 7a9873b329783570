//! Presence over a link that is too slow for it: only what changed crosses, and questions are answered here.
//!
//! ```text
//! contacts  what far contacts show local subscribers, and questions about them
//! own       what local clients showed far subscribers; nothing crosses twice
//! seats     local users in far rooms
//! body      equal presence is kept once
//! record    rows on the disk
//! ```
//!
//! Promises: subscriptions always cross, in order, and none is ever invented (an `unsubscribed` from here would end a
//! subscription for good); what a room and its occupants say to each other crosses untouched; what the far site asked for
//! crosses even if it is no news; a restart neither forgets nor repeats more than was under way. Refuses to answer with an
//! error. Limits: see `limits`.

mod body;
mod cache;
mod config;
mod contacts;
mod limits;
mod own;
mod recent;
mod record;
mod seats;

pub use cache::{Presence, PresenceCache, PresenceFacts};
pub use config::{OnLinkDown, PresenceConfig, PresenceMode, PresenceSync, SyntheticPresence};

#[cfg(test)]
mod tests;

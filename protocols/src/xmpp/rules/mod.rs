//! What may cross a link, per peer and direction: stanza rules, requests by namespace, folding, and a dry run.
//!
//! ```text
//! config   what is written            check     all mistakes at once
//! matching when a rule fits           fold      what is taken away, and what never is
//! iq       requests by namespace      profiles  sat, hf-fast, hf-slow, none
//! filter   the order: stanza rules (the first that decides), requests, element rules (all), empty messages
//! report   what each rule saved
//! ```
//!
//! Promises: rules see expanded names, so that no prefix and no default namespace leads past them; a request that does not
//! cross gets an answer; an error is never answered with an error; folding twice is folding once. Refuses: rules that
//! would swallow requests. Limits: see `limits`.

mod action;
mod asked;
mod bucket;
mod caps;
mod check;
pub mod config;
mod filter;
mod fold;
mod iq;
mod label;
mod limits;
mod many;
mod matching;
mod name;
mod profiles;
mod report;
mod side;
mod window;

pub use check::FilterMistake;
pub use config::{Direction, FilterConfig};
pub use filter::{Filter, Orders, Verdict};
pub use label::LabelGroups;
pub use matching::Facts;
pub use name::{AddressPattern, BadPattern, Glob, Name};
pub use profiles::{PROFILES, builtin};
pub use report::{Notice, Report, Saved};

pub(crate) use fold::{Folding, is_room_presence};

#[cfg(test)]
mod tests;

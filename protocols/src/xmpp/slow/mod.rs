//! The slow side of chat: stanzas over radio and satellite links, one [`Session`] for each far peer and link.
//!
//! ```text
//! session    one face for the four profiles
//! skywave    blocks of our own: stored at the peer before they count, docs/adr/0022
//! standard   XEP-0361 on TCP and XEP-0365 0.2.1 on RCOP, zlib and XEP-0198 as configured
//! units      each stanza alone, for ACP 142
//! window     DEFLATE with a history held as octets      symbols, envelope   what DEFLATE is given
//! dictionary what both ends know beforehand             short_id            ids that stay on their side
//! ```
//!
//! Promises: nothing is handed on that is not what the peer was given, whatever the medium loses, repeats or alters
//! (`skywave`: but for one alteration in 2 million that fits its digest by chance); one bad stanza never closes a link;
//! inflating is capped. Limits: [`limits`].

pub mod block;
pub mod explain;
pub mod limits;

mod config;
mod dictionary;
mod envelope;
mod fault;
mod queue;
mod receiver;
mod record;
mod sender;
mod session;
mod short_id;
mod skywave;
mod standard;
mod stream_frame;
mod symbols;
mod units;
mod window;
mod zlib;

pub use config::{Management, Medium, Profile, SlowConfig};
pub use dictionary::Dictionaries;
pub use fault::SlowFault;
pub use session::{Confirmation, Outgoing, Session, SlowOutput};

//! XMPP: stanzas, the streams of local servers, and the constrained links.
//!
//! ```text
//! stanza      one checked message, presence or iq, and its canonical octets
//! reader      cuts a stream into elements; every limit is counted while reading
//! writer      canonical serialisation: one form for one tree
//! shape       what a reader will count in it
//! dialback    keys, and the elements that carry them
//! sasl        EXTERNAL
//! sm          stream management: what was sent and confirmed, what arrived and was taken
//! stream      one stream between servers, from either end
//! component   one connection of a component
//! door        all connections of a site to its local servers
//! rules       what may cross a link: stanza rules, requests by namespace, folding
//! local       errors, and requests answered here
//! presence    only what changed crosses, and questions are answered here
//! fate        how long a stanza waits, and what happens then
//! precedence  how urgent a stanza is
//! slow        the session with a far peer, over a slow link
//! ```
//!
//! Promises: what the reader yields is well formed, namespaces resolved, within [`limits`]; canonical octets parse back to
//! the same tree. Refuses: DTDs, processing instructions, comments, undeclared prefixes, octets that are no UTF-8.

pub mod component;
pub mod dialback;
pub mod door;
pub mod fate;
pub mod fault;
pub mod limits;
pub mod local;
pub mod ns;
pub mod precedence;
pub mod presence;
pub mod reader;
pub mod rules;
pub mod sasl;
mod shape;
pub mod slow;
pub mod sm;
pub mod stanza;
pub mod stream;
pub mod writer;

pub use fault::XmppFault;
pub use reader::{Header, Item, Skipped, StreamReader};
pub use stanza::{Kind, Stanza};

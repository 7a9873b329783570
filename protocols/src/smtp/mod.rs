//! SMTP (RFC 5321 and its extensions) without sockets: one grammar, one server machine, and what a relay does to text.
//!
//! * [`grammar`]: commands and parameters, read and written; MULE payloads and batches use the same code.
//! * [`server`]: the receiving side of one connection, sans-IO.
//! * [`reply`]: what an SMTP server answers, safe against injected line ends.
//! * [`convert`]: makes a mail fit for a server with fewer extensions.
//! * [`headers`]: header fields by octet range at the beginning of a mail; precedence and trace fields.
//!
//! Promises: octets that a relay need not understand pass unchanged; only CRLF.CRLF ends DATA; no input makes anything
//! here panic or hold more than [`limits`] allow. The client side of a hand-over is not here: it is lettre's.

pub mod body;
pub mod convert;
pub mod fault;
pub mod grammar;
pub mod headers;
pub mod limits;
pub mod reply;
pub mod server;

//! The local side: what a mail's header says when it comes in, and the sessions of the SMTP door.

pub mod intake;
pub mod limits;
pub mod sessions;

//! What a message means, whatever carries it: precedence, label, address, the envelope of a mail.

pub mod address;
pub mod domain;
pub mod mail;
pub mod precedence;

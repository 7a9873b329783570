//! What a message means, whatever carries it: precedence, label, address, the envelope of a mail.

pub mod address;
pub mod domain;
pub mod mail;
pub mod precedence;

/// What is as usual is left out of a record: every mail costs the disk three of them.
pub fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

//! The targets, one row each.

use skywave_protocols::message::address::Mailbox;

use super::Target;

/// All targets.
pub fn all() -> &'static [Target] {
    &[Target { name: "address", run: address }]
}

/// A mail address that is taken must read again as itself.
fn address(octets: &[u8]) {
    if let Ok(mailbox) = Mailbox::parse(&String::from_utf8_lossy(octets)) {
        assert_eq!(Mailbox::parse(mailbox.as_str()).as_ref(), Ok(&mailbox), "what was taken must be taken again");
    }
}

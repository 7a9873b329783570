//! Mail addresses as they are written in an envelope, kept to the octet: a quoted local part stays quoted.
//!
//! Refuses: control characters, blanks outside quotes, addresses beyond [`PATH_OCTETS_MAX`]. Source routes are ignored
//! and `%` is opaque (hostile-inputs 11). Whether an address needs SMTPUTF8 is asked with [`Mailbox::is_ascii`].

use serde::{Deserialize, Serialize};

/// Longest path in octets, angle brackets not counted (RFC 5321 section 4.5.3.1.3 asks for 256; domains with a long
/// local part in UTF-8 need more).
pub const PATH_OCTETS_MAX: usize = 1024;
/// Longest domain in octets (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_OCTETS_MAX: usize = 255;

/// Why text is no mail address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Longer than the limit.
    #[error("the address has {octets} octets, {PATH_OCTETS_MAX} are allowed")]
    TooLong {
        /// Its length.
        octets: usize,
    },
    /// No local part, or one with characters that need quotes.
    #[error("the local part is not valid")]
    LocalPart,
    /// No domain, or one that is no host name and no address literal.
    #[error("the domain is not valid")]
    Domain,
}

/// A local part and a domain, as written. Equality is to the octet; compare domains with [`Mailbox::domain_key`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox {
    text: String,
    at: usize,
}

impl Mailbox {
    /// Reads `local@domain`, with the local part quoted or not; a source route in front is dropped.
    ///
    /// # Errors
    /// [`AddressError`] when it is not an address of RFC 5321 section 4.1.2 or RFC 6531.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > PATH_OCTETS_MAX {
            return Err(AddressError::TooLong { octets: text.len() });
        }
        let text = without_source_route(text);
        let at = local_part_end(text).ok_or(AddressError::LocalPart)?;
        let domain = text.get(at + 1..).ok_or(AddressError::Domain)?;
        if !is_domain(domain) {
            return Err(AddressError::Domain);
        }
        Ok(Self { text: text.to_owned(), at })
    }

    /// The part before the last `@` outside quotes, as written.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// The part after it, as written.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The domain in lower case, for routing tables.
    pub fn domain_key(&self) -> String {
        self.domain().to_lowercase()
    }

    /// The whole address as written, without angle brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether letters of different scripts stand in one label or word, as in addresses made to be taken for others
    /// (hostile-inputs 11). For a flag in log and console; never a reason to refuse.
    pub fn mixes_scripts(&self) -> bool {
        mixes_scripts(&self.text)
    }

    /// Whether the address can go to a server without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl std::fmt::Display for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

impl TryFrom<String> for Mailbox {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.text
    }
}

/// Whether letters of different scripts that look alike stand in one label or word of an address.
pub fn mixes_scripts(address: &str) -> bool {
    address.split(['.', '@', '-', '_', '+']).any(|word| {
        let mut scripts = word.chars().filter_map(script);
        scripts.next().is_some_and(|first| scripts.any(|script| script != first))
    })
}

/// The scripts whose letters look alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
}

const fn script(c: char) -> Option<Script> {
    match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Some(Script::Latin),
        '\u{370}'..='\u{3ff}' => Some(Script::Greek),
        '\u{400}'..='\u{52f}' => Some(Script::Cyrillic),
        '\u{530}'..='\u{58f}' => Some(Script::Armenian),
        _ => None,
    }
}

/// `@a,@b:user@host` → `user@host`: receivers must ignore the route (RFC 5321 appendix C).
fn without_source_route(text: &str) -> &str {
    //= smtp/ADDR-002
    match text.strip_prefix('@').and_then(|route| route.split_once(':')) {
        Some((_, address)) => address,
        None => text,
    }
}

/// Offset of the `@` that ends the local part.
fn local_part_end(text: &str) -> Option<usize> {
    if text.starts_with('"') {
        return quoted_end(text);
    }
    let at = text.find('@')?;
    let local = &text[..at];
    let dots_well_placed =
        !local.is_empty() && !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    (dots_well_placed && local.chars().all(|c| is_atext(c) || c == '.')).then_some(at)
}

fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        match c {
            c if c.is_control() => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return text[offset + 1..].starts_with('@').then_some(offset + 1),
            _ => {}
        }
    }
    None
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

fn is_domain(domain: &str) -> bool {
    if domain.is_empty() || domain.len() > DOMAIN_OCTETS_MAX {
        return false;
    }
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return !literal.is_empty() && literal.chars().all(|c| c.is_ascii_alphanumeric() || ".:-".contains(c));
    }
    domain.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && c.is_alphanumeric());
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_rfc_5321_and_6531_allow() {
        for (text, local, domain) in [
            ("a@b", "a", "b"),
            ("first.last+tag@hq.test", "first.last+tag", "hq.test"),
            ("\"a b\"@c.test", "\"a b\"", "c.test"),
            ("\"a@b\"@c.test", "\"a@b\"", "c.test"),
            ("a@[1.2.3.4]", "a", "[1.2.3.4]"),
            ("a@[IPv6:::1]", "a", "[IPv6:::1]"),
            ("user%other@gate.test", "user%other", "gate.test"),
            ("@x.test,@y.test:u@z.test", "u", "z.test"),
            ("jürgen@straße.test", "jürgen", "straße.test"),
        ] {
            let mailbox = Mailbox::parse(text).unwrap();
            assert_eq!((mailbox.local_part(), mailbox.domain()), (local, domain), "{text}");
        }
    }

    #[test]
    fn mixed_scripts_are_seen() {
        for (text, mixed) in [
            ("paypal@x.test", false),
            ("p\u{430}ypal@x.test", true),
            ("\u{43f}\u{43e}\u{447}\u{442}\u{430}@x.test", false),
            ("j\u{fc}rgen@x.test", false),
            ("a@\u{3bf}range.test", true),
        ] {
            assert_eq!(Mailbox::parse(text).map(|mailbox| mailbox.mixes_scripts()), Ok(mixed), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        let long = format!("a@{}", "d".repeat(65536));
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "\"a\r\n\"@b",
            "a@b\r\n",
            "a@-b",
            "a@b..c",
            "a\u{0}@b",
            &long,
        ] {
            assert!(Mailbox::parse(text).is_err(), "{:?}", &text[..text.len().min(20)]);
        }
    }
}

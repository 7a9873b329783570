//! Patterns: text with `*`, expanded names of elements, addresses.

use std::fmt;

use jid::Jid;
use minidom::Element;

use super::super::ns;
use super::limits::PATTERN_OCTETS_MAX;

/// Why a pattern is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadPattern {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Too long.
    #[error("has {octets} octets, at most {PATTERN_OCTETS_MAX} are taken")]
    TooLong {
        /// Octets found.
        octets: usize,
    },
    /// An element is named with its namespace.
    #[error("{0:?} is no {{namespace}}name")]
    NoNamespace(String),
    /// A name that no element can have.
    #[error("{0:?} is no name of an element")]
    BadName(String),
    /// An address with too many `@` or without domain.
    #[error("{0:?} is no pattern of an address")]
    BadAddress(String),
}

/// Text in which `*` stands for any text, also none. Case counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Glob {
    text: String,
    exact: bool,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is too long.
    pub fn new(text: &str) -> Result<Self, BadPattern> {
        if text.len() > PATTERN_OCTETS_MAX {
            return Err(BadPattern::TooLong { octets: text.len() });
        }
        Ok(Self { text: text.to_owned(), exact: !text.contains('*') })
    }

    /// Whether it fits; in time proportional to the product of the lengths at worst.
    pub fn matches(&self, text: &str) -> bool {
        if self.exact {
            return self.text == text;
        }
        let Some((first, rest)) = self.text.split_once('*') else { return self.text == text };
        let Some(text) = text.strip_prefix(first) else { return false };
        let (middle, last) = rest.rsplit_once('*').map_or(("", rest), |(middle, last)| (middle, last));
        let Some(mut text) = text.strip_suffix(last) else { return false };
        // The leftmost place of each part leaves the most for the next.
        for part in middle.split('*') {
            match text.find(part) {
                Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        true
    }

    /// The text without `*`, if there is none in it.
    fn exact(&self) -> Option<&str> {
        self.exact.then_some(self.text.as_str())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The expanded name of an element: `{urn:xmpp:receipts}request`, `{urn:xmpp:jingle:*}*`; `{}body` is in the namespace of
/// stanzas, whichever that was on the stream.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name {
    namespace: Glob,
    name: Glob,
}

impl Name {
    /// Reads `{namespace}name`.
    ///
    /// # Errors
    /// It has another form.
    pub fn new(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern::NoNamespace(text.to_owned());
        let (namespace, name) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or_else(bad)?;
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || "{}<>&'\"/:".contains(c)) {
            return Err(BadPattern::BadName(name.to_owned()));
        }
        // One namespace here for what clients, servers and components each call their own.
        let namespace = if namespace.is_empty() || ns::is_content(namespace) { ns::SERVER } else { namespace };
        Ok(Self { namespace: Glob::new(namespace)?, name: Glob::new(name)? })
    }

    /// A name of the stanza's own namespace.
    pub fn of_stanza(name: &str) -> Self {
        Self {
            namespace: Glob { text: ns::SERVER.to_owned(), exact: true },
            name: Glob { text: name.to_owned(), exact: true },
        }
    }

    /// Whether the element has this expanded name. Its prefix and the place of its declaration count for nothing.
    //= xmpp/RULE-002
    pub fn matches(&self, element: &Element) -> bool {
        let namespace = match self.namespace.exact() {
            Some(exact) => element.has_ns(exact),
            None => self.namespace.matches(&element.ns()),
        };
        namespace && self.name.matches(element.name())
    }

    /// Whether it fits all or some elements of a namespace.
    pub fn touches(&self, namespace: &str) -> bool {
        self.namespace.matches(namespace)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}{}", self.namespace, self.name)
    }
}

/// A pattern of addresses: `field.test`, `*@chat.*/*`, `captain@*`. A part that is not written may be anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressPattern {
    local: Option<Glob>,
    domain: Glob,
    resource: Option<Glob>,
}

impl AddressPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is empty, too long, or has more than one `@`.
    pub fn new(text: &str) -> Result<Self, BadPattern> {
        if text.is_empty() {
            return Err(BadPattern::Empty);
        }
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(Glob::new(resource)?)),
            None => (text, None),
        };
        let (local, domain) = match bare.split_once('@') {
            // Addresses arrive in lower case, but for the resource.
            Some((local, domain)) => (Some(Glob::new(&local.to_lowercase())?), domain),
            None => (None, bare),
        };
        if domain.is_empty() || domain.contains('@') {
            return Err(BadPattern::BadAddress(text.to_owned()));
        }
        Ok(Self { local, domain: Glob::new(&domain.to_lowercase())?, resource })
    }

    /// Whether the address fits.
    pub fn matches(&self, address: &Jid) -> bool {
        let part = |pattern: &Option<Glob>, value: Option<&str>| match pattern {
            None => true,
            Some(pattern) => value.is_some_and(|value| pattern.matches(value)),
        };
        self.domain.matches(address.domain().as_str())
            && part(&self.local, address.node().map(|node| node.as_str()))
            && part(&self.resource, address.resource().map(|resource| resource.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a**c", "abc", true),
            ("*ab*ab*", "abab", true),
            ("*ab*ab*", "aba", false),
            ("urn:xmpp:jingle:*", "urn:xmpp:jingle:1", true),
            ("urn:xmpp:jingle:*", "urn:xmpp:jingle-message:0", false),
            ("é*", "éa", true),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(text), fits, "{pattern:?} {text:?}");
        }
        assert!(Glob::new(&"x".repeat(PATTERN_OCTETS_MAX + 1)).is_err());
    }

    #[test]
    fn a_name_fits_by_what_it_means_and_not_by_how_it_is_written() {
        let states = Name::new("{http://jabber.org/protocol/chatstates}*").unwrap();
        let body = Name::new("{}body").unwrap();
        for (inside, is_state, is_body) in [
            ("<active xmlns='http://jabber.org/protocol/chatstates'/>", true, false),
            ("<c:active xmlns:c='http://jabber.org/protocol/chatstates'/>", true, false),
            ("<x:body xmlns:x='jabber:client'>t</x:body>", false, true),
            ("<body xmlns='jabber:client'>t</body>", false, true),
            ("<body xmlns='jabber:component:accept'>t</body>", false, true),
            ("<body>t</body>", false, true),
            ("<body xmlns='http://www.w3.org/1999/xhtml'>t</body>", false, false),
            ("<active/>", false, false),
            ("<active xmlns='http://jabber.org/protocol/chatstates '/>", false, false),
            ("<active xmlns='HTTP://jabber.org/protocol/chatstates'/>", false, false),
        ] {
            let text = format!("<message to='b@f.test' from='a@h.test'>{inside}</message>");
            let stanza = super::super::super::stanza::Stanza::parse(text.as_bytes()).unwrap();
            let child = stanza.element().children().next().unwrap();
            assert_eq!((states.matches(child), body.matches(child)), (is_state, is_body), "{inside}");
        }
        for (written, same) in [("{jabber:client}body", "{}body"), ("{jabber:server}body", "{}body")] {
            assert_eq!(Name::new(written), Name::new(same));
        }
        for bad in ["body", "{x", "{x}", "{}a b", "{}a:b", ""] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        for (pattern, address, fits) in [
            ("field.test", "field.test", true),
            ("field.test", "bob@field.test/x", true),
            ("*@chat.*/*", "ops@chat.field.test/bob", true),
            ("*@chat.*/*", "ops@chat.field.test", false),
            ("*@chat.*/*", "chat.field.test/bob", false),
            ("Captain@*", "captain@hq.test/a", true),
            ("captain@*", "captains@hq.test", false),
            ("*/Phone", "a@hq.test/Phone", true),
            ("*/phone", "a@hq.test/Phone", false),
            ("*.test/a/b", "a@hq.test/a/b", true),
        ] {
            let address: Jid = address.parse().unwrap();
            assert_eq!(AddressPattern::new(pattern).unwrap().matches(&address), fits, "{pattern} {address}");
        }
        for bad in ["", "@", "a@b@c", "/x"] {
            assert!(AddressPattern::new(bad).is_err(), "{bad}");
        }
    }
}

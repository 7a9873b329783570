//! Canonical serialisation: one form for one tree.
//!
//! Single quotes; no white space that is not text; attributes in the order `to`, `from`, `id`, `type`, `xml:lang`, then by
//! namespace and name; an element declares its namespace only where it differs from the one in force. The same order in
//! every stanza saves 6 to 16 % after compression.

use minidom::{Element, Node};
use rxml::{Namespace, NcName, NcNameStr};

use super::ns;

/// What is in force where an element is written.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The default namespace.
    pub default: &'a str,
    /// Prefixes that the stream header declared, with their namespaces.
    pub prefixes: &'a [(&'a str, &'a str)],
}

impl Scope<'_> {
    /// A stream between servers, with the prefixes that every server knows.
    pub const SERVER: Scope<'static> =
        Scope { default: ns::SERVER, prefixes: &[("stream", ns::STREAM), ("db", ns::DIALBACK)] };
    /// A component's stream.
    pub const COMPONENT: Scope<'static> = Scope { default: ns::COMPONENT_ACCEPT, prefixes: &[("stream", ns::STREAM)] };
    /// A link without stream header (XEP-0361), and stanzas on disk.
    pub const LINK: Scope<'static> = Scope { default: ns::SERVER, prefixes: &[] };
}

/// The attributes of a stream header.
#[derive(Clone, Debug, Default)]
pub struct StreamHeader<'a> {
    /// The default namespace: `jabber:server` or a component's.
    pub namespace: &'a str,
    /// Our domain, or the component's name.
    pub from: Option<&'a str>,
    /// The peer's domain.
    pub to: Option<&'a str>,
    /// The stream's id; only the receiving side gives one.
    pub id: Option<&'a str>,
    /// Whether it is a version 1.0 stream (a component's is not).
    pub version: bool,
    /// Whether dialback's prefix is declared.
    pub dialback: bool,
}

/// A stream header, the XML declaration included.
//= xmpp/STREAM-001
pub fn write_stream_header(header: &StreamHeader<'_>) -> Vec<u8> {
    let mut out = String::from("<?xml version='1.0'?><stream:stream");
    write_attribute(&mut out, "xmlns", header.namespace);
    write_attribute(&mut out, "xmlns:stream", ns::STREAM);
    if header.dialback {
        write_attribute(&mut out, "xmlns:db", ns::DIALBACK);
    }
    let optional = [("to", header.to), ("from", header.from), ("id", header.id)];
    for (name, value) in optional {
        if let Some(value) = value {
            write_attribute(&mut out, name, value);
        }
    }
    if header.version {
        write_attribute(&mut out, "version", "1.0");
        write_attribute(&mut out, "xml:lang", "en");
    }
    out.push('>');
    out.into_bytes()
}

/// The end of a stream.
pub const STREAM_END: &[u8] = b"</stream:stream>";

/// One element, canonical, as it stands on a stream with this scope.
pub fn write_element(element: &Element, scope: Scope<'_>) -> Vec<u8> {
    let mut out = String::new();
    write(&mut out, element, scope, scope.default);
    out.into_bytes()
}

/// One stanza (kept as `jabber:server`) on a stream whose stanzas live in the scope's namespace.
///
/// What belongs to the stanza itself moves to that namespace with it; what another element encloses does not.
pub fn write_stanza_for(element: &Element, scope: Scope<'_>) -> Vec<u8> {
    let mut out = String::new();
    write(&mut out, element, Scope { default: ns::SERVER, ..scope }, ns::SERVER);
    out.into_bytes()
}

fn write(out: &mut String, element: &Element, scope: Scope<'_>, in_force: &str) {
    let prefix = scope.prefixes.iter().find(|(_, of)| element.has_ns(*of)).map(|&(prefix, _)| prefix);
    out.push('<');
    write_name(out, prefix, element.name());
    let other = (prefix.is_none() && !element.has_ns(in_force)).then(|| element.ns());
    if let Some(namespace) = &other {
        write_attribute(out, "xmlns", namespace);
    }
    let inner = other.as_deref().unwrap_or(in_force);
    write_attributes(out, element);
    if element.nodes().next().is_none() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    for node in element.nodes() {
        match node {
            Node::Element(child) => write(out, child, scope, inner),
            Node::Text(text) => escape(out, text, false),
        }
    }
    out.push_str("</");
    write_name(out, prefix, element.name());
    out.push('>');
}

fn write_name(out: &mut String, prefix: Option<&str>, name: &str) {
    if let Some(prefix) = prefix {
        out.push_str(prefix);
        out.push(':');
    }
    out.push_str(name);
}

//= xmpp/LINK-006
fn write_attributes(out: &mut String, element: &Element) {
    let mut attributes: Vec<(&Namespace<'static>, &NcName, &String)> =
        element.attrs().iter().map(|((namespace, name), value)| (namespace, name, value)).collect();
    attributes.sort_by(|a, b| rank(a.0, a.1).cmp(&rank(b.0, b.1)));
    let mut declared: Vec<&Namespace<'static>> = Vec::new();
    for (namespace, name, value) in attributes {
        if namespace.is_none() {
            write_attribute(out, name, value);
        } else if *namespace == Namespace::XML {
            write_attribute(out, &format!("xml:{name}"), value);
        } else {
            let number = declared.iter().position(|known| *known == namespace).unwrap_or_else(|| {
                write_attribute(out, &format!("xmlns:ns{}", declared.len()), namespace);
                declared.push(namespace);
                declared.len() - 1
            });
            write_attribute(out, &format!("ns{number}:{name}"), value);
        }
    }
}

fn rank<'a>(namespace: &'a Namespace<'static>, name: &'a NcName) -> (u8, &'a str, &'a str) {
    let first = match (namespace.as_str(), name.as_str()) {
        ("", "to") => 0,
        ("", "from") => 1,
        ("", "id") => 2,
        ("", "type") => 3,
        (rxml::XMLNS_XML, "lang") => 4,
        _ => 5,
    };
    (first, namespace.as_str(), name.as_str())
}

fn write_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    escape(out, value, true);
    out.push('\'');
}

/// Escapes what XML gives a meaning, and what a parser would normalise away. Characters that XML cannot carry become the
/// replacement character: they can only come from our own texts, as the reader refuses them.
fn escape(out: &mut String, text: &str, attribute: bool) {
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let instead = match character {
            '<' => "&lt;",
            '>' => "&gt;",
            '&' => "&amp;",
            '\'' if attribute => "&apos;",
            '\t' if attribute => "&#9;",
            '\n' if attribute => "&#10;",
            '\r' => "&#13;",
            '\t' | '\n' => continue,
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}",
            _ => continue,
        };
        out.push_str(text.get(plain..at).unwrap_or_default());
        out.push_str(instead);
        plain = at + character.len_utf8();
    }
    out.push_str(text.get(plain..).unwrap_or_default());
}

/// Sets an attribute without namespace.
pub fn set_attribute(element: &mut Element, name: &NcNameStr, value: impl Into<String>) {
    element.set_attr(Namespace::NONE, name.to_ncname(), value.into());
}

/// Takes an attribute without namespace away.
pub fn remove_attribute(element: &mut Element, name: &str) {
    element.attrs_mut().remove(&Namespace::NONE, name);
}

#[cfg(test)]
mod tests;

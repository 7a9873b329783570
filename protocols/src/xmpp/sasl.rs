//! SASL EXTERNAL between servers (XEP-0178): the certificate shows who the other is, the exchange only names it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use rxml::xml_ncname;

use super::dialback::prepared;
use super::ns;
use super::writer::set_attribute;

/// What stands for an empty initial response.
const EMPTY: &str = "=";
/// The one mechanism.
pub const EXTERNAL: &str = "EXTERNAL";

/// The mechanisms of a stream that offers EXTERNAL.
pub fn mechanisms() -> Element {
    let mut mechanism = Element::bare("mechanism", ns::SASL);
    mechanism.append_text(EXTERNAL);
    let mut element = Element::bare("mechanisms", ns::SASL);
    element.append_child(mechanism);
    element
}

/// Whether a peer's features offer EXTERNAL.
pub fn offers_external(features: &Element) -> bool {
    features.get_child("mechanisms", ns::SASL).is_some_and(|mechanisms| {
        mechanisms.children().any(|it| it.is("mechanism", ns::SASL) && it.text().trim() == EXTERNAL)
    })
}

/// `<auth/>` with our domain, or with an empty identity where the peer wants none.
//= xmpp/EXT-002
pub fn auth(domain: Option<&str>) -> Element {
    let mut element = Element::bare("auth", ns::SASL);
    set_attribute(&mut element, xml_ncname!("mechanism"), EXTERNAL);
    element.append_text(domain.map_or_else(|| EMPTY.to_owned(), |domain| STANDARD.encode(domain)));
    element
}

/// `<success/>`, `<challenge/>`, `<failure/>` with its condition.
pub fn answer(name: &str, condition: Option<&str>) -> Element {
    let mut element = Element::bare(name, ns::SASL);
    if let Some(condition) = condition {
        element.append_child(Element::bare(condition, ns::SASL));
    }
    element
}

/// What a peer's initial response, or its response to an empty challenge, says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// It asks for a challenge first.
    Absent,
    /// The certificate says it all.
    Empty,
    /// This domain.
    Domain(String),
    /// Nothing that could be a domain.
    Bad,
}

/// Reads the text of `<auth/>` or `<response/>`.
//= xmpp/EXT-002
pub fn identity(text: &str) -> Identity {
    match text.trim() {
        "" => Identity::Absent,
        EMPTY => Identity::Empty,
        encoded => {
            let decoded = STANDARD.decode(encoded).ok().and_then(|octets| String::from_utf8(octets).ok());
            decoded.as_deref().and_then(prepared).map_or(Identity::Bad, Identity::Domain)
        }
    }
}

/// Whether a name of a certificate covers a domain: itself, or a `*` in place of its first label.
//= xmpp/EXT-001
pub fn name_covers(name: &str, domain: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => domain.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && parent.contains('.') && rest.eq_ignore_ascii_case(parent)
        }),
        None => name.eq_ignore_ascii_case(domain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        assert_eq!(identity(&auth(Some("hq.example")).text()), Identity::Domain("hq.example".into()));
        assert_eq!(identity(&auth(None).text()), Identity::Empty);
        assert_eq!(identity(" "), Identity::Absent);
        for bad in ["!", "aHE", "/w==", "YUBiL2M=", "YUBi"] {
            assert_eq!(identity(bad), Identity::Bad, "{bad}");
        }
    }

    //= xmpp/EXT-001
    #[test]
    fn certificates_cover_what_they_name() {
        for (name, domain, covers) in [
            ("hq.example", "hq.example", true),
            ("HQ.example", "hq.example", true),
            ("hq.example", "chat.hq.example", false),
            ("*.hq.example", "chat.hq.example", true),
            ("*.hq.example", "hq.example", false),
            ("*.hq.example", "a.chat.hq.example", false),
            ("*.example", "hq.example", false),
            ("*", "hq.example", false),
            ("c*.hq.example", "chat.hq.example", false),
            ("", "hq.example", false),
        ] {
            assert_eq!(name_covers(name, domain), covers, "{name} {domain}");
        }
    }

    #[test]
    fn offers() {
        let mut features = Element::bare("features", ns::STREAM);
        assert!(!offers_external(&features));
        features.append_child(mechanisms());
        assert!(offers_external(&features));
    }
}

//! Capabilities told by a hash (XEP-0115): whether what somebody tells is what the hash stands for.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::super::ns;

const FORMS: &str = "jabber:x:data";

/// Whether the content of a result of disco#info has the hash in the node that was asked, by SHA-1 or SHA-256.
//= xmpp/RULE-011
pub(crate) fn proves(info: &Element, node: &str) -> bool {
    let Some((_, hash)) = node.rsplit_once('#') else { return false };
    let Some(text) = verification_string(info) else { return false };
    STANDARD.encode(Sha1::digest(&text)) == hash || STANDARD.encode(Sha256::digest(&text)) == hash
}

/// XEP-0115, 5.1. None for what 5.4 calls ill-formed, and for what is written so that it could be read in another way
/// with the same hash.
fn verification_string(info: &Element) -> Option<String> {
    let of = |name: &'static str| info.children().filter(move |child| child.is(name, ns::DISCO_INFO));
    let mut parts = distinct(of("identity").map(identity).collect::<Option<_>>()?)?;
    parts.extend(distinct(of("feature").map(feature).collect::<Option<_>>()?)?);
    let forms: Vec<Vec<String>> = info.children().filter(|child| child.is("x", FORMS)).filter_map(form).collect();
    let mut kinds: Vec<String> = forms.iter().filter_map(|form| form.first().cloned()).collect();
    kinds = distinct(kinds)?;
    for kind in kinds {
        parts.extend(forms.iter().find(|form| form.first() == Some(&kind))?.iter().cloned());
    }
    let mut text = String::new();
    for part in parts {
        if part.contains('<') {
            return None;
        }
        let _ = write!(text, "{part}<");
    }
    Some(text)
}

fn distinct(mut parts: Vec<String>) -> Option<Vec<String>> {
    parts.sort();
    let count = parts.len();
    parts.dedup();
    (parts.len() == count).then_some(parts)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_alphanumeric() || "-_".contains(character))
}

fn identity(element: &Element) -> Option<String> {
    let (category, typ) = (element.attr("category")?, element.attr("type")?);
    let language = element.attr_ns(&rxml::Namespace::XML, "lang").unwrap_or_default();
    let name = element.attr("name").unwrap_or_default();
    let good = is_word(category) && is_word(typ) && (language.is_empty() || is_word(language));
    good.then(|| format!("{category}/{typ}/{language}/{name}"))
}

/// A feature that reads like an identity may be one under the same hash.
fn feature(element: &Element) -> Option<String> {
    let name = element.attr("var")?;
    let mut words = name.splitn(4, '/');
    let like_identity = name.matches('/').count() >= 3 && words.by_ref().take(2).all(is_word);
    (!name.is_empty() && !like_identity).then(|| name.to_owned())
}

/// Its kind, then its fields; none if it says nothing of its kind.
fn form(element: &Element) -> Option<Vec<String>> {
    let values = |field: &Element| -> Vec<String> {
        let mut values: Vec<String> =
            field.children().filter(|child| child.is("value", FORMS)).map(Element::text).collect();
        values.sort();
        values
    };
    let fields = || element.children().filter(|child| child.is("field", FORMS));
    let kind = fields().find(|field| field.attr("var") == Some("FORM_TYPE") && field.attr("type") == Some("hidden"))?;
    let mut said = vec![values(kind).into_iter().next()?];
    let mut others: Vec<(&str, Vec<String>)> = fields()
        .filter_map(|field| field.attr("var").map(|var| (var, values(field))))
        .filter(|(var, _)| *var != "FORM_TYPE")
        .collect();
    others.sort();
    for (var, values) in others {
        said.push(var.to_owned());
        said.extend(values);
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(inside: &str) -> Element {
        format!("<query xmlns='{}'>{inside}</query>", ns::DISCO_INFO).parse().unwrap()
    }

    const FEATURES: &str = "<feature var='http://jabber.org/protocol/caps'/>\
         <feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/muc'/>\
         <feature var='http://jabber.org/protocol/disco#items'/>";

    /// The examples of XEP-0115, 5.2 and 5.3.
    //= xmpp/RULE-011
    #[test]
    fn the_hashes_of_the_standard() {
        let simple = format!("<identity category='client' name='Exodus 0.9.1' type='pc'/>{FEATURES}");
        assert!(proves(&info(&simple), "http://code.google.com/p/exodus#QgayPKawpkPSDYmwT/WM94uAlu0="));
        let form = "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>\
             <value>urn:xmpp:dataforms:softwareinfo</value></field>\
             <field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>\
             <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>\
             <field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field></x>";
        let identities = "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
             <identity xml:lang='el' category='client' name='\u{3a8} 0.11' type='pc'/>";
        let complex = info(&format!("{identities}{FEATURES}{form}"));
        assert!(proves(&complex, "http://psi-im.org#q07IKJEyjvHSyhy//CH0CxmKi8w="));
        assert!(!proves(&complex, "http://psi-im.org#QgayPKawpkPSDYmwT/WM94uAlu0="));
        assert!(!proves(&complex, "q07IKJEyjvHSyhy//CH0CxmKi8w="));
    }

    /// Each of these has a hash that something else has too, or none.
    #[test]
    fn what_can_be_read_in_two_ways_proves_nothing() {
        for inside in [
            "<identity category='client' type='pc'/><identity category='client' type='pc'/>",
            "<feature var='a'/><feature var='a'/>",
            "<identity category='client' type='pc' name='x&lt;urn:evil'/>",
            "<identity category='client/pc' type='x'/>",
            "<identity category='http:' type='' name='x'/>",
            "<feature var='client/pc//x'/>",
            "<feature var=''/>",
            "<feature/>",
            "<identity category='client'/>",
        ] {
            assert_eq!(verification_string(&info(inside)), None, "{inside}");
        }
    }
}

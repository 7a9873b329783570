//! What rules can say about a security label (XEP-0258) that holds an ESS label (RFC 2634 section 3.2).

use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use rasn::prelude::*;

use super::super::ns;
use super::super::stanza::Stanza;
use super::name::Glob;

const ESS: &str = "urn:xmpp:sec-label:ess:0";
/// Octets of an encoded label that is looked into.
const LABEL_OCTETS_MAX: usize = 16 << 10;

/// A condition about the label.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelTest {
    pub(crate) present: Option<bool>,
    pub(crate) policy: Option<Glob>,
    pub(crate) classification_min: Option<u32>,
    pub(crate) classification_max: Option<u32>,
    pub(crate) category: Option<String>,
    pub(crate) marking: Option<Glob>,
}

impl LabelTest {
    /// Whether it holds. What cannot be read has no policy, classification or category: a test of them fails.
    pub(crate) fn holds(&self, stanza: &Stanza) -> bool {
        let element = stanza.child(ns::SECURITY_LABEL, "securitylabel");
        let inner = self.inner();
        self.present.is_none_or(|wanted| wanted == element.is_some())
            && (!inner || element.is_some_and(|element| self.fits(element)))
    }

    fn inner(&self) -> bool {
        self.policy.is_some()
            || self.classification_min.is_some()
            || self.classification_max.is_some()
            || self.category.is_some()
            || self.marking.is_some()
    }

    fn fits(&self, element: &Element) -> bool {
        let marking = element.get_child("displaymarking", ns::SECURITY_LABEL).map(Element::text).unwrap_or_default();
        let needs_ess = Self { marking: None, present: None, ..self.clone() }.inner();
        self.marking.as_ref().is_none_or(|pattern| pattern.matches(marking.trim()))
            && (!needs_ess || ess(element).is_some_and(|label| self.ess_fits(&label)))
    }

    fn ess_fits(&self, label: &EssLabel) -> bool {
        let level = label.classification.unwrap_or_default();
        self.policy.as_ref().is_none_or(|pattern| label.policy.as_deref().is_some_and(|id| pattern.matches(id)))
            && self.classification_min.is_none_or(|min| label.classification.is_some() && level >= min)
            && self.classification_max.is_none_or(|max| label.classification.is_some() && level <= max)
            && self.category.as_ref().is_none_or(|wanted| label.categories.contains(wanted))
    }
}

/// What an ESS label says.
struct EssLabel {
    policy: Option<String>,
    classification: Option<u32>,
    categories: Vec<String>,
}

#[derive(AsnType, Decode, Encode)]
#[rasn(set)]
struct SecurityLabel {
    policy: Option<ObjectIdentifier>,
    classification: Option<u32>,
    mark: Option<Mark>,
    categories: Option<SetOf<Category>>,
}

#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq, Hash)]
#[rasn(choice)]
enum Mark {
    Printable(PrintableString),
    Utf8(Utf8String),
}

#[derive(AsnType, Decode, Encode, Debug, Clone, PartialEq, Eq, Hash)]
struct Category {
    #[rasn(tag(context, 0))]
    kind: ObjectIdentifier,
    #[rasn(tag(explicit(context, 1)))]
    value: Any,
}

fn ess(element: &Element) -> Option<EssLabel> {
    let label = element.get_child("label", ns::SECURITY_LABEL)?;
    let text = label.get_child("esssecuritylabel", ESS)?.text();
    let clean: String = text.split_ascii_whitespace().collect();
    let octets = base64::Engine::decode(&STANDARD, clean).ok().filter(|octets| octets.len() <= LABEL_OCTETS_MAX)?;
    let read: SecurityLabel = rasn::ber::decode(&octets).ok()?;
    Some(EssLabel {
        policy: read.policy.map(|id| dotted(&id)),
        classification: read.classification,
        categories: read
            .categories
            .map(|set| set.to_vec().into_iter().map(|category| dotted(&category.kind)).collect())
            .unwrap_or_default(),
    })
}

fn dotted(id: &ObjectIdentifier) -> String {
    id.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

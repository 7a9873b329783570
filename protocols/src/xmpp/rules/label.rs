//! What rules can say about a security label (XEP-0258) that holds an ESS label (RFC 2634 section 3.2).

use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use rasn::prelude::*;

use super::super::ns;
use super::super::stanza::Stanza;
use super::check::{Checker, FilterMistake};
use super::config::LabelConfig;
use super::limits::LABEL_GROUPS_MAX;
use super::name::Glob;

const ESS: &str = "urn:xmpp:sec-label:ess:0";
/// Octets of an encoded label that is looked into.
const LABEL_OCTETS_MAX: usize = 16 << 10;

/// Which labels may share the history of a compressed stream: groups that are written down, as there is no label policy
/// yet that would tell.
#[derive(Clone, Debug, Default)]
pub struct LabelGroups(Vec<LabelTest>);

impl LabelGroups {
    /// Checks the groups as they are written.
    ///
    /// # Errors
    /// All mistakes, each with its place: `0.policy`.
    pub fn new(groups: &[LabelConfig]) -> Result<Self, Vec<FilterMistake>> {
        let mut checker = Checker::default();
        if groups.len() > LABEL_GROUPS_MAX {
            checker.wrong("", format!("{} groups, at most {LABEL_GROUPS_MAX} are taken", groups.len()));
        }
        let tests = groups.iter().enumerate().map(|(index, group)| checker.label(&index.to_string(), group)).collect();
        if checker.mistakes.is_empty() { Ok(Self(tests)) } else { Err(checker.mistakes) }
    }

    /// The number of the group that a stanza belongs to. Without groups all share one. With groups: 0 has what bears no
    /// label, then come the groups in their order, of which the first that fits counts, then labels that fit none.
    //= xmpp/SLOW-015
    pub fn number_of(&self, stanza: &Stanza) -> u8 {
        if self.0.is_empty() || stanza.child(ns::SECURITY_LABEL, "securitylabel").is_none() {
            return 0;
        }
        let place = self.0.iter().position(|group| group.holds(stanza)).unwrap_or(self.0.len());
        u8::try_from(place + 1).unwrap_or(u8::MAX)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(marking: Option<&str>) -> Stanza {
        let label = marking.map_or_else(String::new, |marking| {
            format!(
                "<securitylabel xmlns='urn:xmpp:sec-label:0'><displaymarking>{marking}</displaymarking></securitylabel>"
            )
        });
        Stanza::parse(format!("<message to='a@b' from='c@d'>{label}<body>x</body></message>").as_bytes()).unwrap()
    }

    #[test]
    fn what_may_not_mix_has_numbers_of_its_own() {
        let group = |marking: &str| LabelConfig { marking: Some(marking.to_owned()), ..LabelConfig::default() };
        let groups = LabelGroups::new(&[group("SECRET*"), group("RESTRICTED"), group("*SECRET")]).unwrap();
        for (marking, number) in [
            (None, 0),
            (Some("SECRET"), 1),
            (Some("SECRET UK"), 1),
            (Some("RESTRICTED"), 2),
            (Some("TOP SECRET"), 3),
            (Some("UNCLASSIFIED"), 4),
            (Some(""), 4),
        ] {
            assert_eq!(groups.number_of(&stanza(marking)), number, "{marking:?}");
            assert_eq!(LabelGroups::default().number_of(&stanza(marking)), 0, "{marking:?}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        let wrong = LabelConfig { classification_min: Some(2), classification_max: Some(1), ..LabelConfig::default() };
        let mistakes = LabelGroups::new(&[LabelConfig::default(), wrong]).unwrap_err();
        assert_eq!(mistakes[0].key, "1.classification_max");
        assert!(LabelGroups::new(&vec![LabelConfig::default(); LABEL_GROUPS_MAX + 1]).is_err());
    }
}

//! Server dialback (XEP-0220): keys by XEP-0185, and the elements that carry them.
//!
//! A key binds the two domains and the id of the stream on which it is sent to the secret of the domain that sends it: who
//! is authoritative for that domain can say whether it is right without having kept anything.

use hmac::{Hmac, Mac};
use minidom::Element;
use rxml::xml_ncname;
use sha2::{Digest, Sha256};

use super::limits::NAME_OCTETS_MAX;
use super::ns;
use super::writer::set_attribute;

/// The key for `originating` towards `receiving` on the stream that `receiving` called `stream_id`.
//= xmpp/DBK-001
pub fn key(secret: &str, receiving: &str, originating: &str, stream_id: &str) -> String {
    // The digest's hex text is the key of the HMAC, not its octets.
    let digest = hex(&Sha256::digest(secret));
    // HMAC takes keys of any length; the error of its constructor cannot occur.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(digest.as_bytes()) else { return String::new() };
    let mac = mac.chain_update(format!("{receiving} {originating} {stream_id}"));
    hex(&mac.finalize().into_bytes())
}

/// Lower-case hex.
pub fn hex(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Compares without telling by its time where two texts differ.
pub fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// How a key was judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is right.
    Valid,
    /// It is wrong.
    Invalid,
    /// It could not be judged; the condition says why.
    Error(String),
}

impl Verdict {
    const fn name(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Error(_) => "error",
        }
    }
}

/// An element of dialback.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dialback {
    /// `originating` shows `receiving` a key.
    Result {
        /// Who wants to be believed.
        from: String,
        /// Who is to believe.
        to: String,
        /// The key.
        key: String,
    },
    /// The answer to it.
    ResultAnswer {
        /// Who judged.
        from: String,
        /// Who wanted to be believed.
        to: String,
        /// The judgement.
        verdict: Verdict,
    },
    /// `receiving` asks the authoritative server of `originating` whether a key is right.
    Verify {
        /// Who asks.
        from: String,
        /// Whose key it should be.
        to: String,
        /// The id of the stream on which the key was shown.
        id: String,
        /// The key.
        key: String,
    },
    /// The answer to it.
    VerifyAnswer {
        /// Who judged.
        from: String,
        /// Who asked.
        to: String,
        /// The stream's id, as asked.
        id: String,
        /// The judgement.
        verdict: Verdict,
    },
}

impl Dialback {
    /// Reads an element of dialback's namespace. `None`: it is none that means anything.
    ///
    /// An `id` on a result and a key inside an answer are ignored: Prosody sends both.
    //= xmpp/DBK-007
    pub fn parse(element: &Element) -> Option<Self> {
        let domain = |name: &str| element.attr(name).and_then(prepared);
        let (from, to) = (domain("from")?, domain("to")?);
        let id = || element.attr("id").map(str::to_owned).filter(|id| !id.is_empty() && id.len() <= NAME_OCTETS_MAX);
        let verdict = match element.attr("type") {
            None => None,
            Some("valid") => Some(Verdict::Valid),
            Some("invalid") => Some(Verdict::Invalid),
            Some("error") => Some(Verdict::Error(condition(element))),
            Some(_) => return None,
        };
        let key = element.text().trim().to_owned();
        match (element.name(), verdict) {
            _ if !element.has_ns(ns::DIALBACK) => None,
            ("result", None) => Some(Self::Result { from, to, key }),
            ("result", Some(verdict)) => Some(Self::ResultAnswer { from, to, verdict }),
            ("verify", None) => Some(Self::Verify { from, to, id: id()?, key }),
            ("verify", Some(verdict)) => Some(Self::VerifyAnswer { from, to, id: id()?, verdict }),
            _ => None,
        }
    }

    /// The element.
    //= xmpp/DBK-006
    pub fn element(&self) -> Element {
        let (name, from, to, id, verdict, key) = match self {
            Self::Result { from, to, key } => ("result", from, to, None, None, Some(key)),
            Self::ResultAnswer { from, to, verdict } => ("result", from, to, None, Some(verdict), None),
            Self::Verify { from, to, id, key } => ("verify", from, to, Some(id), None, Some(key)),
            Self::VerifyAnswer { from, to, id, verdict } => ("verify", from, to, Some(id), Some(verdict), None),
        };
        let mut element = Element::bare(name, ns::DIALBACK);
        set_attribute(&mut element, xml_ncname!("from"), from);
        set_attribute(&mut element, xml_ncname!("to"), to);
        if let Some(id) = id {
            set_attribute(&mut element, xml_ncname!("id"), id);
        }
        if let Some(key) = key {
            element.append_text(key);
        }
        if let Some(verdict) = verdict {
            set_attribute(&mut element, xml_ncname!("type"), verdict.name());
        }
        if let Some(Verdict::Error(condition)) = verdict {
            let mut error = Element::bare("error", ns::SERVER);
            set_attribute(&mut error, xml_ncname!("type"), "cancel");
            error.append_child(Element::bare(condition.as_str(), ns::STANZA_ERRORS));
            element.append_child(error);
        }
        element
    }
}

/// A domain in the form in which domains are compared; `None` if it is none.
pub fn prepared(domain: &str) -> Option<String> {
    let jid = jid::Jid::new(domain).ok()?;
    (jid.node().is_none() && jid.resource().is_none()).then(|| jid.domain().to_string())
}

/// The condition inside an answer that is an error.
fn condition(element: &Element) -> String {
    let named = element
        .children()
        .find(|child| child.name() == "error")
        .and_then(|error| error.children().find(|child| child.has_ns(ns::STANZA_ERRORS) && child.name() != "text"));
    named.map_or("undefined-condition", Element::name).to_owned()
}

#[cfg(test)]
mod tests;

//! How streams end, and the elements that say so.

use minidom::Element;

use crate::fault::{Blame, Fault, Next};
use crate::xmpp::fault::XmppFault;
use crate::xmpp::ns;

/// Why a stream ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StreamEnd {
    /// The peer closed the stream in good order.
    #[error("closed by the server")]
    PeerClosed,
    /// The peer said what it holds against us.
    #[error("stream error {condition}{}", text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    PeerError {
        /// The condition.
        condition: String,
        /// Its words.
        text: Option<String>,
    },
    /// What the peer sent is no stream.
    #[error("{0}")]
    Broken(XmppFault),
    /// The peer did what it may not do: the condition that it is told, and why.
    #[error("{1}")]
    Refused(&'static str, &'static str),
    /// The peer has said nothing yet, and its place is wanted.
    #[error("it gives way: too many connections of strangers")]
    GivesWay,
    /// The peer let a time limit pass: which.
    #[error("{0} took too long")]
    TooSlow(&'static str),
    /// The peer offers nothing that our configuration takes: what is missing.
    #[error("{0}")]
    Impossible(&'static str),
    /// TLS could not be established.
    #[error("TLS failed: {0}")]
    TlsFailed(String),
    /// The connection ended or was refused; the reason in words.
    #[error("{0}")]
    Connection(String),
    /// We have no more use for it.
    #[error("no more use for it")]
    Idle,
    /// This site stops.
    #[error("this site stops")]
    Stopping,
}

impl StreamEnd {
    /// The condition of the stream error that the peer is told; none where it needs no telling.
    //= xmpp/STREAM-009
    pub fn condition(&self) -> Option<&'static str> {
        match self {
            Self::Broken(fault) => Some(fault.condition()),
            Self::Refused(condition, _) => Some(condition),
            Self::TooSlow(_) => Some("connection-timeout"),
            Self::GivesWay => Some("resource-constraint"),
            Self::Impossible(_) => Some("policy-violation"),
            Self::Stopping => Some("system-shutdown"),
            Self::PeerClosed | Self::PeerError { .. } | Self::TlsFailed(_) | Self::Connection(_) | Self::Idle => None,
        }
    }
}

impl Fault for StreamEnd {
    fn blame(&self) -> Blame {
        match self {
            Self::PeerClosed
            | Self::PeerError { .. }
            | Self::Broken(_)
            | Self::Refused(..)
            | Self::TlsFailed(_)
            | Self::GivesWay
            | Self::TooSlow(_) => Blame::Peer,
            Self::Impossible(_) => Blame::Operator,
            Self::Connection(_) => Blame::Link,
            Self::Idle | Self::Stopping => Blame::Local,
        }
    }

    fn next(&self) -> Next {
        Next::Retry
    }
}

/// What a peer's stream error says.
pub fn peer_error(element: &Element) -> StreamEnd {
    let named = element.children().find(|child| child.has_ns(ns::STREAM_ERRORS) && child.name() != "text");
    let condition = named.map_or("undefined-condition", Element::name);
    let text = element.get_child("text", ns::STREAM_ERRORS).map(|text| shortened(&text.text()));
    StreamEnd::PeerError { condition: shortened(condition), text: text.filter(|text| !text.is_empty()) }
}

/// A peer's words in our logs are bounded and hold no control characters.
pub fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 160;
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).take(CHARACTERS_MAX).collect()
}

/// A stream error with this condition.
pub fn error_element(condition: &str) -> Element {
    let mut element = Element::bare("error", ns::STREAM);
    element.append_child(Element::bare(condition, ns::STREAM_ERRORS));
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_says_is_kept_short_and_clean() {
        let mut element = error_element("conflict");
        let mut text = Element::bare("text", ns::STREAM_ERRORS);
        text.append_text(format!("two\nlines {}", "x".repeat(1000)));
        element.append_child(text);
        let StreamEnd::PeerError { condition, text: Some(text) } = peer_error(&element) else { panic!() };
        assert_eq!(condition, "conflict");
        assert!(text.starts_with("two lines x") && text.len() == 160, "{text}");
        assert_eq!(
            peer_error(&Element::bare("error", ns::STREAM)),
            StreamEnd::PeerError { condition: "undefined-condition".into(), text: None }
        );
    }
}

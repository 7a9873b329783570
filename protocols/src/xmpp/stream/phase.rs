//! The phases of a stream between servers, in one table.

use serde::Serialize;

/// Where a stream stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The connection is being made.
    Opening,
    /// The peer's header is awaited.
    Header,
    /// The peer's features are awaited (only who opened the stream).
    Features,
    /// The answer to our request for TLS is awaited.
    Proceed,
    /// TLS is being established.
    Securing,
    /// The answer to our authentication is awaited.
    Sasl,
    /// Negotiated: keys, questions, and stanzas of pairs that are authenticated.
    Open,
    /// Over.
    Over,
}

/// What moves a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum On {
    /// The connection is there, and the stream begins in clear.
    Opened,
    /// TLS begins: at once, after `<proceed/>` was sent, or after it came.
    TlsBegins,
    /// TLS is established: the stream begins anew.
    Secured,
    /// A header came that features follow.
    HeaderBeforeFeatures,
    /// A header came after which everything may come.
    HeaderBeforeAll,
    /// We asked for TLS.
    TlsAsked,
    /// Features came and nothing more is to be negotiated first.
    Negotiated,
    /// We sent our authentication.
    SaslSent,
    /// It succeeded, or the peer's did: the stream begins anew.
    SaslDone,
    /// It failed.
    SaslFailed,
    /// It is over.
    End,
}

impl Phase {
    /// The phase after an event; `None` where the event has no place.
    //= xmpp/STREAM-003
    pub const fn after(self, on: On) -> Option<Self> {
        use On::{
            End, HeaderBeforeAll, HeaderBeforeFeatures, Negotiated, Opened, SaslDone, SaslFailed, SaslSent, Secured,
            TlsAsked, TlsBegins,
        };
        use Phase::{Features, Header, Opening, Over, Proceed, Sasl, Securing};
        Some(match (self, on) {
            (Opening, Opened) | (Securing, Secured) => Header,
            (Opening | Proceed | Self::Open, TlsBegins) => Securing,
            (Header, HeaderBeforeFeatures) => Features,
            (Header, HeaderBeforeAll) | (Features, Negotiated) | (Sasl, SaslFailed) => Self::Open,
            (Features, TlsAsked) => Proceed,
            (Self::Open, SaslSent) => Sasl,
            (Sasl | Self::Open, SaslDone) => Header,
            (Opening | Header | Features | Proceed | Securing | Sasl | Self::Open, End) => Over,
            (Header | Features | Proceed | Securing | Sasl | Self::Open | Over, Opened) => return None,
            (Header | Features | Securing | Sasl | Over, TlsBegins) => return None,
            (Opening | Header | Features | Proceed | Sasl | Self::Open | Over, Secured) => return None,
            (
                Opening | Features | Proceed | Securing | Sasl | Self::Open | Over,
                HeaderBeforeFeatures | HeaderBeforeAll,
            ) => return None,
            (Opening | Header | Proceed | Securing | Sasl | Self::Open | Over, TlsAsked | Negotiated) => return None,
            (Opening | Header | Features | Proceed | Securing | Sasl | Over, SaslSent) => return None,
            (Opening | Header | Features | Proceed | Securing | Over, SaslDone) => return None,
            (Opening | Header | Features | Proceed | Securing | Self::Open | Over, SaslFailed) => return None,
            (Over, End) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const PHASES: [Phase; 8] = [
        Phase::Opening,
        Phase::Header,
        Phase::Features,
        Phase::Proceed,
        Phase::Securing,
        Phase::Sasl,
        Phase::Open,
        Phase::Over,
    ];
    const EVENTS: [On; 11] = [
        On::Opened,
        On::TlsBegins,
        On::Secured,
        On::HeaderBeforeFeatures,
        On::HeaderBeforeAll,
        On::TlsAsked,
        On::Negotiated,
        On::SaslSent,
        On::SaslDone,
        On::SaslFailed,
        On::End,
    ];

    #[test]
    fn all_pairs_as_printed() {
        let mut table = String::new();
        for phase in PHASES {
            for on in EVENTS {
                let after = phase.after(on).map_or("-".to_owned(), |phase| format!("{phase:?}"));
                let _ = writeln!(table, "{:<9} {:<21} {after}", format!("{phase:?}"), format!("{on:?}"));
            }
        }
        assert_eq!(table, include_str!("phases.golden"), "phases.golden should be:\n{table}");
    }
}

//! What bounds one stream of XML: counted while reading, before anything is kept.

/// Elements inside each other, the stanza itself included.
pub const DEPTH_MAX: usize = 64;
/// Octets of one stanza on the LAN: what Prosody takes from a server or a component.
pub const LAN_STANZA_OCTETS_MAX: usize = 512 << 10;
/// Octets of one stanza on HF: at 75 bit/s this is nearly two hours.
pub const HF_STANZA_OCTETS_MAX: usize = 64 << 10;
/// Octets of one top-level element before the peer is authenticated: headers, features, TLS and SASL are short.
pub const UNAUTHENTICATED_OCTETS_MAX: usize = 16 << 10;
/// Elements of one stanza on the LAN: a disco#items or roster exchange of a large server stays below it.
pub const LAN_ELEMENTS_MAX: usize = 8192;
/// Elements of one stanza on HF.
pub const HF_ELEMENTS_MAX: usize = 1024;
/// Attributes of one element, namespace declarations included.
pub const ATTRIBUTES_MAX: usize = 64;
/// Octets of the name of an element or attribute, its prefix included.
pub const NAME_OCTETS_MAX: usize = 256;
/// Octets of an attribute's value: more than the three parts of the longest address.
pub const VALUE_OCTETS_MAX: usize = 8192;
/// Octets of a namespace name.
pub const NAMESPACE_OCTETS_MAX: usize = 256;
/// Namespace declarations in force at one place, those of the stream header included: each name is looked up in them.
pub const NAMESPACES_IN_FORCE_MAX: usize = 64;
/// Octets handed to a reader and not yet read.
pub const READER_INPUT_OCTETS_MAX: usize = 4 << 20;
/// Octets of an XML declaration in front of a headless stream.
pub const DECLARATION_OCTETS_MAX: usize = 128;

/// The limits of one reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReaderLimits {
    /// Octets of one top-level element, markup included.
    pub stanza_octets: usize,
    /// Elements of one top-level element.
    pub elements: usize,
    /// Octets of a top-level element that breaks a limit and is passed over; more of them end the stream. With none every
    /// limit does.
    pub skipped_octets: usize,
}

impl ReaderLimits {
    /// For streams of local servers.
    pub const LAN: Self = Self { stanza_octets: LAN_STANZA_OCTETS_MAX, elements: LAN_ELEMENTS_MAX, ..Self::SKIPPING };
    /// For links over radio.
    pub const HF: Self = Self { stanza_octets: HF_STANZA_OCTETS_MAX, elements: HF_ELEMENTS_MAX, ..Self::SKIPPING };
    /// For a peer that has not shown who it is.
    pub const UNAUTHENTICATED: Self =
        Self { stanza_octets: UNAUTHENTICATED_OCTETS_MAX, elements: 256, skipped_octets: 0 };
    const SKIPPING: Self = Self { stanza_octets: 0, elements: 0, skipped_octets: LAN_STANZA_OCTETS_MAX };

    /// The same where every limit ends the stream.
    #[must_use]
    pub const fn strict(self) -> Self {
        Self { skipped_octets: 0, ..self }
    }
}

//! `[chat]` as it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};
use skywave_protocols::xmpp::fate::Lives;
use skywave_protocols::xmpp::precedence::PrecedenceConfig;
use skywave_protocols::xmpp::presence::PresenceConfig;
use skywave_protocols::xmpp::rules::config::LabelConfig;

use crate::chat::config::{EmconRule, ErrorPolicy, MixedScripts};
use crate::chat::limits::{QUEUE_OCTETS, QUEUE_STANZAS};

/// `[chat]`: the local side of chat.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawChat {
    /// Where servers connect; STARTTLS.
    pub listen: Vec<String>,
    /// Where servers connect with TLS from the first octet.
    pub listen_direct_tls: Vec<String>,
    /// The gateway's own domain in errors and delays; the site's name without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Name of the certificate shown to servers; it must hold all fronted domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The `[authority.NAME]` that vouches for the certificates of servers; those of the system without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Whether servers must use TLS; with a certificate they must unless this says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_required: Option<bool>,
    /// The secret of dialback; one is made and kept without.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "hidden")]
    pub dialback_secret: Option<String>,
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialback_secret_file: Option<PathBuf>,
    /// Stanzas from links that may wait for the servers of one local domain, before far sites are held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_stanzas_max: Option<usize>,
    /// Local servers by name.
    pub local: BTreeMap<String, RawServer>,
    /// Connections as a component, by the name fronted.
    pub component: BTreeMap<String, RawComponent>,
    /// Far sites by name.
    pub peer: BTreeMap<String, RawPeer>,
}

/// `[chat.local.NAME]`: a local server that speaks the server-to-server protocol.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawServer {
    /// Its domains: `hq.test`, `.hq.test` for all below, `*` for all.
    pub domains: Vec<String>,
    /// Host and port; without, it is looked up by its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether TLS begins with the first octet at `target`.
    pub direct_tls: bool,
    /// How it shows who it is: `dialback`, `external` or `both`.
    pub authentication: String,
    /// Whether one connection serves both directions (XEP-0288).
    pub bidi: bool,
    /// Whether SASL EXTERNAL says the domain by name.
    pub authzid: bool,
    /// Whether stream management (XEP-0198) is used where the server offers it.
    pub stream_management: bool,
    /// Whether its certificate must prove its domain before it gets anything.
    pub certificate_required: bool,
}

impl Default for RawServer {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            target: None,
            direct_tls: false,
            authentication: "both".to_owned(),
            bidi: true,
            authzid: true,
            stream_management: true,
            certificate_required: false,
        }
    }
}

/// `[chat.component.NAME]`: a connection as a component (XEP-0114) under a fronted name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawComponent {
    /// Host and port for components.
    pub target: Option<String>,
    /// The secret.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "hidden")]
    pub secret: Option<String>,
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Local domains reached through it.
    pub domains: Vec<String>,
}

/// `[chat.peer.NAME]`: a far site.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPeer {
    /// The site's name, as links know it.
    pub site: Option<String>,
    /// Its domains; each room service is one of them.
    pub domains: Vec<String>,
    /// Local domains that may use it; all without.
    pub local_domains: Vec<String>,
    /// The link.
    pub link: Option<String>,
    /// The link for single units while the peer keeps silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units_link: Option<String>,
    /// Further links for its stream, in their order: for what a rule has take them, and while those before cannot be
    /// used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternate_links: Vec<String>,
    /// Names that both ends put into the dictionary besides the domains: users, rooms.
    pub names: Vec<String>,
    /// The filter: a `[filter.NAME]`, or built in: `sat`, `hf-fast`, `hf-slow`, `none`.
    pub filter: String,
    /// Groups of labels that share no compression with another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label_groups: Vec<LabelConfig>,
    /// The presence cache.
    pub presence: PresenceConfig,
    /// How urgent stanzas are for which no rule says it.
    pub precedence: PrecedenceConfig,
    /// Most for presence that is no part of a conversation.
    pub presence_precedence: String,
    /// Stanzas that may wait.
    pub queue_stanzas_max: usize,
    /// Octets that may wait.
    pub queue_octets_max: usize,
    /// How long stanzas live.
    pub life: Lives,
    /// What happens to far addresses whose letters are of different scripts: `tell` or `refuse`.
    pub mixed_scripts: MixedScripts,
    /// Whether senders are told when a stanza is given up: `return` or `silent`.
    pub errors: ErrorPolicy,
    /// What happens to chat while the peer keeps silence: `hold`, `refuse` or `units`.
    pub emcon: EmconRule,
    /// Whether it keeps silence from the start.
    pub silent: bool,
}

impl Default for RawPeer {
    fn default() -> Self {
        Self {
            site: None,
            domains: Vec::new(),
            local_domains: Vec::new(),
            link: None,
            units_link: None,
            alternate_links: Vec::new(),
            names: Vec::new(),
            filter: "hf-fast".to_owned(),
            label_groups: Vec::new(),
            presence: PresenceConfig::default(),
            precedence: PrecedenceConfig::default(),
            presence_precedence: "deferred".to_owned(),
            queue_stanzas_max: QUEUE_STANZAS,
            queue_octets_max: QUEUE_OCTETS,
            life: Lives::default(),
            mixed_scripts: MixedScripts::default(),
            errors: ErrorPolicy::default(),
            emcon: EmconRule::default(),
            silent: false,
        }
    }
}

fn hidden<S: Serializer>(secret: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_str("(hidden)"),
        None => serializer.serialize_none(),
    }
}

//! What chat is configured with, checked: nothing in it can be wrong for itself. `crate::config` makes it from files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use skywave_protocols::message::domain::covers;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::xmpp::door::{ComponentConfig, DoorConfig};
use skywave_protocols::xmpp::fate::Lives;
use skywave_protocols::xmpp::precedence::PrecedenceConfig;
use skywave_protocols::xmpp::presence::PresenceConfig;
use skywave_protocols::xmpp::rules::FilterConfig;
use skywave_protocols::xmpp::rules::config::LabelConfig;
use skywave_protocols::xmpp::slow::SlowConfig;
use skywave_transports::io::Authority;
use skywave_transports::transport::SiteName;

use super::Way;
use super::limits::{QUEUE_OCTETS, QUEUE_STANZAS};

/// Everything about chat at one site.
#[derive(Clone, PartialEq, Debug)]
pub struct ChatConfig {
    /// Who says so in errors and delays: the gateway's own domain.
    pub domain: String,
    /// Where servers connect; STARTTLS.
    pub listen: Vec<SocketAddr>,
    /// Where servers connect with TLS from the first octet.
    pub listen_direct_tls: Vec<SocketAddr>,
    /// Who vouches for the certificates of servers.
    pub authority: Authority,
    /// The fast side.
    pub door: DoorConfig,
    /// Files with the secrets of components, by name; read by the shell before the node is made.
    pub secret_files: BTreeMap<String, PathBuf>,
    /// The file with the dialback secret, read likewise; without it and without a secret one is made and kept.
    pub dialback_secret_file: Option<PathBuf>,
    /// Stanzas from links that may wait for the servers of one local domain, before far sites are held back.
    pub local_stanzas_max: usize,
    /// The far sites.
    pub peers: Vec<PeerConfig>,
}

impl ChatConfig {
    /// Whether another configuration differs in nothing but secrets that it does not hold: those lie in files.
    pub fn is_same_but_for_secrets(&self, other: &Self) -> bool {
        let mut other = other.clone();
        other.door.dialback_secret.clone_from(&self.door.dialback_secret);
        for (theirs, ours) in other.door.components.iter_mut().zip(&self.door.components) {
            if theirs.secret.is_empty() {
                theirs.secret.clone_from(&ours.secret);
            }
        }
        *self == other
    }

    /// Whether another configuration can take its place while it runs: it differs in nothing but secrets and the rules
    /// of far sites.
    pub fn can_become(&self, other: &Self) -> bool {
        let mut other = other.clone();
        for (theirs, ours) in other.peers.iter_mut().zip(&self.peers) {
            theirs.take_rules(ours);
        }
        self.is_same_but_for_secrets(&other)
    }

    /// Whether the gateway's own domain is a name of its own, at which local servers can ask it: no server's and no far
    /// site's.
    pub fn fronts_itself(&self) -> bool {
        !self.is_local(&self.domain) && !self.peers.iter().any(|peer| peer.has_domain(&self.domain))
    }

    /// Whether a domain is one of local servers.
    pub fn is_local(&self, domain: &str) -> bool {
        let by_component = |component: &ComponentConfig| component.locals.iter().any(|pattern| covers(pattern, domain));
        self.door.server_of(domain).is_some() || self.door.components.iter().any(by_component)
    }
}

/// One far site.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerConfig {
    /// Its name in commands and logs.
    pub name: Arc<str>,
    /// The site, as links know it.
    pub site: SiteName,
    /// Its domains, in lower case; a leading dot takes all subdomains.
    pub domains: Vec<String>,
    /// The local domains that may use it; `*` for all.
    pub local_domains: Vec<String>,
    /// The link.
    pub link: Arc<str>,
    /// What the session on it does.
    pub session: SlowConfig,
    /// The link for single units while the peer is silent, and what the session on it does.
    pub units: Option<(Arc<str>, SlowConfig)>,
    /// Further links for a stream: for what a rule has take them, and while those before cannot be used.
    pub alternates: Vec<AlternateLink>,
    /// What may cross, in both directions.
    pub filter: FilterConfig,
    /// Groups of labels that share no compression with another; without any all labels share one.
    pub label_groups: Vec<LabelConfig>,
    /// The presence cache.
    pub presence: PresenceConfig,
    /// How urgent stanzas are for which no rule says it.
    pub precedence: PrecedenceConfig,
    /// Most for presence that is no part of a conversation: it must not hold up what people say.
    pub presence_precedence: Precedence,
    /// Limits of the queue.
    pub queue: PeerQueue,
    /// How long stanzas live, and when they say that they waited.
    pub lives: Lives,
    /// What happens to far addresses whose letters are of different scripts.
    pub mixed_scripts: MixedScripts,
    /// Whether senders are told when a stanza is given up.
    pub errors: ErrorPolicy,
    /// What happens to chat while the peer is silent.
    pub emcon: EmconRule,
    /// Whether it is silent from the start.
    pub silent: bool,
    /// Largest stanza, in octets of its canonical form.
    pub stanza_octets_max: usize,
}

/// A further link for a far site's stream.
#[derive(Clone, PartialEq, Debug)]
pub struct AlternateLink {
    /// The link.
    pub link: Arc<str>,
    /// What the session on it does.
    pub session: SlowConfig,
    /// Whether the peer keeps silence on it from the start.
    pub silent: bool,
}

/// Limits of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerQueue {
    /// Stanzas.
    pub stanzas_max: usize,
    /// Octets.
    pub octets_max: usize,
}

impl Default for PeerQueue {
    fn default() -> Self {
        Self { stanzas_max: QUEUE_STANZAS, octets_max: QUEUE_OCTETS }
    }
}

/// What happens to stanzas with a far address that mixes scripts in one word, as those that are to be taken for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MixedScripts {
    /// The operator is told once for each address.
    #[default]
    Tell,
    /// The stanza is refused as well.
    Refuse,
}

/// Whether senders get errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorPolicy {
    /// Senders are told.
    #[default]
    Return,
    /// They are told only of what the gateway refuses at once.
    Silent,
}

/// What happens to chat for a peer that keeps silence, or can only be reached one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmconRule {
    /// It waits.
    #[default]
    Hold,
    /// Its senders are told that the peer keeps silence.
    Refuse,
    /// Each stanza goes alone over the link for units, and is confirmed when the peer may speak again.
    Units,
}

impl PeerConfig {
    /// Takes what can change while a site runs: nothing of it concerns links, or what is on them already.
    pub fn take_rules(&mut self, other: &Self) {
        self.filter.clone_from(&other.filter);
        self.presence.clone_from(&other.presence);
        self.precedence.clone_from(&other.precedence);
        self.lives.clone_from(&other.lives);
        self.presence_precedence = other.presence_precedence;
        (self.queue, self.mixed_scripts, self.errors) = (other.queue, other.mixed_scripts, other.errors);
    }

    /// Whether a far domain belongs to it.
    pub fn has_domain(&self, domain: &str) -> bool {
        self.domains.iter().any(|pattern| covers(pattern, domain))
    }

    /// Its links and what each is for.
    pub fn ways(&self) -> impl Iterator<Item = (Way, &Arc<str>)> {
        let alternates = (0..).zip(&self.alternates).map(|(place, it)| (Way::Alternate(place), &it.link));
        let units = self.units.iter().map(|(link, _)| (Way::Units, link));
        std::iter::once((Way::Stream, &self.link)).chain(units).chain(alternates)
    }

    /// The name of one of its links.
    pub fn link_of(&self, way: Way) -> Option<&Arc<str>> {
        self.ways().find(|(other, _)| *other == way).map(|(_, link)| link)
    }

    /// What one of its links is for.
    pub fn way_to(&self, link: &str) -> Option<Way> {
        self.ways().find(|(_, name)| name.as_ref() == link).map(|(way, _)| way)
    }

    /// Whether users of a local domain may use it.
    pub fn serves(&self, domain: &str) -> bool {
        self.local_domains.iter().any(|pattern| covers(pattern, domain))
    }
}

impl ErrorPolicy {
    /// Whether a sender is told when what waited is given up.
    pub const fn tells(self) -> bool {
        matches!(self, Self::Return)
    }
}

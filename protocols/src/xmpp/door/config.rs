//! What the door is configured with.

use std::fmt;

use crate::message::domain::covers;
use crate::time::Duration;

/// Everything about the fast side of one site.
#[derive(Clone, PartialEq)]
pub struct DoorConfig {
    /// Far domains that we are authoritative for, in lower case; `.a` takes all subdomains of `a`.
    pub fronted: Vec<String>,
    /// Local servers; the first whose domains cover a name is its server.
    pub locals: Vec<LocalServer>,
    /// Components to be at local servers.
    pub components: Vec<ComponentConfig>,
    /// The secret of dialback keys; one serves all fronted domains.
    pub dialback_secret: String,
    /// Name of the certificate to show, as the shell knows it; it holds every fronted domain. Without it there is no
    /// TLS for servers that connect.
    pub certificate: Option<String>,
    /// Whether servers must secure their streams before anything else.
    pub tls_required: bool,
    /// Time limits.
    pub times: DoorTimes,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            fronted: Vec::new(),
            locals: Vec::new(),
            components: Vec::new(),
            dialback_secret: String::new(),
            certificate: None,
            tls_required: true,
            times: DoorTimes::default(),
        }
    }
}

impl fmt::Debug for DoorConfig {
    // Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorConfig")
            .field("fronted", &self.fronted)
            .field("locals", &self.locals)
            .field("components", &self.components)
            .field("certificate", &self.certificate)
            .field("tls_required", &self.tls_required)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

impl DoorConfig {
    /// Whether we are authoritative for a domain.
    pub fn fronts(&self, domain: &str) -> bool {
        self.fronted.iter().any(|pattern| covers(pattern, domain))
            || self.components.iter().any(|component| component.name == domain)
    }

    /// The server of a local domain.
    pub fn server_of(&self, domain: &str) -> Option<&LocalServer> {
        self.locals.iter().find(|server| server.domains.iter().any(|pattern| covers(pattern, domain)))
    }

    /// The component by which stanzas of a fronted domain reach a local one.
    pub fn component_for(&self, ours: &str, theirs: &str) -> Option<&ComponentConfig> {
        let reaches = |component: &&ComponentConfig| {
            component.name == ours && component.locals.iter().any(|pattern| covers(pattern, theirs))
        };
        self.components.iter().find(reaches)
    }
}

/// A local server (or all that a pattern covers) and how it is spoken to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalServer {
    /// Its domains, as [`crate::message::domain::covers`] reads them.
    pub domains: Vec<String>,
    /// Where it is.
    pub route: ServerRoute,
    /// How we show who we are.
    pub auth: ServerAuth,
    /// Whether one stream may serve both directions.
    pub bidi: bool,
    /// Whether SASL EXTERNAL names our domain (some servers want it) or leaves it to the certificate.
    pub authzid: bool,
    /// Whether stream management is used where it is offered.
    pub sm: bool,
    /// Whether its own certificate must prove its domain before it gets anything.
    pub certificate_required: bool,
}

impl LocalServer {
    /// A server at a fixed place, with everything else as most servers take it.
    pub fn at(domains: Vec<String>, target: String) -> Self {
        Self { domains, route: ServerRoute::Static { target, direct_tls: false }, ..Self::default() }
    }
}

impl Default for LocalServer {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            route: ServerRoute::Srv,
            auth: ServerAuth::Both,
            bidi: true,
            authzid: true,
            sm: true,
            certificate_required: false,
        }
    }
}

/// Where a server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerRoute {
    /// At a fixed place: a closed network has no DNS.
    Static {
        /// `host:port` or `address:port`.
        target: String,
        /// Whether TLS starts with the first octet.
        direct_tls: bool,
    },
    /// Where DNS says.
    Srv,
}

/// How we show a server who we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerAuth {
    /// By dialback only.
    Dialback,
    /// By our certificate only.
    External,
    /// By our certificate where it is taken, else by dialback.
    Both,
}

/// A component (XEP-0114): one connection for one fronted domain.
#[derive(Clone, PartialEq, Eq)]
pub struct ComponentConfig {
    /// Its name, a fronted domain.
    pub name: String,
    /// `host:port` of the server's port for components.
    pub target: String,
    /// The secret shared with the server.
    pub secret: String,
    /// Local domains that are reached through it, as [`crate::message::domain::covers`] reads them.
    pub locals: Vec<String>,
}

impl fmt::Debug for ComponentConfig {
    // Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentConfig")
            .field("name", &self.name)
            .field("target", &self.target)
            .field("locals", &self.locals)
            .finish_non_exhaustive()
    }
}

/// Time limits. What peers allow (Prosody 90 s for all of a set-up, Openfire 10 s for its own) is why they are short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DoorTimes {
    /// From the first octet until a stream that we opened may carry stanzas.
    pub set_up: Duration,
    /// From the connection until a server that connected has shown who it is.
    pub accept: Duration,
    /// An element that has begun must end within this.
    pub element: Duration,
    /// A stream on which we wrote nothing for so long gets a blank.
    pub keep_alive: Duration,
    /// An answer to `<r/>` must come within this.
    pub confirmation: Duration,
    /// A stream that was opened to verify a key and carries nothing closes after this.
    pub verify_idle: Duration,
    /// A stanza without stream management counts as handed over when it was written; one that cannot be written for so
    /// long ends the stream.
    pub write: Duration,
    /// The wait after the first failure.
    pub back_off_first: Duration,
    /// The longest wait between two tries.
    pub back_off_longest: Duration,
}

impl Default for DoorTimes {
    fn default() -> Self {
        Self {
            set_up: Duration::from_secs(60),
            accept: Duration::from_secs(90),
            element: Duration::from_secs(120),
            keep_alive: Duration::from_secs(600),
            confirmation: Duration::from_secs(60),
            verify_idle: Duration::from_secs(30),
            write: Duration::from_secs(180),
            back_off_first: Duration::from_secs(1),
            back_off_longest: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let component = ComponentConfig {
            name: "field.example".into(),
            target: "127.0.0.1:5347".into(),
            secret: "tops3cret".into(),
            locals: vec!["*".into()],
        };
        let config =
            DoorConfig { components: vec![component], dialback_secret: "d14lb4ck".into(), ..DoorConfig::default() };
        let printed = format!("{config:?}");
        assert!(printed.contains("field.example"));
        assert!(!printed.contains("tops3cret") && !printed.contains("d14lb4ck"), "{printed}");
    }
}

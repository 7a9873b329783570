//! Configurations of two gateways that carry chat between `hq.test` and `field.test`, in text as a person writes them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::{Identity, Trust};

/// How a gateway meets its local server.
#[derive(Clone, Debug)]
pub enum Side {
    /// It connects as one component for each far domain.
    Components {
        /// Where.
        target: SocketAddr,
        /// With this secret.
        secret: String,
    },
    /// Both connect as servers.
    Servers {
        /// Where the gateway listens.
        listen: SocketAddr,
        /// Where it listens for TLS from the first octet, if it does.
        listen_direct_tls: Option<SocketAddr>,
        /// Where the local server is.
        target: ServerAt,
        /// How they prove who they are.
        trust: Trust,
        /// What the gateway shows, with the names of the far site in it.
        identity: Option<Identity>,
    },
}

/// Where a local server is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerAt {
    /// Here, with STARTTLS.
    Place(SocketAddr),
    /// Here, with TLS from the first octet.
    DirectTls(SocketAddr),
    /// Where DNS says.
    Dns,
}

/// TLS between the gateways: both show a certificate.
#[derive(Clone, Debug)]
pub struct LinkTls {
    /// What this one shows.
    pub identity: Identity,
    /// The digests of what the other may show; without, the authority vouches for it.
    pub pins: Option<Vec<String>>,
}

/// What lies between the gateways.
#[derive(Clone, Debug)]
pub enum Medium {
    /// XEP-0361 over TCP.
    Tcp {
        /// Where this gateway listens; one of both does.
        listen: Option<SocketAddr>,
        /// Where it connects; the other does.
        connect: Option<SocketAddr>,
        /// How it is secured, if at all.
        tls: Option<LinkTls>,
    },
    /// XEP-0365 over RCOP through a STANAG 5066 node.
    Radio {
        /// The node.
        node: SocketAddr,
        /// Own address.
        own: String,
        /// The other's.
        far: String,
        /// Rate of the radio.
        bits_per_second: u32,
    },
}

/// One gateway.
#[derive(Clone, Debug)]
pub struct GatewayPlan {
    /// Its site.
    pub own: String,
    /// The other.
    pub far: String,
    /// Its local server.
    pub side: Side,
    /// The link.
    pub medium: Medium,
    /// The filter of the peer.
    pub filter: String,
    /// What the link speaks: `skywave`, `standard`.
    pub profile: String,
    /// Whether a stream of the XEPs over TCP is managed (XEP-0198) from its first octet.
    pub managed: bool,
}

impl GatewayPlan {
    /// The configuration, with everything it keeps in `folder`.
    pub fn configuration(&self, folder: &Path) -> String {
        let Self { own, far, filter, profile, .. } = self;
        let place = folder.display();
        let mut text = format!(
            "site = \"{own}\"\nspool_directory = \"{place}/spool\"\nrun_directory = \"{place}/run\"\n\n\
             [mail]\nlisten = [\"127.0.0.1:0\"]\nhostname = \"gateway.{own}\"\n"
        );
        self.side_text(&mut text);
        let _ = write!(
            text,
            "\n[chat.peer.far]\nsite = \"{far}\"\ndomains = [\"{far}\", \"rooms.{far}\"]\nlink = \"chat\"\nfilter = \"{filter}\"\n"
        );
        match &self.medium {
            Medium::Tcp { listen, connect, tls } => {
                let _ = write!(
                    text,
                    "\n[link.chat]\ncarriage = \"xmpp\"\ntransport = \"xmpp_tcp\"\nprofile = \"{profile}\"\n"
                );
                for (key, address) in [("listen", listen), ("connect", connect)] {
                    if let Some(address) = address {
                        let _ = writeln!(text, "{key} = \"{address}\"");
                    }
                }
                if self.managed {
                    text.push_str("stream_management = \"implicit\"\n");
                }
                // Loopback is fast, whatever delays octets behind it.
                text.push_str("bits_per_second = 10000000\n");
                if listen.is_some() {
                    text.push_str("accept_from = [\"127.0.0.0/8\"]\n");
                }
                if let Some(tls) = tls {
                    text.push_str(&tls.keys());
                }
                let _ = writeln!(text, "[link.chat.site.\"{far}\"]");
                if let Some(tls) = tls {
                    text.push_str(&tables("link", &tls.identity));
                }
            }
            Medium::Radio { node, own, far: address, bits_per_second } => {
                let _ = write!(
                    text,
                    "\n[radio.radio]\nnode = \"{node}\"\naddress = \"{own}\"\nbits_per_second = {bits_per_second}\n\
                     \n[link.chat]\ncarriage = \"xmpp\"\ntransport = \"xmpp_rcop\"\nprofile = \"{profile}\"\n\
                     radio = \"radio\"\n[link.chat.site.\"{far}\"]\naddress = \"{address}\"\n"
                );
            }
        }
        text
    }

    fn side_text(&self, text: &mut String) {
        let Self { own, far, .. } = self;
        match &self.side {
            Side::Components { target, secret } => {
                text.push_str("\n[chat]\n");
                for name in [far.clone(), format!("rooms.{far}")] {
                    let _ = write!(
                        text,
                        "\n[chat.component.\"{name}\"]\ntarget = \"{target}\"\nsecret = \"{secret}\"\n\
                         domains = [\"{own}\", \"rooms.{own}\"]\n"
                    );
                }
            }
            Side::Servers { listen, listen_direct_tls, target, trust, identity } => {
                let _ = write!(text, "\n[chat]\nlisten = [\"{listen}\"]\n");
                if let Some(address) = listen_direct_tls {
                    let _ = writeln!(text, "listen_direct_tls = [\"{address}\"]");
                }
                if identity.is_some() {
                    text.push_str("certificate = \"own\"\n");
                }
                if *trust == Trust::External {
                    text.push_str("authority = \"own\"\n");
                }
                let authentication = if *trust == Trust::External { "external" } else { "dialback" };
                let place = match target {
                    ServerAt::Place(address) => format!("target = \"{address}\"\n"),
                    ServerAt::DirectTls(address) => format!("target = \"{address}\"\ndirect_tls = true\n"),
                    ServerAt::Dns => String::new(),
                };
                let _ = write!(
                    text,
                    "\n[chat.local.server]\ndomains = [\"{own}\", \"rooms.{own}\"]\n{place}\
                     authentication = \"{authentication}\"\n"
                );
                if let Some(identity) = identity {
                    text.push_str(&tables("own", identity));
                }
            }
        }
    }
}

impl LinkTls {
    /// The keys of the link.
    fn keys(&self) -> String {
        let trust = match &self.pins {
            Some(pins) => {
                format!("pins = [{}]", pins.iter().map(|pin| format!("\"{pin}\"")).collect::<Vec<_>>().join(", "))
            }
            None => "authority = \"link\"".to_owned(),
        };
        format!("tls = \"mutual\"\ncertificate = \"link\"\n{trust}\n")
    }
}

/// The tables of a certificate, and of the authority behind it, under one name.
fn tables(name: &str, identity: &Identity) -> String {
    let (chain, key, roots) = (identity.chain.display(), identity.key.display(), identity.roots.display());
    format!(
        "\n[certificate.{name}]\nchain_file = \"{chain}\"\nkey_file = \"{key}\"\n\
         [authority.{name}]\nfile = \"{roots}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::config::{self, Text};

    fn identity() -> Identity {
        Identity { chain: "/x/c.pem".into(), key: "/x/k.pem".into(), roots: PathBuf::from("/x/r.pem") }
    }

    fn sides() -> Vec<Side> {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let servers = |trust, identity: Option<Identity>, target| Side::Servers {
            listen: at(1),
            listen_direct_tls: identity.is_some().then(|| at(6)),
            target,
            trust,
            identity,
        };
        vec![
            Side::Components { target: at(3), secret: "s".to_owned() },
            servers(Trust::DialbackInClear, None, ServerAt::Place(at(2))),
            servers(Trust::Dialback, Some(identity()), ServerAt::Dns),
            servers(Trust::External, Some(identity()), ServerAt::DirectTls(at(2))),
        ]
    }

    #[test]
    fn the_configurations_are_in_order() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let tls = |pins| LinkTls { identity: identity(), pins };
        let radio =
            Medium::Radio { node: at(4), own: "1.1.0.1".to_owned(), far: "1.1.0.2".to_owned(), bits_per_second: 1200 };
        let media = [
            Medium::Tcp { listen: Some(at(5)), connect: None, tls: None },
            Medium::Tcp { listen: None, connect: Some(at(5)), tls: Some(tls(None)) },
            Medium::Tcp { listen: None, connect: Some(at(5)), tls: Some(tls(Some(vec!["AB:".repeat(31) + "AB"]))) },
            radio,
        ];
        for side in sides() {
            for medium in media.clone() {
                let plan = GatewayPlan {
                    own: "hq.test".to_owned(),
                    far: "field.test".to_owned(),
                    side: side.clone(),
                    medium,
                    filter: "none".to_owned(),
                    profile: "skywave".to_owned(),
                    managed: false,
                };
                let text = plan.configuration(Path::new("/x"));
                let file = Text { file: "hq.toml".to_owned(), text: text.clone() };
                if let Err(mistakes) = config::load(&[file], &BTreeMap::new()) {
                    panic!("{mistakes:?}\n{text}");
                }
            }
        }
    }
}

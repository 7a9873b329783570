//! From raw to checked: links that carry chat. Nothing is negotiated on them, so everything is said here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use skywave_protocols::s5066::sis::fields::SapId;
use skywave_protocols::time::Duration;
use skywave_protocols::xmpp::slow::limits::{BLOCK_TEXT_OCTETS_MAX, STANZA_OCTETS_MAX};
use skywave_transports::io::{Authority, Trust};
use skywave_transports::radio::Service;
use skywave_transports::stream::config::{APPLICATION, CONNECTION, CONNECTION_URGENT, SAP_STANDARD};
use skywave_transports::stream::{AcceptFrom, Opener, RcopConfig, TcpConfig, TcpTls};

use super::links::{LinkCheck, Medium, check_quirks};
use super::mistake::{Found, Key};
use super::raw::RawLink;
use super::values::{SYSTEM_AUTHORITY, domain_name, host_and_port, network};
use crate::node::build;
use crate::node::config::{
    Carriage, LinkConfig, LinkSite, StreamManagement, TransportConfig, XmppLinkConfig, XmppProfile, XmppRcopConfig,
};

/// Smallest and largest block before compression, in octets.
const BLOCK_OCTETS: std::ops::RangeInclusive<usize> = 256..=BLOCK_TEXT_OCTETS_MAX;
/// Smallest and largest limit of a stanza, in octets; the largest is the usual one.
const STANZA_OCTETS: std::ops::RangeInclusive<usize> = 1_024..=STANZA_OCTETS_MAX;
/// The one dictionary that a compressed stream of the XEPs can begin with: ours, with the names of both sites.
const DICTIONARY: &str = "skywave-1";
/// Longest linger.
const LINGER_MILLISECONDS_MAX: u64 = 600_000;
/// Smallest application id that is the users' own.
const APPLICATION_MIN: u16 = 0x8000;
/// What confirms a unit over RCOP: the peer's node, or the client there.
const DELIVERY: [(&str, bool); 2] = [("node", false), ("client", true)];
/// Keys of `xmpp_rcop` that `batch_radio` has too.
const BATCH_KEYS: [&str; 3] = ["sap", "connection_id", "application_id"];
/// Digits of a SHA-256 digest.
const PIN_DIGITS: usize = 64;
/// Rate of an IP network that is not said.
const TCP_BITS_PER_SECOND: u32 = 64_000;

impl LinkCheck<'_> {
    /// How chat is written. Keys of chat are mistakes on links that carry none.
    pub(super) fn xmpp(
        &self,
        carriage: Option<Carriage>,
        transport: Option<&TransportConfig>,
        found: &mut Found<'_>,
    ) -> Option<XmppLinkConfig> {
        self.misplaced(carriage, found);
        if carriage != Some(Carriage::Xmpp) {
            return None;
        }
        let (key, link) = (self.key(), self.link);
        let profile = self.profile(transport, found);
        let numbered = matches!(profile, XmppProfile::Skywave | XmppProfile::Units);
        if numbered && link.compression == Some(false) {
            found.wrong(&key.at("compression"), format!("{} always compresses", profile.name()));
        }
        if numbered && link.dictionary.is_some() {
            found.wrong(&key.at("dictionary"), format!("{} has its own", profile.name()));
        }
        let compression = link.compression.unwrap_or(numbered || profile == XmppProfile::MLinkR17);
        if let Some(name) = link.dictionary.as_ref().filter(|name| !numbered && *name != DICTIONARY) {
            let why = format!("{name:?} is none: only {DICTIONARY}, which another product's gateway does not have");
            found.wrong(&key.at("dictionary"), why);
        }
        if link.dictionary.is_some() && !compression {
            found.wrong(&key.at("dictionary"), "is of no use without compression");
        }
        if let Some(octets) = link.max_block_octets.filter(|octets| !BLOCK_OCTETS.contains(octets)) {
            found.wrong(&key.at("max_block_octets"), format!("cannot be {octets}: {}", range(&BLOCK_OCTETS)));
        }
        if let Some(linger) = link.linger_milliseconds.filter(|linger| *linger > LINGER_MILLISECONDS_MAX) {
            found.wrong(&key.at("linger_milliseconds"), format!("cannot be {linger}: 0 to {LINGER_MILLISECONDS_MAX}"));
        }
        let stanza_octets_max = link.stanza_octets_max.unwrap_or(STANZA_OCTETS_MAX);
        if !STANZA_OCTETS.contains(&stanza_octets_max) {
            let reason = format!("cannot be {stanza_octets_max}: {}", range(&STANZA_OCTETS));
            found.wrong(&key.at("stanza_octets_max"), reason);
        }
        if link.one_stanza_per_pdu.is_some() && numbered {
            found.wrong(&key.at("one_stanza_per_pdu"), format!("is of no use: {} has blocks", profile.name()));
        }
        if link.whitespace_interval_seconds.is_some() && (numbered || compression) {
            found.wrong(
                &key.at("whitespace_interval_seconds"),
                "needs a stream in plain text: standard, no compression",
            );
        }
        Some(XmppLinkConfig {
            profile,
            compression,
            dictionary: link.dictionary.clone(),
            stream_management: self.stream_management(profile, transport, found),
            block_octets_max: link.max_block_octets,
            linger: link.linger_milliseconds.map(Duration::from_millis),
            one_stanza_per_unit: link.one_stanza_per_pdu,
            stanza_octets_max,
        })
    }

    /// The profile, and whether it fits the transport.
    fn profile(&self, transport: Option<&TransportConfig>, found: &mut Found<'_>) -> XmppProfile {
        let key = self.key().at("profile");
        let units = matches!(transport, Some(TransportConfig::Acp142Radio { .. } | TransportConfig::Acp142Udp { .. }));
        let usual = if units { XmppProfile::Units } else { XmppProfile::Skywave };
        let all = XmppProfile::ALL.map(|profile| (profile.name(), profile));
        let profile = choice(&key, self.link.profile.as_deref(), &all, found).unwrap_or(usual);
        if transport.is_some() && units != (profile == XmppProfile::Units) {
            let fits = if units { "over acp142 it is units" } else { "units goes over acp142" };
            found.wrong(&key, format!("cannot be {}: {fits}", profile.name()));
        }
        profile
    }

    //= xmpp/RCOP-004
    fn stream_management(
        &self,
        profile: XmppProfile,
        transport: Option<&TransportConfig>,
        found: &mut Found<'_>,
    ) -> StreamManagement {
        let key = self.key().at("stream_management");
        let all = StreamManagement::ALL.map(|management| (management.name(), management));
        let chosen = choice(&key, self.link.stream_management.as_deref(), &all, found).unwrap_or(StreamManagement::Off);
        if chosen != StreamManagement::Off {
            if matches!(profile, XmppProfile::Skywave | XmppProfile::Units) {
                found.wrong(&key, format!("cannot be {}: {} confirms by itself", chosen.name(), profile.name()));
            } else if matches!(transport, Some(TransportConfig::XmppRcop { .. })) {
                found.wrong(&key, format!("cannot be {}: there is none over RCOP (XEP-0365)", chosen.name()));
            }
        }
        chosen
    }

    /// Keys that say nothing about this link.
    fn misplaced(&self, carriage: Option<Carriage>, found: &mut Found<'_>) {
        let (key, link) = (self.key(), self.link);
        let transport = link.transport.as_deref().unwrap_or_default();
        let (Some(carriage), false) = (carriage, transport.is_empty()) else { return };
        let groups: [(bool, &str, &[&str]); 3] = [
            (carriage == Carriage::Xmpp, "carries no chat", &chat_keys(link)),
            (transport == "xmpp_tcp", "is no xmpp_tcp", &tcp_keys(link)),
            (transport == "xmpp_rcop", "is no xmpp_rcop", &rcop_keys(link)),
        ];
        for (fits, why, keys) in groups {
            // Batches have a port of RCOP's or UDOP's too.
            let of_batch = |name: &str| transport == "batch_radio" && BATCH_KEYS.contains(&name);
            for name in keys.iter().filter(|name| !fits && !of_batch(name)) {
                found.wrong(&key.at(name), format!("is of no use: the link {why}"));
            }
        }
    }

    /// Chat over TCP.
    pub(super) fn xmpp_tcp(&self, found: &mut Found<'_>) -> Option<TransportConfig> {
        let (key, link) = (self.key(), self.link);
        let site = self.link.site.first_key_value();
        if link.site.len() > 1 {
            found.wrong(&key.at("site"), "a connection reaches one site");
        }
        let all = Opener::ALL.map(|opener| (opener.name(), opener));
        let opener = choice(&key.at("opener"), link.opener.as_deref(), &all, found).unwrap_or(match &link.connect {
            None => Opener::They,
            Some(_) if link.listen.is_none() => Opener::We,
            Some(_) => Opener::Either,
        });
        if let Some(connect) = &link.connect {
            host_and_port(&key.at("connect"), connect, found);
        }
        let listen = link.listen.as_ref().and_then(|text| {
            let no_address = format!("{text:?} is no address with port, as 192.0.2.1:5270");
            found.take(&key.at("listen"), text.parse::<SocketAddr>().map_err(|_| no_address))
        });
        if opener.listens() && link.listen.is_none() {
            found.wrong(&key.at("listen"), format!("is missing: opener is {}", opener.name()));
        } else if !opener.listens() && link.listen.is_some() {
            found.wrong(&key.at("listen"), "is of no use: we are to open");
        }
        let (name, raw) = site?;
        domain_name(&key.at("site").at(name), name, found);
        let mut tcp = TcpConfig::new(name.as_str().into(), link.connect.clone());
        tcp.opener = opener;
        tcp.accept_from = self.accept_from(found);
        tcp.tls = self.tls(name, found);
        tcp.permanent = link.permanent.unwrap_or(true);
        tcp.white_space = link.whitespace_interval_seconds.map(Duration::from_secs);
        tcp.dscp = link.dscp.unwrap_or_default();
        tcp.bits_per_second = link.bits_per_second.unwrap_or(TCP_BITS_PER_SECOND);
        for (name, why) in tcp.faults() {
            found.wrong(&key.at(name), why);
        }
        if raw.address.is_some() {
            found.wrong(&key.at("site").at(name).at("address"), "is of no use: `connect` says where");
        }
        let address = link.connect.clone().unwrap_or_default();
        let site = LinkSite {
            site: name.as_str().into(),
            id: 0,
            address,
            silent: raw.silent,
            quirks: check_quirks(&key.at("site").at(name).at("quirks"), &raw.quirks, found),
            precedence_ceiling: None,
        };
        Some(TransportConfig::XmppTcp { sites: vec![site], listen, tcp })
    }

    fn accept_from(&self, found: &mut Found<'_>) -> Vec<AcceptFrom> {
        let (key, mut all) = (self.key().at("accept_from"), Vec::new());
        for text in self.link.accept_from.iter().flatten() {
            let exact = text.parse::<SocketAddr>().ok();
            let exact = exact.map(|at| AcceptFrom {
                network: at.ip(),
                prefix: if at.is_ipv4() { 32 } else { 128 },
                port: Some(at.port()),
            });
            let any_port = || network(text).map(|(network, prefix)| AcceptFrom { network, prefix, port: None });
            match exact.or_else(any_port) {
                Some(from) => all.push(from),
                None => found.wrong(&key, format!("{text:?} is none: 192.0.2.1, 192.0.2.0/24 or 192.0.2.1:5270")),
            }
        }
        all
    }

    //= xmpp/X2X-002
    fn tls(&self, site: &str, found: &mut Found<'_>) -> Option<TcpTls> {
        let (key, link) = (self.key(), self.link);
        let modes = [("none", None), ("server", Some(false)), ("mutual", Some(true))];
        let mutual = choice(&key.at("tls"), link.tls.as_deref(), &modes, found).unwrap_or(None);
        let Some(mutual) = mutual else {
            let keys = written([
                ("certificate", link.certificate.is_some()),
                ("authority", link.authority.is_some()),
                ("pins", link.pins.is_some()),
                ("peer_names", link.peer_names.is_some()),
            ]);
            keys.into_iter().for_each(|name| found.wrong(&key.at(name), "is of no use: tls is none"));
            return None;
        };
        if let Some(name) = link.certificate.as_ref().filter(|name| !self.raw.certificate.contains_key(*name)) {
            found.wrong(&key.at("certificate"), format!("there is no [certificate.{name}]"));
        }
        let peer_names = link.peer_names.clone().unwrap_or_else(|| vec![site.to_owned()]);
        for name in &peer_names {
            domain_name(&key.at("peer_names"), name, found);
        }
        let trust = self.trust(found);
        // Whoever shows the pinned certificate is the peer, whatever it is made out for.
        let pinned = matches!(trust, Trust::Pins(_)) && link.peer_names.is_none();
        let server_name = peer_names.first().cloned().unwrap_or_else(|| site.to_owned());
        let peer_names = if pinned { Vec::new() } else { peer_names };
        Some(TcpTls { certificate: link.certificate.clone(), server_name, trust, mutual, peer_names })
    }

    fn trust(&self, found: &mut Found<'_>) -> Trust {
        let (key, link) = (self.key(), self.link);
        match (&link.pins, link.authority.as_deref()) {
            (Some(pins), None) => {
                if pins.is_empty() {
                    found.wrong(&key.at("pins"), "names no certificate");
                }
                for pin in pins {
                    let digits = pin.replace(':', "");
                    if digits.len() != PIN_DIGITS || !digits.bytes().all(|octet| octet.is_ascii_hexdigit()) {
                        found.wrong(&key.at("pins"), format!("{pin:?} is no SHA-256 digest: {PIN_DIGITS} digits"));
                    }
                }
                Trust::Pins(pins.clone())
            }
            (Some(_), Some(_)) => {
                found.wrong(&key.at("pins"), "there is an authority too: one of them decides");
                Trust::Anybody
            }
            (None, None | Some(SYSTEM_AUTHORITY)) => Trust::Authority(Authority::System),
            (None, Some(name)) => {
                if !self.raw.authority.contains_key(name) {
                    found.wrong(&key.at("authority"), format!("there is no [authority.{name}]"));
                }
                Trust::Authority(Authority::Named(name.to_owned()))
            }
        }
    }

    /// Chat over RCOP.
    pub(super) fn xmpp_rcop(&self, found: &mut Found<'_>) -> Option<TransportConfig> {
        let (key, link) = (self.key(), self.link);
        let radio = self.radio(found);
        let sites = self.sites(Medium::Radio, false, found);
        let profile = link.profile.as_deref().unwrap_or_default();
        let skywave = !matches!(profile, "standard" | "m-link-r17");
        if profile == "m-link-r17" && link.application_id.is_none() {
            found.wrong(&key.at("application_id"), "is missing: the guide does not tell the peer's");
        }
        if !skywave && link.urgent_connection_id.is_some() {
            found.wrong(&key.at("urgent_connection_id"), format!("{profile} knows one context"));
        }
        let usual = if skywave { RcopConfig::skywave(BTreeMap::new()) } else { RcopConfig::standard(BTreeMap::new()) };
        let sap = if profile == "standard" { SAP_STANDARD } else { SapId::RCOP };
        let rcop = XmppRcopConfig {
            sap: link.sap.unwrap_or_else(|| sap.number()),
            connection_id: link.connection_id.unwrap_or(CONNECTION),
            urgent_connection_id: skywave.then(|| link.urgent_connection_id.unwrap_or(CONNECTION_URGENT)),
            application_id: link.application_id.unwrap_or(APPLICATION),
            window: link.window.unwrap_or(usual.window),
            expedited: link.expedited.unwrap_or(usual.expedited),
            to_client: choice(&key.at("delivery"), link.delivery.as_deref(), &DELIVERY, found)
                .unwrap_or(usual.to_client),
        };
        if rcop.sap == 0 || SapId::try_from(rcop.sap).is_err() {
            found.wrong(&key.at("sap"), format!("cannot be {}: 1 to 15", rcop.sap));
        }
        if rcop.application_id < APPLICATION_MIN {
            let reason =
                format!("cannot be {:#06x}: the users' own begin at {APPLICATION_MIN:#06x}", rcop.application_id);
            found.wrong(&key.at("application_id"), reason);
        }
        if let Ok(config) = rcop.link(BTreeMap::new()) {
            for (name, why) in config.faults() {
                found.wrong(&key.at(name), why);
            }
        }
        Some(TransportConfig::XmppRcop { radio: radio?, sites, rcop })
    }
}

/// Radio, protocol, SAP, connection id and application id.
type RadioPort = (Arc<str>, Service, u8, u8, u16);

/// Links that would take what is for another: two of one radio at one port.
pub(super) fn check_shared(links: &[LinkConfig], found: &mut Found<'_>) {
    let ports = |link: &LinkConfig| -> Vec<RadioPort> {
        match &link.transport {
            TransportConfig::XmppRcop { radio, rcop, .. } => {
                let ids = [Some(rcop.connection_id), rcop.urgent_connection_id];
                ids.into_iter()
                    .flatten()
                    .map(|id| (radio.clone(), Service::Rcop, rcop.sap, id, rcop.application_id))
                    .collect()
            }
            TransportConfig::Acp142Radio { radio, acp142 } => {
                let air = build::ports(acp142, link.carriage).into_iter();
                let ports = air.flat_map(|air| [air.udop, air.rcop]);
                ports
                    .map(|port| (radio.clone(), port.service, port.sap.number(), port.connection, port.application))
                    .collect()
            }
            TransportConfig::BatchRadio { radio, group, at, .. } => {
                let port = build::batch_port(group.is_some(), *at).into_iter();
                port.map(|port| (radio.clone(), port.service, port.sap.number(), port.connection, port.application))
                    .collect()
            }
            TransportConfig::Acp142Udp { .. } | TransportConfig::XmppTcp { .. } => Vec::new(),
        }
    };
    for (index, link) in links.iter().enumerate() {
        let before = links.iter().take(index);
        let clash = |other: &&LinkConfig| ports(other).iter().any(|port| ports(link).contains(port));
        if let Some(other) = before.into_iter().find(clash) {
            let reason = format!("link {} has the same SAP, connection id and application id", other.name);
            let key =
                if matches!(link.transport, TransportConfig::XmppRcop { .. }) { "connection_id" } else { "radio" };
            found.wrong(&Key::new("link").at(&link.name).at(key), reason);
        }
    }
}

/// What both ends of a link for chat must say alike and do not: the key, and what each says. Nothing of it is
/// negotiated (XEP-0361).
//= xmpp/X2X-001
pub(super) fn differences(ours: &LinkConfig, theirs: &LinkConfig) -> Vec<(&'static str, String, String)> {
    let mut rows: Vec<(&'static str, String, String)> = Vec::new();
    if let (Some(a), Some(b)) = (&ours.xmpp, &theirs.xmpp) {
        let yes_no = |yes: bool| if yes { "true" } else { "false" }.to_owned();
        let named = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
        rows.extend([
            ("profile", a.profile.name().to_owned(), b.profile.name().to_owned()),
            ("compression", yes_no(a.compression), yes_no(b.compression)),
            ("dictionary", named(&a.dictionary), named(&b.dictionary)),
            ("stream_management", a.stream_management.name().to_owned(), b.stream_management.name().to_owned()),
            ("stanza_octets_max", a.stanza_octets_max.to_string(), b.stanza_octets_max.to_string()),
        ]);
    }
    if let (TransportConfig::XmppTcp { tcp: a, .. }, TransportConfig::XmppTcp { tcp: b, .. }) =
        (&ours.transport, &theirs.transport)
    {
        rows.push(("tls", tls_name(a).to_owned(), tls_name(b).to_owned()));
        let fits = a.opener.connects() && b.opener.listens() || b.opener.connects() && a.opener.listens();
        if !fits {
            rows.push(("opener", a.opener.name().to_owned(), format!("{} too", b.opener.name())));
        }
    }
    if let (TransportConfig::XmppRcop { rcop: a, .. }, TransportConfig::XmppRcop { rcop: b, .. }) =
        (&ours.transport, &theirs.transport)
    {
        let id = |id: Option<u8>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        rows.extend([
            ("sap", a.sap.to_string(), b.sap.to_string()),
            ("connection_id", a.connection_id.to_string(), b.connection_id.to_string()),
            ("urgent_connection_id", id(a.urgent_connection_id), id(b.urgent_connection_id)),
            ("application_id", format!("{:#06x}", a.application_id), format!("{:#06x}", b.application_id)),
        ]);
    }
    rows.retain(|(_, ours, theirs)| ours != theirs);
    rows
}

fn tls_name(tcp: &TcpConfig) -> &'static str {
    match &tcp.tls {
        None => "none",
        Some(tls) if tls.mutual => "mutual",
        Some(_) => "server",
    }
}

/// A value by its name, or a mistake; `None` also where nothing is written.
fn choice<T: Copy>(key: &Key, text: Option<&str>, all: &[(&str, T)], found: &mut Found<'_>) -> Option<T> {
    let text = text?;
    let chosen = all.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if chosen.is_none() {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        found.wrong(key, format!("{text:?} is none: {}", names.join(", ")));
    }
    chosen
}

fn range(range: &std::ops::RangeInclusive<usize>) -> String {
    format!("{} to {}", range.start(), range.end())
}

fn written<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter().filter(|(_, is_written)| *is_written).map(|(name, _)| name).collect()
}

fn chat_keys(link: &RawLink) -> Vec<&'static str> {
    written([
        ("profile", link.profile.is_some()),
        ("compression", link.compression.is_some()),
        ("dictionary", link.dictionary.is_some()),
        ("stream_management", link.stream_management.is_some()),
        ("max_block_octets", link.max_block_octets.is_some()),
        ("linger_milliseconds", link.linger_milliseconds.is_some()),
        ("stanza_octets_max", link.stanza_octets_max.is_some()),
    ])
}

fn tcp_keys(link: &RawLink) -> Vec<&'static str> {
    written([
        ("listen", link.listen.is_some()),
        ("connect", link.connect.is_some()),
        ("opener", link.opener.is_some()),
        ("accept_from", link.accept_from.is_some()),
        ("tls", link.tls.is_some()),
        ("certificate", link.certificate.is_some()),
        ("authority", link.authority.is_some()),
        ("pins", link.pins.is_some()),
        ("peer_names", link.peer_names.is_some()),
        ("permanent", link.permanent.is_some()),
        ("whitespace_interval_seconds", link.whitespace_interval_seconds.is_some()),
        ("dscp", link.dscp.is_some()),
    ])
}

fn rcop_keys(link: &RawLink) -> Vec<&'static str> {
    written([
        ("sap", link.sap.is_some()),
        ("connection_id", link.connection_id.is_some()),
        ("urgent_connection_id", link.urgent_connection_id.is_some()),
        ("application_id", link.application_id.is_some()),
        ("window", link.window.is_some()),
        ("expedited", link.expedited.is_some()),
        ("delivery", link.delivery.is_some()),
        ("one_stanza_per_pdu", link.one_stanza_per_pdu.is_some()),
    ])
}

//! Configurations of chat between the sites that worlds, stories and the demo are made of.
//!
//! Each site fronts the domains of all others, as components at its own XMPP server or as a server towards it:
//! `field.test` for the people there, `chat.field.test` for their rooms.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::xmpp::Kind;
use skywave_protocols::xmpp::door::{ComponentConfig, DoorConfig, LocalServer, ServerAuth};
use skywave_protocols::xmpp::presence::PresenceConfig;
use skywave_protocols::xmpp::rules::FilterConfig;
use skywave_protocols::xmpp::rules::config::{ActionConfig, HoldConfig, Many, MatchConfig, RuleConfig};
use skywave_transports::io::Authority;

use super::plan::{CHAT_LINK, ChatPlan, LinkKind, Plan, Servers, full_name, host};
use super::xmpp_server::{COMPONENT_SECRET, XmppServer};
use crate::chat::config::{AlternateLink, ChatConfig, EmconRule, ErrorPolicy, MixedScripts, PeerConfig};
use crate::config::slow::of_link;
use crate::node::config::{Carriage, LinkConfig, TransportConfig, XmppLinkConfig, XmppProfile, XmppRcopConfig};

/// The name of the link for single units.
pub const UNITS_LINK: &str = "chat-units";
/// What the names of further links begin with.
const ALTERNATE_LINK: &str = "chat-sat";
/// A rate that only those have, in bit/s.
const FAST_BITS_PER_SECOND: u32 = 32_000;
/// Servers find a gateway at this port.
const GATEWAY_PORT: u16 = 5268;
/// Largest stanza.
const STANZA_OCTETS: usize = 64 << 10;

impl ChatPlan {
    /// How it is written.
    fn written(&self, profile: XmppProfile) -> XmppLinkConfig {
        XmppLinkConfig {
            profile,
            compression: profile != XmppProfile::Standard,
            dictionary: None,
            stream_management: self.stream_management,
            block_octets_max: None,
            linger: self.linger,
            one_stanza_per_unit: None,
            stanza_octets_max: STANZA_OCTETS,
        }
    }
}

/// Where servers find the gateway of a site.
fn door_address(index: usize) -> SocketAddr {
    SocketAddr::new(host(index), GATEWAY_PORT)
}

/// The domains of a site: its people, its rooms.
pub fn domains(name: &str) -> Vec<String> {
    let people = full_name(name).to_string();
    let rooms = format!("chat.{people}");
    vec![people, rooms]
}

impl Plan {
    /// The links that carry chat.
    pub(super) fn chat_links(&self, index: usize) -> Vec<LinkConfig> {
        let Some(chat) = &self.chat else { return Vec::new() };
        let link = |name: &str, profile, transport| LinkConfig {
            name: name.into(),
            carriage: Carriage::Xmpp,
            transport,
            inflated_octets_max: 1 << 20,
            xmpp: Some(chat.written(profile)),
        };
        if chat.over_tcp {
            let tcp = |other| link(&self.chat_link_name(chat, other), chat.profile, self.sat(index, other));
            return self.others(index).map(tcp).collect();
        }
        let skywave = chat.profile == XmppProfile::Skywave;
        let rcop = XmppRcopConfig {
            sap: if chat.profile == XmppProfile::Standard { 2 } else { 6 },
            connection_id: 0,
            urgent_connection_id: skywave.then_some(3),
            application_id: 0x8001,
            window: if skywave { XmppRcopConfig::default().window } else { 1 },
            expedited: skywave,
            to_client: chat.to_client,
        };
        let sites = self.link_sites(index, LinkKind::Hf);
        let stream = TransportConfig::XmppRcop { radio: "radio".into(), sites, rcop };
        let mut links = vec![link(CHAT_LINK, chat.profile, stream)];
        if chat.emcon == EmconRule::Units {
            let acp142 = self.acp142(index, LinkKind::Hf);
            let units = TransportConfig::Acp142Radio { radio: "radio".into(), acp142 };
            links.push(link(UNITS_LINK, XmppProfile::Units, units));
        }
        if chat.alternate {
            let tcp = |other: usize| link(&self.alternate_link(other), chat.profile, self.sat(index, other));
            links.extend(self.others(index).map(tcp));
        }
        links
    }

    fn alternate_link(&self, other: usize) -> String {
        format!("{ALTERNATE_LINK}-{}", self.names[other])
    }

    /// The filter of a far site, with the rules that the plan asks for.
    fn chat_filter(&self, chat: &ChatPlan, other: usize) -> FilterConfig {
        let mut filter = chat.filter.clone();
        let rule = |octets: usize, action| RuleConfig {
            name: None,
            condition: MatchConfig {
                stanza: Many(vec![Kind::Message]),
                size_octets_over: Some(octets),
                ..MatchConfig::default()
            },
            action: Many(vec![action]),
        };
        let route = chat.route_over.map(|octets| rule(octets, ActionConfig::Route(self.alternate_link(other))));
        let fast = HoldConfig { bits_per_second_min: FAST_BITS_PER_SECOND };
        let hold = chat.hold_over.map(|octets| rule(octets, ActionConfig::HoldUntil(fast)));
        filter.to_link.rule.extend(route.into_iter().chain(hold));
        filter
    }

    fn chat_link_name(&self, chat: &ChatPlan, other: usize) -> String {
        if chat.over_tcp { format!("{CHAT_LINK}-{}", self.names[other]) } else { CHAT_LINK.to_owned() }
    }

    /// The chat of a site.
    pub(super) fn chat_config(&self, index: usize) -> Option<ChatConfig> {
        let chat = self.chat.as_ref()?;
        let own = full_name(&self.names[index]);
        let others: Vec<&String> = self.others(index).map(|other| &self.names[other]).collect();
        let fronted: Vec<String> = others.iter().flat_map(|name| domains(name)).collect();
        Some(ChatConfig {
            domain: own.to_string(),
            listen: if chat.servers == Servers::Components { Vec::new() } else { vec![door_address(index)] },
            listen_direct_tls: Vec::new(),
            authority: Authority::System,
            door: self.door(chat, index, fronted),
            secret_files: BTreeMap::new(),
            dialback_secret_file: None,
            local_stanzas_max: chat.local_stanzas_max,
            peers: self.others(index).map(|other| self.chat_peer(chat, index, other)).collect(),
        })
    }

    fn door(&self, chat: &ChatPlan, index: usize, fronted: Vec<String>) -> DoorConfig {
        let own = full_name(&self.names[index]);
        let locals = domains(&self.names[index]);
        let component = |name: &String| ComponentConfig {
            name: name.clone(),
            target: XmppServer::target(&own),
            secret: COMPONENT_SECRET.to_owned(),
            locals: locals.clone(),
        };
        let plain = DoorConfig { tls_required: false, ..DoorConfig::default() };
        if chat.servers == Servers::Components {
            return DoorConfig { components: fronted.iter().map(component).collect(), fronted, ..plain };
        }
        let by_certificate = chat.servers == Servers::External;
        let server = LocalServer {
            auth: if by_certificate { ServerAuth::External } else { ServerAuth::Dialback },
            ..LocalServer::at(locals, XmppServer::server_target(&own))
        };
        DoorConfig {
            fronted,
            locals: vec![server],
            dialback_secret: format!("of the gateway of {own}"),
            certificate: by_certificate.then(|| "gateway".to_owned()),
            tls_required: by_certificate,
            ..plain
        }
    }

    fn chat_peer(&self, chat: &ChatPlan, index: usize, other: usize) -> PeerConfig {
        let name = self.names[other].as_str();
        let mut names = [domains(&self.names[index]), domains(name)].concat();
        names.sort();
        let units: Arc<str> = UNITS_LINK.into();
        let by_units = || (units, of_link(&chat.written(XmppProfile::Units), names.clone()));
        let alternate = || AlternateLink {
            link: self.alternate_link(other).into(),
            session: of_link(&chat.written(chat.profile), names.clone()),
            silent: false,
        };
        PeerConfig {
            name: name.into(),
            site: full_name(name),
            domains: domains(name),
            local_domains: vec!["*".to_owned()],
            link: self.chat_link_name(chat, other).into(),
            session: of_link(&chat.written(chat.profile), names.clone()),
            units: (chat.emcon == EmconRule::Units).then(by_units),
            alternates: chat.alternate.then(alternate).into_iter().collect(),
            filter: self.chat_filter(chat, other),
            label_groups: chat.label_groups.clone(),
            presence: PresenceConfig::default(),
            precedence: chat.precedence.clone(),
            presence_precedence: Precedence::Deferred,
            queue: chat.queue,
            lives: chat.lives.clone(),
            mixed_scripts: MixedScripts::Tell,
            errors: ErrorPolicy::Return,
            emcon: chat.emcon,
            silent: self.silent.iter().any(|silent| silent == name),
            stanza_octets_max: STANZA_OCTETS,
        }
    }
}

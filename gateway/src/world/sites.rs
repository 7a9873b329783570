//! Configurations of the sites that worlds, stories and the demo are made of.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use skywave_protocols::acp142::config::{EngineConfig, SilentPlan};
use skywave_protocols::acp142::quirks::Quirks;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::event::BackOff;
use skywave_protocols::smtp::grammar::Extensions;
use skywave_protocols::smtp::headers::MmhsUnknown;
use skywave_protocols::time::Duration;
use skywave_transports::acp142::udp::GLOBAL_GROUP;
use skywave_transports::batch::BATCH_OCTETS_MAX;
use skywave_transports::modem::weather::{Weather, WeatherGroup};
use skywave_transports::stream::{AcceptFrom, TcpConfig};
use skywave_transports::transport::SiteName;

use super::plan::{GROUP_ADDRESS, LinkKind, Plan, full_name, host};
use crate::node::acp142_options::Acp142Options;
use crate::node::config::{
    Acp142LinkConfig, BatchPort, Carriage, DynamicGroupsConfig, LinkConfig, LinkSite, LocalConfig, MailConfig,
    RadioConfig, Route, SiteConfig, TransportConfig, XmppLinkConfig, XmppRcopConfig,
};

impl Plan {
    /// The configuration of a site.
    pub fn site(&self, index: usize) -> SiteConfig {
        let name = full_name(&self.names[index]);
        let radio = self.chat.is_some() || self.links.iter().any(|link| link.is_radio());
        let links = self.links.iter().flat_map(|&kind| self.links_of(index, kind));
        SiteConfig {
            capture: false,
            chat: self.chat_config(index),
            site: name.clone(),
            mail: self::mail(&name),
            local: vec![local(&name)],
            radios: if radio { vec![self.radio(index)] } else { Vec::new() },
            links: links.chain(self.chat_links(index)).collect(),
            batch_mail: Vec::new(),
            routes: self.others(index).map(|other| self.route(other)).collect(),
            queue: self.queue.clone(),
        }
    }

    /// The STANAG 5066 address of a site.
    pub fn address(&self, index: usize) -> String {
        self.addresses.get(&self.names[index]).cloned().unwrap_or_else(|| format!("1.2.3.{}", index + 5))
    }

    /// Fits a weather to these sites: its stations are given by us, and the group of all has all of them.
    pub fn fit(&self, weather: &mut Weather) {
        let names: Vec<String> = self.names.iter().map(|name| full_name(name).to_string()).collect();
        weather.stations.retain(|station| !names.contains(&station.name));
        weather.groups.retain(|group| group.address != GROUP_ADDRESS);
        weather.groups.push(WeatherGroup { address: GROUP_ADDRESS.to_owned(), members: names });
    }

    pub(super) fn others(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.names.len()).filter(move |&other| other != index)
    }

    fn radio(&self, index: usize) -> RadioConfig {
        RadioConfig {
            name: "radio".into(),
            node: station_target(&self.names[index]),
            address: self.address(index),
            rank: 0,
            bits_per_second: self.bits_per_second,
            turnaround: self.turnaround,
            air_ahead: Duration::from_secs(10),
            confirm_ahead: Duration::from_secs(255),
            dscp: 0,
            priorities: Precedence::SIS_PRIORITIES,
            address_half_octets: NodeAddress::SIZE_MAX,
            hold_link: None,
            manage_sap: self.manage_sap,
            zero_counters: false,
            keep_alive: Some(Duration::from_secs(120)),
            back_off: BackOff::default(),
        }
    }

    fn route(&self, other: usize) -> Route {
        let site = full_name(&self.names[other]);
        let links = self.links.iter().filter(|kind| kind.carriage().takes_mail());
        let links = links.map(|kind| kind.name().into()).collect();
        Route { domains: vec![site.to_string()], site, links }
    }

    /// One link of a kind, or as many as there are other sites where a link reaches but one.
    fn links_of(&self, index: usize, kind: LinkKind) -> Vec<LinkConfig> {
        if kind != LinkKind::Sat {
            return vec![self.link(index, kind)];
        }
        let sat = |other: usize| {
            let name = if self.names.len() > 2 { format!("sat-{}", self.names[other]) } else { "sat".to_owned() };
            LinkConfig { name: name.into(), transport: self.sat(index, other), ..self.link(index, kind) }
        };
        self.others(index).map(sat).collect()
    }

    /// Each listens for each other at a port of its own, and either opens.
    pub(super) fn sat(&self, index: usize, other: usize) -> TransportConfig {
        let port = |of: usize| 5270 + of as u16;
        let target = SocketAddr::new(host(other), port(index)).to_string();
        let mut tcp = TcpConfig::new(full_name(&self.names[other]), Some(target));
        tcp.bits_per_second = self.chat.as_ref().map_or(tcp.bits_per_second, |chat| chat.tcp_bits_per_second);
        tcp.accept_from = vec![AcceptFrom { network: host(other), prefix: 32, port: None }];
        let sites = self.link_sites(index, LinkKind::Sat);
        let sites = sites.into_iter().filter(|site| site.site == tcp.site).collect();
        TransportConfig::XmppTcp { sites, listen: Some(SocketAddr::new(host(index), port(other))), tcp }
    }

    fn link(&self, index: usize, kind: LinkKind) -> LinkConfig {
        let transport = match kind {
            LinkKind::Sat => self.sat(index, self.others(index).next().unwrap_or(index)),
            LinkKind::Chat => TransportConfig::XmppRcop {
                radio: "radio".into(),
                sites: self.link_sites(index, kind),
                rcop: XmppRcopConfig::default(),
            },
            LinkKind::Hf => TransportConfig::Acp142Radio { radio: "radio".into(), acp142: self.acp142(index, kind) },
            LinkKind::Udp | LinkKind::Groups => TransportConfig::Acp142Udp {
                acp142: self.acp142(index, kind),
                bind: host(index),
                ports: [2751, 2752, 2753, 2754],
                bits_per_second: 64_000,
                groups: (kind == LinkKind::Groups).then(|| DynamicGroupsConfig {
                    global_group: GLOBAL_GROUP,
                    range: (Ipv4Addr::new(239, 192, 0, 0), Ipv4Addr::new(239, 192, 255, 255)),
                    wait_for_reject: Duration::from_secs(5),
                    announce_delay: Duration::from_secs(5),
                    announcements: 5,
                }),
            },
            LinkKind::Batch => TransportConfig::BatchRadio {
                radio: "radio".into(),
                sites: self.link_sites(index, kind),
                group: None,
                repeats: 1,
                repeat_gap: Duration::from_secs(300),
                at: BatchPort::default(),
                extensions: Extensions::BATCH,
                octets_max: BATCH_OCTETS_MAX,
            },
        };
        let carriage = kind.carriage();
        let xmpp = (carriage == Carriage::Xmpp).then(XmppLinkConfig::default);
        LinkConfig { name: kind.name().into(), carriage, transport, inflated_octets_max: 64 << 20, xmpp }
    }

    pub(super) fn acp142(&self, index: usize, kind: LinkKind) -> Acp142LinkConfig {
        let many = self.names.len() > 2;
        let (group, pdu_octets_max) = match kind {
            LinkKind::Hf | LinkKind::Batch | LinkKind::Sat | LinkKind::Chat => {
                (many.then(|| GROUP_ADDRESS.to_owned()), EngineConfig::pdu_octets_by_rate(self.bits_per_second))
            }
            LinkKind::Udp | LinkKind::Groups => (Some("239.1.1.7".to_owned()), 1400),
        };
        Acp142LinkConfig {
            id: index as u32 + 1,
            sites: self.link_sites(index, kind),
            group,
            pdu_octets_max,
            pdu_octets_arq: matches!(kind, LinkKind::Hf | LinkKind::Chat).then(EngineConfig::pdu_octets_by_arq),
            ack_wait: None,
            back_off_hundredths: 150,
            emcon: [SilentPlan { interval: Duration::from_secs(600), repeats: 3 }; 6],
            options: Acp142Options::default(),
        }
    }

    pub(super) fn link_sites(&self, index: usize, kind: LinkKind) -> Vec<LinkSite> {
        let site = |other: usize| LinkSite {
            site: full_name(&self.names[other]),
            id: other as u32 + 1,
            address: match kind {
                LinkKind::Hf | LinkKind::Batch | LinkKind::Chat => self.address(other),
                LinkKind::Udp | LinkKind::Groups | LinkKind::Sat => host(other).to_string(),
            },
            silent: self.silent.contains(&self.names[other]),
            quirks: Quirks::default(),
            precedence_ceiling: None,
        };
        self.others(index).map(site).collect()
    }
}

/// Where a site finds its STANAG 5066 node.
pub fn station_target(name: &str) -> String {
    format!("{name}.radio:5066")
}

fn mail(name: &SiteName) -> MailConfig {
    MailConfig {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 2525))],
        submission: Vec::new(),
        hostname: name.to_string(),
        size_octets_max: 20_000_000,
        recipients_max: 1000,
        connections_max: 100,
        relay_networks: vec![(IpAddr::from([127, 0, 0, 0]), 8)],
        certificate: None,
        auth: false,
        auth_without_tls: false,
        precedence_default: Precedence::Routine,
        precedence_ceiling: MtPriority::try_from(9).unwrap_or(Precedence::Override.mt_priority()),
        mmhs_unknown: MmhsUnknown::default(),
        hops_max: 30,
        batch_address: None,
        postmaster: format!("postmaster@{name}"),
    }
}

fn local(name: &SiteName) -> LocalConfig {
    LocalConfig {
        name: Arc::from("local"),
        domains: vec![name.to_string()],
        target: format!("mta.{name}:25"),
        connections_max: 10,
        connections_urgent: 2,
        keep_open: None,
        final_delivery: true,
        octets_in_flight_max: 32 << 20,
    }
}

//! Radios and links as the configuration names them.
//!
//! What cannot be built is told as an alarm and left out: the rest of the site works.

use std::collections::BTreeMap;
use std::net::IpAddr;

use skywave_protocols::acp142::config::{EngineConfig, Medium};
use skywave_protocols::acp142::dynamic_group::GroupConfig;
use skywave_protocols::acp142::pdu::NodeId;
use skywave_protocols::random::Seeded;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::fields::{Rank, SapId};
use skywave_protocols::time::{Duration, Now};
use skywave_transports::acp142::{self, Acp142Link, Air, AirConfig, Group, Site, Udp, UdpConfig};
use skywave_transports::batch::{BatchConfig, BatchLink};
use skywave_transports::radio::{AirLink, Port, Radio};
use skywave_transports::stream::{RcopLink, TcpLink};
use skywave_transports::transport::{SiteName, Transport as _};

use super::Node;
use super::acp142_options::CONNECTION_MAX;
use super::config::{
    Acp142LinkConfig, BatchPort, Carriage, DynamicGroupsConfig, LinkConfig, LinkSite, RadioConfig, TransportConfig,
};

/// Application id of chat units over ACP 142 (defaults.md).
const CHAT_UNITS: u16 = 0x8003;
/// Turn of a network that is no radio.
const IP_TURNAROUND: Duration = Duration::from_millis(600);

impl Node {
    /// Builds all radios and links.
    pub(super) fn build_links(&mut self, now: Now) {
        let mut carriers = BTreeMap::new();
        for config in self.config.radios.clone() {
            match self.radio(&config) {
                Ok(radio) => drop(carriers.insert(config.name.clone(), (self.links.add_radio(radio), config))),
                Err(why) => self.notice(&config.name, true, "radio_unusable", why),
            }
        }
        for config in self.config.links.clone() {
            if let Err(why) = self.build_link(now, &config, &carriers) {
                self.notice(&config.name, true, "link_unusable", why);
            }
        }
    }

    fn radio(&mut self, config: &RadioConfig) -> Result<Radio, String> {
        let mut radio =
            skywave_transports::radio::RadioConfig::new(config.node.clone(), node_address(&config.address)?);
        radio.rank = Rank::try_from(config.rank).map_err(|error| error.to_string())?;
        radio.bits_per_second = config.bits_per_second;
        radio.turnaround = config.turnaround;
        radio.air_ahead = config.air_ahead;
        radio.confirm_ahead = config.confirm_ahead;
        radio.dscp = config.dscp;
        radio.priorities = config.priorities;
        radio.address_half_octets = config.address_half_octets;
        radio.hold_link = config.hold_link;
        radio.quirks.counters_in_every_indication = config.zero_counters;
        radio.keep_alive = config.keep_alive;
        radio.back_off = config.back_off;
        radio.manage_sap = config.manage_sap.map(SapId::from_low_bits);
        radio.capture = self.config.capture;
        match radio.faults().as_slice() {
            [] => Ok(Radio::new(radio, Box::new(self.seeded()))),
            faults => Err(faults.iter().map(|(key, why)| format!("{key}: {why}")).collect::<Vec<_>>().join("; ")),
        }
    }

    fn build_link(
        &mut self,
        now: Now,
        config: &LinkConfig,
        carriers: &BTreeMap<std::sync::Arc<str>, (usize, RadioConfig)>,
    ) -> Result<(), String> {
        match &config.transport {
            TransportConfig::Acp142Radio { radio, acp142 } => {
                let (carrier, radio) = carriers.get(radio).ok_or_else(|| format!("there is no radio {radio}"))?;
                let core = core(acp142, &acp142::radio_medium(radio.bits_per_second, radio.turnaround))?;
                let air = air(acp142, config.carriage)?;
                let link = Acp142Link::new(core, Air::new(air), now, self.seeded());
                self.add_air_link(*carrier, config, Box::new(link));
            }
            TransportConfig::Acp142Udp { acp142, bind, ports, bits_per_second, groups } => {
                let mut core = core(acp142, &acp142::ip_medium(*bits_per_second, IP_TURNAROUND))?;
                let mut udp = udp(acp142, *bind, *ports)?;
                udp.global_group = groups.as_ref().map(|groups| groups.global_group);
                core.engine.groups = groups.as_ref().map(|groups| dynamic_groups(groups, &core.engine));
                let link = Acp142Link::new(core, Udp::new(udp), now, self.seeded());
                self.links.add_direct(config, Box::new(link));
            }
            TransportConfig::BatchRadio { radio, sites, group, repeats, repeat_gap, at, extensions: _, octets_max } => {
                let (carrier, radio) = carriers.get(radio).ok_or_else(|| format!("there is no radio {radio}"))?;
                let mut batch = batch(sites, group.as_deref(), *repeats, radio)?;
                batch.port = batch_port(group.is_some(), *at).map_err(|(key, why)| format!("{key} {why}"))?;
                batch.round_gap = *repeat_gap;
                batch.unit_octets_max = *octets_max;
                let mut link = BatchLink::new(batch, self.random.as_mut());
                for site in sites.iter().filter(|site| site.silent) {
                    link.set_silence(now, &site.site, true);
                }
                self.add_air_link(*carrier, config, Box::new(link));
            }
            TransportConfig::XmppTcp { listen, tcp, .. } => {
                let link = TcpLink::new(tcp.clone(), self.seeded());
                self.links.add_direct(config, Box::new(link));
                if let Some(at) = listen {
                    self.links.listen(*at);
                }
            }
            TransportConfig::XmppRcop { radio, sites, rcop } => {
                let (carrier, radio) = carriers.get(radio).ok_or_else(|| format!("there is no radio {radio}"))?;
                let mut rcop = rcop.link(addresses(sites)?)?;
                rcop.bits_per_second = radio.bits_per_second;
                rcop.turnaround = radio.turnaround;
                let link = RcopLink::new(rcop, self.random.as_mut());
                self.add_air_link(*carrier, config, Box::new(link));
            }
        }
        Ok(())
    }

    fn add_air_link(&mut self, carrier: usize, config: &LinkConfig, link: Box<dyn AirLink>) {
        self.links.add_to_radio(carrier, config, link);
    }

    /// A generator of its own for a part: jitter and delays need no secrets.
    fn seeded(&mut self) -> Seeded {
        Seeded::new(self.random.number())
    }
}

/// What carries the PDUs of an ACP 142 link.
fn medium(link: &LinkConfig, radio: Option<&RadioConfig>) -> Option<Medium> {
    match (&link.transport, radio) {
        (TransportConfig::Acp142Radio { .. }, Some(radio)) => {
            Some(acp142::radio_medium(radio.bits_per_second, radio.turnaround))
        }
        (TransportConfig::Acp142Udp { bits_per_second, .. }, _) => {
            Some(acp142::ip_medium(*bits_per_second, IP_TURNAROUND))
        }
        (TransportConfig::Acp142Radio { .. }, None)
        | (
            TransportConfig::BatchRadio { .. } | TransportConfig::XmppTcp { .. } | TransportConfig::XmppRcop { .. },
            _,
        ) => None,
    }
}

/// What both ends of a mail link must have alike: the key, and what this end has, said or not.
pub fn agreed(link: &LinkConfig, radio: Option<&RadioConfig>) -> Vec<(&'static str, String)> {
    if let TransportConfig::BatchRadio { group, at, octets_max, .. } = &link.transport {
        let port = batch_port(group.is_some(), *at).into_iter();
        let rows = port.flat_map(|port| port_rows(&["sap", "connection_id", "application_id"], port));
        return rows.chain([("batch_octets_max", octets_max.to_string())]).collect();
    }
    let (Some(medium), Some(acp142)) = (medium(link, radio), link.transport.acp142()) else { return Vec::new() };
    let Ok(acp142::Config { engine, .. }) = engine(acp142, &medium) else { return Vec::new() };
    let mut rows = vec![
        ("acp142.ack_delay_seconds", format!("{:?}", engine.ack_delay_per_receiver)),
        ("acp142.ack_delay_seconds_max", format!("{:?}", engine.ack_delay_max)),
        ("acp142.unit_octets_max", engine.message_octets_max.to_string()),
        ("acp142.priorities", engine.priorities.map_or_else(|| "as RFC 8494".to_owned(), |table| format!("{table:?}"))),
    ];
    if let (TransportConfig::Acp142Radio { .. }, Ok(air)) = (&link.transport, ports(acp142, link.carriage)) {
        rows.push(("acp142.arq", air.arq.to_string()));
        rows.push(("acp142.udop_sap", air.udop.sap.number().to_string()));
        rows.extend(port_rows(&["acp142.rcop_sap", "acp142.rcop_connection_id", "acp142.application_id"], air.rcop));
    }
    rows
}

fn port_rows(keys: &[&'static str; 3], port: Port) -> [(&'static str, String); 3] {
    let [sap, connection, application] = *keys;
    [
        (sap, port.sap.number().to_string()),
        (connection, port.connection.to_string()),
        (application, port.application.to_string()),
    ]
}

/// What a link's own engine says against its configuration: key and reason.
pub fn mistakes(link: &LinkConfig, radio: Option<&RadioConfig>) -> Vec<(String, String)> {
    if let TransportConfig::BatchRadio { group, at, .. } = &link.transport {
        let wrong = batch_port(group.is_some(), *at).err();
        return wrong.into_iter().map(|(key, why)| (key.to_owned(), why)).collect();
    }
    let (Some(medium), Some(acp142)) = (medium(link, radio), link.transport.acp142()) else { return Vec::new() };
    let wrong = acp142.options.apply_to_udp(&mut UdpConfig::new()).err();
    let wrong = wrong.map(|(key, why)| (format!("acp142.{key}"), why));
    let mut mistakes = match engine(acp142, &medium) {
        Ok(config) => config.mistakes(),
        Err(why) => vec![("site".to_owned(), why)],
    };
    if let (TransportConfig::Acp142Radio { .. }, Err((key, why))) = (&link.transport, ports(acp142, link.carriage)) {
        mistakes.push((format!("acp142.{key}"), why));
    }
    mistakes.extend(wrong);
    mistakes
}

fn core(link: &Acp142LinkConfig, medium: &Medium) -> Result<acp142::Config, String> {
    let config = engine(link, medium)?;
    match config.mistakes().as_slice() {
        [] => Ok(config),
        mistakes => Err(mistakes.iter().map(|(key, why)| format!("{key}: {why}")).collect::<Vec<_>>().join("; ")),
    }
}

fn engine(link: &Acp142LinkConfig, medium: &Medium) -> Result<acp142::Config, String> {
    let Medium { bits_per_second, turnaround, .. } = *medium;
    let mut engine = EngineConfig::new(NodeId(link.id));
    engine.pdu_octets_max = link.pdu_octets_max;
    engine.pdu_octets_arq = link.pdu_octets_arq.filter(|_| link.options.uses_arq());
    engine.back_off_percent = link.back_off_hundredths;
    engine.silent = link.emcon;
    engine.pace(medium);
    if let Some(wait) = link.ack_wait {
        engine.ack_wait = wait;
        engine.ack_wait_max = engine.ack_wait_max.max(wait);
    }
    link.options.apply(&mut engine);
    for site in &link.sites {
        engine.quirks.insert(NodeId(site.id), site.quirks);
    }
    let sites: Vec<Site> = link
        .sites
        .iter()
        .map(|site| Site { name: site.site.clone(), id: NodeId(site.id), silent: site.silent })
        .collect();
    let members = sites.iter().map(|site| site.name.clone()).collect();
    let group = link.group.is_some().then_some(Group { members });
    Ok(acp142::Config { engine, sites, group, bits_per_second, turnaround })
}

fn dynamic_groups(config: &DynamicGroupsConfig, engine: &EngineConfig) -> GroupConfig {
    let (first, last) = config.range;
    GroupConfig {
        id: engine.id,
        range: (first.into(), last.into()),
        wait_for_reject: config.wait_for_reject,
        announce_delay: config.announce_delay,
        announcements: config.announcements,
        pdu_octets_max: engine.pdu_octets_max,
        checksum: engine.checksum,
    }
}

fn air(link: &Acp142LinkConfig, carriage: Carriage) -> Result<AirConfig, String> {
    let mut air = ports(link, carriage).map_err(|(key, why)| format!("{key} {why}"))?;
    for site in &link.sites {
        air.addresses.insert(NodeId(site.id), node_address(&site.address)?);
    }
    air.group = link.group.as_deref().map(node_address).transpose()?;
    Ok(air)
}

/// How a link uses the radio, as far as it is not about addresses.
///
/// # Errors
/// A key, and what is wrong with it.
pub fn ports(link: &Acp142LinkConfig, carriage: Carriage) -> Result<AirConfig, (&'static str, String)> {
    let mut air = AirConfig::new();
    if carriage == Carriage::Xmpp {
        (air.udop.application, air.rcop.application) = (CHAT_UNITS, CHAT_UNITS);
    }
    link.options.apply_to_air(&mut air)?;
    Ok(air)
}

fn udp(link: &Acp142LinkConfig, bind: IpAddr, ports: [u16; 4]) -> Result<UdpConfig, String> {
    let address = |text: &str| text.parse::<IpAddr>().map_err(|error| format!("{text}: {error}"));
    let mut udp = UdpConfig::new();
    link.options.apply_to_udp(&mut udp).map_err(|(key, why)| format!("{key} {why}"))?;
    udp.bind = bind;
    let [transmitters, receivers, data, acks] = ports;
    udp.ports = acp142::udp::Ports { transmitters, receivers, data, acks };
    for site in &link.sites {
        udp.addresses.insert(NodeId(site.id), address(&site.address)?);
    }
    udp.group = link.group.as_deref().map(address).transpose()?;
    Ok(udp)
}

fn batch(sites: &[LinkSite], group: Option<&str>, repeats: u8, radio: &RadioConfig) -> Result<BatchConfig, String> {
    let sites = addresses(sites)?;
    let mut batch = match group {
        Some(group) => BatchConfig::udop(sites, Some(node_address(group)?)),
        None => BatchConfig::rcop(sites),
    };
    batch.rounds = repeats.max(1);
    batch.bits_per_second = radio.bits_per_second;
    batch.turnaround = radio.turnaround;
    Ok(batch)
}

/// Where batches go at the nodes.
///
/// # Errors
/// A key, and what is wrong with it.
pub fn batch_port(by_udop: bool, at: BatchPort) -> Result<Port, (&'static str, String)> {
    let mut port = match by_udop {
        true => BatchConfig::udop(BTreeMap::new(), None).port,
        false => BatchConfig::rcop(BTreeMap::new()).port,
    };
    if let Some(sap) = at.sap {
        let one = SapId::try_from(sap).ok().filter(|_| sap > 0);
        port.sap = one.ok_or_else(|| ("sap", format!("cannot be {sap}: 1 to 15")))?;
    }
    if let Some(id) = at.connection_id {
        port.connection = id;
        if id > CONNECTION_MAX {
            return Err(("connection_id", format!("cannot be {id}: 0 to {CONNECTION_MAX}")));
        }
    }
    port.application = at.application_id.unwrap_or(port.application);
    Ok(port)
}

fn node_address(text: &str) -> Result<NodeAddress, String> {
    text.parse::<NodeAddress>().map_err(|error| format!("{text}: {error}"))
}

fn addresses(sites: &[LinkSite]) -> Result<BTreeMap<SiteName, NodeAddress>, String> {
    let address = |site: &LinkSite| node_address(&site.address).map(|address| (site.site.clone(), address));
    sites.iter().map(address).collect()
}

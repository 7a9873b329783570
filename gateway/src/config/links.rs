//! From raw to checked: radios, links and routes, and whether they fit each other.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use skywave_protocols::acp142::config::{EngineConfig, SILENT_USUAL, SilentPlan};
use skywave_protocols::acp142::quirks::Quirks;
use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::event::BackOff;
use skywave_protocols::s5066::sis::limits::KEEP_ALIVE_INTERVAL;
use skywave_protocols::smtp::grammar::Extensions;
use skywave_protocols::time::Duration;
use skywave_transports::batch::BATCH_OCTETS_MAX;
use skywave_transports::radio;

use super::check;
use super::mistake::{Found, Key};
use super::raw::{Raw, RawLink, RawRadio};
use super::raw_site::{RawDynamicGroups, RawQuirks, RawSilentPlan, RawSite};
use super::values::{domain_name, host_and_port, node_address, positive};
use crate::node::build;
use crate::node::config::{
    Acp142LinkConfig, BatchMailConfig, BatchPort, Carriage, DynamicGroupsConfig, LinkConfig, LinkSite, RadioConfig,
    Route, TransportConfig,
};

/// Ranks of clients (STANAG 5066 annex A; 15 is for management).
const RANK_MAX: u8 = 14;
const SAP_MAX: u8 = 15;
/// Fastest radio that the pacing is made for.
const RADIO_BITS_PER_SECOND_MAX: u32 = 1_000_000;
const HOLD_LINK_SECONDS_MAX: u64 = 3_600;
const SESSION_SECONDS_MAX: u64 = 86_400;
/// Full repeats to a silent site.
const EMCON_REPEATS_MAX: u32 = 1_000;
/// How often a batch goes to a group.
const BATCH_REPEATS_MAX: u8 = 16;
/// Smallest and largest P_MUL PDU; a U_PDU of a node takes 2048 octets, 6 of them UDOP's.
const PDU_OCTETS_MIN: usize = 64;
const PDU_OCTETS_RADIO_MAX: usize = 2_042;
const PDU_OCTETS_UDP_MAX: usize = 65_000;
const PDU_OCTETS_UDP: usize = 1_400;
/// What a batch may use beyond what everybody reads.
const BATCH_EXTENSIONS: [&str; 3] = ["MT-PRIORITY", "DELIVERBY", "SMTPUTF8"];

pub(super) fn radios(raw: &Raw, found: &mut Found<'_>) -> Vec<RadioConfig> {
    raw.radio.iter().filter_map(|(name, radio)| check_radio(name, radio, found)).collect()
}

fn check_radio(name: &str, raw: &RawRadio, found: &mut Found<'_>) -> Option<RadioConfig> {
    let key = Key::new("radio").at(name);
    let node = found.required(&key.at("node"), raw.node.as_ref());
    if let Some(node) = &node {
        host_and_port(&key.at("node"), node, found);
    }
    let address = found.required(&key.at("address"), raw.address.as_ref());
    if let Some(address) = &address {
        node_address(&key.at("address"), address, false, found);
    }
    if raw.rank > RANK_MAX {
        found.wrong(&key.at("rank"), format!("cannot be {}: 0 to {RANK_MAX}", raw.rank));
    }
    if !(1..=RADIO_BITS_PER_SECOND_MAX).contains(&raw.bits_per_second) {
        let reason = format!("cannot be {}: 1 to {RADIO_BITS_PER_SECOND_MAX}", raw.bits_per_second);
        found.wrong(&key.at("bits_per_second"), reason);
    }
    positive(&key.at("air_ahead_seconds"), raw.air_ahead_seconds, found);
    if raw.hold_link_seconds > HOLD_LINK_SECONDS_MAX {
        let reason = format!("cannot be {}: at most {HOLD_LINK_SECONDS_MAX}", raw.hold_link_seconds);
        found.wrong(&key.at("hold_link_seconds"), reason);
    }
    if let Some(sap) = raw.manage_sap.filter(|&sap| sap > SAP_MAX) {
        found.wrong(&key.at("manage_sap"), format!("cannot be {sap}: 0 to {SAP_MAX}"));
    }
    check_session(&key, raw, found);
    check_use(&key, raw, found);
    Some(RadioConfig {
        name: name.into(),
        node: node?,
        address: address?,
        rank: raw.rank,
        bits_per_second: raw.bits_per_second,
        turnaround: Duration::from_millis(raw.turnaround_milliseconds),
        air_ahead: Duration::from_secs(raw.air_ahead_seconds),
        confirm_ahead: Duration::from_secs(raw.confirm_ahead_seconds),
        dscp: raw.dscp,
        priorities: raw.priorities,
        address_half_octets: raw.address_half_octets,
        hold_link: (raw.hold_link_seconds > 0).then(|| Duration::from_secs(raw.hold_link_seconds)),
        manage_sap: raw.manage_sap,
        zero_counters: raw.zero_counters,
        keep_alive: (raw.keep_alive_seconds > 0).then(|| Duration::from_secs(raw.keep_alive_seconds)),
        back_off: BackOff {
            first: Duration::from_secs(raw.reconnect_first_seconds),
            longest: Duration::from_secs(raw.reconnect_longest_seconds),
        },
    })
}

/// How the node is used, as the radio itself sees it.
fn check_use(key: &Key, raw: &RawRadio, found: &mut Found<'_>) {
    let mut own = radio::RadioConfig::new("node:5066", NodeAddress::individual(1));
    (own.dscp, own.priorities, own.address_half_octets) = (raw.dscp, raw.priorities, raw.address_half_octets);
    own.confirm_ahead = Duration::from_secs(raw.confirm_ahead_seconds);
    own.faults().into_iter().for_each(|(name, why)| found.wrong(&key.at(name), why));
}

/// How often, and how soon after each other, sessions with the node are tried and kept alive.
fn check_session(key: &Key, raw: &RawRadio, found: &mut Found<'_>) {
    let least = KEEP_ALIVE_INTERVAL.as_secs();
    if raw.keep_alive_seconds != 0 && !(least..=SESSION_SECONDS_MAX).contains(&raw.keep_alive_seconds) {
        let reason = format!("cannot be {}: 0, or {least} to {SESSION_SECONDS_MAX}", raw.keep_alive_seconds);
        found.wrong(&key.at("keep_alive_seconds"), reason);
    }
    positive(&key.at("reconnect_first_seconds"), raw.reconnect_first_seconds, found);
    if !(raw.reconnect_first_seconds..=SESSION_SECONDS_MAX).contains(&raw.reconnect_longest_seconds) {
        let reason = format!("must be reconnect_first_seconds to {SESSION_SECONDS_MAX}");
        found.wrong(&key.at("reconnect_longest_seconds"), reason);
    }
}

pub(super) fn links(raw: &Raw, own: &str, found: &mut Found<'_>) -> Vec<LinkConfig> {
    raw.link.iter().filter_map(|(name, link)| LinkCheck { raw, own, name, link }.check(found)).collect()
}

/// One link while it is checked.
pub(super) struct LinkCheck<'a> {
    pub(super) raw: &'a Raw,
    pub(super) own: &'a str,
    pub(super) name: &'a str,
    pub(super) link: &'a RawLink,
}

impl LinkCheck<'_> {
    pub(super) fn key(&self) -> Key {
        Key::new("link").at(self.name)
    }

    fn check(&self, found: &mut Found<'_>) -> Option<LinkConfig> {
        let key = self.key();
        positive(&key.at("inflated_octets_max"), self.link.inflated_octets_max as u64, found);
        if self.link.site.is_empty() {
            found.wrong(&key.at("site"), "the link reaches no site");
        }
        if self.link.site.contains_key(self.own) {
            found.wrong(&key.at("site").at(self.own), "is this site itself");
        }
        let carriage = found.required(&key.at("carriage"), self.link.carriage.as_ref());
        let carriage = carriage.and_then(|text| match text.as_str() {
            "mule" => Some(Carriage::Mule),
            "batch" => Some(Carriage::Batch),
            "xmpp" => Some(Carriage::Xmpp),
            other => {
                found.wrong(&key.at("carriage"), format!("{other:?} is none: mule, batch, xmpp"));
                None
            }
        });
        let transport = self.transport(found);
        if self.link.dynamic_groups.is_some() && self.link.transport.as_deref() != Some("acp142_udp") {
            found.wrong(&key.at("dynamic_groups"), "only transport acp142_udp has them");
        }
        if let (Some(carriage), Some(transport)) = (carriage, &transport)
            && !fits(carriage, transport)
        {
            found.wrong(
                &key.at("transport"),
                "does not fit the carriage: mule goes over acp142, batch over batch_radio, xmpp over xmpp_tcp, \
                 xmpp_rcop or acp142",
            );
        }
        let xmpp = self.xmpp(carriage, transport.as_ref(), found);
        Some(LinkConfig {
            name: self.name.into(),
            carriage: carriage?,
            transport: transport?,
            inflated_octets_max: self.link.inflated_octets_max,
            xmpp,
        })
    }

    fn transport(&self, found: &mut Found<'_>) -> Option<TransportConfig> {
        let key = self.key();
        let transport = found.required(&key.at("transport"), self.link.transport.as_ref())?;
        match transport.as_str() {
            "acp142_radio" => self.acp142_radio(found),
            "acp142_udp" => self.acp142_udp(found),
            "batch_radio" => self.batch_radio(found),
            "xmpp_tcp" => self.xmpp_tcp(found),
            "xmpp_rcop" => self.xmpp_rcop(found),
            other => {
                let all = "acp142_radio, acp142_udp, batch_radio, xmpp_tcp, xmpp_rcop";
                found.wrong(&key.at("transport"), format!("{other:?} is none: {all}"));
                None
            }
        }
    }

    fn acp142_radio(&self, found: &mut Found<'_>) -> Option<TransportConfig> {
        let radio = self.radio(found);
        let own = radio.as_ref().and_then(|radio| self.raw.radio.get(&**radio)).and_then(|radio| radio.address.clone());
        let acp142 = self.acp142(Medium::Radio, own, found);
        Some(TransportConfig::Acp142Radio { radio: radio?, acp142: acp142? })
    }

    fn acp142_udp(&self, found: &mut Found<'_>) -> Option<TransportConfig> {
        let key = self.key();
        let bind = found.required(&key.at("bind"), self.link.bind.as_ref());
        let rate = found.required(&key.at("bits_per_second"), self.link.bits_per_second.as_ref());
        if rate == Some(0) {
            found.wrong(&key.at("bits_per_second"), "cannot be 0");
        }
        let mut ports = self.link.ports;
        ports.sort_unstable();
        if ports[0] == 0 || ports.windows(2).any(|pair| pair[0] == pair[1]) {
            found.wrong(&key.at("ports"), "need four different ports above 0");
        }
        let groups = self.link.dynamic_groups.as_ref().map(|raw| self.dynamic_groups(raw, bind, found));
        let acp142 = self.acp142(Medium::Udp, bind.map(|bind| bind.to_string()), found);
        Some(TransportConfig::Acp142Udp {
            acp142: acp142?,
            bind: bind?,
            ports: self.link.ports,
            bits_per_second: rate?,
            groups,
        })
    }

    fn dynamic_groups(
        &self,
        raw: &RawDynamicGroups,
        bind: Option<IpAddr>,
        found: &mut Found<'_>,
    ) -> DynamicGroupsConfig {
        let key = self.key().at("dynamic_groups");
        let [first, last] = raw.range;
        if bind.is_some_and(|bind| bind.is_ipv6()) {
            found.wrong(&key, "dynamic groups are addresses of IPv4, and so must be bind");
        }
        for (name, group) in [("global_group", raw.global_group), ("range", first), ("range", last)] {
            if !group.is_multicast() {
                found.wrong(&key.at(name), format!("{group} is no multicast address"));
            }
        }
        if last < first {
            found.wrong(&key.at("range"), "ends before it begins");
        }
        let fixed = self.link.group.as_ref().and_then(|group| group.parse::<Ipv4Addr>().ok());
        for taken in [Some(raw.global_group), fixed].into_iter().flatten() {
            if (first..=last).contains(&taken) {
                found.wrong(&key.at("range"), format!("has {taken} in it, which is taken"));
            }
        }
        positive(&key.at("announcements"), raw.announcements.into(), found);
        DynamicGroupsConfig {
            global_group: raw.global_group,
            range: (first, last),
            wait_for_reject: Duration::from_secs(raw.wait_for_reject_seconds),
            announce_delay: Duration::from_secs(raw.announce_delay_seconds),
            announcements: raw.announcements,
        }
    }

    fn batch_radio(&self, found: &mut Found<'_>) -> Option<TransportConfig> {
        let key = self.key();
        let radio = self.radio(found);
        let sites = self.sites(Medium::Radio, false, found);
        self.group(Medium::Radio, found);
        if self.link.group.is_some() && !(1..=BATCH_REPEATS_MAX).contains(&self.link.repeats) {
            let reason = format!("cannot be {}: 1 to {BATCH_REPEATS_MAX}", self.link.repeats);
            found.wrong(&key.at("repeats"), reason);
        }
        if self.link.repeat_gap_seconds > SESSION_SECONDS_MAX {
            let reason = format!("cannot be {}: at most {SESSION_SECONDS_MAX}", self.link.repeat_gap_seconds);
            found.wrong(&key.at("repeat_gap_seconds"), reason);
        }
        let octets_max = self.link.batch_octets_max.unwrap_or(BATCH_OCTETS_MAX);
        if !(1..=BATCH_OCTETS_MAX).contains(&octets_max) {
            found.wrong(&key.at("batch_octets_max"), format!("cannot be {octets_max}: 1 to {BATCH_OCTETS_MAX}"));
        }
        Some(TransportConfig::BatchRadio {
            octets_max,
            radio: radio?,
            sites,
            group: self.link.group.clone(),
            repeats: self.link.repeats,
            repeat_gap: Duration::from_secs(self.link.repeat_gap_seconds),
            at: BatchPort {
                sap: self.link.sap,
                connection_id: self.link.connection_id,
                application_id: self.link.application_id,
            },
            extensions: batch_extensions(&key.at("extensions"), &self.link.extensions, found),
        })
    }

    pub(super) fn radio(&self, found: &mut Found<'_>) -> Option<Arc<str>> {
        let key = self.key().at("radio");
        let radio = found.required(&key, self.link.radio.as_ref())?;
        if !self.raw.radio.contains_key(&radio) {
            found.wrong(&key, format!("there is no [radio.{radio}]"));
        }
        Some(radio.into())
    }

    fn acp142(&self, medium: Medium, own: Option<String>, found: &mut Found<'_>) -> Option<Acp142LinkConfig> {
        let (key, link) = (self.key(), self.link);
        // Without an id of its own a site goes by its address, as the fact sheet proposes.
        let id = link.id.or_else(|| own.as_deref().and_then(|own| medium.id(own)));
        if id.is_none_or(|id| id == 0) {
            found.wrong(&key.at("id"), "is missing, or 0");
        }
        let octets = link.pdu_octets_max.unwrap_or_else(|| self.pdu_octets(medium));
        if !(PDU_OCTETS_MIN..=medium.pdu_octets_max()).contains(&octets) {
            let range = format!("{PDU_OCTETS_MIN} to {}", medium.pdu_octets_max());
            found.wrong(&key.at("pdu_octets_max"), format!("cannot be {octets}: {range}"));
        }
        if link.back_off_hundredths < 100 {
            found.wrong(&key.at("back_off_hundredths"), "waits must not become shorter: at least 100");
        }
        let emcon = self.emcon(found);
        let sites = self.sites(medium, true, found);
        if let Some(other) = sites.iter().find(|site| Some(site.id) == id) {
            found.wrong(&key.at("site").at(&other.site).at("id"), "is our own id");
        }
        self.group(medium, found);
        if sites.len() > 1 && link.group.is_none() {
            found.wrong(&key.at("group"), "is missing: the link reaches several sites");
        }
        Some(Acp142LinkConfig {
            id: id?,
            sites,
            group: link.group.clone(),
            pdu_octets_max: octets,
            // Who says a size means all PDUs.
            pdu_octets_arq: (medium == Medium::Radio && link.pdu_octets_max.is_none())
                .then(EngineConfig::pdu_octets_by_arq),
            ack_wait: link.ack_wait_seconds.map(Duration::from_secs),
            back_off_hundredths: link.back_off_hundredths,
            emcon,
            options: link.acp142.clone().unwrap_or_default(),
        })
    }

    /// The plan for silent sites: what is usual for a precedence, what the link says of all, what it says of one.
    fn emcon(&self, found: &mut Found<'_>) -> [SilentPlan; 6] {
        let (key, link) = (self.key(), self.link);
        let mut plans = SILENT_USUAL;
        let keys = [key.at("emcon_repeats"), key.at("emcon_interval_seconds")];
        let said = RawSilentPlan { repeats: link.emcon_repeats, interval_seconds: link.emcon_interval_seconds };
        plan(&keys, &said, &mut plans, found);
        for (name, said) in &link.emcon_by_precedence {
            let key = key.at("emcon_by_precedence").at(name);
            let one = Precedence::parse(name).and_then(|precedence| plans.get_mut(precedence as usize));
            match one {
                Some(one) => {
                    plan(&[key.at("repeats"), key.at("interval_seconds")], said, std::slice::from_mut(one), found)
                }
                None => found.wrong(&key, check::no_precedence(name)),
            }
        }
        plans
    }

    /// The size of PDUs that fits the medium.
    fn pdu_octets(&self, medium: Medium) -> usize {
        let radio = self.link.radio.as_ref().and_then(|radio| self.raw.radio.get(radio));
        match medium {
            Medium::Radio => EngineConfig::pdu_octets_by_rate(radio.map_or(0, |radio| radio.bits_per_second)),
            Medium::Udp => PDU_OCTETS_UDP,
        }
    }

    fn group(&self, medium: Medium, found: &mut Found<'_>) {
        let key = self.key().at("group");
        let Some(group) = &self.link.group else { return };
        match medium {
            Medium::Radio => node_address(&key, group, true, found),
            Medium::Udp => {
                let is_multicast = group.parse::<IpAddr>().is_ok_and(|address| address.is_multicast());
                if !is_multicast {
                    found.wrong(&key, format!("{group:?} is no multicast address"));
                }
            }
        }
    }

    pub(super) fn sites(&self, medium: Medium, with_ids: bool, found: &mut Found<'_>) -> Vec<LinkSite> {
        let mut sites: Vec<LinkSite> = Vec::new();
        for (name, raw) in &self.link.site {
            let key = self.key().at("site").at(name);
            if let Some(site) = link_site(&key, name, raw, medium, with_ids, found) {
                if let Some(other) = sites.iter().find(|other| other.id == site.id && with_ids) {
                    found.wrong(&key.at("id"), format!("{} has it already", other.site));
                }
                if let Some(other) = sites.iter().find(|other| other.address == site.address) {
                    found.wrong(&key.at("address"), format!("{} has it already", other.site));
                }
                sites.push(site);
            }
        }
        sites
    }
}

/// Puts what is said in the place of what is usual.
fn plan([repeats, interval]: &[Key; 2], said: &RawSilentPlan, plans: &mut [SilentPlan], found: &mut Found<'_>) {
    if let Some(count) = said.repeats.filter(|&count| count > EMCON_REPEATS_MAX) {
        found.wrong(repeats, format!("cannot be {count}: at most {EMCON_REPEATS_MAX}"));
    }
    if let Some(seconds) = said.interval_seconds {
        positive(interval, seconds, found);
    }
    for plan in plans {
        plan.repeats = said.repeats.unwrap_or(plan.repeats);
        plan.interval = said.interval_seconds.map_or(plan.interval, Duration::from_secs);
    }
}

fn link_site(
    key: &Key,
    name: &str,
    raw: &RawSite,
    medium: Medium,
    with_ids: bool,
    found: &mut Found<'_>,
) -> Option<LinkSite> {
    domain_name(key, name, found);
    let address = found.required(&key.at("address"), raw.address.as_ref());
    if let Some(address) = &address {
        medium.check(&key.at("address"), address, found);
    }
    let quirks = check_quirks(&key.at("quirks"), &raw.quirks, found);
    let address = address?;
    let id = raw.id.or_else(|| medium.id(&address)).unwrap_or_default();
    if with_ids && id == 0 {
        found.wrong(&key.at("id"), "is missing, or 0");
    }
    let ceiling = raw.precedence_ceiling.as_deref();
    let precedence_ceiling = ceiling.and_then(|text| check::ceiling(&key.at("precedence_ceiling"), text, found));
    Some(LinkSite { site: name.into(), id, address, silent: raw.silent, quirks, precedence_ceiling })
}

/// What a foreign peer does otherwise, all together.
pub(super) fn check_quirks(key: &Key, raw: &RawQuirks, found: &mut Found<'_>) -> Quirks {
    raw.names().iter().fold(Quirks::default(), |all, name| match Quirks::named(name) {
        Some(one) => all.and(one),
        None => {
            found.wrong(key, format!("{name:?} is none: {}", Quirks::NAMES.join(", ")));
            all
        }
    })
}

/// What addresses of a link look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    Radio,
    Udp,
}

impl Medium {
    const fn pdu_octets_max(self) -> usize {
        match self {
            Self::Radio => PDU_OCTETS_RADIO_MAX,
            Self::Udp => PDU_OCTETS_UDP_MAX,
        }
    }

    fn check(self, key: &Key, address: &str, found: &mut Found<'_>) {
        match self {
            Self::Radio => node_address(key, address, false, found),
            Self::Udp if address.parse::<IpAddr>().is_ok_and(|address| !address.is_multicast()) => {}
            Self::Udp => found.wrong(key, format!("{address:?} is no address of a host")),
        }
    }

    /// The dotted form read as a number.
    fn id(self, address: &str) -> Option<u32> {
        let parts = address.split('.').map(str::parse::<u8>).collect::<Result<Vec<u8>, _>>().ok()?;
        Some(u32::from_be_bytes(parts.try_into().ok()?))
    }
}

const fn fits(carriage: Carriage, transport: &TransportConfig) -> bool {
    match carriage {
        Carriage::Mule => {
            matches!(transport, TransportConfig::Acp142Radio { .. } | TransportConfig::Acp142Udp { .. })
        }
        Carriage::Batch => matches!(transport, TransportConfig::BatchRadio { .. }),
        Carriage::Xmpp => !matches!(transport, TransportConfig::BatchRadio { .. }),
    }
}

pub(super) fn routes(raw: &Raw, own: &str, found: &mut Found<'_>) -> Vec<Route> {
    let mut routes = Vec::new();
    for (name, route) in &raw.route {
        let key = Key::new("route").at(name);
        if route.domains.is_empty() {
            found.wrong(&key.at("domains"), "is missing: it would never get mail");
        }
        let site = found.required(&key.at("site"), route.site.as_ref());
        if site.as_deref() == Some(own) {
            found.wrong(&key.at("site"), "is this site itself: mail would go round in a circle");
        }
        if route.links.is_empty() {
            found.wrong(&key.at("links"), "is missing");
        }
        for link in route.links.iter().filter(|link| !raw.batch_mail.contains_key(*link)) {
            check_reach(&raw.link, &key.at("links"), link, site.as_deref(), found);
        }
        if let Some(site) = site {
            let domains = route.domains.iter().map(|domain| domain.to_lowercase()).collect();
            let links = route.links.iter().map(|link| Arc::from(link.as_str())).collect();
            routes.push(Route { domains, site: site.into(), links });
        }
    }
    routes
}

/// What the engines of links would refuse when the site starts: it would run without them.
pub(super) fn engines(links: &[LinkConfig], radios: &[RadioConfig], found: &mut Found<'_>) {
    for link in links {
        let radio = radios.iter().find(|radio| link.transport.radio().is_some_and(|name| *name == radio.name));
        for (part, why) in build::mistakes(link, radio) {
            let name = match part.as_str() {
                "engine.id" => "id",
                "engine.pdu_octets_max" => "pdu_octets_max",
                "engine.ack_wait" | "engine.ack_wait_max" => "ack_wait_seconds",
                "engine.back_off_percent" => "back_off_hundredths",
                "engine.silent" => "emcon_interval_seconds",
                "engine.priorities" => "acp142.priorities",
                "engine.message_octets_max" => "acp142.unit_octets_max",
                "engine.rounds_max" => "acp142.rounds_max",
                "engine.missing_max" => "acp142.missing_max",
                "engine.ack_delay_per_receiver" => "acp142.ack_delay_seconds",
                "engine.ack_delay_max" => "acp142.ack_delay_seconds_max",
                "engine.address_window" => "acp142.address_window_seconds",
                "engine.ack_pdu_time" => "acp142.ack_pdu_seconds",
                "engine.ack_pdu_repeats" => "acp142.ack_pdu_repeats",
                "engine.quiet" => "acp142.quiet_seconds",
                "engine.orphan_validity" => "acp142.orphan_validity_seconds",
                "engine.lifetime_max" => "acp142.lifetime_seconds_max",
                "engine.clock_grace" => "acp142.clock_grace_seconds",
                other => other,
            };
            let key = name.split('.').fold(Key::new("link").at(&link.name), |key, part| key.at(part));
            found.wrong(&key, why);
        }
    }
}

/// Ways over ordinary mail.
pub(super) fn batch_mail(raw: &Raw, found: &mut Found<'_>) -> Vec<BatchMailConfig> {
    let mut ways = Vec::new();
    for (name, way) in &raw.batch_mail {
        let key = Key::new("batch_mail").at(name);
        if raw.link.contains_key(name) {
            found.wrong(&key, format!("there is a [link.{name}] too"));
        }
        let to = found.required(&key.at("to"), way.to.as_ref());
        let extensions = batch_extensions(&key.at("extensions"), &way.extensions, found);
        if let Some(to) = to.and_then(|to| found.take(&key.at("to"), Mailbox::parse(&to))) {
            ways.push(BatchMailConfig { name: name.as_str().into(), to, extensions });
        }
    }
    ways
}

/// What a batch may use: what everybody reads, and what is agreed.
//= bsmtp/BSMTP-010
fn batch_extensions(key: &Key, agreed: &[String], found: &mut Found<'_>) -> Extensions {
    let mut extensions = Extensions::BATCH;
    for name in agreed {
        let known = BATCH_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !known || !extensions.set(name, true) {
            found.wrong(key, format!("{name:?} is none: {}", BATCH_EXTENSIONS.join(", ")));
        }
    }
    extensions
}

fn check_reach(links: &BTreeMap<String, RawLink>, key: &Key, link: &str, site: Option<&str>, found: &mut Found<'_>) {
    match (links.get(link), site) {
        (None, _) => found.wrong(key, format!("there is no [link.{link}]")),
        (Some(raw), Some(site)) if !raw.site.contains_key(site) => {
            found.wrong(key, format!("link {link} does not reach {site}"));
        }
        (Some(raw), _) if raw.carriage.as_deref() == Some("xmpp") => {
            found.wrong(key, format!("link {link} carries chat and no mail"));
        }
        (Some(_), _) => {}
    }
}

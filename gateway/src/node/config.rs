//! The configuration of a site, checked: nothing in it can be wrong for itself. `crate::config` makes it from files.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use skywave_protocols::acp142::config::{MESSAGE_OCTETS_USUAL, SilentPlan};
use skywave_protocols::acp142::limits::{DATA_HEADER_OCTETS, DATA_PDUS_MAX};
use skywave_protocols::acp142::quirks::Quirks;
use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::event::BackOff;
use skywave_protocols::s5066::sis::fields::SapId;
use skywave_protocols::smtp::grammar::Extensions;
use skywave_protocols::smtp::headers::MmhsUnknown;
use skywave_protocols::time::Duration;
use skywave_transports::radio::Port;
use skywave_transports::stream::config::{APPLICATION, CONNECTION, CONNECTION_URGENT};
use skywave_transports::stream::{RcopConfig, TcpConfig};
use skywave_transports::transport::SiteName;

use super::acp142_options::Acp142Options;

/// How many times smaller a mail is believed to become at most when it is compressed: text becomes 3 to 5 times smaller,
/// tables and logs 10 to 20.
pub const COMPRESSION_MOST: usize = 20;

/// Everything a node needs to know. Addresses of transports are inside [`LinkConfig::transport`].
#[derive(Clone, PartialEq, Debug)]
pub struct SiteConfig {
    /// The site's own name, unique among all sites (`hq.test`): in Received fields and reports.
    pub site: SiteName,
    /// The mail door towards clients and the local MTA.
    pub mail: MailConfig,
    /// Where mail for local domains is handed over, first match wins.
    pub local: Vec<LocalConfig>,
    /// The radios: attachments to STANAG 5066 nodes that several links share.
    pub radios: Vec<RadioConfig>,
    /// The links.
    pub links: Vec<LinkConfig>,
    /// Ways over ordinary mail: batches inside mail to a peer's batch address. Routes name them like links.
    pub batch_mail: Vec<BatchMailConfig>,
    /// Domain → site and links, first match wins.
    pub routes: Vec<Route>,
    /// Life and limits of the queue.
    pub queue: QueueConfig,
    /// Chat, if the site has it.
    pub chat: Option<crate::chat::config::ChatConfig>,
    /// Whether what goes over the media is written to a capture file.
    pub capture: bool,
}

/// The SMTP server.
#[derive(Clone, PartialEq, Debug)]
pub struct MailConfig {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// Where it takes nothing without AUTH.
    pub submission: Vec<SocketAddr>,
    /// Its name in greeting and Received fields.
    pub hostname: String,
    /// Largest mail in octets.
    pub size_octets_max: u64,
    /// Most recipients of one mail.
    pub recipients_max: usize,
    /// Most connections at once.
    pub connections_max: usize,
    /// Networks that may relay without AUTH: address and prefix length.
    pub relay_networks: Vec<(std::net::IpAddr, u8)>,
    /// Name of the certificate for STARTTLS, if there is one.
    pub certificate: Option<String>,
    /// Whether users can authenticate (a file of password hashes is configured in the shell).
    pub auth: bool,
    /// Whether AUTH is offered without TLS.
    pub auth_without_tls: bool,
    /// The precedence of mail that says none.
    pub precedence_default: Precedence,
    /// The highest value taken from clients and peers; higher ones are lowered to it.
    pub precedence_ceiling: MtPriority,
    /// What precedences of MMHS fields stand for that no table knows.
    pub mmhs_unknown: MmhsUnknown,
    /// Most Received fields before a mail is taken to loop.
    pub hops_max: usize,
    /// Mail to this address from who may relay is a batch and unpacked here.
    pub batch_address: Option<Mailbox>,
    /// Whether delays and failures name the postmaster of this site as sender address for questions.
    pub postmaster: String,
}

/// A way over ordinary mail (RFC 2442: application/batch-SMTP).
#[derive(Clone, PartialEq, Debug)]
pub struct BatchMailConfig {
    /// Its name in routes.
    pub name: Arc<str>,
    /// The address at which the peer unpacks batches.
    pub to: Mailbox,
    /// What a batch may use: [`Extensions::BATCH`], and what is agreed with the peer.
    pub extensions: Extensions,
}

/// A local MTA.
#[derive(Clone, PartialEq, Debug)]
pub struct LocalConfig {
    /// Its name in commands and logs.
    pub name: Arc<str>,
    /// Domains whose mail it takes, in lower case; a leading dot takes all subdomains, `*` everything.
    pub domains: Vec<String>,
    /// Host and port.
    pub target: String,
    /// Most connections at once.
    pub connections_max: usize,
    /// Of these, how many only Flash and Override may use.
    pub connections_urgent: usize,
    /// How long a connection stays open without work; `None` for ever.
    pub keep_open: Option<Duration>,
    /// Whether mailboxes are right behind it: then success is reported by us as delivered. Otherwise the MTA reports,
    /// if it offers DSN, and we report the relaying if it does not (RFC 3461).
    pub final_delivery: bool,
    /// Octets of bodies in hand-over at once.
    pub octets_in_flight_max: u64,
}

/// A radio: the site's attachment to one STANAG 5066 node, which several links share.
#[derive(Clone, PartialEq, Debug)]
pub struct RadioConfig {
    /// Its name.
    pub name: Arc<str>,
    /// Host and port of the node's SIS server.
    pub node: String,
    /// Our own STANAG 5066 address in dotted form.
    pub address: String,
    /// Rank of our clients, 0 to 14.
    pub rank: u8,
    /// Rate of the radio, for pacing what the node does not confirm.
    pub bits_per_second: u32,
    /// Time to turn the radio around.
    pub turnaround: Duration,
    /// How much airtime may lie in the node at once.
    pub air_ahead: Duration,
    /// The same of what the node confirms.
    pub confirm_ahead: Duration,
    /// Code point of the packets to the node.
    pub dscp: u8,
    /// Priority inside the node, from Deferred to Override.
    pub priorities: [u8; 6],
    /// Half-octets that addresses of destinations are said to have.
    pub address_half_octets: u8,
    /// A hard link is held with the one node that data goes to until nothing moved for so long.
    pub hold_link: Option<Duration>,
    /// A session of rank 15 at this SAP tells the node of our radio silence; ours understand it.
    pub manage_sap: Option<u8>,
    /// The node puts two zero counters into every indication.
    pub zero_counters: bool,
    /// A keep-alive goes when nothing was heard for so long.
    pub keep_alive: Option<Duration>,
    /// Time between tries to reach the node.
    pub back_off: BackOff,
}

/// A link: a carriage over a transport.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkConfig {
    /// Its name.
    pub name: Arc<str>,
    /// What is carried.
    pub carriage: Carriage,
    /// How.
    pub transport: TransportConfig,
    /// Cap of what one arriving unit may inflate to.
    pub inflated_octets_max: usize,
    /// How chat is written; there with [`Carriage::Xmpp`] and only then.
    pub xmpp: Option<XmppLinkConfig>,
}

/// The formats a link can carry. A new one must say what every place does with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carriage {
    /// RFC 8494 in CompressedData.
    Mule,
    /// RFC 2442 batches.
    Batch,
    /// Chat: what the slow side of XMPP makes of stanzas.
    Xmpp,
}

/// The transports a link can use.
#[derive(Clone, PartialEq, Debug)]
pub enum TransportConfig {
    /// ACP 142 over a radio's STANAG 5066 node.
    Acp142Radio {
        /// The radio's name.
        radio: Arc<str>,
        /// The link's parameters.
        acp142: Acp142LinkConfig,
    },
    /// ACP 142 over UDP.
    Acp142Udp {
        /// The link's parameters.
        acp142: Acp142LinkConfig,
        /// Address of the interface to bind.
        bind: std::net::IpAddr,
        /// TPORT, RPORT, DPORT, APORT (fact sheet section 1.12).
        ports: [u16; 4],
        /// Rate for pacing.
        bits_per_second: u32,
        /// Groups for single messages, if they are used.
        groups: Option<DynamicGroupsConfig>,
    },
    /// Batches over a radio's STANAG 5066 node.
    BatchRadio {
        /// The radio's name.
        radio: Arc<str>,
        /// Sites and their STANAG 5066 addresses.
        sites: Vec<LinkSite>,
        /// STANAG 5066 group address that reaches all of them, if batches go by UDOP.
        group: Option<String>,
        /// How often a batch is sent by UDOP.
        repeats: u8,
        /// Time between the end of one sending and the next.
        repeat_gap: Duration,
        /// Where at the nodes it goes.
        at: BatchPort,
        /// What a batch may use: [`Extensions::BATCH`], and what is agreed with the peers.
        extensions: Extensions,
        /// Largest batch, both ways.
        octets_max: usize,
    },
    /// Chat over TCP (XEP-0361).
    XmppTcp {
        /// The one site it reaches; its address is where we connect, if we do.
        sites: Vec<LinkSite>,
        /// Where we listen, if the peer may connect.
        listen: Option<SocketAddr>,
        /// The link's parameters.
        tcp: TcpConfig,
    },
    /// Chat over a radio's STANAG 5066 node by RCOP (XEP-0365 0.2.1).
    XmppRcop {
        /// The radio's name.
        radio: Arc<str>,
        /// Sites and their STANAG 5066 addresses.
        sites: Vec<LinkSite>,
        /// The link's parameters.
        rcop: XmppRcopConfig,
    },
}

impl SiteConfig {
    /// What a batch may use that goes by this link or way over mail.
    pub fn batch_extensions(&self, lane: &str) -> Extensions {
        let of_link = |link: &LinkConfig| match link.transport {
            TransportConfig::BatchRadio { extensions, .. } if *link.name == *lane => Some(extensions),
            TransportConfig::BatchRadio { .. }
            | TransportConfig::Acp142Radio { .. }
            | TransportConfig::Acp142Udp { .. }
            | TransportConfig::XmppTcp { .. }
            | TransportConfig::XmppRcop { .. } => None,
        };
        let by_mail = self.batch_mail.iter().find(|way| *way.name == *lane).map(|way| way.extensions);
        self.links.iter().find_map(of_link).or(by_mail).unwrap_or(Extensions::BATCH)
    }
}

impl LinkConfig {
    /// Octets of the largest mail that can be worth trying: what a unit may inflate to at the far end, as it is here, and
    /// what one of the largest size holds of text that compresses uncommonly well; or what a batch may have, as nothing
    /// compresses it.
    pub fn mail_octets_max(&self) -> usize {
        match &self.transport {
            TransportConfig::BatchRadio { octets_max, .. } => *octets_max,
            TransportConfig::Acp142Radio { acp142, .. } | TransportConfig::Acp142Udp { acp142, .. } => {
                acp142.unit_octets_max().saturating_mul(COMPRESSION_MOST).min(self.inflated_octets_max)
            }
            TransportConfig::XmppTcp { .. } | TransportConfig::XmppRcop { .. } => self.inflated_octets_max,
        }
    }
}

impl TransportConfig {
    /// The parameters of ACP 142, if it is used.
    pub const fn acp142(&self) -> Option<&Acp142LinkConfig> {
        match self {
            Self::Acp142Radio { acp142, .. } | Self::Acp142Udp { acp142, .. } => Some(acp142),
            Self::BatchRadio { .. } | Self::XmppTcp { .. } | Self::XmppRcop { .. } => None,
        }
    }

    /// The sites that a link reaches.
    pub fn sites(&self) -> &[LinkSite] {
        match self {
            Self::Acp142Radio { acp142, .. } | Self::Acp142Udp { acp142, .. } => &acp142.sites,
            Self::BatchRadio { sites, .. } | Self::XmppTcp { sites, .. } | Self::XmppRcop { sites, .. } => sites,
        }
    }

    /// The radio it shares with others, if it is on one.
    pub const fn radio(&self) -> Option<&Arc<str>> {
        match self {
            Self::Acp142Radio { radio, .. } | Self::BatchRadio { radio, .. } | Self::XmppRcop { radio, .. } => {
                Some(radio)
            }
            Self::Acp142Udp { .. } | Self::XmppTcp { .. } => None,
        }
    }
}

impl Carriage {
    /// Whether mail can go by a link with it.
    pub const fn takes_mail(self) -> bool {
        match self {
            Self::Mule | Self::Batch => true,
            Self::Xmpp => false,
        }
    }
}

/// How chat is written on a link: what both ends have to be configured for, as nothing is negotiated (XEP-0361).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct XmppLinkConfig {
    /// The profile of the slow side.
    pub profile: XmppProfile,
    /// Whether the stream is compressed (zlib). Always with [`XmppProfile::Skywave`] and [`XmppProfile::Units`].
    pub compression: bool,
    /// Name of the preset dictionary that both ends have, if there is one.
    pub dictionary: Option<String>,
    /// XEP-0198; not with [`XmppProfile::Skywave`] and [`XmppProfile::Units`], and only over TCP.
    pub stream_management: StreamManagement,
    /// Largest block in octets, before compression; `None` by the rate of the link.
    pub block_octets_max: Option<usize>,
    /// How long an idle link waits for more stanzas before it sends; `None` by the rate of the link.
    pub linger: Option<Duration>,
    /// Whether each stanza has a unit of its own; `None` by the profile.
    pub one_stanza_per_unit: Option<bool>,
    /// Largest stanza in octets that may cross, before compression.
    pub stanza_octets_max: usize,
}

impl Default for XmppLinkConfig {
    /// Between two Skywave sites.
    fn default() -> Self {
        Self {
            profile: XmppProfile::Skywave,
            compression: true,
            dictionary: None,
            stream_management: StreamManagement::Off,
            block_octets_max: None,
            linger: None,
            one_stanza_per_unit: None,
            stanza_octets_max: skywave_protocols::xmpp::slow::limits::STANZA_OCTETS_MAX,
        }
    }
}

/// The profiles of the slow side (defaults.md).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum XmppProfile {
    /// Numbered blocks between two Skywave sites.
    Skywave,
    /// XEP-0361, XEP-0365 0.2.1 and nothing else.
    Standard,
    /// As the M-Link R17 guide configures it.
    MLinkR17,
    /// Each unit for itself, over ACP 142.
    Units,
}

impl XmppProfile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Skywave, Self::Standard, Self::MLinkR17, Self::Units];

    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skywave => "skywave",
            Self::Standard => "standard",
            Self::MLinkR17 => "m-link-r17",
            Self::Units => "units",
        }
    }
}

/// Stream management on a link without negotiation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamManagement {
    /// None.
    Off,
    /// Counting begins with the connection; nothing is said.
    Implicit,
    /// `<enable/>` goes first.
    Explicit,
}

impl StreamManagement {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Implicit, Self::Explicit];

    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Implicit => "implicit",
            Self::Explicit => "explicit",
        }
    }
}

/// What a link for chat over RCOP needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct XmppRcopConfig {
    /// The SAP of both ends.
    pub sap: u8,
    /// The connection id of context 0.
    pub connection_id: u8,
    /// The connection id of the context for high precedence, if there is one.
    pub urgent_connection_id: Option<u8>,
    /// The application id.
    pub application_id: u16,
    /// Units of one context that may be unconfirmed.
    pub window: usize,
    /// Whether Flash and Override go by the expedited service.
    pub expedited: bool,
    /// Whether the peer's node confirms a unit only once the gateway there has it.
    pub to_client: bool,
}

impl Default for XmppRcopConfig {
    /// Between two Skywave sites (defaults.md).
    fn default() -> Self {
        let usual = RcopConfig::skywave(BTreeMap::new());
        Self {
            sap: SapId::RCOP.number(),
            connection_id: CONNECTION,
            urgent_connection_id: Some(CONNECTION_URGENT),
            application_id: APPLICATION,
            window: usual.window,
            expedited: usual.expedited,
            to_client: usual.to_client,
        }
    }
}

impl XmppRcopConfig {
    /// The link's configuration towards these nodes.
    ///
    /// # Errors
    /// The SAP is none, in words.
    pub fn link(&self, sites: BTreeMap<SiteName, NodeAddress>) -> Result<RcopConfig, String> {
        let sap = SapId::try_from(self.sap).map_err(|error| error.to_string())?;
        let port = |id| Port { sap, ..Port::rcop(id, self.application_id) };
        let ids = [Some(self.connection_id), self.urgent_connection_id];
        let mut config = RcopConfig::skywave(sites);
        config.ports = ids.into_iter().flatten().map(port).collect();
        config.window = self.window;
        config.expedited = self.expedited;
        config.to_client = self.to_client;
        // Between Skywave sites there are two contexts, and units are whole.
        config.segments = self.urgent_connection_id.is_none();
        Ok(config)
    }
}

/// What an ACP 142 link needs to know.
#[derive(Clone, PartialEq, Debug)]
pub struct Acp142LinkConfig {
    /// Our own P_MUL id.
    pub id: u32,
    /// The sites it reaches.
    pub sites: Vec<LinkSite>,
    /// The group that reaches all of them, if there is one: STANAG 5066 group address or multicast address.
    pub group: Option<String>,
    /// Largest PDU in octets.
    pub pdu_octets_max: usize,
    /// Largest PDU of mail to one site that may answer, where that goes by ARQ; `None`: as all others.
    pub pdu_octets_arq: Option<usize>,
    /// How long to wait for acknowledgements beyond the link's own time; `None` derives it from the rate.
    pub ack_wait: Option<Duration>,
    /// Growth of that wait per round, in hundredths (150 is 1.5).
    pub back_off_hundredths: u32,
    /// Full repeats to sites in EMCON, from Deferred to Override.
    pub emcon: [SilentPlan; 6],
    /// What else is said.
    pub options: Acp142Options,
}

impl Acp142LinkConfig {
    /// Octets of the largest unit.
    pub fn unit_octets_max(&self) -> usize {
        let fragments = DATA_PDUS_MAX.saturating_mul(self.pdu_octets_max.saturating_sub(DATA_HEADER_OCTETS));
        self.options.unit_octets_max.unwrap_or(MESSAGE_OCTETS_USUAL).min(fragments)
    }
}

/// Groups for single messages on a link over IP (ACP 142: dynamic multicast groups).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DynamicGroupsConfig {
    /// The group of all, where groups are asked for and announced.
    pub global_group: Ipv4Addr,
    /// First and last group that may be asked for.
    pub range: (Ipv4Addr, Ipv4Addr),
    /// WAIT_FOR_REJECT_TIME.
    pub wait_for_reject: Duration,
    /// ANNOUNCE_DELAY.
    pub announce_delay: Duration,
    /// ANNOUNCE_CT.
    pub announcements: u32,
}

/// One site as a link knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkSite {
    /// Its name.
    pub site: SiteName,
    /// Its P_MUL id.
    pub id: u32,
    /// Its address on the medium: STANAG 5066 dotted form, or an IP address.
    pub address: String,
    /// Whether it is in EMCON from the start.
    pub silent: bool,
    /// What a foreign peer does otherwise.
    pub quirks: Quirks,
    /// The highest value taken from it, if that is less than the site's.
    pub precedence_ceiling: Option<MtPriority>,
}

/// Where batches go at the nodes, as far as it is not as usual (`defaults.md`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchPort {
    /// The SAP.
    pub sap: Option<u8>,
    /// The connection id.
    pub connection_id: Option<u8>,
    /// The application id.
    pub application_id: Option<u16>,
}

/// Which way mail for a domain goes.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// Domains as in [`LocalConfig::domains`].
    pub domains: Vec<String>,
    /// The site that takes them.
    pub site: SiteName,
    /// Links that reach it, the preferred first; the next is used when the one before is down for the operator.
    pub links: Vec<Arc<str>>,
}

/// Life and limits of the queue.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueConfig {
    /// Life of a mail by precedence, from Deferred to Override.
    pub lifetimes: [Duration; 6],
    /// After what time a delay is reported; `None` never.
    pub delay_notice: Option<Duration>,
    /// First wait before a hand-over is tried again; doubles up to the longest.
    pub retry_first: Duration,
    /// Longest wait.
    pub retry_longest: Duration,
    /// How long a finished mail can be tracked.
    pub history: Duration,
    /// How long the keys of mails that came by radio are remembered.
    pub dedupe: Duration,
    /// Most mails in the queue; above it new ones are refused with 452.
    pub mails_max: u64,
    /// Of these, how many only Immediate and above may use.
    pub mails_reserved: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        let hours = |count: u64| Duration::from_secs(count * HOUR);
        Self {
            lifetimes: [hours(120), hours(120), hours(72), hours(48), hours(24), hours(24)],
            delay_notice: Some(hours(4)),
            retry_first: Duration::from_secs(30),
            retry_longest: hours(1),
            history: hours(24 * 30),
            dedupe: hours(24 * 14),
            mails_max: 1_000_000,
            mails_reserved: 1_000,
        }
    }
}

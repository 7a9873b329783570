//! What a world is made from: which sites, which links between them, what their chat is like.
//!
//! How it becomes the configuration of each site stands in [`super::sites`] and [`super::chat_sites`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use skywave_protocols::time::{Duration, WallTime};
use skywave_protocols::xmpp::fate::Lives;
use skywave_protocols::xmpp::precedence::PrecedenceConfig;
use skywave_protocols::xmpp::rules::config::LabelConfig;
use skywave_protocols::xmpp::rules::{FilterConfig, builtin};
use skywave_transports::transport::SiteName;

use crate::chat::config::{EmconRule, PeerQueue};
use crate::node::config::{Carriage, QueueConfig, StreamManagement, XmppProfile};

/// When all worlds begin: a date that is easy to recognise in logs.
pub const WORLD_BEGINS: WallTime = WallTime::from_unix_seconds(1_900_000_000);

/// The name of the link for chat.
pub const CHAT_LINK: &str = "chat";
/// The group of all stations.
pub const GROUP_ADDRESS: &str = "16.0.0.1";

/// A kind of link that joins all sites of a plan; its name in routes and commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// `hf`: MULE by ACP 142 over the simulated radio.
    Hf,
    /// `udp`: MULE by ACP 142 over IP multicast.
    Udp,
    /// `groups`: the same, with a group of its own for each message.
    Groups,
    /// `batch`: RFC 2442 batches over the simulated radio.
    Batch,
    /// `sat`: chat over TCP, opened by either side.
    Sat,
    /// `chat`: chat by RCOP over the simulated radio.
    Chat,
}

impl LinkKind {
    /// Reads its name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Hf, Self::Udp, Self::Groups, Self::Batch, Self::Sat, Self::Chat]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hf => "hf",
            Self::Udp => "udp",
            Self::Groups => "groups",
            Self::Batch => "batch",
            Self::Sat => "sat",
            Self::Chat => "chat",
        }
    }

    pub(super) const fn carriage(self) -> Carriage {
        match self {
            Self::Hf | Self::Udp | Self::Groups => Carriage::Mule,
            Self::Batch => Carriage::Batch,
            Self::Sat | Self::Chat => Carriage::Xmpp,
        }
    }

    pub(super) const fn is_radio(self) -> bool {
        match self {
            Self::Hf | Self::Batch | Self::Chat => true,
            Self::Udp | Self::Groups | Self::Sat => false,
        }
    }
}

/// Some sites that know each other.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// Their short names; the full ones end in `.test`.
    pub names: Vec<String>,
    /// The links between all of them, the preferred first.
    pub links: Vec<LinkKind>,
    /// STANAG 5066 addresses of some, by short name; the others get one.
    pub addresses: BTreeMap<String, String>,
    /// Sites that everybody knows to be silent from the start.
    pub silent: Vec<String>,
    /// Rate of the radio in bit/s.
    pub bits_per_second: u32,
    /// Time to turn the radio around.
    pub turnaround: Duration,
    /// The gateways tell their STANAG 5066 nodes of their radio silence, by a session at this SAP.
    pub manage_sap: Option<u8>,
    /// Life and limits of all queues.
    pub queue: QueueConfig,
    /// Chat between all of them, if there is any.
    pub chat: Option<ChatPlan>,
}

impl Plan {
    /// Sites with one radio link and the usual queue.
    pub fn new(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            links: vec![LinkKind::Hf],
            addresses: BTreeMap::new(),
            silent: Vec::new(),
            bits_per_second: 1200,
            turnaround: Duration::from_millis(200),
            manage_sap: None,
            queue: QueueConfig::default(),
            chat: None,
        }
    }
}

/// How a site's XMPP server and its gateway meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Servers {
    /// The gateway is a component for each far domain.
    #[default]
    Components,
    /// They are servers to each other, in clear, and ask each other back.
    Dialback,
    /// They are servers to each other inside TLS, and show certificates.
    External,
}

/// Chat between all sites of a plan, over the radio or over IP.
#[derive(Clone, PartialEq, Debug)]
pub struct ChatPlan {
    /// How the sites' servers are met.
    pub servers: Servers,
    /// Over TCP, and not by RCOP over the radio.
    pub over_tcp: bool,
    /// The rate of links over TCP, in bit/s.
    pub tcp_bits_per_second: u32,
    /// Besides the radio there is a link over TCP for when it cannot be used, and for what a rule sends there.
    pub alternate: bool,
    /// Messages of more octets take that link.
    pub route_over: Option<usize>,
    /// Messages of more octets wait for a link as fast as that.
    pub hold_over: Option<usize>,
    /// What is on the wire.
    pub profile: XmppProfile,
    /// Over RCOP, whether a node confirms only what the gateway there has.
    pub to_client: bool,
    /// Stream management over TCP.
    pub stream_management: StreamManagement,
    /// What may cross.
    pub filter: FilterConfig,
    /// Labels that share no compression.
    pub label_groups: Vec<LabelConfig>,
    /// What happens while a far site keeps silence.
    pub emcon: EmconRule,
    /// How long stanzas live.
    pub lives: Lives,
    /// How urgent stanzas are.
    pub precedence: PrecedenceConfig,
    /// How long an idle link waits for more.
    pub linger: Option<Duration>,
    /// Stanzas that may wait for a link.
    pub queue: PeerQueue,
    /// Stanzas that may wait for the server of a domain.
    pub local_stanzas_max: usize,
}

impl Default for ChatPlan {
    fn default() -> Self {
        Self {
            servers: Servers::Components,
            over_tcp: false,
            tcp_bits_per_second: 64_000,
            alternate: false,
            route_over: None,
            hold_over: None,
            profile: XmppProfile::Skywave,
            to_client: false,
            stream_management: StreamManagement::Off,
            filter: builtin("hf-fast").unwrap_or_default(),
            label_groups: Vec::new(),
            emcon: EmconRule::Hold,
            lives: Lives::HF,
            precedence: PrecedenceConfig::default(),
            linger: None,
            queue: PeerQueue::default(),
            local_stanzas_max: crate::chat::limits::LANE_STANZAS_MAX,
        }
    }
}

/// `hq` → `hq.test`.
pub fn full_name(name: &str) -> SiteName {
    if name.contains('.') { name.into() } else { format!("{name}.test").into() }
}

/// The address of a site on the simulated IP network.
pub fn host(index: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(index + 1).unwrap_or(u8::MAX)])
}

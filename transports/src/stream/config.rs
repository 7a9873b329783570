//! What the links for chat are configured with, as plain values; the file format is the gateway's.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::event::BackOff;
use skywave_protocols::s5066::sis::fields::SapId;
use skywave_protocols::time::Duration;

use super::limits::{
    REJECTED_WAIT, REJECTED_WAIT_MAX, TCP_ACCEPT_MAX, TCP_BUFFER_OCTETS, TCP_NETWORK_OCTETS_MIN, TCP_NETWORK_TIME,
    TCP_UNIT_OCTETS_MAX, TCP_WAIT, TCP_WAIT_MAX, WINDOW_MAX,
};
use crate::io::Trust;
use crate::radio::{Port, Service};
use crate::transport::SiteName;

/// Application id of XMPP over RCOP (defaults.md; user-defined range).
pub const APPLICATION: u16 = 0x8001;
/// Connection id of XMPP over RCOP (XEP-0365 0.2.1).
pub const CONNECTION: u8 = 0;
/// Connection id of the context for high precedence. Ours; 1 and 2 are those of ACP 142 and of batches.
pub const CONNECTION_URGENT: u8 = 3;
/// The SAP that XEP-0365 0.2.1 recommends.
pub const SAP_STANDARD: SapId = SapId::T_MMHS;
/// Units unconfirmed at once between two sites that number their blocks.
const WINDOW_SKYWAVE: usize = 64;

/// A link for chat over RCOP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RcopConfig {
    /// Where it sends and receives: even contexts use the first, odd ones, which are for high precedence, the last.
    pub ports: Vec<Port>,
    /// The nodes of the sites.
    pub sites: BTreeMap<SiteName, NodeAddress>,
    /// Units of one context that may be unconfirmed: 1 to 64. With 1 the peer never sees a gap, whatever is lost.
    pub window: usize,
    /// Whether Flash and Override go by the expedited service of the node.
    pub expedited: bool,
    /// Whether a unit counts as delivered only once the peer's node has given it to the gateway there. Where that one is
    /// away the unit comes back, and is tried again; else its node confirms, and it is lost.
    pub to_client: bool,
    /// Whether the peer may cut a unit into segments: they are told one by one, in the order in which they come.
    pub segments: bool,
    /// Time between tries after the node rejected a unit for what may pass.
    pub back_off: BackOff,
    /// Rate of the radio in bit/s, for the profile.
    pub bits_per_second: u32,
    /// Turnaround of the radio, for the profile.
    pub turnaround: Duration,
}

impl RcopConfig {
    /// Between two Skywave sites: two contexts, numbered blocks.
    pub fn skywave(sites: BTreeMap<SiteName, NodeAddress>) -> Self {
        let ports = vec![Port::rcop(CONNECTION, APPLICATION), Port::rcop(CONNECTION_URGENT, APPLICATION)];
        Self { ports, window: WINDOW_SKYWAVE, expedited: true, segments: false, ..Self::standard(sites) }
    }

    /// XEP-0365 0.2.1 as it stands.
    //= xmpp/RCOP-001
    pub fn standard(sites: BTreeMap<SiteName, NodeAddress>) -> Self {
        Self {
            ports: vec![Port { sap: SAP_STANDARD, ..Port::rcop(CONNECTION, APPLICATION) }],
            sites,
            window: 1,
            expedited: false,
            to_client: false,
            segments: true,
            back_off: BackOff { first: REJECTED_WAIT, longest: REJECTED_WAIT_MAX },
            bits_per_second: 300,
            turnaround: Duration::from_secs(2),
        }
    }

    /// As the M-Link R17 guide configures it: the SAP of RCOP, an application id agreed with the peer.
    pub fn m_link_r17(sites: BTreeMap<SiteName, NodeAddress>, application: u16) -> Self {
        Self { ports: vec![Port::rcop(CONNECTION, application)], ..Self::standard(sites) }
    }

    /// Everything that is wrong with the values: the key, and the fault in words.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut check = |good: bool, key, text: String| {
            if !good {
                faults.push((key, text))
            }
        };
        check(
            (1..=WINDOW_MAX).contains(&self.window),
            "window",
            format!("{} is not between 1 and {WINDOW_MAX}", self.window),
        );
        check(!self.ports.is_empty(), "ports", "there is none".to_owned());
        for (index, port) in self.ports.iter().enumerate() {
            check(port.service == Service::Rcop, "ports", "is not of RCOP".to_owned());
            check(port.connection < 16, "connection_id", format!("{} is above 15", port.connection));
            let twice = self.ports.iter().take(index).any(|other| other == port);
            check(!twice, "connection_id", format!("two contexts have {}", port.connection));
        }
        for (site, address) in &self.sites {
            check(!address.is_group(), "sites", format!("{site} has the address of a group, {address}"));
        }
        faults
    }

    /// The port of a context, by its place: contexts of other labels share the ports of the first two.
    pub(super) fn line_of(&self, context: u16) -> u16 {
        let last = u16::try_from(self.ports.len().saturating_sub(1)).unwrap_or(u16::MAX);
        (context % 2).min(last)
    }
}

/// Who opens the connection of a link over TCP. Both ends have to be configured so that it fits.
//= xmpp/X2X-003
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Opener {
    /// Either side; whoever has something to send.
    Either,
    /// We alone.
    We,
    /// The peer alone.
    They,
}

impl Opener {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Either, Self::We, Self::They];

    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Either => "either",
            Self::We => "we",
            Self::They => "they",
        }
    }

    /// Whether we connect.
    pub const fn connects(self) -> bool {
        matches!(self, Self::Either | Self::We)
    }

    /// Whether we listen.
    pub const fn listens(self) -> bool {
        matches!(self, Self::Either | Self::They)
    }
}

/// From where a peer may connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct AcceptFrom {
    /// The network's address.
    pub network: IpAddr,
    /// Bits of it that count.
    pub prefix: u8,
    /// The source port, if it must be one.
    pub port: Option<u16>,
}

impl AcceptFrom {
    /// Whether a peer at this address is meant.
    pub fn takes(&self, peer: SocketAddr) -> bool {
        let inside = match (self.network, peer.ip().to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(self.prefix.into());
                u32::from(network).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(self.prefix.into());
                u128::from(network).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        };
        inside && self.port.is_none_or(|port| port == peer.port())
    }
}

/// TLS straight after TCP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpTls {
    /// Name of the certificate to show; needed where we listen, and by a peer that wants to know us by it.
    pub certificate: Option<String>,
    /// The name told to the peer as server (SNI), and the one its certificate has to prove unless it is pinned.
    pub server_name: String,
    /// What makes a certificate good.
    pub trust: Trust,
    /// Whether a peer that connects must show a certificate.
    pub mutual: bool,
    /// Names of which the peer's certificate must have one; any will do if there is none.
    pub peer_names: Vec<String>,
}

/// A link for chat over TCP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpConfig {
    /// The peer.
    pub site: SiteName,
    /// Host and port of the peer, where we connect.
    pub target: Option<String>,
    /// Who opens.
    pub opener: Opener,
    /// Who may connect; nobody is asked for his address if there is none.
    pub accept_from: Vec<AcceptFrom>,
    /// TLS, if it is used.
    pub tls: Option<TcpTls>,
    /// Whether a connection is kept open without anything to send. A new one begins with a cold stream.
    pub permanent: bool,
    /// A blank is sent after so long without anything else; only where the stream is plain text.
    pub white_space: Option<Duration>,
    /// Code point of the packets of connections that we open.
    pub dscp: u8,
    /// Octets that may be written and not have left this program.
    pub buffer_octets: usize,
    /// Time between tries to connect.
    pub back_off: BackOff,
    /// Rate of the network in bit/s, for the profile.
    pub bits_per_second: u32,
    /// Round trip of the network, for the profile.
    pub turnaround: Duration,
}

impl TcpConfig {
    /// Octets that the network may hold and not have sent: what leaves in [`TCP_NETWORK_TIME`], as far as the rate is
    /// known.
    pub(super) fn network_octets(&self) -> usize {
        let octets = u64::from(self.bits_per_second) * TCP_NETWORK_TIME.as_secs() / 8;
        usize::try_from(octets)
            .unwrap_or(usize::MAX)
            .clamp(TCP_NETWORK_OCTETS_MIN, self.buffer_octets.max(TCP_NETWORK_OCTETS_MIN))
    }

    /// To a peer at `target` from which connections are taken as well, all else as usual.
    pub fn new(site: SiteName, target: Option<String>) -> Self {
        Self {
            site,
            target,
            opener: Opener::Either,
            accept_from: Vec::new(),
            tls: None,
            permanent: true,
            white_space: None,
            dscp: 0,
            buffer_octets: TCP_BUFFER_OCTETS,
            back_off: BackOff { first: TCP_WAIT, longest: TCP_WAIT_MAX },
            bits_per_second: 64_000,
            turnaround: Duration::from_millis(600),
        }
    }

    /// Everything that is wrong with the values: the key, and the fault in words.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut check = |good: bool, key, text: &str| {
            if !good {
                faults.push((key, text.to_owned()))
            }
        };
        let target = self.target.as_ref();
        check(target.is_some() || self.opener != Opener::We, "connect", "is missing: we are to open");
        check(target.is_none() || self.opener != Opener::They, "connect", "is of no use: the peer opens");
        check(target.is_none_or(|target| target.contains(':')), "connect", "has no port");
        let networks = &self.accept_from;
        check(networks.len() <= TCP_ACCEPT_MAX, "accept_from", "has more than 64 networks");
        let good = |one: &AcceptFrom| one.prefix <= if one.network.is_ipv4() { 32 } else { 128 };
        check(networks.iter().all(good), "accept_from", "has a prefix that is too long");
        check(self.dscp < 64, "dscp", "is above 63");
        check((1..=TCP_UNIT_OCTETS_MAX).contains(&self.buffer_octets), "buffer_octets", "is not between 1 and 1048576");
        let knows_peer = !networks.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.mutual);
        //= xmpp/X2X-004
        check(
            knows_peer || !self.opener.listens(),
            "accept_from",
            "is missing: whoever connects is known by his address, or by a certificate (tls = \"mutual\")",
        );
        if let Some(tls) = &self.tls {
            let shows = tls.certificate.is_some();
            check(shows || !self.opener.listens(), "certificate", "is missing: a server shows one");
            check(shows || !tls.mutual, "certificate", "is missing: both sides show one");
            check(tls.trust != Trust::Anybody || !tls.mutual, "pins", "are missing, or an authority");
        }
        check(self.white_space.is_none_or(|span| span.as_secs() > 0), "whitespace_interval_seconds", "cannot be 0");
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_urgent_takes_the_port_for_it_whatever_its_label() {
        let (two, one) = (RcopConfig::skywave(BTreeMap::new()), RcopConfig::standard(BTreeMap::new()));
        for (context, line) in [(0, 0), (1, 1), (2, 0), (3, 1), (34, 0), (35, 1)] {
            assert_eq!((two.line_of(context), one.line_of(context)), (line, 0), "{context}");
        }
    }

    #[test]
    fn all_faults_at_once() {
        let sites = BTreeMap::from([("field".into(), NodeAddress::individual(2))]);
        for good in
            [RcopConfig::skywave(sites.clone()), RcopConfig::standard(sites.clone()), RcopConfig::m_link_r17(sites, 7)]
        {
            assert_eq!(good.faults(), []);
            let port = Port { connection: 16, ..good.ports[0] };
            let sites = BTreeMap::from([("field".into(), NodeAddress::group(2))]);
            let bad = RcopConfig { window: 0, ports: vec![port, port, Port::udop(0, 1)], sites, ..good };
            let keys: Vec<_> = bad.faults().into_iter().map(|(key, _)| key).collect();
            assert_eq!(keys, ["window", "connection_id", "connection_id", "connection_id", "ports", "sites"]);
        }
    }
}

//! The configuration of a site, checked: nothing in it can be wrong for itself. `crate::config` makes it from files.

use std::net::SocketAddr;
use std::sync::Arc;

use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::precedence::{MtPriority, Precedence};
use skywave_protocols::time::Duration;
use skywave_transports::transport::SiteName;

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
    /// Whether what goes over the media is written to a capture file.
    pub capture: bool,
}

/// The SMTP server.
#[derive(Clone, PartialEq, Debug)]
pub struct MailConfig {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
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
}

/// The formats a link can carry. A new one must say what every place does with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carriage {
    /// RFC 8494 in CompressedData.
    Mule,
    /// RFC 2442 batches.
    Batch,
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
    },
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
    /// How long to wait for acknowledgements beyond the link's own time; `None` derives it from the rate.
    pub ack_wait: Option<Duration>,
    /// Growth of that wait per round, in hundredths (150 is 1.5).
    pub back_off_hundredths: u32,
    /// Full repeats to sites in EMCON.
    pub emcon_repeats: u32,
    /// Interval of these.
    pub emcon_interval: Duration,
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
    /// The quirks profile of foreign peers, by name (`none`, `libjpmul`).
    pub quirks: String,
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

/// Whether a domain pattern of the configuration covers a domain (both in lower case).
pub fn covers(pattern: &str, domain: &str) -> bool {
    match pattern {
        "*" => true,
        _ if pattern.starts_with('.') => domain.ends_with(pattern),
        _ => pattern == domain,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, domain, expected) in [
            ("hq.test", "hq.test", true),
            ("hq.test", "x.hq.test", false),
            (".hq.test", "x.hq.test", true),
            (".hq.test", "hq.test", false),
            ("*", "anything", true),
        ] {
            assert_eq!(covers(pattern, domain), expected, "{pattern} {domain}");
        }
    }
}

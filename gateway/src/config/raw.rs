//! The configuration as it is written, with its defaults. Units stand in the names of the keys.
//!
//! Everything that must be there is optional here, so that one missing key does not hide the other mistakes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::xmpp::rules::FilterConfig;

use super::raw_chat::RawChat;
use super::raw_site::{RawDynamicGroups, RawSilentPlan, RawSite};
use crate::node::acp142_options::Acp142Options;
use crate::shell::hand_over::HandOverTls;
use crate::shell::log::LogFormat;

/// A whole configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// The site's name.
    pub site: Option<String>,
    /// Where the queue lies.
    pub spool_directory: PathBuf,
    /// Where the control socket lies.
    pub run_directory: PathBuf,
    /// The file of password hashes: `user:$argon2id$…` a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// How log lines look: `text` or `json`.
    pub log_format: LogFormat,
    /// STARTTLS towards local MTAs: `never`, `offered` or `required`.
    pub hand_over_tls: HandOverTls,
    /// The SMTP server.
    pub mail: RawMail,
    /// Certificates by name.
    pub certificate: BTreeMap<String, RawCertificate>,
    /// Authorities that vouch for certificates, by name; `system` is there by itself.
    pub authority: BTreeMap<String, RawAuthority>,
    /// Addresses of hosts that DNS is not asked for.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Local MTAs by name.
    pub local: BTreeMap<String, RawLocal>,
    /// Radios by name.
    pub radio: BTreeMap<String, RawRadio>,
    /// Links by name.
    pub link: BTreeMap<String, RawLink>,
    /// Ways over ordinary mail, by name; routes name them like links.
    pub batch_mail: BTreeMap<String, RawBatchMail>,
    /// Routes by name.
    pub route: BTreeMap<String, RawRoute>,
    /// The queue.
    pub queue: RawQueue,
    /// Chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<RawChat>,
    /// Filters of chat, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filter: BTreeMap<String, FilterConfig>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            site: None,
            spool_directory: PathBuf::from("/var/lib/skywave"),
            run_directory: PathBuf::from("/run/skywave"),
            password_file: None,
            log_format: LogFormat::default(),
            hand_over_tls: HandOverTls::default(),
            mail: RawMail::default(),
            certificate: BTreeMap::new(),
            authority: BTreeMap::new(),
            hosts: BTreeMap::new(),
            local: BTreeMap::new(),
            radio: BTreeMap::new(),
            link: BTreeMap::new(),
            batch_mail: BTreeMap::new(),
            route: BTreeMap::new(),
            queue: RawQueue::default(),
            chat: None,
            filter: BTreeMap::new(),
        }
    }
}

/// `[mail]`: the SMTP server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMail {
    /// Addresses and ports.
    pub listen: Vec<String>,
    /// Those where users submit: nothing is taken there without AUTH.
    pub submission: Vec<String>,
    /// Name in greeting and Received fields; the site's name without.
    pub hostname: Option<String>,
    /// Largest mail.
    pub size_octets_max: u64,
    /// Most recipients of one mail.
    pub recipients_max: usize,
    /// Most connections.
    pub connections_max: usize,
    /// Networks that may relay: `10.0.0.0/8`.
    pub relay_networks: Vec<String>,
    /// Name of the certificate for STARTTLS.
    pub certificate: Option<String>,
    /// Whether users can authenticate; with a `password_file` they can.
    pub auth: Option<bool>,
    /// Whether AUTH is offered without TLS.
    pub auth_without_tls: bool,
    /// Precedence of mail that says none.
    pub precedence_default: String,
    /// Highest precedence taken: a name, or a number from -9 to 9.
    pub precedence_ceiling: String,
    /// What a precedence of an MMHS field stands for that no table knows, 6 to 15: `ceiling`, `default` or a precedence.
    pub mmhs_6_to_15: String,
    /// The same for those of nations, 16 to 31.
    pub mmhs_16_to_31: String,
    /// Most Received fields.
    pub hops_max: usize,
    /// Mail to this address from who may relay is a batch (RFC 2442) and unpacked here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_address: Option<String>,
    /// Whom questions go to; postmaster at the site's name without.
    pub postmaster: Option<String>,
}

impl Default for RawMail {
    fn default() -> Self {
        Self {
            listen: vec!["127.0.0.1:2525".to_owned()],
            submission: Vec::new(),
            hostname: None,
            size_octets_max: 16_000_000,
            recipients_max: 1_000,
            connections_max: 500,
            relay_networks: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
            certificate: None,
            auth: None,
            auth_without_tls: false,
            precedence_default: "routine".to_owned(),
            precedence_ceiling: "override".to_owned(),
            mmhs_6_to_15: "ceiling".to_owned(),
            mmhs_16_to_31: "default".to_owned(),
            hops_max: 50,
            batch_address: None,
            postmaster: None,
        }
    }
}

/// `[certificate.NAME]`: PEM files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCertificate {
    /// The chain, the own certificate first.
    pub chain_file: Option<PathBuf>,
    /// The private key.
    pub key_file: Option<PathBuf>,
}

/// `[authority.NAME]`: a PEM file of certificates.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAuthority {
    /// The file.
    pub file: Option<PathBuf>,
}

/// `[local.NAME]`: a local MTA.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLocal {
    /// Domains: `hq.test`, `.hq.test` for all below, `*` for all.
    pub domains: Vec<String>,
    /// Host and port.
    pub target: Option<String>,
    /// Most connections.
    pub connections_max: usize,
    /// Of these only for Flash and Override.
    pub connections_urgent: usize,
    /// How long a connection stays open without work.
    pub keep_open_seconds: u32,
    /// Whether it stays open for ever.
    pub keep_open_forever: bool,
    /// Octets of bodies in hand-over at once.
    pub octets_in_flight_max: u64,
    /// Whether mailboxes are right behind it: success is then reported by us as delivered.
    pub final_delivery: bool,
}

impl Default for RawLocal {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            target: None,
            connections_max: 20,
            connections_urgent: 2,
            keep_open_seconds: 60,
            keep_open_forever: false,
            octets_in_flight_max: 64 << 20,
            final_delivery: false,
        }
    }
}

/// `[radio.NAME]`: the attachment to a STANAG 5066 node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRadio {
    /// Host and port of the node.
    pub node: Option<String>,
    /// Our own address at it.
    pub address: Option<String>,
    /// Rank of our clients, 0 to 14.
    pub rank: u8,
    /// Rate of the radio.
    pub bits_per_second: u32,
    /// Time to turn the radio around.
    pub turnaround_milliseconds: u64,
    /// Airtime that may lie in the node.
    pub air_ahead_seconds: u64,
    /// The same of what the node confirms.
    pub confirm_ahead_seconds: u64,
    /// Code point of the packets to the node, 0 to 63.
    pub dscp: u8,
    /// Priority inside the node, from DEFERRED to OVERRIDE.
    pub priorities: [u8; 6],
    /// Half-octets that addresses of destinations are said to have.
    pub address_half_octets: u8,
    /// A hard link is held with the one node that data goes to until nothing moved for so long; 0: never.
    pub hold_link_seconds: u64,
    /// A session of rank 15 at this SAP tells the node of our radio silence.
    pub manage_sap: Option<u8>,
    /// The node puts two zero counters into every indication, as old products do.
    pub zero_counters: bool,
    /// A keep-alive goes when nothing was heard from the node for so long; 0: never.
    pub keep_alive_seconds: u64,
    /// First wait before a session with the node is tried again; it doubles.
    pub reconnect_first_seconds: u64,
    /// Longest such wait.
    pub reconnect_longest_seconds: u64,
}

impl Default for RawRadio {
    fn default() -> Self {
        Self {
            node: None,
            address: None,
            rank: 5,
            bits_per_second: 1_200,
            turnaround_milliseconds: 1_000,
            air_ahead_seconds: 20,
            confirm_ahead_seconds: 255,
            dscp: 0,
            priorities: Precedence::SIS_PRIORITIES,
            address_half_octets: 7,
            hold_link_seconds: 0,
            manage_sap: None,
            zero_counters: false,
            keep_alive_seconds: 120,
            reconnect_first_seconds: 1,
            reconnect_longest_seconds: 60,
        }
    }
}

/// `[link.NAME]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLink {
    /// `mule`, `batch` or `xmpp`.
    pub carriage: Option<String>,
    /// `acp142_radio`, `acp142_udp`, `batch_radio`, `xmpp_tcp` or `xmpp_rcop`.
    pub transport: Option<String>,
    /// The radio's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radio: Option<String>,
    /// Our own P_MUL id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// The group that reaches all sites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Largest PDU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pdu_octets_max: Option<usize>,
    /// Wait for acknowledgements; derived from the rate without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_wait_seconds: Option<u64>,
    /// Growth of that wait a round, in hundredths.
    pub back_off_hundredths: u32,
    /// Full repeats to silent sites, of all precedences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emcon_repeats: Option<u32>,
    /// Interval of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emcon_interval_seconds: Option<u64>,
    /// Both for a precedence, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub emcon_by_precedence: BTreeMap<String, RawSilentPlan>,
    /// What else can be said of ACP 142.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acp142: Option<Acp142Options>,
    /// The interface's address (`acp142_udp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<IpAddr>,
    /// TPORT, RPORT, DPORT, APORT (`acp142_udp`).
    pub ports: [u16; 4],
    /// Rate of the network (`acp142_udp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_per_second: Option<u32>,
    /// Groups for single messages (`acp142_udp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_groups: Option<RawDynamicGroups>,
    /// How often a batch goes to a group.
    pub repeats: u8,
    /// Time between the end of one sending of it and the next.
    pub repeat_gap_seconds: u64,
    /// What a batch may use by agreement with the peers (`batch_radio`): `MT-PRIORITY`, `DELIVERBY`, `SMTPUTF8`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Largest batch, both ways (`batch_radio`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_octets_max: Option<usize>,
    /// What one unit may inflate to.
    pub inflated_octets_max: usize,
    /// Profile of chat: `skywave`, `standard`, `m-link-r17` or `units`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whether chat is compressed; always with `skywave` and `units`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<bool>,
    /// Name of the preset dictionary of both ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dictionary: Option<String>,
    /// XEP-0198 without negotiation: `off`, `implicit` or `explicit` (`xmpp_tcp`, `standard` and `m-link-r17`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_management: Option<String>,
    /// Largest block of chat before compression; by the rate without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_block_octets: Option<usize>,
    /// How long an idle link waits for more stanzas; by the rate without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger_milliseconds: Option<u64>,
    /// What confirms a unit over RCOP: the peer's `node`, or its `client` (`xmpp_rcop`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// Whether each stanza has a U_PDU of its own (`xmpp_rcop`, `standard` and `m-link-r17`); by the profile without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_stanza_per_pdu: Option<bool>,
    /// Largest stanza that may cross.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stanza_octets_max: Option<usize>,
    /// Where the peer connects to (`xmpp_tcp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Host and port where we connect (`xmpp_tcp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<String>,
    /// Who opens: `either`, `we` or `they` (`xmpp_tcp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opener: Option<String>,
    /// Networks the peer may connect from, `192.0.2.1`, `192.0.2.0/24` or `192.0.2.1:5270` with the source port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_from: Option<Vec<String>>,
    /// `none`, `server` or `mutual` (`xmpp_tcp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Name of the certificate we show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Name of the authority that vouches for the peer's certificate: `system`, or one of `[authority]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// SHA-256 digests of the peer's certificates, in hex, instead of an authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pins: Option<Vec<String>>,
    /// Names of which the peer's certificate must have one; the site's name without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_names: Option<Vec<String>>,
    /// Whether the connection is kept open without anything to send (`xmpp_tcp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permanent: Option<bool>,
    /// White space after so long without anything else; none without (`xmpp_tcp`, `standard` without compression).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whitespace_interval_seconds: Option<u64>,
    /// Code point of packets (`xmpp_tcp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dscp: Option<u8>,
    /// The SAP (`xmpp_rcop`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sap: Option<u8>,
    /// The connection id (`xmpp_rcop`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<u8>,
    /// The connection id for high precedence (`xmpp_rcop`, `skywave`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgent_connection_id: Option<u8>,
    /// The application id (`xmpp_rcop`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_id: Option<u16>,
    /// Units that may be unconfirmed (`xmpp_rcop`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// Whether Flash and Override go by the node's expedited service (`xmpp_rcop`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expedited: Option<bool>,
    /// The sites it reaches, by name.
    pub site: BTreeMap<String, RawSite>,
}

impl Default for RawLink {
    fn default() -> Self {
        Self {
            carriage: None,
            transport: None,
            radio: None,
            id: None,
            group: None,
            pdu_octets_max: None,
            ack_wait_seconds: None,
            back_off_hundredths: 150,
            emcon_repeats: None,
            extensions: Vec::new(),
            emcon_interval_seconds: None,
            emcon_by_precedence: BTreeMap::new(),
            acp142: None,
            bind: None,
            ports: [2751, 2752, 2753, 2754],
            bits_per_second: None,
            dynamic_groups: None,
            repeats: 3,
            repeat_gap_seconds: 300,
            batch_octets_max: None,
            inflated_octets_max: 64 << 20,
            profile: None,
            compression: None,
            dictionary: None,
            delivery: None,
            one_stanza_per_pdu: None,
            stream_management: None,
            max_block_octets: None,
            linger_milliseconds: None,
            stanza_octets_max: None,
            listen: None,
            connect: None,
            opener: None,
            accept_from: None,
            tls: None,
            certificate: None,
            authority: None,
            pins: None,
            peer_names: None,
            permanent: None,
            whitespace_interval_seconds: None,
            dscp: None,
            sap: None,
            connection_id: None,
            urgent_connection_id: None,
            application_id: None,
            window: None,
            expedited: None,
            site: BTreeMap::new(),
        }
    }
}

/// `[batch_mail.NAME]`: batches (RFC 2442) inside ordinary mail.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawBatchMail {
    /// The address at which the peer unpacks batches.
    pub to: Option<String>,
    /// What a batch may use by agreement with the peer: `MT-PRIORITY`, `DELIVERBY`, `SMTPUTF8`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
}

/// `[route.NAME]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRoute {
    /// Domains, as of a local MTA.
    pub domains: Vec<String>,
    /// The site that takes them.
    pub site: Option<String>,
    /// Links that reach it, the preferred first.
    pub links: Vec<String>,
}

/// `[queue]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawQueue {
    /// Life of a mail by precedence.
    pub lifetime_seconds: RawLifetimes,
    /// After what time a delay is reported; 0 is never.
    pub delay_notice_seconds: u64,
    /// First wait before a hand-over is tried again.
    pub retry_first_seconds: u64,
    /// Longest wait.
    pub retry_longest_seconds: u64,
    /// How long a finished mail can be tracked.
    pub history_seconds: u64,
    /// How long keys of mails that came by radio are remembered.
    pub dedupe_seconds: u64,
    /// Most mails.
    pub mails_max: u64,
    /// Of these only for Immediate and above.
    pub mails_reserved: u64,
}

impl Default for RawQueue {
    fn default() -> Self {
        let checked = crate::node::config::QueueConfig::default();
        Self {
            lifetime_seconds: RawLifetimes::default(),
            delay_notice_seconds: checked.delay_notice.map_or(0, |notice| notice.as_secs()),
            retry_first_seconds: checked.retry_first.as_secs(),
            retry_longest_seconds: checked.retry_longest.as_secs(),
            history_seconds: checked.history.as_secs(),
            dedupe_seconds: checked.dedupe.as_secs(),
            mails_max: checked.mails_max,
            mails_reserved: checked.mails_reserved,
        }
    }
}

/// `[queue.lifetime_seconds]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the precedences")]
pub struct RawLifetimes {
    pub deferred: u64,
    pub routine: u64,
    pub priority: u64,
    pub immediate: u64,
    pub flash: u64,
    pub r#override: u64,
}

impl RawLifetimes {
    /// From Deferred to Override.
    pub const fn all(&self) -> [u64; 6] {
        [self.deferred, self.routine, self.priority, self.immediate, self.flash, self.r#override]
    }
}

impl Default for RawLifetimes {
    fn default() -> Self {
        let [deferred, routine, priority, immediate, flash, r#override] =
            crate::node::config::QueueConfig::default().lifetimes.map(|life| life.as_secs());
        Self { deferred, routine, priority, immediate, flash, r#override }
    }
}

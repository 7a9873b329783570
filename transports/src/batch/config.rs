//! What a batch link is configured with, as plain values; the file format is the gateway's.

use std::collections::BTreeMap;

use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::reassembly::ReassemblyLimits;
use skywave_protocols::time::Duration;

use crate::radio::{Port, Service};
use crate::transport::SiteName;

/// Octets of a batch.
pub const BATCH_OCTETS_MAX: usize = 4 << 20;

/// Connection id of batch units (defaults.md).
pub const CONNECTION: u8 = 2;
/// Application id of batch units (defaults.md; user-defined range).
pub const APPLICATION: u16 = 0x8002;

/// A batch link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchConfig {
    /// Where it sends and receives.
    pub port: Port,
    /// The nodes of the sites.
    pub sites: BTreeMap<SiteName, NodeAddress>,
    /// The group that reaches several sites at once; only UDOP.
    pub group: Option<NodeAddress>,
    /// How often a unit is sent in all; only UDOP: 1 to 16.
    pub rounds: u8,
    /// Time between the end of a round and the next: longer than a fade.
    pub round_gap: Duration,
    /// How often the node repeats each U_PDU after the first time; only UDOP: 0 to 15.
    pub node_repeats: u8,
    /// Octets of the largest unit, both ways.
    pub unit_octets_max: usize,
    /// Rate of the radio in bit/s, for the profile.
    pub bits_per_second: u32,
    /// Turnaround of the radio, for the profile.
    pub turnaround: Duration,
    /// Limits of the reassembly.
    pub reassembly: ReassemblyLimits,
}

impl BatchConfig {
    /// Over UDOP: three rounds, five minutes apart.
    pub fn udop(sites: BTreeMap<SiteName, NodeAddress>, group: Option<NodeAddress>) -> Self {
        Self {
            port: Port::udop(CONNECTION, APPLICATION),
            sites,
            group,
            rounds: 3,
            round_gap: Duration::from_secs(300),
            node_repeats: 0,
            unit_octets_max: BATCH_OCTETS_MAX,
            bits_per_second: 300,
            turnaround: Duration::from_secs(2),
            reassembly: ReassemblyLimits::default(),
        }
    }

    /// Over RCOP.
    pub fn rcop(sites: BTreeMap<SiteName, NodeAddress>) -> Self {
        Self { port: Port::rcop(CONNECTION, APPLICATION), rounds: 1, ..Self::udop(sites, None) }
    }

    /// Everything that is wrong with the values: the key, and the fault in words.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut check = |good: bool, key, text: String| {
            if !good {
                faults.push((key, text))
            }
        };
        check((1..=16).contains(&self.rounds), "rounds", format!("{} is not between 1 and 16", self.rounds));
        check(self.node_repeats < 16, "node_repeats", format!("{} is above 15", self.node_repeats));
        check(self.port.connection < 16, "connection", format!("{} is above 15", self.port.connection));
        check(
            (1..=self.reassembly.unit_octets).contains(&self.unit_octets_max),
            "unit_octets_max",
            format!("{} is not between 1 and {}", self.unit_octets_max, self.reassembly.unit_octets),
        );
        check(self.group.is_none_or(NodeAddress::is_group), "group", "is the address of one node".to_owned());
        for (site, address) in &self.sites {
            check(!address.is_group(), "sites", format!("{site} has the address of a group, {address}"));
        }
        faults
    }

    /// Rounds after the first; RCOP has none.
    pub(super) fn rounds_after_first(&self) -> u8 {
        match self.port.service {
            Service::Udop => self.rounds.saturating_sub(1),
            Service::Rcop => 0,
        }
    }
}

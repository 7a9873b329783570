//! What a radio is configured with, as plain values; the file format is the gateway's.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::event::BackOff;
use skywave_protocols::s5066::sis::fields::{Rank, SapId};
use skywave_protocols::s5066::sis::limits::KEEP_ALIVE_INTERVAL;
use skywave_protocols::s5066::sis::unidata::Quirks;
use skywave_protocols::time::Duration;

use super::limits::SIS_PRIORITY_MAX;

/// One attachment to a STANAG 5066 node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RadioConfig {
    /// Host name or address of the node, and port.
    pub target: String,
    /// The address of our node.
    pub own_address: NodeAddress,
    /// The rank of all sessions: 0 to 14.
    pub rank: Rank,
    /// Code point of the packets to the node.
    pub dscp: u8,
    /// The priority inside the node of each precedence, 0 to 15, from Deferred to Override, ascending.
    pub priorities: [u8; 6],
    /// Half-octets that addresses of destinations are said to have, 1 to 7, or as many as their bits need.
    pub address_half_octets: u8,
    /// Rate of the radio in bit/s; the pacing of what is not confirmed relies on it.
    pub bits_per_second: u32,
    /// Time from handing down to the first octet in the air: turnaround, preamble, interleaver.
    pub turnaround: Duration,
    /// How much unconfirmed data may be in the hands of the node, in time on air. At least one PDU always may.
    pub air_ahead: Duration,
    /// How much data whose confirmation is awaited may be in the hands of the node, in time on air. At least two
    /// PDUs always may, so that the node can fill a transmission.
    pub confirm_ahead: Duration,
    /// A hard link is held with the one node that data goes to, until nothing moved for so long; `None`: never, the
    /// node's own soft links serve.
    pub hold_link: Option<Duration>,
    /// A session of rank 15 at this SAP tells the node of our own radio silence, so that it answers nobody either.
    /// Skywave's own nodes understand it; `None`: the node is silenced by its own means.
    pub manage_sap: Option<SapId>,
    /// Time between tries to reach the node.
    pub back_off: BackOff,
    /// A keep-alive is sent when nothing was heard from the node for so long, 120 s or more; `None`: never.
    pub keep_alive: Option<Duration>,
    /// What the node does differently.
    pub quirks: Quirks,
    /// Whether all primitives are put out for a capture file.
    pub capture: bool,
}

impl RadioConfig {
    /// A radio at 300 bit/s; everything else as usual.
    pub fn new(target: impl Into<String>, own_address: NodeAddress) -> Self {
        Self {
            target: target.into(),
            own_address,
            rank: Rank::default(),
            dscp: 0,
            priorities: Precedence::SIS_PRIORITIES,
            address_half_octets: NodeAddress::SIZE_MAX,
            bits_per_second: 300,
            turnaround: Duration::from_secs(2),
            air_ahead: Duration::from_secs(8),
            // Two of the longest transmissions: one in the air, one that follows it.
            confirm_ahead: Duration::from_secs(255),
            hold_link: None,
            manage_sap: None,
            back_off: BackOff::default(),
            keep_alive: Some(KEEP_ALIVE_INTERVAL),
            quirks: Quirks::default(),
            capture: false,
        }
    }

    /// Everything that is wrong with the values: the key, and the fault in words.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut check = |good: bool, key, text: String| {
            if !good {
                faults.push((key, text))
            }
        };
        check(self.target.contains(':'), "target", format!("{:?} has no port", self.target));
        check(!self.own_address.is_group(), "own_address", format!("{} is a group", self.own_address));
        check(self.rank != Rank::MANAGER, "rank", "15 is for clients that manage the node".to_owned());
        check(self.dscp < 64, "dscp", format!("{} is above 63", self.dscp));
        let ascend = self.priorities.windows(2).all(|pair| pair[0] < pair[1]);
        let text = "rises not from each precedence to the next, OVERRIDE last, 0 to 15";
        check(ascend && self.priorities[5] <= SIS_PRIORITY_MAX, "priorities", text.to_owned());
        let sizes = 1..=NodeAddress::SIZE_MAX;
        let text = format!("{} is not between 1 and {}", self.address_half_octets, NodeAddress::SIZE_MAX);
        check(sizes.contains(&self.address_half_octets), "address_half_octets", text);
        check(
            (1..=1_000_000).contains(&self.bits_per_second),
            "bits_per_second",
            format!("{} is not between 1 and 1,000,000", self.bits_per_second),
        );
        let ahead = Duration::from_secs(1)..=Duration::from_secs(600);
        for (key, span) in [("air_ahead_seconds", self.air_ahead), ("confirm_ahead_seconds", self.confirm_ahead)] {
            check(ahead.contains(&span), key, format!("{} s is not between 1 and 600", span.as_secs()));
        }
        check(
            self.hold_link.is_none_or(|idle| (1..=3_600).contains(&idle.as_secs())),
            "hold_link_seconds",
            "is not between 1 and 3600".to_owned(),
        );
        check(
            self.turnaround <= Duration::from_secs(120),
            "turnaround",
            format!("{} s is above 120", self.turnaround.as_secs()),
        );
        check(
            self.back_off.first <= self.back_off.longest && !self.back_off.first.is_zero(),
            "back_off",
            "the first wait is zero or above the longest".to_owned(),
        );
        check(
            self.keep_alive.is_none_or(|interval| interval >= KEEP_ALIVE_INTERVAL),
            "keep_alive_seconds",
            format!("is less than {}, the standard's least", KEEP_ALIVE_INTERVAL.as_secs()),
        );
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_at_once() {
        let good = RadioConfig::new("node:5066", NodeAddress::individual(1));
        assert_eq!(good.faults(), []);
        let bad = RadioConfig {
            target: "node".to_owned(),
            own_address: NodeAddress::ALL_STATIONS,
            rank: Rank::MANAGER,
            dscp: 64,
            priorities: [1, 3, 6, 9, 15, 16],
            address_half_octets: 0,
            bits_per_second: 0,
            turnaround: Duration::from_secs(121),
            air_ahead: Duration::ZERO,
            confirm_ahead: Duration::from_secs(601),
            hold_link: Some(Duration::ZERO),
            back_off: BackOff { first: Duration::from_secs(2), longest: Duration::from_secs(1) },
            keep_alive: Some(Duration::from_secs(119)),
            ..good
        };
        let keys: Vec<_> = bad.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "target",
                "own_address",
                "rank",
                "dscp",
                "priorities",
                "address_half_octets",
                "bits_per_second",
                "air_ahead_seconds",
                "confirm_ahead_seconds",
                "hold_link_seconds",
                "turnaround",
                "back_off",
                "keep_alive_seconds"
            ]
        );
    }
}

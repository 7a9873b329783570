//! What the channel access sublayer is configured with. The standard gives no numbers for these times; the defaults are
//! ours.

use std::collections::BTreeMap;

use crate::s5066::address::NodeAddress;
use crate::time::Duration;

/// How a link with a node is made when we want it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkSetup {
    /// A request, its acceptance, then data: what every node of the standard knows.
    Handshake,
    /// Data travels in the same transmission as the request. Between two nodes of ours.
    Ride,
    /// The link is agreed to be there at all times: nothing is asked, and data says which link it is of. Point to point
    /// between two nodes of ours; a foreign one that answers such data is taken for one of [`LinkSetup::Reset`].
    Skip,
    /// The same with any node of the standard: a full reset begins both windows, and data waits for its answer.
    Reset,
}

/// The configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CasConfig {
    /// The node's own address.
    pub address: NodeAddress,
    /// How links are made, unless `setups` says otherwise.
    pub setup: LinkSetup,
    /// How links with these nodes are made.
    pub setups: BTreeMap<NodeAddress, LinkSetup>,
    /// This node has no links at all.
    pub broadcast_only: bool,
    /// How long an answer to a request may take, from when the request has left: turn, preamble, interleaver, and
    /// whoever else had the channel. A station waits no shorter than that takes on its radio.
    pub request_wait: Duration,
    /// How often a request is repeated before the link has failed.
    pub request_retries: u32,
    /// How long an answer to a break may take. See `request_wait`.
    pub break_wait: Duration,
    /// How often a break is repeated before the link counts as broken anyway.
    pub break_retries: u32,
    /// A link that another node asked for ends when no data comes for so long after it was made.
    pub first_data_wait: Duration,
    /// A soft link ends when no data moves for so long, while it is the only one. Links with riding data do not end
    /// this way: making them anew costs nothing, ending them costs two transmissions.
    pub soft_idle: Duration,
    /// The same while there are several links.
    pub soft_idle_shared: Duration,
    /// While others wait for a link and there are as many as there may be, a soft link lasts so long at most.
    pub soft_max_when_others_wait: Duration,
    /// The side that was asked for a link waits so long more before it ends one.
    pub called_min: Duration,
    /// Links at once.
    pub links_max: usize,
}

impl CasConfig {
    /// The usual values for a node.
    pub const fn new(address: NodeAddress) -> Self {
        Self {
            address,
            setup: LinkSetup::Ride,
            setups: BTreeMap::new(),
            broadcast_only: false,
            request_wait: Duration::from_secs(60),
            request_retries: 3,
            break_wait: Duration::from_secs(60),
            break_retries: 2,
            first_data_wait: Duration::from_secs(300),
            soft_idle: Duration::from_secs(1800),
            soft_idle_shared: Duration::from_secs(300),
            soft_max_when_others_wait: Duration::from_secs(120),
            called_min: Duration::from_secs(60),
            links_max: 64,
        }
    }

    /// How a link with `peer` is made.
    pub fn setup_of(&self, peer: NodeAddress) -> LinkSetup {
        self.setups.get(&peer).copied().unwrap_or(self.setup)
    }
}

//! What is written of the sites of a link: addresses, silence, groups, and what they do otherwise.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use skywave_transports::acp142::udp::GLOBAL_GROUP;

/// `[link.NAME.emcon_by_precedence.PRECEDENCE]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSilentPlan {
    /// Full repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u32>,
    /// Interval of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u64>,
}

/// `[link.NAME.dynamic_groups]`: groups that are asked for, announced and given back for each message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawDynamicGroups {
    /// The group of all, where groups are asked for and announced.
    pub global_group: Ipv4Addr,
    /// First and last group that may be asked for.
    pub range: [Ipv4Addr; 2],
    /// Silence for so long is consent.
    pub wait_for_reject_seconds: u64,
    /// From the first announcement to the message.
    pub announce_delay_seconds: u64,
    /// Announcements within that time.
    pub announcements: u32,
}

impl Default for RawDynamicGroups {
    fn default() -> Self {
        Self {
            global_group: GLOBAL_GROUP,
            range: [Ipv4Addr::new(239, 192, 0, 0), Ipv4Addr::new(239, 192, 255, 255)],
            wait_for_reject_seconds: 5,
            announce_delay_seconds: 5,
            announcements: 5,
        }
    }
}

/// `[link.NAME.site."SITE"]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSite {
    /// Its P_MUL id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Its address on the medium.
    pub address: Option<String>,
    /// Whether it is in EMCON from the start.
    pub silent: bool,
    /// Profile of a foreign peer, or what it does otherwise one by one.
    pub quirks: RawQuirks,
    /// Highest precedence taken from it, if that is less than the site's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precedence_ceiling: Option<String>,
}

/// One name, or several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawQuirks {
    /// `none`, `libjpmul`, or one quirk.
    One(String),
    /// Some of them.
    Some(Vec<String>),
}

impl RawQuirks {
    /// The names.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Some(names) => names,
        }
    }
}

impl Default for RawQuirks {
    fn default() -> Self {
        Self::One("none".to_owned())
    }
}

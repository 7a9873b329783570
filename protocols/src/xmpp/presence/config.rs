//! How presence of a peer is treated.

use serde::{Deserialize, Serialize};

/// What of presence crosses in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum PresenceMode {
    /// All of it, as it comes; nothing is remembered or answered.
    #[serde(rename = "full")]
    Full,
    /// What is new, whole.
    #[default]
    #[serde(rename = "cached")]
    Cached,
    /// What is new, folded to available and unavailable.
    #[serde(rename = "folded")]
    Folded,
    /// The same with away, dnd and the like.
    #[serde(rename = "folded+show")]
    FoldedShow,
    /// What is new, whole, and only the last of what changes within the hold-down.
    #[serde(rename = "on-change-only")]
    OnChangeOnly,
    /// None: for chat between persons only.
    #[serde(rename = "none")]
    None,
}

/// What a question for presence gets while the link is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLinkDown {
    /// Unavailable.
    #[default]
    Offline,
    /// What was last known.
    Keep,
}

/// How what is remembered becomes right again after an outage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PresenceSync {
    /// The far site sends what changed by itself: another Skywave.
    #[default]
    Push,
    /// Contacts are asked, a few a minute.
    Probe,
    /// Not at all; what is old is asked for when somebody wants to know.
    None,
}

/// Whether contacts whose presence does not cross appear as available.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyntheticPresence {
    /// Always, once a subscription has crossed.
    Always,
    /// While the link is up.
    LinkUp,
    /// Never.
    #[default]
    Never,
}

/// Presence of one peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PresenceConfig {
    /// What crosses towards the link.
    pub to_link: PresenceMode,
    /// What is let through and remembered of what comes from the link.
    pub from_link: PresenceMode,
    /// Changes within this time are one change; without it 30 s for `on-change-only` and 0 otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_down_seconds: Option<u64>,
    /// With `none`: whether subscriptions still cross.
    pub allow_subscriptions: bool,
    /// With `none`: whether presence to and from rooms still crosses.
    pub allow_rooms: bool,
    /// What questions get while the link is down.
    pub on_link_down: OnLinkDown,
    /// After so long an outage contacts appear as unavailable; 0 for never.
    pub offline_after_seconds: u64,
    /// How long what may be out of date is still given as an answer.
    pub stale_seconds: u64,
    /// How it becomes right again; without it `push`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<PresenceSync>,
    /// With `probe`: questions a minute.
    pub resync_per_minute: u32,
    /// How long a question that nobody answered is not asked again.
    pub ask_again_seconds: u64,
    /// An answer that is older than this says so; 0 for never.
    pub delay_after_seconds: u64,
    /// Whether contacts whose presence does not cross appear as available.
    pub synthetic: SyntheticPresence,
    /// Under which resource they do.
    pub synthetic_resource: String,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self {
            to_link: PresenceMode::default(),
            from_link: PresenceMode::default(),
            hold_down_seconds: None,
            allow_subscriptions: true,
            allow_rooms: false,
            on_link_down: OnLinkDown::default(),
            offline_after_seconds: 1_800,
            stale_seconds: 4 * 3_600,
            sync: None,
            resync_per_minute: 4,
            ask_again_seconds: 3_600,
            delay_after_seconds: 60,
            synthetic: SyntheticPresence::default(),
            synthetic_resource: "radio".to_owned(),
        }
    }
}

impl PresenceConfig {
    /// The mistakes, each with its key below this table and the reason.
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        if self.synthetic_resource.is_empty() || jid::ResourcePart::new(&self.synthetic_resource).is_err() {
            mistakes.push(("synthetic_resource", format!("{:?} is no resource", self.synthetic_resource)));
        }
        if self.sync() == PresenceSync::Probe && self.resync_per_minute == 0 {
            mistakes.push(("resync_per_minute", "must not be 0 where sync is probe".to_owned()));
        }
        mistakes
    }

    pub(super) fn sync(&self) -> PresenceSync {
        self.sync.unwrap_or_default()
    }

    pub(super) fn hold_down_seconds(&self) -> u64 {
        let usual = if self.to_link == PresenceMode::OnChangeOnly { 30 } else { 0 };
        self.hold_down_seconds.unwrap_or(usual)
    }
}

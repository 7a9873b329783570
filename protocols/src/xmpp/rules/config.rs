//! The rules as they are written. Units stand in the names of the keys.
//!
//! ```toml
//! [filter.field]
//! base = "hf-slow"
//! dry_run = false
//!
//! [filter.field.to_link]
//! message.mode = "keep-only"
//! message.elements = ["{}body", "{urn:xmpp:receipts}*"]
//! presence.mode = "fold"
//! iq.default = "reject"
//! iq.pass = ["http://jabber.org/protocol/muc#admin"]
//! iq.answer = ["urn:xmpp:ping"]
//!
//! [[filter.field.to_link.rule]]
//! match = { stanza = "message", only_children = ["{http://jabber.org/protocol/chatstates}*", "{}thread"] }
//! action = "drop"
//! ```

mod iq;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::iq::{IqAnswers, IqConfig, IqDefault};
use super::super::local::{Answer, Condition, ErrorType, Identity};
use super::super::stanza::Kind;
pub use super::many::Many;
use super::name::Glob;
use crate::message::precedence::Precedence;

/// One filter: what may cross between a peer and this site, in both directions.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// The built-in profile that stands behind what is written here: `sat`, `hf-fast`, `hf-slow` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Whether everything passes and only the report says what would have been saved.
    #[serde(alias = "dry-run")]
    pub dry_run: bool,
    /// Domains of room services, by pattern; they tell rooms from users.
    #[serde(alias = "room-domains", skip_serializing_if = "Option::is_none")]
    pub room_domains: Option<Vec<String>>,
    /// What disco#info says about addresses of a domain, by the pattern of the domain.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub disco: BTreeMap<String, DiscoConfig>,
    /// Stanza rules of both directions; they come before those of one direction.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<RuleConfig>,
    /// Towards the link.
    #[serde(alias = "to-link")]
    pub to_link: DirectionConfig,
    /// From the link.
    #[serde(alias = "from-link")]
    pub from_link: DirectionConfig,
}

impl FilterConfig {
    /// The links that stanza rules have stanzas of a peer take.
    pub fn routes(&self, peer: &str) -> Vec<&str> {
        let concerns = |rule: &&RuleConfig| {
            let named = &rule.condition.peer.0;
            named.is_empty() || named.iter().any(|name| Glob::new(name).is_ok_and(|glob| glob.matches(peer)))
        };
        let rules = self.rule.iter().chain(&self.to_link.rule).filter(concerns);
        let actions = rules.flat_map(|rule| &rule.action.0);
        actions
            .filter_map(|action| match action {
                ActionConfig::Route(link) => Some(link.as_str()),
                _other => None,
            })
            .collect()
    }
}

/// What disco#info says about a domain.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscoConfig {
    /// What it is.
    pub identity: Vec<Identity>,
    /// What it offers; what a filter takes away is left out all the same.
    pub features: Vec<String>,
}

/// One direction of a filter.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DirectionConfig {
    /// Folding of messages.
    pub message: MessageConfig,
    /// Folding of presence.
    pub presence: PresenceConfig,
    /// Requests by namespace.
    pub iq: IqConfig,
    /// Stanza rules; the first that fits decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<RuleConfig>,
    /// Element rules; all are applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub element: Vec<ElementRuleConfig>,
    /// Whether ids are short on the link; only towards it, and only where the profile of the link is `skywave`. They are
    /// unless this says otherwise.
    #[serde(alias = "short-id", skip_serializing_if = "Option::is_none")]
    pub short_id: Option<bool>,
    /// Whether security labels are taken away that `releasable_labels` lets go.
    #[serde(alias = "strip-labels", skip_serializing_if = "Option::is_none")]
    pub strip_labels: Option<bool>,
    /// Labels that may be taken away: each of these tests alone says so. There is no label policy yet that would.
    #[serde(alias = "releasable-labels", skip_serializing_if = "Vec::is_empty")]
    pub releasable_labels: Vec<LabelConfig>,
}

/// How a list of elements is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoldMode {
    /// What is not in the list is taken away.
    KeepOnly,
    /// What is in the list is taken away.
    Strip,
    /// Presence only: availability and nothing else.
    Fold,
    /// Nothing is taken away.
    None,
}

/// Folding of messages.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageConfig {
    /// The mode; the base's mode and elements without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FoldMode>,
    /// The elements, as `{namespace}name`.
    pub elements: Vec<String>,
    /// Elements that no list takes away.
    pub keep: Vec<String>,
    /// With `keep-only`: body, subject, thread and error are kept only where the list names them.
    pub strict: bool,
}

/// Folding of presence.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PresenceConfig {
    /// The mode; the base's mode and elements without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FoldMode>,
    /// The elements, as `{namespace}name`.
    pub elements: Vec<String>,
    /// Elements that no list takes away.
    pub keep: Vec<String>,
    /// With `fold`: whether away, dnd and the like stay.
    #[serde(alias = "keep-show")]
    pub keep_show: bool,
    /// Whether "extended away" becomes "away".
    #[serde(alias = "map-xa")]
    pub map_xa: bool,
    /// What becomes of a client that wants no messages to the bare address, when its priority is taken away.
    #[serde(alias = "negative-priority")]
    pub negative_priority: NegativePriority,
    /// Whether all presence is taken away: for chat between persons only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// With `all`: whether subscriptions still cross.
    #[serde(alias = "allow-subscriptions", skip_serializing_if = "Option::is_none")]
    pub allow_subscriptions: Option<bool>,
    /// With `all`: whether presence to and from rooms still crosses.
    #[serde(alias = "allow-rooms")]
    pub allow_rooms: bool,
}

/// What becomes of a client with a negative priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NegativePriority {
    /// It appears as unavailable: nothing for the bare address is to go to it.
    #[default]
    Unavailable,
    /// It appears as any other.
    Ignore,
}

/// A stanza rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Its name in reports; its place without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it fits: all that is written must hold.
    #[serde(rename = "match", default)]
    pub condition: MatchConfig,
    /// What is done, in order: a word, a table with one key, or a list of these.
    pub action: Many<ActionConfig>,
}

/// An element rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElementRuleConfig {
    /// Its name in reports; its place without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In which stanzas: all that is written must hold.
    #[serde(rename = "match", default)]
    pub condition: MatchConfig,
    /// The elements, as `{namespace}name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<String>,
    /// Whether only direct children or elements at any depth.
    #[serde(default)]
    pub depth: Depth,
    /// What is done with them.
    pub action: Many<ElementActionConfig>,
}

/// Where elements are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Direct children of the stanza.
    #[default]
    Top,
    /// Everywhere.
    Any,
}

/// The way of a stanza.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From a local server to the link.
    ToLink,
    /// From the link to a local server.
    FromLink,
    /// Either.
    Both,
}

/// What an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressKind {
    /// A person.
    UserBare,
    /// A person's client.
    UserFull,
    /// A server or a service.
    Domain,
    /// A room.
    Room,
    /// Somebody in a room.
    Occupant,
}

/// The conditions of a rule.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchConfig {
    /// The direction; the one of the list the rule stands in without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Names of peers, patterns.
    #[serde(skip_serializing_if = "Many::is_empty")]
    pub peer: Many<String>,
    /// Names of links, patterns.
    #[serde(skip_serializing_if = "Many::is_empty")]
    pub link: Many<String>,
    /// Kinds of stanza.
    #[serde(skip_serializing_if = "Many::is_empty")]
    pub stanza: Many<Kind>,
    /// Values of `type`; `none` where there is none. A message of no or unknown type is `normal`.
    #[serde(rename = "type", skip_serializing_if = "Many::is_empty")]
    pub types: Many<String>,
    /// Senders, patterns.
    #[serde(skip_serializing_if = "Many::is_empty")]
    pub from: Many<String>,
    /// What the sender is.
    #[serde(alias = "from-kind", skip_serializing_if = "Many::is_empty")]
    pub from_kind: Many<AddressKind>,
    /// Addressees, patterns.
    #[serde(skip_serializing_if = "Many::is_empty")]
    pub to: Many<String>,
    /// What the addressee is.
    #[serde(alias = "to-kind", skip_serializing_if = "Many::is_empty")]
    pub to_kind: Many<AddressKind>,
    /// One of these stands directly in the stanza.
    #[serde(skip_serializing_if = "Many::is_empty")]
    pub child: Many<String>,
    /// Requests and answers: the namespace of the content, patterns.
    #[serde(alias = "payload-ns", skip_serializing_if = "Many::is_empty")]
    pub payload_ns: Many<String>,
    /// There are children, and each is one of these.
    #[serde(alias = "only-children", skip_serializing_if = "Many::is_empty")]
    pub only_children: Many<String>,
    /// Whether there is a body.
    #[serde(alias = "has-body", skip_serializing_if = "Option::is_none")]
    pub has_body: Option<bool>,
    /// Whether there is a subject.
    #[serde(alias = "has-subject", skip_serializing_if = "Option::is_none")]
    pub has_subject: Option<bool>,
    /// An attribute of the stanza or of a direct child.
    #[serde(skip_serializing_if = "Many::is_empty")]
    pub attr: Many<AttributeConfig>,
    /// More octets than this, as the stanza is written on the link.
    #[serde(alias = "size-octets-over", skip_serializing_if = "Option::is_none")]
    pub size_octets_over: Option<usize>,
    /// The security label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelConfig>,
    /// The lowest precedence.
    #[serde(alias = "precedence-min", skip_serializing_if = "Option::is_none")]
    pub precedence_min: Option<Precedence>,
    /// The highest precedence.
    #[serde(alias = "precedence-max", skip_serializing_if = "Option::is_none")]
    pub precedence_max: Option<Precedence>,
    /// The state of the link.
    #[serde(alias = "link-state", skip_serializing_if = "Option::is_none")]
    pub link_state: Option<LinkState>,
    /// The oldest stanza in the peer's queue waits longer than this.
    #[serde(alias = "queue-age-seconds-over", skip_serializing_if = "Option::is_none")]
    pub queue_age_seconds_over: Option<u64>,
    /// The link is slower than this: makes a profile that tightens itself.
    #[serde(alias = "link-rate-bits-per-second-under", skip_serializing_if = "Option::is_none")]
    pub link_rate_bits_per_second_under: Option<u32>,
    /// More of them than so many in such a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateConfig>,
    /// One of these windows, UTC: `22:00/06:00` each day, or `2026-01-02T03:00:00Z/2026-01-02T09:00:00Z` once.
    #[serde(skip_serializing_if = "Many::is_empty")]
    pub time: Many<String>,
}

/// A condition about an attribute.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeConfig {
    /// Its name; `xml:lang` for the language.
    pub name: String,
    /// Its value, a pattern; any without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The child that has it, as `{namespace}name`; the stanza or any child without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
}

/// A condition about the security label (XEP-0258).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelConfig {
    /// Whether there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// The object identifier of its policy: `1.3.6.1.4.1.31778.13`; a pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The lowest classification.
    #[serde(alias = "classification-min", skip_serializing_if = "Option::is_none")]
    pub classification_min: Option<u32>,
    /// The highest classification.
    #[serde(alias = "classification-max", skip_serializing_if = "Option::is_none")]
    pub classification_max: Option<u32>,
    /// The object identifier of one of its categories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The text of its display marking, a pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marking: Option<String>,
}

/// Whether a link can carry now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// It can.
    Up,
    /// It cannot.
    Down,
}

/// What stanzas are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RatePer {
    /// Those of one sender (bare address).
    #[default]
    From,
    /// Those of one sender to one addressee (bare addresses).
    FromTo,
    /// All that reach the rule.
    Rule,
}

/// More than so many in such a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// What is counted together.
    #[serde(default)]
    pub per: RatePer,
    /// So many may come.
    pub count: u32,
    /// In so many seconds.
    pub seconds: u32,
}

/// What is done with a stanza.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ActionConfig {
    /// No further stanza rule is looked at.
    Pass,
    /// It goes without a word. Not for requests: they need an answer.
    Drop,
    /// The sender gets an error.
    Reject(RejectConfig),
    /// A request is answered here.
    Answer(Answer),
    /// The first request crosses; equal ones are answered from its result.
    Cache(SpanConfig),
    /// While it waits, newer ones with the same key replace it.
    Coalesce(CoalesceConfig),
    /// It waits before it may cross.
    Delay(SpanConfig),
    /// It waits until the link is as fast as this.
    HoldUntil(HoldConfig),
    /// It gets this precedence, up to the peer's ceiling.
    SetPrecedence(Precedence),
    /// It waits at most so long.
    SetTtl(SpanConfig),
    /// It takes this link.
    Route(String),
    /// It is written to the log, without content.
    Log,
    /// It is counted under this name.
    Count(String),
    /// The operator is told.
    Alarm,
}

/// An error to the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RejectConfig {
    /// The condition; service-unavailable without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// The type; the condition's usual one without.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub error_type: Option<ErrorType>,
}

/// A span of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanConfig {
    /// So long.
    pub seconds: u64,
}

/// Waiting for a fast link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldConfig {
    /// As fast as this.
    pub bits_per_second_min: u32,
}

/// What makes two stanzas the same news.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoalesceKey {
    /// Presence of one client to one addressee.
    Presence,
    /// Chat states between two.
    ChatState,
    /// The subject of a room.
    Subject,
}

/// Newer replaces older.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoalesceConfig {
    /// What is the same.
    pub key: CoalesceKey,
    /// It waits so long for a newer one.
    #[serde(default)]
    pub hold_seconds: u64,
}

/// What is done with elements.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ElementActionConfig {
    /// The elements are taken away.
    Strip,
    /// All but the elements are taken away.
    KeepOnly(KeepOnlyConfig),
    /// Presence is folded to availability.
    FoldPresence(FoldPresenceConfig),
    /// Their text is cut.
    Truncate(TruncateConfig),
    /// They are taken away, and the body says this instead.
    Replace(ReplaceConfig),
    /// An attribute of the stanza is taken away.
    StripAttr(StripAttrConfig),
    /// White space around bodies, text outside elements and empty elements of the stanza's own are taken away.
    Normalise,
}

/// Options of `keep-only`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepOnlyConfig {
    /// Body, subject, thread and error are kept only where the list names them.
    pub strict: bool,
}

/// Options of `fold-presence`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FoldPresenceConfig {
    /// Whether away, dnd and the like stay.
    pub keep_show: bool,
    /// Whether "extended away" becomes "away".
    pub map_xa: bool,
    /// What becomes of a client with a negative priority.
    pub negative_priority: NegativePriority,
}

/// Options of `truncate`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TruncateConfig {
    /// So many characters stay, the mark included.
    pub characters_max: usize,
    /// What shows that something is missing.
    #[serde(default = "ellipsis")]
    pub mark: String,
}

fn ellipsis() -> String {
    "…".to_owned()
}

/// Options of `replace`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceConfig {
    /// What the body says instead.
    pub text: String,
}

/// Options of `strip-attr`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripAttrConfig {
    /// The attribute: `xml:lang`, `id`.
    pub name: String,
}

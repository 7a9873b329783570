//! The built-in profiles: one table of elements, one of requests.

use super::super::stanza::Kind;
use super::config::{
    ActionConfig, DirectionConfig, ElementActionConfig, ElementRuleConfig, FilterConfig, FoldMode, IqAnswers, IqConfig,
    IqDefault, Many, MatchConfig, MessageConfig, PresenceConfig, RuleConfig, StripAttrConfig,
};

/// The names of the built-in profiles: for satellite links, for HF from 1,200 bit/s, for HF below, and for links that
/// need none.
pub const PROFILES: [&str; 4] = ["sat", "hf-fast", "hf-slow", "none"];

/// A profile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Profile {
    Sat,
    HfFast,
    HfSlow,
}

use Profile::{HfFast, HfSlow, Sat};

/// One element or family of elements.
struct Entry {
    name: &'static str,
    /// It goes from this profile on.
    from: Profile,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Message,
    Presence,
    Both,
}

const fn entry(name: &'static str, from: Profile, place: Place) -> Entry {
    Entry { name, from, place }
}

const CHAT_STATES: &str = "{http://jabber.org/protocol/chatstates}*";
const HINTS: &str = "{urn:xmpp:hints}*";

/// Elements that go, from which profile on (the fact sheet's section 17.4).
//= xmpp/RULE-007
const ELEMENTS: [Entry; 24] = [
    entry(CHAT_STATES, Sat, Place::Message),
    entry("{http://jabber.org/protocol/xhtml-im}html", Sat, Place::Message),
    entry("{urn:xmpp:receipts}*", HfSlow, Place::Message),
    entry("{urn:xmpp:chat-markers:0}*", HfFast, Place::Message),
    entry("{urn:xmpp:sid:0}*", Sat, Place::Message),
    entry("{urn:xmpp:occupant-id:0}*", Sat, Place::Both),
    entry(HINTS, Sat, Place::Message),
    entry("{http://jabber.org/protocol/caps}c", HfFast, Place::Both),
    entry("{vcard-temp:x:update}x", Sat, Place::Presence),
    entry("{urn:xmpp:idle:1}idle", Sat, Place::Presence),
    entry("{http://jabber.org/protocol/nick}nick", HfFast, Place::Both),
    // The cache tells the age itself where it matters.
    entry("{urn:xmpp:delay}delay", HfFast, Place::Presence),
    entry("{urn:xmpp:reactions:0}*", HfFast, Place::Message),
    entry("{urn:xmpp:reply:0}*", HfFast, Place::Message),
    entry("{urn:xmpp:fallback:0}*", HfFast, Place::Message),
    entry("{urn:xmpp:message-correct:0}*", HfFast, Place::Message),
    entry("{urn:xmpp:message-retract:1}*", HfFast, Place::Message),
    entry("{urn:xmpp:styling:0}*", Sat, Place::Message),
    entry("{urn:xmpp:markup:0}*", Sat, Place::Message),
    entry("{urn:xmpp:reference:0}*", Sat, Place::Message),
    entry("{urn:xmpp:spoiler:0}*", HfFast, Place::Message),
    entry("{urn:xmpp:eme:0}*", HfFast, Place::Message),
    entry("{jabber:x:oob}x", HfFast, Place::Message),
    entry("{urn:xmpp:bob}*", HfFast, Place::Both),
];

/// What stays in messages on the slowest links, besides what always stays.
const HF_SLOW_KEEPS: [&str; 3] =
    ["{http://isode.com/protocol/fmuc}fmuc", "{urn:xmpp:sec-label:0}securitylabel", "{urn:xmpp:delay}delay"];

/// Messages that are for machines, by what they hold.
const MACHINE_MESSAGES: [(&str, &str); 4] = [
    ("events of personal stores", "{http://jabber.org/protocol/pubsub#event}*"),
    ("carbon copies", "{urn:xmpp:carbons:2}*"),
    ("archived messages", "{urn:xmpp:mam:2}*"),
    ("calls", "{urn:xmpp:jingle-message:*}*"),
];

/// What a person is not waiting for, or what no slow link could carry: files, calls, archives, keys.
const REFUSED_REQUESTS: [&str; 14] = [
    "jabber:iq:register",
    "vcard-temp",
    "http://jabber.org/protocol/pubsub*",
    "urn:xmpp:jingle:*",
    "http://jabber.org/protocol/bytestreams",
    "http://jabber.org/protocol/ibb",
    "urn:xmpp:http:upload:0",
    "urn:xmpp:mam:2",
    "urn:xmpp:bookmarks:*",
    "http://jabber.org/protocol/si",
    "eu.siacs.conversations.axolotl*",
    "urn:xmpp:omemo:*",
    "jabber:iq:roster",
    "urn:xmpp:carbons:2",
];
const ANSWERED_REQUESTS: [&str; 6] = [
    "urn:xmpp:ping",
    "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items",
    "jabber:iq:version",
    "jabber:iq:last",
    "urn:xmpp:time",
];
const ROOM_REQUESTS: [&str; 2] = ["http://jabber.org/protocol/muc#admin", "http://jabber.org/protocol/muc#owner"];
const HOUR_SECONDS: u64 = 3600;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;

/// The built-in profile of that name.
pub fn builtin(name: &str) -> Option<FilterConfig> {
    let to_link = match name {
        "none" => all_answers(),
        "sat" => direction(Sat),
        "hf-fast" => direction(HfFast),
        "hf-slow" => direction(HfSlow),
        _ => return None,
    };
    let from_link = if name == "none" { all_answers() } else { DirectionConfig::default() };
    Some(FilterConfig { to_link, from_link, ..FilterConfig::default() })
}

/// Nothing is taken away, not even answers that nobody asked for.
fn all_answers() -> DirectionConfig {
    let iq = IqConfig { answers: Some(IqAnswers::All), ..IqConfig::default() };
    DirectionConfig { iq, ..DirectionConfig::default() }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn stripped(profile: Profile, place: Place) -> Vec<String> {
    ELEMENTS
        .iter()
        .filter(|entry| entry.from <= profile && (entry.place == place || entry.place == Place::Both))
        .map(|entry| entry.name.to_owned())
        .collect()
}

fn direction(profile: Profile) -> DirectionConfig {
    DirectionConfig {
        message: message(profile),
        presence: presence(profile),
        iq: iq(profile),
        rule: rules(),
        element: if profile == Sat { Vec::new() } else { vec![without_language()] },
        ..DirectionConfig::default()
    }
}

fn message(profile: Profile) -> MessageConfig {
    let (mode, elements) = match profile {
        Sat | HfFast => (FoldMode::Strip, stripped(profile, Place::Message)),
        HfSlow => (FoldMode::KeepOnly, owned(&HF_SLOW_KEEPS)),
    };
    MessageConfig { mode: Some(mode), elements, ..MessageConfig::default() }
}

fn presence(profile: Profile) -> PresenceConfig {
    match profile {
        Sat => PresenceConfig {
            mode: Some(FoldMode::Strip),
            elements: stripped(profile, Place::Presence),
            ..PresenceConfig::default()
        },
        HfFast | HfSlow => {
            PresenceConfig { mode: Some(FoldMode::Fold), keep_show: profile == HfFast, ..PresenceConfig::default() }
        }
    }
}

fn iq(profile: Profile) -> IqConfig {
    if profile == Sat {
        return IqConfig {
            default: Some(IqDefault::Pass),
            answer: owned(&["urn:xmpp:ping"]),
            cache: owned(&["http://jabber.org/protocol/disco#info", "vcard-temp"]),
            cache_seconds: Some(DAY_SECONDS),
            ..IqConfig::default()
        };
    }
    IqConfig {
        default: Some(IqDefault::Reject),
        pass: owned(&ROOM_REQUESTS),
        pass_seconds: Some(HOUR_SECONDS),
        answer: owned(&ANSWERED_REQUESTS),
        reject: owned(&REFUSED_REQUESTS),
        ..IqConfig::default()
    }
}

fn rules() -> Vec<RuleConfig> {
    let stand_alone = MatchConfig {
        // An error is never dropped for what it lacks.
        types: Many(owned(&["chat", "normal", "groupchat", "headline"])),
        only_children: Many(owned(&[CHAT_STATES, "{}thread", HINTS])),
        ..messages()
    };
    let machine = MACHINE_MESSAGES.iter().map(|(name, child)| {
        let condition = MatchConfig { child: Many(owned(&[child])), ..messages() };
        dropped(name, condition)
    });
    std::iter::once(dropped("chat states alone", stand_alone)).chain(machine).collect()
}

fn messages() -> MatchConfig {
    MatchConfig { stanza: Many(vec![Kind::Message]), ..MatchConfig::default() }
}

fn dropped(name: &str, condition: MatchConfig) -> RuleConfig {
    RuleConfig { name: Some(name.to_owned()), condition, action: Many(vec![ActionConfig::Drop]) }
}

fn without_language() -> ElementRuleConfig {
    ElementRuleConfig {
        name: Some("language of messages".to_owned()),
        condition: messages(),
        elements: Vec::new(),
        depth: super::config::Depth::Top,
        action: Many(vec![ElementActionConfig::StripAttr(StripAttrConfig { name: "xml:lang".to_owned() })]),
    }
}

//! An hour of mixed traffic, as clients and servers make it: 60 chats, 150 chat states, 120 presences, 40 requests.

use std::fmt::Write as _;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::{Duration, Now};
use skywave_protocols::xmpp::presence::{PresenceCache, PresenceConfig};
use skywave_protocols::xmpp::rules::config::{
    DirectionConfig, IqConfig, MessageConfig, PresenceConfig as FoldPresence,
};
use skywave_protocols::xmpp::rules::{Direction, Facts, Filter, FilterConfig, Verdict, builtin};
use skywave_protocols::xmpp::slow::{Profile, SlowConfig};
use skywave_protocols::xmpp::{Kind, Stanza};

use super::octets::{HF, names, uuid};
use super::pair::{Pair, Turns};

/// Seconds between the turns of a side on a busy link.
const BUSY_SECONDS: u64 = 300;
/// Users that talk to each other: side 0, side 1.
const PAIRS: [(&str, &str); 3] = [
    ("anna@hq.example/desk", "bob@field.example/phone"),
    ("carl@hq.example/ops", "dora@field.example/tablet"),
    ("eva@hq.example/desk", "fritz@field.example/laptop"),
];
/// What is said; `#` becomes a number and `@` a time.
const BODIES: [&str; 12] = [
    "Convoy # passed checkpoint # at @Z, all vehicles present",
    "Request fuel state of callsign # before @Z",
    "Fuel state # percent, next report at @Z",
    "Position grid # #, moving north, speed # knots",
    "Resupply of # litres water confirmed for @Z",
    "Patrol # delayed, new arrival estimate @Z",
    "Weather at site #: wind # knots, visibility # km",
    "Two casualties at grid # #, request transport by @Z",
    "Radio check on channel #, how do you read?",
    "Loud and clear on channel #, out",
    "Bridge # is closed until @Z, use route #",
    "Ammunition request # approved, delivery @Z",
];

/// One stanza of the hour.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Seconds from the beginning.
    pub seconds: u64,
    /// Which side sends it.
    pub side: usize,
    /// The stanza, as the local server gives it.
    pub stanza: Stanza,
}

/// The hour of a seed.
pub fn hour(seed: u64) -> Vec<Arrival> {
    let mut random = Seeded::new(seed).fork("hour");
    let mut arrivals = Vec::new();
    for (count, kind) in [(60, 0), (150, 1), (120, 2), (40, 3)] {
        for _ in 0..count {
            let seconds = random.below(3_600);
            let side = usize::from(random.chance(500_000));
            let (a, b) = PAIRS[usize::try_from(random.below(3)).unwrap_or(0)];
            let (from, to) = if side == 0 { (a, b) } else { (b, a) };
            let text = match kind {
                0 => chat(&mut random, from, to),
                1 => chat_state(&mut random, from, to),
                2 => presence(&mut random, from, to),
                _ => request(&mut random, from, to),
            };
            if let Ok(stanza) = Stanza::parse(text.as_bytes()) {
                arrivals.push(Arrival { seconds, side, stanza });
            }
        }
    }
    arrivals.sort_by_key(|arrival| arrival.seconds);
    arrivals
}

fn chat(random: &mut Seeded, from: &str, to: &str) -> String {
    let mut body = String::new();
    let template = BODIES[usize::try_from(random.below(12)).unwrap_or(0)];
    for sign in template.chars() {
        match sign {
            '#' => drop(write!(body, "{}", random.below(90) + 10)),
            '@' => drop(write!(body, "{:02}{:02}", random.below(24), random.below(60))),
            sign => body.push(sign),
        }
    }
    let id = uuid(random);
    format!(
        "<message to='{to}' from='{from}' id='{id}' type='chat' xml:lang='en'><body>{body}</body>\
         <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>\
         <markable xmlns='urn:xmpp:chat-markers:0'/><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
    )
}

fn chat_state(random: &mut Seeded, from: &str, to: &str) -> String {
    let state = ["composing", "paused", "active"][usize::try_from(random.below(3)).unwrap_or(0)];
    format!(
        "<message to='{to}' from='{from}' id='{}' type='chat'><{state} xmlns='http://jabber.org/protocol/chatstates'/>\
         <no-store xmlns='urn:xmpp:hints'/></message>",
        uuid(random)
    )
}

fn presence(random: &mut Seeded, from: &str, to: &str) -> String {
    let to = to.split('/').next().unwrap_or(to);
    if random.chance(80_000) {
        return format!("<presence to='{to}' from='{from}' type='unavailable'/>");
    }
    let show = ["", "<show>away</show>", "<show>xa</show>", "<show>dnd</show>"];
    let show = show[usize::try_from(random.below(4)).unwrap_or(0)];
    let since = format!("2026-05-{:02}T{:02}:{:02}:00Z", random.below(28) + 1, random.below(24), random.below(60));
    format!(
        "<presence to='{to}' from='{from}' id='{}'>{show}<status>At the desk until {:02}00</status><priority>5</priority>\
         <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>\
         <x xmlns='vcard-temp:x:update'><photo>b0e5d4a1c9f34c72a6a1d1e8b7f0c3d2e4a5b6c7</photo></x>\
         <idle xmlns='urn:xmpp:idle:1' since='{since}'/></presence>",
        uuid(random),
        random.below(24)
    )
}

fn request(random: &mut Seeded, from: &str, to: &str) -> String {
    let mut features = String::new();
    for name in [
        "disco#info",
        "disco#items",
        "caps",
        "chatstates",
        "muc",
        "rosterx",
        "xhtml-im",
        "si",
        "bytestreams",
        "ibb",
        "commands",
        "pubsub",
        "nick",
    ] {
        let _ = write!(features, "<feature var='http://jabber.org/protocol/{name}'/>");
    }
    format!(
        "<iq to='{to}' from='{from}' id='{}' type='get'><query xmlns='http://jabber.org/protocol/disco#info' \
         node='https://client.example#q07IKJEyjvHSyhy//CH0CxmKi8w='>{features}</query></iq>",
        uuid(random)
    )
}

/// What is done before a stanza crosses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stage {
    /// In words.
    pub name: &'static str,
    /// Rules against chat states on their own, and for machines.
    pub rules: bool,
    /// Messages folded.
    pub messages: bool,
    /// Requests answered on this side.
    pub requests: bool,
    /// Presence folded.
    pub presence: bool,
    /// Presence that is no news stays.
    pub cache: bool,
    /// Ids stay.
    pub short_ids: bool,
    /// How the medium gives room.
    pub turns: Turns,
}

/// The stages of the table, each with what the one before has.
pub const STAGES: [Stage; 8] = {
    let none = Stage {
        name: "none",
        rules: false,
        messages: false,
        requests: false,
        presence: false,
        cache: false,
        short_ids: false,
        turns: Turns::Idle,
    };
    let rules = Stage { name: "no chat states alone", rules: true, ..none };
    let messages = Stage { name: "+ messages folded", messages: true, ..rules };
    let requests = Stage { name: "+ requests answered here", requests: true, ..messages };
    let presence = Stage { name: "+ presence folded", presence: true, ..requests };
    let ids = Stage { name: "+ short ids (default linger)", short_ids: true, ..presence };
    let busy = Stage { name: "+ busy link", turns: Turns::Every(BUSY_SECONDS), ..ids };
    let cache = Stage { name: "+ presence cache (default linger)", cache: true, turns: Turns::Idle, ..ids };
    [none, rules, messages, requests, presence, ids, busy, cache]
};

/// What an hour cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Stanzas that crossed.
    pub stanzas: usize,
    /// Their octets before anything was done on the slow side.
    pub raw: usize,
    /// Octets to transport.
    pub octets: usize,
    /// Units.
    pub units: usize,
}

fn filter(stage: &Stage) -> Option<Filter> {
    let all = builtin("hf-slow")?.to_link;
    let direction = DirectionConfig {
        rule: if stage.rules { all.rule } else { Vec::new() },
        message: if stage.messages { all.message } else { MessageConfig::default() },
        element: if stage.messages { all.element } else { Vec::new() },
        iq: if stage.requests { all.iq } else { IqConfig::default() },
        presence: if stage.presence { all.presence } else { FoldPresence::default() },
        ..DirectionConfig::default()
    };
    Filter::new(&FilterConfig { to_link: direction, ..FilterConfig::default() }).ok()
}

/// One hour through the filters of a stage and a pair of `skywave` sessions.
pub fn cost(seed: u64, stage: &Stage) -> Cost {
    let mut config = SlowConfig::new(Profile::Skywave);
    config.names = names();
    config.short_ids = stage.short_ids;
    let mut pair = Pair::new(&config, HF, stage.turns);
    let (mut cost, mut at) = (Cost::default(), 0);
    let Some(mut filter) = filter(stage) else { return cost };
    let mut caches = [(); 2].map(|()| PresenceCache::new(PresenceConfig::default()));
    for Arrival { seconds, side, stanza } in hour(seed) {
        pair.pass(Duration::from_secs(seconds - at));
        at = seconds;
        let Some(stanza) = filtered(&mut filter, stanza) else { continue };
        let stanza = match stage.cache && stanza.kind() == Kind::Presence {
            true => caches[side].outbound(Now::default().after(Duration::from_secs(seconds)), stanza).cross,
            false => Some(stanza),
        };
        let Some(stanza) = stanza else { continue };
        cost.stanzas += 1;
        cost.raw += stanza.octets().len();
        pair.submit(side, stanza);
    }
    pair.pass(Duration::from_secs(3_600));
    Cost { octets: pair.total(), units: pair.units[0] + pair.units[1], ..cost }
}

fn filtered(filter: &mut Filter, stanza: Stanza) -> Option<Stanza> {
    let facts = Facts {
        direction: Direction::ToLink,
        peer: "field",
        link: "hf-1",
        link_up: true,
        bits_per_second: HF.bits_per_second,
        precedence: Precedence::Routine,
        queue_age: Duration::ZERO,
        online: None,
        now: Now::default(),
    };
    match filter.apply(&facts, stanza) {
        Verdict::Pass { stanza, .. } => Some(stanza),
        Verdict::Drop | Verdict::Reply(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_what_was_measured() {
        let hour = hour(1);
        assert_eq!(hour.len(), 370);
        let octets: usize = hour.iter().map(|arrival| arrival.stanza.octets().len()).sum();
        assert!((130_000..160_000).contains(&octets), "{octets}");
    }

    /// As large as those of the measurement (chats, chat states, presence, requests), within 15 %.
    #[test]
    fn stanzas_are_as_large_as_those_that_were_measured() {
        let mean = |kind: Kind, has_body: bool| {
            let alike = |stanza: &Stanza| stanza.kind() == kind && stanza.has_body() == has_body;
            let sizes: Vec<usize> = hour(1)
                .iter()
                .filter(|arrival| alike(&arrival.stanza))
                .map(|arrival| arrival.stanza.octets().len())
                .collect();
            sizes.iter().sum::<usize>() / sizes.len()
        };
        let kinds = [
            (Kind::Message, true, 434),
            (Kind::Message, false, 214),
            (Kind::Presence, false, 431),
            (Kind::Iq, false, 860),
        ];
        for (kind, has_body, measured) in kinds {
            let found = mean(kind, has_body);
            assert!(
                (measured * 85..=measured * 115).contains(&(found * 100)),
                "{kind:?}: {found}, measured {measured}"
            );
        }
    }
}

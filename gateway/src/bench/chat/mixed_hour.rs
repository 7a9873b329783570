//! An hour of mixed chat traffic, the same from the same seed, and what each filter leaves of it.
//!
//! 60 chats, 150 chat states, 120 presence and 40 answers to disco#info between three pairs of users, each in the form in
//! which modern clients send them; arrivals are uniform over the hour. All go one way, as in the measurement that the
//! figures are compared with. An answer to disco#info crosses only if its question did: the question is with it.

use std::fmt::Write as _;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::{Duration, Instant, Now, WallTime};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::presence::{PresenceCache, PresenceConfig, PresenceMode};
use skywave_protocols::xmpp::rules::config::{DirectionConfig, IqConfig, MessageConfig, PresenceConfig as FoldConfig};
use skywave_protocols::xmpp::rules::{Direction, Facts, Filter, FilterConfig, Verdict, builtin};

use super::super::BenchFault;
use super::super::table::{Cell, Report, Table};

/// What is said where nothing else is given.
pub const LINES: [&str; 12] = [
    "Convoy of 12 trucks leaves the depot at 0530, route green",
    "Bridge at grid 4471 is passable for light vehicles only",
    "Request 40 litres of diesel and two spare tyres by noon",
    "Water team reports the well at the school runs clear again",
    "Visibility below 800 metres, the helicopter stays here",
    "Copy, we hold at checkpoint three until you call",
    "Generator two failed at 0412, running on batteries now",
    "Three patients stable, one needs transfer before dark",
    "Antenna is up again, signal much better than yesterday",
    "Who has the list of volunteers for the night shift?",
    "Ferry will not sail today, waves above two metres",
    "Understood. Next call at 1900 on the same channel",
];
/// The hour is the same each time.
const SEED: u64 = 370;

/// Chats of the hour.
pub const CHATS: usize = 60;
/// Stand-alone chat states.
pub const CHAT_STATES: usize = 150;
/// Presence.
pub const PRESENCE: usize = 120;
/// Answers to disco#info.
pub const DISCO: usize = 40;
/// What the measurement had after each step of [`steps`]: stanzas and octets before compression.
const MEASURED: [Option<(u64, u64)>; 6] =
    [Some((370, 144_223)), Some((220, 112_093)), Some((220, 98_586)), Some((180, 64_075)), Some((180, 22_712)), None];

/// What an arrival is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// Somebody says something.
    Chat,
    /// Somebody types.
    ChatState,
    /// Somebody comes, goes or changes.
    Presence,
    /// A client says what it can.
    Disco,
}

/// One arrival at the gateway.
#[derive(Clone, PartialEq, Debug)]
pub struct Arrival {
    /// When, from the beginning of the hour.
    pub at: Duration,
    /// What.
    pub sort: Sort,
    /// The stanza.
    pub stanza: Stanza,
    /// The question of the other side that it answers.
    pub question: Option<Stanza>,
}

/// Who speaks: full addresses of both, here and there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cast {
    /// Each speaker with the one spoken to.
    pub pairs: Vec<(String, String)>,
}

impl Default for Cast {
    fn default() -> Self {
        let pair = |here: &str, there: &str| {
            (format!("{here}@hq.test/gajim.7F3KQ2"), format!("{there}@field.test/Conversations.p0Zd"))
        };
        Self { pairs: vec![pair("ann", "bob"), pair("carol", "dave"), pair("erin", "frank")] }
    }
}

/// Generates the hour. `lines` are what is said, in turn.
///
/// # Errors
/// The cast has no address, or nothing is said.
pub fn hour(cast: &Cast, lines: &[&str], seed: u64) -> Result<Vec<Arrival>, BenchFault> {
    if cast.pairs.is_empty() || lines.is_empty() {
        return Err(BenchFault::local("mixed hour", "nobody says anything"));
    }
    let mut writer = Writer { random: Seeded::new(seed).fork("mixed hour"), cast, lines, said: 0 };
    let sorts = [(Sort::Chat, CHATS), (Sort::ChatState, CHAT_STATES), (Sort::Presence, PRESENCE), (Sort::Disco, DISCO)];
    let mut arrivals = Vec::new();
    for (sort, count) in sorts {
        for _ in 0..count {
            let at = Duration::from_millis(writer.random.below(3_600_000));
            let (stanza, question) = writer.write(sort);
            let stanza = read(&stanza)?;
            let question = question.map(|question| read(&question)).transpose()?;
            arrivals.push(Arrival { at, sort, stanza, question });
        }
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    Ok(arrivals)
}

fn read(text: &str) -> Result<Stanza, BenchFault> {
    Stanza::parse(text.as_bytes()).map_err(|fault| BenchFault::local("mixed hour", fault))
}

struct Writer<'a> {
    random: Seeded,
    cast: &'a Cast,
    lines: &'a [&'a str],
    said: usize,
}

impl Writer<'_> {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap_or_default()
    }

    fn hex(&mut self, octets: usize) -> String {
        let mut random = vec![0; octets];
        self.random.fill(&mut random);
        random.iter().fold(String::new(), |mut text, octet| {
            let _ = write!(text, "{octet:02x}");
            text
        })
    }

    /// An id as clients choose it.
    fn uuid(&mut self) -> String {
        let hex = self.hex(16);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }

    fn line(&mut self) -> String {
        let line = self.lines.get(self.said % self.lines.len()).copied().unwrap_or_default();
        self.said += 1;
        line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }

    fn write(&mut self, sort: Sort) -> (String, Option<String>) {
        let index = self.below(self.cast.pairs.len());
        let Some((from, to)) = self.cast.pairs.get(index) else { return (String::new(), None) };
        match sort {
            Sort::Chat => (self.chat(from, to), None),
            Sort::ChatState => (self.chat_state(from, to), None),
            Sort::Presence => (self.presence(from, to), None),
            Sort::Disco => {
                let id = self.uuid();
                (disco(from, to, &id), Some(disco_question(from, to, &id)))
            }
        }
    }

    fn chat(&mut self, from: &str, to: &str) -> String {
        let (id, line) = (self.uuid(), self.line());
        format!(
            "<message to='{to}' from='{from}' id='{id}' type='chat'><body>{line}</body>\
             <request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>\
             <active xmlns='http://jabber.org/protocol/chatstates'/>\
             <origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
        )
    }

    fn chat_state(&mut self, from: &str, to: &str) -> String {
        let state = ["composing", "composing", "paused", "active", "inactive"][self.below(5)];
        let id = self.uuid();
        format!(
            "<message to='{to}' from='{from}' id='{id}' type='chat'>\
             <{state} xmlns='http://jabber.org/protocol/chatstates'/></message>"
        )
    }

    fn presence(&mut self, from: &str, to: &str) -> String {
        let to = to.split('/').next().unwrap_or_default();
        if self.below(10) == 0 {
            return format!(
                "<presence to='{to}' from='{from}' type='unavailable'><status>Logged out</status></presence>"
            );
        }
        let show = ["", "<show>away</show>", "<show>xa</show>", "<show>dnd</show>"][self.below(4)];
        let status = ["On watch", "In the operations room", "Back at 1400", "At the radio"][self.below(4)];
        let (photo, minute, second) = (self.hex(20), self.below(60), self.below(60));
        format!(
            "<presence to='{to}' from='{from}'>{show}<status>{status}</status><priority>50</priority>\
             <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://gajim.org' \
             ver='jEKEezOCgBRGh6cKtcB1fKEfPAw='/><x xmlns='vcard-temp:x:update'><photo>{photo}</photo></x>\
             <idle xmlns='urn:xmpp:idle:1' since='2026-01-02T08:{minute:02}:{second:02}Z'/></presence>"
        )
    }
}

fn disco(from: &str, to: &str, id: &str) -> String {
    const FEATURES: [&str; 14] = [
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/chatstates",
        "http://jabber.org/protocol/muc",
        "http://jabber.org/protocol/nick+notify",
        "urn:xmpp:avatar:metadata+notify",
        "urn:xmpp:bookmarks:1+notify",
        "urn:xmpp:chat-markers:0",
        "urn:xmpp:jingle:1",
        "urn:xmpp:jingle-message:0",
        "urn:xmpp:message-correct:0",
        "urn:xmpp:ping",
        "urn:xmpp:receipts",
        "urn:xmpp:time",
        "jabber:iq:version",
    ];
    let features: String = FEATURES.iter().map(|feature| format!("<feature var='{feature}'/>")).collect();
    format!(
        "<iq to='{to}' from='{from}' id='{id}' type='result'><query xmlns='http://jabber.org/protocol/disco#info' \
         node='https://gajim.org#jEKEezOCgBRGh6cKtcB1fKEfPAw='><identity type='pc' category='client' name='Gajim'/>\
         {features}</query></iq>"
    )
}

fn disco_question(from: &str, to: &str, id: &str) -> String {
    format!(
        "<iq to='{from}' from='{to}' id='{id}' type='get'><query xmlns='http://jabber.org/protocol/disco#info' \
         node='https://gajim.org#jEKEezOCgBRGh6cKtcB1fKEfPAw='/></iq>"
    )
}

/// One more filter than the step before.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What it adds.
    pub name: &'static str,
    /// The rules of both sites.
    pub filter: FilterConfig,
    /// How presence crosses.
    pub presence: PresenceMode,
}

/// The filters of the profile for slow HF, one after the other; the last step is all of it, with the presence cache.
pub fn steps() -> Vec<Step> {
    let profile = builtin("hf-slow").unwrap_or_default().to_link;
    let step = |name, alone: bool, messages: bool, requests: bool, presence: bool, cache: bool| {
        let to_link = DirectionConfig {
            rule: if alone { profile.rule.clone() } else { Vec::new() },
            element: if messages { profile.element.clone() } else { Vec::new() },
            message: if messages { profile.message.clone() } else { MessageConfig::default() },
            iq: if requests { profile.iq.clone() } else { IqConfig::default() },
            presence: if presence { profile.presence.clone() } else { FoldConfig::default() },
            ..DirectionConfig::default()
        };
        let mode = if cache { PresenceMode::Cached } else { PresenceMode::Full };
        Step { name, filter: FilterConfig { to_link, ..FilterConfig::default() }, presence: mode }
    };
    vec![
        step("none", false, false, false, false, false),
        step("no stand-alone chat states", true, false, false, false, false),
        step("+ message folding", true, true, false, false, false),
        step("+ iq answered locally", true, true, true, false, false),
        step("+ presence folded", true, true, true, true, false),
        step("+ unchanged presence kept back", true, true, true, true, true),
    ]
}

/// What crosses of the hour after a step, in order.
///
/// # Errors
/// The filter has a mistake.
pub fn crossing(arrivals: &[Arrival], step: &Step) -> Result<Vec<(Duration, Stanza)>, BenchFault> {
    let filter = || Filter::new(&step.filter).map_err(|mistakes| BenchFault::local("filter", format!("{mistakes:?}")));
    let (mut here, mut there) = (filter()?, filter()?);
    let mode = PresenceConfig { to_link: step.presence, ..PresenceConfig::default() };
    let mut presence = PresenceCache::new(mode);
    presence.link(BEGIN, true);
    let mut crossed = Vec::new();
    for arrival in arrivals {
        let now = BEGIN.after(arrival.at);
        let asked = arrival.question.clone().is_none_or(|question| passed(&mut there, now, question).is_some());
        if !asked {
            continue;
        }
        let Some(stanza) = passed(&mut here, now, arrival.stanza.clone()) else { continue };
        if let Some(stanza) = presence.outbound(now, stanza).cross {
            crossed.push((arrival.at, stanza));
        }
    }
    Ok(crossed)
}

const BEGIN: Now = Now { mono: Instant::from_micros(1_000_000), wall: WallTime::from_unix_seconds(1_767_340_800) };

fn passed(filter: &mut Filter, now: Now, stanza: Stanza) -> Option<Stanza> {
    let facts = Facts {
        direction: Direction::ToLink,
        peer: "field",
        link: "hf",
        link_up: true,
        bits_per_second: 75,
        precedence: Precedence::Routine,
        queue_age: Duration::ZERO,
        label_releasable: false,
        online: None,
        now,
    };
    match filter.apply(&facts, stanza) {
        Verdict::Pass { stanza, .. } => Some(stanza),
        Verdict::Drop | Verdict::Reply(_) => None,
    }
}

/// The table with what is usually said.
///
/// # Errors
/// As [`table`].
pub fn run() -> Result<Report, BenchFault> {
    Ok(Report { facts: vec![("seed of the mixed hour", SEED.to_string())], tables: vec![table(&LINES, SEED)?] })
}

/// Stanzas and octets before compression after each step, beside the measurement.
///
/// # Errors
/// As [`hour`] and [`crossing`].
pub fn table(lines: &[&str], seed: u64) -> Result<Table, BenchFault> {
    let arrivals = hour(&Cast::default(), lines, seed)?;
    let mut rows = Vec::new();
    for (step, measured) in steps().iter().zip(MEASURED) {
        let crossed = crossing(&arrivals, step)?;
        let octets: usize = crossed.iter().map(|(_, stanza)| stanza.octets().len()).sum();
        let of = |figure: Option<u64>| figure.map_or(Cell::Empty, Cell::Whole);
        rows.push(vec![
            Cell::text(step.name),
            Cell::Whole(crossed.len() as u64),
            Cell::Whole(octets as u64),
            of(measured.map(|(stanzas, _)| stanzas)),
            of(measured.map(|(_, octets)| octets)),
        ]);
    }
    Ok(Table {
        name: "chat_filters",
        title: "What each filter leaves of the mixed hour, before compression; each row adds to the one above."
            .to_owned(),
        columns: vec![
            ("filters", "filters"),
            ("stanzas", "stanzas"),
            ("octets", "octets"),
            ("measured_stanzas", "stanzas in the measurement"),
            ("measured_octets", "octets in the measurement"),
        ],
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 3] =
        ["The pump at the canal is failing & leaks", "Send 14 blankets", "Understood, 0600 at the bridge"];

    fn counts() -> Vec<(usize, usize)> {
        let arrivals = hour(&Cast::default(), &LINES, 1).unwrap();
        let of = |step: &Step| {
            let crossed = crossing(&arrivals, step).unwrap();
            (crossed.len(), crossed.iter().map(|(_, stanza)| stanza.octets().len()).sum())
        };
        steps().iter().map(of).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_hour_in_order() {
        let hour = |seed| hour(&Cast::default(), &LINES, seed).unwrap();
        assert_eq!(hour(1), hour(1));
        assert_ne!(hour(1), hour(2));
        let arrivals = hour(1);
        assert_eq!(arrivals.len(), CHATS + CHAT_STATES + PRESENCE + DISCO);
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        assert!(arrivals.iter().all(|arrival| arrival.at < Duration::from_secs(3600)));
    }

    /// Of the size that was measured, kind by kind.
    #[test]
    fn stanzas_are_as_large_as_those_that_were_measured() {
        let arrivals = hour(&Cast::default(), &LINES, 1).unwrap();
        for (sort, measured) in [(Sort::Chat, 434), (Sort::ChatState, 214), (Sort::Presence, 431), (Sort::Disco, 860)] {
            let sizes: Vec<usize> = arrivals
                .iter()
                .filter(|arrival| arrival.sort == sort)
                .map(|arrival| arrival.stanza.octets().len())
                .collect();
            let mean = sizes.iter().sum::<usize>() / sizes.len();
            assert!(
                mean * 100 >= measured * 85 && mean * 100 <= measured * 115,
                "{sort:?}: {mean}, measured {measured}"
            );
        }
    }

    #[test]
    fn what_is_said_may_hold_markup() {
        let arrivals = hour(&Cast::default(), &["a < b & c"], 1).unwrap();
        let said = arrivals.iter().find(|arrival| arrival.sort == Sort::Chat).unwrap();
        assert_eq!(said.stanza.child("jabber:server", "body").map(|body| body.text()).as_deref(), Some("a < b & c"));
    }

    #[test]
    fn each_filter_leaves_less() {
        let counts = counts();
        let stanzas: Vec<usize> = counts.iter().map(|count| count.0).collect();
        assert_eq!(stanzas[..5], [370, 220, 220, 180, 180]);
        assert!(stanzas[5] < 180, "unchanged presence stays here");
        assert!(counts.windows(2).all(|pair| pair[1].1 < pair[0].1), "{counts:?}");
        assert!(counts[4].1 < 25_000, "{counts:?}");
    }
}

//! The octet part: what chat costs to transport. It counts in virtual time and gives the same figures on every machine.

use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::Duration;
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::slow::{Medium, Profile, SlowConfig};

use super::hour::{STAGES, cost};
use super::pair::{Pair, Turns};
use crate::bench::table::{Cell, Report, Table};

/// Lines that the dictionary has not seen: other topics, other words.
const LINES: &str = include_str!("test-lines.txt");
/// Lines before a conversation is called warm.
const WARM_AFTER: usize = 20;
/// The seed of the mixed hour.
const SEED: u64 = 1;
/// An HF link.
pub const HF: Medium = Medium { boundaries: true, unit_octets_max: 2_048, bits_per_second: 1_200 };
const TCP: Medium = Medium { boundaries: false, unit_octets_max: 1 << 20, bits_per_second: 9_600 };
const USERS: (&str, &str) = ("anna@hq.example/desk", "bob@field.example/phone");
/// Octets that the header of the first block of an epoch has more than an ordinary one.
const START_OCTETS: usize = 18 - 4;

/// What the configuration of both sites names.
pub fn names() -> Vec<String> {
    let users = ["anna", "carl", "eva", "gina", "ivan"].map(|user| format!("{user}@hq.example"));
    let far = ["bob", "dora", "fritz", "hugo", "jana"].map(|user| format!("{user}@field.example"));
    let domains = ["hq.example", "rooms.hq.example", "field.example", "rooms.field.example"].map(str::to_owned);
    users.into_iter().chain(far).chain(domains).collect()
}

/// A random id as clients make them.
pub fn uuid(random: &mut Seeded) -> String {
    let mut octets = [0_u8; 16];
    random.fill(&mut octets);
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// A chat line of side 0 or 1, as it stands after folding: from a client, to the bare address (RFC 6121 section 5.1).
fn line(side: usize, id: &str, body: &str) -> Option<Stanza> {
    let (from, to) = if side == 0 { USERS } else { (USERS.1, USERS.0) };
    let to = to.split('/').next().unwrap_or(to);
    let body = body.replace('&', "&amp;").replace('<', "&lt;");
    let id = if id.is_empty() { String::new() } else { format!(" id='{id}'") };
    let text = format!("<message to='{to}' from='{from}'{id} type='chat'><body>{body}</body></message>");
    Stanza::parse(text.as_bytes()).ok()
}

/// Which profile, and what it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Skywave,
    UnknownUsers,
    WithDictionary,
    DeflateAlone,
}

impl Way {
    fn pair(self) -> Pair {
        let mut config = SlowConfig::new(match self {
            Self::Skywave | Self::UnknownUsers => Profile::Skywave,
            Self::WithDictionary | Self::DeflateAlone => Profile::Standard,
        });
        if self != Self::UnknownUsers {
            config.names = names();
        }
        config.compress = true;
        config.dictionary = self == Self::WithDictionary;
        let medium = if config.profile == Profile::Skywave { HF } else { TCP };
        Pair::new(&config, medium, Turns::Idle)
    }

    /// `skywave` keeps ids here whatever they are; in `standard` they cross, and a line without one is measured.
    fn id(self, random: &mut Seeded) -> String {
        match self {
            Self::Skywave | Self::UnknownUsers => uuid(random),
            Self::WithDictionary | Self::DeflateAlone => String::new(),
        }
    }
}

/// Octets of side 0 for what `act` does.
fn sent(pair: &mut Pair, act: impl FnOnce(&mut Pair)) -> usize {
    let before = pair.octets[0];
    act(pair);
    pair.pass(Duration::from_secs(10));
    pair.octets[0] - before
}

fn mean(figures: &[usize]) -> f64 {
    figures.iter().sum::<usize>() as f64 / figures.len().max(1) as f64
}

/// The first line of a link, every line of the corpus in turn; without what only the first block of an epoch has.
fn cold(way: Way) -> f64 {
    let mut random = Seeded::new(SEED);
    let first = |body: &str| {
        let mut pair = way.pair();
        let id = way.id(&mut random);
        let octets = sent(&mut pair, |pair| line(0, &id, body).into_iter().for_each(|stanza| pair.submit(0, stanza)));
        octets - if matches!(way, Way::Skywave | Way::UnknownUsers) { START_OCTETS } else { 0 }
    };
    mean(&LINES.lines().map(first).collect::<Vec<_>>())
}

/// A conversation: both sides in turn. The lines of side 0 after the first ones, and after `lost` links.
fn warm(way: Way, lost: bool) -> f64 {
    let mut random = Seeded::new(SEED);
    let mut pair = way.pair();
    let mut figures = Vec::new();
    for (number, body) in LINES.lines().enumerate() {
        let side = number % 2;
        let id = way.id(&mut random);
        if lost && number >= WARM_AFTER && side == 0 {
            pair.pass(Duration::from_secs(120));
            pair.reconnect();
        }
        let octets =
            sent(&mut pair, |pair| line(side, &id, body).into_iter().for_each(|stanza| pair.submit(side, stanza)));
        if number >= WARM_AFTER && side == 0 {
            figures.push(octets);
        }
    }
    mean(&figures)
}

/// What a new peer costs besides its first message: what only the first block has, and its acknowledgement.
fn new_peer() -> usize {
    let mut pair = Way::Skywave.pair();
    line(0, "1", "first").into_iter().for_each(|stanza| pair.submit(0, stanza));
    pair.pass(Duration::from_secs(3_600));
    START_OCTETS + 4 + pair.octets[1]
}

fn idle_hour() -> usize {
    let mut pair = Way::Skywave.pair();
    for side in 0..2 {
        line(side, "1", "first").into_iter().for_each(|stanza| pair.submit(side, stanza));
    }
    pair.pass(Duration::from_secs(600));
    let before = pair.total();
    pair.pass(Duration::from_secs(3_600));
    pair.total() - before
}

fn row(what: &str, profile: &str, octets: f64, published: &str, limit: Option<f64>) -> Vec<Cell> {
    let bar = limit.map_or(Cell::Empty, |limit| Cell::Bar(format!("at most {limit}"), octets <= limit));
    vec![Cell::text(what), Cell::text(profile), Cell::Real(octets, 1), Cell::text(published), bar]
}

fn lines_table() -> Table {
    let warm_octets = warm(Way::Skywave, false);
    let rows = vec![
        row(
            "new peer, besides its first message",
            "skywave",
            new_peer() as f64,
            "about 1,000 (paper); 13,600",
            Some(64.0),
        ),
        row("chat line, cold", "skywave", cold(Way::Skywave), "139 (DEFLATE)", Some(48.0)),
        row("chat line, warm", "skywave", warm_octets, "44 (DEFLATE)", Some(40.0)),
        row(
            "chat line, first after a lost link",
            "skywave",
            warm(Way::Skywave, true),
            "–",
            Some((warm_octets + 5.0).floor()),
        ),
        row("chat line, cold, users unknown to the dictionary", "skywave", cold(Way::UnknownUsers), "–", None),
        row("chat line, warm, users unknown to the dictionary", "skywave", warm(Way::UnknownUsers, false), "–", None),
        row("chat line, cold, with dictionary", "standard", cold(Way::WithDictionary), "–", Some(55.0)),
        row("chat line, warm, with dictionary", "standard", warm(Way::WithDictionary, false), "–", None),
        row("chat line, cold, DEFLATE alone", "standard", cold(Way::DeflateAlone), "139", None),
        row("chat line, warm, DEFLATE alone", "standard", warm(Way::DeflateAlone, false), "44", None),
        row("idle hour", "skywave", idle_hour() as f64, "–", Some(0.0)),
    ];
    Table {
        name: "chat_octets",
        title:
            "Octets to transport, own block header included; the first block of an epoch has 14 octets more, which are \
                counted with the new peer. Lines of `skywave` have random ids, those of `standard` none (there an id \
                crosses: about 4 octets for a short one, 30 for a random one)."
                .to_owned(),
        columns: vec![
            ("what", "what"),
            ("profile", "profile"),
            ("octets", "octets"),
            ("published", "published"),
            ("limit", "limit"),
        ],
        rows,
    }
}

fn hour_table() -> Table {
    let published = ["21,233", "14,288", "13,653", "10,901", "4,960", "3,015", "1,796 to 1,942", "–"];
    let mut before = None;
    let mut rows = Vec::new();
    for (stage, published) in STAGES.iter().zip(published) {
        let found = cost(SEED, stage);
        let saved = before.map_or(Cell::Empty, |before: usize| Cell::Whole(before.saturating_sub(found.octets) as u64));
        before = Some(found.octets);
        let limit = match stage.name {
            "+ short ids (default linger)" => Some(3_000),
            "+ busy link" => Some(1_800),
            _ => None,
        };
        let bar = limit.map_or(Cell::Empty, |limit| Cell::Bar(format!("at most {limit}"), found.octets <= limit));
        rows.push(vec![
            Cell::text(stage.name),
            Cell::Whole(found.stanzas as u64),
            Cell::Whole(found.raw as u64),
            Cell::Whole(found.units as u64),
            Cell::Whole(found.octets as u64),
            saved,
            Cell::text(published),
            bar,
        ]);
    }
    Table {
        name: "mixed_hour",
        title: "The mixed hour of 370 stanzas over `skywave`, both directions, acknowledgements and headers included (the \
                published figures are DEFLATE alone, without headers); filters as in `hf-slow`, each row with those above \
                it. Busy: each side may send one unit in 300 s."
            .to_owned(),
        columns: vec![
            ("filters", "filters"),
            ("stanzas", "stanzas"),
            ("raw_octets", "raw octets"),
            ("units", "units"),
            ("octets", "octets"),
            ("saved", "saved"),
            ("published", "published"),
            ("limit", "limit"),
        ],
        rows,
    }
}

/// All rows.
pub fn run() -> Report {
    let lines = LINES.lines().count();
    let body = mean(&LINES.lines().map(str::len).collect::<Vec<_>>());
    Report {
        facts: vec![
            ("test lines", format!("{lines} of {body:.1} octets, of topics that the training lines do not have")),
            ("seed", SEED.to_string()),
        ],
        tables: vec![lines_table(), hour_table()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpora_share_no_line() {
        let training = include_str!("../../../../protocols/src/xmpp/slow/dictionary/training.txt");
        let known: std::collections::BTreeSet<&str> = training.lines().collect();
        assert!(LINES.lines().all(|line| !known.contains(line)));
        assert!((190..=210).contains(&LINES.lines().count()));
        let body = mean(&LINES.lines().map(str::len).collect::<Vec<_>>());
        assert!((52.9..=53.2).contains(&body), "{body}");
    }

    #[test]
    fn every_stanza_crosses_and_the_limits_hold() {
        let report = run();
        let missed: Vec<&Vec<Cell>> = report
            .tables
            .iter()
            .flat_map(|table| &table.rows)
            .filter(|row| row.iter().any(|cell| matches!(cell, Cell::Bar(_, false))))
            .collect();
        assert!(missed.is_empty(), "{missed:?}");
        assert_eq!(run(), report, "the same figures twice");
    }
}

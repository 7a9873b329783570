//! The same conversation by ordinary server-to-server XMPP over a slow wire: Prosody at both ends.
//!
//! Alice writes to Bob at the other site, he answers, she writes again, then she enters a room at his site. Time runs
//! from the moment a client has written to the moment the other has read; octets are what passed the wire in both
//! directions until then, from the first. The last row of each delay is the same through two gateways, whose link over
//! the wire (XEP-0361) needs no agreement. All conversations are held at the same time: they wait, they do not work.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::super::BenchFault;
use super::super::folder::Folder;
use super::super::process::{self, Running};
use super::super::table::{Cell, Report, Table};
use super::super::xmpp::gateway::{GatewayPlan, Medium, Side};
use super::super::xmpp::{Authority, Client, Prosody, ProsodyPlan, Trust, Wire, prosody};
use super::gateways;
use crate::shell::clock::Clock;

/// After this time a step has failed. The servers themselves give up earlier, and try again.
const PATIENCE: Duration = Duration::from_secs(180);
const PASSWORD: &str = "secret";
const ROOM: &str = "ops@rooms.field.test";

/// How the servers are set up.
#[derive(Clone, Copy, Debug)]
struct Setup {
    name: &'static str,
    trust: Trust,
    bidi: bool,
}

const SETUPS: [Setup; 3] = [
    Setup { name: "TLS, dialback", trust: Trust::Dialback, bidi: false },
    Setup { name: "TLS, EXTERNAL", trust: Trust::External, bidi: false },
    Setup { name: "TLS, EXTERNAL, bidi", trust: Trust::External, bidi: true },
];

/// When a step was done, and what had passed the wire by then.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Step {
    /// From writing to reading, in seconds.
    pub seconds: f64,
    /// Octets both ways since the beginning.
    pub octets: u64,
}

/// How far a conversation came.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Conversation {
    /// First message, reply, second message, the room; the first that is missing was given up.
    pub steps: Vec<Step>,
    /// Connections over the wire.
    pub connections: u64,
    /// Octets both ways at the end, whether it came to an end or not.
    pub octets: u64,
    /// Of each connection over the wire until the first message was there: octets of the one that opened it and of the
    /// other in turn, as [`Wire::flights`] tells them.
    pub flights: Vec<Vec<u64>>,
}

/// Holds the conversation with each set-up at each delay, and through two gateways whose link speaks `profile`.
///
/// # Errors
/// When Prosody is missing or does not start.
pub fn run(delays_seconds: &[u32], profile: &str, place: &Path) -> Result<Report, BenchFault> {
    prosody::present()?;
    let folder = Folder::new(place)?;
    let authority = Authority::new(&folder.sub("authority")?)?;
    let mut conversations = Vec::new();
    for &seconds in delays_seconds {
        let delay = Duration::from_secs(seconds.into());
        for setup in SETUPS.map(Some).into_iter().chain([None]) {
            let number = u8::try_from(conversations.len()).unwrap_or(u8::MAX);
            let place = folder.sub(&format!("conversation-{number}"))?;
            let (name, pair) = match setup {
                Some(setup) => (setup.name.to_owned(), Pair::start(&place, number, setup, &authority, delay)?),
                None => (format!("two gateways, {profile}"), Pair::through_gateways(&place, number, profile, delay)?),
            };
            conversations.push((name, seconds, pair));
        }
    }
    let held: Vec<_> = conversations
        .into_iter()
        .map(|(name, delay, pair)| (name, delay, thread::spawn(move || pair.converse())))
        .collect();
    let (mut rows, mut exchanges) = (Vec::new(), Vec::new());
    for (name, delay, thread) in held {
        let conversation = thread.join().map_err(|_| BenchFault::Process("a conversation broke".to_owned()))??;
        rows.push(row(&name, delay, &conversation));
        exchanges.extend(exchange_rows(&name, delay, &conversation));
    }
    Ok(Report { facts: vec![("Prosody", version())], tables: vec![table(rows), exchange_table(exchanges)] })
}

/// Two servers and the wires between them, one for each direction of connecting; or one between two gateways.
struct Pair {
    servers: [Prosody; 2],
    wires: Vec<Wire>,
    _gateways: Vec<Running>,
}

impl Pair {
    fn start(
        folder: &Path,
        number: u8,
        setup: Setup,
        authority: &Authority,
        delay: Duration,
    ) -> Result<Self, BenchFault> {
        let plan = |domain: &str, user: &str, last: u8| -> Result<ProsodyPlan, BenchFault> {
            let mut plan = ProsodyPlan::new(domain, IpAddr::from([127, 1, number, last]))?;
            plan.users = vec![(user.to_owned(), PASSWORD.to_owned())];
            plan.trust = setup.trust;
            plan.bidi = setup.bidi;
            plan.identity = Some(authority.issue(&[domain, &format!("rooms.{domain}")])?);
            Ok(plan)
        };
        let (mut hq, mut field) = (plan("hq.test", "alice", 1)?, plan("field.test", "bob", 2)?);
        let wire = |to: &ProsodyPlan| Wire::start(IpAddr::from([127, 1, number, 3]), to.for_servers, delay);
        let wires = [wire(&field)?, wire(&hq)?];
        for (own, far, wire) in [(&mut hq, "field.test", &wires[0]), (&mut field, "hq.test", &wires[1])] {
            own.routes = vec![(far.to_owned(), wire.address), (format!("rooms.{far}"), wire.address)];
        }
        let start = |plan: ProsodyPlan| Prosody::start(&subfolder(folder, &plan.domain), plan);
        Ok(Self { servers: [start(hq)?, start(field)?], wires: wires.into(), _gateways: Vec::new() })
    }

    /// The servers have gateways as components; those have the wire between them.
    fn through_gateways(folder: &Path, number: u8, profile: &str, delay: Duration) -> Result<Self, BenchFault> {
        let plan = |domain: &str, user: &str, far: &str, last: u8| -> Result<ProsodyPlan, BenchFault> {
            let mut plan = ProsodyPlan::new(domain, IpAddr::from([127, 1, number, last]))?;
            plan.users = vec![(user.to_owned(), PASSWORD.to_owned())];
            plan.components = [far.to_owned(), format!("rooms.{far}")].map(|name| (name, PASSWORD.to_owned())).into();
            Ok(plan)
        };
        let start = |plan: ProsodyPlan| Prosody::start(&subfolder(folder, &plan.domain), plan);
        let hq = start(plan("hq.test", "alice", "field.test", 1)?)?;
        let field = start(plan("field.test", "bob", "hq.test", 2)?)?;
        let listen = process::free_address()?;
        let wire = Wire::start(IpAddr::from([127, 1, number, 3]), listen, delay)?;
        let gateway = |server: &Prosody, far: &str, medium: Medium| {
            let own = server.plan.domain.clone();
            let side = Side::Components { target: server.plan.for_components, secret: PASSWORD.to_owned() };
            let (filter, profile) = ("none".to_owned(), profile.to_owned());
            let place = folder.join(format!("gateway-{own}"));
            gateways::run(
                &place,
                &GatewayPlan { own, far: far.to_owned(), side, medium, filter, profile, managed: false },
            )
        };
        let at_field = gateway(&field, "hq.test", Medium::Tcp { listen: Some(listen), connect: None, tls: None })?;
        let at_hq = gateway(&hq, "field.test", Medium::Tcp { listen: None, connect: Some(wire.address), tls: None })?;
        hq.wait_for_components()?;
        field.wait_for_components()?;
        Ok(Self { servers: [hq, field], wires: vec![wire], _gateways: vec![at_hq, at_field] })
    }

    fn converse(self) -> Result<Conversation, BenchFault> {
        let clock = Clock::start();
        let [hq, field] = &self.servers;
        let alice = Client::login(clock, hq.plan.for_clients, ["alice", "hq.test", "desk"], PASSWORD)?;
        let bob = Client::login(clock, field.plan.for_clients, ["bob", "field.test", "tent"], PASSWORD)?;
        // The first step is the first to ask.
        let flights = std::cell::OnceCell::new();
        let octets = || {
            flights.get_or_init(|| self.wires.iter().flat_map(Wire::flights).collect::<Vec<_>>());
            self.wires.iter().map(Wire::octets).map(|(there, back)| there + back).sum()
        };
        let steps = converse(clock, alice, bob, PATIENCE, &octets)?;
        let connections = self.wires.iter().map(Wire::connections).sum();
        let octets = octets();
        Ok(Conversation { steps, connections, octets, flights: flights.into_inner().unwrap_or_default() })
    }
}

fn subfolder(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

/// Holds the conversation; the steps that were done. `octets` tells what has passed so far.
///
/// # Errors
/// When a client's own server goes away.
pub fn converse(
    clock: Clock,
    mut alice: Client,
    mut bob: Client,
    patience: Duration,
    octets: &dyn Fn() -> u64,
) -> Result<Vec<Step>, BenchFault> {
    alice.say("<presence/>")?;
    bob.say("<presence/>")?;
    let message =
        |to: &str, words: &str| format!("<message type='chat' to='{to}' id='{words}'><body>{words}</body></message>");
    let first = message("bob@field.test", "first-message");
    let reply = message("alice@hq.test/desk", "the-reply");
    let second = message("bob@field.test/tent", "second-message");
    let enter = format!("<presence to='{ROOM}/alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    let mut steps = Vec::new();
    for (number, (text, words)) in [
        (first, "<body>first-message"),
        (reply, "<body>the-reply"),
        (second, "<body>second-message"),
        (enter, "code='110'"),
    ]
    .into_iter()
    .enumerate()
    {
        let (speaker, hearer) = match number {
            0 | 2 => (&mut alice, Some(&mut bob)),
            1 => (&mut bob, Some(&mut alice)),
            // The room answers to the one who enters.
            _ => (&mut alice, None),
        };
        let began = clock.now().mono.as_micros();
        speaker.say(&text)?;
        let heard = match hearer {
            Some(hearer) => hearer.wait(words, patience),
            None => speaker.wait(words, patience),
        };
        let Some(at) = heard else { break };
        steps.push(Step { seconds: at.saturating_sub(began) as f64 / 1e6, octets: octets() });
    }
    Ok(steps)
}

fn version() -> String {
    let said = process::run(std::process::Command::new("dpkg-query").args(["-W", "-f", "${Version}", "prosody"]));
    said.unwrap_or_else(|_| "of unknown version".to_owned())
}

/// The cells of a conversation.
pub fn row(name: &str, delay: u32, conversation: &Conversation) -> Vec<Cell> {
    let seconds = |step: usize| match conversation.steps.get(step) {
        Some(step) => Cell::Real(step.seconds, 1),
        None => Cell::text("never"),
    };
    let octets = |step: usize| conversation.steps.get(step).map_or(Cell::Empty, |step| Cell::Whole(step.octets));
    vec![
        Cell::text(name),
        Cell::Whole(delay.into()),
        seconds(0),
        seconds(1),
        seconds(2),
        seconds(3),
        octets(0),
        octets(1),
        octets(2),
        octets(3),
        Cell::Whole(conversation.octets),
        Cell::Whole(conversation.connections),
    ]
}

/// The flights of a conversation, a row for each connection on which something was said.
fn exchange_rows(name: &str, delay: u32, conversation: &Conversation) -> Vec<Vec<Cell>> {
    let spoken = conversation.flights.iter().filter(|flights| !flights.is_empty());
    let words = |flights: &Vec<u64>| flights.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    spoken.map(|flights| vec![Cell::text(name), Cell::Whole(delay.into()), Cell::text(words(flights))]).collect()
}

fn exchange_table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "exchanges",
        title: "The exchanges until the first message was there, by connection: octets of TCP payload of the one that \
                opened it and of the other in turn. `bench hf` replays such."
            .to_owned(),
        columns: vec![("setup", "set-up"), ("delay_seconds", "delay s"), ("flights", "octets in turn")],
        rows,
    }
}

fn table(rows: Vec<Vec<Cell>>) -> Table {
    Table {
        name: "conversation",
        title: format!(
            "The same conversation over a wire with a one-way delay: seconds from writing to reading, octets of TCP \
             payload in both directions since the beginning. Never: not within {} s.",
            PATIENCE.as_secs()
        ),
        columns: vec![
            ("setup", "set-up"),
            ("delay_seconds", "delay s"),
            ("first_message_seconds", "first message s"),
            ("reply_seconds", "reply s"),
            ("second_message_seconds", "second s"),
            ("room_seconds", "room s"),
            ("first_message_octets", "octets to first"),
            ("reply_octets", "to reply"),
            ("second_message_octets", "to second"),
            ("room_octets", "to room"),
            ("octets", "in all"),
            ("connections", "connections"),
        ],
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_never() {
        let conversation = Conversation {
            steps: vec![Step { seconds: 30.84, octets: 9_000 }, Step { seconds: 1.0, octets: 9_200 }],
            connections: 4,
            octets: 14_200,
            flights: vec![vec![198, 387], Vec::new(), vec![0, 35]],
        };
        let exchanges = exchange_rows("x", 1, &conversation);
        assert_eq!(
            exchanges.iter().map(|row| row[2].clone()).collect::<Vec<_>>(),
            ["198, 387", "0, 35"].map(Cell::text)
        );
        let row = row("x", 1, &conversation);
        assert_eq!(row.len(), table(Vec::new()).columns.len());
        assert_eq!(row[2..5], [Cell::Real(30.84, 1), Cell::Real(1.0, 1), Cell::text("never")]);
        let octets = [Cell::Whole(9_000), Cell::Whole(9_200), Cell::Empty, Cell::Empty, Cell::Whole(14_200)];
        assert_eq!(row[6..11], octets);
    }
}

//! Starts everything, sends the samples, watches, and judges.

use std::net::SocketAddr;
use std::path::Path;

use skywave_protocols::time::Duration;
use skywave_transports::modem::weather::Weather;
use skywave_transports::node::{SimulatorStation, StationConfig};
use tokio::sync::{broadcast, mpsc};

use super::super::out;
use super::super::process::Signals;
use super::connect::{self, Account};
use super::mailbox::{self, Taken};
use super::people::{Happening, People, Place, ToSay};
use super::show::{self, Show};
use super::{Demo, submit};
use crate::bench::xmpp::prosody;
use crate::demo::chat::{Conversation, Line};
use crate::demo::ledger::{Fate, Ledger};
use crate::demo::outcome::{Link, Outcome, chat_message, faults, message};
use crate::demo::samples::{Start, samples};
use crate::demo::{PATIENCE, plan};
use crate::node::config::SiteConfig;
use crate::shell::capture::CaptureFile;
use crate::shell::clock::Clock;
use crate::shell::radio::{Radio, RadioStation};
use crate::shell::{ShellConfig, Site};
use crate::telemetry::Event;
use crate::world::chat_sites::domains;
use crate::world::client::Submission;
use crate::world::plan::{CHAT_LINK, Plan, full_name};

/// How often the view is refreshed.
const REFRESH: std::time::Duration = std::time::Duration::from_millis(100);
/// The long message starts at the latest after this time of the demonstration's clock.
const FIRST_PART: Duration = Duration::from_secs(600);
/// So many octets of the long message are on the air when the FLASH is submitted.
const LONG_ON_AIR_OCTETS: u64 = 20_000;

/// What happens while it runs.
enum Happened {
    Told(usize, Event),
    Taken(Taken),
    Answered(usize, Result<Submission, String>),
    People(usize, Happening),
}

/// What a station put on the air so far.
#[derive(Clone, Default, serde::Deserialize)]
struct OnAir {
    transmissions: u64,
    octets_on_air: u64,
    microseconds_on_air: u64,
    emissions_in_emcon: u64,
}

impl OnAir {
    fn seconds(&self) -> f64 {
        self.microseconds_on_air as f64 / 1e6
    }
}

struct Stage {
    plan: Plan,
    clock: Clock,
    radio: Radio,
    sites: Vec<Site>,
    ports: Vec<SocketAddr>,
    ledger: Ledger,
    people: Vec<People>,
    conversation: Conversation,
    show: Show,
    inbox: mpsc::Sender<Happened>,
    started: Vec<bool>,
    air: Vec<OnAir>,
    /// What the station of the long message's site had put on the air when the long message started.
    long_began: Option<u64>,
}

/// Runs the demonstration; whether all went well.
pub(super) async fn play(options: &Demo, weather: Weather, folder: &Path) -> Result<bool, String> {
    let seed = weather.seed;
    // Before anything is made that has to go again.
    let mut signals = Signals::new().map_err(|error| error.to_string())?;
    let (inbox, mut happened) = mpsc::channel(1024);
    let mut stage = set_up(options, weather, folder, inbox).await?;
    // Before the samples, which take their time on the air; once more when the sites stay.
    stage.say_where_to_chat();
    let began = stage.clock.now();
    let mut refresh = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            one = happened.recv() => if let Some(one) = one { stage.happened(one) },
            _ = refresh.tick() => stage.refresh().await,
            () = signals.end() => {
                stage.end().await;
                return Ok(false);
            }
        }
        stage.start_due(stage.clock.now().mono.since(began.mono) > FIRST_PART);
        stage.say_due().await;
        let complete = stage.ledger.is_complete() && stage.conversation.is_complete();
        if complete || stage.clock.now().mono.since(began.mono) > PATIENCE {
            break;
        }
    }
    stage.refresh().await;
    let outcome = stage.outcome(options, seed);
    stage.show.result(&outcome);
    if options.json {
        let text = serde_json::to_string_pretty(&outcome).map_err(|error| error.to_string())?;
        out::line(&text).map_err(|fault| fault.why)?;
    }
    if !options.once {
        stage.stay(folder, happened, &mut signals).await;
    }
    stage.end().await;
    Ok(outcome.ok)
}

async fn set_up(
    options: &Demo,
    mut weather: Weather,
    folder: &Path,
    inbox: mpsc::Sender<Happened>,
) -> Result<Stage, String> {
    let words = |error: std::io::Error| error.to_string();
    let plan = plan(&weather);
    plan.fit(&mut weather);
    let clock = Clock::at_speed(options.speed);
    let mut stations = Vec::new();
    for (index, name) in plan.names.iter().enumerate() {
        let address = plan.address(index).parse().map_err(|_| format!("{} is no address", plan.address(index)))?;
        let station = SimulatorStation { name: full_name(name).to_string(), config: StationConfig::new(address) };
        stations.push(RadioStation { station, listen: loopback() });
    }
    let capture = options.capture.as_deref().map(CaptureFile::create).transpose().map_err(words)?;
    let radio = Radio::start(clock, &weather, stations, capture)?;
    let (mut sites, mut ports) = (Vec::new(), Vec::new());
    let conversation = Conversation::new(weather.seed);
    let people = people(options, &plan, clock, (folder, &conversation), &inbox).await?;
    let (taken, mut arrivals) = mpsc::channel(64);
    for (index, people) in people.iter().enumerate() {
        let home = folder.join(&plan.names[index]);
        let mailboxes = mailbox::start(index, clock, &home.join("mailboxes"), taken.clone()).await.map_err(words)?;
        let config = configuration(&plan, index, radio.addresses[index], mailboxes, people);
        let mut shell = ShellConfig::new(home.join("queue"));
        shell.clock = clock;
        let site = Site::start(config, shell).map_err(|fault| fault.to_string())?;
        forward(index, site.events(), inbox.clone());
        let listening = site.listening(1).await;
        ports.push(*listening.first().ok_or("a site does not listen")?);
        sites.push(site);
    }
    let to = inbox.clone();
    tokio::spawn(async move {
        while let Some(taken) = arrivals.recv().await {
            if to.send(Happened::Taken(taken)).await.is_err() {
                return;
            }
        }
    });
    let ledger = Ledger::new(samples(&plan.names, weather.seed));
    let bytes = ledger.fates.iter().map(|fate| fate.sample.draft.text.len() as u64).sum();
    let mut show = Show::new(clock.now().wall, options.json, bytes);
    if let Some(why) = no_prosody(options) {
        show.plain(&format!("No Prosody: {why}. Stand-ins take its place."));
    }
    show.plain(&format!(
        "{} sites on one simulated radio of {} bit/s; time runs {} times as fast.",
        ports.len(),
        weather.waveform.bits_per_second,
        options.speed
    ));
    let started = vec![false; ledger.fates.len()];
    Ok(Stage {
        plan,
        clock,
        radio,
        sites,
        ports,
        ledger,
        people,
        conversation,
        show,
        inbox,
        started,
        air: Vec::new(),
        long_began: None,
    })
}

/// Why there is no Prosody although it was asked for.
fn no_prosody(options: &Demo) -> Option<String> {
    prosody::present().err().filter(|_| options.prosody).map(|fault| fault.to_string())
}

/// The XMPP servers of all sites.
async fn people(
    options: &Demo,
    plan: &Plan,
    clock: Clock,
    (folder, conversation): (&Path, &Conversation),
    inbox: &mpsc::Sender<Happened>,
) -> Result<Vec<People>, String> {
    let with_prosody = options.prosody && no_prosody(options).is_none();
    let mut all = Vec::new();
    for (index, name) in plan.names.iter().enumerate() {
        let (happenings, received) = mpsc::channel(64);
        relay(index, received, inbox.clone());
        let own = full_name(name).to_string();
        // People speak at the first two sites.
        let user = ["alice", "bob"].get(index).copied();
        let server = match user.filter(|_| with_prosody) {
            Some(user) => {
                let far = plan.names.iter().filter(|other| *other != name).flat_map(|other| domains(other)).collect();
                let home = folder.join(format!("{name}-prosody"));
                let address = format!("{user}@{own}");
                let expected = conversation.fates.iter().filter(|fate| fate.line.to == address);
                let expected = expected.map(|fate| fate.line.text.clone()).collect();
                let place = Place { folder: home, domain: own, user: user.to_owned(), far, expected };
                let started = tokio::task::spawn_blocking(move || People::prosody(&place, clock, happenings)).await;
                started.map_err(|error| error.to_string())??
            }
            None => People::stand_in(&own, clock, happenings).await.map_err(|error| error.to_string())?,
        };
        all.push(server);
    }
    Ok(all)
}

fn relay(site: usize, mut happenings: mpsc::Receiver<Happening>, inbox: mpsc::Sender<Happened>) {
    tokio::spawn(async move {
        while let Some(happening) = happenings.recv().await {
            if inbox.send(Happened::People(site, happening)).await.is_err() {
                return;
            }
        }
    });
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A site's configuration with the ports of this run.
fn configuration(plan: &Plan, index: usize, station: SocketAddr, mailboxes: SocketAddr, people: &People) -> SiteConfig {
    let mut config = plan.site(index);
    for component in config.chat.iter_mut().flat_map(|chat| &mut chat.door.components) {
        component.target = people.for_components.to_string();
        component.secret = people.secret.to_owned();
    }
    config.mail.listen = vec![loopback()];
    for radio in &mut config.radios {
        radio.node = station.to_string();
    }
    for local in &mut config.local {
        local.target = mailboxes.to_string();
    }
    config
}

fn forward(site: usize, mut events: broadcast::Receiver<Event>, inbox: mpsc::Sender<Happened>) {
    tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(event) => {
                    if inbox.send(Happened::Told(site, event)).await.is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    });
}

impl Stage {
    /// Submits what is due.
    fn start_due(&mut self, late: bool) {
        let first_done = self.ledger.fates.iter().all(|fate| fate.sample.start != Start::AtOnce || fate.is_delivered());
        let long_flies = self.long_on_air() >= LONG_ON_AIR_OCTETS;
        for number in 0..self.started.len() {
            let due = match self.ledger.fates[number].sample.start {
                Start::AtOnce => true,
                Start::Second => first_done || late,
                Start::WhileLong => long_flies,
            };
            if due && !self.started[number] {
                self.started[number] = true;
                self.submit(number);
            }
        }
    }

    /// Octets that its station put on the air since the long message started.
    fn long_on_air(&self) -> u64 {
        let Some((began, long)) = self.long_began.zip(self.ledger.long()) else { return 0 };
        self.air.get(long.sample.site).map_or(0, |station| station.octets_on_air.saturating_sub(began))
    }

    fn submit(&mut self, number: usize) {
        let fate = &mut self.ledger.fates[number];
        let now = self.clock.now().wall;
        fate.submitted_at = Some(now);
        let words = format!("{}: {} is submitted", self.plan.names[fate.sample.site], show::name(fate));
        let (port, draft) = (self.ports[fate.sample.site], fate.sample.draft.clone());
        self.show.line(now, &words);
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let answer = submit::submit(port, draft).await;
            let _ = inbox.send(Happened::Answered(number, answer)).await;
        });
    }

    /// Has people say what is due.
    async fn say_due(&mut self) {
        let long_flies = self.long_on_air() >= LONG_ON_AIR_OCTETS || self.ledger.is_complete();
        let Some(number) = self.conversation.due(|start| start == Start::AtOnce || long_flies) else { return };
        let now = self.clock.now().wall;
        let fate = &mut self.conversation.fates[number];
        fate.said_at = Some(now);
        let Line { site, user, to, text, .. } = fate.line.clone();
        self.show.line(now, &format!("{}: {user} says \"{text}\"", self.plan.names[site]));
        self.people[site].say(ToSay { number, user: user.to_owned(), to: to.to_owned(), text }).await;
    }

    fn chatted(&mut self, site: usize, happening: Happening) {
        let now = self.clock.now().wall;
        match happening {
            Happening::Said(number, id) => self.conversation.said(number, id),
            Happening::Heard { to, text } => {
                self.conversation.heard(now, &to, &text);
                self.show.line(now, &format!("{}: {to} hears \"{text}\"", self.plan.names[site]));
            }
        }
    }

    fn happened(&mut self, happened: Happened) {
        let now = self.clock.now().wall;
        match happened {
            Happened::People(site, happening) => self.chatted(site, happening),
            Happened::Told(site, event) => {
                self.ledger.told(now, site, &event);
                self.conversation.told(now, site, &event);
                if matches!(&event, Event::HopStarted { ticket, .. } if self.is_long(site, ticket)) {
                    self.long_began = self.long_began.or(self.air.get(site).map(|station| station.octets_on_air));
                }
                self.show.event(now, &self.plan.names[site], &self.ledger, &event);
            }
            Happened::Taken(taken) => {
                let site = &self.plan.names[taken.site];
                let words = match self.ledger.taken(taken.at, &taken.message_id, &taken.to) {
                    Some(fate) => format!("{site}: {} is in the mailbox of {}", show::name(fate), taken.to.join(", ")),
                    None => format!("{site}: mail for {}", taken.to.join(", ")),
                };
                self.show.line(taken.at, &words);
            }
            Happened::Answered(number, answer) => {
                let fate = &mut self.ledger.fates[number];
                match answer {
                    Ok(answer) if answer.is_taken() => fate.accepted_at = Some(now),
                    Ok(answer) => fate.refused = Some(format!("{:?}", answer.end)),
                    Err(why) => fate.refused = Some(why),
                }
            }
        }
    }

    fn is_long(&self, site: usize, ticket: &str) -> bool {
        self.ledger.long().is_some_and(|long| long.sample.site == site && long.ticket.as_deref() == Some(ticket))
    }

    async fn refresh(&mut self) {
        let described = self.radio.describe().await;
        let stations = described["stations"].as_array().into_iter().flatten();
        self.air = stations.map(|station| serde_json::from_value(station["air"].clone()).unwrap_or_default()).collect();
        let bytes = self.air.iter().map(|station| station.octets_on_air).sum();
        let seconds = self.air.iter().map(OnAir::seconds).sum();
        let long = self.long_on_air();
        self.show.progress(self.clock.now().wall, &self.ledger, long, bytes, seconds);
    }

    fn outcome(&self, options: &Demo, seed: u64) -> Outcome {
        let mut faults = faults(&self.ledger);
        faults.extend(self.conversation.faults(self.ledger.long().and_then(Fate::delivered_at)));
        let mails = self.ledger.fates.iter().map(message);
        let messages = mails.chain(self.conversation.fates.iter().map(chat_message)).collect();
        let mut links = Vec::new();
        for (index, name) in self.plan.names.iter().enumerate() {
            let air = self.air.get(index).cloned().unwrap_or_default();
            if air.emissions_in_emcon > 0 {
                faults.push(format!("{name} emitted {} times in EMCON", air.emissions_in_emcon));
            }
            let link = |link: &str, transport: &str, units_sent| Link {
                name: format!("{}/{link}", full_name(name)),
                transport: transport.to_owned(),
                units_sent,
                bytes_on_air: air.octets_on_air,
                seconds_on_air: (air.seconds() * 1000.0).round() / 1000.0,
                transmissions: air.transmissions,
                emissions_in_emcon: air.emissions_in_emcon,
            };
            for kind in &self.plan.links {
                let units = self.ledger.units_sent.get(&(index, kind.name().to_owned()));
                links.push(link(kind.name(), "acp142 over stanag 5066", units.copied().unwrap_or(0)));
            }
            if self.plan.chat.is_some() {
                let units = self.conversation.units_sent.get(&(index, CHAT_LINK.to_owned()));
                links.push(link(CHAT_LINK, "xmpp over rcop over stanag 5066", units.map_or(0, |(units, _)| *units)));
            }
        }
        Outcome {
            ok: faults.is_empty(),
            faults,
            messages,
            links,
            speed: options.speed,
            bits_per_second: self.plan.bits_per_second,
            seed,
        }
    }

    /// Says how to chat with a client of one's own.
    fn say_where_to_chat(&mut self) {
        let users = ["alice", "bob"].into_iter().zip(&self.plan.names);
        let accounts: Vec<Account> = (self.people.iter().zip(users))
            .filter_map(|(people, (user, name))| {
                Some(Account { address: format!("{user}@{}", full_name(name)), server: people.for_clients? })
            })
            .collect();
        connect::words(&accounts, prosody::present().is_ok()).iter().for_each(|line| self.show.plain(line));
    }

    /// Ends the sites in good order.
    async fn end(self) {
        for site in self.sites {
            site.stop().await;
        }
    }

    /// Says where to connect and stays until somebody interrupts.
    async fn stay(&mut self, folder: &Path, mut happened: mpsc::Receiver<Happened>, signals: &mut Signals) {
        self.show.plain("");
        self.show.plain("The sites stay up; press Ctrl-C to end.");
        for (index, name) in self.plan.names.iter().enumerate() {
            let words = format!(
                "  {:<11} SMTP {}  STANAG 5066 node {}  mailboxes {}",
                full_name(name),
                self.ports[index],
                self.radio.addresses[index],
                folder.join(name).join("mailboxes").display()
            );
            self.show.plain(&words);
        }
        self.show.plain("Any user at these domains has a mailbox. Submit mail with any client, for instance:");
        let port = self.ports.first().map_or(0, SocketAddr::port);
        self.show.plain(&format!("  swaks --server 127.0.0.1:{port} --from you@hq.test --to friend@field.test"));
        self.say_where_to_chat();
        loop {
            tokio::select! {
                one = happened.recv() => if let Some(one) = one { self.happened(one) },
                () = signals.end() => return,
            }
        }
    }
}

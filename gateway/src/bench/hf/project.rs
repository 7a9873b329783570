//! The project on a radio: whole sites in the world, users at their servers, mail at their doors.
//!
//! Nothing of the project is modelled here: the same nodes, gateways and stores run that the program runs, in virtual
//! time. Chat goes from a user's server to the other user's server; mail from the door to the other site's local MTA.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random as _, Seeded};
use skywave_protocols::s5066::node::cas::LinkSetup;
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::unidata::Quirks;
use skywave_protocols::time::{Duration, Instant};
use skywave_transports::modem::channel::OnAir;
use skywave_transports::modem::weather::Weather;
use skywave_transports::transport::Capture;

use super::radio::Radio;
use super::vendor::RoundTrips;
use crate::world::chat::Deed;
use crate::world::plan::{ChatPlan, LinkKind, Plan};
use crate::world::{MailOrder, World};

const SEED: u64 = 1;
/// Until all sites are attached to their nodes and servers.
const BEGIN: Duration = Duration::from_secs(60);
/// For one message or mail.
const PATIENCE: Duration = Duration::from_secs(60 * 3600);

const NAMES: [&str; 4] = ["hq", "field", "north", "south"];

/// Sites on a radio.
pub struct Sites {
    world: World,
    /// Numbers of the messages so far.
    said: u32,
    random: Seeded,
}

/// What sites stand on.
#[derive(Clone, PartialEq, Debug)]
pub struct Ground {
    /// The weather.
    pub weather: Weather,
    /// What the gateways believe the rate to be, in bit/s.
    pub bits_per_second: u32,
    /// And the turn.
    pub turnaround: Duration,
    /// How many sites, 2 to 4.
    pub sites: usize,
    /// The world's seed.
    pub seed: u64,
    /// How links are made; `None`: as usual.
    pub setup: Option<LinkSetup>,
}

impl Ground {
    /// A radio on a calm day. `None`: no such rate.
    pub fn new(radio: Radio, bits_per_second: u32, sites: usize) -> Option<Self> {
        let weather = radio.weather(bits_per_second)?;
        Some(Self { weather, bits_per_second, turnaround: radio.turn, sites, seed: SEED, setup: None })
    }
}

/// What a transfer took.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Transfer {
    /// Until the last octet was there.
    pub seconds: f64,
    /// Octets to transport.
    pub octets: u64,
}

/// What became of everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Mails that somebody has: the recipient, or the sender as a report.
    pub mails_ended: u64,
    /// Mails that the recipient has.
    pub mails_delivered: u64,
    /// Chat lines that the user has, or the sender as an error.
    pub lines_ended: u64,
    /// Chat lines that the user has.
    pub lines_delivered: u64,
    /// What the checkers found.
    pub violations: usize,
}

impl Sites {
    /// So many sites with chat and mail over HF, on a calm day. `None`: no such rate.
    pub fn new(radio: Radio, bits_per_second: u32, sites: usize) -> Option<Self> {
        Some(Self::on(&Ground::new(radio, bits_per_second, sites)?))
    }

    /// The same on any ground.
    pub fn on(ground: &Ground) -> Self {
        let plan = Plan {
            links: vec![LinkKind::Hf],
            chat: Some(ChatPlan::default()),
            bits_per_second: ground.bits_per_second,
            turnaround: ground.turnaround,
            ..Plan::new(&NAMES[..ground.sites.clamp(2, NAMES.len())])
        };
        let mut weather = ground.weather.clone();
        plan.fit(&mut weather);
        let mut world = World::new(ground.seed, &weather);
        world.take_no_digest();
        (world.air.setup, world.air.on_air) = (ground.setup, Some(Vec::new()));
        for (index, name) in plan.names.iter().enumerate() {
            let mut config = plan.site(index);
            config.capture = true;
            world.add(name, config, false);
        }
        world.run_for(BEGIN);
        Self { world, said: 0, random: Seeded::new(SEED) }
    }

    /// A text of hex digits that no other has; one letter where none is asked for.
    fn text(&mut self, octets: usize) -> String {
        self.said += 1;
        if octets == 0 {
            return char::from_u32(0x100 + self.said).map_or_else(String::new, String::from);
        }
        let mut random = vec![0; octets.div_ceil(2)];
        self.random.fill(&mut random);
        let mut hex = skywave_protocols::bytes::hex(&random);
        hex.truncate(octets);
        hex
    }

    fn address(&self, site: usize, user: &str) -> String {
        format!("{user}@{}", self.world.sites[site].config.site)
    }

    fn say(&mut self, from: (usize, &str), to: (usize, &str), text: String) {
        let to = self.address(to.0, to.1);
        self.world.chat(from.0, from.1, &Deed::Say { to, text });
    }

    /// When a text reached a site's server.
    fn heard(&self, site: usize, text: &str) -> Option<Instant> {
        let got = self.world.sites[site].xmpp.got();
        got.iter().rev().find(|got| got.body().as_deref() == Some(text)).map(|got| got.at)
    }

    /// Says something and waits until it is there; the seconds.
    fn cross(&mut self, from: (usize, &str), to: (usize, &str), octets: usize) -> Option<f64> {
        let (text, began) = (self.text(octets), self.world.at());
        self.say(from, to, text.clone());
        let site = to.0;
        let seen = |world: &World| {
            let got = world.sites[site].xmpp.got().last();
            got.is_some_and(|got| got.body().as_deref() == Some(&text))
        };
        self.world.run_until(began + PATIENCE, seen);
        Some(self.heard(site, &text)?.since(began).as_secs_f64())
    }

    /// A conversation between two sites: equal messages to and fro, each `delay` after the one before has arrived.
    pub fn ping_pong(&mut self, payload: usize, delay: Duration, turns: u32) -> Option<RoundTrips> {
        let mut trips = Vec::new();
        for _ in 0..turns {
            trips.push(self.round_trip(payload, delay)?);
        }
        let later = trips.get(1..)?;
        Some(RoundTrips { first: *trips.first()?, average: later.iter().sum::<f64>() / later.len() as f64 })
    }

    /// A message and its answer, each `delay` before the next; the seconds, one delay among them.
    pub fn round_trip(&mut self, payload: usize, delay: Duration) -> Option<f64> {
        let (anna, bob) = ((0, "anna"), (1, "bob"));
        let there = self.cross(anna, bob, payload)?;
        self.world.run_for(delay);
        let back = self.cross(bob, anna, payload)?;
        self.world.run_for(delay);
        Some(there + delay.as_secs_f64() + back)
    }

    /// So many messages said at once: from the first word to the last arrival.
    pub fn backlog(&mut self, payload: usize, messages: u32) -> Option<Transfer> {
        self.cross((0, "anna"), (1, "bob"), 0)?;
        let (before, began) = (self.octets_on_sis(0), self.world.at());
        let mut last = String::new();
        for _ in 0..messages {
            last = self.text(payload);
            self.say((0, "anna"), (1, "bob"), last.clone());
        }
        let count = self.world.sites[1].xmpp.got().len() + messages as usize;
        self.world.run_until(began + PATIENCE, |world| world.sites[1].xmpp.got().len() >= count);
        let seconds = self.heard(1, &last)?.since(began).as_secs_f64();
        Some(Transfer { seconds, octets: self.octets_on_sis(0) - before })
    }

    /// Octets of the U_PDUs that all sites have given their nodes.
    pub fn octets_to_transport(&self) -> u64 {
        (0..self.world.sites.len()).map(|site| self.octets_on_sis(site)).sum()
    }

    /// Octets of the U_PDUs that a site has given its node.
    fn octets_on_sis(&self, site: usize) -> u64 {
        let mut reader = FrameReader::new();
        let mut octets = 0;
        let sent = |packet: &&Capture| packet.sent;
        for packet in self.world.sites[site].captured.iter().filter(sent) {
            reader.push(&packet.octets);
            while let Some(Ok(frame)) = reader.next_frame() {
                if let Ok(Primitive::UnidataRequest(request) | Primitive::ExpeditedUnidataRequest(request)) =
                    Primitive::decode(&frame, Quirks::default())
                {
                    octets += request.u_pdu.len() as u64;
                }
            }
        }
        octets
    }

    /// Gives a site a mail of incompressible octets; its subject.
    pub fn mail(&mut self, from: usize, to: usize, octets: usize, precedence: Precedence) -> String {
        self.said += 1;
        let subject = format!("Mail {}", self.said);
        let order = MailOrder {
            from: format!("duty@{}", self.world.sites[from].config.site),
            to: vec![self.address(to, "watch")],
            mail_parameters: format!("MT-PRIORITY={}", precedence.mt_priority().value()),
            rcpt_parameters: String::new(),
            subject: subject.clone(),
            headers: String::new(),
            body: self.body(octets).into(),
            pipelining: true,
        };
        self.world.mail(from, order);
        subject
    }

    /// Lines of letters that hardly compress: 6 bits of chance in an octet.
    fn body(&mut self, octets: usize) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut random = vec![0; octets];
        self.random.fill(&mut random);
        let mut text = String::with_capacity(octets + octets / 36);
        for (number, octet) in random.into_iter().enumerate() {
            text.push(char::from(LETTERS[usize::from(octet % 64)]));
            if number % 74 == 73 {
                text.push_str("\r\n");
            }
        }
        text.push_str("\r\n");
        text
    }

    /// Waits until a mail is at the other site's MTA; when.
    pub fn delivered(&mut self, site: usize, subject: &str) -> Option<Instant> {
        let until = self.world.at() + PATIENCE;
        let received = |world: &World| {
            let received = world.sites[site].mta.received();
            received.iter().find(|received| received.subject == subject).map(|received| received.at)
        };
        self.world.run_until(until, |world| received(world).is_some());
        received(&self.world)
    }

    /// A user of a site says a line to one of another; nobody waits for it.
    pub fn line(&mut self, from: usize, to: usize, octets: usize) {
        let text = self.text(octets);
        self.say((from, "anna"), (to, "bob"), text);
    }

    /// Drives the sites until nobody owes anything, at most so long; whether that came true.
    pub fn settle(&mut self, at_most: Duration) -> bool {
        self.world.run_until_settled(at_most)
    }

    /// What became of everything so far.
    pub fn account(&self) -> Account {
        let (mails, lines) = (&self.world.checkers.duties, &self.world.checkers.chat.duties);
        let count = |count: usize| count as u64;
        Account {
            mails_ended: count(mails.iter().filter(|duty| duty.is_met()).count()),
            mails_delivered: count(mails.iter().filter(|duty| !duty.delivered.is_empty()).count()),
            lines_ended: count(lines.iter().filter(|duty| duty.is_met()).count()),
            lines_delivered: count(lines.iter().filter(|duty| !duty.delivered.is_empty()).count()),
            violations: self.world.violations().len(),
        }
    }

    /// Seconds that all stations were on air.
    pub fn seconds_on_air(&self) -> f64 {
        self.world.air.seconds_on_air()
    }

    /// Drives the sites for so long.
    pub fn run_for(&mut self, span: Duration) {
        self.world.run_for(span);
    }

    /// The time.
    pub const fn at(&self) -> Instant {
        self.world.at()
    }

    /// Octets that all stations put on air.
    pub fn octets_on_air(&self) -> u64 {
        self.world.air.octets_on_air()
    }

    /// Everything that went on the air.
    pub fn on_air(&self) -> &[OnAir] {
        self.world.air.on_air.as_deref().unwrap_or_default()
    }

    /// Octets to transport of all mails that hops have begun to send.
    pub fn mail_octets(&self) -> u64 {
        let told = self.world.sites.iter().flat_map(|site| &site.told);
        let units = told.filter_map(|told| match told.event {
            crate::telemetry::Event::HopStarted { unit_bytes, .. } => Some(unit_bytes as u64),
            _ => None,
        });
        units.sum()
    }

    /// Runs four conversations at once, between sites 0-1 and 2-3: seconds of each message's way, by pair.
    pub fn fair(&mut self, turns: u32, delay: Duration) -> Option<[f64; 2]> {
        let mut ways = [Vec::new(), Vec::new()];
        let pairs = [[(0, "anna"), (1, "bob")], [(2, "eva"), (3, "carl")]];
        // Who speaks next in each pair, what was said, and when.
        let mut open: [Option<(usize, String, Instant)>; 2] = [None, None];
        let mut due = [self.world.at(); 2];
        let mut count = [0_u32; 2];
        let until = self.world.at() + PATIENCE;
        while count.iter().any(|count| *count < turns) && self.world.at() < until {
            for pair in 0..2 {
                let speaker = (count[pair] % 2) as usize;
                if let Some((hearer, text, began)) = &open[pair] {
                    if let Some(at) = self.heard(pairs[pair][*hearer].0, text) {
                        ways[pair].push(at.since(*began).as_secs_f64());
                        (open[pair], count[pair], due[pair]) = (None, count[pair] + 1, at + delay);
                    }
                } else if due[pair] <= self.world.at() && count[pair] < turns {
                    let text = self.text(50);
                    self.say(pairs[pair][speaker], pairs[pair][1 - speaker], text.clone());
                    open[pair] = Some((1 - speaker, text, self.world.at()));
                }
            }
            self.world.run_for(Duration::from_millis(500));
        }
        let mean = |ways: &Vec<f64>| ways.iter().sum::<f64>() / ways.len().max(1) as f64;
        (count == [turns; 2]).then(|| [mean(&ways[0]), mean(&ways[1])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_and_its_answer_cross_a_radio() {
        let mut sites = Sites::new(Radio::MODERN, 9600, 2).unwrap();
        let trips = sites.ping_pong(10, Duration::ZERO, 3).unwrap();
        assert!(trips.average > 1.0 && trips.average < 30.0, "{trips:?}");
        let backlog = sites.backlog(100, 20).unwrap();
        assert!(backlog.octets > 100 && backlog.seconds > 0.0, "{backlog:?}");
    }

    /// The fading week ended with such a line, and it counted as lost: it was on its way to its gateway.
    #[test]
    fn what_was_said_last_is_waited_for() {
        let mut sites = Sites::new(Radio::MODERN, 9600, 2).unwrap();
        sites.line(0, 1, 30);
        assert!(sites.settle(Duration::from_secs(600)));
        let account = sites.account();
        assert_eq!((account.lines_ended, account.lines_delivered), (1, 1), "{account:?}");
    }

    #[test]
    fn a_mail_crosses_a_radio() {
        let mut sites = Sites::new(Radio::MODERN, 9600, 2).unwrap();
        let subject = sites.mail(0, 1, 5_000, Precedence::Routine);
        assert!(sites.delivered(1, &subject).is_some());
        assert!(sites.mail_octets() > 3_000 && sites.octets_on_air() > sites.mail_octets());
    }
}

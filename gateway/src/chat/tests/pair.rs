//! Two gateways and a link between them that loses nothing: hq with ann, field with bob.

use std::collections::BTreeMap;

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Now};
use skywave_protocols::xmpp::Stanza;
use skywave_protocols::xmpp::door::{ComponentConfig, DoorConfig};
use skywave_protocols::xmpp::fate::Lives;
use skywave_protocols::xmpp::slow::{Medium, Profile, SlowConfig};
use skywave_transports::io::{Authority, Write};
use skywave_transports::transport::ArrivalId;

use super::super::config::{ChatConfig, EmconRule, ErrorPolicy, MixedScripts, PeerConfig, PeerQueue};
use super::super::restore::Rows;
use super::super::{Chat, ChatOutput, Line, LinkState, Way};
use crate::telemetry::{Event, StanzaFate, StanzaLine};

pub const HQ: usize = 0;
pub const FIELD: usize = 1;
/// The first link of the only far site.
pub const LINE: Line = Line { peer: 0, way: Way::Stream };

/// A site's chat: the far site has these domains, and nothing is filtered.
pub fn config(own: &str, far: &[&str]) -> ChatConfig {
    let peer = PeerConfig {
        name: "far".into(),
        site: far[0].into(),
        domains: far.iter().map(|domain| (*domain).to_owned()).collect(),
        local_domains: vec!["*".to_owned()],
        link: "hf".into(),
        // Ids cross, so that tests know what arrived.
        session: SlowConfig { short_ids: false, ..SlowConfig::new(Profile::Skywave) },
        units: None,
        alternates: Vec::new(),
        filter: Default::default(),
        label_groups: Vec::new(),
        presence: Default::default(),
        precedence: Default::default(),
        presence_precedence: Precedence::Deferred,
        queue: PeerQueue::default(),
        lives: Lives::HF,
        mixed_scripts: MixedScripts::Tell,
        errors: ErrorPolicy::Return,
        emcon: EmconRule::Hold,
        silent: false,
        stanza_octets_max: 1 << 16,
    };
    let component = ComponentConfig {
        name: far[0].to_owned(),
        target: "127.0.0.1:5347".to_owned(),
        secret: "s".to_owned(),
        locals: vec![own.to_owned(), format!(".{own}")],
    };
    ChatConfig {
        domain: format!("gateway.{own}"),
        listen: Vec::new(),
        listen_direct_tls: Vec::new(),
        authority: Authority::System,
        door: DoorConfig { components: vec![component], ..DoorConfig::default() },
        secret_files: BTreeMap::new(),
        dialback_secret_file: None,
        local_stanzas_max: super::super::limits::LANE_STANZAS_MAX,
        peers: vec![peer],
    }
}

/// What is to be written, by the number of its batch.
pub type Batch = (u64, Vec<Write>);

/// The two gateways.
pub struct Pair {
    pub chats: [Chat; 2],
    pub now: Now,
    /// What each told.
    pub told: [Vec<Event>; 2],
    /// The contexts of the units that each made, with their octets.
    pub units: [Vec<(u16, usize)>; 2],
    /// The radio is out, and the link does not know.
    pub out: bool,
    /// Batches of a site that its disk has not answered, where it takes its time.
    pub on_the_way: [Option<Vec<Batch>>; 2],
    arrivals: u64,
}

impl Pair {
    pub fn new(hq: ChatConfig, field: ChatConfig) -> Self {
        let now = Now::default();
        let chats = [hq, field].map(|config| {
            let mut chat = Chat::new(config, now, &mut Seeded::new(1));
            chat.start(now, Rows::default());
            chat
        });
        let mut pair = Self {
            chats,
            now,
            told: [Vec::new(), Vec::new()],
            units: [Vec::new(), Vec::new()],
            out: false,
            on_the_way: [None, None],
            arrivals: 0,
        };
        pair.link(true);
        pair
    }

    /// The first link of both comes, or goes.
    pub fn link(&mut self, up: bool) {
        self.link_by(up, Medium { boundaries: true, unit_octets_max: 2_034, bits_per_second: 1_000_000 });
    }

    /// It is a fast stream.
    pub fn stream(&mut self) {
        self.link(false);
        self.link_by(true, Medium { boundaries: false, unit_octets_max: 1 << 16, bits_per_second: 1_000_000 });
    }

    fn link_by(&mut self, up: bool, medium: Medium) {
        let state = LinkState { up, allowed: true, medium, units: 64, octets: 1 << 20 };
        let now = self.now;
        self.chats.iter_mut().for_each(|chat| chat.link_state(now, LINE, &state));
        self.drain();
    }

    /// An operator takes the link of a site out of use, or gives it back.
    pub fn allow(&mut self, site: usize, allowed: bool) {
        let medium = Medium { boundaries: true, unit_octets_max: 2_034, bits_per_second: 1_000_000 };
        let state = LinkState { up: true, allowed, medium, units: 64, octets: 1 << 20 };
        self.chats[site].link_state(self.now, LINE, &state);
        self.drain();
    }

    /// A local server brings a stanza.
    pub fn bring(&mut self, site: usize, text: &str) {
        let stanza = Stanza::parse(text.as_bytes()).unwrap();
        self.chats[site].outward(self.now, 1, stanza);
        self.chats[site].settle(self.now);
        self.drain();
    }

    /// A stanza comes by a link.
    pub fn come(&mut self, site: usize, line: Line, text: &str) {
        let stanza = Stanza::parse(text.as_bytes()).unwrap();
        self.chats[site].inward(self.now, line, stanza, false);
        self.chats[site].settle(self.now);
        self.drain();
    }

    /// Lets time pass.
    pub fn run(&mut self, seconds: u64) {
        let end = self.now.mono + Duration::from_secs(seconds);
        loop {
            let next = self.chats.iter().filter_map(Chat::next_wakeup).map(|wakeup| wakeup.at).min();
            let at = next.filter(|at| *at <= end).unwrap_or(end);
            let passed = at.since(self.now.mono);
            self.now = Now { mono: at.max(self.now.mono), wall: self.now.wall + passed };
            for chat in &mut self.chats {
                chat.handle_wakeup(self.now);
            }
            self.drain();
            if self.now.mono >= end {
                return;
            }
        }
    }

    /// The disk of a site answers for a batch.
    pub fn answer(&mut self, site: usize, number: u64, works: bool) {
        match works {
            true => self.chats[site].stored(self.now, number),
            false => self.chats[site].store_failed(self.now, number, "no space"),
        }
        self.drain();
    }

    pub fn drain(&mut self) {
        while let Some((site, output)) = (0..2).find_map(|site| self.chats[site].poll().map(|output| (site, output))) {
            match output {
                ChatOutput::Store { number, writes, keep, .. } => match &mut self.on_the_way[site] {
                    Some(batches) if !keep => batches.push((number, writes)),
                    _other => self.chats[site].stored(self.now, number),
                },
                ChatOutput::Unit(line, unit) => {
                    self.units[site].push((unit.context, unit.content.len()));
                    if self.out {
                        continue;
                    }
                    self.arrivals += 1;
                    self.chats[1 - site].arrived(self.now, line, ArrivalId(self.arrivals), &[], &unit.content);
                    self.chats[site].unit_delivered(self.now, unit.ticket);
                }
                ChatOutput::Tell(event) => self.told[site].push(event),
                ChatOutput::Door(_) | ChatOutput::Accept(..) | ChatOutput::Wanted(..) | ChatOutput::Reset(_) => {}
            }
        }
    }

    /// The lines about stanzas with this fate at a site.
    pub fn lines(&self, site: usize, fate: StanzaFate) -> Vec<&StanzaLine> {
        let lines = self.told[site].iter().filter_map(|event| match event {
            Event::Stanza(line) => Some(line.as_ref()),
            _other => None,
        });
        lines.filter(|line| line.status == fate).collect()
    }

    /// The ids of what came by a link and was taken.
    pub fn arrived(&self, site: usize) -> Vec<&str> {
        self.lines(site, StanzaFate::Arrived).iter().map(|line| line.id.as_str()).collect()
    }

    /// What notices of a name say.
    pub fn notices(&self, site: usize, wanted: &str) -> Vec<&str> {
        let notices = self.told[site].iter().filter_map(|event| match event {
            Event::Notice { name, detail, .. } if name == wanted => Some(detail.as_str()),
            _other => None,
        });
        notices.collect()
    }
}

/// A message with a body.
pub fn message(id: &str, from: &str, to: &str, more: &str) -> String {
    format!("<message id='{id}' from='{from}' to='{to}' type='chat'><body>hello</body>{more}</message>")
}

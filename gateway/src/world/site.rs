//! One site of a world: its node, or what is left of it after a crash, and everything around it that a shell keeps.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::{Duration, Instant, Now, WallTime};
use skywave_transports::io::PipeId;
use skywave_transports::transport::Capture;

use super::disk::{Disk, StoreWork};
use super::heap::FarEnd;
use super::limits::LOG_LINES_KEPT_MAX;
use super::local_mta::LocalMta;
use super::plan::{WORLD_BEGINS, host};
use super::xmpp_server::XmppServer;
use crate::node::Node;
use crate::node::command::Reply;
use crate::node::config::SiteConfig;
use crate::node::seam::{ListenerId, Number, ReplyTo};
use crate::telemetry::Event;

/// A pipe of a node.
#[derive(Debug)]
pub struct Pipe {
    /// Where its octets go.
    pub far: FarEnd,
    /// Whether the node asked not to read.
    pub paused: bool,
    /// What arrived meanwhile.
    pub unread: VecDeque<Bytes>,
    /// The far end closed while the pipe was paused.
    pub ended: bool,
    /// Whether it says what has left: accepted pipes only when they are asked to.
    pub tells_drained: bool,
    /// Writes so far, and those of them that have left.
    pub writes: u64,
}

/// Something a site told, with its time.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// When, on the world's clock.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// A site. See the module's page.
pub struct Site {
    /// Its short name in stories.
    pub name: String,
    /// Its configuration.
    pub config: SiteConfig,
    /// Its address on the simulated IP network.
    pub host: IpAddr,
    /// The running node.
    pub node: Option<Node>,
    /// Counts its lives; what was on its way to an earlier one is lost.
    pub life: u32,
    /// Its disk.
    pub disk: Disk,
    /// What the store has to do.
    pub store_work: VecDeque<StoreWork>,
    /// Whether the store is at it.
    pub store_busy: bool,
    /// Answers of the store keep their order.
    pub store_answers_until: Instant,
    /// Where its node listens.
    pub listeners: BTreeMap<ListenerId, SocketAddr>,
    /// Its pipes.
    pub pipes: BTreeMap<PipeId, Pipe>,
    /// When the node wants to be woken, on the world's clock.
    pub wakeup: Option<Instant>,
    /// After so many outputs it crashes.
    pub outputs_until_crash: Option<u32>,
    /// How long it stays down after the crash to come; `None` for ever.
    pub restart_after: Option<Duration>,
    /// Its local MTA.
    pub mta: LocalMta,
    /// Its XMPP server.
    pub xmpp: XmppServer,
    /// Hand-overs asked for and not answered: number and Message-ID where it is known.
    pub hand_overs: BTreeMap<Number, Option<String>>,
    /// What it told.
    pub told: VecDeque<Told>,
    /// How much it told in all.
    pub told_count: u64,
    /// What it captured, where its configuration wants that.
    pub captured: Vec<Capture>,
    /// Replies to commands.
    pub replies: BTreeMap<ReplyTo, Reply>,
    /// Outputs of all its lives.
    pub outputs: u64,
    /// Randomness of its surroundings.
    pub random: Seeded,
    /// How far its wall clock is ahead (or behind), in microseconds.
    pub wall_ahead: i64,
    born: Instant,
    mono_at_birth: u64,
}

impl Site {
    /// A site that has not been started.
    pub fn new(name: &str, index: usize, config: SiteConfig, disk: Disk, random: Seeded) -> Self {
        Self {
            name: name.to_owned(),
            host: host(index),
            node: None,
            life: 0,
            disk,
            store_work: VecDeque::new(),
            store_busy: false,
            store_answers_until: Instant::ZERO,
            listeners: BTreeMap::new(),
            pipes: BTreeMap::new(),
            wakeup: None,
            outputs_until_crash: None,
            restart_after: None,
            mta: LocalMta::new(),
            xmpp: XmppServer::of(&config.site, config.chat.as_ref(), random.fork("xmpp server")),
            config,
            hand_overs: BTreeMap::new(),
            told: VecDeque::new(),
            told_count: 0,
            captured: Vec::new(),
            replies: BTreeMap::new(),
            outputs: 0,
            random,
            wall_ahead: 0,
            born: Instant::ZERO,
            mono_at_birth: 0,
        }
    }

    /// A new life: the monotonic clock of a process starts anywhere.
    pub fn start(&mut self, at: Instant) {
        self.life += 1;
        self.born = at;
        self.mono_at_birth = self.random.below(1_000_000_000_000);
        let random = self.random.fork(&format!("life {}", self.life));
        self.node = Some(Node::new(self.config.clone(), Box::new(random)));
    }

    /// Ends this life without a word: only the disk stays, and of it what was synced.
    pub fn crash(&mut self) {
        self.node = None;
        self.life += 1;
        let unfinished = std::mem::take(&mut self.store_work);
        self.store_busy = false;
        self.listeners.clear();
        self.pipes.clear();
        self.wakeup = None;
        self.outputs_until_crash = None;
        self.disk.crash(unfinished, &mut self.random);
    }

    /// The site's clocks at a point of the world's.
    pub fn now(&self, at: Instant) -> Now {
        let mono = Instant::from_micros(self.mono_at_birth) + at.since(self.born);
        let wall = (WORLD_BEGINS + at.since(Instant::ZERO)).unix_micros().saturating_add_signed(self.wall_ahead);
        Now { mono, wall: WallTime::from_unix_micros(wall) }
    }

    /// A point of the site's monotonic clock on the world's.
    pub fn world_time(&self, mono: Instant) -> Instant {
        self.born + mono.since(Instant::from_micros(self.mono_at_birth))
    }

    /// A seeded time between two.
    pub fn span(&mut self, from_micros: u64, to_micros: u64) -> Duration {
        Duration::from_micros(from_micros + self.random.below(to_micros.saturating_sub(from_micros).max(1)))
    }

    /// Notes what the node told.
    pub fn note(&mut self, at: Instant, event: Event) {
        if self.told.len() >= LOG_LINES_KEPT_MAX {
            self.told.pop_front();
        }
        self.told.push_back(Told { at, event });
        self.told_count += 1;
    }

    /// The listener at an address.
    pub fn listener(&self) -> Option<(ListenerId, SocketAddr)> {
        self.listeners.iter().next().map(|(&listener, &address)| (listener, address))
    }
}

//! The world: nodes, radios, disks, local servers and clients in virtual time, driven from one seed.
//!
//! A [`World`] executes every output of every node as the shell would, in one heap of happenings ordered by time and
//! sequence. Commits, computations, hand-overs and octets take seeded time; sites crash between any two outputs and
//! lose what was not synced. After each step the [`checkers`] look at everything and write down what is against the
//! invariants of the house.
//!
//! Promises: the same seed, sites, weather and calls give the same bytes ([`World::digest`]). Pure: no clock, socket,
//! file or thread. Limits: [`limits`]. Stories ([`story`]) and seeded worlds ([`seeds`]) are built on it.

pub mod account;
pub mod air;
pub mod chat;
pub mod chat_duties;
mod chat_seeds;
pub mod chat_sites;
pub mod checkers;
pub mod client;
mod compute;
mod content;
mod digest;
pub mod disk;
mod errands;
mod execute;
pub mod heap;
pub mod limits;
pub mod local_mta;
pub mod message_key;
pub mod net;
pub mod plan;
pub mod report;
pub mod seeds;
pub mod site;
pub mod sites;
pub mod story;
mod streams;
mod trouble;
pub mod xmpp_server;

use std::collections::BTreeMap;

use skywave_protocols::random::Seeded;
use skywave_protocols::time::{Duration, Instant};
use skywave_transports::modem::weather::Weather;

use crate::node::Input;
use crate::node::command::{Command, Reply};
use crate::node::config::SiteConfig;
use crate::node::seam::ReplyTo;
use crate::pump::pump;
use air::Air;
use chat::Securing;
use checkers::Checkers;
use digest::Digest;
use disk::{Disk, StoreWork};
pub use errands::{Errand, MailOrder};
use heap::{Addressee, FarEnd, Happening, Heap};
use limits::{STEPS_AT_ONE_INSTANT_MAX, STEPS_MAX, WORLD_TIME_MAX};
use net::Net;
use site::Site;
pub use trouble::Trouble;

/// A world. See the module's page.
pub struct World {
    /// The sites, in the order they were added.
    pub sites: Vec<Site>,
    /// The radio.
    pub air: Air,
    /// The IP network.
    pub net: Net,
    /// What the checkers know.
    pub checkers: Checkers,
    at: Instant,
    heap: Heap,
    random: Seeded,
    errands: errands::Errands,
    digest: Digest,
    steps: u64,
    steps_at_this_instant: u32,
    next_reply: u64,
    /// Connections to and from XMPP servers so far.
    xmpp_sessions: u64,
    /// Those of them that are being secured.
    securing: BTreeMap<u64, Securing>,
}

impl World {
    /// An empty world under this weather.
    pub fn new(seed: u64, weather: &Weather) -> Self {
        let random = Seeded::new(seed);
        Self {
            sites: Vec::new(),
            air: Air::new(weather, random.fork("air")),
            net: Net::new(random.fork("net")),
            checkers: Checkers::default(),
            at: Instant::ZERO,
            heap: Heap::default(),
            errands: errands::Errands::default(),
            digest: Digest::default(),
            steps: 0,
            steps_at_this_instant: 0,
            next_reply: 0,
            xmpp_sessions: 0,
            securing: BTreeMap::new(),
            random,
        }
    }

    /// Adds a site; it starts at once unless it is `absent` until [`Trouble::Start`].
    pub fn add(&mut self, name: &str, config: SiteConfig, absent: bool) -> usize {
        self.add_on(Disk::default(), name, config, absent)
    }

    /// The same, on this disk.
    pub fn add_on(&mut self, disk: Disk, name: &str, config: SiteConfig, absent: bool) -> usize {
        let index = self.sites.len();
        let random = self.random.fork(&format!("site {name}"));
        self.air.attach(index, &config);
        self.sites.push(Site::new(name, index, config, disk, random));
        if !absent {
            self.heap.push(self.at, Happening::SiteStarts(index));
        }
        index
    }

    /// The index of a site by its short or full name.
    pub fn site(&self, name: &str) -> Option<usize> {
        self.sites.iter().position(|site| site.name == name || &*site.config.site == name)
    }

    /// The time since the world began.
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// A fingerprint of everything that happened so far: inputs and outputs of all nodes, and all frames on air.
    pub const fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// From now on [`World::digest`] stands still: for who compares no runs and wants figures soon.
    pub const fn take_no_digest(&mut self) {
        self.digest.stop();
    }

    /// Steps so far.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// What is against the invariants; empty in a good world.
    pub fn violations(&self) -> &[String] {
        &self.checkers.violations
    }

    /// Gives a node a command; its reply is found under the number returned.
    pub fn command(&mut self, site: usize, command: Command) -> ReplyTo {
        self.next_reply += 1;
        let to = ReplyTo(self.next_reply);
        let addressee = self.addressee(site);
        self.heap.push(self.at, Happening::ToNode(addressee, Input::Command(to, command)));
        to
    }

    /// The reply to a command, driving the world at most so long.
    pub fn ask(&mut self, site: usize, command: Command, at_most: Duration) -> Option<Reply> {
        let to = self.command(site, command);
        self.run_until(self.at + at_most, |world| world.sites[site].replies.contains_key(&to));
        self.sites[site].replies.remove(&to)
    }

    /// Drives the world to a point in time, or until `enough` or a violation; says whether it was `enough`.
    pub fn run_until(&mut self, until: Instant, enough: impl Fn(&Self) -> bool) -> bool {
        loop {
            if enough(self) {
                return true;
            }
            if !self.violations().is_empty() {
                return false;
            }
            match self.next_at() {
                Some(next) if next <= until => self.step(next),
                _ => {
                    self.at = self.at.max(until);
                    return enough(self);
                }
            }
        }
    }

    /// Drives the world for so long.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.at + span, |_| false);
    }

    /// Drives the world until every mail has met its end, at most so long; says whether that came true.
    pub fn run_until_settled(&mut self, at_most: Duration) -> bool {
        let until = self.at + at_most;
        while self.at < until && self.violations().is_empty() {
            if self.is_settled() {
                return true;
            }
            self.run_for(Duration::from_secs(1));
        }
        self.is_settled()
    }

    /// Whether no mail and no stanza is under way: nothing to be submitted, nothing between a server and its gateway,
    /// nothing being written, nothing owed by any site. What a user has just said is on no disk yet.
    pub fn is_settled(&self) -> bool {
        let owes = |site: &Site| site.disk.owes() + site.disk.owes_stanzas();
        let writes = |site: &Site| site.store_work.iter().any(|work| matches!(work, StoreWork::Commit(..)));
        let rests = |site: &Site| site.node.is_some() && owes(site) == 0 && !writes(site);
        let moves = |happening: &Happening| match happening {
            Happening::ClientConnects(_) | Happening::ToFarEnd(FarEnd::Xmpp(_), _) => true,
            Happening::ToPipe(to, pipe, _) => {
                let pipe = self.sites.get(to.site).and_then(|site| site.pipes.get(pipe));
                pipe.is_some_and(|pipe| matches!(pipe.far, FarEnd::Xmpp(_)))
            }
            _other => false,
        };
        let said = !self.errands.is_busy() && !self.checkers.chat.are_under_way();
        said && self.sites.iter().all(rests) && !self.heap.any(moves)
    }

    /// Arranges trouble.
    pub fn trouble(&mut self, after: Duration, trouble: Trouble) {
        self.heap.push(self.at + after, Happening::Trouble(trouble));
    }

    fn addressee(&self, site: usize) -> Addressee {
        Addressee { site, life: self.sites[site].life }
    }

    /// Whether that life still lasts.
    fn is_alive(&self, addressee: Addressee) -> bool {
        self.sites.get(addressee.site).is_some_and(|site| site.life == addressee.life && site.node.is_some())
    }

    fn next_at(&self) -> Option<Instant> {
        let sites = self.sites.iter().filter_map(|site| site.wakeup);
        let servers = self.sites.iter().filter_map(|site| Some(site.xmpp.next_wakeup()?.at));
        let next = sites.chain(servers).chain(self.heap.next_at()).chain(self.air.next_at()).min()?;
        Some(next.max(self.at))
    }

    fn step(&mut self, next: Instant) {
        self.count_step(next);
        self.at = next;
        if self.heap.next_at().is_some_and(|at| at <= next) {
            if let Some(happening) = self.heap.pop() {
                self.happen(happening);
            }
        } else if self.air.next_at().is_some_and(|at| at <= next) {
            self.air.handle_wakeup(next);
        } else if let Some(site) = self.sites.iter().position(|site| site.wakeup.is_some_and(|at| at <= next)) {
            self.feed(site, Input::Woken);
        } else if let Some(site) = self.sites.iter_mut().find(|site| site.xmpp.is_due(next)) {
            site.xmpp.handle_wakeup(next);
        }
        self.drain_air();
        self.drain_xmpp();
        self.check();
    }

    fn count_step(&mut self, next: Instant) {
        self.steps += 1;
        self.steps_at_this_instant = if next > self.at { 0 } else { self.steps_at_this_instant + 1 };
        if self.steps_at_this_instant == STEPS_AT_ONE_INSTANT_MAX {
            let why: Vec<String> = self
                .sites
                .iter()
                .filter_map(|site| Some(format!("{}: {}", site.name, site.node.as_ref()?.next_wakeup()?.why)))
                .collect();
            self.checkers.violation(format!("the world turns on the spot at {next:?}: {}", why.join(", ")));
        }
        if self.steps == STEPS_MAX || next.since(Instant::ZERO) > WORLD_TIME_MAX {
            self.checkers.violation("the world does not end".to_owned());
        }
    }

    /// Hands an input to a node and does what it asks for.
    fn feed(&mut self, index: usize, input: Input) {
        let Some(site) = self.sites.get_mut(index) else { return };
        let Some(mut node) = site.node.take() else { return };
        self.digest.input(self.at, index, &input);
        let mut outputs = Vec::new();
        let wakeup = pump(&mut node, site.now(self.at), input, |output| outputs.push(output));
        site.wakeup = wakeup.map(|wakeup| site.world_time(wakeup.at));
        site.node = Some(node);
        for output in outputs {
            self.digest.output(self.at, index, &output);
            self.sites[index].outputs += 1;
            if let Some(left) = self.sites[index].outputs_until_crash {
                if left == 0 {
                    return self.crash(index);
                }
                self.sites[index].outputs_until_crash = Some(left - 1);
            }
            self.execute(index, output);
        }
    }

    fn check(&mut self) {
        let mut checkers = std::mem::take(&mut self.checkers);
        checkers.after_step(self);
        self.checkers = checkers;
    }
}

//! Connections between sites: one opens, another listens, octets take their time and keep their order.
//!
//! In an outage of the network what is written waits, as TCP would repeat it; connections that an outage outlasts break
//! at both ends, and what was on its way is lost. There is no TLS between sites in the world.

use std::net::{IpAddr, SocketAddr};

use skywave_protocols::time::{Duration, Instant};
use skywave_transports::io::{PipeId, PipeInput};

use super::World;
use super::execute::PIPE_DELAY;
use super::heap::{Addressee, FarEnd, Happening};
use crate::node::Input;
use crate::node::seam::{ACCEPTED_PIPE, ListenerId};

/// Accepted connections of other sites have this bit, those of clients have not.
const FROM_SITE: u64 = 1 << 62;
/// How long a connection is tried.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// How long a connection lives without an answer.
const PATIENCE: Duration = Duration::from_secs(120);

impl World {
    /// A site opens a connection to another.
    pub(super) fn call(&mut self, site: usize, pipe: PipeId, target: &str) {
        self.add_pipe(site, pipe, FarEnd::Nobody);
        let from = self.addressee(site);
        if self.net.silent_until > self.at + CONNECT_MAX {
            self.heap.push(self.at + CONNECT_MAX, Happening::PeerConnects(from, pipe, String::new()));
        } else {
            let at = self.net.silent_until.max(self.at) + self.net.stream_delay;
            self.heap.push(at, Happening::PeerConnects(from, pipe, target.to_owned()));
        }
    }

    /// A connection reaches whoever listens at the target; without one nobody answered in time.
    pub(super) fn peer_connects(&mut self, from: Addressee, pipe: PipeId, target: &str) {
        let waits =
            |world: &Self| world.sites[from.site].pipes.get(&pipe).is_some_and(|pipe| pipe.far == FarEnd::Nobody);
        if !self.is_alive(from) || !waits(self) {
            return;
        }
        let Some((site, listener)) = self.listener_at(target) else {
            self.sites[from.site].pipes.remove(&pipe);
            let why = if target.is_empty() { "no answer in time" } else { "connection refused" };
            return self.tell_node(from.site, PIPE_DELAY, Input::Pipe(pipe, PipeInput::Refused(why.to_owned())));
        };
        self.net.streams += 1;
        let accepted = PipeId(ACCEPTED_PIPE | FROM_SITE | self.net.streams);
        let to = self.addressee(site);
        self.add_pipe(site, accepted, FarEnd::Site(from, pipe));
        self.add_pipe(from.site, pipe, FarEnd::Site(to, accepted));
        // Whatever the other side writes first comes behind it.
        let at = self.arrives(FarEnd::Site(from, pipe));
        self.heap.push(at, Happening::ToNode(from, Input::Pipe(pipe, PipeInput::Opened)));
        let port = 50_000 + u16::try_from(self.net.streams % 10_000).unwrap_or_default();
        let peer = SocketAddr::new(self.sites[from.site].host, port);
        self.feed(site, Input::Accepted { listener, pipe: accepted, peer });
    }

    /// When what goes to a far end now arrives there.
    pub(super) fn arrives(&mut self, far: FarEnd) -> Instant {
        match far {
            FarEnd::Site(..) => {
                let at = self.net.silent_until.max(self.at) + self.net.stream_delay;
                let end = self.net.stream_ends.entry(far).or_insert(at);
                *end = at.max(*end);
                *end
            }
            FarEnd::Radio(_) | FarEnd::Client(_) | FarEnd::Xmpp(_) | FarEnd::Nobody => self.at + PIPE_DELAY,
        }
    }

    /// Nothing passes between sites for so long. What the connections do not outlive breaks at both ends.
    pub(super) fn network_outage(&mut self, span: Duration) {
        self.net.silent_until = self.net.silent_until.max(self.at + span);
        if span <= PATIENCE {
            return;
        }
        let joined = |far: FarEnd| matches!(far, FarEnd::Site(..));
        for site in 0..self.sites.len() {
            let addressee = self.addressee(site);
            let pipes: Vec<PipeId> =
                self.sites[site].pipes.iter().filter(|(_, pipe)| joined(pipe.far)).map(|(&id, _)| id).collect();
            for pipe in pipes {
                // What is written from now on reaches nobody.
                self.add_pipe(site, pipe, FarEnd::Nobody);
                let ends = Happening::PipeEnds(addressee, pipe, Some("connection timed out".to_owned()));
                self.heap.push(self.at + PATIENCE, ends);
            }
        }
    }

    /// A site's life ends: those who were connected to it are told.
    pub(super) fn reset_peers(&mut self, site: usize) {
        let gone = self.addressee(site);
        let at = self.net.silent_until.max(self.at) + self.net.stream_delay;
        for other in 0..self.sites.len() {
            let addressee = self.addressee(other);
            let joined = |far: FarEnd| matches!(far, FarEnd::Site(to, _) if to == gone);
            let pipes: Vec<PipeId> =
                self.sites[other].pipes.iter().filter(|(_, pipe)| joined(pipe.far)).map(|(&id, _)| id).collect();
            for pipe in pipes {
                let ends = Happening::PipeEnds(addressee, pipe, Some("connection reset".to_owned()));
                self.heap.push(at, ends);
            }
        }
    }

    /// Who listens at `host:port`; the host is an address or the name of a site.
    pub(super) fn listener_at(&self, target: &str) -> Option<(usize, ListenerId)> {
        let (host, port) = target.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let of_name = || self.sites.iter().find(|site| &*site.config.site == host).map(|site| site.host);
        let host: IpAddr = host.parse().ok().or_else(of_name)?;
        self.sites.iter().enumerate().filter(|(_, site)| site.host == host && site.node.is_some()).find_map(
            |(index, site)| {
                let hears = |at: &SocketAddr| at.port() == port && (at.ip() == host || at.ip().is_unspecified());
                let listener = site.listeners.iter().find(|(_, at)| hears(at))?;
                Some((index, *listener.0))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use skywave_transports::modem::weather::Weather;

    use super::*;
    use crate::telemetry::Event;
    use crate::world::Trouble;
    use crate::world::plan::{LinkKind, Plan};

    fn world(seed: u64) -> World {
        let mut plan = Plan::new(&["hq", "field"]);
        plan.links = vec![LinkKind::Sat, LinkKind::Chat];
        let mut weather = Weather::default();
        plan.fit(&mut weather);
        let mut world = World::new(seed, &weather);
        for (index, name) in plan.names.iter().enumerate() {
            world.add(name, plan.site(index), false);
        }
        world
    }

    /// What each site told of a link, `+` for up and `-` for down.
    fn told(world: &World, name: &str) -> Vec<String> {
        let sign = |event: &Event| match event {
            Event::LinkUp { link } if link == name => Some('+'),
            Event::LinkDown { link, .. } if link == name => Some('-'),
            _ => None,
        };
        world.sites.iter().map(|site| site.told.iter().filter_map(|told| sign(&told.event)).collect()).collect()
    }

    #[test]
    fn links_for_chat_come_up_and_come_back() {
        for seed in 0..3 {
            let mut world = world(seed);
            world.run_for(Duration::from_secs(60));
            assert_eq!(told(&world, "sat"), ["+", "+"], "both opened at once, seed {seed}");
            assert_eq!(told(&world, "chat"), ["+", "+"], "seed {seed}");
            world.run_for(Duration::from_secs(10_000));
            assert_eq!((told(&world, "sat"), told(&world, "chat")), (vec!["+".into(); 2], vec!["+".into(); 2]));
            world.trouble(Duration::ZERO, Trouble::NetworkOutage(Duration::from_secs(60)));
            world.run_for(Duration::from_secs(600));
            assert_eq!(told(&world, "sat"), ["+", "+"], "a short outage is bridged");
            world.trouble(Duration::ZERO, Trouble::NetworkOutage(Duration::from_secs(900)));
            world.run_for(Duration::from_secs(2_400));
            assert!(
                told(&world, "sat").iter().all(|told| told.ends_with('+') && told.contains('-')),
                "{:?}",
                told(&world, "sat")
            );
            assert_eq!(told(&world, "chat"), ["+", "+"], "the radio has nothing to do with it");
            world.trouble(Duration::ZERO, Trouble::Crash(1, Duration::from_secs(300)));
            world.run_for(Duration::from_secs(2_400));
            assert!(told(&world, "sat").iter().all(|told| told.ends_with('+')), "{:?}", told(&world, "sat"));
            assert_eq!(world.violations(), Vec::<String>::new());
        }
    }

    #[test]
    fn in_silence_no_connection_is_opened() {
        let mut world = world(1);
        world.trouble(Duration::ZERO, Trouble::NetworkOutage(Duration::from_secs(20)));
        world.trouble(Duration::from_secs(1), Trouble::Emcon(0, true));
        world.trouble(Duration::from_secs(1), Trouble::Emcon(1, true));
        world.run_for(Duration::from_secs(3_600));
        assert_eq!((world.net.streams, told(&world, "sat")), (0, vec![String::new(), String::new()]));
        world.trouble(Duration::ZERO, Trouble::Emcon(1, false));
        world.run_for(Duration::from_secs(60));
        assert_eq!((world.net.streams, told(&world, "sat")), (1, vec!["+".to_owned(), "+".to_owned()]));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let digest = |seed| {
            let mut world = world(seed);
            world.trouble(Duration::from_secs(100), Trouble::NetworkOutage(Duration::from_secs(300)));
            world.run_for(Duration::from_secs(1_000));
            world.digest()
        };
        assert_eq!(digest(7), digest(7));
        assert_ne!(digest(7), digest(8));
    }
}

//! A simulated IP network: datagrams, unicast and multicast, with latency and seeded loss, and how long connections
//! between sites take (`streams` has the connections themselves).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::{Duration, Instant};
use skywave_transports::io::SocketId;

use super::heap::FarEnd;

/// From one site to another over a connection, unless the world says otherwise: by way of a satellite.
const STREAM_DELAY: Duration = Duration::from_millis(300);

/// A socket somewhere on the network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// The site's index in its world.
    pub site: usize,
    /// Its socket.
    pub socket: SocketId,
}

#[derive(Debug, Default)]
struct Bound {
    at: Option<SocketAddr>,
    groups: BTreeSet<IpAddr>,
}

/// The network. See the module's page.
#[derive(Debug)]
pub struct Net {
    sockets: BTreeMap<Endpoint, Bound>,
    random: Seeded,
    /// How many datagrams in a million are lost, per receiver.
    pub loss_per_million: u32,
    /// From one site to another over a connection.
    pub stream_delay: Duration,
    /// Connections between sites carry nothing before this time.
    pub(super) silent_until: Instant,
    /// When the last octets to the far end of a connection arrive: the next ones do not pass them.
    pub(super) stream_ends: BTreeMap<FarEnd, Instant>,
    /// Connections between sites since the world began.
    pub(super) streams: u64,
    /// Datagrams delivered.
    pub delivered: u64,
    /// Datagrams lost.
    pub lost: u64,
}

impl Net {
    /// A network without sockets.
    pub const fn new(random: Seeded) -> Self {
        Self {
            sockets: BTreeMap::new(),
            random,
            loss_per_million: 0,
            stream_delay: STREAM_DELAY,
            silent_until: Instant::ZERO,
            stream_ends: BTreeMap::new(),
            streams: 0,
            delivered: 0,
            lost: 0,
        }
    }

    /// Binds a socket; `host` stands in for an unspecified address, and so it is told. A port of 0 gets one.
    ///
    /// # Errors
    /// The address is taken, in words.
    pub fn bind(&mut self, endpoint: Endpoint, address: SocketAddr, host: IpAddr) -> Result<SocketAddr, String> {
        let free = 40_000 + self.sockets.len() as u16;
        let port = if address.port() == 0 { free } else { address.port() };
        let at = SocketAddr::new(if address.ip().is_unspecified() { host } else { address.ip() }, port);
        let taken =
            |(other, bound): (&Endpoint, &Bound)| *other != endpoint && bound.at == Some(at) && !at.ip().is_multicast();
        if self.sockets.iter().any(taken) {
            return Err(format!("{at} is taken"));
        }
        self.sockets.entry(endpoint).or_default().at = Some(at);
        Ok(at)
    }

    /// Joins or leaves a group.
    pub fn member(&mut self, endpoint: Endpoint, group: IpAddr, joined: bool) {
        let groups = &mut self.sockets.entry(endpoint).or_default().groups;
        if joined {
            groups.insert(group);
        } else {
            groups.remove(&group);
        }
    }

    /// Forgets all sockets of a site that has crashed.
    pub fn forget(&mut self, site: usize) {
        self.sockets.retain(|endpoint, _| endpoint.site != site);
        self.stream_ends.retain(|far, _| !matches!(far, FarEnd::Site(to, _) if to.site == site));
    }

    /// The sockets bound at an address.
    pub fn bound_at(&self, address: SocketAddr) -> Vec<Endpoint> {
        self.sockets.iter().filter(|(_, bound)| bound.at == Some(address)).map(|(endpoint, _)| *endpoint).collect()
    }

    /// Who gets a datagram, and from which address it comes. The sender's own site does not hear its multicasts.
    pub fn send(&mut self, from: Endpoint, destination: SocketAddr) -> (Vec<Endpoint>, Option<SocketAddr>) {
        let source = self.sockets.get(&from).and_then(|bound| bound.at);
        let group = destination.ip();
        let hears = |(endpoint, bound): (&Endpoint, &Bound)| {
            let reached = if group.is_multicast() {
                endpoint.site != from.site
                    && bound.groups.contains(&group)
                    && bound.at.is_some_and(|at| at.port() == destination.port())
            } else {
                bound.at == Some(destination)
            };
            reached.then_some(*endpoint)
        };
        let reached: Vec<Endpoint> = self.sockets.iter().filter_map(hears).collect();
        let loss = self.loss_per_million;
        let (lost, heard): (Vec<_>, Vec<_>) = reached.into_iter().partition(|_| self.random.chance(loss));
        self.delivered += heard.len() as u64;
        self.lost += lost.len() as u64;
        (heard, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_reach_members_and_addresses() {
        let mut net = Net::new(Seeded::new(1));
        let endpoint = |site, socket| Endpoint { site, socket: SocketId(socket) };
        let hosts: Vec<IpAddr> = (1..4).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        for (site, &host) in hosts.iter().enumerate() {
            let unspecified = SocketAddr::from(([0, 0, 0, 0], 2754));
            assert!(net.bind(endpoint(site, 1), unspecified, host).is_ok());
            net.member(endpoint(site, 1), IpAddr::from([239, 1, 1, 1]), site != 2);
        }
        let group = SocketAddr::from(([239, 1, 1, 1], 2754));
        assert_eq!(net.send(endpoint(0, 1), group).0, [endpoint(1, 1)]);
        let one = SocketAddr::from(([10, 0, 0, 3], 2754));
        assert_eq!(
            net.send(endpoint(0, 1), one),
            (vec![endpoint(2, 1)], Some(SocketAddr::from(([10, 0, 0, 1], 2754))))
        );
        net.forget(2);
        assert_eq!(net.send(endpoint(0, 1), one).0, []);
        assert!(net.bind(endpoint(1, 2), SocketAddr::from(([10, 0, 0, 1], 2754)), hosts[1]).is_err());
    }
}

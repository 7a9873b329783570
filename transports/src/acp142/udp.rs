//! P_MUL over UDP: one datagram is one PDU; the line is kept no fuller than the configured rate.
//!
//! Data goes to the group's address (or to the one site that is left), acknowledgements to their sender's. Every
//! kind of PDU is taken at every port, for peers differ. The DSCP follows the precedence. With dynamic groups all sites
//! are in the global group too, where groups are asked for and announced; data of a message with a group of its own goes
//! there, and who is named in an announcement joins it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use skywave_protocols::acp142::dynamic_group::Channel;
use skywave_protocols::acp142::event::{OutPdu, To, Token};
use skywave_protocols::acp142::grouping::Membership;
use skywave_protocols::acp142::pdu::NodeId;
use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::time::{Duration, Instant, Now, Wakeup};

use super::core::Core;
use super::limits::{BIND_RETRY_WAIT, PACING_SLACK, UDP_OVERHEAD_OCTETS};
use super::link::Bearer;
use crate::io::{SocketId, SocketInput, SocketOutput};
use crate::transport::{Capture, CaptureMedium, TransportInput, TransportOutput};

/// The socket at DPORT: messages.
const DATA: SocketId = SocketId(0);
/// The socket at APORT: acknowledgements.
const ACKS: SocketId = SocketId(1);
/// The socket at TPORT: what transmitters say to each other about groups.
const TRANSMITTERS: SocketId = SocketId(2);
/// The socket at RPORT: announcements of groups.
const RECEIVERS: SocketId = SocketId(3);
/// The global group where peers look for it; not registered.
pub const GLOBAL_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

/// Groups that routing protocols and the like use (RFC 5771): nobody joins them because a PDU says so.
const LOCAL_NETWORK_CONTROL: [u8; 3] = [224, 0, 0];

/// The port numbers; none is registered for P_MUL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// TPORT: Request, Reject and Release; only for dynamic groups.
    pub transmitters: u16,
    /// RPORT: Announce; only for dynamic groups.
    pub receivers: u16,
    /// DPORT: Address, Data and Discard.
    pub data: u16,
    /// APORT: acknowledgements.
    pub acks: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { transmitters: 2751, receivers: 2752, data: 2753, acks: 2754 }
    }
}

/// What is configured of the UDP form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UdpConfig {
    /// Our own address to bind; unspecified takes all.
    pub bind: IpAddr,
    /// The ports, the same at all sites.
    pub ports: Ports,
    /// Addresses of the sites.
    pub addresses: BTreeMap<NodeId, IpAddr>,
    /// The multicast address of the group.
    pub group: Option<IpAddr>,
    /// The global group, where dynamic groups are used; what else is configured of them is the engine's.
    pub global_group: Option<Ipv4Addr>,
    /// The code point of packets of each precedence, 0 to 63, from Deferred to Override.
    pub dscps: [u8; 6],
}

impl UdpConfig {
    /// All interfaces, the usual ports, no addresses.
    pub fn new() -> Self {
        let bind = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            bind,
            ports: Ports::default(),
            addresses: BTreeMap::new(),
            group: None,
            global_group: None,
            dscps: Precedence::DSCPS,
        }
    }
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// The UDP form of the bearer.
#[derive(Debug)]
pub struct Udp {
    config: UdpConfig,
    nodes: BTreeMap<IpAddr, NodeId>,
    bound: BTreeMap<SocketId, bool>,
    bind_again: Option<Instant>,
    /// When the line is free again.
    free_at: Instant,
    /// PDUs on the line, and when each has left.
    on_line: VecDeque<(Instant, Token)>,
    /// Groups of others' messages that we are in.
    joined: BTreeSet<Ipv4Addr>,
}

impl Udp {
    /// A bearer that binds its sockets when the link starts.
    pub fn new(config: UdpConfig) -> Self {
        let nodes = config.addresses.iter().map(|(&node, &address)| (address, node)).collect();
        let (bound, on_line, joined) = (BTreeMap::new(), VecDeque::new(), BTreeSet::new());
        Self { config, nodes, bound, bind_again: None, free_at: Instant::ZERO, on_line, joined }
    }

    fn sockets(&self) -> &'static [SocketId] {
        let all = &[DATA, ACKS, TRANSMITTERS, RECEIVERS];
        if self.config.global_group.is_some() { all } else { &all[..2] }
    }

    const fn port(&self, socket: SocketId) -> u16 {
        let Ports { transmitters, receivers, data, acks } = self.config.ports;
        match socket {
            ACKS => acks,
            TRANSMITTERS => transmitters,
            RECEIVERS => receivers,
            _data => data,
        }
    }

    /// The groups that are heard at a socket.
    fn groups(&self, socket: SocketId) -> Vec<IpAddr> {
        match socket {
            DATA => {
                let fixed = self.config.group.filter(IpAddr::is_multicast);
                fixed.into_iter().chain(self.joined.iter().copied().map(IpAddr::V4)).collect()
            }
            TRANSMITTERS | RECEIVERS => self.config.global_group.map(IpAddr::V4).into_iter().collect(),
            _acks => Vec::new(),
        }
    }

    fn bind(&mut self, core: &mut Core) {
        for &socket in self.sockets() {
            if !self.bound.get(&socket).copied().unwrap_or(false) {
                self.bound.insert(socket, false);
                let address = SocketAddr::new(self.config.bind, self.port(socket));
                core.output(TransportOutput::Socket(socket, SocketOutput::Bind(address)));
            }
        }
    }

    fn is_up(&self) -> bool {
        self.bound.len() == self.sockets().len() && self.bound.values().all(|&bound| bound)
    }

    fn address(&self, to: &To) -> Option<IpAddr> {
        let address = |node: &NodeId| self.config.addresses.get(node).copied();
        let own = to.group.filter(|group| *group != 0 && self.config.global_group.is_some());
        match to.nodes.as_slice() {
            [node] => address(node).or(self.config.group),
            _ => own.map(|group| IpAddr::V4(group.into())).or(self.config.group),
        }
    }

    /// The line is taken for so many octets of a PDU; when it is free again.
    fn take_line(&mut self, now: Now, core: &Core, octets: usize) -> Instant {
        let bits = (octets + UDP_OVERHEAD_OCTETS) as u64 * 8;
        let airtime = Duration::from_micros(bits * 1_000_000 / u64::from(core.config.bits_per_second.max(1)));
        self.free_at = self.free_at.max(now.mono) + airtime;
        self.free_at
    }

    /// A PDU of the procedure of dynamic groups.
    fn send_of_groups(&mut self, now: Now, core: &mut Core, channel: Channel, octets: Bytes) {
        let global = self.config.global_group.map(IpAddr::V4);
        let (socket, address) = match channel {
            Channel::Transmitters => (TRANSMITTERS, global),
            Channel::Receivers => (RECEIVERS, global),
            Channel::One(node) => (TRANSMITTERS, self.config.addresses.get(&node).copied()),
        };
        // Whoever is no site of ours learns from our data that the group is taken.
        let Some(address) = address else { return };
        self.take_line(now, core, octets.len());
        let dscp = self.config.dscps[Precedence::Routine as usize];
        self.write(core, socket, address, octets, dscp);
    }

    fn write(&self, core: &mut Core, socket: SocketId, address: IpAddr, octets: Bytes, dscp: u8) {
        let medium = CaptureMedium::Udp(address);
        core.output(TransportOutput::Capture(Capture { medium, sent: true, octets: octets.clone() }));
        let destination = SocketAddr::new(address, self.port(socket));
        core.output(TransportOutput::Socket(socket, SocketOutput::Send { destination, octets, dscp }));
    }

    /// Joins and leaves what the procedure says.
    fn follow_memberships(&mut self, core: &mut Core) {
        while let Some(membership) = core.engine.poll_membership() {
            let output = match membership {
                Membership::Join(group) => {
                    let group = Ipv4Addr::from(group);
                    if !group.is_multicast() || group.octets()[..3] == LOCAL_NETWORK_CONTROL {
                        core.notice(false, "group_refused", format!("{group} is not for anybody's messages"));
                        continue;
                    }
                    self.joined.insert(group).then_some(SocketOutput::Join(IpAddr::V4(group)))
                }
                Membership::Leave(group) => {
                    let group = Ipv4Addr::from(group);
                    self.joined.remove(&group).then_some(SocketOutput::Leave(IpAddr::V4(group)))
                }
            };
            // All are joined when the socket is bound.
            let bound = self.bound.get(&DATA).is_some_and(|&bound| bound);
            if let Some(output) = output.filter(|_| bound) {
                core.output(TransportOutput::Socket(DATA, output));
            }
        }
    }

    fn send(&mut self, now: Now, core: &mut Core, out: OutPdu) {
        let socket = if out.to.group.is_none() { ACKS } else { DATA };
        let Some(address) = self.address(&out.to) else {
            core.notice(true, "address_missing", format!("no address for {:?}", out.to.nodes));
            return core.engine.pdu_left(now, out.token);
        };
        let left_at = self.take_line(now, core, out.octets.len());
        self.on_line.push_back((left_at, out.token));
        let dscp = self.config.dscps[Precedence::from_p_mul(out.priority) as usize];
        self.write(core, socket, address, out.octets, dscp);
    }
}

impl Bearer for Udp {
    fn start(&mut self, _now: Now, core: &mut Core) {
        self.bind(core);
    }

    fn handle(&mut self, now: Now, core: &mut Core, input: TransportInput) {
        let TransportInput::Socket(socket, input) = input else { return };
        match input {
            SocketInput::Bound(_) => {
                self.bound.insert(socket, true);
                for group in self.groups(socket) {
                    core.output(TransportOutput::Socket(socket, SocketOutput::Join(group)));
                }
                if self.is_up() {
                    core.set_up(Ok(()));
                }
            }
            SocketInput::Failed(why) => {
                self.bound.insert(socket, false);
                self.bind_again = Some(now.mono + BIND_RETRY_WAIT);
                core.notice(false, "socket_failed", format!("port {}: {why}", self.port(socket)));
                core.set_up(Err(why));
            }
            SocketInput::Datagram { source, octets } => {
                let from = self.nodes.get(&source.ip()).copied();
                let medium = CaptureMedium::Udp(source.ip());
                core.output(TransportOutput::Capture(Capture { medium, sent: false, octets: octets.clone() }));
                core.engine.handle_pdu(now, from, &octets);
            }
        }
        core.drain();
    }

    fn pump(&mut self, now: Now, core: &mut Core) {
        if self.bind_again.take_if(|at| *at <= now.mono).is_some() {
            self.bind(core);
        }
        loop {
            while let Some((_, token)) = self.on_line.pop_front_if(|(at, _)| *at <= now.mono) {
                core.engine.pdu_left(now, token);
            }
            core.drain();
            self.follow_memberships(core);
            if !self.is_up() || !core.may_send() || self.free_at > now.mono + PACING_SLACK {
                return;
            }
            if let Some((channel, octets)) = core.engine.poll_group_pdu() {
                self.send_of_groups(now, core, channel, octets);
                continue;
            }
            let Some(out) = core.engine.poll_pdu(now) else { return };
            self.send(now, core, out);
        }
    }

    fn next_wakeup(&self, core: &Core) -> Option<Wakeup> {
        let line = self.on_line.front().map(|(at, _)| Wakeup { at: *at, why: "line free" });
        let bind = self.bind_again.map(|at| Wakeup { at, why: "bind again" });
        let waiting =
            self.is_up() && core.may_send() && (core.engine.next_priority().is_some() || core.engine.has_group_pdus());
        let send = waiting.then_some(Wakeup { at: self.free_at, why: "line free" });
        [line, bind, send].into_iter().fold(None, Wakeup::earlier)
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "kind": "udp", "bound": self.is_up(), "pdus_on_line": self.on_line.len() })
    }
}

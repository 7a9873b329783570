//! P_MUL over UDP: one datagram is one PDU; the line is kept no fuller than the configured rate.
//!
//! Data goes to the group's address (or to the one site that is left), acknowledgements to their sender's. Every
//! kind of PDU is taken at every port, for peers differ. The DSCP follows the precedence.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use skywave_protocols::acp142::event::{OutPdu, To, Token};
use skywave_protocols::acp142::pdu::NodeId;
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
}

impl UdpConfig {
    /// All interfaces, the usual ports, no addresses.
    pub fn new() -> Self {
        let bind = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self { bind, ports: Ports::default(), addresses: BTreeMap::new(), group: None }
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
}

impl Udp {
    /// A bearer that binds its sockets when the link starts.
    pub fn new(config: UdpConfig) -> Self {
        let nodes = config.addresses.iter().map(|(&node, &address)| (address, node)).collect();
        let (bound, on_line) = (BTreeMap::new(), VecDeque::new());
        Self { config, nodes, bound, bind_again: None, free_at: Instant::ZERO, on_line }
    }

    fn port(&self, socket: SocketId) -> u16 {
        if socket == ACKS { self.config.ports.acks } else { self.config.ports.data }
    }

    fn bind(&mut self, core: &mut Core) {
        for socket in [DATA, ACKS] {
            if !self.bound.get(&socket).copied().unwrap_or(false) {
                self.bound.insert(socket, false);
                let address = SocketAddr::new(self.config.bind, self.port(socket));
                core.output(TransportOutput::Socket(socket, SocketOutput::Bind(address)));
            }
        }
    }

    fn is_up(&self) -> bool {
        self.bound.len() == 2 && self.bound.values().all(|&bound| bound)
    }

    fn address(&self, to: &To) -> Option<IpAddr> {
        let address = |node: &NodeId| self.config.addresses.get(node).copied();
        match to.nodes.as_slice() {
            [node] => address(node).or(self.config.group),
            _ => self.config.group,
        }
    }

    fn send(&mut self, now: Now, core: &mut Core, out: OutPdu) {
        let socket = if out.to.group.is_none() { ACKS } else { DATA };
        let Some(address) = self.address(&out.to) else {
            core.notice(true, "address_missing", format!("no address for {:?}", out.to.nodes));
            return core.engine.pdu_left(now, out.token);
        };
        let bits = (out.octets.len() + UDP_OVERHEAD_OCTETS) as u64 * 8;
        let airtime = Duration::from_micros(bits * 1_000_000 / u64::from(core.config.bits_per_second.max(1)));
        self.free_at = self.free_at.max(now.mono) + airtime;
        self.on_line.push_back((self.free_at, out.token));
        let medium = CaptureMedium::Udp(address);
        core.output(TransportOutput::Capture(Capture { medium, sent: true, octets: out.octets.clone() }));
        let destination = SocketAddr::new(address, self.port(socket));
        let dscp = Precedence::from_p_mul(out.priority).dscp();
        core.output(TransportOutput::Socket(socket, SocketOutput::Send { destination, octets: out.octets, dscp }));
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
                if socket == DATA
                    && let Some(group) = self.config.group.filter(IpAddr::is_multicast)
                {
                    core.output(TransportOutput::Socket(DATA, SocketOutput::Join(group)));
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
            if !self.is_up() || !core.may_send() || self.free_at > now.mono + PACING_SLACK {
                return;
            }
            let Some(out) = core.engine.poll_pdu(now) else { return };
            self.send(now, core, out);
        }
    }

    fn next_wakeup(&self, core: &Core) -> Option<Wakeup> {
        let line = self.on_line.front().map(|(at, _)| Wakeup { at: *at, why: "line free" });
        let bind = self.bind_again.map(|at| Wakeup { at, why: "bind again" });
        let waiting = self.is_up() && core.may_send() && core.engine.next_priority().is_some();
        let send = waiting.then_some(Wakeup { at: self.free_at, why: "line free" });
        [line, bind, send].into_iter().fold(None, Wakeup::earlier)
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "kind": "udp", "bound": self.is_up(), "pdus_on_line": self.on_line.len() })
    }
}

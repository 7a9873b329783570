//! The links of a site: which transport carries each, and whose pipes, sockets and records are whose.
//!
//! Transports number their pipes, sockets and batches for themselves; here these numbers become the node's own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use skywave_protocols::time::{Now, Wakeup};
use skywave_transports::io::{PipeId, PipeOutput, Row, SocketId, SocketOutput};
use skywave_transports::radio::{Radio, RadioOutput};
use skywave_transports::transport::{Emission, Transport, TransportEvent, TransportInput, TransportOutput};

use super::config::{Carriage, LinkConfig};
use super::seam::{LINK_LISTENERS, ListenerId};
use crate::queue::record::Lane;

/// What a ping carries: no mail, and no unit that could be taken for one.
pub const PING_UNIT: &[u8] = b"skywave ping";

/// What carries one or more links.
pub enum Carrier {
    /// A radio and the indexes of its links, by their number at the radio.
    Radio(Box<Radio>, Vec<usize>),
    /// A transport of its own and its link's index.
    Direct(Box<dyn Transport>, usize),
}

/// One link.
pub struct Link {
    /// Its name.
    pub name: Lane,
    /// What is carried.
    pub carriage: Carriage,
    /// Cap of what a unit may inflate to.
    pub inflated_octets_max: usize,
    carrier: usize,
    /// Number at the radio.
    at_radio: usize,
    /// Whether the medium can be used.
    pub up: bool,
    /// Why not, in words.
    pub why: String,
    /// Units being made for it.
    pub wrapping: usize,
    /// Units handed to it since the start.
    pub units_sent: u64,
    /// Units that arrived by it since the start.
    pub units_received: u64,
    /// Whether we are in EMCON on it.
    pub emission: Emission,
    /// Whether its records have been given back to it.
    pub restored: bool,
}

/// What a link asks for, with the node's numbers.
pub enum LinkOutput {
    /// Of the link with this index.
    Event(usize, TransportEvent),
    /// Of a pipe.
    Pipe(PipeId, PipeOutput),
    /// Of a socket.
    Socket(SocketId, SocketOutput),
    /// Store records of the link with this index; the transport's number.
    Store(usize, u64, Vec<Change>),
    /// For the capture.
    Capture(skywave_transports::transport::Capture),
}

/// A changed record of a transport: key and new value.
pub type Change = (Vec<u8>, Option<skywave_protocols::bytes::Bytes>);

/// All links.
#[derive(Default)]
pub struct Links {
    carriers: Vec<Carrier>,
    links: Vec<Link>,
    /// Links that the operator has taken out of use.
    pub down: BTreeSet<Lane>,
    pipes: Numbers<PipeId>,
    sockets: Numbers<SocketId>,
    /// Where peers connect to links, and the index of the carrier.
    listeners: BTreeMap<ListenerId, (SocketAddr, usize)>,
}

/// Two-way map between a transport's numbers and the node's.
struct Numbers<K> {
    next: u64,
    ours: BTreeMap<(usize, K), K>,
    theirs: BTreeMap<K, (usize, K)>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self { next: 0, ours: BTreeMap::new(), theirs: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Numbers<K> {
    fn ours(&mut self, carrier: usize, theirs: K, make: impl Fn(u64) -> K) -> K {
        if let Some(&ours) = self.ours.get(&(carrier, theirs)) {
            return ours;
        }
        self.next += 1;
        let ours = make(self.next);
        self.ours.insert((carrier, theirs), ours);
        self.theirs.insert(ours, (carrier, theirs));
        ours
    }

    /// A number that both sides use.
    fn share(&mut self, carrier: usize, number: K) {
        self.ours.insert((carrier, number), number);
        self.theirs.insert(number, (carrier, number));
    }

    fn theirs(&self, ours: K) -> Option<(usize, K)> {
        self.theirs.get(&ours).copied()
    }

    fn forget(&mut self, ours: K) {
        if let Some(theirs) = self.theirs.remove(&ours) {
            self.ours.remove(&theirs);
        }
    }
}

impl Links {
    /// Adds a radio; its links follow with [`Links::add_to_radio`].
    pub fn add_radio(&mut self, radio: Radio) -> usize {
        self.carriers.push(Carrier::Radio(Box::new(radio), Vec::new()));
        self.carriers.len() - 1
    }

    /// Adds a link to a radio.
    pub fn add_to_radio(
        &mut self,
        carrier: usize,
        config: &LinkConfig,
        link: Box<dyn skywave_transports::radio::AirLink>,
    ) {
        let index = self.links.len();
        let Some(Carrier::Radio(radio, indexes)) = self.carriers.get_mut(carrier) else { return };
        let at_radio = radio.add_link(config.name.to_string(), link);
        indexes.push(index);
        self.links.push(Link::new(config, carrier, at_radio));
    }

    /// Adds a link with a transport of its own.
    pub fn add_direct(&mut self, config: &LinkConfig, transport: Box<dyn Transport>) {
        self.carriers.push(Carrier::Direct(transport, self.links.len()));
        self.links.push(Link::new(config, self.carriers.len() - 1, 0));
    }

    /// Lets peers connect to the link that was added last.
    pub fn listen(&mut self, at: SocketAddr) {
        let Some(carrier) = self.carriers.len().checked_sub(1) else { return };
        let number = LINK_LISTENERS + u32::try_from(self.listeners.len()).unwrap_or_default();
        self.listeners.insert(ListenerId(number), (at, carrier));
    }

    /// Where links listen.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, SocketAddr)> {
        self.listeners.iter().map(|(&listener, &(at, _))| (listener, at))
    }

    /// The name of the link that listens there.
    pub fn listens(&self, listener: ListenerId) -> Option<Lane> {
        let (_, carrier) = self.listeners.get(&listener)?;
        self.links.iter().find(|link| link.carrier == *carrier).map(|link| link.name.clone())
    }

    /// Hands a link the pipe of a peer who connected. False when the listener is nobody's here.
    pub fn accepted(&mut self, now: Now, listener: ListenerId, pipe: PipeId, peer: SocketAddr) -> bool {
        let Some(&(_, carrier)) = self.listeners.get(&listener) else { return false };
        self.pipes.share(carrier, pipe);
        self.handle_carrier(now, carrier, TransportInput::Accepted(pipe, peer));
        true
    }

    /// Number of links.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// All links.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// The index of a link.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.links.iter().position(|link| &*link.name == name)
    }

    /// A link.
    pub fn link(&self, index: usize) -> Option<&Link> {
        self.links.get(index)
    }

    /// A link, to change.
    pub fn link_mut(&mut self, index: usize) -> Option<&mut Link> {
        self.links.get_mut(index)
    }

    /// Calls the transport of a link, then lets its radio hand down what it can.
    pub fn with<R>(&mut self, now: Now, index: usize, call: impl FnOnce(&mut dyn Transport) -> R) -> Option<R> {
        let link = self.links.get(index)?;
        match self.carriers.get_mut(link.carrier)? {
            Carrier::Radio(radio, _) => {
                let answer = radio.link_mut(link.at_radio).map(|transport| call(transport));
                radio.pump(now);
                answer
            }
            Carrier::Direct(transport, _) => Some(call(transport.as_mut())),
        }
    }

    /// The transport of a link, to ask it something.
    pub fn transport(&self, index: usize) -> Option<&dyn Transport> {
        let link = self.links.get(index)?;
        match self.carriers.get(link.carrier)? {
            Carrier::Radio(radio, _) => radio.link(link.at_radio).map(|transport| transport as &dyn Transport),
            Carrier::Direct(transport, _) => Some(transport.as_ref()),
        }
    }

    /// The state of whatever carries a link, for the console.
    pub fn describe_carrier(&self, index: usize) -> serde_json::Value {
        let carrier = self.links.get(index).and_then(|link| self.carriers.get(link.carrier));
        match carrier {
            Some(Carrier::Radio(radio, _)) => radio.describe(),
            Some(Carrier::Direct(..)) | None => serde_json::Value::Null,
        }
    }

    /// Hands a link an input of its own (records restored, batches stored).
    pub fn handle_link(&mut self, now: Now, index: usize, input: TransportInput) {
        let Some(link) = self.links.get(index) else { return };
        match self.carriers.get_mut(link.carrier) {
            Some(Carrier::Radio(radio, _)) => radio.handle_link(now, link.at_radio, input),
            Some(Carrier::Direct(transport, _)) => transport.handle(now, input),
            None => {}
        }
    }

    /// Gives a link its records back.
    pub fn restore(&mut self, now: Now, index: usize, rows: Vec<Row>) {
        if let Some(link) = self.links.get_mut(index) {
            link.restored = true;
        }
        self.handle_link(now, index, TransportInput::Restored(rows));
    }

    /// Whether a pipe is a link's.
    pub fn has_pipe(&self, pipe: PipeId) -> bool {
        self.pipes.theirs(pipe).is_some()
    }

    /// Hands a pipe's input to whom it belongs.
    pub fn handle_pipe(&mut self, now: Now, pipe: PipeId, input: skywave_transports::io::PipeInput) {
        use skywave_transports::io::PipeInput;
        let Some((carrier, theirs)) = self.pipes.theirs(pipe) else { return };
        if matches!(input, PipeInput::Closed(_) | PipeInput::Refused(_) | PipeInput::SecureFailed(_)) {
            self.pipes.forget(pipe);
        }
        self.handle_carrier(now, carrier, TransportInput::Pipe(theirs, input));
    }

    /// Hands a socket's input to whom it belongs.
    pub fn handle_socket(&mut self, now: Now, socket: SocketId, input: skywave_transports::io::SocketInput) {
        if let Some((carrier, theirs)) = self.sockets.theirs(socket) {
            self.handle_carrier(now, carrier, TransportInput::Socket(theirs, input));
        }
    }

    fn handle_carrier(&mut self, now: Now, carrier: usize, input: TransportInput) {
        match self.carriers.get_mut(carrier) {
            Some(Carrier::Radio(radio, _)) => radio.handle(now, input),
            Some(Carrier::Direct(transport, _)) => transport.handle(now, input),
            None => {}
        }
    }

    /// Wakes every carrier whose time has come.
    pub fn handle_wakeup(&mut self, now: Now) {
        for carrier in &mut self.carriers {
            match carrier {
                Carrier::Radio(radio, _) if radio.next_wakeup().is_some_and(|w| w.at <= now.mono) => {
                    radio.handle_wakeup(now)
                }
                Carrier::Direct(transport, _) if transport.next_wakeup().is_some_and(|w| w.at <= now.mono) => {
                    transport.handle_wakeup(now);
                }
                Carrier::Radio(..) | Carrier::Direct(..) => {}
            }
        }
    }

    /// The next thing any carrier asks for.
    pub fn poll(&mut self) -> Option<LinkOutput> {
        for carrier in 0..self.carriers.len() {
            let polled = match &mut self.carriers[carrier] {
                Carrier::Radio(radio, indexes) => radio.poll().map(|output| match output {
                    RadioOutput::Shared(output) => (None, output),
                    RadioOutput::Link(number, output) => (indexes.get(number).copied(), output),
                }),
                Carrier::Direct(transport, index) => transport.poll().map(|output| (Some(*index), output)),
            };
            if let Some((link, output)) = polled {
                if let Some(output) = self.translate(carrier, link, output) {
                    return Some(output);
                }
                return self.poll();
            }
        }
        None
    }

    fn translate(&mut self, carrier: usize, link: Option<usize>, output: TransportOutput) -> Option<LinkOutput> {
        Some(match output {
            TransportOutput::Event(event) => LinkOutput::Event(link?, event),
            TransportOutput::Pipe(pipe, output) => LinkOutput::Pipe(self.pipes.ours(carrier, pipe, PipeId), output),
            TransportOutput::Socket(socket, output) => {
                LinkOutput::Socket(self.sockets.ours(carrier, socket, SocketId), output)
            }
            TransportOutput::Store(number, changes) => LinkOutput::Store(link?, number, changes),
            TransportOutput::Capture(capture) => LinkOutput::Capture(capture),
        })
    }

    /// When any carrier wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        let wakeups = self.carriers.iter().map(|carrier| match carrier {
            Carrier::Radio(radio, _) => radio.next_wakeup(),
            Carrier::Direct(transport, _) => transport.next_wakeup(),
        });
        wakeups.fold(None, Wakeup::earlier)
    }
}

impl Link {
    fn new(config: &LinkConfig, carrier: usize, at_radio: usize) -> Self {
        Self {
            name: config.name.clone(),
            carriage: config.carriage,
            inflated_octets_max: config.inflated_octets_max,
            carrier,
            at_radio,
            up: false,
            why: "starting".into(),
            wrapping: 0,
            units_sent: 0,
            units_received: 0,
            emission: Emission::Free,
            restored: false,
        }
    }
}

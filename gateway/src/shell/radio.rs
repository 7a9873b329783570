//! The embedded STANAG 5066 nodes on their simulated radio, in real time: a TCP port for each station, and one for other
//! processes that share the radio.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use skywave_protocols::s5066::sis::frame::PREAMBLE;
use skywave_protocols::time::Duration;
use skywave_transports::io::{PipeId, PipeInput, PipeOutput};
use skywave_transports::modem::channel::StationId;
use skywave_transports::modem::weather::Weather;
use skywave_transports::node::simulator::{Simulator, SimulatorStation};
use skywave_transports::node::{ClientInput, ClientOutput, StationConfig};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::air::{self, Air, AirOutput, Captured};
use super::capture::CaptureFile;
use super::clock::Clock;
use super::inbox::{Happened, INBOX_MAX};
use super::pipe::{self, PipeCommands, PipeContext};
use super::resolve::Names;
use super::run::{accept, bind};
use super::tls::Tls;
use crate::node::Input;
use crate::node::seam::ListenerId;

/// Happenings taken in one turn.
const TURN_MAX: usize = 256;

/// A station and where its clients connect.
#[derive(Clone, Debug)]
pub struct RadioStation {
    /// The station.
    pub station: SimulatorStation,
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
}

/// Where time runs faster, clients are not asked whether they live: the 10 s that they have for an answer would be
/// milliseconds.
fn at_speed(config: &mut StationConfig, speed: u32) {
    if speed > 1 {
        config.server.keep_alive = None;
    }
}

/// Something for the loop from its handle.
enum Order {
    Outage(Duration),
    Describe(oneshot::Sender<serde_json::Value>),
}

/// Running stations on one radio. They end with the handle.
#[derive(Debug)]
pub struct Radio {
    /// Where each station listens, in the order given.
    pub addresses: Vec<SocketAddr>,
    orders: mpsc::UnboundedSender<Order>,
    tasks: Vec<tokio::task::AbortHandle>,
}

impl Radio {
    /// Starts stations under a weather.
    ///
    /// # Errors
    /// In words: what the weather names and does not exist, or a port that cannot be had.
    pub fn start(
        clock: Clock,
        weather: &Weather,
        stations: Vec<RadioStation>,
        capture: Option<CaptureFile>,
    ) -> Result<Self, String> {
        Self::host(clock, weather, stations, None, capture)
    }

    /// Starts stations under a weather; other processes may share the radio at an address, the last in `addresses`.
    ///
    /// # Errors
    /// See [`Radio::start`].
    pub fn host(
        clock: Clock,
        weather: &Weather,
        stations: Vec<RadioStation>,
        shared_at: Option<SocketAddr>,
        capture: Option<CaptureFile>,
    ) -> Result<Self, String> {
        let mut starting = Starting::new(clock, capture)?;
        for station in &stations {
            starting.listen(station.listen)?;
        }
        let names: Vec<String> = stations.iter().map(|station| station.station.name.clone()).collect();
        let mut stations: Vec<SimulatorStation> = stations.into_iter().map(|station| station.station).collect();
        stations.iter_mut().for_each(|station| at_speed(&mut station.config, clock.speed()));
        if shared_at.is_some() {
            // Others may come at any time.
            stations.iter_mut().for_each(|station| station.config.two_only = Some(false));
        }
        let simulator = Simulator::new(clock.now(), weather, stations).map_err(|faults| {
            faults.iter().map(|fault| format!("{}: {}", fault.key, fault.reason)).collect::<Vec<_>>().join("; ")
        })?;
        let guests = shared_at.map(|address| starting.listen(address)).transpose()?;
        Ok(starting.run(Air::hosted(simulator, clock.speed()), &names, guests, Vec::new()))
    }

    /// Starts stations on a radio that another process hosts, at its speed.
    ///
    /// # Errors
    /// In words: the host is not there or does not want us, or a port cannot be had.
    pub async fn join(host: &str, stations: Vec<RadioStation>, capture: Option<CaptureFile>) -> Result<Self, String> {
        let (mut joined, mut streams, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut listens = Vec::new();
        for RadioStation { station, listen } in stations {
            let (stream, modem) = air::join(host, &station.name, station.config.server.address).await?;
            streams.push(stream);
            names.push(station.name.clone());
            joined.push((station, modem));
            listens.push(listen);
        }
        // The last welcome has only just come.
        let clock = joined
            .last()
            .map_or_else(Clock::start, |(_, modem)| Clock::at_speed_from(modem.welcome().speed, modem.welcome().wall));
        joined.iter_mut().for_each(|(station, _)| at_speed(&mut station.config, clock.speed()));
        let mut starting = Starting::new(clock, capture)?;
        for listen in listens {
            starting.listen(listen)?;
        }
        let pipes = (1..).map(PipeId).zip((0..).map(StationId)).take(joined.len()).collect();
        Ok(starting.run(Air::joined(joined, pipes), &names, None, streams))
    }

    /// Returns when the radio has ended: a radio that was joined does when its host goes.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    /// From now on nobody hears anybody for so long.
    pub fn add_outage(&self, span: Duration) {
        let _ = self.orders.send(Order::Outage(span));
    }

    /// What went on air and how the stations are; `Null` when the radio has ended.
    pub async fn describe(&self) -> serde_json::Value {
        let (reply, described) = oneshot::channel();
        let _ = self.orders.send(Order::Describe(reply));
        described.await.unwrap_or_default()
    }
}

impl Drop for Radio {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What a radio needs before its loop runs.
struct Starting {
    clock: Clock,
    capture: Option<CaptureFile>,
    pipes: PipeContext,
    happenings: mpsc::Receiver<Happened>,
    addresses: Vec<SocketAddr>,
    tasks: Vec<tokio::task::AbortHandle>,
}

impl Starting {
    fn new(clock: Clock, capture: Option<CaptureFile>) -> Result<Self, String> {
        let (inbox, happenings) = mpsc::channel(INBOX_MAX);
        let pipes =
            PipeContext { inbox, names: Arc::new(Names::new(BTreeMap::new())), tls: Arc::new(Tls::without_files()) };
        Ok(Self { clock, capture, pipes, happenings, addresses: Vec::new(), tasks: Vec::new() })
    }

    /// Accepts connections at an address; they are numbered in the order of the calls.
    fn listen(&mut self, address: SocketAddr) -> Result<ListenerId, String> {
        let (listener, bound) = bind(address).map_err(|error| format!("{address}: {error}"))?;
        let id = listener_id(self.addresses.len());
        self.addresses.push(bound);
        let inbox = self.pipes.inbox.clone();
        let accepting = async move {
            while let Some((stream, peer)) = accept(&listener).await {
                if inbox.send(Happened::Accepted(id, stream, peer)).await.is_err() {
                    return;
                }
            }
        };
        self.tasks.push(tokio::spawn(accepting).abort_handle());
        Ok(id)
    }

    /// Runs stations that listen in this order; `peers` are the connections to the host of the channel.
    fn run(self, mut air: Air, names: &[String], guests: Option<ListenerId>, peers: Vec<TcpStream>) -> Radio {
        let Self { clock, capture, pipes, happenings, addresses, mut tasks } = self;
        let named = names.iter().enumerate();
        let listeners = named.filter_map(|(number, name)| Some((listener_id(number), air.station(name)?))).collect();
        if capture.is_some() {
            air.listen_in();
        }
        let (orders, received) = mpsc::unbounded_channel();
        let mut running = Running {
            clock,
            air,
            pipes,
            listeners,
            guests,
            capture,
            clients: HashMap::new(),
            peers: BTreeSet::new(),
            commands: HashMap::new(),
            last_pipe: 0,
        };
        for stream in peers {
            let pipe = running.open(stream);
            running.peers.insert(pipe);
        }
        tasks.push(tokio::spawn(running.run(happenings, received)).abort_handle());
        Radio { addresses, orders, tasks }
    }
}

fn listener_id(number: usize) -> ListenerId {
    ListenerId(u32::try_from(number).unwrap_or(u32::MAX))
}

struct Running {
    clock: Clock,
    air: Air,
    pipes: PipeContext,
    listeners: BTreeMap<ListenerId, StationId>,
    /// Where other processes connect.
    guests: Option<ListenerId>,
    capture: Option<CaptureFile>,
    clients: HashMap<PipeId, StationId>,
    /// Connections of or to the other processes on the radio.
    peers: BTreeSet<PipeId>,
    commands: HashMap<PipeId, PipeCommands>,
    last_pipe: u64,
}

impl Running {
    async fn run(mut self, mut inbox: mpsc::Receiver<Happened>, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut happened = Vec::with_capacity(TURN_MAX);
        loop {
            let wakeup = self.air.next_wakeup().map(|wakeup| self.clock.deadline(wakeup.at));
            let timer = async {
                match wakeup {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = timer => self.air.handle_wakeup(self.clock.now()),
                order = orders.recv() => match order {
                    Some(order) => self.order(order),
                    None => return,
                },
                taken = inbox.recv_many(&mut happened, TURN_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    let done = happened.drain(..).try_for_each(|one| self.happened(one));
                    if let Err(why) = done {
                        return tracing::error!("the radio has ended: {why}");
                    }
                }
            }
            self.drain();
        }
    }

    fn order(&mut self, order: Order) {
        let now = self.clock.now();
        match order {
            Order::Outage(span) => self.air.add_outage(now, span),
            Order::Describe(reply) => {
                let _ = reply.send(self.air.describe());
            }
        }
    }

    /// # Errors
    /// In words: the radio has ended.
    fn happened(&mut self, happened: Happened) -> Result<(), String> {
        let now = self.clock.now();
        match happened {
            Happened::Accepted(listener, stream, _) => {
                if Some(listener) == self.guests {
                    let pipe = self.open(stream);
                    self.peers.insert(pipe);
                    self.air.peer_accepted(pipe);
                } else if let Some(&station) = self.listeners.get(&listener) {
                    let pipe = self.open(stream);
                    self.clients.insert(pipe, station);
                    self.input(pipe, ClientInput::Accepted);
                }
            }
            Happened::Input(Input::Pipe(pipe, PipeInput::Read(octets))) if self.peers.contains(&pipe) => {
                self.air.peer_read(now, pipe, &octets)?;
            }
            Happened::Input(Input::Pipe(pipe, PipeInput::Closed(_))) if self.peers.remove(&pipe) => {
                self.commands.remove(&pipe);
                self.air.peer_closed(now, pipe)?;
            }
            Happened::Input(Input::Pipe(pipe, PipeInput::Read(octets))) => {
                self.capture(pipe, true, &octets);
                self.input(pipe, ClientInput::Read(octets));
            }
            Happened::Input(Input::Pipe(pipe, PipeInput::Closed(_))) => {
                self.input(pipe, ClientInput::Closed);
                let wall = self.clock.now().wall;
                if let Some(file) = &mut self.capture {
                    file.sis_ended(wall, pipe.0);
                }
                self.clients.remove(&pipe);
                self.commands.remove(&pipe);
            }
            // Clients are served in clear; nothing else happens to their pipes.
            Happened::Input(_) | Happened::Command(..) | Happened::HandedOver(..) | Happened::Stop => {}
        }
        Ok(())
    }

    /// Starts the task of a connection.
    fn open(&mut self, stream: TcpStream) -> PipeId {
        self.last_pipe += 1;
        let pipe = PipeId(self.last_pipe);
        self.commands.insert(pipe, pipe::accepted(self.pipes.clone(), pipe, stream));
        pipe
    }

    fn input(&mut self, pipe: PipeId, input: ClientInput) {
        if let Some(&station) = self.clients.get(&pipe) {
            self.air.client_input(self.clock.now(), station, pipe, input);
        }
    }

    fn drain(&mut self) {
        self.air.settle(self.clock.now());
        while let Some(output) = self.air.poll() {
            let (pipe, order) = match output {
                AirOutput::Peer(pipe, order) => (pipe, order),
                AirOutput::Client(pipe, ClientOutput::Close) => (pipe, PipeOutput::Close),
                AirOutput::Client(pipe, ClientOutput::Write(octets)) => {
                    self.capture(pipe, false, &octets);
                    (pipe, PipeOutput::Write(octets))
                }
            };
            if let Some(commands) = self.commands.get(&pipe) {
                let _ = commands.send(order);
            }
        }
        self.capture_air();
        if let Some(file) = &mut self.capture {
            file.flush();
        }
    }

    /// D_PDUs that have left the antennas.
    fn capture_air(&mut self) {
        let Some(file) = &mut self.capture else { return };
        let now = self.clock.now();
        while let Some(Captured { at, about, octets }) = self.air.poll_on_air(now) {
            if octets.starts_with(&PREAMBLE) {
                file.air(at.wall, &about, &octets);
            }
        }
    }

    fn capture(&mut self, client: PipeId, sent: bool, octets: &[u8]) {
        let wall = self.clock.now().wall;
        if let Some(file) = &mut self.capture {
            file.sis(wall, client.0, sent, octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use skywave_protocols::s5066::address::NodeAddress;

    use super::*;

    #[test]
    fn nobody_is_asked_for_life_in_faster_time() {
        let mut config = StationConfig::new(NodeAddress::individual(1));
        at_speed(&mut config, 1);
        assert!(config.server.keep_alive.is_some());
        at_speed(&mut config, 2);
        assert_eq!(config.server.keep_alive, None);
    }
}

//! The embedded STANAG 5066 nodes on their simulated radio, in real time: a TCP port for each station.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use skywave_protocols::s5066::node::ClientId;
use skywave_protocols::s5066::sis::frame::PREAMBLE;
use skywave_protocols::time::Duration;
use skywave_transports::io::{PipeId, PipeInput, PipeOutput};
use skywave_transports::modem::channel::StationId;
use skywave_transports::modem::weather::Weather;
use skywave_transports::node::simulator::{Simulator, SimulatorStation};
use skywave_transports::node::station::{ClientInput, ClientOutput};
use tokio::sync::{mpsc, oneshot};

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

/// Something for the loop from its handle.
enum Order {
    Emcon(String, bool),
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
        let (inbox, happenings) = mpsc::channel(INBOX_MAX);
        let (mut addresses, mut tasks, mut listeners) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (number, station) in (0..).zip(&stations) {
            let (listener, bound) = bind(station.listen).map_err(|error| format!("{}: {error}", station.listen))?;
            addresses.push(bound);
            let (inbox, id) = (inbox.clone(), ListenerId(number));
            listeners.insert(id, station.station.name.clone());
            let accepting = async move {
                while let Some((stream, peer)) = accept(&listener).await {
                    if inbox.send(Happened::Accepted(id, stream, peer)).await.is_err() {
                        return;
                    }
                }
            };
            tasks.push(tokio::spawn(accepting).abort_handle());
        }
        let stations = stations.into_iter().map(|station| station.station).collect();
        let mut simulator = Simulator::new(clock.now(), weather, stations).map_err(|faults| {
            faults.iter().map(|fault| format!("{}: {}", fault.key, fault.reason)).collect::<Vec<_>>().join("; ")
        })?;
        if capture.is_some() {
            simulator.listen_in();
        }
        let listeners = listeners.into_iter().filter_map(|(id, name)| Some((id, simulator.station(&name)?))).collect();
        let (orders, received) = mpsc::unbounded_channel();
        let tls = Tls::new(&BTreeMap::new(), &BTreeMap::new()).map_err(|mistakes| mistakes.join("; "))?;
        let pipes = PipeContext { inbox, names: Arc::new(Names::new(BTreeMap::new())), tls: Arc::new(tls) };
        let running = Running {
            clock,
            simulator,
            pipes,
            listeners,
            capture,
            clients: HashMap::new(),
            commands: HashMap::new(),
            last_pipe: 0,
        };
        tasks.push(tokio::spawn(running.run(happenings, received)).abort_handle());
        Ok(Self { addresses, orders, tasks })
    }

    /// Begins or ends the silence of a station.
    pub fn set_emcon(&self, station: &str, emcon: bool) {
        let _ = self.orders.send(Order::Emcon(station.to_owned(), emcon));
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

struct Running {
    clock: Clock,
    simulator: Simulator,
    pipes: PipeContext,
    listeners: BTreeMap<ListenerId, StationId>,
    capture: Option<CaptureFile>,
    clients: HashMap<PipeId, StationId>,
    commands: HashMap<PipeId, PipeCommands>,
    last_pipe: u64,
}

impl Running {
    async fn run(mut self, mut inbox: mpsc::Receiver<Happened>, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut happened = Vec::with_capacity(TURN_MAX);
        loop {
            let wakeup = self.simulator.next_wakeup().map(|wakeup| self.clock.deadline(wakeup.at));
            let timer = async {
                match wakeup {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = timer => self.simulator.handle_wakeup(self.clock.now()),
                order = orders.recv() => match order {
                    Some(order) => self.order(order),
                    None => return,
                },
                taken = inbox.recv_many(&mut happened, TURN_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    for one in happened.drain(..) {
                        self.happened(one);
                    }
                }
            }
            self.drain();
        }
    }

    fn order(&mut self, order: Order) {
        let now = self.clock.now();
        match order {
            Order::Emcon(name, emcon) => {
                if let Some(station) = self.simulator.station(&name) {
                    self.simulator.set_emcon(now, station, emcon);
                }
            }
            Order::Outage(span) => self.simulator.add_outage(now, span),
            Order::Describe(reply) => {
                let _ = reply.send(self.simulator.describe());
            }
        }
    }

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Accepted(listener, stream, _) => {
                let Some(&station) = self.listeners.get(&listener) else { return };
                self.last_pipe += 1;
                let pipe = PipeId(self.last_pipe);
                self.clients.insert(pipe, station);
                self.commands.insert(pipe, pipe::accepted(self.pipes.clone(), pipe, stream));
                self.input(pipe, ClientInput::Accepted);
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
    }

    fn input(&mut self, pipe: PipeId, input: ClientInput) {
        if let Some(&station) = self.clients.get(&pipe) {
            self.simulator.client_input(self.clock.now(), station, ClientId(pipe.0), input);
        }
    }

    fn drain(&mut self) {
        while let Some((_, client, output)) = self.simulator.poll() {
            let order = match output {
                ClientOutput::Write(octets) => {
                    self.capture(PipeId(client.0), false, &octets);
                    PipeOutput::Write(octets)
                }
                ClientOutput::Close => PipeOutput::Close,
            };
            if let Some(commands) = self.commands.get(&PipeId(client.0)) {
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
        while let Some((site, at, frame)) = self.simulator.poll_on_air(now) {
            if frame.octets.starts_with(&PREAMBLE) {
                let site = site.unwrap_or("another process");
                file.air(at.wall, &format!("{site}, {} bit/s", frame.bits_per_second), &frame.octets);
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

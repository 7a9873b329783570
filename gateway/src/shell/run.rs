//! The event loop of a site: owns the node, hands it what happened, carries out what it asks for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use skywave_protocols::bytes::{Bytes, BytesMut};
use skywave_transports::io::{PipeId, PipeOutput, SocketId, SocketOutput};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::capture::CaptureFile;
use super::clock::Clock;
use super::compute::{self, Means};
use super::datagram::{self, SocketOrders};
use super::disk::Disk;
use super::hand_over::HandOvers;
use super::inbox::Happened;
use super::log::{self, Log};
use super::pipe::{self, PipeCommands, PipeContext};
use crate::node::command::{Command, Reply};
use crate::node::seam::{ACCEPTED_PIPE, Job, ListenerId, Lookup, Number, Piece, ReplyTo};
use crate::node::{Input, Node, Output};
use crate::pump::pump;
use crate::store::writer::StoreThreads;
use crate::store::{BodyId, StoreFault};
use crate::telemetry::Event;

/// Happenings taken in one turn of the loop.
const TURN_MAX: usize = 256;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// A computation on fewer octets is short: short ones never wait for long ones.
const SHORT_JOB_OCTETS: u64 = 256 << 10;
/// When nothing has happened for so long, freed memory goes back to the system: a little more than the allocator keeps it
/// for later (its `purge_delay` is a second).
const REST: std::time::Duration = std::time::Duration::from_millis(1_200);
/// Computations of each kind at once.
const JOBS_AT_ONCE: usize = 2;

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) node: Node,
    pub(super) clock: Clock,
    pub(super) inbox: mpsc::Receiver<Happened>,
    pub(super) pipes: PipeContext,
    pub(super) disk: Disk,
    pub(super) store_threads: Option<StoreThreads>,
    pub(super) hand_overs: HandOvers,
    pub(super) passwords: watch::Receiver<Arc<str>>,
    pub(super) capture: Option<CaptureFile>,
    pub(super) log: Log,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) listening: watch::Sender<Vec<SocketAddr>>,
}

/// A running site.
pub(super) struct Loop {
    parts: Parts,
    outputs: Vec<Output>,
    /// What carrying out an output brought about at once.
    replied: VecDeque<Input>,
    listeners: BTreeMap<ListenerId, AbortHandle>,
    pipes: HashMap<PipeId, PipeCommands>,
    sockets: HashMap<SocketId, SocketOrders>,
    replies: HashMap<ReplyTo, oneshot::Sender<Reply>>,
    last_pipe: u64,
    last_reply: u64,
    short_jobs: Arc<Semaphore>,
    long_jobs: Arc<Semaphore>,
    wakeup: Option<skywave_protocols::time::Instant>,
    /// When something last happened.
    last: skywave_protocols::time::Instant,
    stopped: bool,
}

impl Loop {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            outputs: Vec::new(),
            replied: VecDeque::new(),
            listeners: BTreeMap::new(),
            pipes: HashMap::new(),
            sockets: HashMap::new(),
            replies: HashMap::new(),
            last_pipe: ACCEPTED_PIPE,
            last_reply: 0,
            short_jobs: Arc::new(Semaphore::new(JOBS_AT_ONCE)),
            long_jobs: Arc::new(Semaphore::new(JOBS_AT_ONCE)),
            wakeup: None,
            last: skywave_protocols::time::Instant::ZERO,
            stopped: false,
        }
    }

    /// Runs until the node has stopped and the store is closed.
    pub(super) async fn run(mut self) {
        self.turn().await;
        self.parts.disk.close();
        let Some(threads) = self.parts.store_threads.take() else { return };
        // The store's last answers need somebody who takes them.
        let mut inbox = std::mem::replace(&mut self.parts.inbox, mpsc::channel(1).1);
        let closing = tokio::task::spawn_blocking(move || threads.join());
        tokio::select! {
            _ = closing => {}
            () = async { while inbox.recv().await.is_some() {} } => {}
        }
    }

    async fn turn(&mut self) {
        let mut happened = Vec::with_capacity(TURN_MAX);
        let timer = tokio::time::sleep(std::time::Duration::ZERO);
        let rest = tokio::time::sleep(REST);
        tokio::pin!(timer, rest);
        // Whether memory may have been freed since it was last given back.
        let mut owes = true;
        self.feed(Input::Started);
        while !self.stopped {
            if let Some(at) = self.wakeup {
                let deadline = self.parts.clock.deadline(at);
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
            }
            tokio::select! {
                biased;
                // A wakeup that is due is not held back by a full inbox.
                () = &mut timer, if self.wakeup.is_some() => {
                    let _turn = log::hold();
                    self.feed(Input::Woken);
                }
                () = &mut rest, if owes => {
                    let idle = self.parts.clock.now().mono.since(self.last);
                    let left = REST.saturating_sub(idle);
                    owes = !left.is_zero();
                    if owes {
                        rest.set(tokio::time::sleep(left));
                    } else {
                        give_back_memory();
                    }
                    continue;
                }
                taken = self.parts.inbox.recv_many(&mut happened, TURN_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    let _turn = log::hold();
                    for one in happened.drain(..) {
                        self.happened(one);
                    }
                }
            }
            if !std::mem::replace(&mut owes, true) {
                rest.set(tokio::time::sleep(REST));
            }
            self.parts.flush_capture();
        }
    }

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Input(input) => {
                self.forget_ended(&input);
                self.feed(input);
            }
            Happened::Accepted(listener, stream, peer) => self.accepted(listener, stream, peer),
            Happened::Command(command, reply) => self.command(command, reply),
            Happened::HandedOver(number, outcome, idle) => {
                if let Some((key, idle)) = idle {
                    self.parts.hand_overs.rest(key, idle);
                }
                self.feed(Input::HandedOver(number, outcome));
            }
            Happened::Stop => self.feed(Input::Stop),
        }
    }

    /// One input, then everything it brings about.
    fn feed(&mut self, input: Input) {
        self.feed_one(input);
        while let Some(input) = self.replied.pop_front() {
            self.feed_one(input);
        }
    }

    fn feed_one(&mut self, input: Input) {
        let now = self.parts.clock.now();
        self.last = now.mono;
        let outputs = &mut self.outputs;
        let wakeup = pump(&mut self.parts.node, now, input, |output| outputs.push(output));
        self.wakeup = wakeup.map(|wakeup| wakeup.at);
        let mut outputs = std::mem::take(&mut self.outputs);
        for pipe in about_to_secure(&outputs).collect::<Vec<_>>() {
            self.pipe(pipe, PipeOutput::Pause);
        }
        for output in outputs.drain(..) {
            self.carry_out(output);
        }
        self.outputs = outputs;
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Listen(listener, address) => self.listen(listener, address),
            Output::Pipe(pipe, order) => self.pipe(pipe, order),
            Output::Socket(socket, order) => self.socket(socket, order),
            Output::Resolve(number, lookup) => self.resolve(number, lookup),
            Output::Store(number, batch) => self.parts.disk.store(number, batch),
            Output::AppendBody(body, octets) => self.parts.disk.append(body, octets),
            Output::AbandonBody(body) => self.parts.disk.abandon(body),
            Output::Fetch(number, query) => self.parts.disk.fetch(number, query),
            Output::LoadBody { load, body, offset, octets } => {
                self.parts.disk.load_for_node(load, body, offset, octets);
            }
            Output::HandOver(number, hand_over) => self.parts.hand_overs.start(number, *hand_over),
            Output::Compute(number, job) => self.compute(number, *job),
            Output::Reply(to, reply) => {
                if let Some(waiting) = self.replies.remove(&to) {
                    let _ = waiting.send(reply);
                }
            }
            Output::Tell(event) => {
                self.parts.log.tell(self.parts.clock.now().wall, &event);
                if self.parts.events.receiver_count() > 0 {
                    let _ = self.parts.events.send(event);
                }
            }
            Output::Capture(packet) => {
                let wall = self.parts.clock.now().wall;
                if let Some(file) = &mut self.parts.capture {
                    file.packet(wall, &packet);
                }
            }
            Output::Stopped => self.stopped = true,
        }
    }

    fn listen(&mut self, listener: ListenerId, address: SocketAddr) {
        let inbox = self.parts.pipes.inbox.clone();
        match bind(address) {
            Ok((socket, bound)) => {
                self.parts.listening.send_modify(|all| all.push(bound));
                self.replied.push_back(Input::Listening(listener, bound));
                let accepting = async move {
                    while let Some((stream, peer)) = accept(&socket).await {
                        if inbox.send(Happened::Accepted(listener, stream, peer)).await.is_err() {
                            return;
                        }
                    }
                };
                self.listeners.insert(listener, tokio::spawn(accepting).abort_handle());
            }
            Err(error) => {
                self.replied.push_back(Input::ListenFailed(listener, format!("{address}: {error}")));
            }
        }
    }

    fn accepted(&mut self, listener: ListenerId, stream: TcpStream, peer: SocketAddr) {
        self.last_pipe += 1;
        let pipe = PipeId(self.last_pipe);
        self.pipes.insert(pipe, pipe::accepted(self.parts.pipes.clone(), pipe, stream));
        self.feed(Input::Accepted { listener, pipe, peer });
    }

    fn pipe(&mut self, pipe: PipeId, order: PipeOutput) {
        match order {
            PipeOutput::Open { target, dscp } => {
                let commands = pipe::open(self.parts.pipes.clone(), pipe, target, dscp);
                self.pipes.insert(pipe, commands);
            }
            PipeOutput::Abandon => {
                if let Some(commands) = self.pipes.remove(&pipe) {
                    let _ = commands.send(order);
                }
            }
            order => {
                // A pipe that has ended meanwhile is told as closed; what is written to it is lost with it.
                if let Some(commands) = self.pipes.get(&pipe) {
                    let _ = commands.send(order);
                }
            }
        }
    }

    fn forget_ended(&mut self, input: &Input) {
        use skywave_transports::io::PipeInput::{Closed, Refused, SecureFailed};
        if let Input::Pipe(pipe, Closed(_) | Refused(_) | SecureFailed(_)) = input {
            self.pipes.remove(pipe);
        }
    }

    fn socket(&mut self, socket: SocketId, order: SocketOutput) {
        let inbox = &self.parts.pipes.inbox;
        let orders = self.sockets.entry(socket).or_insert_with(|| datagram::start(inbox.clone(), socket));
        let _ = orders.send(order);
    }

    fn resolve(&self, number: Number, lookup: Lookup) {
        let (names, inbox) = (Arc::clone(&self.parts.pipes.names), self.parts.pipes.inbox.clone());
        tokio::spawn(async move {
            let resolved = names.look_up(lookup).await;
            let _ = inbox.send(Happened::Input(Input::Resolved(number, resolved))).await;
        });
    }

    fn compute(&self, number: Number, job: Job) {
        let short = job_octets(&job) < SHORT_JOB_OCTETS;
        let turns = Arc::clone(if short { &self.short_jobs } else { &self.long_jobs });
        let (disk, inbox) = (self.parts.disk.clone(), self.parts.pipes.inbox.clone());
        let passwords = Arc::clone(&self.parts.passwords.borrow());
        tokio::spawn(async move {
            let Ok(_turn) = turns.acquire().await else { return };
            let work = tokio::task::spawn_blocking(move || compute_with(job, &disk, &passwords));
            if let Ok(answer) = work.await {
                let _ = inbox.send(Happened::Input(Input::Computed(number, answer))).await;
            }
        });
    }

    fn command(&mut self, command: Command, reply: oneshot::Sender<Reply>) {
        self.last_reply += 1;
        let to = ReplyTo(self.last_reply);
        self.replies.insert(to, reply);
        // Who has gone does not wait any more.
        self.replies.retain(|_, waiting| !waiting.is_closed());
        self.feed(Input::Command(to, command));
    }
}

/// Has the allocator give freed memory back: mimalloc looks for what it has kept long enough when a thread ends, for all
/// threads, and an idle program gives it no other occasion (ADR 68).
fn give_back_memory() {
    let _ = std::thread::Builder::new().name("give-back".to_owned()).spawn(|| {});
}

impl Drop for Loop {
    fn drop(&mut self) {
        for listener in std::mem::take(&mut self.listeners).into_values() {
            listener.abort();
        }
    }
}

impl Parts {
    fn flush_capture(&mut self) {
        if let Some(file) = &mut self.capture {
            file.flush();
        }
    }
}

fn compute_with(job: Job, disk: &Disk, passwords: &str) -> crate::node::seam::Answer {
    let mut load = |piece: &Piece| match piece {
        Piece::Octets(octets) => Ok(octets.clone()),
        Piece::Body { body, from, to } => load_range(disk, *body, *from, *to),
    };
    let mut append = |body, octets: Bytes| {
        disk.keep_converted(body, &octets);
        Ok(())
    };
    compute::run(job, &mut Means { load: &mut load, append: &mut append, passwords })
}

fn load_range(disk: &Disk, body: BodyId, from: u64, to: u64) -> Result<Bytes, StoreFault> {
    let mut text = BytesMut::new();
    let mut offset = from;
    while offset < to {
        let octets = disk.load_blocking(body, offset, usize::try_from(to - offset).unwrap_or(usize::MAX))?;
        if octets.is_empty() {
            return Err(StoreFault::Damaged(format!("body {} ends at {offset}, not at {to}", body.0)));
        }
        offset += octets.len() as u64;
        text.extend_from_slice(&octets);
    }
    Ok(text.freeze())
}

fn job_octets(job: &Job) -> u64 {
    match job {
        Job::WrapMule { content, .. }
        | Job::WrapBatch { content, .. }
        | Job::WrapBatchMail { content, .. }
        | Job::UnwrapBatchMail { content, .. }
        | Job::Convert { content, .. } => content.iter().map(Piece::octets).sum(),
        Job::UnwrapMule { unit, .. } | Job::UnwrapBatch { unit, .. } => unit.len() as u64,
        Job::Authenticate { .. } => 0,
    }
}

pub(super) fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// The next connection. Errors of one connection (gone before it was taken, no descriptors left) do not end listening.
pub(super) async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    const OUT_OF_DESCRIPTORS_MILLIS: u64 = 100;
    loop {
        match listener.accept().await {
            Ok(accepted) => return Some(accepted),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(OUT_OF_DESCRIPTORS_MILLIS)).await,
        }
    }
}

/// Pipes that are invited to TLS in this turn. Their tasks take the invitation and the order for the handshake one after the
/// other: what the other end answers in between belongs to the handshake and must not be read in clear.
fn about_to_secure(outputs: &[Output]) -> impl Iterator<Item = PipeId> {
    outputs.iter().filter_map(|output| match output {
        Output::Pipe(pipe, PipeOutput::Secure(_)) => Some(*pipe),
        _ => None,
    })
}

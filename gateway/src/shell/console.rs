//! Runs the tools of the console (`s5066::console`) against a server on TCP, and reads along between a client and its
//! server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use skywave_protocols::s5066::console::note::Note;
use skywave_protocols::s5066::console::tap::{Tap, Toward};
use skywave_protocols::s5066::console::{Over, Tool, ToolOutput};
use skywave_transports::io::{PipeId, PipeInput, PipeOutput};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::clock::Clock;
use super::inbox::{Happened, INBOX_MAX};
use super::pipe::{self, PipeCommands, PipeContext};
use super::resolve::Names;
use super::run::{accept, bind};
use super::tls::Tls;
use crate::node::Input;

/// Octets read at a time by the relay.
const READ_OCTETS: usize = 16 << 10;
/// Clients that the relay serves at the same time.
const CLIENTS_MAX: usize = 64;

/// Runs a tool to its end, or until `stop`; its notes are shown as they come. How it ended.
///
/// # Errors
/// In words: what of the system cannot be had.
pub async fn run<T: Tool>(
    clock: Clock,
    server: &str,
    tool: &mut T,
    stop: impl Future<Output = ()>,
    mut show: impl FnMut(Note),
) -> Result<Over, String> {
    let (inbox, mut happened) = mpsc::channel(INBOX_MAX);
    let context =
        PipeContext { inbox, names: Arc::new(Names::new(BTreeMap::new())), tls: Arc::new(Tls::without_files()) };
    let mut pipe = Pipe { server: server.to_owned(), context, last: 0, open: None, is_open: false };
    let mut stop = std::pin::pin!(stop);
    let mut stopped = false;
    tool.start(clock.now());
    loop {
        while let Some(output) = tool.poll() {
            match output {
                ToolOutput::Note(note) => show(note),
                ToolOutput::Open => pipe.open(),
                ToolOutput::Write(octets) => pipe.order(PipeOutput::Write(octets)),
                ToolOutput::Close => pipe.order(PipeOutput::Close),
            }
        }
        // What was written last leaves before the end; a connection that is not open yet is not waited for.
        if let Some(over) = tool.over().filter(|_| !pipe.is_open) {
            return Ok(over.clone());
        }
        let wakeup = tool.next_wakeup().map(|wakeup| clock.deadline(wakeup.at));
        let timer = async {
            match wakeup {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = &mut stop, if !stopped => {
                stopped = true;
                tool.stop(clock.now());
            }
            () = timer => tool.handle_wakeup(clock.now()),
            one = happened.recv() => if let Some(Happened::Input(Input::Pipe(id, input))) = one
                && pipe.open.as_ref().is_some_and(|(open, _)| *open == id)
            {
                let now = clock.now();
                match input {
                    PipeInput::Opened => {
                        pipe.is_open = true;
                        tool.opened(now);
                    }
                    PipeInput::Read(octets) => tool.handle_read(now, &octets),
                    PipeInput::Refused(why) => tool.closed(now, Some(why)),
                    PipeInput::Closed(why) => {
                        pipe.is_open = false;
                        tool.closed(now, why);
                    }
                    PipeInput::Drained(_) | PipeInput::Secured(_) | PipeInput::SecureFailed(_) => {}
                }
            },
        }
    }
}

/// The pipe of a tool; at most one is of interest.
struct Pipe {
    server: String,
    context: PipeContext,
    last: u64,
    open: Option<(PipeId, PipeCommands)>,
    is_open: bool,
}

impl Pipe {
    fn open(&mut self) {
        self.last += 1;
        let id = PipeId(self.last);
        self.is_open = false;
        self.open = Some((id, pipe::open(self.context.clone(), id, self.server.clone(), 0)));
    }

    fn order(&self, order: PipeOutput) {
        if let Some((_, commands)) = &self.open {
            let _ = commands.send(order);
        }
    }
}

/// What the relay has to tell, with the number of the client.
#[derive(Clone, PartialEq, Debug)]
pub enum Relayed {
    /// A client has come.
    Came(u64, SocketAddr),
    /// Something passed.
    Note(u64, Note),
    /// The connection has ended; in words.
    Ended(u64, String),
}

/// Listens at `listen`, and passes on between each client and the server, until `stop`. Nothing is changed, nothing
/// held back.
///
/// # Errors
/// In words: the port cannot be had.
pub async fn relay(
    listen: SocketAddr,
    server: &str,
    stop: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
    mut show: impl FnMut(Relayed),
) -> Result<(), String> {
    let (listener, bound) = bind(listen).map_err(|error| format!("{listen}: {error}"))?;
    listening(bound);
    let (told, mut tells) = mpsc::channel(INBOX_MAX);
    let names = Arc::new(Names::new(BTreeMap::new()));
    let mut clients = tokio::task::JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    let mut last = 0;
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            one = tells.recv() => if let Some(one) = one { show(one) },
            Some(_) = clients.join_next() => {}
            accepted = accept(&listener), if clients.len() < CLIENTS_MAX => {
                let Some((stream, peer)) = accepted else { return Ok(()) };
                last += 1;
                let (number, told, names, server) = (last, told.clone(), names.clone(), server.to_owned());
                clients.spawn(async move {
                    let _ = told.send(Relayed::Came(number, peer)).await;
                    let why = match pipe::connect(&names, &server, 0).await {
                        Ok(server) => pass(number, stream, server, &told).await,
                        Err(why) => format!("the server: {why}"),
                    };
                    let _ = told.send(Relayed::Ended(number, why)).await;
                });
            }
        }
    }
}

/// Passes octets on both ways until one side ends; why it did.
async fn pass(number: u64, client: TcpStream, server: TcpStream, told: &mpsc::Sender<Relayed>) -> String {
    let _ = client.set_nodelay(true);
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    // Each way by itself: a side that does not read must not hold up what it sends.
    tokio::select! {
        why = one_way(number, Toward::Server, client_reads, server_writes, told) => format!("the client {why}"),
        why = one_way(number, Toward::Client, server_reads, client_writes, told) => format!("the server {why}"),
    }
}

async fn one_way(
    number: u64,
    toward: Toward,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    told: &mpsc::Sender<Relayed>,
) -> String {
    let (mut tap, mut octets) = (Tap::new(), vec![0; READ_OCTETS]);
    loop {
        let read = match from.read(&mut octets).await {
            Ok(0) => return "closed".to_owned(),
            Ok(read) => &octets[..read],
            Err(error) => return format!("is gone: {error}"),
        };
        if let Err(error) = to.write_all(read).await {
            return format!("could not be passed on: {error}");
        }
        for note in tap.pass(toward, read) {
            if told.send(Relayed::Note(number, note)).await.is_err() {
                return "is not watched any more".to_owned();
            }
        }
    }
}

//! One TCP connection: a task that moves octets between a socket and the node.
//!
//! Promises: octets are handed on in order; what the node writes in one turn leaves in one write; nothing is read while
//! the node says pause, while the inbox is full, or between the request for TLS and its handshake. Refuses: an end that
//! takes nothing of what it is sent. Limits: below.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use skywave_protocols::bytes::{Buf, BytesMut};
use skywave_transports::io::{PipeId, PipeInput, PipeOutput, Secure, Secured};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsStream;

use super::inbox::{Happened, Inbox};
use super::resolve::Names;
use super::tls::{Tls, words};
use crate::node::Input;

/// Octets asked of the socket at first, and after a read that filled them.
const READ_OCTETS_FIRST: usize = 4 << 10;
const READ_OCTETS_FULL: usize = 64 << 10;
/// A write buffer larger than this is given back when it is empty.
const WRITE_OCTETS_KEPT: usize = 64 << 10;
/// Octets that may wait for an end that does not read; then the connection is closed. More than any door or link leaves
/// unread by its own rules.
const UNWRITTEN_OCTETS_MAX: usize = 64 << 20;
/// How long a connection may take to open, TLS to be agreed, and the other end to close after us.
const CONNECT_SECONDS_MAX: u64 = 30;
const HANDSHAKE_SECONDS_MAX: u64 = 60;
const LINGER_SECONDS_MAX: u64 = 2;

/// The node's end of a pipe.
pub(super) type PipeCommands = mpsc::UnboundedSender<PipeOutput>;

/// What all pipes of a site share.
#[derive(Clone)]
pub(super) struct PipeContext {
    pub(super) inbox: Inbox,
    pub(super) names: Arc<Names>,
    pub(super) tls: Arc<Tls>,
}

/// Starts the task of an accepted connection.
pub(super) fn accepted(context: PipeContext, pipe: PipeId, stream: TcpStream) -> PipeCommands {
    let (commands, orders) = mpsc::unbounded_channel();
    let _ = stream.set_nodelay(true);
    tokio::spawn(async move { serve(&context, pipe, Stream::Plain(stream), orders, false).await });
    commands
}

/// Starts the task of a connection to be opened.
pub(super) fn open(context: PipeContext, pipe: PipeId, target: String, dscp: u8) -> PipeCommands {
    let (commands, orders) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        match connect(&context.names, &target, dscp).await {
            Ok(stream) => {
                context.say(pipe, PipeInput::Opened).await;
                serve(&context, pipe, Stream::Plain(stream), orders, true).await;
            }
            Err(why) => context.say(pipe, PipeInput::Refused(why)).await,
        }
    });
    commands
}

/// Opens a connection to `host:port`, trying each address of the host.
pub(super) async fn connect(names: &Names, target: &str, dscp: u8) -> Result<TcpStream, String> {
    let mut why = format!("{target}: no address");
    for address in names.targets(target).await? {
        let attempt = async {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            super::datagram::set_dscp(&socket2::SockRef::from(&socket), address.is_ipv4(), dscp)?;
            let stream = socket.connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        match tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS_MAX), attempt).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address}: no answer within {CONNECT_SECONDS_MAX} s"),
        }
    }
    Err(why)
}

impl PipeContext {
    async fn say(&self, pipe: PipeId, input: PipeInput) {
        let _ = self.inbox.send(Happened::Input(Input::Pipe(pipe, input))).await;
    }
}

/// How a turn of a connection ended.
enum End {
    /// The other end, or an error in words.
    Closed(Option<String>),
    /// Our own close, everything written.
    Finished,
    /// TLS is asked for.
    Secure(Secure),
    /// The network is to hold at most so many octets; the connection goes on.
    Limit(usize),
    /// The node has gone.
    Abandoned,
}

async fn serve(
    context: &PipeContext,
    pipe: PipeId,
    mut stream: Stream,
    mut orders: mpsc::UnboundedReceiver<PipeOutput>,
    mut tells_drained: bool,
) {
    let mut kept = Kept::default();
    loop {
        let mut turn = Turn::new(context, pipe, stream, tells_drained, kept);
        let end = turn.run(&mut orders).await;
        tells_drained = turn.tells_drained;
        kept = turn.kept;
        stream = turn.reader.unsplit(turn.writer);
        if !matches!(end, End::Limit(_)) {
            // Octets read in clear before TLS are not to be believed.
            kept = Kept { writes: kept.writes, ..Kept::default() };
        }
        match end {
            // A network that takes no limit holds more: nothing is wrong.
            End::Limit(octets) => drop(socket2::SockRef::from(stream.socket()).set_send_buffer_size(octets)),
            End::Closed(why) => return context.say(pipe, PipeInput::Closed(why)).await,
            End::Finished => {
                context.say(pipe, PipeInput::Closed(None)).await;
                return linger(stream).await;
            }
            End::Abandoned => return,
            End::Secure(secure) => match handshake(context, secure, stream).await {
                Ok((secured, tls)) => {
                    stream = Stream::Tls(Box::new(tls));
                    context.say(pipe, PipeInput::Secured(secured)).await;
                }
                Err(why) => return context.say(pipe, PipeInput::SecureFailed(why)).await,
            },
        }
    }
}

async fn handshake(
    context: &PipeContext,
    secure: Secure,
    stream: Stream,
) -> Result<(Secured, TlsStream<TcpStream>), String> {
    let Stream::Plain(stream) = stream else { return Err("TLS is already established".to_owned()) };
    match tokio::time::timeout(Duration::from_secs(HANDSHAKE_SECONDS_MAX), context.tls.secure(&secure, stream)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no TLS within {HANDSHAKE_SECONDS_MAX} s")),
    }
}

/// Says that nothing more comes and waits for the other end: closing with unread octets would make the network throw
/// away what we wrote last.
async fn linger(mut stream: Stream) {
    let quiet = async {
        let _ = stream.shutdown().await;
        let mut sink = [0; 1024];
        while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    };
    let _ = tokio::time::timeout(Duration::from_secs(LINGER_SECONDS_MAX), quiet).await;
}

/// A connection between two handshakes.
struct Turn<'a> {
    context: &'a PipeContext,
    pipe: PipeId,
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    kept: Kept,
    read_octets: usize,
    /// What was written and has not left.
    unwritten: BytesMut,
    /// By itself not on accepted pipes: a session of mail says one thing at a time, and it would wake the node once for
    /// each reply.
    tells_drained: bool,
    /// What follows when everything has left.
    then: Option<End>,
}

/// What outlives a change of the socket.
#[derive(Default)]
struct Kept {
    read: BytesMut,
    /// What the node has not been told.
    untold: Option<PipeInput>,
    /// Writes asked for so far.
    writes: u64,
    drained: bool,
    paused: bool,
}

impl<'a> Turn<'a> {
    fn new(context: &'a PipeContext, pipe: PipeId, stream: Stream, tells_drained: bool, kept: Kept) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            context,
            pipe,
            reader,
            writer,
            kept,
            read_octets: READ_OCTETS_FIRST,
            unwritten: BytesMut::new(),
            tells_drained,
            then: None,
        }
    }

    async fn run(&mut self, orders: &mut mpsc::UnboundedReceiver<PipeOutput>) -> End {
        loop {
            while self.then.is_none()
                && let Ok(order) = orders.try_recv()
            {
                self.order(order);
            }
            if self.unwritten.is_empty()
                && let Some(end) = self.then.take()
            {
                return end;
            }
            if let Some(end) = self.step(orders).await {
                return end;
            }
        }
    }

    /// Waits for one thing to happen. Each arm can be dropped halfway without loss.
    async fn step(&mut self, orders: &mut mpsc::UnboundedReceiver<PipeOutput>) -> Option<End> {
        let tells = (self.kept.untold.is_some() || self.kept.drained) && self.then.is_none();
        let reads = self.kept.untold.is_none() && !self.kept.paused && self.then.is_none();
        if reads && self.kept.read.capacity() - self.kept.read.len() < READ_OCTETS_FIRST / 2 {
            self.kept.read.reserve(self.read_octets);
        }
        tokio::select! {
            biased;
            order = orders.recv(), if self.then.is_none() => match order {
                Some(order) => self.order(order),
                None => return Some(End::Abandoned),
            },
            written = self.writer.write_buf(&mut self.unwritten), if !self.unwritten.is_empty() => match written {
                Ok(0) => return Some(End::Closed(Some("nothing more can be written".to_owned()))),
                Ok(_) => return self.flush().await,
                Err(error) => return Some(End::Closed(Some(words(&error)))),
            },
            permit = self.context.inbox.reserve(), if tells => match permit {
                Ok(permit) => {
                    if let Some(input) = self.next_untold() {
                        permit.send(Happened::Input(Input::Pipe(self.pipe, input)));
                    }
                }
                Err(_) => return Some(End::Abandoned),
            },
            read = self.reader.read_buf(&mut self.kept.read), if reads => match read {
                Ok(0) => return Some(End::Closed(None)),
                Ok(octets) => self.took(octets),
                Err(error) => return Some(End::Closed(Some(words(&error)))),
            },
        }
        None
    }

    fn order(&mut self, order: PipeOutput) {
        match order {
            PipeOutput::Write(octets) => {
                self.kept.writes += 1;
                self.kept.drained = false;
                self.unwritten.extend_from_slice(&octets);
                if self.unwritten.len() > UNWRITTEN_OCTETS_MAX {
                    let waiting = self.unwritten.len();
                    self.unwritten = BytesMut::new();
                    self.then = Some(End::Closed(Some(format!("{waiting} octets wait for an end that does not read"))));
                }
            }
            PipeOutput::Close => self.then = Some(End::Finished),
            PipeOutput::Pause => self.kept.paused = true,
            PipeOutput::Resume => self.kept.paused = false,
            PipeOutput::TellDrained => self.tells_drained = true,
            PipeOutput::LimitSending(octets) => self.then = Some(End::Limit(octets)),
            PipeOutput::Secure(secure) => self.then = Some(End::Secure(secure)),
            PipeOutput::Abandon => {
                self.unwritten = BytesMut::new();
                self.then = Some(End::Abandoned);
            }
            // A pipe is opened once; the run loop starts a new task for a new pipe.
            PipeOutput::Open { .. } => {}
        }
    }

    async fn flush(&mut self) -> Option<End> {
        if self.unwritten.has_remaining() {
            return None;
        }
        if self.unwritten.capacity() > WRITE_OCTETS_KEPT {
            self.unwritten = BytesMut::new();
        }
        self.kept.drained = self.tells_drained;
        self.writer.flush().await.err().map(|error| End::Closed(Some(words(&error))))
    }

    fn took(&mut self, octets: usize) {
        self.read_octets = if octets >= READ_OCTETS_FIRST { READ_OCTETS_FULL } else { READ_OCTETS_FIRST };
        self.kept.untold = Some(PipeInput::Read(self.kept.read.split().freeze()));
    }

    fn next_untold(&mut self) -> Option<PipeInput> {
        let writes = self.kept.writes;
        self.kept.untold.take().or_else(|| std::mem::take(&mut self.kept.drained).then_some(PipeInput::Drained(writes)))
    }
}

/// A TCP connection with or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use skywave_protocols::bytes::Bytes;
    use tokio::net::TcpListener;

    use super::*;

    /// Whoever never reads is closed, and what it was sent does not stay in memory.
    #[tokio::test]
    async fn an_end_that_does_not_read_is_closed() {
        let (inbox, mut happenings) = mpsc::channel(8);
        let tls = Tls::without_files();
        let context = PipeContext { inbox, names: Arc::new(Names::new(BTreeMap::new())), tls: Arc::new(tls) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _deaf = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let commands = accepted(context, PipeId(1), listener.accept().await.unwrap().0);
        let piece = Bytes::from(vec![0; 1 << 20]);
        for _ in 0..UNWRITTEN_OCTETS_MAX / piece.len() + 64 {
            let _ = commands.send(PipeOutput::Write(piece.clone()));
        }
        match happenings.recv().await {
            Some(Happened::Input(Input::Pipe(PipeId(1), PipeInput::Closed(Some(why))))) => {
                assert!(why.ends_with("octets wait for an end that does not read"), "{why}");
            }
            _ => panic!("the connection should be closed"),
        }
    }
}

//! The control socket: a unix socket only its owner can open; a JSON object a line in, one a line out.
//!
//! `{"command": "queue_list"}` and its like are answered by the node; `{"command": "watch"}` turns the connection into
//! a stream of events. Limits: a line of [`LINE_OCTETS_MAX`], [`CONNECTIONS_MAX`] connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, oneshot};

use super::inbox::{Happened, Inbox};
use crate::node::command::{Command, Reply};
use crate::telemetry::Event;

/// Longest line of a command.
const LINE_OCTETS_MAX: u64 = 64 << 10;
/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;

/// The name of the socket in the run directory.
pub const SOCKET_NAME: &str = "control";

/// The open socket; the file goes with it.
pub(super) struct Control {
    path: PathBuf,
    task: tokio::task::AbortHandle,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Control {
    /// Opens the socket in `run`, which is created where it is missing.
    ///
    /// # Errors
    /// Those of the file system; a socket on which somebody answers is never taken away.
    pub(super) fn open(run: &Path, inbox: Inbox, events: broadcast::Sender<Event>) -> std::io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        const OWNER_ONLY: u32 = 0o600;
        std::fs::create_dir_all(run)?;
        let path = run.join(SOCKET_NAME);
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AddrInUse,
                format!("a site is running at {}", path.display()),
            ));
        }
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(OWNER_ONLY))?;
        let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let accepting = async move {
            while let Ok(turn) = Arc::clone(&turns).acquire_owned().await {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (inbox, events) = (inbox.clone(), events.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, &inbox, &events).await;
                    drop(turn);
                });
            }
        };
        Ok(Self { path, task: tokio::spawn(accepting).abort_handle() })
    }
}

async fn serve(stream: UnixStream, inbox: &Inbox, events: &broadcast::Sender<Event>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader).take(0);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.set_limit(LINE_OCTETS_MAX);
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            let reply = Reply::Error { why: "the line is too long or has no end".to_owned(), code: USAGE };
            return write(&mut writer, &reply).await;
        }
        if is_watch(&line) {
            return watch(&mut writer, events.subscribe()).await;
        }
        let reply = match serde_json::from_slice::<Command>(&line) {
            Ok(command) => ask(inbox, command).await,
            Err(error) => Reply::Error { why: error.to_string(), code: USAGE },
        };
        write(&mut writer, &reply).await?;
    }
}

fn is_watch(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(line).is_ok_and(|value| value["command"] == "watch")
}

/// Hands a command to the event loop and waits for the reply.
pub(super) async fn ask(inbox: &Inbox, command: Command) -> Reply {
    let (reply, waiting) = oneshot::channel();
    let unavailable = || Reply::Error { why: "the site is stopping".to_owned(), code: UNAVAILABLE };
    if inbox.send(Happened::Command(command, reply)).await.is_err() {
        return unavailable();
    }
    waiting.await.unwrap_or_else(|_| unavailable())
}

async fn write(writer: &mut OwnedWriteHalf, value: &impl serde::Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

async fn watch(writer: &mut OwnedWriteHalf, mut events: broadcast::Receiver<Event>) -> std::io::Result<()> {
    loop {
        match events.recv().await {
            Ok(event) => write(writer, &event).await?,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                write(writer, &serde_json::json!({ "event": "missed", "events": missed })).await?;
            }
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
}

//! The shell: everything around a node that does input and output. Thin: moves octets and events, decides nothing.
//!
//! [`Site::start`] opens the store and runs one site on the runtime it is called in; several sites can run in one
//! process. `run` is the event loop, `pipe` a connection, `datagram` a datagram socket, `disk` the store's thread,
//! `recent` the texts that
//! need not be read back from it, `hand_over` the connections to local MTAs, `compute` long work, `control` the operator's socket, `capture` the
//! capture file, `console` the tools at a SIS server, `clock` the only clock.

mod air;
pub mod capture;
pub mod clock;
pub mod compute;
pub mod config;
pub mod console;
pub mod control;
mod corked;
mod datagram;
pub(crate) mod dialogue;
mod disk;
pub mod hand_over;
mod inbox;
pub mod log;
pub mod notify;
mod offers;
mod pipe;
pub mod radio;
pub mod random;
mod recent;
pub mod resolve;
mod run;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

pub use config::ShellConfig;

use crate::node::Node;
use crate::node::command::{Command, Reply};
use crate::node::config::SiteConfig;
use crate::store::sqlite::{OpenFault, SqliteStore};
use crate::store::{Reader, Store, StoreFault};
use crate::telemetry::Event;

/// Events kept for a watcher that is slow; it then misses some and is told how many.
const EVENTS_KEPT: usize = 4096;

/// Why a site could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The store cannot be opened.
    #[error(transparent)]
    Spool(OpenFault),
    /// It cannot be read beside the writer.
    #[error(transparent)]
    Reader(StoreFault),
    /// A file of the configuration cannot be used.
    #[error("{0}")]
    File(String),
    /// The control socket cannot be opened.
    #[error("control socket: {0}")]
    Control(std::io::Error),
    /// The operating system gives no thread.
    #[error("no thread for the store: {0}")]
    Thread(std::io::Error),
}

/// A running site.
pub struct Site {
    inbox: inbox::Inbox,
    events: broadcast::Sender<Event>,
    listening: watch::Receiver<Vec<SocketAddr>>,
    task: JoinHandle<()>,
    captures: bool,
    _control: Option<control::Control>,
}

impl Site {
    /// Opens the spool and starts a site on it.
    ///
    /// # Errors
    /// When a file cannot be used or the control socket not be opened.
    pub fn start(site: SiteConfig, shell: ShellConfig) -> Result<Self, StartFault> {
        let store = SqliteStore::open(&shell.spool).map_err(StartFault::Spool)?;
        let reader = store.reader().map_err(StartFault::Reader)?;
        Self::start_on(site, shell, Box::new(store), Some(Box::new(reader)))
    }

    /// Starts a site on a store that is open already.
    ///
    /// # Errors
    /// When a file cannot be used or the control socket not be opened.
    pub fn start_on(
        mut site: SiteConfig,
        shell: ShellConfig,
        store: Box<dyn Store>,
        reader: Option<Box<dyn Reader>>,
    ) -> Result<Self, StartFault> {
        let (inbox, happenings) = mpsc::channel(inbox::INBOX_MAX);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (listening_sender, listening) = watch::channel(Vec::new());
        let tls = tls::Tls::new(&shell.certificates, &shell.authorities)
            .map_err(|mistakes| StartFault::File(mistakes.join("; ")))?;
        let passwords = read_passwords(&shell)?;
        read_chat_secrets(&mut site)?;
        let capture = open_capture(&shell)?;
        let control = match &shell.run {
            Some(run) => Some(control::Control::open(run, inbox.clone(), events.clone()).map_err(StartFault::Control)?),
            None => None,
        };
        let names = Arc::new(resolve::Names::new(shell.hosts));
        let (disk, store_threads) = disk::Disk::start(store, reader, inbox.clone()).map_err(StartFault::Thread)?;
        let hand_overs = hand_over::HandOvers::new(hand_over::HandOverContext {
            inbox: inbox.clone(),
            disk: disk.clone(),
            names: Arc::clone(&names),
            tls: shell.hand_over_tls,
        });
        let captures = capture.is_some();
        site.capture = captures;
        let log = log::Log { site: Arc::clone(&site.site), format: shell.log };
        let parts = run::Parts {
            node: Node::new(site, Box::new(random::OsRandom)),
            clock: shell.clock,
            inbox: happenings,
            pipes: pipe::PipeContext { inbox: inbox.clone(), names, tls: Arc::new(tls) },
            disk,
            store_threads: Some(store_threads),
            hand_overs,
            passwords,
            capture,
            log,
            events: events.clone(),
            listening: listening_sender,
        };
        let task = tokio::spawn(run::Loop::new(parts).run());
        Ok(Self { inbox, events, listening, task, captures, _control: control })
    }

    /// Asks the node something.
    pub async fn command(&self, command: Command) -> Reply {
        control::ask(&self.inbox, command).await
    }

    /// Hands the node a new configuration; whether packets are captured stays as it is.
    pub async fn reload(&self, mut site: SiteConfig) -> Reply {
        site.capture = self.captures;
        self.command(Command::Reload { config: Some(Box::new(site)) }).await
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Where it listens, once it listens at `count` places; fewer when it ended before.
    pub async fn listening(&self, count: usize) -> Vec<SocketAddr> {
        let mut listening = self.listening.clone();
        match listening.wait_for(|all| all.len() >= count).await {
            Ok(all) => all.clone(),
            Err(_) => Vec::new(),
        }
    }

    /// Asks the node to end in good order and waits until it has.
    pub async fn stop(self) {
        let _ = self.inbox.send(inbox::Happened::Stop).await;
        let _ = self.task.await;
    }

    /// Waits until the site has ended by itself.
    pub async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }
}

/// Puts secrets that lie in files of their own where the node expects them.
fn read_chat_secrets(site: &mut SiteConfig) -> Result<(), StartFault> {
    let Some(chat) = &mut site.chat else { return Ok(()) };
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| StartFault::File(format!("{}: {error}", path.display())))?;
        match text.trim() {
            "" => Err(StartFault::File(format!("{}: holds no secret", path.display()))),
            secret => Ok(secret.to_owned()),
        }
    };
    for component in &mut chat.door.components {
        if let Some(path) = chat.secret_files.get(&component.name) {
            component.secret = read(path)?;
        }
    }
    if let Some(path) = &chat.dialback_secret_file {
        chat.door.dialback_secret = read(path)?;
    }
    Ok(())
}

fn read_passwords(shell: &ShellConfig) -> Result<Arc<str>, StartFault> {
    let Some(path) = &shell.passwords else { return Ok(Arc::from("")) };
    let text = std::fs::read_to_string(path);
    text.map(Arc::from).map_err(|error| StartFault::File(format!("{}: {error}", path.display())))
}

fn open_capture(shell: &ShellConfig) -> Result<Option<capture::CaptureFile>, StartFault> {
    let Some(path) = &shell.capture else { return Ok(None) };
    let file = capture::CaptureFile::create(path);
    file.map(Some).map_err(|error| StartFault::File(format!("{}: {error}", path.display())))
}

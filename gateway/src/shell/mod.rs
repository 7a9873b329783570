//! The shell: everything around a node that does input and output. Thin: moves octets and events, decides nothing.
//!
//! [`Site::start`] opens the store and runs one site on the runtime it is called in; several sites can run in one
//! process. `run` is the event loop, `pipe` a connection, `datagram` a datagram socket, `disk` the store's thread,
//! `recent` the texts that
//! need not be read back from it, `files` what the configuration names, `hand_over` the connections to local MTAs, `compute` long work, `control` the operator's socket, `capture` the
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
pub mod files;
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
use files::FileMistake;

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
    /// Files of the configuration cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Files(Vec<FileMistake>),
    /// The capture file cannot be made.
    #[error("{0}")]
    Capture(String),
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
    shell: ShellConfig,
    passwords: watch::Sender<Arc<str>>,
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
        let read = files::read(&mut site, &shell).map_err(StartFault::Files)?;
        let kept = shell.clone();
        let (passwords, passwords_now) = watch::channel(read.passwords);
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
            pipes: pipe::PipeContext { inbox: inbox.clone(), names, tls: Arc::new(read.tls) },
            disk,
            store_threads: Some(store_threads),
            hand_overs,
            passwords: passwords_now,
            capture,
            log,
            events: events.clone(),
            listening: listening_sender,
        };
        let task = tokio::spawn(run::Loop::new(parts).run());
        Ok(Self { inbox, events, listening, task, captures, shell: kept, passwords, _control: control })
    }

    /// Asks the node something.
    pub async fn command(&self, command: Command) -> Reply {
        control::ask(&self.inbox, command).await
    }

    /// Hands the node a new configuration and reads the users anew; whether packets are captured stays as it is. All or
    /// nothing: what cannot change while the site runs refuses the rest.
    pub async fn reload(&self, mut site: SiteConfig, shell: &ShellConfig) -> Reply {
        let refused = |why: String| Reply::Error { why, code: 78 };
        if !self.shell.is_same_place(shell) {
            return refused(
                "directories, the password file's place, certificates, authorities, hosts, hand_over_tls and log_format \
                 change only at a restart; nothing was changed"
                    .to_owned(),
            );
        }
        let passwords = match files::read_passwords(shell) {
            Ok(passwords) => passwords,
            Err(fault) => return refused(fault.to_string()),
        };
        site.capture = self.captures;
        let reply = self.command(Command::Reload { config: Some(Box::new(site)) }).await;
        if matches!(reply, Reply::Ok(_)) {
            self.passwords.send_replace(passwords);
        }
        reply
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

fn open_capture(shell: &ShellConfig) -> Result<Option<capture::CaptureFile>, StartFault> {
    let Some(path) = &shell.capture else { return Ok(None) };
    let file = capture::CaptureFile::create(path);
    file.map(Some).map_err(|error| StartFault::Capture(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::plan::Plan;

    /// A new user can log in after a reload; what a reload cannot change is refused and not passed over.
    #[tokio::test]
    async fn a_reload_reads_the_users_and_refuses_what_needs_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        std::fs::write(&users, "anna:1\n").unwrap();
        let mut site_config = Plan::new(&["hq"]).site(0);
        (site_config.radios, site_config.links, site_config.routes) = (Vec::new(), Vec::new(), Vec::new());
        site_config.mail.listen = vec!["127.0.0.1:0".parse().unwrap()];
        let shell = ShellConfig { passwords: Some(users.clone()), ..ShellConfig::new(folder.path().join("spool")) };
        let site = Site::start(site_config.clone(), shell.clone()).unwrap();
        std::fs::write(&users, "bert:2\n").unwrap();
        assert!(matches!(site.reload(site_config.clone(), &shell).await, Reply::Ok(_)));
        assert_eq!(&**site.passwords.borrow(), "bert:2\n");
        std::fs::remove_file(&users).unwrap();
        let hosts = [("mx.test".to_owned(), Vec::new())].into();
        for shell in [
            shell.clone(),
            ShellConfig { hosts, ..shell.clone() },
            ShellConfig { passwords: None, ..shell.clone() },
            ShellConfig { log: log::LogFormat::Json, ..shell.clone() },
        ] {
            assert!(matches!(site.reload(site_config.clone(), &shell).await, Reply::Error { code: 78, .. }));
        }
        assert_eq!(&**site.passwords.borrow(), "bert:2\n", "the old ones stay");
        site.stop().await;
    }
}

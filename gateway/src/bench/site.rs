//! Our own side of a bench: `skywave run` as a process of its own, with a spool of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::BenchFault;
use super::process::{Running, free_address};
use crate::shell::clock::Clock;

/// The domain whose mail goes to the sink.
pub const SINK_DOMAIN: &str = "sink.test";
const READY_SECONDS_MAX: u64 = 60;

/// A site of a bench: where it lies and listens.
#[derive(Clone, Debug)]
pub struct Site {
    folder: PathBuf,
    /// Where it takes mail.
    pub address: SocketAddr,
    /// Where it hands mail over.
    pub target: SocketAddr,
}

impl Site {
    /// A site in `folder` that hands everything over to `target`.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    pub fn new(folder: &Path, target: SocketAddr) -> Result<Self, BenchFault> {
        let site = Self { folder: folder.to_path_buf(), address: free_address()?, target };
        let written = std::fs::write(site.config(), site.configuration());
        written.map_err(|error| BenchFault::local("the configuration", error))?;
        Ok(site)
    }

    /// Its spool.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("skywave.toml")
    }

    fn configuration(&self) -> String {
        format!(
            "site = \"hq.test\"\nspool_directory = \"{}\"\nrun_directory = \"{}\"\n\
             [mail]\nlisten = [\"{}\"]\nhostname = \"mail.hq.test\"\nrelay_networks = [\"127.0.0.0/8\"]\n\
             [local.mta]\ndomains = [\"{SINK_DOMAIN}\"]\ntarget = \"{}\"\n",
            self.spool().display(),
            self.folder.join("run").display(),
            self.address,
            self.target
        )
    }

    /// Starts the process; returns it when it says that it is ready, with the time from start to ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(&self) -> Result<(Running, Duration), BenchFault> {
        start(&self.folder, &self.config())
    }
}

/// Starts `skywave run` with this configuration; returns it when it says that it is ready, with the time from start to
/// ready. Its log lies in `folder`.
///
/// # Errors
/// When it does not become ready.
pub fn start(folder: &Path, config: &Path) -> Result<(Running, Duration), BenchFault> {
    let socket = folder.join("notify");
    let _ = std::fs::remove_file(&socket);
    let notices = UnixDatagram::bind(&socket).map_err(|error| BenchFault::local("notify socket", error))?;
    let timeout = notices.set_read_timeout(Some(Duration::from_secs(READY_SECONDS_MAX)));
    timeout.map_err(|error| BenchFault::local("notify socket", error))?;
    let log = File::create(folder.join("log")).map_err(|error| BenchFault::local("the log", error))?;
    let ourselves = std::env::current_exe().map_err(|error| BenchFault::local("our own program", error))?;
    let clock = Clock::start();
    let mut command = Command::new(ourselves);
    command.arg("run").arg("-c").arg(config).env("NOTIFY_SOCKET", &socket).env_remove("RUST_LOG");
    let running = Running::start(command.stdout(Stdio::null()).stderr(log))?;
    let mut notice = [0; 256];
    loop {
        let octets = notices.recv(&mut notice).map_err(|error| {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            BenchFault::Process(format!("skywave is not ready: {error}\n{log}"))
        })?;
        if notice[..octets].starts_with(b"READY=1") {
            return Ok((running, Duration::from_micros(clock.now().mono.as_micros())));
        }
    }
}

//! Processes of a bench: ended when dropped, found by name, asked for their memory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use super::BenchFault;
use crate::shell::clock::Clock;

/// How long a process may take to listen, and to end when asked.
const WAIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start(command: &mut Command) -> Result<Self, BenchFault> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).spawn().map(Self).map_err(|error| BenchFault::local(&name, error))
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it prints, once.
    pub fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.0.stdout.take()
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it ends badly.
    pub fn finish(mut self, name: &str) -> Result<(), BenchFault> {
        match self.0.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(BenchFault::Process(format!("{name} ended with {status}"))),
            Err(error) => Err(BenchFault::local(name, error)),
        }
    }

    /// Asks it to end in good order and waits; a process that does not is killed.
    pub fn stop(mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
        let clock = Clock::start();
        while clock.now().mono.as_micros() < WAIT.as_micros() as u64 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            park_timeout(LOOK);
        }
    }

    /// Its resident memory in octets (`VmRSS`).
    pub fn resident(&self) -> Option<u64> {
        resident(&std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0)
}

/// A program in the search path or where system programs are.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A port of loopback that nobody listens at.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr, BenchFault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener.and_then(|listener| listener.local_addr()).map_err(|error| BenchFault::local("a free port", error))
}

/// Waits until somebody listens there.
///
/// # Errors
/// When nobody does in time.
pub fn listening(address: SocketAddr, who: &str) -> Result<(), BenchFault> {
    let clock = Clock::start();
    while TcpStream::connect(address).is_err() {
        if clock.now().mono.as_micros() > WAIT.as_micros() as u64 {
            return Err(BenchFault::Process(format!("{who} does not listen at {address}")));
        }
        park_timeout(LOOK);
    }
    Ok(())
}

/// Runs a short command to its end.
///
/// # Errors
/// When it ends badly, with what it said.
pub fn run(command: &mut Command) -> Result<String, BenchFault> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|error| BenchFault::local(&name, error))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(BenchFault::Process(format!("{name} ended with {}: {said}{why}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   12345 kB\nThreads: 3\n"), Some(12_345 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }
}

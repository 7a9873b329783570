//! Processes of a bench: ended when dropped, found by name, asked for their memory.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use super::BenchFault;
use crate::shell::clock::Clock;

/// How long a process may take to listen, and to end when asked.
const WAIT: Duration = Duration::from_secs(60);
/// The unit of `/proc/ID/stat`.
const TICKS_PER_SECOND: f64 = 100.0;
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
        self.status("VmRSS:")
    }

    /// The most that was resident since it started, in octets (`VmHWM`).
    pub fn resident_peak(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Option<u64> {
        octets(&std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?, name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processor time in seconds that a process and its descendants have used, those that have ended included.
pub fn processor_seconds(id: u32) -> f64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: BTreeMap<u32, Ticks> =
        ids.filter_map(|id| Some((id, ticks(&std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?))).collect();
    let own = all.get(&id).map_or(0, |ticks| ticks.own + ticks.ended);
    let children: u64 = all.values().filter(|ticks| ticks.parent == id).map(|ticks| ticks.own + ticks.ended).sum();
    (own + children) as f64 / TICKS_PER_SECOND
}

/// What `/proc/ID/stat` says of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ticks {
    parent: u32,
    own: u64,
    /// Of its children that have ended.
    ended: u64,
}

fn ticks(stat: &str) -> Option<Ticks> {
    // The name in parentheses may hold blanks and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Ticks {
        parent: fields.get(1)?.parse().ok()?,
        own: number(11)? + number(12)?,
        ended: number(13)? + number(14)?,
    })
}

fn octets(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
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
    fn processor_time_is_read() {
        let stat = "42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 1000 200 20 0 3 0 99 1 2";
        assert_eq!(ticks(stat), Some(Ticks { parent: 7, own: 200, ended: 1200 }));
        assert_eq!(ticks("42 (x) S 7"), None);
    }

    #[test]
    fn memory_is_read() {
        let status = "Name:\tx\nVmHWM:\t   23456 kB\nVmRSS:\t   12345 kB\nThreads: 3\n";
        assert_eq!((octets(status, "VmRSS:"), octets(status, "VmHWM:")), (Some(12_345 * 1024), Some(23_456 * 1024)));
        assert_eq!(octets("Name:\tx\n", "VmRSS:"), None);
    }
}

//! Postfix's load tools: `smtp-source` sends, `smtp-sink` takes and counts.

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::BenchFault;
use super::process::{Running, free_address, is_root, listening};
use super::site::SINK_DOMAIN;

/// How long the sink may stand still before a run is given up.
const STILL: Duration = Duration::from_secs(120);

/// A load: what `smtp-source` is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// Sessions at once.
    pub sessions: u32,
    /// Mails in all.
    pub mails: u64,
    /// Octets of each text.
    pub octets: u32,
    /// Whether a session sends mail after mail on one connection; else each mail has one of its own.
    pub keeps_connections: bool,
}

impl Load {
    /// Sends it all; returns when the last mail is accepted.
    ///
    /// # Errors
    /// When `smtp-source` fails.
    pub fn send(&self, to: SocketAddr) -> Result<(), BenchFault> {
        let mut command = Command::new("smtp-source");
        if self.keeps_connections {
            command.arg("-d");
        }
        command
            .args(["-s", &self.sessions.to_string(), "-m", &self.mails.to_string()])
            .args(["-l", &self.octets.to_string(), "-f", "ops@hq.test"])
            .args(["-t", &format!("bridge@{SINK_DOMAIN}"), &format!("inet:{to}")]);
        Running::start(command.stdout(Stdio::null()))?.finish("smtp-source")
    }
}

/// A running `smtp-sink`.
#[derive(Debug)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    counted: Arc<(Mutex<u64>, Condvar)>,
    _process: Running,
}

impl Sink {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start() -> Result<Self, BenchFault> {
        let address = free_address()?;
        let mut command = Command::new("smtp-sink");
        if is_root() {
            command.args(["-u", "nobody"]);
        }
        command.args(["-c", &format!("inet:{address}"), "1000"]).stdout(Stdio::piped());
        let mut process = Running::start(&mut command)?;
        let counted = Arc::new((Mutex::new(0), Condvar::new()));
        if let Some(output) = process.output() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || count(output, &counted));
        }
        listening(address, "smtp-sink")?;
        Ok(Self { address, counted, _process: process })
    }

    /// Mails taken so far.
    pub fn count(&self) -> u64 {
        *self.counted.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many mails were taken in all.
    ///
    /// # Errors
    /// When none comes any more.
    pub fn wait_for(&self, mails: u64) -> Result<(), BenchFault> {
        let (count, changed) = &*self.counted;
        let mut taken = count.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken < mails {
            let before = *taken;
            let (now, waited) = changed.wait_timeout(taken, STILL).unwrap_or_else(PoisonError::into_inner);
            taken = now;
            if waited.timed_out() && *taken == before {
                return Err(BenchFault::Process(format!("only {before} of {mails} mails came out")));
            }
        }
        Ok(())
    }
}

fn count(mut output: ChildStdout, counted: &(Mutex<u64>, Condvar)) {
    let (mut line, mut octets) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = output.read(&mut octets) {
        line.extend_from_slice(&octets[..read]);
        // Lines end by CR only, so that they overwrite each other on a terminal.
        let Some(end) = line.iter().rposition(|&octet| octet == b'\r') else { continue };
        if let Some(mails) = mails(&String::from_utf8_lossy(&line[..end])) {
            *counted.0.lock().unwrap_or_else(PoisonError::into_inner) = mails;
            counted.1.notify_all();
        }
        line.drain(..=end);
    }
}

/// The last count of mails in what the sink printed.
fn mails(printed: &str) -> Option<u64> {
    printed.rsplit("mesg=").next()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        assert_eq!(mails("sess=1 quit=0 mesg=7\rsess=2 quit=1 mesg=12"), Some(12));
        assert_eq!(mails("sess=1 quit=0"), None);
    }
}

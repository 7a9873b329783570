//! Postfix, the peer of the relay bench and of the tests with real servers: instances with their own configuration,
//! queue, data and log, one port of loopback each.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::BenchFault;
use super::process::{self, free_address, listening, program};

/// A running instance; stopped when dropped.
#[derive(Debug)]
pub struct Postfix {
    /// Where it takes mail.
    pub address: SocketAddr,
    folder: PathBuf,
}

/// Settings that keep nothing back: no limit on the input, and all mail goes to one next hop.
fn unhindered(next: SocketAddr) -> String {
    format!("relayhost = [{}]:{}\nin_flow_delay = 0\n", next.ip(), next.port())
}

/// That Postfix and its load tools are here.
///
/// # Errors
/// `Missing`.
pub fn present() -> Result<(), BenchFault> {
    let missing: Vec<_> =
        ["postfix", "smtp-source", "smtp-sink"].into_iter().filter(|name| program(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(BenchFault::Missing { programs: missing.join(", "), packages: "postfix".to_owned() })
}

/// Its version, and what it lives on.
pub fn version() -> String {
    let said = process::run(Command::new("postconf").args(["-d", "-h", "mail_version"])).unwrap_or_default();
    said.trim().to_owned()
}

impl Postfix {
    /// Starts one that relays all mail to `next`.
    ///
    /// # Errors
    /// When it does not start; it needs root.
    pub fn relaying(folder: &Path, next: SocketAddr) -> Result<Self, BenchFault> {
        Self::start(folder, "mail.hq.test", &unhindered(next))
    }

    /// Starts one called `name` in an empty folder, with `settings` (lines of `main.cf`) besides those that every
    /// instance here has: no DNS, no filters, no TLS towards the next hop.
    ///
    /// # Errors
    /// When it does not start; it needs root.
    pub fn start(folder: &Path, name: &str, settings: &str) -> Result<Self, BenchFault> {
        let postfix = Self { address: free_address()?, folder: folder.to_path_buf() };
        postfix.configure(name, settings).map_err(|error| BenchFault::local("Postfix's configuration", error))?;
        process::run(Command::new("chown").arg("postfix").arg(folder.join("data")))?;
        postfix.control("start")?;
        listening(postfix.address, "postfix")?;
        Ok(postfix)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log/mail.log")).unwrap_or_default()
    }

    /// The process that all others of the instance are children of.
    pub fn master(&self) -> Option<u32> {
        fs::read_to_string(self.folder.join("queue/pid/master.pid")).ok()?.trim().parse().ok()
    }

    fn configure(&self, name: &str, settings: &str) -> std::io::Result<()> {
        // Its processes change to users of their own on the way to their folders.
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o755))?;
        for part in ["config", "queue", "data", "log"] {
            fs::create_dir_all(self.folder.join(part))?;
        }
        fs::write(self.config().join("main.cf"), main_cf(&self.folder, name) + settings)?;
        fs::write(self.config().join("master.cf"), master_cf(self.address.port()))
    }

    fn control(&self, what: &str) -> Result<(), BenchFault> {
        process::run(Command::new("postfix").arg("-c").arg(self.config()).arg(what)).map(drop)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = self.control("stop");
    }
}

fn main_cf(folder: &Path, name: &str) -> String {
    let folder = folder.display();
    format!(
        "compatibility_level = 3.6
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = /tmp, /var, {folder}
myhostname = {name}
myorigin = {name}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtp_dns_support_level = disabled
smtp_tls_security_level = none
import_environment = MAIL_CONFIG
"
    )
}

fn master_cf(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"
    )
}

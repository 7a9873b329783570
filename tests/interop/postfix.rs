//! Postfix instances: own configuration, queue and log, one high port on loopback each.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::wait;

/// A running instance; stopped when dropped.
pub struct Postfix {
    /// Where it takes mail.
    pub address: SocketAddr,
    folder: TempDir,
}

impl Postfix {
    /// Starts one called `name`, which sends mail for each domain of `routes` to that address.
    pub fn start(name: &str, routes: &[(&str, SocketAddr)]) -> Self {
        let folder = tempfile::Builder::new().prefix("skywave-postfix-").tempdir().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, wait::free_port()));
        let instance = Self { address, folder };
        instance.configure(name, routes);
        let started = instance.control("start");
        assert!(started, "postfix did not start:\n{}", instance.log());
        wait::listening(address, 30);
        instance
    }

    fn configure(&self, name: &str, routes: &[(&str, SocketAddr)]) {
        let folder = self.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        for part in ["config", "queue", "data", "log"] {
            fs::create_dir(folder.join(part)).unwrap();
        }
        let owned = Command::new("chown").arg("postfix").arg(folder.join("data")).status().unwrap();
        assert!(owned.success(), "chown of the data folder");
        let mut transports = String::new();
        for (domain, next) in routes {
            let _ = writeln!(transports, "{domain} smtp:[{}]:{}", next.ip(), next.port());
        }
        fs::write(folder.join("config/transport"), transports).unwrap();
        fs::write(folder.join("config/main.cf"), main_cf(name, folder)).unwrap();
        fs::write(folder.join("config/master.cf"), master_cf(self.address.port())).unwrap();
    }

    fn control(&self, what: &str) -> bool {
        Command::new("postfix").arg("-c").arg(self.config()).arg(what).status().unwrap().success()
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log/mail.log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of postfix at {}\n{}", self.address, self.log());
        }
        self.control("stop");
    }
}

fn main_cf(name: &str, folder: &Path) -> String {
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
transport_maps = texthash:{folder}/config/transport
alias_maps =
alias_database =
local_recipient_maps =
smtputf8_enable = yes
message_size_limit = 50000000
mailbox_size_limit = 0
smtp_dns_support_level = disabled
smtp_tls_security_level = none
smtpd_recipient_limit = 10000
minimal_backoff_time = 5s
queue_run_delay = 5s
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

//! Postfix instances: own configuration, queue and log, one high port on loopback each.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use skywave::bench::postfix;
use tempfile::TempDir;

/// A running instance; stopped when dropped.
pub struct Postfix {
    /// Where it takes mail.
    pub address: SocketAddr,
    instance: postfix::Postfix,
    // Dropped after the instance that lies in it.
    _folder: TempDir,
}

impl Postfix {
    /// Starts one called `name`, which sends mail for each domain of `routes` to that address.
    pub fn start(name: &str, routes: &[(&str, SocketAddr)]) -> Self {
        let folder = tempfile::Builder::new().prefix("skywave-postfix-").tempdir().unwrap();
        let mut transports = String::new();
        for (domain, next) in routes {
            let _ = writeln!(transports, "{domain} smtp:[{}]:{}", next.ip(), next.port());
        }
        let table = folder.path().join("transport");
        fs::write(&table, transports).unwrap();
        let settings = format!(
            "transport_maps = texthash:{}
smtputf8_enable = yes
message_size_limit = 50000000
mailbox_size_limit = 0
smtpd_recipient_limit = 10000
minimal_backoff_time = 5s
queue_run_delay = 5s
",
            table.display()
        );
        let instance = postfix::Postfix::start(folder.path(), name, &settings)
            .unwrap_or_else(|fault| panic!("postfix did not start: {fault}"));
        Self { address: instance.address, instance, _folder: folder }
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.instance.log()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of postfix at {}\n{}", self.address, self.log());
        }
    }
}

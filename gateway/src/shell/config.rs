//! What the shell of a site needs to know besides the site's own configuration: places on this machine.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::clock::Clock;
use super::hand_over::HandOverTls;
use super::log::LogFormat;
use super::tls::CertificateFiles;

/// Where things lie on this machine.
#[derive(Clone, Debug)]
pub struct ShellConfig {
    /// The queue.
    pub spool: PathBuf,
    /// The control socket; no socket without.
    pub run: Option<PathBuf>,
    /// The file of password hashes.
    pub passwords: Option<PathBuf>,
    /// Certificates by name.
    pub certificates: BTreeMap<String, CertificateFiles>,
    /// PEM files of authorities that vouch for certificates, by name.
    pub authorities: BTreeMap<String, PathBuf>,
    /// Addresses of hosts that DNS is not asked for, names in lower case.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Whether hand-over uses STARTTLS.
    pub hand_over_tls: HandOverTls,
    /// How log lines look.
    pub log: LogFormat,
    /// A capture file to be written.
    pub capture: Option<PathBuf>,
    /// The clock: shared by sites of one process that are to agree on the time of a demonstration.
    pub clock: Clock,
}

impl ShellConfig {
    /// Whether a running site can go on with the other in its place: only then a new configuration is taken over.
    pub fn is_same_place(&self, other: &Self) -> bool {
        (&self.spool, &self.run, &self.passwords, &self.certificates)
            == (&other.spool, &other.run, &other.passwords, &other.certificates)
            && (&self.authorities, &self.hosts) == (&other.authorities, &other.hosts)
            && (self.hand_over_tls, self.log) == (other.hand_over_tls, other.log)
    }

    /// Everything in its usual place, the queue in `spool`.
    pub fn new(spool: PathBuf) -> Self {
        Self {
            spool,
            run: None,
            passwords: None,
            certificates: BTreeMap::new(),
            authorities: BTreeMap::new(),
            hosts: BTreeMap::new(),
            hand_over_tls: HandOverTls::default(),
            log: LogFormat::default(),
            capture: None,
            clock: Clock::start(),
        }
    }
}

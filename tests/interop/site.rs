//! The running program: sites and nodes as processes with folders of their own, stopped when dropped.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::wait;

/// Time for a program to open its doors.
const START_SECONDS_MAX: u64 = 20;

/// The program that is tested: built by `cargo verify` before.
pub fn program() -> PathBuf {
    // The test binary lies in `target/PROFILE/deps`.
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("skywave");
    assert!(program.is_file(), "{} is not there: cargo build --workspace --bins", program.display());
    program
}

/// What lies between the sites.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// ACP 142 on UDP, a loopback address each.
    Udp,
    /// ACP 142 on UDOP over the embedded nodes and their simulated radio.
    Radio,
}

/// A process of the program with its log.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with this configuration; the log lies beside it.
    pub fn start(arguments: &[&str], config: &Path, capture: Option<&Path>) -> Self {
        Self::run(Command::new(program()), arguments, config, capture)
    }

    /// Starts it where names are looked up as this file says: it sees a `/etc/resolv.conf` of its own.
    pub fn start_with_dns(arguments: &[&str], config: &Path, capture: Option<&Path>, resolv_conf: &Path) -> Self {
        let mut command = Command::new("unshare");
        let bind = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        command.args(["--mount", "sh", "-c", bind]).arg(resolv_conf).arg(program());
        Self::run(command, arguments, config, capture)
    }

    fn run(mut command: Command, arguments: &[&str], config: &Path, capture: Option<&Path>) -> Self {
        let log = config.with_extension("log");
        command.args(arguments).arg("-c").arg(config);
        if let Some(capture) = capture {
            command.arg("--capture").arg(capture);
        }
        command
            .env("RUST_LOG", std::env::var("INTEROP_LOG").unwrap_or_else(|_| "info".to_owned()))
            .stdout(Stdio::null())
            .stderr(fs::OpenOptions::new().create(true).append(true).open(&log).unwrap());
        Self { child: command.spawn().unwrap(), log }
    }

    /// Kills it: it can do nothing about it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // By its own id, and asked first: what is captured is written at the end.
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if asked.is_ok_and(|status| status.success()) {
            wait::within(10, || self.child.try_wait().ok().flatten());
        }
        // Both fail when it has ended well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two sites, `hq.test` and `field.test`, and what lies between them.
pub struct Pair {
    /// Where the mail server of headquarters sends mail for the field.
    pub hq: SocketAddr,
    /// Where the mail server of the field sends mail for headquarters.
    pub field: SocketAddr,
    /// TPORT, RPORT, DPORT and APORT of both.
    p_mul_ports: [u16; 4],
    medium: Medium,
    /// Headquarters, the field.
    sites: Vec<Process>,
    node: Option<Process>,
    /// Goes last: the processes write into it until they end.
    folder: TempDir,
}

impl Pair {
    /// Reserves the ports, so that mail servers can be told of them before the sites run.
    pub fn new(medium: Medium) -> Self {
        let folder = tempfile::Builder::new().prefix("skywave-pair-").tempdir().unwrap();
        let door = || SocketAddr::from((Ipv4Addr::LOCALHOST, wait::free_port()));
        let p_mul_ports = [wait::free_port(), wait::free_port(), wait::free_port(), wait::free_port()];
        Self { hq: door(), field: door(), p_mul_ports, folder, medium, sites: Vec::new(), node: None }
    }

    /// Starts both sites, with mail for their own people handed over at `hq_mta` and `field_mta`.
    pub fn start(&mut self, hq_mta: SocketAddr, field_mta: SocketAddr) {
        let nodes = [wait::free_port(), wait::free_port()];
        if self.medium == Medium::Radio {
            self.write("weather.toml", "turnaround_seconds = 0.01\n");
            self.write("node.toml", &node_toml(nodes));
            self.node = Some(Process::start(&["node"], &self.path("node.toml"), None));
            for port in nodes {
                wait::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), START_SECONDS_MAX);
            }
        }
        for (own, other, door, mta, index) in
            [("hq", "field", self.hq, hq_mta, 0_usize), ("field", "hq", self.field, field_mta, 1)]
        {
            let mut config = self.site_toml(own, other, door, mta);
            match self.medium {
                Medium::Udp => config.push_str(&udp_toml(index, other, self.p_mul_ports)),
                Medium::Radio => config.push_str(&radio_toml(index, other, nodes)),
            }
            let name = format!("{own}.toml");
            self.write(&name, &config);
            let site = Process::start(&["run"], &self.path(&name), Some(&self.capture(own)));
            self.sites.push(site);
            wait::listening(door, START_SECONDS_MAX);
        }
    }

    /// Kills a site (0: headquarters, 1: the field), which can do nothing about it, and starts it again on its spool.
    pub fn kill_and_start(&mut self, index: usize) {
        let (own, door) = [("hq", self.hq), ("field", self.field)][index];
        self.sites.remove(index).kill();
        let site = Process::start(&["run"], &self.path(&format!("{own}.toml")), None);
        self.sites.insert(index, site);
        wait::listening(door, START_SECONDS_MAX);
    }

    /// The log of all lives of a site.
    pub fn log(&self, index: usize) -> String {
        self.sites[index].log()
    }

    /// The capture of a site; whole once the pair is dropped by [`Pair::stop`].
    pub fn capture(&self, site: &str) -> PathBuf {
        self.path(&format!("{site}.pcapng"))
    }

    /// Stops everything and gives the folder with the captures.
    pub fn stop(self) -> TempDir {
        let Self { folder, sites, node, .. } = self;
        drop((sites, node));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn site_toml(&self, own: &str, other: &str, door: SocketAddr, mta: SocketAddr) -> String {
        let folder = self.folder.path().display();
        let mut text = String::new();
        let _ = write!(
            text,
            "site = \"{own}.test\"
spool_directory = \"{folder}/{own}-spool\"
run_directory = \"{folder}/{own}-run\"

[mail]
listen = [\"{door}\"]
hostname = \"gateway.{own}.test\"

[local.mta]
domains = [\"{own}.test\"]
target = \"{mta}\"

[route.other]
domains = [\"{other}.test\"]
site = \"{other}.test\"
links = [\"link\"]
"
        );
        text
    }
}

/// Fast enough for 10 MB in a test, slow enough that PDUs queue.
const BITS_PER_SECOND: u32 = 8_000_000;
/// The fastest radio there is.
const RADIO_BITS_PER_SECOND: u32 = 1_000_000;

fn udp_toml(index: usize, other: &str, ports: [u16; 4]) -> String {
    let addresses = ["127.0.0.1", "127.0.0.2"];
    let (own, far) = (addresses[index], addresses[1 - index]);
    format!(
        "
[link.link]
carriage = \"mule\"
transport = \"acp142_udp\"
bind = \"{own}\"
ports = {ports:?}
bits_per_second = {BITS_PER_SECOND}
pdu_octets_max = 1400
ack_wait_seconds = 2

[link.link.site.\"{other}.test\"]
address = \"{far}\"
"
    )
}

fn radio_toml(index: usize, other: &str, nodes: [u16; 2]) -> String {
    let addresses = ["1.1.0.1", "1.1.0.2"];
    let (own, far, port) = (addresses[index], addresses[1 - index], nodes[index]);
    format!(
        "
[radio.radio]
node = \"127.0.0.1:{port}\"
address = \"{own}\"
bits_per_second = {RADIO_BITS_PER_SECOND}
turnaround_milliseconds = 50

[link.link]
carriage = \"mule\"
transport = \"acp142_radio\"
radio = \"radio\"

[link.link.site.\"{other}.test\"]
address = \"{far}\"
"
    )
}

fn node_toml(ports: [u16; 2]) -> String {
    format!(
        "weather_file = \"weather.toml\"
bits_per_second = {RADIO_BITS_PER_SECOND}

[station.\"hq.test\"]
listen = \"127.0.0.1:{}\"
address = \"1.1.0.1\"

[station.\"field.test\"]
listen = \"127.0.0.1:{}\"
address = \"1.1.0.2\"
",
        ports[0], ports[1]
    )
}

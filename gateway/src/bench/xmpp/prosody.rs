//! Prosody: a server of its own for one domain and its rooms, without DNS but for a name server of the caller's.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use super::super::BenchFault;
use super::super::process::{Running, listening, program};
use super::Identity;
use crate::shell::clock::Clock;

/// Prosody knows no table of where servers are; this module of ours has one.
const STATIC_ROUTES: &str = include_str!("mod_s2s_static.lua");

/// How long components may take to connect, and how often the log is looked at.
const CONNECT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

/// How servers prove to each other who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Dialback in clear.
    DialbackInClear,
    /// Dialback inside TLS, whose certificates nobody checks.
    Dialback,
    /// Certificates: TLS and SASL EXTERNAL.
    External,
}

/// What a server is to be.
#[derive(Clone, Debug)]
pub struct ProsodyPlan {
    /// Its users' domain.
    pub domain: String,
    /// The domain of its rooms, if it has any.
    pub rooms: Option<String>,
    /// Users and their passwords.
    pub users: Vec<(String, String)>,
    /// Where servers of other domains are.
    pub routes: Vec<(String, SocketAddr)>,
    /// Who is asked where the others are; without, nobody.
    pub name_server: Option<SocketAddr>,
    /// Names that others serve through it (XEP-0114), and the secret of each.
    pub components: Vec<(String, String)>,
    /// How it and its peers prove who they are.
    pub trust: Trust,
    /// What it shows and whom it trusts; needed unless all is in clear.
    pub identity: Option<Identity>,
    /// Whether one stream carries both directions (XEP-0288).
    pub bidi: bool,
    /// Whether streams between servers are managed (XEP-0198).
    pub managed: bool,
    /// Where clients connect.
    pub for_clients: SocketAddr,
    /// Where servers connect.
    pub for_servers: SocketAddr,
    /// Where servers connect that begin with TLS, if they may.
    pub for_servers_direct_tls: Option<SocketAddr>,
    /// Where components connect.
    pub for_components: SocketAddr,
}

impl ProsodyPlan {
    /// A server for `domain` with rooms at `rooms.DOMAIN`, at ports of `address` that nobody uses.
    ///
    /// # Errors
    /// When there are no ports.
    pub fn new(domain: &str, address: IpAddr) -> Result<Self, BenchFault> {
        let [for_clients, for_servers, for_components] = free_ports(address)?;
        Ok(Self {
            domain: domain.to_owned(),
            rooms: Some(format!("rooms.{domain}")),
            users: Vec::new(),
            routes: Vec::new(),
            name_server: None,
            components: Vec::new(),
            trust: Trust::Dialback,
            identity: None,
            bidi: false,
            managed: false,
            for_clients,
            for_servers,
            for_servers_direct_tls: None,
            for_components,
        })
    }

    /// The configuration, in Prosody's language.
    fn configuration(&self, folder: &Path) -> String {
        let mut text = String::new();
        let place = folder.display();
        let modules = self.modules();
        let (clients, servers, components) =
            (self.for_clients.port(), self.for_servers.port(), self.for_components.port());
        let _ = write!(
            text,
            "run_as_root = true
daemonize = false
pidfile = \"{place}/prosody.pid\"
data_path = \"{place}/data\"
plugin_paths = {{ \"{place}/modules\" }}
log = {{ {{ levels = {{ min = \"debug\" }}, to = \"file\", filename = \"{place}/prosody.log\" }} }}
interfaces = {{ \"{address}\" }}
local_interfaces = {{ \"{address}\" }}
c2s_ports = {{ {clients} }}
s2s_ports = {{ {servers} }}
s2s_direct_tls_ports = {{ {direct_tls} }}
component_ports = {{ {components} }}
component_interfaces = {{ \"{address}\" }}
http_ports = {{ }}
https_ports = {{ }}
authentication = \"internal_plain\"
storage = \"internal\"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
s2s_require_encryption = {encrypted}
s2s_secure_auth = {secure}
unbound = {{ resolvconf = false, hoststxt = false{name_server} }}
modules_enabled = {{ {modules} }}
{static_routes}{identity}
VirtualHost \"{domain}\"
",
            address = self.for_clients.ip(),
            direct_tls = self.for_servers_direct_tls.map_or_else(String::new, |at| at.port().to_string()),
            encrypted = self.trust != Trust::DialbackInClear,
            secure = self.trust == Trust::External,
            name_server = self.name_server(),
            static_routes = self.static_routes(),
            identity = self.identity(),
            domain = self.domain,
        );
        if let Some(rooms) = &self.rooms {
            let _ = write!(
                text,
                "Component \"{rooms}\" \"muc\"\n  modules_enabled = {{ {modules} }}\n  \
                 restrict_room_creation = false\n  muc_room_locking = false\n"
            );
        }
        for (name, secret) in &self.components {
            let _ = writeln!(text, "Component \"{name}\"\n  component_secret = \"{secret}\"");
        }
        text
    }

    /// What is loaded on the users' host and on the rooms alike: global modules do not reach components.
    fn modules(&self) -> String {
        let mut names = vec!["roster", "saslauth", "disco", "ping", "s2s_static", "posix"];
        if self.trust != Trust::DialbackInClear {
            names.push("tls");
        }
        if self.trust != Trust::External {
            names.push("dialback");
        }
        if self.bidi {
            names.push("s2s_bidi");
        }
        if self.managed {
            names.push("smacks");
        }
        names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join("; ")
    }

    /// Its resolver asks nobody on this machine, and nobody about `test`, unless it is told to.
    fn name_server(&self) -> String {
        let Some(server) = self.name_server else { return String::new() };
        format!(
            "; forward = \"{}@{}\"; options = {{ [\"do-not-query-localhost:\"] = \"no\"; \
             [\"local-zone:\"] = \"test. transparent\" }}",
            server.ip(),
            server.port()
        )
    }

    fn static_routes(&self) -> String {
        let mut text = "s2s_static = {\n".to_owned();
        for (domain, to) in &self.routes {
            let _ = writeln!(text, "  [\"{domain}\"] = {{ \"{}\", {} }};", to.ip(), to.port());
        }
        text + "}\n"
    }

    fn identity(&self) -> String {
        let Some(Identity { chain, key, roots }) = &self.identity else { return String::new() };
        let (chain, key, roots) = (chain.display(), key.display(), roots.display());
        // A server that trusts the authority would use EXTERNAL even where dialback is allowed.
        let trusted = if self.trust == Trust::External { format!("; cafile = \"{roots}\"") } else { String::new() };
        format!("ssl = {{ certificate = \"{chain}\"; key = \"{key}\"{trusted} }}\n")
    }
}

/// A running Prosody; ended when dropped.
#[derive(Debug)]
pub struct Prosody {
    /// What it is.
    pub plan: ProsodyPlan,
    folder: PathBuf,
    running: Option<Running>,
}

/// That Prosody is here.
///
/// # Errors
/// `Missing`.
pub fn present() -> Result<(), BenchFault> {
    match program("prosody") {
        Some(_) => Ok(()),
        None => Err(BenchFault::Missing { programs: "prosody".to_owned(), packages: "prosody lua-unbound".to_owned() }),
    }
}

impl Prosody {
    /// Starts one in `folder`, which it has for itself.
    ///
    /// # Errors
    /// When it does not listen in time, with the end of its log.
    pub fn start(folder: &Path, plan: ProsodyPlan) -> Result<Self, BenchFault> {
        let mut prosody = Self { plan, folder: folder.to_path_buf(), running: None };
        prosody.write().map_err(|error| BenchFault::local("Prosody's folder", error))?;
        prosody.start_again()?;
        Ok(prosody)
    }

    /// Starts it again after [`Self::stop`], with the users and rooms it had.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start_again(&mut self) -> Result<(), BenchFault> {
        let said = fs::File::create(self.folder.join("said")).map_err(|error| BenchFault::local("a log", error))?;
        let mut command = Command::new("prosody");
        command.arg("-F").arg("--config").arg(self.folder.join("prosody.cfg.lua"));
        command.stdout(Stdio::null()).stderr(said);
        self.running = Some(Running::start(&mut command)?);
        for address in [self.plan.for_clients, self.plan.for_servers] {
            listening(address, "prosody").map_err(|fault| BenchFault::Process(format!("{fault}\n{}", self.log())))?;
        }
        if !self.plan.components.is_empty() {
            listening(self.plan.for_components, "prosody")?;
        }
        Ok(())
    }

    /// Ends it in good order.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    /// Waits until all its components are connected: until then it refuses what is for them.
    ///
    /// # Errors
    /// When they do not connect in time.
    pub fn wait_for_components(&self) -> Result<(), BenchFault> {
        let clock = Clock::start();
        let connected = || self.log().matches("External component successfully authenticated").count();
        while connected() < self.plan.components.len() {
            if clock.now().mono.as_micros() > CONNECT.as_micros() as u64 {
                return Err(BenchFault::Process(format!("{} of the components are connected", connected())));
            }
            park_timeout(LOOK);
        }
        Ok(())
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("said") + &read("prosody.log")
    }

    fn write(&self) -> std::io::Result<()> {
        let accounts = self.folder.join("data").join(self.plan.domain.replace('.', "%2e")).join("accounts");
        fs::create_dir_all(&accounts)?;
        fs::create_dir_all(self.folder.join("modules"))?;
        fs::write(self.folder.join("modules/mod_s2s_static.lua"), STATIC_ROUTES)?;
        fs::write(self.folder.join("prosody.cfg.lua"), self.plan.configuration(&self.folder))?;
        for (user, password) in &self.plan.users {
            fs::write(
                accounts.join(format!("{user}.dat")),
                format!("return {{ [\"password\"] = \"{password}\"; }};\n"),
            )?;
        }
        Ok(())
    }
}

/// Ports of this address that nobody listens at: all held at once, as one that was let go may be given again.
fn free_ports<const N: usize>(address: IpAddr) -> Result<[SocketAddr; N], BenchFault> {
    let failed = |error: std::io::Error| BenchFault::local("free ports", error);
    let mut ports = [SocketAddr::new(address, 0); N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((address, 0)).map_err(failed)?;
        *port = listener.local_addr().map_err(failed)?;
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_what_the_plan_says() {
        let mut plan = ProsodyPlan::new("hq.test", IpAddr::from([127, 0, 0, 1])).unwrap();
        plan.routes = vec![("field.test".to_owned(), SocketAddr::from(([127, 0, 0, 9], 5269)))];
        plan.components = vec![("rooms.field.test".to_owned(), "s3".to_owned())];
        plan.trust = Trust::External;
        plan.managed = true;
        let text = plan.configuration(Path::new("/x"));
        for part in [
            "[\"field.test\"] = { \"127.0.0.9\", 5269 };",
            "s2s_secure_auth = true",
            "VirtualHost \"hq.test\"",
            "Component \"rooms.hq.test\" \"muc\"\n  modules_enabled = { \"roster\"",
            "Component \"rooms.field.test\"\n  component_secret = \"s3\"",
            "\"smacks\"",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("\"dialback\"") && !text.contains("\"s2s_bidi\""), "{text}");
    }
}

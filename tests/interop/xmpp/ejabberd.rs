//! ejabberd: a server of its own for one domain and its rooms, as an Erlang node without a name, so that nothing but it
//! is started.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use skywave::bench::process::{Running, program};

use crate::wait;

/// Time to start an Erlang system with a database.
const START_SECONDS_MAX: u64 = 60;

/// A running ejabberd; ended when dropped.
pub struct Ejabberd {
    /// Where clients connect.
    pub for_clients: SocketAddr,
    /// Where components connect.
    pub for_components: SocketAddr,
    folder: PathBuf,
    _running: Running,
}

impl Ejabberd {
    /// Starts one for `domain`, its rooms and these users, whose password is `secret`; others serve `components`
    /// through it, with the same secret.
    pub fn start(folder: &Path, domain: &str, address: IpAddr, users: &[&str], components: &[&str]) -> Self {
        let port = || TcpListener::bind((address, 0)).unwrap().local_addr().unwrap();
        let (for_clients, for_components) = (port(), port());
        fs::create_dir_all(folder.join("spool")).unwrap();
        fs::create_dir_all(folder.join("log")).unwrap();
        fs::write(folder.join("ejabberd.yml"), configuration(domain, for_clients, for_components, components)).unwrap();
        let said = fs::File::create(folder.join("said")).unwrap();
        let users: Vec<String> = users.iter().map(|user| format!("<<\"{user}\">>")).collect();
        let register = format!(
            "[ejabberd_auth:try_register(User, <<\"{domain}\">>, <<\"secret\">>) || User <- [{}]]",
            users.join(", ")
        );
        let mut command = Command::new(program("erl").expect("package ejabberd"));
        command
            .args(["-noinput", "-mnesia", "dir", &format!("\"{}\"", folder.join("spool").display())])
            .args(["-s", "ejabberd", "-eval", &register])
            .env("ERL_LIBS", libraries())
            .env("EJABBERD_CONFIG_PATH", folder.join("ejabberd.yml"))
            .env("EJABBERD_LOG_PATH", folder.join("log/ejabberd.log"))
            .env("HOME", folder)
            .current_dir(folder)
            .stdout(said)
            .stderr(Stdio::null());
        let server = Self {
            for_clients,
            for_components,
            folder: folder.to_path_buf(),
            _running: Running::start(&mut command).unwrap(),
        };
        wait::listening(for_clients, START_SECONDS_MAX);
        wait::listening(for_components, START_SECONDS_MAX);
        server
    }
}

impl Ejabberd {
    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log/ejabberd.log")).unwrap_or_default()
    }
}

impl Drop for Ejabberd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- ejabberd\n{}", self.log());
        }
    }
}

/// Where Debian keeps Erlang libraries: beside those of this machine's kind.
fn libraries() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let has_ejabberd = |folder: &PathBuf| {
        fs::read_dir(folder).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|e| is_ejabberd(&e.file_name().to_string_lossy())))
        })
    };
    folders.into_iter().find(has_ejabberd).expect("package ejabberd")
}

fn is_ejabberd(name: &str) -> bool {
    name.strip_prefix("ejabberd-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn configuration(domain: &str, clients: SocketAddr, components: SocketAddr, names: &[&str]) -> String {
    let ip = clients.ip();
    let mut text = format!(
        "loglevel: info
hosts:
  - {domain}
listen:
  - port: {}
    ip: \"{ip}\"
    module: ejabberd_c2s
    starttls: false
  - port: {}
    ip: \"{ip}\"
    module: ejabberd_service
    global_routes: false
    hosts:
",
        clients.port(),
        components.port()
    );
    for name in names {
        let _ = write!(text, "      \"{name}\":\n        password: \"secret\"\n");
    }
    let _ = write!(
        text,
        "acme:
  auto: false
modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_muc:
    host: \"rooms.{domain}\"
    history_size: 20
"
    );
    text
}

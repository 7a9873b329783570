//! Two gateways of a bench between two hosts for components, on loopback.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::super::BenchFault;
use super::super::process::{Running, free_address};
use super::super::site;
use super::super::xmpp::Host;
use super::super::xmpp::gateway::{GatewayPlan, Medium, Side};

/// How long a gateway may take to connect to its host.
const CONNECT: Duration = Duration::from_secs(30);

/// The gateways; ended when dropped.
pub(super) struct Gateways {
    /// Where headquarters writes what is for the field.
    pub(super) to_field: TcpStream,
    _to_hq: TcpStream,
    _processes: [Running; 2],
}

impl Gateways {
    /// Starts both with these hosts as their local servers.
    ///
    /// # Errors
    /// When one does not become ready or does not connect.
    pub(super) fn start(folder: &Path, profile: &str, hq: &Host, field: &Host) -> Result<Self, BenchFault> {
        let link = free_address()?;
        let start = |own: &str, far: &str, host: &Host, listen: Option<SocketAddr>| {
            let plan = GatewayPlan {
                own: own.to_owned(),
                far: far.to_owned(),
                side: Side::Components { target: host.address, secret: "bench".to_owned() },
                medium: Medium::Tcp { listen, connect: Some(link).filter(|_| listen.is_none()), tls: None },
                filter: "none".to_owned(),
                profile: profile.to_owned(),
                managed: false,
            };
            run(&folder.join(own), &plan)
        };
        let processes = [start("hq.test", "field.test", hq, None)?, start("field.test", "hq.test", field, Some(link))?];
        let to_field = hq.component("field.test", CONNECT)?;
        let to_hq = field.component("hq.test", CONNECT)?;
        Ok(Self { to_field, _to_hq: to_hq, _processes: processes })
    }
}

/// Starts a gateway in a folder of its own.
pub(super) fn run(folder: &Path, plan: &GatewayPlan) -> Result<Running, BenchFault> {
    std::fs::create_dir_all(folder).map_err(|error| BenchFault::local("a gateway's folder", error))?;
    let config = folder.join("skywave.toml");
    let written = std::fs::write(&config, plan.configuration(folder));
    written.map_err(|error| BenchFault::local("a gateway's configuration", error))?;
    site::start(folder, &config).map(|(running, _)| running)
}

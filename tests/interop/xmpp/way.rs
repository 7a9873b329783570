//! Two sites with everything between their users: servers, gateways, and a wire or a radio between those.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use skywave::bench::xmpp::gateway::{GatewayPlan, LinkTls, Medium as Link, ServerAt, Side};
use skywave::bench::xmpp::{Authority, Identity, Prosody, ProsodyPlan, Trust, Wire};
use skywave::config::{self, Text};
use skywave::shell::Site;
use skywave::shell::clock::Clock;
use skywave::shell::radio::{Radio, RadioStation};
use skywave_protocols::s5066::address::NodeAddress;
use skywave_transports::modem::weather::Weather;
use skywave_transports::node::{SimulatorStation, StationConfig};
use tempfile::TempDir;

use super::dns::{self, Dns};
use super::ejabberd::Ejabberd;
use super::servers::{FIELD, HQ, plans};
use super::talk::{Ends, FIELD_USERS};
use crate::site::Process;
use crate::wait;

/// The loopback addresses of the gateways.
const GATEWAYS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(127, 0, 11, 2)), IpAddr::V4(Ipv4Addr::new(127, 0, 12, 2))];
/// Rate of the radio in bit/s, and how many times as fast its time runs.
const BITS_PER_SECOND: u32 = 1200;
pub const SPEED: u32 = 20;
/// Time for a program to open its doors.
const START_SECONDS_MAX: u64 = 30;

/// How gateways and servers meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setup {
    /// As components.
    Components,
    /// As servers, by dialback inside TLS.
    Dialback,
    /// As servers, by certificates; streams are managed (XEP-0198).
    External,
    /// The same; each stream carries both directions (XEP-0288).
    OneStream,
    /// The same as [`Self::External`]; gateway and server find each other by DNS, which offers TLS from the first octet.
    Srv,
}

impl Setup {
    const fn trust(self) -> Trust {
        match self {
            Self::External | Self::OneStream | Self::Srv => Trust::External,
            Self::Components | Self::Dialback => Trust::Dialback,
        }
    }
}

/// What lies between the gateways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// XEP-0361 over TCP; the gateways are processes.
    Tcp,
    /// XEP-0365 over the simulated radio at 1200 bit/s; the gateways run in this process, on a clock that runs faster.
    Hf,
    /// The same; the gateways are processes, for which time runs as usual: only the radio is faster than it says.
    HfApart,
}

/// What the gateways let cross, and what they speak over TCP.
#[derive(Clone, Copy)]
struct Speech {
    filter: &'static str,
    profile: &'static str,
    managed: bool,
}

const SKYWAVE: Speech = Speech { filter: "none", profile: "skywave", managed: false };

/// The gateways: headquarters, the field.
enum Gateways {
    Processes([Option<Process>; 2]),
    Inside(Vec<Site>),
}

/// What joins them.
enum Between {
    Wire(Wire),
    Air(Air),
}

/// A simulated radio of this process, with a node for each gateway. Fields are dropped in their order: what runs in the
/// runtime before the runtime.
struct Air {
    radio: Radio,
    clock: Clock,
    runtime: tokio::runtime::Runtime,
}

/// The server of the field.
enum FieldServer {
    Prosody(Box<Prosody>),
    Ejabberd(Ejabberd),
}

/// See the module.
pub struct Way {
    /// Where users log in.
    pub ends: Ends,
    hq: Prosody,
    field: FieldServer,
    gateways: Option<Gateways>,
    between: Between,
    /// The name servers of the gateways and of the servers, where there are any: the same names are in different places
    /// for them.
    pub dns: Option<[Dns; 2]>,
    folder: TempDir,
}

/// A port of this address that nobody listens at.
fn free_port(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, wait::free_port_of(address))
}

impl Way {
    /// Starts everything, with Prosody at both ends.
    pub fn open(setup: Setup, medium: Medium) -> Self {
        // Where the link is slow, people have the filter that is there unless they say otherwise.
        let filter = if medium == Medium::Tcp { "none" } else { "hf-fast" };
        Self::start([setup, setup], medium, Speech { filter, ..SKYWAVE }, false)
    }

    /// The same as the XEPs have it: over TCP one stream in clear text, managed from its first octet (XEP-0361, XEP-0198),
    /// over HF one stanza for each PDU (XEP-0365).
    pub fn standard(setup: Setup, medium: Medium) -> Self {
        let is_tcp = medium == Medium::Tcp;
        let filter = if is_tcp { "sat" } else { "hf-fast" };
        Self::start([setup, setup], medium, Speech { filter, profile: "standard", managed: is_tcp }, false)
    }

    /// Headquarters has Prosody, the field has ejabberd, to which the gateway is a component.
    pub fn to_ejabberd(setup: Setup, medium: Medium) -> Self {
        Self::start([setup, Setup::Components], medium, Speech { filter: "hf-fast", ..SKYWAVE }, true)
    }

    fn start(setups: [Setup; 2], medium: Medium, speech: Speech, ejabberd: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("skywave-chat-").tempdir().unwrap();
        let place = folder.path();
        let authority = Authority::new(place).unwrap();
        let doors = GATEWAYS.map(free_port);
        let mut plans = plans(setups[0].trust());
        plans[1].trust = setups[1].trust();
        let mut sides = Vec::new();
        for index in 0..2 {
            let far = ["field.test", "hq.test"][index];
            sides.push(meet(&mut plans[index], far, setups[index], doors[index], &authority));
        }
        let dns = setups.contains(&Setup::Srv).then(|| name_servers(&mut plans, &sides));
        let [hq, field] = plans;
        let field_side = sides.pop().unwrap();
        let hq_side = sides.pop().unwrap();
        let hq = Prosody::start(&place.join("server-hq"), hq).unwrap();
        let (field, field_side) = if ejabberd {
            let names = ["hq.test", "rooms.hq.test"];
            let server = Ejabberd::start(&place.join("server-field"), "field.test", FIELD, &FIELD_USERS, &names);
            let side = Side::Components { target: server.for_components, secret: "secret".to_owned() };
            (FieldServer::Ejabberd(server), side)
        } else {
            (FieldServer::Prosody(Box::new(Prosody::start(&place.join("server-field"), field).unwrap())), field_side)
        };
        let sides = [hq_side, field_side];
        let resolv_conf = dns.as_ref().map(|[of_gateways, _]| of_gateways.resolv_conf(place));
        let processes =
            || Gateways::Processes([0, 1].map(|number| Some(start_gateway(place, number, resolv_conf.as_deref()))));
        let (gateways, between) = match medium {
            Medium::Tcp => {
                let wire = over_tcp(place, sides, link_tls(setups[0], &authority), speech);
                (processes(), Between::Wire(wire))
            }
            Medium::HfApart => {
                let air = Air::start();
                air.write(place, sides, speech);
                (processes(), Between::Air(air))
            }
            Medium::Hf => {
                let air = Air::start();
                air.write(place, sides, speech);
                (Gateways::Inside(air.start_inside(place)), Between::Air(air))
            }
        };
        let for_clients = match &field {
            FieldServer::Prosody(prosody) => prosody.plan.for_clients,
            FieldServer::Ejabberd(ejabberd) => ejabberd.for_clients,
        };
        let ends = Ends { hq: hq.plan.for_clients, field: for_clients };
        let way = Self { ends, hq, field, gateways: Some(gateways), between, dns, folder };
        if setups.contains(&Setup::Components) {
            way.wait_for_components(setups[0] == Setup::Components);
        }
        way
    }

    /// Prosody refuses what is for a component that is not connected yet.
    fn wait_for_components(&self, at_hq: bool) {
        if at_hq {
            self.hq.wait_for_components().unwrap();
        }
        match &self.field {
            FieldServer::Prosody(field) => field.wait_for_components().unwrap(),
            FieldServer::Ejabberd(field) => {
                wait::until("the components in the field", START_SECONDS_MAX, || {
                    (field.log().matches("Accepted external component handshake").count() >= 2).then_some(())
                });
            }
        }
    }

    /// The link breaks. Over TCP until [`Way::mend`]; the radio by itself after `span` of its own time.
    pub fn cut(&self, span: Duration) {
        match &self.between {
            Between::Wire(wire) => wire.cut(),
            Between::Air(air) => {
                let micros = u64::try_from(span.as_micros()).unwrap();
                air.radio.add_outage(skywave_protocols::time::Duration::from_micros(micros));
            }
        }
    }

    /// The link over TCP is whole again.
    pub fn mend(&self) {
        if let Between::Wire(wire) = &self.between {
            wire.mend();
        }
    }

    /// Octets that went over the wire or the air, both ways.
    pub fn octets(&self) -> u64 {
        match &self.between {
            Between::Wire(wire) => wire.octets().0 + wire.octets().1,
            Between::Air(air) => {
                let described = air.runtime.block_on(air.radio.describe());
                let stations = described["stations"].as_array().unwrap().clone();
                stations.iter().map(|station| station["air"]["octets_on_air"].as_u64().unwrap()).sum()
            }
        }
    }

    /// Kills a gateway (0: headquarters, 1: the field) in the middle of whatever it does.
    pub fn kill(&mut self, number: usize) {
        let Some(Gateways::Processes(sites)) = &mut self.gateways else { panic!("only processes are killed") };
        sites[number].take().unwrap().kill();
    }

    /// Starts it again.
    pub fn start_again(&mut self, number: usize) {
        let Some(Gateways::Processes(sites)) = &mut self.gateways else { panic!("only processes are killed") };
        sites[number] = Some(start_gateway(self.folder.path(), number, None));
    }

    /// What the servers logged.
    pub fn server_logs(&self) -> String {
        self.logs().concat()
    }

    /// What the servers logged, each for itself.
    pub fn logs(&self) -> [String; 2] {
        let field = match &self.field {
            FieldServer::Prosody(prosody) => prosody.log(),
            FieldServer::Ejabberd(ejabberd) => ejabberd.log(),
        };
        [self.hq.log(), field]
    }

    /// Ends the gateways in good order; the capture of headquarters.
    pub fn capture(&mut self) -> PathBuf {
        match (self.gateways.take().unwrap(), &self.between) {
            (Gateways::Inside(sites), Between::Air(air)) => air.runtime.block_on(async {
                for site in sites {
                    site.stop().await;
                }
            }),
            (gateways, _) => drop(gateways),
        }
        self.folder.path().join("hq.pcapng")
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = self.folder.path().with_extension("kept");
            let _ = fs::rename(self.folder.path(), &kept);
            eprintln!("--- logs and configurations: {}", kept.display());
        }
    }
}

/// Writes into the plan of a server how it meets the gateway that stands for `far`; the gateway's side of it.
fn meet(plan: &mut ProsodyPlan, far: &str, setup: Setup, door: SocketAddr, authority: &Authority) -> Side {
    let rooms = format!("rooms.{far}");
    if setup == Setup::Components {
        plan.components = [far, &rooms].map(|name| (name.to_owned(), "secret".to_owned())).into();
        return Side::Components { target: plan.for_components, secret: "secret".to_owned() };
    }
    let (target, listen_direct_tls) = match setup {
        Setup::Srv => {
            plan.for_servers_direct_tls = Some(free_port(plan.for_servers.ip()));
            (ServerAt::Dns, Some(free_port(door.ip())))
        }
        Setup::Components | Setup::Dialback | Setup::External | Setup::OneStream => {
            plan.routes = vec![(far.to_owned(), door), (rooms.clone(), door)];
            (ServerAt::Place(plan.for_servers), None)
        }
    };
    plan.bidi = setup == Setup::OneStream;
    // As Debian's default has it: Prosody asks for confirmations wherever they are offered.
    plan.managed = matches!(setup, Setup::OneStream | Setup::External);
    plan.identity = Some(authority.issue(&[&plan.domain, &format!("rooms.{}", plan.domain)]).unwrap());
    let folder = format!("for-{}", plan.domain);
    let identity = Some(fronting(authority, far, &rooms, &folder));
    Side::Servers { listen: door, listen_direct_tls, target, trust: plan.trust, identity }
}

/// Starts name servers: to gateways a domain is at its server, to a server the other's domain is at the gateway.
fn name_servers(plans: &mut [ProsodyPlan; 2], sides: &[Side]) -> [Dns; 2] {
    let with_rooms = |domain: &str, at: Option<SocketAddr>| {
        let names = [domain.to_owned(), format!("rooms.{domain}")];
        names.into_iter().filter_map(move |name| Some((name, at?)))
    };
    let servers = plans.iter().flat_map(|plan| with_rooms(&plan.domain, plan.for_servers_direct_tls)).collect();
    let fronted = plans.iter().rev().zip(sides).flat_map(|(far, side)| match side {
        Side::Servers { listen_direct_tls, .. } => with_rooms(&far.domain, *listen_direct_tls),
        Side::Components { .. } => with_rooms(&far.domain, None),
    });
    let started = [Dns::start(dns::USUAL, servers), Dns::start(dns::OTHER, fronted.collect())];
    plans.iter_mut().for_each(|plan| plan.name_server = Some(started[1].address));
    started
}

/// How the link over TCP is secured: by certificates of the authority where the servers use theirs, by pinned ones where
/// they use dialback, else not at all.
fn link_tls(setup: Setup, authority: &Authority) -> [Option<LinkTls>; 2] {
    if setup == Setup::Components {
        return [None, None];
    }
    let identities =
        ["hq", "field"].map(|name| authority.issue(&[&format!("{name}.link.test"), &format!("{name}.test")]).unwrap());
    let pins = |of: &Identity| (setup == Setup::Dialback).then(|| vec![of.digest().unwrap()]);
    let [hq, field] = identities;
    let (of_hq, of_field) = (pins(&hq), pins(&field));
    [Some(LinkTls { identity: hq, pins: of_field }), Some(LinkTls { identity: field, pins: of_hq })]
}

/// The certificate of a gateway names the far site, as does that of the far site's own server: it needs files of its own.
fn fronting(authority: &Authority, far: &str, rooms: &str, name: &str) -> Identity {
    let identity = authority.issue(&[&format!("{name}.gateway.test"), far, rooms]).unwrap();
    assert!(identity.chain.is_file());
    identity
}

fn plan(index: usize, side: Side, medium: Link, speech: Speech) -> GatewayPlan {
    let names = ["hq.test", "field.test"];
    GatewayPlan {
        own: names[index].to_owned(),
        far: names[1 - index].to_owned(),
        side,
        medium,
        filter: speech.filter.to_owned(),
        profile: speech.profile.to_owned(),
        managed: speech.managed,
    }
}

fn configuration(place: &Path, number: usize) -> PathBuf {
    place.join(["hq.toml", "field.toml"][number])
}

fn write(place: &Path, number: usize, plan: &GatewayPlan) {
    let text = plan.configuration(&place.join(["gateway-hq", "gateway-field"][number]));
    fs::write(configuration(place, number), text).unwrap();
}

/// Starts a gateway as a process; the first life of headquarters is captured.
fn start_gateway(place: &Path, number: usize, resolv_conf: Option<&Path>) -> Process {
    let (config, capture) = (configuration(place, number), place.join("hq.pcapng"));
    let capture = (number == 0 && !capture.exists()).then_some(capture.as_path());
    match resolv_conf {
        Some(resolv_conf) => Process::start_with_dns(&["run"], &config, capture, resolv_conf),
        None => Process::start(&["run"], &config, capture),
    }
}

/// Writes the configurations of two gateways with a wire between them.
fn over_tcp(place: &Path, sides: [Side; 2], tls: [Option<LinkTls>; 2], speech: Speech) -> Wire {
    let listen = free_port(GATEWAYS[1]);
    let wire = Wire::start(GATEWAYS[0], listen, Duration::ZERO).unwrap();
    let ([hq, field], [hq_tls, field_tls]) = (sides, tls);
    let field = plan(1, field, Link::Tcp { listen: Some(listen), connect: None, tls: field_tls }, speech);
    write(place, 1, &field);
    let hq = plan(0, hq, Link::Tcp { listen: None, connect: Some(wire.address), tls: hq_tls }, speech);
    write(place, 0, &hq);
    wire
}

/// The nodes of headquarters and of the field.
const NODES: [&str; 2] = ["1.1.0.1", "1.1.0.2"];

impl Air {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let clock = Clock::at_speed(SPEED);
        let weather = Weather::default().with_bits_per_second(BITS_PER_SECOND).unwrap();
        let stations = NODES.into_iter().zip(["hq", "field"]).map(|(address, name)| {
            let address: NodeAddress = address.parse().unwrap();
            let station = SimulatorStation { name: format!("{name}.test"), config: StationConfig::new(address) };
            RadioStation { station, listen: SocketAddr::from((HQ, 0)) }
        });
        let radio = runtime.block_on(async { Radio::start(clock, &weather, stations.collect(), None) }).unwrap();
        Self { radio, clock, runtime }
    }

    /// Writes the configurations of two gateways that use the nodes.
    fn write(&self, place: &Path, sides: [Side; 2], speech: Speech) {
        for (number, side) in sides.into_iter().enumerate() {
            let medium = Link::Radio {
                node: self.radio.addresses[number],
                own: NODES[number].to_owned(),
                far: NODES[1 - number].to_owned(),
                bits_per_second: BITS_PER_SECOND,
            };
            write(place, number, &plan(number, side, medium, speech));
        }
    }

    /// Starts both gateways in this process, at the radio's speed.
    fn start_inside(&self, place: &Path) -> Vec<Site> {
        let start = |number: usize| {
            let path = configuration(place, number);
            let text = Text { file: path.display().to_string(), text: fs::read_to_string(&path).unwrap() };
            let mut loaded = config::load(&[text], &BTreeMap::new()).unwrap();
            loaded.shell.clock = self.clock;
            loaded.shell.capture = Some(path.with_extension("pcapng"));
            Site::start(loaded.site, loaded.shell).unwrap()
        };
        self.runtime.block_on(async { (0..2).map(start).collect() })
    }
}
